//! Inclusion and consistency proofs, RFC 6962 §2.1.1 and §2.1.2.
//!
//! Building follows the recursion of the RFC from the root down and reverses the result. Verifying
//! goes from the leaf up, and uses the numbers alone to know the exact length of the proof and at each step
//! the side on which the sibling stands, so that no hash of the proof steers the computation:
//! an *inner* part where the two borders of the tree are distinct, then a *border* part along the
//! right edge where every sibling is on the left.

use super::cover::read_range_root;
use super::{Frontier, HashReader, MerkleError, ProofReadError};
use crate::digest::{LeafHash, NodeHash, Root, empty_root, node_hash};

/// Builds the proof that leaf `index` is in the tree of the first `size` leaves.
///
/// # Errors
/// [`MerkleError::IndexOutOfRange`], or what the reader reports.
pub fn inclusion_proof<R: HashReader + ?Sized>(
    reader: &R,
    index: u64,
    size: u64,
) -> Result<Vec<NodeHash>, ProofReadError<R::Error>> {
    if index >= size {
        return Err(MerkleError::IndexOutOfRange { index, size }.into());
    }
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        let (sibling_start, sibling_end);
        if index < middle {
            (sibling_start, sibling_end) = (middle, end);
            end = middle;
        } else {
            (sibling_start, sibling_end) = (start, middle);
            start = middle;
        }
        proof.push(read_range_root(reader, sibling_start, sibling_end).map_err(ProofReadError::Reader)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The number of hashes of an inclusion proof, or `None` when `index` is not below `size`.
#[must_use]
pub const fn inclusion_proof_length(index: u64, size: u64) -> Option<usize> {
    if index >= size {
        return None;
    }
    let inner = inner_levels(index, size - 1);
    Some((inner + border_levels(index, inner)) as usize)
}

/// Checks that `leaf` is leaf number `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// [`MerkleError::IndexOutOfRange`], [`MerkleError::ProofLength`], [`MerkleError::RootMismatch`].
pub fn verify_inclusion(
    leaf: &LeafHash,
    index: u64,
    size: u64,
    proof: &[NodeHash],
    root: &Root,
) -> Result<(), MerkleError> {
    let expected = inclusion_proof_length(index, size).ok_or(MerkleError::IndexOutOfRange { index, size })?;
    check_length(proof, expected)?;
    let (inner, border) = proof.split_at(inner_levels(index, size - 1) as usize);
    let mut hash = NodeHash::from(*leaf);
    for (level, sibling) in inner.iter().enumerate() {
        hash =
            if is_right_child(index, level) { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
    }
    check_root(size, fold_border(hash, border), root)
}

/// Builds the proof that the tree of the first `old` leaves is a prefix of that of the first `new`.
///
/// Empty when `old` is 0 or equals `new`: then there is nothing to prove beyond the roots.
///
/// # Errors
/// [`MerkleError::SizeBelowPrefix`] when `old` is above `new`, or what the reader reports.
pub fn consistency_proof<R: HashReader + ?Sized>(
    reader: &R,
    old: u64,
    new: u64,
) -> Result<Vec<NodeHash>, ProofReadError<R::Error>> {
    if old > new {
        return Err(MerkleError::SizeBelowPrefix { size: new, prefix: old }.into());
    }
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, new);
    while old != end {
        let middle = start + split(end - start);
        let (sibling_start, sibling_end);
        if old <= middle {
            (sibling_start, sibling_end) = (middle, end);
            end = middle;
        } else {
            (sibling_start, sibling_end) = (start, middle);
            start = middle;
        }
        proof.push(read_range_root(reader, sibling_start, sibling_end).map_err(ProofReadError::Reader)?);
    }
    // Where the old tree is itself a complete subtree at the left edge, the verifier has its root.
    if start != 0 {
        proof.push(read_range_root(reader, start, end).map_err(ProofReadError::Reader)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The number of hashes of a consistency proof, or `None` when `old` is above `new`.
#[must_use]
pub const fn consistency_proof_length(old: u64, new: u64) -> Option<usize> {
    if old > new {
        return None;
    }
    if old == 0 || old == new {
        return Some(0);
    }
    let inner = inner_levels(old - 1, new - 1);
    let seed = if old.is_power_of_two() { 0 } else { 1 };
    Some((seed + inner - old.trailing_zeros() + border_levels(old - 1, inner)) as usize)
}

/// Checks that the tree of `old` leaves with `old_root` is a prefix of that of `new` with `new_root`.
///
/// The old root is computed from the proof too: a proof that verifies for one pair of roots verifies
/// for no other.
///
/// # Errors
/// [`MerkleError::SizeBelowPrefix`], [`MerkleError::ProofLength`], [`MerkleError::RootMismatch`] for
/// whichever of the two roots is contradicted first, the old one before the new.
pub fn verify_consistency(
    old: u64,
    old_root: &Root,
    new: u64,
    new_root: &Root,
    proof: &[NodeHash],
) -> Result<(), MerkleError> {
    let expected =
        consistency_proof_length(old, new).ok_or(MerkleError::SizeBelowPrefix { size: new, prefix: old })?;
    check_length(proof, expected)?;
    if old == 0 {
        check_root(0, empty_root().into(), old_root)?;
        // The only tree without leaves has the root of nothing, also as the newer of the two.
        return if new == 0 { check_root(0, empty_root().into(), new_root) } else { Ok(()) };
    }
    if old == new {
        return check_root(new, (*old_root).into(), new_root);
    }
    let (seed, inner, border) = parts(old, old_root, new, proof);
    let path = (old - 1) >> old.trailing_zeros();
    let (mut old_hash, mut new_hash) = (seed, seed);
    for (level, sibling) in inner.iter().enumerate() {
        if is_right_child(path, level) {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
    }
    check_root(old, fold_border(old_hash, border), old_root)?;
    check_root(new, fold_border(new_hash, border), new_root)
}

/// The frontier of the tree of the first `old` leaves, which a consistency proof from there to a larger size holds:
/// its left siblings and its seed. It is authenticated by the old root alone.
///
/// # Errors
/// [`MerkleError::SizeBelowPrefix`] unless `old` is below `new`, [`MerkleError::ProofLength`],
/// [`MerkleError::RootMismatch`].
pub fn frontier_in_proof(
    old: u64,
    old_root: &Root,
    new: u64,
    proof: &[NodeHash],
) -> Result<Frontier, MerkleError> {
    let expected = consistency_proof_length(old, new)
        .filter(|_| old < new)
        .ok_or(MerkleError::SizeBelowPrefix { size: new, prefix: old })?;
    check_length(proof, expected)?;
    let mut hashes = Vec::new();
    if old > 0 {
        let (seed, inner, border) = parts(old, old_root, new, proof);
        let path = (old - 1) >> old.trailing_zeros();
        let left = inner.iter().enumerate().filter(|(level, _)| is_right_child(path, *level));
        hashes.push(seed);
        hashes.extend(left.map(|(_, sibling)| *sibling).chain(border.iter().copied()));
        hashes.reverse();
    }
    let frontier = Frontier::from_parts(old, hashes)?;
    check_root(old, frontier.root().into(), old_root)?;
    Ok(frontier)
}

/// A consistency proof of the right length between two sizes above 0: the largest complete subtree that ends the old
/// tree, at which both computations start, then the inner part and the border.
fn parts<'a>(
    old: u64,
    old_root: &Root,
    new: u64,
    proof: &'a [NodeHash],
) -> (NodeHash, &'a [NodeHash], &'a [NodeHash]) {
    let (seed, rest) = match proof.split_first() {
        Some((first, rest)) if !old.is_power_of_two() => (*first, rest),
        _ => (NodeHash::from(*old_root), proof),
    };
    let (inner, border) = rest.split_at((inner_levels(old - 1, new - 1) - old.trailing_zeros()) as usize);
    (seed, inner, border)
}

/// RFC 6962's `k`: the largest power of two below `width`, which is at least 2.
const fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// Levels at which the paths of `index` and of the last leaf have not met yet.
const fn inner_levels(index: u64, last: u64) -> u32 {
    u64::BITS - (index ^ last).leading_zeros()
}

/// Left siblings above the level where the paths have met; a missing right sibling adds no level.
const fn border_levels(index: u64, inner: u32) -> u32 {
    match index.checked_shr(inner) {
        Some(rest) => rest.count_ones(),
        None => 0,
    }
}

const fn is_right_child(path: u64, level: usize) -> bool {
    (path >> level) & 1 == 1
}

fn fold_border(hash: NodeHash, border: &[NodeHash]) -> NodeHash {
    border.iter().fold(hash, |right, left| node_hash(left, &right))
}

const fn check_length(proof: &[NodeHash], expected: usize) -> Result<(), MerkleError> {
    if proof.len() == expected {
        Ok(())
    } else {
        Err(MerkleError::ProofLength { expected, found: proof.len() })
    }
}

fn check_root(size: u64, computed: NodeHash, stated: &Root) -> Result<(), MerkleError> {
    let computed = Root::from(computed);
    if computed == *stated {
        Ok(())
    } else {
        Err(MerkleError::RootMismatch { size, computed, stated: *stated })
    }
}
