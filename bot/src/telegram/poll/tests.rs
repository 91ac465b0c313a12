use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::message::{ChatId, ChatKind, UserId};

/// Answers as a test wrote them down, each after a while, and then none any more.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<(Duration, Answer)>>,
    asked: Mutex<Vec<(Question, Instant)>>,
    open: Arc<AtomicBool>,
}

/// Says when a question is over, also when it was given up.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Source for Script {
    async fn updates(&self, question: Question) -> Answer {
        assert!(!self.open.swap(true, Ordering::SeqCst), "two questions at once");
        let _over = Over(Arc::clone(&self.open));
        self.asked.lock().unwrap().push((question, now()));
        let next = self.answers.lock().unwrap().pop_front();
        match next {
            Some((after, answer)) => {
                tokio::time::sleep(after).await;
                answer
            }
            None => std::future::pending().await,
        }
    }
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Self::slow(answers.into_iter().map(|answer| (Duration::ZERO, answer)))
    }

    fn slow(answers: impl IntoIterator<Item = (Duration, Answer)>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    fn offsets(&self) -> Vec<Option<i64>> {
        self.asked.lock().unwrap().iter().map(|(question, _)| question.offset).collect()
    }

    fn last(&self) -> Question {
        self.asked.lock().unwrap().last().expect("a question").0
    }

    /// How long it was between one question and the next.
    fn gaps(&self) -> Vec<Duration> {
        self.asked.lock().unwrap().windows(2).map(|pair| pair[1].1 - pair[0].1).collect()
    }
}

fn poll(script: &Arc<Script>) -> Poll<Script> {
    Poll::new(Arc::clone(script), || 0)
}

fn said(id: i64) -> Incoming {
    Incoming::Text { from: Some(UserId(7)), chat: ChatId(7), kind: ChatKind::Private, text: id.to_string() }
}

fn updates(ids: impl IntoIterator<Item = i64>) -> Answer {
    Ok(ids.into_iter().map(|id| Update { id, incoming: Some(said(id)) }).collect())
}

fn handed(ids: impl IntoIterator<Item = i64>) -> Polled {
    Polled::Updates(ids.into_iter().map(said).collect())
}

fn away() -> Failure {
    Failure::Away("x".into())
}

fn seconds(seconds: impl IntoIterator<Item = u64>) -> Vec<Duration> {
    seconds.into_iter().map(Duration::from_secs).collect()
}

/// What comes next. Time stands still but for what is waited for, so that a week is long enough and soon over.
async fn next(poll: &mut Poll<Script>) -> Polled {
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    tokio::time::timeout(week, poll.next()).await.expect("something comes")
}

/// What the next `count` failures say: lasting, and when it is tried again, in seconds.
async fn failures(poll: &mut Poll<Script>, count: usize) -> Vec<(u64, u64)> {
    let mut told = Vec::new();
    for _ in 0..count {
        match next(poll).await {
            Polled::Failed { lasting, retry_in, .. } => told.push((lasting.as_secs(), retry_in.as_secs())),
            other => panic!("no failure: {other:?}"),
        }
    }
    told
}

/// Lets time go by without taking anything.
async fn nothing_within(poll: &mut Poll<Script>, time: Duration) {
    let polled = tokio::time::timeout(time, poll.next()).await;
    assert!(polled.is_err(), "{polled:?}");
}

#[tokio::test(start_paused = true)]
async fn updates_are_confirmed_by_the_question_after_they_were_taken() {
    let script = Script::new([updates([10, 11]), updates([12])]);
    let mut poll = poll(&script);
    assert_eq!(next(&mut poll).await, handed([10, 11]));
    assert_eq!(script.offsets(), [None]);
    assert_eq!(next(&mut poll).await, handed([12]));
    assert_eq!(script.offsets(), [None, Some(12)]);
}

#[tokio::test(start_paused = true)]
async fn each_question_asks_as_the_specification_says() {
    let script = Script::new([updates([1])]);
    let mut poll = poll(&script);
    next(&mut poll).await;
    nothing_within(&mut poll, Duration::from_secs(1)).await;
    assert_eq!(script.last(), Question { offset: Some(2), limit: 32, timeout: Duration::from_secs(25) });
}

#[tokio::test(start_paused = true)]
async fn a_question_stays_open_when_nobody_waits_for_it() {
    let script = Script::slow([(Duration::from_secs(20), updates([1]))]);
    let mut poll = poll(&script);
    for _ in 0..10 {
        nothing_within(&mut poll, Duration::from_secs(1)).await;
    }
    assert_eq!(next(&mut poll).await, handed([1]));
    assert_eq!(script.offsets(), [None]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_not_begun_anew_when_nobody_waits_for_it() {
    let script = Script::new([Err(Failure::Token), updates([1])]);
    let mut poll = poll(&script);
    failures(&mut poll, 1).await;
    for _ in 0..63 {
        nothing_within(&mut poll, Duration::from_secs(1)).await;
    }
    assert_eq!(next(&mut poll).await, Polled::Recovered { after: Duration::from_secs(64) });
    assert_eq!(script.gaps(), seconds([64]));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_poll_gives_the_question_up() {
    let script = Script::new([]);
    let mut poll = poll(&script);
    nothing_within(&mut poll, Duration::from_secs(1)).await;
    assert!(script.open.load(Ordering::SeqCst));
    drop(poll);
    assert!(!script.open.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn what_comes_twice_is_handed_out_once() {
    let script = Script::new([updates([1, 2, 2]), updates([2, 3]), updates([3, 1]), updates([4])]);
    let mut poll = poll(&script);
    assert_eq!(next(&mut poll).await, handed([1, 2]));
    assert_eq!(next(&mut poll).await, handed([3]));
    assert_eq!(next(&mut poll).await, handed([4]));
    assert_eq!(script.offsets(), [None, Some(3), Some(4), Some(4)]);
}

#[tokio::test(start_paused = true)]
async fn numbers_out_of_order_are_all_confirmed() {
    let script = Script::new([updates([5, 3, 4])]);
    let mut poll = poll(&script);
    assert_eq!(next(&mut poll).await, handed([5, 3, 4]));
    nothing_within(&mut poll, Duration::from_secs(1)).await;
    assert_eq!(script.last().offset, Some(6));
}

#[tokio::test(start_paused = true)]
async fn a_number_that_comes_again_with_something_else_is_another_update() {
    let other = Ok(vec![Update { id: 1, incoming: Some(said(99)) }]);
    let script = Script::new([updates([1]), other]);
    let mut poll = poll(&script);
    assert_eq!(next(&mut poll).await, handed([1]));
    assert_eq!(next(&mut poll).await, handed([99]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lost_what_it_knew_is_heard_again() {
    let script = Script::new([updates([900]), Err(away()), updates([3]), updates([4])]);
    let mut poll = poll(&script);
    assert_eq!(next(&mut poll).await, handed([900]));
    failures(&mut poll, 1).await;
    assert!(matches!(next(&mut poll).await, Polled::Recovered { .. }));
    assert_eq!(next(&mut poll).await, handed([3]));
    assert_eq!(next(&mut poll).await, handed([4]));
    assert_eq!(script.offsets(), [None, Some(901), None, Some(4)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_before_an_outage_is_not_handed_out_again() {
    let script = Script::new([updates(1..=32), Err(away()), updates([1]), updates(2..=33)]);
    let mut poll = poll(&script);
    assert_eq!(next(&mut poll).await, handed(1..=32));
    failures(&mut poll, 1).await;
    assert!(matches!(next(&mut poll).await, Polled::Recovered { .. }));
    assert_eq!(next(&mut poll).await, handed([33]));
}

#[tokio::test(start_paused = true)]
async fn numbers_may_begin_anew_below_those_before() {
    let script = Script::new([updates([900]), updates([5]), updates([6])]);
    let mut poll = poll(&script);
    for id in [900, 5, 6] {
        assert_eq!(next(&mut poll).await, handed([id]));
    }
    assert_eq!(script.offsets(), [None, Some(901), Some(6)]);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_says_nothing_is_confirmed_too() {
    let script = Script::new([Ok(vec![Update { id: i64::MAX, incoming: None }])]);
    let mut poll = poll(&script);
    nothing_within(&mut poll, Duration::from_secs(2)).await;
    assert_eq!(script.offsets(), [None, Some(i64::MAX)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_at_once_with_nothing_new_is_not_asked_without_a_pause() {
    let script = Script::new([updates([1]), updates([1]), Ok(Vec::new()), Ok(Vec::new()), updates([2])]);
    let mut poll = poll(&script);
    assert_eq!(next(&mut poll).await, handed([1]));
    assert_eq!(next(&mut poll).await, handed([2]));
    assert_eq!(script.gaps(), seconds([0, 1, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn waits_double_from_one_second_to_sixty_four_and_begin_anew() {
    let script = Script::new(std::iter::repeat_n(Err(away()), 9).chain([updates([1]), Err(away())]));
    let mut poll = poll(&script);
    let expected = [(0, 1), (1, 2), (3, 4), (7, 8), (15, 16), (31, 32), (63, 64), (127, 64), (191, 64)];
    assert_eq!(failures(&mut poll, 9).await, expected);
    assert_eq!(next(&mut poll).await, Polled::Recovered { after: Duration::from_secs(255) });
    assert_eq!(next(&mut poll).await, handed([1]));
    assert_eq!(failures(&mut poll, 1).await, [(0, 1)]);
    assert_eq!(script.gaps()[..9], seconds([1, 2, 4, 8, 16, 32, 64, 64, 64]));
}

#[tokio::test(start_paused = true)]
async fn the_first_question_after_a_failure_waits_for_nothing_and_wants_one_update() {
    let script = Script::new([Err(away()), Ok(Vec::new())]);
    let mut poll = poll(&script);
    failures(&mut poll, 1).await;
    assert_eq!(next(&mut poll).await, Polled::Recovered { after: Duration::from_secs(1) });
    assert_eq!(script.last(), Question { offset: None, limit: 1, timeout: Duration::ZERO });
    nothing_within(&mut poll, Duration::from_secs(2)).await;
    assert_eq!(script.last(), Question { offset: None, limit: 32, timeout: Duration::from_secs(25) });
}

#[tokio::test(start_paused = true)]
async fn what_recovery_brought_is_confirmed_only_when_it_was_taken() {
    let script = Script::new([Err(away()), updates([1]), updates([2])]);
    let mut poll = poll(&script);
    failures(&mut poll, 1).await;
    assert!(matches!(next(&mut poll).await, Polled::Recovered { .. }));
    assert_eq!(next(&mut poll).await, handed([1]));
    assert_eq!(script.offsets(), [None, None]);
    assert_eq!(next(&mut poll).await, handed([2]));
    assert_eq!(script.offsets(), [None, None, Some(2)]);
}

#[tokio::test(start_paused = true)]
async fn what_telegram_asks_to_wait_is_waited_an_hour_at_most() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let script = Script::new([
        Err(Failure::Wait(Duration::from_secs(17))),
        Err(Failure::Wait(hours(24))),
        Err(Failure::Wait(Duration::ZERO)),
    ]);
    let told = failures(&mut poll(&script), 3).await;
    assert_eq!(told.into_iter().map(|(_, retry_in)| retry_in).collect::<Vec<_>>(), [17, 3600, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_tried_slowly() {
    let script = Script::new([Err(Failure::Token), Err(Failure::Token), Ok(Vec::new())]);
    let mut poll = poll(&script);
    assert_eq!(failures(&mut poll, 2).await, [(0, 64), (64, 64)]);
    assert!(matches!(next(&mut poll).await, Polled::Recovered { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_second_program_is_told_each_time_with_how_long_it_polls_already() {
    let script = Script::new(std::iter::repeat_n(Err(Failure::Conflict), 4));
    assert_eq!(failures(&mut poll(&script), 4).await, [(0, 5), (5, 5), (10, 5), (15, 5)]);
    assert_eq!(script.last().limit, 32, "Telegram is not away");
}

#[tokio::test(start_paused = true)]
async fn answers_and_outages_in_between_do_not_hide_a_second_program() {
    let script = Script::new([
        Err(Failure::Conflict),
        updates([1]),
        Err(Failure::Conflict),
        Err(away()),
        updates([2]),
        Err(Failure::Conflict),
    ]);
    let mut poll = poll(&script);
    assert_eq!(failures(&mut poll, 1).await, [(0, 5)]);
    assert_eq!(next(&mut poll).await, handed([1]));
    assert_eq!(failures(&mut poll, 2).await, [(5, 5), (0, 1)]);
    assert_eq!(next(&mut poll).await, handed([2]));
    assert_eq!(failures(&mut poll, 1).await, [(11, 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_second_program_is_gone_when_it_was_not_heard_for_two_minutes() {
    let empty = || (Duration::from_secs(25), Ok(Vec::new()));
    let script = Script::slow(
        [(Duration::ZERO, Err(Failure::Conflict))]
            .into_iter()
            .chain(std::iter::repeat_with(empty).take(5))
            .chain([(Duration::ZERO, Err(Failure::Conflict))]),
    );
    let mut poll = poll(&script);
    assert_eq!(failures(&mut poll, 1).await, [(0, 5)]);
    assert_eq!(next(&mut poll).await, Polled::Recovered { after: Duration::from_secs(130) });
    assert_eq!(failures(&mut poll, 1).await, [(0, 5)]);
}

#[test]
fn jitter_only_makes_waits_longer() {
    let day = Duration::from_secs(24 * 60 * 60);
    for failure in
        [away(), Failure::Token, Failure::Conflict, Failure::Wait(Duration::from_secs(3)), Failure::Wait(day)]
    {
        for failures in [0, 1, 2, 7, u32::MAX] {
            let least = wait(&failure, failures, 0);
            let waits: Vec<_> = (0..=255).map(|jitter| wait(&failure, failures, jitter)).collect();
            assert!(waits.is_sorted() && waits[0] == least && waits[255] > least, "{failure:?}");
            assert!(waits[255] <= least + least / 4 && waits[255] <= least + Duration::from_secs(16), "{failure:?}");
        }
    }
    assert_eq!(wait(&Failure::Wait(Duration::from_secs(3)), 1, 0), Duration::from_secs(3));
}
