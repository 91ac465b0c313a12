//! What a reload takes, refuses and leaves alone.

use std::os::unix::net::UnixDatagram;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use nightlatch_approval_api::notify::Manager;

use super::*;
use crate::approval::ask::Event;
use crate::approval::gate::{Gate, Records, Unrecorded};
use crate::clock::HostClock;
use crate::peer::standing::Standing;
use crate::request::NodeUuid;

const TEXT: &str = r#"
installation = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21"
networks = ["192.0.2.0/24"]
tls = "off"
key = [{ name = "first", credential = "nightlatch-key" }]
approver = [{ name = "alice", uid = 1000 }]
channel = [{ name = "cli", people = "uid" }]
node = [{ uuid = "c232ab00-9414-41ec-b3c8-9f6bdeced846", name = "cp-1" }]
"#;

const CP_2: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";

fn config(text: &str) -> Config {
    Config::parse(text, "nightlatch.toml").unwrap_or_else(|error| panic!("{error}")).0
}

/// Top-level keys go before the tables, which stand in one line each: so these may follow anything.
fn with(line: &str) -> Config {
    config(&format!("{TEXT}{line}\n"))
}

#[test]
fn what_needs_a_restart_is_named_as_in_the_file() {
    for (from, to, key) in [
        ("3c21", "3c22", "installation"),
        ("tls =", "state_directory = \"/elsewhere\"\ntls =", "state_directory"),
        ("tls =", "exit_after_idle = \"1h\"\ntls =", "exit_after_idle"),
        ("tls =", "listen = { talos = [\"127.0.0.1:1\"] }\ntls =", "listen"),
        ("nightlatch-key", "other-key", "key"),
        ("\"cli\"", "\"console\"", "channel"),
    ] {
        let changed = config(&TEXT.replace(from, to));
        assert_eq!(needs_restart(&config(TEXT), &changed), [key]);
        assert_eq!(needs_restart(&changed, &config(TEXT)), [key]);
    }
    let both = config(&TEXT.replace("nightlatch-key", "other-key").replace("3c21", "3c22"));
    assert_eq!(needs_restart(&config(TEXT), &both), ["installation", "key"]);
}

#[test]
fn the_rest_does_not() {
    for line in [
        "uuid_policy = \"v4\"",
        "uuid_entropy_check = true",
        "rules = { quorum = 1 }",
        "cluster = [{ name = \"home\" }]",
        "timings = { lease = \"6m\" }",
        "log = { level = \"debug\" }",
    ] {
        let changed = with(line);
        assert_ne!(changed, config(TEXT), "{line}");
        assert_eq!(needs_restart(&config(TEXT), &changed), [""; 0], "{line}");
    }
    for (from, to) in [("192.0.2.0/24", "192.0.2.0/25"), ("cp-1", "cp-2"), ("uid = 1000", "uid = 1001")] {
        assert_eq!(needs_restart(&config(TEXT), &config(&TEXT.replace(from, to))), [""; 0], "{to}");
    }
}

struct NoRecords;

impl Records for NoRecords {
    fn commit<'a>(
        &'a self,
        _: &'a [Event],
        _: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>> {
        Box::pin(async { Ok(()) })
    }
}

struct Bench {
    reload: Reload,
    file: Arc<Mutex<String>>,
    told: UnixDatagram,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let running = config(TEXT);
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let told = UnixDatagram::bind(&path).expect("a socket");
        told.set_nonblocking(true).expect("our socket");
        let file = Arc::new(Mutex::new(TEXT.to_owned()));
        let load: Load = Box::new({
            let file = Arc::clone(&file);
            move || Config::parse(&file.lock().expect("no panic"), "nightlatch.toml")
        });
        let (policy, timings) = (assemble::policy(&running), assemble::timings(&running.timings));
        let admission = Arc::new(assemble::admission(&running));
        let (standing, clock) = (Standing::default(), Arc::new(HostClock));
        let gate = Gate::new(policy, timings, standing, Arc::clone(&admission), clock, Arc::new(NoRecords));
        let manager = Arc::new(Manager::at(path.as_os_str(), None).expect("a socket"));
        let watch = Watch::new(Arc::new(gate), admission, manager);
        let origin = Arc::new(Origin { load, levels: Levels::default() });
        let reload = Reload { running, origin, watch: Arc::new(watch), certificate: None };
        Self { reload, file, told, _directory: directory }
    }

    /// Reloads what the file says now, and gives what the service manager was told.
    async fn reload(&mut self, text: &str) -> String {
        text.clone_into(&mut self.file.lock().expect("no panic"));
        self.reload.run().await;
        let mut bytes = [0; 2048];
        let next =
            || self.told.recv(&mut bytes).ok().map(|length| String::from_utf8_lossy(&bytes[..length]).into_owned());
        std::iter::from_fn(next).collect()
    }

    fn generation(&self) -> crate::peer::admission::Generation {
        self.reload.watch.gate.configuration().generation
    }

    fn lists(&self, uuid: &str) -> bool {
        self.reload.watch.admission.node(&NodeUuid::parse(uuid).expect("printable")).is_some()
    }
}

#[tokio::test]
async fn all_or_nothing_takes_effect_and_the_manager_knows_which() {
    let mut bench = Bench::new();
    let other_node = TEXT.replace("c232ab00-9414-41ec-b3c8-9f6bdeced846", CP_2);
    for (text, why) in [
        (other_node.replace("nightlatch-key", "other-key"), "restart to change key"),
        (other_node.replace("tls = ", "tsl = "), "the file cannot be used, see the journal"),
    ] {
        let told = bench.reload(&text).await;
        assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC=") && told.ends_with("READY=1\n"), "{told}");
        assert!(told.contains(why), "{told}");
        assert!(!bench.lists(CP_2), "{why}");
    }
    let told = bench.reload(&other_node).await;
    assert!(bench.lists(CP_2));
    assert!(told.contains("STATUS=1 node: nobody waits for an answer"), "{told}");
    let configuration = bench.reload.watch.gate.configuration();
    assert_eq!(configuration.generation, bench.reload.watch.admission.lists().generation());
}

#[tokio::test]
async fn held_calls_are_not_disturbed_by_a_reload_that_decides_nothing() {
    let mut bench = Bench::new();
    let before = bench.generation();
    bench.reload(TEXT).await;
    bench.reload(&format!("{TEXT}log = {{ level = \"debug\" }}\n")).await;
    assert_eq!(bench.generation(), before);
    bench.reload(&format!("{TEXT}timings = {{ hold = \"1s\" }}\n")).await;
    assert_ne!(bench.generation(), before);
    assert_eq!(bench.reload.watch.gate.configuration().timings.hold.as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_certificate_is_looked_at_whatever_becomes_of_the_file() {
    let mut bench = Bench::new();
    let certificate = Arc::new(Certificate::for_test());
    bench.reload.certificate = Some(Arc::clone(&certificate));
    for text in [TEXT, "no TOML"] {
        let told = bench.reload(text).await;
        assert!(told.ends_with("READY=1\n"), "{told}");
        let wanted = tokio::time::timeout(Duration::from_secs(1), certificate.is_wanted()).await;
        wanted.expect("it is looked at");
    }
}

#[tokio::test]
async fn a_server_that_stops_reloads_nothing() {
    let mut bench = Bench::new();
    bench.reload.watch.gate.stop();
    assert_eq!(bench.reload(&TEXT.replace("c232ab00-9414-41ec-b3c8-9f6bdeced846", CP_2)).await, "");
    assert!(!bench.lists(CP_2));
}

#[tokio::test]
async fn a_panic_while_the_file_is_read_is_told_without_what_it_may_quote() {
    let mut bench = Bench::new();
    let secret = std::hint::black_box("hunter2");
    let load: Load = Box::new(move || panic!("not a number: {secret}"));
    bench.reload.origin = Arc::new(Origin { load, levels: Levels::default() });
    let refused = bench.reload.reload().await.expect_err("it panicked");
    let told = format!("{} {}", chain(&refused), refused.in_short());
    assert!(!told.contains("hunter2"), "{told}");
    bench.reload(TEXT).await;
}
