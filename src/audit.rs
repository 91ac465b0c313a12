//! The record of what was asked, answered and released: no record, no answer.
//!
//! docs/spec/audit-log.md is the specification.

pub mod file;
pub mod journal;
pub mod log;
pub mod record;
mod refusals;
pub mod tail;
