//! What each layer decides, and what is decided where none does.

use super::*;
use crate::peer::Peer;

fn node(cluster: Option<&str>) -> Node {
    Node {
        uuid: NodeUuid::parse("cp-1").expect("printable"),
        name: "cp-1".into(),
        cluster: cluster.map(Box::from),
        addresses: vec![],
        formerly: vec![],
        bind_address: false,
        listed_by: ListedBy::Configuration,
    }
}

fn names(names: &[&str]) -> BTreeSet<Box<str>> {
    names.iter().map(|name| Box::from(*name)).collect()
}

fn votes(votes: &[(&str, &str)]) -> Vec<Vote> {
    votes.iter().map(|(approver, channel)| Vote { approver: (*approver).into(), channel: (*channel).into() }).collect()
}

fn elsewhere() -> Origin {
    Origin::OtherAddress(Peer::plaintext(([192, 0, 2, 99], 1).into()).network())
}

/// A policy whose default layer says this of both operations.
fn policy(action: Option<Action>, other_address: Option<OtherAddress>) -> Policy {
    let default = Layer { seal: action, unseal: action, other_address, ..Layer::default() };
    Policy { default, ..Policy::default() }
}

#[test]
fn votes_through_several_channels_are_counted_by_channel() {
    // One stolen bot is one channel, whoever it says has voted.
    let required = Requirement { approvers: names(&["alice", "bob", "carol"]), quorum: 2, from_channels: 2 };
    let one_channel = votes(&[("alice", "telegram"), ("bob", "telegram"), ("carol", "telegram")]);
    assert!(!required.is_met_by(&one_channel));
    assert_eq!((required.missing(&one_channel), required.missing_channels(&one_channel)), (0, 1));
    assert!(!required.is_met_by(&votes(&[("alice", "telegram"), ("alice", "cli")])), "one person is one person");
    assert!(!required.is_met_by(&votes(&[("alice", "telegram"), ("bob", "telegram"), ("mallory", "cli")])));
    let enough = votes(&[("alice", "telegram"), ("bob", "cli")]);
    assert!(required.is_met_by(&enough));
    assert_eq!((required.missing(&enough), required.missing_channels(&enough)), (0, 0));
    assert_eq!(required.missing_channels(&votes(&[("mallory", "cli"), ("alice", "telegram")])), 1);
}

#[test]
fn who_is_not_listed_is_not_missed_less() {
    let required = Requirement { approvers: names(&["alice", "bob", "carol"]), quorum: 3, from_channels: 1 };
    assert_eq!(required.missing(&[]), 3);
    assert_eq!(required.missing(&votes(&[("mallory", "cli"), ("alice", "cli"), ("alice", "telegram")])), 2);
}

#[test]
fn what_nobody_wrote_down_is_asked_and_denied_elsewhere() {
    let policy = Policy {
        approvers: vec![Approver { name: "alice".into(), uid: None, telegram_id: None }],
        ..Policy::default()
    };
    for operation in [Operation::Seal, Operation::Unseal] {
        assert_eq!(policy.rule(&node(None), Origin::Listed, operation).action, Action::Ask);
        assert_eq!(policy.rule(&node(None), elsewhere(), operation).action, Action::Deny);
        assert_eq!(policy.action(&node(None), operation), (Action::Ask, Source::BuiltIn));
    }
    assert_eq!(policy.other_address(&node(None)), (OtherAddress::Deny, Source::BuiltIn));
    let everybody_once = Requirement { approvers: names(&["alice"]), quorum: 1, from_channels: 1 };
    assert_eq!(policy.requirement(&node(None)), everybody_once);
    assert!(!Policy::default().requirement(&node(None)).is_met_by(&votes(&[("alice", "cli")])), "there is no approver");
}

#[test]
fn other_addresses_never_get_more_than_an_ask() {
    use Action::{Allow, Ask, Deny, Granted};
    for (written, refused, asked) in
        [(Allow, Deny, Ask), (Ask, Deny, Ask), (Granted, Deny, Granted), (Deny, Deny, Deny)]
    {
        let action = |other_address, origin| {
            policy(Some(written), Some(other_address)).rule(&node(None), origin, Operation::Unseal).action
        };
        assert_eq!(action(OtherAddress::Deny, elsewhere()), refused, "{written:?}");
        assert_eq!(action(OtherAddress::Ask, elsewhere()), asked, "{written:?}");
        let network = Peer::plaintext(([192, 0, 2, 99], 1).into()).network();
        for origin in [Origin::Listed, Origin::PerAddress(network)] {
            assert_eq!(action(OtherAddress::Deny, origin), written, "no address is another where none is listed");
        }
    }
}

#[test]
fn seal_and_unseal_are_decided_apart() {
    let default = Layer { seal: Some(Action::Deny), unseal: Some(Action::Allow), ..Layer::default() };
    let policy = Policy { default, ..Policy::default() };
    assert_eq!(policy.action(&node(None), Operation::Seal), (Action::Deny, Source::Default));
    assert_eq!(policy.action(&node(None), Operation::Unseal), (Action::Allow, Source::Default));
}

#[test]
fn the_node_comes_before_its_cluster_and_that_before_the_default() {
    let layer = |who: &str, quorum| Layer {
        seal: Some(Action::Granted),
        approvers: Some(names(&[who])),
        quorum: Some(quorum),
        from_channels: Some(quorum),
        ..Layer::default()
    };
    let mut policy = Policy {
        default: layer("alice", 1),
        clusters: BTreeMap::from([("home".into(), layer("bob", 2))]),
        nodes: BTreeMap::from([(node(None).uuid, layer("carol", 3))]),
        approvers: vec![],
    };
    let decided = |policy: &Policy, cluster| {
        let Requirement { approvers, quorum, from_channels } = policy.requirement(&node(cluster));
        assert_eq!(quorum, from_channels);
        (approvers, quorum, policy.action(&node(cluster), Operation::Seal).1)
    };
    assert_eq!(decided(&policy, Some("home")), (names(&["carol"]), 3, Source::Node));
    policy.nodes.clear();
    assert_eq!(decided(&policy, Some("home")), (names(&["bob"]), 2, Source::Cluster));
    assert_eq!(decided(&policy, Some("away")), (names(&["alice"]), 1, Source::Default));
    assert_eq!(decided(&policy, None), (names(&["alice"]), 1, Source::Default));
}

#[test]
fn an_empty_list_of_approvers_is_nobody_and_not_everybody() {
    let mut policy = policy(None, None);
    policy.approvers = vec![Approver { name: "alice".into(), uid: None, telegram_id: None }];
    policy.default.approvers = Some(BTreeSet::new());
    assert!(!policy.requirement(&node(None)).is_met_by(&votes(&[("alice", "cli")])));
}
