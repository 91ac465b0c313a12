//! What Telegram answers to the bot's poll, byte by byte: it is read without a panic, and nothing longer than it may be
//! comes out of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nightlatch_bot::message::Incoming;
use nightlatch_bot::press::Press;
use nightlatch_bot::telegram::incoming;

fuzz_target!(|body: &[u8]| {
    for update in incoming(body).into_iter().flatten() {
        match update.incoming {
            Some(Incoming::Text { text, .. }) => assert!(text.chars().count() <= 256),
            Some(Incoming::Press { data: Some(data), .. }) => {
                assert!(data.len() <= 64);
                if let Some(press) = Press::parse(&data) {
                    assert_eq!(press.to_string(), data, "a button has one spelling");
                }
            }
            _ => {}
        }
    }
});
