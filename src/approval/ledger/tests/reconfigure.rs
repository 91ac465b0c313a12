//! Another configuration: what it ends, it ends for good, and it gives nothing to anybody.

use super::*;
use crate::approval::policy::{Approver, Layer, Policy};
use crate::peer::admission::{Lists, UuidPolicy};

fn alice() -> Approver {
    Approver { name: "alice".into(), uid: Some(1000), telegram_id: None }
}

fn bob() -> Approver {
    Approver { name: "bob".into(), uid: Some(1001), telegram_id: None }
}

/// The policy behind [`rule`].
fn policy() -> Policy {
    Policy { approvers: vec![alice(), bob()], ..Policy::default() }
}

fn by_default(default: Layer) -> Policy {
    Policy { default, ..policy() }
}

/// Every node that a test here knows is listed.
fn everybody() -> Lists {
    let nodes = ["cp-1", "cp-2", "worker-1", "worker-2"].map(|name| Node::clone(&node(name)));
    Lists::new(vec![], nodes, UuidPolicy::default())
}

impl Bench {
    fn reconfigure(&mut self, policy: &Policy, lists: &Lists) -> Vec<Event> {
        self.ledger.reconfigure(at(1), policy, &Timings::default(), &[alice(), bob()], lists)
    }

    fn set_timings(&mut self, timings: &Timings) {
        self.ledger.reconfigure(at(1), &policy(), timings, &[alice(), bob()], &everybody());
    }
}

/// A ledger with a grant from alice for cp-1, and an open ask of worker-1 that alice has not answered.
fn bench() -> (Bench, Call, AskId) {
    let mut bench = Bench::new();
    let unseal = call("cp-1", Operation::Unseal, 1);
    let ask = bench.ask(0, &unseal);
    bench.approve(0, ask);
    let open = bench.ask(0, &call("worker-1", Operation::Unseal, 1));
    (bench, unseal, open)
}

fn is_approved(judgement: &Judgement) -> bool {
    matches!(judgement, Judgement::Approved(_))
}

#[test]
fn the_same_configuration_changes_nothing() {
    let (mut bench, unseal, open) = bench();
    assert!(bench.reconfigure(&policy(), &everybody()).is_empty());
    assert!(is_approved(&bench.judge(2, &unseal)));
    assert!(matches!(bench.approve(2, open), Answer::Decided(_)));
}

#[test]
fn what_was_approved_for_a_node_that_is_gone_does_not_come_back_with_it() {
    let (mut bench, unseal, open) = bench();
    let events = bench.reconfigure(&policy(), &Lists::default());
    let [Event::Closed(closed)] = events.as_slice() else { panic!("one ask closes: {events:?}") };
    assert_eq!((closed.ask.id, closed.outcome), (open, Outcome::Expired));
    bench.reconfigure(&policy(), &everybody());
    assert!(!is_approved(&bench.judge(2, &unseal)), "the grant ended");
    assert!(matches!(bench.approve(2, open), Answer::Closed(_)), "the button is dead");
}

#[test]
fn votes_of_people_who_are_gone_do_not_count_any_more() {
    let mut somebody_else = alice();
    somebody_else.uid = Some(1002);
    for now in [vec![bob()], vec![bob(), somebody_else]] {
        let (mut bench, unseal, _) = bench();
        bench.reconfigure(&Policy { approvers: now, ..Policy::default() }, &everybody());
        bench.reconfigure(&policy(), &everybody());
        assert!(!is_approved(&bench.judge(2, &unseal)), "nor when they come back");
    }
}

#[test]
fn the_first_of_two_votes_is_taken_out_of_an_open_ask() {
    let two = by_default(Layer {
        quorum: Some(2),
        approvers: Some(["alice".into(), "bob".into()].into()),
        ..Layer::default()
    });
    let mut bench = Bench::new();
    let (unseal, rule) = (
        call("cp-1", Operation::Unseal, 1),
        Rule { action: Action::Ask, requirement: requirement(&["alice", "bob"], 2) },
    );
    let Judgement::Waiting { ask, .. } = bench.judge_by(0, &unseal, &rule) else { panic!("an ask") };
    assert!(matches!(bench.approve(0, ask), Answer::Counted(_)));
    let mut other_alice = alice();
    other_alice.telegram_id = Some(7);
    let events = bench.reconfigure(&Policy { approvers: vec![other_alice, bob()], ..two }, &everybody());
    assert!(matches!(events.as_slice(), [Event::Changed(ask)] if ask.votes.is_empty()), "{events:?}");
    assert!(matches!(bench.vote(2, ask, "bob", Verdict::Approve(None)), Answer::Counted(_)));
}

#[test]
fn a_stricter_rule_ends_what_a_weaker_one_approved() {
    let stricter = [
        Layer { quorum: Some(2), ..Layer::default() },
        Layer { from_channels: Some(2), ..Layer::default() },
        Layer { approvers: Some(["bob".into()].into()), ..Layer::default() },
        Layer { unseal: Some(Action::Deny), ..Layer::default() },
    ];
    for layer in stricter {
        let (mut bench, unseal, open) = bench();
        bench.reconfigure(&by_default(layer.clone()), &everybody());
        assert!(matches!(bench.approve(2, open), Answer::Closed(_)), "{layer:?}");
        bench.reconfigure(&policy(), &everybody());
        assert!(!is_approved(&bench.judge(2, &unseal)), "{layer:?}");
    }
}

#[test]
fn a_rule_that_asks_nobody_closes_asks_and_keeps_what_is_approved() {
    let (mut bench, unseal, open) = bench();
    bench.reconfigure(&by_default(Layer { unseal: Some(Action::Granted), ..Layer::default() }), &everybody());
    assert!(matches!(bench.approve(2, open), Answer::Closed(_)));
    assert!(is_approved(&bench.judge_by(2, &unseal, &rule(Action::Granted))));
}

#[test]
fn shorter_leases_and_fewer_uses_hold_for_what_is_approved_already() {
    let (mut bench, unseal, open) = bench();
    bench.set_timings(&Timings { lease_max: Duration::from_secs(60), uses: 1, ..Timings::default() });
    assert!(is_approved(&bench.judge(59, &unseal)));
    assert!(!is_approved(&bench.judge(59, &unseal)), "one use");
    bench.vote(59, open, "alice", Verdict::Approve(Some(Duration::from_secs(3_000))));
    let worker = call("worker-1", Operation::Unseal, 1);
    assert!(!is_approved(&bench.judge(59 + 60, &worker)), "an ask that was open gives no longer lease either");
}

#[test]
fn longer_leases_and_more_uses_do_not() {
    let (mut bench, unseal, _) = bench();
    let day = Duration::from_secs(86_400);
    bench.set_timings(&Timings { lease: day, lease_max: day, uses: 1_000, ..Timings::default() });
    assert_eq!(bench.ledger.grants(at(1)).next().expect("live").uses_left, 32);
    assert!(!is_approved(&bench.judge(301, &unseal)));
}

#[test]
fn a_seal_that_waits_to_be_collected_is_cut_by_its_own_limits() {
    let mut bench = Bench::new();
    let seal = call("cp-1", Operation::Seal, 1);
    let ask = bench.ask(0, &seal);
    bench.approve(0, ask);
    bench.ledger.expire(at(400));
    let timings = Timings { seal_grant_for: Duration::from_secs(3_600), seal_grant_uses: 1, ..Timings::default() };
    bench.set_timings(&timings);
    assert!(is_approved(&bench.judge(3_599, &seal)));
    assert!(!is_approved(&bench.judge(3_599, &seal)), "one use");
}

#[test]
fn a_no_stays() {
    let (mut bench, unseal, open) = bench();
    bench.vote(0, open, "alice", Verdict::Deny(None));
    bench.reconfigure(&Policy { approvers: vec![bob()], ..Policy::default() }, &Lists::default());
    bench.reconfigure(&policy(), &everybody());
    let worker = call("worker-1", Operation::Unseal, 1);
    assert_eq!(bench.judge(2, &worker), Judgement::Refused(Reason::Denied));
    assert!(!is_approved(&bench.judge(2, &unseal)));
}
