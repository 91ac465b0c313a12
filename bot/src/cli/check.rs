//! `nightlatch-bot check`: says what the configuration means, and whether what it names is there.

use std::path::Path;

use super::failure::{Failure, exit};
use super::{print_document, runtime, telegram};
use crate::check::{self, Finding};
use crate::config::{Config, Proxy, Warning};
use crate::credential;
use crate::session::{Chat, Quiet};

/// Options of `nightlatch-bot check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Look at the configuration alone: no secret is read, and nobody is called
    #[arg(long)]
    offline: bool,
    /// Send a message to each chat, so that it is seen to arrive
    #[arg(long, conflicts_with = "offline")]
    send_test: bool,
}

/// Checks the configuration, and what it names.
pub(super) fn run(args: &Args, path: &Path, config: &Config, warnings: &[Warning]) -> Result<(), Failure> {
    print_document(format!("{} can be used\n\n{}", path.display(), summary(config, warnings)))?;
    if args.offline {
        return Ok(());
    }
    let telegram = telegram::from_config(config)?;
    let checked = check::check(&telegram, &config.settings.chats, &config.socket, args.send_test);
    let findings = runtime()?.block_on(checked);
    print_document(lines(&findings))?;
    match findings.iter().filter(|finding| finding.is_problem()).count() {
        0 => Ok(()),
        1 => Err(not_in_order("one thing is not as it should be")),
        problems => Err(not_in_order(&format!("{problems} things are not as they should be"))),
    }
}

fn not_in_order(what: &str) -> Failure {
    Failure::new(exit::UNAVAILABLE, what).hint("do what stands below each line that is marked with NO, and check again")
}

/// Each finding as a line, with what to do below it.
fn lines(findings: &[Finding]) -> String {
    let mut text = "\n".to_owned();
    for finding in findings {
        match finding {
            Finding::Good(what) => text.push_str(&format!("ok  {what}\n")),
            Finding::Problem { what, hint } => text.push_str(&format!("NO  {what}\n    -> {hint}\n")),
        }
    }
    text
}

/// What the configuration means.
fn summary(config: &Config, warnings: &[Warning]) -> String {
    let settings = &config.settings;
    let proxy = match &config.proxy {
        None => "none".to_owned(),
        Some(Proxy::Url(url)) => url.to_string(),
        Some(Proxy::File(path)) => format!("in file {}", path.display()),
        Some(Proxy::Credential) => format!("in credential {}", credential::PROXY),
    };
    let token = match &config.token_file {
        None => format!("credential {}", credential::TOKEN),
        Some(path) => format!("file {}", path.display()),
    };
    let span = |duration| humantime::format_duration(duration).to_string();
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let quiet = settings.quiet.map(|Quiet { from, until }| format!("{}-{}", time(from), time(until)));
    let mut text = String::new();
    for (name, value) in [
        ("socket", config.socket.display().to_string()),
        ("state", config.state_directory.display().to_string()),
        ("token", token),
        ("api", config.api.to_string()),
        ("proxy", proxy),
        ("time zone", settings.zone.0.iana_name().unwrap_or("UTC").to_owned()),
        ("reminds", format!("after {}", span(settings.remind_after))),
        ("escalates", format!("after {}", span(settings.escalate_after))),
        ("quiet", quiet.unwrap_or_else(|| "never".to_owned())),
    ] {
        text.push_str(&format!("{name:<11}{value}\n"));
    }
    text.push_str(&format!("\n{:<18}{:<6}{:<24}{}\n", "CHAT", "TURN", "CLUSTERS", "PEOPLE"));
    for Chat { id, people, clusters, turn } in &settings.chats {
        let clusters = clusters.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        let clusters = if clusters.is_empty() { "all nodes" } else { &clusters };
        let people = people.iter().map(|person| person.0.to_string()).collect::<Vec<_>>().join(" ");
        text.push_str(&format!("{:<18}{turn:<6}{clusters:<24}{people}\n", id.0));
    }
    if !warnings.is_empty() {
        text.push_str("\nwarnings\n");
        warnings.iter().for_each(|warning| text.push_str(&format!("  {warning}\n")));
    }
    text
}
