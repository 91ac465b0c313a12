//! `nightlatch completions`: what a shell needs to complete the options.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Failure, print_document};

/// Options of `nightlatch completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell that is to complete
    shell: Shell,
}

/// Prints the completions to standard output.
///
/// # Errors
/// [`Failure`] when standard output cannot be written.
pub fn run(args: Args) -> Result<(), Failure> {
    // Into memory first: the generator panics when the reader of its output goes away.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nightlatch", &mut script);
    print_document(&script)
}
