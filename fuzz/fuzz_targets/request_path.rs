//! The whole request path: bytes of a connection, HTTP/2, decoding, the pipeline with records in memory, the answer.
//!
//! Time is paused and runs on when nothing else does, so that holds and timeouts cost nothing. The input says who is
//! connected, which rule is in force, and what happens: whole frames, calls with a real blob in parts, raw bytes, time
//! that passes, a person who approves. However it goes: nothing panics, the server lets the connection go, what it says is
//! bounded, and nothing is released that was not approved.
#![no_main]

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nightlatch::approval::ask::{Event, Verdict, Voter};
use nightlatch::approval::gate::{Gate, Records, Unrecorded};
use nightlatch::approval::ledger::act::Act;
use nightlatch::approval::policy::Vote;
use nightlatch::audit::log::{Log, Sink};
use nightlatch::audit::tail::Tail;
use nightlatch::clock::{Clock, Moment, Now, WallTime};
use nightlatch::config::Config;
use nightlatch::daemon::assemble;
use nightlatch::key::Keyring;
use nightlatch::key::local::LocalKey;
use nightlatch::listen::Connection;
use nightlatch::peer::Peer;
use nightlatch::peer::standing::Standing;
use nightlatch::pipeline::Pipeline;
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

/// An audit log in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn released(&self) -> usize {
        let log = self.0.lock().expect("no panic");
        String::from_utf8_lossy(&log).matches("\"event\":\"released\"").count()
    }
}

impl Sink for Memory {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.lock().expect("no panic").truncate(usize::try_from(length).expect("short"));
        Ok(())
    }

    fn spare(&mut self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> u64 {
        self.0.lock().expect("no panic").len() as u64
    }
}

struct Nowhere;

impl Records for Nowhere {
    fn commit<'a>(
        &'a self,
        _events: &'a [Event],
        _standing: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>> {
        Box::pin(async { Ok(()) })
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

/// Alice approves all that is open; whether anything was.
async fn approve(gate: &Arc<Gate>) -> bool {
    let asks = gate.subscribe("cli").map_or(vec![], |subscription| subscription.asks);
    for ask in &asks {
        let vote = Vote { approver: "alice".into(), channel: "cli".into() };
        let by = Voter { vote, uid: 1000, telegram_id: None };
        let _answer = gate
            .act(gate.configuration().generation, Act::Vote { ask: ask.id, by, verdict: Verdict::Approve(None) })
            .await;
    }
    !asks.is_empty()
}

struct House {
    talos: Talos,
    gate: Arc<Gate>,
    memory: Memory,
}

fn house(config: &Config) -> House {
    let memory = Memory::default();
    let clock: Arc<dyn Clock> = Arc::new(Paused(tokio::time::Instant::now()));
    let key = KeyBytes::try_fill(|key| {
        key.copy_from_slice(&bytes("key"));
        Ok::<_, ()>(())
    });
    let keyring = Arc::new(Keyring::new(Box::new(LocalKey::new(key.expect("cannot fail"))), vec![]));
    let tail = Tail { next_seq: 1, cut: 0, repaired: None };
    let log = Log::new(memory.clone(), tail, Arc::clone(&clock));
    let (policy, timings) = (assemble::policy(config), assemble::timings(&config.timings));
    let admission = Arc::new(assemble::admission(config));
    let standing = Standing::default();
    let gate = Gate::new(policy, timings, standing, Arc::clone(&admission), Arc::clone(&clock), Arc::new(Nowhere));
    let gate = Arc::new(gate);
    let pipeline = Pipeline::new(admission, Arc::clone(&gate), keyring, log, Arc::clone(&clock));
    House { talos: Talos::new(Arc::new(pipeline), clock, TaskTracker::new()), gate, memory }
}

/// Plays the script, and gives what the server said, and whether anything was approved.
async fn play(house: &House, near: DuplexStream, greet: bool, mut script: Script<'_>) -> (Vec<u8>, bool) {
    let (reading, mut writing) = split(near);
    let said = tokio::spawn(async move {
        let mut said = vec![];
        let _ended = reading.take(MOST_SAID as u64).read_to_end(&mut said).await;
        said
    });
    let (mut stream, mut approved) = (1, false);
    if greet {
        let _sent = writing.write_all(PREFACE).await;
    }
    while let Some(step) = script.byte() {
        match step % 12 {
            9 => tokio::time::sleep(Duration::from_millis(50 * u64::from(script.byte().unwrap_or(0)))).await,
            10 => {
                // Calls that are under way get to their ask first.
                tokio::time::sleep(Duration::from_millis(1)).await;
                approved |= approve(&house.gate).await;
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
    let said = tokio::time::timeout(END, said).await.expect("the server lets go").expect("no panic");
    (said, approved)
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
    let (near, far) = duplex(64 * 1024);
    let connection = Connection::new(far, Peer::plaintext(SocketAddr::new(address, 40_000))).for_calls();
    let (accepted, incoming) = mpsc::channel(1);
    accepted.send(Ok(connection)).await.expect("room for one");
    let serving = tokio::spawn(house.talos.clone().serve(ReceiverStream::new(incoming), std::future::pending()));
    let (said, approved) = play(&house, near, setting & 8 == 0, script).await;

    assert!(said.len() < MOST_SAID, "{} bytes for {}", said.len(), input.len());
    assert!(!serving.is_finished(), "the server serves on");
    let tells = said.windows(SECRET.len()).any(|window| window == SECRET.as_slice());
    let (released, may) = (house.memory.released(), approved || allows);
    assert!(!tells || released > 0, "told, and not recorded");
    assert!(released == 0 || (may && address == IpAddr::from([192, 0, 2, 11])), "released, and not approved");
}

fuzz_target!(|input: &[u8]| {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(run(input));
});
