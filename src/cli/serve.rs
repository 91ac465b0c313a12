//! `nightlatch serve`: the server itself.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, check, exit};
use crate::clock::HostClock;
use crate::config::{self, LogLevel};
use crate::daemon::open::OpenError;
use crate::daemon::{Server, SocketError, Sockets, logging};

/// Answer nodes, and ask people first
#[derive(Debug, Parser)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// Keep state and audit log here, instead of where the configuration says
    #[arg(long, value_name = "DIR")]
    state_directory: Option<PathBuf>,
    /// Listen for nodes here, instead of where the configuration says; not with sockets from systemd
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,
    /// Least severe events that are shown: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    log_level: Option<LogLevel>,
}

fn level(word: &str) -> Result<LogLevel, String> {
    [LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
        .into_iter()
        .find(|level| level.as_str() == word)
        .ok_or_else(|| "one of off, error, warn, info, debug, trace".to_owned())
}

/// Serves until it is told to stop.
///
/// # Errors
/// When it cannot start, or cannot go on.
pub fn run(args: Args) -> Result<(), Failure> {
    let (mut config, warnings) = check::load(&args.config)?;
    if let Some(directory) = args.state_directory {
        config.state_directory = directory;
    }
    if !args.listen.is_empty() {
        config.listen.talos = args.listen;
    }
    if let Some(level) = args.log_level {
        config.log.level = level;
    }
    logging::start(&config.log);
    for warning in &warnings {
        tracing::warn!(%warning, "configuration doubtful");
    }
    tracing::warn!(tls = "off", "connections unencrypted");
    // Before the runtime: it reads and clears variables, which only a process without threads may.
    let sockets = Sockets::open(&config).map_err(|error| socket_failure(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::SOFTWARE, "cannot start").because(&error))?;
    runtime.block_on(async {
        let server = Server::open(&config, Arc::new(HostClock)).map_err(|error| open_failure(&error))?;
        let stop = stop_signal()?;
        for address in sockets.talos_addresses() {
            tracing::info!(%address, "listening");
        }
        server
            .run(sockets, stop)
            .await
            .map_err(|error| Failure::new(exit::UNAVAILABLE, "the server ended").because(&error))
    })
}

/// Resolves when somebody wants the server to stop.
fn stop_signal() -> Result<impl Future<Output = &'static str>, Failure> {
    let failed = |error: std::io::Error| Failure::new(exit::SOFTWARE, "cannot wait for signals").because(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

fn socket_failure(error: &SocketError) -> Failure {
    let failure = |code| Failure::new(code, error.to_string()).because(error);
    match error {
        SocketError::Bind(..) => {
            failure(exit::UNAVAILABLE).hint("another process may listen there: ss -ltnp shows which")
        }
        SocketError::BindChannel(..) => failure(exit::CANNOT_CREATE)
            .hint("its directory must exist and be writable for this user, and no other server may listen there"),
        SocketError::Inherit(_) => failure(exit::CONFIG).hint(
            "FileDescriptorName= in the socket units must be `talos`, `metrics`, or `approval-` and a channel's name",
        ),
        SocketError::NoTalos => {
            failure(exit::CONFIG).hint("add [listen] talos = [\"ADDRESS:4050\"], or start the socket unit")
        }
    }
}

fn open_failure(error: &OpenError) -> Failure {
    let failure = |code| Failure::new(code, error.to_string()).because(error);
    match error {
        OpenError::Audit { .. } => failure(exit::IO)
            .hint("without its audit log the server releases nothing; mend the disk, or move the file aside"),
        OpenError::Key { source, .. } => failure(exit::NO_INPUT).hint(source.hint()),
        OpenError::NoSealingKey => failure(exit::CONFIG).hint("set seals = true for one [[key]]"),
        OpenError::State { source, .. } => failure(exit::CONFIG).hint(source.hint()),
    }
}
