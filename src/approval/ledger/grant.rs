//! A grant, and what it serves.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::approval::ask::{AskId, Call, GrantTerms, LiveGrant, MatchCode, Terms};
use crate::approval::policy::{Rule, Vote};
use crate::clock::{Moment, Now, WallTime};
use crate::peer::standing::{GrantAhead, KeptVote};
use crate::peer::{ListedNode, Origin};
use crate::request::{Fingerprint, Operation};

/// Uses that one grant gets back for what could not be sealed or opened.
const MAX_GIVEN_BACK: u32 = 256;

/// A permission bounded in time and uses.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// The ask it came from, or the id of its own that a grant ahead has.
    pub(super) ask: AskId,
    pub(super) code: MatchCode,
    pub(super) node: ListedNode,
    pub(super) origin: Origin,
    pub(super) operation: Operation,
    pub(super) votes: Vec<Vote>,
    pub(super) granted_at: Moment,
    pub(super) until: Moment,
    pub(super) uses_left: u32,
    /// Uses that were spent on calls which may still fail, and then come back.
    pub(super) under_way: u32,
    /// Whether it served any release yet.
    pub(super) used: bool,
    /// Uses that came back, since what they were spent on could not be sealed or opened.
    pub(super) given_back: u32,
    /// Whether it ends with its lease, also when it is an approved Seal that nobody collected.
    pub(super) ends_with_lease: bool,
    /// An approved Seal that nobody collected within the lease: it still seals, and does nothing else.
    pub(super) seal_only: bool,
    /// The blobs sealed under it: the only ones that a grant from a Seal unseals.
    pub(super) sealed: BTreeSet<Fingerprint>,
    /// What is kept of a grant that was given before anything asked for it.
    pub(super) ahead: Option<Ahead>,
}

/// What is kept of a grant ahead beside what every grant has.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    pub(super) at: WallTime,
    pub(super) until: WallTime,
    pub(super) votes: Vec<KeptVote>,
}

impl Grant {
    /// A grant for `node` that nothing asked for yet. It covers what a yes to unlocking covers.
    pub(super) fn ahead(
        (id, code): (AskId, MatchCode),
        node: ListedNode,
        origin: Origin,
        votes: Vec<KeptVote>,
        (lasts, uses): (Duration, u32),
        now: Now,
    ) -> Self {
        Self {
            ask: id,
            code,
            node,
            origin,
            operation: Operation::Unseal,
            votes: votes.iter().map(KeptVote::vote).collect(),
            granted_at: now.moment,
            until: now.moment.after(lasts),
            uses_left: uses,
            under_way: 0,
            used: false,
            given_back: 0,
            ends_with_lease: true,
            seal_only: false,
            sealed: BTreeSet::new(),
            ahead: Some(Ahead { at: now.wall, until: now.wall.after(lasts), votes }),
        }
    }

    /// A grant ahead from before a restart, with what the wall clock says is left of it. None when it is over, or when the
    /// clock says that it has not been given yet: then nobody knows how much is left.
    pub(super) fn kept(node: ListedNode, kept: GrantAhead, longest: Duration, now: Now) -> Option<Self> {
        let GrantAhead { id, code, node: _, entry: _, origin, votes, at, until, uses_left } = kept;
        let until = until.min(at.after(longest));
        if now.wall < at || until <= now.wall || uses_left == 0 {
            return None;
        }
        let named = (AskId(id), MatchCode::from_number(code));
        let grant = Self::ahead(named, node, origin, votes, (now.wall.until(until), uses_left), now);
        let ahead = grant.ahead.map(|ahead| Ahead { at, until, ..ahead });
        Some(Self { ahead, ..grant })
    }

    /// What is to be kept of it beyond a restart: of grants that came from an ask, nothing.
    pub(super) fn to_keep(&self) -> Option<GrantAhead> {
        let Ahead { at, until, votes } = self.ahead.clone()?;
        (self.uses_left > 0).then(|| GrantAhead {
            id: self.ask.0,
            code: self.code.number(),
            node: self.node.uuid.clone(),
            entry: self.node.entry_digest(),
            origin: self.origin,
            votes,
            at,
            until,
            uses_left: self.uses_left,
        })
    }

    /// The grant as people are told of it.
    pub(super) fn shown(&self, now: Now) -> LiveGrant {
        let left = now.moment.until(self.until);
        LiveGrant {
            ask: self.ask,
            code: self.code,
            node: ListedNode::clone(&self.node),
            origin: self.origin,
            operation: self.operation,
            votes: self.votes.clone(),
            left,
            until: now.wall.after(left),
            uses_left: self.uses_left,
            ahead: self.ahead.is_some(),
        }
    }

    /// Whether it may serve `call` under the rule of now, which may be stricter than the one it was given under.
    pub(super) fn serves(&self, now: Now, call: &Call, rule: &Rule) -> bool {
        let covers = match (self.operation, call.operation) {
            (Operation::Unseal, _) | (Operation::Seal, Operation::Seal) => true,
            (Operation::Seal, Operation::Unseal) => {
                !self.seal_only && call.blob.is_some_and(|blob| self.sealed.contains(&blob))
            }
        };
        covers
            && self.node.uuid == call.node.uuid
            && self.origin == call.origin
            && !self.is_over(now)
            && self.uses_left > 0
            && (call.ahead || self.ahead.is_none())
            && rule.requirement.is_met_by(&self.votes)
    }

    /// Whether its time is over. That of a grant ahead is over by either clock: after a restart the one that does not jump
    /// knows only what the other said then, and a host without a battery-backed clock begins with the time of its last shutdown.
    pub(super) fn is_over(&self, now: Now) -> bool {
        now.moment >= self.until || self.ahead.as_ref().is_some_and(|ahead| ahead.until <= now.wall)
    }

    /// Gives one use back: junk from a neighbour must not use up what the node needs. Not for ever: each try costs a
    /// record.
    pub(super) fn give_back(&mut self) {
        self.settle();
        if self.given_back < MAX_GIVEN_BACK {
            self.given_back += 1;
            self.uses_left = self.uses_left.saturating_add(1);
        }
    }

    /// One of the uses that were spent does not come back.
    pub(super) fn settle(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    pub(super) fn spend(&mut self) -> Terms {
        self.used = true;
        self.under_way = self.under_way.saturating_add(1);
        self.uses_left = self.uses_left.saturating_sub(1);
        Terms {
            grant: Some(GrantTerms {
                ask: self.ask,
                code: self.code,
                votes: self.votes.clone(),
                granted_at: self.granted_at,
                uses_left: self.uses_left,
                ahead: self.ahead.is_some(),
            }),
        }
    }
}

impl super::Ledger {
    /// What is to be kept of the grants ahead beyond a restart.
    pub(super) fn ahead_to_keep(&self) -> Vec<GrantAhead> {
        self.grants.iter().filter_map(Grant::to_keep).collect()
    }
}
