//! Credentials and keys: whether they are there, open, and are the right ones.

use super::service::asks_at_start;
use crate::certificate::expiry::DAY;
use crate::cli::doctor::facts::{
    BOT, Complaint, Contents, Entry, File, Host, Key, Keys, Kind, NoRecord, Opened, PASSPHRASE, Recorded, SERVER,
};
use crate::cli::doctor::finding::{Check, Finding, Unseen};
use crate::cli::doctor::unit::Unit;
use crate::config::{Channel, Config, KeySource, PassphraseOrigin, People, Place, Tls};

/// After how many days a backup should be looked at again.
const BACKUP_DAYS: u64 = 180;

/// How a backup is looked at.
const VERIFY: &str = "nightlatch credentials verify --backup FILE";

/// Each credential of the server and of the bot.
pub(super) fn credentials(host: &Host) -> Vec<Finding> {
    let mut findings = vec![];
    for opened in host.credentials.iter().filter(|opened| opened.unit == SERVER || has_bot(host)) {
        findings.push(file(host, opened));
        findings.extend(opens(host, opened));
    }
    if let (Some(config), Some(server)) = (host.config(), host.unit(SERVER).filter(|unit| unit.is_loaded())) {
        findings.extend(missing(config, server, asks_at_start(host)));
    }
    findings.extend(keys(host));
    findings
}

/// Each key: whether it is the one that is recorded, opens its golden blob, and has a backup that somebody looked at.
fn keys(host: &Host) -> Vec<Finding> {
    let Some(Keys { keys, record }) = &host.keys else { return vec![] };
    let recorded = match record {
        Ok(recorded) => recorded,
        Err(NoRecord { absent, complaint }) => {
            let unrecorded = match &complaint.unseen {
                Some(unseen) => Finding::not_looked_at(Check::Backup, "", unseen),
                None if *absent => {
                    Finding::warning(Check::Backup, "", "no backup of a key was ever verified here", VERIFY)
                }
                None => Finding::warning(Check::Backup, "", &complaint.error, &complaint.hint),
            };
            return keys.iter().flat_map(|key| unusable(host, key)).chain([unrecorded]).collect();
        }
    };
    keys.iter().flat_map(|key| of_key(host, key, recorded)).collect()
}

/// A key that cannot be read. What is wrong with a credential is told with the credential.
fn unusable(host: &Host, key: &Key) -> Vec<Finding> {
    match &key.id {
        Ok(_) => vec![],
        Err(Some(Complaint { unseen: Some(unseen), .. })) => {
            vec![Finding::not_looked_at(Check::Key, &key.name, unseen)]
        }
        Err(Some(complaint)) => vec![Finding::wrong(Check::Key, &key.name, &complaint.error, &complaint.hint)],
        Err(None) if is_told(host, key) => vec![],
        Err(None) => {
            let unseen = Unseen::because("the credential that it is in was not opened");
            [Check::Key, Check::GoldenBlob].map(|check| Finding::not_looked_at(check, &key.name, &unseen)).into()
        }
    }
}

/// Whether what is said of its credential says why a key was not seen: not handed over, not there, or not to be opened.
fn is_told(host: &Host, key: &Key) -> bool {
    let source = host
        .config()
        .and_then(|config| config.keys.iter().find(|known| *known.name == *key.name))
        .map(|key| &key.source);
    let Some(name) = source.and_then(credential_of) else { return false };
    match host.credentials.iter().find(|opened| opened.unit == SERVER && *opened.credential.name == *name) {
        Some(opened) => opened.opens.is_some() || !matches!(opened.file, Entry::There(_)),
        None => host.units.is_ok(),
    }
}

fn of_key(host: &Host, key: &Key, recorded: &[Recorded]) -> Vec<Finding> {
    let name = &*key.name;
    let by_name = recorded.iter().find(|known| known.name == name);
    let Ok(id) = &key.id else {
        let backed_up = by_name.map(|known| backup(host, name, known));
        return unusable(host, key).into_iter().chain(backed_up).collect();
    };
    let Some(known) = recorded.iter().find(|known| known.id == *id) else {
        return vec![match by_name {
            Some(other) => {
                let found = format!(
                    "it is {id}, and this host was set up with {}: what that one sealed does not open",
                    other.id
                );
                Finding::wrong(Check::Key, name, found, exchange(host, name, other))
            }
            None => Finding::warning(Check::Backup, name, "no backup of it was ever verified here", VERIFY),
        }];
    };
    let mut findings = vec![Finding::ok(Check::Key, name, format!("it is {id}, as recorded"))];
    findings.push(match &key.golden_blob {
        Some(Ok(())) => {
            Finding::ok(Check::GoldenBlob, name, "a blob that was sealed when this host was set up still opens")
        }
        Some(Err(error)) => {
            let hint = "try the backup: nightlatch credentials verify --backup FILE; and test the memory of this host";
            Finding::wrong(Check::GoldenBlob, name, error, hint)
        }
        None => Finding::not_looked_at(Check::GoldenBlob, name, &Unseen::because("nobody is asked for the passphrase")),
    });
    findings.push(backup(host, name, known));
    findings
}

/// How the key `known` takes the place of another one, which may have sealed disks and have no backup.
fn exchange(host: &Host, name: &str, known: &Recorded) -> String {
    let source =
        host.config().and_then(|config| config.keys.iter().find(|key| *key.name == *name)).map(|key| &key.source);
    let credential = source.and_then(credential_of).unwrap_or("nightlatch-key");
    let opened = host.credentials.iter().find(|opened| opened.unit == SERVER && *opened.credential.name == *credential);
    let (path, encrypted) = match (source, opened) {
        (Some(KeySource::File(path)), _) => (path.display().to_string(), false),
        (_, Some(Opened { credential, .. })) => (credential.path.clone(), credential.encrypted),
        _ => (format!("/etc/credstore.encrypted/{credential}"), true),
    };
    let put = if encrypted {
        format!("systemd-creds encrypt --name={credential} BACKUP {path}")
    } else {
        format!("cp BACKUP {path}, with owner and mode as before")
    };
    format!("with the backup of {}: {}{put}; then systemctl restart {SERVER}; {}", known.id, aside(&path), keep(&path))
}

/// The beginning of a command that puts something in the place of `path`. What an earlier one moved away stays as well.
fn aside(path: &str) -> String {
    format!("mv --backup=numbered {path} {path}.before && ")
}

/// What to do with what [`aside`] moved away.
fn keep(path: &str) -> String {
    format!("disks may be sealed under it: keep {path}.before")
}

/// When a backup was seen to be the key.
fn backup(host: &Host, name: &str, known: &Recorded) -> Finding {
    let Some(at) = known.verified_at else {
        return Finding::warning(Check::Backup, name, "no backup of it was ever verified", VERIFY);
    };
    if at > host.now {
        let found = format!("it was verified in the future, at {at}: the clock was wrong then, or is now");
        return Finding::warning(Check::Backup, name, found, format!("look at the clock, and {VERIFY}"));
    }
    let days = at.until(host.now).as_secs() / DAY.as_secs();
    let ago = if days == 1 { "1 day ago".to_owned() } else { format!("{days} days ago") };
    if days > BACKUP_DAYS {
        return Finding::warning(
            Check::Backup,
            name,
            format!("it was verified {ago}: look whether it is still there"),
            VERIFY,
        );
    }
    Finding::ok(Check::Backup, name, format!("it was verified {ago}"))
}

/// Whether there is a bot, or should be.
fn has_bot(host: &Host) -> bool {
    let runs = host.unit(BOT).is_some_and(|unit| unit.is_enabled() || unit.is_active());
    let telegram = |channel: &Channel| matches!(channel.people, People::Telegram { .. });
    runs || host.config().is_some_and(|config| config.channels.iter().any(telegram))
}

/// The file of a credential.
fn file(host: &Host, opened: &Opened) -> Finding {
    let about = &*opened.credential.name;
    let path = &opened.credential.path;
    let file = match &opened.file {
        Entry::There(file) => file,
        Entry::Unseen(unseen) => return Finding::not_looked_at(Check::Credential, about, unseen),
        Entry::Missing => {
            let found = format!("{path} is not there: {} cannot start", opened.unit);
            return Finding::wrong(Check::Credential, about, found, restore(host, opened));
        }
    };
    let File { mode, uid, kind, .. } = *file;
    if kind == Kind::Directory || (kind != Kind::File && opened.credential.encrypted) {
        return Finding::wrong(Check::Credential, about, format!("{path} is no file"), restore(host, opened));
    }
    // An encrypted one and a certificate may be read by anybody; a socket gives what is asked for to whoever connects.
    let public = opened.credential.encrypted || is_certificate(host, opened);
    let others = if public { mode & 0o022 } else { mode & 0o077 };
    if uid != 0 || others != 0 {
        let can = if uid == 0 && others & 0o022 == 0 { "read" } else { "exchange" };
        let found = format!("{path} belongs to user id {uid} and has mode {mode:04o}: others can {can} it");
        return Finding::warning(Check::Credential, about, found, format!("chown root: {path} && chmod go-rwx {path}"));
    }
    Finding::ok(Check::Credential, about, format!("{path}, of root, mode {mode:04o}"))
}

/// Whether it is the chain of certificates that nodes are shown.
fn is_certificate(host: &Host, opened: &Opened) -> bool {
    let Some(Tls::On(places)) = host.config().map(|config| &config.tls) else { return false };
    opened.unit == SERVER && matches!(&places.certificate, Place::Credential(name) if **name == *opened.credential.name)
}

/// Whether it opens under its name, and is a key if it should be one.
fn opens(host: &Host, opened: &Opened) -> Option<Finding> {
    let about = &*opened.credential.name;
    let wrong = |found: String| Finding::wrong(Check::CredentialOpens, about, found, restore(host, opened));
    let opens = if opened.credential.encrypted { "it opens under its name" } else { "it can be read" };
    Some(match opened.opens.as_ref()? {
        Err(unseen) => Finding::not_looked_at(Check::CredentialOpens, about, unseen),
        Ok(Err(complaint)) => wrong(format!("it does not open: {complaint}")),
        Ok(Ok(Contents { length: 0, .. })) => wrong("it opens, and is empty".into()),
        Ok(Ok(Contents { key: Some(id), .. })) => {
            Finding::ok(Check::CredentialOpens, about, format!("{opens}, and is the key {id}"))
        }
        Ok(Ok(Contents { length, key: None })) if is_key(host, about) => {
            wrong(format!("it opens, and is no key: it has {length} bytes, and a key has 32"))
        }
        Ok(Ok(_)) => Finding::ok(Check::CredentialOpens, about, opens),
    })
}

fn is_key(host: &Host, credential: &str) -> bool {
    host.config().is_some_and(|config| {
        config.keys.iter().any(|key| matches!(&key.source, KeySource::Credential(name) if **name == *credential))
    })
}

/// What to do about a credential that cannot be used.
fn restore(host: &Host, opened: &Opened) -> String {
    let (name, path) = (&opened.credential.name, &opened.credential.path);
    if path.ends_with(".sock") {
        return format!("systemctl enable --now {PASSPHRASE}; then systemctl restart {}", opened.unit);
    }
    let (aside, keep) = match opened.file {
        Entry::Missing => (String::new(), String::new()),
        _ if is_key(host, name) => (aside(path), format!("; {}", keep(path))),
        _ => (aside(path), String::new()),
    };
    if !opened.credential.encrypted {
        let first = aside.replace(" && ", "; then ");
        return format!("{first}put {path} there again; then systemctl restart {}{keep}", opened.unit);
    }
    if opened.unit != SERVER {
        return format!(
            "sh /usr/share/doc/nightlatch/credstore-examples/{name}.sh makes it anew; then systemctl restart {}",
            opened.unit
        );
    }
    if host.config().is_none() && opened.file == Entry::Missing {
        return "nightlatch credentials init makes it, or takes it from a backup: --restore BACKUP".to_owned();
    }
    format!(
        "with the backup of the key: {aside}systemd-creds encrypt --name={name} BACKUP {path}; then systemctl restart \
         {SERVER}{keep}"
    )
}

/// Credentials that the configuration names, and the unit does not hand over.
fn missing(config: &Config, server: &Unit, asked: Option<&str>) -> Vec<Finding> {
    let mut names: Vec<&str> = config.keys.iter().filter_map(|key| credential_of(&key.source)).collect();
    if let Tls::On(places) = &config.tls {
        let places = [Some(&places.certificate), Some(&places.key), places.key_passphrase.as_ref()];
        names.extend(places.into_iter().flatten().filter_map(|place| match place {
            Place::Credential(name) => Some(&**name),
            Place::File(_) => None,
        }));
    }
    names.retain(|name| !server.credentials.iter().any(|credential| credential.name == *name));
    let absent = |name: &str| {
        let found = format!("nightlatch.toml names it, and {SERVER} does not hand it over");
        if asked == Some(name) {
            let hint =
                format!("install nightlatch-passphrase.conf as a drop-in of {SERVER}: credstore-examples/README.md");
            return Finding::wrong(Check::Credential, name, found, hint);
        }
        let line = format!("LoadCredentialEncrypted={name}:/etc/credstore.encrypted/{name}");
        Finding::wrong(Check::Credential, name, found, format!("systemctl edit {SERVER}: [Service] {line}"))
    };
    names.into_iter().map(absent).collect()
}

fn credential_of(source: &KeySource) -> Option<&str> {
    match source {
        KeySource::Credential(name) => Some(name),
        KeySource::File(_) => None,
        KeySource::Passphrase(passphrase) => match &passphrase.origin {
            PassphraseOrigin::AskedBySystemd(name) | PassphraseOrigin::Credential(name) => Some(name),
            PassphraseOrigin::File(_) | PassphraseOrigin::Terminal => None,
        },
    }
}

/// Whether keys may reach the disk as swapped memory.
pub(super) fn swap(host: &Host) -> Option<Finding> {
    let server = host.unit(SERVER).filter(|unit| unit.is_loaded())?;
    Some(match &host.swaps {
        Err(unseen) => Finding::not_looked_at(Check::Swap, "", unseen),
        Ok(false) => Finding::ok(Check::Swap, "", "there is none that keys could reach"),
        Ok(true) if server.may_lock_memory() => {
            Finding::ok(Check::Swap, "", "there is some, and the server locks its memory")
        }
        Ok(true) => {
            let found = "there is some, and the server may not lock its memory: keys can be written to it";
            let hint = format!("systemctl edit {SERVER}: [Service] LimitMEMLOCK=infinity; or swapoff -a");
            Finding::warning(Check::Swap, "", found, hint)
        }
    })
}
