use std::collections::VecDeque;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::time::Duration;

use proptest::prelude::*;

use super::super::record::{Dropped, MAX_LINE_LEN, Refused, StateSaved};
use super::*;
use crate::clock::Moment;

/// What goes wrong at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing does.
    None,
    /// Half of the bytes are written.
    Short,
    /// Nothing is written: no space.
    NoSpace,
    /// What was appended is lost, as when the kernel gives up on its pages.
    SyncLost,
    /// What was appended is on the disk all the same.
    SyncKept,
    /// It cannot be cut.
    Truncate,
    /// The thread panics.
    Panic,
}

#[derive(Default)]
struct Disk {
    written: Vec<u8>,
    synced: Vec<u8>,
    /// For the next calls of append, sync and truncate, in this order; none when it is empty.
    faults: VecDeque<Fault>,
    syncs: usize,
    no_spare: bool,
    /// The next sync tells that it began, and waits to be let through.
    gate: Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>,
}

#[derive(Clone, Default)]
struct FakeSink(Arc<Mutex<Disk>>);

impl FakeSink {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.0)
    }

    fn fails(&self, faults: &[Fault]) {
        self.disk().faults = faults.iter().copied().collect();
    }

    /// Holds up the next sync: receives when it begins, and sends to let it through.
    fn hold_next_sync(&self) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (began, has_begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        self.disk().gate = Some((began, may_go));
        (has_begun, go)
    }

    /// The records in the file, as the kernel shows it.
    fn records(&self) -> Vec<Record> {
        records(&self.disk().written)
    }
}

fn records(bytes: &[u8]) -> Vec<Record> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(|line| Record::parse(line).expect("a record")).collect()
}

impl Sink for FakeSink {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        match disk.faults.pop_front() {
            Some(Fault::Short) => {
                disk.written.extend(&bytes[..bytes.len() / 2]);
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(Fault::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Panic) => panic!("a panic that the test put there"),
            _ => {
                disk.written.extend(bytes);
                Ok(())
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let gate = self.disk().gate.take();
        if let Some((began, go)) = gate {
            began.send(()).expect("the test listens");
            go.recv().expect("the test lets it through");
        }
        let mut disk = self.disk();
        disk.syncs += 1;
        match disk.faults.pop_front() {
            Some(Fault::SyncLost) => Err(io::Error::other("EIO")),
            Some(Fault::SyncKept) => {
                disk.synced = disk.written.clone();
                Err(io::Error::other("EIO"))
            }
            _ => {
                disk.synced = disk.written.clone();
                Ok(())
            }
        }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.faults.pop_front() == Some(Fault::Truncate) {
            return Err(io::Error::other("EROFS"));
        }
        disk.written.truncate(usize::try_from(length).expect("small"));
        Ok(())
    }

    fn spare(&mut self, _: u64) -> io::Result<()> {
        if self.disk().no_spare { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn length(&self) -> u64 {
        self.disk().written.len() as u64
    }
}

#[derive(Default)]
struct FakeClock(Mutex<u64>);

impl FakeClock {
    fn set(&self, seconds: u64) {
        *lock(&self.0) = seconds;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Now {
        let seconds = *lock(&self.0);
        let wall = WallTime::from_unix_millis(i64::try_from(seconds).expect("small") * 1000);
        Now { moment: Moment::since_boot(Duration::from_secs(seconds)), wall }
    }
}

fn log() -> (Log, FakeSink, Arc<FakeClock>) {
    let (sink, clock) = (FakeSink::default(), Arc::new(FakeClock::default()));
    (Log::new(sink.clone(), Tail::empty(), clock.clone()), sink, clock)
}

fn saved(generation: u64) -> Entry {
    StateSaved { generation }.into()
}

/// Generations that are in the file, and that its numbers have no gap.
fn generations(records: &[Record]) -> Vec<u64> {
    let seqs: Vec<u64> = records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    records
        .iter()
        .filter_map(|record| match record.entry {
            Entry::StateSaved(StateSaved { generation }) => Some(generation),
            _ => None,
        })
        .collect()
}

type Answered = oneshot::Receiver<Result<(), Unrecorded>>;

/// Hands in a record, and does not wait.
fn begin(log: &Log, generation: u64) -> Answered {
    log.enqueue(vec![saved(generation)], Kind::Synced).expect("there is room")
}

/// Counts a refusal.
fn refuse(log: &Log) {
    log.refused(address("192.0.2.1"), None, Reason::Network, ()).into_inner();
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[tokio::test(start_paused = true)]
async fn recorded_is_synced() {
    let (log, sink, clock) = log();
    clock.set(12);
    let recorded = log.record(StateSaved { generation: 1 }, "answer").await.expect("the disk works");
    assert_eq!(*recorded.get(), "answer");
    assert_eq!(recorded.into_inner(), "answer");
    let on_disk = records(&sink.disk().synced);
    assert_eq!(generations(&on_disk), [1]);
    assert_eq!(on_disk[0].time, clock.now().wall);
    log.write(&[saved(2), saved(3)]).await.expect("the disk works");
    assert_eq!(generations(&records(&sink.disk().synced)), [1, 2, 3]);
    assert_eq!(sink.disk().syncs, 2);
}

#[tokio::test(start_paused = true)]
async fn time_out_does_not_strike_while_the_disk_works() {
    let (log, sink, _) = log();
    let (has_begun, go) = sink.hold_next_sync();
    let helper = std::thread::spawn(move || {
        has_begun.recv().expect("the sync begins");
        go.send(()).expect("the sync waits");
    });
    let written = tokio::time::timeout(Duration::from_secs(1), log.write(&[saved(1)])).await;
    assert!(matches!(written, Ok(Ok(()))), "{written:?}");
    helper.join().expect("no panic");
}

/// A journal that reads nothing: tells that an event came, and waits until the test ends.
struct HangingJournal {
    began: mpsc::Sender<()>,
    go: Mutex<mpsc::Receiver<()>>,
}

impl tracing::Subscriber for HangingJournal {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == journal::TARGET
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.began.send(()).expect("the test listens");
        // An error means that the test is over.
        let _go = lock(&self.go).recv();
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn nobody_waits_for_the_journal() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let (log, sink, _) = log();
    let (fault, none) = (&[Fault::NoSpace][..], &[][..]);
    for (faults, kind, written) in
        [(none, Kind::Synced, true), (fault, Kind::Synced, false), (none, Kind::Refusals, true)]
    {
        sink.fails(faults);
        // This test is the task that writes: it has to know the thread that meets the journal.
        lock(&log.shared.queue).flushing = true;
        let answer = log.enqueue(vec![saved(1)], kind).expect("there is room");
        let flusher = Flusher::new(Arc::clone(&log.shared));
        let ((began, has_begun), (go, may_go)) = (mpsc::channel(), mpsc::channel());
        let journal = HangingJournal { began, go: may_go.into() };
        let handle = runtime.handle().clone();
        let writer = std::thread::spawn(move || {
            let _runtime = handle.enter();
            tracing::subscriber::with_default(journal, || flusher.run());
        });
        has_begun.recv().expect("the journal is told");
        // The paused clock strikes at once when nobody is left to answer.
        let answer = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(1), answer).await });
        assert_eq!(answer.expect("the answer came first").expect("an answer").is_ok(), written);
        drop(lock(&log.shared.writer));
        drop(go);
        writer.join().expect("no panic");
    }
}

/// Waits for the sync that [`FakeSink::hold_next_sync`] holds.
async fn begins(has_begun: mpsc::Receiver<()>) {
    let waited = tokio::task::spawn_blocking(move || has_begun.recv()).await;
    waited.expect("no panic").expect("the sync begins");
}

/// As the calls of many connections do: each is read when the one before has begun.
#[tokio::test(start_paused = true)]
async fn those_who_can_come_at_once_share_the_first_sync() {
    fn chain(log: Log, generation: u64, answers: tokio::sync::mpsc::UnboundedSender<Answered>) {
        answers.send(begin(&log, generation)).expect("the test listens");
        if generation < 32 {
            tokio::spawn(async move { chain(log, generation + 1, answers) });
        }
    }
    let (log, sink, _) = log();
    // So that the thread which writes is there, and as fast as it can be.
    tokio::task::spawn_blocking(|| ()).await.expect("no panic");
    let (answers, mut begun) = tokio::sync::mpsc::unbounded_channel();
    chain(log, 1, answers);
    while let Some(answer) = begun.recv().await {
        answer.await.expect("an answer").expect("the disk works");
    }
    assert_eq!(sink.disk().syncs, 1);
    assert_eq!(generations(&sink.records()), (1..=32).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_share_one_sync() {
    let (log, sink, _) = log();
    let (has_begun, go) = sink.hold_next_sync();
    let first = begin(&log, 0);
    begins(has_begun).await;
    let others: Vec<_> = (1..=10).map(|generation| begin(&log, generation)).collect();
    go.send(()).expect("the first sync waits");
    for answer in std::iter::once(first).chain(others) {
        answer.await.expect("an answer").expect("the disk works");
    }
    assert_eq!(sink.disk().syncs, 2);
    assert_eq!(generations(&sink.records()), (0..=10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn dropped_caller_drops_no_record() {
    let (log, sink, _) = log();
    let (has_begun, go) = sink.hold_next_sync();
    let (one, two) = ([saved(1)], [saved(2)]);
    let mut context = Context::from_waker(Waker::noop());
    let mut during_the_sync = Box::pin(log.write(&one));
    assert!(during_the_sync.as_mut().poll(&mut context).is_pending());
    begins(has_begun).await;
    let mut before_the_write = Box::pin(log.write(&two));
    assert!(before_the_write.as_mut().poll(&mut context).is_pending());
    drop((during_the_sync, before_the_write));
    go.send(()).expect("the first sync waits");
    log.write(&[saved(3)]).await.expect("the disk works");
    assert_eq!(generations(&records(&sink.disk().synced)), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn failed_write_is_cut_off_before_the_next() {
    for fault in
        [&[Fault::Short][..], &[Fault::NoSpace], &[Fault::None, Fault::SyncLost], &[Fault::None, Fault::SyncKept]]
    {
        let (log, sink, _) = log();
        log.write(&[saved(1)]).await.expect("the disk works");
        sink.fails(fault);
        let failed = log.write(&[saved(2)]).await;
        assert!(matches!(failed, Err(Unrecorded::Storage(_))), "{fault:?}: {failed:?}");
        log.write(&[saved(3)]).await.expect("the disk works again");
        assert_eq!(generations(&records(&sink.disk().synced)), [1, 3], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_shared_a_failed_sync_are_refused() {
    let (log, sink, _) = log();
    let (has_begun, go) = sink.hold_next_sync();
    let first = begin(&log, 0);
    begins(has_begun).await;
    let others: Vec<_> = (1..=3).map(|generation| begin(&log, generation)).collect();
    sink.fails(&[Fault::None, Fault::None, Fault::SyncLost]);
    go.send(()).expect("the first sync waits");
    first.await.expect("an answer").expect("its sync worked");
    for answer in others {
        answer.await.expect("an answer").expect_err("its sync failed");
    }
}

#[tokio::test(start_paused = true)]
async fn while_it_cannot_be_repaired_everything_is_refused() {
    let (log, sink, _) = log();
    log.write(&[saved(1)]).await.expect("the disk works");
    sink.fails(&[Fault::Short, Fault::Truncate, Fault::Truncate, Fault::None, Fault::SyncLost]);
    for generation in 2..=5 {
        log.write(&[saved(generation)]).await.expect_err("the disk is broken");
    }
    log.write(&[saved(6)]).await.expect("the disk works again");
    assert_eq!(generations(&records(&sink.disk().synced)), [1, 6]);
}

#[tokio::test(start_paused = true)]
async fn panic_of_the_writer_refuses_and_is_repaired() {
    let (log, sink, _) = log();
    log.write(&[saved(1)]).await.expect("the disk works");
    sink.fails(&[Fault::Panic]);
    assert!(matches!(log.write(&[saved(2)]).await, Err(Unrecorded::Closed)));
    log.write(&[saved(3)]).await.expect("the disk works again");
    assert_eq!(generations(&sink.records()), [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_writer_that_is_gone() {
    let (log, sink, _) = log();
    let (has_begun, go) = sink.hold_next_sync();
    let first = begin(&log, 1);
    begins(has_begun).await;
    let second = begin(&log, 2);
    // The sync that waits for it panics.
    drop(go);
    first.await.expect_err("its writer is gone");
    // The paused clock strikes at once when nobody is left to answer.
    let second = tokio::time::timeout(Duration::from_secs(1), second).await.expect("it is not left waiting");
    second.expect_err("its writer is gone");
    log.write(&[saved(3)]).await.expect("a new writer comes");
    assert_eq!(generations(&sink.records()), [3]);
}

#[tokio::test(start_paused = true)]
async fn numbers_go_on_where_the_tail_ends_and_end_at_the_last() {
    let (sink, clock) = (FakeSink::default(), Arc::new(FakeClock::default()));
    let tail = Tail { next_seq: MAX_SEQ, cut: 0, repaired: None };
    let log = Log::new(sink.clone(), tail, clock);
    assert!(matches!(log.write(&[saved(1), saved(2)]).await, Err(Unrecorded::Full)));
    log.write(&[saved(3)]).await.expect("one number is left");
    assert_eq!(sink.records()[0].seq, MAX_SEQ);
    assert!(matches!(log.write(&[saved(4)]).await, Err(Unrecorded::Full)));
}

#[tokio::test(start_paused = true)]
async fn repair_at_opening_is_the_first_record() {
    let (sink, clock) = (FakeSink::default(), Arc::new(FakeClock::default()));
    let tail = Tail::read(b"{\"seq\":1", true).expect("whole");
    let log = Log::new(sink.clone(), tail, clock);
    log.write(&[saved(1)]).await.expect("the disk works");
    let records = sink.records();
    assert!(matches!(&records[0].entry, Entry::Repaired(repaired) if repaired.cut_bytes == 8));
    assert_eq!(generations(&records), [1]);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_summed_up_once_a_minute_and_not_synced() {
    let (log, sink, clock) = log();
    for seconds in [100, 101, 102] {
        clock.set(seconds);
        assert_eq!(log.refused(address("::ffff:192.0.2.1"), None, Reason::Network, 5).into_inner(), 5);
    }
    log.flush_refusals(clock.now()).await;
    let records = sink.records();
    assert!(
        matches!(&records[0].entry, Entry::Refused(Refused { address: from, count: 3, .. }) if *from == address("192.0.2.1"))
    );
    assert_eq!((records.len(), sink.disk().syncs), (1, 0));
    refuse(&log);
    clock.set(161);
    log.flush_refusals(clock.now()).await;
    assert_eq!(sink.records().len(), 1);
    clock.set(162);
    log.flush_refusals(clock.now()).await;
    assert_eq!(sink.records().len(), 2);
    refuse(&log);
    log.stop(Stopped { reason: "idle".into() }).await.expect("the disk works");
    let records = sink.records();
    assert!(matches!(
        &records[2..],
        [Record { entry: Entry::Refused(_), .. }, Record { entry: Entry::Stopped(_), .. }]
    ));
    assert!(generations(&records).is_empty());
}

#[tokio::test(start_paused = true)]
async fn writes_that_failed_are_counted() {
    let (log, sink, clock) = log();
    log.write(&[saved(1)]).await.expect("the disk works");
    assert_eq!(log.failed_writes(), 0);
    sink.fails(&[Fault::NoSpace]);
    log.write(&[saved(2)]).await.expect_err("no space");
    assert_eq!(log.failed_writes(), 1, "before anybody hears of it");
    sink.disk().no_spare = true;
    refuse(&log);
    log.flush_refusals(clock.now()).await;
    assert_eq!(log.failed_writes(), 2, "the first sign of a disk that fills up");
}

#[tokio::test(start_paused = true)]
async fn junk_takes_no_space_from_releases() {
    let (log, sink, clock) = log();
    sink.disk().no_spare = true;
    for _ in 0..5 {
        refuse(&log);
    }
    log.flush_refusals(clock.now()).await;
    assert_eq!(sink.disk().written, b"");
    log.write(&[saved(1)]).await.expect("releases use the reserve");
    sink.disk().no_spare = false;
    clock.set(60);
    log.flush_refusals(clock.now()).await;
    assert!(matches!(sink.records()[1].entry, Entry::Dropped(Dropped { count: 5, .. })));
}

#[tokio::test(start_paused = true)]
async fn refusals_that_a_failed_sync_took_along_are_told_as_dropped() {
    let (log, sink, clock) = log();
    refuse(&log);
    log.flush_refusals(clock.now()).await;
    assert_eq!(sink.records().len(), 1);
    sink.fails(&[Fault::None, Fault::SyncLost]);
    log.write(&[saved(1)]).await.expect_err("the disk is broken");
    clock.set(60);
    log.flush_refusals(clock.now()).await;
    let records = sink.records();
    assert!(matches!(records[..], [Record { seq: 1, entry: Entry::Dropped(Dropped { count: 1, .. }), .. }]));
}

#[tokio::test(start_paused = true)]
async fn too_many_who_wait_are_refused() {
    let (log, sink, _) = log();
    let (has_begun, go) = sink.hold_next_sync();
    let first = begin(&log, 0);
    begins(has_begun).await;
    let others: Vec<_> = (0..MAX_WAITING).map(|_| begin(&log, 1)).collect();
    assert!(matches!(log.write(&[saved(2)]).await, Err(Unrecorded::Busy)));
    go.send(()).expect("the first sync waits");
    for answer in std::iter::once(first).chain(others) {
        answer.await.expect("an answer").expect("the disk works");
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::Short),
        1 => Just(Fault::NoSpace),
        1 => Just(Fault::SyncLost),
        1 => Just(Fault::SyncKept),
        1 => Just(Fault::Truncate),
        1 => Just(Fault::Panic),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the disk does and wherever a crash hits: what was acknowledged is there, in order, and numbering can
    /// go on.
    #[test]
    fn acknowledged_records_outlive_everything(
        faults in proptest::collection::vec(fault(), 0..40),
        refusals in proptest::collection::vec(any::<bool>(), 20),
        torn in 0..=MAX_LINE_LEN,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (log, sink, clock) = log();
        sink.fails(&faults);
        let mut acknowledged = vec![];
        runtime.block_on(async {
            for (generation, refuses) in (0..).zip(&refusals) {
                clock.set(generation * 61);
                if *refuses {
                    refuse(&log);
                    log.flush_refusals(clock.now()).await;
                }
                if log.write(&[saved(generation)]).await.is_ok() {
                    acknowledged.push(generation);
                }
            }
        });
        // The crash: what was synced last is there, and any part of what was appended since.
        let disk = sink.disk();
        let mut found = disk.synced.clone();
        if disk.written.starts_with(&disk.synced) {
            let appended = &disk.written[disk.synced.len()..];
            found.extend(&appended[..torn.min(appended.len())]);
        }
        let tail = Tail::read(&found, true).expect("whole");
        let complete = &found[..found.len() - usize::try_from(tail.cut).expect("small")];
        let records = records(complete);
        prop_assert_eq!(tail.next_seq, records.len() as u64 + 1);
        let there = generations(&records);
        prop_assert!(there.is_sorted());
        prop_assert!(acknowledged.iter().all(|generation| there.contains(generation)), "{acknowledged:?} {there:?}");
    }
}
