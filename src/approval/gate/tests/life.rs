//! Another configuration while calls wait and people answer, and the end.

use std::sync::atomic::Ordering;

use super::super::*;
use super::{Bench, poll_once};
use crate::approval::ask::{Verdict, Voter};
use crate::approval::ledger::act::{Act, Answer};
use crate::approval::policy::{Approver, Layer, Vote};
use crate::peer::admission::{Lists, UuidPolicy};
use crate::peer::standing::RefusalKind;

const NEXT: fn() -> Generation = || Generation::default().next();

fn approvers() -> Vec<Approver> {
    vec![Approver { name: "alice".into(), uid: Some(1000), telegram_id: None }]
}

impl Bench {
    fn lists(&self, generation: Generation) -> Lists {
        let networks = vec!["192.0.2.0/24".parse().expect("a network")];
        Lists::new(networks, [crate::peer::Node::clone(&self.node())], UuidPolicy::default()).of(generation)
    }

    /// The same nodes and people, with these rules.
    async fn reconfigure(&self, default: Layer) {
        let policy = Policy { default, approvers: approvers(), ..Policy::default() };
        let timings = Timings { hold: Duration::from_secs(5), ..Timings::default() };
        self.gate.reconfigure(policy, timings, &self.lists(NEXT())).await;
    }

    /// A gate that holds calls: that of [`Bench::new`] does not.
    async fn holding() -> Self {
        let bench = Self::new();
        bench.reconfigure(Layer::default()).await;
        bench
    }

    async fn act(&self, ask: AskId, verdict: Verdict) -> Result<Answer, NotActed> {
        self.gate.act(self.gate.configuration().generation, self.vote(ask, verdict)).await
    }

    fn written(&self, is: fn(&Event) -> bool) -> usize {
        lock(&self.records.events).iter().filter(|event| is(event)).count()
    }
}

async fn turns() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_call_is_let_go_and_the_next_is_judged_by_the_new_rules() {
    let bench = Bench::holding().await;
    let policy = Policy {
        default: Layer { unseal: Some(Action::Allow), ..Layer::default() },
        approvers: approvers(),
        ..Policy::default()
    };
    let lists = bench.lists(NEXT().next());
    let (call, ()) = tokio::join!(biased; bench.call(), async {
        turns().await;
        assert_eq!(bench.gate.under_way(), UnderWay { asks: 1, grants: 0, held: 1 });
        bench.gate.reconfigure(policy, Timings::default(), &lists).await;
    });
    assert!(
        matches!(call, Err(NotApproved::Reconfigured)),
        "even a rule that would release it is not for it: {call:?}"
    );
    assert_eq!(bench.written(|event| matches!(event, Event::Closed(_))), 1, "its ask closed on record");
    assert_eq!(bench.gate.under_way(), UnderWay::default());
    assert!(bench.call().await.is_ok());
}

#[tokio::test]
async fn nobody_is_judged_by_one_list_and_the_rules_of_another() {
    let bench = Bench::new();
    let admitted = || {
        let request = Request::parse(Operation::Unseal, "cp-1", vec![1; 60]).expect("well-formed");
        let peer = Peer::plaintext(([192, 0, 2, 11], 1).into());
        bench.admission.admit(bench.clock.now().moment, request, peer).expect("listed")
    };
    let caller = Caller { deadline: None, gone: CancellationToken::new() };
    let old = admitted();
    bench.reconfigure(Layer { unseal: Some(Action::Allow), ..Layer::default() }).await;
    assert!(matches!(bench.gate.approve(old, &caller).await, Err(NotApproved::Reconfigured)));
    bench.admission.replace(bench.lists(NEXT().next()));
    assert!(matches!(bench.gate.approve(admitted(), &caller).await, Err(NotApproved::Reconfigured)));
}

#[tokio::test]
async fn whoever_was_known_by_the_old_configuration_has_to_answer_again() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    let known = bench.gate.configuration().generation;
    bench.reconfigure(Layer::default()).await;
    let answer = bench.gate.act(known, bench.vote(ask, Verdict::Approve(None))).await;
    assert!(matches!(answer, Err(NotActed::Reconfigured)), "{answer:?}");
    assert_eq!(bench.gate.under_way().grants, 0);
    assert!(matches!(bench.act(ask, Verdict::Approve(None)).await, Ok(Answer::Decided(_))));
}

#[tokio::test]
async fn an_act_under_way_is_done_before_another_configuration_takes_effect() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    let nothing_is_written = bench.records.pen.lock().await;
    let reconfigured = async {
        turns().await;
        bench.reconfigure(Layer { quorum: Some(2), ..Layer::default() }).await;
    };
    let (answer, (), ()) = tokio::join!(biased; bench.act(ask, Verdict::Approve(None)), reconfigured, async {
        turns().await;
        turns().await;
        assert_eq!(bench.gate.configuration().generation, Generation::default());
        drop(nothing_is_written);
    });
    assert!(matches!(answer, Ok(Answer::Decided(_))));
    assert_eq!(bench.gate.under_way().grants, 0, "what it approved does not do any more");
    assert!(matches!(bench.gate.configuration().policy.default.quorum, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_people_is_let_go_when_the_server_stops() {
    let bench = Bench::holding().await;
    let (call, ()) = tokio::join!(biased; bench.call(), async {
        turns().await;
        bench.gate.stop();
    });
    assert!(matches!(call, Err(NotApproved::Stopping)), "{call:?}");
    let opened = bench.written(|event| matches!(event, Event::Opened(_)));
    bench.clock.0.store(700, Ordering::Relaxed);
    assert!(matches!(bench.call().await, Err(NotApproved::Stopping)));
    assert_eq!(bench.written(|event| matches!(event, Event::Opened(_))), opened, "nobody is asked any more");
    assert_eq!(bench.written(|event| matches!(event, Event::Closed(_))), 1, "what expires is recorded all the same");
}

#[tokio::test]
async fn what_is_approved_is_released_while_the_server_stops_and_nobody_can_answer() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    assert!(bench.act(ask, Verdict::Approve(None)).await.is_ok());
    bench.gate.stop();
    assert!(bench.call().await.is_ok());
    assert!(matches!(bench.act(ask, Verdict::Deny(None)).await, Err(NotActed::Stopping)));
}

#[tokio::test]
async fn a_vote_under_way_is_recorded_when_the_server_stops() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    let nothing_is_written = bench.records.pen.lock().await;
    poll_once(bench.act(ask, Verdict::Block(None))).await;
    turns().await;
    bench.gate.stop();
    drop(nothing_is_written);
    bench.gate.drain().await;
    assert_eq!(bench.written(|event| matches!(event, Event::Voted { .. })), 1);
    assert!(
        lock(&bench.records.saves).iter().any(|saved| saved.refusals.iter().any(|no| no.kind == RefusalKind::Block))
    );
}

#[tokio::test]
async fn the_gate_is_idle_when_nothing_would_be_lost() {
    let bench = Bench::new();
    assert!(bench.gate.is_idle());
    let ask = bench.ask().await;
    assert!(!bench.gate.is_idle(), "an ask is open");
    bench.records.save_fails.store(true, Ordering::Relaxed);
    assert!(bench.act(ask, Verdict::Deny(None)).await.is_err());
    assert!(!bench.gate.is_idle(), "a denial is not on the disk");
    bench.records.save_fails.store(false, Ordering::Relaxed);
    bench.gate.tick().await.expect("recorded");
    assert!(bench.gate.is_idle());
    let vote = Vote { approver: "alice".into(), channel: "cli".into() };
    let by = Voter { vote, uid: 1000, telegram_id: None };
    let nothing_is_written = bench.records.pen.lock().await;
    poll_once(bench.gate.act(Generation::default(), Act::Unblock { node: bench.node(), by })).await;
    turns().await;
    assert!(!bench.gate.is_idle(), "an act is under way");
    drop(nothing_is_written);
}

#[tokio::test]
async fn another_configuration_cuts_every_channel_off_once_it_was_told_what_that_closed() {
    let bench = Bench::new();
    bench.ask().await;
    let mut channel = bench.gate.subscribe("phone").expect("room");
    bench.reconfigure(Layer { quorum: Some(2), ..Layer::default() }).await;
    let last = channel.events.try_recv();
    assert!(matches!(last.as_deref(), Ok(Event::Closed(_))), "{last:?}");
    let end = channel.events.try_recv().map_err(|error| error == mpsc::error::TryRecvError::Disconnected);
    assert!(matches!(end, Err(true)), "it has to subscribe again, and to be let in again: {end:?}");
    assert!(bench.gate.subscribe("phone").expect("room").asks.is_empty());
}
