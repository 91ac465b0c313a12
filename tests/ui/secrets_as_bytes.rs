//! The bytes of a secret come out where it says `expose`.

use nightlatch::request::Payload;
use nightlatch::secret::{KeyBytes, Plaintext};

pub fn exposed<'a>(plaintext: &'a Plaintext, key: &'a KeyBytes) -> [&'a [u8]; 2] {
    [plaintext.expose(), key.expose()]
}

#[cfg(skipped)]
pub fn bytes(key: &KeyBytes) {
    fn bytes<T: AsRef<[u8]>>(_: &T) {}
    bytes(key); //~ E0277
}

#[cfg(skipped)]
pub fn copied(payload: Payload) -> Vec<u8> {
    payload.into() //~ E0277
}
