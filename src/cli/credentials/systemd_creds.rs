//! `systemd-creds`, which encrypts credentials for this host and decrypts them (systemd-creds(1), systemd 250 and later).
//!
//! A secret goes to it and comes from it through a pipe: never as an argument, never as a file.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::secret::SecretContents;

/// Where it is on every system that is supported. Not looked for in PATH: what is found there gets the key.
const PROGRAM: &str = "/usr/bin/systemd-creds";

/// How long it may take. A TPM2 takes a second or two; one that hangs takes for ever.
const LIMIT: Duration = Duration::from_secs(60);

/// Longest secret, in bytes. A pipe takes as many at once (PIPE_BUF, pipe(7)), so that writing never waits.
pub const MAX_SECRET_LEN: usize = 4096;

/// Longest encrypted credential that is taken, in bytes. One of a key has about 250, with TPM2 some hundreds more.
const MAX_ENCRYPTED_LEN: usize = 64 * 1024;

/// Most of what it says that is kept, in bytes.
const MAX_SAID_LEN: usize = 4096;

/// With which key of the host a credential is encrypted: credstore-examples/README.md says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum WithKey {
    /// A secret on this host's file system
    Host,
    /// That secret, and the machine's TPM2
    #[value(name = "host+tpm2")]
    HostAndTpm2,
    /// The machine's TPM2 alone
    Tpm2,
    /// `host+tpm2` where there is a TPM2, else `host`
    Auto,
}

impl WithKey {
    /// The word for `--with-key=`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::HostAndTpm2 => "host+tpm2",
            Self::Tpm2 => "tpm2",
            Self::Auto => "auto",
        }
    }
}

/// Why a credential was not encrypted or decrypted. None of it says anything about the secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not there.
    #[error("there is no {}", .0.display())]
    NotInstalled(PathBuf),
    /// It could not be started, written to or read.
    #[error("cannot run {}", program.display())]
    Io {
        /// The program.
        program: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// It did not end.
    #[error("systemd-creds did not end within {} seconds, and was killed", .0.as_secs())]
    TimedOut(Duration),
    /// It ended with an error.
    #[error("systemd-creds failed ({status}){}", after_colon(said))]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// It gave more than there can be, or nothing.
    #[error("systemd-creds gave {0} bytes, which is not what was asked for")]
    Length(usize),
}

impl Error {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NotInstalled(_) => {
                "it is part of systemd 250 and later; without systemd: nightlatch init --directory DIR"
            }
            Self::TimedOut(_) => "a TPM2 that does not answer may be why: try --with-key=host, or restart the machine",
            Self::Io { .. } | Self::Failed { .. } | Self::Length(_) => {
                "run it as root; see that /var/lib/systemd is there and writable, and with a TPM2 that it answers"
            }
        }
    }
}

fn after_colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// A credential that was encrypted.
#[derive(Debug)]
pub struct Encrypted {
    /// What belongs into the file: base64 in lines.
    pub text: Vec<u8>,
    /// What systemd-creds said about it, in one line; empty if nothing.
    pub said: String,
}

/// The program.
#[derive(Debug, Clone)]
pub struct SystemdCreds {
    program: PathBuf,
    limit: Duration,
}

impl SystemdCreds {
    /// The one of this host.
    pub fn of_the_system() -> Self {
        Self { program: PROGRAM.into(), limit: LIMIT }
    }

    /// Another one, which may take `limit`.
    #[cfg(test)]
    pub fn for_test(program: &Path, limit: Duration) -> Self {
        Self { program: program.into(), limit }
    }

    /// Encrypts `secret`, of at most [`MAX_SECRET_LEN`] bytes, as the credential `name`. What comes out opens on this host
    /// alone, and under this name alone.
    ///
    /// # Errors
    /// [`Error`]
    pub fn encrypt(&self, name: &str, with_key: WithKey, secret: &[u8]) -> Result<Encrypted, Error> {
        if secret.len() > MAX_SECRET_LEN {
            return Err(Error::Length(secret.len()));
        }
        let arguments = [
            "encrypt".to_owned(),
            format!("--with-key={}", with_key.as_str()),
            format!("--name={name}"),
            "-".to_owned(),
            "-".to_owned(),
        ];
        let (out, said) = self.run(arguments.iter().map(OsStr::new), Some(secret), MAX_ENCRYPTED_LEN)?;
        Ok(Encrypted { text: out.expose().to_vec(), said })
    }

    /// Decrypts the credential `name` in the file at `path`, and gives its secret.
    ///
    /// # Errors
    /// [`Error`]
    pub fn decrypt(&self, name: &str, path: &Path) -> Result<SecretContents, Error> {
        let name = format!("--name={name}");
        let arguments = [OsStr::new("decrypt"), OsStr::new(&name), path.as_os_str(), OsStr::new("-")];
        Ok(self.run(arguments.into_iter(), None, MAX_SECRET_LEN)?.0)
    }

    /// Runs it with `input`, and gives what it wrote, of 1 to `max` bytes, and what it said.
    fn run<'a>(
        &self,
        arguments: impl Iterator<Item = &'a OsStr>,
        input: Option<&[u8]>,
        max: usize,
    ) -> Result<(SecretContents, String), Error> {
        let failed = |source| Error::Io { program: self.program.clone(), source };
        let mut child = Command::new(&self.program)
            .args(arguments)
            // Of the variables of whoever runs this, SYSTEMD_CREDENTIAL_SECRET would have it use another key than the host's.
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::NotInstalled(self.program.clone()),
                _ => failed(error),
            })?;
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).map_err(|error| failed(error.into()))?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // Whoever does not read it says why when it ends.
            let _unread = stdin.write_all(input);
        }
        let (send, receive) = mpsc::channel();
        thread::spawn(move || send.send(listen(child, max)));
        match receive.recv_timeout(self.limit) {
            Ok(ended) => judge(ended.map_err(failed)?, max),
            Err(_) => {
                // By a descriptor, so that it cannot be another process that has its number by now.
                let _ended = pidfd_send_signal(&process, Signal::KILL);
                Err(Error::TimedOut(self.limit))
            }
        }
    }
}

/// How it ended, what it wrote, and what it said.
struct Ended {
    status: ExitStatus,
    out: SecretContents,
    said: String,
}

/// Reads what it writes and says, at once, and waits for its end.
fn listen(mut child: Child, max: usize) -> io::Result<Ended> {
    let stderr = child.stderr.take();
    let said = thread::spawn(move || stderr.map(said).unwrap_or_default());
    let out = match child.stdout.take() {
        Some(stdout) => SecretContents::read(stdout, max)?,
        None => SecretContents::read(io::empty(), max)?,
    };
    let said = said.join().unwrap_or_default();
    Ok(Ended { status: child.wait()?, out, said })
}

/// What it says, in one line of printable ASCII.
fn said(stderr: impl Read) -> String {
    let mut bytes = vec![];
    let _rest = stderr.take(MAX_SAID_LEN as u64).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|letter| matches!(letter, ' '..='~')).collect::<String>().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("; ")
}

fn judge(ended: Ended, max: usize) -> Result<(SecretContents, String), Error> {
    let Ended { status, out, said } = ended;
    if !status.success() {
        return Err(Error::Failed { status, said });
    }
    match out.expose().len() {
        length if (1..=max).contains(&length) => Ok((out, said)),
        length => Err(Error::Length(length)),
    }
}

#[cfg(test)]
pub(super) mod tests;
