//! Asks, grants and what becomes of them: the data of the ledger, and the events that it reports.

mod event;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

pub use self::event::{Event, NodeChange, Notice, NoticeKind, Release, Verdict, Voter};
use super::policy::{Requirement, Vote};
use crate::clock::{Moment, Now, WallTime};
use crate::peer::standing::LastApproval;
use crate::peer::{ListedNode, Origin, Peer};
use crate::request::{Fingerprint, Operation};

/// Names one ask for good: 16 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub [u8; 16]);

/// 32 hexadecimal digits.
impl fmt::Display for AskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a person compares between the node's console and the prompt, such as `K7Q2`: letter, digit, letter, digit,
/// so that it never spells a word, without the letters that look like a digit or like each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MatchCode(u16);

const LETTERS: &[u8; 19] = b"ACDEFGHJKMNPQRTVWXY";
const DIGITS: &[u8; 8] = b"23456789";

impl MatchCode {
    /// How many codes there are.
    pub const COUNT: u16 = 19 * 8 * 19 * 8;

    /// The code with this number, counted around.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        Self(number % Self::COUNT)
    }

    /// The number of this code, below [`Self::COUNT`].
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The code that follows this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self((self.0 + 1) % Self::COUNT)
    }
}

impl fmt::Display for MatchCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pick = |from: &[u8], number: u16| char::from(from.get(usize::from(number)).copied().unwrap_or(b'?'));
        let (second, first) = (self.0 % 152, self.0 / 152);
        write!(
            f,
            "{}{}{}{}",
            pick(LETTERS, first / 8),
            pick(DIGITS, first % 8),
            pick(LETTERS, second / 8),
            pick(DIGITS, second % 8)
        )
    }
}

/// Randomness for one ask, drawn outside so that the ledger stays a function of its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Fresh {
    /// The id of an ask, should one be opened.
    pub id: AskId,
    /// Where the search for a free match code begins.
    pub code: u16,
}

/// One admitted call, as far as the ledger has to know it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who wants it.
    pub node: ListedNode,
    /// From where, as far as approvals are bound to it.
    pub origin: Origin,
    /// From where exactly.
    pub peer: Peer,
    /// What it wants.
    pub operation: Operation,
    /// The blob it wants unsealed; a secret to seal has no name.
    pub blob: Option<Fingerprint>,
    /// Whether an answer would still reach the node in time to be of use.
    pub in_time: bool,
    /// Whether the call was judged before, while it was held. It is not counted as an attempt again.
    pub held: bool,
    /// Whether what was approved ahead serves it: not when the use of that could not be saved.
    pub ahead: bool,
}

/// An open question.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Its name for good.
    pub id: AskId,
    /// Its name for people.
    pub code: MatchCode,
    /// What a yes does.
    pub purpose: Purpose,
    /// Who wants it. For an enrolment: how it would be listed.
    pub node: ListedNode,
    /// From where, as far as approvals are bound to it.
    pub origin: Origin,
    /// The peer that asked last.
    pub peer: Peer,
    /// Seal: nothing that exists is opened. Unseal: everything of the node from there is.
    pub operation: Operation,
    /// Which votes make it a grant.
    pub requirement: Requirement,
    /// The approvals so far.
    pub votes: Vec<Vote>,
    /// The shortest lease that any of those votes gave.
    pub lease: Duration,
    /// Whether a voter said how long: then it lasts no longer, whatever it is for.
    pub lease_named: bool,
    /// When it was opened.
    pub opened: Now,
    /// When the node last asked.
    pub last_attempt: Now,
    /// When the channels were last told.
    pub last_told: Moment,
    /// How often the node asked.
    pub attempts: u32,
    /// The blobs it asked for, as many as are kept apart.
    pub blobs: BTreeSet<Fingerprint>,
    /// What a person should know before they answer.
    pub warnings: Vec<Warning>,
    /// Whether its opening is on record. Nobody is told of it before.
    pub recorded: bool,
    /// Who approved the node from there last.
    pub last_approval: Option<LastApproval>,
}

/// What a yes to an ask does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The node gets what it asks for.
    Release,
    /// The node, which is not listed, is listed with its address. If it asked to seal, that is approved with it.
    Enrolment,
}

/// Most blobs of one ask that are told apart; more are counted no further.
pub const MAX_BLOBS: usize = 64;

/// What a person should know before they answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// The node was never approved from there.
    NewAddress,
    /// The address is none of those listed for the node.
    OtherAddress,
    /// Another address asks, or asked within the last hour, for the same node.
    SecondAddress,
    /// The node lists no addresses and was approved before, but is not known to have been from this one.
    Moved,
}

/// How an ask ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It became a grant.
    Approved,
    /// Somebody said no.
    Denied,
    /// Somebody blocked the node.
    Blocked,
    /// The node stopped asking, or the rule changed under it.
    Expired,
    /// Everything was locked.
    Locked,
}

impl Outcome {
    /// The word for records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Blocked => "blocked",
            Self::Expired => "expired",
            Self::Locked => "locked",
        }
    }
}

/// An ask that has its outcome.
#[derive(Debug, Clone)]
pub struct ClosedAsk {
    /// The ask as it was.
    pub ask: Ask,
    /// How it ended.
    pub outcome: Outcome,
    /// The vote that decided, when one did.
    pub by: Option<Vote>,
    /// When it ended.
    pub at: WallTime,
    /// How long the grant, denial or block lasts.
    pub lasts: Duration,
    /// An approved Seal: how long it may be collected when nobody did within the lease. Else zero.
    pub collectable: Duration,
}

/// A grant, as people are told of it.
#[derive(Debug, Clone)]
pub struct LiveGrant {
    /// The ask it came from, or the id of its own that a grant ahead has.
    pub ask: AskId,
    /// The name of that for people.
    pub code: MatchCode,
    /// Whose it is.
    pub node: ListedNode,
    /// From where.
    pub origin: Origin,
    /// Seal: it opens nothing but what was sealed under it.
    pub operation: Operation,
    /// Who approved.
    pub votes: Vec<Vote>,
    /// How long it lives still.
    pub left: Duration,
    /// When that is over, as the host's clock tells the time now.
    pub until: WallTime,
    /// Releases that are left.
    pub uses_left: u32,
    /// Whether it was given before anything asked for it.
    pub ahead: bool,
}

/// A grant ahead for which more votes are needed.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Whose it would be.
    pub node: ListedNode,
    /// From where.
    pub origin: Origin,
    /// The shortest time of those that were voted for.
    pub lasts: Duration,
    /// The fewest uses of those that were voted for.
    pub uses: u32,
    /// Who has voted for it.
    pub votes: Vec<Vote>,
    /// Which votes it needs.
    pub requirement: Requirement,
}

/// What a release rests on, for the record and for the channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The ask whose grant it was; none under an `allow` rule.
    pub grant: Option<GrantTerms>,
}

impl Terms {
    /// Whether they spent a use of a grant ahead, which is saved before anything is released.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.ahead)
    }
}

/// What is told of the grant behind a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantTerms {
    /// The ask it came from.
    pub ask: AskId,
    /// That ask's name for people.
    pub code: MatchCode,
    /// Who approved.
    pub votes: Vec<Vote>,
    /// When the last of them did.
    pub granted_at: Moment,
    /// Releases that are left after this one.
    pub uses_left: u32,
    /// Whether it was given before anything asked for it.
    pub ahead: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn match_codes_are_all_different_and_never_ambiguous() {
        let codes: BTreeSet<String> =
            (0..MatchCode::COUNT).map(|number| MatchCode::from_number(number).to_string()).collect();
        assert_eq!(codes.len(), usize::from(MatchCode::COUNT));
        assert!(codes.iter().all(|code| !code.contains(|c| "01BILOSUZ?".contains(c))));
        assert_eq!(MatchCode::from_number(MatchCode::COUNT - 1).next(), MatchCode::from_number(0));
    }
}
