use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn file(directory: &tempfile::TempDir, length: usize, mode: u32) -> PathBuf {
    let path = directory.path().join("nightlatch-key");
    let counting: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
    write(&path, counting).expect("written");
    set_permissions(&path, Permissions::from_mode(mode)).expect("set");
    path
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn a_private_file_of_32_bytes_is_a_key() {
    let directory = directory();
    for mode in [0o600, 0o400] {
        let path = file(&directory, 32, mode);
        assert_eq!(from_file(&path).expect("a key").expose()[..], (0..32).collect::<Vec<u8>>());
        set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
    }
    let link = directory.path().join("link");
    symlink("nightlatch-key", &link).expect("linked");
    assert!(from_file(&link).is_ok(), "links are followed");
}

#[test]
fn other_lengths_are_refused_and_named() {
    let directory = directory();
    for length in [0, 1, 31, 33, 44, 64, 4096] {
        match from_file(&file(&directory, length, 0o600)) {
            Err(Error::WrongLength { found, .. }) => assert_eq!(found, length as u64),
            other => panic!("{length} bytes: {other:?}"),
        }
    }
}

#[test]
fn a_key_of_one_byte_repeated_is_refused_but_recovers() {
    let directory = directory();
    let path = file(&directory, 32, 0o600);
    for byte in 0..=u8::MAX {
        write(&path, [byte; 32]).expect("written");
        assert!(matches!(from_file(&path), Err(Error::Weak { .. })), "{byte}");
        assert!(matches!(from_directory(Some(directory.path()), "nightlatch-key"), Err(Error::Weak { .. })));
        assert_eq!(from_file_to_recover(&path).expect("read as it is").expose(), &[byte; 32]);
    }
    for at in [0, 15, 31] {
        let mut key = [0xFF; 32];
        key[at] = 0xFE;
        write(&path, key).expect("written");
        assert!(from_file(&path).is_ok(), "it is not for us to say how random a key is: byte {at}");
    }
}

#[test]
fn a_file_that_others_may_touch_is_refused() {
    let directory = directory();
    for mode in [0o640, 0o604, 0o660, 0o610, 0o644, 0o777] {
        let error = from_file(&file(&directory, 32, mode)).expect_err("too open");
        assert!(matches!(error, Error::TooOpen { mode: found, .. } if found == mode), "{mode:o}: {error}");
        assert!(error.hint().contains("chmod 600 "), "{}", error.hint());
        set_permissions(directory.path().join("nightlatch-key"), Permissions::from_mode(0o600)).expect("set");
    }
}

#[test]
fn what_is_no_file_is_refused_and_does_not_hang() {
    let directory = directory();
    assert!(matches!(from_file(directory.path()), Err(Error::NotAFile { .. })));
    assert!(matches!(from_file(Path::new("/dev/zero")), Err(Error::NotAFile { .. })));
    assert!(matches!(from_file(&directory.path().join("none")), Err(Error::Missing { .. })));
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("made");
    assert!(matches!(from_file(&pipe), Err(Error::NotAFile { .. })));
}

#[test]
fn a_passphrase_is_one_line() {
    let directory = directory();
    let path = file(&directory, 32, 0o600);
    let longest = "x".repeat(MAX_PASSPHRASE_LEN);
    for (written, passphrase) in
        [("two words", "two words"), ("x\n", "x"), ("x\r\n", "x"), (&format!("{longest}\r\n"), &longest)]
    {
        write(&path, written).expect("written");
        assert!(passphrase_from_file(&path).expect("a line").expose() == passphrase.as_bytes(), "{written:?}");
        let (file, _) = open_in(Some(directory.path()), "nightlatch-key").expect("there");
        assert!(read_passphrase(file, &path).is_ok());
    }
    for (written, why) in [
        ("", NotAPassphrase::Empty),
        ("\n", NotAPassphrase::Empty),
        ("x\n\n", NotAPassphrase::Unprintable),
        ("x\ny\n", NotAPassphrase::Unprintable),
        ("x\r", NotAPassphrase::Unprintable),
        ("\u{feff}x\n", NotAPassphrase::Unprintable),
        ("x \n", NotAPassphrase::Blank),
        (&format!("{longest}x"), NotAPassphrase::TooLong),
        (&"x".repeat(100_000), NotAPassphrase::TooLong),
    ] {
        write(&path, written).expect("written");
        let found = passphrase_from_file(&path).map(|_| ());
        assert!(matches!(found, Err(Error::NotAPassphrase { source, .. }) if source == why), "{why}: {found:?}");
    }
    write(&path, "x").expect("written");
    set_permissions(&path, Permissions::from_mode(0o640)).expect("set");
    assert!(matches!(passphrase_from_file(&path), Err(Error::TooOpen { .. })));
}

#[test]
fn a_credential_may_be_readable_by_its_group() {
    let directory = directory();
    file(&directory, 32, 0o440);
    assert!(from_directory(Some(directory.path()), "nightlatch-key").is_ok());
    assert!(matches!(from_directory(Some(directory.path()), "other"), Err(Error::Missing { .. })));
    assert!(matches!(from_directory(None, "nightlatch-key"), Err(Error::NoDirectory { .. })));
}

#[test]
fn a_credential_is_in_its_directory() {
    let directory = directory();
    for name in ["", ".", "..", "/etc/passwd", "../key", "a/b", "a/", "./a"] {
        let error = from_directory(Some(directory.path()), name).expect_err("no name");
        assert!(matches!(error, Error::Name { .. }), "{name:?}: {error}");
    }
}
