//! A press, from the button to the vote and back. docs/spec/telegram.md, "Buttons", says which one counts.

use std::collections::BTreeMap;
use std::time::Duration;

use nightlatch_approval_api::v1;
use tonic::{Code, Status};

use super::prompts::Standing;
use super::{Reply, Request, Session, Ticket};
use crate::message::{ChatId, ChatKind, MessageId, PressId, UserId};
use crate::press::{Choice, Nonce, Press};
use crate::render::{self, Answer};

/// How long whoever pressed waits for the server's word before they are told that it was sent.
const PATIENCE: Duration = Duration::from_secs(3);
/// Votes under way at once.
const MAX_VOTES: usize = 64;
/// How long "Approve 30 min" and "Block 24 h" ask for, in seconds.
const LONGER: u32 = 30 * 60;
const BLOCK: u32 = 24 * 60 * 60;

/// The presses that became votes which the server did not answer yet.
#[derive(Debug, Default)]
pub(super) struct Presses {
    votes: BTreeMap<Ticket, Vote>,
}

#[derive(Debug)]
struct Vote {
    nonce: Nonce,
    from: UserId,
    choice: Choice,
    /// Taken once they were told something.
    press: Option<PressId>,
    since: Duration,
}

/// Why a press does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Void {
    /// It is not on a button of ours, or on one that was forgotten.
    Unknown,
    /// It is not on the message that carries this ask now.
    ElsewhereThanItsPrompt,
    /// This chat is none of the configuration, or this person none of its people.
    Stranger,
}

impl Session {
    pub(super) fn press(
        &mut self,
        id: PressId,
        from: UserId,
        on: Option<(ChatId, ChatKind, MessageId)>,
        data: Option<&str>,
    ) {
        match self.counts(from, on, data) {
            Ok(press) => self.vote(id, from, press),
            Err(void) => {
                let chat = on.map(|(chat, ..)| chat.0);
                tracing::warn!(user = from.0, chat, reason = ?void, "press refused");
                let answer = match void {
                    Void::Unknown | Void::ElsewhereThanItsPrompt => Answer::OldMessage,
                    Void::Stranger => Answer::NotListed,
                };
                self.say(id, &answer);
            }
        }
    }

    /// The four conditions of the specification, but for whether the ask is open. Who presses is checked first: a stranger
    /// learns nothing about prompts.
    fn counts(
        &self,
        from: UserId,
        on: Option<(ChatId, ChatKind, MessageId)>,
        data: Option<&str>,
    ) -> Result<Press, Void> {
        let (chat, kind, message) = on.ok_or(Void::Stranger)?;
        let listed = self.chat(chat).filter(|listed| listed.people.contains(&from)).ok_or(Void::Stranger)?;
        let is_right_kind = match kind {
            ChatKind::Private => chat.0 == from.0,
            ChatKind::Group => listed.id.0 < 0,
            ChatKind::Other => false,
        };
        if !is_right_kind {
            return Err(Void::Stranger);
        }
        let press = data.and_then(Press::parse).ok_or(Void::Unknown)?;
        let prompt = self.prompts.get(&press.nonce).ok_or(Void::Unknown)?;
        if self.board.place(prompt.posting) != Some((chat, message)) {
            return Err(Void::ElsewhereThanItsPrompt);
        }
        Ok(press)
    }

    fn vote(&mut self, id: PressId, from: UserId, press: Press) {
        let Some(prompt) = self.prompts.get(&press.nonce) else { return };
        let standing = prompt.standing.clone();
        match &standing {
            Standing::Closed(closed) => return self.say(id, &Answer::Closed(press.choice, closed)),
            Standing::AskedAgain => return self.say(id, &Answer::OldMessage),
            Standing::Forgotten => return self.say(id, &Answer::Unknown),
            // Too many at once is answered as what it is for whoever pressed: nothing was changed.
            Standing::Open if self.server.here_since.is_none() || self.presses.votes.len() >= MAX_VOTES => {
                return self.say(id, &Answer::ServerAway);
            }
            Standing::Open => {}
        }
        let (verdict, for_seconds) = match press.choice {
            Choice::Approve => (v1::Verdict::Approve, None),
            Choice::ApproveLonger => (v1::Verdict::Approve, Some(LONGER)),
            Choice::Deny => (v1::Verdict::Deny, None),
            Choice::Block => (v1::Verdict::Block, Some(BLOCK)),
        };
        tracing::info!(user = from.0, chat = prompt.chat.0, code = %prompt.ask.code, choice = ?press.choice, "pressed");
        let request = v1::VoteRequest {
            ask_id: prompt.ask.id.clone(),
            verdict: verdict.into(),
            telegram_id: Some(from.0),
            for_seconds,
        };
        let ticket = self.request(Request::Vote(request));
        let (nonce, choice, since) = (press.nonce, press.choice, self.now.monotonic);
        self.presses.votes.insert(ticket, Vote { nonce, from, choice, press: Some(id), since });
    }

    pub(super) fn answered(&mut self, ticket: Ticket, reply: Result<Reply, Status>) {
        let Some(vote) = self.presses.votes.remove(&ticket) else { return self.commanded(ticket, reply) };
        if let Err(status) = &reply {
            tracing::warn!(user = vote.from.0, code = ?status.code(), error = %status.message(), "vote refused");
        }
        let asked = self.prompts.get(&vote.nonce).map(|prompt| prompt.ask.clone()).unwrap_or_default();
        let answer = match &reply {
            Ok(Reply::Vote(response)) => {
                self.voted(&vote, response);
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
    fn voted(&mut self, vote: &Vote, response: &v1::VoteResponse) {
        if let Some(ask) = &response.ask {
            if let Some(open) = self.server.asks.get_mut(&ask.id) {
                open.ask = ask.clone();
            }
            self.ask_changed(ask);
        }
        if let Some(closed) = &response.closed {
            self.server.asks.remove(closed.ask.as_ref().map(|ask| ask.id.as_slice()).unwrap_or_default());
            self.ask_closed(closed);
        }
        let result = response.result();
        if let Some(prompt) = self.prompts.get_mut(&vote.nonce) {
            let is_yes = matches!(vote.choice, Choice::Approve | Choice::ApproveLonger);
            if is_yes && matches!(result, v1::VoteResult::Counted | v1::VoteResult::Repeated) {
                prompt.approved.insert(vote.from);
            }
            if result == v1::VoteResult::Unknown {
                self.server.asks.remove(&prompt.ask.id);
                self.stands(vote.nonce, Standing::Forgotten);
            }
        }
    }

    fn say(&mut self, press: PressId, answer: &Answer<'_>) {
        let render::Answered { text, alert } = render::answer(answer, self.now.unix_ms, &self.settings.zone);
        self.answer(press, text, alert);
    }

    /// Whoever pressed does not wait for ever.
    pub(super) fn presses_are_due(&mut self) {
        let now = self.now.monotonic;
        let due = |vote: &&mut Vote| now.saturating_sub(vote.since) >= PATIENCE;
        let late: Vec<PressId> =
            self.presses.votes.values_mut().filter(due).filter_map(|vote| vote.press.take()).collect();
        for press in late {
            self.say(press, &Answer::NoAnswer);
        }
    }

    pub(super) fn presses_wake_at(&self) -> Option<Duration> {
        self.presses.votes.values().filter(|vote| vote.press.is_some()).map(|vote| vote.since + PATIENCE).min()
    }
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
        _ => Answer::Refused(status.message()),
    }
}
