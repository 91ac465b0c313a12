//! Opens what the server stands on: keys, state, audit log. Nothing here is made anew: what is missing was lost.

mod beginning;

use std::path::PathBuf;
use std::sync::Arc;

use super::certificate::{Certificate, CertificateError};
use super::keys::{KeyError, Keys};
use super::metrics::Asks;
use super::{Server, assemble};
use crate::approval::gate::{self, Gate};
use crate::audit;
use crate::audit::log::Log;
use crate::clock::Clock;
use crate::config::{Config, Tls};
use crate::daemon::records::DurableRecords;
use crate::pipeline::Pipeline;
use crate::state::{self, Store};

/// Name of the audit log in the state directory.
pub const AUDIT_LOG: &str = "audit.log";

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The audit log cannot be used.
    #[error("cannot use the audit log {}", path.display())]
    Audit {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: audit::file::Error,
    },
    /// There is no certificate to serve nodes with.
    #[error("cannot serve nodes with TLS")]
    Certificate(#[source] CertificateError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The state cannot be used.
    #[error("cannot use the state in {}", directory.display())]
    State {
        /// Where it is.
        directory: PathBuf,
        /// Why.
        #[source]
        source: state::Error,
    },
}

impl Server {
    /// Opens everything that `config` names.
    ///
    /// # Errors
    /// [`OpenError`]: the first thing that cannot be used.
    pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let directory = &config.state_directory;
        // First of all: it holds the lock that keeps a second server away from the audit log as well, and that is to be said
        // before anybody types a passphrase.
        let unusable = |source| OpenError::State { directory: directory.clone(), source };
        let (mut store, found) = Store::open(directory, config.installation).map_err(unusable)?;
        let path = directory.join(AUDIT_LOG);
        let unreadable = |source| OpenError::Audit { path: path.clone(), source };
        let told = audit::file::told(&path).map_err(unreadable)?;
        let (standing, unrecorded) = beginning::begin(&mut store, found, told, clock.now().wall).map_err(unusable)?;
        let keys = Arc::new(match &standing.lock {
            // What is locked needs no keys in memory, also after a restart.
            Some(_) => Keys::locked(config.keys.clone()),
            None => Keys::open(config.keys.clone())?,
        });
        let certificate = match &config.tls {
            Tls::Off => None,
            Tls::On(places) => Some(Certificate::open(places, clock.now().wall).map_err(OpenError::Certificate)?),
        };
        // Last of all: it cuts off what a crash left, and what it cut is told in a record.
        let (file, tail) = audit::file::File::open(&path, clock.now().wall).map_err(unreadable)?;
        let log = Log::new(file, tail, Arc::clone(&clock));
        let asks = Arc::new(Asks::default());
        let records = DurableRecords::new(log.clone(), store, Arc::clone(&asks));
        let generation = records.generation();
        let found = standing.grants.len();
        let standing = beginning::with_votes_through(&config.channels, standing);
        let is_less = standing.grants.len() < found;
        let admission = Arc::new(assemble::admission(config));
        let gate = Gate::new(
            assemble::policy(config),
            assemble::timings(&config.timings),
            standing,
            Arc::clone(&admission),
            Arc::clone(&clock),
            Arc::new(records),
        );
        let gate = gate.with_keys(Arc::clone(&keys) as Arc<dyn gate::Keys>);
        let gate = Arc::new(if is_less { gate.with_less() } else { gate });
        let keyring = Arc::clone(keys.keyring());
        let pipeline =
            Pipeline::new(Arc::clone(&admission), Arc::clone(&gate), keyring, log.clone(), Arc::clone(&clock));
        Ok(Self {
            admission,
            gate,
            pipeline: Arc::new(pipeline),
            log,
            asks,
            keys,
            generation,
            clock,
            config: config.clone(),
            certificate: certificate.map(Arc::new),
            unrecorded,
        })
    }
}
