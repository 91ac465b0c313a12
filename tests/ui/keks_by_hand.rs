//! No other module derives the key of a node.

use nightlatch::key::stretching::Stretching;
use nightlatch::key::{Keks, KeyId, KeyReference};
use nightlatch::request::NodeUuid;
use nightlatch::secret::{KeyBytes, Passphrase};

pub fn named(keks: &Keks) -> (KeyId, &NodeUuid) {
    (keks.own().key_id(), keks.own().node())
}

#[cfg(skipped)]
pub fn derived(key: &KeyBytes, node: &NodeUuid) -> KeyBytes {
    nightlatch::key::derivation::secret(key, "KEK", node.as_str().as_bytes()) //~ E0603
}

#[cfg(skipped)]
type Derive = fn(&NodeUuid) -> Result<KeyBytes, ()>;

#[cfg(skipped)]
pub fn collected(node: &NodeUuid, key: KeyReference, kek: Derive) -> Result<Keks, ()> {
    Keks::danger_without_approval(node, &[], key, kek) //~ E0624
}

#[cfg(skipped)]
pub fn stretched(passphrase: &Passphrase, stretching: &Stretching, node: &NodeUuid) {
    drop(nightlatch::key::stretching::node_key(passphrase, stretching, node)); //~ E0603
}

#[cfg(skipped)]
pub fn looked_into(keks: &Keks) -> &KeyBytes {
    keks.own().secret() //~ E0624
}
