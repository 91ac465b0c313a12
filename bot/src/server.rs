//! The server's channel: what it tells, and what it is asked. docs/spec/approval-protocol.md.

use std::path::Path;
use std::time::Duration;

use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::{Client, Follow, Update, v1};
use tokio::sync::mpsc;
use tonic::Status;

use crate::session::{Reply, Request};

/// How long an answer of the server is waited for. It writes votes down before it answers, which takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Updates that may wait for the session. The server cuts off who lags further behind, and begins anew.
const WAITING: usize = 64;

/// Follows the server on `socket`, in a task of its own: it waits before it tries again, and must not begin that anew
/// whenever something else happens. The last thing that comes is why the server refuses this process for good.
pub(crate) fn follow(socket: &Path) -> mpsc::Receiver<Result<Update, Status>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut follow = Follow::new(socket);
    tokio::spawn(async move {
        loop {
            let update = follow.next().await;
            let is_last = update.is_err();
            if sender.send(update).await.is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// Asks the server once. A request is never sent twice: a person answered once.
pub(crate) async fn ask(mut client: Client, request: Request) -> Result<Reply, Status> {
    let answer = async {
        match request {
            Request::Vote(vote) => client.vote(vote).await.map(|reply| Reply::Vote(Box::new(reply.into_inner()))),
            Request::VoteAll(vote) => client.vote_all(vote).await.map(|reply| Reply::VoteAll(reply.into_inner())),
            Request::Block(block) => client.block(block).await.map(|reply| Reply::Block(reply.into_inner())),
            Request::Unblock(unblock) => client.unblock(unblock).await.map(|reply| Reply::Unblock(reply.into_inner())),
            Request::Grant(grant) => client.grant(grant).await.map(|reply| Reply::Grant(reply.into_inner())),
            Request::Revoke(revoke) => client.revoke(revoke).await.map(|reply| Reply::Revoke(reply.into_inner())),
            Request::Lock(lock) => client.lock(lock).await.map(|reply| Reply::Lock(reply.into_inner())),
            Request::Look => {
                let mut events = client.subscribe(v1::SubscribeRequest {}).await?.into_inner();
                match events.message().await? {
                    Some(v1::Event { event: Some(Event::Snapshot(snapshot)) }) => Ok(Reply::Look(Box::new(snapshot))),
                    _ => Err(Status::internal("the server does not begin with what is open")),
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("the server did not answer in time")))
}
