//! `nightlatch state`: a backup of the durable state, and the way back.

mod import;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::serve::state_code;
use super::{Failure, check, exit, print_document};
use crate::clock::{Clock, HostClock};
use crate::config;
use crate::state;

/// Options of `nightlatch state`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write a backup of the state, while the server runs or not
    Export {
        /// The new file to write, for its owner's eyes only; - is standard output
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
        config: PathBuf,
    },
    /// Put a backup in the place of the state, while the server is stopped
    Import {
        /// The backup to read; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Take a backup that is older than what is known here: the server starts locked then
        #[arg(long)]
        older: bool,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
        config: PathBuf,
    },
}

/// Does what is asked for.
///
/// # Errors
/// [`Failure`] that says what happened and how to go on.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Export { file, config } => export(&file, &config),
        Command::Import { file, older, config } => {
            let (config, _) = check::load(&config)?;
            let bytes = import::read(&file)?;
            let said = import::import(&config, &bytes, older, HostClock.now().wall)?;
            print_document(said.as_bytes())
        }
    }
}

/// Whether a file is standard input or output.
fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn export(file: &Path, config: &Path) -> Result<(), Failure> {
    let (config, _) = check::load(config)?;
    let (generation, bytes) = state::copy(&config.state_directory, config.installation).map_err(|error| {
        Failure::new(state_code(&error), "there is no state to export").because(&error).hint(error.hint())
    })?;
    if is_standard(file) {
        return print_document(&bytes);
    }
    write_new(file, &bytes)?;
    let said = format!(
        "wrote {} bytes to {}\nthe state of installation {}, generation {generation}\n\
         keep it where only you can read it: it has the names of nodes and people, and from where they call\n",
        bytes.len(),
        file.display(),
        config.installation
    );
    print_document(said.as_bytes())
}

/// Writes a new file, as a whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let cannot = |code, error: &io::Error| {
        Failure::new(code, format!("cannot write {}", path.display()))
            .because(error)
            .hint("name a new file, on a disk with room")
    };
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut new = new.map_err(|error| cannot(exit::CANNOT_CREATE, &error))?;
    new.write_all(bytes).and_then(|()| new.sync_all()).map_err(|error| {
        // Half a backup is found out when it is read, and that would be late.
        let _hinted_at = fs::remove_file(path);
        cannot(exit::IO, &error)
    })
}

#[cfg(test)]
mod tests;
