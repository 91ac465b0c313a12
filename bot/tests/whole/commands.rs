//! What people write.

use nightlatch_approval_api::v1::{BlockRequest, Outcome, UnblockRequest};

use super::approvals::ask;
use super::house::{ALICE, BOB, GROUP, House, STRANGER, WITH_ALICE, WITH_BOTH};

/// What the bot says to a command of Alice's: the first message after it.
async fn told(house: &House, command: &str) -> String {
    let before = house.api.messages(ALICE).last().map_or(0, |sent| sent.id);
    house.api.say(ALICE, ALICE, command);
    house.api.wait_for_message(ALICE, |sent| sent.id > before).await.plain
}

async fn each_is_answered(house: &House, commands: &[(&str, &str)]) {
    for (command, part) in commands {
        let told = told(house, command).await;
        assert!(told.contains(part), "{command}: {told}");
    }
}

#[tokio::test]
async fn commands_that_look_are_answered() {
    let house = House::new(WITH_ALICE).await;
    let _bot = house.start().await;
    house.server.open(ask(1));
    let prompt = house.prompt(ALICE, "K7Q1").await;
    house.server.close(&ask(1), Outcome::Expired, "");
    house.says(ALICE, prompt.id, "cp-1 stopped asking").await;
    let commands = [
        ("/help", "How this works"),
        ("/status", "All is well"),
        ("/pending", "Nobody waits for an answer"),
        ("/nodes", "cp-3"),
        ("/history", "cp-1 wanted to unlock"),
    ];
    each_is_answered(&house, &commands).await;
}

#[tokio::test]
async fn a_node_is_blocked_and_unblocked_in_the_name_of_whoever_wrote_it() {
    let house = House::new(WITH_ALICE).await;
    let _bot = house.start().await;
    let commands = [
        ("/block cp-2 2h", "cp-2"),
        ("/status", "⛔ cp-2"),
        ("/unblock cp-2", "cp-2 may ask again: 1 denial or block ended"),
        ("/block nobody", "no listed node is called so"),
        ("/block", "Which node?"),
        ("/frobnicate", "This bot does not know that"),
    ];
    each_is_answered(&house, &commands).await;
    let (node, telegram_id) = ("cp-2".to_owned(), Some(ALICE));
    let block = BlockRequest { node: node.clone(), telegram_id, for_seconds: Some(7200) };
    assert_eq!(house.server.blocks()[0], block);
    assert_eq!(house.server.unblocks(), [UnblockRequest { node, telegram_id }]);
}

#[tokio::test]
async fn the_app_is_told_the_commands_once() {
    let house = House::new(WITH_ALICE).await;
    let bot = house.start().await;
    house.api.wait_for_calls("setMyCommands", 1).await;
    house.server.open(ask(1));
    house.prompt(ALICE, "K7Q1").await;
    bot.stop().await;
    let calls = house.api.calls("setMyCommands");
    let commands = calls[0]["commands"].as_array().expect("a list");
    let names: Vec<_> = commands.iter().filter_map(|command| command["command"].as_str()).collect();
    let all =
        ["pending", "status", "nodes", "history", "grant", "revoke", "block", "unblock", "lock", "unlock", "help"];
    assert_eq!(names, all);
    assert_eq!((calls.len(), house.api.calls("getMe").len()), (1, 1));
}

#[tokio::test]
async fn a_group_is_commanded_by_the_bots_name_and_by_those_who_are_listed() {
    let house = House::new(WITH_BOTH).await;
    let bot = house.start().await;
    bot.wait_for_output("Telegram knows this bot").await;
    house.api.wait_for_calls("setMyCommands", 1).await;
    house.api.say(STRANGER, GROUP, "/block@nightlatch_bot cp-1");
    house.api.say(BOB, GROUP, "/block@another_bot cp-1");
    // A stranger in private learns their number, and a stranger's command is none.
    house.api.say(STRANGER, STRANGER, "/block cp-1");
    house.api.say(STRANGER, STRANGER, "/start");
    let answer = house.api.wait_for_message(STRANGER, |_| true).await;
    assert_eq!(answer.plain, "Your numeric id: 666");
    house.api.say(BOB, GROUP, "/block@nightlatch_bot cp-1");
    house.api.wait_for_message(GROUP, |sent| sent.plain.contains("cp-1")).await;
    let blocks = house.server.blocks();
    assert!(matches!(&blocks[..], [block] if block.telegram_id == Some(BOB)), "{blocks:?}");
    assert_eq!(house.api.messages(STRANGER).len(), 1);
}
