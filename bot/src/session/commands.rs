//! What people write: commands, in a chat that is listed, by a person who is listed there.

use std::collections::BTreeMap;

use nightlatch_approval_api::v1;
use tonic::Status;

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

/// A command that this version knows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Command {
    Start,
    Help,
    Status,
    Pending,
    Nodes,
    History,
    Block {
        node: String,
        for_seconds: Option<u32>,
    },
    Unblock {
        node: String,
    },
    /// It lacks the node.
    Incomplete,
    Unknown,
}

/// Reads a command; `None` when it is none, or one for another bot.
fn parse(text: &str, own_name: Option<&str>) -> Option<Command> {
    let mut words = text.split_whitespace();
    let first = words.next()?.strip_prefix('/')?;
    let (command, for_whom) = first.split_once('@').map_or((first, None), |(command, whom)| (command, Some(whom)));
    if for_whom.is_some_and(|whom| own_name.is_none_or(|own| !own.eq_ignore_ascii_case(whom))) {
        return None;
    }
    let words: Vec<&str> = words.collect();
    Some(match command.to_ascii_lowercase().as_str() {
        "start" => Command::Start,
        "help" => Command::Help,
        "status" => Command::Status,
        "pending" => Command::Pending,
        "nodes" => Command::Nodes,
        "history" => Command::History,
        "block" | "unblock" if words.is_empty() => Command::Incomplete,
        "block" => block(&words),
        "unblock" => Command::Unblock { node: words.join(" ") },
        _ => Command::Unknown,
    })
}

/// A node's name may have blanks, so the time is what comes last, if it reads as one.
fn block(words: &[&str]) -> Command {
    let seconds = |word: &&str| {
        let duration = humantime::parse_duration(word).ok()?;
        // A bare 0 reads as a time, but is the end of a name.
        u32::try_from(duration.as_secs()).ok().filter(|seconds| *seconds > 0)
    };
    match words.split_last() {
        Some((last, node)) if !node.is_empty() && seconds(last).is_some() => {
            Command::Block { node: node.join(" "), for_seconds: seconds(last) }
        }
        _ => Command::Block { node: words.join(" "), for_seconds: None },
    }
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

    pub(super) fn commanded(&mut self, ticket: Ticket, reply: Result<Reply, Status>) {
        let (chat, named) = match self.commands.0.remove(&ticket) {
            None => return,
            Some(Waiting::Change(chat, named)) => (chat, named),
            Some(Waiting::Look(chat)) => return self.looked(chat, reply),
        };
        let outcome = match &reply {
            Ok(Reply::Block(v1::BlockResponse { refusal: Some(refusal) })) => render::Reply::Blocked(refusal),
            Ok(Reply::Unblock(response)) => render::Reply::Unblocked(&named, response.ended),
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
                })
            })
            .collect();
        let asks = self.asks_of(chat);
        let asks: Vec<&v1::Ask> = asks.iter().collect();
        render::nodes(&nodes, &asks, &self.refusals_of(chat), self.now.unix_ms, &self.settings.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_the_bots_name_and_without() {
        for text in ["/pending", "/PENDING", "/pending@Night_Bot", "/pending now please"] {
            assert_eq!(parse(text, Some("night_bot")), Some(Command::Pending), "{text}");
        }
        for text in ["", "pending", "/pending@other_bot", "yes", "  "] {
            assert_eq!(parse(text, Some("night_bot")), None, "{text}");
        }
        assert_eq!(parse("/pending@night_bot", None), None, "a bot that does not know its name answers to none");
        assert_eq!(parse("/", None), Some(Command::Unknown));
    }

    #[test]
    fn a_block_takes_a_name_with_blanks_and_a_time() {
        let block = |node: &str, for_seconds| Some(Command::Block { node: node.to_owned(), for_seconds });
        assert_eq!(parse("/block cp-1", None), block("cp-1", None));
        assert_eq!(parse("/block cp-1 2h", None), block("cp-1", Some(7200)));
        assert_eq!(parse("/block rack 2 30m", None), block("rack 2", Some(1800)));
        assert_eq!(parse("/block rack 2", None), block("rack 2", None));
        assert_eq!(parse("/block rack 0", None), block("rack 0", None));
        assert_eq!(parse("/block 2h", None), block("2h", None));
        assert_eq!(parse("/block", None), Some(Command::Incomplete));
        assert_eq!(parse("/unblock rack 2", None), Some(Command::Unblock { node: "rack 2".to_owned() }));
    }
}
