//! Without a record there is nothing to answer with.

use nightlatch::audit::log::{Log, Recorded, Unrecorded};
use nightlatch::audit::record::Entry;

pub async fn checked(log: &Log, entry: Entry) -> Result<Recorded<u8>, Unrecorded> {
    log.record(entry, 1).await
}

#[cfg(skipped)]
pub fn skipped() -> Recorded<u8> {
    Recorded(1) //~ E0423
}

#[cfg(skipped)]
pub fn exchanged(mut recorded: Recorded<u8>) -> Recorded<u8> {
    recorded.0 = 2; //~ E0616
    recorded
}
