//! The long poll against a server. What it does when, without one: src/telegram/poll/tests.rs.

use nightlatch_bot::message::{ChatKind, Failure, Incoming, UserId};
use nightlatch_bot::telegram::{Poll, Polled};
use serde_json::json;

use super::bot_api::{Fault, PATIENCE as TEST_PATIENCE};
use super::*;

fn poll(api: &BotApi) -> Poll<Telegram> {
    Poll::new(client(api, PATIENCE), || 0)
}

async fn next(poll: &mut Poll<Telegram>) -> Polled {
    tokio::time::timeout(TEST_PATIENCE, poll.next()).await.expect("something happens")
}

/// The texts that the next updates bring.
async fn texts(poll: &mut Poll<Telegram>) -> Vec<String> {
    match next(poll).await {
        Polled::Updates(updates) => updates.into_iter().map(written).collect(),
        other => panic!("no updates: {other:?}"),
    }
}

fn written(incoming: Incoming) -> String {
    match incoming {
        Incoming::Text { text, .. } => text,
        other => panic!("no text: {other:?}"),
    }
}

/// Opens a question, and leaves it open.
async fn ask(api: &BotApi, poll: &mut Poll<Telegram>) {
    tokio::select! {
        biased;
        polled = poll.next() => panic!("nothing should come: {polled:?}"),
        () = api.wait_for_polls(1) => {}
    }
}

/// Lets so much time go by at once. The server is told nothing of it.
async fn let_go_by(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn presses_and_texts_arrive_in_order_and_are_confirmed_by_the_next_question() {
    let api = BotApi::start().await;
    let mut poll = poll(&api);
    api.press(7, 7, 3, "1aAAAAAAAAAAAAAAAAAAAAAA");
    api.say(8, -9, "/status");
    let Polled::Updates(updates) = next(&mut poll).await else { panic!("no updates") };
    assert!(
        matches!(&updates[0], Incoming::Press { from: UserId(7), on: Some((ChatId(7), ChatKind::Private, MessageId(3))),
        data: Some(data), .. } if data == "1aAAAAAAAAAAAAAAAAAAAAAA")
    );
    assert!(
        matches!(&updates[1], Incoming::Text { from: Some(UserId(8)), chat: ChatId(-9), kind: ChatKind::Group, text }
        if text == "/status")
    );
    assert_eq!(api.waiting(), 2, "confirmed before it was handled");
    ask(&api, &mut poll).await;
    assert_eq!(api.waiting(), 0);
    let expected = |offset: Option<i64>| {
        let mut parameters = json!({"limit": 32, "timeout": 25, "allowed_updates": ["message", "callback_query"]});
        if let Some(offset) = offset {
            parameters["offset"] = json!(offset);
        }
        parameters
    };
    assert_eq!(api.calls("getUpdates"), [expected(None), expected(Some(1002))]);
}

#[tokio::test]
async fn what_was_not_taken_comes_again_to_the_next_poll() {
    let api = BotApi::start().await;
    api.say(7, 7, "once");
    assert_eq!(texts(&mut poll(&api)).await, ["once"]);
    let mut after_a_restart = poll(&api);
    assert_eq!(texts(&mut after_a_restart).await, ["once"]);
    ask(&api, &mut after_a_restart).await;
    assert_eq!(api.waiting(), 0);
}

#[tokio::test]
async fn what_comes_while_the_question_is_open_comes_at_once() {
    let api = BotApi::start().await;
    let mut poll = poll(&api);
    ask(&api, &mut poll).await;
    api.say(7, 7, "now");
    assert_eq!(texts(&mut poll).await, ["now"]);
    assert_eq!(api.calls("getUpdates").len(), 1);
}

#[tokio::test]
async fn duplicates_unknown_updates_and_disorder_cost_nothing() {
    let api = BotApi::start().await;
    let mut poll = poll(&api);
    api.push(json!({"message_reaction": {"date": 1}}));
    api.push(json!({"message": {"text": ["unreadable"]}}));
    api.say(7, 7, "first");
    assert_eq!(texts(&mut poll).await, ["first"]);
    ask(&api, &mut poll).await;
    api.repeat();
    api.say(7, 7, "second");
    assert_eq!(texts(&mut poll).await, ["second"]);
    ask(&api, &mut poll).await;
    api.push_as(5, json!({"message": {"chat": {"id": 7, "type": "private"}, "text": "numbered anew"}}));
    assert_eq!(texts(&mut poll).await, ["numbered anew"]);
}

#[tokio::test]
async fn there_is_one_question_at_a_time_and_none_after_the_end() {
    let api = BotApi::start().await;
    let mut poll = poll(&api);
    for _ in 0..5 {
        ask(&api, &mut poll).await;
    }
    assert_eq!(api.calls("getUpdates").len(), 1);
    drop(poll);
    api.wait_for_polls(0).await;
}

#[tokio::test]
async fn calls_go_on_while_a_question_is_open() {
    let api = BotApi::start().await;
    api.person(7);
    let telegram = client(&api, PATIENCE);
    let mut poll = Poll::new(Arc::clone(&telegram), || 0);
    ask(&api, &mut poll).await;
    assert!(telegram.call(send(7, message("x"))).await.is_ok());
    assert_eq!(api.polls(), 1);
}

#[tokio::test]
async fn a_second_program_and_a_webhook_are_told() {
    let api = BotApi::start().await;
    let (mut ours, mut theirs) = (poll(&api), poll(&api));
    ask(&api, &mut ours).await;
    let (failed, ()) = tokio::join!(next(&mut ours), async {
        tokio::select! {
            polled = theirs.next() => panic!("nothing should come: {polled:?}"),
            _ = api.wait_for_calls("getUpdates", 2) => {}
        }
    });
    let conflict =
        Polled::Failed { failure: Failure::Conflict, lasting: Duration::ZERO, retry_in: Duration::from_secs(5) };
    assert_eq!(failed, conflict);
    api.webhook(true);
    assert_eq!(next(&mut poll(&api)).await, conflict);
}

#[tokio::test]
async fn an_outage_is_told_and_so_is_its_end() {
    let api = BotApi::start().await;
    let mut poll = poll(&api);
    ask(&api, &mut poll).await;
    api.stop().await;
    let failed = next(&mut poll).await;
    assert!(matches!(failed, Polled::Failed { failure: Failure::Away(_), .. }), "{failed:?}");
    api.say(7, 7, "meanwhile");
    api.start_again().await;
    let_go_by(Duration::from_secs(2)).await;
    assert!(matches!(next(&mut poll).await, Polled::Recovered { .. }));
    assert_eq!(texts(&mut poll).await, ["meanwhile"]);
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_with_the_time_for_it() {
    let api = BotApi::start().await;
    api.fail("getUpdates", Fault::Hang);
    let mut poll = poll(&api);
    tokio::select! {
        biased;
        polled = poll.next() => panic!("nothing should come: {polled:?}"),
        _ = api.wait_for_calls("getUpdates", 1) => {}
    }
    let_go_by(Duration::from_secs(25) + PATIENCE.call).await;
    let failed = next(&mut poll).await;
    assert!(
        matches!(&failed, Polled::Failed { failure: Failure::Away(why), .. } if why == "no answer in time"),
        "{failed:?}"
    );
}

#[tokio::test]
async fn an_empty_answer_is_followed_by_the_next_question() {
    let api = BotApi::start().await;
    let mut poll = poll(&api);
    ask(&api, &mut poll).await;
    // The server's own time for it ends as well.
    let_go_by(Duration::from_secs(25)).await;
    tokio::select! {
        biased;
        polled = poll.next() => panic!("nothing should come: {polled:?}"),
        _ = api.wait_for_calls("getUpdates", 2) => {}
    }
}

#[tokio::test]
async fn presses_that_were_not_fetched_in_time_are_lost_and_texts_are_not() {
    let api = BotApi::start().await;
    api.press(7, 7, 3, "1aAAAAAAAAAAAAAAAAAAAAAA");
    api.say(7, 7, "/pending");
    let_go_by(Duration::from_secs(151)).await;
    api.drop_presses_older_than(Duration::from_secs(150));
    assert_eq!(texts(&mut poll(&api)).await, ["/pending"]);
}
