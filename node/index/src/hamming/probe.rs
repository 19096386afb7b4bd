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
use super::extent::{Extent, Sink};
use super::kernel::{Kernel, WithKernel};
use super::permutation::{Code, PARTS, part};
use super::tables::BucketView;
use crossbeam_epoch::Guard;

/// Probes of one table that pass a stage of the pipeline together: all of them for radius 16 to 31.
const BLOCK: usize = 17;
/// Survivors waiting for their memory, at each of two stages.
const WAITING: usize = 16;
/// Lines of an extent that are prefetched; the hardware follows a longer run by itself.
const PREFETCHED_LINES: usize = 16;
/// The largest radius that the tables answer; beyond it a flat scan reads less.
pub(crate) const RADIUS_MAX: u32 = 47;

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
    /// For a radius of at most [`RADIUS_MAX`].
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

#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch reads nothing that the program can see and faults at no address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast());
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
        let blocks = plan.masks.chunks(BLOCK);
        let row = (0..PARTS).flat_map(|table| blocks.clone().map(move |masks| (table, masks)));
        let mut survivors = Survivors::new(hamming, query, radius, found);
        let mut views = [[BucketView::EMPTY; BLOCK]; 2];
        let (mut here, mut near): (Option<(usize, &[u16])>, Option<(usize, &[u16])>) = (None, None);
        for (turn, far) in row.map(Some).chain([None, None]).enumerate() {
            let [ready, next] = &mut views;
            let (ready, next) = if turn % 2 == 0 { (ready, next) } else { (next, ready) };
            // Three blocks side by side: scan one, fetch the lines of the next, and the directory of the one after.
            let keys = |block: Option<(usize, &'static [u16])>| {
                let (table, masks) = block.unwrap_or((0, &[]));
                (table, part(query, table), masks)
            };
            let (table, _, masks) = keys(here);
            let fingerprint = part(query, table + 1);
            let (near_table, near_key, near_masks) = keys(near);
            let (far_table, far_key, far_masks) = keys(far);
            for at in 0..BLOCK {
                if let (Some(&mask), Some(view)) = (masks.get(at), ready.get(at)) {
                    let left = plan.left(mask);
                    view.main.scan::<K>(fingerprint, left, &mut survivors);
                    if view.overflow.len() > 0 {
                        view.overflow.scan::<K>(fingerprint, left, &mut survivors);
                    }
                }
                if let (Some(&mask), Some(view)) = (near_masks.get(at), next.get_mut(at)) {
                    *view = tables.view(near_table, near_key ^ mask, guard);
                    prefetch_lines(view);
                }
                if let Some(&mask) = far_masks.get(at) {
                    prefetch(tables.address(far_table, far_key ^ mask));
                }
            }
            (here, near) = (near, far);
        }
        survivors.finish::<K>();
    }
}

/// Entries that passed the filter, on their way to their codes.
struct Survivors<'a> {
    hamming: &'a Hamming,
    query: &'a Code,
    radius: u32,
    found: &'a mut Vec<(u32, u16)>,
    entries: [(Extent, usize); WAITING],
    added: usize,
    groups: [u32; WAITING],
    resolved: usize,
}

impl<'a> Survivors<'a> {
    #[inline(always)]
    fn new(hamming: &'a Hamming, query: &'a Code, radius: u32, found: &'a mut Vec<(u32, u16)>) -> Self {
        let entries = [(Extent::EMPTY, 0); WAITING];
        Self { hamming, query, radius, found, entries, added: 0, groups: [0; WAITING], resolved: 0 }
    }

    /// Learns an entry's group and lets the one judged that waited longest.
    #[inline(always)]
    fn resolve<K: Kernel>(&mut self, at: usize) {
        let (extent, slot) = self.entries[at];
        let group = extent.group::<K>(slot);
        prefetch(self.hamming.codes.front(group));
        if self.resolved >= WAITING {
            self.judge::<K>(self.resolved % WAITING);
        }
        self.groups[self.resolved % WAITING] = group;
        self.resolved += 1;
    }

    #[inline(always)]
    fn judge<K: Kernel>(&mut self, at: usize) {
        self.hamming.codes.judge::<K>(self.groups[at], self.query, self.radius, self.found);
    }

    #[inline(always)]
    fn finish<K: Kernel>(mut self) {
        for at in self.added.saturating_sub(WAITING)..self.added {
            self.resolve::<K>(at % WAITING);
        }
        for at in self.resolved.saturating_sub(WAITING)..self.resolved {
            self.judge::<K>(at % WAITING);
        }
    }
}

impl Sink for Survivors<'_> {
    #[inline(always)]
    fn take<K: Kernel>(&mut self, extent: &Extent, slot: usize) {
        prefetch(extent.group_address(slot));
        if self.added >= WAITING {
            self.resolve::<K>(self.added % WAITING);
        }
        self.entries[self.added % WAITING] = (*extent, slot);
        self.added += 1;
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
        for radius in 0..=RADIUS_MAX {
            let plan = Plan::new(radius);
            for mask in plan.masks {
                assert!(mask.count_ones() <= plan.pair, "radius {radius}");
                assert!(plan.left(*mask) <= 5, "radius {radius}");
            }
        }
    }
}
