//! Machines that are not listed, approvals ahead, and the lock.

use nightlatch_approval_api::v1;

use super::pretend::{self, NOW, Pretend, at, closed, node, refusal, released};
use super::{Message, prompt};
use crate::render::{self, HeardGrant, KnownNode, Releases, Reply, Stage, Status, Whereabouts};
use crate::zone::Zone;

pub(super) fn all() -> Vec<(&'static str, Message)> {
    let mut shown = unlisted();
    shown.extend(ahead());
    shown.extend(locked());
    shown
}

fn unlisted() -> Vec<(&'static str, Message)> {
    let none = Releases::default();
    let mut seal = Pretend::new("Q5TC", "new-4c4c4544", "192.0.2.14").ask();
    seal.purpose = v1::Purpose::Enrolment.into();
    seal.operation = v1::Operation::Seal.into();
    seal.origin = v1::Origin::PerAddress.into();
    let mut unseal = seal.clone();
    unseal.operation = v1::Operation::Unseal.into();
    let stage = |closed: &v1::Closed, releases: &Releases| {
        prompt(closed.ask.as_ref().unwrap_or(&seal), Stage::Closed(closed), releases)
    };
    let zone = &Zone::utc();
    let status = v1::NodeStatus {
        node: Some(node("new-4c4c4544")),
        addresses: vec!["192.0.2.14/32".to_owned()],
        ..v1::NodeStatus::default()
    };
    let changed = |change: v1::NodeChange| v1::NodeChanged {
        node: Some(status.clone()),
        change: change.into(),
        by: "alice".to_owned(),
    };
    let conflict = "another node is called `cp-1`";
    let cp1 = node("cp-1-4c4c4544");
    let known = KnownNode { node: &cp1, last_approved_at_ms: 0, last_approved_by: "", conflict };
    vec![
        ("A machine that is not listed asks for a new disk", prompt(&seal, Stage::Open(pretend::NONCE), &none)),
        ("A machine that is not listed asks to unlock", prompt(&unseal, Stage::Open(pretend::NONCE), &none)),
        ("It was added", stage(&closed(&seal, v1::Outcome::Approved, 300), &released(&seal, 1, true))),
        ("It was not", stage(&closed(&seal, v1::Outcome::Denied, 3_600), &none)),
        ("What others are told", render::node_changed(&changed(v1::NodeChange::Listed))),
        ("A node is listed no more", render::node_changed(&changed(v1::NodeChange::Forgotten))),
        ("/nodes, with two lists that contradict each other", render::nodes(&[known], &[&seal], &[], NOW, zone)),
    ]
}

fn grant(name: &str) -> v1::Grant {
    v1::Grant {
        node: Some(node(name)),
        by: vec!["alice".to_owned()],
        uses_left: 8,
        seconds_left: 1_800,
        until_ms: at(1_800),
        ahead: true,
        code: "G7NP".to_owned(),
        operation: v1::Operation::Unseal.into(),
        ..v1::Grant::default()
    }
}

fn ahead() -> Vec<(&'static str, Message)> {
    let zone = &Zone::utc();
    let proposal = v1::Proposal {
        node: Some(node("cp-3")),
        for_seconds: 1_800,
        uses: 8,
        by: vec!["alice".to_owned()],
        votes_missing: 1,
        ..v1::Proposal::default()
    };
    let result = |name: &str, outcome: v1::GrantOutcome| v1::GrantResult {
        node: Some(node(name)),
        outcome: outcome.into(),
        grant: Some(grant(name)),
        proposal: Some(proposal.clone()),
        refusal: Some(refusal(name, "", v1::RefusalKind::Block)),
    };
    let reply = |reply: &Reply<'_>| render::reply(reply, NOW, zone);
    let one = v1::GrantResponse { results: vec![result("cp-2", v1::GrantOutcome::Granted)] };
    let many = v1::GrantResponse {
        results: vec![
            result("cp-1", v1::GrantOutcome::Granted),
            result("cp-2", v1::GrantOutcome::Refused),
            result("cp-3", v1::GrantOutcome::Counted),
            result("worker-7", v1::GrantOutcome::NoAddress),
        ],
    };
    let ended = v1::RevokeResponse { ended: vec![grant("cp-2")], withdrawn: vec![] };
    let withdrawn = v1::RevokeResponse { ended: vec![], withdrawn: vec![proposal.clone()] };
    let elsewhere = v1::Proposal { address: "192.0.2.33/32".to_owned(), ..proposal.clone() };
    let cp2 = node("cp-2");
    let mut releases = Releases::default();
    releases.add(&v1::Release {
        ask_id: vec![1; 16],
        operation: v1::Operation::Unseal.into(),
        address: "192.0.2.12".to_owned(),
        at_ms: NOW,
        ahead_uses_left: Some(6),
        ..v1::Release::default()
    });
    vec![
        ("/grant cp-2 30m 8", reply(&Reply::Granted(&one))),
        ("/grant cluster home", reply(&Reply::Granted(&many))),
        ("What others are told of it", render::granted(&grant("cp-2"), NOW, zone)),
        ("Two people must approve ahead, and one has", render::proposed(&proposal)),
        ("From an address that is not listed", render::proposed(&elsewhere)),
        ("The node got a key under it", render::allowed(&cp2, &releases, NOW, zone)),
        ("/revoke cp-2", reply(&Reply::Revoked(&ended))),
        ("What others are told of that", render::revoked(&grant("cp-2"), "alice")),
        ("/revoke cp-3, while it needs more votes", reply(&Reply::Revoked(&withdrawn))),
        ("What others are told of that", render::withdrawn(&proposal, "alice")),
    ]
}

fn locked() -> Vec<(&'static str, Message)> {
    let zone = &Zone::utc();
    let lock = |reason: v1::LockReason, by: &str| v1::Lock {
        by: by.to_owned(),
        channel: "telegram".to_owned(),
        at_ms: at(-120),
        reason: reason.into(),
    };
    let (person, older) = (lock(v1::LockReason::Person, "alice"), lock(v1::LockReason::OlderState, ""));
    let grant = grant("cp-2");
    let status = Status {
        lock: Some(&person),
        bot_version: "0.1.0",
        server: Whereabouts::Here("0.1.0"),
        since_ms: at(-200_000),
        open: 0,
        grants: &[],
        refusals: &[],
        second_reader_since_ms: None,
    };
    let grants = [HeardGrant { grant: &grant, heard_at_ms: NOW }];
    vec![
        ("/lock", render::lock_how()),
        ("Somebody locked", render::locked(&person, NOW, zone)),
        ("It began locked, with an older state", render::locked(&older, NOW, zone)),
        ("/status, while everything is locked", render::status(&status, NOW, zone)),
        ("/unlock", render::unlock_how()),
        ("Somebody unlocked", render::unlocked("alice")),
        (
            "/status, with an approval ahead",
            render::status(&Status { lock: None, grants: &grants, ..status }, NOW, zone),
        ),
    ]
}
