//! What the bot decides: what happened goes in, with the time; what is to be done comes out. No I/O, no clock, no
//! Telegram library, so that every case of it is a test without a network.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::message::{ChatId, UserId};
use crate::zone::Zone;

/// What the session goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whom it asks, and where.
    pub chats: Vec<Chat>,
    /// How long after a prompt that nobody answered its chat is reminded, once.
    pub remind_after: Duration,
    /// How long after a prompt that nobody answered the chats of the next turn are asked too.
    pub escalate_after: Duration,
    /// When what can wait comes without a sound.
    pub quiet: Option<Quiet>,
    /// The time zone of everything that people read.
    pub zone: Zone,
}

/// One chat of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Where.
    pub id: ChatId,
    /// Who may press and command there. In a private chat that is the one person it is with.
    pub people: BTreeSet<UserId>,
    /// The clusters whose nodes are asked about there; `None` is every node, also those without a cluster.
    pub clusters: Option<BTreeSet<String>>,
    /// When it is asked: at once (1), after one `escalate_after` without an answer (2), and so on. 1 to 9.
    pub turn: u8,
}

/// A span of each day, in the configured zone. It may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Its first minute, counted from midnight: 0 to 1,439.
    pub from: u16,
    /// The minute after its last: 0 to 1,439, not equal to `from`.
    pub until: u16,
}
