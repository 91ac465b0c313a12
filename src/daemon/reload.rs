//! SIGHUP: the configuration is read again. What can change while the server runs takes effect as one; when anything else
//! has changed, or the file has a mistake, nothing does, and it is said why.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::assemble;
use super::certificate::Certificate;
use super::logging::Levels;
use super::status::Watch;
use crate::clock::monotonic_usec;
use crate::config::{self, Config, Warning};

/// Reads the configuration anew, with what the command line says on top of it.
pub type Load = Box<dyn Fn() -> Result<(Config, Vec<Warning>), config::Error> + Send + Sync>;

/// Where the configuration comes from when it is read again.
pub struct Origin {
    /// Reads it.
    pub load: Load,
    /// How talkative the server is.
    pub levels: Levels,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").finish_non_exhaustive()
    }
}

/// Why the configuration in force is still the one from before.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("these keys take effect with a restart only: {}", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    #[error(transparent)]
    File(#[from] config::Error),
    /// By a panic, which the hook has told: the error of the task would quote its message.
    #[error("a bug ended the reading of the file")]
    Broken,
}

impl Refused {
    /// For the status line, which has no room for places in the file.
    fn in_short(&self) -> String {
        match self {
            Self::NeedsRestart(keys) => format!("restart to change {}", keys.join(", ")),
            Self::File(_) | Self::Broken => "the file cannot be used, see the journal".to_owned(),
        }
    }
}

/// Puts what the file says in force.
pub(super) struct Reload {
    pub(super) running: Config,
    pub(super) origin: Arc<Origin>,
    pub(super) watch: Arc<Watch>,
    /// Looked at as well, whether the configuration can be reloaded or not.
    pub(super) certificate: Option<Arc<Certificate>>,
}

impl Reload {
    /// Reads everything anew.
    pub(super) async fn run(&mut self) {
        if self.watch.gate.is_stopping() {
            return;
        }
        let manager = Arc::clone(&self.watch.manager);
        manager.reloading(monotonic_usec());
        let refused = self.reload().await.inspect_err(|refused| {
            // In the message itself: the journal does not show fields unless it is asked to.
            let why = chain(refused);
            tracing::error!("configuration not reloaded, the one from before stays in force: {why}");
        });
        if let Some(certificate) = &self.certificate {
            certificate.reload();
        }
        self.watch.reloaded(refused.err().map(|refused| refused.in_short()));
        manager.ready();
    }

    async fn reload(&mut self) -> Result<(), Refused> {
        let origin = Arc::clone(&self.origin);
        let (new, warnings) =
            tokio::task::spawn_blocking(move || (origin.load)()).await.map_err(|_panic| Refused::Broken)??;
        let keys = needs_restart(&self.running, &new);
        if !keys.is_empty() {
            return Err(Refused::NeedsRestart(keys));
        }
        for warning in &warnings {
            tracing::warn!(%warning, "configuration doubtful");
        }
        self.origin.levels.set(&new.log);
        // Calls that are held are let go by another configuration: not for nothing.
        let decides_the_same = Config { log: new.log, ..self.running.clone() } == new;
        if !decides_the_same {
            self.apply(&new).await;
        }
        tracing::info!(changed = self.running != new, "configuration reloaded");
        self.running = new;
        Ok(())
    }

    /// Puts `new` in force: who may call, the rules, and who may answer, as one.
    async fn apply(&self, new: &Config) {
        let (policy, timings) = (assemble::policy(new), assemble::timings(&new.timings));
        self.watch.gate.reconfigure(policy, timings, &assemble::lists(new)).await;
    }
}

/// The keys that differ and cannot change while the server runs, as they stand in the file.
fn needs_restart(running: &Config, new: &Config) -> Vec<&'static str> {
    // Taken apart in full: a new key has to be put on one side or the other.
    let Config {
        installation,
        state_directory,
        tls,
        exit_after_idle,
        listen,
        keys,
        channels,
        networks: _,
        uuid_policy: _,
        rules: _,
        clusters: _,
        nodes: _,
        enrolment: _,
        approvers: _,
        timings: _,
        log: _,
    } = new;
    let differs = [
        (*installation != running.installation, "installation"),
        (*state_directory != running.state_directory, "state_directory"),
        (*tls != running.tls, "tls"),
        (*exit_after_idle != running.exit_after_idle, "exit_after_idle"),
        (*listen != running.listen, "listen"),
        (*keys != running.keys, "key"),
        (*channels != running.channels, "channel"),
    ];
    differs.into_iter().filter_map(|(differs, key)| differs.then_some(key)).collect()
}

/// How the file is read again: from `path`, with `on_top` of it what the command line says.
#[must_use]
pub fn load_again(path: PathBuf, on_top: impl Fn(&mut Config) + Send + Sync + 'static) -> Load {
    Box::new(move || {
        let (mut config, warnings) = Config::load(&path)?;
        on_top(&mut config);
        Ok((config, warnings))
    })
}

fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |error| Error::source(*error))
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests;
