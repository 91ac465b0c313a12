//! From a question to what became of it.

use nightlatch_approval_api::v1::{Ask, Verdict, VoteRequest};
use serde_json::{Value, json};

use super::approvals::{ask, node};
use super::bot_api::Sent;
use super::house::{ALICE, BOB, GROUP, House, STRANGER, WITH_ALICE, WITH_BOTH, button};

fn vote(number: u8, verdict: Verdict, from: i64, for_seconds: Option<u32>) -> VoteRequest {
    VoteRequest { ask_id: vec![number; 16], verdict: verdict.into(), telegram_id: Some(from), for_seconds }
}

/// A press as an update has it, with a number of its own.
fn pressed(id: &str, from: i64, on: &Sent, data: &str) -> Value {
    let message = json!({"message_id": on.id, "date": 1, "chat": {"id": from, "type": "private"}});
    let from = json!({"id": from, "is_bot": false, "first_name": "x"});
    json!({"callback_query": {"id": id, "from": from, "message": message, "chat_instance": "-1", "data": data}})
}

#[tokio::test]
async fn a_question_is_one_message_and_a_press_is_one_vote_in_the_name_of_whoever_pressed() {
    let house = House::new(WITH_ALICE).await;
    let bot = house.start().await;
    house.server.open(ask(1));
    let prompt = house.prompt(ALICE, "K7Q1").await;
    assert!(prompt.plain.contains("cp-1") && prompt.plain.contains("192.0.2.1"), "{}", prompt.plain);
    assert!(prompt.protected && !prompt.silent);
    let answer = house.press(ALICE, ALICE, &prompt, 'a').await;
    assert!(answer.starts_with("✅ Approved: cp-1 may unlock until"), "{answer}");
    let closed = house.says(ALICE, prompt.id, "cp-1 approved by alice").await;
    assert!(closed.buttons.is_empty(), "{closed:?}");
    house.server.release(&ask(1));
    house.says(ALICE, prompt.id, "Released 1 key to 192.0.2.1").await;
    bot.stop().await;
    assert_eq!(house.server.votes(), [vote(1, Verdict::Approve, ALICE, None)]);
    assert_eq!(house.api.messages(ALICE).len(), 1);
    assert_eq!(house.api.calls("answerCallbackQuery").len(), 1);
}

#[tokio::test]
async fn each_button_is_the_vote_that_it_says() {
    let house = House::new(WITH_ALICE).await;
    let _bot = house.start().await;
    let cases = [
        ('d', Verdict::Deny, None, "cp-1 denied by alice"),
        ('l', Verdict::Approve, Some(1800), "cp-2 approved by alice"),
        ('b', Verdict::Block, Some(86_400), "cp-3 blocked by alice"),
    ];
    for (number, (letter, verdict, for_seconds, outcome)) in (1..).zip(cases) {
        house.server.open(ask(number));
        let prompt = house.prompt(ALICE, &format!("K7Q{number}")).await;
        house.press(ALICE, ALICE, &prompt, letter).await;
        assert!(house.says(ALICE, prompt.id, outcome).await.buttons.is_empty());
        assert_eq!(house.server.votes().last(), Some(&vote(number, verdict, ALICE, for_seconds)));
    }
    assert_eq!(house.server.votes().len(), 3);
}

#[tokio::test]
async fn what_a_stranger_presses_is_answered_and_is_no_vote() {
    let house = House::new(WITH_BOTH).await;
    let _bot = house.start().await;
    house.server.open(ask(1));
    let prompt = house.prompt(GROUP, "K7Q1").await;
    for letter in ['a', 'd', 'b'] {
        let answer = house.press(STRANGER, GROUP, &prompt, letter).await;
        assert!(answer.contains("you are not one of those who may answer here"), "{answer}");
    }
    // Nor is what they press on a copy that they forwarded to themselves.
    let answer = house.press(STRANGER, STRANGER, &prompt, 'a').await;
    assert!(answer.contains("you are not one of those who may answer here"), "{answer}");
    house.press(BOB, GROUP, &prompt, 'a').await;
    house.says(GROUP, prompt.id, "cp-1 approved by bob").await;
    assert_eq!(house.server.votes(), [vote(1, Verdict::Approve, BOB, None)]);
}

#[tokio::test]
async fn what_comes_twice_or_in_disorder_is_one_vote_for_each_press() {
    let house = House::new(WITH_ALICE).await;
    let bot = house.start().await;
    house.server.open(ask(1));
    house.server.open(ask(2));
    let (first, second) = (house.prompt(ALICE, "K7Q1").await, house.prompt(ALICE, "K7Q2").await);
    house.press(ALICE, ALICE, &first, 'a').await;
    house.api.wait_until_confirmed().await;
    house.api.repeat();
    // All that follows is taken after what was repeated.
    house.press(ALICE, ALICE, &second, 'd').await;
    house.server.open(ask(3));
    house.server.open(ask(4));
    let (third, fourth) = (house.prompt(ALICE, "K7Q3").await, house.prompt(ALICE, "K7Q4").await);
    bot.stop().await;

    // The next run gets them at once, the later one first, and each twice.
    for (number, prompt) in [(3002, &fourth), (3001, &third), (3001, &third), (3002, &fourth)] {
        house.api.push_as(number, pressed(&number.to_string(), ALICE, prompt, &button(prompt, 'a')));
    }
    let _bot = house.start().await;
    house.says(ALICE, third.id, "cp-3 approved by alice").await;
    house.says(ALICE, fourth.id, "cp-4 approved by alice").await;
    house.server.open(ask(5));
    let last = house.prompt(ALICE, "K7Q5").await;
    house.press(ALICE, ALICE, &last, 'a').await;
    // Which of those that come together is first at the server is left open.
    let mut votes = house.server.votes();
    votes.sort_by_key(|vote| vote.ask_id.clone());
    let expected = [
        vote(1, Verdict::Approve, ALICE, None),
        vote(2, Verdict::Deny, ALICE, None),
        vote(3, Verdict::Approve, ALICE, None),
        vote(4, Verdict::Approve, ALICE, None),
        vote(5, Verdict::Approve, ALICE, None),
    ];
    assert_eq!(votes, expected);
}

#[tokio::test]
async fn more_questions_than_a_chat_takes_at_once_all_arrive_and_the_first_can_be_answered_meanwhile() {
    let house = House::new(WITH_ALICE).await;
    let _bot = house.start().await;
    let codes: Vec<String> = (1..=8).map(|number| format!("N{number:03}")).collect();
    for (number, code) in (1..=8).zip(&codes) {
        house.server.open(Ask { code: code.clone(), ..ask(number) });
    }
    let first = house.prompt(ALICE, &codes[0]).await;
    house.press(ALICE, ALICE, &first, 'a').await;
    // It comes before those that nobody was asked yet.
    house.says(ALICE, first.id, "cp-1 approved by alice").await;
    for code in &codes[1..] {
        house.prompt(ALICE, code).await;
    }
    assert_eq!(house.api.messages(ALICE).len(), 8);
    assert_eq!(house.server.votes(), [vote(1, Verdict::Approve, ALICE, None)]);
}

#[tokio::test]
async fn a_rack_that_comes_back_is_one_message_and_one_press() {
    let house = House::new(WITH_ALICE).await;
    let bot = house.start().await;
    let home = |number| Ask { node: Some(node(number)), ..ask(number) };
    for number in 1..=6 {
        house.server.open(home(number));
    }
    let list = house.api.wait_for_message(ALICE, |sent| sent.plain.contains("6 nodes of home want to unlock")).await;
    let answer = house.press(ALICE, ALICE, &list, 'A').await;
    assert_eq!(answer, "✅ Approved: 6.");
    let over = house.says(ALICE, list.id, "6 nodes of home: nothing waits here any more").await;
    assert!(over.buttons.is_empty(), "{over:?}");
    assert_eq!(over.plain.matches("approved by alice").count(), 6, "{}", over.plain);
    bot.stop().await;
    assert_eq!(house.api.messages(ALICE).len(), 1);
    let expected: Vec<_> = (1..=6).map(|number| vote(number, Verdict::Approve, ALICE, None)).collect();
    assert_eq!(house.server.votes(), expected);
}
