//! `nightlatch serve`: the server itself.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use nightlatch_approval_api::notify::Manager;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{Failure, check, exit};
use crate::audit;
use crate::clock::HostClock;
use crate::config::{self, Config, LogLevel, Tls};
use crate::credential::contents::ContentsError;
use crate::credential::{self, terminal};
use crate::daemon::asleep::Asleep;
use crate::daemon::certificate::CertificateError;
use crate::daemon::keys::KeyError;
use crate::daemon::open::OpenError;
use crate::daemon::reload::{Origin, load_again};
use crate::daemon::{Order, ServeError, Server, SocketError, Sockets, Surroundings, limits, logging, memory, panics};
use crate::key::passphrase::NotTaken;
use crate::state;

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
    let Args { config: path, state_directory, listen, log_level } = args;
    let on_top = move |config: &mut Config| {
        if let Some(directory) = &state_directory {
            config.state_directory.clone_from(directory);
        }
        if !listen.is_empty() {
            config.listen.talos.clone_from(&listen);
        }
        config.log.level = log_level.unwrap_or(config.log.level);
    };
    on_top(&mut config);
    let logging = logging::start(&config.log);
    // Before there are threads: it reads variables, and clears them.
    let inherited = Sockets::inherit(&config).map_err(|error| socket_failure(&error));
    panics::install();
    let levels = logging.levels();
    let cannot_start = |error: io::Error| Failure::new(exit::SOFTWARE, "cannot start").because(&error);
    let _forwarding = logging.forward().map_err(cannot_start)?;
    for warning in &warnings {
        tracing::warn!(%warning, "configuration doubtful");
    }
    if config.tls == Tls::Off {
        tracing::warn!(tls = "off", "connections unencrypted");
    }
    limits::raise_descriptors();
    // Before any key is read.
    memory::protect();
    let inherited = inherited?;
    let server = Server::open(&config, Arc::new(HostClock)).map_err(|error| open_failure(&error))?;
    // Not before the state is held: whoever can connect finds a server that can answer.
    let sockets = inherited.map_or_else(|| Sockets::bind(&config), Ok).map_err(|error| socket_failure(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot_start)?;
    let (manager, asleep) = (Manager::from_environment(), Asleep::from_environment());
    let ended = runtime.block_on(async {
        let origin = Some(Origin { load: load_again(path, on_top), levels });
        let around = Surroundings { orders: orders()?, origin, manager, asleep };
        for address in sockets.talos_addresses() {
            tracing::info!(%address, "listening");
        }
        server.run(sockets, around).await.map_err(|error| serve_failure(&error))
    });
    // A write that hangs is not waited for: all that had to be written was.
    runtime.shutdown_background();
    ended
}

fn serve_failure(error: &ServeError) -> Failure {
    let failure = |code| Failure::new(code, "the server ended").because(error);
    match error {
        ServeError::Ended(_) => failure(exit::SOFTWARE)
            .hint("start it again, which systemd does by itself, and report what the lines above say: this is a bug"),
        ServeError::LogStuck => failure(exit::IO).hint("the disk with the audit log hangs: look at it"),
        ServeError::CutOff => failure(exit::TEMPORARY),
        ServeError::Sockets(_) | ServeError::Unrecorded(_) => failure(exit::UNAVAILABLE),
    }
}

/// What signals tell the server to do.
fn orders() -> Result<mpsc::Receiver<Order>, Failure> {
    let failed = |error: io::Error| Failure::new(exit::SOFTWARE, "cannot wait for signals").because(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let (sender, orders) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                _ = terminate.recv() => Order::Stop("SIGTERM"),
                _ = interrupt.recv() => Order::Stop("SIGINT"),
                _ = hangup.recv() => Order::Reload,
            };
            if sender.send(order).await.is_err() {
                return;
            }
        }
    });
    Ok(orders)
}

fn socket_failure(error: &SocketError) -> Failure {
    let code = match error {
        SocketError::Bind(..) => exit::UNAVAILABLE,
        SocketError::BindChannel(..) => exit::CANNOT_CREATE,
        SocketError::Inherit(_) | SocketError::NoTalos => exit::CONFIG,
    };
    Failure::new(code, error.to_string()).because(error).hint(error.hint())
}

fn open_failure(error: &OpenError) -> Failure {
    let (code, hint) = match error {
        OpenError::Audit { source, .. } => (audit_code(source), source.hint().to_owned()),
        OpenError::Certificate(source) => (certificate_code(source), source.hint()),
        OpenError::Keys(KeyError::Key { source, .. }) => (key_code(source), source.hint()),
        OpenError::Keys(KeyError::TypedAtTheStart { .. }) => {
            (exit::TEMPORARY, "start nightlatch serve again, and type it".to_owned())
        }
        OpenError::Keys(KeyError::NoSealingKey) => (exit::CONFIG, "set seals = true for one [[key]]".to_owned()),
        OpenError::Keys(KeyError::Passphrase { source: NotTaken::OtherKeyId(_), .. }) => {
            let hint = "type it again: upper and lower case differ; salt, memory, passes and lanes must be those that \
                        keygen --passphrase printed with the key id";
            (exit::DATA, hint.to_owned())
        }
        OpenError::Keys(KeyError::Passphrase { .. }) => {
            (exit::UNAVAILABLE, "give the service more memory: MemoryMax=, LimitMEMLOCK=".to_owned())
        }
        OpenError::Keys(KeyError::Stretching { .. }) => (exit::CONFIG, "correct memory, passes and lanes".to_owned()),
        OpenError::Keys(KeyError::Typed { source: terminal::Error::NotAPassphrase(_), .. }) => {
            (exit::DATA, "type the one that keygen --passphrase showed".to_owned())
        }
        OpenError::Keys(KeyError::Typed { .. }) => {
            (exit::NO_INPUT, "start it at a terminal, or have systemd ask: ask = \"systemd\"".to_owned())
        }
        OpenError::State { source, .. } => (state_code(source), source.hint().to_owned()),
    };
    Failure::new(code, error.to_string()).because(error).hint(hint)
}

/// The exit code for a certificate that cannot be used.
pub(super) fn certificate_code(error: &CertificateError) -> u8 {
    match error {
        CertificateError::Read { source: ContentsError::Access(source), .. } => key_code(source),
        _ => exit::DATA,
    }
}

/// The exit code for a key or another file that cannot be read.
pub(super) fn key_code(error: &credential::Error) -> u8 {
    match error {
        credential::Error::Missing { .. } | credential::Error::NoDirectory { .. } => exit::NO_INPUT,
        credential::Error::Name { .. } => exit::CONFIG,
        credential::Error::NotAFile { .. }
        | credential::Error::NotAPassphrase { .. }
        | credential::Error::Weak { .. }
        | credential::Error::WrongLength { .. } => exit::DATA,
        credential::Error::TooOpen { .. } => exit::NO_PERMISSION,
        credential::Error::Unreadable { source, .. } => io_code(source),
    }
}

/// The exit code for a state that cannot be used.
pub(super) fn state_code(error: &state::Error) -> u8 {
    match error {
        state::Error::Absent(_) => exit::NO_INPUT,
        state::Error::Exists(_) => exit::CANNOT_CREATE,
        state::Error::Exposed { .. } => exit::NO_PERMISSION,
        state::Error::InUse(_) => exit::TEMPORARY,
        state::Error::Io { source, .. } => io_code(source),
        state::Error::Unreadable { source: state::Unreadable::Foreign { .. }, .. } => exit::CONFIG,
        state::Error::NotAFile(_) | state::Error::Unreadable { .. } | state::Error::Unwritable(_) => exit::DATA,
    }
}

/// The exit code for an audit log that cannot be used.
pub(super) fn audit_code(error: &audit::file::Error) -> u8 {
    match error {
        audit::file::Error::InUse(_) => exit::TEMPORARY,
        audit::file::Error::Io { source, .. } => io_code(source),
        _ => exit::DATA,
    }
}

pub(super) fn io_code(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::PermissionDenied => exit::NO_PERMISSION,
        io::ErrorKind::NotFound => exit::NO_INPUT,
        _ => exit::IO,
    }
}
