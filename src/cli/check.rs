//! `nightlatch check`: reads the configuration, says what it means, and opens nothing: no socket, no key, no state.
//! With `--tls` it reads the certificate, and its private key.

mod tls;

use std::net::IpAddr;
use std::path::PathBuf;

use super::{Failure, exit, print_document};
use crate::config::{self, Config, KeySource, PassphraseOrigin, PassphraseSource, People, Tls, Warning};
use crate::daemon::explain;

/// Options of `nightlatch check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// Say step by step what would become of calls of this node (name or UUID) from this address
    #[arg(long, num_args = 2, value_names = ["NODE", "ADDRESS"])]
    explain: Option<Vec<String>>,
    /// Read the certificate too, and say whether nodes would accept it
    #[arg(long, conflicts_with = "explain")]
    tls: bool,
    /// Roots in PEM that nodes get by TrustedRootsConfig: good for every disk but STATE
    #[arg(long, value_name = "FILE", requires = "tls")]
    roots: Option<PathBuf>,
}

/// Checks the configuration.
///
/// # Errors
/// [`Failure`] when it cannot be used, or when what is to be explained is no node or no address.
pub fn run(args: Args) -> Result<(), Failure> {
    let (config, warnings) = load(&args.config)?;
    if args.tls {
        return tls::run(&config, args.roots.as_deref());
    }
    let document = match args.explain.as_deref() {
        Some([node, address]) => explained(&config, node, address)?,
        _ => format!("{} can be used\n\n{}", args.config.display(), summary(&config, &warnings)),
    };
    print_document(document.as_bytes())
}

/// Loads the configuration for any subcommand.
///
/// # Errors
/// [`Failure`] that shows every mistake in it.
pub fn load(path: &std::path::Path) -> Result<(Config, Vec<Warning>), Failure> {
    Config::load(path).map_err(|error| {
        let hint = match error {
            config::Error::Read { .. } => {
                "name the configuration with --config FILE, or make a first one: nightlatch credentials init"
            }
            _ => "correct the file; nightlatch check tells whether it can be used",
        };
        Failure::new(exit::CONFIG, error.to_string()).because(&error).hint(hint)
    })
}

fn explained(config: &Config, node: &str, address: &str) -> Result<String, Failure> {
    let parsed: IpAddr = address
        .parse()
        .map_err(|_| Failure::usage(format!("`{address}` is no address")).hint("write one such as 192.0.2.11"))?;
    let explanation = explain::explain(config, node, parsed)
        .map_err(|error| Failure::usage(format!("`{node}` is no node")).because(&error))?;
    let mut text = String::new();
    for step in &explanation.steps {
        line(&mut text, step);
    }
    for decision in &explanation.decisions {
        line(&mut text, &format!("{}: {}", decision.operation, decision.outcome));
        line(&mut text, &format!("  because of {}", decision.rule));
    }
    if !explanation.decisions.is_empty() {
        line(&mut text, "blocks, denials and approvals of the running service come before these rules");
    }
    Ok(text)
}

fn summary(config: &Config, warnings: &[Warning]) -> String {
    let mut text = String::new();
    line(&mut text, &format!("installation  {}", config.installation));
    line(&mut text, &format!("state         {}", config.state_directory.display()));
    line(&mut text, &format!("networks      {}", listed(&config.networks, "none")));
    line(
        &mut text,
        &match &config.tls {
            Tls::Off => "tls           off: keys cross the network in the clear".to_owned(),
            Tls::On(places) => {
                format!("tls           {}, for {}", tls::place(&places.certificate), tls::names(&places.names))
            }
        },
    );
    if let Some(quiet) = config.exit_after_idle {
        line(&mut text, &format!("ends          after {} without anything", humantime::format_duration(quiet)));
    }
    if let Some(enrolment) = &config.enrolment {
        let cluster = enrolment.cluster.as_ref().map_or_else(String::new, |name| format!(", into the cluster {name}"));
        let from = listed(&enrolment.networks, "nowhere");
        line(&mut text, &format!("enrolment     unlisted nodes may ask to be listed, from {from}{cluster}"));
    }
    for key in &config.keys {
        let place = match &key.source {
            KeySource::Credential(name) => format!("credential {name}"),
            KeySource::File(path) => format!("file {}", path.display()),
            KeySource::Passphrase(passphrase) => passphrase_place(passphrase),
        };
        let use_ = if key.seals { "seals and opens" } else { "opens only" };
        line(&mut text, &format!("key           {}: {place}, {use_}", key.name));
    }
    let nodes = config.nodes.iter().map(|node| {
        [
            node.name.to_string(),
            node.uuid.to_string(),
            listed(&node.addresses, "any in networks"),
            listed(&node.formerly, ""),
        ]
    });
    table(&mut text, ["NODE", "UUID", "ADDRESSES", "FORMERLY"], nodes.collect());
    let rules = explain::rules(config).into_iter().map(|rules| {
        [
            rules.name.into(),
            rules.cluster.unwrap_or_default().into(),
            rules.seal.into(),
            rules.unseal.into(),
            rules.other_address.unwrap_or("-").into(),
            rules.votes,
        ]
    });
    table(&mut text, ["NODE", "CLUSTER", "SEAL", "UNSEAL", "OTHER ADDRESS", "APPROVED BY"], rules.collect());
    let approvers = config.approvers.iter().map(|approver| {
        let id = |id: Option<String>| id.unwrap_or_else(|| "-".to_owned());
        [
            approver.name.to_string(),
            id(approver.uid.map(|uid| uid.to_string())),
            id(approver.telegram_id.map(|telegram_id| telegram_id.to_string())),
        ]
    });
    table(&mut text, ["APPROVER", "UID", "TELEGRAM ID"], approvers.collect());
    let channels = config.channels.iter().map(|channel| {
        let people = match channel.people {
            People::Uid => "the user who connects".to_owned(),
            People::Telegram { uid } => format!("by Telegram id, from user {uid} only"),
        };
        let socket = channel.socket.as_ref().map_or_else(|| "-".to_owned(), |path| path.display().to_string());
        [channel.name.to_string(), people, channel.descriptor_name(), socket]
    });
    table(&mut text, ["CHANNEL", "PEOPLE", "DESCRIPTOR NAME", "SOCKET"], channels.collect());
    if !warnings.is_empty() {
        line(&mut text, "\nwarnings");
        warnings.iter().for_each(|warning| line(&mut text, &format!("  {warning}")));
    }
    text
}

fn passphrase_place(passphrase: &PassphraseSource) -> String {
    let place = match &passphrase.origin {
        PassphraseOrigin::AskedBySystemd(name) => format!("asked for by systemd as credential {name}"),
        PassphraseOrigin::Credential(name) => format!("in credential {name}"),
        PassphraseOrigin::File(path) => format!("in file {}", path.display()),
        PassphraseOrigin::Terminal => "asked for at the terminal".to_owned(),
    };
    let id: String = passphrase.key_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let PassphraseSource { memory, passes, lanes, .. } = passphrase;
    format!("passphrase {place}, key id {id}, Argon2id {memory} KiB, passes {passes}, lanes {lanes}")
}

/// The first few of `items`, and how many more there are.
fn listed(items: &[impl ToString], none: &str) -> String {
    const SHOWN: usize = 8;
    if items.is_empty() {
        return none.to_owned();
    }
    let mut text = items.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if let Some(more @ 1..) = items.len().checked_sub(SHOWN) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Writes `rows` in columns below `header`; nothing when there are no rows.
pub(super) fn table<const COLUMNS: usize>(text: &mut String, header: [&str; COLUMNS], rows: Vec<[String; COLUMNS]>) {
    if rows.is_empty() {
        return;
    }
    text.push('\n');
    let mut widths = header.map(str::len);
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    for row in std::iter::once(header.map(str::to_owned)).chain(rows) {
        let mut written = String::new();
        for (cell, width) in row.iter().zip(widths) {
            written.push_str(cell);
            // The formatter pads up to 65,535 characters only, and panics past them.
            written.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        line(text, written.trim_end());
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANUAL: &str = include_str!("../../systemd/nightlatch.toml");

    fn manual() -> (Config, Vec<Warning>) {
        Config::parse(MANUAL, "nightlatch.toml").map_err(|error| error.to_string()).expect("the manual is valid")
    }

    #[test]
    fn the_summary_shows_nodes_rules_people_and_warnings() {
        let (config, warnings) = manual();
        let text = summary(&config, &warnings);
        for row in [
            "key           first: credential nightlatch-key, seals and opens\n",
            "NODE  UUID                                  ADDRESSES      FORMERLY\n\
             cp-1  4c4c4544-0042-3510-8051-b4c04f4e3632  192.0.2.11/32\n",
            "NODE  CLUSTER  SEAL  UNSEAL  OTHER ADDRESS  APPROVED BY\n\
             cp-1           ask   ask     deny           alice\n",
            "APPROVER  UID   TELEGRAM ID\nalice     1000  -\n",
            "cli      the user who connects  approval-cli     -\n",
        ] {
            assert!(text.contains(row), "{row}\nis not in\n{text}");
        }
        assert!(!text.contains("warnings"));
    }

    #[test]
    fn long_lists_are_cut_and_wide_cells_are_padded() {
        assert_eq!(listed(&[1, 2, 3, 4, 5, 6, 7, 8], ""), "1 2 3 4 5 6 7 8");
        assert_eq!(listed(&[1, 2, 3, 4, 5, 6, 7, 8, 9], ""), "1 2 3 4 5 6 7 8 and 1 more");
        let mut text = String::new();
        table(&mut text, ["A", "B"], vec![["x".repeat(70_000), "y".into()]]);
        assert!(text.ends_with("x  y\n"), "a cell wider than the formatter can pad");
    }

    #[test]
    fn warnings_are_shown() {
        let text = MANUAL.replace("networks = [\"192.0.2.0/24\"]", "networks = []");
        let (config, warnings) = Config::parse(&text, "nightlatch.toml").expect("valid");
        assert!(summary(&config, &warnings).contains("\nwarnings\n  nightlatch.toml:"), "{warnings:?}");
    }

    #[test]
    fn explanations_are_printed_step_by_step() {
        let (config, _) = manual();
        let text = explained(&config, "cp-1", "192.0.2.11").expect("a node and an address");
        assert_eq!(
            text,
            "network: 192.0.2.11 is in the allowed network 192.0.2.0/24\n\
             node: 4c4c4544-0042-3510-8051-b4c04f4e3632 is listed as `cp-1`\n\
             address: it is listed for this node; all its listed addresses count as one\n\
             seal: asked: alice must approve\n  because of seal = \"ask\" (built in, written nowhere)\n\
             unseal: asked: alice must approve\n  because of unseal = \"ask\" (built in, written nowhere)\n\
             blocks, denials and approvals of the running service come before these rules\n"
        );
        assert!(explained(&config, "cp-1", "192.0.2").is_err());
        assert!(!explained(&config, "cp-1", "198.51.100.1").expect("an answer").contains("approvals"));
    }

    #[test]
    fn what_cannot_be_used_exits_with_78() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = load(&directory.path().join("nightlatch.toml")).expect_err("it is not there");
        assert_eq!(missing.code(), exit::CONFIG);
        let path = directory.path().join("wrong.toml");
        std::fs::write(&path, "frobnicate = 1").expect("written");
        let wrong = load(&path).expect_err("it is wrong");
        assert_eq!(wrong.code(), exit::CONFIG);
        assert!(wrong.error().contains("unknown key `frobnicate`"), "{wrong}");
    }
}
