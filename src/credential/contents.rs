//! Certificates, private keys and passphrases of TLS, from a credential or a file: the checks of keys, for what has no
//! length of its own.

use std::io;
use std::path::{Path, PathBuf};

use super::{Error, directory, open, path_in};
use crate::secret::SecretContents;

/// Who may have rights on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody: there is no secret in it.
    Anyone,
    /// Its owner, and its group to read. Programs that renew certificates run as root, and give the key to the group of
    /// the service that uses it.
    Group,
}

/// Why there are no contents. [`hint`](Self::hint) says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// It cannot be opened or read, or others may.
    #[error(transparent)]
    Access(#[from] Error),
    /// There is nothing in it.
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
    /// There is too much in it.
    #[error("{} is longer than {max} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The longest that is read, in bytes.
        max: usize,
    },
}

impl ContentsError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Access(Error::NoDirectory { name }) => format!(
                "add LoadCredential={name}:/path to the service; by hand: systemd-run --pipe --wait -p \
                 LoadCredential={name}:/path nightlatch …"
            ),
            Self::Access(Error::Missing { .. }) => {
                "see that the path is right, and that what renews the certificate has run".into()
            }
            Self::Access(Error::TooOpen { path, .. }) => {
                format!("run chmod 640 {0}, and chgrp nightlatch {0} if its owner is another user", path.display())
            }
            Self::Access(Error::Unreadable { path, .. }) => {
                format!("see that this user may read it: chgrp nightlatch {0} and chmod 640 {0}", path.display())
            }
            Self::Access(Error::NotAFile { .. }) => "name the file itself".into(),
            Self::Access(error) => error.hint(),
            Self::Empty(_) => "see that what writes it has run, and had room on the disk".into(),
            Self::TooLong { .. } => "this is another file than the one that is meant".into(),
        }
    }
}

/// What stands in the systemd credential `name`: 1 to `max` bytes.
///
/// # Errors
/// [`ContentsError`]. The mode is not looked at, as for keys.
pub fn from_systemd(name: &str, max: usize) -> Result<SecretContents, ContentsError> {
    let path = path_in(directory().as_deref(), name)?;
    let (file, _) = open(&path)?;
    read(file, &path, max)
}

/// What stands in the file at `path`: 1 to `max` bytes.
///
/// # Errors
/// [`ContentsError`]; also when others have rights on the file that `access` does not give them.
pub fn from_file(path: &Path, access: Access, max: usize) -> Result<SecretContents, ContentsError> {
    let (file, mode) = open(path)?;
    let forbidden = match access {
        Access::Anyone => 0,
        Access::Group => 0o037,
    };
    if mode & forbidden != 0 {
        return Err(Error::TooOpen { path: path.into(), mode }.into());
    }
    read(file, path, max)
}

fn read(source: impl io::Read, path: &Path, max: usize) -> Result<SecretContents, ContentsError> {
    let contents =
        SecretContents::read(source, max).map_err(|source| Error::Unreadable { path: path.into(), source })?;
    match contents.expose().len() {
        0 => Err(ContentsError::Empty(path.into())),
        length if length > max => Err(ContentsError::TooLong { path: path.into(), max }),
        _ => Ok(contents),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_key_may_be_read_by_its_group_and_nobody_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key.pem");
        write(&path, "key").expect("written");
        for mode in [0o600, 0o400, 0o640, 0o440] {
            set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            assert!(from_file(&path, Access::Group, 8).expect("private").expose() == b"key", "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o660, 0o650, 0o777] {
            set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            let error = from_file(&path, Access::Group, 8).expect_err("too open");
            assert!(matches!(error, ContentsError::Access(Error::TooOpen { .. })), "{mode:o}: {error}");
            assert!(error.hint().contains("chmod 640 "), "{}", error.hint());
            assert!(from_file(&path, Access::Anyone, 8).is_ok(), "a certificate is no secret: {mode:o}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key.pem");
        for (length, ok) in [(0, false), (1, true), (8, true), (9, false), (100, false)] {
            write(&path, vec![7; length]).expect("written");
            assert_eq!(from_file(&path, Access::Anyone, 8).is_ok(), ok, "{length} bytes");
        }
        let missing = from_file(&directory.path().join("none"), Access::Anyone, 8).expect_err("missing");
        assert!(missing.hint().contains("renews"), "{}", missing.hint());
    }
}
