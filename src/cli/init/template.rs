//! The first configuration, and what is said when it is made.

use std::path::Path;

use uuid::Uuid;

use super::layout::{KeyPlace, Layout};
use super::wanted::{FirstNode, Person, Planned};
use crate::cli::{Failure, exit};

/// The text of the configuration. What comes from the command line stands in it as quoted strings only.
pub(in crate::cli) fn text(
    layout: &Layout,
    installation: Uuid,
    networks: &[String],
    nodes: &[FirstNode],
    person: &Person,
) -> Result<String, Failure> {
    let state = path(&layout.state)?;
    let socket = path(&layout.socket)?;
    let key = match &layout.key {
        KeyPlace::Credential(_) => {
            "# The systemd credential that nightlatch.service loads.\ncredential = \"nightlatch-key\"".to_owned()
        }
        KeyPlace::File(file) => format!("file = {}", path(file)?),
    };
    let networks = array(networks);
    let nodes: String = nodes.iter().map(node).collect();
    let (name, uid) = (quoted(&person.name), person.uid);
    Ok(format!(
        r#"# The configuration of nightlatch. The commented nightlatch.toml that comes with it explains every key.
# After a change: nightlatch check, then systemctl reload nightlatch.

# The state in state_directory belongs to this installation. Keep both as they are.
installation = "{installation}"
state_directory = {state}

# From where nodes may call, such as ["192.0.2.0/24"]. With an empty list nobody is admitted.
networks = {networks}

# Connections are not encrypted: use this on a network that you trust. For TLS write [tls] in its place (docs/tls.md).
tls = "off"

[[key]]
name = "first"
{key}

# What is done about Seal (a new disk or key slot) and Unseal (an existing disk): "ask", "deny", "granted" or "allow".
[rules]
seal = "ask"
unseal = "ask"
{nodes}
# Each node that may ask. Its UUID: talosctl get systeminformation. Without addresses each address is asked for by itself.
#[[node]]
#uuid = "4c4c4544-0042-3510-8051-b4c04f4e3632"
#name = "cp-1"
#addresses = ["192.0.2.11"]

# Each person who may approve: by their user id on this host, their numeric Telegram id (telegram_id), or both.
[[approver]]
name = {name}
uid = {uid}

# Through what people answer. This one is for nightlatch approvals: the person is the user who runs it.
[[channel]]
name = "cli"
people = "uid"
socket = {socket}

# The Telegram bot. uid: what id -u nightlatch-bot prints.
#[[channel]]
#name = "telegram"
#people = "telegram"
#uid = 990
"#
    ))
}

fn node(node: &FirstNode) -> String {
    let (uuid, name) = (quoted(&node.uuid), quoted(&node.name));
    let addresses = match &*node.addresses {
        [] => String::new(),
        addresses => format!("addresses = {}\n", array(addresses)),
    };
    format!("\n[[node]]\nuuid = {uuid}\nname = {name}\n{addresses}")
}

fn array(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn path(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().ok_or_else(|| {
        Failure::new(exit::USAGE, format!("{} is not UTF-8", path.display())).hint("choose another directory")
    })?;
    Ok(quoted(text))
}

/// What was made, and what to do next.
pub(super) fn farewell(layout: &Layout, backup: Option<&Path>, planned: &Planned) -> String {
    let (config, key) = (layout.config.display(), layout.key().display());
    let mut text = format!("made {config}, {key} and {}\n", layout.state.display());
    match backup {
        Some(backup) => {
            let backup = backup.display();
            text += &format!(
                "made a backup of the key, {backup}: take it off this host, and keep it where you would keep the disks\n"
            );
        }
        None => text += "made no backup: when the key is lost, every disk sealed with it is lost\n",
    }
    text += &format!("`{}` (user id {}) may approve\n", planned.person.name, planned.person.uid);
    for warning in &planned.warnings {
        text += &format!("note: {warning}\n");
    }
    text + &format!("\nnext\n  nightlatch check --config {config}\n  nightlatch serve --config {config}\n")
}
