//! Sixteen tables, one for each part: from the part's bits to the groups of the codes that have them.
//!
//! A bucket is at most two extents: *main*, written by the last pass over its table, and *overflow*, which grows by
//! relocation into the next larger class. The directory holds one word for each of them, offset and length, so
//! that a reader learns both at once: first the words of all mains, then those of all overflows, which few readers
//! touch. A main's word says whether there is overflow. A reader that saw so reads the overflow's word and then
//! main's again: whoever moves entries from overflow to main publishes main first, so if main is still the same,
//! both words belong together.
//!
//! Extents lie in segments of 2 MiB; what a table leaves of its last one when a pass ends goes to the next table that
//! needs room. When a table's overflow has grown to half of its
//! main part, a *pass* rewrites it bucket by bucket into new segments, drops what was removed, and
//! gives the old segments back once no reader can be in them. A pass advances in slices inside the writer's
//! calls; nobody waits for it.

use super::extent::{Entry, Extent, ExtentMut, UNIT_BYTES, units_for};
use super::kernel::Kernel;
use super::memory::{HUGE_PAGE_BYTES, Region, Segments};
use super::permutation::PARTS;
use super::probe::prefetch;
use crossbeam_epoch::Guard;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Buckets in a table.
pub(crate) const BUCKETS: usize = 1 << 16;
/// Units in a segment.
const SEGMENT_UNITS: usize = HUGE_PAGE_BYTES / UNIT_BYTES;
/// The last unit of a segment stays empty, because a vector load may read 64 bytes behind an extent.
const SEGMENT_UNITS_USED: usize = SEGMENT_UNITS - 1;
/// Where the words of overflows start in the directory, after those of mains.
const OVERFLOW_WORDS: usize = PARTS * BUCKETS;
/// Two words a bucket.
const DIRECTORY_BYTES: usize = 2 * OVERFLOW_WORDS * size_of::<u64>();
/// 256 GiB of extents.
const SEGMENTS_MAX: usize = 1 << 17;
/// A pass is not worth it below so many slots of overflow in a table: about sixteen a bucket.
const PASS_OVERFLOW_MIN: u64 = 16 * BUCKETS as u64;
/// Extents of up to so many units are used again; larger ones wait for the pass.
const RECYCLED_UNITS_MAX: usize = 128;
/// Retired extents handed to the collector at a time.
const RETIRED_BATCH: usize = 64;

/// A bucket's word in the directory: where an extent starts, in units, and how many slots are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    unit: u32,
    len: u32,
}

/// In the word of a main: there is overflow.
const OVERFLOWS: u64 = 1 << 31;

impl Place {
    const NONE: Self = Self { unit: 0, len: 0 };

    #[inline(always)]
    const fn read(word: u64) -> Self {
        Self { unit: (word >> 32) as u32, len: (word & !OVERFLOWS) as u32 }
    }

    const fn word(self) -> u64 {
        (self.unit as u64) << 32 | self.len as u64
    }
}

/// What readers share.
#[derive(Debug)]
pub(crate) struct Tables {
    directory: Region,
    segments: Arc<Segments>,
}

/// A bucket's extents as published at one moment. Empty ones have no slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BucketView {
    pub(crate) overflow: Extent,
    pub(crate) main: Extent,
}

impl BucketView {
    pub(crate) const EMPTY: Self = Self { overflow: Extent::EMPTY, main: Extent::EMPTY };

    pub(crate) fn slots(&self) -> usize {
        self.overflow.len() + self.main.len()
    }

    /// The extent that the next entry would go to, if there is one.
    #[inline(always)]
    pub(crate) fn last(&self) -> Option<&Extent> {
        [&self.overflow, &self.main].into_iter().find(|extent| extent.len() > 0)
    }
}

impl Tables {
    pub(crate) fn new() -> Self {
        Self {
            directory: Region::zeroed(DIRECTORY_BYTES),
            segments: Arc::new(Segments::new(HUGE_PAGE_BYTES, SEGMENTS_MAX)),
        }
    }

    /// Bytes asked from the system.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.segments.held_bytes() + DIRECTORY_BYTES as u64
    }

    /// The word of a bucket's main; the overflow's is [`OVERFLOW_WORDS`] words further.
    #[inline(always)]
    fn main(&self, table: usize, key: u16) -> &AtomicU64 {
        self.word(table * BUCKETS + usize::from(key))
    }

    #[inline(always)]
    fn overflow(&self, table: usize, key: u16) -> &AtomicU64 {
        self.word(OVERFLOW_WORDS + table * BUCKETS + usize::from(key))
    }

    #[inline(always)]
    fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at < DIRECTORY_BYTES / 8);
        // SAFETY: `table` is below PARTS, so the word lies in the directory, whose zeroed words are valid atomics.
        unsafe { &*self.directory.start().cast::<AtomicU64>().add(at) }
    }

    /// Where a bucket's directory entry stands; for prefetching.
    #[inline(always)]
    pub(crate) fn address(&self, table: usize, key: u16) -> *const u8 {
        std::ptr::from_ref(self.main(table, key)).cast()
    }

    /// Where the word of a bucket's overflow stands, which readers rarely and the writer often wants.
    #[inline(always)]
    pub(crate) fn overflow_address(&self, table: usize, key: u16) -> *const u8 {
        std::ptr::from_ref(self.overflow(table, key)).cast()
    }

    /// A bucket as it is published now. Asks again only if a pass moved the bucket in the meantime.
    #[inline(always)]
    pub(crate) fn view<'g>(&'g self, table: usize, key: u16, _guard: &'g Guard) -> BucketView {
        let word = self.main(table, key);
        let mut main = word.load(Ordering::Acquire);
        let mut overflow = Extent::EMPTY;
        while main & OVERFLOWS != 0 {
            overflow = self.extent(Place::read(self.overflow(table, key).load(Ordering::Acquire)));
            let again = word.load(Ordering::Acquire);
            if again == main {
                break;
            }
            (main, overflow) = (again, Extent::EMPTY);
        }
        BucketView { overflow, main: self.extent(Place::read(main)) }
    }

    #[inline(always)]
    fn extent(&self, place: Place) -> Extent {
        // SAFETY: the writer published this place with release ordering after the slots were written; extents are
        // used again only after every guard of now is dropped; the last unit of a segment is never used.
        unsafe { Extent::new(self.start(place.unit), place.len) }
    }

    #[inline(always)]
    fn start(&self, unit: u32) -> *mut u8 {
        let (segment, unit) = (unit as usize / SEGMENT_UNITS, unit as usize % SEGMENT_UNITS);
        self.segments.address(segment).wrapping_add(unit * UNIT_BYTES)
    }
}

/// What the writer knows beyond the directory.
#[derive(Debug)]
pub(crate) struct TablesWriter {
    tables: [TableWriter; PARTS],
    pool: Arc<Mutex<Pool>>,
}

/// Segments that no table has, whose memory is with the system, and how many have each of the others.
#[derive(Debug, Default)]
struct Pool {
    free: Vec<u32>,
    next: u32,
    /// Units that a table did not need of a segment; counts as an owner of it.
    rest: Option<Range<u32>>,
    owners: Vec<u8>,
}

impl Pool {
    /// Takes what was left, if it is enough; the caller becomes an owner of its segment.
    fn take_rest(&mut self, units: usize) -> Option<Range<u32>> {
        self.rest.take_if(|rest| rest.len() >= units)
    }

    /// Keeps what a table does not need, if there is more of it than is kept already.
    fn leave(&mut self, rest: Range<u32>) {
        if rest.len() <= self.rest.as_ref().map_or(0, ExactSizeIterator::len) {
            return;
        }
        self.owners[segment_of(rest.start)] += 1;
        if let Some(before) = self.rest.replace(rest) {
            // Not the last: the table that left it has extents there.
            self.owners[segment_of(before.start)] -= 1;
        }
    }

    /// Gives up what a table had; no reader can be there any more.
    fn give_up(&mut self, given: Vec<u32>, segments: &Segments) {
        for segment in given {
            let owners = &mut self.owners[segment as usize];
            *owners -= 1;
            if *owners == 0 {
                segments.release(segment as usize);
                self.free.push(segment);
            }
        }
    }
}

/// The segment of a unit.
fn segment_of(unit: u32) -> usize {
    unit as usize / SEGMENT_UNITS
}

#[derive(Debug, Default)]
struct TableWriter {
    /// Next free unit and the end of what may be used of its segment.
    bump: u32,
    bump_end: u32,
    segments: Vec<u32>,
    /// Counts passes; an extent retired before a pass must not be used after it.
    generation: u64,
    recycled: Recycled,
    /// Retired extents on their way back through the collector.
    returned: Arc<Returned>,
    retired: Vec<(u32, usize)>,
    main_slots: u64,
    overflow_slots: u64,
    pass: Option<Pass>,
}

/// Extents that can be used again, by units.
#[derive(Debug, Default)]
struct Recycled {
    by_units: Vec<Vec<u32>>,
}

/// Extents that no reader can be in any more, for the writer to take.
#[derive(Debug, Default)]
struct Returned {
    /// There are some: the writer asks with every new extent, and a lock would cost more than all else there.
    any: AtomicBool,
    batches: Mutex<Vec<RetiredBatch>>,
}

/// Extents, and the table's generation when they were retired.
#[derive(Debug)]
struct RetiredBatch {
    generation: u64,
    extents: Vec<(u32, usize)>,
}

/// A pass under way: buckets below `next` are moved.
#[derive(Debug)]
struct Pass {
    next: u32,
    old_segments: Vec<u32>,
}

impl TablesWriter {
    pub(crate) fn new() -> Self {
        Self { tables: Default::default(), pool: Arc::default() }
    }

    /// Adds an entry to a bucket and publishes it.
    #[inline(always)]
    pub(crate) fn append<K: Kernel>(
        &mut self,
        shared: &Tables,
        table: usize,
        key: u16,
        entry: Entry,
        guard: &Guard,
    ) {
        let word = shared.main(table, key).load(Ordering::Relaxed);
        let main = Place::read(word);
        let overflow = match word & OVERFLOWS {
            0 => Place::NONE,
            _ => Place::read(shared.overflow(table, key).load(Ordering::Relaxed)),
        };
        let writer = &mut self.tables[table];
        if overflow.len == 0 {
            let mut extent = match main.len {
                0 => writer.create(shared, &self.pool, 1),
                // SAFETY: the bucket's own extent; this is the only writer.
                _ => (main.unit, unsafe { ExtentMut::resume(shared.start(main.unit), main.len) }),
            };
            if extent.1.push::<K>(entry) {
                writer.main_slots += u64::from(extent.1.len() - main.len);
                let place = Place { unit: extent.0, len: extent.1.len() };
                shared.main(table, key).store(place.word(), Ordering::Release);
                return;
            }
        }
        let mut extent = match overflow.len {
            0 => writer.create(shared, &self.pool, 1),
            // SAFETY: as above.
            _ => (overflow.unit, unsafe { ExtentMut::resume(shared.start(overflow.unit), overflow.len) }),
        };
        // A jump in the groups may need more than the growth by an eighth: then once more.
        while !extent.1.push::<K>(entry) {
            let outgrown = (extent.0, extent.1.units());
            extent = writer.create(shared, &self.pool, outgrown.1 + 1 + outgrown.1 / 8);
            extent.1.copy_slots(&shared.extent(overflow));
            writer.retire(outgrown, guard);
        }
        let place = Place { unit: extent.0, len: extent.1.len() };
        shared.overflow(table, key).store(place.word(), Ordering::Release);
        if overflow.len == 0 {
            shared.main(table, key).store(word | OVERFLOWS, Ordering::Release);
        }
        writer.overflow_slots += u64::from(extent.1.len() - overflow.len);
    }

    /// Whether a table is worth a pass.
    pub(crate) fn wants_pass(&self) -> bool {
        self.tables.iter().any(TableWriter::wants_pass)
    }

    /// Starts a pass over every table that has none.
    pub(crate) fn start_passes(&mut self) {
        for table in self.tables.iter_mut().filter(|table| table.pass.is_none()) {
            table.start_pass();
        }
    }

    /// Whether passes that were started are not done yet.
    pub(crate) fn is_passing(&self) -> bool {
        self.tables.iter().any(|table| table.pass.is_some())
    }

    /// Starts passes where the load wants them and moves up to `buckets` buckets. `stands` says whether an entry of
    /// this table and key still has a code.
    #[inline(always)]
    pub(crate) fn advance<K: Kernel>(
        &mut self,
        shared: &Tables,
        buckets: usize,
        guard: &Guard,
        stands: &mut impl FnMut(usize, u16, Entry) -> bool,
    ) {
        let mut left = buckets;
        for (number, table) in self.tables.iter_mut().enumerate() {
            if table.wants_pass() {
                table.start_pass();
            }
            while left > 0 && table.pass.is_some() {
                table.move_next::<K>(shared, &self.pool, number, guard, stands);
                left -= 1;
            }
            if left == 0 {
                return;
            }
        }
    }

    /// Room for extents that come from a file.
    pub(crate) fn allocate(&mut self, shared: &Tables, table: usize, units: usize) -> Room {
        let (unit, start) = self.tables[table].allocate(shared, &self.pool, units);
        Room { unit, start }
    }

    /// Says that no more room is wanted for a table; the next one may have the rest.
    pub(crate) fn allocated(&mut self, table: usize) {
        self.tables[table].leave_rest(&self.pool);
    }

    /// Publishes an extent in such room: whole, with `len` slots, its headers right.
    pub(crate) fn publish(&mut self, shared: &Tables, table: usize, key: u16, unit: u32, len: u32) {
        self.tables[table].main_slots += u64::from(len);
        shared.main(table, key).store(Place { unit, len }.word(), Ordering::Release);
    }

    /// Forgets everything, for building anew; what was allocated stays with the system's pool of segments.
    pub(crate) fn clear(&mut self, shared: &Tables) {
        for (number, table) in self.tables.iter_mut().enumerate() {
            for key in 0..=u16::MAX {
                shared.main(number, key).store(Place::NONE.word(), Ordering::Release);
                shared.overflow(number, key).store(Place::NONE.word(), Ordering::Release);
            }
            let segments = std::mem::take(table).segments;
            // Readers do not know these tables yet.
            self.pool.lock().unwrap_or_else(PoisonError::into_inner).give_up(segments, &shared.segments);
        }
    }
}

/// Units that nobody else has.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) unit: u32,
    pub(crate) start: *mut u8,
}

// SAFETY: an address of memory that lives as long as the tables; who writes there is argued at the write.
unsafe impl Sync for Room {}

impl TableWriter {
    /// Whether overflow has grown enough, and no pass is under way.
    fn wants_pass(&self) -> bool {
        self.pass.is_none() && self.overflow_slots > PASS_OVERFLOW_MIN.max(self.main_slots / 2)
    }

    fn start_pass(&mut self) {
        self.generation += 1;
        self.recycled = Recycled::default();
        self.retired.clear();
        (self.bump, self.bump_end) = (0, 0);
        (self.main_slots, self.overflow_slots) = (0, 0);
        self.pass = Some(Pass { next: 0, old_segments: std::mem::take(&mut self.segments) });
    }

    /// Rewrites the next bucket of the pass as one extent; ends the pass after the last.
    #[inline(always)]
    fn move_next<K: Kernel>(
        &mut self,
        shared: &Tables,
        pool: &Arc<Mutex<Pool>>,
        number: usize,
        guard: &Guard,
        stands: &mut impl FnMut(usize, u16, Entry) -> bool,
    ) {
        let Some(pass) = &mut self.pass else { return };
        let key = pass.next as u16;
        pass.next += 1;
        let done = pass.next as usize == BUCKETS;
        let view = shared.view(number, key, guard);
        let mut entries: Vec<Entry> = view.main.entries::<K>().chain(view.overflow.entries::<K>()).collect();
        entries.retain(|entry| stands(number, key, *entry));
        entries.sort_unstable();
        entries.dedup();
        let mut place = Place::NONE;
        if !entries.is_empty() {
            let (unit, mut extent) = self.create(shared, pool, units_for(&entries));
            for entry in entries {
                assert!(extent.push::<K>(entry), "the units were counted for these entries");
            }
            place = Place { unit, len: extent.len() };
            self.main_slots += u64::from(extent.len());
        }
        // Main before overflow; see above.
        shared.main(number, key).store(place.word(), Ordering::Release);
        let overflow = Place::read(shared.overflow(number, key).swap(Place::NONE.word(), Ordering::AcqRel));
        if overflow.len > 0 {
            self.retire((overflow.unit, view.overflow.units()), guard);
        }
        if done {
            let old = self.pass.take().map(|pass| pass.old_segments).unwrap_or_default();
            self.leave_rest(pool);
            let (pool, segments) = (Arc::clone(pool), Arc::clone(&shared.segments));
            guard.defer(move || {
                pool.lock().unwrap_or_else(PoisonError::into_inner).give_up(old, &segments);
            });
            guard.flush();
            self.overflow_slots = 0;
        }
    }

    fn create(&mut self, shared: &Tables, pool: &Mutex<Pool>, units: usize) -> (u32, ExtentMut) {
        let (unit, start) = self.allocate(shared, pool, units);
        // SAFETY: freshly allocated: nobody else has these units.
        (unit, unsafe { ExtentMut::create(start, units) })
    }

    fn allocate(&mut self, shared: &Tables, pool: &Mutex<Pool>, units: usize) -> (u32, *mut u8) {
        if self.returned.any.load(Ordering::Acquire) {
            self.take_returned();
        }
        let unit = self.recycled.take(units).unwrap_or_else(|| self.bump(shared, pool, units));
        (unit, shared.start(unit))
    }

    fn bump(&mut self, shared: &Tables, pool: &Mutex<Pool>, units: usize) -> u32 {
        if (self.bump_end - self.bump) as usize >= units {
            self.bump += units as u32;
            // The next one is written soon.
            prefetch(shared.start(self.bump));
            return self.bump - units as u32;
        }
        let segments = (units + 1).div_ceil(SEGMENT_UNITS);
        if let Some(rest) = pool.lock().unwrap_or_else(PoisonError::into_inner).take_rest(units) {
            self.segments.push(segment_of(rest.start) as u32);
            (self.bump, self.bump_end) = (rest.start + units as u32, rest.end);
            return rest.start;
        }
        let first = self.take_segments(shared, pool, segments);
        let start = first * SEGMENT_UNITS as u32;
        if segments == 1 {
            self.bump = start + units as u32;
            self.bump_end = start + SEGMENT_UNITS_USED as u32;
        }
        start
    }

    /// Leaves what is not used of the last segment to the other tables.
    fn leave_rest(&mut self, pool: &Mutex<Pool>) {
        if self.bump < self.bump_end {
            pool.lock().unwrap_or_else(PoisonError::into_inner).leave(self.bump..self.bump_end);
            (self.bump, self.bump_end) = (0, 0);
        }
    }

    fn take_segments(&mut self, shared: &Tables, pool: &Mutex<Pool>, count: usize) -> u32 {
        let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        let first = match pool.free.pop() {
            Some(free) if count == 1 => {
                shared.segments.take_back();
                free
            }
            other => {
                pool.free.extend(other);
                let first = pool.next;
                pool.next += count as u32;
                assert!(pool.next as usize <= shared.segments.count_max(), "256 GiB of tables are full");
                shared.segments.add(first as usize, count);
                pool.owners.resize(first as usize + count, 0);
                first
            }
        };
        pool.owners[first as usize..first as usize + count].fill(1);
        self.segments.extend(first..first + count as u32);
        first
    }

    /// Gives an extent back once no reader can be in it.
    fn retire(&mut self, extent: (u32, usize), guard: &Guard) {
        if extent.1 > RECYCLED_UNITS_MAX {
            return;
        }
        // One from before the pass lies in a segment that goes as a whole.
        let segment = segment_of(extent.0) as u32;
        if self.pass.as_ref().is_some_and(|pass| pass.old_segments.contains(&segment)) {
            return;
        }
        self.retired.push(extent);
        if self.retired.len() == RETIRED_BATCH {
            let batch = std::mem::take(&mut self.retired);
            let (returned, generation) = (Arc::clone(&self.returned), self.generation);
            guard.defer(move || returned.put(RetiredBatch { generation, extents: batch }));
        }
    }

    #[cold]
    fn take_returned(&mut self) {
        for batch in self.returned.take() {
            // What was retired before the last pass lies in segments that went as a whole.
            if batch.generation == self.generation {
                batch.extents.into_iter().for_each(|(unit, units)| self.recycled.put(unit, units));
            }
        }
    }
}

impl Returned {
    fn put(&self, batch: RetiredBatch) {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.push(batch);
        self.any.store(true, Ordering::Release);
    }

    fn take(&self) -> Vec<RetiredBatch> {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        self.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut batches)
    }
}

impl Recycled {
    fn take(&mut self, units: usize) -> Option<u32> {
        self.by_units.get_mut(units)?.pop()
    }

    fn put(&mut self, unit: u32, units: usize) {
        if self.by_units.len() <= units {
            self.by_units.resize(units + 1, Vec::new());
        }
        self.by_units[units].push(unit);
    }
}
