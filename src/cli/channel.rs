//! The way from a command to the server: the channel of people who sit at the host.

pub(super) mod json;
pub(super) mod text;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::{Client, connect, v1};
use tonic::{Code, Response, Status};

use super::{APPROVERS_GROUP, Failure, check, exit};
use crate::clock::{Clock, HostClock};

/// Where the socket unit of the package puts it.
pub(super) const DEFAULT_SOCKET: &str = "/run/nightlatch/cli.sock";

/// How long the server may take, with its start. While it cannot start, systemd lets whoever connects wait for ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// What every command that speaks to the server takes.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The channel's socket, instead of the one that the configuration names
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// Take the socket from this configuration
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print JSON, one object per line, for scripts
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Options {
    /// Does `work` with the server, which has [`PATIENCE`] for all of it.
    ///
    /// # Errors
    /// When the server cannot be reached or takes too long, and those of `work`.
    pub(super) fn speak(self, work: impl AsyncFnOnce(&mut Session) -> Result<(), Failure>) -> Result<(), Failure> {
        self.stay(async |session| in_time(work(session)).await)
    }

    /// Does `work` with the server for as long as it takes: following it, or waiting for a person at the keyboard.
    ///
    /// # Errors
    /// When the configuration cannot be read, and those of `work`.
    pub(super) fn stay(self, work: impl AsyncFnOnce(&mut Session) -> Result<(), Failure>) -> Result<(), Failure> {
        let socket = self.socket()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(exit::SOFTWARE, "cannot start").because(&error))?;
        runtime.block_on(async { work(&mut Session::new(socket, self.json)).await })
    }

    /// Where the server is.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub(super) fn socket(&self) -> Result<PathBuf, Failure> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        match &self.config {
            Some(path) => configured(path).map_err(|failure| failure.also("--socket PATH reaches a server that runs")),
            None => Ok(usual(Path::new(crate::config::DEFAULT_PATH))),
        }
    }
}

/// Where the configuration at `path` says that the server is.
fn configured(path: &Path) -> Result<PathBuf, Failure> {
    let (config, _) = check::load(path)?;
    let own = |channel: &&crate::config::Channel| channel.people == crate::config::People::Uid;
    let named = config.channels.iter().filter(own).find_map(|channel| channel.socket.clone());
    Ok(named.unwrap_or_else(|| DEFAULT_SOCKET.into()))
}

/// Where it is when nobody says which configuration, and the usual one is at `path`. A server that runs does so with the file as
/// it was: a mistake in it since must not keep people from answering, nor must the lack of a right to read it.
fn usual(path: &Path) -> PathBuf {
    if std::fs::File::open(path).is_err() {
        return DEFAULT_SOCKET.into();
    }
    configured(path).unwrap_or_else(|_| {
        let path = path.display();
        let warning = format!(
            "nightlatch: warning: {path} cannot be used (nightlatch check says why); trying {DEFAULT_SOCKET}\n"
        );
        // Nobody is left to tell when this cannot be written.
        drop(io::stderr().write_all(warning.as_bytes()));
        DEFAULT_SOCKET.into()
    })
}

/// One command's conversation with the server.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) socket: PathBuf,
    pub(super) json: bool,
}

impl Session {
    /// A session over `socket`, which prints for scripts if `json`. Needs a tokio runtime.
    pub(super) fn new(socket: PathBuf, json: bool) -> Self {
        Self { client: connect(&socket), socket, json }
    }

    /// What the server answered to a call, or what its refusal means for a person.
    pub(super) fn answer<T>(&self, answered: Result<Response<T>, Status>) -> Result<T, Failure> {
        answered.map(Response::into_inner).map_err(|status| refused(&self.socket, &status))
    }

    /// How things stand now.
    pub(super) async fn snapshot(&mut self) -> Result<v1::Snapshot, Failure> {
        let answered = self.client.subscribe(v1::SubscribeRequest {}).await;
        let first = self.answer(answered)?.message().await;
        match first.map_err(|status| refused(&self.socket, &status))? {
            Some(v1::Event { event: Some(Event::Snapshot(snapshot)) }) => Ok(snapshot),
            _ => Err(Failure::new(exit::SOFTWARE, "the server does not begin with what is open")
                .hint("server and command are of versions that do not fit; install the same version of both")),
        }
    }

    /// Prints what is shown to a person, who is told the time, or what is shown to a script.
    pub(super) fn print(
        &self,
        human: impl FnOnce(i64) -> String,
        script: impl FnOnce() -> serde_json::Value,
    ) -> Result<(), Failure> {
        print(&if self.json { format!("{}\n", script()) } else { human(now()) })
    }
}

/// What `work` comes to, unless the server takes longer than [`PATIENCE`] for it.
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(unanswered()))
}

/// Now, in milliseconds since 1970-01-01 00:00 UTC.
pub(super) fn now() -> i64 {
    HostClock.now().wall.unix_millis()
}

/// Writes `text` to standard output at once.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(exit::IO, "cannot write to standard output").because(&error))
        }
        _ => Ok(()),
    }
}

/// The warnings of an ask. One that only a newer version knows is `Unspecified`, and no less a warning.
pub(super) fn warnings(ask: &v1::Ask) -> impl Iterator<Item = v1::Warning> + '_ {
    ask.warnings.iter().map(|&warning| v1::Warning::try_from(warning).unwrap_or(v1::Warning::Unspecified))
}

/// A length of time as requests carry it.
pub(super) fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn unanswered() -> Failure {
    Failure::new(exit::TEMPORARY, format!("the server has not answered within {} s", PATIENCE.as_secs())).hint(
        "systemctl status nightlatch.service says whether it can start; when it can, nightlatch approvals says whether \
         this was done",
    )
}

/// The end of a chain of errors, which names what failed; what is before it names libraries.
fn last<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// What a status of the channel's service means for the person at the keyboard.
pub(super) fn refused(socket: &Path, status: &Status) -> Failure {
    match status.code() {
        Code::PermissionDenied => {
            Failure::new(exit::NO_PERMISSION, format!("the server refuses: {}", text::printable(status.message())))
                .hint("run it as a user who is listed as approver with this uid, or as root to look only")
        }
        Code::NotFound => {
            Failure::new(exit::DATA, text::printable(status.message())).hint("nightlatch nodes lists the nodes")
        }
        Code::Unimplemented => Failure::new(exit::UNAVAILABLE, "the server does not know this call").hint(
            "it is of another version than this command: systemctl restart nightlatch.service runs the installed one",
        ),
        // It says itself what has to be done first.
        Code::FailedPrecondition => Failure::new(exit::DECLINED, text::printable(status.message())),
        Code::InvalidArgument | Code::AlreadyExists => Failure::new(exit::DATA, text::printable(status.message())),
        Code::Unavailable | Code::Unknown if status.source().is_some() => {
            let why = last(status);
            let failure =
                |code| Failure::new(code, format!("cannot reach the server on {}", socket.display())).because(why);
            match why.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::PermissionDenied) => failure(exit::NO_PERMISSION).hint(format!(
                    "only the group {APPROVERS_GROUP} may: id -nG says whether you are in it; a session from before you \
                     were put into it is not, log in anew"
                )),
                _ => failure(exit::UNAVAILABLE)
                    .hint("is nightlatch running? systemctl status nightlatch.service nightlatch-cli.socket"),
            }
        }
        _ => Failure::new(exit::TEMPORARY, text::printable(status.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As systemd holds it: whoever connects waits.
    #[test]
    fn a_server_that_cannot_start_is_not_waited_for_without_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("cli.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let options = Options { socket: Some(socket), config: None, json: false };
        let failure = options
            .stay(async |session| {
                tokio::time::pause();
                let waited = tokio::time::timeout(PATIENCE * 4, in_time(session.snapshot())).await;
                waited.expect("it ends").map(drop)
            })
            .expect_err("nobody answers");
        assert_eq!(failure.code(), exit::TEMPORARY);
        assert!(failure.to_string().contains("systemctl status nightlatch.service"), "{failure}");
    }

    #[test]
    fn a_mistake_in_the_configuration_keeps_nobody_from_answering() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("nightlatch.toml");
        assert_eq!(usual(&path), Path::new(DEFAULT_SOCKET), "there is none");
        let text = include_str!("../../systemd/nightlatch.toml").to_owned();
        let channel = "\n[[channel]]\nname = \"here\"\npeople = \"uid\"\nsocket = \"/run/here.sock\"\n";
        std::fs::write(&path, text + channel).expect("our file");
        assert_eq!(usual(&path), Path::new("/run/here.sock"));
        std::fs::write(&path, "[[channel]").expect("our file");
        assert_eq!(usual(&path), Path::new(DEFAULT_SOCKET));
        let named = Options { socket: None, config: Some(path), json: false }.socket().expect_err("that file is meant");
        assert_eq!(named.code(), exit::CONFIG);
    }

    #[test]
    fn a_server_of_another_version_is_said_to_be_that() {
        let failure = refused(Path::new("/run/cli.sock"), &Status::unimplemented("")).to_string();
        assert!(failure.contains("the server does not know this call"), "{failure}");
        assert!(failure.contains("it is of another version than this command"), "{failure}");
    }
}
