//! The keys: where each one is, and which one seals.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::file::KeyTable;
use super::finding::Findings;
use super::names::Names;
use super::{Key, KeySource};

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
    if let Some(source) = table.source.filter(|source| source.get_ref() != "credential") {
        let text = format!("the key source `{}` is not built yet", source.get_ref());
        findings.problem(source.span(), text, "the only one for now is source = \"credential\"");
        return None;
    }
    match (table.credential, table.file) {
        (Some(credential), None) => {
            is_credential(&credential, findings).then(|| KeySource::Credential(credential.into_inner().into()))
        }
        (None, Some(file)) => is_absolute(&file, file.span(), findings).then(|| KeySource::File(file.into_inner())),
        (None, None) => {
            let hint = "add credential = \"nightlatch-key\", or file = \"/path\" for a start by hand";
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
