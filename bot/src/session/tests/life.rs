//! What goes wrong around the bot.

use super::*;

fn one() -> Settings {
    settings(vec![chat(with(ALICE), &[ALICE], 1)])
}

#[test]
fn a_press_while_the_server_is_away_is_refused_and_never_sent_later() {
    let mut world = World::connected(one());
    world.open(1);
    let data = world.button(with(ALICE), 1, Choice::Approve);
    world.lose_server();
    world.press_data(ALICE, with(ALICE), 1, &data);
    assert_eq!(world.vote(), None);
    assert_eq!(world.answers.len(), 1);
    world.wait(seconds(60));
    world.connect(&[1]);
    world.wait(seconds(60));
    assert_eq!(world.vote(), None, "nobody pressed since");
}

#[test]
fn telegram_is_reached_once_it_says_how_the_bot_is_called() {
    let mut world = World::connected(one());
    assert_eq!(world.session.status(), "0 questions are open; Telegram was not reached yet");
    world.take(Input::Named("night_bot".to_owned()));
    assert_eq!(world.session.status(), "0 questions are open", "the first poll can take a minute");
}

#[test]
fn telegram_is_reached_once_it_took_a_message() {
    let mut world = World::connected(one());
    world.open(1);
    assert_eq!(world.session.status(), "1 question is open");
}

#[test]
fn the_buttons_go_while_the_server_is_away_and_come_back_with_it() {
    let mut world = World::connected(one());
    world.open(1);
    world.lose_server();
    world.wait(seconds(9));
    assert!(world.has_buttons(with(ALICE), 1), "a restart is no reason to edit anything");
    world.wait(seconds(2));
    assert!(!world.has_buttons(with(ALICE), 1));
    world.connect(&[1]);
    world.wait(seconds(5));
    assert!(world.has_buttons(with(ALICE), 1));
    assert_eq!(world.count(with(ALICE)), 1);
}

#[test]
fn a_restarted_server_forgets_asks_and_the_next_one_replaces_the_prompt() {
    let mut world = World::connected(one());
    world.open(1);
    world.lose_server();
    world.connect(&[]);
    assert!(!world.has_buttons(with(ALICE), 1), "it is not open any more");
    let forgotten = world.shown(with(ALICE), 1).message.clone();
    // The node asks again: another ask, for the same.
    world.event(Event::Opened(v1::Ask { id: vec![9; 16], code: "A2B3".to_owned(), ..ask(1) }));
    world.wait(seconds(5));
    assert_eq!(world.count(with(ALICE)), 2);
    assert!(world.has_buttons(with(ALICE), 2));
    assert_ne!(world.shown(with(ALICE), 1).message, forgotten, "it says that it is asked again");
}

#[test]
fn a_server_that_stays_away_is_told_once_and_so_is_its_return() {
    let mut world = World::connected(one());
    world.lose_server();
    world.wait(seconds(299));
    assert_eq!(world.count(with(ALICE)), 0);
    world.wait(seconds(86_400));
    assert_eq!(world.count(with(ALICE)), 1);
    let away = world.shown(with(ALICE), 1).message.clone();
    world.connect(&[]);
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 1);
    assert_ne!(world.shown(with(ALICE), 1).message, away);
}

#[test]
fn a_server_that_sleeps_is_nothing_to_tell_however_long_it_does() {
    let mut world = World::connected(one());
    world.fall_asleep();
    world.wait(seconds(7 * 86_400));
    assert_eq!(world.count(with(ALICE)), 0);
    assert!(world.session.status().contains("sleeps until a node calls"), "{}", world.session.status());
    world.connect(&[1]);
    world.wait(seconds(10));
    assert!(world.has_buttons(with(ALICE), 1), "it woke, and asks");
}

#[test]
fn a_server_that_cannot_be_woken_is_told_of() {
    let mut world = World::connected(one());
    world.fall_asleep();
    world.wait(seconds(86_400));
    world.lose_server();
    world.wait(seconds(299));
    assert_eq!(world.count(with(ALICE)), 0, "since it was missed, and not since it slept");
    world.wait(seconds(2));
    assert_eq!(world.count(with(ALICE)), 1);
    world.fall_asleep();
    world.wait(seconds(10));
    assert!(world.shown(with(ALICE), 1).message.html.contains("is back · "), "it was there meanwhile");
}

#[test]
fn nothing_is_open_at_a_server_that_sleeps() {
    let mut world = World::connected(one());
    world.open(1);
    world.wait(seconds(10));
    world.lose_server();
    world.fall_asleep();
    world.wait(seconds(10));
    assert!(!world.has_buttons(with(ALICE), 1));
}

#[test]
fn who_pressed_is_not_left_waiting_for_the_server() {
    let mut world = World::connected(one());
    world.open(1);
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (ticket, _) = world.vote().expect("a vote");
    world.wait(seconds(4));
    assert_eq!(world.answers.len(), 1, "it was sent, and no word came yet");
    world.reply(ticket, decided(1));
    assert_eq!(world.answers.len(), 1, "a press is answered once");
    assert!(!world.has_buttons(with(ALICE), 1), "the message tells the rest");
}

#[test]
fn a_restart_of_the_bot_edits_the_prompts_of_before() {
    let mut world = World::connected(one());
    for number in 1..=3 {
        world.open_apart(number);
    }
    let old = world.button(with(ALICE), 1, Choice::Approve);
    let mut world = world.restart(one());
    let mut snapshot = World::snapshot(&[1]);
    snapshot.asks = vec![apart(1)];
    snapshot.closed = vec![closed(2, v1::Outcome::Approved, "bob")];
    world.take(Input::Server(Box::new(Update::Connected(snapshot))));
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 3, "nothing is asked twice");
    assert!(world.shown(with(ALICE), 2).message.html.contains("bob"));
    assert!(!world.has_buttons(with(ALICE), 2) && !world.has_buttons(with(ALICE), 3));
    world.press_data(ALICE, with(ALICE), 1, &old);
    assert!(world.vote().is_some(), "the button of before still works");
}

#[test]
fn a_prompt_is_kept_until_it_says_that_it_is_over() {
    let mut world = World::connected(one());
    world.open(1);
    assert_eq!(world.kept.prompts.len(), 1);
    world.failing.insert(with(ALICE), Failure::Away("connection refused".to_owned()));
    world.event(Event::Closed(closed(1, v1::Outcome::Approved, "bob")));
    assert_eq!(world.kept.prompts.len(), 1, "its buttons are still on the phone");
    let mut world = world.restart(one());
    let snapshot = v1::Snapshot { closed: vec![closed(1, v1::Outcome::Approved, "bob")], ..World::snapshot(&[]) };
    world.take(Input::Server(Box::new(Update::Connected(snapshot))));
    world.wait(seconds(5));
    assert!(!world.has_buttons(with(ALICE), 1));
    assert!(world.kept.prompts.is_empty());
}

#[test]
fn a_press_before_the_server_was_heard_is_not_a_vote() {
    let mut world = World::connected(one());
    world.open(1);
    let old = world.button(with(ALICE), 1, Choice::Approve);
    let mut world = world.restart(one());
    world.press_data(ALICE, with(ALICE), 1, &old);
    assert_eq!(world.vote(), None);
    assert_eq!(world.answers.len(), 1);
}

#[test]
fn prompts_of_another_installation_are_forgotten() {
    let mut world = World::connected(one());
    world.open(1);
    let old = world.button(with(ALICE), 1, Choice::Approve);
    let mut world = world.restart(one());
    let snapshot = v1::Snapshot { installation: "two".to_owned(), ..World::snapshot(&[]) };
    world.take(Input::Server(Box::new(Update::Connected(snapshot))));
    assert!(!world.has_buttons(with(ALICE), 1));
    world.press_data(ALICE, with(ALICE), 1, &old);
    assert_eq!(world.vote(), None);
    assert_eq!(world.kept.installation, "two");
}

#[test]
fn a_chat_that_left_the_configuration_loses_its_buttons() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 1)]));
    world.open(1);
    let old = world.button(with(BOB), 1, Choice::Approve);
    let mut world = world.restart(one());
    world.connect(&[1]);
    world.wait(seconds(10));
    assert!(!world.has_buttons(with(BOB), 1));
    world.press_data(BOB, with(BOB), 1, &old);
    assert_eq!(world.vote(), None);
    world.event(Event::Closed(closed(1, v1::Outcome::Approved, "alice")));
    world.wait(seconds(10));
    assert!(!world.shown(with(BOB), 1).message.html.contains("alice"), "and is told nothing more");
}

#[test]
fn telegram_down_for_a_day_loses_no_open_ask_and_tells_no_old_news() {
    let mut world = World::connected(one());
    world.failing.insert(with(ALICE), Failure::Away("connection refused".to_owned()));
    world.event(Event::Notice(v1::Notice {
        kind: v1::NoticeKind::Strangers.into(),
        count: 1,
        ..v1::Notice::default()
    }));
    world.open(1);
    world.open(2);
    world.take(Input::Polled(Err(Failure::Away("connection refused".to_owned()))));
    assert!(world.session.status().contains("cannot be reached"), "{}", world.session.status());
    let calls = world.calls;
    world.wait(seconds(86_400));
    let tried = world.calls - calls;
    assert!((1000..4000).contains(&tried), "{tried} tries in a day");
    world.event(Event::Closed(closed(2, v1::Outcome::Expired, "")));
    world.failing.clear();
    world.take(Input::Polled(Ok(())));
    world.wait(seconds(1));
    assert_eq!(world.count(with(ALICE)), 2, "what is open, and that presses may have been lost");
    assert!(world.has_buttons(with(ALICE), 1) && world.shown(with(ALICE), 1).rang);
    assert!(!world.session.status().contains("reached"), "{}", world.session.status());
    assert!(world.requests.is_empty(), "it never votes by itself");
}

#[test]
fn telegram_that_wants_a_pause_gets_it_in_that_chat_alone() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 1)]));
    world.failing.insert(with(ALICE), Failure::Wait(seconds(40)));
    world.open(1);
    assert_eq!((world.count(with(ALICE)), world.count(with(BOB))), (0, 1));
    world.failing.clear();
    world.wait(seconds(39));
    assert_eq!(world.count(with(ALICE)), 0);
    world.wait(seconds(2));
    assert_eq!(world.count(with(ALICE)), 1);
}

#[test]
fn a_second_reader_of_the_updates_is_called_by_its_name_when_it_stays() {
    let mut world = World::connected(one());
    world.take(Input::Polled(Err(Failure::Conflict)));
    world.wait(seconds(30));
    world.take(Input::Polled(Err(Failure::Conflict)));
    assert_eq!(world.count(with(ALICE)), 0, "a restart meets its own last poll");
    // The two take turns: a poll that succeeds does not mean that the other one is gone.
    world.take(Input::Polled(Ok(())));
    world.wait(seconds(31));
    world.take(Input::Polled(Err(Failure::Conflict)));
    assert_eq!(world.count(with(ALICE)), 1);
    assert!(world.shown(with(ALICE), 1).rang);
    assert!(world.session.status().contains("TOKEN"), "{}", world.session.status());
    world.take(Input::Polled(Err(Failure::Conflict)));
    assert_eq!(world.count(with(ALICE)), 1, "once");
    world.wait(seconds(61));
    world.take(Input::Polled(Ok(())));
    world.wait(seconds(10));
    assert!(!world.session.status().contains("TOKEN"));
    assert_eq!(world.shown(with(ALICE), 1).edits, 1);
}

#[test]
fn a_token_that_is_not_accepted_is_said_and_tried_slowly() {
    let mut world = World::connected(one());
    world.failing.insert(with(ALICE), Failure::Token);
    world.take(Input::Polled(Err(Failure::Token)));
    world.open(1);
    let calls = world.calls;
    world.wait(seconds(3600));
    assert!(world.calls - calls < 130, "{}", world.calls - calls);
    assert!(world.session.status().contains("token"), "{}", world.session.status());
    world.failing.clear();
    world.take(Input::Polled(Ok(())));
    world.wait(seconds(1));
    assert!(world.has_buttons(with(ALICE), 1));
}

#[test]
fn a_prompt_that_somebody_removed_can_be_had_again() {
    let mut world = World::connected(one());
    world.open(1);
    world.chats.get_mut(&with(ALICE)).expect("a chat").remove(&1);
    world.event(Event::Changed(v1::Ask { voted: vec!["bob".to_owned()], ..ask(1) }));
    world.wait(seconds(60));
    assert_eq!(world.count(with(ALICE)), 0, "whoever removed it does not get it at once");
    world.say(ALICE, with(ALICE), "/pending");
    world.wait(seconds(1));
    assert_eq!(world.count(with(ALICE)), 1);
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    assert!(world.vote().is_some());
}

#[test]
fn a_message_that_telegram_refuses_stops_no_other_and_is_tried_at_the_pace_of_reminders() {
    let mut world = World::connected(one());
    world.failing.insert(with(ALICE), Failure::Refused("can't parse entities".to_owned()));
    world.open(1);
    world.wait(seconds(60));
    let calls = world.calls;
    world.wait(seconds(600));
    assert!(world.calls - calls <= 5 * 3, "{} calls", world.calls - calls);
    world.failing.clear();
    world.open(2);
    assert!(world.has_buttons(with(ALICE), 1));
    world.wait(seconds(130));
    assert!(world.has_buttons(with(ALICE), 2), "nobody is asked about the first");
}

#[test]
fn a_prompt_that_was_removed_is_asked_again_when_a_reminder_would_be_due() {
    let mut world = World::connected(one());
    world.open(1);
    for round in 2..5 {
        world.chats.get_mut(&with(ALICE)).expect("a chat").clear();
        world.event(Event::Changed(v1::Ask { attempts: round, ..ask(1) }));
        world.wait(seconds(60));
        assert_eq!(world.count(with(ALICE)), 0, "not at once");
        world.wait(seconds(70));
        assert_eq!(world.count(with(ALICE)), 1, "nobody is asked");
        // The next one is removed after its reminder.
        world.wait(seconds(130));
    }
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    assert!(world.vote().is_some());
}
