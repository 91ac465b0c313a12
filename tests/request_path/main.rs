//! The request path from a node's call to its key, as a Talos node of each generation drives it: over an in-memory
//! connection, in paused time, with the real server behind it but for its sockets.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking, and its modules are the crate's own"
)]

mod house;
mod limits;
mod node;
mod overtaken;
mod panics;
mod passphrase;
mod people;
mod schedules;
