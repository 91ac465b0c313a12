//! Nodes that are not listed, and the list that people keep.

use std::collections::BTreeMap;
use std::time::Duration;

use super::act::Answer;
use super::ahead::{MAX_PENDING, Pending, PendingWhat};
use super::{Judgement, Ledger, Reason};
use crate::approval::ask::{Ask, AskId, Call, Event, Fresh, NodeChange, Outcome, Purpose, Voter};
use crate::approval::policy::{Requirement, Vote};
use crate::clock::Now;
use crate::peer::admission::new_name;
use crate::peer::standing::{KeptVote, MAX_NODE_ENTRIES, NodeEntry, Refusal, RefusalKind};
use crate::peer::{ListedNode, Node, Origin};
use crate::request::Operation;

/// Most asks of unlisted nodes that are open at once.
pub const MAX_ENROLMENTS: usize = 4;

/// Most that are opened within an hour, those left out that somebody said yes to: whoever makes up identifiers does not
/// ring all night.
pub const MAX_ENROLMENTS_AN_HOUR: usize = 8;

const HOUR: Duration = Duration::from_secs(3600);

/// A change of the list that people keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A node that is not listed.
    Add(Node),
    /// Another entry for a node.
    Replace {
        /// As it is. When it is so no more, nothing is changed.
        before: Node,
        /// As it shall be. The identifier is the same.
        after: Node,
    },
    /// A node that shall be listed no more.
    Forget(Node),
}

impl Change {
    /// The node that it is about, as it shall be; one that is forgotten, as it was.
    #[must_use]
    pub const fn node(&self) -> &Node {
        match self {
            Self::Add(node) | Self::Replace { after: node, .. } | Self::Forget(node) => node,
        }
    }

    /// What it does to the list.
    const fn kind(&self) -> NodeChange {
        match self {
            Self::Add(_) => NodeChange::Listed,
            Self::Replace { .. } => NodeChange::Changed,
            Self::Forget(_) => NodeChange::Forgotten,
        }
    }
}

/// What became of it.
#[derive(Debug, Clone)]
pub enum ChangeAnswer {
    /// The list is changed.
    Changed(NodeEntry),
    /// It needs more votes: so many by head count.
    Counted(usize),
    /// The person had voted for the same before; nothing changed.
    Repeated(usize),
    /// The list is not as the person saw it; nothing changed.
    Outdated,
}

impl Ledger {
    /// Judges a call for a node that is not listed. Nothing is ever approved here: somebody is asked, or it is refused.
    pub fn judge_enrolment(
        &mut self,
        now: Now,
        call: &Call,
        requirement: &Requirement,
        fresh: Fresh,
    ) -> (Judgement, Vec<Event>) {
        let mut events = self.expire(now);
        let judgement = self.enrolment(now, call, requirement, fresh, &mut events);
        (judgement, events)
    }

    fn enrolment(
        &mut self,
        now: Now,
        call: &Call,
        requirement: &Requirement,
        fresh: Fresh,
        events: &mut Vec<Event>,
    ) -> Judgement {
        if let Some(reason) = self.refused(now, &call.node, call.origin) {
            return Judgement::Refused(reason);
        }
        // Whoever makes identifiers up has another one with each call: a block of the address holds for all of them.
        let is_block = |refusal: &Refusal| refusal.kind == RefusalKind::Block && refusal.origin == Some(call.origin);
        if self.refusals().any(is_block) {
            return Judgement::Refused(Reason::Blocked);
        }
        if requirement.approvers.is_empty() || requirement.quorum == 0 || requirement.from_channels == 0 {
            return Judgement::Refused(Reason::NobodyToAsk);
        }
        let is_same = |ask: &&Ask| {
            ask.purpose == Purpose::Enrolment && ask.node.uuid == call.node.uuid && ask.origin == call.origin
        };
        let joined = self.asks.values().find(is_same).map(|ask| ask.id);
        let id = match joined {
            Some(id) => id,
            None if !self.has_room_for_enrolment(now, call.origin) => {
                return Judgement::Refused(Reason::TooManyEnrolments);
            }
            None => {
                self.enrolments.push_back(now.moment);
                self.open(now, call, requirement.clone(), Purpose::Enrolment, fresh)
            }
        };
        self.wait(now, call, id, joined.is_none(), events)
    }

    /// One for each address, few at once, and not many in an hour.
    fn has_room_for_enrolment(&mut self, now: Now, origin: Origin) -> bool {
        self.enrolments.retain(|opened| now.moment.since(*opened) < HOUR);
        let open = || self.asks.values().filter(|ask| ask.purpose == Purpose::Enrolment);
        open().count() < MAX_ENROLMENTS
            && !open().any(|ask| ask.origin == origin)
            && self.enrolments.len() < MAX_ENROLMENTS_AN_HOUR
    }

    /// Whether `node` can be added to the list.
    pub(super) fn has_room_for_entry(&self, node: &Node) -> bool {
        self.entries.len() < MAX_NODE_ENTRIES && !self.entries.iter().any(|entry| entry.node.uuid == node.uuid)
    }

    /// The name of `node`, with more of its identifier when another one has it.
    fn free_name(&self, node: &Node) -> Box<str> {
        let longer = (12..=60).step_by(4).map(|len| new_name(&node.uuid, len));
        std::iter::once(node.name.clone())
            .chain(longer)
            .find(|name| self.has_name(name, node).is_none())
            .unwrap_or_else(|| node.name.clone())
    }

    /// The other node that has this name.
    fn has_name(&self, name: &str, node: &Node) -> Option<&Node> {
        let others = self.entries.iter().map(|entry| &entry.node);
        others.into_iter().find(|other| *other.name == *name && other.uuid != node.uuid)
    }

    /// Whether two of these are of the same unlisted node, from different addresses. One yes to both says nothing about which
    /// is the node.
    pub(super) fn claim_the_same(&self, asks: &[AskId]) -> bool {
        let mut claims = BTreeMap::new();
        asks.iter()
            .filter_map(|id| self.asks.get(id))
            .filter(|ask| ask.purpose == Purpose::Enrolment)
            .any(|ask| claims.insert(&ask.node.uuid, ask.id).is_some_and(|other| other != ask.id))
    }

    /// A yes to an unlisted node: it is listed, and what it asked to seal is approved.
    pub(super) fn enrol(&mut self, now: Now, id: AskId, by: &Voter, events: &mut Vec<Event>) -> Answer {
        // Before anybody is told of it: what they are told to undo is the node of that name.
        let Some(asked) = self.asks.get(&id).map(|ask| Node::clone(&ask.node)) else { return Answer::Unknown };
        let named = Node { name: self.free_name(&asked), ..asked };
        let lease = self.asks.get_mut(&id).map_or(Duration::ZERO, |ask| {
            ask.node = ListedNode::new(named);
            ask.lease
        });
        let Some(closed) = self.close(id, Outcome::Approved, Some(by.vote.clone()), now, lease) else {
            return Answer::Unknown;
        };
        let entry = self.entry(now, Node::clone(&closed.ask.node), &by.vote);
        self.entries.push(entry.clone());
        // Its place among those of the hour is free again: it was no junk.
        let opened = closed.ask.opened.moment;
        if let Some(at) = self.enrolments.iter().position(|other| *other == opened) {
            self.enrolments.remove(at);
        }
        events.push(Event::Closed(closed.clone()));
        let is_rival = |ask: &&Ask| ask.purpose == Purpose::Enrolment && ask.node.uuid == entry.node.uuid;
        let rivals: Vec<AskId> = self.asks.values().filter(is_rival).map(|ask| ask.id).collect();
        for id in rivals {
            // The identifier has its node. Whoever else claims it calls from another address than is listed for it.
            events.extend(self.close(id, Outcome::Expired, None, now, Duration::ZERO).map(Event::Closed));
        }
        let node = ListedNode::new(entry.node.clone());
        events.push(Event::NodeChanged { entry, change: NodeChange::Listed, by: by.clone() });
        if closed.ask.operation == Operation::Seal {
            self.remember_and_grant(now, &closed, node, Origin::Listed, &by.vote);
        }
        Answer::Decided(Box::new(closed))
    }

    /// Changes the list, or counts the vote for it.
    pub(super) fn change_node(
        &mut self,
        now: Now,
        change: &Change,
        requirement: &Requirement,
        by: &Voter,
        vote: &KeptVote,
        events: &mut Vec<Event>,
    ) -> Answer {
        if !self.is_possible(change) {
            return Answer::NodeChanged(ChangeAnswer::Outdated);
        }
        let is_same = |pending: &Pending| {
            pending.requirement == *requirement
                && matches!(&pending.what, PendingWhat::Change(other) if other == change)
        };
        let at = match self.pending.iter().position(is_same) {
            Some(at) => at,
            None if self.pending.len() >= MAX_PENDING => return Answer::NoRoom,
            None => {
                let (what, requirement) = (PendingWhat::Change(change.clone()), requirement.clone());
                self.pending.push(Pending { what, requirement, votes: vec![], ends: now.moment });
                self.pending.len() - 1
            }
        };
        let Some(pending) = self.pending.get_mut(at) else { return Answer::Unknown };
        let is_new = pending.count(now, vote);
        if pending.is_met() {
            let entry = self.apply(now, change, &by.vote);
            self.forget_pending(change.node());
            events.push(Event::NodeChanged { entry: entry.clone(), change: change.kind(), by: by.clone() });
            return Answer::NodeChanged(ChangeAnswer::Changed(entry));
        }
        let missing = requirement.missing(&pending.votes.iter().map(KeptVote::vote).collect::<Vec<_>>());
        if !is_new {
            return Answer::NodeChanged(ChangeAnswer::Repeated(missing));
        }
        let node = ListedNode::new(change.node().clone());
        events.push(Event::ChangeProposed { node, change: change.kind(), by: by.clone() });
        Answer::NodeChanged(ChangeAnswer::Counted(missing))
    }

    fn is_possible(&self, change: &Change) -> bool {
        match change {
            Change::Add(node) => self.has_room_for_entry(node) && self.has_name(&node.name, node).is_none(),
            Change::Replace { before, after } => {
                before.uuid == after.uuid
                    && self.has_name(&after.name, after).is_none()
                    && self.entries.iter().any(|entry| entry.node == *before)
            }
            Change::Forget(node) => self.entries.iter().any(|entry| entry.node == *node),
        }
    }

    fn apply(&mut self, now: Now, change: &Change, vote: &Vote) -> NodeEntry {
        let entry = self.entry(now, change.node().clone(), vote);
        match change {
            Change::Add(_) => self.entries.push(entry.clone()),
            Change::Replace { after, .. } => {
                let place = self.entries.iter_mut().find(|other| other.node.uuid == after.uuid);
                place.into_iter().for_each(|place| place.clone_from(&entry));
            }
            Change::Forget(node) => self.entries.retain(|other| other.node.uuid != node.uuid),
        }
        entry
    }

    fn entry(&self, now: Now, node: Node, vote: &Vote) -> NodeEntry {
        NodeEntry { node, by: vote.approver.clone(), channel: vote.channel.clone(), at: now.wall }
    }
}
