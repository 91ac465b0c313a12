//! TLS for both ends of the loop: one certificate for this run, which the client trusts and nobody else does.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The name that the certificate is for.
pub const NAME: &str = "localhost";

/// What HTTP/2 is called in a handshake.
const ALPN: &[u8] = b"h2";

/// A connection after its handshake.
pub type Accepted = tokio_rustls::server::TlsStream<TcpStream>;

/// Makes `certificate.pem` and `key.pem` in `directory`.
pub fn make(directory: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])?;
    fs::write(directory.join("certificate.pem"), made.cert.pem())?;
    let key = directory.join("key.pem");
    fs::write(&key, made.signing_key.serialize_pem())?;
    crate::house::only_for_us(&key)
}

fn certificate(directory: &Path) -> Result<CertificateDer<'static>> {
    let path = directory.join("certificate.pem");
    CertificateDer::from_pem_file(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The echo's end.
pub fn acceptor(directory: &Path) -> Result<TlsAcceptor> {
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem"))?;
    let mut config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
        .with_no_client_auth()
        .with_single_cert(vec![certificate(directory)?], key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The client's end. Nothing is resumed: a node that boots has no ticket.
pub fn connector(directory: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(directory)?)?;
    let mut config =
        ClientConfig::builder_with_protocol_versions(&[&TLS13]).with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
