//! Keeps key memory out of core dumps and, where the system lets it, out of swap.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// That [`protect`] was called before: what reads keys can ask for it.
#[derive(Debug)]
pub struct Protected(());

#[cfg(test)]
impl Protected {
    /// For tests, which share their process.
    pub const fn of_a_test() -> Self {
        Self(())
    }
}

/// Does what it can, and says at level debug what it cannot: a home without these rights still unlocks its disks.
pub fn protect() -> Protected {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let done = [
        ("core dumps", setrlimit(Resource::Core, no_core)),
        // Neither another process of the user nor a crash handler may read the memory.
        ("tracing by others", set_dumpable_behavior(DumpableBehavior::NotDumpable)),
    ];
    for (what, result) in done {
        if let Err(error) = result {
            tracing::debug!(what, %error, "memory unprotected");
        }
    }
    // With a limit, later allocations would fail instead of going unlocked.
    if getrlimit(Resource::Memlock).current.is_some() {
        tracing::debug!("memory unlocked: LimitMEMLOCK is not infinity");
        return Protected(());
    }
    if let Err(error) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
        tracing::warn!(%error, "memory unlocked");
    }
    Protected(())
}
