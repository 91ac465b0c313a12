//! `nightlatch credentials verify`: a backup is still the key, and it is recorded when that was seen.
//!
//! With `--backup` the backup itself is read. Without it, it stays where it is, and somebody types the beginning of its
//! SHA-256: what root can open here is the key to compare with.

use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

use super::golden;
use super::{Host, elsewhere, no_credential, no_key, where_to_look};
use crate::cli::{Failure, check, exit};
use crate::config::{self, Config, KeySource, PassphraseSource};
use crate::credential;
use crate::key::stretching::{self, Stretching};
use crate::key::{KeyId, SourceNumber, local::LocalKey};
use crate::secret::{KeyBytes, Passphrase};
use crate::state::key_record::{self, KeyRecord, RecordedKey, Verification, VerifiedBackup, Writer};

/// Options of `nightlatch credentials verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The backup; without it you are asked for digits of its SHA-256, so that it can stay where it is
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
    /// The configuration of the installation
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
}

/// Verifies a backup, and says of which key it is one.
///
/// # Errors
/// Why it is none, or why that cannot be told.
pub(super) fn run(host: &mut Host<'_>, args: &Args) -> Result<String, Failure> {
    host.refuse_without_root()?;
    let (config, _) = check::load(&args.config)?;
    let (mut writer, mut record) = Writer::lock(&config.state_directory).map_err(|error| no_record(&error))?;
    let (key, backup) = match &args.backup {
        Some(file) => {
            let file =
                std::path::absolute(file).map_err(|error| Failure::usage("there is no such file").because(&error))?;
            let key = of_file(host, &config, &record, &file)?;
            let backup = match see_elsewhere(host, &config, &key, &file)? {
                Verification::Read => VerifiedBackup::new(host.now, Verification::Read, &file.display().to_string()),
                Verification::Digest => VerifiedBackup::new(host.now, Verification::Digest, Host::ELSEWHERE),
            };
            (key, backup)
        }
        None => {
            (of_digits(host, &config, &record)?, VerifiedBackup::new(host.now, Verification::Digest, Host::ELSEWHERE))
        }
    };
    let before = record.find(key.source, key.id).and_then(|known| known.backup.clone());
    let text = report(&key, &backup, before.as_ref());
    record.put(RecordedKey { backup: Some(backup), ..key.recorded });
    writer.write(&record).map_err(|error| no_record(&error))?;
    Ok(text)
}

/// The key that a backup is one of.
struct Verified {
    source: SourceNumber,
    id: KeyId,
    /// The bytes of the file.
    contents: Secret,
    recorded: RecordedKey,
}

/// A key, or a passphrase.
enum Secret {
    Key(KeyBytes),
    Passphrase(Passphrase),
}

/// What is recorded of the key that is in `file`, or will be.
fn of_file(host: &Host<'_>, config: &Config, record: &KeyRecord, file: &Path) -> Result<Verified, Failure> {
    let key = match credential::from_backup(file) {
        Ok(key) => key,
        Err(credential::Error::WrongLength { .. }) if has_passphrase(config) => {
            let passphrase = credential::passphrase_from_backup(file).map_err(|error| no_key(&error))?;
            return of_passphrase(config, record, passphrase);
        }
        Err(error) => return Err(no_key(&error)),
    };
    let id = LocalKey::id_of(&key);
    let recorded = match record.find(SourceNumber::Credential, id) {
        Some(known) => known.clone(),
        None => {
            let name = installed_name(host, config, &key, id)?;
            new_record(&golden::Key::Random(&key), SourceNumber::Credential, id, &name)?
        }
    };
    golden::opens(&golden::Key::Random(&key), &recorded.golden_blob).map_err(|error| damaged(&error))?;
    Ok(Verified { source: SourceNumber::Credential, id, contents: Secret::Key(key), recorded })
}

/// The name of the key of the configuration that is `key`.
fn installed_name(host: &Host<'_>, config: &Config, key: &KeyBytes, id: KeyId) -> Result<Box<str>, Failure> {
    let mut why_not = vec![];
    for (name, installed) in installed(host, config) {
        match installed {
            Ok(installed) if bool::from(installed.expose().ct_eq(key.expose())) => return Ok(name),
            Ok(installed) => {
                why_not.push(format!("the key of this host, `{name}`, has the id {}", LocalKey::id_of(&installed)))
            }
            Err(failure) => why_not.push(format!("`{name}`: {}", failure.error())),
        }
    }
    Err(Failure::new(exit::DATA, format!("the file has the key {id}, which is not known to be one of this host"))
        .hint(why_not.join("; ")))
}

/// The keys of this host that are at hand, by the names that the configuration has for them.
fn installed<'a>(
    host: &'a Host<'_>,
    config: &'a Config,
) -> impl Iterator<Item = (Box<str>, Result<KeyBytes, Failure>)> + 'a {
    config.keys.iter().filter_map(|key| {
        let opened = match &key.source {
            KeySource::Credential(name) => from_credential(host, name),
            KeySource::File(file) => credential::from_file(file).map_err(|error| no_key(&error)),
            KeySource::Passphrase(_) => return None,
        };
        Some((key.name.clone(), opened))
    })
}

fn from_credential(host: &Host<'_>, name: &str) -> Result<KeyBytes, Failure> {
    let path = host.layout.key().with_file_name(name);
    let opened = host.systemd_creds.decrypt(name, &path).map_err(|error| no_credential(&error))?;
    KeyBytes::try_fill(|key| {
        let bytes = <&[u8; KeyBytes::LEN]>::try_from(opened.expose());
        let bytes = bytes.map_err(|_| Failure::new(exit::DATA, format!("{} holds no key", path.display())))?;
        key.copy_from_slice(bytes);
        Ok(())
    })
}

fn has_passphrase(config: &Config) -> bool {
    config.keys.iter().any(|key| matches!(key.source, KeySource::Passphrase(_)))
}

fn of_passphrase(config: &Config, record: &KeyRecord, passphrase: Passphrase) -> Result<Verified, Failure> {
    for configured in &config.keys {
        let KeySource::Passphrase(PassphraseSource { salt, key_id, memory, passes, lanes, .. }) = &configured.source
        else {
            continue;
        };
        let stretching = Stretching::new(*salt, *memory, *passes, *lanes)
            .map_err(|error| Failure::new(exit::CONFIG, "the passphrase cannot be stretched").because(&error))?;
        let id = KeyId::from_bytes(*key_id);
        let stretched = stretching::key_id(&passphrase, &stretching);
        if stretched
            .map_err(|error| Failure::new(exit::UNAVAILABLE, "cannot stretch the passphrase").because(&error))?
            != id
        {
            continue;
        }
        let key = golden::Key::Passphrase { passphrase: &passphrase, stretching: &stretching, id };
        let recorded = match record.find(SourceNumber::Passphrase, id) {
            Some(known) => known.clone(),
            None => new_record(&key, SourceNumber::Passphrase, id, &configured.name)?,
        };
        golden::opens(&key, &recorded.golden_blob).map_err(|error| damaged(&error))?;
        return Ok(Verified {
            source: SourceNumber::Passphrase,
            id,
            contents: Secret::Passphrase(passphrase),
            recorded,
        });
    }
    Err(Failure::new(exit::DATA, "the file has no key, and none of the passphrases of the configuration")
        .hint("name the file that was written as the backup: 32 bytes, or the passphrase on one line"))
}

/// Asks for the digits of a backup that stays where it is.
fn of_digits(host: &mut Host<'_>, config: &Config, record: &KeyRecord) -> Result<Verified, Failure> {
    let mut keys = vec![];
    let mut unopened = None;
    for (name, opened) in installed(host, config) {
        match opened {
            Ok(key) => keys.push((name, key)),
            Err(failure) => unopened = Some(failure),
        }
    }
    if keys.is_empty() {
        return Err(unopened.unwrap_or_else(|| {
            Failure::usage("there is no key on this host to compare with").hint("name the backup: --backup FILE")
        }));
    }
    let explanation = "\nWhere the backup is, run sha256sum with its file.\n";
    let digests: Vec<&[u8]> = keys.iter().map(|(_, key)| &key.expose()[..]).collect();
    let which = elsewhere::confirm(host.person, explanation, &digests)?;
    let (name, key) = keys.swap_remove(which);
    let id = LocalKey::id_of(&key);
    let recorded = match record.find(SourceNumber::Credential, id) {
        Some(known) => known.clone(),
        None => new_record(&golden::Key::Random(&key), SourceNumber::Credential, id, &name)?,
    };
    golden::opens(&golden::Key::Random(&key), &recorded.golden_blob).map_err(|error| damaged(&error))?;
    Ok(Verified { source: SourceNumber::Credential, id, contents: Secret::Key(key), recorded })
}

/// A file that is lost with this host counts only if somebody has it elsewhere.
fn see_elsewhere(host: &mut Host<'_>, config: &Config, key: &Verified, file: &Path) -> Result<Verification, Failure> {
    if host.outlives_this_host(file, &config.state_directory)? {
        return Ok(Verification::Read);
    }
    let file_is = format!("{} is the key {}", file.display(), key.id);
    if !host.person.is_there() {
        return Err(Failure::usage(format!("{file_is}, but it is lost with this host: nothing was recorded"))
            .hint("name a file on a USB stick or a share, or run it at a terminal (ssh -t)"));
    }
    let explanation =
        format!("\n{file_is}, but it is lost with this host. Where you have it elsewhere:\n\n{}", where_to_look(file));
    match &key.contents {
        Secret::Key(key) => elsewhere::confirm(host.person, &explanation, &[key.expose()])?,
        Secret::Passphrase(passphrase) => {
            // With the line end that keygen writes, and without.
            let mut line = zeroize::Zeroizing::new(Vec::with_capacity(passphrase.expose().len() + 1));
            line.extend_from_slice(passphrase.expose());
            line.push(b'\n');
            elsewhere::confirm(host.person, &explanation, &[&line, passphrase.expose()])?
        }
    };
    Ok(Verification::Digest)
}

fn new_record(key: &golden::Key<'_>, source: SourceNumber, id: KeyId, name: &str) -> Result<RecordedKey, Failure> {
    let golden_blob =
        golden::seal(key).map_err(|error| Failure::new(exit::SOFTWARE, "cannot make a golden blob").because(&error))?;
    Ok(RecordedKey { id, source, name: name.into(), made_at: None, golden_blob, backup: None })
}

fn report(key: &Verified, backup: &VerifiedBackup, before: Option<&VerifiedBackup>) -> String {
    let before = match before {
        Some(before) => format!("the last time was {}, {}", before.at(), before.place()),
        None => "this is the first time".to_owned(),
    };
    format!("backup of the key {} (`{}`) verified at {}\n{before}\n", key.id, key.recorded.name, backup.at())
}

fn damaged(error: &golden::Error) -> Failure {
    Failure::new(exit::DATA, "the file has the id of the key, and does not open what the key sealed")
        .because(error)
        .hint("see docs/troubleshooting.md; with a good backup: remove key-record.json from the state directory, and try again")
}

fn no_record(error: &key_record::Error) -> Failure {
    let code = match error {
        key_record::Error::InUse(_) => exit::TEMPORARY,
        key_record::Error::Unreadable { .. } => exit::DATA,
        _ => exit::IO,
    };
    Failure::new(code, "the key record cannot be used").because(error).hint(error.hint())
}
