//! Several asks of one cluster in one message: what each of them wants, or what became of it, a line for each.

use nightlatch_approval_api::v1;

use super::facts::{address, alarms, by, is_enrolment, is_seal, missing, node_of};
use super::page::Page;
use super::{Foreign, Releases, Stage, When, keyboard};
use crate::message::{Button, Message};
use crate::press::{Choice, ListChoice, ListPress, Nonce, Press};
use crate::texts::{closed as closed_texts, prompt, shared as texts};
use crate::zone::Zone;

/// While at most so many are open, each has a button of its own.
const MAX_OWN_BUTTONS: usize = 8;

/// A list, as much as its message shows of it.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    /// Of which cluster; empty: nodes without one.
    pub cluster: &'a str,
    /// What its buttons carry, but for those of one ask alone.
    pub nonce: Nonce,
    /// Its asks, in the order in which they came.
    pub items: &'a [Item<'a>],
}

/// One ask of a list.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The ask, as the server told it last.
    pub ask: &'a v1::Ask,
    /// Where it stands.
    pub stage: Stage<'a>,
    /// What was released under it so far.
    pub releases: &'a Releases,
}

/// Whether an ask may be answered together with others: there is nothing about it that wants a closer look, and one yes
/// decides it.
#[must_use]
pub fn may_share(ask: &v1::Ask) -> bool {
    if is_enrolment(ask) {
        return false;
    }
    let (people, channels) = missing(ask);
    alarms(ask).is_empty() && ask.voted.is_empty() && people <= 1 && channels == 0
}

/// The message of a list, and how many of its asks, from the first on, it has a line for: no button answers others.
#[must_use]
pub fn shared(list: &List<'_>, now_ms: i64, zone: &Zone) -> (Message, usize) {
    let when = When { zone, now_ms };
    let cluster = Foreign::name(list.cluster);
    let is_open = |item: &&Item<'_>| matches!(item.stage, Stage::Open(_) | Stage::Unreachable);
    let open: Vec<&Item<'_>> = list.items.iter().filter(is_open).collect();
    let mut page = Page::new(&if open.is_empty() {
        texts::all_over(list.items.len(), &cluster)
    } else {
        texts::headline(open.len(), list.items.len() - open.len(), wanted(&open), &cluster)
    });
    let is_away = list.items.iter().any(|item| matches!(item.stage, Stage::Unreachable));
    if is_away {
        page.strong(prompt::AWAY);
    }
    let mut shown = 0;
    for item in list.items {
        let line = line(item, when);
        if !page.has_room_for(&line) {
            page.line(&texts::more(list.items.len() - shown));
            break;
        }
        page.line(&line);
        shown += 1;
    }
    let visible = list.items.get(..shown).unwrap_or_default();
    let answerable: Vec<(&v1::Ask, Nonce)> = visible.iter().filter_map(can_be_answered).collect();
    let is_approved = |item: &Item<'_>| match item.stage {
        Stage::Closed(closed) => closed.outcome() == v1::Outcome::Approved,
        _ => false,
    };
    if open.is_empty() && list.items.iter().any(is_approved) {
        page.gap();
        page.line(texts::MISTAKE);
    }
    if !answerable.is_empty() {
        page.gap();
        page.line(if answerable.len() == 1 { texts::COMPARE_ONE } else { texts::COMPARE });
    }
    let buttons = buttons(&answerable, list.nonce, shown < list.items.len());
    (page.finish(buttons), shown)
}

fn can_be_answered<'a>(item: &Item<'a>) -> Option<(&'a v1::Ask, Nonce)> {
    match item.stage {
        Stage::Open(nonce) => Some((item.ask, nonce)),
        _ => None,
    }
}

fn wanted(open: &[&Item<'_>]) -> texts::Wanted {
    let seals = open.iter().filter(|item| is_seal(item.ask.operation)).count();
    match seals {
        0 => texts::Wanted::Unlock,
        all if all == open.len() => texts::Wanted::Seal,
        _ => texts::Wanted::Both,
    }
}

/// What there is to say of one ask.
fn line(item: &Item<'_>, when: When<'_>) -> String {
    let ask = item.ask;
    let (node, code) = (node_of(ask.node.as_ref()), Foreign::name(&ask.code));
    match item.stage {
        Stage::Open(_) | Stage::Unreachable => open_line(ask, &node, &code),
        Stage::Closed(closed) => closed_line(closed, item.releases, &node, &code, when),
        Stage::AskedAgain => texts::asked_alone(!alarms(ask).is_empty(), &node, &code),
        Stage::Forgotten => prompt::forgotten(&node, &code),
    }
}

fn open_line(ask: &v1::Ask, node: &Foreign, code: &Foreign) -> String {
    let seal = is_seal(ask.operation);
    let mut remarks = vec![];
    if seal {
        remarks.push(texts::NEW_DISK);
    }
    if ask.warnings.contains(&v1::Warning::NewAddress.into()) || ask.last_approved_at_ms == 0 {
        remarks.push(texts::NEW_ADDRESS);
    }
    if !ask.tls {
        remarks.push(texts::NOT_ENCRYPTED);
    }
    let alarms = alarms(ask);
    // Two long names may differ where one at a glance is cut.
    let full = ask.node.as_ref().map(|node| Foreign::full(&node.name)).filter(|full| !full.is_empty());
    let node = full.as_ref().unwrap_or(node);
    texts::one(
        &prompt::begins(alarms.first().map(|alarm| alarm.cry()), seal),
        node,
        &address(&ask.address),
        code,
        &remarks,
    )
}

fn closed_line(closed: &v1::Closed, releases: &Releases, node: &Foreign, code: &Foreign, when: When<'_>) -> String {
    let (who, at) = (by(&closed.by), when.at(closed.at_ms));
    let mut line = match closed.outcome() {
        v1::Outcome::Approved => closed_texts::approved(node, &who, &at, code),
        v1::Outcome::Denied => closed_texts::denied(node, &who, &at, code),
        v1::Outcome::Blocked => closed_texts::blocked(node, &who, &at, code),
        v1::Outcome::Expired => closed_texts::expired(node, &at, code),
        v1::Outcome::Locked => closed_texts::locked(node, &who, &at, code),
        v1::Outcome::Unspecified => closed_texts::unknown(node, &at, code),
    };
    let keys = releases.to.values().map(|to| to.unsealed.count.saturating_add(to.sealed.count));
    let keys = keys.fold(0_u32, u32::saturating_add);
    if keys > 0 {
        line.push_str(&texts::keys(keys));
    }
    line
}

/// One that is left has the buttons that it would have alone.
fn buttons(answerable: &[(&v1::Ask, Nonce)], list: Nonce, has_more: bool) -> Vec<Vec<Button>> {
    let of_list = |choice| {
        let label = match choice {
            ListChoice::ApproveAll => texts::APPROVE_ALL,
            ListChoice::DenyAll => texts::DENY_ALL,
            ListChoice::OneByOne => texts::ONE_BY_ONE,
        };
        Button { label: label.to_owned(), data: ListPress { choice, nonce: list }.to_string() }
    };
    let own = |(ask, nonce): &(&v1::Ask, Nonce)| Button {
        label: texts::own(&node_of(ask.node.as_ref()), &Foreign::name(&ask.code)),
        data: Press { choice: Choice::Approve, nonce: *nonce }.to_string(),
    };
    match answerable {
        [] => vec![],
        [(_, nonce)] if !has_more => keyboard(*nonce, false),
        several => {
            let mut rows = vec![vec![of_list(ListChoice::ApproveAll), of_list(ListChoice::DenyAll)]];
            if several.len() <= MAX_OWN_BUTTONS {
                rows.extend(several.chunks(2).map(|row| row.iter().map(own).collect()));
            }
            rows.push(vec![of_list(ListChoice::OneByOne)]);
            rows
        }
    }
}

/// What a list becomes that nobody looks after: a copy of one, or one of before a restart.
#[must_use]
pub fn list_over() -> Message {
    let mut page = Page::new(texts::OVER);
    page.line(texts::OVER_MEANS);
    page.finish(vec![])
}

/// The reply to a list of which so many are open and nobody answered; `open` is 0 once none is.
#[must_use]
pub fn list_reminder(open: usize, cluster: &str) -> Message {
    let cluster = Foreign::name(cluster);
    if open == 0 {
        return Page::new(&texts::reminder_over(&cluster)).finish(vec![]);
    }
    let mut page = Page::new(&texts::reminder(open, &cluster));
    page.line(prompt::ANSWER_ABOVE);
    page.finish(vec![])
}
