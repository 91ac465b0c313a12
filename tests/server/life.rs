//! From the start to the end: what the service manager is told, what signals do, and what is left behind.
//!
//! Several threads for each test: a client that does not run while the server is waited for does not hang up either.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use nightlatch::wire::stubs::Request;
use nightlatch::wire::stubs::kms_service_client::KmsServiceClient;
use rustix::process::Signal;
use tonic::{Code, Status};

use crate::hostile::{assert_serves, seal};
use crate::installation::{CP_1, Installation, Server};
use crate::manager::Manager;

const ALLOWED: &str = r#"seal = "allow", unseal = "allow""#;
const ASKED: &str = r#"seal = "ask", unseal = "ask""#;
const STRANGER: &str = "00000000-1111-4222-8333-444444444444";

/// An installation where people are asked, and calls are held for as long as can be.
fn asking() -> Installation {
    let installation = Installation::new();
    installation.edit(ALLOWED, ASKED);
    installation.edit("networks =", "timings = { hold = \"8s\", release_margin = \"1s\" }\n            networks =");
    installation
}

/// A call that is held, once its question is on record.
async fn held(installation: &Installation, address: SocketAddr) -> tokio::task::JoinHandle<Result<Vec<u8>, Status>> {
    let call = tokio::spawn(async move { seal(address, CP_1, &[7; 32]).await });
    for _ in 0..1_000 {
        if installation.audit_log().contains("\"ask-opened\"") {
            return call;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no question is asked");
}

/// A connection that says nothing, and is accepted.
fn silent(address: SocketAddr) -> TcpStream {
    let silent = TcpStream::connect(address).expect("the server listens");
    // Whoever is greeted came after it.
    crate::hostile::assert_greets(address);
    silent
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_told_when_it_answers_and_the_end_when_it_comes() {
    let (installation, manager) = (Installation::new(), Manager::new());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut server = installation.start_on(&listener, &manager);
    assert_serves(listener.local_addr().expect("bound")).await;
    assert!(server.stop().success());
    let stopping = manager.until("STOPPING=1");
    assert!(!stopping.contains("READY"), "{stopping}");
    assert_eq!(manager.waiting().last().expect("told"), "STATUS=ended: SIGTERM\n");
    assert!(installation.audit_log().trim_end().ends_with(r#""event":"stopped","reason":"SIGTERM"}"#));
}

#[test]
fn the_watchdog_hears_of_it_only_when_there_is_one() {
    for (variables, is_heard) in [
        (vec![("WATCHDOG_USEC", "200000")], true),
        (vec![("WATCHDOG_USEC", "200000"), ("WATCHDOG_PID", "1")], false),
        (vec![], false),
    ] {
        let (installation, manager) = (Installation::new(), Manager::new());
        let _server = installation.start_below_with(&manager, &variables);
        manager.until("READY=1");
        let next: Vec<String> = if is_heard {
            (0..3).map(|_| manager.until("WATCHDOG=1")).collect()
        } else {
            drop(_server);
            manager.waiting()
        };
        assert_eq!(next.iter().any(|message| message == "WATCHDOG=1\n"), is_heard, "{variables:?}: {next:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_how_it_is() {
    let (installation, manager) = (asking(), Manager::new());
    let mut server = installation.start_below(&manager);
    manager.until("STATUS=2 nodes: nobody waits for an answer\n");
    let call = held(&installation, installation.address()).await;
    manager.until("STATUS=2 nodes: 1 question waits for an answer, 1 call is held\n");
    assert!(server.stop().success());
    manager.until("STATUS=stopping; 2 nodes: ");
    drop(call);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_does_not_read_holds_nothing_up_and_hears_the_last_word() {
    let (installation, manager) = (Installation::new(), Manager::new());
    manager.fill();
    let mut server = installation.start_below(&manager);
    assert_serves(installation.address()).await;
    manager.until("READY=1");
    manager.fill();
    assert!(server.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_for_people_are_answered_when_the_server_stops() {
    let installation = asking();
    let mut server = installation.start();
    let call = held(&installation, installation.address()).await;
    server.signal(Signal::TERM);
    let status = call.await.expect("no panic").expect_err("nobody approved it");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "nightlatch is stopping, try again"));
    assert!(server.ended().success());
    assert!(installation.audit_log().contains(r#""reason":"stopping","count":1"#), "{}", installation.audit_log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let (installation, manager) = (Installation::new(), Manager::new());
        let mut server = installation.start_below(&manager);
        let _holds_the_drain_up = silent(installation.address());
        server.signal(Signal::TERM);
        manager.until("STOPPING=1");
        // A reload is no second word.
        server.signal(Signal::HUP);
        server.signal(second);
        assert_eq!(server.ended().code(), Some(75));
        assert!(server.said().contains("told twice to stop"), "{}", server.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_cut_off_is_on_record() {
    let installation = Installation::new();
    let mut server = installation.start();
    let _never_speaks = silent(installation.address());
    assert!(server.stop().success());
    assert!(installation.audit_log().contains(r#""reason":"SIGTERM; cut off after 10 s, with 0 open calls""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_while_nobody_listens_is_answered_by_the_next_process() {
    let (installation, manager) = (Installation::new(), Manager::new());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut first = installation.start_on(&listener, &manager);
    let never_speaks = silent(address);
    first.signal(Signal::TERM);
    manager.until("STOPPING=1");
    let during = tokio::spawn(async move { seal(address, CP_1, &[7; 32]).await });
    drop(never_speaks);
    assert!(first.ended().success());
    let after = tokio::spawn(async move { seal(address, CP_1, &[7; 32]).await });
    let _second = installation.start_on(&listener, &manager);
    for call in [during, after] {
        call.await.expect("no panic").expect("answered");
    }
    let log = installation.audit_log();
    let (_, since) = log.rsplit_once("\"event\":\"started\"").expect("a record of the start");
    assert_eq!(since.matches("\"event\":\"released\"").count(), 2, "the first did not take them");
}

fn reload(server: &Server, manager: &Manager) {
    server.signal(Signal::HUP);
    let reloading = manager.until("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_lets_new_nodes_in_and_old_ones_out() {
    let (installation, manager) = (Installation::new(), Manager::new());
    let server = installation.start_below(&manager);
    let address = installation.address();
    let stranger = seal(address, STRANGER, &[7; 32]).await.expect_err("not listed");
    assert_eq!(stranger.code(), Code::PermissionDenied);
    // On a connection from before, too.
    let channel = tonic::transport::Channel::builder(format!("http://{address}").parse().expect("a URL"));
    let mut kept = KmsServiceClient::new(channel.connect().await.expect("it listens"));
    let mut call = async || kept.seal(Request { node_uuid: CP_1.to_owned(), data: vec![7; 32] }).await;
    call().await.expect("listed");
    installation.edit(CP_1, STRANGER);
    reload(&server, &manager);
    manager.until("READY=1");
    seal(address, STRANGER, &[7; 32]).await.expect("listed now");
    assert_eq!(call().await.err().expect("listed no more").code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_change_is_refused_by_name_and_then_nothing_changes() {
    let (installation, manager) = (Installation::new(), Manager::new());
    let server = installation.start_below(&manager);
    installation.edit(CP_1, STRANGER);
    installation.edit("cli.sock", "other.sock");
    installation.edit("tls =", "exit_after_idle = \"10m\"\n            tls =");
    reload(&server, &manager);
    manager.until("THE CHANGED CONFIGURATION IS NOT IN FORCE: restart to change exit_after_idle, channel");
    manager.until("READY=1");
    assert_serves(installation.address()).await;
    assert!(server.said().contains("take effect with a restart only: exit_after_idle, channel"), "{}", server.said());
    installation.edit("other.sock", "cli.sock");
    installation.edit("exit_after_idle = \"10m\"\n", "");
    reload(&server, &manager);
    manager.until("STATUS=2 nodes: nobody waits for an answer\n");
    seal(installation.address(), STRANGER, &[7; 32]).await.expect("the node is in force now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_mistakes_keeps_the_old_configuration_and_says_where_they_are() {
    let (installation, manager) = (Installation::new(), Manager::new());
    let server = installation.start_below(&manager);
    installation.edit(ALLOWED, "seal = \"perhaps\"");
    reload(&server, &manager);
    manager.until("THE CHANGED CONFIGURATION IS NOT IN FORCE: the file cannot be used, see the journal");
    assert_serves(installation.address()).await;
    assert!(server.said().contains("nightlatch.toml:10:") && server.said().contains("perhaps"), "{}", server.said());
    std::fs::remove_file(installation.configuration()).expect("ours");
    reload(&server, &manager);
    manager.until("READY=1");
    assert_serves(installation.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_what_is_reported() {
    let (installation, manager) = (Installation::new(), Manager::new());
    let server = installation.start_below(&manager);
    assert!(server.says("listening"), "{}", server.said());
    installation.edit("networks =", "log = { level = \"debug\" }\n            networks =");
    reload(&server, &manager);
    manager.until("READY=1");
    seal(installation.address(), STRANGER, &[7; 32]).await.expect_err("not listed");
    assert!(server.says("peer turned away"), "{}", server.said());
}

#[test]
fn ending_when_idle_is_for_services_that_are_started_again() {
    let (installation, manager) = (Installation::new(), Manager::new());
    installation.edit("tls =", "exit_after_idle = \"1m\"\n            tls =");
    let by_hand = installation.start_below(&manager);
    manager.until("READY=1");
    assert!(by_hand.says("exit_after_idle not done"), "{}", by_hand.said());
    drop(by_hand);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let activated = installation.start_on(&listener, &manager);
    assert!(!activated.said().contains("exit_after_idle not done"), "{}", activated.said());
}
