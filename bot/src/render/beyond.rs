//! What is about no single question: approvals ahead and their end, the lock, and the list of nodes.

use nightlatch_approval_api::v1;

use super::facts::{address, by, node_of, people, refused_from};
use super::page::Page;
use super::{Foreign, When};
use crate::message::Message;
use crate::texts::{self, beyond as texts_beyond, list as texts_list};
use crate::zone::{Zone, span};

/// Somebody approved ahead.
#[must_use]
pub fn granted(grant: &v1::Grant, now_ms: i64, zone: &Zone) -> Message {
    let when = When { zone, now_ms };
    let mut page = Page::new(&texts_beyond::granted(&node_of(grant.node.as_ref()), &people(&grant.by)));
    page.line(&given(grant, when));
    page.line(&texts_beyond::take_back(&node_of(grant.node.as_ref())));
    page.finish(vec![])
}

/// How long and how often, and from where.
fn given(grant: &v1::Grant, when: When<'_>) -> String {
    let from = if grant.address.is_empty() { texts::LISTED_ADDRESSES } else { &grant.address };
    texts_beyond::given(&address(from), &when.at(grant.until_ms), grant.uses_left)
}

/// Somebody wants to approve ahead, and more must.
#[must_use]
pub fn proposed(proposal: &v1::Proposal) -> Message {
    let node = node_of(proposal.node.as_ref());
    let mut page = Page::new(&texts_beyond::proposed(&node, &people(&proposal.by)));
    page.line(&texts_beyond::wanted(&span(u64::from(proposal.for_seconds) * 1_000), proposal.uses));
    page.line(&texts::prompt::missing(proposal.votes_missing, proposal.channels_missing));
    let from = match &*proposal.address {
        "" => String::new(),
        network => address(network.split_once('/').map_or(network, |(address, _)| address)).to_string(),
    };
    page.line(&texts_beyond::say_the_same(&node, &word(proposal.for_seconds), proposal.uses, &from));
    page.finish(vec![])
}

/// A length of time as a command takes it.
fn word(seconds: u32) -> String {
    match seconds {
        hours if hours % 3_600 == 0 => format!("{}h", hours / 3_600),
        minutes if minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Somebody ended what others were still to vote for.
#[must_use]
pub fn withdrawn(proposal: &v1::Proposal, who: &str) -> Message {
    let mut page = Page::new(&texts_beyond::withdrawn(&node_of(proposal.node.as_ref()), &by(who)));
    page.line(texts_beyond::WITHDRAWN_MEANS);
    page.finish(vec![])
}

/// Somebody ended an approval.
#[must_use]
pub fn revoked(grant: &v1::Grant, who: &str) -> Message {
    let mut page = Page::new(&texts_beyond::revoked(&node_of(grant.node.as_ref()), &by(who)));
    page.line(texts_beyond::REVOKED_MEANS);
    page.finish(vec![])
}

/// Who locked.
pub(super) fn locker(lock: &v1::Lock) -> String {
    match lock.reason() {
        v1::LockReason::OlderState => texts_beyond::ITSELF.to_owned(),
        v1::LockReason::Person | v1::LockReason::Unspecified => by(&lock.by).to_string(),
    }
}

pub(super) fn lock_means(lock: &v1::Lock) -> &'static str {
    match lock.reason() {
        v1::LockReason::OlderState => texts_beyond::OLDER_STATE_MEANS,
        v1::LockReason::Person | v1::LockReason::Unspecified => texts_beyond::LOCKED_MEANS,
    }
}

/// Everything is refused.
#[must_use]
pub fn locked(lock: &v1::Lock, now_ms: i64, zone: &Zone) -> Message {
    let mut page = Page::new(&texts_beyond::locked(&locker(lock), &zone.at(lock.at_ms, now_ms)));
    page.line(lock_means(lock));
    page.finish(vec![])
}

/// That has ended.
#[must_use]
pub fn unlocked(who: &str) -> Message {
    let mut page = Page::new(&texts_beyond::unlocked(&by(who)));
    page.line(texts_beyond::UNLOCKED_MEANS);
    page.finish(vec![])
}

/// The list of nodes that people keep has changed.
#[must_use]
pub fn node_changed(changed: &v1::NodeChanged) -> Message {
    let status = changed.node.clone().unwrap_or_default();
    let (node, who) = (node_of(status.node.as_ref()), by(&changed.by));
    let mut page = Page::new(&match changed.change() {
        v1::NodeChange::Listed => texts_beyond::listed(&node, &who),
        v1::NodeChange::Changed | v1::NodeChange::Unspecified => texts_beyond::changed(&node, &who),
        v1::NodeChange::Forgotten => texts_beyond::forgotten(&node, &who),
    });
    if changed.change() != v1::NodeChange::Forgotten {
        let addresses: Vec<String> = status.addresses.iter().map(|network| address(one(network)).to_string()).collect();
        page.line(&texts_beyond::addresses(&addresses.join(", ")));
    }
    page.finish(vec![])
}

/// A network of one address is that address.
fn one(network: &str) -> &str {
    network.strip_suffix("/32").or_else(|| network.strip_suffix("/128")).unwrap_or(network)
}

/// /grant: what became of it for each node.
pub(super) fn grants(response: &v1::GrantResponse, now_ms: i64, zone: &Zone) -> Message {
    let when = When { zone, now_ms };
    let given = response.results.iter().filter(|result| result.outcome() == v1::GrantOutcome::Granted).count();
    let mut page = Page::new(&texts_beyond::grants(given, response.results.len()));
    page.list(response.results.iter().map(|result| grant_result(result, when)), texts_list::more);
    if let [result] = &*response.results
        && given == 1
    {
        page.line(&texts_beyond::take_back(&node_of(result.node.as_ref())));
    }
    page.finish(vec![])
}

fn grant_result(result: &v1::GrantResult, when: When<'_>) -> String {
    use v1::GrantOutcome;
    let node = node_of(result.node.as_ref());
    let missing = || {
        let proposal = result.proposal.clone().unwrap_or_default();
        texts::prompt::missing(proposal.votes_missing, proposal.channels_missing)
    };
    match result.outcome() {
        GrantOutcome::Granted => {
            let grant = result.grant.clone().unwrap_or_default();
            texts_beyond::result(&node, &given(&grant, when))
        }
        GrantOutcome::Counted => texts_beyond::counted(&node, &missing()),
        GrantOutcome::Repeated => texts_beyond::repeated(&node, &missing()),
        GrantOutcome::DenyRule => texts_beyond::not_granted(&node, texts_beyond::DENY_RULE),
        GrantOutcome::Refused => {
            let refusal = result.refusal.as_ref();
            let (until, who) = (refusal.map_or(0, |held| held.until_ms), refusal.map_or("", |held| &held.by));
            let from = refused_from(refusal);
            texts_beyond::not_granted(&node, &texts_beyond::refused(&from, &when.at(until), &by(who)))
        }
        GrantOutcome::NoAddress => texts_beyond::not_granted(&node, &texts_beyond::no_address(&node)),
        GrantOutcome::OtherAddress => texts_beyond::not_granted(&node, texts_beyond::OTHER_ADDRESS),
        GrantOutcome::Unspecified => texts_beyond::not_granted(&node, texts_beyond::UNKNOWN_OUTCOME),
    }
}

/// /revoke: what ended.
pub(super) fn ended(response: &v1::RevokeResponse) -> Message {
    let mut page = Page::new(&texts_beyond::ended(response.ended.len(), response.withdrawn.len()));
    let line = |grant: &v1::Grant| {
        texts_beyond::ended_line(&node_of(grant.node.as_ref()), &Foreign::name(&grant.code), &people(&grant.by))
    };
    let withdrawn =
        |proposal: &v1::Proposal| texts_beyond::withdrawn_line(&node_of(proposal.node.as_ref()), &people(&proposal.by));
    page.list(response.ended.iter().map(line), texts_list::more);
    page.list(response.withdrawn.iter().map(withdrawn), texts_list::more);
    if !response.ended.is_empty() {
        page.line(texts_beyond::REVOKED_MEANS);
    }
    page.finish(vec![])
}

/// /lock, said once.
#[must_use]
pub fn lock_how() -> Message {
    let mut page = Page::new(texts_beyond::LOCK_ASKS);
    page.line(texts_beyond::LOCK_HOW);
    page.finish(vec![])
}

/// /unlock
#[must_use]
pub fn unlock_how() -> Message {
    let mut page = Page::new(texts_beyond::UNLOCK_ASKS);
    page.line(texts_beyond::UNLOCK_HOW);
    page.finish(vec![])
}
