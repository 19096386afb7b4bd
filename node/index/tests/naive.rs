//! The index against the obvious: a set of pairs, scanned one by one, one bit count at a time.

use std::collections::BTreeSet;

use hashpact_index::{Change, Hit, Instructions, MatchIndex, Options, SignalStats};
use proptest::prelude::*;

/// What the index should hold.
#[derive(Default)]
struct Naive {
    hamming: BTreeSet<([u8; 32], u64)>,
    exact: BTreeSet<(u8, Vec<u8>, u64)>,
}

impl Naive {
    fn query(&self, value: &[u8; 32], radius: u16) -> Vec<Hit> {
        let mut hits: Vec<Hit> = self
            .hamming
            .iter()
            .map(|(other, record)| Hit { record: *record, distance: distance(value, other) })
            .filter(|hit| hit.distance <= radius)
            .collect();
        hits.sort_by_key(|hit| (hit.distance, hit.record));
        hits
    }

    fn query_exact(&self, kind: u8, value: &[u8]) -> Vec<u64> {
        let same = self.exact.iter().filter(|(k, v, _)| *k == kind && v == value);
        same.map(|(_, _, record)| *record).collect()
    }
}

fn distance(a: &[u8; 32], b: &[u8; 32]) -> u16 {
    let mut bits = 0;
    for (x, y) in a.iter().zip(b) {
        for bit in 0..8 {
            bits += u16::from((x >> bit) & 1 != (y >> bit) & 1);
        }
    }
    bits
}

/// One index for each way of working: flat and by tables, with every instruction set of this processor.
fn ways(seed: u64) -> Vec<MatchIndex> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut ways = Vec::new();
    for instructions in Instructions::available() {
        for flat_max in [0, u32::MAX] {
            ways.push(MatchIndex::with_options(Options { seed: bytes, flat_max, instructions }));
        }
    }
    ways
}

/// A small generator of our own: the runs below are large and must repeat exactly.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn value(&mut self) -> [u8; 32] {
        let mut value = [0; 32];
        for chunk in value.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.roll().to_be_bytes());
        }
        value
    }

    /// Flips `bits` distinct bits.
    fn near(&mut self, value: &[u8; 32], bits: u16) -> [u8; 32] {
        let mut near = *value;
        while distance(value, &near) < bits {
            let bit = self.roll() as usize % 256;
            if (near[bit / 8] ^ value[bit / 8]) >> (bit % 8) & 1 == 0 {
                near[bit / 8] ^= 1 << (bit % 8);
            }
        }
        near
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { value: usize, record: u64 },
    Remove { value: usize, record: u64 },
    InsertExact { kind: u8, value: u8, record: u64 },
    RemoveExact { kind: u8, value: u8, record: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (value, record) = (0..24_usize, 0..6_u64);
    prop_oneof![
        4 => (value.clone(), record.clone()).prop_map(|(value, record)| Step::Insert { value, record }),
        3 => (value, record.clone()).prop_map(|(value, record)| Step::Remove { value, record }),
        2 => (2..4_u8, 0..5_u8, record.clone())
            .prop_map(|(kind, value, record)| Step::InsertExact { kind, value, record }),
        2 => (2..4_u8, 0..5_u8, record)
            .prop_map(|(kind, value, record)| Step::RemoveExact { kind, value, record }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_run_of_changes_agrees_with_a_linear_scan(
        seed in 1..u64::MAX,
        steps in prop::collection::vec(step(), 0..120),
        radius in 0..=64_u16,
    ) {
        let mut dice = Dice(seed);
        let centre = dice.value();
        let pool: Vec<[u8; 32]> = (0..24).map(|n| dice.near(&centre, n * 3)).collect();
        for index in ways(seed) {
            let mut naive = Naive::default();
            for step in &steps {
                match *step {
                    Step::Insert { value, record } => {
                        index.insert_hamming(&pool[value], record);
                        naive.hamming.insert((pool[value], record));
                    }
                    Step::Remove { value, record } => prop_assert_eq!(
                        index.remove_hamming(&pool[value], record),
                        naive.hamming.remove(&(pool[value], record))
                    ),
                    Step::InsertExact { kind, value, record } => {
                        index.insert_exact(kind, &[value; 20], record);
                        naive.exact.insert((kind, vec![value; 20], record));
                    }
                    Step::RemoveExact { kind, value, record } => prop_assert_eq!(
                        index.remove_exact(kind, &[value; 20], record),
                        naive.exact.remove(&(kind, vec![value; 20], record))
                    ),
                }
                prop_assert_eq!(index.query_hamming(&centre, radius), naive.query(&centre, radius));
            }
            for value in &pool {
                prop_assert_eq!(index.query_hamming(value, radius), naive.query(value, radius));
            }
            for kind in 2..4 {
                for value in 0..5 {
                    let value = [value; 20];
                    prop_assert_eq!(index.query_exact(kind, &value), naive.query_exact(kind, &value));
                }
            }
            let stats = index.stats();
            prop_assert_eq!(stats.hamming.postings, naive.hamming.len() as u64);
            let exact: u64 = stats.exact.values().map(|kind| kind.postings).sum();
            prop_assert_eq!(exact, naive.exact.len() as u64);
        }
    }
}

/// Planted neighbours at every distance, duplicates, removals, and everything rewritten in between.
#[test]
fn every_radius_agrees_with_a_linear_scan_while_things_go() {
    for index in ways(0x5eed) {
        let mut dice = Dice(0x5eed_0001);
        let mut naive = Naive::default();
        let centres: Vec<[u8; 32]> = (0..4).map(|_| dice.value()).collect();
        let mut pairs = Vec::new();
        for record in 0..3000_u64 {
            let value = match record % 10 {
                0 => dice.near(&centres[(record % 4) as usize], (record / 10 % 70) as u16),
                1 => centres[(record / 10 % 4) as usize],
                _ => dice.value(),
            };
            pairs.push((value, record));
        }
        let inserts = pairs.iter().map(|(value, record)| Change::InsertHamming { value, record: *record });
        assert_eq!(index.apply(inserts), pairs.len());
        naive.hamming.extend(pairs.iter().copied());

        for round in 0..4 {
            for radius in 0..=64 {
                let centre = &centres[radius as usize % 4];
                assert_eq!(
                    index.query_hamming(centre, radius),
                    naive.query(centre, radius),
                    "radius {radius}"
                );
            }
            let queries: Vec<[u8; 32]> =
                (0..40).map(|n| dice.near(&centres[n % 4], (n * 2) as u16)).chain([pairs[17].0]).collect();
            let expected: Vec<Vec<Hit>> = queries.iter().map(|query| naive.query(query, 31)).collect();
            assert_eq!(index.query_hamming_batch(&queries, 31), expected);
            assert_eq!(index.query_hamming_bulk(&queries, 31, 2), expected);

            // A quarter of the records goes, in an order that has nothing to do with where it stands.
            let victims: Vec<([u8; 32], u64)> =
                naive.hamming.iter().copied().filter(|(_, record)| record % 4 == round).collect();
            for (value, record) in &victims {
                assert!(index.remove_hamming(value, *record));
                assert!(!index.remove_hamming(value, *record));
                naive.hamming.remove(&(*value, *record));
            }
            if round % 2 == 0 {
                index.compact();
            }
        }
        assert_eq!(index.stats().hamming, SignalStats::default());
        assert!(index.query_hamming(&centres[0], 256).is_empty());
    }
}

/// Sets that a careless index gets wrong: everything in one bucket, all bits equal, whole families of equal
/// values, neighbours exactly at the radius and one beyond it.
#[test]
fn hostile_sets_agree_with_a_linear_scan() {
    let mut dice = Dice(0xbad_5e7);
    let centre = dice.value();
    let one_byte_apart: Vec<[u8; 32]> = (0..1500_u16)
        .map(|n| {
            let mut value = [0x5a; 32];
            value[30..].copy_from_slice(&n.to_be_bytes());
            value
        })
        .collect();
    let at_the_edge: Vec<[u8; 32]> = (0..600).map(|n| dice.near(&centre, 29 + n % 6)).collect();
    let sets = [
        vec![[0; 32]; 300],
        vec![[0xff; 32]; 300],
        [[0; 32], [0xff; 32], [0x55; 32], [0xaa; 32]].repeat(50),
        one_byte_apart,
        at_the_edge,
    ];
    for (number, set) in sets.iter().enumerate() {
        for index in ways(number as u64 + 77) {
            let mut naive = Naive::default();
            for (record, value) in (0..).zip(set) {
                index.insert_hamming(value, record);
                naive.hamming.insert((*value, record));
                if record % 7 == 3 {
                    assert!(index.remove_hamming(value, record));
                    naive.hamming.remove(&(*value, record));
                }
            }
            for query in [&[0; 32], &[0xff; 32], &centre, &set[0], &set[set.len() - 1]] {
                for radius in [0, 1, 7, 8, 15, 16, 23, 24, 31, 32, 39, 40, 47, 48, 64] {
                    let expected = naive.query(query, radius);
                    assert_eq!(index.query_hamming(query, radius), expected, "set {number}, radius {radius}");
                }
            }
        }
    }
}

/// A sorted batch against single queries, with every instruction set: many crowd around one value, so
/// that buckets, crowds and rooms for candidates overflow.
#[test]
fn a_crowded_batch_answers_like_single_queries() {
    let mut dice = Dice(0xc0de);
    let centre = dice.value();
    let mut mixed = |count: u16, near: u16| -> Vec<[u8; 32]> {
        let value =
            |n: u16| if n.is_multiple_of(near) { dice.near(&centre, n / near % 40) } else { dice.value() };
        (0..count).map(value).collect()
    };
    let (stored, queries) = (mixed(1200, 2), mixed(9000, 8));
    for instructions in Instructions::available() {
        let options = Options { flat_max: 0, instructions, ..Options::with_seed([4; 32]) };
        let index = MatchIndex::with_options(options);
        for (record, value) in (0..).zip(&stored) {
            index.insert_hamming(value, record);
        }
        for radius in [0, 15, 31, 47] {
            let batch = index.query_hamming_bulk(&queries, radius, 2);
            assert_eq!(batch.len(), queries.len());
            assert!(radius == 0 || batch.iter().any(|hits| hits.len() > 100));
            for (query, hits) in queries.iter().zip(&batch).step_by(7) {
                assert_eq!(hits, &index.query_hamming(query, radius), "{} {radius}", instructions.name());
            }
        }
    }
}

/// Distances 31 and 32 explicitly, for many centres, singly and in a batch that is large enough to be sorted.
#[test]
fn the_radius_is_exact_at_its_edge() {
    let mut dice = Dice(0xed6e);
    let index = MatchIndex::with_options(Options { flat_max: 0, ..Options::with_seed([3; 32]) });
    let centres: Vec<[u8; 32]> = (0..9000).map(|_| dice.value()).collect();
    for (record, centre) in (0..).zip(&centres) {
        let bits = 30 + (record % 3) as u16;
        index.insert_hamming(&dice.near(centre, bits), record);
    }
    let batch = index.query_hamming_bulk(&centres, 31, 2);
    for (record, (centre, batch)) in (0..).zip(centres.iter().zip(&batch)) {
        let bits = 30 + (record % 3) as u16;
        let expected: Vec<Hit> = (bits < 32).then_some(Hit { record, distance: bits }).into_iter().collect();
        assert_eq!(index.query_hamming(centre, 31), expected);
        assert_eq!(batch, &expected);
        assert_eq!(index.query_hamming(centre, 32), [Hit { record, distance: bits }]);
    }
}

/// Enough values that buckets outgrow their extents, passes run by themselves, and places are used again.
#[test]
fn growth_removal_and_reuse_lose_nothing() {
    let mut dice = Dice(0x6a0b);
    let index = MatchIndex::with_seed([8; 32]);
    // A quarter of all values shares long runs of bits, so that some buckets are far larger than others.
    let mut values: Vec<[u8; 32]> = (0..60_000)
        .map(|n| {
            let mut value = dice.value();
            if n % 4 == 0 {
                value[..24].fill(0x33);
            }
            value
        })
        .collect();
    let insert = |values: &[[u8; 32]], first: u64| {
        index.apply((first..).zip(values).map(|(record, value)| Change::InsertHamming { value, record }))
    };
    assert_eq!(insert(&values, 0), values.len());
    // Which record carries which value: every second one is replaced, round by round.
    let mut records: Vec<u64> = (0..values.len() as u64).collect();
    for round in 1..=3 {
        for at in (round % 2..values.len()).step_by(2) {
            assert!(index.remove_hamming(&values[at], records[at]), "round {round}, value {at}");
            values[at] = dice.value();
            records[at] += 1_000_000;
            index.insert_hamming(&values[at], records[at]);
        }
        for (value, record) in values.iter().zip(&records).step_by(37) {
            let hits = index.query_hamming(value, 20);
            assert!(hits.contains(&Hit { record: *record, distance: 0 }), "round {round}: {hits:?}");
        }
    }
    assert_eq!(index.stats().hamming.postings, values.len() as u64);
    let flat = MatchIndex::with_options(Options { flat_max: u32::MAX, ..Options::with_seed([8; 32]) });
    for (record, value) in (0..).zip(values.iter().take(3000)) {
        flat.insert_hamming(value, record);
    }
    for value in values.iter().take(300) {
        let first_values = |hit: &Hit| (hit.record % 1_000_000 < 3000).then_some(hit.record % 1_000_000);
        let by_tables: BTreeSet<u64> =
            index.query_hamming(value, 47).iter().filter_map(first_values).collect();
        let by_scan: BTreeSet<u64> = flat.query_hamming(value, 47).iter().map(|hit| hit.record).collect();
        assert_eq!(by_tables, by_scan);
    }
}

#[test]
fn the_largest_distance_is_counted_right() {
    let index = MatchIndex::new();
    index.insert_hamming(&[0; 32], 1);
    assert!(index.query_hamming(&[0xff; 32], 255).is_empty());
    assert_eq!(index.query_hamming(&[0xff; 32], 256), vec![Hit { record: 1, distance: 256 }]);
    assert_eq!(index.query_hamming(&[0xff; 32], u16::MAX).len(), 1);
}

#[test]
fn zeros_in_unused_lanes_are_not_codes() {
    let index = MatchIndex::new();
    assert!(index.query_hamming(&[0; 32], 64).is_empty());
    index.insert_hamming(&[0xff; 32], 1);
    assert!(index.query_hamming(&[0; 32], 64).is_empty());
    index.remove_hamming(&[0xff; 32], 1);
    assert!(index.query_hamming(&[0; 32], 256).is_empty());
}

#[test]
fn signal_types_never_match_one_another() {
    let index = MatchIndex::new();
    index.insert_exact(2, &[7; 16], 1);
    index.insert_exact(2, &[7; 16], 3);
    index.insert_exact(2, &[7; 16], 2);
    assert_eq!(index.query_exact(2, &[7; 16]), [1, 2, 3]);
    assert!(index.query_exact(3, &[7; 16]).is_empty());
    assert!(index.query_exact(2, &[7; 15]).is_empty());
    assert_eq!(index.stats().exact.get(&2), Some(&SignalStats { values: 1, postings: 3 }));
    assert!(!index.remove_exact(3, &[7; 16], 1));
    for record in 1..=3 {
        assert!(index.remove_exact(2, &[7; 16], record));
    }
    assert!(index.stats().exact.is_empty());
}

#[test]
fn changes_in_one_call_are_made_in_order() {
    let index = MatchIndex::new();
    let value = &[9; 32];
    let changed = index.apply([
        Change::InsertHamming { value, record: 1 },
        Change::InsertHamming { value, record: 1 },
        Change::InsertExact { kind: 4, value, record: 1 },
        Change::RemoveHamming { value, record: 1 },
        Change::RemoveHamming { value, record: 1 },
        Change::InsertHamming { value, record: 2 },
    ]);
    assert_eq!(changed, 4);
    assert_eq!(index.query_hamming(value, 0), vec![Hit { record: 2, distance: 0 }]);
    assert_eq!(index.query_exact(4, value), [1]);
}
