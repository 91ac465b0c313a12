//! A node of a storm, on the schedule of its version; tests/request_path/node.rs has the same over a connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::house::{CALL, House, address, now, uuid};

/// How long opening a LUKS2 volume takes once the key is there.
const LUKS_OPEN: Duration = Duration::from_millis(2_600);
/// The retry ticker of Talos 1.8 and later.
const TICK: Duration = Duration::from_secs(30);

/// What differs between versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 1.5 to 1.7: waits double, and after five minutes the machine reboots. STATE is opened twice.
    V1_7,
    /// 1.8 and 1.9: the 30 s ticker alone.
    V1_9,
    /// 1.10 to 1.12.6: an error whose text changed is retried at once.
    V1_10,
    /// 1.12.7 and later: opening the disk has time of its own, after the call's 10 s.
    V1_13,
}

/// A node's boot as it was.
#[derive(Debug, Clone, Copy)]
pub struct Boot {
    pub number: usize,
    pub powered_on: Instant,
    /// When its last key came.
    pub last_release: Instant,
    pub refused: u64,
    pub released: u64,
}

pub struct Booting {
    house: Arc<House>,
    version: Version,
    uuid: String,
    boot: Boot,
}

/// Powers the node on: it opens `volumes` one after the other, and asks for ever.
pub async fn boot(house: Arc<House>, number: usize, volumes: &[Vec<u8>]) -> Boot {
    let version = match number % 4 {
        0 => Version::V1_7,
        1 => Version::V1_9,
        2 => Version::V1_10,
        _ => Version::V1_13,
    };
    let began = now();
    let boot = Boot { number, powered_on: began, last_release: began, refused: 0, released: 0 };
    let mut node = Booting { house, version, uuid: uuid(number), boot };
    // Up to 1.7, STATE is opened, read, closed, and opened again.
    let twice = volumes.first().filter(|_| version == Version::V1_7);
    for blob in twice.into_iter().chain(volumes) {
        match version {
            Version::V1_7 => node.open_exponentially(blob).await,
            _ => node.open_by_ticker(blob).await,
        }
    }
    node.boot
}

impl Booting {
    async fn open_exponentially(&mut self, blob: &[u8]) {
        loop {
            let began = now();
            let mut wait = Duration::from_secs(1);
            // Five minutes, then the machine reboots and begins again.
            while now() - began < Duration::from_secs(300) {
                if self.open_once(blob).await.is_ok() {
                    return;
                }
                sleep(wait).await;
                wait = wait * 2 + Duration::from_secs(1);
            }
            sleep(Duration::from_secs(40)).await;
        }
    }

    async fn open_by_ticker(&mut self, blob: &[u8]) {
        let mut last_text = None;
        while let Err(text) = self.open_once(blob).await {
            let changed = last_text.as_ref() != Some(&text);
            last_text = Some(text);
            if !changed || self.version == Version::V1_9 {
                // The ticker runs from the boot on, whenever the attempts were.
                let elapsed = (now() - self.boot.powered_on).as_millis();
                let since_tick = u64::try_from(elapsed % TICK.as_millis()).unwrap_or_default();
                sleep(TICK.saturating_sub(Duration::from_millis(since_tick))).await;
            }
        }
    }

    async fn open_once(&mut self, blob: &[u8]) -> Result<(), String> {
        let began = now();
        let answer = self.house.unseal(&self.uuid, address(self.boot.number), blob).await;
        let took = now() - began;
        if let Err(text) = answer {
            self.boot.refused += 1;
            return Err(text);
        }
        self.boot.released += 1;
        self.boot.last_release = now();
        if self.version == Version::V1_13 || took + LUKS_OPEN <= CALL {
            sleep(LUKS_OPEN).await;
            return Ok(());
        }
        // cryptsetup is killed at the deadline of the call.
        sleep(CALL.saturating_sub(took)).await;
        Err("cryptsetup was killed".to_owned())
    }
}
