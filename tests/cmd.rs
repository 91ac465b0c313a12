//! What the command line shows, as transcripts: tests/cmd/*.trycmd.
//!
//! A new transcript is a file with `$ nightlatch …` in a `console` block: `TRYCMD=overwrite cargo test --test cmd`
//! writes down what the command shows, for a person to read before it is committed.

#[test]
fn transcripts() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}

/// `nightlatch man | head -1` is no error, and no panic.
#[test]
fn a_reader_that_has_seen_enough_is_fine() {
    for arguments in [["--help"].as_slice(), &["man"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_nightlatch"))
            .args(arguments)
            .stdout(writer)
            .output()
            .expect("the program starts");
        assert_eq!(
            (done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}
