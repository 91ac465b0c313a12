//! The prompts: which message shows which ask, who is asked when, and what each says now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nightlatch_approval_api::v1;

use super::board::{How, PostingId, Rank};
use super::{Open, Session};
use crate::message::{ChatId, MessageId, UserId};
use crate::press::Nonce;
use crate::render::{self, Releases, Stage};

/// How long a prompt is looked after once it was answered: what is released later is told by a message of its own.
const LINGER: Duration = Duration::from_secs(3600);
/// How long it is tried to say that a prompt is over, where Telegram cannot be reached.
const LAST_WORD: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long the server may be away before the buttons are taken from the prompts. A restart is shorter.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(10);
/// How long after an ask was forgotten another one for the same is taken for its successor.
const SUCCEEDS_WITHIN: Duration = Duration::from_secs(15 * 60);

/// One ask in one chat.
#[derive(Debug)]
pub(super) struct Prompt {
    /// What its buttons carry now: another one than before once the ask got worse than what was shown with that.
    pub(super) buttons: Nonce,
    pub(super) chat: ChatId,
    pub(super) posting: PostingId,
    pub(super) ask: v1::Ask,
    /// Whether the ask is all that the server told, and not what was kept of it.
    pub(super) is_whole: bool,
    pub(super) standing: Standing,
    /// When the standing became what it is.
    pub(super) since: Duration,
    pub(super) releases: Releases,
    pub(super) reminder: Reminder,
    /// Who approved here.
    pub(super) approved: BTreeSet<UserId>,
}

/// Where a prompt stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    Open,
    Closed(Box<v1::Closed>),
    AskedAgain,
    Forgotten,
}

/// The second call for a prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reminder {
    /// Not before this time.
    Due(Duration),
    Sent(PostingId),
    Over,
}

/// How somebody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// In the message of others if there is one that it may join; else in its own, which others may join.
    MayJoin,
    /// In its own.
    Alone,
    /// In its own, without a sound: whoever wants it so looks at the chat.
    AloneUnheard,
}

/// All prompts, by what their buttons carried first.
#[derive(Debug, Default)]
pub(super) struct Prompts(pub(super) BTreeMap<Nonce, Prompt>);

impl Prompts {
    pub(super) fn get(&self, nonce: &Nonce) -> Option<&Prompt> {
        self.0.get(nonce)
    }

    pub(super) fn get_mut(&mut self, nonce: &Nonce) -> Option<&mut Prompt> {
        self.0.get_mut(nonce)
    }

    /// The prompt whose buttons carry this now, or did first.
    pub(super) fn of_button(&self, nonce: &Nonce) -> Option<Nonce> {
        let by_its_first = self.0.contains_key(nonce).then_some(*nonce);
        by_its_first.or_else(|| self.find(|prompt| prompt.buttons == *nonce).first().copied())
    }

    /// The nonces of the prompts that `is_meant`.
    pub(super) fn find(&self, is_meant: impl Fn(&Prompt) -> bool) -> Vec<Nonce> {
        self.0.iter().filter(|(_, prompt)| is_meant(prompt)).map(|(nonce, _)| *nonce).collect()
    }

    pub(super) fn of_posting(&self, posting: PostingId) -> Option<Nonce> {
        self.0.iter().find(|(_, prompt)| prompt.posting == posting).map(|(nonce, _)| *nonce)
    }
}

fn is_same_question(one: &v1::Ask, other: &v1::Ask) -> bool {
    let uuid = |ask: &v1::Ask| ask.node.as_ref().map(|node| node.uuid.clone());
    uuid(one) == uuid(other) && one.operation == other.operation
}

impl Session {
    /// Asks in `chat`, by a new message or in one that others of its cluster have there. An older one for the same says so.
    pub(super) fn prompt(&mut self, ask: &v1::Ask, chat: ChatId) {
        self.prompt_in(ask, chat, Manner::MayJoin);
    }

    pub(super) fn prompt_in(&mut self, ask: &v1::Ask, chat: ChatId, manner: Manner) {
        let now = self.now.monotonic;
        let older = self.prompts.find(|prompt| {
            let is_it = match prompt.standing {
                Standing::Open => prompt.ask.id == ask.id,
                Standing::Forgotten => {
                    is_same_question(&prompt.ask, ask) && now.saturating_sub(prompt.since) < SUCCEEDS_WITHIN
                }
                _ => false,
            };
            prompt.chat == chat && is_it
        });
        let mut approved = BTreeSet::new();
        for nonce in older {
            if let Some(prompt) = self.prompts.0.get_mut(&nonce).filter(|prompt| prompt.ask.id == ask.id) {
                approved.append(&mut prompt.approved);
            }
            self.stands(nonce, Standing::AskedAgain);
        }
        let nonce = self.nonce();
        let releases = Releases::default();
        let joined = if manner == Manner::MayJoin { self.join(ask, chat, nonce) } else { None };
        let posting = joined.unwrap_or_else(|| {
            let shown = render::Prompt { ask, stage: Stage::Open(nonce), releases: &releases };
            let message = render::prompt(&shown, self.now.unix_ms, &self.settings.zone);
            let how = How { rank: Rank::Ask, silent: manner == Manner::AloneUnheard, reply_to: None };
            self.board.post(now, chat, message, how)
        });
        let reminder = match joined {
            Some(_) => Reminder::Over,
            None => Reminder::Due(now + self.settings.remind_after),
        };
        let prompt = Prompt {
            buttons: nonce,
            chat,
            posting,
            ask: ask.clone(),
            is_whole: true,
            standing: Standing::Open,
            since: now,
            releases,
            reminder,
            approved,
        };
        self.prompts.0.insert(nonce, prompt);
        if joined.is_some() {
            self.is_unkept = true;
            self.show_list(posting, Rank::Outcome);
        } else if manner == Manner::MayJoin && render::may_share(ask) {
            self.lists.may_be_joined(chat, ask, nonce, posting);
        }
    }

    /// Every prompt of this ask shows what the ask is now.
    pub(super) fn ask_changed(&mut self, ask: &v1::Ask) {
        for nonce in self.prompts.find(|prompt| prompt.ask.id == ask.id && prompt.standing == Standing::Open) {
            let fresh = self.nonce();
            let Some(prompt) = self.prompts.0.get_mut(&nonce) else { continue };
            let is_worse = render::asks_more(&prompt.ask, prompt.is_whole, ask);
            let is_decisive = is_worse || prompt.ask.voted != ask.voted || prompt.ask.warnings != ask.warnings;
            // Who presses what they see must have seen this.
            if is_worse {
                prompt.buttons = fresh;
                self.is_unkept = true;
            }
            prompt.ask = ask.clone();
            prompt.is_whole = true;
            let (chat, posting) = (prompt.chat, prompt.posting);
            // What needs a closer look is not answered among others.
            if self.lists.has(posting) && !render::may_share(ask) {
                self.prompt_in(ask, chat, Manner::Alone);
                continue;
            }
            self.show(nonce, if is_decisive { Rank::Outcome } else { Rank::Progress });
        }
    }

    /// Every prompt of this ask shows how it was closed.
    pub(super) fn ask_closed(&mut self, closed: &v1::Closed) {
        let Some(ask) = &closed.ask else { return };
        for nonce in self.prompts.find(|prompt| prompt.ask.id == ask.id && prompt.standing == Standing::Open) {
            if let Some(prompt) = self.prompts.0.get_mut(&nonce) {
                prompt.ask = ask.clone();
                prompt.is_whole = true;
            }
            self.stands(nonce, Standing::Closed(Box::new(closed.clone())));
        }
    }

    /// Tells a release on the prompts that it rests on, and says whether every chat it concerns has one.
    pub(super) fn released(&mut self, release: &v1::Release, chat: ChatId) -> bool {
        let nonces = self.prompts.find(|prompt| {
            prompt.chat == chat
                && prompt.ask.id == release.ask_id
                && matches!(prompt.standing, Standing::Open | Standing::Closed(_))
        });
        let is_told = !nonces.is_empty();
        for nonce in nonces {
            if let Some(prompt) = self.prompts.0.get_mut(&nonce) {
                prompt.releases.add(release);
                self.show(nonce, Rank::Progress);
            }
        }
        is_told
    }

    /// From now on this prompt stands like this.
    pub(super) fn stands(&mut self, nonce: Nonce, standing: Standing) {
        let now = self.now.monotonic;
        let Some(prompt) = self.prompts.0.get_mut(&nonce) else { return };
        let reminder = std::mem::replace(&mut prompt.reminder, Reminder::Over);
        (prompt.standing, prompt.since) = (standing, now);
        let posting = prompt.posting;
        if let Reminder::Sent(reminder) = reminder {
            let message = render::reminder(&prompt.ask, false);
            if self.board.may_be_seen(reminder) {
                self.board.change(reminder, message, Rank::Reply);
                self.board.leave(reminder);
            } else {
                self.board.forget(reminder);
            }
        }
        self.is_unkept = true;
        if self.lists.has(posting) {
            return self.member_stands(nonce, posting);
        }
        // A question that nobody was asked yet needs no answer.
        if self.board.may_be_seen(posting) {
            self.show(nonce, Rank::Outcome);
        } else {
            self.board.forget(posting);
            self.prompts.0.remove(&nonce);
        }
    }

    /// Has the board know what this prompt should say.
    pub(super) fn show(&mut self, nonce: Nonce, rank: Rank) {
        let is_away = self.is_unreachable();
        let Some(prompt) = self.prompts.0.get(&nonce) else { return };
        if self.lists.has(prompt.posting) {
            return self.show_list(prompt.posting, rank);
        }
        let stage = match &prompt.standing {
            // What was kept says too little to show it as open.
            Standing::Open if !prompt.is_whole => return,
            Standing::Open if is_away => Stage::Unreachable,
            Standing::Open => Stage::Open(prompt.buttons),
            Standing::Closed(closed) => Stage::Closed(closed),
            Standing::AskedAgain => Stage::AskedAgain,
            Standing::Forgotten => Stage::Forgotten,
        };
        let shown = render::Prompt { ask: &prompt.ask, stage, releases: &prompt.releases };
        let message = render::prompt(&shown, self.now.unix_ms, &self.settings.zone);
        self.board.change(prompt.posting, message, rank);
    }

    /// This message is a copy of the prompt, sent by a call whose answer was lost: its buttons go.
    pub(super) fn strip_copy(&mut self, nonce: Nonce, chat: ChatId, id: MessageId) {
        let Some(prompt) = self.prompts.0.get(&nonce).filter(|prompt| prompt.chat == chat) else { return };
        if self.board.is_at(chat, id) {
            return;
        }
        let stage = match &prompt.standing {
            Standing::Closed(closed) => Stage::Closed(closed),
            Standing::Forgotten => Stage::Forgotten,
            Standing::Open | Standing::AskedAgain => Stage::AskedAgain,
        };
        let shown = render::Prompt { ask: &prompt.ask, stage, releases: &prompt.releases };
        let message = if self.lists.has(prompt.posting) {
            render::list_over()
        } else {
            render::prompt(&shown, self.now.unix_ms, &self.settings.zone)
        };
        let posting = self.board.adopt(self.now.monotonic, chat, id);
        self.board.change(posting, message, Rank::Outcome);
        self.board.leave(posting);
    }

    /// Every open prompt shows whether it can be answered.
    pub(super) fn show_open(&mut self) {
        for nonce in self.prompts.find(|prompt| prompt.standing == Standing::Open) {
            self.show(nonce, Rank::Outcome);
        }
    }

    pub(super) fn is_unreachable(&self) -> bool {
        let away = self.now.monotonic.saturating_sub(self.server.away_since);
        self.server.is_away() && away >= UNREACHABLE_AFTER
    }

    /// Asks whose turn has come, reminds who did not answer, and forgets what is long over.
    pub(super) fn prompts_are_due(&mut self) {
        let now = self.now.monotonic;
        let long_over = |prompt: &Prompt| {
            let is_said = self.board.is_settled(prompt.posting) || self.board.is_closed(prompt.chat);
            let linger = if is_said { LINGER } else { LAST_WORD };
            let is_over = prompt.standing != Standing::Open && now.saturating_sub(prompt.since) >= linger;
            is_over && !self.lists.has(prompt.posting)
        };
        for nonce in self.prompts.find(long_over) {
            if let Some(prompt) = self.prompts.0.remove(&nonce) {
                self.board.forget(prompt.posting);
            }
        }
        self.lists_are_over(LINGER, LAST_WORD);
        if self.server.here_since.is_none() {
            if self.is_unreachable() && !self.server.is_shown_away {
                self.server.is_shown_away = true;
                self.show_open();
            }
            return;
        }
        self.whose_turn_it_is();
        self.ask_again_later();
        self.remind();
        self.remind_of_lists();
    }

    /// The chats of a turn are asked when it has come, or when nobody of the turns before can be written to.
    fn whose_turn_it_is(&mut self) {
        let now = self.now.monotonic;
        let mut due = vec![];
        for open in self.server.asks.values() {
            let Open { ask, .. } = open;
            let mut turns: BTreeMap<u8, Vec<ChatId>> = BTreeMap::new();
            for (chat, turn) in self.chats_for(ask.node.as_ref()) {
                turns.entry(turn).or_default().push(chat);
            }
            let mut nobody_hears = true;
            for (turn, chats) in turns {
                let comes_after = self.settings.escalate_after * u32::from(turn.saturating_sub(1));
                if !nobody_hears && open.waited(now) < comes_after {
                    break;
                }
                nobody_hears &= chats.iter().all(|chat| self.board.is_closed(*chat));
                due.extend(chats.into_iter().map(|chat| (ask.clone(), chat)));
            }
        }
        let open = self.prompts.0.values().filter(|prompt| prompt.standing == Standing::Open);
        let asked: BTreeSet<(ChatId, &[u8])> = open.map(|prompt| (prompt.chat, prompt.ask.id.as_slice())).collect();
        due.retain(|(ask, chat)| !asked.contains(&(*chat, ask.id.as_slice())));
        for (ask, chat) in due {
            self.prompt(&ask, chat);
        }
    }

    pub(super) fn prompts_wake_at(&self) -> Option<Duration> {
        let unreachable =
            (self.server.is_away() && !self.server.is_shown_away).then(|| self.server.away_since + UNREACHABLE_AFTER);
        if self.server.here_since.is_none() {
            return unreachable;
        }
        let reminders = self.prompts.0.values().filter_map(|prompt| match prompt.reminder {
            Reminder::Due(at) if prompt.standing == Standing::Open => Some(at),
            _ => None,
        });
        let turns = self.server.asks.values().flat_map(|open| {
            let last = self.settings.chats.iter().map(|chat| chat.turn).max().unwrap_or(1);
            let escalate_after = self.settings.escalate_after;
            let comes_after =
                move |turn| open.since + (escalate_after * (u32::from(turn) - 1)).saturating_sub(open.before);
            (2..=last.max(1)).map(comes_after).filter(|at| *at > self.now.monotonic)
        });
        reminders.chain(turns).chain(self.lists_wake_at()).min()
    }
}
