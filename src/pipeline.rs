//! The request path, top to bottom. Every step eats the proof of the one before: a skipped step does not compile.

mod basis;

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::basis::Basis;
use crate::approval::gate::{Approved, Caller, Gate, NotApproved};
use crate::audit::log::{Log, Recorded, Unrecorded};
use crate::clock::{Clock, Moment};
use crate::key::{self, Keyring};
use crate::peer::Peer;
use crate::peer::admission::{Admission, NotAdmitted};
use crate::request::{MalformedRequest, Operation, Request};
use crate::seal::{self, Answer, Outcome};

/// One call, as it came off the wire.
#[derive(Debug)]
pub struct Call {
    /// What is asked for.
    pub operation: Operation,
    /// The request, or why it is none.
    pub request: Result<Request, MalformedRequest>,
    /// Who is connected.
    pub peer: Peer,
    /// When the client gives up, as far as it said.
    pub deadline: Option<Moment>,
    /// Cancelled when the client hangs up.
    pub gone: CancellationToken,
}

/// Why a call gets nothing. What the peer is told of it stands in `wire::status`.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Approved, but the data could not be sealed or opened.
    #[error("the data could not be sealed or opened")]
    Failed(#[from] seal::Failed),
    /// It is no request.
    #[error("the call is no request")]
    Malformed(#[from] MalformedRequest),
    /// Approved, but there is no key for it.
    #[error("there is no key for it")]
    NoKey(#[from] key::Unavailable),
    /// The peer may not ask.
    #[error("the peer may not ask")]
    NotAdmitted(#[from] NotAdmitted),
    /// Nobody approved it.
    #[error("not approved")]
    NotApproved(#[from] NotApproved),
    /// It could not be recorded.
    #[error("the release could not be recorded")]
    Unrecorded(#[from] Unrecorded),
}

/// The steps, in their order.
pub struct Pipeline {
    admission: Arc<Admission>,
    gate: Arc<Gate>,
    keyring: Keyring,
    log: Log,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").finish_non_exhaustive()
    }
}

impl Pipeline {
    /// A pipeline of these steps.
    #[must_use]
    pub fn new(admission: Arc<Admission>, gate: Arc<Gate>, keyring: Keyring, log: Log, clock: Arc<dyn Clock>) -> Self {
        Self { admission, gate, keyring, log, clock }
    }

    /// Answers one call. Whatever the answer is, it is recorded: a release before it leaves, a refusal in a sum.
    pub async fn run(&self, call: Call) -> Recorded<Result<Answer, Refusal>> {
        let address = call.peer.address;
        let claimed = call.request.as_ref().ok().map(|request| request.node().clone());
        match self.answer(call).await {
            Ok(recorded) => recorded,
            Err(refusal) => self.log.refused(address, claimed.as_ref(), basis::reason(&refusal), Err(refusal)),
        }
    }

    async fn answer(&self, call: Call) -> Result<Recorded<Result<Answer, Refusal>>, Refusal> {
        let caller = Caller { deadline: call.deadline, gone: call.gone };
        let request = call.request?;
        let named = self.admission.node(request.node()).cloned();
        let admitted = self
            .admission
            .admit(self.clock.now().moment, request, call.peer)
            .inspect_err(|why| self.gate.turned_away(*why, named.as_ref(), call.peer.address))?;
        if let Ok(selector) = seal::select_key(admitted.request()) {
            // A person takes longer than a passphrase that is stretched.
            self.keyring.prepare(&admitted, &selector);
        }
        let approved = self.gate.approve(admitted, &caller).await?;
        let basis = Basis::of(&approved);
        match self.perform(approved).await {
            Ok(outcome) => {
                let release = basis.release(&outcome, self.clock.now());
                self.gate.sealed_under(&release);
                let recorded = self.log.record(basis.released(&outcome), Ok(outcome.into_answer())).await?;
                self.gate.released(release);
                Ok(recorded)
            }
            Err(failed) => {
                self.gate.failed(basis.terms());
                Ok(self.log.record(basis.failed(&failed), Err(failed)).await?)
            }
        }
    }

    /// The only path to a key.
    async fn perform(&self, approved: Approved) -> Result<Outcome, Refusal> {
        let selector = seal::select_key(approved.request())?;
        let keks = self.keyring.keks(&approved, &selector).await?;
        Ok(seal::perform(approved, keks)?)
    }
}
