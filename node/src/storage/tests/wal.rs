//! Write-ahead logs that a power cut tore: what is cut off, what is left to RocksDB, and what is refused.

use super::damage::{newest_wal, open_changed, size_of, three_batches};
use super::{TestLog, crash_image, fresh};
use crate::storage::{Store, StoreError, TornTail};
use std::fs;
use std::path::{Path, PathBuf};

/// Zeros behind a cut: none, some, a block, more than a block of the log.
const ZEROS: [usize; 4] = [0, 100, 4096, 40_000];

/// Opens a database and gives what was told of a cut.
fn open_told(dir: &Path) -> (Result<Store, StoreError>, Vec<TornTail>) {
    let mut told = Vec::new();
    let opened = Store::open_telling(dir, &mut |tail| {
        told.push(tail.clone());
        Ok(())
    });
    (opened, told)
}

/// What became of an image whose last record was cut and followed by zeros.
struct Torn {
    opened: Result<Store, StoreError>,
    told: Vec<TornTail>,
    dir: PathBuf,
}

fn tear(dir: &Path, keep: usize, zeros: usize) -> Torn {
    let copy = dir.join(format!("torn-{keep}-{zeros}"));
    crash_image(&dir.join("image"), &copy);
    let wal = newest_wal(&copy);
    let mut bytes = fs::read(&wal).expect("log");
    bytes.truncate(keep);
    bytes.resize(keep + zeros, 0);
    fs::write(&wal, bytes).expect("own file");
    let (opened, told) = open_told(&copy);
    Torn { opened, told, dir: copy }
}

/// Cuts in the last record of an image, at every so many bytes, and what must be left.
fn check_tears(
    dir: &Path,
    log: &TestLog,
    (start, end): (usize, usize),
    step: usize,
    (before, after): (u64, u64),
) {
    let mut cuts = 0;
    for (nth, keep) in (start..end).step_by(step).chain([end - 1, end]).enumerate() {
        // All amounts of zeros come with all parts of the record, not each with each.
        for zeros in [ZEROS[nth % 4], ZEROS[(nth + 2) % 4]] {
            let Torn { opened, told, dir } = tear(dir, keep, zeros);
            let store = opened.unwrap_or_else(|error| panic!("cut at {keep}, {zeros} zeros: {error}"));
            let held = size_of(&store, log);
            assert_eq!(held, if keep == end { after } else { before }, "cut at {keep}, {zeros} zeros");
            let entries = store.entries(&log.log, 0, held).expect("readable");
            assert!((0..).zip(&entries).all(|(index, entry)| *entry == log.entry(index)));
            cuts += told.len();
            for tail in told {
                assert_eq!(tail.whole_bytes, start as u64, "cut at {keep}, {zeros} zeros");
                assert_eq!(tail.whole_bytes + tail.torn_bytes + tail.zero_bytes, (keep + zeros) as u64);
                let aside =
                    tail.aside.as_ref().map(|aside| fs::read(aside).expect("kept aside").len() as u64);
                assert_eq!(aside.unwrap_or(0), tail.torn_bytes);
                store.forget_torn_tails().expect("own files");
                assert!(!tail.aside.is_some_and(|aside| aside.exists()));
            }
            drop(store);
            let (again, told) = open_told(&dir);
            assert_eq!((size_of(&again.expect("once cut, whole"), log), told), (held, Vec::new()));
            fs::remove_dir_all(dir).expect("own folder");
        }
    }
    assert!(cuts > 20, "only {cuts} tails were cut");
}

#[test]
fn a_last_record_that_ends_in_zeros_is_dropped_and_nothing_else() {
    let (dir, log, ends) = three_batches();
    let end = |batch: usize| usize::try_from(ends[batch]).expect("small");
    check_tears(dir.path(), &log, (end(1), end(2)), 43, (20, 30));
}

/// A record of several blocks: first, middle and last fragments, and fillers between.
#[test]
fn so_is_one_of_several_blocks() {
    let (dir, store) = fresh();
    let mut log = TestLog::new("north");
    let db = dir.path().join("db");
    let length = || usize::try_from(fs::metadata(newest_wal(&db)).expect("log").len()).expect("small");
    store.write(&log.batch(10)).expect("ten");
    let start = length();
    store.write(&log.batch(300)).expect("many");
    let end = length();
    assert!(end - start > 4 * 32 * 1024, "{start} to {end}");
    crash_image(&db, &dir.path().join("image"));
    check_tears(dir.path(), &log, (start, end), 2_003, (10, 310));
}

#[test]
fn what_was_told_comes_before_the_cut_and_can_prevent_it() {
    let (dir, _log, ends) = three_batches();
    let keep = usize::try_from(ends[1]).expect("small") + 300;
    let Torn { opened, told, dir: copy } = tear(dir.path(), keep, 40_000);
    drop(opened.expect("recovered"));
    assert_eq!(told.len(), 1);
    crash_image(&dir.path().join("image"), &copy.with_extension("again"));
    let copy = copy.with_extension("again");
    let wal = newest_wal(&copy);
    let mut bytes = fs::read(&wal).expect("log");
    bytes.truncate(keep);
    bytes.resize(keep + 40_000, 0);
    fs::write(&wal, &bytes).expect("own file");
    let refused = Store::open_telling(&copy, &mut |_| Err(StoreError::Poisoned));
    assert!(matches!(refused, Err(StoreError::Poisoned)), "{refused:?}");
    assert_eq!(fs::read(&wal).expect("log"), bytes, "nothing was cut");
}

/// A database that somebody has open is left alone, whatever its log looks like.
#[test]
fn nothing_is_cut_under_another_process() {
    let (dir, _log, ends) = three_batches();
    let copy = dir.path().join("open");
    crash_image(&dir.path().join("image"), &copy);
    let store = Store::open(&copy).expect("whole");
    let wal = copy.join("999999.log");
    let mut torn = fs::read(newest_wal(&dir.path().join("image"))).expect("log");
    torn.truncate(usize::try_from(ends[1]).expect("small") + 300);
    torn.resize(torn.len() + 40_000, 0);
    fs::write(&wal, &torn).expect("own file");
    let (second, told) = open_told(&copy);
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{second:?}");
    assert_eq!((told, fs::read(&wal).expect("log")), (Vec::new(), torn));
    drop(store);
}

/// Every kind of damage that RocksDB itself would take for the end of the log, or that it refuses.
#[test]
fn damage_is_refused_with_its_place_whatever_follows() {
    let (dir, _log, ends) = three_batches();
    let end = |batch: usize| usize::try_from(ends[batch]).expect("small");
    let (second, third) = (end(0), end(1));
    type Change = Box<dyn Fn(&mut Vec<u8>)>;
    let flip = |at: usize, bit: u8| -> Change { Box::new(move |wal| wal[at] ^= 1 << bit) };
    let cases: [(&str, Change); 12] = [
        ("length of the second record, longer than the file", flip(second + 5, 6)),
        ("length of the second record, longer than the block", flip(second + 5, 7)),
        ("length of the last record, longer than the file", flip(third + 5, 6)),
        ("length of the last record, shorter", flip(third + 4, 4)),
        ("type of the second record, as of a recycled log", flip(second + 6, 2)),
        ("type of the first record, as of a recycled log", flip(6, 2)),
        ("type of the last record, to be ignored", flip(third + 6, 7)),
        ("checksum of the last record", flip(third, 0)),
        ("data of the last record", flip(third + 200, 3)),
        ("the header of the second record is zeros", Box::new(move |wal| wal[second..second + 7].fill(0))),
        ("the second record is zeros", Box::new(move |wal| wal[second..third].fill(0))),
        (
            "a flip before a torn tail of zeros",
            Box::new(move |wal| {
                wal[second + 200] ^= 1;
                let torn = third + 300;
                wal.truncate(torn);
                wal.resize(torn + 40_000, 0);
            }),
        ),
    ];
    for (number, (name, change)) in cases.into_iter().enumerate() {
        let opened = open_changed(dir.path(), &format!("damage-{number}"), change);
        let Err(StoreError::Damaged { detail }) = opened else { panic!("{name}: {opened:?}") };
        assert!(detail.contains(".log, byte "), "{name}: {detail}");
    }
}

/// The manifest has the same format, and the same may become of an edit that was never acknowledged.
#[test]
fn a_manifest_that_ends_in_zeros_loses_only_its_last_edit() {
    let (dir, log, _) = three_batches();
    let image = dir.path().join("image");
    let name = fs::read_to_string(image.join("CURRENT")).expect("current");
    let sound = fs::read(image.join(name.trim_end())).expect("manifest");
    for (number, torn) in [3, 40].into_iter().enumerate() {
        let copy = dir.path().join(format!("manifest-{number}"));
        crash_image(&image, &copy);
        // An edit that began to be written: its header speaks of 50 bytes.
        let mut bytes = [sound.as_slice(), &[7, 7, 7, 7, 50, 0, 1], &[9; 50]].concat();
        bytes.truncate(sound.len() + torn);
        bytes.resize(sound.len() + 4096, 0);
        fs::write(copy.join(name.trim_end()), bytes).expect("own file");
        let (opened, told) = open_told(&copy);
        assert_eq!(size_of(&opened.expect("recovered"), &log), 30);
        assert!(told.iter().all(|tail| tail.whole_bytes == sound.len() as u64));
        assert!(torn == 3 || told.len() == 1, "{told:?}");
    }
}
