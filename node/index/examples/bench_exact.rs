//! Times the exact maps and prints one JSON object a line: metric, value, unit.
//!
//! `HASHPACT_N` values (1,000,000 unless told) of MD5 and of SHA-256 width, pseudo-random from fixed seeds. Run
//! it with `--release`. Look-ups go to at least a million distinct values, or to all of them, in random order,
//! so that no cache hides the memory. Every look-up is timed by itself, with the clock's own time in it; the
//! line `clock_p50` says how much that is, and `one_cold_load_p50` what a single read from as much memory takes.

use std::hint::black_box;
use std::time::Instant;

use hashpact_index::{Change, MatchIndex};

const LOOKUPS_MIN: usize = 1_000_000;
const INSERTS: usize = 1_000_000;
/// Values that go into one call while the index is built.
const BULK: usize = 10_000;

fn main() {
    let values = std::env::var("HASHPACT_N").ok().map_or(1_000_000, |text| {
        text.replace('_', "").parse().unwrap_or_else(|_| panic!("HASHPACT_N is a number, not {text}"))
    });
    // Each in a process of its own: memory that the first one freed would hide what the second one takes.
    match std::env::args().nth(1).as_deref() {
        Some("md5") => bench::<16>("md5", 2, values),
        Some("sha256") => bench::<32>("sha256", 4, values),
        Some(other) => panic!("{other} is neither md5 nor sha256"),
        None => ["md5", "sha256"].into_iter().for_each(run_alone),
    }
}

fn run_alone(name: &str) {
    let program = std::env::current_exe().expect("a running program has a path");
    let status = std::process::Command::new(program).arg(name).status().expect("the program starts again");
    assert!(status.success(), "{name}: {status}");
}

fn bench<const WIDTH: usize>(name: &str, kind: u8, values: usize) {
    let mut clock: Vec<u32> = (0..LOOKUPS_MIN).map(|_| nanoseconds(Instant::now())).collect();
    report(name, "clock_p50", percentile(&mut clock, 50.0), "ns");
    drop(clock);

    let index = MatchIndex::new();
    let before_bytes = resident_bytes();
    let start = Instant::now();
    for first in (0..values).step_by(BULK) {
        let chunk: Vec<[u8; WIDTH]> = (first..values.min(first + BULK)).map(|n| value(n as u64)).collect();
        let changed = index.apply((first as u64..).zip(&chunk).map(|(record, value)| Change::InsertExact {
            kind,
            value,
            record,
        }));
        assert_eq!(changed, chunk.len());
    }
    report(name, "build", start.elapsed().as_secs_f64(), "s");
    let grown_bytes = resident_bytes().saturating_sub(before_bytes);
    report(name, "resident", grown_bytes as f64 / values as f64, "bytes/value");

    let mut times = cold_loads(values * (WIDTH + 8));
    report(name, "one_cold_load_p50", percentile(&mut times, 50.0), "ns");

    let lookups = LOOKUPS_MIN.max(values.min(2 * LOOKUPS_MIN));
    let mut dice = 0x1234_5678_9abc_def1;
    let hits: Vec<u64> = (0..lookups).map(|_| random(&mut dice) % values as u64).collect();
    let mut times = time(
        &hits,
        |&number| {
            let value: [u8; WIDTH] = value(number);
            move |index: &MatchIndex| assert_eq!(black_box(index.query_exact(kind, &value)), [number])
        },
        &index,
    );
    report(name, "hit_p50", percentile(&mut times, 50.0), "ns");
    report(name, "hit_p99", percentile(&mut times, 99.0), "ns");
    let misses: Vec<u64> = (0..lookups as u64).map(|n| (1 << 40) + n).collect();
    let mut times = time(
        &misses,
        |&number| {
            let value: [u8; WIDTH] = value(number);
            move |index: &MatchIndex| assert!(black_box(index.query_exact(kind, &value)).is_empty())
        },
        &index,
    );
    report(name, "miss_p50", percentile(&mut times, 50.0), "ns");
    report(name, "miss_p99", percentile(&mut times, 99.0), "ns");

    let new: Vec<u64> = (0..INSERTS as u64).map(|n| (1 << 41) + n).collect();
    let mut times = time(
        &new,
        |&number| {
            let value: [u8; WIDTH] = value(number);
            move |index: &MatchIndex| index.insert_exact(kind, &value, number & 0xffff_ffff)
        },
        &index,
    );
    for percent in [50.0, 99.0, 99.9, 100.0] {
        let metric = if percent == 100.0 { "insert_max".to_owned() } else { format!("insert_p{percent}") };
        report(name, &metric, percentile(&mut times, percent), "ns");
    }
    let mut times = time(
        &new,
        |&number| {
            let value: [u8; WIDTH] = value(number);
            move |index: &MatchIndex| assert!(index.remove_exact(kind, &value, number & 0xffff_ffff))
        },
        &index,
    );
    report(name, "remove_p50", percentile(&mut times, 50.0), "ns");
    report(name, "remove_p99", percentile(&mut times, 99.0), "ns");
    assert_eq!(index.stats().exact[&kind].values, values as u64);
}

/// Times single reads from random places in so much memory: the floor under anything that is looked up there.
fn cold_loads(bytes: usize) -> Vec<u32> {
    let memory: Vec<u64> = (0..bytes as u64 / 8).collect();
    let mut dice = 0x0f1e_2d3c_4b5a_6978;
    let timed = |_| {
        let place = random(&mut dice) as usize % memory.len();
        let start = Instant::now();
        assert_eq!(black_box(memory[place]), place as u64);
        nanoseconds(start)
    };
    (0..LOOKUPS_MIN).map(timed).collect()
}

/// Times what `prepare` returns for each item, in nanoseconds; preparing is not timed.
fn time<T, F: FnOnce(&MatchIndex)>(items: &[T], prepare: impl Fn(&T) -> F, index: &MatchIndex) -> Vec<u32> {
    let timed = |item| {
        let run = prepare(item);
        let start = Instant::now();
        run(index);
        nanoseconds(start)
    };
    items.iter().map(timed).collect()
}

fn nanoseconds(start: Instant) -> u32 {
    u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX)
}

fn percentile(times: &mut [u32], percent: f64) -> f64 {
    let place = ((times.len() as f64 * percent / 100.0) as usize).min(times.len() - 1);
    f64::from(*times.select_nth_unstable(place).1)
}

fn report(name: &str, metric: &str, value: f64, unit: &str) {
    println!("{{\"metric\":\"exact.{name}.{metric}\",\"value\":{value:.2},\"unit\":\"{unit}\"}}");
}

/// The value with this number; numbers and values are one to one.
fn value<const WIDTH: usize>(number: u64) -> [u8; WIDTH] {
    let mut value = [0; WIDTH];
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for (n, chunk) in value.chunks_mut(8).enumerate() {
        let word = if n == 0 { number.wrapping_mul(0x9e37_79b9_7f4a_7c15) } else { random(&mut state) };
        chunk.copy_from_slice(&word.to_be_bytes()[..chunk.len()]);
    }
    value
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

/// Memory of this process as the system counts it; zero where it does not say.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
