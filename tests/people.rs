//! The commands of people at the host against a server that answers as it is told to.

#![expect(clippy::expect_used, reason = "a test that cannot be prepared has failed")]

use std::pin::Pin;
use std::process::Output;
use std::sync::{Arc, Mutex};

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::approvals_server::{Approvals, ApprovalsServer};
use nightlatch_approval_api::v1::event::Event;
use tempfile::TempDir;
use tokio_stream::Stream;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

/// What it answers; what it has no answer for it does not know, as an older server.
#[derive(Clone, Default)]
struct Told {
    snapshot: v1::Snapshot,
    grant: Option<v1::GrantResponse>,
    unlock: Option<v1::UnlockResponse>,
    overview: Option<v1::OverviewResponse>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Told {
    fn answer<T>(&self, heard: &impl std::fmt::Debug, answer: Option<T>) -> Result<Response<T>, Status> {
        self.heard.lock().expect("unpoisoned").push(format!("{heard:?}"));
        answer.map(Response::new).ok_or_else(|| Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl Approvals for Told {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<v1::Event, Status>> + Send>>;

    async fn subscribe(&self, _: Request<v1::SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        let first = v1::Event { event: Some(Event::Snapshot(self.snapshot.clone())) };
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(first)]))))
    }

    async fn vote(&self, request: Request<v1::VoteRequest>) -> Result<Response<v1::VoteResponse>, Status> {
        self.answer(&request.get_ref().ask_id, None)
    }

    async fn block(&self, request: Request<v1::BlockRequest>) -> Result<Response<v1::BlockResponse>, Status> {
        self.answer(&request.get_ref().node, None)
    }

    async fn unblock(&self, request: Request<v1::UnblockRequest>) -> Result<Response<v1::UnblockResponse>, Status> {
        self.answer(&request.get_ref().node, None)
    }

    /// The first is decided; the others need one vote more.
    async fn vote_all(&self, request: Request<v1::VoteAllRequest>) -> Result<Response<v1::VoteAllResponse>, Status> {
        let ids = &request.get_ref().ask_ids;
        let votes = ids.iter().enumerate().map(|(index, id)| {
            let ask = self.snapshot.asks.iter().find(|ask| ask.id == *id).cloned();
            if index == 0 {
                let closed = v1::Closed { ask, outcome: v1::Outcome::Approved.into(), ..v1::Closed::default() };
                let result = v1::VoteResult::Decided.into();
                return v1::Voted { ask_id: id.clone(), result, closed: Some(closed), ask: None };
            }
            let ask = ask.map(|ask| v1::Ask { votes_missing: 1, ..ask });
            v1::Voted { ask_id: id.clone(), result: v1::VoteResult::Counted.into(), ask, closed: None }
        });
        let heard: Vec<_> = ids.iter().filter_map(|id| id.first()).collect();
        self.answer(&heard, Some(v1::VoteAllResponse { votes: votes.collect() }))
    }

    async fn grant(&self, request: Request<v1::GrantRequest>) -> Result<Response<v1::GrantResponse>, Status> {
        let request = request.get_ref();
        self.answer(&(&request.nodes, request.for_seconds, request.uses), self.grant.clone())
    }

    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeResponse>, Status> {
        self.answer(&request.get_ref().what, Some(v1::RevokeResponse::default()))
    }

    async fn lock(&self, request: Request<v1::LockRequest>) -> Result<Response<v1::LockResponse>, Status> {
        self.answer(request.get_ref(), None)
    }

    async fn unlock(&self, request: Request<v1::UnlockRequest>) -> Result<Response<v1::UnlockResponse>, Status> {
        self.answer(request.get_ref(), self.unlock.clone())
    }

    async fn change_node(
        &self,
        request: Request<v1::ChangeNodeRequest>,
    ) -> Result<Response<v1::ChangeNodeResponse>, Status> {
        self.answer(&request.get_ref().node, None)
    }

    async fn overview(&self, request: Request<v1::OverviewRequest>) -> Result<Response<v1::OverviewResponse>, Status> {
        self.answer(request.get_ref(), self.overview.clone())
    }
}

/// What the command says to such a server: its code, standard output, and standard error.
async fn nightlatch(server: &Told, arguments: &[&str]) -> (i32, String, String) {
    let directory = TempDir::new().expect("a directory");
    let socket = directory.path().join("cli.sock");
    let incoming = UnixListenerStream::new(tokio::net::UnixListener::bind(&socket).expect("a socket"));
    let service = ApprovalsServer::new(server.clone());
    let serving = tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    let mut program = assert_cmd::Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    program.args(arguments).arg("--socket").arg(&socket).write_stdin("yes\n");
    let ended = tokio::task::spawn_blocking(move || program.output().expect("the program starts")).await;
    serving.abort();
    let Output { status, stdout, stderr } = ended.expect("no panic");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

fn node(name: &str, cluster: &str) -> Option<v1::Node> {
    Some(v1::Node { name: name.to_owned(), cluster: cluster.to_owned(), ..v1::Node::default() })
}

fn ask(id: u8, cluster: &str) -> v1::Ask {
    v1::Ask {
        id: vec![id; 16],
        code: format!("K7Q{id}"),
        node: node(&format!("cp-{id}"), cluster),
        address: format!("192.0.2.1{id}"),
        ..v1::Ask::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_script_knows_by_the_code_whether_a_reboot_was_announced() {
    for (outcome, code) in
        [(v1::GrantOutcome::Granted, 0), (v1::GrantOutcome::Counted, 10), (v1::GrantOutcome::DenyRule, 11)]
    {
        let result = v1::GrantResult {
            node: node("cp-2", "home"),
            outcome: outcome.into(),
            grant: Some(v1::Grant { seconds_left: 1800, uses_left: 8, ..v1::Grant::default() }),
            ..v1::GrantResult::default()
        };
        let server = Told { grant: Some(v1::GrantResponse { results: vec![result] }), ..Told::default() };
        let (ended, said, _) = nightlatch(&server, &["grant", "cp-2", "--for", "30m", "--uses", "8"]).await;
        assert_eq!(ended, code, "{outcome:?}: {said}");
        assert!(said.starts_with("cp-2: "), "{said}");
        assert_eq!(*server.heard.lock().expect("unpoisoned"), [r#"(["cp-2"], Some(1800), Some(8))"#]);
    }
    let (ended, _, error) = nightlatch(&Told::default(), &["grant", "cp-2"]).await;
    assert_eq!(ended, 69, "{error}");
    assert!(error.contains("the server does not know this call"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_to_a_cluster_names_what_is_open_there_and_nothing_else() {
    let mut warned = ask(4, "home");
    warned.warnings = vec![v1::Warning::OtherAddress.into()];
    let asks = vec![ask(1, "home"), ask(2, "lab"), ask(3, "home"), warned];
    let server = Told { snapshot: v1::Snapshot { asks, ..v1::Snapshot::default() }, ..Told::default() };
    let home = ["approvals", "approve", "--cluster", "home"];

    let (ended, _, error) = nightlatch(&server, &home).await;
    assert_eq!(ended, 64, "a pipe that says yes is nobody: {error}");
    assert!(server.heard.lock().expect("unpoisoned").is_empty());

    let (ended, said, _) = nightlatch(&server, &[&home[..], &["--yes"]].concat()).await;
    assert_eq!(*server.heard.lock().expect("unpoisoned"), ["[1, 3]"], "{said}");
    assert_eq!(ended, 10, "{said}");
    let apart = said.split("NOT among them").nth(1).unwrap_or_default();
    assert!(apart.contains("K7Q4  cp-4") && apart.contains("NOT listed for this node"), "{said}");
    assert!(said.contains("1 of 2 decided"), "{said}");

    let (_, json, _) = nightlatch(&server, &[&home[..], &["--yes", "--json"]].concat()).await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert_eq!(json["votes"][1]["result"], "counted", "{json}");
    assert_eq!(json["left_out"][0]["code"], "K7Q4", "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_an_older_server_is_what_it_can_tell() {
    let snapshot =
        v1::Snapshot { asks: vec![ask(1, "home")], server_version: "0.0.9".to_owned(), ..v1::Snapshot::default() };
    let server = Told { snapshot, ..Told::default() };
    let (ended, said, _) = nightlatch(&server, &["status"]).await;
    assert_eq!(ended, 0);
    assert!(said.contains("the server (version 0.0.9) is older") && said.contains("K7Q1  cp-1"), "{said}");
    let (_, json, _) = nightlatch(&server, &["status", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert!(json["overview"].is_null() && json["now"]["asks"][0]["code"] == "K7Q1", "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unlocking_without_a_key_is_not_all() {
    let keys = vec![v1::Key { name: "typed".to_owned(), absence: "type it".to_owned(), ..v1::Key::default() }];
    let server = Told { unlock: Some(v1::UnlockResponse { unlocked: true, keys }), ..Told::default() };
    let (ended, said, _) = nightlatch(&server, &["unlock"]).await;
    assert_eq!((ended, said.lines().last()), (10, Some("key typed: NOT in memory: type it")));
}
