//! What goes beyond one ask, under random events, crashes, other configurations and a wall clock that jumps. The books of this
//! test know what was approved ahead, and by whom; whatever is released under it must stand in them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::act::{Change, GrantAnswer, GrantWanted, WhichGrants};
use super::*;
use crate::approval::policy::{Approver, Layer, Policy};
use crate::peer::ListedBy;
use crate::peer::admission::{Enrolment, Lists, UuidPolicy};
use crate::peer::standing::KeptVote;

/// Two identifiers become the same name: names have neither `:` nor `/`.
const UUIDS: [&str; 5] = ["cp-1", "cp-2", "aa:1", "aa/1", "bb"];
const NAMES: [&str; 4] = ["cp-1", "new-aa-1", "x", "new-bb"];
const PEOPLE: [&str; 3] = ["alice", "bob", "mallory"];

#[derive(Debug, Clone)]
enum Step {
    Call { node: usize, from: u8, operation: Operation, fails: bool, crashes: bool },
    Ahead { node: usize, who: usize, minutes: u64, uses: u32, from: Option<u8> },
    Revoke { node: usize },
    Block { node: usize },
    Unblock { node: usize },
    Lock(bool),
    Vote { asks: Vec<usize>, who: usize, verdict: u8 },
    Change { node: usize, who: usize, what: u8, name: usize, from: u8 },
    Wait { seconds: u64 },
    Jump { seconds: i64 },
    Tick,
    Crash { reload: Option<House> },
    Reload(House),
}

/// What a configuration says.
#[derive(Debug, Clone, Copy)]
struct House {
    /// How many of [`UUIDS`] it lists.
    listed: usize,
    /// Whether bob is who he was.
    same_bob: bool,
}

const FIRST: House = House { listed: 2, same_bob: true };

impl House {
    fn approvers(self) -> Vec<Approver> {
        let person = |name: &str, uid| Approver { name: name.into(), uid: Some(uid), telegram_id: None };
        vec![person("alice", 1000), person("bob", if self.same_bob { 1001 } else { 2001 })]
    }

    fn kept(self, who: &str) -> KeptVote {
        let person = self.approvers().into_iter().find(|person| *person.name == *who);
        let nobody = Approver { name: who.into(), uid: None, telegram_id: None };
        person.unwrap_or(nobody).kept_vote("cli")
    }

    /// cp-1 is unlocked without a question, and cp-2 by two.
    fn policy(self) -> Policy {
        let uuid = |claim| NodeUuid::parse(claim).expect("printable");
        let allowed = Layer { unseal: Some(Action::Allow), ..Layer::default() };
        let two = Layer { quorum: Some(2), ..Layer::default() };
        let nodes = [(uuid("cp-1"), allowed), (uuid("cp-2"), two)].into();
        Policy { nodes, approvers: self.approvers(), ..Policy::default() }
    }

    fn lists(self) -> Lists {
        let network: ipnet::IpNet = "192.0.2.0/24".parse().expect("a network");
        let nodes = UUIDS[..self.listed].iter().enumerate().map(|(index, claim)| Node {
            name: ["cp-1", "x", "new-bb", "aa", "bb"][index].into(),
            // The second one lists no addresses.
            addresses: if index == 1 { vec![] } else { vec![address(11)] },
            listed_by: ListedBy::Configuration,
            ..Node::clone(&node(claim))
        });
        Lists::new(vec![network], nodes, UuidPolicy::default())
            .with_enrolment(Some(Enrolment { networks: vec![network], cluster: None }))
    }
}

fn address(last: u8) -> ipnet::IpNet {
    std::net::IpAddr::from([192, 0, 2, last]).into()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let from = || prop_oneof![3 => Just(11_u8), 1 => Just(12_u8)];
    let operation = prop_oneof![1 => Just(Operation::Seal), 3 => Just(Operation::Unseal)];
    let house = || (1..6_usize, any::<bool>()).prop_map(|(listed, same_bob)| House { listed, same_bob });
    let step = prop_oneof![
        10 => (0..5_usize, from(), operation, prop::bool::weighted(0.1), prop::bool::weighted(0.1))
            .prop_map(|(node, from, operation, fails, crashes)| Step::Call { node, from, operation, fails, crashes }),
        8 => (0..5_usize, 0..2_usize, 1..60_u64, 1..4_u32, prop::option::of(from()))
            .prop_map(|(node, who, minutes, uses, from)| Step::Ahead { node, who, minutes, uses, from }),
        1 => (0..5_usize).prop_map(|node| Step::Revoke { node }),
        1 => (0..5_usize).prop_map(|node| Step::Block { node }),
        1 => (0..5_usize).prop_map(|node| Step::Unblock { node }),
        2 => prop::bool::weighted(0.3).prop_map(Step::Lock),
        6 => (prop::collection::vec(0..6_usize, 1..4), 0..3_usize, 0..8_u8)
            .prop_map(|(asks, who, verdict)| Step::Vote { asks, who, verdict }),
        2 => (0..5_usize, 0..2_usize, 0..4_u8, 0..4_usize, from())
            .prop_map(|(node, who, what, name, from)| Step::Change { node, who, what, name, from }),
        3 => (0..900_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (-4_000..4_000_i64).prop_map(|seconds| Step::Jump { seconds }),
        1 => Just(Step::Tick),
        1 => prop::option::weighted(0.2, house()).prop_map(|reload| Step::Crash { reload }),
        1 => house().prop_map(Step::Reload),
    ];
    prop::collection::vec(step, 1..150)
}

/// What was approved ahead.
#[derive(Debug, Clone)]
struct Ahead {
    node: ListedNode,
    origin: Origin,
    votes: Vec<KeptVote>,
    uses: u32,
    released: u32,
    /// By the wall clock.
    given: WallTime,
    ends: WallTime,
    /// By the clock of this run; none when it is over.
    until: Option<u64>,
    /// It is over, and that is on the disk.
    is_gone: bool,
}

/// One vote for an approval ahead.
#[derive(Debug)]
struct Said {
    who: &'static str,
    node: ListedNode,
    origin: Origin,
    lasts: Duration,
    uses: u32,
    at: u64,
}

struct World {
    ledger: Ledger,
    house: House,
    lists: Lists,
    on_disk: Standing,
    /// The ledger's revision on it.
    saved: u64,
    seconds: u64,
    wall_ahead: i64,
    number: u16,
    ahead: BTreeMap<AskId, Ahead>,
    said: Vec<Said>,
    locked: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_goes_beyond_what_people_said(steps in steps()) {
        let ledger = Ledger::new(Timings::default(), Standing::default(), at(0), |_| None);
        let mut world = World {
            ledger, house: FIRST, lists: FIRST.lists(), on_disk: Standing::default(), saved: 0, seconds: 10_000, wall_ahead: 0,
            number: 0, ahead: BTreeMap::new(), said: vec![], locked: false,
        };
        for step in steps {
            world.number += 1;
            world.run(step);
            world.look();
        }
    }
}

impl World {
    fn now(&self) -> Now {
        let jumped = i64::try_from(self.seconds).expect("small") + self.wall_ahead;
        Now { wall: WallTime::from_unix_millis(jumped * 1_000), ..at(self.seconds) }
    }

    fn fresh(&self) -> Fresh {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&self.number.to_be_bytes());
        Fresh { id: AskId(id), code: self.number }
    }

    /// The disk has what stands, from which what ran out was taken before.
    fn save(&mut self) {
        (self.on_disk, self.saved) = (self.ledger.standing(), self.ledger.revision());
        for ahead in self.ahead.values_mut() {
            ahead.is_gone |= ahead.until.is_none_or(|until| until <= self.seconds);
        }
    }

    fn end(&mut self, is_over: impl Fn(&Ahead) -> bool) {
        self.ahead.values_mut().filter(|ahead| is_over(ahead)).for_each(|ahead| ahead.is_gone = true);
    }

    fn act(&mut self, act: &Act) -> (Answer, Vec<Event>) {
        let (answer, mut events) = self.ledger.act(self.now(), act);
        if events.iter().any(|event| matches!(event, Event::NodeChanged { .. })) {
            events.extend(self.reconfigure(self.house));
        }
        self.save();
        (answer, events)
    }

    fn reconfigure(&mut self, house: House) -> Vec<Event> {
        let (people, before) = (self.house.approvers(), self.house.policy());
        self.house = house;
        self.lists = house.lists().with_entries(self.ledger.entries());
        let (policy, lists) = (house.policy(), &self.lists);
        let stays = |who: &str| people.iter().any(|person| *person.name == *who && policy.approvers.contains(person));
        self.said.retain(|said| {
            let rule = |policy: &Policy| policy.rule(&said.node, said.origin, Operation::Unseal);
            let (was, is) = (rule(&before), rule(&policy));
            stays(said.who) && lists.has(&said.node) && is.action != Action::Deny && is.requirement == was.requirement
        });
        let events = self.ledger.reconfigure(self.now(), &house.policy(), &Timings::default(), &people, &self.lists);
        self.void();
        events
    }

    /// What another list or other people leave of what was approved ahead.
    fn void(&mut self) {
        let (lists, people) = (&self.lists, self.house.approvers());
        for ahead in self.ahead.values_mut() {
            let counts = |vote: &KeptVote| people.iter().any(|person| person.is_of(vote));
            ahead.is_gone |= !lists.has(&ahead.node) || !ahead.votes.iter().all(counts);
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Call { node, from, operation, fails, crashes } => self.call(node, from, operation, fails, crashes),
            Step::Ahead { node, who, minutes, uses, from } => self.grant(UUIDS[node], PEOPLE[who], minutes, uses, from),
            Step::Revoke { node } => {
                let which = WhichGrants::Nodes(vec![NodeUuid::parse(UUIDS[node]).expect("printable")]);
                self.act(&Act::Revoke { which, by: voter("alice", "cli") });
                self.said.retain(|said| said.node.uuid.as_str() != UUIDS[node]);
                self.end(|ahead| ahead.node.uuid.as_str() == UUIDS[node]);
            }
            Step::Block { node: index } => {
                self.act(&Act::Block { node: node(UUIDS[index]), by: voter("alice", "cli"), lasts: None });
                self.end(|ahead| ahead.node.uuid.as_str() == UUIDS[index]);
            }
            Step::Unblock { node: index } => {
                self.act(&Act::Unblock { node: node(UUIDS[index]), by: voter("alice", "cli") });
            }
            Step::Lock(true) => {
                self.act(&Act::Lock { by: voter("alice", "cli") });
                self.locked = true;
                self.said.clear();
                self.end(|_| true);
            }
            Step::Lock(false) => {
                self.act(&Act::Unlock { by: voter("alice", "cli") });
                self.locked = false;
            }
            Step::Vote { asks, who, verdict } => self.vote(&asks, PEOPLE[who], verdict),
            Step::Change { node, who, what, name, from } => self.change(node, PEOPLE[who], what, NAMES[name], from),
            Step::Wait { seconds } => self.seconds += seconds,
            Step::Jump { seconds } => self.wall_ahead += seconds,
            Step::Tick => {
                self.ledger.expire(self.now());
                if self.ledger.revision() > self.saved {
                    self.save();
                }
                let over = |ahead: &Ahead| ahead.until.is_none_or(|until| until <= self.seconds);
                let kept: Vec<[u8; 16]> = self.on_disk.grants.iter().map(|grant| grant.id).collect();
                assert!(
                    self.ahead.iter().all(|(id, ahead)| !over(ahead) || !kept.contains(&id.0)),
                    "kept what is over"
                );
            }
            Step::Crash { reload } => self.crash(reload),
            Step::Reload(house) => {
                self.reconfigure(house);
                self.save();
            }
        }
    }

    fn crash(&mut self, reload: Option<House>) {
        self.house = reload.unwrap_or(self.house);
        let (people, lists, now) = (self.house.approvers(), self.house.lists(), self.now());
        self.lists = lists.with_entries(&self.on_disk.nodes);
        // As the gate does it.
        let still_given = |ahead: &GrantAhead| {
            let is_same = |vote: &KeptVote| people.iter().any(|person| person.is_of(vote));
            let node = self.lists.node(&ahead.node).filter(|node| node.entry_digest() == ahead.entry)?;
            ahead.votes.iter().all(is_same).then(|| ListedNode::clone(node))
        };
        self.ledger = Ledger::new(Timings::default(), self.on_disk.clone(), now, still_given);
        self.said.clear();
        for ahead in self.ahead.values_mut() {
            let is_now = ahead.given <= now.wall && now.wall < ahead.ends;
            ahead.until = is_now.then(|| self.seconds + now.wall.until(ahead.ends).as_secs());
        }
        self.void();
        self.saved = 0;
        // The next tick saves what is void.
        self.run(Step::Tick);
    }

    fn call(&mut self, node: usize, from: u8, operation: Operation, fails: bool, crashes: bool) {
        let peer = Peer::plaintext(([192, 0, 2, from], 1).into());
        let uuid = NodeUuid::parse(UUIDS[node]).expect("printable");
        let blob = (operation == Operation::Unseal).then(|| fingerprint(1));
        let call = |node: ListedNode, origin| Call {
            node,
            origin,
            peer,
            operation,
            blob,
            in_time: true,
            held: false,
            ahead: true,
        };
        let policy = self.house.policy();
        let Some(listed) = self.lists.node(&uuid).cloned() else {
            let Some(candidate) = self.lists.candidate(&uuid, &peer) else { return };
            let origin = Origin::PerAddress(peer.network());
            let requirement = policy.requirement(&candidate);
            let judged = self.ledger.judge_enrolment(self.now(), &call(candidate, origin), &requirement, self.fresh());
            assert!(!matches!(judged.0, Judgement::Approved(_)), "released to a node that is not listed");
            assert!(!self.locked || judged.0 == Judgement::Refused(Reason::Locked));
            return;
        };
        let call = call(ListedNode::clone(&listed), listed.origin(&peer));
        let rule = policy.rule(&listed, call.origin, operation);
        let judged = self.ledger.judge(self.now(), &call, &rule, self.fresh()).0;
        let Judgement::Approved(terms) = judged else { return };
        assert!(!self.locked, "released although everything is locked");
        let Some(grant) = &terms.grant else {
            assert!(rule.action == Action::Allow && listed.listed_by == ListedBy::Configuration);
            return;
        };
        if !grant.ahead {
            return;
        }
        if crashes {
            return self.crash(None);
        }
        self.save();
        if fails {
            return self.ledger.give_back(&terms);
        }
        self.ledger.settle(&terms);
        let ahead = self.ahead.get_mut(&grant.ask).expect("people approved it");
        ahead.released += 1;
        assert!(ahead.released <= ahead.uses, "more releases than uses");
        assert!(!ahead.is_gone && ahead.until.is_some_and(|until| self.seconds < until), "it was over: {ahead:?}");
        assert_eq!((&*ahead.node, ahead.origin), (&*listed, call.origin), "it was for another node, or as it was");
        let persons: BTreeSet<&str> = ahead.votes.iter().map(|vote| &*vote.approver).collect();
        assert!(persons.len() >= rule.requirement.quorum, "{persons:?}");
    }

    fn grant(&mut self, uuid: &str, who: &'static str, minutes: u64, uses: u32, from: Option<u8>) {
        let Some(node) = self.lists.node(&NodeUuid::parse(uuid).expect("printable")).cloned() else { return };
        let origin = from.map(|last| node.origin(&Peer::plaintext(([192, 0, 2, last], 1).into())));
        let rule = self.house.policy().rule(&node, Origin::Listed, Operation::Unseal);
        let wanted = vec![GrantWanted { node: node.clone(), origin, rule: rule.clone(), fresh: self.fresh() }];
        let lasts = Duration::from_secs(minutes * 60);
        let (by, vote) = (voter(who, "cli"), self.house.kept(who));
        let (answer, _) = self.act(&Act::Grant { wanted, by, vote, lasts: Some(lasts), uses: Some(uses) });
        let answers = match answer {
            Answer::IsLocked(_) => return assert!(self.locked),
            Answer::Granted(answers) => answers,
            other => panic!("{other:?}"),
        };
        assert!(!self.locked);
        let seconds = self.seconds;
        let mut said = |origin| {
            self.said.push(Said { who, node: node.clone(), origin, lasts, uses, at: seconds });
        };
        let given = match &answers[..] {
            [(_, GrantAnswer::Granted(given))] => given.clone(),
            [(_, GrantAnswer::Counted(proposal) | GrantAnswer::Repeated(proposal))] => return said(proposal.origin),
            _ => return,
        };
        said(given.origin);
        let (about, others) = std::mem::take(&mut self.said)
            .into_iter()
            .partition::<Vec<_>, _>(|said| said.node == node && said.origin == given.origin);
        self.said = others;
        // Each came within ten minutes of the one after it.
        let mut counted: Vec<&Said> = vec![];
        for said in about.iter().rev() {
            match counted.last() {
                Some(later) if later.at - said.at >= 600 => break,
                _ => counted.push(said),
            }
        }
        let persons: BTreeSet<&str> = counted.iter().map(|said| said.who).collect();
        assert!(persons.len() >= rule.requirement.quorum, "{persons:?} are not enough");
        let fewest = counted.iter().map(|said| said.uses).min().expect("one at least");
        let shortest = counted.iter().map(|said| said.lasts).min().expect("one at least");
        assert_eq!((given.left, given.uses_left), (shortest, fewest));
        // It takes the place of the one before.
        self.end(|ahead| ahead.node.uuid == node.uuid && ahead.origin == given.origin);
        let now = self.now();
        let votes = persons.iter().map(|who| self.house.kept(who)).collect();
        let (ends, until) = (now.wall.after(shortest), Some(seconds + shortest.as_secs()));
        let (origin, released) = (given.origin, 0);
        let ahead = Ahead { node, origin, votes, uses: fewest, released, given: now.wall, ends, until, is_gone: false };
        self.ahead.insert(given.ask, ahead);
    }

    fn vote(&mut self, asks: &[usize], who: &str, verdict: u8) {
        let open = self.ledger.asks();
        let asks: Vec<AskId> =
            asks.iter().filter_map(|index| open.iter().rev().nth(*index)).map(|ask| ask.id).collect();
        let (by, entries) = (voter(who, "cli"), self.ledger.entries().len());
        let verdict = match verdict {
            0 => Verdict::Deny(None),
            1 => Verdict::Block(None),
            _ => Verdict::Approve(None),
        };
        let (answer, events) = match asks[..] {
            [ask] => self.act(&Act::Vote { ask, by, verdict }),
            _ => self.act(&Act::VoteAll { asks: asks.clone(), by, verdict }),
        };
        let about: Vec<&Ask> = open.iter().filter(|ask| asks.contains(&ask.id)).collect();
        let claims: BTreeSet<&NodeUuid> = about.iter().map(|ask| &ask.node.uuid).collect();
        assert!(self.ledger.entries().len() <= entries + claims.len(), "{answer:?}");
        for event in &events {
            match event {
                Event::Voted { ask, by, .. } => assert!(asks.contains(&ask.id) && *by.vote.approver != *"mallory"),
                Event::Closed(closed) if closed.outcome == Outcome::Approved => {
                    let included = |ask: &&Ask| ask.operation == Operation::Unseal && ask.node == closed.ask.node;
                    assert!(asks.contains(&closed.ask.id) || about.iter().copied().any(|ask| included(&ask)));
                }
                Event::Refused { refusal, .. } => {
                    let (bound, origin) = (refusal.node.clone(), refusal.origin);
                    self.end(|ahead| ahead.node.uuid == bound && origin.is_none_or(|origin| origin == ahead.origin));
                }
                _ => {}
            }
        }
        let untouched = |ask: &&Ask| open.iter().any(|before| before.id == ask.id && before.votes == ask.votes);
        assert!(self.ledger.asks().iter().filter(|ask| !asks.contains(&ask.id)).all(|ask| untouched(&ask)));
    }

    fn change(&mut self, node: usize, who: &str, what: u8, name: &str, from: u8) {
        let uuid = NodeUuid::parse(UUIDS[node]).expect("printable");
        let known = self.ledger.entries().iter().map(|entry| &entry.node).find(|node| node.uuid == uuid).cloned();
        let former = NodeUuid::parse(UUIDS[usize::from(from) % UUIDS.len()]).expect("printable");
        let change = match (known, what) {
            (None, _) => Change::Add(Node {
                uuid,
                name: name.into(),
                addresses: vec![address(from)],
                listed_by: ListedBy::People,
                ..Node::clone(&super::node("x"))
            }),
            (Some(before), 0) => Change::Forget(before),
            (Some(before), 1) => Change::Replace { after: Node { name: name.into(), ..before.clone() }, before },
            (Some(before), 2) => {
                Change::Replace { after: Node { addresses: vec![address(from)], ..before.clone() }, before }
            }
            (Some(before), _) => Change::Replace { after: Node { formerly: vec![former], ..before.clone() }, before },
        };
        let requirement = self.house.policy().requirement(change.node());
        let act = Act::ChangeNode { change, requirement, by: voter(who, "cli"), vote: self.house.kept(who) };
        self.act(&act);
    }

    /// What holds whatever happened.
    fn look(&self) {
        assert_eq!(self.locked, self.ledger.lock().is_some());
        assert_eq!(self.locked, self.on_disk.lock.is_some());
        assert!(!self.locked || (self.ledger.asks().is_empty() && self.ledger.grants(self.now()).next().is_none()));
        let nodes: Vec<&ListedNode> = self.lists.nodes().collect();
        let uuids: BTreeSet<&NodeUuid> = nodes.iter().map(|node| &node.uuid).collect();
        let names: BTreeSet<&str> = nodes.iter().map(|node| &*node.name).collect();
        let formerly: Vec<&NodeUuid> = nodes.iter().flat_map(|node| &node.formerly).collect();
        assert_eq!((uuids.len(), names.len()), (nodes.len(), nodes.len()), "{nodes:?}");
        assert!(formerly.iter().all(|old| !uuids.contains(old)), "{nodes:?}");
        assert_eq!(formerly.iter().collect::<BTreeSet<_>>().len(), formerly.len(), "{nodes:?}");
        let entries: BTreeSet<&NodeUuid> = self.ledger.entries().iter().map(|entry| &entry.node.uuid).collect();
        assert_eq!(entries.len(), self.ledger.entries().len(), "listed twice");
    }
}
