//! A copy of every record for the journal, as a tracing event, made when everybody who waits for the record was told.
//! Events may be lost on the way: the copy is for people who watch, never the record.

mod beyond;

use std::error::Error;

use tracing::{error, info, warn};

use super::log::Unrecorded;
use super::record::{Entry, Name, Origin, Record};

/// The target of every event.
pub const TARGET: &str = "nightlatch::audit";

/// The names of all fields.
pub mod field {
    /// The peer's address.
    pub const ADDRESS: &str = "address";
    /// Those who approved, with commas between them.
    pub const APPROVERS: &str = "approvers";
    /// Match code of the ask.
    pub const ASK_CODE: &str = "ask_code";
    /// Id of the ask.
    pub const ASK_ID: &str = "ask_id";
    /// How often the node called.
    pub const ATTEMPTS: &str = "attempts";
    /// Fingerprint of the sealed blob.
    pub const BLOB: &str = "blob";
    /// The person who decided.
    pub const BY: &str = "by";
    /// How the list of nodes changed.
    pub const CHANGE: &str = "change";
    /// The approval channel.
    pub const CHANNEL: &str = "channel";
    /// How many calls.
    pub const COUNT: &str = "count";
    /// Bytes that were cut off.
    pub const CUT_BYTES: &str = "cut_bytes";
    /// Lines that are no records.
    pub const DAMAGED_LINES: &str = "damaged_lines";
    /// Whether the vote decided the ask.
    pub const DECIDED: &str = "decided";
    /// What failed, with all that it came from.
    pub const ERROR: &str = "error";
    /// Generation of the durable state.
    pub const GENERATION: &str = "generation";
    /// The installation id.
    pub const INSTALLATION: &str = "installation";
    /// Id of the key.
    pub const KEY: &str = "key";
    /// Denial or block.
    pub const KIND: &str = "kind";
    /// The node's identifier.
    pub const NODE: &str = "node";
    /// The node's name.
    pub const NODE_NAME: &str = "node_name";
    /// Seal or unseal.
    pub const OPERATION: &str = "operation";
    /// From where the node called, as far as approvals are bound to it.
    pub const ORIGIN: &str = "origin";
    /// How an ask ended.
    pub const OUTCOME: &str = "outcome";
    /// Why.
    pub const REASON: &str = "reason";
    /// What the rule said.
    pub const RULE: &str = "rule";
    /// Number of the record in the audit log.
    pub const SEQ: &str = "seq";
    /// The server's version.
    pub const SERVER_VERSION: &str = "server_version";
    /// Whether the connection is encrypted.
    pub const TLS: &str = "tls";
    /// User id of the channel's process.
    pub const UID: &str = "uid";
    /// Releases that an approval ahead is good for.
    pub const USES: &str = "uses";
    /// From where the node calls.
    pub const ADDRESSES: &str = "addresses";
    /// For how long an approval ahead is wanted.
    pub const FOR_SECONDS: &str = "for_seconds";
    /// When that which was decided ends.
    pub const UNTIL: &str = "until";
    /// What was answered.
    pub const VERDICT: &str = "verdict";
    /// Different blobs that were asked for.
    pub const VOLUMES: &str = "volumes";
}

/// One event with the fields of one record.
macro_rules! event {
    ($level:ident, $seq:expr, $message:literal, { $($fields:tt)+ }) => {
        $level!(target: TARGET, { { field::SEQ } = $seq, $($fields)+ }, $message)
    };
}

use event;

/// Copies `record` to the journal.
pub fn copy(record: &Record) {
    match &record.entry {
        Entry::AskOpened(_) | Entry::AskClosed(_) | Entry::Vote(_) => copy_ask(record),
        Entry::Released(_) | Entry::ReleaseFailed(_) | Entry::Refused(_) | Entry::Dropped(_) => copy_answer(record),
        Entry::RefusalSet(_) | Entry::RefusalLifted(_) => copy_standing(record),
        Entry::GrantProposed(_)
        | Entry::GrantSet(_)
        | Entry::GrantRevoked(_)
        | Entry::Locked(_)
        | Entry::Unlocked(_) => {
            beyond::copy_ahead(record);
        }
        Entry::EnrolmentOpened(_)
        | Entry::EnrolmentClosed(_)
        | Entry::NodeListProposed(_)
        | Entry::NodeListChanged(_) => beyond::copy_list(record),
        Entry::Started(_) | Entry::Stopped(_) | Entry::StateSaved(_) | Entry::Repaired(_) => copy_server(record),
    }
}

/// Says that records could not be written.
pub fn failed(failure: &Unrecorded) {
    let mut chain = failure.to_string();
    let mut source = failure.source();
    while let Some(error) = source {
        chain.push_str(": ");
        chain.push_str(&error.to_string());
        source = error.source();
    }
    error!(target: TARGET, { { field::ERROR } = %chain }, "record failed");
}

fn copy_ask(record: &Record) {
    let seq = record.seq;
    match &record.entry {
        Entry::AskOpened(ask) => event!(info, seq, "ask opened", {
            { field::ASK_ID } = %ask.ask.id,
            { field::ASK_CODE } = %ask.ask.code,
            { field::OPERATION } = %ask.operation,
            { field::NODE } = %ask.node.uuid,
            { field::NODE_NAME } = %ask.node.name,
            { field::ADDRESS } = %ask.address,
            { field::ORIGIN } = origin(ask.origin),
            { field::TLS } = ask.tls,
        }),
        Entry::AskClosed(ask) => event!(info, seq, "ask closed", {
            { field::ASK_ID } = %ask.ask.id,
            { field::ASK_CODE } = %ask.ask.code,
            { field::OUTCOME } = ask.outcome.as_str(),
            { field::NODE } = %ask.node.uuid,
            { field::NODE_NAME } = %ask.node.name,
            { field::ADDRESS } = %ask.address,
            { field::BY } = text(ask.by.as_ref()),
            { field::CHANNEL } = text(ask.channel.as_ref()),
            { field::ATTEMPTS } = ask.attempts,
            { field::VOLUMES } = ask.volumes,
            { field::UNTIL } = ask.until.map(|until| until.to_string()),
        }),
        Entry::Vote(vote) => event!(info, seq, "vote received", {
            { field::ASK_ID } = %vote.ask.id,
            { field::ASK_CODE } = %vote.ask.code,
            { field::NODE } = %vote.node.uuid,
            { field::NODE_NAME } = %vote.node.name,
            { field::VERDICT } = vote.verdict.as_str(),
            { field::DECIDED } = vote.decided,
            { field::BY } = %vote.approver,
            { field::CHANNEL } = %vote.channel,
            { field::UID } = vote.uid,
        }),
        _ => {}
    }
}

fn copy_answer(record: &Record) {
    let seq = record.seq;
    match &record.entry {
        Entry::Released(released) => event!(info, seq, "secret released", {
            { field::OPERATION } = %released.operation,
            { field::NODE } = %released.node.uuid,
            { field::NODE_NAME } = %released.node.name,
            { field::ADDRESS } = %released.address,
            { field::ORIGIN } = origin(released.origin),
            { field::TLS } = released.tls,
            { field::ASK_ID } = released.ask.as_ref().map(|ask| ask.id.to_string()),
            { field::ASK_CODE } = released.ask.as_ref().map(|ask| ask.code.to_string()),
            { field::RULE } = released.rule.as_str(),
            { field::APPROVERS } = %released.approvers,
            { field::BLOB } = %released.blob,
            { field::KEY } = %released.key,
        }),
        Entry::ReleaseFailed(failed) => event!(warn, seq, "release failed", {
            { field::OPERATION } = %failed.operation,
            { field::NODE } = %failed.node.uuid,
            { field::NODE_NAME } = %failed.node.name,
            { field::ADDRESS } = %failed.address,
            { field::ASK_ID } = failed.ask.as_ref().map(|ask| ask.id.to_string()),
            { field::ASK_CODE } = failed.ask.as_ref().map(|ask| ask.code.to_string()),
            { field::RULE } = failed.rule.as_str(),
            { field::APPROVERS } = %failed.approvers,
            { field::BLOB } = text(failed.blob.as_ref()),
            { field::REASON } = %failed.reason,
        }),
        Entry::Refused(refused) => event!(warn, seq, "calls refused", {
            { field::ADDRESS } = %refused.address,
            { field::NODE } = text(refused.node.as_ref()),
            { field::REASON } = refused.reason.as_str(),
            { field::COUNT } = refused.count,
        }),
        Entry::Dropped(dropped) => event!(warn, seq, "refusals dropped", {
            { field::COUNT } = dropped.count,
        }),
        _ => {}
    }
}

fn copy_standing(record: &Record) {
    let seq = record.seq;
    match &record.entry {
        Entry::RefusalSet(set) => event!(warn, seq, "refusal set", {
            { field::KIND } = set.kind.as_str(),
            { field::NODE } = %set.node.uuid,
            { field::NODE_NAME } = %set.node.name,
            { field::ORIGIN } = set.origin.map(origin),
            { field::BY } = %set.by,
            { field::CHANNEL } = %set.channel,
            { field::UNTIL } = %set.until,
        }),
        Entry::RefusalLifted(lifted) => event!(info, seq, "refusal lifted", {
            { field::KIND } = lifted.kind.as_str(),
            { field::NODE } = %lifted.node.uuid,
            { field::NODE_NAME } = %lifted.node.name,
            { field::ORIGIN } = lifted.origin.map(origin),
            { field::BY } = %lifted.by,
            { field::CHANNEL } = %lifted.channel,
        }),
        _ => {}
    }
}

fn copy_server(record: &Record) {
    let seq = record.seq;
    match &record.entry {
        Entry::Started(started) => event!(info, seq, "server started", {
            { field::SERVER_VERSION } = %started.server_version,
            { field::INSTALLATION } = %started.installation,
        }),
        Entry::Stopped(stopped) => event!(info, seq, "server stopped", {
            { field::REASON } = %stopped.reason,
        }),
        Entry::StateSaved(saved) => event!(info, seq, "state saved", {
            { field::GENERATION } = saved.generation,
        }),
        Entry::Repaired(repaired) => event!(warn, seq, "log repaired", {
            { field::CUT_BYTES } = repaired.cut_bytes,
            { field::DAMAGED_LINES } = repaired.damaged_lines,
        }),
        _ => {}
    }
}

fn text(name: Option<&Name>) -> Option<String> {
    name.map(ToString::to_string)
}

fn origin(origin: Origin) -> String {
    match origin {
        Origin::Listed => "listed".into(),
        Origin::OtherAddress { network } => format!("other-address {network}"),
        Origin::PerAddress { network } => format!("per-address {network}"),
    }
}

#[cfg(test)]
mod tests;
