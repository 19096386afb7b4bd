//! From record id to record number in about fourteen bytes a record.
//!
//! A slot holds 40 bits of a number under 24 bits of a keyed hash of the id; the id itself stands
//! beside the number elsewhere and is compared there. 256 small tables instead of one keep the pause short
//! in which one of them grows. The caller brings the key: record ids are digests that their
//! authors can grind, and without the key they cannot make them meet in one table. Records are never
//! removed: what is retracted stays known as such.

use hashpact_protocol::digest::RecordId;
use siphasher::sip::SipHasher13;

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
pub struct Ids {
    key: [u8; 16],
    tables: Vec<Table>,
}

#[derive(Debug, Clone, Default)]
struct Table {
    /// A power of two of slots, or none; at most seven eighths are in use.
    slots: Vec<u64>,
    used: usize,
}

/// Ids that are added together. Each table is then filled while the processor's cache holds it, which takes a fifth of the
/// time.
#[derive(Debug)]
pub struct Batch {
    key: [u8; 16],
    /// By table.
    slots: Vec<Vec<u64>>,
}

impl Batch {
    /// Adds an id that is not there yet.
    ///
    /// # Panics
    /// When the number has more than 40 bits.
    pub fn add(&mut self, id: &RecordId, number: u64) {
        let (table, mark) = hash(&self.key, id);
        if let Some(slots) = self.slots.get_mut(table) {
            slots.push(slot(mark, number));
        }
    }
}

/// Table and mark (24 bits) of an id.
fn hash(key: &[u8; 16], id: &RecordId) -> (usize, u64) {
    let hash = SipHasher13::new_with_key(key).hash(id.as_bytes());
    ((hash & 0xff) as usize, hash >> NUMBER_BITS)
}

fn slot(mark: u64, number: u64) -> u64 {
    assert!(number < NUMBER_MASK, "record number {number} needs more than {NUMBER_BITS} bits");
    mark << NUMBER_BITS | number
}

impl Ids {
    /// No ids, under a key that nobody outside this process should know.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self { key, tables: vec![Table::default(); TABLES] }
    }

    /// The number of an id; `is` says whether a number is this id's.
    pub fn get(&self, id: &RecordId, is: impl Fn(u64) -> bool) -> Option<u64> {
        let (table, mark) = hash(&self.key, id);
        self.tables.get(table)?.candidates(mark).find(|number| is(*number))
    }

    /// Adds an id that is not there yet.
    ///
    /// # Panics
    /// When the number has more than 40 bits, or three thousand million ids are held.
    pub fn insert(&mut self, id: &RecordId, number: u64) {
        let (table, mark) = hash(&self.key, id);
        if let Some(table) = self.tables.get_mut(table) {
            table.insert(slot(mark, number));
        }
    }

    /// An empty batch for these tables.
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch { key: self.key, slots: vec![Vec::new(); TABLES] }
    }

    /// Adds what was collected.
    ///
    /// # Panics
    /// When three thousand million ids are held.
    pub fn insert_batch(&mut self, batch: Batch) {
        for (table, slots) in self.tables.iter_mut().zip(batch.slots) {
            table.make_room(slots.len());
            slots.into_iter().for_each(|slot| table.place(slot));
        }
    }
}

impl Table {
    fn candidates(&self, mark: u64) -> impl Iterator<Item = u64> {
        let (before, after) = self.slots.split_at(home(mark, self.slots.len()));
        let run = after.iter().chain(before).copied();
        run.take_while(|slot| *slot != EMPTY)
            .filter(move |slot| slot >> NUMBER_BITS == mark)
            .map(|slot| slot & NUMBER_MASK)
    }

    fn insert(&mut self, slot: u64) {
        self.make_room(1);
        self.place(slot);
    }

    /// Grows so far that as many more fit.
    fn make_room(&mut self, more: usize) {
        let mut needed = self.slots.len();
        while (self.used + more) * 8 > needed * 7 {
            needed = (needed * 2).max(SLOTS_MIN);
            assert!(needed <= SLOTS_MAX, "more records than a node can hold in memory");
        }
        if needed > self.slots.len() {
            let old = std::mem::replace(&mut self.slots, vec![EMPTY; needed]);
            self.used = 0;
            old.into_iter().filter(|slot| *slot != EMPTY).for_each(|slot| self.place(slot));
        }
    }

    /// Puts a slot into the first free place of its run; there is one.
    fn place(&mut self, slot: u64) {
        self.used += 1;
        let (before, after) = {
            let home = home(slot >> NUMBER_BITS, self.slots.len());
            self.slots.split_at_mut(home)
        };
        let free = after.iter_mut().chain(before).find(|held| **held == EMPTY);
        *free.expect("a table is never full") = slot;
    }
}

/// Where the run of a mark begins among so many slots, a power of two or none.
const fn home(mark: u64, slots: usize) -> usize {
    if slots == 0 { 0 } else { mark as usize & (slots - 1) }
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
        let mut ids = Ids::new([7; 16]);
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
    fn a_batch_is_found_beside_what_was_there() {
        let mut ids = Ids::new([7; 16]);
        (0..5_000).for_each(|number| ids.insert(&id(number), number));
        let mut batch = ids.batch();
        (5_000..30_000).for_each(|number| batch.add(&id(number), number));
        ids.insert_batch(batch);
        (30_000..31_000).for_each(|number| ids.insert(&id(number), number));
        for number in 0..31_000 {
            assert_eq!(ids.get(&id(number), |found| found == number), Some(number));
        }
        assert_eq!(ids.tables.iter().map(|table| table.used).sum::<usize>(), 31_000);
    }

    #[test]
    fn equal_marks_are_told_apart_by_who_asks() {
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
    fn the_key_decides_where_an_id_stands() {
        let places = |key| (0..64).map(|number| hash(&[key; 16], &id(number))).collect::<Vec<_>>();
        assert_eq!(places(1), places(1));
        assert_ne!(places(1), places(2));
    }

    #[test]
    #[should_panic(expected = "needs more than 40 bits")]
    fn a_number_too_wide_is_a_fault_of_ours() {
        Ids::new([0; 16]).insert(&id(1), NUMBER_MASK);
    }
}
