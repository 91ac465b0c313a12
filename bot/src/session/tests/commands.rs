//! What people ask for.

use super::*;

fn group_and_alice() -> World {
    let mut group = chat(GROUP, &[ALICE, BOB], 1);
    group.clusters = Some(["lab".to_owned()].into());
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), group]));
    world.take(Input::Named("night_bot".to_owned()));
    world
}

#[test]
fn pending_offers_each_open_ask_again_and_the_old_buttons_do_not_count() {
    let mut world = group_and_alice();
    world.open_apart(1);
    world.open_apart(2);
    let old = world.button(with(ALICE), 1, Choice::Approve);
    world.say(ALICE, with(ALICE), "/pending");
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 5, "the list, and each of them");
    assert!(!world.has_buttons(with(ALICE), 1) && !world.has_buttons(with(ALICE), 2));
    world.press_data(ALICE, with(ALICE), 1, &old);
    assert_eq!(world.vote(), None);
    world.press(ALICE, with(ALICE), 4, Choice::Approve);
    let (ticket, _) = world.vote().expect("a vote");
    world.reply(ticket, decided(1));
    world.say(ALICE, with(ALICE), "/pending");
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 6, "one is left, and needs no list");
}

#[test]
fn pending_without_anything_open_says_so() {
    let mut world = group_and_alice();
    world.say(ALICE, with(ALICE), "/pending");
    assert_eq!(world.count(with(ALICE)), 1);
}

#[test]
fn a_chat_hears_of_its_own_clusters_alone() {
    let mut world = group_and_alice();
    world.open(1);
    for command in ["/pending", "/nodes@night_bot", "/history", "/status"] {
        world.say(BOB, GROUP, command);
    }
    let (ticket, look) = world.requests.pop_front().expect("a look");
    assert_eq!(look, Request::Look);
    let other = v1::Grant { node: Some(node(1)), seconds_left: 300, uses_left: 3, ..v1::Grant::default() };
    let ours = v1::Node { cluster: "lab".to_owned(), name: "lab-7".to_owned(), uuid: "uuid-7".to_owned() };
    let grant = v1::Grant { node: Some(ours), seconds_left: 300, uses_left: 3, ..v1::Grant::default() };
    let snapshot = v1::Snapshot { grants: vec![other, grant], ..World::snapshot(&[]) };
    world.reply(ticket, Ok(Reply::Look(Box::new(snapshot))));
    world.wait(seconds(60));
    assert_eq!(world.count(GROUP), 4);
    assert!(world.shown(GROUP, 4).message.html.contains("lab-7"), "{:?}", world.shown(GROUP, 4));
    for shown in world.chats[&GROUP].values() {
        assert!(shown.message.buttons.is_empty() && !shown.message.html.contains("cp-1"), "{shown:?}");
    }
}

#[test]
fn commands_for_another_bot_are_left_to_it() {
    let mut world = group_and_alice();
    for text in ["/status@other_bot", "good morning", "/unknown"] {
        world.say(ALICE, GROUP, text);
    }
    assert_eq!(world.count(GROUP), 0);
}

#[test]
fn block_and_unblock_are_in_the_name_of_who_wrote_and_answered() {
    let mut world = group_and_alice();
    world.say(ALICE, with(ALICE), "/block cp-1 2h");
    let (ticket, request) = world.requests.pop_front().expect("a request");
    let meant = v1::BlockRequest { node: "cp-1".to_owned(), telegram_id: Some(101), for_seconds: Some(7200) };
    assert_eq!(request, Request::Block(meant));
    let refusal =
        v1::Refusal { node: Some(node(1)), by: "alice".to_owned(), until_ms: i64::MAX, ..v1::Refusal::default() };
    world.event(Event::Refused(refusal.clone()));
    world.reply(ticket, Ok(Reply::Block(v1::BlockResponse { refusal: Some(refusal.clone()) })));
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 1, "the answer is all that this chat needs");

    world.say(ALICE, with(ALICE), "/unblock cp-1");
    let (ticket, request) = world.requests.pop_front().expect("a request");
    assert_eq!(request, Request::Unblock(v1::UnblockRequest { node: "cp-1".to_owned(), telegram_id: Some(101) }));
    world.event(Event::Lifted(v1::Lifted { refusal: Some(refusal), by: "alice".to_owned() }));
    world.reply(ticket, Ok(Reply::Unblock(v1::UnblockResponse { ended: 1 })));
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 2);

    world.say(ALICE, with(ALICE), "/block cp-9");
    let (ticket, _) = world.requests.pop_front().expect("a request");
    world.reply(ticket, Err(Status::not_found("no node has this name or UUID")));
    assert_eq!(world.count(with(ALICE)), 3);
    assert!(world.shown(with(ALICE), 3).message.html.contains("no node"));

    world.say(ALICE, with(ALICE), "/block cp-9");
    let (ticket, _) = world.requests.pop_front().expect("a request");
    world.reply(ticket, Err(Status::unimplemented("")));
    assert!(world.shown(with(ALICE), 4).message.html.contains("the server is too old to know this"));
}

#[test]
fn what_only_looks_lets_the_server_sleep_and_what_changes_something_wakes_it() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    world.fall_asleep();
    for command in ["/pending", "/status", "/nodes", "/history"] {
        world.say(ALICE, with(ALICE), command);
    }
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 4);
    assert!(world.shown(with(ALICE), 1).message.html.contains("Nobody waits"), "{:?}", world.shown(with(ALICE), 1));
    assert!(world.shown(with(ALICE), 2).message.html.contains("sleeps"));
    assert!(world.requests.is_empty());
    world.say(ALICE, with(ALICE), "/block cp-1");
    assert!(matches!(world.requests.pop_front(), Some((_, Request::Block(_)))));
}

#[test]
fn without_the_server_commands_say_that_it_is_away() {
    let mut world = World::new(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    for command in ["/block cp-1", "/unblock cp-1", "/pending", "/status", "/nodes"] {
        world.say(ALICE, with(ALICE), command);
    }
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 5);
    assert!(world.requests.is_empty());
}
