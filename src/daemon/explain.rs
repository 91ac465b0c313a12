//! What would become of a call, and which rule says so: judged by the same code that judges calls.

use std::net::{IpAddr, SocketAddr};

use super::assemble;
use crate::approval::policy::{Action, OtherAddress, Policy, Requirement, Source};
use crate::clock::Moment;
use crate::config::Config;
use crate::peer::admission::NotAdmitted;
use crate::peer::{Node, Origin, Peer};
use crate::request::{MalformedUuid, NodeUuid, Operation, Request};

/// What would become of calls of one node from one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What is found out about the caller, in the order in which it is checked.
    pub steps: Vec<String>,
    /// What becomes of Seal and of Unseal; nothing when the caller is not admitted.
    pub decisions: Vec<Decision>,
}

/// What becomes of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which operation.
    pub operation: Operation,
    /// Which rule decides, and where it is written.
    pub rule: String,
    /// What is done.
    pub outcome: String,
}

/// The rules for one node, as they apply to calls from its listed addresses (from anywhere, if it lists none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRules {
    /// The node's name.
    pub name: Box<str>,
    /// The name of its cluster.
    pub cluster: Option<Box<str>>,
    /// The word for what is done about Seal.
    pub seal: &'static str,
    /// The word for what is done about Unseal.
    pub unseal: &'static str,
    /// What becomes of calls from other addresses; `None` when it lists no addresses.
    pub other_address: Option<&'static str>,
    /// Which votes are enough, in words.
    pub votes: String,
}

/// The rules for every node, in the order of the file.
#[must_use]
pub fn rules(config: &Config) -> Vec<NodeRules> {
    let (lists, policy) = (assemble::lists(config), assemble::policy(config));
    let listed = config.nodes.iter().filter_map(|node| lists.node(&node.uuid));
    let rules = listed.map(|node| NodeRules {
        name: node.name.clone(),
        cluster: node.cluster.clone(),
        seal: policy.action(node, Operation::Seal).0.as_str(),
        unseal: policy.action(node, Operation::Unseal).0.as_str(),
        other_address: (!node.addresses.is_empty()).then(|| match policy.other_address(node).0 {
            OtherAddress::Deny => "deny",
            OtherAddress::Ask => "ask",
        }),
        votes: votes(&policy.requirement(node)),
    });
    rules.collect()
}

/// What would become of calls from `address` for `node`, which is a name in the configuration or a UUID as a node
/// would send it.
///
/// # Errors
/// [`MalformedUuid`] when it is neither.
pub fn explain(config: &Config, node: &str, address: IpAddr) -> Result<Explanation, MalformedUuid> {
    let (admission, policy) = (assemble::admission(config), assemble::policy(config));
    let named = config.nodes.iter().find(|listed| &*listed.name == node);
    let uuid = named.map_or_else(|| NodeUuid::parse(node), |listed| Ok(listed.uuid.clone()))?;
    let peer = Peer::plaintext(SocketAddr::new(address, 0));
    let mut explanation = Explanation { steps: vec![], decisions: vec![] };
    let mut say = |step: String| explanation.steps.push(step);
    if peer.address != address {
        say(format!("{address} is taken for {}", peer.address));
    }
    if let Some(network) = config.networks.iter().find(|network| network.contains(&peer.address)) {
        say(format!("network: {} is in the allowed network {network}", peer.address));
    }
    // Any operation will do: admission does not look at it. A one-byte blob is well-formed.
    let admitted = Request::parse(Operation::Unseal, uuid.as_str(), vec![0])
        .map_err(|_| MalformedUuid)
        .map(|request| admission.admit(Moment::default(), request, peer))?;
    if let Some(candidate) = admission.lists().candidate(&uuid, &peer) {
        let requirement = policy.requirement(&candidate);
        say(format!("node: {uuid} is not listed, and may ask to be: unknown_nodes = \"ask\" in [enrolment]"));
        say(match requirement.approvers.is_empty() {
            true => "asked, but nobody may approve: refused".to_owned(),
            false => format!("asked: {} must approve; then it is listed with this address", votes(&requirement)),
        });
        return Ok(explanation);
    }
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(reason) => {
            say(refusal(reason, &uuid, peer.address));
            return Ok(explanation);
        }
    };
    let (node, origin) = (admitted.node(), admitted.origin());
    say(format!("node: {uuid} is listed as `{}`", node.name));
    say(match origin {
        Origin::Listed => "address: it is listed for this node; all its listed addresses count as one".to_owned(),
        Origin::OtherAddress(from) => format!("address: this node lists addresses, and {from} is none of them"),
        Origin::PerAddress(from) => format!("address: this node lists none, so {from} is approved by itself"),
    });
    explanation.decisions =
        [Operation::Seal, Operation::Unseal].map(|operation| decide(&policy, node, origin, operation)).into();
    Ok(explanation)
}

fn refusal(reason: NotAdmitted, uuid: &NodeUuid, address: IpAddr) -> String {
    match reason {
        NotAdmitted::Network => format!("network: {address} is in no allowed network: refused"),
        // The file does not say whom people listed.
        NotAdmitted::UnknownNode => {
            format!("node: {uuid}: {reason}: refused, unless people listed it (nightlatch nodes tells)")
        }
        reason => format!("node: {uuid}: {reason}: refused"),
    }
}

fn decide(policy: &Policy, node: &Node, origin: Origin, operation: Operation) -> Decision {
    let (written, source) = policy.action(node, operation);
    let mut rule = format!("{operation} = \"{}\" ({})", written.as_str(), place(&source, node));
    let decided = policy.rule(node, origin, operation);
    if matches!(origin, Origin::OtherAddress(_)) && written != Action::Deny {
        let (other, source) = policy.other_address(node);
        let word = match other {
            OtherAddress::Deny => "deny",
            OtherAddress::Ask => "ask",
        };
        rule = format!("{rule}, with other_address = \"{word}\" ({})", place(&source, node));
    }
    let outcome = match decided.action {
        Action::Deny => "refused at once".to_owned(),
        Action::Granted => "released if an approval is valid, else refused at once; nobody is asked".to_owned(),
        Action::Allow => "released; nobody is asked, and the channels are told".to_owned(),
        Action::Ask if decided.requirement.approvers.is_empty() => "asked, but nobody may approve: refused".to_owned(),
        Action::Ask => format!("asked: {} must approve", votes(&decided.requirement)),
    };
    Decision { operation, rule, outcome }
}

fn place(source: &Source, node: &Node) -> String {
    match (source, &node.cluster) {
        (Source::Node, _) => format!("rules of node `{}`", node.name),
        (Source::Cluster, Some(cluster)) => format!("rules of cluster `{cluster}`"),
        (Source::Cluster, None) | (Source::Default, _) => "[rules]".to_owned(),
        (Source::BuiltIn, _) => "built in, written nowhere".to_owned(),
    }
}

fn votes(requirement: &Requirement) -> String {
    let names: Vec<&str> = requirement.approvers.iter().map(|name| &**name).collect();
    let channels = match requirement.from_channels {
        1 => String::new(),
        channels => format!(", through {channels} channels"),
    };
    match (&*names, requirement.quorum) {
        ([], _) => "nobody".to_owned(),
        ([only], 1) => format!("{only}{channels}"),
        (names, quorum) => format!("{quorum} of {}{channels}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CP_1: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";

    fn config(rest: &str) -> Config {
        let text = format!(
            r#"
            installation = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21"
            networks = ["192.0.2.0/24", "2001:db8::/64"]
            tls = "off"
            [[key]]
            name = "first"
            credential = "nightlatch-key"
            [[approver]]
            name = "alice"
            uid = 1000
            [[approver]]
            name = "bob"
            uid = 1001
            [[channel]]
            name = "cli"
            people = "uid"
            {rest}"#
        );
        Config::parse(&text, "nightlatch.toml").map_err(|error| error.to_string()).expect("a configuration").0
    }

    fn explained(rest: &str, node: &str, address: &str) -> Explanation {
        explain(&config(rest), node, address.parse().expect("an address")).expect("a name or a UUID")
    }

    fn listed(rules: &str) -> String {
        format!("[[node]]\nuuid = \"{CP_1}\"\nname = \"cp-1\"\naddresses = [\"192.0.2.11\"]\nrules = {{ {rules} }}")
    }

    fn outcomes(explanation: &Explanation) -> [&str; 2] {
        let [seal, unseal] = &*explanation.decisions else { panic!("not admitted: {:?}", explanation.steps) };
        assert_eq!((seal.operation, unseal.operation), (Operation::Seal, Operation::Unseal));
        [&seal.outcome, &unseal.outcome]
    }

    #[test]
    fn strangers_are_not_admitted() {
        let outside = explained(&listed(""), "cp-1", "198.51.100.1");
        assert_eq!(outside.steps, ["network: 198.51.100.1 is in no allowed network: refused"]);
        assert!(outside.decisions.is_empty());
        let unknown = explained(&listed(""), "cp-9", "192.0.2.11");
        assert_eq!(
            unknown.steps.last().expect("a step"),
            "node: cp-9: the node is not listed: refused, unless people listed it (nightlatch nodes tells)"
        );
        assert!(unknown.decisions.is_empty());
        assert!(explain(&config(""), "a b", [192, 0, 2, 1].into()).is_err());
    }

    #[test]
    fn a_node_that_is_not_listed_may_ask_to_be_where_that_is_allowed() {
        let enrolment = "[enrolment]\nunknown_nodes = \"ask\"\nnetworks = [\"192.0.2.0/28\"]";
        let asked = explained(enrolment, "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c22", "192.0.2.11");
        assert!(asked.steps[1].ends_with("may ask to be: unknown_nodes = \"ask\" in [enrolment]"), "{:?}", asked.steps);
        assert!(asked.steps[2].starts_with("asked: ") && asked.steps[2].contains("alice"), "{:?}", asked.steps);
        assert!(asked.decisions.is_empty(), "nothing is released before it is listed");
        let elsewhere = explained(enrolment, "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c22", "192.0.2.99");
        assert!(
            elsewhere.steps[1]
                .ends_with("the node is not listed: refused, unless people listed it (nightlatch nodes tells)"),
            "{:?}",
            elsewhere.steps
        );
    }

    #[test]
    fn nothing_written_means_ask() {
        for node in ["cp-1", CP_1, &CP_1.to_uppercase()] {
            let explanation = explained(&listed(""), node, "::ffff:192.0.2.11");
            assert_eq!(outcomes(&explanation), ["asked: 1 of alice, bob must approve"; 2]);
            assert_eq!(explanation.decisions[1].rule, "unseal = \"ask\" (built in, written nowhere)");
            assert_eq!(explanation.steps[0], "::ffff:192.0.2.11 is taken for 192.0.2.11");
            assert_eq!(explanation.steps[1], "network: 192.0.2.11 is in the allowed network 192.0.2.0/24");
        }
    }

    #[test]
    fn the_layer_that_decides_is_named() {
        let rest = format!(
            "[rules]\nseal = \"deny\"\n[[cluster]]\nname = \"home\"\nrules = {{ unseal = \"granted\" }}\n{}\ncluster = \"home\"",
            listed("quorum = 2")
        );
        let explanation = explained(&rest, "cp-1", "192.0.2.11");
        assert_eq!(explanation.decisions[0].rule, "seal = \"deny\" ([rules])");
        assert_eq!(explanation.decisions[1].rule, "unseal = \"granted\" (rules of cluster `home`)");
        assert!(outcomes(&explanation)[1].contains("nobody is asked"));
        let own = explained(&listed("unseal = \"allow\""), "cp-1", "192.0.2.11");
        assert_eq!(own.decisions[1].rule, "unseal = \"allow\" (rules of node `cp-1`)");
        assert!(own.decisions[1].outcome.starts_with("released; nobody is asked"));
    }

    #[test]
    fn other_addresses_have_their_own_rule() {
        let denied = explained(&listed("unseal = \"allow\""), "cp-1", "192.0.2.12");
        assert_eq!(outcomes(&denied), ["refused at once"; 2]);
        assert_eq!(
            denied.decisions[1].rule,
            "unseal = \"allow\" (rules of node `cp-1`), with other_address = \"deny\" (built in, written nowhere)"
        );
        let asked = explained(&listed("unseal = \"allow\", other_address = \"ask\""), "cp-1", "192.0.2.12");
        assert_eq!(outcomes(&asked), ["asked: 1 of alice, bob must approve"; 2]);
    }

    #[test]
    fn per_address_and_nobody() {
        let rest = "[[node]]\nuuid = \"x\"\nname = \"w-1\"\nrules = { approvers = [] }";
        let explanation = explained(rest, "w-1", "2001:db8::7");
        assert!(explanation.steps[2].contains("so 2001:db8::/64 is approved by itself"), "{:?}", explanation.steps);
        assert_eq!(outcomes(&explanation), ["asked, but nobody may approve: refused"; 2]);
    }

    #[test]
    fn every_node_has_a_row() {
        let rows = rules(&config(&format!(
            "{}\n[[node]]\nuuid = \"x\"\nname = \"w-1\"",
            listed("seal = \"allow\", quorum = 2")
        )));
        assert_eq!((rows[0].seal, rows[0].unseal, rows[0].other_address), ("allow", "ask", Some("deny")));
        assert_eq!((&*rows[0].votes, &*rows[1].votes), ("2 of alice, bob", "1 of alice, bob"));
        assert_eq!(rows[1].other_address, None);
    }
}
