//! nightlatch-bot: asks people on Telegram whether a node may have its disk keys. It holds the bot's token and no keys.
//!
//! ```text
//!  the server's socket ──► server ────┐                 ┌──► telegram ──► messages, edits, answers
//!                                     ├──► session ─────┤
//!  Telegram's updates ──► telegram ───┘    (no I/O)     └──► server ────► votes
//! ```
//!
//! `session` decides everything and does nothing: it is told what happened, with the time, and says what is to be done.
//! `render` turns facts into messages. `telegram` and `server` do what they are told, and `run` carries between them.

pub mod check;
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
