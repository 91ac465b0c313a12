//! Floods of frames that cost the sender little, frames that lie, and frames that no client sends.

use std::iter::repeat_n;
use std::net::Ipv4Addr;

use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    call, call_headers, frame, header, message, opening, reset,
};
use crate::installation::WORKER_2;
use crate::target::{Heard, MOST_GROWTH, Target, throw};

const MANY: usize = 20_000;

/// Not the address of the node that behaves.
const FLOODER: Ipv4Addr = Ipv4Addr::new(127, 0, 7, 7);

/// Throws `pieces` at the server ten times, while a node calls, and once more after that.
async fn survives(pieces: impl Fn() -> Vec<Vec<u8>> + Send + Clone + 'static) -> Heard {
    survives_at(Target::start(), pieces).await
}

async fn survives_at(target: Target, pieces: impl Fn() -> Vec<Vec<u8>> + Send + Clone + 'static) -> Heard {
    target.assert_serves().await;
    let before = target.resident();
    let mut last = Heard::default();
    for _ in 0..10 {
        let (mut connection, pieces) = (target.connect(FLOODER), pieces.clone());
        let flood = tokio::task::spawn_blocking(move || {
            throw(&mut *connection, std::iter::once(opening(None)).chain(pieces()))
        });
        target.assert_serves().await;
        last = flood.await.expect("no panic");
    }
    target.assert_serves().await;
    let grown = target.resident().saturating_sub(before);
    assert!(grown <= MOST_GROWTH, "the server grew by {grown} KiB");
    last
}

/// The same frame again and again, in pieces of a hundred.
fn flood(one: &[u8]) -> Vec<Vec<u8>> {
    vec![one.repeat(100); MANY / 100]
}

/// Frames of one stream after the other.
fn streams(count: u32, of_stream: impl Fn(u32) -> Vec<u8>) -> Vec<Vec<u8>> {
    (0..count).map(|number| of_stream(1 + 2 * number)).collect()
}

/// CVE-2023-44487: each stream is begun and taken back, so that no limit of open streams is reached.
#[tokio::test]
async fn streams_that_are_taken_back_at_once() {
    for target in [Target::start(), Target::start_encrypted()] {
        let heard = survives_at(target, || {
            let all = streams(2_000, |stream| [call(stream, WORKER_2, &[7; 60]), reset(stream)].concat());
            vec![all.concat()]
        })
        .await;
        assert!(heard.is_cut(), "{:?}", heard.frames.last());
    }
}

#[tokio::test]
async fn headers_alone_that_are_taken_back_at_once() {
    let heard = survives(|| {
        let headers = |stream| frame(HEADERS, END_HEADERS, stream, &call_headers());
        vec![streams(2_000, |stream| [headers(stream), reset(stream)].concat()).concat()]
    })
    .await;
    assert!(heard.is_cut(), "{:?}", heard.frames.last());
}

#[tokio::test]
async fn settings_and_pings_that_want_an_answer_each() {
    let answered = |heard: &Heard, kind| heard.frames.iter().filter(|frame| frame.kind == kind).count();
    for start in [Target::start, Target::start_encrypted] {
        let heard = survives_at(start(), || flood(&frame(SETTINGS, 0, 0, &[]))).await;
        assert!(answered(&heard, SETTINGS) > MANY);
        let heard = survives_at(start(), || flood(&frame(PING, 0, 0, b"answer!!"))).await;
        assert!(answered(&heard, PING) > MANY);
    }
}

#[tokio::test]
async fn priorities_windows_and_unknown_frames() {
    survives(|| flood(&frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 7]))).await;
    survives(|| flood(&frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()))).await;
    survives(|| flood(&frame(0xEE, 0, 0, b"what is this"))).await;
}

#[tokio::test]
async fn data_without_data() {
    let heard = survives(|| {
        let mut pieces = vec![frame(HEADERS, END_HEADERS, 1, &call_headers())];
        pieces.extend(flood(&frame(DATA, 0, 1, &[])));
        pieces
    })
    .await;
    assert!(heard.is_cut(), "{:?}", heard.frames.last());
}

/// CVE-2024-27316: headers that never end.
#[tokio::test]
async fn continuations_without_end() {
    for length in [0, 1, 16 * 1024] {
        let heard = survives(move || {
            let filler = vec![0; length];
            let mut pieces = vec![frame(HEADERS, 0, 1, &call_headers())];
            pieces.extend(repeat_n(frame(CONTINUATION, 0, 1, &filler), MANY.min(16 * 1024 * 1024 / (length + 9))));
            pieces
        })
        .await;
        assert!(heard.is_cut(), "{length}: {:?}", heard.frames.last());
    }
}

/// A header is remembered once and named again and again: a few bytes that stand for megabytes.
#[tokio::test]
async fn headers_that_unfold() {
    survives(|| {
        let name = header("x", &"y".repeat(4_000));
        // With incremental indexing (RFC 7541, 6.2.1), then the first entry of the dynamic table (6.1).
        let remembered = [&[0x40], &name[1..]].concat();
        let block = [call_headers(), remembered, vec![0x80 | 62; 8_000]].concat();
        streams(100, |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &block))
    })
    .await;
}

#[tokio::test]
async fn more_streams_than_there_may_be() {
    let heard = survives(|| {
        let all = streams(500, |stream| frame(HEADERS, END_HEADERS, stream, &call_headers()));
        vec![all.concat()]
    })
    .await;
    let refused = heard.frames.iter().filter(|frame| frame.kind == RST_STREAM).count();
    assert!(refused >= 32 || heard.is_cut(), "{refused} of 500 were refused");
}

#[tokio::test]
async fn messages_that_lie() {
    let answers = |flag: u8, length: u32| {
        move || {
            let mut body = message(WORKER_2, &[7; 60]);
            body[0] = flag;
            body[1..5].copy_from_slice(&length.to_be_bytes());
            let headers = |stream| frame(HEADERS, END_HEADERS, stream, &call_headers());
            streams(8, |stream| [headers(stream), frame(DATA, END_STREAM, stream, &body)].concat())
        }
    };
    // Longer than it is, longer than may be, shorter, compressed by nothing, and a flag that does not exist.
    for (flag, length) in [(0, 1_000), (0, u32::MAX), (0, 5), (1, 100), (7, 100)] {
        survives(answers(flag, length)).await;
    }
}

#[tokio::test]
async fn frames_that_no_client_sends() {
    let headers = |stream| frame(HEADERS, END_HEADERS, stream, &call_headers());
    for pieces in [
        // A stream of the server's; streams that go back; a reset and data for what was never begun.
        vec![headers(2)],
        vec![headers(5), headers(3)],
        vec![reset(9)],
        vec![frame(DATA, 0, 9, b"x")],
        // A push; an answer to settings that were not sent; windows that overflow, and that do not grow.
        vec![frame(5, END_HEADERS, 1, &[0, 0, 0, 2])],
        vec![frame(SETTINGS, ACK, 0, &[]), frame(SETTINGS, ACK, 0, &[])],
        vec![frame(WINDOW_UPDATE, 0, 0, &0x7FFF_FFFF_u32.to_be_bytes())],
        vec![frame(WINDOW_UPDATE, 0, 0, &[0; 4])],
        // Something else where only a continuation may stand; headers that are none.
        vec![frame(HEADERS, 0, 1, &call_headers()), frame(PING, 0, 0, &[0; 8])],
        vec![frame(HEADERS, END_HEADERS, 1, &[0xFF; 64])],
    ] {
        let what = format!("{pieces:?}");
        let heard = survives(move || pieces.clone()).await;
        assert!(heard.is_cut(), "{what}: {:?}", heard.frames);
    }
}
