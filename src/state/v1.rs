//! The body of version 1. Frozen: a later version gets a file of its own and migrates from here.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::format::{Unreadable, Unwritable};
use crate::clock::WallTime;
use crate::peer;
use crate::peer::standing::{self, LastApproval, RefusalKind, Standing};
use crate::request::NodeUuid;

/// Most denials and blocks.
pub const MAX_REFUSALS: usize = 4096;

/// Most last approvals.
pub const MAX_APPROVALS: usize = 4096;

/// Longest name of an approver or a channel, in bytes.
pub(super) const MAX_NAME_LEN: usize = 256;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    refusals: Vec<Refusal>,
    approvals: Vec<Approval>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusal {
    node: String,
    origin: Option<Origin>,
    kind: Kind,
    by: String,
    channel: String,
    at: i64,
    until: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    node: String,
    origin: Origin,
    by: String,
    at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Denial,
    Block,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Origin {
    Listed,
    OtherAddress { network: IpNet },
    PerAddress { network: IpNet },
}

/// Reads a body.
pub(super) fn read(body: &str) -> Result<Standing, Unreadable> {
    let body: Body = serde_json::from_str(body).map_err(|_| Unreadable::Damaged("its body is not of version 1"))?;
    let refusals = body.refusals.into_iter().map(standing::Refusal::try_from).collect::<Result<_, _>>()?;
    let approvals = body.approvals.into_iter().map(LastApproval::try_from).collect::<Result<_, _>>()?;
    Ok(Standing { refusals, approvals, ..Standing::default() })
}

/// The one form in which a body of this version says `standing`. Nothing is saved in it any more: what has been read is
/// compared with it.
pub(super) fn write(standing: &Standing) -> Result<String, Unwritable> {
    let (refusals, approvals) = entries(standing)?;
    serde_json::to_string(&Body { refusals, approvals }).map_err(|_| Unwritable::Encode)
}

/// Denials and blocks, and last approvals, as they are written.
pub(super) fn entries(standing: &Standing) -> Result<(Vec<Refusal>, Vec<Approval>), Unwritable> {
    if standing.refusals.len() > MAX_REFUSALS {
        return Err(Unwritable::TooManyRefusals);
    }
    if standing.approvals.len() > MAX_APPROVALS {
        return Err(Unwritable::TooManyApprovals);
    }
    let refusals = standing.refusals.iter().map(Refusal::try_from).collect::<Result<_, _>>()?;
    let approvals = standing.approvals.iter().map(Approval::try_from).collect::<Result<_, _>>()?;
    Ok((refusals, approvals))
}

impl TryFrom<Refusal> for standing::Refusal {
    type Error = Unreadable;

    fn try_from(refusal: Refusal) -> Result<Self, Unreadable> {
        Ok(Self {
            node: node(&refusal.node)?,
            origin: refusal.origin.map(Into::into),
            kind: match refusal.kind {
                Kind::Denial => RefusalKind::Denial,
                Kind::Block => RefusalKind::Block,
            },
            by: refusal.by.into(),
            channel: refusal.channel.into(),
            at: WallTime::from_unix_millis(refusal.at),
            until: WallTime::from_unix_millis(refusal.until),
        })
    }
}

impl TryFrom<Approval> for LastApproval {
    type Error = Unreadable;

    fn try_from(approval: Approval) -> Result<Self, Unreadable> {
        Ok(Self {
            node: node(&approval.node)?,
            origin: approval.origin.into(),
            by: approval.by.into(),
            at: WallTime::from_unix_millis(approval.at),
        })
    }
}

impl From<Origin> for peer::Origin {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Listed => Self::Listed,
            Origin::OtherAddress { network } => Self::OtherAddress(network),
            Origin::PerAddress { network } => Self::PerAddress(network),
        }
    }
}

impl TryFrom<&standing::Refusal> for Refusal {
    type Error = Unwritable;

    fn try_from(refusal: &standing::Refusal) -> Result<Self, Unwritable> {
        Ok(Self {
            node: refusal.node.as_str().into(),
            origin: refusal.origin.map(Origin::try_from).transpose()?,
            kind: match refusal.kind {
                RefusalKind::Denial => Kind::Denial,
                RefusalKind::Block => Kind::Block,
            },
            by: name(&refusal.by)?,
            channel: name(&refusal.channel)?,
            at: refusal.at.unix_millis(),
            until: refusal.until.unix_millis(),
        })
    }
}

impl TryFrom<&LastApproval> for Approval {
    type Error = Unwritable;

    fn try_from(approval: &LastApproval) -> Result<Self, Unwritable> {
        Ok(Self {
            node: approval.node.as_str().into(),
            origin: approval.origin.try_into()?,
            by: name(&approval.by)?,
            at: approval.at.unix_millis(),
        })
    }
}

impl TryFrom<peer::Origin> for Origin {
    type Error = Unwritable;

    fn try_from(origin: peer::Origin) -> Result<Self, Unwritable> {
        Ok(match origin {
            peer::Origin::Listed => Self::Listed,
            peer::Origin::OtherAddress(network) => Self::OtherAddress { network: checked(network)? },
            peer::Origin::PerAddress(network) => Self::PerAddress { network: checked(network)? },
        })
    }
}

pub(super) fn node(text: &str) -> Result<NodeUuid, Unreadable> {
    NodeUuid::parse(text).map_err(|_| Unreadable::Damaged("a node is not an identifier"))
}

pub(super) fn name(text: &str) -> Result<String, Unwritable> {
    if text.len() > MAX_NAME_LEN { Err(Unwritable::Name) } else { Ok(text.into()) }
}

pub(super) fn checked(network: IpNet) -> Result<IpNet, Unwritable> {
    if network == network.trunc() { Ok(network) } else { Err(Unwritable::Network) }
}
