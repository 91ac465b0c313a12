//! The log as a file: appended to, synced, and with space of its own.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FallocateFlags, FlockOperation, Mode, OFlags, fallocate, flock, openat};
use rustix::io::Errno;
use tracing::warn;

use super::log::Sink;
use super::record::{HEADER_START, MAX_LINE_LEN, VERSION, header};
use super::tail::{self, NoRecord, Tail, Told, WINDOW, last_time};
use crate::clock::WallTime;

/// Bytes beyond the end of the file that refusals may not use.
pub const RESERVE: u64 = 256 * 1024;

/// Bytes that are allocated beyond the end at a time, so that not every record allocates.
const ALLOCATE: u64 = 2 * RESERVE;

/// Bytes from the end through which the last `state-saved` record is looked for, so that a start stays quick. Further back
/// it is not known when the state was saved last.
pub const MAX_SEARCH: u64 = 64 * 1024 * 1024;

/// Bytes that are looked through first: nearly always it is there.
const FIRST_STEP: u64 = 64 * 1024;

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process writes to it.
    #[error("the audit log {0} is in use by another process")]
    InUse(PathBuf),
    /// It could not be opened, read or written.
    #[error("cannot {step} the audit log {path}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A newer nightlatch wrote it.
    #[error("the audit log {path} has version {version}, which this nightlatch does not know")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// Its end is damaged throughout.
    #[error("the end of the audit log {path} is damaged")]
    NoRecord {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        #[source]
        source: NoRecord,
    },
    /// It begins with something else than the header of an audit log.
    #[error("{0} is not an audit log")]
    NotALog(PathBuf),
    /// It is a symbolic link, a directory, a device.
    #[error("the audit log {0} is not a regular file")]
    NotAFile(PathBuf),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::InUse(_) => "stop the other nightlatch first",
            Self::Io { .. } => {
                "check that the directory exists, that it belongs to the service, and that the disk has room"
            }
            Self::Newer { .. } => "install the newer nightlatch again, or move the file aside: a new one is begun",
            Self::NoRecord { .. } => "keep the file and move it aside: a new one is begun",
            Self::NotALog(_) | Self::NotAFile(_) => "configure another path, or move what is there aside",
        }
    }
}

/// The end of a log, as somebody sees it who only reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The end. A server that is writing just now may have written a part of a line: it is told as torn.
    pub tail: Tail,
    /// When the last record was made.
    pub last: Option<WallTime>,
    /// As [`told`].
    pub told: Told,
}

/// Looks at the log at `path` while a server may be writing to it: nothing is locked, repaired or begun. `None` when there
/// is no log.
///
/// # Errors
/// [`Error`], but never [`Error::InUse`].
pub fn look(path: &Path) -> Result<Option<Look>, Error> {
    let io = |step| move |source: io::Error| Error::Io { step, path: path.into(), source };
    let Some((mut file, start, length)) = open_to_look(path)? else { return Ok(None) };
    let Start::Header(header_len) = start else {
        return Ok(Some(Look { tail: Tail::empty(), last: None, told: Told::default() }));
    };
    let (window, whole) = read_window(&mut file, header_len, length).map_err(io("read"))?;
    let tail = Tail::read(&window, whole).map_err(|source| Error::NoRecord { path: path.into(), source })?;
    let told = find_told(&file, header_len, length, MAX_SEARCH).map_err(io("read"))?;
    Ok(Some(Look { tail, last: last_time(&window), told }))
}

/// What the log at `path` tells of the state within its last 64 MiB; nothing when there is no log. Nothing is locked, repaired
/// or begun.
///
/// # Errors
/// [`Error`], but never [`Error::InUse`] and [`Error::NoRecord`].
pub fn told(path: &Path) -> Result<Told, Error> {
    let Some((file, Start::Header(header_len), length)) = open_to_look(path)? else { return Ok(Told::default()) };
    let found = find_told(&file, header_len, length, MAX_SEARCH);
    found.map_err(|source| Error::Io { step: "read", path: path.into(), source })
}

/// The log, how it begins, and its length.
fn open_to_look(path: &Path) -> Result<Option<(fs::File, Start, u64)>, Error> {
    let io = |step| move |source: io::Error| Error::Io { step, path: path.into(), source };
    let fd = match openat(
        CWD,
        path,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
    ) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(Error::NotAFile(path.into())),
        Err(error) => return Err(io("open")(error.into())),
    };
    let mut file = fs::File::from(fd);
    if !file.metadata().map_err(io("open"))?.is_file() {
        return Err(Error::NotAFile(path.into()));
    }
    let (start, length) = read_start(&mut file).map_err(io("read"))?;
    Ok(Some((file, judge_start(path, &start)?, length)))
}

/// An audit log that is open, and locked.
#[derive(Debug)]
pub struct File {
    file: fs::File,
    length: u64,
    /// Offset up to which space is allocated, as far as it is known.
    allocated: u64,
    /// Whether the file system can allocate at all; until it said no.
    can_allocate: bool,
}

impl Drop for File {
    /// Closing it is not enough: a child process of another thread has it as well, until it becomes another program.
    fn drop(&mut self) {
        let _released_by_the_end_of_the_process = flock(&self.file, FlockOperation::Unlock);
    }
}

impl File {
    /// Opens the log at `path`, or begins it, and cuts off what a crash left half written.
    ///
    /// # Errors
    /// [`Error`]. What was there is unchanged then, but for a torn end that may be cut off already.
    pub fn open(path: &Path, now: WallTime) -> Result<(Self, Tail), Error> {
        let io = |step| move |source: io::Error| Error::Io { step, path: path.into(), source };
        let fd = open_or_create(path)?;
        let mut file = fs::File::from(fd);
        if !file.metadata().map_err(io("open"))?.is_file() {
            return Err(Error::NotAFile(path.into()));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Error::InUse(path.into())),
            Err(error) => return Err(io("lock")(error.into())),
        }

        let (start, length) = read_start(&mut file).map_err(io("read"))?;
        let (tail, keep) = match judge_start(path, &start)? {
            Start::Torn => (Tail::empty(), 0),
            Start::Header(header_len) => {
                let (window, whole) = read_window(&mut file, header_len, length).map_err(io("read"))?;
                let tail =
                    Tail::read(&window, whole).map_err(|source| Error::NoRecord { path: path.into(), source })?;
                let keep = length.saturating_sub(tail.cut);
                (tail, keep)
            }
        };
        if keep < length {
            file.set_len(keep).map_err(io("repair"))?;
        }
        let mut log = Self { file, length: keep, allocated: 0, can_allocate: true };
        if keep == 0 {
            log.append(header(now).as_bytes()).map_err(io("begin"))?;
        }
        log.sync().map_err(io("sync"))?;
        sync_directory(path).map_err(io("sync the directory of"))?;
        Ok((log, tail))
    }

    /// Allocates space beyond the end until `bytes` and the reserve fit.
    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        let wanted = self.length.saturating_add(bytes).saturating_add(RESERVE);
        if wanted <= self.allocated || !self.can_allocate {
            return Ok(());
        }
        let length = bytes.saturating_add(ALLOCATE);
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.length, length) {
            Ok(()) => self.allocated = self.length.saturating_add(length),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.can_allocate = false;
                warn!("the file system of the audit log cannot reserve space: refusals may use the last of it");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Sink for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        if metadata.nlink() == 0 {
            return Err(io::Error::other("the audit log was removed: restart nightlatch to begin a new one"));
        }
        if metadata.len() != self.length {
            return Err(io::Error::other(
                "something else wrote to the audit log: move it aside and restart nightlatch",
            ));
        }
        self.file.write_all(bytes)?;
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        // The record is safe already. When its space cannot be made good, refusals find out.
        drop(self.allocate(0));
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.file.metadata()?.len() < length {
            return Err(io::Error::other("something else cut the audit log: move it aside and restart nightlatch"));
        }
        self.file.set_len(length)?;
        self.length = length;
        // Cutting may give back what was allocated behind the end.
        self.allocated = 0;
        Ok(())
    }

    fn spare(&mut self, bytes: u64) -> io::Result<()> {
        self.allocate(bytes)
    }

    fn length(&self) -> u64 {
        self.length
    }
}

fn open_or_create(path: &Path) -> Result<OwnedFd, Error> {
    // Not blocking, so that a pipe in its place cannot hang the start.
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    openat(CWD, path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| match error {
        Errno::LOOP | Errno::ISDIR | Errno::NXIO => Error::NotAFile(path.into()),
        error => Error::Io { step: "open", path: path.into(), source: error.into() },
    })
}

/// How a file begins.
enum Start {
    /// With a whole header of this many bytes.
    Header(u64),
    /// Not at all, or with a part of a header.
    Torn,
}

fn read_start(file: &mut fs::File) -> io::Result<(Vec<u8>, u64)> {
    let mut start = vec![];
    file.seek(SeekFrom::Start(0))?;
    file.take(MAX_LINE_LEN as u64).read_to_end(&mut start)?;
    Ok((start, file.metadata()?.len()))
}

fn judge_start(path: &Path, start: &[u8]) -> Result<Start, Error> {
    let not_a_log = || Error::NotALog(path.into());
    let Some(rest) = start.strip_prefix(HEADER_START.as_bytes()) else {
        return if HEADER_START.as_bytes().starts_with(start) { Ok(Start::Torn) } else { Err(not_a_log()) };
    };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        // A header that a crash tore is shorter than a line, and nothing comes after it.
        return if start.len() < MAX_LINE_LEN { Ok(Start::Torn) } else { Err(not_a_log()) };
    };
    let digits: Vec<u8> = rest.iter().copied().take_while(u8::is_ascii_digit).take(10).collect();
    let version = String::from_utf8_lossy(&digits);
    if version.is_empty() {
        return Err(not_a_log());
    }
    if version != VERSION.to_string() {
        return Err(Error::Newer { path: path.into(), version: version.into() });
    }
    Ok(Start::Header((HEADER_START.len() + end + 1) as u64))
}

/// The last [`WINDOW`] bytes after the header, and whether that is all that follows it.
fn read_window(file: &mut fs::File, header_len: u64, length: u64) -> io::Result<(Vec<u8>, bool)> {
    let from = length.saturating_sub(WINDOW as u64).max(header_len);
    let mut window = vec![];
    file.seek(SeekFrom::Start(from))?;
    file.take(WINDOW as u64).read_to_end(&mut window)?;
    Ok((window, from == header_len))
}

/// Looks backwards for the last `state-saved` record in `length` bytes of a log, through `limit` of them at most.
fn find_told(file: &fs::File, header_len: u64, length: u64, limit: u64) -> io::Result<Told> {
    let first = length.saturating_sub(limit).max(header_len);
    let (mut end, mut step) = (length, FIRST_STEP);
    let mut no_since = false;
    loop {
        let from = end.saturating_sub(step).max(first);
        let mut window = vec![0; usize::try_from(end.saturating_sub(from)).unwrap_or(0)];
        file.read_exact_at(&mut window, from)?;
        let told = tail::told(&window, from == header_len);
        no_since |= told.no_since;
        if told.saved.is_some() || from == first {
            return Ok(Told { no_since, ..told });
        }
        // The next part has all of the line in the middle of which this one begins.
        end = from.saturating_add(MAX_LINE_LEN as u64);
        step = WINDOW as u64;
    }
}

/// So that the file's name outlives a crash as well.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
