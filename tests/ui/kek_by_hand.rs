//! A key from somewhere else is no key of a node.

use nightlatch::key::{Kek, KeyId, KeyReference};
use nightlatch::request::NodeUuid;
use nightlatch::secret::KeyBytes;

pub fn key_id(kek: &Kek) -> KeyId {
    kek.key_id()
}

#[cfg(skipped)]
pub fn made(key: KeyReference, node: NodeUuid, secret: KeyBytes) -> Kek {
    Kek { key, node, secret } //~ E0451
}
