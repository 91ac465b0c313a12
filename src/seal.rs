//! Sealing and unsealing: an approved call and its KEKs in, a sealed blob or a secret out. No I/O but random numbers.
//!
//! The bytes are those of docs/spec/sealed-blob.md.

pub mod envelope;

pub use envelope::Failed;

use crate::approval::gate::Approved;
use crate::key::{Keks, KeyId, Selector};
use crate::request::{Fingerprint, NodeUuid, Payload, SealedBlob};
use crate::secret::Plaintext;

/// What goes back to the node.
#[derive(Debug)]
pub enum Answer {
    /// The blob that Seal asked for. It has been opened again.
    Sealed(SealedBlob),
    /// The secret that Unseal asked for.
    Unsealed(Plaintext),
}

/// A sealed or unsealed answer, and what the record says about it.
#[derive(Debug)]
pub struct Outcome {
    answer: Answer,
    fingerprint: Fingerprint,
    key_id: KeyId,
    sealed_for: NodeUuid,
}

impl Outcome {
    /// Names the blob that was made or opened.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The key that the blob is sealed under.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The node that the blob is sealed for: the one that asked, or an identifier that it had before.
    #[must_use]
    pub fn sealed_for(&self) -> &NodeUuid {
        &self.sealed_for
    }

    /// Gives up the answer.
    #[must_use]
    pub fn into_answer(self) -> Answer {
        self.answer
    }
}

/// Which key an approved call needs. Of a blob only the header is read.
///
/// # Errors
/// The reason for the record when the blob is not one of ours.
pub fn select_key(approved: &Approved) -> Result<Selector, Failed> {
    match approved.request().payload() {
        Payload::Seal(_) => Ok(Selector::Sealing),
        Payload::Unseal(blob) => Ok(Selector::Opening(envelope::Envelope::parse(blob)?.key_id())),
    }
}

/// Does what was approved.
///
/// A new blob is bound to the peer's address when its node says so. Whether an old blob is bound, the blob itself says,
/// and nobody can change it: what was sealed before the setting changed goes on to open.
///
/// # Errors
/// The reason for the record. A peer must not be told which it was.
pub fn perform(approved: Approved, keks: Keks) -> Result<Outcome, Failed> {
    if !keks.are_for(approved.node()) {
        return Err(Failed::OtherCall);
    }
    let address = approved.peer().address;
    let bound = approved.node().bind_address.then_some(address);
    match approved.into_request().into_payload() {
        Payload::Seal(plaintext) => {
            let blob = envelope::seal(keks.own(), bound, &plaintext)?;
            Ok(Outcome {
                fingerprint: blob.fingerprint(),
                key_id: keks.own().key_id(),
                sealed_for: keks.own().node().clone(),
                answer: Answer::Sealed(blob),
            })
        }
        Payload::Unseal(blob) => {
            let opened = envelope::open(&keks, Some(address), &blob)?;
            Ok(Outcome {
                fingerprint: blob.fingerprint(),
                key_id: opened.kek.key_id(),
                sealed_for: opened.kek.node().clone(),
                answer: Answer::Unsealed(opened.plaintext),
            })
        }
    }
}
