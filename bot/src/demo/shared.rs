//! Several nodes that ask at once, as after a power cut.

use nightlatch_approval_api::v1;

use super::pretend::{NONCE, NOW, Pretend, closed, released};
use crate::message::Message;
use crate::render::{self, Item, List, Releases, Stage};
use crate::zone::Zone;

fn rack() -> Vec<v1::Ask> {
    let codes = ["K7Q2", "M5RD", "T8VC", "D2WF", "X9GK", "R4HN"];
    let nodes = codes.iter().zip(["cp-1", "cp-2", "cp-3", "worker-1", "worker-2", "worker-3"]).zip(11..);
    let mut asks: Vec<v1::Ask> = nodes
        .map(|((code, name), number)| Pretend::new(code, name, &format!("192.0.2.{number}")).known().ask())
        .collect();
    if let Some(new) = asks.last_mut() {
        new.operation = v1::Operation::Seal.into();
        new.last_approved_at_ms = 0;
    }
    asks
}

fn list(items: &[Item<'_>]) -> Message {
    render::shared(&List { cluster: "home", nonce: NONCE, items }, NOW, &Zone::utc()).0
}

/// Every stage of a list.
pub(super) fn shared() -> Vec<(&'static str, Message)> {
    let (asks, none) = (rack(), Releases::default());
    let approved: Vec<v1::Closed> = asks.iter().map(|ask| closed(ask, v1::Outcome::Approved, 300)).collect();
    let denied: Vec<v1::Closed> = asks.iter().map(|ask| closed(ask, v1::Outcome::Denied, 3_600)).collect();
    let keys: Vec<Releases> = asks.iter().map(|ask| released(ask, 2, true)).collect();
    let with = |stage: &dyn Fn(usize) -> Stage<'static>| {
        let item = |(at, ask)| Item { ask, stage: stage(at), releases: &none };
        list(&asks.iter().enumerate().map(item).collect::<Vec<_>>())
    };
    let answered = |until: usize| {
        let items = asks.iter().zip(&approved).zip(&denied).zip(&keys).enumerate();
        let items = items.map(|(at, (((ask, approved), denied), keys))| match at {
            _ if at >= until => Item { ask, stage: Stage::Open(NONCE), releases: &none },
            1 => Item { ask, stage: Stage::Closed(denied), releases: &none },
            _ => Item { ask, stage: Stage::Closed(approved), releases: keys },
        });
        list(&items.collect::<Vec<_>>())
    };
    let warned: Vec<v1::Ask> = asks.iter().take(1).map(|ask| v1::Ask { warnings: vec![3], ..ask.clone() }).collect();
    let one_left_it = warned.iter().map(|ask| Item { ask, stage: Stage::AskedAgain, releases: &none });
    let others = asks.iter().skip(1).map(|ask| Item { ask, stage: Stage::Open(NONCE), releases: &none });
    vec![
        ("Six nodes after a power cut", with(&|_| Stage::Open(NONCE))),
        ("Nobody answered these for a while", render::list_reminder(6, "home")),
        ("Half of them are answered", answered(3)),
        ("One is left", answered(5)),
        ("All are answered", answered(6)),
        ("A second address uses the name of one of them", list(&one_left_it.chain(others).collect::<Vec<_>>())),
        ("The server is away while they wait", with(&|_| Stage::Unreachable)),
        ("The bot was started anew", render::list_over()),
    ]
}
