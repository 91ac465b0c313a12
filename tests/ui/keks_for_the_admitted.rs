//! To be admitted is not enough for a key.

use nightlatch::approval::gate::Approved;
use nightlatch::key::{Keks, Keyring, Selector, Unavailable};
use nightlatch::peer::admission::Admitted;

pub async fn checked(keyring: &Keyring, approved: &Approved) -> Result<Keks, Unavailable> {
    keyring.keks(approved, &Selector::Sealing).await
}

#[cfg(skipped)]
pub async fn skipped(keyring: &Keyring, admitted: &Admitted) -> Result<Keks, Unavailable> {
    keyring.keks(admitted, &Selector::Sealing).await //~ E0308
}
