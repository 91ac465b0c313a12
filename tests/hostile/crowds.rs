//! More of everything: connections, held calls, junk calls, and fewer descriptors than it takes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use nightlatch_approval_api::v1::NoticeKind;
use tokio::time::timeout;

use crate::frames::{END_STREAM, HEADERS, call, opening, take};
use crate::installation::{Installation, WORKER_2};
use crate::people::Person;
use crate::target::{MOST_GROWTH, Road, Stream, Target};
use nightlatch::listen::limits::raise_descriptor_limit;

/// Whether this process may have `count` descriptors; says so if not.
fn has_descriptors(count: u64) -> bool {
    let own = raise_descriptor_limit().expect("our own limit");
    let enough = own.is_none_or(|own| own > count);
    if !enough {
        eprintln!("skipped: {count} descriptors are needed, and {own:?} allowed: ulimit -Hn");
    }
    enough
}

fn from(net: u8, number: u32) -> Ipv4Addr {
    let [_, _, high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, net, high, low)
}

/// A connection that was greeted. Without this the listener's backlog runs over.
fn greeted(target: &Target, address: Ipv4Addr) -> Box<dyn Stream> {
    let mut connection = target.connect(address);
    connection.write_all(&opening(None)).expect("the server listens");
    connection.read_exact(&mut [0; 9]).expect("the server sends its settings");
    connection
}

#[tokio::test]
async fn ten_thousand_connections_that_say_nothing() {
    if !has_descriptors(11_000) {
        return;
    }
    let target = Target::start();
    target.assert_serves().await;
    let before = target.resident();
    let mut silent = vec![];
    for number in 0..10_000_u32 {
        let address = from(2, 1 + number % 250);
        silent.push(if number % 100 == 0 { greeted(&target, address) } else { target.connect(address) });
        if number % 1_000 == 999 {
            target.assert_serves().await;
        }
    }
    let grown = target.resident().saturating_sub(before);
    drop(silent);
    target.assert_serves().await;
    eprintln!("10,000 connections: {grown} KiB");
    assert!(grown <= 8 * MOST_GROWTH, "the server grew by {grown} KiB");
}

#[tokio::test]
async fn one_address_takes_its_own_places_alone() {
    let target = Target::start();
    let mut other = greeted(&target, from(3, 2));
    let crowd: Vec<_> = (0..200).map(|_| greeted(&target, from(3, 1))).collect();
    target.assert_serves().await;
    let still_open = crate::target::throw(&mut *other, []);
    assert!(!still_open.is_cut(), "the other's connection was closed");
    let mut open = crowd.into_iter().map(|mut connection| crate::target::throw(&mut *connection, []));
    assert_eq!(open.by_ref().filter(|heard| !heard.is_cut()).count(), 64);
}

#[tokio::test]
async fn fewer_descriptors_than_connections() {
    let installation = Installation::new();
    let server = installation.start_with_descriptors(28);
    let target = Target::of(installation, server, Road::Plaintext);
    let silent: Vec<_> = (0..200).map(|number| target.connect(from(4, 1 + number % 50))).collect();
    target.assert_serves().await;
    target.installation.approvals();
    drop(silent);
    target.assert_serves().await;
    target.installation.approvals();
}

/// A thousand nodes that boot after a power cut, and a person who does not answer yet; nodes of one address share
/// connections.
#[tokio::test]
async fn a_thousand_held_calls() {
    a_thousand_held(8, false, 16 * 1024).await;
}

/// The same, with a connection for each. Of a connection the library for HTTP/2 alone keeps 28 KiB of buffers, whose
/// pages count once they are touched.
#[tokio::test]
async fn a_thousand_held_calls_on_as_many_connections() {
    a_thousand_held(1, false, 32 * 1024).await;
}

/// The same inside TLS, which keeps two keys and a buffer for each direction.
#[tokio::test]
async fn a_thousand_held_calls_inside_tls_on_as_many_connections() {
    a_thousand_held(1, true, 48 * 1024).await;
}

async fn a_thousand_held(on_one_connection: u32, is_encrypted: bool, most: u64) {
    const NODES: u32 = 1_000;
    if !has_descriptors(u64::from(2 * NODES)) {
        return;
    }
    let uuid = |number: u32| format!("c232ab00-9414-41ec-b3c8-{number:012x}");
    let installation = Installation::new();
    let node = |number| {
        let uuid = uuid(number);
        format!("{{ uuid = \"{uuid}\", name = \"n{number}\", addresses = [\"127.5.0.0/16\"] }},\n")
    };
    let nodes: String = (0..NODES).map(node).collect();
    let text = std::fs::read_to_string(installation.configuration()).expect("a configuration");
    let text = text.replace("node = [", &format!("node = [{nodes}")).replace("unseal = \"allow\"", "unseal = \"ask\"");
    let text = text + "\n[timings]\nhold = \"8s\"\nrelease_margin = \"1s\"\n";
    std::fs::write(installation.configuration(), text).expect("a configuration");
    let road = if is_encrypted { Road::encrypted(&installation) } else { Road::Plaintext };
    let server = installation.start();
    let target = Target::of(installation, server, road);
    target.assert_serves().await;
    let before = target.resident();
    let mut held = vec![];
    for first in (0..NODES).step_by(usize::try_from(on_one_connection).expect("few")) {
        let mut connection = target.connect(from(5, first));
        let calls = (0..on_one_connection).flat_map(|number| call(1 + 2 * number, &uuid(first + number), &[7; 60]));
        let bytes = opening(None).into_iter().chain(calls).collect::<Vec<u8>>();
        connection.write_all(&bytes).expect("the server listens");
        connection.flush().expect("the server listens");
        held.push(connection);
    }
    let log = target.installation.state_directory().join("audit.log");
    let asked = || std::fs::read_to_string(&log).expect("an audit log").matches("\"ask-opened\"").count();
    let all = usize::try_from(NODES).expect("few");
    // 10 s in all, and at once as a rule.
    for _ in 0..500 {
        if asked() < all {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(asked(), all, "all are held");
    let grown = target.resident().saturating_sub(before);
    target.assert_serves().await;
    drop(held);
    target.assert_serves().await;
    eprintln!(
        "{NODES} held calls, {on_one_connection} on a connection, TLS {is_encrypted}: from {before} KiB by {grown} KiB"
    );
    assert!(grown <= most, "the server grew by {grown} KiB");
}

#[tokio::test]
async fn ten_thousand_junk_calls_from_one_address_are_told_once() {
    ten_thousand_junk_calls(|_| from(6, 1)).await;
}

#[tokio::test]
async fn ten_thousand_junk_calls_from_a_thousand_addresses_are_told_once() {
    ten_thousand_junk_calls(|connection| from(6, 1 + connection)).await;
}

/// For nodes that nobody knows, and in the name of a node that lists another address: from a thousand connections in turn.
/// Whoever listens hears of each kind once, and of the node itself when it asks.
async fn ten_thousand_junk_calls(address: impl Fn(u32) -> Ipv4Addr) {
    let installation = Installation::new();
    let listed = format!("uuid = \"{WORKER_2}\", name");
    installation.edit(&listed, &format!("addresses = [\"127.9.0.0/16\"], {listed}"));
    installation.edit("unseal = \"allow\"", "unseal = \"ask\"");
    let server = installation.start();
    let target = Target::of(installation, server, Road::Plaintext);
    target.assert_serves().await;
    let mut alice = Person::new(nightlatch_approval_api::connect(&target.installation.path().join("cli.sock")));
    alice.listen().await.expect("alice may listen");
    let before = target.resident();
    for number in 0..1_000 {
        let mut connection = target.connect(address(number));
        connection.write_all(&opening(None)).expect("the server listens");
        for round in 0..2 {
            let stream = |call: u32| 1 + 2 * (5 * round + call);
            let unknown = |call: u32| format!("00000000-0000-4000-8000-{number:06x}{:06x}", 5 * round + call);
            let node = |call: u32| if call == 0 { WORKER_2.to_owned() } else { unknown(call) };
            let calls: Vec<u8> = (0..5).flat_map(|number| call(stream(number), &node(number), &[7; 60])).collect();
            connection.write_all(&calls).expect("the server listens");
            await_answers(&mut *connection, 5);
        }
        if number % 100 == 0 {
            target.assert_serves().await;
        }
    }
    let grown = target.resident().saturating_sub(before);
    eprintln!("10,000 junk calls: from {before} by {grown} KiB");
    assert!(grown <= MOST_GROWTH, "the server grew by {grown} KiB");

    let mut connection = target.connect(from(9, 1));
    connection.write_all(&[opening(None), call(1, WORKER_2, &[7; 60])].concat()).expect("the server listens");
    let ask = timeout(Duration::from_secs(20), alice.asked()).await.expect("its prompt arrives");
    assert_eq!((ask.address.as_str(), alice.prompts.len()), ("127.9.0.1", 1), "nobody else was asked for");
    let told: Vec<_> = alice.notices.iter().map(|notice| (notice.kind(), notice.node.is_some())).collect();
    let kinds: BTreeSet<_> = told.iter().map(|(kind, of_a_node)| (i32::from(*kind), *of_a_node)).collect();
    assert_eq!(told.len(), kinds.len(), "something was told twice: {told:?}");
    assert!(
        told.contains(&(NoticeKind::Strangers, false)) && told.contains(&(NoticeKind::OtherAddress, true)),
        "{told:?}"
    );
}

/// Reads until this many streams have ended.
fn await_answers(connection: &mut dyn Stream, count: usize) {
    let (mut bytes, mut buffer, mut ended) = (vec![], [0; 4096], 0);
    while ended < count {
        let read = connection.read(&mut buffer).expect("an answer");
        assert!(read > 0, "the server hung up");
        bytes.extend_from_slice(&buffer[..read]);
        let is_end = |kind, flags| kind == HEADERS && flags & END_STREAM != 0;
        ended += take(&mut bytes).iter().filter(|frame| is_end(frame.kind, frame.flags)).count();
    }
}
