//! What a press is answered: one short plain text, which Telegram shows over the chat.

use nightlatch_approval_api::v1;

use super::facts::{by, is_enrolment, is_seal, missing, node_of};
use super::page::shorten;
use super::{Foreign, When};
use crate::press::{Choice, ListChoice};
use crate::texts::{answer as texts, prompt, shared};
use crate::zone::Zone;

/// Longest text of an answer, in UTF-16 code units: the Bot API's answerCallbackQuery.
const MAX_LEN: usize = 200;

/// What there is to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer<'a> {
    /// The server's word on a vote for this.
    Voted(Choice, &'a v1::Ask, &'a v1::VoteResponse),
    /// The server's word on a vote for all of a list.
    All(ListChoice, Tally),
    /// None of the list is open any more, or all that is has changed.
    NothingLeft,
    /// What was open in the list is asked one by one.
    OneByOne,
    /// The ask was closed before, as is known without asking the server.
    Closed(Choice, &'a v1::Closed),
    /// It is not open, and nobody knows why.
    Unknown,
    /// Who pressed is not one of the chat's people.
    NotListed,
    /// The server knows no approver by the number of who pressed.
    NoApprover,
    /// The message does not, or no longer, show an open prompt; or it is a copy of one.
    OldMessage,
    /// The button is one of before the ask got worse.
    Changed,
    /// The server is away: the vote was not sent.
    ServerAway,
    /// The vote was sent, and nothing came back in time.
    NoAnswer,
    /// The server has no such call: it is of an older version.
    OlderServer,
    /// The server refused, and says so.
    Refused(&'a str),
}

/// What became of a vote for all: of how many asks which is true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Decided by it.
    pub decided: usize,
    /// The vote counts, and it takes more of them.
    pub counted: usize,
    /// Closed before, or not known any more.
    pub too_late: usize,
    /// Not asked about: it changed since that list was shown, or is asked by itself.
    pub left_out: usize,
    /// Not for this person to answer.
    pub not_theirs: usize,
}

impl Tally {
    const fn is_all(&self) -> bool {
        self.too_late + self.left_out + self.not_theirs == 0
    }
}

/// The answer to a press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Plain text of at most 200 characters.
    pub text: String,
    /// Whether it stays until it is put away: where somebody might believe that it counted.
    pub alert: bool,
}

/// The words for an answer.
#[must_use]
pub fn answer(answer: &Answer<'_>, now_ms: i64, zone: &Zone) -> Answered {
    let when = When { zone, now_ms };
    let (text, alert) = match *answer {
        Answer::Voted(choice, ask, response) => voted(choice, ask, response, when),
        Answer::All(choice, tally) => (shared::answered(choice == ListChoice::DenyAll, &tally), !tally.is_all()),
        Answer::NothingLeft => (shared::NOTHING_LEFT.to_owned(), true),
        Answer::OneByOne => (shared::ONE_BY_ONE_BELOW.to_owned(), false),
        Answer::Closed(choice, closed) => (too_late(choice, closed, when), true),
        Answer::Unknown => (texts::UNKNOWN.to_owned(), true),
        Answer::NotListed => (texts::NOT_LISTED.to_owned(), true),
        Answer::NoApprover => (texts::NO_APPROVER.to_owned(), true),
        Answer::OldMessage => (texts::OLD_MESSAGE.to_owned(), true),
        Answer::Changed => (texts::CHANGED.to_owned(), true),
        Answer::ServerAway => (texts::SERVER_AWAY.to_owned(), true),
        Answer::NoAnswer => (texts::NO_ANSWER.to_owned(), true),
        Answer::OlderServer => (texts::OLDER_SERVER.to_owned(), true),
        Answer::Refused(reason) => (texts::refused(&Foreign::full(reason)), true),
    };
    Answered { text: shorten(&text, MAX_LEN), alert }
}

fn voted(choice: Choice, ask: &v1::Ask, response: &v1::VoteResponse, when: When<'_>) -> (String, bool) {
    let now = response.ask.as_ref().unwrap_or(ask);
    let missing = || {
        let (people, channels) = missing(now);
        prompt::missing(people, channels)
    };
    match response.result() {
        v1::VoteResult::Decided => (
            response.closed.as_ref().map_or_else(|| texts::CLOSED_NOW.to_owned(), |closed| decided(closed, ask, when)),
            false,
        ),
        v1::VoteResult::Counted => (texts::counted(&missing()), false),
        v1::VoteResult::Repeated => (texts::repeated(&missing()), false),
        v1::VoteResult::Closed => {
            let closed = response.closed.as_ref();
            (closed.map_or_else(|| texts::UNKNOWN.to_owned(), |closed| too_late(choice, closed, when)), true)
        }
        v1::VoteResult::Unknown => (texts::UNKNOWN.to_owned(), true),
        v1::VoteResult::NotAnApprover => (texts::not_an_approver(&node_of(now.node.as_ref())), true),
        v1::VoteResult::Unspecified => (texts::NEWER_SERVER.to_owned(), true),
    }
}

fn decided(closed: &v1::Closed, ask: &v1::Ask, when: When<'_>) -> String {
    let node = node_of(ask.node.as_ref());
    let until = when.end(closed.at_ms, closed.for_seconds);
    match closed.outcome() {
        v1::Outcome::Approved if is_enrolment(ask) => crate::texts::enrolment::added_now(&node),
        v1::Outcome::Approved => texts::approved(is_seal(ask.operation), &node, &until),
        v1::Outcome::Denied => texts::denied(&node, &until),
        v1::Outcome::Blocked => texts::blocked(&node, &until),
        v1::Outcome::Locked => texts::LOCKED_NOW.to_owned(),
        v1::Outcome::Expired | v1::Outcome::Unspecified => texts::CLOSED_NOW.to_owned(),
    }
}

/// How it was closed. Who said no to what was approved before is told how to stop it.
fn too_late(choice: Choice, closed: &v1::Closed, when: When<'_>) -> String {
    let said = texts::too_late(&how(closed, when));
    let no = matches!(choice, Choice::Deny | Choice::Block);
    if !no || closed.outcome() != v1::Outcome::Approved {
        return said;
    }
    let node = closed.ask.as_ref().and_then(|ask| ask.node.as_ref());
    format!("{said} {}", texts::stop_it(&node_of(node)))
}

pub(super) fn how(closed: &v1::Closed, when: When<'_>) -> String {
    let at = when.at(closed.at_ms);
    match closed.outcome() {
        v1::Outcome::Approved => texts::how(texts::APPROVED, &by(&closed.by), &at),
        v1::Outcome::Denied => texts::how(texts::DENIED, &by(&closed.by), &at),
        v1::Outcome::Blocked => texts::how(texts::BLOCKED, &by(&closed.by), &at),
        v1::Outcome::Expired => texts::how_expired(&at),
        v1::Outcome::Locked => texts::how_locked(&by(&closed.by), &at),
        v1::Outcome::Unspecified => texts::how_unknown(&at),
    }
}
