//! Listed nodes, and what became of a change, for people.

use std::fmt::Write as _;

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::change_node_request::Change;

use crate::cli::channel::text::{ago, printable, quoted};
use crate::cli::check::table;

pub(super) fn list(snapshot: &v1::Snapshot, now: i64) -> String {
    if snapshot.nodes.is_empty() {
        return "no node is listed: nobody may ask\nlist one with: nightlatch nodes add UUID --name NAME\n".to_owned();
    }
    let rows = snapshot.nodes.iter().map(|status| row(status, now)).collect();
    let mut out = String::new();
    table(&mut out, ["NODE", "UUID", "CLUSTER", "ADDRESSES", "LISTED IN", "LAST APPROVED"], rows);
    let mut out = out.trim_start_matches('\n').to_owned();
    for status in &snapshot.nodes {
        if !status.formerly.is_empty() {
            let _ = writeln!(out, "\n{} was {}", name(status), printable(&status.formerly.join(", ")));
        }
        out.push_str(&conflict(status));
    }
    out
}

fn row(status: &v1::NodeStatus, now: i64) -> [String; 6] {
    const SHOWN: usize = 4;
    let node = status.node.clone().unwrap_or_default();
    let addresses = match status.addresses.as_slice() {
        [] => "any in networks".to_owned(),
        some => {
            let mut text = some.iter().take(SHOWN).map(|address| printable(address)).collect::<Vec<_>>().join(" ");
            if let Some(more @ 1..) = some.len().checked_sub(SHOWN) {
                let _ = write!(text, " and {more} more");
            }
            text
        }
    };
    let listed = match status.listed_by() {
        v1::ListedBy::People => "people's list",
        v1::ListedBy::Configuration | v1::ListedBy::Unspecified => "configuration",
    };
    let approved = match status.last_approved_at_ms {
        0 => "-".to_owned(),
        at => format!("{} ago by {}", ago(at, now), printable(&status.last_approved_by)),
    };
    [printable(&node.name), printable(&node.uuid), printable(&node.cluster), addresses, listed.to_owned(), approved]
}

fn conflict(status: &v1::NodeStatus) -> String {
    if status.conflict.is_empty() {
        return String::new();
    }
    format!("\n! {}: {}\n", name(status), printable(&status.conflict))
}

fn name(status: &v1::NodeStatus) -> String {
    crate::cli::channel::text::name(status.node.as_ref())
}

/// What became of a change that was asked for.
pub(super) fn changed(asked: &str, change: &Change, response: &v1::ChangeNodeResponse) -> String {
    // Of one that is not there any more, the server need not tell.
    let unknown = || v1::NodeStatus {
        node: Some(v1::Node { name: asked.to_owned(), ..v1::Node::default() }),
        ..v1::NodeStatus::default()
    };
    let node = response.node.clone().unwrap_or_else(unknown);
    let said = match response.outcome() {
        v1::ChangeOutcome::Changed => done(change, &node),
        v1::ChangeOutcome::Counted => format!("your approval counts; nothing is changed yet: {}", missing(response)),
        v1::ChangeOutcome::Repeated => {
            format!("you had asked for this before; nothing is changed yet: {}", missing(response))
        }
        v1::ChangeOutcome::Unchanged => "it is so already; nothing was changed".to_owned(),
        v1::ChangeOutcome::Unspecified => {
            "the server says what this nightlatch is too old to know; nightlatch nodes shows what is listed".to_owned()
        }
    };
    format!("{said}\n{}", conflict(&node))
}

fn missing(response: &v1::ChangeNodeResponse) -> String {
    match response.votes_missing {
        // By head count nobody is missing: it is through another channel that one is.
        0 => "the very same must be asked for through another channel within ten minutes".to_owned(),
        1 => "one more approver must ask for the very same within ten minutes".to_owned(),
        more => format!("{more} more approvers must ask for the very same within ten minutes"),
    }
}

fn done(change: &Change, status: &v1::NodeStatus) -> String {
    let name = name(status);
    let node = status.node.clone().unwrap_or_default();
    let uuid = printable(&node.uuid);
    match change {
        Change::Add(_) => {
            let cluster = match node.cluster.as_str() {
                "" => String::new(),
                cluster => format!(", in cluster {}", printable(cluster)),
            };
            format!("{name} is listed now ({uuid}{cluster}); it may call from {}", addresses(status))
        }
        Change::Name(_) => format!("{uuid} is called {name} from now on"),
        Change::Addresses(_) => format!("{name} may call from {} from now on", addresses(status)),
        Change::Formerly(_) if status.formerly.is_empty() => {
            format!("{name} may open only what was sealed for {uuid} itself from now on")
        }
        Change::Formerly(_) => {
            let formerly = printable(&status.formerly.join(", "));
            format!("{name} may also open what was sealed for {formerly} from now on")
        }
        Change::Forget(_) => format!(
            "{name} is listed no more: its calls are refused, and its disks are not opened, until it is listed again\n\
             what was sealed for it stays good{}",
            again(status)
        ),
    }
}

/// The command that lists a node as it was.
fn again(status: &v1::NodeStatus) -> String {
    let node = status.node.clone().unwrap_or_default();
    if node.uuid.is_empty() {
        return String::new();
    }
    let mut command =
        format!("; to list it again: nightlatch nodes add {} --name {}", quoted(&node.uuid), quoted(&node.name));
    if !node.cluster.is_empty() {
        let _ = write!(command, " --cluster {}", quoted(&node.cluster));
    }
    for address in &status.addresses {
        let _ = write!(command, " --address {}", quoted(address));
    }
    for former in &status.formerly {
        let _ = write!(command, " --formerly {}", quoted(former));
    }
    command
}

fn addresses(status: &v1::NodeStatus) -> String {
    match status.addresses.as_slice() {
        [] => "anywhere within the allowed networks, and each address is approved by itself".to_owned(),
        some => printable(&some.join(", ")),
    }
}
