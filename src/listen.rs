//! Listeners and accepted connections: where bytes come from, and who is at the other end.

pub mod systemd;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::Connected;

use crate::peer::{OVERFLOW_UID, Peer, UnixPeer};

/// An accepted connection, and who is at its other end.
#[derive(Debug)]
pub struct Connection<Io, P> {
    io: Io,
    peer: P,
}

impl<Io, P> Connection<Io, P> {
    /// A connection with `peer`.
    pub const fn new(io: Io, peer: P) -> Self {
        Self { io, peer }
    }
}

/// Every request of the connection carries the peer in its extensions.
impl<Io, P: Clone + Send + Sync + 'static> Connected for Connection<Io, P> {
    type ConnectInfo = P;

    fn connect_info(&self) -> P {
        self.peer.clone()
    }
}

impl<Io: AsyncRead + Unpin, P: Unpin> AsyncRead for Connection<Io, P> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<Io: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Connection<Io, P> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Connections that wait to be served.
pub type Incoming<Io, P> = ReceiverStream<io::Result<Connection<Io, P>>>;

/// After a failed accept (most often: no more descriptors) the listener rests this long, and then tries again.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Accepts the peers of the Talos protocol on `listeners` until `stop` is cancelled.
#[must_use]
pub fn talos(listeners: Vec<TcpListener>, tasks: &TaskTracker, stop: &CancellationToken) -> Incoming<TcpStream, Peer> {
    let (accepted, incoming) = mpsc::channel(1);
    for listener in listeners {
        tasks.spawn(accept(listener, accepted.clone(), stop.clone(), async |listener: &TcpListener| {
            let (stream, address) = listener.accept().await?;
            // Listeners that systemd passes do not have it, and without it each fresh connection stalls for 40 ms.
            stream.set_nodelay(true)?;
            Ok(Connection::new(stream, Peer::plaintext(address)))
        }));
    }
    ReceiverStream::new(incoming)
}

/// Accepts the processes of an approval channel on `listener` until `stop` is cancelled.
#[must_use]
pub fn channel(
    listener: UnixListener,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Incoming<UnixStream, UnixPeer> {
    let (accepted, incoming) = mpsc::channel(1);
    tasks.spawn(accept(listener, accepted, stop.clone(), async |listener: &UnixListener| {
        let (stream, _) = listener.accept().await?;
        let credentials = rustix::net::sockopt::socket_peercred(stream.as_fd())?;
        let peer = UnixPeer { uid: credentials.uid.as_raw(), gid: credentials.gid.as_raw() };
        if peer.uid == OVERFLOW_UID {
            tracing::warn!(uid = peer.uid, "channel refused");
        }
        Ok(Connection::new(stream, peer))
    }));
    ReceiverStream::new(incoming)
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

async fn accept<L, C>(
    listener: L,
    accepted: mpsc::Sender<io::Result<C>>,
    stop: CancellationToken,
    next: impl AsyncFn(&L) -> io::Result<C>,
) {
    loop {
        let connection = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            connection = next(&listener) => connection,
        };
        match connection {
            Ok(connection) => {
                if accepted.send(Ok(connection)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}
