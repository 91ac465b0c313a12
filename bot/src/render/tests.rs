//! What messages say when, and the answers word by word. The messages themselves can be read in demo/prompts.txt, and
//! what holds for all of them is in hostile.rs.

use super::markup::visible;
use super::*;
use crate::message::UserId;

pub(super) const NOW: i64 = 1_795_576_405_000;
pub(super) const NONCE: Nonce = Nonce([7; 16]);

fn ask() -> v1::Ask {
    v1::Ask {
        code: "K7Q2".to_owned(),
        operation: v1::Operation::Unseal.into(),
        node: Some(v1::Node { uuid: "u".to_owned(), name: "cp-1".to_owned(), cluster: "home".to_owned() }),
        address: "192.0.2.11".to_owned(),
        origin: v1::Origin::Listed.into(),
        tls: true,
        opened_at_ms: NOW - 60_000,
        last_attempt_at_ms: NOW,
        attempts: 1,
        last_approved_at_ms: NOW - 86_400_000,
        last_approved_by: "alice".to_owned(),
        ..v1::Ask::default()
    }
}

fn closed(outcome: i32) -> v1::Closed {
    v1::Closed {
        ask: Some(ask()),
        outcome,
        by: "alice".to_owned(),
        at_ms: NOW,
        for_seconds: 300,
        ..v1::Closed::default()
    }
}

fn shown(ask: &v1::Ask, stage: Stage<'_>) -> String {
    let releases = Releases::default();
    visible(&prompt(&Prompt { ask, stage, releases: &releases }, NOW, &Zone::utc())).unwrap()
}

pub(super) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap()
}

#[test]
fn the_first_line_is_read_in_two_seconds() {
    assert_eq!(first_line(&shown(&ask(), Stage::Open(NONCE))), "🔒 cp-1 wants to unlock · 192.0.2.11 · code K7Q2");
    let mut long = ask();
    long.address = "2001:db8:1234:5678:9abc:def0:1234:5678".to_owned();
    long.node = Some(v1::Node { name: "x".repeat(300), ..v1::Node::default() });
    let text = shown(&long, Stage::Open(NONCE));
    assert!(first_line(&text).chars().count() <= 100, "{text}");
    assert!(text.contains(&long.address), "an address is never cut: {text}");
}

#[test]
fn a_wrong_or_second_address_is_cried_out_in_the_first_line() {
    let with = |warnings: &[i32], origin: i32| {
        let ask = v1::Ask { warnings: warnings.to_vec(), origin, ..ask() };
        first_line(&shown(&ask, Stage::Open(NONCE))).to_owned()
    };
    let (listed, other) = (v1::Origin::Listed.into(), v1::Origin::OtherAddress.into());
    let second = v1::Warning::SecondAddress.into();
    assert!(with(&[v1::Warning::OtherAddress.into()], listed).starts_with("⚠️ WRONG ADDRESS: cp-1"));
    assert!(with(&[], other).starts_with("⚠️ WRONG ADDRESS: cp-1"));
    assert!(with(&[second], listed).starts_with("⚠️ TWO ADDRESSES: cp-1"));
    assert!(with(&[second], other).starts_with("⚠️ WRONG ADDRESS: cp-1"), "the worse of two");
    assert!(with(&[v1::Warning::Moved.into()], listed).starts_with("⚠️ NEW ADDRESS: cp-1"));
    assert!(with(&[v1::Warning::NewAddress.into()], listed).starts_with("🔒"));
}

#[test]
fn what_is_not_known_is_shown_as_the_wider_one() {
    let stage = Stage::Open(NONCE);
    let with = |change: fn(&mut v1::Ask)| {
        let mut ask = ask();
        change(&mut ask);
        shown(&ask, stage)
    };
    assert!(with(|ask| ask.operation = 99).contains("wants to unlock"));
    assert!(with(|ask| ask.operation = 0).contains("wants to unlock"));
    assert!(with(|ask| ask.origin = 99).starts_with("⚠️ WRONG ADDRESS"));
    assert!(with(|ask| ask.origin = 0).starts_with("⚠️ WRONG ADDRESS"));
    let warned = with(|ask| ask.warnings = vec![99]);
    assert!(warned.starts_with("⚠️ WARNING: cp-1") && warned.contains("too old to know"), "{warned}");

    let closed = shown(&ask(), Stage::Closed(&closed(99)));
    assert!(closed.starts_with("⚪ cp-1: closed") && !closed.contains("approved"), "{closed}");
    let notice = v1::Notice { kind: 99, count: 1, ..v1::Notice::default() };
    assert!(visible(&super::notice(&notice, NOW, &Zone::utc())).unwrap().starts_with("⚠️ 1 call refused"));
    let refusal = v1::Refusal { kind: 99, ..v1::Refusal::default() };
    assert!(
        visible(&refused(&refusal, NOW, &Zone::utc())).unwrap().starts_with("⛔"),
        "an unknown kind is the longer one"
    );
}

#[test]
fn what_is_missing_is_said_once_it_is_more_than_one_yes() {
    let with = |voted: &[&str], votes_missing, channels_missing| {
        let voted = voted.iter().map(|name| (*name).to_owned()).collect();
        let text = shown(&v1::Ask { voted, votes_missing, channels_missing, ..ask() }, Stage::Open(NONCE));
        text.lines().find(|line| line.contains("must")).map(str::to_owned)
    };
    // As the server tells it when one yes through any channel is enough.
    assert_eq!(with(&[], 1, 1), None);
    assert_eq!(with(&[], 2, 1).unwrap(), "2 more people must approve");
    assert_eq!(
        with(&[], 2, 2).unwrap(),
        "2 more people must approve through 2 channels, such as this and the command line"
    );
    assert_eq!(with(&["alice"], 1, 0).unwrap(), "👍 Approved so far by alice · 1 more person must approve");
    assert_eq!(
        with(&["alice"], 1, 1).unwrap(),
        "👍 Approved so far by alice · 1 more person must approve through another channel, such as the command line"
    );
    assert_eq!(
        with(&["alice", "bob"], 0, 1).unwrap(),
        "👍 Approved so far by alice, bob · it must be approved through another channel, such as the command line"
    );
}

#[test]
fn only_an_open_prompt_has_buttons_and_they_carry_its_nonce() {
    let (ask, releases, approved) = (ask(), Releases::default(), closed(1));
    let buttons = |stage| prompt(&Prompt { ask: &ask, stage, releases: &releases }, NOW, &Zone::utc()).buttons;
    let data: Vec<_> = buttons(Stage::Open(NONCE)).into_iter().flatten().map(|button| button.data).collect();
    assert_eq!(data, Choice::ALL.map(|choice| Press { choice, nonce: NONCE }.to_string()));
    for stage in [Stage::Unreachable, Stage::Closed(&approved), Stage::AskedAgain, Stage::Forgotten] {
        assert_eq!(buttons(stage), Vec::<Vec<Button>>::new(), "{stage:?}");
    }
}

#[test]
fn a_text_goes_stale_with_the_day_alone() {
    let (ask, releases) = (ask(), Releases::default());
    let written =
        |now_ms| prompt(&Prompt { ask: &ask, stage: Stage::Open(NONCE), releases: &releases }, now_ms, &Zone::utc());
    // From 03:13 until 23:59 on the same day, and the next.
    assert_eq!(written(NOW), written(NOW + 20 * 3_600_000));
    assert!(written(NOW + 86_400_000).html.contains("First asked Wed 25 Nov 03:12"));
}

#[test]
fn releases_are_summed_up_for_a_bounded_number_of_addresses() {
    let mut releases = Releases::default();
    for (number, after) in (0..100).zip([900, 400, 700].into_iter().cycle()) {
        let address = format!("2001:db8::{number:x}");
        releases.add(&v1::Release { address, after_vote_ms: Some(after), at_ms: number, ..v1::Release::default() });
    }
    assert_eq!(releases.to.len(), 9);
    assert_eq!(releases.to[""], Released { unsealed: Keys { count: 92, last_at_ms: 99 }, sealed: Keys::default() });
    assert_eq!(releases.first_after_vote_ms, Some(400));
}

#[test]
fn each_kind_of_release_has_a_time_of_its_own() {
    let mut releases = Releases::default();
    for (operation, at_ms) in [(v1::Operation::Seal, 7), (v1::Operation::Unseal, 9)] {
        releases.add(&v1::Release { operation: operation.into(), at_ms, ..v1::Release::default() });
    }
    let released = releases.to[""];
    assert_eq!((released.sealed.last_at_ms, released.unsealed.last_at_ms), (7, 9));
}

#[test]
fn a_release_says_what_it_rests_on() {
    let told = |asks: &[&[u8]]| {
        let mut releases = Releases::default();
        for ask_id in asks {
            releases.add(&v1::Release { ask_id: ask_id.to_vec(), ..v1::Release::default() });
        }
        let text = visible(&allowed(&ask().node.unwrap(), &releases, NOW, &Zone::utc())).unwrap();
        (text.contains("Nobody is asked"), text.contains("without a question"), text.contains("Somebody approved it"))
    };
    assert_eq!(told(&[b""]), (true, true, false));
    assert_eq!(told(&[b"ask"]), (false, false, true));
    assert_eq!(told(&[b"", b"ask"]), (true, false, true));
}

#[test]
fn twenty_asks_and_four_hundred_nodes_fit() {
    let mut asks = vec![ask(); 20];
    for (number, ask) in asks.iter_mut().enumerate() {
        ask.node = Some(v1::Node { uuid: number.to_string(), name: "x".repeat(64), ..v1::Node::default() });
        ask.address = "2001:db8:1234:5678:9abc:def0:1234:5678".to_owned();
    }
    let asks: Vec<_> = asks.iter().collect();
    let text = visible(&pending(&asks, NOW, &Zone::utc())).unwrap();
    assert_eq!(text.matches("K7Q2 · ").count(), 20);

    let names: Vec<_> = (0..400)
        .map(|number| v1::Node { uuid: number.to_string(), name: "😀".repeat(64), cluster: "<".repeat(64) })
        .collect();
    let known = names.iter().map(|node| KnownNode {
        node,
        last_approved_at_ms: NOW,
        last_approved_by: "&&&&&&&&&&&&",
        conflict: "",
    });
    let text = visible(&nodes(&known.collect::<Vec<_>>(), &asks, &[], NOW, &Zone::utc())).unwrap();
    let listed = text.lines().count() - 2;
    assert!(text.ends_with(&format!("… and {} more", 400 - listed)), "{text}");
    assert_eq!(text.matches("waits for an answer").count(), 20, "those that wait come first");
}

#[test]
fn what_has_ended_is_in_no_list() {
    let grant = |seconds_left| v1::Grant { node: ask().node, seconds_left, ..v1::Grant::default() };
    let (ended, live) = (grant(10), grant(11));
    let grants = [&ended, &live].map(|grant| HeardGrant { grant, heard_at_ms: NOW - 10_000 });
    let refusal = |until_ms| v1::Refusal { node: ask().node, until_ms, ..v1::Refusal::default() };
    let status = |grants: &[HeardGrant<'_>], refusals: &[v1::Refusal]| {
        let status = Status {
            lock: None,
            bot_version: "0.1.0",
            server: Whereabouts::Here("0.1.0"),
            since_ms: NOW,
            open: 0,
            grants,
            refusals,
            second_reader_since_ms: None,
        };
        visible(&super::status(&status, NOW, &Zone::utc())).unwrap()
    };
    assert_eq!(status(&grants, &[]).matches("cp-1 may unlock").count(), 1);
    assert_eq!(status(&[], &[refusal(NOW), refusal(NOW + 1)]).matches("⛔ cp-1").count(), 1);
    assert_eq!(status(&grants[..1], &[refusal(NOW)]).lines().count(), 3, "no heading without a list");

    let node = ask().node.unwrap();
    let known = [KnownNode { node: &node, last_approved_at_ms: 0, last_approved_by: "", conflict: "" }];
    let shown = |refusals: &[v1::Refusal]| visible(&nodes(&known, &[], refusals, NOW, &Zone::utc())).unwrap();
    assert!(shown(&[refusal(NOW + 1)]).contains("⛔ cp-1 · blocked"));
    assert!(!shown(&[refusal(NOW)]).contains("blocked"));
}

#[test]
fn a_status_is_not_well_while_something_is_wrong() {
    let status = |server, second_reader_since_ms| {
        let status = Status {
            lock: None,
            bot_version: "0.1.0",
            server,
            since_ms: NOW,
            open: 0,
            grants: &[],
            refusals: &[],
            second_reader_since_ms,
        };
        first_line(&visible(&super::status(&status, NOW, &Zone::utc())).unwrap()).to_owned()
    };
    let here = Whereabouts::Here("0.1.0");
    assert_eq!(status(here, None), "🟢 All is well · 03:13:25");
    assert_eq!(status(Whereabouts::Asleep, None), "😴 nightlatch sleeps since 03:13:25");
    assert_eq!(status(Whereabouts::Away, None), "🔌 nightlatch is away since 03:13:25");
    assert_eq!(status(here, Some(NOW)), "🚨 ANOTHER PROGRAM USES THIS BOT'S TOKEN · since 03:13:25");
}

#[test]
fn answers_say_what_happened() {
    use v1::{Outcome, VoteResult};
    let (ask, zone) = (ask(), Zone::utc());
    let said = |choice, result: VoteResult, outcome: Option<Outcome>| {
        let closed = outcome.map(|outcome| closed(outcome.into()));
        let voted = vec!["alice".to_owned()];
        let now = v1::Ask { votes_missing: 1, channels_missing: 1, voted, ..ask.clone() };
        let response = v1::VoteResponse { result: result.into(), ask: Some(now), closed };
        let answered = answer(&Answer::Voted(choice, &ask, &response), NOW, &zone);
        format!("{}{}", if answered.alert { "! " } else { "" }, answered.text)
    };
    let yes = Choice::Approve;
    let read = [
        said(yes, VoteResult::Decided, Some(Outcome::Approved)),
        said(Choice::Deny, VoteResult::Decided, Some(Outcome::Denied)),
        said(Choice::Block, VoteResult::Decided, Some(Outcome::Blocked)),
        said(yes, VoteResult::Counted, None),
        said(yes, VoteResult::Repeated, None),
        said(yes, VoteResult::Closed, Some(Outcome::Denied)),
        said(yes, VoteResult::Closed, Some(Outcome::Approved)),
        said(Choice::Deny, VoteResult::Closed, Some(Outcome::Approved)),
        said(yes, VoteResult::Closed, Some(Outcome::Expired)),
        said(yes, VoteResult::Closed, None),
        said(yes, VoteResult::Unknown, None),
        said(yes, VoteResult::NotAnApprover, None),
        said(yes, VoteResult::Unspecified, None),
        answer(&Answer::NotListed, NOW, &zone).text,
        answer(&Answer::NoApprover, NOW, &zone).text,
        answer(&Answer::OldMessage, NOW, &zone).text,
        answer(&Answer::ServerAway, NOW, &zone).text,
        answer(&Answer::NoAnswer, NOW, &zone).text,
        answer(&Answer::OlderServer, NOW, &zone).text,
        answer(&Answer::Refused("nightlatch is stopping; answer again when it is back"), NOW, &zone).text,
    ];
    assert_eq!(
        read.join("\n"),
        "✅ Approved: cp-1 may unlock until 03:18:25.\n\
         ❌ Denied: cp-1 gets nothing from there until 03:18:25.\n\
         ⛔ Blocked: cp-1 gets nothing from there until 03:18:25.\n\
         👍 Your approval counts: 1 more person must approve through another channel, such as the command line.\n\
         You have approved this already: 1 more person must approve through another channel, such as the command line.\n\
         ! Nothing was changed, it was closed before: denied by alice, 03:13:25.\n\
         ! Nothing was changed, it was closed before: approved by alice, 03:13:25.\n\
         ! Nothing was changed, it was closed before: approved by alice, 03:13:25. To stop it now: /block cp-1\n\
         ! Nothing was changed, it was closed before: the node stopped asking, 03:13:25.\n\
         ! Nothing was changed: this is not open any more. If the node still needs its key, it asks again.\n\
         ! Nothing was changed: this is not open any more. If the node still needs its key, it asks again.\n\
         ! Nothing was changed: you are not one of those who may answer for cp-1.\n\
         ! The server answered what this bot is too old to know. See /pending for what is still open.\n\
         Nothing was changed: you are not one of those who may answer here.\n\
         Nothing was changed: the server has no approver with your number. It is the telegram_id in nightlatch.toml.\n\
         Nothing was changed: this message is old, or a copy. /pending shows what is open now.\n\
         Nothing was changed: the server is away. Press again when it is back, or use: nightlatch approvals\n\
         Sent to the server, which has not answered yet. If the message does not change soon, press again.\n\
         Nothing was changed: the server is too old to know this. Upgrade nightlatch on its host. Meanwhile use: nightlatch \
         approvals\n\
         The server refused: nightlatch is stopping; answer again when it is back"
    );
}

#[test]
fn a_stranger_is_told_their_id_and_nothing_else() {
    let message = stranger(UserId(123_456_789));
    assert_eq!(visible(&message).unwrap(), "Your numeric id: 123456789");
    assert!(message.buttons.is_empty());
}

#[test]
fn commands_are_as_telegram_takes_them() {
    // The Bot API's BotCommand: 1 to 32 small letters, digits and "_"; 1 to 256 characters.
    for (name, about) in crate::texts::COMMANDS {
        assert!(!name.is_empty() && name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_lowercase()), "{name}");
        assert!((1..=256).contains(&about.chars().count()), "{about}");
    }
}

#[test]
fn what_a_lock_closed_says_so_and_how_the_lock_ends() {
    let closed = closed(v1::Outcome::Locked.into());
    let text = shown(&ask(), Stage::Closed(&closed));
    assert!(text.contains("alice locked everything") && text.contains("nightlatch unlock"), "{text}");
    assert!(!text.contains("too old"), "{text}");
}

#[test]
fn calls_while_locked_and_too_many_enrolments_are_told_in_their_own_words() {
    for (kind, words) in
        [(v1::NoticeKind::Locked, "everything is locked"), (v1::NoticeKind::TooManyEnrolments, "not listed")]
    {
        let notice = v1::Notice { kind: kind.into(), count: 3, at_ms: NOW, ..v1::Notice::default() };
        let text = visible(&super::notice(&notice, NOW, &Zone::utc())).unwrap();
        assert!(text.contains(words) && !text.contains("too old"), "{text}");
    }
}
