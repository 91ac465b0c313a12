//! Times as records have them: RFC 3339, UTC, milliseconds.

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::Serializer;

use crate::clock::WallTime;

/// The time, or the last that RFC 3339 can tell when it lies beyond: a block may have no end.
pub(super) fn shown(time: WallTime) -> WallTime {
    let (first, last) = (Timestamp::UNIX_EPOCH.as_millisecond(), Timestamp::MAX.as_second() * 1000);
    WallTime::from_unix_millis(time.unix_millis().clamp(first, last))
}

pub(super) fn serialize<S: Serializer>(time: &WallTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&shown(*time))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WallTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    let timestamp: Timestamp = text.parse().map_err(D::Error::custom)?;
    Ok(WallTime::from_unix_millis(timestamp.as_millisecond()))
}

pub(super) mod optional {
    use super::{Deserialize, Deserializer, Serializer, WallTime, shown};

    struct Time(WallTime);

    impl<'de> Deserialize<'de> for Time {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            super::deserialize(deserializer).map(Self)
        }
    }

    pub(in super::super) fn serialize<S: Serializer>(
        time: &Option<WallTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(&shown(*time)),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<WallTime>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|Time(time)| time))
    }
}
