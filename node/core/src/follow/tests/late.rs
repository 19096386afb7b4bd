//! Payloads that did not come with their leaves.

use super::*;
use crate::effect::PayloadBatch;
use hashpact_protocol::wire::PayloadsRequest;

/// The follower holds `size` leaves and none of their payloads.
fn without_payloads(author: &AuthorLog, peers: u8) -> Bench {
    let size = author.entries.len() as u64;
    let mut bare = AuthorLog { entries: author.entries.clone() };
    for entry in &mut bare.entries {
        entry.payload = WirePayload::NotHere;
    }
    let mut bench = Bench::new();
    for number in 1..=peers {
        bench.hear(peer(number), number == 1, &author.note(size), NOW_MS).expect("valid");
    }
    bench.fetched(bare.chunk(0, size, size), NOW_MS).expect("proven");
    assert_eq!(bench.written(NOW_MS).completed, None, "not without the payloads");
    bench
}

/// Answers what the database was asked, and gives back the request that follows.
fn find(
    bench: &mut Bench,
    author: &AuthorLog,
    missing: &[u64],
) -> Option<(RequestId, Peer, PayloadsRequest)> {
    bench.absorb();
    let at = bench.effects.iter().position(|effect| matches!(effect, Effect::FindMissing { .. }))?;
    let Effect::FindMissing { after, count_max, .. } = bench.effects.remove(at) else { return None };
    let found = missing.iter().filter(|index| after.is_none_or(|after| **index > after)).take(count_max);
    let found = found
        .map(|index| MissingEntry { index: *index, leaf: author.entries[*index as usize].leaf.clone() })
        .collect();
    bench.log.found_missing(found, NOW_MS, &mut bench.out);
    request(bench)
}

fn request(bench: &mut Bench) -> Option<(RequestId, Peer, PayloadsRequest)> {
    bench.absorb();
    let is_ours = |effect: &Effect| matches!(effect, Effect::Send { request: Request::Payloads(_), .. });
    let at = bench.effects.iter().position(is_ours)?;
    match bench.effects.remove(at) {
        Effect::Send { peer, request_id, request: Request::Payloads(request) } => {
            Some((request_id, peer, request))
        }
        _ => None,
    }
}

fn payload_batch(bench: &mut Bench) -> Option<PayloadBatch> {
    bench.absorb();
    let at = bench.effects.iter().position(|effect| matches!(effect, Effect::WritePayloads(_)))?;
    match bench.effects.remove(at) {
        Effect::WritePayloads(batch) => Some(batch),
        _ => None,
    }
}

fn payloads(author: &AuthorLog, indexes: &[u64]) -> Vec<WirePayload> {
    indexes.iter().map(|index| author.entries[*index as usize].payload.clone()).collect()
}

#[test]
fn a_payload_is_asked_of_one_peer_after_the_other_and_possession_is_told_when_all_are_here() {
    let author = AuthorLog::of(3);
    let mut bench = without_payloads(&author, 3);
    assert_eq!(bench.log.payloads_missing(), 3);
    let (first, from, asked) = find(&mut bench, &author, &[0, 1, 2]).expect("a request");
    assert_eq!((from, asked.indexes.as_slice()), (peer(1), [0, 1, 2].as_slice()), "the author first");
    let none = vec![WirePayload::NotHere, WirePayload::Erased, WirePayload::Withheld];
    assert_eq!(bench.payloads_answered(first, none, NOW_MS), None);
    let (second, from, asked) = request(&mut bench).expect("somebody else");
    assert_ne!(from, peer(1));
    // Half of it, cut by its length: the rest is asked of the same peer, after what came is on disk.
    assert_eq!(bench.payloads_answered(second, payloads(&author, &asked.indexes[..2]), NOW_MS), None);
    let batch = payload_batch(&mut bench).expect("a batch");
    assert_eq!(batch.payloads.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1]);
    let arrived = bench.late_written(batch.id).expect("ours");
    assert!(arrived.news == News::Payloads && arrived.completed.is_none());
    assert_eq!((arrived.entries.len(), bench.log.payloads_missing()), (2, 1));
    let (third, again, asked) = request(&mut bench).expect("the rest");
    assert_eq!((again, asked.indexes.as_slice()), (from, [2].as_slice()));
    bench.payloads_answered(third, payloads(&author, &[2]), NOW_MS);
    let batch = payload_batch(&mut bench).expect("a batch");
    let arrived = bench.late_written(batch.id).expect("ours");
    assert_eq!(arrived.completed, Some((3, author.tree(3).root())), "now it can be confirmed");
    assert_eq!((find(&mut bench, &author, &[]), request(&mut bench)), (None, None), "nothing is left to ask");
}

#[test]
fn a_false_payload_is_a_fault_and_what_came_with_it_is_kept() {
    let author = AuthorLog::of(3);
    let mut bench = without_payloads(&author, 2);
    let (first, from, _) = find(&mut bench, &author, &[0, 1, 2]).expect("a request");
    let mut given = payloads(&author, &[0, 1, 2]);
    given[1] = WirePayload::Present { salt: [0; 32], padded: vec![0; 128] };
    let fault = bench.payloads_answered(first, given, NOW_MS);
    assert_eq!(fault, Some(Fault { peer: from, error: ChunkError::Payload { index: 1 } }));
    let batch = payload_batch(&mut bench).expect("the good one");
    assert_eq!(batch.payloads.len(), 1);
    bench.late_written(batch.id);
    let (_, other, asked) = request(&mut bench).expect("somebody else");
    assert_ne!(other, from);
    assert_eq!(asked.indexes, [1, 2]);

    for given in [Vec::new(), vec![WirePayload::NotHere; 4]] {
        let mut bench = without_payloads(&author, 1);
        let (request, from, _) = find(&mut bench, &author, &[0, 1, 2]).expect("a request");
        let sent = given.len();
        let fault = bench.payloads_answered(request, given, NOW_MS);
        assert_eq!(fault, Some(Fault { peer: from, error: ChunkError::Payloads { sent, asked: 3 } }));
    }
}

#[test]
fn payloads_that_nobody_has_are_asked_for_ever_more_seldom() {
    let author = AuthorLog::of(2);
    let mut bench = without_payloads(&author, 1);
    let (mut now_ms, mut rests) = (NOW_MS, Vec::new());
    for _ in 0..12 {
        let (request, ..) = find(&mut bench, &author, &[1]).expect("a round");
        bench.payloads_answered(request, vec![WirePayload::NotHere], now_ms);
        bench.absorb();
        let at = bench
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::FindMissing { after: Some(1), .. }));
        bench.effects.remove(at.expect("asks what comes after"));
        bench.log.found_missing(Vec::new(), now_ms, &mut bench.out);
        let mut rest_ms = 0;
        while !bench.effects.iter().any(|effect| matches!(effect, Effect::FindMissing { .. })) {
            rest_ms += 1_000;
            bench.log.poll(now_ms + rest_ms, &mut bench.out);
            bench.absorb();
        }
        rests.push(rest_ms);
        now_ms += rest_ms;
    }
    assert!(rests.is_sorted() && rests[0] >= MISSING_REST_FIRST_MS, "{rests:?}");
    assert_eq!(rests.last(), Some(&MISSING_REST_MAX_MS), "{rests:?}");
}

#[test]
fn a_lost_peer_and_a_new_one_are_taken_into_account() {
    let author = AuthorLog::of(2);
    let mut bench = without_payloads(&author, 2);
    let (_, from, _) = find(&mut bench, &author, &[0, 1]).expect("a request");
    bench.log.lost(&from, NOW_MS, &mut bench.out);
    let (second, other, asked) = request(&mut bench).expect("the other");
    assert_ne!(other, from);
    assert_eq!(asked.indexes, [0, 1]);
    bench.log.fetch_failed(second, NOW_MS, &mut bench.out);
    assert_eq!(find(&mut bench, &author, &[0, 1]), None, "the end of the list");
    bench.hear(peer(3), false, &author.note(2), NOW_MS).expect("valid");
    let later = NOW_MS + MISSING_REST_FIRST_MS;
    bench.log.poll(later, &mut bench.out);
    let (_, third, _) = find(&mut bench, &author, &[0, 1]).expect("asked again");
    assert_ne!(third, from, "who is gone is not asked");
}

#[test]
fn an_answer_of_the_wrong_kind_answers_nothing_and_stops_nothing() {
    let author = AuthorLog::of(2);
    let mut bench = without_payloads(&author, 2);
    let (first, from, _) = find(&mut bench, &author, &[0, 1]).expect("a request");
    assert_eq!(bench.late_range(first, author.chunk(0, 2, 2)), None);
    let (_, other, _) = request(&mut bench).expect("somebody else is asked");
    assert_ne!(other, from);
}

/// A peer may honestly hold the other history of a forked log: what stands there at the same index is no lie.
#[test]
fn nobody_is_blamed_for_a_payload_of_leaves_that_may_be_others() {
    let author = AuthorLog::of(3);
    let mut bench = without_payloads(&author, 1);
    bench.hear(peer(2), false, &author.note(2), NOW_MS).expect("valid");
    let (first, from, _) = find(&mut bench, &author, &[0, 1, 2]).expect("a request");
    assert_eq!(from, peer(1));
    let other = WirePayload::Present { salt: [0; 32], padded: vec![0; 128] };
    // What it offered ends before the leaf, so it never said that it has the one that is held here.
    bench.late_payloads(first, vec![WirePayload::NotHere; 3]);
    let (second, from, asked) = request(&mut bench).expect("the other peer");
    assert_eq!((from, asked.indexes.as_slice()), (peer(2), [0, 1, 2].as_slice()));
    let mut given = payloads(&author, &[0, 1, 2]);
    given[2] = other;
    assert_eq!(bench.late_payloads(second, given), None);
    let batch = payload_batch(&mut bench).expect("what proved itself");
    assert_eq!(batch.payloads.len(), 2);
    bench.rest_written(batch.id);
    assert_eq!(request(&mut bench), None, "it is not asked for the rest at once");
}

impl Bench {
    fn barred(&mut self) -> (&mut FollowedLog, Barred<'_>, &mut Out) {
        let Self { view, members, mine, .. } = self;
        let barred = Barred { view, members, mine, now_ms: NOW_MS };
        (&mut self.log, barred, &mut self.out)
    }

    fn late_range(&mut self, request: RequestId, chunk: RangeChunk) -> Option<Fault> {
        let (log, barred, out) = self.barred();
        log.fetched(request, chunk, &barred, out)
    }

    fn late_payloads(&mut self, request: RequestId, payloads: Vec<WirePayload>) -> Option<Fault> {
        let (log, barred, out) = self.barred();
        log.payloads_answered(request, payloads, &barred, out)
    }

    fn rest_written(&mut self, write: u64) {
        let (log, barred, out) = self.barred();
        log.written(write, &barred, out);
    }
}
