//! The Hamming side in a snapshot.
//!
//! | section | blocks |
//! |---|---|
//! | [`CODES`] | groups of codes as they stand in memory, up to 8,192 a block |
//! | [`SLOTS`] | a u32 for each of the same codes: empty, a record below 2^31, or 2^31 + n for list n |
//! | [`LISTS`] | for each list in turn: number of records u64, records u64 |
//! | [`LENGTHS`] + t | one block: slots of each bucket of table t, u32 |
//! | [`EXTENTS`] + t | the extents of its buckets in order, without slack, up to a segment a block |
//!
//! While a snapshot is written the writer puts new values behind `end` and uses no place again, so what
//! stood at the start is complete in every table; what is behind `end` is left out. Removals may or may not be in.

use super::codes::GROUP;
use super::extent::{Entry, ExtentMut, UNIT_BYTES, UNIT_SLOTS, units_for};
use super::kernel::{Kernel, WithKernel, dispatch};
use super::memory::{HUGE_PAGE_BYTES, Region};
use super::permutation::PARTS;
use super::tables::BUCKETS;
use super::{Hamming, HammingWriter};
use crate::posting::EMPTY;
use crate::snapshot::{Block, BlockReader, BlockWriter, HAMMING, SnapshotError};
use std::sync::atomic::{AtomicUsize, Ordering};

const CODES: u8 = HAMMING;
const SLOTS: u8 = HAMMING + 1;
const LISTS: u8 = HAMMING + 2;
const LENGTHS: u8 = HAMMING + 16;
const EXTENTS: u8 = HAMMING + 32;

/// Groups in a block of codes: 1 MiB.
const BLOCK_GROUPS: u32 = 8192;
/// Marks a list in a slot; the rest is its number.
const LIST: u32 = 1 << 31;
/// Units in a block of extents; a larger bucket has a block of its own.
const BLOCK_UNITS: usize = HUGE_PAGE_BYTES / UNIT_BYTES - 1;

impl Hamming {
    /// Writes codes below `end` and their entries.
    pub(crate) fn save(&self, end: u32, out: &mut BlockWriter) -> Result<(), SnapshotError> {
        let (mut lists, mut list_bytes) = (0u32, Vec::new());
        for first in (0..end.div_ceil(GROUP)).step_by(BLOCK_GROUPS as usize) {
            let last = (first + BLOCK_GROUPS).min(end.div_ceil(GROUP));
            let (mut words, mut slots) = (Vec::new(), Vec::new());
            let guard = crossbeam_epoch::pin();
            for group in first..last {
                let mut codes = [[0; GROUP as usize]; 4];
                for lane in 0..GROUP {
                    let number = group * GROUP + lane;
                    let slot =
                        if number < end { self.codes.slot(number).load(Ordering::Acquire) } else { EMPTY };
                    let (mut records, mut saved) = (Vec::new(), EMPTY);
                    if slot != EMPTY {
                        self.lists.read(slot, &guard, |record| records.push(record));
                    }
                    match records[..] {
                        [] => {}
                        [record] if record < u64::from(LIST) => saved = record as u32,
                        _ => {
                            saved = LIST | lists;
                            lists += 1;
                            list_bytes.extend((records.len() as u64).to_le_bytes());
                            list_bytes.extend(records.iter().flat_map(|record| record.to_le_bytes()));
                        }
                    }
                    slots.extend(saved.to_le_bytes());
                    // A dead place keeps its words: its entries are still in the tables.
                    let code = self.codes.code(number.min(end - 1));
                    for (words, word) in codes.iter_mut().zip(code) {
                        words[lane as usize] = word;
                    }
                }
                words.extend(codes.iter().flatten().flat_map(|word| word.to_le_bytes()));
            }
            drop(guard);
            out.block(CODES, &words)?;
            out.block(SLOTS, &slots)?;
        }
        out.block(LISTS, &list_bytes)?;
        if self.ready.load(Ordering::Acquire) {
            for table in 0..PARTS {
                dispatch(self.instructions, SaveTable { hamming: self, table, end, out: &mut *out })?;
            }
        }
        Ok(())
    }

    /// Reads codes and slots into this empty index and returns its writer; look-ups may start after it.
    pub(crate) fn load_codes(&self, end: u32, reader: &BlockReader) -> Result<HammingWriter, SnapshotError> {
        let groups = end.div_ceil(GROUP);
        let (codes, slots) = (reader.section(CODES), reader.section(SLOTS));
        let expected = groups.div_ceil(BLOCK_GROUPS) as usize;
        if codes.len() != expected || slots.len() != expected || end > 1 << 30 {
            return Err(SnapshotError::content(format!("{end} codes in {} blocks", codes.len())));
        }
        for number in (0..end).step_by((BLOCK_GROUPS * GROUP) as usize) {
            self.codes.reserve(number);
        }
        in_parallel(expected, |at| {
            let first = at as u32 * BLOCK_GROUPS;
            let count = BLOCK_GROUPS.min(groups - first) as usize;
            if codes[at].length != count * 128 || slots[at].length != count * 16 {
                return Err(SnapshotError::content(format!("block {at} of the codes has an odd length")));
            }
            // SAFETY: the groups of a block lie in one reserved segment, and nobody else has this index yet; no two
            // threads have the same block.
            let place =
                unsafe { std::slice::from_raw_parts_mut(self.codes.front(first).cast_mut(), count * 128) };
            reader.read_into(&codes[at], place)
        })?;
        let lists = self.read_lists(reader)?;
        let mut next_list = 0;
        let mut writer = HammingWriter::new();
        let (mut values, mut postings, mut number) = (0u64, 0u64, 0u32);
        for block in &slots {
            for saved in reader.read(block)?.chunks_exact(4) {
                let saved = u32::from_le_bytes(saved.try_into().expect("four bytes"));
                let records: &[u64] = match saved {
                    EMPTY => &[],
                    list if list & LIST != 0 => {
                        let expected = LIST | next_list;
                        let records = lists.get(next_list as usize).filter(|_| list == expected);
                        next_list += 1;
                        records.ok_or_else(|| SnapshotError::content(format!("code {number} has no list")))?
                    }
                    record => &[u64::from(record)],
                };
                if number >= end && !records.is_empty() {
                    return Err(SnapshotError::content("a record behind the last code"));
                }
                for record in records {
                    if !self.lists.insert(self.codes.slot(number), *record) {
                        return Err(SnapshotError::content(format!("code {number} has a record twice")));
                    }
                }
                if records.is_empty() && number < end {
                    writer.bury(number);
                }
                values += u64::from(!records.is_empty());
                postings += records.len() as u64;
                number += 1;
            }
        }
        if next_list as usize != lists.len() {
            return Err(SnapshotError::content("lists that no code has"));
        }
        self.values.store(values, Ordering::Relaxed);
        self.postings.store(postings, Ordering::Relaxed);
        self.codes.set_end(end);
        Ok(writer)
    }

    fn read_lists(&self, reader: &BlockReader) -> Result<Vec<Vec<u64>>, SnapshotError> {
        let mut lists = Vec::new();
        for block in reader.section(LISTS) {
            let bytes = reader.read(&block)?;
            let mut words =
                bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight")));
            while let Some(count) = words.next() {
                let list: Vec<u64> =
                    words.by_ref().take(usize::try_from(count).unwrap_or(usize::MAX)).collect();
                if list.len() as u64 != count || list.is_empty() {
                    return Err(SnapshotError::content("a list that ends early"));
                }
                lists.push(list);
            }
        }
        Ok(lists)
    }
}

/// Writes one table, without slack.
struct SaveTable<'a> {
    hamming: &'a Hamming,
    table: usize,
    end: u32,
    out: &'a mut BlockWriter,
}

impl WithKernel for SaveTable<'_> {
    type Output = Result<(), SnapshotError>;

    #[inline(always)]
    fn with<K: Kernel>(self) -> Self::Output {
        let Self { hamming, table, end, out } = self;
        let section = EXTENTS + table as u8;
        let (mut lengths, mut block): (Vec<u8>, Vec<u8>) = (Vec::with_capacity(4 * BUCKETS), Vec::new());
        let mut scratch = Region::zeroed(HUGE_PAGE_BYTES);
        let mut scratch_units = BLOCK_UNITS;
        let mut entries: Vec<Entry> = Vec::new();
        for key in 0..=u16::MAX {
            entries.clear();
            {
                let guard = crossbeam_epoch::pin();
                let view = hamming.tables.view(table, key, &guard);
                entries.extend(view.main.entries::<K>().chain(view.overflow.entries::<K>()));
            }
            entries.retain(|entry| entry.group < end.div_ceil(GROUP));
            entries.sort_unstable();
            entries.dedup();
            if entries.is_empty() {
                lengths.extend([0; 4]);
                continue;
            }
            let units = units_for(&entries);
            if units > scratch_units {
                scratch = Region::zeroed((units + 1) * UNIT_BYTES);
                scratch_units = units;
            }
            // SAFETY: the scratch memory is ours, large enough with a unit to spare, and outlives the extent.
            let mut extent = unsafe { ExtentMut::create(scratch.start(), units) };
            for entry in &entries {
                assert!(extent.push::<K>(*entry), "the units were counted for these entries");
            }
            extent.blank_rest();
            if !block.is_empty() && block.len() / UNIT_BYTES + units > BLOCK_UNITS {
                out.block(section, &block)?;
                block.clear();
            }
            lengths.extend(extent.len().to_le_bytes());
            // SAFETY: `units` units of scratch memory are initialised.
            block.extend(unsafe { std::slice::from_raw_parts(scratch.start(), units * UNIT_BYTES) });
        }
        out.block(section, &block)?;
        out.block(LENGTHS + table as u8, &lengths)
    }
}

impl HammingWriter {
    /// Reads the tables, or builds them when the file has none, or when what it has is not right.
    pub(crate) fn load_tables(
        &mut self,
        shared: &Hamming,
        reader: &BlockReader,
    ) -> Result<(), SnapshotError> {
        let outcome = (0..PARTS).try_for_each(|table| self.load_table(shared, reader, table));
        match outcome {
            Ok(()) if !reader.section(LENGTHS).is_empty() => {
                shared.ready.store(true, Ordering::Release);
                Ok(())
            }
            outcome => {
                self.rebuild(shared);
                outcome
            }
        }
    }

    fn load_table(
        &mut self,
        shared: &Hamming,
        reader: &BlockReader,
        table: usize,
    ) -> Result<(), SnapshotError> {
        let wrong = |what: &str| SnapshotError::content(format!("table {table}: {what}"));
        let lengths = match reader.section(LENGTHS + table as u8)[..] {
            [] if table == 0 || reader.section(LENGTHS).is_empty() => return Ok(()),
            [block] if block.length == 4 * BUCKETS => reader.read(&block)?,
            _ => return Err(wrong("not one length for each bucket")),
        };
        let lengths: Vec<u32> =
            lengths.chunks_exact(4).map(|len| u32::from_le_bytes(len.try_into().expect("four"))).collect();
        let units = |len: u32| (len as usize).div_ceil(UNIT_SLOTS);
        // Which buckets are in which block, and where they go.
        let (mut key, mut jobs) = (0, Vec::new());
        for block in reader.section(EXTENTS + table as u8) {
            let block_units = block.length / UNIT_BYTES;
            if block_units == 0 {
                continue;
            }
            let (first, mut left) = (key, block_units);
            while key < BUCKETS && units(lengths[key]) <= left {
                left -= units(lengths[key]);
                key += 1;
            }
            if left != 0 || block.length % UNIT_BYTES != 0 {
                return Err(wrong("a block that its buckets do not fill"));
            }
            jobs.push((block, self.tables.allocate(&shared.tables, table, block_units), first..key));
        }
        self.tables.allocated(table);
        if lengths[key..].iter().any(|len| *len != 0) {
            return Err(wrong("buckets without a block"));
        }
        in_parallel(jobs.len(), |at| {
            let (block, place, keys) = &jobs[at];
            // SAFETY: freshly allocated units that no other job has and no reader knows yet.
            let bytes = unsafe { std::slice::from_raw_parts_mut(place.start, block.length) };
            read_extents(reader, block, bytes, &lengths[keys.clone()]).map_err(|error| match error {
                SnapshotError::Content(what) => wrong(&what),
                other => other,
            })
        })?;
        for (_, place, keys) in jobs {
            let mut unit = place.unit;
            for key in keys {
                let len = lengths[key];
                if len > 0 {
                    self.tables.publish(&shared.tables, table, key as u16, unit, len);
                }
                unit += units(len) as u32;
            }
        }
        Ok(())
    }
}

/// Reads a block and compares each extent's capacity with its length.
fn read_extents(
    reader: &BlockReader,
    block: &Block,
    bytes: &mut [u8],
    lengths: &[u32],
) -> Result<(), SnapshotError> {
    reader.read_into(block, bytes)?;
    let mut start = bytes.as_ptr();
    for &len in lengths.iter().filter(|len| **len > 0) {
        let units = (len as usize).div_ceil(UNIT_SLOTS);
        // SAFETY: the lengths fill the block, so every extent starts in it with its first unit.
        if len == 1 || unsafe { super::extent::capacity_units_within(start, units) } != Some(units) {
            return Err(SnapshotError::content(format!("an extent of {len} slots with another capacity")));
        }
        start = start.wrapping_add(units * UNIT_BYTES);
    }
    Ok(())
}

/// Does jobs 0 to `count` on all cores; the first error stops them.
fn in_parallel(
    count: usize,
    job: impl Fn(usize) -> Result<(), SnapshotError> + Sync,
) -> Result<(), SnapshotError> {
    let next = AtomicUsize::new(0);
    let work = || loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= count {
            return Ok(());
        }
        if let Err(error) = job(at) {
            next.store(count, Ordering::Relaxed);
            return Err(error);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("loading does not panic"))
    })
}
