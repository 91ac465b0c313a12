//! How many releases one fdatasync(2) makes durable: counted by strace(1) in runs of their own, which it slows.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use nightlatch_benches::MAX_NODES;

use crate::house::{House, USUAL};
use crate::load::{self, Shape, Target};

/// What was counted.
#[derive(Debug)]
pub struct Syncs {
    /// Calls in flight.
    pub in_flight: usize,
    /// Releases that were recorded.
    pub releases: u64,
    /// Calls of fdatasync(2).
    pub syncs: u64,
}

/// Counts with 1, 32 and 64 calls in flight. Nothing where there is no strace.
pub fn count(house: &House) -> Result<Vec<Syncs>> {
    if std::process::Command::new("strace").arg("--version").output().is_err() {
        println!("syncs: skipped, there is no strace");
        return Ok(vec![]);
    }
    [1, 32, 64].into_iter().map(|in_flight| count_with(house, in_flight)).collect()
}

fn count_with(house: &House, in_flight: usize) -> Result<Syncs> {
    let process = house.start_traced(&USUAL)?;
    let target = Target { address: process.address, tls: None, blobs: Arc::clone(&house.blobs) };
    let connections = in_flight.div_ceil(8);
    let shape = Shape { connections, in_flight, nodes: MAX_NODES, own_addresses: false, fresh: false };
    load::run(&process, &target, shape, Duration::ZERO, Duration::from_millis(700))?;
    process.stop()?;
    let summary = fs::read_to_string(house.path().join("syncs"))?;
    let line = summary.lines().find(|line| line.trim_end().ends_with("fdatasync")).context("no fdatasync was seen")?;
    // % time, seconds, usecs/call, calls, errors (left out when there are none), syscall.
    let syncs = line.split_whitespace().nth(3).context("strace counts otherwise")?.parse()?;
    let log = fs::read_to_string(house.path().join("state").join(nightlatch::daemon::open::AUDIT_LOG))?;
    let releases = log.lines().filter(|line| line.contains("\"event\":\"released\"")).count();
    Ok(Syncs { in_flight, releases: u64::try_from(releases)?, syncs })
}
