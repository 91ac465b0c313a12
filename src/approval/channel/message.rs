//! The ledger's data as messages of `nightlatch.approval.v1`.

use std::collections::HashMap;
use std::time::Duration;

use nightlatch_approval_api::v1;
use prost::Message as _;

use crate::approval::ask::{
    Ask, AskId, ClosedAsk, Event, LiveGrant, NodeChange, Notice, NoticeKind, Outcome, Proposal, Purpose, Release,
    Warning,
};
use crate::approval::ledger::act::{Answer, GrantAnswer};
use crate::approval::policy::Vote;
use crate::peer::admission::Lists;
use crate::peer::standing::{LastApproval, Lock, LockedBy, Refusal, RefusalKind};
use crate::peer::{ListedBy, ListedNode, Node, Origin};
use crate::request::{NodeUuid, Operation};

/// An event, if it is one that channels are told.
#[must_use]
pub fn event(event: &Event) -> Option<v1::Event> {
    let event = match event {
        Event::Opened(opened) => match opened.purpose {
            Purpose::Release => v1::event::Event::Opened(ask(opened)),
            Purpose::Enrolment => v1::event::Event::EnrolmentOpened(ask(opened)),
        },
        Event::Changed(changed) => match changed.purpose {
            Purpose::Release => v1::event::Event::Changed(ask(changed)),
            Purpose::Enrolment => v1::event::Event::EnrolmentChanged(ask(changed)),
        },
        Event::Closed(closed_ask) => match closed_ask.ask.purpose {
            Purpose::Release => v1::event::Event::Closed(closed(closed_ask)),
            Purpose::Enrolment => v1::event::Event::EnrolmentClosed(closed(closed_ask)),
        },
        Event::Granted { grant: given, .. } => v1::event::Event::Granted(grant(given)),
        Event::Proposed { proposal: proposed, .. } => v1::event::Event::Proposed(proposal(proposed)),
        Event::Revoked { ended, withdrawn, by } => v1::event::Event::Revoked(v1::Revoked {
            ended: ended.iter().map(grant).collect(),
            withdrawn: withdrawn.iter().map(proposal).collect(),
            by: by.vote.approver.to_string(),
        }),
        Event::Locked { lock: locked, .. } => v1::event::Event::Locked(lock(locked)),
        Event::Unlocked { by } => v1::event::Event::Unlocked(v1::Unlocked { by: by.vote.approver.to_string() }),
        Event::NodeChanged { entry: changed, change, by } => v1::event::Event::NodeChanged(v1::NodeChanged {
            node: Some(entry(&changed.node)),
            change: match change {
                NodeChange::Listed => v1::NodeChange::Listed,
                NodeChange::Changed => v1::NodeChange::Changed,
                NodeChange::Forgotten => v1::NodeChange::Forgotten,
            }
            .into(),
            by: by.vote.approver.to_string(),
        }),
        Event::Released(released) => v1::event::Event::Release(release(released)),
        Event::Notice(noted) => v1::event::Event::Notice(notice(noted)),
        Event::Refused { refusal: set, node, .. } => v1::event::Event::Refused(refusal(set, Some(node))),
        Event::Lifted { refusal: ended, node, by } => v1::event::Event::Lifted(v1::Lifted {
            refusal: Some(refusal(ended, Some(node))),
            by: by.vote.approver.to_string(),
        }),
        // What it leads to is told: a change, an outcome.
        Event::Voted { .. } | Event::ChangeProposed { .. } => return None,
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
        purpose: match ask.purpose {
            Purpose::Release => v1::Purpose::Release,
            Purpose::Enrolment => v1::Purpose::Enrolment,
        }
        .into(),
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
            Outcome::Locked => v1::Outcome::Locked,
        }
        .into(),
        by: by.map_or_else(String::new, |vote| vote.approver.to_string()),
        channel: by.map_or_else(String::new, |vote| vote.channel.to_string()),
        at_ms: closed.at.unix_millis(),
        for_seconds: whole_seconds(closed.lasts),
        collectable_for_seconds: whole_seconds(closed.collectable),
    }
}

/// What became of a vote.
#[must_use]
pub fn vote_response(answer: &Answer) -> v1::VoteResponse {
    use v1::VoteResult;
    let (result, still_open, closed_ask) = match answer {
        Answer::Decided(decided) => (VoteResult::Decided, None, Some(decided)),
        Answer::Counted(counted) => (VoteResult::Counted, Some(counted), None),
        Answer::Repeated(repeated) => (VoteResult::Repeated, Some(repeated), None),
        Answer::Closed(closed_ask) => (VoteResult::Closed, None, Some(closed_ask)),
        Answer::NotAnApprover(open) => (VoteResult::NotAnApprover, Some(open), None),
        _ => (VoteResult::Unknown, None, None),
    };
    v1::VoteResponse {
        result: result.into(),
        ask: still_open.map(|open| ask(open)),
        closed: closed_ask.map(|closed_ask| closed(closed_ask)),
    }
}

/// What became of one of several votes.
#[must_use]
pub fn voted((id, answer): &(AskId, Answer)) -> v1::Voted {
    let v1::VoteResponse { result, ask, closed } = vote_response(answer);
    v1::Voted { ask_id: id.0.to_vec(), result, ask, closed }
}

/// A denial or block; `listed` is the node it binds, if that is listed still.
#[must_use]
pub fn refusal(refusal: &Refusal, listed: Option<&ListedNode>) -> v1::Refusal {
    let unlisted = || v1::Node { uuid: refusal.node.to_string(), name: String::new(), cluster: String::new() };
    v1::Refusal {
        node: Some(listed.map_or_else(unlisted, |listed| node(listed))),
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
        address: network(grant.origin),
        operation: operation(grant.operation).into(),
        by: names(&grant.votes),
        seconds_left: whole_seconds(grant.left),
        uses_left: grant.uses_left,
        ahead: grant.ahead,
        until_ms: grant.until.unix_millis(),
    }
}

/// A grant ahead for which more votes are needed.
#[must_use]
pub fn proposal(proposal: &Proposal) -> v1::Proposal {
    let missing = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    v1::Proposal {
        node: Some(node(&proposal.node)),
        address: network(proposal.origin),
        for_seconds: whole_seconds(proposal.lasts),
        uses: proposal.uses,
        by: names(&proposal.votes),
        votes_missing: missing(proposal.requirement.missing(&proposal.votes)),
        channels_missing: missing(proposal.requirement.missing_channels(&proposal.votes)),
    }
}

/// What became of a grant ahead that was wanted.
#[must_use]
pub fn grant_result((listed, answer): &(ListedNode, GrantAnswer)) -> v1::GrantResult {
    use v1::GrantOutcome;
    let mut result = v1::GrantResult { node: Some(node(listed)), ..v1::GrantResult::default() };
    let outcome = match answer {
        GrantAnswer::Granted(given) => {
            result.grant = Some(grant(given));
            GrantOutcome::Granted
        }
        GrantAnswer::Counted(counted) => {
            result.proposal = Some(proposal(counted));
            GrantOutcome::Counted
        }
        GrantAnswer::Repeated(repeated) => {
            result.proposal = Some(proposal(repeated));
            GrantOutcome::Repeated
        }
        GrantAnswer::DenyRule => GrantOutcome::DenyRule,
        GrantAnswer::Refused(bound) => {
            result.refusal = Some(refusal(bound, Some(listed)));
            GrantOutcome::Refused
        }
        GrantAnswer::NoAddress => GrantOutcome::NoAddress,
        GrantAnswer::OtherAddress => GrantOutcome::OtherAddress,
    };
    result.outcome = outcome.into();
    result
}

/// The lock.
#[must_use]
pub fn lock(lock: &Lock) -> v1::Lock {
    let (by, channel, reason) = match &lock.by {
        LockedBy::Person { approver, channel } => (approver.to_string(), channel.to_string(), v1::LockReason::Person),
        LockedBy::OlderState => (String::new(), String::new(), v1::LockReason::OlderState),
    };
    v1::Lock { by, channel, at_ms: lock.at.unix_millis(), reason: reason.into() }
}

/// The addresses that something binds: nothing for those that are listed.
fn network(origin: Origin) -> String {
    match origin {
        Origin::Listed => String::new(),
        Origin::OtherAddress(network) | Origin::PerAddress(network) => network.to_string(),
    }
}

fn names(votes: &[Vote]) -> Vec<String> {
    votes.iter().map(|vote| vote.approver.to_string()).collect()
}

/// Longest that the nodes of a snapshot are together, in bytes.
pub const MAX_NODES_LEN: usize = 1024 * 1024;

/// The listed nodes, and who approved each last; behind them those that people listed and that are not in force. Those that
/// do not fit into [`MAX_NODES_LEN`] are left out: a snapshot that a client cannot read would keep everybody from answering.
#[must_use]
pub fn nodes(lists: &Lists, approvals: &HashMap<NodeUuid, LastApproval>) -> Vec<v1::NodeStatus> {
    let conflicts: HashMap<&NodeUuid, &str> = lists
        .listings()
        .iter()
        .filter(|listing| listing.in_force)
        .filter_map(|listing| Some((&listing.node.uuid, listing.conflict.as_deref()?)))
        .collect();
    let in_force = lists.nodes().map(|listed| {
        let last = approvals.get(&listed.uuid);
        v1::NodeStatus {
            last_approved_at_ms: last.map_or(0, |last| last.at.unix_millis()),
            last_approved_by: last.map_or_else(String::new, |last| last.by.to_string()),
            conflict: conflicts.get(&listed.uuid).copied().unwrap_or_default().to_owned(),
            ..entry(listed)
        }
    });
    let others = lists.listings().iter().filter(|listing| !listing.in_force).map(|listing| v1::NodeStatus {
        conflict: listing.conflict.clone().unwrap_or_default(),
        ..entry(&listing.node)
    });
    let mut len = 0;
    let fits = |status: &v1::NodeStatus| {
        // With its tag, and its length.
        let status_len = status.encoded_len();
        len += 1 + prost::length_delimiter_len(status_len) + status_len;
        len <= MAX_NODES_LEN
    };
    in_force.chain(others).take_while(fits).collect()
}

/// A node's entry, without what is known of its approvals.
#[must_use]
pub fn entry(listed: &Node) -> v1::NodeStatus {
    v1::NodeStatus {
        node: Some(node(listed)),
        addresses: listed.addresses.iter().map(ToString::to_string).collect(),
        formerly: listed.formerly.iter().map(ToString::to_string).collect(),
        listed_by: match listed.listed_by {
            ListedBy::Configuration => v1::ListedBy::Configuration,
            ListedBy::People => v1::ListedBy::People,
        }
        .into(),
        ..v1::NodeStatus::default()
    }
}

/// A release.
#[must_use]
pub fn release(release: &Release) -> v1::Release {
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
        ahead_uses_left: grant.filter(|grant| grant.ahead).map(|grant| grant.uses_left),
    }
}

fn notice(notice: &Notice) -> v1::Notice {
    v1::Notice {
        kind: match notice.kind {
            NoticeKind::OtherAddress => v1::NoticeKind::OtherAddress,
            NoticeKind::Strangers => v1::NoticeKind::Strangers,
            NoticeKind::TooManyAsks => v1::NoticeKind::TooManyAsks,
            NoticeKind::TooManyEnrolments => v1::NoticeKind::TooManyEnrolments,
            NoticeKind::Locked => v1::NoticeKind::Locked,
        }
        .into(),
        node: notice.node.as_deref().map(node),
        address: notice.address.to_string(),
        count: notice.count,
        at_ms: notice.at.unix_millis(),
    }
}

fn node(node: &Node) -> v1::Node {
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
        Warning::Moved => v1::Warning::Moved,
    }
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
