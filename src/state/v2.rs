//! The body of version 2, the one that is written. Denials, blocks and last approvals are those of version 1.

use std::collections::HashSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::format::{Unreadable, Unwritable};
use super::v1::{self, Approval, Origin, Refusal, checked, name, node};
use crate::clock::WallTime;
use crate::peer;
use crate::peer::ListedBy;
use crate::peer::standing::{
    self, GrantAhead, KeptVote, LastApproval, MAX_ENTRY_ADDRESSES, MAX_ENTRY_FORMERLY, MAX_GRANTS_AHEAD,
    MAX_KEPT_VOTES, MAX_NODE_ENTRIES, NodeEntry, Standing,
};

/// Most bytes that approvals ahead and listed nodes take together, as they are written. The rest is for denials and blocks:
/// nobody's yes may keep another's no from being saved.
pub const MAX_ALLOWED_LEN: usize = 2 * 1024 * 1024;

/// As [`write`] puts it together.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    refusals: Vec<Refusal>,
    approvals: Vec<Approval>,
    lock: Option<Lock>,
    grants: Vec<Grant>,
    nodes: Vec<Node>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    by: LockedBy,
    at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum LockedBy {
    Person { approver: String, channel: String },
    OlderState,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    id: String,
    code: u16,
    node: String,
    entry: String,
    origin: Origin,
    votes: Vec<Vote>,
    at: i64,
    until: i64,
    uses_left: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vote {
    approver: String,
    channel: String,
    uid: Option<u32>,
    telegram_id: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    uuid: String,
    name: String,
    cluster: Option<String>,
    addresses: Vec<IpNet>,
    formerly: Vec<String>,
    by: String,
    channel: String,
    at: i64,
}

/// Reads a body.
pub(super) fn read(body: &str) -> Result<Standing, Unreadable> {
    let body: Body = serde_json::from_str(body).map_err(|_| Unreadable::Damaged("its body is not of version 2"))?;
    Ok(Standing {
        refusals: body.refusals.into_iter().map(standing::Refusal::try_from).collect::<Result<_, _>>()?,
        approvals: body.approvals.into_iter().map(LastApproval::try_from).collect::<Result<_, _>>()?,
        lock: body.lock.map(standing::Lock::from),
        grants: body.grants.into_iter().map(GrantAhead::try_from).collect::<Result<_, _>>()?,
        nodes: body.nodes.into_iter().map(NodeEntry::try_from).collect::<Result<_, _>>()?,
    })
}

/// Writes a body.
pub(super) fn write(standing: &Standing) -> Result<String, Unwritable> {
    check_grants(&standing.grants)?;
    check_nodes(&standing.nodes)?;
    let (refusals, approvals) = v1::entries(standing)?;
    let lock = standing.lock.as_ref().map(Lock::try_from).transpose()?;
    let grants: Vec<Grant> = standing.grants.iter().map(Grant::try_from).collect::<Result<_, _>>()?;
    let nodes: Vec<Node> = standing.nodes.iter().map(Node::try_from).collect::<Result<_, _>>()?;
    let (grants, nodes) = (encode(&grants)?, encode(&nodes)?);
    if grants.len() + nodes.len() > MAX_ALLOWED_LEN {
        return Err(Unwritable::TooMuchAllowed);
    }
    let (refusals, approvals, lock) = (encode(&refusals)?, encode(&approvals)?, encode(&lock)?);
    Ok(format!(r#"{{"refusals":{refusals},"approvals":{approvals},"lock":{lock},"grants":{grants},"nodes":{nodes}}}"#))
}

fn encode(value: &impl Serialize) -> Result<String, Unwritable> {
    serde_json::to_string(value).map_err(|_| Unwritable::Encode)
}

/// What a list of approvals ahead has to keep to as a whole.
fn check_grants(grants: &[GrantAhead]) -> Result<(), Unwritable> {
    if grants.len() > MAX_GRANTS_AHEAD {
        return Err(Unwritable::TooManyGrants);
    }
    if grants.iter().any(|grant| grant.votes.is_empty() || grant.votes.len() > MAX_KEPT_VOTES) {
        return Err(Unwritable::Votes);
    }
    let (mut ids, mut places) = (HashSet::new(), HashSet::new());
    let once = grants.iter().all(|grant| ids.insert(grant.id) && places.insert((&grant.node, grant.origin)));
    if once { Ok(()) } else { Err(Unwritable::GrantTwice) }
}

/// What a list of nodes has to keep to as a whole.
fn check_nodes(nodes: &[NodeEntry]) -> Result<(), Unwritable> {
    if nodes.len() > MAX_NODE_ENTRIES {
        return Err(Unwritable::TooManyNodes);
    }
    let (mut names, mut identifiers) = (HashSet::new(), HashSet::new());
    for NodeEntry { node, .. } in nodes {
        if node.bind_address || node.listed_by != ListedBy::People {
            return Err(Unwritable::NotListedByPeople);
        }
        if node.addresses.len() > MAX_ENTRY_ADDRESSES || node.formerly.len() > MAX_ENTRY_FORMERLY {
            return Err(Unwritable::NodeTooLong);
        }
        let new = names.insert(&node.name)
            && std::iter::once(&node.uuid).chain(&node.formerly).all(|id| identifiers.insert(id));
        if !new {
            return Err(Unwritable::NodeTwice);
        }
    }
    Ok(())
}

impl From<Lock> for standing::Lock {
    fn from(lock: Lock) -> Self {
        let by = match lock.by {
            LockedBy::Person { approver, channel } => {
                standing::LockedBy::Person { approver: approver.into(), channel: channel.into() }
            }
            LockedBy::OlderState => standing::LockedBy::OlderState,
        };
        Self { by, at: WallTime::from_unix_millis(lock.at) }
    }
}

impl TryFrom<Grant> for GrantAhead {
    type Error = Unreadable;

    fn try_from(grant: Grant) -> Result<Self, Unreadable> {
        Ok(Self {
            id: bytes(&grant.id)?,
            code: grant.code,
            node: node(&grant.node)?,
            entry: bytes(&grant.entry)?,
            origin: grant.origin.into(),
            votes: grant.votes.into_iter().map(KeptVote::from).collect(),
            at: WallTime::from_unix_millis(grant.at),
            until: WallTime::from_unix_millis(grant.until),
            uses_left: grant.uses_left,
        })
    }
}

impl From<Vote> for KeptVote {
    fn from(Vote { approver, channel, uid, telegram_id }: Vote) -> Self {
        Self { approver: approver.into(), channel: channel.into(), uid, telegram_id }
    }
}

impl TryFrom<Node> for NodeEntry {
    type Error = Unreadable;

    fn try_from(listed: Node) -> Result<Self, Unreadable> {
        let entry = peer::Node {
            uuid: node(&listed.uuid)?,
            name: listed.name.into(),
            cluster: listed.cluster.map(Into::into),
            addresses: listed.addresses,
            formerly: listed.formerly.iter().map(|former| node(former)).collect::<Result<_, _>>()?,
            bind_address: false,
            listed_by: ListedBy::People,
        };
        let at = WallTime::from_unix_millis(listed.at);
        Ok(Self { node: entry, by: listed.by.into(), channel: listed.channel.into(), at })
    }
}

impl TryFrom<&standing::Lock> for Lock {
    type Error = Unwritable;

    fn try_from(lock: &standing::Lock) -> Result<Self, Unwritable> {
        let by = match &lock.by {
            standing::LockedBy::Person { approver, channel } => {
                LockedBy::Person { approver: name(approver)?, channel: name(channel)? }
            }
            standing::LockedBy::OlderState => LockedBy::OlderState,
        };
        Ok(Self { by, at: lock.at.unix_millis() })
    }
}

impl TryFrom<&GrantAhead> for Grant {
    type Error = Unwritable;

    fn try_from(grant: &GrantAhead) -> Result<Self, Unwritable> {
        Ok(Self {
            id: digits(grant.id),
            code: grant.code,
            node: grant.node.as_str().into(),
            entry: digits(grant.entry),
            origin: grant.origin.try_into()?,
            votes: grant.votes.iter().map(Vote::try_from).collect::<Result<_, _>>()?,
            at: grant.at.unix_millis(),
            until: grant.until.unix_millis(),
            uses_left: grant.uses_left,
        })
    }
}

impl TryFrom<&KeptVote> for Vote {
    type Error = Unwritable;

    fn try_from(vote: &KeptVote) -> Result<Self, Unwritable> {
        let (approver, channel) = (name(&vote.approver)?, name(&vote.channel)?);
        Ok(Self { approver, channel, uid: vote.uid, telegram_id: vote.telegram_id })
    }
}

impl TryFrom<&NodeEntry> for Node {
    type Error = Unwritable;

    fn try_from(NodeEntry { node, by, channel, at }: &NodeEntry) -> Result<Self, Unwritable> {
        let not_empty = |text: &str| if text.is_empty() { Err(Unwritable::Name) } else { name(text) };
        Ok(Self {
            uuid: node.uuid.as_str().into(),
            name: not_empty(&node.name)?,
            cluster: node.cluster.as_deref().map(not_empty).transpose()?,
            addresses: node.addresses.iter().copied().map(checked).collect::<Result<_, _>>()?,
            formerly: node.formerly.iter().map(|former| former.as_str().into()).collect(),
            by: name(by)?,
            channel: name(channel)?,
            at: at.unix_millis(),
        })
    }
}

/// 16 bytes as 32 digits.
fn digits(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// 32 digits as 16 bytes. Capital letters and signs are no form that a save writes, which is noticed later.
fn bytes(digits: &str) -> Result<[u8; 16], Unreadable> {
    let number = u128::from_str_radix(digits, 16).map_err(|_| Unreadable::Damaged("an id is not of 32 digits"))?;
    Ok(number.to_be_bytes())
}
