//! `nightlatch-bot demo`: what people are asked, with pretend nodes. It needs neither token nor configuration.

use super::failure::Failure;
use super::print_document;
use crate::demo;

/// Options of `nightlatch-bot demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print a page for a browser, which looks as a phone does, instead of text
    #[arg(long)]
    html: bool,
}

/// Prints the prompts.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let scenes = demo::demo();
    print_document(if args.html { demo::html(&scenes) } else { demo::text(&scenes) })
}
