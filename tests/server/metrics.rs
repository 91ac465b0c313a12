//! Metrics of the built program, on sockets as systemd passes them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use rustix::process::Signal;

use crate::hostile::{assert_serves, seal};
use crate::installation::{CP_1, Installation};
use crate::manager::Manager;

const SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What is answered to `request`, until the connection ends.
fn answer(mut connection: impl Read + Write, request: &[u8]) -> String {
    let _sent = connection.write_all(request);
    let mut answer = String::new();
    let _ended = connection.read_to_string(&mut answer);
    answer
}

fn series(text: &str) -> Vec<&str> {
    let samples = text.lines().filter(|line| line.starts_with("nightlatch_"));
    samples.map(|line| line.rsplit_once(' ').expect("a number").0).collect()
}

#[track_caller]
fn assert_says(text: &str, line: &str) {
    assert!(text.lines().any(|said| said == line), "{line} is not in {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_and_a_port_are_served_alike() {
    let installation = Installation::new();
    for has_path in [true, false] {
        let manager = Manager::new();
        let talos = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = talos.local_addr().expect("bound");
        let path = installation.path().join("metrics.sock");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = port.local_addr().expect("bound");
        let metrics = if has_path { UnixListener::bind(&path).expect("a socket").into() } else { OwnedFd::from(port) };
        let mut server = installation.start_on_both(&talos, Some(metrics), &manager);
        let ask = |request: &[u8]| {
            if has_path {
                answer(UnixStream::connect(&path).expect("it listens"), request)
            } else {
                answer(TcpStream::connect(at).expect("it listens"), request)
            }
        };
        let first = ask(SCRAPE);
        assert!(first.starts_with("HTTP/1.1 200 OK\r\n") && first.ends_with("\n# EOF\n"), "{first}");
        assert_says(&first, r#"nightlatch_calls_total{operation="seal",outcome="released"} 0"#);
        seal(address, CP_1, &[7; 32]).await.expect("allowed");
        for number in 0..10 {
            let stranger = format!("00000000-1111-4222-8333-4444444444{number:02}");
            seal(address, &stranger, &[7; 32]).await.expect_err("not listed");
        }
        let second = ask(SCRAPE);
        assert_says(&second, r#"nightlatch_calls_total{operation="seal",outcome="released"} 1"#);
        assert_says(&second, r#"nightlatch_calls_total{operation="seal",outcome="unknown-node"} 10"#);
        assert_says(&second, "nightlatch_nodes 2");
        assert_says(&second, r#"nightlatch_channel_attached{channel="cli"} 0"#);
        assert_eq!(series(&first), series(&second));
        assert!(!server.said().contains("metrics"), "{}", server.said());
        assert!(server.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_there_nodes_are_served() {
    let (installation, manager) = (Installation::new(), Manager::new());
    let talos = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = talos.local_addr().expect("bound");
    let path = installation.path().join("metrics.sock");
    let metrics = UnixListener::bind(&path).expect("a socket");
    let mut server = installation.start_on_both(&talos, Some(metrics.into()), &manager);
    let connect = || {
        let connection = UnixStream::connect(&path).expect("it listens");
        // Bounds the waits of a test that fails.
        connection.set_read_timeout(Some(Duration::from_secs(60))).expect("our socket");
        connection
    };
    let silent: Vec<UnixStream> = (0..8).map(|_| connect()).collect();
    let waits = connect();
    assert_serves(address).await;
    drop(silent);
    assert!(answer(&waits, SCRAPE).ends_with("# EOF\n"), "it was its turn");
    for junk in
        [&[0; 100_000][..], &[b'x'; 100_000], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST /metrics HTTP/1.1\r\n\r\n"]
    {
        let answered = answer(connect(), junk);
        assert!(!answered.contains("nightlatch_"), "{answered}");
    }
    for _ in 0..300 {
        let hangs_up = connect();
        let _sent = (&hangs_up).write_all(SCRAPE);
        hangs_up.shutdown(Shutdown::Both).expect("our socket");
    }
    assert_serves(address).await;
    assert!(answer(connect(), SCRAPE).contains("nightlatch_internal_errors_total 0\n"));
    server.signal(Signal::TERM);
    assert!(server.ended().success());
}
