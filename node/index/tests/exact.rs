//! The exact maps through the index's interface: growth, removal, adversarial values, against plain sets.

use std::collections::{BTreeMap, BTreeSet};

use hashpact_index::{Change, MatchIndex, SignalStats};
use proptest::prelude::*;

const WIDTHS: [usize; 4] = [16, 20, 32, 144];

/// Values that all begin alike and differ in a few bits at one end.
fn alike(number: u64, width: usize, at_start: bool) -> Vec<u8> {
    let mut value = vec![0; width];
    let bytes = number.to_be_bytes();
    if at_start {
        value[..8].copy_from_slice(&bytes)
    } else {
        value[width - 8..].copy_from_slice(&bytes)
    }
    value
}

#[test]
fn it_grows_from_nothing_while_it_answers() {
    const VALUES: u64 = 300_000;
    let index = MatchIndex::new();
    for number in 0..VALUES {
        index.insert_exact(4, &alike(number, 32, false), number);
        if number % 97 == 0 {
            // Some value from before, the newest, and one that is not there yet.
            let earlier = number.wrapping_mul(0x9e37_79b9) % (number + 1);
            assert_eq!(index.query_exact(4, &alike(earlier, 32, false)), [earlier]);
            assert_eq!(index.query_exact(4, &alike(number, 32, false)), [number]);
            assert_eq!(index.query_exact(4, &alike(number + 1, 32, false)), []);
        }
    }
    for number in 0..VALUES {
        assert_eq!(index.query_exact(4, &alike(number, 32, false)), [number]);
    }
    assert_eq!(index.stats().exact[&4], SignalStats { values: VALUES, postings: VALUES });
}

#[test]
fn values_that_begin_or_end_alike_are_told_apart() {
    for width in WIDTHS {
        for at_start in [false, true] {
            let index = MatchIndex::new();
            let values: Vec<Vec<u8>> = (0..20_000).map(|number| alike(number, width, at_start)).collect();
            let inserts = (0..).zip(&values);
            let changed =
                index.apply(inserts.map(|(record, value)| Change::InsertExact { kind: 3, value, record }));
            assert_eq!(changed, values.len());
            for (record, value) in (0..).zip(&values) {
                assert_eq!(index.query_exact(3, value), [record]);
            }
            // A single flipped bit anywhere is another value.
            for bit in 0..width * 8 {
                let mut other = values[4321].clone();
                other[bit / 8] ^= 1 << (bit % 8);
                let expected: Vec<u64> =
                    (0..).zip(&values).filter(|(_, v)| **v == other).map(|(n, _)| n).collect();
                assert_eq!(index.query_exact(3, &other), expected);
            }
        }
    }
}

#[test]
fn one_value_with_two_hundred_thousand_records() {
    const RECORDS: u64 = 200_000;
    let index = MatchIndex::new();
    let value = [0; 16];
    let inserts = || (0..RECORDS).map(|record| Change::InsertExact { kind: 2, value: &value, record });
    assert_eq!(index.apply(inserts()), RECORDS as usize);
    assert_eq!(index.apply(inserts()), 0);
    assert_eq!(index.query_exact(2, &value), (0..RECORDS).collect::<Vec<_>>());
    assert_eq!(index.stats().exact[&2], SignalStats { values: 1, postings: RECORDS });
    let removals = (0..RECORDS).filter(|record| record % 3 != 0);
    let removed = index.apply(removals.map(|record| Change::RemoveExact { kind: 2, value: &value, record }));
    assert_eq!(removed as u64, RECORDS * 2 / 3);
    assert_eq!(index.query_exact(2, &value), (0..RECORDS).step_by(3).collect::<Vec<_>>());
}

#[test]
fn record_numbers_of_any_size_come_back() {
    let index = MatchIndex::new();
    let records = [0, (1 << 31) - 2, (1 << 31) - 1, 1 << 31, u64::from(u32::MAX), 1 << 40, u64::MAX];
    for (n, &record) in records.iter().enumerate() {
        index.insert_exact(5, &[n as u8; 144], record);
        index.insert_exact(5, &[0xff; 144], record);
    }
    for (n, &record) in records.iter().enumerate() {
        assert_eq!(index.query_exact(5, &[n as u8; 144]), [record]);
        assert!(index.remove_exact(5, &[n as u8; 144], record));
        assert_eq!(index.query_exact(5, &[n as u8; 144]), []);
    }
    assert_eq!(index.query_exact(5, &[0xff; 144]), records);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Few values and records, so that everything is inserted, removed and inserted again many times.
    #[test]
    fn inserts_removals_and_queries_agree_with_plain_sets(
        steps in proptest::collection::vec((any::<bool>(), 0..150_u64, 0..5_u64, 0..4_usize), 0..2000)
    ) {
        let index = MatchIndex::new();
        let mut model: BTreeMap<Vec<u8>, BTreeSet<u64>> = BTreeMap::new();
        for (insert, number, record, width) in steps {
            let value = alike(number, WIDTHS[width], false);
            let records = model.entry(value.clone()).or_default();
            if insert {
                records.insert(record);
                index.insert_exact(7, &value, record);
            } else {
                prop_assert_eq!(index.remove_exact(7, &value, record), records.remove(&record));
            }
            prop_assert_eq!(index.query_exact(7, &value), records.iter().copied().collect::<Vec<_>>());
        }
        model.retain(|_, records| !records.is_empty());
        let postings = model.values().map(|records| records.len() as u64).sum();
        let stats = index.stats().exact.get(&7).copied().unwrap_or_default();
        prop_assert_eq!(stats, SignalStats { values: model.len() as u64, postings });
    }
}
