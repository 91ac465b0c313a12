//! What goes beyond one ask: approvals ahead, revoking, the lock, and the list of nodes, against calls that come between.

use std::sync::atomic::Ordering;

use super::super::*;
use super::{Bench, HandClock, SlowRecords, waits_for_the_pen};
use crate::approval::ask::{Verdict, Voter};
use crate::approval::ledger::act::{Act, Answer, Change, GrantAnswer, GrantWanted, WhichGrants};
use crate::approval::policy::{Action, Approver, Layer, Requirement, Vote};
use crate::peer::admission::{Enrolment, Lists, UuidPolicy};
use crate::peer::{ListedBy, Node};

pub(super) fn node(name: &str, address: &str, listed_by: ListedBy) -> Node {
    Node {
        uuid: NodeUuid::parse(name).expect("printable"),
        name: name.into(),
        cluster: None,
        addresses: vec![address.parse().expect("a network")],
        formerly: vec![],
        bind_address: false,
        listed_by,
    }
}

pub(super) fn voter(name: &str) -> Voter {
    Voter { vote: Vote { approver: name.into(), channel: "cli".into() }, uid: 1000, telegram_id: None }
}

pub(super) fn kept(name: &str) -> KeptVote {
    KeptVote { approver: name.into(), channel: "cli".into(), uid: Some(1000), telegram_id: None }
}

/// A house where so many of alice and bob must say yes, that begins with this.
pub(super) fn house(standing: Standing, quorum: usize) -> Bench {
    let (clock, records) = (Arc::<HandClock>::default(), Arc::<SlowRecords>::default());
    house_of(standing, quorum, clock, records, Arc::new(NoKeys))
}

pub(super) fn house_of(
    standing: Standing,
    quorum: usize,
    clock: Arc<HandClock>,
    records: Arc<SlowRecords>,
    keys: Arc<dyn Keys>,
) -> Bench {
    let person = |name: &str| Approver { name: name.into(), uid: Some(1000), telegram_id: None };
    let policy = Policy {
        default: Layer { quorum: Some(quorum), ..Layer::default() },
        approvers: vec![person("alice"), person("bob")],
        ..Policy::default()
    };
    let network = "192.0.2.0/24".parse().expect("a network");
    let configured = ["cp-1", "cp-2"].into_iter().zip(["192.0.2.11/32", "192.0.2.12/32"]);
    let nodes: Vec<Node> = configured.map(|(name, from)| node(name, from, ListedBy::Configuration)).collect();
    let admission = Arc::new(Admission::new(vec![network], nodes.clone(), UuidPolicy::default()));
    let enrolment = Enrolment { networks: vec![network], cluster: None };
    admission.replace(Lists::new(vec![network], nodes, UuidPolicy::default()).with_enrolment(Some(enrolment)));
    let timings = Timings { hold: Duration::ZERO, ..Timings::default() };
    let (at, to) = (Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&records) as Arc<dyn Records>);
    let gate = Gate::new(policy, timings, standing, Arc::clone(&admission), at, to).with_keys(keys);
    Bench { gate: Arc::new(gate), clock, records, admission }
}

impl Bench {
    pub(super) async fn do_it(&self, act: Act) -> Result<Answer, NotActed> {
        self.gate.act(self.gate.configuration().generation, act).await
    }

    fn requirement(&self) -> Requirement {
        self.gate.configuration().policy.requirement(&self.node())
    }

    /// A vote for this many releases of cp-1 ahead.
    pub(super) fn ahead(&self, who: &str, minutes: u64, uses: u32) -> Act {
        let node = self.node();
        let rule = self.gate.configuration().policy.rule(&node, Origin::Listed, Operation::Unseal);
        let wanted = vec![GrantWanted { node, origin: None, rule, fresh: draw().expect("random bytes") }];
        let lasts = Some(Duration::from_secs(minutes * 60));
        Act::Grant { wanted, by: voter(who), vote: kept(who), lasts, uses: Some(uses) }
    }

    pub(super) async fn granted(&self, uses: u32) -> LiveGrant {
        match self.do_it(self.ahead("alice", 30, uses)).await {
            Ok(Answer::Granted(answers)) => match &answers[..] {
                [(_, GrantAnswer::Granted(grant))] => grant.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn change(&self, who: &str, change: Change) -> Act {
        Act::ChangeNode { change, requirement: self.requirement(), by: voter(who), vote: kept(who) }
    }

    pub(super) fn revoke(&self) -> Act {
        Act::Revoke { which: WhichGrants::Nodes(vec![self.node().uuid.clone()]), by: voter("alice") }
    }

    pub(super) async fn still(&self, approved: &Approved) -> Result<Passing<'_>, NotApproved> {
        let caller = Caller { deadline: None, gone: CancellationToken::new() };
        self.gate.still_approves(approved, &caller).await
    }

    /// What would be found after a crash now.
    pub(super) fn on_disk(&self) -> Standing {
        lock(&self.records.saves).last().cloned().unwrap_or_default()
    }

    fn uses_on_disk(&self) -> u32 {
        self.on_disk().grants.iter().map(|grant| grant.uses_left).sum()
    }
}

async fn turns() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

pub(super) const LOCK: fn() -> Act = || Act::Lock { by: voter("alice") };

#[tokio::test]
async fn a_use_of_a_grant_ahead_is_saved_before_it_is_released() {
    let bench = house(Standing::default(), 1);
    bench.granted(2).await;
    assert_eq!(bench.uses_on_disk(), 2);
    for left in [1, 0] {
        bench.call().await.expect("approved ahead");
        assert_eq!(bench.uses_on_disk(), left);
    }
    assert!(matches!(bench.call().await, Err(NotApproved::Waiting { .. })));
    let again = house(bench.on_disk(), 1);
    assert!(matches!(again.call().await, Err(NotApproved::Waiting { .. })), "used up also after a restart");
}

/// Nobody is left alone with a full disk: without the grant ahead people would have been asked.
#[tokio::test]
async fn when_a_use_cannot_be_saved_people_are_asked() {
    let bench = house(Standing::default(), 1);
    bench.granted(8).await;
    bench.records.save_fails.store(true, Ordering::Relaxed);
    let ask = bench.ask().await;
    bench.do_it(bench.vote(ask, Verdict::Approve(None))).await.expect("recorded");
    assert!(bench.call().await.is_ok(), "their yes needs no save");
    let ahead: Vec<u32> = bench.gate.grants().iter().filter(|grant| grant.ahead).map(|grant| grant.uses_left).collect();
    assert_eq!(ahead, [8], "the use came back");
}

#[tokio::test]
async fn a_node_that_is_allowed_needs_no_save_for_what_was_approved_ahead_beside_that() {
    let bench = house(Standing::default(), 1);
    bench.granted(8).await;
    let configuration = bench.gate.configuration();
    let mut policy = configuration.policy.clone();
    for (action, is_released) in [(Action::Granted, false), (Action::Allow, true)] {
        policy.default.unseal = Some(action);
        let (timings, lists) = (configuration.timings.clone(), bench.admission.lists());
        bench.gate.reconfigure(policy.clone(), timings, &lists).await;
        assert_eq!(bench.gate.grants().len(), 1, "it is still approved ahead");
        bench.records.save_fails.store(true, Ordering::Relaxed);
        assert_eq!(bench.call().await.is_ok(), is_released, "{action:?}");
        bench.records.save_fails.store(false, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_use_that_cannot_be_saved_releases_nothing_and_comes_back() {
    let bench = house(Standing::default(), 1);
    bench.granted(1).await;
    for fails in [&bench.records.save_fails, &bench.records.fails_after_save] {
        fails.store(true, Ordering::Relaxed);
        assert!(matches!(bench.call().await, Err(NotApproved::Waiting { .. })), "people are asked");
        fails.store(false, Ordering::Relaxed);
    }
    assert!(bench.call().await.is_ok(), "the one use is there again");
    assert!(bench.gate.subscribe("cli").expect("room").asks.is_empty(), "nobody is asked any more");
    assert!(bench.call().await.is_err());
    assert_eq!(bench.uses_on_disk(), 0);
}

#[tokio::test]
async fn two_calls_at_once_have_one_last_use_between_them() {
    let bench = house(Standing::default(), 1);
    bench.granted(1).await;
    let nothing_is_written = bench.records.pen.lock().await;
    let (first, second, ()) = tokio::join!(biased; bench.call_for(1), bench.call_for(2), async {
        turns().await;
        drop(nothing_is_written);
    });
    assert_eq!((first.is_ok(), second.is_ok()), (true, false));
    assert_eq!(bench.gate.subscribe("cli").expect("room").asks.len(), 1, "the other disk is still asked about");
}

#[tokio::test]
async fn a_no_that_could_not_be_saved_is_saved_later() {
    let bench = house(Standing::default(), 1);
    let ask = bench.ask().await;
    bench.do_it(bench.vote(ask, Verdict::Approve(None))).await.expect("recorded");
    bench.records.save_fails.store(true, Ordering::Relaxed);
    assert!(matches!(bench.do_it(bench.revoke()).await, Err(NotActed::Unsaved(_))));
    assert!(bench.gate.grants().is_empty(), "it is in force");
    bench.records.save_fails.store(false, Ordering::Relaxed);
    let saves = || lock(&bench.records.saves).len();
    let before = saves();
    bench.gate.tick().await.expect("recorded");
    assert_eq!(saves(), before + 1);
}

/// What was recorded and saved is what happens, whatever ends meanwhile.
#[tokio::test]
async fn a_vote_that_runs_out_while_another_completes_it_counts() {
    let bench = house(Standing::default(), 2);
    bench.do_it(bench.ahead("alice", 30, 8)).await.expect("recorded");
    bench.clock.0.store(599, Ordering::Relaxed);
    let nothing_is_written = bench.records.pen.lock().await;
    let bobs = bench.do_it(bench.ahead("bob", 30, 8));
    tokio::pin!(bobs);
    waits_for_the_pen(bobs.as_mut()).await;
    bench.clock.0.store(601, Ordering::Relaxed);
    let (ticked, ()) = tokio::join!(bench.gate.tick(), async { drop(nothing_is_written) });
    ticked.expect("recorded");
    bobs.await.expect("recorded");
    assert_eq!(bench.gate.grants().len(), 1, "what is on the disk is in force");
    assert_eq!(bench.on_disk().grants.len(), 1);
}

/// A no that is recorded and not saved makes the state an older one when the server starts.
#[tokio::test]
async fn a_revocation_is_saved_also_when_what_it_ends_is_in_memory_alone() {
    let bench = house(Standing::default(), 1);
    let ask = bench.ask().await;
    bench.do_it(bench.vote(ask, Verdict::Approve(None))).await.expect("recorded");
    let saves = || lock(&bench.records.saves).len();
    let before = saves();
    bench.do_it(bench.revoke()).await.expect("recorded");
    assert!(bench.gate.grants().is_empty());
    assert_eq!(saves(), before + 1);
}

#[tokio::test]
async fn what_was_approved_is_not_released_once_a_person_has_said_no() {
    type Said = fn(&Bench) -> Act;
    let block: Said = |bench| Act::Block { node: bench.node(), by: voter("alice"), lasts: None };
    for (what, said) in [("revoke", Bench::revoke as Said), ("lock", |_| LOCK()), ("block", block)] {
        for ahead in [true, false] {
            let bench = house(Standing::default(), 1);
            if ahead {
                bench.granted(8).await;
            } else {
                let ask = bench.ask().await;
                bench.do_it(bench.vote(ask, Verdict::Approve(None))).await.expect("recorded");
            }
            let approved = bench.call().await.expect("approved");
            drop(bench.still(&approved).await.expect("nothing has come between"));
            bench.do_it(said(&bench)).await.expect("recorded");
            assert!(bench.still(&approved).await.is_err(), "{what}, ahead: {ahead}");
            bench.gate.failed(approved.terms());
            assert!(bench.call().await.is_err(), "{what}: what comes back gives nothing");
            assert_eq!((bench.gate.grants().len(), bench.uses_on_disk()), (0, 0), "{what}, ahead: {ahead}");
        }
    }
}

#[tokio::test]
async fn who_says_no_is_answered_when_nothing_leaves_any_more() {
    let listed = node("new-1", "192.0.2.13/32", ListedBy::People);
    type Said = fn(&Bench) -> Act;
    let forget: Said = |bench| bench.change("alice", Change::Forget(node("new-1", "192.0.2.13/32", ListedBy::People)));
    for (what, said) in [("revoke", Bench::revoke as Said), ("lock", |_| LOCK()), ("forget", forget)] {
        let bench = house(Standing::default(), 1);
        bench.do_it(bench.change("alice", Change::Add(listed.clone()))).await.expect("recorded");
        bench.granted(8).await;
        let approved = bench.call().await.expect("approved");
        let passing = bench.still(&approved).await.expect("nothing has come between");
        let answered = std::cell::Cell::new(false);
        let ((), ()) = tokio::join!(
            async {
                bench.do_it(said(&bench)).await.expect("recorded");
                answered.set(true);
            },
            async {
                turns().await;
                assert!(!answered.get(), "{what}: a release was not on record yet");
                drop(passing);
            }
        );
        assert!(answered.get());
    }
}

#[tokio::test]
async fn no_save_brings_a_use_back_that_was_spent_while_it_was_written() {
    type Said = fn(&Bench) -> Act;
    let block_another: Said = |bench| {
        let other = bench.admission.lists().nodes().nth(1).cloned().expect("cp-2");
        Act::Block { node: other, by: voter("alice"), lasts: None }
    };
    let lock_all: Said = |_| LOCK();
    for said in [block_another, lock_all] {
        let bench = house(Standing::default(), 1);
        bench.granted(8).await;
        let nothing_is_written = bench.records.pen.lock().await;
        let call = async {
            turns().await;
            let called = bench.call().await;
            (called.is_ok(), bench.uses_on_disk())
        };
        let (acted, (released, on_disk), ()) = tokio::join!(biased; bench.do_it(said(&bench)), call, async {
            turns().await;
            turns().await;
            drop(nothing_is_written);
        });
        acted.expect("recorded");
        assert!(released, "it was approved before");
        assert!(on_disk <= 7, "{on_disk} uses on the disk at the moment of the release");
        bench.gate.tick().await.expect("recorded");
        assert!(bench.uses_on_disk() <= 7);
    }
}

#[tokio::test]
async fn a_use_comes_back_when_what_ended_beside_it_cannot_be_recorded() {
    let bench = house(Standing::default(), 1);
    // An ask of the other node, which runs out when cp-1 calls.
    let request = Request::parse(Operation::Unseal, "cp-2", vec![1; 60]).expect("well-formed");
    let peer = Peer::plaintext(([192, 0, 2, 12], 1).into());
    let admitted = bench.admission.admit(bench.clock.now().moment, request, peer).expect("listed");
    let caller = Caller { deadline: None, gone: CancellationToken::new() };
    assert!(bench.gate.approve(admitted, &caller).await.is_err());
    bench.granted(1).await;
    bench.clock.0.store(601, Ordering::Relaxed);
    bench.records.audit_fails.store(true, Ordering::Relaxed);
    assert!(matches!(bench.call().await, Err(NotApproved::Unrecorded(_))));
    bench.records.audit_fails.store(false, Ordering::Relaxed);
    assert!(bench.call().await.is_ok(), "the one use was not spent");
}

#[tokio::test]
async fn an_approval_ahead_that_could_not_be_recorded_is_not_on_the_disk_for_long() {
    let bench = house(Standing::default(), 1);
    bench.records.fails_after_save.store(true, Ordering::Relaxed);
    assert!(bench.do_it(bench.ahead("alice", 30, 8)).await.is_err());
    assert!(matches!(bench.call().await, Err(NotApproved::Waiting { .. })));
    bench.records.fails_after_save.store(false, Ordering::Relaxed);
    bench.gate.tick().await.expect("recorded");
    assert_eq!(bench.uses_on_disk(), 0);
}

#[tokio::test]
async fn an_approval_ahead_that_ran_out_does_not_come_back_with_a_clock_that_is_set_back() {
    let bench = house(Standing::default(), 1);
    bench.clock.0.store(10_000, Ordering::Relaxed);
    bench.granted(8).await;
    bench.clock.0.store(10_000 + 30 * 60, Ordering::Relaxed);
    bench.gate.tick().await.expect("recorded");
    let again = house(bench.on_disk(), 1);
    again.clock.0.store(10_001, Ordering::Relaxed);
    assert!(matches!(again.call().await, Err(NotApproved::Waiting { .. })));
    assert!(bench.gate.is_idle(), "and there is nothing left to save");
}

#[tokio::test]
async fn an_approval_ahead_outlives_a_restart_and_ends_with_the_clock() {
    for (seconds, lives) in [(0, false), (9_999, false), (10_000, true), (11_799, true), (11_800, false)] {
        let bench = house(Standing::default(), 1);
        bench.clock.0.store(10_000, Ordering::Relaxed);
        bench.granted(8).await;
        let (clock, records) = (Arc::<HandClock>::default(), Arc::<SlowRecords>::default());
        clock.0.store(seconds, Ordering::Relaxed);
        let again = house_of(bench.on_disk(), 1, clock, records, Arc::new(NoKeys));
        again.gate.tick().await.expect("recorded");
        assert_eq!(lock(&again.records.saves).is_empty(), lives, "{seconds}: what is void is saved as such");
        assert_eq!(again.call().await.is_ok(), lives, "{seconds}");
    }
}

#[tokio::test]
async fn two_people_approve_ahead_for_the_shortest_time_and_the_fewest_uses_of_all_their_votes() {
    let bench = house(Standing::default(), 2);
    for (who, minutes, uses) in [("alice", 60, 8), ("alice", 40, 5), ("bob", 50, 6)] {
        assert!(bench.gate.grants().is_empty());
        bench.do_it(bench.ahead(who, minutes, uses)).await.expect("recorded");
    }
    let grants = bench.gate.grants();
    let given: Vec<_> = grants.iter().map(|grant| (grant.left.as_secs() / 60, grant.uses_left)).collect();
    assert_eq!(given, [(40, 5)], "alice thought better of it before bob agreed");
}
