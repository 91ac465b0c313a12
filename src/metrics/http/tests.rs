//! Peers of the socket for metrics, in memory and in paused time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::*;

#[expect(clippy::disallowed_methods, reason = "the runtime's time is paused")]
fn now() -> Instant {
    Instant::now()
}

/// A socket in memory.
struct Door(mpsc::Receiver<DuplexStream>);

impl Listener for Door {
    type Io = DuplexStream;
    type Addr = ();

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(DuplexStream, ())>> {
        self.0.poll_recv(cx).map(|io| io.map(|io| (io, ())).ok_or_else(|| io::Error::other("closed")))
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A server whose text is its only line, and how often that was asked for.
struct Served {
    door: mpsc::Sender<DuplexStream>,
    asked: Arc<AtomicUsize>,
    _serving: JoinSet<Infallible>,
}

impl Served {
    fn new() -> Self {
        let (door, arrivals) = mpsc::channel(64);
        let asked = Arc::<AtomicUsize>::default();
        let text = {
            let asked = Arc::clone(&asked);
            move || {
                assert!(asked.fetch_add(1, Ordering::Relaxed) != 3, "the fourth time, on purpose");
                "# EOF\n".to_owned()
            }
        };
        let mut serving = JoinSet::new();
        serving.spawn(serve(Door(arrivals), text));
        Self { door, asked, _serving: serving }
    }

    async fn connect(&self) -> DuplexStream {
        let (near, far) = duplex(64 * 1024);
        self.door.send(far).await.expect("it listens");
        near
    }

    /// What is answered to `request`, until the connection ends.
    async fn answer(&self, request: &[u8]) -> String {
        let mut near = self.connect().await;
        // It may have heard enough before all is sent.
        let _sent = near.write_all(request).await;
        heard(near).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn heard(mut near: DuplexStream) -> String {
    let mut answer = vec![];
    let _ended = near.read_to_end(&mut answer).await;
    String::from_utf8(answer).expect("text")
}

#[tokio::test(start_paused = true)]
async fn a_scrape_gets_the_text_and_the_connection_ends() {
    let served = Served::new();
    let answer = served.answer(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for line in ["content-length: 6", "connection: close", &format!("content-type: {OPEN_METRICS}")] {
        assert!(head.lines().any(|found| found == line), "{line} is not in {head}");
    }
    assert_eq!(body, "# EOF\n");
    assert!(served.answer(b"GET /metrics?x=1 HTTP/1.0\r\n\r\n").await.ends_with("# EOF\n"), "an old client");
}

#[tokio::test(start_paused = true)]
async fn a_head_without_a_body_is_to_be_had() {
    let answer = Served::new().answer(b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-length: 6\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn there_is_nothing_else() {
    let served = Served::new();
    for (line, status) in [
        ("GET /", "404 Not Found"),
        ("GET /metrics/", "404 Not Found"),
        ("GET //metrics", "404 Not Found"),
        ("POST /", "404 Not Found"),
        ("POST /metrics", "405 Method Not Allowed"),
        ("DELETE /metrics", "405 Method Not Allowed"),
        ("OPTIONS *", "404 Not Found"),
        ("CONNECT localhost:80", "404 Not Found"),
    ] {
        let answer = served.answer(format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{line}: {answer}");
        assert_eq!(answer.contains("allow: GET, HEAD\r\n"), status.starts_with("405"), "{line}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{line}: {answer}");
    }
    assert_eq!(served.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn junk_is_not_answered_with_numbers() {
    let served = Served::new();
    let long = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; 100_000], b"\r\n\r\n"].concat();
    let many = [b"GET /metrics HTTP/1.1\r\n".as_slice(), &b"a:\r\n".repeat(1_000), b"\r\n"].concat();
    let endless = [b"GET /".as_slice(), &vec![b'x'; 100_000]].concat();
    let zeros = vec![0; 100_000];
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for junk in [&long[..], &many, &endless, &zeros, http2, b"\x16\x03\x01\x02\0\x01\0\x01", b"\r\n\r\n\r\n", b""] {
        let began = now();
        let answer = served.answer(junk).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(began.elapsed() <= MAX_TIME + Duration::from_secs(1));
    }
    assert_eq!(served.asked(), 0);
    assert!(served.answer(b"GET /metrics HTTP/1.1\r\n\r\n").await.contains("200 OK"), "it lives");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_slow_has_five_seconds() {
    let served = Served::new();
    let began = now();
    let mut near = served.connect().await;
    let mut sent = 0;
    for byte in b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n".iter().cycle() {
        if near.write_u8(*byte).await.is_err() {
            break;
        }
        sent += 1;
        sleep(Duration::from_millis(300)).await;
    }
    assert!((16..=18).contains(&sent), "{sent} bytes");
    assert_eq!(began.elapsed().as_secs(), 5);
    assert_eq!(served.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_read_has_them_too() {
    let (mut near, far) = duplex(64);
    near.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.expect("room");
    let began = now();
    answer(far, || "x".repeat(10_000)).await;
    assert_eq!(began.elapsed().as_secs(), 5);
    drop(near);
}

#[tokio::test(start_paused = true)]
async fn eight_are_served_at_once_and_the_ninth_waits_for_one_to_end() {
    let served = Served::new();
    let mut silent = vec![];
    for _ in 0..MAX_CONNECTIONS + 2 {
        silent.push(served.connect().await);
    }
    let began = now();
    let last = tokio::spawn({
        let mut near = served.connect().await;
        async move {
            near.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.expect("room");
            heard(near).await
        }
    });
    sleep(Duration::from_secs(4)).await;
    assert_eq!(served.door.max_capacity() - served.door.capacity(), 3, "three wait outside");
    silent.clear();
    assert!(last.await.expect("no panic").contains("200 OK"));
    assert_eq!(began.elapsed().as_secs(), 4, "they went, and so it was its turn");
}

#[tokio::test(start_paused = true)]
async fn a_bug_in_one_answer_ends_that_connection_alone() {
    let served = Served::new();
    let mut answers = vec![];
    for _ in 0..6 {
        answers.push(served.answer(b"GET /metrics HTTP/1.1\r\n\r\n").await);
    }
    let answered: Vec<bool> = answers.iter().map(|answer| answer.contains("200 OK")).collect();
    assert_eq!(answered, [true, true, true, false, true, true]);
}
