//! What a new installation is to be, as the command line says it.

use std::fs;
use std::io::Read;
use std::net::IpAddr;

use uuid::Uuid;

use super::layout::Layout;
use super::template;
use crate::cli::{Failure, exit};
use crate::config::{Config, Warning};

/// Options for the first configuration.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct Wanted {
    /// A network or address from which nodes may call, such as 192.0.2.0/24 (may be given again)
    #[arg(long, value_name = "NET")]
    pub(in crate::cli) network: Vec<String>,
    /// A node that may ask; several addresses are separated by commas (may be given again)
    #[arg(long, value_name = "UUID=NAME[@ADDRESS]", value_parser = FirstNode::parse)]
    pub(in crate::cli) node: Vec<FirstNode>,
    /// Who approves: a user of this host, or any name with a user id; without it, the user who runs this
    #[arg(long, value_name = "NAME[=UID]", value_parser = parse_approver)]
    pub(in crate::cli) approver: Option<(String, Option<u32>)>,
    /// The installation of a state that was lost; else a new one
    #[arg(long, value_name = "UUID")]
    pub(in crate::cli) installation: Option<Uuid>,
}

/// A configuration that can be used, before it is written.
#[derive(Debug)]
pub(in crate::cli) struct Planned {
    pub(in crate::cli) text: String,
    pub(in crate::cli) installation: Uuid,
    pub(in crate::cli) person: Person,
    pub(in crate::cli) warnings: Vec<Warning>,
}

impl Wanted {
    /// Makes the configuration, and reads it before it is written: what is made here is never refused by `serve`.
    ///
    /// # Errors
    /// Which option makes it unusable.
    pub(in crate::cli) fn plan(self, layout: &Layout) -> Result<Planned, Failure> {
        let person = person(self.approver)?;
        let installation = self.installation.map_or_else(random_uuid, Ok)?;
        let text = template::text(layout, installation, &self.network, &self.node, &person)?;
        let (_, warnings) = Config::parse(&text, &layout.config.display().to_string()).map_err(|error| {
            Failure::usage(format!("these options make no usable configuration; nothing was written\n\n{error}"))
                .hint("correct the option that the marked line comes from")
        })?;
        Ok(Planned { text, installation, person, warnings })
    }
}

/// A node as the command line gives it.
#[derive(Debug, Clone)]
pub(in crate::cli) struct FirstNode {
    pub(super) uuid: String,
    pub(super) name: String,
    pub(super) addresses: Vec<String>,
}

impl FirstNode {
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, &'static str> {
        let (uuid, rest) = text.split_once('=').ok_or("write UUID=NAME or UUID=NAME@ADDRESS")?;
        let (name, addresses) = rest.split_once('@').unwrap_or((rest, ""));
        let addresses: Vec<String> =
            addresses.split(',').filter(|address| !address.is_empty()).map(str::to_owned).collect();
        if addresses.iter().all(|address| address.parse::<IpAddr>().is_ok()) {
            return Ok(Self { uuid: uuid.to_owned(), name: name.to_owned(), addresses });
        }
        Err("after @ write an address such as 192.0.2.11, or several with commas")
    }
}

/// The first approver.
#[derive(Debug)]
pub(in crate::cli) struct Person {
    pub(in crate::cli) name: String,
    pub(in crate::cli) uid: u32,
}

fn parse_approver(text: &str) -> Result<(String, Option<u32>), std::num::ParseIntError> {
    match text.split_once('=') {
        Some((name, uid)) => Ok((name.to_owned(), Some(uid.parse()?))),
        None => Ok((text.to_owned(), None)),
    }
}

/// The person on the command line, or the user who runs this. Not the one that SUDO_USER names: anybody can set that.
fn person(approver: Option<(String, Option<u32>)>) -> Result<Person, Failure> {
    let own = rustix::process::getuid().as_raw();
    match approver {
        Some((name, Some(uid))) => Ok(Person { name, uid }),
        Some((name, None)) => match users().into_iter().find(|(_, user)| *user == name) {
            Some((uid, name)) => Ok(Person { name, uid }),
            None => Err(Failure::usage(format!("there is no user `{name}` in /etc/passwd"))
                .hint("write NAME=UID, with the number that id -u prints for this person")),
        },
        None => Ok(Person { name: user_name(own).unwrap_or_else(|| "admin".to_owned()), uid: own }),
    }
}

/// The name of a local user.
pub(in crate::cli) fn user_name(uid: u32) -> Option<String> {
    users().into_iter().find(|(found, _)| *found == uid).map(|(_, name)| name)
}

/// Ids and names of all local users.
fn users() -> Vec<(u32, String)> {
    let mut text = String::new();
    let file = fs::File::open("/etc/passwd").map(|file| file.take(1024 * 1024));
    if file.and_then(|mut file| file.read_to_string(&mut text)).is_err() {
        return vec![];
    }
    let users = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
    });
    users.collect()
}

fn random_uuid() -> Result<Uuid, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::new(exit::UNAVAILABLE, "the host gives no random numbers").because(&error))?;
    Ok(uuid::Builder::from_random_bytes(random).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CP_1: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";

    #[test]
    fn texts_of_nodes_and_approvers() {
        let node = FirstNode::parse(&format!("{CP_1}=cp-1")).expect("well-formed");
        assert_eq!((&*node.uuid, &*node.name, node.addresses.len()), (CP_1, "cp-1", 0));
        assert!(FirstNode::parse("cp-1").is_err());
        assert!(FirstNode::parse("x=y@z").is_err());
        assert_eq!(parse_approver("alice=1000"), Ok(("alice".into(), Some(1000))));
        assert_eq!(parse_approver("alice"), Ok(("alice".into(), None)));
        assert!(parse_approver("alice=bob").is_err());
        assert_eq!(user_name(0).as_deref(), Some("root"));
    }

    #[test]
    fn an_approver_without_a_user_id_is_the_user_of_that_name() {
        assert_eq!(person(Some(("root".into(), None))).expect("a user").uid, 0);
        assert_eq!(person(Some(("root".into(), Some(7)))).expect("told").uid, 7);
        assert_eq!(person(None).expect("whoever runs this").uid, rustix::process::getuid().as_raw());
        let failure = person(Some(("no such user".into(), None))).expect_err("nobody");
        assert_eq!(failure.code(), exit::USAGE, "{failure}");
    }
}
