//! The built program, as a process.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::patiently;

/// A process. It is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

/// All that it wrote so far, to standard output and to standard error.
struct Output {
    text: Mutex<String>,
    changed: watch::Sender<()>,
}

impl Output {
    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Program {
    /// Starts it with these arguments and environment, and nothing else of ours.
    pub(crate) fn start<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        config: &Path,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nightlatch-bot"))
            .args(arguments)
            .arg("--config")
            .arg(config)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the built program");
        let output = Arc::new(Output { text: Mutex::default(), changed: watch::Sender::new(()) });
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let readers = vec![read(stdout, Arc::clone(&output)), read(stderr, Arc::clone(&output))];
        Self { child, output, readers }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(id, signal).expect("our process");
    }

    /// Waits until it ends by itself, and tells how, and all that it wrote.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = patiently("the program's end", self.child.wait()).await.expect("our process");
        for reader in std::mem::take(&mut self.readers) {
            patiently("the end of its output", reader).await.expect("no panic");
        }
        (status, self.output.text())
    }

    /// Has it end as systemd does, and tells all that it wrote.
    pub(crate) async fn stop(self) -> String {
        self.signal(Signal::TERM);
        let (status, output) = self.ended().await;
        assert!(status.success(), "{status}");
        output
    }

    /// Waits until it wrote `part`.
    pub(crate) async fn wait_for_output(&self, part: &str) {
        let mut changes = self.output.changed.subscribe();
        let written = changes.wait_for(|()| self.output.text().contains(part));
        patiently(part, written).await.expect("the sender lives as long as this");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a test that fails is told with all that there is to see")]
            let () = eprintln!("---- the program wrote:\n{}", self.output.text());
        }
    }
}

fn read(mut stream: impl AsyncRead + Unpin + Send + 'static, output: Arc<Output>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut bytes = vec![0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut bytes).await {
            let text = String::from_utf8_lossy(&bytes[..length]);
            output.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            output.changed.send_replace(());
        }
    })
}
