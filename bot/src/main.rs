//! Asks for approval of nightlatch requests on Telegram: a process of its own, which holds the bot's token and no keys.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nightlatch_bot::config::Config;

/// Asks for approval of nightlatch requests on Telegram
#[derive(Debug, Parser)]
#[command(name = "nightlatch-bot", version)]
struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/nightlatch/nightlatch-bot.toml")]
    config: PathBuf,
}

/// Exit codes of sysexits.h: the configuration is wrong; what is needed is not there.
const CONFIG: u8 = 78;
const UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (code, error, hint) = match Config::load(&arguments.config) {
        Err(error) => (CONFIG, format!("{error:#}"), "correct the file that --config names"),
        Ok(config) => (
            UNAVAILABLE,
            format!("the Telegram side is not built yet; {} would be followed", config.socket.display()),
            "answer with nightlatch approvals meanwhile",
        ),
    };
    // With standard error closed there is nobody left to tell.
    let _closed = write!(std::io::stderr(), "nightlatch-bot: error: {error}\nnightlatch-bot: hint: {hint}\n");
    ExitCode::from(code)
}
