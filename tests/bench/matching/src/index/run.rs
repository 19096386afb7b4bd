//! One run: which sets are measured, in what order, with which peers.

use std::time::Instant;

use anyhow::Result;
use hashpact_index::Change;

use crate::data::{Kind, REAL_MAX, SEED, Set, Size};
use crate::lookup::{self, Side};
use crate::peer::{CONTENDERS, Contender, Peers};
use crate::report::{Line, Report};
use crate::{Cli, changes, disk, latency, memory, recall, skew};

/// What a stored hash takes in memory at most, ours and the peers' together; decides how much is loaded at a time.
const BYTES_OURS: usize = 150;
const BYTES_PEERS: usize = 420;
/// Changes that are handed over in one call when the index is built.
const BUILD_CHUNK: usize = 4096;

/// Says on what machine, with what versions and with how precise a clock all this is measured.
pub(crate) fn describe(cli: &Cli) -> Result<()> {
    let report = Report::new(cli.json, None)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let line = Line::new("machine.processors", processors as f64, "threads");
    report.line(&line.note(processor().unwrap_or_else(|| "unknown".into())))?;
    report.line(&Line::new("machine.memory", memory::total_bytes()? as f64 / (1_u64 << 30) as f64, "GiB"))?;
    let [p50, p99] = latency::timer_overhead().percentiles_us([0.5, 0.99]);
    let note = "in every sample, not subtracted";
    report.line(&Line::new("machine.timer_overhead.p50", p50, "us").note(note))?;
    report.line(&Line::new("machine.timer_overhead.p99", p99, "us").note(note))?;
    match peers(cli) {
        Some((_, versions)) => {
            report.line(&Line::new("machine.peers", CONTENDERS.len() as f64, "peers").note(versions))
        }
        None => Ok(()),
    }
}

/// Makes the data of one count.
pub(crate) fn prepare(cli: &Cli) -> Result<()> {
    for set in sets(cli) {
        set.prepare(cli.photos.as_deref())?;
    }
    Ok(())
}

/// Measures one count.
pub(crate) fn measure(cli: &Cli) -> Result<()> {
    let mut report = Report::new(cli.json, cli.raw.as_deref())?;
    let sets = sets(cli);
    for set in &sets {
        say_skew(set, &report)?;
    }
    let bytes = BYTES_OURS + if cli.no_peers { 0 } else { BYTES_PEERS };
    let together = (sets.len() * bytes * cli.count[0]) as u64 <= memory::available_bytes()? / 10 * 9;
    let mut medians = Vec::new();
    for group in sets.chunks(if together { sets.len() } else { 1 }) {
        medians.extend(measure_group(cli, group, &mut report)?);
    }
    if let [uniform, real] = &medians[..] {
        let metric = format!("index.{}.real_over_uniform", label(cli.count[0]));
        let note = if together { "measured in turns" } else { "measured one after the other" };
        for (number, name) in ["p50", "p99"].into_iter().enumerate() {
            let line = Line::new(format!("{metric}.{name}"), real[number] / uniform[number], "times");
            report.line(&line.target(1.5).note(note))?;
        }
    }
    Ok(())
}

fn measure_group(cli: &Cli, sets: &[Set], report: &mut Report) -> Result<Vec<[f64; 2]>> {
    let mut sides = Vec::new();
    for set in sets {
        sides.push(load(cli, set, report)?);
    }
    for side in &sides {
        recall::check(side, report)?;
    }
    let medians = lookup::singles(&mut sides, report)?;
    for side in &mut sides {
        lookup::batches(side, report)?;
        side.peers = None;
    }
    for side in &sides {
        changes::measure(side, report)?;
    }
    for side in sides {
        disk::measure(side, &cli.data, report)?;
    }
    Ok(medians)
}

/// Builds our index with one thread, then fills the peers with the same values.
fn load(cli: &Cli, set: &Set, report: &Report) -> Result<Side> {
    let metric = format!("index.{}.{}", label(set.size.stored), set.kind.name());
    let queries = set.read_queries()?;
    let (before, mut seconds) = (memory::resident_bytes()?, 0.0);
    let index = hashpact_index::MatchIndex::with_seed([SEED as u8; 32]);
    set.each_block(|first, values| {
        let start = Instant::now();
        for (chunk, values) in values.chunks(BUILD_CHUNK).enumerate() {
            let records = first + (chunk * BUILD_CHUNK) as u64..;
            index.apply(records.zip(values).map(|(record, value)| Change::InsertHamming { value, record }));
        }
        seconds += start.elapsed().as_secs_f64();
    })?;
    let count = set.size.stored as f64;
    let start = Instant::now();
    index.compact();
    let line = Line::new(format!("{metric}.compact"), start.elapsed().as_secs_f64(), "s");
    report.line(&line.note("after the build, as after an import"))?;
    let resident = memory::resident_bytes()?.saturating_sub(before) as f64 / count;
    report.line(
        &Line::new(format!("{metric}.build"), seconds, "s").note("one thread, reading the file not included"),
    )?;
    let large = set.size.stored >= 10_000_000;
    let line = Line::new(format!("{metric}.memory"), resident, "B/hash").note("growth of the process");
    report.line(&large.then_some(112.0).into_iter().fold(line, Line::target))?;
    let line = Line::new(format!("{metric}.memory_counted"), index.stats().bytes() as f64 / count, "B/hash");
    report.line(&line.note("as the index says"))?;
    let mut peers = peers(cli).map(|(peers, _)| (peers, Vec::new()));
    if let Some((process, loaded)) = &mut peers {
        for contender in CONTENDERS.iter().filter(|contender| set.size.stored <= contender.count_max) {
            let done = process.load(contender.name, set)?;
            let line = Line::new(format!("{metric}.build.{}", contender.name), seconds, "s");
            report.line(
                &line.peer(contender.title, done.seconds).note("reading the file included for the peer"),
            )?;
            let line = Line::new(format!("{metric}.memory.{}", contender.name), resident, "B/hash");
            report.line(&line.peer(contender.title, done.resident_bytes / count))?;
            loaded.push(*contender);
        }
    }
    let peers = peers.filter(|(_, loaded): &(_, Vec<Contender>)| !loaded.is_empty());
    Ok(Side { set: set.clone(), metric, index, queries, peers })
}

fn say_skew(set: &Set, report: &Report) -> Result<()> {
    let queries = set.read_queries()?;
    let skew = skew::of(set, &queries[..queries.len().min(100_000)])?;
    let metric = format!("data.{}.{}", label(set.size.stored), set.kind.name());
    for (name, share) in
        [("worst_bucket", skew.worst_bucket), ("work_p50", skew.work_p50), ("work_p99", skew.work_p99)]
    {
        report.line(&Line::new(format!("{metric}.{name}"), 100.0 * share, "% of stored"))?;
    }
    Ok(())
}

/// The sets that can be measured here.
fn sets(cli: &Cli) -> Vec<Set> {
    let size = Size { stored: cli.count[0], queries: cli.queries as usize };
    let mut kinds = vec![Kind::Uniform];
    if cli.photos.is_none() {
        eprintln!("note: no real values, only uniform ones; cargo xtask photos fetches the photographs");
    } else if size.stored > REAL_MAX {
        eprintln!("note: no real values above {REAL_MAX}: the photographs would be cut too finely");
    } else {
        kinds.push(Kind::Real);
    }
    kinds.into_iter().map(|kind| Set::new(&cli.data, kind, size)).collect()
}

/// The peers' process; without one our own figures are all there is, and that is said.
fn peers(cli: &Cli) -> Option<(Peers, String)> {
    if cli.no_peers {
        return None;
    }
    let Some(python) = &cli.python else {
        eprintln!("note: no --python; only our own figures follow");
        return None;
    };
    match Peers::start(python) {
        Ok((peers, versions)) => Some((peers, versions.versions)),
        Err(error) => {
            eprintln!("note: the peers cannot be measured here ({error:#}); only our own figures follow");
            None
        }
    }
}

/// `10m` for ten million.
fn label(count: usize) -> String {
    match count {
        _ if count.is_multiple_of(1_000_000) => format!("{}m", count / 1_000_000),
        _ if count.is_multiple_of(1000) => format!("{}k", count / 1000),
        _ => count.to_string(),
    }
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split(':').nth(1)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn counts_are_named_briefly() {
        assert_eq!([1000, 100_000, 10_000_000, 1_234].map(label), ["1k", "100k", "10m", "1234"]);
    }
}
