use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, NamedGroup, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client};

use super::*;
use crate::certificate::tests::{Authorities, GOOD, NOW, server_name};

const NAMES: &[&str] = &["kms.example.net", "192.0.2.1"];

/// The time of the certificates, so that none of them expires.
#[derive(Debug)]
struct Then;

impl TimeProvider for Then {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(NOW.unix_millis().unsigned_abs())))
    }
}

/// A client that trusts `roots`, as Go's does: with hybrid key exchange, and h2.
pub(crate) fn client(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().expect("roots");
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Then))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config
}

type Far = io::Result<client::TlsStream<DuplexStream>>;

async fn meet(
    encryption: &Encryption,
    client: ClientConfig,
    name: ServerName<'static>,
) -> (Result<Stream<DuplexStream>, HandshakeError>, Far) {
    let (near, far) = duplex(64 * 1024);
    let connecting = TlsConnector::from(Arc::new(client)).connect(name, far);
    tokio::join!(encryption.accept(near), connecting)
}

fn server() -> (Authorities, Encryption) {
    let authorities = Authorities::new(GOOD);
    let encryption = Encryption::new(&authorities.pair(NAMES, GOOD)).expect("usable");
    (authorities, encryption)
}

/// What the client agreed to, seen by itself.
fn agreed(far: &client::TlsStream<DuplexStream>) -> (rustls::ProtocolVersion, Option<&[u8]>, NamedGroup) {
    let (_, connection) = far.get_ref();
    let group = connection.negotiated_key_exchange_group().expect("done").name();
    (connection.protocol_version().expect("done"), connection.alpn_protocol(), group)
}

#[tokio::test]
async fn a_node_gets_tls_1_3_with_a_hybrid_key_exchange() {
    let (authorities, encryption) = server();
    let (near, far) = meet(&encryption, client(authorities.roots()), server_name("kms.example.net")).await;
    let (mut near, mut far) = (near.expect("done"), far.expect("done"));
    let expected = (rustls::ProtocolVersion::TLSv1_3, Some(ALPN), NamedGroup::X25519MLKEM768);
    assert_eq!(agreed(&far), expected);
    far.write_all(b"call").await.expect("open");
    far.flush().await.expect("open");
    let mut call = [0; 4];
    near.read_exact(&mut call).await.expect("open");
    near.write_all(&call).await.expect("open");
    near.flush().await.expect("open");
    far.read_exact(&mut call).await.expect("open");
    assert_eq!(&call, b"call");
}

#[tokio::test]
async fn a_node_without_the_hybrid_key_exchange_is_served() {
    let (authorities, encryption) = server();
    let mut old = client(authorities.roots());
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups.retain(|group| group.name() == NamedGroup::secp256r1);
    let verifier = WebPkiServerVerifier::builder_with_provider(
        Arc::new(authorities.roots()),
        Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
    );
    old = ClientConfig::builder_with_details(Arc::new(provider), Arc::new(Then))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_webpki_verifier(verifier.build().expect("roots"))
        .with_no_client_auth()
        .tap_alpn(old.alpn_protocols);
    let (near, far) = meet(&encryption, old, server_name("kms.example.net")).await;
    near.expect("done");
    assert_eq!(agreed(&far.expect("done")).2, NamedGroup::secp256r1);
}

trait TapAlpn {
    fn tap_alpn(self, protocols: Vec<Vec<u8>>) -> Self;
}

impl TapAlpn for ClientConfig {
    fn tap_alpn(mut self, protocols: Vec<Vec<u8>>) -> Self {
        self.alpn_protocols = protocols;
        self
    }
}

#[tokio::test]
async fn a_node_that_calls_an_address_sends_no_name_and_is_served() {
    let (authorities, encryption) = server();
    let (near, far) = meet(&encryption, client(authorities.roots()), server_name("192.0.2.1")).await;
    let near = near.expect("done");
    far.expect("done");
    let Stream::Tls(near) = near else { panic!("not encrypted") };
    assert_eq!(near.get_ref().1.server_name(), None);
}

#[tokio::test]
async fn a_name_that_is_not_its_own_gets_the_same_certificate() {
    let (authorities, encryption) = server();
    let (near, far) = meet(&encryption, client(authorities.roots()), server_name("kms.example.org")).await;
    far.expect_err("the client checks the name");
    let refused = near.expect_err("the client says so");
    assert!(matches!(refused, HandshakeError::CertificateRefused("bad certificate")), "{refused:?}");
}

#[tokio::test]
async fn a_node_that_does_not_trust_the_certificate_is_told_apart_from_noise() {
    let (_, encryption) = server();
    let public = crate::certificate::examination::public_roots();
    for (roots, word) in [(public, "unknown authority"), (Authorities::new(GOOD).roots(), "a signature does not fit")] {
        let (near, far) = meet(&encryption, client(roots), server_name("kms.example.net")).await;
        far.expect_err("an unknown authority");
        let refused = near.expect_err("the client says so");
        assert!(matches!(refused, HandshakeError::CertificateRefused(said) if said == word), "{refused:?}");
        assert!(refused.to_string().contains("nightlatch check --tls"));
    }
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let (authorities, encryption) = server();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let old = ClientConfig::builder_with_details(provider, Arc::new(Then))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("versions")
        .with_root_certificates(authorities.roots())
        .with_no_client_auth()
        .tap_alpn(vec![ALPN.to_vec()]);
    let (near, far) = meet(&encryption, old, server_name("kms.example.net")).await;
    far.expect_err("refused");
    let refused = near.expect_err("refused");
    assert!(refused.to_string().contains("Tls12NotOffered"), "{refused}");
}

#[tokio::test]
async fn another_protocol_is_refused_and_none_is_served() {
    let (authorities, encryption) = server();
    let http = client(authorities.roots()).tap_alpn(vec![b"http/1.1".to_vec()]);
    let (near, far) = meet(&encryption, http, server_name("kms.example.net")).await;
    far.expect_err("refused");
    assert!(matches!(near.expect_err("refused"), HandshakeError::Failed(_)));

    let old = client(authorities.roots()).tap_alpn(vec![]);
    let (near, far) = meet(&encryption, old, server_name("kms.example.net")).await;
    near.expect("grpc-go before 1.67 offers none");
    assert_eq!(agreed(&far.expect("done")).1, None);

    let several = client(authorities.roots()).tap_alpn(vec![b"http/1.1".to_vec(), ALPN.to_vec()]);
    let (near, far) = meet(&encryption, several, server_name("kms.example.net")).await;
    near.expect("h2 is among them");
    assert_eq!(agreed(&far.expect("done")).1, Some(ALPN));
}

#[tokio::test]
async fn what_is_no_tls_is_refused_at_once() {
    let (_, encryption) = server();
    for noise in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 64], &[0xFF; 64]] {
        let (near, mut far) = duplex(64 * 1024);
        far.write_all(noise).await.expect("room");
        let refused = encryption.accept(near).await.expect_err("refused");
        assert!(matches!(refused, HandshakeError::NotTls), "{refused:?}");
        assert!(refused.to_string().contains("https://"), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_is_too_long_is_not_kept() {
    let (_, encryption) = server();
    let (near, mut far) = duplex(64 * 1024);
    // A hello of almost 64 KiB, in records of 16 KiB.
    let records = [&[22, 3, 1, 0x40, 0, 1, 0, 0xFF, 0][..], &[0; 16 * 1024 - 4], &[22, 3, 1, 0x40, 0], &[0; 16 * 1024]];
    far.write_all(&records.concat()).await.expect("room");
    let refused = encryption.accept(near).await.expect_err("refused");
    assert!(refused.to_string().contains("too long"), "{refused}");
}

/// Ends with the deadline: not before, and not after.
async fn assert_late(encryption: &Encryption, near: DuplexStream) {
    let almost = Duration::from_millis(1);
    let mut accepting = std::pin::pin!(encryption.accept(near));
    timeout(HANDSHAKE_TIME - almost, &mut accepting).await.expect_err("not yet");
    let ended = timeout(2 * almost, accepting).await.expect("now");
    assert!(matches!(ended, Err(HandshakeError::Late)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stops_half_way_ends_at_the_deadline() {
    let (authorities, encryption) = server();
    let (near, _silent) = duplex(64 * 1024);
    assert_late(&encryption, near).await;

    // Its hello is heard, and answered; its last message never comes.
    let (near, mut far) = duplex(64 * 1024);
    let config = Arc::new(client(authorities.roots()));
    let mut client = rustls::ClientConnection::new(config, server_name("kms.example.net")).expect("a client");
    let mut hello = vec![];
    client.write_tls(&mut hello).expect("in memory");
    far.write_all(&hello).await.expect("room");
    assert_late(&encryption, near).await;
    assert!(far.read(&mut [0; 16]).await.expect("open") > 0, "it was answered");
}

/// One byte each second keeps a connection from being silent, and does not make the deadline later.
#[tokio::test(start_paused = true)]
async fn a_slow_handshake_ends_at_the_deadline() {
    let (_, encryption) = server();
    let (near, mut far) = duplex(64 * 1024);
    let trickle = async {
        for byte in [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC] {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if far.write_all(&[byte]).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(assert_late(&encryption, near), trickle);
}

#[tokio::test]
async fn nothing_is_kept_that_could_resume_or_replay() {
    let (authorities, encryption) = server();
    let again = client(authorities.roots());
    assert!(matches!(again.resumption, rustls::client::Resumption { .. }), "the client would");
    let (config, name) = (Arc::new(again), server_name("kms.example.net"));
    for _ in 0..2 {
        let (near, far) = duplex(64 * 1024);
        let connecting = TlsConnector::from(Arc::clone(&config)).connect(name.clone(), far);
        let (near, far) = tokio::join!(encryption.accept(near), connecting);
        let (mut near, mut far) = (near.expect("done"), far.expect("done"));
        near.write_all(b"x").await.expect("open");
        near.flush().await.expect("open");
        far.read_u8().await.expect("tickets come before this, if there are any");
        let (_, connection) = far.get_ref();
        assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(connection.tls13_tickets_received(), 0);
    }
    let config = server_config(&authorities.pair(NAMES, GOOD)).expect("usable");
    assert!(!config.ticketer.enabled() && !config.session_storage.can_cache());
    assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
    assert!(!config.key_log.will_log("CLIENT_TRAFFIC_SECRET_0"));
}

/// The certificate that a node gets which calls the server by `name`.
pub(crate) async fn served(encryption: &Encryption, roots: RootCertStore, name: &str) -> Vec<u8> {
    let (near, far) = meet(encryption, client(roots), server_name(name)).await;
    near.expect("done");
    seen(&far.expect("done"))
}

/// The certificate in use, as the client sees it.
fn seen(far: &client::TlsStream<DuplexStream>) -> Vec<u8> {
    far.get_ref().1.peer_certificates().expect("done")[0].to_vec()
}

#[tokio::test]
async fn open_connections_outlive_their_certificate() {
    let (authorities, encryption) = server();
    let name = || server_name("kms.example.net");
    let (near, far) = meet(&encryption, client(authorities.roots()), name()).await;
    let (mut near, mut far) = (near.expect("done"), far.expect("done"));
    encryption.replace(&authorities.pair(NAMES, (-1, 89))).expect("usable");
    let (next, newer) = meet(&encryption, client(authorities.roots()), name()).await;
    next.expect("done");
    assert_ne!(seen(&far), seen(&newer.expect("done")), "the next one gets the new certificate");
    near.write_all(b"held").await.expect("open");
    near.flush().await.expect("open");
    let mut held = [0; 4];
    far.read_exact(&mut held).await.expect("the first one goes on");
    assert_eq!(&held, b"held");
}

#[test]
fn a_rehearsal_shows_what_a_node_gets() {
    let pair = Authorities::new((-100, -1)).pair(&["kms.example.net"], (-90, -1));
    let agreed = rehearse(&pair, server_name("kms.example.net")).expect("whom nodes trust is another question");
    let expected = Agreed { version: "TLS 1.3".into(), protocol: "h2".into(), key_exchange: "X25519MLKEM768".into() };
    assert_eq!(agreed, expected);
}
