//! Where events go: the journal when systemd runs us, standard error when a person does.
//!
//! Unlike the server's, they are written where they are made: a journal that does not read holds the bot up until its
//! watchdog ends it, and answers come late or from the command line. Nothing is released by that.

use std::io;

use nightlatch_approval_api::notify;
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogLevel;

/// How the journal names us.
const IDENTIFIER: &str = "nightlatch-bot";

/// Writes events from now on, as far as `level` lets them. The first call in a process counts.
pub fn start(level: LogLevel) {
    let journal = notify::runs_under_the_journal().then(tracing_journald::layer).and_then(Result::ok);
    let terminal = journal.is_none().then(|| lines(level, io::stderr));
    let journal = journal.map(|journal| {
        journal.with_syslog_identifier(IDENTIFIER.to_owned()).with_field_prefix(None).with_filter(filter(level))
    });
    let _kept = tracing_subscriber::registry().with(journal).with(terminal).try_init();
}

/// Events as lines of text, as far as `level` lets them.
pub fn lines<S, W>(level: LogLevel, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().with_writer(writer).with_target(false).with_filter(filter(level))
}

/// Events of ours from `level` on. Those of libraries from "warn" on and never below, whatever is configured: the token is
/// part of every address that is called, and what they tell at "debug" and "trace" has addresses in it.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("nightlatch", level)
}
