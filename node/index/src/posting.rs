//! The records that carry one value.
//!
//! Every distinct value has a *slot* of four bytes. Nearly every value is carried by one record with a small
//! number, which stands in the slot itself; otherwise the slot holds the number of a list:
//!
//! | slot | meaning |
//! |---|---|
//! | [`EMPTY`] | nobody carries the value: it is not in the index |
//! | top bit clear | one record, with this number (below 2^31) |
//! | top bit set | the list with this number: any records, in no order |
//!
//! Readers take no lock. One writer at a time changes a slot; its owner sees to that. Two writers at once could
//! lose a change, no more.
//!
//! A reader may find a list's number in a slot and look the list up after the writer has emptied it. So the
//! number of a list that is given up is used again only when every guard from before that moment is gone; until
//! then the list still reads as it was left.

mod list;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_epoch::Guard;

use crate::cell::WordCell;
use crate::spine::Spine;
use list::List;

/// A slot of a value that no record carries.
pub(crate) const EMPTY: u32 = u32::MAX;

/// Set in slots that name a list.
const LIST: u32 = 1 << 31;

/// Above this many records a list has a table of where each of them stands; below, a scan is as fast.
const SCAN_MAX: usize = 32;

/// What taking a record out of a posting left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The record was not in the posting.
    Absent,
    /// Other records remain.
    Remaining,
    /// It was the last one: the owner drops the value.
    Last,
}

/// The lists of all values of one index.
#[derive(Debug, Default)]
pub(crate) struct PostingLists {
    lists: Spine<WordCell<AtomicU64>>,
    writer: Mutex<Writer>,
    /// Memory of lists and tables of places, in bytes; kept by the writer.
    bytes: AtomicUsize,
}

/// What only writers need.
#[derive(Debug, Default)]
struct Writer {
    /// The lowest number that was never given to a list.
    next: u32,
    /// Numbers that were given up, oldest first, each with a flag that is raised when no reader can hold it.
    retired: VecDeque<(u32, Arc<AtomicBool>)>,
    /// By list number: where in the list each record stands.
    places: HashMap<u32, Places>,
}

/// Where in a list each record stands.
#[derive(Debug, Default)]
struct Places {
    places: HashMap<u64, u32>,
    /// What was counted for the table; its capacity shrinks and grows as records go and come.
    bytes: usize,
}

impl PostingLists {
    /// Adds a record; `false` when it was there already. The time does not depend on the length, but for now
    /// and then a list that is copied because it doubles.
    pub(crate) fn insert(&self, slot: &AtomicU32, record: u64) -> bool {
        match slot.load(Ordering::Relaxed) {
            EMPTY => {
                let value = direct(record).unwrap_or_else(|| self.found(&[record]));
                slot.store(value, Ordering::Release);
                true
            }
            value if value & LIST == 0 => {
                let other = u64::from(value);
                if other != record {
                    slot.store(self.found(&[other, record]), Ordering::Release);
                }
                other != record
            }
            value => self.append(value & !LIST, record),
        }
    }

    /// Takes a record out. After the last one the slot is [`EMPTY`].
    pub(crate) fn remove(&self, slot: &AtomicU32, record: u64) -> Removal {
        let value = slot.load(Ordering::Relaxed);
        if value & LIST == 0 || value == EMPTY {
            if value == EMPTY || u64::from(value) != record {
                return Removal::Absent;
            }
            slot.store(EMPTY, Ordering::Release);
            return Removal::Last;
        }
        self.strike(slot, value & !LIST, record)
    }

    /// Calls `each` with every record, in no order, each once. `value` was loaded (with acquire ordering) from
    /// the slot under this guard or one that is still held.
    #[inline]
    pub(crate) fn read(&self, value: u32, guard: &Guard, mut each: impl FnMut(u64)) {
        if value & LIST == 0 {
            each(u64::from(value));
        } else if let Some(list) = self.list(value, guard) {
            list.records().for_each(|(_, record)| each(record));
        }
    }

    /// Number of records; `value` as in [`read`](Self::read).
    #[cfg(test)]
    fn len(&self, value: u32, guard: &Guard) -> usize {
        if value & LIST == 0 { 1 } else { self.list(value, guard).map_or(0, |list| list.live()) }
    }

    /// Whether the record is there. For writers: long lists are looked up in what belongs to the writer.
    #[cfg(test)]
    fn contains(&self, slot: &AtomicU32, record: u64) -> bool {
        let value = slot.load(Ordering::Acquire);
        if value & LIST == 0 {
            return u64::from(value) == record;
        }
        let writer = self.lock();
        let guard = crossbeam_epoch::pin();
        self.list(value, &guard).is_some_and(|list| writer.has(value & !LIST, list, record))
    }

    /// Memory held, in bytes, without what the allocator adds and what waits for readers to finish.
    pub(crate) fn bytes(&self) -> usize {
        self.lists.bytes() + self.bytes.load(Ordering::Relaxed)
    }

    /// The list that a slot's value names; none when the value is [`EMPTY`].
    fn list<'g>(&'g self, value: u32, guard: &'g Guard) -> Option<List<'g>> {
        let cell = self.lists.get((value & !LIST) as usize)?;
        cell.load(guard).map(List::new)
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // A panic half way leaves at worst a list that nobody names or counts bytes wrongly.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a list of these records, which differ, and returns the slot's value for it.
    fn found(&self, records: &[u64]) -> u32 {
        let guard = crossbeam_epoch::pin();
        let number = self.lock().number();
        self.publish(number, records.iter().copied(), records.len(), &guard);
        number | LIST
    }

    /// Puts a list into its place; `room` is how many records it can take.
    fn publish(&self, number: u32, records: impl Iterator<Item = u64>, room: usize, guard: &Guard) {
        let cell = self.lists.ensure(number as usize);
        let old_bytes = cell.load(guard).map_or(0, |words| List::new(words).bytes());
        let words = list::written(records, room);
        let new_bytes = List::new(&words).bytes();
        cell.replace(Some(words), guard);
        self.bytes.fetch_add(new_bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(old_bytes, Ordering::Relaxed);
    }

    fn append(&self, number: u32, record: u64) -> bool {
        let mut writer = self.lock();
        let guard = crossbeam_epoch::pin();
        let list = self.list(number | LIST, &guard).expect("a slot names a list that was published");
        if writer.has(number, list, record) {
            return false;
        }
        if let Some(place) = list.push(record) {
            if let Some(places) = writer.places.get_mut(&number) {
                self.note_place(places, record, place);
            }
            return true;
        }
        let records = list.records().map(|(_, record)| record).chain([record]);
        self.publish(number, records, (list.live() + 1) * 2, &guard);
        match writer.places.get_mut(&number) {
            // Copying has moved nobody.
            Some(places) if !list.has_gaps() => self.note_place(places, record, list.room() as u32),
            _ => self.find_places(&mut writer, number, &guard),
        }
        true
    }

    fn strike(&self, slot: &AtomicU32, number: u32, record: u64) -> Removal {
        let mut writer = self.lock();
        let guard = crossbeam_epoch::pin();
        let list = self.list(number | LIST, &guard).expect("a slot names a list that was published");
        let place = match writer.places.get_mut(&number) {
            Some(places) => places.places.remove(&record),
            None => list.find(record),
        };
        let Some(place) = place else {
            return Removal::Absent;
        };
        list.strike(place, record);
        let live = list.live();
        let short = match live {
            0 => Some(EMPTY),
            1 => list.records().next().and_then(|(_, only)| direct(only)),
            _ => None,
        };
        if let Some(value) = short {
            slot.store(value, Ordering::Release);
            self.drop_places(&mut writer, number);
            writer.retire(number, &guard);
        } else if list.is_sparse() {
            let records = list.records().map(|(_, record)| record);
            self.publish(number, records, live + live / 4, &guard);
            self.find_places(&mut writer, number, &guard);
        }
        if live == 0 { Removal::Last } else { Removal::Remaining }
    }

    fn note_place(&self, places: &mut Places, record: u64, place: u32) {
        places.places.insert(record, place);
        let more = table_bytes(&places.places).saturating_sub(places.bytes);
        places.bytes += more;
        self.bytes.fetch_add(more, Ordering::Relaxed);
    }

    /// Writes the table of places of a list that was just copied, or drops it when the list is short.
    fn find_places(&self, writer: &mut Writer, number: u32, guard: &Guard) {
        self.drop_places(writer, number);
        let list = self.list(number | LIST, guard).expect("it was just copied");
        if list.live() > SCAN_MAX {
            let mut places = HashMap::with_capacity(list.live());
            places.extend(list.records().map(|(place, record)| (record, place)));
            let bytes = table_bytes(&places);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            writer.places.insert(number, Places { places, bytes });
        }
    }

    fn drop_places(&self, writer: &mut Writer, number: u32) {
        if let Some(places) = writer.places.remove(&number) {
            self.bytes.fetch_sub(places.bytes, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// A number for a new list.
    fn number(&mut self) -> u32 {
        if self.retired.front().is_some_and(|(_, free)| free.load(Ordering::Acquire)) {
            let (number, _) = self.retired.pop_front().expect("it was just seen");
            return number;
        }
        let number = self.next;
        assert!(number < EMPTY & !LIST, "at most 2^31 - 1 lists");
        self.next += 1;
        number
    }

    /// Gives a number up. Its list stays as it is until the number is used again.
    fn retire(&mut self, number: u32, guard: &Guard) {
        let free = Arc::new(AtomicBool::new(false));
        self.retired.push_back((number, Arc::clone(&free)));
        guard.defer(move || free.store(true, Ordering::Release));
    }

    fn has(&self, number: u32, list: List<'_>, record: u64) -> bool {
        match self.places.get(&number) {
            Some(places) => places.places.contains_key(&record),
            None => list.find(record).is_some(),
        }
    }
}

/// The slot's value for a single record, if its number is small enough.
fn direct(record: u64) -> Option<u32> {
    u32::try_from(record).ok().filter(|record| record & LIST == 0)
}

/// Memory of a table of places in bytes: 16 for an entry and one for its tag, at seven eighths full.
fn table_bytes(places: &HashMap<u64, u32>) -> usize {
    places.capacity() * 17 * 8 / 7
}
