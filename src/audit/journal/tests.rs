use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

use super::super::record::tests::every_entry;
use super::*;
use crate::clock::WallTime;

#[derive(Debug)]
struct Seen {
    level: Level,
    target: String,
    message: String,
    fields: Vec<(String, String)>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields.push((name.into(), format!("{value:?}"))),
        }
    }
}

#[derive(Default, Clone)]
struct Watcher(Arc<Mutex<Vec<Seen>>>);

impl Subscriber for Watcher {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let (level, target) = (*metadata.level(), metadata.target().to_owned());
        let mut seen = Seen { level, target, message: String::new(), fields: vec![] };
        event.record(&mut seen);
        self.0.lock().expect("no panic").push(seen);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn seen(act: impl FnOnce()) -> Vec<Seen> {
    let watcher = Watcher::default();
    tracing::subscriber::with_default(watcher.clone(), act);
    std::mem::take(&mut *watcher.0.lock().expect("no panic"))
}

#[test]
fn every_record_is_copied_once_with_a_message_of_two_words() {
    let mut messages = BTreeSet::new();
    for (seq, entry) in (1..).zip(every_entry("evil\n\u{202e}")) {
        let record = Record { seq, time: WallTime::default(), entry };
        let events = seen(|| copy(&record));
        let [event] = &events[..] else { panic!("{} events for {record:?}", events.len()) };
        assert_eq!(event.target, TARGET);
        assert_eq!(event.message.split(' ').count(), 2, "{}", event.message);
        assert_eq!(event.fields[0], ("seq".to_owned(), seq.to_string()));
        assert!(messages.insert(event.message.clone()), "{} is used twice", event.message);
        for (name, value) in &event.fields {
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name}: {value}");
        }
    }
}

#[test]
fn refusals_and_damage_are_warnings() {
    let warnings: Vec<_> = every_entry("x")
        .into_iter()
        .flat_map(|entry| seen(|| copy(&Record { seq: 1, time: WallTime::default(), entry })))
        .filter(|event| event.level == Level::WARN)
        .map(|event| event.message)
        .collect();
    let beyond = ["list changed", "grant revoked", "everything locked", "lock ended"];
    let damage = ["release failed", "calls refused", "refusal set", "refusals dropped", "log repaired"];
    assert_eq!(warnings, [&damage[..], &beyond].concat());
}

#[test]
fn failure_is_told_with_all_that_it_came_from() {
    let failure = Unrecorded::Storage(Arc::new(std::io::Error::other("no space left")));
    let events = seen(|| failed(&failure));
    assert_eq!(events[0].level, Level::ERROR);
    let error = "the audit log could not be written: no space left".to_owned();
    assert_eq!(events[0].fields, [("error".to_owned(), error)]);
}
