//! Exact look-up of values of any signal type.
//!
//! Every signal type has a table of its own for each width of value that occurs, which is nearly always one.
//! Tables are changed in place, by one writer at a time; readers take no lock and never wait. A table spreads
//! its values by a hash with a secret key over pages of some tens of values, and only ever copies a page or two
//! at a time, so no insertion takes long however many values there are.
//!
//! Besides its bytes, a value takes its slot of four bytes, one byte of hash, and some six for room in pages and
//! for finding them. A table that grew and was emptied keeps the addresses of its pages, a quarter byte for
//! each value that it once held.

mod hash;
mod page;
mod save;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock};

use crate::SignalStats;
use crate::posting::PostingLists;
use hash::KeyedHash;
pub(crate) use save::LoadLimits;
use table::Table;

/// Places of the list of tables. A signal type with one width has a place for itself.
const HEADS: usize = 256;

/// All exact maps.
#[derive(Debug)]
pub(crate) struct ExactMaps {
    hasher: KeyedHash,
    lists: PostingLists,
    /// The first table of each place; the others hang on to it.
    heads: Box<[OnceLock<Box<Table>>]>,
    /// Held by whoever changes anything.
    writer: Mutex<()>,
}

impl ExactMaps {
    /// Empty maps. The seed is secret: who knows it can choose values that all fall into one page.
    pub(crate) fn with_seed(seed: &[u8; 32]) -> Self {
        Self {
            hasher: KeyedHash::new(seed),
            lists: PostingLists::default(),
            heads: (0..HEADS).map(|_| OnceLock::new()).collect(),
            writer: Mutex::new(()),
        }
    }

    /// Adds a pair of value and record; `false` when it was there already. Visible to every query that starts
    /// after the call.
    pub(crate) fn insert(&self, kind: u8, value: &[u8], record: u64) -> bool {
        let hash = self.hasher.of(value);
        let _writer = self.lock();
        self.table_for(kind, value.len(), 0).insert(hash, value, record, &self.lists, &self.hasher)
    }

    /// Takes a pair of value and record out; `false` when it was not there. Gone from every query that starts
    /// after the call.
    pub(crate) fn remove(&self, kind: u8, value: &[u8], record: u64) -> bool {
        let hash = self.hasher.of(value);
        let _writer = self.lock();
        let table = self.table(kind, value.len());
        table.is_some_and(|table| table.remove(hash, value, record, &self.lists))
    }

    /// The records that carry this value, sorted. Takes no lock.
    pub(crate) fn query(&self, kind: u8, value: &[u8]) -> Vec<u64> {
        let mut records = Vec::new();
        if let Some(table) = self.table(kind, value.len()) {
            let guard = crossbeam_epoch::pin();
            if let Some(slot) = table.slot(self.hasher.of(value), value, &guard) {
                self.lists.read(slot, &guard, |record| records.push(record));
            }
        }
        records.sort_unstable();
        records
    }

    /// How much each signal type holds; a type that holds nothing is absent. Takes no lock.
    pub(crate) fn stats(&self) -> BTreeMap<u8, SignalStats> {
        let mut stats: BTreeMap<u8, SignalStats> = BTreeMap::new();
        for table in self.tables() {
            let SignalStats { values, postings } = table.stats();
            if values > 0 {
                let kind = stats.entry(table.kind).or_default();
                kind.values += values;
                kind.postings += postings;
            }
        }
        stats
    }

    /// Memory held, in bytes, without what the allocator adds. Takes no lock.
    pub(crate) fn bytes(&self) -> usize {
        let tables: usize = self.tables().map(Table::bytes).sum();
        HEADS * size_of::<OnceLock<Box<Table>>>() + tables + self.lists.bytes()
    }

    /// Calls `each` with every signal type, value and record, in no order. May run beside a writer: a pair that
    /// is added or removed meanwhile may be shown or not, every other one is shown once.
    pub(crate) fn for_each(&self, mut each: impl FnMut(u8, &[u8], u64)) {
        for table in self.tables() {
            let mut place = 0;
            while place < table::END {
                // Dropped after every page, so that nothing waits long for being freed.
                let guard = crossbeam_epoch::pin();
                place = table.visit(place, &self.hasher, &guard, |slot, value| {
                    self.lists.read(slot, &guard, |record| each(table.kind, value, record));
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().expect("no writer of the exact maps panics half way")
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.heads.iter().flat_map(|head| {
            std::iter::successors(head.get().map(Box::as_ref), |table| table.next.get().map(Box::as_ref))
        })
    }

    fn head(&self, kind: u8, width: usize) -> &OnceLock<Box<Table>> {
        &self.heads[usize::from(kind).wrapping_add(width.wrapping_mul(7)) % HEADS]
    }

    #[inline]
    fn table(&self, kind: u8, width: usize) -> Option<&Table> {
        let mut next = self.head(kind, width);
        loop {
            let table = next.get()?;
            if table.kind == kind && table.width == width {
                return Some(table);
            }
            next = &table.next;
        }
    }

    /// The table, made for so many values if there is none. For the writer.
    fn table_for(&self, kind: u8, width: usize, values: u64) -> &Table {
        let mut next = self.head(kind, width);
        loop {
            let table = next.get_or_init(|| Box::new(Table::new(kind, width, values)));
            if table.kind == kind && table.width == width {
                return table;
            }
            next = &table.next;
        }
    }
}
