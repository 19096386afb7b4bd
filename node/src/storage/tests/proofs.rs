//! Tiles, covers and proofs against direct computation.

use super::{TestLog, fresh};
use crate::storage::Store;
use hashpact_core::effect::{StoredEntry, StoredPayload};
use hashpact_protocol::digest::{LeafHash, NodeHash, Root, leaf_hash};
use hashpact_protocol::limits::{RANGE_BYTES_MAX, RANGE_ENTRIES_MAX};
use hashpact_protocol::merkle::{
    Frontier, TileId, decode_bundle, encode_tile, verify_consistency, verify_inclusion,
};
use hashpact_protocol::wire::RangeChunk;
use proptest::prelude::*;

/// Entries without payloads, so that large trees are quick to make.
fn bare(range: std::ops::Range<u64>) -> Vec<StoredEntry> {
    range
        .map(|index| StoredEntry { leaf: index.to_be_bytes().to_vec(), payload: StoredPayload::NotHere })
        .collect()
}

fn leaf_hashes(size: u64) -> Vec<LeafHash> {
    (0..size).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

fn frontier(leaves: &[LeafHash]) -> Frontier {
    leaves.iter().fold(Frontier::empty(), |mut frontier, leaf| {
        frontier.append(*leaf);
        frontier
    })
}

/// Every tile of a tree, straight from its leaves: level by level, 256 hashes to one.
fn check_tiles(store: &Store, log: &TestLog, leaves: &[LeafHash]) {
    let mut row: Vec<NodeHash> = leaves.iter().map(|leaf| (*leaf).into()).collect();
    for level in 0..4_u8 {
        for (index, hashes) in (0..).zip(row.chunks(256)) {
            for width in [hashes.len(), 1, hashes.len().div_ceil(2)] {
                let id = TileId { level, index, width: u16::try_from(width).expect("at most 256") };
                let stored = store.tile(&log.log, id).expect("reads");
                assert_eq!(stored, Some(encode_tile(&hashes[..width])), "{id:?} of {}", leaves.len());
            }
            let width = u16::try_from(hashes.len() + 1).expect("at most 257");
            assert_eq!(store.tile(&log.log, TileId { level, index, width }).expect("reads"), None);
        }
        let beyond = TileId { level, index: row.len().div_ceil(256) as u64, width: 1 };
        assert_eq!(store.tile(&log.log, beyond).expect("reads"), None, "{beyond:?}");
        let (whole, _) = row.as_chunks::<256>();
        row = whole
            .iter()
            .map(|tile| {
                let mut subtree = Frontier::empty();
                for hash in tile {
                    subtree.append(LeafHash::new(*hash.as_bytes()));
                }
                subtree.root().into()
            })
            .collect();
    }
}

#[test]
fn tiles_equal_direct_computation_at_every_boundary() {
    let (dir, store) = fresh();
    let mut log = TestLog::new("north");
    let leaves = leaf_hashes(65_800);
    let sizes = [1, 2, 254, 255, 256, 257, 258, 511, 512, 513, 65_535, 65_536, 65_537, 65_792, 65_800];
    for size in sizes {
        let entries = bare(log.frontier.size()..size);
        store.write(&log.batch_of(entries)).expect("grows");
        log.publish(&store);
        check_tiles(&store, &log, &leaves[..usize::try_from(size).expect("small")]);
    }
    // The writer resumes from the stored tiles as if it had never stopped.
    drop(store);
    let store = Store::open(&dir.path().join("db")).expect("again");
    store.write(&log.batch_of(bare(65_800..66_100))).expect("resumes");
    log.publish(&store);
    check_tiles(&store, &log, &leaf_hashes(66_100));
}

fn check_chunk(chunk: &RangeChunk, leaves: &[LeafHash], size: usize, root: Root) {
    let start = usize::try_from(chunk.start).expect("small");
    let mut known = frontier(&leaves[..start]);
    assert!(!chunk.entries.is_empty());
    for entry in &chunk.entries {
        known.append(leaf_hash(&entry.leaf));
    }
    let cover: Vec<NodeHash> = chunk.cover.iter().copied().map(NodeHash::new).collect();
    assert_eq!(known.root_with_cover(size as u64, &cover), Ok(root));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn ranges_and_proofs_verify(
        total in 1_usize..1200,
        cuts in proptest::collection::vec(1_u64..400, 1..6),
        picks in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1_u32..300), 12),
    ) {
        let (_dir, store) = fresh();
        let mut log = TestLog::new("north");
        let mut cuts = cuts.into_iter().cycle();
        while log.frontier.size() < total as u64 {
            let start = log.frontier.size();
            let end = (start + cuts.next().expect("a cycle")).min(total as u64);
            store.write(&log.batch_of(bare(start..end))).expect("grows");
        }
        log.publish(&store);
        let leaves = leaf_hashes(total as u64);
        for (first, second, entries_max) in picks {
            let size = first.index(total) + 1;
            let index = second.index(size);
            let root = frontier(&leaves[..size]).root();
            let chunk = store.range(&log.log, index as u64, size as u64, entries_max, 1 << 20).expect("range");
            prop_assert_eq!(chunk.entries.len(), (size - index).min(entries_max as usize));
            check_chunk(&chunk, &leaves, size, root);
            let proof = store.inclusion(&log.log, index as u64, size as u64).expect("inclusion");
            verify_inclusion(&leaves[index], index as u64, size as u64, &proof, &root).expect("verifies");
            let proof = store.consistency(&log.log, size as u64, total as u64).expect("consistency");
            verify_consistency(size as u64, &root, total as u64, &frontier(&leaves).root(), &proof).expect("verifies");
        }
    }
}

#[test]
fn ranges_respect_both_bounds_and_always_progress() {
    let (_dir, store) = fresh();
    let mut log = TestLog::new("north");
    store.write(&log.batch(300)).expect("300 of 136 + 32 + 128 bytes");
    log.publish(&store);
    let count = |entries_max, bytes_max| {
        store.range(&log.log, 0, 300, entries_max, bytes_max).expect("range").entries.len()
    };
    assert_eq!(count(7, u32::MAX), 7);
    assert_eq!(count(u32::MAX, 296 * 5), 5);
    assert_eq!(count(u32::MAX, 296 * 6 - 1), 5);
    assert_eq!(count(u32::MAX, u32::MAX), 300);
    for (entries_max, bytes_max) in [(0, 0), (0, u32::MAX), (u32::MAX, 0), (1, 1)] {
        assert_eq!(count(entries_max, bytes_max), 1, "{entries_max} {bytes_max}");
    }
    // Whatever a peer asks for, the limits of the protocol hold.
    let mut large = TestLog::new("south");
    let payload = StoredPayload::Present { salt: [1; 32], padded: vec![2; 65_536] };
    let entries = vec![StoredEntry { leaf: vec![3; 1024], payload }; 20];
    store.write(&large.batch_of(entries)).expect("large");
    store.write(&log.batch_of(bare(300..5000))).expect("many");
    large.publish(&store);
    log.publish(&store);
    let chunk = store.range(&large.log, 0, 20, u32::MAX, u32::MAX).expect("range");
    assert_eq!(chunk.entries.len(), RANGE_BYTES_MAX / (1024 + 32 + 65_536));
    let chunk = store.range(&log.log, 300, 5000, u32::MAX, u32::MAX).expect("range");
    assert_eq!(chunk.entries.len(), RANGE_ENTRIES_MAX);
}

#[test]
fn entry_bundles_hold_the_leaves() {
    let (_dir, store) = fresh();
    let mut log = TestLog::new("north");
    store.write(&log.batch_of(bare(0..300))).expect("300");
    log.publish(&store);
    let bundle = |index, width| store.entry_bundle(&log.log, index, width).expect("reads");
    let full = bundle(0, 256).expect("full");
    assert_eq!(decode_bundle(&full).expect("whole"), (0..256_u64).map(u64::to_be_bytes).collect::<Vec<_>>());
    let partial = bundle(1, 44).expect("partial");
    assert_eq!(decode_bundle(&partial).expect("whole").last(), Some(&&299_u64.to_be_bytes()[..]));
    assert_eq!(bundle(1, 43).expect("narrower"), partial[..43 * 10]);
    for (index, width) in [(0, 0), (0, 257), (1, 45), (1, 256), (2, 1), (u64::MAX, 1)] {
        assert_eq!(bundle(index, width), None, "{index}/{width}");
    }
}
