use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::state::directory::Step;

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("state");
    fs::create_dir(&path).expect("made");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("the test owns it");
    (directory, path)
}

fn key(id: u8, backup: Option<VerifiedBackup>) -> RecordedKey {
    RecordedKey {
        id: KeyId::from_bytes([id; 8]),
        source: SourceNumber::Credential,
        name: "first".into(),
        made_at: Some(WallTime::from_unix_millis(1_795_419_608_123)),
        golden_blob: SealedBlob::new(b"\x89NLATCH".to_vec()).expect("7 bytes are allowed"),
        backup,
    }
}

fn verified(place: &str) -> Option<VerifiedBackup> {
    Some(VerifiedBackup::new(WallTime::from_unix_millis(1_795_423_208_123), Verification::Read, place))
}

fn record(keys: impl IntoIterator<Item = RecordedKey>) -> KeyRecord {
    let mut record = KeyRecord::default();
    keys.into_iter().for_each(|key| record.put(key));
    record
}

fn write(path: &Path, record: &KeyRecord) -> Result<(), Error> {
    Writer::lock(path).expect("nobody else has it").0.write(record)
}

const AS_SPECIFIED: &str = concat!(
    r#"{"version":1,"keys":[{"id":"0101010101010101","source":"credential","name":"first","made_at":1795419608123,"#,
    r#""golden_blob":"iU5MQVRDSA==","backup":{"verified_at":1795423208123,"by":"read","place":"/media/stick/key"}},"#,
    r#"{"id":"0202020202020202","source":"passphrase","name":"typed","made_at":null,"golden_blob":"iU5MQVRDSA==","#,
    r#""backup":null}]}"#,
    "\n"
);

fn as_specified() -> KeyRecord {
    let typed = RecordedKey { name: "typed".into(), source: SourceNumber::Passphrase, made_at: None, ..key(2, None) };
    record([key(1, verified("/media/stick/key")), typed])
}

#[test]
fn what_is_written_is_as_specified_and_reads_back() {
    let (_directory, path) = directory();
    write(&path, &as_specified()).expect("written");
    let file = path.join("key-record.json");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), AS_SPECIFIED);
    assert_eq!(read(&path).expect("it is one"), as_specified());
    for name in ["key-record.json", "key-record.lock"] {
        let metadata = fs::metadata(path.join(name)).expect("it is there");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600, "{name}");
        assert_eq!(metadata.uid(), fs::metadata(&path).expect("it is there").uid(), "{name}");
    }
}

#[test]
fn what_is_not_there_is_an_empty_record_to_write_and_an_error_to_read() {
    let (_directory, path) = directory();
    assert!(matches!(read(&path), Err(Error::Absent(_))));
    assert!(!path.join("key-record.lock").exists(), "reading makes nothing");
    assert_eq!(Writer::lock(&path).expect("nobody else has it").1, KeyRecord::default());
    assert!(matches!(read(&path), Err(Error::Absent(_))), "a lock is no record");
}

#[test]
fn a_key_is_recorded_once() {
    let (_directory, path) = directory();
    let mut record = record([key(1, None), key(2, None)]);
    record.put(key(1, verified("x")));
    write(&path, &record).expect("written");
    let found = read(&path).expect("it is one");
    assert_eq!(found.keys(), [key(1, verified("x")), key(2, None)]);
    assert!(found.find(SourceNumber::Credential, KeyId::from_bytes([2; 8])).is_some());
    assert!(found.find(SourceNumber::Passphrase, KeyId::from_bytes([2; 8])).is_none());
}

#[test]
fn whatever_the_specification_does_not_allow_is_refused() {
    assert!(parse(AS_SPECIFIED.as_bytes()).is_ok());
    let twice = AS_SPECIFIED.replace("0202020202020202", "0101010101010101").replace("passphrase", "credential");
    let long = |length| format!("\"{}\"", "x".repeat(length));
    for (bad, why) in [
        (String::new(), "nothing"),
        (AS_SPECIFIED.replace("\"version\":1", "\"version\":0"), "no version 0"),
        (AS_SPECIFIED.replace("\"version\":1,", ""), "no version"),
        (AS_SPECIFIED.replace("\"version\":1", "\"version\":1,\"version\":1"), "two versions"),
        (AS_SPECIFIED.replace("\"keys\":[", "\"more\":1,\"keys\":["), "unknown field"),
        (AS_SPECIFIED.replace("\"made_at\":null,", ""), "missing field"),
        (AS_SPECIFIED.replace(",\"backup\":null", ""), "missing field"),
        (AS_SPECIFIED.replace("\"by\":\"read\"", "\"by\":\"read\",\"by\":\"read\""), "field twice"),
        (AS_SPECIFIED.replace("\"by\":\"read\"", "\"by\":\"seen\""), "unknown word"),
        (AS_SPECIFIED.replace("\"passphrase\"", "\"tpm\""), "unknown word"),
        (AS_SPECIFIED.replace("\"made_at\":null", "\"made_at\":-1"), "before 1970"),
        (AS_SPECIFIED.replace("1795423208123", "253402300800000"), "after 9999"),
        (AS_SPECIFIED.replace("0202020202020202", "020202020202020"), "15 digits"),
        (AS_SPECIFIED.replace("0202020202020202", "+202020202020202"), "a sign"),
        (AS_SPECIFIED.replace("0202020202020202", "0202020202020AAA"), "upper case"),
        (AS_SPECIFIED.replace("iU5MQVRDSA==", "iU5MQVRDSA"), "no padding"),
        (AS_SPECIFIED.replace("iU5MQVRDSA==", ""), "an empty blob"),
        (AS_SPECIFIED.replace("\"typed\"", "\"\""), "an empty name"),
        (AS_SPECIFIED.replace("\"typed\"", "\"a\\nb\""), "a line end"),
        (AS_SPECIFIED.replace("\"typed\"", &long(257)), "a long name"),
        (AS_SPECIFIED.replace("\"/media/stick/key\"", &long(257)), "a long place"),
        (twice, "a key twice"),
        (format!("{AS_SPECIFIED}x"), "something after it"),
        (format!("{AS_SPECIFIED}{}", " ".repeat(MAX_LEN)), "too long"),
    ] {
        assert_ne!(bad, AS_SPECIFIED, "{why}");
        assert!(matches!(parse(bad.as_bytes()), Err(Unreadable::Damaged(_))), "{why}: {bad}");
    }
    assert!(parse(AS_SPECIFIED.replace("\"typed\"", &long(256)).as_bytes()).is_ok());
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let newer = parse(br#"{"version":2,"keys":{"something":"else"}}"#);
    assert_eq!(newer, Err(Unreadable::Newer { version: 2 }));
}

#[test]
fn a_record_that_is_none_is_not_written_over() {
    let (_directory, path) = directory();
    fs::write(path.join("key-record.json"), r#"{"version":2}"#).expect("written");
    let Err(error) = Writer::lock(&path) else { panic!("it is not of this version") };
    assert!(error.hint().contains("newer nightlatch"), "{error}");
    assert_eq!(fs::read(path.join("key-record.json")).expect("it is there"), br#"{"version":2}"#);
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let (_directory, path) = directory();
    write(&path, &as_specified()).expect("written");
    let refused = |changed: RecordedKey| match write(&path, &record([changed])) {
        Err(Error::Unwritable(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(RecordedKey { name: "".into(), ..key(1, None) }), Unwritable::Name);
    assert_eq!(refused(RecordedKey { name: "a\tb".into(), ..key(1, None) }), Unwritable::Name);
    let time = Some(WallTime::from_unix_millis(-1));
    assert_eq!(refused(RecordedKey { made_at: time, ..key(1, None) }), Unwritable::Time);
    let full = record((0..=64).map(|id| key(id, None)));
    assert!(matches!(write(&path, &full), Err(Error::Unwritable(Unwritable::TooManyKeys))));
    let large = SealedBlob::new(vec![0; 1024]).expect("1,024 bytes are allowed");
    let large = record((0..64).map(|id| RecordedKey { golden_blob: large.clone(), ..key(id, None) }));
    assert!(matches!(write(&path, &large), Err(Error::Unwritable(Unwritable::TooLong))));
    assert_eq!(read(&path).expect("it is as it was"), as_specified());
}

#[test]
fn a_place_is_kept_so_that_it_can_be_shown() {
    assert_eq!(verified("/media/a\nb\u{1b}[2J").expect("some").place(), "/media/a?b?[2J");
    assert_eq!(verified("").expect("some").place(), "?");
    let long = verified(&"\u{e4}".repeat(200)).expect("some");
    assert_eq!(long.place().len(), MAX_PLACE_LEN);
    let long = verified(&format!("x{}", "\u{e4}".repeat(200))).expect("some");
    assert_eq!(long.place().len(), MAX_PLACE_LEN - 1, "no half a letter");
}

#[test]
fn wherever_a_crash_hits_the_record_is_the_one_before_or_the_one_after() {
    for (step, after) in [
        (Step::CreateNew, false),
        (Step::WriteNew, false),
        (Step::SyncNew, false),
        (Step::Rename, false),
        (Step::SyncDirectory, true),
    ] {
        let (_directory, path) = directory();
        write(&path, &as_specified()).expect("written");
        let (mut writer, _) = Writer::lock(&path).expect("nobody else has it");
        writer.directory.faults.fail_before.set(Some(step));
        let failed = writer.write(&KeyRecord::default());
        assert!(matches!(failed, Err(Error::Directory(_))), "{step:?}");
        let expected = if after { KeyRecord::default() } else { as_specified() };
        assert_eq!(read(&path).expect("whole, also beside a writer"), expected, "{step:?}");
        drop(writer);
        assert_eq!(Writer::lock(&path).expect("nobody else has it").1, expected, "{step:?}");
        assert!(!path.join("key-record.new").exists(), "{step:?}: nothing of it is left");
    }
}

#[test]
fn writers_wait_for_each_other_and_not_for_the_server() {
    let (_directory, path) = directory();
    let _server = crate::state::Store::create(&path, uuid::Uuid::nil()).expect("a new state");
    let _writer = Writer::lock(&path).expect("the lock is not the state's");
    assert!(matches!(Writer::lock(&path), Err(Error::InUse(_))));
}

#[test]
fn a_child_that_is_just_begun_does_not_keep_the_lock() {
    let (_directory, path) = directory();
    let (writer, _) = Writer::lock(&path).expect("nobody else has it");
    let of_the_child = writer.directory.lock_of_a_child();
    drop(writer);
    assert!(Writer::lock(&path).is_ok());
    drop(of_the_child);
}

#[test]
fn it_is_never_reached_through_a_link() {
    let (_directory, path) = directory();
    fs::write(path.join("elsewhere"), AS_SPECIFIED).expect("written");
    symlink("elsewhere", path.join("key-record.json")).expect("linked");
    assert!(matches!(read(&path), Err(Error::Directory(_))));
    assert!(matches!(Writer::lock(&path), Err(Error::Directory(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512), text in any::<String>()) {
        drop(parse(&bytes));
        drop(parse(text.as_bytes()));
        drop(parse(AS_SPECIFIED.replace("typed", &text).as_bytes()));
    }
}
