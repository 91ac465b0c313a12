//! The bot's way to Telegram, against a Bot API of our own: every call, every failure, and what is in between.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot be prepared has failed"
)]

#[expect(dead_code, unreachable_pub, reason = "it has more than is needed here")]
#[path = "../bot_api/mod.rs"]
mod bot_api;
mod calls;
mod check;
mod failures;
mod log;
mod polling;
mod proxy;
mod way;

use std::sync::Arc;
use std::time::Duration;

use nightlatch_bot::message::{Button, Call, ChatId, Message, MessageId};
use nightlatch_bot::telegram::{ApiUrl, Patience, Route, Telegram};
use nightlatch_bot::token::Token;
use zeroize::Zeroizing;

use bot_api::BotApi;

/// Long enough for everything that comes, and short enough for what never does.
const PATIENCE: Patience = Patience { connect: Duration::from_secs(20), call: Duration::from_secs(20) };
const SHORT: Patience = Patience { connect: Duration::from_millis(200), call: Duration::from_millis(200) };

fn token(text: &str) -> Token {
    Token::parse(&Zeroizing::new(text.to_owned())).expect("a token")
}

fn client(api: &BotApi, patience: Patience) -> Arc<Telegram> {
    let route = Route { api: ApiUrl::parse(&api.url()).expect("an address"), patience, ..Route::default() };
    Arc::new(Telegram::new(token(&api.token()), route).expect("a way"))
}

fn message(html: &str) -> Message {
    Message { html: html.into(), buttons: Vec::new() }
}

fn with_button(html: &str, data: &str) -> Message {
    let button = Button { label: "Approve".into(), data: data.into() };
    Message { html: html.into(), buttons: vec![vec![button]] }
}

fn send(chat: i64, message: Message) -> Call {
    Call::Send { chat: ChatId(chat), message, silent: false, reply_to: None }
}

fn edit(chat: i64, id: i32, message: Message) -> Call {
    Call::Edit { chat: ChatId(chat), id: MessageId(id), message }
}
