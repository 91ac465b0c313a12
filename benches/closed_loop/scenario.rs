//! What is compared: two servers, run in turn, again and again. A machine that is busy for a while slows both.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use nightlatch_benches::MAX_NODES;

use crate::house::{House, Setting, Sink, USUAL};
use crate::load::{self, Run, Shape, Target};
use crate::process::Process;
use crate::{people, tls};

/// What to run, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Less than a minute.
    pub quick: bool,
    /// A part of the name of what is run.
    pub only: Option<String>,
    /// Pairs of runs, if not the usual number.
    pub pairs: Option<usize>,
}

impl Plan {
    /// Whether `name` is to be run.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    fn pairs(&self) -> usize {
        self.pairs.unwrap_or(if self.quick { 2 } else { 9 }).max(1)
    }

    const fn warm_up(&self) -> Duration {
        Duration::from_millis(if self.quick { 100 } else { 200 })
    }

    const fn time(&self) -> Duration {
        Duration::from_millis(if self.quick { 400 } else { 1000 })
    }
}

/// Who serves.
#[derive(Debug, Clone, Copy)]
pub enum Server {
    /// The echo; with threads or without.
    Echo { tls: bool, threads: bool },
    /// nightlatch.
    Nightlatch(Setting),
}

/// Two servers under the same load.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// What it is about.
    pub name: &'static str,
    /// The first, which is 1.
    pub base: Server,
    /// The second, as a ratio of the first.
    pub server: Server,
    /// The load.
    pub shape: Shape,
    /// The least ratio that is good enough.
    pub aim: Option<f64>,
    /// Whether it is part of a quick run.
    pub in_quick: bool,
}

/// What came of one.
#[derive(Debug)]
pub struct Compared {
    /// What was compared.
    pub comparison: Comparison,
    /// Runs in turn: of the first server, of the second. None when it cannot be compared here.
    pub pairs: Vec<(Run, Run)>,
}

const ECHO: Server = Server::Echo { tls: false, threads: false };
const TLS_ECHO: Server = Server::Echo { tls: true, threads: false };
const USUALLY: Server = Server::Nightlatch(USUAL);

const fn kept(connections: usize, in_flight: usize) -> Shape {
    Shape { connections, in_flight, nodes: MAX_NODES, own_addresses: false, fresh: false }
}

const FRESH: Shape = Shape { fresh: true, ..kept(1, 1) };

/// Few nodes that call often: from many addresses, so that the rate limit lets them.
const FEW_NODES: Shape = Shape { connections: 64, in_flight: 32, nodes: 8, own_addresses: true, fresh: false };

const GRANTS: usize = 32;

const COMPARISONS: &[Comparison] = &[
    Comparison { name: "kept, 1 in flight", base: ECHO, server: USUALLY, shape: kept(1, 1), aim: None, in_quick: true },
    Comparison {
        name: "kept, 32 in flight on 4",
        base: ECHO,
        server: USUALLY,
        shape: kept(4, 32),
        aim: Some(0.75),
        in_quick: true,
    },
    Comparison {
        name: "kept, 64 in flight on 8",
        base: ECHO,
        server: USUALLY,
        shape: kept(8, 64),
        aim: Some(0.75),
        in_quick: true,
    },
    Comparison { name: "fresh, plain", base: ECHO, server: USUALLY, shape: FRESH, aim: None, in_quick: true },
    Comparison {
        name: "under 32 grants, 32 in flight on 64",
        base: ECHO,
        server: Server::Nightlatch(Setting { nodes: GRANTS, rule: "ask", ..USUAL }),
        shape: Shape { nodes: GRANTS, ..FEW_NODES },
        aim: Some(0.75),
        in_quick: true,
    },
    Comparison {
        name: "events to nobody, 32 in flight on 4",
        base: ECHO,
        server: Server::Nightlatch(Setting { sink: Sink::Nowhere, ..USUAL }),
        shape: kept(4, 32),
        aim: None,
        in_quick: false,
    },
    Comparison {
        name: "events to the journal, 32 in flight on 4",
        base: ECHO,
        server: Server::Nightlatch(Setting { sink: Sink::Journal, ..USUAL }),
        shape: kept(4, 32),
        aim: Some(0.75),
        in_quick: false,
    },
    Comparison {
        name: "kept, TLS, 32 in flight on 4",
        base: TLS_ECHO,
        server: Server::Nightlatch(Setting { tls: true, ..USUAL }),
        shape: kept(4, 32),
        aim: Some(0.75),
        in_quick: false,
    },
    Comparison {
        name: "fresh, TLS",
        base: TLS_ECHO,
        server: Server::Nightlatch(Setting { tls: true, ..USUAL }),
        shape: FRESH,
        aim: Some(0.8),
        in_quick: true,
    },
    Comparison {
        name: "passphrase against credential, 8 nodes, 32 in flight on 64",
        base: Server::Nightlatch(Setting { nodes: 8, ..USUAL }),
        server: Server::Nightlatch(Setting { nodes: 8, passphrase: true, ..USUAL }),
        shape: FEW_NODES,
        aim: Some(0.95),
        in_quick: false,
    },
    Comparison {
        name: "echo inside TLS against plain, fresh",
        base: ECHO,
        server: TLS_ECHO,
        shape: FRESH,
        aim: None,
        in_quick: false,
    },
    Comparison {
        name: "echo on two threads against one, 32 in flight on 4",
        base: ECHO,
        server: Server::Echo { tls: false, threads: true },
        shape: kept(4, 32),
        aim: None,
        in_quick: false,
    },
];

/// Runs what `plan` wants.
pub fn run_all(plan: &Plan, house: &House) -> Result<Vec<Compared>> {
    let wanted = COMPARISONS.iter().filter(|comparison| plan.wants(comparison.name));
    let wanted = wanted.filter(|comparison| comparison.in_quick || !plan.quick || plan.only.is_some());
    wanted.map(|comparison| compare(plan, house, *comparison)).collect()
}

fn compare(plan: &Plan, house: &House, comparison: Comparison) -> Result<Compared> {
    let Comparison { name, base, server, shape, .. } = comparison;
    let mut pairs = vec![];
    for server in [base, server] {
        if let Server::Nightlatch(setting) = server
            && !house.knows(&setting)?
        {
            println!("{name}: skipped, this server or this machine cannot");
            return Ok(Compared { comparison, pairs });
        }
    }
    for _ in 0..plan.pairs() {
        let one = |server| run(plan, house, server, shape).context(name);
        let (first, second) = (one(base)?, one(server)?);
        println!(
            "{name}: {:.2} ({:.0} and {:.0} calls/s, {:.1} and {:.1} µs of processor time)",
            second.rate / first.rate,
            first.rate,
            second.rate,
            first.cpu,
            second.cpu
        );
        pairs.push((first, second));
    }
    Ok(Compared { comparison, pairs })
}

fn run(plan: &Plan, house: &House, server: Server, shape: Shape) -> Result<Run> {
    let (process, target) = start(house, server)?;
    let run = load::run(&process, &target, shape, plan.warm_up(), plan.time())?;
    process.stop()?;
    Ok(run)
}

/// Starts a server, and brings it to where it has nobody to ask and nothing to derive.
pub fn start(house: &House, server: Server) -> Result<(Process, Target)> {
    let speaks_tls = match server {
        Server::Echo { tls, .. } => tls,
        Server::Nightlatch(setting) => setting.tls,
    };
    let process = match server {
        Server::Echo { tls, threads } => house.start_echo(tls, threads)?,
        Server::Nightlatch(setting) => house.start(&setting)?,
    };
    let tls = if speaks_tls { Some(tls::connector(house.path())?) } else { None };
    let mut target = Target { address: process.address, tls, blobs: Arc::clone(&house.blobs) };
    if let Server::Nightlatch(setting) = server {
        if setting.rule == "ask" {
            people::block_on(people::approve_each(&house.socket(), &target, setting.nodes))?;
        }
        if setting.passphrase {
            target.blobs = people::block_on(people::seal_each(&target, setting.nodes))?;
        }
    }
    Ok((process, target))
}
