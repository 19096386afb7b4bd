//! The codes themselves, in groups of four, and the posting slot of each.
//!
//! ```text
//! group: 128 bytes     line 0: word 0 of codes 0 1 2 3, word 1 of codes 0 1 2 3
//!                      line 1: word 2 of codes 0 1 2 3, word 3 of codes 0 1 2 3
//! ```
//!
//! Half of the bits decide nearly always (a distance over half of the bits never exceeds the whole one), so
//! the second line of a group is hardly ever read: 16 bytes a code in a flat scan, one cache line a candidate.
//!
//! A place is written in this order: words, then the posting slot with release ordering. A reader that has read
//! a slot that is not empty, with acquire ordering, then reads the words that belong to it. Places
//! of removed codes are used again only after every reader of then has gone.

use super::kernel::Kernel;
use super::memory::Segments;
use super::permutation::{Code, Front, distance, front};
use crate::posting::EMPTY;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Codes in a group.
pub(crate) const GROUP: u32 = 4;
/// Bytes of a group.
const GROUP_BYTES: usize = 128;
/// Groups in a segment: 8 MiB of codes, 1 MiB of slots.
const SEGMENT_GROUPS: u32 = 1 << 16;
/// 2^30 codes; group numbers stay far below 2^32.
const SEGMENTS_MAX: usize = 1 << 12;

/// All codes, live and dead.
#[derive(Debug)]
pub(crate) struct Codes {
    groups: Segments,
    slots: Segments,
    end: AtomicU32,
}

impl Codes {
    pub(crate) fn new() -> Self {
        Self {
            groups: Segments::new(SEGMENT_GROUPS as usize * GROUP_BYTES, SEGMENTS_MAX),
            slots: Segments::new((SEGMENT_GROUPS * GROUP) as usize * size_of::<AtomicU32>(), SEGMENTS_MAX),
            end: AtomicU32::new(0),
        }
    }

    /// Codes are numbered below this; all of those that stand are in the tables.
    #[inline(always)]
    pub(crate) fn end(&self) -> u32 {
        self.end.load(Ordering::Acquire)
    }

    /// Publishes that codes below `end` are placed. Writer only.
    pub(crate) fn set_end(&self, end: u32) {
        self.end.store(end, Ordering::Release);
    }

    /// Makes room for code `number`. Writer only.
    pub(crate) fn reserve(&self, number: u32) {
        let segment = (number / GROUP / SEGMENT_GROUPS) as usize;
        assert!(segment < SEGMENTS_MAX, "an index holds at most 2^30 perceptual values");
        if self.groups.address(segment).is_null() {
            self.groups.add(segment, 1);
            self.slots.add(segment, 1);
            for place in 0..SEGMENT_GROUPS * GROUP {
                let number = segment as u32 * SEGMENT_GROUPS * GROUP + place;
                self.slot(number).store(EMPTY, Ordering::Relaxed);
            }
        }
    }

    /// Writes the words of a place that no reader looks at. Writer only.
    pub(crate) fn place(&self, number: u32, code: &Code) {
        for (at, word) in code.iter().enumerate() {
            self.word(number, at).store(*word, Ordering::Relaxed);
        }
    }

    /// The posting slot of a code.
    #[inline(always)]
    pub(crate) fn slot(&self, number: u32) -> &AtomicU32 {
        let (group, lane) = (number / GROUP, number % GROUP);
        let segment = self.slots.address((group / SEGMENT_GROUPS) as usize);
        let at = (group % SEGMENT_GROUPS * GROUP + lane) as usize;
        // SAFETY: callers pass reserved numbers; the segment is never freed and holds atomics only.
        unsafe { &*segment.cast::<AtomicU32>().add(at) }
    }

    /// The words of a code, as they are now.
    #[inline(always)]
    pub(crate) fn code(&self, number: u32) -> Code {
        std::array::from_fn(|at| self.word(number, at).load(Ordering::Relaxed))
    }

    /// Where a group's first line stands.
    #[inline(always)]
    pub(crate) fn front(&self, group: u32) -> *const u8 {
        let segment = self.groups.address((group / SEGMENT_GROUPS) as usize);
        segment.wrapping_add((group % SEGMENT_GROUPS) as usize * GROUP_BYTES)
    }

    #[inline(always)]
    fn word(&self, number: u32, at: usize) -> &AtomicU64 {
        let (lane, words) = ((number % GROUP) as usize, self.front(number / GROUP).cast::<AtomicU64>());
        // SAFETY: callers pass reserved numbers; word `at` of a lane lies in the group's 16 words.
        unsafe { &*words.add(at * GROUP as usize + lane) }
    }

    /// Which codes of a group have fronts within the radius of a query's: bit j for the j-th.
    #[inline(always)]
    pub(crate) fn near<K: Kernel>(&self, group: u32, query: &Front, radius: u32) -> u32 {
        // An entry may be published a moment before its group counts, and a forged file may name any.
        if group >= self.end().div_ceil(GROUP) {
            return 0;
        }
        // SAFETY: groups below the end are reserved; a group's front is 64 bytes, aligned to 64.
        unsafe { K::front_within(self.front(group), query, radius) }
    }

    /// Appends number and distance of every standing code of the group within the radius.
    #[inline(always)]
    pub(crate) fn judge<K: Kernel>(
        &self,
        group: u32,
        query: &Code,
        radius: u32,
        found: &mut Vec<(u32, u16)>,
    ) {
        let near = self.near::<K>(group, &front(query), radius);
        self.measure(group, near, query, radius, found);
    }

    /// Appends number and distance of those standing codes of the group that are marked in `near` and within the radius.
    #[inline(always)]
    pub(crate) fn measure(
        &self,
        group: u32,
        mut near: u32,
        query: &Code,
        radius: u32,
        found: &mut Vec<(u32, u16)>,
    ) {
        while near != 0 {
            let number = group * GROUP + near.trailing_zeros();
            near &= near - 1;
            if distance(&self.code(number), query) > radius
                || self.slot(number).load(Ordering::Acquire) == EMPTY
            {
                continue;
            }
            // Read once more: before the slot was seen, the words may have been half of something else.
            let distance = distance(&self.code(number), query);
            if distance <= radius {
                found.push((number, distance as u16));
            }
        }
    }

    /// Bytes asked from the system.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.groups.held_bytes() + self.slots.held_bytes()
    }
}
