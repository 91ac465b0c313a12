//! The day the power comes back, in simulated time: every node calls on the schedule of its version, junk calls beside them,
//! and people answer. tests/storm checks what it promises, benches/storm measures it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nightlatch::approval::channel::message;
use nightlatch_approval_api::v1;
use prost::Message as _;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::house::{House, address, blobs, now, uuid};
use crate::node::{self, Boot};
use crate::people::{Habit, People, Seen};

/// What happens.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub clusters: usize,
    /// In each cluster.
    pub nodes: usize,
    /// Of each node.
    pub volumes: usize,
    /// Processes that send junk, each of them five calls in a second.
    pub junk: usize,
    pub habit: Habit,
    /// The most that it takes, in simulated time.
    pub within: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The nodes all of whose volumes are open.
    pub boots: Vec<Boot>,
    pub seen: Seen,
    /// Calls of junk, and those that got a key.
    pub junk_calls: u64,
    pub junk_released: u64,
    /// Releases on record.
    pub released: u64,
    pub audit_len: u64,
    /// The largest snapshot that a channel could have been given, in bytes.
    pub largest_snapshot: usize,
    /// From the first power-on to the last open volume.
    pub lasted: Duration,
}

/// All nodes power on within this time.
const POWER: Duration = Duration::from_secs(60);

/// Numbers that look random, and are the same in each run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}

#[derive(Default)]
struct Junk {
    calls: AtomicU64,
    released: AtomicU64,
}

/// Runs it to its end. Wants a runtime whose time is paused.
pub async fn run(setting: Setting) -> Outcome {
    let house = Arc::new(House::new(setting.clusters, setting.nodes));
    let (began, count) = (now(), setting.clusters * setting.nodes);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let people = People::new(Arc::clone(&house), setting.habit);
    let people = tokio::spawn(people.answer(async move { drop(ended.await) }));
    let junk = Arc::<Junk>::default();
    let mut beside = JoinSet::new();
    for number in 0..setting.junk {
        beside.spawn(send_junk(Arc::clone(&house), Arc::clone(&junk), number, count));
    }
    beside.spawn(tick(Arc::clone(&house)));
    let largest = Arc::new(AtomicU64::new(0));
    beside.spawn(measure_snapshots(Arc::clone(&house), Arc::clone(&largest)));

    let (mut dice, mut nodes) = (Dice(1), JoinSet::new());
    for number in 0..count {
        let (house, volumes) = (Arc::clone(&house), blobs(number, setting.volumes));
        let after = Duration::from_millis(dice.below(u64::try_from(POWER.as_millis()).unwrap_or(u64::MAX)));
        nodes.spawn(async move {
            sleep(after).await;
            node::boot(house, number, &volumes).await
        });
    }
    let mut boots = vec![];
    let all = async {
        while let Some(boot) = nodes.join_next().await {
            boots.push(boot.expect("no panic"));
        }
    };
    let _in_time = timeout(setting.within, all).await;
    let lasted = now() - began;
    beside.shutdown().await;
    drop(end);
    Outcome {
        boots,
        seen: people.await.expect("no panic"),
        junk_calls: junk.calls.load(Ordering::Relaxed),
        junk_released: junk.released.load(Ordering::Relaxed),
        released: house.released(),
        audit_len: house.audit_len(),
        largest_snapshot: usize::try_from(largest.load(Ordering::Relaxed)).unwrap_or(usize::MAX),
        lasted,
    }
}

async fn tick(house: Arc<House>) {
    loop {
        sleep(Duration::from_secs(1)).await;
        house.gate.tick().await.expect("recorded");
    }
}

/// One that sends junk: a third of them names nodes that are not listed, a third listed ones from a wrong address, each
/// from a new address with each call; and a third is one address that asks for a listed node as fast as it can.
async fn send_junk(house: Arc<House>, junk: Arc<Junk>, number: usize, count: usize) {
    let mut dice = Dice(1_000 + number as u64);
    let blob = vec![7; 202];
    loop {
        sleep(Duration::from_millis(100 + dice.below(200))).await;
        let [.., high, low] = dice.below(65_536).to_be_bytes();
        let listed = usize::try_from(dice.below(count as u64)).unwrap_or_default();
        let (claim, from) = match number % 3 {
            0 => (uuid(1_000_000 + listed), IpAddr::from([10, 77, high, low])),
            1 => (uuid(listed), IpAddr::from([10, 77, high, low])),
            _ => (uuid(number % count), IpAddr::from([10, 78, 0, 1])),
        };
        debug_assert_ne!(from, address(listed), "junk comes from elsewhere");
        junk.calls.fetch_add(1, Ordering::Relaxed);
        if house.unseal(&claim, from, &blob).await.is_ok() {
            junk.released.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Looks now and then how long the snapshot is that a channel would be given.
async fn measure_snapshots(house: Arc<House>, largest: Arc<AtomicU64>) {
    loop {
        sleep(Duration::from_secs(5)).await;
        let Some(told) = house.gate.subscribe("a look") else { continue };
        let lists = house.admission.lists();
        let snapshot = v1::Snapshot {
            asks: told.asks.iter().map(message::ask).collect(),
            grants: told.grants.iter().map(message::grant).collect(),
            closed: told.closed.iter().map(message::closed).collect(),
            nodes: message::nodes(&lists, &told.approvals),
            ..v1::Snapshot::default()
        };
        largest.fetch_max(snapshot.encoded_len() as u64, Ordering::Relaxed);
    }
}
