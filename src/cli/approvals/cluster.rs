//! One answer to all that is open in a cluster: as when the power came back.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use nightlatch_approval_api::v1;
use serde_json::json;

use super::vote::conclusion;
use super::{json as own, text};
use crate::cli::channel::text::{ask as shown, lock as locked, name, printable};
use crate::cli::channel::{Session, in_time, json as script, print, warnings, whole_seconds};
use crate::cli::{Failure, exit};

/// As many asks as one VoteAll may name.
const MOST_AT_ONCE: usize = 512;

/// What is open in a cluster.
struct Open {
    /// What is voted on: exactly these.
    meant: Vec<v1::Ask>,
    /// What each has to be looked at alone for, so that a yes to many does not cover it.
    alone: Vec<v1::Ask>,
}

/// Shows what is open in `cluster`, asks whether that is meant, and answers it.
pub(super) async fn answer(
    session: &mut Session,
    cluster: &str,
    verdict: v1::Verdict,
    lasts: Option<Duration>,
    yes: bool,
) -> Result<(), Failure> {
    if !yes && (session.json || !io::stdin().is_terminal()) {
        return Err(Failure::usage("without a terminal nobody can be asked whether the list is the right one")
            .hint("add --yes to answer all that is open in the cluster, or answer one by one, by code"));
    }
    let snapshot = in_time(session.snapshot()).await?;
    if let Some(lock) = &snapshot.lock {
        session.print(|now| locked(lock, now), || json!({ "event": "locked" }))?;
        return Err(Failure::already_told(exit::DECLINED));
    }
    let mut open = Open::in_cluster(&snapshot, cluster, verdict);
    if open.is_empty() && !snapshot.nodes.iter().any(|status| is_of(status.node.as_ref(), cluster)) {
        return Err(Failure::new(exit::DATA, format!("no node belongs to a cluster {}", printable(cluster)))
            .hint("nightlatch check lists the nodes and their clusters"));
    }
    if !session.json {
        print(&open.list(cluster, crate::cli::channel::now()))?;
    }
    if !open.meant.is_empty() && !yes {
        if !is_meant(verdict, open.meant.len())? {
            print("nothing was answered\n")?;
            return Err(Failure::already_told(exit::DECLINED));
        }
        // What was added to a question while it was on the screen was not seen.
        let later = Open::in_cluster(&in_time(session.snapshot()).await?, cluster, verdict);
        open.keep_what_was_shown(later);
    }
    let votes = in_time(vote(session, &open.meant, verdict, lasts)).await?;
    session.print(
        |now| results(&open, &votes, now),
        || {
            json!({
                "event": "voted-all",
                "votes": votes.iter().map(as_json).collect::<Vec<_>>(),
                "left_out": open.alone.iter().map(script::ask).collect::<Vec<_>>(),
            })
        },
    )?;
    let ended = votes.iter().map(|vote| conclusion(verdict, vote.result(), vote.closed.as_ref()));
    match ended.filter_map(Result::err).map(|failure| failure.code()).max() {
        Some(code) => Err(Failure::already_told(code)),
        None if open.alone.is_empty() => Ok(()),
        None => Err(Failure::already_told(exit::UNFINISHED)),
    }
}

async fn vote(
    session: &mut Session,
    asks: &[v1::Ask],
    verdict: v1::Verdict,
    lasts: Option<Duration>,
) -> Result<Vec<v1::Voted>, Failure> {
    let mut votes = vec![];
    for asks in asks.chunks(MOST_AT_ONCE) {
        let request = v1::VoteAllRequest {
            ask_ids: asks.iter().map(|ask| ask.id.clone()).collect(),
            verdict: verdict.into(),
            telegram_id: None,
            for_seconds: lasts.map(whole_seconds),
        };
        let answered = session.client.vote_all(request).await;
        votes.extend(session.answer(answered)?.votes);
    }
    Ok(votes)
}

impl Open {
    fn in_cluster(snapshot: &v1::Snapshot, cluster: &str, verdict: v1::Verdict) -> Self {
        let asks = snapshot.asks.iter().filter(|ask| is_of(ask.node.as_ref(), cluster)).cloned();
        // Only what is refused may be answered without having been looked at.
        let (mut alone, meant): (Vec<v1::Ask>, _) = asks.partition(|ask| {
            verdict == v1::Verdict::Approve && warnings(ask).any(|warning| warning != v1::Warning::NewAddress)
        });
        // What is to be listed is no node of it yet.
        let of_it = |ask: &&v1::Ask| is_of(ask.node.as_ref(), cluster);
        alone.extend(snapshot.enrolments.iter().filter(of_it).cloned());
        Self { meant, alone }
    }

    fn is_empty(&self) -> bool {
        self.meant.is_empty() && self.alone.is_empty()
    }

    fn list(&self, cluster: &str, now: i64) -> String {
        let mut out: String = self.meant.iter().map(|ask| shown(ask, now)).collect();
        if self.meant.is_empty() {
            out = format!("nothing of cluster {} is open that could be answered together\n", printable(cluster));
        }
        if !self.alone.is_empty() {
            out.push_str("\nNOT among them, because each has to be looked at; answer it by its code:\n");
            out.extend(self.alone.iter().map(|ask| shown(ask, now)));
        }
        out
    }

    /// Takes out what is not as it was shown: what has a warning more, or whose end came meanwhile.
    fn keep_what_was_shown(&mut self, later: Self) {
        let is_as_before = |ask: &v1::Ask| {
            later.meant.iter().any(|now| now.id == ask.id && now.warnings == ask.warnings)
                || !later.alone.iter().chain(&later.meant).any(|now| now.id == ask.id)
        };
        let (same, changed): (Vec<_>, Vec<_>) = std::mem::take(&mut self.meant).into_iter().partition(is_as_before);
        self.meant = same;
        self.alone.extend(changed.into_iter().map(|ask| {
            let again = later.alone.iter().chain(&later.meant).find(|now| now.id == ask.id);
            again.cloned().unwrap_or(ask)
        }));
    }
}

/// Whether a node belongs to `cluster`. Nodes of no cluster are no cluster.
fn is_of(node: Option<&v1::Node>, cluster: &str) -> bool {
    !cluster.is_empty() && node.is_some_and(|node| node.cluster == cluster)
}

fn is_meant(verdict: v1::Verdict, count: usize) -> Result<bool, Failure> {
    let do_it = if verdict == v1::Verdict::Approve { "approve" } else { "deny" };
    let these = if count == 1 { "this one".to_owned() } else { format!("these {count}") };
    print(&format!("\n{do_it} {these}? type yes or no: "))?;
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Failure::new(exit::IO, "cannot read from the terminal").because(&error))?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn results(open: &Open, votes: &[v1::Voted], now: i64) -> String {
    let one = |vote: &v1::Voted| {
        let asked = open.meant.iter().find(|ask| ask.id == vote.ask_id);
        let node = name(asked.and_then(|ask| ask.node.as_ref()));
        match vote.result() {
            v1::VoteResult::NotAnApprover => format!("{node}: you are no approver of it; nothing was changed\n"),
            v1::VoteResult::Unknown | v1::VoteResult::Unspecified => {
                format!("{node}: it is not open any more; the node asks again\n")
            }
            _ => {
                let response =
                    v1::VoteResponse { result: vote.result, ask: vote.ask.clone(), closed: vote.closed.clone() };
                text::vote(&response, false, now)
            }
        }
    };
    // The list is above it.
    let mut out = String::from("\n");
    out.extend(votes.iter().map(one));
    if !votes.is_empty() {
        let decided = votes.iter().filter(|vote| vote.result() == v1::VoteResult::Decided).count();
        out.push_str(&format!("\n{decided} of {} decided by this\n", votes.len()));
    }
    match open.alone.len() {
        0 => {}
        1 => out.push_str("1 is left to be looked at alone: nightlatch approvals\n"),
        left => out.push_str(&format!("{left} are left to be looked at alone: nightlatch approvals\n")),
    }
    out
}

fn as_json(vote: &v1::Voted) -> serde_json::Value {
    let response = v1::VoteResponse { result: vote.result, ask: vote.ask.clone(), closed: vote.closed.clone() };
    let mut told = own::vote(&response);
    if let serde_json::Value::Object(fields) = &mut told {
        fields.remove("event");
        fields.insert("ask_id".to_owned(), script::hex(&vote.ask_id).into());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(id: u8, cluster: &str, warnings: &[v1::Warning]) -> v1::Ask {
        let node = v1::Node { name: format!("cp-{id}"), cluster: cluster.to_owned(), ..v1::Node::default() };
        v1::Ask {
            id: vec![id; 16],
            node: Some(node),
            warnings: warnings.iter().map(|&warning| warning.into()).collect(),
            ..v1::Ask::default()
        }
    }

    fn ids(asks: &[v1::Ask]) -> Vec<u8> {
        asks.iter().filter_map(|ask| ask.id.first().copied()).collect()
    }

    fn power_came_back() -> v1::Snapshot {
        v1::Snapshot {
            asks: vec![
                ask(1, "home", &[v1::Warning::NewAddress]),
                ask(2, "home", &[v1::Warning::OtherAddress]),
                ask(3, "lab", &[]),
                ask(4, "", &[]),
                v1::Ask { warnings: vec![99], ..ask(5, "home", &[]) },
                ask(6, "home", &[v1::Warning::SecondAddress]),
            ],
            enrolments: vec![ask(7, "home", &[])],
            ..v1::Snapshot::default()
        }
    }

    #[test]
    fn a_yes_to_many_covers_none_that_is_warned_of_and_no_stranger() {
        let approved = Open::in_cluster(&power_came_back(), "home", v1::Verdict::Approve);
        assert_eq!((ids(&approved.meant), ids(&approved.alone)), (vec![1], vec![2, 5, 6, 7]));
        let denied = Open::in_cluster(&power_came_back(), "home", v1::Verdict::Deny);
        assert_eq!((ids(&denied.meant), ids(&denied.alone)), (vec![1, 2, 5, 6], vec![7]));
    }

    #[test]
    fn nodes_of_no_cluster_are_no_cluster() {
        assert!(Open::in_cluster(&power_came_back(), "", v1::Verdict::Approve).is_empty());
    }

    #[test]
    fn what_is_warned_of_or_asked_after_the_list_was_shown_is_not_answered() {
        let home = |asks: Vec<v1::Ask>| {
            let snapshot = v1::Snapshot { asks, ..v1::Snapshot::default() };
            Open::in_cluster(&snapshot, "home", v1::Verdict::Approve)
        };
        let mut open = home(vec![ask(1, "home", &[]), ask(2, "home", &[]), ask(3, "home", &[])]);
        open.keep_what_was_shown(home(vec![
            ask(1, "home", &[v1::Warning::SecondAddress]),
            ask(2, "home", &[]),
            ask(4, "home", &[]),
        ]));
        assert_eq!(ids(&open.meant), [2, 3], "3 was closed: the server says how");
        assert_eq!(ids(&open.alone), [1]);
        assert_eq!(open.alone.first().map(|ask| ask.warnings.len()), Some(1), "it is shown with its warning");
    }
}
