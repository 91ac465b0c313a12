//! How the server is, in one line for whoever looks at `systemctl status` at night.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use nightlatch_approval_api::notify::Manager;
use tokio::time::{Instant, MissedTickBehavior};

use super::certificate::Certificate;
use super::panics;
use super::server::TICK;
use crate::approval::gate::{Gate, UnderWay};
use crate::clock::{Clock, WallTime};
use crate::peer::admission::Admission;

/// What the line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether everything is refused.
    pub locked: bool,
    /// Nodes that are listed.
    pub nodes: usize,
    /// What is under way.
    pub under_way: UnderWay,
    /// Panics since the start.
    pub panics: u64,
    /// Why the configuration in the file is not the one in force.
    pub not_reloaded: Option<String>,
    /// That the certificate ends soon, or has ended.
    pub certificate: Option<String>,
    /// Whether the server stops.
    pub stopping: bool,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { locked, nodes, under_way, panics, not_reloaded, certificate, stopping } = self;
        let UnderWay { asks, grants, held } = under_way;
        if *stopping {
            f.write_str("stopping; ")?;
        }
        if *locked {
            f.write_str("LOCKED, nightlatch unlock ends it; ")?;
        }
        write!(f, "{nodes} {}: ", if *nodes == 1 { "node" } else { "nodes" })?;
        match asks {
            0 => f.write_str("nobody waits for an answer")?,
            1 => f.write_str("1 question waits for an answer")?,
            asks => write!(f, "{asks} questions wait for an answer")?,
        }
        if *held > 0 {
            write!(f, ", {held} {} held", if *held == 1 { "call is" } else { "calls are" })?;
        }
        match grants {
            0 => {}
            1 => f.write_str(", 1 approval is valid")?,
            grants => write!(f, ", {grants} approvals are valid")?,
        }
        if let Some(why) = not_reloaded {
            write!(f, "; THE CHANGED CONFIGURATION IS NOT IN FORCE: {why}")?;
        }
        if let Some(certificate) = certificate {
            write!(f, "; {certificate}")?;
        }
        if *panics > 0 {
            write!(f, "; {panics} internal {}: see the journal", if *panics == 1 { "error" } else { "errors" })?;
        }
        Ok(())
    }
}

/// Where the parts of the status come from.
pub struct Watch {
    pub(super) gate: Arc<Gate>,
    pub(super) admission: Arc<Admission>,
    pub(super) manager: Arc<Manager>,
    certificate: Option<(Arc<Certificate>, Arc<dyn Clock>)>,
    not_reloaded: Mutex<Option<String>>,
}

impl Watch {
    pub(super) fn new(gate: Arc<Gate>, admission: Arc<Admission>, manager: Arc<Manager>) -> Self {
        Self { gate, admission, manager, certificate: None, not_reloaded: Mutex::default() }
    }

    /// Has the status say when `certificate` ends.
    pub(super) fn with_certificate(self, certificate: Option<Arc<Certificate>>, clock: Arc<dyn Clock>) -> Self {
        Self { certificate: certificate.map(|certificate| (certificate, clock)), ..self }
    }

    /// Remembers why the configuration was not reloaded; `None` when it was.
    pub(super) fn reloaded(&self, refused: Option<String>) {
        *self.not_reloaded.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        self.tell();
    }

    /// How it is. Returns only when no lock of the gate is stuck.
    pub(super) fn status(&self) -> Status {
        Status {
            locked: self.gate.locked().is_some(),
            nodes: self.admission.lists().nodes().count(),
            under_way: self.gate.under_way(),
            panics: panics::count(),
            not_reloaded: self.not_reloaded.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            certificate: self.certificate.as_ref().and_then(|(certificate, clock)| certificate.ends(clock.now().wall)),
            stopping: self.gate.is_stopping(),
        }
    }

    /// When the certificate ends that is served with; none without TLS.
    pub(super) fn certificate_not_after(&self) -> Option<WallTime> {
        self.certificate.as_ref().map(|(certificate, _)| certificate.not_after())
    }

    /// Tells the service manager how it is.
    pub(super) fn tell(&self) {
        self.manager.status(&self.status().to_string());
    }

    /// Tells the service manager how it is, once a second, and that the server lives, at half of its watchdog's time. The
    /// disk is not asked: a server that is killed for a slow disk loses its approvals, and finds the same disk.
    pub(super) async fn keep_telling(self: Arc<Self>) -> Infallible {
        let half = self.manager.watchdog().map(|watchdog| watchdog / 2);
        let mut ticks = tokio::time::interval(half.map_or(TICK, |half| half.min(TICK)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut alive: Option<Instant> = None;
        loop {
            let now = ticks.tick().await;
            self.tell();
            // The next tick may be late by one.
            if half.is_some_and(|half| alive.is_none_or(|alive| now + TICK.min(half) > alive + half)) {
                self.manager.alive();
                alive = Some(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_to_be_done_and_no_more() {
        let quiet = Status { nodes: 3, ..Status::default() };
        assert_eq!(quiet.to_string(), "3 nodes: nobody waits for an answer");
        let under_way = UnderWay { asks: 1, grants: 1, held: 1 };
        let busy = Status { nodes: 1, under_way, ..Status::default() };
        assert_eq!(busy.to_string(), "1 node: 1 question waits for an answer, 1 call is held, 1 approval is valid");
        let under_way = UnderWay { asks: 2, grants: 3, held: 4 };
        let not_reloaded = Some("restart to change `key`".to_owned());
        let certificate = Some("the certificate expires in 6 days".to_owned());
        let bad = Status { locked: true, nodes: 0, under_way, panics: 2, not_reloaded, certificate, stopping: true };
        assert_eq!(
            bad.to_string(),
            "stopping; LOCKED, nightlatch unlock ends it; 0 nodes: 2 questions wait for an answer, 4 calls are held, 3 approvals are valid; THE CHANGED \
             CONFIGURATION IS NOT IN FORCE: restart to change `key`; the certificate expires in 6 days; 2 internal errors: see the journal"
        );
    }
}
