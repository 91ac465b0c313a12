use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// One entry of each event, every text made of `text`, every list longer than allowed, every number as long as can be.
pub(in crate::audit) fn every_entry(text: &str) -> Vec<Entry> {
    let (name, detail, time) = (Name::new(text), Detail::new(text), WallTime::from_unix_millis(i64::MAX));
    let address: IpAddr = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().expect("an address");
    let network = "2001:db8:ffff:ffff::/64".parse().expect("a network");
    let node = Node { uuid: name.clone(), name: name.clone() };
    let ask = Ask { id: name.clone(), code: name.clone() };
    let approvers: Names = std::iter::repeat_n(text, 100).collect();
    let origin = Origin::OtherAddress { network };
    let until = time;
    vec![
        Started { server_version: name.clone(), installation: name.clone() }.into(),
        Stopped { reason: detail.clone() }.into(),
        AskOpened { ask: ask.clone(), operation: Operation::Unseal, node: node.clone(), address, origin, tls: false }
            .into(),
        Vote {
            ask: ask.clone(),
            node: node.clone(),
            verdict: Verdict::Approve,
            decided: false,
            approver: name.clone(),
            channel: name.clone(),
            uid: u32::MAX,
            telegram_id: Some(i64::MIN),
            for_seconds: Some(u32::MAX),
        }
        .into(),
        AskClosed {
            ask: ask.clone(),
            node: node.clone(),
            address,
            outcome: AskOutcome::Approved,
            by: Some(name.clone()),
            channel: Some(name.clone()),
            attempts: u64::MAX,
            volumes: u64::MAX,
            until: Some(until),
        }
        .into(),
        Released {
            operation: Operation::Unseal,
            node: node.clone(),
            address,
            origin,
            tls: false,
            ask: Some(ask.clone()),
            rule: RuleAction::Granted,
            approvers: approvers.clone(),
            blob: name.clone(),
            key: name.clone(),
        }
        .into(),
        ReleaseFailed {
            operation: Operation::Unseal,
            node: node.clone(),
            address,
            ask: Some(ask.clone()),
            rule: RuleAction::Granted,
            approvers: approvers.clone(),
            blob: Some(name.clone()),
            reason: detail.clone(),
        }
        .into(),
        Refused {
            address,
            node: Some(name.clone()),
            reason: Reason::TooManyCalls,
            count: u64::MAX,
            from: time,
            to: time,
        }
        .into(),
        RefusalSet {
            kind: RefusalKind::Denial,
            node: node.clone(),
            origin: Some(origin),
            by: name.clone(),
            channel: name.clone(),
            until,
            ask: Some(ask.clone()),
        }
        .into(),
        RefusalLifted {
            kind: RefusalKind::Block,
            node: node.clone(),
            origin: Some(Origin::Listed),
            by: name.clone(),
            channel: name.clone(),
        }
        .into(),
        StateSaved { generation: u64::MAX }.into(),
        Dropped { count: u64::MAX, from: time, to: time }.into(),
        Repaired { cut_bytes: u64::MAX, cut_text: detail, damaged_lines: u64::MAX }.into(),
    ]
    .into_iter()
    .chain(beyond_one_ask(&name, &node, &ask, &approvers))
    .collect()
}

fn beyond_one_ask(name: &Name, node: &Node, ask: &Ask, names: &Names) -> Vec<Entry> {
    let address: IpAddr = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().expect("an address");
    let origin = Origin::OtherAddress { network: "2001:db8:ffff:ffff::/64".parse().expect("a network") };
    let until = WallTime::from_unix_millis(i64::MAX);
    let (name, node, ask, names) = (|| name.clone(), || node.clone(), || ask.clone(), || names.clone());
    let (uid, telegram_id) = (u32::MAX, Some(i64::MIN));
    let (change, addresses, formerly) = (ListChange::Forgotten, names(), names());
    let changed = NodeListChanged {
        change,
        node: node(),
        cluster: Some(name()),
        addresses,
        formerly,
        by: name(),
        channel: name(),
        uid,
        telegram_id,
    };
    let NodeListChanged { change, node: proposed, cluster, addresses, formerly, by, channel, .. } = changed.clone();
    let for_seconds = u32::MAX;
    vec![
        EnrolmentOpened { ask: ask(), operation: Operation::Unseal, node: node(), address, tls: false }.into(),
        EnrolmentClosed {
            ask: ask(),
            node: node(),
            address,
            outcome: AskOutcome::Approved,
            by: Some(name()),
            channel: Some(name()),
            attempts: u64::MAX,
        }
        .into(),
        changed.into(),
        NodeListProposed { change, node: proposed, cluster, addresses, formerly, by, channel, uid, telegram_id }.into(),
        GrantProposed {
            node: node(),
            origin,
            for_seconds,
            uses: u32::MAX,
            approver: name(),
            channel: name(),
            uid,
            telegram_id,
        }
        .into(),
        GrantSet {
            grant: ask(),
            node: node(),
            origin,
            approvers: names(),
            until,
            uses: u32::MAX,
            by: name(),
            channel: name(),
            uid,
            telegram_id,
        }
        .into(),
        GrantRevoked { grant: ask(), node: node(), by: name(), channel: name() }.into(),
        Locked { reason: LockReason::OlderState, by: Some(name()), channel: Some(name()) }.into(),
        Unlocked { by: name(), channel: name(), uid }.into(),
    ]
}

fn record(entry: impl Into<Entry>) -> Record {
    Record { seq: 7, time: WallTime::from_unix_millis(1_795_419_608_123), entry: entry.into() }
}

fn line(entry: impl Into<Entry>) -> String {
    String::from_utf8(record(entry).line().expect("a record can be written")).expect("ASCII")
}

#[test]
fn header_is_as_specified() {
    let header = header(WallTime::from_unix_millis(1_795_419_608_123));
    let expected = r#"{"format":"nightlatch-audit","version":1,"created":"2026-11-23T07:40:08.123Z"}"#;
    assert_eq!(header, format!("{expected}\n"));
}

#[test]
fn released_is_as_specified() {
    let released = Released {
        operation: Operation::Unseal,
        node: Node { uuid: "12345678-9abc-4def-8123-456789abcdef".into(), name: "cp-1".into() },
        address: "192.0.2.11".parse().expect("an address"),
        origin: Origin::PerAddress { network: "192.0.2.11/32".parse().expect("a network") },
        tls: true,
        ask: Some(Ask { id: "00112233445566778899aabbccddeeff".into(), code: "K7Q2".into() }),
        rule: RuleAction::Ask,
        approvers: ["alice"].into_iter().collect(),
        blob: "ba7816bf8f01cfea414140de5dae2223".into(),
        key: "0123456789abcdef".into(),
    };
    let expected = concat!(
        r#"{"seq":7,"time":"2026-11-23T07:40:08.123Z","event":"released","operation":"unseal","#,
        r#""node":{"uuid":"12345678-9abc-4def-8123-456789abcdef","name":"cp-1"},"address":"192.0.2.11","#,
        r#""origin":{"kind":"per-address","network":"192.0.2.11/32"},"tls":true,"#,
        r#""ask":{"id":"00112233445566778899aabbccddeeff","code":"K7Q2"},"rule":"ask","approvers":["alice"],"#,
        r#""blob":"ba7816bf8f01cfea414140de5dae2223","key":"0123456789abcdef"}"#,
        "\n"
    );
    assert_eq!(line(released), expected);
}

#[test]
fn what_is_not_known_is_null() {
    let address = "192.0.2.1".parse().expect("an address");
    let at = WallTime::from_unix_millis(0);
    let refused = Refused { address, node: None, reason: Reason::Network, count: 2, from: at, to: at };
    assert!(line(refused).contains(r#""node":null,"reason":"network","count":2,"from":"1970-01-01T00:00:00.000Z""#));
}

#[test]
fn events_and_fields_are_those_of_the_specification() {
    let page = include_str!("../../../docs/spec/audit-log.md");
    for entry in every_entry("x") {
        let value: Value = serde_json::from_str(&line(entry)).expect("JSON");
        let object = value.as_object().expect("an object");
        let event = object["event"].as_str().expect("a word");
        let start = page.find(&format!("\n`{event}`:")).unwrap_or_else(|| panic!("{event} is not specified"));
        let paragraph = page[start + 1..].split("\n\n").next().expect("a paragraph").replace('\n', " ");
        for field in object.keys().filter(|field| !["seq", "time", "event"].contains(&field.as_str())) {
            assert!(paragraph.contains(&format!("`{field}` ")), "{event}: {field} is not specified");
        }
        let specified = paragraph.split_once(": ").expect("a list").1.split(" · ").count();
        assert_eq!(specified, object.len() - 3, "{event}: {paragraph}");
    }
    for reason in Reason::ALL {
        assert!(page.contains(&format!("`{}`", reason.as_str())), "{}", reason.as_str());
        assert_eq!(serde_json::to_value(reason).expect("a word"), reason.as_str());
    }
}

#[test]
fn no_line_is_longer_than_allowed() {
    for hostile in ["x", "\"", "\0", "\u{7f}", "\u{202e}", "\u{1F512}"] {
        for entry in every_entry(&hostile.repeat(10_000)) {
            let record = Record { seq: MAX_SEQ, time: WallTime::from_unix_millis(i64::MAX), entry };
            let line = record.line().expect("a record can be written");
            assert!(line.len() <= MAX_LINE_LEN, "{} bytes: {record:?}", line.len());
        }
    }
}

#[test]
fn unknown_fields_and_events_are_refused() {
    let at = r#"{"seq":1,"time":"2026-11-23T07:40:08.123Z","event":"#;
    assert!(Record::parse(format!("{at}\"state-saved\",\"generation\":1}}").as_bytes()).is_ok());
    assert!(Record::parse(format!("{at}\"state-saved\",\"generation\":1,\"x\":1}}").as_bytes()).is_err());
    assert!(Record::parse(format!("{at}\"state-saved\"}}").as_bytes()).is_err());
    assert!(Record::parse(format!("{at}\"state-lost\",\"generation\":1}}").as_bytes()).is_err());
}

#[test]
fn names_cannot_break_lines_or_turn_text() {
    let line = line(Stopped { reason: "a\nb\"c\\\u{202e}\u{2028}\u{85}\u{7f}\u{1b}[2J \u{e4} \u{1F512}".into() });
    let expected = r#""reason":"a\nb\"c\\\u202e\u2028\u0085\u007f\u001b[2J \u00e4 \ud83d\udd12"}"#;
    assert!(line.trim_end().ends_with(expected), "{line}");
    assert_eq!(line.matches('\n').count(), 1);
}

#[test]
fn endless_times_are_the_last_that_can_be_told() {
    let at = WallTime::from_unix_millis(i64::MAX);
    let line = line(Dropped { count: 1, from: at, to: at });
    assert!(line.contains(r#""to":"9999-12-30T22:00:00.000Z""#), "{line}");
}

proptest! {
    #[test]
    fn lines_read_back_as_they_were(text in any::<String>(), seq in 1..=MAX_SEQ, millis in 0..=253_402_207_200_000_i64) {
        for entry in every_entry(&text) {
            let record = Record { seq, time: WallTime::from_unix_millis(millis), entry };
            let line = record.line().expect("a record can be written");
            prop_assert!(line.len() <= MAX_LINE_LEN);
            prop_assert!(line.iter().rev().skip(1).all(|byte| (b' '..=b'~').contains(byte)));
            let back = Record::parse(&line).expect("it reads back");
            prop_assert_eq!(back.line().expect("a record can be written"), line);
            prop_assert_eq!((back.seq, back.time), (record.seq, record.time));
            // Times past what RFC 3339 can tell are the one thing that does not come back as it was.
            prop_assert_eq!(back.entry, told(record.entry));
        }
    }

    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512), whole: bool) {
        drop(Record::parse(&bytes));
        drop(crate::audit::tail::Tail::read(&bytes, whole));
    }
}

/// `entry` with its times as they are told.
fn told(mut entry: Entry) -> Entry {
    match &mut entry {
        Entry::AskClosed(AskClosed { until: Some(until), .. })
        | Entry::RefusalSet(RefusalSet { until, .. })
        | Entry::GrantSet(GrantSet { until, .. }) => {
            *until = time::shown(*until);
        }
        Entry::Refused(Refused { from, to, .. }) | Entry::Dropped(Dropped { from, to, .. }) => {
            (*from, *to) = (time::shown(*from), time::shown(*to));
        }
        _ => {}
    }
    entry
}
