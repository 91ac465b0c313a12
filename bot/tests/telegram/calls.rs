//! Each call, with exactly the parameters of docs/spec/telegram.md.

use nightlatch_bot::message::{ChatKind, Failure, PressId, UserId};
use nightlatch_bot::telegram::Identity;
use serde_json::json;

use super::bot_api::{Answered, BOT, Fault};
use super::*;

const DATA: &str = "1aAAAAAAAAAAAAAAAAAAAAAA";

#[tokio::test]
async fn a_message_is_sent_as_the_specification_says() {
    let api = BotApi::start().await;
    api.person(7);
    let telegram = client(&api, PATIENCE);
    assert_eq!(telegram.call(send(7, with_button("<b>cp-1</b> &amp; more", DATA))).await, Ok(Some(MessageId(1))));
    let quiet = Call::Send { chat: ChatId(7), message: message("still?"), silent: true, reply_to: Some(MessageId(1)) };
    assert_eq!(telegram.call(quiet).await, Ok(Some(MessageId(2))));
    let preview = json!({"is_disabled": true});
    let keyboard = json!({"inline_keyboard": [[{"text": "Approve", "callback_data": DATA}]]});
    assert_eq!(
        api.calls("sendMessage"),
        [
            json!({
                "chat_id": 7, "text": "<b>cp-1</b> &amp; more", "parse_mode": "HTML", "disable_notification": false,
                "protect_content": true, "link_preview_options": preview, "reply_markup": keyboard,
            }),
            json!({
                "chat_id": 7, "text": "still?", "parse_mode": "HTML", "disable_notification": true,
                "protect_content": true, "link_preview_options": preview,
                "reply_parameters": {"message_id": 1, "allow_sending_without_reply": true},
            }),
        ]
    );
    let sent = api.messages(7);
    assert_eq!(sent[0].plain, "cp-1 & more");
    assert_eq!((sent[1].silent, sent[1].reply_to), (true, Some(1)));
}

#[tokio::test]
async fn an_edit_changes_the_message_and_takes_the_buttons_away() {
    let api = BotApi::start().await;
    api.person(7);
    let telegram = client(&api, PATIENCE);
    telegram.call(send(7, with_button("asks", DATA))).await.expect("sent");
    assert_eq!(telegram.call(edit(7, 1, message("approved"))).await, Ok(None));
    let parameters = json!({
        "chat_id": 7, "message_id": 1, "text": "approved", "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": true}, "reply_markup": {"inline_keyboard": []},
    });
    assert_eq!(api.calls("editMessageText"), [parameters]);
    let sent = &api.messages(7)[0];
    assert_eq!((sent.plain.as_str(), sent.buttons.len(), sent.edits), ("approved", 0, 1));
}

#[tokio::test]
async fn an_edit_that_changes_nothing_is_a_success() {
    let api = BotApi::start().await;
    api.person(7);
    let telegram = client(&api, PATIENCE);
    telegram.call(send(7, with_button("asks", DATA))).await.expect("sent");
    assert_eq!(telegram.call(edit(7, 1, with_button("asks", DATA))).await, Ok(None));
    assert_eq!(api.messages(7)[0].edits, 0);
}

#[tokio::test]
async fn a_press_is_answered_once() {
    let api = BotApi::start().await;
    let telegram = client(&api, PATIENCE);
    let press = api.press(7, 7, 1, DATA);
    let answer = || Call::Answer { press: PressId(press.clone()), text: "Approved".into(), alert: true };
    assert_eq!(telegram.call(answer()).await, Ok(None));
    assert_eq!(
        api.calls("answerCallbackQuery"),
        [json!({"callback_query_id": press, "text": "Approved", "show_alert": true})]
    );
    assert_eq!(api.wait_for_answer(&press).await, Answered { text: "Approved".into(), alert: true });
    assert!(matches!(telegram.call(answer()).await, Err(Failure::Gone(_))));
    let late = api.press(7, 7, 1, DATA);
    api.expire(&late);
    let answer = Call::Answer { press: PressId(late), text: String::new(), alert: false };
    assert!(matches!(telegram.call(answer).await, Err(Failure::Gone(_))));
}

#[tokio::test]
async fn a_reminder_is_sent_although_the_prompt_is_gone() {
    let api = BotApi::start().await;
    api.person(7);
    let reminder =
        Call::Send { chat: ChatId(7), message: message("still?"), silent: false, reply_to: Some(MessageId(9)) };
    assert_eq!(client(&api, PATIENCE).call(reminder).await, Ok(Some(MessageId(1))));
}

#[tokio::test]
async fn the_bot_knows_itself_and_says_what_it_understands() {
    let api = BotApi::start().await;
    let telegram = client(&api, PATIENCE);
    let me = Identity { id: UserId(BOT), username: "nightlatch_bot".into() };
    assert_eq!(telegram.identity().await, Ok(me.clone()));
    telegram.set_commands(&[("status", "how things are"), ("help", "what I understand")]).await.expect("set");
    assert_eq!(
        api.calls("setMyCommands"),
        [json!({"commands": [
            {"command": "status", "description": "how things are"},
            {"command": "help", "description": "what I understand"},
        ]})]
    );
    // Only what is needed is read.
    api.fail("getMe", Fault::Result(json!({"id": BOT, "is_bot": "perhaps", "username": "nightlatch_bot"})));
    assert_eq!(telegram.identity().await, Ok(me));
    api.fail("getMe", Fault::Result(json!({"is_bot": true})));
    assert!(matches!(telegram.identity().await, Err(Failure::Away(_))));
}

#[tokio::test]
async fn chats_are_told_by_kind_and_name() {
    let api = BotApi::start().await;
    api.person(7);
    api.group(-9, "the house");
    let telegram = client(&api, PATIENCE);
    let private = telegram.chat(ChatId(7)).await.expect("a chat");
    assert_eq!((private.kind, private.name.as_str()), (ChatKind::Private, "person 7"));
    let group = telegram.chat(ChatId(-9)).await.expect("a chat");
    assert_eq!((group.kind, group.name.as_str()), (ChatKind::Group, "the house"));
    assert!(matches!(telegram.chat(ChatId(8)).await, Err(Failure::ChatClosed(_))));
    assert!(telegram.membership(ChatId(-9), UserId(BOT)).await.expect("a member").may_write);
    for (result, may_write) in [
        (json!({"status": "left"}), false),
        (json!({"status": "restricted", "is_member": true, "can_send_messages": true}), true),
        (json!({"status": "restricted", "is_member": true, "can_send_messages": false}), false),
        (json!({"status": "something new"}), false),
    ] {
        api.fail("getChatMember", Fault::Result(result.clone()));
        let membership = telegram.membership(ChatId(-9), UserId(BOT)).await.expect("an answer");
        assert_eq!(membership.may_write, may_write, "{result}");
    }
    assert_eq!(telegram.has_webhook().await, Ok(false));
    api.webhook(true);
    assert_eq!(telegram.has_webhook().await, Ok(true));
}

#[tokio::test]
async fn a_message_that_was_sent_is_sent_whatever_else_telegram_says_of_it() {
    let api = BotApi::start().await;
    let telegram = client(&api, PATIENCE);
    api.fail("sendMessage", Fault::Result(json!({"message_id": 12, "chat": "no more an object"})));
    assert_eq!(telegram.call(send(7, message("x"))).await, Ok(Some(MessageId(12))));
    // Without a number it cannot be edited: whether it is there is not known.
    api.fail("sendMessage", Fault::Result(json!({"message_id": 1_u64 << 40})));
    assert!(matches!(telegram.call(send(7, message("x"))).await, Err(Failure::Away(_))));
}

/// If this did not hold, the other tests would show little.
#[tokio::test]
async fn the_scripted_bot_api_refuses_what_telegram_would() {
    let api = BotApi::start().await;
    api.person(7);
    let telegram = client(&api, PATIENCE);
    let fits = "\u{1f512}".repeat(2048);
    assert_eq!(telegram.call(send(7, with_button(&fits, &"x".repeat(64)))).await, Ok(Some(MessageId(1))));
    let refused = [
        send(7, message("")),
        send(7, message("<b> </b>")),
        send(7, message(&format!("{fits}x"))),
        send(7, message("a < b")),
        send(7, message("<b>a")),
        send(7, message("<b><i>a</b></i>")),
        send(7, message("<blink>a</blink>")),
        send(7, message("<b x=\"y\">a</b>")),
        send(7, with_button("a", "")),
        send(7, with_button("a", &"x".repeat(65))),
        edit(7, 1, message(&format!("{fits}x"))),
    ];
    for call in refused {
        let told = telegram.call(call.clone()).await;
        assert!(matches!(told, Err(Failure::Refused(_))), "{call:?}: {told:?}");
    }
    assert!(matches!(telegram.call(edit(7, 2, message("a"))).await, Err(Failure::Gone(_))));
    assert!(matches!(telegram.call(send(8, message("a"))).await, Err(Failure::ChatClosed(_))));
    let commands = telegram.set_commands(&[("With Capitals", "x")]).await;
    assert!(matches!(commands, Err(Failure::Refused(_))), "{commands:?}");
    assert_eq!(api.messages(7).len(), 1);
}
