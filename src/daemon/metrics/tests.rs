//! What is counted, and that docs/metrics.md has all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use nightlatch_approval_api::notify::Manager;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::approval::ask::{AskId, Verdict, Voter};
use crate::approval::ledger::act::Act;
use crate::approval::policy::Vote;
use crate::clock::{Clock, Moment, Now};
use crate::config::Config;
use crate::daemon::certificate::Certificate;
use crate::peer::Peer;
use crate::peer::admission::Generation;
use crate::pipeline::{Call, OnRecord};
use crate::request;
use crate::request::Operation;
use crate::state::Store;

const CP_1: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";
const WORKER_1: &str = "c232ab00-9414-41ec-b3c8-9f6bdeced846";

const CONFIG: &str = r#"
installation = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21"
state_directory = "{directory}/state"
networks = ["192.0.2.0/24"]
tls = "off"
timings = { hold = "0s" }
key = [{ name = "first", file = "{directory}/key" }]
approver = [{ name = "alice", uid = 1000 }]
channel = [{ name = "cli", people = "uid" }, { name = "telegram", people = "telegram", uid = 990 }]
node = [
    { uuid = "4c4c4544-0042-3510-8051-b4c04f4e3632", name = "cp-1", addresses = ["192.0.2.11"], rules = { seal = "allow", unseal = "allow" } },
    { uuid = "c232ab00-9414-41ec-b3c8-9f6bdeced846", name = "worker-1", addresses = ["192.0.2.21"] },
]
"#;

struct HandClock(Mutex<Duration>);

impl Clock for HandClock {
    fn now(&self) -> Now {
        let since = *self.0.lock().expect("no panic");
        let millis = i64::try_from(since.as_millis()).expect("tests are short");
        Now {
            moment: Moment::since_boot(Duration::from_secs(100) + since),
            wall: WallTime::from_unix_millis(1_800_000_000_000 + millis),
        }
    }
}

struct Bench {
    _directory: tempfile::TempDir,
    clock: Arc<HandClock>,
    server: Server,
    metrics: Metrics,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let key = directory.path().join("key");
        let options = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        let file = rustix::fs::open(&key, options, 0o600.into()).expect("made");
        rustix::io::write(file, &(0..32).collect::<Vec<u8>>()).expect("written");
        let text = CONFIG.replace("{directory}", &directory.path().display().to_string());
        let config = Config::parse(&text, "nightlatch.toml").expect("a configuration").0;
        drop(Store::create(&config.state_directory, config.installation).expect("a state"));
        let clock = Arc::new(HandClock(Mutex::default()));
        let server = Server::open(&config, Arc::clone(&clock) as Arc<dyn Clock>).expect("it opens");
        let manager = Arc::new(Manager::default());
        let watch = Watch::new(Arc::clone(&server.gate), Arc::clone(&server.admission), manager);
        let metrics = Metrics::new(&server, &Arc::new(watch));
        Self { _directory: directory, clock, server, metrics }
    }

    /// Inside TLS.
    fn encrypted() -> Self {
        let mut bench = Self::new();
        let manager = Arc::new(Manager::default());
        let watch = Watch::new(Arc::clone(&bench.server.gate), Arc::clone(&bench.server.admission), manager);
        let certificate = Some(Arc::new(Certificate::for_test()));
        let watch = watch.with_certificate(certificate, Arc::clone(&bench.server.clock));
        bench.metrics = Metrics::new(&bench.server, &Arc::new(watch));
        bench
    }

    fn call(operation: Operation, claim: &str, data: &[u8], last: u8) -> Call {
        Call {
            operation,
            request: request::Request::parse(operation, claim, data.to_vec()),
            peer: Peer::plaintext(([192, 0, 2, last], 1).into()),
            deadline: None,
            gone: CancellationToken::new(),
            on_record: OnRecord::default(),
        }
    }

    async fn unseal(&self, claim: &str, last: u8) {
        let call = Self::call(Operation::Unseal, claim, &[1; 170], last);
        drop(self.server.pipeline.run(call).await);
    }

    /// The open ask of worker-1.
    async fn ask(&self) -> AskId {
        self.unseal(WORKER_1, 21).await;
        self.server.gate.subscribe("cli").expect("room").asks[0].id
    }

    async fn vote(&self, ask: AskId, verdict: Verdict) {
        let by = Voter { vote: Vote { approver: "alice".into(), channel: "cli".into() }, uid: 1000, telegram_id: None };
        self.server.gate.act(Generation::default(), Act::Vote { ask, by, verdict }).await.expect("recorded");
    }

    fn passes(&self, seconds: u64) {
        *self.clock.0.lock().expect("no panic") += Duration::from_secs(seconds);
    }

    /// The numbers, by name and labels.
    fn numbers(&self) -> BTreeMap<String, i64> {
        let text = self.metrics.text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let number = |line: &str| {
            let (series, number) = line.rsplit_once(' ').expect("a number");
            (series.to_owned(), number.parse::<f64>().expect("a number") as i64)
        };
        samples.map(number).collect()
    }

    /// The numbers of `family` that are not 0.
    fn counted(&self, family: &str) -> Vec<(String, i64)> {
        let numbers = self.numbers().into_iter().filter(|(_, number)| *number != 0);
        numbers.filter_map(|(series, number)| Some((series.strip_prefix(family)?.to_owned(), number))).collect()
    }
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    // Inside a cell a bar is escaped.
    fs::read_to_string(path).expect("the page").replace("\\|", "/")
}

/// The cells of the page's rows that have as many `columns` and a first one in back quotes.
fn rows<'a>(page: &'a str, columns: usize) -> impl Iterator<Item = Vec<&'a str>> {
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    page.lines().filter(|line| line.starts_with("| `")).map(cells).filter(move |cells| cells.len() == columns)
}

#[test]
fn the_names_of_the_page_are_those_that_are_served() {
    let text = Bench::encrypted().metrics.text();
    let mut served = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a type");
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let name = format!("{name}{suffix}");
        let labels: BTreeSet<String> = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix(&name)?.strip_prefix(if kind == "histogram" { "_bucket{" } else { "{" })
            })
            .flat_map(|labels| labels.split_once('}').expect("an end").0.split(','))
            .map(|label| format!("`{}`", label.split_once('=').expect("a label").0))
            .collect();
        served.insert((format!("`{name}`"), kind.to_owned(), labels));
    }
    let page = page();
    let told: BTreeSet<_> = rows(&page, 5)
        .map(|cells| {
            let labels = cells[2].split(", ").filter(|label| !label.is_empty()).map(str::to_owned).collect();
            (cells[0].to_owned(), cells[1].to_owned(), labels)
        })
        .collect();
    assert!(told.len() > 10, "{told:?}");
    assert_eq!(told, served);
}

#[test]
fn the_outcomes_of_the_page_are_those_that_are_served() {
    let page = page();
    let told: BTreeSet<String> = rows(&page, 3).map(|cells| cells[0].trim_matches('`').to_owned()).collect();
    let bench = Bench::new();
    let endings = bench.server.pipeline.endings();
    let served: BTreeSet<String> = endings.all().map(|((_, ending), _)| ending.as_str().to_owned()).collect();
    assert_eq!(told, served);
    assert_eq!(endings.all().count(), 2 * served.len(), "no two outcomes have one word");
    for outcome in AskOutcome::ALL {
        assert!(page.contains(&format!("`{}`", outcome.as_str())), "{outcome:?}");
    }
}

#[tokio::test]
async fn every_call_counts_once_by_what_it_came_to() {
    let bench = Bench::new();
    let sealed = Bench::call(Operation::Seal, CP_1, &[7; 32], 11);
    drop(bench.server.pipeline.run(sealed).await);
    bench.unseal(CP_1, 11).await;
    bench.unseal(CP_1, 12).await;
    bench.unseal(WORKER_1, 21).await;
    bench.unseal(WORKER_1, 21).await;
    drop(bench.server.pipeline.run(Bench::call(Operation::Seal, CP_1, &[], 11)).await);
    bench.server.pipeline.broken(&Bench::call(Operation::Seal, CP_1, &[7; 32], 11).if_broken());
    let counted = bench.counted("nightlatch_calls_total");
    let expected = [
        (r#"{operation="seal",outcome="broken"}"#, 1),
        (r#"{operation="seal",outcome="malformed"}"#, 1),
        (r#"{operation="seal",outcome="released"}"#, 1),
        (r#"{operation="unseal",outcome="failed"}"#, 1),
        (r#"{operation="unseal",outcome="other-address"}"#, 1),
        (r#"{operation="unseal",outcome="waiting"}"#, 2),
    ];
    assert_eq!(counted, expected.map(|(series, count)| (series.to_owned(), count)));
    let numbers = bench.numbers();
    let open = ["nightlatch_asks_open", "nightlatch_nodes", "nightlatch_start_time_seconds"].map(|name| numbers[name]);
    assert_eq!(open, [1, 2, 1_800_000_000]);
}

#[tokio::test]
async fn junk_makes_no_series_and_names_nobody() {
    let bench = Bench::new();
    let before: Vec<String> = bench.numbers().into_keys().collect();
    for last in 0..200 {
        bench.unseal(&format!("4c4c4544-0042-3510-8051-b4c04f4e36{last:02x}"), last).await;
        bench.unseal(&format!("\"}} {last}"), last).await;
        bench.unseal(&format!("# EOF\n{last}"), last).await;
    }
    bench.unseal(WORKER_1, 21).await;
    assert_eq!(bench.numbers().into_keys().collect::<Vec<_>>(), before);
    assert_eq!(
        bench.numbers().into_iter().filter(|(name, _)| name.contains("calls_total")).map(|(_, n)| n).sum::<i64>(),
        601
    );
    let text = bench.metrics.text();
    for word in ["cp-1", "worker-1", "alice", "192.0.2", "4c4c4544", "c232ab00", "9f8b7c3e", "first"] {
        assert!(!text.contains(word), "{word} is in {text}");
    }
}

#[tokio::test]
async fn questions_count_with_their_outcome_and_how_long_people_took() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    bench.passes(40);
    bench.vote(ask, Verdict::Approve(Some(Duration::from_secs(60)))).await;
    assert_eq!(bench.numbers()["nightlatch_approvals_valid"], 1);
    bench.passes(100);
    let ask = bench.ask().await;
    bench.passes(100);
    bench.vote(ask, Verdict::Deny(Some(Duration::from_secs(60)))).await;
    bench.passes(100);
    bench.ask().await;
    bench.passes(3_000);
    bench.server.gate.tick().await.expect("recorded");
    assert_eq!(bench.numbers()["nightlatch_asks_opened_total"], 3);
    let closed = bench.counted("nightlatch_asks_closed_total");
    let once = ["approved", "denied", "expired"].map(|outcome| (format!("{{outcome=\"{outcome}\"}}"), 1));
    assert_eq!(closed, once);
    let numbers = bench.numbers();
    let within = |le: &str| numbers[&format!("nightlatch_ask_answer_seconds_bucket{{le=\"{le}\"}}")];
    assert_eq!(["30.0", "60.0", "300.0", "+Inf"].map(within), [0, 1, 2, 2], "nobody answered the third");
    assert_eq!(numbers["nightlatch_ask_answer_seconds_sum"], 140);
}

#[tokio::test]
async fn who_follows_a_channel_is_counted_while_it_does() {
    let bench = Bench::new();
    let attached = || {
        ["cli", "telegram"].map(|name| bench.numbers()[&format!("nightlatch_channel_attached{{channel=\"{name}\"}}")])
    };
    assert_eq!(attached(), [0, 0]);
    let one = bench.server.gate.subscribe("telegram").expect("room");
    let unknown = bench.server.gate.subscribe("unknown").expect("room");
    assert_eq!(attached(), [0, 1]);
    drop((one, unknown));
    assert_eq!(bench.server.gate.attached("telegram"), 0, "nobody had to look before");
    assert_eq!(attached(), [0, 0]);
}
