use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::directory::{GROWTH, Step};
use super::*;
use crate::clock::WallTime;
use crate::peer::standing::{GrantAhead, KeptVote, LastApproval, Lock, LockedBy, NodeEntry, Refusal, RefusalKind};
use crate::peer::{ListedBy, Node, Origin};
use crate::request::NodeUuid;

mod crashes;
mod images;
mod properties;
mod versions;

/// Where the next save fails or the process is killed, and which steps were taken.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) fail_before: Cell<Option<Step>>,
    pub(super) kill_before: Cell<Option<Step>>,
    taken: RefCell<Vec<Step>>,
}

impl Faults {
    pub(super) fn before(&self, step: Step) -> io::Result<()> {
        if self.fail_before.get() == Some(step) {
            return Err(io::Error::other("a fault that the test put there"));
        }
        if self.kill_before.get() == Some(step) {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
        }
        self.taken.borrow_mut().push(step);
        Ok(())
    }
}

const HOME: Uuid = Uuid::from_u128(0x9f8b_7c3e_2f4d_4a1b_8c6e_5d0f_9a7b_3c21);

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("state");
    (directory, path)
}

fn refusal(node: &str, kind: RefusalKind) -> Refusal {
    Refusal {
        node: NodeUuid::parse(node).expect("printable"),
        origin: None,
        kind,
        by: "alice".into(),
        channel: "telegram".into(),
        at: WallTime::from_unix_millis(1_795_419_608_123),
        until: WallTime::from_unix_millis(1_795_423_208_123),
    }
}

fn grant(node: &str, origin: Origin) -> GrantAhead {
    GrantAhead {
        id: [0xA7; 16],
        code: 1234,
        node: NodeUuid::parse(node).expect("printable"),
        entry: [1; 16],
        origin,
        votes: vec![
            KeptVote { approver: "alice".into(), channel: "telegram".into(), uid: None, telegram_id: Some(101) },
            KeptVote { approver: "bob".into(), channel: "cli".into(), uid: Some(1001), telegram_id: Some(-5) },
        ],
        at: WallTime::from_unix_millis(1_795_419_608_123),
        until: WallTime::from_unix_millis(1_795_421_408_123),
        uses_left: 8,
    }
}

fn entry(uuid: &str, name: &str) -> NodeEntry {
    let uuid = NodeUuid::parse(uuid).expect("printable");
    let node = Node {
        uuid,
        name: name.into(),
        cluster: None,
        addresses: vec![],
        formerly: vec![],
        bind_address: false,
        listed_by: ListedBy::People,
    };
    NodeEntry { node, by: "alice".into(), channel: "cli".into(), at: WallTime::from_unix_millis(6) }
}

/// One of everything: a block of a whole node, a denial from one address, two approvals, a lock, a grant ahead, two nodes.
fn standing() -> Standing {
    let origin = Origin::OtherAddress("192.0.2.12/32".parse().expect("a network"));
    let approval = |node, origin| LastApproval {
        node: NodeUuid::parse(node).expect("printable"),
        origin,
        by: "alice".into(),
        at: WallTime::from_unix_millis(5),
    };
    let person = LockedBy::Person { approver: "alice".into(), channel: "telegram".into() };
    let mut replaced = entry("44444444-9abc-4def-8123-456789abcdef", "cp-4");
    replaced.node.cluster = Some("home".into());
    replaced.node.addresses = ["192.0.2.14/32", "2001:db8::/64"].map(|text| text.parse().expect("a network")).into();
    replaced.node.formerly = vec![NodeUuid::parse("old").expect("printable")];
    Standing {
        refusals: vec![
            refusal("12345678-9abc-4def-8123-456789abcdef", RefusalKind::Block),
            Refusal { origin: Some(origin), ..refusal("worker-2", RefusalKind::Denial) },
        ],
        approvals: vec![
            approval("cp-1", Origin::Listed),
            approval("cp-1", Origin::PerAddress("2001:db8::/64".parse().expect("a network"))),
        ],
        lock: Some(Lock { by: person, at: WallTime::from_unix_millis(1_795_419_609_000) }),
        grants: vec![grant("cp-1", Origin::Listed)],
        nodes: vec![replaced, entry("n5", "new-n5")],
    }
}

fn saved(path: &Path) -> Vec<u8> {
    let (mut store, _) = Store::create(path, HOME).expect("a new state");
    store.save(&standing()).expect("the disk works");
    fs::read(path.join("state")).expect("it is there")
}

/// `text` with the digest that makes it whole.
fn sealed(text: &str) -> Vec<u8> {
    let digits: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{text}sha256 {digits}\n").into_bytes()
}

#[test]
fn saved_state_is_as_specified() {
    let (_directory, path) = directory();
    let body = concat!(
        r#"{"refusals":[{"node":"12345678-9abc-4def-8123-456789abcdef","origin":null,"kind":"block","by":"alice","#,
        r#""channel":"telegram","at":1795419608123,"until":1795423208123},"#,
        r#"{"node":"worker-2","origin":{"kind":"other-address","network":"192.0.2.12/32"},"kind":"denial","by":"alice","#,
        r#""channel":"telegram","at":1795419608123,"until":1795423208123}],"#,
        r#""approvals":[{"node":"cp-1","origin":{"kind":"listed"},"by":"alice","at":5},"#,
        r#"{"node":"cp-1","origin":{"kind":"per-address","network":"2001:db8::/64"},"by":"alice","at":5}],"#,
        r#""lock":{"by":{"kind":"person","approver":"alice","channel":"telegram"},"at":1795419609000},"#,
        r#""grants":[{"id":"a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7","code":1234,"node":"cp-1","#,
        r#""entry":"01010101010101010101010101010101","origin":{"kind":"listed"},"votes":["#,
        r#"{"approver":"alice","channel":"telegram","uid":null,"telegram_id":101},"#,
        r#"{"approver":"bob","channel":"cli","uid":1001,"telegram_id":-5}],"#,
        r#""at":1795419608123,"until":1795421408123,"uses_left":8}],"#,
        r#""nodes":[{"uuid":"44444444-9abc-4def-8123-456789abcdef","name":"cp-4","cluster":"home","#,
        r#""addresses":["192.0.2.14/32","2001:db8::/64"],"formerly":["old"],"by":"alice","channel":"cli","at":6},"#,
        r#"{"uuid":"n5","name":"new-n5","cluster":null,"addresses":[],"formerly":[],"by":"alice","channel":"cli","at":6}]}"#,
    );
    let expected = sealed(&format!("nightlatch-state 2 9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21 2\n{body}\n"));
    assert_eq!(String::from_utf8(saved(&path)), String::from_utf8(expected));
}

#[test]
fn state_is_for_its_owner_alone() {
    let (_directory, path) = directory();
    saved(&path);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("state")), 0o600);
    assert_eq!(mode(&path.join("lock")), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).expect("the test owns it");
    assert!(matches!(Store::open(&path, HOME), Err(Error::Exposed { mode: 0o750, .. })));
}

#[test]
fn opened_again_it_is_what_was_saved() {
    let (_directory, path) = directory();
    saved(&path);
    let (mut store, found) = Store::open(&path, HOME).expect("it was saved");
    assert_eq!((found, store.generation()), (standing(), Generation(2)));
    assert_eq!(store.save(&Standing::default()).expect("the disk works"), Generation(3));
    drop(store);
    let (store, found) = Store::open(&path, HOME).expect("it was saved");
    assert_eq!((found, store.generation()), (Standing::default(), Generation(3)));
}

#[test]
fn state_is_never_made_where_one_should_be() {
    let (_directory, path) = directory();
    assert!(matches!(Store::open(&path, HOME), Err(Error::Io { .. })));
    fs::DirBuilder::new().create(&path).expect("a directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("the test owns it");
    assert!(matches!(Store::open(&path, HOME), Err(Error::Absent(_))));
    assert!(!path.join("state").exists());
}

#[test]
fn state_that_is_there_is_never_begun_anew() {
    let (_directory, path) = directory();
    for bytes in [saved(&path), b"junk".to_vec(), vec![]] {
        fs::write(path.join("state"), &bytes).expect("it can be written");
        assert!(matches!(Store::create(&path, HOME), Err(Error::Exists(_))));
        assert_eq!(fs::read(path.join("state")).expect("it is there"), bytes);
    }
}

#[test]
fn state_of_another_installation_is_refused() {
    let (_directory, path) = directory();
    saved(&path);
    let error = Store::open(&path, Uuid::from_u128(1)).expect_err("it is another's");
    assert!(matches!(error, Error::Unreadable { source: Unreadable::Foreign { found: HOME }, .. }), "{error}");
}

#[test]
fn every_truncation_is_refused() {
    let (_directory, path) = directory();
    let whole = saved(&path);
    assert!(read(&whole, HOME).is_ok());
    for cut_at in 0..whole.len() {
        assert!(matches!(read(&whole[..cut_at], HOME), Err(Unreadable::Damaged(_))), "cut at {cut_at}");
    }
    assert!(matches!(read(&[&whole[..], b"\n"].concat(), HOME), Err(Unreadable::Damaged(_))));
    fs::write(path.join("state"), &whole[..whole.len() - 1]).expect("it can be written");
    let error = Store::open(&path, HOME).expect_err("it is cut off");
    assert!(matches!(error, Error::Unreadable { source: Unreadable::Damaged(_), .. }), "{error}");
}

#[test]
fn every_changed_byte_is_refused() {
    let (_directory, path) = directory();
    let whole = saved(&path);
    for at in 0..whole.len() {
        for change in [0x01, 0x20, 0x80, 0xFF] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            assert!(matches!(read(&bytes, HOME), Err(Unreadable::Damaged(_))), "byte {at} with {change:#x}");
        }
    }
}

#[test]
fn every_zeroed_block_is_refused() {
    let (_directory, path) = directory();
    let whole = saved(&path);
    for block in [1, 16, 512, 4096] {
        for from in (0..whole.len()).step_by(block) {
            let mut bytes = whole.clone();
            bytes.iter_mut().skip(from).take(block).for_each(|byte| *byte = 0);
            assert!(matches!(read(&bytes, HOME), Err(Unreadable::Damaged(_))), "{block} bytes from {from}");
        }
    }
}

#[test]
fn too_much_is_neither_saved_nor_read() {
    let (_directory, path) = directory();
    let (mut store, _) = Store::create(&path, HOME).expect("a new state");
    let many = |count| Standing {
        refusals: vec![refusal("n", RefusalKind::Block); count],
        approvals: vec![],
        ..Standing::default()
    };
    store.save(&many(MAX_REFUSALS)).expect("as many are allowed");
    let before = fs::read(path.join("state")).expect("it is there");
    let approvals = vec![standing().approvals[0].clone(); MAX_APPROVALS + 1];
    let long =
        Refusal { by: "\0".repeat(256).into(), channel: "\0".repeat(256).into(), ..refusal("n", RefusalKind::Block) };
    for (standing, expected) in [
        (many(MAX_REFUSALS + 1), Unwritable::TooManyRefusals),
        (Standing { approvals, ..Standing::default() }, Unwritable::TooManyApprovals),
        (
            Standing {
                refusals: vec![Refusal { by: "x".repeat(257).into(), ..long.clone() }],
                approvals: vec![],
                ..Standing::default()
            },
            Unwritable::Name,
        ),
        (
            Standing { refusals: vec![long; MAX_REFUSALS], approvals: vec![], ..Standing::default() },
            Unwritable::TooLong,
        ),
    ] {
        let error = store.save(&standing).expect_err("it is too much");
        assert!(matches!(error, Error::Unwritable(found) if found == expected), "{error:?}");
        assert_eq!(fs::read(path.join("state")).expect("it is there"), before);
    }
    drop(store);
    fs::write(path.join("state"), vec![b' '; MAX_LEN + 1]).expect("it can be written");
    assert!(matches!(Store::open(&path, HOME), Err(Error::Unreadable { source: Unreadable::Damaged(_), .. })));
}

#[test]
fn second_process_is_refused() {
    let (_directory, path) = directory();
    let (first, _) = Store::create(&path, HOME).expect("a new state");
    assert!(matches!(Store::open(&path, HOME), Err(Error::InUse(_))));
    assert!(matches!(Store::create(&path, HOME), Err(Error::InUse(_))));
    drop(first);
    Store::open(&path, HOME).expect("it is free again");
}

#[test]
fn links_directories_and_pipes_are_refused() {
    for name in ["state", "lock"] {
        let (directory, path) = directory();
        let bytes = saved(&path);
        let (outside, file) = (directory.path().join("outside"), path.join(name));
        fs::write(&outside, bytes).expect("it can be written");
        fs::remove_file(&file).expect("it can be removed");
        symlink(&outside, &file).expect("a link");
        assert!(matches!(Store::open(&path, HOME), Err(Error::NotAFile(_))), "{name}");
        fs::remove_file(&file).expect("it can be removed");
        if name == "state" {
            mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
            assert!(matches!(Store::open(&path, HOME), Err(Error::NotAFile(_))));
            fs::remove_file(&file).expect("it can be removed");
        }
        fs::create_dir(&file).expect("a directory");
        assert!(matches!(Store::open(&path, HOME), Err(Error::NotAFile(_))), "{name}");
    }
}

#[test]
fn save_does_not_write_through_a_link() {
    let (directory, path) = directory();
    let (mut store, _) = Store::create(&path, HOME).expect("a new state");
    let outside = directory.path().join("outside");
    symlink(&outside, path.join("state.new")).expect("a link");
    store.save(&standing()).expect("the link is removed");
    assert!(!outside.exists());
}

#[test]
fn steps_of_a_save_are_in_order() {
    let (_directory, path) = directory();
    let (mut store, _) = Store::create(&path, HOME).expect("a new state");
    for first in [Step::CreateNew, Step::WriteNew] {
        store.directory.faults.taken.borrow_mut().clear();
        store.save(&standing()).expect("the disk works");
        let mut expected = vec![Step::WriteNew, Step::SyncNew, Step::Rename, Step::SyncDirectory, Step::Reserve];
        expected.push(Step::CreateNew);
        if first == Step::CreateNew {
            expected.insert(0, first);
        }
        assert_eq!(*store.directory.faults.taken.borrow(), expected);
    }
}

#[test]
fn wherever_a_crash_hits_a_save_the_state_is_the_one_before_or_the_one_after() {
    for (step, reserved, after) in [
        (Step::CreateNew, false, false),
        (Step::WriteNew, false, false),
        (Step::WriteNew, true, false),
        (Step::SyncNew, false, false),
        (Step::SyncNew, true, false),
        (Step::Rename, false, false),
        (Step::Rename, true, false),
        (Step::SyncDirectory, false, true),
        (Step::SyncDirectory, true, true),
    ] {
        let (_directory, path) = directory();
        let (mut store, _) = Store::create(&path, HOME).expect("a new state");
        store.directory.faults.fail_before.set((!reserved).then_some(Step::Reserve));
        store.save(&standing()).expect("the disk works");
        assert_eq!(path.join("state.new").exists(), reserved && can_reserve(&path), "{step:?}");
        store.directory.faults.fail_before.set(Some(step));
        assert!(matches!(store.save(&Standing::default()), Err(Error::Io { .. })), "{step:?}");
        drop(store);
        let (store, found) = Store::open(&path, HOME).expect("it is whole");
        let expected = if after { (Standing::default(), Generation(3)) } else { (standing(), Generation(2)) };
        assert_eq!((found, store.generation()), expected, "{step:?}");
        let left = fs::read(path.join("state.new")).unwrap_or_default();
        assert_eq!(left, b"", "{step:?}: nothing of the save is left");
    }
}

#[test]
fn crash_after_a_save_leaves_the_state() {
    let (_directory, path) = directory();
    let (mut store, _) = Store::create(&path, HOME).expect("a new state");
    store.directory.faults.fail_before.set(Some(Step::Reserve));
    assert_eq!(store.save(&standing()).expect("it does not depend on space for the next"), Generation(2));
    drop(store);
    assert_eq!(Store::open(&path, HOME).expect("it is whole").1, standing());
}

/// Whether the file system of this test run can allocate at all.
fn can_reserve(path: &Path) -> bool {
    let file = fs::File::create(path.join("probe")).expect("it can be made");
    let can = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, 4096).is_ok();
    fs::remove_file(path.join("probe")).expect("it can be removed");
    can
}

fn allocated(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.blocks() * 512)
}

#[test]
fn space_for_the_next_save_is_kept_and_given_back() {
    let (_directory, path) = directory();
    let (store, _) = Store::create(&path, HOME).expect("a new state");
    assert!(!path.join("state.new").exists(), "only who goes on to save keeps space");
    drop(store);
    if !can_reserve(&path) {
        return println!("skipped: the file system of this test cannot reserve space");
    }
    let (mut store, _) = Store::open(&path, HOME).expect("it was saved");
    for standing in [standing(), Standing::default(), standing()] {
        let metadata = fs::metadata(path.join("state.new")).expect("space is kept");
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o7777), (0, 0o600));
        let needed = fs::metadata(path.join("state")).expect("it is there").len() + GROWTH;
        assert!(allocated(&path.join("state.new")) >= needed);
        store.directory.faults.taken.borrow_mut().clear();
        store.save(&standing).expect("the disk works");
        assert_eq!(store.directory.faults.taken.borrow()[0], Step::WriteNew, "nothing is made anew");
        assert!(allocated(&path.join("state")) < GROWTH, "what was not needed is given back");
    }
}

#[test]
fn what_others_did_to_the_kept_space_is_noticed() {
    for change in [
        (|new: &Path| fs::remove_file(new)) as fn(&Path) -> io::Result<()>,
        |new| fs::remove_file(new).and_then(|()| fs::write(new, "junk")),
        |new| fs::remove_file(new).and_then(|()| symlink("/etc/passwd", new)),
        |new| fs::write(new, "junk that is longer than what is saved, by its last words: ".repeat(100)),
    ] {
        let (_directory, path) = directory();
        saved(&path);
        let (mut store, _) = Store::open(&path, HOME).expect("it was saved");
        // Without reserved space there is nothing to remove.
        drop(change(&path.join("state.new")));
        store.save(&Standing::default()).expect("it is written all the same");
        drop(store);
        assert_eq!(Store::open(&path, HOME).expect("it is whole").1, Standing::default());
    }
}

#[test]
fn failed_save_uses_up_its_generation() {
    let (_directory, path) = directory();
    let (mut store, _) = Store::create(&path, HOME).expect("a new state");
    store.directory.faults.fail_before.set(Some(Step::SyncDirectory));
    store.save(&standing()).expect_err("the disk is broken");
    store.directory.faults.fail_before.set(None);
    assert_eq!(store.save(&Standing::default()).expect("the disk works again"), Generation(3));
    drop(store);
    let (_, found) = Store::open(&path, HOME).expect("it is whole");
    assert_eq!(found, Standing::default());
}

#[test]
fn a_generation_above_what_is_known_elsewhere_can_be_asked_for() {
    let (_directory, path) = directory();
    let (mut store, _) = Store::create(&path, HOME).expect("a new state");
    assert_eq!(store.save_above(0, &standing()).expect("the disk works"), Generation(2));
    assert_eq!(store.save_above(17, &standing()).expect("the disk works"), Generation(18));
    assert!(matches!(store.save_above(u64::MAX, &standing()), Err(Error::Unwritable(Unwritable::TooManySaves))));
    drop(store);
    let (store, _) = Store::open(&path, HOME).expect("it is whole");
    assert_eq!(store.generation(), Generation(18));
}

#[test]
fn every_error_says_what_to_do() {
    let unreadable = |source| Error::Unreadable { path: "p".into(), source };
    for error in [
        Error::Absent("p".into()),
        Error::Exists("p".into()),
        Error::Exposed { path: "p".into(), mode: 0o755 },
        Error::InUse("p".into()),
        Error::Io { step: "open it".into(), path: "p".into(), source: io::Error::other("x") },
        Error::NotAFile("p".into()),
        unreadable(Unreadable::Damaged("x")),
        unreadable(Unreadable::Foreign { found: HOME }),
        unreadable(Unreadable::Newer { version: 2 }),
        Error::Unwritable(Unwritable::TooManyRefusals),
    ] {
        assert!(!error.hint().is_empty(), "{error}");
    }
}

#[test]
fn a_state_that_a_server_uses_can_be_looked_at_and_stays_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, installation) = (directory.path().join("state"), Uuid::from_u128(1));
    let _server = Store::create(&path, installation).expect("a state");
    let count = || fs::read_dir(&path).expect("listed").count();
    let before = count();
    assert_eq!(look(&path, installation).expect("it is good").0.get(), 1);
    assert_eq!(count(), before, "nothing is made or removed");
    let foreign = look(&path, Uuid::from_u128(2)).expect_err("it is another's");
    assert!(matches!(foreign, Error::Unreadable { .. }), "{foreign}");
    fs::remove_file(path.join("state")).expect("removed");
    assert!(matches!(look(&path, installation), Err(Error::Absent(_))));
}
