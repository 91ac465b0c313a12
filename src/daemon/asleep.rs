//! The file by which channels know that nobody is there on purpose, so that their trying again does not start the process
//! that has just ended. docs/spec/approval-protocol.md, "Sleep".

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// The variable in which systemd names the directories of `RuntimeDirectory=`, with colons between them.
const VARIABLE: &str = "RUNTIME_DIRECTORY";

/// Its name.
const FILE: &str = "asleep";

/// The file, where there is a directory for it.
#[derive(Debug, Clone, Default)]
pub struct Asleep(Option<PathBuf>);

impl Asleep {
    /// In the directory that systemd made for this service.
    #[must_use]
    pub fn from_environment() -> Self {
        Self(std::env::var_os(VARIABLE).as_deref().and_then(in_first_of))
    }

    #[cfg(test)]
    pub(super) fn in_directory(directory: &std::path::Path) -> Self {
        Self(Some(directory.join(FILE)))
    }

    /// Whether there is a place for it. Without one, a channel that is attached starts the process again.
    pub(super) fn can_be_left(&self) -> bool {
        self.0.is_some()
    }

    /// Removes the file: the server is there. The unit does so too, and before that, so that a start that fails is not
    /// taken for sleep.
    pub(super) fn remove(&self) {
        let Some(path) = &self.0 else { return };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, path = %path.display(), "channels believe that the server sleeps: remove the file");
            }
            _ => {}
        }
    }

    /// Leaves the file. If it cannot be, channels connect again: the server starts, and nothing worse.
    pub(super) fn leave(&self) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path) {
            tracing::warn!(%error, path = %path.display(), "sleep not shown: an attached channel starts the server again");
        }
    }
}

fn in_first_of(directories: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(directories).find(|directory| directory.is_absolute()).map(|first| first.join(FILE))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn it_lies_in_the_first_directory() {
        let path = |directories: &str| in_first_of(OsStr::new(directories));
        assert_eq!(path("/run/a/server:/run/b").as_deref(), Some(Path::new("/run/a/server/asleep")));
        assert_eq!(path(""), None);
        assert_eq!(path("relative"), None);
    }

    #[test]
    fn it_is_left_and_removed_and_neither_twice_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let asleep = Asleep::in_directory(directory.path());
        let path = directory.path().join("asleep");
        for _ in 0..2 {
            asleep.leave();
            assert!(path.is_file());
        }
        for _ in 0..2 {
            asleep.remove();
            assert!(!path.exists());
        }
        assert!(!Asleep::default().can_be_left());
        Asleep::default().leave();
    }
}
