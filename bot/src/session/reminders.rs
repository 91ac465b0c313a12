//! The second call for what nobody answered, and the first anew where its message is gone.

use std::time::Duration;

use super::Session;
use super::board::{How, PostingId, Rank};
use super::prompts::{Prompt, Reminder, Standing};
use super::shared::Shared;
use crate::render;

impl Session {
    /// Prompts whose message is gone, or was given up, are asked anew when a reminder would be due. Whoever removed it does
    /// not get it at once, but nobody is left unasked.
    pub(super) fn ask_again_later(&mut self) {
        let at = self.now.monotonic + self.settings.remind_after;
        let board = &self.board;
        let is_lost = |prompt: &Prompt| {
            prompt.standing == Standing::Open
                && !matches!(prompt.reminder, Reminder::Due(_))
                && !board.knows(prompt.posting)
        };
        for nonce in self.prompts.find(is_lost) {
            if let Some(prompt) = self.prompts.0.get_mut(&nonce)
                && let Reminder::Sent(reminder) = std::mem::replace(&mut prompt.reminder, Reminder::Due(at))
            {
                self.board.leave(reminder);
            }
        }
    }

    /// One reminder for each prompt, unless the one person of the chat has done what they can.
    pub(super) fn remind(&mut self) {
        let now = self.now.monotonic;
        let is_due = |prompt: &Prompt| {
            prompt.standing == Standing::Open && matches!(prompt.reminder, Reminder::Due(at) if at <= now)
        };
        for nonce in self.prompts.find(is_due) {
            let Some(prompt) = self.prompts.0.get(&nonce) else { continue };
            let people = self.chat(prompt.chat).map(|chat| chat.people.clone()).unwrap_or_default();
            let (chat, posting) = (prompt.chat, prompt.posting);
            let did_all = people.is_subset(&prompt.approved);
            if !did_all && !self.board.knows(posting) {
                let ask = prompt.ask.clone();
                self.prompt(&ask, chat);
                continue;
            }
            // A prompt that nobody saw is no reason to remind anybody.
            if !did_all && self.board.place(posting).is_none() {
                if let Some(prompt) = self.prompts.0.get_mut(&nonce) {
                    prompt.reminder = Reminder::Due(now + self.settings.remind_after);
                }
                continue;
            }
            let message = render::reminder(&prompt.ask, true);
            let how = How { rank: Rank::Reply, silent: false, reply_to: Some(posting) };
            let reminder =
                if did_all { Reminder::Over } else { Reminder::Sent(self.board.post(now, chat, message, how)) };
            if let Some(prompt) = self.prompts.0.get_mut(&nonce) {
                prompt.reminder = reminder;
            }
        }
    }

    /// One reminder for each shared message, unless the one person of the chat has done what they can.
    pub(super) fn remind_of_lists(&mut self) {
        let now = self.now.monotonic;
        let is_due = |shared: &Shared| matches!(shared.reminder, Reminder::Due(at) if at <= now);
        let lists = self.lists.shared.iter();
        let due: Vec<PostingId> = lists.filter(|(_, shared)| is_due(shared)).map(|(posting, _)| *posting).collect();
        for posting in due {
            let Some(shared) = self.lists.shared.get(&posting) else { continue };
            let chat = shared.chat;
            let people = self.chat(chat).map(|chat| chat.people.clone()).unwrap_or_default();
            let waits: Vec<&Prompt> = shared.open(&self.prompts).map(|(_, prompt)| prompt).collect();
            let waiting = waits.iter().filter(|prompt| !people.is_subset(&prompt.approved)).count();
            let reminder = if waiting == 0 || !self.board.knows(posting) {
                Reminder::Over
            } else if self.board.place(posting).is_none() {
                // What nobody saw is no reason to remind anybody.
                Reminder::Due(now + self.settings.remind_after)
            } else {
                let message = render::list_reminder(waiting, &shared.cluster);
                let how = How { rank: Rank::Reply, silent: false, reply_to: Some(posting) };
                Reminder::Sent(self.board.post(now, chat, message, how))
            };
            if let Some(shared) = self.lists.shared.get_mut(&posting) {
                shared.reminder = reminder;
            }
        }
    }

    pub(super) fn lists_wake_at(&self) -> Option<Duration> {
        let due = |shared: &Shared| match shared.reminder {
            Reminder::Due(at) if shared.open(&self.prompts).next().is_some() => Some(at),
            _ => None,
        };
        self.lists.shared.values().filter_map(due).min()
    }
}
