//! Every crate that a manifest of this repository names is explained in deny.toml, and nothing else is; and what the two
//! programs must not be built from.

#![expect(clippy::expect_used, reason = "a test that cannot be prepared has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use toml::{Table, Value};

#[test]
fn every_direct_dependency_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = manifest(&root.join("Cargo.toml"));
    let named: BTreeSet<String> = packages(&workspace)
        .map(|package| root.join(package).join("Cargo.toml"))
        .filter(|path| path.exists())
        .flat_map(|path| dependencies(&manifest(&path)))
        .chain(foreign(workspace["workspace"].get("dependencies")))
        .collect();
    assert!(named.contains("tonic"), "no dependencies found: {named:?}");

    let deny = fs::read_to_string(root.join("deny.toml")).expect("deny.toml");
    let lines: Vec<_> = deny.lines().filter_map(|line| line.strip_prefix("# - ")?.split_once(": ")).collect();
    let explained: BTreeSet<String> = lines.iter().map(|(name, _)| (*name).to_owned()).collect();

    assert_eq!(named.difference(&explained).collect::<Vec<_>>(), [""; 0], "without a reason in deny.toml");
    assert_eq!(explained.difference(&named).collect::<Vec<_>>(), [""; 0], "in deny.toml, and not used any more");
    assert!(lines.iter().all(|(_, reason)| !reason.trim().is_empty()), "a reason is empty");
    assert!(lines.is_sorted_by(|(one, _), (next, _)| one < next), "not in order, or twice");
}

fn manifest(path: &Path) -> Table {
    fs::read_to_string(path).expect("a manifest").parse().expect("valid TOML")
}

/// The folders of all packages: those of the workspace, and those it excludes, such as the fuzz targets.
fn packages(workspace: &Table) -> impl Iterator<Item = &str> {
    let listed = |key| workspace["workspace"].get(key).and_then(Value::as_array).into_iter().flatten();
    ["."].into_iter().chain(listed("members").chain(listed("exclude")).filter_map(Value::as_str))
}

fn dependencies(manifest: &Table) -> BTreeSet<String> {
    const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets =
        manifest.get("target").and_then(Value::as_table).into_iter().flatten().map(|(_, target)| target.get(KINDS[0]));
    KINDS.iter().map(|kind| manifest.get(*kind)).chain(targets).flat_map(foreign).collect()
}

/// The names in one table of dependencies, without the packages of this repository.
fn foreign(dependencies: Option<&Value>) -> impl Iterator<Item = String> {
    let entries = dependencies.and_then(Value::as_table).into_iter().flatten();
    entries.filter(|(_, source)| source.get("path").is_none()).map(|(name, _)| name.clone())
}

/// One source of cryptography for TLS, in both programs.
const NOWHERE: [&str; 4] = ["ring", "openssl", "openssl-sys", "native-tls"];

#[test]
fn the_server_has_nothing_that_speaks_to_telegram() {
    let server = tree("nightlatch");
    assert!(server.contains("tonic") && server.contains("aws-lc-rs"), "no tree: {server:?}");
    let foreign = ["teloxide", "teloxide-core", "reqwest", "hyper-tls", "nightlatch-bot"];
    let found: Vec<_> = foreign.iter().chain(&NOWHERE).filter(|name| server.contains(**name)).collect();
    assert_eq!(found, [&""; 0]);
}

#[test]
fn the_bot_has_nothing_of_the_server() {
    let bot = tree("nightlatch-bot");
    assert!(bot.contains("teloxide-core") && bot.contains("aws-lc-rs"), "no tree: {bot:?}");
    let foreign = ["nightlatch", "argon2", "chacha20poly1305", "hkdf"];
    let found: Vec<_> = foreign.iter().chain(&NOWHERE).filter(|name| bot.contains(**name)).collect();
    assert_eq!(found, [&""; 0]);
}

/// The names of everything that the package is built from: what it and its dependencies need to be built and to run, but
/// not what its tests do. Cargo's own tree, since Cargo.lock and `cargo metadata` also have what no feature turns on.
fn tree(package: &str) -> BTreeSet<String> {
    let told = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges=normal,build", "--prefix=none", "--format={p}", "-p", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let lines = String::from_utf8(told.stdout).expect("text");
    // The first line is the package itself.
    lines.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}
