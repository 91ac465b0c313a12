//! What a restart has to know, and what it makes of it.

use std::collections::{BTreeMap, BTreeSet};

use nightlatch_approval_api::v1;

use super::Session;
use super::prompts::{Prompt, Reminder, Standing};
use crate::kept::{Kept, KeptNode, KeptPrompt, MAX_PROMPTS};
use crate::message::{ChatId, MessageId};
use crate::render::Releases;

impl Session {
    /// Looks after the messages of an earlier run.
    pub(super) fn adopt(&mut self, kept: Vec<KeptPrompt>) {
        let mut places: BTreeMap<(ChatId, MessageId), usize> = BTreeMap::new();
        for kept in &kept {
            *places.entry((kept.chat, kept.message)).or_default() += 1;
        }
        let (kept, of_lists): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|kept| places.get(&(kept.chat, kept.message)) == Some(&1));
        self.adopt_lists(&of_lists);
        self.adopt_prompts(kept);
    }

    fn adopt_prompts(&mut self, kept: Vec<KeptPrompt>) {
        let now = self.now.monotonic;
        for kept in kept {
            let KeptNode { uuid, name, cluster } = kept.node;
            let operation = if kept.seal { v1::Operation::Seal } else { v1::Operation::Unseal };
            let ask = v1::Ask {
                id: kept.ask.to_vec(),
                code: kept.code,
                operation: operation.into(),
                node: Some(v1::Node { uuid, name, cluster }),
                address: kept.address,
                opened_at_ms: kept.opened_at_ms,
                ..v1::Ask::default()
            };
            // Nothing is edited before the server said what became of it.
            let posting = self.board.adopt(now, kept.chat, kept.message);
            let prompt = Prompt {
                buttons: kept.nonce,
                chat: kept.chat,
                posting,
                ask,
                is_whole: false,
                standing: Standing::Open,
                since: now,
                releases: Releases::default(),
                reminder: Reminder::Due(now + self.settings.remind_after),
                approved: BTreeSet::new(),
            };
            self.prompts.0.insert(kept.nonce, prompt);
            if self.chat(kept.chat).is_none() {
                self.stands(kept.nonce, Standing::Forgotten);
            }
        }
    }

    /// A group has a new id, and the messages that were sent there are out of reach: what is still open is asked anew.
    pub(super) fn prompts_migrate(&mut self, from: ChatId, to: ChatId) {
        let board = &self.board;
        self.prompts.0.retain(|_, prompt| prompt.chat != from || board.knows(prompt.posting));
        for prompt in self.prompts.0.values_mut().filter(|prompt| prompt.chat == from) {
            prompt.chat = to;
        }
        self.lists.migrate(from, to, board);
    }

    /// What the next run needs to know.
    pub(super) fn kept(&self) -> Kept {
        let mut prompts: Vec<KeptPrompt> = self.prompts.0.values().filter_map(|prompt| self.keep(prompt)).collect();
        prompts.sort_by_key(|prompt| prompt.opened_at_ms);
        prompts.drain(..prompts.len().saturating_sub(MAX_PROMPTS));
        Kept { installation: self.installation.clone(), migrated: self.migrated.clone(), prompts }
    }

    fn keep(&self, prompt: &Prompt) -> Option<KeptPrompt> {
        // What is over is kept until it says so.
        if prompt.standing != Standing::Open && self.board.is_settled(prompt.posting) {
            return None;
        }
        let (chat, message) = self.board.place(prompt.posting)?;
        let node = prompt.ask.node.clone().unwrap_or_default();
        Some(KeptPrompt {
            ask: prompt.ask.id.as_slice().try_into().ok()?,
            chat,
            message,
            nonce: prompt.buttons,
            code: prompt.ask.code.clone(),
            seal: prompt.ask.operation() == v1::Operation::Seal,
            node: KeptNode { uuid: node.uuid, name: node.name, cluster: node.cluster },
            address: prompt.ask.address.clone(),
            opened_at_ms: prompt.ask.opened_at_ms,
        })
    }
}
