//! Whatever stands is read back as it was.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![
        Just(Origin::Listed),
        any::<[u8; 4]>().prop_map(|octets| Origin::OtherAddress(std::net::IpAddr::from(octets).into())),
        any::<[u8; 16]>().prop_map(|octets| {
            let network = ipnet::Ipv6Net::new(octets.into(), 64).expect("64 is a prefix").trunc();
            Origin::PerAddress(network.into())
        }),
    ]
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    let kind = prop_oneof![Just(RefusalKind::Denial), Just(RefusalKind::Block)];
    let names =
        (any::<String>(), any::<String>()).prop_filter("short", |(by, channel)| by.len().max(channel.len()) <= 256);
    ("[!-~]{1,64}", option::of(origin()), kind, names, any::<(i64, i64)>()).prop_map(
        |(node, origin, kind, (by, channel), (at, until))| Refusal {
            node: NodeUuid::parse(&node).expect("printable"),
            origin,
            kind,
            by: by.into(),
            channel: channel.into(),
            at: WallTime::from_unix_millis(at),
            until: WallTime::from_unix_millis(until),
        },
    )
}

fn any_approval() -> impl Strategy<Value = LastApproval> {
    ("[!-~]{1,64}", origin(), "\\PC{0,60}", any::<i64>()).prop_map(|(node, origin, by, at)| LastApproval {
        node: NodeUuid::parse(&node).expect("printable"),
        origin,
        by: by.into(),
        at: WallTime::from_unix_millis(at),
    })
}

fn identifier() -> impl Strategy<Value = NodeUuid> {
    "[!-~]{1,64}".prop_map(|text| NodeUuid::parse(&text).expect("printable"))
}

/// Of an approver, channel, node or cluster: at most 256 bytes, with whatever JSON has to escape.
fn short_name() -> impl Strategy<Value = Box<str>> {
    any::<String>().prop_filter("short", |name| (1..=256).contains(&name.len())).prop_map(Into::into)
}

fn time() -> impl Strategy<Value = WallTime> {
    any::<i64>().prop_map(WallTime::from_unix_millis)
}

fn any_lock() -> impl Strategy<Value = Lock> {
    let person = (short_name(), short_name()).prop_map(|(approver, channel)| LockedBy::Person { approver, channel });
    (prop_oneof![person, Just(LockedBy::OlderState)], time()).prop_map(|(by, at)| Lock { by, at })
}

fn any_vote() -> impl Strategy<Value = KeptVote> {
    (short_name(), short_name(), any::<(Option<u32>, Option<i64>)>())
        .prop_map(|(approver, channel, (uid, telegram_id))| KeptVote { approver, channel, uid, telegram_id })
}

fn any_grant() -> impl Strategy<Value = GrantAhead> {
    let numbers = any::<([u8; 16], u16, [u8; 16], u32)>();
    (numbers, identifier(), origin(), vec(any_vote(), 1..4), time(), time()).prop_map(
        |((id, code, entry, uses_left), node, origin, votes, at, until)| GrantAhead {
            id,
            code,
            node,
            entry,
            origin,
            votes,
            at,
            until,
            uses_left,
        },
    )
}

fn any_entry() -> impl Strategy<Value = NodeEntry> {
    let network = prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8)
            .prop_map(|(octets, length)| ipnet::IpNet::new(octets.into(), length).expect("a prefix").trunc()),
        (any::<[u8; 16]>(), 0..=128_u8)
            .prop_map(|(octets, length)| ipnet::IpNet::new(octets.into(), length).expect("a prefix").trunc()),
    ];
    let node = (identifier(), short_name(), option::of(short_name()), vec(network, 0..4), vec(identifier(), 0..3));
    (node, short_name(), short_name(), time()).prop_map(
        |((uuid, name, cluster, addresses, formerly), by, channel, at)| NodeEntry {
            node: Node { uuid, name, cluster, addresses, formerly, bind_address: false, listed_by: ListedBy::People },
            by,
            channel,
            at,
        },
    )
}

fn any_standing() -> impl Strategy<Value = Standing> {
    (
        vec(any_refusal(), 0..6),
        vec(any_approval(), 0..6),
        option::of(any_lock()),
        vec(any_grant(), 0..5),
        vec(any_entry(), 0..5),
    )
        .prop_map(|(refusals, approvals, lock, mut grants, mut nodes)| {
            let (mut places, mut names, mut identifiers) = (HashSet::new(), HashSet::new(), HashSet::new());
            grants.retain(|grant| places.insert((grant.node.clone(), grant.origin)));
            nodes.retain(|NodeEntry { node, .. }| {
                names.insert(node.name.clone())
                    && std::iter::once(&node.uuid).chain(&node.formerly).all(|id| identifiers.insert(id.clone()))
            });
            Standing { refusals, approvals, lock, grants, nodes }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_state_reads_back_as_it_was(
        standing in any_standing(),
        generation in 1..=u64::MAX,
        installation: u128,
    ) {
        let (generation, installation) = (Generation(generation), Uuid::from_u128(installation));
        let bytes = format::write(generation, installation, &standing).expect("it is small");
        prop_assert_eq!(read(&bytes, installation), Ok((generation, standing)));
    }

    #[test]
    fn reading_never_panics(bytes in vec(any::<u8>(), 0..512), text in any::<String>(), version in 1..=2) {
        drop(read(&bytes, HOME));
        drop(read(&sealed(&text), HOME));
        drop(read(&sealed(&format!("nightlatch-state {version} {HOME} 1\n{text}\n")), HOME));
    }
}
