//! The command line: one file per subcommand.
//!
//! A subcommand's file holds `Args`, its options, and `run`, which does it or says why not and what to do.

pub mod approvals;
mod channel;
pub mod check;
pub mod completions;
pub mod credentials;
pub mod demo;
pub mod doctor;
pub mod failure;
pub mod grant;
pub mod init;
pub mod keygen;
pub mod lock;
pub mod man;
pub mod nodes;
pub mod recover;
pub mod seal;
pub mod serve;
pub mod state;
pub mod status;
pub mod talos_config;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::request::Operation;

/// The group of those who may use the socket of the command line. systemd/nightlatch.sysusers makes it.
const APPROVERS_GROUP: &str = "nightlatch-approvers";

pub use failure::{Failure, exit};

/// A key server for Talos Linux disks that asks a person first
#[derive(Debug, Parser)]
#[command(name = "nightlatch", version, arg_required_else_help = false, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// In the order in which the help lists them: first what runs the server, then what guards its keys, then what tries
/// it out, and what sets up the shell at the end.
#[derive(Debug, Subcommand)]
enum Command {
    /// Answer nodes, and ask people first
    Serve(serve::Args),
    /// See what nodes ask for, and answer
    Approvals(approvals::Args),
    // Their help is longer than a line, and stands with their options.
    Status(status::Args),
    Grant(grant::Args),
    Revoke(grant::RevokeArgs),
    Block(approvals::BlockArgs),
    Unblock(approvals::UnblockArgs),
    Lock(lock::Args),
    Unlock(lock::UnlockArgs),
    /// See and change which nodes are listed
    Nodes(nodes::Args),
    /// Print what encrypts a node's disks with keys of this server, as a patch of its machine configuration
    TalosConfig(talos_config::Args),
    /// Check the configuration and say what it means
    Check(check::Args),
    /// Look at everything that has to be right on this host
    Doctor(doctor::Args),
    /// Make the key and all else that the service of this host needs; verify backups
    Credentials(credentials::Args),
    /// Write a backup of the durable state, or put one in its place
    State(state::Args),
    /// Make a first configuration, key and state in a directory, for a trial
    Init(init::Args),
    /// Make a key, and a backup of it
    Keygen(keygen::Args),
    /// Open a sealed blob or a LUKS2 token without a server
    Recover(recover::Args),
    /// Seal data for a node, as the node itself would ask for it
    Seal(seal::Args),
    /// Unseal a sealed blob for a node, as the node itself would ask for it
    Unseal(seal::Args),
    /// Watch a node ask for its disk key, and answer it
    Demo(demo::Args),
    /// Print what makes a shell complete nightlatch's options
    Completions(completions::Args),
    /// Print or write the manual pages
    Man(man::Args),
}

impl Cli {
    /// Does what the command line asks for.
    ///
    /// # Errors
    /// Why it could not be done, and with which code to exit.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => serve::run(args),
            Command::Approvals(args) => approvals::run(args),
            Command::Status(args) => status::run(args),
            Command::Grant(args) => grant::run(args),
            Command::Revoke(args) => grant::revoke(args),
            Command::Block(args) => approvals::run_block(args),
            Command::Unblock(args) => approvals::run_unblock(args),
            Command::Lock(args) => lock::run(args),
            Command::Unlock(args) => lock::unlock(args),
            Command::Nodes(args) => nodes::run(args),
            Command::TalosConfig(args) => talos_config::run(&args),
            Command::Check(args) => check::run(args),
            Command::Doctor(args) => doctor::run(args),
            Command::Credentials(args) => credentials::run(args),
            Command::State(args) => state::run(args),
            Command::Init(args) => init::run(args),
            Command::Keygen(args) => keygen::run(args),
            Command::Recover(args) => recover::run(args),
            Command::Seal(args) => seal::run(Operation::Seal, args),
            Command::Unseal(args) => seal::run(Operation::Unseal, args),
            Command::Demo(args) => demo::run(args),
            Command::Completions(args) => completions::run(args),
            Command::Man(args) => man::run(args),
        }
    }
}

/// The whole program: parses `arguments`, the program's own name first, and does what they say.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let done = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.run(),
        // Help and the version are no errors, although clap returns them as such.
        Err(shown) if !shown.use_stderr() => print_document(shown.render().to_string().as_bytes()),
        Err(error) => Err(Failure::from_parser(&error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With standard error closed there is nobody left to tell.
            let _closed = write!(io::stderr(), "{failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// Writes help, manual pages and the like to standard output. A reader that has seen enough, such as `head`, is fine.
fn print_document(document: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(document).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(exit::IO, "cannot write to standard output").because(&error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
