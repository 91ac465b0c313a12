//! Listed nodes for scripts. The field names are those of docs/spec/approval-protocol.md, times are RFC 3339 in UTC.

use nightlatch_approval_api::v1;
use serde_json::{Value, json};

use crate::cli::channel::json::status;

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
