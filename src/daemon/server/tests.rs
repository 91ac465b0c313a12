//! How a server ends: by itself, in paused time, and while it writes a release down.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use super::*;
use crate::approval::gate::{Caller, NotApproved};
use crate::audit::log::Sink;
use crate::audit::tail::Tail;
use crate::clock::{Moment, Now, WallTime};
use crate::credential;
use crate::key::Keyring;
use crate::key::local::LocalKey;
use crate::listen::systemd::MetricsListener;
use crate::peer::standing::{GrantAhead, KeptVote, Standing};
use crate::peer::{Origin, Peer};
use crate::request::{Operation, Request};
use crate::state::Store;
use crate::wire::stubs;
use crate::wire::stubs::kms_service_client::KmsServiceClient;

struct PausedClock {
    started: tokio::time::Instant,
}

#[expect(clippy::disallowed_methods, reason = "the runtime's time is paused")]
fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Clock for PausedClock {
    fn now(&self) -> Now {
        Now { moment: Moment::since_boot(self.started.elapsed()), wall: WallTime::default() }
    }
}

const CONFIG: &str = r#"
installation = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21"
state_directory = "{directory}/state"
networks = ["127.0.0.0/8"]
tls = "off"
exit_after_idle = "1m"
key = [{ name = "first", file = "{directory}/key" }]
node = [{ uuid = "c232ab00-9414-11ec-b3c8-9f6bdeced846", name = "cp-1" }]
approver = [{ name = "alice", uid = 1000 }]
channel = [{ name = "cli", people = "uid" }]
"#;

struct Bench {
    directory: tempfile::TempDir,
    server: Server,
    told: mpsc::Sender<Order>,
    around: Surroundings,
    sockets: Sockets,
}

impl Bench {
    fn new(inherited: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut key = fs::OpenOptions::new();
        key.write(true).create_new(true).mode(0o600);
        let mut key = key.open(directory.path().join("key")).expect("a key file");
        key.write_all(&(0..32).collect::<Vec<u8>>()).expect("a key");
        let text = CONFIG.replace("{directory}", &directory.path().display().to_string());
        let config = Config::parse(&text, "nightlatch.toml").expect("a configuration").0;
        drop(Store::create(&config.state_directory, config.installation).expect("a state"));
        let server = Server::open(&config, Arc::new(PausedClock { started: instant() })).expect("it opens");
        let talos = vec![net::TcpListener::bind("127.0.0.1:0").expect("a port")];
        let (told, orders) = mpsc::channel(1);
        let around = Surroundings { orders, origin: None, manager: Manager::default(), asleep: Asleep::default() };
        let sockets = Sockets { talos, inherited, ..Sockets::default() };
        Self { directory, server, told, around, sockets }
    }

    /// After how many seconds it ends.
    async fn ends(self) -> u64 {
        let began = instant();
        let running = self.server.run(self.sockets, self.around);
        tokio::time::timeout(Duration::from_secs(7_200), running).await.expect("it ends").expect("a good end");
        let log = fs::read_to_string(self.directory.path().join("state/audit.log")).expect("an audit log");
        assert!(log.trim_end().ends_with(r#""event":"stopped","reason":"idle"}"#), "{log}");
        began.elapsed().as_secs()
    }
}

/// Else the channel that comes back, with another token for one, would bring it back.
#[tokio::test(start_paused = true)]
async fn what_ended_with_its_channel_is_gone_from_the_disk_as_well() {
    let Bench { directory: _kept, server, .. } = Bench::new(true);
    let (config, node) = (server.config.clone(), server.admission.lists().nodes().next().cloned().expect("cp-1"));
    drop(server);
    let given = |channel: &str| GrantAhead {
        id: [1; 16],
        code: 1,
        node: node.uuid.clone(),
        entry: node.entry_digest(),
        origin: Origin::PerAddress("127.0.0.1/32".parse().expect("a network")),
        votes: vec![KeptVote { approver: "alice".into(), channel: channel.into(), uid: Some(1000), telegram_id: None }],
        at: WallTime::default(),
        until: WallTime::default().after(Duration::from_secs(60)),
        uses_left: 8,
    };
    for (channel, left) in [("cli", 1), ("telegram", 0)] {
        let (mut store, _) = Store::open(&config.state_directory, config.installation).expect("nobody has it");
        let standing = Standing { grants: vec![given(channel)], ..Standing::default() };
        store.save(&standing).expect("the disk works");
        drop(store);
        let server = Server::open(&config, Arc::new(PausedClock { started: instant() })).expect("it opens");
        assert_eq!(server.gate.grants().len(), left, "{channel}");
        server.gate.tick().await.expect("recorded");
        drop(server);
        let (_, standing) = crate::state::look(&config.state_directory, config.installation).expect("it is whole");
        assert_eq!(standing.grants.len(), left, "{channel}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_with_nothing_to_do_ends_and_says_so() {
    let seconds = Bench::new(true).ends().await;
    assert!((60..63).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn channels_find_that_it_sleeps_from_when_it_is_idle_until_it_starts() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("asleep");
    let asleep = Asleep::in_directory(directory.path());
    let mut bench = Bench::new(true);
    bench.around.asleep = asleep.clone();
    fs::write(&file, "").expect("left by the one before");
    let told = bench.told.clone();
    let (ended, there) = tokio::join!(bench.server.run(bench.sockets, bench.around), async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let there = file.exists();
        told.send(Order::Stop("SIGTERM")).await.expect("told");
        there
    });
    ended.expect("a good end");
    assert!(!there, "it is awake");
    assert!(!file.exists(), "it was stopped by somebody");

    let mut bench = Bench::new(true);
    bench.around.asleep = asleep;
    bench.ends().await;
    assert!(file.exists(), "it was idle");
}

#[tokio::test(start_paused = true)]
async fn scrapes_keep_no_idle_server_alive() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut bench = Bench::new(true);
    let path = bench.directory.path().join("metrics.sock");
    let listener = unix::UnixListener::bind(&path).expect("a socket");
    bench.sockets.metrics = vec![MetricsListener::Unix(listener)];
    let answered = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&answered);
    tokio::spawn(async move {
        while let Ok(mut scrape) = tokio::net::UnixStream::connect(&path).await {
            let _sent = scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            let mut answer = String::new();
            let _ended = scrape.read_to_string(&mut answer).await;
            counted.fetch_add(answer.ends_with("# EOF\n").into(), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
    });
    let seconds = bench.ends().await;
    assert!((60..63).contains(&seconds), "{seconds}");
    assert_eq!(answered.load(Ordering::Relaxed), 9, "every 7 s");
}

#[tokio::test(start_paused = true)]
async fn an_open_question_keeps_it_alive() {
    let bench = Bench::new(true);
    let request = Request::parse(Operation::Unseal, "c232ab00-9414-11ec-b3c8-9f6bdeced846", vec![1]).expect("one");
    let peer = Peer::plaintext(([127, 0, 0, 1], 1).into());
    let admitted = bench.server.admission.admit(Moment::default(), request, peer).expect("listed");
    let gone = CancellationToken::new();
    gone.cancel();
    let answer = bench.server.gate.approve(admitted, &Caller { deadline: None, gone }).await;
    assert!(matches!(answer, Err(NotApproved::CallerGone)));
    let seconds = bench.ends().await;
    assert!((660..663).contains(&seconds), "10 min until it expires, and the quiet time: {seconds}");
}

#[tokio::test(start_paused = true)]
async fn calls_and_connections_count_and_those_under_way_do_not_let_it_end() {
    let bench = Bench::new(true);
    let (calls, accepted) = (TaskTracker::new(), AtomicU64::new(0));
    let under_way = calls.token();
    let began = instant();
    tokio::join!(bench.server.idle(Some(Duration::from_secs(60)), &calls, &accepted), async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        drop(under_way);
        tokio::time::sleep(Duration::from_secs(50)).await;
        accepted.fetch_add(1, Ordering::Relaxed);
    });
    let seconds = began.elapsed().as_secs();
    assert!((210..213).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn without_sockets_from_systemd_it_goes_on_for_ever() {
    let bench = Bench::new(false);
    let running = bench.server.run(bench.sockets, bench.around);
    tokio::time::timeout(Duration::from_secs(7_200), running).await.expect_err("nobody would start it again");
}

/// A log whose disk is slow: a release is written when the test says so.
#[derive(Clone)]
struct SlowDisk {
    written: Arc<std::sync::Mutex<String>>,
    /// Says that a release waits to be written.
    arrived: std::sync::mpsc::Sender<()>,
    goes_on: Arc<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>,
}

impl Sink for SlowDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(bytes);
        if text.contains(r#""event":"released""#) {
            let _told = self.arrived.send(());
            let _told = self.goes_on.lock().expect("no panic").recv_timeout(Duration::from_secs(20));
        }
        self.written.lock().expect("no panic").push_str(&text);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn spare(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> u64 {
        0
    }
}

/// In real time, since a disk is waited for; nothing is asserted about how long anything takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_being_written_is_answered_before_the_end() {
    let mut bench = Bench::new(false);
    let (arrived, waits) = std::sync::mpsc::channel();
    let (go_on, goes_on) = std::sync::mpsc::channel();
    let written = Arc::<std::sync::Mutex<String>>::default();
    let disk = SlowDisk { written: Arc::clone(&written), arrived, goes_on: Arc::new(goes_on.into()) };
    let Server { admission, gate, clock, log, pipeline, config, .. } = &mut bench.server;
    *log = Log::new(disk, Tail::read(b"", true).expect("empty"), Arc::clone(clock));
    let key = credential::from_file(&bench.directory.path().join("key")).expect("a key");
    let keyring = Arc::new(Keyring::new(Box::new(LocalKey::new(key)), vec![]));
    *pipeline =
        Arc::new(Pipeline::new(Arc::clone(admission), Arc::clone(gate), keyring, log.clone(), Arc::clone(clock)));
    let allow = config::Rules { seal: Some(config::Action::Allow), ..config::Rules::default() };
    let config = Config { rules: allow, ..config.clone() };
    let (policy, timings) = (super::super::assemble::policy(&config), super::super::assemble::timings(&config.timings));
    gate.reconfigure(policy, timings, &super::super::assemble::lists(&config)).await;
    let address = bench.sockets.talos_addresses()[0];
    let gate = Arc::clone(gate);
    let running = tokio::spawn(bench.server.run(bench.sockets, bench.around));
    let call = tokio::spawn(async move {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("a URL");
        let mut client = KmsServiceClient::new(endpoint.connect().await.expect("it listens"));
        let node_uuid = "c232ab00-9414-11ec-b3c8-9f6bdeced846".to_owned();
        client.seal(stubs::Request { node_uuid, data: vec![7; 32] }).await.is_ok()
    });
    tokio::task::spawn_blocking(move || waits.recv_timeout(Duration::from_secs(20)).expect("a release"))
        .await
        .expect("one");
    bench.told.send(Order::Stop("SIGTERM")).await.expect("it runs");
    while !gate.is_stopping() {
        tokio::task::yield_now().await;
    }
    go_on.send(()).expect("it waits");
    assert!(call.await.expect("no panic"), "the node gets its answer");
    running.await.expect("no panic").expect("a good end");
    let written = written.lock().expect("no panic");
    let events: Vec<&str> = written.lines().filter_map(|line| line.split('"').nth(9)).collect();
    assert_eq!(events, ["started", "released", "stopped"], "{written}");
}
