//! Another history of a log is kept apart, served by its root, and checked like everything else.

use super::fsck::{Sound, check};
use super::{TestLog, fresh};
use crate::keystore::KeyAccess;
use crate::storage::branches::{HEADS, LEAVES, PAYLOADS, entry_key};
use crate::storage::{Store, StoreError, facts, payloads};
use crate::vault::Vault;
use hashpact_core::effect::{
    BranchBatch, EntryRef, EraseBatch, EraseStep, PayloadState, StoredEntry, StoredPayload,
};
use hashpact_core::event::ErasedEntry;
use hashpact_core::view::kept_line;
use hashpact_protocol::digest::{NodeHash, leaf_hash};
use hashpact_protocol::evidence::Evidence;
use hashpact_protocol::limits::BRANCH_ENTRIES_MAX;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::wire::{BranchRequest, RangeRequest};

/// Entries that both histories of north share, and the size of the other.
const SHARED: u64 = 300;
const SIZE: u64 = 360;

/// North's other history, and its entries.
fn other() -> (TestLog, Vec<StoredEntry>) {
    let mut other = TestLog::new("north");
    let shared = (0..SHARED).map(|index| other.entry(index));
    let own = (SHARED..SIZE).map(|index| {
        let mut entry = other.entry(index + 1_000);
        if index == SHARED + 2 {
            entry.payload = StoredPayload::NotHere;
        }
        entry
    });
    let entries: Vec<_> = shared.chain(own).collect();
    let _ = other.batch_of(entries.clone());
    (other, entries)
}

fn tree(entries: &[StoredEntry]) -> Frontier {
    let mut tree = Frontier::empty();
    entries.iter().for_each(|entry| tree.append(leaf_hash(&entry.leaf)));
    tree
}

/// The part `[at, end)` of the other history.
fn part(at: u64, end: u64) -> BranchBatch {
    let (other, entries) = other();
    BranchBatch {
        id: 9,
        log: other.log,
        number: 0,
        note: other.note(),
        start: SHARED,
        at,
        entries: entries[at as usize..end as usize].to_vec(),
        frontier: tree(&entries[..end as usize]).hashes().to_vec(),
        payload_bytes: 160 * (end - SHARED),
    }
}

fn ask(start: u64, size: u64, entries_max: u32, bytes_max: u32) -> BranchRequest {
    let (other, entries) = other();
    let root = *tree(&entries[..size as usize]).root().as_bytes();
    BranchRequest {
        range: RangeRequest { log: *other.log.as_bytes(), start, size, entries_max, bytes_max },
        root,
    }
}

/// A sound database with evidence and the whole other history.
fn forked() -> Sound {
    let sound = Sound::new();
    sound.north.publish(&sound.store);
    let proof = |old, new| sound.store.consistency(&sound.north.log, old, new).expect("published");
    let old = hashpact_protocol::evidence::OldRoot {
        root: sound.store.frontier_at(&sound.north.log, SIZE).expect("stored").root(),
        proof: proof(SIZE, 700),
    };
    let (first, second) = (other().0.note().note, sound.north.note().note);
    let evidence = Evidence { first, second, old: Some(old), divergence: None };
    sound.put(facts::EVIDENCE, sound.north.log.as_bytes(), &evidence.encode());
    sound.store.write_branch(&part(SHARED, 310)).expect("the first part");
    sound.store.write_branch(&part(310, SIZE)).expect("the rest");
    sound
}

#[test]
fn parts_follow_one_another_and_survive() {
    let (dir, store) = fresh();
    let (mut north, key) = (TestLog::new("north"), (TestLog::new("north").log, 0));
    store.write(&north.batch(700)).expect("followed");
    store.write_branch(&part(SHARED, 310)).expect("the first part");
    for (batch, expected) in [
        (part(SHARED, 310), "it starts at 300, kept is up to 310"),
        (part(311, 320), "it starts at 311, kept is up to 310"),
        (BranchBatch { start: 299, ..part(310, 320) }, "another history is kept under this number"),
        (BranchBatch { note: north.note(), ..part(310, 320) }, "another history is kept under this number"),
        (BranchBatch { number: 1, ..part(310, 320) }, "it starts at 310, kept is up to 300"),
    ] {
        let refused = store.write_branch(&batch).expect_err(expected);
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    let mut long = part(310, SIZE);
    long.entries.push(long.entries[0].clone());
    assert!(matches!(store.write_branch(&long), Err(StoreError::Branch { .. })), "beyond its checkpoint");
    let mut many = part(SHARED, SHARED);
    (many.number, many.note.size) = (1, SHARED + BRANCH_ENTRIES_MAX + 1);
    many.entries =
        vec![StoredEntry { leaf: vec![1], payload: StoredPayload::NotHere }; BRANCH_ENTRIES_MAX as usize + 1];
    assert!(matches!(store.write_branch(&many), Err(StoreError::Branch { .. })), "more than is kept");
    let wrong_tree = BranchBatch { frontier: vec![NodeHash::new([1; 32])], ..part(310, 320) };
    assert!(matches!(store.write_branch(&wrong_tree), Err(StoreError::Merkle(_))));
    let held = store.branches().expect("whole").remove(&key).expect("kept");
    assert_eq!((held.start, held.frontier.size(), held.is_whole()), (SHARED, 310, false));
    drop(store);
    let store = Store::open(&dir.path().join("db")).expect("whole");
    assert_eq!(store.facts().expect("whole").branches.remove(&key), Some(held));
    store.write_branch(&part(310, SIZE)).expect("it goes on");
    assert!(store.branches().expect("whole")[&key].is_whole());
    assert_eq!(store.stored_size(&north.log).expect("stored"), 700, "the followed log is as it was");
}

#[test]
fn either_history_is_served_by_its_root() {
    let sound = forked();
    let (other, entries) = other();
    let serve = |ask: &BranchRequest| sound.store.branch_range(ask).expect("readable");
    for (start, size, most, bytes_max) in [
        (0, SIZE, 4096, 1 << 20),
        (290, SIZE, 20, 1 << 20),
        (SHARED, SIZE, 7, 1 << 20),
        (355, SIZE, 4096, 1),
        (SHARED, 333, 4096, 700),
        (298, SIZE, 4096, 700),
    ] {
        let chunk = serve(&ask(start, size, most, bytes_max)).expect("it is kept");
        let end = start + chunk.entries.len() as u64;
        assert!(chunk.start == start && end <= size && chunk.entries.len() <= most as usize);
        if bytes_max == 1 << 20 {
            assert_eq!(end, size.min(start + u64::from(most)));
        }
        for (entry, expected) in chunk.entries.iter().zip(&entries[start as usize..]) {
            assert_eq!(entry.leaf, expected.leaf);
        }
        let cover: Vec<NodeHash> = chunk.cover.iter().copied().map(NodeHash::new).collect();
        let found = tree(&entries[..end as usize]).root_with_cover(size, &cover).expect("a cover");
        assert_eq!(found, tree(&entries[..size as usize]).root(), "{start} of {size}");
    }
    let followed =
        BranchRequest { root: *sound.north.frontier.root().as_bytes(), ..ask(690, SIZE, 5, 1 << 20) };
    let followed = BranchRequest { range: RangeRequest { size: 700, ..followed.range }, ..followed };
    assert_eq!(serve(&followed).expect("it is followed").entries[0].leaf, sound.north.entry(690).leaf);
    let shared = ask(0, 200, 3, 1 << 20);
    assert_eq!(serve(&shared).expect("both have it").entries.len(), 3);
    for (root, size) in
        [([9; 32], SIZE), ([9; 32], 700), (ask(0, 333, 1, 1).root, SIZE), (ask(0, SIZE, 1, 1).root, 9_000)]
    {
        let strange = ask(SHARED, SIZE, 5, 1 << 20);
        let strange = BranchRequest { range: RangeRequest { size, ..strange.range }, root };
        assert!(serve(&strange).is_none(), "size {size}");
    }
    let unknown =
        BranchRequest { range: RangeRequest { log: [3; 32], ..ask(0, 9, 1, 1).range }, root: [0; 32] };
    assert!(matches!(sound.store.branch_range(&unknown), Err(StoreError::UnknownLog(_))));
    // Nothing of it is found where followed entries are.
    let kept = &entries[SHARED as usize + 1].leaf;
    assert!(sound.store.place(&leaf_hash(kept)).expect("readable").is_none());
    assert_eq!(other.frontier.size(), SIZE);
}

#[test]
fn fsck_finds_what_was_changed_in_a_kept_history() {
    let wrong = |sound: &Sound, detail: &str| {
        format!("{}: the other history of size {SIZE} that is kept: {detail}", sound.north.origin)
    };
    let sound = forked();
    let report = sound.fsck();
    check(&report, &[]);
    assert_eq!((report.branches[0].start, report.branches[0].end), (SHARED, SIZE));
    let key = |index| entry_key(&sound.north.log, 0, index);
    let (_, entries) = other();

    let mut leaf = entries[305].leaf.clone();
    leaf[9] ^= 1;
    sound.put(LEAVES, &key(305), &leaf);
    let found = sound.fsck();
    let texts: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
    for detail in ["payload of entry 305", "its leaves lead to another tree at 360", "it signs root "] {
        let expected = wrong(&sound, detail);
        assert!(texts.iter().any(|text| text.starts_with(&expected)), "{detail}: {texts:?}");
    }
    sound.put(LEAVES, &key(305), &entries[305].leaf);

    let payload = StoredPayload::Present { salt: [1; 32], padded: vec![0; 128] };
    sound.put(PAYLOADS, &key(305), &payloads::encode(&payload).expect("short"));
    check(&sound.fsck(), &[wrong(&sound, "payload of entry 305: ")]);
    sound.put(PAYLOADS, &key(305), &payloads::encode(&entries[305].payload).expect("short"));

    sound.delete(PAYLOADS, &key(320));
    check(&sound.fsck(), &[wrong(&sound, "branch_payloads of entry 320")]);
    sound.put(PAYLOADS, &key(320), &payloads::encode(&entries[320].payload).expect("short"));
    sound.put(LEAVES, &key(SIZE), b"more");
    check(&sound.fsck(), &["branch_leaves has rows of log ".to_owned()]);
    sound.delete(LEAVES, &key(SIZE));
    sound.delete(facts::EVIDENCE, sound.north.log.as_bytes());
    check(&sound.fsck(), &[wrong(&sound, "no evidence of a fork is kept")]);
    sound.put(HEADS, &[0; 33], b"garbage");
    check(
        &sound.fsck(),
        &[
            "facts beside the logs: a value of column family branches".to_owned(),
            "branch_leaves has rows of log ".to_owned(),
            "branch_payloads has rows of log ".to_owned(),
        ],
    );
}

#[test]
fn an_order_seals_and_destroys_a_payload_in_a_kept_history_and_no_other() {
    let sound = forked();
    let (_, entries) = other();
    let ids = [leaf_hash(&entries[305].leaf), leaf_hash(&sound.north.entry(4).leaf), leaf_hash(b"no leaf")];
    let found = sound.store.find_subjects(&ids).expect("readable");
    let places: Vec<_> = found.iter().map(|found| (found.at.index, found.state)).collect();
    assert_eq!(places, [(305, PayloadState::Present), (4, PayloadState::Present)]);
    let by = EntryRef { log: sound.north.log, index: 9 };
    let steps = ids.map(|id| (id, EraseStep::Restore)).to_vec();
    let empty = tempfile::tempdir().expect("temporary folder");
    let vault = Vault::of(empty.path(), &KeyAccess::files(empty.path()));
    sound.store.erase(&EraseBatch { id: 1, steps }, &vault).expect("nothing to give back");
    assert_eq!(sound.store.find_subjects(&ids).expect("readable"), found, "finding destroys nothing");
    let steps = vec![(ids[0], EraseStep::Seal { by })];
    let changed = sound.store.erase(&EraseBatch { id: 2, steps }, &vault).expect("sealed");
    let line = kept_line(&sound.north.log, 0);
    let told = |changed: &[ErasedEntry]| -> Vec<_> {
        changed.iter().map(|entry| (entry.at, entry.before, entry.entry.payload.state())).collect()
    };
    let at = EntryRef { log: line, index: 305 };
    assert_eq!(told(&changed), [(at, PayloadState::Present, PayloadState::Sealed)]);
    assert!(!sound.store.is_purge_due().expect("readable"), "it waits for its hold");
    let steps = vec![(ids[0], EraseStep::Destroy { by: Some(by) })];
    let changed = sound.store.erase(&EraseBatch { id: 3, steps }, &vault).expect("destroyed");
    assert_eq!(told(&changed), [(at, PayloadState::Sealed, PayloadState::Erased)]);
    assert!(sound.store.is_purge_due().expect("readable"), "it is still in the files");
    assert!(sound.store.purge(|| true).expect("purged"));
    assert!(!sound.store.is_purge_due().expect("readable"));
    let mut gone = Vec::new();
    sound
        .store
        .for_each_branch_entry(&sound.north.log, 0, (SHARED, SIZE), |index, _, payload| {
            if payload.to_stored().bytes().is_none() {
                gone.push((index, payload.to_stored()));
            }
            std::ops::ControlFlow::Continue(())
        })
        .expect("readable");
    assert_eq!(gone, [(SHARED + 2, StoredPayload::NotHere), (305, StoredPayload::ErasedBy { by })]);
    check(&sound.fsck(), &[]);
    let followed = sound.store.entry(&sound.north.log, 4).expect("readable").expect("stored");
    assert!(matches!(followed.payload, StoredPayload::Present { .. }), "what is followed waits for its hold");
}
