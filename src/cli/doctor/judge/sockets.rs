//! Where nodes and channels connect.

use std::path::Path;

use ipnet::IpNet;

use super::list;
use crate::cli::APPROVERS_GROUP;
use crate::cli::doctor::facts::{Entry, Host, Kind, SERVER, TALOS};
use crate::cli::doctor::finding::{Check, Finding, Unseen};
use crate::cli::doctor::unit::Unit;
use crate::config::{Channel, Config, People};

/// How the descriptor name of a channel's socket begins; the channel's name follows.
const CHANNEL: &str = "approval-";

/// Socket units, their files, the port and its filter.
pub(super) fn sockets(host: &Host) -> Vec<Finding> {
    let units = match &host.units {
        Ok(units) => units,
        Err(unseen) => {
            let mut findings = vec![Finding::not_looked_at(Check::SocketUnit, "", unseen)];
            findings.extend(by_hand(host));
            return findings;
        }
    };
    let config = host.config();
    let is_configured = |unit: &&Unit| {
        let channel = unit.descriptor_name().strip_prefix(CHANNEL);
        config.is_none_or(|config| config.channels.iter().any(|known| Some(&*known.name) == channel))
    };
    let mut findings = vec![];
    for unit in units.iter().filter(|unit| unit.id() == TALOS) {
        findings.push(socket_unit(host, unit));
        findings.extend(port(host, unit));
        findings.push(address_filter(host, unit));
    }
    let of_channels = units.iter().filter(|unit| unit.descriptor_name().starts_with(CHANNEL) && unit.is_loaded());
    for unit in of_channels.clone().filter(is_configured).filter(|unit| config.is_some() || unit.is_enabled()) {
        findings.push(socket_unit(host, unit));
        if unit.is_active() {
            findings.extend(
                unit.listens().iter().filter(|place| place.starts_with('/')).map(|path| file(host, unit, path)),
            );
        }
    }
    findings.extend(config.map(|config| channels(config, units)).unwrap_or_default());
    findings
}

fn socket_unit(host: &Host, unit: &Unit) -> Finding {
    let id = unit.id();
    // systemd opens no socket of a service that runs.
    let runs = host.unit(SERVER).is_some_and(Unit::is_active);
    let open = if runs {
        format!("systemctl enable {id} && systemctl restart {SERVER} (what was approved is forgotten, nodes ask again)")
    } else {
        format!("systemctl enable --now {id}")
    };
    if unit.load_state() == "masked" {
        return Finding::wrong(Check::SocketUnit, id, "it is masked", format!("systemctl unmask {id}; {open}"));
    }
    if !unit.is_loaded() {
        return Finding::wrong(Check::SocketUnit, id, "it is not installed", "apt install ./nightlatch_*.deb");
    }
    if unit.active_state() == "failed" {
        let reason = unit.last_error.clone().unwrap_or_else(|| unit.result().to_owned());
        let found = format!("it has failed, so that nobody can connect: {reason}");
        return Finding::wrong(Check::SocketUnit, id, found, format!("systemctl reset-failed {id}; {open}"));
    }
    if !unit.is_active() {
        return Finding::wrong(Check::SocketUnit, id, "it does not listen", open);
    }
    if !unit.is_enabled() {
        let found = "it listens, and will not after the next boot";
        return Finding::wrong(Check::SocketUnit, id, found, format!("systemctl enable {id}"));
    }
    Finding::ok(Check::SocketUnit, id, format!("it listens on {}", list(unit.listens())))
}

fn port(host: &Host, unit: &Unit) -> Vec<Finding> {
    let ports = match &host.ports {
        Ok(ports) => ports,
        Err(unseen) => return vec![Finding::not_looked_at(Check::Port, "", unseen)],
    };
    let wanted = unit.listens().into_iter().filter_map(|place| place.rsplit(':').next()?.parse::<u16>().ok());
    wanted
        .filter(|_| unit.is_active())
        .map(|port| listened(ports, port, &format!("systemctl restart {TALOS} {SERVER}")))
        .collect()
}

fn listened(ports: &[u16], port: u16, hint: &str) -> Finding {
    if ports.contains(&port) {
        return Finding::ok(Check::Port, port.to_string(), "the kernel takes connections there");
    }
    Finding::wrong(Check::Port, port.to_string(), "nothing listens there: no node can connect", hint)
}

/// Without systemd: the addresses and sockets of a start by hand.
fn by_hand(host: &Host) -> Vec<Finding> {
    let Some(config) = host.config() else { return vec![] };
    let mut findings = match &host.ports {
        Ok(ports) => {
            let hint = "start it: nightlatch serve";
            config.listen.talos.iter().map(|address| listened(ports, address.port(), hint)).collect()
        }
        Err(unseen) => vec![Finding::not_looked_at(Check::Port, "", unseen)],
    };
    for path in config.channels.iter().filter_map(|channel| channel.socket.as_deref()) {
        let about = path.display().to_string();
        findings.push(match host.sockets.get(path) {
            Some(Entry::There(file)) if file.kind == Kind::Socket => {
                Finding::ok(Check::SocketFile, about, "it is there")
            }
            Some(Entry::Unseen(unseen)) => Finding::not_looked_at(Check::SocketFile, about, unseen),
            _ => Finding::wrong(Check::SocketFile, about, "there is no socket", "start it: nightlatch serve"),
        });
    }
    findings
}

/// Which addresses the kernel lets through to the port, and whether nodes are among them.
fn address_filter(host: &Host, unit: &Unit) -> Finding {
    let (allowed, denied) = (unit.allowed(), unit.denied());
    if denied.is_empty() {
        return Finding::ok(Check::AddressFilter, TALOS, "none is set: networks in nightlatch.toml decides alone");
    }
    // systemd.resource-control(5): what is allowed is let through, of the rest what is denied is not.
    let overlaps = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    let networks = host.config().map(|config| config.networks.as_slice()).unwrap_or_default();
    let dropped: Vec<&IpNet> = networks
        .iter()
        .filter(|network| denied.iter().any(|denied| overlaps(denied, network)))
        .filter(|network| !allowed.iter().any(|allowed| allowed.contains(*network)))
        .collect();
    if !dropped.is_empty() {
        let found = format!("it drops nodes from {}, which nightlatch.toml allows", list(&dropped));
        let hint = format!(
            "systemctl edit {TALOS}: add IPAddressAllow={} below [Socket]; systemctl restart {TALOS} {SERVER}",
            list(&dropped).replace(',', "")
        );
        return Finding::wrong(Check::AddressFilter, TALOS, found, hint);
    }
    match &host.unfiltered {
        Ok(true) => {
            let found = "it is set, and systemd said that this host cannot enforce it";
            let hint = "filter in a firewall as well; networks in nightlatch.toml decides all the same";
            Finding::warning(Check::AddressFilter, TALOS, found, hint)
        }
        Ok(false) => Finding::ok(Check::AddressFilter, TALOS, format!("it lets {} through", list(&allowed))),
        Err(unseen) => {
            let unseen = Unseen { why: format!("whether it is enforced: {}", unseen.why), ..unseen.clone() };
            Finding::not_looked_at(Check::AddressFilter, TALOS, &unseen)
        }
    }
}

/// A channel's socket, as it is in the file system.
fn file(host: &Host, unit: &Unit, path: &str) -> Finding {
    let hint = format!("systemctl stop {SERVER} && systemctl restart {} (what was approved is forgotten)", unit.id());
    let wrong = |found: String| Finding::wrong(Check::SocketFile, path, found, &hint);
    let file = match host.sockets.get(Path::new(path)) {
        Some(Entry::There(file)) => file,
        Some(Entry::Unseen(unseen)) => return Finding::not_looked_at(Check::SocketFile, path, unseen),
        Some(Entry::Missing) | None => {
            return wrong("systemd listens, and the file is gone: nobody can connect".into());
        }
    };
    if file.kind != Kind::Socket {
        return wrong("it is no socket".into());
    }
    if unit.socket_mode().is_some_and(|mode| mode != file.mode) {
        let wanted = unit.socket_mode().unwrap_or_default();
        return wrong(format!("its mode is {:04o}, and {} says {wanted:04o}", file.mode, unit.id()));
    }
    let channel = host.config().and_then(|config| channel_of(config, unit));
    let owner = host.accounts.as_ref().map(|accounts| accounts.name_of(file.uid));
    let owner = owner.unwrap_or_else(|_| format!("user id {}", file.uid));
    if let Some(Channel { people: People::Telegram { uid }, .. }) = channel
        && file.uid != *uid
    {
        let hint = format!(
            "systemctl edit {}: SocketUser= of the bot; and see uid of the channel in nightlatch.toml",
            unit.id()
        );
        return Finding::wrong(
            Check::SocketFile,
            path,
            format!("it belongs to {owner}, and the channel is for user id {uid}"),
            hint,
        );
    }
    if file.mode & 0o006 != 0 {
        let hint = format!("systemctl edit {}: SocketMode=0660 and SocketGroup={APPROVERS_GROUP}", unit.id());
        return Finding::warning(Check::SocketFile, path, "any user of this host may connect to it", hint);
    }
    Finding::ok(Check::SocketFile, path, format!("it is there, of {owner}, mode {:04o}", file.mode))
}

fn channel_of<'a>(config: &'a Config, unit: &Unit) -> Option<&'a Channel> {
    config.channels.iter().find(|channel| channel.descriptor_name() == unit.descriptor_name())
}

/// Channels without a socket, and sockets without a channel.
fn channels(config: &Config, units: &[Unit]) -> Vec<Finding> {
    let passed = || units.iter().filter(|unit| unit.is_loaded() && unit.descriptor_name().starts_with(CHANNEL));
    let mut findings = vec![];
    for channel in &config.channels {
        let name = channel.descriptor_name();
        if !passed().any(|unit| unit.descriptor_name() == name) {
            let found = format!("no socket unit passes {name}: nobody can answer through it");
            let hint = format!(
                "install and enable a socket unit with FileDescriptorName={name}, such as nightlatch-cli.socket"
            );
            findings.push(Finding::wrong(Check::Channel, &*channel.name, found, hint));
        }
    }
    for unit in passed().filter(|unit| unit.is_active() || unit.is_enabled()) {
        if channel_of(config, unit).is_none() {
            let name = unit.descriptor_name().trim_start_matches(CHANNEL);
            let found = format!(
                "{} is for this channel, which nightlatch.toml does not have: the server will not start",
                unit.id()
            );
            let hint = format!("systemctl disable --now {}, or add a [[channel]] with name = \"{name}\"", unit.id());
            findings.push(Finding::wrong(Check::Channel, name, found, hint));
        }
    }
    if findings.is_empty() && !config.channels.is_empty() {
        let names = list(config.channels.iter().map(|channel| &channel.name));
        findings.push(Finding::ok(Check::Channel, names, "each has its socket unit, and each socket unit its channel"));
    }
    findings
}
