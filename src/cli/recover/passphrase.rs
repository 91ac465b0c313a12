//! From a passphrase and what the blob says about it to the KEKs of a node.

use std::path::Path;

use crate::cli::{Failure, exit};
use crate::credential::{self, terminal};
use crate::key::stretching::{self, StretchError, Stretching};
use crate::key::{Keks, KeyId, danger_offline};
use crate::request::NodeUuid;
use crate::secret::Passphrase;

/// How often somebody may mistype it.
const ATTEMPTS: usize = 3;

/// The KEKs of `node`, and of what it was called before, under the passphrase in `file`, or under one that is typed. It
/// must have the key id that the blob names: a typing error is then told from another node.
///
/// # Errors
/// What is wrong with the passphrase, and what to do.
pub(super) fn keks(
    file: Option<&Path>,
    stretching: &Stretching,
    id: KeyId,
    node: &NodeUuid,
    formerly: &[NodeUuid],
) -> Result<Keks, Failure> {
    let passphrase = match file {
        Some(file) => {
            let read = credential::passphrase_from_file(file).map_err(|error| super::no_key(&error))?;
            has_id(&read, stretching, id)?.then_some(read).ok_or_else(|| wrong(id))?
        }
        None => typed(stretching, id)?,
    };
    danger_offline::passphrase_keks(&passphrase, stretching, id, node, formerly).map_err(|error| no_memory(&error))
}

fn typed(stretching: &Stretching, id: KeyId) -> Result<Passphrase, Failure> {
    let mut not_that_one = "";
    for _ in 0..ATTEMPTS {
        let asked = terminal::ask(&format!("{not_that_one}Passphrase (key id {id}): "));
        not_that_one = "Not that one. ";
        let passphrase = match asked {
            Ok(passphrase) => passphrase,
            // Nothing, or something that cannot be one, was typed by mistake as well.
            Err(terminal::Error::NotAPassphrase(_)) => continue,
            Err(error) => {
                let failure = Failure::new(exit::NO_INPUT, "there is no passphrase").because(&error);
                return Err(failure.hint("run it at a terminal, or name a file with --passphrase-file"));
            }
        };
        if has_id(&passphrase, stretching, id)? {
            return Ok(passphrase);
        }
    }
    Err(wrong(id))
}

fn has_id(passphrase: &Passphrase, stretching: &Stretching, id: KeyId) -> Result<bool, Failure> {
    Ok(stretching::key_id(passphrase, stretching).map_err(|error| no_memory(&error))? == id)
}

fn wrong(id: KeyId) -> Failure {
    Failure::new(
        exit::DATA,
        format!("this is not the passphrase that the blob was sealed under, which has the key id {id}"),
    )
    .hint("type it exactly: upper and lower case differ; if it is right, the blob is damaged: export the token again")
}

fn no_memory(error: &StretchError) -> Failure {
    Failure::new(exit::UNAVAILABLE, "cannot stretch the passphrase").because(error)
}
