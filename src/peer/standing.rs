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

/// Most addresses of a node that people listed.
pub const MAX_ENTRY_ADDRESSES: usize = 64;

/// Most former identifiers of a node that people listed.
pub const MAX_ENTRY_FORMERLY: usize = 64;

/// Most last approvals that are remembered; the oldest is forgotten first. It is only shown to people.
pub const MAX_APPROVALS: usize = 4096;

impl Standing {
    /// What is left of a state when a newer one was there: nobody knows what was denied, blocked, locked or used up since, so
    /// everything is locked, and nothing is approved ahead.
    #[must_use]
    pub fn of_an_older_state(self, now: WallTime) -> Self {
        Self { lock: Some(Lock { by: LockedBy::OlderState, at: now }), ..self.without_grants() }
    }

    /// The same with nothing approved ahead.
    #[must_use]
    pub fn without_grants(self) -> Self {
        Self { grants: vec![], ..self }
    }
}

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
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let mut hash = Sha256::new_with_prefix("nightlatch node entry 1\n");
        put_list(&mut hash, std::iter::once(uuid.as_str()));
        put_list(&mut hash, std::iter::once(&**name));
        put_list(&mut hash, cluster.as_deref().into_iter());
        put_list(&mut hash, addresses.iter().map(String::as_str));
        put_list(&mut hash, formerly.iter().map(NodeUuid::as_str));
        put_list(&mut hash, bind_address.then_some("bind-address").into_iter());
        put_list(&mut hash, std::iter::once(listed_by.as_str()));
        let mut digest = [0; 16];
        digest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        digest
    }
}

/// Counts and lengths come first, so that no two entries are the same bytes.
fn put_list<'a>(hash: &mut Sha256, texts: impl ExactSizeIterator<Item = &'a str>) {
    let put_length =
        |hash: &mut Sha256, length: usize| hash.update(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
    put_length(hash, texts.len());
    for text in texts {
        put_length(hash, text.len());
        hash.update(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::ListedBy;

    fn hexadecimal(bytes: [u8; 16]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn uuid(text: &str) -> NodeUuid {
        NodeUuid::parse(text).expect("printable")
    }

    fn cp_1() -> Node {
        Node {
            uuid: uuid("4c4c4544-0042-3510-8051-b4c04f4e3632"),
            name: "cp-1".into(),
            cluster: Some("home".into()),
            addresses: ["192.0.2.11/32", "2001:db8::/64"].map(|text| text.parse().expect("a network")).into(),
            formerly: vec![uuid("old")],
            bind_address: true,
            listed_by: ListedBy::Configuration,
        }
    }

    /// The constants are those of docs/spec/state.md, where a program of some lines in another language computed them.
    #[test]
    fn entry_digest_is_as_specified() {
        assert_eq!(hexadecimal(cp_1().entry_digest()), "0fa392ec70049b17b5c05afd258c499d");
        let bare = Node {
            uuid: uuid("n1"),
            name: "n1".into(),
            cluster: None,
            addresses: vec![],
            formerly: vec![],
            bind_address: false,
            listed_by: ListedBy::People,
        };
        assert_eq!(hexadecimal(bare.entry_digest()), "1d7373ddda8a82e1142b60797ccbea94");
        let spec = include_str!("../../docs/spec/state.md");
        for node in [cp_1(), bare] {
            assert!(spec.contains(&hexadecimal(node.entry_digest())));
        }
    }

    #[test]
    fn another_entry_has_another_digest() {
        let changes: [fn(&mut Node); 12] = [
            |_| {},
            |node| node.uuid = uuid("other"),
            |node| node.name = "cp-2".into(),
            |node| node.name = "cp-1\0home".into(),
            |node| node.cluster = None,
            |node| node.cluster = Some("".into()),
            |node| node.addresses.truncate(1),
            |node| node.addresses.reverse(),
            |node| node.formerly.clear(),
            |node| node.formerly.push(uuid("bind-address")),
            |node| node.bind_address = false,
            |node| node.listed_by = ListedBy::People,
        ];
        let mut digests = vec![];
        for change in changes {
            let mut node = cp_1();
            change(&mut node);
            digests.push(node.entry_digest());
        }
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), changes.len());
    }
}
