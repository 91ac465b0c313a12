//! The updates of Telegram, read leniently: a field that is not needed is not looked at, and one that is not what it
//! should be is as if it were not there. So neither a new kind of update nor a changed field costs anybody a press.

use serde_json::Value;

use super::reply::Reply;
use crate::message::{ChatId, ChatKind, Failure, Incoming, MessageId, PressId, UserId};

/// In whose name Telegram shows what any anonymous administrator of a group did (`GroupAnonymousBot`).
pub const ANONYMOUS: UserId = UserId(1_087_968_824);
/// Longest text that is taken over, in characters: the rest is cut off. No command is that long.
const MAX_TEXT: usize = 256;
/// Longest data of a button, in bytes (Bot API, `InlineKeyboardButton`).
const MAX_DATA: usize = 64;
/// Longest id of a press that is taken over, in bytes. Telegram's are numbers of 64 bits.
const MAX_PRESS_ID: usize = 128;
/// Most updates of one answer (Bot API, `getUpdates`). What is beyond it comes with the next answer.
const MAX_UPDATES: usize = 100;

/// One update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Its number, not negative.
    pub id: i64,
    /// What it says; `None` for what does not concern us, or cannot be read.
    pub incoming: Option<Incoming>,
}

/// Reads a whole answer to `getUpdates`.
///
/// # Errors
/// When it is none, or an error.
pub fn incoming(json: &[u8]) -> Result<Vec<Update>, Failure> {
    match Reply::read(200, json) {
        Reply::Done(result) => updates(&result),
        Reply::NotModified => Err(Failure::Refused("message is not modified".into())),
        Reply::Failed(failure) => Err(failure),
    }
}

/// Reads the result of `getUpdates`. An update without a number cannot be confirmed, and is left out; when there are
/// no others, that is an error, as Telegram would send the same ones for ever.
pub(super) fn updates(result: &Value) -> Result<Vec<Update>, Failure> {
    let list = result.as_array().ok_or_else(|| Failure::Away("its answer holds no updates".into()))?;
    let read: Vec<_> = list.iter().take(MAX_UPDATES).filter_map(update).collect();
    if read.is_empty() && !list.is_empty() {
        return Err(Failure::Away("its updates have no numbers".into()));
    }
    Ok(read)
}

fn update(update: &Value) -> Option<Update> {
    let id = update.get("update_id")?.as_i64().filter(|id| *id >= 0)?;
    let incoming = match (update.get("callback_query"), update.get("message")) {
        (Some(query), _) => press(query),
        (None, Some(message)) => written(message),
        (None, None) => None,
    };
    Some(Update { id, incoming })
}

/// `CallbackQuery`. Bots press no buttons: what says so is none.
fn press(query: &Value) -> Option<Incoming> {
    let from = query.get("from")?;
    if is_bot(from) {
        return None;
    }
    let id = query.get("id")?.as_str().filter(|id| id.len() <= MAX_PRESS_ID)?;
    let data = query.get("data").and_then(Value::as_str).filter(|data| data.len() <= MAX_DATA);
    Some(Incoming::Press {
        id: PressId(id.to_owned()),
        from: UserId(integer(from, "id")?),
        on: query.get("message").and_then(place),
        data: data.map(str::to_owned),
    })
}

/// Which message it is.
fn place(message: &Value) -> Option<(ChatId, ChatKind, MessageId)> {
    let (chat, kind) = chat(message)?;
    let id = i32::try_from(integer(message, "message_id")?).ok()?;
    Some((chat, kind, MessageId(id)))
}

/// `Message`: what somebody wrote, or the word that the group has another id.
fn written(message: &Value) -> Option<Incoming> {
    let (chat, kind) = chat(message)?;
    if let Some(to) = integer(message, "migrate_to_chat_id") {
        return Some(Incoming::Migrated { from: chat, to: ChatId(to) });
    }
    // What somebody else wrote, and somebody handed on, is nobody's command. The second is how it was said before 2024.
    if message.get("forward_origin").is_some() || message.get("forward_date").is_some() {
        return None;
    }
    let text = message.get("text")?.as_str()?.chars().take(MAX_TEXT).collect();
    Some(Incoming::Text { from: author(message), chat, kind, text })
}

/// The person who wrote it; nobody for what was written in the name of a group or channel.
fn author(message: &Value) -> Option<UserId> {
    let from = message.get("from")?;
    if message.get("sender_chat").is_some() || is_bot(from) { None } else { integer(from, "id").map(UserId) }
}

fn is_bot(from: &Value) -> bool {
    from.get("is_bot").and_then(Value::as_bool).unwrap_or(false) || integer(from, "id") == Some(ANONYMOUS.0)
}

fn chat(message: &Value) -> Option<(ChatId, ChatKind)> {
    let chat = message.get("chat")?;
    let kind = match chat.get("type").and_then(Value::as_str) {
        Some("private") => ChatKind::Private,
        Some("group" | "supergroup") => ChatKind::Group,
        _ => ChatKind::Other,
    };
    Some((ChatId(integer(chat, "id")?), kind))
}

fn integer(of: &Value, name: &str) -> Option<i64> {
    of.get(name)?.as_i64()
}

#[cfg(test)]
mod tests;
