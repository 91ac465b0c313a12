//! The bytes of the state: header, body, digest.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::v1::{MAX_APPROVALS, MAX_NAME_LEN, MAX_REFUSALS};
use super::v2::MAX_ALLOWED_LEN;
use super::{Generation, v1, v2};
use crate::peer::standing::{
    LastApproval, MAX_ENTRY_ADDRESSES, MAX_ENTRY_FORMERLY, MAX_GRANTS_AHEAD, MAX_KEPT_VOTES, MAX_NODE_ENTRIES, Standing,
};

/// Longest state, in bytes.
pub const MAX_LEN: usize = 4 * 1024 * 1024;

const FORMAT: &str = "nightlatch-state";

/// The versions that are read. The last is the one that is written.
#[derive(Debug, Clone, Copy)]
enum Version {
    One,
    Two,
}

impl Version {
    const WRITTEN: Self = Self::Two;

    fn parse(word: &str) -> Option<Self> {
        [Self::One, Self::Two].into_iter().find(|version| version.as_str() == word)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
        }
    }
}

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

/// Why a state cannot be saved: it could not be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// A body could not be put into words: a bug.
    #[error("the state could not be encoded")]
    Encode,
    /// Two approvals ahead have one id, or are for one node and origin: a bug.
    #[error("two approvals ahead are for the same node and origin, or have one id")]
    GrantTwice,
    /// A name is too long, or that of a node or cluster is empty.
    #[error("a name is longer than {MAX_NAME_LEN} bytes, or a node's is empty")]
    Name,
    /// A network has bits set past its prefix.
    #[error("a network has host bits set")]
    Network,
    /// A node that people listed has too many addresses or former identifiers.
    #[error("a listed node has more than {MAX_ENTRY_ADDRESSES} addresses or {MAX_ENTRY_FORMERLY} former identifiers")]
    NodeTooLong,
    /// Two of the nodes that people listed share a name or an identifier.
    #[error("two listed nodes have one name or one identifier")]
    NodeTwice,
    /// A node of the configuration stands among those that people listed: a bug.
    #[error("a node among those that people listed is of another kind")]
    NotListedByPeople,
    /// All in all it is too long.
    #[error("the state would be longer than 4 MiB")]
    TooLong,
    /// There are too many last approvals.
    #[error("there are more than {MAX_APPROVALS} last approvals")]
    TooManyApprovals,
    /// There are too many approvals ahead.
    #[error("there are more than {MAX_GRANTS_AHEAD} approvals ahead")]
    TooManyGrants,
    /// There are too many nodes that people listed.
    #[error("people listed more than {MAX_NODE_ENTRIES} nodes")]
    TooManyNodes,
    /// There are too many denials and blocks.
    #[error("there are more than {MAX_REFUSALS} denials and blocks")]
    TooManyRefusals,
    /// There are no generations left.
    #[error("the state was saved 2^64 - 1 times")]
    TooManySaves,
    /// Approvals ahead and listed nodes would take the space that is for denials and blocks.
    #[error("approvals ahead and listed nodes would take more than {} KiB", MAX_ALLOWED_LEN / 1024)]
    TooMuchAllowed,
    /// Nobody stands behind an approval ahead, or too many do: a bug.
    #[error("an approval ahead has no vote, or more than {MAX_KEPT_VOTES}")]
    Votes,
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
    let word = words.next().ok_or(Unreadable::Damaged("it has no version"))?;
    let Some(version) = Version::parse(word) else {
        let version = word.parse().map_err(|_| Unreadable::Damaged("its version is not a number"))?;
        return Err(Unreadable::Newer { version });
    };
    let found = words.next().and_then(|id| Uuid::try_parse(id).ok());
    let found = found.ok_or(Unreadable::Damaged("it has no installation id"))?;
    if found != installation {
        return Err(Unreadable::Foreign { found });
    }
    let generation: u64 = words.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let body = body.and_then(|body| body.ok()?.strip_suffix('\n'));
    let body = body.ok_or(Unreadable::Damaged("it has no body, or one that is not UTF-8"))?;
    let standing = match version {
        Version::One => v1::read(body)?,
        Version::Two => v2::read(body)?,
    };
    // Whatever differs from what would be written, in spelling or order, was not written by a save.
    let generation = Generation(generation);
    match encode(version, generation, installation, &standing) {
        Ok(canonical) if canonical == bytes && generation.get() > 0 => Ok((generation, standing)),
        _ => Err(Unreadable::Damaged("it is not in canonical form")),
    }
}

/// Writes a state. When it would be too long, last approvals give way, the older half of them at a time: they are only
/// shown to people, and nothing that they say decides.
pub(super) fn write(generation: Generation, installation: Uuid, standing: &Standing) -> Result<Vec<u8>, Unwritable> {
    let whole = encode(Version::WRITTEN, generation, installation, standing);
    if !matches!(whole, Err(Unwritable::TooLong)) {
        return whole;
    }
    let mut shorter = standing.clone();
    while !shorter.approvals.is_empty() {
        forget_older_half(&mut shorter.approvals);
        let written = encode(Version::WRITTEN, generation, installation, &shorter);
        if !matches!(written, Err(Unwritable::TooLong)) {
            return written;
        }
    }
    Err(Unwritable::TooLong)
}

fn forget_older_half(approvals: &mut Vec<LastApproval>) {
    let mut times: Vec<_> = approvals.iter().map(|approval| approval.at).collect();
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied();
    approvals.retain(|approval| Some(approval.at) > middle);
}

/// The one form in which a state of this version says `standing`.
fn encode(
    version: Version,
    generation: Generation,
    installation: Uuid,
    standing: &Standing,
) -> Result<Vec<u8>, Unwritable> {
    let body = match version {
        Version::One => v1::write(standing)?,
        Version::Two => v2::write(standing)?,
    };
    let version = version.as_str();
    let mut text = format!("{FORMAT} {version} {} {generation}\n{body}\n", installation.hyphenated());
    let digest = trailer(text.as_bytes());
    text.push_str(&digest);
    if text.len() > MAX_LEN {
        return Err(Unwritable::TooLong);
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
