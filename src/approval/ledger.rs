//! Asks, grants and refusals, and the order in which a call is judged by them. Pure: every decision is a function of
//! the ledger, its arguments and the time that is passed in.

pub mod act;
mod ahead;
mod enrolment;
mod grant;
mod lock;
mod reconfigure;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use self::act::Act;
use self::ahead::Pending;
pub use self::ahead::{MAX_PENDING, PENDING_FOR};
pub use self::enrolment::{MAX_ENROLMENTS, MAX_ENROLMENTS_AN_HOUR};
use self::grant::Grant;
use super::ask::{
    Ask, AskId, Call, ClosedAsk, Event, Fresh, LiveGrant, MAX_BLOBS, MatchCode, Outcome, Purpose, Terms, Warning,
};
use super::policy::{Action, Requirement, Rule, Vote};
use crate::clock::{Moment, Now};
use crate::peer::standing::{GrantAhead, LastApproval, Lock, NodeEntry, Refusal, RefusalKind, Standing};
use crate::peer::{ListedNode, Origin};
use crate::request::{Fingerprint, NodeUuid, Operation};

/// How long things last and how often they may be used. The configuration gives the ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// How long a call is held for an answer.
    pub hold: Duration,
    /// How much of the client's own deadline is left to it when a held call ends without an answer.
    pub release_margin: Duration,
    /// How long a grant lives when its voter says nothing else.
    pub lease: Duration,
    /// The longest lease that a voter may give.
    pub lease_max: Duration,
    /// Releases that one grant is good for.
    pub uses: u32,
    /// How long a denial binds.
    pub deny_for: Duration,
    /// How long a block binds.
    pub block_for: Duration,
    /// How long after an ask was opened the waiting text still changes with each call.
    pub poll_for: Duration,
    /// How long an ask stays open when the node stopped asking.
    pub ask_ttl: Duration,
    /// How long an approved Seal that nobody collected stays approved, from the vote.
    pub seal_grant_for: Duration,
    /// Seals that such a grant is good for.
    pub seal_grant_uses: u32,
    /// How long a grant ahead lives when its voter says nothing else.
    pub grant_for: Duration,
    /// The longest that a voter may give ahead.
    pub grant_max: Duration,
    /// Releases that a grant ahead is good for when its voter says nothing else.
    pub grant_uses: u32,
}

impl Default for Timings {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            hold: Duration::from_secs(5),
            release_margin: Duration::from_secs(5),
            lease: minutes(5),
            lease_max: minutes(60),
            uses: 32,
            deny_for: minutes(60),
            block_for: minutes(24 * 60),
            poll_for: minutes(3),
            ask_ttl: minutes(10),
            seal_grant_for: minutes(24 * 60),
            seal_grant_uses: 8,
            grant_for: minutes(30),
            grant_max: minutes(24 * 60),
            grant_uses: 8,
        }
    }
}

/// Open asks of calls from anywhere but a node's listed addresses and those where it was approved before, all together.
/// At these each node has room of its own, which nobody else can take.
pub const MAX_SHARED_ASKS: usize = 16;
/// Of those, asks for one node.
pub const MAX_SHARED_ASKS_PER_NODE: usize = 2;
/// Of those, asks from one address (IPv6: /64) that is not one of those listed for the node.
pub const MAX_SHARED_ASKS_PER_NETWORK: usize = 2;
/// Of those, asks from one address (IPv6: /64) for nodes that list no addresses.
pub const MAX_SHARED_ASKS_PER_NETWORK_OF_MANY: usize = 8;
/// Closed asks that are remembered, so that a late answer can be told what happened.
pub const MAX_CLOSED: usize = 256;
/// Denials and blocks in force.
pub const MAX_REFUSALS: usize = 4096;
/// Longest denial or block.
pub const MAX_REFUSAL: Duration = Duration::from_secs(366 * 24 * 3600);
/// How long a call from a second address is worth a warning.
const SECOND_ADDRESS_FOR: Duration = Duration::from_secs(3600);
/// Origins that are remembered of one node for that warning.
const MAX_ORIGINS: usize = 4;
/// Shortest time between two events that only tell of more attempts.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What is to be done with a call, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It may be released; one use of its grant is spent.
    Approved(Terms),
    /// It is refused, for a reason that a person's answer to this call would not change.
    Refused(Reason),
    /// Somebody is asked.
    Waiting {
        /// The ask.
        ask: AskId,
        /// Its name for people.
        code: MatchCode,
        /// How often the node has asked.
        attempts: u32,
        /// Whether the ask is so old that the text shall not change any more.
        steady: bool,
    },
}

/// Why a call is refused without an answer to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// The node, or the node from there, is blocked.
    #[error("a person blocked the node")]
    Blocked,
    /// A person denied the ask.
    #[error("a person denied the request")]
    Denied,
    /// Everything is refused.
    #[error("everything is locked")]
    Locked,
    /// The rule is `granted`, and there is no grant.
    #[error("the rule is `granted`, and there is no grant")]
    NoGrant,
    /// The rule asks, and nobody may answer.
    #[error("the rule asks, and nobody may approve")]
    NobodyToAsk,
    /// The address is not listed for the node, and the rule refuses such.
    #[error("the address is not listed for the node")]
    OtherAddress,
    /// The rule is `deny`.
    #[error("the rule is `deny`")]
    Rule,
    /// Approved, but the answer would not reach the node in time.
    #[error("approved, but too little of the call's time was left")]
    TooLate,
    /// There is no room for another ask.
    #[error("too many open asks")]
    TooManyAsks,
    /// There is no room for another unlisted node that wants to be listed.
    #[error("too many unlisted nodes want to be listed")]
    TooManyEnrolments,
}

/// A refusal, and when it ends by a clock that does not jump.
#[derive(Debug, Clone)]
struct Bound {
    refusal: Refusal,
    ends: Moment,
}

/// All asks, grants and refusals.
#[derive(Debug, Clone)]
pub struct Ledger {
    timings: Timings,
    asks: BTreeMap<AskId, Ask>,
    closed: VecDeque<ClosedAsk>,
    grants: Vec<Grant>,
    refusals: Vec<Bound>,
    approvals: BTreeMap<(NodeUuid, Origin), LastApproval>,
    origins: BTreeMap<NodeUuid, Vec<(Origin, Moment)>>,
    /// The asks that a person is answering: they do not expire between the record and the effect.
    answering: BTreeSet<AskId>,
    /// When what a person does was rehearsed: until its effect, votes and refusals expire by that time.
    rehearsed: Option<Moment>,
    lock: Option<Lock>,
    entries: Vec<NodeEntry>,
    /// What has some of the votes that it needs.
    pending: Vec<Pending>,
    /// When asks of unlisted nodes were opened, within the last hour.
    enrolments: VecDeque<Moment>,
    /// Counts the changes of what is remembered that are not an act's.
    revision: u64,
}

impl Ledger {
    /// A ledger that starts with what is remembered from before.
    ///
    /// The rest of each refusal is what the wall clock says, but never more than its whole length: a clock that was
    /// set back does not lengthen it. A grant ahead goes on only when `still_given` knows its node and its votes, and is void
    /// when the clock says that it is from the future.
    #[must_use]
    pub fn new(
        timings: Timings,
        standing: Standing,
        now: Now,
        still_given: impl Fn(&GrantAhead) -> Option<ListedNode>,
    ) -> Self {
        let bound = |refusal: Refusal| {
            let whole = refusal.at.until(refusal.until);
            Bound { ends: now.moment.after(now.wall.until(refusal.until).min(whole)), refusal }
        };
        let kept = standing.grants.len();
        let grants: Vec<Grant> = standing
            .grants
            .into_iter()
            // A lock has ended whatever was approved before it.
            .filter(|_| standing.lock.is_none())
            .filter_map(|ahead| Grant::kept(still_given(&ahead)?, ahead, timings.grant_max, now))
            .collect();
        Self {
            timings,
            asks: BTreeMap::new(),
            closed: VecDeque::new(),
            // What is void is to be saved as such: else another clock or configuration could bring it back.
            revision: u64::from(grants.len() < kept),
            grants,
            refusals: standing.refusals.into_iter().map(bound).collect(),
            approvals: standing
                .approvals
                .into_iter()
                .map(|approval| ((approval.node.clone(), approval.origin), approval))
                .collect(),
            origins: BTreeMap::new(),
            answering: BTreeSet::new(),
            rehearsed: None,
            lock: standing.lock,
            entries: standing.nodes,
            pending: Vec::new(),
            enrolments: VecDeque::new(),
        }
    }

    /// What is to be remembered beyond a restart.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            refusals: self.refusals.iter().map(|bound| bound.refusal.clone()).collect(),
            approvals: self.approvals.values().cloned().collect(),
            lock: self.lock.clone(),
            grants: self.ahead_to_keep(),
            nodes: self.entries.clone(),
        }
    }

    /// Counts what changed in [`Self::standing`] beside people's acts: uses of grants ahead that were spent or given back,
    /// and grants ahead that ended.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether everything is refused.
    #[must_use]
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// The nodes that people listed.
    #[must_use]
    pub fn entries(&self) -> &[NodeEntry] {
        &self.entries
    }

    /// The open asks, oldest first.
    #[must_use]
    pub fn asks(&self) -> Vec<Ask> {
        let mut asks: Vec<Ask> = self.asks.values().cloned().collect();
        asks.sort_by_key(|ask| ask.opened.moment);
        asks
    }

    /// How many asks are open.
    #[must_use]
    pub fn asks_open(&self) -> usize {
        self.asks.len()
    }

    /// The grants that are live, oldest first.
    pub fn grants(&self, now: Now) -> impl Iterator<Item = LiveGrant> {
        let is_live = move |grant: &&Grant| !grant.is_over(now) && grant.uses_left > 0;
        self.grants.iter().filter(is_live).map(move |grant| grant.shown(now))
    }

    /// The asks that were closed last, at most `count`, newest last.
    #[must_use]
    pub fn closed_last(&self, count: usize) -> Vec<ClosedAsk> {
        self.closed.iter().skip(self.closed.len().saturating_sub(count)).cloned().collect()
    }

    /// Keeps what `act` is about as it was when it was rehearsed, until its effect: else the effect is another than the one
    /// that was recorded and saved. `None` when there is no such act any more.
    pub fn set_acting(&mut self, act: Option<(Now, &Act)>) {
        self.answering = act.map(|(_, act)| act.answers()).unwrap_or_default().iter().copied().collect();
        self.rehearsed = act.map(|(rehearsed, _)| rehearsed.moment);
    }

    /// Gives the use back that was spent on something that could not be sealed or opened.
    pub fn give_back(&mut self, terms: &Terms) {
        if let Some(grant) = self.grant_of(terms) {
            grant.give_back();
            self.revision += u64::from(terms.is_ahead());
        }
    }

    /// Whether the grant that `terms` spent a use of is still there and has not run out.
    #[must_use]
    pub fn still_grants(&self, now: Now, terms: &Terms) -> bool {
        terms
            .grant
            .as_ref()
            .is_none_or(|spent| self.grants.iter().any(|grant| grant.ask == spent.ask && !grant.is_over(now)))
    }

    /// The use that `terms` spent was for a release that is on record.
    pub fn settle(&mut self, terms: &Terms) {
        if let Some(grant) = self.grant_of(terms) {
            grant.settle();
        }
    }

    /// The grant that `terms` are of, if there is still one.
    fn grant_of(&mut self, terms: &Terms) -> Option<&mut Grant> {
        let ask = terms.grant.as_ref()?.ask;
        self.grants.iter_mut().find(|grant| grant.ask == ask)
    }

    /// The denials and blocks in force.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.refusals.iter().map(|bound| &bound.refusal)
    }

    /// The last approval of each node, from wherever it called.
    #[must_use]
    pub fn last_approvals(&self) -> HashMap<NodeUuid, LastApproval> {
        let mut last = HashMap::<NodeUuid, LastApproval>::new();
        for approval in self.approvals.values() {
            if last.get(&approval.node).is_none_or(|other| other.at <= approval.at) {
                last.insert(approval.node.clone(), approval.clone());
            }
        }
        last
    }

    /// Whether asks or grants are open that would be lost with the process.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let is_lost = |grant: &Grant| grant.ahead.is_none() || grant.under_way > 0;
        self.asks.is_empty() && self.pending.is_empty() && !self.grants.iter().any(is_lost)
    }

    /// What people said no with to `node` at `origin`, as far as it is in force.
    #[must_use]
    pub fn refused(&self, now: Now, node: &ListedNode, origin: Origin) -> Option<Reason> {
        if self.lock.is_some() {
            return Some(Reason::Locked);
        }
        let is_so = |kind| {
            let binds = |bound: &Bound| bound.refusal.kind == kind && bound.refusal.binds(node, origin);
            self.refusals.iter().any(|bound| now.moment < bound.ends && binds(bound))
        };
        let kinds = [(RefusalKind::Block, Reason::Blocked), (RefusalKind::Denial, Reason::Denied)];
        kinds.into_iter().find_map(|(kind, reason)| is_so(kind).then_some(reason))
    }

    /// Judges one call by `rule`: lock, deny rule, block, denial, grant, allow rule, ask, in this order, and so again at
    /// every release. May open an ask; what the record and the channels must hear of it comes with the judgement.
    pub fn judge(&mut self, now: Now, call: &Call, rule: &Rule, fresh: Fresh) -> (Judgement, Vec<Event>) {
        let mut events = self.expire(now);
        let judgement = self.judge_in_order(now, call, rule, fresh, &mut events);
        (judgement, events)
    }

    fn judge_in_order(
        &mut self,
        now: Now,
        call: &Call,
        rule: &Rule,
        fresh: Fresh,
        events: &mut Vec<Event>,
    ) -> Judgement {
        if self.lock.is_some() {
            return Judgement::Refused(Reason::Locked);
        }
        self.remember_origin(now.moment, call, events);
        if rule.action == Action::Deny {
            let other_address = matches!(call.origin, Origin::OtherAddress(_));
            return Judgement::Refused(if other_address { Reason::OtherAddress } else { Reason::Rule });
        }
        if let Some(reason) = self.refused(now, &call.node, call.origin) {
            return Judgement::Refused(reason);
        }
        // What a person has just approved is used before what was approved ahead.
        let serves = |grant: &&mut Grant| grant.serves(now, call, rule);
        let serving = self.grants.iter_mut().filter(serves).min_by_key(|grant| grant.ahead.is_some());
        match (serving, rule.action) {
            (Some(_), _) | (None, Action::Allow) if !call.in_time => Judgement::Refused(Reason::TooLate),
            (Some(grant), _) => {
                let terms = grant.spend();
                self.revision += u64::from(terms.is_ahead());
                Judgement::Approved(terms)
            }
            (None, Action::Allow) => Judgement::Approved(Terms { grant: None }),
            (None, Action::Granted) => Judgement::Refused(Reason::NoGrant),
            (None, Action::Ask) => self.join_or_open(now, call, rule, fresh, events),
            (None, Action::Deny) => Judgement::Refused(Reason::Rule),
        }
    }

    fn join_or_open(&mut self, now: Now, call: &Call, rule: &Rule, fresh: Fresh, events: &mut Vec<Event>) -> Judgement {
        if rule.requirement.approvers.is_empty() || rule.requirement.quorum == 0 || rule.requirement.from_channels == 0
        {
            return Judgement::Refused(Reason::NobodyToAsk);
        }
        let (node, origin, operation) = (&call.node.uuid, call.origin, call.operation);
        let is_about = |ask: &Ask, operation| {
            ask.purpose == Purpose::Release
                && ask.node.uuid == *node
                && ask.origin == origin
                && ask.operation == operation
        };
        // The rule changed since the ask was opened: what people were asked is not what must be answered now.
        let outdated: Vec<AskId> = self
            .asks
            .values()
            .filter(|ask| is_about(ask, operation) && ask.requirement != rule.requirement)
            .map(|ask| ask.id)
            .collect();
        for id in outdated {
            events.extend(self.close(id, Outcome::Expired, None, now, Duration::ZERO).map(Event::Closed));
        }
        // A yes to unlocking the node includes a seal; a yes to a seal does not include unlocking.
        let wider = (operation == Operation::Seal)
            .then(|| {
                self.asks.values().find(|ask| is_about(ask, Operation::Unseal) && ask.requirement == rule.requirement)
            })
            .flatten();
        let joined = self.asks.values().find(|ask| is_about(ask, operation)).or(wider).map(|ask| ask.id);
        let id = match joined {
            Some(id) => id,
            None if !self.has_room(call) => return Judgement::Refused(Reason::TooManyAsks),
            None => self.open(now, call, rule.requirement.clone(), Purpose::Release, fresh),
        };
        self.wait(now, call, id, joined.is_none(), events)
    }

    /// Counts the call on the ask that it waits for, which is new when `opened`.
    fn wait(&mut self, now: Now, call: &Call, id: AskId, opened: bool, events: &mut Vec<Event>) -> Judgement {
        let poll_for = self.timings.poll_for;
        let Some(ask) = self.asks.get_mut(&id) else { return Judgement::Refused(Reason::TooManyAsks) };
        if !call.held {
            ask.count(now, call);
        }
        if opened {
            ask.last_told = now.moment;
            events.push(Event::Opened(ask.clone()));
        } else if now.moment.since(ask.last_told) >= TELL_EVERY {
            ask.last_told = now.moment;
            events.push(Event::Changed(ask.clone()));
        }
        let steady = now.moment.since(ask.opened.moment) >= poll_for;
        Judgement::Waiting { ask: id, code: ask.code, attempts: ask.attempts, steady }
    }

    /// Whether another ask may be opened. At a node's listed addresses, and where a person approved it before, there
    /// always may: one for each operation is all there can be.
    fn has_room(&self, call: &Call) -> bool {
        if self.has_reserved_room(&call.node.uuid, call.origin) {
            return true;
        }
        let is_shared =
            |ask: &&Ask| ask.purpose == Purpose::Release && !self.has_reserved_room(&ask.node.uuid, ask.origin);
        let shared = || self.asks.values().filter(is_shared);
        let per_network = match call.origin {
            Origin::OtherAddress(_) => MAX_SHARED_ASKS_PER_NETWORK,
            // Several nodes may share an IPv6 /64, or an address behind NAT, and boot together.
            Origin::Listed | Origin::PerAddress(_) => MAX_SHARED_ASKS_PER_NETWORK_OF_MANY,
        };
        shared().count() < MAX_SHARED_ASKS
            && shared().filter(|ask| ask.node.uuid == call.node.uuid).count() < MAX_SHARED_ASKS_PER_NODE
            && shared().filter(|ask| ask.peer.network() == call.peer.network()).count() < per_network
    }

    fn has_reserved_room(&self, node: &NodeUuid, origin: Origin) -> bool {
        origin == Origin::Listed || self.approvals.contains_key(&(node.clone(), origin))
    }

    /// A code that none of the asks and grants has that people may still name.
    fn free_code(&self, begin: u16) -> MatchCode {
        let taken: BTreeSet<MatchCode> = self
            .asks
            .values()
            .map(|ask| ask.code)
            .chain(self.closed.iter().map(|closed| closed.ask.code))
            .chain(self.grants.iter().map(|grant| grant.code))
            .collect();
        let mut code = MatchCode::from_number(begin);
        // There are more codes than open and remembered asks of any number of nodes that one person looks after; if
        // not, two asks share a code, and the id still tells them apart.
        for _ in 0..MatchCode::COUNT {
            if !taken.contains(&code) {
                break;
            }
            code = code.next();
        }
        code
    }

    fn open(&mut self, now: Now, call: &Call, requirement: Requirement, purpose: Purpose, fresh: Fresh) -> AskId {
        let code = self.free_code(fresh.code);
        let last_approval = self.approvals.get(&(call.node.uuid.clone(), call.origin)).cloned();
        let second_address =
            self.origins.get(&call.node.uuid).is_some_and(|seen| seen.iter().any(|(origin, _)| *origin != call.origin));
        let was_elsewhere = matches!(call.origin, Origin::PerAddress(_))
            && self.approvals.keys().any(|(node, origin)| *node == call.node.uuid && *origin != call.origin);
        let warnings = [
            (last_approval.is_none() && purpose == Purpose::Release, Warning::NewAddress),
            (matches!(call.origin, Origin::OtherAddress(_)), Warning::OtherAddress),
            (second_address, Warning::SecondAddress),
            (last_approval.is_none() && was_elsewhere && purpose == Purpose::Release, Warning::Moved),
        ];
        let ask = Ask {
            id: fresh.id,
            code,
            purpose,
            node: ListedNode::clone(&call.node),
            origin: call.origin,
            peer: call.peer,
            operation: call.operation,
            requirement,
            votes: vec![],
            lease: self.timings.lease_max,
            lease_named: false,
            opened: now,
            last_attempt: now,
            last_told: now.moment,
            attempts: 0,
            blobs: BTreeSet::new(),
            warnings: warnings.into_iter().filter_map(|(applies, warning)| applies.then_some(warning)).collect(),
            recorded: false,
            last_approval,
        };
        self.asks.insert(fresh.id, ask);
        fresh.id
    }

    fn remember_origin(&mut self, now: Moment, call: &Call, events: &mut Vec<Event>) {
        // Whoever asks first must not have the cleaner prompt: the other asks of the node get the warning too.
        for ask in self.asks.values_mut() {
            if ask.purpose == Purpose::Release
                && ask.node.uuid == call.node.uuid
                && ask.origin != call.origin
                && !ask.warnings.contains(&Warning::SecondAddress)
            {
                ask.warnings.push(Warning::SecondAddress);
                events.push(Event::Changed(ask.clone()));
            }
        }
        let seen = self.origins.entry(call.node.uuid.clone()).or_default();
        seen.retain(|(origin, at)| *origin != call.origin && now.since(*at) < SECOND_ADDRESS_FOR);
        if seen.len() >= MAX_ORIGINS {
            seen.remove(0);
        }
        seen.push((call.origin, now));
    }

    /// Lets people be told of an ask: its opening is on record. `false` when it is open no more.
    pub fn set_recorded(&mut self, id: AskId) -> bool {
        self.asks.get_mut(&id).is_some_and(|ask| {
            ask.recorded = true;
            true
        })
    }

    /// Takes back an ask that could not be recorded: nobody was told of it.
    pub fn forget(&mut self, id: AskId) {
        self.asks.remove(&id);
    }

    /// Lets a grant from a Seal unseal `blob`, which was sealed under it.
    pub fn sealed_under(&mut self, terms: &Terms, blob: Fingerprint) {
        if let Some(grant) = self.grant_of(terms) {
            grant.sealed.insert(blob);
        }
    }

    /// Closes asks that nobody asks any more, and ends what has run out.
    pub fn expire(&mut self, now: Now) -> Vec<Event> {
        let (ttl, seal_for, seal_uses) =
            (self.timings.ask_ttl, self.timings.seal_grant_for, self.timings.seal_grant_uses);
        let for_acts = self.rehearsed.unwrap_or(now.moment);
        self.refusals.retain(|bound| for_acts < bound.ends);
        self.pending.retain(|pending| for_acts < pending.ends);
        for grant in &mut self.grants {
            let uncollected =
                grant.operation == Operation::Seal && !grant.used && !grant.seal_only && !grant.ends_with_lease;
            if grant.until <= now.moment && uncollected {
                grant.seal_only = true;
                grant.until = grant.granted_at.after(seal_for);
                grant.uses_left = seal_uses;
            }
        }
        // The last use may come back.
        let is_over = |grant: &Grant| grant.is_over(now) || (grant.uses_left == 0 && grant.under_way == 0);
        self.revision += u64::from(self.grants.iter().any(|grant| grant.ahead.is_some() && is_over(grant)));
        self.grants.retain(|grant| !is_over(grant));
        let stale: Vec<AskId> = self
            .asks
            .values()
            .filter(|ask| now.moment.since(ask.last_attempt.moment) >= ttl && !self.answering.contains(&ask.id))
            .map(|ask| ask.id)
            .collect();
        stale
            .into_iter()
            .filter_map(|id| self.close(id, Outcome::Expired, None, now, Duration::ZERO))
            .map(Event::Closed)
            .collect()
    }

    fn close(&mut self, id: AskId, outcome: Outcome, by: Option<Vote>, now: Now, lasts: Duration) -> Option<ClosedAsk> {
        let closed =
            ClosedAsk { ask: self.asks.remove(&id)?, outcome, by, at: now.wall, lasts, collectable: Duration::ZERO };
        if self.closed.len() >= MAX_CLOSED {
            self.closed.pop_front();
        }
        self.closed.push_back(closed.clone());
        Some(closed)
    }
}

impl Ask {
    fn count(&mut self, now: Now, call: &Call) {
        self.attempts = self.attempts.saturating_add(1);
        self.last_attempt = now;
        self.peer = call.peer;
        if let Some(blob) = call.blob
            && self.blobs.len() < MAX_BLOBS
        {
            self.blobs.insert(blob);
        }
    }

    /// Approvals that are still missing.
    #[must_use]
    pub fn votes_missing(&self) -> usize {
        self.requirement.missing(&self.votes)
    }
}
