//! What is remembered beyond a restart: denials and blocks, who approved a node last, the lock, what was approved ahead,
//! and the nodes that people listed.

use sha2::{Digest, Sha256};

use super::{ListedNode, Node, Origin};
use crate::clock::WallTime;
use crate::request::NodeUuid;

/// How a refusal came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalKind {
    /// One ask was denied; the node may ask again when the denial ends.
    Denial,
    /// The node was blocked.
    Block,
}

impl RefusalKind {
    /// The word for records and state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denial => "denial",
            Self::Block => "block",
        }
    }
}

/// A person's no, which lasts until it ends or is lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whom it binds.
    pub node: NodeUuid,
    /// From where; `None` binds the whole node.
    pub origin: Option<Origin>,
    /// Denial or block.
    pub kind: RefusalKind,
    /// The approver who said no.
    pub by: Box<str>,
    /// The channel through which they did.
    pub channel: Box<str>,
    /// When they did.
    pub at: WallTime,
    /// When it ends.
    pub until: WallTime,
}

/// Who approved a node last, from one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastApproval {
    /// Who was approved.
    pub node: NodeUuid,
    /// From where.
    pub origin: Origin,
    /// The approver whose vote decided.
    pub by: Box<str>,
    /// When they voted.
    pub at: WallTime,
}

/// Everything that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Denials and blocks.
    pub refusals: Vec<Refusal>,
    /// Last approvals, at most one for each node and origin.
    pub approvals: Vec<LastApproval>,
    /// Whether everything is refused.
    pub lock: Option<Lock>,
    /// What was approved ahead, at most one for each node and origin.
    pub grants: Vec<GrantAhead>,
    /// Nodes that people listed, beside those of the configuration.
    pub nodes: Vec<NodeEntry>,
}

/// Everything is refused, until a person on the host ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Who locked.
    pub by: LockedBy,
    /// When.
    pub at: WallTime,
}

/// Who locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedBy {
    /// A person.
    Person {
        /// The approver.
        approver: Box<str>,
        /// The channel through which they did.
        channel: Box<str>,
    },
    /// The server, since the state that it began with is older than the one that its audit log tells of.
    OlderState,
}

/// A permission that was given before anything asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantAhead {
    /// 16 random bytes, never used again.
    pub id: [u8; 16],
    /// The number of its code for people.
    pub code: u16,
    /// Whose it is.
    pub node: NodeUuid,
    /// The node's entry when it was given ([`Node::entry_digest`]): it is of no use to a node that is listed otherwise.
    pub entry: [u8; 16],
    /// From where.
    pub origin: Origin,
    /// Who approved, and who they were then.
    pub votes: Vec<KeptVote>,
    /// When the last of them did.
    pub at: WallTime,
    /// When it ends.
    pub until: WallTime,
    /// Releases that are left.
    pub uses_left: u32,
}

/// A vote that outlives the process, with the person as the configuration had them: somebody else under the same name is
/// another person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptVote {
    /// The approver's name.
    pub approver: Box<str>,
    /// The channel through which they voted.
    pub channel: Box<str>,
    /// Their user id.
    pub uid: Option<u32>,
    /// Their numeric Telegram id.
    pub telegram_id: Option<i64>,
}

impl KeptVote {
    /// Whether `other` is the vote of the same person through the same channel.
    #[must_use]
    pub fn is_of(&self, approver: &str, channel: &str) -> bool {
        *self.approver == *approver && *self.channel == *channel
    }
}

/// A node that people listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// The node. Its blobs are never bound to an address.
    pub node: Node,
    /// The approver whose vote listed it.
    pub by: Box<str>,
    /// The channel through which it came.
    pub channel: Box<str>,
    /// When.
    pub at: WallTime,
}

/// Most approvals ahead that are in force at once.
pub const MAX_GRANTS_AHEAD: usize = 4096;

/// Most nodes that people list.
pub const MAX_NODE_ENTRIES: usize = 4096;

/// Most votes behind one approval ahead.
pub const MAX_KEPT_VOTES: usize = 256;

/// Most last approvals that are remembered; the oldest is forgotten first. It is only shown to people.
pub const MAX_APPROVALS: usize = 4096;

impl Refusal {
    /// Whether it binds calls of `node` from `origin`.
    #[must_use]
    pub fn binds(&self, node: &ListedNode, origin: Origin) -> bool {
        self.node == node.uuid && self.origin.is_none_or(|bound| bound == origin)
    }
}

impl Node {
    /// Names this entry of the node: the first 16 bytes of a SHA-256 (docs/spec/state.md, "Entry digest").
    #[must_use]
    pub fn entry_digest(&self) -> [u8; 16] {
        // Taken apart in full, so that a new part of an entry cannot be forgotten here.
        let Self { uuid, name, cluster, addresses, formerly, bind_address, listed_by } = self;
        let mut hash = Sha256::new();
        let mut put = |part: &str| {
            hash.update(part);
            hash.update([0]);
        };
        put("nightlatch node entry 1");
        put(uuid.as_str());
        put(name);
        put(cluster.as_deref().unwrap_or_default());
        put(listed_by.as_str());
        put(if *bind_address { "bound" } else { "" });
        put(&addresses.len().to_string());
        addresses.iter().for_each(|network| put(&network.to_string()));
        formerly.iter().for_each(|former| put(former.as_str()));
        let mut digest = [0; 16];
        digest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        digest
    }
}
