use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{FileType, mknodat};
use tempfile::TempDir;

use super::super::record::{Detail, Entry, Record, StateSaved, Stopped};
use super::*;

const NOW: WallTime = WallTime::from_unix_millis(1_795_419_608_123);

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("audit.log");
    (directory, path)
}

fn line(seq: u64) -> Vec<u8> {
    let entry = Entry::from(StateSaved { generation: seq });
    Record { seq, time: NOW, entry }.line().expect("a record can be written")
}

/// A log with records 1 to `count`, closed.
fn written(path: &Path, count: u64) -> Vec<u8> {
    let (mut file, _) = File::open(path, NOW).expect("a new log");
    for seq in 1..=count {
        file.append(&line(seq)).expect("there is room");
    }
    file.sync().expect("the disk works");
    fs::read(path).expect("it is there")
}

#[test]
fn new_log_has_a_header_and_is_for_its_owner_alone() {
    let (_directory, path) = directory();
    let (file, tail) = File::open(&path, NOW).expect("a new log");
    let bytes = fs::read_to_string(&path).expect("it is there");
    assert_eq!(bytes, header(NOW));
    assert_eq!((tail, file.length()), (Tail::empty(), bytes.len() as u64));
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn opened_again_it_goes_on() {
    let (_directory, path) = directory();
    let before = written(&path, 3);
    let (mut file, tail) = File::open(&path, WallTime::default()).expect("it is a log");
    assert_eq!(tail, Tail { next_seq: 4, cut: 0, repaired: None });
    file.append(&line(4)).expect("there is room");
    assert_eq!(fs::read(&path).expect("it is there"), [before, line(4)].concat());
}

#[test]
fn wherever_a_crash_tears_the_end_it_opens_again() {
    let (_directory, path) = directory();
    let whole = written(&path, 2);
    let header_len = header(NOW).len();
    let ends = [header_len, header_len + line(1).len(), whole.len()];
    for cut_at in 0..=whole.len() {
        fs::write(&path, &whole[..cut_at]).expect("it can be written");
        let (file, tail) = File::open(&path, NOW).unwrap_or_else(|error| panic!("cut at {cut_at}: {error}"));
        let kept = ends.iter().rev().find(|end| **end <= cut_at).copied().unwrap_or(header_len);
        assert_eq!(file.length(), kept as u64, "cut at {cut_at}");
        assert_eq!(fs::read(&path).expect("it is there"), &whole[..kept], "cut at {cut_at}");
        assert_eq!(tail.next_seq, ends.iter().filter(|end| **end <= kept).count() as u64, "cut at {cut_at}");
        assert_eq!(tail.repaired.is_some(), cut_at > header_len && !ends.contains(&cut_at), "cut at {cut_at}");
    }
}

#[test]
fn damage_in_the_middle_is_told_and_not_touched() {
    let (_directory, path) = directory();
    let mut bytes = written(&path, 3);
    let at = header(NOW).len() + line(1).len();
    bytes[at..at + 9].fill(0);
    fs::write(&path, &bytes).expect("it can be written");
    let (_, tail) = File::open(&path, NOW).expect("it is a log");
    assert_eq!(fs::read(&path).expect("it is there"), bytes);
    assert_eq!((tail.next_seq, tail.repaired.map(|repaired| repaired.damaged_lines)), (4, Some(1)));
}

#[test]
fn only_the_end_of_a_long_log_is_read() {
    let (_directory, path) = directory();
    let mut bytes = written(&path, 1);
    bytes.extend(vec![b'\n'; 2 * WINDOW]);
    bytes.extend([line(70), line(71), b"torn".to_vec()].concat());
    fs::write(&path, &bytes).expect("it can be written");
    let (file, tail) = File::open(&path, NOW).expect("it is a log");
    assert_eq!((tail.next_seq, file.length()), (72, bytes.len() as u64 - 4));
    drop(file);
    bytes.extend(vec![0; 2 * WINDOW]);
    fs::write(&path, &bytes).expect("it can be written");
    assert!(matches!(File::open(&path, NOW), Err(Error::NoRecord { .. })));
    assert_eq!(fs::read(&path).expect("it is there"), bytes);
}

#[test]
fn what_is_no_log_is_left_alone() {
    let newer = format!("{HEADER_START}2,\"created\":\"\"}}\n");
    let long = format!("{HEADER_START}1,{}", "x".repeat(MAX_LINE_LEN));
    for bytes in
        ["root:x:0:0\n", "{\"format\":\"other\"}\n", "\0\0\0\0", "x", &newer, &long, &format!("{HEADER_START}x\n")]
    {
        let (_directory, path) = directory();
        fs::write(&path, bytes).expect("it can be written");
        let error = File::open(&path, NOW).expect_err("it is no log of this version");
        assert_eq!(matches!(error, Error::Newer { .. }), bytes == newer, "{error}");
        assert!(matches!(error, Error::Newer { .. } | Error::NotALog(_)), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), bytes);
    }
}

#[test]
fn links_directories_and_pipes_are_refused() {
    let (directory, path) = directory();
    let other = directory.path().join("other");
    written(&other, 1);
    symlink(&other, &path).expect("a link");
    assert!(matches!(File::open(&path, NOW), Err(Error::NotAFile(_))));
    fs::remove_file(&path).expect("the link is removed");
    symlink(directory.path().join("nowhere"), &path).expect("a link");
    assert!(matches!(File::open(&path, NOW), Err(Error::NotAFile(_))));
    assert!(!directory.path().join("nowhere").exists());
    assert!(matches!(File::open(directory.path(), NOW), Err(Error::NotAFile(_))));
    let pipe = directory.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    assert!(matches!(File::open(&pipe, NOW), Err(Error::NotAFile(_))));
}

#[test]
fn second_writer_is_refused() {
    let (_directory, path) = directory();
    let first = File::open(&path, NOW).expect("a new log");
    assert!(matches!(File::open(&path, NOW), Err(Error::InUse(_))));
    drop(first);
    File::open(&path, NOW).expect("it is free again");
}

#[test]
fn what_others_did_to_the_file_is_noticed() {
    let (_directory, path) = directory();
    let (mut file, _) = File::open(&path, NOW).expect("a new log");
    let header_len = file.length();
    fs::write(&path, "").expect("it can be cut");
    file.append(&line(1)).expect_err("it was cut");
    file.truncate(header_len).expect_err("it cannot grow by cutting");
    assert_eq!(fs::read(&path).expect("it is there"), b"");
    fs::write(&path, header(NOW) + "x").expect("it can be written");
    file.append(&line(1)).expect_err("something was appended");
    file.truncate(header_len).expect("what was appended goes");
    file.append(&line(1)).expect("all is well again");
    fs::remove_file(&path).expect("it can be removed");
    file.append(&line(2)).expect_err("it was removed");
}

#[test]
fn space_beyond_the_end_is_reserved() {
    let (_directory, path) = directory();
    let (mut file, _) = File::open(&path, NOW).expect("a new log");
    if !file.can_allocate {
        return; // The file system of this test run cannot: docs/spec/audit-log.md, "Writing", 5.
    }
    assert!(file.allocated >= file.length() + RESERVE);
    for _ in 0..2000 {
        file.append(&vec![b'x'; 1000]).expect("there is room");
        file.sync().expect("the disk works");
        assert!(file.allocated >= file.length() + RESERVE);
    }
    let metadata = fs::metadata(&path).expect("it is there");
    assert_eq!(metadata.len(), file.length());
    assert!(metadata.blocks() * 512 >= file.length() + RESERVE);
    file.truncate(5).expect("it can be cut");
    assert_eq!(file.allocated, 0, "it has to be asked for again");
    file.spare(MAX_LINE_LEN as u64).expect("there is room");
    assert!(file.allocated >= file.length() + RESERVE + MAX_LINE_LEN as u64);
    assert!(file.spare(1 << 62).is_err(), "no disk is so large");
}

#[test]
fn every_error_says_what_to_do() {
    let source = || io::Error::other("x");
    for error in [
        Error::InUse("p".into()),
        Error::Io { step: "open", path: "p".into(), source: source() },
        Error::Newer { path: "p".into(), version: "2".into() },
        Error::NoRecord { path: "p".into(), source: NoRecord },
        Error::NotALog("p".into()),
        Error::NotAFile("p".into()),
    ] {
        assert!(!error.hint().is_empty());
        assert!(error.to_string().contains('p'));
    }
}

#[test]
fn a_log_that_a_server_writes_to_can_be_looked_at_and_stays_as_it_is() {
    let (directory, path) = directory();
    assert_eq!(look(&path).expect("there is none"), None);
    assert!(!path.exists(), "none is begun");
    let (mut server, _) = File::open(&path, NOW).expect("begun");
    server.append(&[&line(1)[..], b"{\"seq\":2,"].concat()).expect("written");
    let before = fs::read(&path).expect("read");
    let seen = look(&path).expect("it is good").expect("it is there");
    assert_eq!((seen.tail.next_seq, seen.tail.cut), (2, 9));
    assert_eq!(seen.last, Some(NOW));
    assert_eq!(fs::read(&path).expect("read"), before, "nothing is cut off");
    let link = directory.path().join("link");
    symlink(&path, &link).expect("linked");
    assert!(matches!(look(&link), Err(Error::NotAFile(_))));
    assert!(matches!(look(directory.path()), Err(Error::NotAFile(_))));
}

/// A record that is not about the state, as long as most are.
fn other(seq: u64) -> Vec<u8> {
    let entry = Entry::from(Stopped { reason: Detail::new(&"state-saved ".repeat(40)) });
    Record { seq, time: NOW, entry }.line().expect("a record can be written")
}

const fn saved(generation: u64) -> Told {
    Told { saved: Some(generation), no_since: false }
}

#[test]
fn the_generation_that_was_saved_last_is_found_wherever_it_stands() {
    let (_directory, path) = directory();
    assert_eq!(told(&path).expect("there is none"), Told::default(), "nothing is known");
    drop(File::open(&path, NOW).expect("a new log"));
    assert_eq!(told(&path).expect("it is a log"), Told::default(), "nothing is known");
    let begin = fs::read(&path).expect("it is there");
    // Records, and as many empty lines as make it this long.
    let fill = |length: usize| {
        let records = length / other(100).len();
        let mut bytes: Vec<u8> = (100..).take(records).flat_map(other).collect();
        bytes.resize(length, b'\n');
        bytes
    };
    // Each place of the record against the bounds of the parts that are looked at.
    let bounds = [0, FIRST_STEP as usize, FIRST_STEP as usize + WINDOW - MAX_LINE_LEN, 2 * WINDOW];
    for (bound, before) in
        bounds.into_iter().flat_map(|bound| [0, 1, 50, line(17).len(), 500].map(|before| (bound, before)))
    {
        let body = [line(3), line(17), fill(bound.saturating_sub(before))].concat();
        fs::write(&path, [&begin[..], &body].concat()).expect("it can be written");
        assert_eq!(told(&path).expect("it is a log"), saved(17), "{before} before {bound}");
        assert_eq!(look(&path).expect("it is good").expect("it is there").told, saved(17));
    }
}

#[test]
fn the_search_for_what_was_saved_last_ends() {
    let (_directory, path) = directory();
    let begin = written(&path, 2);
    let junk = (100..).flat_map(other).take(3 * WINDOW).collect::<Vec<_>>();
    fs::write(&path, [&begin[..], &junk].concat()).expect("it can be written");
    let (file, length) = (fs::File::open(&path).expect("it is there"), (begin.len() + junk.len()) as u64);
    let header_len = header(NOW).len() as u64;
    let find = |limit| find_told(&file, header_len, length, limit).expect("it can be read").saved;
    assert_eq!(find(2 * WINDOW as u64), None, "it stands further back");
    assert_eq!(find(junk.len() as u64 + 60), None, "half of it is no record");
    assert_eq!(find(length), Some(2));
    assert_eq!(find(MAX_SEARCH), Some(2));
}

#[test]
fn a_torn_record_of_a_save_does_not_count() {
    let (_directory, path) = directory();
    let whole = written(&path, 3);
    fs::write(&path, &whole[..whole.len() - 1]).expect("it can be written");
    assert_eq!(look(&path).expect("it is good").expect("it is there").told, saved(2));
    assert_eq!(told(&path).expect("it is a log"), saved(2));
    fs::remove_file(&path).expect("moved away");
    fs::write(&path, &whole[..20]).expect("it can be written");
    assert_eq!(told(&path).expect("a torn header"), Told::default(), "nothing is known");
    fs::write(&path, "junk").expect("it can be written");
    assert!(matches!(told(&path), Err(Error::NotALog(_))));
}
