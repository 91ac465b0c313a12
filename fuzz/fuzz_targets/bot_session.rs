//! A run of the bot without a network: the server's messages, what Telegram brings, calls that fail, and time, in any order.
//! The input is a script: a byte that says what happens, and what that takes.
//!
//! A vote is only asked for when a listed person pressed a button that was shown to them, on a message that cries out if
//! there is something about that ask to cry out, and there is an end of things to do. No message is longer than Telegram takes, and no press goes without an answer for ever.
#![no_main]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::{Update, v1};
use nightlatch_bot::kept::Kept;
use nightlatch_bot::message::{Call, ChatId, ChatKind, Failure, Incoming, Message, MessageId, PressId, UserId};
use nightlatch_bot::session::{Chat, Input, Now, Output, Quiet, Reply, Request, Session, Settings, Ticket};
use nightlatch_bot::zone::Zone;
use prost::Message as _;
use tonic::Status;

const ALICE: UserId = UserId(101);
const BOB: UserId = UserId(202);
const GROUP: ChatId = ChatId(-5);
/// What the group is called once Telegram said that it has moved.
const MOVED: ChatId = ChatId(-1005);
/// Longest text that Telegram takes, in UTF-16 code units once parsed; markup is not counted there, and is here.
const MAX_TEXT: usize = 4096 * 6;

struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn some(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?) * 4;
        let (some, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(some)
    }
}

struct World {
    session: Session,
    now: Now,
    /// What is on the phones.
    shown: HashMap<(ChatId, i32), Message>,
    requests: Vec<(Ticket, Request)>,
    failing: Option<Failure>,
    /// Whether what fails arrives all the same.
    arrives: bool,
    /// The open asks whose address is warned of.
    alarming: HashSet<Vec<u8>>,
    open: HashSet<Vec<u8>>,
    /// When listed people last pressed buttons that they saw, and whether the messages showed a warning: a vote waits for 3 s
    /// at most, behind another one of the same person.
    pressed: Vec<(i64, Duration, bool)>,
    presses: u32,
    answers: u32,
    next: i32,
}

impl World {
    fn new() -> Self {
        let chat = |id, people: &[UserId], turn| Chat { id, people: people.iter().copied().collect(), clusters: None, turn };
        let mut home = chat(ChatId(202), &[BOB], 2);
        home.clusters = Some(["home".to_owned()].into());
        let settings = Settings {
            chats: vec![chat(ChatId(101), &[ALICE], 1), chat(GROUP, &[ALICE, BOB], 1), home],
            remind_after: Duration::from_secs(120),
            escalate_after: Duration::from_secs(300),
            quiet: Some(Quiet { from: 1320, until: 420 }),
            zone: Zone::utc(),
        };
        let now = Now { monotonic: Duration::from_secs(1), unix_ms: 1_800_000_000_000 };
        // Not to be guessed by a fuzzer that sees coverage alone.
        let mut state = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834_u128;
        let random = Box::new(move || {
            state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
            (state ^ (state >> 61)).to_be_bytes()
        });
        Self {
            session: Session::new(settings, Kept::default(), random, now),
            now,
            shown: HashMap::new(),
            requests: vec![],
            failing: None,
            arrives: false,
            alarming: HashSet::new(),
            open: HashSet::new(),
            pressed: vec![],
            presses: 0,
            answers: 0,
            next: 0,
        }
    }

    fn take(&mut self, input: Input) {
        self.session.take(self.now, input);
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..100_000 {
            match self.session.next(self.now) {
                None => return,
                Some(Output::Keep(kept)) => drop(kept),
                Some(Output::Server(ticket, request)) => {
                    if let Request::Vote(vote) = &request {
                        let by = vote.telegram_id.expect("somebody");
                        let is_fresh = |at: Duration| self.now.monotonic - at < Duration::from_secs(3);
                        let mut presses = self.pressed.iter().filter(|(from, at, _)| *from == by && is_fresh(*at)).peekable();
                        assert!(presses.peek().is_some(), "nobody who may has pressed");
                        let is_alarming = self.alarming.contains(&vote.ask_id);
                        assert!(!is_alarming || presses.any(|(.., is_warned)| *is_warned), "they saw no warning");
                    }
                    if let Request::VoteAll(vote) = &request {
                        let by = vote.telegram_id.expect("somebody");
                        let is_fresh = |at: Duration| self.now.monotonic - at < Duration::from_secs(3);
                        assert!(self.pressed.iter().any(|(from, at, _)| *from == by && is_fresh(*at)), "nobody who may has pressed");
                        assert!((1..=20).contains(&vote.ask_ids.len()), "more than one message shows");
                        assert!(vote.ask_ids.iter().all(|id| !self.alarming.contains(id)), "what is warned of is in no list");
                    }
                    self.requests.push((ticket, request));
                }
                Some(Output::Telegram(ticket, call)) => self.carry_out(ticket, call),
            }
        }
        panic!("there is no end of things to do");
    }

    fn carry_out(&mut self, ticket: Ticket, call: Call) {
        if let Some(failure) = self.failing.clone().filter(|_| !matches!(call, Call::Answer { .. })) {
            match call {
                Call::Send { chat, message, .. } if self.arrives => {
                    self.next += 1;
                    self.show(chat, self.next, message);
                }
                Call::Edit { chat, id, message } if self.arrives => self.show(chat, id.0, message),
                _ => {}
            }
            return self.session.take(self.now, Input::Told(ticket, Err(failure)));
        }
        let id = match call {
            Call::Answer { text, .. } => {
                assert!(text.encode_utf16().count() <= 200);
                self.answers += 1;
                None
            }
            Call::Send { chat, message, .. } => {
                self.next += 1;
                self.show(chat, self.next, message);
                Some(MessageId(self.next))
            }
            Call::Edit { chat, id, message } => {
                self.show(chat, id.0, message);
                None
            }
        };
        self.session.take(self.now, Input::Told(ticket, Ok(id)));
    }

    fn hears(&mut self, ask: &v1::Ask) {
        let cries = [v1::Warning::SecondAddress.into(), v1::Warning::OtherAddress.into()];
        self.open.insert(ask.id.clone());
        if ask.warnings.iter().any(|warning| cries.contains(warning)) {
            self.alarming.insert(ask.id.clone());
        } else {
            self.alarming.remove(&ask.id);
        }
    }

    fn is_open(&self, ask: &v1::Ask) -> bool {
        self.open.contains(&ask.id)
    }

    fn show(&mut self, chat: ChatId, id: i32, message: Message) {
        assert!(!message.html.is_empty() && message.html.len() <= MAX_TEXT);
        assert!(message.buttons.iter().flatten().all(|button| (1..=64).contains(&button.data.len())));
        self.shown.insert((chat, id), message);
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now.monotonic + time;
        for _ in 0..10_000 {
            self.settle();
            let next = self.session.wake_at().filter(|at| *at <= until);
            let at = next.unwrap_or(until).max(self.now.monotonic);
            self.now.unix_ms += i64::try_from((at - self.now.monotonic).as_millis()).expect("not for ever");
            self.now.monotonic = at;
            if next.is_none() {
                return self.settle();
            }
        }
        panic!("it wakes up without end");
    }

    /// A press of `from` on one of the buttons that are shown.
    fn press(&mut self, from: UserId, which: u8) {
        let mut all: Vec<_> = self.shown.iter().filter(|(_, message)| !message.buttons.is_empty()).collect();
        all.sort_by_key(|(place, _)| **place);
        let Some(((chat, id), message)) = all.get(usize::from(which / 4) % all.len().max(1)) else { return };
        let buttons: Vec<_> = message.buttons.iter().flatten().collect();
        // The last one too, of however many.
        let at = usize::from(which % 4).min(buttons.len().saturating_sub(1));
        let last = buttons.len().saturating_sub(1);
        let Some(button) = buttons.get(if which % 64 == 63 { last } else { at }) else { return };
        let data = button.data.clone();
        let is_warned = message.html.contains('⚠');
        let (chat, id) = (*chat, *id);
        let may = ([GROUP, MOVED].contains(&chat) && [ALICE, BOB].contains(&from)) || chat.0 == from.0;
        if may {
            self.pressed.push((from.0, self.now.monotonic, is_warned));
        }
        let kind = if chat.0 > 0 { ChatKind::Private } else { ChatKind::Group };
        self.presses += 1;
        let press = PressId(self.presses.to_string());
        self.take(Input::Telegram(Incoming::Press { id: press, from, on: Some((chat, kind, MessageId(id))), data: Some(data) }));
    }
}

fn play(script: &mut Script<'_>, world: &mut World) -> Option<()> {
    loop {
        let what = script.byte()?;
        match what % 12 {
            0 => {
                if let Ok(snapshot) = v1::Snapshot::decode(script.some()?) {
                    world.alarming.clear();
                    snapshot.asks.iter().for_each(|ask| world.hears(ask));
                    world.take(Input::Server(Box::new(Update::Connected(snapshot))));
                }
            }
            1 | 2 => {
                if let Ok(v1::Event { event: Some(event) }) = v1::Event::decode(script.some()?) {
                    match &event {
                        Event::Snapshot(snapshot) => {
                            world.alarming.clear();
                            snapshot.asks.iter().for_each(|ask| world.hears(ask));
                        }
                        Event::Opened(ask) => world.hears(ask),
                        // It may be one that was never opened: then it counts for nothing.
                        Event::Changed(ask) if world.is_open(ask) => world.hears(ask),
                        _ => {}
                    }
                    world.take(Input::Server(Box::new(Update::Event(event))));
                }
            }
            3 if what >= 128 => world.take(Input::Server(Box::new(Update::Asleep))),
            3 => world.take(Input::Server(Box::new(Update::Lost(Status::unavailable("gone"))))),
            4 => {
                for update in nightlatch_bot::telegram::incoming(script.some()?).into_iter().flatten() {
                    if let Some(incoming) = update.incoming {
                        world.presses += u32::from(matches!(incoming, Incoming::Press { .. }));
                        world.take(Input::Telegram(incoming));
                    }
                }
            }
            5 => world.press(ALICE, script.byte()?),
            6 => {
                let from = UserId(i64::from(script.byte()?));
                world.press(from, script.byte()?);
            }
            7 => world.wait(Duration::from_secs(u64::from(script.byte()?))),
            8 => {
                let which = script.byte()?;
                world.arrives = which >= 128;
                world.failing = [
                    None,
                    Some(Failure::Away("no".to_owned())),
                    Some(Failure::Wait(Duration::from_secs(30))),
                    Some(Failure::ChatClosed("no".to_owned())),
                    Some(Failure::Migrated(MOVED)),
                    Some(Failure::Gone("no".to_owned())),
                    Some(Failure::Refused("no".to_owned())),
                    Some(Failure::Conflict),
                    Some(Failure::Token),
                ]
                .into_iter()
                .nth(usize::from(which) % 9)?;
                let polled = world.failing.clone().map_or(Ok(()), Err);
                world.take(Input::Polled(polled));
            }
            9 => {
                let bytes = script.some()?;
                if let Some((ticket, request)) = world.requests.pop() {
                    let reply = match request {
                        Request::VoteAll(_) => v1::VoteAllResponse::decode(bytes).map(Reply::VoteAll),
                        _ => v1::VoteResponse::decode(bytes).map(|response| Reply::Vote(Box::new(response))),
                    };
                    world.take(Input::Answered(ticket, reply.map_err(|_| Status::permission_denied("no"))));
                }
            }
            10 => {
                let text = String::from_utf8_lossy(script.some()?).into_owned();
                let (chat, kind) = (ChatId(ALICE.0), ChatKind::Private);
                world.take(Input::Telegram(Incoming::Text { from: Some(ALICE), chat, kind, text }));
            }
            _ => {
                let refusal = v1::BlockResponse::decode(script.some()?).ok()?;
                if let Some((ticket, _)) = world.requests.pop() {
                    world.take(Input::Answered(ticket, Ok(Reply::Block(refusal))));
                }
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut world = World::new();
    let mut script = Script(bytes.get(..2048).unwrap_or(bytes));
    play(&mut script, &mut world);
    // Whoever pressed is answered within seconds, but for strangers past the tenth.
    world.failing = None;
    world.wait(Duration::from_secs(10));
    assert!(world.answers <= world.presses);
    assert!(world.answers >= world.presses.min(10), "{} of {}", world.answers, world.presses);
});
