//! Keys: where they come from, and the KEK of one approved call.
//!
//! A [`Source`] holds one key and names it by a [`KeyId`]. Of several, one seals and the others only open; the id in a
//! blob tells which. What leaves this module is a [`Kek`], and there is no way to one without an approval, but for
//! [`danger_offline`].

pub mod danger_offline;
pub(crate) mod derivation;
mod kek;
pub mod local;

use std::fmt;
use std::pin::Pin;

pub use kek::{Kek, Keks};

use crate::approval::gate::Approved;

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

/// Which key a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// The one that a blob names.
    Opening(KeyId),
    /// The one that seals.
    Sealing,
}

/// Why there is no KEK for a call. A peer gets a constant text; this is for the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The blob names a key that is not configured. It is the blob that cannot be opened, not the server that cannot
    /// answer: trying again does not help.
    #[error("no key with the id {0} is configured")]
    UnknownKey(KeyId),
}

/// What [`Source::keks`] returns.
pub type PendingKeks<'a> = Pin<Box<dyn Future<Output = Result<Keks, Unavailable>> + Send + 'a>>;

/// Somewhere a key is kept.
pub trait Source: fmt::Debug + Send + Sync {
    /// The id of its key.
    fn id(&self) -> KeyId;

    /// The KEKs for an approved call: to seal, that of the node; to unseal, those of its former identifiers as well.
    fn keks<'a>(&'a self, approved: &'a Approved) -> PendingKeks<'a>;
}

/// Every configured key.
#[derive(Debug)]
pub struct Keyring {
    sealing: Box<dyn Source>,
    opening: Vec<Box<dyn Source>>,
}

impl Keyring {
    /// A keyring that seals with `sealing` and opens with that and with `opening`.
    #[must_use]
    pub fn new(sealing: Box<dyn Source>, opening: Vec<Box<dyn Source>>) -> Self {
        Self { sealing, opening }
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn sealing_id(&self) -> KeyId {
        self.sealing.id()
    }

    /// The ids of all keys, that of the key that seals first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.sources().map(Source::id)
    }

    /// The KEKs for an approved call from the key that `selector` says.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason for the record.
    pub async fn keks(&self, approved: &Approved, selector: &Selector) -> Result<Keks, Unavailable> {
        let source = match *selector {
            Selector::Sealing => &*self.sealing,
            Selector::Opening(id) => {
                self.sources().find(|source| source.id() == id).ok_or(Unavailable::UnknownKey(id))?
            }
        };
        source.keks(approved).await
    }

    fn sources(&self) -> impl Iterator<Item = &dyn Source> {
        std::iter::once(&*self.sealing).chain(self.opening.iter().map(|source| &**source))
    }
}
