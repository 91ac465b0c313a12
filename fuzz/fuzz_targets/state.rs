//! Reading the durable state: nothing panics, and what is accepted is what a save would write.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nightlatch::state;
use sha2::{Digest, Sha256};
use uuid::Uuid;

fuzz_target!(|body: &[u8]| {
    drop(state::read(body, Uuid::nil()));
    // Past the digest, which a fuzzer does not find by itself.
    for version in [1, 2] {
        let mut bytes = format!("nightlatch-state {version} {} 1\n", Uuid::nil()).into_bytes();
        bytes.extend(body);
        bytes.push(b'\n');
        let digits: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        bytes.extend(format!("sha256 {digits}\n").into_bytes());
        if let Ok((generation, standing)) = state::read(&bytes, Uuid::nil()) {
            assert_eq!(generation.get(), 1);
            assert!(state::read(&bytes, Uuid::max()).is_err());
            let new = standing.lock.is_some() || !standing.grants.is_empty() || !standing.nodes.is_empty();
            assert!(version == 2 || !new, "version 1 has none of these");
        }
    }
});
