//! Tiles: the writer against a direct computation, the reader, paths and bytes.

use std::collections::BTreeMap;

use hashpact_protocol::digest::NodeHash;
use hashpact_protocol::merkle::{
    HashReader, MerkleError, TREE_SIZE_MAX, TileHashes, TileId, TileReadError, TileWriter, consistency_proof,
    decode_bundle, decode_tile, encode_bundle, encode_tile, entries_path, inclusion_proof,
    parse_entries_path, read_root, rightmost_tiles, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

use crate::{Pyramid, any_hashes, any_size, leaf};

/// What the tiles of a tree are, computed without a writer.
fn direct_tiles(pyramid: &Pyramid, size: u64) -> BTreeMap<(u8, u64), Vec<NodeHash>> {
    let mut tiles = BTreeMap::new();
    for level in 0..8_u8 {
        let hashes = usize::try_from(size >> (8 * level)).unwrap();
        let Some(row) = pyramid.0.get(usize::from(level) * 8) else {
            break;
        };
        for (index, tile) in (0..).zip(row[..hashes].chunks(256)) {
            tiles.insert((level, index), tile.to_vec());
        }
    }
    tiles
}

#[test]
fn tile_writer_touches_exactly_what_changed() {
    const LARGEST: u64 = 66_200;
    let pyramid = Pyramid::new(LARGEST);
    let mut stops: Vec<u64> = (0..=520).chain([700, 767, 768, 769, 770, 1024, 1025, 3000]).collect();
    stops.extend([65_279, 65_280, 65_281, 65_535, 65_536, 65_537, 65_791, 65_792, 65_793, LARGEST]);
    let mut writer = TileWriter::new(0, Vec::new()).unwrap();
    let mut stored = BTreeMap::new();
    for pair in stops.windows(2) {
        let (before, size) = (pair[0], pair[1]);
        (before..size).for_each(|index| writer.append(leaf(index)));
        let touched: BTreeMap<_, _> =
            writer.finish().into_iter().map(|(level, index, tile)| ((level, index), tile)).collect();
        let expected = direct_tiles(&pyramid, size);
        let changed: BTreeMap<_, _> =
            expected.clone().into_iter().filter(|(id, tile)| stored.get(id) != Some(tile)).collect();
        assert_eq!(touched, changed, "{before} to {size}");
        assert!(writer.finish().is_empty(), "a batch is reported once");
        stored.extend(touched);
        assert_eq!(stored, expected);

        // A writer that resumes from storage is the same writer.
        let rightmost: Vec<_> = rightmost_tiles(size)
            .into_iter()
            .map(|tile| tile.map_or(Vec::new(), |tile| stored[&(tile.level, tile.index)].clone()))
            .collect();
        assert_eq!(writer.rightmost(), rightmost);
        writer = TileWriter::new(size, rightmost).unwrap();
    }
}

#[test]
fn tile_writer_refuses_other_widths() {
    let hash = NodeHash::from(leaf(0));
    for (size, widths) in
        [(0, vec![0]), (1, vec![]), (1, vec![2]), (256, vec![0]), (256, vec![0, 2]), (1, vec![1, 0])]
    {
        let rightmost = widths.iter().map(|width| vec![hash; *width]).collect();
        let result = TileWriter::new(size, rightmost);
        assert!(matches!(result, Err(MerkleError::TileWidth { .. })), "{size} {widths:?}: {result:?}");
    }
    assert!(TileWriter::new(TREE_SIZE_MAX + 1, Vec::new()).is_err());
    let widths: Vec<usize> = rightmost_tiles(70_000)
        .into_iter()
        .map(|tile| tile.map_or(0, |tile| usize::from(tile.width)))
        .collect();
    assert_eq!(widths, [112, 17, 1], "the example of tlog-tiles");
}

#[test]
fn proofs_read_from_tiles() {
    let pyramid = Pyramid::new(66_000);
    for size in [1, 2, 255, 256, 257, 300, 511, 512, 65_535, 65_536, 65_537, 66_000_u64] {
        let tiles = direct_tiles(&pyramid, size);
        let reader = TileHashes::new(|level, index| tiles.get(&(level, index)).cloned().ok_or("no tile"));
        let root = read_root(&pyramid, size).unwrap();
        assert_eq!(read_root(&reader, size), Ok(root));
        for index in [0, size / 3, size / 2, size - 1] {
            let proof = inclusion_proof(&reader, index, size).unwrap();
            assert_eq!(verify_inclusion(&leaf(index), index, size, &proof, &root), Ok(()));
            let consistency = consistency_proof(&reader, index, size).unwrap();
            let old_root = read_root(&reader, index).unwrap();
            assert_eq!(verify_consistency(index, &old_root, size, &root, &consistency), Ok(()));
        }
        assert!(reader.node(0, size).is_err(), "beyond the tree");
    }
}

#[test]
fn tile_reader_names_short_tiles_and_impossible_nodes() {
    let reader = TileHashes::new(|_, _| Ok::<_, &str>(vec![NodeHash::from(leaf(0)); 3]));
    assert!(reader.node(1, 0).is_ok());
    assert_eq!(reader.node(1, 129), Err(TileReadError::Short { level: 0, index: 1, needed: 4, found: 3 }));
    assert_eq!(reader.node(64, 0), Err(TileReadError::NoSuchNode { level: 64, index: 0 }));
    assert_eq!(
        TileHashes::new(|_, _| Err::<Vec<NodeHash>, _>("gone")).node(0, u64::MAX),
        Err(TileReadError::Load("gone"))
    );
}

#[test]
fn tile_paths_have_one_spelling() {
    let path = |level, index, width| TileId { level, index, width }.path();
    assert_eq!(path(0, 1_234_067, 256), "0/x001/x234/067");
    assert_eq!(path(1, 0, 17), "1/000.p/17");
    assert_eq!(path(0, 1000, 256), "0/x001/000");
    assert_eq!(path(7, u64::MAX, 255), "7/x018/x446/x744/x073/x709/x551/615.p/255");
    assert_eq!(entries_path(273, 112), "273.p/112");
    for path in [
        "",
        "0",
        "0/",
        "/000",
        "0/00",
        "0/0000",
        "0/1/000",
        "0/x000/000",
        "0/000/000",
        "0/x001/x000",
        "00/000",
        "64/000",
        "+1/000",
        "0/+01",
        "0/x001/-01",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/017",
        "0/000.p/",
        "0/000.p",
        "0/000.p/1/",
        "0/000.p/1.p/1",
        "0/X001/000",
        "0/000/",
        "0//000",
        "0/x018/x446/x744/x073/x709/x551/616",
        "0/x001/x018/x446/x744/x073/x709/x551/615",
        "0/00é",
        "0/ 01",
        "entries/000",
        "0/000?x",
        "0/000.p/+1",
    ] {
        assert_eq!(TileId::parse_path(path), Err(MerkleError::TilePath), "{path:?}");
    }
    assert_eq!(TileId::in_tree(0, 273, 70_000), Some(TileId { level: 0, index: 273, width: 112 }));
    assert_eq!(TileId::in_tree(0, 272, 70_000).map(|tile| tile.width), Some(256));
    assert_eq!(TileId::in_tree(2, 0, 70_000).map(|tile| tile.width), Some(1));
    assert_eq!(TileId::in_tree(0, 274, 70_000), None);
    assert_eq!(TileId::in_tree(0, 1, 256), None, "empty tiles do not exist");
    assert_eq!(TileId::in_tree(255, u64::MAX, u64::MAX), None);
}

#[test]
fn tiles_and_bundles_refuse_odd_lengths() {
    for length in [0, 31, 33, 257 * 32] {
        assert_eq!(decode_tile(&vec![0; length]), Err(MerkleError::TileBytes { bytes: length }));
    }
    assert_eq!(decode_tile(&[7; 256 * 32]).unwrap().len(), 256);
    assert_eq!(decode_bundle(&[0, 1, 9, 0, 0]), Ok(vec![&[9][..], &[]]));
    assert_eq!(decode_bundle(&[0, 1, 9, 0]), Err(MerkleError::Bundle { offset: 3 }));
    assert_eq!(decode_bundle(&[0, 2, 9]), Err(MerkleError::Bundle { offset: 0 }));
    assert_eq!(decode_bundle(&[0; 514]), Err(MerkleError::Bundle { offset: 512 }));
    let long = vec![0; 65_536];
    assert_eq!(encode_bundle([long.as_slice()]), Err(MerkleError::BundleEntry { bytes: 65_536 }));
}

proptest! {
    #[test]
    fn tile_paths_round_trip(level in 0..64_u8, index in any_size(), width in 1..=256_u16) {
        let tile = TileId { level, index, width };
        prop_assert_eq!(TileId::parse_path(&tile.path()), Ok(tile));
        prop_assert_eq!(parse_entries_path(&entries_path(index, width)), Ok((index, width)));
    }

    #[test]
    fn any_text_that_parses_is_the_path(path in "[0-9x/.p+]{0,24}") {
        if let Ok(tile) = TileId::parse_path(&path) {
            prop_assert_eq!(tile.path(), path);
        }
    }

    #[test]
    fn tiles_and_bundles_round_trip(
        hashes in any_hashes(256), entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..256),
        garbage in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        if !hashes.is_empty() {
            prop_assert_eq!(decode_tile(&encode_tile(&hashes)), Ok(hashes));
        }
        let bundle = encode_bundle(entries.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(decode_bundle(&bundle).unwrap(), entries);
        if let Ok(entries) = decode_bundle(&garbage) {
            prop_assert_eq!(encode_bundle(entries).unwrap(), garbage);
        }
    }
}
