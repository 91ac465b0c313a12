//! Who was admitted once may ask once.

use nightlatch::approval::gate::{Approved, Caller, Gate, NotApproved};
use nightlatch::peer::admission::Admitted;

pub async fn once(gate: &Gate, admitted: Admitted, caller: &Caller) -> Result<Approved, NotApproved> {
    let approved = gate.approve(admitted, caller).await;
    #[cfg(skipped)]
    let approved = gate.approve(admitted, caller).await; //~ E0382
    approved
}
