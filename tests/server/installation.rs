//! An installation of nightlatch in a directory of its own, for tests that run the built program.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::manager::Manager;

/// The two nodes that are listed: one behaves, the other need not.
pub(crate) const CP_1: &str = "12345678-9abc-4def-8123-456789abcdef";
pub(crate) const WORKER_2: &str = "fedcba98-7654-4321-8fed-cba987654321";

/// What `init` and `keygen` make, and a configuration that names it. Nobody is asked: both nodes are allowed.
pub(crate) struct Installation {
    directory: TempDir,
    state_directory: PathBuf,
    address: SocketAddr,
}

impl Installation {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        done(nightlatch().arg("init").arg("--directory").arg(at("init")).arg("--no-backup"));
        // A backup beside the key would be none.
        for name in ["keys", "backup"] {
            fs::DirBuilder::new().mode(0o700).create(at(name)).expect("a directory");
        }
        done(nightlatch().arg("keygen").arg("--out").arg(at("keys/first")).arg("--backup").arg(at("backup/first")));

        let made = fs::read_to_string(at("init/nightlatch.toml")).expect("init writes a configuration");
        let made: toml::Table = made.parse().expect("init writes TOML");
        let (installation, state_directory) = (&made["installation"], &made["state_directory"]);
        let [key, socket] = [at("keys/first"), at("cli.sock")].map(|path| path.display().to_string());
        let text = format!(
            r#"
            installation = {installation}
            state_directory = {state_directory}
            networks = ["127.0.0.0/8"]
            tls = "off"
            key = [{{ name = "first", file = "{key}" }}]
            node = [{{ uuid = "{CP_1}", name = "cp-1" }}, {{ uuid = "{WORKER_2}", name = "worker-2" }}]
            approver = [{{ name = "alice", uid = {} }}]
            channel = [{{ name = "cli", people = "uid", socket = "{socket}" }}]
            rules = {{ seal = "allow", unseal = "allow", approvers = ["alice"], quorum = 1 }}
            "#,
            rustix::process::getuid().as_raw()
        );
        fs::write(at("nightlatch.toml"), text).expect("a configuration");
        let state_directory = state_directory.as_str().expect("a path").into();
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port").local_addr().expect("bound").port();
        Self { directory, state_directory, address: (Ipv4Addr::LOCALHOST, port).into() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.path().join("keys/first")
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.path().join("nightlatch.toml")
    }

    pub(crate) fn state_directory(&self) -> &Path {
        &self.state_directory
    }

    /// The file with the state itself, as `init` made it.
    pub(crate) fn state_file(&self) -> PathBuf {
        let files: Vec<_> = fs::read_dir(&self.state_directory)
            .expect("init makes the state directory")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("state")))
            .filter(|path| path.extension().is_none_or(|extension| extension != "lock"))
            .collect();
        let [file] = files.as_slice() else { panic!("one state file, not {files:?}") };
        file.clone()
    }

    /// What starts the server at `address`.
    pub(crate) fn serve(&self, address: SocketAddr) -> Vec<String> {
        let configuration = self.configuration().display().to_string();
        ["serve", "--config", &configuration, "--listen", &address.to_string()].map(str::to_owned).into()
    }

    fn log(&self) -> PathBuf {
        self.path().join("server.log")
    }

    /// Where [`Self::start`] listens. The port was free a moment ago.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the server, and returns when it serves.
    pub(crate) fn start(&self) -> Server {
        self.start_as(&mut nightlatch(), File::create(self.log()).expect("a log").into())
    }

    /// The same, with a standard error of the caller's choice.
    pub(crate) fn start_with(&self, standard_error: Stdio) -> Server {
        self.start_as(&mut nightlatch(), standard_error)
    }

    /// As [`Self::start`], with no more than this many descriptors.
    pub(crate) fn start_with_descriptors(&self, count: u32) -> Server {
        let script = format!("ulimit -n {count}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-euc", &script, &program()]);
        self.start_as(&mut shell, File::create(self.log()).expect("a log").into())
    }

    /// As [`Self::start`], below a service manager.
    pub(crate) fn start_below(&self, manager: &Manager) -> Server {
        self.start_below_with(manager, &[])
    }

    /// The same, with these variables.
    pub(crate) fn start_below_with(&self, manager: &Manager, variables: &[(&str, &str)]) -> Server {
        let mut program = nightlatch();
        program.env("NOTIFY_SOCKET", manager.path()).envs(variables.iter().copied());
        self.start_as(&mut program, File::create(self.log()).expect("a log").into())
    }

    /// Starts the server on `listener`, as systemd passes it, and returns when `manager` knows that it is ready.
    pub(crate) fn start_on(&self, listener: &TcpListener, manager: &Manager) -> Server {
        self.start_on_both(listener, None, manager)
    }

    /// The same, with a socket for metrics beside it.
    pub(crate) fn start_on_both(&self, talos: &TcpListener, metrics: Option<OwnedFd>, manager: &Manager) -> Server {
        const ACTIVATED: &str = r#"exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ exec "$0" "$@""#;
        let (count, names) = if metrics.is_some() { ("2", "talos:metrics") } else { ("1", "talos") };
        let child = Command::new("sh")
            .args(["-euc", ACTIVATED, env!("CARGO_BIN_EXE_nightlatch"), "serve", "--config"])
            .arg(self.configuration())
            .envs([("LISTEN_FDS", count), ("LISTEN_FDNAMES", names)])
            .env("NOTIFY_SOCKET", manager.path())
            .stdin(OwnedFd::from(talos.try_clone().expect("a copy")))
            .stdout(metrics.map_or_else(Stdio::null, Stdio::from))
            .stderr(File::create(self.log()).expect("a log"))
            .spawn()
            .expect("a shell");
        let server = Server { child, log: self.log() };
        manager.until("READY=1");
        server
    }

    /// Changes the configuration.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.configuration()).expect("ours");
        assert!(text.contains(from), "{from} is not in the configuration");
        fs::write(self.configuration(), text.replace(from, to)).expect("our file");
    }

    /// The audit log as it is now.
    pub(crate) fn audit_log(&self) -> String {
        fs::read_to_string(self.state_directory.join("audit.log")).expect("an audit log")
    }

    /// Asks for what is open; it must be answered.
    pub(crate) fn approvals(&self) {
        done(nightlatch().arg("approvals").arg("--config").arg(self.configuration()));
    }

    fn start_as(&self, program: &mut Command, standard_error: Stdio) -> Server {
        let child = program
            .args(self.serve(self.address))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(standard_error)
            .spawn()
            .expect("the program starts");
        let mut server = Server { child, log: self.log() };
        // 10 s in all: a loop that always ends, and usually at once.
        for _ in 0..500 {
            // It listens once it holds its state.
            if TcpStream::connect(self.address).is_ok() {
                return server;
            }
            let ended = server.child.try_wait().expect("our child");
            assert!(ended.is_none(), "the server ended while it started: {ended:?}");
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not serve");
    }
}

/// A running server; killed when dropped. A test that fails shows what the server said.
pub(crate) struct Server {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Server {
    /// Asks it to stop, and returns when it did.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our child");
    }

    /// Returns when it ended. 20 s in all.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        for _ in 0..1000 {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not stop");
    }

    /// Waits, for 10 s at most, until it reports something with `part` in it: it reports when it has time.
    pub(crate) fn says(&self, part: &str) -> bool {
        (0..500).any(|_| {
            let said = self.said().contains(part);
            if !said {
                thread::sleep(Duration::from_millis(20));
            }
            said
        })
    }

    /// What it reported so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        if thread::panicking() {
            eprintln!("the server said:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// The built program, or the one that `NIGHTLATCH_PROGRAM` names.
#[expect(clippy::disallowed_methods, reason = "a test may be told to try another build")]
fn program() -> String {
    std::env::var("NIGHTLATCH_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_nightlatch").to_owned())
}

fn nightlatch() -> Command {
    Command::new(program())
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
