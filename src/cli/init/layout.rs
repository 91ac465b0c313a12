//! Where a new installation has its parts, and how each is made. None is ever made over another.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::cli::{Failure, exit};
use crate::config;
use crate::state::Store;

/// Where everything goes.
#[derive(Debug)]
pub(in crate::cli) struct Layout {
    pub(in crate::cli) config: PathBuf,
    pub(in crate::cli) key: KeyPlace,
    pub(in crate::cli) state: PathBuf,
    pub(in crate::cli) socket: PathBuf,
}

/// Where the key is.
#[derive(Debug)]
pub(in crate::cli) enum KeyPlace {
    /// In a file, as it is.
    File(PathBuf),
    /// Encrypted for this host, in a file that `nightlatch.service` names.
    Credential(PathBuf),
}

impl Layout {
    /// In the system's directories.
    pub(in crate::cli) fn of_the_system() -> Self {
        Self {
            config: config::DEFAULT_PATH.into(),
            key: KeyPlace::Credential("/etc/credstore.encrypted/nightlatch-key".into()),
            state: config::DEFAULT_STATE_DIRECTORY.into(),
            socket: "/run/nightlatch/cli.sock".into(),
        }
    }

    /// All in `directory`.
    pub(super) fn below(directory: &Path) -> Result<Self, Failure> {
        let directory = std::path::absolute(directory)
            .map_err(|error| Failure::usage("this directory cannot be used").because(&error))?;
        Ok(Self {
            config: directory.join("nightlatch.toml"),
            key: KeyPlace::File(directory.join("nightlatch.key")),
            state: directory.join("state"),
            socket: directory.join("cli.sock"),
        })
    }

    /// The file that the key is in.
    pub(in crate::cli) fn key(&self) -> &Path {
        match &self.key {
            KeyPlace::File(path) | KeyPlace::Credential(path) => path,
        }
    }

    /// The directories that its parts are in.
    pub(in crate::cli) fn directories(&self) -> impl Iterator<Item = (&Path, u32)> {
        // The configuration of a service is no secret, and people look at it.
        let config = if matches!(self.key, KeyPlace::Credential(_)) { 0o755 } else { 0o700 };
        let [config, key] = [(&*self.config, config), (self.key(), 0o700)]
            .map(|(file, mode)| file.parent().map(|directory| (directory, mode)));
        config.into_iter().chain(key).chain([(&*self.state, 0o700)])
    }

    /// Refuses when any part of it, or `also`, is there.
    pub(in crate::cli) fn refuse_what_exists(&self, also: Option<&Path>) -> Result<(), Failure> {
        let state_in_use = fs::read_dir(&self.state).is_ok_and(|mut entries| entries.next().is_some());
        let taken = |path: &&Path| path.symlink_metadata().is_ok();
        let in_the_way: Vec<String> = [&*self.config, self.key()]
            .into_iter()
            .chain(also)
            .filter(taken)
            .chain((state_in_use || self.state.is_file()).then_some(&*self.state))
            .map(|path| path.display().to_string())
            .collect();
        if in_the_way.is_empty() {
            return Ok(());
        }
        Err(Failure::new(exit::CANNOT_CREATE, format!("already there: {}; nothing was written", in_the_way.join(", ")))
            .hint("edit what is there, or move it away if no disk depends on it"))
    }

    /// Makes the directories that are not there.
    pub(in crate::cli) fn make_directories(&self) -> Result<(), Failure> {
        self.directories().try_for_each(|(directory, mode)| {
            make_directory(directory, mode).map_err(|error| cannot_make(directory, &error))
        })
    }

    /// Makes the state.
    pub(in crate::cli) fn make_state(&self, installation: Uuid) -> Result<(), Failure> {
        make_state(&self.state, installation)
    }

    /// Writes the configuration.
    pub(in crate::cli) fn write_config(&self, text: &str) -> Result<(), Failure> {
        let cannot = |error| cannot_make(&self.config, &error);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&self.config);
        let mut file = file.map_err(cannot)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
            // Half a configuration might be a valid one.
            let _hinted_at = fs::remove_file(&self.config);
            cannot(error)
        })
    }
}

/// Makes an empty state in `directory`. Its files are the owner's of that, who may be the service's user; in a directory that
/// is new they are root's, and systemd gives it away with all that is in it (StateDirectory=) at the first start.
pub(super) fn make_state(directory: &Path, installation: Uuid) -> Result<(), Failure> {
    let cannot = |error: &dyn std::error::Error| {
        Failure::new(exit::CANNOT_CREATE, format!("cannot make a state in {}", directory.display())).because(error)
    };
    make_directory(directory, 0o700)
        .map_err(|error| cannot(&error).hint("it takes the rights of the service, or root's"))?;
    let made = Store::create(directory, installation);
    drop(made.map_err(|error| cannot(&error).hint(error.hint()))?);
    Ok(())
}

fn cannot_make(path: &Path, error: &io::Error) -> Failure {
    Failure::new(exit::CANNOT_CREATE, format!("cannot make {}", path.display()))
        .because(error)
        .hint("see that this user may write there and that the disk has room; the system's directories are root's")
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, chown, symlink};

    use super::*;

    #[test]
    fn in_a_directory_of_the_service_nothing_is_given_away_but_the_state() {
        if !rustix::process::geteuid().is_root() {
            return println!("skipped: only root can give files away");
        }
        let root = tempfile::tempdir().expect("a directory");
        let (state, precious) = (root.path().join("state"), root.path().join("precious"));
        fs::write(&precious, "root's").expect("written");
        make_directory(&state, 0o700).expect("made");
        symlink(&precious, state.join("link")).expect("linked");
        chown(&state, Some(12345), Some(12345)).expect("given to the service");
        make_state(&state, Uuid::nil()).expect("made");
        let owner = |path: &Path| fs::symlink_metadata(path).expect("it is there").uid();
        assert_eq!(owner(&precious), rustix::process::geteuid().as_raw());
        assert_eq!((owner(&state.join("state")), owner(&state.join("lock"))), (12345, 12345));
    }
}
