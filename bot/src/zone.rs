//! Times as the people who are asked read them.

use jiff::tz::TimeZone;

/// A time zone of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone(pub TimeZone);
