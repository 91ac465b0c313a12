//! What was opened comes out of an outcome once, and leaves nothing behind.

use nightlatch::seal::{Answer, Outcome};

pub fn answer(outcome: Outcome) -> Answer {
    let answer = outcome.into_answer();
    #[cfg(skipped)]
    let answer = outcome.into_answer(); //~ E0382
    answer
}

#[cfg(skipped)]
pub fn looked_into(outcome: &Outcome) -> &Answer {
    &outcome.answer //~ E0616
}
