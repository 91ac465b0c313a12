//! The bot's secrets, from where they are kept: a credential that systemd hands over, or a file that only its owner may
//! read. They are never an argument, a variable, or part of an error.
//!
//! Symbolic links are followed. The checks are made on the file that was opened, so nobody can exchange it in between;
//! and whoever could plant a link in its directory could as well put another file there. Container runtimes mount
//! secrets as links.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::config::Proxy;
use crate::telegram::ProxyUrl;
use crate::token::Token;

/// The credential that holds the bot's token.
pub const TOKEN: &str = "telegram-token";
/// The credential that holds the address of the proxy.
pub const PROXY: &str = "telegram-proxy";

/// Longest secret, in bytes.
const MAX_LEN: usize = 1024;

/// The variable in which systemd says where a service's credentials are.
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Why there is no secret. [`hint`](Self::hint) says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// systemd handed over no credentials at all.
    #[error("there is no credential {0}: systemd handed over none ({DIRECTORY} is not set)")]
    NoDirectory(&'static str),
    /// There is no such file or credential.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// It is a directory, a device, a pipe or a socket.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
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
    /// What it holds is no bot's token.
    #[error("{} holds no token of a bot", .0.display())]
    NotAToken(PathBuf),
    /// What it holds is no address of a proxy.
    #[error("{} holds no address of a proxy", .0.display())]
    NotAProxy(PathBuf),
}

impl Error {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoDirectory(TOKEN) => {
                "the service has it; by hand run systemd-run --wait --pipe --uid=nightlatch-bot -p \
                LoadCredentialEncrypted=telegram-token:/etc/credstore.encrypted/telegram-token nightlatch-bot check"
                    .into()
            }
            Self::NoDirectory(name) => format!("add LoadCredentialEncrypted={name} to the service, or name a file"),
            Self::Missing(_) => "see that the path is right".into(),
            Self::NotAFile(_) => "name the file that holds the secret".into(),
            Self::TooOpen { path, .. } => format!(
                "run chmod 600 {}, and if others may have read a token there, have @BotFather revoke it",
                path.display()
            ),
            Self::Unreadable { .. } => "see that this user may read it".into(),
            Self::NotAToken(_) => {
                "it is one line, digits:letters, as @BotFather shows it after /newbot or /token".into()
            }
            Self::NotAProxy(_) => "it is one line such as socks5h://user:password@192.0.2.1:1080".into(),
        }
    }
}

/// The bot's token, from `file`, or from the credential [`TOKEN`].
///
/// # Errors
/// [`Error`], which tells nothing of what was read.
pub fn token(file: Option<&Path>) -> Result<Token, Error> {
    let (text, path) = match file {
        Some(path) => (read(open_private(path)?, path)?, path.to_owned()),
        None => from_systemd(directory().as_deref(), TOKEN)?,
    };
    text.as_ref().and_then(Token::parse).ok_or(Error::NotAToken(path))
}

/// The address of the proxy, from where the configuration says it is.
///
/// # Errors
/// [`Error`], which tells nothing of what was read.
pub fn proxy(proxy: &Proxy) -> Result<ProxyUrl, Error> {
    let (text, path) = match proxy {
        Proxy::Url(url) => (Some(Zeroizing::new(url.as_str().to_owned())), PathBuf::new()),
        Proxy::File(path) => (read(open_private(path)?, path)?, path.clone()),
        Proxy::Credential => from_systemd(directory().as_deref(), PROXY)?,
    };
    text.and_then(|text| ProxyUrl::parse(&text).ok()).ok_or(Error::NotAProxy(path))
}

/// Where this service's credentials are.
fn directory() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "systemd says in the environment where the credentials are")]
    let directory = std::env::var(DIRECTORY).ok();
    directory.map(PathBuf::from)
}

/// A secret's text, and where it stood.
type Found = (Option<Zeroizing<String>>, PathBuf);

/// The mode is not looked at: systemd gives credentials to this service alone, by means that the mode does not show.
fn from_systemd(directory: Option<&Path>, name: &'static str) -> Result<Found, Error> {
    let path = directory.ok_or(Error::NoDirectory(name))?.join(name);
    let (file, _) = open(&path)?;
    Ok((read(file, &path)?, path))
}

/// Opens a regular file on which only its owner has rights.
fn open_private(path: &Path) -> Result<File, Error> {
    let (file, mode) = open(path)?;
    if mode & 0o077 != 0 { Err(Error::TooOpen { path: path.into(), mode }) } else { Ok(file) }
}

/// Opens a regular file that holds no secret.
pub(crate) fn open_file(path: &Path) -> Result<File, Error> {
    open(path).map(|(file, _)| file)
}

/// Opens a regular file, and tells its permission bits. The checks are made on what was opened.
fn open(path: &Path) -> Result<(File, u32), Error> {
    let unreadable = |source| Error::Unreadable { path: path.into(), source };
    let file = std::fs::OpenOptions::new()
        .read(true)
        // Opening a pipe that nobody writes to would otherwise wait for somebody.
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Missing(path.into()),
            _ => unreadable(error),
        })?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile(path.into()));
    }
    Ok((file, metadata.mode() & 0o7777))
}

/// The one line in the file, without its end; none when it is no text, or too long.
fn read(mut file: File, path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
    // One byte more, so that a longer one is noticed; never moved, so that no copy stays behind.
    let mut buffer = Zeroizing::new([0; MAX_LEN + 1]);
    let mut length = 0;
    while let Some(room @ [_, ..]) = buffer.get_mut(length..) {
        match file.read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Unreadable { path: path.into(), source }),
        }
    }
    let line = buffer.get(..length).filter(|line| line.len() <= MAX_LEN);
    let text = line.and_then(|line| str::from_utf8(line).ok());
    let without_end = |text: &str| {
        let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        Zeroizing::new(line.to_owned())
    };
    Ok(text.map(without_end))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SAMPLE: &str = "123456789:AAExample_of-a-token-of-35-letters_";

    fn file(directory: &tempfile::TempDir, contents: &[u8], mode: u32) -> PathBuf {
        let path = directory.path().join("secret");
        std::fs::write(&path, contents).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("our file");
        path
    }

    /// Fails to compile when a secret can be printed, cloned or compared.
    #[test]
    fn secrets_cannot_be_printed_cloned_or_compared() {
        trait Without<Marker> {
            fn it() {}
        }
        struct Printed;
        struct Cloned;
        struct Compared;
        impl<T> Without<()> for T {}
        impl<T: std::fmt::Debug> Without<Printed> for T {}
        impl<T: Clone> Without<Cloned> for T {}
        impl<T: PartialEq> Without<Compared> for T {}
        <Token as Without<_>>::it();
        <ProxyUrl as Without<_>>::it();
    }

    #[test]
    fn a_token_is_read_from_a_private_file_with_or_without_a_line_end() {
        let directory = tempfile::tempdir().expect("a directory");
        for end in ["", "\n", "\r\n"] {
            let path = file(&directory, format!("{SAMPLE}{end}").as_bytes(), 0o600);
            assert!(token(Some(&path)).is_ok_and(|token| token.expose() == SAMPLE), "{end:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        for mode in [0o640, 0o604, 0o660] {
            let path = file(&directory, SAMPLE.as_bytes(), mode);
            assert!(matches!(token(Some(&path)), Err(Error::TooOpen { .. })), "{mode:o}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let long = format!("1:{}", "x".repeat(MAX_LEN));
        let twice = format!("{SAMPLE}\n{SAMPLE}");
        let ended_twice = format!("{SAMPLE}\n\n");
        let texts: [&[u8]; 6] = [b"", b"\n", b"123456789", b"\xff", twice.as_bytes(), ended_twice.as_bytes()];
        for text in texts.into_iter().chain([long.as_bytes()]) {
            let path = file(&directory, text, 0o600);
            let Err(error) = token(Some(&path)) else { panic!("taken: {text:?}") };
            assert_eq!(error.to_string(), format!("{} holds no token of a bot", path.display()));
        }
    }

    #[test]
    fn a_link_counts_for_the_file_behind_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = file(&directory, SAMPLE.as_bytes(), 0o644);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert!(matches!(token(Some(&link)), Err(Error::TooOpen { .. })));
        file(&directory, SAMPLE.as_bytes(), 0o600);
        assert!(token(Some(&link)).is_ok());
    }

    #[test]
    fn pipes_directories_and_nothing_are_refused_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(matches!(token(Some(directory.path())), Err(Error::NotAFile(_))));
        assert!(matches!(token(Some(&directory.path().join("none"))), Err(Error::Missing(_))));
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
        assert!(matches!(token(Some(&pipe)), Err(Error::NotAFile(_))));
    }

    #[test]
    fn credentials_are_read_whatever_their_mode() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = file(&directory, SAMPLE.as_bytes(), 0o440);
        std::fs::rename(path, directory.path().join(TOKEN)).expect("renamed");
        let found = from_systemd(Some(directory.path()), TOKEN);
        assert!(found.is_ok_and(|(text, _)| text.is_some_and(|text| *text == SAMPLE)));
        assert!(matches!(from_systemd(None, TOKEN), Err(Error::NoDirectory(TOKEN))));
        assert!(matches!(from_systemd(Some(directory.path()), PROXY), Err(Error::Missing(_))));
    }

    #[test]
    fn a_proxy_may_have_a_password_in_a_private_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = file(&directory, b"socks5h://user:word@192.0.2.1:1080\n", 0o600);
        let read = proxy(&Proxy::File(path.clone()));
        assert!(read.is_ok());
        file(&directory, b"ftp://user:word@192.0.2.1", 0o600);
        let Err(error) = proxy(&Proxy::File(path)) else { panic!("taken") };
        assert!(!format!("{error} {error:?} {}", error.hint()).contains("user:word"), "it tells the password");
    }
}
