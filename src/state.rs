//! Durable approval state (stands in until the real one is there).

use std::path::Path;

use uuid::Uuid;

use crate::peer::standing::Standing;

/// The state.
#[derive(Debug)]
pub struct Store;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the state")]
pub struct Error(#[from] std::io::Error);

impl Store {
    /// Makes an empty state.
    ///
    /// # Errors
    /// [`Error`].
    pub fn create(directory: &Path, installation: Uuid) -> Result<(Self, Standing), Error> {
        std::fs::write(directory.join("state"), installation.to_string())?;
        Ok((Self, Standing::default()))
    }
}
