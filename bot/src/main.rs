//! Asks for approval of nightlatch requests on Telegram: a process of its own, which holds the bot's token and no keys.

use std::process::ExitCode;

fn main() -> ExitCode {
    nightlatch_bot::cli::main(std::env::args_os())
}
