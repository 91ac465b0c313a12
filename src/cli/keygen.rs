//! `nightlatch keygen`: a new key or passphrase, and a backup of it that was read back.

mod passphrase;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Failure, exit};
use crate::key::{KeyId, Source, local::LocalKey};
use crate::secret::KeyBytes;

/// Options of `nightlatch keygen`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The new file for the key; it must not exist
    #[arg(long, value_name = "FILE", required_unless_present = "passphrase")]
    out: Option<PathBuf>,
    /// The new file for a backup of the key, in another directory, best on another disk or a USB stick
    #[arg(long, value_name = "FILE", required_unless_present_any = ["no_backup", "passphrase"], requires = "out")]
    backup: Option<PathBuf>,
    /// Make no backup: when the key is lost, so is every disk that it sealed
    #[arg(long, conflicts_with = "backup")]
    no_backup: bool,
    /// Make a passphrase instead, and print what belongs into the configuration; without --out it is shown once, at the
    /// terminal
    #[arg(long)]
    passphrase: bool,
    /// With --passphrase: take one that you type. Whoever has a disk can try guesses at it, as many as they like, with no
    /// server and no approval
    #[arg(long, requires = "passphrase")]
    guessable: bool,
}

/// Makes a key, writes it and its backup, and reads both back. The key itself is never shown.
///
/// # Errors
/// What went wrong; then neither file is left behind.
pub fn run(args: Args) -> Result<(), Failure> {
    let Some(out) = args.out.as_deref().filter(|_| !args.passphrase) else {
        return passphrase::run(&args);
    };
    let made = make(out, args.backup.as_deref())?;
    say(&made.warnings, &report(out, args.backup.as_deref(), made.id));
    Ok(())
}

/// Says what there is to say about a key that is made and safe. If nobody listens, that changes nothing.
fn say(warned: &[String], report: &str) {
    let mut warnings = String::new();
    for warning in warned {
        warnings.push_str(&format!("nightlatch: warning: {warning}\n"));
    }
    let _closed = io::stderr().write_all(warnings.as_bytes());
    let _closed = io::stdout().write_all(report.as_bytes());
}

/// A key that was written, and what its owner should know.
#[derive(Debug)]
struct Made {
    id: KeyId,
    warnings: Vec<String>,
}

/// Makes a key for `nightlatch init`, and gives what its owner should know.
///
/// # Errors
/// What went wrong; then neither file is left behind.
pub(super) fn create_key(out: &Path, backup: Option<&Path>) -> Result<Vec<String>, Failure> {
    make(out, backup).map(|made| made.warnings)
}

fn make(out: &Path, backup: Option<&Path>) -> Result<Made, Failure> {
    let mut warnings = vec![];
    match backup {
        Some(backup) => warnings.extend(check_places(out, backup)?),
        None => warnings.push("there is no backup: when this key is lost, so is every disk that it sealed".into()),
    }
    let key = KeyBytes::try_fill(|key| getrandom::fill(key)).map_err(|error| no_random_numbers(&error))?;
    warnings.extend(write_both(out, backup, key.expose())?);
    Ok(Made { id: LocalKey::new(key).key().id, warnings })
}

pub(super) fn no_random_numbers(error: &getrandom::Error) -> Failure {
    Failure::new(exit::SOFTWARE, "the kernel gave no random numbers").because(error)
}

/// Writes a secret and its backup, or neither. Gives what its owner should know.
fn write_both(out: &Path, backup: Option<&Path>, secret: &[u8]) -> Result<Option<String>, Failure> {
    write(out, secret)?;
    if let Some(backup) = backup {
        let mode = write(backup, secret).map_err(|failure| undo(out, failure))?;
        if mode & 0o077 != 0 {
            return Ok(Some(format!(
                "others than you may read {} (mode {mode:04o}), as its file system keeps no permissions: lock it away",
                backup.display()
            )));
        }
    }
    Ok(None)
}

/// A backup in the directory of the key is lost with it; one on the same file system probably is.
fn check_places(out: &Path, backup: &Path) -> Result<Option<String>, Failure> {
    let (key, copy) = (directory(out)?, directory(backup)?);
    let identity = |path: &Path| {
        path.metadata()
            .map(|metadata| (metadata.dev(), metadata.ino()))
            .map_err(|error| unusable(path, &error).hint("make the directory first"))
    };
    let (key_identity, copy_identity) = (identity(key)?, identity(copy)?);
    if key_identity == copy_identity {
        return Err(Failure::usage("the backup is to be in the directory of the key")
            .hint("name a file on another disk, a USB stick, or at least in another directory"));
    }
    Ok((key_identity.0 == copy_identity.0).then(|| {
        format!(
            "{} is on the same file system as the key: copy it to another disk or machine, or it is lost with the key",
            backup.display()
        )
    }))
}

/// The directory that a new file is to be in.
fn directory(file: &Path) -> Result<&Path, Failure> {
    match (file.file_name(), file.parent()) {
        (Some(_), Some(parent)) if parent.as_os_str().is_empty() => Ok(Path::new(".")),
        (Some(_), Some(parent)) => Ok(parent),
        _ => Err(Failure::usage(format!("{} is not the name of a file", file.display()))),
    }
}

/// Writes a new file, sees to it that it is on the disk, and reads it back. Returns its permission bits.
///
/// What fails leaves no file behind.
pub(super) fn write(path: &Path, secret: &[u8]) -> Result<u32, Failure> {
    let parent = directory(path)?;
    let file =
        File::options().write(true).create_new(true).mode(0o600).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::new(exit::CANNOT_CREATE, format!("{} exists", path.display()))
                .hint("a key is never overwritten: name a new file"),
            _ => unusable(path, &error).hint("see that the directory exists and that you may write to it"),
        })?;
    let written = store(&file, parent, secret).and_then(|()| read_back(path, secret.len()));
    let failure = match written {
        Ok((found, mode)) if found.as_slice().ct_eq(secret).into() => return Ok(mode),
        Ok(_) => Failure::new(exit::IO, format!("{} does not hold what was written to it", path.display()))
            .hint("the disk may be failing: use another one"),
        Err(error) => Failure::new(exit::IO, format!("cannot write {}", path.display())).because(&error),
    };
    Err(undo(path, failure))
}

fn store(mut file: &File, parent: &Path, secret: &[u8]) -> io::Result<()> {
    file.write_all(secret)?;
    file.sync_all()?;
    File::open(parent)?.sync_all()?;
    // So that it is the disk that is read back, where the file system allows it. Where it does not, it is memory.
    let _cached = fadvise(file, 0, None, Advice::DontNeed);
    Ok(())
}

fn read_back(path: &Path, length: usize) -> io::Result<(Zeroizing<Vec<u8>>, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode() & 0o7777;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(length as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes, mode))
}

/// Removes a file that was made before `failure`. A key without its backup must not be used by mistake.
fn undo(path: &Path, failure: Failure) -> Failure {
    match std::fs::remove_file(path) {
        Ok(()) => failure,
        Err(_) => failure.hint(format!("remove {}, which is of no use", path.display())),
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(exit::CANNOT_CREATE, format!("cannot create {}", path.display())).because(error)
}

fn report(out: &Path, backup: Option<&Path>, id: KeyId) -> String {
    let out = out.display();
    let backup = match backup {
        Some(backup) => format!(
            "backup  {}, written and read back\n\n\
             next, for this host's service:\n  \
             systemd-creds encrypt --name=nightlatch-key {out} /etc/credstore.encrypted/nightlatch-key && rm {out}\n\
             and put the backup where neither a thief nor a fire gets at it together with this host\n",
            backup.display()
        ),
        None => format!(
            "backup  none\n\n\
             next, for this host's service:\n  \
             systemd-creds encrypt --name=nightlatch-key {out} /etc/credstore.encrypted/nightlatch-key\n\
             and keep {out} somewhere else: what is encrypted for this host cannot be read on another\n"
        ),
    };
    format!("key     {id}\nfile    {out}\n{backup}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out_of(args: &Args) -> &Path {
        args.out.as_deref().expect("given")
    }

    fn generate(args: &Args) -> Result<Made, Failure> {
        make(out_of(args), args.backup.as_deref())
    }
    use crate::credential;

    struct Places {
        root: tempfile::TempDir,
    }

    impl Places {
        fn new() -> Self {
            let root = tempfile::tempdir().expect("a directory");
            for name in ["host", "stick"] {
                std::fs::create_dir(root.path().join(name)).expect("made");
            }
            Self { root }
        }

        fn args(&self, out: &str, backup: Option<&str>) -> Args {
            let place = |name: &str| self.root.path().join(name);
            Args {
                out: Some(place(out)),
                backup: backup.map(place),
                no_backup: backup.is_none(),
                passphrase: false,
                guessable: false,
            }
        }

        fn files(&self) -> usize {
            let count = |name| std::fs::read_dir(self.root.path().join(name)).expect("a directory").count();
            count("host") + count("stick")
        }
    }

    #[test]
    fn key_and_backup_are_one_key_and_private() {
        let places = Places::new();
        let args = places.args("host/key", Some("stick/key"));
        let made = generate(&args).expect("made");
        let [key, copy] = [out_of(&args), args.backup.as_deref().expect("given")]
            .map(|path| credential::from_file(path).expect("32 bytes, mode 0600"));
        assert_eq!(key.expose(), copy.expose());
        assert_ne!(key.expose(), &[0; 32]);
        assert_eq!(made.warnings.len(), 1, "both are on one file system: {:?}", made.warnings);
        assert_eq!(LocalKey::new(key).key().id, made.id);
    }

    #[test]
    fn two_keys_differ() {
        let places = Places::new();
        let [first, second] = ["host/1", "host/2"].map(|out| generate(&places.args(out, None)).expect("made"));
        assert_ne!(first.id, second.id);
        assert!(first.warnings.iter().any(|warning| warning.contains("no backup")));
    }

    #[test]
    fn nothing_is_overwritten() {
        let places = Places::new();
        let args = places.args("host/key", Some("stick/key"));
        std::fs::write(out_of(&args), "precious").expect("written");
        assert_eq!(generate(&args).expect_err("it exists").code(), exit::CANNOT_CREATE);
        assert_eq!(std::fs::read(out_of(&args)).expect("read"), b"precious");
        assert_eq!(places.files(), 1);

        let args = places.args("host/new", Some("stick/key"));
        std::fs::write(places.root.path().join("stick/key"), "precious").expect("written");
        assert_eq!(generate(&args).expect_err("the backup exists").code(), exit::CANNOT_CREATE);
        assert!(!out_of(&args).exists(), "a key without a backup is removed");
        assert_eq!(std::fs::read(places.root.path().join("stick/key")).expect("read"), b"precious");
    }

    #[test]
    fn the_key_goes_when_the_backup_fails() {
        let places = Places::new();
        let args = places.args("host/key", Some("none/key"));
        assert_eq!(generate(&args).expect_err("no such directory").code(), exit::CANNOT_CREATE);
        // The directory is there, and takes no file of this name.
        let long = format!("stick/{}", "x".repeat(300));
        assert_eq!(generate(&places.args("host/key", Some(&long))).expect_err("too long").code(), exit::CANNOT_CREATE);
        assert_eq!(places.files(), 0);
    }

    #[test]
    fn a_backup_beside_the_key_is_none() {
        let places = Places::new();
        std::os::unix::fs::symlink("host", places.root.path().join("alias")).expect("linked");
        for backup in ["host/key", "host/copy", "alias/copy", "stick/../host/copy"] {
            let failure = generate(&places.args("host/key", Some(backup))).expect_err("the same directory");
            assert_eq!(failure.code(), exit::USAGE, "{backup}");
        }
        assert_eq!(places.files(), 0);
    }

    #[test]
    fn what_is_said_does_not_hold_the_key() {
        let places = Places::new();
        let args = places.args("host/key", Some("stick/key"));
        let made = generate(&args).expect("made");
        let said = format!("{}{:?}", report(out_of(&args), args.backup.as_deref(), made.id), made);
        let key = std::fs::read(out_of(&args)).expect("read");
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(said.contains(&made.id.to_string()));
        for part in [&hex[..16], &hex[16..32], &hex[32..48], &hex[48..]] {
            assert!(!said.contains(part), "part of the key is shown");
        }
    }
}
