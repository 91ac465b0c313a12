//! A pretend Talos node, on the real schedule of a current one: 10 s for each call, a second try at once when the error
//! text changed, then every 30 s, one volume after the other.

use std::net::SocketAddr;
use std::time::Duration;

use subtle::ConstantTimeEq;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use zeroize::Zeroizing;

use super::stage::{NODE, Narrator, broken};
use crate::cli::{Failure, exit};
use crate::request::Operation;
use crate::wire::stubs;
use crate::wire::stubs::kms_service_client::KmsServiceClient;

/// How long a call may take, connecting included.
const CALL: Duration = Duration::from_secs(10);
/// How often a volume that is closed is tried again.
const TICK: Duration = Duration::from_secs(30);
/// Tries after which a denied node of this play gives up. A real one never does.
const TRIES_AFTER_DENIAL: u32 = 2;

const VOLUMES: [&str; 3] = ["STATE", "EPHEMERAL", "u-data"];

/// One encrypted volume.
pub(super) struct Disk {
    volume: &'static str,
    blob: Vec<u8>,
    /// What opens it. A real node forgets it; this one keeps it to compare.
    key: Zeroizing<Vec<u8>>,
}

/// How a boot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boot {
    Opened,
    Denied,
}

pub(super) struct Node {
    server: SocketAddr,
    narrator: Narrator,
}

impl Node {
    pub(super) fn new(server: SocketAddr, narrator: Narrator) -> Self {
        Self { server, narrator }
    }

    /// Formats the volumes.
    pub(super) async fn install(&self) -> Result<Vec<Disk>, Failure> {
        let mut disks = vec![];
        for volume in VOLUMES {
            let mut key = Zeroizing::new(vec![0; 32]);
            getrandom::fill(&mut key).map_err(|error| broken("the node", &error))?;
            let blob = self.call(Operation::Seal, &key).await.map_err(|status| broken("a seal", &status))?;
            disks.push(Disk { volume, blob: blob.to_vec(), key });
        }
        Ok(disks)
    }

    /// Opens the volumes one after the other.
    pub(super) async fn boot(&self, disks: &[Disk]) -> Result<Boot, Failure> {
        for (number, disk) in disks.iter().enumerate() {
            let booting = if number == 0 { "boots and " } else { "" };
            self.narrator.node(&format!("{booting}asks for the key of {}; it waits 10 s for an answer", disk.volume));
            if self.open(disk).await? == Boot::Denied {
                return Ok(Boot::Denied);
            }
        }
        Ok(Boot::Opened)
    }

    async fn open(&self, disk: &Disk) -> Result<Boot, Failure> {
        let mut last: Option<String> = None;
        let mut denied = 0;
        loop {
            let status = match self.call(Operation::Unseal, &disk.blob).await {
                Ok(key) if bool::from(key.ct_eq(&disk.key)) => {
                    self.narrator.node(&format!("got the key of {} and opens it", disk.volume));
                    return Ok(Boot::Opened);
                }
                Ok(_) => return Err(Failure::new(exit::SOFTWARE, "the server released a key that does not fit")),
                Err(status) => status,
            };
            self.narrator.node(&format!(
                "its console shows: rpc error: code = {:?} desc = {}",
                status.code(),
                status.message()
            ));
            if status.code() == Code::PermissionDenied {
                denied += 1;
            }
            if denied >= TRIES_AFTER_DENIAL {
                return Ok(Boot::Denied);
            }
            let text = status.message().to_owned();
            if last.as_ref() == Some(&text) {
                let since = self.narrator.elapsed().as_millis() % TICK.as_millis();
                tokio::time::sleep(TICK.saturating_sub(Duration::from_millis(u64::try_from(since).unwrap_or(0)))).await;
            }
            last = Some(text);
            self.narrator.node(&format!("asks again for the key of {}", disk.volume));
        }
    }

    /// One call over a connection of its own, as Talos makes it.
    async fn call(&self, operation: Operation, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Status> {
        let call = async {
            let channel = Endpoint::from_shared(format!("http://{}", self.server))
                .map_err(|error| Status::internal(error.to_string()))?
                .connect()
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            let mut request = Request::new(stubs::Request { node_uuid: NODE.to_owned(), data: data.to_vec() });
            request.set_timeout(CALL);
            let mut client = KmsServiceClient::new(channel);
            let response = match operation {
                Operation::Seal => client.seal(request).await,
                Operation::Unseal => client.unseal(request).await,
            };
            response.map(|response| Zeroizing::new(response.into_inner().data))
        };
        tokio::time::timeout(CALL, call).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in 10 s")))
    }
}
