//! The calls to the server, and what its refusals mean for whoever changes the list.

use std::path::PathBuf;
use std::time::Duration;

use nightlatch_approval_api::v1::change_node_request::Change;
use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::{Client, connect, v1};
use tokio::runtime::{Builder, Runtime};
use tonic::{Code, Status};

use crate::cli::channel::text::printable;
use crate::cli::channel::{PATIENCE, refused};
use crate::cli::{Failure, exit};
use crate::request::NodeUuid;

/// One channel of the host.
pub(in crate::cli) struct Connection {
    client: Client,
    socket: PathBuf,
    patience: Duration,
}

/// What commands that call wait in.
///
/// # Errors
/// When the host refuses what a runtime needs.
pub(in crate::cli) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::SOFTWARE, "cannot start").because(&error))
}

impl Connection {
    /// Connects with the first call.
    ///
    /// # Panics
    /// Outside a [`runtime`].
    pub(in crate::cli) fn new(socket: PathBuf) -> Self {
        Self { client: connect(&socket), socket, patience: PATIENCE }
    }

    /// What there is now.
    ///
    /// # Errors
    /// When the server cannot be reached, does not answer in time, or refuses.
    pub(in crate::cli) async fn snapshot(&mut self) -> Result<v1::Snapshot, Failure> {
        let read = async {
            let mut events = self.client.subscribe(v1::SubscribeRequest {}).await?.into_inner();
            events.message().await
        };
        let event = tokio::time::timeout(self.patience, read).await.map_err(|_| unanswered())?;
        match event.map_err(|status| refused(&self.socket, &status))?.and_then(|event| event.event) {
            Some(Event::Snapshot(snapshot)) => Ok(snapshot),
            _ => Err(Failure::new(exit::SOFTWARE, "the server does not begin with what there is")
                .hint("server and command are of versions that do not fit; install the same version of both")),
        }
    }

    /// The listed node with this name or UUID.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot), and when there is none.
    pub(in crate::cli) async fn node(&mut self, node: &str) -> Result<v1::NodeStatus, Failure> {
        let nodes = self.snapshot().await?.nodes;
        let uuid = NodeUuid::parse(node).ok();
        let is_it = |status: &&v1::NodeStatus| {
            let known = status.node.as_ref();
            known.is_some_and(|known| {
                known.name == node || uuid.as_ref().is_some_and(|uuid| uuid.as_str() == known.uuid)
            })
        };
        nodes.iter().find(is_it).cloned().ok_or_else(|| {
            Failure::new(exit::DATA, format!("no node is listed as {}", printable(node))).hint(WHO_IS_LISTED)
        })
    }

    /// Asks for one change of the list.
    ///
    /// # Errors
    /// When the server cannot be reached, does not answer in time, or refuses.
    pub(super) async fn change(&mut self, node: String, change: Change) -> Result<v1::ChangeNodeResponse, Failure> {
        let request = v1::ChangeNodeRequest { node, change: Some(change) };
        let answer = tokio::time::timeout(self.patience, self.client.change_node(request));
        let answer = answer.await.map_err(|_| unanswered())?;
        Ok(answer.map_err(|status| not_changed(self, &status))?.into_inner())
    }
}

const WHO_IS_LISTED: &str = "nightlatch nodes shows names and UUIDs of those that are";

fn not_changed(server: &Connection, status: &Status) -> Failure {
    let told = |hint: &str| Failure::new(exit::DATA, printable(status.message())).hint(hint);
    match status.code() {
        Code::FailedPrecondition => {
            told("nothing was changed; systemctl reload nightlatch.service makes a changed configuration file count")
        }
        Code::AlreadyExists => told("nothing was changed; nightlatch nodes shows who has that name, UUID or address"),
        Code::NotFound => told("nothing was changed; nightlatch nodes shows nodes and clusters"),
        Code::InvalidArgument => told(
            "nothing was changed; nightlatch nodes add --help tells what is meant, and nightlatch check which networks are \
             allowed",
        ),
        Code::ResourceExhausted => {
            told("nothing was changed; forget nodes that are gone: nightlatch nodes forget NODE")
        }
        // A server of before this call, one that is away, and somebody who is no approver.
        _ => refused(&server.socket, status),
    }
}

fn unanswered() -> Failure {
    Failure::new(exit::TEMPORARY, format!("the server has not answered within {} s", PATIENCE.as_secs())).hint(
        "systemctl status nightlatch.service says whether it can start; when it can, nightlatch nodes says whether \
         this was done",
    )
}
