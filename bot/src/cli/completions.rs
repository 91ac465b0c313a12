//! `nightlatch-bot completions`: what a shell needs to complete the options.

use clap::CommandFactory;
use clap_complete::Shell;

use super::failure::Failure;
use super::{Cli, print_document};

/// Options of `nightlatch-bot completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell that is to complete
    shell: Shell,
}

/// Prints the completions to standard output.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    // Into memory first: the generator panics when the reader of its output goes away.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nightlatch-bot", &mut script);
    print_document(&script)
}
