//! Runs an echo of the service and the server itself in turn, in a closed loop, and prints what the server costs.
//!
//! `cargo build --release -p nightlatch && cargo run --release -p nightlatch-benches`, best on a machine that does
//! nothing else. It ends by itself: within ten minutes, with `--quick` within one. docs/performance.md is what
//! `--write` made of it.

#![expect(
    unreachable_pub,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures time and prints what it found; its modules are its own"
)]

mod echo;
mod house;
mod load;
mod memory;
mod people;
mod phone;
mod process;
mod report;
mod scenario;
mod steps;
mod syncs;
mod tls;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Run an echo of the service and the server in turn, and print what the server costs
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// Take less than a minute, and be less sure
    #[arg(long)]
    quick: bool,
    /// Run only what has this in its name
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Pairs of runs of each comparison
    #[arg(long, value_name = "COUNT")]
    pairs: Option<usize>,
    /// Write the findings into docs/performance.md, between the marks
    #[arg(long)]
    write: bool,
    /// The server, as it is shipped: a release build
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// The bot, as it is shipped
    #[arg(long, value_name = "FILE")]
    bot: Option<PathBuf>,
    /// Where the audit log is written to: the disk is measured too
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Be the echo (the driver starts it)
    Echo(echo::Args),
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(Role::Echo(args)) = args.role {
        return echo::run(&args);
    }
    let own = std::env::current_exe()?;
    let beside = own.parent().context("this program is in a directory")?;
    let server = args.server.unwrap_or_else(|| beside.join("nightlatch"));
    anyhow::ensure!(server.exists(), "build the server first: cargo build --release -p nightlatch");
    let bot = args.bot.unwrap_or_else(|| beside.join("nightlatch-bot"));
    let directory = args.directory.unwrap_or_else(|| beside.into());
    let plan = scenario::Plan { quick: args.quick, only: args.only, pairs: args.pairs };
    let house = house::House::new(&directory, server)?;
    let findings = report::Findings {
        machine: report::machine(house.path()),
        steps: if plan.wants("steps") { steps::measure(&house)? } else { vec![] },
        comparisons: scenario::run_all(&plan, &house)?,
        syncs: if plan.wants("syncs") { syncs::count(&house)? } else { vec![] },
        memory: if plan.wants("memory") { memory::measure(&house)? } else { vec![] },
        phone: if plan.wants("phone") { phone::measure(&house, &bot, plan.quick)? } else { None },
    };
    if findings.has_others() {
        println!("\n{}", findings.text());
    }
    println!("\n{}", findings.phone_text());
    if args.write {
        report::write(&findings)?;
    }
    Ok(())
}
