//! What is told without being asked: releases that no prompt shows, calls that made no ask, denials and blocks, and that the
//! server is away. One message for each subject, edited while it is fresh.

use std::collections::BTreeMap;
use std::time::Duration;

use nightlatch_approval_api::v1;

use super::Session;
use super::board::{How, PostingId, Rank};
use crate::message::{ChatId, Message};
use crate::render::{self, Releases};

/// How long releases to one node are added to one message.
const BOOT: Duration = Duration::from_secs(10 * 60);
/// How long the same notice is added to one message: the server tells a sum each hour.
const NOTICE: Duration = Duration::from_secs(65 * 60);
/// How long a denial or block waits for the prompt that shows it already.
const SETTLES: Duration = Duration::from_secs(2);
/// How long the server may be away before people are told.
const AWAY: Duration = Duration::from_secs(5 * 60);
/// Most subjects that are remembered.
const MAX_SUBJECTS: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Releases { node: String },
    Notice { kind: i32, node: String },
    Away,
}

#[derive(Debug)]
struct Note {
    posting: PostingId,
    since: Duration,
    releases: Releases,
    count: u64,
}

/// What was told a while ago, and what is about to be.
#[derive(Debug, Default)]
pub(super) struct Notes {
    told: BTreeMap<(ChatId, Subject), Note>,
    refusals: Vec<(Duration, v1::Refusal)>,
    lifted: Vec<(Duration, v1::Lifted)>,
    /// Where a command about this node was given a moment ago: there the answer to it tells enough.
    commands: Vec<(Duration, ChatId, String)>,
    is_told_away: bool,
}

/// Whether both are the same denial or block, however long each lasts.
fn is_same(one: &v1::Refusal, other: &v1::Refusal) -> bool {
    let uuid = |refusal: &v1::Refusal| refusal.node.as_ref().map(|node| node.uuid.clone());
    uuid(one) == uuid(other) && one.address == other.address && one.kind == other.kind
}

/// Takes out what has waited long enough.
fn take_due<T>(waiting: &mut Vec<(Duration, T)>, now: Duration) -> Vec<T> {
    waiting.extract_if(.., |(at, _)| *at <= now).map(|(_, what)| what).collect()
}

impl Session {
    /// A release that no prompt of this chat shows.
    pub(super) fn release_noted(&mut self, release: &v1::Release, chat: ChatId) {
        let uuid = release.node.as_ref().map(|node| node.uuid.clone()).unwrap_or_default();
        let key = (chat, Subject::Releases { node: uuid });
        let fresh = self.fresh(&key, BOOT);
        let mut releases = fresh.map(|note| note.releases.clone()).unwrap_or_default();
        releases.add(release);
        let node = release.node.clone().unwrap_or_default();
        let message = render::allowed(&node, &releases, self.now.unix_ms, &self.settings.zone);
        self.note(key, message, BOOT, true, |note| note.releases = releases);
    }

    /// Calls that made no ask.
    pub(super) fn notice(&mut self, notice: &v1::Notice) {
        for chat in self.first_chats_for(notice.node.as_ref()) {
            let node = notice.node.as_ref().map(|node| node.uuid.clone()).unwrap_or_default();
            let key = (chat, Subject::Notice { kind: notice.kind, node });
            let count = self.fresh(&key, NOTICE).map_or(0, |note| note.count).saturating_add(notice.count);
            let total = v1::Notice { count, ..notice.clone() };
            let message = render::notice(&total, self.now.unix_ms, &self.settings.zone);
            let silent = self.is_quiet();
            self.note(key, message, NOTICE, silent, |note| note.count = count);
        }
    }

    fn fresh(&self, key: &(ChatId, Subject), fresh_for: Duration) -> Option<&Note> {
        self.notes.told.get(key).filter(|note| self.now.monotonic.saturating_sub(note.since) < fresh_for)
    }

    /// Tells by the message of a moment ago, or by a new one.
    fn note(
        &mut self,
        key: (ChatId, Subject),
        message: Message,
        fresh_for: Duration,
        silent: bool,
        change: impl FnOnce(&mut Note),
    ) {
        let now = self.now.monotonic;
        if self.fresh(&key, fresh_for).is_none() {
            if let Some(old) = self.notes.told.remove(&key) {
                self.board.leave(old.posting);
            }
            while self.notes.told.len() >= MAX_SUBJECTS {
                let oldest = self.notes.told.iter().min_by_key(|(_, note)| note.since).map(|(key, _)| key.clone());
                if let Some(old) = oldest.and_then(|key| self.notes.told.remove(&key)) {
                    self.board.leave(old.posting);
                }
            }
            let how = How { rank: Rank::Notice, silent, reply_to: None };
            let posting = self.board.post(now, key.0, message.clone(), how);
            self.notes.told.insert(key.clone(), Note { posting, since: now, releases: Releases::default(), count: 0 });
        }
        if let Some(note) = self.notes.told.get_mut(&key) {
            change(note);
            self.board.change(note.posting, message, Rank::Notice);
        }
    }

    /// A denial or block came into force. The prompt it was answered on may be about to say so.
    pub(super) fn refused(&mut self, refusal: v1::Refusal) {
        self.server.refusals.retain(|held| !is_same(held, &refusal));
        if self.server.refusals.len() < MAX_SUBJECTS * 16 {
            self.server.refusals.push(refusal.clone());
        }
        if self.notes.refusals.len() < MAX_SUBJECTS {
            self.notes.refusals.push((self.now.monotonic + SETTLES, refusal));
        }
    }

    /// An ask was closed by a denial or block: everybody who was asked sees it there.
    pub(super) fn is_decided(&mut self, closed: &v1::Closed) {
        if !matches!(closed.outcome(), v1::Outcome::Denied | v1::Outcome::Blocked) {
            return;
        }
        let uuid = closed.ask.as_ref().and_then(|ask| ask.node.as_ref()).map(|node| &node.uuid);
        self.notes.refusals.retain(|(_, refusal)| refusal.node.as_ref().map(|node| &node.uuid) != uuid);
    }

    pub(super) fn lifted(&mut self, lifted: v1::Lifted) {
        if let Some(ended) = &lifted.refusal {
            self.server.refusals.retain(|held| !is_same(held, ended));
        }
        if self.notes.lifted.len() < MAX_SUBJECTS {
            self.notes.lifted.push((self.now.monotonic + SETTLES, lifted));
        }
    }

    /// Here somebody gave a command about this node, and is answered.
    pub(super) fn is_commanded(&mut self, chat: ChatId, node: &v1::Node) {
        let now = self.now.monotonic;
        self.notes.commands.retain(|(until, ..)| *until > now);
        if self.notes.commands.len() < MAX_SUBJECTS {
            self.notes.commands.push((now + SETTLES * 5, chat, node.uuid.clone()));
        }
    }

    pub(super) fn notes_are_due(&mut self) {
        let now = self.now.monotonic;
        for refusal in take_due(&mut self.notes.refusals, now) {
            let message = render::refused(&refusal, self.now.unix_ms, &self.settings.zone);
            self.tell_all(refusal.node.as_ref(), &message);
        }
        for lifted in take_due(&mut self.notes.lifted, now) {
            let node = lifted.refusal.as_ref().and_then(|refusal| refusal.node.clone());
            self.tell_all(node.as_ref(), &render::lifted(&lifted));
        }
        self.server_is_away();
    }

    pub(super) fn tell_all(&mut self, node: Option<&v1::Node>, message: &Message) {
        let now = self.now.monotonic;
        for (chat, _) in self.chats_for(node) {
            let is_answered = |(until, there, uuid): &(Duration, ChatId, String)| {
                *until > now && *there == chat && node.is_some_and(|node| node.uuid == *uuid)
            };
            if !self.notes.commands.iter().any(is_answered) {
                let how = How { rank: Rank::Notice, silent: self.is_quiet(), reply_to: None };
                self.board.tell(now, chat, message.clone(), how);
            }
        }
    }

    fn server_is_away(&mut self) {
        let now = self.now.monotonic;
        let away = now.saturating_sub(self.server.away_since);
        if !self.server.is_away() || self.notes.is_told_away || away < AWAY {
            return;
        }
        self.notes.is_told_away = true;
        let since_ms = self.wall(self.server.away_since);
        let message = render::server_away(since_ms, self.now.unix_ms, &self.settings.zone);
        let silent = self.is_quiet();
        for chat in self.first_chats_for(None) {
            self.note((chat, Subject::Away), message.clone(), Duration::ZERO, silent, |_| {});
        }
    }

    pub(super) fn server_is_back(&mut self) {
        if !std::mem::take(&mut self.notes.is_told_away) {
            return;
        }
        let outage = render::Outage { from_ms: self.wall(self.server.away_since), until_ms: self.now.unix_ms };
        let message = render::server_back(outage, self.now.unix_ms, &self.settings.zone);
        let is_about_that = |(_, subject): &(ChatId, Subject)| *subject == Subject::Away;
        let keys: Vec<_> = self.notes.told.keys().filter(|key| is_about_that(key)).cloned().collect();
        for key in keys {
            if let Some(note) = self.notes.told.remove(&key) {
                self.board.change(note.posting, message.clone(), Rank::Reply);
                self.board.leave(note.posting);
            }
        }
    }

    pub(super) fn notes_wake_at(&self) -> Option<Duration> {
        let settling = self.notes.refusals.iter().map(|(at, _)| *at).chain(self.notes.lifted.iter().map(|(at, _)| *at));
        let away = (self.server.is_away() && !self.notes.is_told_away).then(|| self.server.away_since + AWAY);
        settling.chain(away).min()
    }
}
