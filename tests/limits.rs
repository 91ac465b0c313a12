//! docs/limits.md says what the code does: each number there stands in the code, and each limit of what the network can
//! reach stands there.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Files all of whose limits have a row.
const ALL_OF: [&str; 12] = [
    "listen.rs",
    "listen/connection.rs",
    "listen/limits.rs",
    "listen/tls.rs",
    "listen/tls/bounded.rs",
    "metrics/http.rs",
    "certificate.rs",
    "certificate/key.rs",
    "key/passphrase.rs",
    "wire/talos.rs",
    "peer/admission.rs",
    "peer/rate_limit.rs",
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file of src/, or of the other package that the server is made of, without its tests.
fn source(path: &str) -> String {
    let text = read(&if path.starts_with("approval-api/") { path.to_owned() } else { format!("src/{path}") });
    text.split("#[cfg(test)]\nmod tests {").next().expect("a first part").to_owned()
}

/// What stands in the code behind `name`, which is a constant or `CONSTANT.field`.
fn expression<'a>(source: &'a str, name: &str) -> &'a str {
    let (constant, field) = name.split_once('.').map_or((name, None), |(constant, field)| (constant, Some(field)));
    let definition =
        source.split_once(&format!("const {constant}: ")).unwrap_or_else(|| panic!("no constant {name}")).1;
    let value = definition.split_once(" =").expect("a value").1;
    let value = value.split_once(';').expect("an end").0;
    let value = field.map_or(value, |field| {
        let behind = value.split_once(&format!("{field}: ")).unwrap_or_else(|| panic!("no field {name}")).1;
        behind.split([',', '}']).next().expect("a first part")
    });
    value.trim()
}

/// Milliseconds if it is a duration, and else the number.
fn evaluate(expression: &str) -> u64 {
    let inside = |name: &str| expression.strip_prefix(name).and_then(|rest| rest.strip_suffix(')'));
    if let Some(seconds) = inside("Duration::from_secs(") {
        return evaluate(seconds) * 1_000;
    }
    if let Some(millis) = inside("Duration::from_millis(") {
        return evaluate(millis);
    }
    let factors = expression.split('*').map(|factor| factor.trim().replace('_', ""));
    factors.map(|factor| factor.parse::<u64>().unwrap_or_else(|_| panic!("not understood: {expression}"))).product()
}

/// The same for a number with a unit, as people write it.
fn written(number: &str) -> u64 {
    let (number, unit) = number.split_once(' ').unwrap_or((number, ""));
    let factor = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        other => panic!("unknown unit {other}"),
    };
    number.parse::<u64>().unwrap_or_else(|_| panic!("no number: {number}")) * factor
}

struct Row {
    number: String,
    path: String,
    name: String,
}

fn rows() -> Vec<Row> {
    let page = read("docs/limits.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.ends_with("` |"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, number, _, _, place] = cells.as_slice() else { panic!("five columns: {line}") };
        let (path, name) = place.split_once(" `").unwrap_or_else(|| panic!("no place: {line}"));
        Row { number: (*number).to_owned(), path: path.to_owned(), name: name.trim_end_matches('`').to_owned() }
    })
    .collect()
}

#[test]
fn the_numbers_of_the_page_are_those_of_the_code() {
    let rows = rows();
    assert!(rows.len() > 40, "the page has {} rows", rows.len());
    for Row { number, path, name } in rows {
        let code = evaluate(expression(&source(&path), &name));
        assert_eq!(code, written(&number), "src/{path}: {name} is not what docs/limits.md says");
    }
}

#[test]
fn no_limit_is_left_out() {
    let listed: BTreeSet<(String, String)> = rows()
        .into_iter()
        .map(|row| (row.path, row.name.split('.').next().expect("a first part").to_owned()))
        .collect();
    for path in ALL_OF {
        let source = source(path);
        let constants = source.split("const ").skip(1).filter_map(|rest| rest.split_once(": "));
        for (name, rest) in constants {
            let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            let is_limit = ["usize", "u32", "Duration", "Most", "Self"].iter().any(|of| rest.starts_with(of));
            let is_left_out = is_name && is_limit && !listed.contains(&(path.to_owned(), name.to_owned()));
            assert!(!is_left_out, "docs/limits.md has no row for src/{path}: {name}");
        }
    }
}
