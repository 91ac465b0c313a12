//! `sidero.kms.KMSService` (docs/spec/talos-kms.md) on top of the pipeline.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::status;
use super::stubs;
use super::stubs::kms_service_server::{KmsService, KmsServiceServer};
use crate::clock::Clock;
use crate::listen::{self, Caller, Connection};
use crate::peer::Peer;
use crate::pipeline::{Call, Pipeline};
use crate::request;
use crate::request::Operation;
use crate::seal::Answer;

/// Longest message that is read, in bytes. The longest that makes sense is a blob of 1,024 with a claim of 64.
pub const MAX_MESSAGE_LEN: usize = 16 * 1024;

/// Calls that one connection may have open. A node makes one.
pub const MAX_CALLS_PER_CONNECTION: u32 = 8;

/// Longest call, from its headers to its answer: a body that does not come to its end is given up after this long. A
/// call is held for 8 s at the most, and a node waits for 10 s.
pub const LONGEST_CALL: Duration = Duration::from_secs(15);

/// The service that nodes call.
#[derive(Clone)]
pub struct Talos {
    pipeline: Arc<Pipeline>,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
}

impl fmt::Debug for Talos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talos").finish_non_exhaustive()
    }
}

impl Talos {
    /// Serves `pipeline`; every call is a task of `tasks`, which outlives a client that hangs up.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, clock: Arc<dyn Clock>, tasks: TaskTracker) -> Self {
        Self { pipeline, clock, tasks }
    }

    /// Serves `incoming` connections until `stop` resolves, and then the calls that are open.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn serve<Io>(
        self,
        incoming: impl Stream<Item = std::io::Result<Connection<Io, Peer>>>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error>
    where
        Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let service = KmsServiceServer::new(self).max_decoding_message_size(MAX_MESSAGE_LEN);
        listen::http2(MAX_CALLS_PER_CONNECTION)
            .timeout(LONGEST_CALL)
            // Asked to end. The connection ends by itself when its peer does not comply.
            .max_connection_age(listen::MAX_AGE)
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stop)
            .await
    }

    async fn handle(
        &self,
        operation: Operation,
        message: Request<stubs::Request>,
    ) -> Result<Response<stubs::Response>, Status> {
        let now = self.clock.now();
        let caller = message.extensions().get::<Caller>().ok_or_else(status::no_peer)?;
        let peer = caller.peer;
        let _in_progress = caller.begin_call();
        let deadline = client_timeout(message.metadata()).map(|timeout| now.moment.after(timeout));
        let stubs::Request { node_uuid, data } = message.into_inner();
        let gone = CancellationToken::new();
        // Dropped with this future, which the framework does when the client hangs up.
        let _hangs_up = gone.clone().drop_guard();
        let request = request::Request::parse(operation, &node_uuid, data);
        let call = Call { operation, request, peer, deadline, gone };
        let pipeline = Arc::clone(&self.pipeline);
        // A task of its own: a client that hangs up must not leave half a decision behind.
        let recorded = self.tasks.spawn(async move { pipeline.run(call).await }).await;
        let recorded = recorded.map_err(|panic| status::broken(&panic))?;
        match recorded.into_inner() {
            Ok(answer) => Ok(Response::new(stubs::Response {
                data: match answer {
                    Answer::Sealed(blob) => blob.as_bytes().to_vec(),
                    Answer::Unsealed(plaintext) => plaintext.expose().to_vec(),
                },
            })),
            Err(refusal) => Err(status::of(&refusal)),
        }
    }
}

#[tonic::async_trait]
impl KmsService for Talos {
    async fn seal(&self, message: Request<stubs::Request>) -> Result<Response<stubs::Response>, Status> {
        self.handle(Operation::Seal, message).await
    }

    async fn unseal(&self, message: Request<stubs::Request>) -> Result<Response<stubs::Response>, Status> {
        self.handle(Operation::Unseal, message).await
    }
}

/// The header with the client's own deadline (gRPC over HTTP/2, "Timeout"): 1 to 8 digits and a unit.
const TIMEOUT: &str = "grpc-timeout";

fn client_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let value = metadata.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_clients_deadline() {
        let timeout = |value: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert(TIMEOUT, tonic::metadata::MetadataValue::from_static(value));
            client_timeout(&metadata)
        };
        assert_eq!(timeout("9994043u"), Some(Duration::from_micros(9_994_043)));
        assert_eq!(timeout("10S"), Some(Duration::from_secs(10)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "10", "-1S", "123456789S", "1x", "1 S"] {
            assert_eq!(timeout(bad), None, "{bad:?}");
        }
        assert_eq!(client_timeout(&MetadataMap::new()), None);
    }
}
