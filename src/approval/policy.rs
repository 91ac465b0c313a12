//! Which rule decides about a call, and whether a set of votes is enough. Pure: no clock, no I/O.

use std::collections::{BTreeMap, BTreeSet};

use crate::peer::standing::KeptVote;
use crate::peer::{ListedBy, Node, Origin};
use crate::request::{NodeUuid, Operation};

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Action {
    /// Refuse at once.
    Deny,
    /// Release under a grant that exists; without one refuse at once and ask nobody.
    Granted,
    /// Release, and tell the channels.
    Allow,
    /// Ask the approvers. What is not decided otherwise is asked.
    #[default]
    Ask,
}

impl Action {
    /// The word for records and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Granted => "granted",
            Self::Allow => "allow",
            Self::Ask => "ask",
        }
    }
}

/// What becomes of a node that lists addresses and calls from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum OtherAddress {
    /// It is refused, and the channels are told.
    #[default]
    Deny,
    /// It gets an ask of its own, shown as such, whatever the rule is for listed addresses; only `deny` stays `deny`
    /// and `granted` stays `granted`.
    Ask,
}

/// A person who may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// What records and prompts call them.
    pub name: Box<str>,
    /// Their user id on this host, for channels where the person is the process's own user.
    pub uid: Option<u32>,
    /// Their numeric Telegram id, for channels that speak for people.
    pub telegram_id: Option<i64>,
}

/// One vote of one approver for a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// The approver's name.
    pub approver: Box<str>,
    /// The channel through which they voted.
    pub channel: Box<str>,
}

impl Approver {
    /// Whether it is this person, and not somebody else of that name, who voted.
    #[must_use]
    pub fn is_of(&self, vote: &KeptVote) -> bool {
        self.name == vote.approver && self.uid == vote.uid && self.telegram_id == vote.telegram_id
    }

    /// Their vote through `channel`, as it is kept.
    #[must_use]
    pub fn kept_vote(&self, channel: &str) -> KeptVote {
        KeptVote { approver: self.name.clone(), channel: channel.into(), uid: self.uid, telegram_id: self.telegram_id }
    }
}

impl KeptVote {
    /// What counts of it.
    #[must_use]
    pub(super) fn vote(&self) -> Vote {
        Vote { approver: self.approver.clone(), channel: self.channel.clone() }
    }
}

/// Which votes are enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Names of those who may vote. Nobody, when it is empty.
    pub approvers: BTreeSet<Box<str>>,
    /// How many of them must approve. Zero is never met.
    pub quorum: usize,
    /// Through how many different channels their votes must come. Zero is never met.
    pub from_channels: usize,
}

impl Requirement {
    /// Whether `votes` are enough. A person counts once, however often and wherever they voted.
    #[must_use]
    pub fn is_met_by(&self, votes: &[Vote]) -> bool {
        let counted: Vec<&Vote> = votes.iter().filter(|vote| self.approvers.contains(&vote.approver)).collect();
        let persons: BTreeSet<&str> = counted.iter().map(|vote| &*vote.approver).collect();
        let channels: BTreeSet<&str> = counted.iter().map(|vote| &*vote.channel).collect();
        self.quorum > 0
            && self.from_channels > 0
            && persons.len() >= self.quorum
            && channels.len() >= self.from_channels
    }

    /// Through how many more channels votes must come.
    #[must_use]
    pub fn missing_channels(&self, votes: &[Vote]) -> usize {
        let counted = votes.iter().filter(|vote| self.approvers.contains(&vote.approver));
        let channels: BTreeSet<&str> = counted.map(|vote| &*vote.channel).collect();
        self.from_channels.saturating_sub(channels.len())
    }

    /// How many approvers must still vote, by head count alone.
    #[must_use]
    pub fn missing(&self, votes: &[Vote]) -> usize {
        let persons: BTreeSet<&str> =
            votes.iter().filter(|vote| self.approvers.contains(&vote.approver)).map(|vote| &*vote.approver).collect();
        self.quorum.saturating_sub(persons.len())
    }
}

/// The rule that decides about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What is done.
    pub action: Action,
    /// Which votes make or made a grant that serves the call.
    pub requirement: Requirement,
}

/// What one layer of the configuration says; what it leaves out, the next layer decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layer {
    /// The action for Seal.
    pub seal: Option<Action>,
    /// The action for Unseal.
    pub unseal: Option<Action>,
    /// What becomes of calls from other addresses than the listed ones.
    pub other_address: Option<OtherAddress>,
    /// Names of those who may vote.
    pub approvers: Option<BTreeSet<Box<str>>>,
    /// How many of them must.
    pub quorum: Option<usize>,
    /// Through how many channels.
    pub from_channels: Option<usize>,
}

/// Which layer a decision came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The node's own rules.
    Node,
    /// The rules of its cluster.
    Cluster,
    /// The rules for everything.
    Default,
    /// No layer says anything.
    BuiltIn,
}

/// All rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// For everything.
    pub default: Layer,
    /// By cluster name.
    pub clusters: BTreeMap<Box<str>, Layer>,
    /// By node.
    pub nodes: BTreeMap<NodeUuid, Layer>,
    /// Everybody who may answer anything.
    pub approvers: Vec<Approver>,
}

impl Policy {
    /// The rule for `operation` of `node` when it calls from `origin`.
    #[must_use]
    pub fn rule(&self, node: &Node, origin: Origin, operation: Operation) -> Rule {
        let (written, _) = self.action(node, operation);
        let action = match (origin, written) {
            (Origin::OtherAddress(_), Action::Allow | Action::Ask) => match self.other_address(node).0 {
                OtherAddress::Deny => Action::Deny,
                OtherAddress::Ask => Action::Ask,
            },
            (Origin::OtherAddress(_), Action::Granted) if self.other_address(node).0 == OtherAddress::Deny => {
                Action::Deny
            }
            // Only the configuration releases anything without a person's word, and only to nodes that it names itself.
            (_, Action::Allow) if node.listed_by == ListedBy::People => Action::Ask,
            (_, written) => written,
        };
        Rule { action, requirement: self.requirement(node) }
    }

    /// The action that is written down for `operation` of `node`, and where.
    #[must_use]
    pub fn action(&self, node: &Node, operation: Operation) -> (Action, Source) {
        self.decide(node, |layer| match operation {
            Operation::Seal => layer.seal,
            Operation::Unseal => layer.unseal,
        })
    }

    /// What becomes of calls of `node` from other addresses, and where that is written down.
    #[must_use]
    pub fn other_address(&self, node: &Node) -> (OtherAddress, Source) {
        self.decide(node, |layer| layer.other_address)
    }

    /// Which votes are enough for `node`.
    #[must_use]
    pub fn requirement(&self, node: &Node) -> Requirement {
        let everybody = || self.approvers.iter().map(|approver| approver.name.clone()).collect();
        Requirement {
            approvers: self.first(node, |layer| layer.approvers.clone()).map_or_else(everybody, |(names, _)| names),
            quorum: self.first(node, |layer| layer.quorum).map_or(1, |(quorum, _)| quorum),
            from_channels: self.first(node, |layer| layer.from_channels).map_or(1, |(channels, _)| channels),
        }
    }

    /// What it takes to change the entry of `node` in the list that people keep: as many people as to approve the node, through
    /// one channel. Only the host's changes that list, and where a rule asks for several channels there is one of those.
    #[must_use]
    pub fn requirement_for_entry(&self, node: &Node) -> Requirement {
        let requirement = self.requirement(node);
        Requirement { from_channels: requirement.from_channels.min(1), ..requirement }
    }

    fn decide<T: Default>(&self, node: &Node, pick: impl Fn(&Layer) -> Option<T>) -> (T, Source) {
        self.first(node, pick).unwrap_or((T::default(), Source::BuiltIn))
    }

    fn first<T>(&self, node: &Node, pick: impl Fn(&Layer) -> Option<T>) -> Option<(T, Source)> {
        let cluster = node.cluster.as_ref().and_then(|name| self.clusters.get(name));
        [(self.nodes.get(&node.uuid), Source::Node), (cluster, Source::Cluster), (Some(&self.default), Source::Default)]
            .into_iter()
            .find_map(|(layer, source)| Some((pick(layer?)?, source)))
    }
}

#[cfg(test)]
mod tests;
