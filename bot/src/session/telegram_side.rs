//! What Telegram tells, and how it is with Telegram.

use std::collections::BTreeSet;
use std::time::Duration;

use super::board::{Happened, How, PostingId, Rank};
use super::lane::Bucket;
use super::prompts::Standing;
use super::{Session, Ticket};
use crate::message::{ChatId, ChatKind, Failure, Incoming, Told, UserId};
use crate::render;

/// How long somebody else may read this bot's updates before it is called by its name: a bot that is restarted meets its
/// own last poll for some seconds.
const STOLEN_AFTER: Duration = Duration::from_secs(60);
/// How long Telegram keeps a press for us: facts of the Bot API server.
const PRESSES_LIVE: Duration = Duration::from_secs(150);
/// Strangers who are answered or logged at once, and then one in this time.
const STRANGERS: (u32, Duration) = (10, Duration::from_secs(6));

/// How it is with Telegram.
#[derive(Debug)]
pub(super) struct Side {
    /// Since when updates cannot be read, and why.
    pub(super) failing: Option<(Duration, Failure)>,
    /// Whether Telegram ever answered with what it was asked for.
    pub(super) was_reached: bool,
    /// Since when somebody else reads them.
    pub(super) conflict_since: Option<Duration>,
    warnings: Vec<PostingId>,
    /// Chats that cannot be written to, as the others were told.
    closed: BTreeSet<ChatId>,
    strangers: Bucket,
    /// The same for their presses.
    pressing: Bucket,
    /// When the conflict was seen last.
    conflict_at: Duration,
}

impl Side {
    pub(super) fn new(now: Duration) -> Self {
        let strangers = Bucket::new(STRANGERS.0, STRANGERS.1);
        Self {
            failing: None,
            was_reached: false,
            conflict_since: None,
            warnings: vec![],
            closed: BTreeSet::new(),
            strangers,
            pressing: Bucket::new(STRANGERS.0, STRANGERS.1),
            conflict_at: now,
        }
    }
}

impl Session {
    pub(super) fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Press { id, from, on, data } => {
                if let Some((chat, ..)) = on {
                    self.board.heard(chat);
                }
                self.press(id, from, on, data.as_deref());
            }
            Incoming::Text { from, chat, kind, text } => {
                self.board.heard(chat);
                match from.filter(|from| self.is_listed(*from, chat, kind)) {
                    Some(from) => self.command(from, chat, kind, &text),
                    None => self.stranger(from, chat, kind, &text),
                }
            }
            Incoming::Migrated { from, to } => self.migrates(from, to),
        }
    }

    /// Whether this person may press and command in this chat, which has to be of the kind that its id says.
    pub(super) fn is_listed(&self, from: UserId, chat: ChatId, kind: ChatKind) -> bool {
        let is_right_kind = match kind {
            ChatKind::Private => chat.0 == from.0,
            ChatKind::Group => chat.0 < 0,
            ChatKind::Other => false,
        };
        is_right_kind && self.chat(chat).is_some_and(|listed| listed.people.contains(&from))
    }

    /// A stranger is told their number, when they ask for it in private, and nothing else.
    fn stranger(&mut self, from: Option<UserId>, chat: ChatId, kind: ChatKind, text: &str) {
        let now = self.now.monotonic;
        if self.side.strangers.wait(now) > Duration::ZERO {
            return;
        }
        self.side.strangers.take(now);
        let is_start = text.split_whitespace().next() == Some("/start");
        let told = from.filter(|from| is_start && kind == ChatKind::Private && chat.0 == from.0);
        let what = if told.is_some() { "stranger told their number" } else { "stranger not answered" };
        tracing::info!(user = from.map(|from| from.0), chat = chat.0, "{what}");
        if let Some(from) = told {
            let how = How { rank: Rank::Notice, silent: true, reply_to: None };
            self.board.tell(now, chat, render::stranger(from), how);
        }
    }

    /// Whether a stranger who pressed a button is told that they are one.
    pub(super) fn is_stranger_answered(&mut self) -> bool {
        let now = self.now.monotonic;
        let is_answered = self.side.pressing.wait(now) == Duration::ZERO;
        if is_answered {
            self.side.pressing.take(now);
        }
        is_answered
    }

    /// Only Telegram says that a group has another id, and it is believed of groups that are listed.
    fn migrates(&mut self, from: ChatId, to: ChatId) {
        let is_move = from.0 < 0 && to.0 < 0 && from != to;
        let Some(listed) = self.chat(from).map(|chat| chat.id).filter(|_| is_move) else { return };
        tracing::warn!(from = from.0, to = to.0, "the group has a new id; write it into the configuration");
        self.migrated.insert(listed, to);
        self.board.migrate(from, to);
        self.prompts_migrate(from, to);
        self.is_unkept = true;
    }

    pub(super) fn was_told(&mut self, ticket: Ticket, told: Told) {
        if self.answering.remove(&ticket) {
            if let Err(why) = told {
                tracing::debug!(%why, "press not answered");
            }
            return;
        }
        let Some(call) = self.told.remove(&ticket) else { return };
        self.side.was_reached |= told.is_ok();
        let [jitter, ..] = (self.random)();
        match self.board.told(self.now.monotonic, call, told, jitter) {
            Happened::Nothing => {}
            // Where a new prompt is, or that an old one is done with.
            Happened::Shown(posting) => self.is_unkept |= self.prompts.of_posting(posting).is_some(),
            Happened::Gone(posting) => {
                if let Some(nonce) = self.prompts.of_posting(posting) {
                    tracing::warn!(prompt = %self.code_of(&nonce), "the prompt's message is gone; it is asked again later");
                    self.is_unkept = true;
                }
            }
            Happened::Closed(chat, why) => {
                tracing::warn!(chat = chat.0, %why, "chat closed: nobody is asked there; the next turn is asked at once");
                self.tell_closed(chat);
            }
            Happened::Migrated(from, to) => self.migrates(from, to),
        }
        self.side.closed.retain(|chat| self.board.is_closed(*chat));
    }

    /// Who is in a closed chat cannot be told; the others are, once.
    fn tell_closed(&mut self, closed: ChatId) {
        if self.chat(closed).is_none() || !self.side.closed.insert(closed) {
            return;
        }
        let others: Vec<ChatId> =
            self.settings.chats.iter().map(|chat| self.id_now(chat)).filter(|chat| *chat != closed).collect();
        let how = How { rank: Rank::Reply, silent: self.is_quiet(), reply_to: None };
        for chat in others {
            self.board.tell(self.now.monotonic, chat, render::chat_closed(closed), how);
        }
    }

    /// Telegram said how the bot is called. Its first updates can be a minute away.
    pub(super) fn named(&mut self, name: String) {
        self.name = Some(name);
        self.side.was_reached = true;
    }

    fn code_of(&self, nonce: &crate::press::Nonce) -> String {
        self.prompts.get(nonce).map(|prompt| prompt.ask.code.clone()).unwrap_or_default()
    }

    pub(super) fn polled(&mut self, polled: Result<(), Failure>) {
        let now = self.now.monotonic;
        match polled {
            Ok(()) => {
                if let Some((since, failure)) = self.side.failing.take() {
                    let lasted = now.saturating_sub(since);
                    tracing::info!(for_seconds = lasted.as_secs(), "Telegram's updates are read again");
                    // Of a second reader there is a warning, and it may be there still.
                    if failure != Failure::Conflict {
                        self.telegram_is_back(since, lasted);
                    }
                }
                self.side.was_reached = true;
                self.board.reached();
                self.stolen_no_more();
            }
            Err(failure) => {
                if self.side.failing.as_ref().is_none_or(|(_, before)| before != &failure) {
                    tracing::warn!(%failure, "Telegram's updates cannot be read");
                }
                let is_conflict = failure == Failure::Conflict;
                let since = self.side.failing.take().map_or(now, |(since, _)| since);
                self.side.failing = Some((since, failure));
                if is_conflict {
                    self.stolen();
                }
            }
        }
    }

    /// Who pressed a button meanwhile may believe that it counted.
    fn telegram_is_back(&mut self, since: Duration, lasted: Duration) {
        if lasted < PRESSES_LIVE || self.server.asks.is_empty() {
            return;
        }
        let outage = render::Outage { from_ms: self.wall(since), until_ms: self.now.unix_ms };
        let message = render::telegram_back(outage, self.now.unix_ms, &self.settings.zone);
        let how = How { rank: Rank::Reply, silent: self.is_quiet(), reply_to: None };
        for (chat, _) in self.chats_for(None) {
            self.board.tell(self.now.monotonic, chat, message.clone(), how);
        }
    }

    /// Two that read one bot's updates take them from each other, so presses get lost; and the other one has the token.
    fn stolen(&mut self) {
        let now = self.now.monotonic;
        self.side.conflict_at = now;
        let since = *self.side.conflict_since.get_or_insert(now);
        if now.saturating_sub(since) < STOLEN_AFTER || !self.side.warnings.is_empty() {
            return;
        }
        tracing::error!("somebody else uses this bot's token: revoke it at BotFather unless it was you");
        let chats: Vec<ChatId> = self.settings.chats.iter().map(|chat| self.id_now(chat)).collect();
        let how = How { rank: Rank::Outcome, silent: false, reply_to: None };
        let message = render::second_reader(self.wall(since), self.now.unix_ms, &self.settings.zone);
        for chat in chats {
            let posting = self.board.post(now, chat, message.clone(), how);
            self.side.warnings.push(posting);
        }
    }

    /// The other one may win a poll now and then, and so may we: it is over after a quiet while.
    fn stolen_no_more(&mut self) {
        if self.now.monotonic.saturating_sub(self.side.conflict_at) < STOLEN_AFTER {
            return;
        }
        self.side.conflict_since = None;
        let gone_since = self.wall(self.side.conflict_at);
        let message = render::second_reader_gone(gone_since, self.now.unix_ms, &self.settings.zone);
        for posting in std::mem::take(&mut self.side.warnings) {
            self.board.change(posting, message.clone(), Rank::Reply);
            self.board.leave(posting);
        }
    }

    /// Since when somebody else reads this bot's updates, once that is said.
    pub(super) fn second_reader_since(&self) -> Option<Duration> {
        self.side.conflict_since.filter(|_| !self.side.warnings.is_empty())
    }

    /// How it is, in one line.
    #[must_use]
    pub fn status(&self) -> String {
        let open = self.server.asks.len();
        let asks = if open == 1 { "1 question is open".to_owned() } else { format!("{open} questions are open") };
        let server = match self.server.here_since {
            Some(_) => "",
            None if self.server.is_asleep => "; nightlatch sleeps until a node calls",
            None => "; nightlatch cannot be reached",
        };
        let telegram = match &self.side.failing {
            _ if !self.side.warnings.is_empty() => "; SOMEBODY ELSE USES THIS BOT'S TOKEN".to_owned(),
            Some((_, failure)) => format!("; {failure}"),
            None if self.side.was_reached => String::new(),
            None => "; Telegram was not reached yet".to_owned(),
        };
        let closed = self.settings.chats.iter().filter(|chat| self.board.is_closed(self.id_now(chat))).count();
        let chats = match closed {
            0 => String::new(),
            1 => "; 1 chat cannot be written to".to_owned(),
            closed => format!("; {closed} chats cannot be written to"),
        };
        let unseen =
            self.prompts.find(|prompt| prompt.standing == Standing::Open && self.board.place(prompt.posting).is_none());
        let unseen = match unseen.len() {
            0 => String::new(),
            1 => "; 1 prompt waits to be sent".to_owned(),
            unseen => format!("; {unseen} prompts wait to be sent"),
        };
        format!("{asks}{unseen}{server}{telegram}{chats}")
    }
}
