//! Readers and writers at once: what was acknowledged is what every later query sees.
//!
//! Each value has a word that its writer makes odd before a change and even after it; bit 1 of the even word
//! says whether the value is in the index. A reader looks at the word before and after its query: if both are
//! the same even number, no change was under way and the answer must be what the word says.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use hashpact_index::{MatchIndex, Options};

const WRITERS: usize = 2;
const VALUES_PER_WRITER: usize = 1200;
const CHANGES_PER_WRITER: usize = 12_000;
const READERS: usize = 2;

/// Values far apart: each is the same eight bytes over and over, scrambled from its number.
fn value(number: usize) -> [u8; 32] {
    let mut value = [0; 32];
    for (part, chunk) in value.chunks_exact_mut(8).enumerate() {
        let seed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(part as u32 * 11);
        let mixed = (seed ^ (seed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 32)).to_be_bytes());
    }
    value
}

fn write(index: &MatchIndex, words: &[AtomicU64], writer: usize) {
    let mut dice = 0x1234_5678_9abc_def1_u64 + writer as u64;
    for _ in 0..CHANGES_PER_WRITER {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let number = writer * VALUES_PER_WRITER + dice as usize % VALUES_PER_WRITER;
        let word = &words[number];
        let before = word.load(Ordering::SeqCst);
        let present = before & 2 != 0;
        word.store(before | 1, Ordering::SeqCst);
        let value = value(number);
        if present {
            assert!(index.remove_hamming(&value, number as u64));
            assert!(index.remove_exact(4, &value, number as u64));
        } else {
            index.insert_hamming(&value, number as u64);
            index.insert_exact(4, &value, number as u64);
        }
        word.store((before + 4) ^ 2, Ordering::SeqCst);
    }
}

/// Returns how many answers could be judged.
fn read(index: &MatchIndex, words: &[AtomicU64], reader: usize, stop: &AtomicBool) -> u64 {
    let (mut judged, mut number) = (0, reader * 577);
    while !stop.load(Ordering::SeqCst) {
        number = (number + 7) % words.len();
        let value = value(number);
        let before = words[number].load(Ordering::SeqCst);
        let near = index.query_hamming(&value, 31);
        let batch = index.query_hamming_batch(&[value], 31);
        let exact = index.query_exact(4, &value);
        let after = words[number].load(Ordering::SeqCst);
        if before != after || before & 1 != 0 {
            continue;
        }
        judged += 1;
        let record = number as u64;
        let present = before & 2 != 0;
        assert_eq!(near.iter().any(|hit| hit.record == record && hit.distance == 0), present);
        assert_eq!(batch, [near]);
        assert_eq!(exact.contains(&record), present);
    }
    judged
}

#[test]
fn every_query_sees_what_was_acknowledged_before_it() {
    judge_all(0);
    judge_all(u32::MAX);
}

fn judge_all(flat_max: u32) {
    let index = MatchIndex::with_options(Options { flat_max, ..Options::with_seed([1; 32]) });
    let words: Vec<AtomicU64> = (0..WRITERS * VALUES_PER_WRITER).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    let judged: u64 = thread::scope(|scope| {
        let (index, words, stop) = (&index, &words, &stop);
        let readers: Vec<_> =
            (0..READERS).map(|n| scope.spawn(move || read(index, words, n, stop))).collect();
        let writers: Vec<_> = (0..WRITERS).map(|n| scope.spawn(move || write(index, words, n))).collect();
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        stop.store(true, Ordering::SeqCst);
        for outcome in written {
            outcome.expect("a writer's assertion failed");
        }
        readers.into_iter().map(|reader| reader.join().expect("a reader's assertion failed")).sum()
    });
    assert!(judged > 100, "only {judged} answers could be judged");

    let present = words.iter().filter(|word| word.load(Ordering::SeqCst) & 2 != 0).count() as u64;
    assert_eq!(index.stats().hamming.values, present);
    assert_eq!(index.stats().exact.get(&4).map_or(0, |kind| kind.postings), present);
}
