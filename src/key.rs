//! Keys: where they come from, and the KEK of one approved call.
//!
//! A [`Source`] holds one key and names it by a [`KeyId`]. Of several, one seals and the others only open; the id in a
//! blob tells which. What leaves this module is a [`Kek`], and there is no way to one without an approval, but for
//! [`danger_offline`].

pub mod danger_offline;
pub(crate) mod derivation;
mod kek;
pub mod local;
pub mod passphrase;
pub mod stretching;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

pub use kek::{Kek, Keks};

use self::stretching::Stretching;

use crate::approval::gate::Approved;
use crate::peer::admission::Admitted;

/// Names a key without telling anything about it: 8 bytes, in docs/spec/sealed-blob.md, "Key and key id".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; Self::LEN]);

impl KeyId {
    /// Length in bytes.
    pub const LEN: usize = 8;

    /// The id with these bytes, as a blob has it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes that a blob has.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// 16 hexadecimal digits in lower case.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where a KEK comes from: docs/spec/sealed-blob.md, "Sources".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SourceNumber {
    /// Derived from 32 random bytes.
    Credential = 1,
    /// Derived from a passphrase.
    Passphrase = 2,
}

impl SourceNumber {
    /// The source that a blob has as this byte, if it is known.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Credential),
            2 => Some(Self::Passphrase),
            _ => None,
        }
    }

    /// The byte that a blob has.
    #[must_use]
    pub const fn as_byte(self) -> u8 {
        self as u8
    }
}

/// Where a key comes from, with all that a blob says about that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// 32 random bytes.
    Credential,
    /// A passphrase, and how it is stretched.
    Passphrase(Stretching),
}

/// What a blob says about its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyReference {
    /// Where it comes from.
    pub provenance: Provenance,
    /// Its id.
    pub id: KeyId,
}

impl KeyReference {
    /// The number of its source.
    #[must_use]
    pub const fn number(&self) -> SourceNumber {
        match self.provenance {
            Provenance::Credential => SourceNumber::Credential,
            Provenance::Passphrase(_) => SourceNumber::Passphrase,
        }
    }

    /// Whether both name the same key. Two sources may hold keys whose ids are the same.
    #[must_use]
    pub fn names_the_same(&self, other: &Self) -> bool {
        self.number() == other.number() && self.id == other.id
    }
}

/// Which key a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// The one that a blob names.
    Opening(KeyReference),
    /// The one that seals.
    Sealing,
}

/// Why there is no KEK for a call. A peer gets a constant text; this is for the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The key in memory is not the one that this process started with.
    #[error("the key {0} has changed in memory: restart nightlatch, and have the machine's memory tested")]
    Damaged(KeyId),
    /// The key of the node is still being derived from the passphrase. Nothing is lost: the next call finds it.
    #[error("the key of the node is still being derived from the passphrase {0}")]
    NotDerived(KeyId),
    /// It is not in memory: everything is locked, or it could not be read again after that.
    #[error("the key is not in memory: nightlatch status says why, and how it comes back")]
    NotInMemory,
    /// The blob names a key that is configured with another salt or other parameters, so nobody sealed it.
    #[error("the blob names the key {0} with a salt or parameters that are not those of that key")]
    OtherParameters(KeyId),
    /// The passphrase could not be stretched.
    #[error("cannot derive the key of the node from the passphrase {0}")]
    Stretching(KeyId, #[source] stretching::StretchError),
    /// The blob names a key that is not configured. It is the blob that cannot be opened, not the server that cannot
    /// answer: trying again does not help.
    #[error("no key with the id {0} is configured")]
    UnknownKey(KeyId),
}

/// What [`Source::keks`] returns.
pub type PendingKeks<'a> = Pin<Box<dyn Future<Output = Result<Keks, Unavailable>> + Send + 'a>>;

/// Somewhere a key is kept.
pub trait Source: fmt::Debug + Send + Sync {
    /// What a blob says about its key.
    fn key(&self) -> KeyReference;

    /// Begins what takes long before there are KEKs for this call, and returns at once. It may be approved, or not.
    fn prepare(&self, _admitted: &Admitted) {}

    /// The KEKs for an approved call: to seal, that of the node; to unseal, those of its former identifiers as well.
    /// They must be those that the same key will give after a restart; a source that is not sure gives none.
    fn keks<'a>(&'a self, approved: &'a Approved) -> PendingKeks<'a>;
}

/// Every configured key, as long as everything is not locked.
#[derive(Debug)]
pub struct Keyring(RwLock<Arc<Held>>);

/// The keys that are in memory.
#[derive(Debug)]
pub struct Held {
    sealing: Option<Box<dyn Source>>,
    opening: Vec<Box<dyn Source>>,
    /// Whether others are configured as well, which could not be read.
    incomplete: bool,
}

impl Held {
    /// A key that seals, and others that only open.
    #[must_use]
    pub fn new(sealing: Box<dyn Source>, opening: Vec<Box<dyn Source>>) -> Self {
        Self { sealing: Some(sealing), opening, incomplete: false }
    }

    /// What could be read of several keys, perhaps without the one that seals.
    #[must_use]
    pub fn incomplete(sealing: Option<Box<dyn Source>>, opening: Vec<Box<dyn Source>>) -> Self {
        Self { sealing, opening, incomplete: true }
    }

    fn none() -> Self {
        Self::incomplete(None, vec![])
    }

    fn source(&self, selector: &Selector) -> Result<&dyn Source, Unavailable> {
        let Selector::Opening(named) = selector else {
            return self.sealing.as_deref().ok_or(Unavailable::NotInMemory);
        };
        let source = self.sources().find(|held| held.key().names_the_same(named));
        let source = source.ok_or(match self.incomplete {
            true => Unavailable::NotInMemory,
            false => Unavailable::UnknownKey(named.id),
        })?;
        if source.key() == *named { Ok(source) } else { Err(Unavailable::OtherParameters(named.id)) }
    }

    fn sources(&self) -> impl Iterator<Item = &dyn Source> {
        self.sealing.iter().chain(&self.opening).map(|source| &**source)
    }
}

impl Keyring {
    /// A keyring that seals with `sealing` and opens with that and with `opening`.
    #[must_use]
    pub fn new(sealing: Box<dyn Source>, opening: Vec<Box<dyn Source>>) -> Self {
        Self(RwLock::new(Arc::new(Held::new(sealing, opening))))
    }

    /// A keyring without keys, as one is that was wiped.
    #[must_use]
    pub fn wiped() -> Self {
        Self(RwLock::new(Arc::new(Held::none())))
    }

    /// Holds `keys` from now on, instead of those that it holds.
    pub fn fill(&self, keys: Held) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Holds no keys from now on. They are wiped once no call uses them any more, which takes seconds at most.
    pub fn wipe(&self) {
        self.fill(Held::none());
    }

    /// The id of the key that seals, if it is in memory.
    #[must_use]
    pub fn sealing_id(&self) -> Option<KeyId> {
        self.held().sealing.as_ref().map(|source| source.key().id)
    }

    /// The ids of all keys in memory, that of the key that seals first.
    #[must_use]
    pub fn ids(&self) -> Vec<KeyId> {
        self.held().sources().map(|source| source.key().id).collect()
    }

    /// The KEKs for an approved call from the key that `selector` says.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason for the record.
    pub async fn keks(&self, approved: &Approved, selector: &Selector) -> Result<Keks, Unavailable> {
        self.held().source(selector)?.keks(approved).await
    }

    /// Begins what the key that `selector` says will take long for, while people are asked. Only for a node that is
    /// listed, which an [`Admitted`] proves.
    pub fn prepare(&self, admitted: &Admitted, selector: &Selector) {
        if let Ok(source) = self.held().source(selector) {
            source.prepare(admitted);
        }
    }

    fn held(&self) -> Arc<Held> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::local::LocalKey;
    use super::*;
    use crate::peer::admission::{Admission, UuidPolicy};
    use crate::peer::{Node, Peer};
    use crate::request::{NodeUuid, Operation, Request};
    use crate::secret::KeyBytes;

    fn key(byte: u8) -> LocalKey {
        let key = KeyBytes::try_fill(|key| {
            key.fill(byte);
            Ok::<_, ()>(())
        });
        LocalKey::new(key.expect("cannot fail"))
    }

    fn approved(operation: Operation, formerly: &[&str]) -> Approved {
        let uuid = |claim: &str| NodeUuid::parse(claim).expect("printable");
        let node = Node {
            uuid: uuid("cp-1"),
            name: "cp-1".into(),
            cluster: None,
            addresses: vec![],
            formerly: formerly.iter().map(|claim| uuid(claim)).collect(),
            bind_address: false,
            listed_by: crate::peer::ListedBy::Configuration,
        };
        let networks = vec!["192.0.2.0/24".parse().expect("a network")];
        let request = Request::parse(operation, "cp-1", vec![1]).expect("well-formed");
        let peer = Peer::plaintext("192.0.2.11:1".parse().expect("an address"));
        let admission = Admission::new(networks, [node], UuidPolicy::default());
        Approved::for_test(admission.admit(crate::clock::Moment::default(), request, peer).expect("admitted"))
    }

    /// A local key is there at once.
    fn keks(keyring: &Keyring, approved: &Approved, selector: Selector) -> Result<Keks, Unavailable> {
        let mut keks = std::pin::pin!(keyring.keks(approved, &selector));
        match keks.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(keks) => keks,
            std::task::Poll::Pending => panic!("a local key has nothing to wait for"),
        }
    }

    fn opening(key_id: KeyId) -> Selector {
        Selector::Opening(KeyReference { provenance: Provenance::Credential, id: key_id })
    }

    fn nodes(keks: &Keks) -> Vec<&str> {
        keks.iter().map(|kek| kek.node().as_str()).collect()
    }

    #[test]
    fn the_sealing_key_seals_and_a_named_key_opens() {
        let keyring = Keyring::new(Box::new(key(1)), vec![Box::new(key(2))]);
        let [first, second] = [key(1).key().id, key(2).key().id];
        assert_eq!(keyring.sealing_id(), Some(first));
        assert_eq!(keyring.ids(), [first, second]);

        let seal = approved(Operation::Seal, &[]);
        assert_eq!(keks(&keyring, &seal, Selector::Sealing).expect("it is there").own().key_id(), first);
        let unseal = approved(Operation::Unseal, &[]);
        for id in [first, second] {
            assert_eq!(keks(&keyring, &unseal, opening(id)).expect("it is there").own().key_id(), id);
        }
        let unknown = key(3).key().id;
        let found = keks(&keyring, &unseal, opening(unknown)).map(|_| ());
        assert_eq!(found, Err(Unavailable::UnknownKey(unknown)));
    }

    #[test]
    fn a_source_is_known_by_its_byte() {
        for byte in 0..=u8::MAX {
            let known = [1, 2].contains(&byte).then_some(byte);
            assert_eq!(SourceNumber::from_byte(byte).map(SourceNumber::as_byte), known);
        }
        assert_eq!(key(1).key().number(), SourceNumber::Credential);
    }

    #[test]
    fn former_identifiers_only_open() {
        let keyring = Keyring::new(Box::new(key(1)), vec![]);
        let formerly = ["old-1", "old-2"];
        let seal = approved(Operation::Seal, &formerly);
        assert_eq!(nodes(&keks(&keyring, &seal, Selector::Sealing).expect("it is there")), ["cp-1"]);
        let unseal = approved(Operation::Unseal, &formerly);
        let found = keks(&keyring, &unseal, opening(key(1).key().id)).expect("it is there");
        assert_eq!(nodes(&found), ["cp-1", "old-1", "old-2"]);
    }

    #[test]
    fn each_key_and_each_node_has_a_kek_of_its_own() {
        let formerly = [NodeUuid::parse("CP-1").expect("printable"), NodeUuid::parse("cp-2").expect("printable")];
        let node = NodeUuid::parse("cp-1").expect("printable");
        let keks: Vec<Keks> = [1, 2]
            .map(|byte| {
                let key = KeyBytes::try_fill(|key| {
                    key.fill(byte);
                    Ok::<_, ()>(())
                });
                danger_offline::keks(&key.expect("cannot fail"), &node, &formerly)
            })
            .into();
        let secrets: std::collections::BTreeSet<&[u8; 32]> =
            keks.iter().flat_map(|keks| keks.iter().map(|kek| kek.secret().expose())).collect();
        assert_eq!(secrets.len(), 6);
    }

    #[test]
    fn a_key_that_changed_in_memory_gives_no_keks() {
        let id = key(1).key().id;
        for (operation, selector) in [(Operation::Seal, Selector::Sealing), (Operation::Unseal, opening(id))] {
            let approved = approved(operation, &[]);
            for bit in 0..256 {
                let mut damaged = key(1);
                damaged.damage_for_test(bit);
                let keyring = Keyring::new(Box::new(damaged), vec![]);
                assert_eq!(keks(&keyring, &approved, selector).map(|_| ()), Err(Unavailable::Damaged(id)), "bit {bit}");
                keyring.fill(Held::new(Box::new(key(1)), vec![]));
                assert!(keks(&keyring, &approved, selector).is_ok());
            }
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let keyring = Keyring::new(Box::new(key(0xAB)), vec![]);
        let unseal = approved(Operation::Unseal, &[]);
        let keks = keks(&keyring, &unseal, opening(key(0xAB).key().id)).expect("it is there");
        let shown = format!("{keyring:?} {keks:?}");
        assert!(!shown.contains("171") && shown.matches("redacted").count() == 2, "{shown}");
    }
}
