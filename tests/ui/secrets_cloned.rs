//! There is one of each secret.

use nightlatch::key::Keks;
use nightlatch::secret::{KeyBytes, Passphrase, Plaintext};

pub fn moved(key: KeyBytes) -> KeyBytes {
    let moved = key;
    #[cfg(skipped)]
    drop(key); //~ E0382
    moved
}

#[cfg(skipped)]
pub fn cloned(key: &KeyBytes, plaintext: &Plaintext, passphrase: &Passphrase, keks: &Keks) {
    drop(KeyBytes::clone(key)); //~ E0277
    drop(Plaintext::clone(plaintext)); //~ E0277
    drop(Passphrase::clone(passphrase)); //~ E0277
    drop(Keks::clone(keks)); //~ E0277
}
