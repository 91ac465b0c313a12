//! When people are told that a certificate ends. Pure: of when it ends, what time it is, and what was told last.

use std::time::Duration;

use crate::clock::WallTime;

/// One day.
pub const DAY: Duration = Duration::from_secs(86_400);

/// What there is to tell about the end of a certificate, in the order in which it comes true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// 21 days or less are left: what renews it should have done so by now.
    ThreeWeeks,
    /// 7 days or less are left.
    Week,
    /// One day or less is left.
    Day,
    /// It has ended, and every node refuses it.
    Expired,
}

/// What has to be told about a certificate that ends at `not_after`, of which `told` was the last. Each is told once,
/// and what was missed is not told any more.
#[must_use]
pub fn due(not_after: WallTime, now: WallTime, told: Option<Stage>) -> Option<Stage> {
    let left = now.until(not_after);
    // Valid up to and including its last second (RFC 5280, 4.1.2.5).
    let stage = if now > not_after {
        Stage::Expired
    } else if left <= DAY {
        Stage::Day
    } else if left <= 7 * DAY {
        Stage::Week
    } else if left <= 21 * DAY {
        Stage::ThreeWeeks
    } else {
        return None;
    };
    told.is_none_or(|told| told < stage).then_some(stage)
}

/// Whole days from `now` until `not_after`.
#[must_use]
pub fn days_left(not_after: WallTime, now: WallTime) -> u64 {
    now.until(not_after).as_secs() / DAY.as_secs()
}

/// What the status line says of a certificate that ends at `not_after`; nothing while nobody has to be told.
#[must_use]
pub fn in_short(not_after: WallTime, now: WallTime) -> Option<String> {
    Some(match due(not_after, now, None)? {
        Stage::Expired => "THE CERTIFICATE HAS EXPIRED, and no node can unlock a disk".to_owned(),
        Stage::Day => "THE CERTIFICATE EXPIRES WITHIN A DAY".to_owned(),
        Stage::Week | Stage::ThreeWeeks => {
            format!("the certificate expires in {} days", days_left(not_after, now))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: WallTime = WallTime::from_unix_millis(1_800_000_000_000);

    fn before(left: Duration) -> WallTime {
        WallTime::from_unix_millis(END.unix_millis() - i64::try_from(left.as_millis()).expect("small"))
    }

    #[test]
    fn the_status_line_says_nothing_before_it_has_to() {
        for (left, said) in [
            (22 * DAY, None),
            (21 * DAY, Some("the certificate expires in 21 days")),
            (7 * DAY, Some("the certificate expires in 7 days")),
            (DAY, Some("THE CERTIFICATE EXPIRES WITHIN A DAY")),
            (Duration::ZERO, Some("THE CERTIFICATE EXPIRES WITHIN A DAY")),
        ] {
            assert_eq!(in_short(END, before(left)).as_deref(), said, "{left:?}");
        }
        let expired = in_short(END, END.after(Duration::from_millis(1))).expect("it is told");
        assert!(expired.starts_with("THE CERTIFICATE HAS EXPIRED"), "{expired}");
    }

    #[test]
    fn each_stage_begins_on_time() {
        let second = Duration::from_secs(1);
        for (left, stage) in [
            (22 * DAY, None),
            (21 * DAY + second, None),
            (21 * DAY, Some(Stage::ThreeWeeks)),
            (7 * DAY + second, Some(Stage::ThreeWeeks)),
            (7 * DAY, Some(Stage::Week)),
            (DAY, Some(Stage::Day)),
            (Duration::ZERO, Some(Stage::Day)),
        ] {
            assert_eq!(due(END, before(left), None), stage, "{left:?}");
        }
        assert_eq!(due(END, END.after(second), None), Some(Stage::Expired));
    }

    #[test]
    fn every_minute_of_a_month_tells_each_stage_once() {
        let (mut told, mut all) = (None, vec![]);
        for minute in (0..31 * 24 * 60).rev() {
            let now = before(Duration::from_secs(minute * 60)).after(2 * DAY);
            if let Some(stage) = due(END, now, told) {
                told = Some(stage);
                all.push(stage);
            }
        }
        assert_eq!(all, [Stage::ThreeWeeks, Stage::Week, Stage::Day, Stage::Expired]);
    }

    #[test]
    fn a_clock_that_is_set_back_repeats_nothing() {
        assert_eq!(due(END, before(20 * DAY), Some(Stage::Week)), None);
        assert_eq!(due(END, before(DAY), Some(Stage::Week)), Some(Stage::Day));
    }
}
