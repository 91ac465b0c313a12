//! The door: the only file that can make an [`Approved`]. It gives the ledger the time and the randomness, writes down
//! what the ledger decides before it takes effect, and lets calls wait for people.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::ask::{Ask, AskId, Call, Event, Fresh, MatchCode, NoticeKind, Release, Terms};
use super::ledger::act::{Act, Answer};
use super::ledger::{Judgement, Ledger, Reason, Timings};
use super::notices::Notices;
use super::policy::{Action, Policy, Rule};
use crate::clock::{Clock, Moment};
use crate::peer::admission::{Admitted, NotAdmitted};
use crate::peer::standing::{Refusal, Standing};
use crate::peer::{ListedNode, Origin, Peer};
use crate::request::{Operation, Request};

/// Proof that the rule for a call was met at the moment of its release, and that a use of its grant was spent on it.
#[derive(Debug)]
pub struct Approved {
    admitted: Admitted,
    terms: Terms,
    action: Action,
}

impl Approved {
    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        self.admitted.request()
    }

    /// The node it is for.
    #[must_use]
    pub fn node(&self) -> &ListedNode {
        self.admitted.node()
    }

    /// Who is connected.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.admitted.peer()
    }

    /// From where it calls, as far as the approval is bound to it.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.admitted.origin()
    }

    /// What the release rests on.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What the rule says.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// Gives up the request, for the step that acts on it.
    #[must_use]
    pub fn into_request(self) -> Request {
        self.admitted.into_request()
    }

    /// An approval that nobody gave, for tests of the steps behind this one.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn for_test(admitted: Admitted) -> Self {
        Self { admitted, terms: Terms { grant: None }, action: Action::Allow }
    }
}

/// Why a call is not approved.
#[derive(Debug, thiserror::Error)]
pub enum NotApproved {
    /// The caller hung up while it was held.
    #[error("the caller hung up")]
    CallerGone,
    /// The host gives no random bytes.
    #[error("no random bytes to be had")]
    NoRandomness,
    /// It is refused.
    #[error("{0}")]
    Refused(Reason),
    /// What was decided could not be written down, and so was not done.
    #[error("the decision could not be recorded")]
    Unrecorded(#[source] Unrecorded),
    /// Nobody has answered yet. The text goes to the node's console.
    #[error("waiting for approval {code}{}", Poll(*.poll))]
    Waiting {
        /// The ask's name for people.
        code: MatchCode,
        /// How often the node has asked; left out when the text must not change.
        poll: Option<u32>,
    },
}

struct Poll(Option<u32>);

impl fmt::Display for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |poll| write!(f, " ({poll})"))
    }
}

/// What was decided could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be recorded")]
pub struct Unrecorded(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where decisions are written down before they take effect: the audit log and the state.
pub trait Records: Send + Sync {
    /// Writes `events` to the audit log, and then `standing` to the state if there is one to write. Both are durable
    /// when it returns.
    ///
    /// # Errors
    /// [`Unrecorded`] when either could not be made durable.
    fn commit<'a>(
        &'a self,
        events: &'a [Event],
        standing: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>>;
}

/// What is known of a call beside its request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// When the client gives up, as far as it said.
    pub deadline: Option<Moment>,
    /// Cancelled when the client hung up.
    pub gone: CancellationToken,
}

/// An answer is of use while this much of the client's deadline is left.
pub const USEFUL_FOR: Duration = Duration::from_secs(1);

/// A waiting text may change only after a hold of this length: a changed text makes current Talos call again at once.
pub const MIN_HOLD_FOR_CHANGING_TEXT: Duration = Duration::from_secs(2);

/// Events that a channel may lag behind before it is cut off.
pub const CHANNEL_BACKLOG: usize = 256;

/// Channels, and connections of channels, that are told of events at once.
pub const MAX_SUBSCRIBERS: usize = 32;

/// What a channel is told.
#[derive(Debug)]
pub struct Subscription {
    /// The asks that are open, oldest first.
    pub asks: Vec<Ask>,
    /// The denials and blocks in force.
    pub refusals: Vec<Refusal>,
    /// What happens from now on. It ends when the channel lags behind.
    pub events: mpsc::Receiver<Arc<Event>>,
}

/// Where calls wait and votes arrive.
pub struct Gate {
    ledger: Mutex<Ledger>,
    notices: Mutex<Notices>,
    policy: Policy,
    timings: Timings,
    clock: Arc<dyn Clock>,
    records: Arc<dyn Records>,
    subscribers: Mutex<Vec<mpsc::Sender<Arc<Event>>>>,
    /// Counts what people did: held calls are judged again when it changes.
    acts: watch::Sender<u64>,
    /// One act at a time, from its rehearsal to its effect.
    acting: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate that remembers `standing`.
    #[must_use]
    pub fn new(
        policy: Policy,
        timings: Timings,
        standing: Standing,
        clock: Arc<dyn Clock>,
        records: Arc<dyn Records>,
    ) -> Self {
        let ledger = Ledger::new(timings.clone(), standing, clock.now());
        Self {
            ledger: Mutex::new(ledger),
            notices: Mutex::default(),
            policy,
            timings,
            clock,
            records,
            subscribers: Mutex::default(),
            acts: watch::Sender::new(0),
            acting: tokio::sync::Mutex::default(),
        }
    }

    /// The rules in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Waits, but not long, until a call may be released.
    ///
    /// # Errors
    /// [`NotApproved`]: nothing may be released.
    pub async fn approve(&self, admitted: Admitted, caller: &Caller) -> Result<Approved, NotApproved> {
        let rule = self.policy.rule(admitted.node(), admitted.origin(), admitted.request().operation());
        let arrived = self.clock.now().moment;
        let hold_until = self.hold_until(arrived, caller);
        let mut acts = self.acts.subscribe();
        let mut held = false;
        loop {
            // Before the judgement, so that an act between judgement and wait is not missed.
            acts.borrow_and_update();
            let (ask, code, attempts, steady) = match self.judge(&admitted, caller, &rule, held).await? {
                Judgement::Approved(terms) => return Ok(Approved { admitted, terms, action: rule.action }),
                Judgement::Refused(reason) => {
                    self.tell_of_refusal(&admitted, reason);
                    return Err(NotApproved::Refused(reason));
                }
                Judgement::Waiting { ask, code, attempts, steady } => (ask, code, attempts, steady),
            };
            let now = self.clock.now().moment;
            tokio::select! {
                biased;
                () = caller.gone.cancelled() => return Err(NotApproved::CallerGone),
                changed = acts.changed(), if now < hold_until => changed.unwrap_or(()),
                () = tokio::time::sleep(now.until(hold_until)) => {
                    tracing::debug!(%ask, attempts, "hold ended");
                    let may_change = hold_until.since(arrived) >= MIN_HOLD_FOR_CHANGING_TEXT && !steady;
                    return Err(NotApproved::Waiting { code, poll: may_change.then_some(attempts) });
                }
            }
            held = true;
        }
    }

    /// A call is held for `hold`, and not into the `release_margin` at the end of the client's own deadline: up to
    /// Talos 1.12.6 the node still has to open the disk within it.
    fn hold_until(&self, arrived: Moment, caller: &Caller) -> Moment {
        let end = arrived.after(self.timings.hold);
        let Some(deadline) = caller.deadline else { return end };
        let left = arrived.until(deadline).saturating_sub(self.timings.release_margin);
        end.min(arrived.after(left))
    }

    async fn judge(
        &self,
        admitted: &Admitted,
        caller: &Caller,
        rule: &Rule,
        held: bool,
    ) -> Result<Judgement, NotApproved> {
        let fresh = draw()?;
        let now = self.clock.now();
        let call = Call {
            node: ListedNode::clone(admitted.node()),
            origin: admitted.origin(),
            peer: *admitted.peer(),
            operation: admitted.request().operation(),
            blob: admitted.request().fingerprint(),
            in_time: caller.deadline.is_none_or(|deadline| now.moment.until(deadline) >= USEFUL_FOR),
            held,
        };
        let (judgement, events) = self.ledger().judge(now, &call, rule, fresh);
        if let Err(unrecorded) = self.commit(&events).await {
            if let Judgement::Waiting { ask, .. } = judgement
                && events.iter().any(|event| matches!(event, Event::Opened(opened) if opened.id == ask))
            {
                self.ledger().forget(ask);
                self.acts.send_modify(|acts| *acts = acts.wrapping_add(1));
            }
            return Err(NotApproved::Unrecorded(unrecorded));
        }
        self.publish(events);
        Ok(judgement)
    }

    /// Does what a person does: writes it down first, then lets it take effect, then tells the channels.
    ///
    /// # Errors
    /// [`Unrecorded`] when it could not be written down. A yes then has no effect. A no has it all the same, though a
    /// restart may forget it.
    pub async fn act(&self, act: &Act) -> Result<Answer, Unrecorded> {
        let _one_at_a_time = self.acting.lock().await;
        let now = self.clock.now();
        // The rehearsal is on a copy: it shows what has to be written down before it is true.
        let (answer, events, before, after) = {
            let ledger = self.ledger();
            let mut rehearsal = ledger.clone();
            let (answer, events) = rehearsal.act(now, act);
            (answer, events, ledger.standing(), rehearsal.standing())
        };
        if events.is_empty() {
            return Ok(answer);
        }
        let recorded = self.records.commit(&events, (before != after).then_some(&after)).await;
        let is_no = events.iter().any(|event| matches!(event, Event::Refused { .. }));
        if let Err(unrecorded) = recorded {
            if is_no {
                self.take_effect(act);
            }
            return Err(unrecorded);
        }
        Ok(self.take_effect(act))
    }

    fn take_effect(&self, act: &Act) -> Answer {
        let (answer, events) = self.ledger().act(self.clock.now(), act);
        self.acts.send_modify(|acts| *acts = acts.wrapping_add(1));
        self.publish(events);
        answer
    }

    /// Tells the channels of a release that was recorded.
    pub fn released(&self, release: Release) {
        self.publish(vec![Event::Released(release)]);
    }

    /// Lets the grant behind a Seal open the blob that was sealed under it. Called before the node gets the blob, since
    /// it asks to unseal it a moment later.
    pub fn sealed_under(&self, release: &Release) {
        if release.operation == Operation::Seal {
            self.ledger().sealed_under(&release.terms, release.blob);
        }
    }

    /// Tells the channels of a call that was not even admitted.
    pub fn turned_away(&self, why: NotAdmitted, address: IpAddr) {
        tracing::debug!(%address, %why, "peer turned away");
        self.note(NoticeKind::Strangers, None, address);
    }

    fn tell_of_refusal(&self, admitted: &Admitted, reason: Reason) {
        let (node, address) = (admitted.node(), admitted.peer().address);
        match reason {
            Reason::OtherAddress => self.note(NoticeKind::OtherAddress, Some(node), address),
            Reason::TooManyAsks => self.note(NoticeKind::TooManyAsks, None, address),
            _ => {}
        }
    }

    fn note(&self, kind: NoticeKind, node: Option<&ListedNode>, address: IpAddr) {
        let notice = lock(&self.notices).note(self.clock.now(), kind, node, address);
        self.publish(notice.into_iter().map(Event::Notice).collect());
    }

    /// Closes asks that nobody asks any more, and tells what is due to be told. Called about once a second.
    ///
    /// # Errors
    /// [`Unrecorded`] when what closed could not be written down. It is closed all the same.
    pub async fn tick(&self) -> Result<(), Unrecorded> {
        let now = self.clock.now();
        let mut events = self.ledger().expire(now);
        let recorded = self.commit(&events).await;
        events.extend(lock(&self.notices).due(now).into_iter().map(Event::Notice));
        self.publish(events);
        recorded
    }

    /// What is open now, and everything that happens from now on. An ask that is opened meanwhile may come in both.
    /// `None` when too many listen already.
    #[must_use]
    pub fn subscribe(&self) -> Option<Subscription> {
        let events = {
            let mut subscribers = lock(&self.subscribers);
            subscribers.retain(|subscriber| !subscriber.is_closed());
            if subscribers.len() >= MAX_SUBSCRIBERS {
                return None;
            }
            let (sender, events) = mpsc::channel(CHANNEL_BACKLOG);
            subscribers.push(sender);
            events
        };
        let ledger = self.ledger();
        Some(Subscription { asks: ledger.asks(), refusals: ledger.refusals().cloned().collect(), events })
    }

    /// Whether neither ask nor grant would be lost if the process ended now.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.ledger().is_idle()
    }

    async fn commit(&self, events: &[Event]) -> Result<(), Unrecorded> {
        let lasting =
            events.iter().any(|event| !matches!(event, Event::Changed(_) | Event::Notice(_) | Event::Released(_)));
        if lasting { self.records.commit(events, None).await } else { Ok(()) }
    }

    /// Hands events to the channels. One that lags behind is cut off: it subscribes again and gets what is open then.
    /// Nothing ever waits for a channel.
    fn publish(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut subscribers = lock(&self.subscribers);
        for event in events.into_iter().map(Arc::new) {
            subscribers.retain(|subscriber| subscriber.try_send(Arc::clone(&event)).is_ok());
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

/// Every mutation behind these locks is complete or not begun when it can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draw() -> Result<Fresh, NotApproved> {
    let (mut id, mut code) = ([0; 16], [0; 2]);
    getrandom::fill(&mut id).and_then(|()| getrandom::fill(&mut code)).map_err(|_| NotApproved::NoRandomness)?;
    Ok(Fresh { id: AskId(id), code: u16::from_le_bytes(code) })
}

#[cfg(test)]
mod tests;
