//! How many connections may be open. Whoever can connect can do so a thousand times and say nothing; without a limit
//! that takes every descriptor of the process, those of the approval channels and of the state included.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::peer::{Peer, UnixPeer};

/// Connections that may be open at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits<P> {
    /// Of all peers.
    pub total: usize,
    /// Of one peer.
    pub per_peer: usize,
    /// Whether two connections are of one peer.
    pub is_same_peer: fn(&P, &P) -> bool,
    /// Whether the oldest connection without a call in progress is closed for a newcomer, or the newcomer refused.
    pub replaces_idle: bool,
}

impl Limits<Peer> {
    /// For nodes, with descriptors for all of them. Talos up to 1.9 opens a connection for each call and never closes
    /// it: those must not stand in the way of its next call, hence the replacement. One IPv4 address, or IPv6 /64, may be
    /// a whole cluster behind NAT; and after a power cut a thousand nodes may call at the same time.
    pub const TALOS: Self = Self {
        total: 2048,
        per_peer: 64,
        is_same_peer: |one, other| one.network() == other.network(),
        replaces_idle: true,
    };

    /// The least that nodes get, however few descriptors there are. They may run out then, and it is told.
    const FEWEST: usize = 16;

    /// For nodes, within what is left of `descriptors` (`None`: without end) beside `channels` approval channels and the
    /// server's own files.
    #[must_use]
    pub fn within(descriptors: Option<u64>, channels: usize) -> Self {
        let descriptors = descriptors.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let others = OWN_DESCRIPTORS.saturating_add(channels.saturating_mul(Limits::CHANNEL.total));
        let total = descriptors.saturating_sub(others).clamp(Self::FEWEST, Self::TALOS.total);
        Self { total, ..Self::TALOS }
    }
}

/// Descriptors of the server itself, rounded up: standard streams, event loop, listeners, state, audit log, journal, and
/// files that are open for a moment. It is some 30 with every listener that there can be.
pub const OWN_DESCRIPTORS: usize = 64;

impl Limits<UnixPeer> {
    /// For one approval channel. Its connections follow events and may be quiet for months: none is replaced.
    pub const CHANNEL: Self =
        Self { total: 64, per_peer: 16, is_same_peer: |one, other| one.uid == other.uid, replaces_idle: false };
}

/// The connections that are open, oldest first.
#[derive(Debug)]
pub struct OpenConnections<P> {
    limits: Limits<P>,
    table: Arc<Mutex<Table<P>>>,
}

#[derive(Debug)]
struct Table<P> {
    next: u64,
    /// By number, which is the order of their arrival.
    connections: BTreeMap<u64, Entry<P>>,
}

#[derive(Debug)]
struct Entry<P> {
    peer: P,
    calls: Calls,
    closed: CancellationToken,
}

/// The place of one open connection; free again when dropped.
pub struct Slot<P> {
    number: u64,
    table: Arc<Mutex<Table<P>>>,
    /// The calls that are in progress on the connection.
    pub calls: Calls,
    /// Cancelled when the connection has to go, for a newer one.
    pub closed: CancellationToken,
    /// Whether an older connection had to go for this one.
    pub replaces: bool,
}

impl<P> fmt::Debug for Slot<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("number", &self.number).finish_non_exhaustive()
    }
}

/// There are too many open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl<P: Copy> OpenConnections<P> {
    /// None yet.
    #[must_use]
    pub fn new(limits: Limits<P>) -> Self {
        Self { limits, table: Arc::new(Mutex::new(Table { next: 0, connections: BTreeMap::new() })) }
    }

    /// A place for a connection of `peer`.
    ///
    /// # Errors
    /// [`TooMany`] when a limit is reached and no open connection may be closed instead. What counts for the limit of
    /// one peer is closed among its own connections only.
    pub fn enter(&self, peer: P) -> Result<Slot<P>, TooMany> {
        let is_own = |entry: &Entry<P>| (self.limits.is_same_peer)(&entry.peer, &peer);
        let mut table = lock(&self.table);
        let own = table.connections.values().filter(|entry| is_own(entry)).count();
        let replaces = if own >= self.limits.per_peer {
            self.replace(&mut table, is_own)?;
            true
        } else if table.connections.len() >= self.limits.total {
            self.replace(&mut table, |_| true)?;
            true
        } else {
            false
        };
        let number = table.next;
        table.next += 1;
        let (calls, closed) = (Calls::default(), CancellationToken::new());
        table.connections.insert(number, Entry { peer, calls: calls.clone(), closed: closed.clone() });
        Ok(Slot { number, table: Arc::clone(&self.table), calls, closed, replaces })
    }

    /// Closes up to `count` connections without a call in progress, the oldest first, because something else than places
    /// ran out.
    pub fn shed(&self, count: usize) {
        let mut table = lock(&self.table);
        for _ in 0..count {
            if self.replace(&mut table, |_| true).is_err() {
                return;
            }
        }
    }

    fn replace(&self, table: &mut Table<P>, may_go: impl Fn(&Entry<P>) -> bool) -> Result<(), TooMany> {
        let mut candidates = table.connections.iter().filter(|_| self.limits.replaces_idle);
        let oldest = candidates.find(|(_, entry)| may_go(entry) && entry.calls.none_in_progress());
        let number = *oldest.ok_or(TooMany)?.0;
        if let Some(entry) = table.connections.remove(&number) {
            entry.closed.cancel();
        }
        Ok(())
    }
}

impl<P> Drop for Slot<P> {
    fn drop(&mut self) {
        // It is gone already when it was replaced.
        lock(&self.table).connections.remove(&self.number);
    }
}

fn lock<P>(table: &Mutex<Table<P>>) -> MutexGuard<'_, Table<P>> {
    // Nothing between two changes of the table can panic.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The calls in progress on one connection.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    in_progress: usize,
    last_ended: Option<Instant>,
}

/// A call in progress, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Call(Calls);

impl Calls {
    /// Begins a call.
    pub fn begin(&self) -> Call {
        self.counted().in_progress += 1;
        Call(self.clone())
    }

    /// Since when no call is in progress on a connection that was accepted at `accepted`; `None` while one is.
    pub(super) fn idle_since(&self, accepted: Instant) -> Option<Instant> {
        let counted = self.counted();
        (counted.in_progress == 0).then(|| counted.last_ended.unwrap_or(accepted))
    }

    fn none_in_progress(&self) -> bool {
        self.counted().in_progress == 0
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Nothing between two changes can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call {
    #[expect(clippy::disallowed_methods, reason = "the time that the timers of connections go by, paused in tests")]
    fn drop(&mut self) {
        let mut counted = self.0.counted();
        counted.in_progress -= 1;
        counted.last_ended = Some(Instant::now());
    }
}

/// Lets this process open as many descriptors as it is allowed to; `None` means without end. The customary soft limit of
/// 1,024 is for programs that use select(2).
///
/// # Errors
/// Those of setrlimit(2).
pub fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}

/// Descriptors that this process may have open; `None` means without end.
#[must_use]
pub fn descriptor_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::plaintext((address.parse::<std::net::IpAddr>().expect("an address"), 1).into())
    }

    fn small() -> OpenConnections<Peer> {
        OpenConnections::new(Limits { total: 4, per_peer: 2, ..Limits::TALOS })
    }

    #[test]
    fn a_peers_third_connection_replaces_its_own_oldest() {
        let open = small();
        let [stranger, first, second] =
            ["192.0.2.9", "192.0.2.1", "192.0.2.1"].map(|address| open.enter(peer(address)).expect("a place"));
        let third = open.enter(peer("192.0.2.1")).expect("a place");
        assert!(third.replaces && first.closed.is_cancelled());
        assert!(!stranger.closed.is_cancelled() && !second.closed.is_cancelled() && !third.closed.is_cancelled());
    }

    #[test]
    fn an_ipv6_network_is_one_peer() {
        let open = small();
        let first = open.enter(peer("2001:db8::1")).expect("a place");
        let _second = open.enter(peer("2001:db8::2")).expect("a place");
        let _other = open.enter(peer("2001:db8:0:1::1")).expect("a place");
        assert!(!first.closed.is_cancelled());
        let _third = open.enter(peer("2001:db8::3")).expect("a place");
        assert!(first.closed.is_cancelled());
    }

    #[test]
    fn the_oldest_of_all_goes_unless_it_has_a_call() {
        let open = small();
        let slots: Vec<_> =
            (1..=4).map(|last| open.enter(peer(&format!("192.0.2.{last}"))).expect("a place")).collect();
        let call = slots[0].calls.begin();
        let _fifth = open.enter(peer("192.0.2.5")).expect("a place");
        assert!(!slots[0].closed.is_cancelled() && slots[1].closed.is_cancelled());
        drop(call);
        let _sixth = open.enter(peer("192.0.2.6")).expect("a place");
        assert!(slots[0].closed.is_cancelled() && !slots[2].closed.is_cancelled());
    }

    #[test]
    fn a_newcomer_is_refused_when_every_connection_has_a_call() {
        let open = small();
        let slots: Vec<_> =
            (1..=4).map(|last| open.enter(peer(&format!("192.0.2.{last}"))).expect("a place")).collect();
        let _calls: Vec<_> = slots.iter().map(|slot| slot.calls.begin()).collect();
        assert_eq!(open.enter(peer("192.0.2.5")).err(), Some(TooMany));
        assert!(slots.iter().all(|slot| !slot.closed.is_cancelled()));
    }

    #[test]
    fn a_connection_that_ends_leaves_its_place() {
        let open = small();
        for _ in 0..100 {
            assert!(!open.enter(peer("192.0.2.1")).expect("a place").replaces);
        }
        let [first, second, third] = [(); 3].map(|()| open.enter(peer("192.0.2.1")).expect("a place"));
        drop(first);
        drop(second);
        assert!(!open.enter(peer("192.0.2.1")).expect("a place").replaces && !third.closed.is_cancelled());
    }

    #[test]
    fn descriptors_are_left_for_channels_and_files() {
        let total = |descriptors, channels| Limits::within(descriptors, channels).total;
        assert_eq!(total(None, 16), 2048);
        assert_eq!(total(Some(4096), 16), 2048, "what the unit allows is enough for all");
        assert_eq!(total(Some(1024), 2), 1024 - 64 - 2 * 64);
        assert_eq!(total(Some(1024), 16), 16, "never none");
        assert_eq!(total(Some(u64::MAX), usize::MAX), 16);
    }

    #[test]
    fn shedding_closes_the_oldest_without_a_call() {
        let open = small();
        let slots: Vec<_> =
            (1..=4).map(|last| open.enter(peer(&format!("192.0.2.{last}"))).expect("a place")).collect();
        let _call = slots[0].calls.begin();
        open.shed(2);
        let closed: Vec<_> = slots.iter().map(|slot| slot.closed.is_cancelled()).collect();
        assert_eq!(closed, [false, true, true, false]);
        open.shed(usize::MAX);
        assert!(!slots[0].closed.is_cancelled() && slots[3].closed.is_cancelled());
    }

    #[test]
    fn a_channel_refuses_and_closes_nothing() {
        let open = OpenConnections::new(Limits::CHANNEL);
        let user = |uid| UnixPeer { uid, gid: 0 };
        let slots: Vec<_> = (0..16).map(|_| open.enter(user(1000)).expect("a place")).collect();
        assert_eq!(open.enter(user(1000)).err(), Some(TooMany));
        let _others: Vec<_> = (16..64).map(|uid| open.enter(user(uid)).expect("a place")).collect();
        assert_eq!(open.enter(user(2000)).err(), Some(TooMany));
        assert!(slots.iter().all(|slot| !slot.closed.is_cancelled()));
    }
}
