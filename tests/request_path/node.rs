//! A node as Talos is one: 10 s for each call, a new connection for each, and the retries of its version.

use std::time::Duration;

use nightlatch::wire::stubs::kms_service_client::KmsServiceClient;
use nightlatch::wire::stubs::{Request, Response};
use tonic::Status;

use crate::house::{House, Road};

/// How long Talos gives one Seal or Unseal, connecting included.
pub const CALL: Duration = Duration::from_secs(10);
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

/// One attempt, as the node's console would show it.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub at: Duration,
    pub result: Result<(), Status>,
}

pub struct Node {
    pub uuid: String,
    pub version: Version,
    /// Addresses from which it calls, in turn: one per volume, and the last for all others.
    pub roads: Vec<Road>,
    /// How long connecting takes out of each call's 10 s.
    pub connect: Duration,
    pub attempts: Vec<Attempt>,
    started: tokio::time::Instant,
}

#[expect(clippy::disallowed_methods, reason = "the runtime's time is paused")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Node {
    pub fn new(house: &House, uuid: &str, version: Version, addresses: &[&str]) -> Self {
        Self {
            uuid: uuid.to_owned(),
            version,
            roads: addresses.iter().map(|address| house.road(address)).collect(),
            connect: Duration::ZERO,
            attempts: vec![],
            started: now(),
        }
    }

    /// One Unseal, within the call's 10 s.
    pub async fn unseal(&self, volume: usize, blob: &[u8]) -> Result<Vec<u8>, Status> {
        self.call(volume, blob, Operation::Unseal).await
    }

    /// One Seal, within the call's 10 s.
    pub async fn seal(&self, volume: usize, key: &[u8]) -> Result<Vec<u8>, Status> {
        self.call(volume, key, Operation::Seal).await
    }

    async fn call(&self, volume: usize, data: &[u8], operation: Operation) -> Result<Vec<u8>, Status> {
        let road = self.roads.get(volume).or(self.roads.last()).expect("the node has an address");
        let work = async {
            tokio::time::sleep(self.connect).await;
            let mut client = KmsServiceClient::new(road.channel().await);
            let mut request = tonic::Request::new(Request { node_uuid: self.uuid.clone(), data: data.to_vec() });
            request.set_timeout(CALL - self.connect);
            let response = match operation {
                Operation::Seal => client.seal(request).await,
                Operation::Unseal => client.unseal(request).await,
            };
            response.map(|response| Response::clone(response.get_ref()).data)
        };
        tokio::time::timeout(CALL, work).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("call")))
    }

    /// Opens `volumes` one after the other, as after a reboot, and gives the time at which the last was open. `None`
    /// when `within` was over before.
    pub async fn boot(&mut self, volumes: &[Vec<u8>], within: Duration) -> Option<Duration> {
        self.started = now();
        let mut order: Vec<usize> = (0..volumes.len()).collect();
        if self.version == Version::V1_7 {
            // STATE is opened, read, closed, and opened again.
            order.insert(0, 0);
        }
        let opened = tokio::time::timeout(within, async {
            for volume in order {
                match self.version {
                    Version::V1_7 => self.open_exponentially(volume, &volumes[volume]).await,
                    _ => self.open_by_ticker(volume, &volumes[volume]).await,
                }
            }
        })
        .await;
        opened.ok().map(|()| now() - self.started)
    }

    async fn open_exponentially(&mut self, volume: usize, blob: &[u8]) {
        loop {
            let began = now();
            let mut wait = Duration::from_secs(1);
            // Five minutes, then the machine reboots and begins again.
            while now() - began < Duration::from_secs(300) {
                if self.open_once(volume, blob).await.is_ok() {
                    return;
                }
                tokio::time::sleep(wait).await;
                wait = wait * 2 + Duration::from_secs(1);
            }
            tokio::time::sleep(Duration::from_secs(40)).await;
        }
    }

    async fn open_by_ticker(&mut self, volume: usize, blob: &[u8]) {
        let mut last_text: Option<String> = None;
        loop {
            let text = match self.open_once(volume, blob).await {
                Ok(()) => return,
                Err(status) => status.message().to_owned(),
            };
            let changed = last_text.as_ref() != Some(&text);
            last_text = Some(text);
            let at_once = changed && matches!(self.version, Version::V1_10 | Version::V1_13);
            if !at_once {
                // The ticker runs from the boot on, whenever the attempts were.
                let elapsed = now() - self.started;
                let passed = u32::try_from(elapsed.as_secs() / TICK.as_secs()).expect("tests are short");
                let next = TICK * (passed + 1);
                tokio::time::sleep(next - elapsed).await;
            }
        }
    }

    async fn open_once(&mut self, volume: usize, blob: &[u8]) -> Result<(), Status> {
        let began = now();
        let mut result = self.unseal(volume, blob).await;
        if let Ok(key) = &result {
            assert_eq!(key.len(), 32, "never anything but the key");
            let answered = now() - began;
            if self.version == Version::V1_13 || answered + LUKS_OPEN <= CALL {
                tokio::time::sleep(LUKS_OPEN).await;
            } else {
                // cryptsetup is killed at the deadline of the call.
                tokio::time::sleep(CALL.saturating_sub(answered)).await;
                result = Err(Status::deadline_exceeded("cryptsetup was killed"));
            }
        }
        let result = result.map(drop);
        self.attempts.push(Attempt { at: began - self.started, result: result.clone() });
        result
    }
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Seal,
    Unseal,
}
