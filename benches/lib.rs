//! One call, taken apart into its pure steps, as fixtures for what measures them: `pure.rs` under criterion, and the
//! table of docs/performance.md.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::{Result, anyhow};
use nightlatch::approval::ask::{AskId, Call, Event, Fresh, Verdict, Voter};
use nightlatch::approval::gate::{Approved, Caller, Gate, Records, Unrecorded};
use nightlatch::approval::ledger::act::Act;
use nightlatch::approval::ledger::{Judgement, Ledger, Timings};
use nightlatch::approval::policy::{Action, Approver, Layer, Policy, Rule, Vote};
use nightlatch::audit::record::{self, Entry, Name, Names, Record, Released, RuleAction};
use nightlatch::clock::{Clock, HostClock, Moment, Now};
use nightlatch::key::local::LocalKey;
use nightlatch::key::{Keks, Source, danger_offline};
use nightlatch::peer::admission::{Admission, Admitted, UuidPolicy};
use nightlatch::peer::standing::Standing;
use nightlatch::peer::{ListedNode, Node, Origin, Peer};
use nightlatch::request::{NodeUuid, Operation, Request, SealedBlob};
use nightlatch::seal::{Outcome, envelope};
use nightlatch::secret::{KeyBytes, Plaintext};
use tokio_util::sync::CancellationToken;

/// Bytes that Talos seals.
pub const SECRET_LEN: usize = 32;

/// Most nodes that a configuration lists.
pub const MAX_NODES: usize = 4096;

/// The identifier of the node with this number.
#[must_use]
pub fn uuid(number: usize) -> String {
    format!("4c4c4544-0042-4510-8051-{number:012x}")
}

/// A key of bytes that follow from `seed`: good for measuring, and for nothing else.
#[must_use]
pub fn key(seed: u8) -> KeyBytes {
    let filled = KeyBytes::try_fill(|key| {
        key.iter_mut().zip(seed..).for_each(|(byte, value)| *byte = value.wrapping_mul(37));
        Ok::<_, std::convert::Infallible>(())
    });
    match filled {
        Ok(key) => key,
    }
}

/// What the node with this number had sealed under `key`.
///
/// # Errors
/// When the kernel gives no random numbers.
pub fn blob(key: &KeyBytes, number: usize) -> Result<SealedBlob> {
    let keks = danger_offline::keks(key, &NodeUuid::parse(&uuid(number))?, &[]);
    Ok(envelope::seal(&keks, None, &secret()?)?)
}

fn secret() -> Result<Plaintext> {
    Ok(Plaintext::new(vec![0x5A; SECRET_LEN])?)
}

/// Polls a future that has nothing to wait for.
///
/// # Errors
/// When it waits.
pub fn at_once<T>(future: impl Future<Output = T>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err(anyhow!("it waits, and was to be ready")),
    }
}

/// Records nothing: what recording costs is measured by itself.
struct NoRecords;

impl Records for NoRecords {
    fn commit<'a>(
        &'a self,
        _: &'a [Event],
        _: Option<&'a Standing>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Unrecorded>> + Send + 'a>> {
        Box::pin(async { Ok(()) })
    }
}

/// Everything that one call of one node passes through, with the other nodes that a server knows besides.
pub struct Steps {
    admission: Arc<Admission>,
    gate: Arc<Gate>,
    source: LocalKey,
    keks: Keks,
    blob: SealedBlob,
    calls: AtomicU64,
}

impl Steps {
    /// A server of 4,096 nodes whose rule is `allow`.
    ///
    /// # Errors
    /// When the kernel gives no random numbers.
    pub fn new() -> Result<Self> {
        let nodes = (0..MAX_NODES).map(node).collect::<Result<Vec<_>>>()?;
        let networks = vec!["127.0.0.0/8".parse()?];
        let layer = Layer { seal: Some(Action::Allow), unseal: Some(Action::Allow), ..Layer::default() };
        let approvers = vec![Approver { name: "alice".into(), uid: Some(1000), telegram_id: None }];
        let policy = Policy { default: layer, approvers, ..Policy::default() };
        let clock = Arc::new(HostClock);
        let admission = Arc::new(Admission::new(networks, nodes, UuidPolicy::default()));
        let (timings, standing) = (Timings::default(), Standing::default());
        let gate = Gate::new(policy, timings, standing, Arc::clone(&admission), clock, Arc::new(NoRecords));
        let node = NodeUuid::parse(&uuid(0))?;
        Ok(Self {
            admission,
            gate: Arc::new(gate),
            keks: danger_offline::keks(&key(1), &node, &[]),
            source: LocalKey::new(key(1)),
            blob: blob(&key(1), 0)?,
            calls: AtomicU64::new(0),
        })
    }

    /// The blob as it comes off the wire.
    #[must_use]
    pub fn data(&self) -> Vec<u8> {
        self.blob.as_bytes().to_vec()
    }

    /// Step 1: what came off the wire becomes a request.
    ///
    /// # Errors
    /// None, with [`Self::data`].
    pub fn parse(data: Vec<u8>) -> Result<Request> {
        Ok(Request::parse(Operation::Unseal, &uuid(0), data)?)
    }

    /// Step 2: network, node list, rate limit. A second passes with every call, so that the limit lets it through.
    ///
    /// # Errors
    /// None, with a request of [`Self::parse`].
    pub fn admit(&self, request: Request) -> Result<Admitted> {
        let now = Duration::from_secs(1 + self.calls.fetch_add(1, Ordering::Relaxed));
        Ok(self.admission.admit(Moment::since_boot(now), request, peer())?)
    }

    /// Step 3: rule, blocks, grants; with the clock and the randomness that this takes.
    ///
    /// # Errors
    /// None, with what [`Self::admit`] returns.
    pub fn approve(&self, admitted: Admitted) -> Result<Approved> {
        let caller = Caller { deadline: None, gone: CancellationToken::new() };
        Ok(at_once(self.gate.approve(admitted, &caller))??)
    }

    /// Step 4: the KEK of the node, and whether the key in memory is still what it was.
    ///
    /// # Errors
    /// None.
    pub fn derive(&self, approved: &Approved) -> Result<Keks> {
        Ok(at_once(self.source.keks(approved))??)
    }

    /// Step 5: the blob is opened.
    ///
    /// # Errors
    /// None, with what the steps before return.
    pub fn perform(approved: Approved, keks: Keks) -> Result<Outcome> {
        Ok(nightlatch::seal::perform(approved, keks)?)
    }

    /// The envelope alone, opened: what [`Self::perform`] spends its time on.
    ///
    /// # Errors
    /// None.
    pub fn open(&self) -> Result<Plaintext> {
        Ok(envelope::open(&self.keks, None, &self.blob)?.plaintext)
    }

    /// A new envelope, which is opened again before it is given away.
    ///
    /// # Errors
    /// When the kernel gives no random numbers.
    pub fn seal(&self) -> Result<SealedBlob> {
        Ok(envelope::seal(&self.keks, None, &secret()?)?)
    }
}

fn node(number: usize) -> Result<Node> {
    Ok(Node {
        uuid: NodeUuid::parse(&uuid(number))?,
        name: format!("node-{number}").into(),
        cluster: None,
        addresses: vec!["127.0.0.0/8".parse()?],
        formerly: vec![],
        bind_address: false,
        listed_by: nightlatch::peer::ListedBy::Configuration,
    })
}

fn peer() -> Peer {
    Peer::plaintext(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4050))
}

/// The entry of a release, as the pipeline makes it.
///
/// # Errors
/// None.
pub fn released() -> Result<Entry> {
    let node = node(0)?;
    Ok(Released {
        operation: Operation::Unseal,
        node: (&node).into(),
        address: peer().address,
        origin: record::Origin::Listed,
        tls: false,
        ask: None,
        rule: RuleAction::Allow,
        approvers: Names::default(),
        blob: Name::from("00112233445566778899aabbccddeeff"),
        key: Name::from("0011223344556677"),
    }
    .into())
}

/// The line of a release.
///
/// # Errors
/// None.
pub fn line(entry: &Entry) -> Result<Vec<u8>> {
    let record = Record { seq: 1_000_000, time: HostClock.now().wall, entry: entry.clone() };
    Ok(record.line()?)
}

/// A ledger, the call that it judges, and the rule.
pub struct Judged {
    ledger: Ledger,
    call: Call,
    rule: Rule,
    fresh: u64,
}

impl Judged {
    /// A ledger in which `others` other nodes have an open ask, or a grant if `granted`. The node that is judged may do
    /// what it wants, by its rule or, if `granted`, by a grant of its own, which comes last.
    ///
    /// # Errors
    /// None.
    pub fn new(others: usize, granted: bool) -> Result<Self> {
        let now = HostClock.now();
        let mut judged = Self {
            ledger: Ledger::new(Timings { uses: u32::MAX, ..Timings::default() }, Standing::default(), now, |_| None),
            call: call(0)?,
            rule: rule(Action::Ask)?,
            fresh: 0,
        };
        for other in (1..=others).chain(granted.then_some(0)) {
            judged.call = call(other)?;
            let Judgement::Waiting { ask, .. } = judged.judge(now) else {
                return Err(anyhow!("it was to be asked for"));
            };
            if granted {
                let vote = Vote { approver: "alice".into(), channel: "cli".into() };
                let by = Voter { vote, uid: 1000, telegram_id: None };
                let _answer = judged.ledger.act(now, &Act::Vote { ask, by, verdict: Verdict::Approve(None) });
            }
        }
        judged.call = call(0)?;
        judged.rule = rule(if granted { Action::Ask } else { Action::Allow })?;
        Ok(judged)
    }

    /// Judges the call.
    pub fn judge(&mut self, now: Now) -> Judgement {
        self.fresh += 1;
        let mut id = [0; 16];
        id.iter_mut().zip(self.fresh.to_le_bytes()).for_each(|(to, from)| *to = from);
        let code = u16::try_from(self.fresh % 20_000).unwrap_or_default();
        self.ledger.judge(now, &self.call, &self.rule, Fresh { id: AskId(id), code }).0
    }
}

fn call(number: usize) -> Result<Call> {
    let blob = SealedBlob::new(vec![7; 202])?;
    Ok(Call {
        node: ListedNode::new(node(number)?),
        origin: Origin::Listed,
        peer: peer(),
        operation: Operation::Unseal,
        blob: Some(blob.fingerprint()),
        in_time: true,
        held: false,
        ahead: true,
    })
}

fn rule(action: Action) -> Result<Rule> {
    let layer = Layer { unseal: Some(action), ..Layer::default() };
    let approvers = vec![Approver { name: "alice".into(), uid: Some(1000), telegram_id: None }];
    let policy = Policy { default: layer, approvers, ..Policy::default() };
    Ok(policy.rule(&node(0)?, Origin::Listed, Operation::Unseal))
}

/// A configuration with `nodes` nodes, of what it must have.
#[must_use]
pub fn configuration(nodes: usize) -> String {
    let mut text = String::from(
        "installation = \"9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21\"\nstate_directory = \"/var/lib/nightlatch\"\n\
         networks = [\"127.0.0.0/8\"]\ntls = \"off\"\nkey = [{ name = \"first\", credential = \"nightlatch-key\" }]\n\
         approver = [{ name = \"alice\", uid = 1000 }]\nchannel = [{ name = \"cli\", people = \"uid\" }]\n",
    );
    node_tables(&mut text, nodes);
    text
}

/// Adds the tables of nodes 0 to `nodes` to a configuration.
pub fn node_tables(text: &mut String, nodes: usize) {
    for number in 0..nodes {
        text.push_str("[[node]]\nuuid = \"");
        text.push_str(&uuid(number));
        text.push_str("\"\nname = \"node-");
        text.push_str(&number.to_string());
        text.push_str("\"\naddresses = [\"127.0.0.0/8\"]\n");
    }
}
