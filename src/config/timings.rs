//! How long things take and last, each within its range.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::Timings;
use super::file::{Span, TimingsTable};
use super::finding::Findings;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What a node gives one call, connecting included (talos, `internal/pkg/encryption/keys/kms.go`).
const CLIENT_DEADLINE: Duration = Duration::from_secs(10);

impl Default for Timings {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(5),
            release_margin: Duration::from_secs(5),
            lease: Duration::from_secs(5 * MINUTE),
            lease_max: Duration::from_secs(HOUR),
            uses: 32,
            deny_for: Duration::from_secs(HOUR),
            block_for: Duration::from_secs(DAY),
            poll_for: Duration::from_secs(3 * MINUTE),
            ask_ttl: Duration::from_secs(10 * MINUTE),
            seal_grant_for: Duration::from_secs(DAY),
            seal_grant_uses: 8,
            grant_for: Duration::from_secs(30 * MINUTE),
            grant_max: Duration::from_secs(DAY),
            grant_uses: 8,
        }
    }
}

/// Checks the timings; outside its range a value is told, and the default stands for it.
pub(super) fn check(table: TimingsTable, findings: &mut Findings<'_>) -> Timings {
    let default = Timings::default();
    let at = |written: &Option<Span>| written.as_ref().map(Spanned::span);
    let (lease_at, hold_at) = (at(&table.lease), at(&table.hold));
    let (grant_for_at, grant_max_at) = (at(&table.grant_for), at(&table.grant_max));
    let (lease_max_at, seal_grant_for_at) = (at(&table.lease_max), at(&table.seal_grant_for));
    // A node that waits calls every 30 s and gives a call 10 s: a lease or an ask that ends sooner could fall into the
    // gap between two calls.
    const GAP: u64 = 40;
    let timings = Timings {
        hold: duration("hold", table.hold, default.hold, 0..=8, findings),
        release_margin: duration("release_margin", table.release_margin, default.release_margin, 1..=9, findings),
        lease: duration("lease", table.lease, default.lease, GAP..=DAY, findings),
        lease_max: duration("lease_max", table.lease_max, default.lease_max, GAP..=DAY, findings),
        uses: count("uses", table.uses, default.uses, findings),
        deny_for: duration("deny_for", table.deny_for, default.deny_for, MINUTE..=30 * DAY, findings),
        block_for: duration("block_for", table.block_for, default.block_for, MINUTE..=365 * DAY, findings),
        poll_for: duration("poll_for", table.poll_for, default.poll_for, 0..=HOUR, findings),
        ask_ttl: duration("ask_ttl", table.ask_ttl, default.ask_ttl, MINUTE..=DAY, findings),
        seal_grant_for: duration(
            "seal_grant_for",
            table.seal_grant_for,
            default.seal_grant_for,
            GAP..=30 * DAY,
            findings,
        ),
        seal_grant_uses: count("seal_grant_uses", table.seal_grant_uses, default.seal_grant_uses, findings),
        grant_for: duration("grant_for", table.grant_for, default.grant_for, MINUTE..=30 * DAY, findings),
        grant_max: duration("grant_max", table.grant_max, default.grant_max, MINUTE..=30 * DAY, findings),
        grant_uses: count("grant_uses", table.grant_uses, default.grant_uses, findings),
    };
    if timings.lease > timings.lease_max {
        let at = lease_at.clone().or(lease_max_at);
        findings.problem(at, "lease is longer than lease_max", "shorten lease, or lengthen lease_max");
    }
    if timings.lease > timings.seal_grant_for {
        let at = seal_grant_for_at.or(lease_at);
        findings.problem(at, "lease is longer than seal_grant_for", "shorten lease, or lengthen seal_grant_for");
    }
    if timings.grant_for > timings.grant_max {
        let at = grant_for_at.or(grant_max_at);
        findings.problem(at, "grant_for is longer than grant_max", "shorten grant_for, or lengthen grant_max");
    }
    if timings.hold + timings.release_margin > CLIENT_DEADLINE {
        let text = "hold and release_margin exceed the 10s of a node: calls are held only until the margin begins";
        findings.warning(hold_at, text);
    }
    timings
}

/// Checks after which quiet time the process ends. The shortest is longer than a node waits before it calls again.
pub(super) fn exit_after_idle(written: Option<Span>, findings: &mut Findings<'_>) -> Option<Duration> {
    let written = written?;
    let value = **written.get_ref();
    if (Duration::from_secs(MINUTE)..=Duration::from_secs(DAY)).contains(&value) {
        return Some(value);
    }
    let hint = "write 1m to 24h, or remove the line: then it never ends by itself";
    findings.problem(written.span(), "exit_after_idle is out of range", hint);
    None
}

fn duration(
    key: &str,
    written: Option<Span>,
    default: Duration,
    seconds: RangeInclusive<u64>,
    findings: &mut Findings<'_>,
) -> Duration {
    let Some(written) = written else {
        return default;
    };
    let value = **written.get_ref();
    let (least, most) = (Duration::from_secs(*seconds.start()), Duration::from_secs(*seconds.end()));
    if (least..=most).contains(&value) {
        return value;
    }
    let shown = humantime::format_duration;
    let hint = format!("write {} to {}; the default is {}", shown(least), shown(most), shown(default));
    findings.problem(written.span(), format!("{key} is out of range"), hint);
    default
}

fn count(key: &str, written: Option<Spanned<i64>>, default: u32, findings: &mut Findings<'_>) -> u32 {
    const MOST: u32 = 1024;
    let Some(written) = written else {
        return default;
    };
    match u32::try_from(*written.get_ref()).ok().filter(|count| (1..=MOST).contains(count)) {
        Some(count) => count,
        None => {
            let hint = format!("write 1 to {MOST}; the default is {default}");
            findings.problem(written.span(), format!("{key} is out of range"), hint);
            default
        }
    }
}
