//! A server of the approval protocol, as far as a channel sees one. Who votes decides; a test says what is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nightlatch_approval_api::v1::approvals_server::{Approvals, ApprovalsServer};
use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::v1::{self, Outcome, Verdict, VoteResult};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{UnboundedReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status};

use super::patiently;

/// Who may approve, by their numbers.
const APPROVERS: [(i64, &str); 2] = [(101, "alice"), (202, "bob")];

/// A question about the node `cp-NUMBER`.
pub(crate) fn ask(number: u8) -> v1::Ask {
    v1::Ask {
        id: vec![number; 16],
        code: format!("K7Q{number}"),
        operation: v1::Operation::Unseal.into(),
        // Each of a cluster of its own, so that each has a message of its own.
        node: Some(v1::Node { cluster: format!("of cp-{number}"), ..node(number) }),
        address: format!("192.0.2.{number}"),
        origin: v1::Origin::Listed.into(),
        tls: true,
        opened_at_ms: now_ms(),
        last_attempt_at_ms: now_ms(),
        attempts: 1,
        volumes: 1,
        votes_missing: 1,
        ..v1::Ask::default()
    }
}

fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the program compares it with the clock of this host")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock that is set");
    i64::try_from(now.as_millis()).expect("not so soon")
}

pub(crate) fn node(number: u8) -> v1::Node {
    let uuid = format!("00000000-0000-4000-8000-{number:012}");
    v1::Node { uuid, name: format!("cp-{number}"), cluster: "home".into() }
}

/// A server on a socket. It ends when it is dropped.
pub(crate) struct Server {
    shared: Arc<Shared>,
    socket: PathBuf,
    /// Its own, so that it can be ended with all its connections.
    runtime: Option<Runtime>,
}

struct Shared {
    world: Mutex<World>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct World {
    asks: BTreeMap<Vec<u8>, v1::Ask>,
    closed: Vec<v1::Closed>,
    refusals: Vec<v1::Refusal>,
    streams: Vec<mpsc::UnboundedSender<v1::Event>>,
    votes: Vec<v1::VoteRequest>,
    blocks: Vec<v1::BlockRequest>,
    unblocks: Vec<v1::UnblockRequest>,
    /// What whoever comes is refused with.
    refusal: Option<Status>,
    is_held: bool,
}

impl World {
    fn tell(&mut self, event: Event) {
        let event = v1::Event { event: Some(event) };
        self.streams.retain(|stream| stream.send(event.clone()).is_ok());
    }

    /// An ask is closed, as an approver of some channel has it.
    fn close(&mut self, id: &[u8], outcome: Outcome, by: &str, for_seconds: u32) -> Option<v1::Closed> {
        let ask = self.asks.remove(id)?;
        if matches!(outcome, Outcome::Denied | Outcome::Blocked) {
            let kind = if outcome == Outcome::Blocked { v1::RefusalKind::Block } else { v1::RefusalKind::Denial };
            self.refuse(ask.node.clone(), &ask.address, kind, by, for_seconds);
        }
        let at_ms = now_ms();
        let (by, channel) = (by.to_owned(), "telegram".to_owned());
        let outcome = outcome.into();
        let closed =
            v1::Closed { ask: Some(ask), outcome, by, channel, at_ms, for_seconds, collectable_for_seconds: 0 };
        self.closed.push(closed.clone());
        self.tell(Event::Closed(closed.clone()));
        Some(closed)
    }

    fn refuse(
        &mut self,
        node: Option<v1::Node>,
        address: &str,
        kind: v1::RefusalKind,
        by: &str,
        for_seconds: u32,
    ) -> v1::Refusal {
        let (address, by, kind) = (address.to_owned(), by.to_owned(), kind.into());
        let until_ms = now_ms() + i64::from(for_seconds) * 1000;
        let refusal = v1::Refusal { node, address, kind, by, until_ms };
        self.refusals.push(refusal.clone());
        self.tell(Event::Refused(refusal.clone()));
        refusal
    }

    fn snapshot(&self) -> v1::Snapshot {
        let status = |number| v1::NodeStatus { node: Some(node(number)), ..v1::NodeStatus::default() };
        v1::Snapshot {
            installation: "00000000-0000-4000-8000-00000000000a".into(),
            server_version: "0.1.0".into(),
            asks: self.asks.values().cloned().collect(),
            refusals: self.refusals.clone(),
            closed: self.closed.clone(),
            nodes: (1..=3).map(status).collect(),
            ..v1::Snapshot::default()
        }
    }
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let changed = change(&mut self.world());
        self.changed.send_replace(());
        changed
    }
}

impl Server {
    /// One that listens on `socket`, where nothing is asked yet.
    pub(crate) fn start(socket: &Path) -> Self {
        let shared = Arc::new(Shared { world: Mutex::default(), changed: watch::Sender::new(()) });
        let mut server = Self { shared, socket: socket.into(), runtime: None };
        server.start_again();
        server
    }

    /// Ends it, with all its connections. What was open is forgotten, as a server forgets it.
    pub(crate) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
            std::fs::remove_file(&self.socket).expect("its socket");
        }
        self.shared.change(|world| {
            world.asks.clear();
            world.closed.clear();
            world.streams.clear();
        });
    }

    pub(crate) fn start_again(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let entered = runtime.enter();
        let listener = tokio::net::UnixListener::bind(&self.socket).expect("a socket");
        let service = ApprovalsServer::new(Service(Arc::clone(&self.shared)));
        let service = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(service.serve_with_incoming(UnixListenerStream::new(listener)));
        drop(entered);
        self.runtime = Some(runtime);
    }

    // ---- What happens there

    pub(crate) fn open(&self, ask: v1::Ask) {
        self.shared.change(|world| {
            world.asks.insert(ask.id.clone(), ask.clone());
            world.tell(Event::Opened(ask));
        });
    }

    pub(crate) fn change(&self, ask: v1::Ask) {
        self.shared.change(|world| {
            world.asks.insert(ask.id.clone(), ask.clone());
            world.tell(Event::Changed(ask));
        });
    }

    /// Somebody answered it at the command line.
    pub(crate) fn close(&self, ask: &v1::Ask, outcome: Outcome, by: &str) {
        self.shared.change(|world| world.close(&ask.id, outcome, by, 300)).expect("it is open");
    }

    pub(crate) fn release(&self, ask: &v1::Ask) {
        let (node, address) = (ask.node.clone(), ask.address.clone());
        let release = v1::Release {
            ask_id: ask.id.clone(),
            operation: ask.operation,
            node,
            address,
            at_ms: now_ms(),
            after_vote_ms: Some(40),
            ahead_uses_left: None,
            fingerprint: "0123456789abcdef0123456789abcdef".into(),
        };
        self.shared.change(|world| world.tell(Event::Release(release)));
    }

    /// Whoever comes is told that they may not use this channel.
    pub(crate) fn turn_away(&self) {
        self.refuse(Status::permission_denied("this user may not use this channel"));
    }

    /// Whoever comes is refused.
    pub(crate) fn refuse(&self, refusal: Status) {
        self.shared.change(|world| world.refusal = Some(refusal));
    }

    /// Whoever comes waits for the first word.
    pub(crate) fn hold(&self) {
        self.shared.change(|world| world.is_held = true);
    }

    /// Whoever waits for the first word gets it.
    pub(crate) fn let_go(&self) {
        self.shared.change(|world| world.is_held = false);
    }

    // ---- What was heard there

    pub(crate) fn votes(&self) -> Vec<v1::VoteRequest> {
        self.shared.world().votes.clone()
    }

    pub(crate) fn blocks(&self) -> Vec<v1::BlockRequest> {
        self.shared.world().blocks.clone()
    }

    pub(crate) fn unblocks(&self) -> Vec<v1::UnblockRequest> {
        self.shared.world().unblocks.clone()
    }

    /// Waits until somebody follows what happens.
    pub(crate) async fn wait_for_follower(&self) {
        let is_there = |world: &World| world.streams.iter().any(|stream| !stream.is_closed());
        let mut changes = self.shared.changed.subscribe();
        let there = changes.wait_for(|()| is_there(&self.shared.world()));
        patiently("somebody who follows the server", there).await.expect("the sender lives as long as this");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Service(Arc<Shared>);

impl Service {
    fn approver(id: Option<i64>) -> Result<&'static str, Status> {
        let known = APPROVERS.iter().find(|(known, _)| Some(*known) == id);
        known.map(|(_, name)| *name).ok_or_else(|| Status::permission_denied("no approver has this telegram_id"))
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Approvals for Service {
    type SubscribeStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::Event, Status>> + Send>>;

    async fn subscribe(&self, _: Request<v1::SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        if let Some(refusal) = self.0.world().refusal.clone() {
            return Err(refusal);
        }
        let mut changes = self.0.changed.subscribe();
        let _let_go = changes.wait_for(|()| !self.0.world().is_held).await.map(|_| ());
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.change(|world| {
            let snapshot = v1::Event { event: Some(Event::Snapshot(world.snapshot())) };
            sender.send(snapshot).expect("its receiver is here");
            world.streams.push(sender);
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(receiver).map(Ok))))
    }

    async fn vote(&self, request: Request<v1::VoteRequest>) -> Answer<v1::VoteResponse> {
        let vote = request.into_inner();
        let response = self.0.change(|world| {
            world.votes.push(vote.clone());
            let by = Self::approver(vote.telegram_id)?;
            let (outcome, usual) = match vote.verdict() {
                Verdict::Approve => (Outcome::Approved, 300),
                Verdict::Deny => (Outcome::Denied, 600),
                Verdict::Block => (Outcome::Blocked, 3600),
                Verdict::Unspecified => return Err(Status::invalid_argument("no verdict")),
            };
            let is_it = |closed: &&v1::Closed| closed.ask.as_ref().is_some_and(|ask| ask.id == vote.ask_id);
            let before = world.closed.iter().find(is_it).cloned();
            let now = world.close(&vote.ask_id, outcome, by, vote.for_seconds.unwrap_or(usual));
            let result = match (&now, &before) {
                (Some(_), _) => VoteResult::Decided,
                (None, Some(_)) => VoteResult::Closed,
                (None, None) => VoteResult::Unknown,
            };
            Ok(v1::VoteResponse { result: result.into(), ask: None, closed: now.or(before) })
        });
        response.map(Response::new)
    }

    async fn block(&self, request: Request<v1::BlockRequest>) -> Answer<v1::BlockResponse> {
        let block = request.into_inner();
        let refusal = self.0.change(|world| {
            world.blocks.push(block.clone());
            let by = Self::approver(block.telegram_id)?;
            let node = (1..=3).map(node).find(|node| node.name == block.node);
            let node = node.ok_or_else(|| Status::not_found("no listed node is called so"))?;
            let for_seconds = block.for_seconds.unwrap_or(3600);
            Ok::<_, Status>(world.refuse(Some(node), "", v1::RefusalKind::Block, by, for_seconds))
        })?;
        Ok(Response::new(v1::BlockResponse { refusal: Some(refusal) }))
    }

    async fn unblock(&self, request: Request<v1::UnblockRequest>) -> Answer<v1::UnblockResponse> {
        let unblock = request.into_inner();
        let ended = self.0.change(|world| {
            world.unblocks.push(unblock.clone());
            let by = Self::approver(unblock.telegram_id)?.to_owned();
            let is_it = |held: &v1::Refusal| held.node.as_ref().is_some_and(|node| node.name == unblock.node);
            let (ended, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut world.refusals).into_iter().partition(is_it);
            world.refusals = kept;
            for refusal in &ended {
                world.tell(Event::Lifted(v1::Lifted { refusal: Some(refusal.clone()), by: by.clone() }));
            }
            Ok::<_, Status>(ended.len())
        })?;
        Ok(Response::new(v1::UnblockResponse { ended: u32::try_from(ended).expect("a few") }))
    }

    async fn vote_all(&self, request: Request<v1::VoteAllRequest>) -> Answer<v1::VoteAllResponse> {
        let v1::VoteAllRequest { ask_ids, verdict, telegram_id, for_seconds } = request.into_inner();
        let mut votes = vec![];
        for ask_id in ask_ids {
            let vote = v1::VoteRequest { ask_id: ask_id.clone(), verdict, telegram_id, for_seconds };
            let v1::VoteResponse { result, ask, closed } = self.vote(Request::new(vote)).await?.into_inner();
            votes.push(v1::Voted { ask_id, result, ask, closed });
        }
        Ok(Response::new(v1::VoteAllResponse { votes }))
    }

    async fn grant(&self, _: Request<v1::GrantRequest>) -> Answer<v1::GrantResponse> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn revoke(&self, _: Request<v1::RevokeRequest>) -> Answer<v1::RevokeResponse> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn lock(&self, _: Request<v1::LockRequest>) -> Answer<v1::LockResponse> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn unlock(&self, _: Request<v1::UnlockRequest>) -> Answer<v1::UnlockResponse> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn change_node(&self, _: Request<v1::ChangeNodeRequest>) -> Answer<v1::ChangeNodeResponse> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn overview(&self, _: Request<v1::OverviewRequest>) -> Answer<v1::OverviewResponse> {
        Err(Status::unimplemented("not asked here"))
    }
}
