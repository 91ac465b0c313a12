//! `nightlatch doctor`: looks at what has to be right on this host before the night in which it is needed. It changes nothing.
//! docs/doctor.md lists what it looks at, and what each finding means.

mod facts;
mod finding;
mod judge;
mod look;
mod program;
mod show;
mod unit;

use std::path::PathBuf;

use rustix::process::geteuid;

use self::finding::{Check, Finding, Verdict};
use super::{Failure, exit, print_document};
use crate::clock::{Clock, HostClock};
use crate::config::{self, Config};
use crate::daemon::memory;

/// Options of `nightlatch doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// Roots in PEM that nodes get by TrustedRootsConfig: good for every disk but STATE
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// Print one JSON object for each finding
    #[arg(long)]
    json: bool,
}

/// Looks at the host, and prints what it finds.
///
/// # Errors
/// [`Failure`] when something is wrong, or when it could not look because it is not root.
pub fn run(args: Args) -> Result<(), Failure> {
    let protected = memory::protect();
    let wanted = look::Wanted {
        path: &args.config,
        configuration: Config::load(&args.config).map_err(|error| error.to_string()),
        roots: args.roots.as_deref(),
    };
    let host = look::look(wanted, HostClock.now().wall, &protected);
    let findings = judge::judge(&host);
    let document = if args.json { show::json(&findings) } else { show::text(&findings) };
    print_document(document.as_bytes())?;
    conclusion(&findings, geteuid().is_root())
}

/// With which code it ends: warnings do not fail, and what was not looked at is no reason to say that all is well.
fn conclusion(findings: &[Finding], root: bool) -> Result<(), Failure> {
    let wrong: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).collect();
    let unseen = findings.iter().any(|finding| finding.verdict == Verdict::NotLookedAt);
    match wrong.len() {
        0 if unseen && !root => {
            Err(Failure::new(exit::NO_PERMISSION, "not everything was looked at, since this user may not")
                .hint("run it as root: sudo nightlatch doctor"))
        }
        0 => Ok(()),
        count => {
            let code = match wrong.iter().any(|finding| finding.check == Check::Configuration) {
                true => exit::CONFIG,
                false => exit::UNAVAILABLE,
            };
            let what = if count == 1 { "1 thing is".to_owned() } else { format!("{count} things are") };
            Err(Failure::new(code, format!("{what} wrong"))
                .hint("do what stands below each line that says WRONG, and look again"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Unseen;

    #[test]
    fn only_what_is_wrong_or_unseen_without_root_fails() {
        let code = |findings: &[Finding], root| conclusion(findings, root).err().map(|failure| failure.code());
        let ok = Finding::ok(Check::Clock, "", "fine");
        let warning = Finding::warning(Check::Clock, "", "late", "look");
        let wrong = Finding::wrong(Check::Server, "", "down", "start it");
        let configuration = Finding::wrong(Check::Configuration, "", "no", "correct it");
        let unseen = Finding::not_looked_at(Check::Clock, "", &Unseen::because("no systemd"));
        assert_eq!(code(&[ok.clone(), warning.clone()], false), None);
        assert_eq!(code(&[ok.clone(), unseen.clone()], true), None);
        assert_eq!(code(&[ok, unseen.clone()], false), Some(exit::NO_PERMISSION));
        assert_eq!(code(&[unseen, wrong.clone()], false), Some(exit::UNAVAILABLE));
        assert_eq!(code(&[warning, wrong, configuration], true), Some(exit::CONFIG));
    }
}
