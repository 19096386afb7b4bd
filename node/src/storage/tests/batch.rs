//! Writing: what is refused changes nothing, what is acknowledged is there after a crash.

use super::{CONSORTIUM, TestLog, crash_image, fresh, idempotent};
use crate::storage::{Store, StoreError};
use hashpact_core::effect::{PublishedHead, StoredEntry, StoredPayload};
use hashpact_protocol::digest::{LeafHash, leaf_hash};
use std::ops::ControlFlow;

#[test]
fn a_database_is_never_created_over_and_never_by_opening() {
    let (dir, store) = fresh();
    let db = dir.path().join("db");
    assert_eq!(store.identity().consortium, CONSORTIUM);
    assert_eq!(store.identity().member, "north");
    assert!(matches!(Store::create(&db, CONSORTIUM, "north"), Err(StoreError::Exists { .. })));
    assert!(matches!(Store::open(&dir.path().join("none")), Err(StoreError::Missing { .. })));
    assert!(!dir.path().join("none").exists());
    assert!(matches!(Store::create(dir.path(), CONSORTIUM, "north"), Err(StoreError::NotEmpty { .. })));
}

#[test]
fn a_second_handle_is_refused() {
    let (dir, store) = fresh();
    let db = dir.path().join("db");
    assert!(matches!(Store::open(&db), Err(StoreError::InUse { .. })));
    drop(store);
    Store::open(&db).expect("free again");
}

#[test]
fn acknowledged_batches_survive_a_crash() {
    let (dir, store) = fresh();
    let (mut north, mut south) = (TestLog::new("north"), TestLog::new("south"));
    let mut batch = north.batch(300);
    batch.note = Some(north.note());
    batch.idempotency = vec![idempotent(7, 10, 3)];
    batch.read_back = true;
    let leaves = store.write(&batch).expect("first");
    assert!(leaves.iter().eq(batch.entries.iter().map(|entry| &entry.leaf)));
    store.write(&south.batch(5)).expect("another log");
    let second = north.batch(1);
    assert_eq!(store.write(&second).expect("continues"), Vec::<Vec<u8>>::new());
    store.set_generation(4).expect("grows");

    let image = dir.path().join("image");
    crash_image(&dir.path().join("db"), &image);
    let after = Store::open(&image).expect("recovers");
    assert_eq!(after.heads().expect("heads"), store.heads().expect("heads"));
    let head = after.heads().expect("heads").into_iter().find(|head| head.log == north.log).expect("north");
    assert_eq!((head.size, head.frontier.as_slice()), (301, north.frontier.hashes()));
    assert_eq!(head.note, batch.note);
    assert_eq!(after.entries(&north.log, 0, 300).expect("entries"), batch.entries);
    assert_eq!(after.entry(&north.log, 300).expect("entry").as_ref(), second.entries.first());
    assert_eq!(after.entry(&north.log, 301).expect("beyond"), None);
    assert_eq!(after.generation().expect("set"), 4);
    let prior = after.prior(&[7; 32]).expect("decodes").expect("known");
    assert_eq!((prior.first_index, prior.tree_size, prior.digest), (10, 13, [0xf8; 32]));
    let ids: Vec<LeafHash> = batch.entries[10..13].iter().map(|entry| leaf_hash(&entry.leaf)).collect();
    assert_eq!(prior.records, ids);
    assert!(after.prior(&[8; 32]).expect("decodes").is_none());
    // The image is a database like any other: it goes on where the first one was.
    after.write(&north.batch(256)).expect("continues after recovery");
    assert!(matches!(after.set_generation(3), Err(StoreError::GenerationBackwards { stored: 4, given: 3 })));
}

#[test]
fn batches_written_together_are_as_if_one_after_the_other_and_refused_together() {
    let (dir, store) = fresh();
    let (mut north, mut south) = (TestLog::new("north"), TestLog::new("south"));
    let (mut first, second, third) = (north.batch(300), south.batch(5), north.batch(20));
    first.read_back = true;
    let leaves = store.write_together(&[&first, &second, &third]).expect("each fits behind the one before");
    assert!(leaves[0].iter().eq(first.entries.iter().map(|entry| &entry.leaf)));
    assert_eq!((leaves.len(), leaves[1].len(), leaves[2].len()), (3, 0, 0));
    let (north_log, south_log) = (north.log, south.log);
    let sizes = |store: &Store| [north_log, south_log].map(|log| store.stored_size(&log).expect("stored"));
    assert_eq!(sizes(&store), [320, 5]);
    let before = store.heads().expect("heads");
    let mut wrong = north.batch(1);
    wrong.start += 1;
    let good = south.batch(1);
    assert!(matches!(store.write_together(&[&good, &wrong]), Err(StoreError::Start { .. })));
    assert_eq!((store.heads().expect("heads"), sizes(&store)), (before, [320, 5]));
    store.write(&good).expect("nothing was in doubt");

    let image = dir.path().join("image");
    crash_image(&dir.path().join("db"), &image);
    let after = Store::open(&image).expect("recovers");
    assert_eq!(sizes(&after), [320, 6]);
    assert_eq!(after.entries(&north.log, 300, 320).expect("entries"), third.entries);
}

#[test]
fn compaction_keeps_everything() {
    let (_dir, store) = fresh();
    let mut north = TestLog::new("north");
    let batches = [north.batch(300), north.batch(77)];
    for batch in &batches {
        store.write(batch).expect("written");
    }
    let before = store.heads().expect("heads");
    store.compact().expect("rewritten");
    assert_eq!(store.heads().expect("heads"), before);
    let entries: Vec<StoredEntry> = batches.into_iter().flat_map(|batch| batch.entries).collect();
    assert_eq!(store.entries(&north.log, 0, 377).expect("entries"), entries);
    store.write(&north.batch(1)).expect("goes on");
}

#[test]
fn refused_batches_change_nothing() {
    let (_dir, store) = fresh();
    let mut log = TestLog::new("north");
    let mut first = log.batch(3);
    first.note = Some(log.note());
    store.write(&first).expect("first");
    let good = log.batch(2);
    let before = store.heads().expect("heads");
    let refuse = |change: &dyn Fn(&mut hashpact_core::effect::WriteBatch), is_it: fn(&StoreError) -> bool| {
        let mut bad = good.clone();
        change(&mut bad);
        let error = store.write(&bad).expect_err("bad");
        assert!(is_it(&error), "{error}");
        assert_eq!(store.heads().expect("heads"), before, "{error}");
        for entry in &bad.entries {
            assert_eq!(store.place(&leaf_hash(&entry.leaf)).expect("reads"), None, "{error}");
        }
    };
    refuse(&|batch| batch.start = 2, |error| matches!(error, StoreError::Start { start: 2, stored: 3, .. }));
    refuse(&|batch| batch.start = 4, |error| matches!(error, StoreError::Start { start: 4, stored: 3, .. }));
    refuse(&|batch| batch.origin.push('1'), |error| matches!(error, StoreError::Origin { .. }));
    refuse(&|batch| batch.frontier.truncate(1), |error| {
        matches!(error, StoreError::FrontierMismatch { size: 5, .. })
    });
    refuse(&|batch| batch.entries[1].leaf[20] ^= 1, |error| {
        matches!(error, StoreError::FrontierMismatch { .. })
    });
    refuse(&|batch| batch.entries[0].leaf = vec![0; 1025], |error| {
        matches!(error, StoreError::LeafTooLong { index: 3, len_bytes: 1025, max_bytes: 1024, .. })
    });
    refuse(
        &|batch| batch.entries[0].payload = StoredPayload::Present { salt: [0; 32], padded: vec![0; 65_537] },
        |error| matches!(error, StoreError::ValueTooLong { .. }),
    );
    let note = |size| Some(hashpact_core::effect::SizedNote { size, note: b"note".to_vec() });
    refuse(&|batch| batch.note = note(6), |error| {
        matches!(error, StoreError::NoteBeyond { note: 6, stored: 5, .. })
    });
    refuse(&|batch| batch.note = note(2), |error| {
        matches!(error, StoreError::NoteBackwards { note: 2, kept: 3, .. })
    });
    store.write(&good).expect("unchanged by the refusals");
}

#[test]
fn leaves_of_any_form_are_stored() {
    let (_dir, store) = fresh();
    let mut log = TestLog::new("north");
    let leaves = [vec![], vec![0xff], vec![7; 1024]];
    let entries: Vec<_> = leaves
        .iter()
        .zip([StoredPayload::Withheld, StoredPayload::Erased, StoredPayload::NotHere])
        .map(|(leaf, payload)| StoredEntry { leaf: leaf.clone(), payload })
        .collect();
    let mut batch = log.batch_of(entries.clone());
    batch.read_back = true;
    assert_eq!(store.write(&batch).expect("any bytes"), leaves);
    assert_eq!(store.entries(&log.log, 0, 3).expect("entries"), entries);
    assert_eq!(store.place(&leaf_hash(&leaves[2])).expect("reads").expect("found").index, 2);
}

#[test]
fn a_copied_leaf_does_not_capture_the_look_up() {
    let (_dir, store) = fresh();
    let (mut north, mut thief) = (TestLog::new("north"), TestLog::new("thief"));
    let record = north.entry(1);
    let id = leaf_hash(&record.leaf);
    // Whichever log sorts first, and although the copy is stored before the original.
    for victim_first in [false, true] {
        let copy = thief.batch_of(vec![record.clone()]);
        store.write(&copy).expect("a follower stores what is signed");
        if !victim_first {
            assert_eq!(store.place(&id).expect("reads").expect("the copy").log, thief.log);
            store.write(&north.batch(2)).expect("original");
        }
        let place = store.place(&id).expect("reads").expect("found");
        assert_eq!((place.log, place.index, place.leaf), (north.log, 1, id));
    }
}

#[test]
fn nothing_is_visible_before_it_is_published() {
    let (_dir, store) = fresh();
    let mut log = TestLog::new("north");
    store.write(&log.batch(10)).expect("ten");
    assert!(store.published(&log.log).is_none());
    assert!(matches!(store.range(&log.log, 0, 10, 10, 1000), Err(StoreError::UnknownLog(_))));
    assert!(matches!(store.inclusion(&log.log, 0, 10), Err(StoreError::UnknownLog(_))));
    log.publish(&store);
    let visible = store.published(&log.log).expect("published");
    assert_eq!((visible.size, store.published_all().len()), (10, 1));
    store.write(&log.batch(5)).expect("five more");
    assert!(matches!(store.range(&log.log, 0, 11, 10, 1000), Err(StoreError::Beyond { size: 10, .. })));
    assert!(matches!(store.range(&log.log, 10, 10, 10, 1000), Err(StoreError::Beyond { .. })));
    assert!(matches!(store.consistency(&log.log, 10, 15), Err(StoreError::Beyond { size: 10, .. })));
    let too_far = PublishedHead { size: 16, ..visible };
    assert!(matches!(store.publish(&too_far), Err(StoreError::PublishBeyond { size: 16, stored: 15, .. })));
    // The note of the head was kept beside it.
    let kept = store.heads().expect("heads")[0].note.clone().expect("kept by publishing");
    assert_eq!(kept.size, 10);
}

#[test]
fn walks_end_where_they_are_told_to() {
    let (_dir, store) = fresh();
    let (mut north, mut south) = (TestLog::new("north"), TestLog::new("south"));
    store.write(&north.batch(5000)).expect("north");
    store.write(&south.batch(3)).expect("south");
    for (start, end) in [(0, 5000), (17, 17), (4999, 5000), (100, 4500)] {
        let mut expected = start;
        store
            .for_each_entry(&north.log, start, end, |index, leaf, payload| {
                assert_eq!(index, expected);
                assert_eq!(leaf[8..16], index.to_be_bytes());
                assert_eq!(payload.to_stored(), north.entry(index).payload);
                expected += 1;
                ControlFlow::Continue(())
            })
            .expect("walk");
        assert_eq!(expected, end);
    }
    for (start, end) in [(0, 4), (2, 1), (3, u64::MAX)] {
        let walk = store.for_each_entry(&south.log, start, end, |_, _, _| ControlFlow::Continue(()));
        assert!(matches!(walk, Err(StoreError::Beyond { size: 3, .. })), "{start}..{end}");
    }
}

#[test]
fn cards_are_kept_per_member() {
    let (dir, store) = fresh();
    store.card_put("south", b"old").expect("card");
    store.card_put("south", b"new").expect("card");
    store.card_put("east", b"card").expect("card");
    assert!(matches!(store.card_put("../x", b"card"), Err(StoreError::Key { .. })));
    drop(store);
    let store = Store::open(&dir.path().join("db")).expect("again");
    let cards = store.cards().expect("cards");
    assert_eq!(cards, [("east".to_owned(), b"card".to_vec()), ("south".to_owned(), b"new".to_vec())]);
}
