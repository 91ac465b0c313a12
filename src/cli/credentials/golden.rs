//! Golden blobs: what shows that a key is still the key. docs/spec/key-record.md, "Golden blobs".
//!
//! They are sealed and opened without an approval, for whoever holds the key itself. That opens no disk: their node is
//! one that no node can be, and their plaintext is known to everybody.

use subtle::ConstantTimeEq;

use crate::key::stretching::{StretchError, Stretching};
use crate::key::{Keks, KeyId, danger_offline};
use crate::request::{NodeUuid, SealedBlob};
use crate::seal::Failed;
use crate::seal::envelope;
use crate::secret::{KeyBytes, Passphrase, Plaintext};

/// What every golden blob holds.
const PLAINTEXT: &[u8] = b"nightlatch golden blob, version 1: this is no secret";

/// A key that is at hand.
#[derive(Debug)]
pub enum Key<'a> {
    /// 32 random bytes.
    Random(&'a KeyBytes),
    /// A passphrase, how it is stretched, and the id that it should have.
    Passphrase {
        /// The passphrase.
        passphrase: &'a Passphrase,
        /// Salt and parameters.
        stretching: &'a Stretching,
        /// The key id, which `stretching::key_id` computes and the configuration has.
        id: KeyId,
    },
}

/// Why there is no golden blob, or this key does not open one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was sealed under another key, or is damaged.
    #[error("the golden blob does not open")]
    Unopened(#[source] Failed),
    /// It opens, and holds something else: somebody put another blob there.
    #[error("the golden blob holds something else")]
    OtherContents,
    /// It could not be made.
    #[error("no golden blob can be sealed")]
    Unsealed(#[source] Failed),
    /// The passphrase could not be stretched.
    #[error("the passphrase cannot be stretched")]
    Stretching(#[from] StretchError),
}

/// Seals a golden blob under `key`. It was opened again with what was derived a second time.
///
/// # Errors
/// [`Error::Unsealed`], [`Error::Stretching`]
pub fn seal(key: &Key<'_>) -> Result<SealedBlob, Error> {
    let keks = keks(key)?;
    let plaintext = Plaintext::new(PLAINTEXT.to_vec()).map_err(|_| Error::OtherContents)?;
    envelope::seal(&keks, None, &plaintext).map_err(Error::Unsealed)
}

/// Shows that `key` is the one that `blob` was sealed under. A passphrase is stretched for it, which takes as long as
/// Argon2id does.
///
/// # Errors
/// [`Error`]; the key is another one with [`Failed::UnknownKey`], and, for a passphrase whose id was not computed from it,
/// with [`Failed::KekCommitment`]. Anything else is damage.
pub fn opens(key: &Key<'_>, blob: &SealedBlob) -> Result<(), Error> {
    let keks = keks(key)?;
    let opened = envelope::open(&keks, None, blob).map_err(Error::Unopened)?;
    if bool::from(opened.plaintext.expose().ct_eq(PLAINTEXT)) { Ok(()) } else { Err(Error::OtherContents) }
}

fn keks(key: &Key<'_>) -> Result<Keks, StretchError> {
    let node = NodeUuid::of_golden_blobs();
    match key {
        Key::Random(key) => Ok(danger_offline::keks(key, &node, &[])),
        Key::Passphrase { passphrase, stretching, id } => {
            danger_offline::passphrase_keks(passphrase, stretching, *id, &node, &[])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::stretching;

    fn random(byte: u8) -> KeyBytes {
        KeyBytes::try_fill(|key| {
            key.fill(byte);
            Ok::<_, ()>(())
        })
        .expect("filling cannot fail")
    }

    fn cheap(salt: u8) -> Stretching {
        Stretching::new([salt; 16], 8, 1, 1).expect("in range")
    }

    #[test]
    fn its_own_key_opens_it_and_no_other() {
        let blob = seal(&Key::Random(&random(1))).expect("sealed");
        opens(&Key::Random(&random(1)), &blob).expect("the same key");
        let other = opens(&Key::Random(&random(2)), &blob);
        assert!(matches!(other, Err(Error::Unopened(Failed::UnknownKey(_)))), "{other:?}");
    }

    #[test]
    fn its_own_passphrase_opens_it_and_no_other() {
        let [right, wrong] =
            ["correct horse", "incorrect horse"].map(|text| Passphrase::new(text.into()).expect("fine"));
        let stretching = cheap(1);
        let id = stretching::key_id(&right, &stretching).expect("memory enough");
        let key = |passphrase, stretching| Key::Passphrase { passphrase, stretching, id };
        let blob = seal(&key(&right, &stretching)).expect("sealed");
        opens(&key(&right, &stretching), &blob).expect("the same passphrase");
        let mistyped = opens(&key(&wrong, &stretching), &blob);
        assert!(matches!(mistyped, Err(Error::Unopened(Failed::KekCommitment))), "{mistyped:?}");
        let salted = opens(&key(&right, &cheap(2)), &blob);
        assert!(matches!(salted, Err(Error::Unopened(Failed::OtherParameters(_)))), "{salted:?}");
    }

    #[test]
    fn any_damage_is_noticed() {
        let blob = seal(&Key::Random(&random(1))).expect("sealed");
        for at in 0..blob.as_bytes().len() {
            let mut bytes = blob.as_bytes().to_vec();
            bytes[at] ^= 1;
            let damaged = SealedBlob::new(bytes).expect("as long as before");
            assert!(opens(&Key::Random(&random(1)), &damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_blob_of_a_node_is_none() {
        let node = NodeUuid::parse("cp-1").expect("printable");
        let plaintext = Plaintext::new(PLAINTEXT.to_vec()).expect("short");
        let blob = envelope::seal(&danger_offline::keks(&random(1), &node, &[]), None, &plaintext).expect("sealed");
        assert!(matches!(opens(&Key::Random(&random(1)), &blob), Err(Error::Unopened(Failed::KekCommitment))));
        let other = Plaintext::new(vec![7; 32]).expect("short");
        let golden_node = danger_offline::keks(&random(1), &NodeUuid::of_golden_blobs(), &[]);
        let blob = envelope::seal(&golden_node, None, &other).expect("sealed");
        assert!(matches!(opens(&Key::Random(&random(1)), &blob), Err(Error::OtherContents)));
    }

    /// What the server would do with one: it has the KEKs of listed nodes alone.
    #[test]
    fn no_node_opens_a_golden_blob() {
        let blob = seal(&Key::Random(&random(1))).expect("sealed");
        for claim in ["cp-1", "nightlatch-golden-blob", "00000000-0000-0000-0000-000000000000"] {
            let node = NodeUuid::parse(claim).expect("printable");
            let keks = danger_offline::keks(&random(1), &node, std::slice::from_ref(&node));
            assert_eq!(envelope::open(&keks, None, &blob).map(|_| ()), Err(Failed::KekCommitment), "{claim}");
        }
    }
}
