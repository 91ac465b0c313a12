//! A service manager that listens to one service, as systemd does.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

/// Bounds every wait here; nothing is asserted about how long anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Manager {
    _directory: TempDir,
    path: PathBuf,
    socket: UnixDatagram,
}

impl Manager {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("our socket");
        Self { _directory: directory, path, socket }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next message.
    pub(crate) fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("the service goes on telling");
        String::from_utf8(message[..length].to_vec()).expect("text")
    }

    /// Waits for a message that has `part` in it. What comes before is of no interest.
    pub(crate) fn until(&self, part: &str) -> String {
        loop {
            let message = self.next();
            if message.contains(part) {
                return message;
            }
        }
    }

    /// The messages that wait.
    pub(crate) fn waiting(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).expect("our socket");
        let mut message = [0; 4096];
        let next =
            || self.socket.recv(&mut message).ok().map(|length| String::from_utf8_lossy(&message[..length]).into());
        std::iter::from_fn(next).collect()
    }

    /// Lets no further message in until somebody reads.
    pub(crate) fn fill(&self) {
        let full = UnixDatagram::unbound().expect("a socket");
        full.set_nonblocking(true).expect("our socket");
        full.connect(&self.path).expect("it listens");
        while full.send(b"X=1").is_ok() {}
    }
}
