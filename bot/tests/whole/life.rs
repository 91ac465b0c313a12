//! Ends and beginnings: of the bot, of the server, and of Telegram, in the middle of a question.

use std::time::Duration;

use nightlatch_approval_api::v1::{Ask, Outcome, Verdict};
use rustix::process::Signal;

use super::approvals::ask;
use super::bot_api::Fault;
use super::house::{ALICE, House, WITH_ALICE, button};
use super::manager::Manager;

/// Less than the program gives a call, so a program that waits for its calls is still there.
const LESS_THAN_A_CALL: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_signal_ends_it_at_once_with_a_poll_open_and_a_message_under_way() {
    for signal in [Signal::TERM, Signal::INT] {
        let house = House::new(WITH_ALICE).await;
        let bot = house.start().await;
        house.api.wait_for_polls(1).await;
        house.api.fail("sendMessage", Fault::Hang);
        house.server.open(ask(1));
        house.api.wait_for_calls("sendMessage", 1).await;
        bot.signal(signal);
        let ended = tokio::time::timeout(LESS_THAN_A_CALL, bot.ended()).await;
        let (status, output) = ended.expect("it does not wait for calls that are under way");
        assert_eq!(status.code(), Some(0), "{output}");
        assert!(output.contains("stopping"), "{output}");
    }
}

#[tokio::test]
async fn a_restart_edits_the_old_message_and_its_button_still_works() {
    let house = House::new(WITH_ALICE).await;
    let bot = house.start().await;
    house.server.open(ask(1));
    let prompt = house.prompt(ALICE, "K7Q1").await;
    bot.stop().await;
    house.server.change(Ask { attempts: 7, ..ask(1) });
    let _bot = house.start().await;
    let shown = house.says(ALICE, prompt.id, "7 calls").await;
    assert_eq!(shown.buttons, prompt.buttons);
    house.press(ALICE, ALICE, &prompt, 'a').await;
    house.says(ALICE, prompt.id, "cp-1 approved by alice").await;
    assert_eq!(house.api.messages(ALICE).len(), 1);
    assert_eq!(house.server.votes().len(), 1);
}

#[tokio::test]
async fn what_is_pressed_during_a_restart_waits_for_the_server_and_counts() {
    let house = House::new(WITH_ALICE).await;
    let bot = house.start().await;
    house.server.open(ask(1));
    let prompt = house.prompt(ALICE, "K7Q1").await;
    bot.stop().await;
    let introduced = house.api.calls("getMe").len();
    house.server.hold();
    let press = house.api.press(ALICE, ALICE, prompt.id, &button(&prompt, 'a'));
    let _bot = house.spawn();
    // It speaks to Telegram already, and not yet to the server.
    house.api.wait_for_calls("getMe", introduced + 1).await;
    house.server.let_go();
    let answer = house.api.wait_for_answer(&press).await.text;
    assert!(answer.starts_with("✅ Approved"), "{answer}");
    house.says(ALICE, prompt.id, "cp-1 approved by alice").await;
    assert_eq!(house.server.votes().len(), 1);
}

#[tokio::test]
async fn a_kill_in_the_middle_asks_no_second_time_either() {
    let house = House::new(WITH_ALICE).await;
    let bot = house.start().await;
    house.server.open(ask(1));
    let prompt = house.prompt(ALICE, "K7Q1").await;
    house.wait_until_kept("K7Q1").await;
    bot.signal(Signal::KILL);
    bot.ended().await;
    house.server.close(&ask(1), Outcome::Denied, "bob");
    let _bot = house.start().await;
    assert!(house.says(ALICE, prompt.id, "cp-1 denied by bob").await.buttons.is_empty());
    assert_eq!(house.api.messages(ALICE).len(), 1);
}

#[tokio::test]
async fn when_the_server_begins_anew_the_old_message_says_so_and_the_new_question_is_a_new_message() {
    let mut house = House::new(WITH_ALICE).await;
    let _bot = house.start().await;
    house.server.open(ask(1));
    let old = house.prompt(ALICE, "K7Q1").await;
    house.server.stop();
    house.server.start_again();
    let forgotten = house.says(ALICE, old.id, "not open any more").await;
    assert!(forgotten.buttons.is_empty());
    let answer = house.press(ALICE, ALICE, &old, 'a').await;
    assert!(answer.starts_with("Nothing was changed"), "{answer}");

    // The node calls again, and has another question.
    let again = Ask { id: vec![99; 16], code: "M3X8".into(), ..ask(1) };
    house.server.open(again.clone());
    let new = house.prompt(ALICE, "M3X8").await;
    assert_ne!(new.id, old.id);
    house.says(ALICE, old.id, "is asked about again below").await;
    house.press(ALICE, ALICE, &new, 'a').await;
    house.says(ALICE, new.id, "cp-1 approved by alice").await;
    let votes = house.server.votes();
    assert_eq!(votes.iter().map(|vote| &vote.ask_id).collect::<Vec<_>>(), [&again.id]);
}

#[tokio::test]
async fn when_telegram_comes_back_messages_say_what_happened_meanwhile_and_presses_count_again() {
    let house = House::new(WITH_ALICE).await;
    let mut manager = Manager::listen(&house);
    let bot = manager.start(&house);
    house.server.open(ask(1));
    let old = house.prompt(ALICE, "K7Q1").await;
    house.api.stop().await;
    bot.wait_for_output("Telegram's updates cannot be read").await;
    house.server.close(&ask(1), Outcome::Approved, "bob");
    house.server.open(ask(2));
    // It heard of both, and could tell nobody.
    manager.until("1 question is open; 1 prompt waits to be sent; Telegram cannot be reached").await;
    let pressed = house.api.press(ALICE, ALICE, old.id, &button(&old, 'd'));
    house.api.start_again().await;
    house.says(ALICE, old.id, "cp-1 approved by bob").await;
    let answer = house.api.wait_for_answer(&pressed).await.text;
    assert!(answer.starts_with("Nothing was changed, it was closed before: approved by bob"), "{answer}");
    let new = house.prompt(ALICE, "K7Q2").await;
    house.press(ALICE, ALICE, &new, 'd').await;
    house.says(ALICE, new.id, "cp-2 denied by alice").await;
    let votes = house.server.votes();
    assert!(matches!(&votes[..], [vote] if vote.verdict() == Verdict::Deny && vote.ask_id == ask(2).id), "{votes:?}");
    assert_eq!(house.api.messages(ALICE).len(), 2);
}

#[tokio::test]
async fn presses_that_telegram_dropped_are_no_votes_and_pending_asks_again() {
    let house = House::new(WITH_ALICE).await;
    let bot = house.start().await;
    house.server.open(ask(1));
    let old = house.prompt(ALICE, "K7Q1").await;
    bot.stop().await;
    house.api.press(ALICE, ALICE, old.id, &button(&old, 'a'));
    house.api.drop_presses_older_than(Duration::ZERO);
    house.api.say(ALICE, ALICE, "/pending");
    let _bot = house.start().await;
    let new = house.api.wait_for_message(ALICE, |sent| sent.id != old.id && !sent.buttons.is_empty()).await;
    let outdated = house.says(ALICE, old.id, "is asked about again below").await;
    assert!(outdated.buttons.is_empty());
    let answer = house.press(ALICE, ALICE, &old, 'a').await;
    assert!(answer.starts_with("Nothing was changed: this message is old"), "{answer}");
    assert!(house.server.votes().is_empty());
    house.press(ALICE, ALICE, &new, 'a').await;
    house.says(ALICE, new.id, "cp-1 approved by alice").await;
    assert_eq!(house.server.votes().len(), 1);
}

#[tokio::test]
async fn a_second_one_does_not_begin_where_one_runs() {
    let house = House::new(WITH_ALICE).await;
    let first = house.start().await;
    let (status, output) = house.spawn().ended().await;
    assert_eq!(status.code(), Some(69));
    assert!(output.contains("another nightlatch-bot uses"), "{output}");
    first.stop().await;
    house.start().await.stop().await;
}

#[tokio::test]
async fn a_server_that_turns_it_away_ends_it_with_what_to_do() {
    let house = House::new(WITH_ALICE).await;
    house.server.turn_away();
    let (status, output) = house.spawn().ended().await;
    assert_eq!(status.code(), Some(77));
    assert!(output.contains("error: the server refuses this process: this user may not use this channel"), "{output}");
    assert!(output.contains("hint: the server's configuration needs a [[channel]]"), "{output}");
}

#[tokio::test]
async fn a_server_that_does_not_know_version_1_ends_it_with_which_to_upgrade() {
    let house = House::new(WITH_ALICE).await;
    house.server.refuse(tonic::Status::unimplemented(""));
    let (status, output) = house.spawn().ended().await;
    assert_eq!(status.code(), Some(69));
    assert!(output.contains("does not speak version 1 of the approval protocol"), "{output}");
    assert!(output.contains("install the bot of the server's version"), "{output}");
}
