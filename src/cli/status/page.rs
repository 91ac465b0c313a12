//! The page that a person reads, most urgent first. Lines break before column 80 where they can, and nothing is cut off.

use std::fmt::Write as _;

use nightlatch_approval_api::v1;

use super::Look;
use crate::cli::channel::text::{
    ago, ask, date, from, headline, lock, missing, name, printable, refusal, release, span, times,
};
use crate::cli::channel::warnings;
use crate::cli::lock as locking;

/// Entries of each list, unless all are wanted.
const SHOWN: usize = 12;
const SHOWN_RELEASES: usize = 5;

const WIDTH: usize = 80;

pub(super) fn page(look: &Look, now: i64, all: bool) -> String {
    let Look { snapshot, overview } = look;
    let mut page = Page { out: String::new(), most: if all { usize::MAX } else { SHOWN } };
    let locked = snapshot.lock.as_ref().or_else(|| overview.as_ref().and_then(|overview| overview.lock.as_ref()));
    if let Some(locked) = locked {
        let _ = writeln!(page.out, "{}", lock(locked, now));
    }
    page.warnings(look);
    page.asks(snapshot, now);
    page.approved(snapshot);
    let refused = snapshot.refusals.iter().map(|held| vec![refusal(held, now).trim().to_owned()]);
    page.list("denied or blocked", "end: nightlatch unblock NODE", &refused.collect::<Vec<_>>());
    page.nodes(snapshot, now);
    if let Some(overview) = overview {
        page.releases(overview, now);
    }
    page.out.push('\n');
    if let Some(overview) = overview {
        page.server(overview, now);
    }
    page.end(look, now);
    page.out
}

struct Page {
    out: String,
    most: usize,
}

impl Page {
    fn warnings(&mut self, look: &Look) {
        let Look { snapshot, overview } = look;
        let told = overview.iter().flat_map(|overview| &overview.warnings);
        let mut lines: Vec<String> = told.map(|warning| printable(warning)).collect();
        for status in snapshot.nodes.iter().filter(|status| !status.conflict.is_empty()) {
            let conflict = printable(&status.conflict);
            // The server may say it as a warning too.
            if !lines.iter().any(|line| line.contains(&conflict)) {
                lines.push(format!("{}: {conflict}", name(status.node.as_ref())));
            }
        }
        if overview.is_none() {
            lines.push(format!(
                "the server (version {}) is older than this command and cannot say how its keys and channels are: \
                 systemctl restart nightlatch.service runs the installed one",
                printable(&snapshot.server_version)
            ));
        }
        for line in &lines {
            self.fold("! ", 2, &split(line, " "), " ");
        }
        if !lines.is_empty() {
            self.out.push('\n');
        }
    }

    fn asks(&mut self, snapshot: &v1::Snapshot, now: i64) {
        let open: Vec<_> = snapshot.asks.iter().chain(&snapshot.enrolments).collect();
        if open.is_empty() {
            self.out.push_str("nothing is open\n");
            return;
        }
        self.title("open", open.len(), "answer: nightlatch approvals approve CODE");
        for open in open.iter().take(self.most) {
            // What an ask is warned of must not be missed: it is shown in full, as everywhere.
            if warnings(open).any(|warning| warning != v1::Warning::NewAddress) {
                for (index, line) in ask(open, now).lines().enumerate() {
                    match line.trim().strip_prefix("! ") {
                        Some(warning) => self.fold("        ! ", 10, &split(warning, " "), " "),
                        None if index == 0 => self.entry(&split(line, " · ")),
                        None => self.fold("        ", 8, &split(line, " · "), " · "),
                    }
                }
            } else {
                let since = format!("since {}", ago(open.opened_at_ms, now));
                self.entry(&[split(&headline(open), " · "), vec![since]].concat());
            }
        }
        self.more(open.len(), "nightlatch approvals");
    }

    fn approved(&mut self, snapshot: &v1::Snapshot) {
        let grants = snapshot.grants.iter().map(|grant| {
            vec![
                format!("{}  {}", printable(&grant.code), name(grant.node.as_ref())),
                times(grant.uses_left),
                format!("{} left", span(u64::from(grant.seconds_left) * 1000)),
                if grant.ahead { "ahead".to_owned() } else { "answered".to_owned() },
                format!("from {}", from(&grant.address)),
                format!("by {}", printable(&grant.by.join(", "))),
            ]
        });
        self.list("approved now", "end: nightlatch revoke CODE", &grants.collect::<Vec<_>>());
        let proposals = snapshot.proposals.iter().map(|proposal| {
            vec![
                format!("{} for {}", name(proposal.node.as_ref()), span(u64::from(proposal.for_seconds) * 1000)),
                missing(proposal.votes_missing, proposal.channels_missing),
                format!("yes so far: {}", printable(&proposal.by.join(", "))),
            ]
        });
        self.list("approved ahead by too few", "say the same: nightlatch grant NODE", &proposals.collect::<Vec<_>>());
    }

    fn nodes(&mut self, snapshot: &v1::Snapshot, now: i64) {
        let widest = snapshot.nodes.iter().map(|status| name(status.node.as_ref()).chars().count()).max();
        let width = widest.unwrap_or(0).min(20);
        let nodes = snapshot.nodes.iter().map(|status| {
            let approved = match status.last_approved_at_ms {
                0 => "never approved".to_owned(),
                at => format!("approved {} ago by {}", ago(at, now), printable(&status.last_approved_by)),
            };
            let node = name(status.node.as_ref());
            let mut parts = match node.chars().count() > width {
                true => vec![node, approved],
                false => vec![format!("{node:width$}  {approved}")],
            };
            if let Some(node) = status.node.as_ref().filter(|node| !node.cluster.is_empty()) {
                parts.push(format!("cluster {}", printable(&node.cluster)));
            }
            if status.listed_by() == v1::ListedBy::People {
                parts.push("listed by people".to_owned());
            }
            parts
        });
        self.list("nodes", "", &nodes.collect::<Vec<_>>());
    }

    fn releases(&mut self, overview: &v1::OverviewResponse, now: i64) {
        let most = if self.most == usize::MAX { usize::MAX } else { SHOWN_RELEASES };
        let last = overview
            .last_releases
            .iter()
            .rev()
            .take(most)
            .map(|done| vec![format!("{:>8} ago  {}", ago(done.at_ms, now), release(done))]);
        self.list("last releases", "", &last.collect::<Vec<_>>());
    }

    fn server(&mut self, overview: &v1::OverviewResponse, now: i64) {
        let channels = overview.channels.iter().map(|channel| match channel.attached {
            0 => format!("{}: nobody", printable(&channel.name)),
            attached => format!("{}: {attached} attached", printable(&channel.name)),
        });
        self.fact("channels", &channels.collect::<Vec<_>>(), " · ");
        let certificate = match (overview.tls, overview.certificate_not_after_ms) {
            (false, _) => "none: nodes are served without TLS".to_owned(),
            (true, at) if at <= now => format!("EXPIRED {} ago, on {}", ago(at, now), date(at)),
            (true, at) => format!("valid for {}, until {}", ago(now, at), date(at)),
        };
        self.fact("certificate", &[certificate], " · ");
        for key in &overview.keys {
            let said = locking::key(key);
            self.fact("key", &split(said.strip_prefix("key ").unwrap_or(&said), " "), " ");
        }
    }

    fn end(&mut self, look: &Look, now: i64) {
        let Look { snapshot, overview } = look;
        let mut facts = vec![format!("version {}", printable(&snapshot.server_version))];
        if let Some(overview) = overview {
            facts.push(format!("up {}", ago(overview.started_at_ms, now)));
            facts.push(match overview.calls_held {
                1 => "1 call waits for an answer".to_owned(),
                held => format!("{held} calls wait for an answer"),
            });
        }
        self.fact("nightlatch", &facts, " · ");
        self.fact("installation", &[printable(&snapshot.installation)], " · ");
    }

    /// A list of entries, each of parts that stay together; nothing when it is empty.
    fn list(&mut self, title: &str, advice: &str, entries: &[Vec<String>]) {
        if entries.is_empty() {
            return;
        }
        self.out.push('\n');
        self.title(title, entries.len(), advice);
        for parts in entries.iter().take(self.most) {
            self.entry(parts);
        }
        self.more(entries.len(), "nightlatch status --all");
    }

    fn title(&mut self, title: &str, count: usize, advice: &str) {
        let _ = match advice {
            "" => writeln!(self.out, "{title} ({count})"),
            advice => writeln!(self.out, "{title} ({count})   {advice}"),
        };
    }

    fn more(&mut self, count: usize, how: &str) {
        if count > self.most {
            let _ = writeln!(self.out, "  … and {} more: {how}", count - self.most);
        }
    }

    fn fact(&mut self, what: &str, parts: &[String], between: &str) {
        self.fold(&format!("{what:<14}"), 14, parts, between);
    }

    fn entry(&mut self, parts: &[String]) {
        self.fold("  ", 8, parts, " · ");
    }

    /// `prefix` and the parts, in lines of [`WIDTH`], of which all but the first are indented.
    fn fold(&mut self, prefix: &str, indent: usize, parts: &[String], between: &str) {
        let mut line = prefix.to_owned();
        for (index, part) in parts.iter().enumerate() {
            let between = if index == 0 { "" } else { between };
            let length: usize = [&line, between, part].into_iter().map(|text| text.chars().count()).sum();
            if index > 0 && length > WIDTH {
                let _ = writeln!(self.out, "{}", line.trim_end());
                line = " ".repeat(indent);
            } else {
                line.push_str(between);
            }
            line.push_str(part);
        }
        let _ = writeln!(self.out, "{}", line.trim_end());
    }
}

fn split(text: &str, between: &str) -> Vec<String> {
    text.trim().split(between).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
