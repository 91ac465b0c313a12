//! The session in a world without a network: a Telegram that does what it is told, or fails as it is told, and a server that
//! says what the test says.

mod beyond;
mod board;
mod commands;
mod life;
mod moved;
mod shared;
mod soak;
mod telling;
mod trust;
mod versions;
mod worse;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::{Update, v1};
use tonic::Status;

use super::{Chat, Input, Now, Output, Reply, Request, Session, Settings, Ticket};
use crate::kept::Kept;
use crate::message::{Call, ChatId, ChatKind, Failure, Incoming, Message, MessageId, PressId, Told, UserId};
use crate::press::{Choice, Press};
use crate::zone::Zone;

const ALICE: UserId = UserId(101);
const BOB: UserId = UserId(202);
const STRANGER: UserId = UserId(666);
const GROUP: ChatId = ChatId(-5);

/// The private chat with somebody.
const fn with(person: UserId) -> ChatId {
    ChatId(person.0)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn chat(id: ChatId, people: &[UserId], turn: u8) -> Chat {
    Chat { id, people: people.iter().copied().collect(), clusters: None, turn }
}

fn settings(chats: Vec<Chat>) -> Settings {
    let zone = Zone(jiff::tz::TimeZone::UTC);
    Settings { chats, remind_after: seconds(120), escalate_after: seconds(300), quiet: None, zone }
}

fn node(number: u8) -> v1::Node {
    v1::Node { uuid: format!("uuid-{number}"), name: format!("cp-{number}"), cluster: "home".to_owned() }
}

fn ask(number: u8) -> v1::Ask {
    v1::Ask {
        id: vec![number; 16],
        code: format!("K7Q{number}"),
        operation: v1::Operation::Unseal.into(),
        node: Some(node(number)),
        address: "192.0.2.11".to_owned(),
        origin: v1::Origin::Listed.into(),
        opened_at_ms: 1,
        attempts: 1,
        volumes: 1,
        votes_missing: 1,
        ..v1::Ask::default()
    }
}

/// One of a cluster of its own.
fn apart(number: u8) -> v1::Ask {
    v1::Ask { node: Some(v1::Node { cluster: format!("of cp-{number}"), ..node(number) }), ..ask(number) }
}

fn closed(number: u8, outcome: v1::Outcome, by: &str) -> v1::Closed {
    v1::Closed {
        ask: Some(ask(number)),
        outcome: outcome.into(),
        by: by.to_owned(),
        at_ms: 7,
        for_seconds: 300,
        ..v1::Closed::default()
    }
}

fn decided(number: u8) -> Result<Reply, Status> {
    let closed = closed(number, v1::Outcome::Approved, "alice");
    Ok(Reply::Vote(Box::new(v1::VoteResponse {
        result: v1::VoteResult::Decided.into(),
        closed: Some(closed),
        ask: None,
    })))
}

fn answered_with(result: v1::VoteResult, number: u8) -> Result<Reply, Status> {
    Ok(Reply::Vote(Box::new(v1::VoteResponse { result: result.into(), ask: Some(ask(number)), closed: None })))
}

/// One message on the simulated phones.
#[derive(Debug, Clone)]
struct Shown {
    message: Message,
    rang: bool,
    reply_to: Option<MessageId>,
    edits: u32,
}

/// A session and everything around it.
struct World {
    session: Session,
    now: Now,
    chats: HashMap<ChatId, BTreeMap<i32, Shown>>,
    answers: Vec<(PressId, String)>,
    requests: VecDeque<(Ticket, Request)>,
    kept: Kept,
    /// Calls to this chat end like this.
    failing: HashMap<ChatId, Failure>,
    /// Whether a message whose sending fails arrives all the same.
    arrives: bool,
    /// Calls that are not carried out before the test says so.
    holding: Option<Vec<(Ticket, Call)>>,
    /// Whether an edit may change nothing.
    may_repeat: bool,
    calls: usize,
    presses: usize,
}

impl World {
    fn new(settings: Settings) -> Self {
        Self::after(settings, Kept::default())
    }

    /// A run that finds what an earlier one kept.
    fn after(settings: Settings, kept: Kept) -> Self {
        let now = Now { monotonic: seconds(1000), unix_ms: 1_800_000_000_000 };
        // No two runs draw the same.
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let mut number = RUNS.fetch_add(1, Ordering::Relaxed) << 32;
        let random = Box::new(move || {
            number += 1;
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            bytes
        });
        let session = Session::new(settings, kept.clone(), random, now);
        Self {
            session,
            now,
            chats: HashMap::new(),
            answers: vec![],
            requests: VecDeque::new(),
            kept,
            failing: HashMap::new(),
            arrives: false,
            holding: None,
            may_repeat: false,
            calls: 0,
            presses: 0,
        }
    }

    /// With a server that is there, and nothing open.
    fn connected(settings: Settings) -> Self {
        let mut world = Self::new(settings);
        world.connect(&[]);
        world
    }

    fn snapshot(asks: &[u8]) -> v1::Snapshot {
        let nodes = (1..=3).map(|number| v1::NodeStatus { node: Some(node(number)), ..v1::NodeStatus::default() });
        v1::Snapshot {
            installation: "one".to_owned(),
            server_version: "0.1.0".to_owned(),
            asks: asks.iter().map(|number| ask(*number)).collect(),
            nodes: nodes.collect(),
            ..v1::Snapshot::default()
        }
    }

    fn connect(&mut self, asks: &[u8]) {
        self.take(Input::Server(Box::new(Update::Connected(Self::snapshot(asks)))));
    }

    fn lose_server(&mut self) {
        self.take(Input::Server(Box::new(Update::Lost(Status::unavailable("gone")))));
    }

    fn fall_asleep(&mut self) {
        self.take(Input::Server(Box::new(Update::Asleep)));
    }

    fn event(&mut self, event: Event) {
        self.take(Input::Server(Box::new(Update::Event(event))));
    }

    /// Opens one that shares its message with no other.
    fn open_apart(&mut self, number: u8) {
        self.event(Event::Opened(apart(number)));
    }

    fn open(&mut self, number: u8) {
        self.event(Event::Opened(ask(number)));
    }

    fn take(&mut self, input: Input) {
        self.session.take(self.now, input);
        self.settle();
    }

    /// Does all that is to be done now.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            match self.session.next(self.now) {
                None => return,
                Some(Output::Server(ticket, request)) => self.requests.push_back((ticket, request)),
                Some(Output::Keep(kept)) => self.kept = kept,
                Some(Output::Telegram(ticket, call)) => match &mut self.holding {
                    Some(held) => held.push((ticket, call)),
                    None => self.carry_out(ticket, call),
                },
            }
        }
        panic!("the session has no end of things to do");
    }

    fn carry_out(&mut self, ticket: Ticket, call: Call) {
        self.calls += 1;
        let told = self.telegram(call);
        self.session.take(self.now, Input::Told(ticket, told));
    }

    fn telegram(&mut self, call: Call) -> Told {
        let failure = match &call {
            Call::Send { chat, .. } | Call::Edit { chat, .. } => self.failing.get(chat).cloned(),
            Call::Answer { .. } => None,
        };
        if let Some(failure) = failure {
            if let Call::Send { chat, message, silent, reply_to } = call
                && self.arrives
                && matches!(failure, Failure::Away(_))
            {
                self.send(chat, message, silent, reply_to);
            }
            return Err(failure);
        }
        match call {
            Call::Answer { press, text, .. } => {
                self.answers.push((press, text));
                Ok(None)
            }
            Call::Send { chat, message, silent, reply_to } => Ok(Some(self.send(chat, message, silent, reply_to))),
            Call::Edit { chat, id, message } => {
                let shown = self.chats.entry(chat).or_default().get_mut(&id.0);
                let Some(shown) = shown else { return Err(Failure::Gone("not found".to_owned())) };
                assert!(self.may_repeat || shown.message != message, "an edit that changes nothing");
                shown.message = message;
                shown.edits += 1;
                Ok(None)
            }
        }
    }

    fn send(&mut self, chat: ChatId, message: Message, silent: bool, reply_to: Option<MessageId>) -> MessageId {
        let chat = self.chats.entry(chat).or_default();
        let id = chat.len() as i32 + 1;
        chat.insert(id, Shown { message, rang: !silent, reply_to, edits: 0 });
        MessageId(id)
    }

    /// Lets time pass, and has done what falls due meanwhile.
    fn wait(&mut self, time: Duration) {
        let until = self.now.monotonic + time;
        self.settle();
        for _ in 0..100_000 {
            let next = self.session.wake_at().filter(|at| *at <= until);
            let at = next.unwrap_or(until).max(self.now.monotonic);
            self.now.unix_ms += i64::try_from((at - self.now.monotonic).as_millis()).expect("a test's time");
            self.now.monotonic = at;
            self.settle();
            if next.is_none() {
                return;
            }
        }
        panic!("the session wakes up without end");
    }

    fn shown(&self, chat: ChatId, id: i32) -> &Shown {
        &self.chats[&chat][&id]
    }

    fn count(&self, chat: ChatId) -> usize {
        self.chats.get(&chat).map_or(0, BTreeMap::len)
    }

    /// The data of a button.
    fn button(&self, chat: ChatId, id: i32, choice: Choice) -> String {
        let mut buttons = self.shown(chat, id).message.buttons.iter().flatten();
        let is_it = |data: &str| Press::parse(data).is_some_and(|press| press.choice == choice);
        buttons.find(|button| is_it(&button.data)).map(|button| button.data.clone()).expect("a button")
    }

    fn has_buttons(&self, chat: ChatId, id: i32) -> bool {
        !self.shown(chat, id).message.buttons.is_empty()
    }

    /// A press, as the person's phone would send it.
    fn press(&mut self, from: UserId, chat: ChatId, id: i32, choice: Choice) {
        let data = self.button(chat, id, choice);
        self.press_data(from, chat, id, &data);
    }

    fn press_data(&mut self, from: UserId, chat: ChatId, id: i32, data: &str) {
        let kind = if chat.0 > 0 { ChatKind::Private } else { ChatKind::Group };
        self.presses += 1;
        self.take(Input::Telegram(Incoming::Press {
            id: PressId(self.presses.to_string()),
            from,
            on: Some((chat, kind, MessageId(id))),
            data: Some(data.to_owned()),
        }));
    }

    fn say(&mut self, from: UserId, chat: ChatId, text: &str) {
        let kind = if chat.0 > 0 { ChatKind::Private } else { ChatKind::Group };
        self.take(Input::Telegram(Incoming::Text { from: Some(from), chat, kind, text: text.to_owned() }));
    }

    /// The vote that the server is asked for.
    fn vote(&mut self) -> Option<(Ticket, v1::VoteRequest)> {
        match self.requests.pop_front()? {
            (ticket, Request::Vote(vote)) => Some((ticket, vote)),
            (_, other) => panic!("no vote: {other:?}"),
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Result<Reply, Status>) {
        self.take(Input::Answered(ticket, reply));
    }

    fn last_answer(&self) -> &str {
        &self.answers.last().expect("an answer").1
    }

    /// Ends the run and begins another one with what was kept; the phones stay as they are.
    fn restart(self, settings: Settings) -> Self {
        let mut next = Self::after(settings, self.kept);
        next.chats = self.chats;
        next.now = Now { monotonic: seconds(5), unix_ms: self.now.unix_ms + 1000 };
        next.session.now = next.now;
        next
    }
}
