//! The least that this machine needs to fetch what a query must look at.
//!
//! A query of radius 31 looks into 16 × 17 buckets, which lie anywhere in the tables and hold, for n values, n / 65,536
//! fingerprints of two bytes each. Here as many runs of as many cache lines are read from random places of as much
//! memory, and added up: no directory, no comparison, no candidates. The reads do not depend on one another, so that
//! the processor has as many of them under way as it can. No index of this kind can answer faster on one core.

use std::hint::black_box;

use anyhow::{Context as _, Result};
use memmap2::{Advice, MmapMut};

use crate::data::SEED;
use crate::latency::Samples;
use crate::random::Random;

/// Tables, buckets in a table, and buckets of a table that a query looks into.
const TABLES: usize = 16;
const BUCKETS: usize = 1 << 16;
const PROBES: usize = 17;
const LINE_BYTES: usize = 64;
/// Which stream of random numbers this is.
const STREAM: u64 = 9;

/// Memory as large as the fingerprints of an index.
#[derive(Debug)]
pub(crate) struct Limit {
    memory: MmapMut,
    run_lines: usize,
    random: Random,
}

impl Limit {
    /// For an index of `stored` values.
    pub(crate) fn new(stored: usize) -> Result<Self> {
        let run_lines = (stored * 2).div_ceil(BUCKETS * LINE_BYTES).max(1);
        let bytes = TABLES * BUCKETS * run_lines * LINE_BYTES;
        let mut memory = MmapMut::map_anon(bytes).context("no memory for the limit")?;
        // Only advice, as in the index; without huge pages both are slower.
        let _ = memory.advise(Advice::HugePage);
        memory.fill(1);
        Ok(Self { memory, run_lines, random: Random::new(SEED, STREAM) })
    }

    /// Lines that a query fetches.
    pub(crate) fn lines(&self) -> usize {
        TABLES * PROBES * self.run_lines
    }

    /// Times `count` queries' worth of reading.
    pub(crate) fn measure(&mut self, count: usize) -> Samples {
        let Self { memory, run_lines, random } = self;
        let run_bytes = *run_lines * LINE_BYTES;
        let mut samples = Samples::default();
        for _ in 0..count {
            let runs: Vec<usize> = (0..TABLES * PROBES)
                .map(|_| random.below((memory.len() / run_bytes) as u64) as usize * run_bytes)
                .collect();
            samples.time(|| {
                let lines =
                    runs.iter().flat_map(|run| memory[*run..*run + run_bytes].iter().step_by(LINE_BYTES));
                black_box(lines.fold(0_u64, |sum, byte| sum + u64::from(*byte)))
            });
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_at_ten_million_reads_five_lines_a_bucket() {
        let lines = |stored: usize| Limit::new(stored).unwrap().lines();
        assert_eq!([lines(1000), lines(1_000_000), lines(10_000_000)], [272, 272, 5 * 272]);
    }

    #[test]
    fn every_reading_is_timed() {
        assert_eq!(Limit::new(1000).unwrap().measure(7).nanoseconds().len(), 7);
    }
}
