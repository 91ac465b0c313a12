//! The messages that people should see, and how they get there: what is wanted, what is shown, and which call brings the
//! one closer to the other without annoying Telegram.
//!
//! A message that changes five times while it waits for its turn is edited once. What nobody needs to see any more is
//! never sent.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::lane::{Bucket, Lane};
use super::posting::Posting;
pub(super) use super::posting::{How, PostingId, Rank};
use crate::message::{Call, ChatId, Failure, Message, MessageId, Told};

/// Most messages that are looked after at once. Past it the least urgent ones are given up.
const MAX_POSTINGS: usize = 2_048;
/// Shortest time between two edits of one message that change nothing decisive.
const EDIT_EVERY: Duration = Duration::from_secs(4);
/// How long something that can wait is tried to be told. Who reads "a call was refused" a day later learns nothing.
const STALE_AFTER: Duration = Duration::from_secs(3600);
/// Calls at once, over all chats.
const MAX_UNDER_WAY: usize = 8;
/// Messages per second over all chats: 30 are what Telegram's FAQ allows.
const OVERALL: (u32, Duration) = (25, Duration::from_millis(40));
/// First and longest wait after a call that did not reach Telegram.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A message that fails so often in a way that has no name is given up.
const MAX_REFUSALS: u32 = 3;

/// Names one call of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallId(u64);

/// A call that has not ended. It ends whatever becomes of its message meanwhile.
#[derive(Debug)]
struct UnderWay {
    posting: PostingId,
    /// Where it goes, whatever id the group has now.
    chat: ChatId,
    said: Message,
}

/// What a call that ended means for the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happened {
    /// Nothing that matters beyond the board.
    Nothing,
    /// A message was sent, or edited.
    Shown(PostingId),
    /// A message cannot be edited any more, was removed by somebody, or is refused again and again.
    Gone(PostingId),
    /// This chat cannot be written to.
    Closed(ChatId, String),
    /// This group has another id now.
    Migrated(ChatId, ChatId),
}

/// All messages, and the pace of telling them.
#[derive(Debug)]
pub(super) struct Board {
    postings: BTreeMap<PostingId, Posting>,
    under_way: BTreeMap<CallId, UnderWay>,
    lanes: HashMap<ChatId, Lane>,
    overall: Bucket,
    /// Nothing reaches Telegram: until then nothing is tried.
    away_until: Duration,
    retry: Duration,
    next: u64,
}

impl Board {
    pub(super) fn new() -> Self {
        Self {
            postings: BTreeMap::new(),
            under_way: BTreeMap::new(),
            lanes: HashMap::new(),
            overall: Bucket::new(OVERALL.0, OVERALL.1),
            away_until: Duration::ZERO,
            retry: RETRY.0,
            next: 0,
        }
    }

    /// Has `message` sent, and forgets it then.
    pub(super) fn tell(&mut self, now: Duration, chat: ChatId, message: Message, how: How) {
        self.insert(now, chat, message, how, false);
    }

    /// Has `message` sent, and looks after it.
    pub(super) fn post(&mut self, now: Duration, chat: ChatId, message: Message, how: How) -> PostingId {
        self.insert(now, chat, message, how, true)
    }

    /// Looks after a message that was sent by an earlier run; nothing is done to it before it is to change.
    pub(super) fn adopt(&mut self, now: Duration, chat: ChatId, id: MessageId) -> PostingId {
        let how = How { rank: Rank::Outcome, silent: true, reply_to: None };
        let name = self.insert(now, chat, Message::default(), how, true);
        if let Some(posting) = self.postings.get_mut(&name) {
            posting.id = Some(id);
            posting.shown = Some(Message::default());
        }
        name
    }

    fn insert(&mut self, now: Duration, chat: ChatId, wanted: Message, how: How, changes: bool) -> PostingId {
        if self.postings.len() >= MAX_POSTINGS {
            self.make_room();
        }
        self.lanes.retain(|_, lane| !lane.is_long_idle(now));
        self.next += 1;
        let name = PostingId(self.next);
        self.postings.insert(name, Posting::new(now, chat, wanted, how, changes));
        name
    }

    /// Gives up the least urgent message, the oldest of them.
    fn make_room(&mut self) {
        let least = self.postings.iter().max_by_key(|(name, posting)| (posting.rank(), std::cmp::Reverse(**name)));
        if let Some(name) = least.map(|(name, _)| *name) {
            self.postings.remove(&name);
        }
    }

    /// What the message should say from now on. `rank` says how urgent the change is.
    pub(super) fn change(&mut self, name: PostingId, message: Message, rank: Rank) {
        let Some(posting) = self.postings.get_mut(&name) else { return };
        if posting.wanted == message {
            return;
        }
        posting.wanted = message;
        posting.is_given = false;
        posting.edit = rank;
        if rank < Rank::Progress {
            posting.not_before = Duration::ZERO;
        }
    }

    /// Whether what the message should say was given out in a call: then somebody may see it.
    pub(super) fn was_given(&self, name: PostingId) -> bool {
        self.postings.get(&name).is_some_and(|posting| posting.is_given)
    }

    /// Whether the message is looked after.
    pub(super) fn knows(&self, name: PostingId) -> bool {
        self.postings.contains_key(&name)
    }

    /// Looks after it no longer. What was not sent never will be.
    pub(super) fn forget(&mut self, name: PostingId) {
        self.postings.remove(&name);
    }

    /// It will not change again: it is forgotten once it says what it should.
    pub(super) fn leave(&mut self, name: PostingId) {
        if self.is_settled(name) {
            self.postings.remove(&name);
        } else if let Some(posting) = self.postings.get_mut(&name) {
            posting.changes = false;
        }
    }

    /// Where the message is, if it was sent.
    pub(super) fn place(&self, name: PostingId) -> Option<(ChatId, MessageId)> {
        let posting = self.postings.get(&name)?;
        Some((posting.chat, posting.id?))
    }

    /// Somebody pressed a button of this message there. Telegram tells the place of a message once, and that answer may
    /// be late or lost.
    pub(super) fn found(&mut self, name: PostingId, chat: ChatId, id: MessageId) -> bool {
        let is_it = |posting: &&mut Posting| posting.id.is_none() && posting.is_tried && posting.chat == chat;
        let Some(posting) = self.postings.get_mut(&name).filter(is_it) else { return false };
        posting.id = Some(id);
        posting.shown = posting.said.take();
        true
    }

    /// Whether a message that is looked after is there.
    pub(super) fn is_at(&self, chat: ChatId, id: MessageId) -> bool {
        self.postings.values().any(|posting| posting.chat == chat && posting.id == Some(id))
    }

    /// Whether the message says what it should, as far as anybody can bring that about.
    pub(super) fn is_settled(&self, name: PostingId) -> bool {
        self.postings.get(&name).is_none_or(|posting| posting.is_done() && !self.is_under_way(name, posting))
    }

    /// Whether the message was sent, or may have been.
    pub(super) fn may_be_seen(&self, name: PostingId) -> bool {
        self.postings.get(&name).is_some_and(|posting| posting.id.is_some() || self.is_under_way(name, posting))
    }

    fn is_under_way(&self, name: PostingId, posting: &Posting) -> bool {
        self.under_way.values().any(|call| call.posting == name && call.chat == posting.chat)
    }

    /// The messages that are not as they should be, and have no call under way.
    fn waiting(&self) -> impl Iterator<Item = (&PostingId, &Posting)> {
        self.postings.iter().filter(|(name, posting)| !posting.is_done() && !self.is_under_way(**name, posting))
    }

    /// Whether the chat could not be written to when it was tried last.
    pub(super) fn is_closed(&self, chat: ChatId) -> bool {
        self.lanes.get(&chat).is_some_and(Lane::is_closed)
    }

    /// Telegram answers: what waited for that is tried at once.
    pub(super) fn reached(&mut self) {
        self.away_until = Duration::ZERO;
        self.retry = RETRY.0;
    }

    /// Somebody wrote or pressed in this chat: it can be written to.
    pub(super) fn heard(&mut self, chat: ChatId) {
        if let Some(lane) = self.lanes.get_mut(&chat).filter(|lane| lane.is_closed()) {
            lane.heard();
        }
    }

    /// A group has a new id. Its messages stay behind and cannot be edited, so they are looked after no longer; what was not
    /// sent yet goes to the new one.
    pub(super) fn migrate(&mut self, from: ChatId, to: ChatId) {
        self.postings.retain(|_, posting| posting.chat != from || posting.id.is_none());
        for posting in self.postings.values_mut().filter(|posting| posting.chat == from) {
            posting.chat = to;
            posting.is_tried = false;
            posting.not_before = Duration::ZERO;
            posting.refusals = 0;
        }
        self.lanes.remove(&from);
    }

    #[cfg(test)]
    pub(super) fn chats(&self) -> usize {
        self.lanes.len()
    }

    #[cfg(test)]
    pub(super) fn messages(&self) -> usize {
        self.postings.len()
    }

    /// The call that is due, if one is.
    pub(super) fn next(&mut self, now: Duration) -> Option<(CallId, Call)> {
        let is_stale = |posting: &Posting| {
            let is_old = now.saturating_sub(posting.since) > STALE_AFTER;
            is_old && posting.how.rank == Rank::Notice && posting.id.is_none()
        };
        let stale: Vec<_> = self.waiting().filter(|(_, posting)| is_stale(posting)).map(|(name, _)| *name).collect();
        for name in stale {
            self.postings.remove(&name);
        }
        if now < self.away_until || self.under_way.len() >= MAX_UNDER_WAY || self.overall.wait(now) > Duration::ZERO {
            return None;
        }
        let is_free = |chat| self.lanes.get(&chat).is_none_or(|lane| lane.is_free(now));
        let due = self.waiting().filter(|(_, posting)| posting.not_before <= now && is_free(posting.chat));
        let name = due.min_by_key(|(name, posting)| (posting.rank(), **name)).map(|(name, _)| *name)?;
        let reply_to = self.postings.get(&name)?.how.reply_to.and_then(|name| self.place(name)).map(|(_, id)| id);
        let posting = self.postings.get_mut(&name)?;
        self.overall.take(now);
        self.lanes.entry(posting.chat).or_insert_with(|| Lane::new(posting.chat)).take(now);
        let (chat, message) = (posting.chat, posting.wanted.clone());
        posting.says(&message);
        self.next += 1;
        let id = CallId(self.next);
        self.under_way.insert(id, UnderWay { posting: name, chat, said: message.clone() });
        let call = match posting.id {
            Some(id) => Call::Edit { chat, id, message },
            None => Call::Send { chat, message, silent: posting.how.silent, reply_to },
        };
        Some((id, call))
    }

    /// When something will be due that is not now. `None` while as many calls are under way as may be: what ends that is
    /// no time.
    pub(super) fn wake_at(&self, now: Duration) -> Option<Duration> {
        if self.under_way.len() >= MAX_UNDER_WAY {
            return None;
        }
        let lane = |posting: &Posting| self.lanes.get(&posting.chat).map_or(Some(now), |lane| lane.free_at(now));
        let due = self.waiting().filter_map(|(_, posting)| Some(posting.not_before.max(lane(posting)?))).min()?;
        Some(due.max(self.away_until).max(now + self.overall.wait(now)))
    }

    /// A call that [`Self::next`] gave ended like this. `jitter` is 0 to 255, for how long is waited before the next try.
    pub(super) fn told(&mut self, now: Duration, call: CallId, told: Told, jitter: u8) -> Happened {
        let Some(UnderWay { posting: name, chat, said }) = self.under_way.remove(&call) else {
            return Happened::Nothing;
        };
        if let Some(lane) = self.lanes.get_mut(&chat) {
            lane.done();
            match &told {
                Ok(_) => lane.opened(),
                Err(Failure::Wait(wait)) => lane.wait_until(now + *wait),
                Err(Failure::ChatClosed(_)) => lane.closed(now),
                Err(_) => {}
            }
        }
        if let Err(failure) = &told {
            tracing::debug!(chat = chat.0, %failure, "call failed");
        }
        match &told {
            Ok(_) => self.reached(),
            Err(Failure::Away(_) | Failure::Conflict) => self.backs_off(now, jitter),
            Err(Failure::Token) => {
                self.retry = RETRY.1;
                self.backs_off(now, jitter);
            }
            Err(_) => {}
        }
        // What was said in the group that it was says nothing of the one that it is.
        let Some(posting) = self.postings.get_mut(&name).filter(|posting| posting.chat == chat) else {
            return Happened::Nothing;
        };
        match told {
            Ok(id) => self.shown(now, name, said, id),
            Err(Failure::Wait(_) | Failure::Away(_) | Failure::Conflict | Failure::Token) => Happened::Nothing,
            Err(Failure::ChatClosed(why)) => {
                if posting.how.rank >= Rank::Reply {
                    self.postings.remove(&name);
                }
                Happened::Closed(chat, why)
            }
            Err(Failure::Gone(_)) => {
                self.postings.remove(&name);
                Happened::Gone(name)
            }
            Err(failure @ (Failure::Migrated(_) | Failure::Refused(_))) => {
                posting.refusals += 1;
                posting.not_before = now + EDIT_EVERY;
                let is_given_up = posting.refusals >= MAX_REFUSALS;
                tracing::warn!(chat = chat.0, %failure, is_given_up, "message refused");
                if is_given_up {
                    self.postings.remove(&name);
                }
                match failure {
                    Failure::Migrated(to) => Happened::Migrated(chat, to),
                    _ if is_given_up => Happened::Gone(name),
                    _ => Happened::Nothing,
                }
            }
        }
    }

    fn shown(&mut self, now: Duration, name: PostingId, said: Message, id: Option<MessageId>) -> Happened {
        let Some(posting) = self.postings.get_mut(&name) else { return Happened::Nothing };
        // It was found meanwhile, and this is another copy of it.
        if posting.id.is_some_and(|known| id.is_some_and(|id| id != known)) {
            return Happened::Nothing;
        }
        posting.id = posting.id.or(id);
        posting.shown = Some(said);
        posting.not_before = if posting.edit < Rank::Progress && !posting.is_done() { now } else { now + EDIT_EVERY };
        posting.refusals = 0;
        if !posting.changes && posting.is_done() {
            self.postings.remove(&name);
        }
        Happened::Shown(name)
    }

    fn backs_off(&mut self, now: Duration, jitter: u8) {
        // Half to all of it: bots that lost the network together do not come back together.
        let part = 128 + u32::from(jitter) / 2;
        self.away_until = now + self.retry * part / 255;
        self.retry = (self.retry * 2).min(RETRY.1);
    }
}
