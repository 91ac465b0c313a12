//! The socket of one approval channel: who speaks there, and for whom. docs/spec/approval-protocol.md is the
//! specification.

mod ahead;
mod lock;
pub mod message;
mod node_list;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::approvals_server::Approvals;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status};

use super::ask::{AskId, Purpose, Verdict, Voter};
use super::gate::{Configuration, Gate, NotActed};
use super::ledger::act::{Act, Answer};
use super::policy::{Approver, Vote};
use crate::peer::admission::{Admission, Generation, Lists};
use crate::peer::{ListedNode, OVERFLOW_UID, UnixPeer};
use crate::request::NodeUuid;

/// For whom the process at the other end of a channel speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum People {
    /// For the user it runs as.
    OwnUser,
    /// For people with Telegram ids; it is believed when it runs as this user.
    Telegram {
        /// The only user that may attach.
        uid: u32,
    },
}

/// One channel, served on one socket.
pub struct Channel {
    name: Box<str>,
    people: People,
    installation: Box<str>,
    gate: Arc<Gate>,
    admission: Arc<Admission>,
    look: Arc<dyn Look>,
    /// Whether some channel is one of the host, where a lock can be ended.
    can_be_unlocked: bool,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("name", &self.name).finish_non_exhaustive()
    }
}

const NOT_THIS_USER: &str = "this user may not use this channel";
const NOT_LISTED: &str = "this person is no approver";
const ONE_PERSON: &str = "on this channel the person is the process's own user; leave telegram_id out";
const WHO: &str = "on this channel telegram_id must say who answers";
const NO_SUCH_NODE: &str = "no node has this name or UUID";
const RECONFIGURED: &str = "the configuration has just changed; look again, and answer again";
const STOPPING: &str = "nightlatch is stopping; answer again when it is back";
const NOT_RECORDED: &str = "this could not be recorded, so nothing was done";
const NOT_SAVED: &str = "it is in force, but could not be saved: make room on the disk before a restart, which may forget \
     it, or begin locked";
const TOO_MANY_CHANNELS: &str = "too many channels are attached";
const TOO_MANY_REFUSALS: &str = "there are too many denials and blocks; end some first";
const NO_ROOM: &str = "there is no room for more nodes or approvals ahead; end or forget some first";
const NO_SUCH_CLUSTER: &str = "no node of this cluster is one that you may answer for";
const IS_LOCKED: &str = "everything is locked; unlock first, on the host: nightlatch unlock";
const WHICH: &str = "name nodes or a cluster, at most 128 nodes";
const BAD_COUNT: &str = "uses must be 1 to 1024";
const BAD_ADDRESS: &str = "address must be one from which nodes may call, and for one node alone";
const BAD_ASK_ID: &str = "ask_id must be 16 bytes";
const SAME_NODE_TWICE: &str = "two of these asks are of the same unlisted node; answer each by itself";
const BAD_ASK_COUNT: &str = "ask_ids must name 1 to 512 asks";
const TOO_SHORT: &str = "an approval must last for at least 40 s, a denial or block for at least 1 s";
const BAD_VERDICT: &str = "verdict must be approve, deny or block";

/// The worst gap between two calls of current Talos: its 30 s ticker and a call of 10 s. What is approved for less may
/// never be collected.
const MIN_LEASE: Duration = Duration::from_secs(40);
const MIN_REFUSAL: Duration = Duration::from_secs(1);

/// Most asks that are answered at once: so many ids fit into the longest message.
const MAX_VOTES: usize = 512;

/// How the server is, as far as this module does not know.
pub trait Look: Send + Sync {
    /// What somebody sees who looks.
    fn overview(&self) -> v1::OverviewResponse;
}

/// Where nothing is known.
impl Look for () {
    fn overview(&self) -> v1::OverviewResponse {
        v1::OverviewResponse::default()
    }
}

impl Channel {
    /// The channel `name` of the installation with this id.
    #[must_use]
    pub fn new(name: &str, people: People, installation: &str, gate: Arc<Gate>, admission: Arc<Admission>) -> Self {
        let can_be_unlocked = people == People::OwnUser;
        Self {
            name: name.into(),
            people,
            installation: installation.into(),
            gate,
            admission,
            look: Arc::new(()),
            can_be_unlocked,
        }
    }

    /// The same, which shows what `look` sees.
    #[must_use]
    pub fn with_look(self, look: Arc<dyn Look>) -> Self {
        Self { look, ..self }
    }

    /// The same, beside a channel where a lock can be ended.
    #[must_use]
    pub fn beside_the_host(self) -> Self {
        Self { can_be_unlocked: true, ..self }
    }

    /// Checks the kernel's word on who is connected, and gives the approver on whose behalf a request is made.
    fn approver<'a, T>(
        &self,
        configuration: &'a Configuration,
        request: &Request<T>,
        telegram_id: Option<i64>,
    ) -> Result<&'a Approver, Status> {
        let uid = connected_uid(request)?;
        let is_meant: Box<dyn Fn(&Approver) -> bool> = match (self.people, telegram_id) {
            (People::OwnUser, Some(_)) => return Err(Status::invalid_argument(ONE_PERSON)),
            (People::OwnUser, None) => Box::new(move |approver| approver.uid == Some(uid)),
            (People::Telegram { uid: bot }, _) if bot != uid => {
                tracing::warn!(channel = %self.name, uid, "stranger refused");
                return Err(Status::permission_denied(NOT_THIS_USER));
            }
            (People::Telegram { .. }, None) => return Err(Status::invalid_argument(WHO)),
            (People::Telegram { .. }, Some(id)) => Box::new(move |approver| approver.telegram_id == Some(id)),
        };
        configuration.policy.approvers.iter().find(|approver| is_meant(approver)).ok_or_else(|| {
            tracing::warn!(channel = %self.name, uid, telegram_id, "stranger refused");
            Status::permission_denied(NOT_LISTED)
        })
    }

    /// Whether the connected user may see what is asked: an approver, the bot, or root, from whom nothing is hidden.
    fn may_listen<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let uid = connected_uid(request)?;
        let may = match self.people {
            People::OwnUser => {
                let Configuration { policy, .. } = &*self.gate.configuration();
                uid == 0 || policy.approvers.iter().any(|approver| approver.uid == Some(uid))
            }
            People::Telegram { uid: bot } => uid == bot,
        };
        if may {
            return Ok(());
        }
        tracing::warn!(channel = %self.name, uid, "stranger refused");
        Err(Status::permission_denied(NOT_THIS_USER))
    }

    /// The listed node that is meant, provided that `approver` may answer for it.
    fn node(&self, configuration: &Configuration, meant: &str, approver: &Approver) -> Result<ListedNode, Status> {
        let lists = self.lists(configuration)?;
        let uuid = NodeUuid::parse(meant).ok();
        let node = lists
            .nodes()
            .find(|node| *node.name == *meant || uuid.as_ref() == Some(&node.uuid))
            .ok_or_else(|| Status::not_found(NO_SUCH_NODE))?;
        answers_for(configuration, approver, node).map(|()| ListedNode::clone(node))
    }

    /// The node that is meant, also when it is not listed, but was denied or blocked when it asked to be, or before it was
    /// forgotten.
    fn refused(&self, configuration: &Configuration, meant: &str, approver: &Approver) -> Result<ListedNode, Status> {
        let unlisted = NodeUuid::parse(meant).ok().filter(|uuid| self.gate.has_refused(uuid));
        match (self.node(configuration, meant, approver), unlisted) {
            (Err(status), Some(uuid)) if status.code() == Code::NotFound => {
                let node = self.lists(configuration)?.unlisted(&uuid);
                answers_for(configuration, approver, &node).map(|()| node)
            }
            (listed, _) => listed,
        }
    }

    /// The lists of the same configuration.
    fn lists(&self, configuration: &Configuration) -> Result<Arc<Lists>, Status> {
        let lists = self.admission.lists();
        if lists.generation() == configuration.generation { Ok(lists) } else { Err(Status::unavailable(RECONFIGURED)) }
    }

    fn voter<T>(&self, request: &Request<T>, approver: &Approver, telegram_id: Option<i64>) -> Result<Voter, Status> {
        Ok(Voter {
            vote: Vote { approver: approver.name.clone(), channel: self.name.clone() },
            uid: connected_uid(request)?,
            telegram_id,
        })
    }

    /// Does what a person wants who was known by the configuration `known`.
    async fn act(&self, known: Generation, act: Act) -> Result<Answer, Status> {
        self.gate.act(known, act).await.map_err(|why| match why {
            NotActed::Reconfigured => Status::unavailable(RECONFIGURED),
            NotActed::Stopping => Status::unavailable(STOPPING),
            NotActed::Unsaved(unrecorded) => {
                tracing::error!(error = %chain(&unrecorded), channel = %self.name, "act in force, but unrecorded");
                Status::unavailable(NOT_SAVED)
            }
            NotActed::Unrecorded(unrecorded) => {
                tracing::error!(error = %chain(&unrecorded), channel = %self.name, "act unrecorded");
                Status::unavailable(NOT_RECORDED)
            }
        })
    }
}

fn answers_for(configuration: &Configuration, approver: &Approver, node: &ListedNode) -> Result<(), Status> {
    let may = configuration.policy.requirement(node).approvers.contains(&approver.name);
    if may { Ok(()) } else { Err(Status::permission_denied(NOT_LISTED)) }
}

fn connected_uid<T>(request: &Request<T>) -> Result<u32, Status> {
    match request.extensions().get::<UnixPeer>() {
        Some(peer) if peer.uid != OVERFLOW_UID => Ok(peer.uid),
        _ => Err(Status::permission_denied(NOT_THIS_USER)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn ask_id(bytes: &[u8]) -> Result<AskId, Status> {
    <[u8; 16]>::try_from(bytes).map(AskId).map_err(|_| Status::invalid_argument(BAD_ASK_ID))
}

fn verdict(verdict: v1::Verdict, for_seconds: Option<u32>) -> Result<Verdict, Status> {
    let lasts = seconds(for_seconds);
    let shortest = if verdict == v1::Verdict::Approve { MIN_LEASE } else { MIN_REFUSAL };
    if lasts.is_some_and(|lasts| lasts < shortest) {
        return Err(Status::invalid_argument(TOO_SHORT));
    }
    match verdict {
        v1::Verdict::Approve => Ok(Verdict::Approve(lasts)),
        v1::Verdict::Deny => Ok(Verdict::Deny(lasts)),
        v1::Verdict::Block => Ok(Verdict::Block(lasts)),
        v1::Verdict::Unspecified => Err(Status::invalid_argument(BAD_VERDICT)),
    }
}

fn seconds(seconds: Option<u32>) -> Option<Duration> {
    seconds.map(|seconds| Duration::from_secs(seconds.into()))
}

#[tonic::async_trait]
impl Approvals for Channel {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<v1::Event, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.may_listen(&request)?;
        let subscription =
            self.gate.subscribe(&self.name).ok_or_else(|| Status::resource_exhausted(TOO_MANY_CHANNELS))?;
        let lists = self.admission.lists();
        let snapshot = v1::Snapshot {
            installation: self.installation.to_string(),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            asks: subscription.asks.iter().filter(|ask| ask.purpose == Purpose::Release).map(message::ask).collect(),
            refusals: subscription
                .refusals
                .iter()
                .map(|refusal| message::refusal(refusal, lists.node(&refusal.node)))
                .collect(),
            grants: subscription.grants.iter().map(message::grant).collect(),
            closed: subscription
                .closed
                .iter()
                .filter(|closed| closed.ask.purpose == Purpose::Release)
                .map(message::closed)
                .collect(),
            nodes: message::nodes(&lists, &subscription.approvals),
            enrolments: subscription
                .asks
                .iter()
                .filter(|ask| ask.purpose == Purpose::Enrolment)
                .map(message::ask)
                .collect(),
            lock: subscription.lock.as_ref().map(message::lock),
            proposals: subscription.proposals.iter().map(message::proposal).collect(),
        };
        let first = v1::Event { event: Some(v1::event::Event::Snapshot(snapshot)) };
        let rest = ReceiverStream::new(subscription.events).filter_map(|event| message::event(&event));
        Ok(Response::new(Box::pin(tokio_stream::once(first).chain(rest).map(Ok))))
    }

    async fn vote(&self, request: Request<v1::VoteRequest>) -> Result<Response<v1::VoteResponse>, Status> {
        let configuration = self.gate.configuration();
        let approver = self.approver(&configuration, &request, request.get_ref().telegram_id)?;
        let message = request.get_ref();
        let by = self.voter(&request, approver, message.telegram_id)?;
        let ask = ask_id(&message.ask_id)?;
        let verdict = verdict(message.verdict(), message.for_seconds)?;
        let answer = self.act(configuration.generation, Act::Vote { ask, by, verdict }).await?;
        match answer {
            Answer::NoRoom => Err(Status::resource_exhausted(NO_ROOM)),
            Answer::TooManyRefusals => Err(Status::resource_exhausted(TOO_MANY_REFUSALS)),
            answer => Ok(Response::new(message::vote_response(&answer))),
        }
    }

    async fn block(&self, request: Request<v1::BlockRequest>) -> Result<Response<v1::BlockResponse>, Status> {
        let configuration = self.gate.configuration();
        let approver = self.approver(&configuration, &request, request.get_ref().telegram_id)?;
        let node = self.node(&configuration, &request.get_ref().node, approver)?;
        let lasts = seconds(request.get_ref().for_seconds);
        if lasts.is_some_and(|lasts| lasts < MIN_REFUSAL) {
            return Err(Status::invalid_argument(TOO_SHORT));
        }
        let by = self.voter(&request, approver, request.get_ref().telegram_id)?;
        let act = Act::Block { node: ListedNode::clone(&node), by, lasts };
        match self.act(configuration.generation, act).await? {
            Answer::Blocked(refusal) => {
                Ok(Response::new(v1::BlockResponse { refusal: Some(message::refusal(&refusal, Some(&node))) }))
            }
            _ => Err(Status::resource_exhausted(TOO_MANY_REFUSALS)),
        }
    }

    async fn unblock(&self, request: Request<v1::UnblockRequest>) -> Result<Response<v1::UnblockResponse>, Status> {
        let configuration = self.gate.configuration();
        let approver = self.approver(&configuration, &request, request.get_ref().telegram_id)?;
        let node = self.refused(&configuration, &request.get_ref().node, approver)?;
        let by = self.voter(&request, approver, request.get_ref().telegram_id)?;
        let ended = match self.act(configuration.generation, Act::Unblock { node, by }).await? {
            Answer::Unblocked(count) => u32::try_from(count).unwrap_or(u32::MAX),
            _ => 0,
        };
        Ok(Response::new(v1::UnblockResponse { ended }))
    }

    async fn vote_all(&self, request: Request<v1::VoteAllRequest>) -> Result<Response<v1::VoteAllResponse>, Status> {
        let configuration = self.gate.configuration();
        let approver = self.approver(&configuration, &request, request.get_ref().telegram_id)?;
        let message = request.get_ref();
        let by = self.voter(&request, approver, message.telegram_id)?;
        if !(1..=MAX_VOTES).contains(&message.ask_ids.len()) {
            return Err(Status::invalid_argument(BAD_ASK_COUNT));
        }
        let asks = message.ask_ids.iter().map(|id| ask_id(id)).collect::<Result<Vec<_>, _>>()?;
        let verdict = verdict(message.verdict(), message.for_seconds)?;
        let act = Act::VoteAll { asks, by, verdict };
        match self.act(configuration.generation, act).await? {
            Answer::All(answers) => {
                Ok(Response::new(v1::VoteAllResponse { votes: answers.iter().map(message::voted).collect() }))
            }
            Answer::NoRoom => Err(Status::resource_exhausted(NO_ROOM)),
            Answer::SameNodeTwice => Err(Status::failed_precondition(SAME_NODE_TWICE)),
            _ => Err(Status::resource_exhausted(TOO_MANY_REFUSALS)),
        }
    }

    async fn grant(&self, request: Request<v1::GrantRequest>) -> Result<Response<v1::GrantResponse>, Status> {
        self.grant_ahead(&request).await.map(Response::new)
    }

    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeResponse>, Status> {
        self.end_grants(&request).await.map(Response::new)
    }

    async fn lock(&self, request: Request<v1::LockRequest>) -> Result<Response<v1::LockResponse>, Status> {
        self.lock_everything(&request).await.map(Response::new)
    }

    async fn unlock(&self, request: Request<v1::UnlockRequest>) -> Result<Response<v1::UnlockResponse>, Status> {
        self.end_lock(&request).await.map(Response::new)
    }

    async fn change_node(
        &self,
        request: Request<v1::ChangeNodeRequest>,
    ) -> Result<Response<v1::ChangeNodeResponse>, Status> {
        self.change_list(&request).await.map(Response::new)
    }

    async fn overview(&self, request: Request<v1::OverviewRequest>) -> Result<Response<v1::OverviewResponse>, Status> {
        self.may_listen(&request)?;
        Ok(Response::new(self.look.overview()))
    }
}

#[cfg(test)]
mod tests;
