use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use uuid::Uuid;

use super::import::{Age, age, import, read};
use super::*;
use crate::audit::file::File as AuditFile;
use crate::audit::log::Sink;
use crate::audit::record::{Entry, Record, StateSaved};
use crate::audit::tail::Told;
use crate::clock::WallTime;
use crate::config::Config;
use crate::peer::Origin;
use crate::peer::standing::{GrantAhead, KeptVote, Lock, LockedBy, Refusal, RefusalKind, Standing};
use crate::request::NodeUuid;
use crate::state::{Store, There};

const HOME: Uuid = Uuid::from_u128(0x9f8b_7c3e_2f4d_4a1b_8c6e_5d0f_9a7b_3c21);
const NOW: WallTime = WallTime::from_unix_millis(1_795_419_608_123);

/// An installation in a directory of its own.
struct House {
    root: TempDir,
    config: Config,
}

impl House {
    fn new() -> Self {
        Self::of(HOME)
    }

    fn of(installation: Uuid) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join("state");
        let text = format!(
            "installation = \"{installation}\"\nstate_directory = \"{}\"\nnetworks = []\ntls = \"off\"\n\
             [[key]]\nname = \"k\"\nsource = \"credential\"\nfile = \"/none\"\n",
            directory.display()
        );
        let (config, _) = Config::parse(&text, "nightlatch.toml").expect("it can be used");
        fs::write(root.path().join("nightlatch.toml"), text).expect("written");
        Self { root, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Saves `standing` until its generation is this one.
    fn saved(&self, standing: &Standing, generation: u64) -> Vec<u8> {
        drop(fs::remove_dir_all(&self.config.state_directory));
        let (mut store, _) =
            Store::create(&self.config.state_directory, self.config.installation).expect("a new state");
        store.save_above(generation - 1, standing).expect("the disk works");
        fs::read(self.config.state_directory.join("state")).expect("it is there")
    }

    /// An audit log that tells of this generation.
    fn recorded(&self, generation: u64) {
        let (mut log, tail) = AuditFile::open(&self.config.state_directory.join("audit.log"), NOW).expect("a log");
        let record = Record { seq: tail.next_seq, time: NOW, entry: Entry::from(StateSaved { generation }) };
        log.append(&record.line().expect("a record")).expect("there is room");
    }

    fn export(&self, name: &str) -> Result<(), Failure> {
        export(&self.path(name), &self.path("nightlatch.toml"))
    }

    fn import(&self, bytes: &[u8], older: bool) -> Result<String, Failure> {
        import(&self.config, bytes, older, NOW)
    }

    fn on_disk(&self) -> (u64, Standing) {
        let (store, standing) = Store::open(&self.config.state_directory, self.config.installation).expect("whole");
        (store.generation().get(), standing)
    }
}

/// A block and a grant ahead.
fn standing() -> Standing {
    let node = || NodeUuid::parse("n1").expect("printable");
    let refusal = Refusal {
        node: node(),
        origin: None,
        kind: RefusalKind::Block,
        by: "alice".into(),
        channel: "cli".into(),
        at: NOW,
        until: NOW,
    };
    let vote = KeptVote { approver: "alice".into(), channel: "cli".into(), uid: Some(1000), telegram_id: None };
    let grant = GrantAhead {
        id: [1; 16],
        code: 1,
        node: node(),
        entry: [2; 16],
        origin: Origin::Listed,
        votes: vec![vote],
        at: NOW,
        until: NOW,
        uses_left: 8,
    };
    Standing { refusals: vec![refusal], grants: vec![grant], ..Standing::default() }
}

fn locked() -> Standing {
    let lock = Some(Lock { by: LockedBy::OlderState, at: NOW });
    Standing { lock, grants: vec![], ..standing() }
}

#[test]
fn a_backup_is_the_state_and_for_its_owner_alone() {
    let house = House::new();
    let bytes = house.saved(&standing(), 5);
    let _server = Store::open(&house.config.state_directory, HOME).expect("a server has it");
    house.export("backup").expect("it is written while a server runs");
    assert_eq!(read(&house.path("backup")).expect("it is there"), bytes);
    let mode = fs::metadata(house.path("backup")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let failure = house.export("backup").expect_err("it is there already");
    assert_eq!(failure.code(), exit::CANNOT_CREATE);
    assert_eq!(read(&house.path("backup")).expect("it is there"), bytes, "nothing is overwritten");
}

#[test]
fn what_is_no_state_is_not_exported() {
    let house = House::new();
    let bytes = house.saved(&standing(), 5);
    for damaged in [&bytes[..bytes.len() - 1], b"junk"] {
        fs::write(house.config.state_directory.join("state"), damaged).expect("written");
        assert_eq!(house.export("backup").expect_err("damaged").code(), exit::DATA);
        assert!(!house.path("backup").exists());
    }
    fs::remove_file(house.config.state_directory.join("state")).expect("lost");
    assert_eq!(house.export("backup").expect_err("there is none").code(), exit::NO_INPUT);
    assert!(!house.path("backup").exists());
}

#[test]
fn the_last_state_comes_back_as_it_was_when_it_was_lost_or_damaged() {
    for lost in [true, false] {
        let house = House::new();
        let backup = house.saved(&standing(), 17);
        house.recorded(17);
        let state = house.config.state_directory.join("state");
        if lost {
            fs::remove_file(&state).expect("lost")
        } else {
            fs::write(&state, "junk").expect("damaged")
        }
        let said = house.import(&backup, false).expect("it is taken");
        assert_eq!(house.on_disk(), (18, standing()));
        assert!(said.contains("the audit log tells of no newer state") && said.contains("as generation 18"), "{said}");
        // A second time it is older than itself, as far as can be known.
        assert_eq!(house.import(&backup, false).expect_err("18 is there").code(), exit::DATA);
        assert_eq!(house.on_disk(), (18, standing()));
    }
}

#[test]
fn an_older_backup_needs_a_word_and_locks() {
    for (there, recorded) in [(Some(18), Some(18)), (Some(18), None), (None, Some(18)), (Some(3), Some(18))] {
        let house = House::new();
        let backup = house.saved(&standing(), 17);
        let left = Standing::default();
        let before = there.map(|there| house.saved(&left, there));
        let state = house.config.state_directory.join("state");
        if before.is_none() {
            fs::remove_file(&state).expect("lost");
        }
        recorded.into_iter().for_each(|recorded| house.recorded(recorded));
        let failure = house.import(&backup, false).expect_err("it is older");
        assert_eq!(failure.code(), exit::DATA);
        for told in ["denials, blocks, a lock", "generation 17", "18", "--older", "nothing was changed"] {
            assert!(failure.to_string().contains(told), "{failure}");
        }
        assert_eq!(fs::read(&state).ok(), before, "nothing was changed");
        let said = house.import(&backup, true).expect("it is taken");
        assert_eq!(house.on_disk(), (19, locked()), "{there:?} {recorded:?}");
        assert!(said.contains("the server starts locked"), "{said}");
    }
}

#[test]
fn with_a_word_too_the_last_state_is_not_locked() {
    let house = House::new();
    let backup = house.saved(&standing(), 17);
    house.recorded(17);
    house.import(&backup, true).expect("it is taken");
    assert_eq!(house.on_disk(), (18, standing()));
}

#[test]
fn where_nothing_tells_how_old_a_backup_is_nothing_stays_approved_ahead() {
    let house = House::new();
    let backup = house.saved(&standing(), 17);
    fs::remove_dir_all(&house.config.state_directory).expect("a new host");
    let said = house.import(&backup, false).expect("it is taken");
    assert_eq!(house.on_disk(), (18, standing().without_grants()));
    assert!(said.contains("no audit log tells") && said.contains("approvals ahead: 0"), "{said}");
    let mode = fs::metadata(&house.config.state_directory).expect("made").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn backups_of_others_of_newer_versions_and_damaged_ones_change_nothing() {
    let (house, other) = (House::new(), House::of(Uuid::from_u128(7)));
    let before = house.saved(&standing(), 5);
    let foreign = other.saved(&standing(), 50);
    let newer = {
        let text = format!("nightlatch-state 3 {HOME} 50\nwhatever\n");
        let digits: String =
            <sha2::Sha256 as sha2::Digest>::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{text}sha256 {digits}\n").into_bytes()
    };
    for (backup, code, told) in [
        (&*foreign, exit::CONFIG, "00000000-0000-0000-0000-000000000007"),
        (&newer, exit::DATA, "install the newer nightlatch again"),
        (&before[1..], exit::DATA, "use another backup"),
        (b"", exit::DATA, "use another backup"),
    ] {
        for older in [false, true] {
            let failure = house.import(backup, older).expect_err("it cannot be used");
            assert_eq!(failure.code(), code, "{failure}");
            assert!(failure.to_string().contains(told), "{failure}");
            assert_eq!(fs::read(house.config.state_directory.join("state")).expect("it is there"), before);
        }
    }
    // What is there is of a newer nightlatch, or of another installation.
    let good = before;
    for (there, code) in [(&newer, exit::DATA), (&foreign, exit::CONFIG)] {
        fs::write(house.config.state_directory.join("state"), there).expect("written");
        assert_eq!(house.import(&good, true).expect_err("it is in the way").code(), code);
        assert_eq!(fs::read(house.config.state_directory.join("state")).expect("it is there"), *there);
    }
}

#[test]
fn nothing_is_imported_under_a_running_server_or_beside_a_log_that_cannot_be_read() {
    let house = House::new();
    let backup = house.saved(&standing(), 17);
    let server = Store::open(&house.config.state_directory, HOME).expect("a server has it");
    let failure = house.import(&backup, true).expect_err("a server runs");
    assert!(failure.code() == exit::TEMPORARY && failure.to_string().contains("systemctl stop"), "{failure}");
    drop(server);
    fs::write(house.config.state_directory.join("audit.log"), "junk").expect("written");
    assert_eq!(house.import(&backup, true).expect_err("nothing is known").code(), exit::DATA);
    assert_eq!(house.on_disk(), (17, standing()));
}

#[test]
fn a_backup_is_as_old_as_the_state_and_the_log_say() {
    let house = House::new();
    house.saved(&standing(), 5);
    let (_, there) = Store::open_to_replace(&house.config.state_directory, HOME).expect("it is free");
    assert!(matches!(there, There::State(generation) if generation.get() == 5));
    for (backup, there, recorded, older_than) in [
        (5, there, None, Ok(Age::Unknown)),
        (5, there, Some(5), Ok(Age::Latest)),
        (6, there, Some(5), Ok(Age::Latest)),
        (4, there, None, Err(5)),
        (4, there, Some(3), Err(5)),
        (5, there, Some(9), Err(9)),
        (5, There::Nothing, Some(9), Err(9)),
        (9, There::Damaged, Some(9), Ok(Age::Latest)),
        (9, There::Damaged, None, Ok(Age::Unknown)),
        (9, There::Nothing, None, Ok(Age::Unknown)),
    ] {
        let found = match age(backup, there, Told { saved: recorded, no_since: false }) {
            Age::OlderThan { generation, .. } => Err(generation),
            other => Ok(other),
        };
        assert_eq!(found, older_than, "{backup} {there:?} {recorded:?}");
    }
    // Somebody's no was recorded behind the save of this generation.
    let told = |saved| Told { saved, no_since: true };
    assert_eq!(age(5, there, told(Some(5))), Age::BeforeANo);
    assert_eq!(age(6, there, told(Some(5))), Age::Latest, "it was saved after that");
    assert_eq!(age(1, There::Nothing, told(None)), Age::BeforeANo, "the first of all");
    assert_eq!(age(5, there, told(None)), Age::BeforeANo, "its save lies further back than was looked");
}
