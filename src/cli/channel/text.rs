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
        0 => "never approved before".to_owned(),
        at => format!("last approved {} ago by {}", ago(at, now), printable(&ask.last_approved_by)),
    });
    if ask.votes_missing > 1 || !ask.voted.is_empty() {
        facts.push(format!("{} (yes so far: {})", missing(ask), printable(&ask.voted.join(", "))));
    }
    let _ = writeln!(out, "      {}", facts.join(" · "));
    for warning in warnings(ask) {
        let _ = match warning {
            v1::Warning::OtherAddress => {
                writeln!(out, "      ! this address is NOT listed for this node")
            }
            v1::Warning::SecondAddress => {
                writeln!(out, "      ! another address asks for this node too, or did within the last hour")
            }
            // "Never approved before" says it already.
            v1::Warning::NewAddress => Ok(()),
            v1::Warning::Unspecified => {
                writeln!(
                    out,
                    "      ! the server warns of what this nightlatch is too old to know: upgrade it, or ask on site"
                )
            }
        };
    }
    out
}

/// The line that is the same wherever an ask is shown.
pub(in crate::cli) fn headline(ask: &v1::Ask) -> String {
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

pub(in crate::cli) fn missing(ask: &v1::Ask) -> String {
    match (ask.votes_missing, ask.channels_missing) {
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
    let from = if grant.address.is_empty() { "listed addresses" } else { &grant.address };
    format!(
        "{}  {} {what} from {}, {} more times, {} left; by {}\n",
        grant.code,
        name(grant.node.as_ref()),
        printable(from),
        grant.uses_left,
        span(u64::from(grant.seconds_left) * 1000),
        printable(&grant.by.join(", "))
    )
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
    format!(
        "      {kind} {} {from} by {}, {} left\n",
        name(refusal.node.as_ref()),
        printable(&refusal.by),
        ago(now, refusal.until_ms)
    )
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
