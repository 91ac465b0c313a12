//! What the bot decides: what happened goes in, with the time; what is to be done comes out. No I/O, no clock, no
//! Telegram library, so that every case of it is a test without a network.
//!
//! - [`Session::take`] is told what happened,
//! - [`Session::next`] is asked what is to be done, until there is nothing,
//! - [`Session::wake_at`] says when to ask again although nothing happened.

mod beyond;
mod board;
mod commands;
mod events;
mod keeping;
mod lane;
mod notes;
mod posting;
mod presses;
mod prompts;
mod reminders;
mod shared;
mod telegram_side;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use nightlatch_approval_api::{Update, v1};
use tonic::Status;

use self::board::Board;
use self::commands::Commands;
use self::notes::Notes;
use self::presses::Presses;
use self::prompts::Prompts;
use self::shared::Lists;
use self::telegram_side::Side;
use crate::kept::Kept;
use crate::message::{Call, ChatId, Failure, Incoming, PressId, Told, UserId};
use crate::press::Nonce;
use crate::zone::Zone;

/// What the session goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whom it asks, and where.
    pub chats: Vec<Chat>,
    /// How long after a prompt that nobody answered its chat is reminded, once.
    pub remind_after: Duration,
    /// How long after a prompt that nobody answered the chats of the next turn are asked too.
    pub escalate_after: Duration,
    /// When what can wait comes without a sound.
    pub quiet: Option<Quiet>,
    /// The time zone of everything that people read.
    pub zone: Zone,
}

/// One chat of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Where.
    pub id: ChatId,
    /// Who may press and command there. In a private chat that is the one person it is with.
    pub people: BTreeSet<UserId>,
    /// The clusters whose nodes are asked about there; `None` is every node, also those without a cluster.
    pub clusters: Option<BTreeSet<String>>,
    /// When it is asked: at once (1), after one `escalate_after` without an answer (2), and so on. 1 to 9.
    pub turn: u8,
}

/// A span of each day, in the configured zone. It may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Its first minute, counted from midnight: 0 to 1,439.
    pub from: u16,
    /// The minute after its last: 0 to 1,439, not equal to `from`.
    pub until: u16,
}

/// The time, as the session is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since some moment before the start; never goes back. Everything that waits goes by it.
    pub monotonic: Duration,
    /// Milliseconds since 1970-01-01 00:00 UTC, for people alone.
    pub unix_ms: i64,
}

/// Something that was given out as [`Output`] and comes back in [`Input`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The server's stream brought this.
    Server(Box<Update>),
    /// Telegram brought this.
    Telegram(Incoming),
    /// This is how [`Output::Telegram`] ended.
    Told(Ticket, Told),
    /// This is how [`Output::Server`] ended.
    Answered(Ticket, Result<Reply, Status>),
    /// Telegram's updates can, or cannot, be read.
    Polled(Result<(), Failure>),
    /// How this bot is called there, without the `@`: commands in groups name it.
    Named(String),
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Telegram is to be told this.
    Telegram(Ticket, Call),
    /// The server is to be asked this, at once and once. It answers within seconds, or never.
    Server(Ticket, Request),
    /// This is what a restart would need to know.
    Keep(Kept),
}

/// What the server is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A person's answer to an ask.
    Vote(v1::VoteRequest),
    /// A person's answer to all asks of a list.
    VoteAll(v1::VoteAllRequest),
    /// To refuse a node.
    Block(v1::BlockRequest),
    /// To end that.
    Unblock(v1::UnblockRequest),
    /// To approve ahead.
    Grant(v1::GrantRequest),
    /// To end approvals.
    Revoke(v1::RevokeRequest),
    /// To refuse everything.
    Lock(v1::LockRequest),
    /// How things stand: the first event of a Subscribe of its own.
    Look,
}

/// What the server answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To a vote.
    Vote(Box<v1::VoteResponse>),
    /// To a vote for all of a list.
    VoteAll(v1::VoteAllResponse),
    /// To a block.
    Block(v1::BlockResponse),
    /// To its end.
    Unblock(v1::UnblockResponse),
    /// To what was approved ahead.
    Grant(v1::GrantResponse),
    /// To what was ended.
    Revoke(v1::RevokeResponse),
    /// To a lock.
    Lock(v1::LockResponse),
    /// How things stand.
    Look(Box<v1::Snapshot>),
}

/// Where 16 random bytes come from.
pub type Random = Box<dyn FnMut() -> [u8; 16] + Send>;

/// Closed asks that are shown by /history.
const HISTORY: usize = 32;
/// Answers to presses that wait to be sent. Past it, whoever pressed sees the button turn until Telegram gives up.
const MAX_ANSWERS: usize = 64;

/// One run of the bot.
pub struct Session {
    settings: Settings,
    random: Random,
    now: Now,
    tickets: u64,
    board: Board,
    /// Calls that the board gave out.
    told: BTreeMap<Ticket, board::CallId>,
    answers: VecDeque<(PressId, String, bool)>,
    answering: BTreeSet<Ticket>,
    requests: VecDeque<(Ticket, Request)>,
    presses: Presses,
    commands: Commands,
    prompts: Prompts,
    lists: Lists,
    notes: Notes,
    server: Server,
    side: Side,
    installation: String,
    migrated: BTreeMap<ChatId, ChatId>,
    /// The name of this bot, once Telegram said it.
    name: Option<String>,
    is_unkept: bool,
}

/// What is known of the server.
#[derive(Debug, Default)]
struct Server {
    /// Since when it is there; `None` while it is not.
    here_since: Option<Duration>,
    /// Since when it is not there.
    away_since: Duration,
    /// Whether it is not there because nothing happened for long.
    is_asleep: bool,
    /// Whether the prompts say so.
    is_shown_away: bool,
    version: String,
    asks: BTreeMap<Vec<u8>, Open>,
    refusals: Vec<v1::Refusal>,
    grants: Vec<v1::Grant>,
    /// Set while everything is refused.
    lock: Option<v1::Lock>,
    /// Newest last.
    closed: VecDeque<v1::Closed>,
    nodes: Vec<v1::NodeStatus>,
    /// When the grants were told, in milliseconds since 1970-01-01 00:00 UTC: they say how much is left of them.
    told_at_ms: i64,
}

impl Server {
    /// Whether it is not there and should be.
    fn is_away(&self) -> bool {
        self.here_since.is_none() && !self.is_asleep
    }
}

/// An ask that is open.
#[derive(Debug)]
struct Open {
    ask: v1::Ask,
    /// When this run heard of it first.
    since: Duration,
    /// For how long it was open then: a restart does not begin the waits anew.
    before: Duration,
}

impl Open {
    /// For how long it has been open.
    fn waited(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since) + self.before
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("server", &self.server).field("board", &self.board).finish_non_exhaustive()
    }
}

impl Session {
    /// A session that goes on where the one that left `kept` ended.
    #[must_use]
    pub fn new(settings: Settings, kept: Kept, random: Random, now: Now) -> Self {
        let mut session = Self {
            settings,
            random,
            now,
            tickets: 0,
            board: Board::new(),
            told: BTreeMap::new(),
            answers: VecDeque::new(),
            answering: BTreeSet::new(),
            requests: VecDeque::new(),
            presses: Presses::default(),
            commands: Commands::default(),
            prompts: Prompts::default(),
            lists: Lists::default(),
            notes: Notes::default(),
            server: Server { away_since: now.monotonic, ..Server::default() },
            side: Side::new(now.monotonic),
            installation: kept.installation,
            migrated: kept.migrated,
            name: None,
            is_unkept: false,
        };
        session.adopt(kept.prompts);
        session
    }

    /// Takes in what happened.
    pub fn take(&mut self, now: Now, input: Input) {
        self.now = now;
        match input {
            Input::Server(update) => self.update(*update),
            Input::Telegram(incoming) => self.incoming(incoming),
            Input::Told(ticket, told) => self.was_told(ticket, told),
            Input::Answered(ticket, reply) => self.answered(ticket, reply),
            Input::Polled(polled) => self.polled(polled),
            Input::Named(name) => self.named(name),
        }
    }

    /// The next thing to do, if there is one.
    pub fn next(&mut self, now: Now) -> Option<Output> {
        self.now = now;
        self.presses_are_due();
        if let Some((ticket, request)) = self.next_request() {
            return Some(Output::Server(ticket, request));
        }
        if self.answering.len() < MAX_ANSWERS
            && let Some((press, text, alert)) = self.answers.pop_front()
        {
            let ticket = self.ticket();
            self.answering.insert(ticket);
            return Some(Output::Telegram(ticket, Call::Answer { press, text, alert }));
        }
        self.prompts_are_due();
        self.notes_are_due();
        if let Some((id, call)) = self.board.next(now.monotonic) {
            let ticket = self.ticket();
            self.told.insert(ticket, id);
            return Some(Output::Telegram(ticket, call));
        }
        std::mem::take(&mut self.is_unkept).then(|| Output::Keep(self.kept()))
    }

    /// When [`Self::next`] has something to do although nothing happened. Asked when it had nothing.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        [self.board.wake_at(self.now.monotonic), self.presses_wake_at(), self.prompts_wake_at(), self.notes_wake_at()]
            .into_iter()
            .flatten()
            .min()
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn nonce(&mut self) -> Nonce {
        Nonce((self.random)())
    }

    fn answer(&mut self, press: PressId, text: String, alert: bool) {
        if self.answers.len() < MAX_ANSWERS {
            self.answers.push_back((press, text, alert));
        }
    }

    fn request(&mut self, request: Request) -> Ticket {
        let ticket = self.ticket();
        self.requests.push_back((ticket, request));
        ticket
    }

    /// The chat of the configuration that has this id now.
    fn chat(&self, id: ChatId) -> Option<&Chat> {
        self.settings.chats.iter().find(|chat| self.id_now(chat) == id)
    }

    /// The id that a chat of the configuration has now.
    fn id_now(&self, chat: &Chat) -> ChatId {
        self.migrated.get(&chat.id).copied().unwrap_or(chat.id)
    }

    /// The chats in which people are told of this node, by the ids they have now, with their turns.
    fn chats_for(&self, node: Option<&v1::Node>) -> Vec<(ChatId, u8)> {
        let covers = |chat: &&Chat| match (&chat.clusters, node) {
            (None, _) | (_, None) => true,
            (Some(clusters), Some(node)) => clusters.contains(&node.cluster),
        };
        self.settings.chats.iter().filter(covers).map(|chat| (self.id_now(chat), chat.turn)).collect()
    }

    /// Those of them whose turn is the first: who is asked later only need not hear of what asks for nothing.
    fn first_chats_for(&self, node: Option<&v1::Node>) -> Vec<ChatId> {
        let chats = self.chats_for(node);
        let first = chats.iter().map(|(_, turn)| *turn).min();
        chats.into_iter().filter(|(_, turn)| Some(*turn) == first).map(|(chat, _)| chat).collect()
    }

    /// What the wall clock said at this moment, as far as it went on evenly since.
    fn wall(&self, at: Duration) -> i64 {
        let ago = self.now.monotonic.saturating_sub(at);
        self.now.unix_ms.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX))
    }

    /// Whether what can wait is to come without a sound.
    fn is_quiet(&self) -> bool {
        let Some(Quiet { from, until }) = self.settings.quiet else { return false };
        let minute = self.settings.zone.minute_of_day(self.now.unix_ms);
        if from < until { (from..until).contains(&minute) } else { minute >= from || minute < until }
    }
}

#[cfg(test)]
mod tests;
