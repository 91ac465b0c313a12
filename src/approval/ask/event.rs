//! What happens to asks and grants, who did it, and what people are told.

use std::net::IpAddr;
use std::time::Duration;

use super::{Ask, AskId, ClosedAsk, LiveGrant, MatchCode, Proposal, Terms};
use crate::approval::policy::Vote;
use crate::clock::{Now, WallTime};
use crate::peer::ListedNode;
use crate::peer::standing::{Lock, NodeEntry, Refusal};
use crate::request::{Fingerprint, Operation};

/// Something that left the server, or is about to: sealed, or handed out.
#[derive(Debug, Clone)]
pub struct Release {
    /// Who got it.
    pub node: ListedNode,
    /// Where.
    pub address: IpAddr,
    /// What was done.
    pub operation: Operation,
    /// The blob that was made or opened.
    pub blob: Fingerprint,
    /// What it rests on.
    pub terms: Terms,
    /// When.
    pub at: Now,
}

/// What the channels are told of calls that made no ask: one message stands for many calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// The listed node whose name was used.
    pub node: Option<ListedNode>,
    /// One address of those it came from.
    pub address: IpAddr,
    /// How many calls it stands for.
    pub count: u64,
    /// When it was told.
    pub at: WallTime,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeKind {
    /// A listed node's UUID was claimed from an address that is not listed for it.
    OtherAddress,
    /// Calls of peers that may not ask at all.
    Strangers,
    /// There was no room for another ask.
    TooManyAsks,
    /// There was no room for another unlisted node that wants to be listed.
    TooManyEnrolments,
    /// Everything is refused.
    Locked,
}

/// Everything that happens to asks and grants, for the record and for the channels.
#[derive(Debug, Clone)]
pub enum Event {
    /// An ask was opened.
    Opened(Ask),
    /// An open ask's counters or votes changed.
    Changed(Ask),
    /// An approver answered.
    Voted {
        /// The ask as it was answered.
        ask: Ask,
        /// Who answered.
        by: Voter,
        /// The answer.
        verdict: Verdict,
        /// Whether it decided the ask.
        decided: bool,
    },
    /// An ask has its outcome.
    Closed(ClosedAsk),
    /// A denial or block came into force.
    Refused {
        /// What it says.
        refusal: Refusal,
        /// The node it binds.
        node: ListedNode,
        /// The ask that it answered.
        ask: Option<(AskId, MatchCode)>,
    },
    /// A denial or block was ended by a person.
    Lifted {
        /// What it said.
        refusal: Refusal,
        /// The node it bound.
        node: ListedNode,
        /// Who ended it.
        by: Voter,
    },
    /// Somebody approved ahead.
    Granted {
        /// What that gave.
        grant: LiveGrant,
        /// Whose vote decided.
        by: Voter,
    },
    /// Somebody wants to approve ahead, and more votes are needed.
    Proposed {
        /// What has been voted for so far.
        proposal: Proposal,
        /// Whose vote came last.
        by: Voter,
    },
    /// Somebody ended grants.
    Revoked {
        /// Which.
        ended: Vec<LiveGrant>,
        /// Those that waited for more votes, and do not any more.
        withdrawn: Vec<Proposal>,
        /// Who.
        by: Voter,
    },
    /// Everything is refused from now on.
    Locked {
        /// Since when, and by whom.
        lock: Lock,
        /// Who did it.
        by: Voter,
    },
    /// That has ended.
    Unlocked {
        /// Who ended it.
        by: Voter,
    },
    /// Somebody wants to change the list of nodes that people keep, and more votes are needed.
    ChangeProposed {
        /// The node as it would be; when it would be forgotten, as it is.
        node: ListedNode,
        /// What would become of it.
        change: NodeChange,
        /// Whose vote came last.
        by: Voter,
    },
    /// The list of nodes that people keep has changed.
    NodeChanged {
        /// The entry as it is now; when it was forgotten, as it was.
        entry: NodeEntry,
        /// What became of it.
        change: NodeChange,
        /// Whose vote decided.
        by: Voter,
    },
    /// Something was released.
    Released(Release),
    /// Calls were turned away.
    Notice(Notice),
}

/// Who answered, and how they were reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// The approver and the channel: what counts.
    pub vote: Vote,
    /// User id of the channel's process.
    pub uid: u32,
    /// The numeric Telegram id, as the channel told it.
    pub telegram_id: Option<i64>,
}

/// A person's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, for this long: as configured when it is not said.
    Approve(Option<Duration>),
    /// No, and no more asks for this long.
    Deny(Option<Duration>),
    /// No, and this looks wrong.
    Block(Option<Duration>),
}

impl Verdict {
    /// The word for records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve(_) => "approve",
            Self::Deny(_) => "deny",
            Self::Block(_) => "block",
        }
    }
}

/// What became of the list of nodes that people keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeChange {
    /// A node is listed that was not.
    Listed,
    /// Its entry is another one.
    Changed,
    /// It is listed no more.
    Forgotten,
}
