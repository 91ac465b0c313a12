//! The bytes of `prompts.json`, version 1: docs/spec/telegram.md, "What is kept".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Kept, KeptNode, KeptPrompt, MAX_PROMPTS};
use crate::message::{ChatId, MessageId};
use crate::press::Nonce;

/// Longest file, in bytes.
pub const MAX_LEN: usize = 1024 * 1024;

/// The version that is written, and the only one that is read.
const VERSION: u64 = 1;

/// Why bytes are not what [`to_bytes`] writes. Tells places, and nothing of what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// More than [`MAX_LEN`] bytes.
    #[error("it is longer than 1 MiB")]
    TooLong,
    /// Not JSON, or other keys and types.
    #[error("it is not what this program writes, in line {line}, column {column}")]
    Json {
        /// From 1; 0 when no line is to blame.
        line: usize,
        /// From 1; 0 when no column is to blame.
        column: usize,
    },
    /// Of another version.
    #[error("it has version {0}, and this program writes version {VERSION}")]
    Version(u64),
    /// More than [`MAX_PROMPTS`] prompts.
    #[error("it has {0} prompts, and at most {MAX_PROMPTS} are kept")]
    TooMany(usize),
    /// One prompt holds what cannot be: an ask that is not 32 hex digits, a nonce or an operation that is none.
    #[error("prompt {0} cannot be")]
    Prompt(usize),
    /// A group has two new ids.
    #[error("group {} became two others", .0.0)]
    Migrated(ChatId),
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u64,
    installation: String,
    migrated: Vec<Migration>,
    prompts: Vec<Prompt>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Migration {
    from: ChatId,
    to: ChatId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prompt {
    ask: String,
    chat: ChatId,
    message: MessageId,
    nonce: String,
    code: String,
    operation: Operation,
    node: Node,
    address: String,
    opened_at_ms: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Seal,
    Unseal,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    uuid: String,
    name: String,
    cluster: String,
}

/// What the bytes of a file say.
///
/// # Errors
/// [`Damage`]
pub fn parse(bytes: &[u8]) -> Result<Kept, Damage> {
    if bytes.len() > MAX_LEN {
        return Err(Damage::TooLong);
    }
    let json = |error: serde_json::Error| Damage::Json { line: error.line(), column: error.column() };
    let Version { version } = serde_json::from_slice(bytes).map_err(json)?;
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let file: File = serde_json::from_slice(bytes).map_err(json)?;
    if file.prompts.len() > MAX_PROMPTS {
        return Err(Damage::TooMany(file.prompts.len()));
    }
    let mut migrated = BTreeMap::new();
    for Migration { from, to } in file.migrated {
        if migrated.insert(from, to).is_some() {
            return Err(Damage::Migrated(from));
        }
    }
    let prompts = file.prompts.into_iter().enumerate();
    let prompts =
        prompts.map(|(number, prompt)| read(prompt).ok_or(Damage::Prompt(number + 1))).collect::<Result<_, _>>()?;
    Ok(Kept { installation: file.installation, migrated, prompts })
}

/// The bytes of the file. When there are more than [`MAX_PROMPTS`] prompts, or they would take more than [`MAX_LEN`]
/// bytes, the first of them are left out.
#[must_use]
pub fn to_bytes(kept: &Kept) -> Vec<u8> {
    let mut file = File {
        version: VERSION,
        installation: kept.installation.clone(),
        migrated: kept.migrated.iter().map(|(from, to)| Migration { from: *from, to: *to }).collect(),
        prompts: kept.prompts.iter().skip(kept.prompts.len().saturating_sub(MAX_PROMPTS)).map(written).collect(),
    };
    loop {
        // Strings and numbers: it cannot fail, and an empty file would be read as damage.
        let bytes = serde_json::to_vec(&file).unwrap_or_default();
        if bytes.len() <= MAX_LEN || file.prompts.is_empty() {
            return bytes;
        }
        file.prompts.drain(..file.prompts.len().div_ceil(4));
    }
}

fn read(prompt: Prompt) -> Option<KeptPrompt> {
    Some(KeptPrompt {
        ask: from_hex(&prompt.ask)?,
        chat: prompt.chat,
        message: prompt.message,
        nonce: Nonce::parse(&prompt.nonce)?,
        code: prompt.code,
        seal: prompt.operation == Operation::Seal,
        node: KeptNode { uuid: prompt.node.uuid, name: prompt.node.name, cluster: prompt.node.cluster },
        address: prompt.address,
        opened_at_ms: prompt.opened_at_ms,
    })
}

fn written(prompt: &KeptPrompt) -> Prompt {
    let KeptNode { uuid, name, cluster } = prompt.node.clone();
    Prompt {
        ask: prompt.ask.iter().map(|byte| format!("{byte:02x}")).collect(),
        chat: prompt.chat,
        message: prompt.message,
        nonce: prompt.nonce.to_string(),
        code: prompt.code.clone(),
        operation: if prompt.seal { Operation::Seal } else { Operation::Unseal },
        node: Node { uuid, name, cluster },
        address: prompt.address.clone(),
        opened_at_ms: prompt.opened_at_ms,
    }
}

/// 32 lower-case hex digits.
fn from_hex(text: &str) -> Option<[u8; 16]> {
    let hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let number =
        (text.len() == 32 && text.as_bytes().iter().all(hex)).then(|| u128::from_str_radix(text, 16).ok())??;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_prompt() -> impl Strategy<Value = KeptPrompt> {
        let numbers = (any::<[u8; 16]>(), any::<i64>(), any::<i32>(), any::<[u8; 16]>(), any::<bool>(), any::<i64>());
        let texts = (".*", ".*", ".*", ".*", ".*");
        (numbers, texts).prop_map(|((ask, chat, message, nonce, seal, at), (code, uuid, name, cluster, address))| {
            KeptPrompt {
                ask,
                chat: ChatId(chat),
                message: MessageId(message),
                nonce: Nonce(nonce),
                code,
                seal,
                node: KeptNode { uuid, name, cluster },
                address,
                opened_at_ms: at,
            }
        })
    }

    fn any_kept() -> impl Strategy<Value = Kept> {
        let migrated = prop::collection::btree_map(any::<i64>().prop_map(ChatId), any::<i64>().prop_map(ChatId), 0..4);
        (".*", migrated, prop::collection::vec(any_prompt(), 0..6)).prop_map(|(installation, migrated, prompts)| Kept {
            installation,
            migrated,
            prompts,
        })
    }

    fn prompt(number: u16) -> KeptPrompt {
        KeptPrompt {
            ask: [0xa5; 16],
            chat: ChatId(1),
            message: MessageId(i32::from(number)),
            nonce: Nonce([0; 16]),
            code: "K7Q2".into(),
            seal: false,
            node: KeptNode { uuid: "u".into(), name: "cp-1".into(), cluster: "home".into() },
            address: "192.0.2.11".into(),
            opened_at_ms: 5,
        }
    }

    #[test]
    fn the_file_reads_as_the_specification_says() {
        let kept = Kept {
            installation: "i".into(),
            migrated: BTreeMap::from([(ChatId(-1), ChatId(-1001))]),
            prompts: vec![prompt(2)],
        };
        let text = "{\"version\":1,\"installation\":\"i\",\"migrated\":[{\"from\":-1,\"to\":-1001}],\
            \"prompts\":[{\"ask\":\"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\",\"chat\":1,\"message\":2,\
            \"nonce\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"code\":\"K7Q2\",\"operation\":\"unseal\",\
            \"node\":{\"uuid\":\"u\",\"name\":\"cp-1\",\"cluster\":\"home\"},\"address\":\"192.0.2.11\",\"opened_at_ms\":5}]}";
        assert_eq!(String::from_utf8(to_bytes(&kept)).as_deref(), Ok(text));
        assert_eq!(parse(text.as_bytes()), Ok(kept));
    }

    #[test]
    fn everything_else_is_damage_and_says_what() {
        let good = String::from_utf8(to_bytes(&Kept { prompts: vec![prompt(2)], ..Kept::default() })).expect("text");
        assert!(parse(good.as_bytes()).is_ok());
        for (from, to, expected) in [
            ("\"version\":1", "\"version\":2", Damage::Version(2)),
            ("\"version\":1", "\"version\":2,\"new\":true", Damage::Version(2)),
            ("a5a5", "A5a5", Damage::Prompt(1)),
            ("a5a5", "+5a5", Damage::Prompt(1)),
            ("a5a5", "a5a", Damage::Prompt(1)),
            ("AAAAAAAA\"", "AAAAAAAB\"", Damage::Prompt(1)),
            ("AAAAAAAA\"", "AAAAAAA\"", Damage::Prompt(1)),
            (
                "\"migrated\":[]",
                "\"migrated\":[{\"from\":-1,\"to\":-2},{\"from\":-1,\"to\":-3}]",
                Damage::Migrated(ChatId(-1)),
            ),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert_eq!(parse(bad.as_bytes()), Err(expected), "{bad}");
        }
        for (from, to) in [
            ("\"version\":1", "\"version\":1,\"new\":true"),
            ("\"version\":1,", ""),
            ("\"version\":1", "\"version\":1,\"version\":1"),
            ("\"message\":2", "\"message\":2.0"),
            ("\"message\":2", "\"message\":2147483648"),
            ("\"chat\":1", "\"chat\":\"1\""),
            ("\"chat\":1,", ""),
            ("\"chat\":1", "\"chat\":1,\"may_approve\":true"),
            ("\"cluster\":\"home\"", "\"cluster\":\"home\",\"x\":1"),
            ("\"unseal\"", "\"UNSEAL\""),
            ("}]}", "}]}{}"),
            ("}]}", "}]"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert!(matches!(parse(bad.as_bytes()), Err(Damage::Json { line: 1, .. })), "{bad}");
        }
        for bad in [b"".as_slice(), b"null", b"[]", b"\xff", &b"[".repeat(MAX_LEN)] {
            assert!(matches!(parse(bad), Err(Damage::Json { .. })));
        }
        assert_eq!(parse(&vec![b' '; MAX_LEN + 1]), Err(Damage::TooLong));
    }

    #[test]
    fn more_prompts_than_are_written_are_damage() {
        let one = serde_json::to_string(&written(&prompt(2))).expect("text");
        let file = |count| {
            let prompts = vec![one.as_str(); count].join(",");
            format!("{{\"version\":1,\"installation\":\"\",\"migrated\":[],\"prompts\":[{prompts}]}}")
        };
        assert!(parse(file(MAX_PROMPTS).as_bytes()).is_ok());
        assert_eq!(parse(file(MAX_PROMPTS + 1).as_bytes()), Err(Damage::TooMany(MAX_PROMPTS + 1)));
    }

    #[test]
    fn the_first_prompts_make_room() {
        let prompts: Vec<_> = (0..1_100).map(prompt).collect();
        let read = parse(&to_bytes(&Kept { prompts: prompts.clone(), ..Kept::default() })).expect("what was written");
        assert_eq!(read.prompts, prompts[1_100 - MAX_PROMPTS..]);

        let long = |number| KeptPrompt { code: "\u{1}".repeat(10_000), ..prompt(number) };
        let bytes = to_bytes(&Kept { prompts: (0..100).map(long).collect(), ..Kept::default() });
        let read = parse(&bytes).expect("what was written");
        assert_eq!(read.prompts.last(), Some(&long(99)));
        assert!(read.prompts.len() < 100 && bytes.len() > MAX_LEN / 2, "{}", read.prompts.len());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(kept in any_kept()) {
            prop_assert_eq!(parse(&to_bytes(&kept)), Ok(kept));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }

        #[test]
        fn every_cut_is_damage(kept in any_kept(), cut in any::<prop::sample::Index>()) {
            let bytes = to_bytes(&kept);
            prop_assert!(parse(&bytes[..cut.index(bytes.len())]).is_err());
        }
    }
}
