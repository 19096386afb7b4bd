use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use proptest::prelude::*;

use super::*;

fn records(lists: &PostingLists, slot: &AtomicU32) -> Vec<u64> {
    let guard = crossbeam_epoch::pin();
    let (value, mut records) = (slot.load(Ordering::Acquire), Vec::new());
    lists.read(value, &guard, |record| records.push(record));
    assert_eq!(lists.len(value, &guard), records.len());
    records.sort_unstable();
    records
}

fn slot() -> AtomicU32 {
    AtomicU32::new(EMPTY)
}

#[test]
fn one_small_record_stands_in_the_slot() {
    let (lists, slot) = (PostingLists::default(), slot());
    assert!(records(&lists, &slot).is_empty());
    assert!(lists.insert(&slot, (1 << 31) - 1) && !lists.insert(&slot, (1 << 31) - 1));
    assert_eq!(slot.load(Ordering::Relaxed), (1 << 31) - 1);
    assert_eq!(lists.bytes(), 0);
    assert_eq!(lists.remove(&slot, 5), Removal::Absent);
    assert_eq!(lists.remove(&slot, (1 << 31) - 1), Removal::Last);
    assert_eq!(lists.remove(&slot, (1 << 31) - 1), Removal::Absent);
    assert_eq!(slot.load(Ordering::Relaxed), EMPTY);
}

#[test]
fn large_record_numbers_stand_in_lists() {
    let (lists, slot) = (PostingLists::default(), slot());
    let large = [1 << 31, u64::from(EMPTY), u64::MAX - 1, u64::MAX];
    for (n, &record) in large.iter().enumerate() {
        assert!(!lists.contains(&slot, record));
        assert!(lists.insert(&slot, record) && !lists.insert(&slot, record));
        assert!(lists.contains(&slot, record));
        assert_eq!(records(&lists, &slot), large[..=n]);
    }
    // Half of them struck out, down to one that does not fit the slot.
    for &record in &large[..3] {
        assert_eq!(lists.remove(&slot, record), Removal::Remaining);
        assert_eq!(lists.remove(&slot, record), Removal::Absent);
    }
    assert_eq!(records(&lists, &slot), [u64::MAX]);
    assert_eq!(lists.remove(&slot, u64::MAX), Removal::Last);
    assert_eq!(slot.load(Ordering::Relaxed), EMPTY);
}

#[test]
fn a_list_of_two_hundred_thousand_is_quick_to_change() {
    const RECORDS: u64 = 200_000;
    let (lists, slot) = (PostingLists::default(), slot());
    let all: Vec<u64> = (0..RECORDS).map(|n| n * 3).collect();
    // A scan for each of them would take minutes.
    for &record in &all {
        assert!(lists.insert(&slot, record) && !lists.insert(&slot, record));
    }
    assert_eq!(records(&lists, &slot), all);
    let full_bytes = lists.bytes();
    assert!(full_bytes < RECORDS as usize * 64, "{full_bytes} bytes");
    for &record in all.iter().skip(1) {
        assert_eq!(lists.remove(&slot, record + 1), Removal::Absent);
        assert_eq!(lists.remove(&slot, record), Removal::Remaining);
    }
    assert_eq!(slot.load(Ordering::Relaxed), 0);
    assert!(lists.bytes() < 4096, "{} bytes for one record", lists.bytes());
}

/// Lists come and go; their numbers are used again, but never while a reader might mean the old one.
#[test]
fn numbers_of_lists_are_used_again_once_no_reader_can_hold_them() {
    let lists = PostingLists::default();
    let first = slot();
    lists.insert(&first, 1);
    lists.insert(&first, 2);
    let guard = crossbeam_epoch::pin();
    let held = first.load(Ordering::Acquire);
    lists.remove(&first, 1);
    lists.remove(&first, 2);
    let others: Vec<AtomicU32> = (0..200).map(|_| slot()).collect();
    for (n, other) in others.iter().enumerate() {
        lists.insert(other, n as u64);
        lists.insert(other, n as u64 + 1000);
        assert_ne!(other.load(Ordering::Relaxed), held);
        lists.read(held, &guard, |record| assert_eq!(record, 2, "another value's record"));
    }
    drop(guard);
    let again = slot();
    let reused = (0..100_000).any(|_| {
        lists.insert(&again, 1);
        lists.insert(&again, 2);
        let number = again.load(Ordering::Relaxed);
        lists.remove(&again, 1);
        lists.remove(&again, 2);
        crossbeam_epoch::pin().flush();
        number == held
    });
    assert!(reused, "the number was never used again");
}

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u64),
    Remove(usize, u64),
    Clear(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let record =
        prop_oneof![6 => 0..90_u64, 1 => (1_u64 << 31) - 1..(1 << 31) + 2, 1 => u64::MAX - 2..=u64::MAX];
    prop_oneof![
        6 => (0..3_usize, record.clone()).prop_map(|(slot, record)| Step::Insert(slot, record)),
        4 => (0..3_usize, record).prop_map(|(slot, record)| Step::Remove(slot, record)),
        1 => (0..3_usize).prop_map(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn a_posting_is_a_set(steps in proptest::collection::vec(step(), 0..800)) {
        let lists = PostingLists::default();
        let slots = [slot(), slot(), slot()];
        let mut sets = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
        for step in steps {
            match step {
                Step::Insert(n, record) => {
                    prop_assert_eq!(lists.insert(&slots[n], record), sets[n].insert(record));
                    prop_assert!(lists.contains(&slots[n], record));
                }
                Step::Remove(n, record) => {
                    let was_there = sets[n].remove(&record);
                    let expected = match (was_there, sets[n].is_empty()) {
                        (false, _) => Removal::Absent,
                        (true, true) => Removal::Last,
                        (true, false) => Removal::Remaining,
                    };
                    prop_assert_eq!(lists.remove(&slots[n], record), expected);
                    prop_assert!(!lists.contains(&slots[n], record));
                }
                Step::Clear(n) => {
                    for record in std::mem::take(&mut sets[n]) {
                        prop_assert_ne!(lists.remove(&slots[n], record), Removal::Absent);
                    }
                }
            }
        }
        for (slot, set) in slots.iter().zip(&sets) {
            prop_assert_eq!(records(&lists, slot), set.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(slot.load(Ordering::Relaxed) == EMPTY, set.is_empty());
        }
    }
}

/// Every slot has records that only it ever has; readers must never see those of another.
#[test]
fn a_reader_sees_only_records_of_the_slot_that_it_loaded() {
    const SLOTS: u64 = 40;
    let (lists, stop) = (PostingLists::default(), AtomicBool::new(false));
    let slots: Vec<AtomicU32> = (0..SLOTS).map(|_| slot()).collect();
    thread::scope(|scope| {
        let (lists, slots, stop) = (&lists, &slots, &stop);
        let reader = scope.spawn(move || {
            let mut seen = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                for (n, slot) in slots.iter().enumerate() {
                    let guard = crossbeam_epoch::pin();
                    let mut once = BTreeMap::new();
                    lists.read(slot.load(Ordering::Acquire), &guard, |record| {
                        assert_eq!(record % SLOTS, n as u64);
                        *once.entry(record).or_insert(0) += 1;
                    });
                    assert!(once.values().all(|&times| times == 1));
                    seen += once.len() as u64;
                }
            }
            seen
        });
        let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..300_000 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let (n, record) = (dice % SLOTS, dice >> 20 & 15);
            let (slot, record) = (&slots[n as usize], record * SLOTS + n);
            if !lists.insert(slot, record) {
                assert_ne!(lists.remove(slot, record), Removal::Absent);
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().expect("the reader's assertions hold") > 0);
    });
}
