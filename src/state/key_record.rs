//! The key record: for each key a golden blob, and when its backup was verified last. It holds no secret.
//!
//! docs/spec/key-record.md is the specification. The server neither reads nor writes it: `nightlatch credentials` writes,
//! under a lock that is not the state's, and `nightlatch doctor` reads. All calls block.

mod format;

use std::path::{Path, PathBuf};

use super::directory::{Directory, Found, Names};
use crate::clock::WallTime;
use crate::key::{KeyId, SourceNumber};
use crate::request::SealedBlob;

pub use format::{MAX_KEYS, MAX_LEN, Unreadable, Unwritable, parse};

const NAMES: Names = Names { file: "key-record.json", new: "key-record.new", lock: "key-record.lock" };

/// Longest place of a backup that is kept, in bytes.
pub const MAX_PLACE_LEN: usize = 256;

/// What is known about the keys of an installation. No two of them have one source and one id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyRecord {
    keys: Vec<RecordedKey>,
}

impl KeyRecord {
    /// All keys, in the order in which they were first recorded.
    #[must_use]
    pub fn keys(&self) -> &[RecordedKey] {
        &self.keys
    }

    /// The key with this id from this source.
    #[must_use]
    pub fn find(&self, source: SourceNumber, id: KeyId) -> Option<&RecordedKey> {
        self.keys.iter().find(|key| (key.source, key.id) == (source, id))
    }

    /// Records `key`, in the place of what was recorded about the same key.
    pub fn put(&mut self, key: RecordedKey) {
        match self.keys.iter_mut().find(|known| (known.source, known.id) == (key.source, key.id)) {
            Some(known) => *known = key,
            None => self.keys.push(key),
        }
    }
}

/// What is known about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedKey {
    /// Its id.
    pub id: KeyId,
    /// Where it comes from.
    pub source: SourceNumber,
    /// What the configuration called it when this was written: at most 256 bytes, no control characters.
    pub name: Box<str>,
    /// When it was made, if that is known.
    pub made_at: Option<WallTime>,
    /// What it, and no other key, opens. `cli::credentials::golden` makes and opens them.
    pub golden_blob: SealedBlob,
    /// The backup that was verified last, if one ever was.
    pub backup: Option<VerifiedBackup>,
}

/// A backup that was seen to be the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBackup {
    at: WallTime,
    by: Verification,
    place: Box<str>,
}

/// How a backup was seen to be the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// nightlatch read it, and it was the key.
    Read,
    /// Somebody typed, from elsewhere, the beginning of its SHA-256.
    Digest,
}

impl VerifiedBackup {
    /// Verified at this time and in this way. Of `place`, where it was, control characters become `?`, as nothing at all
    /// does, and no more than [`MAX_PLACE_LEN`] bytes are kept.
    #[must_use]
    pub fn new(at: WallTime, by: Verification, place: &str) -> Self {
        let mut kept = String::new();
        for letter in place.chars().map(|letter| if letter.is_control() { '?' } else { letter }) {
            if kept.len() + letter.len_utf8() > MAX_PLACE_LEN {
                break;
            }
            kept.push(letter);
        }
        Self { at, by, place: if kept.is_empty() { "?".into() } else { kept.into() } }
    }

    /// When.
    #[must_use]
    pub const fn at(&self) -> WallTime {
        self.at
    }

    /// How.
    #[must_use]
    pub const fn by(&self) -> Verification {
        self.by
    }

    /// Where it was, as this host named it: the path of a file, or that it was elsewhere.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// Why there is no key record, or it cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none: the installation was made before there were any, or by other means.
    #[error("there is no key record in {0}")]
    Absent(PathBuf),
    /// Another process is writing it.
    #[error("another nightlatch is writing the key record in {0}")]
    InUse(PathBuf),
    /// The state directory, or the file in it, cannot be used.
    #[error(transparent)]
    Directory(super::Error),
    /// It is there and is none.
    #[error("the key record in {path} cannot be used")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Unreadable,
    },
    /// What is to be written could not be read back.
    #[error("the key record cannot be written")]
    Unwritable(#[from] Unwritable),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Absent(_) => "make one from the backup of the key: nightlatch credentials verify --backup FILE",
            Self::InUse(_) => "wait until the other one has ended",
            Self::Directory(error) => error.hint(),
            Self::Unreadable { source: Unreadable::Newer { .. }, .. } => "install the newer nightlatch again",
            Self::Unreadable { .. } => {
                "no disk depends on it: remove key-record.json, then nightlatch credentials verify --backup FILE"
            }
            Self::Unwritable(_) => "remove what is not needed: see docs/spec/key-record.md for what fits",
        }
    }
}

impl From<super::Error> for Error {
    fn from(error: super::Error) -> Self {
        match error {
            super::Error::InUse(path) => Self::InUse(path),
            error => Self::Directory(error),
        }
    }
}

/// Reads the key record in this state directory, without waiting for anybody who writes it.
///
/// # Errors
/// [`Error`], each of which says how to go on.
pub fn read(directory: &Path) -> Result<KeyRecord, Error> {
    let found = Directory::read_unlocked(directory, &NAMES, MAX_LEN)?;
    understand(directory, found)?.ok_or_else(|| Error::Absent(directory.into()))
}

fn understand(directory: &Path, found: Found) -> Result<Option<KeyRecord>, Error> {
    match found {
        Found::Nothing => Ok(None),
        Found::Bytes(bytes) => {
            parse(&bytes).map(Some).map_err(|source| Error::Unreadable { path: directory.into(), source })
        }
    }
}

/// The key record of one state directory, locked for this process.
#[derive(Debug)]
pub struct Writer {
    directory: Directory,
}

impl Writer {
    /// Locks the key record in this state directory, and reads it. Where there is none, it is one without keys. What is
    /// made belongs to the directory's owner, also when root makes it.
    ///
    /// # Errors
    /// [`Error`], each of which says how to go on.
    pub fn lock(directory: &Path) -> Result<(Self, KeyRecord), Error> {
        let locked = Directory::lock(directory, &NAMES)?;
        let record = understand(directory, locked.read(MAX_LEN)?)?.unwrap_or_default();
        Ok((Self { directory: locked }, record))
    }

    /// Writes `record`. When it returns, that is on the disk.
    ///
    /// # Errors
    /// [`Error::Unwritable`]: nothing was written. [`Error::Directory`]: whether this record or the one before is on the
    /// disk is open.
    pub fn write(&mut self, record: &KeyRecord) -> Result<(), Error> {
        let bytes = format::write(record)?;
        Ok(self.directory.replace(&bytes)?)
    }
}

#[cfg(test)]
mod tests;
