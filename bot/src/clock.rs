//! The host's clocks, read in one place.

use std::time::Duration;

use tokio::time::Instant;

use crate::session::Now;

/// The clock of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
        Self(Instant::now())
    }

    /// The time.
    pub(crate) fn now(&self) -> Now {
        #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
        let (monotonic, wall) = (self.0.elapsed(), std::time::SystemTime::now());
        let since_1970 = wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Now { monotonic, unix_ms: i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX) }
    }

    /// When the session's time is this.
    pub(crate) fn at(&self, monotonic: Duration) -> Instant {
        self.0 + monotonic
    }
}
