//! Which press counts.

use super::*;

fn alone() -> World {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    world.open(1);
    world
}

#[test]
fn a_press_on_its_prompt_by_a_listed_person_is_one_vote_in_their_name() {
    let mut world = alone();
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (ticket, vote) = world.vote().expect("a vote");
    assert_eq!(vote.ask_id, [1; 16]);
    assert_eq!(vote.verdict(), v1::Verdict::Approve);
    assert_eq!((vote.telegram_id, vote.for_seconds), (Some(101), None));
    assert!(world.answers.is_empty(), "nothing is said before the server said something");
    world.reply(ticket, decided(1));
    assert_eq!(world.answers.len(), 1);
    assert!(!world.has_buttons(with(ALICE), 1));
    assert_eq!(world.vote(), None);
}

#[test]
fn each_button_is_the_vote_that_the_specification_says() {
    for (choice, verdict, lasts) in [
        (Choice::Approve, v1::Verdict::Approve, None),
        (Choice::ApproveLonger, v1::Verdict::Approve, Some(1800)),
        (Choice::Deny, v1::Verdict::Deny, None),
        (Choice::Block, v1::Verdict::Block, Some(86_400)),
    ] {
        let mut world = alone();
        world.press(ALICE, with(ALICE), 1, choice);
        let (_, vote) = world.vote().expect("a vote");
        assert_eq!((vote.verdict(), vote.for_seconds), (verdict, lasts));
    }
}

#[test]
fn a_strangers_press_changes_nothing_and_learns_nothing() {
    let mut world = World::connected(settings(vec![chat(GROUP, &[ALICE], 1)]));
    world.open(1);
    world.press(STRANGER, GROUP, 1, Choice::Approve);
    assert_eq!(world.vote(), None);
    let said = world.last_answer().to_owned();
    world.press_data(STRANGER, GROUP, 1, "nothing of ours");
    assert_eq!(world.last_answer(), said, "whether a button is real is not for strangers");
    assert!(world.has_buttons(GROUP, 1));
    world.press(ALICE, GROUP, 1, Choice::Approve);
    assert!(world.vote().is_some(), "the prompt still works");
}

#[test]
fn in_a_group_a_vote_is_in_the_name_of_whoever_pressed() {
    let mut world = World::connected(settings(vec![chat(GROUP, &[ALICE, BOB], 1)]));
    world.open(1);
    world.press(BOB, GROUP, 1, Choice::Approve);
    world.press(ALICE, GROUP, 1, Choice::Approve);
    let voters: Vec<_> = std::iter::from_fn(|| world.vote()).map(|(_, vote)| vote.telegram_id).collect();
    assert_eq!(voters, [Some(202), Some(101)]);
}

#[test]
fn a_private_chat_is_of_one_person_whatever_the_configuration_says() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE, BOB], 1)]));
    world.open(1);
    world.press(BOB, with(ALICE), 1, Choice::Approve);
    assert_eq!(world.vote(), None);
}

#[test]
fn an_anonymous_group_admin_is_nobody() {
    let mut world = World::connected(settings(vec![chat(GROUP, &[ALICE], 1)]));
    world.open(1);
    // Telegram's own account for them: facts of the Bot API.
    world.press(UserId(1_087_968_824), GROUP, 1, Choice::Approve);
    assert_eq!(world.vote(), None);
    let text = Incoming::Text { from: None, chat: GROUP, kind: ChatKind::Group, text: "/block cp-1".to_owned() };
    world.take(Input::Telegram(text));
    assert!(world.requests.is_empty());
    assert_eq!(world.count(GROUP), 1, "and is told nothing");
}

#[test]
fn somebody_listed_elsewhere_is_a_stranger_here() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(GROUP, &[BOB], 1)]));
    world.open(1);
    world.press(ALICE, GROUP, 1, Choice::Approve);
    assert_eq!(world.vote(), None);
    let data = world.button(with(ALICE), 1, Choice::Approve);
    world.press_data(BOB, with(ALICE), 1, &data);
    assert_eq!(world.vote(), None);
}

#[test]
fn a_replayed_button_of_another_message_does_not_count() {
    let mut world = alone();
    world.open_apart(2);
    let (one, two) = (world.button(with(ALICE), 1, Choice::Approve), world.button(with(ALICE), 2, Choice::Approve));
    assert_ne!(one, two);
    world.press_data(ALICE, with(ALICE), 2, &one);
    world.press_data(ALICE, with(ALICE), 1, &two);
    world.press_data(ALICE, with(ALICE), 99, &one);
    assert_eq!(world.vote(), None);
    assert_eq!(world.answers.len(), 3);
}

#[test]
fn a_forwarded_button_does_not_count() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 2)]));
    world.open(1);
    let data = world.button(with(ALICE), 1, Choice::Approve);
    world.press_data(BOB, with(BOB), 1, &data);
    // In a chat that is none of the configuration, and on a message that is hidden from the bot.
    world.press_data(ALICE, ChatId(-77), 1, &data);
    world.take(Input::Telegram(Incoming::Press {
        id: PressId("x".to_owned()),
        from: ALICE,
        on: None,
        data: Some(data.clone()),
    }));
    assert_eq!(world.vote(), None);
    assert_eq!(world.answers.len(), 3);
}

#[test]
fn a_made_up_button_does_not_count() {
    let mut world = alone();
    let real = world.button(with(ALICE), 1, Choice::Approve);
    let forged = [
        String::new(),
        Press { choice: Choice::Approve, nonce: crate::press::Nonce([7; 16]) }.to_string(),
        // The id of the ask, which the audit log has, is no nonce.
        Press { choice: Choice::Approve, nonce: crate::press::Nonce([1; 16]) }.to_string(),
        format!("{real}="),
        real.to_uppercase(),
    ];
    for data in forged {
        world.press_data(ALICE, with(ALICE), 1, &data);
    }
    world.take(Input::Telegram(Incoming::Press {
        id: PressId("y".to_owned()),
        from: ALICE,
        on: Some((with(ALICE), ChatKind::Private, MessageId(1))),
        data: None,
    }));
    assert_eq!(world.vote(), None);
    assert_eq!(world.answers.len(), 6);
}

#[test]
fn a_press_in_a_chat_of_another_kind_does_not_count() {
    let mut world = alone();
    let data = world.button(with(ALICE), 1, Choice::Approve);
    for kind in [ChatKind::Group, ChatKind::Other] {
        world.take(Input::Telegram(Incoming::Press {
            id: PressId("z".to_owned()),
            from: ALICE,
            on: Some((with(ALICE), kind, MessageId(1))),
            data: Some(data.clone()),
        }));
    }
    assert_eq!(world.vote(), None);
}

#[test]
fn a_press_that_comes_twice_is_two_votes_of_one_person_and_the_server_counts_one() {
    let mut world = alone();
    let data = world.button(with(ALICE), 1, Choice::Approve);
    world.press_data(ALICE, with(ALICE), 1, &data);
    world.press_data(ALICE, with(ALICE), 1, &data);
    let (first, vote) = world.vote().expect("a vote");
    assert_eq!(world.vote(), None, "the second one waits for the first");
    world.reply(first, answered_with(v1::VoteResult::Counted, 1));
    let (second, again) = world.vote().expect("the same vote");
    assert_eq!(vote, again);
    let before = closed(1, v1::Outcome::Approved, "alice");
    let reply = v1::VoteResponse { result: v1::VoteResult::Closed.into(), closed: Some(before), ask: None };
    world.reply(second, Ok(Reply::Vote(Box::new(reply))));
    assert_eq!(world.answers.len(), 2);
    assert_eq!(world.count(with(ALICE)), 1, "no new prompt for what is decided");
}

#[test]
fn a_late_press_is_told_what_became_of_it_and_asks_the_server_nothing() {
    let mut world = alone();
    let data = world.button(with(ALICE), 1, Choice::Approve);
    world.event(Event::Closed(closed(1, v1::Outcome::Denied, "bob")));
    world.press_data(ALICE, with(ALICE), 1, &data);
    assert_eq!(world.vote(), None);
    assert!(world.last_answer().contains("bob"), "{}", world.last_answer());
}

#[test]
fn a_press_hours_after_its_prompt_was_put_away_is_answered() {
    let mut world = alone();
    let data = world.button(with(ALICE), 1, Choice::Approve);
    world.event(Event::Closed(closed(1, v1::Outcome::Expired, "")));
    world.wait(seconds(5 * 3600));
    world.press_data(ALICE, with(ALICE), 1, &data);
    assert_eq!(world.vote(), None);
    assert_eq!(world.answers.len(), 1);
}

#[test]
fn who_approves_and_then_denies_has_denied() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 1)]));
    world.event(Event::Opened(v1::Ask { votes_missing: 2, ..ask(1) }));
    world.open(2);
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    world.press(ALICE, with(ALICE), 1, Choice::Deny);
    world.press(ALICE, with(ALICE), 2, Choice::Approve);
    let (first, approve) = world.vote().expect("a vote");
    let (_, other) = world.vote().expect("one on another ask does not wait");
    assert_eq!((approve.verdict(), other.ask_id[0]), (v1::Verdict::Approve, 2));
    assert_eq!(world.vote(), None);
    world.reply(first, answered_with(v1::VoteResult::Counted, 1));
    let (_, deny) = world.vote().expect("the second");
    assert_eq!((deny.verdict(), deny.ask_id[0]), (v1::Verdict::Deny, 1));
}

#[test]
fn a_vote_that_waits_counts_for_what_its_presser_saw_alone() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 1)]));
    world.event(Event::Opened(v1::Ask { votes_missing: 2, ..ask(1) }));
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    world.press(ALICE, with(ALICE), 1, Choice::ApproveLonger);
    let (first, _) = world.vote().expect("a vote");
    let warnings = vec![v1::Warning::SecondAddress.into()];
    world.event(Event::Changed(v1::Ask { votes_missing: 2, warnings, ..ask(1) }));
    world.reply(first, answered_with(v1::VoteResult::Repeated, 1));
    assert_eq!(world.vote(), None, "the second was pressed before there was a warning");
    assert_eq!(world.answers.len(), 2);
}

#[test]
fn a_vote_that_waits_behind_one_that_hangs_is_dropped_and_said() {
    let mut world = alone();
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    world.press(ALICE, with(ALICE), 1, Choice::Deny);
    assert!(world.vote().is_some());
    world.wait(seconds(60));
    assert_eq!(world.vote(), None, "nobody pressed for a minute");
    assert_eq!(world.answers.len(), 2);
    assert!(world.last_answer().starts_with("Nothing was changed"), "{}", world.last_answer());
    world.press(ALICE, with(ALICE), 1, Choice::Deny);
    assert!(world.vote().is_some(), "what hung for so long holds up nothing");
}

#[test]
fn presses_out_of_order_each_stand_for_themselves() {
    let mut world = alone();
    world.open_apart(2);
    world.press(ALICE, with(ALICE), 2, Choice::Deny);
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (second, deny) = world.vote().expect("a vote");
    let (first, approve) = world.vote().expect("a vote");
    assert_eq!((deny.ask_id[0], approve.ask_id[0]), (2, 1));
    world.reply(first, decided(1));
    let reply = v1::VoteResponse {
        result: v1::VoteResult::Decided.into(),
        closed: Some(closed(2, v1::Outcome::Denied, "alice")),
        ask: None,
    };
    world.reply(second, Ok(Reply::Vote(Box::new(reply))));
    assert!(!world.has_buttons(with(ALICE), 1) && !world.has_buttons(with(ALICE), 2));
}

#[test]
fn a_group_that_became_a_supergroup_goes_on_under_its_new_id() {
    let new = ChatId(-1005);
    let mut world = World::connected(settings(vec![chat(GROUP, &[ALICE], 1)]));
    world.open(1);
    let old = world.button(GROUP, 1, Choice::Approve);
    world.take(Input::Telegram(Incoming::Migrated { from: GROUP, to: new }));
    assert_eq!(world.count(new), 1, "its messages stay behind, so what is open is asked again");
    world.press_data(ALICE, GROUP, 1, &old);
    assert_eq!(world.vote(), None, "the old group is none of ours any more");
    world.press(ALICE, new, 1, Choice::Approve);
    assert!(world.vote().is_some());
    // A restart knows it, too.
    let mut world = world.restart(settings(vec![chat(GROUP, &[ALICE], 1)]));
    world.connect(&[1]);
    world.press(ALICE, new, 1, Choice::Approve);
    assert!(world.vote().is_some());
}

#[test]
fn nobody_moves_a_chat_that_is_not_a_listed_group() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(GROUP, &[ALICE], 1)]));
    world.open(1);
    for (from, to) in [(ChatId(-77), ChatId(-78)), (with(ALICE), with(STRANGER)), (GROUP, with(STRANGER))] {
        world.take(Input::Telegram(Incoming::Migrated { from, to }));
    }
    assert_eq!(world.chats.len(), 2);
    world.press(ALICE, GROUP, 1, Choice::Approve);
    assert!(world.vote().is_some());
}

#[test]
fn a_stranger_is_told_their_number_and_nothing_else() {
    let mut world = alone();
    for text in ["hello", "/pending", "/status", "/block cp-1", "/help"] {
        world.say(STRANGER, with(STRANGER), text);
    }
    assert_eq!(world.count(with(STRANGER)), 0);
    world.say(STRANGER, with(STRANGER), "/start");
    assert_eq!(world.count(with(STRANGER)), 1);
    let said = &world.shown(with(STRANGER), 1).message;
    assert!(said.html.contains("666") && said.buttons.is_empty(), "{said:?}");
    assert!(!said.html.contains("cp-1"));
    world.say(STRANGER, ChatId(-77), "/start");
    assert_eq!(world.count(ChatId(-77)), 0);
    assert!(world.requests.is_empty());
}

#[test]
fn strangers_cannot_make_the_bot_talk_without_end() {
    let mut world = alone();
    for number in 0..1000 {
        let stranger = UserId(10_000 + number);
        world.say(stranger, with(stranger), "/start");
    }
    world.wait(seconds(60));
    let told = world.chats.keys().filter(|chat| chat.0 >= 10_000).count();
    assert!(told <= 10, "{told} strangers were told");
    world.open(2);
    assert_eq!(world.count(with(ALICE)), 2);
}

#[test]
fn the_server_has_the_last_word_on_who_may_approve() {
    let mut world = alone();
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (ticket, _) = world.vote().expect("a vote");
    world.reply(ticket, answered_with(v1::VoteResult::NotAnApprover, 1));
    assert!(world.has_buttons(with(ALICE), 1), "it is open for others");
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (ticket, _) = world.vote().expect("a vote");
    assert!(world.last_answer().starts_with("Nothing was changed"), "{}", world.last_answer());
    world.reply(ticket, Err(Status::permission_denied("this person is no approver")));
    assert!(world.last_answer().starts_with("Nothing was changed"), "{}", world.last_answer());
    assert!(world.last_answer().contains("telegram_id"), "which of the two lists: {}", world.last_answer());
    assert_eq!(world.answers.len(), 2);
}

#[test]
fn a_server_that_is_too_old_for_a_vote_is_told_as_that() {
    let mut world = alone();
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (ticket, _) = world.vote().expect("a vote");
    world.reply(ticket, Err(Status::unimplemented("")));
    assert!(world.last_answer().contains("the server is too old to know this"), "{}", world.last_answer());
    assert!(world.has_buttons(with(ALICE), 1), "the question is open");
}
