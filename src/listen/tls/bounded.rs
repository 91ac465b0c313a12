//! What a peer may make the server read before the handshake is done.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that a peer may send until its handshake is done. A hello with a hybrid key exchange has 2 KiB, the rest less
/// than 200 bytes; the library would keep 64 KiB of a hello that does not end, on each connection.
const MAX_HANDSHAKE_LEN: usize = 16 * 1024;

/// A connection of which no more than [`MAX_HANDSHAKE_LEN`] is read, until it is [unbounded](Self::unbound).
#[derive(Debug)]
pub struct Bounded<Io> {
    io: Io,
    /// Bytes that may still be read; `None` means without end.
    left: Option<usize>,
}

impl<Io> Bounded<Io> {
    pub(super) fn new(io: Io) -> Self {
        Self { io, left: Some(MAX_HANDSHAKE_LEN) }
    }

    /// The handshake is done.
    pub(super) fn unbound(&mut self) {
        self.left = None;
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Bounded<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(left) = self.left else { return Pin::new(&mut self.io).poll_read(cx, buf) };
        if left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the handshake is too long")));
        }
        // One read may go beyond it: the library asks for 4 KiB at a time.
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.left = Some(left.saturating_sub(buf.filled().len() - before));
        polled
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Bounded<Io> {
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
