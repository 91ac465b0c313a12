//! Secrets go into no file and no message by themselves.

use nightlatch::clock::WallTime;
use nightlatch::key::Keks;
use nightlatch::secret::{KeyBytes, Passphrase, Plaintext};
use serde::Serialize;

pub fn is_serialised<T: Serialize>(_: &T) {}

pub fn times(at: &WallTime) {
    is_serialised(at);
}

#[cfg(skipped)]
pub fn secrets(plaintext: &Plaintext, key: &KeyBytes, passphrase: &Passphrase, keks: &Keks) {
    is_serialised(plaintext); //~ E0277
    is_serialised(key); //~ E0277
    is_serialised(passphrase); //~ E0277
    is_serialised(keks); //~ E0277
}
