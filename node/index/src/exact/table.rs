//! All values of one signal type and one width: linear hashing over small pages.
//!
//! With n buckets, 2^l ≤ n < 2^(l+1), a value belongs to the bucket that the low l + 1 bits of its hash name, or
//! the low l bits where that would be n or more. When the values outgrow the buckets, bucket n - 2^l is split
//! between itself and a new bucket n; when they shrink, the last bucket is merged into its other half again.
//! So the table grows and shrinks by one page at a time, and the page that is copied holds a few KiB.
//!
//! A reader may meet the table between two steps of this. Every page therefore says at which *level* it stands:
//! how many low bits its values share with the number of its bucket. If the value looked for shares them too,
//! the page is the one that held the value at the moment the page was loaded; if not, the reader was overtaken
//! and starts again. Splitting shows the new page, then the new number of buckets, then the smaller old page;
//! merging shows the larger old page, then the new number, then takes the last page away: a writer that is
//! stopped at any point leaves pages with which a reader gets by.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crossbeam_epoch::Guard;

use super::hash::KeyedHash;
use super::page::{self, Entry, Page};
use crate::SignalStats;
use crate::cell::{WordCell, Words, run_bytes};
use crate::posting::{EMPTY, PostingLists, Removal};
use crate::spine::Spine;

/// What the pages of a table hold on average, in bytes.
const PAGE_BYTES: usize = 2048;

/// One past the last place of the order in which [`Table::visit`] goes.
pub(super) const END: u64 = 1 << 32;

/// The table. One writer at a time changes it, readers take no lock.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) kind: u8,
    pub(super) width: usize,
    /// Values a bucket holds on average when a bucket is added.
    load: usize,
    /// Number of buckets, at least one.
    buckets: AtomicUsize,
    directory: Spine<WordCell<AtomicU32>>,
    counters: Counters,
    /// The next table in the same place of the owner's list.
    pub(super) next: OnceLock<Box<Table>>,
}

/// Changed by every insertion, so kept off the cache line that every reader needs.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Counters {
    values: AtomicU64,
    postings: AtomicU64,
    page_bytes: AtomicUsize,
}

/// A value that was to be new is in the table.
#[derive(Debug)]
pub(super) struct AlreadyHere;

/// The bucket of a hash among `buckets`.
#[inline]
fn bucket_of(hash: u64, buckets: usize) -> usize {
    let level = buckets.ilog2();
    let bucket = hash as usize & ((2 << level) - 1);
    if bucket < buckets { bucket } else { bucket & ((1 << level) - 1) }
}

impl Table {
    /// An empty table with enough buckets for so many values.
    pub(super) fn new(kind: u8, width: usize, values: u64) -> Self {
        let load = (PAGE_BYTES / (width + 5)).clamp(4, 32);
        let buckets = (values / load as u64).clamp(1, 1 << 31) as usize;
        let table = Self {
            kind,
            width,
            load,
            buckets: AtomicUsize::new(buckets),
            directory: Spine::default(),
            counters: Counters::default(),
            next: OnceLock::new(),
        };
        let guard = crossbeam_epoch::pin();
        let level = buckets.ilog2();
        let split = buckets - (1 << level);
        for bucket in 0..buckets {
            let own = level + u32::from(bucket < split || bucket >= 1 << level);
            table.publish(bucket, Some(page::written(own, 0, width, std::iter::empty())), &guard);
        }
        table
    }

    /// Distinct values and pairs of value and record.
    pub(super) fn stats(&self) -> SignalStats {
        SignalStats {
            values: self.counters.values.load(Ordering::Relaxed),
            postings: self.counters.postings.load(Ordering::Relaxed),
        }
    }

    /// Memory held, in bytes, without lists and without what the allocator adds.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.directory.bytes() + self.counters.page_bytes.load(Ordering::Relaxed)
    }

    /// The bucket of a hash and its page.
    #[inline]
    fn page<'g>(&'g self, hash: u64, guard: &'g Guard) -> (usize, Page<'g>) {
        loop {
            let bucket = bucket_of(hash, self.buckets.load(Ordering::Acquire));
            // A bucket may be gone that was there when the number of buckets was loaded.
            if let Some(words) = self.directory.get(bucket).and_then(|cell| cell.load(guard)) {
                let page = Page::new(words, self.width);
                if hash & ((1 << page.level()) - 1) == bucket as u64 {
                    return (bucket, page);
                }
            }
            std::hint::spin_loop();
        }
    }

    /// The slot of a value, as it is now; `None` when the value was never here.
    #[inline]
    pub(super) fn slot(&self, hash: u64, value: &[u8], guard: &Guard) -> Option<u32> {
        let (_, page) = self.page(hash, guard);
        page.find(hash, value).map(|entry| entry.slot.load(Ordering::Acquire))
    }

    /// Adds a pair of value and record; `false` when it was there already. For the writer.
    pub(super) fn insert(
        &self,
        hash: u64,
        value: &[u8],
        record: u64,
        lists: &PostingLists,
        hasher: &KeyedHash,
    ) -> bool {
        let guard = crossbeam_epoch::pin();
        let (bucket, page) = self.page(hash, &guard);
        let mut new_value = true;
        if let Some(entry) = page.find(hash, value) {
            new_value = entry.slot.load(Ordering::Relaxed) == EMPTY;
            if !lists.insert(entry.slot, record) {
                return false;
            }
            if new_value {
                page.count_dead(false);
            }
        } else {
            let page = match page.has_room(1) {
                true => page,
                false => self.resized(bucket, page, page::roomy(page.live() + 1), &guard),
            };
            page.append(hash, value, |slot| {
                lists.insert(slot, record);
            });
        }
        self.counters.postings.fetch_add(1, Ordering::Relaxed);
        if new_value {
            let values = self.counters.values.fetch_add(1, Ordering::Relaxed) + 1;
            let buckets = self.buckets.load(Ordering::Relaxed);
            if values as usize > buckets * self.load && buckets < 1 << 31 {
                self.split(buckets, hasher, &guard);
            }
        }
        true
    }

    /// Takes a pair of value and record out; `false` when it was not there. For the writer.
    pub(super) fn remove(&self, hash: u64, value: &[u8], record: u64, lists: &PostingLists) -> bool {
        let guard = crossbeam_epoch::pin();
        let (bucket, page) = self.page(hash, &guard);
        let Some(entry) = page.find(hash, value) else {
            return false;
        };
        let removal = lists.remove(entry.slot, record);
        if removal == Removal::Absent {
            return false;
        }
        self.counters.postings.fetch_sub(1, Ordering::Relaxed);
        if removal == Removal::Last {
            page.count_dead(true);
            if page.is_sparse() {
                self.resized(bucket, page, page::roomy(page.live()), &guard);
            }
            let values = self.counters.values.fetch_sub(1, Ordering::Relaxed) - 1;
            let buckets = self.buckets.load(Ordering::Relaxed);
            if buckets > 1 && (values as usize) < buckets * self.load * 5 / 8 {
                self.merge(buckets - 1, &guard);
            }
        }
        true
    }

    /// Adds the first few of these values, those that fall into the page of the first one, each with one record,
    /// and returns how many. At least one; none may be here already, or that is an error. For the writer.
    pub(super) fn insert_run(
        &self,
        hashes: &[u64],
        values: &[u8],
        records: &[u32],
        hasher: &KeyedHash,
    ) -> Result<usize, AlreadyHere> {
        let guard = crossbeam_epoch::pin();
        let buckets = self.buckets.load(Ordering::Relaxed);
        let (bucket, page) = self.page(hashes[0], &guard);
        let run = hashes.iter().take_while(|&&hash| bucket_of(hash, buckets) == bucket).count();
        let page =
            if page.has_room(run) { page } else { self.resized(bucket, page, page.live() + run, &guard) };
        for (n, (&hash, &record)) in hashes.iter().zip(records).take(run).enumerate() {
            let value = &values[n * self.width..][..self.width];
            if page.find(hash, value).is_some() {
                return Err(AlreadyHere);
            }
            page.append(hash, value, |slot| slot.store(record, Ordering::Relaxed));
        }
        self.counters.postings.fetch_add(run as u64, Ordering::Relaxed);
        let values = self.counters.values.fetch_add(run as u64, Ordering::Relaxed) as usize + run;
        for high in buckets..(1 << 31).min(values.div_ceil(self.load)) {
            self.split(high, hasher, &guard);
        }
        Ok(run)
    }

    /// Replaces a page by a copy without dead values.
    fn resized<'g>(&'g self, bucket: usize, page: Page<'g>, capacity: usize, guard: &'g Guard) -> Page<'g> {
        let words = page::written(page.level(), capacity, self.width, page.entries());
        self.publish(bucket, Some(words), guard);
        self.own_page(bucket, guard)
    }

    fn own_page<'g>(&'g self, bucket: usize, guard: &'g Guard) -> Page<'g> {
        let words = self.directory.get(bucket).and_then(|cell| cell.load(guard));
        Page::new(words.expect("every bucket has a page"), self.width)
    }

    fn publish(&self, bucket: usize, words: Option<Words<AtomicU32>>, guard: &Guard) {
        let cell = self.directory.ensure(bucket);
        let bytes = |len| run_bytes::<AtomicU32>(len);
        let old_bytes = cell.load(guard).map_or(0, |words| bytes(words.len()));
        let new_bytes = words.as_ref().map_or(0, |words| bytes(words.len()));
        cell.replace(words, guard);
        self.counters.page_bytes.fetch_add(new_bytes, Ordering::Relaxed);
        self.counters.page_bytes.fetch_sub(old_bytes, Ordering::Relaxed);
    }

    /// Adds bucket number `high`, with half of the values of the bucket that is due.
    fn split(&self, high: usize, hasher: &KeyedHash, guard: &Guard) {
        let level = high.ilog2();
        let low = high - (1 << level);
        let page = self.own_page(low, guard);
        let mut bytes = vec![0; page::padded(self.width)];
        let (mut stay, mut go): (Vec<Entry<'_>>, Vec<Entry<'_>>) = (Vec::new(), Vec::new());
        for entry in page.entries() {
            entry.read(&mut bytes);
            let goes = hasher.of(&bytes[..self.width]) >> level & 1 == 1;
            if goes { &mut go } else { &mut stay }.push(entry);
        }
        let half = |entries: Vec<Entry<'_>>| {
            page::written(level + 1, page::roomy(entries.len()), self.width, entries.into_iter())
        };
        self.publish(high, Some(half(go)), guard);
        self.buckets.store(high + 1, Ordering::Release);
        self.publish(low, Some(half(stay)), guard);
    }

    /// Takes the last bucket, number `high`, back into the one that it was split from.
    fn merge(&self, high: usize, guard: &Guard) {
        let level = high.ilog2();
        let low = high - (1 << level);
        let (low_page, high_page) = (self.own_page(low, guard), self.own_page(high, guard));
        let capacity = page::roomy(low_page.live() + high_page.live());
        let entries = low_page.entries().chain(high_page.entries());
        self.publish(low, Some(page::written(level, capacity, self.width, entries)), guard);
        self.buckets.store(high, Ordering::Release);
        self.publish(high, None, guard);
    }

    /// Shows slot and bytes of the values of one page and returns the place of the next; places go from 0 to [`END`].
    ///
    /// A value's place is the low half of its hash with the bits in reverse, so that the values of a page are
    /// neighbours at every level: whatever is split or merged meanwhile, a value that stays is shown once.
    pub(super) fn visit<'g>(
        &'g self,
        place: u64,
        hasher: &KeyedHash,
        guard: &'g Guard,
        mut show: impl FnMut(u32, &[u8]),
    ) -> u64 {
        let place_of = |hash: u64| u64::from((hash as u32).reverse_bits());
        let (_, page) = self.page(u64::from((place as u32).reverse_bits()), guard);
        let span = END >> page.level();
        let start = place / span * span;
        let mut bytes = vec![0; page::padded(self.width)];
        for entry in page.entries() {
            entry.read(&mut bytes);
            // Two buckets were merged, and the first of them was shown before.
            if start == place || place_of(hasher.of(&bytes[..self.width])) >= place {
                show(entry.slot.load(Ordering::Acquire), &bytes[..self.width]);
            }
        }
        start + span
    }
}

impl Drop for Table {
    /// One table after the other: a long list must not become a deep recursion.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut table) = next {
            next = table.next.take();
        }
    }
}
