//! What people do, from its rehearsal over the record to its effect; and what is remembered, saved.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Gate, NotActed, NotApproved, Unrecorded};
use crate::approval::ask::{AskId, Event, Terms};
use crate::approval::ledger::act::{Act, Answer, ChangeAnswer};
use crate::clock::Now;
use crate::peer::admission::Generation;
use crate::peer::standing::Standing;

impl Gate {
    /// Does what a person does: writes it down first, then lets it take effect, then tells the channels. `known` is the
    /// configuration by which it was found out who the person is.
    ///
    /// It is done in a task of its own: a channel that hangs up meanwhile does not leave half a decision behind.
    ///
    /// # Errors
    /// [`NotActed`].
    pub async fn act(self: &Arc<Self>, known: Generation, act: Act) -> Result<Answer, NotActed> {
        let gate = Arc::clone(self);
        let acted = self.tasks.spawn(async move { gate.act_to_the_end(known, &act).await }).await;
        acted.unwrap_or_else(|_panic| Err(NotActed::Unrecorded(Unrecorded("a bug ended the act".into()))))
    }

    async fn act_to_the_end(&self, known: Generation, act: &Act) -> Result<Answer, NotActed> {
        // Neither another act nor another configuration comes between the rehearsal and its effect.
        let _one_at_a_time = self.acting.lock().await;
        if self.configuration().generation != known {
            return Err(NotActed::Reconfigured);
        }
        if self.is_stopping() {
            return Err(NotActed::Stopping);
        }
        let now = self.clock.now();
        // The rehearsal is on a copy: it shows what has to be written down before it is true.
        let (answer, rehearsed, before, after, revision) = {
            let mut ledger = self.ledger();
            let mut rehearsal = ledger.clone();
            let (answer, events) = rehearsal.act(now, act);
            ledger.set_acting(Some((now, act)));
            (answer, events, ledger.standing(), rehearsal.standing(), ledger.revision())
        };
        let _acting = self.until_its_effect();
        // A vote for another list of nodes counts before there is anything to record.
        if rehearsed.is_empty() && !matches!(answer, Answer::NodeChanged(ChangeAnswer::Counted(_))) {
            return Ok(answer);
        }
        if matches!(answer, Answer::Unlocked(true)) {
            // Before the lock ends: who is approved then finds the keys there.
            self.keys.load().await;
        }
        // Who approved last is only shown to people: a disk too full to keep that must not keep a node from its disk. A no is
        // saved also when it changes nothing: one that was recorded without a save makes the state an older one at a start.
        let must_be_saved = rehearsed.iter().any(is_no)
            || Standing { approvals: vec![], ..before.clone() } != Standing { approvals: vec![], ..after.clone() };
        let recorded = self.records.commit(&rehearsed, must_be_saved.then_some(&after)).await;
        if recorded.is_err() && !rehearsed.iter().any(is_no) {
            if matches!(answer, Answer::Unlocked(true)) {
                self.keys.wipe();
            }
            // It may be on the disk all the same, when what failed came after it: a restart must not find it there.
            self.unsaved.fetch_or(must_be_saved, Ordering::Relaxed);
            return recorded.map(|()| answer).map_err(NotActed::Unrecorded);
        }
        if recorded.is_ok() && must_be_saved {
            self.saved.fetch_max(revision, Ordering::Release);
        }
        let (answer, events) = self.take_effect(now, act);
        self.wake();
        if matches!(answer, Answer::Locked { .. }) {
            self.keys.wipe();
        }
        let is_unsaved = if must_be_saved { recorded.is_err() } else { before != after };
        if is_unsaved {
            self.unsaved.store(true, Ordering::Relaxed);
            self.save().await;
        }
        self.record_the_rest(&rehearsed, &events).await;
        if rehearsed.iter().any(|event| is_no(event) || matches!(event, Event::NodeChanged { .. })) {
            // Nothing more leaves under what has just ended once the person is answered.
            drop(self.passing.write().await);
        }
        recorded.map(|()| answer).map_err(NotActed::Unsaved)
    }

    /// At the time of the rehearsal, so that what happens is what was written down. Told before a held call wakes: a channel
    /// hears of the yes before it hears of the release.
    fn take_effect(&self, now: Now, act: &Act) -> (Answer, Vec<Event>) {
        let mut ledger = self.ledger();
        let (answer, mut events) = ledger.act(now, act);
        if events.iter().any(|event| matches!(event, Event::NodeChanged { .. })) {
            let closed = self.put_entries_in_force(&mut ledger, &events);
            events.extend(closed);
        } else {
            self.publish(events.clone());
        }
        (answer, events)
    }

    /// Records what closed by an act beyond what its rehearsal showed: asks that were opened in between.
    async fn record_the_rest(&self, rehearsed: &[Event], events: &[Event]) {
        let closed_id = |event: &Event| match event {
            Event::Closed(closed) => Some(closed.ask.id),
            _ => None,
        };
        let known: Vec<AskId> = rehearsed.iter().filter_map(closed_id).collect();
        let rest: Vec<Event> =
            events.iter().filter(|event| closed_id(event).is_some_and(|id| !known.contains(&id))).cloned().collect();
        if let Err(error) = self.commit(&rest).await {
            tracing::error!(%error, "closing unrecorded");
        }
    }

    /// Saves what is remembered, if that failed or was put off before. Only for who holds `acting`.
    pub(super) async fn save(&self) {
        let is_new = self.ledger().revision() > self.saved.load(Ordering::Acquire);
        if !self.unsaved.swap(false, Ordering::Relaxed) && !is_new {
            return;
        }
        if let Err(error) = self.save_now().await {
            self.unsaved.store(true, Ordering::Relaxed);
            tracing::warn!(%error, "state unsaved");
        }
    }

    /// Saves what is remembered. Only for who holds `acting`, so that an older one never takes the place of a newer.
    async fn save_now(&self) -> Result<(), Unrecorded> {
        let (standing, revision) = {
            let ledger = self.ledger();
            (ledger.standing(), ledger.revision())
        };
        self.records.commit(&[], Some(&standing)).await?;
        self.saved.fetch_max(revision, Ordering::Release);
        Ok(())
    }

    /// Saves that a use of a grant ahead is spent: after a crash it must not be there again. When that fails nothing is
    /// released, and the use comes back, though perhaps not on the disk.
    pub(super) async fn save_spent(&self, terms: &Terms) -> Result<(), NotApproved> {
        let spent = self.ledger().revision();
        let _one_at_a_time = self.acting.lock().await;
        // Somebody else's save may have taken this one along.
        if self.saved.load(Ordering::Acquire) >= spent {
            return Ok(());
        }
        self.save_now().await.map_err(|unrecorded| {
            self.failed(terms);
            NotApproved::Unrecorded(unrecorded)
        })
    }
}

/// Whether it is a person's no: it takes effect although it cannot be written down, and nothing more leaves once it has.
fn is_no(event: &Event) -> bool {
    matches!(event, Event::Refused { .. } | Event::Revoked { .. } | Event::Locked { .. })
}
