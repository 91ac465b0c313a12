//! A certificate for the trial, with a private key that a passphrase opens.

use pkcs8::pkcs5::pbes2::Parameters;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// What the trial keeps in files, and what must not be said.
pub struct Certificate {
    pub root: String,
    pub chain: String,
    pub key: String,
    pub passphrase: Vec<u8>,
    /// The number that is the private key; the rest of its file is public.
    pub scalar: Vec<u8>,
}

pub fn make(passphrase: Vec<u8>) -> Certificate {
    let mut authority = CertificateParams::new(vec![]).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let root = authority.self_signed(&authority_key).expect("signed").pem();
    let authority = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
    let chain = server.signed_by(&key, &authority).expect("signed").pem();
    let der = key.serialize_der();
    // RFC 5915: version 1, then an octet string of 32 bytes.
    let before = [2, 1, 1, 4, 32];
    let at = der.windows(before.len()).position(|bytes| bytes == before).expect("a key of P-256") + before.len();
    Certificate { root, chain, key: encrypted(&der, &passphrase), scalar: der[at..at + 32].to_vec(), passphrase }
}

fn encrypted(der: &[u8], passphrase: &[u8]) -> String {
    let parameters =
        Parameters::generate_pbkdf2_sha256_aes256cbc(1_000, b"saltsaltsaltsalt", [7; 16]).expect("parameters");
    let encrypted_data = parameters.encrypt(passphrase, der).expect("encrypted");
    let info = pkcs8::EncryptedPrivateKeyInfoOwned {
        encryption_algorithm: parameters.into(),
        encrypted_data: pkcs8::der::asn1::OctetString::new(encrypted_data).expect("short"),
    };
    let document = pkcs8::SecretDocument::try_from(info).expect("DER");
    document.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).expect("PEM").to_string()
}
