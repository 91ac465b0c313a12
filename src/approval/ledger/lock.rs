//! The lock: everything is refused, until a person on the host ends it.

use super::Ledger;
use super::act::Answer;
use crate::approval::ask::{AskId, Event, Outcome, Voter};
use crate::clock::Now;
use crate::peer::standing::{Lock, LockedBy};

impl Ledger {
    /// Refuses everything from now on. Asks are closed and grants end, so that they do not come back with the end of the
    /// lock; denials and blocks stay.
    pub(super) fn set_lock(&mut self, now: Now, by: &Voter, events: &mut Vec<Event>) -> Answer {
        if let Some(lock) = &self.lock {
            return Answer::Locked { lock: lock.clone(), repeated: true };
        }
        let vote = &by.vote;
        let person = LockedBy::Person { approver: vote.approver.clone(), channel: vote.channel.clone() };
        let lock = Lock { by: person, at: now.wall };
        self.lock = Some(lock.clone());
        self.grants.clear();
        self.pending.clear();
        events.push(Event::Locked { lock: lock.clone(), by: by.clone() });
        let open: Vec<AskId> = self.asks.keys().copied().collect();
        for id in open {
            let closed = self.close(id, Outcome::Locked, Some(vote.clone()), now, std::time::Duration::ZERO);
            events.extend(closed.map(Event::Closed));
        }
        Answer::Locked { lock, repeated: false }
    }

    /// Ends the lock. Nothing comes back that it ended.
    pub(super) fn end_lock(&mut self, by: &Voter, events: &mut Vec<Event>) -> Answer {
        let was_locked = self.lock.take().is_some();
        if was_locked {
            events.push(Event::Unlocked { by: by.clone() });
        }
        Answer::Unlocked(was_locked)
    }
}
