use super::*;

const NOW: i64 = 1_795_660_800_000;
const HOUR: i64 = 3_600_000;

fn node(name: &str) -> Option<v1::Node> {
    Some(v1::Node { uuid: "u".to_owned(), name: name.to_owned(), cluster: "home".to_owned() })
}

fn look() -> Look {
    Look { snapshot: snapshot(), overview: Some(overview()) }
}

fn snapshot() -> v1::Snapshot {
    let mut snapshot = v1::Snapshot {
        installation: "7d3c0f6e-7d0c-4f0e-8a3b-0d9a1f0b1c2d".to_owned(),
        server_version: "0.1.0".to_owned(),
        ..v1::Snapshot::default()
    };
    snapshot.asks.push(v1::Ask {
        code: "K7Q2".to_owned(),
        operation: v1::Operation::Unseal.into(),
        node: node("cp-1"),
        address: "192.0.2.11".to_owned(),
        opened_at_ms: NOW - 12_000,
        ..v1::Ask::default()
    });
    snapshot.grants.push(v1::Grant {
        code: "G4TX".to_owned(),
        node: node("cp-2"),
        by: vec!["alice".to_owned()],
        seconds_left: 1700,
        uses_left: 7,
        ahead: true,
        ..v1::Grant::default()
    });
    snapshot.refusals.push(v1::Refusal {
        node: node("worker-2"),
        by: "bob".to_owned(),
        until_ms: NOW + 3 * HOUR,
        kind: v1::RefusalKind::Block.into(),
        ..v1::Refusal::default()
    });
    snapshot.nodes.push(v1::NodeStatus {
        node: node("cp-1"),
        last_approved_at_ms: NOW - 5 * HOUR,
        last_approved_by: "alice".to_owned(),
        ..v1::NodeStatus::default()
    });
    snapshot.nodes.push(v1::NodeStatus {
        node: node("worker-2"),
        listed_by: v1::ListedBy::People.into(),
        ..v1::NodeStatus::default()
    });
    snapshot
}

fn overview() -> v1::OverviewResponse {
    v1::OverviewResponse {
        started_at_ms: NOW - 80 * HOUR,
        keys: vec![
            v1::Key {
                name: "main".to_owned(),
                id: "0123456789abcdef".to_owned(),
                seals: true,
                present: true,
                ..v1::Key::default()
            },
            v1::Key { name: "old".to_owned(), absence: "its file is gone".to_owned(), ..v1::Key::default() },
        ],
        channels: vec![
            v1::ChannelStatus { name: "cli".to_owned(), attached: 1 },
            v1::ChannelStatus { name: "telegram".to_owned(), attached: 0 },
        ],
        tls: true,
        certificate_not_after_ms: NOW + 30 * 24 * HOUR,
        last_releases: vec![v1::Release {
            operation: v1::Operation::Unseal.into(),
            node: node("cp-2"),
            address: "192.0.2.12".to_owned(),
            at_ms: NOW - 60_000,
            ahead_uses_left: Some(7),
            ..v1::Release::default()
        }],
        warnings: vec!["the certificate expires in 30 days".to_owned()],
        calls_held: 1,
        ..v1::OverviewResponse::default()
    }
}

#[test]
fn it_reads_well() {
    let expected = "\
! the certificate expires in 30 days

open (1)   answer: nightlatch approvals approve CODE
  K7Q2  cp-1 wants to unlock · 192.0.2.11 · since 12 s

approved now (1)   end: nightlatch revoke CODE
  G4TX  cp-2 · 7 more times · 28 min left · ahead · from its listed addresses
        by alice

denied or blocked (1)   end: nightlatch unblock NODE
  blocked worker-2 from anywhere by bob, 3 h left

nodes (2)
  cp-1      approved 5 h ago by alice · cluster home
  worker-2  never approved · cluster home · listed by people

last releases (1)
      60 s ago  unlocked cp-2 · 192.0.2.12, approved ahead, 7 left

channels      cli: 1 attached · telegram: nobody
certificate   valid for 30 days, until 2026-12-26
key           main (0123456789abcdef, seals new disks): in memory
key           old: NOT in memory: its file is gone
nightlatch    version 0.1.0 · up 3 days · 1 call waits for an answer
installation  7d3c0f6e-7d0c-4f0e-8a3b-0d9a1f0b1c2d
";
    assert_eq!(page(&look(), NOW, false), expected);
}

#[test]
fn a_lock_comes_before_everything() {
    let mut look = look();
    look.snapshot.lock = Some(v1::Lock { by: "alice".to_owned(), at_ms: NOW - 60_000, ..v1::Lock::default() });
    assert!(page(&look, NOW, false).starts_with("LOCKED by alice, 60 s ago: nothing is released\n"));
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    let mut look = look();
    let long = "n".repeat(60);
    look.snapshot.asks[0].address = "2001:db8:1111:2222:3333:4444:5555:6666".to_owned();
    look.snapshot.asks[0].node = node("a-control-plane-node");
    look.snapshot.grants[0].node = node(&long);
    look.snapshot.nodes[0].node = node(&long);
    look.snapshot.nodes[0].conflict = "it contradicts the configuration in more words than one line has, ".repeat(3);
    look.snapshot
        .asks
        .push(v1::Ask { warnings: vec![v1::Warning::SecondAddress.into(), 99], ..look.snapshot.asks[0].clone() });
    let shown = page(&look, NOW, false);
    let wide: Vec<_> = shown.lines().filter(|line| line.chars().count() > WIDTH).collect();
    assert_eq!(wide, Vec::<&str>::new(), "{shown}");
}

#[test]
fn long_lists_are_shortened_and_say_how_to_see_all() {
    let mut look = look();
    look.snapshot.nodes = vec![v1::NodeStatus { node: node("cp-1"), ..v1::NodeStatus::default() }; SHOWN + 30];
    let shown = page(&look, NOW, false);
    assert!(shown.contains("nodes (42)") && shown.contains("  … and 30 more: nightlatch status --all\n"), "{shown}");
    assert_eq!(page(&look, NOW, true).matches("never approved").count(), 42);
}

#[test]
fn an_older_server_is_said_to_be_that_and_the_rest_is_shown() {
    let mut look = look();
    look.overview = None;
    let shown = page(&look, NOW, false);
    assert!(shown.starts_with("! the server (version 0.1.0) is older than this command"), "{shown}");
    assert!(shown.contains("K7Q2  cp-1 wants to unlock"), "{shown}");
    assert!(!shown.contains("certificate   "), "{shown}");
}

#[test]
fn an_ask_with_a_warning_is_shown_with_it() {
    let mut look = look();
    look.snapshot.asks[0].warnings = vec![v1::Warning::OtherAddress.into()];
    assert!(page(&look, NOW, false).contains("! this address is NOT listed for this node"));
}
