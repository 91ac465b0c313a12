//! Asks and what becomes of them, for scripts. Every object says in `event` what it is; the field names are those of
//! docs/spec/approval-protocol.md, times are RFC 3339 in UTC.

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::event::Event;
use serde_json::{Value, json};
use tonic::Status;

use crate::cli::channel::json::{ask, closed, grant, hex, node, operation, refusal as held, status, time};

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
