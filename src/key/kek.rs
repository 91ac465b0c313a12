//! The only file that can make a [`Kek`], and it asks for an approval, but for the one door of `danger_offline`.

use super::{KeyId, KeyReference};
use crate::approval::gate::Approved;
use crate::peer::Node;
use crate::request::{NodeUuid, Operation};
use crate::secret::KeyBytes;

/// The key encryption key of one node under one key. It is wiped when it is dropped.
#[derive(Debug)]
pub struct Kek {
    key: KeyReference,
    node: NodeUuid,
    secret: KeyBytes,
}

impl Kek {
    /// The id of the key that it was derived from.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key.id
    }

    /// What a blob that is sealed with it says about that key.
    #[must_use]
    pub fn key(&self) -> KeyReference {
        self.key
    }

    /// The node whose it is.
    #[must_use]
    pub fn node(&self) -> &NodeUuid {
        &self.node
    }

    pub(crate) fn secret(&self) -> &KeyBytes {
        &self.secret
    }
}

/// The KEKs with which one approved call may be answered.
#[derive(Debug)]
pub struct Keks {
    own: Kek,
    /// For what seals.
    own_anew: Option<Kek>,
    former: Vec<Kek>,
}

impl Keks {
    /// Derives what `approved` allows and nothing else: the KEK of its node and, to unseal, those of the node's former
    /// identifiers.
    pub(super) fn derive<E>(
        approved: &Approved,
        key: KeyReference,
        mut kek: impl FnMut(&NodeUuid) -> Result<KeyBytes, E>,
    ) -> Result<Self, E> {
        let (operation, node) = (approved.request().operation(), approved.node());
        Self::for_nodes(&node.uuid, former(operation, node), operation == Operation::Seal, key, &mut kek)
    }

    /// Derives for anybody who has the key. For [`danger_offline`](super::danger_offline).
    pub(super) fn danger_without_approval<E>(
        own: &NodeUuid,
        former: &[NodeUuid],
        key: KeyReference,
        mut kek: impl FnMut(&NodeUuid) -> Result<KeyBytes, E>,
    ) -> Result<Self, E> {
        Self::for_nodes(own, former, true, key, &mut kek)
    }

    fn for_nodes<E>(
        own: &NodeUuid,
        former: &[NodeUuid],
        seals: bool,
        key: KeyReference,
        kek: &mut dyn FnMut(&NodeUuid) -> Result<KeyBytes, E>,
    ) -> Result<Self, E> {
        let mut of = |node: &NodeUuid| Ok(Kek { key, node: node.clone(), secret: kek(node)? });
        let (first, anew) = (of(own)?, seals.then(|| of(own)).transpose()?);
        Ok(Self { own: first, own_anew: anew, former: former.iter().map(of).collect::<Result<_, E>>()? })
    }

    /// The node's own, the only one that seals.
    #[must_use]
    pub fn own(&self) -> &Kek {
        &self.own
    }

    /// The node's own, derived a second time: what opens a new blob again, so that a KEK which was derived wrongly or
    /// changed in memory seals nothing that is then handed out. There is none for a call that seals nothing.
    pub(crate) fn own_anew(&self) -> Option<&Kek> {
        self.own_anew.as_ref()
    }

    /// All of them, the node's own first.
    pub fn iter(&self) -> impl Iterator<Item = &Kek> {
        std::iter::once(&self.own).chain(&self.former)
    }

    /// Whether they were derived for `node`.
    pub(crate) fn are_for(&self, node: &Node) -> bool {
        self.own.node == node.uuid
    }
}

/// The former identifiers of `node` that matter to an operation: they only open.
pub(super) fn former(operation: Operation, node: &Node) -> &[NodeUuid] {
    match operation {
        Operation::Seal => &[],
        Operation::Unseal => &node.formerly,
    }
}
