//! The copies of what goes beyond one ask: approvals ahead, the lock, and the list of nodes.

use tracing::{info, warn};

use super::{TARGET, event, field, origin, text};
use crate::audit::record::{Entry, Record};

pub(super) fn copy_ahead(record: &Record) {
    let seq = record.seq;
    match &record.entry {
        Entry::GrantProposed(proposed) => event!(info, seq, "grant proposed", {
            { field::NODE } = %proposed.node.uuid,
            { field::NODE_NAME } = %proposed.node.name,
            { field::ORIGIN } = origin(proposed.origin),
            { field::FOR_SECONDS } = proposed.for_seconds,
            { field::USES } = proposed.uses,
            { field::BY } = %proposed.approver,
            { field::CHANNEL } = %proposed.channel,
            { field::UID } = proposed.uid,
        }),
        Entry::GrantSet(set) => event!(info, seq, "grant set", {
            { field::ASK_ID } = %set.grant.id,
            { field::ASK_CODE } = %set.grant.code,
            { field::NODE } = %set.node.uuid,
            { field::NODE_NAME } = %set.node.name,
            { field::ORIGIN } = origin(set.origin),
            { field::APPROVERS } = %set.approvers,
            { field::UNTIL } = %set.until,
            { field::USES } = set.uses,
            { field::BY } = %set.by,
            { field::CHANNEL } = %set.channel,
            { field::UID } = set.uid,
        }),
        Entry::GrantRevoked(revoked) => event!(warn, seq, "grant revoked", {
            { field::ASK_ID } = %revoked.grant.id,
            { field::ASK_CODE } = %revoked.grant.code,
            { field::NODE } = %revoked.node.uuid,
            { field::NODE_NAME } = %revoked.node.name,
            { field::BY } = %revoked.by,
            { field::CHANNEL } = %revoked.channel,
        }),
        Entry::Locked(locked) => event!(warn, seq, "everything locked", {
            { field::REASON } = locked.reason.as_str(),
            { field::BY } = text(locked.by.as_ref()),
            { field::CHANNEL } = text(locked.channel.as_ref()),
        }),
        Entry::Unlocked(unlocked) => event!(warn, seq, "lock ended", {
            { field::BY } = %unlocked.by,
            { field::CHANNEL } = %unlocked.channel,
            { field::UID } = unlocked.uid,
        }),
        _ => {}
    }
}

pub(super) fn copy_list(record: &Record) {
    let seq = record.seq;
    match &record.entry {
        Entry::EnrolmentOpened(ask) => event!(info, seq, "enrolment opened", {
            { field::ASK_ID } = %ask.ask.id,
            { field::ASK_CODE } = %ask.ask.code,
            { field::OPERATION } = %ask.operation,
            { field::NODE } = %ask.node.uuid,
            { field::NODE_NAME } = %ask.node.name,
            { field::ADDRESS } = %ask.address,
            { field::TLS } = ask.tls,
        }),
        Entry::EnrolmentClosed(ask) => event!(info, seq, "enrolment closed", {
            { field::ASK_ID } = %ask.ask.id,
            { field::ASK_CODE } = %ask.ask.code,
            { field::OUTCOME } = ask.outcome.as_str(),
            { field::NODE } = %ask.node.uuid,
            { field::NODE_NAME } = %ask.node.name,
            { field::ADDRESS } = %ask.address,
            { field::BY } = text(ask.by.as_ref()),
            { field::CHANNEL } = text(ask.channel.as_ref()),
            { field::ATTEMPTS } = ask.attempts,
        }),
        Entry::NodeListProposed(proposed) => event!(info, seq, "list proposed", {
            { field::CHANGE } = proposed.change.as_str(),
            { field::NODE } = %proposed.node.uuid,
            { field::NODE_NAME } = %proposed.node.name,
            { field::ADDRESSES } = %proposed.addresses,
            { field::BY } = %proposed.by,
            { field::CHANNEL } = %proposed.channel,
            { field::UID } = proposed.uid,
        }),
        Entry::NodeListChanged(changed) => event!(warn, seq, "list changed", {
            { field::CHANGE } = changed.change.as_str(),
            { field::NODE } = %changed.node.uuid,
            { field::NODE_NAME } = %changed.node.name,
            { field::ADDRESSES } = %changed.addresses,
            { field::BY } = %changed.by,
            { field::CHANNEL } = %changed.channel,
            { field::UID } = changed.uid,
        }),
        _ => {}
    }
}
