//! What the gate decides, written down: the audit log first, then the state.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::metrics::Asks;
use crate::approval::ask::{
    Ask, AskId, ClosedAsk, Event, LiveGrant, MatchCode, NodeChange, Outcome, Purpose, Verdict, Voter,
};
use crate::approval::gate::{Records, Unrecorded};
use crate::audit::log::Log;
use crate::audit::record::{
    self, AskClosed, AskOpened, AskOutcome, EnrolmentClosed, EnrolmentOpened, Entry, GrantProposed, GrantRevoked,
    GrantSet, ListChange, LockReason, Locked, Name, NodeListChanged, NodeListProposed, RefusalLifted, RefusalSet,
    StateSaved, Unlocked,
};
use crate::peer::standing::{Lock, LockedBy, NodeEntry, Standing};
use crate::state::Store;

/// The audit log and the state.
#[derive(Clone)]
pub struct DurableRecords {
    log: Log,
    store: Arc<Mutex<Store>>,
    asks: Arc<Asks>,
    /// The state's generation that was saved last.
    generation: Arc<AtomicU64>,
}

impl DurableRecords {
    /// Writes to these, and counts in `asks` what became of asks.
    #[must_use]
    pub(super) fn new(log: Log, store: Store, asks: Arc<Asks>) -> Self {
        let generation = Arc::new(AtomicU64::new(store.generation().get()));
        Self { log, store: Arc::new(Mutex::new(store)), asks, generation }
    }

    /// The state's generation that was saved last.
    #[must_use]
    pub(super) fn generation(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.generation)
    }

    async fn write(&self, events: &[Event], standing: Option<&Standing>) -> Result<(), Unrecorded> {
        let entries: Vec<Entry> = events.iter().flat_map(entries).collect();
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
        self.generation.store(generation.get(), Ordering::Relaxed);
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

/// The entries for an event, if it is one that is recorded here. Releases are recorded by the pipeline.
fn entries(event: &Event) -> Vec<Entry> {
    vec![match event {
        Event::Opened(ask) if ask.purpose == Purpose::Enrolment => EnrolmentOpened {
            ask: name((ask.id, ask.code)),
            operation: ask.operation,
            node: (&*ask.node).into(),
            address: ask.peer.address,
            tls: ask.peer.tls,
        }
        .into(),
        Event::Opened(ask) => AskOpened {
            ask: name((ask.id, ask.code)),
            operation: ask.operation,
            node: (&*ask.node).into(),
            address: ask.peer.address,
            origin: ask.origin.into(),
            tls: ask.peer.tls,
        }
        .into(),
        Event::Voted { ask, by, verdict, decided } => voted(ask, by, *verdict, *decided),
        Event::Closed(closed) => ask_closed(closed),
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
        Event::Proposed { .. }
        | Event::Granted { .. }
        | Event::Revoked { .. }
        | Event::Locked { .. }
        | Event::Unlocked { .. }
        | Event::ChangeProposed { .. }
        | Event::NodeChanged { .. } => return beyond_one_ask(event),
        Event::Changed(_) | Event::Notice(_) | Event::Released(_) => return vec![],
    }]
}

/// The entries for what is about no single ask.
fn beyond_one_ask(event: &Event) -> Vec<Entry> {
    vec![match event {
        Event::Proposed { proposal, by } => GrantProposed {
            node: (&*proposal.node).into(),
            origin: proposal.origin.into(),
            for_seconds: u32::try_from(proposal.lasts.as_secs()).unwrap_or(u32::MAX),
            uses: proposal.uses,
            approver: Name::new(&by.vote.approver),
            channel: Name::new(&by.vote.channel),
            uid: by.uid,
            telegram_id: by.telegram_id,
        }
        .into(),
        Event::Granted { grant, by } => GrantSet {
            grant: name((grant.ask, grant.code)),
            node: (&*grant.node).into(),
            origin: grant.origin.into(),
            approvers: grant.votes.iter().map(|vote| &vote.approver).collect(),
            until: grant.until,
            uses: grant.uses_left,
            by: Name::new(&by.vote.approver),
            channel: Name::new(&by.vote.channel),
            uid: by.uid,
            telegram_id: by.telegram_id,
        }
        .into(),
        Event::Revoked { ended, by, .. } => return ended.iter().map(|grant| grant_revoked(grant, by)).collect(),
        Event::Locked { lock, by: _ } => locked(lock),
        Event::Unlocked { by } => {
            Unlocked { by: Name::new(&by.vote.approver), channel: Name::new(&by.vote.channel), uid: by.uid }.into()
        }
        Event::ChangeProposed { node, change, by } => NodeListProposed {
            change: list_change(*change),
            node: (&**node).into(),
            cluster: node.cluster.as_deref().map(Name::new),
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
            formerly: node.formerly.iter().map(ToString::to_string).collect(),
            by: Name::new(&by.vote.approver),
            channel: Name::new(&by.vote.channel),
            uid: by.uid,
            telegram_id: by.telegram_id,
        }
        .into(),
        Event::NodeChanged { entry: NodeEntry { node, .. }, change, by } => NodeListChanged {
            change: list_change(*change),
            node: node.into(),
            cluster: node.cluster.as_deref().map(Name::new),
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
            formerly: node.formerly.iter().map(ToString::to_string).collect(),
            by: Name::new(&by.vote.approver),
            channel: Name::new(&by.vote.channel),
            uid: by.uid,
            telegram_id: by.telegram_id,
        }
        .into(),
        _ => return vec![],
    }]
}

fn voted(ask: &Ask, by: &Voter, verdict: Verdict, decided: bool) -> Entry {
    record::Vote {
        ask: name((ask.id, ask.code)),
        node: (&*ask.node).into(),
        verdict: match verdict {
            Verdict::Approve(_) => record::Verdict::Approve,
            Verdict::Deny(_) => record::Verdict::Deny,
            Verdict::Block(_) => record::Verdict::Block,
        },
        decided,
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
    .into()
}

const fn list_change(change: NodeChange) -> ListChange {
    match change {
        NodeChange::Listed => ListChange::Listed,
        NodeChange::Changed => ListChange::Changed,
        NodeChange::Forgotten => ListChange::Forgotten,
    }
}

fn grant_revoked(grant: &LiveGrant, by: &Voter) -> Entry {
    GrantRevoked {
        grant: name((grant.ask, grant.code)),
        node: (&*grant.node).into(),
        by: Name::new(&by.vote.approver),
        channel: Name::new(&by.vote.channel),
    }
    .into()
}

/// The entry for a lock that comes into force.
pub(super) fn locked(lock: &Lock) -> Entry {
    match &lock.by {
        LockedBy::Person { approver, channel } => {
            Locked { reason: LockReason::Person, by: Some(Name::new(approver)), channel: Some(Name::new(channel)) }
        }
        LockedBy::OlderState => Locked { reason: LockReason::OlderState, by: None, channel: None },
    }
    .into()
}

fn ask_closed(closed: &ClosedAsk) -> Entry {
    let by = closed.by.as_ref();
    if closed.ask.purpose == Purpose::Enrolment {
        return EnrolmentClosed {
            ask: name((closed.ask.id, closed.ask.code)),
            node: (&*closed.ask.node).into(),
            address: closed.ask.peer.address,
            outcome: outcome(closed.outcome),
            by: by.map(|vote| Name::new(&vote.approver)),
            channel: by.map(|vote| Name::new(&vote.channel)),
            attempts: closed.ask.attempts.into(),
        }
        .into();
    }
    AskClosed {
        ask: name((closed.ask.id, closed.ask.code)),
        node: (&*closed.ask.node).into(),
        address: closed.ask.peer.address,
        outcome: outcome(closed.outcome),
        by: by.map(|vote| Name::new(&vote.approver)),
        channel: by.map(|vote| Name::new(&vote.channel)),
        attempts: closed.ask.attempts.into(),
        volumes: u64::try_from(closed.ask.blobs.len()).unwrap_or(u64::MAX),
        until: (!matches!(closed.outcome, Outcome::Expired | Outcome::Locked)).then(|| closed.at.after(closed.lasts)),
    }
    .into()
}

pub(super) const fn outcome(outcome: Outcome) -> AskOutcome {
    match outcome {
        Outcome::Approved => AskOutcome::Approved,
        Outcome::Denied => AskOutcome::Denied,
        Outcome::Blocked => AskOutcome::Blocked,
        Outcome::Expired => AskOutcome::Expired,
        Outcome::Locked => AskOutcome::Locked,
    }
}

fn name((id, code): (AskId, MatchCode)) -> record::Ask {
    record::Ask { id: Name::shown(&id), code: Name::shown(&code) }
}
