//! What a node would think of the server's certificate, thing by thing, and what to do about what it would not like.

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};

use super::expiry::{DAY, days_left};
use super::{Pair, provider, unix_time};
use crate::clock::WallTime;

/// Longest file of roots, in bytes.
pub const MAX_ROOTS_LEN: usize = 1024 * 1024;

/// Why nodes take no other roots for STATE.
pub const WHY_STATE: &str = "a node's configuration, and every root in it, is kept in STATE: until STATE is open the node \
                             trusts Mozilla's roots alone";

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub subject: &'static str,
    /// What was found.
    pub found: String,
    /// What to do, if a node would refuse the server for it.
    pub to_do: Option<String>,
}

impl Finding {
    /// A node likes it.
    pub fn fine(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, found: found.into(), to_do: None }
    }

    /// A node refuses the server for it.
    pub fn wrong(subject: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { subject, found: found.into(), to_do: Some(to_do.into()) }
    }
}

/// By which roots nodes trust the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// By those of Mozilla, which every node has from the beginning.
    Public,
    /// By those that were named, which nodes have from their configuration.
    Named,
    /// By none.
    None,
}

/// Mozilla's roots, as of when this program was built. Talos has the same list, as of when it was built.
#[must_use]
pub fn public_roots() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

/// The roots in `pem`; `None` when there are none, or one of them cannot be used.
#[must_use]
pub fn named_roots(pem: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for section in CertificateDer::pem_slice_iter(pem) {
        roots.add(section.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}

/// What a node that calls the server by one of `names` finds, and by which roots it trusts the chain.
#[must_use]
pub fn examine(
    pair: &Pair,
    names: &[ServerName<'_>],
    public: &RootCertStore,
    named: Option<&RootCertStore>,
    now: WallTime,
) -> (Vec<Finding>, Trust) {
    let mut findings = vec![Finding::fine("private key", format!("belongs to the certificate ({})", pair.key))];
    findings.push(dates(pair, now));
    findings.push(names_covered(pair, names));
    let (chain, trust) = chain(pair, public, named, now);
    findings.push(chain);
    (findings, trust)
}

fn dates(pair: &Pair, now: WallTime) -> Finding {
    const RENEW: &str = "renew it, and see why what renews it by itself did not: journal of certbot, lego, acme.sh, …";
    let wrong = |found: String, to_do: &str| Finding::wrong("dates", found, to_do);
    for facts in pair.path() {
        if now > facts.not_after {
            return wrong(format!("`{}` expired on {}", facts.subject, day(facts.not_after)), RENEW);
        }
        if now < facts.not_before {
            let to_do = "see that the clock of this host is right; else wait, or get another";
            return wrong(format!("`{}` is not valid before {}", facts.subject, day(facts.not_before)), to_do);
        }
    }
    let left = days_left(pair.not_after(), now);
    let found = format!("{} to {}, {left} days left", day(pair.not_before()), day(pair.not_after()));
    let soon = now.until(pair.not_after()) <= 21 * DAY;
    Finding::fine("dates", if soon { format!("{found}, and what renews it should have done so by now") } else { found })
}

fn names_covered(pair: &Pair, names: &[ServerName<'_>]) -> Finding {
    let (covered, missing): (Vec<_>, Vec<_>) = names.iter().partition(|name| pair.is_for(name));
    let listed = |names: &[&ServerName<'_>]| names.iter().map(|name| name.to_str()).collect::<Vec<_>>().join(", ");
    if missing.is_empty() {
        return Finding::fine("names", listed(&covered));
    }
    let names = match pair.names() {
        [] => "has no subject alternative name, and the common name does not count".to_owned(),
        names => format!("is for {}", names.join(", ")),
    };
    let address = missing.iter().any(|name| matches!(name, ServerName::IpAddress(_)));
    let to_do = if address {
        "get a certificate with these names; an address must be in it as an IP address, or let the nodes' endpoint say a host name"
    } else {
        "get a certificate with these names, or let names in [tls] and the nodes' endpoint say one that it has"
    };
    Finding::wrong("names", format!("not for {}: it {names}", listed(&missing)), to_do)
}

fn chain(pair: &Pair, public: &RootCertStore, named: Option<&RootCertStore>, now: WallTime) -> (Finding, Trust) {
    let count = match pair.chain().len() {
        1 => "1 certificate".to_owned(),
        count => format!("{count} certificates"),
    };
    let root = pair.chain().last().map_or("", |last| &last.issuer);
    let Err(error) = verify(pair, public, now) else {
        return (Finding::fine("chain", format!("{count}, up to the public root of `{root}`")), Trust::Public);
    };
    match named.map(|roots| verify(pair, roots, now)) {
        Some(Ok(())) => {
            let found = format!("{count}, up to a root that you named: `{root}` is no public one");
            (Finding::fine("chain", found), Trust::Named)
        }
        Some(Err(named)) => (untrusted(pair, &named, true), Trust::None),
        None => (untrusted(pair, &error, false), Trust::None),
    }
}

fn verify(pair: &Pair, roots: &RootCertStore, now: WallTime) -> Result<(), Error> {
    let certified = pair.certified();
    let own = ParsedCertificate::try_from(certified.end_entity_cert()?)?;
    let between = certified.cert.get(1..).unwrap_or_default();
    let algorithms = provider().signature_verification_algorithms;
    verify_server_cert_signed_by_trust_anchor(&own, roots, between, unix_time(now), algorithms.all)
}

fn untrusted(pair: &Pair, error: &Error, roots_named: bool) -> Finding {
    let wrong = |found: String, to_do: &str| Finding::wrong("chain", found, to_do);
    let Error::InvalidCertificate(error) = error else {
        return wrong(error.to_string(), "get another certificate");
    };
    match (error, pair.chain()) {
        (CertificateError::UnknownIssuer, [own]) if own.is_self_issued => wrong(
            "the certificate is signed by itself".into(),
            "get one from a public authority, such as Let's Encrypt",
        ),
        (CertificateError::UnknownIssuer, [own]) => wrong(
            format!(
                "the file has the server's own certificate alone, and `{}`, which issued it, is no root",
                own.issuer
            ),
            "put the intermediate certificates behind it: ACME clients call that file fullchain.pem",
        ),
        (CertificateError::UnknownIssuer, [.., last]) if roots_named => wrong(
            format!("it ends at `{}`, which is neither a public root nor one of those that you named", last.issuer),
            "name the root itself with --roots, or put the certificate that is missing behind the others",
        ),
        (CertificateError::UnknownIssuer, [.., last]) => wrong(
            format!("it ends at `{}`, which is no public root", last.issuer),
            "get one from a public authority, such as Let's Encrypt; for disks other than STATE, nodes may trust a root of yours: see --roots",
        ),
        (CertificateError::Expired | CertificateError::ExpiredContext { .. }, _) => {
            wrong("one of the certificates has expired".into(), "see dates")
        }
        (CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }, _) => {
            wrong("one of the certificates is not valid yet".into(), "see dates")
        }
        (CertificateError::BadSignature, _) => wrong(
            "an authority in it, or a root of the same name, has another key than the one that signed".into(),
            "take the certificates of one renewal, and the root of today's authority",
        ),
        (CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. }, _) => {
            wrong("it is not for servers (extended key usage)".into(), "get one with the usage serverAuth")
        }
        (other, _) => wrong(other.to_string(), "get another certificate"),
    }
}

fn day(time: WallTime) -> String {
    let text = time.to_string();
    text.split_once('T').map_or(text.clone(), |(day, _)| day.to_owned())
}
