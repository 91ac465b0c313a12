//! The methods, as strict as Telegram's.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot be prepared has failed")]

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio_stream::wrappers::ReceiverStream;

use super::fault::Fault;
use super::world::{Answered, Sent, Update, World};
use super::{BOT, Shared, html};

/// Why a method refuses: code, description, parameters.
type Refusal = (u16, String, Option<Value>);

/// What a method gives, or why not.
type Outcome = Result<Value, Refusal>;

/// Rows of buttons: what each says, and its data.
type Buttons = Vec<Vec<(String, String)>>;

pub(super) fn service(shared: Arc<Shared>) -> Router {
    Router::new().fallback(call).with_state(shared)
}

fn refuse(code: u16, description: &str) -> Outcome {
    Err((code, description.to_owned(), None))
}

async fn call(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Result<Response, Infallible> {
    let (token, method) = uri.path().strip_prefix("/bot").and_then(|path| path.split_once('/')).unwrap_or_default();
    if token != shared.world().token {
        return Ok(reply(&refuse(if token.is_empty() { 404 } else { 401 }, "Unauthorized")));
    }
    let method = method.to_ascii_lowercase();
    let parameters: Value = serde_json::from_slice(&body).unwrap_or_default();
    let fault = shared.change(|world| {
        world.log.push((method.clone(), parameters.clone()));
        world.faults.next(&method)
    });
    Ok(match fault {
        None => reply(&perform(&shared, &method, &parameters).await),
        Some(Fault::LostAnswer) => {
            let done = perform(&shared, &method, &parameters).await;
            cut(&done)
        }
        Some(fault) => failed(fault).await,
    })
}

async fn failed(fault: Fault) -> Response {
    match fault {
        Fault::Wait(seconds) => reply(&Err((
            429,
            format!("Too Many Requests: retry after {seconds}"),
            Some(json!({"retry_after": seconds})),
        ))),
        Fault::Conflict => reply(&conflict()),
        Fault::Unauthorized => reply(&refuse(401, "Unauthorized")),
        Fault::Refuse(code, description) => reply(&refuse(code, &description)),
        Fault::Result(result) => reply(&Ok(result)),
        Fault::Migrated(to) => reply(&migrated(to)),
        Fault::Page(status) => (code(status), "<html><h1>It does not work</h1></html>").into_response(),
        Fault::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Fault::Nonsense => (StatusCode::OK, "{\"ok\":true,\"resu").into_response(),
        Fault::Endless => drip(" ".repeat(64 * 1024), Duration::ZERO),
        Fault::Slow => drip(" ".into(), Duration::from_millis(5)),
        Fault::Hang => std::future::pending().await,
        Fault::Cut | Fault::LostAnswer => cut(&Ok(json!(true))),
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status")
}

fn reply(outcome: &Outcome) -> Response {
    let (status, body) = rendered(outcome);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn rendered(outcome: &Outcome) -> (StatusCode, String) {
    match outcome {
        Ok(result) => (StatusCode::OK, json!({"ok": true, "result": result}).to_string()),
        Err((status, description, parameters)) => {
            let mut body = json!({"ok": false, "error_code": status, "description": description});
            if let Some(parameters) = parameters {
                body["parameters"] = parameters.clone();
            }
            (code(*status), body.to_string())
        }
    }
}

/// Half of the answer, and then the end of the connection.
fn cut(outcome: &Outcome) -> Response {
    let (status, body) = rendered(outcome);
    let half = body[..body.len() / 2].to_owned();
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    tokio::spawn(async move {
        let _sent = sender.send(Ok(half)).await;
        let _sent = sender.send(Err(io::Error::other("cut"))).await;
    });
    (status, Body::from_stream(ReceiverStream::new(receiver))).into_response()
}

/// The same again and again, until nobody reads it.
fn drip(bytes: String, pause: Duration) -> Response {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<String, io::Error>>(1);
    tokio::spawn(async move {
        while sender.send(Ok(bytes.clone())).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    });
    Body::from_stream(ReceiverStream::new(receiver)).into_response()
}

async fn perform(shared: &Shared, method: &str, parameters: &Value) -> Outcome {
    match method {
        "getupdates" => updates(shared, parameters).await,
        "getme" => Ok(json!({
            "id": BOT, "is_bot": true, "first_name": "nightlatch", "username": "nightlatch_bot",
            "can_join_groups": true, "can_read_all_group_messages": false,
        })),
        "sendmessage" => shared.change(|world| send(world, parameters)),
        "editmessagetext" => shared.change(|world| edit(world, parameters)),
        "answercallbackquery" => shared.change(|world| answer(world, parameters)),
        "setmycommands" => shared.change(|world| commands(world, parameters)),
        "getmycommands" => Ok(shared.world().commands.clone()),
        "getchat" => shared.change(|world| {
            let id = chat_id(world, parameters)?;
            Ok(world.chat_object(id))
        }),
        "getchatmember" => shared.change(|world| {
            chat_id(world, parameters)?;
            Ok(json!({"status": "member", "user": {"id": parameters["user_id"], "is_bot": true, "first_name": "x"}}))
        }),
        "getwebhookinfo" => {
            let url = if shared.world().webhook { "https://example.org/hook" } else { "" };
            Ok(json!({"url": url, "has_custom_certificate": false, "pending_update_count": 0}))
        }
        _ => refuse(404, "Not Found: method not found"),
    }
}

fn conflict() -> Outcome {
    refuse(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running")
}

fn migrated(to: i64) -> Outcome {
    let description = "Bad Request: group chat was upgraded to a supergroup chat".into();
    Err((400, description, Some(json!({"migrate_to_chat_id": to}))))
}

/// Counts a question as long as it is open.
struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.change(|world| world.polls -= 1);
    }
}

async fn updates(shared: &Shared, parameters: &Value) -> Outcome {
    let number = |name, default| parameters.get(name).and_then(Value::as_i64).unwrap_or(default);
    let (offset, timeout) = (number("offset", 0), number("timeout", 0).clamp(0, 50).unsigned_abs());
    let limit = usize::try_from(number("limit", 100).clamp(1, 100)).expect("a small number");
    if shared.world().webhook {
        return refuse(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook first");
    }
    let own = shared.change(|world| {
        world.poll += 1;
        world.polls += 1;
        confirm(world, offset);
        world.poll
    });
    let _open = Open(shared);
    let ready = |world: &World| {
        let found: Vec<_> = world.updates.iter().take(limit).map(object).collect();
        match (world.poll == own, found.is_empty()) {
            (false, _) => Some(conflict()),
            (true, false) => Some(Ok(json!(found))),
            (true, true) => None,
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(timeout), shared.wait_for(ready)).await;
    shared.change(|world| world.updates.iter_mut().take(limit).for_each(|update| update.again = false));
    waited.unwrap_or(Ok(json!([])))
}

fn object(update: &Update) -> Value {
    let mut object = update.content.clone();
    if object.is_object() {
        object["update_id"] = json!(update.id);
    }
    object
}

/// Forgets what the bot has: below the offset, or all but the newest.
fn confirm(world: &mut World, offset: i64) {
    if offset < 0 {
        let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
        let from = world.updates.len().saturating_sub(keep);
        world.updates.drain(..from);
        return;
    }
    let confirmed = |update: &Update| update.id < offset && !update.again;
    if let Some(last) = world.updates.iter().rfind(|update| confirmed(update)) {
        world.confirmed = Some((last.id, last.content.clone()));
    }
    world.updates.retain(|update| !confirmed(update));
}

/// The chat that is meant, if the bot may write there.
fn chat_id(world: &World, parameters: &Value) -> Result<i64, Refusal> {
    let Some(id) = parameters.get("chat_id").and_then(Value::as_i64) else {
        return Err((400, "Bad Request: chat_id is empty".into(), None));
    };
    let Some(chat) = world.chats.get(&id) else {
        return Err((400, "Bad Request: chat not found".into(), None));
    };
    if let Some(to) = chat.migrated {
        migrated(to)?;
    }
    match &chat.closed {
        Some((code, description)) => Err((*code, description.clone(), None)),
        None => Ok(id),
    }
}

/// The text as it is written and as it is read.
fn text(parameters: &Value, too_long: &str) -> Result<(String, String), Refusal> {
    let bad = |description: &str| (400, format!("Bad Request: {description}"), None);
    let written = parameters.get("text").and_then(Value::as_str).unwrap_or_default();
    let plain = match parameters.get("parse_mode").and_then(Value::as_str) {
        Some("HTML") => html::plain(written).map_err(|why| bad(&format!("can't parse entities: {why}")))?,
        None => written.to_owned(),
        Some(_) => return Err(bad("unsupported parse_mode")),
    };
    if plain.trim().is_empty() {
        return Err(bad("message text is empty"));
    }
    if plain.encode_utf16().count() > 4096 {
        return Err(bad(too_long));
    }
    Ok((written.to_owned(), plain))
}

fn buttons(parameters: &Value) -> Result<Buttons, Refusal> {
    let bad = |description: &str| (400, format!("Bad Request: {description}"), None);
    let Some(markup) = parameters.get("reply_markup") else { return Ok(Vec::new()) };
    let rows = markup.get("inline_keyboard").and_then(Value::as_array);
    let mut all = Vec::new();
    for row in rows.ok_or_else(|| bad("object expected as reply markup"))? {
        let mut read = Vec::new();
        for button in row.as_array().ok_or_else(|| bad("can't parse inline keyboard button: Expected an Array"))? {
            let part = |name| button.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (label, data) = (part("text"), part("callback_data"));
            if label.is_empty() {
                return Err(bad(
                    "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
                ));
            }
            if data.is_empty() || data.len() > 64 {
                return Err(bad("BUTTON_DATA_INVALID"));
            }
            read.push((label, data));
        }
        all.push(read);
    }
    Ok(all)
}

fn send(world: &mut World, parameters: &Value) -> Outcome {
    let id = chat_id(world, parameters)?;
    let (html, plain) = text(parameters, "message is too long")?;
    let buttons = buttons(parameters)?;
    let flag = |of: &Value, name: &str| of.get(name).and_then(Value::as_bool).unwrap_or(false);
    let mut reply_to = None;
    if let Some(reply) = parameters.get("reply_parameters") {
        let number = reply.get("message_id").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok());
        reply_to = number.filter(|number| world.chat(id).messages.contains_key(number));
        if reply_to.is_none() && !flag(reply, "allow_sending_without_reply") {
            return refuse(400, "Bad Request: message to be replied not found");
        }
    }
    let (silent, protected) = (flag(parameters, "disable_notification"), flag(parameters, "protect_content"));
    let chat = world.chat(id);
    let number = chat.number();
    let sent = Sent { id: number, html, plain, buttons, silent, protected, reply_to, edits: 0 };
    let object = json!({
        "message_id": number, "date": 1_700_000_000, "text": sent.plain,
        "from": {"id": BOT, "is_bot": true, "first_name": "nightlatch"},
    });
    chat.messages.insert(number, sent);
    Ok(with_chat(world, object, id))
}

fn with_chat(world: &mut World, mut message: Value, chat: i64) -> Value {
    message["chat"] = world.chat_object(chat);
    message
}

fn edit(world: &mut World, parameters: &Value) -> Outcome {
    let id = chat_id(world, parameters)?;
    let number = parameters.get("message_id").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok());
    let Some(number) = number else { return refuse(400, "Bad Request: message identifier is not specified") };
    let (html, plain) = text(parameters, "MESSAGE_TOO_LONG")?;
    let buttons = buttons(parameters)?;
    let Some(sent) = world.chat(id).messages.get_mut(&number) else {
        return refuse(400, "Bad Request: message to edit not found");
    };
    if sent.html == html && sent.buttons == buttons {
        return refuse(
            400,
            "Bad Request: message is not modified: specified new message content and reply markup are exactly the \
             same as a current content and reply markup of the message",
        );
    }
    *sent = Sent { html, plain, buttons, edits: sent.edits + 1, ..sent.clone() };
    let object = json!({"message_id": number, "date": 1_700_000_000, "text": sent.plain});
    Ok(with_chat(world, object, id))
}

fn answer(world: &mut World, parameters: &Value) -> Outcome {
    let text = parameters.get("text").and_then(Value::as_str).unwrap_or_default();
    if text.encode_utf16().count() > 200 {
        return refuse(400, "Bad Request: MESSAGE_TOO_LONG");
    }
    let id = parameters.get("callback_query_id").and_then(Value::as_str).unwrap_or_default();
    match world.presses.get_mut(id) {
        Some(press) if !press.expired && press.answer.is_none() => {
            let alert = parameters.get("show_alert").and_then(Value::as_bool).unwrap_or(false);
            press.answer = Some(Answered { text: text.to_owned(), alert });
            Ok(json!(true))
        }
        _ => refuse(400, "Bad Request: query is too old and response timeout expired or query ID is invalid"),
    }
}

fn commands(world: &mut World, parameters: &Value) -> Outcome {
    let commands = parameters.get("commands").and_then(Value::as_array).cloned().unwrap_or_default();
    for command in &commands {
        let name = command.get("command").and_then(Value::as_str).unwrap_or_default();
        let description = command.get("description").and_then(Value::as_str).unwrap_or_default();
        let good = (1..=32).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !good || commands.len() > 100 {
            return refuse(400, "Bad Request: BOT_COMMAND_INVALID");
        }
        if !(1..=256).contains(&description.chars().count()) {
            return refuse(400, "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID");
        }
    }
    world.commands = json!(commands);
    Ok(json!(true))
}
