//! Durable approval state: the lock, denials, blocks, what was approved ahead, nodes that people listed, in one file that is
//! written whole.
//!
//! docs/spec/state.md is the specification; [`key_record`] is beside it and has one of its own. All calls block; a [`Store`] is used by one task at a time.

mod directory;
mod format;
pub mod key_record;
mod v1;
mod v2;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::peer::standing::Standing;
use directory::{Directory, Found, Names};

pub use directory::GROWTH;
pub use format::{MAX_LEN, Unreadable, Unwritable, read};
pub use v1::{MAX_APPROVALS, MAX_REFUSALS};
pub use v2::MAX_ALLOWED_LEN;

const NAMES: Names = Names { file: "state", new: "state.new", lock: "lock" };

/// Counts saves: each has a higher one than all before. 1 is what [`Store::create`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why the state cannot be used. Nothing goes on with an empty one instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no state in {0}")]
    Absent(PathBuf),
    /// There is one already.
    #[error("there is a state in {0} already")]
    Exists(PathBuf),
    /// Others than the owner may enter the directory.
    #[error("the state directory {path} has mode {mode:03o}: its group or others may enter it")]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process uses it.
    #[error("the state in {0} is in use by another process")]
    InUse(PathBuf),
    /// It could not be opened, read or written.
    #[error("cannot {step} in the state directory {path}")]
    Io {
        /// What was tried.
        step: Box<str>,
        /// The directory.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Something in the directory that has the name of a file of ours is a symbolic link, a directory, a device.
    #[error("a file of the state in {0} is not a regular file")]
    NotAFile(PathBuf),
    /// It is there and cannot be trusted.
    #[error("the state in {path} cannot be used")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Unreadable,
    },
    /// What is to be saved could not be read back.
    #[error("the state cannot be saved")]
    Unwritable(#[from] Unwritable),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Absent(_) => {
                "put a backup back with nightlatch state import; if there is none: nightlatch init --state-only CONFIGURATION"
            }
            Self::Exists(_) => "nothing was changed; move it aside to begin a new installation",
            Self::Exposed { .. } => "chmod it to 0700",
            Self::InUse(_) => "stop the other nightlatch first",
            Self::Io { .. } => {
                "check that the directory exists, that it belongs to the service, and that the disk has room"
            }
            Self::NotAFile(_) => "remove what is there, or restore a backup of the state",
            Self::Unreadable { source, .. } => match source {
                Unreadable::Damaged(_) => {
                    "put a backup back with nightlatch state import; if there is none, move the file `state` away and make an empty one, which \
                     forgets the lock, denials and blocks: nightlatch init --state-only CONFIGURATION"
                }
                Unreadable::Foreign { .. } => {
                    "correct the installation id in the configuration, or restore the backup of this installation"
                }
                Unreadable::Newer { .. } => {
                    "install the newer nightlatch again, or restore an older backup of the state"
                }
            },
            Self::Unwritable(Unwritable::TooManySaves) => {
                "the audit log names a generation that none can follow, which is damage: look through it, and move it aside"
            }
            Self::Unwritable(_) => {
                "lift denials and blocks, revoke approvals ahead and forget listed nodes that are not needed any more"
            }
        }
    }
}

/// The state of `installation` in `directory` and its generation, read as [`copy`] reads them.
///
/// # Errors
/// [`Error`], but never [`Error::InUse`].
pub fn look(directory: &Path, installation: Uuid) -> Result<(Generation, Standing), Error> {
    let (_, generation, standing) = read_unlocked(directory, installation)?;
    Ok((generation, standing))
}

/// The state of `installation` in `directory` and its generation, read without a lock while a server may be using it. It is
/// replaced as a whole, so that what is read is one state, though there may be a newer one by now.
///
/// # Errors
/// [`Error`], but never [`Error::InUse`]. What cannot be read as a state is not copied.
pub fn copy(directory: &Path, installation: Uuid) -> Result<(Generation, Vec<u8>), Error> {
    let (bytes, generation, _) = read_unlocked(directory, installation)?;
    Ok((generation, bytes))
}

fn read_unlocked(directory: &Path, installation: Uuid) -> Result<(Vec<u8>, Generation, Standing), Error> {
    match Directory::read_unlocked(directory, &NAMES, MAX_LEN)? {
        Found::Nothing => Err(Error::Absent(directory.into())),
        Found::Bytes(bytes) => match read(&bytes, installation) {
            Ok((generation, standing)) => Ok((bytes, generation, standing)),
            Err(source) => Err(Error::Unreadable { path: directory.into(), source }),
        },
    }
}

/// What stands where a state is to be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// No state.
    Nothing,
    /// Something that nothing can be read from.
    Damaged,
    /// A state.
    State(Generation),
}

/// The state of one installation, locked for this process.
#[derive(Debug)]
pub struct Store {
    directory: Directory,
    installation: Uuid,
    generation: u64,
}

impl Store {
    /// Begins an empty state in `directory`, which is made with mode 0700 when there is none.
    ///
    /// What is made belongs to the directory's owner, also when root makes it.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is one, whatever is in it; others when it cannot be written.
    pub fn create(directory: &Path, installation: Uuid) -> Result<(Self, Standing), Error> {
        Directory::make(directory)?;
        let directory = Directory::lock(directory, &NAMES)?;
        if !matches!(directory.read(MAX_LEN)?, Found::Nothing) {
            return Err(Error::Exists(directory.path().into()));
        }
        let mut store = Self { directory, installation, generation: 0 };
        let standing = Standing::default();
        store.write(&standing)?;
        Ok((store, standing))
    }

    /// Opens the state of `installation` in `directory`.
    ///
    /// # Errors
    /// [`Error`], each of which says how to go on.
    pub fn open(directory: &Path, installation: Uuid) -> Result<(Self, Standing), Error> {
        let mut directory = Directory::lock(directory, &NAMES)?;
        let path = || directory.path().to_path_buf();
        let bytes = match directory.read(MAX_LEN)? {
            Found::Bytes(bytes) => bytes,
            Found::Nothing => return Err(Error::Absent(path())),
        };
        let (generation, standing) =
            read(&bytes, installation).map_err(|source| Error::Unreadable { path: path(), source })?;
        directory.reserve(bytes.len());
        Ok((Self { directory, installation, generation: generation.0 }, standing))
    }

    /// Locks `directory`, which is made when there is none, to put another state of `installation` there.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when what is there is another installation's, or a newer version's: whoever knows more than this
    /// program has to look at it first.
    pub fn open_to_replace(directory: &Path, installation: Uuid) -> Result<(Self, There), Error> {
        Directory::make(directory)?;
        let directory = Directory::lock(directory, &NAMES)?;
        let there = match directory.read(MAX_LEN)? {
            Found::Nothing => There::Nothing,
            Found::Bytes(bytes) => match read(&bytes, installation) {
                Ok((generation, _)) => There::State(generation),
                Err(Unreadable::Damaged(_)) => There::Damaged,
                Err(source) => return Err(Error::Unreadable { path: directory.path().into(), source }),
            },
        };
        let generation = if let There::State(generation) = there { generation.0 } else { 0 };
        Ok((Self { directory, installation, generation }, there))
    }

    /// The generation that was read or saved last, or that a failed save tried.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        Generation(self.generation)
    }

    /// Saves `standing`. When it returns, that is on the disk, and space for the next save is kept if it can be had.
    ///
    /// # Errors
    /// [`Error::Unwritable`] when it has too many or too long entries: nothing was written. [`Error::Io`]: whether this
    /// state or the one before is on the disk is open, until the next save settles it.
    pub fn save(&mut self, standing: &Standing) -> Result<Generation, Error> {
        let length = self.write(standing)?;
        self.directory.reserve(length);
        Ok(self.generation())
    }

    /// Saves `standing` as a generation that is also higher than `other`, of which something else tells.
    ///
    /// # Errors
    /// Those of [`save`](Self::save).
    pub fn save_above(&mut self, other: u64, standing: &Standing) -> Result<Generation, Error> {
        self.generation = self.generation.max(other);
        self.save(standing)
    }

    /// Saves `standing`, and returns how many bytes that took.
    fn write(&mut self, standing: &Standing) -> Result<usize, Error> {
        let generation = Generation(self.generation.checked_add(1).ok_or(Unwritable::TooManySaves)?);
        let bytes = format::write(generation, self.installation, standing)?;
        // Also when saving fails: no two states may ever have one generation.
        self.generation = generation.0;
        self.directory.replace(&bytes)?;
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests;
