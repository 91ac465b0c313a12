//! An accepted connection, and when it ends although its peer does not close it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
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
    lifetime: Option<Lifetime>,
    place: Option<Place<P>>,
}

/// A connection of the Talos protocol without a call in progress ends after this long, whatever its peer sends: that is
/// the time for the preface, settings, headers and body of a first call, and for those of a next one. A node sends its
/// call as soon as it is connected.
pub const LONGEST_WITHOUT_CALL: Duration = Duration::from_secs(15);

/// A connection of the Talos protocol is asked to end after this long. A node makes one call on each.
pub const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// After another half a minute it is cut off. No call that is in progress takes longer.
pub const MAX_AGE_GRACE: Duration = Duration::from_secs(30);

/// When a connection ends whatever its peer does.
#[derive(Debug)]
struct Lifetime {
    accepted: Instant,
    /// When to look next. One timer for both bounds, which bytes that arrive do not touch.
    look: Pin<Box<Sleep>>,
}

impl Lifetime {
    fn begin() -> Self {
        let look = tokio::time::sleep(LONGEST_WITHOUT_CALL);
        Self { accepted: look.deadline() - LONGEST_WITHOUT_CALL, look: Box::pin(look) }
    }

    /// Why the connection is over, if it is.
    fn is_over(&mut self, calls: &Calls, cx: &mut Context<'_>) -> Option<&'static str> {
        let last = self.accepted + MAX_AGE + MAX_AGE_GRACE;
        while self.look.as_mut().poll(cx).is_ready() {
            let now = self.look.deadline();
            if now >= last {
                return Some("open for too long");
            }
            let next = match calls.idle_since(self.accepted) {
                None => now + LONGEST_WITHOUT_CALL,
                Some(since) if since + LONGEST_WITHOUT_CALL > now => since + LONGEST_WITHOUT_CALL,
                Some(_) => return Some("no call for too long"),
            };
            self.look.as_mut().reset(next.min(last));
        }
        None
    }
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
        Self { io, peer, calls: Calls::default(), lifetime: None, place: None }
    }

    /// Ends the connection when its place is given to another.
    #[must_use]
    pub fn in_place(mut self, slot: Slot<P>) -> Self {
        self.calls = slot.calls.clone();
        self.place = Some(Place { closed: Box::pin(slot.closed.clone().cancelled_owned()), _slot: slot });
        self
    }

    /// Ends the connection when it has no call for [`LONGEST_WITHOUT_CALL`], and at the end of [`MAX_AGE_GRACE`].
    #[must_use]
    pub fn for_calls(mut self) -> Self {
        self.lifetime = Some(Lifetime::begin());
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
        if let Some(lifetime) = &mut self.lifetime
            && let Some(why) = lifetime.is_over(&self.calls, cx)
        {
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
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
        self.check(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
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
    use tokio::time::timeout;

    use super::*;
    use crate::listen::limits::{Limits, OpenConnections};

    const ALMOST: Duration = Duration::from_secs(14);

    fn connection() -> (DuplexStream, Connection<DuplexStream, UnixPeer>) {
        let (near, far) = duplex(4);
        (near, Connection::new(far, UnixPeer { uid: 1, gid: 1 }))
    }

    async fn bounded<T>(waiting: impl Future<Output = T>) -> T {
        timeout(LONGEST_WITHOUT_CALL + ALMOST, waiting).await.expect("it ends")
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_without_a_call_is_let_go() {
        let (_near, connection) = connection();
        let mut connection = connection.for_calls();
        timeout(ALMOST, connection.read_u8()).await.expect_err("it waits");
        let ended = bounded(connection.read_u8()).await.expect_err("no call");
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_lengthen_nothing() {
        let (mut near, connection) = connection();
        let mut connection = connection.for_calls();
        let began = connection.lifetime.as_ref().expect("bounded").accepted;
        let trickle = async {
            loop {
                near.write_u8(1).await.expect("its other end lives");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let read_all = async { while connection.read_u8().await.is_ok() {} };
        bounded(async {
            tokio::select! {
                () = read_all => {}
                () = trickle => {}
            }
        })
        .await;
        assert_eq!(began.elapsed().as_secs(), LONGEST_WITHOUT_CALL.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_keeps_the_connection_and_its_end_starts_the_time_anew() {
        let (_near, connection) = connection();
        let mut connection = connection.for_calls();
        let began = connection.lifetime.as_ref().expect("bounded").accepted;
        let calls = connection.calls.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ALMOST).await;
            let call = calls.begin();
            tokio::time::sleep(Duration::from_secs(40)).await;
            drop(call);
        });
        timeout(Duration::from_secs(120), connection.read_u8()).await.expect("it ends").expect_err("no call");
        assert_eq!(began.elapsed().as_secs(), 14 + 40 + 15);
    }

    #[tokio::test(start_paused = true)]
    async fn no_connection_lives_for_ever() {
        let (_near, connection) = connection();
        let mut connection = connection.for_calls();
        let began = connection.lifetime.as_ref().expect("bounded").accepted;
        let _for_ever = connection.calls.begin();
        timeout(2 * MAX_AGE, connection.read_u8()).await.expect("it ends").expect_err("too old");
        assert_eq!(began.elapsed().as_secs(), (MAX_AGE + MAX_AGE_GRACE).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_let_go() {
        let (_near, connection) = connection();
        let mut connection = connection.for_calls();
        let ended = bounded(connection.write_all(&[0; 64])).await.expect_err("no call");
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
