//! The certificate that nodes are shown, as a value: what its file says, whether the private key belongs to it, when it
//! ends, and whether a node would take it. Files are read elsewhere, and the time is an argument.

pub mod examination;
pub mod expiry;
pub mod key;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

use self::key::KeyError;
use crate::clock::WallTime;
use crate::secret::SecretContents;

/// Longest file with certificates, in bytes.
pub const MAX_CHAIN_LEN: usize = 128 * 1024;

/// Most certificates in it: the server's own, and those between it and a root.
const MAX_CERTIFICATES: usize = 8;

/// Most names of a certificate that are kept to be shown.
const MAX_NAMES: usize = 64;

/// Longest name that is shown, in characters.
const MAX_NAME_LEN: usize = 100;

/// What TLS is made of here: version 1.3, and key exchanges that nodes have. Hybrid ones come first.
#[must_use]
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..default_provider()
    }
}

/// A certificate with its chain, and the private key that belongs to it.
pub struct Pair {
    certified: Arc<CertifiedKey>,
    chain: Vec<Facts>,
    /// The host names and addresses that the certificate is for.
    names: Vec<String>,
    key: String,
}

/// What a certificate of the chain says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it is for: the first name of the server's own, else its common name, else its whole name. Printable.
    pub subject: String,
    /// Who issued it, likewise.
    pub issuer: String,
    /// Whether it names itself as issuer.
    pub is_self_issued: bool,
    /// Whether one of Mozilla's roots has the name of the issuer. Nodes need nothing behind it.
    pub is_below_public_root: bool,
    /// From when it is valid.
    pub not_before: WallTime,
    /// Up to when.
    pub not_after: WallTime,
}

/// Why a certificate and a key cannot be used. [`hint`](Self::hint) says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// There is no certificate.
    #[error("there is no certificate in PEM in the file of the certificate")]
    NoCertificate,
    /// There are more than [`MAX_CERTIFICATES`].
    #[error("there are more than {MAX_CERTIFICATES} certificates in the file of the certificate")]
    TooMany,
    /// A certificate is damaged; counted from 1.
    #[error("the certificate number {0} in the file is damaged")]
    Damaged(usize),
    /// The private key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate of `{subject}`, the first one in the file")]
    Mismatch {
        /// What the certificate is for.
        subject: String,
    },
    /// The certificate cannot be used for anything that the library knows.
    #[error("the certificate cannot be used for TLS")]
    Unusable(#[source] rustls::Error),
}

impl PairError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoCertificate => "it must hold a line -----BEGIN CERTIFICATE-----",
            Self::TooMany => "keep the server's own certificate and those between it and the root",
            Self::Damaged(_) => "see that openssl x509 -noout -text -in FILE reads it; copy it again",
            Self::Key(error) => error.hint(),
            Self::Mismatch { .. } => "put the server's own certificate first, and take the key of the same renewal",
            Self::Unusable(_) => "get a new one: X.509 version 3, with subject alternative names",
        }
    }
}

/// Why nodes refuse a certificate although it fits the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// One of the chain has ended.
    Expired,
    /// One of the chain is not valid yet.
    NotYetValid,
    /// It is not for this name, which nodes call the server by.
    NotFor(String),
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("it has expired"),
            Self::NotYetValid => f.write_str("it is not valid yet"),
            Self::NotFor(name) => write!(f, "it is not for {name}"),
        }
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Pair {
    /// The certificates in `chain` (PEM, the server's own first) with the key in `key`, which `passphrase` opens if it is
    /// encrypted. Dates and names may be whatever they are: see [`defects`](Self::defects).
    ///
    /// # Errors
    /// [`PairError`].
    pub fn parse(chain: &[u8], key: &SecretContents, passphrase: Option<&SecretContents>) -> Result<Self, PairError> {
        let certificates = certificates(chain)?;
        let facts = certificates.iter().enumerate().map(|(at, der)| Facts::of(der).ok_or(PairError::Damaged(at + 1)));
        let mut facts = facts.collect::<Result<Vec<_>, _>>()?;
        let (Some(own), Some(first)) = (certificates.first(), facts.first_mut()) else {
            return Err(PairError::NoCertificate);
        };
        let (names, kind) = own_facts(own).ok_or(PairError::Damaged(1))?;
        // Public authorities leave the common name out.
        if let Some(name) = names.first() {
            first.subject.clone_from(name);
        }
        let subject = first.subject.clone();
        let certified = CertifiedKey::new(certificates, key::parse(key, passphrase)?);
        match certified.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(PairError::Mismatch { subject }),
            Err(error) => return Err(PairError::Unusable(error)),
        }
        Ok(Self { certified: Arc::new(certified), chain: facts, names, key: kind })
    }

    /// What the library takes.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// What the certificates say, the server's own first. There is at least one.
    #[must_use]
    pub fn chain(&self) -> &[Facts] {
        &self.chain
    }

    /// What the server's own certificate is for, in a word.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.chain.first().map_or("", |own| &own.subject)
    }

    /// The host names and addresses that it is for, in its order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Those certificates of the chain that a node needs: up to the first below a public root. Authorities send what an
    /// older root has signed as well, for clients that lack the newer one, and it may have expired.
    pub fn path(&self) -> impl Iterator<Item = &Facts> {
        let end = self.chain.iter().position(|facts| facts.is_below_public_root);
        self.chain.iter().take(end.map_or(usize::MAX, |end| end + 1))
    }

    /// When the first of those ends: nodes refuse all of it then.
    #[must_use]
    pub fn not_after(&self) -> WallTime {
        self.path().map(|facts| facts.not_after).min().unwrap_or_default()
    }

    /// From when all of those are valid.
    #[must_use]
    pub fn not_before(&self) -> WallTime {
        self.path().map(|facts| facts.not_before).max().unwrap_or_default()
    }

    /// Whether it is for `name`. The common name does not count, for nodes neither.
    #[must_use]
    pub fn is_for(&self, name: &ServerName<'_>) -> bool {
        let parsed = self.certified.end_entity_cert().and_then(ParsedCertificate::try_from);
        parsed.is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
    }

    /// Why nodes that call the server by `names` would refuse it now, whomever they trust.
    #[must_use]
    pub fn defects(&self, names: &[ServerName<'_>], now: WallTime) -> Vec<Defect> {
        let dates = [(now > self.not_after(), Defect::Expired), (now < self.not_before(), Defect::NotYetValid)];
        let dates = dates.into_iter().filter(|(is_so, _)| *is_so).map(|(_, defect)| defect);
        let names = names.iter().filter(|name| !self.is_for(name)).map(|name| Defect::NotFor(name.to_str().into()));
        dates.chain(names).collect()
    }
}

impl Facts {
    fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = parse(der)?;
        let validity = certificate.validity();
        let time = |seconds: i64| WallTime::from_unix_millis(seconds.saturating_mul(1000));
        Some(Self {
            subject: name(certificate.subject()),
            issuer: name(certificate.issuer()),
            is_self_issued: certificate.subject() == certificate.issuer(),
            is_below_public_root: is_public_root(certificate.issuer()),
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
        })
    }
}

/// The certificates in `pem`, at most [`MAX_CERTIFICATES`]; whatever else stands there is left out.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let mut certificates = vec![];
    for section in CertificateDer::pem_slice_iter(pem) {
        if certificates.len() == MAX_CERTIFICATES {
            return Err(PairError::TooMany);
        }
        certificates.push(section.map_err(|_| PairError::Damaged(certificates.len() + 1))?);
    }
    if certificates.is_empty() { Err(PairError::NoCertificate) } else { Ok(certificates) }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

/// The names that the server's own certificate is for, and the kind of its key.
fn own_facts(der: &CertificateDer<'_>) -> Option<(Vec<String>, String)> {
    let certificate = parse(der)?;
    let general = certificate.subject_alternative_name().ok().flatten();
    let general = general.map(|extension| &extension.value.general_names[..]).unwrap_or_default();
    let names = general.iter().take(MAX_NAMES).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(printable(name)),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    });
    let key = match certificate.public_key().parsed() {
        Ok(PublicKey::EC(point)) => format!("ECDSA, {} bits", point.key_size()),
        Ok(PublicKey::RSA(key)) => format!("RSA, {} bits", key.key_size()),
        _ => "of another kind than RSA and ECDSA".to_owned(),
    };
    Some((names.collect(), key))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))).ok()
}

fn name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|name| name.as_str().ok());
    match common {
        Some(common) => printable(common),
        None => printable(&name.to_string()),
    }
}

fn is_public_root(name: &X509Name<'_>) -> bool {
    // The list of roots has names without tag and length (X.690, 8.1).
    let ([_, 0x81, _, contents @ ..] | [_, 0x82, _, _, contents @ ..] | [_, ..=0x7F, contents @ ..]) = name.as_raw()
    else {
        return false;
    };
    webpki_roots::TLS_SERVER_ROOTS.iter().any(|root| root.subject.as_ref() == contents)
}

/// What a certificate says, on one line and without anything that could steer a terminal.
fn printable(text: &str) -> String {
    let text = if text.is_empty() { "(no name)" } else { text };
    text.chars().take(MAX_NAME_LEN).map(|char| if matches!(char, ' '..='~') { char } else { '\u{fffd}' }).collect()
}

fn unix_time(now: WallTime) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(now.unix_millis()).unwrap_or(0)))
}

#[cfg(test)]
pub(crate) mod tests;
