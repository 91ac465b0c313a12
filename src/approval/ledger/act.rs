//! What people do to the ledger: vote, block, unblock; and where the rest of it is done.

use std::collections::BTreeSet;
use std::time::Duration;

pub use super::ahead::{Ended, GrantAnswer, GrantWanted, MAX_PENDING, MAX_USES, WhichGrants};
pub use super::enrolment::{Change, ChangeAnswer};
use super::{Bound, Grant, Ledger, MAX_REFUSAL, MAX_REFUSALS};
use crate::approval::ask::{Ask, AskId, ClosedAsk, Event, MatchCode, Outcome, Purpose, Verdict, Voter};
use crate::approval::policy::{Requirement, Vote};
use crate::clock::Now;
use crate::peer::standing::{KeptVote, LastApproval, Lock, MAX_APPROVALS, Refusal, RefusalKind};
use crate::peer::{ListedNode, Origin};
use crate::request::Operation;

/// What a person does.
#[derive(Debug, Clone)]
pub enum Act {
    /// Answers an ask.
    Vote {
        /// Which.
        ask: AskId,
        /// Who answers.
        by: Voter,
        /// The answer.
        verdict: Verdict,
    },
    /// Refuses a whole node, and ends what was approved for it.
    Block {
        /// Which.
        node: ListedNode,
        /// Who blocks.
        by: Voter,
        /// For how long; as configured when it is not said.
        lasts: Option<Duration>,
    },
    /// Ends the denials and blocks of a node.
    Unblock {
        /// Which.
        node: ListedNode,
        /// Who unblocks.
        by: Voter,
    },
    /// Answers several asks as one: those of a list that the person saw.
    VoteAll {
        /// Which.
        asks: Vec<AskId>,
        /// Who answers.
        by: Voter,
        /// The answer to each.
        verdict: Verdict,
    },
    /// Approves what nothing asked for yet.
    Grant {
        /// For which nodes.
        wanted: Vec<GrantWanted>,
        /// Who approves.
        by: Voter,
        /// The vote as it is kept.
        vote: KeptVote,
        /// For how long; as configured when it is not said.
        lasts: Option<Duration>,
        /// For how many releases each; as configured when it is not said.
        uses: Option<u32>,
    },
    /// Ends grants.
    Revoke {
        /// Which.
        which: WhichGrants,
        /// Who ends them.
        by: Voter,
    },
    /// Refuses everything.
    Lock {
        /// Who locks.
        by: Voter,
    },
    /// Ends that.
    Unlock {
        /// Who ends it.
        by: Voter,
    },
    /// Changes the list of nodes that people keep.
    ChangeNode {
        /// How.
        change: Change,
        /// Which votes it needs.
        requirement: Requirement,
        /// Who wants it.
        by: Voter,
        /// The vote as it is kept until there are enough.
        vote: KeptVote,
    },
}

impl Act {
    /// The asks that it answers.
    #[must_use]
    pub fn answers(&self) -> &[AskId] {
        match self {
            Self::Vote { ask, .. } => std::slice::from_ref(ask),
            Self::VoteAll { asks, .. } => asks,
            Self::Block { .. }
            | Self::Unblock { .. }
            | Self::Grant { .. }
            | Self::Revoke { .. }
            | Self::Lock { .. }
            | Self::Unlock { .. }
            | Self::ChangeNode { .. } => &[],
        }
    }
}

/// What became of it.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The vote decided the ask.
    Decided(Box<ClosedAsk>),
    /// The vote counted; more are needed.
    Counted(Box<Ask>),
    /// The person had approved before; nothing changed.
    Repeated(Box<Ask>),
    /// The ask was closed before; nothing changed.
    Closed(Box<ClosedAsk>),
    /// No such ask, or one from before a restart; nothing changed.
    Unknown,
    /// The person may not answer this ask; nothing changed.
    NotAnApprover(Box<Ask>),
    /// The node is blocked.
    Blocked(Refusal),
    /// So many denials and blocks were ended.
    Unblocked(usize),
    /// There are more denials and blocks than are kept; nothing changed.
    TooManyRefusals,
    /// Two of the asks are of the same unlisted node; nothing changed.
    SameNodeTwice,
    /// To several asks, each with what became of it.
    All(Vec<(AskId, Self)>),
    /// What became of each grant that was wanted.
    Granted(Vec<(ListedNode, GrantAnswer)>),
    /// Everything is locked, so that nothing can be approved; nothing changed.
    IsLocked(Lock),
    /// What ended.
    Revoked(Ended),
    /// Everything is refused.
    Locked {
        /// The lock in force.
        lock: Lock,
        /// Whether it was in force before.
        repeated: bool,
    },
    /// Whether there was a lock to end.
    Unlocked(bool),
    /// What became of the list of nodes.
    NodeChanged(ChangeAnswer),
    /// There is no room to keep it; nothing changed.
    NoRoom,
}

/// What a person says no to.
struct No<'a> {
    node: &'a ListedNode,
    /// `None` is the whole node.
    origin: Option<Origin>,
    kind: RefusalKind,
    by: &'a Vote,
    lasts: Duration,
    ask: Option<(AskId, MatchCode)>,
}

impl Ledger {
    /// Does what a person does, and says what came of it. Nothing happened when there are no events.
    pub fn act(&mut self, now: Now, act: &Act) -> (Answer, Vec<Event>) {
        let mut events = self.expire(now);
        let answer = match act {
            Act::Vote { ask, by, verdict } => self.vote(now, *ask, by, *verdict, &mut events),
            Act::Block { node, by, lasts } => {
                let lasts = lasts.unwrap_or(self.timings.block_for);
                let no = No { node, origin: None, kind: RefusalKind::Block, by: &by.vote, lasts, ask: None };
                self.refuse(now, &no, &mut events).map_or(Answer::TooManyRefusals, Answer::Blocked)
            }
            Act::Unblock { node, by } => {
                let (lifted, kept) =
                    std::mem::take(&mut self.refusals).into_iter().partition(|bound| bound.refusal.node == node.uuid);
                self.refusals = kept;
                let count = Vec::len(&lifted);
                events.extend(lifted.into_iter().map(|bound| Event::Lifted {
                    refusal: bound.refusal,
                    node: ListedNode::clone(node),
                    by: by.clone(),
                }));
                Answer::Unblocked(count)
            }
            Act::VoteAll { asks, by, verdict } => self.vote_all(now, asks, by, *verdict, &mut events),
            Act::Grant { wanted, by, vote, lasts, uses } => {
                self.grant_ahead(now, wanted, by, vote, (*lasts, *uses), &mut events)
            }
            Act::Revoke { which, by } => self.revoke(now, which, by, &mut events),
            Act::Lock { by } => self.set_lock(now, by, &mut events),
            Act::Unlock { by } => self.end_lock(by, &mut events),
            Act::ChangeNode { change, requirement, by, vote } => {
                self.change_node(now, change, requirement, by, vote, &mut events)
            }
        };
        (answer, events)
    }

    /// Each ask of the list is answered by itself, and no other.
    fn vote_all(&mut self, now: Now, asks: &[AskId], by: &Voter, verdict: Verdict, events: &mut Vec<Event>) -> Answer {
        if matches!(verdict, Verdict::Approve(_)) && self.claim_the_same(asks) {
            return Answer::SameNodeTwice;
        }
        let (before, told, mut answers) = (self.clone(), events.len(), Vec::with_capacity(asks.len()));
        for id in asks {
            match self.vote(now, *id, by, verdict, events) {
                full @ (Answer::TooManyRefusals | Answer::NoRoom) => {
                    *self = before;
                    events.truncate(told);
                    return full;
                }
                answer => answers.push((*id, answer)),
            }
        }
        Answer::All(answers)
    }

    fn vote(&mut self, now: Now, id: AskId, by: &Voter, verdict: Verdict, events: &mut Vec<Event>) -> Answer {
        let vote = &by.vote;
        let Some(ask) = self.asks.get_mut(&id) else {
            return match self.closed.iter().find(|closed| closed.ask.id == id) {
                Some(closed) => Answer::Closed(Box::new(closed.clone())),
                None => Answer::Unknown,
            };
        };
        if !ask.requirement.approvers.contains(&vote.approver) {
            return Answer::NotAnApprover(Box::new(ask.clone()));
        }
        let (answered, is_enrolment) = (ask.clone(), ask.purpose == Purpose::Enrolment);
        if is_enrolment && matches!(verdict, Verdict::Approve(_)) && !self.has_room_for_entry(&answered.node) {
            return Answer::NoRoom;
        }
        let Some(ask) = self.asks.get_mut(&id) else { return Answer::Unknown };
        let voted = |decided| Event::Voted { ask: answered, by: by.clone(), verdict, decided };
        let (kind, lasts) = match verdict {
            Verdict::Approve(lease) => {
                if ask.votes.contains(vote) {
                    return Answer::Repeated(Box::new(ask.clone()));
                }
                ask.votes.push(vote.clone());
                ask.lease = ask.lease.min(lease.unwrap_or(self.timings.lease));
                ask.lease_named |= lease.is_some();
                let decided = ask.requirement.is_met_by(&ask.votes);
                events.push(voted(decided));
                if !decided {
                    ask.last_told = now.moment;
                    events.push(Event::Changed(ask.clone()));
                    return Answer::Counted(Box::new(ask.clone()));
                }
                return if is_enrolment { self.enrol(now, id, by, events) } else { self.grant(now, id, vote, events) };
            }
            Verdict::Deny(lasts) => (RefusalKind::Denial, lasts.unwrap_or(self.timings.deny_for)),
            Verdict::Block(lasts) => (RefusalKind::Block, lasts.unwrap_or(self.timings.block_for)),
        };
        let (node, origin, name) = (ask.node.clone(), ask.origin, (ask.id, ask.code));
        let told = events.len();
        events.push(voted(true));
        let no = No { node: &node, origin: Some(origin), kind, by: vote, lasts, ask: Some(name) };
        if self.refuse(now, &no, events).is_none() {
            events.truncate(told);
            return Answer::TooManyRefusals;
        }
        self.closed
            .iter()
            .rfind(|closed| closed.ask.id == id)
            .map_or(Answer::Unknown, |closed| Answer::Decided(Box::new(closed.clone())))
    }

    fn grant(&mut self, now: Now, id: AskId, vote: &Vote, events: &mut Vec<Event>) -> Answer {
        let lease = self.asks.get(&id).map_or(Duration::ZERO, |ask| ask.lease);
        let Some(mut closed) = self.close(id, Outcome::Approved, Some(vote.clone()), now, lease) else {
            return Answer::Unknown;
        };
        if closed.ask.operation == Operation::Seal && !closed.ask.lease_named {
            closed.collectable = self.timings.seal_grant_for;
        }
        let ask = &closed.ask;
        self.remember_and_grant(now, &closed, ListedNode::clone(&ask.node), ask.origin, vote);
        events.push(Event::Closed(closed.clone()));
        if ask.operation == Operation::Unseal {
            self.close_included(ask, vote, now, lease, events);
        }
        Answer::Decided(Box::new(closed))
    }

    /// Gives `node` what was asked for with `closed`, which was approved.
    pub(super) fn remember_and_grant(
        &mut self,
        now: Now,
        closed: &ClosedAsk,
        node: ListedNode,
        origin: Origin,
        vote: &Vote,
    ) {
        let ask = &closed.ask;
        self.grants.push(Grant {
            ask: ask.id,
            code: ask.code,
            node: ListedNode::clone(&node),
            origin,
            operation: ask.operation,
            votes: ask.votes.clone(),
            granted_at: now.moment,
            until: now.moment.after(closed.lasts),
            uses_left: self.timings.uses,
            used: false,
            given_back: 0,
            under_way: 0,
            ends_with_lease: ask.lease_named,
            seal_only: false,
            sealed: BTreeSet::new(),
            ahead: None,
        });
        self.remember_approval(LastApproval {
            node: node.uuid.clone(),
            origin,
            by: vote.approver.clone(),
            at: now.wall,
        });
    }

    /// Closes the ask for a seal that a yes to unlocking has answered as well: left open, a second tap would make a
    /// grant that nobody needs.
    fn close_included(&mut self, unsealed: &Ask, vote: &Vote, now: Now, lease: Duration, events: &mut Vec<Event>) {
        let included = self.asks.values().find(|ask| {
            ask.purpose == Purpose::Release
                && ask.node.uuid == unsealed.node.uuid
                && ask.origin == unsealed.origin
                && ask.requirement.is_met_by(&unsealed.votes)
        });
        if let Some(id) = included.map(|ask| ask.id) {
            events.extend(self.close(id, Outcome::Approved, Some(vote.clone()), now, lease).map(Event::Closed));
        }
    }

    pub(super) fn remember_approval(&mut self, approval: LastApproval) {
        self.approvals.insert((approval.node.clone(), approval.origin), approval);
        if self.approvals.len() > MAX_APPROVALS
            && let Some(oldest) =
                self.approvals.iter().min_by_key(|(_, approval)| approval.at).map(|(key, _)| key.clone())
        {
            self.approvals.remove(&oldest);
        }
    }

    /// Puts a refusal in force: asks that it binds are closed, and grants that it binds end, so that they do not come
    /// back to life with its end. `None` when there is no room, and then nothing changed.
    fn refuse(&mut self, now: Now, no: &No<'_>, events: &mut Vec<Event>) -> Option<Refusal> {
        let No { node, origin, kind, by, ask, .. } = *no;
        let lasts = no.lasts.min(MAX_REFUSAL);
        let refusal = Refusal {
            node: node.uuid.clone(),
            origin,
            kind,
            by: by.approver.clone(),
            channel: by.channel.clone(),
            at: now.wall,
            until: now.wall.after(lasts),
        };
        // A new answer replaces an older one of its kind for the same peer, so one node cannot fill the list.
        let same = |other: &Refusal| {
            other.node == refusal.node && other.origin == refusal.origin && other.kind == refusal.kind
        };
        if self.refusals().filter(|other| !same(other)).count() >= MAX_REFUSALS {
            return None;
        }
        let ends = now.moment.after(lasts);
        let longer = self.refusals.iter().find(|bound| same(&bound.refusal) && bound.ends > ends);
        // Whoever says no again does not mean to shorten what was said before.
        let (until, ends) = longer.map_or((refusal.until, ends), |bound| (bound.refusal.until, bound.ends));
        let lasts = now.moment.until(ends);
        self.refusals.retain(|bound| !same(&bound.refusal));
        let refusal = Refusal { until, ..refusal };
        self.refusals.push(Bound { refusal: refusal.clone(), ends });
        self.grants.retain(|grant| grant.node.uuid != node.uuid || origin.is_some_and(|origin| origin != grant.origin));
        events.push(Event::Refused { refusal: refusal.clone(), node: ListedNode::clone(node), ask });
        let bound: Vec<AskId> =
            self.asks.values().filter(|ask| refusal.binds(&ask.node, ask.origin)).map(|ask| ask.id).collect();
        let outcome = match kind {
            RefusalKind::Denial => Outcome::Denied,
            RefusalKind::Block => Outcome::Blocked,
        };
        for id in bound {
            events.extend(self.close(id, outcome, Some(by.clone()), now, lasts).map(Event::Closed));
        }
        Some(refusal)
    }
}
