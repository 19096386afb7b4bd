//! One list of records: a run of atomic words in a cell.
//!
//! Layout, in words: how many places are used; how many of them are struck out, times two, plus one if the
//! record 2^64 - 1 is in the list; then the places. That one record cannot stand in a place, where the same
//! number means "struck out".

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cell::{Words, run_bytes};

const USED: usize = 0;
const STRUCK: usize = 1;
const HEADER: usize = 2;

/// Stands in a place whose record was taken out.
const GONE: u64 = u64::MAX;
/// Where the one record is said to stand that has no place.
const NO_PLACE: u32 = u32::MAX;

/// A list as it stands in its cell.
#[derive(Clone, Copy)]
pub(super) struct List<'g>(&'g [AtomicU64]);

/// A new list. `records` differ; `room`, in places, is at least their number.
pub(super) fn written(records: impl Iterator<Item = u64>, room: usize) -> Words<AtomicU64> {
    let mut words = Words::<AtomicU64>::zeroed(HEADER + room);
    let mut used = 0;
    for record in records {
        if record == GONE {
            *words[STRUCK].get_mut() = 1;
        } else {
            *words[HEADER + used].get_mut() = record;
            used += 1;
        }
    }
    *words[USED].get_mut() = used as u64;
    words
}

impl<'g> List<'g> {
    pub(super) fn new(words: &'g [AtomicU64]) -> Self {
        Self(words)
    }

    /// Records in the list.
    pub(super) fn live(self) -> usize {
        let struck = self.0[STRUCK].load(Ordering::Acquire);
        let placed = self.0[USED].load(Ordering::Acquire).saturating_sub(struck >> 1);
        (placed + (struck & 1)) as usize
    }

    /// Places in the list, used or not.
    pub(super) fn room(self) -> usize {
        self.0.len() - HEADER
    }

    pub(super) fn bytes(self) -> usize {
        run_bytes::<AtomicU64>(self.0.len())
    }

    /// Every record with its place.
    pub(super) fn records(self) -> impl Iterator<Item = (u32, u64)> + use<'g> {
        let used = self.0[USED].load(Ordering::Acquire) as usize;
        let extra = self.0[STRUCK].load(Ordering::Acquire) & 1;
        let places = self.0[HEADER..HEADER + used].iter().map(|word| word.load(Ordering::Acquire));
        let placed = (0..).zip(places).filter(|&(_, record)| record != GONE);
        placed.chain((0..extra).map(|_| (NO_PLACE, GONE)))
    }

    /// The place of a record, found by looking at all of them.
    pub(super) fn find(self, record: u64) -> Option<u32> {
        self.records().find(|&(_, other)| other == record).map(|(place, _)| place)
    }

    /// Adds a record that is not in the list and returns its place; nothing when there is no room.
    pub(super) fn push(self, record: u64) -> Option<u32> {
        if record == GONE {
            self.0[STRUCK].fetch_or(1, Ordering::AcqRel);
            return Some(NO_PLACE);
        }
        let used = self.0[USED].load(Ordering::Relaxed);
        let place = u32::try_from(used).ok().filter(|&place| place < NO_PLACE)?;
        self.0.get(HEADER + used as usize)?.store(record, Ordering::Relaxed);
        self.0[USED].store(used + 1, Ordering::Release);
        Some(place)
    }

    /// Takes the record out that stands in this place.
    pub(super) fn strike(self, place: u32, record: u64) {
        if record == GONE {
            self.0[STRUCK].fetch_and(!1, Ordering::AcqRel);
        } else {
            self.0[HEADER + place as usize].store(GONE, Ordering::Release);
            self.0[STRUCK].fetch_add(2, Ordering::AcqRel);
        }
    }

    /// Whether any place is struck out.
    pub(super) fn has_gaps(self) -> bool {
        self.0[STRUCK].load(Ordering::Relaxed) >> 1 != 0
    }

    /// Whether half of the places are struck out, so that copying the rest pays.
    pub(super) fn is_sparse(self) -> bool {
        let (used, struck) =
            (self.0[USED].load(Ordering::Relaxed), self.0[STRUCK].load(Ordering::Relaxed) >> 1);
        struck > 8 && struck * 2 >= used
    }
}
