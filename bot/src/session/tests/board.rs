//! The board for itself: pace, order, and calls that end in every way.

use super::super::board::{Board, Happened, How, Rank};
use super::*;

const NOW: Duration = Duration::from_secs(100);

fn message(text: &str) -> Message {
    Message { html: text.to_owned(), buttons: vec![] }
}

const fn how(rank: Rank) -> How {
    How { rank, silent: false, reply_to: None }
}

#[test]
fn the_most_urgent_goes_first_and_one_chat_has_one_call_at_a_time() {
    let mut board = Board::new();
    board.tell(NOW, with(ALICE), message("notice"), how(Rank::Notice));
    let name = board.post(NOW, with(ALICE), message("ask"), how(Rank::Ask));
    let (id, call) = board.next(NOW).expect("a call");
    assert!(matches!(call, Call::Send { message, .. } if message.html == "ask"));
    assert!(board.next(NOW).is_none(), "the chat is busy");
    assert_eq!(board.wake_at(NOW), None, "and what ends that is no time");
    assert_eq!(board.told(NOW, id, Ok(Some(MessageId(1))), 0), Happened::Shown(name));
    assert!(matches!(board.next(NOW), Some((_, Call::Send { message, .. })) if message.html == "notice"));
}

#[test]
fn a_change_while_a_message_is_on_its_way_is_an_edit_after_it() {
    let mut board = Board::new();
    let posting = board.post(NOW, with(ALICE), message("one"), how(Rank::Ask));
    let (name, _) = board.next(NOW).expect("a call");
    board.change(posting, message("two"), Rank::Outcome);
    board.told(NOW, name, Ok(Some(MessageId(4))), 0);
    let (_, call) = board.next(NOW).expect("an edit");
    assert_eq!(call, Call::Edit { chat: with(ALICE), id: MessageId(4), message: message("two") });
}

#[test]
fn a_call_that_may_have_arrived_is_made_again_after_a_growing_wait() {
    let mut board = Board::new();
    board.tell(NOW, with(ALICE), message("one"), how(Rank::Ask));
    let mut now = NOW;
    let mut waits = vec![];
    for _ in 0..8 {
        let (name, _) = board.next(now).expect("a call");
        board.told(now, name, Err(Failure::Away("no answer".to_owned())), 255);
        assert!(board.next(now).is_none());
        let at = board.wake_at(now).expect("another try");
        waits.push((at - now).as_secs());
        now = at;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn more_messages_than_there_is_room_for_cost_the_least_urgent() {
    let mut board = Board::new();
    board.tell(NOW, with(ALICE), message("ask"), how(Rank::Ask));
    for number in 0..5000 {
        board.tell(NOW, with(BOB), message(&number.to_string()), how(Rank::Notice));
    }
    let texts: Vec<String> = std::iter::from_fn(|| match board.next(NOW)? {
        (_, Call::Send { message, .. }) => Some(message.html),
        _ => None,
    })
    .collect();
    assert!(texts.contains(&"ask".to_owned()), "{texts:?}");
}

#[test]
fn a_call_for_a_message_that_is_looked_after_no_longer_frees_its_chat_when_it_ends() {
    for told in [Ok(Some(MessageId(1))), Err(Failure::Away("no answer".to_owned()))] {
        let mut board = Board::new();
        let posting = board.post(NOW, with(ALICE), message("one"), how(Rank::Ask));
        let (call, _) = board.next(NOW).expect("a call");
        board.forget(posting);
        board.tell(NOW, with(ALICE), message("two"), how(Rank::Ask));
        board.told(NOW, call, told, 0);
        let later = NOW + seconds(60);
        assert!(board.next(later).is_some(), "the chat is silent for ever");
    }
}

#[test]
fn a_message_that_is_left_while_an_edit_of_it_is_under_way_still_says_the_last_word() {
    let mut board = Board::new();
    let posting = board.post(NOW, with(ALICE), message("one"), how(Rank::Ask));
    let (call, _) = board.next(NOW).expect("a call");
    board.told(NOW, call, Ok(Some(MessageId(1))), 0);
    board.change(posting, message("two"), Rank::Outcome);
    let (call, _) = board.next(NOW).expect("an edit");
    // Back to what it says, as far as is known.
    board.change(posting, message("one"), Rank::Outcome);
    board.leave(posting);
    board.told(NOW, call, Ok(None), 0);
    assert!(matches!(board.next(NOW), Some((_, Call::Edit { message, .. })) if message.html == "one"));
}

#[test]
fn what_ends_too_many_calls_at_once_is_no_time() {
    let mut board = Board::new();
    for person in 1..=9 {
        board.tell(NOW, ChatId(person), message("ask"), how(Rank::Ask));
    }
    let calls: Vec<_> = std::iter::from_fn(|| board.next(NOW)).collect();
    assert_eq!(calls.len(), 8);
    assert_eq!(board.wake_at(NOW), None, "whoever believes it asks without end");
    board.told(NOW, calls[0].0, Ok(Some(MessageId(1))), 0);
    assert_eq!(board.wake_at(NOW), Some(NOW));
}

#[test]
fn how_a_call_to_the_old_id_of_a_group_ended_is_not_taken_for_how_the_new_one_did() {
    let mut board = Board::new();
    let new = ChatId(-1005);
    let posting = board.post(NOW, GROUP, message("ask"), how(Rank::Ask));
    let (old, _) = board.next(NOW).expect("a call");
    board.migrate(GROUP, new);
    let (call, _) = board.next(NOW).expect("a call to the new id");
    board.told(NOW, old, Ok(Some(MessageId(7))), 0);
    assert_eq!(board.place(posting), None);
    board.told(NOW, call, Ok(Some(MessageId(1))), 0);
    assert_eq!(board.place(posting), Some((new, MessageId(1))));
}

#[test]
fn a_person_who_writes_does_not_make_two_calls_at_once_of_one() {
    let mut board = Board::new();
    board.tell(NOW, GROUP, message("one"), how(Rank::Ask));
    board.tell(NOW, GROUP, message("two"), how(Rank::Ask));
    let (call, _) = board.next(NOW).expect("a call");
    board.told(NOW, call, Err(Failure::ChatClosed("no rights".to_owned())), 0);
    let later = NOW + seconds(60);
    assert!(board.next(later).is_some());
    board.heard(GROUP);
    assert!(board.next(later).is_none(), "one call is under way there");
}

#[test]
fn chats_that_were_spoken_to_once_are_forgotten() {
    let mut board = Board::new();
    let mut now = NOW;
    for stranger in 1..=2000 {
        board.tell(now, ChatId(stranger), message("your number"), how(Rank::Notice));
        let (call, _) = board.next(now).expect("a call");
        let told = if stranger % 2 == 0 { Ok(Some(MessageId(1))) } else { Err(Failure::ChatClosed("x".to_owned())) };
        board.told(now, call, told, 0);
        now += seconds(60);
    }
    assert!(board.chats() < 200, "{}", board.chats());
}

#[test]
fn a_group_that_is_said_to_have_moved_to_where_it_is_is_not_written_to_without_end() {
    for to in [GROUP, with(ALICE)] {
        let mut world = World::connected(settings(vec![chat(GROUP, &[ALICE], 1)]));
        world.failing.insert(GROUP, Failure::Migrated(to));
        world.open(1);
        world.wait(seconds(30));
        assert!(world.calls < 10, "{} calls", world.calls);
    }
}
