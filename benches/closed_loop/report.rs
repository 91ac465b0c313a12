//! What was found, as the part of docs/performance.md that is not written by hand.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::Run;
use crate::memory::Memory;
use crate::phone::{AIM, Costs, Phone};
use crate::scenario::Compared;
use crate::steps::Step;
use crate::syncs::Syncs;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->";
const PHONE_BEGIN: &str = "<!-- measured with the bot: begin -->\n";
const PHONE_END: &str = "<!-- measured with the bot: end -->";

/// Everything that was found.
pub struct Findings {
    /// Where.
    pub machine: String,
    /// Time of each step.
    pub steps: Vec<Step>,
    /// Ratios.
    pub comparisons: Vec<Compared>,
    /// Releases for each sync.
    pub syncs: Vec<Syncs>,
    /// Resident memory.
    pub memory: Vec<Memory>,
    /// From the press to the answer.
    pub phone: Option<Phone>,
}

/// What this machine is, and when.
pub fn machine(directory: &Path) -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let directory = directory.display().to_string();
    format!(
        "{}: {} × {}, Linux {}, audit log on {}, {}; load before the first run: {}.",
        said("date", &["--utc", "+%Y-%m-%d"]),
        std::thread::available_parallelism().map_or(1, usize::from),
        processor.map_or("a processor without a name", |(_, name)| name),
        read("/proc/sys/kernel/osrelease").trim(),
        said("stat", &["--file-system", "--format=%T", &directory]),
        said("rustc", &["--version"]),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}

/// The median of `values`, and the least and the most of them.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let last = values.len().saturating_sub(1);
    (at(values.len() / 2), at(0), at(last))
}

impl Findings {
    /// The findings as Markdown.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.machine);
        // Writing into a string cannot fail.
        let _written = self.write_to(&mut text);
        text
    }

    /// What is measured with the bot, as Markdown.
    pub fn phone_text(&self) -> String {
        let mut text = String::new();
        if let Some(phone) = &self.phone {
            // Writing into a string cannot fail.
            let _written = self.write_phone(&mut text, phone);
        }
        text
    }

    fn write_phone(&self, text: &mut String, phone: &Phone) -> std::fmt::Result {
        let millis = |took: Duration| took.as_secs_f64() * 1e3;
        let [p50, p99, longest] = [50, 99, 100].map(|percent| match percent {
            100 => phone.took.last().copied().unwrap_or_default(),
            percent => phone.percentile(percent),
        });
        writeln!(text, "{}\n\n| presses | p50, ms | p99, ms | longest, ms | aim for p99, ms | |", self.machine)?;
        writeln!(text, "| --: | --: | --: | --: | --: | --- |")?;
        let verdict = if p99 <= AIM { "met" } else { "missed" };
        let (p50, p99, longest, aim) = (millis(p50), millis(p99), millis(longest), AIM.as_millis());
        writeln!(text, "| {} | {p50:.1} | {p99:.1} | {longest:.1} | {aim} | {verdict} |\n", phone.took.len())?;
        let seconds = phone.idle_for.as_secs();
        writeln!(
            text,
            "| | resident when idle, KiB | after the presses, KiB | processor in {seconds} s idle, ms | processor for a press, ms |"
        )?;
        writeln!(text, "| --- | --: | --: | --: | --: |")?;
        for Costs { name, idle, after, idle_cpu, press_cpu } in &phone.processes {
            let (idle_cpu, press_cpu) = (millis(*idle_cpu), millis(*press_cpu));
            writeln!(text, "| {name} | {idle} | {after} | {idle_cpu:.0} | {press_cpu:.1} |")?;
        }
        Ok(())
    }

    /// Whether there is anything that is measured without the bot.
    pub fn has_others(&self) -> bool {
        let Self { machine: _, steps, comparisons, syncs, memory, phone: _ } = self;
        !(steps.is_empty() && comparisons.is_empty() && syncs.is_empty() && memory.is_empty())
    }

    fn write_to(&self, text: &mut String) -> std::fmt::Result {
        if !self.comparisons.is_empty() {
            write_comparisons(text, &self.comparisons)?;
        }
        if !self.steps.is_empty() {
            self.write_steps(text)?;
        }
        if !self.syncs.is_empty() {
            writeln!(
                text,
                "\n### Syncs\n\n| in flight | releases | fdatasync | releases for each |\n| --: | --: | --: | --: |"
            )?;
            for Syncs { in_flight, releases, syncs } in &self.syncs {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                let each = *releases as f64 / *syncs as f64;
                writeln!(text, "| {in_flight} | {releases} | {syncs} | {each:.1} |")?;
            }
        }
        if !self.memory.is_empty() {
            writeln!(
                text,
                "\n### Memory\n\n| when | resident, KiB | growth, KiB | aim, KiB | |\n| --- | --: | --: | --: | --- |"
            )?;
            for Memory { when, resident, growth, aim } in &self.memory {
                let verdict = if growth <= aim { "met" } else { "missed" };
                writeln!(text, "| {when} | {resident} | {growth} | {aim} | {verdict} |")?;
            }
        }
        Ok(())
    }

    /// What one release costs the processor, by step: what the echo costs too, what was measured step by step, and what
    /// is left.
    fn write_steps(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "\n### Steps of one release\n\n| step | µs |\n| --- | --: |")?;
        for Step { name, takes } in &self.steps {
            writeln!(text, "| {name} | {:.2} |", takes.as_secs_f64() * 1e6)?;
        }
        for compared in &self.comparisons {
            let (echo, ..) = spread(compared.pairs.iter().map(|(echo, _)| echo.cpu));
            let (server, ..) = spread(compared.pairs.iter().map(|(_, server)| server.cpu));
            if compared.comparison.name.starts_with("kept") && echo.is_finite() {
                let name = compared.comparison.name;
                writeln!(text, "| {name}: processor time of the echo, all of it | {echo:.1} |")?;
                writeln!(text, "| {name}: processor time of the server, all of it | {server:.1} |")?;
            }
        }
        Ok(())
    }
}

fn write_comparisons(text: &mut String, comparisons: &[Compared]) -> std::fmt::Result {
    writeln!(
        text,
        "\n### Ratios\n\n| | ratio (spread) | aim | | calls/s | p50, ms | p99, ms | processor, µs/call | calls ≥ 35 ms |\n\
         | --- | --: | --: | --- | --: | --: | --: | --: | --: |"
    )?;
    for Compared { comparison, pairs } in comparisons {
        if pairs.is_empty() {
            writeln!(text, "| {} | not measured | | | | | | | |", comparison.name)?;
            continue;
        }
        let (ratio, least, most) = spread(pairs.iter().map(|(first, second)| second.rate / first.rate));
        let verdict = comparison.aim.map_or("", |aim| if ratio >= aim { "met" } else { "missed" });
        let aim = comparison.aim.map(|aim| aim.to_string()).unwrap_or_default();
        let both = |of: fn(&Run) -> f64, digits: usize| {
            let (first, ..) = spread(pairs.iter().map(|(run, _)| of(run)));
            let (second, ..) = spread(pairs.iter().map(|(_, run)| of(run)));
            format!("{first:.digits$} → {second:.digits$}")
        };
        let stalls = |of: fn(&(Run, Run)) -> usize| pairs.iter().map(of).sum::<usize>();
        writeln!(
            text,
            "| {} | **{ratio:.2}** ({least:.2} to {most:.2}) | {aim} | {verdict} | {} | {} | {} | {} | {} → {} |",
            comparison.name,
            both(|run| run.rate, 0),
            both(|run| run.p50.as_secs_f64() * 1e3, 2),
            both(|run| run.p99.as_secs_f64() * 1e3, 2),
            both(|run| run.cpu, 1),
            stalls(|(first, _)| first.stalls),
            stalls(|(_, second)| second.stalls),
        )?;
    }
    Ok(())
}

/// Replaces what is between the marks in docs/performance.md, as far as it was measured.
pub fn write(findings: &Findings) -> Result<()> {
    let mut page = fs::read_to_string(PAGE).context("docs/performance.md")?;
    if findings.has_others() {
        page = between(&page, BEGIN, END, &findings.text())?;
    }
    if findings.phone.is_some() {
        page = between(&page, PHONE_BEGIN, PHONE_END, &findings.phone_text())?;
    }
    Ok(fs::write(PAGE, page)?)
}

fn between(page: &str, begin: &str, end: &str, findings: &str) -> Result<String> {
    let (before, rest) = page.split_once(begin).context("docs/performance.md has no mark of the beginning")?;
    let (_, after) = rest.split_once(end).context("docs/performance.md has no mark of the end")?;
    Ok(format!("{before}{begin}\n{findings}\n{end}{after}"))
}
