//! The match index of a node: which records carry a signal equal or close to a given one.
//!
//! Two questions are answered here. *Hamming*: every record whose 256-bit perceptual value lies within a
//! radius of the query, without a miss (recall is 100 % by construction, not by tuning). *Exact*: every
//! record that carries a value of some other signal type, byte for byte.
//!
//! What stands, what an outcome is, and what a record says are none of this crate's business: it maps
//! values to record numbers that its owner hands out, and forgets them when told. It is derived data: a snapshot
//! ([`MatchIndex::save`]) saves the time of a rebuild, and is not needed for anything else.
//!
//! Invariants:
//!
//! - A change is visible to every query that starts after the call that made it returned; a removed record
//!   is never named by such a query, an inserted one is never missed.
//! - Readers take no lock and never wait. One writer at a time changes things in place; what readers may still look
//!   at is given back when they are gone.
//! - Equal values are stored once, with the list of the records that carry them. A pair of value and record
//!   is in the index once, however often it was inserted.
//! - The order of bits in which values are cut up is drawn from a secret seed, different at every node.
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

mod cell;
mod exact;
#[expect(unsafe_code, reason = "vector instructions, and memory that readers share with one writer")]
mod hamming;
mod posting;
mod random;
mod snapshot;
mod spine;
mod tiles;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use exact::ExactMaps;
use hamming::{Hamming, HammingWriter};
pub use hamming::{Instructions, TABLE_RADIUS_MAX};
use random::Random;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use snapshot::BlockReader;
pub use snapshot::{SnapshotError, TAG_BYTES_MAX};
use std::hash::Hasher as _;
pub use tiles::{Candidates, ClassBits, TileClass, TileIndex, TileSearch};

/// How an index works inside; answers do not depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Decides the secret order of bits and the keys of hashes. Unknown outside, different at every node.
    pub seed: [u8; 32],
    /// Up to so many perceptual values are scanned flat; more are put into tables.
    pub flat_max: u32,
    /// The instruction set; one of [`Instructions::available`].
    pub instructions: Instructions,
}

impl Options {
    /// Values above which tables are faster than a flat scan, as measured.
    pub const FLAT_MAX: u32 = 8 * 1024;

    /// With this seed, and the rest as it is best here.
    pub fn with_seed(seed: [u8; 32]) -> Self {
        Self { seed, flat_max: Self::FLAT_MAX, instructions: Instructions::best() }
    }
}

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
    /// Memory asked from the system for the Hamming side, in bytes.
    pub hamming_bytes: u64,
    /// The exact maps, by signal type code; a type that holds nothing is absent.
    pub exact: BTreeMap<u8, SignalStats>,
    /// Memory of the exact maps, in bytes.
    pub exact_bytes: u64,
}

impl IndexStats {
    /// All memory held, in bytes.
    pub fn bytes(&self) -> u64 {
        self.hamming_bytes + self.exact_bytes
    }
}

/// The match index. Shared by reference between any number of readers and writers.
#[derive(Debug)]
pub struct MatchIndex {
    hamming: Hamming,
    exact: ExactMaps,
    seed: [u8; 32],
    /// Held by whoever writes a snapshot.
    saving: Mutex<()>,
    /// A snapshot whose tables are not read yet. Taken while the writer is held.
    pending: Mutex<Option<BlockReader>>,
    /// Held by whoever changes the index; readers never touch it.
    writer: Mutex<HammingWriter>,
}

impl Default for MatchIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl MatchIndex {
    /// An empty index with a secret seed.
    pub fn new() -> Self {
        Self::with_seed(random::secret_seed())
    }

    /// An empty index with this seed.
    pub fn with_seed(seed: [u8; 32]) -> Self {
        Self::with_options(Options::with_seed(seed))
    }

    /// An empty index that works as told.
    ///
    /// # Panics
    /// This processor does not have the instructions.
    pub fn with_options(options: Options) -> Self {
        let Options { seed, flat_max, instructions } = options;
        assert!(
            Instructions::available().contains(&instructions),
            "this processor has no {} instructions",
            instructions.name()
        );
        let mut random = Random::from_seed(seed);
        Self {
            hamming: Hamming::new(&mut random, instructions, flat_max),
            exact: ExactMaps::with_seed(&seed),
            seed,
            saving: Mutex::default(),
            pending: Mutex::default(),
            writer: Mutex::new(HammingWriter::new()),
        }
    }

    /// Makes changes in order and returns how many of them changed something.
    ///
    /// Each is visible to every query that starts after it was made, and all of them when the call returns.
    pub fn apply<'a>(&self, changes: impl IntoIterator<Item = Change<'a>>) -> usize {
        let mut writer = self.lock_writer();
        let mut changed = 0;
        for change in changes {
            changed += usize::from(match change {
                Change::InsertHamming { value, record } => writer.insert(&self.hamming, value, record),
                Change::RemoveHamming { value, record } => writer.remove(&self.hamming, value, record),
                Change::InsertExact { kind, value, record } => self.exact.insert(kind, value, record),
                Change::RemoveExact { kind, value, record } => self.exact.remove(kind, value, record),
            });
        }
        changed
    }

    /// Rewrites the tables without slack and reclaims what was removed. Readers go on; changes wait, for about a
    /// second at ten million values. The index does the same by and by as it changes: worth calling after a
    /// large import.
    pub fn compact(&self) {
        self.lock_writer().compact(&self.hamming);
    }

    /// Makes the index forget values that were removed, so that a snapshot written after it holds nothing of
    /// them. False while a reader may still look at one of them: call again then. Costs as much as
    /// [`compact`](Self::compact).
    #[must_use]
    pub fn forget_removed(&self) -> bool {
        self.lock_writer().forget_removed(&self.hamming)
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
    /// A record that carries several values within the radius is named once for each of them. Radii up to 47 are
    /// answered through tables, larger ones by a scan of everything; all are exact.
    pub fn query_hamming(&self, value: &[u8; 32], radius: u16) -> Vec<Hit> {
        self.hamming.query(value, radius)
    }

    /// [`query_hamming`](Self::query_hamming) for many values on the caller's thread, in the order of the values.
    pub fn query_hamming_batch(&self, values: &[[u8; 32]], radius: u16) -> Vec<Vec<Hit>> {
        self.hamming.query_many(values, radius, 1)
    }

    /// [`query_hamming_batch`](Self::query_hamming_batch) on `threads` threads of its own.
    ///
    /// From several thousand values on every part of the index is read once for all of them.
    pub fn query_hamming_bulk(&self, values: &[[u8; 32]], radius: u16, threads: usize) -> Vec<Vec<Hit>> {
        self.hamming.query_many(values, radius, threads)
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
        let (values, postings) = self.hamming.counts();
        IndexStats {
            hamming: SignalStats { values, postings },
            hamming_bytes: self.hamming.held_bytes(),
            exact: self.exact.stats(),
            exact_bytes: self.exact.bytes() as u64,
        }
    }

    /// The fingerprint of everything held: the wrapping sum of the [`pair_fingerprint`](Self::pair_fingerprint) of
    /// all pairs. Two indexes with one seed that hold the same pairs have the same, whatever the order of changes.
    /// Reads everything: about a second at ten million pairs.
    pub fn fingerprint(&self) -> u128 {
        let mut sum = 0u128;
        self.hamming.for_each(|code, record| sum = sum.wrapping_add(self.near_fingerprint(code, record)));
        self.exact.for_each(|kind, value, record| {
            sum = sum.wrapping_add(self.pair_fingerprint(Some(kind), value, record));
        });
        sum
    }

    /// What one pair adds to the fingerprint of an index with this seed; `None` is the Hamming side, whose
    /// values have 32 bytes.
    ///
    /// # Panics
    /// A perceptual value of another length.
    pub fn pair_fingerprint(&self, kind: Option<u8>, value: &[u8], record: u64) -> u128 {
        match kind {
            None => {
                let value = value.try_into().expect("a perceptual value has 32 bytes");
                self.near_fingerprint(&self.hamming.code(value), record)
            }
            Some(kind) => {
                let mut hasher = self.hasher();
                hasher.write(&[1, kind]);
                hasher.write(&record.to_le_bytes());
                hasher.write(value);
                hasher.finish128().as_u128()
            }
        }
    }

    fn near_fingerprint(&self, code: &[u64; 4], record: u64) -> u128 {
        // Two bytes of zeros, the record, the code: in one piece, which takes a third of the time of six.
        let mut bytes = [0; 42];
        bytes[2..10].copy_from_slice(&record.to_le_bytes());
        for (bytes, word) in bytes[10..].as_chunks_mut().0.iter_mut().zip(code) {
            *bytes = word.to_le_bytes();
        }
        self.hasher().hash(&bytes).as_u128()
    }

    fn hasher(&self) -> SipHasher13 {
        let key = |half: usize| self.seed[half * 16..][..16].try_into().expect("sixteen bytes");
        // Another key than that of the exact maps, which take the seed through a derivation of their own.
        let (low, high) = (u128::from_le_bytes(key(0)), u128::from_le_bytes(key(1)));
        SipHasher13::new_with_key(&(low ^ high.rotate_left(64)).to_le_bytes())
    }

    /// A writer that panicked may have left its working copy half changed. Readers still have what was published;
    /// nobody may publish more. The tables of a snapshot are read before the first change.
    fn lock_writer(&self) -> MutexGuard<'_, HammingWriter> {
        let mut writer = self.writer.lock().expect("no writer of the match index panics half way");
        // Tables that are not right have been built anew; only `warm` has somebody to tell.
        let _ = self.warm_locked(&mut writer);
        writer
    }
}
