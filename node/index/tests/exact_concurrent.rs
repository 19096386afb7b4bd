//! Readers of the exact maps beside a writer that makes them grow and shrink all the time.
//!
//! Each value has a word that the writer makes odd before a change and even after it; bit 1 of the even word
//! says whether the value is in the index. A reader looks at the word before and after its query: if both are
//! the same even number, no change was under way and the answer must be what the word says.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use hashpact_index::MatchIndex;

const VALUES: usize = 6000;
const ROUNDS: usize = 12;
const READERS: usize = 2;

/// A value of one of two widths.
fn value(number: usize) -> Vec<u8> {
    let width = if number.is_multiple_of(2) { 16 } else { 32 };
    let mut value = vec![0x5a; width];
    value[width - 8..].copy_from_slice(&(number as u64).to_le_bytes());
    value
}

/// Half of the values are carried by two records, so that lists come and go as well.
fn records(number: usize) -> Vec<u64> {
    let first = number as u64;
    if number % 4 < 2 { vec![first] } else { vec![first, first + (1 << 20)] }
}

fn change(index: &MatchIndex, words: &[AtomicU64], number: usize, insert: bool) {
    let word = &words[number];
    let before = word.load(Ordering::SeqCst);
    word.store(before | 1, Ordering::SeqCst);
    for record in records(number) {
        if insert {
            index.insert_exact(2, &value(number), record);
        } else {
            assert!(index.remove_exact(2, &value(number), record));
        }
    }
    word.store((before + 4) ^ 2, Ordering::SeqCst);
}

/// Fills the index in one order and empties it in another, which splits and merges every page.
fn write(index: &MatchIndex, words: &[AtomicU64]) {
    for round in 1..=ROUNDS {
        (0..VALUES).for_each(|number| change(index, words, number, true));
        // Coprime to the number of values, so that each comes once.
        let step = [7, 11, 13][round % 3];
        (0..VALUES).for_each(|n| change(index, words, n * step % VALUES, false));
    }
}

/// Returns how many answers could be judged that had to name the value, and that had to name nothing.
fn read(index: &MatchIndex, words: &[AtomicU64], reader: usize, stop: &AtomicBool) -> [u64; 2] {
    let (mut judged, mut number) = ([0; 2], reader * 577);
    while !stop.load(Ordering::SeqCst) {
        number = (number + 7) % VALUES;
        let value = value(number);
        let before = words[number].load(Ordering::SeqCst);
        let found = index.query_exact(2, &value);
        let after = words[number].load(Ordering::SeqCst);
        // At all times, a value's records are its own.
        assert!(found.iter().all(|record| records(number).contains(record)), "{found:?} for {number}");
        if before == after && before & 1 == 0 {
            let present = before & 2 != 0;
            assert_eq!(found, if present { records(number) } else { vec![] });
            judged[usize::from(!present)] += 1;
        }
    }
    judged
}

#[test]
fn readers_see_every_acknowledged_change_while_pages_split_and_merge() {
    let index = MatchIndex::new();
    let words: Vec<AtomicU64> = (0..VALUES).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    let judged: Vec<[u64; 2]> = thread::scope(|scope| {
        let (index, words, stop) = (&index, &words, &stop);
        let readers: Vec<_> =
            (0..READERS).map(|n| scope.spawn(move || read(index, words, n, stop))).collect();
        let written = scope.spawn(move || write(index, words)).join();
        stop.store(true, Ordering::SeqCst);
        written.expect("the writer's assertions hold");
        readers.into_iter().map(|reader| reader.join().expect("a reader's assertion failed")).collect()
    });
    let [present, absent] = [0, 1].map(|n| judged.iter().map(|judged| judged[n]).sum::<u64>());
    assert!(present > 100 && absent > 100, "only {present} and {absent} answers could be judged");
    assert!(index.stats().exact.is_empty());
}
