//! `nightlatch-bot man`: the manual pages, made from the same definitions as the help.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::Man;

use super::failure::{Failure, exit};
use super::{Cli, print_document};

/// Options of `nightlatch-bot man`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write nightlatch-bot.1 and one page per subcommand into this directory, over older ones
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the main page to standard output, or writes all pages into a directory.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.out {
        Some(directory) => clap_mangen::generate_to(Cli::command(), &directory).map_err(|error| {
            Failure::new(exit::CANNOT_CREATE, format!("cannot write manual pages to {}", directory.display()))
                .because(&error)
                .hint("create the directory first, and run this as someone who may write there")
        }),
        None => {
            let mut page = Vec::new();
            Man::new(Cli::command())
                .render(&mut page)
                .map_err(|error| Failure::new(exit::SOFTWARE, "cannot lay out the manual page").because(&error))?;
            print_document(&page)
        }
    }
}
