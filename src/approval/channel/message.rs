//! The ledger's data as messages of `nightlatch.approval.v1`.

use std::collections::HashMap;
use std::time::Duration;

use nightlatch_approval_api::v1;
use prost::Message as _;

use crate::approval::ask::{Ask, ClosedAsk, Event, LiveGrant, Notice, NoticeKind, Outcome, Release, Warning};
use crate::approval::ledger::act::Answer;
use crate::peer::standing::{LastApproval, Refusal, RefusalKind};
use crate::peer::{ListedBy, ListedNode, Origin};
use crate::request::{NodeUuid, Operation};

/// An event, if it is one that channels are told.
#[must_use]
pub fn event(event: &Event) -> Option<v1::Event> {
    let event = match event {
        Event::Opened(opened) => v1::event::Event::Opened(ask(opened)),
        Event::Changed(changed) => v1::event::Event::Changed(ask(changed)),
        Event::Closed(closed_ask) => v1::event::Event::Closed(closed(closed_ask)),
        Event::Released(released) => v1::event::Event::Release(release(released)),
        Event::Notice(noted) => v1::event::Event::Notice(notice(noted)),
        Event::Refused { refusal: set, node, .. } => v1::event::Event::Refused(refusal(set, Some(node))),
        Event::Lifted { refusal: ended, node, by } => v1::event::Event::Lifted(v1::Lifted {
            refusal: Some(refusal(ended, Some(node))),
            by: by.vote.approver.to_string(),
        }),
        // What it leads to is told: a change, an outcome.
        Event::Voted { .. } => return None,
    };
    Some(v1::Event { event: Some(event) })
}

/// An ask.
#[must_use]
pub fn ask(ask: &Ask) -> v1::Ask {
    let last = ask.last_approval.as_ref();
    v1::Ask {
        id: ask.id.0.to_vec(),
        code: ask.code.to_string(),
        operation: operation(ask.operation).into(),
        node: Some(node(&ask.node)),
        address: ask.peer.address.to_string(),
        origin: match ask.origin {
            Origin::Listed => v1::Origin::Listed,
            Origin::OtherAddress(_) => v1::Origin::OtherAddress,
            Origin::PerAddress(_) => v1::Origin::PerAddress,
        }
        .into(),
        tls: ask.peer.tls,
        opened_at_ms: ask.opened.wall.unix_millis(),
        last_attempt_at_ms: ask.last_attempt.wall.unix_millis(),
        attempts: ask.attempts,
        volumes: u32::try_from(ask.blobs.len()).unwrap_or(u32::MAX),
        warnings: ask.warnings.iter().map(|known| warning(*known).into()).collect(),
        votes_missing: u32::try_from(ask.votes_missing()).unwrap_or(u32::MAX),
        voted: ask.votes.iter().map(|vote| vote.approver.to_string()).collect(),
        last_approved_at_ms: last.map_or(0, |last| last.at.unix_millis()),
        last_approved_by: last.map_or_else(String::new, |last| last.by.to_string()),
        channels_missing: u32::try_from(ask.requirement.missing_channels(&ask.votes)).unwrap_or(u32::MAX),
        purpose: v1::Purpose::Release.into(),
    }
}

/// An ask with its outcome.
#[must_use]
pub fn closed(closed: &ClosedAsk) -> v1::Closed {
    let by = closed.by.as_ref();
    v1::Closed {
        ask: Some(ask(&closed.ask)),
        outcome: match closed.outcome {
            Outcome::Approved => v1::Outcome::Approved,
            Outcome::Denied => v1::Outcome::Denied,
            Outcome::Blocked => v1::Outcome::Blocked,
            Outcome::Expired => v1::Outcome::Expired,
        }
        .into(),
        by: by.map_or_else(String::new, |vote| vote.approver.to_string()),
        channel: by.map_or_else(String::new, |vote| vote.channel.to_string()),
        at_ms: closed.at.unix_millis(),
        for_seconds: whole_seconds(closed.lasts),
        collectable_for_seconds: whole_seconds(closed.collectable),
    }
}

/// What became of a vote. `None` when there was no room to keep it.
#[must_use]
pub fn vote_response(answer: &Answer) -> Option<v1::VoteResponse> {
    use v1::VoteResult;
    let (result, still_open, closed_ask) = match answer {
        Answer::Decided(decided) => (VoteResult::Decided, None, Some(decided)),
        Answer::Counted(counted) => (VoteResult::Counted, Some(counted), None),
        Answer::Repeated(repeated) => (VoteResult::Repeated, Some(repeated), None),
        Answer::Closed(closed_ask) => (VoteResult::Closed, None, Some(closed_ask)),
        Answer::NotAnApprover(open) => (VoteResult::NotAnApprover, Some(open), None),
        Answer::Unknown | Answer::Blocked(_) | Answer::Unblocked(_) => (VoteResult::Unknown, None, None),
        Answer::TooManyRefusals => return None,
    };
    Some(v1::VoteResponse {
        result: result.into(),
        ask: still_open.map(|open| ask(open)),
        closed: closed_ask.map(|closed_ask| closed(closed_ask)),
    })
}

/// A denial or block; `listed` is the node it binds, if that is listed still.
#[must_use]
pub fn refusal(refusal: &Refusal, listed: Option<&ListedNode>) -> v1::Refusal {
    let unlisted = || v1::Node { uuid: refusal.node.to_string(), name: String::new(), cluster: String::new() };
    v1::Refusal {
        node: Some(listed.map_or_else(unlisted, node)),
        address: match refusal.origin {
            None => String::new(),
            Some(Origin::Listed) => "listed addresses".to_owned(),
            Some(Origin::OtherAddress(network) | Origin::PerAddress(network)) => network.to_string(),
        },
        kind: match refusal.kind {
            RefusalKind::Denial => v1::RefusalKind::Denial,
            RefusalKind::Block => v1::RefusalKind::Block,
        }
        .into(),
        by: refusal.by.to_string(),
        until_ms: refusal.until.unix_millis(),
    }
}

/// A grant.
#[must_use]
pub fn grant(grant: &LiveGrant) -> v1::Grant {
    v1::Grant {
        ask_id: grant.ask.0.to_vec(),
        code: grant.code.to_string(),
        node: Some(node(&grant.node)),
        address: match grant.origin {
            Origin::Listed => String::new(),
            Origin::OtherAddress(network) | Origin::PerAddress(network) => network.to_string(),
        },
        operation: operation(grant.operation).into(),
        by: grant.votes.iter().map(|vote| vote.approver.to_string()).collect(),
        seconds_left: whole_seconds(grant.left),
        uses_left: grant.uses_left,
        ahead: false,
        until_ms: 0,
    }
}

/// Longest that the nodes of a snapshot are together, in bytes.
pub const MAX_NODES_LEN: usize = 1024 * 1024;

/// The listed nodes, and who approved each last. Those that do not fit into [`MAX_NODES_LEN`] are left out: a snapshot that
/// a client cannot read would keep everybody from answering.
#[must_use]
pub fn nodes<'a>(
    listed: impl Iterator<Item = &'a ListedNode>,
    approvals: &HashMap<NodeUuid, LastApproval>,
) -> Vec<v1::NodeStatus> {
    let mut len = 0;
    let status = |listed: &ListedNode| {
        let last = approvals.get(&listed.uuid);
        v1::NodeStatus {
            node: Some(node(listed)),
            last_approved_at_ms: last.map_or(0, |last| last.at.unix_millis()),
            last_approved_by: last.map_or_else(String::new, |last| last.by.to_string()),
            addresses: listed.addresses.iter().map(ToString::to_string).collect(),
            formerly: listed.formerly.iter().map(ToString::to_string).collect(),
            listed_by: match listed.listed_by {
                ListedBy::Configuration => v1::ListedBy::Configuration,
                ListedBy::People => v1::ListedBy::People,
            }
            .into(),
            conflict: String::new(),
        }
    };
    let fits = |status: &v1::NodeStatus| {
        // With its tag, and its length.
        let status_len = status.encoded_len();
        len += 1 + prost::length_delimiter_len(status_len) + status_len;
        len <= MAX_NODES_LEN
    };
    listed.map(status).take_while(fits).collect()
}

fn release(release: &Release) -> v1::Release {
    let grant = release.terms.grant.as_ref();
    v1::Release {
        ask_id: grant.map_or_else(Vec::new, |grant| grant.ask.0.to_vec()),
        operation: operation(release.operation).into(),
        node: Some(node(&release.node)),
        address: release.address.to_string(),
        at_ms: release.at.wall.unix_millis(),
        after_vote_ms: grant
            .map(|grant| u64::try_from(release.at.moment.since(grant.granted_at).as_millis()).unwrap_or(u64::MAX)),
        fingerprint: release.blob.to_string(),
        ahead_uses_left: None,
    }
}

fn notice(notice: &Notice) -> v1::Notice {
    v1::Notice {
        kind: match notice.kind {
            NoticeKind::OtherAddress => v1::NoticeKind::OtherAddress,
            NoticeKind::Strangers => v1::NoticeKind::Strangers,
            NoticeKind::TooManyAsks => v1::NoticeKind::TooManyAsks,
        }
        .into(),
        node: notice.node.as_ref().map(node),
        address: notice.address.to_string(),
        count: notice.count,
        at_ms: notice.at.unix_millis(),
    }
}

fn node(node: &ListedNode) -> v1::Node {
    v1::Node {
        uuid: node.uuid.to_string(),
        name: node.name.to_string(),
        cluster: node.cluster.as_deref().unwrap_or_default().to_owned(),
    }
}

const fn operation(operation: Operation) -> v1::Operation {
    match operation {
        Operation::Seal => v1::Operation::Seal,
        Operation::Unseal => v1::Operation::Unseal,
    }
}

const fn warning(warning: Warning) -> v1::Warning {
    match warning {
        Warning::NewAddress => v1::Warning::NewAddress,
        Warning::OtherAddress => v1::Warning::OtherAddress,
        Warning::SecondAddress => v1::Warning::SecondAddress,
    }
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
