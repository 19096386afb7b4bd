//! Roots, proofs and covers, exhaustively for small sizes; hostile numbers for the others.

use std::convert::Infallible;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use hashpact_protocol::digest::{LeafHash, NodeHash, Root, empty_root, node_hash};
use hashpact_protocol::merkle::{
    Frontier, HashReader, MerkleError, NodeId, TREE_SIZE_MAX, TileId, TileWriter, consistency_proof,
    consistency_proof_length, encode_tile, frontier_in_proof, inclusion_proof, inclusion_proof_length,
    read_cover, read_frontier, read_root, right_cover, rightmost_tiles, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use sha2::Sha256;

use crate::{Pyramid, any_hashes, any_size, entry, leaf};

/// Every size up to this is compared exhaustively.
const SIZE_MAX: u64 = 200;

/// RFC 6962 §2.1, word for word.
fn mth(leaves: &[LeafHash]) -> Root {
    match leaves {
        [] => empty_root(),
        [only] => NodeHash::from(*only).into(),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&mth(left).into(), &mth(right).into()).into()
        }
    }
}

type Tree = MemoryBackedTree<Sha256, [u8; 8]>;

fn independent_tree(size: u64) -> Tree {
    let mut tree = Tree::new();
    (0..size).for_each(|index| tree.push(entry(index)));
    tree
}

fn bytes(hashes: &[NodeHash]) -> Vec<u8> {
    encode_tile(hashes)
}

fn flip<const N: usize>(mut bytes: [u8; N], bit: usize) -> [u8; N] {
    bytes[bit / 8 % N] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn roots_agree_with_the_independent_tree() {
    let pyramid = Pyramid::new(SIZE_MAX);
    let leaves: Vec<LeafHash> = (0..SIZE_MAX).map(leaf).collect();
    let mut frontier = Frontier::empty();
    assert_eq!(frontier.root(), empty_root());
    for size in 1..=SIZE_MAX {
        frontier.append(leaf(size - 1));
        assert_eq!(frontier.size(), size);
        assert_eq!(
            frontier.root().as_bytes().as_slice(),
            independent_tree(size).root().as_bytes().as_slice()
        );
        assert_eq!(frontier.root(), mth(&leaves[..usize::try_from(size).unwrap()]));
        assert_eq!(read_frontier(&pyramid, size).unwrap(), frontier);
        assert_eq!(read_root(&pyramid, size).unwrap(), frontier.root());
        assert_eq!(Frontier::from_parts(size, frontier.hashes().to_vec()), Ok(frontier.clone()));
        assert_eq!(
            Frontier::from_parts(size + 1, frontier.hashes().to_vec()).is_ok(),
            (size + 1).count_ones() == size.count_ones()
        );
    }
}

#[test]
fn inclusion_proofs_agree_for_every_index_of_every_size() {
    let pyramid = Pyramid::new(SIZE_MAX);
    for size in 1..=SIZE_MAX {
        let tree = independent_tree(size);
        let root = read_root(&pyramid, size).unwrap();
        for index in 0..size {
            let proof = inclusion_proof(&pyramid, index, size).unwrap();
            assert_eq!(inclusion_proof_length(index, size), Some(proof.len()));
            assert_eq!(bytes(&proof), tree.prove_inclusion(usize::try_from(index).unwrap()).as_bytes());
            assert_eq!(verify_inclusion(&leaf(index), index, size, &proof, &root), Ok(()));
            check_inclusion_breaks(index, size, &proof, &root);
        }
        assert!(inclusion_proof(&pyramid, size, size).is_err());
    }
}

#[test]
fn a_consistency_proof_holds_the_frontier_of_its_smaller_tree() {
    let pyramid = Pyramid::new(70);
    for new in 1..=70 {
        for old in 0..new {
            let proof = consistency_proof(&pyramid, old, new).unwrap();
            let (frontier, root) = (read_frontier(&pyramid, old).unwrap(), read_root(&pyramid, old).unwrap());
            assert_eq!(frontier_in_proof(old, &root, new, &proof), Ok(frontier), "{old} to {new}");
            let other = Root::new(flip(*root.as_bytes(), 9));
            // Of a complete tree the frontier is the root that is given, and nothing in the proof could contradict it.
            let found = frontier_in_proof(old, &other, new, &proof).map(|frontier| frontier.root());
            assert_eq!(found.is_ok(), old.is_power_of_two(), "{old} to {new}");
            assert!(found.is_err() || found == Ok(other), "{old} to {new}");
            let longer = [&proof[..], &[NodeHash::from(root)]].concat();
            assert!(matches!(
                frontier_in_proof(old, &root, new, &longer),
                Err(MerkleError::ProofLength { .. })
            ));
            if let Some((last, shorter)) = proof.split_last() {
                assert!(frontier_in_proof(old, &root, new, shorter).is_err());
                // What is right of the smaller tree is not part of its frontier, and need not be right.
                let broken = [shorter, &[NodeHash::new(flip(*last.as_bytes(), 3))]].concat();
                if let Ok(found) = frontier_in_proof(old, &root, new, &broken) {
                    assert_eq!(found.root(), root, "{old} to {new}");
                }
            }
        }
        for old in [new, new + 1, u64::MAX] {
            let refused = frontier_in_proof(old, &empty_root(), new, &[]);
            assert!(matches!(refused, Err(MerkleError::SizeBelowPrefix { .. })), "{old} to {new}");
        }
    }
}

/// Whatever is changed, the proof fails, except for another size in which the leaf has the same
/// path: a proof alone does not authenticate the size, the checkpoint does.
fn check_inclusion_breaks(index: u64, size: u64, proof: &[NodeHash], root: &Root) {
    let bit = usize::try_from(index * 37 + size * 11).unwrap() % 256;
    let leaf_hash = leaf(index);
    let verify = |leaf: &LeafHash, index, proof: &[NodeHash], root: &Root| {
        verify_inclusion(leaf, index, size, proof, root).unwrap_err()
    };
    let mismatch = |error| matches!(error, MerkleError::RootMismatch { .. });
    let length = |error| matches!(error, MerkleError::ProofLength { .. });
    assert!(mismatch(verify(&LeafHash::new(flip(*leaf_hash.as_bytes(), bit)), index, proof, root)));
    assert!(mismatch(verify(&leaf_hash, index, proof, &Root::new(flip(*root.as_bytes(), bit)))));
    for position in 0..proof.len() {
        let mut broken = proof.to_vec();
        broken[position] = NodeHash::new(flip(*broken[position].as_bytes(), bit));
        assert!(mismatch(verify(&leaf_hash, index, &broken, root)));
    }
    assert!(length(verify(&leaf_hash, index, &[proof, &[(*root).into()]].concat(), root)));
    if let Some((_, shorter)) = proof.split_last() {
        assert!(length(verify(&leaf_hash, index, shorter, root)));
    }
    for other in (0..64).map(|bit| index ^ (1 << bit)) {
        assert!(
            verify_inclusion(&leaf_hash, other, size, proof, root).is_err(),
            "{other} for {index} of {size}"
        );
    }
}

#[test]
fn verdicts_agree_for_wrong_indices_and_sizes() {
    let pyramid = Pyramid::new(40);
    for size in 1..=24_u64 {
        let root = read_root(&pyramid, size).unwrap();
        for index in 0..size {
            let proof = inclusion_proof(&pyramid, index, size).unwrap();
            for (other_size, other_index) in (1..=40).flat_map(|size| (0..40).map(move |index| (size, index)))
            {
                let theirs = RootHash::<Sha256>::new((*root.as_bytes()).into(), other_size).verify_inclusion(
                    &entry(index),
                    other_index,
                    &InclusionProof::try_from_bytes(bytes(&proof)).unwrap(),
                );
                let ours = verify_inclusion(&leaf(index), other_index, other_size, &proof, &root);
                assert_eq!(
                    ours.is_ok(),
                    theirs.is_ok(),
                    "{index}/{size} as {other_index}/{other_size}: {ours:?}"
                );
            }
        }
    }
}

#[test]
fn consistency_proofs_agree_for_every_pair() {
    let pyramid = Pyramid::new(SIZE_MAX);
    for new in 1..=SIZE_MAX {
        let tree = independent_tree(new);
        let new_root = read_root(&pyramid, new).unwrap();
        for old in 1..=new {
            let old_root = read_root(&pyramid, old).unwrap();
            let proof = consistency_proof(&pyramid, old, new).unwrap();
            assert_eq!(consistency_proof_length(old, new), Some(proof.len()));
            let theirs = tree.prove_consistency(usize::try_from(new - old).unwrap());
            assert_eq!(bytes(&proof), theirs.as_bytes(), "{old} to {new}");
            assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()));
            check_consistency_breaks(old, &old_root, new, &new_root, &proof);
        }
    }
}

fn check_consistency_breaks(old: u64, old_root: &Root, new: u64, new_root: &Root, proof: &[NodeHash]) {
    let bit = usize::try_from(old * 29 + new * 13).unwrap() % 256;
    let other = |root: &Root| Root::new(flip(*root.as_bytes(), bit));
    assert!(verify_consistency(old, &other(old_root), new, new_root, proof).is_err());
    assert!(verify_consistency(old, old_root, new, &other(new_root), proof).is_err());
    assert!(verify_consistency(old, &other(old_root), new, &other(new_root), proof).is_err() || old == new);
    for position in 0..proof.len() {
        let mut broken = proof.to_vec();
        broken[position] = NodeHash::new(flip(*broken[position].as_bytes(), bit));
        assert!(verify_consistency(old, old_root, new, new_root, &broken).is_err());
    }
    let longer = [proof, &[(*new_root).into()]].concat();
    assert!(verify_consistency(old, old_root, new, new_root, &longer).is_err());
    if let Some((_, shorter)) = proof.split_last() {
        assert!(verify_consistency(old, old_root, new, new_root, shorter).is_err());
    }
    if old != new {
        assert!(verify_consistency(new, new_root, old, old_root, proof).is_err());
    }
}

#[test]
fn consistency_verdicts_agree_for_wrong_sizes() {
    let pyramid = Pyramid::new(24);
    for (old, new) in (1..=16_u64).flat_map(|new| (1..=new).map(move |old| (old, new))) {
        let (old_root, new_root) = (read_root(&pyramid, old).unwrap(), read_root(&pyramid, new).unwrap());
        let proof = consistency_proof(&pyramid, old, new).unwrap();
        for (other_old, other_new) in (1..=24).flat_map(|new| (1..=24).map(move |old| (old, new))) {
            let theirs = RootHash::<Sha256>::new((*new_root.as_bytes()).into(), other_new)
                .verify_consistency(
                    &RootHash::new((*old_root.as_bytes()).into(), other_old),
                    &ConsistencyProof::try_from_bytes(bytes(&proof)).unwrap(),
                );
            let ours = verify_consistency(other_old, &old_root, other_new, &new_root, &proof);
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{old}->{new} as {other_old}->{other_new}: {ours:?}");
        }
    }
}

#[test]
fn a_tree_without_leaves_is_the_start_of_every_tree() {
    let pyramid = Pyramid::new(5);
    let (empty, five) = (empty_root(), read_root(&pyramid, 5).unwrap());
    assert_eq!(consistency_proof(&pyramid, 0, 5), Ok(Vec::new()));
    assert_eq!(verify_consistency(0, &empty, 5, &five, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &empty, 0, &empty, &[]), Ok(()));
    assert!(verify_consistency(0, &empty, 0, &five, &[]).is_err());
    assert!(verify_consistency(0, &five, 5, &five, &[]).is_err());
    assert!(verify_consistency(0, &empty, 5, &five, &[five.into()]).is_err());
    assert!(verify_inclusion(&leaf(0), 0, 0, &[], &empty).is_err());
}

/// The cover of every range tiles it, is maximal, and completes the prefix to the signed root.
#[test]
fn right_covers_of_every_range() {
    let pyramid = Pyramid::new(SIZE_MAX);
    for size in 0..=SIZE_MAX {
        let root = read_root(&pyramid, size).unwrap();
        for end in 0..=size {
            let cover = right_cover(end, size);
            let mut position = end;
            for NodeId { level, index } in &cover {
                let width = 1_u64 << level;
                assert_eq!(index * width, position, "subtrees touch");
                let twice_aligned = position.is_multiple_of(width * 2);
                assert!(!twice_aligned || position + width * 2 > size, "a wider subtree would fit");
                position += width;
            }
            assert_eq!(position, size, "the cover ends with the range");

            let prefix = read_frontier(&pyramid, end).unwrap();
            let hashes = read_cover(&pyramid, end, size).unwrap();
            assert_eq!(prefix.root_with_cover(size, &hashes), Ok(root), "[{end}, {size})");
            check_cover_breaks(&prefix, size, &hashes, &root);
        }
        assert!(right_cover(size + 1, size).is_empty());
    }
}

fn check_cover_breaks(prefix: &Frontier, size: u64, cover: &[NodeHash], root: &Root) {
    let bit = usize::try_from(size * 31 + prefix.size()).unwrap() % 256;
    for position in 0..cover.len() {
        let mut broken = cover.to_vec();
        broken[position] = NodeHash::new(flip(*broken[position].as_bytes(), bit));
        assert_ne!(prefix.root_with_cover(size, &broken), Ok(*root));
    }
    for position in 0..prefix.hashes().len() {
        let mut broken = prefix.hashes().to_vec();
        broken[position] = NodeHash::new(flip(*broken[position].as_bytes(), bit));
        let broken = Frontier::from_parts(prefix.size(), broken).unwrap();
        assert_ne!(broken.root_with_cover(size, cover), Ok(*root));
    }
    let longer = [cover, &[(*root).into()]].concat();
    assert!(matches!(prefix.root_with_cover(size, &longer), Err(MerkleError::CoverLength { .. })));
    if prefix.size() > 0 {
        let below = prefix.root_with_cover(prefix.size() - 1, cover);
        assert!(matches!(below, Err(MerkleError::SizeBelowPrefix { .. })));
    }
}

#[test]
fn frontiers_refuse_what_does_not_fit() {
    let mut three = read_frontier(&Pyramid::new(3), 3).unwrap();
    assert_eq!(three.append_subtree(1, leaf(9).into()), Err(MerkleError::Misaligned { size: 3, level: 1 }));
    assert_eq!(three.append_subtree(63, leaf(9).into()), Err(MerkleError::TooLarge { size: 3, level: 63 }));
    assert_eq!(three.append_subtree(64, leaf(9).into()), Err(MerkleError::TooLarge { size: 3, level: 64 }));
    assert_eq!(three.append_subtree(0, leaf(3).into()), Ok(()));
    assert_eq!(three, read_frontier(&Pyramid::new(4), 4).unwrap());
    assert!(Frontier::from_parts(TREE_SIZE_MAX + 1, vec![leaf(0).into()]).is_err());
    assert!(Frontier::from_parts(TREE_SIZE_MAX, vec![leaf(0).into(); 63]).is_ok());
}

proptest! {
    #[test]
    fn hostile_numbers_and_hashes_are_only_errors(
        (a, b) in (any_size(), any_size()), hashes in any_hashes(70), seed in any::<[u8; 32]>(),
    ) {
        let root = Root::new(seed);
        prop_assert!(verify_inclusion(&LeafHash::new(seed), a, b, &hashes, &root).is_err() || b == 1);
        prop_assert!(verify_consistency(a, &root, b, &root, &hashes).is_err() || a == b);
        prop_assert!(right_cover(a, b).len() < 128);
        prop_assert!(right_cover(0, b).len() == b.count_ones() as usize);
        if let Ok(frontier) = Frontier::from_parts(a, hashes.clone()) {
            let _ = frontier.root_with_cover(b, &hashes);
        }
        let _ = TileWriter::new(a, vec![hashes; 3]);
        let _ = TileId::in_tree(0, b, a);
        let _ = rightmost_tiles(a);
    }

    #[test]
    fn lengths_of_proofs_at_any_size((a, b) in (any_size(), any_size())) {
        /// A source that holds every tree and counts nothing.
        struct Any;
        impl HashReader for Any {
            type Error = Infallible;
            fn node(&self, level: u8, index: u64) -> Result<NodeHash, Infallible> {
                assert!(level < 64);
                Ok(leaf(index ^ u64::from(level)).into())
            }
        }
        prop_assert_eq!(inclusion_proof(&Any, a, b).ok().map(|proof| proof.len()), inclusion_proof_length(a, b));
        prop_assert_eq!(consistency_proof(&Any, a, b).ok().map(|proof| proof.len()), consistency_proof_length(a, b));
    }
}
