//! The door: the only file that can make an [`Approved`]. It gives the ledger the time and the randomness, writes down
//! what the ledger decides before it takes effect, and lets calls wait for people.

mod acting;
mod enrolment;
mod life;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::life::{Passing, UnderWay};
use super::ask::{
    Ask, AskId, Call, ClosedAsk, Event, Fresh, LiveGrant, MatchCode, NoticeKind, Proposal, Release, Terms,
};
use super::ledger::{Judgement, Ledger, Reason, Timings};
use super::notices::Notices;
use super::policy::{Action, Policy, Vote};
use crate::clock::{Clock, Moment};
use crate::peer::admission::{Admission, Admitted, Generation, NotAdmitted};
use crate::peer::standing::{GrantAhead, KeptVote, LastApproval, Lock, Refusal, Standing};
use crate::peer::{ListedNode, Origin, Peer};
use crate::request::{NodeUuid, Operation, Request};

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
    /// The configuration that let the call in is not the one in force any more: it has to come again.
    #[error("the configuration has changed since the call was let in")]
    Reconfigured,
    /// It is refused.
    #[error("{0}")]
    Refused(Reason),
    /// The server stops, and nobody's answer would come in time.
    #[error("the server is stopping")]
    Stopping,
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

/// Why nothing is known to have been done about what a person wanted.
#[derive(Debug, thiserror::Error)]
pub enum NotActed {
    /// The configuration changed after it was found out who the person is: they have to say it again.
    #[error("the configuration has changed meanwhile")]
    Reconfigured,
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
    /// It could not be written down, and so has no effect.
    #[error("it could not be recorded")]
    Unrecorded(#[source] Unrecorded),
    /// It is a no, which has its effect although it could not be written down: a restart may forget it, or begin locked.
    #[error("it is in force, but could not be recorded")]
    Unsaved(#[source] Unrecorded),
}

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

/// Where the keys are, which the lock wipes from memory.
pub trait Keys: Send + Sync {
    /// Wipes all of them. What a call still holds is wiped when the call ends, within seconds.
    fn wipe(&self);

    /// Reads those again that can be read. Which cannot, and how they come back, is for people.
    fn load(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Where there are none.
#[derive(Debug)]
struct NoKeys;

impl Keys for NoKeys {
    fn wipe(&self) {}

    fn load(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// What is known of a call beside its request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// When the client gives up, as far as it said.
    pub deadline: Option<Moment>,
    /// Cancelled when the client hung up.
    pub gone: CancellationToken,
}

impl Caller {
    /// Whether an answer at `now` is of use.
    fn is_in_time(&self, now: Moment) -> bool {
        self.deadline.is_none_or(|deadline| now.until(deadline) >= USEFUL_FOR)
    }
}

/// An answer is of use while this much of the client's deadline is left.
pub const USEFUL_FOR: Duration = Duration::from_secs(1);

/// A waiting text may change only after a hold of this length: a changed text makes current Talos call again at once.
pub const MIN_HOLD_FOR_CHANGING_TEXT: Duration = Duration::from_secs(2);

/// Events that a channel may lag behind before it is cut off: what one act tells of the asks of a large installation, a lock
/// for one, fits.
pub const CHANNEL_BACKLOG: usize = 4096;

/// Processes that are told of events through one channel at once.
pub const MAX_SUBSCRIBERS: usize = 16;

/// The last releases that are told to who looks.
pub const RELEASES_TOLD: usize = 32;

/// Closed asks that a new subscriber is told of.
pub const CLOSED_TOLD: usize = 16;

/// What the configuration says about approvals. Replaced as a whole, and together with the lists of admission.
#[derive(Debug)]
pub struct Configuration {
    /// Which it is.
    pub generation: Generation,
    /// The rules, and who may answer.
    pub policy: Policy,
    /// How long things last.
    pub timings: Timings,
}

/// What a channel is told.
#[derive(Debug)]
pub struct Subscription {
    /// The asks that are open, oldest first.
    pub asks: Vec<Ask>,
    /// Whether everything is refused.
    pub lock: Option<Lock>,
    /// The grants ahead that wait for votes.
    pub proposals: Vec<Proposal>,
    /// The denials and blocks in force.
    pub refusals: Vec<Refusal>,
    /// The grants that are live.
    pub grants: Vec<LiveGrant>,
    /// The asks that were closed last, newest last.
    pub closed: Vec<ClosedAsk>,
    /// Who approved each node last, from wherever.
    pub approvals: HashMap<NodeUuid, LastApproval>,
    /// What happens from now on. It ends when the channel lags behind, and with the configuration.
    pub events: mpsc::Receiver<Arc<Event>>,
}

struct Subscriber {
    channel: Box<str>,
    events: mpsc::Sender<Arc<Event>>,
}

/// Where calls wait and votes arrive.
pub struct Gate {
    ledger: Mutex<Ledger>,
    notices: Mutex<Notices>,
    /// Changed under the ledger's lock only.
    configuration: RwLock<Arc<Configuration>>,
    /// Its lists are replaced together with the configuration, and when people change theirs.
    admission: Arc<Admission>,
    clock: Arc<dyn Clock>,
    records: Arc<dyn Records>,
    keys: Arc<dyn Keys>,
    subscribers: Mutex<Vec<Subscriber>>,
    /// Counts what people did, and whatever else makes held calls be judged again.
    acts: watch::Sender<u64>,
    /// One act at a time, from its rehearsal to its effect; and one save at a time, so that none overtakes another.
    acting: tokio::sync::Mutex<()>,
    /// Held by each call from its last check until it is on record: who says no waits for those before it is answered.
    passing: tokio::sync::RwLock<()>,
    /// The acts under way.
    tasks: TaskTracker,
    /// Whether something is remembered that is not on the disk yet.
    unsaved: AtomicBool,
    /// The ledger's revision that is on the disk.
    saved: AtomicU64,
    /// The last releases, newest last.
    releases: Mutex<VecDeque<Release>>,
    /// Calls that wait for people.
    held: AtomicUsize,
    /// Whether nobody is asked any more.
    stopping: AtomicBool,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate that remembers `standing`. The nodes of `admission` are those of the configuration; those that people listed
    /// come to them here.
    #[must_use]
    pub fn new(
        policy: Policy,
        timings: Timings,
        standing: Standing,
        admission: Arc<Admission>,
        clock: Arc<dyn Clock>,
        records: Arc<dyn Records>,
    ) -> Self {
        let now = clock.now();
        if standing.refusals.iter().any(|refusal| now.wall < refusal.at) {
            tracing::warn!("clock behind state");
        }
        let lists = admission.lists().with_entries(&standing.nodes);
        life::tell_conflicts(&lists);
        let still_given = |ahead: &GrantAhead| {
            let is_same = |vote: &KeptVote| policy.approvers.iter().any(|approver| approver.is_of(vote));
            let node = lists.node(&ahead.node).filter(|node| node.entry_digest() == ahead.entry)?;
            let rule = policy.rule(node, ahead.origin, Operation::Unseal);
            let votes: Vec<Vote> = ahead.votes.iter().map(KeptVote::vote).collect();
            let is_enough = rule.action != Action::Deny && rule.requirement.is_met_by(&votes);
            (is_enough && ahead.votes.iter().all(is_same)).then(|| ListedNode::clone(node))
        };
        let mut ledger = Ledger::new(timings.clone(), standing, now, still_given);
        // The file may have been changed since, or a crash came before what an act had moved was saved.
        ledger.move_refusals(&lists);
        admission.replace(lists);
        Self {
            ledger: Mutex::new(ledger),
            notices: Mutex::default(),
            configuration: RwLock::new(Arc::new(Configuration { generation: Generation::default(), policy, timings })),
            admission,
            clock,
            records,
            keys: Arc::new(NoKeys),
            subscribers: Mutex::default(),
            acts: watch::Sender::new(0),
            acting: tokio::sync::Mutex::default(),
            passing: tokio::sync::RwLock::default(),
            tasks: TaskTracker::new(),
            unsaved: AtomicBool::new(false),
            saved: AtomicU64::new(0),
            releases: Mutex::default(),
            held: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// The same gate, whose lock wipes these.
    #[must_use]
    pub fn with_keys(self, keys: Arc<dyn Keys>) -> Self {
        Self { keys, ..self }
    }

    /// The same gate, which begins with less than stands on the disk: another start must not find that there.
    #[must_use]
    pub fn with_less(self) -> Self {
        Self { unsaved: AtomicBool::new(true), ..self }
    }

    /// What is configured.
    #[must_use]
    pub fn configuration(&self) -> Arc<Configuration> {
        Arc::clone(&self.configuration.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits, but not long, until a call may be released.
    ///
    /// # Errors
    /// [`NotApproved`]: nothing may be released.
    pub async fn approve(&self, admitted: Admitted, caller: &Caller) -> Result<Approved, NotApproved> {
        let arrived = self.clock.now().moment;
        let hold_until = hold_until(&self.configuration().timings, arrived, caller);
        let mut acts = self.acts.subscribe();
        let mut held = false;
        loop {
            // Before the judgement, so that an act between judgement and wait is not missed.
            acts.borrow_and_update();
            let (judgement, action) = self.judge(&admitted, caller, held).await?;
            let (ask, code, attempts, steady) = match judgement {
                Judgement::Approved(terms) => return Ok(Approved { admitted, terms, action }),
                // What is asked about is refused for want of a grant only when nobody is asked any more.
                Judgement::Refused(Reason::NoGrant) if action == Action::Ask => return Err(NotApproved::Stopping),
                Judgement::Refused(reason) => {
                    self.tell_of_refusal(&admitted, reason);
                    return Err(NotApproved::Refused(reason));
                }
                Judgement::Waiting { ask, code, attempts, steady } => (ask, code, attempts, steady),
            };
            self.wait_for_act(caller, &mut acts, hold_until, || {
                tracing::debug!(%ask, attempts, "hold ended");
                waiting(code, attempts, steady, hold_until.since(arrived))
            })
            .await?;
            held = true;
        }
    }

    /// Holds a call until something happened that may change what becomes of it; when nothing did in time, it is told `told`.
    async fn wait_for_act(
        &self,
        caller: &Caller,
        acts: &mut watch::Receiver<u64>,
        hold_until: Moment,
        told: impl FnOnce() -> NotApproved,
    ) -> Result<(), NotApproved> {
        let _held = self.hold();
        let now = self.clock.now().moment;
        tokio::select! {
            biased;
            () = caller.gone.cancelled() => Err(NotApproved::CallerGone),
            changed = acts.changed(), if now < hold_until => { changed.unwrap_or(()); Ok(()) }
            () = tokio::time::sleep(now.until(hold_until)) => Err(told()),
        }
    }

    /// Judges a call by the rules in force. Also returns what its rule says.
    async fn judge(
        &self,
        admitted: &Admitted,
        caller: &Caller,
        held: bool,
    ) -> Result<(Judgement, Action), NotApproved> {
        let (judgement, action) = self.judge_once(admitted, caller, held, true).await?;
        let Judgement::Approved(terms) = &judgement else { return Ok((judgement, action)) };
        if !terms.is_ahead() {
            return Ok((judgement, action));
        }
        if let Err(unsaved) = self.save_spent(terms).await {
            // As if it had not been approved ahead: neither a rule nor people's yes needs a save, and a full disk must not keep a
            // node from its own.
            return match action {
                Action::Ask | Action::Allow => self.judge_once(admitted, caller, held, false).await,
                Action::Granted | Action::Deny => Err(unsaved),
            };
        }
        let closed = self.ledger().close_served(self.clock.now(), terms, admitted.request().fingerprint());
        if let Err(error) = self.commit(&closed).await {
            tracing::error!(%error, "closing unrecorded");
        }
        self.publish(closed);
        Ok((judgement, action))
    }

    async fn judge_once(
        &self,
        admitted: &Admitted,
        caller: &Caller,
        held: bool,
        ahead: bool,
    ) -> Result<(Judgement, Action), NotApproved> {
        let fresh = draw()?;
        let now = self.clock.now();
        let call = Call {
            node: ListedNode::clone(admitted.node()),
            origin: admitted.origin(),
            peer: *admitted.peer(),
            operation: admitted.request().operation(),
            blob: admitted.request().fingerprint(),
            in_time: caller.is_in_time(now.moment),
            held,
            ahead,
        };
        let (action, (judgement, events)) = {
            let mut ledger = self.ledger();
            // Under the lock, where it does not change: what one list let in is never judged by the rules of another.
            let Configuration { generation, policy, .. } = &*self.configuration();
            if admitted.generation() != *generation {
                return Err(NotApproved::Reconfigured);
            }
            let rule = policy.rule(admitted.node(), admitted.origin(), call.operation);
            (rule.action, self.judge_now(&mut ledger, now, &call, &rule, fresh))
        };
        let recorded = self.record_judged(events).await;
        if let Judgement::Approved(terms) = &judgement {
            recorded.inspect_err(|_| self.failed(terms))?;
        } else {
            recorded?;
        }
        Ok((judgement, action))
    }

    /// Writes down what a judgement led to, and tells the channels.
    async fn record_judged(&self, events: Vec<Event>) -> Result<(), NotApproved> {
        let opening = self.opening(&events);
        if let Err(unrecorded) = self.commit(&events).await {
            drop(opening);
            self.publish(events.into_iter().filter(|event| !matches!(event, Event::Opened(_))).collect());
            return Err(NotApproved::Unrecorded(unrecorded));
        }
        opening.recorded();
        // Under the ledger's lock, so that no vote comes between: a channel hears of an ask before it hears of its end.
        // One that was closed while its opening was written is not told of at all: it would stay on the screen.
        let mut ledger = self.ledger();
        let is_open = |event: &Event| !matches!(event, Event::Opened(ask) if !ledger.set_recorded(ask.id));
        let events = events.into_iter().filter(is_open).collect();
        self.publish(events);
        drop(ledger);
        Ok(())
    }

    /// Tells the channels of a release that was recorded.
    pub fn released(&self, release: Release) {
        self.ledger().settle(&release.terms);
        {
            let mut releases = lock(&self.releases);
            if releases.len() >= RELEASES_TOLD {
                releases.pop_front();
            }
            releases.push_back(release.clone());
        }
        self.publish(vec![Event::Released(release)]);
    }

    /// Lets the grant behind a Seal open the blob that was sealed under it. Called before the node gets the blob, since
    /// it asks to unseal it a moment later.
    pub fn sealed_under(&self, release: &Release) {
        if release.operation == Operation::Seal {
            self.ledger().sealed_under(&release.terms, release.blob);
        }
    }

    /// Gives the use back that was spent on something that could not be sealed or opened.
    pub fn failed(&self, terms: &Terms) {
        self.ledger().give_back(terms);
    }

    /// Tells the channels of a call that was not even admitted; `node` is the listed node that it named. Only who asks
    /// too often for a node is told with the node's name: it may be the node that is hurt.
    pub fn turned_away(&self, why: NotAdmitted, node: Option<&ListedNode>, address: IpAddr) {
        tracing::debug!(%address, %why, "peer turned away");
        self.note(NoticeKind::Strangers, node.filter(|_| why == NotAdmitted::TooMany), address);
    }

    fn tell_of_refusal(&self, admitted: &Admitted, reason: Reason) {
        let (node, address) = (admitted.node(), admitted.peer().address);
        match reason {
            Reason::OtherAddress => self.note(NoticeKind::OtherAddress, Some(node), address),
            Reason::TooManyAsks => self.note(NoticeKind::TooManyAsks, None, address),
            Reason::Locked => self.note(NoticeKind::Locked, None, address),
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
        if let Ok(_nobody_acts) = self.acting.try_lock() {
            self.save().await;
        }
        recorded
    }

    /// What is open now, and everything that happens from now on. An ask that is opened meanwhile may come in both.
    /// `None` when too many listen through this channel already.
    #[must_use]
    pub fn subscribe(&self, channel: &str) -> Option<Subscription> {
        let events = {
            let mut subscribers = lock(&self.subscribers);
            subscribers.retain(|subscriber| !subscriber.events.is_closed());
            if subscribers.iter().filter(|subscriber| *subscriber.channel == *channel).count() >= MAX_SUBSCRIBERS {
                return None;
            }
            let (sender, events) = mpsc::channel(CHANNEL_BACKLOG);
            subscribers.push(Subscriber { channel: channel.into(), events: sender });
            events
        };
        let ledger = self.ledger();
        Some(Subscription {
            asks: ledger.asks().into_iter().filter(|ask| ask.recorded).collect(),
            lock: ledger.lock().cloned(),
            proposals: ledger.proposals().collect(),
            refusals: ledger.refusals().cloned().collect(),
            grants: ledger.grants(self.clock.now()).collect(),
            closed: ledger.closed_last(CLOSED_TOLD),
            approvals: ledger.last_approvals(),
            events,
        })
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
        // What no channel is told takes no room from what it is.
        let is_known = |event: &Event| match event {
            Event::Changed(ask) => ask.recorded,
            Event::Voted { .. } | Event::ChangeProposed { .. } => false,
            _ => true,
        };
        let mut subscribers = lock(&self.subscribers);
        for event in events.into_iter().filter(is_known).map(Arc::new) {
            subscribers.retain(|subscriber| subscriber.events.try_send(Arc::clone(&event)).is_ok());
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

/// What a call is told that was held for so long.
fn waiting(code: MatchCode, attempts: u32, steady: bool, held: Duration) -> NotApproved {
    let may_change = held >= MIN_HOLD_FOR_CHANGING_TEXT && !steady;
    NotApproved::Waiting { code, poll: may_change.then_some(attempts) }
}

/// A call is held for `hold`, and not into the `release_margin` at the end of the client's own deadline: up to Talos 1.12.6
/// the node still has to open the disk within it.
fn hold_until(timings: &Timings, arrived: Moment, caller: &Caller) -> Moment {
    let end = arrived.after(timings.hold);
    let Some(deadline) = caller.deadline else { return end };
    let left = arrived.until(deadline).saturating_sub(timings.release_margin);
    end.min(arrived.after(left))
}

/// Randomness for one ask or grant.
///
/// # Errors
/// [`NotApproved::NoRandomness`]
pub(super) fn draw() -> Result<Fresh, NotApproved> {
    let mut random = [0; 18];
    getrandom::fill(&mut random).map_err(|_| NotApproved::NoRandomness)?;
    let [id @ .., low, high] = random;
    Ok(Fresh { id: AskId(id), code: u16::from_le_bytes([low, high]) })
}
