//! What of the things that were seen is as it should be, and what to do about the rest. Pure.

mod clock;
mod people;
mod secrets;
mod service;
mod sockets;
mod storage;
mod tls;

use super::facts::Host;
use super::finding::Finding;

/// Every finding, in the order in which they are shown.
pub(super) fn judge(host: &Host) -> Vec<Finding> {
    let mut findings = service::configuration(host);
    findings.extend(service::server(host));
    findings.extend(secrets::credentials(host));
    findings.extend(secrets::swap(host));
    findings.extend(storage::storage(host));
    findings.extend(sockets::sockets(host));
    findings.extend(people::people(host));
    findings.extend(service::bot(host));
    findings.extend(tls::certificate(host));
    findings.extend(tls::names(host));
    findings.extend(clock::clock(host));
    findings
}

/// `items` with commas between them.
fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
