//! Opens whatever comes: it must not panic, and what opens must be what was sealed.
//!
//! The vectors in tests/vectors make a good corpus.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nightlatch::key::stretching::{self, Stretching};
use nightlatch::key::{Keks, danger_offline};
use nightlatch::request::{NodeUuid, SealedBlob};
use nightlatch::seal::envelope;
use nightlatch::secret::{KeyBytes, Passphrase};

/// Every vector that opens for one node at one address under one key.
const GOOD: [&str; 5] = [
    include_str!("../../tests/vectors/good.txt"),
    include_str!("../../tests/vectors/good-bound-ipv4.txt"),
    include_str!("../../tests/vectors/good-longest.txt"),
    include_str!("../../tests/vectors/good-one-byte.txt"),
    include_str!("../../tests/vectors/multi-key-kek-own.txt"),
];

fn text<'a>(vector: &'a str, name: &str) -> &'a str {
    vector.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).expect("a field")
}

fn bytes(vector: &str, name: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal");
    text(vector, name).as_bytes().chunks(2).map(byte).collect()
}

/// Blobs with what was sealed in them.
static SEALED: LazyLock<Vec<(Vec<u8>, Vec<u8>)>> = LazyLock::new(|| {
    GOOD.iter().chain(&STRETCHED).map(|vector| (bytes(vector, "blob"), bytes(vector, "secret"))).collect()
});

/// The same under a passphrase.
const STRETCHED: [&str; 3] = [
    include_str!("../../tests/vectors/passphrase-good.txt"),
    include_str!("../../tests/vectors/passphrase-good-one-byte.txt"),
    include_str!("../../tests/vectors/passphrase-good-bound.txt"),
];

/// The KEKs of both.
static KEKS: LazyLock<[Keks; 2]> = LazyLock::new(|| {
    let node = NodeUuid::parse(text(STRETCHED[0], "node")).expect("an identifier");
    let passphrase = Passphrase::new(text(STRETCHED[0], "passphrase").into()).expect("a passphrase");
    let number = |name| text(STRETCHED[0], name).parse::<u32>().expect("a number");
    let count = |name| u8::try_from(number(name)).expect("small");
    let salt = bytes(STRETCHED[0], "salt").try_into().expect("16 bytes");
    let stretching = Stretching::new(salt, number("memory"), count("passes"), count("lanes")).expect("in range");
    let id = stretching::key_id(&passphrase, &stretching).expect("memory");
    let stretched = danger_offline::passphrase_keks(&passphrase, &stretching, id, &node, &[]).expect("memory");
    [keks_of_key(), stretched]
});

fn keks_of_key() -> Keks {
    let key = KeyBytes::try_fill(|key| {
        key.copy_from_slice(&bytes(GOOD[0], "key"));
        Ok::<_, ()>(())
    });
    let node = NodeUuid::parse(text(GOOD[0], "node")).expect("an identifier");
    danger_offline::keks(&key.expect("cannot fail"), &node, &[])
}

fn check(bytes: Vec<u8>) {
    let Ok(blob) = SealedBlob::new(bytes) else { return };
    let address = Some("192.0.2.11".parse().expect("an address"));
    let opened = KEKS.iter().find_map(|keks| envelope::open(keks, address, &blob).ok());
    let sealed = SEALED.iter().find(|(sealed, _)| sealed == blob.as_bytes());
    assert_eq!(opened.as_ref().map(|opened| opened.plaintext.expose()), sealed.map(|(_, secret)| secret.as_slice()));
}

fuzz_target!(|data: &[u8]| {
    check(data.to_vec());
    for (good, _) in &*SEALED {
        // Chance does not find a header with the right commitments: begin with one, keep as much of it as the first
        // byte says, and go on with the input.
        let Some((&keep, rest)) = data.split_first() else { continue };
        let kept = &good[..usize::from(keep).min(good.len())];
        check([kept, rest].concat());

        // And a whole blob with one byte changed.
        let [high, low, flip, ..] = *data else { continue };
        let mut bytes = good.clone();
        let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
        bytes[at] ^= flip;
        check(bytes);
    }
});
