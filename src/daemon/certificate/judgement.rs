//! Whether a node would accept the certificate that the configuration names: what `nightlatch check --tls` shows.

use std::path::Path;

use rustls::pki_types::ServerName;

use super::{CertificateError, read};
use crate::certificate::Pair;
use crate::certificate::examination::{Finding, MAX_ROOTS_LEN, Trust, examine, named_roots, public_roots};
use crate::clock::WallTime;
use crate::config;
use crate::credential::contents::{self, Access, ContentsError};
use crate::listen::tls::rehearse;

/// What was found about a certificate.
#[derive(Debug)]
pub struct Judgement {
    /// What the certificate is for, in a word.
    pub subject: String,
    /// Thing by thing.
    pub findings: Vec<Finding>,
    /// By which roots nodes trust it.
    pub trust: Trust,
}

impl Judgement {
    /// Whether there is a volume for which a node would accept the server.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.trust != Trust::None && self.findings.iter().all(|finding| finding.to_do.is_none())
    }
}

/// Why there is nothing to judge. [`hint`](Self::hint) says what to do.
#[derive(Debug, thiserror::Error)]
pub enum JudgementError {
    /// The certificate or its key cannot be used at all.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The roots cannot be read.
    #[error("cannot read the roots")]
    Roots(#[from] ContentsError),
    /// They are no list of certificates.
    #[error("there is no root certificate in PEM in the file of the roots, or one that cannot be used")]
    NoRoots,
}

impl JudgementError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Certificate(error) => error.hint(),
            Self::Roots(_) | Self::NoRoots => "name the file with what TrustedRootsConfig of the nodes has".to_owned(),
        }
    }
}

/// What nodes would think of the certificate that `places` name, as of `now`, with those roots beside the public ones
/// that are in the file `roots`.
///
/// # Errors
/// [`JudgementError`].
pub fn judge(places: &config::Certificate, roots: Option<&Path>, now: WallTime) -> Result<Judgement, JudgementError> {
    judge_pair(&read(places)?, &places.names, roots, now)
}

/// The same of a certificate that somebody else read.
///
/// # Errors
/// [`JudgementError`], of the roots alone.
pub fn judge_pair(
    pair: &Pair,
    names: &[ServerName<'static>],
    roots: Option<&Path>,
    now: WallTime,
) -> Result<Judgement, JudgementError> {
    let named = match roots {
        None => None,
        Some(path) => {
            let pem = contents::from_file(path, Access::Anyone, MAX_ROOTS_LEN)?;
            Some(named_roots(pem.expose()).ok_or(JudgementError::NoRoots)?)
        }
    };
    let (mut findings, trust) = examine(pair, names, &public_roots(), named.as_ref(), now);
    findings.push(handshake(pair, names));
    Ok(Judgement { subject: pair.subject().to_owned(), findings, trust })
}

fn handshake(pair: &Pair, names: &[ServerName<'static>]) -> Finding {
    let agreed = names.first().ok_or(rustls::Error::HandshakeNotComplete);
    match agreed.and_then(|name| rehearse(pair, name.clone())) {
        Ok(agreed) => Finding::fine(
            "handshake",
            format!("{}, {}, key exchange {}", agreed.version, agreed.protocol, agreed.key_exchange),
        ),
        Err(error) => Finding::wrong("handshake", error.to_string(), "get another certificate, or key"),
    }
}
