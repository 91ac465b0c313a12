//! What is recorded: a closed set of events, each one line of JSON. Pure: no I/O, no clock.
//!
//! The fields are those of docs/spec/audit-log.md, in its order.

mod text;
mod time;
mod words;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::clock::WallTime;
use crate::peer;
use crate::peer::standing::RefusalKind;
use crate::request::Operation;

pub use text::{Detail, Name, Names, Text};
pub use words::{AskOutcome, ListChange, LockReason, Reason, RuleAction, Verdict};
use words::{OperationWord, RefusalKindWord};

/// Longest line, in bytes, its line feed included.
pub const MAX_LINE_LEN: usize = 4096;

/// Largest `seq`: every JSON reader keeps integers up to here exactly (RFC 8259 section 6).
pub const MAX_SEQ: u64 = (1 << 53) - 1;

/// How a header begins, in every version.
pub const HEADER_START: &str = r#"{"format":"nightlatch-audit","version":"#;

/// The version that is written, and the only one that is appended to.
pub const VERSION: u32 = 1;

/// The first line of a file.
#[must_use]
pub fn header(created: WallTime) -> String {
    format!("{HEADER_START}{VERSION},\"created\":\"{}\"}}\n", time::shown(created))
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number: 1 to [`MAX_SEQ`], one more than that of the record before.
    pub seq: u64,
    /// When it happened.
    #[serde(with = "time")]
    pub time: WallTime,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Record {
    /// The record as a line, of at most [`MAX_LINE_LEN`] bytes.
    ///
    /// # Errors
    /// None that is known: a record is nothing but bounded strings, numbers and enums.
    pub fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = Vec::with_capacity(512);
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut line, text::Ascii))?;
        line.push(b'\n');
        Ok(line)
    }

    /// Reads a line, its line feed or not.
    ///
    /// # Errors
    /// When it is no record, or has fields that the specification does not name.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Entry {
    /// An ask has its outcome.
    AskClosed(AskClosed),
    /// A question to the approvers.
    AskOpened(AskOpened),
    /// Refusals that no record tells of.
    Dropped(Dropped),
    /// The ask of an unlisted node has its outcome.
    EnrolmentClosed(EnrolmentClosed),
    /// An unlisted node wants to be listed.
    EnrolmentOpened(EnrolmentOpened),
    /// Somebody wants to approve ahead, and more votes are needed.
    GrantProposed(GrantProposed),
    /// A grant was ended by a person.
    GrantRevoked(GrantRevoked),
    /// Somebody approved ahead.
    GrantSet(GrantSet),
    /// Everything is refused from now on.
    Locked(Locked),
    /// The list of nodes that people keep has changed.
    NodeListChanged(NodeListChanged),
    /// A denial or a block was lifted.
    RefusalLifted(RefusalLifted),
    /// A denial or a block was set.
    RefusalSet(RefusalSet),
    /// Calls that got nothing.
    Refused(Refused),
    /// Approved, but nothing could be sent.
    ReleaseFailed(ReleaseFailed),
    /// A blob or a secret is about to be sent.
    Released(Released),
    /// The end of the log was damaged when it was opened.
    Repaired(Repaired),
    /// The server began its work.
    Started(Started),
    /// The durable state has a new generation.
    StateSaved(StateSaved),
    /// The server ended its work.
    Stopped(Stopped),
    /// Nothing is refused for the lock any more.
    Unlocked(Unlocked),
    /// An approver's answer.
    Vote(Vote),
}

macro_rules! entries {
    ($($(#[$doc:meta])* $event:ident { $($(#[$field_meta:meta])+ $field:ident: $kind:ty),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $event { $($(#[$field_meta])+ pub $field: $kind),+ }

        impl From<$event> for Entry {
            fn from(event: $event) -> Self {
                Self::$event(event)
            }
        }
    )+};
}

entries! {
    /// The server began its work.
    Started {
        /// Its version.
        server_version: Name,
        /// The installation id, a UUID.
        installation: Name,
    }

    /// The server ended its work.
    Stopped {
        /// Why.
        reason: Detail,
    }

    /// A question to the approvers.
    AskOpened {
        /// The ask.
        ask: Ask,
        /// What the node wants.
        #[serde(with = "OperationWord")]
        operation: Operation,
        /// The node.
        node: Node,
        /// The peer's address.
        address: IpAddr,
        /// From where, as far as approvals are bound to it.
        origin: Origin,
        /// Whether the connection is encrypted.
        tls: bool,
    }

    /// An approver's answer that counts.
    Vote {
        /// The ask.
        ask: Ask,
        /// The ask's node.
        node: Node,
        /// What was answered.
        verdict: Verdict,
        /// Whether it decided the ask; if not, more votes are needed.
        decided: bool,
        /// The person.
        approver: Name,
        /// The channel through which it came.
        channel: Name,
        /// User id of the channel's process.
        uid: u32,
        /// The numeric Telegram id, as the channel told it.
        telegram_id: Option<i64>,
        /// How long the decision shall last, as it was asked for.
        for_seconds: Option<u32>,
    }

    /// An ask has its outcome.
    AskClosed {
        /// The ask.
        ask: Ask,
        /// The node.
        node: Node,
        /// The peer's address.
        address: IpAddr,
        /// How it ended.
        outcome: AskOutcome,
        /// The approver whose vote decided.
        by: Option<Name>,
        /// The channel through which that vote came.
        channel: Option<Name>,
        /// How often the node called.
        attempts: u64,
        /// Different blobs that it asked for.
        volumes: u64,
        /// When that which was decided ends.
        #[serde(with = "time::optional")]
        until: Option<WallTime>,
    }

    /// A blob or a secret is about to be sent.
    Released {
        /// Sealed or unsealed.
        #[serde(with = "OperationWord")]
        operation: Operation,
        /// The node.
        node: Node,
        /// The peer's address.
        address: IpAddr,
        /// From where, as far as approvals are bound to it.
        origin: Origin,
        /// Whether the connection is encrypted.
        tls: bool,
        /// The ask whose approval it was released under.
        ask: Option<Ask>,
        /// What the rule said.
        rule: RuleAction,
        /// Who approved.
        approvers: Names,
        /// Fingerprint of the sealed blob, 32 hexadecimal digits.
        blob: Name,
        /// Id of the key, 16 hexadecimal digits.
        key: Name,
    }

    /// Approved, but nothing could be sent.
    ReleaseFailed {
        /// What the node wanted.
        #[serde(with = "OperationWord")]
        operation: Operation,
        /// The node.
        node: Node,
        /// The peer's address.
        address: IpAddr,
        /// The ask whose approval it would have been released under.
        ask: Option<Ask>,
        /// What the rule said.
        rule: RuleAction,
        /// Who approved.
        approvers: Names,
        /// Fingerprint of the blob to unseal, 32 hexadecimal digits.
        blob: Option<Name>,
        /// What failed.
        reason: Detail,
    }

    /// Calls that got nothing.
    Refused {
        /// The peer's address; `::` when calls from outside the allowed networks came from more than one.
        address: IpAddr,
        /// The identifier claimed, when all of the calls claimed the same.
        node: Option<Name>,
        /// Why.
        reason: Reason,
        /// How many calls.
        count: u64,
        /// When the first came.
        #[serde(with = "time")]
        from: WallTime,
        /// When the last came.
        #[serde(with = "time")]
        to: WallTime,
    }

    /// A denial or a block was set.
    RefusalSet {
        /// Denial or block.
        #[serde(with = "RefusalKindWord")]
        kind: RefusalKind,
        /// Whom it binds.
        node: Node,
        /// From where; `None` is the whole node.
        origin: Option<Origin>,
        /// The approver who set it.
        by: Name,
        /// The channel through which they did.
        channel: Name,
        /// When it ends.
        #[serde(with = "time")]
        until: WallTime,
        /// The ask that it answered.
        ask: Option<Ask>,
    }

    /// A denial or a block was lifted before its end.
    RefusalLifted {
        /// Denial or block.
        #[serde(with = "RefusalKindWord")]
        kind: RefusalKind,
        /// Whom it bound.
        node: Node,
        /// From where; `None` is the whole node.
        origin: Option<Origin>,
        /// The approver who lifted it.
        by: Name,
        /// The channel through which they did.
        channel: Name,
    }

    /// The durable state was saved.
    StateSaved {
        /// Its generation.
        generation: u64,
    }

    /// An unlisted node wants to be listed.
    EnrolmentOpened {
        /// The ask.
        ask: Ask,
        /// What the node wants.
        #[serde(with = "OperationWord")]
        operation: Operation,
        /// The node, with the name that it would have.
        node: Node,
        /// The peer's address.
        address: IpAddr,
        /// Whether the connection is encrypted.
        tls: bool,
    }

    /// The ask of an unlisted node has its outcome.
    EnrolmentClosed {
        /// The ask.
        ask: Ask,
        /// The node, with the name that it would have.
        node: Node,
        /// The peer's address.
        address: IpAddr,
        /// How it ended.
        outcome: AskOutcome,
        /// The approver whose vote decided.
        by: Option<Name>,
        /// The channel through which that vote came.
        channel: Option<Name>,
        /// How often the node called.
        attempts: u64,
    }

    /// The list of nodes that people keep has changed.
    NodeListChanged {
        /// How.
        change: ListChange,
        /// The node as it is now; when it was forgotten, as it was.
        node: Node,
        /// Its cluster.
        cluster: Option<Name>,
        /// From where it calls.
        addresses: Names,
        /// Identifiers whose blobs it may open as well.
        formerly: Names,
        /// The approver whose vote decided.
        by: Name,
        /// The channel through which that vote came.
        channel: Name,
        /// User id of the channel's process.
        uid: u32,
        /// The numeric Telegram id, as the channel told it.
        telegram_id: Option<i64>,
    }

    /// Somebody wants to approve ahead, and more votes are needed.
    GrantProposed {
        /// Whose it would be.
        node: Node,
        /// From where.
        origin: Origin,
        /// The shortest time of those that were voted for.
        for_seconds: u32,
        /// The fewest releases of those that were voted for.
        uses: u32,
        /// The person.
        approver: Name,
        /// The channel through which the vote came.
        channel: Name,
        /// User id of the channel's process.
        uid: u32,
        /// The numeric Telegram id, as the channel told it.
        telegram_id: Option<i64>,
    }

    /// Somebody approved ahead.
    GrantSet {
        /// Its id and code, which releases under it have as their ask.
        grant: Ask,
        /// Whose it is.
        node: Node,
        /// From where.
        origin: Origin,
        /// Who approved.
        approvers: Names,
        /// When it ends.
        #[serde(with = "time")]
        until: WallTime,
        /// Releases that it is good for.
        uses: u32,
        /// The approver whose vote decided.
        by: Name,
        /// The channel through which that vote came.
        channel: Name,
        /// User id of the channel's process.
        uid: u32,
        /// The numeric Telegram id, as the channel told it.
        telegram_id: Option<i64>,
    }

    /// A grant was ended by a person.
    GrantRevoked {
        /// The grant, or the ask it came from.
        grant: Ask,
        /// Whose it was.
        node: Node,
        /// The approver who ended it.
        by: Name,
        /// The channel through which they did.
        channel: Name,
    }

    /// Everything is refused from now on.
    Locked {
        /// Why.
        reason: LockReason,
        /// The approver who locked.
        by: Option<Name>,
        /// The channel through which they did.
        channel: Option<Name>,
    }

    /// Nothing is refused for the lock any more.
    Unlocked {
        /// The approver who ended it, or the user id of root.
        by: Name,
        /// The channel through which they did.
        channel: Name,
        /// User id of the channel's process.
        uid: u32,
    }

    /// Refusals that no record tells of.
    Dropped {
        /// How many calls.
        count: u64,
        /// When the first came.
        #[serde(with = "time")]
        from: WallTime,
        /// When the last came.
        #[serde(with = "time")]
        to: WallTime,
    }

    /// The end of the log was damaged when it was opened.
    Repaired {
        /// Bytes after the last line feed, which were cut off.
        cut_bytes: u64,
        /// The beginning of them.
        cut_text: Detail,
        /// Lines near the end that are no records, and were left as they are.
        damaged_lines: u64,
    }
}

/// A node as records name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The identifier it claims, in canonical form.
    pub uuid: Name,
    /// What people call it.
    pub name: Name,
}

impl From<&peer::Node> for Node {
    fn from(node: &peer::Node) -> Self {
        Self { uuid: Name::shown(&node.uuid), name: Name::new(&node.name) }
    }
}

/// An ask as records name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Its id, 32 hexadecimal digits.
    pub id: Name,
    /// Its match code; empty when the ask is not known.
    pub code: Name,
}

/// From where a node calls, as far as an approval is bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Origin {
    /// From one of the addresses listed for it.
    Listed,
    /// From somewhere else, though addresses are listed for it.
    OtherAddress {
        /// The address, or its /64.
        network: IpNet,
    },
    /// From this address; none are listed for it.
    PerAddress {
        /// The address, or its /64.
        network: IpNet,
    },
}

impl From<peer::Origin> for Origin {
    fn from(origin: peer::Origin) -> Self {
        match origin {
            peer::Origin::Listed => Self::Listed,
            peer::Origin::OtherAddress(network) => Self::OtherAddress { network },
            peer::Origin::PerAddress(network) => Self::PerAddress { network },
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
