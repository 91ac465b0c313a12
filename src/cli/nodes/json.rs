//! Listed nodes for scripts. The field names are those of docs/spec/approval-protocol.md, times are RFC 3339 in UTC.

use nightlatch_approval_api::v1;
use serde_json::{Value, json};

use crate::clock::WallTime;

pub(super) fn list(snapshot: &v1::Snapshot) -> Value {
    json!({ "event": "nodes", "nodes": snapshot.nodes.iter().map(status).collect::<Vec<_>>() })
}

pub(super) fn changed(response: &v1::ChangeNodeResponse) -> Value {
    json!({
        "event": "node-change",
        "outcome": match response.outcome() {
            v1::ChangeOutcome::Changed => "changed",
            v1::ChangeOutcome::Counted => "counted",
            v1::ChangeOutcome::Repeated => "repeated",
            v1::ChangeOutcome::Unchanged => "unchanged",
            v1::ChangeOutcome::Unspecified => "unknown",
        },
        "node": response.node.as_ref().map(status),
        "votes_missing": response.votes_missing,
    })
}

fn status(status: &v1::NodeStatus) -> Value {
    let node = status.node.as_ref().map(|node| {
        json!({
            "uuid": node.uuid,
            "name": node.name,
            "cluster": (!node.cluster.is_empty()).then_some(&node.cluster),
        })
    });
    let is_known = status.last_approved_at_ms != 0;
    json!({
        "node": node,
        "addresses": status.addresses,
        "formerly": status.formerly,
        "listed_by": match status.listed_by() {
            v1::ListedBy::Configuration => "configuration",
            v1::ListedBy::People => "people",
            v1::ListedBy::Unspecified => "unknown",
        },
        "conflict": (!status.conflict.is_empty()).then_some(&status.conflict),
        "last_approved_at": is_known.then(|| WallTime::from_unix_millis(status.last_approved_at_ms).to_string()),
        "last_approved_by": is_known.then_some(&status.last_approved_by),
    })
}
