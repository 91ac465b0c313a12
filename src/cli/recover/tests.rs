use std::os::unix::fs::OpenOptionsExt;

use super::*;

const GOOD: &str = include_str!("../../../tests/vectors/good.txt");
const BOUND: &str = include_str!("../../../tests/vectors/good-bound-ipv4.txt");
const NODE: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";
const OTHER: &str = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21";
/// `base64` of 80 81 … 9f.
const PASSPHRASE: &[u8] = b"gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=";

fn field(vector: &str, name: &str) -> Vec<u8> {
    let digits = vector.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).expect("a field");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect()
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a directory"));
        files.write("key", &field(GOOD, "key"));
        files
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).expect("made");
        file.write_all(bytes).expect("written");
        path
    }

    fn args(&self, nodes: &[&str], blob: &[u8]) -> Args {
        Args {
            key: Some(self.0.path().join("key")),
            passphrase_file: None,
            node: nodes.iter().map(|node| NodeUuid::parse(node).expect("an identifier")).collect(),
            address: None,
            blob: Some(self.write("blob", blob)),
            token: None,
            salt: None,
        }
    }

    fn token_args(&self, token: &str) -> Args {
        Args { blob: None, token: Some(self.write("token", token.as_bytes())), ..self.args(&[NODE], b"-") }
    }
}

fn shown(args: &Args) -> String {
    format!("{:?}", recover(args).expect_err("it does not open"))
}

#[test]
fn a_blob_gives_the_passphrase() {
    let files = Files::new();
    let blob = field(GOOD, "blob");
    assert_eq!(**recover(&files.args(&[NODE], &blob)).expect("it opens"), *PASSPHRASE);
    assert_eq!(**recover(&files.args(&[OTHER, NODE], &blob)).expect("it opens"), *PASSPHRASE);
}

#[test]
fn a_token_gives_the_passphrase() {
    let files = Files::new();
    let sealed = STANDARD.encode(field(GOOD, "blob"));
    for token in [
        format!(r#"{{"UserData":{{"sealedData":"{sealed}"}},"type":"sideroKMS","keyslots":[]}}"#),
        format!("{{\n \"type\": \"sideroKMS\",\n \"userData\": {{ \"sealedData\": \"{sealed}\" }} }}\n"),
    ] {
        assert_eq!(**recover(&files.token_args(&token)).expect("it opens"), *PASSPHRASE, "{token}");
    }
}

#[test]
fn a_salt_goes_after_the_passphrase() {
    let files = Files::new();
    let salt: Vec<u8> = (224..=255).collect();
    let yaml: String = salt.iter().map(|byte| format!("    - {byte}\n")).collect();
    for file in [
        &salt[..],
        format!("diskSalt:\n{yaml}").as_bytes(),
        format!("diskSalt:\n{yaml}").replace("    ", "").as_bytes(),
    ] {
        let args = Args { salt: Some(files.write("salt", file)), ..files.args(&[NODE], &field(GOOD, "blob")) };
        assert_eq!(**recover(&args).expect("it opens"), [PASSPHRASE, &salt].concat());
    }
}

#[test]
fn what_is_no_salt_is_refused() {
    let files = Files::new();
    let list = |length| "- 1\n".repeat(length);
    for file in [
        String::new(),
        "x".repeat(31),
        "x".repeat(33),
        list(32),
        format!("diskSalt:\n{}", list(31)),
        format!("diskSalt:\n{}", list(33)),
        format!("diskSalt:\n{}- 256\n", list(31)),
        format!("diskSalt:\n{}- -1\n", list(31)),
        format!("diskSalt:\n{}other: 1\n", list(32)),
        format!("nodeId:\n{}", list(32)),
    ] {
        let salt = Some(files.write("salt", file.as_bytes()));
        let shown = shown(&Args { salt, ..files.args(&[NODE], &field(GOOD, "blob")) });
        assert!(shown.contains("encryption-salt.yaml"), "{file:?}: {shown}");
    }
    let salt = Some(files.write("salt", &[b' '; 5000]));
    assert!(shown(&Args { salt, ..files.args(&[NODE], b"-") }).contains("longer than 4096"));
}

const STRETCHED: &str = include_str!("../../../tests/vectors/passphrase-good.txt");

fn of_passphrase(files: &Files, typed: &str, nodes: &[&str]) -> Args {
    Args {
        key: None,
        passphrase_file: Some(files.write("passphrase", typed.as_bytes())),
        ..files.args(nodes, &field(STRETCHED, "blob"))
    }
}

#[test]
fn passphrase_uuid_and_blob_are_enough() {
    let files = Files::new();
    for nodes in [&[NODE][..], &[OTHER, NODE]] {
        let args = of_passphrase(&files, "h3kqt-0w8zn-5m2xr-vb7cy\n", nodes);
        assert_eq!(**recover(&args).expect("it opens"), *PASSPHRASE);
    }
}

#[test]
fn a_mistyped_passphrase_is_told_from_another_node() {
    let files = Files::new();
    let mistyped = shown(&of_passphrase(&files, "h3kqt-0w8zn-5m2xr-vb7cz", &[NODE]));
    assert!(mistyped.contains("not the passphrase") && mistyped.contains("39b78640008e2e8d"), "{mistyped}");
    assert!(!mistyped.contains("vb7c"), "{mistyped}");
    assert!(shown(&of_passphrase(&files, "h3kqt-0w8zn-5m2xr-vb7cy", &[OTHER])).contains("add --node"));
    assert!(shown(&of_passphrase(&files, "\u{fc}ber", &[NODE])).contains("printable ASCII"));
}

#[test]
fn key_and_passphrase_are_told_apart() {
    let files = Files::new();
    let key = shown(&files.args(&[NODE], &field(STRETCHED, "blob")));
    assert!(key.contains("leave out --key"), "{key}");
    let credential =
        Args { blob: Some(files.write("other", &field(GOOD, "blob"))), ..of_passphrase(&files, "x", &[NODE]) };
    assert!(shown(&credential).contains("add --key"), "{}", shown(&credential));
    let mut foreign = of_passphrase(&files, "x", &[NODE]);
    foreign.blob = Some(files.write("blob", br#"{"type":"sideroKMS"}"#));
    assert!(shown(&foreign).contains("use --token"));
}

#[test]
fn other_tokens_are_refused() {
    let files = Files::new();
    for (token, text) in [
        (r#"{"type":"systemd-tpm2","keyslots":[]}"#, "no sealed data"),
        (r#"{"type":"sideroKMS","keyslots":[]}"#, "no sealed data"),
        (r#"{"type":"luks2-keyring","UserData":{"sealedData":""}}"#, "luks2-keyring"),
        (r#"{"type":"sideroKMS","UserData":{"sealedData":"%%"}}"#, "not base64"),
        (r#"{"type":"sideroKMS","UserData":{"sealedData":""}}"#, "1 to 1024"),
        ("", "not a LUKS2 token"),
        (&"[".repeat(16_000), "not a LUKS2 token"),
        (&" ".repeat(17_000), "longer than 16384"),
    ] {
        assert!(shown(&files.token_args(token)).contains(text), "{text}");
    }
}

#[test]
fn a_bound_blob_asks_for_the_address() {
    let files = Files::new();
    let mut args = files.args(&[NODE], &field(BOUND, "blob"));
    assert!(shown(&args).contains("add --address"));
    args.address = Some("192.0.2.12".parse().expect("an address"));
    assert!(shown(&args).contains("try other addresses"));
    args.address = Some("::ffff:192.0.2.11".parse().expect("an address"));
    assert_eq!(**recover(&args).expect("it opens"), *PASSPHRASE);
}

#[test]
fn what_does_not_open_says_what_to_do() {
    let files = Files::new();
    let blob = field(GOOD, "blob");
    assert!(shown(&files.args(&[OTHER], &blob)).contains("add --node"));
    assert!(shown(&files.args(&[NODE], STANDARD.encode(&blob).as_bytes())).contains("base64 -d"));
    assert!(shown(&files.args(&[NODE], br#"{"type":"sideroKMS"}"#)).contains("use --token"));
    assert!(shown(&files.args(&[NODE], &[0x5A; 60])).contains("another key server"));
    assert!(shown(&files.args(&[NODE], &[0; 1025])).contains("longer than 1024"));
    files.write("key", &[0x5A; 32]);
    assert!(shown(&files.args(&[NODE], &blob)).contains("holds the key"));
    files.write("key", &[0x5A; 33]);
    assert!(shown(&files.args(&[NODE], &blob)).contains("newline"));
}
