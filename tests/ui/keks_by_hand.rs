//! No other module derives the key of a node.

use nightlatch::key::{Keks, KeyId};
use nightlatch::request::NodeUuid;
use nightlatch::secret::KeyBytes;

pub fn named(keks: &Keks) -> (KeyId, &NodeUuid) {
    (keks.own().key_id(), keks.own().node())
}

#[cfg(skipped)]
pub fn derived(key: &KeyBytes, node: &NodeUuid) -> KeyBytes {
    nightlatch::key::derivation::kek(key, node) //~ E0603
}

#[cfg(skipped)]
pub fn collected(node: &NodeUuid, key_id: KeyId, kek: impl Fn(&NodeUuid) -> KeyBytes) -> Keks {
    Keks::danger_without_approval(node, &[], key_id, kek) //~ E0624
}

#[cfg(skipped)]
pub fn looked_into(keks: &Keks) -> &KeyBytes {
    keks.own().secret() //~ E0624
}
