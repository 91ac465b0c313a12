//! Who is connected, and whether they may ask at all: networks, node list, rate limit.

pub mod admission;
pub mod in_progress;
pub mod name;
pub mod rate_limit;
pub mod standing;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::request::NodeUuid;

/// The far end of a connection of the Talos protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Its address; an IPv4 address mapped into IPv6 is the IPv4 address.
    pub address: IpAddr,
    /// Its port, for records.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

impl Peer {
    /// The peer at the other end of a plaintext connection.
    #[must_use]
    pub fn plaintext(address: SocketAddr) -> Self {
        Self { address: address.ip().to_canonical(), port: address.port(), tls: false }
    }

    /// The peer at the other end of a connection inside TLS.
    #[must_use]
    pub fn encrypted(address: SocketAddr) -> Self {
        Self { tls: true, ..Self::plaintext(address) }
    }

    /// The network that counts as one peer when no addresses are listed: an IPv4 address, or an IPv6 /64, since a host
    /// may take any address of its /64.
    #[must_use]
    pub fn network(&self) -> IpNet {
        match self.address {
            IpAddr::V4(address) => IpNet::V4(Ipv4Net::from(address)),
            IpAddr::V6(address) => IpNet::V6(Ipv6Net::new_assert(address, 64).trunc()),
        }
    }
}

/// The far end of a connection of an approval channel, as the kernel tells it. The process id is left out on purpose:
/// it may be another process by the time it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnixPeer {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// What the kernel reports for a user that has no name in this user namespace. It may be anybody.
pub const OVERFLOW_UID: u32 = 65534;

/// A listed node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The identifier it claims.
    pub uuid: NodeUuid,
    /// What people call it.
    pub name: Box<str>,
    /// The cluster it belongs to.
    pub cluster: Option<Box<str>>,
    /// Where it calls from. All of them together are one peer; empty means anywhere within the allowed networks, and
    /// then each address is a peer of its own.
    pub addresses: Vec<IpNet>,
    /// Identifiers whose blobs it may open as well: of the board that it replaces, or the machine it was restored from.
    pub formerly: Vec<NodeUuid>,
    /// Whether its blobs open only from the address that they were sealed for.
    pub bind_address: bool,
    /// Where it is listed.
    pub listed_by: ListedBy,
}

/// Where a node is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ListedBy {
    /// In the configuration file.
    #[default]
    Configuration,
    /// In the list that people keep. Nobody but the configuration releases anything without being asked: the rule
    /// `allow` is `ask` for such a node.
    People,
}

impl ListedBy {
    /// The word for state and people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::People => "people",
        }
    }
}

/// From where a node calls, as far as an approval is bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// From one of the addresses listed for it, which all count as one.
    Listed,
    /// From somewhere else, though addresses are listed for it.
    OtherAddress(IpNet),
    /// From this address (IPv6: /64); none are listed for it.
    PerAddress(IpNet),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed => f.write_str("listed"),
            Self::OtherAddress(network) => write!(f, "other-address {network}"),
            Self::PerAddress(network) => write!(f, "per-address {network}"),
        }
    }
}

impl Node {
    /// From where, of those that matter for an approval, `peer` calls for this node.
    #[must_use]
    pub fn origin(&self, peer: &Peer) -> Origin {
        if self.addresses.is_empty() {
            Origin::PerAddress(peer.network())
        } else if self.addresses.iter().any(|network| network.contains(&peer.address)) {
            Origin::Listed
        } else {
            Origin::OtherAddress(peer.network())
        }
    }
}

/// A node as the list knows it, shared with everything that outlives the call.
pub type ListedNode = Arc<Node>;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::plaintext(SocketAddr::new(address.parse().expect("an address"), 1))
    }

    fn node(addresses: &[&str]) -> Node {
        Node {
            uuid: NodeUuid::parse("n1").expect("printable"),
            name: "n1".into(),
            cluster: None,
            addresses: addresses.iter().map(|network| network.parse().expect("a network")).collect(),
            formerly: vec![],
            bind_address: false,
            listed_by: ListedBy::Configuration,
        }
    }

    #[test]
    fn ipv4_mapped_into_ipv6_is_ipv4() {
        assert_eq!(peer("::ffff:192.0.2.1").address, peer("192.0.2.1").address);
    }

    #[test]
    fn all_listed_addresses_are_one_origin() {
        let node = node(&["192.0.2.11/32", "192.0.2.200/32", "2001:db8::/64"]);
        for address in ["192.0.2.11", "::ffff:192.0.2.200", "2001:db8::5"] {
            assert_eq!(node.origin(&peer(address)), Origin::Listed, "{address}");
        }
        assert!(matches!(node.origin(&peer("192.0.2.12")), Origin::OtherAddress(_)));
    }

    #[test]
    fn without_a_list_each_address_is_an_origin_and_each_ipv6_64_is() {
        let node = node(&[]);
        assert!(matches!(node.origin(&peer("192.0.2.11")), Origin::PerAddress(_)));
        assert_ne!(node.origin(&peer("192.0.2.11")), node.origin(&peer("192.0.2.12")));
        assert_eq!(node.origin(&peer("2001:db8::1")), node.origin(&peer("2001:db8::ffff")));
        assert_ne!(node.origin(&peer("2001:db8:0:1::1")), node.origin(&peer("2001:db8:0:2::1")));
    }
}
