//! The bytes of the state: header, body, digest.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Generation, v1};
use crate::peer::standing::Standing;

/// Longest state, in bytes.
pub const MAX_LEN: usize = 4 * 1024 * 1024;

const FORMAT: &str = "nightlatch-state";
const VERSION: &str = "1";

/// `sha256`, a blank, 64 digits, a line feed.
const TRAILER_LEN: usize = 7 + 64 + 1;

/// Why bytes are not the state of an installation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// They are not what was written.
    #[error("the state is damaged: {0}")]
    Damaged(&'static str),
    /// They are the state of another installation.
    #[error("the state belongs to installation {found}")]
    Foreign {
        /// Whose they are.
        found: Uuid,
    },
    /// A newer nightlatch wrote them.
    #[error("the state has version {version}, which this nightlatch does not know")]
    Newer {
        /// Their version.
        version: u32,
    },
}

/// Reads a state.
///
/// # Errors
/// [`Unreadable`] unless `bytes` are exactly what a save of `installation` wrote.
pub fn read(bytes: &[u8], installation: Uuid) -> Result<(Generation, Standing), Unreadable> {
    if bytes.len() > MAX_LEN {
        return Err(Unreadable::Damaged("it is longer than 4 MiB"));
    }
    let signed = check_digest(bytes)?;
    let mut lines = signed.splitn(2, |byte| *byte == b'\n').map(str::from_utf8);
    let (Some(Ok(header)), body) = (lines.next(), lines.next()) else {
        return Err(Unreadable::Damaged("it has no header"));
    };
    let mut words = header.split(' ');
    if words.next() != Some(FORMAT) {
        return Err(Unreadable::Damaged("it is something else"));
    }
    match words.next() {
        Some(VERSION) => {}
        Some(version) => {
            let version = version.parse().map_err(|_| Unreadable::Damaged("its version is not a number"))?;
            return Err(Unreadable::Newer { version });
        }
        None => return Err(Unreadable::Damaged("it has no version")),
    }
    let found = words.next().and_then(|id| Uuid::try_parse(id).ok());
    let found = found.ok_or(Unreadable::Damaged("it has no installation id"))?;
    if found != installation {
        return Err(Unreadable::Foreign { found });
    }
    let generation: u64 = words.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let body = body.and_then(|body| body.ok()?.strip_suffix('\n'));
    let body = body.ok_or(Unreadable::Damaged("it has no body, or one that is not UTF-8"))?;
    let standing = v1::read(body)?;
    // Whatever differs from what would be written, in spelling or order, was not written by a save.
    let generation = Generation(generation);
    match write(generation, installation, &standing) {
        Ok(canonical) if canonical == bytes && generation.get() > 0 => Ok((generation, standing)),
        _ => Err(Unreadable::Damaged("it is not in canonical form")),
    }
}

/// Writes a state.
pub(super) fn write(
    generation: Generation,
    installation: Uuid,
    standing: &Standing,
) -> Result<Vec<u8>, v1::Unwritable> {
    let body = v1::write(standing)?;
    let mut text = format!("{FORMAT} {VERSION} {} {generation}\n{body}\n", installation.hyphenated());
    let digest = trailer(text.as_bytes());
    text.push_str(&digest);
    if text.len() > MAX_LEN {
        return Err(v1::Unwritable::TooLong);
    }
    Ok(text.into_bytes())
}

/// What the digest at the end covers, when it fits.
fn check_digest(bytes: &[u8]) -> Result<&[u8], Unreadable> {
    let split = bytes.len().checked_sub(TRAILER_LEN).and_then(|at| bytes.split_at_checked(at));
    let (signed, found) = split.ok_or(Unreadable::Damaged("it is cut off"))?;
    if found != trailer(signed).as_bytes() {
        return Err(Unreadable::Damaged("its digest does not fit"));
    }
    Ok(signed)
}

fn trailer(signed: &[u8]) -> String {
    let digest = Sha256::digest(signed);
    let digits = digest.iter().fold(String::with_capacity(64), |digits, byte| digits + &format!("{byte:02x}"));
    format!("sha256 {digits}\n")
}
