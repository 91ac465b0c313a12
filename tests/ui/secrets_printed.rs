//! Secrets have no text.

use nightlatch::key::Keks;
use nightlatch::secret::{KeyBytes, Passphrase, Plaintext};

pub fn redacted(plaintext: &Plaintext, key: &KeyBytes, passphrase: &Passphrase, keks: &Keks) -> String {
    format!("{plaintext:?} {key:?} {passphrase:?} {keks:?}")
}

#[cfg(skipped)]
pub fn shown(plaintext: &Plaintext, key: &KeyBytes, passphrase: &Passphrase) -> [String; 3] {
    let plaintext = format!("{plaintext}"); //~ E0277
    let key = format!("{key:x}"); //~ E0277
    let passphrase = format!("{passphrase}"); //~ E0277
    [plaintext, key, passphrase]
}

#[cfg(skipped)]
pub fn as_text(plaintext: &Plaintext) -> String {
    plaintext.to_string() //~ E0599
}
