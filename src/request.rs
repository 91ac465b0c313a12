//! What a node asks for, parsed once: behind this module nothing is a bare string or a bare byte vector.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::secret::{MAX_PLAINTEXT_LEN, Plaintext, PlaintextLength};

/// What is done with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Encrypt a secret for a node.
    Seal,
    /// Give a node its secret back.
    Unseal,
}

impl Operation {
    /// The word for records and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Unseal => "unseal",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A node's identifier in canonical form: a UUID in lower case with hyphens, or, since Talos sends the META key 0xf as
/// it was written, any other 1 to 64 printable ASCII bytes as they are.
///
/// It is a claim. Nothing in the protocol proves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeUuid(Box<str>);

/// Longest claim that is looked at, in bytes.
pub const MAX_CLAIM_LEN: usize = 64;

/// The identifier is empty, too long, or has bytes that are not printable ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node UUID must be 1 to {MAX_CLAIM_LEN} printable ASCII characters")]
pub struct MalformedUuid;

impl NodeUuid {
    /// Brings a claim into canonical form, as docs/spec/sealed-blob.md says: every spelling of one UUID (case, braces,
    /// `urn:uuid:`, no hyphens) becomes the same value.
    ///
    /// # Errors
    /// [`MalformedUuid`] unless it is 1 to [`MAX_CLAIM_LEN`] printable ASCII characters without blanks.
    pub fn parse(claim: &str) -> Result<Self, MalformedUuid> {
        if claim.is_empty() || claim.len() > MAX_CLAIM_LEN || !claim.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(MalformedUuid);
        }
        Ok(Self(canonical_uuid(claim).unwrap_or_else(|| claim.into())))
    }

    /// The identifier of golden blobs (docs/spec/key-record.md), which is no node's: it has blanks, so that
    /// [`parse`](Self::parse) refuses it, whoever claims it and wherever it is listed.
    #[must_use]
    pub fn of_golden_blobs() -> Self {
        Self("nightlatch golden blob".into())
    }

    /// The canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value as a UUID, when it is one.
    #[must_use]
    pub fn as_uuid(&self) -> Option<Uuid> {
        Uuid::try_parse(&self.0).ok()
    }
}

/// The canonical form of a UUID, when `claim` is one of its spellings.
///
/// Keys are derived from it, so it must never change: the parser of the uuid crate may learn new spellings, this one
/// must not.
fn canonical_uuid(claim: &str) -> Option<Box<str>> {
    const URN: &str = "urn:uuid:";
    let urn = claim.split_at_checked(URN.len()).filter(|(prefix, _)| prefix.eq_ignore_ascii_case(URN));
    let braces = claim.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let digits: String = match urn.map(|(_, rest)| rest).or(braces) {
        Some(hyphenated) => without_hyphens(hyphenated)?,
        None => without_hyphens(claim).unwrap_or_else(|| claim.into()),
    };
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut canonical = digits.to_ascii_lowercase();
    [20, 16, 12, 8].into_iter().for_each(|at| canonical.insert(at, '-'));
    Some(canonical.into())
}

/// What is between the hyphens, when they are where those of a UUID are: after 8, 4, 4 and 4 characters of 36.
fn without_hyphens(text: &str) -> Option<String> {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12]).then(|| text.replace('-', ""))
}

impl fmt::Display for NodeUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose data it is. Only a node today; the Kubernetes protocol will bring a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A node, by the identifier it claims.
    Node(NodeUuid),
}

/// A sealed blob as a peer hands it in: 1 to 1,024 bytes of which nothing is known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBlob(Box<[u8]>);

/// Longest sealed blob, in bytes. Talos up to 1.12 cannot read back tokens past about 3,000 bytes.
pub const MAX_BLOB_LEN: usize = 1024;

/// The blob is empty or longer than [`MAX_BLOB_LEN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed blob must be 1 to {MAX_BLOB_LEN} bytes")]
pub struct BlobLength;

impl SealedBlob {
    /// Takes over the bytes of a blob.
    ///
    /// # Errors
    /// [`BlobLength`] when there are none or more than [`MAX_BLOB_LEN`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, BlobLength> {
        if bytes.is_empty() || bytes.len() > MAX_BLOB_LEN {
            return Err(BlobLength);
        }
        Ok(Self(bytes.into()))
    }

    /// The blob's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What names this blob in asks, grants and records without showing it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut short = [0; 16];
        short.iter_mut().zip(Sha256::digest(&self.0)).for_each(|(to, from)| *to = from);
        Fingerprint(short)
    }
}

/// The first 16 bytes of the SHA-256 of a sealed blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 16]);

/// 32 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The data of a request, by operation.
#[derive(Debug)]
pub enum Payload {
    /// What is to be sealed.
    Seal(Plaintext),
    /// What is to be unsealed.
    Unseal(SealedBlob),
}

/// One call of a peer, parsed.
#[derive(Debug)]
pub struct Request {
    claim: Box<str>,
    node: NodeUuid,
    payload: Payload,
}

/// Why a call is not a request. The texts go to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRequest {
    /// The sealed blob is empty or too long.
    #[error(transparent)]
    Blob(#[from] BlobLength),
    /// The secret is empty or too long.
    #[error(transparent)]
    Plaintext(#[from] PlaintextLength),
    /// The node's identifier is not one.
    #[error(transparent)]
    Uuid(#[from] MalformedUuid),
}

impl Request {
    /// Parses what came off the wire.
    ///
    /// # Errors
    /// [`MalformedRequest`], whose text may go to the peer.
    pub fn parse(operation: Operation, claim: &str, data: Vec<u8>) -> Result<Self, MalformedRequest> {
        // The payload first: it takes over the data, which is wiped when the claim is refused.
        let payload = match operation {
            Operation::Seal => Payload::Seal(Plaintext::new(data)?),
            Operation::Unseal => Payload::Unseal(SealedBlob::new(data)?),
        };
        Ok(Self { node: NodeUuid::parse(claim)?, claim: claim.into(), payload })
    }

    /// What is asked for.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self.payload {
            Payload::Seal(_) => Operation::Seal,
            Payload::Unseal(_) => Operation::Unseal,
        }
    }

    /// The identifier exactly as it was sent; foreign sealed blobs were bound to that.
    #[must_use]
    pub fn claim(&self) -> &str {
        &self.claim
    }

    /// The identifier in canonical form.
    #[must_use]
    pub fn node(&self) -> &NodeUuid {
        &self.node
    }

    /// The data.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// What names the blob to unseal. A secret to seal has no name: it is new with every try.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match &self.payload {
            Payload::Seal(_) => None,
            Payload::Unseal(blob) => Some(blob.fingerprint()),
        }
    }

    /// Gives up the data, for the step that seals or unseals it.
    #[must_use]
    pub fn into_payload(self) -> Payload {
        self.payload
    }
}

const _: () = assert!(MAX_PLAINTEXT_LEN < MAX_BLOB_LEN, "what was sealed must fit into a blob");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_uuid_are_one_node() {
        let canonical = NodeUuid::parse("12345678-9abc-4def-8123-456789abcdef");
        for spelling in [
            "12345678-9ABC-4DEF-8123-456789ABCDEF",
            "123456789abc4def8123456789abcdef",
            "{12345678-9abc-4def-8123-456789abcdef}",
            "urn:uuid:12345678-9abc-4def-8123-456789abcdef",
            "Urn:UUID:12345678-9aBc-4dEf-8123-456789abcdEF",
            "{12345678-9ABC-4def-8123-456789abcdef}",
            "123456789ABC4def8123456789ABCDEF",
        ] {
            assert_eq!(NodeUuid::parse(spelling), canonical, "{spelling}");
        }
    }

    #[test]
    fn what_only_resembles_a_uuid_stays_as_it_is() {
        for claim in [
            "1234567-89abc-4def-8123-456789ABCDEF",
            "12345678-9abc-4def-8123456789ABCDEF",
            "12345678-9abc-4def-8123-456789-ABCDEF",
            "-123456789abc4def8123456789ABCDEF",
            "12345678-9abc-4def-8123-456789ABCDEG",
            "12345678-9abc-4def-8123-456789ABCDE",
            "12345678-9abc-4def-8123-456789ABCDEF0",
            "+2345678-9abc-4def-8123-456789ABCDEF",
            "12345678_9abc_4def_8123_456789ABCDEF",
            "123456789abc4def8123456789ABCDE",
            "{123456789abc4def8123456789ABCDEF}",
            "{12345678-9abc-4def-8123-456789ABCDEF",
            "12345678-9abc-4def-8123-456789ABCDEF}",
            "{{12345678-9abc-4def-8123-456789ABCDEF}}",
            "(12345678-9abc-4def-8123-456789ABCDEF)",
            "urn:uuid:123456789abc4def8123456789ABCDEF",
            "urn:uuid:{12345678-9abc-4def-8123-456789ABCDEF}",
            "{urn:uuid:12345678-9abc-4def-8123-456789ABCDEF}",
            "uuid:12345678-9abc-4def-8123-456789ABCDEF",
            "urn:uuid:",
            "{}",
            "-",
        ] {
            assert_eq!(NodeUuid::parse(claim).expect("printable").as_str(), claim);
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        /// The crate is another reader of the same spellings, as long as it knows no more of them.
        #[test]
        fn it_agrees_with_the_uuid_crate(
            claim in r"(urn:uuid:|URN:uuid:|\{|)[0-9a-fA-Fg-]{30,34}(\}|)|(urn:uuid:|\{|)[0-9a-f]{8}(-[0-9A-F]{4}){3}-[0-9a-f]{12}(\}|)",
        ) {
            let theirs = Uuid::try_parse(&claim).map_or_else(|_| claim.clone(), |uuid| uuid.hyphenated().to_string());
            proptest::prop_assert_eq!(NodeUuid::parse(&claim).expect("printable").to_string(), theirs);
        }
    }

    #[test]
    fn overridden_identifiers_stay_as_they_are() {
        let name = NodeUuid::parse("Rack2-Shelf3").expect("printable");
        assert_eq!(name.as_str(), "Rack2-Shelf3");
        assert_eq!(name.as_uuid(), None);
    }

    #[test]
    fn hostile_claims_are_refused() {
        for claim in ["", " ", "a b", "tab\t", "nul\0", "line\nbreak", "caf\u{e9}", "\u{202e}abc", &"x".repeat(65)] {
            assert_eq!(NodeUuid::parse(claim), Err(MalformedUuid), "{claim:?}");
        }
        assert!(NodeUuid::parse(&"x".repeat(64)).is_ok());
    }

    #[test]
    fn no_node_has_the_identifier_of_golden_blobs() {
        let reserved = NodeUuid::of_golden_blobs();
        assert_eq!(NodeUuid::parse(reserved.as_str()), Err(MalformedUuid));
        assert!(Request::parse(Operation::Unseal, reserved.as_str(), vec![0; 100]).is_err());
    }

    #[test]
    fn fingerprint_is_the_start_of_sha_256() {
        let blob = SealedBlob::new(b"abc".to_vec()).expect("3 bytes are allowed");
        assert_eq!(blob.fingerprint().to_string(), "ba7816bf8f01cfea414140de5dae2223");
    }

    #[test]
    fn data_is_bounded_by_operation() {
        let node = "12345678-9abc-4def-8123-456789abcdef";
        assert!(Request::parse(Operation::Seal, node, vec![0; 513]).is_err());
        assert!(Request::parse(Operation::Unseal, node, vec![0; 1024]).is_ok());
        assert!(Request::parse(Operation::Unseal, node, vec![0; 1025]).is_err());
        assert!(Request::parse(Operation::Unseal, node, vec![]).is_err());
    }
}
