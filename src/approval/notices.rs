//! What people are told of calls that made no ask: once at first, then one message an hour for all that came since.
//! However many calls there are and wherever they come from, the messages are few. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::ask::{Notice, NoticeKind};
use crate::clock::{Moment, Now};
use crate::peer::ListedNode;
use crate::request::NodeUuid;

/// Shortest time between two notices of the same kind about the same node.
pub const TELL_EVERY: Duration = Duration::from_secs(3600);

/// Nodes that notices of one kind name; those of others are one sum.
pub const MAX_NODES_TOLD: usize = 8;

/// What was told, and what is kept for the next notice. Bounded by the number of listed nodes.
#[derive(Debug, Default)]
pub struct Notices {
    windows: BTreeMap<(NoticeKind, Option<NodeUuid>), Window>,
}

#[derive(Debug)]
struct Window {
    ends: Moment,
    untold: u64,
    node: Option<ListedNode>,
    address: IpAddr,
}

impl Notices {
    /// Notes one call; gives the notice to send now, if it is the first of its kind for a while.
    pub fn note(&mut self, now: Now, kind: NoticeKind, node: Option<&ListedNode>, address: IpAddr) -> Option<Notice> {
        let told_of = self.windows.keys().filter(|(other, node)| *other == kind && node.is_some()).count();
        let is_known = |node: &&ListedNode| self.windows.contains_key(&(kind, Some(node.uuid.clone())));
        // Whoever goes through a whole list of names is one message more, and not one for each name.
        let node = node.filter(|node| told_of < MAX_NODES_TOLD || is_known(node));
        let key = (kind, node.map(|node| node.uuid.clone()));
        if let Some(window) = self.windows.get_mut(&key) {
            window.untold = window.untold.saturating_add(1);
            window.address = address;
            return None;
        }
        let node = node.cloned();
        let ends = now.moment.after(TELL_EVERY);
        self.windows.insert(key, Window { ends, untold: 0, node: node.clone(), address });
        Some(Notice { kind, node, address, count: 1, at: now.wall })
    }

    /// The notices that are due: one for each kind and node with calls since the last one.
    pub fn due(&mut self, now: Now) -> Vec<Notice> {
        self.windows.retain(|_, window| now.moment < window.ends || window.untold > 0);
        self.windows
            .iter_mut()
            .filter(|(_, window)| window.ends <= now.moment)
            .map(|((kind, _), window)| {
                let count = std::mem::take(&mut window.untold);
                window.ends = now.moment.after(TELL_EVERY);
                Notice { kind: *kind, node: window.node.clone(), address: window.address, count, at: now.wall }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;

    fn at(seconds: u64) -> Now {
        Now { moment: Moment::since_boot(Duration::from_secs(seconds)), wall: WallTime::from_unix_millis(0) }
    }

    #[test]
    fn ten_thousand_calls_from_a_thousand_addresses_make_one_message_an_hour() {
        let mut notices = Notices::default();
        let told: Vec<Notice> = (0..10_000_u32)
            .filter_map(|call| {
                let address =
                    IpAddr::from([192, 0, u8::try_from(call % 4).unwrap(), u8::try_from(call % 250).unwrap()]);
                notices.note(at(1), NoticeKind::Strangers, None, address)
            })
            .collect();
        assert_eq!(told.len(), 1);
        assert!(notices.due(at(60)).is_empty());
        let digest = notices.due(at(3601));
        assert_eq!(digest.iter().map(|notice| notice.count).collect::<Vec<_>>(), [9_999]);
        assert!(notices.due(at(7202)).is_empty(), "silence is not told");
        assert!(notices.note(at(7203), NoticeKind::Strangers, None, [192, 0, 2, 1].into()).is_some());
    }

    #[test]
    fn each_node_and_kind_is_told_of_by_itself_and_with_the_last_address() {
        let node = |name: &str| {
            ListedNode::new(crate::peer::Node {
                uuid: NodeUuid::parse(name).expect("printable"),
                name: name.into(),
                cluster: None,
                addresses: vec![],
                formerly: vec![],
                bind_address: false,
                listed_by: crate::peer::ListedBy::Configuration,
            })
        };
        let mut notices = Notices::default();
        let mut note = |node: &ListedNode, last| {
            notices.note(at(1), NoticeKind::OtherAddress, Some(node), [192, 0, 2, last].into()).is_some()
        };
        assert_eq!([note(&node("a"), 1), note(&node("b"), 2), note(&node("a"), 3)], [true, true, false]);
        let digest = notices.due(at(3601));
        let [only] = digest.as_slice() else { panic!("only `a` called again: {digest:?}") };
        assert_eq!(only.node.as_ref().map(|node| &*node.name), Some("a"));
        assert_eq!((only.address, only.count), ([192, 0, 2, 3].into(), 1));
        assert!(notices.due(at(3602)).is_empty(), "once an hour");
        let soon = notices.note(at(3603), NoticeKind::OtherAddress, Some(&node("a")), [192, 0, 2, 3].into());
        assert!(soon.is_none(), "and the hour begins anew with the digest");
    }

    #[test]
    fn whoever_goes_through_a_list_of_names_is_one_message_more() {
        let node = |number: usize| {
            let uuid = NodeUuid::parse(&format!("node-{number}")).expect("printable");
            let name = uuid.to_string().into();
            let (cluster, addresses, formerly) = (None, vec![], vec![]);
            let listed_by = crate::peer::ListedBy::Configuration;
            ListedNode::new(crate::peer::Node {
                uuid,
                name,
                cluster,
                addresses,
                formerly,
                bind_address: false,
                listed_by,
            })
        };
        let mut notices = Notices::default();
        let told: Vec<Notice> = (0..2_000)
            .filter_map(|number| {
                notices.note(at(1), NoticeKind::OtherAddress, Some(&node(number)), [192, 0, 2, 66].into())
            })
            .collect();
        assert_eq!(told.len(), MAX_NODES_TOLD + 1);
        assert_eq!(told.iter().filter(|notice| notice.node.is_none()).count(), 1);
        let counted: u64 = told.iter().chain(&notices.due(at(3_601))).map(|notice| notice.count).sum();
        assert_eq!(counted, 2_000, "and none is lost");
    }
}
