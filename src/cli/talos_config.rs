//! `nightlatch talos-config`: the patch of a node's machine configuration that encrypts its disks with keys of this
//! server. The patch goes to standard output, what a person should know before applying it to standard error.

mod patch;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use self::patch::{Patch, Spare, Version, Volume};
use super::channel::DEFAULT_SOCKET;
use super::nodes::call::{self, Connection};
use super::seal::call::Endpoint;
use super::{Failure, check, exit, print_document};
use crate::certificate::examination::{Trust, WHY_STATE};
use crate::clock::{Clock, HostClock};
use crate::config::{self, Config, Tls};
use crate::daemon::certificate::judgement::judge;
use crate::request::NodeUuid;

/// The port of the package's socket unit.
const PORT: u16 = 4050;

/// Options of `nightlatch talos-config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node's name or UUID
    node: String,
    /// What the node calls, grpc://ADDRESS:PORT or https://NAME:PORT, instead of what the configuration tells
    #[arg(long, value_name = "URL")]
    endpoint: Option<Endpoint>,
    /// The node's version of Talos, 1.5 to 1.14
    #[arg(long, value_name = "VERSION", default_value_t = Version::NEWEST)]
    talos: Version,
    /// What opens the disk when this server cannot: URL, a second server with the same key, which asks people too; or
    /// tpm, node-id or static, each of which also opens what nobody approved
    #[arg(long, value_name = "URL|tpm|node-id|static")]
    spare: Option<Spare>,
    /// Leave STATE as it is
    #[arg(long)]
    without_state: bool,
    /// Encrypt the image cache too (Talos 1.11)
    #[arg(long)]
    image_cache: bool,
    /// Encrypt this user volume too, which the machine configuration has already (may be given again; Talos 1.10)
    #[arg(long, value_name = "NAME", value_parser = patch::volume_name)]
    user_volume: Vec<String>,
    /// Likewise a raw volume (Talos 1.11)
    #[arg(long, value_name = "NAME", value_parser = patch::volume_name)]
    raw_volume: Vec<String>,
    /// Likewise a swap volume (Talos 1.11)
    #[arg(long, value_name = "NAME", value_parser = patch::volume_name)]
    swap_volume: Vec<String>,
    /// The configuration [default: /etc/nightlatch/nightlatch.toml, if it can be read]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The socket of the server, for nodes that are not in the configuration [default: that of the configuration]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Prints the patch.
///
/// # Errors
/// [`Failure`] when the node is not listed, when it is not known what it calls, and when it would be locked out.
pub fn run(args: &Args) -> Result<(), Failure> {
    let config = readable(args)?;
    let node = node(args, config.as_ref())?;
    let endpoint = endpoint(args, config.as_ref())?;
    let public = config.as_ref().and_then(is_public);
    let mut notes = checked(args, config.as_ref(), &endpoint, public)?;
    let volumes = volumes(args)?;
    let patch = Patch { node, endpoint, version: args.talos, spare: args.spare.clone(), volumes };
    notes.extend(patch.spare.as_ref().and_then(Spare::weakness).map(str::to_owned));
    for note in notes {
        // With standard error closed there is nobody left to tell.
        let _closed = writeln!(io::stderr(), "nightlatch: {note}");
    }
    print_document(patch.to_string().as_bytes())
}

fn readable(args: &Args) -> Result<Option<Config>, Failure> {
    let path = args.config.clone().unwrap_or_else(|| config::DEFAULT_PATH.into());
    if args.config.is_none() && File::open(&path).is_err() {
        return Ok(None);
    }
    Ok(Some(check::load(&path)?.0))
}

/// The node's name and UUID, from the configuration, or else from the list of the running server.
fn node(args: &Args, config: Option<&Config>) -> Result<(String, String), Failure> {
    let uuid = NodeUuid::parse(&args.node).ok();
    let is_it = |node: &&config::Node| *node.name == *args.node || Some(&node.uuid) == uuid.as_ref();
    if let Some(node) = config.and_then(|config| config.nodes.iter().find(is_it)) {
        return Ok((node.name.to_string(), node.uuid.to_string()));
    }
    let own = |channel: &&config::Channel| channel.people == config::People::Uid;
    let configured = || config?.channels.iter().filter(own).find_map(|channel| channel.socket.clone());
    let socket = args.socket.clone().or_else(configured).unwrap_or_else(|| DEFAULT_SOCKET.into());
    let read = call::runtime()?.block_on(async { Connection::new(socket).node(&args.node).await });
    let node = read.map_err(|failure| match config {
        Some(_) => failure.also("the configuration does not list it either"),
        None => failure.also("--config FILE names the configuration that lists it"),
    })?;
    let node = node.node.unwrap_or_default();
    Ok((node.name, node.uuid))
}

/// What the node calls.
fn endpoint(args: &Args, config: Option<&Config>) -> Result<Endpoint, Failure> {
    if let Some(endpoint) = &args.endpoint {
        return Ok(endpoint.clone());
    }
    let not_said = |why: &str| {
        Failure::usage(format!("{why}: it is not known what the node calls"))
            .hint("add --endpoint grpc://ADDRESS:4050, or --endpoint https://NAME:4050 for TLS")
    };
    let config = config.ok_or_else(|| not_said("there is no configuration that can be read"))?;
    let reached = |listening: &&SocketAddr| !listening.ip().is_loopback();
    let listening = config.listen.talos.iter().find(reached);
    let port = listening.map_or(PORT, SocketAddr::port);
    let text = match &config.tls {
        Tls::Off => {
            let address = listening.filter(|listening| !listening.ip().is_unspecified());
            let address = address.ok_or_else(|| not_said("the configuration has no address of this host"))?;
            format!("grpc://{address}")
        }
        Tls::On(certificate) => {
            let named = certificate.names.iter().map(|name| name.to_str());
            let is_address = |name: &str| name.parse::<IpAddr>().is_ok();
            let name = named.min_by_key(|name| is_address(name)).unwrap_or_default();
            match name.contains(':') {
                true => format!("https://[{name}]:{port}"),
                false => format!("https://{name}:{port}"),
            }
        }
    };
    text.parse().map_err(|_| not_said("the name in the configuration makes no URL"))
}

/// Whether every node trusts the certificate; `None` when there is none that can be read here.
fn is_public(config: &Config) -> Option<bool> {
    let Tls::On(places) = &config.tls else { return None };
    let judgement = judge(places, None, HostClock.now().wall).ok()?;
    Some(judgement.trust == Trust::Public)
}

/// What a person should know; an error where the node would be locked out.
fn checked(
    args: &Args,
    config: Option<&Config>,
    endpoint: &Endpoint,
    public: Option<bool>,
) -> Result<Vec<String>, Failure> {
    let mut notes = vec![];
    let address = endpoint.host().parse::<IpAddr>();
    if endpoint.host() == "localhost" || address.as_ref().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified()) {
        return Err(Failure::usage(format!("a node that calls {endpoint} calls itself"))
            .hint("name the address or the name of this host in --endpoint"));
    }
    match config.map(|config| &config.tls) {
        Some(Tls::Off) if endpoint.is_tls() => {
            return Err(Failure::usage("the endpoint is inside TLS, and the configuration says tls = \"off\"")
                .hint("begin it with grpc://, or set up [tls] first: docs/tls.md"));
        }
        Some(Tls::On(_)) if !endpoint.is_tls() => {
            return Err(Failure::usage("the endpoint is plaintext, and the configuration has [tls]")
                .hint("begin it with https://, and use a name of the certificate"));
        }
        Some(Tls::On(certificate)) if !certificate.names.iter().any(|name| name.to_str() == endpoint.host()) => {
            notes.push(format!(
                "{} is not in names of [tls]: add it there, so that nightlatch check --tls sees that the certificate \
                 has it",
                endpoint.host()
            ));
        }
        _ => {}
    }
    if endpoint.is_tls() {
        notes.extend(trusted(args, public)?);
    } else {
        notes.push("grpc:// is not encrypted: whoever reads the traffic gets the keys that are released".to_owned());
    }
    if !args.without_state && address.is_err() {
        notes.push(format!(
            "STATE is opened before the machine configuration is there: the name server that DHCP gives has to know {}",
            endpoint.host()
        ));
    }
    Ok(notes)
}

/// Whether a node takes the certificate where it has to.
fn trusted(args: &Args, public: Option<bool>) -> Result<Option<String>, Failure> {
    let old = args.talos < Version::TRUSTS_NAMED_ROOTS;
    match public {
        Some(false) if old => {
            Err(Failure::new(exit::DATA, "the certificate is of no public authority, and Talos before 1.8 trusts no other")
                .hint("get one of a public authority, or use tls = \"off\" on a network of its own: docs/tls.md"))
        }
        Some(false) if !args.without_state => Err(Failure::new(
            exit::DATA,
            format!("the node would be locked out at its second boot: the certificate is of no public authority; {WHY_STATE}"),
        )
        .hint("get one of a public authority: docs/tls.md; or add --without-state, and open STATE by other means")),
        Some(false) => Ok(Some("the node needs your root in a TrustedRootsConfig before it can open these volumes".to_owned())),
        Some(true) => Ok(None),
        None if args.without_state => Ok(None),
        None => Ok(Some(
            "it was not looked at whether the certificate is of a public authority, and for STATE no other works: \
             nightlatch check --tls says so, as root on the server"
                .to_owned(),
        )),
    }
}

fn volumes(args: &Args) -> Result<Vec<Volume>, Failure> {
    let mut volumes = if args.without_state { vec![] } else { vec![Volume::State] };
    volumes.push(Volume::Ephemeral);
    volumes.extend(args.image_cache.then_some(Volume::ImageCache));
    volumes.extend(args.user_volume.iter().cloned().map(Volume::User));
    volumes.extend(args.raw_volume.iter().cloned().map(Volume::Raw));
    volumes.extend(args.swap_volume.iter().cloned().map(Volume::Swap));
    for (at, volume) in volumes.iter().enumerate() {
        if args.talos < volume.since() {
            let text = format!("Talos {} encrypts no {}", args.talos, volume.kind());
            return Err(Failure::usage(text).hint(format!("it does from {} on", volume.since())));
        }
        if volumes.iter().take(at).any(|before| before == volume) {
            return Err(Failure::usage("a volume is named twice").hint("name each once"));
        }
    }
    Ok(volumes)
}
