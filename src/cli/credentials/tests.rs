//! A host of its own for each test, and what both commands promise.

mod verify;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use clap::Parser;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::elsewhere::tests::Answers;
use super::systemd_creds::tests::{LONG, fake, real};
use super::*;
use crate::cli::init::layout::KeyPlace;
use crate::config::Config;
use crate::credential::terminal;
use crate::state::key_record::{self, Verification};

/// In the place of systemd-creds: the name, and the secret in base64.
const FAKE: &str = "case $1 in
    encrypt) cat >secret; printf '%s\\n' \"$3\"; exec base64 <secret ;;
    decrypt) { read -r name; [ \"$name\" = \"$2\" ] || { echo 'wrong name' >&2; exit 1; }; base64 -d; } <\"$3\" ;;
esac";

/// What is there after `init`, with the program in the place of systemd-creds elsewhere.
const INSTALLED: [&str; 6] = [
    "etc/credstore.encrypted/nightlatch-key",
    "etc/nightlatch/nightlatch.toml",
    "var/nightlatch/key-record.json",
    "var/nightlatch/key-record.lock",
    "var/nightlatch/lock",
    "var/nightlatch/state",
];

const BACKUP: &str = "home/backup";

struct Place {
    root: TempDir,
    systemd_creds: (TempDir, SystemdCreds),
}

#[derive(Parser)]
struct Parsed {
    #[command(flatten)]
    args: Args,
}

impl Place {
    fn new() -> Self {
        Self::with(fake(FAKE, LONG))
    }

    fn with(systemd_creds: (TempDir, SystemdCreds)) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        for name in ["etc", "var", "home", "sys/dev/block"] {
            fs::create_dir_all(root.path().join(name)).expect("made");
        }
        Self { root, systemd_creds }
    }

    /// With an installation whose backup is `home/backup`.
    fn installed() -> Self {
        let place = Self::new();
        place.run(&mut nobody(), "init --no-backup --network 192.0.2.0/24 --approver alice=0").expect("all is made");
        fs::copy(place.systemd_creds.0.path().join("secret"), place.at(BACKUP)).expect("copied");
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Runs `nightlatch credentials` with these words; `@/` is the directory of this place.
    fn run(&self, person: &mut dyn Person, words: &str) -> Result<String, Failure> {
        self.run_as(person, words, true)
    }

    fn run_as(&self, person: &mut dyn Person, words: &str, is_root: bool) -> Result<String, Failure> {
        let root = format!("{}/", self.root.path().display());
        let words = words.split(' ').map(|word| word.replace("@/", &root));
        let parsed = Parsed::try_parse_from(["credentials".to_owned()].into_iter().chain(words))
            .map_err(|error| Failure::from_parser(&error))?;
        let mut host = Host {
            layout: Layout {
                config: self.at("etc/nightlatch/nightlatch.toml"),
                key: KeyPlace::Credential(self.at("etc/credstore.encrypted/nightlatch-key")),
                state: self.at("var/nightlatch"),
                socket: self.at("cli.sock"),
            },
            systemd_creds: self.systemd_creds.1.clone(),
            sys: self.at("sys"),
            is_root,
            now: WallTime::from_unix_millis(1_795_419_608_123),
            person,
            join: |user| if user == "bin" { Ok(()) } else { Err(format!("{user} cannot join")) },
        };
        match parsed.args.command {
            Command::Init(args) => init::run(&mut host, args),
            Command::Verify(args) => super::verify::run(&mut host, &args),
        }
    }

    fn verify(&self, person: &mut dyn Person, words: &str) -> Result<String, Failure> {
        self.run(person, format!("verify --config @/etc/nightlatch/nightlatch.toml {words}").trim_end())
    }

    /// Everything that is not a directory.
    fn files(&self) -> Vec<String> {
        fn collect(root: &Path, at: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(at).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    collect(root, &path, found);
                } else {
                    found.push(path.strip_prefix(root).expect("below it").display().to_string());
                }
            }
        }
        let mut found = vec![];
        collect(self.root.path(), self.root.path(), &mut found);
        found.sort();
        found
    }

    fn recorded(&self) -> key_record::RecordedKey {
        let record = key_record::read(&self.at("var/nightlatch")).expect("there is one");
        assert_eq!(record.keys().len(), 1);
        record.keys()[0].clone()
    }

    /// How the backup was verified, if it was.
    fn verified(&self) -> Option<Verification> {
        self.recorded().backup.map(|backup| backup.by())
    }

    fn key(&self) -> Vec<u8> {
        fs::read(self.systemd_creds.0.path().join("secret")).expect("it was encrypted")
    }

    /// Whoever copies the backup, and first gives these answers.
    fn copies<'a>(&'a self, first: &[&str]) -> Copies<'a> {
        Copies { place: self, first: Answers::new(first), files: vec![] }
    }
}

fn nobody() -> Answers {
    Answers::default()
}

/// Somebody who copies `home/backup` once they are asked, and types what sha256sum says of it.
struct Copies<'a> {
    place: &'a Place,
    first: Answers,
    /// What was there when they were asked.
    files: Vec<String>,
}

impl Person for Copies<'_> {
    fn is_there(&self) -> bool {
        true
    }

    fn ask(&mut self, question: &str) -> Result<String, terminal::Error> {
        self.files = self.place.files();
        if let Ok(answer) = self.first.ask(question) {
            return Ok(answer);
        }
        let copy = fs::read(self.place.at(BACKUP)).expect("it is there");
        Ok(Sha256::digest(copy).iter().take(4).map(|byte| format!("{byte:02x}")).collect())
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

#[test]
fn all_is_made_once_the_backup_is_elsewhere() {
    let place = Place::new();
    let mut person = place.copies(&["00000000"]);
    let node = "4c4c4544-0042-3510-8051-b4c04f4e3632=cp-1@192.0.2.11";
    let words = format!("init --backup @/home/backup --network 192.0.2.0/24 --approver alice=0 --node {node}");
    let said = place.run(&mut person, &words).expect("all is made");
    assert_eq!(person.files, [BACKUP], "nothing else is there while somebody copies");
    let [first, second] = &*person.first.asked else { panic!("asked twice: {:?}", person.first.asked) };
    assert!(
        first.contains("--restore") && first.contains("scp root@") && second.starts_with("These are not"),
        "{first}"
    );

    let mut expected = INSTALLED.map(str::to_owned).to_vec();
    expected.insert(2, BACKUP.into());
    assert_eq!(place.files(), expected);
    let (config, warnings) = Config::load(&place.at("etc/nightlatch/nightlatch.toml")).expect("it can be used");
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.state_directory, place.at("var/nightlatch"));
    assert!(crate::state::Store::open(&config.state_directory, config.installation).is_ok());
    for (path, expected) in [
        (BACKUP, 0o600),
        ("etc/nightlatch", 0o755),
        ("etc/nightlatch/nightlatch.toml", 0o644),
        ("etc/credstore.encrypted", 0o700),
        ("etc/credstore.encrypted/nightlatch-key", 0o600),
        ("var/nightlatch", 0o700),
        ("var/nightlatch/key-record.json", 0o600),
    ] {
        assert_eq!(mode(&place.at(path)) & 0o777, expected, "{path}");
    }
    assert!(fs::read(place.at(BACKUP)).expect("read") == place.key(), "the backup is another key");
    let recorded = place.recorded();
    assert_eq!((&*recorded.name, recorded.made_at), ("first", Some(WallTime::from_unix_millis(1_795_419_608_123))));
    assert_eq!(place.verified(), Some(Verification::Digest));
    let key = credential::from_backup(&place.at(BACKUP)).expect("a key");
    golden::opens(&golden::Key::Random(&key), &recorded.golden_blob).expect("its own");
    for expected in [&recorded.id.to_string(), "remove it here", "systemctl enable --now", "nightlatch doctor"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
}

/// Somebody who puts a state back while they are asked.
struct PutsBack<'a>(Copies<'a>);

impl Person for PutsBack<'_> {
    fn is_there(&self) -> bool {
        true
    }

    fn ask(&mut self, question: &str) -> Result<String, terminal::Error> {
        fs::create_dir_all(self.0.place.at("var/nightlatch")).expect("made");
        fs::write(self.0.place.at("var/nightlatch/state"), "theirs").expect("written");
        self.0.ask(question)
    }
}

#[test]
fn what_somebody_put_there_meanwhile_is_theirs() {
    let place = Place::new();
    let failure = place.run(&mut PutsBack(place.copies(&[])), "init --backup @/home/backup").expect_err("there is one");
    assert!(failure.error().contains("already there"), "{failure}");
    assert_eq!(place.files(), [BACKUP, "var/nightlatch/state"]);
    assert_eq!(fs::read(place.at("var/nightlatch/state")).expect("read"), b"theirs");
}

#[test]
fn the_real_systemd_creds_opens_what_is_made() {
    let Some(real) = real() else { return };
    let place = Place::with(real);
    place.run(&mut place.copies(&[]), "init --with-key host --backup @/home/backup").expect("all is made");
    let credential = place.at("etc/credstore.encrypted/nightlatch-key");
    let opened = place.systemd_creds.1.decrypt("nightlatch-key", &credential).expect("it opens");
    assert!(opened.expose() == fs::read(place.at(BACKUP)).expect("read"), "another key");
    fs::remove_file(place.at("var/nightlatch/key-record.json")).expect("removed");
    place.verify(&mut place.copies(&[]), "--backup @/home/backup").expect("compared with the credential");
    assert_eq!(place.verified(), Some(Verification::Digest));
}

#[test]
fn a_backup_on_a_stick_is_asked_nothing_about() {
    let place = Place::new();
    let shm = Path::new("/dev/shm");
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev());
    let (Ok(own), Ok(other)) = (device(place.root.path()), device(shm)) else {
        return println!("skipped: no /dev/shm");
    };
    if own == other {
        return println!("skipped: /dev/shm is no file system of its own");
    }
    for (device, disk) in [(own, "ata1/sda"), (other, "usb1/sdb")] {
        fs::create_dir_all(place.at("sys/devices").join(disk)).expect("made");
        let name = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        symlink(place.at("sys/devices").join(disk), place.at("sys/dev/block").join(name)).expect("linked");
    }
    let stick = tempfile::tempdir_in(shm).expect("a directory");
    let backup = stick.path().join("backup");
    let said = place.run(&mut nobody(), &format!("init --backup {}", backup.display())).expect("all is made");
    assert!(said.contains("read back: keep it away"), "{said}");
    assert_eq!(place.verified(), Some(Verification::Read));
    let said = place.verify(&mut nobody(), &format!("--backup {}", backup.display())).expect("the same key");
    assert!(said.contains("verified at 2026-11-23T07:40:08.123Z"), "{said}");
}

#[test]
fn an_interrupted_init_is_gone_on_with() {
    let place = Place::new();
    let failure = place.run(&mut Answers::new(&["no"]), "init --backup @/home/backup").expect_err("nobody answers");
    assert_eq!(place.files(), [BACKUP]);
    assert!(failure.to_string().contains("--restore"), "{failure}");
    let backup = fs::read(place.at(BACKUP)).expect("read");
    place.run(&mut place.copies(&[]), "init --restore @/home/backup").expect("all is made");
    assert!(place.key() == backup, "another key");
    assert_eq!(place.verified(), Some(Verification::Digest));
    assert_eq!(place.recorded().made_at, None, "nobody knows");
}

#[test]
fn without_a_terminal_nothing_is_begun() {
    let place = Place::new();
    fs::write(place.at("home/old"), [7, 8].repeat(16)).expect("written");
    for words in ["init --backup @/home/backup", "init --restore @/home/old"] {
        let failure = place.run(&mut nobody(), words).expect_err("nobody can be asked");
        assert_eq!((failure.code(), place.files()), (exit::USAGE, vec!["home/old".into()]), "{failure}");
        assert!(failure.to_string().contains("--no-backup"), "{failure}");
    }
    place.run(&mut nobody(), "init --restore @/home/old --no-backup").expect("it was waived");
    assert_eq!((place.verified(), place.key()), (None, [7, 8].repeat(16)));
}

#[test]
fn who_waives_the_backup_is_told_what_that_means() {
    let place = Place::new();
    let said = place.run(&mut nobody(), "init --no-backup").expect("all is made");
    assert!(said.contains("made no backup") && said.contains("systemd-creds decrypt"), "{said}");
    assert_eq!((place.verified(), place.files()), (None, INSTALLED.map(str::to_owned).to_vec()));
}

#[test]
fn the_approver_is_put_into_their_group_or_told_how() {
    for (approver, expected) in [
        ("root", "`root` (user id 0) may approve\n"),
        ("bin", "may approve: bin is in the group nightlatch-approvers now, and logs in anew\n"),
        ("daemon", "(daemon cannot join):\n  usermod --append --groups nightlatch-approvers"),
        ("alice=4000000", "(there is no user 4000000 in /etc/passwd):\n  usermod"),
    ] {
        let said = Place::new().run(&mut nobody(), &format!("init --no-backup --approver {approver}"));
        let said = said.expect("all is made");
        assert!(said.contains(expected), "{expected} in {said}");
    }
}

#[test]
fn nothing_is_ever_overwritten() {
    for taken in [INSTALLED[0], INSTALLED[1], "var/nightlatch/audit.log", BACKUP] {
        let place = Place::new();
        fs::create_dir_all(place.at(taken).parent().expect("it has one")).expect("made");
        fs::write(place.at(taken), "mine").expect("written");
        let failure = place.run(&mut place.copies(&[]), "init --backup @/home/backup").expect_err("in the way");
        assert_eq!((failure.code(), place.files()), (exit::CANNOT_CREATE, vec![taken.into()]), "{failure}");
        assert_eq!(fs::read(place.at(taken)).expect("read"), b"mine");
    }
}

#[test]
fn options_that_make_no_sense_write_nothing() {
    let place = Place::new();
    for words in [
        "init",
        "init --backup @/home/backup --no-backup",
        "init --backup @/home/backup --restore @/home/old",
        "init --no-backup --network 192.0.2.1/24",
        "init --backup @/var/nightlatch/backup",
        "init --backup @/etc/credstore.encrypted/backup",
    ] {
        let failure = place.run(&mut place.copies(&[]), words).expect_err(words);
        assert_eq!((failure.code(), place.files()), (exit::USAGE, vec![]), "{words}: {failure}");
    }
    let failure = place.run_as(&mut nobody(), "init --no-backup", false).expect_err("not root");
    assert_eq!((failure.code(), place.files()), (exit::NO_PERMISSION, vec![]));
    fs::write(place.at("home/zeroes"), [0; 32]).expect("written");
    let failure = place.run(&mut place.copies(&[]), "init --restore @/home/zeroes").expect_err("no key");
    assert_eq!((failure.code(), place.files()), (exit::DATA, vec!["home/zeroes".into()]));
}

#[test]
fn what_fails_leaves_the_backup_and_nothing_else() {
    let cannot = "echo 'no TPM2' >&2; exit 1";
    let other_key = format!("[ $1 = encrypt ] || {{ head -c 32 /dev/zero; exit; }}\n{FAKE}");
    let unopened = format!("[ $1 = encrypt ] || {{ {cannot}; }}\n{FAKE}");
    for (systemd_creds, left) in [(cannot, vec![]), (&*other_key, vec![BACKUP]), (&*unopened, vec![BACKUP])] {
        let place = Place::with(fake(systemd_creds, LONG));
        let failure = place.run(&mut place.copies(&[]), "init --backup @/home/backup").expect_err("it fails");
        assert_eq!(place.files(), left, "{failure}");
        assert!(!place.at("etc/nightlatch").exists() && !place.at("var/nightlatch").exists());
        assert_eq!(failure.to_string().contains("--restore"), !left.is_empty(), "{failure}");
    }
    // The state cannot be made, once the credential was.
    let place = Place::new();
    fs::create_dir(place.at("var/nightlatch")).expect("made");
    fs::set_permissions(place.at("var/nightlatch"), fs::Permissions::from_mode(0o755)).expect("the test owns it");
    let failure = place.run(&mut place.copies(&[]), "init --backup @/home/backup").expect_err("it is exposed");
    assert_eq!(place.files(), [BACKUP], "{failure}");
    assert!(failure.to_string().contains("chmod"), "{failure}");
    fs::set_permissions(place.at("var/nightlatch"), fs::Permissions::from_mode(0o700)).expect("the test owns it");
    place.run(&mut place.copies(&[]), "init --restore @/home/backup").expect("it is as if nothing had been");
}

#[test]
fn what_is_said_does_not_hold_the_key() {
    let place = Place::new();
    let mut person = place.copies(&["1", "2"]);
    let mut said = place.run(&mut person, "init --backup @/home/backup").expect("all is made");
    said += &person.first.asked.concat();
    said += &place.verify(&mut place.copies(&[]), "").expect("verified");
    for (name, bytes) in [("key", place.key()), ("its SHA-256", Sha256::digest(place.key()).to_vec())] {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!(0..=56).any(|at| said.contains(&hex[at..at + 8])), "part of {name} is shown");
    }
}
