//! What the whole program logs, at every level.

use std::io::Write;
use std::sync::{Mutex, OnceLock};

/// All of it, from the first call of [`all`] on, of every test.
#[derive(Clone, Copy)]
pub(crate) struct Log(&'static Mutex<Vec<u8>>);

impl Log {
    /// Whether this was logged.
    pub(crate) fn contains(self, text: &str) -> bool {
        self.0.lock().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The log. It begins with the first call.
pub(crate) fn all() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    static BYTES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    *LOG.get_or_init(|| {
        let log = Log(&BYTES);
        let level = tracing::level_filters::LevelFilter::TRACE;
        tracing_subscriber::fmt().with_max_level(level).with_writer(move || log).init();
        log
    })
}
