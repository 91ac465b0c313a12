//! Times as the people who are asked read them. Pure: what time it is now is always an argument.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A time zone of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone(pub TimeZone);

/// No time zone has this name, or the host does not know any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this host knows no time zone {0:?}: write an IANA name, such as \"Europe/Berlin\"; if it is one, install tzdata here"
)]
pub struct UnknownZone(pub String);

impl Zone {
    /// The zone with this IANA name, as the host's tzdata describes it.
    ///
    /// # Errors
    /// When there is no such zone, or no tzdata.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        match TimeZone::get(name) {
            // "Etc/Unknown" would show UTC and call it nothing.
            Ok(zone) if !zone.is_unknown() => Ok(Self(zone)),
            _ => Err(UnknownZone(name.to_owned())),
        }
    }

    /// Coordinated Universal Time. It needs no tzdata.
    #[must_use]
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// A time, in milliseconds since 1970-01-01 00:00 UTC, for a text that is written at `now_ms`: `03:12:05` on the same
    /// day, `Tue 24 Nov 23:10` on another, `31 Dec 2025 23:10` in another year. It says "yesterday" nowhere: texts stand
    /// for longer than a day. In the hour that a clock goes through twice, the zone's abbreviation follows.
    #[must_use]
    pub fn at(&self, at_ms: i64, now_ms: i64) -> String {
        let (Some(at), Some(now)) = (self.local(at_ms), self.local(now_ms)) else {
            return "?".to_owned();
        };
        let format = if at.date() == now.date() {
            "%H:%M:%S"
        } else if at.year() == now.year() {
            "%a %-d %b %H:%M"
        } else {
            "%-d %b %Y %H:%M"
        };
        let twice = self.0.to_ambiguous_zoned(at.datetime()).is_ambiguous();
        let abbreviation = if twice { " %Z" } else { "" };
        at.strftime(&format!("{format}{abbreviation}")).to_string()
    }

    /// How many minutes of its day have passed at `now_ms`, as clocks on the wall show it: 0 to 1,439.
    #[must_use]
    pub fn minute_of_day(&self, now_ms: i64) -> u16 {
        let minute = |now: Zoned| u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs());
        self.local(now_ms).map_or(0, minute)
    }

    fn local(&self, at_ms: i64) -> Option<Zoned> {
        Timestamp::from_millisecond(at_ms).ok().map(|at| at.to_zoned(self.0.clone()))
    }
}

/// A length of time, in milliseconds, in the units that matter: `0.4 s`, `65 s`, `3 min`, `2 h`, `2 h 30 min`, `3 days`.
#[must_use]
pub fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    let minutes = seconds / 60;
    match seconds {
        0 if millis < 100 => "less than 0.1 s".to_owned(),
        0..10 => match millis % 1_000 / 100 {
            0 => format!("{seconds} s"),
            tenths => format!("{seconds}.{tenths} s"),
        },
        10..120 => format!("{seconds} s"),
        120..7_200 if minutes != 60 => format!("{minutes} min"),
        120..172_800 => match minutes % 60 {
            0 => format!("{} h", minutes / 60),
            rest => format!("{} h {rest} min", minutes / 60),
        },
        _ => format!("{} days", minutes / 1_440),
    }
}

/// The time from one moment to another, both in milliseconds; none when the clock went back between them.
#[must_use]
pub fn between(from_ms: i64, until_ms: i64) -> String {
    span(u64::try_from(until_ms.saturating_sub(from_ms)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn berlin() -> Zone {
        Zone::named("Europe/Berlin").unwrap()
    }

    #[test]
    fn a_time_of_the_same_day_is_a_time_and_another_has_its_date() {
        let at = |at, now| berlin().at(millis(at), millis(now));
        let now = "2026-11-25T12:00:00Z";
        assert_eq!(at("2026-11-25T02:12:05Z", now), "03:12:05");
        // 23:30 UTC is the same day in Berlin already.
        assert_eq!(at("2026-11-24T23:30:00Z", now), "00:30:00");
        assert_eq!(at("2026-11-24T22:59:59Z", now), "Tue 24 Nov 23:59");
        assert_eq!(at("2026-11-25T23:00:00Z", now), "Thu 26 Nov 00:00");
        assert_eq!(at("2025-12-31T22:10:00Z", now), "31 Dec 2025 23:10");
    }

    #[test]
    fn an_hour_that_comes_twice_says_which_it_is() {
        let at = |at| berlin().at(millis(at), millis("2026-10-25T12:00:00Z"));
        // The clocks of Berlin went from 03:00 CEST to 02:00 CET.
        assert_eq!(at("2026-10-24T23:59:59Z"), "01:59:59");
        assert_eq!(at("2026-10-25T00:30:00Z"), "02:30:00 CEST");
        assert_eq!(at("2026-10-25T01:30:00Z"), "02:30:00 CET");
        assert_eq!(at("2026-10-25T02:00:00Z"), "03:00:00");
    }

    #[test]
    fn days_are_those_of_the_wall_also_when_they_have_23_hours() {
        let now = millis("2026-03-29T21:30:00Z");
        assert_eq!(berlin().at(millis("2026-03-28T23:00:00Z"), now), "00:00:00");
        assert_eq!(berlin().at(millis("2026-03-28T22:59:00Z"), now), "Sat 28 Mar 23:59");
        assert_eq!(berlin().at(millis("2026-03-29T01:00:00Z"), now), "03:00:00");
    }

    #[test]
    fn minutes_of_the_day_follow_the_wall() {
        let minute = |at| berlin().minute_of_day(millis(at));
        assert_eq!(minute("2026-11-24T23:00:00Z"), 0);
        assert_eq!(minute("2026-11-25T22:59:59Z"), 1_439);
        assert_eq!(minute("2026-07-01T20:05:00Z"), 22 * 60 + 5);
        assert_eq!(Zone::utc().minute_of_day(millis("2026-07-01T20:05:00Z")), 20 * 60 + 5);
    }

    #[test]
    fn times_that_no_calendar_has_are_shown_as_unknown() {
        assert_eq!(Zone::utc().at(i64::MAX, 0), "?");
        assert_eq!(Zone::utc().at(0, i64::MIN), "?");
        assert_eq!(Zone::utc().minute_of_day(i64::MIN), 0);
        assert_eq!(between(i64::MAX, i64::MIN), "less than 0.1 s");
    }

    #[test]
    fn a_zone_that_does_not_exist_is_an_error_that_says_what_to_do() {
        for name in ["Europe/Berlim", "", "../../etc/passwd", "Etc/Unknown"] {
            let error = Zone::named(name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")) && error.contains("tzdata"), "{error}");
        }
        assert_eq!(Zone::named("UTC").unwrap(), Zone::utc());
    }

    #[test]
    fn spans_use_the_units_that_matter() {
        let spans = [
            0,
            99,
            400,
            5_000,
            65_999,
            119_999,
            120_000,
            3_600_000,
            5_400_000,
            7_200_000,
            9_000_000,
            86_400_000,
            172_800_000,
        ];
        let read = [
            "less than 0.1 s",
            "less than 0.1 s",
            "0.4 s",
            "5 s",
            "65 s",
            "119 s",
            "2 min",
            "1 h",
            "90 min",
            "2 h",
            "2 h 30 min",
            "24 h",
            "2 days",
        ];
        assert_eq!(spans.map(span), read);
    }
}
