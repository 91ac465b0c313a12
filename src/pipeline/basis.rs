//! What records and channels are told of a release, kept while the approval itself is used up.

use crate::approval::ask::{Release, Terms};
use crate::approval::gate::{Approved, NotApproved};
use crate::approval::ledger;
use crate::approval::policy::Action;
use crate::audit::record::{Ask, Detail, Entry, Name, Names, Reason, ReleaseFailed, Released, RuleAction};
use crate::clock::Now;
use crate::peer::{ListedNode, Origin, Peer};
use crate::pipeline::Refusal;
use crate::request::{Fingerprint, Operation};
use crate::seal::Outcome;

/// What a release rests on.
pub(super) struct Basis {
    operation: Operation,
    node: ListedNode,
    peer: Peer,
    origin: Origin,
    action: Action,
    terms: Terms,
    /// The blob to unseal.
    blob: Option<Fingerprint>,
}

impl Basis {
    pub(super) fn of(approved: &Approved) -> Self {
        Self {
            operation: approved.request().operation(),
            node: ListedNode::clone(approved.node()),
            peer: *approved.peer(),
            origin: approved.origin(),
            action: approved.action(),
            terms: approved.terms().clone(),
            blob: approved.request().fingerprint(),
        }
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(super) fn release(&self, outcome: &Outcome, at: Now) -> Release {
        Release {
            node: ListedNode::clone(&self.node),
            address: self.peer.address,
            operation: self.operation,
            blob: outcome.fingerprint(),
            terms: self.terms.clone(),
            at,
        }
    }

    pub(super) fn released(&self, outcome: &Outcome) -> Entry {
        Released {
            operation: self.operation,
            node: (&*self.node).into(),
            address: self.peer.address,
            origin: self.origin.into(),
            tls: self.peer.tls,
            ask: self.ask(),
            rule: self.rule(),
            approvers: self.approvers(),
            blob: Name::shown(&outcome.fingerprint()),
            key: Name::shown(&outcome.key_id()),
        }
        .into()
    }

    pub(super) fn failed(&self, failed: &Refusal) -> Entry {
        ReleaseFailed {
            operation: self.operation,
            node: (&*self.node).into(),
            address: self.peer.address,
            ask: self.ask(),
            rule: self.rule(),
            approvers: self.approvers(),
            blob: self.blob.as_ref().map(Name::shown),
            reason: Detail::new(&chain(failed)),
        }
        .into()
    }

    fn ask(&self) -> Option<Ask> {
        let grant = self.terms.grant.as_ref()?;
        Some(Ask { id: Name::shown(&grant.ask), code: Name::shown(&grant.code) })
    }

    fn approvers(&self) -> Names {
        let votes = self.terms.grant.as_ref().map(|grant| grant.votes.as_slice()).unwrap_or_default();
        votes.iter().map(|vote| &vote.approver).collect()
    }

    /// What is denied is never released.
    const fn rule(&self) -> RuleAction {
        match self.action {
            Action::Allow => RuleAction::Allow,
            Action::Granted => RuleAction::Granted,
            Action::Ask | Action::Deny => RuleAction::Ask,
        }
    }
}

/// The word under which a refusal is summed up.
pub(super) fn reason(refusal: &Refusal) -> Reason {
    match refusal {
        Refusal::Malformed(_) => Reason::Malformed,
        Refusal::NotAdmitted(why) => Reason::from(*why),
        Refusal::NotApproved(NotApproved::Refused(why)) => match why {
            ledger::Reason::Blocked => Reason::Blocked,
            ledger::Reason::Denied => Reason::Denied,
            ledger::Reason::Locked => Reason::Locked,
            ledger::Reason::NoGrant => Reason::NoGrant,
            ledger::Reason::NobodyToAsk => Reason::NobodyToAsk,
            ledger::Reason::OtherAddress => Reason::OtherAddress,
            ledger::Reason::Rule => Reason::DenyRule,
            ledger::Reason::TooLate => Reason::TooLate,
            ledger::Reason::TooManyAsks | ledger::Reason::TooManyEnrolments => Reason::TooManyAsks,
        },
        Refusal::NotApproved(NotApproved::CallerGone) => Reason::HungUp,
        // A call that another configuration overtook waited for people, but for those few that it overtook on their way.
        Refusal::NotApproved(NotApproved::Waiting { .. } | NotApproved::Reconfigured) => Reason::Waiting,
        Refusal::NotApproved(NotApproved::Stopping) => Reason::Stopping,
        Refusal::NotApproved(NotApproved::NoRandomness | NotApproved::Unrecorded(_))
        | Refusal::Failed(_)
        | Refusal::NoKey(_)
        | Refusal::Unrecorded(_) => Reason::Unrecorded,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
