//! Databases and lock files that an earlier version of this program wrote, as they stand in
//! `tests/vectors/database/`: they open, hold what was put into them, and go on.
//!
//! A folder is written once, with `UPDATE_VECTORS=1` while it is missing, and never again: it is what a member's
//! disk may still look like.

use super::{TestLog, crash_image, idempotent};
use crate::storage::fsck::{LogKeys, fsck_with_keys};
use crate::storage::{LockFile, Store};
use hashpact_core::effect::{AheadBatch, Fact, FactWrite, HeldFacts, LockState, StoredEntry, StoredPayload};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::{EntryLeaf, read_leaf};
use std::fs;
use std::path::{Path, PathBuf};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/database");
const OWN: u64 = 40;
const OTHER: u64 = 25;
/// An entry that is held ahead of the second log's end.
const AHEAD: u64 = 34;
const FOREIGN_LEAF: &[u8] = b"HPL2, a leaf of a version that was not known when this was written";

/// What an entry is, by its index: most are sound, some say what only a later version reads.
fn entry(log: &TestLog, index: u64) -> StoredEntry {
    match index % 8 {
        2 => {
            let mut entry = log.entry(index);
            // A retraction that overtakes a backlog.
            (entry.leaf[4], entry.leaf[5], entry.leaf[64]) = (7, 3, 1);
            reseal(&mut entry);
            entry
        }
        3 => StoredEntry { leaf: FOREIGN_LEAF.to_vec(), payload: StoredPayload::NotHere },
        5 => {
            let mut entry = log.entry(index);
            entry.leaf[4] = 200;
            reseal(&mut entry);
            entry
        }
        6 => {
            let mut entry = log.entry(index);
            entry.leaf[7] = 9;
            reseal(&mut entry);
            entry
        }
        7 => StoredEntry { payload: StoredPayload::Withheld, ..log.entry(index) },
        _ => log.entry(index),
    }
}

fn reseal(entry: &mut StoredEntry) {
    let StoredPayload::Present { salt, padded } = &entry.payload else { return };
    let prefix = *entry.leaf.first_chunk().expect("136 bytes");
    let commitment = hashpact_protocol::leaf::commitment(&prefix, salt, padded);
    entry.leaf[104..].copy_from_slice(commitment.as_bytes());
}

/// The two logs as far as they were stored: the own one, and another member's.
struct Both {
    own: TestLog,
    other: TestLog,
    lock: LockState,
}

/// Appends everything to a store, if one is given; in any case knows what there must be.
fn write(store: Option<&Store>) -> Both {
    let (mut own, mut other) = (TestLog::new("north"), TestLog::new("south"));
    let put = |log: &mut TestLog, size: u64, is_own: bool| {
        let start = log.frontier.size();
        let entries = (start..size).map(|index| entry(log, index)).collect();
        let mut batch = log.batch_of(entries);
        batch.note = Some(log.note());
        batch.generation = is_own.then_some(size);
        batch.idempotency = if is_own { vec![idempotent(7, start, 5)] } else { Vec::new() };
        if let Some(store) = store {
            store.write(&batch).expect("stored");
        }
    };
    put(&mut own, OWN / 2, true);
    put(&mut other, OTHER, false);
    if let Some(store) = store {
        let (log, size, root) = (other.log, OTHER, other.frontier.root());
        let facts = [(Some(30), Fact::Cosigned { size, root }), (None, Fact::QuorumHead(other.note()))];
        for (generation, fact) in facts {
            store.write_fact(&FactWrite { id: 1, log, generation, fact }).expect("stored");
        }
        store.card_put("south", b"card").expect("stored");
        let ahead = AheadBatch { id: 2, log: other.log, entries: vec![(AHEAD, entry(&other, AHEAD))] };
        store.write_ahead(&ahead).expect("stored");
        // Half of it is in tables, the rest in the write-ahead log.
        for (name, _) in super::super::FAMILIES {
            store.db.flush_cf(store.family(name)).expect("flushed");
        }
    }
    put(&mut own, OWN, true);
    let lock = LockState { generation: OWN, ..own.lock() };
    Both { own, other, lock }
}

/// Writes a folder as this version does.
fn create(folder: &Path) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let db = dir.path().join("db");
    let store = Store::create(&db, super::CONSORTIUM, "north").expect("fresh");
    let both = write(Some(&store));
    fs::create_dir_all(folder).expect("vectors");
    drop(LockFile::create(&folder.join("signed.lock"), &both.lock).expect("created"));
    crash_image(&db, &folder.join("database"));
    for file in fs::read_dir(folder.join("database")).expect("just written") {
        let path = file.expect("entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        // Texts for people, and the settings of the machine on which it was written.
        if name.starts_with("LOG") || name.starts_with("OPTIONS-") {
            fs::remove_file(path).expect("own file");
        }
    }
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(FOLDER).into_iter().flatten().map(|file| file.expect("entry").path()).collect();
    folders.sort();
    folders
}

#[test]
fn what_an_earlier_version_wrote_opens_and_goes_on() {
    let first = Path::new(FOLDER).join("1");
    if std::env::var_os("UPDATE_VECTORS").is_some() && !first.exists() {
        create(&first);
    }
    assert!(!folders().is_empty(), "tests/vectors/database is missing");
    for folder in folders() {
        let dir = tempfile::tempdir().expect("temporary folder");
        crash_image(&folder.join("database"), &dir.path().join("db"));
        fs::copy(folder.join("signed.lock"), dir.path().join("signed.lock")).expect("own folder");
        opens_and_goes_on(dir.path());
    }
}

fn opens_and_goes_on(dir: &Path) {
    let Both { mut own, other, lock } = write(None);
    let locked = LockFile::open(&dir.join("signed.lock")).expect("a lock file of before");
    assert_eq!(*locked.state(), lock);
    let store = Store::open(&dir.join("db")).expect("a database of before");
    assert_eq!(
        (store.identity().consortium.as_str(), store.generation().expect("set")),
        (super::CONSORTIUM, OWN)
    );
    holds(&store, &own, OWN);
    holds(&store, &other, OTHER);
    let facts = store.facts().expect("readable");
    let expected = HeldFacts {
        cosigned: [(other.log, (OTHER, other.frontier.root()))].into(),
        quorum_heads: [(other.log, other.note())].into(),
        ..HeldFacts::default()
    };
    assert_eq!(facts, expected);
    assert_eq!(store.cards().expect("readable"), [("south".to_owned(), b"card".to_vec())]);
    let held = store.priority(&other.log, OTHER, u64::MAX).expect("readable");
    assert_eq!((held.recent, held.ahead), (vec![2, 10, 18], vec![(AHEAD, entry(&other, AHEAD))]));
    let prior = store.prior(&[7; 32]).expect("readable").expect("there");
    assert_eq!((prior.first_index, prior.records.len()), (OWN / 2, 5));
    let keys: LogKeys = [(own.log, own.key.public()), (other.log, other.key.public())].into();
    let report = fsck_with_keys(&store, &keys, &lock, &mut |_| ()).expect("readable");
    assert!(report.is_clean(), "{:?}", report.problems);

    let mut batch = own.batch(10);
    batch.generation = Some(OWN + 1);
    store.write(&batch).expect("it goes on");
    drop(store);
    let store = Store::open(&dir.join("db")).expect("again");
    assert_eq!(store.stored_size(&own.log).expect("known"), OWN + 10);
    assert_eq!(store.frontier_at(&own.log, OWN + 10).expect("tiles").root(), own.frontier.root());
}

/// Every entry is there byte for byte, what was not known then included: an upgrade reads it anew.
fn holds(store: &Store, log: &TestLog, size: u64) {
    let entries = store.entries(&log.log, 0, size).expect("readable");
    assert_eq!(entries.len() as u64, size);
    for (index, found) in (0..).zip(&entries) {
        assert_eq!(*found, entry(log, index), "entry {index}");
        let is_read = matches!(read(&log.log, index, found), EntryLeaf::Known(_));
        assert_eq!(is_read, !matches!(index % 8, 3 | 5 | 6), "entry {index}");
    }
    assert_eq!(store.frontier_at(&log.log, size).expect("tiles").root(), log.frontier.root());
}

fn read(log: &LogId, index: u64, entry: &StoredEntry) -> EntryLeaf {
    read_leaf(&entry.leaf, log, index)
}
