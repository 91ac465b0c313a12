//! What is about no single question: approvals ahead and their end, the lock, and the list of nodes.

use nightlatch_approval_api::v1;

use super::Session;
use super::board::{How, Rank};
use crate::message::Message;
use crate::render;

impl Session {
    pub(super) fn granted(&mut self, grant: v1::Grant) {
        let message = render::granted(&grant, self.now.unix_ms, &self.settings.zone);
        self.tell_all(grant.node.as_ref(), &message);
        self.server.grants.retain(|other| other.ask_id != grant.ask_id);
        self.server.grants.push(grant);
        self.server.told_at_ms = self.now.unix_ms;
    }

    pub(super) fn proposed(&mut self, proposal: &v1::Proposal) {
        self.tell_all(proposal.node.as_ref(), &render::proposed(proposal));
    }

    pub(super) fn revoked(&mut self, revoked: &v1::Revoked) {
        for grant in &revoked.ended {
            self.server.grants.retain(|other| other.ask_id != grant.ask_id);
            self.tell_all(grant.node.as_ref(), &render::revoked(grant, &revoked.by));
        }
        for proposal in &revoked.withdrawn {
            self.tell_all(proposal.node.as_ref(), &render::withdrawn(proposal, &revoked.by));
        }
    }

    /// Whether everything is refused, as the server says now. People are told of a lock once, also of one from while nobody
    /// listened.
    pub(super) fn is_locked_now(&mut self, lock: Option<v1::Lock>) {
        let is_new = lock.is_some() && self.server.lock != lock;
        self.server.lock = lock;
        if let Some(lock) = self.server.lock.clone().filter(|_| is_new) {
            self.server.grants.clear();
            let message = render::locked(&lock, self.now.unix_ms, &self.settings.zone);
            self.tell_everybody(&message);
        }
    }

    pub(super) fn unlocked(&mut self, unlocked: &v1::Unlocked) {
        self.server.lock = None;
        self.tell_everybody(&render::unlocked(&unlocked.by));
    }

    pub(super) fn node_changed(&mut self, changed: &v1::NodeChanged) {
        let node = changed.node.as_ref().and_then(|status| status.node.clone());
        self.tell_all(node.as_ref(), &render::node_changed(changed));
    }

    /// It concerns every chat, whatever it is asked about, and rings.
    fn tell_everybody(&mut self, message: &Message) {
        let now = self.now.monotonic;
        for (chat, _) in self.chats_for(None) {
            let how = How { rank: Rank::Notice, silent: false, reply_to: None };
            self.board.tell(now, chat, message.clone(), how);
        }
    }
}
