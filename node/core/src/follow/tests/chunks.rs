//! What a chunk must prove, and what never stops replication.

use super::*;
use std::collections::BTreeSet;

fn asking(author: &AuthorLog, is_author: bool) -> Bench {
    let size = author.entries.len() as u64;
    let mut bench = Bench::new();
    bench.hear(peer(1), is_author, &author.note(size), NOW_MS).expect("a valid head");
    assert_eq!(bench.asked(), Some((peer(1), 0, size)));
    bench
}

#[test]
fn a_log_arrives_in_chunks_each_proven_alone_and_published_once_written() {
    let author = AuthorLog::of(7);
    let mut bench = asking(&author, true);
    let batch = bench.fetched(author.chunk(0, 3, 7), NOW_MS).expect("proven").expect("a batch");
    assert_eq!((batch.start, batch.entries.len(), batch.note.is_none()), (0, 3, true));
    assert_eq!(bench.log.size(), 0, "not visible before it is on disk");
    let followed = bench.written(NOW_MS);
    assert_eq!((followed.entries[0].0, followed.entries.len(), followed.completed), (0, 3, None));
    assert_eq!((bench.log.size(), bench.log.is_caught_up()), (3, false));
    assert_eq!(bench.asked(), Some((peer(1), 3, 7)), "goes on from there");

    let batch = bench.fetched(author.chunk(3, 7, 7), NOW_MS).expect("proven").expect("a batch");
    assert_eq!(batch.note.expect("complete under its head").size, 7);
    let followed = bench.written(NOW_MS);
    assert_eq!(followed.completed, Some((7, author.tree(7).root())));
    assert_eq!((bench.log.root(), bench.log.is_caught_up()), (author.tree(7).root(), true));
    assert_eq!(bench.asked(), None);
}

#[test]
fn each_rule_of_a_chunk_refuses_and_changes_nothing() {
    type Damage = fn(&mut RangeChunk);
    let cases: [(Damage, ChunkError, &str); 9] = [
        (|chunk| chunk.start = 1, ChunkError::Start { start: 1, asked: 0 }, "chunk_start"),
        (|chunk| chunk.entries.clear(), ChunkError::Empty, "chunk_empty"),
        (
            |chunk| chunk.entries = (0..8).map(|index| entry(index, 0)).collect(),
            ChunkError::TooLong { end: 8, size: 7 },
            "chunk_too_long",
        ),
        (
            |chunk| chunk.entries[2].leaf = vec![0; ENTRY_LEAF_MAX_BYTES + 1],
            ChunkError::LeafTooLong { index: 2, len: ENTRY_LEAF_MAX_BYTES + 1 },
            "chunk_leaf_too_long",
        ),
        (|chunk| chunk.entries[0].leaf[20] ^= 1, ChunkError::Root { size: 7 }, "chunk_root"),
        (|chunk| chunk.entries.swap(0, 1), ChunkError::Root { size: 7 }, "chunk_root"),
        (
            |chunk| {
                chunk.cover.pop();
            },
            ChunkError::Root { size: 7 },
            "chunk_root",
        ),
        (|chunk| chunk.cover[0][0] ^= 1, ChunkError::Root { size: 7 }, "chunk_root"),
        (
            |chunk| chunk.entries[1].payload = WirePayload::Present { salt: [0; 32], padded: vec![0; 128] },
            ChunkError::Payload { index: 1 },
            "chunk_payload",
        ),
    ];
    let author = AuthorLog::of(7);
    for (damage, expected, label) in cases {
        let mut bench = asking(&author, false);
        let mut chunk = author.chunk(0, 3, 7);
        damage(&mut chunk);
        assert_eq!(bench.fetched(chunk, NOW_MS), Err(expected));
        assert_eq!(expected.label(), label);
        assert_eq!((bench.log.size(), bench.asked()), (0, None), "backs off from the only source");
    }
}

#[test]
fn an_answer_that_nobody_waits_for_is_ignored() {
    let author = AuthorLog::of(2);
    let mut bench = Bench::new();
    assert_eq!(bench.fetched(author.chunk(0, 2, 2), NOW_MS), Ok(None));
    let mut bench = asking(&author, true);
    bench.log.lost(&peer(1), NOW_MS, &mut bench.out);
    assert_eq!(bench.fetched(author.chunk(0, 2, 2), NOW_MS), Ok(None));
    assert_eq!(bench.log.size(), 0);
}

#[test]
fn a_payload_that_only_the_author_can_have_spoilt_is_left_out_and_not_confirmed() {
    let mut author = AuthorLog::of(2);
    author.entries[1].payload = WirePayload::Present { salt: [0; 32], padded: vec![0; 128] };
    let mut relayed = asking(&author, false);
    assert_eq!(relayed.fetched(author.chunk(0, 2, 2), NOW_MS), Err(ChunkError::Payload { index: 1 }));

    let mut bench = asking(&author, true);
    let batch = bench.fetched(author.chunk(0, 2, 2), NOW_MS).expect("taken").expect("a batch");
    assert!(matches!(batch.entries[0].payload, StoredPayload::Present { .. }));
    assert_eq!(batch.entries[1].payload, StoredPayload::NotHere);
    let followed = bench.written(NOW_MS);
    assert_eq!(
        (bench.log.size(), followed.completed),
        (2, None),
        "a head without its payloads is not confirmed"
    );
    assert_eq!(bench.log.held_head(), None);
}

#[test]
fn only_the_author_can_say_that_a_payload_is_withheld_or_erased() {
    let mut author = AuthorLog::of(3);
    author.entries[0].payload = WirePayload::Withheld;
    author.entries[1].payload = WirePayload::Erased;
    author.entries[2].payload = WirePayload::NotHere;
    let told = [StoredPayload::Withheld, StoredPayload::Erased, StoredPayload::NotHere];
    for (is_author, expected, missing) in [(true, told, 1), (false, [const { StoredPayload::NotHere }; 3], 3)]
    {
        let mut bench = asking(&author, is_author);
        let batch = bench.fetched(author.chunk(0, 3, 3), NOW_MS).expect("taken").expect("a batch");
        let stored: Vec<_> = batch.entries.into_iter().map(|entry| entry.payload).collect();
        assert_eq!(stored, expected);
        assert_eq!((bench.written(NOW_MS).completed, bench.log.payloads_missing()), (None, missing));
    }
}

#[test]
fn what_is_not_for_this_member_is_not_kept_whoever_sends_it_and_not_missed() {
    let author = AuthorLog::of(3);
    for is_author in [true, false] {
        let mut bench = asking(&author, is_author);
        // Of everything, what is younger than the end of time.
        bench.mine.entitled = Entitled::Groups { groups: BTreeSet::new(), from_ms: u64::MAX };
        let batch = bench.fetched(author.chunk(0, 3, 3), NOW_MS).expect("taken").expect("a batch");
        assert!(batch.entries.iter().all(|entry| entry.payload == StoredPayload::Withheld));
        let followed = bench.written(NOW_MS);
        assert_eq!((bench.log.size(), bench.log.payloads_missing()), (3, 0));
        assert!(followed.completed.is_some(), "it holds all that is for it");
    }
}

#[test]
fn opaque_and_void_leaves_do_not_stop_replication() {
    let newer = [b"HPL2".as_slice(), &[0; 300]].concat();
    let wrong_index = entry(9, 0).leaf;
    for leaf in [newer, wrong_index, Vec::new(), vec![0xff; ENTRY_LEAF_MAX_BYTES]] {
        let mut author = AuthorLog::of(4);
        // Whatever is sent beside a leaf that cannot be read is nobody's fault and is not kept.
        let payload = WirePayload::Present { salt: [1; 32], padded: vec![0; 128] };
        author.entries[2] = WireEntry { leaf: leaf.clone(), payload };
        let mut bench = asking(&author, false);
        let batch = bench.fetched(author.chunk(0, 4, 4), NOW_MS).expect("proven").expect("a batch");
        assert_eq!(batch.entries[2], StoredEntry { leaf, payload: StoredPayload::NotHere });
        bench.written(NOW_MS);
        assert_eq!((bench.log.size(), bench.log.root()), (4, author.tree(4).root()));
    }
}
