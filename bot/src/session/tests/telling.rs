//! What people see: one message for each ask, edited in place.

use super::*;

fn alone() -> World {
    World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]))
}

#[test]
fn an_ask_is_one_message_that_rings_and_its_attempts_are_edits() {
    let mut world = alone();
    world.open(1);
    for attempts in 2..40 {
        world.wait(Duration::from_millis(500));
        world.event(Event::Changed(v1::Ask { attempts, ..ask(1) }));
    }
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 1);
    let shown = world.shown(with(ALICE), 1);
    assert!(shown.rang && shown.message.html.contains("39"), "{shown:?}");
    // 19 s of attempts, at most one edit in 4 s.
    assert!((2..=6).contains(&shown.edits), "{} edits", shown.edits);
}

#[test]
fn a_vote_and_a_warning_are_shown_at_once() {
    let mut world = alone();
    world.open(1);
    world.event(Event::Changed(v1::Ask { attempts: 2, ..ask(1) }));
    world.event(Event::Changed(v1::Ask { attempts: 3, voted: vec!["bob".to_owned()], ..ask(1) }));
    assert!(world.shown(with(ALICE), 1).message.html.contains("bob"));
}

#[test]
fn the_outcome_is_shown_at_once_and_takes_the_buttons_away() {
    for outcome in [v1::Outcome::Approved, v1::Outcome::Denied, v1::Outcome::Blocked, v1::Outcome::Expired] {
        let mut world = alone();
        world.open(1);
        world.event(Event::Changed(v1::Ask { attempts: 2, ..ask(1) }));
        world.event(Event::Closed(closed(1, outcome, "bob")));
        assert!(!world.has_buttons(with(ALICE), 1), "{outcome:?}");
        world.wait(seconds(4000));
        assert_eq!(world.count(with(ALICE)), 1, "{outcome:?}: nothing more to say");
    }
}

#[test]
fn releases_are_added_to_the_prompt_also_when_they_come_first() {
    let mut world = alone();
    world.open(1);
    let release = v1::Release {
        ahead_uses_left: None,
        ask_id: vec![1; 16],
        operation: v1::Operation::Unseal.into(),
        node: Some(node(1)),
        address: "192.0.2.11".to_owned(),
        at_ms: 9,
        after_vote_ms: Some(312),
        fingerprint: String::new(),
    };
    world.event(Event::Release(release.clone()));
    world.event(Event::Closed(closed(1, v1::Outcome::Approved, "alice")));
    world.event(Event::Release(release));
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 1);
    let html = &world.shown(with(ALICE), 1).message.html;
    assert!(html.contains('2'), "{html}");
}

#[test]
fn releases_by_themselves_are_one_silent_message_for_a_boot() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 2)]));
    for at_ms in 0..5 {
        world.event(Event::Release(v1::Release {
            node: Some(node(1)),
            operation: v1::Operation::Unseal.into(),
            at_ms,
            ..v1::Release::default()
        }));
    }
    world.wait(seconds(30));
    assert_eq!((world.count(with(ALICE)), world.count(with(BOB))), (1, 0));
    let shown = world.shown(with(ALICE), 1);
    assert!(!shown.rang && shown.message.html.contains('5'), "{shown:?}");
    world.wait(seconds(3600));
    world.event(Event::Release(v1::Release { node: Some(node(1)), ..v1::Release::default() }));
    assert_eq!(world.count(with(ALICE)), 2, "another boot is another message");
}

#[test]
fn what_asks_for_nothing_goes_to_whoever_is_asked_first_about_that_node() {
    let mut late = chat(with(BOB), &[BOB], 2);
    late.clusters = Some(["lab".to_owned()].into());
    let mut home = chat(with(ALICE), &[ALICE], 1);
    home.clusters = Some(["home".to_owned()].into());
    let mut world = World::connected(settings(vec![home, late]));
    let lab = v1::Node { cluster: "lab".to_owned(), ..node(2) };
    world.event(Event::Release(v1::Release { node: Some(lab), ..v1::Release::default() }));
    assert_eq!((world.count(with(ALICE)), world.count(with(BOB))), (0, 1));
}

#[test]
fn an_unanswered_ask_is_followed_by_one_reminder() {
    let mut world = alone();
    world.open(1);
    world.wait(seconds(119));
    assert_eq!(world.count(with(ALICE)), 1);
    world.wait(seconds(2));
    assert_eq!(world.count(with(ALICE)), 2);
    let reminder = world.shown(with(ALICE), 2);
    assert!(reminder.rang);
    assert_eq!(reminder.reply_to, Some(MessageId(1)));
    world.wait(seconds(3600));
    assert_eq!(world.count(with(ALICE)), 2, "one reminder, not two");
    let before = world.shown(with(ALICE), 2).message.clone();
    world.event(Event::Closed(closed(1, v1::Outcome::Approved, "alice")));
    assert_ne!(world.shown(with(ALICE), 2).message, before, "it does not call for an answer any more");
}

#[test]
fn who_approved_already_is_not_reminded_and_others_are() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 1)]));
    world.event(Event::Opened(v1::Ask { votes_missing: 2, ..ask(1) }));
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (ticket, _) = world.vote().expect("a vote");
    world.reply(ticket, answered_with(v1::VoteResult::Counted, 1));
    world.wait(seconds(130));
    assert_eq!((world.count(with(ALICE)), world.count(with(BOB))), (1, 2));
}

#[test]
fn the_next_approver_is_asked_when_nobody_answered() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 2)]));
    world.open(1);
    world.wait(seconds(299));
    assert_eq!(world.count(with(BOB)), 0);
    world.wait(seconds(2));
    assert_eq!(world.count(with(BOB)), 1);
    assert!(world.shown(with(BOB), 1).rang);
    world.event(Event::Closed(closed(1, v1::Outcome::Approved, "bob")));
    assert!(!world.has_buttons(with(ALICE), 1) && !world.has_buttons(with(BOB), 1));
}

#[test]
fn who_has_no_turn_before_them_is_asked_at_once() {
    let mut night = chat(with(BOB), &[BOB], 3);
    night.clusters = Some(["home".to_owned()].into());
    let mut world = World::connected(settings(vec![night]));
    world.open(1);
    assert_eq!(world.count(with(BOB)), 1);
}

#[test]
fn the_next_approver_is_asked_at_once_when_the_first_cannot_be_written_to() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 2)]));
    world.failing.insert(with(ALICE), Failure::ChatClosed("bot was blocked by the user".to_owned()));
    world.open(1);
    assert_eq!((world.count(with(ALICE)), world.count(with(BOB))), (0, 2), "the ask, and that she cannot be reached");
    world.wait(seconds(3600));
    let told: Vec<_> = world.chats[&with(BOB)].values().filter(|shown| shown.message.html.contains("101")).collect();
    assert_eq!(told.len(), 1, "once, however often it is tried: {told:?}");
    assert!(world.session.status().contains("1 chat cannot be written to"), "{}", world.session.status());
    // When she lets the bot back in, she is asked as well.
    world.failing.clear();
    world.say(ALICE, with(ALICE), "/start");
    world.wait(seconds(5));
    assert!(world.has_buttons(with(ALICE), 1) || world.has_buttons(with(ALICE), 2));
}

#[test]
fn each_cluster_has_its_own_people() {
    let mut home = chat(with(ALICE), &[ALICE], 1);
    home.clusters = Some(["home".to_owned()].into());
    let mut lab = chat(with(BOB), &[BOB], 1);
    lab.clusters = Some(["lab".to_owned()].into());
    let mut world = World::connected(settings(vec![home, lab]));
    world.open(1);
    let lab_node = v1::Node { cluster: "lab".to_owned(), ..node(2) };
    world.event(Event::Opened(v1::Ask { node: Some(lab_node), ..ask(2) }));
    assert_eq!((world.count(with(ALICE)), world.count(with(BOB))), (1, 1));
    assert!(world.shown(with(BOB), 1).message.html.contains("cp-2"));
}

#[test]
fn twenty_asks_at_once_are_twenty_messages_that_come_before_any_edit() {
    let mut world = alone();
    for number in 1..=20 {
        world.open_apart(number);
    }
    for number in 1..=20 {
        world.event(Event::Changed(v1::Ask { attempts: 2, ..apart(number) }));
    }
    let at_once = world.count(with(ALICE));
    assert!((5..20).contains(&at_once), "{at_once} at once: Telegram wants a pace");
    world.wait(seconds(16));
    assert_eq!(world.count(with(ALICE)), 20);
    // What is answered meanwhile is shown before the counters of the others.
    world.event(Event::Closed(closed(20, v1::Outcome::Denied, "bob")));
    world.wait(seconds(2));
    assert!(!world.has_buttons(with(ALICE), 20));
}

#[test]
fn what_is_answered_before_it_could_be_asked_is_never_asked() {
    let mut world = alone();
    world.holding = Some(vec![]);
    for number in 1..=3 {
        world.open_apart(number);
    }
    world.event(Event::Closed(closed(3, v1::Outcome::Approved, "bob")));
    let held = world.holding.take().expect("held");
    for (ticket, call) in held {
        world.carry_out(ticket, call);
    }
    world.wait(seconds(10));
    let all: String = world.chats[&with(ALICE)].values().map(|shown| shown.message.html.clone()).collect();
    assert!(all.contains("cp-1") && all.contains("cp-2") && !all.contains("cp-3"), "{all}");
}

#[test]
fn quiet_hours_silence_what_can_wait_and_never_an_ask() {
    let mut quiet = settings(vec![chat(with(ALICE), &[ALICE], 1)]);
    // 1_800_000_000 s is 08:00 UTC on 2027-01-15.
    quiet.quiet = Some(super::super::Quiet { from: 22 * 60, until: 9 * 60 });
    let mut world = World::connected(quiet);
    world.event(Event::Notice(v1::Notice {
        kind: v1::NoticeKind::Strangers.into(),
        count: 1,
        ..v1::Notice::default()
    }));
    world.open(1);
    assert!(!world.shown(with(ALICE), 2).rang || !world.shown(with(ALICE), 1).rang);
    let asked = world.chats[&with(ALICE)].values().find(|shown| !shown.message.buttons.is_empty()).expect("a prompt");
    assert!(asked.rang);
    world.wait(seconds(3600));
    world.event(Event::Notice(v1::Notice {
        kind: v1::NoticeKind::TooManyAsks.into(),
        count: 1,
        ..v1::Notice::default()
    }));
    let last = world.chats[&with(ALICE)].values().next_back().expect("a message");
    assert!(last.rang, "it is past nine");
}

#[test]
fn calls_of_strangers_are_one_message_however_many_they_are() {
    let mut world = alone();
    let notice = |count| {
        Event::Notice(v1::Notice {
            kind: v1::NoticeKind::Strangers.into(),
            address: "192.0.2.99".to_owned(),
            count,
            ..v1::Notice::default()
        })
    };
    world.event(notice(1));
    world.wait(seconds(3600));
    world.event(notice(9_999));
    world.open(1);
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 2);
    assert!(world.shown(with(ALICE), 1).message.html.contains("10,000"), "{:?}", world.shown(with(ALICE), 1));
    assert!(world.has_buttons(with(ALICE), 2), "and a listed node's prompt arrives");
}

#[test]
fn a_denial_that_a_prompt_shows_is_not_told_twice() {
    let refusal = v1::Refusal {
        node: Some(node(1)),
        kind: v1::RefusalKind::Denial.into(),
        by: "alice".to_owned(),
        until_ms: i64::MAX,
        address: String::new(),
    };
    let mut world = alone();
    world.open(1);
    world.event(Event::Refused(refusal.clone()));
    world.event(Event::Closed(closed(1, v1::Outcome::Denied, "alice")));
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 1);
    // One that came without an ask is told.
    world.event(Event::Refused(refusal.clone()));
    world.event(Event::Lifted(v1::Lifted { refusal: Some(refusal), by: "bob".to_owned() }));
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 3);
}

#[test]
fn a_reminder_is_forgotten_once_it_says_that_it_is_over() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    for number in 1..=5 {
        world.open(number);
        world.wait(seconds(180));
        world.event(Event::Closed(closed(number, v1::Outcome::Approved, "bob")));
        world.wait(seconds(60));
    }
    assert_eq!(world.count(with(ALICE)), 10);
    world.wait(seconds(2 * 3600));
    world.open(6);
    assert_eq!(world.session.board.messages(), 1, "what is over is looked after no longer");
}

#[test]
fn a_reminder_that_was_not_sent_before_the_answer_never_is() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]));
    world.open(1);
    world.failing.insert(with(ALICE), Failure::Wait(seconds(300)));
    world.wait(seconds(180));
    world.event(Event::Closed(closed(1, v1::Outcome::Approved, "bob")));
    world.failing.clear();
    world.wait(seconds(600));
    assert_eq!(world.count(with(ALICE)), 1);
}
