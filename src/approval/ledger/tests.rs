//! What the ledger promises, and the mistakes of others that it must not repeat. The property test at the end drives
//! it with random events.

mod ahead;
mod beyond;
mod bounds;
mod property;
mod reconfigure;

use std::collections::BTreeSet;

use super::act::{Act, Answer};
use super::*;
use crate::approval::ask::{Verdict, Voter};
use crate::approval::policy::Requirement;
use crate::clock::WallTime;
use crate::peer::{Node, Peer};

/// Time, seen from 1,000 s after the boot.
fn at(seconds: u64) -> Now {
    Now {
        moment: Moment::since_boot(Duration::from_secs(1_000 + seconds)),
        wall: WallTime::from_unix_millis(i64::try_from(1_000_000 + seconds * 1_000).expect("a small number")),
    }
}

fn node(name: &str) -> ListedNode {
    ListedNode::new(Node {
        uuid: NodeUuid::parse(name).expect("printable"),
        name: name.into(),
        cluster: None,
        addresses: vec!["192.0.2.11".parse::<std::net::IpAddr>().expect("an address").into()],
        formerly: vec![],
        bind_address: false,
        listed_by: crate::peer::ListedBy::Configuration,
    })
}

fn call(name: &str, operation: Operation, blob: u8) -> Call {
    let request = match operation {
        Operation::Seal => None,
        Operation::Unseal => Some(fingerprint(blob)),
    };
    Call {
        node: node(name),
        origin: Origin::Listed,
        peer: Peer::plaintext(([192, 0, 2, 11], 40_000).into()),
        operation,
        blob: request,
        in_time: true,
        held: false,
        ahead: true,
    }
}

fn from_address(mut call: Call, last: u8) -> Call {
    call.peer = Peer::plaintext(([192, 0, 2, last], 40_000).into());
    call.origin = Origin::PerAddress(call.peer.network());
    call
}

fn fingerprint(blob: u8) -> Fingerprint {
    crate::request::SealedBlob::new(vec![blob]).expect("one byte").fingerprint()
}

fn requirement(approvers: &[&str], quorum: usize) -> Requirement {
    Requirement {
        approvers: approvers.iter().map(|name| Box::from(*name)).collect::<BTreeSet<_>>(),
        quorum,
        from_channels: 1,
    }
}

fn rule(action: Action) -> Rule {
    Rule { action, requirement: requirement(&["alice", "bob"], 1) }
}

fn voter(name: &str, channel: &str) -> Voter {
    Voter { vote: Vote { approver: name.into(), channel: channel.into() }, uid: 1000, telegram_id: None }
}

/// A ledger with randomness that counts up.
struct Bench {
    ledger: Ledger,
    fresh: u8,
}

impl Bench {
    fn new() -> Self {
        Self { ledger: Ledger::new(Timings::default(), Standing::default(), at(0), |_| None), fresh: 0 }
    }

    fn judge_by(&mut self, seconds: u64, call: &Call, rule: &Rule) -> Judgement {
        self.fresh = self.fresh.wrapping_add(1);
        let fresh = Fresh { id: AskId([self.fresh; 16]), code: u16::from(self.fresh) };
        self.ledger.judge(at(seconds), call, rule, fresh).0
    }

    fn judge(&mut self, seconds: u64, call: &Call) -> Judgement {
        self.judge_by(seconds, call, &rule(Action::Ask))
    }

    /// Opens an ask by `call`.
    fn ask(&mut self, seconds: u64, call: &Call) -> AskId {
        match self.judge(seconds, call) {
            Judgement::Waiting { ask, .. } => ask,
            other => panic!("expected an ask, got {other:?}"),
        }
    }

    fn vote(&mut self, seconds: u64, ask: AskId, name: &str, verdict: Verdict) -> Answer {
        self.ledger.act(at(seconds), &Act::Vote { ask, by: voter(name, "cli"), verdict }).0
    }

    fn approve(&mut self, seconds: u64, ask: AskId) -> Answer {
        self.vote(seconds, ask, "alice", Verdict::Approve(None))
    }

    fn is_released(&mut self, seconds: u64, call: &Call) -> bool {
        let Judgement::Approved(terms) = self.judge(seconds, call) else { return false };
        self.ledger.settle(&terms);
        true
    }
}

fn unseal(blob: u8) -> Call {
    call("cp-1", Operation::Unseal, blob)
}

fn seal() -> Call {
    call("cp-1", Operation::Seal, 0)
}

#[test]
fn retries_join_one_ask() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    for seconds in 1..=20 {
        assert_eq!(bench.ask(seconds, &unseal(1)), ask);
    }
    let open = &bench.ledger.asks()[0];
    assert_eq!((open.attempts, open.blobs.len()), (21, 1));
}

#[test]
fn a_seal_whose_data_changes_is_one_ask() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &seal());
    assert_eq!(bench.ask(30, &seal()), ask);
}

#[test]
fn a_held_call_counts_once() {
    let mut bench = Bench::new();
    bench.ask(0, &unseal(1));
    bench.ask(1, &Call { held: true, ..unseal(1) });
    assert_eq!(bench.ledger.asks()[0].attempts, 1);
}

#[test]
fn one_yes_opens_every_volume_of_the_boot() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    assert!(matches!(bench.approve(5, ask), Answer::Decided(_)));
    assert!((1..=3).all(|blob| bench.is_released(10, &unseal(blob))));
    assert!(bench.is_released(20, &seal()), "a new volume of the node is sealed under it as well");
}

#[test]
fn a_lease_ends_in_time_and_in_uses() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.approve(0, ask);
    assert!(bench.is_released(299, &unseal(1)));
    assert!(!bench.is_released(300, &unseal(1)));

    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.approve(0, ask);
    assert_eq!((0..40).filter(|_| bench.is_released(10, &unseal(1))).count(), 32);
}

#[test]
fn a_voter_may_shorten_or_lengthen_the_lease_within_bounds() {
    for (wanted, lease) in [(60, 60), (1800, 1800), (1_000_000, 3600)] {
        let mut bench = Bench::new();
        let ask = bench.ask(0, &unseal(1));
        bench.vote(0, ask, "alice", Verdict::Approve(Some(Duration::from_secs(wanted))));
        assert!(bench.is_released(lease - 1, &unseal(1)), "{wanted}");
        assert!(!bench.is_released(lease, &unseal(1)), "{wanted}");
    }
}

#[test]
fn silence_is_no() {
    // Mandos approves by default when the time is over.
    let mut bench = Bench::new();
    bench.ask(0, &unseal(1));
    for seconds in (30..3600).step_by(30) {
        assert!(!bench.is_released(seconds, &unseal(1)));
    }
}

#[test]
fn no_quorum_of_zero_and_no_empty_list_approves() {
    // OpenBao #3666: `approvals = 0` approved.
    for requirement in [
        requirement(&["alice"], 0),
        requirement(&[], 1),
        Requirement { from_channels: 0, ..requirement(&["alice"], 1) },
    ] {
        assert!(!requirement.is_met_by(&[]));
        assert!(!requirement.is_met_by(&[voter("alice", "cli").vote]));
        let mut bench = Bench::new();
        let judgement = bench.judge_by(0, &unseal(1), &Rule { action: Action::Ask, requirement });
        assert_eq!(judgement, Judgement::Refused(Reason::NobodyToAsk));
    }
}

#[test]
fn an_unlisted_person_does_not_count() {
    // OpenBao #3815: a group of the same name elsewhere could approve. talos-unlockr: the sender is not checked.
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    for stranger in ["mallory", "Alice", "alice ", ""] {
        assert!(matches!(bench.vote(1, ask, stranger, Verdict::Approve(None)), Answer::NotAnApprover(_)));
        assert!(matches!(bench.vote(1, ask, stranger, Verdict::Deny(None)), Answer::NotAnApprover(_)));
    }
    assert!(!bench.is_released(2, &unseal(1)));
}

#[test]
fn two_taps_of_one_person_count_once() {
    let mut bench = Bench::new();
    let strict = Rule { action: Action::Ask, requirement: requirement(&["alice", "bob"], 2) };
    let Judgement::Waiting { ask, .. } = bench.judge_by(0, &unseal(1), &strict) else { panic!("an ask") };
    assert!(matches!(bench.approve(1, ask), Answer::Counted(_)));
    assert!(matches!(bench.approve(1, ask), Answer::Repeated(_)));
    let through_another = Act::Vote { ask, by: voter("alice", "telegram"), verdict: Verdict::Approve(None) };
    assert!(matches!(bench.ledger.act(at(1), &through_another).0, Answer::Counted(_)));
    assert!(!matches!(bench.judge_by(2, &unseal(1), &strict), Judgement::Approved(_)));
    assert!(matches!(bench.vote(3, ask, "bob", Verdict::Approve(None)), Answer::Decided(_)));
    assert!(matches!(bench.judge_by(4, &unseal(1), &strict), Judgement::Approved(_)));
}

#[test]
fn a_late_vote_changes_nothing() {
    // kr #245: a push that came late still acted.
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    assert!(matches!(bench.approve(601, ask), Answer::Closed(_)), "the node had stopped asking");
    assert!(!bench.is_released(602, &unseal(1)));
    assert!(matches!(bench.approve(603, AskId([99; 16])), Answer::Unknown));
}

#[test]
fn a_vote_on_a_decided_ask_changes_nothing() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.vote(1, ask, "alice", Verdict::Deny(None));
    assert!(matches!(bench.vote(2, ask, "bob", Verdict::Approve(None)), Answer::Closed(_)));
    assert!(!bench.is_released(3, &unseal(1)));
}

#[test]
fn an_ask_that_nobody_answers_does_not_block_the_node_for_ever() {
    // azath: the pending entry stayed until a restart.
    let mut bench = Bench::new();
    let first = bench.ask(0, &unseal(1));
    let second = bench.ask(601, &unseal(1));
    assert_ne!(first, second);
    bench.approve(602, second);
    assert!(bench.is_released(603, &unseal(1)));
}

#[test]
fn a_denial_stays_for_its_hour_and_no_longer() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.vote(10, ask, "alice", Verdict::Deny(None));
    assert_eq!(bench.judge(3609, &unseal(1)), Judgement::Refused(Reason::Denied));
    assert!(matches!(bench.judge(3610, &unseal(1)), Judgement::Waiting { .. }));
}

#[test]
fn a_denial_outranks_a_grant_and_does_not_leave_it_behind() {
    let mut bench = Bench::new();
    let sealing = bench.ask(0, &seal());
    let unsealing = bench.ask(0, &unseal(1));
    bench.vote(1, sealing, "alice", Verdict::Approve(None));
    bench.vote(2, unsealing, "bob", Verdict::Deny(Some(Duration::from_secs(60))));
    assert_eq!(bench.judge(3, &seal()), Judgement::Refused(Reason::Denied));
    assert!(matches!(bench.judge(62, &seal()), Judgement::Waiting { .. }), "the grant ended with the denial's begin");
}

#[test]
fn a_block_of_the_node_binds_it_everywhere_and_ends_what_was_approved() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.approve(1, ask);
    let block = Act::Block { node: node("cp-1"), by: voter("bob", "cli"), lasts: None };
    assert!(matches!(bench.ledger.act(at(2), &block).0, Answer::Blocked(_)));
    assert_eq!(bench.judge(3, &unseal(1)), Judgement::Refused(Reason::Blocked));
    assert_eq!(bench.judge(3, &from_address(unseal(1), 50)), Judgement::Refused(Reason::Blocked));
    assert!(matches!(bench.judge(3, &call("cp-2", Operation::Unseal, 1)), Judgement::Waiting { .. }));
    let unblock = Act::Unblock { node: node("cp-1"), by: voter("bob", "cli") };
    assert!(matches!(bench.ledger.act(at(4), &unblock).0, Answer::Unblocked(1)));
    assert!(matches!(bench.judge(5, &unseal(1)), Judgement::Waiting { .. }), "and the grant does not come back");
}

#[test]
fn a_block_from_a_prompt_binds_the_address_alone() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &from_address(unseal(1), 50));
    bench.vote(1, ask, "alice", Verdict::Block(None));
    assert_eq!(bench.judge(2, &from_address(unseal(1), 50)), Judgement::Refused(Reason::Blocked));
    assert!(matches!(bench.judge(2, &from_address(unseal(1), 51)), Judgement::Waiting { .. }));
}

#[test]
fn refusals_outlive_a_restart_and_asks_and_grants_do_not() {
    let mut bench = Bench::new();
    let denied = bench.ask(0, &unseal(1));
    bench.vote(1, denied, "alice", Verdict::Deny(None));
    let granted = bench.ask(0, &call("cp-2", Operation::Unseal, 1));
    bench.approve(1, granted);
    bench.ledger = Ledger::new(Timings::default(), bench.ledger.standing(), at(10), |_| None);
    assert_eq!(bench.judge(11, &unseal(1)), Judgement::Refused(Reason::Denied));
    assert!(matches!(bench.judge(11, &call("cp-2", Operation::Unseal, 1)), Judgement::Waiting { .. }));
    assert!(matches!(bench.approve(12, granted), Answer::Unknown), "a button from before the restart is dead");
    assert_eq!(bench.ledger.asks()[0].last_approval.as_ref().map(|last| &*last.by), Some("alice"));
}

#[test]
fn a_wall_clock_that_jumps_moves_no_lease_and_lengthens_no_denial() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.approve(0, ask);
    let long_ago = Now { wall: WallTime::from_unix_millis(0), ..at(301) };
    let fresh = Fresh { id: AskId([77; 16]), code: 7 };
    let (judgement, _) = bench.ledger.judge(long_ago, &unseal(1), &rule(Action::Ask), fresh);
    assert!(matches!(judgement, Judgement::Waiting { .. }), "the lease is over, whatever the wall clock says");

    bench.vote(301, AskId([77; 16]), "alice", Verdict::Deny(None));
    let restarted = Now { wall: WallTime::from_unix_millis(0), moment: Moment::since_boot(Duration::from_secs(5)) };
    let mut ledger = Ledger::new(Timings::default(), bench.ledger.standing(), restarted, |_| None);
    let later = |seconds| Now { moment: restarted.moment.after(Duration::from_secs(seconds)), ..restarted };
    assert_eq!(ledger.judge(later(3599), &unseal(1), &rule(Action::Ask), fresh).0, Judgement::Refused(Reason::Denied));
    assert!(matches!(ledger.judge(later(3600), &unseal(1), &rule(Action::Ask), fresh).0, Judgement::Waiting { .. }));
}

#[test]
fn a_yes_to_a_seal_opens_what_was_sealed_under_it_and_nothing_older() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &seal());
    bench.approve(1, ask);
    let Judgement::Approved(terms) = bench.judge(2, &seal()) else { panic!("the seal is approved") };
    bench.ledger.sealed_under(&terms, fingerprint(7));
    assert!(bench.is_released(3, &unseal(7)));
    assert!(!bench.is_released(3, &unseal(8)), "an older blob of the node needs an ask of its own");
}

#[test]
fn a_weak_seal_rule_yields_no_unseal() {
    let mut bench = Bench::new();
    let weak = rule(Action::Ask);
    let strict = Rule { action: Action::Ask, requirement: requirement(&["alice", "bob"], 2) };
    let Judgement::Waiting { ask, .. } = bench.judge_by(0, &seal(), &weak) else { panic!("an ask") };
    bench.approve(1, ask);
    let Judgement::Approved(terms) = bench.judge_by(2, &seal(), &weak) else { panic!("the seal is approved") };
    bench.ledger.sealed_under(&terms, fingerprint(7));
    assert!(matches!(bench.judge_by(3, &unseal(7), &strict), Judgement::Waiting { .. }));
}

#[test]
fn a_grant_serves_no_rule_that_became_stricter() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.approve(1, ask);
    let only_bob = Rule { action: Action::Ask, requirement: requirement(&["bob"], 1) };
    assert!(matches!(bench.judge_by(2, &unseal(1), &only_bob), Judgement::Waiting { .. }));
}

#[test]
fn an_ask_under_an_older_rule_is_closed_and_asked_anew() {
    let mut bench = Bench::new();
    let first = bench.ask(0, &unseal(1));
    let strict = Rule { action: Action::Ask, requirement: requirement(&["alice", "bob"], 2) };
    let Judgement::Waiting { ask, .. } = bench.judge_by(1, &unseal(1), &strict) else { panic!("an ask") };
    assert_ne!(first, ask);
    assert!(matches!(bench.approve(2, first), Answer::Closed(_)));
}

#[test]
fn a_seal_joins_an_open_unseal_and_not_the_reverse() {
    let mut bench = Bench::new();
    let unsealing = bench.ask(0, &unseal(1));
    assert_eq!(bench.ask(1, &seal()), unsealing);
    let mut bench = Bench::new();
    let sealing = bench.ask(0, &seal());
    assert_ne!(bench.ask(1, &unseal(1)), sealing, "who says yes to a new disk has not said yes to an old one");
}

#[test]
fn an_approved_seal_that_nobody_collected_seals_at_the_next_boot_and_does_nothing_else() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &seal());
    bench.approve(60, ask);
    let hours = 3600;
    assert!(!bench.is_released(20 * hours, &unseal(1)));
    assert_eq!((0..10).filter(|_| bench.is_released(20 * hours, &seal())).count(), 8);

    let mut bench = Bench::new();
    let ask = bench.ask(0, &seal());
    bench.approve(0, ask);
    assert!(bench.is_released(20 * hours, &seal()));
    let Judgement::Approved(terms) = bench.judge(21 * hours, &seal()) else { panic!("the seal is approved") };
    bench.ledger.sealed_under(&terms, fingerprint(7));
    assert!(!bench.is_released(21 * hours, &unseal(7)), "it seals only");
    assert!(!bench.is_released(24 * hours, &seal()));

    let mut bench = Bench::new();
    let ask = bench.ask(0, &seal());
    bench.approve(0, ask);
    assert!(bench.is_released(10, &seal()));
    assert!(!bench.is_released(hours, &seal()), "one that was collected ends with its lease");
}

#[test]
fn rules_in_their_order() {
    let mut bench = Bench::new();
    assert_eq!(bench.judge_by(0, &unseal(1), &rule(Action::Deny)), Judgement::Refused(Reason::Rule));
    assert_eq!(bench.judge_by(0, &unseal(1), &rule(Action::Granted)), Judgement::Refused(Reason::NoGrant));
    assert!(bench.ledger.asks().is_empty(), "neither rule asks anybody");
    assert_eq!(bench.judge_by(0, &unseal(1), &rule(Action::Allow)), Judgement::Approved(Terms { grant: None }));
    let ask = bench.ask(0, &unseal(1));
    bench.approve(1, ask);
    assert!(matches!(bench.judge_by(2, &unseal(1), &rule(Action::Granted)), Judgement::Approved(_)));
    assert_eq!(bench.judge_by(2, &unseal(1), &rule(Action::Deny)), Judgement::Refused(Reason::Rule));
    let block = Act::Block { node: node("cp-1"), by: voter("bob", "cli"), lasts: None };
    bench.ledger.act(at(3), &block);
    assert_eq!(bench.judge_by(4, &unseal(1), &rule(Action::Allow)), Judgement::Refused(Reason::Blocked));
}

#[test]
fn an_answer_that_would_come_too_late_spends_no_use() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.approve(0, ask);
    let late = Call { in_time: false, ..unseal(1) };
    assert!((0..100).all(|_| bench.judge(1, &late) == Judgement::Refused(Reason::TooLate)));
    assert_eq!((0..40).filter(|_| bench.is_released(2, &unseal(1))).count(), 32);
}

#[test]
fn each_listed_node_has_room_whatever_others_do() {
    let mut bench = Bench::new();
    let mut opened = 0;
    for last in 0..=200 {
        for name in ["w-1", "w-2", "w-3", "w-4", "w-5", "w-6", "w-7", "w-8", "w-9", "w-10"] {
            let stray = from_address(call(name, Operation::Unseal, 1), last);
            bench.fresh = 0;
            let fresh = Fresh { id: AskId([last, opened, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), code: 0 };
            match bench.ledger.judge(at(0), &stray, &rule(Action::Ask), fresh).0 {
                Judgement::Waiting { .. } => opened += 1,
                Judgement::Refused(Reason::TooManyAsks) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(bench.ledger.asks().len(), MAX_SHARED_ASKS);
    assert!(matches!(bench.judge(1, &unseal(1)), Judgement::Waiting { .. }));
    assert!(matches!(bench.judge(1, &call("cp-2", Operation::Unseal, 1)), Judgement::Waiting { .. }));
}

#[test]
fn nodes_without_addresses_that_share_a_network_all_get_their_prompt() {
    let mut bench = Bench::new();
    for name in ["w-1", "w-2", "w-3", "w-4", "w-5"] {
        bench.ask(0, &from_address(call(name, Operation::Unseal, 1), 1));
    }
}

#[test]
fn where_a_node_was_approved_before_it_always_has_room() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &from_address(unseal(1), 90));
    bench.approve(1, ask);
    for last in [66, 67, 68] {
        bench.judge(700, &from_address(unseal(1), last));
    }
    assert_eq!(bench.ledger.asks().len(), MAX_SHARED_ASKS_PER_NODE);
    bench.ask(701, &from_address(unseal(1), 90));
}

#[test]
fn at_most_two_shared_asks_per_node_and_per_address() {
    let mut bench = Bench::new();
    for last in 1..=5 {
        bench.judge(0, &from_address(unseal(1), last));
    }
    assert_eq!(bench.ledger.asks().len(), MAX_SHARED_ASKS_PER_NODE);
    let mut bench = Bench::new();
    for name in ["w-1", "w-2", "w-3", "w-4"] {
        let mut stray = from_address(call(name, Operation::Unseal, 1), 1);
        stray.origin = Origin::OtherAddress(stray.peer.network());
        bench.judge(0, &stray);
    }
    assert_eq!(bench.ledger.asks().len(), MAX_SHARED_ASKS_PER_NETWORK);
}

#[test]
fn a_vote_for_one_address_releases_nothing_to_another() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &from_address(unseal(1), 50));
    bench.approve(1, ask);
    assert!(bench.is_released(2, &from_address(unseal(1), 50)));
    assert!(!bench.is_released(2, &from_address(unseal(1), 51)));
    assert!(!bench.is_released(2, &unseal(1)));
    assert!(!bench.is_released(2, &call("cp-2", Operation::Unseal, 1)));
}

#[test]
fn warnings_say_what_is_unusual() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    assert_eq!(bench.ledger.asks()[0].warnings, [Warning::NewAddress]);
    bench.approve(1, ask);
    let mut elsewhere = from_address(unseal(1), 50);
    elsewhere.origin = Origin::OtherAddress(elsewhere.peer.network());
    bench.ask(2, &elsewhere);
    assert_eq!(bench.ledger.asks()[0].warnings, [Warning::NewAddress, Warning::OtherAddress, Warning::SecondAddress]);
    bench.ask(4000, &unseal(1));
    assert_eq!(bench.ledger.asks()[0].warnings, [], "known, and the other address was an hour ago");
}

#[test]
fn a_node_without_addresses_that_has_moved_is_not_one_that_is_new() {
    let mut bench = Bench::new();
    let from = |last| {
        let call = from_address(unseal(1), last);
        Call { origin: Origin::PerAddress(call.peer.network()), ..call }
    };
    let ask = bench.ask(0, &from(50));
    assert_eq!(bench.ledger.asks()[0].warnings, [Warning::NewAddress]);
    bench.approve(1, ask);
    bench.ask(4000, &from(51));
    assert_eq!(bench.ledger.asks()[0].warnings, [Warning::NewAddress, Warning::Moved]);
    bench.ask(8000, &from(50));
    assert_eq!(bench.ledger.asks()[0].warnings, [], "back where it was");
}

#[test]
fn who_asks_first_has_no_cleaner_prompt() {
    let mut bench = Bench::new();
    bench.ask(0, &from_address(unseal(1), 66));
    bench.ask(1, &unseal(1));
    assert!(bench.ledger.asks().iter().all(|ask| ask.warnings.contains(&Warning::SecondAddress)));
}

#[test]
fn junk_from_a_neighbour_does_not_use_up_a_grant() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    bench.approve(0, ask);
    for junk in 0..100 {
        let Judgement::Approved(terms) = bench.judge(1, &unseal(junk)) else { panic!("approved") };
        bench.ledger.give_back(&terms);
    }
    assert_eq!((0..40).filter(|_| bench.is_released(2, &unseal(1))).count(), 32);
    let ask = bench.ask(3, &unseal(1));
    bench.approve(3, ask);
    let endless = (0..1_000).take_while(|_| match bench.judge(4, &unseal(1)) {
        Judgement::Approved(terms) => {
            bench.ledger.give_back(&terms);
            true
        }
        _ => false,
    });
    assert_eq!(endless.count(), 32 + 256, "but not for ever");
}

#[test]
fn a_seal_approved_for_a_named_time_lasts_no_longer() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &seal());
    bench.vote(0, ask, "alice", Verdict::Approve(Some(Duration::from_secs(60))));
    assert!(bench.is_released(59, &seal()));
    let mut bench = Bench::new();
    let ask = bench.ask(0, &seal());
    bench.vote(0, ask, "alice", Verdict::Approve(Some(Duration::from_secs(60))));
    assert!(!bench.is_released(3600, &seal()));
}

#[test]
fn a_yes_to_unlocking_answers_the_open_ask_for_a_seal() {
    let mut bench = Bench::new();
    let sealing = bench.ask(0, &seal());
    let unsealing = bench.ask(1, &unseal(1));
    bench.approve(2, unsealing);
    assert!(bench.ledger.asks().is_empty());
    let Answer::Closed(closed) = bench.approve(3, sealing) else { panic!("closed") };
    assert_eq!(closed.outcome, Outcome::Approved);
    assert!(bench.is_released(4, &seal()));
    assert_eq!(bench.ledger.grants(at(4)).count(), 1);
}

#[test]
fn a_yes_to_unlocking_answers_no_ask_of_another_node_place_or_rule() {
    let mut bench = Bench::new();
    let strict = Rule { action: Action::Ask, requirement: requirement(&["alice", "bob"], 2) };
    let other_node = bench.ask(0, &call("cp-2", Operation::Seal, 0));
    let other_place = bench.ask(0, &from_address(seal(), 50));
    let Judgement::Waiting { ask: stricter, .. } = bench.judge_by(0, &seal(), &strict) else { panic!("an ask") };
    let unsealing = bench.ask(1, &unseal(1));
    bench.approve(2, unsealing);
    let open: BTreeSet<AskId> = bench.ledger.asks().iter().map(|ask| ask.id).collect();
    assert_eq!(open, BTreeSet::from([other_node, other_place, stricter]));
}

#[test]
fn the_shortest_lease_that_a_voter_gave_counts() {
    for order in [[Some(60), None], [None, Some(60)], [Some(60), Some(600)], [Some(600), Some(60)]] {
        let mut bench = Bench::new();
        let both = Rule { action: Action::Ask, requirement: requirement(&["alice", "bob"], 2) };
        let Judgement::Waiting { ask, .. } = bench.judge_by(0, &seal(), &both) else { panic!("an ask") };
        for (who, lasts) in ["alice", "bob"].into_iter().zip(order) {
            bench.vote(0, ask, who, Verdict::Approve(lasts.map(Duration::from_secs)));
        }
        assert!(matches!(bench.judge_by(59, &seal(), &both), Judgement::Approved(_)), "{order:?}");
        assert!(matches!(bench.judge_by(61, &seal(), &both), Judgement::Waiting { .. }), "{order:?}");
        let mut late = Bench::new();
        let Judgement::Waiting { ask, .. } = late.judge_by(0, &seal(), &both) else { panic!("an ask") };
        for (who, lasts) in ["alice", "bob"].into_iter().zip(order) {
            late.vote(0, ask, who, Verdict::Approve(lasts.map(Duration::from_secs)));
        }
        assert!(matches!(late.judge_by(3_600, &seal(), &both), Judgement::Waiting { .. }), "a named time is kept");
    }
}

#[test]
fn an_approved_seal_says_how_long_it_may_be_collected_and_an_unseal_does_not() {
    let mut bench = Bench::new();
    let sealing = bench.ask(0, &seal());
    let Answer::Decided(sealed) = bench.approve(0, sealing) else { panic!("decided") };
    assert_eq!(sealed.collectable, Duration::from_secs(24 * 3600));
    let named = bench.ask(0, &call("cp-2", Operation::Seal, 0));
    let sixty = Some(Duration::from_secs(60));
    let Answer::Decided(named) = bench.vote(0, named, "alice", Verdict::Approve(sixty)) else { panic!("decided") };
    assert_eq!(named.collectable, Duration::ZERO);
    let unsealing = bench.ask(0, &call("w-1", Operation::Unseal, 1));
    let Answer::Decided(unsealed) = bench.approve(0, unsealing) else { panic!("decided") };
    assert_eq!(unsealed.collectable, Duration::ZERO);
}

#[test]
fn a_use_comes_back_to_the_grant_that_it_was_spent_on() {
    let mut bench = Bench::new();
    for name in ["cp-1", "cp-2"] {
        let ask = bench.ask(0, &call(name, Operation::Unseal, 1));
        bench.approve(0, ask);
    }
    let Judgement::Approved(terms) = bench.judge(1, &call("cp-2", Operation::Unseal, 1)) else { panic!("approved") };
    bench.ledger.give_back(&terms);
    let uses: Vec<u32> = bench.ledger.grants(at(1)).map(|grant| grant.uses_left).collect();
    assert_eq!(uses, [32, 32]);
}

#[test]
fn a_warning_is_about_one_node_is_told_once_and_ends_with_its_hour() {
    let mut bench = Bench::new();
    bench.ask(0, &unseal(1));
    bench.ask(0, &from_address(call("cp-2", Operation::Unseal, 1), 66));
    assert!(bench.ledger.asks().iter().all(|ask| !ask.warnings.contains(&Warning::SecondAddress)));
    let mut told = |seconds, last| {
        bench.fresh = bench.fresh.wrapping_add(1);
        let fresh = Fresh { id: AskId([bench.fresh; 16]), code: 0 };
        let stray = from_address(unseal(1), last);
        let events = bench.ledger.judge(at(seconds), &stray, &rule(Action::Ask), fresh).1;
        events.iter().filter(|event| matches!(event, Event::Changed(ask) if ask.origin == Origin::Listed)).count()
    };
    assert_eq!([told(1, 66), told(2, 66), told(3, 67)], [1, 0, 0]);
}

#[test]
fn a_shorter_no_does_not_shorten_a_longer_one() {
    let mut bench = Bench::new();
    let block =
        |seconds| Act::Block { node: node("cp-1"), by: voter("bob", "cli"), lasts: Some(Duration::from_secs(seconds)) };
    bench.ledger.act(at(0), &block(30 * 24 * 3600));
    bench.ledger.act(at(1), &block(1));
    assert_eq!(bench.judge(100_000, &unseal(1)), Judgement::Refused(Reason::Blocked));
}

#[test]
fn an_ask_that_is_being_answered_does_not_expire() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    let act = Act::Vote { ask, by: voter("alice", "cli"), verdict: Verdict::Block(None) };
    bench.ledger.set_acting(Some((at(599), &act)));
    assert!(bench.ledger.expire(at(601)).is_empty());
    assert!(matches!(bench.ledger.act(at(599), &act).0, Answer::Decided(_)));
    bench.ledger.set_acting(None);
    assert_eq!(bench.judge(602, &unseal(1)), Judgement::Refused(Reason::Blocked));
}

#[test]
fn codes_of_open_asks_differ_even_when_chance_repeats_itself() {
    let mut bench = Bench::new();
    for (number, name) in ["w-1", "w-2", "w-3"].into_iter().enumerate() {
        let fresh = Fresh { id: AskId([u8::try_from(number).expect("small"); 16]), code: 500 };
        bench.ledger.judge(at(0), &call(name, Operation::Unseal, 1), &rule(Action::Ask), fresh);
    }
    let codes: BTreeSet<_> = bench.ledger.asks().iter().map(|ask| ask.code).collect();
    assert_eq!(codes.len(), 3);
}

#[test]
fn the_waiting_text_settles_after_a_while() {
    let mut bench = Bench::new();
    assert!(matches!(bench.judge(0, &unseal(1)), Judgement::Waiting { steady: false, .. }));
    assert!(matches!(bench.judge(179, &unseal(1)), Judgement::Waiting { steady: false, .. }));
    assert!(matches!(bench.judge(180, &unseal(1)), Judgement::Waiting { steady: true, attempts: 3, .. }));
}

#[test]
fn refusals_are_bounded_and_a_node_replaces_its_own() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        let block = Act::Block { node: node("cp-1"), by: voter("bob", "cli"), lasts: None };
        bench.ledger.act(at(0), &block);
    }
    assert_eq!(bench.ledger.refusals().count(), 1);
}

#[test]
fn the_newest_approval_of_a_node_counts_wherever_it_came_from() {
    let mut bench = Bench::new();
    let uuid = node("cp-1").uuid.clone();
    let newest = |bench: &Bench| bench.ledger.last_approvals().get(&uuid).map(|last| (last.at, last.origin));
    assert_eq!(newest(&bench), None);
    // In both orders of their origins, so that neither is the newest by chance.
    let calls = [from_address(unseal(1), 1), from_address(unseal(1), 2), from_address(unseal(1), 1)];
    for (turn, call) in calls.iter().enumerate() {
        let seconds = 1_000 * u64::try_from(turn).expect("few");
        let ask = bench.ask(seconds, call);
        assert!(matches!(bench.approve(seconds, ask), Answer::Decided(_)));
        assert_eq!(newest(&bench), Some((at(seconds).wall, call.origin)));
    }
    assert_eq!(bench.ledger.last_approvals().len(), 1, "of one node");
}
