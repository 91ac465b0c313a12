//! Every crate that a manifest of this repository names is explained in deny.toml, and nothing else is.

#![expect(clippy::expect_used, reason = "a test that cannot be prepared has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

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
