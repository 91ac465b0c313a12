//! The file in which the bot keeps its prompts: what is read is what would be written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nightlatch_bot::kept::{MAX_LEN, MAX_PROMPTS, parse, to_bytes};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(kept) = parse(bytes) {
        assert!(kept.prompts.len() <= MAX_PROMPTS);
        let written = to_bytes(&kept);
        assert!(written.len() <= MAX_LEN);
        assert_eq!(parse(&written).expect("what was written"), kept);
    }
});
