//! What is taken, what is refused, and how submissions share a batch.

use super::*;

#[test]
fn a_record_goes_through_write_lock_publish_and_receipt_in_this_order() {
    let mut bench = Bench::new();
    bench.effects();
    let request = bench.send(Ask::records(2).key(5), NOW_MS);
    let effects = bench.effects();
    let batch = written(&effects).expect("a batch");
    assert!(answers(&effects).is_empty() && batch.read_back);
    assert_eq!((batch.start, batch.entries.len(), batch.note.clone()), (0, 2, None));
    assert_eq!(batch.idempotency.len(), 1);
    assert_eq!((batch.idempotency[0].count, batch.idempotency[0].tree_size), (2, 2));
    assert_eq!(bench.own.size(), 0, "not visible before the lock");

    bench.own.written(&leaves(&batch), &mut bench.out).expect("equal");
    let effects = bench.effects();
    let [Effect::WriteLock { write, lock }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((*write, lock.generation, lock.size), (batch.id, 5, 2));
    let signed = SignedCheckpoint::verify(&lock.note, ORIGIN, &key().public()).expect("our signature");
    assert_eq!((signed.size(), signed.root()), (2, lock.root));
    assert_eq!(bench.own.size(), 0, "not visible before the lock is synced");

    let appended = bench.own.lock_written(NOW_MS, &mut bench.out).expect("under way");
    assert_eq!((appended.start, appended.entries.len()), (0, 2));
    let effects = bench.effects();
    let [Effect::Publish(head), Effect::Answer { request: answered, answer }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((*answered, head.size, head.root), (request, 2, lock.root));
    let receipts = answer.as_ref().expect("receipts");
    let ids: Vec<LeafHash> = leaves(&batch).iter().map(|leaf| leaf_hash(leaf)).collect();
    assert_eq!((receipts.first_index, receipts.tree_size, &receipts.records), (0, 2, &ids));
}

#[test]
fn what_arrives_during_a_batch_forms_the_next_and_not_before_its_time() {
    let mut bench = Bench::new();
    bench.effects();
    bench.send(Ask::records(1), NOW_MS);
    let first = written(&bench.effects()).expect("a batch");
    for at in 0..3 {
        bench.send(Ask::records(2), NOW_MS + at);
    }
    assert!(bench.effects().is_empty(), "one batch is under way at a time");
    let effects = bench.store(&first, NOW_MS + 20);
    assert!(written(&effects).is_none());
    let due_ms = timer(&effects).expect("the next batch has its time");
    assert_eq!(due_ms, NOW_MS + CHECKPOINT_INTERVAL_MS);

    bench.own.form_batch(due_ms - 1, &mut bench.out);
    assert_eq!(timer(&bench.effects()), Some(due_ms), "a timer that fires early waits on");
    bench.own.form_batch(due_ms, &mut bench.out);
    let second = written(&bench.effects()).expect("a batch");
    assert_eq!((second.start, second.entries.len()), (1, 6));
    let answered: Vec<(u64, u64, u64)> = answers(&bench.store(&second, due_ms))
        .into_iter()
        .map(|(request, answer)| {
            answer.map(|got| (request, got.first_index, got.tree_size)).expect("receipts")
        })
        .collect();
    assert_eq!(answered, [(2, 1, 7), (3, 3, 7), (4, 5, 7)]);
}

#[test]
fn a_clock_that_went_back_does_not_hold_a_batch_up() {
    let mut bench = Bench::new();
    bench.append_one(NOW_MS);
    bench.send(Ask::records(1), NOW_MS - 60_000);
    let batch = written(&bench.effects()).expect("formed at once");
    assert_eq!(leaf_at(&batch, 0).time_ms, NOW_MS, "claimed time never decreases");
}

#[test]
fn the_queue_takes_exactly_its_bound_and_a_batch_exactly_its_own() {
    let mut bench = Bench::new();
    bench.effects();
    bench.send(Ask::records(1), NOW_MS);
    let first = written(&bench.effects()).expect("a batch");
    for _ in 0..QUEUED_ENTRIES_MAX / RECORDS_PER_CALL_MAX {
        bench.send(Ask::records(RECORDS_PER_CALL_MAX), NOW_MS);
    }
    assert!(answers(&bench.effects()).is_empty(), "the bound itself is taken");
    let refused = bench.answer(Ask::records(1), NOW_MS);
    assert_eq!(refused, Err(SubmitError::Busy { queued: QUEUED_ENTRIES_MAX, max: QUEUED_ENTRIES_MAX }));

    let effects = bench.store(&first, NOW_MS + CHECKPOINT_INTERVAL_MS);
    let second = written(&effects).expect("a batch");
    assert_eq!(second.entries.len(), BATCH_ENTRIES_MAX);
    bench.send(Ask::records(RECORDS_PER_CALL_MAX), NOW_MS);
    assert!(answers(&bench.effects()).is_empty(), "there is room again");
}

#[test]
fn a_call_is_refused_whole_before_anything_is_queued() {
    let with = |ask: Ask| Bench::new().answer_after_start(ask);
    assert_eq!(with(Ask::records(0)), Err(SubmitError::Empty));
    let many = RECORDS_PER_CALL_MAX + 1;
    assert_eq!(
        with(Ask::records(many)),
        Err(SubmitError::TooMany { count: many, max: RECORDS_PER_CALL_MAX })
    );
    let three = Ask::records(1).ack(Ack::Replicated(3));
    assert_eq!(with(three), Err(SubmitError::TooFewMembers { asked: 3, others: 2 }));

    let mut bench = Bench::new();
    bench.effects();
    let submit = Submit {
        request: 1,
        drafts: vec![Draft::Content(content(1))],
        group: 0,
        salts: Vec::new(),
        key: None,
        digest: [0; 32],
        prior: None,
        ack: Ack::Local,
    };
    bench.own.submit(submit, &bench.view, NOW_MS, &mut bench.out);
    assert_eq!(answers(&bench.effects()), [(1, Err(SubmitError::Salts { salts: 0, drafts: 1 }))]);
    assert_eq!(bench.own.queued_entries, 0);
}

impl Bench {
    fn answer_after_start(mut self, ask: Ask) -> Result<Receipts, SubmitError> {
        self.effects();
        self.answer(ask, NOW_MS)
    }

    /// Folds another author's or our own record, as if it had become visible.
    fn known(&mut self, author: &str, index: u64, record: &Record, subject: Option<LeafHash>) -> LeafHash {
        let origin = format!("test-0000000000000000/{author}/1");
        let author = Author::new(member(author), 1, LogId::of_origin(&origin));
        let header = LeafHeader {
            kind: record.kind(),
            priority: false,
            index,
            time_ms: NOW_MS,
            roster_version: 7,
            log_id: author.log,
            subject,
            group: 0,
        };
        let sealed = seal(header, record, [3; 32]).expect("valid");
        let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
        self.view.fold(&author, index, &sealed.leaf_bytes, &payload);
        leaf_hash(&sealed.leaf_bytes)
    }
}

#[test]
fn only_the_author_retracts_and_only_others_judge() {
    let mut bench = Bench::new();
    bench.effects();
    let theirs = bench.known("south", 0, &Record::Content(content(1)), None);
    let ours = bench.known("north", 0, &Record::Content(content(2)), None);
    let gone = bench.known("north", 1, &Record::Content(content(3)), None);
    let place = SubjectRef { log: LogId::of_origin(ORIGIN), index: 1 };
    let withdrawal = Record::Retraction(Retraction::new(place, RetractionReason::Error));
    bench.known("north", 2, &withdrawal, Some(gone));
    let unknown = leaf_hash(b"nowhere");
    let opinion = |subject| Draft::Opinion { subject, opinion: OpinionValue::Agree, reason: None };
    let retraction = |subject| Draft::Retraction { subject, reason: RetractionReason::Error };
    let cases = [
        (opinion(unknown), SubmitError::UnknownRecord(unknown)),
        (opinion(ours), SubmitError::OwnRecord(ours)),
        (retraction(unknown), SubmitError::UnknownRecord(unknown)),
        (retraction(theirs), SubmitError::NotAuthor { record: theirs, author: "south".to_owned() }),
        (retraction(gone), SubmitError::AlreadyRetracted(gone)),
    ];
    for (draft, expected) in cases {
        let ask = Ask::drafts(vec![Draft::Content(content(8)), draft]);
        assert_eq!(bench.answer(ask, NOW_MS), Err(expected), "all or none");
        assert_eq!(bench.own.queued_entries, 0);
    }

    let judge =
        Draft::Opinion { subject: theirs, opinion: OpinionValue::Disagree, reason: Some(Reason::Adult) };
    bench.send(Ask::drafts(vec![judge, retraction(ours)]), NOW_MS);
    let batch = written(&bench.effects()).expect("a batch");
    let (judged, withdrawn) = (leaf_at(&batch, 0), leaf_at(&batch, 1));
    assert_eq!((judged.kind, judged.subject, judged.priority), (Kind::Opinion, Some(theirs), false));
    assert_eq!((withdrawn.kind, withdrawn.subject, withdrawn.priority), (Kind::Retraction, Some(ours), true));
}

#[test]
fn a_clock_far_behind_the_last_entry_refuses_and_one_at_the_bound_does_not() {
    let last_ms = NOW_MS + CLOCK_BEHIND_MAX_MS;
    let mut bench = Bench::start(empty_lock(), None, None, last_ms);
    bench.effects();
    let refused = bench.answer(Ask::records(1), NOW_MS - 1);
    assert_eq!(refused, Err(SubmitError::ClockBehind { behind_ms: CLOCK_BEHIND_MAX_MS + 1 }));
    bench.send(Ask::records(1), NOW_MS);
    let batch = written(&bench.effects()).expect("taken");
    assert_eq!(leaf_at(&batch, 0).time_ms, last_ms);
}

#[test]
fn a_blocked_log_refuses_until_it_is_cleared() {
    let mut bench = Bench::start(empty_lock(), None, Some("waiting"), 0);
    bench.effects();
    assert_eq!(bench.answer(Ask::records(1), NOW_MS), Err(SubmitError::NotCleared("waiting")));
    bench.own.tick(NOW_MS, &mut bench.out);
    bench.own.clear(NOW_MS, &mut bench.out);
    assert!(bench.effects().is_empty(), "what was refused is not kept");
    bench.send(Ask::records(1), NOW_MS);
    assert!(written(&bench.effects()).is_some());
}
