//! The end of a log that exists, as it is found: where to go on, and what a crash left. Pure.

use serde::Deserialize;

use super::record::{Detail, MAX_LINE_LEN, MAX_SEQ, Repaired};
use crate::clock::WallTime;

/// Bytes that are read from the end of a file.
pub const WINDOW: usize = 1 << 20;

/// Bytes within which a record names its event: `seq` and `time` come before it, which are short.
const MAX_BEGIN_LEN: usize = 128;

/// The events that tell of the state.
const EVENTS: [&str; 5] =
    ["\"state-saved\"", "\"refusal-set\"", "\"grant-revoked\"", "\"locked\"", "\"node-list-changed\""];

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

/// What a record tells of the state.
#[derive(Deserialize)]
struct OfTheState {
    event: String,
    generation: Option<u64>,
    change: Option<String>,
}

/// What a log tells of the durable state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// The generation that was saved last: the highest in the part nearest to the end that has any.
    pub saved: Option<u64>,
    /// Whether somebody's no was recorded after that, with no save that has it: a denial, a block, a revocation, a lock, or
    /// another entry for a listed node.
    pub no_since: bool,
}

impl Told {
    /// Whether a state of this generation lacks something that was saved, or decided, after it (docs/spec/state.md, "An older
    /// state").
    #[must_use]
    pub fn is_newer_than(self, generation: u64) -> bool {
        match self.saved {
            Some(saved) => generation < saved || (generation == saved && self.no_since),
            // The last save lies further back than was looked, or there was none since the first, which is before there is a log.
            None => self.no_since,
        }
    }
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

/// What `window` tells of the state. The first line counts only when the window is `whole`, since it may be the end of one.
#[must_use]
pub fn told(window: &[u8], whole: bool) -> Told {
    let lines = window.split_inclusive(|byte| *byte == b'\n').skip(usize::from(!whole));
    let mut told = Told::default();
    for line in lines.filter(|line| line.ends_with(b"\n")) {
        match of_the_state(line) {
            Some(OfTheState { generation: Some(saved), .. }) => {
                told = Told { saved: told.saved.max(Some(saved)), no_since: false };
            }
            Some(_) => told.no_since = true,
            None => {}
        }
    }
    told
}

/// A line that is a `state-saved` record, and then has a generation, or that is a record of somebody's no.
fn of_the_state(line: &[u8]) -> Option<OfTheState> {
    // Most lines are of other events, and need not be parsed.
    let begin = line.get(..MAX_BEGIN_LEN).unwrap_or(line);
    EVENTS.iter().find(|event| begin.windows(event.len()).any(|part| part == event.as_bytes()))?;
    record(line)?;
    let found: OfTheState = serde_json::from_slice(line).ok()?;
    match &*found.event {
        "state-saved" => found.generation.is_some().then_some(found),
        // A node that is listed on top takes nothing from anybody.
        "node-list-changed" if found.change.as_deref() == Some("listed") => None,
        "refusal-set" | "grant-revoked" | "locked" | "node-list-changed" => {
            Some(OfTheState { generation: None, ..found })
        }
        _ => None,
    }
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
        let found = |parts: &[&str], whole| told(parts.concat().as_bytes(), whole).saved;
        assert_eq!(found(&[], true), None);
        assert_eq!(found(&[ONE, TWO], true), None);
        assert_eq!(found(&[ONE, &saved("3"), TWO], true), Some(3));
        assert_eq!(found(&[&saved("3"), &saved("17"), &saved("4")], true), Some(17));
        assert_eq!(found(&[&saved("9"), &saved("3")], false), Some(3), "the first line may be the end of one");
        assert_eq!(found(&["junk\n", "\0\0\n", "\n", &saved("3"), "{\"seq\":8,", "\n"], true), Some(3));
        let max = u64::MAX.to_string();
        assert_eq!(found(&[&saved(&max)], true), Some(u64::MAX));
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
    fn a_no_behind_the_last_save_is_found() {
        let line = |event: &str, rest: &str| {
            format!("{{\"seq\":7,\"time\":\"2026-11-23T07:40:08.123Z\",\"event\":\"{event}\"{rest}}}\n")
        };
        let saved = line("state-saved", ",\"generation\":3");
        let told = |parts: &[&str]| told(parts.concat().as_bytes(), true);
        let list_change = |change: &str| line("node-list-changed", &format!(",\"change\":\"{change}\",\"node\":{{}}"));
        for no in [
            line("refusal-set", ",\"kind\":\"denial\""),
            line("refusal-set", &format!(",\"node\":\"{}\"", "n".repeat(900))),
            line("grant-revoked", ""),
            line("locked", ",\"reason\":\"person\""),
            list_change("changed"),
            list_change("forgotten"),
        ] {
            assert_eq!(told(&[&no]), Told { saved: None, no_since: true }, "{no}");
            assert_eq!(told(&[&saved, &no, ONE]), Told { saved: Some(3), no_since: true }, "{no}");
            assert_eq!(told(&[&no, &saved, ONE]), Told { saved: Some(3), no_since: false }, "{no}");
            assert_eq!(told(&[&saved, &no[..no.len() - 1]]), Told { saved: Some(3), no_since: false }, "torn");
        }
        for other in [list_change("listed"), line("unlocked", ""), line("grant-set", ""), line("refusal-lifted", "")] {
            assert_eq!(told(&[&saved, &other]), Told { saved: Some(3), no_since: false }, "{other}");
        }
    }

    #[test]
    fn what_the_log_tells_makes_a_state_older_or_not() {
        for (generation, saved, older) in
            [(5, None, false), (5, Some(4), false), (5, Some(5), false), (5, Some(6), true), (1, Some(u64::MAX), true)]
        {
            assert_eq!(Told { saved, no_since: false }.is_newer_than(generation), older, "{generation} {saved:?}");
        }
        for (generation, saved, older) in
            [(1, None, true), (5, None, true), (5, Some(4), false), (5, Some(5), true), (5, Some(6), true)]
        {
            assert_eq!(Told { saved, no_since: true }.is_newer_than(generation), older, "{generation} {saved:?}");
        }
    }

    #[test]
    fn window_without_a_record_is_refused() {
        assert_eq!(read(&["rest\n", "junk\n", "torn"], false), Err(NoRecord));
        assert_eq!(read(&["no line feed at all"], false), Err(NoRecord));
        assert_eq!(read(&[ONE], false), Err(NoRecord), "the first line may be the end of one");
    }
}
