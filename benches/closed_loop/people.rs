//! Alice, who approves whatever is asked, and calls that are made once for each node.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use nightlatch::wire::stubs::Request;
use nightlatch_approval_api::v1::{Ask, SubscribeRequest, Verdict, VoteRequest, event};
use nightlatch_benches::{SECRET_LEN, uuid};
use tokio::task::JoinSet;

use crate::load::Target;

/// Calls that are made at once when nothing is measured.
const AT_ONCE: usize = 32;

/// Runs `future` by itself.
pub fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Lets each of `nodes` nodes unseal once, for which Alice approves them. Their grants are live then.
pub async fn approve_each(socket: &Path, target: &Target, nodes: usize) -> Result<()> {
    let mut alice = nightlatch_approval_api::connect(socket);
    let mut events = alice.subscribe(SubscribeRequest {}).await?.into_inner();
    let approving = async {
        while let Some(event) = events.message().await? {
            let asks: Vec<Ask> = match event.event {
                Some(event::Event::Snapshot(snapshot)) => snapshot.asks,
                Some(event::Event::Opened(ask)) => vec![ask],
                _ => vec![],
            };
            for ask in asks {
                let vote = VoteRequest {
                    ask_id: ask.id,
                    verdict: Verdict::Approve.into(),
                    telegram_id: None,
                    for_seconds: None,
                };
                alice.vote(vote).await?;
            }
        }
        Err(anyhow!("the channel ended"))
    };
    let calling = each(target, nodes, |target, node| {
        let target = target.clone();
        async move {
            let request = target.unseal(node)?;
            let answer = target.connect(None).await?.unseal(request).await?;
            Ok(answer.into_inner().data)
        }
    });
    tokio::select! {
        ended = approving => ended,
        called = calling => called.map(|_| ()),
    }
}

/// Lets each of `nodes` nodes seal a secret; returns the blobs.
pub async fn seal_each(target: &Target, nodes: usize) -> Result<Arc<[Vec<u8>]>> {
    let blobs = each(target, nodes, |target, node| {
        let target = target.clone();
        async move {
            let request = Request { node_uuid: uuid(node), data: vec![0x5A; SECRET_LEN] };
            let answer = target.connect(None).await?.seal(request).await?;
            Ok(answer.into_inner().data)
        }
    });
    blobs.await
}

/// What `call` returns for each node, in their order.
async fn each<C, F>(target: &Target, nodes: usize, call: C) -> Result<Arc<[Vec<u8>]>>
where
    C: Fn(&Target, usize) -> F,
    F: Future<Output = Result<Vec<u8>>> + Send + 'static,
{
    let (mut calls, mut answers) = (JoinSet::new(), vec![]);
    for node in 0..nodes {
        if calls.len() >= AT_ONCE
            && let Some(answered) = calls.join_next().await
        {
            answers.push(answered??);
        }
        let called = call(target, node);
        calls.spawn(async move { Ok::<_, anyhow::Error>((node, called.await?)) });
    }
    while let Some(answered) = calls.join_next().await {
        answers.push(answered??);
    }
    answers.sort_unstable();
    Ok(answers.into_iter().map(|(_, data)| data).collect())
}
