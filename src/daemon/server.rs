//! The life of the server: it starts, serves, and drains.

use std::convert::Infallible;
use std::io;
use std::net;
use std::os::unix::net as unix;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nightlatch_approval_api::v1::approvals_server::ApprovalsServer;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approval::channel::{Channel, People};
use crate::approval::gate::Gate;
use crate::audit::log::{Log, Unrecorded};
use crate::audit::record::{Detail, Name, Started, Stopped};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::listen;
use crate::listen::systemd::{InheritError, Inherited};
use crate::peer::admission::Admission;
use crate::pipeline::Pipeline;
use crate::wire::talos::Talos;

/// Everything but the sockets.
pub struct Server {
    pub(super) admission: Arc<Admission>,
    pub(super) gate: Arc<Gate>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) log: Log,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) installation: Box<str>,
    pub(super) channels: Vec<config::Channel>,
}

/// Where the server listens.
#[derive(Debug, Default)]
pub struct Sockets {
    talos: Vec<net::TcpListener>,
    channels: Vec<(Box<str>, unix::UnixListener)>,
}

/// Why there is nowhere to listen.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// An address for nodes cannot be listened on.
    #[error("cannot listen on {0}")]
    Bind(net::SocketAddr, #[source] io::Error),
    /// A channel's socket cannot be listened on.
    #[error("cannot listen on {}", .0.display())]
    BindChannel(PathBuf, #[source] io::Error),
    /// What systemd passed does not fit the configuration.
    #[error("cannot use the sockets that systemd passed")]
    Inherit(#[from] InheritError),
    /// Nodes could not reach the server.
    #[error("there is no socket for nodes: systemd passed none named `talos`, and [listen] names no address")]
    NoTalos,
}

/// How often it is looked whether something ran out.
const TICK: Duration = Duration::from_secs(1);

/// How long open calls may take to end when the server stops. None is held for longer than 8 s.
const DRAIN: Duration = Duration::from_secs(10);

/// Longest message of a channel, in bytes.
const MAX_CHANNEL_MESSAGE_LEN: usize = 16 * 1024;

impl Sockets {
    /// Those that systemd passed, or else those that `config` names. Called before there are threads.
    ///
    /// # Errors
    /// [`SocketError`] when systemd passed others than `config` knows, or one cannot be listened on.
    pub fn open(config: &Config) -> Result<Self, SocketError> {
        let names: Vec<&str> = config.channels.iter().map(|channel| &*channel.name).collect();
        let sockets = match listen::systemd::inherit(&names)? {
            Some(Inherited { talos, channels, metrics }) => {
                if metrics.is_some() {
                    tracing::warn!("metrics unserved");
                }
                Self { talos, channels: channels.into_iter().map(|(name, socket)| (name.into(), socket)).collect() }
            }
            None => Self::bind(config)?,
        };
        if sockets.talos.is_empty() { Err(SocketError::NoTalos) } else { Ok(sockets) }
    }

    fn bind(config: &Config) -> Result<Self, SocketError> {
        let mut sockets = Self::default();
        for address in &config.listen.talos {
            let listener = net::TcpListener::bind(address).map_err(|error| SocketError::Bind(*address, error))?;
            sockets.talos.push(listener);
        }
        for channel in &config.channels {
            if let Some(path) = &channel.socket {
                let listener =
                    listen::bind_unix(path).map_err(|error| SocketError::BindChannel(path.clone(), error))?;
                sockets.channels.push((channel.name.clone(), listener));
            }
        }
        Ok(sockets)
    }

    /// The addresses at which nodes are served.
    #[must_use]
    pub fn talos_addresses(&self) -> Vec<net::SocketAddr> {
        self.talos.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The sockets cannot be used.
    #[error("cannot use the sockets")]
    Sockets(#[from] io::Error),
    /// Serving failed.
    #[error("serving failed")]
    Transport(#[from] tonic::transport::Error),
    /// The beginning or the end could not be recorded.
    #[error("cannot write the audit log")]
    Unrecorded(#[from] Unrecorded),
}

impl Server {
    /// The service for nodes; its calls are tasks of `tasks`.
    #[must_use]
    pub fn talos(&self, tasks: &TaskTracker) -> Talos {
        Talos::new(Arc::clone(&self.pipeline), Arc::clone(&self.clock), tasks.clone())
    }

    /// The service for the channel `name`, if the configuration has it.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<ApprovalsServer<Channel>> {
        let channel = self.channels.iter().find(|channel| *channel.name == *name)?;
        let people = match channel.people {
            config::People::Uid => People::OwnUser,
            config::People::Telegram { uid } => People::Telegram { uid },
        };
        let channel =
            Channel::new(name, people, &self.installation, Arc::clone(&self.gate), Arc::clone(&self.admission));
        Some(ApprovalsServer::new(channel).max_decoding_message_size(MAX_CHANNEL_MESSAGE_LEN))
    }

    /// Serves until `stop` resolves, and then lets open calls end.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn run(self, sockets: Sockets, stop: impl Future<Output = &'static str>) -> Result<(), ServeError> {
        let installation = Name::new(&self.installation);
        self.log
            .write(&[Started { server_version: Name::new(env!("CARGO_PKG_VERSION")), installation }.into()])
            .await?;
        let (stopping, accepting, calls) = (CancellationToken::new(), TaskTracker::new(), TaskTracker::new());
        let nodes = {
            let listeners = sockets.talos.into_iter().map(tcp).collect::<Result<Vec<_>, _>>()?;
            let incoming = listen::talos(listeners, &accepting, &stopping);
            self.talos(&calls).serve(incoming, stopping.clone().cancelled_owned())
        };
        for (name, listener) in sockets.channels {
            let Some(service) = self.channel(&name) else { continue };
            let incoming = listen::channel(unix(listener)?, &accepting, &stopping);
            // Not drained: a channel's stream never ends by itself.
            let serving = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
            tokio::spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, channel = %name, "channel failed");
                }
            });
        }
        let clockwork = tokio::spawn(self.clockwork());
        let nodes = tokio::spawn(nodes);
        tracing::info!("serving started");
        let reason = stop.await;
        tracing::info!(reason, "serving stops");
        stopping.cancel();
        calls.close();
        let drained = tokio::time::timeout(DRAIN, async {
            calls.wait().await;
            self.gate.drain().await;
            nodes.await
        })
        .await;
        clockwork.abort();
        self.log.stop(Stopped { reason: Detail::new(reason) }).await?;
        match drained {
            Ok(Ok(served)) => Ok(served?),
            Ok(Err(_)) => Ok(()),
            Err(_) => {
                tracing::warn!("drain cut off");
                Ok(())
            }
        }
    }

    /// What has to happen although nobody calls: asks expire, notices and sums of refusals are due.
    pub fn clockwork(&self) -> impl Future<Output = Infallible> + Send + 'static {
        let (gate, log, clock) = (Arc::clone(&self.gate), self.log.clone(), Arc::clone(&self.clock));
        async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Err(error) = gate.tick().await {
                    tracing::error!(%error, "tick unrecorded");
                }
                log.flush_refusals(clock.now()).await;
            }
        }
    }
}

fn tcp(listener: net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn unix(listener: unix::UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}
