//! `nightlatch credentials init`: everything that the service of a new installation needs, in the system's directories.
//!
//! The order matters. The key is in memory alone until its backup is safe elsewhere, so that an interruption leaves the
//! backup and nothing else, and `--restore` goes on from there. The configuration comes last: without it nothing can use
//! the rest. What was made before a failure is removed again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use subtle::ConstantTimeEq;

use super::golden;
use super::systemd_creds::{Encrypted, WithKey};
use super::{Host, elsewhere, no_credential, no_key, where_to_look};
use crate::cli::init::layout::Layout;
use crate::cli::init::wanted::{Planned, Wanted, user_name};
use crate::cli::{APPROVERS_GROUP as GROUP, Failure, exit, keygen};
use crate::credential;
use crate::key::{KeyId, SourceNumber, local::LocalKey};
use crate::secret::KeyBytes;
use crate::state::key_record::{RecordedKey, Verification, VerifiedBackup, Writer};

/// Under which name systemd hands the key over.
const CREDENTIAL: &str = "nightlatch-key";

/// What the configuration calls the key.
const NAME: &str = "first";

/// Options of `nightlatch credentials init`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("copy").required(true).multiple(true).args(["backup", "no_backup", "restore"]))]
pub(super) struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// Write a backup of the new key to this new file: on a USB stick or a share, or below /run to copy it from there to
    /// another machine
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_backup", "restore"])]
    backup: Option<PathBuf>,
    /// Go on without a verified backup: when this host is lost, so is every disk sealed with its key
    #[arg(long)]
    no_backup: bool,
    /// Take the key from this backup instead of making one: the host before this one is lost or replaced
    #[arg(long, value_name = "BACKUP")]
    restore: Option<PathBuf>,
    /// What of this host the key is encrypted with: host, tpm2, host+tpm2, or auto, which takes a TPM2 if there is one
    #[arg(long, value_name = "KEY", value_enum, default_value_t = WithKey::Auto, hide_possible_values = true)]
    with_key: WithKey,
}

/// Makes it all, and says what was made.
///
/// # Errors
/// What went wrong, what is left, and how to go on.
pub(super) fn run(host: &mut Host<'_>, args: Args) -> Result<String, Failure> {
    host.refuse_without_root()?;
    let planned = args.wanted.plan(&host.layout)?;
    host.layout.refuse_what_exists(args.backup.as_deref())?;
    let copy = Copy::plan(host, args.backup, args.restore, args.no_backup)?;
    let key = match &copy.origin {
        Origin::Restored(file) => credential::from_backup(file).map_err(|error| no_key(&error))?,
        Origin::New(_) | Origin::NewWithoutBackup => {
            KeyBytes::try_fill(|key| getrandom::fill(key)).map_err(|error| keygen::no_random_numbers(&error))?
        }
    };
    // Before anything is written: most of what can go wrong goes wrong here.
    let encrypted = host
        .systemd_creds
        .encrypt(CREDENTIAL, args.with_key, key.expose())
        .map_err(|error| no_credential(&error).hint(format!("{}; nothing was written", error.hint())))?;
    let backup = copy.secure(host, &key)?;
    let made = Made { key: &key, encrypted: &encrypted, planned: &planned, backup: backup.as_ref(), copy: &copy };
    let id = made.write(host).map_err(|failure| copy.what_is_left(failure))?;
    Ok(made.report(host, id, args.with_key))
}

/// Where the key comes from.
#[derive(Debug)]
enum Origin {
    /// It is new, and this is to be its backup.
    New(PathBuf),
    /// It is new, and has none.
    NewWithoutBackup,
    /// It is in this backup.
    Restored(PathBuf),
}

/// What becomes of the backup.
#[derive(Debug)]
struct Copy {
    origin: Origin,
    /// Whether it is lost with this host, so that somebody has to have it elsewhere before this ends.
    to_be_copied: bool,
    waived: bool,
}

impl Copy {
    /// Sees, before anything is made, that this can end.
    fn plan(host: &Host<'_>, backup: Option<PathBuf>, restore: Option<PathBuf>, waived: bool) -> Result<Self, Failure> {
        let absolute = |path: PathBuf| {
            std::path::absolute(&path).map_err(|error| Failure::usage("there is no such file").because(&error))
        };
        let origin = match (backup, restore) {
            (Some(file), _) => Origin::New(absolute(file)?),
            (None, Some(file)) => Origin::Restored(absolute(file)?),
            (None, None) => Origin::NewWithoutBackup,
        };
        let mut copy = Self { origin, to_be_copied: false, waived };
        let Some(file) = copy.file().map(Path::to_path_buf) else { return Ok(copy) };
        if host.layout.directories().any(|(directory, _)| file.starts_with(directory)) {
            return Err(Failure::usage(format!("{} is where the service keeps its own files", file.display()))
                .hint("name a file on a USB stick or a share, or below /run"));
        }
        copy.to_be_copied = !waived && !host.outlives_this_host(&file, &host.layout.state)?;
        if copy.to_be_copied && !host.person.is_there() {
            return Err(Failure::new(
                exit::USAGE,
                format!(
                    "{} is lost with this host, and there is no terminal to ask about a copy of it",
                    file.display()
                ),
            )
            .hint("name a file on a USB stick or a share, run it at a terminal (ssh -t), or add --no-backup"));
        }
        Ok(copy)
    }

    /// The file with the backup.
    fn file(&self) -> Option<&Path> {
        match &self.origin {
            Origin::New(file) | Origin::Restored(file) => Some(file),
            Origin::NewWithoutBackup => None,
        }
    }

    /// Writes the backup if the key is new, and sees to it that there is one that this host does not take along.
    fn secure(&self, host: &mut Host<'_>, key: &KeyBytes) -> Result<Option<VerifiedBackup>, Failure> {
        let Some(file) = self.file() else { return Ok(None) };
        if let Origin::New(file) = &self.origin {
            keygen::write(file, key.expose())?;
        }
        if self.waived {
            return Ok(None);
        }
        if !self.to_be_copied {
            return Ok(Some(VerifiedBackup::new(host.now, Verification::Read, &file.display().to_string())));
        }
        elsewhere::confirm(host.person, &self.explanation(file), &[key.expose()])
            .map_err(|failure| self.what_is_left(failure))?;
        Ok(Some(VerifiedBackup::new(host.now, Verification::Digest, Host::ELSEWHERE)))
    }

    fn explanation(&self, file: &Path) -> String {
        let what = match self.origin {
            Origin::Restored(_) => {
                "is on this host. It counts once you have it on another machine as well. There, for example:"
            }
            _ => "is on this host alone, and lost with it. Copy it to another machine now. There, for example:",
        };
        let resume = match self.origin {
            Origin::Restored(_) => String::new(),
            _ => format!(
                "\nNothing else was made yet. Should this be interrupted: run it again, with --restore {}\nin the place of --backup.\n",
                file.display()
            ),
        };
        format!("\nThe backup {}\n{what}\n\n{}{resume}", file.display(), where_to_look(file))
    }

    /// Adds to a failure what is left of it.
    fn what_is_left(&self, failure: Failure) -> Failure {
        match &self.origin {
            Origin::New(file) => failure.also(&format!(
                "then run it again, with --restore {} in the place of --backup: nothing else is left",
                file.display()
            )),
            _ => failure.also("then run it again: nothing is left"),
        }
    }
}

/// All that is written once the backup is safe.
struct Made<'a> {
    key: &'a KeyBytes,
    encrypted: &'a Encrypted,
    planned: &'a Planned,
    backup: Option<&'a VerifiedBackup>,
    copy: &'a Copy,
}

impl Made<'_> {
    /// Writes credential, state, key record and configuration, or none of them.
    fn write(&self, host: &Host<'_>) -> Result<KeyId, Failure> {
        let mut undo = Undo::new(&host.layout);
        let written = self.write_each(host, &mut undo);
        written.map_err(|failure| undo.run(failure))
    }

    fn write_each(&self, host: &Host<'_>, undo: &mut Undo) -> Result<KeyId, Failure> {
        let layout = &host.layout;
        // Once more: somebody was asked meanwhile, which takes as long as it takes.
        layout.refuse_what_exists(None)?;
        layout.make_directories()?;
        keygen::write(layout.key(), &self.encrypted.text)?;
        undo.files.push(layout.key().into());
        let opened = host.systemd_creds.decrypt(CREDENTIAL, layout.key()).map_err(|error| no_credential(&error))?;
        if !bool::from(opened.expose().ct_eq(self.key.expose())) {
            return Err(Failure::new(exit::DATA, "the credential opens, and is not the key")
                .hint("the disk, the TPM2 or systemd-creds may be at fault: use another host"));
        }
        layout.make_state(self.planned.installation)?;
        // Not before: what keeps it from being made is somebody's.
        undo.state = Some(layout.state.clone());
        let key = golden::Key::Random(self.key);
        let cannot_record = |error: &dyn std::error::Error| {
            Failure::new(exit::CANNOT_CREATE, "cannot make the key record").because(error)
        };
        let golden_blob = golden::seal(&key).map_err(|error| cannot_record(&error))?;
        let id = LocalKey::id_of(self.key);
        let (mut writer, mut record) = Writer::lock(&layout.state).map_err(|error| cannot_record(&error))?;
        record.put(RecordedKey {
            id,
            source: SourceNumber::Credential,
            name: NAME.into(),
            made_at: (!matches!(self.copy.origin, Origin::Restored(_))).then_some(host.now),
            golden_blob,
            backup: self.backup.cloned(),
        });
        writer.write(&record).map_err(|error| cannot_record(&error))?;
        layout.write_config(&self.planned.text)?;
        Ok(id)
    }

    /// What was made, and what to do next. Adds the approver to their group, which is nothing to fail for.
    fn report(&self, host: &Host<'_>, id: KeyId, with_key: WithKey) -> String {
        let layout = &host.layout;
        let (config, key, state) = (layout.config.display(), layout.key().display(), layout.state.display());
        let mut text = format!(
            "made {config}\nmade {key}: the key {id}, encrypted for this host ({})\nmade {state}\n",
            with_key.as_str()
        );
        text += &self.about_the_backup(layout);
        text += &about_the_approver(host, self.planned);
        if !self.encrypted.said.is_empty() {
            text += &format!("note: systemd-creds: {}\n", self.encrypted.said);
        }
        for warning in &self.planned.warnings {
            text += &format!("note: {warning}\n");
        }
        text + "\nnext\n  nightlatch check\n  systemctl enable --now nightlatch.service\n  nightlatch doctor\n"
    }

    fn about_the_backup(&self, layout: &Layout) -> String {
        let Some(file) = self.copy.file().map(Path::display) else {
            return format!(
                "made no backup: when this host is lost, so is every disk sealed with this key. For one, on a USB stick:\n  \
                 umask 077; systemd-creds decrypt --name={CREDENTIAL} {} - >FILE && nightlatch credentials verify --backup FILE\n",
                layout.key().display()
            );
        };
        match self.backup.map(VerifiedBackup::by) {
            Some(Verification::Read) => {
                format!("backup {file}, read back: keep it away from this host, as you would keep the disks\n")
            }
            Some(Verification::Digest) => format!(
                "backup verified: you have it elsewhere. Keep it as you would keep the disks, and remove it here:\n  rm {file}\n"
            ),
            None => {
                format!("backup {file} was not verified. When you have it elsewhere: nightlatch credentials verify\n")
            }
        }
    }
}

fn about_the_approver(host: &Host<'_>, planned: &Planned) -> String {
    let (name, uid) = (&planned.person.name, planned.person.uid);
    // Root needs no group to reach the socket.
    if uid == 0 {
        return format!("`{name}` (user id 0) may approve\n");
    }
    let joined = match user_name(uid) {
        Some(user) => (host.join)(&user).map(|()| format!("{user} is in the group {GROUP} now, and logs in anew")),
        None => Err(format!("there is no user {uid} in /etc/passwd")),
    };
    match joined {
        Ok(joined) => format!("`{name}` (user id {uid}) may approve: {joined}\n"),
        Err(why) => format!(
            "`{name}` (user id {uid}) may approve, once in the group {GROUP} ({why}):\n  \
             usermod --append --groups {GROUP} \"$(id -un {uid})\"\n"
        ),
    }
}

/// Adds a user to the group that may use the socket of the command line.
pub(super) fn join_approvers(user: &str) -> Result<(), String> {
    let done = Command::new("/usr/sbin/usermod")
        .args(["--append", "--groups", GROUP, user])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run usermod: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(said.lines().next().unwrap_or("usermod failed").to_owned())
}

/// What was made, until all of it is.
#[derive(Debug)]
struct Undo {
    files: Vec<PathBuf>,
    /// The state directory. It was empty, or not there.
    state: Option<PathBuf>,
    /// Directories that were not there.
    directories: Vec<PathBuf>,
}

impl Undo {
    fn new(layout: &Layout) -> Self {
        let missing = layout.directories().map(|(directory, _)| directory).filter(|directory| !directory.exists());
        Self { files: vec![], state: None, directories: missing.map(Path::to_path_buf).collect() }
    }

    /// Removes it all, and says if that is not possible.
    fn run(self, failure: Failure) -> Failure {
        let of_state = self.state.iter().filter_map(|state| fs::read_dir(state).ok()).flatten();
        let of_state = of_state.filter_map(|entry| Some(entry.ok()?.path()));
        let left: Vec<String> = of_state
            .chain(self.files.iter().cloned())
            .filter(|file| fs::remove_file(file).is_err())
            .map(|file| file.display().to_string())
            .collect();
        for directory in self.directories.iter().rev() {
            let _not_empty_or_not_made = fs::remove_dir(directory);
        }
        if left.is_empty() {
            failure
        } else {
            failure.also(&format!("remove {} before you try again", left.join(", ")))
        }
    }
}
