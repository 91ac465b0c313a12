//! What the network may throw at the server: after each of it, a node that behaves is still answered.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::installation::{CP_1, Installation, WORKER_2};
use nightlatch::listen::limits::raise_descriptor_limit;
use nightlatch::wire::stubs::Request;
use nightlatch::wire::stubs::kms_service_client::KmsServiceClient;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Bounds every wait here; nothing is asserted about how long anything takes.
const PATIENCE: Duration = Duration::from_secs(10);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn client(address: SocketAddr) -> Result<KmsServiceClient<Channel>, Status> {
    let endpoint = Channel::builder(format!("http://{address}").parse().map_err(|_| Status::internal("no URL"))?);
    let channel = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect().await;
    channel.map(KmsServiceClient::new).map_err(|error| Status::from_error(error.into()))
}

async fn seal(address: SocketAddr, node: &str, data: &[u8]) -> Result<Vec<u8>, Status> {
    let question = Request { node_uuid: node.to_owned(), data: data.to_vec() };
    client(address).await?.seal(question).await.map(|answer| answer.into_inner().data)
}

async fn unseal(address: SocketAddr, node: &str, data: &[u8]) -> Result<Vec<u8>, Status> {
    let question = Request { node_uuid: node.to_owned(), data: data.to_vec() };
    client(address).await?.unseal(question).await.map(|answer| answer.into_inner().data)
}

/// A node that behaves gets back what it had sealed.
pub(crate) async fn assert_serves(address: SocketAddr) {
    let secret = [0x5A; 32];
    let blob = seal(address, CP_1, &secret).await.expect("a good call is answered");
    let opened = unseal(address, CP_1, &blob).await.expect("a good call is answered");
    assert!(opened == secret, "the answer is not what was sealed");
}

/// Sends bytes, and reads what comes until the server hangs up or says nothing more for a moment.
fn send(address: SocketAddr, bytes: &[u8]) {
    let mut connection = TcpStream::connect(address).expect("the server listens");
    connection.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    // The server may hang up at any moment.
    let _sent = connection.write_all(bytes);
    let _answer = connection.read_to_end(&mut Vec::new());
}

#[tokio::test]
async fn other_protocols() {
    let installation = Installation::new();
    let _server = installation.start();
    let frame = |length: u32, kind: u8, rest: &[u8]| {
        [PREFACE, &length.to_be_bytes()[1..], &[kind, 0, 0, 0, 0, 0], rest].concat()
    };
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: nightlatch\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"SSH-2.0-nightlatch\r\n".to_vec(),
        vec![0; 4096],
        PREFACE.to_vec(),
        // Frames of HTTP/2: as long as can be said; data for no stream; settings of a wrong length; no known kind.
        frame(0xFF_FFFF, 0, b"x"),
        frame(1, 0, b"x"),
        frame(5, 4, b"abcde"),
        frame(4, 0xEE, b"abcd"),
    ] {
        send(installation.address(), &bytes);
        assert_serves_again(&installation).await;
    }
}

/// As [`assert_serves`], with one call less: a node has a bucket of some twenty.
pub(crate) async fn assert_serves_again(installation: &Installation) {
    seal(installation.address(), CP_1, &[0x5A; 32]).await.expect("a good call is answered");
}

#[tokio::test]
async fn peers_that_say_nothing() {
    let installation = Installation::new();
    let _server = installation.start();
    let connect = |_| TcpStream::connect(installation.address()).expect("the server listens");
    let silent: Vec<_> = (0..32).map(connect).collect();
    assert_serves(installation.address()).await;
    drop(silent);
    assert_serves(installation.address()).await;
}

/// Twice as many as the server has descriptors, from one address and from many: people and nodes do not notice.
#[tokio::test]
async fn two_thousand_peers_that_say_nothing() {
    const PEERS: u16 = 2_000;
    let own = raise_descriptor_limit().expect("our own limit");
    assert!(own.is_none_or(|own| own > 2 * u64::from(PEERS)), "this test needs {PEERS} descriptors itself");
    let installation = Installation::new();
    let _server = installation.start_with_descriptors(1_024);
    for addresses in [1, 125] {
        let from = |peer: u16| Ipv4Addr::from([127, 0, 1, u8::try_from(1 + peer % addresses).expect("at most 126")]);
        let mut silent = vec![];
        for peer in 0..PEERS {
            silent.push(connect_from(from(peer), installation.address()));
            if peer % 100 == 99 {
                assert_greets(installation.address());
            }
        }
        installation.approvals();
        assert_serves(installation.address()).await;
        drop(silent);
        assert_serves(installation.address()).await;
    }
}

/// Whoever connects is greeted; then everybody who connected before was accepted. Without this the listener's backlog
/// runs over, and each connection beyond it waits for a second.
fn assert_greets(address: SocketAddr) {
    let mut connection = TcpStream::connect(address).expect("the server listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    connection.write_all(PREFACE).expect("the server listens");
    connection.read_exact(&mut [0; 9]).expect("the server sends its settings");
}

fn connect_from(address: Ipv4Addr, server: SocketAddr) -> OwnedFd {
    // Not for the servers that other tests start meanwhile.
    let flags = SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a socket");
    net::bind(&socket, &SocketAddr::from((address, 0))).expect("all of 127.0.0.0/8 is loopback");
    net::connect(&socket, &server).expect("the server listens");
    socket
}

#[tokio::test]
async fn a_thousand_peers_that_hang_up() {
    let installation = Installation::new();
    let _server = installation.start();
    for round in 0..1000 {
        let mut connection = TcpStream::connect(installation.address()).expect("the server listens");
        let _sent = connection.write_all(&PREFACE[..round % PREFACE.len()]);
    }
    assert_serves(installation.address()).await;
}

#[tokio::test]
async fn too_much_data_and_none() {
    let installation = Installation::new();
    let _server = installation.start();
    let address = installation.address();
    for length in [0, 513, 16 * 1024, 17 * 1024, 5 * 1024 * 1024] {
        let refused = refusal(seal(address, WORKER_2, &vec![7; length]).await);
        assert_refused(&refused, &format!("{length} bytes"));
    }
    for length in [0, 1025, 5 * 1024 * 1024] {
        let refused = refusal(unseal(address, WORKER_2, &vec![7; length]).await);
        assert_refused(&refused, &format!("{length} bytes"));
    }
    assert_serves(address).await;
}

#[tokio::test]
async fn claims_that_are_no_uuid() {
    let installation = Installation::new();
    let _server = installation.start();
    let address = installation.address();
    for claim in ["", " ", "a b", "nul\0", "line\nbreak", "\u{202e}abc", "../../etc/shadow\n", &"x".repeat(65)] {
        let refused = refusal(seal(address, claim, &[7; 32]).await);
        assert_refused(&refused, claim);
    }
    let unlisted = refusal(seal(address, "00000000-1111-4222-8333-444444444444", &[7; 32]).await);
    assert_eq!(unlisted.code(), Code::PermissionDenied);
    assert_serves(address).await;
}

#[tokio::test]
async fn blobs_that_are_damaged() {
    let installation = Installation::new();
    let _server = installation.start();
    let address = installation.address();
    let blob = seal(address, WORKER_2, &[7; 32]).await.expect("a good call is answered");

    let flipped = |at: usize| {
        let mut blob = blob.clone();
        blob[at] ^= 1;
        blob
    };
    let [middle, last] = [blob.len() / 2, blob.len() - 1];
    for (what, damaged) in [
        ("the first byte alone", blob[..1].to_vec()),
        ("the first half", blob[..middle].to_vec()),
        ("all but the last byte", blob[..last].to_vec()),
        ("a byte more", [blob.as_slice(), b"x"].concat()),
        ("first byte flipped", flipped(0)),
        ("middle byte flipped", flipped(middle)),
        ("last byte flipped", flipped(last)),
    ] {
        let refused = refusal(unseal(address, WORKER_2, &damaged).await);
        assert_refused(&refused, what);
    }
    let foreign = refusal(unseal(address, CP_1, &blob).await);
    assert_refused(&foreign, "another node's blob");

    assert!(unseal(address, WORKER_2, &blob).await.expect("the blob itself") == [7; 32], "it opened as something else");
    assert_serves(address).await;
}

/// Why a call was refused. What was answered instead is not shown: it might be a secret.
#[track_caller]
fn refusal(answer: Result<Vec<u8>, Status>) -> Status {
    answer.err().unwrap_or_else(|| panic!("answered, and should have been refused"))
}

/// A refusal that blames the call, not the server, and shows nothing of what was sent.
fn assert_refused(status: &Status, what: &str) {
    let blames_the_call = [Code::InvalidArgument, Code::OutOfRange, Code::PermissionDenied, Code::ResourceExhausted];
    assert!(blames_the_call.contains(&status.code()), "{what:?}: {status:?}");
    assert!(status.message().is_ascii() && !status.message().contains("shadow"), "{what:?}: {status:?}");
}
