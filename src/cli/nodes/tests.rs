//! The command against a server that is made up.

use std::os::unix::net::UnixListener as Listener;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use nightlatch_approval_api::v1::approvals_server::{Approvals, ApprovalsServer};
use nightlatch_approval_api::v1::event::Event;
use tempfile::TempDir;
use tokio_stream::Stream;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

use super::*;

const UUID: &str = "0d6f1a52-7c1e-4b57-9a3b-52f1c3b7e901";
type Answer = Result<v1::ChangeNodeResponse, Status>;

/// Lists one node, and answers every change alike.
struct Scripted {
    nodes: Vec<v1::NodeStatus>,
    answer: Answer,
    asked: Arc<Mutex<Vec<v1::ChangeNodeRequest>>>,
}

macro_rules! not_asked {
    ($($name:ident: $request:ident -> $response:ident),*) => {
        #[tonic::async_trait]
        impl Approvals for Scripted {
            type SubscribeStream = Pin<Box<dyn Stream<Item = Result<v1::Event, Status>> + Send>>;

            async fn subscribe(
                &self,
                _: Request<v1::SubscribeRequest>,
            ) -> Result<Response<Self::SubscribeStream>, Status> {
                let snapshot = v1::Snapshot { nodes: self.nodes.clone(), ..v1::Snapshot::default() };
                let first = Ok(v1::Event { event: Some(Event::Snapshot(snapshot)) });
                Ok(Response::new(Box::pin(tokio_stream::iter([first]))))
            }

            async fn change_node(
                &self,
                request: Request<v1::ChangeNodeRequest>,
            ) -> Result<Response<v1::ChangeNodeResponse>, Status> {
                self.asked.lock().expect("unpoisoned").push(request.into_inner());
                self.answer.clone().map(Response::new)
            }

            $(async fn $name(&self, _: Request<v1::$request>) -> Result<Response<v1::$response>, Status> {
                Err(Status::unimplemented("not asked here"))
            })*
        }
    };
}

not_asked!(
    vote: VoteRequest -> VoteResponse,
    block: BlockRequest -> BlockResponse,
    unblock: UnblockRequest -> UnblockResponse,
    vote_all: VoteAllRequest -> VoteAllResponse,
    grant: GrantRequest -> GrantResponse,
    revoke: RevokeRequest -> RevokeResponse,
    lock: LockRequest -> LockResponse,
    unlock: UnlockRequest -> UnlockResponse,
    overview: OverviewRequest -> OverviewResponse
);

fn listed() -> v1::NodeStatus {
    v1::NodeStatus {
        node: Some(v1::Node { uuid: UUID.into(), name: "cp-2".into(), cluster: "home".into() }),
        addresses: vec!["192.0.2.12/32".into()],
        listed_by: v1::ListedBy::People.into(),
        ..v1::NodeStatus::default()
    }
}

fn response(outcome: v1::ChangeOutcome, votes_missing: u32) -> Answer {
    Ok(v1::ChangeNodeResponse { outcome: outcome.into(), node: Some(listed()), votes_missing })
}

/// A server that answers so, and what it will have been asked.
fn server(directory: &TempDir, answer: Answer) -> (Connection, Arc<Mutex<Vec<v1::ChangeNodeRequest>>>) {
    let socket = directory.path().join("cli.sock");
    let listener = Listener::bind(&socket).expect("a socket");
    listener.set_nonblocking(true).expect("set");
    let incoming = UnixListenerStream::new(tokio::net::UnixListener::from_std(listener).expect("a socket"));
    let asked = Arc::default();
    let service = ApprovalsServer::new(Scripted { nodes: vec![listed()], answer, asked: Arc::clone(&asked) });
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    (Connection::new(socket), asked)
}

/// What the command shows of a server that answers so, and what it asked for.
async fn told(answer: Answer, words: &[&str]) -> (Result<String, Failure>, Vec<v1::ChangeNodeRequest>) {
    let directory = TempDir::new().expect("a directory");
    let (connection, asked) = server(&directory, answer);
    let args = Args::try_parse_from(["nodes"].iter().chain(words)).map_err(|error| error.to_string()).expect("fine");
    let shown =
        done(connection, args.command.unwrap_or(Command::List), args.channel.json).await.map(|(shown, _)| shown);
    let asked = std::mem::take(&mut *asked.lock().expect("unpoisoned"));
    (shown, asked)
}

#[tokio::test]
async fn each_change_is_asked_for_and_said_in_a_sentence() {
    let add = v1::AddNode {
        name: "cp-2".into(),
        cluster: "home".into(),
        addresses: vec!["192.0.2.12".into()],
        formerly: vec![],
    };
    let addresses = |addresses: &[&str]| {
        Change::Addresses(v1::Addresses { addresses: addresses.iter().map(|&address| address.to_owned()).collect() })
    };
    for (words, change, said) in [
        (
            &["add", UUID, "--name", "cp-2", "--cluster", "home", "--address", "192.0.2.12"][..],
            Change::Add(add),
            "cp-2 is listed now (0d6f1a52-7c1e-4b57-9a3b-52f1c3b7e901, in cluster home); it may call from 192.0.2.12/32\n",
        ),
        (&["name", "old", "cp-2"], Change::Name("cp-2".into()), "is called cp-2 from now on\n"),
        (&["pin", "cp-2", "192.0.2.13"], addresses(&["192.0.2.13"]), "cp-2 may call from 192.0.2.12/32 from now on\n"),
        (&["pin", "cp-2", "--add", "192.0.2.13"], addresses(&["192.0.2.12/32", "192.0.2.13"]), "from now on\n"),
        (&["pin", "cp-2", "--add", "192.0.2.12"], addresses(&["192.0.2.12/32"]), "from now on\n"),
        (&["pin", "cp-2", "--anywhere"], addresses(&[]), "from now on\n"),
        (&["formerly", "cp-2", "--none"], Change::Formerly(v1::Formerly::default()), "what was sealed for"),
        (
            &["forget", "cp-2"],
            Change::Forget(true),
            "cp-2 is listed no more: its calls are refused, and its disks are not opened, until it is listed again\nwhat \
             was sealed for it stays good; to list it again: nightlatch nodes add 0d6f1a52-7c1e-4b57-9a3b-52f1c3b7e901 --name cp-2 --cluster home \
             --address 192.0.2.12/32\n",
        ),
    ] {
        let (shown, asked) = told(response(v1::ChangeOutcome::Changed, 0), words).await;
        let shown = shown.expect("done");
        assert!(shown.contains(said), "{shown}");
        assert_eq!(asked.into_iter().map(|request| request.change).collect::<Vec<_>>(), [Some(change)]);
    }
}

#[tokio::test]
async fn what_is_not_done_yet_is_not_said_to_be_done() {
    for (outcome, missing, said) in [
        (v1::ChangeOutcome::Counted, 1, "your approval counts; nothing is changed yet: one more approver must ask"),
        (
            v1::ChangeOutcome::Counted,
            0,
            "nothing is changed yet: the very same must be asked for through another channel",
        ),
        (v1::ChangeOutcome::Repeated, 2, "you had asked for this before; nothing is changed yet: 2 more approvers"),
        (v1::ChangeOutcome::Unchanged, 0, "it is so already; nothing was changed"),
        (v1::ChangeOutcome::Unspecified, 0, "what this nightlatch is too old to know"),
    ] {
        let (shown, _) = told(response(outcome, missing), &["forget", "cp-2"]).await;
        let shown = shown.expect("an answer");
        assert!(shown.starts_with(said) || shown.contains(said), "{shown}");
        assert!(!shown.contains("listed no more"), "{shown}");
    }
}

#[tokio::test]
async fn a_refusal_is_shown_with_what_to_do() {
    for (status, hint) in [
        (Status::failed_precondition("it stands in the file"), "systemctl reload nightlatch.service"),
        (Status::already_exists("it stands in the file"), "who has that name"),
        (Status::not_found("it stands in the file"), "nightlatch nodes shows nodes and clusters"),
        (Status::invalid_argument("it stands in the file"), "nightlatch nodes add --help"),
        (Status::resource_exhausted("it stands in the file"), "nightlatch nodes forget"),
    ] {
        let (shown, _) = told(Err(status), &["name", "cp-2", "cp-3"]).await;
        let failure = shown.expect_err("refused");
        assert_eq!((failure.code(), failure.error()), (exit::DATA, "it stands in the file"));
        assert!(failure.to_string().contains(hint), "{failure}");
    }
    let (shown, _) = told(Err(Status::permission_denied("no approver\u{1b}[2J")), &["forget", "cp-2"]).await;
    let failure = shown.expect_err("refused");
    assert_eq!((failure.code(), failure.error()), (exit::NO_PERMISSION, "the server refuses: no approver?[2J"));
}

#[tokio::test]
async fn an_address_is_not_added_to_a_node_that_is_not_listed() {
    let (shown, asked) = told(response(v1::ChangeOutcome::Changed, 0), &["pin", "cp-9", "--add", "192.0.2.13"]).await;
    assert_eq!(shown.expect_err("unknown").error(), "no node is listed as cp-9");
    assert_eq!(asked, []);
}

#[tokio::test]
async fn the_list_says_where_each_is_listed() {
    let (shown, _) = told(response(v1::ChangeOutcome::Changed, 0), &[]).await;
    assert_eq!(
        shown.expect("a list"),
        "NODE  UUID                                  CLUSTER  ADDRESSES      LISTED IN      LAST APPROVED\n\
         cp-2  0d6f1a52-7c1e-4b57-9a3b-52f1c3b7e901  home     192.0.2.12/32  people's list  -\n"
    );
    let (shown, _) = told(response(v1::ChangeOutcome::Changed, 0), &["--json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&shown.expect("a list")).expect("JSON");
    assert_eq!(shown["nodes"][0]["listed_by"], "people");
    assert_eq!(shown["nodes"][0]["conflict"], serde_json::Value::Null);
}

#[test]
fn conflicts_and_former_uuids_stand_below_the_list() {
    let status = v1::NodeStatus {
        conflict: "the configuration\u{1b} lists it too".into(),
        formerly: vec!["5be1c6a0-91d4-4e0c-8f60-0a9d3c47b2d2".into()],
        last_approved_at_ms: 1_000,
        last_approved_by: "alice".into(),
        ..listed()
    };
    let shown = text::list(&v1::Snapshot { nodes: vec![status], ..v1::Snapshot::default() }, 13_000);
    assert!(shown.contains("  12 s ago by alice\n"), "{shown}");
    assert!(shown.contains("\ncp-2 was 5be1c6a0-91d4-4e0c-8f60-0a9d3c47b2d2\n"), "{shown}");
    assert!(shown.contains("\n! cp-2: the configuration? lists it too\n"), "{shown}");
}

/// Which of two machines are listed by a server that answers so: one is listed there already, under another name.
async fn imported(answer: Answer) -> (Result<(), Failure>, Vec<String>, Vec<v1::ChangeNodeRequest>) {
    let directory = TempDir::new().expect("a directory");
    let (mut connection, asked) = server(&directory, answer);
    let files = [
        ("100", format!("name: web\nsmbios1: uuid={UUID}\n")),
        ("101", "name: cp-2\nsmbios1: uuid=5be1c6a0-91d4-4e0c-8f60-0a9d3c47b2d2\n".to_owned()),
        ("102", "name: db\nsmbios1: uuid=7a3c9f0e-52d8-4c6b-8e1d-94b0a6f2c5d3\n".to_owned()),
    ];
    let machines = files.map(|(vmid, text)| proxmox::Machine::parse(vmid, text.as_bytes()));
    let mut known = proxmox::Known::default();
    import::learn(&mut known, connection.snapshot().await.expect("a snapshot"));
    let proposals = proxmox::Proposals::new(&machines, &known);
    assert!(proposals.findings.iter().any(|finding| finding.contains("is listed already, as cp-2")));
    let mut told = vec![];
    let listed = import::list_all(&proposals, Some("home"), &mut connection, |said, (name, _)| {
        told.push(format!("{name}: {}", if said.is_ok() { "listed" } else { "refused" }));
        Ok(())
    });
    let listed = listed.await;
    let asked = std::mem::take(&mut *asked.lock().expect("unpoisoned"));
    (listed, told, asked)
}

#[tokio::test]
async fn machines_that_are_not_listed_yet_are_listed_in_their_cluster() {
    let (listed, told, asked) = imported(response(v1::ChangeOutcome::Changed, 0)).await;
    listed.expect("listed");
    assert_eq!(told, ["cp-2-101: listed", "db: listed"]);
    let added = |uuid: &str, name: &str| {
        let add = v1::AddNode { name: name.into(), cluster: "home".into(), ..v1::AddNode::default() };
        v1::ChangeNodeRequest { node: uuid.into(), change: Some(Change::Add(add)) }
    };
    let expected = [
        added("5be1c6a0-91d4-4e0c-8f60-0a9d3c47b2d2", "cp-2-101"),
        added("7a3c9f0e-52d8-4c6b-8e1d-94b0a6f2c5d3", "db"),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn one_refusal_does_not_stop_an_import_and_a_server_that_is_away_does() {
    let (listed, told, _) = imported(Err(Status::already_exists("it has another name"))).await;
    let failure = listed.expect_err("refused");
    assert_eq!((failure.code(), failure.error()), (exit::DATA, "2 of 2 nodes were not listed"));
    assert_eq!(told, ["cp-2-101: refused", "db: refused"]);
    let (listed, told, asked) = imported(Err(Status::permission_denied("you are no approver"))).await;
    assert_eq!((listed.expect_err("refused").code(), told.len(), asked.len()), (exit::NO_PERMISSION, 0, 1));
}
