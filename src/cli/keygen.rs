//! `nightlatch keygen` (stands in until the real one is there).

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Failure, exit};

/// Makes a key.
///
/// # Errors
/// [`Failure`] when a file exists or cannot be written.
pub fn create_key(path: &Path, backup: Option<&Path>) -> Result<(), Failure> {
    for path in std::iter::once(path).chain(backup) {
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(b"stand-in\n"))
            .map_err(|error| Failure::new(exit::CANNOT_CREATE, "cannot write the key").because(&error))?;
    }
    Ok(())
}
