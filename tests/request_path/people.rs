//! A person at the channel's socket.

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::approvals_client::ApprovalsClient;
use nightlatch_approval_api::v1::event::Event;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub struct Person {
    client: ApprovalsClient<Channel>,
    events: Option<Streaming<v1::Event>>,
    /// Every ask that was announced to this person as new.
    pub prompts: Vec<v1::Ask>,
    pub releases: Vec<v1::Release>,
    pub notices: Vec<v1::Notice>,
}

impl Person {
    pub fn new(client: ApprovalsClient<Channel>) -> Self {
        Self { client, events: None, prompts: vec![], releases: vec![], notices: vec![] }
    }

    /// Begins to listen, and gives what is open.
    pub async fn listen(&mut self) -> Result<v1::Snapshot, Status> {
        let mut events = self.client.subscribe(v1::SubscribeRequest {}).await?.into_inner();
        let first = events.message().await?.and_then(|event| event.event);
        self.events = Some(events);
        match first {
            Some(Event::Snapshot(snapshot)) => Ok(snapshot),
            other => panic!("expected a snapshot, got {other:?}"),
        }
    }

    /// Waits for the next event.
    pub async fn next(&mut self) -> Event {
        let events = self.events.as_mut().expect("listen first");
        let event =
            events.message().await.expect("the stream goes on").and_then(|event| event.event).expect("an event");
        match &event {
            Event::Opened(ask) => self.prompts.push(ask.clone()),
            Event::Release(release) => self.releases.push(release.clone()),
            Event::Notice(notice) => self.notices.push(notice.clone()),
            _ => {}
        }
        event
    }

    /// Waits until something new is asked.
    pub async fn asked(&mut self) -> v1::Ask {
        loop {
            if let Event::Opened(ask) = self.next().await {
                return ask;
            }
        }
    }

    /// Takes in all that was said while nobody listened.
    pub async fn catch_up(&mut self) {
        while let Ok(_event) = tokio::time::timeout(std::time::Duration::from_millis(1), self.next()).await {}
    }

    pub async fn vote(&mut self, ask: &v1::Ask, verdict: v1::Verdict) -> Result<v1::VoteResponse, Status> {
        let request =
            v1::VoteRequest { ask_id: ask.id.clone(), verdict: verdict.into(), telegram_id: None, for_seconds: None };
        Ok(self.client.vote(request).await?.into_inner())
    }

    pub async fn approve(&mut self, ask: &v1::Ask) -> v1::VoteResult {
        self.vote(ask, v1::Verdict::Approve).await.expect("the vote is taken").result()
    }

    pub async fn deny(&mut self, ask: &v1::Ask) -> v1::VoteResult {
        self.vote(ask, v1::Verdict::Deny).await.expect("the vote is taken").result()
    }

    pub async fn block_node(&mut self, node: &str) -> Result<(), Status> {
        let request = v1::BlockRequest { node: node.to_owned(), telegram_id: None, for_seconds: None };
        self.client.block(request).await.map(drop)
    }

    pub async fn unblock(&mut self, node: &str) -> Result<u32, Status> {
        let request = v1::UnblockRequest { node: node.to_owned(), telegram_id: None };
        Ok(self.client.unblock(request).await?.into_inner().ended)
    }
}
