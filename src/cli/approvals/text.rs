//! Asks and what becomes of them, for people.

use std::fmt::Write as _;
use std::path::Path;

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::event::Event;

use crate::cli::channel::text::{
    ago, ask, closed, grant, headline, lock, missing, name, printable, proposal, refusal, release, time,
};
use crate::cli::channel::warnings;

pub(super) fn snapshot(snapshot: &v1::Snapshot, now: i64) -> String {
    let mut out = snapshot.lock.as_ref().map_or_else(String::new, |locked| format!("{}\n", lock(locked, now)));
    for open in snapshot.asks.iter().chain(&snapshot.enrolments) {
        out.push_str(&ask(open, now));
    }
    match (snapshot.asks.as_slice(), snapshot.enrolments.as_slice()) {
        ([], []) => out.push_str("nothing is open\n"),
        // Only where there is nothing to choose between: whoever copies this line must not be led to the wrong ask.
        ([only], []) if warnings(only).all(|warning| warning == v1::Warning::NewAddress) => {
            let _ = writeln!(out, "\nanswer with: nightlatch approvals approve {}   (or deny, or block)", only.code);
        }
        _ => out.push_str("\nanswer with: nightlatch approvals approve CODE   (or deny, or block)\n"),
    }
    section(&mut out, "approved now", snapshot.grants.iter().map(grant));
    section(&mut out, "approved ahead, but not by enough yet", snapshot.proposals.iter().map(proposal));
    section(&mut out, "denied or blocked", snapshot.refusals.iter().map(|held| refusal(held, now)));
    out
}

fn section(out: &mut String, title: &str, entries: impl Iterator<Item = String>) {
    for (index, entry) in entries.enumerate() {
        if index == 0 {
            let _ = write!(out, "\n{title}:\n");
        }
        out.push_str(&entry);
    }
}

pub(super) fn event(event: &Event, now: i64) -> String {
    let told = match event {
        Event::Snapshot(again) => return snapshot(again, now),
        Event::Opened(open) | Event::Changed(open) | Event::EnrolmentOpened(open) | Event::EnrolmentChanged(open) => {
            ask(open, now)
        }
        Event::Closed(closed_ask) | Event::EnrolmentClosed(closed_ask) => line(&closed(closed_ask)),
        Event::Refused(refused) => refusal(refused, now),
        Event::Lifted(lifted) => {
            let node = lifted.refusal.as_ref().and_then(|refusal| refusal.node.as_ref());
            line(&format!("      {} is not denied or blocked any more, by {}", name(node), printable(&lifted.by)))
        }
        Event::Release(done) => line(&format!("      {}", release(done))),
        Event::Notice(told) => line(&format!("    ! {}", notice(told))),
        Event::Granted(granted) => grant(granted),
        Event::Proposed(proposed) => format!("      not approved ahead yet: {}", proposal(proposed).trim_start()),
        Event::Revoked(revoked) => revoked_by(revoked),
        Event::Locked(locked) => lock(locked, now),
        Event::Unlocked(unlocked) => line(&format!("      UNLOCKED by {}", printable(&unlocked.by))),
        Event::NodeChanged(changed) => {
            let node = changed.node.as_ref().and_then(|status| status.node.as_ref());
            let what = match changed.change() {
                v1::NodeChange::Listed => "is listed from now on",
                v1::NodeChange::Forgotten => "is listed no more",
                v1::NodeChange::Changed | v1::NodeChange::Unspecified => "is listed with something else",
            };
            line(&format!("      {} {what}, by {}", name(node), printable(&changed.by)))
        }
    };
    format!("{} {told}", time(now))
}

fn line(text: &str) -> String {
    format!("{text}\n")
}

fn notice(notice: &v1::Notice) -> String {
    let calls = if notice.count == 1 { "a call".to_owned() } else { format!("{} calls", notice.count) };
    let what = match notice.kind() {
        v1::NoticeKind::OtherAddress => {
            format!("{calls} for {} from an address that is not listed for it", name(notice.node.as_ref()))
        }
        v1::NoticeKind::TooManyAsks => format!("{calls} refused: too many asks are open"),
        v1::NoticeKind::TooManyEnrolments => {
            format!("{calls} refused: too many machines that are not listed want to be added")
        }
        v1::NoticeKind::Locked => format!("{calls} refused: everything is locked"),
        v1::NoticeKind::Strangers | v1::NoticeKind::Unspecified => {
            format!("{calls} from somewhere that may not ask, or too often")
        }
    };
    format!("{what} · {}", printable(&notice.address))
}

fn revoked_by(revoked: &v1::Revoked) -> String {
    let nodes: Vec<_> = revoked.ended.iter().map(|grant| name(grant.node.as_ref())).collect();
    let withdrawn: Vec<_> = revoked.withdrawn.iter().map(|proposal| name(proposal.node.as_ref())).collect();
    let by = printable(&revoked.by);
    let mut out = String::new();
    if !nodes.is_empty() {
        out.push_str(&line(&format!("      {by} ended what was approved for {}", nodes.join(", "))));
    }
    if !withdrawn.is_empty() {
        let said = format!("      {by} withdrew what more people were to approve ahead for {}", withdrawn.join(", "));
        out.push_str(&line(&said));
    }
    out
}

/// What became of a vote. `is_over` when what was approved before is in force no more.
pub(super) fn vote(response: &v1::VoteResponse, is_over: bool, now: i64) -> String {
    let shown = match (response.result(), &response.closed, &response.ask) {
        (v1::VoteResult::Closed, Some(before), _) => {
            let ago = ago(before.at_ms, now);
            let mut said = format!("{}\nthat was {ago} ago; nothing was changed now\n", closed(before));
            if before.outcome() == v1::Outcome::Approved && is_over {
                said.push_str(
                    "it has ended since: NOTHING is approved by it now. If the node still needs its key, it asks under a new code\n",
                );
            } else if before.outcome() == v1::Outcome::Approved {
                let node = before.ask.as_ref().and_then(|ask| ask.node.as_ref());
                let _ = writeln!(said, "to take it back: nightlatch revoke {}", name(node));
            }
            return said;
        }
        (_, Some(decided), _) => closed(decided),
        (v1::VoteResult::Repeated, _, Some(ask)) => {
            format!(
                "{}\nyou had approved it here before; {}",
                headline(ask),
                missing(ask.votes_missing, ask.channels_missing)
            )
        }
        (_, _, Some(ask)) => {
            format!("{}\nyour approval counts; {}", headline(ask), missing(ask.votes_missing, ask.channels_missing))
        }
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

    fn ahead() -> v1::Grant {
        v1::Grant {
            code: "G4TX".to_owned(),
            node: Some(v1::Node { name: "cp-2".to_owned(), ..v1::Node::default() }),
            by: vec!["alice".to_owned()],
            seconds_left: 1800,
            uses_left: 8,
            ahead: true,
            ..v1::Grant::default()
        }
    }

    #[test]
    fn what_goes_beyond_one_ask_reads_well() {
        let node = Some(v1::Node { uuid: "u-1".to_owned(), name: "cp-2".to_owned(), cluster: String::new() });
        let grant = ahead();
        let stranger = v1::Ask {
            code: "M3PX".to_owned(),
            purpose: v1::Purpose::Enrolment.into(),
            operation: v1::Operation::Seal.into(),
            node: node.clone(),
            address: "192.0.2.50".to_owned(),
            attempts: 1,
            ..v1::Ask::default()
        };
        let status = v1::NodeStatus { node: node.clone(), ..v1::NodeStatus::default() };
        let listed =
            v1::NodeChanged { node: Some(status), change: v1::NodeChange::Listed.into(), by: "bob".to_owned() };
        let release =
            v1::Release { node, ahead_uses_left: Some(7), address: "192.0.2.12".to_owned(), ..v1::Release::default() };
        let proposal = v1::Proposal {
            node: grant.node.clone(),
            for_seconds: 1800,
            uses: 8,
            by: vec!["alice".to_owned()],
            votes_missing: 1,
            ..v1::Proposal::default()
        };
        let lock = v1::Lock { by: "bob".to_owned(), channel: "telegram".to_owned(), ..v1::Lock::default() };
        let told: Vec<_> = [
            Event::Granted(grant.clone()),
            Event::Proposed(proposal),
            Event::Revoked(v1::Revoked { ended: vec![grant], by: "bob".to_owned(), ..v1::Revoked::default() }),
            Event::Release(release),
            Event::EnrolmentOpened(stranger),
            Event::NodeChanged(listed),
            Event::Locked(lock),
            Event::Unlocked(v1::Unlocked { by: "alice".to_owned() }),
        ]
        .iter()
        .map(|happened| event(happened, 0).replace("00:00:00Z ", ""))
        .collect();
        assert_eq!(
            told,
            [
                "G4TX  cp-2 may unlock without being asked from its listed addresses, 8 more times, 30 min left; by alice\n",
                "      not approved ahead yet: cp-2 for 30 min and 8 releases, from its listed addresses: 1 more must approve (yes so far: alice)\n",
                "      bob ended what was approved for cp-2\n",
                "      unlocked cp-2 · 192.0.2.12, approved ahead, 7 left\n",
                "M3PX  a machine that is not listed wants to be added, and a key for a new disk · 192.0.2.50\n      since 0 ms \
                 · asked once · UUID u-1, at first named cp-2\n",
                "      cp-2 is listed from now on, by bob\n",
                "LOCKED by bob (channel telegram), 0 ms ago: nothing is released\nto end it, on this host: nightlatch unlock\n",
                "      UNLOCKED by alice\n",
            ]
        );
    }
}
