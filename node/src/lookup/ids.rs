//! From record id to record number in about fourteen bytes a record.
//!
//! A slot holds 40 bits of a number under 24 bits of a keyed hash of the id; the id itself stands in
//! the record's row and is compared there. 256 small tables instead of one keep the pause short in
//! which one of them doubles. The hash is keyed anew in each process: record ids are digests that their
//! authors can grind, and without the key they cannot make them meet in one table. Records are never
//! removed: what is retracted stays known as such.

use hashpact_protocol::digest::RecordId;
use std::hash::{BuildHasher as _, RandomState};

const TABLES: usize = 256;
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
/// No number has all bits set: it would be the last of 2^24 blocks.
const EMPTY: u64 = u64::MAX;
const SLOTS_MIN: usize = 16;
/// Beyond this the bits of the hash in a slot no longer say where it belongs.
const SLOTS_MAX: usize = 1 << 24;

/// The tables.
#[derive(Debug)]
pub(super) struct Ids {
    hasher: RandomState,
    tables: Vec<Table>,
}

#[derive(Debug, Clone, Default)]
struct Table {
    /// A power of two of slots, or none; at most three quarters are in use.
    slots: Vec<u64>,
    used: usize,
}

impl Default for Ids {
    fn default() -> Self {
        Self { hasher: RandomState::new(), tables: vec![Table::default(); TABLES] }
    }
}

impl Ids {
    /// Table and mark (24 bits) of an id.
    fn hash(&self, id: &RecordId) -> (usize, u64) {
        let hash = self.hasher.hash_one(id);
        ((hash & 0xff) as usize, hash >> NUMBER_BITS)
    }

    /// The number of an id; `is` says whether a number is this id's.
    pub(super) fn get(&self, id: &RecordId, is: impl Fn(u64) -> bool) -> Option<u64> {
        let (table, mark) = self.hash(id);
        self.tables[table].candidates(mark).find(|number| is(*number))
    }

    /// Adds an id that is not there yet.
    ///
    /// # Panics
    /// When the number has more than 40 bits, or three thousand million ids are held.
    pub(super) fn insert(&mut self, id: &RecordId, number: u64) {
        assert!(number < NUMBER_MASK, "record number {number} needs more than {NUMBER_BITS} bits");
        let (table, mark) = self.hash(id);
        self.tables[table].insert(mark << NUMBER_BITS | number);
    }
}

impl Table {
    fn candidates(&self, mark: u64) -> impl Iterator<Item = u64> {
        let mask = self.slots.len().wrapping_sub(1);
        let run = (0..self.slots.len()).map(move |step| self.slots[(mark as usize + step) & mask]);
        run.take_while(|slot| *slot != EMPTY)
            .filter(move |slot| slot >> NUMBER_BITS == mark)
            .map(|slot| slot & NUMBER_MASK)
    }

    fn insert(&mut self, slot: u64) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let doubled = (self.slots.len() * 2).max(SLOTS_MIN);
            assert!(doubled <= SLOTS_MAX, "more records than a node can hold in memory");
            let old = std::mem::replace(&mut self.slots, vec![EMPTY; doubled]);
            old.into_iter().filter(|slot| *slot != EMPTY).for_each(|slot| self.place(slot));
        }
        self.used += 1;
        self.place(slot);
    }

    /// Puts a slot into the first free place of its run; there is one.
    fn place(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (slot >> NUMBER_BITS) as usize & mask;
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::digest::sha256;

    fn id(number: u64) -> RecordId {
        RecordId::new(sha256(&[&number.to_be_bytes()]))
    }

    #[test]
    fn every_id_is_found_and_no_other() {
        let mut ids = Ids::default();
        let count = 50_000;
        for number in 0..count {
            assert_eq!(ids.get(&id(number), |found| found == number), None);
            ids.insert(&id(number), number);
        }
        for number in 0..count {
            assert_eq!(ids.get(&id(number), |found| found == number), Some(number));
        }
        for number in count..2 * count {
            assert_eq!(ids.get(&id(number), |found| found == number), None);
        }
        let slots: usize = ids.tables.iter().map(|table| table.slots.len()).sum();
        assert!(slots as u64 * 8 <= count * 32, "{slots} slots for {count} ids");
    }

    #[test]
    fn equal_marks_are_told_apart_by_the_row() {
        let mut table = Table::default();
        for number in 0..1_000 {
            table.insert(7 << NUMBER_BITS | number);
        }
        let mut numbers: Vec<u64> = table.candidates(7).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
        assert_eq!(table.candidates(8).next(), None);
    }

    #[test]
    #[should_panic(expected = "needs more than 40 bits")]
    fn a_number_too_wide_is_a_fault_of_ours() {
        Ids::default().insert(&id(1), NUMBER_MASK);
    }
}
