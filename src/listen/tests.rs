use rustls::RootCertStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt;
use tonic::transport::server::Connected;

use super::*;
use crate::certificate::tests::{Authorities, GOOD, server_name};
use crate::listen::tls::tests::client;

#[tokio::test]
async fn peers_outside_the_networks_are_let_go_unheard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let allowed: IpAddr = "127.0.0.2".parse().expect("an address");
    let mut incoming = talos(vec![listener], Limits::TALOS, None, move |address| address == allowed, &mut tasks, &stop);

    let mut outside = TcpStream::connect(address).await.expect("it listens");
    let inside = tokio::net::TcpSocket::new_v4().expect("a socket");
    inside.bind((allowed, 0).into()).expect("all of 127.0.0.0/8 is loopback");
    let _inside = inside.connect(address).await.expect("it listens");

    let accepted = incoming.next().await.expect("a connection").expect("accepted");
    assert_eq!(accepted.connect_info().peer.address, allowed);
    assert_eq!(outside.read(&mut [0]).await.expect("closed"), 0);
}

/// Of the address that `open` connections are of in these tests.
const NODE: &str = "127.0.0.2:1";

fn encryption() -> (RootCertStore, Arc<Encryption>) {
    let authorities = Authorities::new(GOOD);
    let pair = authorities.pair(&["127.0.0.1"], GOOD);
    (authorities.roots(), Arc::new(Encryption::new(&pair).expect("usable")))
}

#[tokio::test]
async fn whoever_is_slow_at_the_handshake_delays_nobody() {
    let (roots, encryption) = encryption();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let mut incoming = talos(vec![listener], Limits::TALOS, Some(&encryption), |_| true, &mut tasks, &stop);
    let mut silent = vec![];
    for _ in 0..8 {
        silent.push(TcpStream::connect(address).await.expect("it listens"));
    }
    let mut noisy = TcpStream::connect(address).await.expect("it listens");
    noisy.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("open");
    let node = TcpStream::connect(address).await.expect("it listens");
    let connecting = TlsConnector::from(Arc::new(client(roots))).connect(server_name("127.0.0.1"), node);
    let (accepted, node) = tokio::join!(incoming.next(), connecting);
    let node = node.expect("done");
    let accepted = accepted.expect("a connection").expect("accepted");
    let peer = accepted.connect_info().peer;
    assert!(peer.tls, "prompts and records say that it is encrypted");
    assert_eq!(peer.port, node.get_ref().0.local_addr().expect("connected").port());
    assert_ne!(noisy.read(&mut [0; 64]).await.expect("an alert"), 0);
    assert_eq!(noisy.read(&mut [0; 64]).await.expect("closed"), 0);
}

#[tokio::test]
async fn a_handshake_ends_when_its_place_is_given_away() {
    let (_, encryption) = encryption();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut silent = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
    let (stream, _) = listener.accept().await.expect("accepted");
    let open = OpenConnections::new(Limits { total: 1, per_peer: 1, ..Limits::TALOS });
    let peer = Peer::encrypted(NODE.parse().expect("an address"));
    let slot = open.enter(peer).expect("a place");
    let waiting = tokio::spawn(handshake(encryption, stream, peer, slot));
    tokio::task::yield_now().await;
    let _newer = open.enter(peer).expect("a place");
    assert!(matches!(waiting.await.expect("no panic"), Err(HandshakeError::Replaced)));
    assert_eq!(silent.read(&mut [0]).await.expect("closed"), 0);
}

#[tokio::test]
async fn a_refused_certificate_is_not_hidden_by_noise() {
    let mut turned_away = TurnedAway::default();
    turned_away.no_handshake(HandshakeError::Late);
    turned_away.no_handshake(HandshakeError::CertificateRefused("bad certificate"));
    turned_away.no_handshake(HandshakeError::Late);
    turned_away.no_handshake(HandshakeError::Replaced);
    assert_eq!((turned_away.no_handshake, turned_away.certificate_refused), (2, 1));
    assert!(matches!(turned_away.last_handshake, Some(HandshakeError::CertificateRefused(_))));
    assert!(!turned_away.is_empty());
}

/// Fails each time, and counts in `tries`.
async fn failing(tries: &std::sync::atomic::AtomicUsize, stop: CancellationToken) {
    let next = async |(): &(), _: &mut TurnedAway| {
        tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Err::<Option<Arrival<()>>, _>(io::Error::other("no descriptors"))
    };
    accept((), "talos".into(), mpsc::channel(1).0, stop, next).await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_once_a_minute() {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let writer = {
        let told = Arc::clone(&told);
        move || Lines(Arc::clone(&told))
    };
    let subscriber = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (tries, stop) = (std::sync::atomic::AtomicUsize::new(0), CancellationToken::new());
    let ended = tokio::time::timeout(Duration::from_secs(150), failing(&tries, stop)).await;
    ended.expect_err("it goes on");
    assert!(tries.load(std::sync::atomic::Ordering::Relaxed) > 1_000);
    let told = String::from_utf8(told.lock().expect("no panic").clone()).expect("text");
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(told.contains("failed=1 ") && told.contains("no descriptors"), "{told}");
}

struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
