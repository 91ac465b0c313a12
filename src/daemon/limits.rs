//! Raises what the process may have open.

use crate::listen;

/// Lets the process have as many descriptors as it may, and goes on with what it has when that fails.
pub fn raise_descriptors() {
    match listen::limits::raise_descriptor_limit() {
        Ok(limit) => tracing::debug!(limit, "descriptors"),
        Err(error) => tracing::warn!(%error, "limit of descriptors not raised"),
    }
}
