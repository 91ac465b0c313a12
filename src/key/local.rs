//! A key that this process holds: 32 bytes from a credential.

use super::{Keks, KeyId, PendingKeks, Source, derivation};
use crate::approval::gate::Approved;
use crate::secret::KeyBytes;

/// 32 random bytes in memory. They are wiped when this is dropped.
#[derive(Debug)]
pub struct LocalKey {
    id: KeyId,
    key: KeyBytes,
}

impl LocalKey {
    /// Takes over `key`, which must come from a cryptographic random generator: it is used as it is, not stretched.
    #[must_use]
    pub fn new(key: KeyBytes) -> Self {
        Self { id: derivation::key_id(&key), key }
    }
}

impl Source for LocalKey {
    fn id(&self) -> KeyId {
        self.id
    }

    fn keks<'a>(&'a self, approved: &'a Approved) -> PendingKeks<'a> {
        Box::pin(async move { Ok(Keks::derive(approved, self.id, |node| derivation::kek(&self.key, node))) })
    }
}
