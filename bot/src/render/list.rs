//! What commands are answered.

use std::collections::BTreeMap;

use nightlatch_approval_api::v1;

use super::facts::{address, alarms, by, is_block, is_enrolment, is_seal, node_of, or, people, refused_from};
use super::page::Page;
use super::{Foreign, When, answer, beyond, told};
use crate::message::{Message, UserId};
use crate::texts::{self, list as texts_list, prompt};
use crate::zone::Zone;

/// A grant, and when it was heard of: it says how long it lasts from then on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeardGrant<'a> {
    /// As the server told it.
    pub grant: &'a v1::Grant,
    /// When that was, in milliseconds since 1970-01-01 00:00 UTC.
    pub heard_at_ms: i64,
}

/// A node of the server's list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnownNode<'a> {
    /// Which.
    pub node: &'a v1::Node,
    /// When somebody last approved it, in milliseconds since 1970-01-01 00:00 UTC; 0: none is known.
    pub last_approved_at_ms: i64,
    /// Who that was.
    pub last_approved_by: &'a str,
    /// Why its entry is not as people made it; else empty.
    pub conflict: &'a str,
}

/// Where the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts<'a> {
    /// There, in this version.
    Here(&'a str),
    /// Not there, because nothing happened for long.
    Asleep,
    /// Not there, and it should be.
    Away,
}

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Status<'a> {
    /// This program's version.
    pub bot_version: &'a str,
    /// Where the server is.
    pub server: Whereabouts<'a>,
    /// Since when it is there, in milliseconds since 1970-01-01 00:00 UTC.
    pub since_ms: i64,
    /// Set while everything is refused.
    pub lock: Option<&'a v1::Lock>,
    /// How many asks are open.
    pub open: usize,
    /// What is approved.
    pub grants: &'a [HeardGrant<'a>],
    /// What is denied or blocked.
    pub refusals: &'a [v1::Refusal],
    /// Since when another program uses the token, if one does.
    pub second_reader_since_ms: Option<i64>,
}

/// What came of a command that changes something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reply<'a> {
    /// /block: what is in force now.
    Blocked(&'a v1::Refusal),
    /// /unblock: of this node so many denials and blocks ended.
    Unblocked(&'a str, u32),
    /// /grant: what became of it for each node.
    Granted(&'a v1::GrantResponse),
    /// /revoke: what ended.
    Revoked(&'a v1::RevokeResponse),
    /// /lock: what is in force.
    Locked(&'a v1::LockResponse),
    /// The server is away: it was not told.
    ServerAway,
    /// The server was told, and nothing came back in time.
    NoAnswer,
    /// The server has no such call: it is of an older version.
    OlderServer,
    /// The server refused, and says so.
    Refused(&'a str),
}

/// /start from somebody who is not listed: their numeric id, and nothing else.
#[must_use]
pub fn stranger(id: UserId) -> Message {
    Page::new(&texts_list::stranger(id.0)).finish(vec![])
}

/// /start from somebody who is.
#[must_use]
pub fn start() -> Message {
    explain(Page::new(texts_list::WELCOME))
}

/// /help
#[must_use]
pub fn help() -> Message {
    explain(Page::new(texts_list::HELP))
}

fn explain(mut page: Page) -> Message {
    for line in texts_list::HELP_LINES {
        page.line(line);
    }
    page.gap();
    for (name, about) in texts::COMMANDS {
        page.line(&texts_list::command(name, about));
    }
    page.finish(vec![])
}

/// /status
#[must_use]
pub fn status(status: &Status<'_>, now_ms: i64, zone: &Zone) -> Message {
    let when = When { zone, now_ms };
    if let Some(since) = status.second_reader_since_ms {
        return told::second_reader(since, now_ms, zone);
    }
    let version = match status.server {
        Whereabouts::Here(version) => version,
        Whereabouts::Asleep => return told::server_asleep(status.since_ms, now_ms, zone),
        Whereabouts::Away => return told::server_away(status.since_ms, now_ms, zone),
    };
    let mut page = Page::new(&match status.lock {
        Some(lock) => texts::beyond::locked(&beyond::locker(lock), &when.at(lock.at_ms)),
        None => texts_list::well(&when.at(now_ms), status.open),
    });
    page.maybe(status.lock.map(|lock| beyond::lock_means(lock).to_owned()));
    page.line(&texts_list::connected(&or(version, "?"), status.bot_version, &when.at(status.since_ms)));
    page.line(&texts_list::open(status.open));
    let grants: Vec<_> = status.grants.iter().filter(|heard| ends_ms(heard) > now_ms).collect();
    if !grants.is_empty() {
        page.gap();
        page.strong(texts_list::APPROVED_NOW);
        page.list(grants.into_iter().map(|heard| grant(heard, when)), texts_list::more);
    }
    let refusals: Vec<_> = status.refusals.iter().filter(|refusal| refusal.until_ms > now_ms).collect();
    if !refusals.is_empty() {
        page.gap();
        page.strong(texts_list::REFUSED_NOW);
        page.list(refusals.into_iter().map(|held| refusal(held, when)), texts_list::more);
    }
    page.finish(vec![])
}

fn ends_ms(heard: &HeardGrant<'_>) -> i64 {
    heard.heard_at_ms.saturating_add(i64::from(heard.grant.seconds_left) * 1_000)
}

fn grant(heard: &HeardGrant<'_>, when: When<'_>) -> String {
    let grant = heard.grant;
    let from = if grant.address.is_empty() { texts::LISTED_ADDRESSES } else { &grant.address };
    let from = address(from);
    let until = when.at(ends_ms(heard));
    let node = node_of(grant.node.as_ref());
    let line = texts_list::grant(is_seal(grant.operation), &node, &from, &until, grant.uses_left, &people(&grant.by));
    if grant.ahead { texts::beyond::ahead(&line) } else { line }
}

fn refusal(refusal: &v1::Refusal, when: When<'_>) -> String {
    let node = node_of(refusal.node.as_ref());
    texts_list::refusal(
        is_block(refusal),
        &node,
        &refused_from(Some(refusal)),
        &when.at(refusal.until_ms),
        &by(&refusal.by),
    )
}

/// /pending: the asks that are open, oldest first.
#[must_use]
pub fn pending(asks: &[&v1::Ask], now_ms: i64, zone: &Zone) -> Message {
    let when = When { zone, now_ms };
    if asks.is_empty() {
        return Page::new(texts_list::NOTHING_WAITS).finish(vec![]);
    }
    let mut page = Page::new(&texts_list::wait(asks.len()));
    page.list(asks.iter().map(|ask| waits(ask, when)), texts_list::more);
    page.finish(vec![])
}

fn waits(ask: &v1::Ask, when: When<'_>) -> String {
    let seal = is_seal(ask.operation);
    let begins = prompt::begins(alarms(ask).first().map(|alarm| alarm.cry()), seal);
    let (node, code) = (node_of(ask.node.as_ref()), Foreign::name(&ask.code));
    if is_enrolment(ask) {
        return texts::enrolment::waits(&code, &node, &address(&ask.address), &when.at(ask.opened_at_ms));
    }
    texts_list::waits(&begins, &code, &node, prompt::wants(seal), &address(&ask.address), &when.at(ask.opened_at_ms))
}

/// /nodes: those first that wait or are refused, else in the order they are given.
#[must_use]
pub fn nodes(
    nodes: &[KnownNode<'_>],
    asks: &[&v1::Ask],
    refusals: &[v1::Refusal],
    now_ms: i64,
    zone: &Zone,
) -> Message {
    let when = When { zone, now_ms };
    if nodes.is_empty() {
        return Page::new(texts_list::NO_NODES).finish(vec![]);
    }
    let mut states = BTreeMap::new();
    for held in refusals.iter().filter(|held| held.until_ms > now_ms) {
        let state = if is_block(held) { State::Blocked } else { State::Denied };
        let known = states.entry(uuid(held.node.as_ref())).or_insert(state);
        *known = state.min(*known);
    }
    states.extend(asks.iter().map(|ask| (uuid(ask.node.as_ref()), State::Waits)));
    let state = |known: &KnownNode<'_>| states.get(known.node.uuid.as_str()).copied().unwrap_or(State::Quiet);
    let mut sorted: Vec<_> = nodes.iter().map(|known| (state(known), known)).collect();
    sorted.sort_by_key(|(state, _)| *state);
    let mut page = Page::new(&texts_list::nodes(nodes.len()));
    page.list(sorted.into_iter().map(|(state, known)| node(known, state, when)), texts_list::more);
    page.finish(vec![])
}

/// What there is to say of a node, the most pressing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Waits,
    Blocked,
    Denied,
    Quiet,
}

fn uuid(node: Option<&v1::Node>) -> &str {
    node.map_or("", |node| &node.uuid)
}

fn node(known: &KnownNode<'_>, state: State, when: When<'_>) -> String {
    let name = node_of(Some(known.node));
    let mut facts = match state {
        State::Waits => vec![format!("🔒 {name}"), texts_list::WAITS.to_owned()],
        State::Blocked => vec![format!("⛔ {name}"), texts_list::BLOCKED.to_owned()],
        State::Denied => vec![format!("❌ {name}"), texts_list::DENIED.to_owned()],
        State::Quiet => vec![name.to_string()],
    };
    let cluster = Foreign::name(&known.node.cluster);
    if !cluster.is_empty() {
        facts.push(cluster.to_string());
    }
    facts.push(match known.last_approved_at_ms {
        0 => texts_list::NEVER_APPROVED.to_owned(),
        at => texts_list::last_approved(&when.at(at), &by(known.last_approved_by)),
    });
    if !known.conflict.is_empty() {
        facts.push(texts::beyond::conflict(&Foreign::full(known.conflict)));
    }
    facts.join(" · ")
}

/// /history: what was closed last, given as the server does, newest last.
#[must_use]
pub fn history(closed: &[v1::Closed], now_ms: i64, zone: &Zone) -> Message {
    let when = When { zone, now_ms };
    if closed.is_empty() {
        return Page::new(texts_list::NO_HISTORY).finish(vec![]);
    }
    let mut page = Page::new(texts_list::HISTORY);
    let line = |closed: &v1::Closed| {
        let ask = closed.ask.as_ref();
        let node = node_of(ask.and_then(|ask| ask.node.as_ref()));
        let mark = match closed.outcome() {
            v1::Outcome::Approved => "✅",
            v1::Outcome::Denied => "❌",
            v1::Outcome::Blocked => "⛔",
            v1::Outcome::Expired => "⌛",
            v1::Outcome::Locked => "🛑",
            v1::Outcome::Unspecified => "⚪",
        };
        let wanted = match ask {
            Some(ask) if is_enrolment(ask) => texts::enrolment::WANTED,
            _ => prompt::wanted(ask.is_some_and(|ask| is_seal(ask.operation))),
        };
        let from = address(ask.map_or("", |ask| &ask.address));
        format!("{mark} {node} {wanted} · {from} · {}", answer::how(closed, when))
    };
    page.list(closed.iter().rev().map(line), texts_list::more);
    page.finish(vec![])
}

/// What came of /block or /unblock.
#[must_use]
pub fn reply(reply: &Reply<'_>, now_ms: i64, zone: &Zone) -> Message {
    let text = match *reply {
        Reply::Blocked(refusal) => return told::refused(refusal, now_ms, zone),
        Reply::Unblocked(node, ended) => texts_list::unblocked(&or(node, texts::A_NODE), ended),
        Reply::Granted(response) => return beyond::grants(response, now_ms, zone),
        Reply::Revoked(response) => return beyond::ended(response),
        Reply::Locked(response) => {
            let lock = response.lock.clone().unwrap_or_default();
            return beyond::locked(&lock, now_ms, zone);
        }
        Reply::ServerAway => texts_list::AWAY.to_owned(),
        Reply::NoAnswer => texts_list::NO_ANSWER.to_owned(),
        Reply::OlderServer => texts::answer::OLDER_SERVER.to_owned(),
        Reply::Refused(reason) => texts::answer::refused(&Foreign::full(reason)),
    };
    Page::new(&text).finish(vec![])
}

/// /block or /unblock without a node.
#[must_use]
pub fn node_wanted() -> Message {
    Page::new(texts_list::WHICH_NODE).finish(vec![])
}

/// A command that there is not, from somebody who is listed.
#[must_use]
pub fn unknown_command() -> Message {
    Page::new(texts_list::UNKNOWN_COMMAND).finish(vec![])
}
