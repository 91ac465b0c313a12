//! How many admitted calls may be in progress at once. A call that is held for a person costs memory for seconds, and one
//! that waits for a disk for longer: also after its caller hung up.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Calls in progress of one group.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// In all.
    pub total: usize,
    /// Under one key.
    pub per_key: usize,
}

/// The calls in progress of one group.
#[derive(Debug, Clone)]
pub struct InProgress<K: Eq + Hash> {
    most: Most,
    counted: Arc<Mutex<Counted<K>>>,
}

#[derive(Debug)]
struct Counted<K> {
    total: usize,
    /// No zeroes: it is as long as there are calls.
    per_key: HashMap<K, usize>,
}

/// One call's place; free again when dropped.
#[derive(Debug)]
#[must_use]
pub struct Place<K: Eq + Hash> {
    key: K,
    counted: Arc<Mutex<Counted<K>>>,
}

impl<K: Eq + Hash + Clone> InProgress<K> {
    /// None yet.
    #[must_use]
    pub fn new(most: Most) -> Self {
        Self { most, counted: Arc::new(Mutex::new(Counted { total: 0, per_key: HashMap::new() })) }
    }

    /// A place for a call under `key`; `None` when there are as many as there may be.
    #[must_use]
    pub fn enter(&self, key: K) -> Option<Place<K>> {
        let mut counted = lock(&self.counted);
        let own = counted.per_key.get(&key).copied().unwrap_or(0);
        if counted.total >= self.most.total || own >= self.most.per_key {
            return None;
        }
        counted.total += 1;
        counted.per_key.insert(key.clone(), own + 1);
        drop(counted);
        Some(Place { key, counted: Arc::clone(&self.counted) })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counted = lock(&self.counted);
        counted.total -= 1;
        if let Some(own) = counted.per_key.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                counted.per_key.remove(&self.key);
            }
        }
    }
}

fn lock<K>(counted: &Mutex<Counted<K>>) -> MutexGuard<'_, Counted<K>> {
    // Nothing between two changes can panic.
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_no_more_places_than_its_own() {
        let calls = InProgress::new(Most { total: 4, per_key: 2 });
        let places = [(); 2].map(|()| calls.enter("cp-1").expect("a place"));
        assert!(calls.enter("cp-1").is_none());
        let _other = calls.enter("cp-2").expect("a place");
        drop(places);
        assert!(calls.enter("cp-1").is_some());
    }

    #[test]
    fn all_keys_together_have_no_more_than_the_total() {
        let calls = InProgress::new(Most { total: 4, per_key: 2 });
        let mut places: Vec<_> = (0..4).map(|key| calls.enter(key).expect("a place")).collect();
        assert!(calls.enter(9).is_none());
        places.pop();
        let _ninth = calls.enter(9).expect("a place");
        assert!(calls.enter(10).is_none());
    }

    #[test]
    fn what_ended_is_forgotten() {
        let calls = InProgress::new(Most { total: 4, per_key: 2 });
        for key in 0..1_000 {
            drop(calls.enter(key).expect("a place"));
        }
        let counted = lock(&calls.counted);
        assert_eq!((counted.total, counted.per_key.len()), (0, 0));
    }
}
