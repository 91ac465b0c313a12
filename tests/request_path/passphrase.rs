//! Disks that are sealed under a passphrase.

use std::time::Duration;

use tonic::Code;

use crate::house::{ALICE, CP_1, FIRST, House, WORKER_1, passphrase};
use crate::node::{Node, Version};
use crate::schedules::install;

const ADDRESS: &[&str] = &["192.0.2.11"];
const HOUR: Duration = Duration::from_secs(3600);

/// Boots, with one yes to one prompt.
async fn boot(house: &House, uuid: &str, addresses: &[&str], version: Version, blobs: &[Vec<u8>]) -> Node {
    let mut alice = house.person(ALICE).await;
    alice.listen().await.expect("alice may listen");
    let mut node = Node::new(house, uuid, version, addresses);
    let (opened, ()) = tokio::join!(node.boot(blobs, HOUR), async {
        let ask = alice.asked().await;
        alice.approve(&ask).await;
    });
    opened.expect("every volume is open");
    alice.catch_up().await;
    assert_eq!(alice.prompts.len(), 1, "one boot is one prompt");
    node
}

#[tokio::test(start_paused = true)]
async fn a_disk_under_a_passphrase_opens_after_a_restart_with_one_tap() {
    let house = House::with_keys(&passphrase(), "");
    let blobs = install(&house, CP_1, ADDRESS, 3).await;
    assert!(blobs.iter().all(|blob| blob.len() == 224 && blob[8] == 2), "source 2");
    let mut house = house;
    for version in [Version::V1_7, Version::V1_9, Version::V1_10, Version::V1_13] {
        house = house.crash_and_restart("").await;
        let node = boot(&house, CP_1, ADDRESS, version, &blobs).await;
        let failed = node.attempts.iter().filter_map(|attempt| attempt.result.as_ref().err());
        assert!(failed.clone().all(|status| status.code() == Code::Unavailable), "{:?}", node.attempts);
        assert!(!failed.map(|status| status.message()).any(|text| text.contains("sealed or opened")), "it was ready");
    }
}

#[tokio::test(start_paused = true)]
async fn another_nodes_blob_does_not_open_nor_one_with_another_salt() {
    let house = House::with_keys(&passphrase(), "unseal = \"allow\"");
    let blobs = install(&house, CP_1, ADDRESS, 1).await;
    let worker = Node::new(&house, WORKER_1, Version::V1_13, &["192.0.2.21"]);
    let cp_1 = Node::new(&house, CP_1, Version::V1_13, ADDRESS);
    let mut salted = blobs[0].clone();
    salted[24] ^= 1;
    let mut dearer = blobs[0].clone();
    dearer[22] = 255;
    for (refused, reason) in [
        (worker.unseal(0, &blobs[0]).await, "was sealed for another node"),
        (cp_1.unseal(0, &salted).await, "with a salt or parameters that are not those of that key"),
        (cp_1.unseal(0, &dearer).await, "the parameters of Argon2id in the blob are out of range"),
    ] {
        let status = refused.expect_err("it is not theirs");
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "this sealed blob cannot be opened"));
        assert!(house.audit_log().contains(reason), "{reason}: {}", house.audit_log());
    }
    assert!(cp_1.unseal(0, &blobs[0]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_of_both_kinds_open_while_one_of_them_seals() {
    let house = House::with_keys(FIRST, "");
    let old = install(&house, CP_1, ADDRESS, 1).await;
    let both = [FIRST, "seals = false", &passphrase(), "seals = true"].concat();
    let house = house.crash_and_restart_with_keys(&both, "").await;
    let new = install(&house, CP_1, ADDRESS, 1).await;
    assert_eq!((old[0][8], new[0][8]), (1, 2));
    boot(&house, CP_1, ADDRESS, Version::V1_13, &[old[0].clone(), new[0].clone()]).await;

    // And back: the passphrase only opens.
    let back = [FIRST, "seals = true", &passphrase(), "seals = false"].concat();
    let house = house.crash_and_restart_with_keys(&back, "").await;
    let newest = install(&house, CP_1, ADDRESS, 1).await;
    assert_eq!(newest[0][8], 1);
    boot(&house, CP_1, ADDRESS, Version::V1_13, &[newest[0].clone(), new[0].clone(), old[0].clone()]).await;

    let house = house.crash_and_restart_with_keys(FIRST, "unseal = \"allow\"").await;
    let cp_1 = Node::new(&house, CP_1, Version::V1_13, ADDRESS);
    assert_eq!(cp_1.unseal(0, &new[0]).await.expect_err("its key is gone").code(), Code::InvalidArgument);
    assert!(cp_1.unseal(0, &old[0]).await.is_ok());
}
