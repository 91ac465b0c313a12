//! The bot's token, from a private file or a systemd credential. Whoever has it is the bot: reads every press, and can
//! send messages that look like ours. It leaves this module only through [`Token::expose`].
//!
//! Symbolic links are followed. The checks are made on the file that was opened, so nobody can exchange it in between;
//! and whoever could plant a link in its directory could as well put another file there. Container runtimes mount
//! secrets as links.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The name of the credential that systemd hands over.
pub const CREDENTIAL: &str = "telegram-token";

/// How much of a file is read, in bytes.
const MAX_READ: usize = 128;

/// A token as BotFather gives it: the bot's number, a colon, and a secret of about 35 letters, digits, `-` and `_`.
/// Boxed, so that moving it copies no bytes, and wiped when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Token(Box<str>);

/// Why there is no token. [`hint`](Self::hint) says what to do. It never says what stands in the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file or credential.
    #[error("there is no file {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is a directory, a device, a pipe or a socket.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Others than its owner have rights on it.
    #[error("{} is open to others than its owner (mode {mode:04o})", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// What stands in it does not look like a token.
    #[error("{} holds no bot token", path.display())]
    NotAToken {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { path } => {
                format!("write the token that @BotFather gave into {}, with mode 0600", path.display())
            }
            Self::NotAFile { .. } => "name the file that holds the token".into(),
            Self::TooOpen { path, .. } => format!(
                "run chmod 600 {0}, and if others may have read it, have @BotFather revoke the token",
                path.display()
            ),
            Self::Unreadable { .. } => "see that this user may read it".into(),
            Self::NotAToken { .. } => {
                "it is one line, digits:letters, as @BotFather shows it after /newbot or /token".into()
            }
        }
    }
}

impl Token {
    /// The token in `text`. A line end after it is no part of it. `None` when it does not look like one.
    #[must_use]
    pub fn parse(text: &Zeroizing<String>) -> Option<Self> {
        let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        let (number, secret) = line.split_once(':')?;
        let is_number = (3..=16).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let is_secret = (30..=64).contains(&secret.len())
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (is_number && is_secret).then(|| Self(line.into()))
    }

    /// The token in the file at `path`.
    ///
    /// # Errors
    /// [`Error`]. The file must be a regular one on which only its owner has rights.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let (file, mode) = open(path)?;
        if mode & 0o077 != 0 {
            return Err(Error::TooOpen { path: path.into(), mode });
        }
        read(file, path)
    }

    /// The token in the credential [`CREDENTIAL`] of `directory`, which systemd names in `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// [`Error`]. The mode is not looked at: systemd gives credentials to this service alone, by means that the mode
    /// does not show.
    pub fn from_credentials(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(CREDENTIAL);
        let (file, _) = open(&path)?;
        read(file, &path)
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Opens a regular file, and tells its permission bits.
fn open(path: &Path) -> Result<(File, u32), Error> {
    let unreadable = |source| Error::Unreadable { path: path.into(), source };
    let file = std::fs::OpenOptions::new()
        .read(true)
        // Opening a pipe that nobody writes to would otherwise wait for somebody.
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Missing { path: path.into() },
            _ => unreadable(error),
        })?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.into() });
    }
    Ok((file, metadata.mode() & 0o7777))
}

fn read(file: File, path: &Path) -> Result<Token, Error> {
    let not_a_token = || Error::NotAToken { path: path.into() };
    // With room for all that is read, so that growing leaves no copy behind. What is cut off here is longer than any
    // token.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MAX_READ));
    file.take(MAX_READ as u64)
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Unreadable { path: path.into(), source })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| not_a_token())?;
    Token::parse(&Zeroizing::new(text.to_owned())).ok_or_else(not_a_token)
}

#[cfg(test)]
mod tests;
