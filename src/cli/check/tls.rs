//! `nightlatch check --tls`: whether a node would accept the certificate, thing by thing.

use std::path::Path;

use rustls::pki_types::ServerName;

use super::{Failure, exit, line, print_document};
use crate::certificate::examination::{Trust, WHY_STATE};
use crate::cli::serve::{certificate_code, key_code};
use crate::clock::{Clock, HostClock, WallTime};
use crate::config::{self, Config, Place, Tls};
use crate::credential::contents::ContentsError;
use crate::daemon::certificate::judgement::{Judgement, JudgementError, judge};

pub(super) fn run(config: &Config, roots: Option<&Path>) -> Result<(), Failure> {
    let places = match &config.tls {
        Tls::On(places) => places,
        Tls::Off => {
            return Err(Failure::new(exit::CONFIG, "the configuration says tls = \"off\": there is no certificate")
                .hint("add [tls] with certificate, key and names in its place"));
        }
    };
    let (text, accepted) = judged(places, roots, HostClock.now().wall)?;
    print_document(text.as_bytes())?;
    if accepted {
        return Ok(());
    }
    Err(Failure::new(exit::DATA, "a node would refuse this server, and could not unlock its disks")
        .hint("correct what is marked with NO above; the running server takes new files by itself within a minute"))
}

fn judged(places: &config::Certificate, roots: Option<&Path>, now: WallTime) -> Result<(String, bool), Failure> {
    let judgement = judge(places, roots, now).map_err(|error| {
        let code = match &error {
            JudgementError::Certificate(error) => certificate_code(error),
            JudgementError::Roots(ContentsError::Access(error)) => key_code(error),
            JudgementError::Roots(_) | JudgementError::NoRoots => exit::DATA,
        };
        Failure::new(code, error.to_string()).because(&error).hint(error.hint())
    })?;
    Ok((shown(places, &judgement), judgement.is_accepted()))
}

fn shown(places: &config::Certificate, judgement: &Judgement) -> String {
    let mut text = String::new();
    line(&mut text, &format!("certificate of `{}`, {}\n", judgement.subject, place(&places.certificate)));
    for finding in &judgement.findings {
        let mark = if finding.to_do.is_none() { "ok" } else { "NO" };
        line(&mut text, &format!("{mark}  {:<12} {}", finding.subject, finding.found));
        if let Some(to_do) = &finding.to_do {
            line(&mut text, &format!("    {:<12} -> {to_do}", ""));
        }
    }
    text.push('\n');
    let (state, others) = match (judgement.is_accepted(), judgement.trust) {
        (true, Trust::Public) => ("accepted", "accepted"),
        (true, _) => ("REFUSED", "accepted, by nodes that have the roots you named (TrustedRootsConfig)"),
        (false, _) => ("REFUSED", "REFUSED"),
    };
    line(&mut text, &format!("for STATE          {state}"));
    line(&mut text, &format!("for other volumes  {others}"));
    if judgement.trust == Trust::Named {
        line(&mut text, &format!("\n{WHY_STATE}"));
    }
    text
}

/// Where a file is, in words.
pub(super) fn place(place: &Place) -> String {
    match place {
        Place::Credential(name) => format!("credential {name}"),
        Place::File(path) => format!("file {}", path.display()),
    }
}

/// Names, with blanks between them.
pub(super) fn names(names: &[ServerName<'_>]) -> String {
    names.iter().map(|name| name.to_str()).collect::<Vec<_>>().join(" ")
}
