//! What Telegram knows: chats, messages, presses, updates.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot be prepared has failed")]

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::BOT;
use super::fault::Faults;

/// A message of the bot, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its number in its chat.
    pub id: i32,
    /// As the bot wrote it.
    pub html: String,
    /// As people read it.
    pub plain: String,
    /// Rows of buttons: what each says, and its data.
    pub buttons: Vec<Vec<(String, String)>>,
    /// Whether it came without a sound.
    pub silent: bool,
    /// Whether it cannot be forwarded.
    pub protected: bool,
    /// What it answers.
    pub reply_to: Option<i32>,
    /// How often it was changed.
    pub edits: u32,
}

/// How a press was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What the person reads.
    pub text: String,
    /// Whether it stays until they put it away.
    pub alert: bool,
}

pub(super) struct Chat {
    pub(super) kind: &'static str,
    pub(super) title: String,
    pub(super) messages: BTreeMap<i32, Sent>,
    pub(super) last: i32,
    pub(super) closed: Option<(u16, String)>,
    pub(super) migrated: Option<i64>,
}

impl Chat {
    pub(super) fn new(kind: &'static str, title: &str) -> Self {
        let title = title.to_owned();
        Self { kind, title, messages: BTreeMap::new(), last: 0, closed: None, migrated: None }
    }

    /// The number of the next message.
    pub(super) fn number(&mut self) -> i32 {
        self.last += 1;
        self.last
    }
}

pub(super) struct Press {
    pub(super) answer: Option<Answered>,
    pub(super) expired: bool,
}

pub(super) struct Update {
    pub(super) id: i64,
    pub(super) content: Value,
    /// It is sent once more, whatever was confirmed.
    pub(super) again: bool,
    since: Instant,
}

pub(super) struct World {
    pub(super) token: String,
    tokens: u32,
    pub(super) inner: Option<SocketAddr>,
    pub(super) chats: HashMap<i64, Chat>,
    pub(super) presses: HashMap<String, Press>,
    pub(super) updates: Vec<Update>,
    /// The newest of those that were confirmed.
    pub(super) confirmed: Option<(i64, Value)>,
    next: i64,
    pub(super) faults: Faults,
    pub(super) log: Vec<(String, Value)>,
    pub(super) webhook: bool,
    /// Which `getUpdates` came last: the one that counts.
    pub(super) poll: u64,
    /// How many are waiting.
    pub(super) polls: usize,
    pub(super) commands: Value,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            token: String::new(),
            tokens: 0,
            inner: None,
            chats: HashMap::new(),
            presses: HashMap::new(),
            updates: Vec::new(),
            confirmed: None,
            next: 1000,
            faults: Faults::default(),
            log: Vec::new(),
            webhook: false,
            poll: 0,
            polls: 0,
            commands: json!([]),
        };
        world.revoke_token();
        world
    }

    /// Another token.
    pub(super) fn revoke_token(&mut self) {
        self.tokens += 1;
        self.token = format!("{BOT}:scripted-Bot_API-token-of-the-tests-{:03}", self.tokens);
    }

    pub(super) fn inner(&self) -> SocketAddr {
        self.inner.expect("it was started")
    }

    /// A chat, which begins to be when somebody speaks in it.
    pub(super) fn chat(&mut self, id: i64) -> &mut Chat {
        self.chats
            .entry(id)
            .or_insert_with(|| if id > 0 { Chat::new("private", "") } else { Chat::new("group", "a group") })
    }

    pub(super) fn chat_object(&mut self, id: i64) -> Value {
        let chat = self.chat(id);
        match chat.kind {
            "private" => json!({"id": id, "type": "private", "first_name": format!("person {id}")}),
            kind => json!({"id": id, "type": kind, "title": chat.title}),
        }
    }

    /// What somebody writes, as a `Message`.
    pub(super) fn written(&mut self, from: i64, chat: i64, text: &str) -> Value {
        let number = self.chat(chat).number();
        json!({
            "message_id": number, "date": 1_700_000_000, "from": person(from), "chat": self.chat_object(chat), "text": text,
        })
    }

    pub(super) fn press(&mut self, from: i64, chat: i64, message: i32, data: &str) -> String {
        let id = format!("{}", 4_000_000_000_000_000_000_u64 + self.presses.len() as u64);
        self.presses.insert(id.clone(), Press { answer: None, expired: false });
        let mut on = json!({"message_id": message, "date": 1_700_000_000, "chat": self.chat_object(chat)});
        if let Some(sent) = self.chat(chat).messages.get(&message) {
            on["text"] = json!(sent.plain);
        }
        self.push(json!({"callback_query": {
            "id": id, "from": person(from), "message": on, "chat_instance": "-1", "data": data,
        }}));
        id
    }

    pub(super) fn expire(&mut self, press: &str) {
        self.presses.get_mut(press).expect("a press").expired = true;
    }

    pub(super) fn push(&mut self, content: Value) {
        let id = self.next;
        self.push_as(id, content);
    }

    pub(super) fn push_as(&mut self, id: i64, content: Value) {
        // Below what was confirmed: the numbers begin anew, and the offset of before says nothing about them.
        let again = id < self.next && self.updates.is_empty();
        self.next = self.next.max(id) + 1;
        self.updates.push(Update { id, content, again, since: now() });
    }

    pub(super) fn repeat(&mut self) {
        let (id, content) = self.last().expect("an update");
        self.updates.push(Update { id, content, again: true, since: now() });
    }

    pub(super) fn drop_presses_older_than(&mut self, age: Duration) {
        let now = now();
        self.updates.retain(|update| update.content.get("callback_query").is_none() || now - update.since < age);
    }

    pub(super) fn migrate(&mut self, from: i64, to: i64) {
        let mut supergroup = Chat::new("supergroup", &self.chat(from).title.clone());
        supergroup.last = 0;
        self.chats.insert(to, supergroup);
        let mut message = self.written(from.abs(), from, "");
        message["migrate_to_chat_id"] = json!(to);
        self.chat(from).migrated = Some(to);
        self.push(json!({"message": message}));
    }

    pub(super) fn calls(&self, method: &str) -> Vec<Value> {
        let calls = self.log.iter().filter(|(name, _)| name.eq_ignore_ascii_case(method));
        calls.map(|(_, parameters)| parameters.clone()).collect()
    }

    /// The newest update that there was, confirmed or not.
    fn last(&self) -> Option<(i64, Value)> {
        self.updates.last().map(|update| (update.id, update.content.clone())).or_else(|| self.confirmed.clone())
    }
}

fn person(id: i64) -> Value {
    json!({"id": id, "is_bot": false, "first_name": format!("person {id}")})
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the age of presses is that of the test's runtime")]
    Instant::now()
}
