//! `nightlatch-bot check`, with somebody there to look at.

use std::path::Path;

use super::house::{ALICE, House, WITH_ALICE, WITH_BOTH};
use super::program::Program;

/// How a check ends, and what it says after the summary of the configuration.
async fn checked(house: &House, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments: Vec<&str> = ["check"].iter().chain(arguments).copied().collect();
    let program = Program::start(&house.config(), &arguments, [] as [(&str, &Path); 0]);
    let (status, output) = program.ended().await;
    let (_, findings) = output.split_once("PEOPLE\n").expect("the table of chats");
    let findings = findings.split_once("\n\n").expect("findings").1;
    (status.code(), findings.replace(&house.path("").display().to_string(), "/"))
}

#[tokio::test]
async fn a_house_in_order_is_a_line_for_each_thing_and_exit_status_0() {
    let house = House::new(&format!("{WITH_ALICE}{WITH_BOTH}")).await;
    let expected = "ok  the server at /socket takes this user for the channel: nightlatch 0.1.0\n\
                    ok  Telegram knows the token: it is that of @nightlatch_bot (123456789)\n\
                    ok  chat 101 is the private chat with person 101\n\
                    ok  chat -9 is the group the house\n";
    assert_eq!(checked(&house, &[]).await, (Some(0), expected.to_owned()));
    assert!(house.api.calls("sendMessage").is_empty());

    let (status, told) = checked(&house, &["--send-test"]).await;
    assert!(told.contains("ok  chat 101 got a test message\n"), "{told}");
    assert_eq!(status, Some(0));
    assert!(house.api.messages(ALICE)[0].plain.starts_with("🔔 A test: nightlatch-bot can write here"));
}

#[tokio::test]
async fn what_is_not_in_order_is_marked_with_what_to_do_and_exit_status_69() {
    let house = House::new(WITH_ALICE).await;
    house.server.turn_away();
    house.api.close(ALICE, 403, "Forbidden: bot was blocked by the user");
    let user = rustix::process::geteuid().as_raw();
    let expected = format!(
        "NO  the server does not take this user ({user}) for the channel\n    \
         -> check as the user that the bot runs as; its uid must stand in that [[channel]] of nightlatch.toml\n\
         ok  Telegram knows the token: it is that of @nightlatch_bot (123456789)\n\
         NO  chat 101 cannot be reached: Forbidden: bot was blocked by the user\n    \
         -> the person must open @nightlatch_bot in Telegram and press Start; unblock it if it is blocked\n\
         nightlatch-bot: error: 2 things are not as they should be\n\
         nightlatch-bot: hint: do what stands below each line that is marked with NO, and check again\n"
    );
    assert_eq!(checked(&house, &[]).await, (Some(69), expected));
}

#[tokio::test]
async fn looking_at_the_file_alone_calls_nobody() {
    let house = House::new(WITH_ALICE).await;
    let program = Program::start(&house.config(), &["check", "--offline"], [] as [(&str, &Path); 0]);
    assert!(program.ended().await.0.success());
    assert!(house.api.calls("getMe").is_empty());
}
