//! Acts against records that are slow, fail, or outlast the caller.

mod beyond;
mod holding;
mod life;
mod locking;

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::approval::ask::{Verdict, Voter};
use crate::approval::ledger::act::{Act, Answer};
use crate::approval::policy::{Approver, Vote};
use crate::clock::{Now, WallTime};
use crate::peer::Node;
use crate::peer::admission::{Admission, UuidPolicy};
use crate::request::{NodeUuid, Operation};

/// A clock that is set by hand, in seconds.
#[derive(Default)]
struct HandClock(AtomicUsize);

impl Clock for HandClock {
    fn now(&self) -> Now {
        let seconds = self.0.load(Ordering::Relaxed) as u64;
        Now {
            moment: Moment::since_boot(Duration::from_secs(1_000 + seconds)),
            wall: WallTime::from_unix_millis(i64::try_from(seconds).expect("small") * 1_000),
        }
    }
}

/// Records that take a turn of the scheduler, and fail when they are told to.
#[derive(Default)]
struct SlowRecords {
    events: Mutex<Vec<Event>>,
    saves: Mutex<Vec<Standing>>,
    audit_fails: AtomicBool,
    save_fails: AtomicBool,
    /// The state is saved, and what follows fails.
    fails_after_save: AtomicBool,
    /// Held by a test that wants nothing to be written meanwhile.
    pen: tokio::sync::Mutex<()>,
}

impl Records for SlowRecords {
    fn commit<'a>(
        &'a self,
        events: &'a [Event],
        standing: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let _writing = self.pen.lock().await;
            if self.audit_fails.load(Ordering::Relaxed) && !events.is_empty() {
                return Err(Unrecorded("no space for records".into()));
            }
            lock(&self.events).extend(events.iter().cloned());
            if self.save_fails.load(Ordering::Relaxed) && standing.is_some() {
                return Err(Unrecorded("no space for the state".into()));
            }
            lock(&self.saves).extend(standing.cloned());
            if self.fails_after_save.load(Ordering::Relaxed) && standing.is_some() {
                return Err(Unrecorded("no space for the record of the save".into()));
            }
            Ok(())
        })
    }
}

struct Bench {
    gate: Arc<Gate>,
    clock: Arc<HandClock>,
    records: Arc<SlowRecords>,
    admission: Arc<Admission>,
}

impl Bench {
    fn new() -> Self {
        let (clock, records) = (Arc::<HandClock>::default(), Arc::<SlowRecords>::default());
        let policy = Policy {
            approvers: vec![Approver { name: "alice".into(), uid: Some(1000), telegram_id: None }],
            ..Policy::default()
        };
        let node = Node {
            uuid: NodeUuid::parse("cp-1").expect("printable"),
            name: "cp-1".into(),
            cluster: None,
            addresses: vec![],
            formerly: vec![],
            bind_address: false,
            listed_by: crate::peer::ListedBy::Configuration,
        };
        let networks = vec!["192.0.2.0/24".parse().expect("a network")];
        let admission = Arc::new(Admission::new(networks, [node], UuidPolicy::default()));
        let gate = Gate::new(
            policy,
            Timings { hold: Duration::ZERO, ..Timings::default() },
            Standing::default(),
            Arc::clone(&admission),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&records) as Arc<dyn Records>,
        );
        Self { gate: Arc::new(gate), clock, records, admission }
    }

    async fn call(&self) -> Result<Approved, NotApproved> {
        self.call_for(1).await
    }

    /// A call for this disk of cp-1.
    async fn call_for(&self, disk: u8) -> Result<Approved, NotApproved> {
        let request = Request::parse(Operation::Unseal, "cp-1", vec![disk; 60]).expect("well-formed");
        let peer = Peer::plaintext(([192, 0, 2, 11], 1).into());
        let admitted = self.admission.admit(self.clock.now().moment, request, peer).expect("listed");
        self.gate.approve(admitted, &Caller { deadline: None, gone: CancellationToken::new() }).await
    }

    async fn ask(&self) -> AskId {
        let Err(NotApproved::Waiting { .. }) = self.call().await else { panic!("an ask") };
        self.gate.subscribe("cli").expect("room").asks[0].id
    }

    fn vote(&self, ask: AskId, verdict: Verdict) -> Act {
        let vote = Vote { approver: "alice".into(), channel: "cli".into() };
        Act::Vote { ask, by: Voter { vote, uid: 1000, telegram_id: None }, verdict }
    }

    fn node(&self) -> ListedNode {
        self.admission.lists().nodes().next().cloned().expect("a node")
    }

    fn in_force(&self) -> usize {
        self.gate.subscribe("test").expect("room").refusals.len()
    }
}

/// A future that is polled once, as by a handler whose client then hangs up.
async fn poll_once<F: Future>(future: F) {
    tokio::pin!(future);
    tokio::select! {
        biased;
        _ = &mut future => panic!("it was to be slow"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn an_act_whose_caller_hangs_up_is_done_to_the_end() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    poll_once(bench.gate.act(Generation::default(), bench.vote(ask, Verdict::Block(None)))).await;
    bench.gate.drain().await;
    assert_eq!(bench.in_force(), 1);
    assert!(matches!(bench.call().await, Err(NotApproved::Refused(Reason::Blocked))));
}

/// Has an act go as far as it comes while nothing can be written.
async fn waits_for_the_pen(mut act: Pin<&mut impl Future>) {
    for _ in 0..10 {
        tokio::select! {
            biased;
            _ = &mut act => panic!("nothing can be written"),
            () = tokio::task::yield_now() => {}
        }
    }
}

#[tokio::test]
async fn an_ask_that_runs_out_while_it_is_answered_is_answered() {
    for verdict in [Verdict::Block(None), Verdict::Approve(None)] {
        let bench = Bench::new();
        let ask = bench.ask().await;
        bench.clock.0.store(599, Ordering::Relaxed);
        let nothing_is_written = bench.records.pen.lock().await;
        let answering = bench.gate.act(Generation::default(), bench.vote(ask, verdict));
        tokio::pin!(answering);
        waits_for_the_pen(answering.as_mut()).await;
        bench.clock.0.store(601, Ordering::Relaxed);
        let (ticked, ()) = tokio::join!(bench.gate.tick(), async { drop(nothing_is_written) });
        ticked.expect("recorded");
        assert!(matches!(answering.await, Ok(Answer::Decided(_))));
        let closed = lock(&bench.records.events).iter().filter(|event| matches!(event, Event::Closed(_))).count();
        assert_eq!(closed, 1, "one ask is closed once");
    }
}

#[tokio::test]
async fn an_ask_that_opens_while_its_node_is_blocked_is_closed_on_record_and_told_to_nobody() {
    let bench = Bench::new();
    let node = bench.node();
    let vote = Vote { approver: "alice".into(), channel: "cli".into() };
    let block = Act::Block { node, by: Voter { vote, uid: 1000, telegram_id: None }, lasts: None };
    let mut told = bench.gate.subscribe("cli").expect("room");
    let nothing_is_written = bench.records.pen.lock().await;
    let turns = async |count| {
        for _ in 0..count {
            tokio::task::yield_now().await;
        }
    };
    // The block waits to be written first, and then the ask that opens meanwhile.
    let call = async {
        turns(5).await;
        bench.call().await
    };
    let (blocked, call, ()) = tokio::join!(biased; bench.gate.act(Generation::default(), block), call, async {
        turns(10).await;
        drop(nothing_is_written);
    });
    assert!(matches!(blocked, Ok(Answer::Blocked(_))));
    assert!(call.is_err(), "nothing is released");
    bench.gate.drain().await;
    let written = lock(&bench.records.events).iter().filter(|event| matches!(event, Event::Closed(_))).count();
    assert_eq!(written, 1, "what closed beyond the rehearsal is on record too");
    let opened = std::iter::from_fn(|| told.events.try_recv().ok()).filter(|event| matches!(**event, Event::Opened(_)));
    assert_eq!(opened.count(), 0);
}

#[tokio::test]
async fn an_ask_that_was_answered_in_vain_expires_as_any_other() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    bench.records.audit_fails.store(true, Ordering::Relaxed);
    assert!(bench.gate.act(Generation::default(), bench.vote(ask, Verdict::Approve(None))).await.is_err());
    bench.records.audit_fails.store(false, Ordering::Relaxed);
    bench.clock.0.store(601, Ordering::Relaxed);
    bench.gate.tick().await.expect("recorded");
    assert!(bench.gate.subscribe("cli").expect("room").asks.is_empty());
}

#[tokio::test]
async fn who_attaches_is_told_what_is_approved_and_what_was_closed() {
    let bench = Bench::new();
    for number in 0..CLOSED_TOLD + 2 {
        bench.clock.0.store(number * 10_000, Ordering::Relaxed);
        let ask = bench.ask().await;
        assert!(bench.gate.act(Generation::default(), bench.vote(ask, Verdict::Approve(None))).await.is_ok());
    }
    let told = bench.gate.subscribe("cli").expect("room");
    assert_eq!((told.grants.len(), told.closed.len()), (1, CLOSED_TOLD));
    assert_eq!(told.grants[0].ask, told.closed[CLOSED_TOLD - 1].ask.id, "newest last");
    assert_eq!(told.grants[0].left, Duration::from_secs(300));
}

#[tokio::test]
async fn what_could_not_be_opened_uses_nothing_up() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    assert!(bench.gate.act(Generation::default(), bench.vote(ask, Verdict::Approve(None))).await.is_ok());
    for second in 0..60 {
        bench.clock.0.store(second, Ordering::Relaxed);
        let approved = bench.call().await.expect("approved");
        bench.gate.failed(approved.terms());
    }
    assert_eq!(bench.gate.subscribe("cli").expect("room").grants[0].uses_left, 32);
}

#[tokio::test]
async fn the_last_use_comes_back_as_well_however_long_a_key_takes() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    assert!(bench.gate.act(Generation::default(), bench.vote(ask, Verdict::Approve(None))).await.is_ok());
    let mut approved = vec![];
    for second in 0..32 {
        bench.clock.0.store(second, Ordering::Relaxed);
        approved.push(bench.call().await.expect("approved"));
    }
    assert!(matches!(bench.call().await, Err(NotApproved::Waiting { .. })), "all uses are spent");
    bench.clock.0.store(40, Ordering::Relaxed);
    bench.gate.tick().await.expect("recorded");
    bench.gate.failed(approved.pop().expect("some").terms());
    assert!(bench.call().await.is_ok(), "its key was there a moment later");
}

#[tokio::test]
async fn a_release_for_nobody_or_too_late_is_none_although_it_was_approved() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    assert!(bench.gate.act(Generation::default(), bench.vote(ask, Verdict::Approve(None))).await.is_ok());
    let approved = bench.call().await.expect("approved");
    let deadline = bench.clock.now().moment.after(Duration::from_secs(3));
    let caller = Caller { deadline: Some(deadline), gone: CancellationToken::new() };
    bench.clock.0.store(2, Ordering::Relaxed);
    assert!(bench.gate.still_approves(&approved, &caller).await.is_ok(), "a second is left");
    bench.clock.0.store(3, Ordering::Relaxed);
    let late = bench.gate.still_approves(&approved, &caller).await;
    assert!(matches!(late, Err(NotApproved::Refused(Reason::TooLate))), "{late:?}");
    caller.gone.cancel();
    let gone = bench.gate.still_approves(&approved, &caller).await;
    assert!(matches!(gone, Err(NotApproved::CallerGone)), "{gone:?}");
}

#[tokio::test]
async fn who_asks_too_often_is_told_with_the_name_of_the_node_and_nobody_else_is() {
    let bench = Bench::new();
    let mut told = bench.gate.subscribe("cli").expect("room");
    let node = &bench.node();
    for why in [NotAdmitted::Network, NotAdmitted::TooMany] {
        bench.gate.turned_away(why, Some(node), [192, 0, 2, 1].into());
    }
    let names: Vec<Option<String>> = std::iter::from_fn(|| told.events.try_recv().ok())
        .filter_map(|event| match &*event {
            Event::Notice(notice) => Some(notice.node.as_ref().map(|node| node.name.to_string())),
            _ => None,
        })
        .collect();
    assert_eq!(names, [None, Some("cp-1".to_owned())]);
}

#[tokio::test]
async fn a_yes_that_cannot_be_recorded_has_no_effect() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    bench.records.audit_fails.store(true, Ordering::Relaxed);
    assert!(bench.gate.act(Generation::default(), bench.vote(ask, Verdict::Approve(None))).await.is_err());
    assert!(bench.call().await.is_err());
    bench.records.audit_fails.store(false, Ordering::Relaxed);
    assert!(matches!(bench.call().await, Err(NotApproved::Waiting { .. })));
    assert!(matches!(
        bench.gate.act(Generation::default(), bench.vote(ask, Verdict::Approve(None))).await,
        Ok(Answer::Decided(_))
    ));
    assert!(bench.call().await.is_ok());
}

#[tokio::test]
async fn a_no_that_cannot_be_recorded_has_its_effect_and_is_saved_later() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    bench.records.audit_fails.store(true, Ordering::Relaxed);
    bench.records.save_fails.store(true, Ordering::Relaxed);
    assert!(bench.gate.act(Generation::default(), bench.vote(ask, Verdict::Deny(None))).await.is_err());
    assert!(matches!(bench.call().await, Err(NotApproved::Refused(Reason::Denied))));
    bench.records.audit_fails.store(false, Ordering::Relaxed);
    bench.records.save_fails.store(false, Ordering::Relaxed);
    bench.gate.tick().await.expect("recorded");
    assert_eq!(lock(&bench.records.saves).last().expect("saved").refusals.len(), 1);
}

#[tokio::test]
async fn a_disk_too_full_for_the_state_keeps_no_node_from_its_disk() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    bench.records.save_fails.store(true, Ordering::Relaxed);
    assert!(matches!(
        bench.gate.act(Generation::default(), bench.vote(ask, Verdict::Approve(None))).await,
        Ok(Answer::Decided(_))
    ));
    assert!(bench.call().await.is_ok());
    bench.records.save_fails.store(false, Ordering::Relaxed);
    bench.gate.tick().await.expect("recorded");
    assert_eq!(lock(&bench.records.saves).last().expect("saved").approvals.len(), 1);
}

#[tokio::test]
async fn a_channel_hears_of_the_yes_before_the_release() {
    let bench = Bench::new();
    let ask = bench.ask().await;
    let mut heard = bench.gate.subscribe("cli").expect("room");
    let mut acts = bench.gate.acts.subscribe();
    let acting = tokio::spawn({
        let (gate, act) = (Arc::clone(&bench.gate), bench.vote(ask, Verdict::Approve(None)));
        async move { gate.act(Generation::default(), act).await }
    });
    // The moment at which held calls wake.
    acts.changed().await.expect("the gate lives");
    assert!(matches!(heard.events.try_recv().as_deref(), Ok(Event::Voted { .. } | Event::Closed(_))));
    assert!(acting.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn one_channel_does_not_take_the_others_room() {
    let bench = Bench::new();
    let crowd: Vec<_> = (0..MAX_SUBSCRIBERS + 4).filter_map(|_| bench.gate.subscribe("cli")).collect();
    assert_eq!(crowd.len(), MAX_SUBSCRIBERS);
    assert!(bench.gate.subscribe("telegram").is_some());
    drop(crowd);
    assert!(bench.gate.subscribe("cli").is_some());
}

#[tokio::test]
async fn a_channel_that_lags_behind_is_cut_off_and_nothing_waits_for_it() {
    let bench = Bench::new();
    let mut slow = bench.gate.subscribe("cli").expect("room");
    for number in 0..CHANNEL_BACKLOG + 10 {
        // Each far enough from the one before to be told.
        bench.clock.0.store(number * 8_000, Ordering::Relaxed);
        bench.gate.tick().await.expect("recorded");
        bench.gate.turned_away(NotAdmitted::UnknownNode, None, [192, 0, 2, 1].into());
    }
    let mut told = 0;
    while slow.events.recv().await.is_some() {
        told += 1;
    }
    assert_eq!(told, CHANNEL_BACKLOG, "then the stream ends");
}
