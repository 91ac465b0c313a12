//! What the service manager is told: sd_notify(3). One datagram for each message, sent without waiting: when nobody reads,
//! it is kept and sent with the next one.
//!
//! By hand rather than by a crate: the one that is well kept (sd-notify) opens a socket for each message, and waits for
//! the reader. It stands here because the server and each channel are services that say the same, and share nothing else.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longest text that `systemctl status` is given, in characters.
const MAX_STATUS_LEN: usize = 512;

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct Manager {
    door: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    unsent: Mutex<Unsent>,
}

/// What was not sent yet. The newest of each is all that matters.
#[derive(Debug, Default, Clone)]
struct Unsent {
    /// The lines of the last change.
    state: Option<String>,
    status: Option<String>,
    /// The status that was sent last.
    told: String,
}

impl Manager {
    /// The manager that the environment names (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`), or none.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let number = |name: &str| std::env::var_os(name)?.to_str()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0).map(Duration::from_micros);
        Self::at(&path, watchdog).unwrap_or_else(|error| {
            tracing::warn!(%error, "service manager not told: NOTIFY_SOCKET cannot be used");
            Self::default()
        })
    }

    /// The manager that listens at `path`, or, when it begins with `@`, at that abstract name; it ends a process that was
    /// not heard of for `watchdog`.
    ///
    /// # Errors
    /// When there can be no socket, or it is no path.
    pub fn at(path: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match path.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { door: Some((socket, address)), watchdog, unsent: Mutex::default() })
    }

    /// How long it waits for [`Self::alive`] before it ends the process.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The service does what it is there for.
    pub fn ready(&self) {
        self.change("READY=1\n".to_owned());
    }

    /// The configuration is read again, since `monotonic_usec`; [`Self::ready`] ends it.
    pub fn reloading(&self, monotonic_usec: u128) {
        self.change(format!("RELOADING=1\nMONOTONIC_USEC={monotonic_usec}\n"));
    }

    /// The service stops.
    pub fn stopping(&self) {
        self.change("STOPPING=1\n".to_owned());
    }

    /// How it is, in one line for people. Sent when it has changed.
    pub fn status(&self, text: &str) {
        let printable = text.chars().map(|char| if char.is_control() { ' ' } else { char });
        let line: String = printable.take(MAX_STATUS_LEN).collect();
        let mut unsent = self.unsent();
        unsent.status = (line != unsent.told).then_some(line);
        self.send(&mut unsent);
    }

    /// Keeps the watchdog quiet.
    pub fn alive(&self) {
        if let Some((socket, address)) = self.door.as_ref().filter(|_| self.watchdog.is_some()) {
            // The next one is soon enough.
            let _full = socket.send_to_addr(b"WATCHDOG=1\n", address);
        }
    }

    fn change(&self, state: String) {
        let mut unsent = self.unsent();
        unsent.state = Some(state);
        self.send(&mut unsent);
    }

    fn send(&self, unsent: &mut Unsent) {
        let Some((socket, address)) = &self.door else { return };
        let status = unsent.status.as_ref().map(|line| format!("STATUS={line}\n"));
        let message = [unsent.state.clone(), status].into_iter().flatten().collect::<String>();
        if message.is_empty() {
            return;
        }
        match socket.send_to_addr(message.as_bytes(), address) {
            Ok(_) => {
                unsent.state = None;
                unsent.told = unsent.status.take().unwrap_or(std::mem::take(&mut unsent.told));
            }
            Err(error) => tracing::debug!(%error, "service manager not told yet"),
        }
    }

    fn unsent(&self) -> std::sync::MutexGuard<'_, Unsent> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether standard error is a stream to the journal: systemd names that stream by device and inode in JOURNAL_STREAM
/// (systemd.exec(5)), and the variable alone may have been inherited.
#[must_use]
pub fn runs_under_the_journal() -> bool {
    #[expect(clippy::disallowed_methods, reason = "systemd.exec(5): this is how systemd says it")]
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    // Not by its path in /proc, which is closed to a process that may not be dumped.
    let Ok(stderr) = rustix::fs::fstat(io::stderr()) else { return false };
    named == format!("{}:{}", stderr.st_dev, stderr.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager() -> (tempfile::TempDir, UnixDatagram, Manager) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let reader = UnixDatagram::bind(&path).expect("a socket");
        reader.set_nonblocking(true).expect("our socket");
        let manager = Manager::at(path.as_os_str(), Some(Duration::from_secs(30))).expect("a socket");
        (directory, reader, manager)
    }

    fn told(reader: &UnixDatagram) -> Option<String> {
        let mut bytes = [0; 2048];
        let length = reader.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).expect("text"))
    }

    #[test]
    fn each_message_is_one_datagram() {
        let (_directory, reader, manager) = manager();
        manager.ready();
        manager.reloading(17);
        manager.alive();
        manager.stopping();
        let all: Vec<String> = std::iter::from_fn(|| told(&reader)).collect();
        assert_eq!(all, ["READY=1\n", "RELOADING=1\nMONOTONIC_USEC=17\n", "WATCHDOG=1\n", "STOPPING=1\n"]);
    }

    #[test]
    fn a_status_is_one_line_and_told_when_it_has_changed() {
        let (_directory, reader, manager) = manager();
        for text in ["1 node", "1 node", "2\nREADY=1", "1 node"] {
            manager.status(text);
        }
        let all: Vec<String> = std::iter::from_fn(|| told(&reader)).collect();
        assert_eq!(all, ["STATUS=1 node\n", "STATUS=2 READY=1\n", "STATUS=1 node\n"]);
        manager.status(&"ä".repeat(1_000));
        assert_eq!(told(&reader).expect("told").chars().count(), "STATUS=\n".len() + MAX_STATUS_LEN);
    }

    /// A reader that does not read is waited for by nobody, and gets the newest of what it missed.
    #[test]
    fn nothing_waits_for_a_reader_and_the_last_word_arrives() {
        let (_directory, reader, manager) = manager();
        for number in 0..10_000 {
            manager.status(&number.to_string());
        }
        manager.ready();
        let waiting = std::iter::from_fn(|| told(&reader)).count();
        assert!(waiting < 10_000, "the queue was never full");
        manager.status("9999");
        assert_eq!(told(&reader).expect("told"), "READY=1\nSTATUS=9999\n");
        manager.status("9999");
        assert_eq!(told(&reader), None);
    }

    #[test]
    fn without_a_manager_or_with_one_that_is_gone_nothing_happens() {
        let (directory, reader, manager) = manager();
        drop((directory, reader));
        for manager in [manager, Manager::default()] {
            manager.ready();
            manager.alive();
            manager.status("1 node");
        }
    }

    #[test]
    fn abstract_names_are_found() {
        let name = format!("nightlatch-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let reader = UnixDatagram::bind_addr(&address).expect("a socket");
        reader.set_nonblocking(true).expect("our socket");
        Manager::at(OsStr::new(&format!("@{name}")), None).expect("a socket").ready();
        assert_eq!(told(&reader).expect("told"), "READY=1\n");
    }
}
