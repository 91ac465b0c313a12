use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(updates: Value) -> Vec<Update> {
    incoming(json!({"ok": true, "result": updates}).to_string().as_bytes()).expect("an answer")
}

/// What the one update with this content says.
fn one(content: Value) -> Option<Incoming> {
    let mut update = content;
    update["update_id"] = json!(1);
    let mut updates = read(json!([update]));
    assert_eq!(updates.len(), 1);
    updates.remove(0).incoming
}

fn press_with(changed: impl FnOnce(&mut Value)) -> Option<Incoming> {
    let mut query = json!({
        "id": "77", "from": {"id": 7, "is_bot": false, "first_name": "alice"}, "chat_instance": "1",
        "message": {"message_id": 5, "date": 1, "chat": {"id": 7, "type": "private"}, "text": "x"},
        "data": "1aAAAAAAAAAAAAAAAAAAAAAA",
    });
    changed(&mut query);
    one(json!({"callback_query": query}))
}

fn text_with(changed: impl FnOnce(&mut Value)) -> Option<Incoming> {
    let mut message = json!({
        "message_id": 5, "date": 1, "from": {"id": 7, "is_bot": false}, "chat": {"id": -9, "type": "group"},
        "text": "/status",
    });
    changed(&mut message);
    one(json!({"message": message}))
}

#[test]
fn a_press_is_read_with_all_that_the_session_checks() {
    let expected = Incoming::Press {
        id: PressId("77".into()),
        from: UserId(7),
        on: Some((ChatId(7), ChatKind::Private, MessageId(5))),
        data: Some("1aAAAAAAAAAAAAAAAAAAAAAA".into()),
    };
    assert_eq!(press_with(|_| ()), Some(expected.clone()));
    // Fields that are new, changed or gone.
    assert_eq!(press_with(|query| query["chat_instance"] = json!({"now": ["an", "object"]})), Some(expected.clone()));
    assert_eq!(press_with(|query| query["from"] = json!({"id": 7})), Some(expected.clone()));
    assert_eq!(
        press_with(|query| query["message"] = json!({"message_id": 5, "chat": {"id": 7, "type": "private"}})),
        Some(expected)
    );
}

#[test]
fn a_press_whose_message_cannot_be_read_is_on_none() {
    for message in [
        json!(null),
        json!(3),
        json!({"message_id": 5}),
        json!({"message_id": "5", "chat": {"id": 7}}),
        json!({"message_id": 1u64 << 40, "chat": {"id": 7}}),
    ] {
        let pressed = press_with(|query| query["message"] = message.clone());
        assert!(matches!(pressed, Some(Incoming::Press { on: None, .. })), "{message}: {pressed:?}");
    }
}

#[test]
fn data_that_no_button_can_carry_is_none() {
    for data in [json!("x".repeat(65)), json!(5), json!(null), json!(["1a"])] {
        let pressed = press_with(|query| query["data"] = data.clone());
        assert!(matches!(pressed, Some(Incoming::Press { data: None, .. })), "{data}: {pressed:?}");
    }
    let longest = press_with(|query| query["data"] = json!("x".repeat(64)));
    assert!(matches!(longest, Some(Incoming::Press { data: Some(data), .. }) if data.len() == 64));
}

#[test]
fn a_press_of_nobody_or_of_a_bot_is_none() {
    assert_eq!(press_with(|query| query["from"] = json!(null)), None);
    assert_eq!(press_with(|query| query["from"] = json!({"id": "7"})), None);
    assert_eq!(press_with(|query| query["from"] = json!({"id": 7, "is_bot": true})), None);
    assert_eq!(press_with(|query| query["from"] = json!({"id": ANONYMOUS.0})), None);
    assert_eq!(press_with(|query| query["id"] = json!("7".repeat(129))), None);
}

#[test]
fn what_somebody_wrote_is_read_and_cut() {
    let written = |text: &str| Incoming::Text {
        from: Some(UserId(7)),
        chat: ChatId(-9),
        kind: ChatKind::Group,
        text: text.into(),
    };
    assert_eq!(text_with(|_| ()), Some(written("/status")));
    let long = "\u{1f512}".repeat(300);
    assert_eq!(text_with(|message| message["text"] = json!(long)), Some(written(&"\u{1f512}".repeat(256))));
    assert_eq!(text_with(|message| message["text"] = json!(null)), None);
}

#[test]
fn what_is_written_in_the_name_of_a_group_is_nobodys() {
    let nobodys = |changed: fn(&mut Value)| match text_with(changed) {
        Some(Incoming::Text { from, .. }) => from.is_none(),
        other => panic!("no text: {other:?}"),
    };
    assert!(nobodys(|message| message["sender_chat"] = json!({"id": -9, "type": "group"})));
    assert!(nobodys(|message| message["from"]["id"] = json!(ANONYMOUS.0)));
    assert!(nobodys(|message| message["from"]["is_bot"] = json!(true)));
    assert!(nobodys(|message| message["from"] = json!(null)));
    assert!(!nobodys(|_| ()));
}

#[test]
fn what_was_forwarded_is_no_command() {
    assert_eq!(text_with(|message| message["forward_origin"] = json!({"type": "hidden_user"})), None);
    assert_eq!(text_with(|message| message["forward_date"] = json!(1)), None);
}

#[test]
fn a_group_tells_its_new_id() {
    let moved = text_with(|message| message["migrate_to_chat_id"] = json!(-1_000_000_000_009_i64));
    assert_eq!(moved, Some(Incoming::Migrated { from: ChatId(-9), to: ChatId(-1_000_000_000_009) }));
}

#[test]
fn kinds_of_chats_that_are_not_known_are_other() {
    for (kind, expected) in [
        ("private", ChatKind::Private),
        ("supergroup", ChatKind::Group),
        ("channel", ChatKind::Other),
        ("Private", ChatKind::Other),
        ("", ChatKind::Other),
    ] {
        let written = text_with(|message| message["chat"]["type"] = json!(kind));
        assert!(matches!(written, Some(Incoming::Text { kind, .. }) if kind == expected), "{kind}");
    }
}

#[test]
fn an_update_that_cannot_be_read_costs_no_other() {
    let good = json!({"id": "77", "from": {"id": 7}});
    let updates = read(json!([
        {"update_id": 1, "callback_query": good},
        {"update_id": 2, "callback_query": 5},
        {"update_id": 3, "purchased_paid_media": {}},
        {"update_id": 4},
        {"update_id": "5", "callback_query": good},
        {"update_id": -6, "callback_query": good},
        null,
        {"update_id": 7, "callback_query": good},
    ]));
    let seen: Vec<_> = updates.iter().map(|update| (update.id, update.incoming.is_some())).collect();
    assert_eq!(seen, [(1, true), (2, false), (3, false), (4, false), (7, true)]);
}

#[test]
fn updates_that_cannot_be_confirmed_are_an_error() {
    assert_eq!(incoming(br#"{"ok":true,"result":[]}"#), Ok(Vec::new()));
    for result in ["{}", "null", "[null]", r#"[{"update_id":-1}]"#] {
        let read = incoming(format!(r#"{{"ok":true,"result":{result}}}"#).as_bytes());
        assert!(matches!(read, Err(Failure::Away(_))), "{result}: {read:?}");
    }
}

#[test]
fn no_more_updates_are_taken_than_telegram_sends() {
    let many: Vec<_> = (0..150).map(|id| json!({"update_id": id})).collect();
    assert_eq!(read(json!(many)).len(), MAX_UPDATES);
}

/// JSON of any shape, in which the names that are looked at come up often.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("update_id"),
        Just("message"),
        Just("callback_query"),
        Just("from"),
        Just("chat"),
        Just("id"),
        Just("data"),
        Just("text"),
        Just("type"),
        Just("message_id"),
        Just("migrate_to_chat_id"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_that_is_sent_makes_it_panic_or_grow(result in any_json()) {
        if let Ok(updates) = updates(&json!([{"update_id": 1, "message": result, "callback_query": result}])) {
            prop_assert_eq!(updates.len(), 1);
        }
        if let Ok(updates) = updates(&result) {
            prop_assert!(updates.iter().all(|update| update.id >= 0));
        }
    }
}
