//! Events between the code that reports them, which must never wait, and the thread that sends them, which may.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Value, Visit, display};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Most events that wait. Further ones are dropped and counted.
pub(super) const MAX_WAITING: usize = 1024;

/// Most bytes of an event's values that are kept, so that the queue never holds more than 16 MiB of them.
const MAX_VALUES_LEN: usize = 16 * 1024;

/// Most fields of one event (`tracing` allows no more).
const MAX_FIELDS: usize = 32;

/// Events that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<OwnedEvent>,
    /// Events that found no room, since that was told last.
    dropped: u64,
    /// Whether an event that was taken out is not sent yet.
    sending: bool,
    closed: bool,
}

impl Queue {
    /// Takes `event`, or counts it when there is no room. Never waits for whoever sends.
    fn push(&self, event: OwnedEvent) {
        let mut waiting = self.lock();
        if waiting.events.len() >= MAX_WAITING {
            waiting.dropped = waiting.dropped.saturating_add(1);
            return;
        }
        // Who sends looks again before it waits. To wake it is a call of the kernel, whether it sleeps or not.
        let sleeps = waiting.events.is_empty() && !waiting.sending;
        waiting.events.push_back(event);
        if sleeps {
            self.changed.notify_all();
        }
    }

    /// Sends events to `destination`, and before one of them how many were dropped, until the queue is closed and empty.
    pub(super) fn forward(&self, destination: &Dispatch) {
        dispatcher::with_default(destination, || {
            while let Some((event, dropped)) = self.next() {
                if dropped > 0 {
                    tracing::warn!(count = dropped, "events dropped");
                }
                event.send(destination);
                let mut waiting = self.lock();
                waiting.sending = false;
                // Nobody else waits for that.
                if waiting.closed {
                    self.changed.notify_all();
                }
            }
        });
    }

    /// Waits until all events are sent, for `patience` at most, and lets [`Self::forward`] end after the last of them.
    pub(super) fn close(&self, patience: Duration) {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.changed.notify_all();
        let unsent = |waiting: &mut Waiting| waiting.sending || !waiting.events.is_empty();
        drop(self.changed.wait_timeout_while(waiting, patience, unsent).map_err(PoisonError::into_inner));
    }

    fn next(&self) -> Option<(OwnedEvent, u64)> {
        let empty = |waiting: &mut Waiting| waiting.events.is_empty() && !waiting.closed;
        let mut waiting = self.changed.wait_while(self.lock(), empty).unwrap_or_else(PoisonError::into_inner);
        let event = waiting.events.pop_front()?;
        waiting.sending = true;
        Some((event, std::mem::take(&mut waiting.dropped)))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts events into a queue. Spans are not kept: nightlatch has none.
pub(super) struct Enqueue {
    queue: Arc<Queue>,
}

impl Enqueue {
    pub(super) const fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }
}

impl<S: Subscriber> Layer<S> for Enqueue {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Outside the lock: values are put into words by code of others.
        self.queue.push(OwnedEvent::of(event));
    }
}

/// An event whose values are its own, so that another thread can send it.
struct OwnedEvent {
    metadata: &'static Metadata<'static>,
    values: Vec<(Field, Box<dyn Value + Send>)>,
    /// Bytes that further values may have.
    room: usize,
}

impl OwnedEvent {
    fn of(event: &Event<'_>) -> Self {
        let mut owned = Self { metadata: event.metadata(), values: vec![], room: MAX_VALUES_LEN };
        event.record(&mut owned);
        owned
    }

    fn send(&self, destination: &Dispatch) {
        let Some(((first, _), fields)) = self.values.first().zip(Some(self.metadata.fields())) else { return };
        // Entries without a value are skipped by those who read them.
        let mut values: [(&Field, Option<&dyn Value>); MAX_FIELDS] = [(first, None); MAX_FIELDS];
        for (entry, (field, value)) in values.iter_mut().zip(&self.values) {
            *entry = (field, Some(&**value));
        }
        destination.event(&Event::new(self.metadata, &fields.value_set(&values)));
    }

    /// What `value` displays as, as far as there is room.
    fn text(&mut self, value: fmt::Arguments<'_>) -> String {
        let mut text = Bounded { text: String::new(), room: self.room };
        // It fails when there is no room for more.
        let _cut = text.write_fmt(value);
        self.room = text.room;
        text.text
    }
}

impl fmt::Debug for OwnedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedEvent").field("metadata", self.metadata).finish_non_exhaustive()
    }
}

impl Visit for OwnedEvent {
    fn record_str(&mut self, field: &Field, value: &str) {
        let text = self.text(format_args!("{value}"));
        self.values.push((field.clone(), Box::new(text)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = self.text(format_args!("{value:?}"));
        self.values.push((field.clone(), Box::new(display(text))));
    }
}

struct Bounded {
    text: String,
    room: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let end = (0..=more.len().min(self.room)).rev().find(|at| more.is_char_boundary(*at)).unwrap_or(0);
        self.text.push_str(more.get(..end).unwrap_or_default());
        if end < more.len() {
            self.room = 0;
            return Err(fmt::Error);
        }
        self.room -= end;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
