//! What the log costs: durable appends, catching up, bytes on the disk, and look-ups beside all of it.
//!
//! Real nodes as processes, real sockets, syncs on. Every rate stands beside a limit of the same machine measured in
//! the same run: RocksDB alone with the same rows, the disk's sync, hashing, signing. All processes share the
//! cores, load included. `node/BENCHMARK.md` explains each figure and is written from a run by `--page`.

#[path = "log/append.rs"]
mod append;
#[path = "log/catch_up.rs"]
mod catch_up;
#[path = "http/data.rs"]
#[expect(dead_code, reason = "the load uses the rest")]
mod data;
#[path = "log/isolation.rs"]
mod isolation;
#[path = "log/limits.rs"]
mod limits;
#[path = "log/overtake.rs"]
mod overtake;
#[path = "log/page.rs"]
mod page;
#[path = "log/process.rs"]
mod process;
#[path = "log/records.rs"]
mod records;
#[path = "log/report.rs"]
mod report;
#[path = "log/world.rs"]
mod world;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use limits::Limits;
use report::{Line, Report};
use std::path::PathBuf;

/// Measures the log.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Only this run; all of them without it
    #[arg(long, value_enum)]
    only: Vec<Run>,
    /// Records that a node appends, each way in
    #[arg(long, default_value_t = 400_000)]
    appends: u64,
    /// Records that a new member catches up with; the target is about 10000000, which take 20 GB of memory
    #[arg(long, default_value_t = 600_000)]
    records: u64,
    /// Records that a node catches up with while it is asked
    #[arg(long, default_value_t = 300_000)]
    isolation: u64,
    /// Records behind which incidents are declared
    #[arg(long, default_value_t = 1_000_000)]
    backlog: u64,
    /// Look-ups per second meanwhile
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Catch up over QUIC, too
    #[arg(long)]
    quic: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Measure nothing: write the figures of this run, JSON lines, into the page
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Run {
    /// What the machine can do
    Limits,
    /// Durable appends, through the API and by import
    Append,
    /// A new member, and what it has on its disk
    CatchUp,
    /// Look-ups beside everything else
    Isolation,
    /// Incidents behind a backlog
    Overtake,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(lines) = &arguments.page {
        return page::write(lines);
    }
    let report = Report { json: arguments.json };
    let wanted = |run| arguments.only.is_empty() || arguments.only.contains(&run);
    let cores = std::thread::available_parallelism()?.get();
    report.line(&Line::new("machine.cores", cores as f64, "cores").note(processor()));
    let mut limits = Limits::default();
    if wanted(Run::Limits) {
        limits = limits::run(arguments.appends, report)?;
    }
    if wanted(Run::Append) {
        append::run(&arguments, limits, report)?;
    }
    if wanted(Run::CatchUp) {
        catch_up::run(&arguments, limits, report)?;
    }
    if wanted(Run::Isolation) {
        isolation::run(&arguments, report)?;
    }
    if wanted(Run::Overtake) {
        overtake::run(&arguments, report)?;
    }
    Ok(())
}

/// What the system calls its processor.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown processor").to_owned()
}
