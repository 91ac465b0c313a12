//! The built program as a server, seen from outside: what stops it from starting, and what must not stop it.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot be prepared has failed, and says so"
)]

mod hostile;
mod installation;
mod journal;
mod life;
mod manager;
mod metrics;
mod start_up;
