//! The whole request path: bytes of a connection, HTTP/2, decoding, the pipeline with records in memory, the answer.
//!
//! Time is paused and runs on when nothing else does, so that holds and timeouts cost nothing. The input says who is
//! connected, which rule is in force, and what happens: whole frames, calls with a real blob in parts, raw bytes, time
//! that passes, a person who approves, denies, approves ahead, revokes, blocks, locks and unlocks, a disk that is full. However
//! it goes: nothing panics, the server lets the connection go, what it says is bounded, and at the moment of each release
//! somebody's yes stands, and nobody's no.
#![no_main]

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nightlatch::approval::ask::{AskId, Event, Fresh, Verdict, Voter};
use nightlatch::approval::gate::{self, Gate, NotActed, Records, Unrecorded};
use nightlatch::approval::ledger::act::{Act, GrantWanted, WhichGrants};
use nightlatch::approval::policy::Vote;
use nightlatch::audit::log::{Log, Sink};
use nightlatch::audit::tail::Tail;
use nightlatch::clock::{Clock, Moment, Now, WallTime};
use nightlatch::config::Config;
use nightlatch::daemon::assemble;
use nightlatch::key::local::LocalKey;
use nightlatch::key::{Held, Keyring};
use nightlatch::listen::Connection;
use nightlatch::peer::admission::Admission;
use nightlatch::peer::standing::{KeptVote, Standing};
use nightlatch::peer::{ListedNode, Origin, Peer};
use nightlatch::pipeline::Pipeline;
use nightlatch::request::Operation;
use nightlatch::secret::KeyBytes;
use nightlatch::wire::talos::Talos;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;

const VECTOR: &str = include_str!("../../tests/vectors/good.txt");

/// Longest time that any connection may last, and more.
const END: Duration = Duration::from_secs(600);

/// Most that the server may say, in bytes: a short input cannot earn more.
const MOST_SAID: usize = 1 << 20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// Node and blob are those of the vector. `{rule}` is replaced.
const CONFIG: &str = r#"
installation = "0c7a2c8e-5d7e-4a9e-9b57-6f0f5b1f7a11"
networks = ["192.0.2.0/24"]
tls = "off"
rules = { seal = "deny", unseal = "{rule}" }
timings = { hold = "5s" }
[[key]]
name = "first"
credential = "nightlatch-key"
[[node]]
uuid = "4c4c4544-0042-3510-8051-b4c04f4e3632"
name = "cp-1"
addresses = ["192.0.2.11"]
[[approver]]
name = "alice"
uid = 1000
[[channel]]
name = "cli"
people = "uid"
"#;

fn bytes(name: &str) -> Vec<u8> {
    let value = VECTOR.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).expect("a field");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal");
    value.as_bytes().chunks(2).map(byte).collect()
}

static BLOB: LazyLock<Vec<u8>> = LazyLock::new(|| bytes("blob"));
static SECRET: LazyLock<Vec<u8>> = LazyLock::new(|| bytes("secret"));

fn config(rule: &str) -> Config {
    let config = Config::parse(&CONFIG.replace("{rule}", rule), "nightlatch.toml");
    config.unwrap_or_else(|error| panic!("{error}")).0
}

static ASKS: LazyLock<Config> = LazyLock::new(|| config("ask"));
static ALLOWS: LazyLock<Config> = LazyLock::new(|| config("allow"));

struct Paused(tokio::time::Instant);

impl Clock for Paused {
    fn now(&self) -> Now {
        let since = self.0.elapsed();
        Now {
            moment: Moment::since_boot(Duration::from_secs(100) + since),
            wall: WallTime::from_unix_millis(1_800_000_000_000 + i64::try_from(since.as_millis()).expect("short")),
        }
    }
}

/// Whether a release is allowed, as somebody knows who only sees what people do: a yes counts before it is answered, and a no
/// from its answer on. How long a yes lasts and how often it is used is not looked at here.
#[derive(Debug, Default)]
struct Stance {
    allows: bool,
    yes: bool,
    blocked: bool,
    locked: bool,
}

impl Stance {
    fn may(&self) -> bool {
        (self.allows || self.yes) && !self.blocked && !self.locked
    }
}

/// An audit log in memory, which looks at each release.
#[derive(Clone, Default)]
struct Memory {
    log: Arc<Mutex<Vec<u8>>>,
    stance: Arc<Mutex<Stance>>,
}

impl Memory {
    fn released(&self) -> usize {
        releases(&self.log.lock().expect("no panic"))
    }

    fn stance(&self, change: impl FnOnce(&mut Stance)) {
        change(&mut self.stance.lock().expect("no panic"));
    }
}

fn releases(log: &[u8]) -> usize {
    String::from_utf8_lossy(log).matches("\"event\":\"released\"").count()
}

impl Sink for Memory {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stance = self.stance.lock().expect("no panic");
        assert!(releases(bytes) == 0 || stance.may(), "released, and {stance:?}");
        self.log.lock().expect("no panic").extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.log.lock().expect("no panic").truncate(usize::try_from(length).expect("short"));
        Ok(())
    }

    fn spare(&mut self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> u64 {
        self.log.lock().expect("no panic").len() as u64
    }
}

/// A state that is kept nowhere, on a disk that is full at times.
#[derive(Default)]
struct Nowhere {
    is_full: AtomicBool,
}

impl Records for Nowhere {
    fn commit<'a>(
        &'a self,
        _events: &'a [Event],
        standing: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>> {
        // Of the log there is room kept for what lets a person decide; the state is saved anew each time.
        Box::pin(async move {
            match standing.is_some() && self.is_full.load(Ordering::Relaxed) {
                true => Err(Unrecorded("the disk is full".into())),
                false => Ok(()),
            }
        })
    }
}

/// The key of the vector, in memory or not.
struct Keys(Arc<Keyring>);

fn key() -> Box<LocalKey> {
    let key = KeyBytes::try_fill(|key| {
        key.copy_from_slice(&bytes("key"));
        Ok::<_, ()>(())
    });
    Box::new(LocalKey::new(key.expect("cannot fail")))
}

impl gate::Keys for Keys {
    fn wipe(&self) {
        self.0.wipe();
    }

    fn load(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.fill(Held::new(key(), vec![]));
        Box::pin(std::future::ready(()))
    }
}

/// What the input says, taken from its beginning.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// As many bytes as the next one says, or what there is.
    fn some(&mut self) -> &'a [u8] {
        let count = self.byte().map_or(0, usize::from).min(self.0.len());
        let (some, rest) = self.0.split_at(count);
        self.0 = rest;
        some
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short");
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn header(name: &str, value: &str) -> Vec<u8> {
    let string = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    [vec![0], string(name), string(value)].concat()
}

fn headers(path: &str) -> Vec<u8> {
    let rest = [header(":path", path), header(":authority", "x"), header("content-type", "application/grpc")];
    [vec![0x83, 0x86], rest.concat(), header("te", "trailers")].concat()
}

/// A call whose message is right as far as gRPC goes.
fn call(stream: u32, path: &str, fields: &[u8]) -> Vec<u8> {
    let length = u32::try_from(fields.len()).expect("short");
    let message = [&[0][..], &length.to_be_bytes(), fields].concat();
    [frame(1, 4, stream, &headers(path)), frame(0, 1, stream, &message)].concat()
}

fn fields(node: &[u8], data: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| match bytes.len() {
        short @ 0..128 => vec![short as u8],
        long => vec![0x80 | (long & 127) as u8, (long >> 7) as u8],
    };
    [&[0x0A], length(node).as_slice(), node, &[0x12], length(data).as_slice(), data].concat()
}

const UNSEAL: &str = "/sidero.kms.KMSService/Unseal";
const SEAL: &str = "/sidero.kms.KMSService/Seal";
const NODE: &[u8] = b"4c4c4544-0042-3510-8051-b4c04f4e3632";

/// What is sent for a step of the script.
fn sent(step: u8, stream: &mut u32, script: &mut Script<'_>) -> Vec<u8> {
    let mut next = || {
        *stream += 2;
        *stream - 2
    };
    match step {
        0 => script.some().to_vec(),
        1 => {
            let [kind, flags, on] = [(); 3].map(|()| script.byte().unwrap_or(0));
            frame(kind, flags, u32::from(on), script.some())
        }
        2 => call(next(), UNSEAL, &fields(NODE, &BLOB)),
        3 => {
            // As much of the blob as a byte says, and on with the input.
            let keep = usize::from(script.byte().unwrap_or(0)).min(BLOB.len());
            call(next(), UNSEAL, &fields(NODE, &[&BLOB[..keep], script.some()].concat()))
        }
        4 => call(next(), UNSEAL, script.some()),
        5 => call(next(), SEAL, &fields(NODE, script.some())),
        6 => call(next(), UNSEAL, &fields(script.some(), &BLOB)),
        7 => {
            let path: String = script.some().iter().take(100).map(|byte| char::from(byte & 127)).collect();
            call(next(), &path, &fields(NODE, &BLOB))
        }
        _ => frame(3, 0, u32::from(script.byte().unwrap_or(0)), &8_u32.to_be_bytes()),
    }
}

fn alice() -> Voter {
    let vote = Vote { approver: "alice".into(), channel: "cli".into() };
    Voter { vote, uid: 1000, telegram_id: None }
}

impl House {
    /// Whether it has its effect.
    async fn act(&self, act: Act) -> bool {
        let answer = self.gate.act(self.gate.configuration().generation, act).await;
        matches!(answer, Ok(_) | Err(NotActed::Unsaved(_)))
    }

    /// Alice answers all that is open. Whether anything was, and each has its answer.
    async fn answer(&self, verdict: Verdict) -> bool {
        let asks = self.gate.subscribe("cli").map_or(vec![], |subscription| subscription.asks);
        let mut answered = !asks.is_empty();
        for ask in &asks {
            answered &= self.act(Act::Vote { ask: ask.id, by: alice(), verdict }).await;
        }
        answered
    }

    fn node(&self) -> ListedNode {
        self.admission.lists().nodes().next().expect("one is listed").clone()
    }

    /// Alice does what the number says.
    async fn person(&self, what: u8) {
        match what {
            0 => {
                self.memory.stance(|stance| stance.yes = true);
                self.answer(Verdict::Approve(None)).await;
            }
            1 => {
                if self.answer(Verdict::Deny(None)).await {
                    self.memory.stance(|stance| stance.yes = false);
                }
            }
            2 => {
                self.memory.stance(|stance| stance.yes = true);
                let node = self.node();
                let rule = self.gate.configuration().policy.rule(&node, Origin::Listed, Operation::Unseal);
                let number = self.grants.fetch_add(1, Ordering::Relaxed);
                let id = AskId((number as u128).to_be_bytes());
                let fresh = Fresh { id, code: number as u16 };
                let wanted = vec![GrantWanted { node, origin: None, rule, fresh }];
                let vote =
                    KeptVote { approver: "alice".into(), channel: "cli".into(), uid: Some(1000), telegram_id: None };
                self.act(Act::Grant { wanted, by: alice(), vote, lasts: None, uses: None }).await;
            }
            3 => {
                let which = WhichGrants::Nodes(vec![self.node().uuid.clone()]);
                if self.act(Act::Revoke { which, by: alice() }).await {
                    self.memory.stance(|stance| stance.yes = false);
                }
            }
            4 => {
                if self.act(Act::Block { node: self.node(), by: alice(), lasts: None }).await {
                    self.memory.stance(|stance| (stance.yes, stance.blocked) = (false, true));
                }
            }
            5 => {
                self.memory.stance(|stance| stance.blocked = false);
                self.act(Act::Unblock { node: self.node(), by: alice() }).await;
            }
            6 => {
                if self.act(Act::Lock { by: alice() }).await {
                    self.memory.stance(|stance| (stance.yes, stance.locked) = (false, true));
                }
            }
            7 => {
                self.memory.stance(|stance| stance.locked = false);
                self.act(Act::Unlock { by: alice() }).await;
            }
            _ => {
                self.records.is_full.fetch_xor(true, Ordering::Relaxed);
            }
        }
    }
}

struct House {
    talos: Talos,
    gate: Arc<Gate>,
    admission: Arc<Admission>,
    memory: Memory,
    records: Arc<Nowhere>,
    grants: AtomicUsize,
}

fn house(config: &Config) -> House {
    let memory = Memory::default();
    let clock: Arc<dyn Clock> = Arc::new(Paused(tokio::time::Instant::now()));
    let keyring = Arc::new(Keyring::new(key(), vec![]));
    let tail = Tail { next_seq: 1, cut: 0, repaired: None };
    let log = Log::new(memory.clone(), tail, Arc::clone(&clock));
    let (policy, timings) = (assemble::policy(config), assemble::timings(&config.timings));
    let admission = Arc::new(assemble::admission(config));
    let standing = Standing::default();
    let records = Arc::<Nowhere>::default();
    let to = Arc::clone(&records) as Arc<dyn Records>;
    let gate = Gate::new(policy, timings, standing, Arc::clone(&admission), Arc::clone(&clock), to);
    let gate = Arc::new(gate.with_keys(Arc::new(Keys(Arc::clone(&keyring)))));
    let pipeline = Pipeline::new(Arc::clone(&admission), Arc::clone(&gate), keyring, log, Arc::clone(&clock));
    let talos = Talos::new(Arc::new(pipeline), clock, TaskTracker::new());
    House { talos, gate, admission, memory, records, grants: AtomicUsize::new(0) }
}

/// Plays the script, and gives what the server said.
async fn play(house: &House, near: DuplexStream, greet: bool, mut script: Script<'_>) -> Vec<u8> {
    let (reading, mut writing) = split(near);
    let said = tokio::spawn(async move {
        let mut said = vec![];
        let _ended = reading.take(MOST_SAID as u64).read_to_end(&mut said).await;
        said
    });
    let mut stream = 1;
    if greet {
        let _sent = writing.write_all(PREFACE).await;
    }
    while let Some(step) = script.byte() {
        match step % 12 {
            9 => tokio::time::sleep(Duration::from_millis(50 * u64::from(script.byte().unwrap_or(0)))).await,
            10 => {
                // Calls that are under way get to their ask first.
                tokio::time::sleep(Duration::from_millis(1)).await;
                house.person(step / 12 % 9).await;
            }
            11 => tokio::task::yield_now().await,
            step => {
                if writing.write_all(&sent(step, &mut stream, &mut script)).await.is_err() {
                    break;
                }
            }
        }
    }
    // It stays open: the server has to end it.
    tokio::time::timeout(END, said).await.expect("the server lets go").expect("no panic")
}

async fn run(input: &[u8]) {
    let mut script = Script(input);
    let Some(setting) = script.byte() else { return };
    let allows = setting & 1 == 1;
    let address: IpAddr = match setting >> 1 & 3 {
        0 | 1 => [192, 0, 2, 11],
        2 => [192, 0, 2, 77],
        _ => [198, 51, 100, 1],
    }
    .into();
    let house = house(if allows { &ALLOWS } else { &ASKS });
    house.memory.stance(|stance| stance.allows = allows);
    let (near, far) = duplex(64 * 1024);
    let connection = Connection::new(far, Peer::plaintext(SocketAddr::new(address, 40_000))).for_calls();
    let (accepted, incoming) = mpsc::channel(1);
    accepted.send(Ok(connection)).await.expect("room for one");
    let serving = tokio::spawn(house.talos.clone().serve(ReceiverStream::new(incoming), std::future::pending()));
    let said = play(&house, near, setting & 8 == 0, script).await;

    assert!(said.len() < MOST_SAID, "{} bytes for {}", said.len(), input.len());
    assert!(!serving.is_finished(), "the server serves on");
    let tells = said.windows(SECRET.len()).any(|window| window == SECRET.as_slice());
    let released = house.memory.released();
    assert!(!tells || released > 0, "told, and not recorded");
    assert!(released == 0 || address == IpAddr::from([192, 0, 2, 11]), "released to somebody else");
}

fuzz_target!(|input: &[u8]| {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(run(input));
});
