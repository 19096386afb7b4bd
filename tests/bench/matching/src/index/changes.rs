//! What changes cost, when they are seen, and what readers notice of them.
//!
//! Values that are inserted come from the second half of the queries, which are of the same kind as what is
//! stored; readers ask the first half. A reader's latencies beside a writer are compared with those of the same
//! reader without one, measured in turns in the same minute, because the machine's mood is larger than the difference.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use hashpact_index::MatchIndex;

use crate::data::read_values;
use crate::latency::Samples;
use crate::lookup::{RADIUS, Side};
use crate::report::{Line, Report};

/// Queries that a reader asks in a turn.
const TURN: usize = 5000;
/// Turns with and without a writer.
const TURNS: usize = 6;

/// Runs all three; the index holds about a tenth of the queries more afterwards and 1 % of the stored values less.
pub(crate) fn measure(side: &Side, report: &mut Report) -> Result<()> {
    let (asked, fresh) = side.queries.split_at(side.queries.len() / 2);
    let mut fresh = Fresh { values: fresh, record: side.set.size.stored as u64 };
    let inserts = insert(&side.index, fresh.take(side.queries.len() / 20), report, &side.metric)?;
    report.raw(&format!("{}.insert/ours", side.metric), &inserts)?;
    visibility(side, fresh.take(side.queries.len() / 100), report)?;
    beside_inserts(side, asked, &mut fresh, report)?;
    beside_removals(side, asked, report)
}

/// Values that are not in the index yet, each handed out once with a record of its own.
struct Fresh<'a> {
    values: &'a [[u8; 32]],
    record: u64,
}

impl<'a> Fresh<'a> {
    fn take(&mut self, count: usize) -> Vec<(u64, &'a [u8; 32])> {
        let (taken, rest) = self.values.split_at(count.min(self.values.len()));
        let first = self.record;
        self.values = rest;
        self.record += taken.len() as u64;
        (first..).zip(taken).collect()
    }
}

fn insert(
    index: &MatchIndex,
    values: Vec<(u64, &[u8; 32])>,
    report: &Report,
    metric: &str,
) -> Result<Samples> {
    let mut samples = Samples::default();
    for (record, value) in values {
        samples.time(|| index.insert_hamming(value, record));
    }
    report.percentiles(&format!("{metric}.insert"), &samples, &[("p50", 1.0), ("p99", 3.0)])?;
    Ok(samples)
}

/// One thread inserts; another, on another processor where there is one, asks for the value as soon as it hears that the
/// insertion returned. The time is from the start of the insertion to the end of that first query.
fn visibility(side: &Side, values: Vec<(u64, &[u8; 32])>, report: &Report) -> Result<()> {
    let (inserted, seen) = (AtomicU64::new(0), AtomicU64::new(0));
    let index = &side.index;
    let (mut samples, mut missed) = (Samples::default(), 0_u32);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut missed = 0;
            for (number, (record, value)) in (1..).zip(&values) {
                spin_until(&inserted, number);
                missed +=
                    u32::from(!index.query_hamming(value, RADIUS).iter().any(|hit| hit.record == *record));
                seen.store(number, Ordering::Release);
            }
            missed
        });
        for (number, (record, value)) in (1..).zip(&values) {
            samples.time(|| {
                index.insert_hamming(value, *record);
                inserted.store(number, Ordering::Release);
                spin_until(&seen, number);
            });
        }
        missed = reader.join().expect("a query does not panic");
    });
    report.percentiles(&format!("{}.visibility", side.metric), &samples, &[])?;
    let metric = format!("{}.visibility.missed", side.metric);
    report.line(&Line::new(metric, f64::from(missed), "values").target(0.0))
}

fn spin_until(cell: &AtomicU64, number: u64) {
    let mut spins = 0_u32;
    while cell.load(Ordering::Acquire) < number {
        std::hint::spin_loop();
        spins += 1;
        // Where both threads share a processor the other one must run for this to become true.
        if spins.is_multiple_of(10_000) {
            std::thread::yield_now();
        }
    }
}

fn beside_inserts(side: &Side, asked: &[[u8; 32]], fresh: &mut Fresh<'_>, report: &mut Report) -> Result<()> {
    let mut turns = Beside::default();
    let mut missing = 0_usize;
    for turn in 0..TURNS {
        turns.idle(side, slice(asked, 2 * turn));
        // More than a writer manages in a turn; what is left over goes back.
        let values = fresh.values;
        let first = fresh.record;
        turns.busy(side, slice(asked, 2 * turn + 1), |stop| {
            let fresh = (first..).zip(values).take_while(|_| !stop.load(Ordering::Relaxed));
            fresh.map(|(record, value)| side.index.insert_hamming(value, record)).count()
        });
        let inserted = fresh.take(turns.last_count);
        for (record, value) in inserted.iter().step_by((inserted.len() / 200).max(1)) {
            missing += usize::from(!holds(side, value, *record));
        }
    }
    let metric = format!("{}.inserted.not_found", side.metric);
    report.line(&Line::new(metric, missing as f64, "values").target(0.0))?;
    turns.say(side, "inserts", report)
}

fn beside_removals(side: &Side, asked: &[[u8; 32]], report: &mut Report) -> Result<()> {
    let each = (side.set.size.stored / 100 / TURNS).max(1);
    let mut turns = Beside::default();
    let mut left = 0_usize;
    for turn in 0..TURNS {
        turns.idle(side, slice(asked, 2 * turn));
        let first = turn * each;
        let values = read_values(&side.set.stored, first, each)?;
        turns.busy(side, slice(asked, 2 * turn + 1), |_| {
            let removed = (first as u64..).zip(&values);
            removed.filter(|(record, value)| side.index.remove_hamming(value, *record)).count()
        });
        left += each - turns.last_count;
        for (record, value) in (first as u64..).zip(&values).step_by((each / 200).max(1)) {
            left += usize::from(holds(side, value, record));
        }
    }
    let metric = format!("{}.removed.still_found", side.metric);
    report.line(&Line::new(metric, left as f64, "values").target(0.0))?;
    turns.say(side, "removals", report)
}

fn holds(side: &Side, value: &[u8; 32], record: u64) -> bool {
    side.index.query_hamming(value, 0).iter().any(|hit| hit.record == record)
}

/// A turn's queries; they start again from the front when there are not enough.
fn slice(asked: &[[u8; 32]], turn: usize) -> &[[u8; 32]] {
    let length = TURN.min(asked.len());
    let start = turn * length % (asked.len() - length + 1);
    &asked[start..start + length]
}

/// A reader's latencies without and beside a writer.
#[derive(Debug, Default)]
struct Beside {
    idle: Samples,
    busy: Samples,
    changes: usize,
    last_count: usize,
    seconds: f64,
}

impl Beside {
    fn idle(&mut self, side: &Side, queries: &[[u8; 32]]) {
        queries.iter().for_each(|query| drop(self.idle.time(|| side.index.query_hamming(query, RADIUS))));
    }

    /// Reads until the queries are through or the writer has nothing more to do, whichever comes first, so that
    /// every sample had a writer beside it.
    fn busy(&mut self, side: &Side, queries: &[[u8; 32]], write: impl FnOnce(&AtomicBool) -> usize + Send) {
        let (started, stop, done) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                started.store(true, Ordering::Release);
                let start = Instant::now();
                let count = write(&stop);
                done.store(true, Ordering::Release);
                (count, start.elapsed().as_secs_f64())
            });
            while !started.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            for query in queries {
                if done.load(Ordering::Acquire) {
                    break;
                }
                self.busy.time(|| side.index.query_hamming(query, RADIUS));
            }
            stop.store(true, Ordering::Relaxed);
            let (count, seconds) = writer.join().expect("a change does not panic");
            self.last_count = count;
            self.changes += count;
            self.seconds += seconds;
        });
    }

    fn say(&self, side: &Side, what: &str, report: &mut Report) -> Result<()> {
        let metric = format!("{}.reader_beside_{what}", side.metric);
        report.raw(&format!("{metric}/idle"), &self.idle)?;
        report.raw(&format!("{metric}/beside"), &self.busy)?;
        let counts = [&self.idle, &self.busy].map(|samples| samples.nanoseconds().len());
        let note = format!("{} samples beside, {} idle", counts[1], counts[0]);
        report.percentiles(&metric, &self.busy, &[])?;
        let [idle, busy] = [&self.idle, &self.busy].map(|samples| samples.percentiles_us([0.5, 0.99]));
        for (number, name) in ["p50", "p99"].into_iter().enumerate() {
            // A p99 of fewer samples is the mood of a moment.
            if counts[1] >= 1000 {
                let ratio = busy[number] / idle[number];
                let line = Line::new(format!("{metric}.{name}_over_idle"), ratio, "times").note(&note);
                report.line(&if name == "p99" { line.target(1.3) } else { line })?;
            }
        }
        let rate = self.changes as f64 / self.seconds;
        report.line(
            &Line::new(format!("{metric}.{what}"), rate, "1/s").note(format!("{} in all", self.changes)),
        )
    }
}
