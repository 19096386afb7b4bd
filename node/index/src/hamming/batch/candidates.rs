//! What passed the filter of a batch, put in order of where the codes stand before it is judged.
//!
//! A candidate is a query and a group of codes. Judged as they come, each would be a walk to another place in memory. So
//! memory is cut into *regions* that the second cache holds, every region has a place for its candidates, and a region is
//! judged when its place is full: a line of codes is then read once for all who want it, and its neighbours follow.
//! What is held is bounded whatever the queries and the values are.
//!
//! A candidate is one word: the query in the low bits, the group within its region in the high ones. A bit more
//! for the number of the query is one less for the region.

use super::super::Hamming;
use super::super::codes::GROUP;
use super::super::kernel::{Kernel, WithKernel, dispatch};
use super::super::memory::Row;
use super::super::permutation::{Code, Front};
use super::super::probe::prefetch;
use super::Found;

/// Candidates that a thread holds at most: 128 MiB.
const HELD_MAX: usize = 1 << 25;
/// Candidates that a region has room for at least: what is read ahead is worth it only for many.
const REGION_HELD_MIN: usize = 64;
/// Bits of the largest region: 2^12 groups, of which the judging reads 256 KiB. With four times as many a candidate
/// takes twice the time.
const REGION_BITS_MAX: u32 = 12;
/// Candidates between the prefetch of a place in a room and its use: a line.
const LINE_AHEAD: usize = 16;
/// Candidates between the prefetch of a code and its judgement.
const WAITING: usize = 32;

/// The queries of a batch, as candidates are compared with them: at a hundred million codes eleven hundred for each.
#[derive(Clone, Copy)]
pub(super) struct Queries<'a> {
    pub(super) codes: &'a [Code],
    /// The fronts of the codes: half as much memory to walk about in.
    pub(super) fronts: &'a [Front],
    pub(super) radius: u32,
}

/// The candidates of one thread.
pub(super) struct Candidates<'a> {
    hamming: &'a Hamming,
    queries: Queries<'a>,
    /// Bits of a candidate that are the query's number.
    query_bits: u32,
    /// Bits of a group's number that say where in its region it is.
    region_bits: u32,
    /// Candidates that a region has room for.
    room: usize,
    /// How many candidates each region has.
    counts: Vec<u32>,
    /// All rooms, one after another.
    held: Row<u32>,
    found: Vec<Found>,
}

impl<'a> Candidates<'a> {
    /// Room for candidates of these queries; at most 2^20 queries. About `expected` are worth holding.
    pub(super) fn new(hamming: &'a Hamming, queries: Queries<'a>, expected: usize) -> Self {
        let query_bits = queries.codes.len().next_power_of_two().trailing_zeros();
        let region_bits = (u32::BITS - query_bits).min(REGION_BITS_MAX);
        let groups = hamming.codes.end().div_ceil(GROUP);
        let regions = (groups >> region_bits) as usize + 1;
        let room = (expected.min(HELD_MAX) / regions).max(REGION_HELD_MIN);
        let (counts, held) = (vec![0; regions], Row::zeroed(regions * room));
        Self { hamming, queries, query_bits, region_bits, room, counts, held, found: Vec::new() }
    }

    /// Adds candidates, query and group of each, and judges regions that have no more room.
    #[inline(never)]
    pub(super) fn add(&mut self, candidates: &[(u32, u32)]) {
        let (query_bits, region_bits, room) = (self.query_bits, self.region_bits, self.room);
        let within = (1u32 << region_bits) - 1;
        for &(query, group) in candidates {
            let region = (group >> region_bits) as usize;
            // A group behind the end of when the batch began belongs to a code that came later.
            let Some(count) = self.counts.get_mut(region) else { continue };
            let place = &mut self.held.as_mut_slice()[region * room + *count as usize];
            *place = (group & within) << query_bits | query;
            // Else each new line is waited for; behind the last room nothing is read.
            prefetch(std::ptr::from_ref(place).wrapping_add(LINE_AHEAD).cast());
            *count += 1;
            if *count as usize == room {
                self.judge(region);
            }
        }
    }

    /// Judges what is left and gives what was found.
    pub(super) fn finish(mut self) -> Vec<Found> {
        (0..self.counts.len()).for_each(|region| self.judge(region));
        self.found
    }

    #[inline(never)]
    fn judge(&mut self, region: usize) {
        let Self { hamming, queries, query_bits, region_bits, ref counts, ref held, .. } = *self;
        let held = &held.as_slice()[region * self.room..][..counts[region] as usize];
        let (first, found) = ((region as u32) << region_bits, &mut self.found);
        dispatch(hamming.instructions, Judge { hamming, queries, query_bits, first, held, found });
        self.counts[region] = 0;
    }
}

/// Judges the candidates of one region.
struct Judge<'a> {
    hamming: &'a Hamming,
    queries: Queries<'a>,
    query_bits: u32,
    /// The region's first group.
    first: u32,
    held: &'a [u32],
    found: &'a mut Vec<Found>,
}

impl WithKernel for Judge<'_> {
    type Output = ();

    #[inline(always)]
    fn with<K: Kernel>(self) {
        let Self { hamming, queries, query_bits, first, held, found } = self;
        let Queries { codes, fronts, radius } = queries;
        let split = |word: u32| (first + (word >> query_bits), (word & ((1 << query_bits) - 1)) as usize);
        let mut same = Vec::new();
        for (at, &word) in held.iter().enumerate() {
            let (group, query) = split(held[(at + WAITING).min(held.len() - 1)]);
            prefetch(hamming.codes.front(group));
            prefetch(std::ptr::from_ref(&fronts[query]).cast());
            let (group, query) = split(word);
            let near = hamming.codes.near::<K>(group, &fronts[query], radius);
            // Hardly ever; an empty drain for each candidate would be a call of its own.
            if near != 0 {
                hamming.codes.measure(group, near, &codes[query], radius, &mut same);
                found.extend(same.drain(..).map(|(number, distance)| (query as u32, number, distance)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::HammingWriter;
    use super::super::super::permutation::front;
    use super::*;
    use crate::random::Random;
    use crate::{Instructions, Options};

    const CODES: usize = 3000;

    fn values(random: &mut Random, count: usize) -> Vec<[u8; 32]> {
        (0..count).map(|_| std::array::from_fn(|_| random.next() as u8)).collect()
    }

    /// Every pair of query and group, in a wild order; some of them twice, and some groups that do not exist.
    fn pairs(random: &mut Random, queries: u32) -> Vec<(u32, u32)> {
        let groups = CODES as u32 / GROUP + 5;
        let mut pairs: Vec<(u32, u32)> =
            (0..queries).flat_map(|query| (0..groups).map(move |group| (query, group))).collect();
        pairs.extend_from_within(..1000);
        pairs.extend((0..queries).map(|query| (query, u32::MAX)));
        for last in (1..pairs.len()).rev() {
            pairs.swap(last, random.below(last as u64 + 1) as usize);
        }
        pairs
    }

    #[test]
    fn every_candidate_is_judged_however_little_room_there_is() {
        let mut random = Random::from_seed([5; 32]);
        for instructions in Instructions::available() {
            let hamming = Hamming::new(&mut random, instructions, Options::FLAT_MAX);
            let (stored, mut writer) = (values(&mut random, CODES), HammingWriter::new());
            for (value, record) in stored.iter().zip(0..) {
                writer.insert(&hamming, value, record);
            }
            // Two thirds are far from everything, the others 0, 1, 2 … bits from something, up to beyond the radius.
            let mut asked = values(&mut random, 200);
            for (at, asked) in asked.iter_mut().enumerate().step_by(3) {
                *asked = stored[at * 7];
                (0..at / 3).for_each(|bit| asked[bit / 8] ^= 1 << (bit % 8));
            }
            let codes: Vec<Code> = asked.iter().map(|value| hamming.code(value)).collect();
            let fronts: Vec<Front> = codes.iter().map(front).collect();
            let queries = Queries { codes: &codes, fronts: &fronts, radius: 31 };
            let expected: Vec<Found> = (0..).zip(0..32).map(|(at, bits)| (3 * at, 21 * at, bits)).collect();
            for room in [0, 1 << 20] {
                let mut candidates = Candidates::new(&hamming, queries, room);
                for some in pairs(&mut random, codes.len() as u32).chunks(777) {
                    candidates.add(some);
                }
                let mut found = candidates.finish();
                found.sort_unstable();
                found.dedup();
                assert_eq!(found, expected, "{} with room for {room}", instructions.name());
            }
        }
    }
}
