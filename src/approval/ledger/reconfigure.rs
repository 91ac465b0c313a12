//! What is left of asks and grants under another configuration. Denials and blocks are people's, and stay.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Ledger, Timings};
use crate::approval::ask::{Ask, AskId, Event, Outcome};
use crate::approval::policy::{Action, Approver, Policy, Vote};
use crate::clock::Now;
use crate::peer::Node;

impl Ledger {
    /// Goes on under `policy` and `timings`, where `approvers` were the people before and `is_listed` tells the nodes of now.
    ///
    /// What does not fit any more ends here for good, rather than being looked through at each call: else a third
    /// configuration could bring it back. Nothing gets more than it had: no vote, use or minute is added.
    pub fn reconfigure(
        &mut self,
        now: Now,
        policy: &Policy,
        timings: &Timings,
        approvers: &[Approver],
        is_listed: impl Fn(&Node) -> bool,
    ) -> Vec<Event> {
        let mut events = self.expire(now);
        self.timings = timings.clone();
        // Somebody else under the same name is another person.
        let stays = |approver: &&Approver| policy.approvers.contains(approver);
        let staying: BTreeSet<Box<str>> =
            approvers.iter().filter(stays).map(|approver| approver.name.clone()).collect();
        let counts = |vote: &Vote| staying.contains(&vote.approver);

        self.grants.retain_mut(|grant| {
            grant.votes.retain(counts);
            let (lasts, uses) = match grant.seal_only {
                true => (timings.seal_grant_for, timings.seal_grant_uses),
                false => (timings.lease_max, timings.uses),
            };
            grant.until = grant.until.min(grant.granted_at.after(lasts));
            grant.uses_left = grant.uses_left.min(uses);
            let rule = policy.rule(&grant.node, grant.origin, grant.operation);
            is_listed(&grant.node) && rule.action != Action::Deny && rule.requirement.is_met_by(&grant.votes)
        });

        let asks_the_same = |ask: &Ask| {
            let rule = policy.rule(&ask.node, ask.origin, ask.operation);
            is_listed(&ask.node) && rule.action == Action::Ask && rule.requirement == ask.requirement
        };
        let outdated: Vec<AskId> = self.asks.values().filter(|ask| !asks_the_same(ask)).map(|ask| ask.id).collect();
        let closed = outdated.into_iter().filter_map(|id| self.close(id, Outcome::Expired, None, now, Duration::ZERO));
        events.extend(closed.map(Event::Closed));
        for ask in self.asks.values_mut() {
            let before = ask.votes.len();
            ask.votes.retain(counts);
            ask.lease = ask.lease.min(timings.lease_max);
            if ask.votes.len() < before {
                events.push(Event::Changed(ask.clone()));
            }
        }
        events
    }
}
