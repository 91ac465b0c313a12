//! `nightlatch keygen --passphrase`: a passphrase that nobody can guess, and the lines of the configuration for it.

use std::io::{self, IsTerminal};
use std::path::Path;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Args, Failure, check_places, exit, no_random_numbers, say, write_both};
use crate::credential::terminal;
use crate::key::KeyId;
use crate::key::stretching::{self, Stretching};
use crate::secret::{NotAPassphrase, Passphrase};

/// Signs of a passphrase, five bits each: what looks like o, i or l in handwriting is 0 or 1, and there is no u that
/// looks like v.
const SIGNS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Groups, and signs in each: 100 bits.
const GROUPS: usize = 4;
const GROUP: usize = 5;

/// Makes a passphrase, writes or shows it, and prints what belongs into the configuration.
///
/// # Errors
/// What went wrong; then no file is left behind.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.out.is_none() && !args.guessable && !io::stdout().is_terminal() {
        return Err(Failure::usage("a passphrase is shown at a terminal only, and standard output is none")
            .hint("add --out FILE, or run it at a terminal"));
    }
    let passphrase = if args.guessable { typed_twice()? } else { random()? };
    let salt = Zeroizing::new(random_bytes::<{ Stretching::SALT_LEN }>()?);
    let stretching = Stretching::with_defaults(*salt);
    let id = stretching::key_id(&passphrase, &stretching)
        .map_err(|error| Failure::new(exit::UNAVAILABLE, "cannot stretch the passphrase").because(&error))?;
    let mut warnings = vec![];
    if args.guessable {
        warnings.push(
            "whoever has a disk can try guesses at this passphrase, with no server and no approval: if it is a \
             sentence that somebody could think of, it protects nothing"
                .into(),
        );
    }
    match &args.out {
        Some(out) => warnings.extend(keep(out, args.backup.as_deref(), &passphrase)?),
        None if args.guessable => {}
        None => show(&passphrase)?,
    }
    say(&warnings, &report(args, &stretching, id));
    Ok(())
}

/// Writes it to new files. Gives what its owner should know.
fn keep(out: &Path, backup: Option<&Path>, passphrase: &Passphrase) -> Result<Vec<String>, Failure> {
    let mut warnings = vec![];
    match backup {
        Some(backup) => warnings.extend(check_places(out, backup)?),
        None => warnings.push(format!(
            "write the passphrase in {} down, and keep that somewhere else: when it is lost, so is every disk that it sealed",
            out.display()
        )),
    }
    // All the room at once: a vector that grows would leave a copy behind that is not wiped.
    let mut line = Zeroizing::new(Vec::with_capacity(passphrase.expose().len() + 1));
    line.extend_from_slice(passphrase.expose());
    line.push(b'\n');
    warnings.extend(write_both(out, backup, &line)?);
    Ok(warnings)
}

fn show(passphrase: &Passphrase) -> Result<(), Failure> {
    let mut text = Zeroizing::new(Vec::with_capacity(512));
    text.extend_from_slice(b"\n  ");
    text.extend_from_slice(passphrase.expose());
    text.extend_from_slice(
        b"\n\nThis is the passphrase. Write it down now: it is not shown again, and without it no disk opens.\n\n",
    );
    terminal::show(&text).map_err(|error| failure(&error))
}

fn typed_twice() -> Result<Passphrase, Failure> {
    let first = terminal::ask("New passphrase: ").map_err(|error| failure(&error))?;
    let second = terminal::ask("The same once more: ").map_err(|error| failure(&error))?;
    if first.expose().ct_eq(second.expose()).into() {
        return Ok(first);
    }
    Err(Failure::usage("these are two different passphrases").hint("try again; nothing was written"))
}

fn failure(error: &terminal::Error) -> Failure {
    let code = match error {
        terminal::Error::NotAPassphrase(_) => exit::DATA,
        terminal::Error::Cancelled | terminal::Error::NoTerminal(_) => exit::NO_INPUT,
        terminal::Error::Io(_) => exit::IO,
    };
    Failure::new(code, "there is no passphrase").because(error)
}

fn random() -> Result<Passphrase, Failure> {
    let random = Zeroizing::new(random_bytes::<{ GROUPS * GROUP }>()?);
    passphrase_of(&random).map_err(|error| Failure::new(exit::SOFTWARE, "cannot make one").because(&error))
}

/// Five bits of each byte are a sign.
fn passphrase_of(random: &[u8; GROUPS * GROUP]) -> Result<Passphrase, NotAPassphrase> {
    let mut text = Vec::with_capacity(GROUPS * (GROUP + 1));
    for group in random.chunks(GROUP) {
        if !text.is_empty() {
            text.push(b'-');
        }
        text.extend(group.iter().filter_map(|byte| SIGNS.get(usize::from(byte & 31))));
    }
    Passphrase::new(text)
}

fn random_bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| no_random_numbers(&error))?;
    Ok(bytes)
}

fn report(args: &Args, stretching: &Stretching, id: KeyId) -> String {
    let file = args.out.as_ref().map(|out| format!("file    {}\n", out.display())).unwrap_or_default();
    let backup = args.backup.as_ref().map(|backup| format!("backup  {}, written and read back\n", backup.display()));
    let salt: String = stretching.salt().iter().map(|byte| format!("{byte:02x}")).collect();
    let memory = stretching.memory() / 1024;
    let (passes, lanes) = (stretching.passes(), stretching.lanes());
    let next = match &args.out {
        Some(out) => format!(
            "next, for this host's service:\n  \
             systemd-creds encrypt --name=nightlatch-passphrase {0} /etc/credstore.encrypted/nightlatch-passphrase\n\
             and keep the passphrase somewhere else: what is encrypted for this host cannot be read on another\n",
            out.display()
        ),
        None => "with ask = \"systemd\" added, systemd asks for it at each start: see nightlatch-passphrase.socket\n"
            .to_owned(),
    };
    format!(
        "key     {id}\n{file}{}\n\
         for nightlatch.toml, where none of it is a secret:\n\n\
         [[key]]\n\
         name = \"passphrase\"\n\
         source = \"passphrase\"\n\
         salt = \"{salt}\"\n\
         key_id = \"{id}\"\n\
         memory = \"{memory}MiB\"\n\
         passes = {passes}\n\
         lanes = {lanes}\n\
         credential = \"nightlatch-passphrase\"\n\n\
         {next}",
        backup.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, KeySource};
    use crate::credential;

    fn args(out: Option<std::path::PathBuf>) -> Args {
        Args { out, backup: None, no_backup: false, passphrase: true, guessable: false }
    }

    #[test]
    fn a_passphrase_has_a_hundred_bits_and_no_sign_that_is_mistaken() {
        assert!(SIGNS.iter().collect::<std::collections::BTreeSet<_>>().len() == 32);
        assert!(!SIGNS.iter().any(|sign| b"ilou".contains(sign)));
        let all: [u8; 20] = std::array::from_fn(|at| u8::try_from(at).expect("small") + 224);
        assert!(passphrase_of(&all).expect("printable").expose() == b"01234-56789-abcde-fghjk");
        assert!(random().expect("random").expose() != random().expect("random").expose());
    }

    #[test]
    fn what_is_printed_is_a_configuration_for_what_is_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let out = directory.path().join("passphrase");
        let passphrase = random().expect("random");
        assert_eq!(keep(&out, None, &passphrase).expect("written").len(), 1);
        let read = credential::passphrase_from_file(&out).expect("private, and one line");
        assert!(read.expose() == passphrase.expose());

        let stretching = Stretching::with_defaults([0xA5; 16]);
        let id = stretching::key_id(&passphrase, &stretching).expect("memory");
        let said = report(&args(Some(out.clone())), &stretching, id);
        let table = said.split_once("\n\n").and_then(|(_, rest)| rest.split_once("\n\n")).expect("a table").1;
        let table = table.split_once("\n\n").expect("its end").0;
        let head = "installation = \"9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21\"\nnetworks = []\ntls = \"off\"\n";
        let parsed = Config::parse(&format!("{head}{table}"), "nightlatch.toml");
        let (config, _) = parsed.unwrap_or_else(|error| panic!("{error}"));
        let KeySource::Passphrase(source) = &config.keys[0].source else { panic!("a passphrase") };
        assert_eq!((source.salt, source.key_id), ([0xA5; 16], *id.as_bytes()));
        assert_eq!((source.memory, source.passes, source.lanes), (65_536, 3, 1));
        let text = std::str::from_utf8(passphrase.expose()).expect("ASCII");
        assert!(!text.split('-').any(|group| said.contains(group)), "the passphrase is shown");

        assert_eq!(keep(&out, None, &passphrase).expect_err("it exists").code(), exit::CANNOT_CREATE);
    }
}
