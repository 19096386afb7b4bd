//! The lock file under every single-byte damage, torn writes and misuse.

use super::TestLog;
use crate::storage::lock::{LOCK_FILE_BYTES, LockError, LockFile, Repair, SlotError, choose, decode_slot};
use hashpact_core::effect::LockState;
use hashpact_protocol::digest::Root;
use std::fs;
use std::path::{Path, PathBuf};

/// Two states of a growing log, and the file after each.
struct History {
    _dir: tempfile::TempDir,
    path: PathBuf,
    states: Vec<LockState>,
    images: Vec<Vec<u8>>,
}

fn history() -> History {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("lock");
    let mut log = TestLog::new("north");
    let (mut states, mut images) = (vec![log.lock()], Vec::new());
    let mut lock = LockFile::create(&path, &states[0]).expect("fresh");
    images.push(fs::read(&path).expect("file"));
    for count in [3, 4] {
        let _ = log.batch(count);
        states.push(log.lock());
        lock.write(states.last().expect("pushed")).expect("grows");
        images.push(fs::read(&path).expect("file"));
    }
    drop(lock);
    History { _dir: dir, path, states, images }
}

fn open_image(path: &Path, image: &[u8]) -> Result<LockState, LockError> {
    fs::write(path, image).expect("own file");
    LockFile::open(path).map(|lock| lock.state().clone())
}

#[test]
fn states_survive_and_the_file_keeps_its_length() {
    let history = history();
    for (state, image) in history.states.iter().zip(&history.images) {
        assert_eq!(image.len() as u64, LOCK_FILE_BYTES);
        assert_eq!(&open_image(&history.path, image).expect("whole"), state);
        assert_eq!(LockFile::open(&history.path).expect("whole").repair(), None);
    }
    assert!(matches!(LockFile::create(&history.path, &history.states[0]), Err(LockError::Exists { .. })));
    fs::remove_file(&history.path).expect("own file");
    assert!(matches!(LockFile::open(&history.path), Err(LockError::Missing { .. })));
    assert!(!history.path.exists());
}

#[test]
fn a_second_process_is_refused() {
    let history = history();
    let held = LockFile::open(&history.path).expect("free");
    assert!(matches!(LockFile::open(&history.path), Err(LockError::InUse { .. })));
    drop(held);
    LockFile::open(&history.path).expect("free again");
}

#[test]
fn every_flipped_byte_is_found() {
    let history = history();
    let (last, image) = (&history.states[2], &history.images[2]);
    let slot = image.len() / 2;
    let whole = decode_slot(&image[slot..]).expect("whole");
    for at in 0..slot {
        let mut bad = image[..slot].to_vec();
        bad[at] ^= 1 << (at % 8);
        let bad = decode_slot(&bad);
        assert_eq!(bad, Err(SlotError::Checksum), "byte {at}");
        // Whichever of the two slots it hits, the other one has the last state.
        for (number, slots) in
            [[bad.clone(), Ok(whole.clone())], [Ok(whole.clone()), bad]].into_iter().enumerate()
        {
            let [first, second] = slots;
            let (taken, repair) = choose(&history.path, first, second).expect("one is whole");
            assert_eq!(&taken.1, last, "byte {at}");
            assert_eq!(repair, Some(Repair { slot: number, reason: Some(SlotError::Checksum) }));
        }
    }
}

#[test]
fn a_flipped_byte_is_healed_on_disk() {
    let history = history();
    let (last, image) = (&history.states[2], &history.images[2]);
    for at in (0..image.len()).step_by(997).chain([image.len() - 1]) {
        let mut bad = image.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&history.path, &bad).expect("own file");
        let lock = LockFile::open(&history.path).expect("one slot is whole");
        assert_eq!(lock.state(), last, "byte {at}");
        let slot = at / (image.len() / 2);
        assert_eq!(lock.repair(), Some(Repair { slot, reason: Some(SlotError::Checksum) }), "byte {at}");
        drop(lock);
        assert_eq!(&fs::read(&history.path).expect("file"), image, "byte {at} repaired");
    }
}

#[test]
fn every_other_length_is_an_error() {
    let history = history();
    let image = &history.images[2];
    for len in (0..image.len()).step_by(61).chain([image.len() - 1]) {
        let error = open_image(&history.path, &image[..len]).expect_err("cut");
        assert!(matches!(error, LockError::Length { found_bytes, .. } if found_bytes == len as u64));
    }
    let mut long = image.clone();
    long.push(0);
    assert!(matches!(open_image(&history.path, &long), Err(LockError::Length { .. })));
}

#[test]
fn a_torn_write_leaves_the_acknowledged_or_the_new_state() {
    let history = history();
    let (old, new) = (&history.images[1], &history.images[2]);
    let slot = old.len() / 2;
    for torn in (0..=slot).step_by(509) {
        // The first slot is being written, the second still has the acknowledged state.
        let mut image = old.clone();
        image[..torn].copy_from_slice(&new[..torn]);
        let state = open_image(&history.path, &image).expect("the other slot is whole");
        let is_complete = image[..slot] == new[..slot];
        assert_eq!(state, history.states[if is_complete { 2 } else { 1 }], "first slot torn at {torn}");
        // The first is synced, the second is being written.
        let mut image = old.clone();
        image[..slot + torn].copy_from_slice(&new[..slot + torn]);
        let state = open_image(&history.path, &image).expect("the first slot is whole");
        assert_eq!(state, history.states[2], "second slot torn at {torn}");
        assert_eq!(&fs::read(&history.path).expect("file"), new, "and finished by opening");
    }
}

#[test]
fn an_older_state_is_never_taken_where_the_newest_was_complete() {
    let history = history();
    let (first, last) = (&history.images[0], &history.images[2]);
    let slot = last.len() / 2;
    // A whole slot of two writes ago beside the newest: no crash leaves that.
    for order in [[first, last], [last, first]] {
        let image = [&order[0][..slot], &order[1][slot..]].concat();
        assert!(matches!(open_image(&history.path, &image), Err(LockError::Disagree { .. })));
    }
    // Both slots damaged: nothing is guessed.
    let mut image = last.clone();
    image[100] ^= 1;
    image[slot + 100] ^= 1;
    assert!(matches!(
        open_image(&history.path, &image),
        Err(LockError::BothBad { first: SlotError::Checksum, second: SlotError::Checksum, .. })
    ));
    assert!(matches!(open_image(&history.path, &vec![0; last.len()]), Err(LockError::BothBad { .. })));
}

#[test]
fn the_lock_never_forgets_a_signature() {
    let history = history();
    let (middle, last) = (&history.states[1], &history.states[2]);
    let mut lock = LockFile::open(&history.path).expect("whole");
    lock.write(last).expect("the same again is no change");
    assert!(matches!(lock.write(middle), Err(LockError::Backwards { .. })));
    let with = |generation, size, root| LockState { generation, size, root, ..last.clone() };
    let next = last.generation + 1;
    assert!(matches!(lock.write(&with(next, last.size - 1, last.root)), Err(LockError::Backwards { .. })));
    assert!(matches!(
        lock.write(&with(last.generation, last.size + 1, last.root)),
        Err(LockError::Backwards { .. })
    ));
    let other = Root::new([1; 32]);
    assert!(matches!(lock.write(&with(next, last.size, other)), Err(LockError::SecondRoot { size: 7, .. })));
    let mut long = last.clone();
    (long.generation, long.note) = (next, vec![0; 16 * 1024 + 1]);
    assert!(matches!(lock.write(&long), Err(LockError::TooLong { note_bytes: 16_385, .. })));
    assert_eq!(fs::read(&history.path).expect("file"), history.images[2], "refusals write nothing");
    // Another signature of some role raises the generation alone; a successor log starts at zero.
    lock.write(&with(next, last.size, last.root)).expect("cosigned something");
    let successor = LockState {
        generation: next + 1,
        origin: format!("{}1", last.origin),
        size: 0,
        root: Root::new([2; 32]),
        note: vec![0; 16 * 1024],
    };
    lock.write(&successor).expect("a successor log");
    drop(lock);
    assert_eq!(LockFile::open(&history.path).expect("whole").state(), &successor);
}
