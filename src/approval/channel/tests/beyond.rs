//! Approving ahead, revoking, the lock and several answers at once: who may, and what they are told.

use super::*;
use crate::peer::admission::Enrolment;

pub(super) const BOB: u32 = 1001;
pub(super) const IN_HOME: &str = "00000000-1111-4222-8333-444444444444";

/// A house whose host and bot each have a channel. Alice and bob answer for the cluster `home`, and bob alone for worker-2.
pub(super) struct House {
    pub(super) host: Channel,
    pub(super) bot: Channel,
    pub(super) gate: Arc<Gate>,
    pub(super) admission: Arc<Admission>,
}

impl House {
    pub(super) fn new(quorum: usize) -> Self {
        let approver = |name: &str, uid, telegram_id| Approver { name: name.into(), uid, telegram_id };
        let bob_alone = Layer { approvers: Some([Box::from("bob")].into()), ..Layer::default() };
        let never = Layer { unseal: Some(crate::approval::policy::Action::Deny), ..Layer::default() };
        let uuid = |claim| NodeUuid::parse(claim).expect("printable");
        let policy = Policy {
            default: Layer { quorum: Some(quorum), ..Layer::default() },
            approvers: vec![approver("alice", Some(ALICE), Some(ALICE_ON_TELEGRAM)), approver("bob", Some(BOB), None)],
            nodes: [(uuid("worker-2"), bob_alone), (uuid("never"), never)].into(),
            ..Policy::default()
        };
        let home = |node: Node| Node { cluster: Some("home".into()), ..node };
        let cp_1 = Node { addresses: vec!["192.0.2.11/32".parse().expect("a network")], ..home(node(CP_1, "cp-1")) };
        let nodes = [cp_1, home(node(IN_HOME, "cp-2")), home(node("worker-2", "worker-2")), node("never", "never")];
        let network: ipnet::IpNet = "192.0.2.0/24".parse().expect("a network");
        let enrolment = Enrolment { networks: vec![network], cluster: Some("home".into()) };
        let admission = Arc::new(Admission::new(vec![], [], UuidPolicy::default()));
        let lists = Lists::new(vec![network], nodes, UuidPolicy::default());
        admission.replace(lists.with_clusters(["home".into()]).with_enrolment(Some(enrolment)));
        let timings = Timings { hold: Duration::ZERO, ..Timings::default() };
        let (records, clock) = (Arc::<Notebook>::default(), Arc::new(StoppedClock));
        let gate = Gate::new(policy, timings, Standing::default(), Arc::clone(&admission), clock, records);
        let gate = Arc::new(gate);
        let channel = |name, people| Channel::new(name, people, "a house", Arc::clone(&gate), Arc::clone(&admission));
        let (host, bot) = (channel("cli", People::OwnUser), channel("telegram", TELEGRAM).beside_the_host());
        Self { host, bot, gate, admission }
    }

    /// A call of a node, listed or not, from there. Whether it is released.
    pub(super) async fn call(&self, uuid: &str, last: u8) -> bool {
        let request = crate::request::Request::parse(Operation::Unseal, uuid, vec![1]).expect("well-formed");
        let peer = Peer::plaintext((IpAddr::from([192, 0, 2, last]), 1).into());
        let caller = Caller { deadline: None, gone: CancellationToken::new() };
        if let Some(candidate) = self.admission.candidate(NOW.moment, &request, &peer) {
            let answer = self.gate.enrol(&candidate, &caller).await;
            assert!(matches!(answer, NotApproved::Waiting { .. }), "{answer:?}");
            return false;
        }
        let admitted = self.admission.admit(NOW.moment, request, peer).expect("admitted");
        self.gate.approve(admitted, &caller).await.is_ok()
    }

    pub(super) async fn snapshot(&self) -> v1::Snapshot {
        let stream = self.host.subscribe(from(ALICE, v1::SubscribeRequest {})).await.map(Response::into_inner);
        let first = stream.expect("alice may").next().await.expect("a snapshot").expect("no status").event;
        let Some(v1::event::Event::Snapshot(snapshot)) = first else { panic!("{first:?}") };
        snapshot
    }

    async fn grant(&self, uid: u32, grant: v1::GrantRequest) -> Result<Vec<v1::GrantResult>, Code> {
        let answer = self.host.grant(from(uid, grant)).await.map_err(|status| status.code())?;
        Ok(answer.into_inner().results)
    }

    async fn revoke(&self, uid: u32, what: v1::revoke_request::What) -> Result<usize, Code> {
        let request = v1::RevokeRequest { what: Some(what), telegram_id: None };
        let answer = self.host.revoke(from(uid, request)).await.map_err(|status| status.code())?;
        Ok(answer.into_inner().ended.len())
    }
}

fn ahead(nodes: &[&str]) -> v1::GrantRequest {
    v1::GrantRequest { nodes: nodes.iter().map(ToString::to_string).collect(), ..v1::GrantRequest::default() }
}

fn outcomes(results: &[v1::GrantResult]) -> Vec<(&str, v1::GrantOutcome)> {
    results.iter().map(|result| (&*result.node.as_ref().expect("a node").name, result.outcome())).collect()
}

#[tokio::test]
async fn an_approval_ahead_is_for_whom_and_from_where_it_says() {
    use v1::GrantOutcome::{DenyRule, Granted, NoAddress, OtherAddress, Refused};
    let house = House::new(1);
    let home = v1::GrantRequest { cluster: "home".into(), ..ahead(&[]) };
    let given = house.grant(ALICE, home).await.expect("alice may");
    assert_eq!(outcomes(&given), [("cp-1", Granted), ("cp-2", NoAddress)], "worker-2 is not hers");
    let from_there = |node, address: &str| v1::GrantRequest { address: address.into(), ..ahead(&[node]) };
    for (request, outcome) in [
        (from_there("cp-2", "192.0.2.12"), Granted),
        (from_there("cp-1", "192.0.2.11"), Granted),
        (from_there("cp-1", "192.0.2.12"), OtherAddress),
        (from_there("never", "192.0.2.12"), DenyRule),
    ] {
        let given = house.grant(ALICE, request.clone()).await.expect("alice may");
        assert_eq!(outcomes(&given), [(&*request.nodes[0], outcome)]);
    }
    assert!(house.call(CP_1, 11).await && house.call(IN_HOME, 12).await);
    assert!(!house.call(IN_HOME, 13).await && !house.call(CP_1, 12).await, "from elsewhere");
    let block = v1::BlockRequest { node: "cp-1".into(), telegram_id: None, for_seconds: None };
    house.host.block(from(ALICE, block)).await.expect("alice may");
    let refused = house.grant(ALICE, ahead(&["cp-1"])).await.expect("answered");
    assert_eq!(outcomes(&refused), [("cp-1", Refused)]);
    assert_eq!(refused[0].refusal.as_ref().expect("said").kind(), v1::RefusalKind::Block);
}

#[tokio::test]
async fn an_approval_ahead_that_says_too_little_or_too_much_is_refused() {
    let house = House::new(1);
    let named = |nodes: usize| v1::GrantRequest { nodes: vec!["cp-1".into(); nodes], ..v1::GrantRequest::default() };
    let (bad, unknown) = (Code::InvalidArgument, Code::NotFound);
    for (what, request, code) in [
        ("nobody", named(0), bad),
        ("both", v1::GrantRequest { cluster: "home".into(), ..named(1) }, bad),
        ("too many", named(129), bad),
        ("too short", v1::GrantRequest { for_seconds: Some(39), ..named(1) }, bad),
        ("no use", v1::GrantRequest { uses: Some(0), ..named(1) }, bad),
        ("too many uses", v1::GrantRequest { uses: Some(1025), ..named(1) }, bad),
        ("no address", v1::GrantRequest { address: "cp-1".into(), ..named(1) }, bad),
        ("not allowed", v1::GrantRequest { address: "198.51.100.1".into(), ..named(1) }, bad),
        ("an address for two", v1::GrantRequest { address: "192.0.2.11".into(), ..ahead(&["cp-1", "cp-2"]) }, bad),
        ("no such node", ahead(&["cp-1", "cp-9"]), unknown),
        ("no such cluster", v1::GrantRequest { cluster: "away".into(), ..named(0) }, unknown),
        ("not hers", ahead(&["cp-1", "worker-2"]), Code::PermissionDenied),
        ("of telegram", v1::GrantRequest { telegram_id: Some(ALICE_ON_TELEGRAM), ..named(1) }, bad),
    ] {
        assert_eq!(house.grant(ALICE, request).await, Err(code), "{what}");
    }
    assert_eq!(house.grant(0, named(1)).await, Err(Code::PermissionDenied), "root is no approver");
    assert!(house.gate.grants().is_empty());
    let longest = v1::GrantRequest { for_seconds: Some(u32::MAX), uses: Some(1024), ..named(128) };
    let given = house.grant(ALICE, longest).await.expect("alice may");
    assert_eq!(given.len(), 1, "one node, however often it is named");
    let grant = given[0].grant.as_ref().expect("given");
    assert_eq!((grant.seconds_left, grant.uses_left, grant.ahead), (24 * 3600, 1024, true));
}

#[tokio::test]
async fn who_may_not_answer_for_a_node_does_not_end_what_was_approved_for_it() {
    use v1::revoke_request::What;
    let house = House::new(1);
    let worker = v1::GrantRequest { address: "192.0.2.30".into(), ..ahead(&["worker-2"]) };
    let given = house.grant(BOB, worker).await.expect("bob may");
    let code = given[0].grant.as_ref().expect("given").code.clone();
    house.grant(ALICE, ahead(&["cp-1"])).await.expect("alice may");
    for what in [What::Node(code.clone()), What::Node(code.to_uppercase()), What::Node("worker-2".into())] {
        assert_eq!(house.revoke(ALICE, what.clone()).await, Err(Code::PermissionDenied), "{what:?}");
    }
    assert_eq!(house.revoke(ALICE, What::Node("a1a1".into())).await, Err(Code::NotFound));
    assert_eq!(house.revoke(ALICE, What::All(false)).await, Err(Code::InvalidArgument));
    assert_eq!(house.revoke(ALICE, What::Cluster("home".into())).await, Ok(1), "cp-1's");
    assert_eq!(house.revoke(ALICE, What::All(true)).await, Ok(0));
    assert_eq!(house.gate.grants().len(), 1, "worker-2's is there still");
    assert_eq!(house.revoke(BOB, What::Node(code.to_uppercase())).await, Ok(1), "by its code");
    let nothing = v1::RevokeRequest { what: None, telegram_id: None };
    assert_eq!(house.host.revoke(from(ALICE, nothing)).await.expect_err("what?").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_second_person_agrees_through_the_channel_and_is_shown_what_waits() {
    let house = House::new(2);
    let request = |seconds| v1::GrantRequest { for_seconds: Some(seconds), ..ahead(&["cp-1"]) };
    let first = house.grant(ALICE, request(600)).await.expect("alice may");
    assert_eq!(outcomes(&first), [("cp-1", v1::GrantOutcome::Counted)]);
    let again = house.grant(ALICE, request(500)).await.expect("alice may");
    assert_eq!(outcomes(&again), [("cp-1", v1::GrantOutcome::Repeated)]);
    let waiting = house.snapshot().await.proposals;
    assert_eq!((waiting.len(), waiting[0].for_seconds, waiting[0].votes_missing), (1, 500, 1));
    let second = house.grant(BOB, request(550)).await.expect("bob may");
    assert_eq!(outcomes(&second), [("cp-1", v1::GrantOutcome::Granted)]);
    let grant = second[0].grant.as_ref().expect("given");
    assert_eq!((grant.seconds_left, &grant.by[..]), (500, &["alice".to_owned(), "bob".to_owned()][..]));
    assert!(house.snapshot().await.proposals.is_empty());
}

async fn unlocked(channel: &Channel, uid: u32) -> Result<bool, Code> {
    let answer = channel.unlock(from(uid, v1::UnlockRequest::default())).await.map_err(|status| status.code())?;
    Ok(answer.into_inner().unlocked)
}

#[tokio::test]
async fn any_approver_locks_and_the_host_alone_unlocks() {
    let house = House::new(2);
    assert_eq!(unlocked(&house.host, ALICE).await, Ok(false), "nothing was locked");
    house.call(CP_1, 11).await;
    let lock_by = |telegram_id| v1::LockRequest { telegram_id };
    for (uid, who) in [(BOT, None), (BOT, Some(1)), (ALICE, Some(ALICE_ON_TELEGRAM))] {
        assert!(house.bot.lock(from(uid, lock_by(who))).await.is_err(), "{uid} {who:?}");
    }
    assert!(house.host.lock(from(0, lock_by(None))).await.is_err(), "root is no approver");
    assert!(house.gate.locked().is_none());
    let lock = house.bot.lock(from(BOT, lock_by(Some(ALICE_ON_TELEGRAM)))).await.expect("alice may").into_inner();
    assert!(!lock.repeated && lock.lock.expect("locked").by == "alice");
    let again = house.host.lock(from(BOB, lock_by(None))).await.expect("bob may").into_inner();
    assert!(again.repeated && again.lock.expect("locked").by == "alice");
    let snapshot = house.snapshot().await;
    assert_eq!(snapshot.lock.expect("locked").reason(), v1::LockReason::Person);
    assert_eq!(snapshot.closed[0].outcome(), v1::Outcome::Locked);
    assert_eq!(house.grant(ALICE, ahead(&["cp-1"])).await, Err(Code::FailedPrecondition));
    for uid in [BOT, ALICE, 0] {
        assert_eq!(unlocked(&house.bot, uid).await, Err(Code::PermissionDenied), "{uid} through the bot's channel");
    }
    for uid in [BOT, 1002, OVERFLOW_UID] {
        assert_eq!(unlocked(&house.host, uid).await, Err(Code::PermissionDenied), "{uid}");
    }
    assert!(house.gate.locked().is_some());
    assert_eq!(unlocked(&house.host, 0).await, Ok(true), "root may: else nobody here could");
    assert!(house.snapshot().await.lock.is_none());
}

#[tokio::test]
async fn nobody_locks_where_nobody_could_unlock() {
    let house = House::new(1);
    let alone = Channel::new("telegram", TELEGRAM, "a house", Arc::clone(&house.gate), Arc::clone(&house.admission));
    let request = v1::LockRequest { telegram_id: Some(ALICE_ON_TELEGRAM) };
    assert_eq!(alone.lock(from(BOT, request)).await.expect_err("no way back").code(), Code::FailedPrecondition);
    assert!(house.gate.locked().is_none());
}

async fn answer_all(house: &House, uid: u32, ask_ids: Vec<Vec<u8>>, verdict: i32) -> Result<Vec<v1::Voted>, Code> {
    let request = v1::VoteAllRequest { ask_ids, verdict, ..v1::VoteAllRequest::default() };
    let answer = house.host.vote_all(from(uid, request)).await.map_err(|status| status.code())?;
    Ok(answer.into_inner().votes)
}

#[tokio::test]
async fn one_answer_to_a_list_is_to_each_of_it_and_to_nothing_else() {
    let house = House::new(1);
    house.call(CP_1, 11).await;
    house.call("worker-2", 30).await;
    let seen: Vec<Vec<u8>> = house.snapshot().await.asks.into_iter().map(|ask| ask.id).collect();
    // This one came after the list was seen.
    house.call(IN_HOME, 12).await;
    let yes = v1::Verdict::Approve.into();
    let id = |name: &str, asks: &[v1::Ask]| {
        let is_meant = |ask: &&v1::Ask| ask.node.as_ref().is_some_and(|node| node.name == name);
        asks.iter().find(is_meant).expect("it asks").id.clone()
    };
    let asks = house.snapshot().await.asks;
    let (cp_1, worker) = (id("cp-1", &asks), id("worker-2", &asks));
    assert_eq!(seen.len(), 2);
    let ids = vec![worker.clone(), vec![7; 16], cp_1.clone(), cp_1.clone()];
    let votes = answer_all(&house, ALICE, ids.clone(), yes).await.expect("alice may");
    assert_eq!(votes.iter().map(|vote| vote.ask_id.clone()).collect::<Vec<_>>(), ids, "in their order");
    use v1::VoteResult::{Closed, Decided, NotAnApprover, Unknown};
    let results: Vec<_> = votes.iter().map(v1::Voted::result).collect();
    assert_eq!(results, [NotAnApprover, Unknown, Decided, Closed]);
    assert!(house.call(CP_1, 11).await && !house.call(IN_HOME, 12).await && !house.call("worker-2", 30).await);
    for (ids, verdict) in [(vec![], yes), (vec![cp_1.clone(); 513], yes), (vec![vec![7; 15]], yes), (vec![cp_1], 0)] {
        assert_eq!(answer_all(&house, ALICE, ids, verdict).await, Err(Code::InvalidArgument));
    }
    assert!(answer_all(&house, ALICE, vec![vec![7; 16]; 512], yes).await.is_ok());
    assert_eq!(answer_all(&house, 0, vec![worker], yes).await, Err(Code::PermissionDenied));
}

#[tokio::test]
async fn a_node_that_wants_to_be_listed_is_told_of_in_events_and_fields_of_its_own() {
    let house = House::new(1);
    let stream = house.host.subscribe(from(ALICE, v1::SubscribeRequest {})).await.expect("alice may");
    let mut heard = stream.into_inner().skip(1);
    house.call("unlisted", 50).await;
    house.call("unlisted", 51).await;
    let first = heard.next().await.expect("an event").expect("no status").event;
    assert!(matches!(first, Some(v1::event::Event::EnrolmentOpened(_))), "{first:?}");
    let snapshot = house.snapshot().await;
    assert_eq!((snapshot.asks.len(), snapshot.enrolments.len()), (0, 2));
    assert!(snapshot.enrolments.iter().all(|ask| ask.purpose() == v1::Purpose::Enrolment));
    let ids: Vec<Vec<u8>> = snapshot.enrolments.iter().map(|ask| ask.id.clone()).collect();
    let both = answer_all(&house, ALICE, ids.clone(), v1::Verdict::Approve.into()).await;
    assert_eq!(both, Err(Code::FailedPrecondition), "one of them at most is the node");
    let yes = house.host.vote(from(ALICE, yes(&ids[0]))).await.expect("alice may").into_inner();
    assert_eq!(yes.result(), v1::VoteResult::Decided);
    let snapshot = house.snapshot().await;
    assert!(snapshot.closed.is_empty() && snapshot.enrolments.is_empty());
    let listed = snapshot.nodes.iter().find(|node| node.listed_by() == v1::ListedBy::People).expect("listed");
    let node = listed.node.as_ref().expect("a node");
    assert_eq!((&*node.uuid, &*node.name, &*node.cluster), ("unlisted", "new-unlisted", "home"));
    assert_eq!(listed.addresses.len(), 1);
}

#[tokio::test]
async fn who_was_denied_when_it_asked_to_be_listed_may_be_let_ask_again() {
    let house = House::new(1);
    house.call("unlisted", 50).await;
    let ask = house.snapshot().await.enrolments[0].id.clone();
    let no = v1::VoteRequest { verdict: v1::Verdict::Block.into(), ..yes(&ask) };
    house.host.vote(from(ALICE, no)).await.expect("alice may");
    let unblock = async |uid, node: &str| {
        let request = v1::UnblockRequest { node: node.to_owned(), telegram_id: None };
        house.host.unblock(from(uid, request)).await.map(|ended| ended.into_inner().ended).map_err(|why| why.code())
    };
    assert_eq!(unblock(ALICE, "another").await, Err(Code::NotFound));
    assert_eq!(unblock(1002, "unlisted").await, Err(Code::PermissionDenied));
    assert_eq!(unblock(ALICE, "unlisted").await, Ok(1));
    house.call("unlisted", 50).await;
    assert_eq!(house.snapshot().await.enrolments.len(), 1);
    assert_eq!(unblock(ALICE, "unlisted").await, Err(Code::NotFound), "there is nothing to end");
}
