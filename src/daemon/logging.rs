//! Where events go: the journal when systemd runs us, standard error when a person does.
//!
//! Either may stop to read, and sending to it would then block. So events wait in a bounded queue, and a thread of its
//! own sends them: when nobody reads, events are lost and counted, and the server goes on.

mod queue;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nightlatch_approval_api::notify;
use tracing::Dispatch;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use self::queue::{Enqueue, Queue};
use crate::config::{Log, LogLevel};

/// How the journal names us.
const IDENTIFIER: &str = "nightlatch";

/// How long the end of the process waits for the last events to be sent.
const FLUSH: Duration = Duration::from_millis(200);

/// Events that wait to be sent, because nothing sends them yet.
#[derive(Debug)]
#[must_use = "events are sent by the thread that `forward` starts"]
pub struct Logging {
    queue: Arc<Queue>,
    /// The filter of what is sent.
    filter: Filter,
    levels: Levels,
}

type Filter = reload::Layer<Targets, Registry>;

/// What is told, which can change while the server runs.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    /// Events are filtered when they are made and, for those of the libraries in that thread, when they are sent.
    handles: Vec<reload::Handle<Targets, Registry>>,
}

impl Levels {
    /// Tells what `log` says from now on.
    pub fn set(&self, log: &Log) {
        for handle in &self.handles {
            // An error means that the subscriber is gone.
            let _gone = handle.reload(targets(log));
        }
    }
}

/// The thread that sends events. Dropping this waits for it, for 200 ms at most.
#[derive(Debug)]
#[must_use = "the last events are lost when it is dropped early"]
pub struct Forwarding {
    queue: Arc<Queue>,
}

/// Keeps events from now on, as far as `log` lets them. The first call counts. Starts no thread.
pub fn start(log: &Log) -> Logging {
    let queue = Arc::new(Queue::default());
    let ((made, making), (filter, sending)) = (Filter::new(targets(log)), Filter::new(targets(log)));
    // A test that starts two servers in one process keeps the first one's.
    let _kept = tracing_subscriber::registry().with(made).with(Enqueue::new(Arc::clone(&queue))).try_init();
    Logging { queue, filter, levels: Levels { handles: vec![making, sending] } }
}

fn targets(log: &Log) -> Targets {
    let level = |level: LogLevel| level.as_str().parse().unwrap_or(tracing::level_filters::LevelFilter::INFO);
    Targets::new().with_default(level(log.libraries)).with_target("nightlatch", level(log.level))
}

impl Logging {
    /// What changes the levels later.
    #[must_use]
    pub fn levels(&self) -> Levels {
        self.levels.clone()
    }

    /// Starts the thread that sends events to the journal or to standard error.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn forward(self) -> io::Result<Forwarding> {
        let Self { queue, filter, levels: _ } = self;
        let forwarding = Forwarding { queue: Arc::clone(&queue) };
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || queue.forward(&destination(filter)))?;
        Ok(forwarding)
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.queue.close(FLUSH);
    }
}

/// Connecting to the journal sends to it, so this may block as well.
fn destination(filter: Filter) -> Dispatch {
    let journal = notify::runs_under_the_journal().then(tracing_journald::layer).and_then(Result::ok);
    let terminal =
        journal.is_none().then(|| tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false));
    // The same filter again: a subscriber without one would have every event of every library made.
    tracing_subscriber::registry()
        .with(filter)
        .with(journal.map(|journal| journal.with_syslog_identifier(IDENTIFIER.to_owned()).with_field_prefix(None)))
        .with(terminal)
        .into()
}
