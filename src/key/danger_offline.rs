//! KEKs without an approval, for whoever holds the key itself: `nightlatch recover`, and nothing else.
//!
//! The server has no door to this module; tests/layering.rs sees to it.

use super::{Keks, KeyId, derivation};
use crate::request::NodeUuid;
use crate::secret::KeyBytes;

/// The id of `key`.
#[must_use]
pub fn key_id(key: &KeyBytes) -> KeyId {
    derivation::key_id(key)
}

/// KEKs that `kek` derives, which may err.
#[cfg(test)]
pub(crate) fn keks_for_test(key: &KeyBytes, node: &NodeUuid, kek: impl FnMut(&NodeUuid) -> KeyBytes) -> Keks {
    Keks::danger_without_approval(node, &[], derivation::key_id(key), kek)
}

/// The KEKs of `node`, and of the identifiers that it had before, under `key`.
#[must_use]
pub fn keks(key: &KeyBytes, node: &NodeUuid, formerly: &[NodeUuid]) -> Keks {
    Keks::danger_without_approval(node, formerly, derivation::key_id(key), |node| derivation::kek(key, node))
}
