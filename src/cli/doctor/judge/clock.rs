//! Whether the clock is right: certificates, blocks and records depend on it.

use std::time::Duration;

use crate::cli::doctor::facts::Host;
use crate::cli::doctor::finding::{Check, Finding};

/// By how much the clock may have been set back since the last record: what synchronising does.
const SET_BACK: Duration = Duration::from_secs(60);

/// The clock.
pub(super) fn clock(host: &Host) -> Vec<Finding> {
    let synchronised = match &host.clock_synchronised {
        Ok(true) => Finding::ok(Check::ClockSynchronised, "", "the clock is synchronised"),
        Ok(false) => {
            let found = "nothing that systemd knows of keeps the clock right (in a container its host does)";
            Finding::warning(
                Check::ClockSynchronised,
                "",
                found,
                "timedatectl set-ntp true; timedatectl timesync-status",
            )
        }
        Err(unseen) => Finding::not_looked_at(Check::ClockSynchronised, "", unseen),
    };
    vec![synchronised, possible(host)]
}

fn possible(host: &Host) -> Finding {
    let now = host.now;
    let hint = "date; set the clock, and see why it is wrong (an empty battery, no time server)";
    let last = host.state.as_ref().and_then(|state| state.audit.as_ref()?.as_ref().ok()?.at);
    if let Some(built) = host.built.filter(|built| now < *built) {
        let found = format!("it is {now} by the clock, before this program was built ({built})");
        return Finding::wrong(Check::Clock, "", found, hint);
    }
    if let Some(last) = last.filter(|last| now.after(SET_BACK) < *last) {
        let found = format!("it is {now} by the clock, before the last record of the audit log ({last})");
        return Finding::wrong(Check::Clock, "", found, hint);
    }
    Finding::ok(Check::Clock, "", format!("it is {now} by the clock, which can be"))
}
