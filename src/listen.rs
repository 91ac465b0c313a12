//! Listeners and accepted connections: where bytes come from, who is at the other end, and how many may be.

mod connection;
pub mod limits;
pub mod systemd;
pub mod tls;

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

pub use connection::{Caller, Connection, LONGEST_WITHOUT_CALL, MAX_AGE, MAX_AGE_GRACE};
use limits::{Limits, OpenConnections, Slot};
use tls::{Encryption, HandshakeError, Stream};

use crate::peer::{OVERFLOW_UID, Peer, UnixPeer};

/// Connections that wait to be served.
pub type Incoming<Io, P> = ReceiverStream<io::Result<Connection<Io, P>>>;

/// After a failed accept (most often: no more descriptors) the listener rests this long, and then tries again.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Idle connections of nodes that are closed when there are no more descriptors.
const SHED_AT_ONCE: usize = 16;

/// How often a listener tells at most what it turned away.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Bytes that a peer may send of one message before they are consumed. No message is longer.
const STREAM_WINDOW: u32 = 16 * 1024;

/// The same for all messages of a connection: the least that HTTP/2 allows (RFC 9113, 6.9.2). The library's default is
/// 1 MiB, which a peer could make the server hold on every connection.
const CONNECTION_WINDOW: u32 = 65_535;

/// Longest headers of a call, in bytes as HTTP/2 counts them. Those of gRPC have a few hundred.
const MAX_HEADER_LIST_LEN: u32 = 8 * 1024;

/// Streams that a peer may reset before the server came to them; then the connection ends (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 16;

/// Streams of one connection that the server resets because they are wrong; then the connection ends.
const MAX_WRONG_STREAMS: usize = 32;

/// A server of HTTP/2 for short messages: what a connection can make it hold is bounded. `max_calls` is the number of
/// calls that one connection may have open.
pub fn http2(max_calls: u32) -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .max_concurrent_streams(max_calls)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(MAX_HEADER_LIST_LEN)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(MAX_WRONG_STREAMS))
}

/// Accepts the peers of the Talos protocol on `listeners` until `stop` is cancelled, as many as `limits` say, and inside
/// TLS if there is an `encryption`. Those whose address `allows` does not like are let go unheard.
#[must_use]
pub fn talos(
    listeners: Vec<TcpListener>,
    limits: Limits<Peer>,
    encryption: Option<&Arc<Encryption>>,
    allows: impl Fn(IpAddr) -> bool + Clone + Send + Sync + 'static,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Incoming<Stream<TcpStream>, Peer> {
    let (accepted, incoming) = mpsc::channel(1);
    let open = Arc::new(OpenConnections::new(limits));
    for listener in listeners {
        let (allows, open, encryption) = (allows.clone(), Arc::clone(&open), encryption.cloned());
        let next = async move |listener: &TcpListener, turned_away: &mut TurnedAway| {
            let (stream, address) = listener.accept().await.inspect_err(|error| {
                if is_out_of_descriptors(error) {
                    open.shed(SHED_AT_ONCE);
                }
            })?;
            let peer = if encryption.is_some() { Peer::encrypted(address) } else { Peer::plaintext(address) };
            if !allows(peer.address) {
                turned_away.outside += 1;
                return Ok(None);
            }
            // Listeners that systemd passes do not have it, and without it each fresh connection stalls for 40 ms.
            stream.set_nodelay(true)?;
            let Some(slot) = turned_away.or_place(peer, &open) else { return Ok(None) };
            Ok(Some(match &encryption {
                None => Arrival::Ready(node(Stream::Plain(stream), peer, slot)),
                Some(encryption) => Arrival::Handshake(Box::pin(handshake(Arc::clone(encryption), stream, peer, slot))),
            }))
        };
        tasks.spawn(accept(listener, "talos".into(), accepted.clone(), stop.clone(), next));
    }
    ReceiverStream::new(incoming)
}

fn node(stream: Stream<TcpStream>, peer: Peer, slot: Slot<Peer>) -> Connection<Stream<TcpStream>, Peer> {
    Connection::new(stream, peer).for_calls().in_place(slot)
}

/// The connection already has its place, which may be given to a newer one while the handshake lasts.
async fn handshake(
    encryption: Arc<Encryption>,
    stream: TcpStream,
    peer: Peer,
    slot: Slot<Peer>,
) -> Result<Connection<Stream<TcpStream>, Peer>, HandshakeError> {
    tokio::select! {
        biased;
        () = slot.closed.cancelled() => Err(HandshakeError::Replaced),
        encrypted = encryption.accept(stream) => Ok(node(encrypted?, peer, slot)),
    }
}

/// Accepts the processes of the approval channel `name` on `listener` until `stop` is cancelled.
#[must_use]
pub fn channel(
    name: &str,
    listener: UnixListener,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Incoming<UnixStream, UnixPeer> {
    let (accepted, incoming) = mpsc::channel(1);
    let open = OpenConnections::new(Limits::CHANNEL);
    let next = async move |listener: &UnixListener, turned_away: &mut TurnedAway| {
        let (stream, _) = listener.accept().await?;
        let credentials = rustix::net::sockopt::socket_peercred(stream.as_fd())?;
        let peer = UnixPeer { uid: credentials.uid.as_raw(), gid: credentials.gid.as_raw() };
        if peer.uid == OVERFLOW_UID {
            // Served all the same: the call's answer tells the caller why it may do nothing.
            turned_away.unknown_user += 1;
        }
        let slot = turned_away.or_place(peer, &open);
        Ok(slot.map(|slot| Arrival::Ready(Connection::new(stream, peer).in_place(slot))))
    };
    tasks.spawn(accept(listener, name.into(), accepted, stop.clone(), next));
    ReceiverStream::new(incoming)
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Listens on `path`, which may be the left-over of a server that is gone. The directory decides who can reach it; who
/// may use it, the kernel's word on the caller's user does.
///
/// # Errors
/// Those of bind(2), and `AddrInUse` when somebody listens there already.
pub fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let is_left_over =
        || UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_socket && is_left_over() {
        std::fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

/// What a listener did not serve since it told last. Peers cause it, so it must not fill the journal.
#[derive(Debug, Default)]
struct TurnedAway {
    /// Peers outside the allowed networks.
    outside: u64,
    /// Peers for whom there was no place.
    too_many: u64,
    /// Idle connections that were closed for newer ones.
    replaced: u64,
    /// Processes whose user the kernel cannot name.
    unknown_user: u64,
    failed: u64,
    last_failure: Option<io::Error>,
    /// Peers that do not trust the server's certificate.
    certificate_refused: u64,
    /// Other handshakes that came to nothing.
    no_handshake: u64,
    last_handshake: Option<HandshakeError>,
}

/// What an accept brings.
enum Arrival<C> {
    /// A connection that can be served.
    Ready(C),
    /// One that has yet to be encrypted, in a task of its own: whoever is slow at it delays nobody else.
    Handshake(Pin<Box<dyn Future<Output = Result<C, HandshakeError>> + Send>>),
}

impl TurnedAway {
    /// A place for a connection of `peer`, if there is one.
    fn or_place<P: Copy>(&mut self, peer: P, open: &OpenConnections<P>) -> Option<Slot<P>> {
        let Ok(slot) = open.enter(peer) else {
            self.too_many += 1;
            return None;
        };
        self.replaced += u64::from(slot.replaces);
        Some(slot)
    }

    fn no_handshake(&mut self, error: HandshakeError) {
        match error {
            // Counted when its place was given away.
            HandshakeError::Replaced => {}
            HandshakeError::CertificateRefused(_) => {
                self.certificate_refused += 1;
                self.last_handshake = Some(error);
            }
            HandshakeError::NotTls | HandshakeError::Late | HandshakeError::Failed(_) => {
                self.no_handshake += 1;
                // A refused certificate is what somebody has to see to: noise does not hide it.
                if self.certificate_refused == 0 {
                    self.last_handshake = Some(error);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        let Self { outside, too_many, replaced, unknown_user, failed, certificate_refused, no_handshake, .. } = self;
        let counts = [outside, too_many, replaced, unknown_user, failed, certificate_refused, no_handshake];
        counts.into_iter().all(|count| *count == 0)
    }

    fn tell(&mut self, listener: &str) {
        let Self {
            outside,
            too_many,
            replaced,
            unknown_user,
            failed,
            last_failure,
            certificate_refused,
            no_handshake,
            last_handshake,
        } = std::mem::take(self);
        let error = last_failure.map(tracing::field::display);
        let handshake = last_handshake.map(tracing::field::display);
        tracing::warn!(
            listener,
            outside,
            too_many,
            replaced,
            unknown_user,
            failed,
            certificate_refused,
            no_handshake,
            error,
            handshake,
            "connections turned away"
        );
    }
}

async fn accept<L, C: Send + 'static>(
    listener: L,
    name: Box<str>,
    accepted: mpsc::Sender<io::Result<C>>,
    stop: CancellationToken,
    next: impl AsyncFn(&L, &mut TurnedAway) -> io::Result<Option<Arrival<C>>>,
) {
    let mut turned_away = TurnedAway::default();
    // As many as there may be connections. They end with this function.
    let mut handshakes = JoinSet::new();
    // The first tick is due at once, and after a quiet time so is the next one.
    let mut report = tokio::time::interval(REPORT_EVERY);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let arrival = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = report.tick(), if !turned_away.is_empty() => {
                turned_away.tell(&name);
                continue;
            }
            Some(ended) = handshakes.join_next() => match ended {
                Ok(Ok(connection)) => Ok(Some(Arrival::Ready(connection))),
                Ok(Err(error)) => {
                    turned_away.no_handshake(error);
                    continue;
                }
                // What the panic said may quote the peer.
                Err(_panic) => {
                    turned_away.no_handshake(HandshakeError::Failed(io::Error::other("a bug ended it")));
                    continue;
                }
            },
            arrival = next(&listener, &mut turned_away) => arrival,
        };
        match arrival {
            Ok(Some(Arrival::Ready(connection))) => {
                if accepted.send(Ok(connection)).await.is_err() {
                    return;
                }
            }
            Ok(Some(Arrival::Handshake(handshake))) => {
                handshakes.spawn(handshake);
            }
            Ok(None) => {}
            Err(error) => {
                turned_away.failed += 1;
                turned_away.last_failure = Some(error);
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
