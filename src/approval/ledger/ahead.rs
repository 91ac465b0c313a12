//! Grants that are given before anything asks for them, and the end of grants.

use std::time::Duration;

use super::act::Answer;
use super::grant::Grant;
use super::{Ledger, Timings};
use crate::approval::ask::{Ask, AskId, Event, Fresh, LiveGrant, Outcome, Proposal, Purpose, Terms, Voter};
use crate::approval::policy::{Action, Policy, Requirement, Rule, Vote};
use crate::clock::{Moment, Now};
use crate::peer::admission::Lists;
use crate::peer::standing::{KeptVote, LastApproval, MAX_GRANTS_AHEAD, Refusal};
use crate::peer::{ListedNode, Node, Origin};
use crate::request::{Fingerprint, NodeUuid, Operation};

/// How long what has some of its votes waits for the others, after the last of them.
pub const PENDING_FOR: Duration = Duration::from_secs(10 * 60);

/// Most of what waits for votes at once: every node of the largest installation once.
pub const MAX_PENDING: usize = 4096;

/// Most releases that one grant ahead is good for.
pub const MAX_USES: u32 = 1024;

/// A grant ahead that a person wants for one node.
#[derive(Debug, Clone)]
pub struct GrantWanted {
    /// Whose.
    pub node: ListedNode,
    /// From where, when it was said.
    pub origin: Option<Origin>,
    /// The rule for unlocking that node from where it is listed.
    pub rule: Rule,
    /// For the id and the code.
    pub fresh: Fresh,
}

/// What became of one.
#[derive(Debug, Clone)]
pub enum GrantAnswer {
    /// It is in force.
    Granted(LiveGrant),
    /// It needs more votes.
    Counted(Proposal),
    /// The person had voted for it before. At most it has become less.
    Repeated(Proposal),
    /// The rule denies: nothing would be released.
    DenyRule,
    /// The node is denied or blocked from there: nothing would be released.
    Refused(Refusal),
    /// Nobody knows from where the node will call.
    NoAddress,
    /// The node may not call from there.
    OtherAddress,
}

/// Which grants a person wants to end.
#[derive(Debug, Clone)]
pub enum WhichGrants {
    /// Those of these nodes, and what waits for votes about them.
    Nodes(Vec<NodeUuid>),
    /// This one.
    One(AskId),
}

/// What was revoked.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Grants that were in force.
    pub ended: Vec<LiveGrant>,
    /// Those that waited for more votes.
    pub withdrawn: Vec<Proposal>,
}

/// Something that has some of the votes that it needs.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) what: PendingWhat,
    pub(super) requirement: Requirement,
    pub(super) votes: Vec<KeptVote>,
    pub(super) ends: Moment,
}

#[derive(Debug, Clone)]
pub(super) enum PendingWhat {
    Grant { node: ListedNode, origin: Origin, lasts: Duration, uses: u32 },
    Change(super::enrolment::Change),
}

impl Pending {
    /// Whether the votes are enough.
    pub(super) fn is_met(&self) -> bool {
        self.requirement.is_met_by(&self.votes.iter().map(KeptVote::vote).collect::<Vec<_>>())
    }

    /// Adds a vote; `false` when the person had voted so through this channel before.
    pub(super) fn count(&mut self, now: Now, vote: &KeptVote) -> bool {
        self.ends = now.moment.after(PENDING_FOR);
        let is_new = !self.votes.iter().any(|other| other.is_of(&vote.approver, &vote.channel));
        if is_new {
            self.votes.push(vote.clone());
        }
        is_new
    }

    /// As people are told of it, when it is a grant.
    pub(super) fn proposal(&self) -> Option<Proposal> {
        let PendingWhat::Grant { node, origin, lasts, uses } = &self.what else { return None };
        Some(Proposal {
            node: ListedNode::clone(node),
            origin: *origin,
            lasts: *lasts,
            uses: *uses,
            votes: self.votes.iter().map(KeptVote::vote).collect(),
            requirement: self.requirement.clone(),
        })
    }

    /// Whether under this configuration it would need the same votes.
    pub(super) fn is_still_wanted(&self, policy: &Policy, lists: &Lists) -> bool {
        match &self.what {
            PendingWhat::Grant { node, origin, .. } => {
                let rule = policy.rule(node, *origin, Operation::Unseal);
                lists.has(node) && rule.action != Action::Deny && rule.requirement == self.requirement
            }
            PendingWhat::Change(change) => policy.requirement_for_entry(change.node()) == self.requirement,
        }
    }

    fn is_about(&self, node: &Node) -> bool {
        match &self.what {
            PendingWhat::Grant { node: other, .. } => other.uuid == node.uuid,
            PendingWhat::Change(change) => change.node().uuid == node.uuid,
        }
    }
}

impl Ledger {
    /// The grants ahead that wait for votes.
    pub fn proposals(&self) -> impl Iterator<Item = Proposal> {
        self.pending.iter().filter_map(Pending::proposal)
    }

    /// Gives each of `wanted`, or counts the vote for it.
    pub(super) fn grant_ahead(
        &mut self,
        now: Now,
        wanted: &[GrantWanted],
        by: &Voter,
        vote: &KeptVote,
        (lasts, uses): (Option<Duration>, Option<u32>),
        events: &mut Vec<Event>,
    ) -> Answer {
        if let Some(lock) = &self.lock {
            return Answer::IsLocked(lock.clone());
        }
        let Timings { grant_for, grant_max, grant_uses, .. } = self.timings;
        let lasts = lasts.unwrap_or(grant_for).min(grant_max);
        let uses = uses.unwrap_or(grant_uses).clamp(1, MAX_USES);
        let before = self.clone();
        let told = events.len();
        let mut answers = Vec::with_capacity(wanted.len());
        for one in wanted {
            let Some(answer) = self.grant_one(now, one, by, vote, (lasts, uses), events) else {
                // All or nothing: who reads half of a list as the whole is locked out by the other half.
                *self = before;
                events.truncate(told);
                return Answer::NoRoom;
            };
            answers.push((ListedNode::clone(&one.node), answer));
        }
        Answer::Granted(answers)
    }

    /// `None` when there is no room for it.
    fn grant_one(
        &mut self,
        now: Now,
        wanted: &GrantWanted,
        by: &Voter,
        vote: &KeptVote,
        (lasts, uses): (Duration, u32),
        events: &mut Vec<Event>,
    ) -> Option<GrantAnswer> {
        let GrantWanted { node, rule, .. } = wanted;
        let origin = match wanted.origin.or_else(|| self.usual_origin(node)) {
            None => return Some(GrantAnswer::NoAddress),
            Some(Origin::OtherAddress(_)) => return Some(GrantAnswer::OtherAddress),
            Some(origin) => origin,
        };
        if rule.action == Action::Deny {
            return Some(GrantAnswer::DenyRule);
        }
        if let Some(bound) = self.refusals.iter().find(|bound| bound.refusal.binds(node, origin)) {
            return Some(GrantAnswer::Refused(bound.refusal.clone()));
        }
        let is_same = |pending: &Pending| {
            pending.requirement == rule.requirement
                && matches!(&pending.what, PendingWhat::Grant { node: other, origin: from, .. } if other == node && *from == origin)
        };
        let at = match self.pending.iter().position(is_same) {
            Some(at) => at,
            None if self.pending.len() >= MAX_PENDING => return None,
            None => {
                let what = PendingWhat::Grant { node: ListedNode::clone(node), origin, lasts, uses };
                let requirement = rule.requirement.clone();
                self.pending.push(Pending { what, requirement, votes: vec![], ends: now.moment });
                self.pending.len() - 1
            }
        };
        let pending = self.pending.get_mut(at)?;
        let is_new = pending.count(now, vote);
        let mut is_less = false;
        if let PendingWhat::Grant { lasts: shortest, uses: fewest, .. } = &mut pending.what {
            is_less = lasts < *shortest || uses < *fewest;
            *shortest = lasts.min(*shortest);
            *fewest = uses.min(*fewest);
        }
        if pending.is_met() {
            let Pending { what: PendingWhat::Grant { lasts, uses, .. }, votes, .. } = self.pending.remove(at) else {
                return None;
            };
            return self.give(now, wanted, origin, by, votes, (lasts, uses), events);
        }
        let proposal = pending.proposal()?;
        if is_new || is_less {
            events.push(Event::Proposed { proposal: proposal.clone(), by: by.clone() });
        }
        Some(if is_new { GrantAnswer::Counted(proposal) } else { GrantAnswer::Repeated(proposal) })
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of what was decided")]
    fn give(
        &mut self,
        now: Now,
        wanted: &GrantWanted,
        origin: Origin,
        by: &Voter,
        votes: Vec<KeptVote>,
        terms: (Duration, u32),
        events: &mut Vec<Event>,
    ) -> Option<GrantAnswer> {
        let node = &wanted.node;
        // Another grant ahead for the same takes the place of the one before.
        let is_same = |grant: &Grant| grant.ahead.is_some() && grant.node.uuid == node.uuid && grant.origin == origin;
        self.grants.retain(|grant| !is_same(grant));
        if self.grants.iter().filter(|grant| grant.ahead.is_some()).count() >= MAX_GRANTS_AHEAD {
            return None;
        }
        let named = (wanted.fresh.id, self.free_code(wanted.fresh.code));
        let counted: Vec<Vote> = votes.iter().map(KeptVote::vote).collect();
        let grant = Grant::ahead(named, ListedNode::clone(node), origin, votes, terms, now);
        let shown = grant.shown(now);
        self.grants.push(grant);
        events.push(Event::Granted { grant: shown.clone(), by: by.clone() });
        let answered = self.answered((&node.uuid, origin), &counted, |_| true);
        events.extend(self.close_answered(now, answered, &by.vote, terms.0));
        let by = by.vote.approver.clone();
        self.remember_approval(LastApproval { node: node.uuid.clone(), origin, by, at: now.wall });
        Some(GrantAnswer::Granted(shown))
    }

    /// Closes what is open although the grant ahead behind `terms` answers it: it was opened while no use of it could be saved.
    /// When `blob` took the last use, what is asked for other blobs still needs its answer; and so does what somebody answers
    /// at this moment.
    pub fn close_served(&mut self, now: Now, terms: &Terms, blob: Option<Fingerprint>) -> Vec<Event> {
        let id = terms.grant.as_ref().map(|grant| grant.ask);
        let grant = self.grants.iter().find(|grant| Some(grant.ask) == id && grant.ahead.is_some());
        let Some((grant, by)) = grant.and_then(|grant| Some((grant, grant.votes.last()?.clone()))) else {
            return vec![];
        };
        let lasts = now.moment.until(grant.until);
        let is_served = |ask: &Ask| {
            let is_of_it = !ask.blobs.is_empty() && ask.blobs.iter().all(|other| Some(*other) == blob);
            (grant.uses_left > 0 || is_of_it) && !self.answering.contains(&ask.id)
        };
        let served = self.answered((&grant.node.uuid, grant.origin), &grant.votes, is_served);
        self.close_answered(now, served, &by, lasts)
    }

    /// What is asked about just what these votes answer, as far as it is `meant`.
    fn answered(&self, of: (&NodeUuid, Origin), votes: &[Vote], meant: impl Fn(&Ask) -> bool) -> Vec<AskId> {
        let is_answered = |ask: &&Ask| {
            ask.purpose == Purpose::Release
                && (&ask.node.uuid, ask.origin) == of
                && ask.requirement.is_met_by(votes)
                && meant(ask)
        };
        self.asks.values().filter(is_answered).map(|ask| ask.id).collect()
    }

    /// Left open, somebody would be reminded of it.
    fn close_answered(&mut self, now: Now, answered: Vec<AskId>, by: &Vote, lasts: Duration) -> Vec<Event> {
        let closed =
            answered.into_iter().filter_map(|id| self.close(id, Outcome::Approved, Some(by.clone()), now, lasts));
        closed.map(Event::Closed).collect()
    }

    /// From where `node` will call: its listed addresses; when it lists none, the address where it was approved last.
    fn usual_origin(&self, node: &Node) -> Option<Origin> {
        if !node.addresses.is_empty() {
            return Some(Origin::Listed);
        }
        let there = |origin: &Origin| matches!(origin, Origin::PerAddress(_));
        let mine = self.approvals.values().filter(|last| last.node == node.uuid && there(&last.origin));
        mine.max_by_key(|last| last.at).map(|last| last.origin)
    }

    /// Ends grants, whoever gave them and however. What is under way under them is not released any more.
    pub(super) fn revoke(&mut self, now: Now, which: &WhichGrants, by: &Voter, events: &mut Vec<Event>) -> Answer {
        let is_meant = |grant: &Grant| match which {
            WhichGrants::Nodes(nodes) => nodes.contains(&grant.node.uuid),
            WhichGrants::One(id) => grant.ask == *id,
        };
        let (ended, kept): (Vec<Grant>, Vec<Grant>) = std::mem::take(&mut self.grants).into_iter().partition(is_meant);
        self.grants = kept;
        let ended: Vec<LiveGrant> = ended.iter().map(|grant| grant.shown(now)).collect();
        let mut withdrawn = vec![];
        if let WhichGrants::Nodes(nodes) = which {
            self.pending.retain(|pending| {
                let meant = pending.proposal().filter(|proposal| nodes.contains(&proposal.node.uuid));
                let is_kept = meant.is_none();
                withdrawn.extend(meant);
                is_kept
            });
        }
        if !ended.is_empty() || !withdrawn.is_empty() {
            events.push(Event::Revoked { ended: ended.clone(), withdrawn: withdrawn.clone(), by: by.clone() });
        }
        Answer::Revoked(Ended { ended, withdrawn })
    }

    /// Takes back what waits for votes about `node`.
    pub(super) fn forget_pending(&mut self, node: &Node) {
        self.pending.retain(|pending| !pending.is_about(node));
    }
}
