//! A press, from the button to the vote and back. docs/spec/telegram.md, "Buttons", says which one counts.

use std::collections::BTreeMap;
use std::time::Duration;

use nightlatch_approval_api::v1;
use tonic::{Code, Status};

use super::prompts::Standing;
use super::shared::AllVote;
use super::{Reply, Request, Session, Ticket};
use crate::message::{ChatId, ChatKind, MessageId, PressId, UserId};
use crate::press::{Choice, ListPress, Nonce, Press};
use crate::render::{self, Answer};

/// How long whoever pressed waits for the server's word before they are told that it was sent.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How long an answer of the server may take at most: longer than it is waited for where the request is made.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(15);
/// Votes under way at once.
const MAX_VOTES: usize = 64;
/// How long "Approve 30 min" and "Block 24 h" ask for, in seconds.
const LONGER: u32 = 30 * 60;
const BLOCK: u32 = 24 * 60 * 60;

/// The presses that became votes which the server did not answer yet.
#[derive(Debug, Default)]
pub(super) struct Presses {
    votes: BTreeMap<Ticket, Vote>,
    /// Those for all of a list.
    pub(super) all: BTreeMap<Ticket, AllVote>,
}

#[derive(Debug)]
struct Vote {
    nonce: Nonce,
    /// What the buttons carried that were pressed.
    buttons: Nonce,
    ask: Vec<u8>,
    from: UserId,
    choice: Choice,
    /// Whether the server was asked. One person's votes on one ask are given one after the other.
    is_sent: bool,
    /// Taken once they were told something.
    press: Option<PressId>,
    since: Duration,
}

impl Presses {
    /// Whether the server is being asked about another vote of this person on one of these asks.
    pub(super) fn is_under_way(&self, asks: &[Vec<u8>], from: Option<i64>, now: Duration) -> bool {
        let is_late = |since: Duration| now.saturating_sub(since) >= GIVEN_UP_AFTER;
        let is_it =
            |vote: &Vote| vote.is_sent && Some(vote.from.0) == from && !is_late(vote.since) && asks.contains(&vote.ask);
        let has_it = |vote: &AllVote| {
            vote.is_sent
                && Some(vote.from.0) == from
                && !is_late(vote.since)
                && vote.asked.iter().any(|asked| asks.contains(&asked.ask))
        };
        self.votes.values().any(is_it) || self.all.values().any(has_it)
    }

    /// Whether no more votes are taken for now.
    pub(super) fn is_full(&self) -> bool {
        self.votes.len() + self.all.len() >= MAX_VOTES
    }
}

/// Why a vote cannot be given.
#[derive(Debug)]
pub(super) enum Obstacle {
    Over(Standing),
    /// The ask got worse since the person saw it.
    Changed,
    ServerAway,
}

/// Why a press does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Void {
    /// It is not on a button of ours, or on one that was forgotten.
    Unknown,
    /// It is not on the message that carries this ask now.
    ElsewhereThanItsPrompt(Nonce),
    /// What it is on got worse since that button was shown.
    Changed,
    /// This chat is none of the configuration, or this person none of its people.
    Stranger,
}

impl Void {
    const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "no button of a prompt",
            Self::ElsewhereThanItsPrompt(_) => "not on the message that shows the prompt",
            Self::Changed => "the prompt got worse since that button was shown",
            Self::Stranger => "not listed here",
        }
    }
}

impl Session {
    pub(super) fn press(
        &mut self,
        id: PressId,
        from: UserId,
        on: Option<(ChatId, ChatKind, MessageId)>,
        data: Option<&str>,
    ) {
        if let Some(press) = data.and_then(ListPress::parse) {
            return self.press_list(id, from, on, press);
        }
        match self.counts(from, on, data) {
            Ok((nonce, choice)) => self.vote(id, from, nonce, choice),
            Err(void) => self.is_void(id, from, on, void),
        }
    }

    /// Whoever pressed is told that it does not count.
    pub(super) fn is_void(&mut self, id: PressId, from: UserId, on: Option<(ChatId, ChatKind, MessageId)>, void: Void) {
        match void {
            // Whoever presses without end takes no answer away from others, and does not fill the journal.
            Void::Stranger if !self.is_stranger_answered() => {}
            void => {
                let chat = on.map(|(chat, ..)| chat.0);
                tracing::warn!(user = from.0, chat, reason = void.name(), "press refused");
                let answer = match void {
                    Void::Unknown | Void::ElsewhereThanItsPrompt(_) => Answer::OldMessage,
                    Void::Changed => Answer::Changed,
                    Void::Stranger => Answer::NotListed,
                };
                self.say(id, &answer);
                if let (Void::ElsewhereThanItsPrompt(nonce), Some((chat, _, message))) = (void, on) {
                    self.strip_copy(nonce, chat, message);
                }
            }
        }
    }

    /// The conditions of the specification, but for whether the ask is open. Who presses is checked first: a stranger
    /// learns nothing about prompts, and teaches nothing.
    fn counts(
        &mut self,
        from: UserId,
        on: Option<(ChatId, ChatKind, MessageId)>,
        data: Option<&str>,
    ) -> Result<(Nonce, Choice), Void> {
        let (chat, kind, message) = on.ok_or(Void::Stranger)?;
        if !self.is_listed(from, chat, kind) {
            return Err(Void::Stranger);
        }
        let press = data.and_then(Press::parse).ok_or(Void::Unknown)?;
        let name = self.prompts.of_button(&press.nonce).ok_or(Void::Unknown)?;
        let prompt = self.prompts.get(&name).ok_or(Void::Unknown)?;
        self.is_unkept |= self.board.found(prompt.posting, chat, message);
        if self.board.place(prompt.posting) != Some((chat, message)) {
            return Err(Void::ElsewhereThanItsPrompt(name));
        }
        if prompt.buttons != press.nonce {
            return Err(Void::Changed);
        }
        Ok((name, press.choice))
    }

    fn vote(&mut self, id: PressId, from: UserId, nonce: Nonce, choice: Choice) {
        let Some(prompt) = self.prompts.get(&nonce) else { return };
        let buttons = prompt.buttons;
        if let Some(obstacle) = self.obstacle(&nonce, &buttons) {
            return self.say_obstacle(id, choice, &obstacle);
        }
        // Too many at once is answered as what it is for whoever pressed: nothing was changed.
        if self.presses.is_full() {
            return self.say(id, &Answer::ServerAway);
        }
        let (verdict, for_seconds) = match choice {
            Choice::Approve => (v1::Verdict::Approve, None),
            Choice::ApproveLonger => (v1::Verdict::Approve, Some(LONGER)),
            Choice::Deny => (v1::Verdict::Deny, None),
            Choice::Block => (v1::Verdict::Block, Some(BLOCK)),
        };
        tracing::info!(user = from.0, chat = prompt.chat.0, code = %prompt.ask.code, ?choice, "pressed");
        let request = v1::VoteRequest {
            ask_id: prompt.ask.id.clone(),
            verdict: verdict.into(),
            telegram_id: Some(from.0),
            for_seconds,
        };
        let ask = request.ask_id.clone();
        let ticket = self.request(Request::Vote(request));
        let since = self.now.monotonic;
        let vote = Vote { nonce, buttons, ask, from, choice, is_sent: false, press: Some(id), since };
        self.presses.votes.insert(ticket, vote);
    }

    /// What keeps a vote that was pressed with these buttons from being given now.
    pub(super) fn obstacle(&self, nonce: &Nonce, buttons: &Nonce) -> Option<Obstacle> {
        match self.prompts.get(nonce) {
            None => Some(Obstacle::Over(Standing::Forgotten)),
            Some(prompt) if prompt.standing != Standing::Open => Some(Obstacle::Over(prompt.standing.clone())),
            Some(prompt) if prompt.buttons != *buttons => Some(Obstacle::Changed),
            Some(_) => self.server.here_since.is_none().then_some(Obstacle::ServerAway),
        }
    }

    fn say_obstacle(&mut self, press: PressId, choice: Choice, obstacle: &Obstacle) {
        match obstacle {
            Obstacle::Over(Standing::Closed(closed)) => self.say(press, &Answer::Closed(choice, closed)),
            Obstacle::Over(Standing::AskedAgain) => self.say(press, &Answer::OldMessage),
            Obstacle::Over(Standing::Forgotten | Standing::Open) => self.say(press, &Answer::Unknown),
            Obstacle::Changed => self.say(press, &Answer::Changed),
            Obstacle::ServerAway => self.say(press, &Answer::ServerAway),
        }
    }

    /// The request that is due. Who pressed one button after the other meant the second: it waits for the first.
    pub(super) fn next_request(&mut self) -> Option<(Ticket, Request)> {
        let has_to_wait = |request: &Request| match request {
            Request::Vote(vote) => {
                self.presses.is_under_way(std::slice::from_ref(&vote.ask_id), vote.telegram_id, self.now.monotonic)
            }
            Request::VoteAll(vote) => self.presses.is_under_way(&vote.ask_ids, vote.telegram_id, self.now.monotonic),
            Request::Block(_)
            | Request::Unblock(_)
            | Request::Grant(_)
            | Request::Revoke(_)
            | Request::Lock(_)
            | Request::Look => false,
        };
        let at = self.requests.iter().position(|(_, request)| !has_to_wait(request))?;
        let (ticket, mut request) = self.requests.remove(at)?;
        if self.still_counts(ticket, &mut request) { Some((ticket, request)) } else { self.next_request() }
    }

    /// Marks a request as given, unless it is a vote that waited and does not count any more: that is dropped, and said.
    fn still_counts(&mut self, ticket: Ticket, request: &mut Request) -> bool {
        if let Request::VoteAll(all) = request {
            return self.all_still_count(ticket, all);
        }
        let Some(vote) = self.presses.votes.get_mut(&ticket) else { return true };
        vote.is_sent = true;
        let (nonce, buttons, choice) = (vote.nonce, vote.buttons, vote.choice);
        let Some(obstacle) = self.obstacle(&nonce, &buttons) else { return true };
        if let Some(press) = self.presses.votes.remove(&ticket).and_then(|vote| vote.press) {
            self.say_obstacle(press, choice, &obstacle);
        }
        false
    }

    pub(super) fn answered(&mut self, ticket: Ticket, reply: Result<Reply, Status>) {
        if let Some(vote) = self.presses.all.remove(&ticket) {
            return self.all_answered(vote, reply);
        }
        let Some(vote) = self.presses.votes.remove(&ticket) else { return self.commanded(ticket, reply) };
        if let Err(status) = &reply {
            tracing::warn!(user = vote.from.0, code = ?status.code(), error = %status.message(), "vote refused");
        }
        let asked = self.prompts.get(&vote.nonce).map(|prompt| prompt.ask.clone()).unwrap_or_default();
        let answer = match &reply {
            Ok(Reply::Vote(response)) => {
                self.voted(&vote.nonce, vote.from, vote.choice, response);
                Answer::Voted(vote.choice, &asked, response)
            }
            Ok(_) => Answer::Unknown,
            Err(status) => refused(status),
        };
        if let Some(press) = vote.press {
            self.say(press, &answer);
        }
    }

    /// The answer has the ask as it is now: the prompt shows that without waiting for the event.
    pub(super) fn voted(&mut self, nonce: &Nonce, from: UserId, choice: Choice, response: &v1::VoteResponse) {
        if let Some(ask) = &response.ask
            && let Some(open) = self.server.asks.get_mut(&ask.id).filter(|open| !is_older(ask, &open.ask))
        {
            open.ask = ask.clone();
            self.ask_changed(ask);
        }
        if let Some(closed) = &response.closed {
            self.server.asks.remove(closed.ask.as_ref().map(|ask| ask.id.as_slice()).unwrap_or_default());
            self.ask_closed(closed);
        }
        let result = response.result();
        if let Some(prompt) = self.prompts.get_mut(nonce) {
            let is_yes = matches!(choice, Choice::Approve | Choice::ApproveLonger);
            if is_yes && matches!(result, v1::VoteResult::Counted | v1::VoteResult::Repeated) {
                prompt.approved.insert(from);
            }
            if result == v1::VoteResult::Unknown {
                let id = prompt.ask.id.clone();
                self.server.asks.remove(&id);
                for nonce in self.prompts.find(|prompt| prompt.ask.id == id && prompt.standing == Standing::Open) {
                    self.stands(nonce, Standing::Forgotten);
                }
            }
        }
    }

    pub(super) fn say(&mut self, press: PressId, answer: &Answer<'_>) {
        let render::Answered { text, alert } = render::answer(answer, self.now.unix_ms, &self.settings.zone);
        self.answer(press, text, alert);
    }

    /// Whoever pressed does not wait for ever, and a vote that could not be given in that time is not given later.
    pub(super) fn presses_are_due(&mut self) {
        let now = self.now.monotonic;
        let is_late = |vote: &Vote| vote.press.is_some() && now.saturating_sub(vote.since) >= PATIENCE;
        let votes = self.presses.votes.iter();
        let late: Vec<Ticket> = votes.filter(|(_, vote)| is_late(vote)).map(|(ticket, _)| *ticket).collect();
        for ticket in late {
            let Some(vote) = self.presses.votes.get_mut(&ticket) else { continue };
            let (press, is_sent) = (vote.press.take(), vote.is_sent);
            if !is_sent {
                self.presses.votes.remove(&ticket);
                self.requests.retain(|(waiting, _)| *waiting != ticket);
            }
            if let Some(press) = press {
                self.say(press, &if is_sent { Answer::NoAnswer } else { Answer::ServerAway });
            }
        }
        self.all_are_due();
    }

    pub(super) fn presses_wake_at(&self) -> Option<Duration> {
        let votes = self.presses.votes.values().filter(|vote| vote.press.is_some()).map(|vote| vote.since + PATIENCE);
        votes.chain(self.all_wake_at()).min()
    }
}

/// Whether an event said more before this answer came: they take different ways.
fn is_older(answer: &v1::Ask, known: &v1::Ask) -> bool {
    answer.attempts < known.attempts
        || answer.voted.len() < known.voted.len()
        || known.warnings.iter().any(|warning| !answer.warnings.contains(warning))
}

/// What the server's refusal means for the person who pressed.
pub(super) fn refused(status: &Status) -> Answer<'_> {
    match status.code() {
        Code::PermissionDenied => Answer::NoApprover,
        // Not a word of the server's: it was not reached, or did not answer in time.
        Code::Unavailable | Code::Unknown | Code::Cancelled if std::error::Error::source(status).is_some() => {
            Answer::ServerAway
        }
        Code::DeadlineExceeded => Answer::NoAnswer,
        Code::Unimplemented => Answer::OlderServer,
        _ => Answer::Refused(status.message()),
    }
}
