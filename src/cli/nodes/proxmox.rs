//! What the configuration files of Proxmox VE's virtual machines propose as nodes. Pure: bytes in, proposals and
//! findings out. The format is that of qm.conf(5): lines `key: value`, comments with `#`, and behind the machine itself
//! sections such as `[PENDING]` and one for each snapshot. What is not known here is passed over.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use crate::cli::channel::text::printable;
use crate::config::Config;
use crate::peer::admission::{UuidPolicy, is_shared};
use crate::peer::name::{MAX_NAME_LEN, is_readable, looks_like_a_code};
use crate::request::NodeUuid;

/// Longest file that is read, in bytes: that of the file system below /etc/pve.
pub const MAX_FILE_LEN: usize = 1024 * 1024;

/// Most machines at once: as many as a configuration may have nodes.
pub const MAX_MACHINES: usize = 4096;

/// What one file says of its machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machine {
    /// The number of the machine: the file's name.
    pub vmid: String,
    /// What people call it there.
    pub name: Option<String>,
    /// What its firmware says it is.
    pub uuid: Option<String>,
    /// Whether that changes with its next start.
    pub changes: bool,
    /// Whether it only is what others are copied from.
    pub is_template: bool,
    /// Whether options for QEMU may set another UUID.
    pub has_own_arguments: bool,
}

impl Machine {
    /// Reads a file, whatever is in it.
    #[must_use]
    pub fn parse(vmid: &str, bytes: &[u8]) -> Self {
        let mut machine = Self { vmid: vmid.to_owned(), ..Self::default() };
        let mut section = Section::Own;
        let mut pending = None;
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            let line = line.trim_end();
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = if name.eq_ignore_ascii_case("pending") { Section::Pending } else { Section::Other };
                continue;
            }
            let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with('#')) else { continue };
            let value = value.trim();
            match (&section, key) {
                (Section::Own, "name") => machine.name = (!value.is_empty()).then(|| value.to_owned()),
                (Section::Own, "smbios1") => machine.uuid = uuid(value),
                (Section::Own, "template") => machine.is_template = value == "1",
                (Section::Own, "args") => {
                    machine.has_own_arguments = value.contains("-uuid") || value.contains("-smbios");
                }
                (Section::Pending, "smbios1") => pending = Some(uuid(value)),
                (Section::Pending, "delete") if value.split(',').any(|key| key.trim() == "smbios1") => {
                    pending = Some(None);
                }
                _ => {}
            }
        }
        machine.changes = pending.is_some_and(|pending| pending != machine.uuid);
        machine
    }

    /// For people.
    fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("VM {} ({})", printable(&self.vmid), printable(name)),
            None => format!("VM {}", printable(&self.vmid)),
        }
    }

    /// Names for the node, the best one first.
    fn names(&self) -> impl Iterator<Item = String> {
        let own = self.name.as_deref().and_then(fit);
        let both = own.as_ref().and_then(|own| {
            let room = MAX_NAME_LEN.saturating_sub(self.vmid.chars().count() + 1);
            fit(&format!("{}-{}", own.chars().take(room).collect::<String>(), self.vmid))
        });
        [own, both, fit(&format!("vm-{}", self.vmid))].into_iter().flatten()
    }
}

enum Section {
    Own,
    Pending,
    Other,
}

/// Only texts are encoded when `base64=1` stands there, never the UUID.
fn uuid(smbios1: &str) -> Option<String> {
    let fields = smbios1.split(',').filter_map(|field| field.split_once('='));
    fields.filter(|(key, _)| key.trim() == "uuid").map(|(_, value)| value.trim().to_ascii_lowercase()).next_back()
}

/// Whether a node may be called `name`, as far as the name alone tells.
#[must_use]
pub fn is_node_name(name: &str) -> bool {
    is_readable(name) && !looks_like_a_code(name)
}

/// `name` with what a node's name cannot have replaced.
fn fit(name: &str) -> Option<String> {
    let allowed = |char: char| char.is_alphanumeric() || matches!(char, ' ' | '.' | '_' | '-');
    let replaced: String =
        name.trim().chars().map(|char| if allowed(char) { char } else { '-' }).take(MAX_NAME_LEN).collect();
    let name = replaced.trim().to_owned();
    (!name.is_empty()).then_some(name)
}

/// What is listed already, and which identifiers are taken.
#[derive(Debug, Clone, Default)]
pub struct Known {
    names: HashSet<String>,
    /// With the name of the node that has or had it.
    uuids: HashMap<NodeUuid, String>,
    policy: UuidPolicy,
}

impl From<&Config> for Known {
    fn from(config: &Config) -> Self {
        let mut known = Self { policy: config.uuid_policy, ..Self::default() };
        for node in &config.nodes {
            known.add(&node.name, std::iter::once(&node.uuid).chain(&node.formerly).cloned());
        }
        known
    }
}

impl Known {
    /// Adds a listed node with every identifier that it has or had.
    pub fn add(&mut self, name: &str, uuids: impl IntoIterator<Item = NodeUuid>) {
        self.names.insert(name.to_owned());
        self.uuids.extend(uuids.into_iter().map(|uuid| (uuid, name.to_owned())));
    }
}

/// A node that may be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its identifier.
    pub uuid: NodeUuid,
    /// A name that a configuration takes.
    pub name: String,
    /// The machine that it is.
    pub vmid: String,
}

/// What became of the machines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposals {
    /// Nodes that can be listed together, and beside those that are.
    pub nodes: Vec<Proposal>,
    /// What a person should know: why a machine is not among them, or not under its own name. Printable.
    pub findings: Vec<String>,
}

impl Proposals {
    /// Proposes nodes. A machine that could be mistaken for another one is not proposed.
    #[must_use]
    pub fn new(machines: &[Machine], known: &Known) -> Self {
        let mut proposals = Self::default();
        let candidates: Vec<(&Machine, NodeUuid)> = machines
            .iter()
            .filter_map(|machine| match candidate(machine, known) {
                Ok(uuid) => Some((machine, uuid)),
                Err(why) => {
                    proposals.findings.push(format!("{}: {why}", machine.label()));
                    None
                }
            })
            .collect();
        let mut by_uuid: HashMap<&NodeUuid, Vec<&Machine>> = HashMap::new();
        let mut wanted: HashMap<String, usize> = HashMap::new();
        for (machine, uuid) in &candidates {
            by_uuid.entry(uuid).or_default().push(machine);
            *wanted.entry(machine.names().next().unwrap_or_default()).or_default() += 1;
        }
        let mut taken = known.names.clone();
        for (machine, uuid) in &candidates {
            let same = by_uuid.get(uuid).map_or(&[][..], Vec::as_slice);
            if let [first, _, ..] = same {
                if std::ptr::eq(*first, *machine) {
                    proposals.findings.push(duplicate(uuid, same));
                }
                continue;
            }
            if machine.changes {
                proposals.findings.push(format!(
                    "{}: its smbios1 changes with its next start; list it again with its new UUID then, and this one in \
                     formerly",
                    machine.label()
                ));
            }
            let is_free = |name: &String| {
                let is_uuid = NodeUuid::parse(name)
                    .is_ok_and(|name| known.uuids.contains_key(&name) || by_uuid.contains_key(&name));
                is_node_name(name)
                    && !taken.contains(name)
                    && wanted.get(name).is_none_or(|machines| *machines < 2)
                    && !is_uuid
            };
            let Some(name) = machine.names().find(is_free) else {
                proposals.findings.push(format!("{}: no name is left for it; list it by hand", machine.label()));
                continue;
            };
            if let Some(own) = machine.name.as_ref().filter(|own| **own != name) {
                let why = renamed(own, &wanted, &taken);
                proposals.findings.push(format!("{}: proposed as {name}, since {why}", machine.label()));
            }
            taken.insert(name.clone());
            proposals.nodes.push(Proposal { uuid: uuid.clone(), name, vmid: machine.vmid.clone() });
        }
        proposals
    }

    /// Tables for the configuration, with this cluster.
    #[must_use]
    pub fn tables(&self, cluster: Option<&str>) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut out = String::new();
        for node in &self.nodes {
            let _ = write!(out, "[[node]]\nuuid = {}\nname = {}\n", quoted(node.uuid.as_str()), quoted(&node.name));
            if let Some(cluster) = cluster {
                let _ = writeln!(out, "cluster = {}", quoted(cluster));
            }
            out.push('\n');
        }
        out
    }
}

/// The identifier under which a machine can be listed, or why it cannot.
fn candidate(machine: &Machine, known: &Known) -> Result<NodeUuid, String> {
    if machine.is_template {
        return Err("left out: it is a template, and never runs".to_owned());
    }
    let Some(written) = &machine.uuid else {
        return Err(format!(
            "left out: it has no uuid in smbios1, so none of its own; give it one while it is off: qm set {} --smbios1 \
             uuid=$(cat /proc/sys/kernel/random/uuid)",
            printable(&machine.vmid)
        ));
    };
    let uuid = NodeUuid::parse(written).ok().filter(|uuid| uuid.as_uuid().is_some());
    let Some(uuid) = uuid else {
        return Err("left out: what stands as uuid in smbios1 is none".to_owned());
    };
    if machine.has_own_arguments {
        return Err("left out: its args may set another UUID; list it by hand, with the one that talosctl get \
                    systeminformation shows"
            .to_owned());
    }
    if let Some(node) = known.uuids.get(&uuid) {
        return Err(format!("left out: {uuid} is listed already, as {}", printable(node)));
    }
    if is_shared(&uuid) {
        return Err(format!("left out: {uuid} is on many machines; give it one of its own"));
    }
    if !known.policy.allows(&uuid) {
        return Err(format!("left out: uuid_policy or uuid_entropy_check of the configuration refuses {uuid}"));
    }
    if known.names.iter().any(|name| NodeUuid::parse(name).is_ok_and(|name| name == uuid)) {
        return Err(format!("left out: another node is called {uuid}"));
    }
    Ok(uuid)
}

fn duplicate(uuid: &NodeUuid, machines: &[&Machine]) -> String {
    const SHOWN: usize = 8;
    let mut labels = machines.iter().take(SHOWN).map(|machine| machine.label()).collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = machines.len().checked_sub(SHOWN) {
        let _ = write!(labels, " and {more} more");
    }
    format!(
        "{labels}: left out: they have the same UUID {uuid}, as copies and restored backups do, so that each could open \
         the disks of the other; give all but one a UUID of its own before it is encrypted"
    )
}

/// Why a machine cannot have its own name.
fn renamed(own: &str, wanted: &HashMap<String, usize>, taken: &HashSet<String>) -> &'static str {
    if wanted.get(own).is_some_and(|machines| *machines > 1) {
        "several machines have its name"
    } else if taken.contains(own) {
        "a listed node has its name"
    } else if !is_node_name(own) && fit(own).as_deref() == Some(own) {
        "its name looks like the match code of an ask"
    } else {
        "its name cannot be a node's, or is the UUID of one"
    }
}

#[cfg(test)]
mod tests;
