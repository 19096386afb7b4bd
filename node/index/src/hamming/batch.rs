//! Many queries at once, bucket by bucket.
//!
//! A single query waits for its lines. With very many queries each bucket is wanted by several: the queries are
//! sorted by their key in a table, each bucket is read once, and every query whose key is a flip away is compared
//! with it while its lines are in the first cache. Nothing is expanded: the queries of a bucket are found
//! by flipping the *bucket's* key.
//!
//! Work is handed out to threads as ranges of buckets of one table, so that every line is read once for all.

use super::Hamming;
use super::extent::{Extent, Sink};
use super::kernel::{Kernel, WithKernel, dispatch};
use super::permutation::{Code, PARTS, part};
use super::probe::{Plan, RADIUS_MAX, prefetch, prefetch_lines};
use super::tables::{BUCKETS, BucketView};
use crate::Hit;
use crossbeam_epoch::Guard;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewer queries than this are answered one by one.
const SORTED_MIN: usize = 8 * 1024;
/// More queries than this are answered in parts: their codes should stay in the second cache.
const SORTED_MAX: usize = 128 * 1024;
/// Buckets of one table that a thread takes at a time.
const RANGE_BUCKETS: usize = BUCKETS / 4;
/// Buckets between the prefetch of a directory word, of the lines, and their use.
const AHEAD_BUCKETS: usize = 8;
/// Survivors waiting for their codes.
const WAITING: usize = 32;

/// What a thread found: query, code, distance.
type Found = (u32, u32, u16);

pub(super) fn query_many(
    hamming: &Hamming,
    values: &[[u8; 32]],
    radius: u16,
    threads: usize,
) -> Vec<Vec<Hit>> {
    let by_tables = u32::from(radius) <= RADIUS_MAX && hamming.ready.load(Ordering::Acquire);
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
    let (next, plan) = (AtomicUsize::new(0), Plan::new(u32::from(radius)));
    let work = || {
        // Each thread pins for itself, before it looks at any table.
        let guard = crossbeam_epoch::pin();
        let mut found = Vec::new();
        loop {
            let range = next.fetch_add(1, Ordering::Relaxed);
            let (table, first) = (range / (BUCKETS / RANGE_BUCKETS), range % (BUCKETS / RANGE_BUCKETS));
            let Some(order) = rows.get(table) else { return found };
            let first = first * RANGE_BUCKETS;
            let radius = u32::from(radius);
            let (queries, guard, found) = (&queries, &guard, &mut found);
            dispatch(
                hamming.instructions,
                Sweep { hamming, queries, order, plan, radius, table, first, guard, found },
            );
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
    let mut answers = vec![Vec::new(); queries.len()];
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
    /// Number and next part of each query.
    queries: Vec<(u32, u16)>,
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
        let (mut next, mut order) = (starts.clone(), vec![(0, 0); queries.len()]);
        for (number, query) in (0u32..).zip(queries) {
            let place = &mut next[usize::from(part(query, table))];
            order[*place as usize] = (number, part(query, table + 1));
            *place += 1;
        }
        Self { starts, queries: order }
    }

    #[inline(always)]
    fn with_key(&self, key: u16) -> &[(u32, u16)] {
        let key = usize::from(key);
        &self.queries[self.starts[key] as usize..self.starts[key + 1] as usize]
    }
}

/// A range of buckets of one table, for all queries.
struct Sweep<'a> {
    hamming: &'a Hamming,
    queries: &'a [Code],
    order: &'a KeyOrder,
    plan: Plan,
    radius: u32,
    table: usize,
    first: usize,
    guard: &'a Guard,
    found: &'a mut Vec<Found>,
}

impl WithKernel for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn with<K: Kernel>(self) {
        let Self { hamming, queries, order, plan, radius, table, first, guard, found } = self;
        let last = first + RANGE_BUCKETS;
        let mut candidates = Candidates {
            hamming,
            queries,
            radius,
            found,
            query: 0,
            waiting: [(0, 0); WAITING],
            added: 0,
            same: Vec::new(),
        };
        let mut views = [BucketView::EMPTY; AHEAD_BUCKETS];
        for step in first..last + AHEAD_BUCKETS {
            if step >= first + AHEAD_BUCKETS {
                let (view, key) = (views[step % AHEAD_BUCKETS], (step - AHEAD_BUCKETS) as u16);
                for &mask in plan.masks {
                    let left = plan.left(mask);
                    for &(query, fingerprint) in order.with_key(key ^ mask) {
                        candidates.query = query;
                        view.main.scan::<K>(fingerprint, left, &mut candidates);
                        if view.overflow.len() > 0 {
                            view.overflow.scan::<K>(fingerprint, left, &mut candidates);
                        }
                    }
                }
            }
            if step < last {
                let view = hamming.tables.view(table, step as u16, guard);
                prefetch_lines(&view);
                views[step % AHEAD_BUCKETS] = view;
                // The directory is read in order; the hardware follows it.
            }
        }
        candidates.finish::<K>();
    }
}

/// Entries that passed the filter, waiting for their codes.
struct Candidates<'a> {
    hamming: &'a Hamming,
    queries: &'a [Code],
    radius: u32,
    found: &'a mut Vec<Found>,
    /// Whose candidates are being added.
    query: u32,
    waiting: [(u32, u32); WAITING],
    added: usize,
    same: Vec<(u32, u16)>,
}

impl Sink for Candidates<'_> {
    #[inline(always)]
    fn take<K: Kernel>(&mut self, extent: &Extent, slot: usize) {
        let (query, group) = (self.query, extent.group::<K>(slot));
        prefetch(self.hamming.codes.front(group));
        prefetch(std::ptr::from_ref(&self.queries[query as usize]).cast());
        if self.added >= WAITING {
            self.judge::<K>(self.added % WAITING);
        }
        self.waiting[self.added % WAITING] = (query, group);
        self.added += 1;
    }
}

impl Candidates<'_> {
    #[inline(always)]
    fn judge<K: Kernel>(&mut self, at: usize) {
        let (query, group) = self.waiting[at];
        let code = &self.queries[query as usize];
        self.hamming.codes.judge::<K>(group, code, self.radius, &mut self.same);
        self.found.extend(self.same.drain(..).map(|(number, distance)| (query, number, distance)));
    }

    #[inline(always)]
    fn finish<K: Kernel>(&mut self) {
        for at in self.added.saturating_sub(WAITING)..self.added {
            self.judge::<K>(at % WAITING);
        }
    }
}
