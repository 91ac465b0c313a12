//! `nightlatch-bot run`: asks people, and takes their answers, until it is told to stop.

use super::failure::{Failure, exit};
use crate::config::{Config, Warning};
use crate::logging;

/// Runs the bot.
pub(super) fn run(config: &Config, warnings: &[Warning]) -> Result<(), Failure> {
    logging::start(config.log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let error = format!("the Telegram side is not built yet; {} would be followed", config.socket.display());
    Err(Failure::new(exit::UNAVAILABLE, error).hint("answer with nightlatch approvals meanwhile"))
}
