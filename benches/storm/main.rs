//! The day the power comes back, in simulated time: 2,000 nodes of 40 clusters, each on the schedule of its version, with junk
//! beside them. docs/performance.md holds what it says. tests/storm checks the same in small.

#![expect(
    clippy::expect_used,
    unreachable_pub,
    reason = "a measurement that cannot go on ends, and its modules are the crate's own"
)]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

#[path = "../../tests/storm/house.rs"]
mod house;
#[path = "../../tests/storm/node.rs"]
mod node;
#[path = "../../tests/storm/people.rs"]
mod people;
#[path = "../../tests/storm/storm.rs"]
mod storm;

use std::time::Duration;

use nightlatch::clock::{Clock, HostClock};
use people::Habit;
use storm::{Outcome, Setting, run};

const ALL: Setting = Setting {
    clusters: 40,
    nodes: 50,
    volumes: 4,
    junk: 60,
    habit: Habit::Together { leaving_out: 0 },
    within: Duration::from_secs(3_600),
};

fn main() -> anyhow::Result<()> {
    println!(
        "| | all open | prompts | taps | notices | events | cut off | power-on to prompt, s | tap to last key, s | most open | refused calls | junk calls | snapshot, KiB | audit, KiB | lasted, s | took, s | VmHWM, MiB |"
    );
    println!("| --- {}|", "| --: ".repeat(16));
    let cases = [
        ("all of a cluster at once", ALL),
        ("one by one", Setting { habit: Habit::OneByOne, ..ALL }),
        ("nobody for ten minutes, then all", Setting { habit: Habit::Late, ..ALL }),
        ("the same, 4 clusters of 500", Setting { habit: Habit::Late, clusters: 4, nodes: 500, ..ALL }),
    ];
    for (name, setting) in cases {
        let began = HostClock.now().moment;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let outcome = runtime.enable_time().start_paused(true).build()?.block_on(run(setting));
        let took = began.until(HostClock.now().moment);
        let got: u64 = outcome.boots.iter().map(|boot| boot.released).sum();
        anyhow::ensure!(outcome.junk_released == 0, "junk got {} keys", outcome.junk_released);
        anyhow::ensure!(outcome.released >= got, "{} releases on record of {got}", outcome.released);
        println!("| {name} {}|", row(&outcome, setting.clusters * setting.nodes, took)?);
    }
    Ok(())
}

fn row(outcome: &Outcome, count: usize, took: Duration) -> anyhow::Result<String> {
    let named = |number: usize| format!("node-{number}").into_boxed_str();
    let seen = &outcome.seen;
    let to_prompt =
        outcome.boots.iter().filter_map(|boot| Some(*seen.prompted.get(&named(boot.number))? - boot.powered_on));
    let to_key = outcome
        .boots
        .iter()
        .filter_map(|boot| Some(boot.last_release.saturating_duration_since(*seen.tapped.get(&named(boot.number))?)));
    let (to_prompt, to_key) = (spread(to_prompt.collect()), spread(to_key.collect()));
    let refused: u64 = outcome.boots.iter().map(|boot| boot.refused).sum();
    Ok(format!(
        "| {} of {count} | {} | {} | {} | {} | {} | {to_prompt} | {to_key} | {} | {refused} | {} | {} | {} | {} | {:.1} | {} ",
        outcome.boots.len(),
        seen.prompts,
        seen.taps,
        seen.notices,
        seen.events,
        seen.cut_off,
        seen.most_open,
        outcome.junk_calls,
        outcome.largest_snapshot / 1024,
        outcome.audit_len / 1024,
        outcome.lasted.as_secs(),
        took.as_secs_f64(),
        most_resident()? / 1024,
    ))
}

/// The median and the worst.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or_default().as_secs_f64();
    format!("{:.1}, {:.1}", at(times.len() / 2), at(times.len().saturating_sub(1)))
}

/// The most memory that this process ever had, in KiB. It never falls: the first row has its own, the others what came before.
fn most_resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
    Ok(number.parse()?)
}
