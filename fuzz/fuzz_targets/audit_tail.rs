//! Reading the end of an audit log: nothing panics, and a record can be appended to what is kept.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nightlatch::audit::record::{Entry, MAX_SEQ, Record, StateSaved};
use nightlatch::audit::tail::{Tail, Told, told};
use nightlatch::clock::WallTime;

fuzz_target!(|input: (bool, &[u8])| {
    let (whole, window) = input;
    for line in window.split(|byte| *byte == b'\n') {
        if let Ok(record) = Record::parse(line) {
            drop(record.line());
        }
    }
    // Only what Tail takes for a record can tell of the state.
    let tail = Tail::read(window, whole);
    assert!(told(window, whole) == Told::default() || tail.is_ok());
    let Ok(tail) = tail else { return };
    let mut kept = window[..window.len() - tail.cut as usize].to_vec();
    assert!(kept.is_empty() || kept.ends_with(b"\n"));
    if tail.next_seq > MAX_SEQ {
        return;
    }
    let entry = Entry::from(StateSaved { generation: 1 });
    let record = Record { seq: tail.next_seq, time: WallTime::default(), entry };
    kept.extend(record.line().expect("a record can be written"));
    let told = told(&kept, whole);
    assert!(told.saved >= Some(1) && !told.no_since);
    let again = Tail::read(&kept, whole).expect("there is a record");
    assert_eq!((again.next_seq, again.cut), (tail.next_seq + 1, 0));
});
