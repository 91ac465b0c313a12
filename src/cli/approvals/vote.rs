//! One answer to one ask, and blocks of whole nodes.

use std::time::Duration;

use nightlatch_approval_api::v1;
use serde_json::json;

use super::{json, text};
use crate::cli::channel::json::hex;
use crate::cli::channel::text::{lock as locked, name, printable, refusal as refused};
use crate::cli::channel::{Session, whole_seconds};
use crate::cli::{Failure, exit};

pub(super) async fn by_code(
    session: &mut Session,
    code: &str,
    verdict: v1::Verdict,
    lasts: Option<Duration>,
) -> Result<(), Failure> {
    let snapshot = session.snapshot().await?;
    match find(&snapshot, code)? {
        Some(ask) => on(session, ask, &snapshot, verdict, lasts).await,
        None => match &snapshot.lock {
            Some(lock) => {
                session.print(|now| locked(lock, now), || json!({ "event": "locked" }))?;
                Err(Failure::already_told(exit::DECLINED))
            }
            None => Err(no_such_code(code)),
        },
    }
}

/// Refuses a node, or the node of an ask at its origin.
pub(super) async fn block(session: &mut Session, target: &str, lasts: Option<Duration>) -> Result<(), Failure> {
    let snapshot = session.snapshot().await?;
    if let Some(ask) = find(&snapshot, target)? {
        return on(session, ask, &snapshot, v1::Verdict::Block, lasts).await;
    }
    let request =
        v1::BlockRequest { node: target.to_owned(), telegram_id: None, for_seconds: lasts.map(whole_seconds) };
    let answered = session.client.block(request).await;
    let refusal = session.answer(answered)?.refusal.unwrap_or_default();
    session.print(|now| refused(&refusal, now), || json::refusal(&refusal))
}

pub(super) async fn unblock(session: &mut Session, node: String) -> Result<(), Failure> {
    let answered = session.client.unblock(v1::UnblockRequest { node, telegram_id: None }).await;
    let ended = session.answer(answered)?.ended;
    session.print(|_| text::unblocked(ended), || json::unblocked(ended))
}

/// The ask with this code or id: an open one, or one that was closed a while ago, so that a late answer is told how.
///
/// # Errors
/// When two open ones have this code: only their ids tell them apart.
fn find<'a>(snapshot: &'a v1::Snapshot, code: &str) -> Result<Option<&'a v1::Ask>, Failure> {
    let code = code.trim();
    let is_meant = |ask: &&v1::Ask| ask.code.eq_ignore_ascii_case(code) || hex(&ask.id).eq_ignore_ascii_case(code);
    let open: Vec<_> = snapshot.asks.iter().chain(&snapshot.enrolments).filter(is_meant).collect();
    match open.as_slice() {
        [] => Ok(snapshot.closed.iter().rev().filter_map(|closed| closed.ask.as_ref()).find(is_meant)),
        [only] => Ok(Some(only)),
        several => {
            let ids: Vec<_> =
                several.iter().map(|ask| format!("{} for {}", hex(&ask.id), name(ask.node.as_ref()))).collect();
            Err(Failure::new(exit::DATA, format!("more than one has the code {}", printable(code)))
                .hint(format!("give the id instead of the code: {}", ids.join(", or "))))
        }
    }
}

async fn on(
    session: &mut Session,
    ask: &v1::Ask,
    snapshot: &v1::Snapshot,
    verdict: v1::Verdict,
    lasts: Option<Duration>,
) -> Result<(), Failure> {
    let is_over = !snapshot.grants.iter().any(|grant| grant.ask_id == ask.id);
    let request = v1::VoteRequest {
        ask_id: ask.id.clone(),
        verdict: verdict.into(),
        telegram_id: None,
        for_seconds: lasts.map(whole_seconds),
    };
    let answered = session.client.vote(request).await;
    let response = session.answer(answered)?;
    match response.result() {
        v1::VoteResult::NotAnApprover => {
            Err(Failure::new(exit::NO_PERMISSION, format!("you are no approver of {}", name(ask.node.as_ref())))
                .hint("the configuration lists the approvers of each node; nothing was changed"))
        }
        v1::VoteResult::Unknown | v1::VoteResult::Unspecified => Err(no_such_code(&ask.code)),
        result => {
            session.print(|now| text::vote(&response, is_over, now), || json::vote(&response))?;
            if result == v1::VoteResult::Closed && is_over && verdict == v1::Verdict::Approve {
                return Err(Failure::already_told(exit::DECLINED));
            }
            conclusion(verdict, result, response.closed.as_ref())
        }
    }
}

/// With which code a script is told whether what it wanted holds now.
pub(super) fn conclusion(
    verdict: v1::Verdict,
    result: v1::VoteResult,
    closed: Option<&v1::Closed>,
) -> Result<(), Failure> {
    let outcome = closed.map(v1::Closed::outcome);
    let is_so = match verdict {
        v1::Verdict::Approve => outcome == Some(v1::Outcome::Approved),
        v1::Verdict::Deny => matches!(outcome, Some(v1::Outcome::Denied | v1::Outcome::Blocked)),
        v1::Verdict::Block => outcome == Some(v1::Outcome::Blocked),
        v1::Verdict::Unspecified => false,
    };
    match result {
        v1::VoteResult::Decided => Ok(()),
        v1::VoteResult::Closed if is_so => Ok(()),
        v1::VoteResult::Counted | v1::VoteResult::Repeated => Err(Failure::already_told(exit::UNFINISHED)),
        _ => Err(Failure::already_told(exit::DECLINED)),
    }
}

fn no_such_code(code: &str) -> Failure {
    Failure::new(exit::DATA, format!("no open ask has the code {}", printable(code))).hint(
        "nightlatch approvals lists what is open; an ask that was answered or forgotten is asked again by the node",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(id: u8, code: &str) -> v1::Ask {
        v1::Ask { id: vec![id; 16], code: code.to_owned(), ..v1::Ask::default() }
    }

    #[test]
    fn a_code_of_two_asks_names_none_and_their_ids_do() {
        let snapshot = v1::Snapshot {
            asks: vec![ask(1, "K7Q2")],
            enrolments: vec![ask(2, "K7Q2"), ask(3, "M3PX")],
            ..v1::Snapshot::default()
        };
        let failure = find(&snapshot, "k7q2").expect_err("either could be meant");
        assert!(failure.to_string().contains(&"02".repeat(16)), "{failure}");
        let found = |code: &str| find(&snapshot, code).ok().flatten().map(|ask| ask.id.clone());
        assert_eq!(found(&"02".repeat(16)), Some(vec![2; 16]));
        assert_eq!(found(" m3px "), Some(vec![3; 16]));
        assert_eq!(found(""), None);
    }

    #[test]
    fn a_script_knows_by_the_code_whether_its_answer_holds() {
        let closed = |outcome: v1::Outcome| v1::Closed { outcome: outcome.into(), ..v1::Closed::default() };
        let code = |result, outcome| {
            let ended = conclusion(v1::Verdict::Approve, result, Some(&closed(outcome)));
            ended.map_or_else(|failure| failure.code(), |()| 0)
        };
        assert_eq!(code(v1::VoteResult::Decided, v1::Outcome::Approved), 0);
        assert_eq!(code(v1::VoteResult::Counted, v1::Outcome::Unspecified), exit::UNFINISHED);
        assert_eq!(code(v1::VoteResult::Closed, v1::Outcome::Approved), 0, "somebody else was first");
        assert_eq!(code(v1::VoteResult::Closed, v1::Outcome::Denied), exit::DECLINED);
        assert_eq!(code(v1::VoteResult::Closed, v1::Outcome::Locked), exit::DECLINED);
    }
}
