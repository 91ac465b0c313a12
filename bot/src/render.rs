//! From facts to what a person reads: pure. Every word comes from texts.rs; text from elsewhere is made harmless in
//! foreign.rs, and HTML is made in page.rs alone. The same facts give the same text within one day: whoever holds two
//! messages may compare them.

mod answer;
mod beyond;
mod facts;
mod foreign;
mod list;
mod page;
mod releases;
mod shared;
mod told;

#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(crate) mod markup;
#[cfg(test)]
mod tests;

use nightlatch_approval_api::v1;

pub use answer::{Answer, Answered, Tally, answer};
pub use beyond::{granted, lock_how, locked, node_changed, proposed, revoked, unlock_how, unlocked, withdrawn};
pub use list::{
    HeardGrant, KnownNode, Reply, Status, Whereabouts, help, history, node_wanted, nodes, pending, reply, start,
    status, stranger, unknown_command,
};
pub use releases::{Keys, Released, Releases};
pub use shared::{Item, List, list_over, list_reminder, may_share, shared};
pub use told::{
    Outage, allowed, chat_closed, lifted, notice, refused, reminder, second_reader, second_reader_gone, server_asleep,
    server_away, server_back, telegram_back, test,
};

pub use facts::asks_more;
pub(crate) use foreign::Foreign;

use crate::message::{Button, Message};
use crate::press::{Choice, Nonce, Press};
use crate::texts::{buttons, closed as closed_texts, enrolment as enrolment_texts, prompt as texts};
use crate::zone::{Zone, between, span};
use facts::{address, alarms, by, is_enrolment, is_seal, missing, node_of};
use page::Page;

/// One prompt, as much as its message shows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt<'a> {
    /// The ask, as the server told it last.
    pub ask: &'a v1::Ask,
    /// Where it stands.
    pub stage: Stage<'a>,
    /// What was released under it so far.
    pub releases: &'a Releases,
}

/// Where a prompt stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage<'a> {
    /// It can be answered, with buttons that carry this.
    Open(Nonce),
    /// It is open, but the server is not there to take an answer. No buttons. The ask has to be all that the server told:
    /// of one that is made up of what is kept, the origin would be unknown, and cried out as a wrong address.
    Unreachable,
    /// It was closed: how, when, by whom.
    Closed(&'a v1::Closed),
    /// It was asked again in a newer message of this chat. No buttons. Of the ask nothing but what is kept is looked at.
    AskedAgain,
    /// It is not open any more, and nobody knows why: the server was restarted, or it was closed long ago. No buttons. Of
    /// the ask nothing but what is kept is looked at.
    Forgotten,
}

/// The message of a prompt, written at `now_ms`: its times name the day when that is another.
#[must_use]
pub fn prompt(prompt: &Prompt<'_>, now_ms: i64, zone: &Zone) -> Message {
    let when = When { zone, now_ms };
    match prompt.stage {
        Stage::Open(nonce) => open(prompt.ask, Some(nonce), when),
        Stage::Unreachable => open(prompt.ask, None, when),
        Stage::Closed(closed) => {
            closed_prompt(closed.ask.as_ref().unwrap_or(prompt.ask), closed, prompt.releases, when)
        }
        Stage::AskedAgain => over(prompt, texts::asked_again, texts::ANSWER_BELOW, when),
        Stage::Forgotten => over(prompt, texts::forgotten, texts::FORGOTTEN_MEANS, when),
    }
}

/// For whom times are written, and when.
#[derive(Debug, Clone, Copy)]
struct When<'a> {
    zone: &'a Zone,
    now_ms: i64,
}

impl When<'_> {
    fn at(self, at_ms: i64) -> String {
        self.zone.at(at_ms, self.now_ms)
    }

    /// The end of what lasts for so long from a moment on.
    fn end(self, from_ms: i64, seconds: u32) -> String {
        self.at(from_ms.saturating_add(i64::from(seconds).saturating_mul(1_000)))
    }
}

fn open(ask: &v1::Ask, nonce: Option<Nonce>, when: When<'_>) -> Message {
    if is_enrolment(ask) {
        return enrolment(ask, nonce, when);
    }
    let alarms = alarms(ask);
    let seal = is_seal(ask.operation);
    let (node, from, code) = (node_of(ask.node.as_ref()), address(&ask.address), Foreign::name(&ask.code));
    let mut page = Page::new(&texts::headline(alarms.first().map(|alarm| alarm.cry()), seal, &node, &from, &code));
    if nonce.is_none() {
        page.strong(texts::AWAY);
    }
    for alarm in &alarms {
        page.line(&alarm.meaning(&node, &from));
    }
    page.facts(&votes(ask));
    page.facts(&whose(ask));
    page.facts(&known_before(ask, when));
    if seal {
        page.line(texts::SEAL_MEANS);
    }
    if !ask.tls {
        page.line(texts::NOT_ENCRYPTED);
    }
    let mut facts = vec![
        texts::first_asked(&when.at(ask.opened_at_ms)),
        texts::attempts(ask.attempts, &when.at(ask.last_attempt_at_ms)),
    ];
    if ask.volumes > 1 {
        facts.push(texts::volumes(ask.volumes));
    }
    page.facts(&facts);
    let Some(nonce) = nonce else { return page.finish(vec![]) };
    page.gap();
    page.line(texts::COMPARE);
    page.finish(keyboard(nonce, !alarms.is_empty()))
}

/// A machine that is not listed: in other words and with other buttons, so that nobody takes it for one of theirs.
fn enrolment(ask: &v1::Ask, nonce: Option<Nonce>, when: When<'_>) -> Message {
    let (from, code) = (address(&ask.address), Foreign::name(&ask.code));
    let mut page = Page::new(&enrolment_texts::headline(&from, &code));
    if nonce.is_none() {
        page.strong(texts::AWAY);
    }
    let node = ask.node.clone().unwrap_or_default();
    page.line(&enrolment_texts::name(&node_of(ask.node.as_ref()), &Foreign::full(&node.uuid)));
    page.facts(&votes(ask));
    page.facts(&whose(ask));
    page.line(if is_seal(ask.operation) { enrolment_texts::SEALS } else { enrolment_texts::UNLOCKS });
    if !ask.tls {
        page.line(texts::NOT_ENCRYPTED);
    }
    page.facts(&[
        texts::first_asked(&when.at(ask.opened_at_ms)),
        texts::attempts(ask.attempts, &when.at(ask.last_attempt_at_ms)),
    ]);
    page.line(enrolment_texts::MEANS);
    let Some(nonce) = nonce else { return page.finish(vec![]) };
    page.gap();
    page.line(texts::COMPARE);
    let button = |label: &str, choice| Button { label: label.to_owned(), data: Press { choice, nonce }.to_string() };
    page.finish(vec![
        vec![button(enrolment_texts::ADD, Choice::Approve), button(enrolment_texts::NOT_NOW, Choice::Deny)],
        vec![button(enrolment_texts::BLOCK, Choice::Block)],
    ])
}

/// Who approved so far, and what is missing if that is more than one yes from anywhere.
fn votes(ask: &v1::Ask) -> Vec<String> {
    let mut facts = vec![];
    if !ask.voted.is_empty() {
        facts.push(texts::voted(&facts::people(&ask.voted)));
    }
    let (people, channels) = missing(ask);
    if !ask.voted.is_empty() || people > 1 || channels > 0 {
        facts.push(texts::missing(people, channels));
    }
    facts
}

/// Whether somebody approved this from there before.
fn known_before(ask: &v1::Ask, when: When<'_>) -> Vec<String> {
    let mut facts = vec![];
    let is_new = ask.warnings.contains(&v1::Warning::NewAddress.into());
    let is_said = ask.warnings.contains(&v1::Warning::Moved.into());
    if !is_said && (is_new || ask.last_approved_at_ms == 0) {
        facts.push(texts::NEW_ADDRESS.to_owned());
    }
    if ask.last_approved_at_ms != 0 {
        facts.push(texts::last_approved(&when.at(ask.last_approved_at_ms), &by(&ask.last_approved_by)));
    }
    facts
}

/// Cluster, and the name where the first line has not all of it.
fn whose(ask: &v1::Ask) -> Vec<String> {
    let Some(node) = &ask.node else { return vec![] };
    let mut facts = vec![];
    let cluster = Foreign::name(&node.cluster);
    if !cluster.is_empty() {
        facts.push(texts::cluster(&cluster));
    }
    let full = Foreign::full(&node.name);
    if full != Foreign::name(&node.name) {
        facts.push(texts::full_name(&full));
    }
    facts
}

fn keyboard(nonce: Nonce, warned: bool) -> Vec<Vec<Button>> {
    let button = |choice| {
        let label = match (choice, warned) {
            (Choice::Approve, false) => buttons::APPROVE,
            (Choice::Approve, true) => buttons::APPROVE_WARNED,
            (Choice::ApproveLonger, false) => buttons::APPROVE_LONGER,
            (Choice::ApproveLonger, true) => buttons::APPROVE_LONGER_WARNED,
            (Choice::Deny, _) => buttons::DENY,
            (Choice::Block, _) => buttons::BLOCK,
        };
        Button { label: label.to_owned(), data: Press { choice, nonce }.to_string() }
    };
    Choice::ALL.chunks(2).map(|row| row.iter().copied().map(button).collect()).collect()
}

fn closed_prompt(ask: &v1::Ask, closed: &v1::Closed, releases: &Releases, when: When<'_>) -> Message {
    let (node, code) = (node_of(ask.node.as_ref()), Foreign::name(&ask.code));
    let (who, at) = (by(&closed.by), when.at(closed.at_ms));
    let until = when.end(closed.at_ms, closed.for_seconds);
    let lasts = span(u64::from(closed.for_seconds) * 1_000);
    let outcome = closed.outcome();
    let mut page = Page::new(&match outcome {
        v1::Outcome::Approved if is_enrolment(ask) => enrolment_texts::added(&node, &who, &at, &code),
        v1::Outcome::Approved => closed_texts::approved(&node, &who, &at, &code),
        v1::Outcome::Denied => closed_texts::denied(&node, &who, &at, &code),
        v1::Outcome::Blocked => closed_texts::blocked(&node, &who, &at, &code),
        v1::Outcome::Expired => closed_texts::expired(&node, &at, &code),
        v1::Outcome::Locked => closed_texts::locked(&node, &who, &at, &code),
        v1::Outcome::Unspecified => closed_texts::unknown(&node, &at, &code),
    });
    match outcome {
        v1::Outcome::Approved if is_enrolment(ask) => {
            page.line(&enrolment_texts::added_means(&address(&ask.address)));
            releases::lines(releases, is_seal(ask.operation), when, &mut page);
            page.maybe(is_seal(ask.operation).then(|| closed_texts::may_seal(&until, &lasts)));
            page.line(&enrolment_texts::forget(&node));
        }
        v1::Outcome::Approved => {
            releases::lines(releases, true, when, &mut page);
            let may = if is_seal(ask.operation) { closed_texts::may_seal } else { closed_texts::may_unlock };
            page.line(&may(&until, &lasts));
            page.maybe((closed.collectable_for_seconds > 0 && releases.is_empty()).then(|| {
                let collectable = closed.collectable_for_seconds;
                closed_texts::collectable(&when.end(closed.at_ms, collectable), &span(u64::from(collectable) * 1_000))
            }));
            page.line(&closed_texts::mistake(&node));
        }
        v1::Outcome::Denied | v1::Outcome::Blocked => {
            let listed = ask.origin() == v1::Origin::Listed;
            page.line(&closed_texts::refused_until(listed, &until, &lasts));
            // By its name nobody knows a machine that is not listed.
            let uuid = ask.node.as_ref().map_or("", |node| &node.uuid);
            page.line(&closed_texts::take_back(&if is_enrolment(ask) { Foreign::full(uuid) } else { node.clone() }));
        }
        v1::Outcome::Expired => page.line(closed_texts::NOBODY_DECIDED),
        v1::Outcome::Locked => page.line(closed_texts::LOCKED_MEANS),
        v1::Outcome::Unspecified => page.line(closed_texts::UNKNOWN_MEANS),
    }
    if outcome != v1::Outcome::Approved {
        releases::lines(releases, false, when, &mut page);
    }
    let decided = matches!(outcome, v1::Outcome::Approved | v1::Outcome::Denied | v1::Outcome::Blocked);
    background(ask, closed, decided, &mut page, when);
    page.finish(vec![])
}

/// What it was about, for who looks closer.
fn background(ask: &v1::Ask, closed: &v1::Closed, decided: bool, page: &mut Page, when: When<'_>) {
    let (node, from) = (node_of(ask.node.as_ref()), address(&ask.address));
    for alarm in alarms(ask) {
        page.line(&alarm.meaning(&node, &from));
    }
    let took = between(ask.opened_at_ms, closed.at_ms);
    let asked = if decided { closed_texts::took } else { closed_texts::lasted };
    let mut answered = vec![asked(&when.at(ask.opened_at_ms), &took)];
    let channel = Foreign::name(&closed.channel);
    if decided && !channel.is_empty() {
        answered.push(closed_texts::through(&channel));
    }
    // Who decided stands in the first line.
    if ask.voted.iter().any(|voted| *voted != closed.by) {
        answered.push(closed_texts::votes(&facts::people(&ask.voted)));
    }
    page.gap();
    if !is_enrolment(ask) {
        page.line(&closed_texts::wanted(is_seal(ask.operation), &from));
    }
    page.facts(&answered);
    page.facts(&whose(ask));
}

/// A prompt that is over without an answer.
fn over(prompt: &Prompt<'_>, headline: impl Fn(&Foreign, &Foreign) -> String, means: &str, when: When<'_>) -> Message {
    let ask = prompt.ask;
    let mut page = Page::new(&headline(&node_of(ask.node.as_ref()), &Foreign::name(&ask.code)));
    page.line(means);
    releases::lines(prompt.releases, false, when, &mut page);
    page.gap();
    page.line(&closed_texts::wanted(is_seal(ask.operation), &address(&ask.address)));
    let mut facts = vec![texts::first_asked(&when.at(ask.opened_at_ms))];
    facts.extend(whose(ask));
    page.facts(&facts);
    page.finish(vec![])
}
