//! From facts to what a person reads: pure. Every word comes from texts.rs, everything foreign is escaped here.

use std::collections::BTreeMap;

use nightlatch_approval_api::v1;

use crate::message::Message;
use crate::press::Nonce;
use crate::zone::Zone;

/// One prompt, as much as its message shows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt<'a> {
    /// The ask, as the server told it last.
    pub ask: &'a v1::Ask,
    /// Where it stands.
    pub stage: Stage<'a>,
    /// What was released under it so far.
    pub releases: &'a Releases,
}

/// Where a prompt stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage<'a> {
    /// It can be answered, with buttons that carry this.
    Open(Nonce),
    /// It is open, but the server is not there to take an answer. No buttons.
    Unreachable,
    /// It was closed: how, when, by whom.
    Closed(&'a v1::Closed),
    /// It was asked again in a newer message of this chat. No buttons.
    AskedAgain,
    /// It is not open any more, and nobody knows why: the server was restarted, or it was closed long ago. No buttons.
    Forgotten,
}

/// What was released to a node, summed up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Releases {
    /// By the address it went to: how many, and whether all of them were seals.
    pub to: BTreeMap<String, Released>,
    /// Milliseconds from the deciding vote to the first of them.
    pub first_after_vote_ms: Option<u64>,
}

/// The releases to one address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Released {
    /// Existing disks: keys that were handed out.
    pub unsealed: u32,
    /// New disks: keys that were sealed.
    pub sealed: u32,
    /// When the last of them was, in milliseconds since 1970-01-01 00:00 UTC.
    pub last_at_ms: i64,
}

/// The message of a prompt.
#[must_use]
pub fn prompt(_prompt: &Prompt<'_>, _zone: &Zone) -> Message {
    Message::default()
}
