//! `nightlatch-bot check`: says what the configuration means, and whether what it names is there.

use std::path::Path;

use super::failure::{Failure, exit};
use super::print_document;
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
    print_document(&format!("{} can be used\n\n{}", path.display(), summary(config, warnings)))?;
    if args.offline {
        return Ok(());
    }
    let secret = |error: credential::Error| {
        Failure::new(exit::CONFIG, "a secret cannot be used").because(&error).hint(error.hint())
    };
    let _token = credential::token(config.token_file.as_deref()).map_err(secret)?;
    let _proxy = config.proxy.as_ref().map(credential::proxy).transpose().map_err(secret)?;
    let what = if args.send_test { "nothing was sent" } else { "nothing else was checked" };
    Err(Failure::new(exit::UNAVAILABLE, format!("the Telegram side is not built yet: {what}")))
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
