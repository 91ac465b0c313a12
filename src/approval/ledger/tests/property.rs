//! Random calls, votes, blocks, restarts, reloads and passing time. The test keeps books of its own, simpler than the ledger's:
//! who said yes to what, and when. Whatever is released must stand in them.

use proptest::prelude::*;

use super::*;
use crate::approval::policy::{Approver, Layer, Policy};
use crate::peer::admission::{Lists, UuidPolicy};

#[derive(Debug, Clone)]
enum Step {
    Call {
        node: usize,
        from: u8,
        operation: Operation,
        blob: u8,
        action: Action,
        quorum: usize,
    },
    Vote {
        ask: usize,
        who: usize,
        channel: usize,
        verdict: u8,
        lasts: u64,
    },
    Block {
        node: usize,
    },
    Unblock {
        node: usize,
    },
    Wait {
        seconds: u64,
    },
    Restart,
    /// One approver, and one node, are not in the configuration any more; the next one may have them again.
    Reload {
        gone: usize,
        unlisted: usize,
    },
}

const NODES: [&str; 3] = ["cp-1", "cp-2", "worker-1"];
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "mallory"];
const CHANNELS: [&str; 2] = ["cli", "telegram"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let operation = prop_oneof![1 => Just(Operation::Seal), 3 => Just(Operation::Unseal)];
    let action = prop_oneof![8 => Just(Action::Ask), 1 => Just(Action::Granted), 1 => Just(Action::Deny)];
    let step = prop_oneof![
        8 => (0..3_usize, 0..3_u8, operation, 0..4_u8, action, 1..3_usize)
            .prop_map(|(node, from, operation, blob, action, quorum)| Step::Call {
                node, from, operation, blob, action, quorum
            }),
        6 => (0..6_usize, 0..4_usize, 0..2_usize, 0..8_u8, 0..8_000_u64)
            .prop_map(|(ask, who, channel, verdict, lasts)| Step::Vote { ask, who, channel, verdict, lasts }),
        1 => (0..3_usize).prop_map(|node| Step::Block { node }),
        1 => (0..3_usize).prop_map(|node| Step::Unblock { node }),
        4 => (0..900_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Restart),
        2 => (0..4_usize, 0..6_usize).prop_map(|(gone, unlisted)| Step::Reload { gone, unlisted }),
    ];
    prop::collection::vec(step, 1..120)
}

/// One yes, as the test remembers it.
#[derive(Debug)]
struct Yes {
    who: &'static str,
    ask: AskId,
    at: u64,
}

/// What the test knows of an ask.
#[derive(Debug)]
struct Asked {
    id: AskId,
    node: &'static str,
    origin: Origin,
    operation: Operation,
    releases: u32,
    sealed: Vec<u8>,
}

#[derive(Default)]
struct Books {
    asked: Vec<Asked>,
    yes: Vec<Yes>,
    /// Until when a node is refused, from where (`None`: everywhere).
    no: Vec<(&'static str, Option<Origin>, u64)>,
    now: u64,
}

impl Books {
    /// Whether a release to `node` stands on enough people who said yes, recently enough, to enough.
    fn justify(&mut self, ask: AskId, call: &Call, quorum: usize, blob: u8) {
        let asked = self.asked.iter_mut().find(|asked| asked.id == ask).expect("released under an ask that was seen");
        assert_eq!(*asked.node, *call.node.name);
        assert_eq!(asked.origin, call.origin);
        let persons: BTreeSet<_> =
            self.yes.iter().filter(|yes| yes.ask == ask && yes.who != "mallory").map(|yes| yes.who).collect();
        assert!(persons.len() >= quorum, "{persons:?} are not {quorum}");
        let last_yes = self.yes.iter().filter(|yes| yes.ask == ask).map(|yes| yes.at).max().expect("somebody");
        let age = self.now - last_yes;
        match (asked.operation, call.operation) {
            (Operation::Seal, Operation::Seal) => assert!(age < 24 * 3600),
            (Operation::Seal, Operation::Unseal) => {
                assert!(age < 3600 && asked.sealed.contains(&blob), "a yes to a seal opened an older blob");
            }
            (Operation::Unseal, _) => assert!(age < 3600),
        }
        asked.releases += 1;
        assert!(asked.releases <= 32);
        let refused = self.no.iter().any(|(node, origin, until)| {
            **node == *call.node.name && origin.is_none_or(|origin| origin == call.origin) && self.now < *until
        });
        assert!(!refused, "released although somebody said no");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_released_that_nobody_approved(steps in steps()) {
        let mut ledger = Ledger::new(Timings::default(), Standing::default(), at(0), |_| None);
        let mut books = Books::default();
        for (number, step) in steps.into_iter().enumerate() {
            run(&mut ledger, &mut books, u16::try_from(number).expect("few steps"), step);
        }
    }
}

fn run(ledger: &mut Ledger, books: &mut Books, number: u16, step: Step) {
    match step {
        Step::Call { node, from, operation, blob, action, quorum } => {
            let call = match from {
                0 => call(NODES[node], operation, blob),
                last => {
                    let mut call = from_address(call(NODES[node], operation, blob), last);
                    call.origin = call.node.origin(&call.peer);
                    call
                }
            };
            let rule = Rule { action, requirement: requirement(&["alice", "bob", "carol"], quorum) };
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            let fresh = Fresh { id: AskId(id), code: number };
            match ledger.judge(at(books.now), &call, &rule, fresh).0 {
                Judgement::Approved(terms) => {
                    assert_ne!(action, Action::Deny);
                    let grant = terms.grant.clone().expect("no rule of this test allows without a grant");
                    books.justify(grant.ask, &call, quorum, blob);
                    if operation == Operation::Seal {
                        ledger.sealed_under(&terms, fingerprint(blob));
                        let asked = books.asked.iter_mut().find(|asked| asked.id == grant.ask).expect("seen");
                        asked.sealed.push(blob);
                    }
                }
                Judgement::Waiting { ask, .. } if ask == AskId(id) => books.asked.push(Asked {
                    id: ask,
                    node: NODES[node],
                    origin: call.origin,
                    operation,
                    releases: 0,
                    sealed: vec![],
                }),
                Judgement::Waiting { .. } | Judgement::Refused(_) => {}
            }
        }
        Step::Vote { ask, who, channel, verdict, lasts } => vote(ledger, books, ask, who, channel, (verdict, lasts)),
        Step::Block { node: index } => {
            let lasts = Duration::from_secs(1_000);
            let by = voter("alice", "cli");
            ledger.act(at(books.now), &Act::Block { node: node(NODES[index]), by, lasts: Some(lasts) });
            books.no.push((NODES[index], None, books.now + 1_000));
        }
        Step::Unblock { node: index } => {
            ledger.act(at(books.now), &Act::Unblock { node: node(NODES[index]), by: voter("bob", "cli") });
            books.no.retain(|(node, _, _)| *node != NODES[index]);
        }
        Step::Wait { seconds } => books.now += seconds,
        Step::Restart => {
            *ledger = Ledger::new(Timings::default(), ledger.standing(), at(books.now), |_| None);
            books.yes.clear();
        }
        Step::Reload { gone, unlisted } => reload(ledger, books, gone, unlisted),
    }
}

fn reload(ledger: &mut Ledger, books: &mut Books, gone: usize, unlisted: usize) {
    let everybody: Vec<Approver> = PEOPLE[..3].iter().map(|name| approver(name)).collect();
    let approvers = everybody.iter().filter(|approver| *approver.name != *PEOPLE[gone]).cloned().collect();
    let names = PEOPLE[..3].iter().map(|name| Box::from(*name)).collect();
    let policy =
        Policy { default: Layer { approvers: Some(names), ..Layer::default() }, approvers, ..Policy::default() };
    let listed = NODES.iter().enumerate().filter(|(index, _)| *index != unlisted);
    let lists = Lists::new(vec![], listed.map(|(_, name)| Node::clone(&node(name))), UuidPolicy::default());
    ledger.reconfigure(at(books.now), &policy, &Timings::default(), &everybody, &lists);
    books.yes.retain(|yes| yes.who != PEOPLE[gone]);
    books.asked.retain(|asked| NODES.get(unlisted) != Some(&asked.node));
}

fn approver(name: &str) -> Approver {
    Approver { name: name.into(), uid: Some(1000), telegram_id: None }
}

fn vote(ledger: &mut Ledger, books: &mut Books, ask: usize, who: usize, channel: usize, (verdict, lasts): (u8, u64)) {
    // One of the newest asks, open or not: people press old buttons.
    let Some(asked) = books.asked.iter().rev().nth(ask) else { return };
    let (id, node, origin) = (asked.id, asked.node, asked.origin);
    let lasts_for = Some(Duration::from_secs(lasts));
    let verdict = match verdict {
        0 => Verdict::Deny(lasts_for),
        1 => Verdict::Block(lasts_for),
        2 => Verdict::Approve(lasts_for),
        _ => Verdict::Approve(None),
    };
    let act = Act::Vote { ask: id, by: voter(PEOPLE[who], CHANNELS[channel]), verdict };
    let answer = ledger.act(at(books.now), &act).0;
    if let Answer::Decided(_) | Answer::Counted(_) = answer {
        assert_ne!(PEOPLE[who], "mallory", "counted although not listed");
        match verdict {
            Verdict::Approve(_) => books.yes.push(Yes { who: PEOPLE[who], ask: id, at: books.now }),
            _ => books.no.push((node, Some(origin), books.now + lasts)),
        }
    }
}
