//! Every way in which a call can fail, what it is taken for, and that no word of it is a secret.

use nightlatch_bot::message::Failure;
use serde_json::json;

use super::bot_api::Fault;
use super::*;

/// What a message to 7 comes to, once it fails so.
async fn failure(api: &BotApi, patience: Patience, fault: Fault) -> Failure {
    api.fail("sendMessage", fault);
    client(api, patience).call(send(7, message("x"))).await.expect_err("a failure")
}

#[tokio::test]
async fn each_failure_is_of_the_class_that_says_what_to_do() {
    let api = BotApi::start().await;
    api.person(7);
    let closed = "Forbidden: bot was blocked by the user";
    let cases = [
        (Fault::Wait(17), Failure::Wait(Duration::from_secs(17))),
        (Fault::Conflict, Failure::Conflict),
        (Fault::Unauthorized, Failure::Token),
        (Fault::Refuse(404, "Not Found".into()), Failure::Token),
        (Fault::Migrated(-1001), Failure::Migrated(ChatId(-1001))),
        (Fault::Refuse(403, closed.into()), Failure::ChatClosed(closed.into())),
        (Fault::Refuse(400, "Bad Request: new".into()), Failure::Refused("Bad Request: new".into())),
    ];
    for (fault, expected) in cases {
        assert_eq!(failure(&api, PATIENCE, fault.clone()).await, expected, "{fault:?}");
    }
    assert_eq!(api.messages(7), []);
}

#[tokio::test]
async fn what_is_broken_on_the_way_is_away() {
    let api = BotApi::start().await;
    api.person(7);
    let faults = [
        Fault::Refuse(502, "Bad Gateway".into()),
        Fault::Page(200),
        Fault::Page(401),
        Fault::Page(404),
        Fault::Page(503),
        Fault::Nonsense,
        Fault::Cut,
        Fault::Redirect(format!("{}/elsewhere", api.url())),
    ];
    for fault in faults {
        let failure = failure(&api, PATIENCE, fault.clone()).await;
        assert!(matches!(failure, Failure::Away(_)), "{fault:?}: {failure:?}");
        assert!(!format!("{failure:?}").contains("It does not work"), "{failure:?}");
    }
    assert_eq!(api.messages(7), []);
}

#[tokio::test]
async fn an_answer_without_an_end_is_read_for_four_mebibytes() {
    let api = BotApi::start().await;
    let failure = failure(&api, PATIENCE, Fault::Endless).await;
    assert_eq!(failure, Failure::Away("its answer is longer than 4 MiB".into()));
}

#[tokio::test]
async fn an_answer_that_is_late_or_never_comes_ends_with_the_time_for_it() {
    let api = BotApi::start().await;
    for fault in [Fault::Hang, Fault::Slow] {
        let failure = failure(&api, SHORT, fault.clone()).await;
        assert_eq!(failure, Failure::Away("no answer in time".into()), "{fault:?}");
    }
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_may_have_been_sent() {
    let api = BotApi::start().await;
    api.person(7);
    assert!(matches!(failure(&api, PATIENCE, Fault::LostAnswer).await, Failure::Away(_)));
    assert_eq!(api.messages(7).len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (api, other) = (BotApi::start().await, BotApi::start().await);
    let elsewhere = format!("{}/bot{}/sendMessage", other.url(), other.token());
    failure(&api, PATIENCE, Fault::Redirect(elsewhere)).await;
    assert_eq!(other.calls("sendMessage"), [] as [serde_json::Value; 0]);
}

#[tokio::test]
async fn one_call_is_one_attempt() {
    let api = BotApi::start().await;
    for fault in [Fault::Wait(1), Fault::Page(502), Fault::Cut, Fault::Nonsense, Fault::Unauthorized] {
        let before = api.calls("sendMessage").len();
        failure(&api, PATIENCE, fault.clone()).await;
        assert_eq!(api.calls("sendMessage").len(), before + 1, "{fault:?}");
    }
}

#[tokio::test]
async fn telegram_comes_back_on_the_same_way() {
    let api = BotApi::start().await;
    api.person(7);
    let telegram = client(&api, PATIENCE);
    telegram.call(send(7, message("1"))).await.expect("sent");
    api.stop().await;
    assert!(matches!(telegram.call(send(7, message("2"))).await, Err(Failure::Away(_))));
    api.start_again().await;
    telegram.call(send(7, message("3"))).await.expect("sent");
    assert_eq!(api.messages(7).into_iter().map(|sent| sent.plain).collect::<Vec<_>>(), ["1", "3"]);
}

#[tokio::test]
async fn a_chat_may_be_closed_open_again_and_move() {
    let api = BotApi::start().await;
    api.group(-9, "the house");
    let telegram = client(&api, PATIENCE);
    api.close(-9, 403, "Forbidden: bot was kicked from the group chat");
    assert!(matches!(telegram.call(send(-9, message("x"))).await, Err(Failure::ChatClosed(_))));
    api.open(-9);
    assert!(telegram.call(send(-9, message("x"))).await.is_ok());
    api.migrate(-9, -1009);
    assert_eq!(telegram.call(send(-9, message("x"))).await, Err(Failure::Migrated(ChatId(-1009))));
    assert!(telegram.call(send(-1009, message("x"))).await.is_ok());
}

#[tokio::test]
async fn a_revoked_token_is_told_apart() {
    let api = BotApi::start().await;
    let telegram = client(&api, PATIENCE);
    assert!(telegram.identity().await.is_ok());
    api.revoke_token();
    assert_eq!(telegram.identity().await, Err(Failure::Token));
}

#[tokio::test]
async fn neither_an_error_nor_a_log_line_has_the_token() {
    let log = log::all();
    let api = BotApi::start().await;
    let token = api.token();
    let secret = token.split_once(':').expect("a token").1.to_owned();
    let elsewhere = format!("{}/bot{token}/sendMessage", api.url());
    let faults = [
        Fault::Wait(1),
        Fault::Conflict,
        Fault::Unauthorized,
        Fault::Refuse(400, format!("Bad Request: /bot{token}/sendMessage")),
        Fault::Refuse(400, format!("message to edit not found {secret}")),
        Fault::Refuse(403, format!("Forbidden: {token}")),
        Fault::Refuse(500, token.clone()),
        Fault::Result(json!({"message_id": token})),
        Fault::Page(502),
        Fault::Redirect(elsewhere),
        Fault::Nonsense,
        Fault::Endless,
        Fault::Cut,
        Fault::Slow,
        Fault::Hang,
    ];
    let mut told = Vec::new();
    for fault in faults {
        let patience = if matches!(fault, Fault::Slow | Fault::Hang) { SHORT } else { PATIENCE };
        let failure = failure(&api, patience, fault).await;
        told.push(format!("{failure} {failure:?}"));
    }
    let telegram = client(&api, PATIENCE);
    api.stop().await;
    let refused = telegram.identity().await.expect_err("nobody is there");
    told.push(format!("{refused} {refused:?}"));
    for told in &told {
        assert!(!told.contains(&secret), "an error has the token");
    }
    assert!(told.iter().any(|told| told.contains("Connection refused")), "a reason should be told");
    assert!(log.contains("reqwest"), "nothing was logged, so this shows nothing");
    assert!(!log.contains(&secret), "the log has the token");
}
