//! TLS as a node speaks it, with the roots that a node has.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificate::examination::{MAX_ROOTS_LEN, named_roots, public_roots};
use crate::certificate::provider;
use crate::cli::{Failure, exit};
use crate::credential::contents::{self, Access};

/// Why there is no connection inside TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{0}")]
    Tcp(io::Error),
    #[error("{0} is no name of a server")]
    Name(String),
    #[error("{0}")]
    Tls(io::Error),
}

impl ConnectError {
    /// Whether a handshake is what `error` comes from: then a node would be refused, or refuse, as well.
    pub(super) fn is_tls(error: &(dyn Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(Self::Tls(_)) = cause.downcast_ref() {
                return true;
            }
            next = cause.source();
        }
        false
    }
}

/// TLS with Mozilla's roots, as any node has them, and those in the file `roots`.
///
/// # Errors
/// [`Failure`] when there are no roots in that file.
pub(super) fn config(roots: Option<&Path>) -> Result<Arc<ClientConfig>, Failure> {
    let mut trusted = public_roots();
    if let Some(path) = roots {
        let unusable = |text: String| Failure::new(exit::NO_INPUT, text).hint("name a file of certificates in PEM");
        let pem = contents::from_file(path, Access::Anyone, MAX_ROOTS_LEN)
            .map_err(|error| unusable("cannot read the roots".to_owned()).because(&error))?;
        let named = named_roots(pem.expose());
        trusted.extend(named.ok_or_else(|| unusable(format!("there is no root in {}", path.display())))?.roots);
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Failure::new(exit::SOFTWARE, "cannot prepare TLS").because(&error))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// A connection to the host in `uri`, which has a port.
///
/// # Errors
/// [`ConnectError`].
pub(super) async fn connect(
    config: Arc<ClientConfig>,
    uri: Uri,
) -> Result<TokioIo<TlsStream<TcpStream>>, ConnectError> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|_| ConnectError::Name(host.clone()))?;
    let stream = TcpStream::connect((&*host, uri.port_u16().unwrap_or(443))).await.map_err(ConnectError::Tcp)?;
    stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
    TlsConnector::from(config).connect(name, stream).await.map(TokioIo::new).map_err(ConnectError::Tls)
}
