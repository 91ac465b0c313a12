//! A trial installation, driven as its owner would: by the built program, with everything kept that it says.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::certificate::{self, Certificate};

pub const CP_1: &str = "12345678-9abc-4def-8123-456789abcdef";
pub const WORKER_2: &str = "fedcba98-7654-4321-8fed-cba987654321";

/// Where a test keeps what it hands in. Nothing that nightlatch writes for others to read is there.
const INPUTS: &str = "inputs";

/// What one command said.
pub struct Said {
    pub name: String,
    pub stdout: Vec<u8>,
    output: Output,
}

impl Said {
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    pub fn succeeded(&self) -> bool {
        self.output.status.success()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

/// A running program, with what it says in a file; killed when it is dropped.
struct Running {
    child: Child,
}

impl Running {
    fn start(command: &mut Command, log: &Path) -> Self {
        let file = |name: &str| File::create(log.with_extension(name)).expect("a log");
        let child = command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr")).spawn();
        Self { child: child.expect("the program starts") }
    }

    /// Asks it to end, and waits until it did.
    fn stop(mut self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
        poll("the program ends", || self.child.try_wait().expect("our child"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub struct Trial {
    directory: tempfile::TempDir,
    address: String,
    pub certificate: Certificate,
    server: Option<Running>,
    watchers: Vec<Running>,
    said: Vec<(String, Vec<u8>)>,
    files: usize,
    starts: usize,
}

/// Random bytes, so that no form of them stands anywhere by accident.
pub fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).expect("random bytes");
    bytes
}

/// Looks again and again for up to 20 s, and usually once.
fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_000 {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("in vain: {what}");
}

impl Trial {
    /// Makes keys and a configuration with the program's own commands.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["keys", "backup", INPUTS] {
            DirBuilder::new().mode(0o700).create(directory.path().join(name)).expect("a directory");
        }
        let mut trial = Self {
            directory,
            address: String::new(),
            // A newline in it would be an accident.
            certificate: certificate::make(STANDARD.encode(random(24)).into_bytes()),
            server: None,
            watchers: vec![],
            said: vec![],
            files: 0,
            starts: 0,
        };
        let [made, key, backup, second] =
            ["trial", "backup/first", "backup/second", "keys/second"].map(|name| trial.path(name));
        let uid = format!("alice={}", rustix::process::getuid().as_raw());
        let nodes = [format!("{CP_1}=cp-1@127.0.0.1"), format!("{WORKER_2}=worker-2@127.0.0.1")];
        let init: &[&str] = &[
            "init",
            "--directory",
            &made,
            "--backup",
            &key,
            "--network",
            "127.0.0.0/8",
            "--approver",
            &uid,
            "--node",
            &nodes[0],
            "--node",
            &nodes[1],
        ];
        let keygen: &[&str] = &["keygen", "--out", &second, "--backup", &backup];
        for (arguments, code) in [(init, 0), (init, 73), (keygen, 0), (keygen, 73)] {
            let said = trial.run(arguments, b"");
            assert_eq!(said.code(), Some(code), "{}: {}", said.name, said.stderr());
        }
        // The key of another installation is as secret. Without root it is not even looked at.
        let config = trial.path("trial/nightlatch.toml");
        let verify = ["credentials", "verify", "--config", &config, "--backup", &backup];
        let said = trial.run(&verify, b"");
        assert_eq!(said.code(), Some(if rustix::process::geteuid().is_root() { 65 } else { 77 }), "{}", said.stderr());
        trial.configure();
        trial
    }

    /// Inside TLS, with the private key encrypted, and with everything that any library logs.
    fn configure(&self) {
        let Certificate { root, chain, key, passphrase, .. } = &self.certificate;
        let files = [
            ("root.pem", root.as_bytes()),
            ("chain.pem", chain.as_bytes()),
            ("key.pem", key.as_bytes()),
            ("key-passphrase", passphrase),
        ];
        for (name, bytes) in files {
            let path = self.directory.path().join("keys").join(name);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("a new file");
            file.write_all(bytes).expect("written");
        }
        let configuration = self.path("trial/nightlatch.toml");
        let made = self.text("trial/nightlatch.toml");
        assert!(made.contains("\ntls = \"off\"\n"), "{made}");
        let places = ["chain.pem", "key.pem", "key-passphrase"].map(|name| self.path(&format!("keys/{name}")));
        let more = format!(
            "\n[log]\nlibraries = \"trace\"\n[tls]\ncertificate = \"{}\"\nkey = \"{}\"\nkey_passphrase_file = \"{}\"\n\
             names = [\"127.0.0.1\"]\n",
            places[0], places[1], places[2]
        );
        fs::write(configuration, made.replace("\ntls = \"off\"\n", "\n") + &more).expect("written");
    }

    pub fn start(&mut self) {
        let configuration = self.path("trial/nightlatch.toml");
        self.starts += 1;
        let run = if self.starts == 1 { String::new() } else { format!("-{}", self.starts) };
        let [serving, told] = ["server", "server.stderr"].map(|name| name.replace("server", &format!("server{run}")));
        let log = self.directory.path().join(serving);
        let mut serve = nightlatch();
        serve.args(["serve", "--log-level", "trace", "--listen", "127.0.0.1:0", "--config", &configuration]);
        let mut server = Running::start(&mut serve, &log);
        self.address = poll("the server listens", || {
            assert!(server.child.try_wait().expect("our child").is_none(), "{}", self.text(&told));
            let text = self.text(&told);
            // The address ends with the line; a colour may follow the field's name.
            let line = text.lines().find(|line| line.contains("listening") && line.contains("127.0.0.1:"))?;
            let (_, port) = line.rsplit_once("127.0.0.1:")?;
            let digits = port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len());
            text.ends_with('\n').then(|| format!("127.0.0.1:{}", &port[..digits]))
        });
        self.server = Some(server);
        for more in [&[][..], &["--json"]] {
            let log = self.directory.path().join(format!("watch{}{run}", more.concat()));
            let mut watch = nightlatch();
            watch.args(["approvals", "watch", "--config", &configuration]).args(more);
            self.watchers.push(Running::start(&mut watch, &log));
        }
        poll("somebody watches", || {
            let logs = ["watch", "watch--json"].map(|name| self.text(&format!("{name}{run}.stdout")));
            logs.iter().all(|log| !log.is_empty()).then_some(())
        });
    }

    /// One call, as a node makes it.
    pub fn call(&mut self, arguments: &[&str], node: &str, data: &[u8]) -> Said {
        let (endpoint, roots) = (format!("https://{}", self.address), self.path("keys/root.pem"));
        let arguments = [arguments, &["--endpoint", &endpoint, "--roots", &roots, "--node", node]].concat();
        self.run(&arguments, data)
    }

    /// A call that a person approves.
    pub fn approve(&mut self, arguments: &[&str], node: &str, data: &[u8]) -> Said {
        self.answer("approve", arguments, node, data)
    }

    /// A call that a person answers so.
    pub fn answer(&mut self, answer: &str, arguments: &[&str], node: &str, data: &[u8]) -> Said {
        let (endpoint, roots) = (format!("https://{}", self.address), self.path("keys/root.pem"));
        let mut call = spawn(&[arguments, &["--endpoint", &endpoint, "--roots", &roots, "--node", node]].concat());
        call.stdin.take().expect("a pipe").write_all(data).expect("read");
        let code = poll("somebody is asked", || {
            self.approvals(&["list"]);
            let list: Value = serde_json::from_slice(&self.approvals(&["list", "--json"]).stdout).expect("JSON");
            let asks = list["asks"].as_array().expect("asks");
            let ask = asks.iter().find(|ask| ask.to_string().contains(node))?;
            Some(ask["code"].as_str().expect("a code").to_owned())
        });
        let said = self.approvals(&[answer, &code, "--json"]);
        assert!(said.succeeded(), "{}", said.stderr());
        self.keep(arguments, call.wait_with_output().expect("our child"))
    }

    pub fn approvals(&mut self, arguments: &[&str]) -> Said {
        self.person(&[&["approvals"], arguments].concat())
    }

    /// What a person does on the host, and what works.
    pub fn does(&mut self, arguments: &[&str]) {
        let said = self.person(arguments);
        assert!(said.succeeded(), "{}: {}", said.name, said.stderr());
    }

    fn person(&mut self, arguments: &[&str]) -> Said {
        let configuration = self.path("trial/nightlatch.toml");
        self.run(&[arguments, &["--config", &configuration]].concat(), b"")
    }

    /// Opens the blob without the server, and fails to in several ways.
    pub fn recover(&mut self, secret: &[u8], blob: &[u8]) {
        let passphrase = STANDARD.encode(secret);
        let token =
            |data: &str| format!(r#"{{"type":"sideroKMS","keyslots":["1"],"UserData":{{"sealedData":"{data}"}}}}"#);
        let key = self.path("trial/nightlatch.key");
        let good = [
            ["--blob".to_owned(), self.file(blob)],
            ["--token".to_owned(), self.file(token(&STANDARD.encode(blob)).as_bytes())],
        ];
        for [option, file] in &good {
            let said = self.run(&["recover", "--key", &key, "--node", CP_1, option, file], b"");
            assert!(said.stdout == passphrase.as_bytes(), "another passphrase: {}", said.stderr());
        }
        let [blob, second] = [good[0][1].clone(), self.path("keys/second")];
        // The wrong key, the wrong node, files in each other's place, and a passphrase where a token belongs.
        let quoted = self.file(format!("\"{passphrase}\"").as_bytes());
        let data = self.file(token(&passphrase).as_bytes());
        let kind = self.file(format!(r#"{{"type":"{passphrase}","UserData":{{"sealedData":""}}}}"#).as_bytes());
        let number = self.file(format!(r#"{{"type":"sideroKMS","UserData":"{passphrase}"}}"#).as_bytes());
        let bare = self.file(passphrase.as_bytes());
        for arguments in [
            ["--key", &second, "--node", CP_1, "--blob", &blob],
            ["--key", &key, "--node", WORKER_2, "--blob", &blob],
            ["--key", &key, "--node", CP_1, "--blob", &second],
            ["--key", &blob, "--node", CP_1, "--blob", &blob],
            ["--key", &key, "--node", CP_1, "--token", &blob],
            ["--key", &key, "--node", CP_1, "--token", &quoted],
            ["--key", &key, "--node", CP_1, "--token", &data],
            ["--key", &key, "--node", CP_1, "--token", &kind],
            ["--key", &key, "--node", CP_1, "--token", &number],
            ["--key", &key, "--node", CP_1, "--token", &bare],
        ] {
            let said = self.run(&[&["recover"], arguments.as_slice()].concat(), b"");
            assert!(!said.succeeded() && said.stdout.is_empty(), "{arguments:?}: {}", said.stderr());
        }
    }

    /// Makes a passphrase, and has it seal from the next start on.
    pub fn seal_under_a_passphrase(&mut self) {
        let out = self.path("keys/passphrase");
        let said = self.run(&["keygen", "--passphrase", "--out", &out], b"");
        assert!(said.succeeded(), "{}", said.stderr());
        let printed = String::from_utf8(said.stdout).expect("text");
        let table = printed.split_once("[[key]]").expect("a table").1.split_once("\n\n").expect("its end").0;
        let table = table.replace("credential = \"nightlatch-passphrase\"", &format!("file = \"{out}\""));
        let path = self.path("trial/nightlatch.toml");
        let text = fs::read_to_string(&path).expect("made");
        let text = text.replacen("[[key]]", &format!("[[key]]{table}\nseals = true\n\n[[key]]\nseals = false"), 1);
        fs::write(&path, text).expect("written");
        // What somebody mistyped, or put into the wrong file, is as secret.
        let mistyped = [&self.read("keys/passphrase")[..22], b"#\n"].concat();
        for wrong in [mistyped, [&self.read("keys/passphrase")[..], b"\xc3\xa4\n"].concat(), random(32)] {
            let right = self.read("keys/passphrase");
            fs::write(&out, wrong).expect("written");
            let said = self.run(&["serve", "--log-level", "trace", "--config", &path, "--listen", "127.0.0.1:0"], b"");
            assert_eq!(said.code(), Some(65), "{}", said.stderr());
            fs::write(&out, right).expect("written");
        }
    }

    /// Opens a blob with the passphrase and without the server, and fails to in several ways.
    pub fn recover_from_the_passphrase(&mut self, secret: &[u8], blob: &[u8]) {
        let [right, key] = ["keys/passphrase", "trial/nightlatch.key"].map(|name| self.path(name));
        let mistyped = [&self.read("keys/passphrase")[..22], b"#\n"].concat();
        let [blob, mistyped] = [blob, &mistyped].map(|bytes| self.file(bytes));
        let good = self.run(&["recover", "--passphrase-file", &right, "--node", CP_1, "--blob", &blob], b"");
        assert!(good.stdout == STANDARD.encode(secret).as_bytes(), "another passphrase: {}", good.stderr());
        for arguments in [
            ["--passphrase-file", &mistyped, "--node", CP_1, "--blob", &blob],
            ["--passphrase-file", &right, "--node", WORKER_2, "--blob", &blob],
            ["--passphrase-file", &blob, "--node", CP_1, "--blob", &blob],
            ["--passphrase-file", &right, "--node", CP_1, "--blob", &right],
            ["--passphrase-file", &right, "--node", CP_1, "--token", &right],
            ["--key", &right, "--node", CP_1, "--blob", &blob],
            ["--key", &key, "--node", CP_1, "--blob", &blob],
        ] {
            let said = self.run(&[&["recover"], arguments.as_slice()].concat(), b"");
            assert!(!said.succeeded() && said.stdout.is_empty(), "{arguments:?}: {}", said.stderr());
        }
    }

    /// Looks at everything that can be looked at while the server runs.
    pub fn look(&mut self) {
        let configuration = self.path("trial/nightlatch.toml");
        let roots = self.path("keys/root.pem");
        for arguments in [
            &[][..],
            &["--explain", "cp-1", "127.0.0.1"],
            &["--explain", "worker-2", "192.0.2.1"],
            &["--tls", "--roots", &roots],
        ] {
            let said = self.run(&[&["check", "--config", &configuration], arguments].concat(), b"");
            assert!(said.succeeded(), "{}", said.stderr());
        }
        for more in [&[][..], &["--json"]] {
            // What it thinks of the host that the test runs on is not the point.
            self.run(&[&["doctor", "--config", &configuration, "--roots", &roots], more].concat(), b"");
        }
        for more in [&[][..], &["--json"]] {
            let said = self.run(&[&["status", "--config", &configuration], more].concat(), b"");
            assert!(said.succeeded(), "{}", said.stderr());
        }
        let server = self.server.as_ref().expect("it runs").child.id();
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{server}/{file}")).expect("our child");
            assert!(!bytes.is_empty(), "{file}");
            self.said.push((format!("{file} of serve"), bytes));
        }
    }

    pub fn stop(&mut self) {
        self.server.take().expect("it runs").stop(Signal::TERM);
        self.watchers.drain(..).for_each(|watcher| watcher.stop(Signal::INT));
    }

    /// What was said, and every file that was written, but for keys and for what a test handed in.
    pub fn everything(&self) -> Vec<(String, Vec<u8>)> {
        let mut everything = self.said.clone();
        let mut directories = vec![self.directory.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                let name = path.strip_prefix(self.directory.path()).expect("below it").display().to_string();
                match name.as_str() {
                    "keys" | "backup" | INPUTS | "trial/nightlatch.key" => {}
                    _ if path.is_dir() => directories.push(path),
                    _ if path.is_file() => everything.push((name, fs::read(&path).expect("our file"))),
                    _ => {}
                }
            }
        }
        everything
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("our file")
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.read(name)).into_owned()
    }

    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// A file that a command is given.
    fn file(&mut self, bytes: &[u8]) -> String {
        self.files += 1;
        let path: PathBuf = self.directory.path().join(INPUTS).join(self.files.to_string());
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a new file");
        file.write_all(bytes).expect("written");
        path.display().to_string()
    }

    fn run(&mut self, arguments: &[&str], data: &[u8]) -> Said {
        let mut child = spawn(arguments);
        // A command that refuses its arguments reads nothing.
        let _closed = child.stdin.take().expect("a pipe").write_all(data);
        self.keep(arguments, child.wait_with_output().expect("our child"))
    }

    fn keep(&mut self, arguments: &[&str], output: Output) -> Said {
        let name = arguments.join(" ");
        self.said.push((format!("standard error of {name}"), output.stderr.clone()));
        // It is their purpose.
        if !["seal", "unseal", "recover"].contains(&arguments[0]) {
            self.said.push((format!("standard output of {name}"), output.stdout.clone()));
        }
        Said { name, stdout: output.stdout.clone(), output }
    }
}

fn nightlatch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    // Not into the journal of whoever runs the tests.
    command.env_remove("JOURNAL_STREAM").env("RUST_BACKTRACE", "1");
    command
}

fn spawn(arguments: &[&str]) -> Child {
    let mut command = nightlatch();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}
