//! The bot at work: carries between the server, the session and Telegram, and decides nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use nightlatch_approval_api::notify::Manager;
use nightlatch_approval_api::{Client, connect};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::sleep_until;
use tonic::{Code, Status};

use crate::clock::Clock;
use crate::kept::{Kept, Store};
use crate::message::{Failure, Told};
use crate::session::{Input, Output, Reply, Session, Settings, Ticket};
use crate::telegram::{self, Poll, Polled, Telegram};
use crate::{server, texts};

/// How long between two tries to introduce ourselves to Telegram.
const INTRODUCE_AGAIN: Duration = Duration::from_secs(10);
/// How long updates wait at the start for the server's first word. Whoever pressed during a restart is otherwise told that
/// the server is away, as it was not asked yet.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// How long the last calls may take once the bot is to stop. Prompts are found again by the next run.
const LAST_CALLS: Duration = Duration::from_millis(500);

/// What a run needs.
pub struct Parts {
    /// The server's socket.
    pub socket: std::path::PathBuf,
    /// What the session goes by.
    pub settings: Settings,
    /// The way to Telegram.
    pub telegram: Telegram,
    /// Where is kept what a restart needs.
    pub store: Store,
    /// What an earlier run kept.
    pub kept: Kept,
    /// Who is told how it is.
    pub manager: Manager,
}

/// Runs until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// When the server refuses this process for good, or signals cannot be had.
pub async fn run(parts: Parts) -> Result<(), Stopped> {
    let Parts { socket, settings, telegram, store, kept, manager } = parts;
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let clock = Clock::start();
    let telegram = Arc::new(telegram);
    let mut poll = Poll::new(Arc::clone(&telegram), telegram::jitter);
    let mut updates = server::follow(&socket);
    let (mut may_poll, first_word) = (false, clock.at(clock.now().monotonic + FIRST_WORD));
    let mut watchdog = tokio::time::interval(manager.watchdog().map_or(Duration::from_secs(60), |every| every / 3));
    let mut hands = Hands {
        session: Session::new(settings, kept, Box::new(random), clock.now()),
        clock,
        telegram: Arc::clone(&telegram),
        client: connect(&socket),
        tasks: JoinSet::new(),
        under_way: HashMap::new(),
        keeping: Keeping { store: Arc::new(store), next: None, is_busy: false },
    };
    hands.tasks.spawn(introduce(telegram));
    manager.ready();
    loop {
        hands.work();
        manager.status(&hands.session.status());
        let wake = hands.session.wake_at().map(|at| clock.at(at));
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // Before whatever may be ready always: what is busy does not hang.
            _ = watchdog.tick() => manager.alive(),
            Some(done) = hands.tasks.join_next_with_id() => hands.done(done),
            polled = poll.next(), if may_poll => hands.polled(polled),
            update = updates.recv() => match update {
                Some(Ok(update)) => {
                    may_poll = true;
                    hands.take(Input::Server(Box::new(update)));
                }
                Some(Err(status)) if status.code() == Code::Unimplemented => return Err(Stopped::NewerServer),
                Some(Err(status)) => return Err(Stopped::Refused(status)),
                None => return Err(Stopped::Refused(Status::internal("the task that follows the server ended"))),
            },
            () = sleep_until(first_word), if !may_poll => may_poll = true,
            () = sleep_until(wake.unwrap_or(clock.at(Duration::ZERO))), if wake.is_some() => {}
        }
    }
    manager.stopping();
    tracing::info!("stopping");
    hands.end().await;
    Ok(())
}

/// Why the bot stopped although nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The server does not let this process in.
    #[error("the server refuses this process: {}", .0.message())]
    Refused(Status),
    /// The server does not know version 1 of the approval protocol. That is the first, and Subscribe was always in it.
    #[error("what listens on the server's socket does not speak version 1 of the approval protocol, as this bot does")]
    NewerServer,
    /// There are no signals to be had.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

fn on(kind: SignalKind) -> Result<Signal, Stopped> {
    signal(kind).map_err(Stopped::Signals)
}

/// What a task brings back.
enum Done {
    Input(Box<Input>),
    Kept(std::io::Result<()>),
}

fn told(ticket: Ticket, told: Told) -> Done {
    Done::Input(Box::new(Input::Told(ticket, told)))
}

fn answered(ticket: Ticket, reply: Result<Reply, Status>) -> Done {
    Done::Input(Box::new(Input::Answered(ticket, reply)))
}

/// What a task was begun for.
enum UnderWay {
    Call(Ticket),
    Request(Ticket),
}

/// The session, and those who do what it says.
struct Hands {
    session: Session,
    clock: Clock,
    telegram: Arc<Telegram>,
    client: Client,
    tasks: JoinSet<Done>,
    under_way: HashMap<Id, UnderWay>,
    keeping: Keeping,
}

/// What is kept is written one after the other, and only the newest of what waits.
struct Keeping {
    store: Arc<Store>,
    next: Option<Kept>,
    is_busy: bool,
}

impl Hands {
    fn take(&mut self, input: Input) {
        self.session.take(self.clock.now(), input);
    }

    /// Begins all that is to be done.
    fn work(&mut self) {
        while let Some(output) = self.session.next(self.clock.now()) {
            match output {
                Output::Telegram(ticket, call) => {
                    let telegram = Arc::clone(&self.telegram);
                    let task = self.tasks.spawn(async move { told(ticket, telegram.call(call).await) });
                    self.under_way.insert(task.id(), UnderWay::Call(ticket));
                }
                Output::Server(ticket, request) => {
                    let client = self.client.clone();
                    let task = self.tasks.spawn(async move { answered(ticket, server::ask(client, request).await) });
                    self.under_way.insert(task.id(), UnderWay::Request(ticket));
                }
                Output::Keep(kept) => self.keeping.next = Some(kept),
            }
        }
        if !self.keeping.is_busy
            && let Some(kept) = self.keeping.next.take()
        {
            self.keeping.is_busy = true;
            let store = Arc::clone(&self.keeping.store);
            self.tasks.spawn_blocking(move || Done::Kept(store.save(&kept)));
        }
    }

    fn done(&mut self, done: Result<(Id, Done), JoinError>) {
        let under_way = match &done {
            Ok((id, _)) => self.under_way.remove(id),
            Err(error) => self.under_way.remove(&error.id()),
        };
        match done {
            Ok((_, Done::Input(input))) => self.take(*input),
            Ok((_, Done::Kept(saved))) => {
                self.keeping.is_busy = false;
                if let Err(error) = saved {
                    tracing::warn!(%error, "cannot keep which message shows which ask: a restart will not edit them");
                }
            }
            // The session waits for each of them: it is told that nobody knows how it ended.
            Err(error) => {
                tracing::error!(is_panic = error.is_panic(), "a task ended early");
                let lost = || "the task that did it ended early";
                match under_way {
                    Some(UnderWay::Call(ticket)) => {
                        self.take(Input::Told(ticket, Err(Failure::Away(lost().to_owned()))));
                    }
                    Some(UnderWay::Request(ticket)) => {
                        self.take(Input::Answered(ticket, Err(Status::deadline_exceeded(lost()))));
                    }
                    None => self.keeping.is_busy = false,
                }
            }
        }
    }

    fn polled(&mut self, polled: Polled) {
        match polled {
            Polled::Updates(updates) => {
                self.take(Input::Polled(Ok(())));
                for incoming in updates {
                    self.take(Input::Telegram(incoming));
                }
            }
            Polled::Recovered { .. } => self.take(Input::Polled(Ok(()))),
            Polled::Failed { failure, .. } => self.take(Input::Polled(Err(failure))),
        }
    }

    /// Lets the calls under way end, for a moment, and writes down what they brought.
    async fn end(mut self) {
        let last = tokio::time::timeout(LAST_CALLS, async {
            while let Some(done) = self.tasks.join_next_with_id().await {
                self.done(done);
                // What is to be kept comes last. Nothing else is begun any more.
                while let Some(output) = self.session.next(self.clock.now()) {
                    if let Output::Keep(kept) = output {
                        self.keeping.next = Some(kept);
                    }
                }
            }
        });
        let _late = last.await;
        if let Some(kept) = self.keeping.next.take()
            && let Err(error) = self.keeping.store.save(&kept)
        {
            tracing::warn!(%error, "cannot keep which message shows which ask: a restart will not edit them");
        }
    }
}

/// Tells Telegram the commands, and learns how the bot is called.
async fn introduce(telegram: Arc<Telegram>) -> Done {
    loop {
        match telegram.identity().await {
            Ok(identity) => {
                tracing::info!(name = %identity.username, "Telegram knows this bot");
                if let Err(failure) = telegram.set_commands(&texts::COMMANDS).await {
                    tracing::warn!(%failure, "the commands are not offered in the app");
                }
                return Done::Input(Box::new(Input::Named(identity.username)));
            }
            Err(failure) => tracing::debug!(%failure, "Telegram does not know this bot yet"),
        }
        tokio::time::sleep(INTRODUCE_AGAIN).await;
    }
}

/// 16 random bytes. Without any there are no buttons: whoever guesses a nonce could press what they were not shown.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    while getrandom::fill(&mut bytes).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    bytes
}
