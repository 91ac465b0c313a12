//! The people of a storm, one for each cluster, who see what a channel is told and answer as `nightlatch approvals approve
//! --cluster` does: with the list that they saw.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use nightlatch::approval::ask::{Ask, AskId, Event, Verdict, Voter};
use nightlatch::approval::ledger::act::Act;
use nightlatch::approval::policy::Vote;
use tokio::time::{Instant, sleep_until};

use crate::house::{House, now};

/// How people answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// All of a cluster at once, when its list has stood still for 10 s; or so many of the list less, for a test to see that
    /// it is seen.
    Together { leaving_out: usize },
    /// One node after the other, 8 s after the first prompt, and then every 2 s.
    OneByOne,
    /// Nobody for ten minutes; then all of a cluster at once.
    Late,
}

const STANDS_STILL: Duration = Duration::from_secs(10);
const FIRST_LOOK: Duration = Duration::from_secs(8);
const NEXT_TAP: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(600);

/// What people saw and did.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// When each node was first shown, by its name.
    pub prompted: HashMap<Box<str>, Instant>,
    /// When each node was last approved.
    pub tapped: HashMap<Box<str>, Instant>,
    pub taps: u64,
    pub prompts: u64,
    pub notices: u64,
    /// Events that the channel was told.
    pub events: u64,
    /// How often the channel was cut off because it lagged behind.
    pub cut_off: u64,
    pub most_open: usize,
}

/// What is open in one cluster.
struct List {
    open: BTreeMap<AskId, Box<str>>,
    first_opened: Instant,
    last_opened: Instant,
    last_tap: Instant,
}

pub struct People {
    house: Arc<House>,
    habit: Habit,
    began: Instant,
    clusters: BTreeMap<Box<str>, List>,
    pub seen: Seen,
}

impl People {
    pub fn new(house: Arc<House>, habit: Habit) -> Self {
        Self { house, habit, began: now(), clusters: BTreeMap::new(), seen: Seen::default() }
    }

    /// Watches and answers until `ended`.
    pub async fn answer(mut self, ended: impl Future<Output = ()>) -> Seen {
        let mut told = self.house.gate.subscribe("cli").expect("room").events;
        tokio::pin!(ended);
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                event = told.recv() => match event {
                    Some(event) => self.hear(&event),
                    None => {
                        self.seen.cut_off += 1;
                        let anew = self.house.gate.subscribe("cli").expect("room");
                        self.clusters.values_mut().for_each(|list| list.open.clear());
                        anew.asks.iter().for_each(|ask| self.opened(ask));
                        told = anew.events;
                    }
                },
                () = &mut ended => return self.seen,
                () = sleep_until(due.as_ref().map_or(now() + LATE, |(at, _)| *at)) => {
                    if let Some((_, cluster)) = due {
                        self.tap(&cluster).await;
                    }
                }
            }
        }
    }

    fn hear(&mut self, event: &Event) {
        self.seen.events += 1;
        match event {
            Event::Opened(ask) => {
                self.seen.prompts += 1;
                self.opened(ask);
            }
            Event::Closed(closed) => {
                self.clusters.values_mut().for_each(|list| drop(list.open.remove(&closed.ask.id)));
            }
            Event::Notice(_) => self.seen.notices += 1,
            _ => {}
        }
    }

    fn opened(&mut self, ask: &Ask) {
        self.seen.prompted.entry(ask.node.name.clone()).or_insert_with(now);
        let cluster = ask.node.cluster.clone().unwrap_or_default();
        let fresh = || List { open: BTreeMap::new(), first_opened: now(), last_opened: now(), last_tap: now() };
        let list = self.clusters.entry(cluster).or_insert_with(fresh);
        if list.open.is_empty() {
            list.first_opened = now();
        }
        list.last_opened = now();
        list.open.insert(ask.id, ask.node.name.clone());
        let open = self.clusters.values().map(|list| list.open.len()).sum();
        self.seen.most_open = self.seen.most_open.max(open);
    }

    /// Who answers next, and when.
    fn due(&self) -> Option<(Instant, Box<str>)> {
        let waiting = self.clusters.iter().filter(|(_, list)| !list.open.is_empty());
        let due = |list: &List| match self.habit {
            Habit::Together { .. } => list.last_opened.max(list.last_tap) + STANDS_STILL,
            Habit::OneByOne => (list.first_opened + FIRST_LOOK).max(list.last_tap + NEXT_TAP),
            Habit::Late => (list.last_opened + STANDS_STILL).max(self.began + LATE),
        };
        waiting.map(|(cluster, list)| (due(list), cluster.clone())).min()
    }

    async fn tap(&mut self, cluster: &str) {
        let Some(list) = self.clusters.get_mut(cluster) else { return };
        let count = match self.habit {
            Habit::OneByOne => 1,
            Habit::Together { leaving_out } => list.open.len().saturating_sub(leaving_out),
            Habit::Late => list.open.len(),
        };
        let asks: Vec<AskId> = list.open.keys().take(count).copied().collect();
        for ask in &asks {
            // Not again, whatever the server says: nobody presses what is not there any more.
            if let Some(name) = list.open.remove(ask) {
                self.seen.tapped.insert(name, now());
            }
        }
        list.last_tap = now();
        self.seen.taps += 1;
        let vote = Vote { approver: "alice".into(), channel: "cli".into() };
        let by = Voter { vote, uid: 1000, telegram_id: None };
        let act = Act::VoteAll { asks, by, verdict: Verdict::Approve(None) };
        let generation = self.house.gate.configuration().generation;
        self.house.gate.act(generation, act).await.expect("it is recorded");
    }
}
