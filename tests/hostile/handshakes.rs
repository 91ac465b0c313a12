//! Handshakes of TLS that do not end, lie, or are of another time; and what TLS lets a client do after one.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use rustls::{AlertDescription, ClientConfig, ClientConnection};

use crate::frames::{PING, PREFACE, frame, opening};
use crate::installation::Installation;
use crate::manager::Manager;
use crate::target::{MOST_GROWTH, Road, Target, throw};

/// Not the address of the node that behaves.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 8, 8);

/// Kinds of records (RFC 8446, 5.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// About the longest hello that the library waits for: with the headers of its records it fits into 64 KiB.
const LONGEST_HELLO: usize = 0xFF00;

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short payload");
    [&[kind, 3, 1][..], &length.to_be_bytes(), payload].concat()
}

/// A handshake message of this kind, which says of its length what may be untrue.
fn message(kind: u8, length: usize, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("24 bits").to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

/// As many records as it takes.
fn records(message: &[u8]) -> Vec<u8> {
    message.chunks(16 * 1024).flat_map(|part| record(HANDSHAKE, part)).collect()
}

/// What a client says first that calls the server by this name.
fn hello_to(target: &Target, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::new(target.client()), name).expect("a client");
    let mut hello = vec![];
    client.write_tls(&mut hello).expect("in memory");
    hello
}

fn hello(target: &Target) -> Vec<u8> {
    hello_to(target, "127.0.0.1")
}

/// All but the last byte of the longest hello there can be.
fn longest_hello() -> Vec<u8> {
    records(&message(1, LONGEST_HELLO, &vec![0; LONGEST_HELLO - 1]))
}

/// What the server says until it hangs up, which it must.
fn until_it_ends(mut stream: &TcpStream) -> Vec<u8> {
    let (mut heard, mut buffer) = (vec![], [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return heard,
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return heard,
            Err(error) => panic!("the server does not hang up: {error}"),
        }
    }
}

/// The alert that the server ends a handshake with.
fn alert_for(target: &Target, said: &[u8]) -> Option<AlertDescription> {
    let mut stream = target.tcp(STRANGER);
    // It may hang up before it heard everything.
    let _sent = stream.write_all(said);
    match until_it_ends(&stream).as_slice() {
        [ALERT, 3, _, 0, 2, 2, description] => Some(AlertDescription::from(*description)),
        [] => None,
        other => panic!("no alert: {other:?}"),
    }
}

#[tokio::test]
async fn handshakes_that_do_not_go_on_end() {
    let target = Target::start_encrypted();
    let hello = hello(&target);
    let before = target.descriptors();
    let begun = [&[][..], &hello[..1], &hello[..hello.len() / 2], &hello, &longest_hello()[..12_000]].map(|said| {
        let mut stream = target.tcp(STRANGER);
        stream.write_all(said).expect("the server listens");
        stream
    });
    target.assert_serves().await;
    for stream in &begun {
        until_it_ends(stream);
    }
    target.assert_serves().await;
    assert!(target.descriptors() <= before + 1, "their descriptors are free");
}

#[tokio::test]
async fn a_hello_byte_by_byte_is_not_waited_for() {
    let target = Target::start_encrypted();
    let mut stream = target.tcp(STRANGER);
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    let ended = hello(&target).into_iter().any(|byte| {
        let is_sent = stream.write_all(&[byte]).is_ok();
        let is_waiting = |error: std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        !is_sent || !stream.read(&mut [0; 16]).is_err_and(is_waiting)
    });
    assert!(ended, "the server heard it to the end");
    target.assert_serves().await;
}

#[tokio::test]
async fn what_is_no_handshake_ends_at_once_with_an_alert() {
    let target = Target::start_encrypted();
    let junk = vec![0xA5; 16 * 1024];
    for (what, said) in [
        ("the preface of HTTP/2", opening(None)),
        ("a request of HTTP/1.1", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("a hello of SSL 2", [&[0x80, 0x2E, 1, 0, 2, 0, 21, 0, 0, 0, 16][..], &[7; 37]].concat()),
        ("garbage", vec![0xFF; 64]),
        ("a handshake of junk", record(HANDSHAKE, &junk)),
        ("data before the handshake", record(APPLICATION_DATA, &junk)),
        ("a record of an unknown kind", record(0x63, &junk)),
        ("a record that is too long", [&[HANDSHAKE, 3, 1, 0xFF, 0xFF][..], &junk].concat()),
        ("a hello that is too long", records(&message(1, 0xFF_FFFF, &[0; 0xFFFF]))),
        ("a long hello, of nothing", record(HANDSHAKE, &message(1, 8_000, &[0; 8_000]))),
        ("records without content", record(HANDSHAKE, &[]).repeat(1_000)),
        ("changes of cipher before the hello", record(CHANGE_CIPHER_SPEC, &[1]).repeat(1_000)),
        ("warnings without end", record(ALERT, &[1, 90]).repeat(1_000)),
    ] {
        let mut stream = target.tcp(STRANGER);
        let _sent = stream.write_all(&said);
        let heard = until_it_ends(&stream);
        eprintln!("{what}: {:02x?} ({} bytes)", &heard[..heard.len().min(7)], heard.len());
        // Bytes that the server did not read make the kernel drop what it said.
        let is_alert = heard.windows(6).any(|bytes| matches!(bytes, [ALERT, 3, _, 0, 2, 2]));
        assert!(is_alert || heard.is_empty() && said.len() > 4096, "{what}: {heard:02x?}");
    }
    target.assert_serves().await;
}

#[tokio::test]
async fn clients_that_go_away_half_way_leave_nothing() {
    let target = Target::start_encrypted();
    target.assert_serves().await;
    let (hello, before) = (hello(&target), target.resident());
    for round in 0..1_000_usize {
        let mut stream = target.tcp(STRANGER);
        stream.write_all(&hello[..hello.len().min(2 * round)]).expect("the server listens");
        match round % 3 {
            0 => stream.write_all(&record(ALERT, &[2, 40])).expect("the server listens"),
            1 => stream.shutdown(Shutdown::Write).expect("connected"),
            _ => {}
        }
    }
    target.assert_serves().await;
    let grown = target.resident().saturating_sub(before);
    eprintln!("1,000 clients that went away: {grown} KiB");
    assert!(grown <= MOST_GROWTH, "the server grew by {grown} KiB");
}

/// What the library says of a handshake with a client of this configuration.
fn handshake(target: &Target, config: ClientConfig) -> Result<(), rustls::Error> {
    let mut stream = target.tls(STRANGER, &Arc::new(config));
    while stream.conn.is_handshaking() {
        if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
            return Err(error.downcast::<rustls::Error>().expect("no other error"));
        }
    }
    assert!(!throw(&mut stream, [opening(None)]).is_cut(), "it is served");
    Ok(())
}

#[tokio::test]
async fn clients_of_another_time_are_told_what_is_wrong() {
    let target = Target::start_encrypted();
    let alert = |config| match handshake(&target, config).expect_err("refused") {
        rustls::Error::AlertReceived(alert) => alert,
        other => panic!("no alert: {other}"),
    };
    let with_alpn = |protocols: &[&[u8]]| {
        let mut config = target.client();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    };
    let provider = Arc::clone(target.client().crypto_provider());
    let old = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS12]).expect("a version");
    let old = old.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    assert_eq!(alert(old), AlertDescription::ProtocolVersion);
    assert_eq!(alert(with_alpn(&[b"http/1.1"])), AlertDescription::NoApplicationProtocol);
    assert_eq!(alert(with_alpn(&[b"h2c", b"h3"])), AlertDescription::NoApplicationProtocol);
    handshake(&target, with_alpn(&[])).expect("old clients of gRPC offer none");
    handshake(&target, with_alpn(&[b"http/1.1", b"h2"])).expect("h2 is among them");

    // SSL 3: its version, a random number, no session, one cipher, no compression, and no extensions.
    let body = [&[3, 0][..], &[7; 32], &[0, 0, 2, 0, 0x2F, 1, 0]].concat();
    let mut ssl3 = record(HANDSHAKE, &message(1, body.len(), &body));
    ssl3[2] = 0;
    let alert = alert_for(&target, &ssl3);
    assert!(matches!(alert, Some(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure)), "{alert:?}");
    target.assert_serves().await;
}

#[tokio::test]
async fn no_name_is_in_the_way() {
    let target = Target::start_encrypted();
    // Without one: the node that behaves calls an address.
    target.assert_serves().await;
    let longest = [["a"; 63].concat(), ["b"; 63].concat(), ["c"; 63].concat(), ["d"; 61].concat()].join(".");
    let ordinary = hello_to(&target, "xxx.xxxxx.xx");
    let at = ordinary.windows(12).position(|bytes| bytes == b"xxx.xxxxx.xx").expect("a name");
    let named = |name: &[u8; 12]| {
        let mut hello = ordinary.clone();
        hello[at..at + 12].copy_from_slice(name);
        hello
    };
    for (what, hello, is_served) in [
        ("another name", ordinary.clone(), true),
        ("a long name", hello_to(&target, &longest), true),
        ("an address as a name", named(b"127.200.0.12"), true),
        ("an address of IPv6 as a name", named(b"2001:db8::12"), true),
        ("control characters", named(b"a\0b\n\x1b[31m\r\xff."), false),
        ("only full stops", named(b"............"), false),
    ] {
        let mut stream = target.tcp(STRANGER);
        stream.write_all(&hello).expect("the server listens");
        let mut first = [0; 6];
        stream.read_exact(&mut first).expect("an answer");
        // Its hello (2), or a fatal alert.
        let expected = if is_served { [HANDSHAKE, 2] } else { [ALERT, 2] };
        assert_eq!([first[0], first[5]], expected, "{what}");
    }
    target.assert_serves().await;
}

/// Such clients are answered with new keys each time; after 32 without data it is enough.
#[tokio::test]
async fn new_keys_again_and_again() {
    let target = Target::start_encrypted();
    target.assert_serves().await;
    let before = target.resident();
    for _ in 0..10 {
        let mut stream = target.tls(STRANGER, &Arc::new(target.client()));
        assert!(!throw(&mut stream, [opening(None)]).is_cut());
        let mut is_cut = false;
        for _ in 0..10_000 {
            stream.conn.refresh_traffic_keys().expect("connected");
            while stream.conn.wants_write() && !is_cut {
                is_cut = stream.conn.write_tls(&mut stream.sock).is_err();
            }
            if is_cut {
                break;
            }
        }
        assert!(throw(&mut stream, []).is_cut(), "it goes on");
    }
    target.assert_serves().await;

    // With data in between it is a flood as others are: each costs the sender as much as the server.
    let mut stream = target.tls(STRANGER, &Arc::new(target.client()));
    stream.write_all(&opening(None)).expect("the server listens");
    for _ in 0..2_000 {
        stream.conn.refresh_traffic_keys().expect("connected");
        stream.write_all(&frame(PING, 0, 0, b"new keys")).expect("the server listens");
    }
    target.assert_serves().await;
    let _heard = throw(&mut stream, []);
    target.assert_serves().await;
    let grown = target.resident().saturating_sub(before);
    eprintln!("new keys: {grown} KiB");
    assert!(grown <= MOST_GROWTH, "the server grew by {grown} KiB");
}

/// Opens 2,400 connections from 40 addresses, more than there are places, and says this on each.
async fn crowd(said: &[u8]) -> u64 {
    let target = Target::start_encrypted();
    target.assert_serves().await;
    let (before, descriptors) = (target.resident(), target.descriptors());
    let mut crowd = vec![];
    for number in 0..2_400_u32 {
        let [_, _, _, last] = (1 + number % 40).to_be_bytes();
        let mut stream = target.tcp(Ipv4Addr::new(127, 9, 0, last));
        // Its place may be gone already.
        let _sent = stream.write_all(said);
        crowd.push(stream);
        if number % 300 == 299 {
            target.assert_serves().await;
        }
    }
    let grown = target.resident().saturating_sub(before);
    for stream in &crowd {
        until_it_ends(stream);
    }
    target.assert_serves().await;
    assert!(target.descriptors() <= descriptors + 1, "their places are free");
    grown
}

#[tokio::test]
async fn a_crowd_that_says_nothing() {
    let grown = crowd(&[]).await;
    eprintln!("2,400 silent handshakes: {grown} KiB");
    assert!(grown <= 4 * MOST_GROWTH, "the server grew by {grown} KiB");
}

#[tokio::test]
async fn a_crowd_that_waits_for_an_answer_to_its_hello() {
    let hello = hello(&Target::start_encrypted());
    let grown = crowd(&hello).await;
    eprintln!("2,400 answered hellos: {grown} KiB");
    assert!(grown <= 8 * MOST_GROWTH, "the server grew by {grown} KiB");
}

/// The library alone would keep all of it: 128 MiB in all. What is kept is 16 KiB, and what else a connection costs.
#[tokio::test]
async fn crowds_with_long_hellos() {
    for length in [15_000, LONGEST_HELLO] {
        let grown = crowd(&longest_hello()[..length]).await;
        eprintln!("2,400 hellos of {length} bytes: {grown} KiB");
        assert!(grown <= 8 * MOST_GROWTH, "the server grew by {grown} KiB");
    }
}

/// The handshake is done, and the server's settings are read; then nothing more is said.
#[tokio::test]
async fn a_crowd_that_is_greeted_and_then_silent() {
    let target = Target::start_encrypted();
    target.assert_serves().await;
    let (before, config) = (target.resident(), Arc::new(target.client()));
    let crowd: Vec<_> = (0..1_000_u32)
        .map(|number| {
            let [_, _, _, last] = (1 + number % 40).to_be_bytes();
            let mut stream = target.tls(Ipv4Addr::new(127, 10, 0, last), &config);
            stream.write_all(&opening(None)).expect("the server listens");
            stream.read_exact(&mut [0; 9]).expect("the server sends its settings");
            stream
        })
        .collect();
    let grown = target.resident().saturating_sub(before);
    target.assert_serves().await;
    drop(crowd);
    target.assert_serves().await;
    eprintln!("1,000 connections inside TLS: from {before} KiB by {grown} KiB");
    assert!(grown <= 5 * MOST_GROWTH, "the server grew by {grown} KiB");
}

/// A handshake takes a place from the beginning, and of those that one address has.
#[tokio::test]
async fn handshakes_take_the_places_of_their_own_address() {
    let target = Target::start_encrypted();
    let greeted = |address| {
        let mut stream = target.tls(address, &Arc::new(target.client()));
        assert!(!throw(&mut stream, [opening(None)]).is_cut());
        stream
    };
    let mut other = greeted(Ipv4Addr::new(127, 0, 8, 9));
    let mut own = greeted(STRANGER);
    let half: Vec<_> = (0..200).map(|_| target.tcp(STRANGER)).collect();
    target.assert_serves().await;
    assert!(throw(&mut own, []).is_cut(), "newer ones took its place");
    assert!(!throw(&mut other, []).is_cut(), "the other's connection was closed");
    drop(half);
}

/// The endpoint of a node begins with grpc:// instead of https://.
#[tokio::test]
async fn the_journal_says_that_a_node_speaks_without_tls() {
    let installation = Installation::new();
    Road::encrypted(&installation);
    let (manager, listener) = (Manager::new(), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let server = installation.start_on(&listener, &manager);
    let mut node = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    node.write_all(PREFACE).expect("it listens");
    assert!(server.says("does not speak TLS"), "{}", server.said());
    eprintln!("{}", server.said());
}
