//! `nightlatch init`: a first configuration, key and state in one directory, or a new state. It never overwrites anything.
//!
//! What it shares with `nightlatch credentials init`, which makes them in the system's directories, is in [`layout`],
//! [`wanted`] and [`template`].

pub(super) mod layout;
pub(super) mod template;
pub(super) mod wanted;

use std::path::{Path, PathBuf};

use self::layout::Layout;
use self::wanted::Wanted;
use super::keygen::create_key;
use super::{Failure, check, print_document};

/// Options of `nightlatch init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Put everything into this directory: for a trial, or a host without systemd
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    wanted: Wanted,
    /// Write a backup of the key to this new file, on a medium that is kept elsewhere
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
    /// Make no backup: when the key is lost, so is every disk sealed with it
    #[arg(long, conflicts_with = "backup")]
    no_backup: bool,
    /// Make a new state and nothing else, for the installation of this configuration, whose state was lost
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "directory", "network", "node", "approver", "installation", "backup", "no_backup"
    ])]
    state_only: Option<PathBuf>,
}

/// Makes them.
///
/// # Errors
/// [`Failure`] when the options make no usable configuration, when anything exists already, or on a failed write.
pub fn run(args: Args) -> Result<(), Failure> {
    let directory = match (args.state_only, args.directory) {
        (Some(config), _) => return new_state(&config),
        (None, Some(directory)) => directory,
        (None, None) => {
            return Err(Failure::usage("it is not said where: add --directory DIR or --state-only FILE")
                .hint("for the service of this host, use nightlatch credentials init instead"));
        }
    };
    if args.backup.is_none() && !args.no_backup {
        return Err(Failure::usage("it is not said where the backup of the key goes: add --backup FILE")
            .hint("name a file on another disk or a USB stick, or add --no-backup for a trial"));
    }
    let layout = Layout::below(&directory)?;
    let planned = args.wanted.plan(&layout)?;
    layout.refuse_what_exists(args.backup.as_deref())?;
    layout.make_directories()?;
    create_key(layout.key(), args.backup.as_deref())?;
    layout.make_state(planned.installation).and_then(|()| layout.write_config(&planned.text)).map_err(|failure| {
        failure.hint(format!(
            "remove {} and what is in {} before you try again",
            layout.key().display(),
            layout.state.display()
        ))
    })?;
    print_document(template::farewell(&layout, args.backup.as_deref(), &planned).as_bytes())
}

/// Makes a state in the place of one that was lost. What it held is gone, and that is said.
fn new_state(path: &Path) -> Result<(), Failure> {
    let (config, _) = check::load(path)?;
    let directory = &config.state_directory;
    layout::make_state(directory, config.installation)?;
    let said = format!(
        "made an empty state in {}\nthe lock, denials, blocks, approvals ahead and listed nodes are forgotten: block again what must \
         stay blocked\nwhen the audit log tells of a state from before, the server starts locked, until somebody unlocks it on this \
         host\n",
        directory.display()
    );
    print_document(said.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::cli::exit;
    use crate::cli::init::wanted::FirstNode;
    use crate::config::{self, Config};
    use crate::state::Store;

    const CP_1: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";

    fn args(directory: &Path) -> Args {
        Args {
            directory: Some(directory.join("trial")),
            wanted: Wanted {
                network: vec!["192.0.2.0/24".into(), "2001:db8::/64".into()],
                node: vec![FirstNode::parse(&format!("{CP_1}=cp-1@192.0.2.11,2001:db8::5")).expect("well-formed")],
                approver: Some(("alice".into(), Some(1000))),
                installation: None,
            },
            backup: Some(directory.join("backup")),
            no_backup: false,
            state_only: None,
        }
    }

    #[test]
    fn what_is_made_can_be_used_without_a_warning() {
        let directory = tempfile::tempdir().expect("a directory");
        run(args(directory.path())).expect("all is made");
        let trial = directory.path().join("trial");
        let (config, warnings) =
            Config::load(&trial.join("nightlatch.toml")).map_err(|error| error.to_string()).expect("it can be used");
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(config.installation.get_version_num(), 4);
        assert_eq!(config.state_directory, trial.join("state"));
        assert_eq!(config.keys[0].source, config::KeySource::File(trial.join("nightlatch.key")));
        assert_eq!(config.nodes[0].addresses.len(), 2);
        assert_eq!((&*config.approvers[0].name, config.approvers[0].uid), ("alice", Some(1000)));
        assert_eq!(config.channels[0].socket, Some(trial.join("cli.sock")));
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&trial), mode(&trial.join("state"))), (0o700, 0o700));
        assert!(trial.join("nightlatch.key").is_file() && directory.path().join("backup").is_file());
        assert!(fs::read_dir(trial.join("state")).expect("it is there").next().is_some());
    }

    #[test]
    fn nothing_is_written_when_anything_exists() {
        for taken in ["trial/nightlatch.toml", "trial/nightlatch.key", "trial/state/state", "backup"] {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join(taken);
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs::write(&path, "mine").expect("written");
            let failure = run(args(directory.path())).expect_err("it is in the way");
            assert_eq!(failure.code(), exit::CANNOT_CREATE);
            assert!(failure.error().contains("already there: "), "{failure}");
            let mut found = Vec::new();
            files(directory.path(), &mut found);
            assert_eq!(found, std::slice::from_ref(&path), "{taken}");
            assert_eq!(fs::read(&path).expect("it is there"), b"mine");
        }
    }

    fn files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }

    #[test]
    fn options_that_make_no_configuration_write_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        for network in ["192.0.2.1/24", "198.51.100.0/24", "\"]\n[rules]\nunseal = \"allow\" #"] {
            let mut args = args(directory.path());
            args.wanted.network = vec![network.into()];
            let failure = run(args).expect_err("refused");
            assert_eq!(failure.code(), exit::USAGE, "{failure}");
        }
        assert!(fs::read_dir(directory.path()).expect("a directory").next().is_none());
    }

    #[test]
    fn where_it_goes_has_to_be_said() {
        for (state_only, directory, no_backup, what_to_do) in
            [(None, None, true, "nightlatch credentials init"), (None, Some("trial".into()), false, "--no-backup")]
        {
            let args = Args { directory, wanted: Wanted::default(), backup: None, no_backup, state_only };
            let failure = run(args).expect_err("something is missing");
            assert_eq!(failure.code(), exit::USAGE);
            assert!(failure.to_string().contains(what_to_do), "{failure}");
        }
    }

    #[test]
    fn a_lost_state_is_made_again_and_one_that_is_there_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let configuration = directory.path().join("nightlatch.toml");
        let args = |more: &[&str]| {
            let made = ["init"].iter().chain(more).copied();
            <Parsed as clap::Parser>::try_parse_from(made).map(|parsed| parsed.args).map_err(|error| error.to_string())
        };
        let path = directory.path().to_str().expect("UTF-8");
        run(args(&["--directory", path, "--no-backup"]).expect("fine")).expect("made");
        let again = configuration.to_str().expect("UTF-8");
        let failure = run(args(&["--state-only", again]).expect("fine")).expect_err("there is a state");
        assert_eq!(failure.code(), exit::CANNOT_CREATE);
        fs::remove_dir_all(directory.path().join("state")).expect("lost");
        run(args(&["--state-only", again]).expect("fine")).expect("made");
        let (config, _) = Config::load(&configuration).expect("unchanged");
        assert!(Store::open(&config.state_directory, config.installation).is_ok());
        assert!(args(&["--state-only", again, "--no-backup"]).is_err());
    }

    #[derive(clap::Parser)]
    struct Parsed {
        #[command(flatten)]
        args: Args,
    }
}
