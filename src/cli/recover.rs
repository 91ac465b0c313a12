//! `nightlatch recover`: a disk's LUKS passphrase from the key, or from the passphrase that is one, alone, when no server is there to ask.
//!
//! Talos 1.11 and later can lock a volume to STATE (`lockToState`): its passphrase then ends in a salt, the 32 bytes that
//! `encryption-salt.yaml` on STATE holds. (siderolabs/talos, internal/pkg/encryption/keys/salted.go)

mod passphrase;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Failure, exit};
use crate::credential;
use crate::key::{Keks, KeyReference, Provenance, danger_offline};
use crate::request::{MAX_BLOB_LEN, NodeUuid, SealedBlob};
use crate::seal::Failed;
use crate::seal::envelope::{self, Envelope};
use crate::secret::{KeyBytes, Plaintext};

/// Options of `nightlatch recover`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("sealed").required(true).args(["blob", "token"]))]
pub struct Args {
    /// The file with the key, as `nightlatch keygen` wrote it; a blob that was sealed under a passphrase needs none
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The file with the passphrase that the blob was sealed under; without it you are asked to type it
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    passphrase_file: Option<PathBuf>,
    /// The node's UUID; repeat it for UUIDs that the node had before
    #[arg(long, value_name = "UUID", required = true, value_parser = NodeUuid::parse)]
    node: Vec<NodeUuid>,
    /// The node's IP address when its disk was formatted, for blobs that are bound to it
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// The sealed blob; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    blob: Option<PathBuf>,
    /// The LUKS2 token that holds the sealed blob, as `cryptsetup token export` prints it; `-` is standard input
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// For a volume with `lockToState`: `encryption-salt.yaml` from the node's STATE partition, or its 32 bytes
    #[arg(long, value_name = "FILE")]
    salt: Option<PathBuf>,
}

/// Length of Talos' salt, in bytes.
const SALT_LEN: usize = 32;

/// Longest file with a salt that is read, in bytes. Talos writes about 300.
const MAX_SALT_FILE_LEN: usize = 4096;

/// Longest token that is read, in bytes. The JSON area of a LUKS2 header is not larger.
const MAX_TOKEN_LEN: usize = 16 * 1024;

/// Opens a sealed blob with the key itself, and prints the LUKS passphrase: the base64 of the secret and then the salt, if
/// there is one. No newline follows it but on a terminal, so that it can be piped into `cryptsetup --key-file=-`.
///
/// # Errors
/// What cannot be read or opened, and what to do.
pub fn run(args: Args) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    if args.salt.is_some() && stdout.is_terminal() {
        return Err(Failure::usage("a passphrase with a salt is not text: a terminal cannot show it")
            .hint("pipe it: nightlatch recover … | cryptsetup open --key-file=- DEVICE NAME"));
    }
    let passphrase = recover(&args)?;
    let newline: &[u8] = if stdout.is_terminal() { b"\n" } else { b"" };
    stdout
        .write_all(&passphrase)
        .and_then(|()| stdout.write_all(newline))
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::new(exit::IO, "cannot write to standard output").because(&error))?;
    if args.salt.is_none() && io::stderr().is_terminal() {
        // For a person whose volume does not open. Nothing depends on it being read.
        let _closed = io::stderr().write_all(
            b"nightlatch: note: a volume with lockToState needs its salt as well: --salt encryption-salt.yaml from STATE\n",
        );
    }
    Ok(())
}

fn recover(args: &Args) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let salt = args.salt.as_deref().map(|path| salt_in(&read(path, MAX_SALT_FILE_LEN)?)).transpose()?;
    let key = args.key.as_deref().map(credential::from_file_to_recover).transpose().map_err(|error| no_key(&error))?;
    let blob = match (&args.blob, &args.token) {
        (Some(path), _) => read(path, MAX_BLOB_LEN)?,
        (None, Some(path)) => blob_of_token(&read(path, MAX_TOKEN_LEN)?)?,
        (None, None) => return Err(Failure::usage("there is neither a blob nor a token")),
    };
    let blob = SealedBlob::new(blob).map_err(|error| Failure::new(exit::DATA, error.to_string()))?;
    let keks = keks(key.as_ref(), args, &blob)?;
    let opened = envelope::open(&keks, args.address, &blob).map_err(|failed| explain(&failed, &keks, args, &blob))?;
    luks_passphrase(&opened.plaintext, salt.as_ref())
}

fn keks(key: Option<&KeyBytes>, args: &Args, blob: &SealedBlob) -> Result<Keks, Failure> {
    let Some((node, formerly)) = args.node.split_first() else {
        return Err(Failure::usage("there is no UUID"));
    };
    let sealed_under = Envelope::parse(blob).map(|envelope| envelope.key());
    match (key, sealed_under) {
        (Some(_), Ok(KeyReference { provenance: Provenance::Passphrase(_), .. })) => {
            Err(Failure::usage("the blob is sealed under a passphrase, and not under a key")
                .hint("leave out --key: you are asked for the passphrase, or name its file with --passphrase-file"))
        }
        (Some(key), _) => Ok(danger_offline::keks(key, node, formerly)),
        (None, Ok(KeyReference { provenance: Provenance::Passphrase(stretching), id })) => {
            passphrase::keks(args.passphrase_file.as_deref(), &stretching, id, node, formerly)
        }
        (None, Ok(KeyReference { provenance: Provenance::Credential, id })) => {
            Err(Failure::usage(format!("the blob is sealed under the key {id}, and not under a passphrase"))
                .hint("add --key with the file that nightlatch keygen wrote, or its backup"))
        }
        (None, Err(failed)) => Err(explain_unread(&failed, blob)),
    }
}

/// Talos takes the padded base64 of the secret for the passphrase, and the bytes of the salt after it.
fn luks_passphrase(plaintext: &Plaintext, salt: Option<&[u8; SALT_LEN]>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let salt = salt.map_or(&[][..], |salt| salt);
    let length = plaintext.expose().len().div_ceil(3) * 4;
    // All the room at once: a vector that grows would leave a copy behind that is not wiped.
    let mut passphrase = Zeroizing::new(Vec::with_capacity(length + salt.len()));
    passphrase.resize(length, 0);
    match STANDARD.encode_slice(plaintext.expose(), &mut passphrase) {
        Ok(_) => {
            passphrase.extend_from_slice(salt);
            Ok(passphrase)
        }
        Err(error) => Err(Failure::new(exit::SOFTWARE, "the passphrase has an unexpected length").because(&error)),
    }
}

/// The salt in a file: its bytes, or YAML with a list of them under `diskSalt`, as Talos writes it.
///
/// It is not wiped: whoever has the file has the salt.
fn salt_in(file: &[u8]) -> Result<[u8; SALT_LEN], Failure> {
    if let Ok(salt) = file.try_into() {
        return Ok(salt);
    }
    let listed = std::str::from_utf8(file).ok().and_then(|text| {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let named = lines.next() == Some("diskSalt:");
        let bytes = lines.map(|line| line.strip_prefix("- ")?.trim().parse::<u8>().ok()).collect::<Option<Vec<u8>>>();
        bytes.filter(|_| named)?.try_into().ok()
    });
    listed.ok_or_else(|| {
        Failure::new(exit::DATA, format!("this is not a salt: neither {SALT_LEN} bytes nor a list of them"))
            .hint("name encryption-salt.yaml from the STATE partition of the node, as Talos wrote it")
    })
}

/// A LUKS2 token as Talos writes it. cryptsetup adds `keyslots`.
#[derive(serde::Deserialize)]
struct Token {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "UserData", alias = "userData")]
    user_data: Option<UserData>,
}

#[derive(serde::Deserialize)]
struct UserData {
    #[serde(rename = "sealedData")]
    sealed_data: String,
}

fn blob_of_token(json: &[u8]) -> Result<Vec<u8>, Failure> {
    // The cause is left out: it quotes the file, which may hold a passphrase instead.
    let token: Token = serde_json::from_slice(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::new(exit::DATA, format!("this is not a LUKS2 token: see line {line}, column {column}"))
            .hint("get it with cryptsetup token export --token-id 0 DEVICE")
    })?;
    let (kind, Some(user_data)) = (token.kind.as_str(), token.user_data) else {
        return Err(Failure::new(exit::DATA, "the token holds no sealed data"));
    };
    if kind != "sideroKMS" {
        // A longer one is no type that anybody uses, and might be a passphrase.
        let kind = if kind.len() <= 24 { format!("{kind:?}") } else { "unknown".to_owned() };
        return Err(Failure::new(exit::DATA, format!("the token is of type {kind}, not \"sideroKMS\""))
            .hint("a volume has a token for each key slot: export the others with --token-id 1 and so on"));
    }
    STANDARD
        .decode(user_data.sealed_data)
        .map_err(|error| Failure::new(exit::DATA, "the sealed data of the token is not base64").because(&error))
}

/// Reads a file or, for `-`, standard input, of up to `limit` bytes.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let standard_input = path == Path::new("-");
    let name = if standard_input { "standard input".into() } else { path.display().to_string() };
    let unreadable = |error: io::Error| Failure::new(exit::NO_INPUT, format!("cannot read {name}")).because(&error);

    let mut bytes = Vec::new();
    let read = if standard_input {
        io::stdin().lock().take(limit as u64 + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).map_err(unreadable)?.take(limit as u64 + 1).read_to_end(&mut bytes)
    };
    match read.map_err(unreadable)? {
        length if length > limit => Err(Failure::new(exit::DATA, format!("{name} is longer than {limit} bytes"))
            .hint("a sealed blob goes with --blob, a LUKS2 token with --token, a salt with --salt")),
        _ => Ok(bytes),
    }
}

fn no_key(error: &credential::Error) -> Failure {
    let code = match error {
        credential::Error::TooOpen { .. } => exit::NO_PERMISSION,
        credential::Error::WrongLength { .. } => exit::DATA,
        _ => exit::NO_INPUT,
    };
    Failure::new(code, "there is no key").because(error).hint(error.hint())
}

/// Whoever has the key may know what is wrong.
fn explain(failed: &Failed, keks: &Keks, args: &Args, blob: &SealedBlob) -> Failure {
    let failure = Failure::new(exit::DATA, "the blob does not open").because(failed);
    match failed {
        Failed::AddressMissing => failure.hint("add --address with the node's IP address when its disk was formatted"),
        Failed::KekCommitment => failure.hint("add --node for every other UUID that the node may have had"),
        Failed::UnknownKey(_) => {
            let file = args.key.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            failure.hint(format!("{file} holds the key {}", keks.own().key_id()))
        }
        Failed::WrappedDek if args.address.is_some() => failure.hint("try other addresses that the node may have had"),
        _ => explain_unread(failed, blob),
    }
}

/// What can be said without any key.
fn explain_unread(failed: &Failed, blob: &SealedBlob) -> Failure {
    let failure = Failure::new(exit::DATA, "the blob does not open").because(failed);
    match failed {
        Failed::Foreign if blob.as_bytes().starts_with(b"{") => failure.hint("it looks like a token: use --token"),
        // What the magic of a blob becomes in base64.
        Failed::Foreign if blob.as_bytes().starts_with(b"iU5MQVRDS") => {
            failure.hint("it looks like base64: decode it with base64 -d")
        }
        Failed::Foreign => failure.hint("see that it is the right file; another key server may have sealed it"),
        Failed::Version(_) | Failed::Source(_) | Failed::Flags(_) => failure.hint("use a newer nightlatch"),
        _ => failure.hint("export the token again; the LUKS2 header has a second copy"),
    }
}

#[cfg(test)]
mod tests;
