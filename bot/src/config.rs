//! The bot's configuration: where the server's channel is, and which chats belong to whom. No secret stands in it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

/// Longest file that is read, in bytes.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// What the file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The channel's socket.
    #[serde(default = "default_socket")]
    pub socket: PathBuf,
}

fn default_socket() -> PathBuf {
    "/run/nightlatch/telegram.sock".into()
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is too long, or says something that is not known.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let length = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
        anyhow::ensure!(length <= MAX_FILE_LEN, "{} is longer than 1 MiB", path.display());
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} cannot be used", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused() {
        assert!(toml::from_str::<Config>("").is_ok());
        assert!(toml::from_str::<Config>("socket = \"/run/x.sock\"").is_ok());
        assert!(toml::from_str::<Config>("sokcet = \"/run/x.sock\"").is_err());
    }
}
