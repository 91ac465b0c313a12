//! `nightlatch grant` and `nightlatch revoke`: approvals that are given ahead, and their end.

use std::time::Duration;

use clap::Parser;
use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::revoke_request::What;
use serde_json::{Value, json};

use super::channel::text::{from, missing, name, refusal, span};
use super::channel::{Options, Session, whole_seconds};
use super::{Failure, exit};
use crate::cli::channel::json as script;

/// Approve ahead: what a node asks for in the next while is released without asking you
///
/// For an upgrade or a reboot that you announce: the node gets the keys of its disks, for so long and so many times, from
/// the addresses listed for it. It outlives a restart of nightlatch. nightlatch revoke ends it sooner.
///
/// Ends with 0 when it is in force for every node; with 10 when others have to approve it too, within ten minutes, by
/// the same command; with 11 when it was refused for a node.
#[derive(Debug, Parser)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub struct Args {
    /// The names or UUIDs of the nodes
    #[arg(value_name = "NODE", group = "which")]
    nodes: Vec<String>,
    /// Every node of this cluster that you may answer for
    #[arg(long, group = "which")]
    cluster: Option<String>,
    /// How long it shall last, such as 30m, instead of as configured; at most as the configuration allows
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
    /// How many keys each node may get, instead of as configured; each volume takes one at each boot
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1024))]
    uses: Option<u32>,
    /// From where a node that lists no addresses will call, instead of from where it was approved last
    #[arg(long, conflicts_with = "cluster")]
    address: Option<String>,
    #[command(flatten)]
    channel: Options,
}

/// End approvals, those that were given ahead and those that answered a question
///
/// Keys that were released before are out: a node that runs goes on running.
#[derive(Debug, Parser)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct RevokeArgs {
    /// A node's name or UUID, or the code of one approval
    #[arg(value_name = "NODE|CODE", group = "what")]
    target: Option<String>,
    /// Those of every node of this cluster
    #[arg(long, group = "what")]
    cluster: Option<String>,
    /// Those of every node that you may answer for
    #[arg(long, group = "what")]
    all: bool,
    #[command(flatten)]
    channel: Options,
}

/// Approves ahead.
///
/// # Errors
/// When the server cannot be reached, and when it is not in force for all that was named.
pub fn run(args: Args) -> Result<(), Failure> {
    if args.address.is_some() && args.nodes.len() > 1 {
        return Err(Failure::usage("--address is the address of one node, and more than one is named")
            .hint("name one node, and run it once for each"));
    }
    let request = v1::GrantRequest {
        nodes: args.nodes,
        cluster: args.cluster.unwrap_or_default(),
        telegram_id: None,
        for_seconds: args.lasts.map(whole_seconds),
        uses: args.uses,
        address: args.address.unwrap_or_default(),
    };
    args.channel.speak(async |session| grant(session, request).await)
}

async fn grant(session: &mut Session, request: v1::GrantRequest) -> Result<(), Failure> {
    let wished = request.for_seconds;
    let answered = session.client.grant(request).await;
    let results = session.answer(answered)?.results;
    session.print(
        |now| results.iter().map(|result| format!("{}\n", sentence(result, wished, now))).collect(),
        || json!({ "event": "grant", "results": results.iter().map(as_json).collect::<Vec<_>>() }),
    )?;
    conclusion(&results)
}

/// Ends approvals.
///
/// # Errors
/// When the server cannot be reached, or does not do it.
pub fn revoke(args: RevokeArgs) -> Result<(), Failure> {
    let what = match (args.target, args.cluster) {
        (Some(target), _) => What::Node(target),
        (None, Some(cluster)) => What::Cluster(cluster),
        (None, None) => What::All(args.all),
    };
    args.channel.speak(async |session| {
        let request = v1::RevokeRequest { what: Some(what), telegram_id: None };
        let answered = session.client.revoke(request).await;
        let answer = session.answer(answered)?;
        session.print(
            |_| revoked(&answer),
            || {
                json!({
                    "event": "revoked",
                    "ended": answer.ended.iter().map(script::grant).collect::<Vec<_>>(),
                    "withdrawn": answer.withdrawn.iter().map(script::proposal).collect::<Vec<_>>(),
                })
            },
        )
    })
}

/// With which code a script is told how it went.
fn conclusion(results: &[v1::GrantResult]) -> Result<(), Failure> {
    let is = |outcomes: &[v1::GrantOutcome]| results.iter().all(|result| outcomes.contains(&result.outcome()));
    if results.is_empty() {
        return Err(Failure::new(exit::DECLINED, "nothing was approved: no node was meant that you may answer for")
            .hint("nightlatch status lists the nodes, and nightlatch check who may answer for each"));
    }
    if is(&[v1::GrantOutcome::Granted]) {
        Ok(())
    } else if is(&[v1::GrantOutcome::Granted, v1::GrantOutcome::Counted, v1::GrantOutcome::Repeated]) {
        Err(Failure::already_told(exit::UNFINISHED))
    } else {
        Err(Failure::already_told(exit::DECLINED))
    }
}

/// What became of it for one node. `wished` is for how many seconds it was asked for.
fn sentence(result: &v1::GrantResult, wished: Option<u32>, now: i64) -> String {
    let node = name(result.node.as_ref());
    let proposal = result.proposal.clone().unwrap_or_default();
    let lacks = missing(proposal.votes_missing, proposal.channels_missing);
    match result.outcome() {
        v1::GrantOutcome::Granted => {
            let grant = result.grant.clone().unwrap_or_default();
            let cut = match wished {
                // The answer may come a second after the beginning.
                Some(wished) if wished > grant.seconds_left.saturating_add(1) => {
                    " (that is how long the configuration, or another vote, allows)"
                }
                _ => "",
            };
            format!(
                "{node}: approved ahead for {}{cut} and {} releases, from {}; code {}",
                span(u64::from(grant.seconds_left) * 1000),
                grant.uses_left,
                from(&grant.address),
                super::channel::text::printable(&grant.code)
            )
        }
        v1::GrantOutcome::Counted => format!(
            "{node}: NOT in force yet. Your approval counts; {lacks}, within ten minutes: {}",
            super::channel::text::say_the_same(result.proposal.as_ref())
        ),
        v1::GrantOutcome::Repeated => format!("{node}: NOT in force yet. You had approved this before; {lacks}"),
        v1::GrantOutcome::DenyRule => {
            format!("{node}: not approved. Its rule is \"deny\": nothing would be released to it")
        }
        v1::GrantOutcome::Refused => {
            let held = result.refusal.clone().unwrap_or_default();
            let held = refusal(&held, now);
            format!("{node}: not approved. First end what refuses it, with nightlatch unblock {node}: {}", held.trim())
        }
        v1::GrantOutcome::NoAddress => format!(
            "{node}: not approved. It lists no addresses, and was never approved from one: say with --address from where \
             it will call"
        ),
        v1::GrantOutcome::OtherAddress => format!("{node}: not approved. It may not call from that address"),
        v1::GrantOutcome::Unspecified => format!(
            "{node}: not approved, for a reason that this nightlatch is too old to know: install the server's version"
        ),
    }
}

fn as_json(result: &v1::GrantResult) -> Value {
    json!({
        "node": script::node(result.node.as_ref()),
        "outcome": match result.outcome() {
            v1::GrantOutcome::Granted => "granted",
            v1::GrantOutcome::Counted => "counted",
            v1::GrantOutcome::Repeated => "repeated",
            v1::GrantOutcome::DenyRule => "deny-rule",
            v1::GrantOutcome::Refused => "refused",
            v1::GrantOutcome::NoAddress => "no-address",
            v1::GrantOutcome::OtherAddress => "other-address",
            v1::GrantOutcome::Unspecified => "unknown",
        },
        "grant": result.grant.as_ref().map(script::grant),
        "proposal": result.proposal.as_ref().map(script::proposal),
        "refusal": result.refusal.as_ref().map(script::refusal),
    })
}

fn revoked(answer: &v1::RevokeResponse) -> String {
    if answer.ended.is_empty() && answer.withdrawn.is_empty() {
        return "there was no approval to end\n".to_owned();
    }
    let one = |grant: &v1::Grant| {
        format!("ended: {} from {} (code {})\n", name(grant.node.as_ref()), from(&grant.address), grant.code)
    };
    let withdrawn = |proposal: &v1::Proposal| {
        let (node, from) = (name(proposal.node.as_ref()), from(&proposal.address));
        format!("withdrawn: {node} from {from}, which was not in force yet\n")
    };
    answer.ended.iter().map(one).chain(answer.withdrawn.iter().map(withdrawn)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(outcome: v1::GrantOutcome) -> v1::GrantResult {
        v1::GrantResult {
            node: Some(v1::Node { name: "cp-2".to_owned(), ..v1::Node::default() }),
            outcome: outcome.into(),
            grant: Some(v1::Grant {
                code: "G4TX".to_owned(),
                seconds_left: 1800,
                uses_left: 8,
                ..v1::Grant::default()
            }),
            proposal: Some(v1::Proposal {
                node: Some(v1::Node { name: "cp-2".to_owned(), ..v1::Node::default() }),
                votes_missing: 1,
                for_seconds: 1800,
                uses: 8,
                ..v1::Proposal::default()
            }),
            refusal: Some(v1::Refusal { by: "bob".to_owned(), until_ms: 180_000, ..v1::Refusal::default() }),
        }
    }

    fn code(outcomes: &[v1::GrantOutcome]) -> u8 {
        let results: Vec<_> = outcomes.iter().copied().map(result).collect();
        conclusion(&results).map_or_else(|failure| failure.code(), |()| 0)
    }

    #[test]
    fn a_script_knows_by_the_code_whether_it_is_in_force() {
        use v1::GrantOutcome as Outcome;
        assert_eq!(code(&[Outcome::Granted, Outcome::Granted]), 0);
        assert_eq!(code(&[Outcome::Granted, Outcome::Counted]), exit::UNFINISHED);
        assert_eq!(code(&[Outcome::Repeated]), exit::UNFINISHED);
        for refused in [Outcome::DenyRule, Outcome::Refused, Outcome::NoAddress, Outcome::OtherAddress] {
            assert_eq!(code(&[Outcome::Granted, Outcome::Counted, refused]), exit::DECLINED, "{refused:?}");
        }
        assert_eq!(code(&[Outcome::Unspecified]), exit::DECLINED, "what a newer server says is no grant");
        assert_eq!(code(&[]), exit::DECLINED);
    }

    #[test]
    fn every_outcome_has_a_sentence() {
        let said = |outcome, wished| sentence(&result(outcome), wished, 0);
        assert_eq!(
            said(v1::GrantOutcome::Granted, Some(1800)),
            "cp-2: approved ahead for 30 min and 8 releases, from its listed addresses; code G4TX"
        );
        assert_eq!(
            said(v1::GrantOutcome::Granted, Some(7200)),
            "cp-2: approved ahead for 30 min (that is how long the configuration, or another vote, allows) and 8 \
             releases, from its listed addresses; code G4TX"
        );
        assert_eq!(
            said(v1::GrantOutcome::Counted, None),
            "cp-2: NOT in force yet. Your approval counts; 1 more must approve, within ten minutes: nightlatch \
             grant cp-2 --for 1800s --uses 8"
        );
        assert_eq!(
            said(v1::GrantOutcome::Refused, None),
            "cp-2: not approved. First end what refuses it, with nightlatch unblock cp-2: blocked a node from anywhere \
             by bob, 3 min left"
        );
    }
}
