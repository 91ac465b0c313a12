use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::certificate::expiry::DAY;
use crate::certificate::tests::{Authorities, GOOD, NOW, secret, server_name};
use crate::listen::tls::tests::served;

const NAME: &str = "kms.example.net";

struct Host {
    directory: tempfile::TempDir,
    authorities: Authorities,
}

impl Host {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), authorities: Authorities::new((-10, 1000)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// As what renews a certificate does it.
    fn write(&self, (chain, key): &(String, String)) {
        fs::write(self.path("chain.pem"), chain).expect("written");
        fs::write(self.path("key.pem"), key).expect("written");
        fs::set_permissions(self.path("key.pem"), fs::Permissions::from_mode(0o640)).expect("set");
    }

    fn places(&self, names: &[&str]) -> config::Certificate {
        config::Certificate {
            certificate: Place::File(self.path("chain.pem")),
            key: Place::File(self.path("key.pem")),
            key_passphrase: None,
            names: names.iter().map(|name| server_name(name)).collect(),
        }
    }

    fn open(&self) -> Certificate {
        Certificate::open(&self.places(&[NAME]), NOW).expect("usable")
    }
}

impl Certificate {
    pub(in crate::daemon) fn for_test() -> Self {
        let host = Host::new();
        host.write(&host.authorities.files(&[NAME], GOOD));
        host.open()
    }

    /// Returns when somebody wants it to be looked at, once for all that did since the last time.
    pub(in crate::daemon) async fn is_wanted(&self) {
        self.wanted.notified().await;
    }
}

#[track_caller]
fn assert_kept(look: &Look, part: &str, news: bool) {
    let Look::Kept { error, is_news } = look else { panic!("{look:?}") };
    let reason = reason(error);
    assert!(reason.contains(part), "`{part}` is not in `{reason}`");
    assert_eq!(*is_news, news, "{reason}");
    assert!(!error.hint().is_empty());
}

#[tokio::test]
async fn new_files_replace_the_certificate() {
    let host = Host::new();
    host.write(&host.authorities.files(&[NAME], GOOD));
    let certificate = host.open();
    let served = async || served(certificate.encryption(), host.authorities.roots(), NAME).await;
    let before = served().await;
    assert!(matches!(certificate.look(NOW), Look::Same));
    assert_eq!(served().await, before);
    host.write(&host.authorities.files(&[NAME], (-1, 89)));
    assert!(matches!(certificate.look(NOW), Look::Replaced));
    assert_ne!(served().await, before, "the next node gets the new one");
    assert_eq!(days_left(certificate.serving.lock().expect("no panic").pair.not_after(), NOW), 89);
    assert!(matches!(certificate.look(NOW), Look::Same));
}

#[test]
fn a_bad_pair_keeps_the_old_one_and_is_told_once() {
    let host = Host::new();
    let good = host.authorities.files(&[NAME], GOOD);
    host.write(&good);
    let certificate = host.open();
    let (other, _) = host.authorities.files(&[NAME], GOOD);
    host.write(&(other, good.1.clone()));
    assert_kept(&certificate.look(NOW), "does not belong to the certificate", true);
    assert_kept(&certificate.look(NOW), "does not belong to the certificate", false);
    let (another, _) = host.authorities.files(&[NAME], GOOD);
    host.write(&(another, good.1.clone()));
    assert_kept(&certificate.look(NOW), "does not belong to the certificate", true);
    fs::remove_file(host.path("key.pem")).expect("removed");
    assert_kept(&certificate.look(NOW), "there is no file", true);
    assert_kept(&certificate.look(NOW), "there is no file", false);
    host.write(&good);
    fs::set_permissions(host.path("key.pem"), fs::Permissions::from_mode(0o644)).expect("set");
    assert_kept(&certificate.look(NOW), "is open to others", true);
    host.write(&good);
    assert!(matches!(certificate.look(NOW), Look::Same));
    assert_eq!(certificate.serving.lock().expect("no panic").refused, None);
}

#[test]
fn a_pair_that_nodes_refuse_keeps_one_that_they_accept() {
    let host = Host::new();
    host.write(&host.authorities.files(&[NAME], GOOD));
    let certificate = host.open();
    host.write(&host.authorities.files(&[NAME], (-90, -1)));
    assert_kept(&certificate.look(NOW), "it has expired", true);
    host.write(&host.authorities.files(&["kms.example.org"], GOOD));
    assert_kept(&certificate.look(NOW), "it is not for kms.example.net", true);
    host.write(&host.authorities.files(&[NAME], (1, 90)));
    assert_kept(&certificate.look(NOW), "it is not valid yet", true);
    assert_kept(&certificate.look(NOW), "it is not valid yet", false);
    assert!(matches!(certificate.look(NOW.after(2 * DAY)), Look::Replaced), "its day has come");
}

/// Whoever has said names that the certificate never had must not run into its end for that.
#[test]
fn a_defect_that_is_there_already_is_no_reason_to_keep_the_old_one() {
    let host = Host::new();
    host.write(&host.authorities.files(&[NAME], (-90, 1)));
    let certificate = Certificate::open(&host.places(&[NAME, "kms.example.org"]), NOW).expect("usable");
    host.write(&host.authorities.files(&[NAME], GOOD));
    assert!(matches!(certificate.look(NOW), Look::Replaced));
}

/// Some names are more than none: no node accepts the one in use.
#[test]
fn one_that_some_nodes_accept_replaces_one_that_has_expired() {
    let host = Host::new();
    host.write(&host.authorities.files(&[NAME, "kms.example.org"], (-90, 1)));
    let certificate = Certificate::open(&host.places(&[NAME, "kms.example.org"]), NOW).expect("usable");
    host.write(&host.authorities.files(&[NAME], GOOD));
    assert_kept(&certificate.look(NOW), "it is not for kms.example.org", true);
    assert!(matches!(certificate.look(NOW.after(2 * DAY)), Look::Replaced));
}

#[test]
fn a_server_starts_with_a_certificate_that_has_expired_and_takes_the_next() {
    let host = Host::new();
    host.write(&host.authorities.files(&[NAME], (-90, -1)));
    let certificate = host.open();
    host.write(&host.authorities.files(&[NAME], GOOD));
    assert!(matches!(certificate.look(NOW), Look::Replaced));
}

#[test]
fn the_end_is_told_once_and_anew_for_a_new_certificate() {
    let host = Host::new();
    host.write(&host.authorities.files(&[NAME], (-80, 5)));
    let certificate = host.open();
    let told = || certificate.serving.lock().expect("no panic").told;
    certificate.tell_end(NOW);
    assert_eq!(told(), Some(Stage::Week));
    host.write(&host.authorities.files(&[NAME], (-1, 30)));
    assert!(matches!(certificate.look(NOW), Look::Replaced));
    certificate.tell_end(NOW);
    assert_eq!(told(), None);
    certificate.tell_end(NOW.after(10 * DAY));
    assert_eq!(told(), Some(Stage::ThreeWeeks));
}

#[test]
fn what_is_missing_at_the_start_is_named() {
    let host = Host::new();
    let error = Certificate::open(&host.places(&[NAME]), NOW).expect_err("there is nothing");
    assert!(
        reason(&error).starts_with("cannot read the certificate of [tls]: there is no file "),
        "{}",
        reason(&error)
    );
    host.write(&host.authorities.files(&[NAME], GOOD));
    let mut places = host.places(&[NAME]);
    places.key_passphrase = Some(Place::Credential("tls-passphrase".into()));
    let error = Certificate::open(&places, NOW).expect_err("there is no such credential");
    assert!(reason(&error).contains("passphrase of the key"), "{}", reason(&error));
    assert!(error.hint().contains("LoadCredential=tls-passphrase:"), "{}", error.hint());
}

#[test]
fn contents_are_told_apart_by_every_part_of_them() {
    let contents = |certificate, key, passphrase: Option<&str>| Contents {
        certificate: secret(certificate),
        key: secret(key),
        passphrase: passphrase.map(secret),
    };
    let digests: BTreeSet<_> = [
        contents("ab", "c", None),
        contents("a", "bc", None),
        contents("a", "b", Some("c")),
        contents("a", "b", Some("d")),
        contents("a", "b", None),
    ]
    .iter()
    .map(Contents::digest)
    .collect();
    assert_eq!(digests.len(), 5);
}

struct Still;

impl Clock for Still {
    fn now(&self) -> crate::clock::Now {
        crate::clock::Now { moment: crate::clock::Moment::default(), wall: NOW }
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_each_minute_and_when_somebody_asks() {
    let host = Host::new();
    host.write(&host.authorities.files(&[NAME], GOOD));
    let certificate = Arc::new(host.open());
    let days = || days_left(certificate.serving.lock().expect("no panic").pair.not_after(), NOW);
    let watching = tokio::spawn(Arc::clone(&certificate).watch(Arc::new(Still)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    host.write(&host.authorities.files(&[NAME], (-1, 89)));
    tokio::time::sleep(LOOK_EVERY / 2).await;
    assert_eq!(days(), 80, "not yet");
    tokio::time::sleep(LOOK_EVERY).await;
    assert_eq!(days(), 89);
    host.write(&host.authorities.files(&[NAME], (-1, 90)));
    certificate.reload();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(days(), 90);
    watching.abort();
}
