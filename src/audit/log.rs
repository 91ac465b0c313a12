//! The log: who is told that something was recorded, and the only file that can make a [`Recorded`].
//!
//! Callers hand in records and wait. One task writes for all of them, with one sync for all that wait at the same time,
//! and goes on when a caller is gone: a dropped call drops no record.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::journal;
use super::record::{Entry, MAX_SEQ, Reason, Record, Stopped};
use super::refusals::Refusals;
use super::tail::Tail;
use crate::clock::{Clock, Now, WallTime};
use crate::request::NodeUuid;

/// Most writes that wait at a time. Past them callers are refused: memory stays bounded when the disk hangs.
pub const MAX_WAITING: usize = 1024;

/// Where the lines go: a file, or a test.
pub trait Sink: Send {
    /// Puts `bytes` at the end. After an error any part of them may be there.
    ///
    /// # Errors
    /// When not all of them could be written, or when something else changed what was written before.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when all that was appended is on the disk.
    ///
    /// # Errors
    /// When it is not known to be.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts off everything past `length` bytes.
    ///
    /// # Errors
    /// When it could not, or when there are fewer.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Whether `bytes` can be appended without touching the space that is reserved for releases.
    ///
    /// # Errors
    /// When they cannot.
    fn spare(&mut self, bytes: u64) -> io::Result<()>;

    /// Bytes that are in it.
    fn length(&self) -> u64;
}

/// Proof that what led to this answer is recorded. Only this file can make one.
#[derive(Debug)]
#[must_use]
pub struct Recorded<T>(T);

impl<T> Recorded<T> {
    /// The answer.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The answer.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// A record could not be made, so that what it is about must not happen. Whether a trace of it is in the log is open.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unrecorded {
    /// More than [`MAX_WAITING`] writes wait.
    #[error("too many records wait to be written")]
    Busy,
    /// The writer ended before it came to this record.
    #[error("the audit log was closed before the record was written")]
    Closed,
    /// The numbers are used up.
    #[error("the audit log has no numbers left: move it aside, so that a new one is begun")]
    Full,
    /// A record could not be put into words: a bug.
    #[error("a record could not be encoded")]
    Encode(#[source] Arc<serde_json::Error>),
    /// The disk said no.
    #[error("the audit log could not be written")]
    Storage(#[source] Arc<io::Error>),
}

/// The log. Cheap to clone; all clones write to the same.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
    writer: Mutex<Writer>,
    refusals: Mutex<Refusals>,
    failed: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether a task runs that will look at `waiting` again before it ends.
    flushing: bool,
}

struct Waiting {
    at: WallTime,
    entries: Vec<Entry>,
    kind: Kind,
    answer: oneshot::Sender<Result<(), Unrecorded>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Synced,
    Refusals,
}

/// What is known to be on the disk.
#[derive(Clone, Copy)]
struct Position {
    length: u64,
    next_seq: u64,
}

struct Writer {
    sink: Box<dyn Sink>,
    /// The end of what was synced last.
    synced: Position,
    /// The number of the next record.
    next_seq: u64,
    /// Refusals that were written and not synced yet.
    unsynced: Vec<Entry>,
    /// Something after `synced` may be half written.
    torn: bool,
}

impl Log {
    /// A log that goes on in `sink` after `tail`. When `tail` was repaired, the first write tells of it.
    #[must_use]
    pub fn new(sink: impl Sink + 'static, tail: Tail, clock: Arc<dyn Clock>) -> Self {
        let synced = Position { length: sink.length(), next_seq: tail.next_seq };
        let sink = Box::new(sink);
        let writer = Writer { sink, synced, next_seq: tail.next_seq, unsynced: vec![], torn: false };
        let mut queue = Queue::default();
        if let Some(repaired) = tail.repaired {
            // Nobody waits for it: when it fails, so does the write that made it start.
            let (answer, _) = oneshot::channel();
            queue.waiting.push(Waiting {
                at: clock.now().wall,
                entries: vec![repaired.into()],
                kind: Kind::Synced,
                answer,
            });
        }
        let shared = Shared {
            clock,
            queue: queue.into(),
            writer: writer.into(),
            refusals: Mutex::default(),
            failed: AtomicU64::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Records `entries`, in this order and next to each other. Returns when they are on the disk.
    ///
    /// Once it was polled, the records are written even when the future is dropped.
    ///
    /// # Errors
    /// [`Unrecorded`]: nothing that follows from them may happen.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn write(&self, entries: &[Entry]) -> Result<(), Unrecorded> {
        self.write_all(entries.to_vec()).await
    }

    async fn write_all(&self, entries: Vec<Entry>) -> Result<(), Unrecorded> {
        self.enqueue(entries, Kind::Synced)?.await.unwrap_or(Err(Unrecorded::Closed))
    }

    /// Records `entry`, which `answer` follows from.
    ///
    /// # Errors
    /// [`Unrecorded`]; the answer is dropped.
    pub async fn record<T>(&self, entry: impl Into<Entry>, answer: T) -> Result<Recorded<T>, Unrecorded> {
        self.write_all(vec![entry.into()]).await?;
        Ok(Recorded(answer))
    }

    /// Counts a call that gets nothing but `answer`, a refusal. It is written with the next
    /// [`Self::flush_refusals`], and not synced.
    pub fn refused<T>(&self, address: IpAddr, node: Option<&NodeUuid>, reason: Reason, answer: T) -> Recorded<T> {
        let now = self.shared.clock.now().wall;
        lock(&self.shared.refusals).count(now, address.to_canonical(), node, reason);
        Recorded(answer)
    }

    /// Writes the refusals that were counted, at most once a minute: to be called now and then. What cannot be written
    /// is told as a `dropped` record later.
    pub async fn flush_refusals(&self, now: Now) {
        let entries = lock(&self.shared.refusals).take_due(now);
        self.write_refusals(entries).await;
    }

    /// Writes the refusals that were counted, and that the server stops. Returns when that is on the disk.
    ///
    /// # Errors
    /// [`Unrecorded`]; the server stops all the same.
    pub async fn stop(&self, stopped: Stopped) -> Result<(), Unrecorded> {
        let entries = lock(&self.shared.refusals).take();
        self.write_refusals(entries).await;
        self.write(&[stopped.into()]).await
    }

    /// Writes that failed so far. One may be for many records.
    #[must_use]
    pub fn failed_writes(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    async fn write_refusals(&self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        match self.enqueue(entries.clone(), Kind::Refusals) {
            // The writer counts what it could not write.
            Ok(written) => drop(written.await),
            Err(_) => lock(&self.shared.refusals).lost(entries),
        }
    }

    fn enqueue(
        &self,
        entries: Vec<Entry>,
        kind: Kind,
    ) -> Result<oneshot::Receiver<Result<(), Unrecorded>>, Unrecorded> {
        let (answer, receiver) = oneshot::channel();
        let start = {
            let mut queue = lock(&self.shared.queue);
            if queue.waiting.len() >= MAX_WAITING {
                return Err(Unrecorded::Busy);
            }
            // Under the lock, so that times grow with the numbers.
            let at = self.shared.clock.now().wall;
            queue.waiting.push(Waiting { at, entries, kind, answer });
            !std::mem::replace(&mut queue.flushing, true)
        };
        if start {
            let flusher = Flusher::new(Arc::clone(&self.shared));
            // Not before those had their turn that can hand in a record now: one sync is for all of them.
            drop(tokio::spawn(async move {
                tokio::task::yield_now().await;
                drop(tokio::task::spawn_blocking(move || flusher.run()));
            }));
        }
        Ok(receiver)
    }
}

/// The task that writes for everybody who waits.
struct Flusher {
    shared: Arc<Shared>,
    /// What it works on, held here so that in a panic those who wait learn of it after `drop` has made room for a new
    /// task.
    synced: Vec<Waiting>,
    refusals: Vec<Waiting>,
    done: bool,
}

impl Flusher {
    const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, synced: vec![], refusals: vec![], done: false }
    }

    fn run(mut self) {
        while self.take_waiting() {
            // The journal comes last: nobody waits for it, whatever it does.
            self.write_all().iter().for_each(copy);
        }
    }

    /// Writes what was taken over, and tells those who wait.
    fn write_all(&mut self) -> Vec<Result<Vec<Record>, Unrecorded>> {
        let mut writer = lock(&self.shared.writer);
        let mut written = vec![];
        if !self.synced.is_empty() {
            let (records, lost) = writer.write_synced(&self.synced);
            lock(&self.shared.refusals).lost(lost);
            self.count(&records);
            tell(std::mem::take(&mut self.synced), records.as_ref().err().cloned());
            written.push(records);
        }
        for waiting in &self.refusals {
            let (records, lost) = writer.write_refusals(waiting);
            lock(&self.shared.refusals).lost(lost);
            self.count(&records);
            written.push(records);
        }
        // The refusals themselves are counted as dropped when they were not written.
        tell(std::mem::take(&mut self.refusals), None);
        written
    }

    /// Before those who wait are told.
    fn count(&self, written: &Result<Vec<Record>, Unrecorded>) {
        self.shared.failed.fetch_add(written.is_err().into(), Ordering::Relaxed);
    }

    /// Takes over all that wait. When nothing does, this task has ended.
    fn take_waiting(&mut self) -> bool {
        let mut queue = lock(&self.shared.queue);
        if queue.waiting.is_empty() {
            queue.flushing = false;
            self.done = true;
            return false;
        }
        let waiting = std::mem::take(&mut queue.waiting).into_iter();
        (self.synced, self.refusals) = waiting.partition(|waiting| waiting.kind == Kind::Synced);
        true
    }
}

/// When the task panicked, or the runtime never ran it, nobody may wait for it: dropping what waits refuses it.
impl Drop for Flusher {
    fn drop(&mut self) {
        if !self.done {
            let mut queue = lock(&self.shared.queue);
            queue.flushing = false;
            queue.waiting.clear();
        }
    }
}

/// Tells those who wait, in a task of the runtime: that wakes its thread once for all of them, and not once for each.
fn tell(batch: Vec<Waiting>, failed: Option<Unrecorded>) {
    drop(tokio::spawn(async move {
        for waiting in batch {
            // An error means that the caller is gone. The record is not.
            drop(waiting.answer.send(failed.clone().map_or(Ok(()), Err)));
        }
    }));
}

fn copy(written: &Result<Vec<Record>, Unrecorded>) {
    match written {
        Ok(records) => records.iter().for_each(journal::copy),
        Err(error) => journal::failed(error),
    }
}

impl Writer {
    /// Writes and syncs `batch`. Also returns the refusals that are cut off because it failed, or before.
    fn write_synced(&mut self, batch: &[Waiting]) -> (Result<Vec<Record>, Unrecorded>, Vec<Entry>) {
        let written = self.try_write_synced(batch);
        if written.is_ok() {
            self.unsynced.clear();
        }
        let lost = if self.torn { std::mem::take(&mut self.unsynced) } else { vec![] };
        (written, lost)
    }

    fn try_write_synced(&mut self, batch: &[Waiting]) -> Result<Vec<Record>, Unrecorded> {
        self.repair()?;
        let (records, bytes) = self.encode(batch)?;
        // Torn until the end proves otherwise, whichever way this function is left.
        self.torn = true;
        self.sink.append(&bytes).map_err(storage)?;
        self.sink.sync().map_err(storage)?;
        self.torn = false;
        self.next_seq += count(&records);
        self.synced = Position { length: self.sink.length(), next_seq: self.next_seq };
        Ok(records)
    }

    /// Writes refusals where there is room to spare. Also returns those that were lost.
    fn write_refusals(&mut self, waiting: &Waiting) -> (Result<Vec<Record>, Unrecorded>, Vec<Entry>) {
        let written = self.try_write_refusals(waiting);
        let mut lost = vec![];
        if written.is_ok() {
            self.unsynced.extend(waiting.entries.iter().cloned());
        } else {
            lost.extend(waiting.entries.iter().cloned());
        }
        if self.torn {
            lost.append(&mut self.unsynced);
        }
        (written, lost)
    }

    fn try_write_refusals(&mut self, waiting: &Waiting) -> Result<Vec<Record>, Unrecorded> {
        self.repair()?;
        let (records, bytes) = self.encode(std::slice::from_ref(waiting))?;
        self.sink.spare(u64::try_from(bytes.len()).unwrap_or(u64::MAX)).map_err(storage)?;
        self.torn = true;
        self.sink.append(&bytes).map_err(storage)?;
        self.torn = false;
        self.next_seq += count(&records);
        Ok(records)
    }

    /// Goes back to what was synced last. Nothing behind that is trusted once a write or a sync failed: the kernel
    /// marks pages clean that it could not write, and the next sync succeeds without them.
    fn repair(&mut self) -> Result<(), Unrecorded> {
        if self.torn {
            self.sink.truncate(self.synced.length).map_err(storage)?;
            self.sink.sync().map_err(storage)?;
            self.next_seq = self.synced.next_seq;
            self.torn = false;
        }
        Ok(())
    }

    fn encode(&self, batch: &[Waiting]) -> Result<(Vec<Record>, Vec<u8>), Unrecorded> {
        let entries = batch.iter().flat_map(|waiting| waiting.entries.iter().map(move |entry| (waiting.at, entry)));
        let (mut records, mut bytes) = (vec![], vec![]);
        for (seq, (time, entry)) in (self.next_seq..=MAX_SEQ).zip(entries) {
            let record = Record { seq, time, entry: entry.clone() };
            bytes.extend(record.line().map_err(|error| Unrecorded::Encode(Arc::new(error)))?);
            records.push(record);
        }
        if records.len() < batch.iter().map(|waiting| waiting.entries.len()).sum() {
            return Err(Unrecorded::Full);
        }
        Ok((records, bytes))
    }
}

fn count(records: &[Record]) -> u64 {
    u64::try_from(records.len()).unwrap_or(u64::MAX)
}

fn storage(error: io::Error) -> Unrecorded {
    Unrecorded::Storage(Arc::new(error))
}

/// A panic while a lock was held leaves nothing half done that is not marked so: `torn` is set before and reset after.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
