//! Asks that nobody asked.

use nightlatch_approval_api::v1;

use crate::press::Nonce;
use crate::render::Releases;

/// Wednesday, 25 November 2026, 03:13:25 UTC, in milliseconds.
pub(super) const NOW: i64 = 1_795_576_405_000;
pub(super) const NONCE: Nonce = Nonce([0; 16]);

/// So many seconds after [`NOW`].
pub(super) const fn at(seconds: i64) -> i64 {
    NOW + seconds * 1_000
}

/// One ask that is being made up.
pub(super) struct Pretend(v1::Ask);

impl Pretend {
    /// A node that is asked about for the first time.
    pub(super) fn new(code: &str, name: &str, address: &str) -> Self {
        Self(v1::Ask {
            code: code.to_owned(),
            operation: v1::Operation::Unseal.into(),
            node: Some(node(name)),
            address: address.to_owned(),
            origin: v1::Origin::Listed.into(),
            tls: true,
            opened_at_ms: at(-80),
            last_attempt_at_ms: at(-15),
            attempts: 3,
            volumes: 2,
            votes_missing: 1,
            channels_missing: 1,
            ..v1::Ask::default()
        })
    }

    /// Approved before from there.
    pub(super) fn known(mut self) -> Self {
        self.0.last_approved_at_ms = at(-86_400 - 14_520);
        "alice".clone_into(&mut self.0.last_approved_by);
        self
    }

    pub(super) fn elsewhere(mut self) -> Self {
        self.0.origin = v1::Origin::OtherAddress.into();
        self.0.warnings = vec![v1::Warning::NewAddress.into(), v1::Warning::OtherAddress.into()];
        self
    }

    /// Approved before, and never from there.
    pub(super) fn moved(mut self) -> Self {
        self.0.origin = v1::Origin::PerAddress.into();
        self.0.warnings = vec![v1::Warning::NewAddress.into(), v1::Warning::Moved.into()];
        self
    }

    pub(super) fn twice(mut self) -> Self {
        self.0.warnings.push(v1::Warning::SecondAddress.into());
        self
    }

    /// Alice has approved, and one person more must, through so many channels more.
    pub(super) fn approved_once(mut self, channels: u32) -> Self {
        self.0.voted = vec!["alice".to_owned()];
        self.0.channels_missing = channels;
        self
    }

    pub(super) fn ask(self) -> v1::Ask {
        self.0
    }
}

pub(super) fn known() -> v1::Ask {
    Pretend::new("K7Q2", "cp-1", "192.0.2.11").known().ask()
}

pub(super) fn first() -> v1::Ask {
    let mut ask = Pretend::new("R4HN", "worker-7", "2001:db8::27").ask();
    ask.origin = v1::Origin::PerAddress.into();
    ask.warnings = vec![v1::Warning::NewAddress.into()];
    ask.tls = false;
    (ask.attempts, ask.volumes) = (1, 1);
    ask
}

pub(super) fn seal() -> v1::Ask {
    let mut ask = Pretend::new("D2WF", "worker-8", "192.0.2.28").ask();
    ask.operation = v1::Operation::Seal.into();
    (ask.attempts, ask.volumes) = (1, 1);
    ask
}

pub(super) fn long_name() -> v1::Ask {
    Pretend::new("V6JP", "frankfurt-rack-12-control-plane-node-number-0001", "2001:db8:1234:5678:9abc:def0:1234:5678")
        .known()
        .ask()
}

pub(super) fn node(name: &str) -> v1::Node {
    v1::Node { uuid: format!("uuid of {name}"), name: name.to_owned(), cluster: "home".to_owned() }
}

/// The ask as it was closed, 65 seconds after it was opened.
pub(super) fn closed(ask: &v1::Ask, outcome: v1::Outcome, for_seconds: u32) -> v1::Closed {
    let decided = outcome != v1::Outcome::Expired;
    v1::Closed {
        ask: Some(ask.clone()),
        outcome: outcome.into(),
        by: if decided { "alice" } else { "" }.to_owned(),
        channel: if decided { "telegram" } else { "" }.to_owned(),
        at_ms: ask.opened_at_ms + 65_000,
        for_seconds,
        collectable_for_seconds: 0,
    }
}

/// So many keys, the first of them 0.4 s after the vote if there was one.
pub(super) fn released(ask: &v1::Ask, keys: u16, asked: bool) -> Releases {
    let mut releases = Releases::default();
    for number in 0..keys {
        let after = 412 + u32::from(number) * 700;
        releases.add(&v1::Release {
            ask_id: if asked { vec![0; 16] } else { vec![] },
            operation: ask.operation,
            address: ask.address.clone(),
            at_ms: ask.opened_at_ms + 65_000 + i64::from(after),
            after_vote_ms: Some(after.into()).filter(|_| asked),
            ..v1::Release::default()
        });
    }
    releases
}

pub(super) fn notice(kind: v1::NoticeKind, node: Option<v1::Node>, count: u64) -> v1::Notice {
    v1::Notice { kind: kind.into(), node, address: "203.0.113.66".to_owned(), count, at_ms: at(-5) }
}

pub(super) fn refusal(name: &str, address: &str, kind: v1::RefusalKind) -> v1::Refusal {
    v1::Refusal {
        node: Some(node(name)),
        address: address.to_owned(),
        kind: kind.into(),
        by: "alice".to_owned(),
        until_ms: at(86_400),
    }
}

pub(super) fn grant(name: &str) -> v1::Grant {
    v1::Grant {
        node: Some(node(name)),
        operation: v1::Operation::Unseal.into(),
        by: vec!["alice".to_owned(), "bob".to_owned()],
        seconds_left: 240,
        uses_left: 29,
        ..v1::Grant::default()
    }
}
