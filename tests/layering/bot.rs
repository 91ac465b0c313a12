//! The same for bot/src: what decides there knows nothing of networks, files and clocks.

use std::path::Path;
use std::sync::LazyLock;

use super::source::Source;
use super::{API, Row, against_table, assert_none, is_in_any, lines_with_crate, too_long};

const TABLE: &[Row] = &[
    Row { module: "message", uses: &[], beyond: &[] },
    Row { module: "press", uses: &[], beyond: &[] },
    Row { module: "zone", uses: &[], beyond: &[] },
    Row { module: "token", uses: &[], beyond: &[] },
    Row {
        module: "texts",
        uses: &[],
        beyond: &[("render", "what stands in a text from elsewhere is a render::Foreign")],
    },
    Row { module: "render", uses: &["message", "press", "texts", "zone", API], beyond: &[] },
    Row { module: "demo", uses: &["message", "press", "render", "zone", API], beyond: &[] },
    Row { module: "kept", uses: &["message", "press"], beyond: &[] },
    Row { module: "session", uses: &["kept", "message", "press", "render", "zone", API], beyond: &[] },
    Row { module: "telegram", uses: &["message", "token"], beyond: &[] },
    Row { module: "server", uses: &["session", API], beyond: &[] },
    Row { module: "config", uses: &["session", "zone"], beyond: &[("message", "chats and people are numbers of it")] },
    Row { module: "credential", uses: &["config", "telegram", "token"], beyond: &[] },
    Row { module: "clock", uses: &["session"], beyond: &[] },
    Row { module: "logging", uses: &["config", API], beyond: &[] },
    Row { module: "check", uses: &["message", "render", "session", "telegram", API], beyond: &[] },
    Row {
        module: "run",
        uses: &["clock", "kept", "server", "session", "telegram", API],
        beyond: &[
            ("message", "a task that ended early is told as a failure"),
            ("texts", "the commands that the app offers"),
        ],
    },
    Row {
        module: "cli",
        uses: &["check", "config", "credential", "demo", "kept", "logging", "run", "session", "telegram", API],
        beyond: &[],
    },
    Row { module: "main", uses: &["cli"], beyond: &[] },
];

/// What is a function of its arguments.
const PURE: &[&str] = &["message", "press", "zone", "texts", "render", "demo", "session"];

/// What it must not name, and where it stands instead.
const NOT_PURE: &[&str] = &["tokio", "reqwest", "teloxide_core", "rustls", "rustix", "getrandom"];

/// Crates with a place of their own.
const PLACES: &[(&[&str], &[&str])] = &[
    (&["teloxide_core", "rustls"], &["telegram"]),
    (&["reqwest"], &["telegram", "config"]),
    (&["clap"], &["cli"]),
    (&["toml"], &["config"]),
];

/// Files and functions that are longer, and why.
const LONG: &[(&str, &str)] = &[("texts.rs", "every word that people read stands in one file")];

fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> =
        LazyLock::new(|| Source::read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("bot/src")));
    &SOURCES
}

#[test]
fn the_bots_modules_use_what_the_table_allows_and_all_of_that() {
    let wrong = against_table(sources(), TABLE, "bot/src", "nightlatch_bot");
    assert_none(&wrong, "the table in tests/layering/bot.rs says what may use what");
}

#[test]
fn what_the_bot_decides_knows_no_network_file_or_clock() {
    let mut wrong = vec![];
    for source in sources() {
        let module = source.module();
        if is_in_any(&module, PURE) {
            for word in NOT_PURE {
                let lines = lines_with_crate(source, word);
                wrong.extend(lines.iter().map(|line| format!("bot/src/{}:{line}: no {word} here", source.path)));
            }
            let io = source
                .uses("std")
                .into_iter()
                .filter(|found| ["fs", "net", "env", "io", "thread", "process"].contains(&found.path[0].as_str()))
                // An address is what people write.
                .filter(|found| found.path != ["net", "IpAddr"]);
            wrong.extend(io.map(|found| format!("bot/src/{}:{}: std::{}", source.path, found.line, found.path[0])));
        }
        for (words, places) in PLACES.iter().filter(|(_, places)| !is_in_any(&module, places)) {
            for word in *words {
                let lines = lines_with_crate(source, word);
                let place = places.join(", ");
                wrong.extend(
                    lines.iter().map(|line| format!("bot/src/{}:{line}: {word} belongs into {place}", source.path)),
                );
            }
        }
    }
    assert_none(&wrong, "tests/layering/bot.rs says where they belong");
}

#[test]
fn the_bots_files_and_functions_are_short() {
    assert_none(
        &too_long(sources(), LONG, "bot/src"),
        "divide it, or say in tests/layering/bot.rs why it stays together",
    );
}
