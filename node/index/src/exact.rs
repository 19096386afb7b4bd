//! Exact look-up of values of any signal type.
//!
//! Values are spread over many small maps by a keyed hash. Each map is shared with readers and replaced as a
//! whole: a writer copies the map that a change falls into (a few hundred entries per million values), changes
//! the copy, and swaps the pointer. A reader holds the lock of one map only while it copies the pointer.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use crate::SignalStats;
use crate::posting::{Posting, Removal};

/// Number of maps; at ten million values each holds about 2,400.
const SHARDS: usize = 4096;

/// Values by signal type code. Keys are shared between the versions of a map.
type Shard = BTreeMap<u8, HashMap<Arc<[u8]>, Posting>>;

/// All exact maps.
#[derive(Debug)]
pub(crate) struct ExactMaps {
    hasher: RandomState,
    shards: Vec<RwLock<Arc<Shard>>>,
}

impl Default for ExactMaps {
    fn default() -> Self {
        let empty = Arc::new(Shard::new());
        let shards = (0..SHARDS).map(|_| RwLock::new(Arc::clone(&empty))).collect();
        Self { hasher: RandomState::new(), shards }
    }
}

impl ExactMaps {
    fn shard_number(&self, kind: u8, value: &[u8]) -> usize {
        self.hasher.hash_one((kind, value)) as usize % SHARDS
    }

    fn shard(&self, number: usize) -> Arc<Shard> {
        Arc::clone(&self.shards[number].read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn query(&self, kind: u8, value: &[u8]) -> Vec<u64> {
        self.shard(self.shard_number(kind, value))
            .get(&kind)
            .and_then(|values| values.get(value))
            .map(|posting| posting.records().to_vec())
            .unwrap_or_default()
    }

    /// Starts a run of changes. The caller makes sure that there is one run at a time.
    pub(crate) fn begin(&self) -> ExactChanges<'_> {
        ExactChanges { maps: self, shards: BTreeMap::new(), delta: BTreeMap::new() }
    }
}

/// Changes that are not yet published: working copies of the maps that they fall into.
pub(crate) struct ExactChanges<'m> {
    maps: &'m ExactMaps,
    shards: BTreeMap<usize, Arc<Shard>>,
    /// Change of (values, postings) by signal type code.
    delta: BTreeMap<u8, (i64, i64)>,
}

impl ExactChanges<'_> {
    fn shard(&mut self, kind: u8, value: &[u8]) -> &mut Arc<Shard> {
        let number = self.maps.shard_number(kind, value);
        self.shards.entry(number).or_insert_with(|| self.maps.shard(number))
    }

    /// Adds a pair of value and record; `false` when it was there already.
    pub(crate) fn insert(&mut self, kind: u8, value: &[u8], record: u64) -> bool {
        let shard = self.shard(kind, value);
        if holds(shard, kind, value, record) {
            return false;
        }
        let new_value = match Arc::make_mut(shard).entry(kind).or_default().entry(Arc::from(value)) {
            Entry::Occupied(mut entry) => {
                entry.get_mut().insert(record);
                0
            }
            Entry::Vacant(entry) => {
                entry.insert(Posting::One(record));
                1
            }
        };
        self.count(kind, new_value, 1);
        true
    }

    /// Takes a pair of value and record out; `false` when it was not there.
    pub(crate) fn remove(&mut self, kind: u8, value: &[u8], record: u64) -> bool {
        let shard = self.shard(kind, value);
        if !holds(shard, kind, value, record) {
            return false;
        }
        let shard = Arc::make_mut(shard);
        let values = shard.get_mut(&kind).expect("the pair was just seen");
        let last = values.get_mut(value).map(|posting| posting.remove(record)) == Some(Removal::Last);
        if last {
            values.remove(value);
            if values.is_empty() {
                shard.remove(&kind);
            }
        }
        self.count(kind, -i64::from(last), -1);
        true
    }

    fn count(&mut self, kind: u8, values: i64, postings: i64) {
        let delta = self.delta.entry(kind).or_default();
        delta.0 += values;
        delta.1 += postings;
    }

    /// Shows the changes to every query from now on, and counts them.
    pub(crate) fn publish(self, stats: &mut BTreeMap<u8, SignalStats>) {
        for (number, shard) in self.shards {
            let last = {
                let mut published = self.maps.shards[number].write().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *published, shard)
            };
            drop(last);
        }
        for (kind, (values, postings)) in self.delta {
            let entry = stats.entry(kind).or_default();
            entry.values = entry.values.saturating_add_signed(values);
            entry.postings = entry.postings.saturating_add_signed(postings);
            if entry.values == 0 {
                stats.remove(&kind);
            }
        }
    }
}

fn holds(shard: &Shard, kind: u8, value: &[u8], record: u64) -> bool {
    let posting = shard.get(&kind).and_then(|values| values.get(value));
    posting.is_some_and(|posting| posting.contains(record))
}
