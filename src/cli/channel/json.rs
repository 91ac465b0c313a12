//! Nodes, asks, grants and refusals for scripts, as every command prints them: the field names are those of
//! docs/spec/approval-protocol.md, times are RFC 3339 in UTC.

use nightlatch_approval_api::v1;
use serde_json::{Value, json};

use super::warnings;
use crate::clock::WallTime;

pub(in crate::cli) fn ask(ask: &v1::Ask) -> Value {
    json!({
        "id": hex(&ask.id),
        "code": ask.code,
        "operation": operation(ask.operation()),
        "node": node(ask.node.as_ref()),
        "address": ask.address,
        "origin": match ask.origin() {
            v1::Origin::Listed => "listed",
            v1::Origin::OtherAddress => "other-address",
            v1::Origin::PerAddress => "per-address",
            v1::Origin::Unspecified => "unknown",
        },
        "tls": ask.tls,
        "opened_at": time(ask.opened_at_ms),
        "last_attempt_at": time(ask.last_attempt_at_ms),
        "attempts": ask.attempts,
        "volumes": ask.volumes,
        "warnings": warnings(ask).map(|warning| match warning {
            v1::Warning::NewAddress => "new-address",
            v1::Warning::OtherAddress => "other-address",
            v1::Warning::SecondAddress => "second-address",
            v1::Warning::Moved => "moved",
            v1::Warning::Unspecified => "unknown",
        }).collect::<Vec<_>>(),
        "votes_missing": ask.votes_missing,
        "channels_missing": ask.channels_missing,
        "voted": ask.voted,
        "purpose": match ask.purpose() {
            v1::Purpose::Enrolment => "enrolment",
            v1::Purpose::Release | v1::Purpose::Unspecified => "release",
        },
        "last_approved_at": (ask.last_approved_at_ms != 0).then(|| time(ask.last_approved_at_ms)),
        "last_approved_by": (ask.last_approved_at_ms != 0).then_some(&ask.last_approved_by),
    })
}

pub(in crate::cli) fn closed(closed: &v1::Closed) -> Value {
    json!({
        "ask": closed.ask.as_ref().map(ask),
        "outcome": match closed.outcome() {
            v1::Outcome::Approved => "approved",
            v1::Outcome::Denied => "denied",
            v1::Outcome::Blocked => "blocked",
            v1::Outcome::Expired => "expired",
            v1::Outcome::Locked => "locked",
            v1::Outcome::Unspecified => "unknown",
        },
        "by": (!closed.by.is_empty()).then_some(&closed.by),
        "channel": (!closed.channel.is_empty()).then_some(&closed.channel),
        "at": time(closed.at_ms),
        "for_seconds": closed.for_seconds,
        "collectable_for_seconds": closed.collectable_for_seconds,
    })
}

pub(in crate::cli) fn grant(grant: &v1::Grant) -> Value {
    json!({
        "ask_id": hex(&grant.ask_id),
        "code": grant.code,
        "node": node(grant.node.as_ref()),
        "address": (!grant.address.is_empty()).then_some(&grant.address),
        "operation": operation(grant.operation()),
        "by": grant.by,
        "seconds_left": grant.seconds_left,
        "uses_left": grant.uses_left,
        "ahead": grant.ahead,
        "until": (grant.until_ms != 0).then(|| time(grant.until_ms)),
    })
}

pub(in crate::cli) fn refusal(refusal: &v1::Refusal) -> Value {
    json!({
        "kind": match refusal.kind() {
            v1::RefusalKind::Denial => "denial",
            v1::RefusalKind::Block | v1::RefusalKind::Unspecified => "block",
        },
        "node": node(refusal.node.as_ref()),
        "address": (!refusal.address.is_empty()).then_some(&refusal.address),
        "by": refusal.by,
        "until": time(refusal.until_ms),
    })
}

pub(in crate::cli) fn status(status: &v1::NodeStatus) -> Value {
    let is_known = status.last_approved_at_ms != 0;
    json!({
        "node": node(status.node.as_ref()),
        "last_approved_at": is_known.then(|| time(status.last_approved_at_ms)),
        "last_approved_by": is_known.then_some(&status.last_approved_by),
        "addresses": status.addresses,
        "formerly": status.formerly,
        "listed_by": match status.listed_by() {
            v1::ListedBy::Configuration => "configuration",
            v1::ListedBy::People => "people",
            v1::ListedBy::Unspecified => "unknown",
        },
        "conflict": (!status.conflict.is_empty()).then_some(&status.conflict),
    })
}

pub(in crate::cli) fn proposal(proposal: &v1::Proposal) -> Value {
    json!({
        "node": node(proposal.node.as_ref()),
        "address": (!proposal.address.is_empty()).then_some(&proposal.address),
        "for_seconds": proposal.for_seconds,
        "uses": proposal.uses,
        "by": proposal.by,
        "votes_missing": proposal.votes_missing,
        "channels_missing": proposal.channels_missing,
    })
}

pub(in crate::cli) fn lock(lock: &v1::Lock) -> Value {
    json!({
        "by": (!lock.by.is_empty()).then_some(&lock.by),
        "channel": (!lock.channel.is_empty()).then_some(&lock.channel),
        "at": time(lock.at_ms),
        "reason": match lock.reason() {
            v1::LockReason::Person => "person",
            v1::LockReason::OlderState => "older-state",
            v1::LockReason::Unspecified => "unknown",
        },
    })
}

pub(in crate::cli) fn key(key: &v1::Key) -> Value {
    json!({
        "name": key.name,
        "id": (!key.id.is_empty()).then_some(&key.id),
        "seals": key.seals,
        "present": key.present,
        "absence": (!key.absence.is_empty()).then_some(&key.absence),
    })
}

pub(in crate::cli) fn release(release: &v1::Release) -> Value {
    json!({
        "ask_id": hex(&release.ask_id),
        "operation": operation(release.operation()),
        "node": node(release.node.as_ref()),
        "address": release.address,
        "at": time(release.at_ms),
        "after_vote_ms": release.after_vote_ms,
        "fingerprint": release.fingerprint,
        "ahead_uses_left": release.ahead_uses_left,
    })
}

pub(in crate::cli) const fn vote_result(result: v1::VoteResult) -> &'static str {
    match result {
        v1::VoteResult::Decided => "decided",
        v1::VoteResult::Counted => "counted",
        v1::VoteResult::Repeated => "repeated",
        v1::VoteResult::Closed => "closed",
        v1::VoteResult::NotAnApprover => "not-an-approver",
        v1::VoteResult::Unknown | v1::VoteResult::Unspecified => "unknown",
    }
}

pub(in crate::cli) fn node(node: Option<&v1::Node>) -> Value {
    node.map_or(Value::Null, |node| {
        json!({
            "uuid": node.uuid,
            "name": node.name,
            "cluster": (!node.cluster.is_empty()).then_some(&node.cluster),
        })
    })
}

pub(in crate::cli) const fn operation(operation: v1::Operation) -> &'static str {
    match operation {
        v1::Operation::Seal => "seal",
        v1::Operation::Unseal | v1::Operation::Unspecified => "unseal",
    }
}

pub(in crate::cli) fn time(millis: i64) -> String {
    WallTime::from_unix_millis(millis).to_string()
}

pub(in crate::cli) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
