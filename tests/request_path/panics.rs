//! A bug that panics ends the call that it is in: it is answered, counted as what is not known, and nothing else suffers.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper_util::rt::TokioIo;
use nightlatch::approval::ask::{Event, Verdict, Voter};
use nightlatch::approval::gate::{Approved, Gate, Records, Unrecorded};
use nightlatch::approval::ledger::Timings;
use nightlatch::approval::ledger::act::{Act, Answer};
use nightlatch::approval::policy::{Action, Approver, Layer, Policy, Vote};
use nightlatch::audit;
use nightlatch::audit::log::Log;
use nightlatch::audit::record::{Detail, Stopped};
use nightlatch::clock::{Clock, Now};
use nightlatch::credential;
use nightlatch::key::local::LocalKey;
use nightlatch::key::{KeyReference, Keyring, PendingKeks, Source};
use nightlatch::listen::Connection;
use nightlatch::peer::admission::{Admission, UuidPolicy};
use nightlatch::peer::standing::Standing;
use nightlatch::peer::{Node, Peer};
use nightlatch::pipeline::{Call, OnRecord, Pipeline};
use nightlatch::request::{NodeUuid, Operation, Request};
use nightlatch::wire::stubs;
use nightlatch::wire::stubs::kms_service_client::KmsServiceClient;
use nightlatch::wire::talos::Talos;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::house::{CP_1, PausedClock};

/// Panics when it counts down to one; at zero it rests.
#[derive(Debug, Clone, Default)]
struct Fuse(Arc<AtomicUsize>);

impl Fuse {
    /// Lets the part panic the next time but `spared` that it is used.
    fn light(&self, spared: usize) {
        self.0.store(spared + 1, Ordering::Relaxed);
    }

    fn burn(&self) {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        assert!(left != 1, "on purpose");
    }
}

struct FragileClock(PausedClock, Fuse);

impl Clock for FragileClock {
    fn now(&self) -> Now {
        self.1.burn();
        self.0.now()
    }
}

struct FragileRecords(Fuse);

impl Records for FragileRecords {
    fn commit<'a>(
        &'a self,
        _: &'a [Event],
        _: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>> {
        Box::pin(async {
            self.0.burn();
            Ok(())
        })
    }
}

#[derive(Debug)]
struct FragileKey(LocalKey, Fuse);

impl Source for FragileKey {
    fn key(&self) -> KeyReference {
        self.0.key()
    }

    fn keks<'a>(&'a self, approved: &'a Approved) -> PendingKeks<'a> {
        Box::pin(async {
            // Long enough for a client to hang up meanwhile.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            self.1.burn();
            self.0.keks(approved).await
        })
    }
}

/// The request path with a fuse in each part that is not ours to write.
pub struct Bench {
    directory: tempfile::TempDir,
    clock: Fuse,
    records: Fuse,
    key: Fuse,
    log: Log,
    pub gate: Arc<Gate>,
    pipeline: Arc<Pipeline>,
    tasks: TaskTracker,
    client: KmsServiceClient<Channel>,
    /// The server ends with the last of its listeners.
    _listener: mpsc::Sender<std::io::Result<Connection<DuplexStream, Peer>>>,
}

impl Bench {
    /// Seal is allowed, Unseal is asked.
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut key_file = fs::OpenOptions::new();
        key_file.write(true).create_new(true).mode(0o600);
        let path = directory.path().join("key");
        key_file.open(&path).expect("a key file").write_all(&(0..32).collect::<Vec<u8>>()).expect("a key");
        let (clock, records, key) = (Fuse::default(), Fuse::default(), Fuse::default());
        let steady = Arc::new(PausedClock::new());
        let (file, tail) =
            audit::file::File::open(&directory.path().join("audit.log"), steady.now().wall).expect("an audit log");
        let log = Log::new(file, tail, steady);
        let fragile: Arc<dyn Clock> = Arc::new(FragileClock(PausedClock::new(), clock.clone()));
        let policy = Policy {
            default: Layer { seal: Some(Action::Allow), ..Layer::default() },
            approvers: vec![Approver { name: "alice".into(), uid: Some(1000), telegram_id: None }],
            ..Policy::default()
        };
        let node = Node {
            uuid: NodeUuid::parse(CP_1).expect("printable"),
            name: "cp-1".into(),
            cluster: None,
            addresses: vec![],
            formerly: vec![],
            bind_address: false,
            listed_by: nightlatch::peer::ListedBy::Configuration,
        };
        let networks = vec!["192.0.2.0/24".parse().expect("a network")];
        let admission = Arc::new(Admission::new(networks, [node], UuidPolicy::default()));
        let records_port = Arc::new(FragileRecords(records.clone()));
        let (timings, standing) = (Timings::default(), Standing::default());
        let gate = Gate::new(policy, timings, standing, Arc::clone(&admission), Arc::clone(&fragile), records_port);
        let gate = Arc::new(gate);
        let source = FragileKey(LocalKey::new(credential::from_file(&path).expect("a key")), key.clone());
        let keyring = Arc::new(Keyring::new(Box::new(source), vec![]));
        let pipeline =
            Arc::new(Pipeline::new(admission, Arc::clone(&gate), keyring, log.clone(), Arc::clone(&fragile)));
        let tasks = TaskTracker::new();
        let talos = Talos::new(Arc::clone(&pipeline), Arc::new(PausedClock::new()), tasks.clone());
        let (listener, incoming) = mpsc::channel(1);
        tokio::spawn(talos.serve(ReceiverStream::new(incoming), std::future::pending()));
        let (near, far) = tokio::io::duplex(64 * 1024);
        let peer = Peer::plaintext(([192, 0, 2, 11], 40_000).into());
        listener.send(Ok(Connection::new(far, peer))).await.expect("it listens");
        let client = KmsServiceClient::new(channel(near).await);
        Self { directory, clock, records, key, log, gate, pipeline, tasks, client, _listener: listener }
    }

    pub async fn call(&self, operation: Operation) -> Result<Vec<u8>, Status> {
        let (mut client, message) =
            (self.client.clone(), stubs::Request { node_uuid: CP_1.to_owned(), data: vec![1; 60] });
        let answer = match operation {
            Operation::Seal => client.seal(message).await,
            Operation::Unseal => client.unseal(message).await,
        };
        answer.map(|answer| answer.into_inner().data)
    }

    async fn assert_broken(&self, operation: Operation) {
        let status = self.call(operation).await.expect_err("it panicked");
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    }

    /// The audit log, the sums of what was refused included.
    pub async fn recorded(&self) -> String {
        self.log.stop(Stopped { reason: Detail::new("end of the test") }).await.expect("recorded");
        fs::read_to_string(self.directory.path().join("audit.log")).expect("an audit log")
    }
}

async fn channel(near: DuplexStream) -> Channel {
    let mut near = Some(near);
    let connector = tower::service_fn(move |_: http::Uri| {
        let near = near.take().map(TokioIo::new);
        async move { near.ok_or_else(|| std::io::Error::other("one connection")) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await.expect("in memory")
}

/// Before anybody is let in, while a rule is looked up, and when the release is to be told.
#[tokio::test(start_paused = true)]
async fn a_panic_anywhere_ends_one_call_and_nothing_else() {
    let bench = Bench::new().await;
    // The first four times that the time is asked for in a call: until it is on record.
    for spared in 0..4 {
        bench.clock.light(spared);
        bench.assert_broken(Operation::Seal).await;
        bench.call(Operation::Seal).await.expect("the next one is answered");
    }
    bench.key.light(0);
    bench.assert_broken(Operation::Seal).await;
    bench.call(Operation::Seal).await.expect("the next one is answered");
    bench.records.light(0);
    bench.assert_broken(Operation::Unseal).await;
    assert!(bench.gate.is_idle(), "a question that nobody can hear of is not left open");
    let status = bench.call(Operation::Unseal).await.expect_err("nobody approved it");
    assert_eq!(status.code(), Code::Unavailable);
    let [ask] = &*bench.gate.subscribe("cli").expect("room").asks else { panic!("people are asked") };
    bench.records.light(0);
    let vote = Vote { approver: "alice".into(), channel: "cli".into() };
    let by = Voter { vote, uid: 1000, telegram_id: None };
    let act = Act::Vote { ask: ask.id, by, verdict: Verdict::Approve(None) };
    let generation = bench.gate.configuration().generation;
    assert!(bench.gate.act(generation, act.clone()).await.is_err(), "a vote that breaks is not done");
    assert!(matches!(bench.gate.act(generation, act).await, Ok(Answer::Decided(_))), "and the next is");
    bench.call(Operation::Unseal).await.expect_err("approved, but no blob of ours");
    let records = bench.recorded().await;
    assert!(records.contains(r#""reason":"unrecorded","count":6"#), "{records}");
    assert_eq!(records.matches(r#""event":"released""#).count(), 5, "{records}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_under_the_gates_lock_does_not_keep_it_shut() {
    let bench = Bench::new().await;
    bench.clock.light(0);
    let gate = Arc::clone(&bench.gate);
    assert!(tokio::spawn(async move { gate.under_way() }).await.is_err(), "it panics while it holds the ledger");
    bench.call(Operation::Seal).await.expect("answered");
    bench.gate.tick().await.expect("the clockwork goes on");
    assert!(bench.gate.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_breaks_after_its_client_hung_up_is_counted_too() {
    let bench = Bench::new().await;
    bench.key.light(0);
    let half_a_second = std::time::Duration::from_millis(500);
    let hung_up = tokio::time::timeout(half_a_second, bench.call(Operation::Seal)).await;
    assert!(hung_up.is_err());
    bench.tasks.close();
    bench.tasks.wait().await;
    let records = bench.recorded().await;
    assert!(records.contains(r#""reason":"unrecorded","count":1"#), "{records}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_breaks_after_its_release_was_recorded_is_not_recorded_as_anything_else() {
    let bench = Bench::new().await;
    let call = || Call {
        operation: Operation::Seal,
        request: Request::parse(Operation::Seal, CP_1, vec![1; 32]),
        peer: Peer::plaintext(([192, 0, 2, 11], 1).into()),
        deadline: None,
        gone: CancellationToken::new(),
        on_record: OnRecord::default(),
    };
    let (released, never_run) = (call(), call());
    let (if_broken, if_never_run) = (released.if_broken(), never_run.if_broken());
    assert!(bench.pipeline.run(released).await.get().is_ok());
    bench.pipeline.broken(&if_broken);
    bench.pipeline.broken(&if_never_run);
    let records = bench.recorded().await;
    assert!(records.contains(r#""event":"released""#), "{records}");
    assert!(records.contains(r#""reason":"unrecorded","count":1"#), "{records}");
}
