//! The server under attack, a node that behaves, and the connections of those who do not.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use nightlatch::wire::stubs::Request;
use nightlatch::wire::stubs::kms_service_client::KmsServiceClient;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tonic::Status;
use tonic::transport::Endpoint;

use crate::certificate;
use crate::frames::{self, GOAWAY, Received};
use crate::installation::{CP_1, Installation, Server};

/// Bounds every wait; nothing is asserted about how long anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Most that the server may grow by while it is attacked, in KiB.
pub(crate) const MOST_GROWTH: u64 = 8 * 1024;

/// How bytes get to the server.
#[derive(Debug, Clone)]
pub(crate) enum Road {
    Plaintext,
    /// With a handshake first, which trusts the server's certificate.
    Tls(Arc<ClientConfig>),
}

impl Road {
    /// Gives `installation` a certificate, and the way to a server that has it.
    pub(crate) fn encrypted(installation: &Installation) -> Self {
        let made = certificate::make(b"of the key in its file".to_vec());
        let files = [
            ("chain", made.chain.as_bytes()),
            ("key", made.key.as_bytes()),
            ("passphrase", made.passphrase.as_slice()),
        ];
        let [chain, key, passphrase] = files.map(|(name, bytes)| {
            let path = installation.path().join(format!("tls-{name}"));
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a new file");
            file.write_all(bytes).expect("written");
            path.display().to_string()
        });
        installation.edit("tls = \"off\"", "");
        let text = fs::read_to_string(installation.configuration()).expect("a configuration");
        let tls = format!(
            "\n[tls]\ncertificate = \"{chain}\"\nkey = \"{key}\"\nkey_passphrase_file = \"{passphrase}\"\n\
             names = [\"127.0.0.1\"]\n"
        );
        fs::write(installation.configuration(), text + &tls).expect("a configuration");
        Self::Tls(Arc::new(client(&made.root)))
    }
}

/// A client that trusts this root, and offers what a node's does.
fn client(root: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// By which nodes call the server: they send no name then (RFC 6066, 3).
pub(crate) fn name() -> ServerName<'static> {
    ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST))
}

/// A running server, and how it is reached.
pub(crate) struct Target {
    pub(crate) installation: Installation,
    server: Server,
    road: Road,
    /// Counts the calls of the node that behaves. Each comes from another address: a node has a bucket of some twenty.
    calls: AtomicU8,
}

/// One connection with it.
pub(crate) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

trait AsyncStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> AsyncStream for T {}

impl Target {
    pub(crate) fn start() -> Self {
        let installation = Installation::new();
        let server = installation.start();
        Self::of(installation, server, Road::Plaintext)
    }

    pub(crate) fn start_encrypted() -> Self {
        let installation = Installation::new();
        let road = Road::encrypted(&installation);
        let server = installation.start();
        Self::of(installation, server, road)
    }

    pub(crate) fn of(installation: Installation, server: Server, road: Road) -> Self {
        Self { installation, server, road, calls: AtomicU8::new(1) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.installation.address()
    }

    /// A connection from `address`.
    pub(crate) fn connect(&self, address: Ipv4Addr) -> Box<dyn Stream> {
        match &self.road {
            Road::Plaintext => Box::new(self.tcp(address)),
            Road::Tls(config) => Box::new(self.tls(address, config)),
        }
    }

    /// The same before any handshake.
    pub(crate) fn tcp(&self, address: Ipv4Addr) -> TcpStream {
        tcp(address, self.address())
    }

    /// A connection of a client with this configuration. The handshake comes with the first byte.
    pub(crate) fn tls(
        &self,
        address: Ipv4Addr,
        config: &Arc<ClientConfig>,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        StreamOwned::new(ClientConnection::new(Arc::clone(config), name()).expect("a client"), self.tcp(address))
    }

    /// What a client is made of that is served.
    pub(crate) fn client(&self) -> ClientConfig {
        let Road::Tls(config) = &self.road else { panic!("without TLS") };
        ClientConfig::clone(config)
    }

    /// A node that behaves is answered.
    pub(crate) async fn assert_serves(&self) {
        let address = Ipv4Addr::new(127, 0, 99, self.calls.fetch_add(1, Ordering::Relaxed));
        self.ask(address, CP_1).await.expect("a node that behaves is answered");
    }

    /// One Seal in the name of `node`, from `address`.
    pub(crate) async fn ask(&self, address: Ipv4Addr, node: &str) -> Result<Vec<u8>, Status> {
        let (server, road) = (self.address(), self.road.clone());
        let connector = tower::service_fn(move |_: http::Uri| {
            let road = road.clone();
            async move {
                let stream = tokio::task::spawn_blocking(move || tcp(address, server)).await.expect("no panic");
                stream.set_nonblocking(true)?;
                let stream = tokio::net::TcpStream::from_std(stream)?;
                let stream: Box<dyn AsyncStream> = match road {
                    Road::Plaintext => Box::new(stream),
                    Road::Tls(config) => Box::new(TlsConnector::from(config).connect(name(), stream).await?),
                };
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        });
        let endpoint = Endpoint::from_static("http://localhost").timeout(PATIENCE);
        let channel = endpoint.connect_with_connector(connector).await;
        let mut client = KmsServiceClient::new(channel.map_err(|error| Status::from_error(error.into()))?);
        let question = Request { node_uuid: node.to_owned(), data: vec![0x5A; 32] };
        Ok(client.seal(question).await?.into_inner().data)
    }

    /// Descriptors that the server has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.server.child.id())).expect("a process").count()
    }

    /// What the server holds in memory, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it tells its memory");
        line.trim_end_matches("kB").trim().parse().expect("a number")
    }
}

/// A TCP connection from one of the addresses of 127.0.0.0/8, all of which are loopback.
fn tcp(address: Ipv4Addr, server: SocketAddr) -> TcpStream {
    // Not for the servers that other tests start meanwhile.
    let flags = SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a socket");
    net::bind(&socket, &SocketAddr::from((address, 0))).expect("a loopback address");
    net::connect(&socket, &server).expect("the server listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("it is TCP");
    stream
}

/// What the server said until it hung up, and whether it did within our patience.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) frames: Vec<Received>,
    pub(crate) ended: bool,
}

impl Heard {
    /// Whether the server ended the connection, with a word or without.
    pub(crate) fn is_cut(&self) -> bool {
        self.ended || self.frames.iter().any(|frame| frame.kind == GOAWAY)
    }
}

/// Sends `bytes` in pieces, and reads what comes: until the server says GOAWAY, hangs up, or answers the PING at the end.
pub(crate) fn throw(connection: &mut dyn Stream, pieces: impl IntoIterator<Item = Vec<u8>>) -> Heard {
    let mut heard = Heard::default();
    for piece in pieces {
        if connection.write_all(&piece).is_err() {
            heard.ended = true;
            break;
        }
    }
    // Behind everything else: its answer means that all was looked at.
    let _sent = connection.write_all(&frames::frame(frames::PING, 0, 0, b"the last"));
    let (mut bytes, mut buffer) = (vec![], [0; 4096]);
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => heard.ended = true,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) => heard.ended = !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
        let read_last = bytes.windows(8).any(|window| window == b"the last");
        heard.frames.extend(frames::take(&mut bytes));
        if heard.is_cut() || read_last {
            return heard;
        }
        assert!(!bytes.is_empty() || !heard.frames.is_empty(), "the server says nothing");
    }
}
