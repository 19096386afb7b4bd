//! Many queries at once, bucket by bucket.
//!
//! A single query waits for its lines. With very many queries each bucket is wanted by several: the queries are
//! sorted by their key in a table, each bucket is read once, and every query whose key is a flip away is compared
//! with it while its lines are in the first cache. Nothing is expanded: the queries of a bucket are found
//! by flipping the *bucket's* key. What passes the filter is [put in order](candidates) before it is judged.
//!
//! Work is handed out to threads as ranges of buckets of one table, so that every line is read once for all.

mod candidates;

use super::Hamming;
use super::extent::Extent;
use super::kernel::{Asking, FEW, Kernel, LINE, MANY, WithKernel, dispatch};
use super::memory::Row;
use super::permutation::{Code, Front, PARTS, front, part};
use super::probe::{Plan, TABLE_RADIUS_MAX, prefetch, prefetch_lines};
use super::tables::{BUCKETS, BucketView};
use crate::Hit;
use candidates::{Candidates, Queries};
use crossbeam_epoch::Guard;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewer queries than this are answered one by one.
const SORTED_MIN: usize = 8 * 1024;
/// More queries than this are answered in parts, which bounds what a call takes: about 180 bytes a query, beside the
/// candidates that its threads hold. The more there are, the more share what is read: at thirty million codes the sweep
/// takes 4.9 µs a query in parts of a million, 8 in parts of a quarter.
const SORTED_MAX: usize = 1 << 20;
/// Buckets of one table that a thread takes at a time.
const RANGE_BUCKETS: usize = BUCKETS / 4;
/// Buckets between the prefetch of a directory word, of the lines, and their use.
const AHEAD_BUCKETS: usize = 8;
/// From so many queries on nearly every line of a bucket has candidates, whose groups are wanted then: 17 a bucket, of
/// which one in fifteen finds something in a line.
const CROWDED_MIN: usize = BUCKETS;
/// Queries compared with a bucket at a time.
const CROWD: usize = 8 * MANY;
/// Queries that join at a time.
const JOINED: usize = 4;
/// Candidates that are handed on together, and up to a line for every query more.
const FRESH: usize = 1024;

/// What a thread found: query, code, distance.
type Found = (u32, u32, u16);

pub(super) fn query_many(
    hamming: &Hamming,
    values: &[[u8; 32]],
    radius: u16,
    threads: usize,
) -> Vec<Vec<Hit>> {
    let by_tables = u32::from(radius) <= TABLE_RADIUS_MAX && hamming.ready.load(Ordering::Acquire);
    if by_tables && values.len() >= SORTED_MIN {
        let parts = values.len().div_ceil(SORTED_MAX);
        let share = values.len().div_ceil(parts);
        return values.chunks(share).flat_map(|part| sorted(hamming, part, radius, threads)).collect();
    }
    let answer = |part: &[[u8; 32]]| match by_tables {
        true => one_by_one(hamming, part, radius),
        false => flat(hamming, part, radius),
    };
    let share = values.len().div_ceil(threads).max(64);
    if values.len() <= share {
        return answer(values);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = values.chunks(share).map(|part| scope.spawn(move || answer(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a search does not panic")).collect()
    })
}

fn one_by_one(hamming: &Hamming, values: &[[u8; 32]], radius: u16) -> Vec<Vec<Hit>> {
    values.iter().map(|value| hamming.query(value, radius)).collect()
}

fn flat(hamming: &Hamming, values: &[[u8; 32]], radius: u16) -> Vec<Vec<Hit>> {
    let guard = crossbeam_epoch::pin();
    let queries: Vec<Code> = values.iter().map(|value| hamming.permutation.code(value)).collect();
    let mut found = vec![Vec::new(); queries.len()];
    let radius = u32::from(radius);
    let scan = super::FlatScan { hamming, queries: &queries, radius, found: &mut found };
    dispatch(hamming.instructions, scan);
    found.iter_mut().map(|found| hamming.hits(found, &guard)).collect()
}

/// All queries through the tables, bucket by bucket.
fn sorted(hamming: &Hamming, values: &[[u8; 32]], radius: u16, threads: usize) -> Vec<Vec<Hit>> {
    let guard = crossbeam_epoch::pin();
    let queries: Vec<Code> = values.iter().map(|value| hamming.permutation.code(value)).collect();
    let rows: Vec<KeyOrder> = (0..PARTS).map(|table| KeyOrder::new(&queries, table)).collect();
    let mut fronts: Row<Front> = Row::zeroed(queries.len());
    fronts.as_mut_slice().iter_mut().zip(&queries).for_each(|(to, query)| *to = front(query));
    let (next, plan) = (AtomicUsize::new(0), Plan::new(u32::from(radius)));
    let queries = Queries { codes: &queries, fronts: fronts.as_slice(), radius: u32::from(radius) };
    let expected = values.len() * (hamming.codes.end() as usize / BUCKETS + 1) / threads;
    let work = || {
        // Each thread pins for itself, before it looks at any table.
        let guard = crossbeam_epoch::pin();
        let mut candidates = Candidates::new(hamming, queries, expected);
        loop {
            let range = next.fetch_add(1, Ordering::Relaxed);
            let (table, first) = (range / (BUCKETS / RANGE_BUCKETS), range % (BUCKETS / RANGE_BUCKETS));
            let Some(order) = rows.get(table) else { return candidates.finish() };
            let (first, guard, candidates) = (first * RANGE_BUCKETS, &guard, &mut candidates);
            dispatch(hamming.instructions, Sweep { hamming, order, plan, table, first, guard, candidates });
        }
    };
    let mut found: Vec<Found> = if threads == 1 {
        work()
    } else {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a search does not panic")).collect()
        })
    };
    found.sort_unstable();
    let mut answers = vec![Vec::new(); values.len()];
    let mut pairs = Vec::new();
    for same_query in found.chunk_by(|a, b| a.0 == b.0) {
        pairs.clear();
        pairs.extend(same_query.iter().map(|(_, number, distance)| (*number, *distance)));
        answers[same_query[0].0 as usize] = hamming.hits(&mut pairs, &guard);
    }
    answers
}

/// Queries in the order of their key in one table.
struct KeyOrder {
    /// Where the queries of each key start, and the end of the last.
    starts: Box<[u32; BUCKETS + 1]>,
    /// With [`JOINED`] more that nobody asks for.
    queries: Vec<Asking>,
}

impl KeyOrder {
    fn new(queries: &[Code], table: usize) -> Self {
        let mut starts: Box<[u32; BUCKETS + 1]> = vec![0; BUCKETS + 1].try_into().expect("its length");
        for query in queries {
            starts[usize::from(part(query, table)) + 1] += 1;
        }
        for key in 0..BUCKETS {
            starts[key + 1] += starts[key];
        }
        let (mut next, mut order) = (starts.clone(), vec![Asking::default(); queries.len() + JOINED]);
        for (number, query) in (0u32..).zip(queries) {
            let place = &mut next[usize::from(part(query, table))];
            let fingerprint_twice = u32::from(part(query, table + 1)) * 0x1_0001;
            order[*place as usize] = Asking { query: number, fingerprint_twice };
            *place += 1;
        }
        Self { starts, queries: order }
    }

    #[inline(always)]
    fn with_key(&self, key: u16) -> Keyed<'_> {
        let (first, last) =
            (self.starts[usize::from(key)] as usize, self.starts[usize::from(key) + 1] as usize);
        Keyed { queries: &self.queries[first..], count: last - first }
    }
}

/// The queries of one key: the first `count` of these, with at least [`JOINED`] more behind.
struct Keyed<'a> {
    queries: &'a [Asking],
    count: usize,
}

/// A range of buckets of one table, for all queries: what passes the filter is kept.
struct Sweep<'a, 'h> {
    hamming: &'a Hamming,
    order: &'a KeyOrder,
    plan: Plan,
    table: usize,
    first: usize,
    guard: &'a Guard,
    candidates: &'a mut Candidates<'h>,
}

impl WithKernel for Sweep<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with<K: Kernel>(self) {
        let Self { hamming, order, plan, table, first, guard, candidates } = self;
        let last = first + RANGE_BUCKETS;
        let crowded = order.queries.len() >= CROWDED_MIN;
        let mut views = [BucketView::EMPTY; AHEAD_BUCKETS];
        let mut crowd = Crowd::new();
        for step in first..last + AHEAD_BUCKETS {
            if step >= first + AHEAD_BUCKETS {
                let (view, key) = (&views[step % AHEAD_BUCKETS], (step - AHEAD_BUCKETS) as u16);
                for masks in plan.masks.chunk_by(|a, b| a.count_ones() == b.count_ones()) {
                    let left = plan.left(masks[0]);
                    for mask in masks {
                        crowd.join::<K>(order.with_key(key ^ mask), view, left, candidates);
                    }
                    crowd.compare::<K>(view, left, candidates);
                }
            }
            if step < last {
                // The directory is read in order; the hardware follows it.
                let view = hamming.tables.view(table, step as u16, guard);
                match crowded {
                    true => prefetch_whole(&view),
                    false => prefetch_lines(&view),
                }
                views[step % AHEAD_BUCKETS] = view;
            }
        }
        candidates.add(&crowd.fresh);
    }
}

/// Groups as well as fingerprints: they stand behind them, at once where an extent has no slack.
#[inline(always)]
fn prefetch_whole(view: &BucketView) {
    for extent in [&view.main, &view.overflow] {
        for line in 0..2 * extent.lines() {
            prefetch(extent.line(line));
        }
    }
}

/// Queries that a bucket is compared with.
struct Crowd {
    queries: [Asking; CROWD],
    len: usize,
    /// Which of them passed in the line at hand, by place; the last chunk is written whole.
    passed: [u32; CROWD + MANY],
    /// What passed, query and group, before it is handed on.
    fresh: Vec<(u32, u32)>,
}

impl Crowd {
    fn new() -> Self {
        let (queries, passed) = ([Asking::default(); CROWD], [0; CROWD + MANY]);
        Self { queries, len: 0, passed, fresh: Vec::with_capacity(FRESH + CROWD * LINE) }
    }

    /// Adds the queries of a key; compares those that are there when there is no more room.
    #[inline(always)]
    fn join<K: Kernel>(
        &mut self,
        keyed: Keyed<'_>,
        view: &BucketView,
        left: u32,
        candidates: &mut Candidates<'_>,
    ) {
        for first in (0..keyed.count).step_by(JOINED) {
            if self.len > CROWD - JOINED {
                self.compare::<K>(view, left, candidates);
            }
            // Always as many, so that nothing depends on how many there are; the next ones overwrite what is too much.
            self.queries[self.len..self.len + JOINED].copy_from_slice(&keyed.queries[first..first + JOINED]);
            self.len += JOINED.min(keyed.count - first);
        }
    }

    /// Compares all with the bucket, and has none afterwards.
    #[inline(always)]
    fn compare<K: Kernel>(&mut self, view: &BucketView, left: u32, candidates: &mut Candidates<'_>) {
        if self.len > 0 {
            for extent in [&view.main, &view.overflow].into_iter().filter(|extent| extent.len() > 0) {
                match left {
                    0 => self.scan::<K, 0>(extent, candidates),
                    1 => self.scan::<K, 1>(extent, candidates),
                    2 => self.scan::<K, 2>(extent, candidates),
                    3 => self.scan::<K, 3>(extent, candidates),
                    4 => self.scan::<K, 4>(extent, candidates),
                    _ => self.scan::<K, 5>(extent, candidates),
                }
            }
            self.len = 0;
        }
    }

    /// A line at a time, for all queries: nothing depends on what is found before the line is done.
    #[inline(always)]
    fn scan<K: Kernel, const T: u32>(&mut self, extent: &Extent, candidates: &mut Candidates<'_>) {
        let mut within = [[0; FEW]; CROWD / FEW];
        // A multiple of a few: the last ones may be left over from before.
        let fews = &self.queries.as_chunks::<FEW>().0[..self.len.div_ceil(FEW)];
        for line in 0..extent.lines() {
            // SAFETY: a line of an extent is readable: what follows the fingerprints of a short one are its groups.
            unsafe { K::line_within_each::<T>(extent.line(line), fews, &mut within) };
            let lanes = extent.lanes(line);
            let mut passed = 0;
            for (at, within) in within.as_flattened().as_chunks::<MANY>().0.iter().enumerate() {
                let first = at * MANY;
                if first >= self.len {
                    break;
                }
                let (numbers, _) =
                    self.passed[passed..].split_first_chunk_mut().expect("room for all and more");
                // SAFETY: the kernel was chosen for this processor.
                passed += unsafe { K::marked(within, self.len - first, lanes, first as u32, numbers) };
            }
            if passed == 0 {
                continue;
            }
            let groups = extent.line_groups::<K>(line);
            for at in self.passed[..passed].iter().map(|at| *at as usize) {
                let mut lanes = within.as_flattened()[at] & lanes;
                while lanes != 0 {
                    self.fresh.push((self.queries[at].query, groups.group(lanes.trailing_zeros() as usize)));
                    lanes &= lanes - 1;
                }
            }
            if self.fresh.len() >= FRESH {
                candidates.add(&self.fresh);
                self.fresh.clear();
            }
        }
    }
}
