//! A grant, and what it serves.

use std::collections::BTreeSet;

use crate::approval::ask::{AskId, Call, GrantTerms, MatchCode, Terms};
use crate::approval::policy::{Rule, Vote};
use crate::clock::Moment;
use crate::peer::Origin;
use crate::request::{Fingerprint, NodeUuid, Operation};

/// A permission bounded in time and uses.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) ask: AskId,
    pub(super) code: MatchCode,
    pub(super) node: NodeUuid,
    pub(super) origin: Origin,
    pub(super) operation: Operation,
    pub(super) votes: Vec<Vote>,
    pub(super) granted_at: Moment,
    pub(super) until: Moment,
    pub(super) uses_left: u32,
    /// Whether it served any release yet.
    pub(super) used: bool,
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
            && self.node == call.node.uuid
            && self.origin == call.origin
            && now < self.until
            && self.uses_left > 0
            && rule.requirement.is_met_by(&self.votes)
    }

    pub(super) fn spend(&mut self) -> Terms {
        self.used = true;
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
