//! The keys: where each one is, and which one seals.

mod passphrase;

use std::ops::Range;
use std::path::Path;

use toml::Spanned;

pub(super) use self::passphrase::refuse_idle_exit;
pub use self::passphrase::{PassphraseOrigin, PassphraseSource};
use super::file::KeyTable;
use super::finding::Findings;
use super::names::Names;
use super::{Key, KeySource, Place};

/// Checks the keys; on a mistake the list is shorter than what is written.
pub(super) fn check(tables: Vec<Spanned<KeyTable>>, findings: &mut Findings<'_>) -> Vec<Key> {
    if tables.is_empty() {
        findings.problem(
            None,
            "there is no [[key]]",
            "make a key with nightlatch keygen, and add [[key]] with name = \"…\" and credential = \"nightlatch-key\"",
        );
    }
    let (none, only) = (tables.is_empty(), tables.len() == 1);
    let mut names = Names::of("key");
    let mut sealing: Vec<Range<usize>> = Vec::new();
    let mut keys = Vec::new();
    for table in tables {
        let span = table.span();
        let table = table.into_inner();
        let seals = table.seals.as_ref().map_or(only, |seals| *seals.get_ref());
        if seals {
            sealing.push(table.seals.as_ref().map_or(span.clone(), Spanned::span));
        }
        let name = names.take(span.clone(), table.name.clone(), findings);
        let source = source(&span, table, findings);
        if let (Some(name), Some(source)) = (name, source) {
            keys.push(Key { name, source, seals });
        }
    }
    let text = "exactly one key must seal";
    match &*sealing {
        [] if !none => findings.problem(None, text, "add seals = true to the [[key]] that new blobs get"),
        [] | [_] => {}
        [_, second, ..] => findings.problem(second.clone(), text, "keep seals = true in one [[key]] only"),
    }
    keys
}

fn source(span: &Range<usize>, table: KeyTable, findings: &mut Findings<'_>) -> Option<KeySource> {
    match table.source.as_ref().map(|source| source.get_ref().as_str()) {
        None | Some("credential") => {
            passphrase::refuse_settings_of_passphrases(&table, findings);
            Some(match place(span, table, "nightlatch-key", findings)? {
                Place::Credential(name) => KeySource::Credential(name),
                Place::File(path) => KeySource::File(path),
            })
        }
        Some("passphrase") => passphrase::check(span, table, findings),
        Some(other) => {
            let text = format!("the key source `{other}` is not built yet");
            let at = table.source.as_ref().map(Spanned::span);
            findings.problem(at, text, "write source = \"credential\" or source = \"passphrase\"");
            None
        }
    }
}

/// The one place that a key says; `example` is the usual name of such a credential.
fn place(span: &Range<usize>, table: KeyTable, example: &str, findings: &mut Findings<'_>) -> Option<Place> {
    match (table.credential, table.file) {
        (Some(credential), None) => {
            is_credential(&credential, findings).then(|| Place::Credential(credential.into_inner().into()))
        }
        (None, Some(file)) => is_absolute(&file, file.span(), findings).then(|| Place::File(file.into_inner())),
        (None, None) => {
            let hint = format!("add credential = \"{example}\", or file = \"/path\" for a start by hand");
            findings.problem(span.clone(), "this [[key]] does not say where the key is", hint);
            None
        }
        (Some(_), Some(file)) => {
            let hint = "keep one of the two";
            findings.problem(file.span(), "this [[key]] has both credential and file", hint);
            None
        }
    }
}

/// Whether this can be the name of a credential; tells when it cannot.
pub(super) fn is_credential(written: &Spanned<String>, findings: &mut Findings<'_>) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let name = written.get_ref();
    let can_be = (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed);
    if !can_be {
        let hint = "write the name that LoadCredentialEncrypted= in the unit gives it: letters, digits, `.`, `_`, `-`";
        findings.problem(written.span(), "this is no name of a credential", hint);
    }
    can_be
}

/// Whether the path is absolute; tells when it is not.
pub(super) fn is_absolute(path: &Spanned<impl AsRef<Path>>, span: Range<usize>, findings: &mut Findings<'_>) -> bool {
    let absolute =
        path.get_ref().as_ref().is_absolute() && !path.get_ref().as_ref().as_os_str().as_encoded_bytes().contains(&0);
    if !absolute {
        findings.problem(
            span,
            "this path is not absolute",
            "begin it with /: the service runs in no directory of yours",
        );
    }
    absolute
}
