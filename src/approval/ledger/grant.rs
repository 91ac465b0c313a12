//! A grant, and what it serves.

use std::collections::BTreeSet;

use crate::approval::ask::{AskId, Call, GrantTerms, MatchCode, Terms};
use crate::approval::policy::{Rule, Vote};
use crate::clock::Moment;
use crate::peer::{ListedNode, Origin};
use crate::request::{Fingerprint, Operation};

/// Uses that one grant gets back for what could not be sealed or opened.
const MAX_GIVEN_BACK: u32 = 256;

/// A permission bounded in time and uses.
#[derive(Debug, Clone)]
pub(super) struct Grant {
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
}

impl Grant {
    /// Whether it may serve `call` under the rule of now, which may be stricter than the one it was given under.
    pub(super) fn serves(&self, now: Moment, call: &Call, rule: &Rule) -> bool {
        let covers = match (self.operation, call.operation) {
            (Operation::Unseal, _) | (Operation::Seal, Operation::Seal) => true,
            (Operation::Seal, Operation::Unseal) => {
                !self.seal_only && call.blob.is_some_and(|blob| self.sealed.contains(&blob))
            }
        };
        covers
            && self.node.uuid == call.node.uuid
            && self.origin == call.origin
            && now < self.until
            && self.uses_left > 0
            && rule.requirement.is_met_by(&self.votes)
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
            }),
        }
    }
}
