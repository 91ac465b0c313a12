//! What a hostile network may do to the server: floods, slowness, lies, and more of everything than there is. While it
//! does, a listed node elsewhere is answered; afterwards the server serves as before, and its memory is bounded.
//!
//! Rules about time are tried in memory, with the runtime's time paused; what the kernel and the allocator have a part in,
//! with the built program. `NIGHTLATCH_PROGRAM` in the environment names another program than the one of this build.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot be prepared has failed, and says so"
)]

#[expect(dead_code, unreachable_pub, reason = "it has more than is needed here")]
#[path = "../secrets/certificate.rs"]
mod certificate;
mod crowds;
mod floods;
mod frames;
mod handshakes;
#[expect(dead_code, unreachable_pub, reason = "it has more than is needed here")]
#[path = "../request_path/house.rs"]
mod house;
#[expect(dead_code, reason = "it has more than is needed here")]
#[path = "../server/installation.rs"]
mod installation;
#[expect(dead_code, reason = "it has more than is needed here")]
#[path = "../server/manager.rs"]
mod manager;
#[expect(dead_code, unreachable_pub, reason = "it has more than is needed here")]
#[path = "../request_path/people.rs"]
mod people;
mod slow;
mod target;
