//! `cargo xtask sim`: many seeds, all cores, every failing seed named; or one year, with its report.

use hashpact_sim::{Report, story, year};
use std::cell::RefCell;
use std::panic::{catch_unwind, set_hook};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

thread_local! {
    /// What the last panic of this thread said, and where.
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

#[derive(Default)]
struct Found {
    runs: u64,
    sum: Report,
    failed: Vec<(u64, String)>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, seed] = arguments.as_slice()
        && word == "year"
        && let Ok(seed) = seed.parse()
    {
        return tell_year(seed);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = arguments.get(1).map_or(Ok(cores), |jobs| jobs.parse());
    let seeds = arguments.first().map(|seeds| story::parse_seeds(seeds));
    let (Some(Ok(seeds)), Ok(jobs @ 1..)) = (seeds, jobs) else {
        eprintln!("usage: hashpact-sim FROM..TO [JOBS] | hashpact-sim year SEED");
        return ExitCode::from(2);
    };
    set_hook(Box::new(|panic| LAST.set(panic.to_string())));
    let (started, next, found) = (Instant::now(), AtomicU64::new(seeds.start), Mutex::new(Found::default()));
    std::thread::scope(|threads| {
        for _ in 0..jobs {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = catch_unwind(|| story::equivocation(seed));
                    take(&found, seed, outcome.map_err(|_| LAST.take()));
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("{} runs in {:.0} s: {:?}", found.runs, started.elapsed().as_secs_f64(), found.sum);
    for (seed, message) in &found.failed {
        println!("seed {seed} FAILED: {message}");
    }
    println!("{} of {} failed", found.failed.len(), found.runs);
    ExitCode::from(u8::from(!found.failed.is_empty()))
}

/// Lets a year pass and prints its report; a year in which something is wrong ends in a panic that says what.
fn tell_year(seed: u64) -> ExitCode {
    let started = Instant::now();
    let passed = year::pass(seed, |line| eprintln!("{line}"));
    print!("{}", passed.report);
    println!("\nWhat every member saw at the end of each month, as a digest:");
    for (number, digest) in (1..).zip(&passed.digests) {
        println!("  {number:>2}  {digest}");
    }
    println!("\nWeather: {:?}", passed.weather);
    println!("Simulated in {:.0} s.", started.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

fn take(found: &Mutex<Found>, seed: u64, outcome: Result<Report, String>) {
    let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.runs += 1;
    match outcome {
        Ok(report) => found.sum += report,
        Err(message) => {
            println!("seed {seed} FAILED: {message}");
            found.failed.push((seed, message));
        }
    }
    if found.runs.is_multiple_of(100) {
        println!("{} runs, {} failed", found.runs, found.failed.len());
    }
}
