//! Where the fields of a sealed blob are: the tables of docs/spec/sealed-blob.md, "Layout".

use crate::key::stretching::Stretching;
use crate::key::{KeyId, SourceNumber};
use crate::secret::{KeyBytes, MAX_PLAINTEXT_LEN};

pub(super) const WRAP_NONCE_LEN: usize = 24;
pub(super) const COMMITMENT_LEN: usize = 32;
pub(super) const TAG_LEN: usize = 16;
pub(super) const WRAPPED_DEK_LEN: usize = KeyBytes::LEN + TAG_LEN;

/// Where the fields of one source are, in bytes from the beginning.
pub(super) struct Layout {
    /// The wrapped DEK; what is before it is its associated data.
    pub(super) wrapped_dek_at: usize,
    /// The data; what is before it is its associated data.
    pub(super) data_at: usize,
    /// The shortest blob.
    pub(super) min_len: usize,
    /// The longest blob.
    pub(super) max_len: usize,
}

impl Layout {
    /// `provenance_len` is how much stands between key id and wrap nonce.
    const fn new(provenance_len: usize) -> Self {
        let wrapped_dek_at = 10 + KeyId::LEN + provenance_len + WRAP_NONCE_LEN + COMMITMENT_LEN;
        let data_at = wrapped_dek_at + WRAPPED_DEK_LEN + COMMITMENT_LEN;
        let (min_len, max_len) = (data_at + 1 + TAG_LEN, data_at + MAX_PLAINTEXT_LEN + TAG_LEN);
        assert!(data_at + 32 + TAG_LEN <= 256, "a disk key's blob must stay small");
        Self { wrapped_dek_at, data_at, min_len, max_len }
    }

    pub(super) const fn of(source: SourceNumber) -> Self {
        const CREDENTIAL: Layout = Layout::new(0);
        const PASSPHRASE: Layout = Layout::new(Stretching::LEN);
        const _: () = assert!(CREDENTIAL.wrapped_dek_at == 74 && CREDENTIAL.data_at == 154);
        const _: () = assert!(CREDENTIAL.min_len == 171 && CREDENTIAL.max_len == 682);
        const _: () = assert!(PASSPHRASE.wrapped_dek_at == 96 && PASSPHRASE.data_at == 176);
        const _: () = assert!(PASSPHRASE.min_len == 193 && PASSPHRASE.max_len == 704);
        match source {
            SourceNumber::Credential => CREDENTIAL,
            SourceNumber::Passphrase => PASSPHRASE,
        }
    }
}
