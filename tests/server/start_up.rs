//! What stops the server from starting: each fault has its exit code, and a hint that says what to do.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::installation::{CP_1, Installation};

const NIGHTLATCH: &str = env!("CARGO_BIN_EXE_nightlatch");

/// Ends a server that starts although it should not.
const PATIENCE: Duration = Duration::from_secs(20);

fn run(program: &str, arguments: &[String]) -> Output {
    assert_cmd::Command::new(program).args(arguments).timeout(PATIENCE).output().expect("the program starts")
}

fn serve(installation: &Installation) -> Output {
    run(NIGHTLATCH, &installation.serve(installation.address()))
}

#[track_caller]
fn assert_refused(output: &Output, codes: &[i32]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code().is_some_and(|code| codes.contains(&code)),
        "{}, not {codes:?}:\n{text}",
        output.status
    );
    for mark in ["nightlatch: error: ", "nightlatch: hint: "] {
        assert!(text.lines().any(|line| line.starts_with(mark)), "no `{mark}` in:\n{text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("our file");
}

/// Says so past the test runner, which keeps to itself what a test that passes prints.
fn skipped(what: &str) {
    let _closed = writeln!(io::stderr(), "skipped: {what}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn nothing_wrong() {
    let installation = Installation::new();
    drop(installation.start());
}

#[test]
fn key_of_a_wrong_length() {
    let installation = Installation::new();
    let key = fs::read(installation.key()).expect("keygen made it");
    fs::write(installation.key(), &key[..key.len() / 2]).expect("our file");
    assert_refused(&serve(&installation), &[65]);
    fs::write(installation.key(), b"").expect("our file");
    assert_refused(&serve(&installation), &[65]);
}

/// A second key, which is the passphrase in the file that is given back.
fn add_passphrase(installation: &Installation) -> std::path::PathBuf {
    let path = installation.path().join("passphrase");
    let text = fs::read_to_string(installation.configuration()).expect("our file");
    // Of "h3kqt-0w8zn-5m2xr-vb7cy", as in tests/vectors/passphrase-good.txt.
    let passphrase = format!(
        r#", seals = true }}, {{ name = "typed", source = "passphrase", seals = false, file = "{}", memory = "32KiB",
            passes = 1, salt = "e0e1e2e3e4e5e6e7e8e9eaebecedeeef", key_id = "39b78640008e2e8d" }}]"#,
        path.display()
    );
    let text = text.replacen(" }]", &passphrase, 1);
    fs::write(installation.configuration(), text).expect("our file");
    path
}

#[test]
fn another_passphrase_than_the_one_with_the_key_id() {
    let installation = Installation::new();
    let path = add_passphrase(&installation);
    assert_refused(&serve(&installation), &[66]);
    for (written, code) in [
        ("h3kqt-0w8zn-5m2xr-vb7cz\n", 65),
        ("H3KQT-0W8ZN-5M2XR-VB7CY\n", 65),
        ("h3kqt-0w8zn-5m2xr-vb7cy\n\n", 65),
        ("", 65),
    ] {
        fs::write(&path, written).expect("our file");
        set_mode(&path, 0o600);
        assert_refused(&serve(&installation), &[code]);
    }
    fs::write(&path, "h3kqt-0w8zn-5m2xr-vb7cy\n").expect("our file");
    set_mode(&path, 0o640);
    assert_refused(&serve(&installation), &[77]);
    set_mode(&path, 0o600);
    drop(installation.start());
}

#[test]
fn key_that_was_never_filled() {
    let installation = Installation::new();
    fs::write(installation.key(), [0; 32]).expect("our file");
    assert_refused(&serve(&installation), &[65]);
}

#[test]
fn missing_key() {
    let installation = Installation::new();
    fs::remove_file(installation.key()).expect("keygen made it");
    assert_refused(&serve(&installation), &[66]);
}

#[test]
fn key_that_everybody_may_read() {
    let installation = Installation::new();
    set_mode(&installation.key(), 0o644);
    assert_refused(&serve(&installation), &[77]);
}

#[test]
fn key_that_the_server_may_not_read() {
    let installation = Installation::new();
    if !is_root() {
        set_mode(&installation.key(), 0o000);
        return assert_refused(&serve(&installation), &[77]);
    }
    // The program itself may lie where only root gets to.
    let program = installation.path().join("nightlatch");
    fs::copy(NIGHTLATCH, &program).expect("a copy");
    set_mode(installation.path(), 0o777);
    installation.key().parent().into_iter().for_each(|directory| set_mode(directory, 0o755));
    set_mode(&installation.configuration(), 0o644);
    let mut arguments = ["--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).to_vec();
    arguments.push(program.display().to_string());
    if !run("setpriv", &[arguments.as_slice(), &["--version".to_owned()]].concat()).status.success() {
        return skipped("key that the server may not read: root cannot become an ordinary user here");
    }
    arguments.extend(installation.serve(installation.address()));
    assert_refused(&run("setpriv", &arguments), &[77]);
}

#[test]
fn damaged_state() {
    let installation = Installation::new();
    let file = installation.state_file();
    let mut state = fs::read(&file).expect("init made it");
    let middle = state.len() / 2;
    state[middle] ^= 1;
    fs::write(&file, &state).expect("our file");
    assert_refused(&serve(&installation), &[65]);
    fs::write(&file, b"").expect("our file");
    assert_refused(&serve(&installation), &[65]);
}

/// A state that silently starts empty would lift every denial and block.
#[test]
fn missing_state() {
    let installation = Installation::new();
    fs::remove_file(installation.state_file()).expect("init made it");
    assert_refused(&serve(&installation), &[66]);
}

#[test]
fn state_of_another_installation() {
    let installation = Installation::new();
    let other = Installation::new();
    fs::copy(other.state_file(), installation.state_file()).expect("a copy");
    assert_refused(&serve(&installation), &[78]);
}

#[test]
fn second_server_on_the_same_state() {
    let installation = Installation::new();
    let _first = installation.start();
    // It shares nothing with the first but the state.
    let text = fs::read_to_string(installation.configuration()).expect("ours");
    fs::write(installation.configuration(), text.replace("cli.sock", "second.sock")).expect("our file");
    let elsewhere: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let second = run(NIGHTLATCH, &installation.serve(elsewhere));
    assert_refused(&second, &[75]);
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(
        text.contains("is in use by another process\n") && text.contains("stop the other nightlatch first"),
        "{text}"
    );
}

#[test]
fn second_server_is_told_before_it_wants_a_passphrase() {
    let installation = Installation::new();
    let _first = installation.start();
    assert!(!add_passphrase(&installation).exists(), "whoever looks for it finds none");
    let elsewhere: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    assert_refused(&run(NIGHTLATCH, &installation.serve(elsewhere)), &[75]);
}

#[test]
fn port_that_is_taken() {
    let installation = Installation::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = taken.local_addr().expect("bound");
    assert_refused(&run(NIGHTLATCH, &installation.serve(address)), &[69]);
}

/// No room for a single record: without records nothing may be released.
#[test]
fn full_disk() {
    const IN_A_NAMESPACE: &str = r#"
        cp -a "$1" "$1.copy"
        mount -t tmpfs -o size=4m,mode=0700 none "$1"
        cp -a "$1.copy/state"* "$1"
        head -c 8M /dev/zero >"$1/filler" 2>/dev/null || true
        shift
        exec "$@"
    "#;
    if !is_root() || !run("unshare", &["--mount", "true"].map(str::to_owned)).status.success() {
        return skipped("full disk: only root can mount a small one");
    }
    let installation = Installation::new();
    let state = installation.state_directory().display().to_string();
    let mut arguments = ["--mount", "sh", "-euc", IN_A_NAMESPACE, "sh", &state, NIGHTLATCH].map(str::to_owned).to_vec();
    arguments.extend(installation.serve(installation.address()));
    assert_refused(&run("unshare", &arguments), &[73, 74]);
}

/// A backup of the state, copied into its place by hand, would forget what was decided since.
#[test]
fn state_that_is_older_than_the_audit_log_tells() {
    let installation = Installation::new();
    drop(installation.start());
    let state = installation.state_directory().join("state");
    let backup = fs::read(&state).expect("init made it");
    let saved = "{\"seq\":900,\"time\":\"2026-11-23T07:40:08.123Z\",\"event\":\"state-saved\",\"generation\":9}\n";
    let log = installation.state_directory().join("audit.log");
    fs::write(&log, installation.audit_log() + saved).expect("our file");
    let mut server = installation.start();
    assert!(server.says("older state: locked"), "{}", server.said());
    // Nothing would be asked otherwise: its rule is `allow`, and this is no blob.
    let endpoint = format!("grpc://{}", installation.address());
    let unseal = ["unseal", "--endpoint", &endpoint, "--node", CP_1].map(str::to_owned);
    let node = assert_cmd::Command::new(NIGHTLATCH).args(unseal).write_stdin([1; 60]).timeout(PATIENCE).output();
    let node = node.expect("the program starts");
    let said = String::from_utf8_lossy(&node.stderr);
    assert!(node.status.code() == Some(77) && said.contains("locked"), "{said}");
    server.stop();
    let locked = fs::read_to_string(&state).expect("it is there");
    assert!(locked.contains("\"lock\":{\"by\":{\"kind\":\"older-state\"}"), "{locked}");
    assert!(locked.lines().next().is_some_and(|header| header.ends_with(" 10")), "{locked}");
    let told = installation.audit_log();
    let last = told.split("\"event\":\"started\"").last().expect("a start");
    assert!(last.contains("\"event\":\"locked\",\"reason\":\"older-state\""), "{last}");
    assert!(last.contains("\"event\":\"state-saved\",\"generation\":10"), "{last}");
    // It stays locked, and says so of itself but once.
    let mut server = installation.start();
    server.stop();
    assert!(!server.said().contains("older state"), "{}", server.said());
    assert_eq!(fs::read_to_string(&state).expect("it is there"), locked);
    // Once more, in the place of the locked one.
    fs::write(&state, backup).expect("our file");
    let server = installation.start();
    assert!(server.says("older state: locked"), "{}", server.said());
}
