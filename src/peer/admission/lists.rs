//! Which nodes may ask: those of the configuration, and those that people listed beside them.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Generation, UuidPolicy, is_shared};
use crate::peer::standing::NodeEntry;
use crate::peer::{ListedBy, ListedNode, Node, Peer};
use crate::request::NodeUuid;

/// Who may call: the part of admission that configuration and people say.
#[derive(Debug, Default)]
pub struct Lists {
    generation: Generation,
    networks: Vec<IpNet>,
    /// Those of the configuration, in its order.
    configured: Vec<ListedNode>,
    /// The clusters of the configuration.
    clusters: BTreeSet<Box<str>>,
    /// Those that people listed.
    listings: Vec<Listing>,
    by_uuid: HashMap<NodeUuid, ListedNode>,
    uuid_policy: UuidPolicy,
    enrolment: Option<Enrolment>,
}

/// How nodes that are not listed may ask to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enrolment {
    /// From where.
    pub networks: Vec<IpNet>,
    /// The cluster that they will belong to.
    pub cluster: Option<Box<str>>,
}

/// A node that people listed, as it is in force beside the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The node in force; as people made it when it is not.
    pub node: ListedNode,
    /// The node as people made it.
    pub made: Node,
    /// Whether it may ask.
    pub in_force: bool,
    /// Why it is not as people made it, or not in force. For people.
    pub conflict: Option<String>,
}

impl Lists {
    /// Admits `nodes` from `networks`. Without networks, or without nodes, nobody is admitted.
    #[must_use]
    pub fn new(networks: Vec<IpNet>, nodes: impl IntoIterator<Item = Node>, uuid_policy: UuidPolicy) -> Self {
        let configured: Vec<ListedNode> = nodes.into_iter().map(ListedNode::new).collect();
        let by_uuid = configured.iter().map(|node| (node.uuid.clone(), ListedNode::clone(node))).collect();
        Self { networks, configured, by_uuid, uuid_policy, ..Self::default() }
    }

    /// The same, as the configuration of this generation.
    #[must_use]
    pub fn of(self, generation: Generation) -> Self {
        Self { generation, ..self }
    }

    /// The same, with the names of the clusters that have rules.
    #[must_use]
    pub fn with_clusters(self, clusters: impl IntoIterator<Item = Box<str>>) -> Self {
        Self { clusters: clusters.into_iter().collect(), ..self }
    }

    /// The same, where nodes that are not listed may ask to be.
    #[must_use]
    pub fn with_enrolment(self, enrolment: Option<Enrolment>) -> Self {
        Self { enrolment, ..self }
    }

    /// The same configuration, with these nodes beside it instead of those that there were.
    ///
    /// The configuration wins where both contradict, and what is not as people made it is said: an identifier that the
    /// configuration lists, or calls a former one, is not listed a second time; a name that is taken is made longer; a former
    /// identifier that is listed, or that another node has, is left out.
    #[must_use]
    pub fn with_entries(&self, entries: &[NodeEntry]) -> Self {
        let by_uuid = self.configured.iter().map(|node| (node.uuid.clone(), ListedNode::clone(node))).collect();
        let mut lists = Self {
            generation: self.generation,
            networks: self.networks.clone(),
            configured: self.configured.clone(),
            clusters: self.clusters.clone(),
            listings: Vec::with_capacity(entries.len()),
            by_uuid,
            uuid_policy: self.uuid_policy,
            enrolment: self.enrolment.clone(),
        };
        let mut former: BTreeSet<NodeUuid> =
            lists.configured.iter().flat_map(|node| node.formerly.iter().cloned()).collect();
        let mut names: BTreeSet<Box<str>> = lists.configured.iter().map(|node| node.name.clone()).collect();
        let listed: BTreeSet<NodeUuid> = entries.iter().map(|entry| entry.node.uuid.clone()).collect();
        for entry in entries {
            let listing = lists.listing(&entry.node, &listed, &mut former, &mut names);
            if listing.in_force {
                lists.by_uuid.insert(listing.node.uuid.clone(), ListedNode::clone(&listing.node));
            }
            lists.listings.push(listing);
        }
        lists
    }

    fn listing(
        &self,
        made: &Node,
        listed: &BTreeSet<NodeUuid>,
        former: &mut BTreeSet<NodeUuid>,
        names: &mut BTreeSet<Box<str>>,
    ) -> Listing {
        let mut node = Node { listed_by: ListedBy::People, bind_address: false, ..made.clone() };
        let not = |conflict: String| Listing {
            node: ListedNode::new(Node { listed_by: ListedBy::People, ..made.clone() }),
            made: made.clone(),
            in_force: false,
            conflict: Some(conflict),
        };
        if let Some(other) = self.by_uuid.get(&node.uuid) {
            return not(format!(
                "the configuration lists this UUID as `{}`, which is what counts, former UUIDs too; it comes into force when \
                 that is taken out",
                other.name
            ));
        }
        if let Some(heir) = self.configured.iter().find(|other| other.formerly.contains(&node.uuid)) {
            return not(format!("in the configuration, this is a former UUID of `{}`", heir.name));
        }
        if let Some(gone) = node.cluster.as_ref().filter(|cluster| !self.clusters.contains(*cluster)) {
            return not(format!(
                "the configuration has no cluster `{gone}` any more, whose rules are its own: add that again, or forget the \
                 node and add it anew"
            ));
        }
        let mut conflicts = Vec::new();
        if names.contains(&node.name) {
            conflicts.push(format!("another node is called `{}`", node.name));
            let longer = [format!("{}-{}", node.name, in_name(&node.uuid, 8)), in_name(&node.uuid, 64)];
            // Identifiers that differ in characters alone that names have not become the same name.
            let numbered = (2_usize..).map(|number| format!("{}-{number}", in_name(&node.uuid, 56)));
            let free = longer.into_iter().chain(numbered).map(Box::from).find(|name| !names.contains(name));
            node.name = free.unwrap_or_default();
        }
        node.formerly.retain(|old| {
            let is_free = !self.by_uuid.contains_key(old) && !listed.contains(old) && former.insert(old.clone());
            if !is_free {
                conflicts.push(format!("its former UUID {old} belongs to another node"));
            }
            is_free
        });
        names.insert(node.name.clone());
        let conflict = (!conflicts.is_empty()).then(|| conflicts.join("; "));
        Listing { node: ListedNode::new(node), made: made.clone(), in_force: true, conflict }
    }

    /// Which configuration they are from.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Which identifiers are taken.
    #[must_use]
    pub fn uuid_policy(&self) -> UuidPolicy {
        self.uuid_policy
    }

    /// The node listed under `uuid`.
    #[must_use]
    pub fn node(&self, uuid: &NodeUuid) -> Option<&ListedNode> {
        self.by_uuid.get(uuid)
    }

    /// Whether just this node is listed, in every part of its entry.
    #[must_use]
    pub fn has(&self, node: &Node) -> bool {
        self.node(&node.uuid).is_some_and(|listed| **listed == *node)
    }

    /// Every node that may ask: those of the configuration in its order, and those that people listed.
    pub fn nodes(&self) -> impl Iterator<Item = &ListedNode> {
        let beside = self.listings.iter().filter(|listing| listing.in_force).map(|listing| &listing.node);
        self.configured.iter().chain(beside)
    }

    /// The nodes that people listed, also those that may not ask.
    #[must_use]
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// Whether the configuration has rules for this cluster.
    #[must_use]
    pub fn has_cluster(&self, name: &str) -> bool {
        self.clusters.contains(name)
    }

    /// The node that `peer` claims to be, as it would be listed. None when it is listed, or may not ask to be.
    #[must_use]
    pub fn candidate(&self, uuid: &NodeUuid, peer: &Peer) -> Option<ListedNode> {
        let Enrolment { networks, cluster } = self.enrolment.as_ref()?;
        let may = self.allow(peer.address)
            && networks.iter().any(|network| network.contains(&peer.address))
            && self.node(uuid).is_none()
            && !is_shared(uuid)
            && self.uuid_policy.allows(uuid)
            // Else a command that names one of them could mean the other.
            && !self.nodes().any(|node| node.formerly.contains(uuid) || *node.name == *uuid.as_str())
            && !self.listings.iter().any(|it| it.made.uuid == *uuid || it.made.formerly.contains(uuid));
        may.then(|| {
            let node = Node::clone(&self.unlisted(uuid));
            ListedNode::new(Node { cluster: cluster.clone(), addresses: vec![peer.network()], ..node })
        })
    }

    /// A node that is not listed, as people are told of it.
    #[must_use]
    pub fn unlisted(&self, uuid: &NodeUuid) -> ListedNode {
        ListedNode::new(Node {
            uuid: uuid.clone(),
            name: self.free_new_name(uuid),
            cluster: self.enrolment.as_ref().and_then(|enrolment| enrolment.cluster.clone()),
            addresses: vec![],
            formerly: vec![],
            bind_address: false,
            listed_by: ListedBy::People,
        })
    }

    /// What a node is called that nobody has named yet: as little of its identifier as tells it from the others.
    fn free_new_name(&self, uuid: &NodeUuid) -> Box<str> {
        let taken = |name: &str| {
            self.nodes().any(|node| *node.name == *name) || self.listings.iter().any(|it| *it.made.name == *name)
        };
        let names = (8..=60).step_by(4).map(|len| new_name(uuid, len));
        names.into_iter().find(|name| !taken(name)).unwrap_or_else(|| new_name(uuid, 60))
    }

    /// Whether some address of `network` may call.
    #[must_use]
    pub fn allows_network(&self, network: &IpNet) -> bool {
        self.networks.iter().any(|allowed| allowed.contains(network) || network.contains(allowed))
    }

    pub(super) fn allow(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// What a node is called at first that nobody has named: so much of its identifier.
#[must_use]
pub fn new_name(uuid: &NodeUuid, len: usize) -> Box<str> {
    format!("new-{}", in_name(uuid, len.min(60))).into()
}

/// The beginning of an identifier, of characters that names have.
fn in_name(uuid: &NodeUuid, len: usize) -> String {
    let fit = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    uuid.as_str().chars().take(len).map(fit).collect()
}

#[cfg(test)]
mod tests;
