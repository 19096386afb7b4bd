//! Every cut and every flipped bit of logs that are written here as RocksDB writes them; the same against RocksDB
//! itself, with fewer places, is in `storage/tests/wal.rs`.

use super::*;

/// Appends a record as RocksDB's writer does.
fn append(log: &mut Vec<u8>, data: &[u8]) {
    let (mut rest, mut is_first) = (data, true);
    loop {
        let left = BLOCK_BYTES - log.len() % BLOCK_BYTES;
        if left < HEADER_BYTES {
            log.resize(log.len() + left, 0);
            continue;
        }
        let (fragment, behind) = rest.split_at(rest.len().min(left - HEADER_BYTES));
        let kind = match (is_first, behind.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        let covered = [&[kind], fragment].concat();
        log.extend(Checksum::of(&covered).stored().to_le_bytes());
        log.extend(u16::try_from(fragment.len()).expect("within a block").to_le_bytes());
        log.extend(covered);
        (rest, is_first) = (behind, false);
        if rest.is_empty() {
            return;
        }
    }
}

/// Bytes without a pattern; a third of them zeros, the last no flip away from it.
fn data(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut data: Vec<u8> = (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let byte = state.to_be_bytes()[0];
            if byte < 85 { 0 } else { byte }
        })
        .collect();
    data[length - 1] = 3;
    data
}

/// A log with records of these lengths, and where each ends.
fn written(lengths: &[usize]) -> (Vec<u8>, Vec<usize>) {
    let (mut log, mut ends) = (Vec::new(), Vec::new());
    for (seed, length) in (1..).zip(lengths) {
        append(&mut log, &data(seed, *length));
        ends.push(log.len());
    }
    (log, ends)
}

fn ending_of(log: &[u8]) -> Ending {
    ending(&mut &*log).expect("memory")
}

#[test]
fn a_log_cut_anywhere_in_its_last_record_is_short_or_ends_in_zeros() {
    // Within a block; over the end of one; over three; begun exactly at one's end; with a filler before it.
    for lengths in [&[300, 900][..], &[32_000, 1_500], &[500, 70_000], &[32_761, 400], &[32_757, 400]] {
        let (log, ends) = written(lengths);
        assert_eq!(ending_of(&log), Ending::Whole);
        let (start, end) = (ends[ends.len() - 2], ends[ends.len() - 1]);
        let step = if end - start > 10_000 { 97 } else { 1 };
        for cut in (start + 1..end).step_by(step) {
            for zeros in [0, 100, 4096, 40_000] {
                let mut torn = log[..cut].to_vec();
                torn.resize(cut + zeros, 0);
                match ending_of(&torn) {
                    Ending::Short => {}
                    Ending::Zeros { whole_bytes, written_bytes, file_bytes } => {
                        assert!(zeros > 0);
                        assert_eq!((whole_bytes, file_bytes), (start as u64, (cut + zeros) as u64));
                        assert!(written_bytes <= cut as u64);
                        assert_eq!(ending_of(&torn[..start]), Ending::Whole);
                    }
                    // A filler is nobody's: the record before it is whole.
                    Ending::Whole if zeros == 0 && cut - start < HEADER_BYTES => {}
                    other => panic!("{lengths:?} cut at {cut} with {zeros} zeros: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn any_flipped_bit_is_damage_wherever_it_is() {
    for lengths in [&[40, 300, 20, 90][..], &[32_700, 200, 100]] {
        let (log, _) = written(lengths);
        let step = if log.len() > 10_000 { 31 } else { 1 };
        let ends = (0..log.len()).step_by(step).chain(log.len() - 330..log.len());
        for at in ends {
            for bit in 0..8 {
                let mut flipped = log.clone();
                flipped[at] ^= 1 << bit;
                let ending = ending_of(&flipped);
                assert!(matches!(ending, Ending::Damaged { .. }), "byte {at}, bit {bit}: {ending:?}");
                // Zeros behind it change nothing.
                flipped.resize(log.len() + 4096, 0);
                let ending = ending_of(&flipped);
                assert!(matches!(ending, Ending::Damaged { .. }), "byte {at}, bit {bit}, zeros: {ending:?}");
            }
        }
    }
}

#[test]
fn few_zeros_are_not_taken_for_blocks_that_were_never_written() {
    let (log, ends) = written(&[100, 200]);
    for (zeroed, is_torn) in [(1, false), (15, false), (40, true)] {
        let mut torn = log.clone();
        torn[ends[1] - zeroed..].fill(0);
        let ending = ending_of(&torn);
        assert_eq!(matches!(ending, Ending::Zeros { .. }), is_torn, "{zeroed}: {ending:?}");
    }
}

#[test]
fn zeros_alone_and_records_behind_zeros_are_told_apart() {
    assert_eq!(ending_of(&[]), Ending::Empty);
    assert_eq!(ending_of(&[0; 100_000]), Ending::Empty);
    let (log, ends) = written(&[100, 200, 300]);
    let mut hole = log.clone();
    hole[ends[0]..ends[1]].fill(0);
    assert!(matches!(ending_of(&hole), Ending::Damaged { at, .. } if at == ends[0] as u64));
    // Behind a whole block of zeros.
    let mut hole = log;
    hole.resize(80_000, 0);
    hole.push(1);
    assert!(matches!(ending_of(&hole), Ending::Damaged { .. }));
}

proptest::proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..70_000)) {
        let _ = ending_of(&bytes);
    }
}
