//! Calls for nodes that are not listed, and the list that people keep coming into force.

use std::convert::Infallible;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::{Caller, Configuration, Event, Gate, NotApproved, draw, hold_until, lock, waiting};
use crate::approval::ask::{Call, NoticeKind};
use crate::approval::ledger::{Judgement, Ledger, Reason};
use crate::peer::admission::Candidate;
use crate::peer::{ListedNode, Origin};

impl Gate {
    /// Asks people whether a node that is not listed shall be, and waits, but not long. It is never let in here: when it was
    /// listed, its next call is one of a listed node.
    pub async fn enrol(&self, candidate: &Candidate, caller: &Caller) -> NotApproved {
        match self.wait_for_enrolment(candidate, caller).await {
            Err(not_approved) => not_approved,
        }
    }

    async fn wait_for_enrolment(&self, candidate: &Candidate, caller: &Caller) -> Result<Infallible, NotApproved> {
        let arrived = self.clock.now().moment;
        let hold_until = hold_until(&self.configuration().timings, arrived, caller);
        let mut acts = self.acts.subscribe();
        let mut held = false;
        loop {
            acts.borrow_and_update();
            let (code, attempts, steady) = match self.judge_candidate(candidate, caller, held).await? {
                Judgement::Waiting { ask: _, code, attempts, steady } => (code, attempts, steady),
                Judgement::Refused(reason) => return Err(NotApproved::Refused(reason)),
                Judgement::Approved(_) => return Err(NotApproved::Refused(Reason::Rule)),
            };
            let told = || waiting(code, attempts, steady, hold_until.since(arrived));
            self.wait_for_act(caller, &mut acts, hold_until, told).await?;
            held = true;
        }
    }

    async fn judge_candidate(
        &self,
        candidate: &Candidate,
        caller: &Caller,
        held: bool,
    ) -> Result<Judgement, NotApproved> {
        if self.is_stopping() {
            return Err(NotApproved::Stopping);
        }
        let fresh = draw()?;
        let now = self.clock.now();
        let call = Call {
            node: ListedNode::clone(&candidate.node),
            // It has no listed addresses yet: what is said about it binds this one.
            origin: Origin::PerAddress(candidate.peer.network()),
            peer: candidate.peer,
            operation: candidate.operation,
            blob: candidate.blob,
            in_time: caller.is_in_time(now.moment),
            held,
            ahead: false,
        };
        let (judgement, events) = {
            let mut ledger = self.ledger();
            let Configuration { generation, policy, .. } = &*self.configuration();
            if candidate.generation != *generation {
                return Err(NotApproved::Reconfigured);
            }
            ledger.judge_enrolment(now, &call, &policy.requirement(&call.node), fresh)
        };
        self.record_judged(events).await?;
        let address = candidate.peer.address;
        match judgement {
            Judgement::Refused(Reason::TooManyEnrolments) => self.note(NoticeKind::TooManyEnrolments, None, address),
            Judgement::Refused(Reason::Locked) => self.note(NoticeKind::Locked, None, address),
            _ => {}
        }
        Ok(judgement)
    }

    /// Puts the list of nodes that people keep in force as it is in `ledger` now. It is another configuration: calls that
    /// were let in by the list before come again, and channels get the nodes of now with their next snapshot. Gives what that
    /// closed.
    pub(super) fn put_entries_in_force(&self, ledger: &mut MutexGuard<'_, Ledger>, told: &[Event]) -> Vec<Event> {
        let before = self.configuration();
        let generation = before.generation.next();
        let lists = self.admission.lists().with_entries(ledger.entries()).of(generation);
        let (policy, timings) = (before.policy.clone(), before.timings.clone());
        let events = ledger.reconfigure(self.clock.now(), &policy, &timings, &policy.approvers, &lists);
        self.admission.replace(lists);
        let configuration = Configuration { generation, policy, timings };
        *self.configuration.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configuration);
        self.publish(told.iter().chain(&events).cloned().collect());
        lock(&self.subscribers).clear();
        events
    }
}
