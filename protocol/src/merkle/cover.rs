//! Covers: the fewest complete subtrees that tile a range of leaves.

use super::{Frontier, HashReader, NodeId};
use crate::digest::{NodeHash, Root, node_hash};

/// The maximal aligned complete subtrees that tile the leaves `[end, size)`, left to right.
///
/// At each position the largest subtree is taken whose width divides the position and that ends
/// within the range: widths first grow, then shrink, so there are fewer than 128. Empty when
/// `size <= end`. With `end` 0 these are the subtrees of the [`Frontier`] of `size`.
#[must_use]
pub fn right_cover(end: u64, size: u64) -> Vec<NodeId> {
    let mut cover = Vec::new();
    let mut position = end;
    while position < size {
        let fits = (size - position).ilog2();
        let level = position.trailing_zeros().min(fits);
        cover.push(NodeId {
            level: u8::try_from(level).expect("a level is at most 63"),
            index: position >> level,
        });
        position += 1_u64 << level;
    }
    cover
}

/// Reads the hashes of [`right_cover`].
///
/// # Errors
/// Whatever the reader reports.
pub fn read_cover<R: HashReader + ?Sized>(
    reader: &R,
    end: u64,
    size: u64,
) -> Result<Vec<NodeHash>, R::Error> {
    right_cover(end, size).iter().map(|node| reader.node(node.level, node.index)).collect()
}

/// Reads the frontier of the first `size` leaves; `size` is that of a tree the reader holds.
///
/// # Errors
/// Whatever the reader reports.
pub fn read_frontier<R: HashReader + ?Sized>(reader: &R, size: u64) -> Result<Frontier, R::Error> {
    let hashes = read_cover(reader, 0, size)?;
    Ok(Frontier::from_parts(size, hashes).expect("a cover from 0 has one hash per set bit of a held size"))
}

/// Reads the root of the first `size` leaves.
///
/// # Errors
/// Whatever the reader reports.
pub fn read_root<R: HashReader + ?Sized>(reader: &R, size: u64) -> Result<Root, R::Error> {
    Ok(read_frontier(reader, size)?.root())
}

/// The Merkle tree hash of the leaves `[start, end)`, for ranges that RFC 6962's recursion meets:
/// not empty, and starting at a multiple of a power of two that is no smaller than the range.
pub(super) fn read_range_root<R: HashReader + ?Sized>(
    reader: &R,
    start: u64,
    end: u64,
) -> Result<NodeHash, R::Error> {
    let mut subtrees = right_cover(start, end).into_iter().rev();
    let last = subtrees.next().expect("the recursion never splits off an empty range");
    subtrees.try_fold(reader.node(last.level, last.index)?, |right, left| {
        Ok(node_hash(&reader.node(left.level, left.index)?, &right))
    })
}
