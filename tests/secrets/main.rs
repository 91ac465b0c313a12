//! Nothing that nightlatch says or keeps has a key, a secret of a node, or a sealed blob in it: neither on a terminal,
//! nor in its log at the highest level, nor in the audit log, the state and the configuration.
//!
//! Only what is asked for comes out: the answer on the standard output of seal, unseal and recover.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking, and its modules are the crate's own"
)]

mod certificate;
mod search;
mod trial;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use search::Search;
use trial::{CP_1, Said, Trial, WORKER_2};

#[test]
fn nothing_secret_is_said_or_kept() {
    let mut trial = Trial::new();
    let secret = trial::random(32);
    trial.start();

    // A new disk: nobody approved it yet, then somebody does.
    let sealed = trial.approve(&["seal", "--wait", "60s"], CP_1, &secret);
    assert!(sealed.succeeded(), "{}", sealed.stderr());
    let blob = sealed.stdout.clone();
    let opened = trial.call(&["unseal"], CP_1, &blob);
    assert!(opened.stdout == secret, "the blob gives something else: {}", opened.stderr());
    let opened = trial.call(&["unseal", "--base64"], CP_1, STANDARD.encode(&blob).as_bytes());
    assert!(opened.stdout == format!("{}\n", STANDARD.encode(&secret)).as_bytes(), "{}", opened.stderr());

    beyond_one_ask(&mut trial, &secret, &blob);
    let inputs = failing_calls(&mut trial, &secret, &blob);
    trial.recover(&secret, &blob);
    trial.look();
    trial.stop();
    let typed = under_a_passphrase(&mut trial);

    let mut search = Search::default();
    for key in ["trial/nightlatch.key", "keys/second", "keys/passphrase"] {
        search.add(key, &trial.read(key));
    }
    search.add("secret", &secret);
    search.add("private key of TLS", &trial.certificate.scalar);
    search.add("file of the private key", &STANDARD.decode(pem_body(&trial.certificate.key)).expect("base64")[64..]);
    search.add("passphrase of the private key", &trial.certificate.passphrase);
    // What stands before is the header: magic, version and key id are in every log.
    search.add("blob", &blob[18..]);
    search.add("secret under a passphrase", &typed[0]);
    // What stands before is the header, with salt and parameters.
    search.add("blob under a passphrase", &typed[1][40..]);
    for (number, input) in inputs.iter().enumerate() {
        search.add(&format!("bad input {number}"), input);
    }
    let said = trial.everything();
    for (name, part) in [
        ("server.stderr", "TRACE"),
        ("server.stderr", "decided upon suite"),
        ("server-2.stderr", "TRACE"),
        ("watch.stdout", "cp-1"),
        ("watch--json.stdout", "release"),
        ("trial/state/audit.log", "released"),
        ("trial/nightlatch.toml", CP_1),
    ] {
        let text = said.iter().find(|(said, _)| said == name).map(|(_, text)| String::from_utf8_lossy(text));
        assert!(text.is_some_and(|text| text.contains(part)), "{name} is not what it should be");
    }
    assert!(said.len() > 80, "{} texts: most of it is missing", said.len());
    let found: Vec<String> = said
        .iter()
        .flat_map(|(name, text)| search.find(text).into_iter().map(move |what| format!("{name}: {what}")))
        .collect();
    assert!(found.is_empty(), "\n  {}\n", found.join("\n  "));
}

/// What stands between the first and the last line.
fn pem_body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

/// Approved ahead, locked, and unlocked, which reads the key anew; another list of nodes; and a copy of the state.
fn beyond_one_ask(trial: &mut Trial, secret: &[u8], blob: &[u8]) {
    trial.does(&["revoke", "cp-1"]);
    trial.does(&["grant", "cp-1", "--for", "10m", "--uses", "1"]);
    let opened = trial.call(&["unseal"], CP_1, blob);
    assert!(opened.stdout == secret, "the blob gives something else: {}", opened.stderr());
    trial.does(&["lock", "--json"]);
    trial.does(&["status"]);
    let locked = trial.call(&["unseal"], CP_1, blob);
    assert!(locked.code() == Some(77) && locked.stderr().contains("locked"), "{}", locked.stderr());
    trial.does(&["unlock"]);
    trial.does(&["grant", "cp-1", "--json"]);
    let opened = trial.call(&["unseal"], CP_1, blob);
    assert!(opened.stdout == secret, "the key is back: {}", opened.stderr());
    let state = trial.path("state of the trial");
    for arguments in [
        &["revoke", "--all", "--json"][..],
        &["nodes", "add", "7a1c2d3e-1111-4222-8333-5f6071829304", "--name", "cp-4"],
        &["nodes"],
        &["nodes", "forget", "cp-4"],
        &["state", "export", &state],
    ] {
        trial.does(arguments);
    }
}

/// The same with a passphrase. Gives the secret and the blob.
fn under_a_passphrase(trial: &mut Trial) -> [Vec<u8>; 2] {
    let secret = trial::random(32);
    trial.seal_under_a_passphrase();
    trial.start();
    let sealed = trial.approve(&["seal", "--wait", "60s"], CP_1, &secret);
    assert!(sealed.succeeded(), "{}", sealed.stderr());
    let blob = sealed.stdout.clone();
    assert_eq!(blob[8], 2, "sealed under the passphrase");
    let opened = trial.call(&["unseal"], CP_1, &blob);
    assert!(opened.stdout == secret, "the blob gives something else: {}", opened.stderr());
    // With another salt, and for another node.
    let mut salted = blob.clone();
    salted[24] ^= 1;
    assert_eq!(trial.approve(&["unseal", "--wait", "60s"], CP_1, &salted).code(), Some(65));
    // It was denied before.
    trial.approvals(&["unblock", "worker-2"]);
    assert_eq!(trial.approve(&["unseal", "--wait", "60s"], WORKER_2, &blob).code(), Some(65));
    trial.look();
    trial.recover_from_the_passphrase(&secret, &blob);
    trial.stop();
    [secret, blob]
}

/// Calls that get nothing, each with data of its own that must not be repeated. Gives that data.
fn failing_calls(trial: &mut Trial, secret: &[u8], blob: &[u8]) -> Vec<Vec<u8>> {
    let refused = |said: &Said, codes: &[i32]| {
        assert!(
            said.code().is_some_and(|code| codes.contains(&code)),
            "{}: {:?} {}",
            said.name,
            said.code(),
            said.stderr()
        );
        assert!(said.stdout.is_empty(), "{} answered", said.name);
    };
    let mut flipped = blob.to_vec();
    flipped[100] ^= 1;
    let foreign = trial::random(60);
    let too_long = trial::random(600);
    refused(&trial.approve(&["unseal", "--wait", "60s"], CP_1, &flipped), &[65]);
    refused(&trial.call(&["unseal"], CP_1, &foreign), &[65]);
    refused(&trial.call(&["unseal"], CP_1, &too_long), &[65]);
    refused(&trial.call(&["seal"], CP_1, &too_long), &[65]);
    refused(&trial.call(&["seal", "--base64"], CP_1, &[secret, b"!"].concat()), &[65]);
    refused(&trial.call(&["unseal"], "00000000-1111-4222-8333-444444444444", blob), &[77]);
    // Talos shows the node's claim; a secret in its place is no claim.
    refused(&trial.call(&["unseal"], "a b", &foreign), &[65]);

    // Another node's blob, which a person approves, and one that a person denies.
    refused(&trial.approve(&["unseal", "--wait", "60s"], WORKER_2, blob), &[65]);
    let foreign_again = trial.call(&["unseal"], WORKER_2, &foreign);
    refused(&foreign_again, &[65]);
    trial.approvals(&["block", "worker-2"]);
    refused(&trial.call(&["unseal"], WORKER_2, blob), &[77]);
    trial.approvals(&["unblock", "worker-2"]);
    refused(&trial.answer("deny", &["unseal", "--wait", "60s"], WORKER_2, blob), &[77]);
    refused(&trial.call(&["unseal"], WORKER_2, blob), &[77]);
    vec![foreign, too_long]
}
