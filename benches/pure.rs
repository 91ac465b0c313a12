//! What the pure parts of a call cost, and how that grows: `cargo bench -p nightlatch-benches`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be prepared has failed")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use nightlatch::audit::log::{Log, Sink};
use nightlatch::audit::record::Reason;
use nightlatch::audit::tail::Tail;
use nightlatch::clock::{Clock, HostClock, WallTime};
use nightlatch::config::Config;
use nightlatch::key::danger_offline;
use nightlatch::peer::Origin;
use nightlatch::peer::standing::{GrantAhead, KeptVote, Standing};
use nightlatch::request::NodeUuid;
use nightlatch::state::Store;
use nightlatch_benches::{Judged, Steps, configuration, key, line, released, uuid};
use uuid::Uuid;

/// One call, step by step, as the pipeline makes it.
fn call(criterion: &mut Criterion) {
    let steps = Steps::new().expect("random numbers");
    let data = steps.data();
    let request = || Steps::parse(data.clone()).expect("a request");
    let admitted = || steps.admit(request()).expect("admitted");
    let approved = || steps.approve(admitted()).expect("approved");
    let mut group = criterion.benchmark_group("call");
    let size = BatchSize::NumIterations(48);
    group.bench_function("parse", |bencher| bencher.iter_batched(|| data.clone(), Steps::parse, size));
    group.bench_function("admit", |bencher| bencher.iter_batched(request, |request| steps.admit(request), size));
    group.bench_function("approve", |bencher| bencher.iter_batched(admitted, |admitted| steps.approve(admitted), size));
    let one = approved();
    group.bench_function("derive", |bencher| bencher.iter(|| steps.derive(black_box(&one))));
    let keyed = || {
        let approved = approved();
        let keks = steps.derive(&approved).expect("keys");
        (approved, keks)
    };
    group.bench_function("perform", |bencher| {
        bencher.iter_batched(keyed, |(approved, keks)| Steps::perform(approved, keks), size);
    });
    group.finish();
}

/// The order of judgement, with much and with little to look through.
fn judge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("judge");
    let now = HostClock.now();
    for (name, others, granted) in [
        ("nothing open", 0, false),
        ("asks", 2000, false),
        ("grants", 0, true),
        ("grants", 100, true),
        ("grants", 2000, true),
    ] {
        let mut judged = Judged::new(others, granted).expect("a ledger");
        group.bench_function(BenchmarkId::new(name, others), |bencher| bencher.iter(|| judged.judge(black_box(now))));
    }
    group.finish();
}

/// Sealing, opening, and what both derive.
fn envelope(criterion: &mut Criterion) {
    let steps = Steps::new().expect("random numbers");
    let mut group = criterion.benchmark_group("envelope");
    group.bench_function("open", |bencher| bencher.iter(|| steps.open()));
    group.bench_function("seal, and open again", |bencher| bencher.iter(|| steps.seal()));
    let key = key(1);
    let node = NodeUuid::parse(&uuid(0)).expect("printable");
    group.bench_function("three derivations", |bencher| {
        bencher.iter(|| danger_offline::keks(black_box(&key), &node, &[]));
    });
    group.finish();
}

/// A sink that keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn append(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn spare(&mut self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn length(&self) -> u64 {
        0
    }
}

/// What is written down.
fn audit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("audit");
    let entry = released().expect("an entry");
    group.bench_function("line of a release", |bencher| bencher.iter(|| line(black_box(&entry))));
    let tail = Tail { next_seq: 1, cut: 0, repaired: None };
    let log = Log::new(Nowhere, tail, std::sync::Arc::new(HostClock));
    let node = NodeUuid::parse(&uuid(0)).expect("printable");
    group.bench_function("refusal, summed up", |bencher| {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        bencher.iter(|| log.refused(black_box(address), Some(&node), Reason::TooManyCalls, ()).into_inner());
    });
    group.finish();
}

/// What a start reads.
fn config(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("config");
    group.sample_size(10);
    for nodes in [8, 4096] {
        let text = configuration(nodes);
        group.bench_function(BenchmarkId::new("nodes", nodes), |bencher| {
            bencher.iter(|| Config::parse(black_box(&text), "nightlatch.toml"));
        });
    }
    group.finish();
}

/// What each use of an approval ahead saves before its key leaves: the state with all approvals ahead in it.
fn save(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut group = criterion.benchmark_group("save");
    for grants in [1_usize, 2000] {
        let path = directory.path().join(grants.to_string());
        let (mut store, _) = Store::create(&path, Uuid::from_u128(1)).expect("a new state");
        let standing = Standing { grants: (0..grants).map(ahead).collect(), ..Standing::default() };
        group.bench_function(BenchmarkId::new("approvals ahead", grants), |bencher| {
            bencher.iter(|| store.save(black_box(&standing)).expect("the disk works"));
        });
    }
    group.finish();
}

fn ahead(number: usize) -> GrantAhead {
    let by = KeptVote { approver: "alice".into(), channel: "cli".into(), uid: Some(1000), telegram_id: Some(101) };
    GrantAhead {
        id: (number as u128).to_be_bytes(),
        code: 1,
        node: NodeUuid::parse(&uuid(number)).expect("printable"),
        entry: [2; 16],
        origin: Origin::Listed,
        votes: vec![by],
        at: WallTime::from_unix_millis(1_795_419_608_123),
        until: WallTime::from_unix_millis(1_795_423_208_123),
        uses_left: 8,
    }
}

criterion_group!(pure, call, judge, envelope, audit, config, save);
criterion_main!(pure);
