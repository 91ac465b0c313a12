//! The bytes of a secret come out where it says `expose`.

use nightlatch::request::Payload;
use nightlatch::secret::{KeyBytes, Passphrase, Plaintext};

pub fn exposed<'a>(plaintext: &'a Plaintext, key: &'a KeyBytes, passphrase: &'a Passphrase) -> [&'a [u8]; 3] {
    [plaintext.expose(), key.expose(), passphrase.expose()]
}

#[cfg(skipped)]
pub fn bytes(key: &KeyBytes) {
    fn bytes<T: AsRef<[u8]>>(_: &T) {}
    bytes(key); //~ E0277
}

#[cfg(skipped)]
pub fn typed(passphrase: Passphrase) -> String {
    passphrase.into() //~ E0277
}

#[cfg(skipped)]
pub fn copied(payload: Payload) -> Vec<u8> {
    payload.into() //~ E0277
}
