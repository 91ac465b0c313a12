//! Where events go: the journal when systemd runs us, standard error when a person does.

use std::os::linux::fs::MetadataExt;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogLevel};

/// How the journal names us.
const IDENTIFIER: &str = "nightlatch";

/// Sends events to the journal or to standard error, as far as `log` lets them. The first call counts.
pub fn start(log: &Log) {
    let level = |level: LogLevel| level.as_str().parse().unwrap_or(tracing::level_filters::LevelFilter::INFO);
    let targets = Targets::new().with_default(level(log.libraries)).with_target("nightlatch", level(log.level));
    let journal = runs_under_the_journal().then(tracing_journald::layer).and_then(Result::ok);
    let terminal =
        journal.is_none().then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false));
    // A test that starts two servers in one process keeps the first one's.
    let _kept = tracing_subscriber::registry()
        .with(targets)
        .with(journal.map(|journal| journal.with_syslog_identifier(IDENTIFIER.to_owned()).with_field_prefix(None)))
        .with(terminal)
        .try_init();
}

/// Whether standard error is a stream to the journal: systemd names that stream by device and inode in JOURNAL_STREAM
/// (systemd.exec(5)), and the variable alone may have been inherited.
fn runs_under_the_journal() -> bool {
    #[expect(clippy::disallowed_methods, reason = "systemd.exec(5): this is how systemd says it")]
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    named == format!("{}:{}", stderr.st_dev(), stderr.st_ino())
}
