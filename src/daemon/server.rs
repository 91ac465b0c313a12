//! The life of the server: it starts, serves, and drains.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::mem;
use std::net;
use std::os::unix::net as unix;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nightlatch_approval_api::notify::Manager;
use nightlatch_approval_api::v1::approvals_server::ApprovalsServer;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, mpsc};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::asleep::Asleep;
use super::certificate::Certificate;
use super::idle;
use super::keys::Keys;
use super::metrics::{Asks, Metrics};
use super::overview::Overview;
use super::records;
use super::reload::{Origin, Reload};
use super::services::{Ended, Services};
use super::sockets::Sockets;
use super::status::Watch;
use crate::approval::channel::{Channel, Look, People};
use crate::approval::gate::Gate;
use crate::audit::log::{Log, Unrecorded};
use crate::audit::record::{Detail, Entry, Name, Started, StateSaved, Stopped};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::listen;
use crate::peer::admission::Admission;
use crate::peer::standing::LockedBy;
use crate::pipeline::Pipeline;
use crate::state::Generation;
use crate::wire::talos::Talos;

/// Everything but the sockets.
pub struct Server {
    pub(super) admission: Arc<Admission>,
    pub(super) gate: Arc<Gate>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) log: Log,
    pub(super) asks: Arc<Asks>,
    pub(super) keys: Arc<Keys>,
    /// The state's generation that was saved last.
    pub(super) generation: Arc<AtomicU64>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: Config,
    /// What nodes are shown; none without TLS.
    pub(super) certificate: Option<Arc<Certificate>>,
    /// The generation that the state has, when the audit log does not tell of it yet.
    pub(super) unrecorded: Option<Generation>,
}

/// What is around a running server: who tells it what to do, and who is told how it is.
#[derive(Debug)]
pub struct Surroundings {
    /// What it is told to do. Nobody may be left to tell it.
    pub orders: mpsc::Receiver<Order>,
    /// Where the configuration is read again; `None` when it comes from nowhere.
    pub origin: Option<Origin>,
    /// The service manager.
    pub manager: Manager,
    /// What it leaves behind when it ends because it is idle.
    pub asleep: Asleep,
}

/// What a running server is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Stop, for this reason; said twice, at once.
    Stop(&'static str),
    /// Read the configuration again, and the certificate.
    Reload,
}

/// How often it is looked whether something ran out.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// How long open calls may take to end when the server stops. Those that wait for people are let go at once.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the last record may take. The unit's TimeoutStopSec= is longer than both.
const LAST_RECORD: Duration = Duration::from_secs(5);

/// Longest message of a channel, in bytes.
const MAX_CHANNEL_MESSAGE_LEN: usize = 16 * 1024;

/// Calls that one connection of a channel may have open: it follows events, and people answer now and then.
const MAX_CHANNEL_CALLS: u32 = 64;

/// The reason of an end that nobody asked for, because nothing happened for long.
const IDLE: &str = "idle";

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
    /// The end could not be recorded in time.
    #[error("the audit log does not take its last record")]
    LogStuck,
    /// It was told to stop a second time, before open calls had ended.
    #[error("told twice to stop: calls and records that were under way are cut off")]
    CutOff,
}

impl Server {
    /// The service for nodes; its calls are tasks of `tasks`.
    #[must_use]
    pub fn talos(&self, tasks: &TaskTracker) -> Talos {
        Talos::new(Arc::clone(&self.pipeline), Arc::clone(&self.clock), tasks.clone())
    }

    /// The certificate that nodes are shown; `None` without TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// The service for the channel `name`, if the configuration has it.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<ApprovalsServer<Channel>> {
        self.channel_of(name).map(served)
    }

    fn channel_of(&self, name: &str) -> Option<Channel> {
        let channel = self.config.channels.iter().find(|channel| *channel.name == *name)?;
        let people = match channel.people {
            config::People::Uid => People::OwnUser,
            config::People::Telegram { uid } => People::Telegram { uid },
        };
        let installation = self.config.installation.to_string();
        let channel = Channel::new(name, people, &installation, Arc::clone(&self.gate), Arc::clone(&self.admission));
        let is_of_the_host = |channel: &config::Channel| channel.people == config::People::Uid;
        let has_host = self.config.channels.iter().any(is_of_the_host);
        Some(if has_host { channel.beside_the_host() } else { channel })
    }

    /// Serves until it is told to stop, or has nothing to do for long, and then lets open calls end.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn run(self, mut sockets: Sockets, around: Surroundings) -> Result<(), ServeError> {
        let Surroundings { mut orders, origin, manager, asleep } = around;
        asleep.remove();
        self.log.write(&self.first_records()).await?;
        let watch = Watch::new(Arc::clone(&self.gate), Arc::clone(&self.admission), Arc::new(manager));
        let watch = Arc::new(watch.with_certificate(self.certificate.clone(), Arc::clone(&self.clock)));
        let (stopping, calls) = (CancellationToken::new(), TaskTracker::new());
        let (accepted, reload) = (Arc::<AtomicU64>::default(), Arc::<Notify>::default());
        let quiet = self.config.exit_after_idle.filter(|_| sockets.inherited);
        if self.config.exit_after_idle.is_some() && quiet.is_none() {
            let hint = "only a service whose sockets systemd holds is started again: see nightlatch.socket";
            tracing::warn!(hint, "exit_after_idle not done");
        }
        if quiet.is_some() && !asleep.can_be_left() {
            let hint = "add RuntimeDirectory=nightlatch/server to the service, as nightlatch.service has it";
            tracing::warn!(hint, "exit_after_idle is undone by any attached channel");
        }
        let listeners = mem::take(&mut sockets.metrics);
        let look: Arc<dyn Look> = Arc::new(Overview::new(&self, &watch));
        let mut services = self.start(sockets, &calls, &accepted, &stopping, &look)?;
        Metrics::new(&self, &watch).serve(listeners, &mut services.listeners)?;
        services.clockwork.spawn({
            let watch = Arc::clone(&watch);
            async move { match watch.keep_telling().await {} }
        });
        if let Some(origin) = origin {
            let (running, certificate) = (self.config.clone(), self.certificate.clone());
            let (watch, asked) = (Arc::clone(&watch), Arc::clone(&reload));
            let mut reload = Reload { running, origin: Arc::new(origin), watch, certificate };
            services.clockwork.spawn(async move {
                loop {
                    asked.notified().await;
                    reload.run().await;
                }
            });
        }
        tracing::info!("serving started");
        watch.manager.ready();
        let ended = {
            let stop = async {
                tokio::select! {
                    reason = told_to_stop(&mut orders, &reload) => reason,
                    () = self.idle(quiet, &calls, &accepted) => IDLE,
                }
            };
            services.until(stop).await
        };
        if matches!(ended, Ok(IDLE)) {
            // Before the channels are cut off, which they would try to mend.
            asleep.leave();
        }
        tokio::select! {
            biased;
            _ = told_to_stop(&mut orders, &reload) => Err(ServeError::CutOff),
            finished = self.finish(ended, services, &watch, &calls, &stopping) => finished,
        }
    }

    /// That it began, and with what, where the log does not tell of that yet.
    fn first_records(&self) -> Vec<Entry> {
        let installation = Name::new(&self.config.installation.to_string());
        let started = Started { server_version: Name::new(env!("CARGO_PKG_VERSION")), installation };
        let unrecorded = self.unrecorded.map(|generation| StateSaved { generation: generation.get() }.into());
        let locked = self.gate.locked().filter(|lock| unrecorded.is_some() && lock.by == LockedBy::OlderState);
        let locked = locked.map(|lock| records::locked(&lock));
        std::iter::once(started.into()).chain(locked).chain(unrecorded).collect()
    }

    /// Lets what is under way end, and records the end.
    async fn finish(
        &self,
        ended: Result<&'static str, Ended>,
        mut services: Services,
        watch: &Watch,
        calls: &TaskTracker,
        stopping: &CancellationToken,
    ) -> Result<(), ServeError> {
        let mut reason = match &ended {
            Ok(reason) => (*reason).to_owned(),
            Err(ended) => ended.to_string(),
        };
        tracing::info!(reason, "serving stops");
        self.gate.stop();
        stopping.cancel();
        watch.manager.stopping();
        watch.tell();
        calls.close();
        let drained = tokio::time::timeout(DRAIN, async {
            calls.wait().await;
            self.gate.drain().await;
            services.drain_nodes().await;
            // Those of clients that hung up meanwhile.
            calls.wait().await;
        });
        if drained.await.is_err() {
            tracing::warn!(calls = calls.len(), "drain cut off");
            reason.push_str(&format!("; cut off after {} s, with {} open calls", DRAIN.as_secs(), calls.len()));
        }
        drop(services);
        // It stays on the screen of whoever looks at a service that has ended.
        watch.manager.status(&format!("ended: {reason}"));
        let stopped = self.log.stop(Stopped { reason: Detail::new(&reason) });
        tokio::time::timeout(LAST_RECORD, stopped).await.map_err(|_| ServeError::LogStuck)??;
        ended.map(|_| ()).map_err(ServeError::from)
    }

    /// Returns when nothing happened for as long as `quiet` says.
    async fn idle(&self, quiet: Option<Duration>, calls: &TaskTracker, accepted: &AtomicU64) {
        let Some(longest) = quiet else { return pending().await };
        let happened = || accepted.load(Ordering::Relaxed).wrapping_add(self.pipeline.calls());
        let under_way = || !calls.is_empty() || !self.gate.is_idle();
        idle::wait(longest, Arc::clone(&self.clock), happened, under_way).await;
    }

    fn start(
        &self,
        sockets: Sockets,
        calls: &TaskTracker,
        accepted: &Arc<AtomicU64>,
        stopping: &CancellationToken,
        look: &Arc<dyn Look>,
    ) -> io::Result<Services> {
        let mut services = Services::default();
        let listeners = sockets.talos.into_iter().map(tcp).collect::<Result<Vec<_>, _>>()?;
        let admission = Arc::clone(&self.admission);
        let allows = move |address| admission.allows_address(address);
        let accepted = Arc::clone(accepted);
        let limits = super::limits::connections(sockets.channels.len());
        let encryption = self.certificate.as_ref().map(|certificate| certificate.encryption());
        let incoming = listen::talos(listeners, limits, encryption, allows, &mut services.listeners, stopping);
        let incoming = incoming.map(move |connection| {
            accepted.fetch_add(1, Ordering::Relaxed);
            connection
        });
        // It stops when the listeners did: a connection that was accepted is served.
        let serving = self.talos(calls).serve(incoming, pending());
        services.nodes.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "serving nodes failed");
            }
        });
        for (name, listener) in sockets.channels {
            let Some(channel) = self.channel_of(&name) else { continue };
            let service = served(channel.with_look(Arc::clone(look)));
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
        if let Some(certificate) = self.certificate.clone() {
            let watch = certificate.watch(Arc::clone(&self.clock));
            services.clockwork.spawn(async move {
                watch.await;
            });
        }
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

fn served(channel: Channel) -> ApprovalsServer<Channel> {
    ApprovalsServer::new(channel).max_decoding_message_size(MAX_CHANNEL_MESSAGE_LEN)
}

/// Returns when it is told to stop; what it is told to read again, `reload` hears of meanwhile.
async fn told_to_stop(orders: &mut mpsc::Receiver<Order>, reload: &Notify) -> &'static str {
    loop {
        match orders.recv().await {
            Some(Order::Stop(reason)) => return reason,
            Some(Order::Reload) => reload.notify_one(),
            None => pending().await,
        }
    }
}

pub(super) fn tcp(listener: net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

pub(super) fn unix(listener: unix::UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

#[cfg(test)]
mod tests;
