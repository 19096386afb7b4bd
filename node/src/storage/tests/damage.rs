//! Crash images and damaged files: what recovery accepts and what it refuses.

use super::{TestLog, crash_image, fresh};
use crate::storage::fsck::{Problem, fsck_with_keys};
use crate::storage::{Store, StoreError};
use std::fs;
use std::path::{Path, PathBuf};

/// The write-ahead log that holds the newest records.
pub(super) fn newest_wal(db: &Path) -> PathBuf {
    let logs = fs::read_dir(db).expect("database").map(|file| file.expect("entry").path());
    let is_wal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    logs.filter(is_wal).max().expect("a write-ahead log")
}

/// A database with three batches of ten, all in the write-ahead log, and where each ended there.
pub(super) fn three_batches() -> (tempfile::TempDir, TestLog, Vec<u64>) {
    let (dir, store) = fresh();
    let mut log = TestLog::new("north");
    let db = dir.path().join("db");
    let ends = (0..3)
        .map(|_| {
            store.write(&log.batch(10)).expect("ten");
            fs::metadata(newest_wal(&db)).expect("log").len()
        })
        .collect();
    crash_image(&db, &dir.path().join("image"));
    (dir, log, ends)
}

/// Opens a copy of the image after a change of its newest write-ahead log.
pub(super) fn open_changed(
    dir: &Path,
    name: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<Store, StoreError> {
    let copy = dir.join(name);
    crash_image(&dir.join("image"), &copy);
    let wal = newest_wal(&copy);
    let mut bytes = fs::read(&wal).expect("log");
    change(&mut bytes);
    fs::write(&wal, bytes).expect("own file");
    Store::open(&copy)
}

pub(super) fn size_of(store: &Store, log: &TestLog) -> u64 {
    store.stored_size(&log.log).unwrap_or(0)
}

#[test]
fn a_torn_tail_loses_only_the_batch_that_was_never_acknowledged() {
    let (dir, log, ends) = three_batches();
    let end = |batch: usize| usize::try_from(ends[batch]).expect("small");
    for (number, cut) in [end(1) + 1, end(1) + 100, end(2) - 100, end(2) - 1].into_iter().enumerate() {
        let store = open_changed(dir.path(), &format!("torn-{number}"), |wal| wal.truncate(cut));
        assert_eq!(size_of(&store.expect("a crash while writing"), &log), 20, "cut at {cut}");
    }
    let whole = open_changed(dir.path(), "whole", |_| ()).expect("nothing missing");
    assert_eq!(size_of(&whole, &log), 30);
}

#[test]
fn damage_before_the_tail_is_refused_and_never_skipped() {
    let (dir, _log, ends) = three_batches();
    let end = |batch: usize| usize::try_from(ends[batch]).expect("small");
    let places = [end(0) - 200, end(0) + 300, (end(0) + end(1)) / 2, end(1) - 1];
    for (number, at) in places.into_iter().enumerate() {
        let opened = open_changed(dir.path(), &format!("flip-{number}"), |wal| wal[at] ^= 0x10);
        let error = opened.expect_err("acknowledged batches must not vanish");
        assert!(matches!(error, StoreError::Damaged { .. }), "byte {at}: {error}");
    }
}

/// The whole table: any one byte flipped, or the file cut anywhere. Whatever opens holds a prefix of the
/// batches, each whole; acknowledged ones are missing only behind a cut, where the lock file notices.
#[test]
fn no_flip_and_no_cut_gives_anything_but_whole_batches_or_a_refusal() {
    let (dir, log, ends) = three_batches();
    let length = usize::try_from(ends[2]).expect("small");
    let (mut refused, mut kept) = (0, [0; 4]);
    for (number, at) in (1..length).step_by(length / 120).enumerate() {
        for flip in [true, false] {
            let name = format!("any-{number}-{flip}");
            let opened =
                open_changed(dir.path(), &name, |wal| if flip { wal[at] ^= 1 } else { wal.truncate(at) });
            match opened {
                Err(StoreError::Damaged { .. } | StoreError::NoIdentity { .. }) => refused += 1,
                Err(error) => panic!("byte {at}, flip {flip}: {error}"),
                Ok(store) => {
                    let held = size_of(&store, &log);
                    assert!(held.is_multiple_of(10), "byte {at}, flip {flip}: {held} entries");
                    kept[usize::try_from(held / 10).expect("small")] += 1;
                    let entries = store.entries(&log.log, 0, held).unwrap_or_default();
                    assert!((0..).zip(&entries).all(|(index, entry)| *entry == log.entry(index)));
                    // A flip is either refused, or hits the last record, which then looks torn.
                    assert!(!flip || held == 20, "byte {at}: {held} entries after a flip");
                }
            }
            fs::remove_dir_all(dir.path().join(name)).expect("own folder");
        }
    }
    assert!(refused > 50 && kept[1] > 10 && kept[2] > 10, "{refused} refused, {kept:?} kept");
}

#[test]
fn a_log_cut_at_a_record_boundary_is_caught_by_the_lock() {
    let (dir, log, ends) = three_batches();
    let cut = usize::try_from(ends[1]).expect("small");
    let store = open_changed(dir.path(), "cut", |wal| wal.truncate(cut)).expect("looks sound");
    assert_eq!(size_of(&store, &log), 20);
    let keys = [(log.log, log.key.public())].into_iter().collect();
    let report = fsck_with_keys(&store, &keys, &log.lock(), &mut |_| ()).expect("readable");
    let ahead = Problem::LockAhead { origin: log.origin.clone(), locked: 30, stored: 20 };
    assert_eq!(report.problems, [ahead]);
    assert!(!report.is_clean());
}

#[test]
fn a_missing_or_foreign_database_is_named() {
    let (dir, store) = fresh();
    let db = dir.path().join("db");
    drop(store);
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    let foreign = dir.path().join("foreign");
    drop(rocksdb::DB::open(&options, &foreign).expect("somebody else's"));
    assert!(matches!(Store::open(&foreign), Err(StoreError::Families { .. })));
    // The manifest is the list of tables: without it nothing may be guessed.
    for file in fs::read_dir(&db).expect("database").map(|file| file.expect("entry")) {
        if file.file_name().to_string_lossy().starts_with("MANIFEST") {
            fs::write(file.path(), b"garbage").expect("own file");
        }
    }
    assert!(Store::open(&db).is_err());
}
