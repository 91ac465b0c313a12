//! What the bot says and hears, without any network: asks and presses in, messages and votes out.

use std::path::Path;

use crate::config::Config;

/// One run of the bot.
#[derive(Debug)]
pub(crate) struct Session {
    config: Config,
}

impl Session {
    pub(crate) const fn new(config: Config) -> Self {
        Self { config }
    }

    /// The channel that it follows.
    pub(crate) fn socket(&self) -> &Path {
        &self.config.socket
    }
}
