//! What the command line shows, as transcripts: tests/cmd/*.trycmd.

#[test]
fn transcripts() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
