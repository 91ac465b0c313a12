//! The end of a log that exists, as it is found: where to go on, and what a crash left. Pure.

use serde::Deserialize;

use super::record::{Detail, MAX_LINE_LEN, MAX_SEQ, Repaired};
use crate::clock::WallTime;

/// Bytes that are read from the end of a file.
pub const WINDOW: usize = 1 << 20;

/// Longest `state-saved` record, in bytes: a hundred and some for its numbers, and what a newer release may put beside them.
const MAX_SAVED_LEN: usize = 512;

/// What the end of a log tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The number of the next record.
    pub next_seq: u64,
    /// Bytes after the last line feed: a write that a crash tore. They are to be cut off.
    pub cut: u64,
    /// What is to be recorded about it, when anything is.
    pub repaired: Option<Repaired>,
}

/// No record can be read in the part of the file that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no record can be read in the last {WINDOW} bytes")]
pub struct NoRecord;

/// The parts of a record that the end of a file is judged by. Others are not looked at, so that a record of a newer
/// release still counts.
#[derive(Deserialize)]
struct Numbered {
    seq: u64,
    time: String,
    #[serde(rename = "event")]
    _event: String,
}

/// What a `state-saved` record tells.
#[derive(Deserialize)]
struct Saved {
    event: String,
    generation: u64,
}

impl Tail {
    /// A log that holds nothing but its header.
    #[must_use]
    pub const fn empty() -> Self {
        Self { next_seq: 1, cut: 0, repaired: None }
    }

    /// Reads `window`, the last bytes of a file: all that follow its header when `whole`, else beginning anywhere in a
    /// line.
    ///
    /// # Errors
    /// [`NoRecord`] when not `whole` and no record is in it: then no number is known.
    pub fn read(window: &[u8], whole: bool) -> Result<Self, NoRecord> {
        let end = window.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let (complete, torn) = window.split_at_checked(end).unwrap_or((window, &[]));
        let mut lines = complete.split_inclusive(|byte| *byte == b'\n');
        if !whole {
            lines.next();
        }
        let (mut last, mut damaged, mut damaged_since) = (whole.then_some(0), 0_u64, 0_u64);
        for line in lines {
            match number(line) {
                Some(seq) if last.is_none_or(|last| seq > last) => {
                    last = Some(seq);
                    damaged_since = 0;
                }
                _ => {
                    damaged += 1;
                    damaged_since += 1;
                }
            }
        }
        let last = last.ok_or(NoRecord)?;
        let cut = u64::try_from(torn.len()).unwrap_or(u64::MAX);
        let repaired = (cut > 0 || damaged > 0).then(|| Repaired {
            cut_bytes: cut,
            cut_text: Detail::new(&String::from_utf8_lossy(torn.get(..MAX_LINE_LEN).unwrap_or(torn))),
            damaged_lines: damaged,
        });
        Ok(Self { next_seq: last.saturating_add(damaged_since).saturating_add(1), cut, repaired })
    }
}

/// When the last record of `window` was made, as far as that can be read.
#[must_use]
pub fn last_time(window: &[u8]) -> Option<WallTime> {
    let time = window.split(|byte| *byte == b'\n').rev().find_map(record)?.time;
    let timestamp: jiff::Timestamp = time.parse().ok()?;
    Some(WallTime::from_unix_millis(timestamp.as_millisecond()))
}

/// The highest generation that a `state-saved` record of `window` tells of. The first line counts only when the window is
/// `whole`, since it may be the end of one.
#[must_use]
pub fn last_saved(window: &[u8], whole: bool) -> Option<u64> {
    let lines = window.split_inclusive(|byte| *byte == b'\n').skip(usize::from(!whole));
    lines.filter(|line| line.ends_with(b"\n")).filter_map(saved).max()
}

/// The generation of a line that is a `state-saved` record.
fn saved(line: &[u8]) -> Option<u64> {
    // Most lines are longer, and need not be parsed.
    let short = (line.len() <= MAX_SAVED_LEN).then_some(line)?;
    record(short)?;
    let saved: Saved = serde_json::from_slice(short).ok()?;
    (saved.event == "state-saved").then_some(saved.generation)
}

/// The `seq` of a line that is a record.
fn number(line: &[u8]) -> Option<u64> {
    record(line).map(|record| record.seq)
}

fn record(line: &[u8]) -> Option<Numbered> {
    let printable = line.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
    let numbered: Numbered = (printable && line.len() <= MAX_LINE_LEN).then(|| serde_json::from_slice(line).ok())??;
    (1..=MAX_SEQ).contains(&numbered.seq).then_some(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "{\"seq\":1,\"time\":\"t\",\"event\":\"e\"}\n";
    const TWO: &str = "{\"seq\":2,\"time\":\"t\",\"event\":\"e\",\"later\":[1]}\n";

    fn read(parts: &[&str], whole: bool) -> Result<(u64, u64, u64), NoRecord> {
        let tail = Tail::read(parts.concat().as_bytes(), whole)?;
        Ok((tail.next_seq, tail.cut, tail.repaired.map_or(0, |repaired| repaired.damaged_lines)))
    }

    #[test]
    fn numbering_goes_on_after_the_last_record() {
        assert_eq!(read(&[], true), Ok((1, 0, 0)));
        assert_eq!(read(&[ONE], true), Ok((2, 0, 0)));
        assert_eq!(read(&[ONE, TWO], true), Ok((3, 0, 0)));
        assert_eq!(read(&["rest of a line\n", ONE, TWO], false), Ok((3, 0, 0)));
    }

    #[test]
    fn torn_line_is_cut_and_told() {
        let torn = &TWO[..20];
        assert_eq!(read(&[ONE, torn], true), Ok((2, 20, 0)));
        let repaired = Tail::read([ONE, torn].concat().as_bytes(), true).expect("one record").repaired;
        assert_eq!(repaired.expect("a cut is told").cut_text.as_str(), torn);
        assert_eq!(read(&[ONE, "\0\0\0\0"], true), Ok((2, 4, 0)));
        assert_eq!(read(&[torn], true), Ok((1, 20, 0)));
    }

    #[test]
    fn damaged_lines_are_counted_and_take_a_number_each() {
        assert_eq!(read(&[ONE, "\0\0\0\n"], true), Ok((3, 0, 1)));
        assert_eq!(read(&[ONE, "{\"seq\":1}\n", "\n"], true), Ok((4, 0, 2)));
        assert_eq!(read(&["junk\n", ONE], true), Ok((2, 0, 1)));
        assert_eq!(read(&[TWO, ONE], true), Ok((4, 0, 1)), "a number that does not grow is damage");
        assert_eq!(read(&["{\"seq\":18446744073709551615,\"time\":\"\",\"event\":\"\"}\n"], true), Ok((2, 0, 1)));
    }

    #[test]
    fn the_last_record_that_can_be_read_says_when_it_was_made() {
        let dated = "{\"seq\":3,\"time\":\"2026-11-23T07:40:08.123Z\",\"event\":\"e\"}\n";
        let at = Some(WallTime::from_unix_millis(1_795_419_608_123));
        assert_eq!(last_time([ONE, dated, "junk\n", "{\"seq\":4,"].concat().as_bytes()), at);
        assert_eq!(last_time(ONE.as_bytes()), None, "its time is none");
        assert_eq!(last_time(b""), None);
    }

    #[test]
    fn the_highest_generation_that_was_saved_is_found() {
        let saved = |generation: &str| {
            format!(
                "{{\"seq\":7,\"time\":\"2026-11-23T07:40:08.123Z\",\"event\":\"state-saved\",\"generation\":{generation}}}\n"
            )
        };
        let found = |parts: &[&str], whole| last_saved(parts.concat().as_bytes(), whole);
        assert_eq!(found(&[], true), None);
        assert_eq!(found(&[ONE, TWO], true), None);
        assert_eq!(found(&[ONE, &saved("3"), TWO], true), Some(3));
        assert_eq!(found(&[&saved("3"), &saved("17"), &saved("4")], true), Some(17));
        assert_eq!(found(&[&saved("9"), &saved("3")], false), Some(3), "the first line may be the end of one");
        assert_eq!(found(&["junk\n", "\0\0\n", "\n", &saved("3"), "{\"seq\":8,", "\n"], true), Some(3));
        let max = u64::MAX.to_string();
        assert_eq!(found(&[&saved(&max)], true), Some(u64::MAX));
        assert!(saved(&max).len() < MAX_SAVED_LEN / 2);
        let quoted = saved("99").trim_end().replace('"', "\\\"");
        for other in [
            saved("99").trim_end().to_owned(),
            saved("99").replace("\"seq\":7", "\"seq\":0"),
            saved("99").replace("state-saved", "state-saved\u{e9}"),
            saved("99").replace("state-saved", "saved"),
            saved("99").replace("\"event\":\"state-saved\"", "\"event\":\"stopped\",\"event\":\"state-saved\""),
            saved("99").replace("99", "null"),
            saved("99").replace("99", "-1"),
            saved("99").replace("99", "1e3"),
            saved("99").replace('{', "["),
            format!("x{}", saved("99")),
            format!("{{\"seq\":8,\"time\":\"t\",\"event\":\"stopped\",\"reason\":\"{quoted}\"}}\n"),
            "{\"seq\":8,\"time\":\"t\",\"event\":\"stopped\",\"generation\":99,\"reason\":\"\"}\n".to_owned(),
        ] {
            assert_eq!(found(&[&saved("3"), &other], true), Some(3), "{other}");
        }
    }

    #[test]
    fn window_without_a_record_is_refused() {
        assert_eq!(read(&["rest\n", "junk\n", "torn"], false), Err(NoRecord));
        assert_eq!(read(&["no line feed at all"], false), Err(NoRecord));
        assert_eq!(read(&[ONE], false), Err(NoRecord), "the first line may be the end of one");
    }
}
