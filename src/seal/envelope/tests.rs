use proptest::prelude::*;

use super::*;
use crate::key::{danger_offline, stretching};
use crate::secret::{MAX_PLAINTEXT_LEN, Passphrase};

const NODE: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";
const OTHER_NODE: &str = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21";

fn key(bytes: [u8; 32]) -> KeyBytes {
    KeyBytes::try_fill(|key| {
        key.copy_from_slice(&bytes);
        Ok::<_, ()>(())
    })
    .expect("cannot fail")
}

fn keks_of(key_bytes: [u8; 32], node: &str) -> Keks {
    danger_offline::keks(&key(key_bytes), &NodeUuid::parse(node).expect("an identifier"), &[])
}

fn keks_of_passphrase(text: &[u8], stretching: Stretching, node: &str) -> Keks {
    let passphrase = Passphrase::new(text.to_vec()).expect("printable");
    let id = stretching::key_id(&passphrase, &stretching).expect("memory");
    let node = NodeUuid::parse(node).expect("an identifier");
    danger_offline::passphrase_keks(&passphrase, &stretching, id, &node, &[]).expect("memory")
}

fn stretched_keks() -> Keks {
    keks_of_passphrase(b"a passphrase", Stretching::new([7; 16], 8, 1, 1).expect("in range"), NODE)
}

fn keks() -> Keks {
    keks_of([7; 32], NODE)
}

fn plaintext(bytes: &[u8]) -> Plaintext {
    Plaintext::new(bytes.to_vec()).expect("1 to 512 bytes")
}

fn blob(bytes: &[u8]) -> SealedBlob {
    SealedBlob::new(bytes.to_vec()).expect("1 to 1024 bytes")
}

fn sealed(bytes: &[u8], address: Option<IpAddr>) -> SealedBlob {
    seal(&keks(), address, &plaintext(bytes)).expect("it can be sealed")
}

fn reason(keks: &Keks, address: Option<IpAddr>, blob: &SealedBlob) -> &'static str {
    match open(keks, address, blob) {
        Ok(_) => "success",
        Err(failed) => failed.reason(),
    }
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_sealed_is_what_opens(
        secret in prop::collection::vec(any::<u8>(), 1..=512),
        key in any::<[u8; 32]>(),
        node in "[!-~]{1,64}",
        bound in prop::option::of(address()),
    ) {
        let keks = keks_of(key, &node);
        let blob = seal(&keks, bound, &plaintext(&secret)).expect("it can be sealed");
        prop_assert_eq!(blob.as_bytes().len(), 170 + secret.len());
        let opened = open(&keks, bound, &blob).expect("it opens");
        prop_assert_eq!(opened.plaintext.expose(), &secret[..]);
        prop_assert_eq!(opened.kek.node().as_str(), keks.own().node().as_str());
    }

    #[test]
    fn a_blob_cut_or_lengthened_does_not_open(
        secret in prop::collection::vec(any::<u8>(), 1..=512),
        cut in any::<prop::sample::Index>(),
        tail in prop::collection::vec(any::<u8>(), 1..=300),
    ) {
        let whole = sealed(&secret, None);
        let whole = whole.as_bytes();
        let cut = blob(&whole[..1 + cut.index(whole.len() - 1)]);
        prop_assert_ne!(reason(&keks(), None, &cut), "success");
        prop_assert_ne!(reason(&keks(), None, &blob(&[whole, &tail].concat())), "success");
    }

    #[test]
    fn another_node_key_or_address_does_not_open(
        key in any::<[u8; 32]>(),
        node in "[!-~]{1,64}",
        bound in address(),
        seen in address(),
    ) {
        prop_assume!(key != [7; 32] && node != NODE && bound.to_canonical() != seen.to_canonical());
        let unbound = sealed(b"secret", None);
        prop_assert_eq!(reason(&keks_of([7; 32], &node), None, &unbound), "kek-commitment");
        prop_assert_eq!(reason(&keks_of(key, NODE), None, &unbound), "unknown-key");
        let bound = sealed(b"secret", Some(bound));
        prop_assert_eq!(reason(&keks(), Some(seen), &bound), "wrapped-dek");
        prop_assert_eq!(reason(&keks(), None, &bound), "address-missing");
    }

    #[test]
    fn noise_behind_a_right_header_does_not_open(noise in prop::collection::vec(any::<u8>(), 0..1000)) {
        let header = [&MAGIC[..], &[VERSION, SourceNumber::Credential.as_byte(), 0], keks().own().key_id().as_bytes()].concat();
        prop_assert_ne!(reason(&keks(), None, &blob(&[header, noise].concat())), "success");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let address = Some("192.0.2.11".parse().expect("an address"));
    let secret = plaintext(&[0x5A; 32]);
    let cases = [(keks(), None), (keks(), address), (stretched_keks(), None), (stretched_keks(), address)];
    for (keks, bound) in cases {
        let whole = seal(&keks, bound, &secret).expect("it can be sealed");
        assert_eq!(reason(&keks, address, &whole), "success");
        for bit in 0..whole.as_bytes().len() * 8 {
            let mut bytes = whole.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(reason(&keks, address, &blob(&bytes)), "success", "bit {bit}");
        }
    }
}

#[test]
fn every_length_round_trips() {
    for (keks, more) in [(keks(), 170), (stretched_keks(), 192)] {
        for length in 1..=MAX_PLAINTEXT_LEN {
            let secret: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let blob = seal(&keks, None, &plaintext(&secret)).expect("sealed");
            assert_eq!(blob.as_bytes().len(), more + length);
            assert_eq!(open(&keks, None, &blob).expect("it opens").plaintext.expose(), secret);
        }
    }
}

#[test]
fn the_kek_of_a_former_identifier_opens() {
    let [node, other] = [NODE, OTHER_NODE].map(|claim| NodeUuid::parse(claim).expect("an identifier"));
    let blob = sealed(b"secret", None);
    let replaced = danger_offline::keks(&key([7; 32]), &other, std::slice::from_ref(&node));
    assert_eq!(open(&replaced, None, &blob).expect("it opens").kek.node(), &node);
    assert_eq!(reason(&keks_of([7; 32], OTHER_NODE), None, &blob), "kek-commitment");
}

#[test]
fn two_seals_share_nothing_random() {
    let (first, second) = (sealed(&[0; 32], None), sealed(&[0; 32], None));
    let fields = |blob: &SealedBlob| {
        let blob = Envelope::parse(blob).expect("a blob");
        (*blob.wrap_nonce, *blob.wrapped_dek, *blob.dek_commitment, blob.data.to_vec())
    };
    let (first, second) = (fields(&first), fields(&second));
    assert_ne!(first.0, second.0);
    assert_ne!(first.1, second.1);
    assert_ne!(first.2, second.2);
    assert_ne!(first.3, second.3);
}

#[test]
fn randomness_that_repeats_gives_another_dek_and_nonce_for_anything_else() {
    let address = |last| Some(IpAddr::from([192, 0, 2, last]));
    let cases = [
        ([1; 32], NODE, None, &b"secret"[..]),
        ([2; 32], NODE, None, b"secret"),
        ([1; 32], OTHER_NODE, None, b"secret"),
        ([1; 32], NODE, address(11), b"secret"),
        ([1; 32], NODE, address(12), b"secret"),
        ([1; 32], NODE, None, b"Secret"),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (fresh, node, address, secret) in cases {
        let (dek, nonce) = hedged(keks_of([7; 32], node).own(), address, &plaintext(secret), &key(fresh));
        assert!(seen.insert(dek.expose().to_vec()) && seen.insert(nonce.to_vec()), "{node} {address:?}");
        assert_ne!(dek.expose()[..WRAP_NONCE_LEN], nonce);
    }
}

#[test]
fn a_blob_that_does_not_open_again_is_not_handed_out() {
    let keks = keks();
    let secret = plaintext(b"secret");
    let whole = sealed(b"secret", None);
    assert_eq!(reopen(keks.own(), None, &secret, &whole), Ok(()));
    assert_eq!(reopen(keks.own(), None, &plaintext(b"Secret"), &whole), Err(Failed::NotReopened));
    for at in 0..whole.as_bytes().len() {
        let mut bytes = whole.as_bytes().to_vec();
        bytes[at] ^= 0x80;
        assert_eq!(reopen(keks.own(), None, &secret, &blob(&bytes)), Err(Failed::NotReopened), "byte {at}");
    }
}

#[test]
fn a_blob_under_a_kek_that_was_derived_wrongly_is_not_handed_out() {
    let node = NodeUuid::parse(NODE).expect("an identifier");
    // One in which a KEK is wrong, and one in which both are right.
    for (first, expected) in [(8, Err(Failed::NotReopened)), (9, Ok(()))] {
        let mut derived = [first, 9].map(|byte| key([byte; 32])).into_iter();
        let keks = danger_offline::keks_for_test(&key([7; 32]), &node, |_| derived.next().expect("twice"));
        assert_eq!(seal(&keks, None, &plaintext(b"secret")).map(|_| ()), expected);
    }
}

#[test]
fn sealing_gives_the_bytes_of_the_vectors() {
    let vectors = [
        include_str!("../../../tests/vectors/good.txt"),
        include_str!("../../../tests/vectors/good-one-byte.txt"),
        include_str!("../../../tests/vectors/good-longest.txt"),
        include_str!("../../../tests/vectors/good-other-key.txt"),
        include_str!("../../../tests/vectors/good-not-a-uuid.txt"),
        include_str!("../../../tests/vectors/good-bound-ipv4-mapped.txt"),
        include_str!("../../../tests/vectors/good-bound-ipv6.txt"),
        include_str!("../../../tests/vectors/multi-key-kek-own.txt"),
        include_str!("../../../tests/vectors/passphrase-good.txt"),
        include_str!("../../../tests/vectors/passphrase-good-lanes.txt"),
        include_str!("../../../tests/vectors/passphrase-good-longest.txt"),
        include_str!("../../../tests/vectors/passphrase-good-bound.txt"),
    ];
    for vector in vectors {
        let text = |name: &str| vector.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let bytes = |name: &str| -> Vec<u8> {
            let digits = text(name).expect("a field").as_bytes();
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
            digits.chunks(2).map(|pair| byte(pair).expect("hexadecimal")).collect()
        };
        let fixed = |name| <[u8; 32]>::try_from(bytes(name)).expect("32 bytes");
        let node = text("node").expect("a node");
        let keks = match text("passphrase") {
            None => keks_of(fixed("key"), node),
            Some(passphrase) => {
                let number = |name| text(name).expect("a field").parse::<u32>().expect("a number");
                let count = |name| u8::try_from(number(name)).expect("small");
                let salt = bytes("salt").try_into().expect("16 bytes");
                let stretching = Stretching::new(salt, number("memory"), count("passes"), count("lanes"));
                keks_of_passphrase(passphrase.as_bytes(), stretching.expect("in range"), node)
            }
        };
        let address = text("address").map(|address| address.parse().expect("an address"));
        let nonce = bytes("nonce").try_into().expect("24 bytes");
        let blob = seal_with(keks.own(), address, &plaintext(&bytes("secret")), &key(fixed("dek")), &nonce);
        assert_eq!(blob.expect("sealed").as_bytes(), bytes("blob"), "{}", text("why").expect("a reason"));
    }
}
