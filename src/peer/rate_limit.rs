//! How often one peer may ask: token buckets in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::clock::Moment;

/// Calls that a full bucket lets through at once. A node opens its volumes, twenty at the most in practice, one after
/// the other.
pub const BURST: u32 = 20;

/// Time after which a bucket lets one more call through.
pub const REFILL: Duration = Duration::from_secs(1);

/// Buckets that are kept. Those that are full again are forgotten first: they cannot be told from new ones.
pub const MAX_BUCKETS: usize = 4096;

/// One bucket per key, and one that all keys share which find no room.
#[derive(Debug)]
pub struct RateLimit<K> {
    buckets: HashMap<K, Bucket>,
    shared: Bucket,
}

impl<K: Eq + Hash> Default for RateLimit<K> {
    fn default() -> Self {
        Self { buckets: HashMap::new(), shared: Bucket::full() }
    }
}

impl<K: Eq + Hash> RateLimit<K> {
    /// Takes one call of `key` out of its bucket: `false` when that is empty.
    pub fn admit(&mut self, now: Moment, key: K) -> bool {
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            if self.buckets.len() >= MAX_BUCKETS {
                return self.shared.take(now);
            }
        }
        self.buckets.entry(key).or_insert_with(Bucket::full).take(now)
    }
}

/// A bucket is kept as the moment at which it will be full: one number, and no refill to run.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    full_at: Moment,
}

impl Bucket {
    const fn full() -> Self {
        Self { full_at: Moment::since_boot(Duration::ZERO) }
    }

    fn is_full(&self, now: Moment) -> bool {
        self.full_at <= now
    }

    fn take(&mut self, now: Moment) -> bool {
        let full_at = self.full_at.max(now).after(REFILL);
        let fits = full_at.since(now) <= REFILL * BURST;
        if fits {
            self.full_at = full_at;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn twenty_at_once_then_one_a_second() {
        let mut limit = RateLimit::default();
        assert_eq!((0..30).filter(|_| limit.admit(at(100), "cp-1")).count(), 20);
        assert!(limit.admit(at(101), "cp-1"));
        assert!(!limit.admit(at(101), "cp-1"));
        assert!(limit.admit(at(101), "cp-2"), "each key has a bucket of its own");
        assert_eq!((0..30).filter(|_| limit.admit(at(200), "cp-1")).count(), 20);
    }

    #[test]
    fn memory_is_bounded_and_newcomers_share_what_is_left() {
        let mut limit = RateLimit::default();
        let admitted = (0..10_000).filter(|key| limit.admit(at(1), *key)).count();
        assert_eq!(admitted, MAX_BUCKETS + BURST as usize);
        assert_eq!(limit.buckets.len(), MAX_BUCKETS);
        assert!(limit.admit(at(1), 5), "a key that has a bucket keeps it");
        assert!(limit.admit(at(60), 20_000), "buckets that filled up again make room");
        assert!(limit.buckets.len() < 10);
    }

    #[test]
    fn a_bucket_makes_room_at_the_moment_it_is_full() {
        let mut limit = RateLimit::default();
        assert_eq!((0..MAX_BUCKETS).filter(|key| limit.admit(at(1), *key)).count(), MAX_BUCKETS);
        assert!(limit.admit(at(2), MAX_BUCKETS));
        assert_eq!(limit.buckets.len(), 1);
    }
}
