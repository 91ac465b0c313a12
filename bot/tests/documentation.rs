//! What docs/ says of the bot is what the bot does, as far as a program can compare it.

use std::collections::BTreeSet;

use nightlatch_bot::config::{MAX_CHATS, MAX_PEOPLE};
use nightlatch_bot::kept::MAX_PROMPTS;
use nightlatch_bot::texts::COMMANDS;

const TELEGRAM: &str = include_str!("../../docs/telegram.md");
const KNOWN_LIMITS: &str = include_str!("../../docs/known-limits.md");

#[test]
fn every_command_is_explained_and_no_other() {
    let section = TELEGRAM.split("\n## ").find(|section| section.starts_with("Commands\n"));
    let rows = section.into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("| `/"));
    let explained: BTreeSet<&str> = rows.filter_map(|row| row.split([' ', '`']).next()).collect();
    // Telegram's own, which needs no place in the menu.
    let known = COMMANDS.iter().map(|(name, _)| *name).chain(["start"]);
    assert_eq!(explained, known.collect());
}

#[test]
fn the_limits_are_those_of_the_code() {
    let thousands = |number: usize| format!("{},{:03}", number / 1000, number % 1000);
    let said = format!("The bot knows {MAX_CHATS} chats, {MAX_PEOPLE} people and {} messages.", thousands(MAX_PROMPTS));
    assert!(KNOWN_LIMITS.contains(&said), "{said}");
}
