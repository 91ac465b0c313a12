use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

const SECRET: &str = "AbCdEfGhIjKlMnOpQrStUvWxYz012345-_6";

fn line() -> String {
    format!("123456789:{SECRET}")
}

/// A directory with one file of this content and mode.
fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(CREDENTIAL);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

fn error(content: &[u8], mode: u32) -> Error {
    let (_directory, path) = file(content, mode);
    Token::from_file(&path).err().expect("this is refused")
}

#[test]
fn a_private_file_gives_the_token_without_its_line_end() {
    for end in ["", "\n", "\r\n"] {
        let (_directory, path) = file(format!("{}{end}", line()).as_bytes(), 0o600);
        let token = Token::from_file(&path).expect("this is a token");
        assert!(token.expose() == line(), "with the end {end:?}");
    }
}

#[test]
fn a_credential_may_have_the_mode_that_systemd_gives_it() {
    let (directory, _) = file(line().as_bytes(), 0o440);
    let token = Token::from_credentials(directory.path()).expect("this is a token");
    assert!(token.expose() == line());
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    for mode in [0o640, 0o604, 0o620, 0o666] {
        let error = error(line().as_bytes(), mode);
        assert!(matches!(error, Error::TooOpen { mode: found, .. } if found == mode), "{mode:o}: {error}");
    }
}

#[test]
fn a_link_counts_for_the_file_behind_it() {
    let (directory, path) = file(line().as_bytes(), 0o644);
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(Token::from_file(&link), Err(Error::TooOpen { .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(Token::from_file(&link).is_ok());
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Token::from_file(directory.path()), Err(Error::NotAFile { .. })));
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(matches!(Token::from_file(&pipe), Err(Error::NotAFile { .. })));
    assert!(matches!(Token::from_file(Path::new("/dev/null")), Err(Error::NotAFile { .. })));
    assert!(matches!(Token::from_file(&directory.path().join("none")), Err(Error::Missing { .. })));
    assert!(matches!(Token::from_credentials(directory.path()), Err(Error::Missing { .. })));
}

#[test]
fn what_does_not_look_like_a_token_is_refused() {
    for text in [
        String::new(),
        "\n".into(),
        SECRET.into(),
        format!(":{SECRET}"),
        format!("12a456:{SECRET}"),
        format!("123456:{}", &SECRET[..29]),
        format!("123456:{SECRET}{SECRET}"),
        format!("123456:{SECRET}/"),
        format!("123456:{}", SECRET.replace('-', "%")),
        format!(" {}", line()),
        format!("{} ", line()),
        format!("{}\n\n", line()),
        format!("{}\n{}", line(), line()),
        format!("{}{}", line(), "\n".repeat(200)),
        format!("123456789:{}é", &SECRET[..34]),
    ] {
        assert!(matches!(error(text.as_bytes(), 0o600), Error::NotAToken { .. }), "{text:?}");
    }
    assert!(matches!(error(b"\xff\xfe", 0o600), Error::NotAToken { .. }));
    let padded = format!("{}{}", "1".repeat(MAX_READ - SECRET.len()), line());
    assert!(matches!(error(padded.as_bytes(), 0o600), Error::NotAToken { .. }));
}

#[test]
fn errors_name_the_file_and_never_what_is_in_it() {
    let errors = [error(line().as_bytes(), 0o644), error(format!("{}!", line()).as_bytes(), 0o600)];
    for error in errors {
        let told = format!("{error} {error:?} {}", error.hint());
        assert!(told.contains(CREDENTIAL), "it does not name the file");
        assert!(!told.contains(&SECRET[..8]), "it says what is in the file");
    }
}
