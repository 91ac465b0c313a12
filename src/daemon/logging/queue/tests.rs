use std::sync::mpsc;
use std::thread;

use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use super::*;

/// Long enough for any machine; it only ends a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A destination that shows each event as text, and can be made to stop reading.
struct Reader {
    seen: Mutex<mpsc::Sender<String>>,
    go: Mutex<mpsc::Receiver<()>>,
}

impl<S: Subscriber> Layer<S> for Reader {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut shown = Shown(format!("{} {}", event.metadata().level(), event.metadata().target()));
        event.record(&mut shown);
        let _nobody_looks = self.seen.lock().expect("no panic").send(shown.0);
        // An error means that it may read on for good.
        let _go = self.go.lock().expect("no panic").recv();
    }
}

struct Shown(String);

impl Visit for Shown {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push_str(&format!(" {field}=str:{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

/// A queue, the thread that empties it, what arrived, and what lets one event after the other through.
struct Bench {
    queue: Arc<Queue>,
    thread: thread::JoinHandle<()>,
    seen: mpsc::Receiver<String>,
    go: mpsc::Sender<()>,
}

impl Bench {
    fn start() -> Self {
        let queue = Arc::new(Queue::default());
        let ((sender, seen), (go, may_go)) = (mpsc::channel(), mpsc::channel());
        let reader = Reader { seen: sender.into(), go: may_go.into() };
        let inner = Arc::clone(&queue);
        let thread = thread::spawn(move || inner.forward(&registry().with(reader).into()));
        Self { queue, thread, seen, go }
    }

    fn report(&self, act: impl FnOnce()) {
        let subscriber = registry().with(Enqueue::new(Arc::clone(&self.queue)));
        tracing::subscriber::with_default(subscriber, act);
    }

    fn next(&self) -> String {
        self.seen.recv_timeout(PATIENCE).expect("an event arrives")
    }

    /// Lets everything through, and returns what had not arrived yet.
    fn end(self) -> Vec<String> {
        drop(self.go);
        self.queue.close(PATIENCE);
        self.thread.join().expect("no panic");
        self.seen.iter().collect()
    }
}

const HERE: &str = module_path!();

#[test]
fn events_arrive_as_they_were() {
    let bench = Bench::start();
    bench.report(|| {
        let name = "\u{1f512}\n";
        tracing::info!(target: "other", name, count = 3_u64, shown = %name, debug = ?name, absent = None::<u64>, "two words");
        tracing::error!(on = true);
        tracing::event!(target: "other", Level::TRACE, "only a message");
    });
    let expected = [
        "INFO other message=two words name=str:\u{1f512}\n count=3 shown=\u{1f512}\n debug=\"\u{1f512}\\n\"".to_owned(),
        format!("ERROR {HERE} on=true"),
        "TRACE other message=only a message".to_owned(),
    ];
    assert_eq!(bench.end(), expected);
}

#[test]
fn reader_that_stops_blocks_nobody_and_learns_what_it_missed() {
    const REPORTED: usize = 10_000;
    let bench = Bench::start();
    bench.report(|| tracing::info!("first"));
    assert_eq!(bench.next(), format!("INFO {HERE} message=first"));
    // It holds the first event, and reads no further.
    bench.report(|| (0..REPORTED).for_each(|number| tracing::info!(number)));
    let expected = std::iter::once(format!(
        "WARN nightlatch::daemon::logging::queue message=events dropped count={}",
        REPORTED - MAX_WAITING
    ));
    let expected: Vec<_> =
        expected.chain((0..MAX_WAITING).map(|number| format!("INFO {HERE} number={number}"))).collect();
    assert_eq!(bench.end(), expected);
}

#[test]
fn end_does_not_wait_for_a_reader_that_stopped() {
    let bench = Bench::start();
    bench.report(|| tracing::info!("first"));
    bench.next();
    // Returns: that is all that is asked of it.
    bench.queue.close(Duration::from_millis(1));
    assert_eq!(bench.end(), [""; 0]);
}

#[test]
fn no_event_is_longer_than_there_is_room() {
    let bench = Bench::start();
    let long = "\u{1f512}".repeat(MAX_VALUES_LEN);
    bench.report(|| tracing::info!(a = "x", b = %long, c = long, d = 1));
    let kept = "\u{1f512}".repeat((MAX_VALUES_LEN - 1) / 4);
    assert_eq!(bench.end(), [format!("INFO {HERE} a=str:x b={kept} c=str: d=")]);
}

#[test]
fn as_many_fields_as_there_can_be_arrive() {
    let bench = Bench::start();
    bench.report(|| {
        tracing::info!(
            a = 1,
            b = 1,
            c = 1,
            d = 1,
            e = 1,
            f = 1,
            g = 1,
            h = 1,
            i = 1,
            j = 1,
            k = 1,
            l = 1,
            m = 1,
            n = 1,
            o = 1,
            p = 1,
            q = 1,
            r = 1,
            s = 1,
            t = 1,
            u = 1,
            v = 1,
            w = 1,
            x = 1,
            y = 1,
            z = 1,
            aa = 1,
            ab = 1,
            ac = 1,
            ad = 1,
            ae = 1,
            "message"
        );
    });
    assert_eq!(bench.end()[0].matches('=').count(), MAX_FIELDS);
}
