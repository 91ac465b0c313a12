//! An accepted connection, and when it ends although its peer does not close it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use super::limits::{Call, Calls, Slot};
use crate::peer::{Peer, UnixPeer};

/// An accepted connection, and who is at its other end.
#[derive(Debug)]
pub struct Connection<Io, P> {
    io: Io,
    peer: P,
    calls: Calls,
    silence: Option<Silence>,
    place: Option<Place<P>>,
}

/// For how long nothing was received.
#[derive(Debug)]
struct Silence {
    longest: Duration,
    ends: Pin<Box<Sleep>>,
}

#[derive(Debug)]
struct Place<P> {
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Held for as long as the connection is open.
    _slot: Slot<P>,
}

/// Who makes a call of the Talos protocol: what every request carries in its extensions.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The far end of its connection.
    pub peer: Peer,
    calls: Calls,
}

impl Caller {
    /// Keeps the connection from being taken for an idle one.
    pub fn begin_call(&self) -> Call {
        self.calls.begin()
    }
}

impl<Io, P> Connection<Io, P> {
    /// A connection with `peer` that ends when one of the two closes it.
    #[must_use]
    pub fn new(io: Io, peer: P) -> Self {
        Self { io, peer, calls: Calls::default(), silence: None, place: None }
    }

    /// Ends the connection when its place is given to another.
    #[must_use]
    pub fn in_place(mut self, slot: Slot<P>) -> Self {
        self.calls = slot.calls.clone();
        self.place = Some(Place { closed: Box::pin(slot.closed.clone().cancelled_owned()), _slot: slot });
        self
    }

    /// Ends the connection when the peer sends nothing for longer than `longest`.
    #[must_use]
    pub fn silent_for(mut self, longest: Duration) -> Self {
        self.silence = Some(Silence { longest, ends: Box::pin(tokio::time::sleep(longest)) });
        self
    }

    /// Whether the connection must end. Asked by everything that waits for the peer, since whoever serves the connection
    /// waits for one thing at a time: with a peer that does not read what is written, for that alone.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(place) = &mut self.place
            && place.closed.as_mut().poll(cx).is_ready()
        {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed for a newer connection"));
        }
        if let Some(silence) = &mut self.silence
            && silence.ends.as_mut().poll(cx).is_ready()
        {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing received for too long"));
        }
        Ok(())
    }
}

impl<Io> Connected for Connection<Io, Peer> {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        Caller { peer: self.peer, calls: self.calls.clone() }
    }
}

impl<Io> Connected for Connection<Io, UnixPeer> {
    type ConnectInfo = UnixPeer;

    fn connect_info(&self) -> UnixPeer {
        self.peer
    }
}

impl<Io: AsyncRead + Unpin, P: Unpin> AsyncRead for Connection<Io, P> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before
            && let Some(silence) = &mut self.silence
        {
            silence.ends.set(tokio::time::sleep(silence.longest));
        }
        self.check(cx)?;
        read
    }
}

impl<Io: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Connection<Io, P> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{advance, timeout};

    use super::*;
    use crate::listen::limits::{Limits, OpenConnections};

    const LONGEST: Duration = Duration::from_secs(15);
    const ALMOST: Duration = Duration::from_secs(14);

    fn connection() -> (DuplexStream, Connection<DuplexStream, UnixPeer>) {
        let (near, far) = duplex(4);
        (near, Connection::new(far, UnixPeer { uid: 1, gid: 1 }))
    }

    async fn bounded<T>(waiting: impl Future<Output = T>) -> T {
        timeout(LONGEST + ALMOST, waiting).await.expect("it ends")
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_let_go() {
        let (_near, connection) = connection();
        let mut connection = connection.silent_for(LONGEST);
        let nothing_yet = timeout(ALMOST, connection.read_u8()).await;
        nothing_yet.expect_err("it waits");
        let ended = bounded(connection.read_u8()).await.expect_err("silence");
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn every_byte_starts_the_silence_anew() {
        let (mut near, connection) = connection();
        let mut connection = connection.silent_for(LONGEST);
        for byte in 0..3 {
            advance(ALMOST).await;
            near.write_u8(byte).await.expect("open");
            assert_eq!(connection.read_u8().await.expect("open"), byte);
        }
        let ended = bounded(connection.read_u8()).await.expect_err("silence");
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_let_go() {
        let (_near, connection) = connection();
        let mut connection = connection.silent_for(LONGEST);
        let ended = bounded(connection.write_all(&[0; 64])).await.expect_err("silence");
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_place_is_given_away_ends_at_once() {
        let open = OpenConnections::new(Limits { total: 1, per_peer: 1, replaces_idle: true, ..Limits::CHANNEL });
        let (_near, connection) = connection();
        let peer = connection.peer;
        let mut connection = connection.in_place(open.enter(peer).expect("a place"));
        let waiting = tokio::spawn(async move { connection.read_u8().await });
        tokio::task::yield_now().await;
        let _newer = open.enter(peer).expect("a place");
        let ended = bounded(waiting).await.expect("no panic").expect_err("replaced");
        assert_eq!(ended.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_bounds_waits() {
        let (mut near, mut connection) = connection();
        timeout(Duration::from_secs(86_400), connection.read_u8()).await.expect_err("it waits");
        near.write_u8(7).await.expect("open");
        assert_eq!(connection.read_u8().await.expect("open"), 7);
    }
}
