//! An installation of the server in a directory of its own, and the blobs that its nodes had sealed before.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use nightlatch::daemon::open::AUDIT_LOG;
use nightlatch::state::Store;
use nightlatch_benches::{MAX_NODES, blob, key, node_tables};
use tempfile::TempDir;
use uuid::Uuid;

use crate::phone;
use crate::process::{self, Process};
use crate::tls::{self, NAME};

const INSTALLATION: Uuid = Uuid::from_u128(0x9f8b_7c3e_2f4d_4a1b_8c6e_5d0f_9a7b_3c21);

/// Where events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// Nowhere: the level is `off`.
    Nowhere,
    /// Standard error, which is a file.
    File,
    /// The journal: a socket that somebody reads.
    Journal,
}

/// What differs between servers that are compared.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Nodes that are listed.
    pub nodes: usize,
    /// The rule for Unseal.
    pub rule: &'static str,
    /// Whether nodes speak TLS.
    pub tls: bool,
    /// Whether the key is a passphrase.
    pub passphrase: bool,
    /// Where events go.
    pub sink: Sink,
    /// Chats through which people answer; 0: Alice answers at the host.
    pub chats: usize,
}

/// The server as most comparisons have it.
pub const USUAL: Setting =
    Setting { nodes: MAX_NODES, rule: "allow", tls: false, passphrase: false, sink: Sink::File, chats: 0 };

/// The installation.
#[derive(Debug)]
pub struct House {
    directory: TempDir,
    server: PathBuf,
    /// What each node had sealed under the key of the credential.
    pub blobs: Arc<[Vec<u8>]>,
    journal: UnixDatagram,
    /// The lines of the configuration for the passphrase, if the server can make one.
    passphrase: Option<String>,
}

/// Has the server make a passphrase in the file `out`; gives what belongs into the configuration.
fn passphrase(server: &Path, out: &Path) -> Result<Option<String>> {
    let made = Command::new(server).args(["keygen", "--passphrase", "--out"]).arg(out).output()?;
    let said = String::from_utf8_lossy(&made.stdout);
    let line = |name: &str| said.lines().map(str::trim).find(|line| line.starts_with(name)).map(str::to_owned);
    let Some((salt, key_id)) = line("salt = ").zip(line("key_id = ")) else { return Ok(None) };
    Ok(made.status.success().then(|| format!("{salt}, {key_id}")))
}

/// Takes away what others may do with a file.
pub fn only_for_us(path: &Path) -> Result<()> {
    Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?)
}

impl House {
    /// Prepares everything in a new directory below `directory`; the server is the program `server`.
    pub fn new(directory: &Path, server: PathBuf) -> Result<Self> {
        let directory = TempDir::with_prefix_in("bench-", directory.canonicalize()?)?;
        let at = |name: &str| directory.path().join(name);
        let key = key(1);
        fs::create_dir(at("credentials"))?;
        fs::write(at("credentials/key"), key.expose())?;
        only_for_us(&at("credentials/key"))?;
        let passphrase = passphrase(&server, &at("credentials/passphrase"))?;
        tls::make(directory.path())?;
        drop(Store::create(&at("state"), INSTALLATION)?);
        fs::create_dir(at("journal"))?;
        let journal = UnixDatagram::bind(at("journal/socket"))?;
        let reader = journal.try_clone()?;
        // It ends with the process: nothing that it holds outlives that.
        std::thread::spawn(move || while reader.recv(&mut [0; 4096]).is_ok() {});
        let blobs = (0..MAX_NODES).map(|node| Ok(blob(&key, node)?.as_bytes().to_vec())).collect::<Result<_>>()?;
        Ok(Self { directory, server, blobs, journal, passphrase })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The socket through which people answer.
    pub fn socket(&self) -> PathBuf {
        self.path().join("cli.sock")
    }

    /// Whether the server knows what `setting` asks for, and this machine can do it.
    pub fn knows(&self, setting: &Setting) -> Result<bool> {
        if setting.passphrase && self.passphrase.is_none() {
            return Ok(false);
        }
        let configuration = self.configure(setting)?;
        let mut check = Command::new(&self.server);
        check
            .arg("check")
            .arg("--config")
            .arg(configuration)
            .env("CREDENTIALS_DIRECTORY", self.path().join("credentials"));
        if !check.output()?.status.success() {
            return Ok(false);
        }
        let mut script = in_a_journal(self.path(), Path::new("true"));
        Ok(setting.sink != Sink::Journal || script.output().is_ok_and(|output| output.status.success()))
    }

    /// Starts the server with an audit log of its own.
    pub fn start(&self, setting: &Setting) -> Result<Process> {
        let port = process::free_port()?;
        let mut command = match setting.sink {
            Sink::Journal => in_a_journal(self.path(), &self.server),
            Sink::Nowhere | Sink::File => Command::new(&self.server),
        };
        self.serve(&mut command, setting, port)?;
        let log = process::log(self.path())?;
        if setting.sink == Sink::Journal {
            // How systemd says that standard error is a stream to the journal (systemd.exec(5)).
            let stat = log.metadata()?;
            command.env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev(), stat.st_ino()));
        }
        let process = Process::start(&mut command, port, log);
        process.with_context(|| fs::read_to_string(self.path().join("server.log")).unwrap_or_default())
    }

    /// Starts the server under strace(1), which counts into the file `syncs`.
    pub fn start_traced(&self, setting: &Setting) -> Result<Process> {
        let port = process::free_port()?;
        let mut command = Command::new("strace");
        command.args(["--follow-forks", "--seccomp-bpf", "--summary-only", "--trace=fdatasync", "--output"]);
        command.arg(self.path().join("syncs")).arg(&self.server);
        self.serve(&mut command, setting, port)?;
        let mut process = Process::start(&mut command, port, process::log(self.path())?)?;
        process.measure_child()?;
        Ok(process)
    }

    fn serve(&self, command: &mut Command, setting: &Setting, port: u16) -> Result<()> {
        let configuration = self.configure(setting)?;
        let log = self.path().join("state").join(AUDIT_LOG);
        if log.exists() {
            fs::remove_file(log)?;
        }
        command.arg("serve").arg("--config").arg(configuration).arg("--listen").arg(format!("127.0.0.1:{port}"));
        command.env("CREDENTIALS_DIRECTORY", self.path().join("credentials")).env_remove("JOURNAL_STREAM");
        Ok(())
    }

    fn configure(&self, setting: &Setting) -> Result<PathBuf> {
        let Setting { nodes, rule, tls, passphrase, sink, chats } = *setting;
        ensure!(nodes <= MAX_NODES, "no more than {MAX_NODES} nodes are listed");
        let at = |name: &str| self.path().join(name).display().to_string();
        let uid = rustix::process::getuid().as_raw();
        let tls = if tls {
            let [certificate, key] = [at("certificate.pem"), at("key.pem")];
            format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\", names = [\"{NAME}\"] }}")
        } else {
            "tls = \"off\"".to_owned()
        };
        let key = if passphrase {
            let made = self.passphrase.as_ref().context("this server makes no passphrase")?;
            format!("{{ name = \"first\", source = \"passphrase\", {made}, credential = \"passphrase\" }}")
        } else {
            "{ name = \"first\", credential = \"key\" }".to_owned()
        };
        let mut tables = String::new();
        node_tables(&mut tables, nodes);
        let people = if chats == 0 {
            format!(
                "approver = [{{ name = \"alice\", uid = {uid} }}]\n\
                 channel = [{{ name = \"cli\", people = \"uid\", socket = \"{}\" }}]\n",
                at("cli.sock")
            )
        } else {
            let (people, nodes) = phone::people_and_nodes(uid, &self.path().join("telegram.sock"), chats, &tables);
            tables = nodes;
            people
        };
        let level = if sink == Sink::Nowhere { "off" } else { "info" };
        let mut text = format!(
            "installation = \"{INSTALLATION}\"\nstate_directory = \"{}\"\nnetworks = [\"127.0.0.0/8\"]\n{tls}\nkey = [{key}]\n\
             {people}\
             rules = {{ seal = \"allow\", unseal = \"{rule}\" }}\ntimings = {{ hold = \"8s\", release_margin = \"1s\", uses = 1024 }}\n\
             log = {{ level = \"{level}\" }}\n",
            at("state"),
        );
        text.push_str(&tables);
        let path = self.path().join("nightlatch.toml");
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Starts the bot, which is to speak with the Bot API at `api` for so many chats.
    pub fn start_bot(&self, program: &Path, api: SocketAddr, chats: usize) -> Result<Process> {
        let (configuration, token) = (self.path().join("bot.toml"), self.path().join("token"));
        fs::write(&configuration, phone::configuration(self.path(), api, chats))?;
        fs::write(&token, "123456789:not-a-token-of-anybody-at-all-12345")?;
        only_for_us(&token)?;
        fs::create_dir_all(self.path().join("bot"))?;
        fs::set_permissions(self.path().join("bot"), Permissions::from_mode(0o700))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(configuration).arg("run");
        Process::start_unheard(&mut command, fs::File::create(self.path().join("bot.log"))?)
    }

    /// Starts the echo.
    pub fn start_echo(&self, tls: bool, threads: bool) -> Result<Process> {
        let port = process::free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("echo").arg("--port").arg(port.to_string());
        if tls {
            command.arg("--tls").arg(self.path());
        }
        if threads {
            command.arg("--threads");
        }
        Process::start(&mut command, port, process::log(self.path())?)
    }
}

/// `program` where the journal's socket is ours. Nothing of this is seen outside of the process.
fn in_a_journal(directory: &Path, program: &Path) -> Command {
    let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal \
                  && mount --bind \"$0\" /run/systemd/journal && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", script]).arg(directory.join("journal")).arg(program);
    command
}

impl Drop for House {
    fn drop(&mut self) {
        // The thread that reads ends with what it waits for.
        let _ended = self.journal.shutdown(std::net::Shutdown::Both);
    }
}
