//! The certificate of the running server: read from its files, exchanged when they change, and told of before it ends.

pub mod judgement;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use crate::certificate::expiry::{self, Stage, days_left};
use crate::certificate::key::{MAX_KEY_LEN, MAX_PASSPHRASE_LEN};
use crate::certificate::{Defect, MAX_CHAIN_LEN, Pair, PairError};
use crate::clock::{Clock, WallTime};
use crate::config::{self, Place};
use crate::credential::contents::{self, Access, ContentsError};
use crate::listen::tls::Encryption;
use crate::secret::SecretContents;

/// How often the files are looked at, and whether something has to be told about the end.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Why there is no certificate to serve with. [`hint`](Self::hint) says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file or a credential cannot be read.
    #[error("cannot read the {what} of [tls]")]
    Read {
        /// Which of them.
        what: &'static str,
        /// Why.
        #[source]
        source: ContentsError,
    },
    /// What they hold cannot be used.
    #[error("cannot use the certificate of [tls]")]
    Pair(#[from] PairError),
    /// The library refuses it.
    #[error("cannot use the certificate of [tls]")]
    Library(#[from] rustls::Error),
    /// Nodes would refuse it, and the one in use they do not.
    #[error("nodes would refuse the new certificate: {}", list(.0))]
    Worse(Vec<Defect>),
}

impl CertificateError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Read { source, .. } => source.hint(),
            Self::Pair(error) => error.hint().into(),
            Self::Library(_) => "get another certificate".into(),
            Self::Worse(_) => {
                "put a certificate there that nodes accept: nightlatch check --tls says what is wrong".into()
            }
        }
    }
}

fn list(defects: &[Defect]) -> String {
    defects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What stands in the files, unread.
struct Contents {
    certificate: SecretContents,
    key: SecretContents,
    passphrase: Option<SecretContents>,
}

impl Contents {
    fn read(places: &config::Certificate) -> Result<Self, CertificateError> {
        let read = |what, place: &Place, access, max| {
            match place {
                Place::Credential(name) => contents::from_systemd(name, max),
                Place::File(path) => contents::from_file(path, access, max),
            }
            .map_err(|source| CertificateError::Read { what, source })
        };
        let passphrase = places.key_passphrase.as_ref();
        Ok(Self {
            certificate: read("certificate", &places.certificate, Access::Anyone, MAX_CHAIN_LEN)?,
            key: read("key", &places.key, Access::Group, MAX_KEY_LEN)?,
            passphrase: passphrase
                .map(|place| read("passphrase of the key", place, Access::Group, MAX_PASSPHRASE_LEN))
                .transpose()?,
        })
    }

    fn pair(&self) -> Result<Pair, PairError> {
        Pair::parse(self.certificate.expose(), &self.key, self.passphrase.as_ref())
    }

    /// What tells these contents from others.
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [Some(&self.certificate), Some(&self.key), self.passphrase.as_ref()] {
            let bytes = part.map(SecretContents::expose).unwrap_or_default();
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
        hash.finalize().into()
    }
}

/// The certificate and key that `places` name.
///
/// # Errors
/// [`CertificateError`].
pub fn read(places: &config::Certificate) -> Result<Pair, CertificateError> {
    Ok(Contents::read(places)?.pair()?)
}

/// The certificate that is served with, and what is known about the files it came from.
#[derive(Debug)]
pub struct Certificate {
    places: config::Certificate,
    encryption: Arc<Encryption>,
    wanted: Notify,
    serving: Mutex<Serving>,
}

#[derive(Debug)]
struct Serving {
    pair: Pair,
    contents: [u8; 32],
    /// What was told about the end of this one.
    told: Option<Stage>,
    /// The files that are not served with, and why. Told once.
    refused: Option<(Option<[u8; 32]>, String)>,
}

/// What a look at the files came to.
#[derive(Debug)]
enum Look {
    /// They are as they were.
    Same,
    /// New connections get the new certificate.
    Replaced,
    /// The former one stays, which `is_news` or was told before.
    Kept { error: CertificateError, is_news: bool },
}

impl Certificate {
    /// Reads what `places` name. A certificate that nodes refuse is taken and told of, since there is none to keep.
    ///
    /// # Errors
    /// [`CertificateError`] when there is nothing to serve with.
    pub fn open(places: &config::Certificate, now: WallTime) -> Result<Self, CertificateError> {
        let read = Contents::read(places)?;
        let pair = read.pair()?;
        let encryption = Arc::new(Encryption::new(&pair)?);
        tell_defects(&pair, &places.names, now);
        let serving = Serving { contents: read.digest(), told: None, refused: None, pair };
        Ok(Self { places: places.clone(), encryption, wanted: Notify::new(), serving: Mutex::new(serving) })
    }

    /// What the status line says of its end; nothing while nobody has to be told.
    #[must_use]
    pub fn ends(&self, now: WallTime) -> Option<String> {
        expiry::in_short(self.not_after(), now)
    }

    /// When the one that is served with ends.
    #[must_use]
    pub fn not_after(&self) -> WallTime {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner).pair.not_after()
    }

    /// What listeners offer.
    #[must_use]
    pub fn encryption(&self) -> &Arc<Encryption> {
        &self.encryption
    }

    /// Has the files looked at soon, and told what came of it. What systemd hands over stays as it is until a restart.
    pub fn reload(&self) {
        self.wanted.notify_one();
    }

    /// Looks at the files when asked, and now and then; tells before the certificate ends.
    pub async fn watch(self: Arc<Self>, clock: Arc<dyn Clock>) -> Infallible {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = looks.tick() => false,
                () = self.wanted.notified() => true,
            };
            let (this, now) = (Arc::clone(&self), clock.now().wall);
            // Reading files, and opening a key with a passphrase, takes its time.
            let looked = tokio::task::spawn_blocking(move || this.look(now)).await;
            match looked {
                Ok(look) => self.tell(&look, asked),
                // Its text would quote what the panic said, and that may be the key.
                Err(panic) => tracing::error!(cancelled = panic.is_cancelled(), "looking at the certificate failed"),
            }
            self.tell_end(now);
        }
    }

    fn look(&self, now: WallTime) -> Look {
        let read = Contents::read(&self.places).map(|read| (read.digest(), read));
        let found = read.as_ref().ok().map(|(contents, _)| *contents);
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = read.and_then(|(contents, read)| {
            if contents == serving.contents {
                return Ok(None);
            }
            let pair = read.pair()?;
            let present: BTreeSet<_> = serving.pair.defects(&self.places.names, now).into_iter().collect();
            let mut worse = pair.defects(&self.places.names, now);
            worse.retain(|defect| !present.contains(defect));
            // No node accepts the one in use, and nothing is worse than that.
            if present.contains(&Defect::Expired) {
                worse.clear();
            }
            if !worse.is_empty() {
                return Err(CertificateError::Worse(worse));
            }
            self.encryption.replace(&pair)?;
            Ok(Some(Serving { pair, contents, told: None, refused: None }))
        });
        match replaced {
            Ok(None) => {
                serving.refused = None;
                Look::Same
            }
            Ok(Some(replacement)) => {
                *serving = replacement;
                Look::Replaced
            }
            Err(error) => {
                let refused = Some((found, reason(&error)));
                let is_news = serving.refused != refused;
                serving.refused = refused;
                Look::Kept { error, is_news }
            }
        }
    }

    fn tell(&self, look: &Look, asked: bool) {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let (subject, not_after) = (serving.pair.subject(), serving.pair.not_after());
        match look {
            Look::Same if asked => tracing::info!(certificate = subject, %not_after, "certificate unchanged"),
            Look::Same => {}
            Look::Replaced => tracing::info!(certificate = subject, %not_after, "certificate replaced"),
            Look::Kept { error, is_news } if *is_news || asked => {
                let reason = reason(error);
                let hint = error.hint();
                tracing::error!(reason, hint, kept = subject, %not_after, "certificate not replaced");
            }
            Look::Kept { .. } => {}
        }
    }

    fn tell_end(&self, now: WallTime) {
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let not_after = serving.pair.not_after();
        let Some(stage) = expiry::due(not_after, now, serving.told) else { return };
        serving.told = Some(stage);
        let subject = serving.pair.subject();
        if stage == Stage::Expired {
            let hint = "no node can unlock a disk until it is renewed";
            tracing::error!(certificate = subject, %not_after, hint, "certificate expired");
        } else {
            let days_left = days_left(not_after, now);
            tracing::warn!(certificate = subject, %not_after, days_left, "certificate expires soon");
        }
    }
}

fn tell_defects(pair: &Pair, names: &[ServerName<'static>], now: WallTime) {
    // That it has ended is told by the first tick.
    for defect in pair.defects(names, now).into_iter().filter(|defect| *defect != Defect::Expired) {
        let hint = "nightlatch check --tls says what to do";
        tracing::warn!(certificate = pair.subject(), reason = %defect, hint, "nodes will refuse the certificate");
    }
}

/// The error with what caused it.
fn reason(error: &CertificateError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
