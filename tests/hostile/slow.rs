//! Slow readers and writers, in memory and with the runtime's time paused.

use std::future::pending;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

use crate::frames::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, PREFACE, RST_STREAM, Received, call,
    call_headers, frame, message, opening, reset, take,
};
use crate::house::{CP_1, House};
use nightlatch::listen::{LONGEST_WITHOUT_CALL, MAX_AGE, MAX_AGE_GRACE};
use nightlatch::wire::talos::{LONGEST_CALL, MAX_CALLS_PER_CONNECTION};

const SECOND: Duration = Duration::from_secs(1);

/// The longest that any of this may take.
const END: Duration = Duration::from_secs(600);

/// A peer of the house that can do what no client does.
struct Raw {
    stream: DuplexStream,
    began: Instant,
    unread: Vec<u8>,
}

#[expect(clippy::disallowed_methods, reason = "the runtime's time is paused")]
fn now() -> Instant {
    Instant::now()
}

impl Raw {
    /// At an address that is listed for [`CP_1`].
    async fn knock(house: &House) -> Self {
        Self { stream: house.road("192.0.2.11").connect().await, began: now(), unread: vec![] }
    }

    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next frames; none when the server hung up.
    async fn read(&mut self) -> Vec<Received> {
        let mut buffer = [0; 4096];
        loop {
            let read = self.stream.read(&mut buffer).await.unwrap_or(0);
            self.unread.extend_from_slice(&buffer[..read]);
            let frames = take(&mut self.unread);
            if read == 0 || !frames.is_empty() {
                return frames;
            }
        }
    }

    /// Reads until the server hangs up, and gives the time that took since the beginning, and what was read.
    async fn until_it_ends(&mut self) -> (Duration, Vec<Received>) {
        self.until_it_ends_while(pending()).await
    }

    /// The same while `sending` goes on.
    async fn until_it_ends_while(&mut self, sending: impl Future<Output = ()>) -> (Duration, Vec<Received>) {
        let mut heard = vec![];
        let reading = async {
            loop {
                let frames = self.read().await;
                if frames.is_empty() {
                    break;
                }
                heard.extend(frames);
            }
        };
        timeout(END, async {
            tokio::select! {
                () = reading => {}
                () = async { sending.await; pending().await } => {}
            }
        })
        .await
        .expect("the server ends it");
        (self.began.elapsed(), heard)
    }

    /// Sends these one a second, and gives the time at which the server hung up.
    async fn trickle(mut self, pieces: impl Iterator<Item = Vec<u8>>) -> Duration {
        for piece in pieces {
            if !self.send(&piece).await {
                break;
            }
            // Whatever it says is read, so that nothing but its own patience ends the connection.
            while let Ok(frames) = timeout(SECOND, self.read()).await {
                if frames.is_empty() {
                    return self.began.elapsed();
                }
            }
        }
        self.began.elapsed()
    }
}

/// `bytes` one by one, and then this again and again.
fn one_by_one(bytes: &[u8], then: Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    bytes.iter().map(|byte| vec![*byte]).collect::<Vec<_>>().into_iter().chain(std::iter::repeat(then))
}

#[track_caller]
fn assert_about(ended: Duration, expected: Duration) {
    assert!(ended >= expected && ended <= expected + SECOND, "ended after {ended:?} and not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_sent_is_enough_to_stay_without_a_call() {
    let house = House::open();
    let headers = frame(HEADERS, 0, 1, &[0; 8_000])[..9].to_vec();
    let body = [frame(HEADERS, END_HEADERS, 1, &call_headers()), frame(DATA, 0, 1, &message(CP_1, &[7; 60])[..5])];
    for (what, at_once, then) in [
        ("nothing", vec![], vec![]),
        ("the preface", vec![], PREFACE.to_vec()),
        ("pings", opening(None), frame(PING, 0, 0, &[0; 8])),
        ("headers", [opening(None), headers].concat(), vec![0]),
        ("a body", [opening(None), body.concat()].concat(), frame(DATA, 0, 1, b"x")),
    ] {
        let mut raw = Raw::knock(&house).await;
        assert!(raw.send(&at_once).await);
        let ended = if what == "the preface" {
            raw.trickle(one_by_one(&then, vec![])).await
        } else {
            raw.trickle(std::iter::repeat(then)).await
        };
        assert!(ended >= Duration::from_secs(14), "{what}");
        assert!(ended <= LONGEST_WITHOUT_CALL + SECOND, "{what}: {ended:?}");
    }
}

/// Calls that are held one after the other keep the connection, and not the body of another.
#[tokio::test(start_paused = true)]
async fn a_body_without_end_ends_although_other_calls_go_on() {
    let house = House::open();
    let mut raw = Raw::knock(&house).await;
    raw.send(&[opening(None), frame(HEADERS, END_HEADERS, 1, &call_headers())].concat()).await;
    let mut next = 3;
    let mut ended = None;
    while ended.is_none() {
        assert!(raw.began.elapsed() < 2 * LONGEST_CALL, "it goes on");
        raw.send(&[frame(DATA, 0, 1, &[0]), call(next, CP_1, &[7; 60])].concat()).await;
        next += 2;
        while let Ok(frames) = timeout(SECOND, raw.read()).await {
            let is_end = |frame: &Received| frame.kind == RST_STREAM || frame.kind == HEADERS;
            let first = frames.iter().find(|frame| frame.stream == 1 && is_end(frame));
            assert!(!frames.is_empty() && frames.iter().all(|frame| frame.kind != GOAWAY), "{frames:?}");
            if first.is_some() {
                ended = Some(raw.began.elapsed());
            }
        }
    }
    assert_about(ended.expect("it ended"), LONGEST_CALL);
}

/// The answer is there, and the peer does not let it through (a window of no bytes), or does not read at all.
#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_is_not_kept() {
    let house = House::with_rules("seal = \"allow\"\nunseal = \"allow\"");
    let mut raw = Raw::knock(&house).await;
    let blob = crate::frames::seal(1, CP_1, &[7; 32]);
    raw.send(&[opening(Some((INITIAL_WINDOW_SIZE, 0))), blob].concat()).await;
    let (ended, heard) = raw.until_it_ends().await;
    assert!(heard.iter().any(|frame| frame.kind == HEADERS), "it was answered: {heard:?}");
    assert!(heard.iter().all(|frame| frame.kind != DATA), "no byte of it may go");
    assert_about(ended, LONGEST_WITHOUT_CALL);

    let mut raw = Raw::knock(&house).await;
    raw.send(&opening(None)).await;
    // As much as cable and server take: then each waits for the other to read.
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(1_000);
    let sending = async { while raw.send(&pings).await {} };
    timeout(END, sending).await.expect("the server ends it");
    assert_about(raw.began.elapsed(), LONGEST_WITHOUT_CALL);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_always_has_a_call_is_asked_to_end_and_then_ended() {
    let house = House::open();
    let mut raw = Raw::knock(&house).await;
    raw.send(&opening(None)).await;
    let (mut asked, mut next) = (None, 1);
    loop {
        // Held for 5 s, in a bucket that gets one more each second.
        if !raw.send(&call(next, CP_1, &[7; 60])).await {
            break;
        }
        next += 2;
        let Ok(frames) = timeout(4 * SECOND, raw.read()).await else { continue };
        if frames.is_empty() {
            break;
        }
        if asked.is_none() && frames.iter().any(|frame| frame.kind == GOAWAY) {
            asked = Some(raw.began.elapsed());
        }
        assert!(raw.began.elapsed() < END, "it goes on");
    }
    assert_about(asked.expect("it is asked"), MAX_AGE);
    assert_about(raw.began.elapsed(), MAX_AGE + MAX_AGE_GRACE);
}

/// Each begun call is a task that outlives its stream: it must not outlive it by long.
#[tokio::test(start_paused = true)]
async fn calls_that_are_taken_back_end_at_once() {
    let house = House::open();
    let mut raw = Raw::knock(&house).await;
    raw.send(&opening(None)).await;
    let streams = (0..MAX_CALLS_PER_CONNECTION).map(|number| 1 + 2 * number);
    let calls: Vec<u8> = streams.clone().flat_map(|stream| call(stream, CP_1, &[7; 60])).collect();
    raw.send(&calls).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(100)).await;
    assert_eq!(house.calls.len(), streams.len(), "all are held");
    raw.send(&streams.flat_map(reset).collect::<Vec<u8>>()).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(house.calls.len(), 0, "none is left");
    raw.send(&call(1 + 2 * MAX_CALLS_PER_CONNECTION, CP_1, &[7; 60])).await;
    let answer = async {
        loop {
            let frames = raw.read().await;
            if frames.iter().any(|frame| frame.kind == HEADERS && frame.flags & END_STREAM != 0) {
                break;
            }
            assert!(!frames.is_empty(), "the connection goes on");
        }
    };
    timeout(Duration::from_secs(9), answer).await.expect("a call is answered");
}
