//! `nightlatch credentials`: the key of a new installation as a credential of systemd, and the backups of keys.

mod elsewhere;
pub mod golden;
mod init;
mod place;
pub mod systemd_creds;
mod verify;

use std::path::{Path, PathBuf};

use self::elsewhere::{AtTheTerminal, Person};
use self::place::Medium;
use self::systemd_creds::SystemdCreds;
use super::init::layout::Layout;
use super::{Failure, exit, print_document};
use crate::clock::{Clock, HostClock, WallTime};
use crate::credential;
use crate::daemon::memory;

/// Options of `nightlatch credentials`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make key, credential, state and configuration for the service of this host, and a backup that was verified
    Init(init::Args),
    /// Verify that a backup is still the key, and record when
    Verify(verify::Args),
}

/// Does what is asked for.
///
/// # Errors
/// What went wrong, what is left of it, and how to go on.
pub fn run(args: Args) -> Result<(), Failure> {
    memory::protect();
    let mut person = AtTheTerminal;
    let mut host = Host {
        layout: Layout::of_the_system(),
        systemd_creds: SystemdCreds::of_the_system(),
        sys: "/sys".into(),
        is_root: rustix::process::geteuid().is_root(),
        now: HostClock.now().wall,
        person: &mut person,
        join: init::join_approvers,
    };
    let said = match args.command {
        Command::Init(args) => init::run(&mut host, args)?,
        Command::Verify(args) => verify::run(&mut host, &args)?,
    };
    print_document(said.as_bytes())
}

/// What these commands need of the host. Tests give them another.
struct Host<'a> {
    layout: Layout,
    systemd_creds: SystemdCreds,
    /// Where sysfs is.
    sys: PathBuf,
    is_root: bool,
    now: WallTime,
    person: &'a mut dyn Person,
    /// Adds the user of this name to the group of those who may use the command line's socket.
    join: fn(&str) -> Result<(), String>,
}

impl Host<'_> {
    /// Where a backup is that this host has no name for.
    const ELSEWHERE: &'static str = "elsewhere";

    fn refuse_without_root(&self) -> Result<(), Failure> {
        if self.is_root {
            return Ok(());
        }
        Err(Failure::new(exit::NO_PERMISSION, "the credentials of this host are root's")
            .hint("run it with sudo; for a trial without root there is nightlatch init --directory DIR"))
    }

    /// Whether the file at `path` is still there when the disks with key and state are lost.
    fn outlives_this_host(&self, path: &Path, state: &Path) -> Result<bool, Failure> {
        let medium = |path: &Path| {
            Medium::of(path, &self.sys).map_err(|error| {
                Failure::new(exit::NO_INPUT, format!("cannot look at the file system of {}", path.display()))
                    .because(&error)
            })
        };
        Ok(medium(path)?.outlives(&[medium(self.layout.key())?, medium(state)?]))
    }
}

/// What a person is told before they are asked for digits.
fn where_to_look(file: &Path) -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    format!("  scp root@{host}:{0} nightlatch-backup.key\n  sha256sum nightlatch-backup.key\n", file.display())
}

fn no_key(error: &credential::Error) -> Failure {
    let code = match error {
        credential::Error::TooOpen { .. } => exit::NO_PERMISSION,
        credential::Error::WrongLength { .. } | credential::Error::Weak { .. } => exit::DATA,
        _ => exit::NO_INPUT,
    };
    Failure::new(code, "there is no key").because(error).hint(error.hint())
}

fn no_credential(error: &systemd_creds::Error) -> Failure {
    let code = match error {
        systemd_creds::Error::NotInstalled(_) => exit::UNAVAILABLE,
        _ => exit::IO,
    };
    Failure::new(code, "the credential of the key cannot be made or opened").because(error).hint(error.hint())
}

#[cfg(test)]
mod tests;
