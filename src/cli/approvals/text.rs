//! Asks and what becomes of them, for people.

use std::fmt::Write as _;
use std::path::Path;

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::event::Event;

use super::warnings;
use crate::clock::WallTime;

pub(super) fn snapshot(snapshot: &v1::Snapshot, now: i64) -> String {
    let mut out = String::new();
    for open in &snapshot.asks {
        out.push_str(&ask(open, now));
    }
    match snapshot.asks.as_slice() {
        [] => out.push_str("nothing is open\n"),
        // Only where there is nothing to choose between: whoever copies this line must not be led to the wrong ask.
        [only] if warnings(only).all(|warning| warning == v1::Warning::NewAddress) => {
            let _ = writeln!(out, "\nanswer with: nightlatch approvals approve {}   (or deny, or block)", only.code);
        }
        _ => out.push_str("\nanswer with: nightlatch approvals approve CODE   (or deny, or block)\n"),
    }
    if !snapshot.grants.is_empty() {
        out.push_str("\napproved now:\n");
    }
    for live in &snapshot.grants {
        out.push_str(&grant(live));
    }
    if !snapshot.refusals.is_empty() {
        out.push_str("\ndenied or blocked:\n");
    }
    for held in &snapshot.refusals {
        out.push_str(&refusal(held, now));
    }
    out
}

/// One ask: the first line is what a person needs half asleep, the rest is for who looks closer.
fn ask(ask: &v1::Ask, now: i64) -> String {
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

pub(super) fn event(event: &Event, now: i64) -> String {
    let line = match event {
        Event::Snapshot(again) => return snapshot(again, now),
        Event::Opened(opened) => return format!("{} {}", time(now), ask(opened, now)),
        Event::Changed(changed) => return format!("{} {}", time(now), ask(changed, now)),
        Event::Refused(refused) => return format!("{} {}", time(now), refusal(refused, now)),
        Event::Lifted(lifted) => {
            let node = lifted.refusal.as_ref().and_then(|refusal| refusal.node.as_ref());
            format!("      {} is not denied or blocked any more, by {}", name(node), printable(&lifted.by))
        }
        Event::Closed(closed_ask) => closed(closed_ask),
        Event::Release(release) => {
            let did = match release.operation() {
                v1::Operation::Seal => "sealed a new key for",
                v1::Operation::Unseal | v1::Operation::Unspecified => "unlocked",
            };
            let after = release
                .after_vote_ms
                .map_or_else(String::new, |millis| format!(", {} after the approval", span(millis)));
            format!("      {did} {} · {}{after}", name(release.node.as_ref()), printable(&release.address))
        }
        Event::Notice(notice) => {
            let calls = if notice.count == 1 { "a call".to_owned() } else { format!("{} calls", notice.count) };
            let what = match notice.kind() {
                v1::NoticeKind::OtherAddress => {
                    format!("{calls} for {} from an address that is not listed for it", name(notice.node.as_ref()))
                }
                v1::NoticeKind::TooManyAsks => format!("{calls} refused: too many asks are open"),
                v1::NoticeKind::Strangers
                | v1::NoticeKind::TooManyEnrolments
                | v1::NoticeKind::Locked
                | v1::NoticeKind::Unspecified => {
                    format!("{calls} from somewhere that may not ask, or too often")
                }
            };
            format!("    ! {what} · {}", printable(&notice.address))
        }
        Event::EnrolmentOpened(_)
        | Event::EnrolmentChanged(_)
        | Event::EnrolmentClosed(_)
        | Event::Granted(_)
        | Event::Proposed(_)
        | Event::Revoked(_)
        | Event::Locked(_)
        | Event::Unlocked(_)
        | Event::NodeChanged(_) => return String::new(),
    };
    format!("{} {line}\n", time(now))
}

pub(super) fn vote(response: &v1::VoteResponse, now: i64) -> String {
    let shown = match (response.result(), &response.closed, &response.ask) {
        (v1::VoteResult::Closed, Some(before), _) => {
            let ago = ago(before.at_ms, now);
            let mut said = format!("{}\nthat was {ago} ago; nothing was changed now\n", closed(before));
            if before.outcome() == v1::Outcome::Approved {
                let node = before.ask.as_ref().and_then(|ask| ask.node.as_ref());
                let _ = writeln!(said, "to take it back: nightlatch approvals block {}", name(node));
            }
            return said;
        }
        (_, Some(decided), _) => closed(decided),
        (v1::VoteResult::Repeated, _, Some(ask)) => {
            format!("{}\nyou had approved it here before; {}", headline(ask), missing(ask))
        }
        (_, _, Some(ask)) => format!("{}\nyour approval counts; {}", headline(ask), missing(ask)),
        _ => "done".to_owned(),
    };
    format!("{shown}\n")
}

fn closed(closed: &v1::Closed) -> String {
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

fn missing(ask: &v1::Ask) -> String {
    match (ask.votes_missing, ask.channels_missing) {
        (0, 1) => "it must be approved through one more channel".to_owned(),
        (0, channels) => format!("it must be approved through {channels} more channels"),
        (votes, 0 | 1) => format!("{votes} more must approve"),
        (votes, channels) => format!("{votes} more must approve, through {channels} more channels"),
    }
}

fn grant(grant: &v1::Grant) -> String {
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

pub(super) fn refusal(refusal: &v1::Refusal, now: i64) -> String {
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

pub(super) fn unblocked(ended: u32) -> String {
    match ended {
        0 => "there was nothing to end\n".to_owned(),
        1 => "ended 1 denial or block\n".to_owned(),
        ended => format!("ended {ended} denials and blocks\n"),
    }
}

pub(super) fn lost(socket: &Path) -> String {
    format!("the server on {} is away; waiting for it\n", socket.display())
}

pub(super) fn asleep() -> String {
    "the server sleeps, since nothing has called for long: nothing is open; waiting for a call to wake it\n".to_owned()
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
fn span(millis: u64) -> String {
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
fn time(now: i64) -> String {
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
    fn a_warning_of_a_newer_server_is_a_warning() {
        let asks = vec![v1::Ask { warnings: vec![99], ..example() }];
        let shown = snapshot(&v1::Snapshot { asks, ..v1::Snapshot::default() }, 13_000);
        assert!(shown.contains("\n      ! the server warns of what this nightlatch is too old to know"), "{shown}");
        assert!(shown.contains("approve CODE"), "nobody is led to answer it: {shown}");
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
