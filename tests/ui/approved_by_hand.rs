//! Nobody is approved but at the gate.

use nightlatch::approval::ask::Terms;
use nightlatch::approval::gate::{Approved, Caller, Gate, NotApproved};
use nightlatch::approval::policy::Action;
use nightlatch::peer::admission::Admitted;

pub async fn checked(gate: &Gate, admitted: Admitted, caller: &Caller) -> Result<Approved, NotApproved> {
    gate.approve(admitted, caller).await
}

#[cfg(skipped)]
pub fn skipped(admitted: Admitted) -> Approved {
    Approved { admitted, terms: Terms { grant: None }, action: Action::Allow } //~ E0451
}
