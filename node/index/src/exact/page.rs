//! One bucket of a table: some tens of values of one width in one run of words.
//!
//! | words | content |
//! |---|---|
//! | 4 | level, capacity, used, dead |
//! | capacity / 4, rounded up | one byte of each value's hash |
//! | capacity × (1 + width / 4, rounded up) | for each value its posting slot and its bytes, padded with zeros |
//!
//! A value's bytes are written once, before `used` counts it in, and never change: only its slot does. A value
//! that nobody carries any more keeps its place with an empty slot until the page is copied.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::cell::Words;
use crate::posting::EMPTY;

const LEVEL: usize = 0;
const CAPACITY: usize = 1;
const USED: usize = 2;
const DEAD: usize = 3;
const HEADER: usize = 4;

const LOW_BITS: u32 = 0x0101_0101;
const HIGH_BITS: u32 = 0x8080_8080;

/// Words of a value with its slot.
pub(super) fn entry_words(width: usize) -> usize {
    1 + width.div_ceil(4)
}

/// Bytes that a value takes in a page.
pub(super) fn padded(width: usize) -> usize {
    width.next_multiple_of(4)
}

/// Words before the first value.
fn entries_start(capacity: usize) -> usize {
    HEADER + capacity.div_ceil(4)
}

/// The byte of the hash that a page keeps. Buckets are chosen by the other end of the hash.
pub(super) fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8
}

/// Capacity for so many values and an eighth more, so that a page is copied every few insertions only.
pub(super) fn roomy(values: usize) -> usize {
    values + (values / 8).max(2)
}

/// A page as it stands in its cell.
#[derive(Clone, Copy)]
pub(super) struct Page<'g> {
    words: &'g [AtomicU32],
    entry: usize,
}

/// One value of a page.
#[derive(Clone, Copy)]
pub(super) struct Entry<'g> {
    pub(super) tag: u8,
    /// Its posting.
    pub(super) slot: &'g AtomicU32,
    words: &'g [AtomicU32],
}

impl<'g> Entry<'g> {
    /// Writes the value's bytes, and the zeros after them, to `out`, which is [`padded`] wide.
    pub(super) fn read(&self, out: &mut [u8]) {
        for (bytes, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(self.words) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
    }

    fn equals(&self, value: &[u8]) -> bool {
        words_of(value).zip(self.words).all(|(word, own)| word == own.load(Ordering::Relaxed))
    }
}

/// A value as words; the last one is padded with zeros.
fn words_of(value: &[u8]) -> impl Iterator<Item = u32> {
    let (whole, rest) = value.as_chunks::<4>();
    let last = (!rest.is_empty()).then(|| {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        last
    });
    whole.iter().copied().chain(last).map(u32::from_ne_bytes)
}

/// A new page with these entries, of which none may be dead.
pub(super) fn written<'e>(
    level: u32,
    capacity: usize,
    width: usize,
    entries: impl Iterator<Item = Entry<'e>>,
) -> Words<AtomicU32> {
    let entry_words = entry_words(width);
    let mut words = Words::<AtomicU32>::zeroed(entries_start(capacity) + capacity * entry_words);
    let mut used = 0;
    for entry in entries {
        *words[HEADER + used / 4].get_mut() |= u32::from(entry.tag) << (used % 4 * 8);
        let place = entries_start(capacity) + used * entry_words;
        *words[place].get_mut() = entry.slot.load(Ordering::Relaxed);
        for (to, from) in words[place + 1..place + entry_words].iter_mut().zip(entry.words) {
            *to.get_mut() = from.load(Ordering::Relaxed);
        }
        used += 1;
    }
    *words[LEVEL].get_mut() = level;
    *words[CAPACITY].get_mut() = capacity as u32;
    *words[USED].get_mut() = used as u32;
    words
}

impl<'g> Page<'g> {
    #[inline]
    pub(super) fn new(words: &'g [AtomicU32], width: usize) -> Self {
        Self { words, entry: entry_words(width) }
    }

    /// How many low bits of the hash all values of this page share with the page's number.
    #[inline]
    pub(super) fn level(self) -> u32 {
        self.words[LEVEL].load(Ordering::Relaxed)
    }

    fn capacity(self) -> usize {
        self.words[CAPACITY].load(Ordering::Relaxed) as usize
    }

    fn used(self) -> usize {
        self.words[USED].load(Ordering::Acquire) as usize
    }

    /// Values that nobody carries. For the writer, who alone changes it.
    pub(super) fn dead(self) -> usize {
        self.words[DEAD].load(Ordering::Relaxed) as usize
    }

    /// Values that somebody carries, counted by the writer.
    pub(super) fn live(self) -> usize {
        self.used() - self.dead()
    }

    /// Whether so many more values fit.
    pub(super) fn has_room(self, values: usize) -> bool {
        self.used() + values <= self.capacity()
    }

    /// Whether so many values are dead that copying the others pays.
    pub(super) fn is_sparse(self) -> bool {
        self.dead() > 4 + self.used() / 4
    }

    #[inline]
    fn entry(self, number: usize, tag: u8) -> Entry<'g> {
        let place = entries_start(self.capacity()) + number * self.entry;
        Entry { tag, slot: &self.words[place], words: &self.words[place + 1..place + self.entry] }
    }

    /// The value's place, if it has one; its slot may be empty.
    #[inline]
    pub(super) fn find(self, hash: u64, value: &[u8]) -> Option<Entry<'g>> {
        let (tag, used) = (tag(hash), self.used());
        let pattern = u32::from(tag) * LOW_BITS;
        for (group, tags) in self.words[HEADER..HEADER + used.div_ceil(4)].iter().enumerate() {
            let different = tags.load(Ordering::Relaxed) ^ pattern;
            // The top bit of every byte that is zero, and now and then of one above it that is not.
            let mut equal = different.wrapping_sub(LOW_BITS) & !different & HIGH_BITS;
            while equal != 0 {
                let number = group * 4 + equal.trailing_zeros() as usize / 8;
                equal &= equal - 1;
                if number < used {
                    let entry = self.entry(number, tag);
                    if entry.equals(value) {
                        return Some(entry);
                    }
                }
            }
        }
        None
    }

    /// Every value that somebody carries.
    pub(super) fn entries(self) -> impl Iterator<Item = Entry<'g>> {
        let tags = &self.words[HEADER..];
        let all = (0..self.used()).map(move |number| {
            let tag = tags[number / 4].load(Ordering::Relaxed) >> (number % 4 * 8);
            self.entry(number, tag as u8)
        });
        all.filter(|entry| entry.slot.load(Ordering::Acquire) != EMPTY)
    }

    /// Adds a value that is not in the page, which must not be full. `fill` puts the records into its slot,
    /// which is empty, before any reader sees it. For the writer.
    pub(super) fn append(self, hash: u64, value: &[u8], fill: impl FnOnce(&AtomicU32)) {
        let (tag, number) = (tag(hash), self.used());
        let entry = self.entry(number, tag);
        words_of(value).zip(entry.words).for_each(|(word, own)| own.store(word, Ordering::Relaxed));
        self.words[HEADER + number / 4].fetch_or(u32::from(tag) << (number % 4 * 8), Ordering::Relaxed);
        entry.slot.store(EMPTY, Ordering::Relaxed);
        fill(entry.slot);
        self.words[USED].store(number as u32 + 1, Ordering::Release);
    }

    /// Notes that a value died, or that a dead one is carried again. For the writer.
    pub(super) fn count_dead(self, died: bool) {
        let dead = self.words[DEAD].load(Ordering::Relaxed);
        self.words[DEAD].store(if died { dead + 1 } else { dead - 1 }, Ordering::Relaxed);
    }
}
