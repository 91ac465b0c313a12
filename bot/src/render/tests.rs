//! What holds for every message, whatever the server says; and the answers word by word. The messages themselves can be
//! read in demo/prompts.txt.

use proptest::prelude::*;

use super::markup::visible;
use super::*;
use crate::message::UserId;

const NOW: i64 = 1_795_576_405_000;
const NONCE: Nonce = Nonce([7; 16]);

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

fn first_line(text: &str) -> &str {
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
    assert_eq!(releases.to[""], Released { unsealed: 92, sealed: 0, last_at_ms: 99 });
    assert_eq!(releases.first_after_vote_ms, Some(400));
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
    let known = names.iter().map(|node| KnownNode { node, last_approved_at_ms: NOW, last_approved_by: "&&&&&&&&&&&&" });
    let text = visible(&nodes(&known.collect::<Vec<_>>(), &asks, &[], NOW, &Zone::utc())).unwrap();
    let listed = text.lines().count() - 2;
    assert!(text.ends_with(&format!("… and {} more", 400 - listed)), "{text}");
    assert_eq!(text.matches("waits for an answer").count(), 20, "those that wait come first");
}

#[test]
fn answers_say_what_happened() {
    use v1::{Outcome, VoteResult};
    let (ask, zone) = (ask(), Zone::utc());
    let said = |choice, result: VoteResult, outcome: Option<Outcome>| {
        let closed = outcome.map(|outcome| closed(outcome.into()));
        let now = v1::Ask { votes_missing: 1, channels_missing: 1, ..ask.clone() };
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
        answer(&Answer::OldMessage, NOW, &zone).text,
        answer(&Answer::ServerAway, NOW, &zone).text,
        answer(&Answer::NoAnswer, NOW, &zone).text,
        answer(&Answer::Refused("nightlatch is stopping; answer again when it is back"), NOW, &zone).text,
    ];
    assert_eq!(
        read.join("\n"),
        "✅ Approved: cp-1 may unlock until 03:18:25.\n\
         ❌ Denied: cp-1 gets nothing from there until 03:18:25.\n\
         ⛔ Blocked: cp-1 gets nothing from there until 03:18:25.\n\
         👍 Your approval counts: 1 more person must approve, through one more channel (the command line is one).\n\
         You have approved this already: 1 more person must approve, through one more channel (the command line is one).\n\
         ! Nothing was changed, it was closed before: denied by alice, 03:13:25.\n\
         ! Nothing was changed, it was closed before: approved by alice, 03:13:25.\n\
         ! Nothing was changed, it was closed before: approved by alice, 03:13:25. To stop it now: /block cp-1\n\
         ! Nothing was changed, it was closed before: the node stopped asking, 03:13:25.\n\
         ! Nothing was changed: this is not open any more. If the node still needs its key, it asks again.\n\
         ! Nothing was changed: this is not open any more. If the node still needs its key, it asks again.\n\
         ! Nothing was changed: you are not one of those who may answer for cp-1.\n\
         ! The server answered what this bot is too old to know. See /pending for what is still open.\n\
         Nothing was changed: you are not one of those who may answer here.\n\
         Nothing was changed: this message is old, or a copy. /pending shows what is open now.\n\
         Nothing was changed: the server is away. Press again when it is back, or use: nightlatch approvals\n\
         Sent to the server, which has not answered yet. If the message does not change soon, press again.\n\
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

/// What a hostile or careless configuration could bring.
fn hostile() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "<b>",
        "</b>",
        "&lt;",
        "&",
        "<a href=\"tg://user?id=1\">",
        "\u{202e}",
        "\u{2066}",
        "\u{2069}",
        "\u{200b}",
        "\n",
        "\r\n",
        "\u{2028}",
        "\0",
        "\u{1b}[2J",
        "e\u{301}\u{301}\u{301}\u{301}",
        "😀",
        "👩\u{200d}👩\u{200d}👧",
        "שלום",
        "مرحبا",
        "cp-1",
        " · code A1B2",
        "\u{feff}",
        "\u{e0041}",
    ]);
    prop_oneof![
        any::<String>(),
        prop::collection::vec(nasty.clone(), 0..30).prop_map(|parts| parts.concat()),
        (nasty, 0..600_usize).prop_map(|(part, times)| part.repeat(times)),
    ]
}

prop_compose! {
    fn any_ask()(
        texts in prop::collection::vec(hostile(), 6),
        voted in prop::collection::vec(hostile(), 0..20),
        warnings in prop::collection::vec(any::<i32>().prop_map(|warning| warning % 6), 0..10),
        numbers in any::<[i64; 3]>(),
        counts in any::<[u32; 4]>(),
        (operation, origin, tls, has_node) in (0..4, 0..5, any::<bool>(), any::<bool>()),
    ) -> v1::Ask {
        let text = |at: usize| texts[at].clone();
        v1::Ask {
            id: vec![],
            code: "K7Q2".to_owned(),
            operation,
            node: has_node.then(|| v1::Node { uuid: text(0), name: text(1), cluster: text(2) }),
            address: text(3),
            origin,
            tls,
            opened_at_ms: numbers[0],
            last_attempt_at_ms: numbers[1],
            attempts: counts[0],
            volumes: counts[1],
            warnings,
            votes_missing: counts[2],
            voted,
            last_approved_at_ms: numbers[2],
            last_approved_by: text(4),
            channels_missing: counts[3],
        }
    }
}

prop_compose! {
    fn any_closed()(
        ask in any_ask(),
        outcome in 0..6,
        (by, channel) in (hostile(), hostile()),
        at_ms in any::<i64>(),
        seconds in any::<[u32; 2]>(),
    ) -> v1::Closed {
        let [for_seconds, collectable_for_seconds] = seconds;
        v1::Closed { ask: Some(ask), outcome, by, channel, at_ms, for_seconds, collectable_for_seconds }
    }
}

/// A message that Telegram takes, and in which nothing foreign is more than text.
fn check(message: &Message) -> Result<String, TestCaseError> {
    let text = visible(message).map_err(TestCaseError::fail)?;
    for line in text.lines() {
        let mut isolated = false;
        for char in line.chars() {
            match char {
                '\u{2068}' if !isolated => isolated = true,
                '\u{2069}' if isolated => isolated = false,
                '\u{fe0f}' => {}
                '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{61c}'
                | '\u{2028}'
                | '\u{2029}' => return Err(TestCaseError::fail(format!("{char:?} in {line:?}"))),
                char => prop_assert!(!char.is_control(), "{:?}", line),
            }
        }
        prop_assert!(!isolated, "isolated to the end: {:?}", line);
    }
    Ok(text)
}

proptest! {
    #[test]
    fn any_ask_in_any_stage_is_a_message_whose_first_line_has_the_code(ask in any_ask(), closed in any_closed(), now: i64) {
        let mut releases = Releases::default();
        releases.add(&v1::Release { address: ask.address.clone(), ..v1::Release::default() });
        let stages =
            [Stage::Open(NONCE), Stage::Unreachable, Stage::Closed(&closed), Stage::AskedAgain, Stage::Forgotten];
        for stage in stages {
            let message = prompt(&Prompt { ask: &ask, stage, releases: &releases }, now, &Zone::utc());
            let text = check(&message)?;
            prop_assert!(first_line(&text).ends_with(" · code K7Q2"), "{}", text);
            prop_assert!(text.lines().count() <= 16, "no line more than there are facts: {}", text);
        }
        for waits in [true, false] {
            let text = check(&reminder(&ask, waits))?;
            prop_assert!(first_line(&text).ends_with(" · code K7Q2"), "{}", text);
        }
    }

    #[test]
    fn any_answer_is_one_line_of_at_most_200_characters(
        ask in any_ask(), closed in any_closed(), result in 0..9, choice in 0..4_usize, reason in hostile(), now: i64,
    ) {
        let choice = Choice::ALL[choice];
        let response = v1::VoteResponse { result, ask: Some(ask.clone()), closed: Some(closed.clone()) };
        let answers = [Answer::Voted(choice, &ask, &response), Answer::Closed(choice, &closed), Answer::Refused(&reason)];
        for answered in answers.map(|one| answer(&one, now, &Zone::utc())) {
            prop_assert!((1..=200).contains(&answered.text.encode_utf16().count()), "{:?}", answered);
            prop_assert!(!answered.text.contains(['\n', '\u{202e}', '\u{200b}']), "{:?}", answered);
        }
    }
}

proptest! {
    // Long lists of long texts take long to make up.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_list_is_a_message(asks in prop::collection::vec(any_ask(), 0..30), closed in prop::collection::vec(any_closed(), 0..16)) {
        let zone = Zone::utc();
        check(&pending(&asks.iter().collect::<Vec<_>>(), NOW, &zone))?;
        check(&history(&closed, NOW, &zone))?;
        let grants: Vec<_> = asks
            .iter()
            .map(|ask| v1::Grant {
                node: ask.node.clone(),
                address: ask.address.clone(),
                by: ask.voted.clone(),
                seconds_left: 60,
                ..v1::Grant::default()
            })
            .collect();
        let grants: Vec<_> = grants.iter().map(|grant| HeardGrant { grant, heard_at_ms: NOW }).collect();
        let refusals: Vec<_> = asks
            .iter()
            .map(|ask| v1::Refusal {
                node: ask.node.clone(),
                address: ask.address.clone(),
                kind: ask.operation,
                by: ask.last_approved_by.clone(),
                until_ms: NOW + 1,
            })
            .collect();
        let status = Status {
            bot_version: "0",
            server_version: Some(asks.first().map_or("", |ask| &ask.address)),
            since_ms: NOW,
            open: asks.len(),
            grants: &grants,
            refusals: &refusals,
            second_reader_since_ms: None,
        };
        check(&super::status(&status, NOW, &zone))?;
        for refusal in &refusals {
            check(&refused(refusal, NOW, &zone))?;
            check(&lifted(&v1::Lifted { refusal: Some(refusal.clone()), by: refusal.by.clone() }))?;
            let notice = v1::Notice {
                kind: refusal.kind,
                node: refusal.node.clone(),
                address: refusal.address.clone(),
                count: u64::MAX,
                at_ms: NOW,
            };
            check(&super::notice(&notice, NOW, &zone))?;
        }
    }
}
