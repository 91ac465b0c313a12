//! May this peer ask for this node at all? The only file that can make an [`Admitted`].

mod lists;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ipnet::IpNet;
use uuid::{Uuid, Variant};

pub use self::lists::{Enrolment, Listing, Lists, new_name};
use super::in_progress::{InProgress, Most, Place};
use super::rate_limit::RateLimit;
use super::{ListedNode, Node, Origin, Peer};
use crate::clock::Moment;
use crate::request::{Fingerprint, NodeUuid, Operation, Request};

/// Calls from listed addresses that may be in progress. A node makes one at a time, and may leave some behind when it is
/// restarted; one node, or its neighbours in a large listed network, take no more than its own.
pub const LISTED_CALLS: Most = Most { total: 4096, per_key: 64 };

/// Calls in the names of listed nodes from anywhere else. However many there are, they take no place from the others.
pub const OTHER_CALLS: Most = Most { total: 512, per_key: 64 };

/// Proof that a request came from an allowed network, for a listed node, and not too often.
#[derive(Debug)]
pub struct Admitted {
    request: Request,
    node: ListedNode,
    peer: Peer,
    origin: Origin,
    generation: Generation,
    /// Held until the call is sealed or opened, or refused.
    _place: Place<(NodeUuid, Origin)>,
}

impl Admitted {
    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The node it is for.
    #[must_use]
    pub fn node(&self) -> &ListedNode {
        &self.node
    }

    /// Who is connected.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// From where, as far as approvals are bound to it.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Which configuration let it in.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Gives up the request, for the step that acts on it.
    #[must_use]
    pub fn into_request(self) -> Request {
        self.request
    }
}

/// Which configuration of this process something belongs to: each that is read gets the next. What was let in under
/// one is not judged by the rules of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Generation(u64);

impl Generation {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Why a peer may not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotAdmitted {
    /// Its address is in none of the allowed networks.
    #[error("the address is in none of the allowed networks")]
    Network,
    /// The identifier is one that many machines share, and no node is listed under it.
    #[error("the node UUID is one that many machines share, and is not listed")]
    SharedUuid,
    /// It, or its network, asked too often, or too many of its calls are in progress.
    #[error("too many calls")]
    TooMany,
    /// No node is listed under the identifier.
    #[error("the node is not listed")]
    UnknownNode,
    /// The identifier is not of the kind that the configuration demands.
    #[error("the node UUID is not of the kind that the configuration demands")]
    UuidPolicy,
}

/// A call for a node that is not listed, from where such may ask to be. It is no proof of anything, and nothing is released
/// for it.
#[derive(Debug)]
pub struct Candidate {
    /// The node as it would be listed.
    pub node: ListedNode,
    /// Who is connected.
    pub peer: Peer,
    /// What it asks for.
    pub operation: Operation,
    /// The blob that it wants unsealed.
    pub blob: Option<Fingerprint>,
    /// The configuration by which it may ask.
    pub generation: Generation,
}

/// Which identifiers are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UuidPolicy {
    /// The kind of UUID demanded.
    pub kind: UuidKind,
    /// Whether UUIDs that look made up (few different digits, or a counting pattern) are refused.
    pub entropy_check: bool,
}

/// Kinds of identifiers, from lenient to strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UuidKind {
    /// Anything a node can send: SMBIOS UUIDs often are of no version, and META key 0xf may hold any text.
    #[default]
    Any,
    /// A UUID of RFC 9562 (which replaced RFC 4122), versions 1 to 8.
    Rfc4122,
    /// A random UUID, version 4.
    V4,
}

impl UuidPolicy {
    /// Whether `uuid` may be used.
    #[must_use]
    pub fn allows(self, uuid: &NodeUuid) -> bool {
        let parsed = uuid.as_uuid();
        let kind = match self.kind {
            UuidKind::Any => true,
            UuidKind::Rfc4122 => parsed.is_some_and(|uuid| {
                uuid.get_variant() == Variant::RFC4122 && (1..=8).contains(&uuid.get_version_num())
            }),
            UuidKind::V4 => {
                parsed.is_some_and(|uuid| uuid.get_variant() == Variant::RFC4122 && uuid.get_version_num() == 4)
            }
        };
        kind && (!self.entropy_check || parsed.is_some_and(|uuid| looks_random(&uuid)))
    }
}

/// A random UUID has six or more different hexadecimal digits (but for one in about 10^11), and does not run through
/// them in order.
fn looks_random(uuid: &Uuid) -> bool {
    let digits: Vec<u8> = uuid.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 0xF]).collect();
    let different = (0..16).filter(|digit| digits.contains(digit)).count();
    let in_order = digits.windows(2).filter(|pair| matches!(pair, [a, b] if (a + 1) % 16 == *b)).count();
    different >= 6 && in_order < digits.len() / 2
}

/// Identifiers that firmware of many boards has instead of one of its own (siderolabs/talos#8804, siderolabs/omni#38
/// and #1241, and the placeholder of AMI firmware).
const SHARED_UUIDS: [&str; 5] = [
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "03000200-0400-0500-0006-000700080009",
    "00020003-0004-0005-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
];

/// Whether many machines are known to share this identifier.
#[must_use]
pub fn is_shared(uuid: &NodeUuid) -> bool {
    SHARED_UUIDS.contains(&uuid.as_str())
}

/// The lists in force, and how often each may ask.
#[derive(Debug)]
pub struct Admission {
    lists: RwLock<Arc<Lists>>,
    /// Nodes at their listed addresses. Nobody else can crowd them out; in a large listed network its neighbours can.
    listed: Mutex<RateLimit<(NodeUuid, IpNet)>>,
    elsewhere: Mutex<RateLimit<(NodeUuid, Origin)>>,
    strangers: Mutex<RateLimit<IpNet>>,
    /// Of each node, from all of its listed addresses together.
    listed_calls: InProgress<(NodeUuid, Origin)>,
    /// Of each node and origin.
    other_calls: InProgress<(NodeUuid, Origin)>,
}

/// Admits whom the lists name. Nobody has asked yet.
impl From<Lists> for Admission {
    fn from(lists: Lists) -> Self {
        Self {
            lists: RwLock::new(Arc::new(lists)),
            listed: Mutex::default(),
            elsewhere: Mutex::default(),
            strangers: Mutex::default(),
            listed_calls: InProgress::new(LISTED_CALLS),
            other_calls: InProgress::new(OTHER_CALLS),
        }
    }
}

impl Admission {
    /// Admits `nodes` from `networks`, as [`Lists::new`].
    #[must_use]
    pub fn new(networks: Vec<IpNet>, nodes: impl IntoIterator<Item = Node>, uuid_policy: UuidPolicy) -> Self {
        Lists::new(networks, nodes, uuid_policy).into()
    }

    /// The lists in force.
    #[must_use]
    pub fn lists(&self) -> Arc<Lists> {
        Arc::clone(&self.lists.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Admits whom `lists` name from now on. How often each has asked is not forgotten.
    pub fn replace(&self, lists: impl Into<Arc<Lists>>) {
        *self.lists.write().unwrap_or_else(PoisonError::into_inner) = lists.into();
    }

    /// Whether `address` is in an allowed network.
    #[must_use]
    pub fn allows_address(&self, address: IpAddr) -> bool {
        self.lists().allow(address)
    }

    /// The node listed under `uuid`.
    #[must_use]
    pub fn node(&self, uuid: &NodeUuid) -> Option<ListedNode> {
        self.lists().node(uuid).cloned()
    }

    /// The node that `request` names, when it is not listed and may ask to be. What does not come from here is judged, and
    /// counted, by [`Self::admit`].
    pub fn candidate(&self, now: Moment, request: &Request, peer: &Peer) -> Option<Candidate> {
        let lists = self.lists();
        let node = lists.candidate(request.node(), peer)?;
        lock(&self.strangers).admit(now, peer.network()).then(|| Candidate {
            node,
            peer: *peer,
            operation: request.operation(),
            blob: request.fingerprint(),
            generation: lists.generation(),
        })
    }

    /// Lets `request` of `peer` in, or says why not.
    ///
    /// # Errors
    /// [`NotAdmitted`]. What a stranger asks for is counted apart from what listed nodes ask for, so that no number of
    /// strangers takes a listed node's turn.
    pub fn admit(&self, now: Moment, request: Request, peer: Peer) -> Result<Admitted, NotAdmitted> {
        let lists = self.lists();
        if !lists.allow(peer.address) {
            return Err(NotAdmitted::Network);
        }
        let Some(node) = lists.node(request.node()) else {
            return Err(if !lock(&self.strangers).admit(now, peer.network()) {
                NotAdmitted::TooMany
            } else if is_shared(request.node()) {
                NotAdmitted::SharedUuid
            } else if !lists.uuid_policy().allows(request.node()) {
                NotAdmitted::UuidPolicy
            } else {
                NotAdmitted::UnknownNode
            });
        };
        let origin = node.origin(&peer);
        let (in_time, calls) = match origin {
            // One for each address of a listed network: a neighbour in it does not use up the node's turn.
            Origin::Listed => (lock(&self.listed).admit(now, (node.uuid.clone(), peer.network())), &self.listed_calls),
            _ => (lock(&self.elsewhere).admit(now, (node.uuid.clone(), origin)), &self.other_calls),
        };
        if !in_time {
            return Err(NotAdmitted::TooMany);
        }
        if !lists.uuid_policy().allows(request.node()) {
            return Err(NotAdmitted::UuidPolicy);
        }
        let place = calls.enter((node.uuid.clone(), origin)).ok_or(NotAdmitted::TooMany)?;
        let node = ListedNode::clone(node);
        Ok(Admitted { request, node, peer, origin, generation: lists.generation(), _place: place })
    }
}

/// A bucket is right after every step of its arithmetic, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
