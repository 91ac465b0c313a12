//! Asks and what becomes of them, for people.

use std::fmt::Write as _;
use std::path::Path;

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::event::Event;

use crate::cli::channel::text::{ago, ask, closed, grant, headline, missing, name, printable, refusal, span, time};
use crate::cli::channel::warnings;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_of_a_newer_server_is_a_warning() {
        let asks = vec![v1::Ask { warnings: vec![99], code: "K7Q2".to_owned(), ..v1::Ask::default() }];
        let shown = snapshot(&v1::Snapshot { asks, ..v1::Snapshot::default() }, 13_000);
        assert!(shown.contains("\n      ! the server warns of what this nightlatch is too old to know"), "{shown}");
        assert!(shown.contains("approve CODE"), "nobody is led to answer it: {shown}");
    }
}
