//! The frontier: everything needed to append to a tree and to know its root.

use super::{MerkleError, TREE_SIZE_MAX, right_cover};
use crate::digest::{LeafHash, NodeHash, Root, empty_root, node_hash};

/// The roots of the complete subtrees that tile the leaves of a tree, largest (leftmost) first.
///
/// There is one subtree for each set bit of the size. Two logs with equal frontiers have equal leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frontier {
    size: u64,
    hashes: Vec<NodeHash>,
}

impl Default for Frontier {
    fn default() -> Self {
        Self::empty()
    }
}

impl Frontier {
    /// The frontier of the tree without leaves.
    #[must_use]
    pub const fn empty() -> Self {
        Self { size: 0, hashes: Vec::new() }
    }

    /// Rebuilds a frontier from stored parts, largest subtree first.
    ///
    /// # Errors
    /// [`MerkleError::FrontierLength`] unless there is one hash per set bit of `size`;
    /// [`MerkleError::TooLarge`] above [`TREE_SIZE_MAX`].
    pub fn from_parts(size: u64, hashes: Vec<NodeHash>) -> Result<Self, MerkleError> {
        if size > TREE_SIZE_MAX {
            return Err(MerkleError::TooLarge { size, level: 0 });
        }
        let expected = size.count_ones() as usize;
        if hashes.len() != expected {
            return Err(MerkleError::FrontierLength { size, expected, found: hashes.len() });
        }
        Ok(Self { size, hashes })
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The subtree roots, largest first.
    #[must_use]
    pub fn hashes(&self) -> &[NodeHash] {
        &self.hashes
    }

    /// Adds one leaf on the right.
    pub fn append(&mut self, leaf: LeafHash) {
        self.append_subtree(0, leaf.into())
            .expect("a leaf is always aligned, and no log reaches 2^63 entries one by one");
    }

    /// Adds a complete subtree of `2^level` leaves on the right, by its root.
    ///
    /// # Errors
    /// [`MerkleError::Misaligned`] unless `2^level` divides the size; [`MerkleError::TooLarge`].
    pub fn append_subtree(&mut self, level: u8, subtree: NodeHash) -> Result<(), MerkleError> {
        let too_large = MerkleError::TooLarge { size: self.size, level };
        let width = 1_u64.checked_shl(u32::from(level)).ok_or(too_large)?;
        let size = self.size.checked_add(width).filter(|size| *size <= TREE_SIZE_MAX).ok_or(too_large)?;
        if !self.size.is_multiple_of(width) {
            return Err(MerkleError::Misaligned { size: self.size, level });
        }
        // Each set bit of the size from `level` upwards is a subtree that the new one completes.
        let mut hash = subtree;
        for _ in 0..(self.size >> level).trailing_ones() {
            let left = self.hashes.pop().expect("one hash per set bit of the size");
            hash = node_hash(&left, &hash);
        }
        self.hashes.push(hash);
        self.size = size;
        Ok(())
    }

    /// The Merkle tree hash of all leaves.
    #[must_use]
    pub fn root(&self) -> Root {
        let mut subtrees = self.hashes.iter().rev();
        let Some(last) = subtrees.next() else {
            return empty_root();
        };
        subtrees.fold(*last, |right, left| node_hash(left, &right)).into()
    }

    /// The root of the tree of `size` leaves that starts with these leaves and continues with the
    /// subtrees of `cover`, which tile `[self.size(), size)` as [`right_cover`] says.
    ///
    /// When the result equals a signed root of that size, every leaf of this frontier is proven to
    /// be in the signed tree, at its place.
    ///
    /// # Errors
    /// [`MerkleError::SizeBelowPrefix`], [`MerkleError::CoverLength`], [`MerkleError::TooLarge`].
    pub fn root_with_cover(&self, size: u64, cover: &[NodeHash]) -> Result<Root, MerkleError> {
        if size < self.size {
            return Err(MerkleError::SizeBelowPrefix { size, prefix: self.size });
        }
        let subtrees = right_cover(self.size, size);
        if subtrees.len() != cover.len() {
            return Err(MerkleError::CoverLength {
                start: self.size,
                size,
                expected: subtrees.len(),
                found: cover.len(),
            });
        }
        let mut whole = self.clone();
        for (subtree, hash) in subtrees.iter().zip(cover) {
            whole.append_subtree(subtree.level, *hash)?;
        }
        Ok(whole.root())
    }
}
