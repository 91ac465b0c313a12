//! The day the power comes back, in small: benches/storm measures the same with 2,000 nodes.

#![expect(
    clippy::expect_used,
    unreachable_pub,
    reason = "a test fails by panicking, and its modules are the crate's own"
)]

mod house;
mod node;
mod people;
mod storm;

use std::time::Duration;

use people::Habit;
use storm::{Outcome, Setting, run};

/// 200 nodes of 4 clusters. What it took is checked in simulated time.
const SMALL: Setting = Setting {
    clusters: 4,
    nodes: 50,
    volumes: 4,
    junk: 9,
    habit: Habit::Together { leaving_out: 0 },
    within: Duration::from_secs(1_800),
};

/// One kind of junk is told once in an hour, and so is each node that somebody names from elsewhere.
const MOST_NOTICES: u64 = 250;

/// Nothing but the nodes' own volumes was released, each as often as its node got it.
fn nobody_else_got_anything(outcome: &Outcome) {
    assert!(outcome.junk_calls > 1_000, "{}", outcome.junk_calls);
    assert_eq!(outcome.junk_released, 0);
    assert!(outcome.seen.notices <= MOST_NOTICES, "{} notices", outcome.seen.notices);
    assert_eq!(outcome.seen.cut_off, 0, "a channel that listens keeps up");
    assert!(outcome.largest_snapshot < nightlatch_approval_api::MAX_MESSAGE_LEN, "{}", outcome.largest_snapshot);
    assert!(outcome.audit_len < 4 * 1024 * 1024, "{} bytes of audit log", outcome.audit_len);
}

#[tokio::test(start_paused = true)]
async fn when_the_power_comes_back_one_tap_for_each_cluster_opens_every_volume_of_it() {
    let outcome = run(SMALL).await;
    assert_eq!(outcome.boots.len(), 200, "every node has all its volumes");
    nobody_else_got_anything(&outcome);
    // A quarter of the nodes opens STATE twice.
    assert_eq!(outcome.released, 200 * 4 + 50);
    assert_eq!(outcome.boots.iter().map(|boot| boot.released).sum::<u64>(), outcome.released);
    let late = outcome.seen.prompts.saturating_sub(200);
    assert_eq!(late, 0, "no node is asked about twice");
    assert!(
        (4..=8).contains(&outcome.seen.taps),
        "one for each cluster, and one more for late ones: {:?}",
        outcome.seen.taps
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_late_by_ten_minutes_still_needs_one_tap_for_each_cluster() {
    let outcome = run(Setting { habit: Habit::Late, ..SMALL }).await;
    assert_eq!(outcome.boots.len(), 200, "every node has all its volumes");
    nobody_else_got_anything(&outcome);
    assert_eq!((outcome.seen.prompts, outcome.seen.taps), (200, 4));
}

#[tokio::test(start_paused = true)]
async fn one_by_one_takes_a_tap_for_each_node_and_leaves_none_out() {
    let outcome = run(Setting { habit: Habit::OneByOne, ..SMALL }).await;
    assert_eq!(outcome.boots.len(), 200, "every node has all its volumes");
    nobody_else_got_anything(&outcome);
    assert_eq!((outcome.seen.prompts, outcome.seen.taps), (200, 200));
    assert!(outcome.lasted < Duration::from_secs(600), "{:?}", outcome.lasted);
}

#[tokio::test(start_paused = true)]
async fn a_tap_covers_the_list_as_it_was_shown_and_no_node_beside_it() {
    let setting = Setting { habit: Habit::Together { leaving_out: 1 }, within: Duration::from_secs(600), ..SMALL };
    let outcome = run(setting).await;
    nobody_else_got_anything(&outcome);
    assert_eq!(outcome.boots.len(), 200 - 4, "the last of each cluster waits for as long as nobody names it");
}
