//! `nightlatch approvals`: the channel of people who sit at the host.

mod json;
pub(super) mod text;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::{Client, Follow, Update, connect, v1};
use tonic::{Code, Status};

use super::{APPROVERS_GROUP, Failure, check, exit};
use crate::clock::{Clock, HostClock};

/// Where the socket unit of the package puts it.
pub(super) const DEFAULT_SOCKET: &str = "/run/nightlatch/cli.sock";

/// See what nodes ask for, and answer
#[derive(Debug, Parser)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    server: Server,
    /// Print JSON, one object per line, for scripts
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// The channel's socket, instead of the one that the configuration names
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// Take the socket from this configuration
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what is open, and who is denied or blocked (this is what happens without a command)
    List,
    /// Follow what happens until interrupted
    Watch,
    /// Say yes: the node gets what it asks for, and the keys of its other volumes, for a few minutes
    Approve(Answer),
    /// Say no, and do not ask about this node from there again for a while (as configured: an hour)
    Deny(Answer),
    /// Say no for longer (as configured: a day), to an ask or to a whole node, and end what was approved for it
    Block(Block),
    /// End the denials and blocks of a node
    Unblock {
        /// The node's name or UUID
        node: String,
    },
}

#[derive(Debug, clap::Args)]
struct Answer {
    /// The code of the ask, which the node's console shows too
    code: String,
    /// How long it shall last, such as 30m, instead of as configured; an approval at most as the configuration allows
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct Block {
    /// The code of an ask, or a node's name or UUID
    target: String,
    /// How long it shall last, such as 7days, instead of as configured
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
}

/// How long the server may take, with its start. While it cannot start, systemd lets whoever connects wait for ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Does what the command says.
///
/// # Errors
/// When the server cannot be reached, or does not do it.
pub fn run(args: Args) -> Result<(), Failure> {
    let socket = args.server.socket()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::SOFTWARE, "cannot start").because(&error))?;
    runtime.block_on(async {
        let session = Session { client: connect(&socket), socket, json: args.json };
        let command = args.command.unwrap_or(Command::List);
        session.run_in_time(command).await
    })
}

impl Server {
    pub(super) fn socket(&self) -> Result<PathBuf, Failure> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let path = self.config.clone().unwrap_or_else(|| crate::config::DEFAULT_PATH.into());
        // Without the right to read the configuration the usual place is as good a guess as any.
        if self.config.is_none() && std::fs::File::open(&path).is_err() {
            return Ok(DEFAULT_SOCKET.into());
        }
        let (config, _) = check::load(&path)?;
        let own = |channel: &&crate::config::Channel| channel.people == crate::config::People::Uid;
        Ok(config
            .channels
            .iter()
            .filter(own)
            .find_map(|channel| channel.socket.clone())
            .unwrap_or_else(|| DEFAULT_SOCKET.into()))
    }
}

struct Session {
    client: Client,
    socket: PathBuf,
    json: bool,
}

impl Session {
    /// Only who watches waits for longer.
    async fn run_in_time(self, command: Command) -> Result<(), Failure> {
        let patience = if matches!(command, Command::Watch) { Duration::MAX } else { PATIENCE };
        tokio::time::timeout(patience, self.run(command)).await.unwrap_or_else(|_| Err(unanswered()))
    }

    async fn run(mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::List => {
                let snapshot = self.snapshot().await?;
                self.print(|now| text::snapshot(&snapshot, now), || json::snapshot(&snapshot))
            }
            Command::Watch => self.watch().await,
            Command::Approve(answer) => self.vote(&answer.code, v1::Verdict::Approve, answer.lasts).await,
            Command::Deny(answer) => self.vote(&answer.code, v1::Verdict::Deny, answer.lasts).await,
            Command::Block(block) => self.block(&block).await,
            Command::Unblock { node } => {
                let request = v1::UnblockRequest { node, telegram_id: None };
                let response = self.client.unblock(request).await;
                let ended = response.map_err(|status| refused(&self.socket, &status))?.into_inner().ended;
                self.print(|_| text::unblocked(ended), || json::unblocked(ended))
            }
        }
    }

    async fn snapshot(&mut self) -> Result<v1::Snapshot, Failure> {
        let unreached = |status: Status| refused(&self.socket, &status);
        let mut events = self.client.subscribe(v1::SubscribeRequest {}).await.map_err(unreached)?.into_inner();
        match events.message().await.map_err(unreached)? {
            Some(v1::Event { event: Some(Event::Snapshot(snapshot)) }) => Ok(snapshot),
            _ => Err(Failure::new(exit::SOFTWARE, "the server does not begin with what is open")
                .hint("server and command are of versions that do not fit; install the same version of both")),
        }
    }

    async fn vote(&mut self, code: &str, verdict: v1::Verdict, lasts: Option<Duration>) -> Result<(), Failure> {
        let Some(ask) = self.find(code).await? else {
            return Err(no_such_code(code));
        };
        self.vote_on(&ask, verdict, lasts).await
    }

    /// The ask with this code: an open one, or one that was closed a while ago, so that a late answer is told how.
    async fn find(&mut self, code: &str) -> Result<Option<v1::Ask>, Failure> {
        let snapshot = self.snapshot().await?;
        let closed = snapshot.closed.into_iter().rev().filter_map(|closed| closed.ask);
        Ok(snapshot.asks.into_iter().chain(closed).find(|ask| ask.code.eq_ignore_ascii_case(code.trim())))
    }

    async fn vote_on(&mut self, ask: &v1::Ask, verdict: v1::Verdict, lasts: Option<Duration>) -> Result<(), Failure> {
        let request = v1::VoteRequest {
            ask_id: ask.id.clone(),
            verdict: verdict.into(),
            telegram_id: None,
            for_seconds: lasts.map(whole_seconds),
        };
        let response = self.client.vote(request).await.map_err(|status| refused(&self.socket, &status))?.into_inner();
        match response.result() {
            v1::VoteResult::NotAnApprover => Err(Failure::new(
                exit::NO_PERMISSION,
                format!("you are no approver of {}", text::name(ask.node.as_ref())),
            )
            .hint("the configuration lists the approvers of each node; nothing was changed")),
            v1::VoteResult::Unknown | v1::VoteResult::Unspecified => Err(no_such_code(&ask.code)),
            _ => self.print(|now| text::vote(&response, now), || json::vote(&response)),
        }
    }

    async fn block(&mut self, block: &Block) -> Result<(), Failure> {
        if let Some(ask) = self.find(&block.target).await? {
            return self.vote_on(&ask, v1::Verdict::Block, block.lasts).await;
        }
        let request = v1::BlockRequest {
            node: block.target.clone(),
            telegram_id: None,
            for_seconds: block.lasts.map(whole_seconds),
        };
        let response = self.client.block(request).await.map_err(|status| refused(&self.socket, &status))?;
        let refusal = response.into_inner().refusal.unwrap_or_default();
        self.print(|now| text::refusal(&refusal, now), || json::refusal(&refusal))
    }

    async fn watch(self) -> Result<(), Failure> {
        let mut follow = Follow::new(&self.socket);
        let mut seen = Seen::default();
        loop {
            let update = tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(()),
                update = follow.next() => update.map_err(|status| refused(&self.socket, &status))?,
            };
            match update {
                Update::Connected(snapshot) => {
                    for ask in &snapshot.asks {
                        seen.is_news(ask);
                    }
                    self.print(|now| text::snapshot(&snapshot, now), || json::snapshot(&snapshot))?;
                }
                // One more attempt is nothing to scroll the terminal for, a new warning or vote is; scripts get everything.
                Update::Event(Event::Changed(ask)) if !self.json && !seen.is_news(&ask) => {}
                Update::Event(event) => {
                    if let Event::Opened(ask) = &event {
                        seen.is_news(ask);
                    }
                    self.print(|now| text::event(&event, now), || json::event(&event))?;
                }
                Update::Lost(status) => {
                    self.print(|_| text::lost(&self.socket), || json::lost(&status))?;
                }
                Update::Asleep => self.print(|_| text::asleep(), json::asleep)?,
            }
        }
    }

    /// Prints what is shown to a person, or what is shown to a script.
    fn print(
        &self,
        human: impl FnOnce(i64) -> String,
        script: impl FnOnce() -> serde_json::Value,
    ) -> Result<(), Failure> {
        let shown = if self.json { format!("{}\n", script()) } else { human(HostClock.now().wall.unix_millis()) };
        let mut stdout = io::stdout().lock();
        match stdout.write_all(shown.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(exit::IO, "cannot write to standard output").because(&error))
            }
            _ => Ok(()),
        }
    }
}

/// How many warnings and votes of each ask were shown.
#[derive(Default)]
struct Seen(HashMap<Vec<u8>, (usize, usize)>);

impl Seen {
    fn is_news(&mut self, ask: &v1::Ask) -> bool {
        // More asks than can be open at once were seen: old ones are among them.
        if self.0.len() > 10_000 {
            self.0.clear();
        }
        let shown = (ask.warnings.len(), ask.voted.len());
        self.0.insert(ask.id.clone(), shown).is_none_or(|before| before != shown)
    }
}

/// The warnings of an ask. One that only a newer version knows is `Unspecified`, and no less a warning.
fn warnings(ask: &v1::Ask) -> impl Iterator<Item = v1::Warning> + '_ {
    ask.warnings.iter().map(|&warning| v1::Warning::try_from(warning).unwrap_or(v1::Warning::Unspecified))
}

fn unanswered() -> Failure {
    Failure::new(exit::TEMPORARY, format!("the server has not answered within {} s", PATIENCE.as_secs())).hint(
        "systemctl status nightlatch.service says whether it can start; when it can, nightlatch approvals says whether \
         this was done",
    )
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn no_such_code(code: &str) -> Failure {
    Failure::new(exit::DATA, format!("no open ask has the code {}", text::printable(code))).hint(
        "nightlatch approvals lists what is open; an ask that was answered or forgotten is asked again by the node",
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
        Code::NotFound => Failure::new(exit::DATA, text::printable(status.message()))
            .hint("nightlatch check lists the nodes of the configuration"),
        Code::Unimplemented => Failure::new(exit::UNAVAILABLE, "the server does not know this call").hint(
            "it is of another version than this command: systemctl restart nightlatch.service runs the installed one",
        ),
        Code::InvalidArgument => Failure::new(exit::DATA, text::printable(status.message())),
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

    #[tokio::test(start_paused = true)]
    async fn a_server_that_cannot_start_is_not_waited_for_without_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("cli.sock");
        // As systemd holds it: whoever connects waits.
        let _listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
        let session = Session { client: connect(&socket), socket, json: false };
        let waited = tokio::time::timeout(Duration::from_secs(60), session.run_in_time(Command::List)).await;
        let failure = waited.expect("it ends").expect_err("nobody answers");
        assert_eq!(failure.code(), exit::TEMPORARY);
        assert!(failure.to_string().contains("systemctl status nightlatch.service"), "{failure}");
    }

    #[test]
    fn a_server_of_another_version_is_said_to_be_that() {
        let failure = refused(Path::new("/run/cli.sock"), &Status::unimplemented("")).to_string();
        assert!(failure.contains("the server does not know this call"), "{failure}");
        assert!(failure.contains("it is of another version than this command"), "{failure}");
    }
}
