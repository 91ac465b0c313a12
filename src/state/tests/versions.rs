//! Which bytes are a state, by version.

use super::*;
use crate::peer::standing::{
    MAX_ENTRY_ADDRESSES, MAX_ENTRY_FORMERLY, MAX_GRANTS_AHEAD, MAX_KEPT_VOTES, MAX_NODE_ENTRIES,
};

#[test]
fn newer_version_is_told_from_damage() {
    let newer = sealed("nightlatch-state 3 whatever comes\nthen\n");
    assert_eq!(read(&newer, HOME), Err(Unreadable::Newer { version: 3 }));
    let damaged = [&newer[..30], b"!", &newer[31..]].concat();
    assert!(matches!(read(&damaged, HOME), Err(Unreadable::Damaged(_))));
}

#[test]
fn what_version_1_would_not_write_is_refused_whatever_its_digest() {
    let id = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21";
    let good = format!("nightlatch-state 1 {id} 2\n{{\"refusals\":[],\"approvals\":[]}}\n");
    assert!(read(&sealed(&good), HOME).is_ok());
    let refusal = r#"{"node":"n","origin":null,"kind":"block","by":"a","channel":"c","at":1,"until":2}"#;
    let with = |refusal: &str| good.replace("\"refusals\":[]", &format!("\"refusals\":[{refusal}]"));
    assert!(read(&sealed(&with(refusal)), HOME).is_ok());
    for bad in [
        good.replace(" 2\n", " 0\n"),
        good.replace(" 2\n", " 02\n"),
        good.replace(" 2\n", " +2\n"),
        good.replace(" 2\n", " 2 \n"),
        good.replace(" 2\n", "\n"),
        good.replace(id, &id.to_uppercase()),
        good.replace(id, "x"),
        good.replace("nightlatch-state", "nightlatch-audit"),
        good.replace(" 1 ", " 01 "),
        good.replace("\"refusals\":[],", ""),
        good.replace("[]}", "[] }"),
        good.replace("[]}", "[],\"more\":1}"),
        good.replace("[]}", "[]}\n"),
        good.replace("{\"refusals\":[],\"approvals\":[]}", "{\"approvals\":[],\"refusals\":[]}"),
        good.replace("{\"refusals\":[],", "{\"refusals\":[],\"refusals\":[],"),
        with(&refusal.replace("\"block\"", "\"lock\"")),
        with(&refusal.replace("\"until\"", "\"til\"")),
        with(&refusal.replace("\"n\"", "\"a b\"")),
        with(&refusal.replace("\"n\"", "\"9F8B7C3E-2F4D-4A1B-8C6E-5D0F9A7B3C21\"")),
        with(&refusal.replace("\"origin\":null,", "")),
        with(&refusal.replace("null", r#"{"kind":"listed","network":"192.0.2.1/32"}"#)),
        with(&refusal.replace("null", r#"{"kind":"per-address","network":"192.0.2.1/24"}"#)),
        with(&refusal.replace("null", r#"{"kind":"per-address"}"#)),
        with(&refusal.replace("\"by\":\"a\"", &format!("\"by\":\"{}\"", "a".repeat(257)))),
        with(&refusal.replace("\"by\":\"a\"", "\"by\":\"\\u0061\"")),
        with(&vec![refusal; MAX_REFUSALS + 1].join(",")),
    ] {
        let shown: String = bad.chars().take(300).collect();
        let result = read(&sealed(&bad), HOME);
        let newer = bad.contains(" 01 ");
        assert_eq!(matches!(result, Err(Unreadable::Newer { version: 1 })), newer, "{shown}");
        assert!(newer || matches!(result, Err(Unreadable::Damaged(_))), "{shown}");
    }
}

/// Bytes that a nightlatch of before version 2 wrote.
#[test]
fn version_1_is_read_and_the_next_save_writes_version_2() {
    let (_directory, path) = directory();
    drop(Store::create(&path, HOME).expect("a new state"));
    let old = Standing { lock: None, grants: vec![], nodes: vec![], ..standing() };
    let body = concat!(
        r#"{"refusals":[{"node":"12345678-9abc-4def-8123-456789abcdef","origin":null,"kind":"block","by":"alice","#,
        r#""channel":"telegram","at":1795419608123,"until":1795423208123},"#,
        r#"{"node":"worker-2","origin":{"kind":"other-address","network":"192.0.2.12/32"},"kind":"denial","by":"alice","#,
        r#""channel":"telegram","at":1795419608123,"until":1795423208123}],"#,
        r#""approvals":[{"node":"cp-1","origin":{"kind":"listed"},"by":"alice","at":5},"#,
        r#"{"node":"cp-1","origin":{"kind":"per-address","network":"2001:db8::/64"},"by":"alice","at":5}]}"#,
    );
    let bytes = sealed(&format!("nightlatch-state 1 {HOME} 7\n{body}\n"));
    fs::write(path.join("state"), &bytes).expect("it can be written");
    assert_eq!(read(&bytes, HOME), Ok((Generation(7), old.clone())));
    let (mut store, found) = Store::open(&path, HOME).expect("it is read");
    assert_eq!((&found, store.generation()), (&old, Generation(7)));
    assert_eq!(fs::read(path.join("state")).expect("it is there"), bytes, "reading changes nothing");
    store.save(&found).expect("the disk works");
    let migrated = fs::read(path.join("state")).expect("it is there");
    let expected = body.strip_suffix('}').expect("an object").to_owned() + r#","lock":null,"grants":[],"nodes":[]}"#;
    assert_eq!(migrated, sealed(&format!("nightlatch-state 2 {HOME} 8\n{expected}\n")));
    assert_eq!(read(&migrated, HOME), Ok((Generation(8), old)));
}

/// Header and body of a state of version 2 with one of everything.
fn good() -> String {
    let good = String::from_utf8(format::write(Generation(2), HOME, &standing()).expect("fine")).expect("UTF-8");
    good.rsplit_once("sha256 ").expect("a digest").0.to_owned()
}

/// [`good`] with one thing changed.
fn replace(from: &str, to: &str) -> String {
    assert!(good().contains(from), "{from}");
    good().replacen(from, to, 1)
}

#[track_caller]
fn assert_damaged(text: &str) {
    let shown: String = text.chars().take(2500).collect();
    assert!(matches!(read(&sealed(text), HOME), Err(Unreadable::Damaged(_))), "{shown}");
}

#[track_caller]
fn assert_read(text: &str) {
    let shown: String = text.chars().take(2500).collect();
    assert!(read(&sealed(text), HOME).is_ok(), "{shown}");
}

#[test]
fn locks_and_grants_that_a_save_would_not_write_are_refused_whatever_the_digest() {
    let good = good();
    let between =
        |from: &str, to: &str| good.split_once(from).and_then(|(_, rest)| rest.split_once(to)).expect("both").0;
    let grant = between("\"grants\":[", "],\"nodes\"");
    let votes = between("\"votes\":", ",\"at\":1795419608123,\"until\":1795421408123,\"uses");
    let other_id = grant.replace("a7a7a7a7", "a7a7a7a6");
    let vote = r#"{"approver":"bob","channel":"cli","uid":1001,"telegram_id":-5}"#;
    let listed = "\"01010101010101010101010101010101\",\"origin\":{\"kind\":\"listed\"}";
    let person = "{\"kind\":\"person\",\"approver\":\"alice\",\"channel\":\"telegram\"}";
    for fine in [
        good.clone(),
        replace(person, "{\"kind\":\"older-state\"}"),
        replace(grant, &format!("{grant},{}", other_id.replace("\"node\":\"cp-1\"", "\"node\":\"cp-2\""))),
        replace(grant, ""),
        replace(votes, &format!("[{}]", vec![vote; MAX_KEPT_VOTES].join(","))),
    ] {
        assert_read(&fine);
    }
    for bad in [
        replace(" 2 9f8b", " 1 9f8b"),
        replace("\"lock\":", "\"bolt\":"),
        replace("\"lock\":{", "\"lock\":null,\"lock\":{"),
        replace(person, "{\"kind\":\"older-state\",\"approver\":\"alice\"}"),
        replace("{\"kind\":\"person\",\"approver\":\"alice\",", "{\"kind\":\"person\","),
        replace("\"kind\":\"person\"", "\"kind\":\"nobody\""),
        replace("a7a7a7a7", "A7A7A7A7"),
        replace("a7a7a7a7", "a7a7a7"),
        replace("a7a7a7a7", "a7a7a7a7a7"),
        replace("\"a7", "\"+7"),
        replace("\"code\":1234", "\"code\":65536"),
        replace("\"code\":1234", "\"code\":-1"),
        replace("\"uses_left\":8", "\"uses_left\":8.0"),
        replace("\"uses_left\":8", "\"uses_left\":4294967296"),
        replace("\"uses_left\":8", "\"uses_left\":8,\"more\":1"),
        replace(listed, "\"01010101010101010101010101010101\",\"origin\":null"),
        replace(votes, "[]"),
        replace(votes, &format!("[{}]", vec![vote; MAX_KEPT_VOTES + 1].join(","))),
        replace("\"uid\":null", "\"uid\":-1"),
        replace("\"uid\":null,", ""),
        replace(grant, &format!("{grant},{grant}")),
        replace(grant, &format!("{grant},{other_id}")),
        replace(grant, &format!("{grant},{}", grant.replace("cp-1", "cp-2"))),
    ] {
        assert_damaged(&bad);
    }
}

#[test]
fn nodes_that_a_save_would_not_write_are_refused_whatever_the_digest() {
    let node = r#"{"uuid":"n5","name":"new-n5","cluster":null,"addresses":[],"formerly":[],"by":"alice","channel":"cli","at":6}"#;
    let many = |count| (0..count).map(|n| node.replace("n5", &format!("n{n}"))).collect::<Vec<_>>().join(",");
    let addresses = |count| format!("[{}]", vec!["\"192.0.2.14/32\""; count].join(","));
    let formerly = |count| format!("[{}]", (0..count).map(|n| format!("\"f{n}\"")).collect::<Vec<_>>().join(","));
    let two_addresses = "[\"192.0.2.14/32\",\"2001:db8::/64\"]";
    for fine in [
        replace(two_addresses, &addresses(MAX_ENTRY_ADDRESSES)),
        replace("[\"old\"]", &formerly(MAX_ENTRY_FORMERLY)),
        replace(node, &many(MAX_NODE_ENTRIES - 1)),
    ] {
        assert_read(&fine);
    }
    for bad in [
        replace("\"uuid\":\"n5\"", "\"uuid\":\"44444444-9abc-4def-8123-456789abcdef\""),
        replace("\"uuid\":\"n5\"", "\"uuid\":\"old\""),
        replace("\"uuid\":\"n5\"", "\"uuid\":\"44444444-9ABC-4DEF-8123-456789ABCDE0\""),
        replace("\"uuid\":\"n5\"", "\"uuid\":\"n 5\""),
        replace("\"old\"", "\"old\",\"old\""),
        replace("\"old\"", "\"44444444-9abc-4def-8123-456789abcdef\""),
        replace("\"new-n5\"", "\"cp-4\""),
        replace("\"new-n5\"", "\"\""),
        replace("\"new-n5\"", &format!("\"{}\"", "x".repeat(257))),
        replace("\"home\"", "\"\""),
        replace("\"home\"", &format!("\"{}\"", "x".repeat(257))),
        replace("\"192.0.2.14/32\"", "\"192.0.2.14/24\""),
        replace("\"192.0.2.14/32\"", "\"192.0.2.14\""),
        replace("\"2001:db8::/64\"],", "\"2001:DB8::/64\"],"),
        replace(two_addresses, &addresses(MAX_ENTRY_ADDRESSES + 1)),
        replace("[\"old\"]", &formerly(MAX_ENTRY_FORMERLY + 1)),
        replace("\"formerly\":[]", "\"formerly\":[],\"bind_address\":true"),
        replace(node, &many(MAX_NODE_ENTRIES)),
    ] {
        assert_damaged(&bad);
    }
}

#[test]
fn what_could_not_be_read_back_is_not_saved() {
    let (_directory, path) = directory();
    let (mut store, _) = Store::create(&path, HOME).expect("a new state");
    let before = fs::read(path.join("state")).expect("it is there");
    let grants = |count: usize| {
        let grant = |number: usize| GrantAhead {
            id: (number as u128).to_be_bytes(),
            ..grant(&format!("n{number}"), Origin::Listed)
        };
        (0..count).map(grant).collect::<Vec<_>>()
    };
    let nodes = |count: usize| {
        (0..count).map(|number| entry(&format!("n{number}"), &format!("node {number}"))).collect::<Vec<_>>()
    };
    let changed_grant = |change: &dyn Fn(&mut GrantAhead)| {
        let mut grants = grants(2);
        change(&mut grants[1]);
        Standing { grants, ..Standing::default() }
    };
    let changed_node = |change: &dyn Fn(&mut Node)| {
        let mut nodes = nodes(2);
        change(&mut nodes[1].node);
        Standing { nodes, ..Standing::default() }
    };
    let network = |text: &str| text.parse::<ipnet::IpNet>().expect("a network");
    let votes = |count| vec![grant("n", Origin::Listed).votes[0].clone(); count];
    for (standing, expected) in [
        (Standing { grants: grants(MAX_GRANTS_AHEAD + 1), ..Standing::default() }, Unwritable::TooManyGrants),
        (Standing { nodes: nodes(MAX_NODE_ENTRIES + 1), ..Standing::default() }, Unwritable::TooManyNodes),
        (changed_grant(&|grant| grant.id = [0; 16]), Unwritable::GrantTwice),
        (changed_grant(&|grant| grant.node = NodeUuid::parse("n0").expect("printable")), Unwritable::GrantTwice),
        (changed_grant(&|grant| grant.votes.clear()), Unwritable::Votes),
        (changed_grant(&|grant| grant.votes = votes(MAX_KEPT_VOTES + 1)), Unwritable::Votes),
        (changed_grant(&|grant| grant.votes[0].approver = "x".repeat(257).into()), Unwritable::Name),
        (changed_grant(&|grant| grant.origin = Origin::PerAddress(network("192.0.2.1/24"))), Unwritable::Network),
        (changed_node(&|node| node.name = "node 0".into()), Unwritable::NodeTwice),
        (changed_node(&|node| node.formerly = vec![NodeUuid::parse("n0").expect("printable")]), Unwritable::NodeTwice),
        (changed_node(&|node| node.addresses = vec![network("192.0.2.1/24")]), Unwritable::Network),
        (changed_node(&|node| node.addresses = vec![network("192.0.2.1/32"); 65]), Unwritable::NodeTooLong),
        (changed_node(&|node| node.cluster = Some("".into())), Unwritable::Name),
        (changed_node(&|node| node.bind_address = true), Unwritable::NotListedByPeople),
        (changed_node(&|node| node.listed_by = ListedBy::Configuration), Unwritable::NotListedByPeople),
    ] {
        let error = store.save(&standing).expect_err("it could not be read back");
        assert!(matches!(error, Error::Unwritable(found) if found == expected), "{error:?} {expected:?}");
        assert_eq!(fs::read(path.join("state")).expect("it is there"), before);
    }
    let full = Standing { grants: grants(MAX_GRANTS_AHEAD), nodes: nodes(MAX_NODE_ENTRIES), ..Standing::default() };
    store.save(&full).expect("as many of both as there may be, with short names");
    drop(store);
    assert_eq!(Store::open(&path, HOME).expect("it is whole").1, full);
}

/// What people allowed cannot take the space that a block needs, and what is only shown gives way to both.
#[test]
fn there_is_room_for_denials_and_blocks_whatever_else_there_is() {
    let long = |number: usize| {
        let mut entry = entry(&format!("{number:064}"), &format!("{number:0256}"));
        entry.node.addresses = vec!["2001:db8:1111:2222:3333:4444:5555:6666/128".parse().expect("a network"); 3];
        entry
    };
    let mut standing = Standing { nodes: (0..4096).map(long).collect(), ..Standing::default() };
    let written = |standing: &Standing| format::write(Generation(2), HOME, standing);
    assert!(matches!(written(&standing), Err(Unwritable::TooMuchAllowed)));
    standing.nodes.truncate(3400);
    assert!(written(&standing).is_ok());
    let (node, name) = ("x".repeat(64), "y".repeat(64));
    standing.refusals =
        vec![
            Refusal { by: (&*name).into(), channel: name[..32].into(), ..refusal(&node, RefusalKind::Block) };
            MAX_REFUSALS
        ];
    let approval = |number: i64| LastApproval {
        node: NodeUuid::parse(&node).expect("printable"),
        origin: Origin::Listed,
        by: "z".repeat(256).into(),
        at: WallTime::from_unix_millis(number),
    };
    standing.approvals = (0..4096).rev().map(approval).collect();
    let bytes = written(&standing).expect("last approvals give way");
    let (_, read) = read(&bytes, HOME).expect("it is whole");
    assert_eq!((&read.refusals, &read.nodes), (&standing.refusals, &standing.nodes));
    assert!(
        !read.approvals.is_empty() && read.approvals == standing.approvals[..read.approvals.len()],
        "the newest are kept"
    );
}
