//! A server under measurement: a process of its own, and what the kernel says of it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The process that serves: the child, or what a tracer started.
    serving: u32,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Process {
    /// Starts `command`, and returns when it listens on `port`. What it says goes to `log`.
    pub fn start(command: &mut Command, port: u16, log: File) -> Result<Self> {
        let mut process = Self::start_unheard(command, log)?;
        process.address = (Ipv4Addr::LOCALHOST, port).into();
        // 20 s in all.
        for _ in 0..2000 {
            if TcpStream::connect(process.address).is_ok() {
                return Ok(process);
            }
            if let Some(status) = process.child.try_wait()? {
                bail!("it ended while it started: {status}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("it does not listen");
    }

    /// Starts `command`, which listens nowhere. What it says goes to `log`.
    pub fn start_unheard(command: &mut Command, log: File) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { serving: child.id(), child, address: (Ipv4Addr::LOCALHOST, 0).into() })
    }

    /// Measures the first child of this process instead: it is what a tracer started.
    pub fn measure_child(&mut self) -> Result<()> {
        let id = self.serving;
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        self.serving = children.split_whitespace().next().context("no child")?.parse()?;
        Ok(())
    }

    /// Processor time so far, in µs. The kernel counts in ticks of 10 ms.
    pub fn cpu_micros(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.serving))?;
        // After the name, which may hold anything, in brackets: proc_pid_stat(5), fields 3 and up.
        let (_, fields) = stat.rsplit_once(") ").context("no name in stat")?;
        let ticks: Vec<u64> = fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        ensure!(ticks.len() == 2, "stat is too short");
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(ticks.iter().sum::<u64>() * 1_000_000 / per_second)
    }

    /// Memory in kB: `VmRSS` for now, `VmHWM` for the most so far.
    pub fn memory(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.serving))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(line.context("no such field")?.trim().trim_end_matches(" kB").parse()?)
    }

    /// Asks it to end, and waits for that: 20 s at the most.
    pub fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.serving).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, Signal::TERM)?;
        for _ in 0..2000 {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("it does not end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A file for what a server says, made anew.
pub fn log(directory: &Path) -> Result<File> {
    Ok(File::create(directory.join("server.log"))?)
}
