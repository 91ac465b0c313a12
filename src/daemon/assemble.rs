//! From the configuration to the parts of the service that decide.

use crate::approval::ledger::Timings;
use crate::approval::policy::{Action, Approver, Layer, OtherAddress, Policy};
use crate::config::{self, Config};
use crate::peer;
use crate::peer::admission::{Admission, Enrolment, Lists};

/// Who may ask at all.
#[must_use]
pub fn admission(config: &Config) -> Admission {
    lists(config).into()
}

/// The same, for an admission that is there already.
#[must_use]
pub fn lists(config: &Config) -> Lists {
    let enrolment = config.enrolment.as_ref().map(|enrolment| {
        let config::Enrolment { networks, cluster } = enrolment.clone();
        Enrolment { networks, cluster }
    });
    Lists::new(config.networks.clone(), config.nodes.iter().map(node), config.uuid_policy)
        .with_clusters(config.clusters.iter().map(|cluster| cluster.name.clone()))
        .with_enrolment(enrolment)
}

/// How long things last.
#[must_use]
pub fn timings(timings: &config::Timings) -> Timings {
    let config::Timings {
        hold,
        release_margin,
        lease,
        lease_max,
        uses,
        deny_for,
        block_for,
        poll_for,
        ask_ttl,
        seal_grant_for,
        seal_grant_uses,
        grant_for,
        grant_max,
        grant_uses,
    } = *timings;
    Timings {
        hold,
        release_margin,
        lease,
        lease_max,
        uses,
        deny_for,
        block_for,
        poll_for,
        ask_ttl,
        seal_grant_for,
        seal_grant_uses,
        grant_for,
        grant_max,
        grant_uses,
    }
}

/// Which rule decides about a call, and who may answer.
#[must_use]
pub fn policy(config: &Config) -> Policy {
    Policy {
        default: layer(&config.rules),
        clusters: config.clusters.iter().map(|cluster| (cluster.name.clone(), layer(&cluster.rules))).collect(),
        nodes: config.nodes.iter().map(|node| (node.uuid.clone(), layer(&node.rules))).collect(),
        approvers: config.approvers.iter().map(approver).collect(),
    }
}

fn node(node: &config::Node) -> peer::Node {
    // Taken apart in full, so that a new key cannot be forgotten here.
    let config::Node { uuid, name, cluster, addresses, formerly, bind_address, rules: _ } = node.clone();
    peer::Node { uuid, name, cluster, addresses, formerly, bind_address, listed_by: peer::ListedBy::Configuration }
}

fn approver(approver: &config::Approver) -> Approver {
    let config::Approver { name, uid, telegram_id } = approver.clone();
    Approver { name, uid, telegram_id }
}

fn layer(rules: &config::Rules) -> Layer {
    let config::Rules { seal, unseal, other_address, approvers, quorum, from_channels } = rules.clone();
    Layer {
        seal: seal.map(action),
        unseal: unseal.map(action),
        other_address: other_address.map(|word| match word {
            config::OtherAddress::Deny => OtherAddress::Deny,
            config::OtherAddress::Ask => OtherAddress::Ask,
        }),
        // An empty list stays one: it lets nobody vote, where none at all would let everybody.
        approvers: approvers.map(|names| names.into_iter().collect()),
        quorum,
        from_channels,
    }
}

const fn action(word: config::Action) -> Action {
    match word {
        config::Action::Deny => Action::Deny,
        config::Action::Granted => Action::Granted,
        config::Action::Allow => Action::Allow,
        config::Action::Ask => Action::Ask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Origin;
    use crate::request::{NodeUuid, Operation};

    const TEXT: &str = r#"
installation = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21"
networks = ["192.0.2.0/24"]
tls = "off"
[[key]]
name = "first"
credential = "nightlatch-key"
[rules]
seal = "deny"
other_address = "ask"
from_channels = 2
[[cluster]]
name = "home"
rules = { seal = "granted", approvers = [] }
[[node]]
uuid = "4C4C4544-0042-3510-8051-B4C04F4E3632"
name = "cp-1"
cluster = "home"
addresses = ["::ffff:192.0.2.11"]
formerly = ["gone"]
bind_address = true
rules = { unseal = "allow", quorum = 2, approvers = ["alice", "bob"] }
[[node]]
uuid = "c232ab00-9414-11ec-b3c8-9f6bdeced846"
name = "w-1"
cluster = "home"
[[approver]]
name = "alice"
uid = 1000
telegram_id = 111
[[approver]]
name = "bob"
telegram_id = 222
[[channel]]
name = "cli"
people = "uid"
[[channel]]
name = "telegram"
people = "telegram"
uid = 990
"#;

    fn config() -> Config {
        // The default asks for two channels and the cluster for nobody, which is contradictory on purpose.
        let text = TEXT.replace("from_channels = 2\n", "");
        Config::parse(&text, "nightlatch.toml").map_err(|error| error.to_string()).expect("a configuration").0
    }

    #[test]
    fn every_layer_arrives() {
        let mut config = config();
        config.rules.from_channels = Some(2);
        let (admission, policy) = (admission(&config), policy(&config));
        let uuid = NodeUuid::parse("4c4c4544-0042-3510-8051-b4c04f4e3632").expect("printable");
        let node = &*admission.node(&uuid).expect("listed");
        assert_eq!(node.formerly, [NodeUuid::parse("gone").expect("printable")]);
        assert!(node.bind_address);
        let peer = |address: &str| peer::Peer::plaintext(format!("{address}:1").parse().expect("an address"));
        assert_eq!(node.origin(&peer("192.0.2.11")), Origin::Listed);
        let seal = policy.rule(node, Origin::Listed, Operation::Seal);
        assert_eq!(seal.action, Action::Granted);
        assert_eq!((seal.requirement.quorum, seal.requirement.from_channels), (2, 2));
        assert_eq!(seal.requirement.approvers.len(), 2);
        assert_eq!(policy.rule(node, Origin::Listed, Operation::Unseal).action, Action::Allow);
        let elsewhere = node.origin(&peer("192.0.2.12"));
        assert_eq!(policy.rule(node, elsewhere, Operation::Unseal).action, Action::Ask);
        assert_eq!(policy.approvers[1].telegram_id, Some(222));
        assert_eq!(policy.approvers[0].uid, Some(1000));
    }

    #[test]
    fn an_empty_list_of_approvers_stays_empty() {
        let config = config();
        let (admission, policy) = (admission(&config), policy(&config));
        let uuid = NodeUuid::parse("c232ab00-9414-11ec-b3c8-9f6bdeced846").expect("printable");
        assert!(policy.requirement(&admission.node(&uuid).expect("listed")).approvers.is_empty());
    }
}
