//! Is every answer right? Planted neighbours, the edge of the radius, and brute force over everything.

use anyhow::Result;
use hashpact_hashing::pdq::distance;
use hashpact_index::{Hit, MatchIndex};
use rayon::prelude::*;

use crate::data::{near, read_values};
use crate::lookup::{RADIUS, Side};
use crate::report::{Line, Report};

/// Queries on each side of the edge.
const EDGE: usize = 1000;
/// Queries that are compared with brute force.
const BRUTE: usize = 200;
/// At these radii; those from 48 on are answered by a scan.
const BRUTE_RADII: [u16; 5] = [0, 16, 31, 47, 64];

/// Checks the index of a side and reports what was found wrong; nothing may be.
pub(crate) fn check(side: &Side, report: &Report) -> Result<()> {
    planted(side, report)?;
    edge(side, report)?;
    let samples: Vec<[u8; 32]> = (0..BRUTE).map(|n| side.queries[n * side.queries.len() / BRUTE]).collect();
    // Every other sample is near to something, so that there is something to be found.
    let samples: Vec<[u8; 32]> = (samples.iter().enumerate())
        .map(|(n, sample)| if n % 2 == 0 { side.queries[n * 100 % side.queries.len()] } else { *sample })
        .collect();
    let expected = brute_force(side, &samples)?;
    let mut different = 0;
    for (sample, expected) in samples.iter().zip(&expected) {
        different += usize::from(!agrees(&side.index, sample, expected));
    }
    let metric = format!("{}.brute_force.different", side.metric);
    let note = format!("{BRUTE} queries at radii {BRUTE_RADII:?}");
    report.line(&Line::new(metric, different as f64, "queries").target(0.0).note(note))
}

/// Every planted query must name its record with its distance.
fn planted(side: &Side, report: &Report) -> Result<()> {
    let (mut asked, mut found) = (0_u64, 0_u64);
    for (number, query) in side.queries.iter().enumerate() {
        let Some(planted) = side.set.planted(number) else { continue };
        let hit = Hit { record: planted.record, distance: planted.distance };
        asked += 1;
        found += u64::from(side.index.query_hamming(query, RADIUS).contains(&hit));
    }
    let line = Line::new(format!("{}.recall", side.metric), share(found, asked), "% found");
    report.line(&line.target(100.0).note(format!("{asked} planted at distances 0 to 31")))
}

/// Values at a distance of exactly 31 must be found, at 32 they must not.
fn edge(side: &Side, report: &Report) -> Result<()> {
    let (mut at_31, mut at_32) = (0_u64, 0_u64);
    let asked = EDGE.min(side.set.size.stored);
    for number in 0..asked {
        let record = number * (side.set.size.stored / asked);
        let value = read_values(&side.set.stored, record, 1)?[0];
        let has = |distance: usize| {
            let query = near(&value, usize::MAX - number, distance);
            side.index.query_hamming(&query, RADIUS).iter().any(|hit| hit.record == record as u64)
        };
        at_31 += u64::from(has(31));
        at_32 += u64::from(has(32));
    }
    let asked = asked as u64;
    let line = Line::new(format!("{}.recall_at_31", side.metric), share(at_31, asked), "% found");
    report.line(&line.target(100.0).note(format!("{asked} queries")))?;
    let line = Line::new(format!("{}.found_at_32", side.metric), at_32 as f64, "queries");
    report.line(&line.target(0.0).note(format!("of {asked}; radius 31 must not reach them")))
}

/// Everything within the largest radius of each query, sorted as the index sorts.
fn brute_force(side: &Side, queries: &[[u8; 32]]) -> Result<Vec<Vec<Hit>>> {
    let radius = u32::from(BRUTE_RADII[BRUTE_RADII.len() - 1]);
    let mut all: Vec<Vec<Hit>> = vec![Vec::new(); queries.len()];
    side.set.each_block(|first, values| {
        all.par_iter_mut().zip(queries).for_each(|(hits, query)| {
            for (record, value) in (first..).zip(values) {
                let distance = distance(query, value);
                if distance <= radius {
                    hits.push(Hit { record, distance: distance as u16 });
                }
            }
        });
    })?;
    all.iter_mut().for_each(|hits| hits.sort_unstable_by_key(|hit| (hit.distance, hit.record)));
    Ok(all)
}

fn agrees(index: &MatchIndex, query: &[u8; 32], expected: &[Hit]) -> bool {
    BRUTE_RADII.into_iter().all(|radius| {
        let within = expected.iter().take_while(|hit| hit.distance <= radius);
        index.query_hamming(query, radius).iter().eq(within)
    })
}

fn share(part: u64, whole: u64) -> f64 {
    if part == whole { 100.0 } else { (100.0 * part as f64 / whole as f64).min(99.99) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Kind, Set, Size};

    #[test]
    fn brute_force_finds_what_the_index_finds_and_notices_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let set = Set::new(folder.path(), Kind::Uniform, Size { stored: 3000, queries: 400 });
        set.prepare(None).unwrap();
        let index = hashpact_index::MatchIndex::with_seed([0; 32]);
        set.each_block(|first, values| {
            (first..).zip(values).for_each(|(record, value)| index.insert_hamming(value, record));
        })
        .unwrap();
        let queries = set.read_queries().unwrap();
        let side = Side { set, metric: "test".into(), index, queries, peers: None };
        let expected = brute_force(&side, &side.queries[..1]).unwrap();
        let planted = side.set.planted(0).unwrap();
        assert_eq!(expected[0][0], Hit { record: planted.record, distance: 0 });
        assert!(agrees(&side.index, &side.queries[0], &expected[0]));
        let value = read_values(&side.set.stored, planted.record as usize, 1).unwrap()[0];
        assert!(side.index.remove_hamming(&value, planted.record));
        assert!(!agrees(&side.index, &side.queries[0], &expected[0]));
    }

    #[test]
    fn a_single_miss_is_never_rounded_to_everything() {
        assert_eq!(share(10_000_000, 10_000_000), 100.0);
        assert_eq!(share(9_999_999, 10_000_000), 99.99);
    }
}
