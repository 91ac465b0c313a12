//! The configuration file, from TOML to values that are checked as a whole.
//!
//! `systemd/nightlatch.toml` is its manual. What is not known is an error, and every mistake is told with the place
//! where it was made and with what to do. No secret stands in this file.

mod file;
mod finding;
mod keys;
mod names;
mod networks;
mod nodes;
mod people;
mod rules;
mod timings;
mod tls;
mod toml_error;
mod top_level;

use std::fs;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use uuid::Uuid;

use self::finding::{Findings, Text};
pub use self::finding::{Problem, Problems, Warning};
pub use self::keys::{PassphraseOrigin, PassphraseSource};
pub use self::tls::{Certificate, Place, Tls};
use crate::peer::admission::UuidPolicy;
use crate::request::NodeUuid;

/// Largest file that is read, in bytes.
pub const MAX_FILE_LEN: usize = 1024 * 1024;

/// Where the service looks for the file.
pub const DEFAULT_PATH: &str = "/etc/nightlatch/nightlatch.toml";

/// Where the service keeps its state when the file does not say.
pub const DEFAULT_STATE_DIRECTORY: &str = "/var/lib/nightlatch";

/// What the file says. Each list is free of duplicates, and every name that refers to an entry of another list is
/// there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The installation that the state belongs to. Never the nil UUID.
    pub installation: Uuid,
    /// Absolute path of the directory with state and audit log.
    pub state_directory: PathBuf,
    /// Networks from which nodes may call, without host bits. Empty: nobody may.
    pub networks: Vec<IpNet>,
    /// Which node identifiers are taken.
    pub uuid_policy: UuidPolicy,
    /// Encryption of the nodes' connections.
    pub tls: Tls,
    /// Sockets for a start by hand.
    pub listen: Listen,
    /// The keys, at least one; exactly one of them seals.
    pub keys: Vec<Key>,
    /// Rules for everything.
    pub rules: Rules,
    /// Clusters, in the order of the file.
    pub clusters: Vec<Cluster>,
    /// Nodes, in the order of the file: at most 4,096.
    pub nodes: Vec<Node>,
    /// How nodes that are not listed may ask to be; `None` when they are refused.
    pub enrolment: Option<Enrolment>,
    /// The people who may answer: at most 256.
    pub approvers: Vec<Approver>,
    /// The processes through which they answer: at most 16.
    pub channels: Vec<Channel>,
    /// How long things take and last.
    pub timings: Timings,
    /// The process ends when nothing happened for this long, and its sockets are systemd's: 1 min to 24 h. `None`: never.
    pub exit_after_idle: Option<Duration>,
    /// What goes to the journal.
    pub log: Log,
}

/// Sockets that are opened when systemd passes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// For the protocol of the nodes.
    pub talos: Vec<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        Self { talos: vec![(Ipv4Addr::LOCALHOST, 4050).into()] }
    }
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What records call it.
    pub name: Box<str>,
    /// Where it comes from.
    pub source: KeySource,
    /// Whether new blobs are sealed with it; the others only open.
    pub seals: bool,
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In the systemd credential of this name.
    Credential(Box<str>),
    /// In the file at this absolute path.
    File(PathBuf),
    /// There are none: they are derived from a passphrase.
    Passphrase(PassphraseSource),
}

/// What one layer of the file says about requests; what it leaves out, the next layer decides (node, cluster, default).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// What is done about Seal.
    pub seal: Option<Action>,
    /// What is done about Unseal.
    pub unseal: Option<Action>,
    /// What becomes of calls from other addresses than the listed ones.
    pub other_address: Option<OtherAddress>,
    /// Names of those who may vote.
    pub approvers: Option<Vec<Box<str>>>,
    /// How many of them must: at least 1.
    pub quorum: Option<usize>,
    /// Through how many channels: at least 1.
    pub from_channels: Option<usize>,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Refuse at once.
    Deny,
    /// Release under a grant that exists, or refuse at once.
    Granted,
    /// Release, and tell the channels.
    Allow,
    /// Ask the approvers.
    Ask,
}

/// What becomes of a node that lists addresses and calls from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtherAddress {
    /// It is refused, and the channels are told.
    Deny,
    /// It gets an ask of its own.
    Ask,
}

/// A group of nodes with rules of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// What nodes refer to.
    pub name: Box<str>,
    /// Its rules.
    pub rules: Rules,
}

/// A node that may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The identifier it claims.
    pub uuid: NodeUuid,
    /// What people call it.
    pub name: Box<str>,
    /// The name of its cluster.
    pub cluster: Option<Box<str>>,
    /// Where it calls from. Empty: anywhere within the allowed networks, each address being a peer of its own.
    pub addresses: Vec<IpNet>,
    /// Identifiers whose blobs it may open as well.
    pub formerly: Vec<NodeUuid>,
    /// Whether its blobs open only from the address that they were sealed for.
    pub bind_address: bool,
    /// Its own rules.
    pub rules: Rules,
}

/// How nodes that are not listed may ask to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// From where.
    pub networks: Vec<IpNet>,
    /// The cluster that they will belong to.
    pub cluster: Option<Box<str>>,
}

/// A person who may answer, known by one or both of the ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// What records and prompts call them.
    pub name: Box<str>,
    /// Their user id on this host.
    pub uid: Option<u32>,
    /// Their numeric Telegram id.
    pub telegram_id: Option<i64>,
}

/// A process through which people answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name: systemd passes its socket as `approval-<name>`.
    pub name: Box<str>,
    /// Who speaks through it.
    pub people: People,
    /// Absolute path of its socket, for a start by hand and for `nightlatch approvals`.
    pub socket: Option<PathBuf>,
}

impl Channel {
    /// The name under which systemd passes its socket.
    #[must_use]
    pub fn descriptor_name(&self) -> String {
        format!("approval-{}", self.name)
    }
}

/// Who speaks through a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum People {
    /// The person is the user of the process that connects.
    Uid,
    /// The process speaks for people by their Telegram ids.
    Telegram {
        /// The only user whose processes may connect.
        uid: u32,
    },
}

/// How long things take and last. `systemd/nightlatch.toml` has the ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// How long a call is held while people are asked.
    pub hold: Duration,
    /// How much of the client's own deadline a held call leaves it.
    pub release_margin: Duration,
    /// How long a grant lives.
    pub lease: Duration,
    /// The longest grant that an approver may give.
    pub lease_max: Duration,
    /// Releases under one grant.
    pub uses: u32,
    /// How long a denial lasts.
    pub deny_for: Duration,
    /// How long a block lasts.
    pub block_for: Duration,
    /// How long a node is kept polling at once by a text that changes.
    pub poll_for: Duration,
    /// How long an ask lives after the last call for it.
    pub ask_ttl: Duration,
    /// How long an approved Seal waits to be collected.
    pub seal_grant_for: Duration,
    /// Releases under such a grant.
    pub seal_grant_uses: u32,
    /// How long a grant lives that is given ahead.
    pub grant_for: Duration,
    /// The longest that an approver may give ahead.
    pub grant_max: Duration,
    /// Releases under such a grant, for each node.
    pub grant_uses: u32,
}

/// What goes to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least severe event that is written.
    pub level: LogLevel,
    /// The same, for events of the libraries in use.
    pub libraries: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info, libraries: LogLevel::Warn }
    }
}

/// Severities, and none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What stops the service, or a release.
    Error,
    /// What someone should look at.
    Warn,
    /// What happened.
    Info,
    /// What helps to find out why.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word for it in the configuration and in directives of `tracing`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file says something that cannot be meant.
    #[error("{0}")]
    Invalid(Problems),
    /// The file is not text.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// There is something else at that path: a directory, a pipe.
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than [`MAX_FILE_LEN`].
    #[error("{} is larger than 1 MiB", .0.display())]
    TooLarge(PathBuf),
    /// Any user may change the file, and with it who may approve.
    #[error("{} may be changed by any user: run chmod o-w on it", .0.display())]
    WritableByAnyone(PathBuf),
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`Error`], whose text shows each mistake with its place and what to do.
    pub fn load(path: &Path) -> Result<(Self, Vec<Warning>), Error> {
        let read = |source| Error::Read { path: path.into(), source };
        // Opening a pipe would otherwise wait for somebody who writes into it.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        if !metadata.is_file() {
            return Err(Error::NotAFile(path.into()));
        }
        if metadata.permissions().mode() & 0o002 != 0 {
            return Err(Error::WritableByAnyone(path.into()));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_LEN as u64 + 1).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() > MAX_FILE_LEN {
            return Err(Error::TooLarge(path.into()));
        }
        let text = String::from_utf8(bytes).map_err(|_| Error::NotText(path.into()))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Checks `text`, which messages call `name`.
    ///
    /// # Errors
    /// [`Error::Invalid`], or [`Error::TooLarge`] past [`MAX_FILE_LEN`].
    pub fn parse(text: &str, name: &str) -> Result<(Self, Vec<Warning>), Error> {
        if text.len() > MAX_FILE_LEN {
            return Err(Error::TooLarge(name.into()));
        }
        let mut findings = Findings::new(Text { name, text });
        let checked = match toml::from_str(text) {
            Ok(file) => top_level::check(file, &mut findings),
            Err(error) => {
                toml_error::report(&error, &mut findings);
                None
            }
        };
        findings.conclude(checked)
    }
}

#[cfg(test)]
mod tests;
