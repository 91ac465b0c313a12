//! A server in memory, with real state, audit log and key file in a directory of its own.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use nightlatch::clock::{Clock, Moment, Now, WallTime};
use nightlatch::config::Config;
use nightlatch::daemon::Server;
use nightlatch::listen::Connection;
use nightlatch::peer::{Peer, UnixPeer};
use nightlatch::state::Store;
use nightlatch_approval_api::v1::approvals_client::ApprovalsClient;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};

use crate::people::Person;

/// A clock that stands still unless tokio's does not.
#[derive(Debug)]
pub struct PausedClock {
    started: tokio::time::Instant,
}

impl PausedClock {
    fn new() -> Self {
        Self { started: now() }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock, and the runtime's time is paused")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Clock for PausedClock {
    fn now(&self) -> Now {
        let since = now() - self.started;
        let millis = i64::try_from(since.as_millis()).expect("tests are short");
        Now {
            moment: Moment::since_boot(Duration::from_secs(100) + since),
            wall: WallTime::from_unix_millis(1_800_000_000_000 + millis),
        }
    }
}

pub const CP_1: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";
pub const WORKER_1: &str = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21";
pub const ROAMER: &str = "c232ab00-9414-41ec-b3c8-9f6bdeced846";
pub const ALICE: u32 = 1000;
pub const MALLORY: u32 = 1666;

/// The house of these tests: a control plane at two addresses and an IPv6 network, a worker, and a node that lists no
/// addresses. `{rules}` is replaced by each test.
const CONFIG: &str = r#"
installation = "0c7a2c8e-5d7e-4a9e-9b57-6f0f5b1f7a11"
state_directory = "{directory}/state"
networks = ["192.0.2.0/24", "2001:db8::/32"]
tls = "off"
[[key]]
name = "first"
file = "{directory}/key"
[rules]
{rules}
[[node]]
uuid = "4c4c4544-0042-3510-8051-b4c04f4e3632"
name = "cp-1"
cluster = "home"
addresses = ["192.0.2.11", "192.0.2.111", "2001:db8::11"]
[[node]]
uuid = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21"
name = "worker-1"
cluster = "home"
addresses = ["192.0.2.21"]
[[node]]
uuid = "c232ab00-9414-41ec-b3c8-9f6bdeced846"
name = "roamer"
[[cluster]]
name = "home"
[[approver]]
name = "alice"
uid = 1000
[[channel]]
name = "cli"
people = "uid"
"#;

/// The server, and everything one needs to knock at it.
pub struct House {
    directory: tempfile::TempDir,
    talos: mpsc::Sender<std::io::Result<Connection<DuplexStream, Peer>>>,
    channel: mpsc::Sender<std::io::Result<Connection<DuplexStream, UnixPeer>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// The calls in progress.
    pub calls: TaskTracker,
    cables: Cables,
}

/// What connects clients with the server, so that it can be cut.
#[derive(Clone, Default)]
struct Cables(Arc<Mutex<Vec<tokio::task::AbortHandle>>>);

impl Cables {
    /// The two ends of a new cable.
    fn lay(&self) -> (DuplexStream, DuplexStream) {
        let (near, mut near_far) = tokio::io::duplex(64 * 1024);
        let (far, mut far_near) = tokio::io::duplex(64 * 1024);
        let copying = tokio::spawn(async move {
            let _ended = tokio::io::copy_bidirectional(&mut near_far, &mut far_near).await;
        });
        self.0.lock().expect("no test panics here").push(copying.abort_handle());
        (near, far)
    }

    fn cut(&self) {
        self.0.lock().expect("no test panics here").drain(..).for_each(|cable| cable.abort());
    }
}

impl House {
    /// Opens the house with the built-in rules.
    pub fn open() -> Self {
        Self::with_rules("")
    }

    /// Opens the house with these `[rules]`, or further tables.
    pub fn with_rules(rules: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut key = fs::OpenOptions::new();
        key.write(true).create_new(true).mode(0o600);
        let mut key = key.open(directory.path().join("key")).expect("a key file");
        key.write_all(&(0..32).collect::<Vec<u8>>()).expect("a key");
        let config = Self::config(&directory, rules);
        drop(Store::create(&config.state_directory, config.installation).expect("a state"));
        let clock = Arc::new(PausedClock::new());
        let server = Server::open(&config, clock).unwrap_or_else(|error| panic!("{error:?}"));
        Self::start(directory, server)
    }

    /// Ends the server at once, as a crash would, and starts it again on what is on the disk.
    pub async fn crash_and_restart(self, rules: &str) -> Self {
        self.cables.cut();
        for task in self.tasks {
            task.abort();
            let _aborted = task.await;
        }
        let Self { directory, talos, channel, .. } = self;
        drop((talos, channel));
        let config = Self::config(&directory, rules);
        // The tasks of its connections end when they read that the cable is cut.
        let clock = Arc::new(PausedClock::new());
        for _ in 0..1_000 {
            if let Ok(server) = Server::open(&config, Arc::clone(&clock) as Arc<dyn Clock>) {
                return Self::start(directory, server);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the ended server holds on to its state");
    }

    fn config(directory: &tempfile::TempDir, rules: &str) -> Config {
        let directory = directory.path().to_str().expect("a path in UTF-8");
        let text = CONFIG.replace("{directory}", directory).replace("{rules}", rules);
        Config::parse(&text, "nightlatch.toml").unwrap_or_else(|error| panic!("{error}")).0
    }

    fn start(directory: tempfile::TempDir, server: Server) -> Self {
        let (talos, talos_incoming) = mpsc::channel(64);
        let (channel, channel_incoming) = mpsc::channel(8);
        let calls = TaskTracker::new();
        let talos_service = server.talos(&calls);
        let approvals = server.channel("cli").expect("the channel is configured");
        let tasks = vec![
            tokio::spawn(async move {
                let served = talos_service.serve(ReceiverStream::new(talos_incoming), std::future::pending()).await;
                served.expect("serving nodes");
            }),
            tokio::spawn(async move {
                tonic::transport::Server::builder()
                    .add_service(approvals)
                    .serve_with_incoming(ReceiverStream::new(channel_incoming))
                    .await
                    .expect("serving people");
            }),
            tokio::spawn({
                let clockwork = server.clockwork();
                async move {
                    clockwork.await;
                }
            }),
        ];
        Self { directory, talos, channel, tasks, calls, cables: Cables::default() }
    }

    /// How a peer at `address` reaches the server.
    pub fn road(&self, address: &str) -> Road {
        let address: std::net::IpAddr = address.parse().expect("an address");
        Road {
            talos: self.talos.clone(),
            cables: self.cables.clone(),
            peer: Peer::plaintext(SocketAddr::new(address, 40_000)),
        }
    }

    /// A person at the host.
    pub async fn person(&self, uid: u32) -> Person {
        let (channel, cables) = (self.channel.clone(), self.cables.clone());
        let connector = tower::service_fn(move |_: http::Uri| {
            let (channel, (near, far)) = (channel.clone(), cables.lay());
            async move {
                let connection = Connection::new(far, UnixPeer { uid, gid: uid });
                channel.send(Ok(connection)).await.map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(TokioIo::new(near))
            }
        });
        let channel: Channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector);
        Person::new(ApprovalsClient::new(channel))
    }

    /// The audit log as it is now.
    pub fn audit_log(&self) -> String {
        fs::read_to_string(self.directory.path().join("state/audit.log")).expect("an audit log")
    }

    /// How many records of this event there are.
    pub fn recorded(&self, event: &str) -> usize {
        self.audit_log().matches(&format!("\"event\":\"{event}\"")).count()
    }
}

/// The way from one address to the server.
#[derive(Clone)]
pub struct Road {
    talos: mpsc::Sender<std::io::Result<Connection<DuplexStream, Peer>>>,
    cables: Cables,
    peer: Peer,
}

impl Road {
    /// A new connection.
    pub async fn connect(&self) -> DuplexStream {
        let (near, far) = self.cables.lay();
        self.talos.send(Ok(Connection::new(far, self.peer).for_calls())).await.expect("the server listens");
        near
    }

    /// A channel over one new connection.
    pub async fn channel(&self) -> Channel {
        let mut stream = Some(self.connect().await);
        let connector = tower::service_fn(move |_: http::Uri| {
            let stream = stream.take().map(TokioIo::new);
            async move { stream.ok_or_else(|| std::io::Error::other("one connection per call")) }
        });
        Endpoint::from_static("http://localhost").connect_with_connector(connector).await.expect("in memory")
    }
}
