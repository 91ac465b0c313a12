//! The server under attack, a node that behaves, and the connections of those who do not.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use nightlatch::wire::stubs::Request;
use nightlatch::wire::stubs::kms_service_client::KmsServiceClient;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use tonic::Status;
use tonic::transport::Endpoint;

use crate::frames::{self, GOAWAY, Received};
use crate::installation::{CP_1, Installation, Server};

/// Bounds every wait; nothing is asserted about how long anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Most that the server may grow by while it is attacked, in KiB.
pub(crate) const MOST_GROWTH: u64 = 8 * 1024;

/// How bytes get to the server. With TLS this is the place for a handshake.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Road {
    Plaintext,
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

impl Target {
    pub(crate) fn start() -> Self {
        let installation = Installation::new();
        let server = installation.start();
        Self::of(installation, server)
    }

    pub(crate) fn of(installation: Installation, server: Server) -> Self {
        Self { installation, server, road: Road::Plaintext, calls: AtomicU8::new(1) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.installation.address()
    }

    /// A connection from `address`.
    pub(crate) fn connect(&self, address: Ipv4Addr) -> Box<dyn Stream> {
        match self.road {
            Road::Plaintext => Box::new(tcp(address, self.address())),
        }
    }

    /// A node that behaves is answered.
    pub(crate) async fn assert_serves(&self) {
        let address = Ipv4Addr::new(127, 0, 99, self.calls.fetch_add(1, Ordering::Relaxed));
        self.ask(address, CP_1).await.expect("a node that behaves is answered");
    }

    /// One Seal in the name of `node`, from `address`.
    pub(crate) async fn ask(&self, address: Ipv4Addr, node: &str) -> Result<Vec<u8>, Status> {
        let server = self.address();
        let connector = tower::service_fn(move |_: http::Uri| async move {
            let stream = tokio::task::spawn_blocking(move || tcp(address, server)).await.expect("no panic");
            stream.set_nonblocking(true)?;
            tokio::net::TcpStream::from_std(stream).map(TokioIo::new)
        });
        let endpoint = Endpoint::from_static("http://localhost").timeout(PATIENCE);
        let channel = endpoint.connect_with_connector(connector).await;
        let mut client = KmsServiceClient::new(channel.map_err(|error| Status::from_error(error.into()))?);
        let question = Request { node_uuid: node.to_owned(), data: vec![0x5A; 32] };
        Ok(client.seal(question).await?.into_inner().data)
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
