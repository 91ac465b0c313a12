//! What the gate decides, written down: the audit log first, then the state.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::metrics::Asks;
use crate::approval::ask::{AskId, ClosedAsk, Event, MatchCode, Outcome, Verdict};
use crate::approval::gate::{Records, Unrecorded};
use crate::audit::log::Log;
use crate::audit::record::{
    self, AskClosed, AskOpened, AskOutcome, Entry, Name, RefusalLifted, RefusalSet, StateSaved,
};
use crate::peer::standing::Standing;
use crate::state::Store;

/// The audit log and the state.
#[derive(Clone)]
pub struct DurableRecords {
    log: Log,
    store: Arc<Mutex<Store>>,
    asks: Arc<Asks>,
}

impl DurableRecords {
    /// Writes to these, and counts in `asks` what became of asks.
    #[must_use]
    pub(super) fn new(log: Log, store: Store, asks: Arc<Asks>) -> Self {
        Self { log, store: Arc::new(Mutex::new(store)), asks }
    }

    async fn write(&self, events: &[Event], standing: Option<&Standing>) -> Result<(), Unrecorded> {
        let entries: Vec<Entry> = events.iter().filter_map(entry).collect();
        if !entries.is_empty() {
            self.log.write(&entries).await.map_err(|error| Unrecorded(Box::new(error)))?;
            self.asks.count(events);
        }
        let Some(standing) = standing.cloned() else { return Ok(()) };
        let store = Arc::clone(&self.store);
        let saved = tokio::task::spawn_blocking(move || {
            // A save is done as a whole or not at all, so a panic in one does not spoil the store.
            store.lock().unwrap_or_else(PoisonError::into_inner).save(&standing)
        })
        .await
        .map_err(|_panic| Unrecorded("a bug ended the save".into()))?;
        let generation = saved.map_err(|error| Unrecorded(Box::new(error)))?;
        let entry = StateSaved { generation: generation.get() };
        self.log.write(&[entry.into()]).await.map_err(|error| Unrecorded(Box::new(error)))
    }
}

impl Records for DurableRecords {
    fn commit<'a>(
        &'a self,
        events: &'a [Event],
        standing: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>> {
        Box::pin(self.write(events, standing))
    }
}

/// The entry for an event, if it is one that is recorded here. Releases are recorded by the pipeline.
fn entry(event: &Event) -> Option<Entry> {
    Some(match event {
        Event::Opened(ask) => AskOpened {
            ask: name((ask.id, ask.code)),
            operation: ask.operation,
            node: (&*ask.node).into(),
            address: ask.peer.address,
            origin: ask.origin.into(),
            tls: ask.peer.tls,
        }
        .into(),
        Event::Voted { ask, by, verdict, decided } => record::Vote {
            ask: name((ask.id, ask.code)),
            node: (&*ask.node).into(),
            verdict: match verdict {
                Verdict::Approve(_) => record::Verdict::Approve,
                Verdict::Deny(_) => record::Verdict::Deny,
                Verdict::Block(_) => record::Verdict::Block,
            },
            decided: *decided,
            approver: Name::new(&by.vote.approver),
            channel: Name::new(&by.vote.channel),
            uid: by.uid,
            telegram_id: by.telegram_id,
            for_seconds: match verdict {
                Verdict::Approve(lasts) | Verdict::Deny(lasts) | Verdict::Block(lasts) => {
                    lasts.map(|lasts| u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX))
                }
            },
        }
        .into(),
        Event::Closed(closed) => ask_closed(closed).into(),
        Event::Refused { refusal, node, ask } => RefusalSet {
            kind: refusal.kind,
            node: (&**node).into(),
            origin: refusal.origin.map(Into::into),
            by: Name::new(&refusal.by),
            channel: Name::new(&refusal.channel),
            until: refusal.until,
            ask: ask.map(name),
        }
        .into(),
        Event::Lifted { refusal, node, by } => RefusalLifted {
            kind: refusal.kind,
            node: (&**node).into(),
            origin: refusal.origin.map(Into::into),
            by: Name::new(&by.vote.approver),
            channel: Name::new(&by.vote.channel),
        }
        .into(),
        Event::Changed(_) | Event::Notice(_) | Event::Released(_) => return None,
    })
}

fn ask_closed(closed: &ClosedAsk) -> AskClosed {
    let by = closed.by.as_ref();
    AskClosed {
        ask: name((closed.ask.id, closed.ask.code)),
        node: (&*closed.ask.node).into(),
        address: closed.ask.peer.address,
        outcome: outcome(closed.outcome),
        by: by.map(|vote| Name::new(&vote.approver)),
        channel: by.map(|vote| Name::new(&vote.channel)),
        attempts: closed.ask.attempts.into(),
        volumes: u64::try_from(closed.ask.blobs.len()).unwrap_or(u64::MAX),
        until: (closed.outcome != Outcome::Expired).then(|| closed.at.after(closed.lasts)),
    }
}

pub(super) const fn outcome(outcome: Outcome) -> AskOutcome {
    match outcome {
        Outcome::Approved => AskOutcome::Approved,
        Outcome::Denied => AskOutcome::Denied,
        Outcome::Blocked => AskOutcome::Blocked,
        Outcome::Expired => AskOutcome::Expired,
    }
}

fn name((id, code): (AskId, MatchCode)) -> record::Ask {
    record::Ask { id: Name::shown(&id), code: Name::shown(&code) }
}
