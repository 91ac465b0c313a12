//! How the server is, for people who look through a channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nightlatch_approval_api::v1;

use super::keys::Keys;
use super::server::Server;
use super::status::Watch;
use crate::approval::channel::{Look, message};
use crate::clock::WallTime;
use crate::config::Tls;

/// Where it is looked.
pub(super) struct Overview {
    installation: String,
    tls: bool,
    channels: Vec<Box<str>>,
    started: WallTime,
    keys: Arc<Keys>,
    generation: Arc<AtomicU64>,
    watch: Arc<Watch>,
}

impl Overview {
    /// That of `server`, which starts now.
    pub(super) fn new(server: &Server, watch: &Arc<Watch>) -> Self {
        Self {
            installation: server.config.installation.to_string(),
            tls: !matches!(server.config.tls, Tls::Off),
            channels: server.config.channels.iter().map(|channel| channel.name.clone()).collect(),
            started: server.clock.now().wall,
            keys: Arc::clone(&server.keys),
            generation: Arc::clone(&server.generation),
            watch: Arc::clone(watch),
        }
    }

    /// What somebody should look at, each a sentence.
    fn warnings(&self, keys: &[v1::Key], is_locked: bool) -> Vec<String> {
        let status = self.watch.status();
        let mut warnings = Vec::new();
        warnings.extend(status.not_reloaded.map(|why| format!("the changed configuration is not in force: {why}")));
        warnings.extend(status.certificate);
        if !is_locked {
            let absent = keys.iter().filter(|key| !key.present);
            warnings.extend(absent.map(|key| format!("the key `{}` is not in memory: {}", key.name, key.absence)));
        }
        for listing in self.watch.admission.lists().listings() {
            let in_force = if listing.in_force { "" } else { " is not in force" };
            let conflict = listing.conflict.as_ref();
            warnings.extend(
                conflict.map(|why| format!("the node `{}` of people's list{in_force}: {why}", listing.made.name)),
            );
        }
        if self.watch.gate.is_unsaved() {
            warnings.push("what was decided last is not saved yet: see the journal".to_owned());
        }
        if status.panics > 0 {
            warnings.push(format!("{} internal errors since the start: see the journal", status.panics));
        }
        warnings
    }
}

impl Look for Overview {
    fn overview(&self) -> v1::OverviewResponse {
        let (gate, keys) = (&self.watch.gate, self.keys.shown());
        let lock = gate.locked();
        v1::OverviewResponse {
            installation: self.installation.clone(),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: self.started.unix_millis(),
            lock: lock.as_ref().map(message::lock),
            channels: self
                .channels
                .iter()
                .map(|name| v1::ChannelStatus {
                    name: name.to_string(),
                    attached: u32::try_from(gate.attached(name)).unwrap_or(u32::MAX),
                })
                .collect(),
            tls: self.tls,
            certificate_not_after_ms: self.watch.certificate_not_after().map_or(0, WallTime::unix_millis),
            last_releases: gate.last_releases().iter().map(message::release).collect(),
            warnings: self.warnings(&keys, lock.is_some()),
            calls_held: u32::try_from(gate.under_way().held).unwrap_or(u32::MAX),
            state_generation: self.generation.load(Ordering::Relaxed),
            keys,
        }
    }
}
