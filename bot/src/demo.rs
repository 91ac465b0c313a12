//! What the bot writes, for pretend asks in every stage: to look at it without a server, a token or a network. Times and
//! names are fixed, so that the same version always shows the same.

mod beyond;
mod page;
mod pretend;
mod shared;

pub use page::{html, text};

use nightlatch_approval_api::v1;

use crate::message::{ChatId, Message, UserId};
use crate::render::{self, HeardGrant, KnownNode, Outage, Prompt, Releases, Stage, Status, Whereabouts};
use crate::zone::Zone;
use pretend::{NOW, Pretend, at, closed, node, notice, refusal, released};

/// Every message worth seeing, and what it is.
#[must_use]
pub fn demo() -> Vec<(&'static str, Message)> {
    let mut shown = asked();
    shown.extend(answered());
    shown.extend(shared::shared());
    shown.extend(over());
    shown.extend(told());
    shown.extend(commands());
    shown.extend(beyond::all());
    shown
}

fn prompt(ask: &v1::Ask, stage: Stage<'_>, releases: &Releases) -> Message {
    render::prompt(&Prompt { ask, stage, releases }, NOW, &Zone::utc())
}

fn asked() -> Vec<(&'static str, Message)> {
    let none = Releases::default();
    let open = |ask: &v1::Ask| prompt(ask, Stage::Open(pretend::NONCE), &none);
    let known = pretend::known();
    let elsewhere = Pretend::new("B3XM", "cp-1", "203.0.113.66").elsewhere().ask();
    let moved = Pretend::new("W4TD", "cp-4", "192.0.2.44").moved().ask();
    let twice = Pretend::new("T8VC", "cp-2", "192.0.2.12").known().twice().ask();
    let quorum = |channels| Pretend::new("M5RD", "cp-3", "192.0.2.13").known().approved_once(channels).ask();
    let scripts = Pretend::new("X9GK", "שרת-1 <узел> 節点", "192.0.2.14").known().ask();
    vec![
        ("A node boots that was approved before", open(&known)),
        ("Nobody answered for a while", render::reminder(&known, true)),
        ("A node boots for the first time, from a network without TLS", open(&pretend::first())),
        ("A new disk", open(&pretend::seal())),
        ("A node calls from an address that is not its own", open(&elsewhere)),
        ("A node without listed addresses calls from a new one", open(&moved)),
        ("Two machines use one name", open(&twice)),
        ("Two people must approve, and one has", open(&quorum(0))),
        ("Two people must approve, through two channels", open(&quorum(1))),
        ("A name that is too long for the first line", open(&pretend::long_name())),
        ("Letters of any script, from right to left too", open(&scripts)),
    ]
}

fn answered() -> Vec<(&'static str, Message)> {
    let (known, seal) = (pretend::known(), pretend::seal());
    let shown = |closed: &v1::Closed, releases: &Releases| {
        prompt(closed.ask.as_ref().unwrap_or(&known), Stage::Closed(closed), releases)
    };
    let none = Releases::default();
    let mut both = Pretend::new("M5RD", "cp-3", "192.0.2.13").known().ask();
    both.voted = ["alice", "bob"].map(str::to_owned).to_vec();
    let approved = closed(&known, v1::Outcome::Approved, 300);
    let collectable = v1::Closed { collectable_for_seconds: 86_400, ..closed(&seal, v1::Outcome::Approved, 300) };
    vec![
        ("Approved, before the node called again", shown(&approved, &none)),
        ("Approved, and the node has its keys", shown(&approved, &released(&known, 3, true))),
        ("A new disk, approved", shown(&collectable, &none)),
        ("A new disk, and the node has its key", shown(&collectable, &released(&seal, 1, true))),
        (
            "Approved by two people",
            shown(
                &v1::Closed { by: "bob".to_owned(), ..closed(&both, v1::Outcome::Approved, 300) },
                &released(&both, 2, true),
            ),
        ),
        ("Denied", shown(&closed(&known, v1::Outcome::Denied, 3_600), &none)),
        ("Blocked", shown(&closed(&known, v1::Outcome::Blocked, 86_400), &none)),
        ("Somebody locked everything", shown(&closed(&known, v1::Outcome::Locked, 0), &none)),
        ("The node stopped asking", shown(&closed(&known, v1::Outcome::Expired, 0), &none)),
    ]
}

fn over() -> Vec<(&'static str, Message)> {
    let (known, none) = (pretend::known(), Releases::default());
    vec![
        ("The server is away while a question is open", prompt(&known, Stage::Unreachable, &none)),
        ("The same question was asked again", prompt(&known, Stage::AskedAgain, &none)),
        ("The server was started anew", prompt(&known, Stage::Forgotten, &none)),
        ("What a reminder becomes", render::reminder(&known, false)),
    ]
}

fn told() -> Vec<(&'static str, Message)> {
    let zone = &Zone::utc();
    let outage = Outage { from_ms: at(-900), until_ms: at(-640) };
    let cp1 = node("cp-1");
    let strangers = notice(v1::NoticeKind::Strangers, None, 10_000);
    let elsewhere = notice(v1::NoticeKind::OtherAddress, Some(cp1.clone()), 12);
    let crowd = notice(v1::NoticeKind::TooManyAsks, None, 7);
    let block = refusal("cp-1", "", v1::RefusalKind::Block);
    let lifted = v1::Lifted { refusal: Some(block.clone()), by: "bob".to_owned() };
    vec![
        ("Strangers call", render::notice(&strangers, NOW, zone)),
        ("A listed node's name from elsewhere", render::notice(&elsewhere, NOW, zone)),
        ("Too many questions at once", render::notice(&crowd, NOW, zone)),
        ("Approved elsewhere", render::allowed(&cp1, &released(&pretend::known(), 3, true), NOW, zone)),
        ("Rule \"allow\"", render::allowed(&cp1, &released(&pretend::known(), 3, false), NOW, zone)),
        ("Somebody blocked a node", render::refused(&block, NOW, zone)),
        ("Somebody ended that", render::lifted(&lifted)),
        ("The server went away", render::server_away(at(-900), NOW, zone)),
        ("The server came back", render::server_back(outage, NOW, zone)),
        ("Telegram could not be reached", render::telegram_back(outage, NOW, zone)),
        ("A person has blocked the bot", render::chat_closed(ChatId(123_456_789))),
        ("What check sends", render::test()),
        ("Another program uses the bot's token", render::second_reader(at(-60), NOW, zone)),
    ]
}

fn commands() -> Vec<(&'static str, Message)> {
    let zone = &Zone::utc();
    let elsewhere = Pretend::new("B3XM", "cp-1", "203.0.113.66").elsewhere().ask();
    let (known, seal) = (pretend::known(), pretend::seal());
    let asks = [&known, &seal, &elsewhere];
    let grant = pretend::grant("cp-2");
    let grants = [HeardGrant { grant: &grant, heard_at_ms: NOW }];
    let refusals =
        [refusal("cp-3", "", v1::RefusalKind::Block), refusal("worker-7", "192.0.2.27", v1::RefusalKind::Denial)];
    let closed = [
        closed(&seal, v1::Outcome::Expired, 0),
        closed(&known, v1::Outcome::Denied, 3_600),
        closed(&known, v1::Outcome::Approved, 300),
    ];
    let all: Vec<_> = ["cp-1", "cp-2", "cp-3"]
        .into_iter()
        .map(node)
        .chain((1..=397).map(|number| node(&format!("worker-{number}"))))
        .collect();
    let nodes = all.iter().map(|node| KnownNode {
        node,
        last_approved_at_ms: at(-86_400),
        last_approved_by: "alice",
        conflict: "",
    });
    let status = Status {
        lock: None,
        bot_version: "0.1.0",
        server: Whereabouts::Here("0.1.0"),
        since_ms: at(-200_000),
        open: asks.len(),
        grants: &grants,
        refusals: &refusals,
        second_reader_since_ms: None,
    };
    vec![
        ("/pending", render::pending(&asks, NOW, zone)),
        ("/status", render::status(&status, NOW, zone)),
        (
            "/status, while the server sleeps",
            render::status(&Status { server: Whereabouts::Asleep, ..status }, NOW, zone),
        ),
        ("/nodes, of 400", render::nodes(&nodes.collect::<Vec<_>>(), &asks, &refusals, NOW, zone)),
        ("/history", render::history(&closed, NOW, zone)),
        ("/help", render::help()),
        ("/start from a stranger", render::stranger(UserId(123_456_789))),
    ]
}
