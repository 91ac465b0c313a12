//! What is told without a question. Nothing here has buttons.

use nightlatch_approval_api::v1;

use super::facts::{address, by, is_block, node_of, refused_from};
use super::page::Page;
use super::{Foreign, Releases, When, releases};
use crate::message::{ChatId, Message};
use crate::texts::{self, prompt, told};
use crate::zone::{Zone, between};

/// A time in which something was away, in milliseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When it was missed first.
    pub from_ms: i64,
    /// When it was back.
    pub until_ms: i64,
}

/// The reply to a prompt that nobody answered; `waits` is false once it was answered, or is over.
#[must_use]
pub fn reminder(ask: &v1::Ask, waits: bool) -> Message {
    let (node, code) = (node_of(ask.node.as_ref()), Foreign::name(&ask.code));
    if !waits {
        return Page::new(&prompt::reminder_over(&node, &code)).finish(vec![]);
    }
    let from = address(&ask.address);
    let mut page = Page::new(&prompt::reminder(&node, &from, &code));
    for alarm in super::alarms(ask) {
        page.line(&alarm.meaning(&node, &from));
    }
    page.line(prompt::ANSWER_ABOVE);
    page.finish(vec![])
}

/// Calls that made no ask.
#[must_use]
pub fn notice(notice: &v1::Notice, now_ms: i64, zone: &Zone) -> Message {
    let (calls, from) = (told::calls(notice.count), address(&notice.address));
    let node = node_of(notice.node.as_ref());
    let (headline, means) = match notice.kind() {
        v1::NoticeKind::OtherAddress => (told::other_address(&calls, &node, &from), told::OTHER_ADDRESS_MEANS),
        v1::NoticeKind::Strangers if notice.node.is_some() => {
            (told::too_often(&calls, &node, &from), told::TOO_OFTEN_MEANS)
        }
        v1::NoticeKind::Strangers => (told::strangers(&calls, &from), told::STRANGERS_MEANS),
        v1::NoticeKind::TooManyAsks => (told::too_many_asks(&calls, &from), told::TOO_MANY_ASKS_MEANS),
        v1::NoticeKind::TooManyEnrolments => {
            (told::too_many_enrolments(&calls, &from), told::TOO_MANY_ENROLMENTS_MEANS)
        }
        v1::NoticeKind::Locked => (told::locked(&calls, &from), told::LOCKED_MEANS),
        v1::NoticeKind::Unspecified => (told::unknown_notice(&calls, &from), told::UNKNOWN_NOTICE_MEANS),
    };
    let mut page = Page::new(&headline);
    page.line(means);
    let at = zone.at(notice.at_ms, now_ms);
    page.line(&if notice.count > 1 { told::one_address(&at) } else { at });
    page.finish(vec![])
}

/// What a node got although no prompt of the chat shows it, in one message for each node: under the rule "allow", or under
/// an approval that was given elsewhere.
#[must_use]
pub fn allowed(node: &v1::Node, releases: &Releases, now_ms: i64, zone: &Zone) -> Message {
    let mut page = Page::new(&told::released(&node_of(Some(node)), releases.approved || releases.ahead_left.is_some()));
    releases::lines(releases, false, When { zone, now_ms }, &mut page);
    page.maybe(releases.ahead_left.map(texts::beyond::ahead_left));
    page.maybe(releases.approved.then(|| told::APPROVED_ELSEWHERE.to_owned()));
    page.maybe(releases.allowed.then(|| told::ALLOWED_MEANS.to_owned()));
    page.finish(vec![])
}

/// A denial or block came into force.
#[must_use]
pub fn refused(refusal: &v1::Refusal, now_ms: i64, zone: &Zone) -> Message {
    let node = node_of(refusal.node.as_ref());
    let from = refused_from(Some(refusal));
    let mut page = Page::new(&told::refused(is_block(refusal), &node, &from, &by(&refusal.by)));
    page.line(&told::gets_nothing(&zone.at(refusal.until_ms, now_ms)));
    page.line(&texts::closed::take_back(&node));
    page.finish(vec![])
}

/// A person ended a denial or block.
#[must_use]
pub fn lifted(lifted: &v1::Lifted) -> Message {
    let refusal = lifted.refusal.as_ref();
    let node = node_of(refusal.and_then(|refusal| refusal.node.as_ref()));
    let mut page = Page::new(&told::lifted(&node, &refused_from(refusal)));
    page.line(&told::lifted_means(&by(&lifted.by)));
    page.finish(vec![])
}

/// The server is away since then.
#[must_use]
pub fn server_away(since_ms: i64, now_ms: i64, zone: &Zone) -> Message {
    two_lines(&told::server_away(&zone.at(since_ms, now_ms)), told::SERVER_AWAY_MEANS)
}

/// The server sleeps since then.
#[must_use]
pub fn server_asleep(since_ms: i64, now_ms: i64, zone: &Zone) -> Message {
    two_lines(&told::server_asleep(&zone.at(since_ms, now_ms)), told::SERVER_ASLEEP_MEANS)
}

/// The server is back: what [`server_away`] becomes.
#[must_use]
pub fn server_back(outage: Outage, now_ms: i64, zone: &Zone) -> Message {
    let after = between(outage.from_ms, outage.until_ms);
    two_lines(&told::server_back(&zone.at(outage.until_ms, now_ms), &after), told::SERVER_BACK_MEANS)
}

/// Telegram could not be reached for a while: said afterwards, since it could not be said before.
#[must_use]
pub fn telegram_back(outage: Outage, now_ms: i64, zone: &Zone) -> Message {
    let (from, until) = (zone.at(outage.from_ms, now_ms), zone.at(outage.until_ms, now_ms));
    two_lines(&told::telegram_back(&from, &until), told::TELEGRAM_BACK_MEANS)
}

/// One chat cannot be written to: for the others, since those who are in it cannot be told.
#[must_use]
pub fn chat_closed(chat: ChatId) -> Message {
    two_lines(&told::chat_closed(chat.0), told::CHAT_CLOSED_MEANS)
}

/// What `nightlatch-bot check` sends when it is asked to.
#[must_use]
pub fn test() -> Message {
    two_lines(told::TEST, told::TEST_MEANS)
}

/// Telegram says for longer than a moment that another program reads this bot's updates.
#[must_use]
pub fn second_reader(since_ms: i64, now_ms: i64, zone: &Zone) -> Message {
    let mut page = Page::new(&told::second_reader(&zone.at(since_ms, now_ms)));
    page.line(told::SECOND_READER_MEANS);
    page.strong(told::SECOND_READER_DO);
    page.finish(vec![])
}

/// It does not any more: what [`second_reader`] becomes.
#[must_use]
pub fn second_reader_gone(until_ms: i64, now_ms: i64, zone: &Zone) -> Message {
    two_lines(&told::second_reader_gone(&zone.at(until_ms, now_ms)), told::SECOND_READER_GONE_MEANS)
}

fn two_lines(headline: &str, means: &str) -> Message {
    let mut page = Page::new(headline);
    page.line(means);
    page.finish(vec![])
}
