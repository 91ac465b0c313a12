//! Approvals ahead, the lock, and machines that are not listed.

use super::*;

fn alice() -> World {
    World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1)]))
}

fn lock(by: &str) -> v1::Lock {
    v1::Lock { by: by.to_owned(), reason: v1::LockReason::Person.into(), ..v1::Lock::default() }
}

fn grant(number: u8) -> v1::Grant {
    v1::Grant {
        ask_id: vec![100 + number; 16],
        node: Some(node(number)),
        by: vec!["bob".to_owned()],
        uses_left: 8,
        seconds_left: 1_800,
        until_ms: i64::MAX,
        ahead: true,
        ..v1::Grant::default()
    }
}

/// What the last message of the chat says.
fn last(world: &World) -> String {
    let id = i32::try_from(world.count(with(ALICE))).expect("few");
    world.shown(with(ALICE), id).message.html.clone()
}

#[test]
fn grant_and_revoke_say_whose_how_long_and_how_often() {
    let mut world = alice();
    for (text, nodes, cluster, for_seconds, uses) in [
        ("/grant cp-1 30m 8 from 192.0.2.7", &["cp-1"][..], "", Some(1_800), Some(8)),
        ("/grant cp-1", &["cp-1"], "", None, None),
        ("/grant cp-1 30m", &["cp-1"], "", Some(1_800), None),
        ("/grant cp-1 30m 8", &["cp-1"], "", Some(1_800), Some(8)),
        ("/grant rack 2 30m 8", &["rack 2"], "", Some(1_800), Some(8)),
        ("/grant rack 2", &["rack 2"], "", None, None),
        ("/grant cluster home 1h 20", &[], "home", Some(3_600), Some(20)),
    ] {
        world.say(ALICE, with(ALICE), text);
        let (ticket, request) = world.requests.pop_front().expect("a request");
        let meant = v1::GrantRequest {
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            cluster: cluster.to_owned(),
            telegram_id: Some(101),
            for_seconds,
            uses,
            address: text.split_once(" from ").map_or("", |(_, address)| address).to_owned(),
        };
        assert_eq!(request, Request::Grant(meant), "{text}");
        world.reply(ticket, Ok(Reply::Grant(v1::GrantResponse::default())));
    }
    use v1::revoke_request::What;
    for (text, what) in [
        ("/revoke cp-1", What::Node("cp-1".to_owned())),
        ("/revoke cluster home", What::Cluster("home".to_owned())),
        ("/revoke all", What::All(true)),
    ] {
        world.say(ALICE, with(ALICE), text);
        let (ticket, request) = world.requests.pop_front().expect("a request");
        let meant = v1::RevokeRequest { what: Some(what), telegram_id: Some(101) };
        assert_eq!(request, Request::Revoke(meant), "{text}");
        world.reply(ticket, Ok(Reply::Revoke(v1::RevokeResponse::default())));
    }
    world.wait(seconds(60));
    world.say(ALICE, with(ALICE), "/grant");
    world.say(ALICE, with(ALICE), "/grant all");
    assert!(world.requests.is_empty(), "nobody approves everything ahead by a slip");
}

#[test]
fn who_commanded_is_answered_and_the_others_are_told() {
    let mut world = World::connected(settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 1)]));
    world.say(ALICE, with(ALICE), "/grant cp-1 30m 8");
    let (ticket, _) = world.requests.pop_front().expect("a request");
    world.event(Event::Granted(grant(1)));
    let result = v1::GrantResult {
        node: Some(node(1)),
        outcome: v1::GrantOutcome::Granted.into(),
        grant: Some(grant(1)),
        ..v1::GrantResult::default()
    };
    world.reply(ticket, Ok(Reply::Grant(v1::GrantResponse { results: vec![result] })));
    world.wait(seconds(10));
    assert_eq!((world.count(with(ALICE)), world.count(with(BOB))), (1, 1));
    assert!(last(&world).contains("/revoke cp-1"), "{}", last(&world));
    world.event(Event::Revoked(v1::Revoked { ended: vec![grant(1)], by: "bob".to_owned(), ..v1::Revoked::default() }));
    world.wait(seconds(20));
    assert_eq!(world.count(with(BOB)), 2);
    let wanted = v1::Proposal { node: Some(node(1)), ..v1::Proposal::default() };
    let withdrawn = v1::Revoked { withdrawn: vec![wanted], by: "bob".to_owned(), ..v1::Revoked::default() };
    world.event(Event::Revoked(withdrawn));
    world.wait(seconds(20));
    assert_eq!(world.count(with(BOB)), 3, "who was asked to agree is told that nobody has to");
    assert!(last(&world).contains("ahead any more"), "{}", last(&world));
}

#[test]
fn a_lock_is_said_twice_and_told_once() {
    let mut world = alice();
    world.say(ALICE, with(ALICE), "/lock");
    assert!(world.requests.is_empty(), "a touch of the menu locks nothing");
    assert!(last(&world).contains("/lock now"));
    world.say(ALICE, with(ALICE), "/lock now");
    let (ticket, request) = world.requests.pop_front().expect("a request");
    assert_eq!(request, Request::Lock(v1::LockRequest { telegram_id: Some(101) }));
    world.event(Event::Locked(lock("alice")));
    world.reply(ticket, Ok(Reply::Lock(v1::LockResponse { lock: Some(lock("alice")), repeated: false })));
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 2, "how to, and that it is so");
    assert!(last(&world).contains("LOCKED by alice"));
    let snapshot = || v1::Snapshot { lock: Some(lock("alice")), ..World::snapshot(&[]) };
    world.take(Input::Server(Box::new(Update::Connected(snapshot()))));
    world.wait(seconds(10));
    assert_eq!(world.count(with(ALICE)), 2, "not again after each connection");

    world.say(ALICE, with(ALICE), "/status");
    let (ticket, _) = world.requests.pop_front().expect("a look");
    world.reply(ticket, Ok(Reply::Look(Box::new(snapshot()))));
    assert!(last(&world).contains("LOCKED by alice") && !last(&world).contains("All is well"), "{}", last(&world));
    world.say(ALICE, with(ALICE), "/unlock");
    assert!(last(&world).contains("nightlatch unlock") && world.requests.is_empty());
    world.event(Event::Unlocked(v1::Unlocked { by: "bob".to_owned() }));
    world.wait(seconds(10));
    assert!(last(&world).contains("Unlocked by bob"));
}

#[test]
fn a_lock_that_came_after_the_look_is_shown() {
    let mut world = alice();
    world.say(ALICE, with(ALICE), "/status");
    let (ticket, _) = world.requests.pop_front().expect("a look");
    world.event(Event::Locked(lock("bob")));
    world.reply(ticket, Ok(Reply::Look(Box::new(World::snapshot(&[])))));
    world.wait(seconds(10));
    assert!(last(&world).contains("LOCKED by bob") && last(&world).contains("No question"), "{}", last(&world));
}

#[test]
fn a_lock_from_while_nobody_listened_is_told() {
    let mut world = alice();
    world.lose_server();
    let older = v1::Lock { reason: v1::LockReason::OlderState.into(), ..v1::Lock::default() };
    let snapshot = v1::Snapshot { lock: Some(older), ..World::snapshot(&[]) };
    world.take(Input::Server(Box::new(Update::Connected(snapshot))));
    world.wait(seconds(10));
    assert!(last(&world).contains("older copy of its state"), "{}", last(&world));
}

fn unlisted() -> v1::Ask {
    let mut ask = ask(7);
    ask.purpose = v1::Purpose::Enrolment.into();
    ask.operation = v1::Operation::Seal.into();
    ask
}

#[test]
fn a_machine_that_is_not_listed_is_asked_about_in_other_words_and_answered_like_any_ask() {
    let mut world = alice();
    world.event(Event::EnrolmentOpened(unlisted()));
    world.wait(seconds(5));
    let shown = &world.shown(with(ALICE), 1).message;
    assert!(shown.html.contains("NOT LISTED") && !shown.html.contains("wants to unlock"), "{}", shown.html);
    assert!(shown.buttons.iter().flatten().all(|button| !button.label.contains("Approve")), "{:?}", shown.buttons);
    world.press(ALICE, with(ALICE), 1, Choice::Approve);
    let (ticket, vote) = world.vote().expect("a vote");
    assert_eq!((vote.verdict(), vote.ask_id), (v1::Verdict::Approve, unlisted().id));
    let closed = v1::Closed { ask: Some(unlisted()), ..closed(7, v1::Outcome::Approved, "alice") };
    world.event(Event::EnrolmentClosed(closed.clone()));
    let response = v1::VoteResponse {
        result: v1::VoteResult::Decided.into(),
        closed: Some(closed),
        ..v1::VoteResponse::default()
    };
    world.reply(ticket, Ok(Reply::Vote(Box::new(response))));
    world.wait(seconds(5));
    assert!(world.last_answer().contains("listed now"), "{}", world.last_answer());
    let after = &world.shown(with(ALICE), 1).message;
    assert!(after.html.contains("added by alice") && after.buttons.is_empty(), "{}", after.html);
}

#[test]
fn an_unlisted_machine_of_a_snapshot_is_asked_about_and_one_that_is_gone_is_taken_back() {
    let mut world = alice();
    let snapshot = v1::Snapshot { enrolments: vec![unlisted()], ..World::snapshot(&[]) };
    world.take(Input::Server(Box::new(Update::Connected(snapshot))));
    world.wait(seconds(5));
    assert!(world.has_buttons(with(ALICE), 1));
    world.connect(&[]);
    world.wait(seconds(5));
    assert!(!world.has_buttons(with(ALICE), 1));
}

#[test]
fn a_key_under_an_approval_ahead_is_told_as_that() {
    let mut world = alice();
    world.event(Event::Release(v1::Release {
        ask_id: vec![101; 16],
        node: Some(node(1)),
        address: "192.0.2.1".to_owned(),
        ahead_uses_left: Some(6),
        ..v1::Release::default()
    }));
    world.wait(seconds(10));
    assert!(last(&world).contains("given ahead; 6 more"), "{}", last(&world));
    assert!(!last(&world).contains("without a question") && !last(&world).contains("elsewhere"), "{}", last(&world));
}
