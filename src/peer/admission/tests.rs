use std::time::Duration;

use super::*;
use crate::request::Operation;

const CP_1: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";
const NOW: Moment = Moment::since_boot(Duration::from_secs(1_000));

fn node(uuid: &str, addresses: &[&str]) -> Node {
    Node {
        uuid: NodeUuid::parse(uuid).expect("printable"),
        name: "cp-1".into(),
        cluster: None,
        addresses: addresses.iter().map(|network| network.parse().expect("a network")).collect(),
        formerly: vec![],
        bind_address: false,
        listed_by: crate::peer::ListedBy::Configuration,
    }
}

fn admission(nodes: Vec<Node>, uuid_policy: UuidPolicy) -> Admission {
    Admission::new(vec!["192.0.2.0/24".parse().expect("a network")], nodes, uuid_policy)
}

fn ask(admission: &Admission, uuid: &str, address: &str) -> Result<Origin, NotAdmitted> {
    let request = Request::parse(Operation::Unseal, uuid, vec![1]).expect("well-formed");
    let peer = Peer::plaintext((address.parse::<IpAddr>().expect("an address"), 1).into());
    admission.admit(NOW, request, peer).map(|admitted| admitted.origin())
}

#[test]
fn listed_node_from_allowed_network_is_admitted() {
    let admission = admission(vec![node(CP_1, &["192.0.2.11/32"])], UuidPolicy::default());
    assert_eq!(ask(&admission, &CP_1.to_uppercase(), "192.0.2.11"), Ok(Origin::Listed));
    assert_eq!(ask(&admission, CP_1, "::ffff:192.0.2.11"), Ok(Origin::Listed));
    assert!(matches!(ask(&admission, CP_1, "192.0.2.12"), Ok(Origin::OtherAddress(_))));
}

#[test]
fn others_are_not() {
    let admission = admission(vec![node(CP_1, &[])], UuidPolicy::default());
    assert_eq!(ask(&admission, CP_1, "198.51.100.1"), Err(NotAdmitted::Network));
    assert_eq!(ask(&admission, CP_1, "2001:db8::1"), Err(NotAdmitted::Network));
    let stranger = "12345678-9abc-4def-8123-456789abcdef";
    assert_eq!(ask(&admission, stranger, "192.0.2.1"), Err(NotAdmitted::UnknownNode));
    assert_eq!(ask(&admission, SHARED_UUIDS[0], "192.0.2.1"), Err(NotAdmitted::SharedUuid));
}

#[test]
fn empty_lists_admit_nobody() {
    let nobody = admission(vec![], UuidPolicy::default());
    assert_eq!(ask(&nobody, CP_1, "192.0.2.1"), Err(NotAdmitted::UnknownNode));
    let nowhere = Admission::new(vec![], [node(CP_1, &[])], UuidPolicy::default());
    assert_eq!(ask(&nowhere, CP_1, "192.0.2.1"), Err(NotAdmitted::Network));
}

#[test]
fn a_shared_uuid_is_admitted_when_it_is_listed() {
    let admission = admission(vec![node(SHARED_UUIDS[1], &["192.0.2.11/32"])], UuidPolicy::default());
    assert_eq!(ask(&admission, SHARED_UUIDS[1], "192.0.2.11"), Ok(Origin::Listed));
}

#[test]
fn strangers_do_not_take_a_listed_nodes_turn() {
    let admission = admission(vec![node(CP_1, &[])], UuidPolicy::default());
    let stranger = "12345678-9abc-4def-8123-456789abcdef";
    let answers: Vec<_> = (0..50).map(|_| ask(&admission, stranger, "192.0.2.1")).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == Err(NotAdmitted::TooMany)).count(), 30);
    assert!(ask(&admission, CP_1, "192.0.2.1").is_ok());
}

#[test]
fn uuid_policies() {
    let policy = |kind, entropy_check| UuidPolicy { kind, entropy_check };
    let allows = |policy: UuidPolicy, uuid| policy.allows(&NodeUuid::parse(uuid).expect("printable"));
    let (smbios, v1, v4) = (
        "4c4c4544-0042-3510-0051-b4c04f4e3632",
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",
        "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21",
    );
    assert!(allows(policy(UuidKind::Any, false), "Rack2-Shelf3"));
    assert!(allows(policy(UuidKind::Any, false), smbios));
    assert!(!allows(policy(UuidKind::Rfc4122, false), smbios));
    assert!(allows(policy(UuidKind::Rfc4122, false), v1));
    assert!(!allows(policy(UuidKind::V4, false), v1));
    assert!(allows(policy(UuidKind::V4, true), v4));
    assert!(!allows(policy(UuidKind::Any, true), "11111111-1111-4111-8111-111111111111"));
    assert!(!allows(policy(UuidKind::Any, true), "01234567-89ab-cdef-0123-456789abcdef"));
    assert!(!allows(policy(UuidKind::Any, true), "Rack2-Shelf3"));
}

#[test]
fn new_lists_hold_at_once_and_forget_no_turn() {
    let first = admission(vec![node(CP_1, &["192.0.2.11/32"])], UuidPolicy::default());
    let admitted = |address| (0..30).filter(|_| ask(&first, CP_1, address).is_ok()).count();
    assert_eq!(admitted("192.0.2.11"), 20);
    let networks = || vec!["192.0.2.0/24".parse().expect("a network")];
    let generation = Generation::default().next();
    first.replace(Lists::new(networks(), [node(CP_1, &["192.0.2.11/32"])], UuidPolicy::default()).of(generation));
    assert_eq!(admitted("192.0.2.11"), 0, "the node's turns are used up, whichever file lists it");
    let request = Request::parse(Operation::Unseal, CP_1, vec![1; 60]).expect("well-formed");
    let peer = Peer::plaintext(([192, 0, 2, 12], 1).into());
    assert_eq!(first.admit(NOW, request, peer).expect("admitted").generation(), generation);
    first.replace(Lists::new(networks(), [], UuidPolicy::default()));
    assert_eq!(ask(&first, CP_1, "192.0.2.11"), Err(NotAdmitted::UnknownNode));
    first.replace(Lists::default());
    assert_eq!(ask(&first, CP_1, "192.0.2.11"), Err(NotAdmitted::Network));
    assert!(!first.allows_address([192, 0, 2, 11].into()));
}

#[test]
fn each_kind_of_call_has_a_turn_of_its_own() {
    let nodes = vec![node(CP_1, &["192.0.2.11/32", "192.0.2.12/32"])];
    let admission = admission(nodes, UuidPolicy::default());
    let admitted = |address: &str| (0..30).filter(|_| ask(&admission, CP_1, address).is_ok()).count();
    assert_eq!(admitted("192.0.2.50"), 20, "another address in the node's name");
    assert_eq!(admitted("192.0.2.51"), 20, "and one more, which is another peer");
    assert_eq!(admitted("192.0.2.11"), 20, "take nothing from the node");
    assert_eq!(admitted("192.0.2.12"), 20, "at none of its addresses");
    assert_eq!(ask(&admission, CP_1, "192.0.2.11"), Err(NotAdmitted::TooMany));
}

#[test]
fn calls_in_a_nodes_name_from_elsewhere_take_no_place_of_its_own() {
    let listed: Vec<String> = (1..=80).map(|last| format!("192.0.2.{last}/32")).collect();
    let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
    let nodes = (0..8).map(|number| node(&format!("n{number}"), &listed)).collect();
    let admission = admission(nodes, UuidPolicy::default());
    let admit = |node: &str, last: u8| {
        let request = Request::parse(Operation::Unseal, node, vec![1]).expect("well-formed");
        let peer = Peer::plaintext((IpAddr::from([192, 0, 2, last]), 1).into());
        admission.admit(NOW, request, peer)
    };
    let names = (0..8).map(|number| format!("n{number}"));
    let elsewhere: Vec<_> =
        names.flat_map(|name| (100..=200).filter_map(|last| admit(&name, last).ok()).collect::<Vec<_>>()).collect();
    assert_eq!(elsewhere.len(), OTHER_CALLS.total);
    let own: Vec<_> = (1..=80).filter_map(|last| admit("n1", last).ok()).collect();
    assert_eq!(own.len(), LISTED_CALLS.per_key);
    assert_eq!(admit("n1", 80).err(), Some(NotAdmitted::TooMany));
    assert!(admit("n2", 80).is_ok(), "another node");
    drop(own);
    assert!(admit("n1", 80).is_ok(), "a call that ended leaves its place");
}

#[test]
fn strangers_within_one_ipv6_network_are_one_stranger() {
    let admission = Admission::new(vec!["2001:db8::/32".parse().expect("a network")], [], UuidPolicy::default());
    let too_many = |number: u16| ask(&admission, CP_1, &format!("2001:db8::{number:x}")) == Err(NotAdmitted::TooMany);
    assert_eq!((1..=30).filter(|number| too_many(*number)).count(), 10);
    assert_eq!(ask(&admission, CP_1, "2001:db8:0:1::1"), Err(NotAdmitted::UnknownNode));
}

#[test]
fn an_address_is_allowed_in_either_spelling() {
    let admission = admission(vec![], UuidPolicy::default());
    for (address, allowed) in [("192.0.2.1", true), ("::ffff:192.0.2.1", true), ("::ffff:198.51.100.1", false)] {
        assert_eq!(admission.allows_address(address.parse().expect("an address")), allowed, "{address}");
    }
}

#[test]
fn the_uuid_policy_binds_listed_nodes_and_strangers() {
    let only_random = UuidPolicy { kind: UuidKind::V4, entropy_check: false };
    let admission = admission(vec![node("Rack2-Shelf3", &[])], only_random);
    assert_eq!(ask(&admission, "Rack2-Shelf3", "192.0.2.1"), Err(NotAdmitted::UuidPolicy));
    assert_eq!(ask(&admission, CP_1, "192.0.2.1"), Err(NotAdmitted::UuidPolicy));
    let random = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21";
    assert_eq!(ask(&admission, random, "192.0.2.1"), Err(NotAdmitted::UnknownNode));
}

#[test]
fn versions_and_variants_of_uuids() {
    let allows = |kind, entropy_check, uuid: &str| {
        UuidPolicy { kind, entropy_check }.allows(&NodeUuid::parse(uuid).expect("printable"))
    };
    for (version, is_one) in [('0', false), ('1', true), ('7', true), ('8', true), ('9', false), ('f', false)] {
        let uuid = format!("9f8b7c3e-2f4d-{version}a1b-8c6e-5d0f9a7b3c21");
        assert_eq!(allows(UuidKind::Rfc4122, false, &uuid), is_one, "{uuid}");
    }
    let not_of_the_rfc = "9f8b7c3e-2f4d-4a1b-0c6e-5d0f9a7b3c21";
    assert!(!allows(UuidKind::Rfc4122, false, not_of_the_rfc) && !allows(UuidKind::V4, false, not_of_the_rfc));
    assert!(allows(UuidKind::Any, true, "10203451-0203-4510-2034-510203451020"), "six different digits");
    assert!(!allows(UuidKind::Any, true, "10203411-0203-4110-2034-110203411020"), "five");
}
