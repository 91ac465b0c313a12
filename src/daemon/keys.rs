//! The keys of the configuration: read at the start, wiped with the lock, and read again with its end.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use nightlatch_approval_api::v1;

use crate::approval::gate;
use crate::config::{Key, KeySource, PassphraseOrigin, PassphraseSource};
use crate::credential::{self, terminal};
use crate::key::local::LocalKey;
use crate::key::passphrase::{NotTaken, PassphraseKey, Stretcher};
use crate::key::stretching::{OutOfRange, Stretching};
use crate::key::{Held, KeyId, Keyring, Source};

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
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
    /// A passphrase was typed when the server was started, and is not kept.
    #[error("the passphrase `{name}` was typed at the start")]
    TypedAtTheStart {
        /// Its name in the configuration.
        name: Box<str>,
    },
    /// No key seals. The configuration does not allow that.
    #[error("no key seals")]
    NoSealingKey,
}

/// How often somebody may mistype a passphrase at the terminal.
const ATTEMPTS: usize = 3;

/// Why a key is not in memory while everything is locked.
const LOCKED: &str = "everything is locked; it is read again by: nightlatch unlock";

/// The keys of the configuration, in memory or not.
pub struct Keys {
    configured: Vec<Key>,
    keyring: Arc<Keyring>,
    /// Of each configured key: its id, or why it is not in memory and how it comes back.
    there: Mutex<Vec<Result<KeyId, String>>>,
}

impl Keys {
    /// Reads all of them.
    ///
    /// # Errors
    /// [`KeyError`]: the first that cannot be used.
    pub fn open(configured: Vec<Key>) -> Result<Self, KeyError> {
        let stretcher = Stretcher::new();
        let sources = configured.iter().map(|key| source(key, &stretcher, true)).collect::<Result<Vec<_>, _>>()?;
        let there = sources.iter().map(|source| Ok(source.key().id)).collect();
        let keyring = Keyring::wiped();
        match sorted(&configured, sources.into_iter().map(Some)) {
            (Some(sealing), opening) => keyring.fill(Held::new(sealing, opening)),
            (None, _) => return Err(KeyError::NoSealingKey),
        }
        Ok(Self { configured, keyring: Arc::new(keyring), there: Mutex::new(there) })
    }

    /// Reads none of them: everything is locked.
    #[must_use]
    pub fn locked(configured: Vec<Key>) -> Self {
        let there = configured.iter().map(|_| Err(LOCKED.to_owned())).collect();
        Self { configured, keyring: Arc::new(Keyring::wiped()), there: Mutex::new(there) }
    }

    /// Where they are.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Each of them for people, the one that seals first.
    #[must_use]
    pub fn shown(&self) -> Vec<v1::Key> {
        let there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shown: Vec<v1::Key> = self
            .configured
            .iter()
            .zip(&*there)
            .map(|(key, there)| v1::Key {
                name: key.name.to_string(),
                id: there.as_ref().map_or_else(|_| String::new(), ToString::to_string),
                seals: key.seals,
                present: there.is_ok(),
                absence: there.as_ref().err().cloned().unwrap_or_default(),
            })
            .collect();
        shown.sort_by_key(|key| !key.seals);
        shown
    }

    fn set(&self, there: Vec<Result<KeyId, String>>) {
        *self.there.lock().unwrap_or_else(PoisonError::into_inner) = there;
    }
}

impl gate::Keys for Keys {
    fn wipe(&self) {
        self.keyring.wipe();
        self.set(self.configured.iter().map(|_| Err(LOCKED.to_owned())).collect());
        tracing::info!("keys wiped");
    }

    fn load(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let configured = self.configured.clone();
            let read = tokio::task::spawn_blocking(move || {
                let stretcher = Stretcher::new();
                configured.iter().map(|key| source(key, &stretcher, false)).collect::<Vec<_>>()
            });
            let Ok(read) = read.await else {
                tracing::error!("keys not read: a bug ended it");
                let why = "a bug ended the reading of it: systemctl restart nightlatch.service";
                return self.set(self.configured.iter().map(|_| Err(why.to_owned())).collect());
            };
            let mut there = Vec::with_capacity(read.len());
            let mut sources = Vec::with_capacity(read.len());
            for (key, read) in self.configured.iter().zip(read) {
                match read {
                    Ok(source) => {
                        there.push(Ok(source.key().id));
                        sources.push(Some(source));
                    }
                    Err(error) => {
                        let why = chain(&error);
                        tracing::error!(key = %key.name, "key not read: {why}");
                        there.push(Err(absence(key, &why)));
                        sources.push(None);
                    }
                }
            }
            let is_whole = there.iter().all(Result::is_ok);
            self.keyring.fill(match sorted(&self.configured, sources.into_iter()) {
                (Some(sealing), opening) if is_whole => Held::new(sealing, opening),
                (sealing, opening) => Held::incomplete(sealing, opening),
            });
            self.set(there);
            tracing::info!(whole = is_whole, "keys read");
        })
    }
}

/// Why a key is not there, and how it comes back.
fn absence(key: &Key, why: &str) -> String {
    match &key.source {
        KeySource::Passphrase(PassphraseSource { origin: PassphraseOrigin::Terminal, .. }) => {
            "it has to be typed: start nightlatch serve again".to_owned()
        }
        _ => format!("{why}; mend that, and systemctl restart nightlatch.service"),
    }
}

/// The key that seals, and the others.
type Sorted = (Option<Box<dyn Source>>, Vec<Box<dyn Source>>);

fn sorted(configured: &[Key], sources: impl Iterator<Item = Option<Box<dyn Source>>>) -> Sorted {
    let (mut sealing, mut opening) = (None, vec![]);
    for (key, source) in configured.iter().zip(sources) {
        if key.seals && sealing.is_none() {
            sealing = source;
        } else {
            opening.extend(source);
        }
    }
    (sealing, opening)
}

/// Reads one key. What has to be typed is asked for at the start alone: later nobody sits at that terminal.
fn source(key: &Key, stretcher: &Stretcher, at_start: bool) -> Result<Box<dyn Source>, KeyError> {
    let unreadable = |source| KeyError::Key { name: key.name.clone(), source };
    Ok(match &key.source {
        KeySource::Credential(name) => Box::new(LocalKey::new(credential::from_systemd(name).map_err(unreadable)?)),
        KeySource::File(path) => Box::new(LocalKey::new(credential::from_file(path).map_err(unreadable)?)),
        KeySource::Passphrase(PassphraseSource { origin: PassphraseOrigin::Terminal, .. }) if !at_start => {
            return Err(KeyError::TypedAtTheStart { name: key.name.clone() });
        }
        KeySource::Passphrase(source) => Box::new(passphrase_key(&key.name, source, stretcher)?),
    })
}

fn passphrase_key(name: &str, source: &PassphraseSource, stretcher: &Stretcher) -> Result<PassphraseKey, KeyError> {
    // Taken apart in full, so that a new key cannot be forgotten here.
    let PassphraseSource { origin, salt, key_id, memory, passes, lanes } = source;
    let stretching = Stretching::new(*salt, *memory, *passes, *lanes)
        .map_err(|source| KeyError::Stretching { name: name.into(), source })?;
    let id = KeyId::from_bytes(*key_id);
    let take = |passphrase| PassphraseKey::open(passphrase, stretching, id, stretcher.clone());
    let unreadable = |source| KeyError::Key { name: name.into(), source };
    let not_taken = |source| KeyError::Passphrase { name: name.into(), source };
    let passphrase = match origin {
        PassphraseOrigin::AskedBySystemd(credential) | PassphraseOrigin::Credential(credential) => {
            credential::passphrase_from_systemd(credential).map_err(unreadable)?
        }
        PassphraseOrigin::File(path) => credential::passphrase_from_file(path).map_err(unreadable)?,
        PassphraseOrigin::Terminal => {
            let ask =
                |prompt: String| terminal::ask(&prompt).map_err(|source| KeyError::Typed { name: name.into(), source });
            let mut typed = ask(format!("Passphrase `{name}` (key id {id}): "));
            for _ in 1..ATTEMPTS {
                match typed.map(take) {
                    Ok(Err(NotTaken::OtherKeyId(_)))
                    | Err(KeyError::Typed { source: terminal::Error::NotAPassphrase(_), .. }) => {}
                    taken => return taken?.map_err(not_taken),
                }
                typed = ask(format!("Not that one. Passphrase `{name}` (key id {id}): "));
            }
            typed?
        }
    };
    take(passphrase).map_err(not_taken)
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

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
        assert!(matches!(refused, KeyError::Passphrase { source: NotTaken::OtherKeyId(found), .. } if found == id));
        assert!(!format!("{refused:?} {refused}").contains("secret"));
    }
}
