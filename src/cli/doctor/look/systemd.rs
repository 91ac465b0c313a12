//! What systemd, the journal and the bot's own check say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::process::geteuid;

use crate::cli::doctor::facts::{BOT, BotCheck, PASSPHRASE, SERVER, TALOS};
use crate::cli::doctor::finding::Unseen;
use crate::cli::doctor::program::{Output, run};
use crate::cli::doctor::unit::{self, PROPERTIES, Unit};
use crate::config::{Config, People};

/// How long one of these programs may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a search in the journal may take.
const JOURNAL: Duration = Duration::from_secs(10);

/// What systemd says where it cannot filter addresses (src/core/bpf-firewall.c).
const UNFILTERED: &str = "does not support BPF/cgroup firewalling";

/// Lines of the journal among which the reason of a failure is looked for.
const LINES: &str = "--lines=40";

/// The units of nightlatch, and of its channels, also those that are not installed.
pub(super) fn units(config: Option<&Config>) -> Result<Vec<Unit>, Unseen> {
    let channels = config.into_iter().flat_map(|config| &config.channels);
    let of_channels = channels.map(|channel| format!("nightlatch-{}.socket", channel.name));
    let known = [SERVER, BOT, TALOS, PASSPHRASE, "nightlatch-cli.socket", "nightlatch-telegram.socket"];
    // A name with a blank, or one that begins with `-`, is no name of a unit.
    let usable = |id: &String| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let names: BTreeSet<String> = known.map(str::to_owned).into_iter().chain(of_channels.filter(usable)).collect();
    let mut units = shown(&names)?;
    let others: BTreeSet<String> = units
        .iter()
        .filter(|unit| unit.id() == SERVER)
        .flat_map(|unit| unit.triggered_by())
        .filter(|id| !names.contains(*id))
        .map(str::to_owned)
        .collect();
    if !others.is_empty() {
        units.extend(shown(&others)?);
    }
    for unit in &mut units {
        if unit.is_loaded() && [SERVER, BOT].contains(&unit.id()) {
            let files = run("systemctl", &["cat", "--no-pager", unit.id()], PATIENCE)?;
            unit.credentials = unit::credentials(&files.stdout);
        }
        let settled = unit.is_active() || (unit.active_state() == "inactive" && unit.result() == "success");
        if unit.is_loaded() && !settled {
            unit.last_error = last_error(unit.id());
        }
    }
    Ok(units)
}

fn shown(names: &BTreeSet<String>) -> Result<Vec<Unit>, Unseen> {
    let mut arguments = vec!["show", "--no-pager", "--timestamp=unix", "-p", PROPERTIES, "--"];
    arguments.extend(names.iter().map(String::as_str));
    let output = run("systemctl", &arguments, PATIENCE)?;
    let units = Unit::read_all(&output.stdout);
    if output.code != Some(0) || units.is_empty() {
        return Err(Unseen::because(format!("systemd does not answer: {}", output.complaint())));
    }
    Ok(units)
}

/// The last line of a unit's journal that says what went wrong; nothing when the journal cannot be read.
fn last_error(id: &str) -> Option<String> {
    let id = format!("--unit={id}");
    let arguments = ["--no-pager", "--quiet", "--boot", "--output=cat", LINES, &id];
    reason(&run("journalctl", &arguments, JOURNAL).ok()?.stdout)
}

/// The last of the program's own words, or of systemd's about credentials; else whatever failed last.
fn reason(journal: &str) -> Option<String> {
    let last = |words: &[&str]| journal.lines().rev().find(|line| words.iter().any(|word| line.contains(word)));
    let line = last(&["error: ", "Failed to set up credentials"]).or_else(|| last(&["ailed"]))?;
    // Either begins with who says it, which is told anyway.
    let said = line.split_once("error: ").or_else(|| line.split_once(".service: ")).map_or(line, |(_, said)| said);
    Some(said.to_owned())
}

/// Whether each running process runs the file that its unit names.
pub(super) fn programs(units: &[Unit]) -> BTreeMap<String, Result<bool, Unseen>> {
    // Before it is active the process may still be systemd's own, which hands credentials over.
    let active = units.iter().filter(|unit| unit.is_active());
    let running = active.filter_map(|unit| Some((unit, unit.main_pid()?, unit.program()?)));
    running.map(|(unit, pid, program)| (unit.id().to_owned(), runs(pid, program))).collect()
}

fn runs(pid: u32, program: &str) -> Result<bool, Unseen> {
    let identity = |path: String| match fs::metadata(&path) {
        Ok(metadata) => Ok((metadata.dev(), metadata.ino())),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Unseen::needs_root(&path)),
        Err(error) => Err(Unseen::because(format!("{path} cannot be looked at: {error}"))),
    };
    Ok(identity(format!("/proc/{pid}/exe"))? == identity(program.to_owned())?)
}

/// Whether systemd said since the boot that it cannot filter addresses. It does so for the first unit alone.
pub(super) fn unfiltered() -> Result<bool, Unseen> {
    let grep = format!("--grep={UNFILTERED}");
    // Neither --quiet nor --output=cat: both keep back that there is no journal, or that a part of it may not be read.
    let arguments = ["--no-pager", "--boot", "--lines=1", &grep, "_PID=1"];
    said_unfiltered(&run("journalctl", &arguments, JOURNAL)?, geteuid().is_root())
}

fn said_unfiltered(output: &Output, root: bool) -> Result<bool, Unseen> {
    if output.stdout.contains(UNFILTERED) {
        return Ok(true);
    }
    if !root {
        return Err(Unseen::needs_root("the whole journal"));
    }
    // It ends with 1 where it finds no such line.
    if !matches!(output.code, Some(0 | 1)) || !output.stderr.trim().is_empty() {
        return Err(Unseen::because(format!("the journal cannot be searched: {}", output.complaint())));
    }
    Ok(false)
}

/// Whether systemd knows of something that keeps the clock right.
pub(super) fn clock_synchronised() -> Result<bool, Unseen> {
    let output = run("timedatectl", &["show", "--property=NTPSynchronized", "--value"], PATIENCE)?;
    match output.stdout.trim() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Unseen::because(format!("timedatectl does not tell: {}", output.complaint()))),
    }
}

/// What the bot's own check says, where there is a bot.
pub(super) fn bot(units: &[Unit], config: Option<&Config>) -> Result<BotCheck, Unseen> {
    let wanted = config
        .is_some_and(|config| config.channels.iter().any(|channel| matches!(channel.people, People::Telegram { .. })));
    let runs = units.iter().any(|unit| unit.id() == BOT && (unit.is_enabled() || unit.is_active()));
    if !wanted && !runs {
        return Err(Unseen::because("the configuration has no channel for it"));
    }
    let output = run("nightlatch-bot", &["check", "--offline"], PATIENCE)?;
    Ok(bot_check(output.code, &output.stdout, &output.stderr))
}

fn bot_check(code: Option<i32>, said: &str, complained: &str) -> BotCheck {
    let warnings = said.split_once("\nwarnings\n").map_or("", |(_, warnings)| warnings);
    let error = complained.lines().find_map(|line| Some(line.split_once("error: ")?.1.to_owned()));
    let error = error.or_else(|| Some(format!("it ended with {code:?}"))).filter(|_| code != Some(0));
    BotCheck { warnings: warnings.lines().map(|line| line.trim().to_owned()).take(20).collect(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_programs_own_if_it_gave_one() {
        let own = "nightlatch: error: the key is not there: no\nnightlatch: hint: put it there\n\
                   nightlatch.service: Failed with result 'exit-code'.\n";
        assert_eq!(reason(own).as_deref(), Some("the key is not there: no"));
        let systemd = "nightlatch.service: Failed to set up credentials: Protocol error\n\
                       nightlatch.service: Failed at step CREDENTIALS spawning /usr/bin/nightlatch: Protocol error\n\
                       nightlatch.service: Failed with result 'exit-code'.\n";
        assert_eq!(reason(systemd).as_deref(), Some("Failed to set up credentials: Protocol error"));
        assert_eq!(reason(&format!("{own}{systemd}")), reason(systemd), "the last failure counts, not one before");
        assert_eq!(reason("Started.\n"), None);
    }

    #[test]
    fn warnings_and_the_error_of_the_bot_are_handed_on() {
        let fine = bot_check(Some(0), "it can be used\n\nsocket x\n\nwarnings\n  line 3: one\n  line 9: two\n", "");
        assert_eq!(fine, BotCheck { warnings: vec!["line 3: one".into(), "line 9: two".into()], error: None });
        let wrong = bot_check(Some(78), "", "nightlatch-bot: error: it cannot be used\n\nline 3\n");
        assert_eq!(wrong.error.as_deref(), Some("it cannot be used"));
    }

    #[test]
    fn addresses_are_filtered_only_if_the_whole_journal_has_no_word_against_it() {
        let said = |code, stdout: &str, stderr: &str, root| {
            said_unfiltered(&Output { code, stdout: stdout.into(), stderr: stderr.into() }, root)
        };
        let against = "nightlatch.socket: unit configures an IP firewall, but the local system does not support \
                       BPF/cgroup firewalling.\n";
        assert_eq!(said(Some(0), against, "", true), Ok(true));
        assert_eq!(said(Some(0), against, "", false), Ok(true));
        assert_eq!(said(Some(1), "-- No entries --\n", "", true), Ok(false));
        assert_eq!(said(Some(0), "", "", true), Ok(false));
        assert!(said(Some(1), "", "", false).is_err_and(|unseen| unseen.needs_root));
        assert!(said(Some(1), "", "No journal files were found.\n", true).is_err());
        assert!(said(Some(2), "", "", true).is_err());
        assert!(said(None, "", "", true).is_err());
    }
}
