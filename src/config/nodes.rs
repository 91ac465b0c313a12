//! The nodes that may ask.

use std::collections::HashMap;
use std::ops::Range;

use ipnet::IpNet;
use toml::Spanned;

use super::file::NodeTable;
use super::finding::Findings;
use super::names::Names;
use super::rules::Layer;
use super::{Node, networks};
use crate::peer::admission::{UuidPolicy, is_shared};
use crate::peer::rate_limit::MAX_BUCKETS;
use crate::request::NodeUuid;

/// Most nodes: each one has a bucket of its own, so that none takes another's turn.
const MAX_NODES: usize = MAX_BUCKETS;

/// What nodes are checked against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) networks: &'a [IpNet],
    pub(super) uuid_policy: UuidPolicy,
    pub(super) clusters: &'a Names,
    pub(super) approvers: &'a Names,
}

/// Checks the nodes; on a mistake the list is shorter than what is written.
pub(super) fn check(
    tables: Vec<Spanned<NodeTable>>,
    around: Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Vec<(Node, Layer)> {
    if tables.is_empty() {
        findings.warning(None, "there is no [[node]]: nobody is admitted");
    }
    if let Some(extra) = tables.get(MAX_NODES) {
        findings.problem(extra.span(), format!("there are more than {MAX_NODES} nodes"), "use a second installation");
    }
    let mut names = Names::beside_codes("node");
    let mut identifiers = Identifiers::default();
    let mut addresses: Vec<(IpNet, usize)> = Vec::new();
    let mut nodes: Vec<(Node, Layer)> = Vec::new();
    for table in tables.into_iter().take(MAX_NODES) {
        let span = table.span();
        let table = table.into_inner();
        let name = names.take(span.clone(), table.name, findings);
        let uuid = own_identifier(span.clone(), table.uuid, around.uuid_policy, &mut identifiers, findings);
        let formerly =
            table.formerly.iter().filter_map(|former| identifiers.take(former, findings)).collect::<Vec<_>>();
        let cluster = table.cluster.and_then(|cluster| {
            let known = around.clusters.contains(cluster.get_ref());
            if !known {
                around.clusters.tell_unknown(cluster.span(), cluster.get_ref(), findings);
            }
            known.then(|| cluster.into_inner().into_boxed_str())
        });
        let listed = networks::parse_all(&table.addresses, findings);
        tell_unreachable(&table.addresses, &listed, around.networks, findings);
        if let Some(other) = table.rules.other_address.as_ref().filter(|_| table.addresses.is_empty()) {
            findings.warning(other.span(), "other_address does nothing for a node that lists no addresses");
        }
        let layer = Layer::check(table.rules, around.approvers, findings);
        if let (Some(name), Some(uuid)) = (name, uuid) {
            addresses.extend(listed.iter().map(|network| (*network, nodes.len())));
            let rules = layer.rules.clone();
            let bind_address = table.bind_address;
            nodes.push((Node { uuid, name, cluster, addresses: listed, formerly, bind_address, rules }, layer));
        }
    }
    for (network, one, other) in networks::shared_addresses(addresses) {
        if let (Some((one, _)), Some((other, _))) = (nodes.get(one), nodes.get(other)) {
            let text = format!(
                "nodes `{}` and `{}` both list {network}: each can claim to be the other",
                one.name, other.name
            );
            findings.warning(None, text);
        }
    }
    for (node, _) in &nodes {
        if identifiers.belongs_to_another(node) {
            let text = format!("the name `{}` is also the UUID of a node", node.name);
            findings.problem(None, text, "give that node another name: commands take either");
        }
    }
    nodes
}

fn own_identifier(
    table: Range<usize>,
    written: Option<Spanned<String>>,
    policy: UuidPolicy,
    identifiers: &mut Identifiers,
    findings: &mut Findings<'_>,
) -> Option<NodeUuid> {
    let Some(written) = written else {
        let hint = "add uuid = \"…\": talosctl get systeminformation shows it";
        findings.problem(table, "this [[node]] has no uuid", hint);
        return None;
    };
    let uuid = identifiers.take(&written, findings)?;
    if !policy.allows(&uuid) {
        let hint = "correct it, or loosen uuid_policy and uuid_entropy_check: this node would always be refused";
        findings.problem(written.span(), "uuid_policy or uuid_entropy_check refuses this UUID", hint);
    } else if is_shared(&uuid) {
        let text = format!("{uuid} is on many machines: any of them is this node for nightlatch");
        findings.warning(written.span(), text);
    } else if uuid.as_uuid().is_none() {
        let text = format!("`{uuid}` is not a UUID: right only if the META key 0xf of the node is set to exactly this");
        findings.warning(written.span(), text);
    }
    Some(uuid)
}

fn tell_unreachable(written: &[Spanned<String>], listed: &[IpNet], allowed: &[IpNet], findings: &mut Findings<'_>) {
    // An empty list of networks has its own warning, and after a mistake the two lists do not match.
    if allowed.is_empty() || written.len() != listed.len() {
        return;
    }
    for (text, network) in written.iter().zip(listed) {
        if !allowed.iter().any(|allowed| networks::overlap(allowed, network)) {
            let hint = "correct it, or add its network to networks";
            findings.problem(
                text.span(),
                format!("no call from {network} is admitted: it is in no allowed network"),
                hint,
            );
        }
    }
}

/// Identifiers in canonical form: one machine may have several over time, but no two machines one.
#[derive(Debug, Default)]
struct Identifiers {
    taken: HashMap<NodeUuid, String>,
}

impl Identifiers {
    fn take(&mut self, written: &Spanned<String>, findings: &mut Findings<'_>) -> Option<NodeUuid> {
        let Ok(uuid) = NodeUuid::parse(written.get_ref()) else {
            let hint = "write it as talosctl get systeminformation shows it: 1 to 64 printable ASCII characters";
            findings.problem(written.span(), "this is no node UUID", hint);
            return None;
        };
        if let Some(before) = self.taken.insert(uuid.clone(), written.get_ref().clone()) {
            let text = format!("the UUID {uuid} is listed twice (before as `{before}`)");
            findings.problem(
                written.span(),
                text,
                "one machine is one [[node]], and formerly names machines that are gone",
            );
            return None;
        }
        Some(uuid)
    }

    fn belongs_to_another(&self, node: &Node) -> bool {
        NodeUuid::parse(&node.name).is_ok_and(|name| name != node.uuid && self.taken.contains_key(&name))
    }
}
