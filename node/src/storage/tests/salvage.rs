//! A damaged database is copied as far as it is whole, and not at all where nothing may be made up.

use super::{TestLog, fresh, idempotent};
use crate::storage::fsck::{LogKeys, fsck_with_keys};
use crate::storage::salvage::{SalvageError, salvage};
use crate::storage::{Store, codec, leaves, payloads, tiles};
use hashpact_core::effect::{Fact, FactWrite, LockState};
use std::path::Path;

struct Damaged {
    dir: tempfile::TempDir,
    store: Store,
    north: TestLog,
    south: TestLog,
}

impl Damaged {
    fn new() -> Self {
        let (dir, store) = fresh();
        let (mut north, mut south) = (TestLog::new("north"), TestLog::new("south"));
        let mut batch = north.batch(300);
        batch.note = Some(north.note());
        batch.idempotency = vec![idempotent(1, 290, 10)];
        batch.generation = Some(north.lock().generation);
        store.write(&batch).expect("north");
        let mut batch = south.batch(600);
        batch.note = Some(south.note());
        store.write(&batch).expect("south");
        let fact = Fact::Cosigned { size: 600, root: south.frontier.root() };
        store.write_fact(&FactWrite { id: 1, log: south.log, generation: None, fact }).expect("cosigned");
        Self { dir, store, north, south }
    }

    fn flip(&self, family: &str, key: &[u8], at: usize) {
        let cf = self.store.family(family);
        let mut value = self.store.db.get_cf(cf, key).expect("reads").expect("there");
        value[at] ^= 0x20;
        self.store.db.put_cf(cf, key, value).expect("meddling");
    }

    /// Closes the database and copies it.
    fn salvage(
        self,
    ) -> (Result<crate::storage::salvage::Salvaged, SalvageError>, tempfile::TempDir, LockState, LogKeys)
    {
        let keys = [&self.north, &self.south].map(|log| (log.log, log.key.public())).into_iter().collect();
        let (lock, dir) = (self.north.lock(), self.dir);
        drop(self.store);
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("scratch")).expect("own folder");
        let before = files(&path("db"));
        let done = salvage(&path("db"), &path("new"), &path("scratch"), &keys, &lock);
        assert_eq!(files(&path("db")), before, "the damaged database is not changed");
        (done, dir, lock, keys)
    }
}

/// Names and lengths of a folder's files.
fn files(dir: &Path) -> Vec<(std::ffi::OsString, u64)> {
    let mut found: Vec<_> = std::fs::read_dir(dir)
        .expect("folder")
        .map(|file| file.expect("entry"))
        .map(|file| (file.file_name(), file.metadata().expect("there").len()))
        .filter(|(name, _)| name != "LOCK")
        .collect();
    found.sort();
    found
}

#[test]
fn a_replica_is_cut_where_it_is_damaged_and_everything_else_is_kept() {
    let damaged = Damaged::new();
    let south = damaged.south.log;
    damaged.flip(leaves::FAMILY, &codec::entry_key(&south, 520), 20);
    damaged.flip(payloads::FAMILY, &codec::entry_key(&south, 7), 60);
    let (done, dir, lock, keys) = damaged.salvage();
    let salvaged = done.expect("the own log is whole");
    let of =
        |log: &str| salvaged.logs.iter().find(|found| found.origin.contains(log)).expect("there").clone();
    assert_eq!((of("north").whole, of("north").cut), (300, None));
    let cut = of("south");
    assert_eq!((cut.stored, cut.whole, cut.payloads_lost), (600, 520, 1));
    assert_eq!(cut.cut.as_deref(), Some("leaf 520 is not what its hash tile says"));
    let store = Store::open(&dir.path().join("new")).expect("a new database");
    assert_eq!(store.generation().expect("copied"), lock.generation);
    assert_eq!(store.missing_count(&south, u64::MAX).expect("readable"), 1);
    assert!(store.prior(&[1; 32]).expect("readable").is_some(), "retries are still recognised");
    let report = fsck_with_keys(&store, &keys, &lock, &mut |_| ()).expect("readable");
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    // What was cosigned is remembered, although the entries are to be fetched again.
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("this node cosigned size 600, 520 entries are stored"), "{problems:?}");
}

#[test]
fn damaged_tiles_cost_nothing_that_the_leaves_have() {
    let damaged = Damaged::new();
    let south = damaged.south.log;
    damaged
        .store
        .db
        .delete_cf(damaged.store.family(tiles::FAMILY), tiles::key(&south, 0, 2))
        .expect("meddling");
    damaged.flip(tiles::FAMILY, &tiles::key(&south, 1, 0), 3);
    let (done, dir, lock, keys) = damaged.salvage();
    assert!(done.expect("whole").logs.iter().all(|log| log.cut.is_none() && log.whole == log.stored));
    let store = Store::open(&dir.path().join("new")).expect("a new database");
    assert!(fsck_with_keys(&store, &keys, &lock, &mut |_| ()).expect("readable").is_clean());
}

#[test]
fn nothing_is_made_up_for_the_own_log() {
    for family in [leaves::FAMILY, payloads::FAMILY] {
        let damaged = Damaged::new();
        damaged.flip(family, &codec::entry_key(&damaged.north.log, 100), 60);
        let (done, ..) = damaged.salvage();
        let error = done.expect_err("the own log is damaged");
        assert!(matches!(error, SalvageError::OwnLog { needed: 300, .. }), "{error}");
    }
}
