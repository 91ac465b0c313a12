//! What is left of asks and grants under another configuration. Denials and blocks are people's, and stay.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;

use super::act::MAX_USES;
use super::{Ledger, Timings};
use crate::approval::ask::{Ask, AskId, Event, Outcome, Purpose};
use crate::approval::policy::{Action, Approver, Policy, Vote};
use crate::clock::Now;
use crate::peer::admission::Lists;
use crate::peer::{Node, Origin};

impl Ledger {
    /// Goes on under `policy` and `timings`, where `approvers` were the people before and `lists` has the nodes of now.
    ///
    /// What does not fit any more ends here for good, rather than being looked through at each call: else a third
    /// configuration could bring it back. Nothing gets more than it had: no vote, use or minute is added.
    pub fn reconfigure(
        &mut self,
        now: Now,
        policy: &Policy,
        timings: &Timings,
        approvers: &[Approver],
        lists: &Lists,
    ) -> Vec<Event> {
        let mut events = self.expire(now);
        self.timings = timings.clone();
        // Somebody else under the same name is another person.
        let stays = |approver: &&Approver| policy.approvers.contains(approver);
        let staying: BTreeSet<Box<str>> =
            approvers.iter().filter(stays).map(|approver| approver.name.clone()).collect();
        let counts = |vote: &Vote| staying.contains(&vote.approver);

        let ahead_before = self.ahead_to_keep();
        self.grants.retain_mut(|grant| {
            grant.votes.retain(counts);
            let (lasts, uses) = match (grant.seal_only, &mut grant.ahead) {
                (_, Some(ahead)) => {
                    ahead.votes.retain(|vote| counts(&vote.vote()));
                    ahead.until = ahead.until.min(ahead.at.after(timings.grant_max));
                    (timings.grant_max, MAX_USES)
                }
                (true, None) => (timings.seal_grant_for, timings.seal_grant_uses),
                (false, None) => (timings.lease_max, timings.uses),
            };
            grant.until = grant.until.min(grant.granted_at.after(lasts));
            grant.uses_left = grant.uses_left.min(uses);
            let rule = policy.rule(&grant.node, grant.origin, grant.operation);
            lists.has(&grant.node) && rule.action != Action::Deny && rule.requirement.is_met_by(&grant.votes)
        });

        self.revision += u64::from(ahead_before != self.ahead_to_keep());
        // Votes only get fewer and the requirement stays the same, so that nothing comes into force by this.
        self.pending.retain_mut(|pending| {
            pending.votes.retain(|vote| counts(&vote.vote()));
            !pending.votes.is_empty() && pending.is_still_wanted(policy, lists)
        });

        self.move_refusals(lists);
        let asks_the_same = |ask: &Ask| is_asked(ask, policy, lists);
        let outdated: Vec<AskId> = self.asks.values().filter(|ask| !asks_the_same(ask)).map(|ask| ask.id).collect();
        let closed = outdated.into_iter().filter_map(|id| self.close(id, Outcome::Expired, None, now, Duration::ZERO));
        events.extend(closed.map(Event::Closed));
        for ask in self.asks.values_mut() {
            let before = ask.votes.len();
            ask.votes.retain(counts);
            ask.lease = ask.lease.min(timings.lease_max);
            let is_renamed = rename(ask, lists);
            if ask.votes.len() < before || is_renamed {
                events.push(Event::Changed(ask.clone()));
            }
        }
        events
    }
}

impl Ledger {
    /// What was said no to from somewhere is still refused from there when the node's addresses are others: a no must not
    /// be gone because somebody listed an address, or took one away.
    pub fn move_refusals(&mut self, lists: &Lists) {
        for bound in &mut self.refusals {
            let refusal = &mut bound.refusal;
            let (Some(origin), Some(node)) = (refusal.origin, lists.node(&refusal.node)) else { continue };
            let is_listed =
                |network: &IpNet| node.addresses.iter().any(|one| one.contains(network) || network.contains(one));
            let moved = match origin {
                // From all of those, which nobody knows any more: from everywhere.
                Origin::Listed if node.addresses.is_empty() => None,
                Origin::Listed => Some(Origin::Listed),
                Origin::PerAddress(network) | Origin::OtherAddress(network) if node.addresses.is_empty() => {
                    Some(Origin::PerAddress(network))
                }
                Origin::PerAddress(network) | Origin::OtherAddress(network) if is_listed(&network) => {
                    Some(Origin::Listed)
                }
                Origin::PerAddress(network) | Origin::OtherAddress(network) => Some(Origin::OtherAddress(network)),
            };
            self.revision += u64::from(moved != refusal.origin);
            refusal.origin = moved;
        }
    }
}

/// Gives an unlisted node another name when a listed one has got the name that it would have. Whether it did.
fn rename(ask: &mut Ask, lists: &Lists) -> bool {
    let candidate = lists.candidate(&ask.node.uuid, &ask.peer).filter(|_| ask.purpose == Purpose::Enrolment);
    let Some(candidate) = candidate.filter(|candidate| candidate.name != ask.node.name) else { return false };
    ask.node = candidate;
    true
}

/// Whether it is what would be asked now.
fn is_asked(ask: &Ask, policy: &Policy, lists: &Lists) -> bool {
    match ask.purpose {
        Purpose::Release => {
            let rule = policy.rule(&ask.node, ask.origin, ask.operation);
            lists.has(&ask.node) && rule.action == Action::Ask && rule.requirement == ask.requirement
        }
        Purpose::Enrolment => {
            let candidate = lists.candidate(&ask.node.uuid, &ask.peer);
            // Its name is made up, and another one while a node of that name is listed.
            let is_same = |node: &Node| *node == Node { name: node.name.clone(), ..Node::clone(&ask.node) };
            candidate.is_some_and(|node| is_same(&node)) && policy.requirement(&ask.node) == ask.requirement
        }
    }
}
