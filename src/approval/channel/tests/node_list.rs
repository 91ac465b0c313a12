//! Changing the list that people keep: what is refused, so that every identifier and every name is one node's.

use super::beyond::{BOB, House, IN_HOME};
use super::*;
use v1::change_node_request::Change;

impl House {
    async fn change(&self, uid: u32, node: &str, change: Change) -> Result<v1::ChangeOutcome, Code> {
        let request = v1::ChangeNodeRequest { node: node.to_owned(), change: Some(change) };
        let answer = self.host.change_node(from(uid, request)).await.map_err(|status| status.code())?;
        Ok(answer.into_inner().outcome())
    }

    async fn entry(&self, name: &str) -> Option<v1::NodeStatus> {
        let is_meant = |status: &v1::NodeStatus| status.node.as_ref().is_some_and(|node| node.name == name);
        self.snapshot().await.nodes.into_iter().find(is_meant)
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn add(name: &str) -> v1::AddNode {
    v1::AddNode { name: name.to_owned(), ..v1::AddNode::default() }
}

fn pin(addresses: &[&str]) -> Change {
    Change::Addresses(v1::Addresses { addresses: words(addresses) })
}

fn formerly(uuids: &[&str]) -> Change {
    Change::Formerly(v1::Formerly { uuids: words(uuids) })
}

const CHANGED: Result<v1::ChangeOutcome, Code> = Ok(v1::ChangeOutcome::Changed);

#[tokio::test]
async fn a_node_is_listed_named_pinned_and_forgotten_on_the_host() {
    let house = House::new(1);
    let added = v1::AddNode { cluster: "home".into(), formerly: words(&["board-1"]), ..add("desk") };
    assert_eq!(house.change(ALICE, "board-2", Change::Add(added)).await, CHANGED);
    assert_eq!(house.change(ALICE, "desk", Change::Name("desk 2".into())).await, CHANGED);
    assert_eq!(house.change(ALICE, "board-2", pin(&["192.0.2.40", "192.0.2.40/32", "192.0.2.48/29"])).await, CHANGED);
    assert_eq!(house.change(ALICE, "desk 2", formerly(&["board-0", "board-1", "board-0"])).await, CHANGED);
    let entry = house.entry("desk 2").await.expect("listed");
    assert_eq!(entry.addresses, words(&["192.0.2.40/32", "192.0.2.48/29"]));
    assert_eq!(entry.formerly, words(&["board-0", "board-1"]));
    assert_eq!(house.change(ALICE, "desk 2", Change::Name("desk 2".into())).await, Ok(v1::ChangeOutcome::Unchanged));
    assert_eq!(house.change(ALICE, "desk 2", Change::Forget(false)).await, Err(Code::InvalidArgument));
    assert_eq!(house.change(ALICE, "desk 2", Change::Forget(true)).await, CHANGED);
    assert_eq!(house.change(ALICE, "desk 2", Change::Forget(true)).await, Err(Code::NotFound));
    assert!(house.entry("desk 2").await.is_none());
}

#[tokio::test]
async fn the_list_is_changed_by_approvers_of_the_node_on_the_host_and_by_nobody_else() {
    let house = House::new(1);
    let request = || v1::ChangeNodeRequest { node: "board".into(), change: Some(Change::Add(add("desk"))) };
    for uid in [BOT, ALICE, 0] {
        let refused = house.bot.change_node(from(uid, request())).await.expect_err("through the bot's channel");
        assert_eq!(refused.code(), Code::PermissionDenied, "{uid}");
    }
    for uid in [0, BOT, OVERFLOW_UID] {
        assert_eq!(house.change(uid, "board", Change::Add(add("desk"))).await, Err(Code::PermissionDenied), "{uid}");
    }
    // Its rule stands in the configuration, and names bob alone.
    let file = house.change(BOB, "worker-2", Change::Forget(true)).await;
    assert_eq!(file, Err(Code::FailedPrecondition), "it stands in the file");
    let nothing = v1::ChangeNodeRequest { node: "cp-1".into(), change: None };
    assert_eq!(house.host.change_node(from(ALICE, nothing)).await.expect_err("what?").code(), Code::InvalidArgument);
    assert_eq!(house.change(ALICE, "nobody", Change::Name("desk".into())).await, Err(Code::NotFound));
}

#[tokio::test]
async fn every_name_and_every_identifier_stays_with_one_node() {
    let house = House::new(1);
    let added = v1::AddNode { formerly: words(&["old-1"]), ..add("desk") };
    assert_eq!(house.change(ALICE, "board-1", Change::Add(added)).await, CHANGED);
    assert_eq!(house.change(ALICE, "board-2", Change::Add(add("shelf"))).await, CHANGED);
    let (taken, bad) = (Err(Code::AlreadyExists), Err(Code::InvalidArgument));
    for name in ["desk", "cp-1", CP_1, &CP_1.to_uppercase(), "board-1", IN_HOME] {
        assert_eq!(house.change(ALICE, "shelf", Change::Name(name.into())).await, taken, "{name}");
        assert_eq!(house.change(ALICE, "board-3", Change::Add(add(name))).await, taken, "{name}");
    }
    for name in ["", "k7m3", "K7M3", " desk", "a\nb", "a\u{202e}b", &"a".repeat(65)] {
        assert_eq!(house.change(ALICE, "shelf", Change::Name(name.into())).await, bad, "{name:?}");
    }
    for uuid in ["board-1", "old-1", CP_1, &CP_1.to_uppercase(), "desk", "cp-1"] {
        assert_eq!(house.change(ALICE, uuid, Change::Add(add("free"))).await, taken, "{uuid}");
    }
    for uuid in ["", "\u{e9}", &"a".repeat(65), "03000200-0400-0500-0006-000700080009"] {
        assert_eq!(house.change(ALICE, uuid, Change::Add(add("free"))).await, bad, "{uuid:?}");
    }
    for old in ["board-1", "board-2", "old-1", CP_1, IN_HOME, "", "\u{e9}"] {
        assert_eq!(house.change(ALICE, "shelf", formerly(&[old])).await, bad, "{old:?}");
    }
    let many: Vec<String> = (0..17).map(|number| format!("former-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(house.change(ALICE, "shelf", formerly(&many)).await, bad);
    assert_eq!(house.change(ALICE, "shelf", formerly(&many[..16])).await, CHANGED);
    let away = v1::AddNode { cluster: "away".into(), ..add("free") };
    assert_eq!(house.change(ALICE, "board-3", Change::Add(away)).await, Err(Code::NotFound));
    for address in ["198.51.100.1", "192.0.2.41/24", "cp-1", "", "2001:db8::1", "192.0.2.1:80"] {
        assert_eq!(house.change(ALICE, "shelf", pin(&[address])).await, bad, "{address:?}");
    }
    assert_eq!(house.change(ALICE, "shelf", pin(&["192.0.2.1"; 17])).await, bad);
}

#[tokio::test]
async fn two_people_change_the_list_when_the_rule_wants_two() {
    let house = House::new(2);
    let changes = [(ALICE, v1::ChangeOutcome::Counted), (ALICE, v1::ChangeOutcome::Repeated)];
    for (uid, outcome) in changes.into_iter().chain([(BOB, v1::ChangeOutcome::Changed)]) {
        assert!(house.entry("desk").await.is_none());
        assert_eq!(house.change(uid, "board", Change::Add(add("desk"))).await, Ok(outcome));
    }
    assert!(house.entry("desk").await.is_some());
}

#[tokio::test]
async fn an_entry_that_the_configuration_overrules_can_be_named_and_forgotten() {
    let house = House::new(1);
    assert_eq!(house.change(ALICE, "board", Change::Add(add("desk"))).await, CHANGED);
    // The file lists the same board, under another name.
    let configuration = house.gate.configuration();
    let network = "192.0.2.0/24".parse().expect("a network");
    let nodes = [node(CP_1, "cp-1"), node("board", "from the file")];
    let lists = Lists::new(vec![network], nodes, UuidPolicy::default());
    house.gate.reconfigure(configuration.policy.clone(), configuration.timings.clone(), &lists).await;
    let entry = house.entry("desk").await.expect("it is kept, and shown");
    assert!(entry.conflict.contains("from the file"), "{}", entry.conflict);
    assert_eq!(house.change(ALICE, "from the file", Change::Forget(true)).await, Err(Code::FailedPrecondition));
    assert_eq!(house.change(ALICE, "desk", Change::Name("table".into())).await, CHANGED);
    assert_eq!(house.change(ALICE, "table", Change::Forget(true)).await, CHANGED);
    assert!(house.entry("table").await.is_none());
    assert!(house.entry("from the file").await.is_some());
}

#[tokio::test]
async fn a_rule_of_several_channels_leaves_the_list_to_as_many_people_on_the_host() {
    let house = House::new(2);
    let configuration = house.gate.configuration();
    let mut policy = configuration.policy.clone();
    policy.default.from_channels = Some(2);
    house.gate.reconfigure(policy, configuration.timings.clone(), &house.admission.lists()).await;
    let add_desk = || Change::Add(add("desk"));
    assert_eq!(house.change(ALICE, "board", add_desk()).await, Ok(v1::ChangeOutcome::Counted));
    assert_eq!(house.change(BOB, "board", add_desk()).await, CHANGED);
}

#[tokio::test]
async fn an_entry_whose_cluster_is_gone_can_only_be_forgotten() {
    let house = House::new(1);
    let added = v1::AddNode { cluster: "home".into(), ..add("desk") };
    assert_eq!(house.change(ALICE, "board", Change::Add(added)).await, CHANGED);
    let configuration = house.gate.configuration();
    let network = "192.0.2.0/24".parse().expect("a network");
    let lists = Lists::new(vec![network], [node(CP_1, "cp-1")], UuidPolicy::default());
    house.gate.reconfigure(configuration.policy.clone(), configuration.timings.clone(), &lists).await;
    for change in [Change::Name("table".into()), pin(&["192.0.2.40"]), formerly(&["board-0"])] {
        assert_eq!(house.change(ALICE, "desk", change.clone()).await, Err(Code::FailedPrecondition), "{change:?}");
    }
    assert_eq!(house.change(ALICE, "desk", Change::Forget(true)).await, CHANGED);
}
