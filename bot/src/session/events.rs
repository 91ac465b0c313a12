//! What the server tells: docs/spec/approval-protocol.md, "Subscribe".

use std::time::Duration;

use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::{Update, v1};

use super::prompts::Standing;
use super::{HISTORY, Open, Session};

impl Session {
    pub(super) fn update(&mut self, update: Update) {
        match update {
            Update::Connected(snapshot) => self.connected(snapshot),
            Update::Event(event) => self.event(event),
            Update::Lost(status) => {
                tracing::warn!(error = %status.message(), "server lost");
                let was_asleep = std::mem::take(&mut self.server.is_asleep);
                if self.server.here_since.take().is_some() || was_asleep {
                    self.server.away_since = self.now.monotonic;
                }
            }
            Update::Asleep => self.server_sleeps(),
        }
    }

    /// A snapshot is the truth: what it does not have is over.
    fn connected(&mut self, snapshot: v1::Snapshot) {
        let now = self.now.monotonic;
        tracing::info!(version = %snapshot.server_version, asks = snapshot.asks.len(), "server found");
        self.server.here_since.get_or_insert(now);
        self.server.is_asleep = false;
        self.server.is_shown_away = false;
        self.server.version = snapshot.server_version;
        self.is_another_installation(snapshot.installation);
        self.server.nodes = snapshot.nodes;
        self.server.refusals = snapshot.refusals;
        self.server.grants = snapshot.grants;
        self.is_locked_now(snapshot.lock);
        self.server.told_at_ms = self.now.unix_ms;
        for closed in &snapshot.closed {
            self.ask_closed(closed);
        }
        self.server.closed = snapshot.closed.into_iter().rev().take(HISTORY).rev().collect();
        let before = std::mem::take(&mut self.server.asks);
        for ask in snapshot.asks.into_iter().chain(snapshot.enrolments) {
            let age = u64::try_from(self.now.unix_ms.saturating_sub(ask.opened_at_ms)).unwrap_or(0);
            let known = before.get(&ask.id).map(|open| (open.since, open.before));
            let (since, before) = known.unwrap_or((now, Duration::from_millis(age)));
            self.ask_changed(&ask);
            self.server.asks.insert(ask.id.clone(), Open { ask, since, before });
        }
        let open = &self.server.asks;
        let gone = self.prompts.find(|prompt| prompt.standing == Standing::Open && !open.contains_key(&prompt.ask.id));
        for nonce in gone {
            self.stands(nonce, Standing::Forgotten);
        }
        self.server_is_back();
        self.names_whom_nobody_is_asked_about();
    }

    /// It sleeps only when nothing is open and nothing is approved.
    fn server_sleeps(&mut self) {
        tracing::info!("server sleeps");
        if self.server.here_since.take().is_some() {
            self.server.away_since = self.now.monotonic;
        }
        self.server.is_asleep = true;
        self.server.is_shown_away = false;
        self.server.asks.clear();
        self.server.grants.clear();
        for nonce in self.prompts.find(|prompt| prompt.standing == Standing::Open) {
            self.stands(nonce, Standing::Forgotten);
        }
        self.server_is_back();
    }

    /// Prompts of another installation are about other nodes, whatever these are called.
    fn is_another_installation(&mut self, installation: String) {
        if self.installation == installation {
            return;
        }
        if !self.installation.is_empty() {
            tracing::warn!("this is another installation of nightlatch than before; its prompts are forgotten");
            for nonce in self.prompts.find(|prompt| prompt.standing == Standing::Open) {
                self.stands(nonce, Standing::Forgotten);
            }
        }
        self.installation = installation;
        self.is_unkept = true;
    }

    fn names_whom_nobody_is_asked_about(&self) {
        for node in self.server.nodes.iter().filter_map(|status| status.node.as_ref()) {
            if self.chats_for(Some(node)).is_empty() {
                tracing::warn!(node = %node.name, cluster = %node.cluster, "no chat is asked about this node");
            }
        }
    }

    fn event(&mut self, event: Event) {
        let now = self.now.monotonic;
        match event {
            Event::Snapshot(snapshot) => self.connected(snapshot),
            Event::Opened(ask) | Event::EnrolmentOpened(ask) => {
                self.ask_changed(&ask);
                let known = self.server.asks.get(&ask.id).map(|open| (open.since, open.before));
                let (since, before) = known.unwrap_or((now, Duration::ZERO));
                self.server.asks.insert(ask.id.clone(), Open { ask, since, before });
            }
            Event::Changed(ask) | Event::EnrolmentChanged(ask) => {
                if let Some(open) = self.server.asks.get_mut(&ask.id) {
                    open.ask = ask.clone();
                    self.ask_changed(&ask);
                }
            }
            Event::Closed(closed) | Event::EnrolmentClosed(closed) => self.closed(closed),
            Event::Release(release) => self.release(&release),
            Event::Notice(notice) => self.notice(&notice),
            Event::Refused(refusal) => self.refused(refusal),
            Event::Lifted(lifted) => self.lifted(lifted),
            Event::Granted(grant) => self.granted(grant),
            Event::Proposed(proposal) => self.proposed(&proposal),
            Event::Revoked(revoked) => self.revoked(&revoked),
            Event::Locked(lock) => self.is_locked_now(Some(lock)),
            Event::Unlocked(unlocked) => self.unlocked(&unlocked),
            Event::NodeChanged(changed) => self.node_changed(&changed),
        }
    }

    fn closed(&mut self, closed: v1::Closed) {
        let Some(ask) = &closed.ask else { return };
        self.server.asks.remove(&ask.id);
        self.ask_closed(&closed);
        if closed.outcome() == v1::Outcome::Approved
            && let Some(node) = &ask.node
            && let Some(status) =
                self.server.nodes.iter_mut().find(|status| status.node.as_ref().is_some_and(|it| it.uuid == node.uuid))
        {
            status.last_approved_at_ms = closed.at_ms;
            status.last_approved_by.clone_from(&closed.by);
        }
        self.is_decided(&closed);
        self.server.closed.push_back(closed);
        if self.server.closed.len() > HISTORY {
            self.server.closed.pop_front();
        }
    }

    fn release(&mut self, release: &v1::Release) {
        let first = self.first_chats_for(release.node.as_ref());
        for (chat, _) in self.chats_for(release.node.as_ref()) {
            if !self.released(release, chat) && first.contains(&chat) {
                self.release_noted(release, chat);
            }
        }
    }
}
