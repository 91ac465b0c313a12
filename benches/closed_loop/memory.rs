//! What the server holds in memory: when nothing happens, with a thousand calls that wait for a person, after junk.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use nightlatch::wire::stubs::Request;
use nightlatch_benches::uuid;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::house::{House, Setting, USUAL};
use crate::load::{Target, own_address};
use crate::people;

/// One reading.
#[derive(Debug)]
pub struct Memory {
    /// What the server had gone through.
    pub when: &'static str,
    /// Resident memory in kB.
    pub resident: u64,
    /// How much more that is than the idle server had; for peaks, the most that it ever was.
    pub growth: u64,
    /// The most of it that is good enough, in kB.
    pub aim: u64,
}

const MIB: u64 = 1024;
const HELD: usize = 1000;
const JUNK: usize = 10_000;
const CALLS_PER_CONNECTION: usize = 8;

/// Reads it in three servers.
pub fn measure(house: &House) -> Result<Vec<Memory>> {
    let mut found = vec![];
    for (when, nodes) in [("idle, 8 nodes", 8), ("idle, 4,096 nodes", 4096)] {
        let process = house.start(&Setting { nodes, ..USUAL })?;
        std::thread::sleep(Duration::from_millis(500));
        let resident = process.memory("VmRSS")?;
        found.push(Memory { when, resident, growth: resident, aim: 8 * MIB });
        process.stop()?;
    }

    let process = house.start(&Setting { nodes: HELD, rule: "ask", ..USUAL })?;
    let target = Target { address: process.address, tls: None, blobs: Arc::clone(&house.blobs) };
    let before = process.memory("VmRSS")?;
    people::block_on(async {
        let mut calls = JoinSet::new();
        let nodes: Vec<usize> = (0..HELD).collect();
        for (connection, nodes) in nodes.chunks(CALLS_PER_CONNECTION).enumerate() {
            let client = target.connect(Some(own_address(connection % 8))).await?;
            for node in nodes {
                let (mut client, request) = (client.clone(), target.unseal(*node)?);
                calls.spawn(async move { client.unseal(request).await });
            }
        }
        // They are held for 8 s from their arrival.
        let early = timeout(Duration::from_secs(3), calls.join_next()).await;
        ensure!(early.is_err(), "a call that was to be held was answered");
        let resident = process.memory("VmRSS")?;
        let growth = resident.saturating_sub(before);
        found.push(Memory { when: "1,000 calls held", resident, growth, aim: 8 * MIB });
        while calls.join_next().await.is_some() {}
        Ok(())
    })?;
    process.stop()?;

    let process = house.start(&Setting { nodes: 8, ..USUAL })?;
    let target = Target { address: process.address, tls: None, blobs: Arc::clone(&house.blobs) };
    let before = process.memory("VmRSS")?;
    people::block_on(flood(&target))?;
    let (resident, peak) = (process.memory("VmRSS")?, process.memory("VmHWM")?);
    for (when, resident) in [("after 10,000 calls of junk", resident), ("at its peak meanwhile", peak)] {
        found.push(Memory { when, resident, growth: resident.saturating_sub(before), aim: 8 * MIB });
    }
    process.stop()?;
    Ok(found)
}

/// Junk of every kind, from many addresses: unknown nodes, no identifiers, blobs that do not open.
async fn flood(target: &Target) -> Result<()> {
    let mut calls = JoinSet::new();
    let numbers: Vec<usize> = (0..JUNK).collect();
    for (connection, numbers) in numbers.chunks(CALLS_PER_CONNECTION).enumerate() {
        let client = target.connect(Some(own_address(connection % 250))).await?;
        for number in numbers.iter().copied() {
            let node_uuid = match number % 4 {
                0 => uuid(1_000_000 + number),
                1 => format!("junk {number}"),
                2 => "x".repeat(4000),
                _ => uuid(number % 8),
            };
            let request = Request { node_uuid, data: vec![0x89; 1 + number % 2000] };
            let mut client = client.clone();
            calls.spawn(async move { client.unseal(request).await });
        }
        while calls.len() > 256 {
            calls.join_next().await;
        }
    }
    while let Some(answer) = calls.join_next().await {
        ensure!(answer?.is_err(), "junk was answered");
    }
    sleep(Duration::from_millis(200)).await;
    Ok(())
}
