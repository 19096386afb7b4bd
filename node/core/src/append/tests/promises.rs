//! What a receipt stands for: retries, other members' disks, read-back, and notes of ours seen elsewhere.

use super::*;
use crate::limits::{AWAITING_REPLICAS_MAX, REPLICATION_TIMEOUT_MS};

fn root_of(effects: &[Effect]) -> (u64, Root) {
    let head = effects.iter().find_map(|effect| match effect {
        Effect::Publish(head) => Some((head.size, head.root)),
        _ => None,
    });
    head.expect("published")
}

#[test]
fn a_retry_joins_what_still_waits_and_states_nothing_twice() {
    let mut bench = Bench::new();
    bench.effects();
    bench.send(Ask::records(1).key(1), NOW_MS);
    let first = written(&bench.effects()).expect("a batch");
    bench.send(Ask::records(1).key(1), NOW_MS);
    bench.send(Ask::records(2).key(2), NOW_MS);
    bench.send(Ask::records(2).key(2), NOW_MS);
    assert!(answers(&bench.effects()).is_empty());
    for key in [1, 2] {
        let other = Ask::records(1).key(key).digest(9);
        assert_eq!(bench.answer(other, NOW_MS), Err(SubmitError::KeyReused), "in flight and queued");
    }
    let later_ms = NOW_MS + CHECKPOINT_INTERVAL_MS;
    let effects = bench.store(&first, later_ms);
    let indexes = |effects: &[Effect]| -> Vec<(u64, u64)> {
        let read = |(request, answer): (u64, Result<Receipts, SubmitError>)| {
            (request, answer.expect("receipts").first_index)
        };
        answers(effects).into_iter().map(read).collect()
    };
    assert_eq!(indexes(&effects), [(1, 0), (2, 0)]);
    let second = written(&effects).expect("a batch");
    assert_eq!(second.entries.len(), 2);
    assert_eq!(indexes(&bench.store(&second, later_ms)), [(3, 1), (4, 1)]);
}

fn prior(tree_size: u64) -> Prior {
    Prior {
        log: LogId::of_origin(ORIGIN),
        digest: [1; 32],
        first_index: 0,
        records: vec![leaf_hash(b"a"); 1],
        tree_size,
    }
}

#[test]
fn what_the_database_remembers_is_answered_again_and_not_appended() {
    // Even a blocked log with a wrong clock owes the receipt of what it appended.
    let mut bench = Bench::start(empty_lock(), None, Some("waiting"), NOW_MS + CLOCK_BEHIND_MAX_MS + 1);
    bench.effects();
    let again = Ask { prior: Some(prior(1)), ..Ask::records(1).key(1) };
    let receipts = bench.answer(again, NOW_MS).expect("receipts");
    assert_eq!((receipts.first_index, receipts.tree_size, receipts.records), (0, 1, prior(1).records));
    let other = Ask { prior: Some(prior(1)), ..Ask::records(1).key(1).digest(9) };
    assert_eq!(bench.answer(other, NOW_MS), Err(SubmitError::KeyReused));
}

#[test]
fn a_retry_after_a_crash_waits_for_the_lock_that_the_crash_prevented() {
    let mut before = Bench::new();
    before.effects();
    before.send(Ask::records(1).key(1), NOW_MS);
    let batch = written(&before.effects()).expect("a batch");
    let after = Frontier::from_parts(1, batch.frontier.clone()).expect("one leaf");

    let mut bench = Bench::start(empty_lock(), Some((batch.entries.clone(), after)), None, NOW_MS);
    let effects = bench.effects();
    assert!(
        matches!(effects[..], [Effect::Publish(_), Effect::WriteLock { .. }]),
        "signed at once: {effects:?}"
    );
    bench.send(Ask { prior: Some(prior(1)), ..Ask::records(1).key(1) }, NOW_MS);
    assert!(answers(&bench.effects()).is_empty(), "nothing leaves before the lock");
    let appended = bench.own.lock_written(NOW_MS, &mut bench.out).expect("under way");
    assert_eq!(appended.entries, batch.entries);
    let effects = bench.effects();
    assert!(matches!(&answers(&effects)[..], [(1, Ok(receipts))] if receipts.tree_size == 1));
}

#[test]
fn a_replicated_receipt_waits_for_distinct_members_with_this_very_root() {
    let mut bench = Bench::new();
    bench.effects();
    let request = bench.send(Ask::records(1).ack(Ack::Replicated(2)), NOW_MS);
    let batch = written(&bench.effects()).expect("a batch");
    let effects = bench.store(&batch, NOW_MS);
    assert!(answers(&effects).is_empty());
    let (size, root) = root_of(&effects);
    let (south, east) = (member("south"), member("east"));
    assert!(
        !bench.own.stored(&south, size, &Root::new([0; 32]), &mut bench.out),
        "a foreign root counts for nothing"
    );
    assert!(
        !bench.own.stored(&south, size + 1, &root, &mut bench.out),
        "nor does a size that was never signed"
    );
    for _ in 0..2 {
        assert!(bench.own.stored(&south, size, &root, &mut bench.out));
        assert!(answers(&bench.effects()).is_empty(), "one member is one disk");
    }
    assert!(bench.own.stored(&east, size, &root, &mut bench.out));
    let answered = answers(&bench.effects());
    assert!(matches!(&answered[..], [(number, Ok(receipts))]
        if *number == request && receipts.ack == Ack::Replicated(2) && receipts.tree_size == size));
}

#[test]
fn of_a_group_only_its_members_hold_what_a_record_says() {
    let mut bench = Bench::new();
    bench.effects();
    let of_group = |ack| Ask { group: 1, ..Ask::records(1).ack(ack) };
    let too_many = bench.answer(of_group(Ack::Replicated(2)), NOW_MS);
    assert_eq!(too_many, Err(SubmitError::TooFewMembers { asked: 2, others: 1 }));
    bench.send(of_group(Ack::Replicated(1)), NOW_MS);
    let batch = written(&bench.effects()).expect("a batch");
    let EntryLeaf::Known(leaf) = read_leaf(&batch.entries[0].leaf, &batch.log, 0) else { panic!("a leaf") };
    assert_eq!(leaf.group, 1);
    let (size, root) = root_of(&bench.store(&batch, NOW_MS));
    assert!(bench.own.stored(&member("east"), size, &root, &mut bench.out));
    assert!(answers(&bench.effects()).is_empty(), "it holds the leaf alone");
    assert!(bench.own.stored(&member("south"), size, &root, &mut bench.out));
    assert!(matches!(&answers(&bench.effects())[..], [(2, Ok(_))]));
}

#[test]
fn a_later_head_confirms_earlier_entries_too() {
    let mut bench = Bench::new();
    bench.effects();
    bench.send(Ask::records(1).ack(Ack::Replicated(1)), NOW_MS);
    let batch = written(&bench.effects()).expect("a batch");
    bench.store(&batch, NOW_MS);
    let (size, root) = root_of(&bench.append_one(NOW_MS + CHECKPOINT_INTERVAL_MS));
    assert!(bench.own.stored(&member("south"), size, &root, &mut bench.out));
    assert_eq!(answers(&bench.effects()).len(), 1);
}

#[test]
fn a_wait_for_other_disks_ends_in_time_and_a_retry_waits_on() {
    let mut bench = Bench::new();
    bench.effects();
    bench.send(Ask::records(1).key(1).ack(Ack::Replicated(2)), NOW_MS);
    let batch = written(&bench.effects()).expect("a batch");
    let (size, root) = root_of(&bench.store(&batch, NOW_MS));
    bench.own.stored(&member("south"), size, &root, &mut bench.out);
    bench.own.tick(NOW_MS + REPLICATION_TIMEOUT_MS - 1, &mut bench.out);
    assert!(answers(&bench.effects()).is_empty());
    let late_ms = NOW_MS + REPLICATION_TIMEOUT_MS;
    bench.own.tick(late_ms, &mut bench.out);
    assert_eq!(answers(&bench.effects()), [(1, Err(SubmitError::NotYetReplicated { stored: 1, asked: 2 }))]);

    let again = Ask { prior: Some(prior(size)), ..Ask::records(1).key(1).ack(Ack::Replicated(2)) };
    bench.send(again, late_ms);
    assert!(answers(&bench.effects()).is_empty());
    bench.own.stored(&member("east"), size, &root, &mut bench.out);
    assert!(matches!(&answers(&bench.effects())[..], [(2, Ok(_))]));
}

#[test]
fn the_number_of_waits_for_other_disks_is_bounded() {
    let mut bench = Bench::new();
    bench.effects();
    let again = || Ask { prior: Some(prior(0)), ..Ask::records(1).ack(Ack::Replicated(1)) };
    for _ in 0..AWAITING_REPLICAS_MAX {
        bench.send(again(), NOW_MS);
    }
    assert!(answers(&bench.effects()).is_empty());
    assert_eq!(bench.answer(again(), NOW_MS), Err(SubmitError::NotYetReplicated { stored: 0, asked: 1 }));
}

#[test]
fn nothing_is_signed_when_the_database_gives_back_something_else() {
    type Damage = fn(&mut Vec<Vec<u8>>);
    let cases: [(Damage, u64); 5] = [
        (|leaves| leaves[1][40] ^= 1, 1),
        (|leaves| drop(leaves.pop()), 2),
        (|leaves| leaves.push(vec![0; 136]), 3),
        (|leaves| leaves.swap(0, 2), 0),
        (Vec::clear, 0),
    ];
    for (damage, index) in cases {
        let mut bench = Bench::new();
        bench.effects();
        bench.send(Ask::records(3), NOW_MS);
        let mut read = leaves(&written(&bench.effects()).expect("a batch"));
        damage(&mut read);
        let stopped = bench.own.written(&read, &mut bench.out);
        assert_eq!(stopped, Err(StopReason::ReadBack { origin: ORIGIN.to_owned(), index }));
        assert!(bench.effects().is_empty(), "no lock, no note");
    }
}

#[test]
fn a_lock_that_nobody_asked_for_stops_the_node() {
    let mut bench = Bench::new();
    assert!(matches!(bench.own.lock_written(NOW_MS, &mut bench.out), Err(StopReason::Internal(_))));
    bench.send(Ask::records(1), NOW_MS);
    assert!(
        matches!(bench.own.lock_written(NOW_MS, &mut bench.out), Err(StopReason::Internal(_))),
        "not written yet"
    );
}

#[test]
fn a_note_of_ours_that_we_did_not_sign_stops_the_node() {
    let mut bench = Bench::new();
    let (size, root) = root_of(&bench.append_one(NOW_MS));
    let origin = ORIGIN.to_owned();
    let foreign = Root::new([0; 32]);
    assert_eq!(bench.own.check_seen(0, &empty_root()), Ok(()));
    assert_eq!(bench.own.check_seen(size, &root), Ok(()));
    let contradicts = StopReason::OwnNoteContradicts { origin: origin.clone(), size };
    assert_eq!(bench.own.check_seen(size, &foreign), Err(contradicts));
    let ahead = StopReason::OwnNoteAhead { origin: origin.clone(), seen: 2, signed: 1 };
    assert_eq!(bench.own.check_seen(2, &foreign), Err(ahead.clone()));

    // While the lock of size 2 is being written, only its own root is ours.
    bench.send(Ask::records(1), NOW_MS + CHECKPOINT_INTERVAL_MS);
    let batch = written(&bench.effects()).expect("a batch");
    assert_eq!(bench.own.check_seen(2, &foreign), Err(ahead), "nothing is signed before the read-back");
    bench.own.written(&leaves(&batch), &mut bench.out).expect("equal");
    let effects = bench.effects();
    let [Effect::WriteLock { lock, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(bench.own.check_seen(2, &lock.root), Ok(()));
    let contradicts = StopReason::OwnNoteContradicts { origin, size: 2 };
    assert_eq!(bench.own.check_seen(2, &foreign), Err(contradicts));
}
