//! Files, file systems, and what the kernel tells in /proc.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, major, minor, statvfs};

use crate::audit;
use crate::cli::doctor::facts::{AuditEnd, Complaint, Entry, File, Kind, Room, State};
use crate::cli::doctor::finding::Unseen;
use crate::cli::doctor::unit::Unit;
use crate::clock::WallTime;
use crate::config::Config;
use crate::state;

/// Most bytes that are read of a file in /proc.
const MAX_PROC: u64 = 4 * 1024 * 1024;

/// What stands at `path`.
pub(super) fn entry(path: &Path) -> Entry {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Entry::Missing,
                _ => Entry::Unseen(unseen(&path.display().to_string(), &error)),
            };
        }
    };
    let kind = match metadata.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_socket() => Kind::Socket,
        _ => Kind::Other,
    };
    Entry::There(File {
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        changed: modified(&metadata).max(changed(&metadata)),
    })
}

fn modified(metadata: &fs::Metadata) -> WallTime {
    wall_time(metadata.mtime(), metadata.mtime_nsec())
}

/// When anything of it changed. Unlike the time of its contents, nobody sets this one: `mv`, `cp -p` and rsync do not keep it.
fn changed(metadata: &fs::Metadata) -> WallTime {
    wall_time(metadata.ctime(), metadata.ctime_nsec())
}

fn wall_time(seconds: i64, nanoseconds: i64) -> WallTime {
    WallTime::from_unix_millis(seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000))
}

fn unseen(what: &str, error: &io::Error) -> Unseen {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Unseen::needs_root(what),
        _ => Unseen::because(format!("{what} cannot be looked at: {error}")),
    }
}

/// The Unix sockets that units or the configuration name.
pub(super) fn sockets(units: &[Unit], config: Option<&Config>) -> BTreeMap<PathBuf, Entry> {
    let of_units = units.iter().flat_map(Unit::listens).filter(|place| place.starts_with('/')).map(PathBuf::from);
    let channels = config.into_iter().flat_map(|config| &config.channels);
    let of_channels = channels.filter_map(|channel| channel.socket.clone());
    let paths: BTreeSet<PathBuf> = of_units.chain(of_channels).collect();
    paths.into_iter().map(|path| (path.clone(), entry(&path))).collect()
}

/// TCP ports that something listens on, in this network namespace.
pub(super) fn ports() -> Result<Vec<u16>, Unseen> {
    let mut ports = listening(&proc("/proc/net/tcp")?);
    // A kernel without IPv6 has no such file.
    ports.extend(proc("/proc/net/tcp6").map(|text| listening(&text)).unwrap_or_default());
    Ok(ports)
}

/// The local ports of lines in state 0A, which is `LISTEN` (include/net/tcp_states.h).
fn listening(table: &str) -> Vec<u16> {
    let port = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next()?, fields.nth(1)?);
        (state == "0A").then(|| u16::from_str_radix(local.rsplit(':').next()?, 16).ok())?
    };
    table.lines().filter_map(port).collect()
}

/// Whether there is swap: a line below the heading.
pub(super) fn swaps() -> Result<bool, Unseen> {
    Ok(proc("/proc/swaps")?.lines().count() > 1)
}

fn proc(path: &str) -> Result<String, Unseen> {
    let mut bytes = vec![];
    let read = fs::File::open(path).and_then(|file| file.take(MAX_PROC).read_to_end(&mut bytes));
    read.map_err(|error| unseen(path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// When this program was built: packages keep that as the time of the file.
pub(super) fn built() -> Option<WallTime> {
    Some(modified(&fs::metadata("/proc/self/exe").ok()?))
}

/// The state directory and what is in it.
pub(super) fn state(config: &Config, server: Option<&Unit>) -> State {
    let path = &config.state_directory;
    let opened = fs::read_dir(path).map(drop);
    let denied = match &opened {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some(Unseen::needs_root(&path.display().to_string()))
        }
        _ => None,
    };
    // Before the state: a running server records a no first, saves then, and records that it did.
    let log = audit::file::look(&path.join("audit.log"));
    let state = state::look(path, config.installation);
    let state = state.map(|(generation, standing)| (generation.get(), standing.lock)).map_err(|error| Complaint {
        error: chain(&error),
        hint: error.hint().replace("CONFIGURATION", "/etc/nightlatch/nightlatch.toml"),
        unseen: denied.clone(),
    });
    let audit = log.map_err(|error| Complaint { error: chain(&error), hint: error.hint().into(), unseen: denied });
    let end = |look: audit::file::Look| AuditEnd {
        last: look.tail.next_seq.saturating_sub(1),
        at: look.last,
        torn: look.tail.cut,
        damaged: look.tail.repaired.as_ref().map_or(0, |repaired| repaired.damaged_lines),
        told: look.told,
    };
    State {
        path: path.clone(),
        directory: entry(path),
        state,
        audit: audit.map(|look| look.map(end)).transpose(),
        holder: server.and_then(|_| holder(&path.join("lock"))),
        room: room(path),
    }
}

/// An error, and what caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// The process that has locked a file, as /proc/locks tells it: nobody has to try the lock, and be in somebody's way.
fn holder(lock: &Path) -> Option<u32> {
    let metadata = fs::metadata(lock).ok()?;
    let device = metadata.dev();
    let file = format!("{:02x}:{:02x}:{}", major(device), minor(device), metadata.ino());
    lock_holder(&proc("/proc/locks").ok()?, &file)
}

fn lock_holder(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match *fields {
            [_, "FLOCK", _, _, pid, locked, ..] if locked == file => pid.parse().ok(),
            _ => None,
        }
    })
}

fn room(path: &Path) -> Result<Room, Unseen> {
    let seen = statvfs(path).map_err(|error| unseen(&path.display().to_string(), &error.into()))?;
    Ok(Room {
        bytes: seen.f_bavail.saturating_mul(seen.f_frsize),
        files: (seen.f_files > 0).then_some(seen.f_favail),
        read_only: seen.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_those_that_are_listened_on() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
             0: 00000000:0FD2 00000000:0000 0A 00000000:00000000\n\
             1: 0100007F:0016 0100007F:E0D2 01 00000000:00000000\n\
             2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0\nx\n";
        assert_eq!(listening(table), [4050, 80]);
    }

    #[test]
    fn the_holder_of_a_lock_is_found_by_device_and_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 00:3f:94 0 EOF\n2: FLOCK  ADVISORY  WRITE 158 00:3f:94 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 00:40:94 0 EOF\n";
        assert_eq!(lock_holder(locks, "00:3f:94"), Some(158));
        assert_eq!(lock_holder(locks, "00:3f:95"), None);
    }

    #[test]
    fn what_stands_at_a_path_is_told_without_opening_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        assert!(matches!(entry(&path), Entry::There(File { kind: Kind::Socket, .. })));
        assert!(matches!(entry(directory.path()), Entry::There(File { kind: Kind::Directory, .. })));
        assert_eq!(entry(&directory.path().join("none")), Entry::Missing);
    }

    #[test]
    fn a_file_that_was_moved_in_place_changed_then_whatever_its_own_time_says() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("nightlatch.toml");
        let written = fs::File::create(&path).expect("written");
        written.set_modified(std::time::UNIX_EPOCH).expect("set");
        let Entry::There(file) = entry(&path) else { panic!("it is there") };
        assert!(file.changed > WallTime::from_unix_millis(0), "{file:?}");
    }
}
