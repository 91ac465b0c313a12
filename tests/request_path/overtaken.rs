//! What people decide while a key takes its time counts for the call that waits for it.

use std::time::Duration;

use nightlatch::approval::ask::{Event, Voter};
use nightlatch::approval::ledger::Timings;
use nightlatch::approval::ledger::act::Act;
use nightlatch::approval::policy::{Policy, Vote};
use nightlatch::peer::admission::Lists;
use nightlatch::peer::{ListedNode, Node};
use nightlatch::request::{NodeUuid, Operation};
use tonic::Code;

use crate::house::CP_1;
use crate::panics::Bench;

/// The key of the bench takes a second.
const MEANWHILE: Duration = Duration::from_millis(500);

fn block() -> Act {
    let node = Node {
        uuid: NodeUuid::parse(CP_1).expect("printable"),
        name: "cp-1".into(),
        cluster: None,
        addresses: vec![],
        formerly: vec![],
        bind_address: false,
        listed_by: nightlatch::peer::ListedBy::Configuration,
    };
    let vote = Vote { approver: "alice".into(), channel: "cli".into() };
    Act::Block { node: ListedNode::new(node), by: Voter { vote, uid: 1000, telegram_id: None }, lasts: None }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_blocked_while_its_key_is_derived_gets_nothing() {
    let bench = Bench::new().await;
    let (answer, ()) = tokio::join!(bench.call(Operation::Seal), async {
        tokio::time::sleep(MEANWHILE).await;
        bench.gate.act(bench.gate.configuration().generation, block()).await.expect("blocked");
    });
    let status = answer.expect_err("blocked before it was released");
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "blocked"));
    let records = bench.recorded().await;
    assert!(!records.contains(r#""event":"released""#), "{records}");
    assert!(records.contains(r#""event":"release-failed""#), "{records}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_another_configuration_refuses_while_its_key_is_derived_gets_nothing() {
    let bench = Bench::new().await;
    let mut events = bench.gate.subscribe("cli").expect("room").events;
    let (answer, ()) = tokio::join!(bench.call(Operation::Seal), async {
        tokio::time::sleep(MEANWHILE).await;
        bench.gate.reconfigure(Policy::default(), Timings::default(), &Lists::default()).await;
    });
    let status = answer.expect_err("nothing is allowed any more");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!std::iter::from_fn(|| events.try_recv().ok()).any(|event| matches!(*event, Event::Released(_))));
}
