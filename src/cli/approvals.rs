//! `nightlatch approvals`: the channel of people who sit at the host.

mod cluster;
mod json;
mod text;
mod vote;
mod watch;

use std::time::Duration;

use clap::{Parser, Subcommand};
use nightlatch_approval_api::v1;

pub(super) use self::json::snapshot as snapshot_as_json;
use super::Failure;
use super::channel::{Options, Session};

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
    /// List what is open, approved, denied or blocked (this is what happens without a command)
    List,
    /// Follow what happens until interrupted
    Watch,
    /// Say yes: the node gets what it asks for, and the keys of its other volumes, for a few minutes
    ///
    /// A machine that is not listed and wants to be added is listed with its address by it.
    ///
    /// With --cluster it covers exactly the list that you see: nothing that asks later, nothing from a wrong address or
    /// from two, and no machine that is not listed. These are shown apart, to be answered by their codes.
    ///
    /// Ends with 0 when all is approved, with 10 when others have to approve it too or something is left to be answered
    /// by its code, and with 11 when something is not approved, because it was denied or is not open any more.
    Approve(Answer),
    /// Say no, and do not ask about this node from there again for a while (as configured: an hour)
    Deny(Answer),
    /// Say no for longer (as configured: a day), to an ask or to a whole node, and end what was approved for it
    Block(Block),
    /// End the denials and blocks of a node
    Unblock(Unblock),
}

/// One ask or all of a cluster.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
struct Answer {
    /// The code of the ask, which the node's console shows too
    #[arg(group = "which")]
    code: Option<String>,
    /// Answer all that is open in this cluster, once you have seen the list
    #[arg(long, group = "which")]
    cluster: Option<String>,
    /// Answer the list without being asked whether it is the right one
    #[arg(long, conflicts_with = "code")]
    yes: bool,
    /// How long it shall last, such as 30m, instead of as configured; an approval at most as the configuration allows
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct Block {
    /// A node's name or UUID, or the code of an ask
    #[arg(value_name = "NODE|CODE")]
    target: String,
    /// How long it shall last, such as 7days, instead of as configured
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct Unblock {
    /// The node's name or UUID
    node: String,
}

/// Refuse a node for longer (as configured: a day), and end what was approved for it
///
/// The same as nightlatch approvals block.
#[derive(Debug, Parser)]
pub struct BlockArgs {
    #[command(flatten)]
    block: Block,
    #[command(flatten)]
    channel: Options,
}

/// End the denials and blocks of a node
///
/// The same as nightlatch approvals unblock. What they ended does not come back.
#[derive(Debug, Parser)]
pub struct UnblockArgs {
    #[command(flatten)]
    unblock: Unblock,
    #[command(flatten)]
    channel: Options,
}

/// Does what the command says.
///
/// # Errors
/// When the server cannot be reached, or does not do it.
pub fn run(args: Args) -> Result<(), Failure> {
    let channel = args.channel;
    match args.command.unwrap_or(Command::List) {
        Command::List => channel.speak(list),
        Command::Watch => channel.stay(watch::run),
        Command::Approve(answer) => give(v1::Verdict::Approve, answer, channel),
        Command::Deny(answer) => give(v1::Verdict::Deny, answer, channel),
        Command::Block(block) => run_block(BlockArgs { block, channel }),
        Command::Unblock(unblock) => run_unblock(UnblockArgs { unblock, channel }),
    }
}

/// Refuses a node.
///
/// # Errors
/// When the server cannot be reached, or does not do it.
pub fn run_block(args: BlockArgs) -> Result<(), Failure> {
    args.channel.speak(async |session| vote::block(session, &args.block.target, args.block.lasts).await)
}

/// Ends what refuses a node.
///
/// # Errors
/// When the server cannot be reached, or does not do it.
pub fn run_unblock(args: UnblockArgs) -> Result<(), Failure> {
    args.channel.speak(async |session| vote::unblock(session, args.unblock.node).await)
}

fn give(verdict: v1::Verdict, answer: Answer, channel: Options) -> Result<(), Failure> {
    match (answer.code, answer.cluster) {
        (None, Some(cluster)) => {
            channel.stay(async |session| cluster::answer(session, &cluster, verdict, answer.lasts, answer.yes).await)
        }
        (code, _) => channel
            .speak(async |session| vote::by_code(session, &code.unwrap_or_default(), verdict, answer.lasts).await),
    }
}

async fn list(session: &mut Session) -> Result<(), Failure> {
    let snapshot = session.snapshot().await?;
    session.print(|now| text::snapshot(&snapshot, now), || json::snapshot(&snapshot))
}
