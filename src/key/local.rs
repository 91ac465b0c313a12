//! A key that this process holds: 32 bytes from a credential.

use super::derivation::{self, Extracted};
use super::{Keks, KeyId, KeyReference, PendingKeks, Provenance, Source, Unavailable};
use crate::approval::gate::Approved;
use crate::secret::KeyBytes;

/// 32 random bytes in memory. They are wiped when this is dropped.
///
/// A bit of them that flips is a bit that a restart flips back: whatever was sealed in between would be lost. So there
/// are no KEKs unless the key still has the id that it began with.
#[derive(Debug)]
pub struct LocalKey {
    id: KeyId,
    key: KeyBytes,
}

impl LocalKey {
    /// Takes over `key`, which must come from a cryptographic random generator: it is used as it is, not stretched.
    #[must_use]
    pub fn new(key: KeyBytes) -> Self {
        Self { id: Self::id_of(&key), key }
    }

    /// The id of `key`, for whoever does not use it.
    #[must_use]
    pub fn id_of(key: &KeyBytes) -> KeyId {
        derivation::key_id(&Extracted::from(key))
    }
}

impl Source for LocalKey {
    fn key(&self) -> KeyReference {
        KeyReference { provenance: Provenance::Credential, id: self.id }
    }

    fn keks<'a>(&'a self, approved: &'a Approved) -> PendingKeks<'a> {
        Box::pin(async move {
            let extracted = Extracted::from(&self.key);
            let keks = Keks::derive(approved, self.key(), |node| Ok(derivation::kek(&extracted, node)));
            // Of what they were derived from, and last, so that a change while they were derived is noticed as well.
            if derivation::key_id(&extracted) == self.id { keks } else { Err(Unavailable::Damaged(self.id)) }
        })
    }
}

#[cfg(test)]
impl LocalKey {
    /// Changes one bit of the key, as faulty memory does.
    pub(super) fn damage_for_test(&mut self, bit: usize) {
        let damaged = KeyBytes::try_fill(|key| {
            key.copy_from_slice(self.key.expose());
            key[bit / 8] ^= 1 << (bit % 8);
            Ok::<_, std::convert::Infallible>(())
        });
        match damaged {
            Ok(key) => self.key = key,
        }
    }
}
