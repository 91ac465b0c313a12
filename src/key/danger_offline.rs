//! KEKs without an approval, for whoever holds the key or the passphrase itself: `nightlatch recover`, and golden blobs,
//! which are of no node.
//!
//! The server has no door to this module; tests/layering.rs sees to it.

use std::convert::Infallible;

use super::derivation::{self, Extracted};
use super::stretching::{self, StretchError, Stretching};
use super::{Keks, KeyId, KeyReference, Provenance};
use crate::request::NodeUuid;
use crate::secret::{KeyBytes, Passphrase};

/// KEKs that `kek` derives, which may err.
#[cfg(test)]
pub(crate) fn keks_for_test(key: &KeyBytes, node: &NodeUuid, mut kek: impl FnMut(&NodeUuid) -> KeyBytes) -> Keks {
    let extracted = Extracted::from(key);
    let key = KeyReference { provenance: Provenance::Credential, id: derivation::key_id(&extracted) };
    let Ok(keks) = Keks::danger_without_approval(node, &[], key, |node| Ok::<_, Infallible>(kek(node)));
    keks
}

/// The KEKs of `node`, and of the identifiers that it had before, under `key`.
#[must_use]
pub fn keks(key: &KeyBytes, node: &NodeUuid, formerly: &[NodeUuid]) -> Keks {
    let extracted = Extracted::from(key);
    let reference = KeyReference { provenance: Provenance::Credential, id: derivation::key_id(&extracted) };
    let kek = |node: &NodeUuid| Ok::<_, Infallible>(derivation::kek(&extracted, node));
    let Ok(keks) = Keks::danger_without_approval(node, formerly, reference, kek);
    keks
}

/// The same under `passphrase`, whose id under `stretching` is `id`. Takes Argon2id once for each identifier.
///
/// # Errors
/// [`StretchError`]
pub fn passphrase_keks(
    passphrase: &Passphrase,
    stretching: &Stretching,
    id: KeyId,
    node: &NodeUuid,
    formerly: &[NodeUuid],
) -> Result<Keks, StretchError> {
    let reference = KeyReference { provenance: Provenance::Passphrase(*stretching), id };
    let mut last: Option<(NodeUuid, KeyBytes)> = None;
    Keks::danger_without_approval(node, formerly, reference, |node| {
        // The node's own is asked for twice.
        let key = match last.take() {
            Some((known, key)) if known == *node => key,
            _ => stretching::node_key(passphrase, stretching, node)?,
        };
        let kek = stretching::kek(&key, node);
        last = Some((node.clone(), key));
        Ok(kek)
    })
}
