//! Sealing and unsealing: an approved call and its KEKs in, a sealed blob or a secret out. No I/O but random numbers.
//!
//! The bytes are those of docs/spec/sealed-blob.md.

pub mod envelope;

pub use envelope::Failed;

use crate::approval::gate::Approved;
use crate::key::{Keks, KeyId, Selector};
use crate::request::{Fingerprint, NodeUuid, Payload, Request, SealedBlob};
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

/// Which key a call needs. Of a blob only the header is read.
///
/// # Errors
/// The reason for the record when the blob is not one of ours.
pub fn select_key(request: &Request) -> Result<Selector, Failed> {
    match request.payload() {
        Payload::Seal(_) => Ok(Selector::Sealing),
        Payload::Unseal(blob) => Ok(Selector::Opening(envelope::Envelope::parse(blob)?.key())),
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
            let blob = envelope::seal(&keks, bound, &plaintext)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::key::danger_offline;
    use crate::peer::admission::{Admission, UuidPolicy};
    use crate::peer::{Node, Peer};
    use crate::request::{Operation, Request};
    use crate::secret::KeyBytes;

    /// A node as the list has it, and an approval of a call that it makes.
    fn approved(node: &Node, address: &str, operation: Operation, data: &[u8]) -> Approved {
        let networks = vec!["0.0.0.0/0".parse().expect("a network")];
        let request = Request::parse(operation, node.uuid.as_str(), data.to_vec()).expect("well-formed");
        let peer = Peer::plaintext((address.parse::<std::net::IpAddr>().expect("an address"), 1).into());
        let admission = Admission::new(networks, [node.clone()], UuidPolicy::default());
        Approved::for_test(admission.admit(Moment::default(), request, peer).expect("admitted"))
    }

    fn node(claim: &str) -> Node {
        Node {
            uuid: NodeUuid::parse(claim).expect("printable"),
            name: claim.into(),
            cluster: None,
            addresses: vec![],
            formerly: vec![],
            bind_address: false,
            listed_by: crate::peer::ListedBy::Configuration,
        }
    }

    fn keks(node: &Node) -> Keks {
        let key = KeyBytes::try_fill(|key| {
            key.fill(7);
            Ok::<_, ()>(())
        });
        danger_offline::keks(&key.expect("cannot fail"), &node.uuid, &node.formerly)
    }

    fn seal(node: &Node, address: &str) -> SealedBlob {
        let outcome = perform(approved(node, address, Operation::Seal, &[0x5A; 32]), keks(node)).expect("sealed");
        let (fingerprint, key_id) = (outcome.fingerprint(), outcome.key_id());
        let Answer::Sealed(blob) = outcome.into_answer() else { panic!("it was to be sealed") };
        assert_eq!(blob.fingerprint(), fingerprint);
        assert_eq!(envelope::Envelope::parse(&blob).expect("a blob").key().id, key_id);
        blob
    }

    /// What it was sealed for, or the word for what failed.
    fn unseal(node: &Node, address: &str, blob: &SealedBlob) -> Result<String, &'static str> {
        let approved = approved(node, address, Operation::Unseal, blob.as_bytes());
        let outcome = perform(approved, keks(node)).map_err(|failed| failed.reason())?;
        assert_eq!(outcome.fingerprint(), blob.fingerprint());
        let sealed_for = outcome.sealed_for().to_string();
        let Answer::Unsealed(plaintext) = outcome.into_answer() else { panic!("it was to be unsealed") };
        assert_eq!(plaintext.expose(), [0x5A; 32]);
        Ok(sealed_for)
    }

    #[test]
    fn a_node_gets_back_what_it_sealed() {
        let blob = seal(&node("cp-1"), "192.0.2.11");
        assert_eq!(unseal(&node("cp-1"), "192.0.2.99", &blob).as_deref(), Ok("cp-1"));
        assert_eq!(unseal(&node("worker-2"), "192.0.2.11", &blob), Err("kek-commitment"));
    }

    #[test]
    fn a_replaced_board_opens_what_the_old_one_sealed() {
        let replaced = Node { formerly: vec![NodeUuid::parse("old-cp-1").expect("printable")], ..node("cp-1") };
        let blob = seal(&node("old-cp-1"), "192.0.2.11");
        assert_eq!(unseal(&replaced, "192.0.2.11", &blob).as_deref(), Ok("old-cp-1"));
        let new = seal(&replaced, "192.0.2.11");
        assert_eq!(
            unseal(&node("cp-1"), "192.0.2.11", &new).as_deref(),
            Ok("cp-1"),
            "it seals under its new identifier"
        );
    }

    #[test]
    fn a_bound_blob_opens_from_its_address_alone() {
        let bound = Node { bind_address: true, ..node("cp-1") };
        let blob = seal(&bound, "192.0.2.11");
        assert!(unseal(&bound, "::ffff:192.0.2.11", &blob).is_ok());
        assert_eq!(unseal(&bound, "192.0.2.12", &blob), Err("wrapped-dek"));
        assert_eq!(unseal(&node("cp-1"), "192.0.2.12", &blob), Err("wrapped-dek"), "whatever the list says by then");
        assert!(unseal(&node("cp-1"), "192.0.2.11", &blob).is_ok());
    }

    #[test]
    fn turning_on_the_binding_locks_nobody_out() {
        let blob = seal(&node("cp-1"), "192.0.2.11");
        let bound = Node { bind_address: true, ..node("cp-1") };
        assert!(unseal(&bound, "192.0.2.12", &blob).is_ok());
    }

    #[test]
    fn keks_of_another_call_are_not_used() {
        let cp_1 = node("cp-1");
        let blob = seal(&cp_1, "192.0.2.11");
        let other = approved(&node("worker-2"), "192.0.2.11", Operation::Unseal, blob.as_bytes());
        assert_eq!(perform(other, keks(&cp_1)).map(|_| ()), Err(Failed::OtherCall));
    }

    #[test]
    fn the_header_selects_the_key() {
        let cp_1 = node("cp-1");
        let blob = seal(&cp_1, "192.0.2.11");
        let selected = |operation, data: &[u8]| select_key(approved(&cp_1, "192.0.2.11", operation, data).request());
        let sealed_under = Selector::Opening(keks(&cp_1).own().key());
        assert_eq!(selected(Operation::Unseal, blob.as_bytes()), Ok(sealed_under));
        assert_eq!(selected(Operation::Seal, blob.as_bytes()), Ok(Selector::Sealing));
        assert_eq!(selected(Operation::Unseal, &[0; 60]), Err(Failed::Foreign));
    }
}
