//! The file as it is written: everything may be missing, and values know where they stand.
//! `systemd/nightlatch-bot.toml` says what each key means.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::LogLevel;

/// A duration with its unit, such as "90s".
pub(super) type Span = Spanned<humantime_serde::Serde<Duration>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) socket: Option<Spanned<PathBuf>>,
    pub(super) state_directory: Option<Spanned<PathBuf>>,
    pub(super) token_file: Option<Spanned<PathBuf>>,
    pub(super) api: Option<Spanned<String>>,
    pub(super) api_root: Option<Spanned<PathBuf>>,
    pub(super) proxy: Option<Spanned<String>>,
    pub(super) proxy_file: Option<Spanned<PathBuf>>,
    pub(super) timezone: Option<Spanned<String>>,
    pub(super) remind_after: Option<Span>,
    pub(super) escalate_after: Option<Span>,
    pub(super) quiet: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) chat: Vec<Spanned<ChatTable>>,
    #[serde(default)]
    pub(super) log: LogTable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChatTable {
    pub(super) id: Option<Spanned<i64>>,
    pub(super) people: Option<Spanned<Vec<Spanned<i64>>>>,
    pub(super) clusters: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) turn: Option<Spanned<i64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogTable {
    pub(super) level: Option<LogLevel>,
}
