//! The request path, top to bottom. Every step eats the proof of the one before: a skipped step does not compile.

mod basis;
mod ending;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use self::basis::Basis;
pub use self::ending::Ending;
use crate::approval::gate::{Approved, Caller, Gate, NotApproved, Passing};
pub use crate::audit::log::Recorded;
use crate::audit::log::{Log, Unrecorded};
use crate::audit::record::{Entry, Reason};
use crate::clock::{Clock, Moment};
use crate::key::{self, Keyring};
use crate::metrics::Counts;
use crate::peer::Peer;
use crate::peer::admission::{Admission, NotAdmitted};
use crate::request::{MalformedRequest, NodeUuid, Operation, Request};
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
    /// Set when what becomes of it is on record.
    pub on_record: OnRecord,
}

/// Whether what became of a call is on record, for whoever finds that its task has ended without an answer.
#[derive(Debug, Clone, Default)]
pub struct OnRecord(Arc<AtomicBool>);

/// What is to be known of a call whose task ended without an answer.
#[derive(Debug)]
pub struct Broken {
    operation: Operation,
    address: IpAddr,
    claimed: Option<NodeUuid>,
    on_record: OnRecord,
}

impl Call {
    /// What is to be known of it in case that its task ends without an answer.
    #[must_use]
    pub fn if_broken(&self) -> Broken {
        Broken {
            operation: self.operation,
            address: self.peer.address,
            claimed: self.claimed(),
            on_record: self.on_record.clone(),
        }
    }

    fn claimed(&self) -> Option<NodeUuid> {
        self.request.as_ref().ok().map(|request| request.node().clone())
    }
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
    keyring: Arc<Keyring>,
    log: Log,
    clock: Arc<dyn Clock>,
    calls: AtomicU64,
    endings: Counts<(Operation, Ending)>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").finish_non_exhaustive()
    }
}

impl Pipeline {
    /// A pipeline of these steps.
    #[must_use]
    pub fn new(
        admission: Arc<Admission>,
        gate: Arc<Gate>,
        keyring: Arc<Keyring>,
        log: Log,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let endings = Counts::new(Ending::of_every_operation());
        Self { admission, gate, keyring, log, clock, calls: AtomicU64::new(0), endings }
    }

    /// Answers one call. Whatever the answer is, it is recorded: a release before it leaves, a refusal in a sum.
    pub async fn run(&self, call: Call) -> Recorded<Result<Answer, Refusal>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (operation, address, claimed) = (call.operation, call.peer.address, call.claimed());
        let answered = match self.answer(call).await {
            Ok(recorded) => recorded,
            Err(refusal) => self.log.refused(address, claimed.as_ref(), basis::reason(&refusal), Err(refusal)),
        };
        self.endings.count(&(operation, Ending::of(answered.get())));
        answered
    }

    /// Counts a call whose task ended without an answer, unless what became of it is on record: then nothing else is true.
    pub fn broken(&self, call: &Broken) {
        self.endings.count(&(call.operation, Ending::Broken));
        if !call.on_record.0.load(Ordering::Acquire) {
            drop(self.log.refused(call.address, call.claimed.as_ref(), Reason::Unrecorded, ()));
        }
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// What the calls came to that have ended.
    #[must_use]
    pub fn endings(&self) -> &Counts<(Operation, Ending)> {
        &self.endings
    }

    async fn answer(&self, call: Call) -> Result<Recorded<Result<Answer, Refusal>>, Refusal> {
        let caller = Caller { deadline: call.deadline, gone: call.gone };
        let request = call.request?;
        if let Some(candidate) = self.admission.candidate(self.clock.now().moment, &request, &call.peer) {
            // Whether it is to be listed is all that is asked: nothing is released to it by this call.
            return Err(self.gate.enrol(&candidate, &caller).await.into());
        }
        let named = self.admission.node(request.node());
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
        match self.perform(approved, &caller).await {
            Ok((outcome, _passing)) => {
                let release = basis.release(&outcome, self.clock.now());
                self.gate.sealed_under(&release);
                let recorded =
                    self.record(basis.released(&outcome), Ok(outcome.into_answer()), &call.on_record).await?;
                self.gate.released(release);
                Ok(recorded)
            }
            Err(failed) => {
                self.gate.failed(basis.terms());
                self.record(basis.failed(&failed), Err(failed), &call.on_record).await
            }
        }
    }

    async fn record<T>(&self, entry: Entry, answer: T, call: &OnRecord) -> Result<Recorded<T>, Refusal> {
        let recorded = self.log.record(entry, answer).await?;
        call.0.store(true, Ordering::Release);
        Ok(recorded)
    }

    /// The only path to a key.
    async fn perform(&self, approved: Approved, caller: &Caller) -> Result<(Outcome, Passing<'_>), Refusal> {
        let selector = seal::select_key(approved.request())?;
        let keks = self.keyring.keks(&approved, &selector).await?;
        // A key may take seconds to derive.
        let passing = self.gate.still_approves(&approved, caller).await?;
        Ok((seal::perform(approved, keks)?, passing))
    }
}
