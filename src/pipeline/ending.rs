//! What a call came to, in a word: for counting.

use super::{Refusal, basis};
use crate::audit::record::Reason;
use crate::request::Operation;
use crate::seal::Answer;

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// A bug ended it.
    Broken,
    /// It was approved, and there was no key for it, or its data could not be sealed or opened.
    Failed,
    /// It got nothing, for this reason.
    Refused(Reason),
    /// It got what it asked for.
    Released,
}

impl Ending {
    pub(super) fn of(answer: &Result<Answer, Refusal>) -> Self {
        match answer {
            Ok(_) => Self::Released,
            Err(Refusal::Failed(_) | Refusal::NoKey(_)) => Self::Failed,
            Err(refusal) => Self::Refused(basis::reason(refusal)),
        }
    }

    /// The word: that of the audit log where it has one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Failed => "failed",
            Self::Refused(reason) => reason.as_str(),
            Self::Released => "released",
        }
    }

    /// Every operation with everything that it can come to.
    pub(super) fn of_every_operation() -> impl Iterator<Item = (Operation, Self)> {
        let refused = || Reason::ALL.iter().copied().map(Self::Refused);
        let endings = move || [Self::Broken, Self::Failed, Self::Released].into_iter().chain(refused());
        [Operation::Seal, Operation::Unseal]
            .into_iter()
            .flat_map(move |operation| endings().map(move |ending| (operation, ending)))
    }
}
