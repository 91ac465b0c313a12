//! Asks for approval of nightlatch requests on Telegram.
fn main() {}
