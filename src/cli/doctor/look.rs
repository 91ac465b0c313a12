//! Looks at the host: all that `nightlatch doctor` reads and asks. It changes nothing, locks nothing, and connects to
//! no socket of the server or of a channel, so that it wakes nobody. It does have names resolved, which asks name servers.

mod files;
mod keys;
mod names;
mod systemd;

use std::collections::BTreeMap;
use std::path::Path;

use super::facts::{Host, SERVER};
use super::finding::Unseen;
use crate::clock::WallTime;
use crate::config::{Config, Warning};
use crate::daemon::memory::Protected;

/// What a person asked for.
pub(super) struct Wanted<'a> {
    /// The configuration's path.
    pub(super) path: &'a Path,
    /// What it says, or what is wrong with it.
    pub(super) configuration: Result<(Config, Vec<Warning>), String>,
    /// Roots that nodes have beside the public ones.
    pub(super) roots: Option<&'a Path>,
}

/// Looks at everything.
pub(super) fn look(wanted: Wanted<'_>, now: WallTime, memory: &Protected) -> Host {
    let config = wanted.configuration.as_ref().ok().map(|(config, _)| config);
    let units = systemd::units(config);
    let seen = units.as_deref().unwrap_or_default();
    let server = seen.iter().find(|unit| unit.id() == SERVER);
    let (credentials, secrets) = keys::credentials(seen, config, memory);
    let filtered = seen.iter().any(|unit| unit.id().ends_with(".socket") && !unit.denied().is_empty());
    Host {
        now,
        path: wanted.path.to_path_buf(),
        configuration_file: files::entry(wanted.path),
        programs: systemd::programs(seen),
        sockets: files::sockets(seen, config),
        ports: files::ports(),
        unfiltered: if filtered { systemd::unfiltered() } else { Err(Unseen::because("no filter is set")) },
        accounts: names::accounts(config, seen),
        clock_synchronised: systemd::clock_synchronised(),
        built: files::built(),
        state: config.map(|config| files::state(config, server)),
        certificate: config.and_then(|config| keys::certificate(config, server, &secrets, wanted.roots, now)),
        keys: config.map(|config| keys::keys(config, &secrets)),
        names: config.map_or_else(BTreeMap::new, names::resolved),
        bot: systemd::bot(seen, config),
        swaps: files::swaps(),
        credentials,
        units,
        configuration: wanted.configuration,
    }
}
