//! A Bot API of our own, on loopback, that does what a test tells it: people who press and write, and every fault that
//! Telegram, or what is in between, can have. It is strict where Telegram is, so that a bot which passes here does not
//! send what Telegram would refuse.
//!
//! ```ignore
//! let telegram = BotApi::start().await;
//! telegram.person(7);                                        // has spoken to the bot before
//! // … the bot sends a prompt …
//! let prompt = telegram.wait_for_message(7, |message| message.plain.contains("cp-1")).await;
//! let press = telegram.press(7, 7, prompt.id, &prompt.buttons[0][0].1);
//! let answer = telegram.wait_for_answer(&press).await;
//! telegram.fail("editMessageText", Fault::Wait(3));          // the next one
//! ```
//!
//! Everything ends when the value is dropped. What waits panics after [`PATIENCE`].

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot be prepared has failed")]

mod fault;
pub mod front;
mod html;
mod methods;
mod world;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use fault::Fault;
use front::Front;
pub use world::{Answered, Sent};
use world::{Chat, World};

/// How long a test waits for what should come at once.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The number of the bot.
pub const BOT: i64 = 123_456_789;

/// One Bot API, with one bot.
pub struct BotApi {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Keeps the port while nobody listens there, so that nobody else gets it.
    _reserved: TcpSocket,
    front: tokio::sync::Mutex<Option<Front>>,
    server: JoinHandle<()>,
}

/// What the interface and the methods share.
struct Shared {
    world: Mutex<World>,
    changed: watch::Sender<()>,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes the world, and wakes everybody who waits for a change.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let changed = change(&mut self.world());
        self.changed.send_replace(());
        changed
    }

    /// Waits until the world has what is looked for.
    async fn wait_for<T>(&self, look: impl Fn(&World) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(found) = look(&self.world()) {
                return found;
            }
            changes.changed().await.expect("the sender lives as long as this");
        }
    }
}

impl BotApi {
    /// Starts one on a free port. It knows nobody yet.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared { world: Mutex::new(World::new()), changed: watch::Sender::new(()) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let inner = listener.local_addr().expect("an address");
        shared.world().inner = Some(inner);
        let service = methods::service(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, service).await.expect("a listener") });
        let reserved = TcpSocket::new_v4().expect("a socket");
        reserved.set_reuseaddr(true).expect("an option of sockets");
        reserved.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = reserved.local_addr().expect("an address");
        let front = tokio::sync::Mutex::new(Some(Front::plain(inner, Some(address)).await));
        Self { shared, address, _reserved: reserved, front, server }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same as an address, for a [`Front`] with TLS or a proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token of the bot. Any other is refused.
    pub fn token(&self) -> String {
        self.shared.world().token.clone()
    }

    /// Makes every token wrong, as when BotFather revokes it; the new one is [`token`](Self::token).
    pub fn revoke_token(&self) {
        self.shared.change(World::revoke_token);
    }

    /// Ends every connection, and takes no new one.
    pub async fn stop(&self) {
        if let Some(front) = self.front.lock().await.take() {
            front.stop().await;
        }
    }

    /// Takes connections again, on the same port. What waited still waits.
    pub async fn start_again(&self) {
        let mut front = self.front.lock().await;
        if front.is_none() {
            let inner = self.shared.world().inner();
            *front = Some(Front::plain(inner, Some(self.address)).await);
        }
    }

    // ---- Chats

    /// A person who has spoken to the bot, so that it may write to them.
    pub fn person(&self, id: i64) {
        self.shared.change(|world| {
            world.chat(id);
        });
    }

    /// A group with the bot in it.
    pub fn group(&self, id: i64, title: &str) {
        assert!(id < 0, "groups have negative ids");
        self.shared.change(|world| world.chats.insert(id, Chat::new("group", title)));
    }

    /// From now on the bot may not write there: `Forbidden: bot was blocked by the user`, `Bad Request: chat not found`.
    pub fn close(&self, chat: i64, code: u16, description: &str) {
        self.shared.change(|world| world.chat(chat).closed = Some((code, description.to_owned())));
    }

    /// Takes [`close`](Self::close) back.
    pub fn open(&self, chat: i64) {
        self.shared.change(|world| world.chat(chat).closed = None);
    }

    /// The group becomes a supergroup: the old chat says so, and refuses everything with the new id.
    pub fn migrate(&self, from: i64, to: i64) {
        self.shared.change(|world| world.migrate(from, to));
    }

    /// Somebody deleted a message of the bot.
    pub fn delete(&self, chat: i64, message: i32) {
        self.shared.change(|world| world.chat(chat).messages.remove(&message));
    }

    // ---- Updates

    /// Somebody presses a button with this data, or pretends to: nothing is checked. The press's id is returned.
    pub fn press(&self, from: i64, chat: i64, message: i32, data: &str) -> String {
        self.shared.change(|world| world.press(from, chat, message, data))
    }

    /// Somebody writes.
    pub fn say(&self, from: i64, chat: i64, text: &str) {
        self.shared.change(|world| {
            let message = world.written(from, chat, text);
            world.push(json!({"message": message}));
        });
    }

    /// Any update; it gets the next number.
    pub fn push(&self, content: Value) {
        self.shared.change(|world| world.push(content));
    }

    /// Any update with this number, in no order.
    pub fn push_as(&self, id: i64, content: Value) {
        self.shared.change(|world| world.push_as(id, content));
    }

    /// Sends the newest update once more, although it was confirmed.
    pub fn repeat(&self) {
        self.shared.change(World::repeat);
    }

    /// What Telegram does with presses after 150 s: those that the bot did not fetch are lost.
    pub fn drop_presses_older_than(&self, age: Duration) {
        self.shared.change(|world| world.drop_presses_older_than(age));
    }

    /// A press can no longer be answered.
    pub fn expire(&self, press: &str) {
        self.shared.change(|world| world.expire(press));
    }

    /// A webhook is set, so that nobody can poll; or it is not.
    pub fn webhook(&self, set: bool) {
        self.shared.change(|world| world.webhook = set);
    }

    /// How many updates are not confirmed yet.
    pub fn waiting(&self) -> usize {
        self.shared.world().updates.len()
    }

    /// How many `getUpdates` are waiting for an answer.
    pub fn polls(&self) -> usize {
        self.shared.world().polls
    }

    // ---- Faults

    /// The next call of `method` fails so. Several queue up. `*` is any method.
    pub fn fail(&self, method: &str, fault: Fault) {
        self.shared.change(|world| world.faults.once(method, fault));
    }

    /// Every call of `method` fails so, until [`heal`](Self::heal). `*` is any method.
    pub fn fail_each(&self, method: &str, fault: Fault) {
        self.shared.change(|world| world.faults.each(method, fault));
    }

    /// Takes all faults back. Calls that hang go on hanging.
    pub fn heal(&self) {
        self.shared.change(|world| world.faults.heal());
    }

    // ---- Looking

    /// The parameters of all calls of `method` so far, in order, whatever came of them.
    pub fn calls(&self, method: &str) -> Vec<Value> {
        self.shared.world().calls(method)
    }

    /// The same, once there are at least `count`.
    pub async fn wait_for_calls(&self, method: &str, count: usize) -> Vec<Value> {
        let enough = |world: &World| Some(world.calls(method)).filter(|calls| calls.len() >= count);
        patiently(&format!("{count} calls of {method}"), self.shared.wait_for(enough)).await
    }

    /// Every message that the bot has in a chat, oldest first, as it is now.
    pub fn messages(&self, chat: i64) -> Vec<Sent> {
        let world = self.shared.world();
        world.chats.get(&chat).map(|chat| chat.messages.values().cloned().collect()).unwrap_or_default()
    }

    /// The newest message of a chat that is as it should be, once there is one.
    pub async fn wait_for_message(&self, chat: i64, wanted: impl Fn(&Sent) -> bool) -> Sent {
        let look = |world: &World| world.chats.get(&chat)?.messages.values().rev().find(|sent| wanted(sent)).cloned();
        patiently("a message", self.shared.wait_for(look)).await
    }

    /// How a press was answered, once it was.
    pub async fn wait_for_answer(&self, press: &str) -> Answered {
        let look = |world: &World| world.presses.get(press)?.answer.clone();
        patiently("an answer", self.shared.wait_for(look)).await
    }

    /// Waits until `count` questions for updates are open.
    pub async fn wait_for_polls(&self, count: usize) {
        patiently("polls", self.shared.wait_for(|world| (world.polls == count).then_some(()))).await;
    }

    /// Waits until every update is confirmed.
    pub async fn wait_until_confirmed(&self) {
        patiently("confirmation", self.shared.wait_for(|world| world.updates.is_empty().then_some(()))).await;
    }
}

impl Drop for BotApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}
