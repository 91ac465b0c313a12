//! Asks and what becomes of them, for scripts. Every object says in `event` what it is; the field names are those of
//! docs/spec/approval-protocol.md, times are RFC 3339 in UTC.

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::event::Event;
use serde_json::{Value, json};
use tonic::Status;

use crate::clock::WallTime;

pub(super) fn snapshot(snapshot: &v1::Snapshot) -> Value {
    json!({
        "event": "snapshot",
        "installation": snapshot.installation,
        "server_version": snapshot.server_version,
        "asks": snapshot.asks.iter().map(ask).collect::<Vec<_>>(),
        "refusals": snapshot.refusals.iter().map(held).collect::<Vec<_>>(),
        "grants": snapshot.grants.iter().map(grant).collect::<Vec<_>>(),
        "closed": snapshot.closed.iter().map(closed).collect::<Vec<_>>(),
        "nodes": snapshot.nodes.iter().map(status).collect::<Vec<_>>(),
    })
}

pub(super) fn event(event: &Event) -> Value {
    match event {
        Event::Snapshot(again) => snapshot(again),
        Event::Opened(opened) => json!({ "event": "opened", "ask": ask(opened) }),
        Event::Changed(changed) => json!({ "event": "changed", "ask": ask(changed) }),
        Event::Closed(closed_ask) => json!({ "event": "closed", "closed": closed(closed_ask) }),
        Event::Refused(refused) => json!({ "event": "refused", "refusal": held(refused) }),
        Event::Lifted(lifted) => {
            json!({ "event": "lifted", "refusal": lifted.refusal.as_ref().map(held), "by": lifted.by })
        }
        Event::Release(release) => json!({
            "event": "release",
            "ask_id": hex(&release.ask_id),
            "operation": operation(release.operation()),
            "node": node(release.node.as_ref()),
            "address": release.address,
            "at": time(release.at_ms),
            "after_vote_ms": release.after_vote_ms,
            "fingerprint": release.fingerprint,
        }),
        Event::Notice(notice) => json!({
            "event": "notice",
            "kind": match notice.kind() {
                v1::NoticeKind::OtherAddress => "other-address",
                v1::NoticeKind::Strangers => "strangers",
                v1::NoticeKind::TooManyAsks => "too-many-asks",
                v1::NoticeKind::TooManyEnrolments => "too-many-enrolments",
                v1::NoticeKind::Locked => "locked",
                v1::NoticeKind::Unspecified => "unknown",
            },
            "node": notice.node.as_ref().map(|known| node(Some(known))),
            "address": notice.address,
            "count": notice.count,
            "at": time(notice.at_ms),
        }),
        Event::EnrolmentOpened(_)
        | Event::EnrolmentChanged(_)
        | Event::EnrolmentClosed(_)
        | Event::Granted(_)
        | Event::Proposed(_)
        | Event::Revoked(_)
        | Event::Locked(_)
        | Event::Unlocked(_)
        | Event::NodeChanged(_) => json!({ "event": "unknown" }),
    }
}

pub(super) fn vote(response: &v1::VoteResponse) -> Value {
    json!({
        "event": "vote",
        "result": match response.result() {
            v1::VoteResult::Decided => "decided",
            v1::VoteResult::Counted => "counted",
            v1::VoteResult::Repeated => "repeated",
            v1::VoteResult::Closed => "closed",
            v1::VoteResult::NotAnApprover => "not-an-approver",
            v1::VoteResult::Unknown | v1::VoteResult::Unspecified => "unknown",
        },
        "ask": response.ask.as_ref().map(ask),
        "closed": response.closed.as_ref().map(closed),
    })
}

pub(super) fn refusal(refusal: &v1::Refusal) -> Value {
    json!({ "event": "blocked", "refusal": held(refusal) })
}

pub(super) fn unblocked(ended: u32) -> Value {
    json!({ "event": "unblocked", "ended": ended })
}

pub(super) fn asleep() -> Value {
    json!({ "event": "asleep" })
}

pub(super) fn lost(status: &Status) -> Value {
    json!({ "event": "lost", "reason": status.message() })
}

fn ask(ask: &v1::Ask) -> Value {
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
        "warnings": super::warnings(ask).map(|warning| match warning {
            v1::Warning::NewAddress => "new-address",
            v1::Warning::OtherAddress => "other-address",
            v1::Warning::SecondAddress => "second-address",
            v1::Warning::Unspecified => "unknown",
        }).collect::<Vec<_>>(),
        "votes_missing": ask.votes_missing,
        "channels_missing": ask.channels_missing,
        "voted": ask.voted,
        "last_approved_at": (ask.last_approved_at_ms != 0).then(|| time(ask.last_approved_at_ms)),
        "last_approved_by": (ask.last_approved_at_ms != 0).then_some(&ask.last_approved_by),
    })
}

fn closed(closed: &v1::Closed) -> Value {
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

fn grant(grant: &v1::Grant) -> Value {
    json!({
        "ask_id": hex(&grant.ask_id),
        "code": grant.code,
        "node": node(grant.node.as_ref()),
        "address": (!grant.address.is_empty()).then_some(&grant.address),
        "operation": operation(grant.operation()),
        "by": grant.by,
        "seconds_left": grant.seconds_left,
        "uses_left": grant.uses_left,
    })
}

fn held(refusal: &v1::Refusal) -> Value {
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

fn status(status: &v1::NodeStatus) -> Value {
    let is_known = status.last_approved_at_ms != 0;
    json!({
        "node": node(status.node.as_ref()),
        "last_approved_at": is_known.then(|| time(status.last_approved_at_ms)),
        "last_approved_by": is_known.then_some(&status.last_approved_by),
    })
}

fn node(node: Option<&v1::Node>) -> Value {
    node.map_or(Value::Null, |node| {
        json!({
            "uuid": node.uuid,
            "name": node.name,
            "cluster": (!node.cluster.is_empty()).then_some(&node.cluster),
        })
    })
}

const fn operation(operation: v1::Operation) -> &'static str {
    match operation {
        v1::Operation::Seal => "seal",
        v1::Operation::Unseal | v1::Operation::Unspecified => "unseal",
    }
}

fn time(millis: i64) -> String {
    WallTime::from_unix_millis(millis).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
