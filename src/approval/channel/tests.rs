//! Who may listen and answer on a channel, for whom, and for how long.

mod beyond;
mod node_list;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;
use crate::approval::ask::Event;
use crate::approval::gate::{Caller, NotApproved, Records, Unrecorded};
use crate::approval::ledger::act::MAX_PENDING;
use crate::approval::ledger::{MAX_REFUSALS, MAX_SHARED_ASKS, Timings};
use crate::approval::policy::{Layer, Policy};
use crate::clock::{Clock, Moment, Now, WallTime};
use crate::peer::admission::{Lists, UuidPolicy};
use crate::peer::standing::{LastApproval, MAX_GRANTS_AHEAD, Standing};
use crate::peer::{Node, Origin, Peer};
use crate::request::Operation;

const ALICE: u32 = 1000;
const BOT: u32 = 990;
const ALICE_ON_TELEGRAM: i64 = 4_000_000_001;
const CP_1: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";
const NOW: Now = Now { moment: Moment::since_boot(Duration::from_secs(1_000)), wall: WallTime::from_unix_millis(0) };

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Now {
        NOW
    }
}

#[derive(Default)]
struct Notebook {
    events: Mutex<Vec<Event>>,
    is_full: AtomicBool,
}

impl Records for Notebook {
    fn commit<'a>(
        &'a self,
        events: &'a [Event],
        _: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>> {
        Box::pin(async move {
            if self.is_full.load(Ordering::Relaxed) {
                return Err(Unrecorded("no space for records".into()));
            }
            self.events.lock().expect("no test panics here").extend(events.iter().cloned());
            Ok(())
        })
    }
}

struct Bench {
    channel: Channel,
    notebook: Arc<Notebook>,
}

impl Bench {
    /// A channel of a house where alice answers for cp-1, and bob alone for worker-2.
    fn new(people: People) -> Self {
        let approver = |name: &str, uid, telegram_id| Approver { name: name.into(), uid, telegram_id };
        let uuid = |claim| NodeUuid::parse(claim).expect("printable");
        let bob_alone = Layer { approvers: Some([Box::from("bob")].into()), ..Layer::default() };
        let policy = Policy {
            // Bob is first, so that whoever is found without a look is not alice.
            approvers: vec![
                approver("bob", None, None),
                approver("nobody", Some(OVERFLOW_UID), None),
                approver("alice", Some(ALICE), Some(ALICE_ON_TELEGRAM)),
            ],
            nodes: [(uuid("worker-2"), bob_alone)].into(),
            ..Policy::default()
        };
        let notebook = Arc::<Notebook>::default();
        let timings = Timings { hold: Duration::ZERO, ..Timings::default() };
        let records = Arc::clone(&notebook) as Arc<dyn Records>;
        let networks = vec!["192.0.2.0/24".parse().expect("a network")];
        let nodes = [node(CP_1, "cp-1"), node("worker-2", "worker-2")];
        let admission = Arc::new(Admission::new(networks, nodes, UuidPolicy::default()));
        let (standing, clock) = (Standing::default(), Arc::new(StoppedClock));
        let gate = Arc::new(Gate::new(policy, timings, standing, Arc::clone(&admission), clock, records));
        Self { channel: Channel::new("phone", people, "an installation", gate, admission), notebook }
    }

    async fn snapshot(&self) -> v1::Snapshot {
        let stream = self.channel.subscribe(from(ALICE, v1::SubscribeRequest {})).await.map(Response::into_inner);
        let first = stream.expect("alice may").next().await.expect("a snapshot").expect("no status").event;
        let Some(v1::event::Event::Snapshot(snapshot)) = first else { panic!("{first:?}") };
        snapshot
    }

    /// An ask of cp-1.
    async fn ask(&self) -> Vec<u8> {
        let request = crate::request::Request::parse(Operation::Unseal, CP_1, vec![1]).expect("well-formed");
        let peer = Peer::plaintext((IpAddr::from([192, 0, 2, 11]), 1).into());
        let admitted = self.channel.admission.admit(NOW.moment, request, peer).expect("admitted");
        let caller = Caller { deadline: None, gone: CancellationToken::new() };
        let answer = self.channel.gate.approve(admitted, &caller).await;
        let Err(NotApproved::Waiting { .. }) = answer else { panic!("{answer:?}") };
        self.channel.gate.subscribe("test").expect("room").asks.first().expect("an ask").id.0.to_vec()
    }

    async fn vote(&self, uid: u32, vote: v1::VoteRequest) -> Result<v1::VoteResponse, Code> {
        self.channel.vote(from(uid, vote)).await.map(Response::into_inner).map_err(|status| status.code())
    }

    async fn block(&self, node: &str, for_seconds: Option<u32>) -> Result<v1::Refusal, Code> {
        let request = v1::BlockRequest { node: node.to_owned(), telegram_id: None, for_seconds };
        let answer = self.channel.block(from(ALICE, request)).await.map_err(|status| status.code())?;
        Ok(answer.into_inner().refusal.expect("what is in force"))
    }

    async fn unblock(&self, node: &str) -> Result<u32, Code> {
        let request = v1::UnblockRequest { node: node.to_owned(), telegram_id: None };
        let answer = self.channel.unblock(from(ALICE, request)).await.map_err(|status| status.code())?;
        Ok(answer.into_inner().ended)
    }

    /// Who answered, as it was recorded.
    fn voters(&self) -> Vec<Voter> {
        let events = self.notebook.events.lock().expect("no test panics here");
        let voter = |event: &Event| match event {
            Event::Voted { by, .. } => Some(by.clone()),
            _ => None,
        };
        events.iter().filter_map(voter).collect()
    }
}

fn node(claim: &str, name: &str) -> Node {
    Node {
        uuid: NodeUuid::parse(claim).expect("printable"),
        name: name.into(),
        cluster: None,
        addresses: vec![],
        formerly: vec![],
        bind_address: false,
        listed_by: crate::peer::ListedBy::Configuration,
    }
}

fn from<T>(uid: u32, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(UnixPeer { uid, gid: uid });
    request
}

fn yes(ask: &[u8]) -> v1::VoteRequest {
    v1::VoteRequest { ask_id: ask.to_vec(), verdict: v1::Verdict::Approve.into(), telegram_id: None, for_seconds: None }
}

const TELEGRAM: People = People::Telegram { uid: BOT };

#[tokio::test]
async fn the_person_at_the_host_is_the_user_of_the_process_and_nobody_else() {
    let bench = Bench::new(People::OwnUser);
    let ask = bench.ask().await;
    let in_alices_name = v1::VoteRequest { telegram_id: Some(ALICE_ON_TELEGRAM), ..yes(&ask) };
    assert_eq!(bench.vote(ALICE, in_alices_name).await, Err(Code::InvalidArgument));
    for uid in [0, BOT, 1001, OVERFLOW_UID] {
        assert_eq!(bench.vote(uid, yes(&ask)).await, Err(Code::PermissionDenied), "{uid}");
    }
    let unknown = bench.channel.vote(Request::new(yes(&ask))).await.expect_err("nobody is connected");
    assert_eq!(unknown.code(), Code::PermissionDenied);
    assert_eq!(bench.vote(ALICE, yes(&ask)).await.expect("alice may").result(), v1::VoteResult::Decided);
    let vote = Vote { approver: "alice".into(), channel: "phone".into() };
    assert_eq!(bench.voters(), [Voter { vote, uid: ALICE, telegram_id: None }]);
}

#[tokio::test]
async fn the_bot_speaks_for_people_by_their_telegram_id_and_only_the_bot_does() {
    let bench = Bench::new(TELEGRAM);
    let ask = bench.ask().await;
    let vote_of = |telegram_id| v1::VoteRequest { telegram_id, ..yes(&ask) };
    for uid in [0, ALICE, OVERFLOW_UID] {
        assert_eq!(bench.vote(uid, vote_of(Some(ALICE_ON_TELEGRAM))).await, Err(Code::PermissionDenied), "{uid}");
    }
    assert_eq!(bench.vote(BOT, vote_of(None)).await, Err(Code::InvalidArgument));
    for stranger in [0, -1, i64::from(ALICE), ALICE_ON_TELEGRAM + 1] {
        assert_eq!(bench.vote(BOT, vote_of(Some(stranger))).await, Err(Code::PermissionDenied), "{stranger}");
    }
    let decided = bench.vote(BOT, vote_of(Some(ALICE_ON_TELEGRAM))).await.expect("alice may");
    assert_eq!(decided.result(), v1::VoteResult::Decided);
    let vote = Vote { approver: "alice".into(), channel: "phone".into() };
    assert_eq!(bench.voters(), [Voter { vote, uid: BOT, telegram_id: Some(ALICE_ON_TELEGRAM) }]);
}

#[tokio::test]
async fn a_bot_that_is_configured_as_nobody_is_not_believed() {
    let bench = Bench::new(People::Telegram { uid: OVERFLOW_UID });
    let ask = bench.ask().await;
    let vote = v1::VoteRequest { telegram_id: Some(ALICE_ON_TELEGRAM), ..yes(&ask) };
    assert_eq!(bench.vote(OVERFLOW_UID, vote).await, Err(Code::PermissionDenied));
    assert!(bench.channel.subscribe(from(OVERFLOW_UID, v1::SubscribeRequest {})).await.is_err());
}

#[tokio::test]
async fn approvers_and_root_listen_at_the_host_and_the_bot_alone_on_its_channel() {
    for (people, may, may_not) in [
        (People::OwnUser, &[0, ALICE][..], &[BOT, 1001, OVERFLOW_UID][..]),
        (TELEGRAM, &[BOT], &[0, ALICE, 1001, OVERFLOW_UID]),
    ] {
        let bench = Bench::new(people);
        for uid in may {
            assert!(bench.channel.subscribe(from(*uid, v1::SubscribeRequest {})).await.is_ok(), "{people:?} {uid}");
        }
        for uid in may_not {
            let status = bench.channel.subscribe(from(*uid, v1::SubscribeRequest {})).await.err().expect("a stranger");
            assert_eq!(status.code(), Code::PermissionDenied, "{people:?} {uid}");
        }
    }
}

#[tokio::test]
async fn an_approval_lasts_for_the_gap_between_two_calls_and_a_no_for_a_second_at_least() {
    use v1::Verdict::{Approve, Block, Deny};
    for (verdict, shortest) in [(Approve, 40), (Deny, 1), (Block, 1)] {
        let bench = Bench::new(People::OwnUser);
        let ask = bench.ask().await;
        let vote = |seconds| v1::VoteRequest { verdict: verdict.into(), for_seconds: Some(seconds), ..yes(&ask) };
        for seconds in [0, shortest - 1] {
            assert_eq!(bench.vote(ALICE, vote(seconds)).await, Err(Code::InvalidArgument), "{verdict:?} {seconds}");
        }
        let closed = bench.vote(ALICE, vote(shortest)).await.expect("long enough").closed.expect("decided");
        assert_eq!(closed.for_seconds, shortest, "{verdict:?}");
        let outcome = match verdict {
            Approve => v1::Outcome::Approved,
            Deny => v1::Outcome::Denied,
            _ => v1::Outcome::Blocked,
        };
        assert_eq!(closed.outcome(), outcome);
    }
}

#[tokio::test]
async fn what_is_no_verdict_or_no_ask_is_refused() {
    let bench = Bench::new(People::OwnUser);
    let ask = bench.ask().await;
    for verdict in [0, 77] {
        assert_eq!(bench.vote(ALICE, v1::VoteRequest { verdict, ..yes(&ask) }).await, Err(Code::InvalidArgument));
    }
    for id in [&ask[..15], &[&ask[..], &[0]].concat(), &[]] {
        assert_eq!(bench.vote(ALICE, yes(id)).await, Err(Code::InvalidArgument));
    }
    assert_eq!(bench.vote(ALICE, yes(&[0x5A; 16])).await.expect("answered").result(), v1::VoteResult::Unknown);
}

#[tokio::test]
async fn a_node_is_blocked_by_its_name_or_its_uuid_for_as_long_as_is_said() {
    for node in ["cp-1", CP_1, &CP_1.to_uppercase()] {
        let bench = Bench::new(People::OwnUser);
        assert_eq!(bench.block(node, Some(0)).await, Err(Code::InvalidArgument));
        assert_eq!(bench.unblock(node).await, Ok(0), "{node}: nothing happened");
        let refusal = bench.block(node, Some(1)).await.expect("alice may");
        assert_eq!((refusal.until_ms, &*refusal.by), (1_000, "alice"));
        assert_eq!(refusal.node.expect("a node").name, "cp-1");
        assert_eq!(bench.block(node, None).await.expect("alice may").until_ms, 24 * 3_600_000);
        assert_eq!(bench.unblock(node).await, Ok(1), "{node}");
    }
}

#[tokio::test]
async fn who_does_not_answer_for_a_node_neither_blocks_nor_unblocks_it() {
    let bench = Bench::new(People::OwnUser);
    for (node, code) in [("worker-2", Code::PermissionDenied), ("worker-3", Code::NotFound), ("", Code::NotFound)] {
        assert_eq!(bench.block(node, None).await, Err(code), "{node:?}");
        assert_eq!(bench.unblock(node).await, Err(code), "{node:?}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_may_be_given_again() {
    let bench = Bench::new(People::OwnUser);
    let ask = bench.ask().await;
    bench.notebook.is_full.store(true, Ordering::Relaxed);
    assert_eq!(bench.vote(ALICE, yes(&ask)).await, Err(Code::Unavailable));
    bench.notebook.is_full.store(false, Ordering::Relaxed);
    assert_eq!(bench.vote(ALICE, yes(&ask)).await.expect("recorded").result(), v1::VoteResult::Decided);
}

#[tokio::test]
async fn whoever_was_known_before_a_reload_or_answers_while_the_server_stops_has_to_answer_again() {
    let bench = Bench::new(People::OwnUser);
    let ask = bench.ask().await;
    let lists = Lists::default().of(Generation::default().next());
    bench.channel.admission.replace(lists);
    assert_eq!(bench.block("cp-1", None).await, Err(Code::Unavailable), "nodes of one list, people of another");
    bench.channel.gate.stop();
    assert_eq!(bench.vote(ALICE, yes(&ask)).await, Err(Code::Unavailable));
    assert_eq!(bench.channel.gate.under_way().asks, 1, "nothing was decided");
}

#[tokio::test]
async fn a_snapshot_lists_every_node_in_the_order_of_the_configuration_and_who_approved_it_last() {
    let names = ["zeta", "cp-1", "alpha", "worker-2"];
    let listed = Lists::new(vec![], names.map(|name| node(name, name)), UuidPolicy::default());
    let at = WallTime::from_unix_millis(7_000);
    let (uuid, by) = (NodeUuid::parse("alpha").expect("printable"), "alice".into());
    let last = LastApproval { node: uuid.clone(), origin: Origin::Listed, by, at };
    let told = message::nodes(&listed, &[(uuid, last)].into());
    let name = |status: &v1::NodeStatus| status.node.as_ref().expect("a node").name.clone();
    assert_eq!(told.iter().map(name).collect::<Vec<_>>(), names);
    let approvals: Vec<_> = told.iter().map(|node| (node.last_approved_at_ms, &*node.last_approved_by)).collect();
    assert_eq!(approvals, [(0, ""), (0, ""), (7_000, "alice"), (0, "")]);

    let bench = Bench::new(People::OwnUser);
    assert_eq!(bench.snapshot().await.nodes.iter().map(name).collect::<Vec<_>>(), ["cp-1", "worker-2"]);
}

/// What it takes is not the configuration's to say, and a channel that cannot read it would keep people from answering.
#[test]
fn the_nodes_of_a_snapshot_take_a_mebibyte_at_most() {
    let longest = |number: usize| node(&format!("{number:064}"), &"\u{10330}".repeat(64));
    let listed = Lists::new(vec![], (0..4096).map(longest), UuidPolicy::default());
    let told = message::nodes(&listed, &HashMap::new());
    assert!((2_000..4_096).contains(&told.len()), "{}", told.len());
    let snapshot = v1::Snapshot { nodes: told, ..v1::Snapshot::default() };
    let len = prost::Message::encoded_len(&snapshot);
    assert!((message::MAX_NODES_LEN - 1_000..=message::MAX_NODES_LEN).contains(&len), "{len}");
}

/// With every list as full as it gets, of the longest names, and eight people's votes on each.
#[test]
fn the_longest_snapshot_is_one_that_clients_read() {
    let longest = "\u{10330}".repeat(64);
    let node = Some(v1::Node { uuid: "u".repeat(64), name: longest.clone(), cluster: longest.clone() });
    let address = "2001:db8:1111:2222:3333:4444:5555:6666/128".to_owned();
    let votes = vec![longest.clone(); 8];
    let ask = v1::Ask {
        id: vec![1; 16],
        code: "K7Q2".to_owned(),
        node: node.clone(),
        address: address.clone(),
        opened_at_ms: i64::MAX,
        last_attempt_at_ms: i64::MAX,
        attempts: u32::MAX,
        warnings: vec![1; 4],
        voted: votes.clone(),
        last_approved_at_ms: i64::MAX,
        last_approved_by: longest.clone(),
        ..v1::Ask::default()
    };
    let refusal = v1::Refusal {
        node: node.clone(),
        address: address.clone(),
        by: longest,
        until_ms: i64::MAX,
        ..v1::Refusal::default()
    };
    let grant = v1::Grant {
        ask_id: vec![1; 16],
        code: "K7Q2".to_owned(),
        node: node.clone(),
        address: address.clone(),
        by: votes.clone(),
        until_ms: i64::MAX,
        ..v1::Grant::default()
    };
    let proposal = v1::Proposal { node, address, by: votes, ..v1::Proposal::default() };
    // An ask and a grant from one for each node, and from each of the shared places; and the grants ahead.
    let asks = 4096 + MAX_SHARED_ASKS;
    let snapshot = v1::Snapshot {
        asks: vec![ask; asks],
        refusals: vec![refusal; MAX_REFUSALS],
        grants: vec![grant; asks + MAX_GRANTS_AHEAD],
        proposals: vec![proposal; MAX_PENDING],
        ..v1::Snapshot::default()
    };
    let len = prost::Message::encoded_len(&snapshot) + message::MAX_NODES_LEN;
    assert!((16 * 1024 * 1024..nightlatch_approval_api::MAX_MESSAGE_LEN).contains(&len), "{len}");
}
