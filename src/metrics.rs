//! Numbers about the server, and how they are written down: OpenMetrics 1.0, as text. What is counted, and what it means, is
//! for those who count and for docs/metrics.md.
//!
//! Every name and label is a constant of the program or of the configuration. Nothing that a peer sends becomes one, so that
//! no peer can make the numbers more.

pub mod http;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts for a closed set of keys.
#[derive(Debug)]
pub struct Counts<K>(BTreeMap<K, AtomicU64>);

impl<K: Ord> Counts<K> {
    /// Zero for each of `keys`.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = K>) -> Self {
        Self(keys.into_iter().map(|key| (key, AtomicU64::default())).collect())
    }

    /// What was counted so far.
    pub fn all(&self) -> impl Iterator<Item = (&K, u64)> {
        self.0.iter().map(|(key, count)| (key, count.load(Ordering::Relaxed)))
    }

    /// Counts one more. A key that was not there from the beginning is left out.
    pub fn count(&self, key: &K) {
        if let Some(count) = self.0.get(key) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Durations, counted by how long they are.
#[derive(Debug)]
pub struct Histogram {
    /// By the longest that is counted there.
    buckets: BTreeMap<Duration, AtomicU64>,
    longer: AtomicU64,
    millis: AtomicU64,
}

impl Histogram {
    /// Nothing yet, told apart at these numbers of seconds.
    #[must_use]
    pub fn new(bounds: &[u64]) -> Self {
        let buckets = bounds.iter().map(|seconds| (Duration::from_secs(*seconds), AtomicU64::default())).collect();
        Self { buckets, longer: AtomicU64::default(), millis: AtomicU64::default() }
    }

    /// Counts one more.
    pub fn count(&self, duration: Duration) {
        let bucket = self.buckets.range(duration..).next().map_or(&self.longer, |(_, bucket)| bucket);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.millis.fetch_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// What a family of numbers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It grows until the process ends.
    Counter,
    /// It is as it is now.
    Gauge,
    /// Words that do not change; the number is 1.
    Info,
}

/// Numbers as text.
#[derive(Debug, Default)]
pub struct Text {
    written: String,
    /// What the samples of the family are called.
    sample: String,
}

impl Text {
    /// Begins a family. Its unit is the last word of its name, if that is a unit.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let (word, suffix) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
            Kind::Info => ("info", "_info"),
        };
        self.head(name, word, help);
        self.sample = format!("{name}{suffix}");
    }

    /// A number of the family that was begun last.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, word)| format!("{label}=\"{}\"", escaped(word))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.written.push_str(&format!("{}{labels} {value}\n", self.sample));
    }

    /// A family of one number.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// A histogram: how many were at most that long, for each bound.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        self.sample = format!("{name}_bucket");
        let mut count = 0;
        for (bound, bucket) in &histogram.buckets {
            count += bucket.load(Ordering::Relaxed);
            self.sample(&[("le", &format!("{}.0", bound.as_secs()))], count);
        }
        count += histogram.longer.load(Ordering::Relaxed);
        self.sample(&[("le", "+Inf")], count);
        self.written.push_str(&format!("{name}_count {count}\n"));
        let millis = histogram.millis.load(Ordering::Relaxed);
        self.written.push_str(&format!("{name}_sum {}.{:03}\n", millis / 1000, millis % 1000));
    }

    /// All that was written, and the mark that it is all.
    #[must_use]
    pub fn end(self) -> String {
        self.written + "# EOF\n"
    }

    fn head(&mut self, name: &str, word: &str, help: &str) {
        self.written.push_str(&format!("# TYPE {name} {word}\n"));
        if name.ends_with("_seconds") {
            self.written.push_str(&format!("# UNIT {name} seconds\n"));
        }
        self.written.push_str(&format!("# HELP {name} {}\n", escaped(help)));
    }
}

/// Names of channels are words of the configuration, and need none of this.
fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_open_metrics() {
        let counts = Counts::new(["a", "b"]);
        counts.count(&"b");
        counts.count(&"b");
        counts.count(&"another");
        let histogram = Histogram::new(&[15, 60]);
        for millis in [0, 15_000, 15_001, 60_001] {
            histogram.count(Duration::from_millis(millis));
        }
        let mut text = Text::default();
        text.single("nodes", Kind::Gauge, "Nodes.", 3);
        text.family("build", Kind::Info, "What \"it\" is.");
        text.sample(&[("version", "1\\\"\n"), ("other", "x")], 1);
        text.family("calls", Kind::Counter, "Calls.");
        for (word, count) in counts.all() {
            text.sample(&[("word", word)], count);
        }
        text.histogram("answer_seconds", "Waits.", &histogram);
        let expected = r#"# TYPE nodes gauge
# HELP nodes Nodes.
nodes 3
# TYPE build info
# HELP build What \"it\" is.
build_info{version="1\\\"\n",other="x"} 1
# TYPE calls counter
# HELP calls Calls.
calls_total{word="a"} 0
calls_total{word="b"} 2
# TYPE answer_seconds histogram
# UNIT answer_seconds seconds
# HELP answer_seconds Waits.
answer_seconds_bucket{le="15.0"} 2
answer_seconds_bucket{le="60.0"} 3
answer_seconds_bucket{le="+Inf"} 4
answer_seconds_count 4
answer_seconds_sum 90.002
# EOF
"#;
        assert_eq!(text.end(), expected);
    }
}
