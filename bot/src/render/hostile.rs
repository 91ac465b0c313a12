//! What holds for every message, whatever the server says.

use proptest::prelude::*;

use super::markup::visible;
use super::tests::{NONCE, NOW, first_line};
use super::*;

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
            purpose: operation,
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
            lock: None,
            bot_version: "0",
            server: Whereabouts::Here(asks.first().map_or("", |ask| &ask.address)),
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
