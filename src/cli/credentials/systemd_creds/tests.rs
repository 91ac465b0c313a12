use std::fs;

use tempfile::TempDir;

use super::*;

pub(in crate::cli::credentials) const LONG: Duration = Duration::from_secs(60);

/// A program in the place of systemd-creds, which does what `script` says in the directory that is given with it.
pub(in crate::cli::credentials) fn fake(script: &str, limit: Duration) -> (TempDir, SystemdCreds) {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("fake");
    // Written by another process: the child of another test could have it open for writing, and it would be busy.
    let made = Command::new("/bin/sh")
        .args(["-c", "printf '#!/bin/sh\\ncd \"%s\" || exit\\n%s\\n' \"$1\" \"$2\" >\"$3\" && chmod 700 \"$3\"", "sh"])
        .args([directory.path(), Path::new(script), &program])
        .status();
    assert!(made.expect("there is a shell").success());
    (directory, SystemdCreds::for_test(&program, limit))
}

/// The real one, with a host key of its own.
pub(in crate::cli::credentials) fn real() -> Option<(TempDir, SystemdCreds)> {
    if !Path::new(PROGRAM).exists() {
        println!("skipped: there is no {PROGRAM}");
        return None;
    }
    let with_own_key = "SYSTEMD_CREDENTIAL_SECRET=$PWD/host/secret; export SYSTEMD_CREDENTIAL_SECRET
        [ -e host ] || { mkdir -m 0700 host && /usr/bin/systemd-creds setup || exit; }
        exec /usr/bin/systemd-creds \"$@\"";
    Some(fake(with_own_key, LONG))
}

#[test]
fn what_it_encrypts_it_decrypts_under_the_same_name() {
    let Some((directory, real)) = real() else { return };
    for secret in [&[0xA5; 32][..], b"a passphrase\n", &[7; MAX_SECRET_LEN]] {
        let encrypted = real.encrypt("nightlatch-key", WithKey::Host, secret).expect("encrypted");
        let path = directory.path().join("credential");
        fs::write(&path, &encrypted.text).expect("written");
        let decrypted = real.decrypt("nightlatch-key", &path).expect("decrypted");
        assert!(decrypted.expose() == secret, "another secret came out");
        let other_name = real.decrypt("other", &path);
        assert!(matches!(other_name, Err(Error::Failed { .. })), "{other_name:?}");
        let mut damaged = encrypted.text;
        damaged[60] ^= 1;
        fs::write(&path, &damaged).expect("written");
        let damaged = real.decrypt("nightlatch-key", &path);
        assert!(matches!(damaged, Err(Error::Failed { .. })), "{damaged:?}");
    }
}

#[test]
fn the_secret_is_on_standard_input_and_nowhere_else() {
    let (directory, fake) = fake("echo \"$@\" >arguments; env >environment; cat >input; echo out", LONG);
    let encrypted = fake.encrypt("nightlatch-key", WithKey::HostAndTpm2, b"tell nobody").expect("it ends well");
    assert_eq!(encrypted.text, b"out\n");
    let [arguments, environment, input] = ["arguments", "environment", "input"]
        .map(|name| fs::read_to_string(directory.path().join(name)).expect("read"));
    assert_eq!(arguments, "encrypt --with-key=host+tpm2 --name=nightlatch-key - -\n");
    assert_eq!(input, "tell nobody");
    assert!(!environment.contains("tell nobody"));
}

#[test]
fn a_failure_is_told_in_one_line_and_harmless() {
    let (_directory, fake) = fake("printf 'no\\033[2J TPM2\\n\\nhere\\n' >&2; exit 3", LONG);
    let error = fake.encrypt("nightlatch-key", WithKey::Tpm2, &[7; 32]).expect_err("it failed");
    assert_eq!(error.to_string(), "systemd-creds failed (exit status: 3): no[2J TPM2; here");
    assert!(!error.hint().is_empty());
}

#[test]
fn one_that_does_not_listen_is_no_reason_to_end() {
    let (_directory, fake) = fake("exec <&-; echo 'I take nothing' >&2; exit 1", LONG);
    let error = fake.encrypt("nightlatch-key", WithKey::Auto, &[7; MAX_SECRET_LEN]).expect_err("it failed");
    assert!(error.to_string().ends_with("I take nothing"), "{error}");
}

#[test]
fn one_that_says_a_lot_is_not_waited_for_for_ever() {
    let (_directory, fake) = fake("head -c 1000000 /dev/zero >&2; echo out", LONG);
    assert_eq!(fake.encrypt("nightlatch-key", WithKey::Auto, &[7; 32]).expect("it ends well").text, b"out\n");
}

#[test]
fn one_that_hangs_is_killed() {
    let (directory, fake) = fake("echo $$ >number; sleep 10; echo >survived", Duration::from_secs(2));
    let error = fake.encrypt("nightlatch-key", WithKey::Auto, &[7; 32]).expect_err("it hangs");
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    // On a host that is very busy it was killed before it began.
    let Ok(number) = fs::read_to_string(directory.path().join("number")) else { return };
    let number = Pid::from_raw(number.trim().parse().expect("a number")).expect("not 0");
    // Until the thread that waits for it has done so, it is there as a zombie.
    let state = || fs::read_to_string(format!("/proc/{number}/stat", number = number.as_raw_nonzero()));
    while state().is_ok_and(|state| !state.contains(") Z ")) {
        thread::yield_now();
    }
    assert!(!directory.path().join("survived").exists(), "it went on to its end");
}

#[test]
fn what_cannot_be_a_credential_is_none() {
    let (_directory, silent) = fake("cat >/dev/null", LONG);
    assert!(matches!(silent.encrypt("nightlatch-key", WithKey::Auto, &[7; 32]), Err(Error::Length(0))));
    let (_directory, endless) = fake("exec cat /dev/zero", LONG);
    let error = endless.decrypt("nightlatch-key", Path::new("/dev/null")).expect_err("too long");
    // It is ended by the pipe that nobody reads any more.
    assert!(matches!(error, Error::Failed { .. } | Error::Length(_)), "{error}");
    let too_long = endless.encrypt("nightlatch-key", WithKey::Auto, &[7; MAX_SECRET_LEN + 1]);
    assert!(matches!(too_long, Err(Error::Length(_))));
}

#[test]
fn a_host_without_it_is_told_what_to_do() {
    let error = SystemdCreds::for_test(Path::new("/nonexistent"), LONG).decrypt("x", Path::new("y")).expect_err("none");
    assert!(matches!(error, Error::NotInstalled(_)));
    assert!(error.hint().contains("--directory"));
}
