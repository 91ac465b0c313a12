//! `nightlatch init`: a first configuration, key and state. It never overwrites anything.

mod template;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use self::template::{FirstNode, Person};
use super::keygen::create_key;
use super::{Failure, check, exit, print_document};
use crate::config::{self, Config, Warning};
use crate::state::Store;

/// Options of `nightlatch init`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("copy").required(true).args(["backup", "no_backup", "state_only"]))]
pub struct Args {
    /// Put everything into this directory, for a trial or without root; else /etc/nightlatch and /var/lib/nightlatch
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// A network or address from which nodes may call, such as 192.0.2.0/24 (may be given again)
    #[arg(long, value_name = "NET")]
    network: Vec<String>,
    /// A node that may ask; several addresses are separated by commas (may be given again)
    #[arg(long, value_name = "UUID=NAME[@ADDRESS]", value_parser = FirstNode::parse)]
    node: Vec<FirstNode>,
    /// Who approves; without a user id it is the user who runs this
    #[arg(long, value_name = "NAME[=UID]", value_parser = parse_approver)]
    approver: Option<(String, Option<u32>)>,
    /// The installation of a state that was lost; else a new one
    #[arg(long, value_name = "UUID")]
    installation: Option<Uuid>,
    /// Write a backup of the key to this new file, on a medium that is kept elsewhere
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
    /// Make no backup: when the key is lost, so is every disk sealed with it
    #[arg(long)]
    no_backup: bool,
    /// Make a new state and nothing else, for the installation of this configuration, whose state was lost
    #[arg(long, value_name = "FILE", conflicts_with_all = ["directory", "network", "node", "approver", "installation"])]
    state_only: Option<PathBuf>,
}

/// Where everything goes.
#[derive(Debug)]
struct Layout {
    config: PathBuf,
    key: PathBuf,
    state: PathBuf,
    socket: PathBuf,
    /// Whether the service gets the key as a credential, rather than from the file.
    credential: bool,
}

impl Layout {
    fn of_the_system() -> Self {
        Self {
            config: config::DEFAULT_PATH.into(),
            // In memory, until systemd-creds has encrypted it: the plain key should never have been on the disk.
            key: "/run/nightlatch.key".into(),
            state: config::DEFAULT_STATE_DIRECTORY.into(),
            socket: "/run/nightlatch/cli.sock".into(),
            credential: true,
        }
    }

    fn below(directory: &Path) -> Result<Self, Failure> {
        let directory = std::path::absolute(directory)
            .map_err(|error| Failure::usage("this directory cannot be used").because(&error))?;
        Ok(Self {
            config: directory.join("nightlatch.toml"),
            key: directory.join("nightlatch.key"),
            state: directory.join("state"),
            socket: directory.join("cli.sock"),
            credential: false,
        })
    }
}

/// Makes them.
///
/// # Errors
/// [`Failure`] when the options make no usable configuration, when anything exists already, or on a failed write.
pub fn run(args: Args) -> Result<(), Failure> {
    if let Some(config) = &args.state_only {
        return new_state(config);
    }
    let layout = args.directory.as_deref().map_or_else(|| Ok(Layout::of_the_system()), Layout::below)?;
    let person = person(args.approver);
    let installation = args.installation.map_or_else(random_uuid, Ok)?;
    let text = template::text(&layout, installation, &args.network, &args.node, &person)?;
    let warnings = check_text(&text, &layout)?;
    refuse_what_exists(&layout, args.backup.as_deref())?;
    write(&layout, args.backup.as_deref(), installation, &text)?;
    print_document(template::farewell(&layout, args.backup.as_deref(), &person, &warnings).as_bytes())
}

/// Makes a state in the place of one that was lost. What it held is gone, and that is said.
fn new_state(path: &Path) -> Result<(), Failure> {
    let (config, _) = check::load(path)?;
    let directory = &config.state_directory;
    let cannot = |error: &dyn std::error::Error| {
        Failure::new(exit::CANNOT_CREATE, format!("cannot make a state in {}", directory.display())).because(error)
    };
    make_directory(directory, 0o700)
        .map_err(|error| cannot(&error).hint("it takes the rights of the service, or root's"))?;
    let made = Store::create(directory, config.installation);
    drop(made.map_err(|error| cannot(&error).hint(error.hint()))?);
    give_to_owner(directory).map_err(|error| cannot(&error))?;
    let said = format!(
        "made an empty state in {}\nall denials and blocks are forgotten: block again what must stay blocked\n",
        directory.display()
    );
    print_document(said.as_bytes())
}

fn parse_approver(text: &str) -> Result<(String, Option<u32>), std::num::ParseIntError> {
    match text.split_once('=') {
        Some((name, uid)) => Ok((name.to_owned(), Some(uid.parse()?))),
        None => Ok((text.to_owned(), None)),
    }
}

/// The person on the command line, or the user who runs this. Not the one that SUDO_USER names: anybody can set that.
fn person(approver: Option<(String, Option<u32>)>) -> Person {
    let own = rustix::process::getuid().as_raw();
    match approver {
        Some((name, uid)) => Person { name, uid: uid.unwrap_or(own) },
        None => Person { name: user_name(own).unwrap_or_else(|| "admin".to_owned()), uid: own },
    }
}

/// The name of a local user.
fn user_name(uid: u32) -> Option<String> {
    let mut users = String::new();
    fs::File::open("/etc/passwd").ok()?.take(1024 * 1024).read_to_string(&mut users).ok()?;
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

fn random_uuid() -> Result<Uuid, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::new(exit::UNAVAILABLE, "the host gives no random numbers").because(&error))?;
    Ok(uuid::Builder::from_random_bytes(random).into_uuid())
}

/// Reads the configuration before it is written: what `init` makes is never refused by `serve`.
fn check_text(text: &str, layout: &Layout) -> Result<Vec<Warning>, Failure> {
    Config::parse(text, &layout.config.display().to_string()).map(|(_, warnings)| warnings).map_err(|error| {
        Failure::usage(format!("these options make no usable configuration; nothing was written\n\n{error}"))
            .hint("correct the option that the marked line comes from")
    })
}

fn refuse_what_exists(layout: &Layout, backup: Option<&Path>) -> Result<(), Failure> {
    let state_in_use = fs::read_dir(&layout.state).is_ok_and(|mut entries| entries.next().is_some());
    let taken = |path: &&Path| path.symlink_metadata().is_ok();
    let in_the_way: Vec<String> = [&*layout.config, &*layout.key]
        .into_iter()
        .chain(backup)
        .filter(taken)
        .chain((state_in_use || layout.state.is_file()).then_some(&*layout.state))
        .map(|path| path.display().to_string())
        .collect();
    if in_the_way.is_empty() {
        return Ok(());
    }
    Err(Failure::new(exit::CANNOT_CREATE, format!("already there: {}; nothing was written", in_the_way.join(", ")))
        .hint("edit what is there, or move it away if no disk depends on it"))
}

/// Writes key, state and configuration, in this order: without the configuration nothing can use the other two.
fn write(layout: &Layout, backup: Option<&Path>, installation: Uuid, text: &str) -> Result<(), Failure> {
    let cannot = |path: &Path, error: &io::Error| {
        Failure::new(exit::CANNOT_CREATE, format!("cannot make {}", path.display()))
            .because(error)
            .hint("the system's directories are root's: use sudo, or --directory DIR for a trial")
    };
    if let Some(directory) = layout.config.parent() {
        let mode = if layout.credential { 0o755 } else { 0o700 };
        make_directory(directory, mode).map_err(|error| cannot(directory, &error))?;
    }
    make_directory(&layout.state, 0o700).map_err(|error| cannot(&layout.state, &error))?;
    create_key(&layout.key, backup)?;
    let rest = || -> Result<(), Failure> {
        let made = Store::create(&layout.state, installation);
        let _store =
            made.map_err(|error| Failure::new(exit::CANNOT_CREATE, "cannot make the state").because(&error))?;
        give_to_owner(&layout.state).map_err(|error| cannot(&layout.state, &error))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&layout.config)
            .map_err(|error| cannot(&layout.config, &error))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| cannot(&layout.config, &error))
    };
    rest().map_err(|failure| {
        failure.hint(format!(
            "remove {} and what is in {} before you try again",
            layout.key.display(),
            layout.state.display()
        ))
    })
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Gives what is in `directory` to its owner: the service's user, when systemd has made it before. A directory that is
/// new is root's; systemd gives it away with all that is in it (StateDirectory=) at the first start.
fn give_to_owner(directory: &Path) -> io::Result<()> {
    let owner = fs::metadata(directory)?;
    if owner.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    fs::read_dir(directory)?.try_for_each(|entry| chown(entry?.path(), Some(owner.uid()), Some(owner.gid())))
}

impl FirstNode {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (uuid, rest) = text.split_once('=').ok_or("write UUID=NAME or UUID=NAME@ADDRESS")?;
        let (name, addresses) = rest.split_once('@').unwrap_or((rest, ""));
        let addresses: Vec<String> =
            addresses.split(',').filter(|address| !address.is_empty()).map(str::to_owned).collect();
        if addresses_are_all(&addresses) {
            return Ok(Self { uuid: uuid.to_owned(), name: name.to_owned(), addresses });
        }
        Err("after @ write an address such as 192.0.2.11, or several with commas")
    }
}

fn addresses_are_all(addresses: &[String]) -> bool {
    addresses.iter().all(|address| address.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const CP_1: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";

    fn args(directory: &Path) -> Args {
        Args {
            directory: Some(directory.join("trial")),
            network: vec!["192.0.2.0/24".into(), "2001:db8::/64".into()],
            node: vec![FirstNode::parse(&format!("{CP_1}=cp-1@192.0.2.11,2001:db8::5")).expect("well-formed")],
            approver: Some(("alice".into(), Some(1000))),
            installation: None,
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
    fn what_is_made_for_the_system_can_be_used() {
        let layout = Layout::of_the_system();
        let person = Person { name: "alice".into(), uid: 1000 };
        let installation = random_uuid().expect("random numbers");
        let text = template::text(&layout, installation, &[], &[], &person).expect("text");
        let (config, warnings) = Config::parse(&text, "x").map_err(|error| error.to_string()).expect("it can be used");
        assert_eq!(config.keys[0].source, config::KeySource::Credential("nightlatch-key".into()));
        assert_eq!(config.installation, installation);
        assert_eq!(warnings.len(), 2, "no network and no node: {warnings:?}");
        let said = template::farewell(&layout, None, &person, &warnings);
        assert!(said.contains("systemd-creds encrypt --name=nightlatch-key /run/nightlatch.key"), "{said}");
        assert!(said.contains("nightlatch-approvers \"$(id -un 1000)\"\n"), "{said}");
        let root = Person { name: "root".into(), uid: 0 };
        assert!(!template::farewell(&layout, None, &root, &warnings).contains("nightlatch-approvers"));
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
            let failure = run(Args { network: vec![network.into()], ..args(directory.path()) }).expect_err("refused");
            assert_eq!(failure.code(), exit::USAGE, "{failure}");
        }
        assert!(fs::read_dir(directory.path()).expect("a directory").next().is_none());
    }

    #[test]
    fn texts_of_nodes_and_approvers() {
        let node = FirstNode::parse(&format!("{CP_1}=cp-1")).expect("well-formed");
        assert_eq!((&*node.uuid, &*node.name, node.addresses.len()), (CP_1, "cp-1", 0));
        assert!(FirstNode::parse("cp-1").is_err());
        assert!(FirstNode::parse("x=y@z").is_err());
        assert_eq!(parse_approver("alice=1000"), Ok(("alice".into(), Some(1000))));
        assert_eq!(parse_approver("alice"), Ok(("alice".into(), None)));
        assert!(parse_approver("alice=bob").is_err());
        assert_eq!(user_name(0).as_deref(), Some("root"));
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
