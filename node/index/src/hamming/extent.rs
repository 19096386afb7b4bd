//! One run of entries of a bucket: fingerprints first, group numbers behind them.
//!
//! ```text
//! slot                 0        1 … 31     32       33 … 63
//! fingerprints u16  | header | lanes ... | header | lanes ... |   capacity · 2 bytes, aligned to 64
//! groups       u16  | header | lanes ... | header | lanes ... |   capacity · 2 bytes
//! ```
//!
//! A *line* is 32 slots: one cache line of fingerprints. Its slot 0 is a header. An entry names the group of four
//! codes that its code stands in. Codes are numbered as they come, so the groups in a bucket ascend, on average by
//! 2^14 from one entry to the next however many codes there are: sixteen low bits are kept for each entry, the
//! high bits of the line's first group in the header, and between them every descent of the low bits is a step of
//! 2^16. Where a gap is larger, filler entries stand in between (one in fifty at a uniform load), and where groups
//! descend (places of removed codes that are used again) the line is filled up and the next one starts anew.
//! Fillers and repeats name real groups: judging one more group costs a little time and never an answer.
//!
//! That is 4.2 bytes for an entry with its share of headers and fillers, instead of 6 with plain 32-bit numbers.
//!
//! The fingerprint lanes of the first headers hold the capacity, by which readers find the group numbers.

use super::kernel::{Kernel, LINE};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU16, Ordering};

/// Capacity comes in units of so many slots: 64 bytes.
pub(crate) const UNIT_SLOTS: usize = 16;
/// Bytes of a unit.
pub(crate) const UNIT_BYTES: usize = UNIT_SLOTS * 4;
/// The lanes of a line that hold entries.
pub(crate) const ENTRY_LANES: u32 = !1;
/// More fillers than this are worth a new line instead.
const FILLERS_MAX: u32 = 8;
/// The largest gap that low bits can show.
const GAP_MAX: u32 = u16::MAX as u32;

/// The group numbers of a line.
#[derive(Clone, Copy)]
pub(crate) struct LineGroups<'a> {
    lanes: &'a [AtomicU16; LINE],
    /// Where the low bits descend. Lane 1 is the first entry and has no predecessor.
    descents: u32,
}

impl LineGroups<'_> {
    /// The group of the published entry in lane `lane`.
    #[inline(always)]
    pub(crate) fn group(&self, lane: usize) -> u32 {
        let up_to = (2u64 << lane) - 1;
        let wraps = (self.descents & up_to as u32).count_ones();
        let high = u32::from(self.lanes[0].load(Ordering::Relaxed)) + wraps;
        high << 16 | u32::from(self.lanes[lane % LINE].load(Ordering::Relaxed))
    }
}

/// An entry: the next part's bits, and the group to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) group: u32,
    pub(crate) fingerprint: u16,
}

/// Room in a book of notes.
const NOTES: usize = 256;
/// Lines scanned before the room is looked at again.
const NOTED: usize = 64;

/// A line with entries that a scan lets through.
#[derive(Clone, Copy, Debug)]
struct Note {
    extent: Extent,
    line: *const u8,
    within: u32,
}

/// What scans found, to be taken apart.
pub(crate) struct Notes {
    book: [MaybeUninit<Note>; NOTES],
    len: usize,
}

impl Notes {
    pub(crate) const fn new() -> Self {
        Self { book: [MaybeUninit::uninit(); NOTES], len: 0 }
    }

    /// Moves extent and slot of every noted entry to `slots`.
    #[inline(always)]
    pub(crate) fn drain(&mut self, slots: &mut Vec<(Extent, usize)>) {
        for note in &self.book[..self.len] {
            // SAFETY: notes below the length are written.
            let Note { extent, line, mut within } = unsafe { note.assume_init() };
            let line = line.addr().wrapping_sub(extent.start.addr()) / 64;
            // Only the last line has lanes that are not published.
            within &= extent.lanes(line);
            while within != 0 {
                slots.push((extent, line * LINE + within.trailing_zeros() as usize));
                within &= within - 1;
            }
        }
        self.len = 0;
    }
}

/// Takes a book of notes that is full. Not a closure: a closure is a function of its own that does not get the
/// instruction set of the function it stands in.
pub(crate) trait Sink {
    /// Drains the notes. Implementations are `#[inline(always)]`.
    fn take<K: Kernel>(&mut self, notes: &mut Notes);
}

/// An extent as a reader sees it: `len` slots are published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    start: *const u8,
    len: u32,
}

impl Extent {
    /// No slots at all.
    pub(crate) const EMPTY: Self = Self { start: std::ptr::null(), len: 0 };

    /// # Safety
    /// `start` is an extent's first byte, aligned to 64, in memory that lives and is not reused while this value is
    /// used, with `len` published slots; and 64 bytes behind its last unit are readable.
    #[inline(always)]
    pub(crate) unsafe fn new(start: *const u8, len: u32) -> Self {
        Self { start, len }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline(always)]
    pub(crate) fn lines(&self) -> usize {
        self.len().div_ceil(LINE)
    }

    /// The fingerprints of a line, as 64 bytes; lanes beyond the length are anything.
    #[inline(always)]
    pub(crate) fn line(&self, line: usize) -> *const u8 {
        self.start.wrapping_add(line * 64)
    }

    /// The published entry lanes of a line.
    #[inline(always)]
    pub(crate) fn lanes(&self, line: usize) -> u32 {
        let left = self.len() - line * LINE;
        ENTRY_LANES & if left >= LINE { u32::MAX } else { (1u32 << left) - 1 }
    }

    /// Notes every line that has a fingerprint within `T` bits.
    ///
    /// Nothing else happens here: this loop runs 1,500 times a query at ten million codes, and what is noted is taken
    /// apart later, many notes at a time. A full book of notes is given to `sink` on the way.
    #[inline(always)]
    pub(crate) fn scan<K: Kernel, const T: u32>(
        &self,
        fingerprint: u16,
        notes: &mut Notes,
        sink: &mut impl Sink,
    ) {
        let mut left = self.len();
        let mut line = self.start;
        while left > 0 {
            if notes.len > NOTES - NOTED {
                sink.take::<K>(notes);
            }
            for _ in 0..NOTED {
                // SAFETY: a line of an extent is readable: what follows the fingerprints of a short one are its groups.
                let within = unsafe { K::line_within::<T>(line, fingerprint) } & ENTRY_LANES;
                if within != 0 {
                    // SAFETY: there is room for as many notes as this loop makes.
                    let note = unsafe { notes.book.get_unchecked_mut(notes.len) };
                    note.write(Note { extent: *self, line, within });
                    notes.len += 1;
                }
                line = line.wrapping_add(64);
                if left <= LINE {
                    return;
                }
                left -= LINE;
            }
            left = self.len() - line.addr().wrapping_sub(self.start.addr()) / 2;
        }
    }

    /// Where the group number of a slot stands; for prefetching.
    #[inline(always)]
    pub(crate) fn group_address(&self, slot: usize) -> *const u8 {
        self.groups().wrapping_add(slot * 2)
    }

    /// The group of a published entry.
    #[inline(always)]
    pub(crate) fn group<K: Kernel>(&self, slot: usize) -> u32 {
        self.line_groups::<K>(slot / LINE).group(slot % LINE)
    }

    /// The groups of a line, of which only those of published entries may be asked for.
    #[inline(always)]
    pub(crate) fn line_groups<K: Kernel>(&self, line: usize) -> LineGroups<'_> {
        let start = self.group_address(line * LINE);
        // SAFETY: the line has published slots, so its groups lie in the extent; fingerprints stand before them, and
        // a short last line reads into what follows the extent, which the constructor's caller promised.
        unsafe { LineGroups { lanes: &*start.cast(), descents: K::descents(start) & !0b11 } }
    }

    /// All entries, in order, fillers and repeats included.
    pub(crate) fn entries<K: Kernel>(&self) -> impl Iterator<Item = Entry> {
        (0..self.len()).filter(|slot| slot % LINE != 0).map(|slot| Entry {
            group: self.group::<K>(slot),
            fingerprint: self.lane(self.start, slot).load(Ordering::Relaxed),
        })
    }

    /// Capacity in units, as the headers say.
    pub(crate) fn units(&self) -> usize {
        capacity_units(self.start)
    }

    /// Whether there is no room behind the last slot. Not for an empty one.
    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.units() * UNIT_SLOTS
    }

    #[inline(always)]
    fn groups(&self) -> *const u8 {
        self.start.wrapping_add(capacity_units(self.start) * UNIT_SLOTS * 2)
    }

    #[inline(always)]
    fn lane(&self, area: *const u8, slot: usize) -> &AtomicU16 {
        // SAFETY: slots of an extent are initialised memory, shared with the writer through atomics only.
        unsafe { &*area.wrapping_add(slot * 2).cast() }
    }
}

/// Reads the capacity from the headers: 16 bits in the first; if those are all ones, 32 bits in the next two.
#[inline(always)]
fn capacity_units(start: *const u8) -> usize {
    // SAFETY: an extent has at least one unit, and one with the long form more than a hundred thousand.
    let header = |line: usize| unsafe { &*start.wrapping_add(line * 64).cast::<AtomicU16>() };
    match header(0).load(Ordering::Relaxed) {
        u16::MAX => {
            let (low, high) = (header(1).load(Ordering::Relaxed), header(2).load(Ordering::Relaxed));
            usize::from(low) | usize::from(high) << 16
        }
        units => usize::from(units),
    }
}

/// The capacity that headers say, or nothing where the long form would reach beyond `units` units.
///
/// # Safety
/// `units` units are readable at `start`.
pub(crate) unsafe fn capacity_units_within(start: *const u8, units: usize) -> Option<usize> {
    // SAFETY: the first header lies in the first unit.
    let first = unsafe { &*start.cast::<AtomicU16>() };
    let long = first.load(Ordering::Relaxed) == u16::MAX;
    (!long || units >= usize::from(u16::MAX)).then(|| capacity_units(start))
}

/// An extent in the hands of the one writer. What it puts beyond the published length is invisible until the
/// owner publishes the new length with release ordering.
#[derive(Debug)]
pub(crate) struct ExtentMut {
    start: *mut u8,
    units: usize,
    len: usize,
}

impl ExtentMut {
    /// Writes the headers of a new, empty extent.
    ///
    /// # Safety
    /// `units` units at `start`, aligned to 64, are this writer's alone, now and while the value is used.
    pub(crate) unsafe fn create(start: *mut u8, units: usize) -> Self {
        let extent = Self { start, units, len: 0 };
        // Later headers stay zero unless they are needed.
        for header in (0..units * UNIT_SLOTS).step_by(LINE) {
            extent.fingerprint(header).store(0, Ordering::Relaxed);
        }
        if units < usize::from(u16::MAX) {
            extent.fingerprint(0).store(units as u16, Ordering::Relaxed);
        } else {
            extent.fingerprint(0).store(u16::MAX, Ordering::Relaxed);
            extent.fingerprint(LINE).store(units as u16, Ordering::Relaxed);
            extent.fingerprint(2 * LINE).store((units >> 16) as u16, Ordering::Relaxed);
        }
        extent
    }

    /// Takes up an extent again that was created before.
    ///
    /// # Safety
    /// As for [`Self::create`], except that readers may read the `len` published slots.
    pub(crate) unsafe fn resume(start: *mut u8, len: u32) -> Self {
        Self { start, units: capacity_units(start), len: len as usize }
    }

    /// Slots written, published or not.
    pub(crate) fn len(&self) -> u32 {
        self.len as u32
    }

    pub(crate) fn units(&self) -> usize {
        self.units
    }

    /// Copies all slots of `from`, which has the lower capacity, into this empty extent.
    pub(crate) fn copy_slots(&mut self, from: &Extent) {
        debug_assert!(self.len == 0 && from.units() <= self.units);
        for slot in 0..from.len() {
            if slot % LINE != 0 {
                let fingerprint = from.lane(from.start, slot).load(Ordering::Relaxed);
                self.fingerprint(slot).store(fingerprint, Ordering::Relaxed);
            }
            let group = from.lane(from.groups(), slot).load(Ordering::Relaxed);
            self.group_lane(slot).store(group, Ordering::Relaxed);
        }
        self.len = from.len();
    }

    /// Puts an entry behind the others; false if there is no room, and then nothing counts as written.
    #[inline(always)]
    pub(crate) fn push<K: Kernel>(&mut self, entry: Entry) -> bool {
        let before = self.len;
        let pushed = self.try_push::<K>(entry);
        if !pushed {
            self.len = before;
        }
        pushed
    }

    #[inline(always)]
    fn try_push<K: Kernel>(&mut self, entry: Entry) -> bool {
        // Said first, because a full main is common and its last group need not be fetched then.
        if !self.has_room(1) {
            return false;
        }
        loop {
            if self.len.is_multiple_of(LINE) {
                if !self.has_room(2) {
                    return false;
                }
                self.group_lane(self.len).store((entry.group >> 16) as u16, Ordering::Relaxed);
                self.len += 1;
                self.put(entry);
                return true;
            }
            // SAFETY: the slots below `len` are written, and this writer sees its own writes.
            let last = unsafe { Extent::new(self.start, self.len()) }.group::<K>(self.len - 1);
            let filler = Entry { fingerprint: entry.fingerprint, group: last };
            if entry.group < last || (entry.group - last) / GAP_MAX > FILLERS_MAX {
                let end = self.len.next_multiple_of(LINE);
                if end > self.units * UNIT_SLOTS {
                    return false;
                }
                while self.len < end {
                    self.put(filler);
                }
            } else if !self.has_room(1) {
                return false;
            } else if entry.group - last > GAP_MAX {
                self.put(Entry { group: last + GAP_MAX, ..filler });
            } else {
                self.put(entry);
                return true;
            }
        }
    }

    /// Zeroes what is behind the last slot, so that equal entries give equal bytes.
    pub(crate) fn blank_rest(&mut self) {
        let end = self.units * UNIT_SLOTS;
        for slot in self.len..end {
            if slot % LINE != 0 {
                self.fingerprint(slot).store(0, Ordering::Relaxed);
            }
            self.group_lane(slot).store(0, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    fn has_room(&self, slots: usize) -> bool {
        self.len + slots <= self.units * UNIT_SLOTS
    }

    #[inline(always)]
    fn put(&mut self, entry: Entry) {
        self.fingerprint(self.len).store(entry.fingerprint, Ordering::Relaxed);
        self.group_lane(self.len).store(entry.group as u16, Ordering::Relaxed);
        self.len += 1;
    }

    #[inline(always)]
    fn fingerprint(&self, slot: usize) -> &AtomicU16 {
        debug_assert!(slot < self.units * UNIT_SLOTS);
        // SAFETY: inside the extent, which is this writer's to write; readers use atomics or mask the lane.
        unsafe { &*self.start.add(slot * 2).cast() }
    }

    #[inline(always)]
    fn group_lane(&self, slot: usize) -> &AtomicU16 {
        debug_assert!(slot < self.units * UNIT_SLOTS);
        // SAFETY: as above; the groups follow the fingerprints.
        unsafe { &*self.start.add((self.units * UNIT_SLOTS + slot) * 2).cast() }
    }
}

/// Units that hold these entries in this order, without slack.
pub(crate) fn units_for(entries: &[Entry]) -> usize {
    let (mut len, mut last) = (0usize, 0u32);
    for entry in entries {
        if !len.is_multiple_of(LINE) {
            let gap = entry.group.wrapping_sub(last);
            if entry.group < last || gap / GAP_MAX > FILLERS_MAX {
                len = len.next_multiple_of(LINE);
            } else {
                // Fillers never cross into a new line without its header being counted below.
                let mut left = gap;
                while left > GAP_MAX && !len.is_multiple_of(LINE) {
                    left -= GAP_MAX;
                    len += 1;
                }
            }
        }
        len += if len.is_multiple_of(LINE) { 2 } else { 1 };
        last = entry.group;
    }
    len.div_ceil(UNIT_SLOTS).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Scalar;
    use super::super::memory::Region;
    use super::*;
    use crate::random::Random;

    /// Groups in an order that ascends, repeats, jumps and falls back.
    fn groups(random: &mut Random, count: usize) -> Vec<Entry> {
        let mut group = 0u32;
        let step = |random: &mut Random| match random.below(20) {
            0 => random.below(1 << 22) as u32,
            1 => 0,
            2 => GAP_MAX + random.below(3) as u32 - 1,
            _ => random.below(1 << 15) as u32,
        };
        (0..count)
            .map(|_| {
                group = if random.below(40) == 0 { group / 3 } else { group + step(random) };
                Entry { group, fingerprint: random.next() as u16 }
            })
            .collect()
    }

    #[test]
    fn every_entry_comes_back_and_the_units_are_exact() {
        let mut random = Random::from_seed([9; 32]);
        for round in 0..300 {
            let entries = groups(&mut random, 1 + round % 150);
            let units = units_for(&entries);
            let region = Region::zeroed((units + 1) * UNIT_BYTES);
            // SAFETY: the region is this test's, has a unit to spare behind, and outlives both.
            let mut extent = unsafe { ExtentMut::create(region.start(), units) };
            for entry in &entries {
                assert!(extent.push::<Scalar>(*entry), "round {round}: {units} units are enough");
            }
            assert!(extent.len() as usize > (units - 1) * UNIT_SLOTS, "and not too many");
            // SAFETY: as above.
            let read = unsafe { Extent::new(region.start(), extent.len()) };
            let mut back = read.entries::<Scalar>();
            for entry in &entries {
                assert!(back.any(|read| read == *entry), "round {round}: {entry:?} in order");
            }
            assert_eq!(read.units(), units);
        }
    }

    #[test]
    fn a_full_extent_takes_nothing_and_loses_nothing() {
        let region = Region::zeroed(2 * UNIT_BYTES);
        // SAFETY: the region is this test's and outlives the extent.
        let mut extent = unsafe { ExtentMut::create(region.start(), 1) };
        let mut held = 0;
        while extent.push::<Scalar>(Entry { group: held, fingerprint: 5 }) {
            held += 1;
        }
        assert_eq!(held, 15);
        assert!(!extent.push::<Scalar>(Entry { group: 0, fingerprint: 5 }), "no room for a new line either");
        assert_eq!(extent.len(), 16);
    }

    #[test]
    fn a_huge_extent_says_its_capacity() {
        let units = usize::from(u16::MAX) + 7;
        let region = Region::zeroed((units + 1) * UNIT_BYTES);
        // SAFETY: the region is this test's and outlives the extent.
        unsafe { ExtentMut::create(region.start(), units) };
        assert_eq!(capacity_units(region.start()), units);
    }
}
