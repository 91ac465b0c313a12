//! The state on a disk that is full. Alone in its program: a test beside it that starts another program holds files open that
//! were replaced, for as long as that takes, and their space is not free then.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use nightlatch::clock::WallTime;
use nightlatch::peer::standing::{Refusal, RefusalKind, Standing};
use nightlatch::request::NodeUuid;
use nightlatch::state::Store;
use uuid::Uuid;

const HOME: Uuid = Uuid::from_u128(7);

/// A small file system of its own; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k,mode=0700", "none"]).arg(at);
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then(|| Self(at.into()))
    }

    /// Writes until there is no room.
    fn fill(&self) {
        let mut junk = fs::File::options().append(true).create(true).open(self.0.join("junk")).expect("a file");
        let error = std::iter::repeat(()).find_map(|()| junk.write_all(&[b'x'; 512]).err()).expect("it ends");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// A state with so many blocks.
fn blocks(count: usize) -> Standing {
    let refusal = |number| Refusal {
        node: NodeUuid::parse(&format!("n{number}")).expect("printable"),
        origin: None,
        kind: RefusalKind::Block,
        by: "alice".into(),
        channel: "telegram".into(),
        at: WallTime::from_unix_millis(1_795_419_608_123),
        until: WallTime::from_unix_millis(1_795_423_208_123),
    };
    Standing { refusals: (0..count).map(refusal).collect(), ..Standing::default() }
}

#[test]
fn full_disk_does_not_keep_people_from_deciding() {
    let directory = tempfile::tempdir().expect("a directory");
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: only root can mount a small file system");
    }
    let Some(disk) = SmallDisk::mount(directory.path()) else {
        return println!("skipped: no file system can be mounted here");
    };
    let path = directory.path().join("state");
    let (mut without, _) = Store::create(&path, HOME).expect("there is room");
    disk.fill();
    without.save(&blocks(30)).expect_err("there is no room, and none was kept");
    drop(without);
    fs::remove_file(directory.path().join("junk")).expect("it can be removed");
    let (mut store, _) = Store::open(&path, HOME).expect("it is whole");
    for _ in 0..5 {
        disk.fill();
        store.save(&blocks(2)).expect("room was kept for it");
    }
    disk.fill();
    store.save(&blocks(100)).expect("also to grow");
    drop(store);
    assert_eq!(Store::open(&path, HOME).expect("it is whole").1, blocks(100));
    drop(disk);
}
