//! One message that people should see: what it should say, what it says as far as known, and how much it can wait.

use std::time::Duration;

use crate::message::{ChatId, Message, MessageId};

/// Names one message of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PostingId(pub(super) u64);

/// How much a message can wait. Earlier ones go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Somebody is asked.
    Ask,
    /// What was decided, or that nothing can be.
    Outcome,
    /// The answer to a command, the second call for an ask.
    Reply,
    /// Votes, attempts, releases.
    Progress,
    /// What is told and asks for nothing.
    Notice,
}

/// How a message is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    pub(super) rank: Rank,
    /// Whether the phone stays silent.
    pub(super) silent: bool,
    /// The message it belongs to.
    pub(super) reply_to: Option<PostingId>,
}

/// One message of the board.
#[derive(Debug)]
pub(super) struct Posting {
    pub(super) chat: ChatId,
    pub(super) how: How,
    /// How urgent it is to edit it, once it was sent.
    pub(super) edit: Rank,
    pub(super) wanted: Message,
    /// Where it is, once it was sent.
    pub(super) id: Option<MessageId>,
    /// Whether it was tried to send it: it may be there although its place is not known.
    pub(super) is_tried: bool,
    /// Whether what it should say was given out in a call, whatever became of that.
    pub(super) is_given: bool,
    /// What it says in that case, if every try said the same.
    pub(super) said: Option<Message>,
    /// What it says there, as far as known.
    pub(super) shown: Option<Message>,
    pub(super) since: Duration,
    /// Whether it may change later, and so is kept after it was sent.
    pub(super) changes: bool,
    pub(super) not_before: Duration,
    pub(super) refusals: u32,
}

impl Posting {
    pub(super) const fn new(now: Duration, chat: ChatId, wanted: Message, how: How, changes: bool) -> Self {
        Self {
            chat,
            how,
            edit: Rank::Progress,
            wanted,
            id: None,
            is_tried: false,
            is_given: false,
            said: None,
            shown: None,
            since: now,
            changes,
            not_before: now,
            refusals: 0,
        }
    }

    pub(super) fn rank(&self) -> Rank {
        if self.id.is_some() { self.edit } else { self.how.rank }
    }

    /// This is tried to be sent, or to be made of it.
    pub(super) fn says(&mut self, message: &Message) {
        self.said = (!self.is_tried || self.said.as_ref() == Some(message)).then(|| message.clone());
        self.is_tried = true;
        self.is_given = true;
    }

    pub(super) fn is_done(&self) -> bool {
        self.id.is_some() && self.shown.as_ref() == Some(&self.wanted)
    }
}
