//! `nightlatch nodes`: which nodes are listed. Those of the configuration are shown, and changed there; the others are
//! in the list that people keep, which is changed here.

pub(super) mod call;
mod import;
mod json;
pub mod proxmox;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use ipnet::IpNet;
use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::change_node_request::Change;

use self::call::Connection;
use super::channel::Options;
use super::{Failure, exit};
use crate::clock::{Clock, HostClock};

/// See and change which nodes are listed
#[derive(Debug, Parser)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    channel: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the nodes, and where each is listed (this is what happens without a command)
    List,
    /// List a node, so that it may ask
    Add(Add),
    /// Call a node something else
    Name {
        /// The node's name or UUID
        node: String,
        /// What it is called from now on
        #[arg(value_name = "NEW")]
        name: String,
    },
    /// Say from which addresses a node calls, instead of those it has
    Pin(Pin),
    /// List a node no more: its disks are not opened until it is listed again; what is sealed stays good
    Forget {
        /// The node's name or UUID
        node: String,
    },
    /// Say which UUIDs a node had before, instead of those it has: it may open what was sealed for them
    Formerly(Formerly),
    /// Read the configuration files of Proxmox VE, and propose its virtual machines as nodes
    ImportProxmox(Import),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The node's UUID: talosctl get systeminformation shows it
    uuid: String,
    /// What people call it: 1 to 64 letters, digits, blanks, `.`, `_`, `-`
    #[arg(long)]
    name: String,
    /// Its cluster, one of the configuration
    #[arg(long)]
    cluster: Option<String>,
    /// An address or network that it calls from (may be given again); without any it may call from anywhere within the
    /// allowed networks, and each address is approved by itself
    #[arg(long = "address", value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// A UUID that it had before (may be given again)
    #[arg(long, value_name = "UUID")]
    formerly: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Pin {
    /// The node's name or UUID
    node: String,
    /// Addresses or networks, such as 192.0.2.11
    #[arg(required_unless_present = "anywhere", value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// Keep those it has, and add these
    #[arg(long, conflicts_with = "anywhere")]
    add: bool,
    /// Take all away: it may call from anywhere within the allowed networks, and each address is approved by itself
    #[arg(long, conflicts_with = "addresses")]
    anywhere: bool,
}

#[derive(Debug, clap::Args)]
struct Formerly {
    /// The node's name or UUID
    node: String,
    /// UUIDs of machines that are gone
    #[arg(required_unless_present = "none", value_name = "UUID")]
    uuids: Vec<String>,
    /// Take all away
    #[arg(long, conflicts_with = "uuids")]
    none: bool,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// Files such as 100.conf, or directories of them [default: /etc/pve/qemu-server and /etc/pve/nodes/*/qemu-server]
    #[arg(value_name = "FILE|DIRECTORY")]
    paths: Vec<PathBuf>,
    /// Put them into the list that people keep, after showing it and asking, instead of printing tables for the
    /// configuration
    #[arg(long)]
    add: bool,
    /// Do not ask
    #[arg(long, requires = "add")]
    yes: bool,
    /// The cluster of all of them
    #[arg(long)]
    cluster: Option<String>,
}

/// Does what the command says.
///
/// # Errors
/// When the server cannot be reached, or does not do it.
pub fn run(args: Args) -> Result<(), Failure> {
    let command = args.command.unwrap_or(Command::List);
    let command = match command {
        Command::ImportProxmox(import) => return import::run(&import, &args.channel),
        other => other,
    };
    let socket = args.channel.socket()?;
    call::runtime()?.block_on(async {
        let connection = Connection::new(socket);
        let (shown, is_done) = done(connection, command, args.channel.json).await?;
        print(&shown)?;
        if is_done { Ok(()) } else { Err(Failure::already_told(exit::UNFINISHED)) }
    })
}

/// What is to be shown once the command is done, and whether it is: others may have to say the same.
async fn done(mut server: Connection, command: Command, json: bool) -> Result<(String, bool), Failure> {
    let (node, change) = match command {
        // Import has a way of its own.
        Command::List | Command::ImportProxmox(_) => {
            let snapshot = server.snapshot().await?;
            let now = HostClock.now().wall.unix_millis();
            let shown = if json { format!("{}\n", json::list(&snapshot)) } else { text::list(&snapshot, now) };
            return Ok((shown, true));
        }
        Command::Add(Add { uuid, name, cluster, addresses, formerly }) => {
            let cluster = cluster.unwrap_or_default();
            (uuid, Change::Add(v1::AddNode { name, cluster, addresses, formerly }))
        }
        Command::Name { node, name } => (node, Change::Name(name)),
        Command::Pin(pin) => {
            let mut addresses = if pin.add { server.node(&pin.node).await?.addresses } else { vec![] };
            for address in pin.addresses {
                if !addresses.iter().any(|known| is_same(known, &address)) {
                    addresses.push(address);
                }
            }
            (pin.node, Change::Addresses(v1::Addresses { addresses }))
        }
        Command::Forget { node } => (node, Change::Forget(true)),
        Command::Formerly(Formerly { node, uuids, none: _ }) => (node, Change::Formerly(v1::Formerly { uuids })),
    };
    let response = server.change(node.clone(), change.clone()).await?;
    let is_done = matches!(response.outcome(), v1::ChangeOutcome::Changed | v1::ChangeOutcome::Unchanged);
    let shown = if json { format!("{}\n", json::changed(&response)) } else { text::changed(&node, &change, &response) };
    Ok((shown, is_done))
}

/// Whether both are the same network, or the same address: `192.0.2.11` is `192.0.2.11/32`.
fn is_same(one: &str, other: &str) -> bool {
    let network = |text: &str| text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    one == other || network(one).is_some_and(|one| Some(one) == network(other))
}

fn print(shown: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(shown.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(exit::IO, "cannot write to standard output").because(&error))
        }
        _ => Ok(()),
    }
}
