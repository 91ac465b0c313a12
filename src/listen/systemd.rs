//! Listeners that systemd passes, by the names that the socket units give them.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// Descriptor name of the sockets for nodes (`FileDescriptorName=`).
pub const TALOS: &str = "talos";
/// Descriptor name of the socket for metrics.
pub const METRICS: &str = "metrics";
/// How the descriptor name of a channel's socket begins; the channel's name follows.
pub const CHANNEL_PREFIX: &str = "approval-";

/// Everything that systemd passed.
#[derive(Debug, Default)]
pub struct Inherited {
    /// For nodes; there may be several, such as one for IPv4 and one for IPv6.
    pub talos: Vec<TcpListener>,
    /// By channel.
    pub channels: BTreeMap<String, UnixListener>,
    /// For metrics; there may be several, such as a path and a port.
    pub metrics: Vec<MetricsListener>,
}

/// A socket for metrics: whether it has a path or a port, the socket unit says.
#[derive(Debug)]
pub enum MetricsListener {
    /// It has a port.
    Tcp(TcpListener),
    /// It has a path.
    Unix(UnixListener),
}

/// Why the passed sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// LISTEN_FDNAMES does not name every socket.
    #[error("systemd passed {passed} sockets and {named} names")]
    Names {
        /// Sockets passed.
        passed: usize,
        /// Names passed.
        named: usize,
    },
    /// Two sockets for one channel.
    #[error("systemd passed two sockets named `{0}`")]
    Surplus(String),
    /// A name that means nothing.
    #[error(
        "systemd passed a socket named `{0}`, which is neither `talos`, `metrics` nor `approval-` and a configured channel"
    )]
    Unknown(String),
    /// The socket is of another kind than its name says.
    #[error("the socket `{name}` that systemd passed is not {wanted}")]
    WrongKind {
        /// Its name.
        name: String,
        /// What it should be.
        wanted: &'static str,
        /// What the library found.
        #[source]
        source: std::io::Error,
    },
}

/// Takes over the sockets that systemd passed to this very process; `None` when it passed none.
///
/// Called before there are threads, since it takes the variables out of the environment.
///
/// # Errors
/// [`InheritError`] unless every socket has a known name and the right kind.
pub fn inherit(channels: &[&str]) -> Result<Option<Inherited>, InheritError> {
    let variable = |name: &str| {
        #[expect(clippy::disallowed_methods, reason = "sd_listen_fds(3): this is how systemd says it")]
        std::env::var(name).ok()
    };
    // listenfd takes sockets also when LISTEN_PID is absent; sd_listen_fds(3) does not, and they may be another's.
    if variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) != Some(std::process::id()) {
        return Ok(None);
    }
    let names: Vec<String> =
        variable("LISTEN_FDNAMES").map(|names| names.split(':').map(ToOwned::to_owned).collect()).unwrap_or_default();
    take(ListenFd::from_env(), &names, channels)
}

fn take(mut passed: ListenFd, names: &[String], channels: &[&str]) -> Result<Option<Inherited>, InheritError> {
    if passed.len() == 0 {
        return Ok(None);
    }
    if passed.len() != names.len() {
        return Err(InheritError::Names { passed: passed.len(), named: names.len() });
    }
    let mut inherited = Inherited::default();
    for (index, name) in names.iter().enumerate() {
        let wrong = |wanted| move |source| InheritError::WrongKind { name: name.clone(), wanted, source };
        let surplus = || InheritError::Surplus(name.clone());
        match name.strip_prefix(CHANNEL_PREFIX) {
            Some(channel) if channels.contains(&channel) => {
                let listener =
                    passed.take_unix_listener(index).map_err(wrong("a Unix stream socket"))?.ok_or_else(surplus)?;
                if inherited.channels.insert(channel.to_owned(), listener).is_some() {
                    return Err(surplus());
                }
            }
            None if name == TALOS => inherited
                .talos
                .push(passed.take_tcp_listener(index).map_err(wrong("a TCP socket"))?.ok_or_else(surplus)?),
            None if name == METRICS => {
                let listener = match passed.take_unix_listener(index) {
                    Ok(listener) => listener.map(MetricsListener::Unix),
                    Err(_) => passed
                        .take_tcp_listener(index)
                        .map_err(wrong("a Unix stream socket or a TCP socket"))?
                        .map(MetricsListener::Tcp),
                };
                inherited.metrics.push(listener.ok_or_else(surplus)?);
            }
            _ => return Err(InheritError::Unknown(name.clone())),
        }
    }
    Ok(Some(inherited))
}
