//! `nightlatch state import`: a backup takes the place of the state, and never allows more than is known.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::is_standard;
use crate::audit;
use crate::audit::tail::Told;
use crate::cli::serve::{audit_code, io_code, state_code};
use crate::cli::{Failure, exit};
use crate::clock::WallTime;
use crate::config::Config;
use crate::daemon::open::AUDIT_LOG;
use crate::state::{self, MAX_LEN, Store, There, Unreadable};

/// How old a backup is, beside what else is known of the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// The audit log tells of no newer state.
    Latest,
    /// Nothing tells.
    Unknown,
    /// The state that is there, or the audit log, has this newer generation.
    OlderThan { generation: u64, by: &'static str },
    /// The audit log tells of somebody's no after it.
    BeforeANo,
}

/// How old a backup of this generation is, when that is `there`, and this is what the audit log told.
pub(super) fn age(backup: u64, there: There, told: Told) -> Age {
    match (there, told.saved) {
        (_, Some(generation)) if backup < generation => Age::OlderThan { generation, by: "the audit log tells of" },
        (There::State(there), _) if backup < there.get() => {
            Age::OlderThan { generation: there.get(), by: "the state that is there has" }
        }
        _ if told.is_newer_than(backup) => Age::BeforeANo,
        (_, Some(_)) => Age::Latest,
        (_, None) => Age::Unknown,
    }
}

/// Reads a backup, no more of it than a state can be long.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: io::Error| {
        Failure::new(io_code(&error), format!("cannot read {}", file.display()))
            .because(&error)
            .hint("name a file that nightlatch state export has written")
    };
    let (mut bytes, limit) = (vec![], u64::try_from(MAX_LEN).unwrap_or(u64::MAX).saturating_add(1));
    if is_standard(file) {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        File::open(file).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    Ok(bytes)
}

/// Puts the state `bytes` in the place of the one of `config`, and says what became of it.
pub(super) fn import(config: &Config, bytes: &[u8], older_is_fine: bool, now: WallTime) -> Result<String, Failure> {
    let directory = &config.state_directory;
    let (backup, found) = state::read(bytes, config.installation).map_err(|error| no_backup(&error))?;
    let unusable = |error: state::Error| {
        let failure = Failure::new(state_code(&error), format!("cannot put a state into {}", directory.display()));
        match error {
            state::Error::InUse(_) => failure.because(&error).hint(
                "stop the server first, and the sockets that start it again: systemctl stop nightlatch.socket \
                 nightlatch.service",
            ),
            state::Error::Unreadable { source: Unreadable::Foreign { .. }, .. } => failure
                .because(&error)
                .hint("move that state aside if it is not needed, or correct installation in the configuration"),
            _ => failure.because(&error).hint(error.hint()),
        }
    };
    let (mut store, there) = Store::open_to_replace(directory, config.installation).map_err(unusable)?;
    let path = directory.join(AUDIT_LOG);
    let look = audit::file::look(&path).map_err(|error| {
        Failure::new(audit_code(&error), "the audit log does not tell how old this backup is")
            .because(&error)
            .hint(error.hint())
    })?;
    let told = look.map_or_else(Told::default, |look| look.told);
    let age = age(backup.get(), there, told);
    if !older_is_fine {
        match age {
            Age::OlderThan { generation, by } => {
                return Err(too_old(&format!("it is generation {backup}, and {by} {generation}")));
            }
            Age::BeforeANo => return Err(too_old("the audit log tells of somebody's no that it does not have")),
            Age::Latest | Age::Unknown => {}
        }
    }
    let standing = match age {
        Age::Latest => found,
        // What was used up since is not known, and that alone would release something.
        Age::Unknown => found.without_grants(),
        Age::OlderThan { .. } | Age::BeforeANo => found.of_an_older_state(now),
    };
    let above = backup.get().max(told.saved.unwrap_or(0));
    let generation = store.save_above(above, &standing).map_err(unusable)?;
    Ok(format!(
        "put generation {backup} of installation {} into {}, as generation {generation}\n\
         denials and blocks: {}; nodes that people listed: {}; approvals ahead: {}; locked: {}\n{}",
        config.installation,
        directory.display(),
        standing.refusals.len(),
        standing.nodes.len(),
        standing.grants.len(),
        if standing.lock.is_some() { "yes" } else { "no" },
        consequences(age),
    ))
}

/// What follows from the age, in lines of their own.
const fn consequences(age: Age) -> &'static str {
    match age {
        Age::Latest => "the audit log tells of no newer state\n",
        Age::Unknown => {
            "whether there was a newer one is not known, since no audit log tells: look through denials and blocks; \
             approvals ahead were dropped\n"
        }
        Age::OlderThan { .. } | Age::BeforeANo => {
            "it is older than what was known here: the server starts locked, and nothing is approved ahead\n\
             look through denials, blocks and nodes, set again what it forgets, then unlock on this host\n"
        }
    }
}

fn too_old(why: &str) -> Failure {
    let error = format!("this backup is older: {why}; nothing was changed");
    Failure::new(exit::DATA, error).hint(
        "it may forget denials, blocks, a lock, changes of nodes and uses of approvals ahead; look for a newer one, or add \
         --older: the server then starts locked, with nothing approved ahead, until somebody unlocks it on this host",
    )
}

fn no_backup(error: &Unreadable) -> Failure {
    let (code, hint) = match error {
        Unreadable::Damaged(_) => (exit::DATA, "use another backup: nothing of this one can be trusted"),
        Unreadable::Foreign { .. } => (
            exit::CONFIG,
            "use the backup of this installation; if this host takes over the other one's place, put that id into \
             installation in the configuration first",
        ),
        Unreadable::Newer { .. } => (exit::DATA, "install the newer nightlatch again, or use an older backup"),
    };
    Failure::new(code, "this backup cannot be used").because(error).hint(hint)
}
