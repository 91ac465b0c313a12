//! An admission cannot be kept for later.

use nightlatch::approval::gate::Approved;
use nightlatch::peer::admission::Admitted;

pub fn shown(admitted: &Admitted) -> String {
    format!("{admitted:?}")
}

#[cfg(skipped)]
pub fn admitted(admitted: &Admitted) -> Admitted {
    Admitted::clone(admitted) //~ E0277
}

#[cfg(skipped)]
pub fn approved(approved: &Approved) -> Approved {
    Approved::clone(approved) //~ E0277
}
