//! Time as a value that is passed in. This file holds the only calls of `now()`.
//!
//! Leases and limits run on [`Moment`], which no change of the wall clock moves. Only what outlives the process
//! (denials, blocks, records) carries a [`WallTime`].

use std::fmt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since the host was booted, the time it slept included (`CLOCK_BOOTTIME`): it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The moment `since_boot` after the boot.
    #[must_use]
    pub const fn since_boot(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// The moment `later` after this one; the end of time when it lies beyond.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }

    /// How long after `earlier` this moment is: zero when it is before it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// How long it is until `later`: zero when that has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        later.since(self)
    }
}

/// Milliseconds since 1970-01-01 00:00 UTC, as the host's clock told them: it may jump either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct WallTime(i64);

impl WallTime {
    /// The time `millis` milliseconds after 1970-01-01 00:00 UTC.
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// The time `later` after this one; the end of time when it lies beyond.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long it is until `later`: zero when that has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with milliseconds, such as `2026-11-23T07:40:08.123Z`.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Both clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For everything that lasts.
    pub moment: Moment,
    /// For everything that is written down or shown.
    pub wall: WallTime,
}

/// Where the time comes from: the host, or a test.
pub trait Clock: Send + Sync {
    /// Both clocks, now.
    fn now(&self) -> Now;
}

/// Microseconds of `CLOCK_MONOTONIC`, for the service manager alone: it compares them with its own.
#[must_use]
pub fn monotonic_usec() -> u128 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
    Duration::new(seconds, nanos).as_micros()
}

/// The host's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostClock;

impl Clock for HostClock {
    fn now(&self) -> Now {
        let boot = clock_gettime(ClockId::Boottime);
        let wall = clock_gettime(ClockId::Realtime);
        Now {
            moment: Moment(Duration::new(
                u64::try_from(boot.tv_sec).unwrap_or(0),
                u32::try_from(boot.tv_nsec).unwrap_or(0),
            )),
            wall: WallTime(wall.tv_sec.saturating_mul(1000).saturating_add(wall.tv_nsec / 1_000_000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_stop_at_zero() {
        let early = Moment::since_boot(Duration::from_secs(1));
        let late = early.after(Duration::from_secs(5));
        assert_eq!(late.since(early), Duration::from_secs(5));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early.until(late), Duration::from_secs(5));
        assert_eq!(WallTime(5).until(WallTime(2)), Duration::ZERO);
    }

    #[test]
    fn wall_time_reads_as_rfc_3339() {
        assert_eq!(WallTime(1_795_419_608_123).to_string(), "2026-11-23T07:40:08.123Z");
    }

    #[test]
    fn far_ends_do_not_overflow() {
        assert_eq!(Moment(Duration::MAX).after(Duration::MAX), Moment(Duration::MAX));
        assert_eq!(WallTime(i64::MAX).after(Duration::MAX).unix_millis(), i64::MAX);
    }

    #[test]
    fn no_wall_time_fails_to_be_shown() {
        use std::fmt::Write;
        let (first, last) = (jiff::Timestamp::MIN.as_millisecond(), jiff::Timestamp::MAX.as_millisecond());
        let ends = [i64::MIN, first, last, i64::MAX].into_iter();
        for millis in ends.flat_map(|end| (-2..=2).map(move |more| end.saturating_add(more))).chain(-2..=2) {
            let mut text = String::new();
            write!(text, "{}", WallTime(millis)).expect("it is shown");
            assert!(text.ends_with('Z') || text.ends_with(" ms"), "{text}");
        }
    }
}
