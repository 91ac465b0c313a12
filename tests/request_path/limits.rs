//! Junk, floods, hang-ups and strangers, and what people hear of them.

use std::time::Duration;

use nightlatch::wire::stubs::Request;
use nightlatch::wire::stubs::kms_service_client::KmsServiceClient;
use nightlatch_approval_api::v1;
use tonic::Code;

use crate::house::{ALICE, CP_1, House, MALLORY, ROAMER};
use crate::node::{Node, Version};

#[tokio::test(start_paused = true)]
async fn ten_thousand_junk_calls_make_at_most_one_message_and_the_nodes_prompt_arrives() {
    for addresses in [1_u32, 1_000] {
        let house = House::open();
        let mut alice = house.person(ALICE).await;
        alice.listen().await.expect("alice may listen");
        for number in 0..addresses {
            let road = house.road(&format!("2001:db8:{number:x}::1"));
            let mut client = KmsServiceClient::new(road.channel().await);
            for call in 0..10_000 / addresses {
                let node_uuid = format!("00000000-0000-4000-8000-{number:04x}{call:08x}");
                let status = client.unseal(Request { node_uuid, data: vec![1; 60] }).await.err().expect("a stranger");
                assert!(matches!(status.code(), Code::PermissionDenied | Code::ResourceExhausted), "{status:?}");
            }
            alice.catch_up().await;
        }
        let node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
        let (_, ask) = tokio::join!(node.unseal(0, &[1; 60]), alice.asked());
        assert_eq!(ask.node.map(|node| node.name), Some("cp-1".to_owned()));
        assert!(alice.notices.len() <= 1, "{:?}", alice.notices);
        assert!(house.audit_log().len() < 300_000, "junk does not fill the disk");
    }
}

#[tokio::test(start_paused = true)]
async fn junk_in_a_listed_nodes_name_does_not_take_its_prompt() {
    let house = House::with_rules("other_address = \"ask\"");
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    for last in 120..=250 {
        let thief = Node::new(&house, CP_1, Version::V1_13, &[&format!("192.0.2.{last}")]);
        let status = thief.unseal(0, &[1; 60]).await.expect_err("not approved");
        assert!(matches!(status.code(), Code::Unavailable | Code::ResourceExhausted), "{status:?}");
    }
    alice.catch_up().await;
    assert_eq!(alice.prompts.len(), 2, "two of the addresses are asked for");
    let node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
    let (_, ask) = tokio::join!(node.unseal(0, &[1; 60]), alice.asked());
    assert_eq!(ask.origin(), v1::Origin::Listed);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_leaves_nothing_half_done() {
    let house = House::open();
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
    let hung_up = tokio::time::timeout(Duration::from_millis(100), node.unseal(0, &[1; 60])).await;
    assert!(hung_up.is_err());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(house.calls.len(), 0, "its task has ended");
    let ask = alice.asked().await;
    alice.approve(&ask).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    alice.catch_up().await;
    assert!(alice.releases.is_empty(), "nothing is released to nobody");
    assert_eq!(house.recorded("released") + house.recorded("release-failed"), 0);
}

#[tokio::test(start_paused = true)]
async fn strangers_at_the_host_neither_listen_nor_vote() {
    let house = House::open();
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
    let (_, ask) = tokio::join!(node.unseal(0, &[1; 60]), alice.asked());
    // Every local user seen as 65534 is nobody in particular, and certainly not the bot.
    for uid in [MALLORY, nightlatch::peer::OVERFLOW_UID] {
        let mut stranger = house.person(uid).await;
        assert_eq!(stranger.listen().await.expect_err("a stranger").code(), Code::PermissionDenied);
        for verdict in [v1::Verdict::Approve, v1::Verdict::Deny, v1::Verdict::Block] {
            let status = stranger.vote(&ask, verdict).await.expect_err("a stranger");
            assert_eq!(status.code(), Code::PermissionDenied);
        }
        assert_eq!(stranger.block_node("cp-1").await.expect_err("a stranger").code(), Code::PermissionDenied);
        assert_eq!(stranger.unblock("cp-1").await.expect_err("a stranger").code(), Code::PermissionDenied);
    }
    let mut root = house.person(0).await;
    assert_eq!(root.listen().await.expect("root may look").asks.len(), 1);
    let status = root.vote(&ask, v1::Verdict::Approve).await.expect_err("root is no approver here");
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(node.unseal(0, &[1; 60]).await.expect_err("still waiting").code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_hears_what_is_open_and_who_votes_late_is_told() {
    let house = House::open();
    let node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
    node.unseal(0, &[1; 60]).await.expect_err("nobody is there");
    let mut alice = house.person(ALICE).await;
    let snapshot = alice.listen().await.expect("alice may listen");
    let [ask] = snapshot.asks.as_slice() else { panic!("one ask: {snapshot:?}") };
    assert_eq!((ask.attempts, ask.volumes), (1, 1));
    tokio::time::sleep(Duration::from_secs(700)).await;
    let late = alice.vote(ask, v1::Verdict::Approve).await.expect("answered politely");
    assert_eq!(late.result(), v1::VoteResult::Closed);
    assert_eq!(late.closed.expect("how it ended").outcome(), v1::Outcome::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_restart_forgets_grants_and_dead_buttons_do_nothing() {
    let house = House::open();
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
    let (_, ask) = tokio::join!(node.unseal(0, &[1; 60]), alice.asked());
    alice.approve(&ask).await;
    let house = house.crash_and_restart("").await;
    let mut alice = house.person(ALICE).await;
    assert_eq!(alice.vote(&ask, v1::Verdict::Approve).await.expect("answered").result(), v1::VoteResult::Unknown);
    let node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
    let status = node.unseal(0, &[1; 60]).await.expect_err("asked anew");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(house.recorded("ask-opened"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_block_of_the_whole_node_binds_every_address() {
    let house = House::open();
    let mut alice = house.person(ALICE).await;
    alice.block_node("roamer").await.expect("alice may");
    for address in ["192.0.2.90", "192.0.2.91", "2001:db8::77"] {
        let node = Node::new(&house, ROAMER, Version::V1_13, &[address]);
        assert_eq!(node.unseal(0, &[1; 60]).await.expect_err("blocked").message(), "blocked");
    }
    let house = house.crash_and_restart("").await;
    let node = Node::new(&house, ROAMER, Version::V1_13, &["192.0.2.90"]);
    assert_eq!(node.unseal(0, &[1; 60]).await.expect_err("blocked before the restart").message(), "blocked");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_became_deny_beats_what_was_approved() {
    let house = House::with_rules("unseal = \"deny\"");
    let node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
    let status = node.unseal(0, &[1; 60]).await.expect_err("denied by rule");
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "refused by rule"));
    assert_eq!(house.recorded("ask-opened"), 0);
}

#[tokio::test(start_paused = true)]
async fn bad_requests_are_told_what_is_wrong_with_them() {
    let house = House::open();
    let call = async |node_uuid: &str, data: Vec<u8>| {
        let mut client = KmsServiceClient::new(house.road("192.0.2.11").channel().await);
        client.unseal(Request { node_uuid: node_uuid.to_owned(), data }).await.err().expect("bad").code()
    };
    for uuid in ["", "a b", "caf\u{e9}", &"x".repeat(65), "\u{202e}x"] {
        assert_eq!(call(uuid, vec![1; 60]).await, Code::InvalidArgument, "{uuid:?}");
    }
    assert_eq!(call(CP_1, vec![]).await, Code::InvalidArgument);
    assert_eq!(call(CP_1, vec![1; 1025]).await, Code::InvalidArgument);
    assert_eq!(call(CP_1, vec![1; 20_000]).await, Code::OutOfRange, "longer than any message may be");
    assert_eq!(call(&"x".repeat(10_000), vec![1]).await, Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_node_with_little_time_left_is_not_held_into_it() {
    let house = House::open();
    let mut node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
    // Of the 10 s of the call 6 s are left, and of these the last 5 s belong to the node.
    node.connect = Duration::from_secs(4);
    let status = node.unseal(0, &[1; 60]).await.expect_err("not yet");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.message().contains('('), "held for too short a time to change its text: {}", status.message());
}

#[tokio::test(start_paused = true)]
async fn people_hear_of_strangers() {
    let house = House::open();
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let stranger = Node::new(&house, "00000000-0000-4000-8000-000000000001", Version::V1_13, &["192.0.2.77"]);
    assert_eq!(stranger.unseal(0, &[1; 60]).await.expect_err("a stranger").code(), Code::PermissionDenied);
    alice.catch_up().await;
    let kinds: Vec<_> = alice.notices.iter().map(v1::Notice::kind).collect();
    assert_eq!(kinds, [v1::NoticeKind::Strangers]);
}

/// The records of this event, in their order.
fn records(house: &House, event: &str) -> Vec<serde_json::Value> {
    let log = house.audit_log();
    let records = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    records.filter(|record| record["event"] == event).collect()
}

#[tokio::test(start_paused = true)]
async fn the_record_says_what_a_release_rests_on() {
    let house = House::with_rules("seal = \"allow\"");
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
    let blob = node.seal(0, &[7; 32]).await.expect("allowed");
    let (unsealed, ask) = tokio::join!(node.unseal(0, &blob), async {
        let ask = alice.asked().await;
        alice.approve(&ask).await;
        ask
    });
    unsealed.expect("approved");
    node.unseal(0, &[1; 60]).await.expect_err("no blob of ours");
    let released = records(&house, "released");
    let [sealed, unsealed] = released.as_slice() else { panic!("{released:?}") };
    assert_eq!((&sealed["rule"], &sealed["approvers"]), (&"allow".into(), &serde_json::json!([])));
    assert!(sealed["ask"].is_null(), "{sealed}");
    assert_eq!((&unsealed["rule"], &unsealed["approvers"]), (&"ask".into(), &serde_json::json!(["alice"])));
    assert_eq!(unsealed["ask"]["code"], ask.code.as_str());
    assert_eq!(unsealed["blob"], sealed["blob"]);
    let failed = records(&house, "release-failed");
    let [failed] = failed.as_slice() else { panic!("{failed:?}") };
    assert!(
        failed["blob"].as_str().is_some_and(|blob| blob.len() == 32) && failed["blob"] != sealed["blob"],
        "{failed}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_record_sums_up_refusals_by_their_reason() {
    let house = House::open();
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let node = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.11"]);
    let (denied, ask) = tokio::join!(node.unseal(0, &[1; 60]), async {
        let ask = alice.asked().await;
        alice.deny(&ask).await
    });
    assert_eq!((denied.expect_err("denied").message(), ask), ("denied", v1::VoteResult::Decided));
    tokio::time::sleep(Duration::from_secs(120)).await;
    let refused = records(&house, "refused");
    assert!(refused.iter().any(|record| record["reason"] == "denied"), "{refused:?}");
}
