//! The lock while acts fail to be recorded, and nodes that want to be listed.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use super::super::*;
use super::beyond::{LOCK, house, house_of, node, voter};
use super::{Bench, HandClock, SlowRecords};
use crate::approval::ask::Verdict;
use crate::approval::ledger::act::{Act, Answer, Change, ChangeAnswer};
use crate::clock::WallTime;
use crate::peer::standing::RefusalKind;
use crate::peer::{ListedBy, Node};

const UNLOCK: fn() -> Act = || Act::Unlock { by: voter("alice") };

/// What is done to the keys, and whether everything was locked then.
#[derive(Default)]
struct Drawer {
    done: Mutex<Vec<(&'static str, bool)>>,
    gate: OnceLock<Arc<Gate>>,
}

impl Drawer {
    fn note(&self, what: &'static str) {
        let locked = self.gate.get().is_some_and(|gate| gate.locked().is_some());
        lock(&self.done).push((what, locked));
    }

    fn house() -> (Arc<Self>, Bench) {
        let drawer = Arc::<Self>::default();
        let (clock, records) = (Arc::<HandClock>::default(), Arc::<SlowRecords>::default());
        let bench = house_of(Standing::default(), 1, clock, records, Arc::clone(&drawer) as Arc<dyn Keys>);
        assert!(drawer.gate.set(Arc::clone(&bench.gate)).is_ok());
        (drawer, bench)
    }
}

impl Keys for Drawer {
    fn wipe(&self) {
        self.note("wiped");
    }

    fn load(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.note("read");
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn keys_are_gone_when_the_lock_is_answered_and_there_before_it_ends() {
    let (drawer, bench) = Drawer::house();
    bench.do_it(LOCK()).await.expect("recorded");
    assert_eq!(*lock(&drawer.done), [("wiped", true)]);
    bench.do_it(UNLOCK()).await.expect("recorded");
    assert_eq!(*lock(&drawer.done), [("wiped", true), ("read", true)]);
    assert!(bench.gate.locked().is_none());
    assert!(matches!(bench.do_it(UNLOCK()).await, Ok(Answer::Unlocked(false))));
    assert_eq!(lock(&drawer.done).len(), 2, "nothing is read when nothing was locked");
}

#[tokio::test]
async fn a_lock_that_cannot_be_recorded_locks_and_is_saved_later() {
    let (drawer, bench) = Drawer::house();
    bench.granted(8).await;
    for fails in [&bench.records.audit_fails, &bench.records.save_fails] {
        fails.store(true, Ordering::Relaxed);
    }
    assert!(matches!(bench.do_it(LOCK()).await, Err(NotActed::Unsaved(_))));
    assert!(matches!(bench.call().await, Err(NotApproved::Refused(Reason::Locked))));
    assert_eq!(*lock(&drawer.done), [("wiped", true)]);
    assert!(bench.gate.is_unsaved() && bench.on_disk().lock.is_none());
    for fails in [&bench.records.audit_fails, &bench.records.save_fails] {
        fails.store(false, Ordering::Relaxed);
    }
    bench.gate.tick().await.expect("recorded");
    assert!(bench.on_disk().lock.is_some() && bench.on_disk().grants.is_empty());
    let again = house(bench.on_disk(), 1);
    assert!(matches!(again.call().await, Err(NotApproved::Refused(Reason::Locked))));
}

#[tokio::test]
async fn an_unlock_that_cannot_be_recorded_ends_nothing_and_wipes_the_keys_again() {
    type Fails = fn(&SlowRecords) -> &AtomicBool;
    let audit: Fails = |records| &records.audit_fails;
    let save: Fails = |records| &records.save_fails;
    let after: Fails = |records| &records.fails_after_save;
    for fails in [audit, save, after] {
        let (drawer, bench) = Drawer::house();
        bench.do_it(LOCK()).await.expect("recorded");
        fails(&bench.records).store(true, Ordering::Relaxed);
        assert!(matches!(bench.do_it(UNLOCK()).await, Err(NotActed::Unrecorded(_))));
        fails(&bench.records).store(false, Ordering::Relaxed);
        assert!(matches!(bench.call().await, Err(NotApproved::Refused(Reason::Locked))));
        assert_eq!(*lock(&drawer.done), [("wiped", true), ("read", true), ("wiped", true)]);
        bench.gate.tick().await.expect("recorded");
        assert!(bench.on_disk().lock.is_some(), "nor has a restart ended it");
    }
}

/// A node that is not listed, from here.
async fn stranger(bench: &Bench, uuid: &str, last: u8, operation: Operation) -> NotApproved {
    let data = vec![1; if operation == Operation::Seal { 32 } else { 60 }];
    let request = Request::parse(operation, uuid, data).expect("well-formed");
    let peer = Peer::plaintext(([192, 0, 2, last], 1).into());
    let candidate = bench.admission.candidate(bench.clock.now().moment, &request, &peer).expect("it may ask");
    bench.gate.enrol(&candidate, &Caller { deadline: None, gone: CancellationToken::new() }).await
}

fn open(bench: &Bench) -> Vec<AskId> {
    bench.gate.subscribe("cli").expect("room").asks.iter().map(|ask| ask.id).collect()
}

#[tokio::test]
async fn a_block_of_an_address_that_was_listed_before_the_start_binds_the_node_there() {
    let block = |origin| Refusal {
        node: NodeUuid::parse("cp-1").expect("printable"),
        origin: Some(origin),
        kind: RefusalKind::Block,
        by: "alice".into(),
        channel: "cli".into(),
        at: WallTime::default(),
        until: WallTime::default().after(Duration::from_secs(3600)),
    };
    let network = "192.0.2.11/32".parse().expect("a network");
    for origin in [Origin::OtherAddress(network), Origin::PerAddress(network)] {
        let bench = house(Standing { refusals: vec![block(origin)], ..Standing::default() }, 1);
        let answer = bench.call().await;
        assert!(matches!(answer, Err(NotApproved::Refused(Reason::Blocked))), "{origin:?}: {answer:?}");
        bench.gate.tick().await.expect("recorded");
        assert_eq!(bench.on_disk().refusals[0].origin, Some(Origin::Listed), "and on the disk");
    }
}

/// Boards of one vendor have identifiers that begin alike, and so do the names that they get.
#[tokio::test]
async fn an_ask_stays_when_a_node_is_listed_under_the_name_that_it_would_get() {
    let bench = house(Standing::default(), 1);
    stranger(&bench, "vendor-0-board-1", 50, Operation::Seal).await;
    bench.clock.0.store(60, Ordering::Relaxed);
    stranger(&bench, "vendor-0-board-2", 51, Operation::Seal).await;
    let asks = open(&bench);
    let decided = bench.do_it(bench.vote(asks[0], Verdict::Approve(None))).await;
    assert!(matches!(decided, Ok(Answer::Decided(_))), "{decided:?}");
    assert_eq!(open(&bench), asks[1..]);
    let told = bench.gate.subscribe("cli").expect("room").asks.remove(0);
    assert_eq!(&*told.node.name, "new-vendor-0-boa", "it is asked about by the name that it would get");
    let decided = bench.do_it(bench.vote(asks[1], Verdict::Approve(None))).await;
    assert!(matches!(decided, Ok(Answer::Decided(_))), "{decided:?}");
    let names: Vec<_> = bench.on_disk().nodes.iter().map(|entry| entry.node.name.to_string()).collect();
    assert_eq!(names, ["new-vendor-0", "new-vendor-0-boa"]);
}

#[tokio::test]
async fn a_node_that_was_listed_seals_and_a_second_claim_to_its_identifier_is_closed() {
    let bench = house(Standing::default(), 1);
    for last in [50, 51] {
        bench.clock.0.store(usize::from(last), Ordering::Relaxed);
        let answered = stranger(&bench, "claimed", last, Operation::Seal).await;
        assert!(matches!(answered, NotApproved::Waiting { .. }), "{answered:?}");
    }
    let asks = open(&bench);
    let both = Act::VoteAll { asks: asks.clone(), by: voter("alice"), verdict: Verdict::Approve(None) };
    assert!(matches!(bench.do_it(both).await, Ok(Answer::SameNodeTwice)));
    assert_eq!(open(&bench), asks, "nothing was changed");
    let decided = bench.do_it(bench.vote(asks[0], Verdict::Approve(None))).await;
    assert!(matches!(decided, Ok(Answer::Decided(_))), "{decided:?}");
    let late = bench.do_it(bench.vote(asks[1], Verdict::Approve(None))).await;
    assert!(matches!(late, Ok(Answer::Closed(_))), "{late:?}");
    assert_eq!(bench.on_disk().nodes.len(), 1);
    for (last, sealed) in [(50, true), (51, false)] {
        let request = Request::parse(Operation::Seal, "claimed", vec![1; 32]).expect("well-formed");
        let peer = Peer::plaintext(([192, 0, 2, last], 1).into());
        let admitted = bench.admission.admit(bench.clock.now().moment, request, peer).expect("listed");
        let caller = Caller { deadline: None, gone: CancellationToken::new() };
        assert_eq!(bench.gate.approve(admitted, &caller).await.is_ok(), sealed, "from .{last}");
    }
}

#[tokio::test]
async fn nobody_is_listed_by_an_answer_that_cannot_be_recorded() {
    let bench = house(Standing::default(), 1);
    stranger(&bench, "claimed", 50, Operation::Unseal).await;
    let ask = open(&bench)[0];
    bench.records.fails_after_save.store(true, Ordering::Relaxed);
    assert!(bench.do_it(bench.vote(ask, Verdict::Approve(None))).await.is_err());
    assert!(bench.admission.lists().node(&NodeUuid::parse("claimed").expect("printable")).is_none());
    bench.records.fails_after_save.store(false, Ordering::Relaxed);
    bench.gate.tick().await.expect("recorded");
    assert!(bench.on_disk().nodes.is_empty());
}

#[tokio::test]
async fn what_could_not_be_saved_is_tried_once_more_at_the_end() {
    let (_drawer, bench) = Drawer::house();
    bench.records.save_fails.store(true, Ordering::Relaxed);
    assert!(matches!(bench.do_it(LOCK()).await, Err(NotActed::Unsaved(_))));
    assert!(bench.on_disk().lock.is_none());
    bench.records.save_fails.store(false, Ordering::Relaxed);
    bench.gate.stop();
    bench.gate.drain().await;
    assert!(bench.on_disk().lock.is_some(), "somebody made room, and stopped it");
}

#[tokio::test]
async fn two_people_change_the_list_when_the_rule_wants_two() {
    let bench = house(Standing::default(), 2);
    let added = || Change::Add(node("new-1", "192.0.2.13/32", ListedBy::People));
    let alices = bench.do_it(bench.change("alice", added())).await;
    assert!(matches!(alices, Ok(Answer::NodeChanged(ChangeAnswer::Counted(1)))), "{alices:?}");
    let again = bench.do_it(bench.change("alice", added())).await;
    assert!(matches!(again, Ok(Answer::NodeChanged(ChangeAnswer::Repeated(1)))), "{again:?}");
    assert!(bench.on_disk().nodes.is_empty());
    let bobs = bench.do_it(bench.change("bob", added())).await;
    assert!(matches!(bobs, Ok(Answer::NodeChanged(ChangeAnswer::Changed(_)))), "{bobs:?}");
    assert_eq!(bench.on_disk().nodes.len(), 1);
}

#[tokio::test]
async fn another_list_is_in_force_as_one_with_its_generation_and_what_channels_are_told() {
    let bench = house(Standing::default(), 1);
    bench.granted(8).await;
    let mut told = bench.gate.subscribe("cli").expect("room");
    let approved = bench.call().await.expect("approved ahead");
    let before = bench.gate.configuration().generation;
    let added = node("new-1", "192.0.2.13/32", ListedBy::People);
    bench.do_it(bench.change("alice", Change::Add(added.clone()))).await.expect("recorded");
    let (now, lists) = (bench.gate.configuration().generation, bench.admission.lists());
    assert_ne!(before, now);
    assert_eq!(lists.generation(), now);
    assert!(lists.has(&added) && !lists.has(&Node { name: "other".into(), ..added }));
    assert!(matches!(bench.still(&approved).await, Err(NotApproved::Reconfigured)));
    let heard = std::iter::from_fn(|| told.events.try_recv().ok());
    assert_eq!(heard.filter(|event| matches!(**event, Event::NodeChanged { .. })).count(), 1);
    assert!(told.events.is_closed(), "the next snapshot has the nodes of now");
    assert!(bench.call().await.is_ok(), "what is ahead for another node stays");
    let stale = bench.gate.act(before, LOCK()).await;
    assert!(matches!(stale, Err(NotActed::Reconfigured)));
}

#[tokio::test]
async fn a_vote_ahead_that_was_revoked_counts_no_more() {
    let bench = house(Standing::default(), 2);
    bench.do_it(bench.ahead("alice", 30, 8)).await.expect("recorded");
    let mut told = bench.gate.subscribe("cli").expect("room");
    assert_eq!(told.proposals.len(), 1);
    bench.do_it(bench.revoke()).await.expect("recorded");
    let event = told.events.try_recv().expect("told");
    let Event::Revoked { ended, withdrawn, .. } = &*event else { panic!("{event:?}") };
    assert_eq!((ended.len(), withdrawn.len()), (0, 1), "who was asked to agree is told");
    bench.do_it(bench.ahead("bob", 30, 8)).await.expect("recorded");
    assert!(bench.gate.grants().is_empty(), "alice's yes is gone");
}
