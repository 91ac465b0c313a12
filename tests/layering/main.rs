//! ARCHITECTURE.md, "Allowed dependency direction", as code: which module of src/ may use which, and what stands in one
//! place only. A new edge is a line in a diff here, so that somebody looks at it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking, and its modules are the crate's own"
)]

mod bot;
mod source;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use source::Source;

/// What one module may use.
struct Row {
    module: &'static str,
    /// As the table of ARCHITECTURE.md says.
    uses: &'static [&'static str],
    /// What it uses beyond that, and why.
    beyond: &'static [(&'static str, &'static str)],
}

/// The crate that server and channels share.
const API: &str = "nightlatch_approval_api";

const TABLE: &[Row] = &[
    Row { module: "secret", uses: &[], beyond: &[] },
    Row { module: "clock", uses: &[], beyond: &[] },
    Row { module: "metrics", uses: &[], beyond: &[] },
    Row { module: "request", uses: &["secret"], beyond: &[] },
    Row { module: "credential", uses: &["secret"], beyond: &[] },
    Row { module: "config", uses: &["request", "peer"], beyond: &[] },
    Row { module: "peer", uses: &["clock", "request"], beyond: &[] },
    Row { module: "certificate", uses: &["clock", "secret"], beyond: &[] },
    Row { module: "listen", uses: &["peer", "certificate"], beyond: &[] },
    Row { module: "approval", uses: &["clock", "peer", "request", API], beyond: &[] },
    Row { module: "audit", uses: &["clock", "peer", "request"], beyond: &[] },
    Row {
        module: "state",
        uses: &["clock", "peer", "request"],
        beyond: &[("key", "the key record names keys by their ids")],
    },
    Row {
        module: "key",
        uses: &["approval", "request", "secret"],
        beyond: &[("peer", "the KEKs of a call are those of the identifiers that peer::Node lists")],
    },
    Row { module: "seal", uses: &["approval", "key", "request", "secret"], beyond: &[] },
    Row {
        module: "pipeline",
        uses: &["approval", "audit", "key", "metrics", "peer", "request", "seal"],
        beyond: &[("clock", "admission and the record of a release are told the time")],
    },
    Row {
        module: "wire",
        uses: &["peer", "pipeline", "request", "seal"],
        beyond: &[
            ("approval", "wire::status names every refusal, so that a new one does not compile without an answer"),
            ("clock", "a client's deadline becomes a moment"),
            ("key", "wire::status names every refusal, so that a new one does not compile without an answer"),
            ("listen", "the peer comes with the connection"),
        ],
    },
    Row {
        module: "daemon",
        uses: &[
            "approval",
            "audit",
            "certificate",
            "clock",
            "config",
            "credential",
            "key",
            "listen",
            "metrics",
            "peer",
            "pipeline",
            "request",
            "state",
            "wire",
            API,
        ],
        beyond: &[("secret", "the private key of TLS goes from its file to the certificate it belongs to")],
    },
    Row {
        module: "cli",
        uses: &[
            "audit",
            "certificate",
            "config",
            "credential",
            "daemon",
            "key",
            "request",
            "seal",
            "secret",
            "wire",
            API,
        ],
        beyond: &[
            ("clock", "people are told how long ago things were, and the composition root is given the host's clock"),
            (
                "peer",
                "import-proxmox proposes no identifier that the configuration refuses, or that many machines share",
            ),
            (
                "state",
                "init makes the state that serve refuses to start without, credentials the key record, and doctor looks at both",
            ),
        ],
    },
    Row { module: "main", uses: &["cli"], beyond: &[] },
];

/// Crates with a place of their own: words, where they may stand, and why nowhere else.
const PLACES: &[(&[&str], &[&str], &str)] = &[
    (
        &["tonic", "tonic_prost"],
        &["wire", "listen", "daemon", "approval::channel", "cli"],
        "decisions do not know which protocol carries them",
    ),
    (&["argon2"], &["key::stretching"], "one place says how passphrases are stretched, and wipes the memory for it"),
    (
        &["rustls", "tokio_rustls", "webpki_roots", "x509_parser", "pkcs8"],
        &["certificate", "listen::tls", "daemon::certificate", "config::tls", "cli"],
        "nobody else knows whether a connection is encrypted, or by what",
    ),
    (&["hyper"], &["metrics::http"], "one place answers plain HTTP, and says how little it answers"),
    (&["toml"], &["config", "daemon", "cli"], "nothing below the composition root knows how it is configured"),
];

/// What is a function of its arguments: no runtime, so no waiting and no timers.
const WITHOUT_TOKIO: &[&str] = &[
    "secret",
    "request",
    "seal",
    "approval::ask",
    "approval::ledger",
    "approval::notices",
    "approval::policy",
    "audit::record",
];

/// Who may look at the environment.
const ENVIRONMENT: &[&str] = &["daemon", "cli", "main", "credential", "listen::systemd"];

/// Types that prove something, and the one file that can make each.
const PROOFS: &[(&str, &str, &str)] = &[
    ("Admitted", "{", "peer/admission.rs"),
    ("Approved", "{", "approval/gate.rs"),
    ("Kek", "{", "key/kek.rs"),
    ("Keks", "{", "key/kek.rs"),
    ("Recorded", "(", "audit/log.rs"),
];

const MAX_FILE: usize = 400;
const MAX_FUNCTION: usize = 60;

/// Files and functions that are longer, and why.
const LONG: &[(&str, &str)] = &[
    ("approval/channel.rs", "one line for each call, and every text of the specification"),
    ("approval/gate.rs", "the proof, the wait for it, and the order of record and effect are read together"),
    ("approval/ledger.rs", "the order of judgement and what it needs are read together"),
    ("approval/ledger/tests/beyond.rs", "one world of what may happen, and books of their own beside it"),
    ("approval/ledger/tests.rs", "one test for each promise of the ledger"),
    ("audit/log.rs", "queue, writer and the way back after a failed write keep one promise"),
    ("audit/log/tests.rs", "one test for each way in which writing fails"),
    ("audit/record.rs", "every record there is, in the order of the specification"),
    ("audit/record/tests.rs: every_entry", "one value of every record"),
    ("audit/record/tests.rs: beyond_one_ask", "one value of every record"),
    ("cli/check.rs: summary", "one line for each setting, in the order of the page"),
    ("cli/doctor/judge/tests.rs", "one test for each thing that can be wrong on a host"),
    ("cli/doctor/judge/tests.rs: healthy", "one host on which everything is as it should be"),
    ("cli/init/template.rs: text", "the configuration that it writes, as a whole"),
    ("config/tests.rs", "one test for each kind of mistake in a configuration"),
    ("state/tests.rs", "one test for each way in which a state is damaged"),
];

fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> =
        LazyLock::new(|| Source::read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));
    &SOURCES
}

/// Whether `module` is `place` or lies in it.
fn is_in(module: &[&str], place: &str) -> bool {
    place.split("::").zip(module.iter().map(Some).chain(std::iter::repeat(None))).all(|(part, at)| at == Some(&part))
}

fn is_in_any(module: &[&str], places: &[&str]) -> bool {
    places.iter().any(|place| is_in(module, place))
}

/// Fails with one line for each thing that is wrong.
#[track_caller]
fn assert_none(wrong: &[String], what_to_do: &str) {
    assert!(wrong.is_empty(), "\n  {}\n{what_to_do}\n", wrong.join("\n  "));
}

#[test]
fn modules_use_what_the_table_allows_and_all_of_that() {
    let wrong = against_table(sources(), TABLE, "src", "nightlatch");
    assert_none(&wrong, "ARCHITECTURE.md and the table in tests/layering/main.rs say what may use what");
}

/// What the sources of `folder` use against the table, or do not use of it. The program names its library `library`.
fn against_table(sources: &[Source], table: &[Row], folder: &str, library: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut wrong = vec![];
    for source in sources.iter().filter(|source| source.path != "lib.rs") {
        let from = source.module()[0].to_owned();
        let root = if from == "main" { library } else { "crate" };
        let mut edges: Vec<(String, usize)> =
            source.uses(root).into_iter().map(|found| (found.path[0].clone(), found.line)).collect();
        edges.extend(source.uses(API).into_iter().map(|found| (API.to_owned(), found.line)));
        let row = table.iter().find(|row| row.module == from);
        if row.is_none() {
            wrong.push(format!("{folder}/{}: the module {from} is not in the table", source.path));
        }
        for (to, line) in edges.into_iter().filter(|(to, _)| *to != from) {
            if row.is_some_and(|row| !row.allows(&to)) {
                wrong.push(format!("{folder}/{}:{line}: {from} must not use {to}", source.path));
            }
            found.insert((from.clone(), to));
        }
    }
    for row in table {
        let listed = row.uses.iter().copied().chain(row.beyond.iter().map(|(to, _)| *to));
        let unused = listed.filter(|to| !found.contains(&(row.module.to_owned(), (*to).to_owned())));
        wrong.extend(unused.map(|to| format!("{} does not use {to} any more: take it out of the table", row.module)));
        wrong.extend(
            row.beyond
                .iter()
                .filter(|(_, why)| why.is_empty())
                .map(|(to, _)| format!("{} uses {to} without a reason", row.module)),
        );
    }
    wrong
}

impl Row {
    fn allows(&self, to: &str) -> bool {
        self.uses.contains(&to) || self.beyond.iter().any(|(also, _)| *also == to)
    }
}

/// `super` out of the top-level module would be an edge that the table does not see.
#[test]
fn other_modules_are_named_from_the_root() {
    let mut wrong = vec![];
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        for found in source.uses("super") {
            let up = 1 + found.path.iter().take_while(|part| *part == "super").count();
            if up >= source.module().len() {
                wrong.push(format!("src/{}:{}: super::{}", source.path, found.line, found.path.join("::")));
            }
        }
    }
    assert_none(&wrong, "write crate:: where another top-level module is meant");
}

#[test]
fn the_command_line_sees_of_the_wire_its_clients_alone() {
    let cli = sources().iter().filter(|source| source.module()[0] == "cli");
    let wrong: Vec<String> = cli
        .flat_map(|source| source.uses("crate").into_iter().map(move |found| (source, found)))
        .filter(|(_, found)| found.path[0] == "wire" && found.path.get(1).is_none_or(|part| part != "stubs"))
        .map(|(source, found)| format!("src/{}:{}: {}", source.path, found.line, found.path.join("::")))
        .collect();
    assert_none(&wrong, "cli uses wire::stubs, and nothing else of wire");
}

#[test]
fn crates_keep_to_their_places() {
    let mut wrong = vec![];
    for source in sources() {
        let module = source.module();
        for (words, places, why) in PLACES.iter().filter(|(_, places, _)| !is_in_any(&module, places)) {
            let lines =
                words.iter().flat_map(|word| lines_with_crate(source, word).into_iter().map(move |line| (word, line)));
            let place = places.join(", ");
            wrong.extend(
                lines.map(|(word, line)| format!("src/{}:{line}: {word} belongs into {place}: {why}", source.path)),
            );
        }
        if is_in_any(&module, WITHOUT_TOKIO) {
            for word in ["tokio", "tokio_stream", "tokio_util"] {
                let lines = lines_with_crate(source, word);
                wrong.extend(lines.iter().map(|line| format!("src/{}:{line}: no {word} here", source.path)));
            }
        }
        if !is_in_any(&module, ENVIRONMENT) {
            let uses = source.uses("std").into_iter().filter(|found| found.path[0] == "env");
            wrong.extend(uses.map(|found| format!("src/{}:{}: std::env", source.path, found.line)));
        }
    }
    assert_none(&wrong, "tests/layering/main.rs says where they belong");
    for module in WITHOUT_TOKIO.iter().chain(ENVIRONMENT) {
        let exists = sources().iter().any(|source| is_in(&source.module(), module));
        assert!(exists, "there is no module {module} any more");
    }
}

/// Lines with a path that begins with the name of a crate.
fn lines_with_crate(source: &Source, name: &str) -> Vec<usize> {
    let mut lines = source.lines_of(name, "::", &["::"]);
    lines.extend(["use", "crate"].iter().flat_map(|before| {
        let bare = source.program.windows(2).filter(move |pair| pair[0].text == *before && pair[1].text == name);
        bare.map(|pair| pair[1].line)
    }));
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// The server has no door to a key without an approval.
#[test]
fn keys_without_an_approval_are_for_recover_alone() {
    let mut wrong = vec![];
    for source in sources() {
        let allowed: &[&str] = match source.path.as_str() {
            "key.rs" | "cli/recover.rs" | "cli/recover/passphrase.rs" => &["danger_offline"],
            // Blobs of an identifier that no node can have, with a plaintext that everybody knows.
            "cli/credentials/golden.rs" => &["danger_offline"],
            "key/danger_offline.rs" | "key/kek.rs" => &["danger_offline", "danger_without_approval"],
            _ => &[],
        };
        for word in ["danger_offline", "danger_without_approval"].iter().filter(|word| !allowed.contains(word)) {
            let lines = source.lines_of(word, "", &[]);
            wrong.extend(lines.iter().map(|line| format!("src/{}:{line}: {word}", source.path)));
        }
    }
    assert_none(&wrong, "only nightlatch recover opens blobs of nodes without an approval");
}

#[test]
fn proofs_are_made_in_one_file_each() {
    /// What stands before a name where it is defined, extended or returned, and not made.
    const NOT_MADE: &[&str] = &["struct", "impl", "for", ">", "::"];
    let mut wrong = vec![];
    for (proof, opening, leaf) in PROOFS {
        for source in sources() {
            let made = source.lines_of(proof, opening, NOT_MADE);
            if source.path != *leaf {
                wrong.extend(
                    made.iter().map(|line| format!("src/{}:{line}: {proof} is made in src/{leaf} only", source.path)),
                );
            } else if public_fields(source, proof) {
                wrong.push(format!("src/{leaf}: a field of {proof} is public, so that everybody can make it"));
            }
        }
    }
    for source in sources() {
        let made = source.lines_of("for_test", "", &[]);
        wrong.extend(made.iter().map(|line| format!("src/{}:{line}: for_test without #[cfg(test)]", source.path)));
    }
    assert_none(&wrong, "a proof that several files can make proves nothing");
}

fn public_fields(source: &Source, name: &str) -> bool {
    let definition = source.program.windows(2).position(|pair| pair[0].text == "struct" && pair[1].text == name);
    let body = source
        .program
        .iter()
        .skip(definition.unwrap_or_else(|| panic!("src/{} does not define {name}: correct the list", source.path)));
    body.take_while(|token| token.text != "}" && token.text != ";").any(|token| token.text == "pub")
}

#[test]
fn files_and_functions_are_short() {
    let wrong = too_long(sources(), LONG, "src");
    assert_none(&wrong, "divide it, or say in tests/layering/main.rs why it stays together");
}

/// Files and functions that are longer than they should be and not in the list, or in the list and short.
fn too_long(sources: &[Source], list: &[(&str, &str)], folder: &str) -> Vec<String> {
    let mut long = vec![];
    for source in sources {
        if source.lines > MAX_FILE {
            long.push((source.path.clone(), format!("{} lines, and {MAX_FILE} are enough", source.lines)));
        }
        for (name, line, lines) in source.functions().into_iter().filter(|(_, _, lines)| *lines > MAX_FUNCTION) {
            let what = format!("{lines} lines at {line}, and {MAX_FUNCTION} are enough");
            long.push((format!("{}: {name}", source.path), what));
        }
    }
    let listed = |name: &str| list.iter().any(|(long, why)| *long == name && !why.is_empty());
    let mut wrong: Vec<String> =
        long.iter().filter(|(name, _)| !listed(name)).map(|(name, what)| format!("{folder}/{name}: {what}")).collect();
    let over = list.iter().filter(|(name, _)| !long.iter().any(|(long, _)| long == name));
    wrong.extend(over.map(|(name, _)| format!("{folder}/{name} is short again: take it out of the list")));
    wrong
}
