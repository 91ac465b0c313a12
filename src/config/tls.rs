//! Encryption of the nodes' connections: `tls = "off"`, or the table that says where certificate and key are.

use std::ops::Range;
use std::path::PathBuf;

use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use toml::Spanned;

use super::finding::Findings;
use super::keys::{is_absolute, is_credential};

/// Most names of the server.
const MAX_NAMES: usize = 16;

/// Encryption of the nodes' connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// None: the path between the nodes and this host must be trusted.
    Off,
    /// TLS 1.3 with this certificate.
    On(Certificate),
}

/// Where the certificate is that nodes are shown, and what they call the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and those between it and a root.
    pub certificate: Place,
    /// Its private key.
    pub key: Place,
    /// What opens the private key, if it is encrypted.
    pub key_passphrase: Option<Place>,
    /// The host names and addresses in the nodes' endpoints: 1 to 16.
    pub names: Vec<ServerName<'static>>,
}

/// Where the contents of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the systemd credential of this name.
    Credential(Box<str>),
    /// In the file at this absolute path.
    File(PathBuf),
}

/// What may stand behind `tls =`, or below `[tls]`.
#[derive(Debug)]
pub(super) enum TlsWritten {
    Word(String),
    Table(Box<TlsTable>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    certificate: Option<Spanned<PathBuf>>,
    certificate_credential: Option<Spanned<String>>,
    key: Option<Spanned<PathBuf>>,
    key_credential: Option<Spanned<String>>,
    key_passphrase_file: Option<Spanned<PathBuf>>,
    key_passphrase_credential: Option<Spanned<String>>,
    names: Option<Spanned<Vec<Spanned<String>>>>,
}

/// By hand, because what serde derives for "one or the other" forgets where a mistake is.
impl<'de> Deserialize<'de> for TlsWritten {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = TlsWritten;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"off\" or a table")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Self::Value, E> {
                Ok(TlsWritten::Word(word.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                TlsTable::deserialize(MapAccessDeserializer::new(map)).map(|table| TlsWritten::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Checks what is written; `None` when something is missing or wrong, which is told.
pub(super) fn check(written: Option<Spanned<TlsWritten>>, findings: &mut Findings<'_>) -> Option<Tls> {
    let Some(written) = written else {
        let hint = "add [tls] with certificate, key and names; or tls = \"off\" at the top, if the path between the \
                    nodes and this host is trusted";
        findings.problem(None, "tls is missing: say how nodes connect", hint);
        return None;
    };
    let span = written.span();
    match written.into_inner() {
        TlsWritten::Word(word) if word == "off" => Some(Tls::Off),
        TlsWritten::Word(_) => {
            let hint = "tls = \"off\" means none; for TLS write a table: [tls] with certificate, key and names";
            findings.problem(span, "tls is neither \"off\" nor a table", hint);
            None
        }
        TlsWritten::Table(table) => self::table(*table, &span, findings).map(Tls::On),
    }
}

fn table(table: TlsTable, span: &Range<usize>, findings: &mut Findings<'_>) -> Option<Certificate> {
    let TlsTable {
        certificate,
        certificate_credential,
        key,
        key_credential,
        key_passphrase_file,
        key_passphrase_credential,
        names,
    } = table;
    let required = |what: &str, file, credential, findings: &mut Findings<'_>| {
        let written = place(what, file, credential, findings);
        if matches!(written, Ok(None)) {
            let hint =
                format!("add {what} = \"/path\", or {what}_credential = \"name\" for one that systemd hands over");
            findings.problem(span.clone(), format!("this table does not say where the {what} is"), hint);
        }
        written.ok().flatten()
    };
    let certificate = required("certificate", certificate, certificate_credential, findings);
    let key = required("key", key, key_credential, findings);
    let key_passphrase = place("key_passphrase", key_passphrase_file, key_passphrase_credential, findings);
    let names = self::names(names, span, findings);
    Some(Certificate { certificate: certificate?, key: key?, key_passphrase: key_passphrase.ok()?, names: names? })
}

/// Where one thing is. `Err` when that is told to be wrong.
fn place(
    what: &str,
    file: Option<Spanned<PathBuf>>,
    credential: Option<Spanned<String>>,
    findings: &mut Findings<'_>,
) -> Result<Option<Place>, ()> {
    match (file, credential) {
        (None, None) => Ok(None),
        (Some(file), None) => match is_absolute(&file, file.span(), findings) {
            true => Ok(Some(Place::File(file.into_inner()))),
            false => Err(()),
        },
        (None, Some(credential)) => match is_credential(&credential, findings) {
            true => Ok(Some(Place::Credential(credential.into_inner().into()))),
            false => Err(()),
        },
        (Some(_), Some(credential)) => {
            let text = format!("the {what} is in a file and in a credential as well");
            findings.problem(credential.span(), text, "keep one of the two");
            Err(())
        }
    }
}

fn names(
    written: Option<Spanned<Vec<Spanned<String>>>>,
    span: &Range<usize>,
    findings: &mut Findings<'_>,
) -> Option<Vec<ServerName<'static>>> {
    const HINT: &str = "add names = [\"kms.example.net\"]: the host in the endpoint of the nodes' configuration";
    let Some(written) = written else {
        findings.problem(span.clone(), "this table does not say what the nodes call the server", HINT);
        return None;
    };
    let span = written.span();
    if !(1..=MAX_NAMES).contains(&written.get_ref().len()) {
        findings.problem(span, format!("names must have 1 to {MAX_NAMES} entries"), HINT);
        return None;
    }
    let mut names = vec![];
    for text in written.into_inner() {
        let span = text.span();
        match ServerName::try_from(text.into_inner()) {
            Ok(name) if names.contains(&name) => findings.problem(span, "this name is here twice", "keep it once"),
            Ok(name) => names.push(name),
            Err(_) => {
                let hint = "write a host name or an address as in the endpoint, without scheme, port and brackets";
                findings.problem(span, "this is no name of a server", hint);
            }
        }
    }
    Some(names)
}
