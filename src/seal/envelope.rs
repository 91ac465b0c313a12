//! The bytes of a sealed blob, as docs/spec/sealed-blob.md says.

mod layout;

use std::net::IpAddr;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use self::layout::{COMMITMENT_LEN, Layout, TAG_LEN, WRAP_NONCE_LEN, WRAPPED_DEK_LEN};
use crate::key::derivation::{Extracted, PROTOCOL, length_prefixed};
use crate::key::stretching::Stretching;
use crate::key::{Kek, Keks, KeyId, KeyReference, Provenance, SourceNumber};
use crate::request::{BlobLength, NodeUuid, SealedBlob};
use crate::secret::{KeyBytes, Plaintext};

const MAGIC: &[u8; 7] = b"\x89NLATCH";
const VERSION: u8 = 1;
const FLAG_ADDRESS_BOUND: u8 = 0x01;

/// Why a blob does not open, or a secret cannot be sealed. For the record: a peer must not be told which it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It is bound to an address, and none is known.
    #[error("the blob is bound to an address, and none is known")]
    AddressMissing,
    /// The data is not what was sealed.
    #[error("the data of the blob is damaged")]
    Data,
    /// The unwrapped DEK is not the one that the data was sealed with.
    #[error("the DEK of the blob is not the one that it commits to")]
    DekCommitment,
    /// A cipher refused to encrypt, which no input brings about.
    #[error("the cipher failed")]
    Encryption,
    /// It has flags that this version does not know.
    #[error("the blob has unknown flags, {0:#04x}")]
    Flags(u8),
    /// It is not one of nightlatch's blobs.
    #[error("the blob is not one of nightlatch's")]
    Foreign,
    /// It is sealed under another KEK: for another node, most likely.
    #[error("the blob was sealed for another node, or its header is damaged")]
    KekCommitment,
    /// It is shorter or longer than any blob can be.
    #[error("the blob is too short or too long for its kind: {0} bytes")]
    Length(usize),
    /// What was just sealed does not open again.
    #[error("the new blob does not open again")]
    NotReopened,
    /// The KEKs were derived for another call than the one that is to be answered.
    #[error("the KEKs are those of another call")]
    OtherCall,
    /// It names the key with a salt or parameters that are not those of that key.
    #[error("the blob names the key {0} with a salt or parameters that are not those of that key")]
    OtherParameters(KeyId),
    /// It wants a passphrase stretched with parameters that no reader accepts.
    #[error("the parameters of Argon2id in the blob are out of range")]
    Parameters,
    /// The kernel gave no random numbers.
    #[error("the kernel gave no random numbers")]
    Random(#[source] getrandom::Error),
    /// Its key comes from a source that this version does not know.
    #[error("the blob has a key source that is not known, {0}")]
    Source(u8),
    /// It is sealed under a key that is not the one at hand.
    #[error("the blob is sealed under the key {0}")]
    UnknownKey(KeyId),
    /// It is of a version that is not known.
    #[error("the blob has a version that is not known, {0}")]
    Version(u8),
    /// The wrapped DEK, or what stands before it, or the address is not what was sealed.
    #[error("the header of the blob is damaged, or it was sealed for another address")]
    WrappedDek,
}

impl Failed {
    /// The word for it in records and in docs/spec/sealed-blob.md.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AddressMissing => "address-missing",
            Self::Data => "data",
            Self::DekCommitment => "dek-commitment",
            Self::Encryption => "encryption",
            Self::Flags(_) => "flags",
            Self::Foreign => "foreign",
            Self::KekCommitment => "kek-commitment",
            Self::Length(_) => "length",
            Self::NotReopened => "not-reopened",
            Self::OtherCall => "other-call",
            Self::OtherParameters(_) => "other-parameters",
            Self::Parameters => "parameters",
            Self::Random(_) => "random",
            Self::Source(_) => "source",
            Self::UnknownKey(_) => "unknown-key",
            Self::Version(_) => "version",
            Self::WrappedDek => "wrapped-dek",
        }
    }
}

/// A blob whose layout is right. Nothing in it is authentic yet.
#[derive(Debug)]
pub struct Envelope<'a> {
    bytes: &'a [u8],
    flags: u8,
    key: KeyReference,
    wrap_nonce: &'a [u8; WRAP_NONCE_LEN],
    kek_commitment: &'a [u8; COMMITMENT_LEN],
    wrapped_dek: &'a [u8; WRAPPED_DEK_LEN],
    dek_commitment: &'a [u8; COMMITMENT_LEN],
    data: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Takes the layout of a blob apart: steps 2 to 7 of "Open" in the specification.
    ///
    /// # Errors
    /// [`Failed::Foreign`], [`Failed::Version`], [`Failed::Source`], [`Failed::Flags`], [`Failed::Length`] or
    /// [`Failed::Parameters`].
    pub fn parse(blob: &'a SealedBlob) -> Result<Self, Failed> {
        let bytes = blob.as_bytes();
        let length = || Failed::Length(bytes.len());
        let rest = bytes.strip_prefix(MAGIC).ok_or(Failed::Foreign)?;
        let (&version, rest) = rest.split_first().ok_or_else(length)?;
        if version != VERSION {
            return Err(Failed::Version(version));
        }
        let (&source, rest) = rest.split_first().ok_or_else(length)?;
        let source = SourceNumber::from_byte(source).ok_or(Failed::Source(source))?;
        let (&flags, rest) = rest.split_first().ok_or_else(length)?;
        if flags & !FLAG_ADDRESS_BOUND != 0 {
            return Err(Failed::Flags(flags));
        }
        let layout = Layout::of(source);
        if !(layout.min_len..=layout.max_len).contains(&bytes.len()) {
            return Err(length());
        }
        let (&key_id, rest) = rest.split_first_chunk().ok_or_else(length)?;
        let (provenance, rest) = match source {
            SourceNumber::Credential => (Provenance::Credential, rest),
            SourceNumber::Passphrase => {
                let (stretching, rest) = rest.split_first_chunk().ok_or_else(length)?;
                let stretching = Stretching::from_bytes(stretching).map_err(|_| Failed::Parameters)?;
                (Provenance::Passphrase(stretching), rest)
            }
        };
        let (wrap_nonce, rest) = rest.split_first_chunk().ok_or_else(length)?;
        let (kek_commitment, rest) = rest.split_first_chunk().ok_or_else(length)?;
        let (wrapped_dek, rest) = rest.split_first_chunk().ok_or_else(length)?;
        let (dek_commitment, data) = rest.split_first_chunk().ok_or_else(length)?;
        let key = KeyReference { provenance, id: KeyId::from_bytes(key_id) };
        Ok(Self { bytes, flags, key, wrap_nonce, kek_commitment, wrapped_dek, dek_commitment, data })
    }

    /// The key that it claims to be sealed under.
    #[must_use]
    pub fn key(&self) -> KeyReference {
        self.key
    }

    /// Whether it claims to be bound to an address.
    #[must_use]
    pub fn is_address_bound(&self) -> bool {
        self.flags & FLAG_ADDRESS_BOUND != 0
    }

    /// Steps 11 to 14, with the KEK whose commitment it is, and what was extracted from that.
    fn open(&self, kek: &Kek, extracted: &Extracted, address: Option<IpAddr>) -> Result<Plaintext, Failed> {
        let context = context(kek.node(), address);
        let Layout { wrapped_dek_at, data_at, .. } = Layout::of(self.key.number());
        let associated = |end| [&context, self.bytes.get(..end).unwrap_or(self.bytes)].concat();

        let (sealed_dek, tag) = self.wrapped_dek.split_last_chunk::<TAG_LEN>().ok_or(Failed::WrappedDek)?;
        let dek = KeyBytes::try_fill(|dek| {
            dek.copy_from_slice(sealed_dek);
            XChaCha20Poly1305::new(kek_encryption_key(extracted).expose().into())
                .decrypt_inout_detached(
                    &XNonce::from(*self.wrap_nonce),
                    &associated(wrapped_dek_at),
                    InOutBuf::from(dek.as_mut_slice()),
                    &Tag::from(*tag),
                )
                .map_err(|_| Failed::WrappedDek)
        })?;
        let dek = Extracted::from(&dek);
        if !equal(&dek_commitment(&dek), self.dek_commitment) {
            return Err(Failed::DekCommitment);
        }
        let (sealed_secret, tag) = self.data.split_last_chunk::<TAG_LEN>().ok_or(Failed::Data)?;
        let mut secret = Zeroizing::new(sealed_secret.to_vec());
        ChaCha20Poly1305::new(dek_encryption_key(&dek).expose().into())
            .decrypt_inout_detached(
                &SINGLE_USE_NONCE.into(),
                &associated(data_at),
                InOutBuf::from(secret.as_mut_slice()),
                &Tag::from(*tag),
            )
            .map_err(|_| Failed::Data)?;
        Plaintext::new(std::mem::take(&mut *secret)).map_err(|_| Failed::Data)
    }
}

/// A secret that was unsealed, and the KEK that did it.
#[derive(Debug)]
pub struct Opened<'a> {
    /// The secret.
    pub plaintext: Plaintext,
    /// The KEK under which it was sealed.
    pub kek: &'a Kek,
}

/// Opens a blob with the one of `keks` that it is sealed under. `address` is looked at only when the blob is bound.
///
/// # Errors
/// The first check of the specification that failed.
pub fn open<'a>(keks: &'a Keks, address: Option<IpAddr>, blob: &SealedBlob) -> Result<Opened<'a>, Failed> {
    open_with(keks.iter(), address, blob)
}

fn open_with<'a>(
    keks: impl Iterator<Item = &'a Kek>,
    address: Option<IpAddr>,
    blob: &SealedBlob,
) -> Result<Opened<'a>, Failed> {
    let envelope = Envelope::parse(blob)?;
    let mut keks = keks.filter(|kek| kek.key().names_the_same(&envelope.key)).peekable();
    match keks.peek() {
        None => return Err(Failed::UnknownKey(envelope.key.id)),
        Some(kek) if kek.key() != envelope.key => return Err(Failed::OtherParameters(envelope.key.id)),
        Some(_) => {}
    }
    let address = match (envelope.is_address_bound(), address) {
        (false, _) => None,
        (true, Some(address)) => Some(address),
        (true, None) => return Err(Failed::AddressMissing),
    };
    let committed = keks.find_map(|kek| {
        let extracted = Extracted::from(kek.secret());
        equal(&kek_commitment(&extracted), envelope.kek_commitment).then_some((kek, extracted))
    });
    let (kek, extracted) = committed.ok_or(Failed::KekCommitment)?;
    Ok(Opened { plaintext: envelope.open(kek, &extracted, address)?, kek })
}

/// Seals `plaintext` under the node's own KEK, bound to `address` when there is one, and opens the blob again, with
/// that KEK derived anew, before it returns it.
///
/// # Errors
/// [`Failed::Random`] when there are no random numbers; [`Failed::NotReopened`] when memory or the processor erred.
pub fn seal(keks: &Keks, address: Option<IpAddr>, plaintext: &Plaintext) -> Result<SealedBlob, Failed> {
    let fresh = KeyBytes::try_fill(|fresh| getrandom::fill(fresh)).map_err(Failed::Random)?;
    let (dek, wrap_nonce) = hedged(keks.own(), address, plaintext, &fresh);
    let blob = seal_with(keks.own(), address, plaintext, &dek, &wrap_nonce)?;
    reopen(keks.own_anew().ok_or(Failed::OtherCall)?, address, plaintext, &blob)?;
    Ok(blob)
}

/// A DEK and a wrap nonce that are new because of `fresh`, and that differ for what differs even if `fresh` does not: a
/// virtual machine that was cloned may see the same random numbers twice. Both of them, as a new DEK would otherwise be
/// wrapped under a nonce that another one was.
fn hedged(
    kek: &Kek,
    address: Option<IpAddr>,
    plaintext: &Plaintext,
    fresh: &KeyBytes,
) -> (KeyBytes, [u8; WRAP_NONCE_LEN]) {
    let input = Zeroizing::new([&fresh.expose()[..], &context(kek.node(), address), plaintext.expose()].concat());
    let kek = Extracted::from(kek.secret());
    let dek = kek.secret("nightlatch sealed blob 1: DEK", &input);
    let wrap_nonce = kek.public("nightlatch sealed blob 1: wrap nonce", &input);
    (dek, wrap_nonce)
}

/// Opens a new blob as a later Unseal will. A seal that cannot be unsealed is a lost disk.
fn reopen(kek: &Kek, address: Option<IpAddr>, plaintext: &Plaintext, blob: &SealedBlob) -> Result<(), Failed> {
    match open_with(std::iter::once(kek), address, blob) {
        Ok(opened) if equal(opened.plaintext.expose(), plaintext.expose()) => Ok(()),
        _ => Err(Failed::NotReopened),
    }
}

/// Steps 2 and 3 of "Seal". Neither `dek` nor `wrap_nonce` may be used twice.
fn seal_with(
    kek: &Kek,
    address: Option<IpAddr>,
    plaintext: &Plaintext,
    dek: &KeyBytes,
    wrap_nonce: &[u8; WRAP_NONCE_LEN],
) -> Result<SealedBlob, Failed> {
    let context = context(kek.node(), address);
    let flags = if address.is_some() { FLAG_ADDRESS_BOUND } else { 0 };
    let (extracted, extracted_dek) = (Extracted::from(kek.secret()), Extracted::from(dek));
    // All the room at once: a vector that grows would leave copies behind that are not wiped.
    let mut blob = Vec::with_capacity(Layout::of(kek.key().number()).max_len);
    blob.extend_from_slice(MAGIC);
    blob.extend_from_slice(&[VERSION, kek.key().number().as_byte(), flags]);
    blob.extend_from_slice(kek.key_id().as_bytes());
    match kek.key().provenance {
        Provenance::Credential => {}
        Provenance::Passphrase(stretching) => blob.extend_from_slice(&stretching.to_bytes()),
    }
    blob.extend_from_slice(wrap_nonce);
    blob.extend_from_slice(&kek_commitment(&extracted));

    let mut wrapped = Zeroizing::new([0; KeyBytes::LEN]);
    wrapped.copy_from_slice(dek.expose());
    let tag = XChaCha20Poly1305::new(kek_encryption_key(&extracted).expose().into())
        .encrypt_inout_detached(
            &XNonce::from(*wrap_nonce),
            &[&*context, &*blob].concat(),
            InOutBuf::from(wrapped.as_mut_slice()),
        )
        .map_err(|_| Failed::Encryption)?;
    blob.extend_from_slice(&*wrapped);
    blob.extend_from_slice(&tag);
    blob.extend_from_slice(&dek_commitment(&extracted_dek));

    let mut data = Zeroizing::new(plaintext.expose().to_vec());
    let tag = ChaCha20Poly1305::new(dek_encryption_key(&extracted_dek).expose().into())
        .encrypt_inout_detached(
            &SINGLE_USE_NONCE.into(),
            &[&*context, &*blob].concat(),
            InOutBuf::from(data.as_mut_slice()),
        )
        .map_err(|_| Failed::Encryption)?;
    blob.extend_from_slice(&data);
    blob.extend_from_slice(&tag);
    SealedBlob::new(blob).map_err(|BlobLength| Failed::Encryption)
}

/// A DEK encrypts one message, so every nonce is new to it.
const SINGLE_USE_NONCE: [u8; 12] = [0; 12];

/// What a blob is bound to without holding it.
fn context(node: &NodeUuid, address: Option<IpAddr>) -> Vec<u8> {
    let address = match address.map(|address| address.to_canonical()) {
        None => vec![],
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets().to_vec(),
    };
    [length_prefixed(PROTOCOL.as_bytes()), length_prefixed(node.as_str().as_bytes()), length_prefixed(&address)]
        .concat()
}

fn kek_encryption_key(kek: &Extracted) -> KeyBytes {
    kek.secret("nightlatch sealed blob 1: KEK encryption key", &[])
}

fn kek_commitment(kek: &Extracted) -> [u8; COMMITMENT_LEN] {
    kek.public("nightlatch sealed blob 1: KEK commitment", &[])
}

fn dek_encryption_key(dek: &Extracted) -> KeyBytes {
    dek.secret("nightlatch sealed blob 1: DEK encryption key", &[])
}

fn dek_commitment(dek: &Extracted) -> [u8; COMMITMENT_LEN] {
    dek.public("nightlatch sealed blob 1: DEK commitment", &[])
}

fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests;
