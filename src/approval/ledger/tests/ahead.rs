//! Approvals ahead, by themselves: when they are over, what they answer, and what waits for votes. And a no whose node moves.

use super::super::act::{Change, ChangeAnswer, GrantAnswer, GrantWanted};
use super::*;
use crate::approval::policy::{Approver, Layer, Policy};
use crate::peer::ListedBy;
use crate::peer::admission::{Lists, UuidPolicy};
use crate::peer::standing::{GrantAhead, KeptVote};

fn alice() -> Approver {
    Approver { name: "alice".into(), uid: Some(1000), telegram_id: None }
}

fn bob() -> Approver {
    Approver { name: "bob".into(), uid: Some(1001), telegram_id: None }
}

fn two() -> Policy {
    let default = Layer { quorum: Some(2), ..Layer::default() };
    Policy { default, approvers: vec![alice(), bob()], ..Policy::default() }
}

fn lists(nodes: &[Node]) -> Lists {
    Lists::new(vec![], nodes.to_vec(), UuidPolicy::default())
}

fn kept(person: &Approver) -> KeptVote {
    person.kept_vote("cli")
}

impl Bench {
    /// An act of an hour and eight uses for cp-1.
    fn grant_ahead(&mut self, seconds: u64, who: &Approver, rule: &Rule) -> GrantAnswer {
        self.fresh = self.fresh.wrapping_add(1);
        let fresh = Fresh { id: AskId([self.fresh; 16]), code: u16::from(self.fresh) };
        let wanted = vec![GrantWanted { node: node("cp-1"), origin: None, rule: rule.clone(), fresh }];
        let (lasts, uses) = (Some(Duration::from_secs(3_600)), Some(8));
        let act = Act::Grant { wanted, by: voter(&who.name, "cli"), vote: kept(who), lasts, uses };
        match self.ledger.act(at(seconds), &act).0 {
            Answer::Granted(mut answers) => answers.remove(0).1,
            other => panic!("{other:?}"),
        }
    }

    /// As after a crash, `seconds` after the boot of a host whose clock says `wall`.
    fn restarted(&self, now: Now) -> Self {
        let still_given = |_: &GrantAhead| Some(node("cp-1"));
        Self { ledger: Ledger::new(Timings::default(), self.ledger.standing(), now, still_given), fresh: self.fresh }
    }
}

/// The clock of a host that was without power for eight hours, and does not know it.
fn asleep(seconds: u64) -> Now {
    Now { moment: Moment::since_boot(Duration::from_secs(seconds)), wall: at(300 + seconds).wall }
}

#[test]
fn what_is_over_by_the_clock_on_the_wall_is_over_once_that_is_set_right() {
    let mut bench = Bench::new();
    assert!(matches!(bench.grant_ahead(0, &alice(), &rule(Action::Ask)), GrantAnswer::Granted(_)));
    let mut bench = bench.restarted(asleep(0));
    let fresh = |number| Fresh { id: AskId([number; 16]), code: number.into() };
    let serves = |bench: &mut Bench, now, number| {
        matches!(bench.ledger.judge(now, &unseal(1), &rule(Action::Ask), fresh(number)).0, Judgement::Approved(_))
    };
    assert!(serves(&mut bench, asleep(1), 101), "as far as anybody knows, its hour is not over");
    let morning = Now { wall: at(8 * 3_600).wall, ..asleep(2) };
    assert!(!serves(&mut bench, morning, 102), "now it is known to be");
    assert!(bench.ledger.standing().grants.is_empty(), "for good");
    assert!(!serves(&mut bench, asleep(3), 103), "also when the clock goes back");
}

#[test]
fn an_approval_ahead_answers_what_is_asked_about_just_that() {
    let mut bench = Bench::new();
    let ask = bench.ask(0, &unseal(1));
    let other = bench.ask(0, &call("worker-1", Operation::Unseal, 1));
    assert!(matches!(bench.grant_ahead(1, &alice(), &rule(Action::Ask)), GrantAnswer::Granted(_)));
    let open: Vec<AskId> = bench.ledger.asks().iter().map(|ask| ask.id).collect();
    assert_eq!(open, [other]);
    let closed = bench.ledger.closed_last(1).pop().expect("closed");
    assert_eq!((closed.ask.id, closed.outcome), (ask, Outcome::Approved));
    assert!(bench.is_released(2, &unseal(1)));
    assert_eq!(bench.ledger.grants(at(2)).count(), 1, "it is no second approval");
    let last = bench.ledger.last_approvals();
    assert_eq!(&*last[&NodeUuid::parse("cp-1").expect("printable")].by, "alice");
}

#[test]
fn what_waits_for_votes_outlives_what_is_not_about_it_and_no_more() {
    let needs_two = two().rule(&node("cp-1"), Origin::Listed, Operation::Unseal);
    let listed = || lists(&[Node::clone(&node("cp-1"))]);
    let both = [alice(), bob()];
    let after = |policy: &Policy, approvers: &[Approver], lists: &Lists| {
        let mut bench = Bench::new();
        assert!(matches!(bench.grant_ahead(0, &alice(), &needs_two), GrantAnswer::Counted(_)));
        bench.ledger.reconfigure(at(1), policy, &Timings::default(), approvers, lists);
        bench.grant_ahead(2, &bob(), &needs_two)
    };
    let more = lists(&[Node::clone(&node("cp-1")), Node::clone(&node("cp-2"))]);
    assert!(matches!(after(&two(), &both, &more), GrantAnswer::Granted(_)), "another node is listed");
    let other_alice = Approver { uid: Some(7), ..alice() };
    let gone = Policy { approvers: vec![other_alice, bob()], ..two() };
    assert!(matches!(after(&gone, &both, &listed()), GrantAnswer::Counted(_)), "somebody else is called alice");
    let pinned = lists(&[Node { addresses: vec![], ..Node::clone(&node("cp-1")) }]);
    assert!(matches!(after(&two(), &both, &pinned), GrantAnswer::Counted(_)), "it is for a node that is another now");
    let three = Policy { default: Layer { quorum: Some(3), ..Layer::default() }, ..two() };
    assert!(matches!(after(&three, &both, &listed()), GrantAnswer::Counted(_)), "it needs other votes now");
}

#[test]
fn a_change_of_one_node_keeps_the_votes_for_another() {
    let entry = |name: &str| Node { listed_by: ListedBy::People, ..Node::clone(&node(name)) };
    let requirement = two().requirement(&entry("cp-8"));
    let mut bench = Bench::new();
    let add = |bench: &mut Bench, name: &str, who: &Approver| {
        let (by, vote) = (voter(&who.name, "cli"), kept(who));
        let act = Act::ChangeNode { change: Change::Add(entry(name)), requirement: requirement.clone(), by, vote };
        let answer = bench.ledger.act(at(0), &act).0;
        let lists = lists(&[]).with_entries(bench.ledger.entries());
        bench.ledger.reconfigure(at(0), &two(), &Timings::default(), &[alice(), bob()], &lists);
        matches!(answer, Answer::NodeChanged(ChangeAnswer::Changed(_)))
    };
    assert!(!add(&mut bench, "cp-8", &alice()) && !add(&mut bench, "cp-9", &alice()));
    assert!(add(&mut bench, "cp-8", &bob()) && add(&mut bench, "cp-9", &bob()));
}

#[test]
fn a_no_follows_a_node_whose_addresses_change() {
    let refused_after = |from: Option<u8>, addresses: &[&str], calls: &Call| {
        let mut bench = Bench::new();
        let before = match from {
            None => unseal(1),
            Some(last) => from_address(unseal(1), last),
        };
        let ask = bench.ask(0, &before);
        bench.vote(0, ask, "alice", Verdict::Block(None));
        let addresses = addresses.iter().map(|network| network.parse().expect("a network")).collect();
        let moved = Node { addresses, ..Node::clone(&node("cp-1")) };
        let everybody = Policy { approvers: vec![alice(), bob()], ..Policy::default() };
        bench.ledger.reconfigure(at(1), &everybody, &Timings::default(), &[alice(), bob()], &lists(&[moved]));
        bench.judge(2, calls) == Judgement::Refused(Reason::Blocked)
    };
    let listed = || unseal(1);
    let at_12 = || from_address(unseal(1), 12);
    assert!(refused_after(None, &[], &at_12()), "blocked where it was listed, and now it lists nothing: everywhere");
    assert!(refused_after(Some(12), &["192.0.2.12/32"], &listed()), "blocked at what is listed now");
    assert!(refused_after(Some(12), &["192.0.2.0/24"], &listed()));
    assert!(!refused_after(Some(12), &["192.0.2.11/32"], &listed()), "another address was never refused");
    let elsewhere = Call { origin: Origin::OtherAddress(at_12().peer.network()), ..at_12() };
    assert!(refused_after(Some(12), &["192.0.2.11/32"], &elsewhere));
}
