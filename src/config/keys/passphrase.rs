//! A key that is a passphrase: where it comes from, and how it is stretched.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use toml::Spanned;

use super::place;
use crate::config::file::KeyTable;
use crate::config::finding::Findings;
use crate::config::{Key, KeySource, Place};

/// docs/spec/sealed-blob.md, "Layout". Memory in KiB; each lane takes 8 of them.
const MEMORY: RangeInclusive<u32> = 8..=1024 * 1024;
const PASSES: RangeInclusive<u8> = 1..=16;
const LANES: RangeInclusive<u8> = 1..=16;

const DEFAULT_MEMORY: u32 = 64 * 1024;
const DEFAULT_PASSES: u8 = 3;
const DEFAULT_LANES: u8 = 1;

/// Below this, in KiB, a passphrase is warned of: the least that OWASP recommends (Password Storage Cheat Sheet).
const LITTLE_MEMORY: u32 = 19 * 1024;

const FROM_KEYGEN: &str = "copy the line that nightlatch keygen --passphrase printed; it belongs to the passphrase";

/// A key that is a passphrase. Its ranges are those of docs/spec/sealed-blob.md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassphraseSource {
    /// Where the passphrase comes from.
    pub origin: PassphraseOrigin,
    /// The installation salt.
    pub salt: [u8; 16],
    /// The key id that passphrase, salt and the parameters below have.
    pub key_id: [u8; 8],
    /// Memory of Argon2id, in KiB: 8 for each lane to 1,048,576.
    pub memory: u32,
    /// Passes over the memory: 1 to 16.
    pub passes: u8,
    /// Lanes: 1 to 16.
    pub lanes: u8,
}

/// Where a passphrase comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseOrigin {
    /// From the systemd credential of this name, which systemd asks somebody for at each start.
    AskedBySystemd(Box<str>),
    /// From the systemd credential of this name.
    Credential(Box<str>),
    /// From the file at this absolute path.
    File(PathBuf),
    /// From somebody at the terminal, at each start.
    Terminal,
}

/// Tells of what only a passphrase has, when the key is none.
pub(super) fn refuse_settings_of_passphrases(table: &KeyTable, findings: &mut Findings<'_>) {
    let KeyTable { salt, key_id, memory, passes, lanes, ask, .. } = table;
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(Spanned::span);
    let number = |value: &Option<Spanned<i64>>| value.as_ref().map(Spanned::span);
    let asks = ask.as_ref().filter(|ask| ask.get_ref() != "no").map(Spanned::span);
    for (name, span) in [
        ("salt", text(salt)),
        ("key_id", text(key_id)),
        ("memory", text(memory)),
        ("passes", number(passes)),
        ("lanes", number(lanes)),
        ("ask", asks),
    ] {
        if let Some(span) = span {
            let hint = "add source = \"passphrase\", or remove it";
            findings.problem(span, format!("{name} belongs to a key that is a passphrase"), hint);
        }
    }
}

/// Checks the settings of a key that is a passphrase.
pub(super) fn check(span: &Range<usize>, mut table: KeyTable, findings: &mut Findings<'_>) -> Option<KeySource> {
    let salt = hexadecimal("salt", span, table.salt.take(), findings);
    let key_id = hexadecimal("key_id", span, table.key_id.take(), findings);
    let lanes = small("lanes", table.lanes.take(), LANES, DEFAULT_LANES, findings);
    let passes = small("passes", table.passes.take(), PASSES, DEFAULT_PASSES, findings);
    let memory = memory(table.memory.take(), lanes, findings);
    let origin = origin(span, table, findings);
    let (salt, key_id, memory, origin) = (salt?, key_id?, memory?, origin?);
    Some(KeySource::Passphrase(PassphraseSource { origin, salt, key_id, memory, passes, lanes }))
}

fn origin(span: &Range<usize>, mut table: KeyTable, findings: &mut Findings<'_>) -> Option<PassphraseOrigin> {
    let ask = table.ask.take();
    match ask.as_ref().map(|ask| ask.get_ref().as_str()) {
        None | Some("no") => Some(match place(span, table, "nightlatch-passphrase", findings)? {
            Place::Credential(name) => PassphraseOrigin::Credential(name),
            Place::File(path) => PassphraseOrigin::File(path),
        }),
        Some("systemd") => match place(span, table, "nightlatch-passphrase", findings)? {
            Place::Credential(name) => Some(PassphraseOrigin::AskedBySystemd(name)),
            Place::File(_) => {
                let hint =
                    "write credential = \"nightlatch-passphrase\": systemd asks, and hands the answer over as one";
                findings.problem(span.clone(), "a passphrase that systemd asks for is in no file", hint);
                None
            }
        },
        Some("terminal") if table.credential.is_none() && table.file.is_none() => Some(PassphraseOrigin::Terminal),
        Some("terminal") => {
            let hint = "remove credential and file, or ask";
            findings.problem(span.clone(), "a passphrase that is typed is in no credential and in no file", hint);
            None
        }
        Some(_) => {
            let at = ask.map(|ask| ask.span());
            findings.problem(at, "this is no way to ask", "write \"no\", \"terminal\" or \"systemd\"");
            None
        }
    }
}

/// Tells when a passphrase is asked for that nobody would be there to type: after an idle exit the next connection of a
/// node starts the service, at any hour. `exit_after_idle` is where that is written.
pub(in crate::config) fn refuse_idle_exit(
    keys: &[Key],
    exit_after_idle: Option<Range<usize>>,
    findings: &mut Findings<'_>,
) {
    let asked = keys.iter().find(|key| match &key.source {
        KeySource::Passphrase(passphrase) => {
            matches!(passphrase.origin, PassphraseOrigin::Terminal | PassphraseOrigin::AskedBySystemd(_))
        }
        KeySource::Credential(_) | KeySource::File(_) => false,
    });
    if let (Some(key), Some(span)) = (asked, exit_after_idle) {
        let text = format!("with exit_after_idle the passphrase `{}` would be asked for at each start", key.name);
        let hint = "remove exit_after_idle, or put the passphrase into a credential: ask = \"no\"";
        findings.problem(span, text, hint);
    }
}

/// Bytes that are written as hexadecimal digits.
fn hexadecimal<const N: usize>(
    name: &str,
    table: &Range<usize>,
    written: Option<Spanned<String>>,
    findings: &mut Findings<'_>,
) -> Option<[u8; N]> {
    let Some(written) = written else {
        findings.problem(table.clone(), format!("this passphrase has no {name}"), FROM_KEYGEN);
        return None;
    };
    let digits = written.get_ref().as_bytes();
    let value = |pair: &[u8]| {
        pair.iter().try_fold(0_u8, |value, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(value << 4 | u8::try_from(digit).ok()?)
        })
    };
    let bytes = digits.chunks(2).map(value).collect::<Option<Vec<u8>>>();
    let bytes = bytes.filter(|_| digits.len() == 2 * N).and_then(|bytes| bytes.try_into().ok());
    if bytes.is_none() {
        findings.problem(written.span(), format!("{name} has {} hexadecimal digits", 2 * N), FROM_KEYGEN);
    }
    bytes
}

fn small(
    name: &str,
    written: Option<Spanned<i64>>,
    range: RangeInclusive<u8>,
    default: u8,
    findings: &mut Findings<'_>,
) -> u8 {
    let Some(written) = written else { return default };
    match u8::try_from(*written.get_ref()).ok().filter(|value| range.contains(value)) {
        Some(value) => value,
        None => {
            let hint = format!("write {} to {}; the default is {default}", range.start(), range.end());
            findings.problem(written.span(), format!("{name} is out of range"), hint);
            default
        }
    }
}

/// KiB of memory, such as "64MiB".
fn memory(written: Option<Spanned<String>>, lanes: u8, findings: &mut Findings<'_>) -> Option<u32> {
    let Some(written) = written else { return Some(DEFAULT_MEMORY) };
    let text = written.get_ref().as_str();
    let size = [("KiB", 1), ("MiB", 1024), ("GiB", 1024 * 1024)].into_iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?.trim_end();
        number.parse::<u32>().ok()?.checked_mul(factor)
    });
    let least = MEMORY.start() * u32::from(lanes);
    let Some(size) = size.filter(|size| (least..=*MEMORY.end()).contains(size)) else {
        let hint = format!("write \"{least}KiB\" to \"1GiB\" (8KiB for each lane); the default is \"64MiB\"");
        findings.problem(written.span(), "this is no amount of memory to stretch a passphrase with", hint);
        return None;
    };
    if size < LITTLE_MEMORY {
        findings.warning(written.span(), "this passphrase is stretched with less than 19MiB: it is guessed faster");
    }
    Some(size)
}
