//! The match index of a node: which records carry a signal equal or close to a given one.
//!
//! Two questions are answered here. *Hamming*: every record whose 256-bit perceptual value lies within a
//! radius of the query, without a miss (recall is 100 % by construction, not by tuning). *Exact*: every
//! record that carries a value of some other signal type, byte for byte.
//!
//! What stands, what an outcome is, and what a record says are none of this crate's business: it maps
//! values to record numbers that its owner hands out, and forgets them when told. It is derived data. It
//! holds no file and can be rebuilt from the logs at any time.
//!
//! Invariants:
//!
//! - A change is visible to every query that starts after the call that made it returned; a removed record
//!   is never named by such a query, an inserted one is never missed.
//! - A reader copies one pointer and then works on a snapshot that nobody changes. It never waits for a
//!   writer for longer than a pointer swap, and never makes a writer wait while it scans.
//! - Equal values are stored once, with the list of the records that carry them. A pair of value and record
//!   is in the index once, however often it was inserted.
//!
//! The Hamming side is a flat scan today. [`MatchIndex`] is the seam behind which it can be replaced:
//! nothing of blocks, lanes or positions shows in the interface.
//!
//! ```
//! use hashpact_index::{Hit, MatchIndex};
//!
//! let index = MatchIndex::new();
//! index.insert_hamming(&[0xff; 32], 7);
//! let mut near = [0xff; 32];
//! near[3] = 0xfc;
//! assert_eq!(index.query_hamming(&near, 31), vec![Hit { record: 7, distance: 2 }]);
//! assert!(index.remove_hamming(&[0xff; 32], 7));
//! assert!(index.query_hamming(&near, 31).is_empty());
//! ```

mod block;
mod exact;
mod flat;
mod posting;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use exact::ExactMaps;
use flat::{FlatScan, FlatWriter};

/// One record within the radius of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hit {
    /// The record number that was given to [`MatchIndex::insert_hamming`].
    pub record: u64,
    /// Number of differing bits, 0 to 256.
    pub distance: u16,
}

/// One change to the index; see [`MatchIndex::apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The record carries this 256-bit perceptual value.
    InsertHamming {
        /// The value, in the byte order in which it is written as hex.
        value: &'a [u8; 32],
        /// The owner's number for the record.
        record: u64,
    },
    /// The record no longer carries this perceptual value.
    RemoveHamming {
        /// The value that was inserted.
        value: &'a [u8; 32],
        /// The record that it was inserted for.
        record: u64,
    },
    /// The record carries this value of an exactly matched signal type.
    InsertExact {
        /// The signal type's code; types never match one another.
        kind: u8,
        /// The value's bytes.
        value: &'a [u8],
        /// The owner's number for the record.
        record: u64,
    },
    /// The record no longer carries this exactly matched value.
    RemoveExact {
        /// The signal type's code.
        kind: u8,
        /// The value that was inserted.
        value: &'a [u8],
        /// The record that it was inserted for.
        record: u64,
    },
}

/// How much one signal type holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalStats {
    /// Distinct values.
    pub values: u64,
    /// Pairs of value and record.
    pub postings: u64,
}

/// How much the index holds; see [`MatchIndex::stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// The Hamming side.
    pub hamming: SignalStats,
    /// The exact maps, by signal type code; a type that holds nothing is absent.
    pub exact: BTreeMap<u8, SignalStats>,
}

/// The match index. Shared by reference between any number of readers and writers.
#[derive(Debug, Default)]
pub struct MatchIndex {
    hamming: FlatScan,
    exact: ExactMaps,
    stats: RwLock<IndexStats>,
    /// Held by whoever changes the index; readers never touch it.
    writer: Mutex<FlatWriter>,
}

impl MatchIndex {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes changes in order and returns how many of them changed something.
    ///
    /// All of them are visible when the call returns. A long run of changes in one call is much cheaper than
    /// one call each, because what readers share is copied once instead of once per change. A reader may see
    /// the changes of one call arrive in parts (the Hamming side, then the exact maps one by one).
    pub fn apply<'a>(&self, changes: impl IntoIterator<Item = Change<'a>>) -> usize {
        let mut writer = self.lock_writer();
        let mut exact = self.exact.begin();
        let mut changed = 0;
        for change in changes {
            changed += usize::from(match change {
                Change::InsertHamming { value, record } => writer.insert(value, record),
                Change::RemoveHamming { value, record } => writer.remove(value, record),
                Change::InsertExact { kind, value, record } => exact.insert(kind, value, record),
                Change::RemoveExact { kind, value, record } => exact.remove(kind, value, record),
            });
        }
        if changed > 0 {
            self.hamming.publish(&mut writer);
            let mut stats = self.stats.write().unwrap_or_else(PoisonError::into_inner);
            exact.publish(&mut stats.exact);
            stats.hamming = writer.stats();
        }
        changed
    }

    /// Says that `record` carries this perceptual value; visible to the next query. Idempotent.
    pub fn insert_hamming(&self, value: &[u8; 32], record: u64) {
        self.apply([Change::InsertHamming { value, record }]);
    }

    /// Withdraws a perceptual value from `record`; gone from the next query. Returns whether it was there.
    pub fn remove_hamming(&self, value: &[u8; 32], record: u64) -> bool {
        self.apply([Change::RemoveHamming { value, record }]) == 1
    }

    /// All records that carry a value at most `radius` bits away, sorted by distance, then by record.
    ///
    /// A record that carries several values within the radius is named once for each of them. Radii above
    /// 64 are answered exactly too, only more slowly.
    pub fn query_hamming(&self, value: &[u8; 32], radius: u16) -> Vec<Hit> {
        self.hamming.query(value, radius)
    }

    /// [`query_hamming`](Self::query_hamming) for many values over one snapshot, in the order of the values.
    ///
    /// Every part of the index is brought into the cache once for all of them.
    pub fn query_hamming_batch(&self, values: &[[u8; 32]], radius: u16) -> Vec<Vec<Hit>> {
        self.hamming.query_batch(values, radius)
    }

    /// Says that `record` carries this exactly matched value; visible to the next query. Idempotent.
    pub fn insert_exact(&self, kind: u8, value: &[u8], record: u64) {
        self.apply([Change::InsertExact { kind, value, record }]);
    }

    /// Withdraws an exactly matched value from `record`. Returns whether it was there.
    pub fn remove_exact(&self, kind: u8, value: &[u8], record: u64) -> bool {
        self.apply([Change::RemoveExact { kind, value, record }]) == 1
    }

    /// All records that carry exactly this value of this signal type, sorted.
    pub fn query_exact(&self, kind: u8, value: &[u8]) -> Vec<u64> {
        self.exact.query(kind, value)
    }

    /// How much the index holds.
    pub fn stats(&self) -> IndexStats {
        self.stats.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A writer that panicked may have left its working copy half changed. Readers still have the last
    /// published snapshot, which is whole; nobody may publish another one.
    fn lock_writer(&self) -> MutexGuard<'_, FlatWriter> {
        self.writer.lock().expect("no writer of the match index panics half way")
    }
}
