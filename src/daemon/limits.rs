//! What the process may have open, and what follows from it.

use crate::listen::limits::{self, Limits};
use crate::peer::Peer;

/// Lets the process have as many descriptors as it may, and goes on with what it has when that fails.
pub fn raise_descriptors() {
    match limits::raise_descriptor_limit() {
        Ok(limit) => tracing::debug!(limit, "descriptors"),
        Err(error) => tracing::warn!(%error, "limit of descriptors not raised"),
    }
}

/// How many connections of nodes there may be beside `channels` approval channels.
pub(super) fn connections(channels: usize) -> Limits<Peer> {
    let limits = Limits::within(limits::descriptor_limit(), channels);
    if limits.total < Limits::TALOS.total {
        tracing::warn!(connections = limits.total, of = Limits::TALOS.total, "few descriptors: raise LimitNOFILE=");
    }
    limits
}
