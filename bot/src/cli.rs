//! The command line: one file per subcommand, which holds `run`, and `Args` where it has options.

mod check;
mod completions;
mod demo;
mod failure;
mod man;
mod run;
mod telegram;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::{Failure, exit};
use crate::config::{self, Config, Warning};

/// Asks for approval of nightlatch requests on Telegram
#[derive(Debug, Parser)]
#[command(name = "nightlatch-bot", version, disable_help_subcommand = true)]
struct Cli {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask people, and take their answers; what is done without a command
    Run,
    /// Check the configuration, the token, the chats, the people and the server's socket
    Check(check::Args),
    /// Show what people are asked, with pretend nodes
    Demo(demo::Args),
    /// Print what makes a shell complete nightlatch-bot's options
    Completions(completions::Args),
    /// Print or write the manual pages
    Man(man::Args),
}

/// The whole program: parses `arguments`, the program's own name first, and does what they say.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let done = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.run(),
        // Help and the version are no errors, although clap returns them as such.
        Err(shown) if !shown.use_stderr() => print_document(shown.render().to_string()),
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

impl Cli {
    fn run(self) -> Result<(), Failure> {
        match self.command.unwrap_or(Command::Run) {
            Command::Run => {
                let (config, warnings) = load(&self.config)?;
                run::run(&config, &warnings)
            }
            Command::Check(args) => {
                let (config, warnings) = load(&self.config)?;
                check::run(&args, &self.config, &config, &warnings)
            }
            Command::Demo(args) => demo::run(&args),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(args),
        }
    }
}

/// Loads the configuration for any subcommand.
fn load(path: &Path) -> Result<(Config, Vec<Warning>), Failure> {
    Config::load(path).map_err(|error| {
        let hint = match error {
            config::Error::Read { .. } => {
                "name the configuration with --config FILE; nightlatch-bot.toml is the example"
            }
            _ => "correct the file; nightlatch-bot check --offline tells whether it can be used",
        };
        Failure::new(exit::CONFIG, error.to_string()).because(&error).hint(hint)
    })
}

/// What asynchronous work runs on. One thread: nothing here computes for long.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::SOFTWARE, "cannot start").because(&error))
}

/// Writes to standard output. A reader that has seen enough, such as `head`, is fine.
fn print_document(document: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(document.as_ref()).and_then(|()| stdout.flush()) {
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
