//! Secrets have no text.

use nightlatch::key::Keks;
use nightlatch::secret::{KeyBytes, Plaintext};

pub fn redacted(plaintext: &Plaintext, key: &KeyBytes, keks: &Keks) -> String {
    format!("{plaintext:?} {key:?} {keks:?}")
}

#[cfg(skipped)]
pub fn shown(plaintext: &Plaintext, key: &KeyBytes) -> [String; 2] {
    let plaintext = format!("{plaintext}"); //~ E0277
    let key = format!("{key:x}"); //~ E0277
    [plaintext, key]
}

#[cfg(skipped)]
pub fn as_text(plaintext: &Plaintext) -> String {
    plaintext.to_string() //~ E0599
}
