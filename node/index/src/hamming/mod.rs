//! Exact Hamming search over 256-bit values, while they change.
//!
//! [`Hamming`] is what readers share, [`writer::HammingWriter`] what the one writer knows beyond it. Nothing that
//! readers see is ever moved or freed under them: codes and extents are written first and published with
//! release ordering after; memory that is no longer named is used again when every reader of then has gone.
//!
//! Few values are scanned flat; from [`Options::flat_max`](crate::Options) on the tables answer. Both are exact.

mod batch;
mod codes;
mod extent;
mod flat;
mod kernel;
mod memory;
mod permutation;
mod probe;
mod snapshot;
mod tables;
mod writer;

pub use kernel::Instructions;
pub use probe::TABLE_RADIUS_MAX;
pub(crate) use writer::HammingWriter;

use crate::Hit;
use crate::posting::{EMPTY, PostingLists};
use crate::random::Random;
use codes::Codes;
use crossbeam_epoch::Guard;
use flat::FlatScan;
use kernel::dispatch;
use permutation::{Code, Permutation};
use probe::Probe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tables::Tables;

/// What readers share.
#[derive(Debug)]
pub(crate) struct Hamming {
    permutation: Permutation,
    instructions: Instructions,
    codes: Codes,
    lists: PostingLists,
    tables: Tables,
    /// Whether every code below the end is in the tables.
    ready: AtomicBool,
    flat_max: u32,
    /// Distinct values, and pairs of value and record; the writer counts, anybody reads.
    values: AtomicU64,
    postings: AtomicU64,
}

impl Hamming {
    pub(crate) fn new(random: &mut Random, instructions: Instructions, flat_max: u32) -> Self {
        Self {
            permutation: Permutation::draw(random),
            instructions,
            codes: Codes::new(),
            lists: PostingLists::default(),
            tables: Tables::new(),
            ready: AtomicBool::new(false),
            flat_max,
            values: AtomicU64::new(0),
            postings: AtomicU64::new(0),
        }
    }

    /// All records within the radius, sorted by distance, then by record.
    pub(crate) fn query(&self, value: &[u8; 32], radius: u16) -> Vec<Hit> {
        let guard = crossbeam_epoch::pin();
        let code = self.permutation.code(value);
        let mut found = Vec::new();
        self.search(&code, radius, &guard, &mut found);
        self.hits(&mut found, &guard)
    }

    /// [`query`](Self::query) for many values, on `threads` threads, in the order of the values.
    pub(crate) fn query_many(&self, values: &[[u8; 32]], radius: u16, threads: usize) -> Vec<Vec<Hit>> {
        batch::query_many(self, values, radius, threads.max(1))
    }

    /// Numbers and distances of standing codes within the radius; a code may come several times.
    fn search(&self, query: &Code, radius: u16, guard: &Guard, found: &mut Vec<(u32, u16)>) {
        let radius = u32::from(radius);
        if radius <= TABLE_RADIUS_MAX && self.ready.load(Ordering::Acquire) {
            dispatch(self.instructions, Probe { hamming: self, query, radius, guard, found });
        } else {
            let (queries, found) = (std::slice::from_ref(query), std::slice::from_mut(found));
            dispatch(self.instructions, FlatScan { hamming: self, queries, radius, found });
        }
    }

    /// The records behind what a search found.
    fn hits(&self, found: &mut Vec<(u32, u16)>, guard: &Guard) -> Vec<Hit> {
        if found.is_empty() {
            return Vec::new();
        }
        found.sort_unstable();
        found.dedup();
        let mut hits = Vec::with_capacity(found.len());
        for &(number, distance) in found.iter() {
            let slot = self.codes.slot(number).load(Ordering::Acquire);
            if slot != EMPTY {
                self.lists.read(slot, guard, |record| hits.push(Hit { record, distance }));
            }
        }
        hits.sort_unstable_by_key(|hit| (hit.distance, hit.record));
        hits
    }

    /// Distinct values, and pairs of value and record.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.values.load(Ordering::Relaxed), self.postings.load(Ordering::Relaxed))
    }

    /// The code of a value, as fingerprints see it.
    pub(crate) fn code(&self, value: &[u8; 32]) -> Code {
        self.permutation.code(value)
    }

    /// Calls `each` with code and record of every pair.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Code, u64)) {
        for number in 0..self.codes.end() {
            let guard = crossbeam_epoch::pin();
            let slot = self.codes.slot(number).load(Ordering::Acquire);
            if slot != EMPTY {
                let code = self.codes.code(number);
                self.lists.read(slot, &guard, |record| each(&code, record));
            }
        }
    }

    /// Bytes held: codes, tables, posting lists.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.codes.held_bytes() + self.tables.held_bytes() + self.lists.bytes() as u64
    }
}
