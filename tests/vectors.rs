//! Opens every vector of docs/spec/sealed-blob.md. They were written by tests/vectors/generate.py, which shares no code
//! with nightlatch.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use nightlatch::key::stretching::{self, Stretching};
use nightlatch::key::{Keks, danger_offline};
use nightlatch::request::{NodeUuid, SealedBlob};
use nightlatch::seal::envelope;
use nightlatch::secret::{KeyBytes, Passphrase};

const NAMES: &[&str] = &[
    "expect",
    "why",
    "key",
    "passphrase",
    "salt",
    "memory",
    "passes",
    "lanes",
    "node",
    "address",
    "secret",
    "dek",
    "nonce",
    "blob",
];

struct Vector(BTreeMap<String, Vec<String>>);

impl Vector {
    fn parse(text: &str) -> Self {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once(':').expect("`name: value`");
            assert!(NAMES.contains(&name), "unknown name {name}");
            fields.entry(name.into()).or_default().push(value.trim().into());
        }
        for name in ["expect", "why", "blob"] {
            assert_eq!(fields.get(name).map(Vec::len), Some(1), "one line `{name}`");
        }
        assert!(fields.contains_key("key") != fields.contains_key("passphrase"), "either a key or a passphrase");
        Self(fields)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|values| values[0].as_str())
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.text(name).map(bytes)
    }

    fn number<T: TryFrom<u32>>(&self, name: &str) -> T {
        let number: u32 = self.text(name).expect("a line").parse().expect("a number");
        T::try_from(number).unwrap_or_else(|_| panic!("{name} is too large"))
    }

    fn keks(&self, nodes: &[NodeUuid]) -> Keks {
        let Some(key) = self.bytes("key") else {
            let passphrase = Passphrase::new(self.text("passphrase").expect("checked").into()).expect("a passphrase");
            let salt = self.bytes("salt").expect("a line").try_into().expect("16 bytes");
            let stretching = Stretching::new(salt, self.number("memory"), self.number("passes"), self.number("lanes"));
            let stretching = stretching.expect("in range");
            let id = stretching::key_id(&passphrase, &stretching).expect("memory");
            return danger_offline::passphrase_keks(&passphrase, &stretching, id, &nodes[0], &nodes[1..])
                .expect("memory");
        };
        let key = KeyBytes::try_fill(|to| {
            to.copy_from_slice(&key);
            Ok::<_, ()>(())
        })
        .expect("cannot fail");
        danger_offline::keks(&key, &nodes[0], &nodes[1..])
    }

    /// Opens the blob as its reader would, and tells the secret or the word for what failed.
    fn open(&self) -> Result<Vec<u8>, &'static str> {
        let nodes: Vec<NodeUuid> =
            self.0["node"].iter().map(|claim| NodeUuid::parse(claim).expect("an identifier")).collect();
        let address = self.text("address").map(|address| address.parse::<IpAddr>().expect("an address"));

        let blob = SealedBlob::new(self.bytes("blob").expect("checked")).map_err(|_| "size")?;
        let keks = self.keks(&nodes);
        let opened = envelope::open(&keks, address, &blob).map_err(|failed| failed.reason())?;
        Ok(opened.plaintext.expose().to_vec())
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    assert_eq!(hex.len() % 2, 0, "two digits for each byte");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

fn vectors() -> BTreeMap<String, Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let paths = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, Vector::parse(&std::fs::read_to_string(&path).expect("text")))
        })
        .collect()
}

#[test]
fn every_vector_ends_as_it_says() {
    let vectors = vectors();
    assert!(vectors.len() >= 240, "only {} vectors were found", vectors.len());
    let mut wrong = vec![];
    for (name, vector) in &vectors {
        let expected = match vector.text("expect").expect("checked") {
            "success" => Ok(vector.bytes("secret").expect("success needs a secret")),
            failure => Err(failure),
        };
        let found = vector.open();
        if found != expected {
            wrong.push(format!("{name}: expected {expected:?}, found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_failure_of_the_specification_has_a_vector() {
    let vectors = vectors();
    let specification = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/spec/sealed-blob.md"))
        .expect("the specification");
    let steps = specification.split("## Open").nth(1).and_then(|rest| rest.split("## ").next()).expect("its section");
    let failures: Vec<&str> = steps
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
        .flat_map(|line| line.rsplit('|').nth(1).expect("a column").split('`').skip(1).step_by(2))
        .collect();
    assert!(failures.len() >= 14, "{failures:?}");
    for failure in failures {
        assert!(vectors.values().any(|vector| vector.text("expect") == Some(failure)), "no vector expects {failure}");
    }
}
