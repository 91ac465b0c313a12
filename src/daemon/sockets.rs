//! Where the server listens: on the sockets that systemd passed, or on those that the configuration names.

use std::io;
use std::net;
use std::os::unix::net as unix;
use std::path::PathBuf;

use nightlatch_approval_api::asleep_file;

use crate::config::{Config, People};
use crate::listen;
use crate::listen::systemd::{CHANNEL_PREFIX, InheritError, Inherited, MetricsListener};

/// Where the server listens.
#[derive(Debug, Default)]
pub struct Sockets {
    pub(super) talos: Vec<net::TcpListener>,
    pub(super) channels: Vec<(Box<str>, unix::UnixListener)>,
    /// Only systemd passes one.
    pub(super) metrics: Vec<MetricsListener>,
    /// Whether systemd holds them too, and starts the process again when somebody connects.
    pub(super) inherited: bool,
}

/// Why there is nowhere to listen.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// An address for nodes cannot be listened on.
    #[error("cannot listen on {0}")]
    Bind(net::SocketAddr, #[source] io::Error),
    /// A channel's socket cannot be listened on.
    #[error("cannot listen on {}", .0.display())]
    BindChannel(PathBuf, #[source] io::Error),
    /// What systemd passed does not fit the configuration.
    #[error("cannot use the sockets that systemd passed")]
    Inherit(#[from] InheritError),
    /// Nodes could not reach the server.
    #[error("there is no socket for nodes: systemd passed none named `talos`, and [listen] names no address")]
    NoTalos,
}

impl SocketError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Bind(..) => "another process may listen there: ss -ltnp shows which".to_owned(),
            Self::BindChannel(..) => {
                "its directory must exist and be writable for this user, and no other server may listen there"
                    .to_owned()
            }
            Self::Inherit(error) => inherit_hint(error),
            Self::NoTalos => "add [listen] talos = [\"ADDRESS:4050\"], or start the socket unit".to_owned(),
        }
    }
}

fn inherit_hint(error: &InheritError) -> String {
    let channel = match error {
        InheritError::Unknown(name) => name.strip_prefix(CHANNEL_PREFIX),
        _ => None,
    };
    channel.map_or_else(
        || {
            "FileDescriptorName= in the socket units must be `talos`, `metrics`, or `approval-` and a channel's name, \
             each channel's once"
                .to_owned()
        },
        |channel| {
            format!(
                "add a [[channel]] with name = \"{channel}\" to the configuration, or disable the socket unit that says \
                 FileDescriptorName={CHANNEL_PREFIX}{channel}: systemctl disable --now nightlatch-{channel}.socket"
            )
        },
    )
}

impl Sockets {
    /// Those that systemd passed to this process; `None` when it passed none. Called before there are threads.
    ///
    /// # Errors
    /// [`SocketError`] when it passed others than `config` knows.
    pub fn inherit(config: &Config) -> Result<Option<Self>, SocketError> {
        let names: Vec<&str> = config.channels.iter().map(|channel| &*channel.name).collect();
        let Some(Inherited { talos, channels, metrics }) = listen::systemd::inherit(&names)? else { return Ok(None) };
        let channels = channels.into_iter().map(|(name, socket)| (name.into(), socket)).collect();
        Self { talos, channels, metrics, inherited: true }.checked(config).map(Some)
    }

    /// Those that `config` names, for a start by hand.
    ///
    /// # Errors
    /// [`SocketError`] when one of them cannot be listened on.
    pub fn bind(config: &Config) -> Result<Self, SocketError> {
        let mut sockets = Self::default();
        for address in &config.listen.talos {
            let listener = net::TcpListener::bind(address).map_err(|error| SocketError::Bind(*address, error))?;
            sockets.talos.push(listener);
        }
        for channel in &config.channels {
            if let Some(path) = &channel.socket {
                let listener =
                    listen::bind_unix(path).map_err(|error| SocketError::BindChannel(path.clone(), error))?;
                // Of one that slept before: this one is there.
                let _none = std::fs::remove_file(asleep_file(path));
                sockets.channels.push((channel.name.clone(), listener));
            }
        }
        sockets.checked(config)
    }

    fn checked(self, config: &Config) -> Result<Self, SocketError> {
        if self.talos.is_empty() {
            return Err(SocketError::NoTalos);
        }
        let names: Vec<&str> = config.channels.iter().map(|channel| &*channel.name).collect();
        self.warn_of_unserved(&names);
        self.warn_of_no_way_out(config);
        Ok(self)
    }

    fn warn_of_unserved(&self, channels: &[&str]) {
        for channel in self.unserved(channels) {
            tracing::warn!(
                channel,
                hint = "start the socket unit with FileDescriptorName=approval- and the channel's name, or, when nightlatch \
                is started by hand, add socket = to its [[channel]]",
                "channel unserved"
            );
        }
        if self.channels.is_empty() {
            tracing::warn!(
                hint = "enable a channel's socket unit, such as nightlatch-cli.socket",
                "nobody can approve: no channel has a socket"
            );
        }
    }

    /// A server can begin locked, and only a channel of the host unlocks.
    fn warn_of_no_way_out(&self, config: &Config) {
        let is_of_the_host =
            |name: &str| config.channels.iter().any(|channel| *channel.name == *name && channel.people == People::Uid);
        if !self.channels.iter().any(|(name, _)| is_of_the_host(name)) {
            tracing::warn!(
                hint = "add a [[channel]] with people = \"uid\" and enable its socket unit, nightlatch-cli.socket",
                "nobody could unlock: no channel of this host has a socket"
            );
        }
    }

    /// Those of `channels` that have no socket.
    fn unserved<'a>(&self, channels: &[&'a str]) -> Vec<&'a str> {
        let is_served = |name: &str| self.channels.iter().any(|(served, _)| **served == *name);
        channels.iter().copied().filter(|name| !is_served(name)).collect()
    }

    /// The addresses at which nodes are served.
    #[must_use]
    pub fn talos_addresses(&self) -> Vec<net::SocketAddr> {
        self.talos.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_is_not_configured_is_told_apart() {
        let hint = inherit_hint(&InheritError::Unknown("approval-telegram".to_owned()));
        assert!(hint.contains("name = \"telegram\"") && hint.contains("disable --now nightlatch-telegram.socket"));
        assert!(!inherit_hint(&InheritError::Unknown("talso".to_owned())).contains("systemctl"));
    }

    #[tokio::test]
    async fn who_makes_the_socket_does_not_sleep() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("cli.sock");
        std::fs::create_dir(directory.path().join("server")).expect("made");
        std::fs::write(asleep_file(&socket), "").expect("left by the one before");
        let text = format!(
            "installation = \"9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21\"\nnetworks = []\ntls = \"off\"\n\
             listen = {{ talos = [\"127.0.0.1:0\"] }}\nkey = [{{ name = \"first\", file = \"/none\" }}]\n\
             channel = [{{ name = \"cli\", people = \"uid\", socket = {:?} }}]\n",
            socket.display().to_string()
        );
        let (config, _) = Config::parse(&text, "nightlatch.toml").map_err(|error| error.to_string()).expect("fine");
        let sockets = Sockets::bind(&config).expect("they are free");
        assert!(socket.exists() && !asleep_file(&socket).exists());
        drop(sockets);
    }

    #[test]
    fn channels_without_a_socket_are_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = unix::UnixListener::bind(directory.path().join("cli.sock")).expect("a socket");
        let sockets = Sockets { channels: vec![("cli".into(), listener)], ..Sockets::default() };
        assert_eq!(sockets.unserved(&["cli", "telegram"]), ["telegram"]);
        assert_eq!(Sockets::default().unserved(&["cli", "telegram"]), ["cli", "telegram"]);
    }
}
