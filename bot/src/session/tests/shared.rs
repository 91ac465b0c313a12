//! Several asks of one cluster in one message, and what its buttons answer.

use std::collections::BTreeSet;

use super::*;
use crate::message::Button;
use crate::press::{ListChoice, ListPress};

pub(super) const CHAT: ChatId = with(ALICE);

pub(super) fn home() -> World {
    World::connected(settings(vec![chat(CHAT, &[ALICE], 1)]))
}

/// After a power cut: so many nodes ask at once.
fn outage(count: u8) -> World {
    let mut world = home();
    (1..=count).for_each(|number| world.open(number));
    world.wait(seconds(10));
    world
}

pub(super) fn warned(number: u8) -> v1::Ask {
    v1::Ask { warnings: vec![v1::Warning::SecondAddress.into()], ..ask(number) }
}

pub(super) fn of_list(button: &Button, choice: ListChoice) -> bool {
    ListPress::parse(&button.data).is_some_and(|press| press.choice == choice)
}

impl World {
    fn list_button(&self, id: i32, choice: ListChoice) -> Option<String> {
        let mut buttons = self.shown(CHAT, id).message.buttons.iter().flatten();
        buttons.find(|button| of_list(button, choice)).map(|button| button.data.clone())
    }

    fn press_list(&mut self, id: i32, choice: ListChoice) {
        let data = self.list_button(id, choice).expect("a button for all");
        self.press_data(ALICE, CHAT, id, &data);
    }

    /// The vote for all that the server is asked for, and the numbers of its asks.
    pub(super) fn all(&mut self) -> Option<(Ticket, v1::VoteAllRequest, Vec<u8>)> {
        match self.requests.pop_front()? {
            (ticket, Request::VoteAll(vote)) => {
                let numbers = vote.ask_ids.iter().map(|id| id[0]).collect();
                Some((ticket, vote, numbers))
            }
            (_, other) => panic!("no vote for all: {other:?}"),
        }
    }

    fn html(&self, id: i32) -> &str {
        &self.shown(CHAT, id).message.html
    }
}

fn voted(number: u8, result: v1::VoteResult) -> v1::Voted {
    let closed = (result == v1::VoteResult::Decided).then(|| closed(number, v1::Outcome::Approved, "alice"));
    v1::Voted { ask_id: vec![number; 16], result: result.into(), ask: None, closed }
}

fn all_decided(numbers: &[u8]) -> Result<Reply, Status> {
    let votes = numbers.iter().map(|number| voted(*number, v1::VoteResult::Decided)).collect();
    Ok(Reply::VoteAll(v1::VoteAllResponse { votes }))
}

#[test]
fn the_first_is_asked_alone_and_the_second_joins_its_message() {
    let mut world = home();
    world.open(1);
    assert!(world.list_button(1, ListChoice::ApproveAll).is_none());
    assert!(world.shown(CHAT, 1).rang);
    world.wait(seconds(30));
    world.open(2);
    assert_eq!(world.count(CHAT), 1, "one message for both");
    let html = world.html(1);
    assert!(html.starts_with("<b>🔒 2 nodes of home want to unlock</b>"), "{html}");
    assert!(html.contains("cp-1 · 192.0.2.11 · code K7Q1") && html.contains("cp-2 · 192.0.2.11 · code K7Q2"), "{html}");
}

#[test]
fn approve_all_is_one_vote_for_exactly_what_is_shown() {
    let mut world = outage(6);
    assert_eq!(world.count(CHAT), 1);
    world.press_list(1, ListChoice::ApproveAll);
    let (ticket, vote, numbers) = world.all().expect("a vote");
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!((vote.verdict(), vote.telegram_id, vote.for_seconds), (v1::Verdict::Approve, Some(101), None));
    world.reply(ticket, all_decided(&numbers));
    world.wait(seconds(10));
    assert_eq!(world.last_answer(), "✅ Approved: 6.");
    assert!(!world.has_buttons(CHAT, 1));
    assert_eq!(world.html(1).matches("approved by alice").count(), 6, "{}", world.html(1));
    assert_eq!(world.count(CHAT), 1);
}

#[test]
fn deny_all_denies() {
    let mut world = outage(3);
    world.press_list(1, ListChoice::DenyAll);
    assert_eq!(world.all().expect("a vote").1.verdict(), v1::Verdict::Deny);
}

#[test]
fn each_line_has_a_button_of_its_own_while_they_are_few() {
    let mut world = outage(8);
    let own = world.shown(CHAT, 1).message.buttons.iter().flatten();
    let own: Vec<Button> = own.filter(|button| Press::parse(&button.data).is_some()).cloned().collect();
    assert_eq!(own.len(), 8);
    assert_eq!(own[4].label, "✅ cp-5 · K7Q5");
    world.press_data(ALICE, CHAT, 1, &own[4].data);
    assert_eq!(world.vote().expect("a vote").1.ask_id, vec![5; 16]);
    world.open(9);
    world.wait(seconds(10));
    let mut buttons = world.shown(CHAT, 1).message.buttons.iter().flatten();
    assert!(buttons.all(|button| Press::parse(&button.data).is_none()));
}

#[test]
fn the_last_that_is_open_has_the_buttons_that_it_would_have_alone() {
    let mut world = outage(2);
    world.event(Event::Closed(closed(1, v1::Outcome::Denied, "bob")));
    world.wait(seconds(10));
    for choice in Choice::ALL {
        world.press(ALICE, CHAT, 1, choice);
        let (ticket, vote) = world.vote().expect("a vote");
        assert_eq!(vote.ask_id, vec![2; 16]);
        world.reply(ticket, answered_with(v1::VoteResult::Counted, 2));
    }
    assert!(world.html(1).contains("❌ cp-1 denied by bob"), "{}", world.html(1));
}

#[test]
fn one_by_one_asks_what_is_open_in_messages_of_their_own() {
    let mut world = outage(4);
    world.event(Event::Closed(closed(2, v1::Outcome::Approved, "bob")));
    world.wait(seconds(10));
    let before = world.list_button(1, ListChoice::ApproveAll).expect("a button");
    world.press_list(1, ListChoice::OneByOne);
    world.wait(seconds(20));
    assert_eq!(world.count(CHAT), 4, "the list, and three prompts");
    assert!(!world.has_buttons(CHAT, 1), "no two messages answer the same");
    assert!((2..=4).all(|id| !world.shown(CHAT, id).rang && world.shown(CHAT, id).message.buttons.len() == 2));
    world.press_data(ALICE, CHAT, 1, &before);
    assert_eq!(world.all(), None, "{}", world.last_answer());
    // What was asked for one by one stays so.
    world.open(5);
    assert_eq!(world.count(CHAT), 5);
}

#[test]
fn what_gets_a_warning_leaves_the_list_and_is_covered_by_no_version_of_it() {
    let mut world = outage(3);
    let before = world.list_button(1, ListChoice::ApproveAll).expect("a button");
    world.event(Event::Changed(warned(2)));
    world.wait(seconds(10));
    assert_eq!(world.count(CHAT), 2);
    assert!(world.html(1).contains("⚠️ cp-2: look closer"), "{}", world.html(1));
    assert!(world.html(2).starts_with("<b>⚠️ TWO ADDRESSES"), "{}", world.html(2));
    assert!(world.shown(CHAT, 2).rang);
    for data in [before, world.list_button(1, ListChoice::ApproveAll).expect("a button")] {
        world.press_data(ALICE, CHAT, 1, &data);
        let (ticket, _, numbers) = world.all().expect("a vote");
        assert_eq!(numbers, [1, 3]);
        world.reply(ticket, Err(Status::unavailable("not now")));
    }
}

#[test]
fn what_got_worse_but_stays_in_the_list_is_answered_by_its_new_version_alone() {
    let tls = |number| v1::Ask { tls: true, ..ask(number) };
    for worse in [ask(2), v1::Ask { code: "ZZZZ".to_owned(), ..tls(2) }] {
        let mut world = home();
        (1..=3).for_each(|number| world.event(Event::Opened(tls(number))));
        world.wait(seconds(10));
        let old = world.list_button(1, ListChoice::ApproveAll).expect("a button");
        world.event(Event::Changed(worse));
        world.wait(seconds(10));
        let new = world.list_button(1, ListChoice::ApproveAll).expect("a button");
        for (data, answers) in [(old, vec![1, 3]), (new, vec![1, 2, 3])] {
            world.press_data(ALICE, CHAT, 1, &data);
            let (ticket, _, numbers) = world.all().expect("a vote");
            assert_eq!(numbers, answers);
            world.reply(ticket, Err(Status::unavailable("not now")));
        }
    }
}

#[test]
fn whoever_presses_an_older_version_answers_what_that_showed_and_is_told_the_rest() {
    let mut world = outage(4);
    let old = world.list_button(1, ListChoice::ApproveAll).expect("a button");
    world.event(Event::Closed(closed(1, v1::Outcome::Denied, "bob")));
    world.event(Event::Changed(warned(2)));
    world.open(5);
    world.wait(seconds(10));
    world.press_data(ALICE, CHAT, 1, &old);
    let (ticket, _, numbers) = world.all().expect("a vote");
    assert_eq!(numbers, [3, 4], "5 was not there yet");
    let votes = vec![voted(3, v1::VoteResult::Decided), voted(4, v1::VoteResult::Closed)];
    world.reply(ticket, Ok(Reply::VoteAll(v1::VoteAllResponse { votes })));
    let told = "✅ Approved: 1. 2 too late: answered or over before. 1 left out: changed since, look at the message.";
    assert_eq!(world.last_answer(), told);
}

#[test]
fn a_press_for_all_counts_on_its_message_and_by_a_listed_person_alone() {
    let mut world = outage(3);
    let data = world.list_button(1, ListChoice::ApproveAll).expect("a button");
    world.press_data(STRANGER, CHAT, 1, &data);
    world.press_data(ALICE, CHAT, 7, &data);
    world.press_data(
        ALICE,
        CHAT,
        1,
        &ListPress { choice: ListChoice::ApproveAll, nonce: crate::press::Nonce([9; 16]) }.to_string(),
    );
    assert_eq!(world.all(), None);
    world.lose_server();
    world.press_data(ALICE, CHAT, 1, &data);
    assert_eq!(world.all(), None, "it is not kept for later");
}

#[test]
fn what_needs_a_closer_look_or_a_second_person_is_asked_alone() {
    let quorum = v1::Ask { votes_missing: 2, ..ask(2) };
    let elsewhere = v1::Ask { origin: v1::Origin::OtherAddress.into(), ..ask(2) };
    let other = v1::Ask { node: Some(v1::Node { cluster: "work".to_owned(), ..node(2) }), ..ask(2) };
    for second in [quorum, elsewhere, warned(2), other] {
        let mut world = home();
        world.open(1);
        world.event(Event::Opened(second.clone()));
        assert_eq!(world.count(CHAT), 2, "{second:?}");
        assert!(world.list_button(1, ListChoice::ApproveAll).is_none());
    }
}

#[test]
fn what_comes_after_a_minute_or_after_all_were_answered_rings_anew() {
    let mut world = home();
    world.open(1);
    world.wait(seconds(61));
    world.open(2);
    assert_eq!(world.count(CHAT), 2);
    let mut world = outage(2);
    for number in [1, 2] {
        world.event(Event::Closed(closed(number, v1::Outcome::Approved, "bob")));
    }
    world.open(3);
    assert!(world.count(CHAT) == 2 && world.shown(CHAT, 2).rang);
}

#[test]
fn a_list_is_joined_within_a_minute_of_the_last_and_before_its_reminder() {
    // When each comes, in seconds after the one before; and how many messages ask then.
    for (waits, asked) in [([10, 50, 50], 1), ([10, 65, 5], 2), ([50, 50, 25], 2)] {
        let mut world = home();
        world.open(1);
        for (number, wait) in (2..).zip(waits) {
            world.wait(seconds(wait));
            world.open(number);
        }
        world.wait(seconds(1));
        let shown = world.chats[&CHAT].values();
        assert_eq!(shown.filter(|shown| !shown.message.buttons.is_empty()).count(), asked, "{waits:?}");
    }
}

#[test]
fn twenty_are_one_message_and_the_next_begins_another() {
    let mut world = outage(43);
    assert_eq!(world.count(CHAT), 3);
    for (id, first, last) in [(1, 1, 20), (2, 21, 40), (3, 41, 43)] {
        world.press_list(id, ListChoice::ApproveAll);
        let (ticket, _, numbers) = world.all().expect("a vote");
        assert_eq!(numbers, (first..=last).collect::<Vec<u8>>());
        assert_eq!(
            numbers.iter().filter(|number| world.html(id).contains(&format!("K7Q{number}"))).count(),
            numbers.len()
        );
        world.reply(ticket, Err(Status::unavailable("not now")));
    }
}

#[test]
fn one_reminder_calls_for_all_of_a_list() {
    let mut world = outage(5);
    world.event(Event::Closed(closed(1, v1::Outcome::Approved, "bob")));
    world.wait(seconds(300));
    assert_eq!(world.count(CHAT), 2);
    let reminder = world.shown(CHAT, 2).clone();
    assert!(reminder.rang && reminder.reply_to == Some(MessageId(1)));
    assert!(reminder.message.html.contains("4 nodes of home still wait"), "{}", reminder.message.html);
    world.open(6);
    assert_eq!(world.count(CHAT), 3, "whoever comes after the reminder rings by themselves");
    for number in 2..=5 {
        world.event(Event::Closed(closed(number, v1::Outcome::Approved, "bob")));
    }
    world.wait(seconds(10));
    assert!(world.html(2).contains("No node of home in that list waits"), "{}", world.html(2));
}

#[test]
fn a_list_that_somebody_removed_is_asked_again_as_a_list() {
    let mut world = outage(3);
    world.failing.insert(CHAT, Failure::Gone(String::new()));
    world.open(4);
    world.wait(seconds(10));
    world.failing.clear();
    world.wait(seconds(200));
    assert_eq!(world.count(CHAT), 2);
    world.press_list(2, ListChoice::ApproveAll);
    assert_eq!(world.all().expect("a vote").2, [1, 2, 3, 4]);
}

#[test]
fn pending_asks_again_in_a_new_list_and_the_old_one_has_no_buttons() {
    let mut world = outage(3);
    world.say(ALICE, CHAT, "/pending");
    world.wait(seconds(10));
    assert!(!world.has_buttons(CHAT, 1));
    let ids: Vec<i32> = (2..=world.count(CHAT) as i32).filter(|id| world.has_buttons(CHAT, *id)).collect();
    assert_eq!(ids.len(), 1);
    world.press_list(ids[0], ListChoice::ApproveAll);
    assert_eq!(world.all().expect("a vote").2, [1, 2, 3]);
}

#[test]
fn after_a_restart_the_old_list_is_over_and_what_is_open_is_asked_anew() {
    let mut world = outage(3);
    let old = world.list_button(1, ListChoice::ApproveAll).expect("a button");
    world.settle();
    let mut world = world.restart(settings(vec![chat(CHAT, &[ALICE], 1)]));
    world.connect(&[1, 2, 3]);
    world.wait(seconds(10));
    assert!(world.html(1).contains("not looked after any more"), "{}", world.html(1));
    assert!(!world.has_buttons(CHAT, 1));
    world.press_data(ALICE, CHAT, 1, &old);
    assert_eq!(world.all(), None);
    assert_eq!(world.count(CHAT), 2);
    world.press_list(2, ListChoice::ApproveAll);
    assert_eq!(world.all().expect("a vote").2, [1, 2, 3]);
}

#[test]
fn one_person_s_vote_for_all_waits_for_their_vote_on_one_of_them() {
    let mut world = outage(3);
    world.press(ALICE, CHAT, 1, Choice::Approve);
    let (ticket, _) = world.vote().expect("a vote");
    world.press_list(1, ListChoice::ApproveAll);
    assert_eq!(world.all(), None);
    world.reply(ticket, decided(1));
    assert_eq!(world.all().expect("a vote").2, [2, 3]);
}

#[test]
fn two_thousand_at_once_are_all_asked() {
    let mut world = home();
    let asks = (0..2_000_u16).map(|number| {
        let id = [number.to_be_bytes(); 8].concat();
        v1::Ask {
            id,
            code: format!("C{number}"),
            node: Some(v1::Node { uuid: number.to_string(), ..node(1) }),
            ..ask(1)
        }
    });
    let asks: Vec<v1::Ask> = asks.collect();
    let snapshot = v1::Snapshot { asks, ..World::snapshot(&[]) };
    world.take(Input::Server(Box::new(Update::Connected(snapshot))));
    world.wait(seconds(115));
    assert_eq!(world.count(CHAT), 100);
    let mut asked = BTreeSet::new();
    for id in 1..=100 {
        world.press_list(id, ListChoice::ApproveAll);
        let (ticket, vote, _) = world.all().expect("a vote");
        asked.extend(vote.ask_ids);
        world.reply(ticket, Err(Status::unavailable("not now")));
    }
    assert_eq!(asked.len(), 2_000);
}
