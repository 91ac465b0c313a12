//! The state directory: locked for one process, with one file that is replaced as a whole.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::{Damage, Kept, MAX_LEN, parse, to_bytes};

const FILE: &str = "prompts.json";
const NEW: &str = "prompts.json.new";
const DAMAGED: &str = "prompts.json.damaged";

/// A state directory that is open, and locked for this process.
#[derive(Debug)]
pub struct Store {
    /// Holds the lock as well: it needs no space on the disk, and ends with the process.
    directory: File,
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it. Two bots with one token would take each other's presses away.
    #[error("another nightlatch-bot uses {}", .0.display())]
    InUse(PathBuf),
    /// The directory cannot be made or opened.
    #[error("cannot use {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

/// The file could not be used, and the bot begins anew. To be told: prompts of before are not edited any more.
#[derive(Debug)]
pub struct PutAside {
    why: Why,
    moved: io::Result<()>,
}

#[derive(Debug)]
enum Why {
    Damaged(Damage),
    Unreadable(io::Error),
}

/// The steps of a save, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Write,
    Sync,
    Rename,
    SyncDirectory,
}

impl Store {
    /// Opens and locks the directory at `path`, which is made if its parent is there, and reads what is kept. What cannot
    /// be used is put aside, and told.
    ///
    /// # Errors
    /// [`OpenError`]; never because of what stands in the file.
    pub fn open(path: &Path) -> Result<(Self, Kept, Option<PutAside>), OpenError> {
        let failed = |source| OpenError::Directory { path: path.into(), source };
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(OpenError::InUse(path.into())),
            Err(error) => return Err(failed(error.into())),
        }
        let store = Self { directory: directory.into() };
        let why = match store.read() {
            Ok(None) => return Ok((store, Kept::default(), None)),
            Ok(Some(bytes)) => match parse(&bytes) {
                Ok(kept) => return Ok((store, kept, None)),
                Err(damage) => Why::Damaged(damage),
            },
            Err(error) => Why::Unreadable(error),
        };
        let put_aside = store.put_aside(why);
        Ok((store, Kept::default(), Some(put_aside)))
    }

    /// Keeps `kept` in the place of what was kept before. When it returns, that is on the disk, so it takes as long as the
    /// disk does. The prompts that do not fit are left out: [`to_bytes`].
    ///
    /// # Errors
    /// When it cannot be written. Then the file is the old one, or the new one whole.
    pub fn save(&self, kept: &Kept) -> io::Result<()> {
        self.replace(&to_bytes(kept), &mut |_| Ok(()))
    }

    fn put_aside(&self, why: Why) -> PutAside {
        let moved = renameat(&self.directory, FILE, &self.directory, DAMAGED).map_err(io::Error::from);
        PutAside { why, moved }
    }

    /// The file, up to one byte more than is allowed.
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        // A pipe in its place would otherwise wait for somebody who writes.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.directory, FILE, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_LEN as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Puts `bytes` in the place of the file. `before` is asked before each step, and can have it fail.
    fn replace(&self, bytes: &[u8], before: &mut dyn FnMut(Step) -> io::Result<()>) -> io::Result<()> {
        // What an interrupted save left; when it cannot be removed, it cannot be made anew either.
        let _left = unlinkat(&self.directory, NEW, AtFlags::empty());
        before(Step::Create)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut new = File::from(openat(&self.directory, NEW, flags, Mode::RUSR | Mode::WUSR)?);
        before(Step::Write)?;
        new.write_all(bytes)?;
        before(Step::Sync)?;
        new.sync_all()?;
        before(Step::Rename)?;
        renameat(&self.directory, NEW, &self.directory, FILE)?;
        before(Step::SyncDirectory)?;
        self.directory.sync_all()
    }
}

impl fmt::Display for PutAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Damaged(damage) => write!(f, "{FILE} is damaged: {damage}")?,
            Why::Unreadable(error) => write!(f, "{FILE} cannot be read: {error}")?,
        }
        match &self.moved {
            Ok(()) => write!(f, "; it is {DAMAGED} now"),
            Err(error) => write!(f, "; it cannot be put aside: {error}"),
        }?;
        f.write_str(". Messages of before are not edited any more, and their buttons do nothing")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const STEPS: [Step; 5] = [Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncDirectory];

    fn kept(installation: &str) -> Kept {
        Kept { installation: installation.into(), ..Kept::default() }
    }

    fn open(directory: &tempfile::TempDir) -> (Store, Kept, Option<String>) {
        let (store, kept, put_aside) = Store::open(directory.path()).expect("a directory of ours");
        (store, kept, put_aside.map(|told| told.to_string()))
    }

    #[test]
    fn what_was_saved_is_there_after_a_restart_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, nothing, told) = open(&directory);
        assert_eq!((nothing, told), (Kept::default(), None));
        store.save(&kept("one")).expect("saved");
        store.save(&kept("two")).expect("saved");
        drop(store);
        let (_store, read, told) = open(&directory);
        assert_eq!((read, told), (kept("two"), None));
        let mode = fs::metadata(directory.path().join(FILE)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!directory.path().join(NEW).exists());
    }

    #[test]
    fn the_directory_is_made_and_one_that_cannot_be_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        drop(Store::open(&path).expect("made"));
        assert_eq!(fs::metadata(&path).expect("made").permissions().mode() & 0o777, 0o700);
        for path in [path.join("no/parent"), PathBuf::from("/proc/nightlatch")] {
            assert!(matches!(Store::open(&path), Err(OpenError::Directory { .. })), "{}", path.display());
        }
    }

    #[test]
    fn a_second_process_is_refused_until_the_first_one_ended() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = open(&directory);
        assert!(matches!(Store::open(directory.path()), Err(OpenError::InUse(_))));
        drop(first);
        assert!(Store::open(directory.path()).is_ok());
    }

    #[test]
    fn a_damaged_or_foreign_file_is_put_aside_and_told() {
        for (bytes, expected) in [
            (b"{\"version\":1,".as_slice(), "is damaged: it is not what this program writes"),
            (b"", "is damaged: it is not what this program writes"),
            (b"{\"version\":7}", "is damaged: it has version 7"),
            (&vec![b' '; MAX_LEN + 1], "is damaged: it is longer than 1 MiB"),
        ] {
            let directory = tempfile::tempdir().expect("a directory");
            fs::write(directory.path().join(FILE), bytes).expect("a file");
            fs::write(directory.path().join(DAMAGED), "older").expect("a file");
            let (store, read, told) = open(&directory);
            assert_eq!(read, Kept::default());
            assert!(
                told.as_ref()
                    .is_some_and(|told| told.contains(expected) && told.contains("is prompts.json.damaged now")),
                "{told:?}"
            );
            assert!(fs::read(directory.path().join(DAMAGED)).expect("put aside") == bytes);
            store.save(&kept("anew")).expect("saved");
            drop(store);
            assert_eq!(open(&directory).1, kept("anew"));
        }
    }

    #[test]
    fn something_else_in_the_place_of_the_file_keeps_nobody_from_starting() {
        type Make = fn(&Path);
        let makes: [Make; 3] = [
            |path| fs::create_dir(path).expect("a directory"),
            |path| std::os::unix::fs::symlink("/etc/passwd", path).expect("a link"),
            |path| {
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
            },
        ];
        for make in makes {
            let directory = tempfile::tempdir().expect("a directory");
            make(&directory.path().join(FILE));
            let (store, read, told) = open(&directory);
            assert_eq!(read, Kept::default());
            assert!(told.is_some_and(|told| told.contains("cannot be read")));
            store.save(&kept("anew")).expect("saved");
        }
    }

    #[test]
    fn a_file_that_cannot_be_put_aside_keeps_nobody_from_starting() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(FILE), "torn").expect("a file");
        fs::create_dir(directory.path().join(DAMAGED)).expect("in the way");
        let (store, read, told) = open(&directory);
        assert_eq!(read, Kept::default());
        assert!(told.is_some_and(|told| told.contains("it cannot be put aside: ")));
        store.save(&kept("anew")).expect("saved");
    }

    #[test]
    fn a_save_that_fails_leaves_the_old_file_or_the_new_one_and_the_next_one_succeeds() {
        for failing in STEPS {
            let directory = tempfile::tempdir().expect("a directory");
            let (store, _, _) = open(&directory);
            store.save(&kept("old")).expect("saved");
            let mut steps = vec![];
            let failed = store.replace(&to_bytes(&kept("new")), &mut |step| {
                steps.push(step);
                if step == failing { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            });
            assert!(failed.is_err(), "{failing:?}");
            assert_eq!(steps.last(), Some(&failing));
            drop(store);
            let (store, read, told) = open(&directory);
            let expected = if failing == Step::SyncDirectory { "new" } else { "old" };
            assert_eq!((read, told), (kept(expected), None), "{failing:?}");
            store.save(&kept("next")).expect("saved");
            drop(store);
            assert_eq!(open(&directory).1, kept("next"), "{failing:?}");
        }
    }

    /// A disk that fills up, or a machine that stops, half-way through the bytes.
    #[test]
    fn half_a_file_is_never_taken_for_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, _, _) = open(&directory);
        store.save(&kept("old")).expect("saved");
        let new = to_bytes(&kept("new"));
        let torn = store.replace(&new, &mut |step| {
            if step == Step::Write {
                fs::write(directory.path().join(NEW), &new[..new.len() / 2])?;
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        });
        assert!(torn.is_err());
        assert!(directory.path().join(NEW).exists(), "nothing was left half-way");
        drop(store);
        let (store, read, told) = open(&directory);
        assert_eq!((read, told), (kept("old"), None));
        store.save(&kept("new")).expect("saved");
        drop(store);
        assert_eq!(open(&directory).1, kept("new"));
    }

    #[test]
    fn the_bytes_are_on_the_disk_before_they_have_the_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, _, _) = open(&directory);
        let mut steps = vec![];
        let noted = store.replace(b"{}", &mut |step| {
            steps.push(step);
            Ok(())
        });
        noted.expect("written");
        assert_eq!(steps, STEPS);
    }
}
