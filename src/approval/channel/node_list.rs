//! Changing the list of nodes that people keep, on the host alone.

use std::net::IpAddr;

use ipnet::IpNet;
use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::change_node_request::Change as Wanted;
use tonic::{Request, Status};

use super::{Channel, NO_ROOM, NO_SUCH_NODE, NOT_LISTED, People, RECONFIGURED, message};
use crate::approval::ledger::act::{Act, Answer, Change, ChangeAnswer};
use crate::peer::admission::{Listing, Lists, is_shared};
use crate::peer::name::{is_readable, looks_like_a_code};
use crate::peer::{ListedBy, Node};
use crate::request::NodeUuid;

const ON_THE_HOST: &str = "the list of nodes is changed on the host alone: nightlatch nodes";
const IN_THE_FILE: &str = "this node stands in the configuration file; change it there, and reload";
const BAD_NAME: &str = "a name has 1 to 64 letters, digits, blanks, `.`, `_`, `-`, and does not look like a match code";
const NAME_TAKEN: &str = "another node has this name, or it is another node's UUID";
const UUID_TAKEN: &str = "this UUID is listed, is a former one of a listed node, or is what another node is called";
const BAD_UUID: &str = "a node's UUID has 1 to 64 printable ASCII characters, and is of the kind that is demanded; one \
     that many machines share is listed in the configuration file alone";
const BAD_NETWORK: &str = "an address must be an address or network from which nodes may call, at most 16 of them";
const BAD_FORMERLY: &str = "a former UUID is listed, or belongs to another node, or there are more than 16";
const NO_CLUSTER: &str = "the configuration has no cluster of this name";
const CLUSTER_GONE: &str = "its cluster is not in the configuration any more; put it back there, or forget the entry";
const NOTHING: &str = "say what is to change";

/// Most addresses, and most former identifiers, of one node.
const MAX_PARTS: usize = 16;

impl Channel {
    pub(super) async fn change_list(
        &self,
        request: &Request<v1::ChangeNodeRequest>,
    ) -> Result<v1::ChangeNodeResponse, Status> {
        let configuration = self.gate.configuration();
        if self.people != People::OwnUser {
            self.may_listen(request)?;
            return Err(Status::permission_denied(ON_THE_HOST));
        }
        let approver = self.approver(&configuration, request, None)?;
        let lists = self.admission.lists();
        if lists.generation() != configuration.generation {
            return Err(Status::unavailable(RECONFIGURED));
        }
        let change = change(&lists, request.get_ref())?;
        // The same for the entry as it is and as it shall be: UUID and cluster stay.
        let requirement = configuration.policy.requirement_for_entry(change.node());
        if !requirement.approvers.contains(&approver.name) {
            return Err(Status::permission_denied(NOT_LISTED));
        }
        if let Change::Replace { before, after } = &change
            && before == after
        {
            let node = Some(message::entry(after));
            let outcome = v1::ChangeOutcome::Unchanged.into();
            return Ok(v1::ChangeNodeResponse { outcome, node, votes_missing: 0 });
        }
        let by = self.voter(request, approver, None)?;
        let vote = approver.kept_vote(&self.name);
        let shown = message::entry(change.node());
        let act = Act::ChangeNode { change, requirement, by, vote };
        let (outcome, missing) = match self.act(configuration.generation, act).await? {
            Answer::NodeChanged(ChangeAnswer::Changed(_)) => (v1::ChangeOutcome::Changed, 0),
            Answer::NodeChanged(ChangeAnswer::Counted(missing)) => (v1::ChangeOutcome::Counted, missing),
            Answer::NodeChanged(ChangeAnswer::Repeated(missing)) => (v1::ChangeOutcome::Repeated, missing),
            Answer::NodeChanged(ChangeAnswer::Outdated) => return Err(Status::unavailable(RECONFIGURED)),
            _ => return Err(Status::resource_exhausted(NO_ROOM)),
        };
        let votes_missing = u32::try_from(missing).unwrap_or(u32::MAX);
        Ok(v1::ChangeNodeResponse { outcome: outcome.into(), node: Some(shown), votes_missing })
    }
}

/// The change that is meant, if it leaves every identifier and every name with one node.
fn change(lists: &Lists, message: &v1::ChangeNodeRequest) -> Result<Change, Status> {
    let wanted = message.change.as_ref().ok_or_else(|| Status::invalid_argument(NOTHING))?;
    if let Wanted::Add(add) = wanted {
        return added(lists, &message.node, add).map(Change::Add);
    }
    let before = listing(lists, &message.node)?.made.clone();
    // Its rule is gone with the cluster: by what is left, fewer people could turn it into another entry of that cluster.
    let is_without_rule = before.cluster.as_ref().is_some_and(|cluster| !lists.has_cluster(cluster));
    if is_without_rule && !matches!(wanted, Wanted::Forget(_)) {
        return Err(Status::failed_precondition(CLUSTER_GONE));
    }
    let mut after = before.clone();
    match wanted {
        Wanted::Add(_) => {}
        Wanted::Name(name) => after.name = free_name(lists, name, &before.uuid)?,
        Wanted::Addresses(v1::Addresses { addresses }) => after.addresses = networks(lists, addresses)?,
        Wanted::Formerly(v1::Formerly { uuids }) => after.formerly = formerly(lists, uuids, &before.uuid)?,
        Wanted::Forget(true) => return Ok(Change::Forget(before)),
        Wanted::Forget(false) => return Err(Status::invalid_argument(NOTHING)),
    }
    Ok(Change::Replace { before, after })
}

fn added(lists: &Lists, uuid: &str, add: &v1::AddNode) -> Result<Node, Status> {
    let uuid = NodeUuid::parse(uuid).ok().filter(|uuid| lists.uuid_policy().allows(uuid) && !is_shared(uuid));
    let uuid = uuid.ok_or_else(|| Status::invalid_argument(BAD_UUID))?;
    let is_name = everything(lists).any(|node| *node.name == *uuid.as_str());
    if is_taken(lists, &uuid, None) || is_name {
        return Err(Status::already_exists(UUID_TAKEN));
    }
    let cluster = Some(&*add.cluster).filter(|cluster| !cluster.is_empty());
    if cluster.is_some_and(|cluster| !lists.has_cluster(cluster)) {
        return Err(Status::not_found(NO_CLUSTER));
    }
    Ok(Node {
        name: free_name(lists, &add.name, &uuid)?,
        cluster: cluster.map(Box::from),
        addresses: networks(lists, &add.addresses)?,
        formerly: formerly(lists, &add.formerly, &uuid)?,
        bind_address: false,
        listed_by: ListedBy::People,
        uuid,
    })
}

/// The entry of people's list that is meant by a name or a UUID, also one that is not in force.
fn listing<'a>(lists: &'a Lists, meant: &str) -> Result<&'a Listing, Status> {
    let uuid = NodeUuid::parse(meant).ok();
    // By either name, when the one that people gave it is taken.
    let is_meant = |node: &Node| *node.name == *meant || uuid.as_ref() == Some(&node.uuid);
    if let Some(listing) = lists.listings().iter().find(|listing| is_meant(&listing.node)) {
        return Ok(listing);
    }
    match lists.nodes().any(|node| is_meant(node)) {
        true => Err(Status::failed_precondition(IN_THE_FILE)),
        false => Err(Status::not_found(NO_SUCH_NODE)),
    }
}

/// Every node that is listed in either list, in force or not.
fn everything(lists: &Lists) -> impl Iterator<Item = &Node> {
    lists.nodes().chain(lists.listings().iter().map(|listing| &listing.node)).map(|node| &**node)
}

/// Whether the identifier is a node's, or a former one of a node other than `but`.
fn is_taken(lists: &Lists, uuid: &NodeUuid, but: Option<&NodeUuid>) -> bool {
    everything(lists).any(|node| node.uuid == *uuid || (Some(&node.uuid) != but && node.formerly.contains(uuid)))
}

fn free_name(lists: &Lists, name: &str, uuid: &NodeUuid) -> Result<Box<str>, Status> {
    if !is_readable(name) || looks_like_a_code(name) {
        return Err(Status::invalid_argument(BAD_NAME));
    }
    let as_uuid = NodeUuid::parse(name).ok();
    let is_anothers = |node: &Node| node.uuid != *uuid && (*node.name == *name || as_uuid.as_ref() == Some(&node.uuid));
    if everything(lists).any(is_anothers) { Err(Status::already_exists(NAME_TAKEN)) } else { Ok(name.into()) }
}

fn networks(lists: &Lists, written: &[String]) -> Result<Vec<IpNet>, Status> {
    let bad = || Status::invalid_argument(BAD_NETWORK);
    if written.len() > MAX_PARTS {
        return Err(bad());
    }
    let parse = |text: &String| {
        let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        let network = address.or_else(|_| text.parse::<IpNet>()).map_err(|_| bad())?;
        let may = network == network.trunc() && lists.allows_network(&network);
        may.then_some(network).ok_or_else(bad)
    };
    let mut networks: Vec<IpNet> = Vec::with_capacity(written.len());
    for network in written.iter().map(parse) {
        let network = network?;
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    Ok(networks)
}

fn formerly(lists: &Lists, written: &[String], uuid: &NodeUuid) -> Result<Vec<NodeUuid>, Status> {
    let bad = || Status::invalid_argument(BAD_FORMERLY);
    if written.len() > MAX_PARTS {
        return Err(bad());
    }
    let mut former: Vec<NodeUuid> = Vec::with_capacity(written.len());
    for text in written {
        let old = NodeUuid::parse(text).map_err(|_| bad())?;
        if old == *uuid || is_taken(lists, &old, Some(uuid)) {
            return Err(bad());
        }
        if !former.contains(&old) {
            former.push(old);
        }
    }
    Ok(former)
}
