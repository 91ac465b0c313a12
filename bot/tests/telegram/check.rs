//! What nightlatch-bot check finds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use nightlatch_approval_api::v1::approvals_server::{Approvals, ApprovalsServer};
use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::v1::{self, Snapshot};
use nightlatch_bot::check::{Finding, check};
use nightlatch_bot::message::UserId;
use nightlatch_bot::session::Chat;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

use super::bot_api::{BOT, Fault};
use super::*;

/// A server that says one thing to whoever subscribes.
#[derive(Clone)]
struct Server(Result<Event, Status>);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Approvals for Server {
    type SubscribeStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::Event, Status>> + Send>>;

    async fn subscribe(&self, _: Request<v1::SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        let event = v1::Event { event: Some(self.0.clone()?) };
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(event)))))
    }

    async fn vote(&self, _: Request<v1::VoteRequest>) -> Answer<v1::VoteResponse> {
        panic!("a check does not vote")
    }

    async fn block(&self, _: Request<v1::BlockRequest>) -> Answer<v1::BlockResponse> {
        panic!("a check does not block")
    }

    async fn unblock(&self, _: Request<v1::UnblockRequest>) -> Answer<v1::UnblockResponse> {
        panic!("a check does not unblock")
    }

    async fn vote_all(&self, _: Request<v1::VoteAllRequest>) -> Answer<v1::VoteAllResponse> {
        Err(Status::unimplemented("not asked here"))
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

/// A Bot API and a server, and what a check of them finds.
struct House {
    api: BotApi,
    directory: tempfile::TempDir,
}

impl House {
    /// With a server that answers as it should.
    async fn new() -> Self {
        let house = Self { api: BotApi::start().await, directory: tempfile::tempdir().expect("a directory") };
        let snapshot = Snapshot { server_version: "0.1.0".into(), ..Snapshot::default() };
        house.serve("socket", Ok(Event::Snapshot(snapshot)));
        house
    }

    /// It ends with the test's runtime.
    fn serve(&self, name: &str, answer: Result<Event, Status>) -> PathBuf {
        let path = self.directory.path().join(name);
        let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
        let service = tonic::transport::Server::builder().add_service(ApprovalsServer::new(Server(answer)));
        tokio::spawn(service.serve_with_incoming(UnixListenerStream::new(listener)));
        path
    }

    async fn check(&self, chats: &[Chat]) -> Vec<Finding> {
        self.check_at(chats, &self.directory.path().join("socket")).await
    }

    async fn check_at(&self, chats: &[Chat], socket: &Path) -> Vec<Finding> {
        check(&client(&self.api, PATIENCE), chats, socket, false).await
    }

    /// The only problem of a check.
    async fn problem(&self, chats: &[Chat]) -> String {
        only_problem(self.check(chats).await)
    }
}

fn only_problem(findings: Vec<Finding>) -> String {
    let problems: Vec<_> = findings.into_iter().filter(Finding::is_problem).collect();
    match &problems[..] {
        [Finding::Problem { what, hint }] => format!("{what}; {hint}"),
        other => panic!("not one problem: {other:?}"),
    }
}

fn chat<const N: usize>(id: i64, people: [i64; N]) -> Chat {
    Chat { id: ChatId(id), people: BTreeSet::from(people.map(UserId)), clusters: None, turn: 1 }
}

#[tokio::test]
async fn a_house_in_order_has_no_problem_and_nothing_is_sent() {
    let house = House::new().await;
    house.api.person(7);
    house.api.group(-9, "the \u{202e}house");
    let told: Vec<_> = house.check(&[chat(7, [7]), chat(-9, [7, 8])]).await;
    let good = |text: &str| Finding::Good(text.into());
    let socket = house.directory.path().join("socket");
    assert_eq!(
        told,
        [
            good(&format!("the server at {} takes this user for the channel: nightlatch 0.1.0", socket.display())),
            good(&format!("Telegram knows the token: it is that of @nightlatch_bot ({BOT})")),
            good("chat 7 is the private chat with person 7"),
            good("chat -9 is the group the \\u{202e}house"),
        ]
    );
    assert_eq!(house.api.calls("sendMessage").len(), 0);
}

#[tokio::test]
async fn a_test_message_goes_to_each_chat_that_can_be_reached() {
    let house = House::new().await;
    house.api.person(7);
    let chats = [chat(7, [7]), chat(8, [8])];
    let socket = house.directory.path().join("socket");
    let found = check(&client(&house.api, PATIENCE), &chats, &socket, true).await;
    assert!(found.contains(&Finding::Good("chat 7 got a test message".into())), "{found:?}");
    assert!(only_problem(found).starts_with("chat 8 cannot be reached"));
    assert!(house.api.messages(7)[0].plain.contains("A test: nightlatch-bot can write here"));
    assert_eq!(house.api.calls("sendMessage").len(), 1);
}

#[tokio::test]
async fn a_wrong_token_is_one_problem_and_not_one_for_each_chat() {
    let house = House::new().await;
    house.api.fail_each("*", Fault::Unauthorized);
    assert!(house.problem(&[chat(7, [7]), chat(8, [8])]).await.contains("@BotFather"));
    house.api.heal();
    house.api.fail_each("*", Fault::Page(502));
    assert!(house.problem(&[chat(7, [7]), chat(8, [8])]).await.contains("proxy"));
}

#[tokio::test]
async fn a_webhook_is_a_problem() {
    let house = House::new().await;
    house.api.person(7);
    house.api.webhook(true);
    assert!(house.problem(&[chat(7, [7])]).await.contains("webhook"));
}

#[tokio::test]
async fn a_chat_that_cannot_be_asked_is_told_with_what_to_do() {
    let house = House::new().await;
    assert!(house.problem(&[chat(7, [7])]).await.contains("open @nightlatch_bot in Telegram and press Start"));
    house.api.person(8);
    house.api.close(8, 403, "Forbidden: bot was blocked by the user");
    assert!(house.problem(&[chat(8, [8])]).await.contains("unblock"));
    assert!(house.problem(&[chat(-9, [7])]).await.contains("add @nightlatch_bot to the group"));
    house.api.group(-10, "a");
    house.api.migrate(-10, -1010);
    assert!(house.problem(&[chat(-10, [7])]).await.contains("its id is -1010 now"));
    house.api.group(-11, "b");
    house.api.fail("getChatMember", Fault::Result(serde_json::json!({"status": "left"})));
    assert!(house.problem(&[chat(-11, [7])]).await.contains("may not write in the group b"));
    house.api.fail("getChat", Fault::Result(serde_json::json!({"type": "channel", "title": "news"})));
    assert!(house.problem(&[chat(-11, [7])]).await.contains("neither a private chat nor a group"));
    assert!(house.problem(&[]).await.contains("nobody is asked"));
}

#[tokio::test]
async fn people_who_cannot_answer_are_a_problem() {
    let house = House::new().await;
    house.api.person(7);
    house.api.group(-9, "a");
    for (asked, expected) in [
        (chat(7, [8]), "others than 7"),
        (chat(7, [7, 8]), "others than 7"),
        (chat(7, []), "others than 7"),
        (chat(-9, []), "nobody may answer in chat -9"),
        (chat(-9, [7, 1_087_968_824]), "every anonymous administrator"),
    ] {
        let problem = house.problem(&[asked]).await;
        assert!(problem.contains(expected), "{problem}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_or_refuses_is_told_with_what_to_do() {
    let house = House::new().await;
    house.api.person(7);
    let missing = house.directory.path().join("none");
    let dead = house.directory.path().join("dead");
    drop(std::os::unix::net::UnixListener::bind(&dead).expect("a socket"));
    let denied = house.serve("denied", Err(Status::permission_denied("this user may not use this channel")));
    let full = house.serve("full", Err(Status::resource_exhausted("too many channels are attached")));
    let other = house.serve("other", Err(Status::unimplemented("")));
    let user = format!("this user ({})", rustix::process::geteuid().as_raw());
    for (socket, expected) in [
        (missing, "people = \"telegram\""),
        (dead, "systemctl status nightlatch"),
        (denied, user.as_str()),
        (full, "too many channels are attached"),
        (other, "something else than nightlatch"),
    ] {
        let problem = only_problem(house.check_at(&[chat(7, [7])], &socket).await);
        assert!(problem.contains(expected), "{problem}");
    }
}
