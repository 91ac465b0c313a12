//! An approval is used up by what it allows.

use nightlatch::approval::gate::Approved;
use nightlatch::key::Keks;
use nightlatch::seal::{Failed, Outcome, perform};

pub fn once(approved: Approved, keks: Keks, more: Keks) -> Result<Outcome, Failed> {
    let outcome = perform(approved, keks);
    #[cfg(skipped)]
    let outcome = perform(approved, more); //~ E0382
    #[cfg(not(skipped))]
    drop(more);
    outcome
}
