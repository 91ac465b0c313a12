//! TLS 1.3 for nodes: what is offered, the handshake with its deadline, and the certificate that can be exchanged while
//! connections are open.

mod bounded;
mod rehearsal;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, InvalidMessage, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use bounded::Bounded;
pub use rehearsal::{Agreed, rehearse};

use crate::certificate::{Pair, provider};

/// How long a handshake may take. A node gives a whole call 10 s, and two round trips are enough.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// The only protocol that is spoken inside (RFC 7301): that of gRPC. Clients that offer others only are refused; those
/// that offer none, as grpc-go before 1.67, are served.
pub const ALPN: &[u8] = b"h2";

/// Longest record that is sent, in bytes: no answer is longer than 2 KiB.
const MAX_RECORD_LEN: usize = 4 * 1024;

/// Bytes that wait to be encrypted or sent on one connection.
const MAX_BUFFERED: usize = 16 * 1024;

/// What a server offers: TLS 1.3 with the certificate of `pair`, and nothing that outlives a connection. There is no
/// resumption, since a ticket is a key that would have to be kept; nodes make a new connection for each call, and each is
/// a full handshake with a key exchange of its own. No data comes before the handshake is done, so none can be replayed.
///
/// # Errors
/// Those of the library; the constants here cause none.
pub fn server_config(pair: &Pair) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        // The same for every name that is asked for, and for none: a node that calls an address sends none.
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(pair.certified()))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.ignore_client_order = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.max_fragment_size = Some(MAX_RECORD_LEN);
    Ok(config)
}

/// What new connections are offered, which can be exchanged.
#[derive(Debug)]
pub struct Encryption(RwLock<Arc<ServerConfig>>);

impl Encryption {
    /// Offers the certificate of `pair`.
    ///
    /// # Errors
    /// As [`server_config`].
    pub fn new(pair: &Pair) -> Result<Self, rustls::Error> {
        Ok(Self(RwLock::new(Arc::new(server_config(pair)?))))
    }

    /// Offers the certificate of `pair` to new connections. Those that are open go on.
    ///
    /// # Errors
    /// As [`server_config`]; then the former one stays.
    pub fn replace(&self, pair: &Pair) -> Result<(), rustls::Error> {
        let config = Arc::new(server_config(pair)?);
        // Nothing panics while it is held.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// The handshake on `io`, which ends after [`HANDSHAKE_TIME`] at the latest.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn accept<Io: AsyncRead + AsyncWrite + Unpin>(&self, io: Io) -> Result<Stream<Io>, HandshakeError> {
        let config = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let accepting =
            TlsAcceptor::from(config).accept_with(Bounded::new(io), |tls| tls.set_buffer_limit(Some(MAX_BUFFERED)));
        match tokio::time::timeout(HANDSHAKE_TIME, accepting).await {
            Ok(Ok(mut stream)) => {
                stream.get_mut().0.unbound();
                Ok(Stream::Tls(Box::new(stream)))
            }
            Ok(Err(error)) => Err(HandshakeError::from(error)),
            Err(_) => Err(HandshakeError::Late),
        }
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer says that it does not trust the certificate.
    #[error("the peer refuses the certificate ({0}): nightlatch check --tls says what is wrong with it")]
    CertificateRefused(&'static str),
    /// The peer says something that is no record of TLS: a node whose endpoint begins with `grpc://`, or noise.
    #[error("the peer does not speak TLS: the endpoint of a node has to begin with https:// and not with grpc://")]
    NotTls,
    /// It took too long.
    #[error("not finished within {} s", HANDSHAKE_TIME.as_secs())]
    Late,
    /// Its place was given to another connection.
    #[error("closed for a newer connection")]
    Replaced,
    /// The peer speaks another version, or another protocol inside, or went away.
    #[error(transparent)]
    Failed(io::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        let alert = match tls {
            Some(rustls::Error::AlertReceived(alert)) => alert,
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => return Self::NotTls,
            _ => return Self::Failed(error),
        };
        match alert {
            AlertDescription::BadCertificate => Self::CertificateRefused("bad certificate"),
            AlertDescription::CertificateExpired => Self::CertificateRefused("expired"),
            AlertDescription::CertificateUnknown => Self::CertificateRefused("certificate unknown"),
            AlertDescription::UnknownCA => Self::CertificateRefused("unknown authority"),
            AlertDescription::DecryptError => Self::CertificateRefused("a signature does not fit"),
            AlertDescription::UnsupportedCertificate => Self::CertificateRefused("unsupported certificate"),
            _ => Self::Failed(error),
        }
    }
}

/// The bytes of a connection, encrypted or not.
pub enum Stream<Io> {
    /// As they come.
    Plain(Io),
    /// Inside TLS.
    Tls(Box<TlsStream<Bounded<Io>>>),
}

impl<Io> fmt::Debug for Stream<Io> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Tls(_) => "Tls",
        })
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
