//! The one writer: where a value is put, how it is found again, and how places are reclaimed.
//!
//! A removed value leaves its place dead: its slot is empty, readers skip it, its entries stay in the tables. When
//! enough are dead, a pass over all tables drops their entries, and then their places are used again, in
//! ascending order, because entries are smallest where groups ascend.

use super::Hamming;
use super::codes::GROUP;
use super::extent::{Entry, Notes, Sink};
use super::kernel::{Kernel, LINE, WithKernel, dispatch};
use super::permutation::{Code, PARTS, part};
use super::probe::{prefetch, prefetch_lines};
use super::tables::{BUCKETS, BucketView, TablesWriter};
use crate::posting::{EMPTY, Removal};
use crossbeam_epoch::Guard;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// Dead places below this are not worth a pass over all tables.
const DEAD_MIN: usize = 4096;
/// Dead places are reclaimed when one in so many is dead.
const DEAD_SHARE: usize = 32;
/// Buckets that a pass moves at a time: some tens of microseconds.
const SLICE_BUCKETS: usize = 64;
/// Changes between two looks at whether passes are wanted.
const CHECK_INTERVAL: u32 = 1024;
/// A pass over all tables ends while the index grows by one in so many.
const PASS_SHARE: u32 = 4;

/// Rounds of the collector after which everything that no reader holds is given back.
const COLLECTIONS: usize = 8;

/// What the writer knows beyond what readers share.
#[derive(Debug)]
pub(crate) struct HammingWriter {
    pub(super) tables: TablesWriter,
    /// Places below the end to be used first, descending.
    free: Vec<u32>,
    /// Places that were reclaimed, on their way through the collector.
    reclaimed: Arc<Mutex<Vec<u32>>>,
    dead: Vec<u32>,
    /// The dead that the passes under way drop.
    dying: Option<Dying>,
    /// Slices owed for changes made during a pass, in 1/1024 buckets.
    debt: u64,
    /// Passes are under way.
    passing: bool,
    /// Changes since it was last looked whether passes are wanted.
    unchecked: u32,
    /// A snapshot is being written.
    held: bool,
}

/// Dead places being dropped from the tables.
#[derive(Debug)]
struct Dying {
    places: Vec<u32>,
    /// A bit for each group that has one.
    groups: Vec<u64>,
}

impl Dying {
    fn new(places: Vec<u32>, end: u32) -> Self {
        let mut groups = vec![0u64; (end / GROUP) as usize / 64 + 1];
        for place in &places {
            let group = place / GROUP;
            groups[group as usize / 64] |= 1 << (group % 64);
        }
        Self { places, groups }
    }

    fn concerns(&self, group: u32) -> bool {
        self.groups.get(group as usize / 64).is_some_and(|word| word >> (group % 64) & 1 == 1)
    }
}

impl HammingWriter {
    pub(crate) fn new() -> Self {
        Self {
            tables: TablesWriter::new(),
            free: Vec::new(),
            reclaimed: Arc::default(),
            dead: Vec::new(),
            dying: None,
            debt: 0,
            passing: false,
            unchecked: 0,
            held: false,
        }
    }

    /// Adds a pair; false if it was there.
    pub(crate) fn insert(&mut self, shared: &Hamming, value: &[u8; 32], record: u64) -> bool {
        let guard = crossbeam_epoch::pin();
        let code = shared.permutation.code(value);
        let inserted = match self.find(shared, &code, &guard) {
            Some(number) => shared.lists.insert(shared.codes.slot(number), record),
            None => {
                self.add(shared, &code, record, &guard);
                true
            }
        };
        shared.postings.fetch_add(u64::from(inserted), Ordering::Relaxed);
        self.maintain(shared, &guard);
        inserted
    }

    /// Takes a pair out; false if it was not there.
    pub(crate) fn remove(&mut self, shared: &Hamming, value: &[u8; 32], record: u64) -> bool {
        let guard = crossbeam_epoch::pin();
        let code = shared.permutation.code(value);
        let Some(number) = self.find(shared, &code, &guard) else { return false };
        let removal = shared.lists.remove(shared.codes.slot(number), record);
        if removal == Removal::Last {
            self.dead.push(number);
            shared.values.fetch_sub(1, Ordering::Relaxed);
        }
        shared.postings.fetch_sub(u64::from(removal != Removal::Absent), Ordering::Relaxed);
        self.maintain(shared, &guard);
        removal != Removal::Absent
    }

    /// From now until [`release`](Self::release) no place is used again, and no entry of a place that stands now is
    /// dropped, whatever is removed: slots are written before tables, and each must find its entries there. Returns the
    /// end of what stands.
    pub(crate) fn hold(&mut self, shared: &Hamming) -> u32 {
        self.held = true;
        shared.codes.end()
    }

    /// Places may be used again.
    pub(crate) fn release(&mut self) {
        self.held = false;
    }

    /// Notes a dead place of a snapshot whose entries may be in the tables.
    pub(crate) fn bury(&mut self, number: u32) {
        self.dead.push(number);
    }

    /// Builds the tables from the codes, if there are enough of them.
    pub(crate) fn rebuild(&mut self, shared: &Hamming) {
        self.tables.clear(&shared.tables);
        if shared.codes.end() > shared.flat_max {
            self.build(shared, &crossbeam_epoch::pin());
        }
    }

    /// The standing place of a code.
    fn find(&self, shared: &Hamming, code: &Code, guard: &Guard) -> Option<u32> {
        if !shared.ready.load(Ordering::Relaxed) {
            let mut found = Vec::new();
            shared.search(code, 0, guard, &mut found);
            return found.first().map(|(number, _)| *number);
        }
        dispatch(shared.instructions, Find { shared, code, guard })
    }

    /// Puts a value that is not there into a place of its own.
    fn add(&mut self, shared: &Hamming, code: &Code, record: u64, guard: &Guard) {
        let end = shared.codes.end();
        let number = self.place(end);
        shared.codes.reserve(number);
        shared.codes.place(number, code);
        let slot = shared.codes.slot(number);
        shared.lists.insert(slot, record);
        shared.values.fetch_add(1, Ordering::Relaxed);
        if shared.ready.load(Ordering::Relaxed) {
            self.index(shared, number, code, guard);
        }
        if number == end {
            shared.codes.set_end(end + 1);
        }
        if !shared.ready.load(Ordering::Relaxed) && end >= shared.flat_max {
            self.build(shared, guard);
        }
    }

    /// A place that nobody uses.
    fn place(&mut self, end: u32) -> u32 {
        if self.held {
            return end;
        }
        if self.free.is_empty() {
            let mut reclaimed = self.reclaimed.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut self.free, &mut *reclaimed);
            self.free.sort_unstable_by(|a, b| b.cmp(a));
        }
        self.free.pop().unwrap_or(end)
    }

    /// Puts a code into all tables.
    fn index(&mut self, shared: &Hamming, number: u32, code: &Code, guard: &Guard) {
        dispatch(shared.instructions, Append { shared, writer: &mut self.tables, number, code, guard });
    }

    /// Puts all codes into the tables, which were empty, and lets readers use them.
    fn build(&mut self, shared: &Hamming, guard: &Guard) {
        for number in 0..shared.codes.end() {
            if shared.codes.slot(number).load(Ordering::Relaxed) != EMPTY {
                self.index(shared, number, &shared.codes.code(number), guard);
            }
        }
        shared.ready.store(true, Ordering::Release);
    }

    /// Reclaims what is dead and advances passes, a slice at a time.
    fn maintain(&mut self, shared: &Hamming, guard: &Guard) {
        if !shared.ready.load(Ordering::Relaxed) {
            let dead = std::mem::take(&mut self.dead);
            if !dead.is_empty() {
                self.reclaim(dead, guard);
            }
            return;
        }
        if !self.passing {
            self.unchecked += 1;
            if self.unchecked < CHECK_INTERVAL {
                return;
            }
            self.unchecked = 0;
            let dead_max = DEAD_MIN.max(shared.values.load(Ordering::Relaxed) as usize / DEAD_SHARE);
            if self.dead.len() > dead_max && !self.held {
                self.start_reclaiming(shared);
            } else if !self.tables.wants_pass() {
                return;
            }
            self.passing = true;
        }
        let buckets = (PARTS * BUCKETS) as u64;
        self.debt += 1024 * buckets / u64::from((shared.codes.end() / PASS_SHARE).max(1));
        while self.debt >= 1024 * SLICE_BUCKETS as u64 && self.slice(shared, guard) {
            self.debt -= 1024 * SLICE_BUCKETS as u64;
        }
    }

    /// Starts passes over all tables that drop what is dead. None may be under way.
    fn start_reclaiming(&mut self, shared: &Hamming) {
        self.dying = Some(Dying::new(std::mem::take(&mut self.dead), shared.codes.end()));
        self.tables.start_passes();
    }

    /// Moves some buckets; false when there was nothing left to do.
    fn slice(&mut self, shared: &Hamming, guard: &Guard) -> bool {
        let Self { tables, dying, .. } = self;
        dispatch(shared.instructions, Advance { shared, tables, dying: dying.as_ref(), guard });
        if self.tables.is_passing() {
            return true;
        }
        if let Some(dying) = self.dying.take() {
            self.reclaim(dying.places, guard);
        }
        (self.debt, self.passing) = (0, false);
        false
    }

    /// Rewrites all tables without slack and drops what is dead.
    pub(crate) fn compact(&mut self, shared: &Hamming) {
        // A guard for each slice, so that segments that were left come back while the pass goes on.
        while self.tables.is_passing() {
            self.slice(shared, &crossbeam_epoch::pin());
        }
        if shared.ready.load(Ordering::Relaxed) {
            if self.held {
                self.tables.start_passes();
            } else {
                self.start_reclaiming(shared);
            }
            while self.slice(shared, &crossbeam_epoch::pin()) {}
            // What the last tables left goes back now, not at some later change.
            (0..COLLECTIONS).for_each(|_| crossbeam_epoch::pin().flush());
        }
    }

    /// Drops what removed values left in the tables and overwrites their codes, so that a snapshot written from
    /// now on holds nothing of them. False while a reader may still look at one, or a snapshot is being
    /// written: then it must be called again.
    pub(crate) fn forget_removed(&mut self, shared: &Hamming) -> bool {
        if self.held {
            return false;
        }
        // Asked again because of a reader, the tables are clean already.
        if self.dying.is_some() || !self.dead.is_empty() {
            self.compact(shared);
        }
        (0..COLLECTIONS).for_each(|_| crossbeam_epoch::pin().flush());
        self.free.append(&mut self.reclaimed.lock().unwrap_or_else(PoisonError::into_inner));
        self.free.sort_unstable_by(|a, b| b.cmp(a));
        for number in &self.free {
            shared.codes.place(*number, &[0; 4]);
        }
        let is_empty = |number: &u32| shared.codes.slot(*number).load(Ordering::Relaxed) == EMPTY;
        self.dead.is_empty() && (0..shared.codes.end()).filter(is_empty).count() == self.free.len()
    }

    /// Lets places be used again once no reader holds their numbers.
    fn reclaim(&self, places: Vec<u32>, guard: &Guard) {
        let reclaimed = Arc::clone(&self.reclaimed);
        guard.defer(move || reclaimed.lock().unwrap_or_else(PoisonError::into_inner).extend(places));
        // Else it waits in this thread until it has more to give back, and nobody else can do it.
        guard.flush();
    }
}

/// Finds the standing place of a code in the shortest of its buckets.
struct Find<'a> {
    shared: &'a Hamming,
    code: &'a Code,
    guard: &'a Guard,
}

impl WithKernel for Find<'_> {
    type Output = Option<u32>;

    #[inline(always)]
    fn with<K: Kernel>(self) -> Option<u32> {
        let Self { shared, code, guard } = self;
        // Whatever is found, the ends of all buckets are wanted next. Each step needs what the one before fetches: the
        // directory, then an extent's first line, which says where its groups stand, then the groups.
        for table in 0..PARTS {
            prefetch(shared.tables.address(table, part(code, table)));
            prefetch(shared.tables.overflow_address(table, part(code, table)));
        }
        let views: [BucketView; PARTS] = std::array::from_fn(|table| {
            let view = shared.tables.view(table, part(code, table), guard);
            if let Some(extent) = view.last() {
                prefetch(extent.line(0));
                prefetch(extent.line(extent.lines() - 1));
            }
            view
        });
        let (table, view) = views.iter().enumerate().min_by_key(|(_, view)| view.slots())?;
        prefetch_lines(view);
        for extent in views.iter().filter_map(BucketView::last).filter(|extent| !extent.is_full()) {
            let groups = extent.group_address((extent.len() - 1) / LINE * LINE);
            prefetch(groups);
            prefetch(groups.wrapping_add(2 * LINE - 1));
        }
        let mut same = Same { shared, code, found: Vec::new() };
        let mut notes = Notes::new();
        for extent in [view.main, view.overflow] {
            extent.scan::<K, 0>(part(code, table + 1), &mut notes, &mut same);
        }
        same.take::<K>(&mut notes);
        same.found.first().map(|(number, _)| *number)
    }
}

/// Takes entries whose code is the one looked for.
struct Same<'a> {
    shared: &'a Hamming,
    code: &'a Code,
    found: Vec<(u32, u16)>,
}

impl Sink for Same<'_> {
    #[inline(always)]
    fn take<K: Kernel>(&mut self, notes: &mut Notes) {
        let mut slots = Vec::new();
        notes.drain(&mut slots);
        for (extent, slot) in slots {
            self.shared.codes.judge::<K>(extent.group::<K>(slot), self.code, 0, &mut self.found);
        }
    }
}

/// Appends a code's entries to its sixteen buckets.
struct Append<'a> {
    shared: &'a Hamming,
    writer: &'a mut TablesWriter,
    number: u32,
    code: &'a Code,
    guard: &'a Guard,
}

impl WithKernel for Append<'_> {
    type Output = ();

    #[inline(always)]
    fn with<K: Kernel>(self) {
        let Self { shared, writer, number, code, guard } = self;
        for table in 0..PARTS {
            let entry = Entry { group: number / GROUP, fingerprint: part(code, table + 1) };
            writer.append::<K>(&shared.tables, table, part(code, table), entry, guard);
        }
    }
}

/// A slice of a pass.
struct Advance<'a> {
    shared: &'a Hamming,
    tables: &'a mut TablesWriter,
    dying: Option<&'a Dying>,
    guard: &'a Guard,
}

impl WithKernel for Advance<'_> {
    type Output = ();

    #[inline(always)]
    fn with<K: Kernel>(self) {
        let Self { shared, tables, dying, guard } = self;
        let mut stands = |table: usize, key: u16, entry: Entry| {
            !dying.is_some_and(|dying| dying.concerns(entry.group)) || has_code(shared, table, key, entry)
        };
        tables.advance::<K>(&shared.tables, SLICE_BUCKETS, guard, &mut stands);
    }
}

/// Whether a standing code of the entry's group belongs to it.
fn has_code(shared: &Hamming, table: usize, key: u16, entry: Entry) -> bool {
    (entry.group * GROUP..(entry.group + 1) * GROUP).any(|number| {
        let code = shared.codes.code(number);
        shared.codes.slot(number).load(Ordering::Relaxed) != EMPTY
            && part(&code, table) == key
            && part(&code, table + 1) == entry.fingerprint
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn nothing_that_a_snapshot_may_name_is_dropped_while_it_is_written() {
        let mut random = Random::from_seed([3; 32]);
        let shared = Hamming::new(&mut random, crate::Instructions::best(), 0);
        let mut writer = HammingWriter::new();
        let values: Vec<[u8; 32]> =
            (0..3 * DEAD_MIN).map(|_| std::array::from_fn(|_| random.next() as u8)).collect();
        for (value, record) in values.iter().zip(0..) {
            assert!(writer.insert(&shared, value, record));
        }
        let slots = || {
            let guard = crossbeam_epoch::pin();
            let slots =
                |table| (0..=u16::MAX).map(|key| shared.tables.view(table, key, &guard).slots()).sum();
            (0..PARTS).map(slots).collect::<Vec<usize>>()
        };
        writer.hold(&shared);
        for (value, record) in values.iter().zip(0..) {
            assert!(writer.remove(&shared, value, record));
        }
        writer.compact(&shared);
        assert!(
            slots().iter().all(|slots| *slots >= values.len()),
            "the removed values' entries are still there"
        );
        writer.release();
        writer.compact(&shared);
        assert_eq!(slots(), [0; PARTS], "and are dropped once the snapshot is written");
    }

    #[test]
    fn what_another_thread_removed_is_forgotten_although_that_thread_does_nothing_more() {
        for flat_max in [0, 10_000] {
            let mut random = Random::from_seed([5; 32]);
            let shared = Hamming::new(&mut random, crate::Instructions::best(), flat_max);
            let writer = std::sync::Mutex::new(HammingWriter::new());
            let value: [u8; 32] = std::array::from_fn(|_| random.next() as u8);
            let (done, is_done) = std::sync::mpsc::sync_channel(1);
            let (end, ended) = std::sync::mpsc::sync_channel::<()>(1);
            std::thread::scope(|threads| {
                let (writer, shared, value) = (&writer, &shared, &value);
                threads.spawn(move || {
                    let mut writer = writer.lock().expect("alone");
                    assert!(writer.insert(shared, value, 1) && writer.remove(shared, value, 1));
                    drop(writer);
                    done.send(()).expect("waited for");
                    let _ = ended.recv();
                });
                is_done.recv().expect("sent");
                // Other tests may hold readers of the same collector for a moment.
                let is_forgotten = (0..1_000).any(|_| {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    writer.lock().expect("alone").forget_removed(shared)
                });
                drop(end);
                assert!(is_forgotten, "with tables only beyond {flat_max}");
            });
        }
    }

    #[test]
    fn nothing_is_left_of_removed_values_once_they_are_forgotten() {
        for flat_max in [0, 10_000] {
            let mut random = Random::from_seed([4; 32]);
            let shared = Hamming::new(&mut random, crate::Instructions::best(), flat_max);
            let mut writer = HammingWriter::new();
            let values: Vec<[u8; 32]> =
                (0..600).map(|_| std::array::from_fn(|_| random.next() as u8)).collect();
            for (value, record) in values.iter().zip(0..) {
                assert!(writer.insert(&shared, value, record));
            }
            let (removed, kept) = values.split_at(200);
            for (value, record) in removed.iter().zip(0..) {
                assert!(writer.remove(&shared, value, record));
            }
            let holds = |value: &[u8; 32]| {
                let code = shared.permutation.code(value);
                (0..shared.codes.end()).any(|number| shared.codes.code(number) == code)
            };
            assert!(removed.iter().all(holds), "removing alone leaves the codes");
            writer.hold(&shared);
            assert!(!writer.forget_removed(&shared), "not while a snapshot is written");
            writer.release();
            // Other tests may hold readers of the same collector for a moment.
            let is_forgotten = (0..1_000).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(5));
                writer.forget_removed(&shared)
            });
            assert!(is_forgotten && !removed.iter().any(holds) && kept.iter().all(holds));
            let guard = crossbeam_epoch::pin();
            let entries = |table| {
                (0..=u16::MAX).map(|key| shared.tables.view(table, key, &guard).slots()).sum::<usize>()
            };
            assert!((0..PARTS).all(|table| entries(table) <= kept.len() * 2), "nor entries");
            drop(guard);
            assert!(writer.insert(&shared, &removed[0], 9), "places are used again");
        }
    }
}
