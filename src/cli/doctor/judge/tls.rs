//! The certificate, and the names that nodes call this host by.

use super::list;
use crate::cli::doctor::facts::{Address, Host};
use crate::cli::doctor::finding::{Check, Finding};

/// From when on what renews a certificate should have done so, in days.
const SOON: u64 = 21;

/// The certificate, thing by thing; nothing without TLS.
pub(super) fn certificate(host: &Host) -> Vec<Finding> {
    let certificate = match &host.certificate {
        None => return vec![],
        Some(Ok(certificate)) => certificate,
        Some(Err(complaint)) => {
            return vec![match &complaint.unseen {
                Some(unseen) => Finding::not_looked_at(Check::Certificate, "", unseen),
                None => Finding::wrong(Check::Certificate, "", &complaint.error, &complaint.hint),
            }];
        }
    };
    let judged = certificate.findings.iter().map(|(subject, found, to_do)| match to_do {
        Some(to_do) => Finding::wrong(Check::Certificate, subject, found, to_do),
        None if subject == "dates" && certificate.days_left <= SOON => {
            let hint = "see why what renews it did not: journal of certbot, lego, acme.sh, …; nightlatch check --tls";
            Finding::warning(Check::Certificate, subject, found, hint)
        }
        None => Finding::ok(Check::Certificate, subject, found),
    });
    judged.collect()
}

/// What names are resolved to.
pub(super) fn names(host: &Host) -> Vec<Finding> {
    let judged = host.names.iter().map(|(name, resolved)| match resolved {
        Err(complaint) => Finding::warning(Check::Name, name, &complaint.error, complaint.hint.replace("NAME", name)),
        Ok(addresses) => addressed(name, addresses),
    });
    judged.collect()
}

fn addressed(name: &str, addresses: &[Address]) -> Finding {
    let (ours, others): (Vec<&Address>, Vec<&Address>) = addresses.iter().partition(|address| address.is_ours);
    let shown = |addresses: &[&Address]| list(addresses.iter().map(|address| address.address));
    match (&*ours, &*others) {
        ([], []) => Finding::warning(Check::Name, name, "it has no address", format!("getent hosts {name}")),
        (ours, []) => Finding::ok(Check::Name, name, format!("{}, an address of this host", shown(ours))),
        (_, others) => {
            let found = format!("{} is no address of this host", shown(others));
            let hint = "correct it in the name server; with address translation in between, all nodes are one address";
            Finding::warning(Check::Name, name, found, hint)
        }
    }
}
