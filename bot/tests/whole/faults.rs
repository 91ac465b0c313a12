//! What Telegram does when it does not do what it is asked. What takes a minute or more is in the session's own tests: what
//! is said of a second reader, of a token that is refused for long, of a day without a network.

use std::time::{Duration, Instant};

use super::approvals::ask;
use super::bot_api::Fault;
use super::house::{ALICE, BOB, GROUP, House, WITH_ALICE, WITH_BOTH};

/// Alice is asked at once, and Bob as well.
const WITH_EACH: &str = "[[chat]]\nid = 101\n[[chat]]\nid = 202\n";
/// Bob is asked a day later.
const IN_TURN: &str = "[[chat]]\nid = 101\n[[chat]]\nid = 202\nturn = 2\n";

#[tokio::test]
async fn a_wait_that_telegram_asks_for_is_obeyed() {
    let house = House::new(WITH_ALICE).await;
    let _bot = house.start().await;
    house.api.fail("sendMessage", Fault::Wait(2));
    let before = now();
    house.server.open(ask(1));
    house.prompt(ALICE, "K7Q1").await;
    // It can only be more, however late this test is.
    assert!(before.elapsed() >= Duration::from_secs(2), "it did not wait");
    assert_eq!(house.api.calls("sendMessage").len(), 2);
}

#[tokio::test]
async fn a_wait_for_one_chat_holds_no_other_up() {
    let house = House::new(WITH_EACH).await;
    let _bot = house.start().await;
    house.api.fail("sendMessage", Fault::Wait(3600));
    house.server.open(ask(1));
    let one = house.api.wait_for_calls("sendMessage", 2).await;
    let (waits, other) = if one[0]["chat_id"] == ALICE { (ALICE, BOB) } else { (BOB, ALICE) };
    let prompt = house.prompt(other, "K7Q1").await;
    house.press(other, other, &prompt, 'a').await;
    house.says(other, prompt.id, "approved by").await;
    assert_eq!(house.server.votes().len(), 1);
    assert!(house.api.messages(waits).is_empty());
}

#[tokio::test]
async fn errors_nonsense_and_broken_answers_cost_no_message_and_no_press() {
    let house = House::new(WITH_ALICE).await;
    let _bot = house.start().await;
    for fault in [Fault::Page(502), Fault::Nonsense] {
        house.api.fail("sendMessage", fault.clone());
        house.api.fail("getUpdates", fault);
    }
    house.server.open(ask(1));
    house.server.open(ask(2));
    let (first, second) = (house.prompt(ALICE, "K7Q1").await, house.prompt(ALICE, "K7Q2").await);
    // After this one updates are asked for anew, which fails twice.
    house.press(ALICE, ALICE, &first, 'a').await;
    house.press(ALICE, ALICE, &second, 'd').await;
    house.says(ALICE, first.id, "approved by alice").await;
    house.says(ALICE, second.id, "denied by alice").await;
    assert_eq!(house.api.messages(ALICE).len(), 2);
    assert_eq!(house.server.votes().len(), 2);
}

#[tokio::test]
async fn a_message_that_hangs_holds_nobody_else_up() {
    let house = House::new(WITH_EACH).await;
    let _bot = house.start().await;
    house.api.fail("sendMessage", Fault::Hang);
    house.server.open(ask(1));
    let calls = house.api.wait_for_calls("sendMessage", 2).await;
    assert_ne!(calls[0]["chat_id"], calls[1]["chat_id"], "it was waited for");
    let other = calls[1]["chat_id"].as_i64().expect("a chat");
    let prompt = house.prompt(other, "K7Q1").await;
    house.press(other, other, &prompt, 'a').await;
    house.says(other, prompt.id, "approved by").await;
    assert_eq!(house.server.votes().len(), 1);
}

#[tokio::test]
async fn a_second_reader_is_told_in_the_journal_and_costs_no_press() {
    let house = House::new(WITH_ALICE).await;
    let bot = house.start().await;
    house.server.open(ask(1));
    let prompt = house.prompt(ALICE, "K7Q1").await;
    house.api.wait_for_polls(1).await;
    house.api.fail("getUpdates", Fault::Conflict);
    // The poll that is open ends with this, and the next one meets the conflict.
    house.api.say(ALICE, ALICE, "/help");
    bot.wait_for_output("another program uses this bot's token").await;
    house.press(ALICE, ALICE, &prompt, 'a').await;
    house.says(ALICE, prompt.id, "approved by alice").await;
    assert_eq!(house.server.votes().len(), 1);
}

#[tokio::test]
async fn whoever_blocked_the_bot_is_told_in_the_journal_and_the_next_turn_is_asked_at_once() {
    let house = House::new(IN_TURN).await;
    house.api.close(ALICE, 403, "Forbidden: bot was blocked by the user");
    let bot = house.start().await;
    house.server.open(ask(1));
    let prompt = house.prompt(BOB, "K7Q1").await;
    bot.wait_for_output("bot was blocked by the user").await;
    house.press(BOB, BOB, &prompt, 'a').await;
    house.says(BOB, prompt.id, "approved by bob").await;
    // Whoever writes to it can be asked again.
    house.api.open(ALICE);
    house.api.say(ALICE, ALICE, "/start");
    house.server.open(ask(2));
    house.prompt(ALICE, "K7Q2").await;
    assert_eq!(house.server.votes().len(), 1);
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_is_asked_there_and_so_after_a_restart() {
    const SUPERGROUP: i64 = -1_000_009;
    let house = House::new(WITH_BOTH).await;
    let bot = house.start().await;
    house.server.open(ask(1));
    house.prompt(GROUP, "K7Q1").await;
    house.api.migrate(GROUP, SUPERGROUP);
    let moved = house.prompt(SUPERGROUP, "K7Q1").await;
    house.press(BOB, SUPERGROUP, &moved, 'a').await;
    house.says(SUPERGROUP, moved.id, "approved by bob").await;
    house.server.open(ask(2));
    let prompt = house.prompt(SUPERGROUP, "K7Q2").await;
    bot.stop().await;
    let _bot = house.start().await;
    house.press(ALICE, SUPERGROUP, &prompt, 'd').await;
    house.says(SUPERGROUP, prompt.id, "denied by alice").await;
    assert_eq!(house.server.votes().len(), 2);
    assert_eq!((house.api.messages(GROUP).len(), house.api.messages(SUPERGROUP).len()), (1, 2));
}

#[tokio::test]
async fn a_group_whose_new_id_only_a_refusal_tells_is_asked_there() {
    const SUPERGROUP: i64 = -1_000_010;
    let house = House::new(WITH_BOTH).await;
    let _bot = house.start().await;
    house.api.group(SUPERGROUP, "the house");
    house.api.fail("sendMessage", Fault::Migrated(SUPERGROUP));
    house.server.open(ask(1));
    let prompt = house.prompt(SUPERGROUP, "K7Q1").await;
    house.press(ALICE, SUPERGROUP, &prompt, 'a').await;
    house.says(SUPERGROUP, prompt.id, "approved by alice").await;
    assert_eq!(house.server.votes().len(), 1);
    assert!(house.api.messages(GROUP).is_empty());
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "for a least time, which no delay of the test can undo")]
    Instant::now()
}
