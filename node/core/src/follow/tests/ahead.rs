//! Priority entries ahead of the log's end: what is asked for, what is believed, and the bounds.

use super::*;
use crate::effect::AheadBatch;
use crate::limits::{OVERTAKING_LISTED_MAX, OVERTAKING_PATIENCE_MS};
use hashpact_protocol::digest::LeafHash;
use hashpact_protocol::merkle::{HashReader, consistency_proof, inclusion_proof};
use hashpact_protocol::record::{Retraction, RetractionReason, SubjectRef};
use hashpact_protocol::wire::bounds::ENTRIES_ASKED_MAX;
use hashpact_protocol::wire::{EntriesAnswer, EntriesRequest, ProvenEntry};
use std::convert::Infallible;

impl HashReader for AuthorLog {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Infallible> {
        let leaves: Vec<NodeHash> = self.entries.iter().map(|entry| leaf_hash(&entry.leaf).into()).collect();
        let (width, from) = (1 << level, (index as usize) << level);
        Ok(complete_root(&leaves[from..from + width]))
    }
}

impl AuthorLog {
    /// A log whose entries at these places are retractions that overtake.
    fn with_urgent(size: u64, urgent_at: impl IntoIterator<Item = u64>) -> Self {
        let mut log = Self::of(size);
        for index in urgent_at {
            log.entries[index as usize] = urgent(index, true);
        }
        log
    }

    fn prove(&self, old: u64, size: u64, indexes: &[u64]) -> EntriesAnswer {
        let bytes = |hashes: Vec<NodeHash>| hashes.iter().map(|hash| *hash.as_bytes()).collect();
        let entries = indexes.iter().map(|index| ProvenEntry {
            entry: self.entries[*index as usize].clone(),
            inclusion: bytes(inclusion_proof(self, *index, size).expect("below the size")),
        });
        let consistency = consistency_proof(self, old, size).expect("in order");
        EntriesAnswer { consistency: bytes(consistency), entries: entries.collect() }
    }
}

fn urgent(index: u64, priority: bool) -> WireEntry {
    let log_id = LogId::of_origin(ORIGIN);
    let record =
        Record::Retraction(Retraction::new(SubjectRef { log: log_id, index: 0 }, RetractionReason::Error));
    let header = LeafHeader {
        kind: record.kind(),
        priority,
        index,
        time_ms: NOW_MS,
        roster_version: 1,
        log_id,
        subject: Some(LeafHash::new([1; 32])),
        group: 0,
    };
    let sealed = seal(header, &record, [4; 32]).expect("valid");
    let payload = WirePayload::Present { salt: sealed.salt, padded: sealed.padded };
    WireEntry { leaf: sealed.leaf_bytes.to_vec(), payload }
}

impl Bench {
    /// Single entries that were just asked for.
    fn asked_ahead(&mut self) -> Vec<(RequestId, Peer, EntriesRequest)> {
        self.absorb();
        let mut asked = Vec::new();
        self.effects.retain(|effect| match effect {
            Effect::Send { peer, request_id, request: Request::Entries(ask) } => {
                asked.push((*request_id, *peer, ask.clone()));
                false
            }
            _ => true,
        });
        asked
    }

    fn ahead_batch(&mut self) -> Option<AheadBatch> {
        self.absorb();
        let at = self.effects.iter().position(|effect| matches!(effect, Effect::WriteAhead(_)))?;
        let Effect::WriteAhead(batch) = self.effects.remove(at) else { unreachable!("just matched") };
        Some(batch)
    }

    fn list(&mut self, from: Peer, indexes: &[u64], now_ms: u64) {
        self.log.listed(from, indexes, now_ms, &mut self.out);
    }
}

/// Five of a thousand entries are held, and the rest is being asked for.
fn lagging(author: &AuthorLog) -> Bench {
    let mut bench = Bench::new();
    let size = author.entries.len() as u64;
    bench.hear(peer(1), true, &author.note(size), NOW_MS).expect("valid");
    bench.asked();
    bench.fetched(author.chunk(0, 5, size), NOW_MS).expect("proven");
    assert_eq!(bench.written(NOW_MS).news, News::Next);
    assert_eq!(bench.log.size(), 5);
    bench
}

const URGENT: [u64; 3] = [600, 700, 999];

#[test]
fn what_overtakes_is_proven_stored_and_then_reached() {
    let author = AuthorLog::with_urgent(1_000, URGENT);
    let mut bench = lagging(&author);
    bench.list(peer(1), &[3, 600, 999, 1_000], NOW_MS);
    let asked = bench.asked_ahead();
    let [(request, of, ask)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((*of, ask.old, ask.size), (peer(1), 5, 1_000));
    assert_eq!(ask.indexes, [600, 999], "neither what is held nor what the head does not cover");
    let answer = author.prove(5, 1_000, &ask.indexes);
    assert_eq!(bench.entries_answered(*request, answer), None);
    let batch = bench.ahead_batch().expect("stored before it is shown");
    assert_eq!(bench.log.ahead().count(), 0);
    let followed = bench.late_written(batch.id).expect("ours");
    assert_eq!((followed.news, followed.completed), (News::Ahead, None));
    assert_eq!(followed.entries, batch.entries);
    assert_eq!(bench.log.ahead().collect::<Vec<_>>(), [600, 999]);
    assert_eq!((bench.log.size(), bench.log.held_head()), (5, None), "the prefix alone is held");
    bench.list(peer(1), &[600, 999], NOW_MS + 60_000);
    assert_eq!(bench.asked_ahead(), [], "held already");

    // The log reaches the first of them, from a peer that lacks its payload.
    let mut chunk = author.chunk(5, 650, 1_000);
    chunk.entries[595].payload = WirePayload::NotHere;
    let batch = bench.fetched(chunk, NOW_MS).expect("proven").expect("written");
    assert!(matches!(batch.entries[595].payload, StoredPayload::Present { .. }), "it came ahead");
    bench.written(NOW_MS);
    assert_eq!(bench.log.payloads_missing(), 0);
    assert_eq!(bench.log.ahead().collect::<Vec<_>>(), [999]);
}

#[test]
fn what_is_on_its_way_is_waited_for_and_not_for_ever() {
    let author = AuthorLog::with_urgent(1_000, URGENT);
    let mut bench = Bench::new();
    bench.hear(peer(1), true, &author.note(1_000), NOW_MS).expect("valid");
    bench.list(peer(1), &[600], NOW_MS);
    assert_eq!(bench.asked_ahead(), [], "the part that was asked for covers it");
    bench.log.poll(NOW_MS + OVERTAKING_PATIENCE_MS, &mut bench.out);
    assert_eq!(bench.asked_ahead()[0].2.indexes, [600]);
}

/// Each lie, and the rule that it breaks. Nothing of the answer is stored, and the liar is left alone.
#[test]
fn what_does_not_prove_itself_is_refused() {
    let author = AuthorLog::with_urgent(1_000, URGENT);
    let other = AuthorLog::with_urgent(1_000, [500, 999]);
    let sound = || author.prove(5, 1_000, &[600, 999]);
    let spoilt = |spoil: &dyn Fn(&mut EntriesAnswer)| {
        let mut answer = sound();
        spoil(&mut answer);
        answer
    };
    let root = ChunkError::Root { size: 1_000 };
    let cases: Vec<(EntriesAnswer, ChunkError)> = vec![
        (spoilt(&|answer| answer.entries.clear()), ChunkError::Entries { sent: 0, asked: 2 }),
        (
            spoilt(&|answer| answer.entries.push(answer.entries[0].clone())),
            ChunkError::Entries { sent: 3, asked: 2 },
        ),
        (spoilt(&|answer| answer.consistency[0][7] ^= 1), root),
        (spoilt(&|answer| answer.consistency.truncate(1)), root),
        (spoilt(&|answer| answer.consistency = other.prove(5, 1_000, &[999]).consistency), root),
        (spoilt(&|answer| answer.entries[0].inclusion[0][7] ^= 1), ChunkError::Inclusion { index: 600 }),
        (spoilt(&|answer| answer.entries.swap(0, 1)), ChunkError::Inclusion { index: 600 }),
        (
            spoilt(&|answer| answer.entries[1].entry.leaf = urgent(998, true).leaf),
            ChunkError::Inclusion { index: 999 },
        ),
        (
            spoilt(&|answer| answer.entries[0].entry.leaf = vec![7; 1_025]),
            ChunkError::LeafTooLong { index: 600, len: 1_025 },
        ),
        (
            spoilt(&|answer| {
                answer.entries[1].entry.payload =
                    WirePayload::Present { salt: [0; 32], padded: vec![0; 128] };
            }),
            ChunkError::Payload { index: 999 },
        ),
    ];
    for (answer, expected) in cases {
        let mut bench = lagging(&author);
        // A peer that relays: of the author alone a wrong payload is taken for none.
        bench.hear(peer(2), false, &author.note(1_000), NOW_MS).expect("valid");
        bench.list(peer(2), &[600, 999], NOW_MS);
        let request = bench.asked_ahead()[0].0;
        let fault = bench.entries_answered(request, answer);
        let (fault, head) = fault.unwrap_or_else(|| panic!("{expected} was believed"));
        assert_eq!((fault.peer, fault.error), (peer(2), expected));
        assert_eq!(head.map(|head| head.size()), Some(1_000));
        assert!(bench.ahead_batch().is_none(), "{expected}");
        bench.list(peer(2), &[600, 999], NOW_MS);
        assert_eq!(bench.asked_ahead(), [], "it is left alone for a while");
        bench.list(peer(1), &[600, 999], NOW_MS);
        assert_eq!(bench.asked_ahead().len(), 1, "and another is asked");
    }
}

#[test]
fn what_does_not_ask_to_overtake_is_the_fault_of_who_listed_it() {
    let mut author = AuthorLog::with_urgent(1_000, URGENT);
    author.entries[700] = urgent(700, false);
    for (index, expected) in [(700, true), (800, true), (600, false)] {
        let mut bench = lagging(&author);
        bench.list(peer(1), &[index], NOW_MS);
        let request = bench.asked_ahead()[0].0;
        let answer = author.prove(5, 1_000, &[index]);
        let fault = bench.entries_answered(request, answer);
        let found = fault.map(|(fault, _)| fault.error);
        assert_eq!(found, expected.then_some(ChunkError::NotPriority { index }));
    }
}

#[test]
fn a_flood_is_bounded_by_peer_and_by_quota() {
    let author = AuthorLog::with_urgent(1_000, 100..1_000);
    let mut bench = lagging(&author);
    let all: Vec<u64> = (0..10 * OVERTAKING_LISTED_MAX as u64).collect();
    bench.list(peer(1), &all, NOW_MS);
    let [(request, _, ask)] = bench.asked_ahead().try_into().expect("one question a peer");
    assert_eq!(ask.indexes.len(), 8, "as many as the quota lets be ahead");
    assert!(ask.indexes.len() <= ENTRIES_ASKED_MAX);
    // Junk in front of what is real: these overtake nothing.
    let junk = author.prove(5, 1_000, &ask.indexes);
    let index = ask.indexes[0];
    assert!(index < 100);
    let fault = bench.entries_answered(request, junk);
    assert_eq!(fault.map(|(fault, _)| fault.error), Some(ChunkError::NotPriority { index }));

    let mut bench = lagging(&author);
    bench.list(peer(1), &(100..400).collect::<Vec<_>>(), NOW_MS);
    let (request, _, ask) = bench.asked_ahead().remove(0);
    let answer = author.prove(5, 1_000, &ask.indexes);
    assert_eq!(bench.entries_answered(request, answer), None);
    let batch = bench.ahead_batch().expect("stored");
    bench.late_written(batch.id).expect("ours");
    assert_eq!(bench.log.ahead().count(), 8);
    bench.log.poll(NOW_MS + 60_000, &mut bench.out);
    assert_eq!(bench.asked_ahead(), [], "no more before the log has reached some");
    bench.fetched(author.chunk(5, 105, 1_000), NOW_MS).expect("proven");
    bench.written(NOW_MS + 60_000);
    assert_eq!(bench.log.ahead().count(), 3);
    assert_eq!(bench.asked_ahead()[0].2.indexes.len(), 5);
}

#[test]
fn an_answer_may_bring_less_and_a_lost_peer_is_replaced() {
    let author = AuthorLog::with_urgent(1_000, URGENT);
    let mut bench = lagging(&author);
    bench.list(peer(1), &URGENT, NOW_MS);
    let (request, _, ask) = bench.asked_ahead().remove(0);
    assert_eq!(ask.indexes, URGENT);
    let answer = author.prove(5, 1_000, &URGENT[..1]);
    assert_eq!(bench.entries_answered(request, answer), None);
    assert_eq!(bench.asked_ahead()[0].2.indexes, URGENT[1..], "the rest is asked for again");
    bench.hear(peer(2), false, &author.note(1_000), NOW_MS).expect("valid");
    bench.list(peer(2), &URGENT, NOW_MS);
    assert_eq!(bench.asked_ahead(), [], "one is asked at a time");
    bench.log.lost(&peer(1), NOW_MS, &mut bench.out);
    bench.log.poll(NOW_MS + OVERTAKING_PATIENCE_MS, &mut bench.out);
    assert_eq!(bench.asked_ahead()[0].1, peer(2));
}

#[test]
fn a_frozen_log_looks_for_nothing() {
    let author = AuthorLog::with_urgent(1_000, URGENT);
    let mut bench = lagging(&author);
    bench.list(peer(1), &[600], NOW_MS);
    let (request, ..) = bench.asked_ahead().remove(0);
    bench.log.freeze();
    let answer = author.prove(5, 1_000, &[600]);
    assert_eq!(bench.entries_answered(request, answer), None);
    assert!(bench.ahead_batch().is_none());
    bench.list(peer(1), &[700], NOW_MS);
    assert_eq!(bench.asked_ahead(), []);
}

#[test]
fn nothing_is_looked_for_beyond_a_closure() {
    let author = AuthorLog::with_urgent(1_000, URGENT);
    let mut bench = Bench::closed_at(800, author.tree(800).root());
    bench.hear(peer(1), true, &author.note(1_000), NOW_MS).expect("valid");
    bench.list(peer(1), &URGENT, NOW_MS);
    bench.log.poll(NOW_MS + OVERTAKING_PATIENCE_MS, &mut bench.out);
    let (_, _, ask) = bench.asked_ahead().remove(0);
    assert_eq!((ask.size, ask.indexes.as_slice()), (800, &[600, 700][..]), "what was disowned never acts");
}
