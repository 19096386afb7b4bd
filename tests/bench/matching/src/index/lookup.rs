//! Single queries and batches, ours and the peers' in turns.
//!
//! A round is a slice of the queries that no other round uses: at ten million hashes nothing that one query
//! brought into the caches helps the next. Each side takes its turn in each round, and what is compared is the
//! median over rounds. Peers get the first queries of the round's slice; there are few of them because each takes
//! tens of milliseconds.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use hashpact_index::MatchIndex;

use crate::data::Set;
use crate::latency::{Samples, median};
use crate::limit::Limit;
use crate::peer::{Contender, Peers};
use crate::report::{Line, Report};

/// The radius of every timed query: the distance at which PDQ's users say that two pictures are the same.
pub(crate) const RADIUS: u16 = 31;
const ROUNDS: usize = 5;
const BATCH_ROUNDS: usize = 3;
/// Queries that a peer answers in each round.
const PEER_SINGLES: usize = 40;
const PEER_BATCH: usize = 64;
/// Times that the limit is measured in each round.
const LIMIT_SINGLES: usize = 2000;
/// Queries before the first round, not counted.
const WARM_UP: usize = 2000;

/// A filled index with its queries, and the peers that hold the same.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) set: Set,
    /// `index.10m.uniform`
    pub(crate) metric: String,
    pub(crate) index: MatchIndex,
    pub(crate) queries: Vec<[u8; 32]>,
    pub(crate) peers: Option<(Peers, Vec<Contender>)>,
}

/// What is known of one contender after all rounds.
#[derive(Debug, Default)]
struct Turns {
    samples: Samples,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
}

impl Turns {
    fn add(&mut self, samples: &Samples) {
        let [p50, p99] = samples.percentiles_us([0.5, 0.99]);
        self.p50_us.push(p50);
        self.p99_us.push(p99);
        self.samples.extend(samples);
    }
}

/// Measures single queries of all sides, in turns, and returns the median p50 and p99 of each, in microseconds.
pub(crate) fn singles(sides: &mut [Side], report: &mut Report) -> Result<Vec<[f64; 2]>> {
    let mut ours: Vec<Turns> = sides.iter().map(|_| Turns::default()).collect();
    let mut theirs: Vec<Vec<Turns>> =
        (sides.iter()).map(|side| side.contenders().iter().map(|_| Turns::default()).collect()).collect();
    let (mut hits, mut disagreements) = (vec![0; sides.len()], vec![0; sides.len()]);
    let mut limits = sides.iter().map(|side| Limit::new(side.set.size.stored)).collect::<Result<Vec<_>>>()?;
    let mut least: Vec<Turns> = sides.iter().map(|_| Turns::default()).collect();
    for side in sides.iter() {
        timed(&side.index, &side.queries[..WARM_UP.min(side.queries.len())]);
    }
    for round in 0..ROUNDS {
        for (number, side) in sides.iter_mut().enumerate() {
            let length = side.queries.len() / ROUNDS;
            let start = round * length;
            let (samples, found) = timed(&side.index, &side.queries[start..start + length]);
            ours[number].add(&samples);
            least[number].add(&limits[number].measure(LIMIT_SINGLES));
            hits[number] += found.iter().sum::<usize>();
            let Some((peers, contenders)) = &mut side.peers else { continue };
            for (contender, turns) in contenders.iter().zip(&mut theirs[number]) {
                let asked = PEER_SINGLES.min(length);
                let answer = peers.singles(contender.name, &side.set, start, asked)?;
                disagreements[number] += answer.hits.iter().zip(&found).filter(|(a, b)| a != b).count();
                turns.add(&Samples::from(answer.nanoseconds));
            }
        }
    }
    let mut medians = Vec::new();
    for (number, side) in sides.iter().enumerate() {
        let metric = format!("{}.single", side.metric);
        medians.push(say_ours(&metric, &ours[number], side, report)?);
        say_limit(&metric, &least[number], limits[number].lines(), report)?;
        let share = hits[number] as f64 / (side.queries.len() / ROUNDS * ROUNDS) as f64;
        report.line(&Line::new(format!("{metric}.hits"), share, "hits a query"))?;
        for (contender, turns) in side.contenders().iter().zip(&theirs[number]) {
            say_peer(&metric, &ours[number], turns, contender, side, report)?;
        }
        if side.peers.is_some() {
            let line =
                Line::new(format!("{metric}.peer_disagreements"), disagreements[number] as f64, "queries");
            report.line(&line.target(0.0))?;
        }
    }
    Ok(medians)
}

fn timed(index: &MatchIndex, queries: &[[u8; 32]]) -> (Samples, Vec<usize>) {
    let mut samples = Samples::default();
    let hits =
        queries.iter().map(|query| samples.time(|| index.query_hamming(query, RADIUS)).len()).collect();
    (samples, hits)
}

fn say_ours(metric: &str, turns: &Turns, side: &Side, report: &mut Report) -> Result<[f64; 2]> {
    report.percentiles(&format!("{metric}.all_rounds"), &turns.samples, &[])?;
    report.raw(&format!("{metric}/ours"), &turns.samples)?;
    let medians = [median(turns.p50_us.iter().copied()), median(turns.p99_us.iter().copied())];
    let targets = if side.metric == "index.10m.uniform" { [Some(12.0), Some(30.0)] } else { [None; 2] };
    for ((name, value), target) in ["p50", "p99"].into_iter().zip(medians).zip(targets) {
        let line = Line::new(format!("{metric}.{name}"), value, "us").note("median of rounds");
        report.line(&target.into_iter().fold(line, Line::target))?;
    }
    Ok(medians)
}

fn say_limit(metric: &str, least: &Turns, lines: usize, report: &Report) -> Result<()> {
    for (name, rounds) in [("p50", &least.p50_us), ("p99", &least.p99_us)] {
        let line = Line::new(format!("{metric}.limit.{name}"), median(rounds.iter().copied()), "us");
        report
            .line(&line.note(format!("what fetching {lines} cache lines alone takes, in the same rounds")))?;
    }
    Ok(())
}

fn say_peer(
    metric: &str,
    ours: &Turns,
    theirs: &Turns,
    contender: &Contender,
    side: &Side,
    report: &mut Report,
) -> Result<()> {
    report.raw(&format!("{metric}/{}", contender.title), &theirs.samples)?;
    let note = format!("{} samples of the peer", theirs.samples.nanoseconds().len());
    for (name, ours, theirs) in [("p50", &ours.p50_us, &theirs.p50_us), ("p99", &ours.p99_us, &theirs.p99_us)]
    {
        let [ours, theirs] = [ours, theirs].map(|rounds| median(rounds.iter().copied()));
        let line = Line::new(format!("{metric}.{name}.{}", contender.name), ours, "us");
        let line = line.peer(contender.title, theirs).note(&note);
        let target =
            contender.target_ratio_10m.filter(|_| name == "p50" && side.metric == "index.10m.uniform");
        report.line(&target.into_iter().fold(line, Line::target_ratio))?;
    }
    Ok(())
}

/// Measures batches with one thread and with all, ours and the peers' in turns.
pub(crate) fn batches(side: &mut Side, report: &Report) -> Result<()> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let mut counts = vec![1, all];
    counts.dedup();
    for threads in counts {
        let mut ours = Vec::new();
        let mut theirs = vec![Vec::new(); side.contenders().len()];
        for round in 0..BATCH_ROUNDS {
            let start = Instant::now();
            black_box(side.index.query_hamming_bulk(&side.queries, RADIUS, threads));
            ours.push(side.queries.len() as f64 / start.elapsed().as_secs_f64());
            let Some((peers, contenders)) = &mut side.peers else { continue };
            for (contender, rates) in contenders.iter().zip(&mut theirs) {
                let asked = PEER_BATCH.min(side.queries.len() / BATCH_ROUNDS);
                let batch = peers.batch(contender.name, &side.set, [round * asked, asked], threads)?;
                rates.push(asked as f64 / batch.seconds);
            }
        }
        let metric = format!("{}.batch.{threads}_threads", side.metric);
        let rate = median(ours);
        let line = Line::new(&metric, rate, "1/s").note(format!("batches of {}", side.queries.len()));
        let target = match side.metric.as_str() {
            "index.10m.uniform" => Some(350_000.0),
            "index.100m.uniform" => Some(80_000.0),
            _ => None,
        };
        report.line(&target.filter(|_| threads == all).into_iter().fold(line, Line::target))?;
        for (contender, rates) in side.contenders().iter().zip(theirs) {
            let line = Line::new(format!("{metric}.{}", contender.name), rate, "1/s");
            report.line(
                &line
                    .peer(contender.title, median(rates))
                    .note(format!("the peer's batches of {PEER_BATCH}")),
            )?;
        }
    }
    Ok(())
}

impl Side {
    /// The peers that hold the same values; empty without peers.
    fn contenders(&self) -> &[Contender] {
        self.peers.as_ref().map_or(&[], |(_, contenders)| contenders)
    }
}
