//! A key that is a passphrase: each node's own key is stretched from it when the node first asks, while people are still
//! thinking, and kept.
//!
//! Stretching takes tenths of a second and 64 MiB, and may be made to take more. So it is done on a thread of its own,
//! once for each node and start, one at a time in the whole process, and only for nodes that are listed. A call that
//! finds its key does none of it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::{Semaphore, watch};

use super::stretching::{self, StretchError, Stretching};
use super::{Keks, KeyId, KeyReference, PendingKeks, Provenance, Source, Unavailable, derivation, kek};
use crate::approval::gate::Approved;
use crate::peer::Node;
use crate::peer::admission::Admitted;
use crate::request::{NodeUuid, Operation};
use crate::secret::{KeyBytes, Passphrase};

/// Most node keys that are kept for each passphrase, and as many again for sealing. Only listed nodes get any, and
/// of those there are at most 4,096; what former identifiers need beyond that is derived again.
const MAX_KEPT: usize = 8 * 1024;

/// How long a call waits for a node key. The node calls again, and a release to somebody who hung up helps nobody.
const WAIT: Duration = Duration::from_secs(3);

/// Why a passphrase is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Its key id is another one. Disks that it sealed could not be opened with the right one.
    #[error("it is not the passphrase that has the key id {0} with this salt and these parameters")]
    OtherKeyId(KeyId),
    /// It could not be stretched.
    #[error("it cannot be stretched")]
    Stretching(#[from] StretchError),
}

/// What derives node keys, one at a time for all who share it.
#[derive(Clone)]
pub struct Stretcher {
    turn: Arc<Semaphore>,
    node_key: Arc<NodeKeyFunction>,
}

type NodeKeyFunction = dyn Fn(&Passphrase, &Stretching, &NodeUuid) -> Result<KeyBytes, StretchError> + Send + Sync;

impl Stretcher {
    /// One for the whole process.
    #[must_use]
    pub fn new() -> Self {
        Self::with(stretching::node_key)
    }

    fn with(
        node_key: impl Fn(&Passphrase, &Stretching, &NodeUuid) -> Result<KeyBytes, StretchError> + Send + Sync + 'static,
    ) -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), node_key: Arc::new(node_key) }
    }
}

impl Default for Stretcher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Stretcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stretcher").finish_non_exhaustive()
    }
}

/// A passphrase in memory, and the node keys that were derived from it. All of it is wiped when this is dropped.
///
/// The passphrase itself stays, since a node may ask for the first time a year after the start.
#[derive(Debug)]
pub struct PassphraseKey(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    passphrase: Passphrase,
    stretching: Stretching,
    id: KeyId,
    /// Of the three above, as they were at the start. A bit of them that flips later would make node keys that no
    /// restart can make again.
    digest: KeyBytes,
    stretcher: Stretcher,
    kept: Mutex<Keys>,
}

/// The node keys that are there or will be.
#[derive(Debug, Default)]
struct Keys {
    /// Those that were derived once, and open.
    unseal: HashMap<NodeUuid, Kept>,
    /// Those that came out the same a second time.
    seal: HashMap<NodeUuid, Kept>,
}

impl Keys {
    fn of(&mut self, operation: Operation) -> &mut HashMap<NodeUuid, Kept> {
        match operation {
            Operation::Unseal => &mut self.unseal,
            Operation::Seal => &mut self.seal,
        }
    }
}

/// A node key, once it is there.
type Kept = watch::Receiver<Option<Result<Arc<NodeKey>, Unavailable>>>;

/// What one node's KEK is derived from, and a value by which it is seen that neither it nor what belongs to it changed.
#[derive(Debug)]
struct NodeKey {
    key: KeyBytes,
    check: KeyBytes,
}

impl PassphraseKey {
    /// Takes over `passphrase` if its key id is `id`. Takes as long as Argon2id does.
    ///
    /// # Errors
    /// [`NotTaken`]
    pub fn open(
        passphrase: Passphrase,
        stretching: Stretching,
        id: KeyId,
        stretcher: Stretcher,
    ) -> Result<Self, NotTaken> {
        if stretching::key_id(&passphrase, &stretching)? != id {
            return Err(NotTaken::OtherKeyId(id));
        }
        let digest = digest(&passphrase, &stretching, id);
        let kept = Mutex::default();
        Ok(Self(Arc::new(Shared { passphrase, stretching, id, digest, stretcher, kept })))
    }
}

/// Whoever waits for a turn holds the passphrase: it is to be wiped now. All passphrases that share the turn are dropped
/// together.
impl Drop for PassphraseKey {
    fn drop(&mut self) {
        self.0.stretcher.turn.close();
    }
}

impl Source for PassphraseKey {
    fn key(&self) -> KeyReference {
        KeyReference { provenance: Provenance::Passphrase(self.0.stretching), id: self.0.id }
    }

    fn prepare(&self, admitted: &Admitted) {
        let operation = admitted.request().operation();
        for node in identifiers(operation, admitted.node()) {
            let _kept = Shared::begin(&self.0, node, operation);
        }
    }

    fn keks<'a>(&'a self, approved: &'a Approved) -> PendingKeks<'a> {
        Box::pin(async move {
            let operation = approved.request().operation();
            let begin = |node| (node, Shared::begin(&self.0, node, operation));
            let begun: Vec<_> = identifiers(operation, approved.node()).map(begin).collect();
            let mut keys = HashMap::new();
            let all = async {
                for (node, known) in begun {
                    keys.insert(node, self.0.when_there(known).await?);
                }
                Ok(())
            };
            tokio::time::timeout(WAIT, all).await.unwrap_or(Err(Unavailable::NotDerived(self.0.id)))?;
            let keks = Keks::derive(approved, self.key(), |node| match keys.get(node) {
                Some(key) => Ok(stretching::kek(&key.key, node)),
                None => Err(Unavailable::NotDerived(self.0.id)),
            })?;
            // Last, so that a key which changed while they were derived is noticed as well.
            for (node, key) in keys {
                if !self.0.is_sound(&key) {
                    self.0.forget(node);
                    return Err(Unavailable::Damaged(self.0.id));
                }
            }
            Ok(keks)
        })
    }
}

impl Shared {
    /// The node key for an operation, which begins to be derived if it is not there yet.
    fn begin(this: &Arc<Self>, node: &NodeUuid, operation: Operation) -> Kept {
        let mut keys = this.kept();
        let kept = keys.of(operation);
        if let Some(known) = kept.get(node).filter(|known| is_there_or_will_be(known)) {
            return known.clone();
        }
        if kept.len() >= MAX_KEPT {
            let old = kept.iter().find(|(_, known)| known.borrow().is_some()).map(|(old, _)| old.clone());
            old.and_then(|old| kept.remove(&old));
        }
        let (done, known) = watch::channel(None);
        kept.insert(node.clone(), known.clone());
        drop(keys);
        // A task of its own: the call that began it may hang up.
        let (shared, node) = (Arc::clone(this), node.clone());
        tokio::spawn(async move {
            let derived = match operation {
                Operation::Unseal => Self::derive(&shared, &node).await,
                Operation::Seal => Self::derive_twice(&shared, &node).await,
            };
            if let Err(error) = &derived {
                // Keys that were wiped meanwhile are no failure.
                if !shared.stretcher.turn.is_closed() {
                    tracing::error!(%error, %node, "node key underived");
                }
                shared.forget(&node);
            }
            done.send_replace(Some(derived));
        });
        known
    }

    async fn derive(this: &Arc<Self>, node: &NodeUuid) -> Result<Arc<NodeKey>, Unavailable> {
        let key = Self::stretch(this, node).await?;
        Ok(Arc::new(NodeKey { check: this.check(&key), key }))
    }

    /// The node key with which something may be sealed: a bit that flips while it is derived would give blobs that open
    /// until the process ends, and never after.
    async fn derive_twice(this: &Arc<Self>, node: &NodeUuid) -> Result<Arc<NodeKey>, Unavailable> {
        let first = this.when_there(Self::begin(this, node, Operation::Unseal)).await?;
        let second = Self::stretch(this, node).await?;
        let same: bool = first.key.expose().ct_eq(second.expose()).into();
        if same && this.is_sound(&first) { Ok(first) } else { Err(Unavailable::Damaged(this.id)) }
    }

    /// Argon2id, when it is this one's turn.
    async fn stretch(this: &Arc<Self>, node: &NodeUuid) -> Result<KeyBytes, Unavailable> {
        let unavailable = || Unavailable::NotDerived(this.id);
        let turn = Arc::clone(&this.stretcher.turn).acquire_owned().await.map_err(|_| unavailable())?;
        let (shared, node) = (Arc::clone(this), node.clone());
        let stretched = tokio::task::spawn_blocking(move || {
            let _until_done = turn;
            (shared.stretcher.node_key)(&shared.passphrase, &shared.stretching, &node)
        });
        let key =
            stretched.await.map_err(|_| unavailable())?.map_err(|error| Unavailable::Stretching(this.id, error))?;
        // Afterwards, so that what changed while it was stretched is noticed as well.
        let sound: bool =
            digest(&this.passphrase, &this.stretching, this.id).expose().ct_eq(this.digest.expose()).into();
        if sound { Ok(key) } else { Err(Unavailable::Damaged(this.id)) }
    }

    async fn when_there(&self, mut known: Kept) -> Result<Arc<NodeKey>, Unavailable> {
        // Nothing comes from a task that panicked.
        let there = known.wait_for(Option::is_some).await.ok().and_then(|known| known.clone());
        there.unwrap_or(Err(Unavailable::NotDerived(self.id)))
    }

    /// Lets the next call derive the key of `node` anew.
    fn forget(&self, node: &NodeUuid) {
        let mut kept = self.kept();
        for operation in [Operation::Seal, Operation::Unseal] {
            kept.of(operation).remove(node);
        }
    }

    fn is_sound(&self, key: &NodeKey) -> bool {
        self.check(&key.key).expose().ct_eq(key.check.expose()).into()
    }

    fn check(&self, key: &KeyBytes) -> KeyBytes {
        let belonging = [&self.id.as_bytes()[..], &self.stretching.to_bytes()].concat();
        derivation::secret(key, "nightlatch passphrase 1: check", &belonging)
    }

    fn kept(&self) -> MutexGuard<'_, Keys> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The identifiers whose KEKs a call may need.
fn identifiers(operation: Operation, node: &Node) -> impl Iterator<Item = &NodeUuid> {
    std::iter::once(&node.uuid).chain(kek::former(operation, node))
}

/// Whether it is waited for with success: a task that panicked sends nothing.
fn is_there_or_will_be(known: &Kept) -> bool {
    known.borrow().is_some() || known.has_changed().is_ok()
}

fn digest(passphrase: &Passphrase, stretching: &Stretching, id: KeyId) -> KeyBytes {
    let filled = KeyBytes::try_fill(|digest| {
        let hash = Sha256::new().chain_update(stretching.to_bytes()).chain_update(id.as_bytes());
        hash.chain_update(passphrase.expose()).finalize_into(digest.into());
        Ok::<_, std::convert::Infallible>(())
    });
    let Ok(digest) = filled;
    digest
}

#[cfg(test)]
mod tests;
