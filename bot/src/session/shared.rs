//! Several asks of one cluster in one message, as after a power cut. Each ask in it has a [`Prompt`] of its own; what they
//! share is the message, its reminder, and the buttons that answer all. docs/spec/telegram.md, "Shared messages", says
//! what these answer.

mod presses;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use nightlatch_approval_api::v1;

use super::Session;
use super::board::{Board, PostingId, Rank};
use super::prompts::{Prompt, Prompts, Reminder, Standing};
use crate::kept::KeptPrompt;
use crate::message::{ChatId, MessageId};
use crate::press::Nonce;
use crate::render::{self, Item, List, Stage};

pub(super) use self::presses::AllVote;

/// Most asks of one message, closed ones too: what is more would be scrolled past, and then "all" is more than was seen.
const MAX_ASKS: usize = 20;
/// How long after the last ask of a message another one may join it. An edit does not ring, but the message rang then.
const JOINS_WITHIN: Duration = Duration::from_secs(60);
/// Versions of a message whose buttons are known: phones may be slower than edits.
const MAX_VERSIONS: usize = 8;
/// Clusters, over all chats, in which an ask may join another.
const MAX_JOINABLE: usize = 1_024;

/// The shared messages, and those that may become one.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) shared: BTreeMap<PostingId, Shared>,
    /// The newest message about a cluster in a chat, and the prompt that it was first.
    joinable: BTreeMap<(ChatId, String), (PostingId, Nonce)>,
}

/// One message that shows several asks.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) chat: ChatId,
    pub(super) cluster: String,
    /// The prompts, by what their buttons carried first, in the order in which they came.
    members: Vec<Nonce>,
    /// When the last one came.
    joined: Duration,
    /// Newest last.
    versions: VecDeque<Version>,
    pub(super) reminder: Reminder,
}

/// What the buttons for all stand for in one version of the message.
#[derive(Debug)]
struct Version {
    nonce: Nonce,
    /// The prompts that it shows as open, and what their own buttons carry in it.
    covers: Vec<(Nonce, Nonce)>,
    /// Whether anybody may see it.
    is_given: bool,
}

fn cluster_of(ask: &v1::Ask) -> &str {
    ask.node.as_ref().map_or("", |node| &node.cluster)
}

impl Lists {
    /// Whether this message shows several asks.
    pub(super) fn has(&self, posting: PostingId) -> bool {
        self.shared.contains_key(&posting)
    }

    /// Others of its cluster may join this prompt from now on, and none that was there before.
    pub(super) fn may_be_joined(&mut self, chat: ChatId, ask: &v1::Ask, prompt: Nonce, posting: PostingId) {
        if self.joinable.len() >= MAX_JOINABLE {
            self.joinable.clear();
        }
        self.joinable.insert((chat, cluster_of(ask).to_owned()), (posting, prompt));
    }

    /// A group has a new id.
    pub(super) fn migrate(&mut self, from: ChatId, to: ChatId, board: &Board) {
        self.shared.retain(|posting, shared| shared.chat != from || board.knows(*posting));
        for shared in self.shared.values_mut().filter(|shared| shared.chat == from) {
            shared.chat = to;
        }
        self.joinable.retain(|(chat, _), _| *chat != from);
    }

    /// The message whose buttons carry this, or did a while ago, and what they stand for.
    fn of_button(&self, nonce: Nonce) -> Option<(PostingId, &Version)> {
        self.shared.iter().find_map(|(posting, shared)| {
            shared.versions.iter().find(|version| version.nonce == nonce).map(|version| (*posting, version))
        })
    }
}

impl Shared {
    fn prompts<'a>(&'a self, prompts: &'a Prompts) -> impl Iterator<Item = (Nonce, &'a Prompt)> {
        self.members.iter().filter_map(|nonce| Some((*nonce, prompts.get(nonce)?)))
    }

    pub(super) fn open<'a>(&'a self, prompts: &'a Prompts) -> impl Iterator<Item = (Nonce, &'a Prompt)> {
        self.prompts(prompts).filter(|(_, prompt)| prompt.standing == Standing::Open)
    }

    /// What the buttons for all carry in a version that covers these. What nobody can have seen makes room.
    fn version(&mut self, covers: Vec<(Nonce, Nonce)>, fresh: Nonce) -> Nonce {
        if covers.is_empty() {
            return fresh;
        }
        if let Some(last) = self.versions.back() {
            if last.covers == covers {
                return last.nonce;
            }
            if !last.is_given {
                self.versions.pop_back();
            }
        }
        self.versions.push_back(Version { nonce: fresh, covers, is_given: false });
        if self.versions.len() > MAX_VERSIONS {
            self.versions.pop_front();
        }
        fresh
    }
}

impl Session {
    /// Puts this ask, with the prompt of this name, into the message of others of its cluster in the chat, if one may be
    /// joined. The phone does not ring again: it did less than a minute ago, for the same cluster, and will for the reminder.
    pub(super) fn join(&mut self, ask: &v1::Ask, chat: ChatId, name: Nonce) -> Option<PostingId> {
        let now = self.now.monotonic;
        let key = (chat, cluster_of(ask).to_owned());
        let (posting, first) = *self.lists.joinable.get(&key)?;
        if !render::may_share(ask) || !self.board.knows(posting) {
            return None;
        }
        let is_fresh = |since: Duration| now.saturating_sub(since) < JOINS_WITHIN;
        if let Some(shared) = self.lists.shared.get_mut(&posting) {
            let is_there = shared.prompts(&self.prompts).any(|(_, prompt)| prompt.ask.id == ask.id);
            let may = shared.members.len() < MAX_ASKS
                && is_fresh(shared.joined)
                && matches!(shared.reminder, Reminder::Due(_))
                && shared.open(&self.prompts).next().is_some()
                && !is_there;
            if !may {
                return None;
            }
            shared.joined = now;
            shared.members.push(name);
            return Some(posting);
        }
        let prompt = self.prompts.get_mut(&first)?;
        let may = prompt.standing == Standing::Open
            && is_fresh(prompt.since)
            && matches!(prompt.reminder, Reminder::Due(_))
            && render::may_share(&prompt.ask)
            && cluster_of(&prompt.ask) == key.1;
        if !may {
            return None;
        }
        let reminder = std::mem::replace(&mut prompt.reminder, Reminder::Over);
        let (members, versions) = (vec![first, name], VecDeque::new());
        let shared = Shared { chat, cluster: key.1, members, joined: now, versions, reminder };
        self.lists.shared.insert(posting, shared);
        Some(posting)
    }

    /// Has the board know what this shared message should say.
    pub(super) fn show_list(&mut self, posting: PostingId, rank: Rank) {
        let (is_away, fresh) = (self.is_unreachable(), self.nonce());
        let was_given = self.board.was_given(posting);
        let Some(shared) = self.lists.shared.get_mut(&posting) else { return };
        if let Some(last) = shared.versions.back_mut() {
            last.is_given |= was_given;
        }
        let members = shared.members.clone();
        let prompts: Vec<_> = members.iter().filter_map(|name| Some((*name, self.prompts.get(name)?))).collect();
        let items: Vec<Item<'_>> = prompts.iter().map(|(_, prompt)| item(prompt, is_away)).collect();
        let zone = &self.settings.zone;
        let list = List { cluster: &shared.cluster, nonce: fresh, items: &items };
        let (_, shown) = render::shared(&list, self.now.unix_ms, zone);
        let is_open = |(_, prompt): &&(Nonce, &Prompt)| prompt.standing == Standing::Open && !is_away;
        let covers = prompts.iter().take(shown).filter(is_open).map(|(name, prompt)| (*name, prompt.buttons)).collect();
        let is_over = shared.open(&self.prompts).next().is_none();
        let cluster = shared.cluster.clone();
        let nonce = shared.version(covers, fresh);
        let list = List { cluster: &cluster, nonce, items: &items };
        let (message, _) = render::shared(&list, self.now.unix_ms, zone);
        if is_over && let Reminder::Sent(reminder) = std::mem::replace(&mut shared.reminder, Reminder::Over) {
            if self.board.may_be_seen(reminder) {
                self.board.change(reminder, render::list_reminder(0, &cluster), Rank::Reply);
                self.board.leave(reminder);
            } else {
                self.board.forget(reminder);
            }
        }
        self.board.change(posting, message, rank);
    }

    /// One ask of this message stands otherwise than before. What nobody saw of it needs no line.
    pub(super) fn member_stands(&mut self, name: Nonce, posting: PostingId) {
        if !self.board.may_be_seen(posting) {
            self.prompts.0.remove(&name);
            let Some(shared) = self.lists.shared.get_mut(&posting) else { return };
            shared.members.retain(|member| *member != name);
            if shared.members.is_empty() {
                self.board.forget(posting);
                self.lists.shared.remove(&posting);
                return;
            }
        }
        self.show_list(posting, Rank::Outcome);
    }

    /// Forgets the messages of which every ask is long over.
    pub(super) fn lists_are_over(&mut self, linger: Duration, last_word: Duration) {
        let now = self.now.monotonic;
        let is_over = |(posting, shared): &(&PostingId, &Shared)| {
            let is_said = self.board.is_settled(**posting) || self.board.is_closed(shared.chat);
            let lasts = if is_said { linger } else { last_word };
            shared
                .prompts(&self.prompts)
                .all(|(_, prompt)| prompt.standing != Standing::Open && now.saturating_sub(prompt.since) >= lasts)
        };
        let over: Vec<PostingId> = self.lists.shared.iter().filter(is_over).map(|(posting, _)| *posting).collect();
        for posting in over {
            self.board.forget(posting);
            for name in self.lists.shared.remove(&posting).map(|shared| shared.members).unwrap_or_default() {
                self.prompts.0.remove(&name);
            }
        }
    }

    /// Lists of an earlier run. Nobody knows any more which version showed what: they lose their buttons, and what is open
    /// is asked anew.
    pub(super) fn adopt_lists(&mut self, kept: &[KeptPrompt]) {
        let places: BTreeSet<(ChatId, MessageId)> = kept.iter().map(|kept| (kept.chat, kept.message)).collect();
        for (chat, message) in places {
            let posting = self.board.adopt(self.now.monotonic, chat, message);
            self.board.change(posting, render::list_over(), Rank::Outcome);
            self.board.leave(posting);
        }
    }
}

/// What a list says of one prompt.
fn item(prompt: &Prompt, is_away: bool) -> Item<'_> {
    let stage = match &prompt.standing {
        Standing::Open if is_away => Stage::Unreachable,
        Standing::Open => Stage::Open(prompt.buttons),
        Standing::Closed(closed) => Stage::Closed(closed),
        Standing::AskedAgain => Stage::AskedAgain,
        Standing::Forgotten => Stage::Forgotten,
    };
    Item { ask: &prompt.ask, stage, releases: &prompt.releases }
}
