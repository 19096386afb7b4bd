//! Payloads that arrive after their leaves.

use super::{TestLog, fresh};
use crate::storage::fsck::fsck_with_keys;
use crate::storage::{Store, StoreError};
use hashpact_core::effect::{HoldingRead, PayloadBatch, StoredEntry, StoredPayload};
use hashpact_core::entitled::Entitled;
use hashpact_protocol::record::Gap;
use hashpact_protocol::wire::WirePayload;

/// Ten entries, of which these lack their payload.
fn lacking(missing: &[u64]) -> (tempfile::TempDir, Store, TestLog) {
    let (dir, store) = fresh();
    let mut log = TestLog::new("south");
    let entries = (0..10).map(|index| {
        let entry = log.entry(index);
        if missing.contains(&index) {
            StoredEntry { payload: StoredPayload::NotHere, ..entry }
        } else {
            entry
        }
    });
    let entries = entries.collect();
    store.write(&log.batch_of(entries)).expect("ten");
    log.publish(&store);
    (dir, store, log)
}

fn indexes(store: &Store, log: &TestLog, after: Option<u64>, count_max: usize) -> Vec<u64> {
    let found = store.missing(&log.log, after, count_max).expect("readable");
    assert!(found.iter().all(|missing| missing.leaf == log.entry(missing.index).leaf), "with their leaves");
    found.into_iter().map(|missing| missing.index).collect()
}

fn faults(store: &Store, log: &TestLog) -> u64 {
    let keys = [(log.log, log.key.public())].into_iter().collect();
    let lock = TestLog::new("north").lock();
    fsck_with_keys(store, &keys, &lock, &mut |_| ()).expect("readable").faults
}

#[test]
fn what_is_missing_is_listed_in_order_across_restarts_until_it_arrives() {
    let (dir, store, log) = lacking(&[1, 4, 7, 9]);
    assert_eq!(indexes(&store, &log, None, 3), [1, 4, 7]);
    assert_eq!(indexes(&store, &log, Some(4), 256), [7, 9]);
    assert_eq!(indexes(&store, &log, Some(9), 256), [0; 0]);
    assert_eq!(indexes(&store, &log, Some(u64::MAX), 256), [0; 0]);
    assert_eq!(store.missing_count(&log.log, u64::MAX).expect("readable"), 4);
    assert_eq!(store.missing_count(&log.log, 7).expect("readable"), 2, "below a closure");
    assert_eq!(faults(&store, &log), 0);

    let payloads = vec![(4, log.entry(4).payload), (9, log.entry(9).payload)];
    store.write_payloads(&PayloadBatch { id: 1, log: log.log, payloads }).expect("both");
    drop(store);
    let store = Store::open(&dir.path().join("db")).expect("sound");
    assert_eq!(indexes(&store, &log, None, 256), [1, 7]);
    assert_eq!(store.entry(&log.log, 4).expect("readable"), Some(log.entry(4)));
    assert_eq!(faults(&store, &log), 0);
}

#[test]
fn a_payload_that_is_here_or_destroyed_is_not_replaced() {
    let (_dir, store, log) = lacking(&[3]);
    let other = StoredPayload::Present { salt: [0; 32], padded: vec![0; 128] };
    let batch = |payloads| PayloadBatch { id: 1, log: log.log, payloads };
    store.write_payloads(&batch(vec![(2, other.clone())])).expect("nothing to do");
    assert_eq!(store.entry(&log.log, 2).expect("readable"), Some(log.entry(2)));
    store.write_payloads(&batch(vec![(3, StoredPayload::Erased)])).expect("a verdict");
    store.write_payloads(&batch(vec![(3, other.clone())])).expect("too late");
    let stored = store.entry(&log.log, 3).expect("readable").expect("stored");
    assert_eq!(stored.payload, StoredPayload::Erased);
    assert!(matches!(
        store.write_payloads(&batch(vec![(10, other)])),
        Err(StoreError::EntryMissing { index: 10, .. })
    ));
    store.write_payloads(&batch(Vec::new())).expect("a refusal leaves the store usable");
}

#[test]
fn a_peer_gets_payloads_in_the_order_asked_within_its_bound() {
    let (_dir, store, log) = lacking(&[5]);
    let all = store.payloads(&log.log, &[0, 5, 9], 1 << 20, &Entitled::All).expect("readable");
    assert_eq!(all.len(), 3);
    assert!(matches!(all[0], WirePayload::Present { .. }));
    assert_eq!(all[1], WirePayload::NotHere);
    // Each takes 160 bytes with its salt; one goes in any case, and what is not here takes nothing.
    for (bytes_max, sent) in [(1, 1), (319, 2), (320, 3)] {
        assert_eq!(
            store.payloads(&log.log, &[0, 5, 9], bytes_max, &Entitled::All).expect("readable").len(),
            sent
        );
    }
    assert!(matches!(store.payloads(&log.log, &[10], 1, &Entitled::All), Err(StoreError::Beyond { .. })));
    assert!(matches!(
        store.payloads(&TestLog::new("west").log, &[0], 1, &Entitled::All),
        Err(StoreError::UnknownLog(_))
    ));
}

#[test]
fn what_is_held_is_told_as_runs_and_growth_by_receipts_does_not_count() {
    let (_dir, store, log) = lacking(&[0, 1, 4, 7, 9]);
    let gap = |start, count| Gap { start, count };
    let ask = |stated_size, size, gaps_max| {
        store.holding(&HoldingRead { log: log.log, stated_size, size, gaps_max }).expect("readable")
    };
    assert_eq!(ask(0, 10, 8).missing, [gap(0, 2), gap(4, 1), gap(7, 1), gap(9, 1)]);
    assert_eq!(ask(0, 9, 8).missing, [gap(0, 2), gap(4, 1), gap(7, 1)]);
    assert_eq!(ask(0, 10, 2).missing, [gap(0, 2), gap(4, 6)], "rather too little than too much is claimed");
    assert!(ask(0, 10, 8).has_grown && ask(9, 10, 8).has_grown && !ask(10, 10, 8).has_grown);

    let mut receipts = TestLog::new("east");
    let entries = (0..3).map(|index| {
        let mut entry = receipts.entry(index);
        entry.leaf[4] = if index == 1 { 1 } else { 13 };
        entry
    });
    let entries = entries.collect();
    store.write(&receipts.batch_of(entries)).expect("three");
    let grown = |stated_size| {
        let ask = HoldingRead { log: receipts.log, stated_size, size: 3, gaps_max: 8 };
        store.holding(&ask).expect("readable").has_grown
    };
    assert_eq!([grown(0), grown(1), grown(2)], [true, true, false]);
}
