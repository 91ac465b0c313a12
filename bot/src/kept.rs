//! What outlives a restart: which message shows which ask. docs/spec/telegram.md, "What is kept".
//!
//! Nothing here decides who may approve. So a file that is damaged is no reason not to start: it is put aside, and said.

mod format;
mod store;

use std::collections::BTreeMap;

use crate::message::{ChatId, MessageId};
use crate::press::Nonce;

pub use self::format::{Damage, MAX_LEN, parse, to_bytes};
pub use self::store::{OpenError, PutAside, Store};

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The installation that the prompts are of; empty when none was heard yet.
    pub installation: String,
    /// Groups that became supergroups: the id in the configuration, and the one they have now.
    pub migrated: BTreeMap<ChatId, ChatId>,
    /// The prompts that are open, or were closed a short while ago, the newest last. At most [`MAX_PROMPTS`].
    pub prompts: Vec<KeptPrompt>,
}

/// Most prompts that are kept. The first of the list make room.
pub const MAX_PROMPTS: usize = 1024;

/// One prompt: enough to edit it, and to know its buttons again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPrompt {
    /// `Ask.id`.
    pub ask: [u8; 16],
    /// The chat it is in, by the id that the chat has now.
    pub chat: ChatId,
    /// The message that shows it.
    pub message: MessageId,
    /// What its buttons carry.
    pub nonce: Nonce,
    /// `Ask.code`.
    pub code: String,
    /// `Ask.operation` is SEAL.
    pub seal: bool,
    /// `Ask.node`.
    pub node: KeptNode,
    /// `Ask.address`.
    pub address: String,
    /// `Ask.opened_at_ms`.
    pub opened_at_ms: i64,
}

/// The node of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptNode {
    /// Canonical UUID.
    pub uuid: String,
    /// As the server's configuration calls it.
    pub name: String,
    /// Empty: none.
    pub cluster: String,
}
