//! The long poll: one question at a time, for ever. What it brought is confirmed by the next question, so what was not
//! taken comes again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use teloxide_core::requests::Payload;
use tokio::time::Instant;

use super::Telegram;
use super::reply::Reply;
use super::update::{self, Update};
use crate::message::{Failure, Incoming};

/// How long Telegram holds a question for which there is nothing yet.
const TIMEOUT: Duration = Duration::from_secs(25);
/// Most updates of one answer.
const LIMIT: u8 = 32;
/// First and longest wait after failures; it doubles in between.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(64);
/// Longest wait that Telegram may ask for.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);
/// The wait after another program took the updates. Each question takes them back.
const CONFLICT_WAIT: Duration = Duration::from_secs(5);
/// How long nobody else must have asked before it is said that they are gone. Two programs that poll at once get
/// answers in turn, so an answer alone shows nothing.
const CONFLICT_OVER: Duration = Duration::from_secs(2 * 60);
/// The least time between two questions when the first brought nothing new, so that a server that answers at once
/// is not asked without a pause.
const PAUSE: Duration = Duration::from_secs(1);
/// How many updates are remembered, to know again what comes twice.
const REMEMBERED: usize = 256;

/// One `getUpdates`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The number from which on updates are wanted. All before it are confirmed by this.
    pub offset: Option<i64>,
    /// Most updates that are wanted.
    pub limit: u8,
    /// How long Telegram may wait for the first of them.
    pub timeout: Duration,
}

/// Where updates come from.
pub trait Source: Send + Sync + 'static {
    /// Asks once.
    fn updates(&self, question: Question) -> impl Future<Output = Result<Vec<Update>, Failure>> + Send;
}

/// What came of polling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// This happened, in this order. The next call of [`Poll::next`] confirms it.
    Updates(Vec<Incoming>),
    /// There was no answer, or a refusal.
    Failed {
        /// Why.
        failure: Failure,
        /// For how long already: since another program was first heard ([`Failure::Conflict`]), else since the first of
        /// these failures in a row.
        lasting: Duration,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// It works again.
    Recovered {
        /// How long it did not.
        after: Duration,
    },
}

type Answer = Result<Vec<Update>, Failure>;

/// A question that was asked.
struct Open {
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
    asked: Instant,
}

/// The long poll of one bot.
pub struct Poll<S> {
    source: Arc<S>,
    jitter: fn() -> u8,
    offset: Option<i64>,
    /// Whole, as a number alone may be that of another update: they begin anew when a server lost what it knew.
    seen: VecDeque<Update>,
    /// The question that is open. It goes on when nobody waits for it.
    open: Option<Open>,
    /// When the next question may be asked.
    not_before: Option<Instant>,
    /// What is handed out after [`Polled::Recovered`].
    ready: Option<Vec<Incoming>>,
    outage: Option<Outage>,
    conflict: Option<Conflict>,
}

/// Failures in a row.
struct Outage {
    since: Instant,
    failures: u32,
}

/// Another program polls.
struct Conflict {
    since: Instant,
    last: Instant,
}

impl<S: Source> Poll<S> {
    /// Polls `source`. `jitter` gives a random number for each wait, so that many bots do not come back at once.
    #[must_use]
    pub fn new(source: Arc<S>, jitter: fn() -> u8) -> Self {
        Self {
            source,
            jitter,
            offset: None,
            seen: VecDeque::new(),
            open: None,
            not_before: None,
            ready: None,
            outage: None,
            conflict: None,
        }
    }

    /// Waits for what comes next. Calling it confirms what the last call returned: nothing of it comes again.
    ///
    /// Cancel safe: a question stays open when nobody waits for its answer, and what was not returned comes with the
    /// next call. Dropping the poll ends it at once, and confirms nothing.
    pub async fn next(&mut self) -> Polled {
        loop {
            if let Some(updates) = self.ready.take() {
                return Polled::Updates(updates);
            }
            if let Some(not_before) = self.not_before {
                tokio::time::sleep_until(not_before).await;
                self.not_before = None;
            }
            let open = self.open.get_or_insert_with(|| {
                let (source, question) = (Arc::clone(&self.source), question(self.offset, self.outage.is_some()));
                Open { answer: Box::pin(async move { source.updates(question).await }), asked: now() }
            });
            let (answer, asked) = (open.answer.as_mut().await, open.asked);
            self.open = None;
            let polled = match answer {
                Ok(updates) => self.answered(&updates, asked),
                Err(failure) => Some(self.failed(failure)),
            };
            if let Some(polled) = polled {
                return polled;
            }
        }
    }

    fn answered(&mut self, updates: &[Update], asked: Instant) -> Option<Polled> {
        let now = now();
        // The highest of this answer and not of all: Telegram begins anew somewhere after a week without updates.
        if let Some(highest) = updates.iter().map(|update| update.id).max() {
            self.offset = Some(highest.saturating_add(1));
        }
        let mut news = Vec::new();
        let mut any_new = false;
        for update in updates {
            if !self.seen.contains(update) {
                any_new = true;
                self.remember(update.clone());
                news.extend(update.incoming.clone());
            }
        }
        if !any_new {
            self.not_before = Some(asked + PAUSE);
        }
        match self.trouble_over(now) {
            Some(since) => {
                self.ready = Some(news).filter(|news| !news.is_empty());
                self.not_before = None;
                Some(Polled::Recovered { after: now - since })
            }
            None => (!news.is_empty()).then_some(Polled::Updates(news)),
        }
    }

    /// Since when there was the trouble that this answer ends. While another program polls too, none ends.
    fn trouble_over(&mut self, now: Instant) -> Option<Instant> {
        let outage = self.outage.take().map(|outage| outage.since);
        let conflict = self.conflict.take_if(|conflict| now - conflict.last >= CONFLICT_OVER);
        if self.conflict.is_some() { None } else { outage.into_iter().chain(conflict.map(|it| it.since)).min() }
    }

    fn remember(&mut self, update: Update) {
        if self.seen.len() >= REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(update);
    }

    fn failed(&mut self, failure: Failure) -> Polled {
        let now = now();
        let (since, failures) = if failure == Failure::Conflict {
            // It is Telegram that says so: it is not away.
            self.outage = None;
            let since = match &self.conflict {
                Some(conflict) if now - conflict.last < CONFLICT_OVER => conflict.since,
                _ => now,
            };
            self.conflict = Some(Conflict { since, last: now });
            (since, 0)
        } else {
            let outage = self.outage.get_or_insert(Outage { since: now, failures: 0 });
            outage.failures = outage.failures.saturating_add(1);
            (outage.since, outage.failures)
        };
        let retry_in = wait(&failure, failures, (self.jitter)());
        self.not_before = Some(now + retry_in);
        Polled::Failed { failure, lasting: now - since, retry_in }
    }
}

/// What to ask. After a failure only for one update, and without waiting: so it is known at once that Telegram is back,
/// and one update that makes the answer unreadable stops only itself and not the 31 before it. And without an offset:
/// a server that lost what it knew has lower numbers now, and what comes again is known.
const fn question(offset: Option<i64>, careful: bool) -> Question {
    if careful {
        Question { offset: None, limit: 1, timeout: Duration::ZERO }
    } else {
        Question { offset, limit: LIMIT, timeout: TIMEOUT }
    }
}

/// How long to wait after a failure, the `failures`th in a row: never less than what Telegram asked for.
fn wait(failure: &Failure, failures: u32, jitter: u8) -> Duration {
    let least = match failure {
        Failure::Wait(wait) => (*wait).clamp(FIRST_WAIT, MAX_WAIT),
        Failure::Conflict => CONFLICT_WAIT,
        Failure::Token => LAST_WAIT,
        _ => FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(LAST_WAIT),
    };
    // Up to a quarter more, 16 s at most.
    least + (least / 4).min(LAST_WAIT / 4) * u32::from(jitter) / 255
}

/// A random number, from the kernel. Should it have none, waits are without jitter: nothing else depends on it.
#[must_use]
pub fn jitter() -> u8 {
    let mut byte = [0];
    match getrandom::fill(&mut byte) {
        Ok(()) => byte[0],
        Err(_) => 0,
    }
}

fn now() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long to wait is a matter of the runtime, by whose timers it ends"
    )]
    Instant::now()
}

/// `getUpdates` as docs/spec/telegram.md has it. Not teloxide-core's, whose result is unreadable when one field is.
#[derive(Serialize)]
struct GetUpdates {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    limit: u8,
    timeout: u64,
    allowed_updates: [&'static str; 2],
}

impl Payload for GetUpdates {
    type Output = Vec<Update>;

    const NAME: &'static str = "getUpdates";
}

impl Source for Telegram {
    async fn updates(&self, question: Question) -> Answer {
        let payload = GetUpdates {
            offset: question.offset,
            limit: question.limit,
            timeout: question.timeout.as_secs(),
            allowed_updates: ["message", "callback_query"],
        };
        match self.reply(&payload, question.timeout).await {
            Reply::Done(result) => update::updates(&result),
            Reply::NotModified => Err(Failure::Refused("message is not modified".into())),
            Reply::Failed(failure) => Err(failure),
        }
    }
}

#[cfg(test)]
mod tests;
