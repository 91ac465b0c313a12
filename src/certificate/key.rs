//! The private key in its file: PEM with PKCS#8 (plain, or encrypted with a passphrase), PKCS#1 or SEC1.

use std::sync::Arc;

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::SecretDocument;
use pkcs8::pkcs5::{EncryptionScheme, pbes2};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::SigningKey;

use crate::secret::SecretContents;

/// Longest file with a private key, in bytes: one of RSA with 8,192 bits has 6,400.
pub const MAX_KEY_LEN: usize = 16 * 1024;

/// Longest file with a passphrase, in bytes.
pub const MAX_PASSPHRASE_LEN: usize = 1024;

/// Most rounds of PBKDF2: some seconds. OpenSSL takes 2,048, and careful people 600,000.
const MAX_ROUNDS: u32 = 5_000_000;

/// Most memory for scrypt, in bytes. OpenSSL takes 16 MiB.
const MAX_SCRYPT_MEMORY: u64 = 64 * 1024 * 1024;

/// Most often that scrypt goes through its memory.
const MAX_SCRYPT_PASSES: u16 = 4;

/// Why there is no private key. Nothing of the key is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No private key in PEM.
    #[error("there is no private key in PEM in the file of the key")]
    None,
    /// Something that begins like one.
    #[error("the private key is damaged")]
    Damaged,
    /// Encrypted, and no passphrase is configured.
    #[error("the private key is encrypted, and no passphrase is configured")]
    NoPassphrase,
    /// It does not open with the passphrase.
    #[error("the private key does not open with the passphrase")]
    WrongPassphrase,
    /// Encrypted in a way that is not taken.
    #[error("the private key is encrypted in a way that is not supported")]
    Scheme,
    /// The file asks for more work than is done for it.
    #[error("the private key is encrypted with more rounds or memory than are allowed")]
    TooCostly,
    /// An algorithm or a curve that TLS 1.3 does not have.
    #[error("this kind of private key cannot be used for TLS 1.3")]
    Kind,
}

impl KeyError {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::None => "it must hold a line -----BEGIN PRIVATE KEY----- (or EC, RSA or ENCRYPTED before PRIVATE)",
            Self::Damaged => "see that openssl pkey -noout -text -in FILE reads it; copy it again",
            Self::NoPassphrase => {
                "add key_passphrase_credential or key_passphrase_file to [tls], or decrypt it: openssl pkey -in OLD -out NEW"
            }
            Self::WrongPassphrase => {
                "see that the passphrase is that of this key; one newline at its end is left out, and nothing else"
            }
            Self::Scheme | Self::TooCostly => "write it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW",
            Self::Kind => "take a key of ECDSA P-256, or of RSA with 2048 bits or more",
        }
    }
}

/// The private key in `pem`, which `passphrase` opens if it is encrypted. What is decoded on the way is wiped.
///
/// # Errors
/// [`KeyError`].
pub(super) fn parse(
    pem: &SecretContents,
    passphrase: Option<&SecretContents>,
) -> Result<Arc<dyn SigningKey>, KeyError> {
    let section = section(pem.expose())?;
    let (label, document) = SecretDocument::from_pem(section).map_err(|_| KeyError::Damaged)?;
    match label {
        "PRIVATE KEY" => pkcs8(&document),
        "EC PRIVATE KEY" => usable(&PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(document.as_bytes()))),
        "RSA PRIVATE KEY" => usable(&PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(document.as_bytes()))),
        "ENCRYPTED PRIVATE KEY" => pkcs8(&decrypt(&document, passphrase.ok_or(KeyError::NoPassphrase)?)?),
        _ => Err(KeyError::None),
    }
}

/// The first section of `pem` whose label ends in "PRIVATE KEY". Others may stand before it: curves, certificates.
fn section(pem: &[u8]) -> Result<&str, KeyError> {
    const LABEL: &str = "PRIVATE KEY-----";
    let text = std::str::from_utf8(pem).map_err(|_| KeyError::None)?;
    let label = text.find(LABEL).ok_or(KeyError::None)?;
    let begin = text.get(..label).and_then(|before| before.rfind("-----BEGIN ")).ok_or(KeyError::None)?;
    let body = label + LABEL.len();
    let end = text.get(body..).and_then(|rest| rest.find(LABEL)).ok_or(KeyError::Damaged)?;
    let section = text.get(begin..body + end + LABEL.len()).ok_or(KeyError::Damaged)?;
    // What OpenSSL wrote before it knew PKCS#8, with a key derived by one round of MD5.
    if section.contains("Proc-Type:") { Err(KeyError::Scheme) } else { Ok(section) }
}

fn pkcs8(document: &SecretDocument) -> Result<Arc<dyn SigningKey>, KeyError> {
    usable(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(document.as_bytes())))
}

fn usable(key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, KeyError> {
    any_supported_type(key).map_err(|_| KeyError::Kind)
}

fn decrypt(document: &SecretDocument, passphrase: &SecretContents) -> Result<SecretDocument, KeyError> {
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| KeyError::Scheme)?;
    let EncryptionScheme::Pbes2(parameters) = &encrypted.encryption_algorithm else { return Err(KeyError::Scheme) };
    is_affordable(&parameters.kdf)?;
    encrypted.decrypt(without_newline(passphrase.expose())).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }) => KeyError::Scheme,
        // Padding that is wrong, or what came out is no key.
        _ => KeyError::WrongPassphrase,
    })
}

/// A hostile or mistaken file must not hang the start, nor a reload.
fn is_affordable(kdf: &pbes2::Kdf) -> Result<(), KeyError> {
    let affordable = match kdf {
        pbes2::Kdf::Pbkdf2(parameters) => parameters.iteration_count <= MAX_ROUNDS,
        pbes2::Kdf::Scrypt(parameters) => {
            let memory = parameters.cost_parameter.saturating_mul(u64::from(parameters.block_size)).saturating_mul(128);
            memory <= MAX_SCRYPT_MEMORY && parameters.parallelization <= MAX_SCRYPT_PASSES
        }
        _ => return Err(KeyError::Scheme),
    };
    if affordable { Ok(()) } else { Err(KeyError::TooCostly) }
}

fn without_newline(passphrase: &[u8]) -> &[u8] {
    let text = passphrase.strip_suffix(b"\n").unwrap_or(passphrase);
    text.strip_suffix(b"\r").unwrap_or(text)
}
