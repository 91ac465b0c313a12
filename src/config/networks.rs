//! Addresses and networks, in one canonical form: an IPv4 address mapped into IPv6 is the IPv4 address.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::Spanned;

use super::finding::Findings;

/// Reads a list of addresses and networks; each mistake in it is told.
pub(super) fn parse_all(written: &[Spanned<String>], findings: &mut Findings<'_>) -> Vec<IpNet> {
    let mut networks: Vec<IpNet> = Vec::new();
    for text in written {
        match parse(text.get_ref()) {
            Ok(network) => networks.push(network),
            Err((problem, hint)) => findings.problem(text.span(), problem, hint),
        }
    }
    networks
}

/// Reads an address or a network; or says what is wrong and what to do.
fn parse(text: &str) -> Result<IpNet, (String, String)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let Ok(written) = text.parse::<IpNet>() else {
        return Err((
            format!("`{text}` is neither an address nor a network"),
            "write an address such as 192.0.2.11 or a network such as 192.0.2.0/24".to_owned(),
        ));
    };
    let network = canonical(written);
    if network.trunc() == network {
        return Ok(network);
    }
    Err((
        format!("`{text}` has host bits set"),
        format!("write {} for the network, or {} for the one address", network.trunc(), network.addr()),
    ))
}

fn canonical(network: IpNet) -> IpNet {
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (IpAddr::V4(mapped), Some(length)) => IpNet::new(mapped.into(), length).unwrap_or(network),
        _ => network,
    }
}

/// Whether the two have an address in common. Networks are nested or apart, never half of each.
pub(super) fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// Pairs of owners of whose networks one lies within another, each pair once: the outer network's owner first.
pub(super) fn shared_addresses(mut owned: Vec<(IpNet, usize)>) -> Vec<(IpNet, usize, usize)> {
    // Sorted like this, a network comes right after the networks around it.
    owned.sort_by_key(|(network, owner)| (network.network(), network.prefix_len(), *owner));
    let mut around: Vec<(IpNet, usize)> = Vec::new();
    let mut shared = Vec::new();
    for (network, owner) in owned {
        while around.last().is_some_and(|(outer, _)| !outer.contains(&network)) {
            around.pop();
        }
        if let Some((_, outer)) = around.last().filter(|(_, outer)| *outer != owner) {
            shared.push((network, *outer, owner));
        }
        around.push((network, owner));
    }
    shared
}
