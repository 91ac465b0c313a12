//! The files of the state: one directory, in which one file is replaced as a whole, under a lock of its own.
//!
//! Two files are kept so: the state and the key record. Each has a lock, since a running server keeps the state's.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FlockOperation, Gid, Mode, OFlags, Uid, fallocate, fchown, flock, fstat, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::Error;

/// What the files are called.
#[derive(Debug)]
pub(super) struct Names {
    /// What is kept.
    pub(super) file: &'static str,
    /// What is to take its place.
    pub(super) new: &'static str,
    /// Empty; whoever writes holds its lock.
    pub(super) lock: &'static str,
}

/// Bytes by which the next state may be longer than this one and still be sure of its space. A save adds a few entries
/// of at most 4 KiB.
pub const GROWTH: u64 = 64 * 1024;

/// What has the name of the file.
#[derive(Debug)]
pub(super) enum Found {
    /// A file, of which no more was read than one byte past what is allowed.
    Bytes(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// The steps of a save, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    CreateNew,
    WriteNew,
    SyncNew,
    Rename,
    SyncDirectory,
    /// After the save itself, which does not depend on it.
    Reserve,
}

/// The lock of a file. Closing it is not enough: a child process of another thread has it as well, until it becomes another
/// program.
#[derive(Debug)]
struct Lock(OwnedFd);

impl Drop for Lock {
    fn drop(&mut self) {
        let _released_by_the_end_of_the_process = flock(&self.0, FlockOperation::Unlock);
    }
}

/// A state directory that is open, and one of its files locked for this process.
#[derive(Debug)]
pub(super) struct Directory {
    names: &'static Names,
    path: PathBuf,
    directory: OwnedFd,
    /// Owner and group of all files, when they are not this process's own.
    owner: Option<(Uid, Gid)>,
    _lock: Lock,
    /// An empty [`Names::new`] with space of its own, for the next save.
    reserved: Option<fs::File>,
    #[cfg(test)]
    pub(super) faults: super::tests::Faults,
}

impl Directory {
    /// Makes the directory itself, unless there is one.
    pub(super) fn make(path: &Path) -> Result<(), Error> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(path, "make it")(error)),
            _ => Ok(()),
        }
    }

    /// Opens the directory, locks the file of these names, and removes what an interrupted save left.
    pub(super) fn lock(path: &Path, names: &'static Names) -> Result<Self, Error> {
        let (directory, metadata) = open(path)?;
        let owner = (metadata.uid() != geteuid().as_raw())
            .then(|| (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid())));
        let lock = open_lock(&directory, names, owner).map_err(|error| refused(path, "open the lock", error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Error::InUse(path.into())),
            Err(error) => return Err(failed(path, "lock")(error.into())),
        }
        let opened = Self {
            names,
            path: path.into(),
            directory,
            owner,
            _lock: Lock(lock),
            reserved: None,
            #[cfg(test)]
            faults: super::tests::Faults::default(),
        };
        opened.remove_new().map_err(failed(path, &step("remove", names.new)))?;
        Ok(opened)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file, up to one byte more than `limit`.
    pub(super) fn read(&self, limit: usize) -> Result<Found, Error> {
        read(&self.directory, &self.path, self.names, limit)
    }

    /// Reads the file without its lock: it is there as a whole, before a save or after it.
    pub(super) fn read_unlocked(path: &Path, names: &'static Names, limit: usize) -> Result<Found, Error> {
        read(&open(path)?.0, path, names, limit)
    }

    /// Puts `bytes` in the place of the file. When it returns, they are on the disk.
    pub(super) fn replace(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_new(bytes).map_err(failed(&self.path, &step("write", self.names.new)))?;
        self.rename().map_err(failed(&self.path, &step("replace", self.names.file)))
    }

    /// Keeps space for the next save, in which the state may have grown, so that a full disk does not keep people from
    /// deciding. As far as it can be had: without it the next save asks for its space when it comes.
    pub(super) fn reserve(&mut self, length: usize) {
        let length = u64::try_from(length).unwrap_or(u64::MAX).saturating_add(GROWTH);
        self.reserved = self.try_reserve(length).ok();
        if self.reserved.is_none() {
            drop(self.remove_new());
        }
    }

    fn try_reserve(&self, length: u64) -> io::Result<fs::File> {
        self.before(Step::Reserve)?;
        let new = self.create_new()?;
        fallocate(&new, FallocateFlags::KEEP_SIZE, 0, length)?;
        Ok(new)
    }

    fn write_new(&mut self, bytes: &[u8]) -> io::Result<()> {
        let reserved = self.reserved.take().filter(|reserved| self.is_new(reserved));
        let mut new = match reserved {
            Some(reserved) => reserved,
            None => self.create_new()?,
        };
        self.before(Step::WriteNew)?;
        new.write_all(bytes)?;
        // Gives back what was reserved past the end.
        new.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
        self.before(Step::SyncNew)?;
        new.sync_all()
    }

    fn create_new(&self) -> io::Result<fs::File> {
        self.remove_new()?;
        self.before(Step::CreateNew)?;
        let new =
            openat(&self.directory, self.names.new, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | FILE, OWNER_ONLY)?;
        give_to(self.owner, &new)?;
        Ok(new.into())
    }

    /// Whether [`Names::new`] is still this file, so that it is this file which is renamed.
    fn is_new(&self, file: impl AsFd) -> bool {
        match (fstat(file), statat(&self.directory, self.names.new, AtFlags::SYMLINK_NOFOLLOW)) {
            (Ok(file), Ok(named)) => (file.st_dev, file.st_ino, file.st_size) == (named.st_dev, named.st_ino, 0),
            _ => false,
        }
    }

    fn rename(&self) -> io::Result<()> {
        self.before(Step::Rename)?;
        renameat(&self.directory, self.names.new, &self.directory, self.names.file)?;
        self.before(Step::SyncDirectory)?;
        Ok(rustix::fs::fsync(&self.directory)?)
    }

    fn remove_new(&self) -> io::Result<()> {
        match unlinkat(&self.directory, self.names.new, AtFlags::empty()) {
            Err(error) if error != Errno::NOENT => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The lock as a child process has it.
    #[cfg(test)]
    pub(super) fn lock_of_a_child(&self) -> OwnedFd {
        self._lock.0.try_clone().expect("there are descriptors")
    }

    /// Where tests let a save fail.
    #[cfg(test)]
    fn before(&self, step: Step) -> io::Result<()> {
        self.faults.before(step)
    }

    #[cfg(not(test))]
    const fn before(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}

/// For every file: no symbolic link is followed, and a pipe in its place does not hang the start.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

/// Opens a state directory, which must be its owner's alone.
fn open(path: &Path) -> Result<(OwnedFd, fs::Metadata), Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, path, flags, Mode::empty()).map_err(io::Error::from);
    let directory = fs::File::from(directory.map_err(failed(path, "open it"))?);
    let metadata = directory.metadata().map_err(failed(path, "open it"))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::Exposed { path: path.into(), mode: metadata.mode() & 0o7777 });
    }
    Ok((directory.into(), metadata))
}

fn read(directory: &OwnedFd, path: &Path, names: &Names, limit: usize) -> Result<Found, Error> {
    let file = match openat(directory, names.file, OFlags::RDONLY | FILE, Mode::empty()) {
        Ok(file) => fs::File::from(file),
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(error) => return Err(refused(path, &step("open", names.file), error)),
    };
    let step = step("read", names.file);
    let failed = failed(path, &step);
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(Error::NotAFile(path.into())),
        Err(error) => return Err(failed(error)),
    }
    let (mut bytes, limit) = (vec![], u64::try_from(limit).unwrap_or(u64::MAX));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Found::Bytes(bytes))
}

fn open_lock(directory: &OwnedFd, names: &Names, owner: Option<(Uid, Gid)>) -> Result<OwnedFd, Errno> {
    match openat(directory, names.lock, OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | FILE, OWNER_ONLY) {
        Ok(lock) => give_to(owner, &lock).map(|()| lock),
        Err(Errno::EXIST) => openat(directory, names.lock, OFlags::RDWR | FILE, Mode::empty()),
        Err(error) => Err(error),
    }
}

/// `nightlatch credentials` is run by root, in a directory of the service. Only what was just made is given away: something
/// that was there may be another file under a second name.
fn give_to(owner: Option<(Uid, Gid)>, file: &OwnedFd) -> Result<(), Errno> {
    match owner {
        Some((uid, gid)) => fchown(file, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

/// A step, in the words of an error.
fn step(verb: &str, name: &str) -> String {
    format!("{verb} `{name}`")
}

fn failed<'a>(path: &'a Path, step: &'a str) -> impl Fn(io::Error) -> Error + Copy + 'a {
    move |source| Error::Io { step: step.into(), path: path.into(), source }
}

fn refused(path: &Path, step: &str, error: Errno) -> Error {
    match error {
        Errno::LOOP | Errno::ISDIR | Errno::NXIO => Error::NotAFile(path.into()),
        error => failed(path, step)(error.into()),
    }
}
