//! Credentials, opened into memory that is wiped: only ids of keys and lengths leave this file.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::files::{chain, entry};
use crate::certificate::key::{MAX_KEY_LEN, MAX_PASSPHRASE_LEN};
use crate::certificate::{MAX_CHAIN_LEN, Pair, expiry::days_left};
use crate::cli::credentials::golden;
use crate::cli::credentials::systemd_creds::{self, SystemdCreds};
use crate::cli::doctor::facts::{
    self, BOT, Certificate, Complaint, Contents, Entry, Keys, Kind, NoRecord, Opened, Recorded, SERVER,
};
use crate::cli::doctor::finding::Unseen;
use crate::cli::doctor::unit::{Credential, Unit};
use crate::clock::WallTime;
use crate::config::{Config, KeySource, Place, Tls};
use crate::credential::{
    self,
    contents::{self, Access},
};
use crate::daemon::certificate::judgement::judge_pair;
use crate::daemon::memory::Protected;
use crate::key::local::LocalKey;
use crate::key::{KeyId, SourceNumber};
use crate::secret::{KeyBytes, SecretContents};
use crate::state::key_record::{self, RecordedKey, VerifiedBackup};

/// Where systemd looks for credentials that are named without a path (systemd.exec(5)).
const ENCRYPTED: [&str; 3] = ["/etc/credstore.encrypted", "/run/credstore.encrypted", "/usr/lib/credstore.encrypted"];
const PLAIN: [&str; 3] = ["/etc/credstore", "/run/credstore", "/usr/lib/credstore"];

/// What opened, by name: of the server alone.
pub(super) type Secrets = BTreeMap<String, SecretContents>;

/// The credentials of server and bot.
pub(super) fn credentials(units: &[Unit], config: Option<&Config>, _: &Protected) -> (Vec<Opened>, Secrets) {
    let (mut opened, mut secrets) = (vec![], Secrets::new());
    for id in [SERVER, BOT] {
        for credential in units.iter().filter(|unit| unit.id() == id).flat_map(|unit| &unit.credentials) {
            let credential = placed(credential);
            let file = entry(Path::new(&credential.path));
            let contents = match &file {
                Entry::There(_) if credential.encrypted => Some(decrypt(&credential)),
                // What else is not encrypted says nothing here; anything but a file, such as a socket, could ask somebody.
                Entry::There(facts::File { kind: Kind::File, .. }) if id == SERVER && is_key(&credential, config) => {
                    Some(plain(&credential))
                }
                _ => None,
            };
            let opens = contents.map(|contents| {
                Ok(contents?.map(|contents| {
                    let told =
                        Contents { length: contents.expose().len(), key: key_id(&credential, config, &contents) };
                    if id == SERVER {
                        secrets.insert(credential.name.clone(), contents);
                    }
                    told
                }))
            });
            opened.push(Opened { unit: id, credential, file, opens });
        }
    }
    (opened, secrets)
}

/// With its path in full.
fn placed(credential: &Credential) -> Credential {
    if credential.path.starts_with('/') {
        return credential.clone();
    }
    let stores = if credential.encrypted { ENCRYPTED } else { PLAIN };
    let mut paths = stores.map(|store| Path::new(store).join(&credential.path)).into_iter();
    let first = paths.next().unwrap_or_else(|| PathBuf::from(&credential.path));
    let path = if first.exists() { first } else { paths.find(|path| path.exists()).unwrap_or(first) };
    Credential { path: path.display().to_string(), ..credential.clone() }
}

fn decrypt(credential: &Credential) -> Result<Result<SecretContents, String>, Unseen> {
    if !geteuid().is_root() {
        return Err(Unseen::needs_root("what is in it"));
    }
    match SystemdCreds::of_the_system().decrypt(&credential.name, Path::new(&credential.path)) {
        Ok(contents) => Ok(Ok(contents)),
        Err(systemd_creds::Error::Failed { said, .. }) => Ok(Err(said)),
        Err(systemd_creds::Error::Length(0)) => Ok(Err("it is empty".into())),
        Err(error) => Err(Unseen::because(chain(&error))),
    }
}

/// What stands in a credential that is not encrypted. Who else may read it is told with the file.
fn plain(credential: &Credential) -> Result<Result<SecretContents, String>, Unseen> {
    match contents::from_file(Path::new(&credential.path), Access::Anyone, MAX_KEY_LEN) {
        Ok(contents) => Ok(Ok(contents)),
        Err(_) if !geteuid().is_root() => Err(Unseen::needs_root(&credential.path)),
        Err(error) => Ok(Err(chain(&error))),
    }
}

/// Whether the configuration says that it is a key, or, if there is no configuration to ask, its name.
fn is_key(credential: &Credential, config: Option<&Config>) -> bool {
    let named = |source: &KeySource| matches!(source, KeySource::Credential(name) if **name == *credential.name);
    config.map_or(credential.name == "nightlatch-key", |config| config.keys.iter().any(|key| named(&key.source)))
}

/// The id of the key in `contents`, if the configuration says that it is one, or if there is no configuration to ask.
fn key_id(credential: &Credential, config: Option<&Config>, contents: &SecretContents) -> Option<KeyId> {
    is_key(credential, config).then(|| key_in(contents)).flatten().map(|key| LocalKey::id_of(&key))
}

fn key_in(contents: &SecretContents) -> Option<KeyBytes> {
    let bytes: &[u8; KeyBytes::LEN] = contents.expose().try_into().ok()?;
    let Ok(key) = KeyBytes::try_fill(|key| {
        key.copy_from_slice(bytes);
        Ok::<_, Infallible>(())
    });
    Some(key)
}

/// The keys that the configuration names, and what the key record knows about them.
pub(super) fn keys(config: &Config, secrets: &Secrets) -> Keys {
    let directory = &config.state_directory;
    let record = key_record::read(directory);
    let keys = config.keys.iter().map(|key| {
        let bytes = match &key.source {
            KeySource::Credential(name) => secrets.get(&**name).and_then(key_in).ok_or(None),
            KeySource::File(path) => credential::from_file(path).map_err(|error| {
                let unseen = (!geteuid().is_root()).then(|| Unseen::needs_root(&path.display().to_string()));
                Some(Complaint { error: chain(&error), hint: error.hint(), unseen })
            }),
            KeySource::Passphrase(passphrase) => {
                let id = Ok(KeyId::from_bytes(passphrase.key_id));
                return facts::Key { name: key.name.to_string(), id, golden_blob: None };
            }
        };
        let id = bytes.as_ref().map(LocalKey::id_of).map_err(Clone::clone);
        let golden_blob = bytes.ok().zip(record.as_ref().ok()).and_then(|(bytes, record)| {
            let recorded = record.find(SourceNumber::Credential, LocalKey::id_of(&bytes))?;
            Some(golden::opens(&golden::Key::Random(&bytes), &recorded.golden_blob).map_err(|error| chain(&error)))
        });
        facts::Key { name: key.name.to_string(), id, golden_blob }
    });
    let keys = keys.collect();
    let record = record.map_err(|error| {
        let unseen = (!geteuid().is_root() && !matches!(error, key_record::Error::Unreadable { .. }))
            .then(|| Unseen::needs_root(&directory.display().to_string()));
        let absent = matches!(error, key_record::Error::Absent(_));
        NoRecord { absent, complaint: Complaint { error: chain(&error), hint: error.hint().into(), unseen } }
    });
    let recorded = |key: &RecordedKey| Recorded {
        id: key.id,
        name: key.name.to_string(),
        verified_at: key.backup.as_ref().map(VerifiedBackup::at),
    };
    Keys { keys, record: record.map(|record| record.keys().iter().map(recorded).collect()) }
}

/// The certificate, as nodes see it.
pub(super) fn certificate(
    config: &Config,
    server: Option<&Unit>,
    secrets: &Secrets,
    roots: Option<&Path>,
    now: WallTime,
) -> Option<Result<Certificate, Complaint>> {
    let Tls::On(places) = &config.tls else { return None };
    let read = |place, access, max| contents_of(place, server, secrets, access, max);
    let pair = || {
        let chain_of = read(&places.certificate, Access::Anyone, MAX_CHAIN_LEN)?;
        let key = read(&places.key, Access::Group, MAX_KEY_LEN)?;
        let passphrase = places.key_passphrase.as_ref();
        let passphrase = passphrase.map(|place| read(place, Access::Group, MAX_PASSPHRASE_LEN)).transpose()?;
        Pair::parse(chain_of.expose(), &key, passphrase.as_ref()).map_err(|error| Complaint {
            error: chain(&error),
            hint: error.hint().into(),
            unseen: None,
        })
    };
    Some(pair().and_then(|pair| {
        let judgement = judge_pair(&pair, &places.names, roots, now).map_err(|error| Complaint {
            error: chain(&error),
            hint: error.hint(),
            unseen: None,
        })?;
        let findings = judgement.findings.into_iter();
        let findings = findings.map(|finding| (finding.subject.to_owned(), finding.found, finding.to_do)).collect();
        Ok(Certificate { findings, days_left: days_left(pair.not_after(), now) })
    }))
}

fn contents_of(
    place: &Place,
    server: Option<&Unit>,
    secrets: &Secrets,
    access: Access,
    max: usize,
) -> Result<SecretContents, Complaint> {
    let from_file = |path: &Path| {
        contents::from_file(path, access, max).map_err(|error| {
            let unseen = (!geteuid().is_root()).then(|| Unseen::needs_root(&path.display().to_string()));
            Complaint { error: chain(&error), hint: error.hint(), unseen }
        })
    };
    let name = match place {
        Place::File(path) => return from_file(path),
        Place::Credential(name) => name,
    };
    if let Some(opened) = secrets.get(&**name) {
        let copy = SecretContents::read(opened.expose(), max);
        return copy.map_err(|error| Complaint { error: error.to_string(), hint: String::new(), unseen: None });
    }
    let handed = server.and_then(|unit| unit.credentials.iter().find(|credential| *credential.name == **name));
    match handed {
        Some(credential) if !credential.encrypted => from_file(Path::new(&placed(credential).path)),
        _ => Err(Complaint {
            error: format!("the credential {name} cannot be looked at"),
            hint: "see what is said of that credential".into(),
            unseen: Some(Unseen::because(format!("the credential {name} did not open"))),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::state::key_record::{KeyRecord, Verification, Writer};

    fn key_of(byte: u8) -> KeyBytes {
        let Ok(key) = KeyBytes::try_fill(|key| {
            key.fill(byte);
            key[0] = 0;
            Ok::<_, Infallible>(())
        });
        key
    }

    /// What is seen of the key `at_hand`, on a host that was set up with `recorded`.
    fn seen(at_hand: &KeyBytes, recorded: &KeyBytes) -> Keys {
        let directory = tempfile::tempdir().expect("a directory");
        set_permissions(directory.path(), Permissions::from_mode(0o700)).expect("set");
        let (mut writer, _) = Writer::lock(directory.path()).expect("locked");
        let mut record = KeyRecord::default();
        record.put(RecordedKey {
            id: LocalKey::id_of(recorded),
            source: SourceNumber::Credential,
            name: "first".into(),
            made_at: None,
            golden_blob: golden::seal(&golden::Key::Random(recorded)).expect("sealed"),
            backup: Some(VerifiedBackup::new(WallTime::from_unix_millis(5), Verification::Read, "/media/key")),
        });
        writer.write(&record).expect("written");
        let file = directory.path().join("key");
        write(&file, at_hand.expose()).expect("written");
        set_permissions(&file, Permissions::from_mode(0o600)).expect("set");
        let manual = include_str!("../../../../systemd/nightlatch.toml");
        let (place, state) = (file.display(), directory.path().display());
        let text = manual.replace("\ncredential = \"nightlatch-key\"", &format!("\nfile = \"{place}\""));
        let text =
            text.replace("#state_directory = \"/var/lib/nightlatch\"", &format!("state_directory = \"{state}\""));
        let (config, _) = Config::parse(&text, "nightlatch.toml").expect("it can be used");
        keys(&config, &Secrets::new())
    }

    #[test]
    fn the_key_that_is_recorded_opens_its_golden_blob() {
        let seen = seen(&key_of(7), &key_of(7));
        assert_eq!(seen.keys[0].golden_blob, Some(Ok(())));
        assert_eq!(seen.keys[0].id, Ok(LocalKey::id_of(&key_of(7))));
        let record = seen.record.expect("there is one");
        assert_eq!(
            (record[0].id, record[0].verified_at),
            (LocalKey::id_of(&key_of(7)), Some(WallTime::from_unix_millis(5)))
        );
    }

    #[test]
    fn another_key_has_no_golden_blob_in_the_record() {
        let seen = seen(&key_of(8), &key_of(7));
        assert_eq!(seen.keys[0].golden_blob, None);
        assert_ne!(seen.keys[0].id, Ok(seen.record.expect("there is one")[0].id));
    }

    #[test]
    fn a_credential_without_a_path_is_looked_for_where_systemd_does() {
        let named = |encrypted| Credential { name: "key".into(), path: "no-such-credential".into(), encrypted };
        assert_eq!(placed(&named(true)).path, "/etc/credstore.encrypted/no-such-credential");
        assert_eq!(placed(&named(false)).path, "/etc/credstore/no-such-credential");
    }

    #[test]
    fn a_key_in_a_credential_that_is_not_encrypted_is_looked_at() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key");
        write(&path, key_of(7).expose()).expect("written");
        let (config, _) =
            Config::parse(include_str!("../../../../systemd/nightlatch.toml"), "nightlatch.toml").expect("usable");
        let named = |name: &str| Credential { name: name.into(), path: path.display().to_string(), encrypted: false };
        let mut server = Unit::default().with("Id", SERVER);
        server.credentials = vec![named("nightlatch-key"), named("tls-key")];
        let (opened, secrets) = credentials(&[server], Some(&config), &Protected::of_a_test());
        let seen: Vec<_> = opened.into_iter().map(|opened| opened.opens).collect();
        let id = LocalKey::id_of(&key_of(7));
        assert_eq!(seen, [Some(Ok(Ok(Contents { length: 32, key: Some(id) }))), None], "only keys are read");
        assert_eq!(keys(&config, &secrets).keys[0].id, Ok(id));
    }
}
