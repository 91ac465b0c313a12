//! Keys from where they are kept: a credential that systemd hands over, or a file.
//!
//! Symbolic links are followed. The checks are made on the file that was opened, so nobody can exchange it in between;
//! and whoever could plant a link in its directory could as well put another file there. Container runtimes mount
//! secrets as links.

pub mod contents;
pub mod terminal;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::secret::{KeyBytes, MAX_PASSPHRASE_LEN, NotAPassphrase, Passphrase};

/// The variable in which systemd says where a service's credentials are.
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Why there is no key. [`hint`](Self::hint) says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// systemd handed over no credentials at all.
    #[error("there is no credential {name}: systemd handed over none ({DIRECTORY} is not set)")]
    NoDirectory {
        /// The credential.
        name: Box<str>,
    },
    /// The name is no name of a credential, which is one name of a file.
    #[error("{name:?} is not the name of a credential")]
    Name {
        /// What was given.
        name: Box<str>,
    },
    /// There is no such file or credential.
    #[error("there is no file {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It holds no passphrase.
    #[error("{} holds no passphrase", path.display())]
    NotAPassphrase {
        /// The file.
        path: PathBuf,
        /// Why. It says nothing about what stands in it.
        source: NotAPassphrase,
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
    /// All its bytes are the same, as in a file of zeroes: nobody's random generator wrote it.
    #[error("{} is no key: its bytes are all the same", path.display())]
    Weak {
        /// The file.
        path: PathBuf,
    },
    /// It does not have the length of a key.
    #[error("{} has {found} bytes, and a key has {}", path.display(), KeyBytes::LEN)]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
    },
}

impl Error {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoDirectory { name } => {
                format!("add LoadCredentialEncrypted={name} to the service, or name a file instead")
            }
            Self::Name { .. } => "write the name that LoadCredentialEncrypted= gives it, without a path".into(),
            Self::Missing { .. } => "see that the path is right, or put the backup of the key there; a new key opens no disk that was sealed before".into(),
            Self::NotAPassphrase { .. } => {
                "it is one line, as nightlatch keygen --passphrase wrote it; look at it with cat -A".into()
            }
            Self::NotAFile { .. } => "name the file that holds the key".into(),
            Self::TooOpen { path, .. } => format!(
                "run chmod 600 {0}; where that changes nothing, as on a USB stick, copy it: install -m 600 {0} KEY",
                path.display()
            ),
            Self::Unreadable { .. } => "see that this user may read it".into(),
            Self::Weak { .. } => {
                "take the backup, or make a new key with nightlatch keygen; what was sealed under this \
                one, nightlatch recover opens"
                    .into()
            }
            Self::WrongLength { found: 33, .. } => {
                "a key is 32 raw bytes; an editor or echo may have added a newline: take the backup".into()
            }
            Self::WrongLength { found: 44 | 45 | 64 | 65, .. } => {
                "a key is 32 raw bytes, and this looks like base64 or hexadecimal: decode it".into()
            }
            Self::WrongLength { .. } => "a key is the 32 raw bytes that nightlatch keygen wrote".into(),
        }
    }
}

/// The key in the systemd credential `name`.
///
/// # Errors
/// [`Error`]. The mode is not looked at: systemd gives credentials to this service alone, by means that the mode does
/// not show.
pub fn from_systemd(name: &str) -> Result<KeyBytes, Error> {
    from_directory(directory().as_deref(), name)
}

/// The key in the file at `path`.
///
/// # Errors
/// [`Error`]. The file must be a regular one of 32 bytes, not all the same, on which only its owner has rights.
pub fn from_file(path: &Path) -> Result<KeyBytes, Error> {
    not_weak(from_file_to_recover(path)?, path)
}

/// The key in the file at `path`, to open what was sealed under it: a weak one as well.
///
/// # Errors
/// As [`from_file`], but for [`Error::Weak`].
pub fn from_file_to_recover(path: &Path) -> Result<KeyBytes, Error> {
    read(open_private(path)?, path)
}

/// The key in a backup, whoever may read that: a stick often keeps no permissions.
///
/// # Errors
/// As [`from_file`], but for [`Error::TooOpen`].
pub fn from_backup(path: &Path) -> Result<KeyBytes, Error> {
    not_weak(read(open(path)?.0, path)?, path)
}

/// The passphrase in a backup, whoever may read that.
///
/// # Errors
/// As [`passphrase_from_file`], but for [`Error::TooOpen`].
pub fn passphrase_from_backup(path: &Path) -> Result<Passphrase, Error> {
    read_passphrase(open(path)?.0, path)
}

/// The passphrase in the systemd credential `name`. A line end after it is no part of it.
///
/// # Errors
/// [`Error`]
pub fn passphrase_from_systemd(name: &str) -> Result<Passphrase, Error> {
    let (file, path) = open_in(directory().as_deref(), name)?;
    read_passphrase(file, &path)
}

/// The passphrase in the file at `path`. A line end after it is no part of it.
///
/// # Errors
/// [`Error`]. The file must be a regular one on which only its owner has rights.
pub fn passphrase_from_file(path: &Path) -> Result<Passphrase, Error> {
    read_passphrase(open_private(path)?, path)
}

/// A passphrase from a line, whose end is no part of it.
fn passphrase_in(line: &[u8]) -> Result<Passphrase, NotAPassphrase> {
    let line = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
    Passphrase::new(line.to_vec())
}

/// Where this service's credentials are.
fn directory() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "systemd says in the environment where the credentials are")]
    let directory = std::env::var(DIRECTORY).ok();
    directory.map(PathBuf::from)
}

fn from_directory(directory: Option<&Path>, name: &str) -> Result<KeyBytes, Error> {
    let (file, path) = open_in(directory, name)?;
    not_weak(read(file, &path)?, &path)
}

/// Opens the credential `name`.
fn open_in(directory: Option<&Path>, name: &str) -> Result<(File, PathBuf), Error> {
    let path = path_in(directory, name)?;
    let (file, _) = open(&path)?;
    Ok((file, path))
}

/// Where the credential `name` is, which must be one name in `directory`.
fn path_in(directory: Option<&Path>, name: &str) -> Result<PathBuf, Error> {
    let mut components = Path::new(name).components();
    let single = matches!((components.next(), components.next()),
        (Some(Component::Normal(only)), None) if only == OsStr::new(name));
    if !single {
        return Err(Error::Name { name: name.into() });
    }
    Ok(directory.ok_or_else(|| Error::NoDirectory { name: name.into() })?.join(name))
}

/// Refuses what no random generator gives: a file of zeroes, a disk that reads as 0xFF, one that was never filled.
fn not_weak(key: KeyBytes, path: &Path) -> Result<KeyBytes, Error> {
    let [first, rest @ ..] = key.expose();
    if rest.iter().all(|byte| byte == first) { Err(Error::Weak { path: path.into() }) } else { Ok(key) }
}

/// Opens a regular file on which only its owner has rights.
fn open_private(path: &Path) -> Result<File, Error> {
    let (file, mode) = open(path)?;
    if mode & 0o077 != 0 { Err(Error::TooOpen { path: path.into(), mode }) } else { Ok(file) }
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

fn read_passphrase(mut file: File, path: &Path) -> Result<Passphrase, Error> {
    // A line end of two bytes, and one byte more, so that a longer line is noticed.
    let mut buffer = Zeroizing::new([0; MAX_PASSPHRASE_LEN + 3]);
    let length = fill(&mut file, &mut *buffer).map_err(|source| Error::Unreadable { path: path.into(), source })?;
    let line = buffer.get(..length).unwrap_or_default();
    passphrase_in(line).map_err(|source| Error::NotAPassphrase { path: path.into(), source })
}

/// Reads until the end or until `buffer` is full, and tells how many bytes there were.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(room @ [_, ..]) = buffer.get_mut(length..) {
        match file.read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn read(mut file: File, path: &Path) -> Result<KeyBytes, Error> {
    let unreadable = |source| Error::Unreadable { path: path.into(), source };
    // One byte more than a key, so that a longer file is noticed.
    let mut buffer = Zeroizing::new([0; KeyBytes::LEN + 1]);
    let length = fill(&mut file, &mut *buffer).map_err(unreadable)?;
    let wrong_length = |found| Error::WrongLength { path: path.into(), found };
    if length > KeyBytes::LEN {
        let told = file.metadata().map_err(unreadable)?.len();
        return Err(wrong_length(told.max(KeyBytes::LEN as u64 + 1)));
    }
    KeyBytes::try_fill(|key| {
        let read = buffer.get(..length).filter(|read| read.len() == key.len());
        key.copy_from_slice(read.ok_or_else(|| wrong_length(length as u64))?);
        Ok(())
    })
}

#[cfg(test)]
mod tests;
