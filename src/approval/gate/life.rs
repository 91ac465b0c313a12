//! The gate while the server around it lives: a new configuration, what is under way, what a panic leaves, and the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Approved, Caller, Configuration, Gate, NotApproved, PoisonError, Policy, Release, Timings, lock};
use crate::approval::ask::{AskId, Call, Event, Fresh, LiveGrant};
use crate::approval::ledger::{Judgement, Ledger, Reason};
use crate::approval::policy::{Action, Rule};
use crate::clock::Now;
use crate::peer::admission::Lists;
use crate::peer::standing::Lock;
use crate::request::NodeUuid;

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnderWay {
    /// Asks that are open.
    pub asks: usize,
    /// Grants that are live.
    pub grants: usize,
    /// Calls that wait for people.
    pub held: usize,
}

/// A call that waits for people, until this is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An ask that is not on record yet. Dropped before it is, also by a panic, it takes the ask back: nobody was told of it,
/// and nobody would ever be.
#[must_use]
pub(super) struct Opening<'a> {
    gate: &'a Gate,
    ask: Option<AskId>,
}

impl Opening<'_> {
    pub(super) fn recorded(mut self) {
        self.ask = None;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(ask) = self.ask {
            self.gate.ledger().forget(ask);
            // Calls that joined it meanwhile.
            self.gate.wake();
        }
    }
}

/// A call that may be released: whoever says no waits, before they are told that it is done, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Passing<'a>(#[expect(dead_code, reason = "held until it is dropped")] tokio::sync::RwLockReadGuard<'a, ()>);

/// What a person does: until this is dropped, nothing expires that it is about.
#[must_use]
pub(super) struct Acting<'a>(&'a Gate);

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        self.0.ledger().set_acting(None);
    }
}

impl Gate {
    /// Puts another configuration in force, and with it the lists that belong to it, beside which go the nodes that people
    /// listed. Returns when what that closed is on record.
    ///
    /// From then on nothing is released that the new configuration would not release. Asks and grants of a node go on
    /// only when just that node is listed, when its rule asks for what was asked for, and with the votes of people
    /// who still are approvers. Calls that are held are let go: the node's next call is judged anew. Channels are cut off
    /// once they were told what that closed: whether they may listen is asked again, and they are told the nodes of now.
    pub async fn reconfigure(&self, policy: Policy, timings: Timings, lists: &Lists) {
        // No act is between its rehearsal and its effect.
        let _nobody_acts = self.acting.lock().await;
        let events = {
            let mut ledger = self.ledger();
            let before = self.configuration();
            let generation = before.generation.next();
            let lists = lists.with_entries(ledger.entries()).of(generation);
            tell_conflicts(&lists);
            let (now, approvers) = (self.clock.now(), &before.policy.approvers);
            let events = ledger.reconfigure(now, &policy, &timings, approvers, &lists);
            self.admission.replace(lists);
            let configuration = Configuration { generation, policy, timings };
            *self.configuration.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configuration);
            self.publish(events.clone());
            lock(&self.subscribers).clear();
            events
        };
        self.wake();
        if let Err(error) = self.commit(&events).await {
            tracing::error!(%error, "closing unrecorded");
        }
    }

    /// Whether nothing has come between the approval and the release that now follows: a key may have taken seconds to
    /// derive, in which a person said no, another configuration came, or the caller's time ran out.
    ///
    /// # Errors
    /// [`NotApproved`]: nothing may be released any more.
    pub async fn still_approves(&self, approved: &Approved, caller: &Caller) -> Result<Passing<'_>, NotApproved> {
        // Taken before the check: whoever says no after it waits for this.
        let passing = Passing(self.passing.read().await);
        let now = self.clock.now();
        let ledger = self.ledger();
        if approved.admitted.generation() != self.configuration().generation {
            return Err(NotApproved::Reconfigured);
        }
        if let Some(reason) = ledger.refused(now, approved.node(), approved.origin()) {
            return Err(NotApproved::Refused(reason));
        }
        if !ledger.still_grants(now, approved.terms()) {
            return Err(NotApproved::Refused(Reason::NoGrant));
        }
        if caller.gone.is_cancelled() {
            return Err(NotApproved::CallerGone);
        }
        if caller.is_in_time(now.moment) { Ok(passing) } else { Err(NotApproved::Refused(Reason::TooLate)) }
    }

    /// What is under way. Takes every lock of the gate in turn: when this returns, none of them is stuck.
    #[must_use]
    pub fn under_way(&self) -> UnderWay {
        drop((lock(&self.notices), self.configuration()));
        lock(&self.subscribers).retain(|subscriber| !subscriber.events.is_closed());
        let ledger = self.ledger();
        UnderWay {
            asks: ledger.asks_open(),
            grants: ledger.grants(self.clock.now()).count(),
            held: self.held.load(Ordering::Relaxed),
        }
    }

    /// The last releases, newest last.
    #[must_use]
    pub fn last_releases(&self) -> Vec<Release> {
        lock(&self.releases).iter().cloned().collect()
    }

    /// The grants that are live.
    #[must_use]
    pub fn grants(&self) -> Vec<LiveGrant> {
        self.ledger().grants(self.clock.now()).collect()
    }

    /// Whether a denial or block of this node is in force, listed or not.
    #[must_use]
    pub fn has_refused(&self, node: &NodeUuid) -> bool {
        self.ledger().refusals().any(|refusal| refusal.node == *node)
    }

    /// Whether everything is refused.
    #[must_use]
    pub fn locked(&self) -> Option<Lock> {
        self.ledger().lock().cloned()
    }

    /// How many processes follow the events of `channel`.
    #[must_use]
    pub fn attached(&self, channel: &str) -> usize {
        let subscribers = lock(&self.subscribers);
        subscribers.iter().filter(|one| *one.channel == *channel && !one.events.is_closed()).count()
    }

    /// Whether something that was decided is not on the disk yet.
    #[must_use]
    pub fn is_unsaved(&self) -> bool {
        self.unsaved.load(Ordering::Relaxed)
    }

    /// Whether nothing would be lost if the process ended now: no ask, no grant, no act under way, nothing unsaved.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let ledger = self.ledger();
        let is_saved = !self.unsaved.load(Ordering::Relaxed) && ledger.revision() <= self.saved.load(Ordering::Acquire);
        ledger.is_idle() && self.tasks.is_empty() && is_saved
    }

    /// Asks nobody any more. Calls that are held are let go; what is approved is still released.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Waits until no act is half done.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        // What could not be saved, or was put off, is tried once more.
        let _nobody_acts = self.acting.lock().await;
        self.save().await;
    }

    /// Whether nobody is asked any more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn hold(&self) -> Held<'_> {
        self.held.fetch_add(1, Ordering::Relaxed);
        Held(&self.held)
    }

    pub(super) fn opening(&self, events: &[Event]) -> Opening<'_> {
        let opened = |event: &Event| match event {
            Event::Opened(ask) => Some(ask.id),
            _ => None,
        };
        Opening { gate: self, ask: events.iter().find_map(opened) }
    }

    pub(super) fn until_its_effect(&self) -> Acting<'_> {
        Acting(self)
    }

    /// Has held calls judged again.
    pub(super) fn wake(&self) {
        self.acts.send_modify(|acts| *acts = acts.wrapping_add(1));
    }

    /// Judges by `rule`. When the server stops, no ask is joined or opened: who would wait is refused for want of a grant.
    pub(super) fn judge_now(
        &self,
        ledger: &mut Ledger,
        now: Now,
        call: &Call,
        rule: &Rule,
        fresh: Fresh,
    ) -> (Judgement, Vec<Event>) {
        if self.is_stopping() && rule.action == Action::Ask {
            let granted = Rule { action: Action::Granted, requirement: rule.requirement.clone() };
            return ledger.judge(now, call, &granted, fresh);
        }
        ledger.judge(now, call, rule, fresh)
    }
}

/// Says in the journal where the list that people keep contradicts the configuration.
pub(super) fn tell_conflicts(lists: &Lists) {
    for listing in lists.listings() {
        if let Some(conflict) = &listing.conflict {
            let (node, in_force) = (&listing.made.name, listing.in_force);
            tracing::warn!(%node, in_force, conflict, "people's list contradicts the configuration");
        }
    }
}
