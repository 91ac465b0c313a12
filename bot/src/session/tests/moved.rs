//! Groups that move, starts that come late, and chats that are noisy.

use super::*;

fn group() -> Settings {
    settings(vec![chat(GROUP, &[ALICE], 1)])
}

#[test]
fn what_is_over_stays_behind_when_a_group_moves() {
    let new = ChatId(-1005);
    let mut world = World::connected(group());
    for number in 1..=3 {
        world.open_apart(number);
    }
    world.event(Event::Closed(closed(1, v1::Outcome::Approved, "alice")));
    world.event(Event::Notice(v1::Notice { count: 1, node: Some(node(1)), ..v1::Notice::default() }));
    world.wait(seconds(130));
    world.take(Input::Telegram(Incoming::Migrated { from: GROUP, to: new }));
    world.wait(seconds(60));
    assert_eq!(world.count(new), 2, "the two that are open");
    assert!((1..=2).all(|id| world.has_buttons(new, id)));
    world.event(Event::Closed(closed(2, v1::Outcome::Approved, "alice")));
    world.wait(seconds(60));
    assert_eq!((1..=2).filter(|id| world.has_buttons(new, *id)).count(), 1);
}

#[test]
fn a_group_that_moved_before_the_server_was_heard_is_asked_all_the_same() {
    let new = ChatId(-1005);
    let mut world = World::connected(group());
    world.open(1);
    let mut world = world.restart(group());
    world.take(Input::Telegram(Incoming::Migrated { from: GROUP, to: new }));
    world.wait(seconds(60));
    assert_eq!(world.count(new), 0, "nothing is known to say");
    world.connect(&[1]);
    world.wait(seconds(5));
    assert!(world.has_buttons(new, 1));
}

#[test]
fn strangers_who_press_without_end_leave_room_for_the_answers_of_others() {
    let mut world = World::connected(settings(vec![chat(GROUP, &[ALICE], 1)]));
    world.open(1);
    let data = world.button(GROUP, 1, Choice::Approve);
    world.holding = Some(vec![]);
    for _ in 0..1000 {
        world.press_data(STRANGER, GROUP, 1, &data);
    }
    world.press_data(ALICE, GROUP, 1, "nothing of ours");
    world.press_data(ALICE, GROUP, 1, &data);
    let held = world.holding.take().expect("calls");
    let last = PressId("1001".to_owned());
    assert!(held.iter().any(|(_, call)| matches!(call, Call::Answer { press, .. } if *press == last)), "no answer");
    assert!(held.len() < 100, "{} answers to strangers", held.len());
    assert!(world.vote().is_some());
}

#[test]
fn a_restart_does_not_begin_the_wait_for_the_next_turn_anew() {
    let both = || settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 2)]);
    let mut world = World::connected(both());
    let opened_at_ms = world.now.unix_ms;
    let asked = || v1::Ask { opened_at_ms, ..ask(1) };
    world.event(Event::Opened(asked()));
    for _ in 0..4 {
        world.wait(seconds(100));
        world = world.restart(both());
        let snapshot = v1::Snapshot { asks: vec![asked()], ..World::snapshot(&[]) };
        world.take(Input::Server(Box::new(Update::Connected(snapshot))));
    }
    assert_eq!(world.count(with(BOB)), 1, "five minutes are over");
}

#[test]
fn an_ask_that_the_server_does_not_know_is_over_in_every_chat() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 1)]));
    world.open(1);
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (ticket, _) = world.vote().expect("a vote");
    let reply = v1::VoteResponse { result: v1::VoteResult::Unknown.into(), ..v1::VoteResponse::default() };
    world.reply(ticket, Ok(Reply::Vote(Box::new(reply))));
    assert!(!world.has_buttons(with(ALICE), 1) && !world.has_buttons(with(BOB), 1));
}

#[test]
fn telegram_counts_as_reached_once_it_said_anything() {
    let mut world = World::new(group());
    assert!(world.session.status().contains("not reached yet"));
    world.take(Input::Named("night_bot".to_owned()));
    assert!(!world.session.status().contains("not reached yet"), "{}", world.session.status());
}

#[test]
fn a_prompt_says_that_it_is_over_however_long_telegram_was_away() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    world.open(1);
    world.failing.insert(with(ALICE), Failure::Away("connection refused".to_owned()));
    world.event(Event::Closed(closed(1, v1::Outcome::Expired, "")));
    world.wait(seconds(8 * 3600));
    world.failing.clear();
    world.take(Input::Polled(Ok(())));
    world.wait(seconds(10));
    assert!(!world.has_buttons(with(ALICE), 1));
    world.wait(seconds(3 * 3600));
    world.open(2);
    assert_eq!(world.session.board.messages(), 1, "and is forgotten then");
}

#[test]
fn what_cannot_be_said_is_forgotten_in_the_end() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    for number in 1..=3 {
        world.open(number);
    }
    world.failing.insert(with(ALICE), Failure::ChatClosed("blocked".to_owned()));
    world.event(Event::Closed(closed(1, v1::Outcome::Expired, "")));
    world.failing.insert(with(ALICE), Failure::Away("connection refused".to_owned()));
    world.event(Event::Closed(closed(2, v1::Outcome::Expired, "")));
    world.wait(seconds(80 * 3600));
    assert_eq!(world.session.board.messages() - 1, 1, "the open one, and its reminder");
}

#[test]
fn a_second_reader_is_not_told_as_an_outage_of_telegram() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    world.open(1);
    for _ in 0..20 {
        world.take(Input::Polled(Err(Failure::Conflict)));
        world.wait(seconds(30));
    }
    let told = world.count(with(ALICE));
    world.take(Input::Polled(Ok(())));
    world.wait(seconds(5));
    assert_eq!(world.count(with(ALICE)), told);
}
