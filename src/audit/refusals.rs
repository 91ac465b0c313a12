//! Refusals, summed up in bounded memory until they are written.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::record::{Dropped, Entry, Name, Reason, Refused};
use crate::clock::{Moment, Now, WallTime};
use crate::request::NodeUuid;

/// What stands for all addresses that are outside the allowed networks. No call comes from it.
const ANY_ADDRESS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Most pairs of address and reason that are counted one by one, besides the calls from outside.
pub(super) const MAX_PAIRS: usize = 64;

/// Time between two times that they are written.
pub(super) const PERIOD: Duration = Duration::from_secs(60);

/// What was refused since it was written last.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    pairs: BTreeMap<(IpAddr, Reason), Refused>,
    dropped: Option<Dropped>,
    written: Option<Moment>,
}

impl Refusals {
    /// Counts one call.
    pub(super) fn count(&mut self, now: WallTime, address: IpAddr, node: Option<&NodeUuid>, reason: Reason) {
        let outside = usize::from(self.pairs.contains_key(&(ANY_ADDRESS, Reason::Network)));
        let full = reason != Reason::Network && self.pairs.len() - outside >= MAX_PAIRS;
        // Anybody may call from outside, and from any number of addresses: that is one sum, and takes no pair from others.
        let counted_as = if reason == Reason::Network { ANY_ADDRESS } else { address };
        match self.pairs.entry((counted_as, reason)) {
            btree_map::Entry::Occupied(mut entry) => {
                let sum = entry.get_mut();
                sum.count = sum.count.saturating_add(1);
                sum.to = now;
                if sum.address != address {
                    sum.address = ANY_ADDRESS;
                }
                if sum.node.as_ref().map(Name::as_str) != node.map(NodeUuid::as_str) {
                    sum.node = None;
                }
            }
            btree_map::Entry::Vacant(_) if full => self.drop_one(Dropped { count: 1, from: now, to: now }),
            btree_map::Entry::Vacant(entry) => {
                let node = node.map(Name::shown);
                entry.insert(Refused { address, node, reason, count: 1, from: now, to: now });
            }
        }
    }

    /// Takes out what there is, when it was not written for [`PERIOD`].
    pub(super) fn take_due(&mut self, now: Now) -> Vec<Entry> {
        if self.written.is_some_and(|written| now.moment.since(written) < PERIOD) {
            return vec![];
        }
        self.written = Some(now.moment);
        self.take()
    }

    /// Takes out what there is.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        let refused = std::mem::take(&mut self.pairs).into_values().map(Entry::from);
        refused.chain(self.dropped.take().map(Entry::from)).collect()
    }

    /// Counts what was taken out and could not be written.
    pub(super) fn lost(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            match entry {
                Entry::Refused(Refused { count, from, to, .. }) => self.drop_one(Dropped { count, from, to }),
                Entry::Dropped(dropped) => self.drop_one(dropped),
                _ => {}
            }
        }
    }

    fn drop_one(&mut self, more: Dropped) {
        self.dropped = Some(match self.dropped.take() {
            None => more,
            Some(sum) => Dropped {
                count: sum.count.saturating_add(more.count),
                from: sum.from.min(more.from),
                to: sum.to.max(more.to),
            },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> WallTime {
        WallTime::from_unix_millis(millis)
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn calls_of_one_address_for_one_reason_are_one_record() {
        let (mut refusals, node) = (Refusals::default(), NodeUuid::parse("n1").expect("printable"));
        for millis in [5, 6, 9] {
            refusals.count(at(millis), address(1), Some(&node), Reason::Denied);
        }
        refusals.count(at(7), address(1), None, Reason::Malformed);
        let sum = |node, reason, count, from, to| {
            Entry::from(Refused { address: address(1), node, reason, count, from: at(from), to: at(to) })
        };
        let expected = [sum(Some("n1".into()), Reason::Denied, 3, 5, 9), sum(None, Reason::Malformed, 1, 7, 7)];
        assert_eq!(refusals.take(), expected);
        assert_eq!(refusals.take(), []);
    }

    #[test]
    fn node_is_named_only_when_all_claimed_it() {
        let mut refusals = Refusals::default();
        for claim in ["n1", "n2", "n1"] {
            let node = NodeUuid::parse(claim).expect("printable");
            refusals.count(at(1), address(1), Some(&node), Reason::UnknownNode);
        }
        assert!(matches!(&refusals.take()[..], [Entry::Refused(Refused { node: None, count: 3, .. })]));
    }

    #[test]
    fn memory_is_bounded_and_the_rest_is_counted() {
        let mut refusals = Refusals::default();
        for number in 0..5000 {
            refusals.count(at(number.into()), address(number), None, Reason::UnknownNode);
        }
        refusals.count(at(9999), address(3), None, Reason::UnknownNode);
        assert_eq!(refusals.pairs.len(), MAX_PAIRS);
        let taken = refusals.take();
        assert_eq!(taken.len(), MAX_PAIRS + 1);
        let dropped = Dropped { count: 5000 - MAX_PAIRS as u64, from: at(MAX_PAIRS as i64), to: at(4999) };
        assert_eq!(taken.last(), Some(&Entry::from(dropped)));
    }

    #[test]
    fn calls_from_outside_are_one_record_whatever_their_addresses() {
        let mut refusals = Refusals::default();
        refusals.count(at(1), address(1), None, Reason::Network);
        refusals.count(at(2), address(1), None, Reason::Network);
        let sum = |address, count, from, to| {
            Entry::from(Refused { address, node: None, reason: Reason::Network, count, from: at(from), to: at(to) })
        };
        assert_eq!(refusals.take(), [sum(address(1), 2, 1, 2)]);
        for number in 0..5000 {
            refusals.count(at(number.into()), address(number), None, Reason::Network);
            refusals.count(at(number.into()), address(number), None, Reason::UnknownNode);
        }
        let taken = refusals.take();
        assert_eq!(taken.len(), MAX_PAIRS + 2, "it takes no pair from others");
        assert!(taken.contains(&sum(ANY_ADDRESS, 5000, 0, 4999)), "{taken:?}");
    }

    #[test]
    fn calls_from_outside_have_room_when_everything_else_is_taken() {
        let mut refusals = Refusals::default();
        for number in 0..100 {
            refusals.count(at(1), address(number), None, Reason::UnknownNode);
        }
        refusals.count(at(2), address(3), None, Reason::Network);
        let outside =
            Refused { address: address(3), node: None, reason: Reason::Network, count: 1, from: at(2), to: at(2) };
        assert!(refusals.take().contains(&outside.into()));
    }

    #[test]
    fn lost_records_are_counted_as_dropped() {
        let mut refusals = Refusals::default();
        refusals.count(at(3), address(1), None, Reason::Network);
        refusals.count(at(4), address(1), None, Reason::Network);
        let taken = refusals.take();
        refusals.lost(taken);
        let again = refusals.take();
        assert_eq!(again, [Entry::from(Dropped { count: 2, from: at(3), to: at(4) })]);
        refusals.lost(again.clone());
        assert_eq!(refusals.take(), again);
    }

    #[test]
    fn written_at_most_once_a_minute() {
        let mut refusals = Refusals::default();
        let now = |seconds| Now { moment: Moment::since_boot(Duration::from_secs(seconds)), wall: at(0) };
        let mut due = |seconds| {
            refusals.count(at(1), address(1), None, Reason::Network);
            !refusals.take_due(now(seconds)).is_empty()
        };
        assert_eq!([100, 101, 159, 160, 200, 220].map(&mut due), [true, false, false, true, false, true]);
    }
}
