//! What the server tells of itself in numbers, on the sockets named `metrics` alone. docs/metrics.md says what each means.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::records;
use super::server::{Server, tcp, unix};
use super::status::{Status, Watch};
use crate::approval::ask::{Event, Outcome};
use crate::approval::gate::UnderWay;
use crate::audit::log::Log;
use crate::audit::record::AskOutcome;
use crate::clock::WallTime;
use crate::listen::systemd::MetricsListener;
use crate::metrics::{Counts, Histogram, Kind, Text, http};
use crate::pipeline::Pipeline;

/// How long people take is told apart at these numbers of seconds: a phone in the hand, and a night.
const ANSWERED_WITHIN: [u64; 7] = [15, 30, 60, 300, 900, 3600, 28_800];

/// What became of asks, as far as it is on record.
#[derive(Debug)]
pub(super) struct Asks {
    opened: AtomicU64,
    closed: Counts<AskOutcome>,
    answered: Histogram,
}

impl Default for Asks {
    fn default() -> Self {
        let closed = Counts::new(AskOutcome::ALL.iter().copied());
        Self { opened: AtomicU64::default(), closed, answered: Histogram::new(&ANSWERED_WITHIN) }
    }
}

impl Asks {
    /// Counts what was recorded.
    pub(super) fn count(&self, events: &[Event]) {
        for event in events {
            match event {
                Event::Opened(_) => drop(self.opened.fetch_add(1, Ordering::Relaxed)),
                Event::Closed(closed) => {
                    self.closed.count(&records::outcome(closed.outcome));
                    if !matches!(closed.outcome, Outcome::Expired | Outcome::Locked) {
                        self.answered.count(closed.ask.opened.wall.until(closed.at));
                    }
                }
                _ => {}
            }
        }
    }
}

/// Where the numbers come from.
#[derive(Clone)]
pub(super) struct Metrics {
    watch: Arc<Watch>,
    pipeline: Arc<Pipeline>,
    asks: Arc<Asks>,
    log: Log,
    channels: Arc<[Box<str>]>,
    started: WallTime,
}

impl Metrics {
    /// Those of `server`, which starts now.
    pub(super) fn new(server: &Server, watch: &Arc<Watch>) -> Self {
        Self {
            watch: Arc::clone(watch),
            pipeline: Arc::clone(&server.pipeline),
            asks: Arc::clone(&server.asks),
            log: server.log.clone(),
            channels: server.config.channels.iter().map(|channel| channel.name.clone()).collect(),
            started: server.clock.now().wall,
        }
    }

    /// Answers on `listeners`, in `tasks`. It is no activity of the server: nothing here keeps an idle one alive.
    pub(super) fn serve(&self, listeners: Vec<MetricsListener>, tasks: &mut JoinSet<()>) -> io::Result<()> {
        for listener in listeners {
            let metrics = self.clone();
            let text = move || metrics.text();
            match listener {
                MetricsListener::Tcp(listener) => {
                    let listener = tcp(listener)?;
                    tasks.spawn(async move { match http::serve(listener, text).await {} });
                }
                MetricsListener::Unix(listener) => {
                    let listener = unix(listener)?;
                    tasks.spawn(async move { match http::serve(listener, text).await {} });
                }
            }
        }
        Ok(())
    }

    /// All of them, as they are now.
    pub(super) fn text(&self) -> String {
        let (status, mut text) = (self.watch.status(), Text::default());
        self.tell_what_is(&status, &mut text);
        self.tell_what_was(&status, &mut text);
        text.end()
    }

    fn tell_what_is(&self, status: &Status, text: &mut Text) {
        let Status { nodes, under_way: UnderWay { asks, grants, held }, not_reloaded, .. } = status;
        text.family("nightlatch_build", Kind::Info, "The program.");
        text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        let help = "When the process started, in Unix time.";
        text.single("nightlatch_start_time_seconds", Kind::Gauge, help, seconds(self.started));
        text.single("nightlatch_nodes", Kind::Gauge, "Nodes that are listed.", nodes);
        text.single("nightlatch_asks_open", Kind::Gauge, "Questions that wait for a person.", asks);
        text.single("nightlatch_approvals_valid", Kind::Gauge, "Approvals that are valid.", grants);
        text.single("nightlatch_calls_held", Kind::Gauge, "Calls that wait for a person.", held);
        text.family("nightlatch_channel_attached", Kind::Gauge, "Processes that follow a channel.");
        for channel in &*self.channels {
            text.sample(&[("channel", channel)], self.watch.gate.attached(channel));
        }
        let help = "1 when the file has another configuration than the one in force, and cannot be used.";
        let outdated = u8::from(not_reloaded.is_some());
        text.single("nightlatch_configuration_outdated", Kind::Gauge, help, outdated);
        if let Some(not_after) = self.watch.certificate_not_after() {
            let help = "When the certificate ends that nodes are shown, in Unix time.";
            text.single("nightlatch_certificate_not_after_seconds", Kind::Gauge, help, seconds(not_after));
        }
    }

    fn tell_what_was(&self, status: &Status, text: &mut Text) {
        text.family("nightlatch_calls", Kind::Counter, "Calls of nodes that have ended, by what they came to.");
        for ((operation, ending), count) in self.pipeline.endings().all() {
            text.sample(&[("operation", operation.as_str()), ("outcome", ending.as_str())], count);
        }
        let opened = self.asks.opened.load(Ordering::Relaxed);
        text.single("nightlatch_asks_opened", Kind::Counter, "Questions to people.", opened);
        text.family("nightlatch_asks_closed", Kind::Counter, "Questions that have their outcome.");
        for (outcome, count) in self.asks.closed.all() {
            text.sample(&[("outcome", outcome.as_str())], count);
        }
        let help = "Time from a question to the answer that decided it.";
        text.histogram("nightlatch_ask_answer_seconds", help, &self.asks.answered);
        let failed = self.log.failed_writes();
        text.single("nightlatch_audit_failed_writes", Kind::Counter, "Writes to the audit log that failed.", failed);
        let help = "Panics: bugs, each of which the journal tells of.";
        text.single("nightlatch_internal_errors", Kind::Counter, help, status.panics);
    }
}

/// Unix time, in whole seconds.
fn seconds(time: WallTime) -> i64 {
    time.unix_millis() / 1000
}

#[cfg(test)]
mod tests;
