//! Fsck finds what a meddler or a failing disk changes, and says what and where.

use super::{TestLog, fresh, idempotent};
use crate::storage::fsck::{FsckReport, LogKeys, Problem, fsck_with_keys};
use crate::storage::{Store, codec, heads, idempotency, leaves, notes, payloads, places, tiles};
use hashpact_core::effect::{LockState, Place, SizedNote, StoredPayload};
use hashpact_protocol::digest::{LogId, Root, leaf_hash};
use hashpact_protocol::merkle::Frontier;

const ENTRIES: u64 = 700;

/// A sound database of two logs, its lock file's state and the keys.
pub(super) struct Sound {
    _dir: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) north: TestLog,
    pub(super) south: TestLog,
}

impl Sound {
    pub(super) fn new() -> Self {
        let (dir, store) = fresh();
        let (mut north, mut south) = (TestLog::new("north"), TestLog::new("south"));
        let mut batch = north.batch(ENTRIES);
        batch.note = Some(north.note());
        batch.idempotency = vec![idempotent(1, 690, 10)];
        store.write(&batch).expect("north");
        let mut batch = south.batch(20);
        batch.note = Some(south.note());
        store.write(&batch).expect("south");
        store.write(&south.batch(5)).expect("not signed yet");
        Self { _dir: dir, store, north, south }
    }

    fn keys(&self) -> LogKeys {
        [&self.north, &self.south].map(|log| (log.log, log.key.public())).into_iter().collect()
    }

    fn fsck_with(&self, lock: &LockState) -> FsckReport {
        fsck_with_keys(&self.store, &self.keys(), lock, &mut |_| ()).expect("readable")
    }

    pub(super) fn fsck(&self) -> FsckReport {
        self.fsck_with(&self.north.lock())
    }

    pub(super) fn put(&self, family: &str, key: &[u8], value: &[u8]) {
        self.store.db.put_cf(self.store.family(family), key, value).expect("meddling");
    }

    pub(super) fn delete(&self, family: &str, key: &[u8]) {
        self.store.db.delete_cf(self.store.family(family), key).expect("meddling");
    }

    fn get(&self, family: &str, key: &[u8]) -> Vec<u8> {
        self.store.db.get_cf(self.store.family(family), key).expect("reads").expect("there")
    }

    /// Changes one byte of a row.
    fn flip(&self, family: &str, key: &[u8], at: usize) {
        let mut value = self.get(family, key);
        value[at] ^= 0x20;
        self.put(family, key, &value);
    }
}

/// Runs fsck and compares its messages with the expected beginnings, one for each.
#[track_caller]
pub(super) fn check(report: &FsckReport, expected: &[String]) {
    let found: Vec<String> = report.problems.iter().map(Problem::to_string).collect();
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
    assert!(fits, "found {found:#?}\nexpected {expected:#?}");
    assert_eq!(report.faults + report.notices, report.problems.len() as u64);
}

#[test]
fn a_sound_database_is_clean_and_counted() {
    let sound = Sound::new();
    let mut steps = Vec::new();
    let lock = sound.north.lock();
    let report = fsck_with_keys(&sound.store, &sound.keys(), &lock, &mut |step| {
        steps.push((step.origin.to_owned(), step.checked, step.size));
    })
    .expect("readable");
    check(&report, &[]);
    assert!(report.is_clean());
    assert_eq!((report.places, report.idempotency), (ENTRIES + 25, 1));
    let north = report.logs.iter().find(|log| log.origin == sound.north.origin).expect("checked");
    assert_eq!((north.entries, north.payloads_present, north.payloads_absent), (ENTRIES, ENTRIES, 0));
    // 700 leaves are two full tiles and one of 188, and two hashes one level up.
    assert_eq!(
        (north.tiles, north.root, north.note_size),
        (4, Some(sound.north.frontier.root()), Some(ENTRIES))
    );
    assert!(steps.contains(&(sound.north.origin.clone(), ENTRIES, ENTRIES)));
    let empty = TestLog::new("empty").lock();
    let (_dir, fresh) = fresh();
    assert!(fsck_with_keys(&fresh, &LogKeys::new(), &empty, &mut |_| ()).expect("readable").is_clean());
}

#[test]
fn a_flipped_leaf_byte_is_found_at_its_index() {
    let sound = Sound::new();
    let origin = &sound.north.origin;
    // A byte of the commitment itself, so that all there is to notice is noticed.
    sound.flip(leaves::FAMILY, &codec::entry_key(&sound.north.log, 300), 130);
    check(
        &sound.fsck(),
        &[
            format!("{origin}: the payload of entry 300 does not meet its commitment"),
            format!("{origin}: leaf 300 hashes to "),
            format!("{origin}: hash 1 of tile 1/0 is "),
            format!("{origin}: entry 300 (record "),
            format!("{origin}: the head at size 700 has root {}", sound.north.frontier.root()),
            format!("{origin}: this node signed root {} at size 700", sound.north.frontier.root()),
            format!("{origin}: the note signs root {} at size 700", sound.north.frontier.root()),
        ],
    );
}

#[test]
fn a_missing_leaf_ends_the_check_of_its_log_only() {
    let sound = Sound::new();
    let origin = &sound.north.origin;
    sound.delete(leaves::FAMILY, &codec::entry_key(&sound.north.log, 300));
    let report = sound.fsck();
    check(&report, &[format!("{origin}: leaf 300 is missing; 700 entries should be stored")]);
    let entries: u64 = report.logs.iter().map(|log| log.entries).sum();
    assert_eq!(entries, 300 + 25);
}

#[test]
fn damaged_payloads_are_found() {
    let sound = Sound::new();
    let (origin, log) = (&sound.north.origin, &sound.north.log);
    let key = |index| codec::entry_key(log, index);
    // Discriminant 4, salt 32, length 8, then the payload.
    sound.flip(payloads::FAMILY, &key(3), 4);
    sound.flip(payloads::FAMILY, &key(5), 44 + 77);
    sound.delete(payloads::FAMILY, &key(7));
    sound.put(payloads::FAMILY, &key(9), &[0, 0, 0, 9]);
    let shorter = StoredPayload::Present { salt: [0; 32], padded: vec![0; 64] };
    sound.put(payloads::FAMILY, &key(11), &payloads::encode(&shorter).expect("short"));
    sound.put(payloads::FAMILY, &key(13), &payloads::encode(&StoredPayload::Erased).expect("short"));
    let report = sound.fsck();
    check(
        &report,
        &[
            format!("{origin}: the payload of entry 3 does not meet its commitment"),
            format!("{origin}: the payload of entry 5 does not meet its commitment"),
            format!("{origin}: entry 7 has no payload row"),
            format!("{origin}: the payload row of entry 9 does not decode"),
            format!("{origin}: the payload of entry 11 does not meet its commitment"),
        ],
    );
}

#[test]
fn tiles_are_compared_hash_by_hash() {
    let sound = Sound::new();
    let (origin, log) = (&sound.north.origin, &sound.north.log);
    sound.delete(tiles::FAMILY, &tiles::key(log, 0, 0));
    sound.flip(tiles::FAMILY, &tiles::key(log, 0, 1), 44 * 32 + 5);
    sound.flip(tiles::FAMILY, &tiles::key(log, 1, 0), 3);
    let mut wide = sound.get(tiles::FAMILY, &tiles::key(log, 0, 2));
    wide.extend_from_slice(&[0; 32]);
    sound.put(tiles::FAMILY, &tiles::key(log, 0, 2), &wide);
    check(
        &sound.fsck(),
        &[
            format!("{origin}: hash tile 0/0 is missing"),
            format!("{origin}: leaf 300 hashes to "),
            format!("{origin}: hash 0 of tile 1/0 is "),
            format!("{origin}: hash tile 0/2 has 189 hashes, the tree has 188 there"),
        ],
    );
    sound.put(tiles::FAMILY, &tiles::key(log, 0, 2), &wide[..187 * 32]);
    sound.put(tiles::FAMILY, &tiles::key(log, 1, 0), &[1; 33]);
    let report = sound.fsck();
    let texts: Vec<String> = report.problems.iter().map(Problem::to_string).collect();
    assert!(
        texts.contains(&format!("{origin}: hash tile 0/2 has 187 hashes, the tree has 188 there")),
        "{texts:?}"
    );
    assert!(texts.contains(&format!("{origin}: hash tile 1/0 of log {log} has 33 bytes")), "{texts:?}");
}

#[test]
fn a_wrong_head_is_found() {
    let sound = Sound::new();
    let origin = &sound.north.origin;
    let mut hashes = sound.north.frontier.hashes().to_vec();
    hashes[1] = leaf_hash(b"another").into();
    let wrong = Frontier::from_parts(ENTRIES, hashes).expect("as many as before");
    let value = heads::encode(origin, &wrong).expect("short");
    sound.put(heads::FAMILY, sound.north.log.as_bytes(), &value);
    let (stored, computed) = (wrong.root(), sound.north.frontier.root());
    check(
        &sound.fsck(),
        &[format!("{origin}: the head at size 700 has root {stored}, the leaves lead to {computed}")],
    );
}

#[test]
fn a_head_behind_its_rows_is_found() {
    let sound = Sound::new();
    let origin = &sound.south.origin;
    let mut shorter = TestLog::new("south");
    let _ = shorter.batch(22);
    let value = heads::encode(origin, &shorter.frontier).expect("short");
    sound.put(heads::FAMILY, sound.south.log.as_bytes(), &value);
    let orphan = LogId::of_origin("nobody");
    sound.put(leaves::FAMILY, &codec::entry_key(&orphan, 0), b"leaf");
    let report = sound.fsck();
    let texts: Vec<String> = report.problems.iter().map(Problem::to_string).collect();
    for expected in [
        format!("{origin}: leaves has a row for 22, beyond the 22 entries of the head"),
        format!("{origin}: payloads has a row for 22, beyond the 22 entries of the head"),
        format!("{origin}: hash tile 0/0 has 25 hashes, the tree has 22 there"),
        format!("leaves has rows of log {orphan}, which has no head"),
        "the place index has 725 rows for 722 entries".to_owned(),
    ] {
        assert!(texts.contains(&expected), "{expected}: {texts:#?}");
    }
    assert_eq!(texts.len(), 5, "{texts:#?}");
}

#[test]
fn look_ups_are_held_against_the_entries() {
    let sound = Sound::new();
    let (origin, log) = (&sound.north.origin, sound.north.log);
    let leaf = leaf_hash(&sound.north.entry(5).leaf);
    sound.delete(places::FAMILY, &places::key(&Place { log, index: 5, leaf }));
    let entry = idempotent(2, 695, 10);
    sound.put(idempotency::FAMILY, &entry.key, &idempotency::encode(&log, &entry).expect("short"));
    sound.put(idempotency::FAMILY, &[3; 32], b"garbage");
    check(
        &sound.fsck(),
        &[
            format!("{origin}: entry 5 (record {leaf}) is not in the place index"),
            format!(
                "an idempotency entry of log {log} speaks of 10 entries from 695 on at size 705, 700 are stored"
            ),
            "idempotency: a value of column family idempotency does not decode".to_owned(),
        ],
    );
}

#[test]
fn notes_are_verified() {
    let sound = Sound::new();
    let origin = &sound.south.origin;
    let put = |note: &SizedNote| {
        sound.put(notes::FAMILY, sound.south.log.as_bytes(), &notes::encode(note).expect("short"));
    };
    let good = sound.south.note();
    put(&good);
    check(&sound.fsck(), &[]);
    let mut bad = good.clone();
    let last = bad.note.len() - 5;
    bad.note[last] = if bad.note[last] == b'A' { b'B' } else { b'A' };
    put(&bad);
    check(&sound.fsck(), &[format!("{origin}: the note kept for size 25 does not verify: ")]);
    put(&SizedNote { size: 24, ..good });
    check(&sound.fsck(), &[format!("{origin}: the note kept for size 24 does not verify: it signs size 25")]);
    let mut longer = TestLog::new("south");
    let _ = longer.batch(30);
    put(&longer.note());
    check(&sound.fsck(), &[format!("{origin}: the note signs size 30, 25 entries are stored")]);
    // Properly signed, over another tree: what a fork looks like from here.
    let mut forked = TestLog::new("south");
    let mut entries: Vec<_> = (0..25).map(|index| forked.entry(index)).collect();
    entries[24].leaf[20] ^= 1;
    let _ = forked.batch_of(entries);
    put(&forked.note());
    check(&sound.fsck(), &[format!("{origin}: the note signs root {} at size 25", forked.frontier.root())]);
}

#[test]
fn a_log_without_a_key_is_a_notice() {
    let sound = Sound::new();
    let keys = [(sound.north.log, sound.north.key.public())].into_iter().collect();
    let report = fsck_with_keys(&sound.store, &keys, &sound.north.lock(), &mut |_| ()).expect("readable");
    check(&report, &[format!("{}: the roster names no key for this log", sound.south.origin)]);
    assert!(report.is_clean());
}

#[test]
fn lock_and_database_are_compared() {
    let sound = Sound::new();
    let origin = &sound.north.origin;
    let lock = sound.north.lock();
    let mut earlier = TestLog::new("north");
    let _ = earlier.batch(650);
    let report = sound.fsck_with(&earlier.lock());
    check(&report, &[format!("{origin}: 700 entries are stored, 650 are signed; the next start")]);
    assert!(report.is_clean(), "a crash between storing and signing");

    let ahead = LockState { size: 701, ..lock.clone() };
    let report = sound.fsck_with(&ahead);
    check(&report, &[format!("{origin}: this node signed size 701, the database has 700 entries")]);
    assert!(!report.is_clean());

    let other = Root::new([5; 32]);
    let report = sound.fsck_with(&LockState { root: other, ..lock.clone() });
    check(&report, &[format!("{origin}: this node signed root {other} at size 700")]);
    let report = sound.fsck_with(&LockState { size: 600, root: other, ..lock.clone() });
    check(
        &report,
        &[
            format!("{origin}: 700 entries are stored, 600 are signed"),
            format!("{origin}: this node signed root {other} at size 600"),
        ],
    );

    sound.store.set_generation(lock.generation).expect("grows");
    check(&sound.fsck_with(&lock), &[]);
    let report = sound.fsck_with(&LockState { generation: lock.generation + 1, ..lock.clone() });
    check(&report, &["the database has generation 701, the lock file 702: the database is older".to_owned()]);
    let report = sound.fsck_with(&LockState { generation: lock.generation - 1, ..lock });
    check(&report, &["the database has generation 701, the lock file 700; the next start".to_owned()]);
    assert!(report.is_clean());
}
