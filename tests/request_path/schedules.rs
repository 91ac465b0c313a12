//! What a boot looks like for each generation of Talos, and for the person who is asked.

use std::time::Duration;

use nightlatch_approval_api::v1::{Operation, VoteResult, Warning};
use tonic::Code;

use crate::house::{ALICE, CP_1, House, ROAMER, WORKER_1};
use crate::node::{Node, Version};

const ADDRESS: &[&str] = &["192.0.2.11"];
const HOUR: Duration = Duration::from_secs(3600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Blobs for `volumes` volumes of a node, made under one approval as at its installation.
pub async fn install(house: &House, uuid: &str, addresses: &[&str], volumes: u8) -> Vec<Vec<u8>> {
    let node = Node::new(house, uuid, Version::V1_13, addresses);
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let first = node.seal(0, &[0; 32]);
    let (refused, ask) = tokio::join!(first, alice.asked());
    assert_eq!(refused.expect_err("nobody said yes yet").code(), Code::Unavailable);
    assert_eq!(alice.approve(&ask).await, VoteResult::Decided);
    let mut blobs = vec![];
    for volume in 0..volumes {
        blobs.push(node.seal(0, &[volume; 32]).await.expect("approved"));
    }
    // Whoever boots next does so when that approval is over.
    tokio::time::sleep(seconds(600)).await;
    blobs
}

/// Boots a node of `version` with three volumes, and says yes `after` the first prompt. Gives the time from the yes to
/// the last open volume.
async fn one_tap(version: Version, after: Duration) -> Duration {
    let house = House::open();
    let blobs = install(&house, CP_1, ADDRESS, 3).await;
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let mut node = Node::new(&house, CP_1, version, ADDRESS);
    let (opened, tapped) = tokio::join!(node.boot(&blobs, HOUR), async {
        let ask = alice.asked().await;
        assert_eq!(ask.operation(), Operation::Unseal);
        assert_eq!(ask.node.as_ref().map(|node| node.name.as_str()), Some("cp-1"));
        tokio::time::sleep(after).await;
        assert_eq!(alice.approve(&ask).await, VoteResult::Decided);
    });
    let () = tapped;
    alice.catch_up().await;
    assert_eq!(alice.prompts.len(), 1, "one boot is one prompt");
    let volumes_opened = if version == Version::V1_7 { 4 } else { 3 };
    assert_eq!(alice.releases.len(), volumes_opened);
    assert_eq!(house.recorded("ask-opened"), 2, "the installation's and this one");
    assert_eq!(house.recorded("released"), 3 + volumes_opened);
    opened.expect("every volume is open") - after
}

#[tokio::test(start_paused = true)]
async fn one_ask_per_boot_and_one_tap_for_all_volumes_talos_1_7() {
    for after in [seconds(2), seconds(20), seconds(200)] {
        assert!(one_tap(Version::V1_7, after).await < seconds(150), "the longest wait is 127 s");
    }
}

#[tokio::test(start_paused = true)]
async fn one_ask_per_boot_and_one_tap_for_all_volumes_talos_1_9() {
    for after in [seconds(2), seconds(20), seconds(200)] {
        assert!(one_tap(Version::V1_9, after).await < seconds(40), "the next tick brings it");
    }
}

#[tokio::test(start_paused = true)]
async fn one_ask_per_boot_and_one_tap_for_all_volumes_talos_1_10() {
    for after in [seconds(2), seconds(20), seconds(170)] {
        assert!(one_tap(Version::V1_10, after).await < seconds(10), "a changed text makes it ask again at once");
    }
}

#[tokio::test(start_paused = true)]
async fn one_ask_per_boot_and_one_tap_for_all_volumes_talos_1_13() {
    for after in [seconds(2), seconds(20), seconds(170)] {
        assert!(one_tap(Version::V1_13, after).await < seconds(10), "a changed text makes it ask again at once");
    }
    assert!(one_tap(Version::V1_13, seconds(1_000)).await < seconds(45), "the text settled; the next tick brings it");
}

#[tokio::test(start_paused = true)]
async fn a_tap_during_a_hold_is_answered_without_another_poll() {
    let house = House::open();
    let blobs = install(&house, CP_1, ADDRESS, 1).await;
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let mut node = Node::new(&house, CP_1, Version::V1_9, ADDRESS);
    let (opened, ()) = tokio::join!(node.boot(&blobs, HOUR), async {
        let ask = alice.asked().await;
        tokio::time::sleep(seconds(3)).await;
        alice.approve(&ask).await;
    });
    assert!(opened.expect("open") < seconds(6));
    assert_eq!(node.attempts.len(), 1, "{:?}", node.attempts);
}

#[tokio::test(start_paused = true)]
async fn a_tap_between_calls_is_answered_by_the_next_retry() {
    let house = House::open();
    let blobs = install(&house, CP_1, ADDRESS, 1).await;
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let mut node = Node::new(&house, CP_1, Version::V1_9, ADDRESS);
    tokio::join!(node.boot(&blobs, HOUR), async {
        let ask = alice.asked().await;
        tokio::time::sleep(seconds(15)).await;
        alice.approve(&ask).await;
    });
    let attempts: Vec<_> = node.attempts.iter().map(|attempt| (attempt.at.as_secs(), attempt.result.is_ok())).collect();
    assert_eq!(attempts, [(0, false), (30, true)]);
}

#[tokio::test(start_paused = true)]
async fn the_console_shows_the_code_of_the_prompt() {
    let house = House::open();
    let node = Node::new(&house, CP_1, Version::V1_13, ADDRESS);
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let (first, ask) = tokio::join!(node.unseal(0, &[1; 60]), alice.asked());
    assert_eq!(first.expect_err("not yet").message(), format!("waiting for approval {} (1)", ask.code));
    let second = node.unseal(0, &[1; 60]).await.expect_err("not yet");
    assert_eq!(second.message(), format!("waiting for approval {} (2)", ask.code));
    tokio::time::sleep(seconds(180)).await;
    let later = node.unseal(0, &[1; 60]).await.expect_err("not yet");
    assert_eq!(later.message(), format!("waiting for approval {}", ask.code), "all night the same text");
}

#[tokio::test(start_paused = true)]
async fn dhcp_then_a_static_address_then_ipv6_is_one_peer() {
    let house = House::open();
    let blobs = install(&house, CP_1, ADDRESS, 3).await;
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    // STATE under DHCP, EPHEMERAL from the static address, a user volume over IPv6.
    let mut node = Node::new(&house, CP_1, Version::V1_10, &["192.0.2.111", "::ffff:192.0.2.11", "2001:db8::11"]);
    let (opened, ()) = tokio::join!(node.boot(&blobs, HOUR), async {
        let ask = alice.asked().await;
        alice.approve(&ask).await;
    });
    assert!(opened.is_some());
    alice.catch_up().await;
    assert_eq!(alice.prompts.len(), 1);
    let addresses: Vec<_> = alice.releases.iter().map(|release| release.address.as_str()).collect();
    assert_eq!(addresses, ["192.0.2.111", "192.0.2.11", "2001:db8::11"]);
}

#[tokio::test(start_paused = true)]
async fn a_seal_whose_data_changes_on_each_retry_is_one_ask() {
    let house = House::open();
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let node = Node::new(&house, CP_1, Version::V1_9, ADDRESS);
    for attempt in 0..5 {
        let status = node.seal(0, &[attempt; 32]).await.expect_err("nobody answered");
        assert_eq!(status.code(), Code::Unavailable);
    }
    alice.catch_up().await;
    assert_eq!(alice.prompts.len(), 1);
    assert_eq!(alice.prompts[0].operation(), Operation::Seal);
}

#[tokio::test(start_paused = true)]
async fn first_format_is_a_seal_and_the_unseal_of_that_blob_under_one_tap() {
    let house = House::open();
    let old = install(&house, CP_1, ADDRESS, 1).await;
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let node = Node::new(&house, CP_1, Version::V1_13, ADDRESS);
    let (sealed, ()) = tokio::join!(node.seal(0, &[7; 32]), async {
        let ask = alice.asked().await;
        assert_eq!(alice.approve(&ask).await, VoteResult::Decided);
    });
    let blob = sealed.expect("approved while it was held");
    tokio::time::sleep(seconds(10)).await;
    assert_eq!(node.unseal(0, &blob).await.expect("what was sealed under the tap"), [7; 32]);
    alice.catch_up().await;
    assert_eq!(alice.prompts.len(), 1);
    let older = node.unseal(0, &old[0]).await.expect_err("a yes to a new disk opens no old one");
    assert_eq!(older.code(), Code::Unavailable);
    alice.catch_up().await;
    assert_eq!(alice.prompts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slot_added_to_a_running_node_gets_its_seal_on_the_next_boot_after_a_late_tap() {
    let house = House::open();
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let node = Node::new(&house, CP_1, Version::V1_13, ADDRESS);
    let (missed, ask) = tokio::join!(node.seal(0, &[1; 32]), alice.asked());
    assert_eq!(missed.expect_err("one try per boot").code(), Code::Unavailable);
    tokio::time::sleep(seconds(120)).await;
    assert_eq!(alice.approve(&ask).await, VoteResult::Decided);
    tokio::time::sleep(8 * HOUR).await;
    assert!(node.seal(0, &[2; 32]).await.is_ok());
    alice.catch_up().await;
    assert_eq!(alice.prompts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unlisted_address_is_denied_and_told() {
    let house = House::open();
    let blobs = install(&house, CP_1, ADDRESS, 1).await;
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let thief = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.66"]);
    for _ in 0..20 {
        let status = thief.unseal(0, &blobs[0]).await.expect_err("not from there");
        assert_eq!(
            (status.code(), status.message()),
            (Code::PermissionDenied, "this node may not ask from this address")
        );
    }
    alice.catch_up().await;
    assert!(alice.prompts.is_empty());
    assert_eq!(alice.notices.len(), 1, "told once");
    assert_eq!(alice.notices[0].address, "192.0.2.66");
    assert_eq!(alice.notices[0].node.as_ref().map(|node| node.name.as_str()), Some("cp-1"));
}

#[tokio::test(start_paused = true)]
async fn another_address_may_be_asked_for_and_is_shown_as_such() {
    let house = House::with_rules("other_address = \"ask\"");
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let moved = Node::new(&house, CP_1, Version::V1_13, &["192.0.2.66"]);
    let (_, ask) = tokio::join!(moved.unseal(0, &[1; 60]), alice.asked());
    assert!(ask.warnings().any(|warning| warning == Warning::OtherAddress));
}

#[tokio::test(start_paused = true)]
async fn a_denial_stays() {
    let house = House::open();
    let blobs = install(&house, CP_1, ADDRESS, 1).await;
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let mut node = Node::new(&house, CP_1, Version::V1_13, ADDRESS);
    let (opened, ()) = tokio::join!(node.boot(&blobs, seconds(3_500)), async {
        let ask = alice.asked().await;
        alice.deny(&ask).await;
    });
    assert_eq!(opened, None);
    alice.catch_up().await;
    assert_eq!(alice.prompts.len(), 1, "the node asked all hour, and nobody was asked again");
    assert!((100..130).contains(&node.attempts.len()), "every 30 s: {}", node.attempts.len());
    let last = node.attempts.last().expect("attempts").result.clone().expect_err("denied");
    assert_eq!((last.code(), last.message()), (Code::PermissionDenied, "denied"));

    let house = house.crash_and_restart("").await;
    let node = Node::new(&house, CP_1, Version::V1_13, ADDRESS);
    let after = node.unseal(0, &blobs[0]).await.expect_err("denied before the restart");
    assert_eq!(after.message(), "denied");
    let mut alice = house.person(ALICE).await;
    assert_eq!(alice.unblock("cp-1").await.expect("alice may"), 1);
    assert_eq!(node.unseal(0, &blobs[0]).await.expect_err("asked again").code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends() {
    let house = House::open();
    let blobs = install(&house, CP_1, ADDRESS, 1).await;
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let node = Node::new(&house, CP_1, Version::V1_13, ADDRESS);
    let (opened, ()) = tokio::join!(node.unseal(0, &blobs[0]), async {
        let ask = alice.asked().await;
        alice.approve(&ask).await;
    });
    assert_eq!(opened.expect("approved"), [0; 32]);
    tokio::time::sleep(seconds(290)).await;
    assert!(node.unseal(0, &blobs[0]).await.is_ok());
    tokio::time::sleep(seconds(11)).await;
    assert_eq!(node.unseal(0, &blobs[0]).await.expect_err("over").code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_connect_takes_six_seconds_still_unlocks_under_a_live_grant() {
    let house = House::open();
    let blobs = install(&house, CP_1, ADDRESS, 2).await;
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    for version in [Version::V1_9, Version::V1_13] {
        let mut node = Node::new(&house, CP_1, version, ADDRESS);
        node.connect = seconds(6);
        let (opened, ()) = tokio::join!(node.boot(&blobs, HOUR), async {
            let ask = alice.asked().await;
            alice.approve(&ask).await;
        });
        assert!(opened.expect("open") < seconds(60), "{version:?}: {:?}", node.attempts);
        tokio::time::sleep(HOUR).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_without_listed_addresses_are_asked_for_per_address() {
    let house = House::open();
    let blobs = install(&house, ROAMER, &["192.0.2.90"], 1).await;
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let here = Node::new(&house, ROAMER, Version::V1_13, &["192.0.2.90"]);
    let there = Node::new(&house, ROAMER, Version::V1_13, &["192.0.2.91"]);
    let (opened, ()) = tokio::join!(here.unseal(0, &blobs[0]), async {
        let ask = alice.asked().await;
        alice.approve(&ask).await;
    });
    assert!(opened.is_ok());
    let (refused, ask) = tokio::join!(there.unseal(0, &blobs[0]), alice.asked());
    assert_eq!(refused.expect_err("asked for on its own").code(), Code::Unavailable);
    assert!(ask.warnings().any(|warning| warning == Warning::SecondAddress));
}

#[tokio::test(start_paused = true)]
async fn nodes_do_not_open_each_others_disks() {
    let house = House::with_rules("unseal = \"allow\"");
    let blobs = install(&house, CP_1, ADDRESS, 1).await;
    let other = Node::new(&house, WORKER_1, Version::V1_13, &["192.0.2.21"]);
    let status = other.unseal(0, &blobs[0]).await.expect_err("sealed for cp-1");
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "this sealed blob cannot be opened"));
    assert_eq!(house.recorded("release-failed"), 1);
}
