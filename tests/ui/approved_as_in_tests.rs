//! What makes approvals for tests is not in the library.

use nightlatch::approval::gate::Approved;
use nightlatch::peer::admission::Admitted;
use nightlatch::request::Request;

pub fn used_up(approved: Approved) -> Request {
    approved.into_request()
}

#[cfg(skipped)]
pub fn skipped(admitted: Admitted) -> Approved {
    Approved::for_test(admitted) //~ E0599
}
