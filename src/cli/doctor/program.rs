//! Other programs, such as systemctl: run without a shell, for a bounded time, with an output of bounded length. None of them
//! tells a secret: what opens credentials is `credentials::systemd_creds`.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::finding::Unseen;

/// Where programs are looked for, whatever the environment says: doctor runs as root.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Most bytes of an output.
const MAX_OUTPUT: usize = 1024 * 1024;

/// Most bytes of what a program complains about.
const MAX_COMPLAINT: usize = 16 * 1024;

/// How often an ending is looked for once the output is closed.
const TICK: Duration = Duration::from_millis(10);

/// What a program did.
pub(super) struct Output {
    /// Its exit code; `None` when a signal ended it.
    pub(super) code: Option<i32>,
    /// What it wrote.
    pub(super) stdout: String,
    /// What it complained about.
    pub(super) stderr: String,
}

impl Output {
    /// The last line of what it complained about.
    pub(super) fn complaint(&self) -> String {
        let last = self.stderr.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(|| format!("it ended with {:?}", self.code), |line| line.trim().to_owned())
    }
}

/// Runs `program` with `arguments`, for `patience` at most.
///
/// # Errors
/// [`Unseen`] when it is not installed, cannot be run, takes too long or writes more than 1 MiB.
pub(super) fn run<A: AsRef<OsStr>>(program: &str, arguments: &[A], patience: Duration) -> Result<Output, Unseen> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unseen::because(format!("{program} is not installed here")),
        _ => Unseen::because(format!("{program} cannot be run: {error}")),
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let outputs = (child.stdout.take().map(|pipe| reader(pipe, MAX_OUTPUT)), {
        child.stderr.take().map(|pipe| reader(pipe, MAX_COMPLAINT))
    });
    let (Some(stdout), Some(stderr)) = outputs else {
        end(&mut child);
        return Err(Unseen::because(format!("{program} has no output")));
    };
    let Some(stdout) = stdout.recv_timeout(patience).ok().flatten() else {
        end(&mut child);
        return Err(Unseen::because(format!("{program} did not answer within {} s", patience.as_secs())));
    };
    if stdout.len() > MAX_OUTPUT {
        end(&mut child);
        return Err(Unseen::because(format!("{program} wrote more than {MAX_OUTPUT} bytes")));
    }
    let status = ended(&mut child, patience).ok_or_else(|| Unseen::because(format!("{program} did not end")))?;
    let stderr = stderr.recv_timeout(patience).ok().flatten();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output { code: status.code(), stdout: text(stdout), stderr: text(stderr.unwrap_or_default()) })
}

/// Reads a pipe to its end, or up to `max` bytes and one, in a thread that a program which never ends cannot hold us by.
fn reader(pipe: impl Read + Send + 'static, max: usize) -> Receiver<Option<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = vec![];
        let read = pipe.take(max as u64 + 1).read_to_end(&mut bytes);
        sender.send(read.is_ok().then_some(bytes))
    });
    receiver
}

/// How it ended, if it does so within `patience`; else it is ended.
fn ended(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let mut waited = Duration::ZERO;
    while waited < patience {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => thread::sleep(TICK),
            Err(_) => break,
        }
        waited = waited.saturating_add(TICK);
    }
    end(child);
    None
}

/// Ends a program that nobody waits for any more.
fn end(child: &mut Child) {
    // It may have ended by itself meanwhile.
    let _ended = child.kill();
    let _reaped = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn output_complaint_and_code_are_told() {
        let output = run("sh", &["-c", "echo seen; echo one >&2; echo two >&2; exit 3"], PATIENCE).expect("it runs");
        assert_eq!((output.code, output.stdout.as_str()), (Some(3), "seen\n"));
        assert_eq!(output.complaint(), "two");
    }

    #[test]
    fn nothing_of_the_environment_is_handed_on() {
        let output = run("env", &[] as &[&str], PATIENCE).expect("it runs");
        let mut names: Vec<String> =
            output.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
        names.sort();
        assert_eq!(names, ["LC_ALL", "PATH"]);
    }

    #[test]
    fn a_program_that_is_not_there_is_not_looked_at() {
        let unseen = run("no-such-program-of-anybody", &[] as &[&str], PATIENCE).err().expect("it is not there");
        assert_eq!(unseen.why, "no-such-program-of-anybody is not installed here");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let unseen = run("sleep", &["1000"], Duration::ZERO).err().expect("nobody waits for it");
        assert_eq!(unseen.why, "sleep did not answer within 0 s");
    }

    #[test]
    fn an_endless_output_is_cut_off() {
        let unseen = run("cat", &["/dev/zero"], PATIENCE).err().expect("it is too long");
        assert!(unseen.why.contains("more than"), "{unseen:?}");
    }
}
