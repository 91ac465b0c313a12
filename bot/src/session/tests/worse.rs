//! What a person saw is what they answer: asks that change between the phone and the press.

use super::*;

fn alone() -> World {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    world.open(1);
    world
}

fn worse() -> v1::Ask {
    v1::Ask { warnings: vec![v1::Warning::SecondAddress.into()], attempts: 2, ..ask(1) }
}

#[test]
fn a_press_on_a_prompt_that_did_not_show_the_warning_yet_is_held_back() {
    let mut world = alone();
    let data = world.button(with(ALICE), 1, Choice::Approve);
    world.holding = Some(vec![]);
    world.event(Event::Changed(worse()));
    world.press_data(ALICE, with(ALICE), 1, &data);
    assert_eq!(world.vote(), None, "the phone shows no warning");
    let calls = world.holding.take().expect("calls");
    let answer = calls.iter().find_map(|(_, call)| match call {
        Call::Answer { text, .. } => Some(text.clone()),
        _ => None,
    });
    assert!(answer.expect("an answer").starts_with("Nothing was changed"));
    for (ticket, call) in calls {
        world.carry_out(ticket, call);
    }
    world.settle();
    assert_eq!(world.count(with(ALICE)), 1, "it is still the same message");
    // The phone may be slower than Telegram: the button of before stays dead.
    world.press_data(ALICE, with(ALICE), 1, &data);
    assert_eq!(world.vote(), None);
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (ticket, _) = world.vote().expect("what is shown now is what is answered");
    world.reply(ticket, decided(1));
    assert!(!world.has_buttons(with(ALICE), 1));
}

#[test]
fn whatever_gets_worse_makes_the_buttons_of_before_void() {
    let encrypted = || v1::Ask { tls: true, ..ask(1) };
    for (before, now) in [
        (ask(1), v1::Ask { warnings: vec![v1::Warning::OtherAddress.into()], ..ask(1) }),
        (ask(1), v1::Ask { warnings: vec![99], ..ask(1) }),
        (ask(1), v1::Ask { origin: v1::Origin::OtherAddress.into(), ..ask(1) }),
        (ask(1), v1::Ask { node: Some(v1::Node { name: "cp-9".to_owned(), ..node(1) }), ..ask(1) }),
        (ask(1), v1::Ask { code: "ZZZZ".to_owned(), ..ask(1) }),
        (v1::Ask { operation: v1::Operation::Seal.into(), ..ask(1) }, ask(1)),
        (encrypted(), ask(1)),
        (worse(), v1::Ask { warnings: vec![v1::Warning::SecondAddress.into(), 99], ..ask(1) }),
    ] {
        let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
        world.event(Event::Opened(before));
        let data = world.button(with(ALICE), 1, Choice::Approve);
        world.event(Event::Changed(now.clone()));
        world.press_data(ALICE, with(ALICE), 1, &data);
        assert_eq!(world.vote(), None, "{now:?}");
        world.press(ALICE, with(ALICE), 1, Choice::Approve);
        assert!(world.vote().is_some(), "{now:?}");
    }
}

#[test]
fn what_is_no_worse_leaves_the_buttons_alone() {
    for now in [
        v1::Ask { attempts: 9, volumes: 3, last_attempt_at_ms: 5, ..ask(1) },
        v1::Ask { voted: vec!["bob".to_owned()], votes_missing: 1, ..ask(1) },
        v1::Ask { tls: true, ..ask(1) },
        // Its node is listed with both, and the approval is for both.
        v1::Ask { address: "192.0.2.12".to_owned(), ..ask(1) },
    ] {
        let mut world = alone();
        let data = world.button(with(ALICE), 1, Choice::Approve);
        world.event(Event::Changed(now.clone()));
        world.press_data(ALICE, with(ALICE), 1, &data);
        assert!(world.vote().is_some(), "{now:?}");
    }
}

#[test]
fn after_a_restart_nobody_knows_whether_the_warning_was_shown() {
    let mut world = alone();
    let data = world.button(with(ALICE), 1, Choice::Approve);
    world = world.restart(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    let snapshot = v1::Snapshot { asks: vec![worse()], ..World::snapshot(&[]) };
    world.holding = Some(vec![]);
    world.take(Input::Server(Box::new(Update::Connected(snapshot))));
    world.press_data(ALICE, with(ALICE), 1, &data);
    assert_eq!(world.vote(), None);
    for (ticket, call) in world.holding.take().expect("calls") {
        world.carry_out(ticket, call);
    }
    world.settle();
    // What is kept are the buttons that count now.
    let mut world = world.restart(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    world.connect(&[1]);
    world.wait(seconds(10));
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    assert!(world.vote().is_some());
}

#[test]
fn an_answer_that_is_older_than_what_is_known_takes_no_warning_away() {
    let mut world = alone();
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (ticket, _) = world.vote().expect("a vote");
    world.event(Event::Changed(v1::Ask { voted: vec!["alice".to_owned(), "bob".to_owned()], ..worse() }));
    let before = world.shown(with(ALICE), 1).message.html.clone();
    let old = v1::Ask { voted: vec!["alice".to_owned()], ..ask(1) };
    let reply = v1::VoteResponse { result: v1::VoteResult::Counted.into(), ask: Some(old), closed: None };
    world.reply(ticket, Ok(Reply::Vote(Box::new(reply))));
    world.wait(seconds(60));
    assert_eq!(world.shown(with(ALICE), 1).message.html, before);
}

#[test]
fn a_press_on_a_prompt_whose_sending_was_not_confirmed_yet_counts() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    world.holding = Some(vec![]);
    world.open(1);
    let (ticket, call) = world.holding.take().expect("calls").remove(0);
    // It arrives, and the person is faster than the answer, which is lost.
    world.telegram(call).expect("sent");
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (vote, _) = world.vote().expect("a vote");
    world.take(Input::Told(ticket, Err(Failure::Away("no answer in time".to_owned()))));
    world.wait(seconds(60));
    assert_eq!(world.count(with(ALICE)), 1, "it is known to be there, and not sent again");
    world.reply(vote, decided(1));
    assert!(!world.has_buttons(with(ALICE), 1));
}

#[test]
fn a_prompt_that_arrived_although_its_sending_failed_can_be_answered() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    world.holding = Some(vec![]);
    world.open(1);
    let (ticket, call) = world.holding.replace(vec![]).expect("calls").remove(0);
    world.telegram(call).expect("sent");
    world.take(Input::Told(ticket, Err(Failure::Away("no answer in time".to_owned()))));
    let data = world.button(with(ALICE), 1, Choice::Approve);
    for (message, person) in [(2, STRANGER), (1, STRANGER)] {
        world.press_data(person, with(ALICE), message, &data);
    }
    assert_eq!(world.vote(), None);
    world.press_data(ALICE, with(ALICE), 1, &data);
    assert!(world.vote().is_some());
}

#[test]
fn a_second_copy_of_a_prompt_loses_its_buttons_when_it_is_pressed() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    world.holding = Some(vec![]);
    world.open(1);
    let (ticket, call) = world.holding.take().expect("calls").remove(0);
    world.telegram(call).expect("sent");
    world.take(Input::Told(ticket, Err(Failure::Away("no answer in time".to_owned()))));
    world.wait(seconds(60));
    assert_eq!(world.count(with(ALICE)), 2, "nobody knew that it arrived");
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    assert_eq!(world.vote(), None);
    assert!(!world.has_buttons(with(ALICE), 1));
    world.press(ALICE, with(ALICE), 2, Choice::Approve);
    assert!(world.vote().is_some());
}
