//! Where things end: in memory, in time to the second, and at the borders between nodes and addresses.

use super::*;
use crate::approval::ledger::act::Act;

fn judged(bench: &mut Bench, seconds: u64, call: &Call, rule: &Rule) -> (Judgement, Vec<Event>) {
    bench.fresh += 1;
    let fresh = Fresh { id: AskId([bench.fresh; 16]), code: u16::from(bench.fresh) };
    bench.ledger.judge(at(seconds), call, rule, fresh)
}

fn block(name: &str, lasts: Option<Duration>) -> Act {
    Act::Block { node: node(name), by: voter("bob", "cli"), lasts }
}

fn worker(number: usize) -> Call {
    call(&format!("w-{number}"), Operation::Unseal, 1)
}

#[test]
fn nothing_is_lost_when_asks_and_grants_are_over() {
    let mut bench = Bench::new();
    assert!(bench.ledger.is_idle());
    let ask = bench.ask(0, &unseal(1));
    assert!(!bench.ledger.is_idle(), "an ask is open");
    bench.approve(0, ask);
    assert!(!bench.ledger.is_idle(), "a grant lives");
    bench.ledger.expire(at(300));
    assert!(bench.ledger.is_idle(), "the lease is over");

    let ask = bench.ask(400, &unseal(1));
    bench.approve(400, ask);
    assert_eq!((0..32).filter(|_| bench.is_released(401, &unseal(1))).count(), 32);
    bench.ledger.expire(at(402));
    assert!(bench.ledger.is_idle(), "the grant is used up");
}

#[test]
fn an_ask_lasts_from_the_last_attempt_to_the_second() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    assert_eq!(bench.ask(599, &unseal(1)), ask);
    assert_eq!(bench.ask(1198, &unseal(1)), ask, "the node goes on asking");
    let events = bench.ledger.expire(at(1797));
    assert!(events.is_empty(), "{events:?}");
    let events = bench.ledger.expire(at(1798));
    assert!(matches!(events.as_slice(), [Event::Closed(closed)] if closed.outcome == Outcome::Expired), "{events:?}");
}

#[test]
fn a_block_is_told_before_a_denial() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.vote(1, ask, "alice", Verdict::Deny(None));
    bench.ledger.act(at(2), &block("cp-1", None));
    assert_eq!(bench.judge(3, &unseal(1)), Judgement::Refused(Reason::Blocked));
}

#[test]
fn what_comes_too_late_is_not_released_and_spends_nothing() {
    let mut bench = Bench::new();
    let late = Call { in_time: false, ..unseal(1) };
    assert_eq!(bench.judge_by(0, &late, &rule(Action::Allow)), Judgement::Refused(Reason::TooLate));
    let ask = bench.ask(0, &unseal(1));
    bench.approve(1, ask);
    for _ in 0..40 {
        assert_eq!(bench.judge(2, &late), Judgement::Refused(Reason::TooLate));
    }
    assert!(bench.is_released(3, &unseal(1)));
}

#[test]
fn a_call_without_a_blob_is_not_what_was_sealed() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &seal());
    bench.approve(1, ask);
    assert!(!bench.is_released(2, &Call { blob: None, ..unseal(1) }));
}

#[test]
fn what_was_sealed_belongs_to_the_grant_that_it_was_sealed_under() {
    let mut bench = Bench::new();
    for name in ["cp-1", "cp-2"] {
        let ask = bench.ask(0, &call(name, Operation::Seal, 0));
        bench.approve(1, ask);
    }
    let Judgement::Approved(terms) = bench.judge(2, &call("cp-2", Operation::Seal, 0)) else { panic!("approved") };
    bench.ledger.sealed_under(&terms, fingerprint(7));
    assert!(!bench.is_released(3, &unseal(7)));
    assert!(bench.is_released(3, &call("cp-2", Operation::Unseal, 7)));
}

#[test]
fn a_changed_rule_closes_the_asks_that_it_is_about_and_no_others() {
    let mut bench = Bench::new();
    let other = bench.ask(0, &call("cp-2", Operation::Unseal, 1));
    let sealing = bench.ask(0, &seal());
    let strict = Rule { action: Action::Ask, requirement: requirement(&["alice", "bob"], 2) };
    bench.judge_by(1, &unseal(1), &strict);
    assert_eq!(bench.ledger.asks().len(), 3);
    assert_eq!(bench.ask(2, &call("cp-2", Operation::Unseal, 1)), other);
    assert_eq!(bench.ask(2, &seal()), sealing, "what unseals needs two, and what seals needs one");
}

#[test]
fn a_seal_joins_no_unseal_that_other_people_decide() {
    let mut bench = Bench::new();
    let strict = Rule { action: Action::Ask, requirement: requirement(&["alice", "bob"], 2) };
    let Judgement::Waiting { ask: unsealing, .. } = bench.judge_by(0, &unseal(1), &strict) else { panic!("an ask") };
    assert_ne!(bench.ask(1, &seal()), unsealing);
}

#[test]
fn asks_at_listed_addresses_take_no_shared_room() {
    let mut bench = Bench::new();
    for number in 0..=MAX_SHARED_ASKS {
        bench.ask(0, &worker(number));
    }
    assert!(matches!(bench.judge(1, &from_address(unseal(1), 50)), Judgement::Waiting { .. }));
}

#[test]
fn channels_are_told_of_attempts_at_most_once_a_second() {
    let mut bench = Bench::new();
    let counts = |events: &[Event]| {
        (
            events.iter().filter(|event| matches!(event, Event::Opened(_))).count(),
            events.iter().filter(|event| matches!(event, Event::Changed(_))).count(),
        )
    };
    let told = [0, 0, 1, 1, 2].map(|seconds| counts(&judged(&mut bench, seconds, &unseal(1), &rule(Action::Ask)).1));
    assert_eq!(told, [(1, 0), (0, 0), (0, 1), (0, 0), (0, 1)]);
}

#[test]
fn the_code_of_a_closed_ask_is_not_used_again_soon() {
    let mut bench = Bench::new();
    let same = |number: u8| Fresh { id: AskId([number; 16]), code: 500 };
    bench.ledger.judge(at(0), &unseal(1), &rule(Action::Ask), same(1));
    bench.vote(1, AskId([1; 16]), "alice", Verdict::Deny(Some(Duration::from_secs(1))));
    bench.ledger.judge(at(3), &unseal(1), &rule(Action::Ask), same(2));
    assert_eq!(bench.ledger.asks()[0].code, MatchCode::from_number(501));
}

#[test]
fn a_forgotten_ask_is_gone() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.ledger.forget(ask);
    assert!(bench.ledger.asks().is_empty());
    assert!(matches!(bench.approve(1, ask), Answer::Unknown));
}

#[test]
fn an_ask_shows_who_asked_last_and_lists_are_in_order() {
    let mut bench = Bench::new();
    bench.fresh = 200;
    bench.ask(0, &unseal(1));
    bench.fresh = 100;
    bench.ask(1, &call("cp-2", Operation::Unseal, 1));
    let elsewhere = Peer::plaintext(([192, 0, 2, 12], 1).into());
    bench.ask(2, &Call { peer: elsewhere, ..unseal(1) });
    let asks = bench.ledger.asks();
    assert_eq!(asks.iter().map(|ask| &*ask.node.name).collect::<Vec<_>>(), ["cp-1", "cp-2"], "oldest first");
    assert_eq!(asks[0].peer, elsewhere);
}

#[test]
fn memory_is_bounded() {
    let mut bench = Bench::new();
    for last in 0..=100 {
        bench.judge(0, &Call { blob: Some(fingerprint(last)), ..unseal(1) });
        bench.judge(0, &from_address(call("cp-2", Operation::Unseal, 1), last));
    }
    assert_eq!(bench.ledger.asks()[0].blobs.len(), MAX_BLOBS);
    assert!(bench.ledger.origins.values().all(|seen| seen.len() <= MAX_ORIGINS));

    let mut bench = Bench::new();
    for number in 0..=u16::try_from(MAX_CLOSED).expect("small") {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let fresh = Fresh { id: AskId(id), code: number };
        bench.ledger.judge(at(0), &unseal(1), &rule(Action::Ask), fresh);
        bench.vote(0, AskId(id), "alice", Verdict::Approve(Some(Duration::ZERO)));
    }
    assert_eq!(bench.ledger.closed.len(), MAX_CLOSED);
    assert!(matches!(bench.approve(0, AskId([0; 16])), Answer::Unknown), "the oldest is forgotten first");
}

#[test]
fn who_approved_longest_ago_is_forgotten_first() {
    let mut bench = Bench::new();
    for number in 0..=crate::peer::standing::MAX_APPROVALS {
        bench.fresh = 0;
        let ask = bench.ask(u64::try_from(number).expect("small"), &worker(number));
        bench.ledger.act(
            at(u64::try_from(number).expect("small")),
            &Act::Vote { ask, by: voter("alice", "cli"), verdict: Verdict::Approve(Some(Duration::ZERO)) },
        );
    }
    let remembered = bench.ledger.standing().approvals;
    assert_eq!(remembered.len(), crate::peer::standing::MAX_APPROVALS);
    assert!(!remembered.iter().any(|approval| approval.node.as_str() == "w-0"));
}

#[test]
fn refusals_last_as_long_as_is_configured_and_never_for_ever() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    for (act_lasts, whole) in [(None, hours(24)), (Some(Duration::MAX), MAX_REFUSAL)] {
        let mut bench = Bench::new();
        bench.ledger.act(at(0), &block("cp-1", act_lasts));
        let ask = bench.ask(0, &call("cp-2", Operation::Unseal, 1));
        bench.vote(0, ask, "alice", Verdict::Block(act_lasts));
        for name in ["cp-1", "cp-2"] {
            let call = call(name, Operation::Unseal, 1);
            assert_eq!(bench.judge(whole.as_secs() - 1, &call), Judgement::Refused(Reason::Blocked), "{name}");
        }
        for name in ["cp-1", "cp-2"] {
            let call = call(name, Operation::Unseal, 1);
            assert!(matches!(bench.judge(whole.as_secs(), &call), Judgement::Waiting { .. }), "{name}");
        }
    }
}

#[test]
fn refusals_of_several_addresses_and_kinds_stand_side_by_side() {
    let mut bench = Bench::new();
    for last in [50, 51] {
        let ask = bench.ask(0, &from_address(unseal(1), last));
        bench.vote(0, ask, "alice", Verdict::Deny(None));
    }
    let listed = bench.ask(0, &unseal(1));
    bench.vote(0, listed, "alice", Verdict::Deny(Some(Duration::from_secs(60))));
    bench.ledger.act(at(1), &block("cp-1", Some(Duration::from_secs(10))));
    assert_eq!(bench.ledger.refusals().count(), 4);
    assert_eq!(bench.judge(12, &unseal(1)), Judgement::Refused(Reason::Denied), "the denial outlasts the block");
    for last in [50, 51] {
        assert_eq!(bench.judge(61, &from_address(unseal(1), last)), Judgement::Refused(Reason::Denied));
    }
}

#[test]
fn a_full_list_of_refusals_takes_no_more_but_what_replaces() {
    let mut bench = Bench::new();
    for number in 0..MAX_REFUSALS {
        let (answer, _) = bench.ledger.act(at(0), &block(&format!("w-{number}"), None));
        assert!(matches!(answer, Answer::Blocked(_)), "{number}");
    }
    let (answer, events) = bench.ledger.act(at(1), &block("cp-1", None));
    assert!(matches!(answer, Answer::TooManyRefusals) && events.is_empty(), "{answer:?} {events:?}");
    let ask = bench.ask(1, &unseal(1));
    let deny = Act::Vote { ask, by: voter("alice", "cli"), verdict: Verdict::Deny(None) };
    let (answer, events) = bench.ledger.act(at(1), &deny);
    assert!(matches!(answer, Answer::TooManyRefusals), "{answer:?}");
    assert!(events.is_empty(), "nothing is told of what did not happen: {events:?}");
    let (answer, _) = bench.ledger.act(at(2), &block("w-7", None));
    assert!(matches!(answer, Answer::Blocked(_)), "it replaces its own");
}

#[test]
fn a_no_ends_what_it_binds_and_nothing_else() {
    let mut bench = Bench::new();
    let elsewhere = from_address(unseal(1), 50);
    for call in [&call("cp-2", Operation::Unseal, 1), &elsewhere] {
        let ask = bench.ask(0, call);
        bench.approve(0, ask);
    }
    let open = bench.ask(1, &from_address(unseal(1), 51));
    let (unsealing, sealing) = (bench.ask(1, &unseal(1)), bench.ask(1, &call("cp-3", Operation::Seal, 0)));
    let Answer::Decided(closed) = bench.vote(2, unsealing, "bob", Verdict::Deny(None)) else { panic!("decided") };
    assert_eq!(closed.outcome, Outcome::Denied);
    assert!(bench.is_released(3, &call("cp-2", Operation::Unseal, 1)), "another node");
    assert!(bench.is_released(3, &elsewhere), "another address");
    let still: Vec<AskId> = bench.ledger.asks().iter().map(|ask| ask.id).collect();
    assert_eq!(still, [open, sealing]);

    let (_, events) = bench.ledger.act(at(4), &block("cp-1", None));
    let closed = events.iter().filter_map(|event| match event {
        Event::Closed(closed) => Some((closed.ask.id, closed.outcome)),
        _ => None,
    });
    assert_eq!(
        closed.collect::<Vec<_>>(),
        [(open, Outcome::Blocked)],
        "a block of the node closes what is open for it"
    );
}
