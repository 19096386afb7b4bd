//! Payloads about which an order counts, and peers that say that one does.

use super::*;
use crate::effect::EntryRef;
use hashpact_protocol::record::{
    Erasure, ErasureBasis, ErasureReason, Retraction, RetractionReason, SubjectRef,
};

const DAY_MS: u64 = 86_400_000;

/// Folds a statement about entry `index` of the log that is followed, as the first entry of a log of `member`.
fn state(bench: &mut Bench, author: &AuthorLog, member: &str, index: u64, erases: bool) -> EntryRef {
    let at = bench.view.counts(&log_of(member)).entries();
    let (by, entry) = statement(author, member, at, index, erases);
    bench.view.fold(&by, at, &entry.leaf, &entry.payload);
    EntryRef { log: by.log, index: at }
}

fn log_of(member: &str) -> LogId {
    LogId::of_origin(&format!("test-0000000000000000/{member}/2"))
}

/// Entry `at` of a log of `member`, about entry `index` of the log that is followed.
fn statement(author: &AuthorLog, member: &str, at: u64, index: u64, erases: bool) -> (Author, StoredEntry) {
    let place = SubjectRef { log: LogId::of_origin(ORIGIN), index };
    let record = if erases {
        Record::Erasure(Erasure::new(place, ErasureReason::Error, ErasureBasis::Own))
    } else {
        Record::Retraction(Retraction::new(place, RetractionReason::Error))
    };
    let log = log_of(member);
    let header = LeafHeader {
        kind: record.kind(),
        priority: true,
        index: at,
        time_ms: NOW_MS,
        roster_version: 1,
        log_id: log,
        subject: Some(leaf_hash(&author.entries[index as usize].leaf)),
        group: 0,
    };
    let sealed = seal(header, &record, [5; 32]).expect("valid");
    let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
    let by = Author::new(MemberId::parse(member).expect("valid"), 2, log);
    (by, StoredEntry { leaf: sealed.leaf_bytes.to_vec(), payload })
}

fn claim(by: EntryRef) -> WirePayload {
    WirePayload::ErasedBy { log: *by.log.as_bytes(), index: by.index }
}

/// The payloads of the first three entries as they are stored when a relay serves them.
fn stored(bench: &mut Bench, author: &AuthorLog) -> Result<Vec<StoredPayload>, ChunkError> {
    bench.hear(peer(2), false, &author.note(3), NOW_MS).expect("a head");
    bench.asked();
    let batch = bench.fetched(author.chunk(0, 3, 3), NOW_MS)?.expect("a batch");
    Ok(batch.entries.into_iter().map(|entry| entry.payload).collect())
}

#[test]
fn a_payload_that_comes_after_its_order_is_dropped() {
    let author = AuthorLog::of(3);
    let mut bench = Bench::new();
    let by = state(&mut bench, &author, "north", 1, true);
    state(&mut bench, &author, "east", 2, true);
    let payloads = stored(&mut bench, &author).expect("sound");
    assert_eq!(payloads[1], StoredPayload::ErasedBy { by });
    for other in [0, 2] {
        assert!(matches!(payloads[other], StoredPayload::Present { .. }), "no order counts for {other}");
    }
}

#[test]
fn an_order_that_overtook_the_backlog_bars_what_the_backlog_brings() {
    let author = AuthorLog::of(3);
    let mut bench = Bench::new();
    let (by, order) = statement(&author, "north", 40, 1, true);
    bench.view.fold_ahead(&by, 40, &order.leaf, &order.payload);
    assert_eq!(bench.view.counts(&by.log).entries(), 0, "its log has not reached it");
    let payloads = stored(&mut bench, &author).expect("sound");
    assert_eq!(payloads[1], StoredPayload::ErasedBy { by: EntryRef { log: by.log, index: 40 } });
    assert!(matches!(payloads[0], StoredPayload::Present { .. }));
}

#[test]
fn a_relay_cannot_suppress_a_payload_with_an_order_that_we_do_not_have_or_that_does_not_exist() {
    let mut author = AuthorLog::of(3);
    let unknown = EntryRef { log: LogId::new([7; 32]), index: 5 };
    author.entries[1].payload = claim(unknown);
    let mut bench = Bench::new();
    let payloads = stored(&mut bench, &author).expect("it may exist");
    assert_eq!(payloads[1], StoredPayload::NotHere, "asked for until the order is here");
    bench.written(NOW_MS);
    assert_eq!(bench.log.payloads_missing(), 1);

    // An order that we hold, about something else.
    let mut author = AuthorLog::of(3);
    let mut bench = Bench::new();
    let by = state(&mut bench, &author, "north", 2, true);
    author.entries[1].payload = claim(by);
    let payloads = stored(&mut bench, &author).expect("of another history of that log it may be true");
    assert_eq!(payloads[1], StoredPayload::NotHere);
}

#[test]
fn a_retraction_is_a_reason_once_its_retention_is_over() {
    let mut author = AuthorLog::of(3);
    let mut bench = Bench::new();
    let by = state(&mut bench, &author, "north", 1, false);
    author.entries[1].payload = claim(by);
    let payloads = stored(&mut bench, &author).expect("sound");
    assert_eq!(payloads[1], StoredPayload::NotHere, "others must still have it");
    bench.written(NOW_MS);
    let barred = Barred {
        view: &bench.view,
        members: &bench.members,
        now_ms: NOW_MS + 90 * DAY_MS,
        mine: &bench.mine,
    };
    let leaf = &author.entries[1].leaf;
    assert_eq!(barred.judge(leaf, true), Some(StoredPayload::ErasedBy { by }));
    assert_eq!(barred.judge(leaf, false), None, "a payload that comes is kept until we destroy it");
    // The order comes while the payload is looked for.
    bench.log.note_erased(1, PayloadState::NotHere, PayloadState::Erased);
    assert_eq!(bench.log.payloads_missing(), 0);
}
