//! The state directory: whether it can be used, and has room.

use std::path::Path;

use crate::audit::file::RESERVE;
use crate::cli::doctor::facts::{AuditEnd, Entry, Host, Kind, Room, SERVER, State};
use crate::cli::doctor::finding::{Check, Finding, Unseen, Verdict};
use crate::cli::doctor::unit::Unit;
use crate::config::DEFAULT_STATE_DIRECTORY;
use crate::peer::standing::{Lock, LockedBy};
use crate::state::{GROWTH, MAX_LEN};

/// What a server takes that starts: the audit log allocates twice its reserve beyond its end, the state the room to grow. With
/// less, releases still have the reserve, and soon no more.
const NEEDED: u64 = 2 * RESERVE + GROWTH;

/// Sixteen times that, and of a state of the greatest length: below it somebody should look.
const COMFORTABLE: u64 = 16 * (NEEDED + MAX_LEN as u64);

/// A save makes one file, and a first start some more.
const FILES_NEEDED: u64 = 4;
const FILES_COMFORTABLE: u64 = 64;

/// The state directory, and what is in it.
pub(super) fn storage(host: &Host) -> Vec<Finding> {
    let Some(state) = &host.state else { return vec![] };
    let about = state.path.display().to_string();
    let server = host.unit(SERVER);
    let directory = directory(host, state, server);
    let unusable = Unseen::because("the state directory has to be put right first");
    let blocked = directory.verdict == Verdict::Wrong;
    let mut findings = vec![directory];
    findings.push(match &state.state {
        Err(_) if blocked => Finding::not_looked_at(Check::State, "", &unusable),
        Ok((generation, _)) => age(state, *generation),
        Err(complaint) => match &complaint.unseen {
            Some(unseen) => Finding::not_looked_at(Check::State, "", unseen),
            None => Finding::wrong(Check::State, "", &complaint.error, &complaint.hint),
        },
    });
    if let Ok((_, locked)) = &state.state {
        findings.push(everything(locked.as_ref()));
    }
    findings.extend(lock(state, server));
    findings.push(audit(state, server.filter(|unit| unit.is_active())));
    findings.push(match &state.room {
        Ok(room) => space(&about, *room),
        Err(unseen) => Finding::not_looked_at(Check::DiskSpace, about, unseen),
    });
    findings
}

/// Whether the audit log tells of a newer state than this one.
fn age(state: &State, generation: u64) -> Finding {
    let told = state.audit.as_ref().and_then(|end| Some(end.as_ref().ok()?.told)).unwrap_or_default();
    if !told.is_newer_than(generation) {
        return Finding::ok(Check::State, "", format!("the state can be read (generation {generation})"));
    }
    let found = match told.saved {
        Some(saved) if saved > generation => {
            format!("it is older than the audit log tells: it is generation {generation}, and {saved} was saved")
        }
        _ => "it is older than the audit log tells: somebody's no was recorded, and could not be saved".to_owned(),
    };
    Finding::warning(
        Check::State,
        "",
        found,
        "put a newer backup back with nightlatch state import; with this one the server starts locked",
    )
}

/// Whether everything is refused, which somebody may have forgotten.
fn everything(lock: Option<&Lock>) -> Finding {
    let by = match lock.map(|lock| &lock.by) {
        None => return Finding::ok(Check::Locked, "", "nobody locked"),
        Some(LockedBy::Person { approver, .. }) => approver,
        Some(LockedBy::OlderState) => "nightlatch itself, since its state was older than its audit log tells",
    };
    let found = format!("everything is locked by {by}: no node gets a key");
    Finding::wrong(Check::Locked, "", found, "nightlatch status tells since when; to end it: nightlatch unlock")
}

fn directory(host: &Host, state: &State, server: Option<&Unit>) -> Finding {
    let about = state.path.display().to_string();
    let wrong = |found: String, hint: String| Finding::wrong(Check::StateDirectory, about.clone(), found, hint);
    let file = match &state.directory {
        Entry::There(file) => file,
        Entry::Unseen(unseen) => return Finding::not_looked_at(Check::StateDirectory, about, unseen),
        Entry::Missing => {
            let hint =
                "restore a backup of it; without one: nightlatch init --state-only /etc/nightlatch/nightlatch.toml";
            return wrong("it is not there".into(), hint.into());
        }
    };
    if file.kind != Kind::Directory {
        return wrong("it is no directory".into(), "correct state_directory in nightlatch.toml".into());
    }
    if file.mode & 0o777 != 0o700 {
        let why = match file.mode & 0o077 {
            0 => "the server cannot write there",
            _ => "others may enter it, and a server that systemd does not start refuses it",
        };
        return wrong(format!("its mode is {:04o}: {why}", file.mode), format!("chmod 0700 {about}"));
    }
    let Ok(accounts) = &host.accounts else {
        return Finding::ok(Check::StateDirectory, about, format!("mode {:04o}", file.mode));
    };
    let user = server.map(Unit::user).filter(|user| !user.is_empty());
    let (owner, wanted) = (accounts.name_of(file.uid), user.and_then(|user| accounts.uid_of(user)));
    // At a start systemd gives the directory of StateDirectory= to the service.
    let is_systemds = state.path == Path::new(DEFAULT_STATE_DIRECTORY);
    let settled = !is_systemds || server.is_some_and(Unit::is_active);
    if settled && wanted.is_some_and(|wanted| wanted != file.uid) {
        let user = user.unwrap_or_default();
        let hint = match is_systemds {
            true => {
                format!("systemctl restart {SERVER} gives it back (what was approved is forgotten, nodes ask again)")
            }
            false => format!("chown -R {user}: {about}, and ReadWritePaths={about} in the unit"),
        };
        return wrong(format!("it belongs to {owner}, and the server runs as {user}"), hint);
    }
    Finding::ok(Check::StateDirectory, about, format!("of {owner}, mode {:04o}", file.mode))
}

fn lock(state: &State, server: Option<&Unit>) -> Option<Finding> {
    let holder = state.holder.filter(|holder| *holder > 0)?;
    let running =
        server.filter(|unit| unit.is_active() || unit.active_state() == "activating").and_then(Unit::main_pid);
    if running == Some(holder) {
        return Some(Finding::ok(Check::Lock, "", "the running server has it locked"));
    }
    let found = format!("process {holder} has the state locked, so that the service cannot start");
    let hint = format!("ps -p {holder} shows what it is: stop it, and systemctl restart {SERVER}");
    Some(Finding::wrong(Check::Lock, "", found, hint))
}

/// An audit log that is not there: it never was, or somebody removed it.
fn no_audit(state: &State, running: Option<&Unit>) -> Finding {
    match &state.directory {
        Entry::Unseen(unseen) => return Finding::not_looked_at(Check::AuditLog, "", unseen),
        Entry::Missing => {
            let unseen = Unseen::because("there is no state directory");
            return Finding::not_looked_at(Check::AuditLog, "", &unseen);
        }
        Entry::There(_) => {}
    }
    let path = state.path.join("audit.log").display().to_string();
    if let Some(server) = running {
        let open = server.main_pid().map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
        let hint = format!(
            "ls -l /proc/{open}/fd shows whether the server has it open: copy it from there before systemctl restart \
             {SERVER}, which begins a new one"
        );
        return Finding::wrong(Check::AuditLog, "", format!("the server runs, and {path} is not there"), hint);
    }
    match &state.state {
        Ok((generation, _)) if *generation > 1 => {
            let found = format!("{path} is not there, and the state has been written since (generation {generation})");
            let hint = "restore it from a backup, if there is one: the next start begins a new one";
            Finding::warning(Check::AuditLog, "", found, hint)
        }
        _ => Finding::ok(Check::AuditLog, "", "there is none yet: the first start begins it"),
    }
}

fn audit(state: &State, running: Option<&Unit>) -> Finding {
    let Some(seen) = &state.audit else { return no_audit(state, running) };
    let end = match seen {
        Ok(end) => end,
        Err(complaint) => {
            return match &complaint.unseen {
                Some(unseen) => Finding::not_looked_at(Check::AuditLog, "", unseen),
                None => Finding::wrong(Check::AuditLog, "", &complaint.error, &complaint.hint),
            };
        }
    };
    // What it tells of the state is judged there.
    let AuditEnd { last, at, torn, damaged, told: _ } = end;
    if *damaged > 0 {
        let found = format!("{damaged} lines near its end are no records");
        let hint = "keep a copy of audit.log, and look at the end: the server goes on after the last record";
        return Finding::warning(Check::AuditLog, "", found, hint);
    }
    // A server that runs may be writing just now.
    if *torn > 0 && running.is_none() {
        let found = format!("its last {torn} bytes are a record that a crash cut off");
        return Finding::warning(
            Check::AuditLog,
            "",
            found,
            "nothing to do: the next start cuts it off, and records that",
        );
    }
    let at = at.map(|at| format!(" of {at}")).unwrap_or_default();
    Finding::ok(Check::AuditLog, "", format!("its end is whole: record {last}{at}"))
}

fn space(about: &str, room: Room) -> Finding {
    let Room { bytes, files, read_only } = room;
    let hint = format!("df -h {about}; df -i {about}; make room: without it no release is recorded, and none is made");
    if read_only {
        let hint =
            format!("see why: journalctl --boot --dmesg; then mount -o remount,rw $(findmnt -n -o TARGET -T {about})");
        return Finding::wrong(
            Check::DiskSpace,
            about,
            "its file system is read-only: no release can be recorded",
            hint,
        );
    }
    let found = match files {
        Some(files) => format!("{} free, and {files} files", size(bytes)),
        None => format!("{} free", size(bytes)),
    };
    let files = files.unwrap_or(u64::MAX);
    if bytes < NEEDED || files < FILES_NEEDED {
        return Finding::wrong(Check::DiskSpace, about, found, hint);
    }
    if bytes < COMFORTABLE || files < FILES_COMFORTABLE {
        return Finding::warning(Check::DiskSpace, about, found, hint);
    }
    Finding::ok(Check::DiskSpace, about, found)
}

/// In the largest unit that leaves a number.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
