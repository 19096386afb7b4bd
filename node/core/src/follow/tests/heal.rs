//! Damaged entries are fetched again and stored only if they prove themselves.

use super::*;
use crate::effect::RepairBatch;
use crate::event::Damage;
use crate::follow::heal::Healing;
use crate::limits::HEAL_RETRY_MS;

const LOG: &str = ORIGIN;

/// A bench that holds ten entries, signed, and a peer beside the author.
fn held() -> (AuthorLog, Bench) {
    let author = AuthorLog::of(10);
    let mut bench = Bench::new();
    bench.hear(peer(1), true, &author.note(10), NOW_MS).expect("signed");
    bench.fetched(author.chunk(0, 10, 10), NOW_MS).expect("sound");
    bench.written(NOW_MS);
    bench.hear(peer(2), false, &author.note(10), NOW_MS).expect("signed");
    bench.absorb();
    bench.effects.clear();
    (author, bench)
}

fn damage(author: &AuthorLog, start: u64, end: u64, payloads: &[u64]) -> Damage {
    Damage {
        log: LogId::of_origin(LOG),
        start,
        end,
        before: author.tree(start),
        payloads: payloads.iter().copied().collect(),
        detail: "a test".to_owned(),
    }
}

fn asked(healing: &mut Healing, bench: &mut Bench, now_ms: u64) -> Option<(Peer, RangeRequest)> {
    healing.poll(&bench.log, now_ms, &mut bench.out);
    bench.asked_ranges().pop().map(|(_, peer, range)| (peer, range))
}

impl Bench {
    fn heal(&mut self, healing: &mut Healing, chunk: RangeChunk) -> Result<(), ChunkError> {
        let Self { view, members, mine, .. } = self;
        let barred = Barred { view, members, mine, now_ms: NOW_MS };
        healing.answered(&self.log, chunk, &barred, &mut self.out)
    }
}

fn repair(bench: &mut Bench) -> Option<RepairBatch> {
    bench.absorb();
    let at = bench.effects.iter().position(|effect| matches!(effect, Effect::Repair(_)))?;
    let Effect::Repair(batch) = bench.effects.remove(at) else { unreachable!("just matched") };
    Some(batch)
}

#[test]
fn a_run_is_fetched_from_its_author_first_and_stored_again() {
    let (author, mut bench) = held();
    let mut healing = Healing::new(damage(&author, 4, 8, &[5]), NOW_MS);
    let (from, range) = asked(&mut healing, &mut bench, NOW_MS).expect("asked");
    assert_eq!((from, range.start, range.size, range.entries_max), (peer(1), 4, 10, 4));
    // In two parts: what a peer leaves out is asked for again.
    bench.heal(&mut healing, author.chunk(4, 6, 10)).expect("proves itself");
    let first = repair(&mut bench).expect("a batch");
    assert_eq!((first.start, first.leaves.len()), (4, 2));
    assert_eq!(first.leaves[0], author.entries[4].leaf);
    assert!(matches!(first.payloads.as_slice(), [(5, StoredPayload::Present { .. })]), "{first:?}");
    assert!(healing.is_writing(first.id));
    let mended = healing.written(&mut bench.log, 0, &mut bench.out);
    assert!(!mended.is_done);
    assert_eq!(mended.entries.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [5]);
    let (_, range) = asked(&mut healing, &mut bench, NOW_MS).expect("asked");
    assert_eq!((range.start, range.entries_max), (6, 2));
    bench.heal(&mut healing, author.chunk(6, 8, 10)).expect("proves itself");
    assert_eq!(repair(&mut bench).expect("a batch").payloads, []);
    assert!(healing.written(&mut bench.log, 0, &mut bench.out).is_done);
    bench.absorb();
    let healed = bench.effects.iter().any(|effect| matches!(effect, Effect::Healed { start: 4, end: 8, .. }));
    assert!(healed, "{:?}", bench.effects);
}

#[test]
fn what_does_not_fit_is_not_stored_and_others_are_asked() {
    let (author, mut bench) = held();
    let mut healing = Healing::new(damage(&author, 4, 8, &[4, 5, 6, 7]), NOW_MS);
    let (from, _) = asked(&mut healing, &mut bench, NOW_MS).expect("asked");
    assert_eq!(from, peer(1));
    let mut lie = author.chunk(4, 8, 10);
    lie.entries[1] = entry(5, 7);
    let refused = bench.heal(&mut healing, lie);
    assert_eq!(refused, Err(ChunkError::Root { size: 10 }));
    assert!(repair(&mut bench).is_none());
    // A peer that is no author and has another payload lies as well.
    let (from, _) = asked(&mut healing, &mut bench, NOW_MS).expect("asked");
    assert_eq!(from, peer(2));
    let mut other = author.chunk(4, 8, 10);
    other.entries[0].payload = author.entries[9].payload.clone();
    let refused = bench.heal(&mut healing, other);
    assert_eq!(refused, Err(ChunkError::Payload { index: 4 }));
    assert!(asked(&mut healing, &mut bench, NOW_MS).is_none(), "both were asked");
    let later = NOW_MS + HEAL_RETRY_MS;
    assert!(asked(&mut healing, &mut bench, later).is_some(), "and are asked again");
    healing.failed();
    // Not having a payload is no lie: it is missing from then on.
    let (from, _) = asked(&mut healing, &mut bench, later).expect("asked");
    assert_eq!(from, peer(2));
    let mut without = author.chunk(4, 8, 10);
    without.entries[2].payload = WirePayload::NotHere;
    bench.heal(&mut healing, without).expect("proves itself");
    let batch = repair(&mut bench).expect("a batch");
    assert_eq!(batch.payloads[2], (6, StoredPayload::NotHere));
    assert_eq!(bench.log.payloads_missing(), 0);
    assert!(healing.written(&mut bench.log, 1, &mut bench.out).is_done);
    assert_eq!(bench.log.payloads_missing(), 1);
}

#[test]
fn a_false_tree_before_or_an_unsigned_end_brings_nothing() {
    let (author, mut bench) = held();
    let mut wrong = damage(&author, 4, 8, &[]);
    wrong.before = AuthorLog { entries: (0..4).map(|index| entry(index, 3)).collect() }.tree(4);
    let mut healing = Healing::new(wrong, NOW_MS);
    asked(&mut healing, &mut bench, NOW_MS).expect("asked");
    let refused = bench.heal(&mut healing, author.chunk(4, 8, 10));
    assert_eq!(refused, Err(ChunkError::Root { size: 10 }));
    let mut healing = Healing::new(damage(&author, 4, 11, &[]), NOW_MS);
    assert!(asked(&mut healing, &mut bench, NOW_MS).is_none(), "nobody vouches for 11 entries");
    bench.log.lost(&peer(1), NOW_MS, &mut bench.out);
    bench.log.lost(&peer(2), NOW_MS, &mut bench.out);
    let mut healing = Healing::new(damage(&author, 4, 8, &[]), NOW_MS);
    assert!(asked(&mut healing, &mut bench, NOW_MS).is_none(), "nobody is there");
}
