//! What the bot says to Telegram, and what it hears: docs/spec/telegram.md, "Calls". One attempt for each call; pacing
//! and trying again are for whoever calls.
//!
//! Methods and their parameters are teloxide-core's. Sending them is not: its client reads answers of any length, sleeps
//! for 10 s within a call when Telegram has an error of its own, keeps unreadable answers in its errors, and takes a
//! message for unsent when a field of it that nobody needs has changed.

mod poll;
mod reply;
mod route;
mod update;

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Client, Response};
use serde::Serialize;
use serde_json::Value;
use teloxide_core::payloads::{
    AnswerCallbackQuery, AnswerCallbackQuerySetters as _, EditMessageText, EditMessageTextSetters as _, GetChat,
    GetChatMember, GetMe, GetWebhookInfo, SendMessage, SendMessageSetters as _, SetMyCommands,
};
use teloxide_core::requests::Payload;
use teloxide_core::types::{
    self, BotCommand, CallbackQueryId, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, ParseMode,
    ReplyParameters,
};
use zeroize::Zeroizing;

use crate::message::{Button, Call, ChatId, ChatKind, Failure, Message, MessageId, Told, UserId};
use crate::token::Token;

use reply::Reply;

pub use poll::{Poll, Polled, Question, Source, jitter};
pub use route::{ApiUrl, Patience, ProxyUrl, Route, Unusable};
pub use update::{ANONYMOUS, Update, incoming};

/// Longest answer that is read, in bytes. 32 updates of the longest texts, with what they answer, are shorter.
const MAX_REPLY_LEN: usize = 4 * 1024 * 1024;
/// Longest name of a chat that is told, in characters.
const MAX_NAME: usize = 64;

/// A way to Telegram, with the token that opens it.
pub struct Telegram {
    client: Client,
    token: Token,
    route: Route,
    secrets: Vec<Zeroizing<String>>,
}

/// Who the bot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its number.
    pub id: UserId,
    /// Its user name, without `@`. Empty when Telegram did not say it.
    pub username: String,
}

/// What a chat is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatFacts {
    /// Of which kind.
    pub kind: ChatKind,
    /// Its title, or the person's first name. Somebody chose it: escape it where it is shown.
    pub name: String,
}

/// What somebody is in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// In Telegram's words: `member`, `administrator`, `left`, …
    pub status: String,
    /// Whether they may write there.
    pub may_write: bool,
}

impl Telegram {
    /// A way to Telegram. Nothing is connected yet.
    ///
    /// # Errors
    /// [`Unusable`]
    pub fn new(token: Token, route: Route) -> Result<Self, Unusable> {
        let client = route.client()?;
        let mut secrets = vec![Zeroizing::new(token.expose().to_owned())];
        secrets.extend(token.expose().split_once(':').map(|(_, secret)| Zeroizing::new(secret.to_owned())));
        secrets.extend(route.proxy.iter().flat_map(ProxyUrl::secrets));
        Ok(Self { client, token, route, secrets })
    }

    /// Does what the session wants, once.
    ///
    /// # Errors
    /// [`Failure`]. After [`Failure::Away`] it may have been done all the same.
    pub async fn call(&self, call: Call) -> Told {
        match call {
            Call::Answer { press, text, alert } => {
                let answer = AnswerCallbackQuery::new(CallbackQueryId(press.0)).text(text).show_alert(alert);
                self.done(&answer).await.map(|_| None)
            }
            Call::Send { chat, message, silent, reply_to } => {
                let sent = self.done(&send(chat, message, silent, reply_to)).await?;
                let id = sent.get("message_id").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok());
                id.map(|id| Some(MessageId(id))).ok_or_else(|| unreadable("sendMessage"))
            }
            Call::Edit { chat, id, message } => match self.reply(&edit(chat, id, message), Duration::ZERO).await {
                Reply::Done(_) | Reply::NotModified => Ok(None),
                Reply::Failed(failure) => Err(failure),
            },
        }
    }

    /// Who the bot is.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn identity(&self) -> Result<Identity, Failure> {
        let me = self.done(&GetMe::new()).await?;
        let id = me.get("id").and_then(Value::as_i64).ok_or_else(|| unreadable("getMe"))?;
        Ok(Identity { id: UserId(id), username: text(&me, "username") })
    }

    /// Sets the commands that apps offer, each with what it does.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn set_commands(&self, commands: &[(&str, &str)]) -> Result<(), Failure> {
        let commands = commands.iter().map(|(command, description)| BotCommand::new(*command, *description));
        self.done(&SetMyCommands::new(commands)).await.map(|_| ())
    }

    /// What a chat is, as far as the bot may know.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn chat(&self, chat: ChatId) -> Result<ChatFacts, Failure> {
        let facts = self.done(&GetChat::new(types::ChatId(chat.0))).await?;
        let kind = match facts.get("type").and_then(Value::as_str).ok_or_else(|| unreadable("getChat"))? {
            "private" => ChatKind::Private,
            "group" | "supergroup" => ChatKind::Group,
            _ => ChatKind::Other,
        };
        let title = text(&facts, "title");
        Ok(ChatFacts { kind, name: if title.is_empty() { text(&facts, "first_name") } else { title } })
    }

    /// What somebody is in a group. Telegram tells it for sure of the bot alone.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn membership(&self, chat: ChatId, person: UserId) -> Result<Membership, Failure> {
        let unknown = || unreadable("getChatMember");
        let person = u64::try_from(person.0).map_err(|_| unknown())?;
        let member = self.done(&GetChatMember::new(types::ChatId(chat.0), types::UserId(person))).await?;
        let status = member.get("status").and_then(Value::as_str).ok_or_else(unknown)?;
        let says = |name| member.get(name).and_then(Value::as_bool).unwrap_or(false);
        let may_write = match status {
            "creator" | "administrator" | "member" => true,
            "restricted" => says("is_member") && says("can_send_messages"),
            _ => false,
        };
        Ok(Membership { status: status.chars().take(MAX_NAME).collect(), may_write })
    }

    /// Whether a webhook is set: then nobody can poll. Where it points to is not told.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn has_webhook(&self) -> Result<bool, Failure> {
        Ok(!text(&self.done(&GetWebhookInfo::new()).await?, "url").is_empty())
    }

    /// Calls a method, and takes what it gives.
    async fn done<P: Payload + Serialize>(&self, payload: &P) -> Result<Value, Failure> {
        match self.reply(payload, Duration::ZERO).await {
            Reply::Done(result) => Ok(result),
            Reply::NotModified => Err(Failure::Refused("message is not modified".into())),
            Reply::Failed(failure) => Err(failure),
        }
    }

    /// Calls a method that may take `longer` than others.
    async fn reply<P: Payload + Serialize>(&self, payload: &P, longer: Duration) -> Reply {
        let Some(url) = self.route.api.method(self.token.expose(), P::NAME) else {
            return Reply::Failed(Failure::Refused("this is no method's address".into()));
        };
        let request = self.client.post(url).timeout(self.route.patience.call + longer).json(payload);
        let answered = async { read(request.send().await?).await };
        match answered.await {
            Ok((status, Some(body))) => self.told(Reply::read(status, &body)),
            Ok((_, None)) => Reply::Failed(Failure::Away("its answer is longer than 4 MiB".into())),
            Err(error) => self.told(Reply::Failed(Failure::Away(reason(&error, self.route.proxy.is_some())))),
        }
    }

    /// Takes the token and the proxy's password out of what others wrote. They should never be in there.
    fn told(&self, reply: Reply) -> Reply {
        let clean = |text: String| {
            self.secrets.iter().filter(|secret| secret.len() >= 4).fold(text, |text, secret| {
                if text.contains(secret.as_str()) { text.replace(secret.as_str(), "[secret]") } else { text }
            })
        };
        match reply {
            Reply::Failed(Failure::Away(text)) => Reply::Failed(Failure::Away(clean(text))),
            Reply::Failed(Failure::ChatClosed(text)) => Reply::Failed(Failure::ChatClosed(clean(text))),
            Reply::Failed(Failure::Gone(text)) => Reply::Failed(Failure::Gone(clean(text))),
            Reply::Failed(Failure::Refused(text)) => Reply::Failed(Failure::Refused(clean(text))),
            other => other,
        }
    }
}

/// The status and the body of an answer; no body when it is longer than [`MAX_REPLY_LEN`].
async fn read(mut response: Response) -> reqwest::Result<(u16, Option<Vec<u8>>)> {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_REPLY_LEN {
            return Ok((status, None));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, Some(body)))
}

/// Why there was no answer. The address stays out of it: the token is a part of it.
fn reason(error: &reqwest::Error, by_proxy: bool) -> String {
    let what = if error.is_timeout() {
        return "no answer in time".into();
    } else if error.is_connect() {
        if by_proxy { "no connection through the proxy" } else { "no connection" }
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the call broke off"
    };
    let mut cause = error.source();
    while let Some(next) = cause.and_then(std::error::Error::source) {
        cause = Some(next);
    }
    cause.map_or_else(|| what.to_owned(), |cause| format!("{what} ({cause})"))
}

fn unreadable(method: &str) -> Failure {
    Failure::Away(format!("its answer to {method} cannot be read"))
}

/// A text field, cut; empty when there is none.
fn text(of: &Value, name: &str) -> String {
    of.get(name).and_then(Value::as_str).unwrap_or_default().chars().take(MAX_NAME).collect()
}

fn send(chat: ChatId, message: Message, silent: bool, reply_to: Option<MessageId>) -> SendMessage {
    let sent = SendMessage::new(types::ChatId(chat.0), message.html)
        .parse_mode(ParseMode::Html)
        .disable_notification(silent)
        .protect_content(true)
        .link_preview_options(no_preview());
    let sent = if message.buttons.is_empty() { sent } else { sent.reply_markup(keyboard(message.buttons)) };
    match reply_to {
        None => sent,
        Some(MessageId(id)) => {
            sent.reply_parameters(ReplyParameters::new(types::MessageId(id)).allow_sending_without_reply())
        }
    }
}

/// A keyboard without buttons is sent too, so that it is certain that it takes away what was there.
fn edit(chat: ChatId, id: MessageId, message: Message) -> EditMessageText {
    EditMessageText::new(types::ChatId(chat.0), types::MessageId(id.0), message.html)
        .parse_mode(ParseMode::Html)
        .link_preview_options(no_preview())
        .reply_markup(keyboard(message.buttons))
}

const fn no_preview() -> LinkPreviewOptions {
    LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    }
}

fn keyboard(rows: Vec<Vec<Button>>) -> InlineKeyboardMarkup {
    let button = |button: Button| InlineKeyboardButton::callback(button.label, button.data);
    InlineKeyboardMarkup::new(rows.into_iter().map(|row| row.into_iter().map(button)))
}
