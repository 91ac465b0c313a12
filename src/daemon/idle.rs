//! When nothing happens for long, the process ends: its keys need not wait in memory for a node that boots next month.
//! systemd holds the sockets, and starts it again with the next connection.

use std::sync::Arc;
use std::time::Duration;

use super::server::TICK;
use crate::clock::{Clock, Moment};

/// How long it has been quiet.
#[derive(Debug)]
struct Quiet {
    longest: Duration,
    since: Moment,
    happened: u64,
}

impl Quiet {
    /// Whether nothing happened for the longest time: nothing is under way, and `happened`, which counts what came and
    /// went, stands still.
    fn is_over(&mut self, now: Moment, happened: u64, under_way: bool) -> bool {
        if under_way || happened != self.happened {
            self.since = now;
            self.happened = happened;
        }
        now.since(self.since) >= self.longest
    }
}

/// Returns when nothing happened for `longest`.
pub(super) async fn wait(
    longest: Duration,
    clock: Arc<dyn Clock>,
    happened: impl Fn() -> u64,
    under_way: impl Fn() -> bool,
) {
    let mut quiet = Quiet { longest, since: clock.now().moment, happened: happened() };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if quiet.is_over(clock.now().moment, happened(), under_way()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_quiet_time_counts() {
        let at = |second| Moment::since_boot(Duration::from_secs(second));
        let mut quiet = Quiet { longest: Duration::from_secs(60), since: at(0), happened: 0 };
        let over = |quiet: &mut Quiet, second, happened, under_way| quiet.is_over(at(second), happened, under_way);
        assert!(!over(&mut quiet, 59, 0, false));
        assert!(!over(&mut quiet, 60, 1, false), "a call came and went between two looks");
        assert!(!over(&mut quiet, 119, 1, false));
        assert!(!over(&mut quiet, 120, 1, true), "something is under way");
        assert!(!over(&mut quiet, 179, 1, false));
        assert!(over(&mut quiet, 180, 1, false));
    }
}
