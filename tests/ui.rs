//! A skipped check does not compile: each file of tests/ui/ fails where it says `//~` and an error's code, and compiles
//! without what is marked `#[cfg(skipped)]`.
//!
//! Only codes are compared. The texts of errors change with every compiler.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot be prepared has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn skipped_checks_do_not_compile() {
    let libraries = libraries();
    let cases = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")).expect("the cases");
    let mut cases: Vec<PathBuf> = cases.map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    let mut wrong = vec![];
    for case in &cases {
        let name = case.file_name().expect("a name").to_string_lossy();
        let text = fs::read_to_string(case).expect("text");
        let marked =
            (1..).zip(text.lines()).filter_map(|(line, text)| Some((line, text.split_once("//~ ")?.1.to_owned())));
        let expected: BTreeSet<(u64, String)> = marked.collect();
        assert!(!expected.is_empty(), "{name} says nowhere where it fails");
        let skipped = errors(&libraries, case, &["--cfg", "skipped"]);
        if skipped != expected {
            wrong.push(format!("{name} fails with {skipped:?}, not {expected:?}"));
        }
        let checked = errors(&libraries, case, &[]);
        if !checked.is_empty() {
            wrong.push(format!("{name} does not compile with the check either: {checked:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
    assert!(cases.len() >= 14, "cases are missing: {cases:?}");
}

/// The libraries that this test was built with, as the compiler is told of them. Cargo has nothing to build, and says
/// where they are.
fn libraries() -> Vec<String> {
    let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let output = Command::new(env!("CARGO"))
        .args(["test", "--no-run", "--offline", "--message-format=json", "--test", "ui"])
        .args(profile)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built: Vec<Value> =
        messages(&output.stdout).filter(|message| message["reason"] == "compiler-artifact").collect();
    let library = |name: &str| {
        // Of two of that name the later one is ours: what build scripts use is built before.
        let files = built.iter().rev().filter(|message| message["target"]["name"] == name);
        let mut files = files.filter_map(|message| message["filenames"].as_array()).flatten().filter_map(Value::as_str);
        let file = files.find(|file| file.ends_with(".rlib")).expect("cargo names every library");
        let directory = Path::new(file).parent().expect("a directory").display();
        [format!("--extern={name}={file}"), format!("-Ldependency={directory}")]
    };
    ["nightlatch", "serde"].iter().flat_map(|name| library(name)).collect()
}

/// The lines of all errors of one case, with their codes.
fn errors(libraries: &[String], case: &Path, more: &[&str]) -> BTreeSet<(u64, String)> {
    let output = Command::new(Path::new(env!("CARGO")).with_file_name("rustc"))
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--error-format=json", "--cap-lints=allow"])
        .args(["--check-cfg=cfg(skipped)", "--out-dir", env!("CARGO_TARGET_TMPDIR")])
        .args(libraries)
        .args(more)
        .arg(case)
        .output()
        .expect("the compiler starts");
    let errors: BTreeSet<(u64, String)> = messages(&output.stderr)
        // The last message has no place: it counts the others.
        .filter(|message| message["level"] == "error" && message["spans"] != Value::Array(vec![]))
        .map(|message| {
            let spans = message["spans"].as_array().into_iter().flatten();
            let line = spans.filter(|span| span["is_primary"] == true).find_map(|span| span["line_start"].as_u64());
            (line.unwrap_or_default(), message["code"]["code"].as_str().unwrap_or("no code").to_owned())
        })
        .collect();
    assert_eq!(output.status.success(), errors.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    errors
}

fn messages(output: &[u8]) -> impl Iterator<Item = Value> {
    output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}
