//! `nightlatch approvals`: the channel of people who sit at the host.

mod json;
mod text;
mod watch;

use std::time::Duration;

use clap::{Parser, Subcommand};
use nightlatch_approval_api::v1;

use super::channel::text::{name, printable, refusal as refused};
use super::channel::{Options, Session, whole_seconds};
use super::{Failure, exit};

/// See what nodes ask for, and answer
#[derive(Debug, Parser)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    channel: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what is open, and who is denied or blocked (this is what happens without a command)
    List,
    /// Follow what happens until interrupted
    Watch,
    /// Say yes: the node gets what it asks for, and the keys of its other volumes, for a few minutes
    Approve(Answer),
    /// Say no, and do not ask about this node from there again for a while (as configured: an hour)
    Deny(Answer),
    /// Say no for longer (as configured: a day), to an ask or to a whole node, and end what was approved for it
    Block(Block),
    /// End the denials and blocks of a node
    Unblock {
        /// The node's name or UUID
        node: String,
    },
}

#[derive(Debug, clap::Args)]
struct Answer {
    /// The code of the ask, which the node's console shows too
    code: String,
    /// How long it shall last, such as 30m, instead of as configured; an approval at most as the configuration allows
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct Block {
    /// The code of an ask, or a node's name or UUID
    target: String,
    /// How long it shall last, such as 7days, instead of as configured
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
}

/// Does what the command says.
///
/// # Errors
/// When the server cannot be reached, or does not do it.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.command.unwrap_or(Command::List) {
        Command::List => args.channel.speak(list),
        Command::Watch => args.channel.stay(watch::run),
        Command::Approve(answer) => {
            args.channel.speak(async |session| vote(session, &answer.code, v1::Verdict::Approve, answer.lasts).await)
        }
        Command::Deny(answer) => {
            args.channel.speak(async |session| vote(session, &answer.code, v1::Verdict::Deny, answer.lasts).await)
        }
        Command::Block(refused) => args.channel.speak(async |session| block(session, &refused).await),
        Command::Unblock { node } => args.channel.speak(async |session| unblock(session, node).await),
    }
}

async fn list(session: &mut Session) -> Result<(), Failure> {
    let snapshot = session.snapshot().await?;
    session.print(|now| text::snapshot(&snapshot, now), || json::snapshot(&snapshot))
}

async fn vote(session: &mut Session, code: &str, verdict: v1::Verdict, lasts: Option<Duration>) -> Result<(), Failure> {
    let Some(ask) = find(session, code).await? else {
        return Err(no_such_code(code));
    };
    vote_on(session, &ask, verdict, lasts).await
}

/// The ask with this code: an open one, or one that was closed a while ago, so that a late answer is told how.
async fn find(session: &mut Session, code: &str) -> Result<Option<v1::Ask>, Failure> {
    let snapshot = session.snapshot().await?;
    let closed = snapshot.closed.into_iter().rev().filter_map(|closed| closed.ask);
    Ok(snapshot.asks.into_iter().chain(closed).find(|ask| ask.code.eq_ignore_ascii_case(code.trim())))
}

async fn vote_on(
    session: &mut Session,
    ask: &v1::Ask,
    verdict: v1::Verdict,
    lasts: Option<Duration>,
) -> Result<(), Failure> {
    let request = v1::VoteRequest {
        ask_id: ask.id.clone(),
        verdict: verdict.into(),
        telegram_id: None,
        for_seconds: lasts.map(whole_seconds),
    };
    let answered = session.client.vote(request).await;
    let response = session.answer(answered)?;
    match response.result() {
        v1::VoteResult::NotAnApprover => {
            Err(Failure::new(exit::NO_PERMISSION, format!("you are no approver of {}", name(ask.node.as_ref())))
                .hint("the configuration lists the approvers of each node; nothing was changed"))
        }
        v1::VoteResult::Unknown | v1::VoteResult::Unspecified => Err(no_such_code(&ask.code)),
        _ => session.print(|now| text::vote(&response, now), || json::vote(&response)),
    }
}

async fn block(session: &mut Session, block: &Block) -> Result<(), Failure> {
    if let Some(ask) = find(session, &block.target).await? {
        return vote_on(session, &ask, v1::Verdict::Block, block.lasts).await;
    }
    let request =
        v1::BlockRequest { node: block.target.clone(), telegram_id: None, for_seconds: block.lasts.map(whole_seconds) };
    let answered = session.client.block(request).await;
    let refusal = session.answer(answered)?.refusal.unwrap_or_default();
    session.print(|now| refused(&refusal, now), || json::refusal(&refusal))
}

async fn unblock(session: &mut Session, node: String) -> Result<(), Failure> {
    let answered = session.client.unblock(v1::UnblockRequest { node, telegram_id: None }).await;
    let ended = session.answer(answered)?.ended;
    session.print(|_| text::unblocked(ended), || json::unblocked(ended))
}

fn no_such_code(code: &str) -> Failure {
    Failure::new(exit::DATA, format!("no open ask has the code {}", printable(code))).hint(
        "nightlatch approvals lists what is open; an ask that was answered or forgotten is asked again by the node",
    )
}
