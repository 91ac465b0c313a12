//! Asks and what becomes of them, for scripts. Every object says in `event` what it is; the field names are those of
//! docs/spec/approval-protocol.md, times are RFC 3339 in UTC.

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::event::Event;
use serde_json::{Value, json};
use tonic::Status;

use crate::cli::channel::json::{
    ask, closed, grant, lock, node, proposal, refusal as held, release, status, time, vote_result,
};

pub(in crate::cli) fn snapshot(snapshot: &v1::Snapshot) -> Value {
    json!({
        "event": "snapshot",
        "installation": snapshot.installation,
        "server_version": snapshot.server_version,
        "asks": snapshot.asks.iter().map(ask).collect::<Vec<_>>(),
        "refusals": snapshot.refusals.iter().map(held).collect::<Vec<_>>(),
        "grants": snapshot.grants.iter().map(grant).collect::<Vec<_>>(),
        "closed": snapshot.closed.iter().map(closed).collect::<Vec<_>>(),
        "nodes": snapshot.nodes.iter().map(status).collect::<Vec<_>>(),
        "enrolments": snapshot.enrolments.iter().map(ask).collect::<Vec<_>>(),
        "proposals": snapshot.proposals.iter().map(proposal).collect::<Vec<_>>(),
        "lock": snapshot.lock.as_ref().map(lock),
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
        Event::Release(done) => {
            let mut told = release(done);
            if let Value::Object(fields) = &mut told {
                fields.insert("event".to_owned(), "release".into());
            }
            told
        }
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
        Event::EnrolmentOpened(opened) => json!({ "event": "enrolment-opened", "ask": ask(opened) }),
        Event::EnrolmentChanged(changed) => json!({ "event": "enrolment-changed", "ask": ask(changed) }),
        Event::EnrolmentClosed(closed_ask) => json!({ "event": "enrolment-closed", "closed": closed(closed_ask) }),
        Event::Granted(granted) => json!({ "event": "granted", "grant": grant(granted) }),
        Event::Proposed(proposed) => json!({ "event": "proposed", "proposal": proposal(proposed) }),
        Event::Revoked(revoked) => json!({
            "event": "revoked",
            "ended": revoked.ended.iter().map(grant).collect::<Vec<_>>(),
            "withdrawn": revoked.withdrawn.iter().map(proposal).collect::<Vec<_>>(),
            "by": revoked.by,
        }),
        Event::Locked(locked) => json!({ "event": "locked", "lock": lock(locked) }),
        Event::Unlocked(unlocked) => json!({ "event": "unlocked", "by": unlocked.by }),
        Event::NodeChanged(changed) => json!({
            "event": "node-changed",
            "node": changed.node.as_ref().map(status),
            "change": match changed.change() {
                v1::NodeChange::Listed => "listed",
                v1::NodeChange::Changed => "changed",
                v1::NodeChange::Forgotten => "forgotten",
                v1::NodeChange::Unspecified => "unknown",
            },
            "by": changed.by,
        }),
    }
}

pub(super) fn vote(response: &v1::VoteResponse) -> Value {
    json!({
        "event": "vote",
        "result": vote_result(response.result()),
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
