//! Holding, recording and telling, in paused time.

use std::collections::VecDeque;

use super::super::*;
use crate::approval::ask::{Outcome, Verdict, Voter};
use crate::approval::ledger::act::{Act, Answer};
use crate::approval::policy::{Approver, Layer, OtherAddress, Vote};
use crate::clock::{Now, WallTime};
use crate::peer::Node;
use crate::peer::admission::{Admission, UuidPolicy};
use crate::request::NodeUuid;

#[derive(Debug)]
struct PausedClock {
    started: tokio::time::Instant,
}

#[expect(clippy::disallowed_methods, reason = "the runtime's time is paused")]
fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Clock for PausedClock {
    fn now(&self) -> Now {
        Now { moment: Moment::since_boot(Duration::from_secs(100) + self.started.elapsed()), wall: WallTime::default() }
    }
}

/// Takes a moment to write, and fails as often as it is told to.
#[derive(Default)]
struct Paper {
    failures: Mutex<VecDeque<bool>>,
    /// The events of each commit, and whether there was a standing to write.
    written: Mutex<Vec<(Vec<Event>, bool)>>,
}

impl Paper {
    fn fail_next(&self) {
        lock(&self.failures).push_back(true);
    }

    /// How many of the events that were written `is`.
    fn count(&self, is: fn(&Event) -> bool) -> usize {
        lock(&self.written).iter().flat_map(|(events, _)| events).filter(|event| is(event)).count()
    }

    fn last(&self) -> (usize, bool) {
        lock(&self.written).last().map(|(events, standing)| (events.len(), *standing)).expect("something is written")
    }
}

impl Records for Paper {
    fn commit<'a>(
        &'a self,
        events: &'a [Event],
        standing: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if lock(&self.failures).pop_front() == Some(true) {
                return Err(Unrecorded("no paper".into()));
            }
            lock(&self.written).push((events.to_vec(), standing.is_some()));
            Ok(())
        })
    }
}

struct Bench {
    gate: Arc<Gate>,
    paper: Arc<Paper>,
    admission: Arc<Admission>,
}

const ADDRESS: &str = "192.0.2.11";

impl Bench {
    fn new() -> Self {
        Self::with(Layer::default())
    }

    fn with(default: Layer) -> Self {
        let approver = |name: &str| Approver { name: name.into(), uid: None, telegram_id: None };
        let policy = Policy { default, approvers: vec![approver("alice"), approver("bob")], ..Policy::default() };
        let paper = Arc::new(Paper::default());
        let clock = Arc::new(PausedClock { started: instant() });
        let records = Arc::clone(&paper) as Arc<dyn Records>;
        let node = |name: &str| Node {
            uuid: NodeUuid::parse(name).expect("printable"),
            name: name.into(),
            cluster: None,
            addresses: vec![ADDRESS.parse::<IpAddr>().expect("an address").into()],
            formerly: vec![],
            bind_address: false,
            listed_by: crate::peer::ListedBy::Configuration,
        };
        let nodes = (0..40).map(|number| node(&format!("w-{number}"))).chain([node("cp-1")]);
        let networks = vec!["192.0.2.0/24".parse().expect("a network")];
        let admission = Arc::new(Admission::new(networks, nodes, UuidPolicy::default()));
        let (timings, standing) = (Timings::default(), Standing::default());
        let gate = Arc::new(Gate::new(policy, timings, standing, Arc::clone(&admission), clock, records));
        Self { gate, paper, admission }
    }

    fn now(&self) -> Moment {
        self.gate.clock.now().moment
    }

    fn admitted(&self, name: &str, address: &str, operation: Operation) -> Admitted {
        let request = Request::parse(operation, name, vec![1]).expect("well-formed");
        let peer = Peer::plaintext((address.parse::<IpAddr>().expect("an address"), 1).into());
        self.admission.admit(self.now(), request, peer).expect("admitted")
    }

    /// How a call of cp-1 ends that gives up after `patience`, and when.
    async fn call(&self, patience: Option<Duration>) -> (Result<Approved, NotApproved>, Duration) {
        self.call_as("cp-1", ADDRESS, patience).await
    }

    async fn call_as(
        &self,
        name: &str,
        address: &str,
        patience: Option<Duration>,
    ) -> (Result<Approved, NotApproved>, Duration) {
        let began = self.now();
        let caller =
            Caller { deadline: patience.map(|patience| began.after(patience)), gone: CancellationToken::new() };
        let answer = self.gate.approve(self.admitted(name, address, Operation::Unseal), &caller).await;
        // Writing takes a moment, which is not what is looked at.
        let took = self.now().since(began);
        (answer, Duration::from_millis(u64::try_from(took.as_millis() / 100 * 100).expect("short")))
    }

    fn open_ask(&self) -> Ask {
        let subscription = self.gate.subscribe("cli").expect("room");
        subscription.asks.into_iter().next().expect("an ask is open")
    }

    async fn vote(&self, who: &str, verdict: Verdict) -> Result<Answer, NotActed> {
        let ask = self.open_ask().id;
        self.gate.act(Generation::default(), vote(ask, who, verdict)).await
    }

    async fn is_waiting(&self) -> bool {
        matches!(self.call(None).await.0, Err(NotApproved::Waiting { .. }))
    }
}

fn vote(ask: AskId, who: &str, verdict: Verdict) -> Act {
    let vote = Vote { approver: who.into(), channel: "cli".into() };
    Act::Vote { ask, by: Voter { vote, uid: 1000, telegram_id: None }, verdict }
}

const YES: Verdict = Verdict::Approve(None);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Everything that was told until now.
fn told(subscription: &mut Subscription) -> Vec<Arc<Event>> {
    std::iter::from_fn(|| subscription.events.try_recv().ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_held_until_the_end_of_its_deadline_has_to_begin() {
    for (patience, hold, may_change) in [
        (None, 5_000, true),
        (Some(60), 5_000, true),
        (Some(10), 5_000, true),
        (Some(8), 3_000, true),
        (Some(6), 1_000, false),
        (Some(3), 0, false),
    ] {
        let bench = Bench::new();
        let (answer, took) = bench.call(patience.map(seconds)).await;
        assert_eq!(took, Duration::from_millis(hold), "{patience:?}");
        let Err(NotApproved::Waiting { poll, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(poll, may_change.then_some(1), "{patience:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_vote_wakes_the_call_that_is_held() {
    let bench = Bench::new();
    let ((answer, took), vote) = tokio::join!(bench.call(None), async {
        tokio::time::sleep(seconds(1)).await;
        bench.vote("alice", YES).await
    });
    assert!(matches!(vote, Ok(Answer::Decided(_))));
    assert_eq!((answer.expect("approved").action(), took), (Action::Ask, seconds(1)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_woken_for_nothing_counts_once_and_is_held_on() {
    let bench = Bench::with(Layer { quorum: Some(2), ..Layer::default() });
    let ((answer, took), vote) = tokio::join!(bench.call(None), async {
        tokio::time::sleep(seconds(1)).await;
        bench.vote("alice", YES).await
    });
    assert!(matches!(vote, Ok(Answer::Counted(_))));
    assert!(matches!(answer, Err(NotApproved::Waiting { poll: Some(1), .. })), "{answer:?}");
    assert_eq!(took, seconds(5));
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_is_held_no_longer() {
    let bench = Bench::new();
    let caller = Caller { deadline: None, gone: CancellationToken::new() };
    let admitted = bench.admitted("cp-1", ADDRESS, Operation::Unseal);
    let (answer, ()) = tokio::join!(bench.gate.approve(admitted, &caller), async {
        tokio::time::sleep(seconds(1)).await;
        caller.gone.cancel();
    });
    assert!(matches!(answer, Err(NotApproved::CallerGone)), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_released_with_less_than_a_second_left() {
    let bench = Bench::with(Layer { unseal: Some(Action::Allow), ..Layer::default() });
    for (millis, released) in [(0, false), (999, false), (1_000, true), (5_000, true)] {
        let (answer, took) = bench.call(Some(Duration::from_millis(millis))).await;
        assert_eq!(answer.is_ok(), released, "{millis} ms");
        assert_eq!(took, Duration::ZERO);
    }
    assert!(bench.call(None).await.0.is_ok(), "no deadline is never too close");
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_cannot_be_recorded_is_not_asked() {
    let bench = Bench::new();
    let mut subscription = bench.gate.subscribe("cli").expect("room");
    bench.paper.fail_next();
    let (answer, _) = bench.call(None).await;
    assert!(matches!(answer, Err(NotApproved::Unrecorded(_))), "{answer:?}");
    assert!(bench.gate.subscribe("cli").expect("room").asks.is_empty());
    assert!(told(&mut subscription).is_empty(), "and nobody is told");
    assert!(bench.is_waiting().await, "the next call asks");
    assert_eq!(bench.paper.count(|event| matches!(event, Event::Opened(_))), 1);
}

#[tokio::test(start_paused = true)]
async fn a_yes_that_cannot_be_recorded_is_none() {
    let bench = Bench::new();
    assert!(bench.is_waiting().await);
    bench.paper.fail_next();
    assert!(bench.vote("alice", YES).await.is_err());
    assert!(bench.is_waiting().await);
    assert!(matches!(bench.vote("alice", YES).await, Ok(Answer::Decided(_))));
    assert!(bench.call(None).await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_no_that_cannot_be_recorded_is_one() {
    let bench = Bench::new();
    assert!(bench.is_waiting().await);
    let mut subscription = bench.gate.subscribe("cli").expect("room");
    bench.paper.fail_next();
    assert!(bench.vote("alice", Verdict::Deny(None)).await.is_err());
    assert!(matches!(bench.call(None).await.0, Err(NotApproved::Refused(Reason::Denied))));
    assert!(told(&mut subscription).iter().any(|event| matches!(**event, Event::Refused { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_is_decided_is_written_down_and_what_changed_nothing_is_not() {
    let bench = Bench::with(Layer { quorum: Some(2), ..Layer::default() });
    assert!(bench.is_waiting().await);
    let mut subscription = bench.gate.subscribe("cli").expect("room");
    assert!(matches!(bench.vote("alice", YES).await, Ok(Answer::Counted(_))));
    assert_eq!(bench.paper.last(), (2, false), "a vote that counts alone changes nothing that is kept");
    let written = lock(&bench.paper.written).len();
    assert!(matches!(bench.vote("alice", YES).await, Ok(Answer::Repeated(_))));
    assert_eq!(lock(&bench.paper.written).len(), written);
    assert!(matches!(bench.vote("bob", YES).await, Ok(Answer::Decided(_))));
    assert_eq!(lock(&bench.paper.written)[written].0.len(), 2, "the vote and the end of the ask");
    assert_eq!(bench.paper.last(), (0, true), "who approved last is kept as well");
    assert_eq!(lock(&bench.paper.written).len(), written + 2);
    let closed = told(&mut subscription).into_iter().filter(|event| matches!(**event, Event::Closed(_))).count();
    assert_eq!(closed, 1);
}

#[tokio::test(start_paused = true)]
async fn two_taps_at_once_decide_once() {
    let bench = Bench::new();
    assert!(bench.is_waiting().await);
    let ask = bench.open_ask().id;
    let [alice, bob] = [vote(ask, "alice", YES), vote(ask, "bob", Verdict::Deny(None))];
    let (first, second) =
        tokio::join!(bench.gate.act(Generation::default(), alice), bench.gate.act(Generation::default(), bob));
    assert!(matches!(first, Ok(Answer::Decided(_))), "{first:?}");
    assert!(matches!(second, Ok(Answer::Closed(_))), "{second:?}");
    assert_eq!(bench.paper.count(|event| matches!(event, Event::Closed(_))), 1);
}

#[tokio::test(start_paused = true)]
async fn a_grant_from_a_seal_opens_what_was_sealed_and_learns_nothing_from_an_unseal() {
    let bench = Bench::new();
    let caller = Caller { deadline: None, gone: CancellationToken::new() };
    let approve = |operation| bench.gate.approve(bench.admitted("cp-1", ADDRESS, operation), &caller);
    assert!(approve(Operation::Seal).await.is_err());
    bench.vote("alice", YES).await.expect("recorded");
    let approved = approve(Operation::Seal).await.expect("approved");
    let blob = bench.admitted("cp-1", ADDRESS, Operation::Unseal).request().fingerprint().expect("a blob");
    let release = |operation| Release {
        node: ListedNode::clone(approved.node()),
        address: approved.peer().address,
        operation,
        blob,
        terms: approved.terms().clone(),
        at: bench.gate.clock.now(),
    };
    bench.gate.sealed_under(&release(Operation::Unseal));
    assert!(approve(Operation::Unseal).await.is_err());
    bench.gate.sealed_under(&release(Operation::Seal));
    assert!(approve(Operation::Unseal).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn calls_that_make_no_ask_are_told_once() {
    let bench = Bench::with(Layer { other_address: Some(OtherAddress::Ask), ..Layer::default() });
    let mut subscription = bench.gate.subscribe("cli").expect("room");
    for _ in 0..3 {
        bench.gate.turned_away(NotAdmitted::Network, None, [198, 51, 100, 1].into());
    }
    for last in 20..23 {
        drop(bench.call_as("w-1", &format!("192.0.2.{last}"), Some(seconds(3))).await);
    }
    let refusing = Bench::new();
    let mut refused = refusing.gate.subscribe("cli").expect("room");
    drop(refusing.call_as("w-1", "192.0.2.20", None).await);
    let kinds = |events: Vec<Arc<Event>>| -> Vec<NoticeKind> {
        let kind = |event: &Arc<Event>| match &**event {
            Event::Notice(notice) => Some(notice.kind),
            _ => None,
        };
        events.iter().filter_map(kind).collect()
    };
    assert_eq!(kinds(told(&mut subscription)), [NoticeKind::Strangers, NoticeKind::TooManyAsks]);
    assert_eq!(kinds(told(&mut refused)), [NoticeKind::OtherAddress]);
    tokio::time::advance(seconds(3601)).await;
    bench.gate.tick().await.expect("recorded");
    assert_eq!(kinds(told(&mut subscription)), [NoticeKind::Strangers], "the other two, in one");
}

#[tokio::test(start_paused = true)]
async fn a_tick_closes_what_nobody_asks_any_more() {
    for fails in [false, true] {
        let bench = Bench::new();
        assert!(bench.is_waiting().await);
        let mut subscription = bench.gate.subscribe("cli").expect("room");
        tokio::time::advance(seconds(601)).await;
        if fails {
            bench.paper.fail_next();
        }
        assert_eq!(bench.gate.tick().await.is_err(), fails);
        assert_eq!(bench.paper.count(|event| matches!(event, Event::Closed(_))), usize::from(!fails));
        let told = told(&mut subscription);
        let expired =
            |event: &Arc<Event>| matches!(&**event, Event::Closed(closed) if closed.outcome == Outcome::Expired);
        assert!(told.iter().any(expired), "it is closed all the same");
        assert!(bench.gate.is_idle());
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_alone_are_not_written_down() {
    let bench = Bench::new();
    for _ in 0..5 {
        assert!(bench.is_waiting().await);
    }
    assert_eq!(lock(&bench.paper.written).len(), 1, "the ask, once");
}

#[tokio::test(start_paused = true)]
async fn listeners_are_bounded_and_those_that_lag_are_cut_off() {
    let bench = Bench::new();
    let mut listeners: Vec<_> = (0..MAX_SUBSCRIBERS).map(|_| bench.gate.subscribe("cli").expect("room")).collect();
    assert!(bench.gate.subscribe("cli").is_none());
    listeners.pop();
    let mut lagging = bench.gate.subscribe("cli").expect("who left made room");
    let mut count = 0;
    for number in 0..40 {
        for _ in 0..=CHANNEL_BACKLOG / 40 {
            drop(bench.call_as(&format!("w-{number}"), ADDRESS, Some(seconds(3))).await);
            tokio::time::advance(seconds(1)).await;
            count += 1;
        }
        listeners.iter_mut().for_each(|listener| drop(told(listener)));
    }
    assert!(count > CHANNEL_BACKLOG);
    assert_eq!(told(&mut lagging).len(), CHANNEL_BACKLOG);
    assert!(lagging.events.is_closed(), "it has to subscribe again");
    assert!(listeners.iter().all(|listener| !listener.events.is_closed()), "those that listen stay");
}
