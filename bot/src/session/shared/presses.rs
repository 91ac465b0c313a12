//! A press on a button for all of a list, from the button to the vote and back; and "One by one".

use std::collections::BTreeMap;
use std::time::Duration;

use nightlatch_approval_api::v1;
use tonic::Status;

use crate::message::{ChatId, ChatKind, MessageId, PressId, UserId};
use crate::press::{Choice, ListChoice, ListPress, Nonce};
use crate::render::{Answer, Tally};
use crate::session::board::PostingId;
use crate::session::presses::{Obstacle, PATIENCE, Void, refused};
use crate::session::prompts::{Manner, Standing};
use crate::session::{Reply, Request, Session, Ticket};

/// A vote for all of a list that the server did not answer yet.
#[derive(Debug)]
pub(in crate::session) struct AllVote {
    pub(in crate::session) asked: Vec<Asked>,
    pub(in crate::session) from: UserId,
    choice: ListChoice,
    /// What was not asked about.
    tally: Tally,
    pub(in crate::session) is_sent: bool,
    /// Taken once they were told something.
    press: Option<PressId>,
    pub(in crate::session) since: Duration,
}

/// One ask of it.
#[derive(Debug)]
pub(in crate::session) struct Asked {
    pub(in crate::session) ask: Vec<u8>,
    prompt: Nonce,
    buttons: Nonce,
}

impl Session {
    pub(in crate::session) fn press_list(
        &mut self,
        id: PressId,
        from: UserId,
        on: Option<(ChatId, ChatKind, MessageId)>,
        press: ListPress,
    ) {
        match self.list_counts(from, on, press.nonce) {
            Err(void) => self.is_void(id, from, on, void),
            Ok(_) if self.server.here_since.is_none() => self.say(id, &Answer::ServerAway),
            Ok((posting, _)) if press.choice == ListChoice::OneByOne => self.one_by_one(id, posting),
            Ok((_, covers)) => self.vote_all(id, from, press.choice, covers),
        }
    }

    /// As for the button of one ask.
    fn list_counts(
        &mut self,
        from: UserId,
        on: Option<(ChatId, ChatKind, MessageId)>,
        nonce: Nonce,
    ) -> Result<(PostingId, Vec<(Nonce, Nonce)>), Void> {
        let (chat, kind, message) = on.ok_or(Void::Stranger)?;
        if !self.is_listed(from, chat, kind) {
            return Err(Void::Stranger);
        }
        let (posting, version) = self.lists.of_button(nonce).ok_or(Void::Unknown)?;
        let covers = version.covers.clone();
        self.is_unkept |= self.board.found(posting, chat, message);
        if self.board.place(posting) == Some((chat, message)) {
            return Ok((posting, covers));
        }
        let first = self.lists.shared.get(&posting).and_then(|shared| shared.members.first());
        Err(first.map_or(Void::Unknown, |first| Void::ElsewhereThanItsPrompt(*first)))
    }

    fn vote_all(&mut self, id: PressId, from: UserId, choice: ListChoice, covers: Vec<(Nonce, Nonce)>) {
        if self.presses.is_full() {
            return self.say(id, &Answer::ServerAway);
        }
        let asked = covers.into_iter().filter_map(|(prompt, buttons)| {
            let ask = self.prompts.get(&prompt).map(|prompt| prompt.ask.id.clone());
            Some(Asked { ask: ask?, prompt, buttons })
        });
        let (asked, since) = (asked.collect(), self.now.monotonic);
        let press = Some(id);
        let mut vote = AllVote { asked, from, choice, tally: Tally::default(), is_sent: false, press, since };
        self.leave_out(&mut vote);
        if vote.asked.is_empty() {
            return self.all_answer(&mut vote, &Answer::NothingLeft);
        }
        let verdict = if choice == ListChoice::DenyAll { v1::Verdict::Deny } else { v1::Verdict::Approve };
        tracing::info!(user = from.0, asks = vote.asked.len(), ?choice, "pressed for all");
        let ticket = self.request(Request::VoteAll(v1::VoteAllRequest {
            ask_ids: vote.ask_ids(),
            verdict: verdict.into(),
            telegram_id: Some(from.0),
            for_seconds: None,
        }));
        self.presses.all.insert(ticket, vote);
    }

    /// Takes out of the vote what is closed, or is not what that person saw.
    fn leave_out(&self, vote: &mut AllVote) {
        let AllVote { asked, tally, .. } = vote;
        asked.retain(|asked| match self.obstacle(&asked.prompt, &asked.buttons) {
            None | Some(Obstacle::ServerAway) => true,
            Some(Obstacle::Changed | Obstacle::Over(Standing::AskedAgain)) => {
                tally.left_out += 1;
                false
            }
            Some(Obstacle::Over(_)) => {
                tally.too_late += 1;
                false
            }
        });
    }

    /// Marks the vote as given, with what of it still counts. If nothing does, it is dropped, and that is said.
    pub(in crate::session) fn all_still_count(&mut self, ticket: Ticket, request: &mut v1::VoteAllRequest) -> bool {
        let Some(mut vote) = self.presses.all.remove(&ticket) else { return false };
        self.leave_out(&mut vote);
        let answer = match (vote.asked.is_empty(), self.server.here_since) {
            (true, _) => Answer::NothingLeft,
            (false, None) => Answer::ServerAway,
            (false, Some(_)) => {
                vote.is_sent = true;
                request.ask_ids = vote.ask_ids();
                self.presses.all.insert(ticket, vote);
                return true;
            }
        };
        self.all_answer(&mut vote, &answer);
        false
    }

    pub(in crate::session) fn all_answered(&mut self, mut vote: AllVote, reply: Result<Reply, Status>) {
        let response = match reply {
            Ok(Reply::VoteAll(response)) => response,
            Ok(_) => return self.all_answer(&mut vote, &Answer::Unknown),
            Err(status) => {
                tracing::warn!(user = vote.from.0, code = ?status.code(), error = %status.message(), "vote refused");
                return self.all_answer(&mut vote, &refused(&status));
            }
        };
        let mut results: BTreeMap<Vec<u8>, v1::Voted> =
            response.votes.into_iter().map(|voted| (voted.ask_id.clone(), voted)).collect();
        let choice = if vote.choice == ListChoice::DenyAll { Choice::Deny } else { Choice::Approve };
        for asked in std::mem::take(&mut vote.asked) {
            let v1::Voted { result, ask, closed, .. } = results.remove(&asked.ask).unwrap_or_default();
            let response = v1::VoteResponse { result, ask, closed };
            match response.result() {
                v1::VoteResult::Decided => vote.tally.decided += 1,
                v1::VoteResult::Counted | v1::VoteResult::Repeated => vote.tally.counted += 1,
                v1::VoteResult::NotAnApprover => vote.tally.not_theirs += 1,
                v1::VoteResult::Closed | v1::VoteResult::Unknown => vote.tally.too_late += 1,
                v1::VoteResult::Unspecified => vote.tally.left_out += 1,
            }
            self.voted(&asked.prompt, vote.from, choice, &response);
        }
        let answer = Answer::All(vote.choice, vote.tally);
        self.all_answer(&mut vote, &answer);
    }

    fn all_answer(&mut self, vote: &mut AllVote, answer: &Answer<'_>) {
        if let Some(press) = vote.press.take() {
            self.say(press, answer);
        }
    }

    /// Whoever pressed does not wait for ever: as for one ask.
    pub(in crate::session) fn all_are_due(&mut self) {
        let now = self.now.monotonic;
        let is_late = |vote: &AllVote| vote.press.is_some() && now.saturating_sub(vote.since) >= PATIENCE;
        let votes = self.presses.all.iter();
        let late: Vec<Ticket> = votes.filter(|(_, vote)| is_late(vote)).map(|(ticket, _)| *ticket).collect();
        for ticket in late {
            let Some(mut vote) = self.presses.all.remove(&ticket) else { continue };
            if vote.is_sent {
                self.all_answer(&mut vote, &Answer::NoAnswer);
                self.presses.all.insert(ticket, vote);
            } else {
                self.requests.retain(|(waiting, _)| *waiting != ticket);
                self.all_answer(&mut vote, &Answer::ServerAway);
            }
        }
    }

    pub(in crate::session) fn all_wake_at(&self) -> Option<Duration> {
        self.presses.all.values().filter(|vote| vote.press.is_some()).map(|vote| vote.since + PATIENCE).min()
    }

    /// What is open in this message is asked in messages of their own, which no other ask joins.
    fn one_by_one(&mut self, id: PressId, posting: PostingId) {
        let Some(shared) = self.lists.shared.get(&posting) else { return };
        let chat = shared.chat;
        let open: Vec<v1::Ask> = shared.open(&self.prompts).map(|(_, prompt)| prompt.ask.clone()).collect();
        self.lists.joinable.retain(|_, (joinable, _)| *joinable != posting);
        self.say(id, if open.is_empty() { &Answer::NothingLeft } else { &Answer::OneByOne });
        for ask in open {
            self.prompt_in(&ask, chat, Manner::AloneUnheard);
        }
    }
}

impl AllVote {
    fn ask_ids(&self) -> Vec<Vec<u8>> {
        self.asked.iter().map(|asked| asked.ask.clone()).collect()
    }
}
