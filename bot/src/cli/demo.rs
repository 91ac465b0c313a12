//! `nightlatch-bot demo`: real prompts for pretend asks, in the configured chats or as a page.

use std::path::Path;

use super::failure::{Failure, exit};

/// Options of `nightlatch-bot demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print a page with every prompt instead of sending it: needs neither token nor configuration
    #[arg(long)]
    html: bool,
}

/// Shows the prompts.
pub(super) fn run(args: &Args, config: &Path) -> Result<(), Failure> {
    let place = if args.html { "standard output".to_owned() } else { config.display().to_string() };
    Err(Failure::new(exit::UNAVAILABLE, format!("the prompts are not built yet; {place} would be used")))
}
