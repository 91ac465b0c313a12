//! The one table from refusals to what a peer is told. The texts are constants, but for the match code of an ask: what
//! went wrong inside is for the record. docs/status-codes.md says what to do about each.

use tonic::{Code, Status};

use crate::approval::gate::NotApproved;
use crate::approval::ledger::Reason;
use crate::key;
use crate::peer::admission::NotAdmitted;
use crate::pipeline::Refusal;
use crate::seal::Failed;

/// The status for a refusal.
#[must_use]
pub fn of(refusal: &Refusal) -> Status {
    let (code, text) = match refusal {
        // These texts are about the caller's own bytes, and constant.
        Refusal::Malformed(malformed) => return Status::invalid_argument(malformed.to_string()),
        Refusal::NotAdmitted(NotAdmitted::TooMany) => (Code::ResourceExhausted, "too many calls, try again later"),
        Refusal::NotAdmitted(
            NotAdmitted::Network | NotAdmitted::SharedUuid | NotAdmitted::UnknownNode | NotAdmitted::UuidPolicy,
        ) => (Code::PermissionDenied, "this node may not ask from this address"),
        Refusal::NotApproved(waiting @ NotApproved::Waiting { .. }) => {
            return Status::unavailable(waiting.to_string());
        }
        Refusal::NotApproved(NotApproved::Refused(reason)) => of_reason(*reason),
        Refusal::NotApproved(NotApproved::CallerGone) => (Code::Cancelled, "the caller hung up"),
        Refusal::NotApproved(NotApproved::Reconfigured) => {
            (Code::Unavailable, "the configuration has just changed, try again")
        }
        Refusal::NotApproved(NotApproved::Stopping) => (Code::Unavailable, "nightlatch is stopping, try again"),
        Refusal::NotApproved(NotApproved::NoRandomness | NotApproved::Unrecorded(_)) | Refusal::Unrecorded(_) => {
            (Code::Unavailable, "this cannot be recorded now, try again later")
        }
        Refusal::NoKey(
            key::Unavailable::Damaged(_)
            | key::Unavailable::NotDerived(_)
            | key::Unavailable::NotInMemory
            | key::Unavailable::Stretching(..),
        )
        | Refusal::Failed(Failed::Encryption | Failed::NotReopened | Failed::OtherCall | Failed::Random(_)) => {
            (Code::Unavailable, "this cannot be sealed or opened now, try again later")
        }
        Refusal::NoKey(key::Unavailable::OtherParameters(_) | key::Unavailable::UnknownKey(_)) | Refusal::Failed(_) => {
            (Code::InvalidArgument, "this sealed blob cannot be opened")
        }
    };
    Status::new(code, text)
}

const fn of_reason(reason: Reason) -> (Code, &'static str) {
    match reason {
        Reason::Blocked => (Code::PermissionDenied, "blocked"),
        Reason::Denied => (Code::PermissionDenied, "denied"),
        Reason::Locked => (Code::PermissionDenied, "locked"),
        Reason::NoGrant => (Code::PermissionDenied, "not granted"),
        Reason::NobodyToAsk | Reason::Rule => (Code::PermissionDenied, "refused by rule"),
        Reason::OtherAddress => (Code::PermissionDenied, "this node may not ask from this address"),
        Reason::TooLate => (Code::Unavailable, "approved, but too late in this call, try again"),
        Reason::TooManyAsks | Reason::TooManyEnrolments => {
            (Code::ResourceExhausted, "too many open requests, try again later")
        }
    }
}

/// A connection without a peer: a bug of ours, and nothing the peer did.
#[must_use]
pub fn no_peer() -> Status {
    tracing::error!("connection without peer");
    Status::internal("internal error")
}

/// A call's task ended without an answer: a bug of ours. That one call is lost, and nothing else.
#[must_use]
pub fn broken(panic: &tokio::task::JoinError) -> Status {
    tracing::error!(cancelled = panic.is_cancelled(), "call broken");
    Status::internal("internal error")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::stretching::StretchError;
    use crate::key::{KeyId, Unavailable};

    #[test]
    fn a_node_asks_again_for_what_the_server_cannot_do_now() {
        let id = KeyId::from_bytes([7; KeyId::LEN]);
        for (unavailable, code) in [
            (Unavailable::Damaged(id), Code::Unavailable),
            (Unavailable::NotDerived(id), Code::Unavailable),
            (Unavailable::Stretching(id, StretchError::Memory(8)), Code::Unavailable),
            (Unavailable::NotInMemory, Code::Unavailable),
            (Unavailable::OtherParameters(id), Code::InvalidArgument),
            (Unavailable::UnknownKey(id), Code::InvalidArgument),
        ] {
            let status = of(&Refusal::NoKey(unavailable));
            assert_eq!(status.code(), code);
            assert!(!status.message().contains(&id.to_string()), "{}", status.message());
        }
        assert_eq!(of(&Refusal::Failed(Failed::NotReopened)).code(), Code::Unavailable);
        assert_eq!(of(&Refusal::Failed(Failed::Data)).code(), Code::InvalidArgument);
    }
}
