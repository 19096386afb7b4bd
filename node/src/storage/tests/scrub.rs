//! Reading everything again finds every damaged row where it is, and what is written again is as it was.

use super::{TestLog, fresh};
use crate::storage::fsck::fsck_with_keys;
use crate::storage::scrub::{Finding, Pass, TablePass};
use crate::storage::{Store, codec, leaves, options, payloads, tiles};
use hashpact_core::effect::{RepairBatch, StoredEntry, StoredPayload};
use hashpact_protocol::merkle::Frontier;

const ENTRIES: u64 = 700;

struct Kept {
    dir: tempfile::TempDir,
    store: Store,
    log: TestLog,
}

impl Kept {
    fn new() -> Self {
        let (dir, store) = fresh();
        let mut log = TestLog::new("south");
        let mut batch = log.batch(ENTRIES);
        batch.note = Some(log.note());
        store.write(&batch).expect("stored");
        log.publish(&store);
        Self { dir, store, log }
    }

    fn pass(&self, from: u64) -> Pass {
        let head = self.store.published(&self.log.log).expect("shown");
        let signed = Some((self.log.frontier.size(), self.log.frontier.root()));
        Pass::begin(&self.store, &head, signed, from).expect("readable")
    }

    /// Steps to the end or to the first finding; bytes read.
    fn walk(&self, pass: &mut Pass) -> Result<u64, Finding> {
        let mut bytes = 0;
        loop {
            let stepped = pass.step(&self.store)?;
            bytes += stepped.bytes;
            if stepped.is_done {
                return Ok(bytes);
            }
        }
    }

    fn flip(&self, family: &str, key: &[u8], at: usize) {
        let cf = self.store.family(family);
        let mut value = self.store.db.get_cf(cf, key).expect("reads").expect("there");
        value[at] ^= 0x20;
        self.store.db.put_cf(cf, key, value).expect("meddling");
    }

    fn delete(&self, family: &str, key: &[u8]) {
        self.store.db.delete_cf(self.store.family(family), key).expect("meddling");
    }

    fn faults(&self) -> Vec<String> {
        let keys = [(self.log.log, self.log.key.public())].into_iter().collect();
        let lock = TestLog::new("north").lock();
        let report = fsck_with_keys(&self.store, &keys, &lock, &mut |_| ()).expect("readable");
        report.problems.iter().map(ToString::to_string).collect()
    }

    fn tree(&self, size: u64) -> Frontier {
        self.store.frontier_at(&self.log.log, size).expect("readable")
    }

    fn batch(&self, start: u64, end: u64, bad: &[u64]) -> RepairBatch {
        let entry = |index: u64| self.log.entry(index);
        RepairBatch {
            id: 1,
            log: self.log.log,
            start,
            leaves: (start..end).map(|index| entry(index).leaf).collect(),
            payloads: bad.iter().map(|index| (*index, entry(*index).payload)).collect(),
        }
    }
}

#[track_caller]
fn rows(found: Result<u64, Finding>) -> (u64, Vec<u64>, String) {
    match found {
        Err(Finding::Rows { end, payloads, detail }) => (end, payloads.into_iter().collect(), detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sound_log_is_read_to_its_end_from_any_place() {
    let kept = Kept::new();
    let whole = kept.walk(&mut kept.pass(0)).expect("sound");
    // Leaves, payload rows with salt, and their keys.
    assert!(whole > ENTRIES * (136 + 128 + 32), "{whole} bytes");
    for from in [1, 255, 256, 300, 699, 700, 9_999] {
        let mut pass = kept.pass(from);
        assert_eq!(pass.position(), from.min(ENTRIES) / 256 * 256);
        let read = kept.walk(&mut pass).expect("sound");
        assert!(read < whole || from < 256, "from {from}: {read} bytes");
        assert!(pass.wrong_tiles().is_empty());
    }
    let mut tables = TablePass::default();
    let mut bytes = 0;
    loop {
        let stepped = tables.step(&kept.store).expect("readable");
        bytes += stepped.bytes;
        if stepped.is_done {
            break;
        }
    }
    assert!(bytes > ENTRIES * 72, "the places alone have more than {bytes} bytes");
}

#[test]
fn every_damaged_row_is_found_where_it_is_and_mended() {
    let kept = Kept::new();
    let key = |index| codec::entry_key(&kept.log.log, index);
    kept.flip(leaves::FAMILY, &key(300), 130);
    kept.flip(payloads::FAMILY, &key(310), 44 + 77);
    kept.delete(payloads::FAMILY, &key(311));
    let mut pass = kept.pass(0);
    let (end, bad, detail) = rows(kept.walk(&mut pass));
    assert_eq!((pass.position(), end, bad), (256, 512, vec![300, 310, 311]));
    assert!(detail.starts_with("entry 300: leaf and hash tile differ"), "{detail}");
    assert_eq!(pass.tree().root(), kept.tree(256).root(), "the pass stands before it");
    // The payload of 300 is whole: only its leaf is not.
    let mut batch = kept.batch(256, 512, &[300, 310, 311]);
    batch.payloads[0].1 = StoredPayload::NotHere;
    batch.payloads[2].1 = StoredPayload::NotHere;
    assert_eq!(kept.store.repair(&batch).expect("stored"), 1);
    kept.walk(&mut pass).expect("mended");
    // What the damaged leaf led to is forgotten: written as an upper tile it would be the next damage.
    assert!(pass.wrong_tiles().is_empty());
    assert_eq!(kept.store.entry(&kept.log.log, 300).expect("readable"), Some(kept.log.entry(300)));
    assert_eq!(kept.store.missing_count(&kept.log.log, u64::MAX).expect("readable"), 1, "entry 311");
    assert_eq!(kept.faults(), [""; 0]);

    kept.delete(leaves::FAMILY, &key(600));
    let mut pass = kept.pass(0);
    let (end, bad, detail) = rows(kept.walk(&mut pass));
    assert_eq!((end, bad), (ENTRIES, vec![]));
    assert!(detail.starts_with("entry 600: its leaf is missing"), "{detail}");
    kept.store.repair(&kept.batch(512, ENTRIES, &[])).expect("stored");
    kept.walk(&mut pass).expect("mended");
    assert_eq!(kept.faults(), [""; 0]);
}

/// The tile that still grows is in the writer's memory as well: a mended one must be what later batches build on.
#[test]
fn tiles_are_compared_mended_and_built_upon() {
    let mut kept = Kept::new();
    kept.flip(tiles::FAMILY, &tiles::key(&kept.log.log, 0, 2), 5);
    let db = kept.dir.path().join("db");
    let (_aside, other) = fresh();
    drop(std::mem::replace(&mut kept.store, other));
    kept.store = Store::open(&db).expect("a wrong hash is no reason not to open");
    kept.log.publish(&kept.store);
    let mut pass = kept.pass(0);
    let (end, bad, detail) = rows(kept.walk(&mut pass));
    assert_eq!((end, bad), (ENTRIES, vec![]));
    assert!(detail.contains("leaf and hash tile differ"), "{detail}");
    kept.store.repair(&kept.batch(512, ENTRIES, &[])).expect("stored");
    kept.walk(&mut pass).expect("mended");
    let batch = kept.log.batch(100);
    kept.store.write(&batch).expect("goes on");
    kept.log.publish(&kept.store);
    kept.walk(&mut kept.pass(0)).expect("sound");

    kept.flip(tiles::FAMILY, &tiles::key(&kept.log.log, 1, 0), 3);
    let mut pass = kept.pass(0);
    kept.walk(&mut pass).expect("the leaves lead to the root");
    assert_eq!(pass.wrong_tiles().len(), 1);
    kept.store.rewrite_tiles(&kept.log.log, pass.wrong_tiles()).expect("stored");
    let mut pass = kept.pass(0);
    kept.walk(&mut pass).expect("sound");
    assert!(pass.wrong_tiles().is_empty());
    assert_eq!(kept.faults(), [""; 0]);
}

#[test]
fn leaves_that_fit_their_tiles_and_not_the_signed_root_are_found_at_the_end() {
    let kept = Kept::new();
    let mut other = kept.log.entry(40);
    other.leaf[20] ^= 1;
    let StoredEntry { leaf, .. } = other;
    let batch = RepairBatch { id: 1, log: kept.log.log, start: 40, leaves: vec![leaf], payloads: vec![] };
    kept.store.repair(&batch).expect("leaf and tile together");
    kept.delete(payloads::FAMILY, &codec::entry_key(&kept.log.log, 40));
    let withheld = payloads::encode(&StoredPayload::Withheld).expect("short");
    let key = codec::entry_key(&kept.log.log, 40);
    kept.store.db.put_cf(kept.store.family(payloads::FAMILY), key, withheld).expect("meddling");
    let mut pass = kept.pass(0);
    let found = kept.walk(&mut pass);
    assert!(matches!(found, Err(Finding::Root { size: ENTRIES, .. })), "{found:?}");
    assert!(!pass.is_from_tiles());
    assert!(kept.store.repair(&kept.batch(690, 701, &[])).is_err(), "beyond what is stored");
}

/// A bit that flips in a table file: RocksDB says so, and so does every step that reads the block.
#[test]
fn a_block_that_cannot_be_read_is_a_finding() {
    let kept = Kept::new();
    let cf = kept.store.family(leaves::FAMILY);
    kept.store.db.flush_cf(cf).expect("to a table");
    // The commitment: nothing compresses it.
    let wanted = kept.log.entry(400).leaf.split_off(104);
    let db = kept.dir.path().join("db");
    let mut hit = false;
    for file in std::fs::read_dir(&db).expect("database").map(|file| file.expect("entry").path()) {
        if file.extension().is_some_and(|ending| ending == "sst") {
            let mut bytes = std::fs::read(&file).expect("own file");
            if let Some(at) = bytes.windows(wanted.len()).position(|window| window == wanted) {
                bytes[at + 20] ^= 4;
                std::fs::write(&file, bytes).expect("own file");
                hit = true;
            }
        }
    }
    assert!(hit, "the leaf is in a table");
    let mut pass = kept.pass(0);
    let found = kept.walk(&mut pass);
    assert!(
        matches!(&found, Err(Finding::Unreadable { detail }) if detail.contains("orruption")),
        "{found:?}"
    );
    assert_eq!(pass.position() % 256, 0);
    let faults = kept.faults();
    assert!(faults.iter().any(|fault| fault.contains("leaves cannot be read at entry")), "{faults:?}");
    // Through the block cache as well: nothing is served from it that was not checked.
    let read = options::scrub_all();
    let mut rows = kept.store.db.raw_iterator_cf_opt(cf, read);
    rows.seek_to_first();
    while rows.valid() {
        rows.next();
    }
    assert!(rows.status().is_err());
}
