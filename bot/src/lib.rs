//! nightlatch-bot: asks people on Telegram whether a node may have its disk keys. It holds the bot's token and no keys.
//!
//! ```text
//!  server ──► channel ──┐                   ┌──► telegram ──► Telegram
//!  (its socket)         ├──► session ──► … ─┤
//!  Telegram ──► telegram┘    (no I/O)       └──► channel ──► server: votes
//! ```
//!
//! `session` decides everything and does nothing: it is told what happened, with the time, and says what is to be done.
//! `render` turns facts into messages. `telegram` and `channel` do what they are told.

pub mod cli;
mod clock;
pub mod config;
pub mod credential;
pub mod demo;
pub mod kept;
pub mod logging;
pub mod message;
pub mod press;
pub mod render;
pub mod run;
mod server;
pub mod session;
pub mod telegram;
pub mod texts;
pub mod token;
pub mod zone;
