//! The life of the server: it starts, serves, and drains.

use std::convert::Infallible;
use std::io;
use std::net;
use std::os::unix::net as unix;
use std::sync::Arc;
use std::time::Duration;

use nightlatch_approval_api::v1::approvals_server::ApprovalsServer;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::services::{Ended, Services};
use super::sockets::Sockets;
use crate::approval::channel::{Channel, People};
use crate::approval::gate::Gate;
use crate::audit::log::{Log, Unrecorded};
use crate::audit::record::{Detail, Name, Started, Stopped};
use crate::clock::Clock;
use crate::config;
use crate::listen;
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

/// How often it is looked whether something ran out.
const TICK: Duration = Duration::from_secs(1);

/// How long open calls may take to end when the server stops. None is held for longer than 8 s.
const DRAIN: Duration = Duration::from_secs(10);

/// Longest message of a channel, in bytes.
const MAX_CHANNEL_MESSAGE_LEN: usize = 16 * 1024;

/// Calls that one connection of a channel may have open: it follows events, and people answer now and then.
const MAX_CHANNEL_CALLS: u32 = 64;

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The sockets cannot be used.
    #[error("cannot use the sockets")]
    Sockets(#[from] io::Error),
    /// A part of it ended, and the rest is of no use without it.
    #[error("cannot go on")]
    Ended(#[from] Ended),
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
        let (stopping, calls) = (CancellationToken::new(), TaskTracker::new());
        let mut services = self.start(sockets, &calls, &stopping)?;
        tracing::info!("serving started");
        let ended = services.until(stop).await;
        let reason = match &ended {
            Ok(reason) => (*reason).to_owned(),
            Err(ended) => ended.to_string(),
        };
        tracing::info!(reason, "serving stops");
        stopping.cancel();
        calls.close();
        let drained = tokio::time::timeout(DRAIN, async {
            calls.wait().await;
            self.gate.drain().await;
            services.drain_nodes().await;
        });
        if drained.await.is_err() {
            tracing::warn!("drain cut off");
        }
        drop(services);
        self.log.stop(Stopped { reason: Detail::new(&reason) }).await?;
        ended.map(|_| ()).map_err(ServeError::from)
    }

    fn start(&self, sockets: Sockets, calls: &TaskTracker, stopping: &CancellationToken) -> io::Result<Services> {
        let mut services = Services::default();
        let listeners = sockets.talos.into_iter().map(tcp).collect::<Result<Vec<_>, _>>()?;
        let admission = Arc::clone(&self.admission);
        let allows = move |address| admission.allows_address(address);
        let limits = super::limits::connections(sockets.channels.len());
        let incoming = listen::talos(listeners, limits, allows, &mut services.listeners, stopping);
        let serving = self.talos(calls).serve(incoming, stopping.clone().cancelled_owned());
        services.nodes.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "serving nodes failed");
            }
        });
        for (name, listener) in sockets.channels {
            let Some(service) = self.channel(&name) else { continue };
            let incoming = listen::channel(&name, unix(listener)?, &mut services.listeners, stopping);
            // Not drained: a channel's stream never ends by itself.
            let serving = listen::http2(MAX_CHANNEL_CALLS).add_service(service).serve_with_incoming(incoming);
            services.channels.spawn(async move {
                match serving.await {
                    Ok(()) => tracing::info!(channel = %name, "channel ended"),
                    Err(error) => tracing::error!(%error, channel = %name, "channel failed"),
                }
            });
        }
        let clockwork = self.clockwork();
        services.clockwork.spawn(async move {
            clockwork.await;
        });
        Ok(services)
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
