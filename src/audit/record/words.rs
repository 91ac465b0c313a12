//! The words of records: closed sets, each spelt in one place.

use serde::{Deserialize, Serialize};

use crate::peer::admission::NotAdmitted;
use crate::peer::standing::RefusalKind;
use crate::request::Operation;

/// Enums that are words in records.
macro_rules! words {
    ($(#[$doc:meta] $name:ident { $(#[$variant_doc:meta] $variant:ident = $word:literal,)+ })+) => {$(
        #[$doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $(#[$variant_doc] #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// The word in records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }
    )+};
}

words! {
    /// What the rule said about a call that was released.
    RuleAction {
        /// Release, and tell the channels.
        Allow = "allow",
        /// Ask the approvers.
        Ask = "ask",
        /// Release under a grant that exists.
        Granted = "granted",
    }

    /// An approver's answer.
    Verdict {
        /// Yes.
        Approve = "approve",
        /// Not for a long time.
        Block = "block",
        /// No.
        Deny = "deny",
    }

    /// How an ask ended.
    AskOutcome {
        /// The quorum said yes.
        Approved = "approved",
        /// An approver blocked the node.
        Blocked = "blocked",
        /// An approver said no.
        Denied = "denied",
        /// The node stopped asking.
        Expired = "expired",
        /// Everything was locked.
        Locked = "locked",
    }

    /// What became of the list of nodes that people keep.
    ListChange {
        /// The entry is another one.
        Changed = "changed",
        /// The node is listed no more.
        Forgotten = "forgotten",
        /// The node is listed.
        Listed = "listed",
    }

    /// Why everything is refused.
    LockReason {
        /// The state is older than the one that this log tells of.
        OlderState = "older-state",
        /// A person locked.
        Person = "person",
    }

    /// Why a call got nothing.
    Reason {
        /// The node is blocked.
        Blocked = "blocked",
        /// The node was denied, and the denial lasts.
        Denied = "denied",
        /// The rule says deny.
        DenyRule = "deny-rule",
        /// Everything is refused.
        Locked = "locked",
        /// The call is no request.
        Malformed = "malformed",
        /// The address is in no allowed network.
        Network = "network",
        /// The rule wants a grant, and there is none.
        NoGrant = "no-grant",
        /// Addresses are listed for the node, and it called from another.
        OtherAddress = "other-address",
        /// Many machines share the identifier, and it is not listed.
        SharedUuid = "shared-uuid",
        /// The server is stopping.
        Stopping = "stopping",
        /// There is no room for another ask.
        TooManyAsks = "too-many-asks",
        /// Too many calls.
        TooManyCalls = "too-many-calls",
        /// The node is not listed.
        UnknownNode = "unknown-node",
        /// The identifier is not of the kind that the configuration demands.
        UuidPolicy = "uuid-policy",
        /// An ask is open.
        Waiting = "waiting",
        /// The client hung up while it was held.
        HungUp = "hung-up",
        /// The rule asks, and nobody may answer.
        NobodyToAsk = "nobody-to-ask",
        /// Approved, but too late in the call to be of use.
        TooLate = "too-late",
        /// It, or what was decided about it, could not be recorded.
        Unrecorded = "unrecorded",
    }
}

impl From<NotAdmitted> for Reason {
    fn from(reason: NotAdmitted) -> Self {
        match reason {
            NotAdmitted::Network => Self::Network,
            NotAdmitted::SharedUuid => Self::SharedUuid,
            NotAdmitted::TooMany => Self::TooManyCalls,
            NotAdmitted::UnknownNode => Self::UnknownNode,
            NotAdmitted::UuidPolicy => Self::UuidPolicy,
        }
    }
}

/// The words for [`Operation`]; the compiler keeps the two alike.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Operation", rename_all = "kebab-case")]
pub(super) enum OperationWord {
    Seal,
    Unseal,
}

/// The words for [`RefusalKind`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "RefusalKind", rename_all = "kebab-case")]
pub(super) enum RefusalKindWord {
    Denial,
    Block,
}
