//! One query through the tables.
//!
//! *Multi-index hashing* (Norouzi, Punjani and Fleet 2012): cut 256 bits into 16 parts; a code within radius r
//! differs from the query by at most ⌊r/16⌋ bits in some part, so all keys that close are probed in each
//! table. *Pigeonring* (Qin and Xiao 2018): some part i even has d_i ≤ ⌊r/16⌋ and d_i + d_{i+1} ≤ ⌊2r/16⌋, the
//! parts taken in a ring. The next part stands beside each entry, so of 41,500 entries at ten million codes about
//! 110 are left to judge, without losing one.
//!
//! Everything waits for memory, so it is a pipeline: while a block of probes is scanned, the lines of the next block
//! are prefetched, and the directory words of the one after; survivors pass two short queues in the same way, for
//! their group number and for their codes.

use super::Hamming;
use super::extent::{Extent, Notes, Sink};
use super::kernel::{Kernel, LINE, WithKernel};
use super::permutation::{Code, PARTS, part};
use super::tables::{BucketView, Tables};
use crossbeam_epoch::Guard;

/// Probes that pass a stage of the pipeline together: the flips of one bit in one table.
const BLOCK: usize = 16;
/// Lines of an extent that are prefetched; the hardware follows a longer run by itself.
const PREFETCHED_LINES: usize = 16;
/// The largest radius that the tables answer, in bits; beyond it a flat scan of everything reads less.
pub const TABLE_RADIUS_MAX: u32 = 47;

/// All 16-bit words with at most two bits set, by number of bits.
static MASKS: [u16; 137] = masks();

const fn masks() -> [u16; 137] {
    let mut masks = [0; 137];
    let (mut first, mut at) = (0, 17);
    while first < 16 {
        masks[1 + first] = 1 << first;
        let mut second = 0;
        while second < first {
            masks[at] = 1 << first | 1 << second;
            at += 1;
            second += 1;
        }
        first += 1;
    }
    masks
}

/// How the tables must be asked for a radius.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// What to flip in a key, nothing first.
    pub(crate) masks: &'static [u16],
    /// Most bits of difference in a part and the next one together.
    pub(crate) pair: u32,
}

impl Plan {
    /// For a radius of at most [`TABLE_RADIUS_MAX`].
    pub(crate) fn new(radius: u32) -> Self {
        let probes = match radius / 16 {
            0 => 1,
            1 => 17,
            _ => 137,
        };
        Self { masks: &MASKS[..probes], pair: radius / 8 }
    }

    /// Bits that the next part may differ by when the key was flipped by `mask`.
    #[inline(always)]
    pub(crate) fn left(&self, mask: u16) -> u32 {
        self.pair - mask.count_ones()
    }
}

/// Into the second cache, not the first: a core has twice as many misses under way there, and that is what a query
/// waits for (Zen 4: 28 µs against 19; no difference on Cascade Lake).
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch reads nothing that the program can see and faults at no address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T1 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

#[inline(always)]
pub(crate) fn prefetch_lines(view: &BucketView) {
    for extent in [&view.main, &view.overflow] {
        for line in 0..extent.lines().min(PREFETCHED_LINES) {
            prefetch(extent.line(line));
        }
    }
}

/// A query through the tables; gives numbers and distances, one code possibly several times.
pub(crate) struct Probe<'a> {
    pub(crate) hamming: &'a Hamming,
    pub(crate) query: &'a Code,
    pub(crate) radius: u32,
    pub(crate) guard: &'a Guard,
    pub(crate) found: &'a mut Vec<(u32, u16)>,
}

impl WithKernel for Probe<'_> {
    type Output = ();

    #[inline(always)]
    fn with<K: Kernel>(self) {
        let Self { hamming, query, radius, guard, found } = self;
        let tables = &hamming.tables;
        let plan = Plan::new(radius);
        let mut survivors = Survivors::new(hamming, query, radius, found);
        let mut views = [[BucketView::EMPTY; BLOCK]; 2];
        let (mut here, mut near) = (Block::NONE, Block::NONE);
        for turn in 0..plan.blocks() + 2 {
            let far = plan.block(turn, query);
            let [even, odd] = &mut views;
            let (ready, next) = if turn % 2 == 0 { (even, odd) } else { (odd, even) };
            // Three blocks side by side: scan one, fetch the lines of the next, and the directory of the one after.
            let three = Three { tables, guard, here: &here, near: &near, far: &far, ready, next };
            match here.left {
                0 => three.step::<K, 0>(&mut survivors),
                1 => three.step::<K, 1>(&mut survivors),
                2 => three.step::<K, 2>(&mut survivors),
                3 => three.step::<K, 3>(&mut survivors),
                4 => three.step::<K, 4>(&mut survivors),
                _ => three.step::<K, 5>(&mut survivors),
            }
            survivors.advance::<K>();
            (here, near) = (near, far);
        }
        // What the last block let through has two stages to go.
        for _ in 0..3 {
            survivors.advance::<K>();
        }
    }
}

/// Up to [`BLOCK`] probes that leave the next part the same number of bits.
#[derive(Clone, Copy)]
struct Block {
    probes: usize,
    left: u32,
    tables: [u8; BLOCK],
    keys: [u16; BLOCK],
    /// The next part of the query, for each probe.
    fingerprints: [u16; BLOCK],
}

impl Block {
    const NONE: Self =
        Self { probes: 0, left: 0, tables: [0; BLOCK], keys: [0; BLOCK], fingerprints: [0; BLOCK] };
}

impl Plan {
    /// Block 0 probes the query's own keys in all tables; the others flip bits, table by table.
    fn blocks(&self) -> usize {
        1 + PARTS * self.flips().div_ceil(BLOCK)
    }

    fn flips(&self) -> usize {
        self.masks.len() - 1
    }

    #[inline(always)]
    fn block(&self, number: usize, query: &Code) -> Block {
        let mut block = Block::NONE;
        if number == 0 {
            (block.probes, block.left) = (PARTS, self.pair);
            for table in 0..PARTS {
                block.tables[table] = table as u8;
                block.keys[table] = part(query, table);
                block.fingerprints[table] = part(query, table + 1);
            }
        } else if number < self.blocks() {
            let per_table = self.flips().div_ceil(BLOCK);
            let (table, share) = ((number - 1) / per_table, (number - 1) % per_table);
            // The first flips have one bit, the others two; sixteen of the first make a block of their own.
            let masks = &self.masks[1 + share * BLOCK..];
            block.probes = masks.len().min(BLOCK);
            block.left = self.left(masks[0]);
            let (key, fingerprint) = (part(query, table), part(query, table + 1));
            for (at, mask) in masks.iter().take(BLOCK).enumerate() {
                block.tables[at] = table as u8;
                block.keys[at] = key ^ mask;
                block.fingerprints[at] = fingerprint;
            }
        }
        block
    }
}

/// Three blocks in three stages.
struct Three<'a> {
    tables: &'a Tables,
    guard: &'a Guard,
    here: &'a Block,
    near: &'a Block,
    far: &'a Block,
    ready: &'a [BucketView; BLOCK],
    next: &'a mut [BucketView; BLOCK],
}

impl Three<'_> {
    #[inline(always)]
    fn step<K: Kernel, const T: u32>(self, survivors: &mut Survivors<'_>) {
        let Self { tables, guard, here, near, far, ready, next } = self;
        let mut notes = Notes::new();
        for at in 0..BLOCK {
            if at < here.probes {
                let view = &ready[at];
                view.main.scan::<K, T>(here.fingerprints[at], &mut notes, survivors);
                if view.overflow.len() > 0 {
                    view.overflow.scan::<K, T>(here.fingerprints[at], &mut notes, survivors);
                }
            }
            if at < near.probes {
                next[at] = tables.view(usize::from(near.tables[at]), near.keys[at], guard);
                prefetch_lines(&next[at]);
            }
            if at < far.probes {
                prefetch(tables.address(usize::from(far.tables[at]), far.keys[at]));
            }
        }
        survivors.take::<K>(&mut notes);
    }
}

/// Entries that passed the filter, on their way to their codes: each stage waits a block for its memory.
struct Survivors<'a> {
    hamming: &'a Hamming,
    query: &'a Code,
    radius: u32,
    found: &'a mut Vec<(u32, u16)>,
    /// Slots whose line of groups is on its way; the first `arrived` have waited for a block.
    slots: Vec<(Extent, usize)>,
    arrived: usize,
    /// Groups whose codes are on their way.
    groups: Vec<u32>,
}

impl<'a> Survivors<'a> {
    fn new(hamming: &'a Hamming, query: &'a Code, radius: u32, found: &'a mut Vec<(u32, u16)>) -> Self {
        let (slots, groups) = (Vec::with_capacity(64), Vec::with_capacity(64));
        Self { hamming, query, radius, found, slots, arrived: 0, groups }
    }

    /// Judges the groups that arrived, and learns the groups of the slots that arrived before the present block.
    #[inline(always)]
    fn advance<K: Kernel>(&mut self) {
        for &group in &self.groups {
            self.hamming.codes.judge::<K>(group, self.query, self.radius, self.found);
        }
        self.groups.clear();
        let arrived = std::mem::take(&mut self.arrived);
        for &(extent, slot) in &self.slots[..arrived] {
            let group = extent.group::<K>(slot);
            prefetch(self.hamming.codes.front(group));
            self.groups.push(group);
        }
        self.slots.drain(..arrived);
        self.arrived = self.slots.len();
    }
}

impl Sink for Survivors<'_> {
    #[inline(always)]
    fn take<K: Kernel>(&mut self, notes: &mut Notes) {
        let known = self.slots.len();
        notes.drain(&mut self.slots);
        for (extent, slot) in &self.slots[known..] {
            // Groups start where fingerprints end, so their lines lie across two of the cache's in every other extent.
            let line = extent.group_address(slot / LINE * LINE);
            prefetch(line);
            prefetch(line.wrapping_add(2 * LINE - 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_all_words_of_at_most_two_bits_by_number_of_bits() {
        let mut seen: Vec<u16> = MASKS.to_vec();
        assert!(seen.windows(2).all(|pair| pair[0].count_ones() <= pair[1].count_ones()));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 137);
        assert!(seen.iter().all(|mask| mask.count_ones() <= 2));
    }

    #[test]
    fn every_plan_leaves_room_for_the_next_part() {
        for radius in 0..=TABLE_RADIUS_MAX {
            let plan = Plan::new(radius);
            for mask in plan.masks {
                assert!(mask.count_ones() <= plan.pair, "radius {radius}");
                assert!(plan.left(*mask) <= 5, "radius {radius}");
            }
        }
    }
}
