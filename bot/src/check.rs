//! Whether the bot could do its work: token, chats, people, and the server's socket. It changes nothing, and sends
//! nothing but the test message that was asked for.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::v1::{self, Snapshot};
use tonic::{Code, Status};

use crate::message::{Call, ChatId, ChatKind, Failure, UserId};
use crate::render;
use crate::session::Chat;
use crate::telegram::{ANONYMOUS, Identity, Telegram};

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be.
    Good(String),
    /// It is not.
    Problem {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
}

impl Finding {
    /// Whether it needs somebody to do something.
    #[must_use]
    pub const fn is_problem(&self) -> bool {
        matches!(self, Self::Problem { .. })
    }

    fn problem(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Problem { what: what.into(), hint: hint.into() }
    }
}

/// Looks at everything, and sends a test message to each chat if `send_test` says so.
pub async fn check(telegram: &Telegram, chats: &[Chat], socket: &Path, send_test: bool) -> Vec<Finding> {
    let mut findings = vec![server(socket).await];
    let (found, identity) = bot(telegram).await;
    findings.push(found);
    // Without it every chat would say the same.
    if let Some(identity) = identity {
        findings.extend(webhook(telegram).await);
        for chat in chats {
            findings.extend(people(chat));
            let found = reach(telegram, chat, &identity).await;
            let reached = !found.is_problem();
            findings.push(found);
            if reached && send_test {
                findings.push(test(telegram, chat.id).await);
            }
        }
    }
    if chats.is_empty() {
        findings.push(Finding::problem("there is no chat, so nobody is asked", "add a [[chat]]"));
    }
    findings
}

async fn bot(telegram: &Telegram) -> (Finding, Option<Identity>) {
    match telegram.identity().await {
        Ok(identity) => {
            let name = printable(&identity.username);
            (
                Finding::Good(format!("Telegram knows the token: it is that of @{name} ({})", identity.id.0)),
                Some(identity),
            )
        }
        Err(failure) => (failed("the token cannot be tried", &failure), None),
    }
}

async fn webhook(telegram: &Telegram) -> Option<Finding> {
    match telegram.has_webhook().await {
        Ok(false) => None,
        Ok(true) => Some(Finding::problem(
            "a webhook is set for this bot, so presses go there",
            "give nightlatch a bot of its own; if this is one, somebody else has the token: have @BotFather revoke it",
        )),
        Err(failure) => Some(failed("whether a webhook is set cannot be seen", &failure)),
    }
}

/// Whether those who may answer in a chat can.
fn people(chat: &Chat) -> Option<Finding> {
    let id = chat.id.0;
    if chat.people.contains(&ANONYMOUS) {
        let what = format!("chat {id} lists {}, which is every anonymous administrator of a group", ANONYMOUS.0);
        return Some(Finding::problem(what, "list the people by their own ids; /start tells them"));
    }
    if id > 0 && chat.people != BTreeSet::from([UserId(id)]) {
        let what = format!("chat {id} is private, and others than {id} are listed for it");
        return Some(Finding::problem(
            what,
            "a private chat has the id of the one person in it; give others their own",
        ));
    }
    chat.people.is_empty().then(|| Finding::problem(format!("nobody may answer in chat {id}"), "list people for it"))
}

/// Whether a chat is there, of the right kind, and open to the bot.
async fn reach(telegram: &Telegram, chat: &Chat, bot: &Identity) -> Finding {
    let id = chat.id.0;
    let facts = match telegram.chat(chat.id).await {
        Ok(facts) => facts,
        Err(failure) => return unreachable(chat.id, &failure, bot),
    };
    let name = printable(&facts.name);
    match (facts.kind, id > 0) {
        (ChatKind::Private, true) => return Finding::Good(format!("chat {id} is the private chat with {name}")),
        (ChatKind::Group, false) => {}
        _ => {
            let what = format!("chat {id} ({name}) is neither a private chat nor a group");
            return Finding::problem(
                what,
                "ask in a private chat or a group: in a channel nobody is known by their id",
            );
        }
    }
    match telegram.membership(chat.id, bot.id).await {
        Ok(membership) if membership.may_write => Finding::Good(format!("chat {id} is the group {name}")),
        Ok(membership) => Finding::problem(
            format!(
                "the bot may not write in the group {name} ({id}): it is {:?} there",
                printable(&membership.status)
            ),
            "add it to the group, and let it send messages",
        ),
        Err(failure) => unreachable(chat.id, &failure, bot),
    }
}

fn unreachable(chat: ChatId, failure: &Failure, bot: &Identity) -> Finding {
    let (id, name) = (chat.0, printable(&bot.username));
    let what = format!("chat {id} cannot be reached");
    match failure {
        Failure::ChatClosed(why) if id > 0 => Finding::problem(
            format!("{what}: {why}"),
            format!("the person must open @{name} in Telegram and press Start; unblock it if it is blocked"),
        ),
        Failure::ChatClosed(why) => Finding::problem(
            format!("{what}: {why}"),
            format!("add @{name} to the group, and see that the id is right: ids of groups are negative"),
        ),
        Failure::Migrated(ChatId(to)) => {
            Finding::problem(format!("chat {id} became a supergroup"), format!("its id is {to} now: write that"))
        }
        failure => failed(&what, failure),
    }
}

async fn test(telegram: &Telegram, chat: ChatId) -> Finding {
    match telegram.call(Call::Send { chat, message: render::test(), silent: false, reply_to: None }).await {
        Ok(_) => Finding::Good(format!("chat {} got a test message", chat.0)),
        Err(failure) => failed(&format!("chat {} got no test message", chat.0), &failure),
    }
}

/// What to do about a failure that is not of one chat.
fn failed(what: &str, failure: &Failure) -> Finding {
    let hint = match failure {
        Failure::Token => "see that the token is the one that @BotFather shows for /token".into(),
        Failure::Away(_) => {
            "see that this host reaches the Bot API, also through its firewall; else name a proxy or another server"
                .into()
        }
        Failure::Wait(wait) => format!("try again in {} s", wait.as_secs()),
        Failure::Conflict => "give nightlatch a bot of its own".into(),
        Failure::ChatClosed(_) | Failure::Migrated(_) | Failure::Gone(_) | Failure::Refused(_) => {
            "Telegram's words say why".into()
        }
    };
    Finding::problem(format!("{what}: {failure}"), hint)
}

/// Whether the server takes us for the channel that we are.
async fn server(socket: &Path) -> Finding {
    let path = socket.display();
    let what = format!("the server cannot be reached at {path}");
    // By itself, as its error tells more than that of a call.
    if let Err(error) = tokio::net::UnixStream::connect(socket).await {
        return Finding::problem(format!("{what}: {error}"), no_connection(&error));
    }
    match tokio::time::timeout(PATIENCE, snapshot(socket)).await {
        Ok(Ok(snapshot)) => {
            let version = printable(&snapshot.server_version);
            Finding::Good(format!("the server at {path} takes this user for the channel: nightlatch {version}"))
        }
        Ok(Err(status)) => refused(&what, &status),
        Err(_) => Finding::problem(format!("{what}: there is no answer in {} s", PATIENCE.as_secs()), SEE_THE_SERVER),
    }
}

const SEE_THE_SERVER: &str = "see that it runs: systemctl status nightlatch";

async fn snapshot(socket: &Path) -> Result<Snapshot, Status> {
    let mut client = nightlatch_approval_api::connect(socket);
    let mut events = client.subscribe(v1::SubscribeRequest {}).await?.into_inner();
    match events.message().await? {
        Some(v1::Event { event: Some(Event::Snapshot(snapshot)) }) => Ok(snapshot),
        _ => Err(Status::unimplemented("it does not begin with how things are")),
    }
}

fn no_connection(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "see that it is the socket of a [[channel]] with people = \"telegram\", and that its socket unit is \
             enabled; systemctl restart nightlatch opens it"
                .into()
        }
        io::ErrorKind::PermissionDenied => {
            "check as the user that the bot runs as: the socket is open to that one".into()
        }
        _ => SEE_THE_SERVER.into(),
    }
}

fn refused(what: &str, status: &Status) -> Finding {
    let user = rustix::process::geteuid().as_raw();
    match status.code() {
        Code::PermissionDenied => Finding::problem(
            format!("the server does not take this user ({user}) for the channel"),
            "check as the user that the bot runs as; its uid must stand in that [[channel]] of nightlatch.toml",
        ),
        Code::Unimplemented => Finding::problem(
            format!("{what}: something else than nightlatch listens there"),
            "see that it is the socket of a [[channel]], and that bot and server are of the same version",
        ),
        _ => Finding::problem(format!("{what}: {}", printable(status.message())), SEE_THE_SERVER),
    }
}

/// What others chose, fit for a terminal: nothing that moves the cursor or turns the writing round.
fn printable(text: &str) -> String {
    text.escape_debug().take(100).collect()
}
