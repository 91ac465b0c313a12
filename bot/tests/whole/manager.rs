//! What the service manager is told.

use tokio::net::UnixDatagram;

use super::approvals::ask;
use super::bot_api::Fault;
use super::house::{ALICE, House, WITH_ALICE};
use super::patiently;
use super::program::Program;

/// A service manager that listens to one service, as systemd does.
pub(crate) struct Manager {
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Manager {
    pub(crate) fn listen(house: &House) -> Self {
        Self { socket: UnixDatagram::bind(house.path("notify")).expect("a socket"), told: vec![] }
    }

    /// Starts the bot below it.
    pub(crate) fn start(&self, house: &House) -> Program {
        Program::start(&house.config(), &["run"], [("NOTIFY_SOCKET", house.path("notify"))])
    }

    /// Waits for a line that has `part` in it.
    pub(crate) async fn until(&mut self, part: &str) -> String {
        loop {
            let mut message = [0; 4096];
            let length = patiently(part, self.socket.recv(&mut message)).await.expect("our socket");
            let message = String::from_utf8(message[..length].to_vec()).expect("text");
            self.told.push(message.clone());
            if let Some(line) = message.lines().find(|line| line.contains(part)) {
                return line.to_owned();
            }
        }
    }
}

#[tokio::test]
async fn readiness_is_told_although_telegram_is_down_and_the_status_says_so() {
    let house = House::new(WITH_ALICE).await;
    house.api.stop().await;
    let mut manager = Manager::listen(&house);
    let bot = manager.start(&house);
    manager.until("READY=1").await;
    manager.until("; Telegram cannot be reached: no connection").await;
    // It follows the server all the same.
    house.server.wait_for_follower().await;
    house.server.open(ask(1));
    let line = manager.until("1 question is open").await;
    assert!(line.contains("; Telegram cannot be reached"), "{line}");
    house.api.start_again().await;
    house.prompt(ALICE, "K7Q1").await;
    let well = "STATUS=1 question is open";
    while manager.until("STATUS=").await != well {}
    bot.stop().await;
    manager.until("STOPPING=1").await;
    assert_eq!(manager.told.iter().filter(|told| told.contains("READY=1")).count(), 1, "{:?}", manager.told);
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_in_the_status_and_ends_nothing() {
    let house = House::new(WITH_ALICE).await;
    house.api.fail_each("*", Fault::Unauthorized);
    let mut manager = Manager::listen(&house);
    let bot = manager.start(&house);
    manager.until("READY=1").await;
    manager.until("Telegram does not accept the token").await;
    house.server.wait_for_follower().await;
    house.server.open(ask(1));
    let line = manager.until("1 question is open").await;
    assert!(line.contains("Telegram does not accept the token"), "{line}");
    bot.stop().await;
    manager.until("STOPPING=1").await;
}

#[tokio::test]
async fn a_second_reader_is_in_the_status() {
    let house = House::new(WITH_ALICE).await;
    house.api.fail_each("getUpdates", Fault::Conflict);
    let mut manager = Manager::listen(&house);
    let bot = manager.start(&house);
    manager.until("; another program uses this bot's token").await;
    bot.stop().await;
}

#[tokio::test]
async fn a_server_that_is_away_is_in_the_status_until_it_is_back() {
    let mut house = House::new(WITH_ALICE).await;
    house.server.stop();
    let mut manager = Manager::listen(&house);
    let bot = manager.start(&house);
    manager.until("READY=1").await;
    manager.until("; nightlatch cannot be reached").await;
    house.server.start_again();
    while manager.until("STATUS=").await.contains("nightlatch cannot be reached") {}
    bot.stop().await;
}
