//! How a channel follows a server that ends its streams.

#![expect(clippy::expect_used, reason = "a test that cannot be prepared has failed")]

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;

use nightlatch_approval_api::v1::approvals_server::{Approvals, ApprovalsServer};
use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::{Follow, Update, asleep_file, v1};
use tempfile::TempDir;
use tokio_stream::Stream;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

/// What each stream brings before it ends: with a status, or in peace.
type Stretch = Vec<Result<v1::Event, Status>>;

struct Scripted(Mutex<VecDeque<Stretch>>);

#[tonic::async_trait]
impl Approvals for Scripted {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<v1::Event, Status>> + Send>>;

    async fn subscribe(&self, _: Request<v1::SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        let stretch = self.0.lock().expect("unpoisoned").pop_front();
        let stretch = stretch.ok_or_else(|| Status::permission_denied("that was all"))?;
        Ok(Response::new(Box::pin(tokio_stream::iter(stretch))))
    }

    async fn vote(&self, _: Request<v1::VoteRequest>) -> Result<Response<v1::VoteResponse>, Status> {
        Err(Status::unimplemented("nobody votes here"))
    }

    async fn block(&self, _: Request<v1::BlockRequest>) -> Result<Response<v1::BlockResponse>, Status> {
        Err(Status::unimplemented("nobody blocks here"))
    }

    async fn unblock(&self, _: Request<v1::UnblockRequest>) -> Result<Response<v1::UnblockResponse>, Status> {
        Err(Status::unimplemented("nobody unblocks here"))
    }

    async fn vote_all(&self, _: Request<v1::VoteAllRequest>) -> Result<Response<v1::VoteAllResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn grant(&self, _: Request<v1::GrantRequest>) -> Result<Response<v1::GrantResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn revoke(&self, _: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn lock(&self, _: Request<v1::LockRequest>) -> Result<Response<v1::LockResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn unlock(&self, _: Request<v1::UnlockRequest>) -> Result<Response<v1::UnlockResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn change_node(&self, _: Request<v1::ChangeNodeRequest>) -> Result<Response<v1::ChangeNodeResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn overview(&self, _: Request<v1::OverviewRequest>) -> Result<Response<v1::OverviewResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
}

fn snapshot(installation: &str) -> Result<v1::Event, Status> {
    let snapshot = v1::Snapshot { installation: installation.to_owned(), ..v1::Snapshot::default() };
    Ok(v1::Event { event: Some(Event::Snapshot(snapshot)) })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sleeps_is_not_woken_and_followed_when_somebody_else_has() {
    let directory = TempDir::new().expect("a directory");
    let socket = directory.path().join("channel.sock");
    let asleep = asleep_file(&socket);
    assert_eq!(asleep, directory.path().join("server/asleep"));
    std::fs::create_dir(directory.path().join("server")).expect("a directory");
    std::fs::write(&asleep, "").expect("asleep");
    // systemd holds it, and would start the server for a connection.
    let listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
    let mut follow = Follow::new(&socket);
    let hour = std::time::Duration::from_secs(3600);
    let told = tokio::time::timeout(hour, follow.next()).await;
    assert!(matches!(told, Ok(Ok(Update::Asleep))), "{told:?}");
    tokio::select! {
        biased;
        _ = listener.accept() => panic!("it is woken"),
        update = follow.next() => panic!("said again: {update:?}"),
        () = tokio::time::sleep(hour) => {}
    }
    let service = ApprovalsServer::new(Scripted(Mutex::new(VecDeque::from([vec![snapshot("awake")]]))));
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(UnixListenerStream::new(listener)),
    );
    std::fs::remove_file(&asleep).expect("awake");
    assert!(matches!(follow.next().await, Ok(Update::Connected(snapshot)) if snapshot.installation == "awake"));
    // It ends its stream again, and sleeps.
    std::fs::write(&asleep, "").expect("asleep");
    assert!(matches!(follow.next().await, Ok(Update::Asleep)));
    // Somebody stops it for good, with its sockets: no call wakes it, and it is missed. Here the script is over.
    std::fs::remove_file(&socket).expect("closed");
    let called = tokio::time::timeout(hour, follow.next()).await;
    assert!(matches!(called, Ok(Err(_))), "{called:?}");
}

/// Everything that is told of a server with these streams, until it refuses for good.
async fn told(stretches: impl IntoIterator<Item = Stretch>) -> Vec<String> {
    let directory = TempDir::new().expect("a directory");
    let socket = directory.path().join("channel.sock");
    let incoming = UnixListenerStream::new(tokio::net::UnixListener::bind(&socket).expect("a socket"));
    let service = ApprovalsServer::new(Scripted(Mutex::new(stretches.into_iter().collect())));
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    let mut follow = Follow::new(&socket);
    let mut told = vec![];
    while let Ok(update) = follow.next().await {
        told.push(match update {
            Update::Connected(snapshot) => snapshot.installation,
            Update::Event(event) => format!("{event:?}"),
            Update::Lost(status) => format!("lost: {}", status.message()),
            Update::Asleep => "asleep".to_owned(),
        });
    }
    told
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_in_peace_is_followed_by_the_next_without_a_word() {
    let reloaded = [vec![snapshot("before")], vec![snapshot("after")], vec![snapshot("and after")]];
    assert_eq!(told(reloaded).await, ["before", "after", "and after"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_with_an_error_is_a_loss() {
    let restarted = [vec![snapshot("before"), Err(Status::unavailable("bye"))], vec![snapshot("after")]];
    assert_eq!(told(restarted).await, ["before", "lost: bye", "after"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_only_ever_ends_its_streams_is_lost_and_said_so_once() {
    let broken = [vec![snapshot("before")], vec![], vec![], vec![], vec![snapshot("after")]];
    assert_eq!(told(broken).await, ["before", "lost: the server ended the stream", "after"]);
}
