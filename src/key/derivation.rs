//! HKDF as docs/spec/sealed-blob.md uses it: every derived value comes from here.
//!
//! What this module holds is wiped, and so is the state of the hash. The crates below it still leave the padded key of
//! HMAC and its last block of output on the stack, where later calls write over them. HKDF of our own over the same HMAC
//! would leave the key there all the same, so the specification says it instead.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

use super::KeyId;
use crate::request::NodeUuid;
use crate::secret::KeyBytes;

/// The protocol that blobs are for, the same for Seal and Unseal. Another protocol takes another string, so that
/// neither opens what the other sealed.
pub(crate) const PROTOCOL: &str = "sidero.kms";

/// `x` with its length as one byte before it. Every `x` here is shorter than 256 bytes: labels and the protocol are
/// constants, an identifier has at most 64 bytes, an address 16.
pub(crate) fn length_prefixed(x: &[u8]) -> Vec<u8> {
    assert!(x.len() <= usize::from(u8::MAX), "a length is one byte");
    let mut bytes = Vec::with_capacity(1 + x.len());
    bytes.push(u8::try_from(x.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(x);
    bytes
}

/// A key from which several values are derived: the first half of HKDF, which is the same for all of them. It is wiped
/// when it is dropped; boxed, so that no copy stays behind where it is moved from.
pub(crate) struct Extracted(Box<Hkdf<Sha256>>);

impl Extracted {
    /// Begins with `key`.
    pub(crate) fn from(key: &KeyBytes) -> Self {
        let (mut prk, hkdf) = Hkdf::<Sha256>::extract(None, key.expose());
        // A copy of what HKDF is keyed with, which wipes itself.
        prk.as_mut_slice().zeroize();
        Self(Box::new(hkdf))
    }

    /// `HKDF(key, lp(label) ‖ context, 32)`, as a key.
    pub(crate) fn secret(&self, label: &str, context: &[u8]) -> KeyBytes {
        let filled = KeyBytes::try_fill(|output| {
            self.expand(label, context, output);
            Ok::<_, std::convert::Infallible>(())
        });
        match filled {
            Ok(key) => key,
        }
    }

    /// `HKDF(key, lp(label) ‖ context, N)`, as something that is no secret.
    pub(crate) fn public<const N: usize>(&self, label: &str, context: &[u8]) -> [u8; N] {
        let mut output = [0; N];
        self.expand(label, context, &mut output);
        output
    }

    #[expect(clippy::expect_used, reason = "HKDF gives up to 8,160 bytes, and nothing here asks for more than 32")]
    fn expand<const N: usize>(&self, label: &str, context: &[u8], output: &mut [u8; N]) {
        const { assert!(N <= 32, "one block of SHA-256") }
        self.0.expand_multi_info(&[&length_prefixed(label.as_bytes()), context], output).expect("at most 32 bytes");
    }
}

/// `HKDF(key, lp(label) ‖ context, 32)`, as a key.
pub(crate) fn secret(key: &KeyBytes, label: &str, context: &[u8]) -> KeyBytes {
    Extracted::from(key).secret(label, context)
}

/// `HKDF(key, lp(label) ‖ context, N)`, as something that is no secret.
pub(crate) fn public<const N: usize>(key: &KeyBytes, label: &str, context: &[u8]) -> [u8; N] {
    Extracted::from(key).public(label, context)
}

/// The id of a key.
pub(super) fn key_id(key: &Extracted) -> KeyId {
    KeyId::from_bytes(key.public("nightlatch credential 1: key id", &[]))
}

/// The KEK of `node` under a key.
pub(super) fn kek(key: &Extracted, node: &NodeUuid) -> KeyBytes {
    let context = [length_prefixed(PROTOCOL.as_bytes()), length_prefixed(node.as_str().as_bytes())].concat();
    key.secret("nightlatch credential 1: KEK", &context)
}
