//! Nodes, asks, grants and refusals for people, as every command shows them.

use std::fmt::Write as _;

use nightlatch_approval_api::v1;

use super::warnings;
use crate::clock::WallTime;

/// One ask: the first line is what a person needs half asleep, the rest is for who looks closer.
pub(in crate::cli) fn ask(ask: &v1::Ask, now: i64) -> String {
    let mut out = format!("{}\n", headline(ask));
    let node = ask.node.as_ref();
    let cluster = node.map(|node| node.cluster.as_str()).unwrap_or_default();
    let mut facts = vec![];
    if !cluster.is_empty() {
        facts.push(format!("cluster {}", printable(cluster)));
    }
    facts.push(format!("since {}", ago(ask.opened_at_ms, now)));
    facts.push(match ask.attempts {
        1 => "asked once".to_owned(),
        attempts => format!("asked {attempts} times"),
    });
    if ask.volumes > 1 {
        facts.push(format!("{} volumes so far", ask.volumes));
    }
    facts.push(match ask.last_approved_at_ms {
        0 if ask.purpose() == v1::Purpose::Enrolment => format!(
            "UUID {}, at first named {}",
            node.map_or_else(|| "unknown".to_owned(), |node| printable(&node.uuid)),
            name(node)
        ),
        // The warning says it.
        0 if warnings(ask).any(|warning| warning == v1::Warning::Moved) => "never approved from there".to_owned(),
        0 => "never approved before".to_owned(),
        at => format!("last approved {} ago by {}", ago(at, now), printable(&ask.last_approved_by)),
    });
    if ask.votes_missing > 1 || !ask.voted.is_empty() {
        facts.push(format!(
            "{} (yes so far: {})",
            missing(ask.votes_missing, ask.channels_missing),
            printable(&ask.voted.join(", "))
        ));
    }
    let _ = writeln!(out, "      {}", facts.join(" · "));
    for warning in warnings(ask).filter_map(warned) {
        let _ = writeln!(out, "      ! {warning}");
    }
    out
}

/// What is to be said of a warning, if the rest does not say it.
const fn warned(warning: v1::Warning) -> Option<&'static str> {
    match warning {
        v1::Warning::OtherAddress => Some("this address is NOT listed for this node"),
        v1::Warning::SecondAddress => Some("another address asks for this node too, or did within the last hour"),
        v1::Warning::Moved => {
            Some("this node was approved before, but not from this address: it moved, or it is another machine")
        }
        // "Never approved before" says it already.
        v1::Warning::NewAddress => None,
        v1::Warning::Unspecified => {
            Some("the server warns of what this nightlatch is too old to know: upgrade it, or ask on site")
        }
    }
}

/// The line that is the same wherever an ask is shown.
pub(in crate::cli) fn headline(ask: &v1::Ask) -> String {
    if ask.purpose() == v1::Purpose::Enrolment {
        let more = match ask.operation() {
            v1::Operation::Seal => ", and a key for a new disk",
            _ => ", and has a disk to unlock: it was listed before, or has another UUID now",
        };
        return format!(
            "{}  a machine that is not listed wants to be added{more} · {}",
            printable(&ask.code),
            printable(&ask.address)
        );
    }
    let wants = match ask.operation() {
        v1::Operation::Seal => "wants a key for a new disk",
        v1::Operation::Unseal | v1::Operation::Unspecified => "wants to unlock",
    };
    format!("{}  {} {wants} · {}", ask.code, name(ask.node.as_ref()), printable(&ask.address))
}

pub(in crate::cli) fn closed(closed: &v1::Closed) -> String {
    let Some(ask) = &closed.ask else { return String::new() };
    let by = if closed.by.is_empty() { String::new() } else { format!(" by {}", printable(&closed.by)) };
    let lasts = span(u64::from(closed.for_seconds) * 1000);
    let outcome = match closed.outcome() {
        v1::Outcome::Approved if ask.purpose() == v1::Purpose::Enrolment => format!(
            "listed from now on{by}, from this address alone; another one: nightlatch nodes pin NODE ADDRESS --add"
        ),
        v1::Outcome::Approved if closed.collectable_for_seconds > 0 => format!(
            "approved{by} for {lasts}; the node may collect it for {}",
            span(u64::from(closed.collectable_for_seconds) * 1000)
        ),
        v1::Outcome::Approved => format!("approved{by} for {lasts}"),
        v1::Outcome::Denied => format!("denied{by} for {lasts}"),
        v1::Outcome::Blocked => format!("blocked{by} for {lasts}"),
        v1::Outcome::Expired => "closed: the node stopped asking".to_owned(),
        v1::Outcome::Locked => "closed: everything was locked".to_owned(),
        v1::Outcome::Unspecified => "closed".to_owned(),
    };
    format!("{}  {} · {} {outcome}", ask.code, name(ask.node.as_ref()), printable(&ask.address))
}

/// What somebody else types who agrees: an approval from another address would be another one, and one for less makes it less.
pub(in crate::cli) fn say_the_same(proposal: Option<&v1::Proposal>) -> String {
    let node = proposal.and_then(|proposal| proposal.node.as_ref());
    let node = node.map_or("NODE", |node| if node.name.is_empty() { "NODE" } else { &node.name });
    let address = proposal.map(|proposal| printable(one_address(&proposal.address))).unwrap_or_default();
    let from = if address.is_empty() { String::new() } else { format!(" --address {address}") };
    let terms = proposal
        .map_or_else(String::new, |proposal| format!(" --for {}s --uses {}", proposal.for_seconds, proposal.uses));
    format!("nightlatch grant {}{from}{terms}", quoted(node))
}

/// A network of one peer as an address of it.
fn one_address(network: &str) -> &str {
    network.split_once('/').map_or(network, |(address, _)| address)
}

/// For a shell.
pub(in crate::cli) fn quoted(text: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || matches!(char, '.' | '_' | '-' | ':' | '/');
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", printable(text).replace('\'', "'\\''")) }
}

/// What an ask or a proposal still lacks.
pub(in crate::cli) fn missing(votes: u32, channels: u32) -> String {
    match (votes, channels) {
        (0, 1) => "it must be approved through one more channel".to_owned(),
        (0, channels) => format!("it must be approved through {channels} more channels"),
        (votes, 0 | 1) => format!("{votes} more must approve"),
        (votes, channels) => format!("{votes} more must approve, through {channels} more channels"),
    }
}

pub(in crate::cli) fn grant(grant: &v1::Grant) -> String {
    let what = match grant.operation() {
        v1::Operation::Seal => "may get a key for a new disk",
        v1::Operation::Unseal | v1::Operation::Unspecified => "may unlock",
    };
    format!(
        "{}  {} {what}{} from {}, {}, {} left; by {}\n",
        printable(&grant.code),
        name(grant.node.as_ref()),
        if grant.ahead { " without being asked" } else { "" },
        from(&grant.address),
        times(grant.uses_left),
        span(u64::from(grant.seconds_left) * 1000),
        printable(&grant.by.join(", "))
    )
}

/// From where a grant or proposal lets a node call.
pub(in crate::cli) fn from(address: &str) -> String {
    if address.is_empty() { "its listed addresses".to_owned() } else { printable(address) }
}

pub(in crate::cli) fn times(left: u32) -> String {
    match left {
        1 => "once more".to_owned(),
        left => format!("{left} more times"),
    }
}

pub(in crate::cli) fn proposal(proposal: &v1::Proposal) -> String {
    format!(
        "      {} for {} and {} releases, from {}: {} (yes so far: {})\n",
        name(proposal.node.as_ref()),
        span(u64::from(proposal.for_seconds) * 1000),
        proposal.uses,
        from(&proposal.address),
        missing(proposal.votes_missing, proposal.channels_missing),
        printable(&proposal.by.join(", "))
    )
}

/// That everything is refused, since when, and what to do about it.
pub(in crate::cli) fn lock(lock: &v1::Lock, now: i64) -> String {
    let since = ago(lock.at_ms, now);
    let who = match (lock.by.as_str(), lock.channel.as_str()) {
        ("", _) => "nightlatch itself".to_owned(),
        (by, "") => printable(by),
        (by, channel) => format!("{} (channel {})", printable(by), printable(channel)),
    };
    let mut out = format!("LOCKED by {who}, {since} ago: nothing is released\n");
    if lock.reason() == v1::LockReason::OlderState {
        out.push_str(
            "its state is older than its audit log, as after a backup was restored, or after a crash\n\
             before somebody's no was saved: who was denied, blocked, listed or forgotten since is\n\
             not known. Read the audit log, and do anew what it tells of\n",
        );
    }
    out.push_str("to end it, on this host: nightlatch unlock\n");
    out
}

pub(in crate::cli) fn refusal(refusal: &v1::Refusal, now: i64) -> String {
    let kind = match refusal.kind() {
        v1::RefusalKind::Denial => "denied ",
        v1::RefusalKind::Block | v1::RefusalKind::Unspecified => "blocked",
    };
    let from = if refusal.address.is_empty() {
        "from anywhere".to_owned()
    } else {
        format!("from {}", printable(&refusal.address))
    };
    // A machine that is not listed has no name. Blocking one means its address: it has another UUID with each call.
    let is_listed = refusal.node.as_ref().is_some_and(|node| !node.name.is_empty());
    let others = if !is_listed && refusal.kind() == v1::RefusalKind::Block && !refusal.address.is_empty() {
        " and every other machine that is not listed"
    } else {
        ""
    };
    format!(
        "      {kind} {}{others} {from} by {}, {} left\n",
        name(refusal.node.as_ref()),
        printable(&refusal.by),
        ago(now, refusal.until_ms)
    )
}

/// What left the server, and how it was approved.
pub(in crate::cli) fn release(release: &v1::Release) -> String {
    let did = match release.operation() {
        v1::Operation::Seal => "sealed a new key for",
        v1::Operation::Unseal | v1::Operation::Unspecified => "unlocked",
    };
    let basis = match (release.ahead_uses_left, release.after_vote_ms) {
        (Some(left), _) => format!(", approved ahead, {left} left"),
        (None, Some(millis)) => format!(", {} after the approval", span(millis)),
        (None, None) => String::new(),
    };
    format!("{did} {} · {}{basis}", name(release.node.as_ref()), printable(&release.address))
}

/// A node's name, or its UUID if it has none.
pub(in crate::cli) fn name(node: Option<&v1::Node>) -> String {
    node.map_or_else(
        || "a node".to_owned(),
        |node| printable(if node.name.is_empty() { &node.uuid } else { &node.name }),
    )
}

/// Text from elsewhere, with everything that could move the cursor or turn the line around shown as `?`.
pub(in crate::cli) fn printable(text: &str) -> String {
    let is_harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if is_harmless(c) { c } else { '?' }).collect()
}

pub(in crate::cli) fn ago(then: i64, now: i64) -> String {
    span(u64::try_from(now.saturating_sub(then)).unwrap_or(0))
}

/// A length of time in the one unit that matters.
pub(in crate::cli) fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The day, UTC.
pub(in crate::cli) fn date(at: i64) -> String {
    WallTime::from_unix_millis(at).to_string().chars().take(10).collect()
}

/// The time of day, UTC.
pub(in crate::cli) fn time(now: i64) -> String {
    let shown = WallTime::from_unix_millis(now).to_string();
    shown.get(11..19).map_or_else(String::new, |time| format!("{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> v1::Ask {
        v1::Ask {
            code: "K7Q2".to_owned(),
            operation: v1::Operation::Unseal.into(),
            node: Some(v1::Node { uuid: "u".to_owned(), name: "cp-1".to_owned(), cluster: "home".to_owned() }),
            address: "192.0.2.11".to_owned(),
            opened_at_ms: 1_000,
            attempts: 3,
            volumes: 2,
            last_approved_at_ms: 1_000,
            last_approved_by: "alice".to_owned(),
            warnings: vec![v1::Warning::OtherAddress.into()],
            ..v1::Ask::default()
        }
    }

    #[test]
    fn an_ask_reads_well() {
        assert_eq!(
            ask(&example(), 13_000),
            "K7Q2  cp-1 wants to unlock · 192.0.2.11\n      cluster home · since 12 s · asked 3 times · 2 volumes so \
             far · last approved 12 s ago by alice\n      ! this address is NOT listed for this node\n"
        );
    }

    #[test]
    fn a_node_that_moved_is_not_one_that_is_new() {
        let warnings = [v1::Warning::NewAddress, v1::Warning::Moved].map(i32::from).into();
        let said = ask(&v1::Ask { warnings, last_approved_at_ms: 0, ..example() }, 13_000);
        assert!(said.contains("never approved from there") && !said.contains("never approved before"), "{said}");
        assert!(said.contains("! this node was approved before, but not from this address"), "{said}");
    }

    #[test]
    fn names_cannot_play_with_the_terminal() {
        let mut ask = example();
        ask.node = Some(v1::Node { name: "cp\u{1b}[2J\u{202e}1\n".to_owned(), ..v1::Node::default() });
        assert_eq!(headline(&ask), "K7Q2  cp?[2J?1? wants to unlock · 192.0.2.11");
    }

    #[test]
    fn spans_use_the_unit_that_matters() {
        let spans: Vec<_> = [120, 5_000, 119_000, 300_000, 7_200_000, 172_800_000].into_iter().map(span).collect();
        assert_eq!(spans, ["120 ms", "5 s", "119 s", "5 min", "2 h", "2 days"]);
    }
}
