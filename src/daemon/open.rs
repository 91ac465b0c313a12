//! Opens what the server stands on: keys, state, audit log. Nothing here is made anew: what is missing was lost.

use std::path::PathBuf;
use std::sync::Arc;

use super::certificate::{Certificate, CertificateError};
use super::{Server, assemble};
use crate::approval::gate::Gate;
use crate::audit;
use crate::audit::log::Log;
use crate::clock::Clock;
use crate::config::{Config, Key, KeySource, Tls};
use crate::credential;
use crate::daemon::records::DurableRecords;
use crate::key::local::LocalKey;
use crate::key::{Keyring, Source};
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
    /// A key cannot be read.
    #[error("cannot read the key `{name}`")]
    Key {
        /// Its name in the configuration.
        name: Box<str>,
        /// Why.
        #[source]
        source: credential::Error,
    },
    /// No key seals. The configuration does not allow that.
    #[error("no key seals")]
    NoSealingKey,
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
        let keyring = keyring(&config.keys)?;
        let certificate = match &config.tls {
            Tls::Off => None,
            Tls::On(places) => Some(Certificate::open(places, clock.now().wall).map_err(OpenError::Certificate)?),
        };
        let directory = &config.state_directory;
        // First of all: it holds the lock that keeps a second server away from the audit log as well.
        let (store, standing) = Store::open(directory, config.installation)
            .map_err(|source| OpenError::State { directory: directory.clone(), source })?;
        let path = directory.join(AUDIT_LOG);
        let (file, tail) =
            audit::file::File::open(&path, clock.now().wall).map_err(|source| OpenError::Audit { path, source })?;
        let log = Log::new(file, tail, Arc::clone(&clock));
        let records = DurableRecords::new(log.clone(), store);
        let admission = Arc::new(assemble::admission(config));
        let gate = Arc::new(Gate::new(
            assemble::policy(config),
            assemble::timings(&config.timings),
            standing,
            Arc::clone(&clock),
            Arc::new(records),
        ));
        let pipeline =
            Pipeline::new(Arc::clone(&admission), Arc::clone(&gate), keyring, log.clone(), Arc::clone(&clock));
        Ok(Self {
            admission,
            gate,
            pipeline: Arc::new(pipeline),
            log,
            clock,
            config: config.clone(),
            certificate: certificate.map(Arc::new),
        })
    }
}

fn keyring(keys: &[Key]) -> Result<Keyring, OpenError> {
    let mut sealing: Option<Box<dyn Source>> = None;
    let mut opening: Vec<Box<dyn Source>> = vec![];
    for key in keys {
        let bytes = match &key.source {
            KeySource::Credential(name) => credential::from_systemd(name),
            KeySource::File(path) => credential::from_file(path),
        }
        .map_err(|source| OpenError::Key { name: key.name.clone(), source })?;
        let source = Box::new(LocalKey::new(bytes));
        if key.seals && sealing.is_none() {
            sealing = Some(source);
        } else {
            opening.push(source);
        }
    }
    Ok(Keyring::new(sealing.ok_or(OpenError::NoSealingKey)?, opening))
}
