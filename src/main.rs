//! Runs nightlatch.
fn main() {}
