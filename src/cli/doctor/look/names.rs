//! Users and groups, and what names are resolved to.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::cli::APPROVERS_GROUP;
use crate::cli::doctor::facts::{Accounts, Address, Complaint};
use crate::cli::doctor::finding::Unseen;
use crate::cli::doctor::program::run;
use crate::cli::doctor::unit::Unit;
use crate::config::{Config, People, Tls};

/// How long a directory of users may take, which may be on the network.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a name server may take, for all names together.
const RESOLVING: Duration = Duration::from_secs(5);

/// Most addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;

/// Users and groups that units or the configuration name.
pub(super) fn accounts(config: Option<&Config>, units: &[Unit]) -> Result<Accounts, Unseen> {
    let mut users = vec!["root".to_owned(), "nightlatch".into(), "nightlatch-bot".into()];
    users.extend(units.iter().flat_map(|unit| [unit.user(), unit.socket_user()]).map(str::to_owned));
    let approvers = config.into_iter().flat_map(|config| &config.approvers).filter_map(|approver| approver.uid);
    let bots = config.into_iter().flat_map(|config| &config.channels).filter_map(|channel| match channel.people {
        People::Telegram { uid } => Some(uid),
        People::Uid => None,
    });
    users.extend(approvers.chain(bots).map(|uid| uid.to_string()));
    let mut groups = vec![APPROVERS_GROUP.to_owned()];
    groups.extend(units.iter().map(|unit| unit.socket_group().to_owned()));
    Ok(Accounts { users: read_users(&entries("passwd", users)?), groups: read_groups(&entries("group", groups)?) })
}

fn entries(database: &str, mut keys: Vec<String>) -> Result<String, Unseen> {
    keys.retain(|key| !key.is_empty());
    keys.sort();
    keys.dedup();
    keys.insert(0, database.to_owned());
    let output = run("getent", &keys, PATIENCE)?;
    // 2: one of them is not there.
    match output.code {
        Some(0 | 2) => Ok(output.stdout),
        _ => Err(Unseen::because(format!("getent does not tell: {}", output.complaint()))),
    }
}

fn read_users(entries: &str) -> BTreeMap<u32, (String, u32)> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        Some((uid.parse().ok()?, (name.to_owned(), gid.parse().ok()?)))
    };
    entries.lines().filter_map(user).collect()
}

fn read_groups(entries: &str) -> BTreeMap<String, (u32, Vec<String>)> {
    let group = |line: &str| {
        let mut fields = line.split(':');
        let (name, gid, members) = (fields.next()?, fields.nth(1)?, fields.next().unwrap_or(""));
        let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
        Some((name.to_owned(), (gid.parse().ok()?, members)))
    };
    entries.lines().filter_map(group).collect()
}

/// What the names of `[tls]` are resolved to. A name server that does not answer is given up after 5 s.
pub(super) fn resolved(config: &Config) -> BTreeMap<String, Result<Vec<Address>, Complaint>> {
    let Tls::On(certificate) = &config.tls else { return BTreeMap::new() };
    let (sender, receiver) = mpsc::channel();
    let mut found = BTreeMap::new();
    for name in &certificate.names {
        let text = name.to_str().into_owned();
        if let ServerName::IpAddress(address) = name {
            found.insert(text, Ok(vec![address_of(IpAddr::from(*address))]));
            continue;
        }
        let sender = sender.clone();
        found.insert(text.clone(), Err(no_answer()));
        // The C library's resolver cannot be called off: a thread of its own waits for it, which the end of the program ends.
        thread::spawn(move || {
            let addresses = (text.as_str(), 0).to_socket_addrs();
            sender.send((text, addresses.map(|all| all.take(MAX_ADDRESSES).map(|one| one.ip()).collect::<Vec<_>>())))
        });
    }
    drop(sender);
    collect(&receiver, &mut found);
    found
}

type Resolved = (String, std::io::Result<Vec<IpAddr>>);

fn collect(receiver: &mpsc::Receiver<Resolved>, found: &mut BTreeMap<String, Result<Vec<Address>, Complaint>>) {
    // One patience for all: who does not answer about the first name does not about the last.
    while let Ok((name, addresses)) = receiver.recv_timeout(RESOLVING) {
        let answer = addresses.map_err(|error| Complaint {
            error: format!("it is not resolved: {error}"),
            hint: "see /etc/resolv.conf, and that the name server has this name: getent hosts NAME".into(),
            unseen: None,
        });
        found.insert(name, answer.map(|all| all.into_iter().map(address_of).collect()));
    }
}

fn no_answer() -> Complaint {
    Complaint {
        error: format!("the name server does not answer within {} s", RESOLVING.as_secs()),
        hint: "see that the name server runs: nodes that call a name need it too; /etc/resolv.conf says which it is"
            .into(),
        unseen: None,
    }
}

/// Whether an address is one of this host: a socket can be bound to no other.
fn address_of(address: IpAddr) -> Address {
    Address { address, is_ours: UdpSocket::bind(SocketAddr::new(address, 0)).is_ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_read_as_getent_prints_them() {
        let users = read_users("root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001::/:/bin/sh\nbroken:x\n");
        assert_eq!(users.get(&1000), Some(&("alice".to_owned(), 1001)));
        assert_eq!(users.len(), 2);
        let groups = read_groups("nightlatch-approvers:x:995:alice,bob\nempty:x:7:\n");
        assert_eq!(groups["nightlatch-approvers"], (995, vec!["alice".to_owned(), "bob".into()]));
        assert_eq!(groups["empty"], (7, vec![]));
    }

    #[test]
    fn loopback_is_an_address_of_this_host_and_a_documentation_address_is_not() {
        assert!(address_of(IpAddr::from([127, 0, 0, 1])).is_ours);
        assert!(!address_of(IpAddr::from([203, 0, 113, 77])).is_ours);
    }
}
