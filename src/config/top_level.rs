//! The file as a whole: what stands at its top, and what its parts must have to do with each other.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use toml::Spanned;
use uuid::Uuid;

use super::file::{ClusterTable, EnrolmentTable, File, ListenTable, UnknownNodesWord};
use super::finding::Findings;
use super::keys::is_absolute;
use super::names::Names;
use super::nodes::Surroundings;
use super::rules::{Layer, Voters};
use super::{
    Cluster, Config, DEFAULT_STATE_DIRECTORY, Enrolment, Listen, Log, Node, keys, networks, nodes, people, timings, tls,
};
use crate::peer::admission::UuidPolicy;

/// Most sockets for the nodes.
const MAX_LISTENERS: usize = 16;

/// Checks the file. `None` only when something that is required is missing or wrong, which is told.
pub(super) fn check(file: File, findings: &mut Findings<'_>) -> Option<Config> {
    let installation = installation(file.installation, findings);
    let state_directory = match file.state_directory {
        None => PathBuf::from(DEFAULT_STATE_DIRECTORY),
        Some(path) => {
            is_absolute(&path, path.span(), findings);
            path.into_inner()
        }
    };
    let networks = networks(file.networks, findings);
    let uuid_policy = UuidPolicy {
        kind: file.uuid_policy.map(Into::into).unwrap_or_default(),
        entropy_check: file.uuid_entropy_check.unwrap_or_default(),
    };
    let tls = tls::check(file.tls, findings);
    let exit_at = file.exit_after_idle.as_ref().map(Spanned::span);
    let exit_after_idle = timings::exit_after_idle(file.exit_after_idle, findings);
    let listen = listen(file.listen, findings);
    let keys = keys::check(file.key, findings);
    keys::refuse_idle_exit(&keys, exit_at, findings);
    let (approvers, approver_names) = people::approvers(file.approver, findings);
    let channels = people::channels(file.channel, &approvers, findings);
    let rules = Layer::check(file.rules, &approver_names, findings);
    let (clusters, cluster_names) = clusters(file.cluster, &approver_names, findings);
    let around =
        Surroundings { networks: &networks, uuid_policy, clusters: &cluster_names, approvers: &approver_names };
    let nodes = nodes::check(file.node, around, findings);
    let enrolment = enrolment(file.enrolment, &networks, &cluster_names, findings);
    let timings = timings::check(file.timings, findings);
    // After a mistake in the lists these would only repeat it in other words.
    if !findings.has_problems() {
        let voters = Voters { approvers: &approvers, channels: &channels };
        check_votes(voters, &rules, &clusters, &nodes, findings);
        check_enrolment(voters, enrolment.as_ref(), &rules, &clusters, findings);
    }
    Some(Config {
        installation: installation?,
        state_directory,
        networks,
        uuid_policy,
        tls: tls?,
        listen,
        keys,
        rules: rules.rules,
        clusters: clusters.into_iter().map(|(cluster, _)| cluster).collect(),
        nodes: nodes.into_iter().map(|(node, _)| node).collect(),
        enrolment,
        approvers,
        channels,
        timings,
        exit_after_idle,
        log: Log {
            level: file.log.level.unwrap_or(Log::default().level),
            libraries: file.log.libraries.unwrap_or(Log::default().libraries),
        },
    })
}

/// How nodes that are not listed may ask to be, if they may.
fn enrolment(
    table: EnrolmentTable,
    allowed: &[IpNet],
    clusters: &Names,
    findings: &mut Findings<'_>,
) -> Option<Enrolment> {
    let EnrolmentTable { unknown_nodes, networks, cluster } = table;
    let networks = match networks {
        None => allowed.to_vec(),
        Some(written) => {
            let parsed = networks::parse_all(written.get_ref(), findings);
            if !allowed.is_empty() && parsed.iter().any(|one| !allowed.iter().any(|outer| outer.contains(one))) {
                let hint = "name networks that lie within networks: nobody else is admitted";
                findings.problem(written.span(), "a network of [enrolment] is not allowed to call", hint);
            }
            parsed
        }
    };
    let cluster = cluster.and_then(|cluster| {
        let known = clusters.contains(cluster.get_ref());
        if !known {
            clusters.tell_unknown(cluster.span(), cluster.get_ref(), findings);
        }
        known.then(|| cluster.into_inner().into_boxed_str())
    });
    (unknown_nodes == Some(UnknownNodesWord::Ask)).then_some(Enrolment { networks, cluster })
}

/// Somebody has to be able to answer for nodes that are not listed.
fn check_enrolment(
    voters: Voters<'_>,
    enrolment: Option<&Enrolment>,
    default: &Layer,
    clusters: &[(Cluster, Layer)],
    findings: &mut Findings<'_>,
) {
    let Some(enrolment) = enrolment else { return };
    let cluster = clusters.iter().find(|(cluster, _)| Some(&cluster.name) == enrolment.cluster.as_ref());
    let layers: Vec<&Layer> = cluster.map(|(_, layer)| layer).into_iter().chain([default]).collect();
    if voters.can_nobody_answer(&layers) {
        findings.warning(None, "nobody can answer for nodes that are not listed: add [[approver]] and [[channel]]");
    }
}

/// The networks from which nodes may call, with a warning where nobody or everybody may.
fn networks(written: Option<Spanned<Vec<Spanned<String>>>>, findings: &mut Findings<'_>) -> Vec<IpNet> {
    let at = written.as_ref().map(Spanned::span);
    let written = written.map(Spanned::into_inner).unwrap_or_default();
    if written.is_empty() {
        findings.warning(at.clone(), "no network is allowed: nobody is admitted");
    }
    let networks = networks::parse_all(&written, findings);
    for everything in networks.iter().filter(|network| network.prefix_len() == 0) {
        findings.warning(at.clone(), format!("networks holds {everything}: every address there is may call"));
    }
    networks
}

fn installation(written: Option<Spanned<String>>, findings: &mut Findings<'_>) -> Option<Uuid> {
    let hint =
        "nightlatch credentials init makes one; for a state that exists, take the one that the state's error names";
    let Some(written) = written else {
        findings.problem(None, "installation is missing: the UUID that the state belongs to", hint);
        return None;
    };
    let parsed = Uuid::try_parse(written.get_ref()).ok().filter(|uuid| !uuid.is_nil());
    if parsed.is_none() {
        findings.problem(written.span(), "this is no UUID of an installation", hint);
    }
    parsed
}

fn listen(table: Option<ListenTable>, findings: &mut Findings<'_>) -> Listen {
    let Some(written) = table.and_then(|table| table.talos) else {
        return Listen::default();
    };
    if written.get_ref().len() > MAX_LISTENERS {
        findings.problem(written.span(), "there are more than 16 sockets to listen on", "one is enough for all nodes");
    }
    let mut talos = Vec::new();
    for text in written.into_inner().into_iter().take(MAX_LISTENERS) {
        match text.get_ref().parse::<SocketAddr>() {
            Ok(address) => talos.push(address),
            Err(_) => {
                let hint = "write address and port, such as \"192.0.2.1:4050\" or \"[2001:db8::1]:4050\"";
                findings.problem(text.span(), "this is no address to listen on", hint);
            }
        }
    }
    Listen { talos }
}

fn clusters(
    tables: Vec<Spanned<ClusterTable>>,
    approvers: &Names,
    findings: &mut Findings<'_>,
) -> (Vec<(Cluster, Layer)>, Names) {
    let mut names = Names::beside_codes("cluster");
    let mut clusters = Vec::new();
    for table in tables {
        let span = table.span();
        let table = table.into_inner();
        let layer = Layer::check(table.rules, approvers, findings);
        if let Some(name) = names.take(span, table.name, findings) {
            clusters.push((Cluster { name, rules: layer.rules.clone() }, layer));
        }
    }
    (clusters, names)
}

fn check_votes(
    voters: Voters<'_>,
    default: &Layer,
    clusters: &[(Cluster, Layer)],
    nodes: &[(Node, Layer)],
    findings: &mut Findings<'_>,
) {
    let by_name: std::collections::HashMap<&str, &Layer> =
        clusters.iter().map(|(cluster, layer)| (&*cluster.name, layer)).collect();
    voters.warn_of_unable(findings);
    voters.check(&[default], findings);
    for (_, layer) in clusters {
        voters.check(&[layer, default], findings);
    }
    let mut unanswered: Vec<&str> = Vec::new();
    for (node, layer) in nodes {
        let cluster = node.cluster.as_ref().and_then(|name| by_name.get(&**name));
        let layers: Vec<&Layer> = [Some(layer), cluster.copied(), Some(default)].into_iter().flatten().collect();
        voters.check(&layers, findings);
        if voters.ask_nobody(&layers) {
            unanswered.push(&node.name);
        }
    }
    if let [first, rest @ ..] = &*unanswered {
        let others = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        findings.warning(None, format!("nobody can approve `{first}`{others}: add [[approver]] and [[channel]]"));
    }
}
