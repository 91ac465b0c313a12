//! The built program between two peers that a test scripts: a Bot API (../bot_api) and a server of the approval protocol.
//! For what only the whole can show; what is decided when, the session's own tests say, in time that they make up.
//!
//! Nothing here waits by sleeping: what is waited for is in the records of the two peers, in the program's output, or in
//! what the service manager is told.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot be prepared has failed"
)]

mod answers;
mod approvals;
#[expect(dead_code, unreachable_pub, reason = "it has more than is needed here")]
#[path = "../bot_api/mod.rs"]
mod bot_api;
mod checks;
mod commands;
mod faults;
mod house;
mod life;
mod manager;
mod program;
#[expect(dead_code, reason = "it speaks SOCKS as well")]
#[path = "../telegram/proxy.rs"]
mod proxy;
#[expect(unreachable_pub, reason = "the server's tests use it too")]
#[path = "../../../tests/secrets/search.rs"]
mod search;
mod secrets;

use std::time::Duration;

/// How long is waited for what should come at once. Nothing is asserted about how long anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}
