//! `nightlatch-bot run`: asks people, and takes their answers, until it is told to stop.

use nightlatch_approval_api::notify::Manager;

use super::failure::{Failure, exit};
use super::{runtime, telegram};
use crate::config::{Config, Warning};
use crate::kept::Store;
use crate::logging;
use crate::run::{self, Parts, Stopped};

/// Runs the bot.
pub(super) fn run(config: &Config, warnings: &[Warning]) -> Result<(), Failure> {
    logging::start(config.log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let telegram = telegram::from_config(config)?;
    let (store, kept, put_aside) = Store::open(&config.state_directory)
        .map_err(|error| Failure::new(exit::UNAVAILABLE, "the state directory cannot be used").because(&error))?;
    if let Some(put_aside) = put_aside {
        tracing::warn!("{put_aside}");
    }
    let parts = Parts {
        socket: config.socket.clone(),
        settings: config.settings.clone(),
        telegram,
        store,
        kept,
        manager: Manager::from_environment(),
    };
    runtime()?.block_on(run::run(parts)).map_err(|stopped| match stopped {
        Stopped::Refused(_) => Failure::new(exit::NO_PERMISSION, stopped.to_string())
            .hint("the server's configuration needs a [[channel]] with people = \"telegram\" and this user's uid"),
        Stopped::NewerServer => Failure::new(exit::UNAVAILABLE, stopped.to_string()).hint(concat!(
            "if it is nightlatch, it is newer than this nightlatch-bot ",
            env!("CARGO_PKG_VERSION"),
            ": install the bot of the server's version"
        )),
        Stopped::Signals(_) => Failure::new(exit::SOFTWARE, stopped.to_string()).because(&stopped),
    })
}
