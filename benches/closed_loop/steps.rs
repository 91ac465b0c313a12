//! Where the time of a call goes: each step by itself, in this process.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use nightlatch::audit::file::File;
use nightlatch::audit::journal;
use nightlatch::audit::log::Sink;
use nightlatch::audit::record::Record;
use nightlatch::clock::{Clock, HostClock};
use nightlatch_benches::{Steps, line, released};

use crate::house::House;

/// One step.
#[derive(Debug)]
pub struct Step {
    /// What is done.
    pub name: &'static str,
    /// What one call pays for it.
    pub takes: Duration,
}

/// Fewer than the calls that one node may have in progress.
const BATCH: usize = 48;
const BATCHES: usize = 201;

/// The median of batches of `run`, for each of which `prepare` makes what it uses up.
fn median<T, R>(prepare: impl Fn() -> Result<T>, mut run: impl FnMut(T) -> Result<R>) -> Result<Duration> {
    let mut took = vec![];
    for _ in 0..BATCHES {
        let inputs: Vec<T> = (0..BATCH).map(|_| prepare()).collect::<Result<_>>()?;
        let mut outputs = Vec::with_capacity(BATCH);
        let begun = Instant::now();
        for input in inputs {
            outputs.push(black_box(run(black_box(input))?));
        }
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let batch = u32::try_from(BATCH)?;
    Ok(took.get(BATCHES / 2).copied().unwrap_or_default() / batch)
}

/// Measures every step of a release under an `allow` rule.
pub fn measure(house: &House) -> Result<Vec<Step>> {
    let steps = Steps::new()?;
    let (data, entry) = (steps.data(), released()?);
    let request = || Steps::parse(data.clone());
    let admitted = || steps.admit(request()?);
    let approved = || steps.approve(admitted()?);
    let keyed = || {
        let approved = approved()?;
        let keks = steps.derive(&approved)?;
        Ok((approved, keks))
    };
    let record = Record { seq: 1_000_000, time: HostClock.now().wall, entry: entry.clone() };
    let mut found = vec![
        Step { name: "parse: claim and data become a request", takes: median(|| Ok(data.clone()), Steps::parse)? },
        Step { name: "peer: network, node list, rate limit", takes: median(request, |request| steps.admit(request))? },
        Step {
            name: "approval: rule, blocks, grants, randomness",
            takes: median(admitted, |admitted| steps.approve(admitted))?,
        },
        Step {
            name: "key: KEK derived, key in memory checked",
            takes: median(approved, |approved| {
                let keks = steps.derive(&approved)?;
                Ok((approved, keks))
            })?,
        },
        Step {
            name: "seal: blob opened, fingerprint",
            takes: median(keyed, |(approved, keks)| Steps::perform(approved, keks))?,
        },
        Step { name: "audit: record as a line", takes: median(|| Ok(()), |()| line(&entry))? },
        Step {
            name: "audit: copy for the journal, when nobody listens",
            takes: median(
                || Ok(()),
                |()| {
                    journal::copy(&record);
                    Ok(())
                },
            )?,
        },
    ];
    let bytes = line(&entry)?;
    let path = house.path().join("steps.log");
    let (mut file, _) = File::open(&path, HostClock.now().wall)?;
    for (name, lines) in [("audit: append and fdatasync of one line", 1), ("audit: the same of 16 lines, for each", 16)]
    {
        let batch = bytes.repeat(lines);
        let mut took = vec![];
        for _ in 0..BATCHES {
            let begun = Instant::now();
            file.append(&batch)?;
            file.sync()?;
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        let takes = took.get(BATCHES / 2).copied().unwrap_or_default() / u32::try_from(lines)?;
        found.push(Step { name, takes });
    }
    drop(file);
    fs::remove_file(path)?;
    Ok(found)
}
