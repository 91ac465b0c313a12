//! Opens what the server stands on: keys, state, audit log. Nothing here is made anew: what is missing was lost.

mod beginning;

use std::path::PathBuf;
use std::sync::Arc;

use super::certificate::{Certificate, CertificateError};
use super::metrics::Asks;
use super::{Server, assemble};
use crate::approval::gate::Gate;
use crate::audit;
use crate::audit::log::Log;
use crate::clock::Clock;
use crate::config::{Config, Key, KeySource, PassphraseOrigin, PassphraseSource, Tls};
use crate::credential::{self, terminal};
use crate::daemon::records::DurableRecords;
use crate::key::local::LocalKey;
use crate::key::passphrase::{NotTaken, PassphraseKey, Stretcher};
use crate::key::stretching::{OutOfRange, Stretching};
use crate::key::{KeyId, Keyring, Source};
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
    /// A passphrase is not taken.
    #[error("cannot use the passphrase `{name}`")]
    Passphrase {
        /// Its name in the configuration.
        name: Box<str>,
        /// Why.
        #[source]
        source: NotTaken,
    },
    /// A passphrase is stretched with parameters that no reader of its blobs accepts. The configuration does not allow
    /// that.
    #[error("cannot stretch the passphrase `{name}`")]
    Stretching {
        /// Its name in the configuration.
        name: Box<str>,
        /// Why.
        #[source]
        source: OutOfRange,
    },
    /// A passphrase was not typed.
    #[error("there is no passphrase `{name}`")]
    Typed {
        /// Its name in the configuration.
        name: Box<str>,
        /// Why.
        #[source]
        source: terminal::Error,
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
        let directory = &config.state_directory;
        // First of all: it holds the lock that keeps a second server away from the audit log as well, and that is to be said
        // before anybody types a passphrase.
        let unusable = |source| OpenError::State { directory: directory.clone(), source };
        let (mut store, found) = Store::open(directory, config.installation).map_err(unusable)?;
        let keyring = keyring(&config.keys)?;
        let certificate = match &config.tls {
            Tls::Off => None,
            Tls::On(places) => Some(Certificate::open(places, clock.now().wall).map_err(OpenError::Certificate)?),
        };
        let path = directory.join(AUDIT_LOG);
        let (file, tail) =
            audit::file::File::open(&path, clock.now().wall).map_err(|source| OpenError::Audit { path, source })?;
        let (standing, unrecorded) =
            beginning::begin(&mut store, found, file.last_saved(), clock.now().wall).map_err(unusable)?;
        let log = Log::new(file, tail, Arc::clone(&clock));
        let asks = Arc::new(Asks::default());
        let records = DurableRecords::new(log.clone(), store, Arc::clone(&asks));
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
            asks,
            clock,
            config: config.clone(),
            certificate: certificate.map(Arc::new),
            unrecorded,
        })
    }
}

/// How often somebody may mistype a passphrase at the terminal.
const ATTEMPTS: usize = 3;

fn keyring(keys: &[Key]) -> Result<Keyring, OpenError> {
    let mut sealing: Option<Box<dyn Source>> = None;
    let mut opening: Vec<Box<dyn Source>> = vec![];
    let stretcher = Stretcher::new();
    for key in keys {
        let unreadable = |source| OpenError::Key { name: key.name.clone(), source };
        let source: Box<dyn Source> = match &key.source {
            KeySource::Credential(name) => Box::new(LocalKey::new(credential::from_systemd(name).map_err(unreadable)?)),
            KeySource::File(path) => Box::new(LocalKey::new(credential::from_file(path).map_err(unreadable)?)),
            KeySource::Passphrase(source) => Box::new(passphrase_key(&key.name, source, &stretcher)?),
        };
        if key.seals && sealing.is_none() {
            sealing = Some(source);
        } else {
            opening.push(source);
        }
    }
    Ok(Keyring::new(sealing.ok_or(OpenError::NoSealingKey)?, opening))
}

fn passphrase_key(name: &str, source: &PassphraseSource, stretcher: &Stretcher) -> Result<PassphraseKey, OpenError> {
    // Taken apart in full, so that a new key cannot be forgotten here.
    let PassphraseSource { origin, salt, key_id, memory, passes, lanes } = source;
    let stretching = Stretching::new(*salt, *memory, *passes, *lanes)
        .map_err(|source| OpenError::Stretching { name: name.into(), source })?;
    let id = KeyId::from_bytes(*key_id);
    let take = |passphrase| PassphraseKey::open(passphrase, stretching, id, stretcher.clone());
    let unreadable = |source| OpenError::Key { name: name.into(), source };
    let not_taken = |source| OpenError::Passphrase { name: name.into(), source };
    let passphrase = match origin {
        PassphraseOrigin::AskedBySystemd(credential) | PassphraseOrigin::Credential(credential) => {
            credential::passphrase_from_systemd(credential).map_err(unreadable)?
        }
        PassphraseOrigin::File(path) => credential::passphrase_from_file(path).map_err(unreadable)?,
        PassphraseOrigin::Terminal => {
            let ask = |prompt: String| {
                terminal::ask(&prompt).map_err(|source| OpenError::Typed { name: name.into(), source })
            };
            let mut typed = ask(format!("Passphrase `{name}` (key id {id}): "));
            for _ in 1..ATTEMPTS {
                match typed.map(take) {
                    Ok(Err(NotTaken::OtherKeyId(_)))
                    | Err(OpenError::Typed { source: terminal::Error::NotAPassphrase(_), .. }) => {}
                    taken => return taken?.map_err(not_taken),
                }
                typed = ask(format!("Not that one. Passphrase `{name}` (key id {id}): "));
            }
            typed?
        }
    };
    take(passphrase).map_err(not_taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
installation = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21"
networks = []
tls = "off"
[[key]]
name = "typed"
source = "passphrase"
file = "/none"
salt = "000102030405060708090a0b0c0d0e0f"
key_id = "0011223344556677"
"#;

    /// Whether configuration and key agree on what is in range.
    #[test]
    fn every_passphrase_that_is_configured_can_be_stretched() {
        for (lines, configured, memory, passes, lanes) in [
            ("", true, Stretching::DEFAULT_MEMORY, Stretching::DEFAULT_PASSES, Stretching::DEFAULT_LANES),
            ("memory = \"8KiB\"\npasses = 1\nlanes = 1", true, 8, 1, 1),
            ("memory = \"1GiB\"\npasses = 16\nlanes = 16", true, 1_048_576, 16, 16),
            ("memory = \"7KiB\"", false, 7, 3, 1),
            ("memory = \"127KiB\"\nlanes = 16", false, 127, 3, 16),
            ("memory = \"1048577KiB\"", false, 1_048_577, 3, 1),
            ("passes = 17", false, 65_536, 17, 1),
            ("lanes = 17", false, 65_536, 3, 17),
        ] {
            assert_eq!(Stretching::new([0; 16], memory, passes, lanes).is_ok(), configured, "{lines}");
            let parsed = Config::parse(&format!("{CONFIG}{lines}"), "nightlatch.toml");
            assert_eq!(parsed.is_ok(), configured, "{lines}");
            let Ok((config, _)) = parsed else { continue };
            let KeySource::Passphrase(source) = &config.keys[0].source else { panic!("a passphrase") };
            assert_eq!((source.memory, source.passes, source.lanes), (memory, passes, lanes));
        }
    }

    #[test]
    fn another_passphrase_than_the_configured_one_keeps_the_server_from_starting() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("passphrase");
        let options = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        let file = rustix::fs::open(&path, options, 0o600.into()).expect("made");
        rustix::io::write(file, b"secret\n").expect("written");
        let stretching = Stretching::new([7; 16], 8, 1, 1).expect("in range");
        let source = PassphraseSource {
            origin: PassphraseOrigin::File(path),
            salt: *stretching.salt(),
            key_id: [7; 8],
            memory: 8,
            passes: 1,
            lanes: 1,
        };
        let refused = passphrase_key("typed", &source, &Stretcher::new()).expect_err("another key id");
        let id = KeyId::from_bytes([7; 8]);
        assert!(matches!(refused, OpenError::Passphrase { source: NotTaken::OtherKeyId(found), .. } if found == id));
        assert!(!format!("{refused:?} {refused}").contains("secret"));
    }
}
