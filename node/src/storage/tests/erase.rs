//! Destroyed payloads are in no file; what is destroyed comes back through no crash.

use super::{TestLog, crash_image, fresh, idempotent};
use crate::keystore::KeyAccess;
use crate::storage::fsck::fsck_with_keys;
use crate::storage::{Store, StoreError};
use crate::vault::{Hold, Vault};
use hashpact_core::effect::{
    EntryRef, EraseBatch, EraseStep, Fact, FactWrite, PayloadState, StoredEntry, StoredPayload, WriteBatch,
};
use hashpact_core::entitled::Entitled;
use hashpact_protocol::digest::{LeafHash, LogId, leaf_hash, sha256};
use hashpact_protocol::leaf::commitment;
use hashpact_protocol::wire::WirePayload;
use std::collections::BTreeMap;
use std::path::Path;

const BY: EntryRef = EntryRef { log: LogId::new([9; 32]), index: 4 };

/// A sound entry whose payload does not compress.
fn entry(log: &TestLog, index: u64) -> StoredEntry {
    let salt = sha256(&[b"salt", &index.to_be_bytes()]);
    let padded: Vec<u8> = (0..4_u8).flat_map(|part| sha256(&[&[part], &index.to_be_bytes()])).collect();
    let mut leaf = log.entry(index).leaf;
    let prefix = *leaf.first_chunk().expect("136 bytes");
    leaf[104..].copy_from_slice(commitment(&prefix, &salt, &padded).as_bytes());
    StoredEntry { leaf, payload: StoredPayload::Present { salt, padded } }
}

fn needles(log: &TestLog, index: u64) -> Vec<Vec<u8>> {
    let StoredPayload::Present { salt, padded } = entry(log, index).payload else { unreachable!("made so") };
    vec![salt.to_vec(), padded[32..64].to_vec()]
}

/// In how many files of a folder a needle stands.
fn found(dir: &Path, needle: &[u8]) -> usize {
    let files = std::fs::read_dir(dir).expect("a database");
    let holds = |file: &std::path::PathBuf| {
        let bytes = std::fs::read(file).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    files.map(|file| file.expect("an entry").path()).filter(holds).count()
}

fn id(log: &TestLog, index: u64) -> LeafHash {
    leaf_hash(&entry(log, index).leaf)
}

fn steps(log: &TestLog, indexes: &[u64], step: EraseStep) -> EraseBatch {
    EraseBatch { id: 1, steps: indexes.iter().map(|index| (id(log, *index), step)).collect() }
}

/// Some thousand entries over several table files and the write-ahead log.
fn filled() -> (tempfile::TempDir, Store, TestLog) {
    let (dir, store) = fresh();
    let mut log = TestLog::new("south");
    for part in 0..4_u64 {
        let entries = (part * 500..(part + 1) * 500).map(|index| entry(&log, index)).collect();
        let mut batch = log.batch_of(entries);
        batch.idempotency = vec![idempotent(part as u8, part * 500, 500)];
        store.write(&batch).expect("sound");
        if part < 3 {
            store.db.flush_cf(store.family(super::super::payloads::FAMILY)).expect("flushed");
        }
    }
    log.publish(&store);
    (dir, store, log)
}

fn faults(store: &Store, log: &TestLog) -> u64 {
    let keys = [(log.log, log.key.public())].into_iter().collect();
    let lock = TestLog::new("north").lock();
    fsck_with_keys(store, &keys, &lock, &mut |_| ()).expect("readable").faults
}

fn vault(dir: &Path) -> Vault {
    std::fs::create_dir_all(dir.join("keys")).expect("a folder");
    Vault::of(dir, &KeyAccess::files(&dir.join("keys")))
}

#[test]
fn a_destroyed_payload_is_in_no_file_and_its_neighbours_are() {
    let (dir, store, log) = filled();
    let (path, vault) = (dir.path().join("db"), vault(dir.path()));
    // In a table file, in several, and in the write-ahead log alone.
    let erased = [3, 700, 1_400, 1_999];
    for needle in erased.iter().flat_map(|index| needles(&log, *index)) {
        assert!(found(&path, &needle) > 0, "the search can find it");
    }
    let sealed = store.erase(&steps(&log, &erased, EraseStep::Seal { by: BY }), &vault).expect("sealed");
    assert_eq!(sealed.len(), erased.len());
    let sent = store.payloads(&log.log, &[3], u32::MAX, &Entitled::All).expect("readable");
    assert_eq!(sent, [WirePayload::ErasedBy { log: [9; 32], index: 4 }], "served to nobody");
    assert!(store.purge(|| true).expect("nothing to do"));
    for needle in erased.iter().flat_map(|index| needles(&log, *index)) {
        assert!(found(&path, &needle) > 0, "sealed is not destroyed");
    }
    assert_eq!(faults(&store, &log), 0);

    let step = EraseStep::Destroy { by: Some(BY) };
    let changed = store.erase(&steps(&log, &erased, step), &vault).expect("destroyed");
    assert!(changed.iter().all(|changed| changed.before == PayloadState::Sealed));
    assert!(store.is_purge_due().expect("readable"));
    let mut asked = false;
    assert!(
        store
            .purge(|| {
                asked = true;
                true
            })
            .expect("purged")
            && asked
    );
    assert!(!store.is_purge_due().expect("readable"));
    for needle in erased.iter().flat_map(|index| needles(&log, *index)) {
        assert_eq!(found(&path, &needle), 0);
    }
    // The digest of a request is gone with what it asked for; a request about other entries is remembered.
    assert_eq!(store.prior(&[0; 32]).expect("readable"), None);
    for neighbour in [2, 4, 699, 1_998] {
        assert_eq!(store.entry(&log.log, neighbour).expect("readable"), Some(entry(&log, neighbour)));
    }
    assert_eq!(faults(&store, &log), 0);
    drop(store);
    for needle in erased.iter().flat_map(|index| needles(&log, *index)) {
        assert_eq!(found(&path, &needle), 0, "closing writes nothing back");
    }
    let store = Store::open(&path).expect("sound");
    let erased: Vec<_> = store.facts().expect("readable").erased;
    assert!(erased.iter().all(|found| found.state == PayloadState::Erased) && erased.len() == 4);
}

#[test]
fn a_crash_between_rows_and_files_is_taken_up_again() {
    let (dir, store, log) = filled();
    let vault = vault(dir.path());
    store.erase(&steps(&log, &[700], EraseStep::Destroy { by: None }), &vault).expect("destroyed");
    let image = dir.path().join("image");
    crash_image(&dir.path().join("db"), &image);
    let after = Store::open(&image).expect("recovered");
    assert!(after.is_purge_due().expect("readable"));
    assert!(!after.purge(|| false).expect("the snapshot could not be removed"));
    assert!(after.is_purge_due().expect("readable"), "and is tried again");
    assert!(after.purge(|| true).expect("purged"));
    for needle in needles(&log, 700) {
        assert_eq!(found(&image, &needle), 0);
    }
    assert_eq!(
        after.entry(&log.log, 700).expect("readable").map(|entry| entry.payload),
        Some(StoredPayload::Erased)
    );
    drop(store);
}

#[test]
fn an_order_that_lapses_gives_back_what_is_here_and_looks_for_what_is_not() {
    let (dir, store, log) = filled();
    let vault = vault(dir.path());
    store.erase(&steps(&log, &[5, 6], EraseStep::Seal { by: BY }), &vault).expect("sealed");
    store.erase(&steps(&log, &[6], EraseStep::Destroy { by: Some(BY) }), &vault).expect("destroyed");
    let back = store.erase(&steps(&log, &[5, 6, 7], EraseStep::Restore), &vault).expect("given back");
    assert_eq!(back.len(), 3, "the third is told as it stands");
    assert_eq!(store.entry(&log.log, 5).expect("readable"), Some(entry(&log, 5)));
    assert_eq!(store.missing(&log.log, None, 9).expect("readable")[0].index, 6);
    assert_eq!((store.erased().expect("readable").len(), faults(&store, &log)), (0, 0));
}

#[test]
fn a_legal_hold_keeps_the_payload_encrypted_until_it_is_released() {
    let (dir, store, log) = filled();
    let vault = vault(dir.path());
    let on_hold = id(&log, 8);
    let hold = Hold { record: on_hold.to_hex(), reason: "case 17".to_owned(), since_ms: 1 };
    vault.set_holds(&BTreeMap::from([(on_hold, hold)])).expect("written");
    let step = EraseStep::Destroy { by: Some(BY) };
    let changed = store.erase(&steps(&log, &[8, 9], step), &vault).expect("destroyed");
    assert_eq!(changed[0].entry.payload, StoredPayload::Held { by: Some(BY) });
    assert_eq!(changed[1].entry.payload, StoredPayload::ErasedBy { by: BY });
    assert!(store.purge(|| true).expect("purged"));
    let StoredPayload::Present { salt, padded } = entry(&log, 8).payload else { unreachable!("made so") };
    let held = vault.open(&on_hold).expect("whole").expect("kept");
    assert_eq!((held.salt, held.padded), (salt, padded));
    for needle in needles(&log, 8) {
        for folder in [dir.path().join("db"), dir.path().join("held")] {
            assert_eq!(found(&folder, &needle), 0, "encrypted, or not there");
        }
    }
    assert!(store.release(&vault).expect("nothing to do").is_empty());

    // Another key, or a flipped bit, is no payload.
    let file = dir.path().join("held").join(on_hold.to_hex());
    let mut bytes = std::fs::read(&file).expect("kept");
    bytes[40] ^= 1;
    std::fs::write(&file, &bytes).expect("own file");
    assert!(vault.open(&on_hold).is_err());

    vault.set_holds(&BTreeMap::new()).expect("written");
    let released = store.release(&vault).expect("released");
    assert_eq!(released[0].entry.payload, StoredPayload::ErasedBy { by: BY });
    assert!(!file.exists() && faults(&store, &log) == 0);
}

#[test]
fn a_first_sight_is_kept_and_an_unreadable_list_of_holds_destroys_nothing() {
    let (dir, store, log) = filled();
    let seen = |indexes: &[u64], at_ms| {
        let fact = Fact::Seen { indexes: indexes.to_vec(), at_ms };
        store.write_fact(&FactWrite { id: 1, log: log.log, generation: None, fact }).expect("written");
    };
    seen(&[3, 4], 1_000);
    seen(&[4, 5], 2_000);
    let at = |index| EntryRef { log: log.log, index };
    let expected = BTreeMap::from([(at(3), 1_000), (at(4), 1_000), (at(5), 2_000)]);
    assert_eq!(store.facts().expect("readable").seen, expected);

    let vault = vault(dir.path());
    std::fs::write(dir.path().join("holds"), "not json\n").expect("own file");
    assert!(vault.holds().is_err());
    let changed = store.erase(&steps(&log, &[8], EraseStep::Destroy { by: None }), &vault).expect("held");
    assert_eq!(changed[0].entry.payload, StoredPayload::Held { by: None });
}

#[test]
fn a_copied_leaf_is_destroyed_with_the_one_that_it_names() {
    let (dir, store, log) = filled();
    let mut thief = TestLog::new("west");
    let batch: WriteBatch = thief.batch_of(vec![entry(&log, 11)]);
    store.write(&batch).expect("void, and stored all the same");
    let changed = store
        .erase(&steps(&log, &[11], EraseStep::Destroy { by: Some(BY) }), &vault(dir.path()))
        .expect("both");
    assert_eq!(changed.len(), 2);
    assert!(store.purge(|| true).expect("purged"));
    for needle in needles(&log, 11) {
        assert_eq!(found(&dir.path().join("db"), &needle), 0);
    }
    assert!(matches!(store.find_subjects(&[id(&thief, 0)]), Ok(found) if found.is_empty()));
    assert!(matches!(store.entry(&LogId::new([1; 32]), 0), Err(StoreError::UnknownLog(_))));
}
