//! What people write: commands, in a chat that is listed, by a person who is listed there.

mod reading;

use std::collections::BTreeMap;

use nightlatch_approval_api::v1;
use tonic::Status;

use self::reading::{Command, Whose, parse};
use super::board::{How, Rank};
use super::presses::refused;
use super::{Reply, Request, Server, Session, Ticket};
use crate::message::{ChatId, ChatKind, Message, UserId};
use crate::render::{self, Answer};

/// Commands that wait for the server at once.
const MAX_COMMANDS: usize = 16;
/// Most prompts that /pending shows at once.
const MAX_PENDING: usize = 20;

/// Commands that the server did not answer yet.
#[derive(Debug, Default)]
pub(super) struct Commands(BTreeMap<Ticket, Waiting>);

#[derive(Debug)]
enum Waiting {
    /// For what came of /block or /unblock, and of which node.
    Change(ChatId, String),
    /// For how things stand.
    Look(ChatId),
}

impl Session {
    pub(super) fn command(&mut self, from: UserId, chat: ChatId, kind: ChatKind, text: &str) {
        let Some(command) = parse(text, self.name.as_deref()) else {
            if kind == ChatKind::Private {
                self.reply(chat, render::unknown_command());
            }
            return;
        };
        tracing::info!(user = from.0, chat = chat.0, ?command, "commanded");
        let (now, zone) = (self.now.unix_ms, self.settings.zone.clone());
        match command {
            Command::Start => self.reply(chat, render::start()),
            Command::Help => self.reply(chat, render::help()),
            Command::Unknown if kind == ChatKind::Private => self.reply(chat, render::unknown_command()),
            Command::Unknown => {}
            Command::Incomplete => self.reply(chat, render::node_wanted()),
            Command::Status => {
                if self.server.here_since.is_some() && self.commands.0.len() < MAX_COMMANDS {
                    let ticket = self.request(Request::Look);
                    self.commands.0.insert(ticket, Waiting::Look(chat));
                } else {
                    let status = self.render_status(chat);
                    self.reply(chat, status);
                }
            }
            Command::Pending => self.pending(chat),
            Command::Nodes => {
                let message = self.render_nodes(chat);
                self.reply(chat, message);
            }
            Command::History => {
                let node = |closed: &v1::Closed| closed.ask.as_ref().and_then(|ask| ask.node.clone());
                let is_ours = |closed: &&v1::Closed| self.is_told_of(chat, node(closed).as_ref());
                let closed: Vec<v1::Closed> = self.server.closed.iter().filter(is_ours).cloned().collect();
                self.reply(chat, render::history(&closed, now, &zone));
            }
            Command::Block { node, for_seconds } => {
                let request = v1::BlockRequest { node, telegram_id: Some(from.0), for_seconds };
                self.ask_server(chat, Request::Block(request));
            }
            Command::Unblock { node } => {
                let request = v1::UnblockRequest { node, telegram_id: Some(from.0) };
                self.ask_server(chat, Request::Unblock(request));
            }
            Command::Grant { .. } | Command::Revoke(_) | Command::Lock { .. } | Command::Unlock => {
                self.command_beyond(from, chat, command);
            }
        }
    }

    /// What is about no single question.
    fn command_beyond(&mut self, from: UserId, chat: ChatId, command: Command) {
        match command {
            Command::Grant { whose, for_seconds, uses, from: address } => {
                let (nodes, cluster) = match whose {
                    Whose::Node(node) => (vec![node], String::new()),
                    Whose::Cluster(cluster) => (vec![], cluster),
                    Whose::All => return self.reply(chat, render::node_wanted()),
                };
                let telegram_id = Some(from.0);
                let request = v1::GrantRequest { nodes, cluster, telegram_id, for_seconds, uses, address };
                self.ask_server(chat, Request::Grant(request));
            }
            Command::Revoke(whose) => {
                use v1::revoke_request::What;
                let what = Some(match whose {
                    Whose::Node(node) => What::Node(node),
                    Whose::Cluster(cluster) => What::Cluster(cluster),
                    Whose::All => What::All(true),
                });
                self.ask_server(chat, Request::Revoke(v1::RevokeRequest { what, telegram_id: Some(from.0) }));
            }
            // The menu of commands sends one with a touch: this one stops the house, and is said twice.
            Command::Lock { is_meant: false } => self.reply(chat, render::lock_how()),
            Command::Lock { is_meant: true } => {
                self.ask_server(chat, Request::Lock(v1::LockRequest { telegram_id: Some(from.0) }));
            }
            Command::Unlock => self.reply(chat, render::unlock_how()),
            _ => {}
        }
    }

    fn reply(&mut self, chat: ChatId, message: Message) {
        let how = How { rank: Rank::Reply, silent: false, reply_to: None };
        self.board.tell(self.now.monotonic, chat, message, how);
    }

    fn is_told_of(&self, chat: ChatId, node: Option<&v1::Node>) -> bool {
        self.chats_for(node).iter().any(|(id, _)| *id == chat)
    }

    /// Shows each open question of this chat again, in a message of its own, whose buttons are the ones that count then.
    fn pending(&mut self, chat: ChatId) {
        let (now, zone) = (self.now.unix_ms, self.settings.zone.clone());
        if self.server.is_away() {
            return self.reply(chat, render::reply(&render::Reply::ServerAway, now, &zone));
        }
        let mut asks = self.asks_of(chat);
        asks.sort_by_key(|ask| ask.opened_at_ms);
        if asks.len() != 1 {
            let all: Vec<&v1::Ask> = asks.iter().collect();
            self.reply(chat, render::pending(&all, now, &zone));
        }
        for ask in asks.iter().take(MAX_PENDING) {
            self.prompt(ask, chat);
        }
    }

    /// The open asks that this chat is told of.
    fn asks_of(&self, chat: ChatId) -> Vec<v1::Ask> {
        let asks = self.server.asks.values().map(|open| &open.ask);
        asks.filter(|ask| self.is_told_of(chat, ask.node.as_ref())).cloned().collect()
    }

    /// A server that sleeps is woken by it.
    fn ask_server(&mut self, chat: ChatId, request: Request) {
        if self.server.is_away() || self.commands.0.len() >= MAX_COMMANDS {
            let message = render::reply(&render::Reply::ServerAway, self.now.unix_ms, &self.settings.zone);
            return self.reply(chat, message);
        }
        let mut named = String::new();
        // Here the answer tells enough.
        match &request {
            Request::Grant(v1::GrantRequest { nodes, cluster, .. }) => {
                self.are_commanded(chat, |node| {
                    nodes.contains(&node.name) || (!cluster.is_empty() && node.cluster == *cluster)
                });
            }
            Request::Revoke(v1::RevokeRequest { what: Some(what), .. }) => {
                use v1::revoke_request::What;
                self.are_commanded(chat, |node| match what {
                    What::Node(name) => node.name == *name,
                    What::Cluster(cluster) => node.cluster == *cluster,
                    What::All(_) => true,
                });
            }
            _ => {}
        }
        if let Request::Block(v1::BlockRequest { node, .. }) | Request::Unblock(v1::UnblockRequest { node, .. }) =
            &request
        {
            named.clone_from(node);
            let is_it = |it: &&v1::Node| it.name.eq_ignore_ascii_case(node) || it.uuid.eq_ignore_ascii_case(node);
            let meant = self.server.nodes.iter().filter_map(|status| status.node.as_ref()).find(is_it).cloned();
            if let Some(meant) = meant {
                self.is_commanded(chat, &meant);
            }
        }
        let ticket = self.request(request);
        self.commands.0.insert(ticket, Waiting::Change(chat, named));
    }

    fn are_commanded(&mut self, chat: ChatId, is_meant: impl Fn(&v1::Node) -> bool) {
        let nodes: Vec<v1::Node> =
            self.server.nodes.iter().filter_map(|status| status.node.clone()).filter(|node| is_meant(node)).collect();
        for node in &nodes {
            self.is_commanded(chat, node);
        }
    }

    pub(super) fn commanded(&mut self, ticket: Ticket, reply: Result<Reply, Status>) {
        let (chat, named) = match self.commands.0.remove(&ticket) {
            None => return,
            Some(Waiting::Change(chat, named)) => (chat, named),
            Some(Waiting::Look(chat)) => return self.looked(chat, reply),
        };
        let outcome = match &reply {
            Ok(Reply::Block(v1::BlockResponse { refusal: Some(refusal) })) => render::Reply::Blocked(refusal),
            Ok(Reply::Unblock(response)) => render::Reply::Unblocked(&named, response.ended),
            Ok(Reply::Grant(response)) => render::Reply::Granted(response),
            Ok(Reply::Revoke(response)) => render::Reply::Revoked(response),
            // Everybody is told of a new one.
            Ok(Reply::Lock(response)) if !response.repeated => return,
            Ok(Reply::Lock(response)) => render::Reply::Locked(response),
            Ok(_) => render::Reply::NoAnswer,
            Err(status) => match refused(status) {
                Answer::ServerAway => render::Reply::ServerAway,
                Answer::NoAnswer => render::Reply::NoAnswer,
                Answer::OlderServer => render::Reply::OlderServer,
                _ => render::Reply::Refused(status.message()),
            },
        };
        let message = render::reply(&outcome, self.now.unix_ms, &self.settings.zone);
        self.reply(chat, message);
    }

    /// No event tells how much is left of an approval, so it is asked for. Of what events do tell nothing is taken from there:
    /// it may be older than they are.
    fn looked(&mut self, chat: ChatId, reply: Result<Reply, Status>) {
        if let Ok(Reply::Look(snapshot)) = reply {
            self.server.grants = snapshot.grants;
            self.server.told_at_ms = self.now.unix_ms;
        }
        let status = self.render_status(chat);
        self.reply(chat, status);
    }

    /// The denials and blocks that this chat is told of.
    fn refusals_of(&self, chat: ChatId) -> Vec<v1::Refusal> {
        let is_ours = |held: &&v1::Refusal| self.is_told_of(chat, held.node.as_ref());
        self.server.refusals.iter().filter(is_ours).cloned().collect()
    }

    fn render_status(&self, chat: ChatId) -> Message {
        let Server { here_since, away_since, is_asleep, version, grants, told_at_ms, .. } = &self.server;
        let is_ours = |grant: &&v1::Grant| self.is_told_of(chat, grant.node.as_ref());
        let heard = |grant| render::HeardGrant { grant, heard_at_ms: *told_at_ms };
        let grants: Vec<_> = grants.iter().filter(is_ours).map(heard).collect();
        let status = render::Status {
            bot_version: env!("CARGO_PKG_VERSION"),
            server: match here_since {
                Some(_) => render::Whereabouts::Here(version.as_str()),
                None if *is_asleep => render::Whereabouts::Asleep,
                None => render::Whereabouts::Away,
            },
            since_ms: self.wall(here_since.unwrap_or(*away_since)),
            lock: self.server.lock.as_ref(),
            open: self.asks_of(chat).len(),
            grants: &grants,
            refusals: &self.refusals_of(chat),
            second_reader_since_ms: self.second_reader_since().map(|since| self.wall(since)),
        };
        render::status(&status, self.now.unix_ms, &self.settings.zone)
    }

    fn render_nodes(&self, chat: ChatId) -> Message {
        let known =
            |status: &'_ v1::NodeStatus| status.node.as_ref().is_some_and(|node| self.is_told_of(chat, Some(node)));
        let statuses: Vec<&v1::NodeStatus> = self.server.nodes.iter().filter(|status| known(status)).collect();
        let nodes: Vec<render::KnownNode<'_>> = statuses
            .iter()
            .filter_map(|status| {
                Some(render::KnownNode {
                    node: status.node.as_ref()?,
                    last_approved_at_ms: status.last_approved_at_ms,
                    last_approved_by: &status.last_approved_by,
                    conflict: &status.conflict,
                })
            })
            .collect();
        let asks = self.asks_of(chat);
        let asks: Vec<&v1::Ask> = asks.iter().collect();
        render::nodes(&nodes, &asks, &self.refusals_of(chat), self.now.unix_ms, &self.settings.zone)
    }
}
