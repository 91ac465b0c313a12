//! What was seen on the host, as plain data without any secret: what the judgements are made from.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::finding::Unseen;
use super::unit::{Credential, Unit};
use crate::audit::tail::Told;
use crate::clock::WallTime;
use crate::config::{Config, Warning};
use crate::key::KeyId;
use crate::peer::standing::Lock;

/// The name of the server's unit.
pub(super) const SERVER: &str = "nightlatch.service";
/// The name of the bot's unit.
pub(super) const BOT: &str = "nightlatch-bot.service";
/// The name of the socket unit for nodes.
pub(super) const TALOS: &str = "nightlatch.socket";
/// The socket that systemd reads a passphrase from.
pub(super) const PASSPHRASE: &str = "nightlatch-passphrase.socket";

/// Everything that was seen.
pub(super) struct Host {
    /// When.
    pub(super) now: WallTime,
    /// The configuration's path.
    pub(super) path: PathBuf,
    /// What it says, or what is wrong with it.
    pub(super) configuration: Result<(Config, Vec<Warning>), String>,
    /// The file itself.
    pub(super) configuration_file: Entry,
    /// The units of nightlatch.
    pub(super) units: Result<Vec<Unit>, Unseen>,
    /// Whether running processes run the installed program, by the unit.
    pub(super) programs: BTreeMap<String, Result<bool, Unseen>>,
    /// The Unix sockets that the units or the configuration name.
    pub(super) sockets: BTreeMap<PathBuf, Entry>,
    /// TCP ports that something on this host listens on.
    pub(super) ports: Result<Vec<u16>, Unseen>,
    /// Whether systemd said since the boot that it cannot filter addresses.
    pub(super) unfiltered: Result<bool, Unseen>,
    /// Users and groups.
    pub(super) accounts: Result<Accounts, Unseen>,
    /// The credentials that the server and the bot are handed.
    pub(super) credentials: Vec<Opened>,
    /// The keys; `None` without a configuration.
    pub(super) keys: Option<Keys>,
    /// Whether something keeps the clock right.
    pub(super) clock_synchronised: Result<bool, Unseen>,
    /// When this program was built, as far as its file tells.
    pub(super) built: Option<WallTime>,
    /// The state directory; `None` without a configuration.
    pub(super) state: Option<State>,
    /// The certificate; `None` without TLS.
    pub(super) certificate: Option<Result<Certificate, Complaint>>,
    /// What the names of `[tls]` are resolved to.
    pub(super) names: BTreeMap<String, Result<Vec<Address>, Complaint>>,
    /// What `nightlatch-bot check --offline` says.
    pub(super) bot: Result<BotCheck, Unseen>,
    /// Whether there is swap.
    pub(super) swaps: Result<bool, Unseen>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nothing.
    Missing,
    /// This.
    There(File),
    /// It could not be seen.
    Unseen(Unseen),
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A Unix socket.
    Socket,
    /// Anything else.
    Other,
}

/// A file, without what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// What it is.
    pub(super) kind: Kind,
    /// Permission bits.
    pub(super) mode: u32,
    /// Its owner.
    pub(super) uid: u32,
    /// Its group.
    pub(super) gid: u32,
    /// When it changed: its contents, or, as by a move in its place, what else is recorded of it.
    pub(super) changed: WallTime,
}

/// Users and groups of this host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Accounts {
    /// Users that were asked for, by their ids: the name and the first group.
    pub(super) users: BTreeMap<u32, (String, u32)>,
    /// Groups that were asked for, by their names: the id and the members.
    pub(super) groups: BTreeMap<String, (u32, Vec<String>)>,
}

impl Accounts {
    /// The id of a user.
    pub(super) fn uid_of(&self, name: &str) -> Option<u32> {
        self.users.iter().find(|(_, (known, _))| known == name).map(|(uid, _)| *uid)
    }

    /// What people call a user.
    pub(super) fn name_of(&self, uid: u32) -> String {
        self.users.get(&uid).map_or_else(|| format!("user id {uid}"), |(name, _)| name.clone())
    }
}

/// A credential, and what came of opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opened {
    /// The unit that gets it.
    pub(super) unit: &'static str,
    /// What the unit says.
    pub(super) credential: Credential,
    /// Its file.
    pub(super) file: Entry,
    /// Whether it opens; an error is what systemd-creds says. Not tried when
    /// it is not there, nor when it is not encrypted and no key.
    pub(super) opens: Option<Result<Result<Contents, String>, Unseen>>,
}

/// What is told about the contents of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    /// How many bytes it has.
    pub(super) length: usize,
    /// The id of the key that it is, where the configuration says that it is a key.
    pub(super) key: Option<KeyId>,
}

/// The keys that the configuration names, and what is recorded about keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    /// In the order of the configuration.
    pub(super) keys: Vec<Key>,
    /// What docs/spec/key-record.md describes.
    pub(super) record: Result<Vec<Recorded>, NoRecord>,
}

/// A key that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// What the configuration calls it.
    pub(super) name: String,
    /// Its id; an error is told where its credential is, or here.
    pub(super) id: Result<KeyId, Option<Complaint>>,
    /// Whether it opens its golden blob; `None` when there is none of it, or when it is a passphrase, which is not at hand.
    pub(super) golden_blob: Option<Result<(), String>>,
}

/// A key of the key record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Its id.
    pub(super) id: KeyId,
    /// What the configuration called it.
    pub(super) name: String,
    /// When a backup was verified last.
    pub(super) verified_at: Option<WallTime>,
}

/// Why there is no key record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoRecord {
    /// Whether there simply is none.
    pub(super) absent: bool,
    /// What to say.
    pub(super) complaint: Complaint,
}

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// What is wrong.
    pub(super) error: String,
    /// What to do.
    pub(super) hint: String,
    /// Whether it may be that only root can look.
    pub(super) unseen: Option<Unseen>,
}

/// The state directory.
pub(super) struct State {
    /// Its path.
    pub(super) path: PathBuf,
    /// The directory itself.
    pub(super) directory: Entry,
    /// The generation of the state, and the lock that it has.
    pub(super) state: Result<(u64, Option<Lock>), Complaint>,
    /// The end of the audit log; `None` when there is none yet.
    pub(super) audit: Option<Result<AuditEnd, Complaint>>,
    /// The process that has the state locked.
    pub(super) holder: Option<u32>,
    /// Room on its file system.
    pub(super) room: Result<Room, Unseen>,
}

/// The end of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AuditEnd {
    /// The number of the last record.
    pub(super) last: u64,
    /// When it was made.
    pub(super) at: Option<WallTime>,
    /// Bytes behind the last whole record.
    pub(super) torn: u64,
    /// Lines near the end that are no records.
    pub(super) damaged: u64,
    /// What it tells of the state.
    pub(super) told: Told,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes for users who are not root.
    pub(super) bytes: u64,
    /// Files that can still be made; `None` where the file system does not count them.
    pub(super) files: Option<u64>,
    /// Whether nothing can be written.
    pub(super) read_only: bool,
}

/// A certificate as nodes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Thing by thing: what it is, what was found, and what to do if a node refuses the server for it.
    pub(super) findings: Vec<(String, String, Option<String>)>,
    /// Whole days until it ends.
    pub(super) days_left: u64,
}

/// An address that a name is resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    /// The address.
    pub(super) address: IpAddr,
    /// Whether it is one of this host.
    pub(super) is_ours: bool,
}

/// What `nightlatch-bot check --offline` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BotCheck {
    /// Its warnings.
    pub(super) warnings: Vec<String>,
    /// Why it failed.
    pub(super) error: Option<String>,
}

impl Host {
    /// A unit by its name.
    pub(super) fn unit(&self, id: &str) -> Option<&Unit> {
        self.units.as_deref().ok()?.iter().find(|unit| unit.id() == id)
    }

    /// What the configuration says, if it can be used.
    pub(super) fn config(&self) -> Option<&Config> {
        self.configuration.as_ref().ok().map(|(config, _)| config)
    }
}
