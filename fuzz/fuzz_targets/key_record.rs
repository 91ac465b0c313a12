//! Reading the key record: nothing panics, and what is accepted keeps to its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nightlatch::state::key_record;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = key_record::parse(bytes) else { return };
    assert!(record.keys().len() <= key_record::MAX_KEYS);
    for key in record.keys() {
        assert_eq!(record.find(key.source, key.id), Some(key), "one of two has the same id");
        assert!(!key.name.is_empty() && !key.name.chars().any(char::is_control));
        for backup in &key.backup {
            assert!(!backup.place().is_empty() && backup.place().len() <= key_record::MAX_PLACE_LEN);
        }
    }
});
