//! Torn last writes and flipped bits in every kind of file of a database, and of the lock file beside it.
//!
//! Whatever is damaged, one of three things happens: the store does not open and says why; it opens and says
//! why when the damaged part is read, to `fsck` too; or everything that was acknowledged is there, byte for
//! byte. What no outcome may be is another content than was written.

use super::{TestLog, crash_image, fresh, idempotent};
use crate::storage::fsck::{LogKeys, fsck_with_keys};
use crate::storage::{LockError, LockFile, Store, StoreError};
use hashpact_core::effect::{LockState, PublishedHead};
use hashpact_protocol::merkle::TileId;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Entries that are in tables, and entries that are in the write-ahead log only.
const IN_TABLES: u64 = 300;
const IN_LOG: u64 = 30;

/// A database with every kind of file, and what is in it.
struct Whole {
    dir: tempfile::TempDir,
    log: TestLog,
    lock: LockState,
    content: Vec<u8>,
}

impl Whole {
    fn new() -> Self {
        let (dir, store) = fresh();
        let mut log = TestLog::new("north");
        for (key, count) in [(1, IN_TABLES - 100), (2, 100)] {
            let mut batch = log.batch(count);
            batch.note = Some(log.note());
            batch.idempotency = vec![idempotent(key, 0, 10)];
            store.write(&batch).expect("stored");
        }
        for (name, _) in super::super::FAMILIES {
            store.db.flush_cf(store.family(name)).expect("flushed");
        }
        for _ in 0..3 {
            let mut batch = log.batch(IN_LOG / 3);
            batch.note = Some(log.note());
            store.write(&batch).expect("stored");
        }
        let lock = LockState { generation: 1, ..log.lock() };
        drop(LockFile::create(&dir.path().join("lock"), &lock).expect("created"));
        crash_image(&dir.path().join("db"), &dir.path().join("image"));
        let content = content(&store, &log).expect("sound");
        Self { dir, log, lock, content }
    }

    /// Files of the image by kind, the largest of each kind first.
    fn files(&self) -> BTreeMap<&'static str, Vec<PathBuf>> {
        let mut files: BTreeMap<&'static str, Vec<PathBuf>> = BTreeMap::new();
        for file in fs::read_dir(self.dir.path().join("image")).expect("image") {
            let path = file.expect("entry").path();
            if let Some(kind) = kind(&path) {
                files.entry(kind).or_default().push(path);
            }
        }
        for paths in files.values_mut() {
            paths.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).expect("file").len()));
        }
        files
    }

    /// What becomes of a copy in which this file was changed.
    fn with(&self, file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Outcome {
        let copy = self.dir.path().join("copy");
        let _ = fs::remove_dir_all(&copy);
        crash_image(&self.dir.path().join("image"), &copy);
        let target = copy.join(file.file_name().expect("a name"));
        let mut bytes = fs::read(&target).expect("file");
        change(&mut bytes);
        fs::write(&target, bytes).expect("own file");
        self.outcome(&copy)
    }

    fn outcome(&self, copy: &Path) -> Outcome {
        let store = match Store::open(copy) {
            Ok(store) => store,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let keys: LogKeys = [(self.log.log, self.log.key.public())].into();
        let report = fsck_with_keys(&store, &keys, &self.lock, &mut |_| ());
        let problems = match report {
            Ok(report) if report.is_clean() => String::new(),
            Ok(report) => report.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string(),
        };
        match content(&store, &self.log) {
            Ok(found) if found == self.content && problems.is_empty() => Outcome::Whole,
            // Unreadable, missing, or wrong where only fsck looks: it must say so in any case.
            other => {
                assert!(!problems.is_empty(), "fsck finds nothing, but {:?}", other.map(|found| found.len()));
                Outcome::Noticed(problems)
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// The store does not open.
    Refused(String),
    /// It opens, and says what is wrong when that is read or checked.
    Noticed(String),
    /// Nothing acknowledged is lost.
    Whole,
}

/// The kinds of files that hold something.
fn kind(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    match name {
        "CURRENT" => Some("current"),
        "IDENTITY" => Some("identity"),
        _ if name.starts_with("MANIFEST-") => Some("manifest"),
        _ if name.starts_with("OPTIONS-") => Some("options"),
        _ if name.ends_with(".sst") => Some("table"),
        _ if name.ends_with(".log") => Some("wal"),
        _ => None,
    }
}

/// Everything that the store tells about a log, as bytes: as far as the log is stored.
fn content(store: &Store, log: &TestLog) -> Result<Vec<u8>, StoreError> {
    let size = store.stored_size(&log.log).unwrap_or(0);
    let mut bytes = format!("{size} {:?} {:?}\n", store.heads()?, store.generation()?).into_bytes();
    for (index, entry) in (0..).zip(store.entries(&log.log, 0, size)?) {
        let written = log.entry(index);
        assert_eq!(entry, written, "entry {index} is another than was written");
        bytes.extend(format!("{entry:?} {:?}\n", store.place(&hash(&entry.leaf))?).into_bytes());
    }
    bytes.extend(format!("{:?}\n", store.prior(&[1; 32])?).into_bytes());
    publish_whatever(store, log, size)?;
    for index in 0..size.div_ceil(256) {
        let Some(tile) = TileId::in_tree(0, index, size) else { continue };
        bytes.extend(store.tile(&log.log, tile)?.unwrap_or_default());
    }
    Ok(bytes)
}

/// Makes readable what is stored, whatever it is.
fn publish_whatever(store: &Store, log: &TestLog, size: u64) -> Result<(), StoreError> {
    let root = store.frontier_at(&log.log, size)?.root();
    let (note, origin) = (None, log.origin.clone());
    store.publish(&PublishedHead { log: log.log, origin, size, root, note, announced: size })
}

fn hash(leaf: &[u8]) -> hashpact_protocol::digest::RecordId {
    hashpact_protocol::digest::leaf_hash(leaf)
}

/// Offsets that meet every part of a file: its first and last bytes, and steps between.
fn offsets(length: usize, count: usize) -> Vec<usize> {
    let mut offsets: Vec<usize> = (0..length).step_by((length / count).max(1)).collect();
    offsets.extend(length.saturating_sub(60)..length);
    offsets.extend(0..length.min(20));
    offsets.sort_unstable();
    offsets.dedup();
    offsets
}

#[test]
fn a_flipped_bit_in_any_file_is_refused_noticed_or_harmless() {
    let whole = Whole::new();
    let files = whole.files();
    assert_eq!(whole.with(&files["wal"][0], |_| ()), Outcome::Whole, "nothing was changed");
    let kinds: Vec<&str> = files.keys().copied().collect();
    assert_eq!(kinds, ["current", "identity", "manifest", "options", "table", "wal"]);
    for (kind, paths) in files {
        let mut counts = [0; 3];
        for path in paths.iter().take(4) {
            let length = usize::try_from(fs::metadata(path).expect("file").len()).expect("small");
            for (nth, at) in offsets(length, 24).into_iter().enumerate() {
                match whole.with(path, |bytes| bytes[at] ^= 1 << (nth % 8)) {
                    Outcome::Refused(why) => {
                        assert!(why.len() > 20, "{kind}, byte {at}: {why:?}");
                        counts[0] += 1;
                    }
                    Outcome::Noticed(_) => counts[1] += 1,
                    Outcome::Whole => counts[2] += 1,
                }
            }
        }
        println!("{kind}: {} refused, {} noticed, {} harmless", counts[0], counts[1], counts[2]);
        // The two that hold nothing that is read back; all others are protected to the last byte but padding.
        let is_inert = matches!(kind, "identity" | "options");
        assert!(is_inert || counts[0] + counts[1] > 2 * counts[2], "{kind}: {counts:?}");
    }
}

#[test]
fn a_torn_last_write_of_any_file_is_refused_noticed_or_undone_whole() {
    let whole = Whole::new();
    for (kind, paths) in whole.files() {
        let path = &paths[0];
        let length = usize::try_from(fs::metadata(path).expect("file").len()).expect("small");
        for missing in [1, 2, 7, 8, 30, 100, 500, length / 2, length - 1, length] {
            let kept = length.saturating_sub(missing);
            // Cut short, or with blocks that the disk never wrote and reads as zeros.
            for is_cut in [true, false] {
                let outcome = whole
                    .with(path, |bytes| if is_cut { bytes.truncate(kept) } else { bytes[kept..].fill(0) });
                println!("{kind}, last {missing} of {length} bytes, cut {is_cut}: {outcome:?}");
            }
        }
    }
}

/// The lock file: any one of its bytes, and any tear of a write to one of its slots.
#[test]
fn the_lock_file_survives_a_tear_and_a_flip_and_never_goes_back() {
    let whole = Whole::new();
    let path = whole.dir.path().join("lock");
    let sound = fs::read(&path).expect("lock");
    let half = sound.len() / 2;
    for (nth, at) in offsets(sound.len(), 400).into_iter().enumerate() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (nth % 8);
        fs::write(&path, &bytes).expect("own file");
        let lock = LockFile::open(&path).expect("the other slot is whole");
        assert_eq!(*lock.state(), whole.lock, "byte {at}");
        assert!(lock.repair().is_some(), "byte {at}");
        drop(lock);
        assert_eq!(fs::read(&path).expect("lock"), sound, "byte {at} is repaired");
    }
    // The next state is written to one slot, then to the other; a cut leaves any part of either write.
    let next = LockState { generation: 2, ..whole.lock.clone() };
    fs::write(&path, &sound).expect("own file");
    LockFile::open(&path).expect("whole").write(&next).expect("written");
    let written = fs::read(&path).expect("lock");
    for torn in (0..half).step_by(97).chain([half]) {
        for second in [false, true] {
            let mut bytes = sound.clone();
            let from = if second { half } else { 0 };
            bytes[..from].copy_from_slice(&written[..from]);
            bytes[from..from + torn].copy_from_slice(&written[from..from + torn]);
            fs::write(&path, &bytes).expect("own file");
            let lock = LockFile::open(&path).expect("one slot is whole");
            // Once the first slot is written whole the state is the new one.
            let is_new = second || written[..half] == bytes[..half];
            assert_eq!(lock.state().generation, if is_new { 2 } else { 1 }, "{torn}, second {second}");
        }
    }
    // Both slots damaged: nothing is guessed.
    let mut bytes = sound.clone();
    (bytes[100], bytes[half + 100]) = (!bytes[100], !bytes[half + 100]);
    fs::write(&path, &bytes).expect("own file");
    assert!(matches!(LockFile::open(&path), Err(LockError::BothBad { .. })));
    fs::write(&path, &sound[..half]).expect("own file");
    assert!(matches!(LockFile::open(&path), Err(LockError::Length { .. })));
}
