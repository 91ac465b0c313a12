//! What takes connections and hands them on: so a test can end all of them at once, and put TLS in front.

#![expect(clippy::expect_used, reason = "a test that cannot be prepared has failed")]

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Hands connections on to `target`. It ends, with all of them, when it is dropped.
pub struct Front {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// Certificates for a test: who vouches, and what for.
pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    root: String,
}

impl Front {
    /// Without TLS, on this address or a free port.
    pub async fn plain(target: SocketAddr, address: Option<SocketAddr>) -> Self {
        Self::start(target, address, None).await
    }

    /// With TLS, on a free port, with a certificate for these names.
    pub async fn tls(target: SocketAddr, authority: &Authority, names: &[&str]) -> Self {
        Self::start(target, None, Some(authority.acceptor(names))).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and waits until it has.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ended = (&mut self.task).await;
    }

    async fn start(target: SocketAddr, address: Option<SocketAddr>, acceptor: Option<TlsAcceptor>) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(address.unwrap_or(free)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(carry(stream, target, acceptor.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, task }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(stream: TcpStream, target: SocketAddr, acceptor: Option<TlsAcceptor>) {
    match acceptor {
        None => join(stream, target).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                join(stream, target).await;
            }
        }
    }
}

async fn join(mut stream: impl AsyncRead + AsyncWrite + Unpin, target: SocketAddr) {
    if let Ok(mut inner) = TcpStream::connect(target).await {
        // Either side may go away at any time.
        let _ended = copy_bidirectional(&mut stream, &mut inner).await;
    }
}

impl Authority {
    /// One of its own, made now.
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&key).expect("a certificate").pem();
        Self { issuer: rcgen::Issuer::new(parameters, key), root }
    }

    /// Its certificate, in PEM.
    pub fn root(&self) -> Vec<u8> {
        self.root.clone().into_bytes()
    }

    fn acceptor(&self, names: &[&str]) -> TlsAcceptor {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let parameters = rcgen::CertificateParams::new(names).expect("names");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a pair");
        TlsAcceptor::from(Arc::new(config))
    }
}
