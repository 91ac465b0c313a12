//! The client: so many calls in flight, each followed by the next, over connections that are kept or made anew.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use hyper_util::rt::TokioIo;
use nightlatch::wire::stubs::Request;
use nightlatch::wire::stubs::kms_service_client::KmsServiceClient;
use nightlatch_benches::{SECRET_LEN, uuid};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::process::Process;
use crate::tls;

/// What the client does.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Connections, each with the same share of the calls.
    pub connections: usize,
    /// Calls in flight on all of them. One connection carries 8 at the most.
    pub in_flight: usize,
    /// Nodes that the calls name in turn.
    pub nodes: usize,
    /// Whether each connection comes from an address of its own.
    pub own_addresses: bool,
    /// Whether each call is made on a connection of its own.
    pub fresh: bool,
}

/// Calls of a node from one address that the rate limit lets through at once, with one to spare.
const PER_NODE: usize = 19;

/// A latency past which somebody waited for a timer, and not for work: a delayed acknowledgement takes 40 ms.
const STALL: Duration = Duration::from_millis(35);

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Calls in a second.
    pub rate: f64,
    /// Half of the calls took less.
    pub p50: Duration,
    /// 99 of 100 calls took less.
    pub p99: Duration,
    /// Processor time of the server for one call, in µs.
    pub cpu: f64,
    /// Calls that took 35 ms or more.
    pub stalls: usize,
}

/// Where calls go.
#[derive(Clone)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// How to speak TLS with it.
    pub tls: Option<TlsConnector>,
    /// What each node sends.
    pub blobs: Arc<[Vec<u8>]>,
}

/// What tonic sends bytes through.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Target {
    /// A new connection from `from`.
    pub async fn connect(&self, from: Option<Ipv4Addr>) -> Result<KmsServiceClient<Channel>> {
        let Self { address, tls, .. } = self.clone();
        let connector = tower::service_fn(move |_: http::Uri| {
            let tls = tls.clone();
            async move {
                let stream = match from {
                    None => TcpStream::connect(address).await?,
                    Some(from) => {
                        let socket = TcpSocket::new_v4()?;
                        socket.bind((from, 0).into())?;
                        socket.connect(address).await?
                    }
                };
                stream.set_nodelay(true)?;
                let stream: Box<dyn Io> = match tls {
                    None => Box::new(stream),
                    Some(tls) => {
                        let name = tls::NAME.try_into().map_err(std::io::Error::other)?;
                        Box::new(tls.connect(name, stream).await?)
                    }
                };
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await?;
        Ok(KmsServiceClient::new(channel))
    }

    /// What `node` sends to unseal.
    pub fn unseal(&self, node: usize) -> Result<Request> {
        let data = self.blobs.get(node).context("no such node")?.clone();
        Ok(Request { node_uuid: uuid(node), data })
    }
}

/// The address that the connection with this number comes from.
pub fn own_address(connection: usize) -> Ipv4Addr {
    let [.., high, low] = u32::try_from(connection).unwrap_or_default().to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// Whose turn it is, from one address.
#[derive(Debug, Default)]
struct Turns(Cell<usize>);

impl Turns {
    /// The next node, unless every node has called as often as the rate limit lets it.
    fn next(&self, nodes: usize) -> Option<usize> {
        let turn = self.0.replace(self.0.get() + 1);
        (turn < nodes * PER_NODE).then(|| turn % nodes)
    }
}

/// What the workers share.
struct Loop {
    target: Target,
    shape: Shape,
    /// What is measured begins.
    begin: Instant,
    /// The loop has ended, or will.
    end: Cell<Instant>,
    /// Somebody has nothing left to call.
    exhausted: Notify,
    latencies: RefCell<Vec<Duration>>,
}

/// Runs the loop against `process`, and measures after `warm_up`.
pub fn run(process: &Process, target: &Target, shape: Shape, warm_up: Duration, time: Duration) -> Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run_loop(process, target, shape, warm_up, time))
}

async fn run_loop(process: &Process, target: &Target, shape: Shape, warm_up: Duration, time: Duration) -> Result<Run> {
    let from = move |connection| shape.own_addresses.then(|| own_address(connection));
    let mut kept = vec![];
    for connection in 0..shape.connections {
        let turns = match kept.first() {
            Some((_, turns)) if !shape.own_addresses => Rc::clone(turns),
            _ => Rc::<Turns>::default(),
        };
        kept.push((target.connect(from(connection)).await?, turns));
    }
    let begin = Instant::now() + warm_up;
    let shared = Rc::new(Loop {
        target: target.clone(),
        shape,
        begin,
        end: Cell::new(begin + time),
        exhausted: Notify::new(),
        latencies: RefCell::default(),
    });
    let mut workers = JoinSet::new();
    for (worker, (client, turns)) in (0..shape.in_flight).zip(kept.iter().cycle()) {
        let (shared, client, turns) = (Rc::clone(&shared), client.clone(), Rc::clone(turns));
        workers.spawn_local(async move { shared.work(client, &turns, from(worker % shape.connections)).await });
    }
    tokio::select! {
        () = tokio::time::sleep_until(begin) => {}
        Some(ended) = workers.join_next() => ended??,
    }
    let cpu_before = process.cpu_micros()?;
    tokio::select! {
        () = tokio::time::sleep_until(begin + time) => {}
        () = shared.exhausted.notified() => {}
    }
    let (end, cpu) = (Instant::now(), process.cpu_micros()? - cpu_before);
    shared.end.set(end);
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let latencies = std::mem::take(&mut *shared.latencies.borrow_mut());
    summary(latencies, end - begin, cpu)
}

impl Loop {
    /// Calls until the end, or until nobody may call any more.
    async fn work(&self, mut client: KmsServiceClient<Channel>, turns: &Turns, from: Option<Ipv4Addr>) -> Result<()> {
        loop {
            let Some(node) = turns.next(self.shape.nodes) else {
                self.exhausted.notify_one();
                return Ok(());
            };
            let request = self.target.unseal(node)?;
            let begun = Instant::now();
            if self.shape.fresh {
                client = self.target.connect(from).await?;
            }
            let answer = client.unseal(request).await.map_err(|status| anyhow!("call refused: {status}"))?;
            let done = Instant::now();
            ensure!(answer.get_ref().data.len() == SECRET_LEN, "that was no secret");
            if done > self.end.get() {
                return Ok(());
            }
            if begun >= self.begin {
                self.latencies.borrow_mut().push(done - begun);
            }
        }
    }
}

fn summary(mut latencies: Vec<Duration>, elapsed: Duration, cpu: u64) -> Result<Run> {
    latencies.sort_unstable();
    let count = latencies.len();
    let at = |percent: usize| latencies.get(count * percent / 100).copied().context("too few calls");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (calls, micros) = (count as f64, cpu as f64);
    Ok(Run {
        rate: calls / elapsed.as_secs_f64(),
        p50: at(50)?,
        p99: at(99)?,
        cpu: micros / calls,
        stalls: latencies.iter().filter(|latency| **latency >= STALL).count(),
    })
}
