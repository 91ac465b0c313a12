//! The request path as the server has it, but for sockets and disk: nodes and people of a storm meet here.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nightlatch::approval::ask::Event;
use nightlatch::approval::gate::{Gate, Records, Unrecorded};
use nightlatch::approval::ledger::Timings;
use nightlatch::approval::policy::{Approver, Policy};
use nightlatch::audit::log::{Log, Sink};
use nightlatch::audit::tail::Tail;
use nightlatch::clock::{Clock, Moment, Now, WallTime};
use nightlatch::key::local::LocalKey;
use nightlatch::key::{Keyring, danger_offline};
use nightlatch::peer::admission::{Admission, UuidPolicy};
use nightlatch::peer::standing::Standing;
use nightlatch::peer::{ListedBy, Node, Peer};
use nightlatch::pipeline::{Call, OnRecord, Pipeline};
use nightlatch::request::{NodeUuid, Operation, Request};
use nightlatch::seal::{Answer, envelope};
use nightlatch::secret::{KeyBytes, Plaintext};
use nightlatch::wire::status;
use tokio_util::sync::CancellationToken;

/// What Talos gives one call.
pub const CALL: Duration = Duration::from_secs(10);

/// A clock that goes with tokio's, which is paused.
struct Paused(tokio::time::Instant);

#[expect(clippy::disallowed_methods, reason = "this is the clock, and the runtime's time is paused")]
pub fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Clock for Paused {
    fn now(&self) -> Now {
        let since = now() - self.0;
        let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 2);
        Now {
            moment: Moment::since_boot(Duration::from_secs(100) + since),
            wall: WallTime::from_unix_millis(1_800_000_000_000 + millis),
        }
    }
}

/// An audit log that is counted and not kept.
#[derive(Clone, Default)]
struct Counted(Arc<(AtomicU64, AtomicU64)>);

impl Sink for Counted {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let releases = String::from_utf8_lossy(bytes).matches("\"event\":\"released\"").count() as u64;
        self.0.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.0.1.fetch_add(releases, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn spare(&mut self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }
}

/// Records of asks and votes that are kept nowhere.
struct Nowhere;

impl Records for Nowhere {
    fn commit<'a>(
        &'a self,
        _events: &'a [Event],
        _standing: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn key() -> KeyBytes {
    let filled = KeyBytes::try_fill(|key| {
        key.iter_mut().zip(1..).for_each(|(byte, value)| *byte = value);
        Ok::<_, std::convert::Infallible>(())
    });
    match filled {
        Ok(key) => key,
    }
}

static KEY: LazyLock<KeyBytes> = LazyLock::new(key);

/// The identifier of the node with this number.
pub fn uuid(number: usize) -> String {
    format!("4c4c4544-0042-4510-8051-{number:012x}")
}

/// Where it calls from.
pub fn address(number: usize) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    IpAddr::from([10, 1, high, low])
}

/// What the node has on its disks: one blob for each volume.
pub fn blobs(number: usize, volumes: usize) -> Vec<Vec<u8>> {
    let node = NodeUuid::parse(&uuid(number)).expect("a UUID");
    let keks = danger_offline::keks(&KEY, &node, &[]);
    let seal = |_| {
        let secret = Plaintext::new(vec![0x5A; 32]).expect("32 bytes");
        envelope::seal(&keks, None, &secret).expect("random numbers").as_bytes().to_vec()
    };
    (0..volumes).map(seal).collect()
}

/// The server.
pub struct House {
    pub pipeline: Arc<Pipeline>,
    pub gate: Arc<Gate>,
    pub admission: Arc<Admission>,
    clock: Arc<dyn Clock>,
    audit: Counted,
}

impl House {
    /// A server of `clusters` clusters with `nodes` nodes each, with the built-in rules: everybody is asked about.
    pub fn new(clusters: usize, nodes: usize) -> Self {
        let node = |number: usize| Node {
            uuid: NodeUuid::parse(&uuid(number)).expect("a UUID"),
            name: format!("node-{number}").into(),
            cluster: Some(format!("cluster-{}", number / nodes).into()),
            addresses: vec![address(number).into()],
            formerly: vec![],
            bind_address: false,
            listed_by: ListedBy::Configuration,
        };
        let networks = vec!["10.0.0.0/8".parse().expect("a network")];
        let admission = Admission::new(networks, (0..clusters * nodes).map(node), UuidPolicy::default());
        let admission = Arc::new(admission);
        let clock: Arc<dyn Clock> = Arc::new(Paused(now()));
        let approvers = vec![Approver { name: "alice".into(), uid: Some(1000), telegram_id: None }];
        let policy = Policy { approvers, ..Policy::default() };
        let (timings, standing) = (Timings::default(), Standing::default());
        let (lists, records) = (Arc::clone(&admission), Arc::new(Nowhere));
        let gate = Arc::new(Gate::new(policy, timings, standing, lists, Arc::clone(&clock), records));
        let keyring = Arc::new(Keyring::new(Box::new(LocalKey::new(key())), vec![]));
        let audit = Counted::default();
        let log = Log::new(audit.clone(), Tail { next_seq: 1, cut: 0, repaired: None }, Arc::clone(&clock));
        let pipeline = Pipeline::new(Arc::clone(&admission), Arc::clone(&gate), keyring, log, Arc::clone(&clock));
        Self { pipeline: Arc::new(pipeline), gate, admission, clock, audit }
    }

    /// Releases on record.
    pub fn released(&self) -> u64 {
        self.audit.0.1.load(Ordering::Relaxed)
    }

    /// How long the audit log is, in bytes.
    pub fn audit_len(&self) -> u64 {
        self.audit.0.0.load(Ordering::Relaxed)
    }

    /// One Unseal, as a node makes it: 10 s for everything, and the text that its console shows. In a task of its own, as
    /// in `wire`.
    pub async fn unseal(&self, uuid: &str, from: IpAddr, blob: &[u8]) -> Result<(), String> {
        let gone = CancellationToken::new();
        let _hangs_up = gone.clone().drop_guard();
        let deadline = Some(self.clock.now().moment.after(CALL));
        let request = Request::parse(Operation::Unseal, uuid, blob.to_vec());
        let peer = Peer::plaintext((from, 40_000).into());
        let on_record = OnRecord::default();
        let call = Call { operation: Operation::Unseal, request, peer, deadline, gone, on_record };
        let pipeline = Arc::clone(&self.pipeline);
        let answering = tokio::spawn(async move { pipeline.run(call).await });
        let answered = tokio::time::timeout(CALL, answering).await.map_err(|_| "deadline exceeded".to_owned())?;
        match answered.expect("no panic").into_inner() {
            Ok(Answer::Unsealed(secret)) => {
                assert_eq!(secret.expose(), [0x5A; 32], "never anything but the key");
                Ok(())
            }
            Ok(Answer::Sealed(_)) => Err("sealed".to_owned()),
            Err(refusal) => Err(status::of(&refusal).message().to_owned()),
        }
    }
}
