//! Two lists of nodes that contradict each other, and who may ask to be listed.

use super::*;
use crate::clock::WallTime;

fn uuid(claim: &str) -> NodeUuid {
    NodeUuid::parse(claim).expect("printable")
}

fn node(claim: &str, name: &str, formerly: &[&str]) -> Node {
    Node {
        uuid: uuid(claim),
        name: name.into(),
        cluster: None,
        addresses: vec![],
        formerly: formerly.iter().map(|claim| uuid(claim)).collect(),
        bind_address: false,
        listed_by: ListedBy::Configuration,
    }
}

fn entry(node: Node) -> NodeEntry {
    let node = Node { listed_by: ListedBy::People, ..node };
    NodeEntry { node, by: "alice".into(), channel: "cli".into(), at: WallTime::from_unix_millis(0) }
}

fn networks() -> Vec<IpNet> {
    vec!["192.0.2.0/24".parse().expect("a network")]
}

fn lists(nodes: &[Node]) -> Lists {
    Lists::new(networks(), nodes.to_vec(), UuidPolicy::default()).with_clusters(["home".into()])
}

fn conflicts(lists: &Lists) -> Vec<(bool, &str)> {
    lists.listings().iter().map(|listing| (listing.in_force, listing.conflict.as_deref().unwrap_or_default())).collect()
}

#[test]
fn people_list_nodes_beside_the_configuration() {
    let both = lists(&[node("a", "cp-1", &[])]).with_entries(&[entry(node("b", "cp-2", &["old"]))]);
    let names: Vec<&str> = both.nodes().map(|node| &*node.name).collect();
    assert_eq!(names, ["cp-1", "cp-2"]);
    assert_eq!(conflicts(&both), [(true, "")]);
    let listed = both.node(&uuid("b")).expect("listed");
    assert_eq!((listed.listed_by, &*listed.formerly), (ListedBy::People, &[uuid("old")][..]));
    assert!(both.with_entries(&[]).node(&uuid("b")).is_none(), "forgotten");
}

#[test]
fn where_both_contradict_the_configuration_wins_and_it_is_said() {
    let file = [node("a", "cp-1", &[]), node("c", "cp-3", &["gone"])];
    let both = lists(&file).with_entries(&[
        entry(node("a", "mine", &["x"])),
        entry(node("gone", "old", &[])),
        entry(node("b-1234567890", "cp-1", &["gone", "a", "y"])),
        entry(Node { cluster: Some("away".into()), ..node("d", "cp-4", &["y"]) }),
    ]);
    assert_eq!(
        conflicts(&both),
        [
            (
                false,
                "the configuration lists this UUID as `cp-1`, which is what counts, former UUIDs too; it comes into force \
                 when that is taken out"
            ),
            (false, "in the configuration, this is a former UUID of `cp-3`"),
            (
                true,
                "another node is called `cp-1`; its former UUID gone belongs to another node; its former UUID a belongs to \
                 another node"
            ),
            (
                false,
                "the configuration has no cluster `away` any more, whose rules are its own: add that again, or forget the \
                 node and add it anew"
            ),
        ]
    );
    let names: Vec<&str> = both.nodes().map(|node| &*node.name).collect();
    assert_eq!(names, ["cp-1", "cp-3", "cp-1-b-123456"]);
    assert_eq!(&*both.node(&uuid("a")).expect("listed").name, "cp-1");
    assert!(both.node(&uuid("gone")).is_none(), "its blobs are those of cp-3 now");
    assert_eq!(both.node(&uuid("b-1234567890")).expect("listed").formerly, [uuid("y")]);
    assert!(both.node(&uuid("d")).is_none(), "no rules are its own any more, and others may be wider");
}

#[test]
fn no_identifier_opens_what_belongs_to_two_nodes() {
    let both = lists(&[node("a", "cp-1", &["old"])])
        .with_entries(&[entry(node("b", "cp-2", &["old", "c"])), entry(node("c", "cp-3", &["a", "b"]))]);
    let mut seen = BTreeSet::new();
    for node in both.nodes() {
        for claim in std::iter::once(&node.uuid).chain(&node.formerly) {
            assert!(seen.insert(claim.clone()), "{claim} twice");
        }
    }
}

#[test]
fn only_a_node_that_is_not_listed_may_ask_to_be() {
    let peer = |address: &str| Peer::plaintext(format!("{address}:1").parse().expect("an address"));
    let file = [node("a", "cp-1", &["gone"])];
    let closed = lists(&file);
    assert!(closed.candidate(&uuid("new"), &peer("192.0.2.7")).is_none(), "unless it is configured");
    let part = vec!["192.0.2.0/28".parse().expect("a network")];
    let open = closed.with_enrolment(Some(Enrolment { networks: part, cluster: Some("home".into()) }));
    let open = open.with_entries(&[entry(node("b", "cp-2", &["older"]))]);
    for claim in ["a", "b", "gone", "older", "00000000-0000-0000-0000-000000000000"] {
        assert!(open.candidate(&uuid(claim), &peer("192.0.2.7")).is_none(), "{claim}");
    }
    assert!(open.candidate(&uuid("new"), &peer("192.0.2.16")).is_none(), "from its networks alone");
    assert!(open.candidate(&uuid("new"), &peer("198.51.100.1")).is_none());
    let found = open.candidate(&uuid("4c4c4544-0042"), &peer("192.0.2.7")).expect("it may");
    assert_eq!((&*found.name, found.cluster.as_deref()), ("new-4c4c4544", Some("home")));
    assert_eq!(found.addresses, ["192.0.2.7/32".parse().expect("a network")]);
    assert_eq!(found.listed_by, ListedBy::People);
}
