//! Merkle trees over log entries, exactly as in RFC 6962 §2.1.
//!
//! A log is a list of leaf hashes; its tree is never stored whole. Three views of it suffice:
//!
//! - [`Frontier`]: the roots of the complete subtrees that tile `[0, size)`, at most 64 hashes. It
//!   appends, gives the root, and, with the [cover](right_cover) of `[n, size)` sent by a peer,
//!   checks that a prefix of `n` entries belongs to a signed root of a larger size;
//! - [tiles](TileWriter): runs of 256 hashes at every eighth level, as stored and as served (C2SP
//!   tlog-tiles);
//! - proofs: [inclusion](verify_inclusion) and [consistency](verify_consistency), built from any
//!   [`HashReader`] and verified from nothing but numbers and hashes.
//!
//! This module decides nothing about trust: where a root comes from is the business of
//! `checkpoint`, and which roots may be compared is decided by `hashpact-core`. Nothing in here
//! panics or allocates in proportion to a number received; every size up to `u64::MAX` is safe to pass.
//! Specified in SPEC §4.
//!
//! ```
//! use hashpact_protocol::digest::leaf_hash;
//! use hashpact_protocol::merkle::Frontier;
//! let mut all = Frontier::empty();
//! let mut prefix = Frontier::empty();
//! for entry in [b"a", b"b", b"c"] {
//!     all.append(leaf_hash(entry));
//! }
//! prefix.append(leaf_hash(b"a"));
//! prefix.append(leaf_hash(b"b"));
//! // [2, 3) is covered by the leaf hash of "c".
//! assert_eq!(prefix.root_with_cover(3, &[leaf_hash(b"c").into()]), Ok(all.root()));
//! ```

mod cover;
mod frontier;
mod proofs;
mod tile_store;
mod tiles;

use crate::digest::{NodeHash, Root};

pub use cover::{read_cover, read_frontier, read_root, right_cover};
pub use frontier::Frontier;
pub use proofs::{
    consistency_proof, consistency_proof_length, frontier_in_proof, inclusion_proof, inclusion_proof_length,
    verify_consistency, verify_inclusion,
};
pub use tile_store::{TileHashes, TileReadError, TileWriter};
pub use tiles::{
    BUNDLE_ENTRY_MAX_BYTES, TILE_HEIGHT, TILE_WIDTH, TileId, decode_bundle, decode_tile, encode_bundle,
    encode_tile, entries_path, parse_entries_path, rightmost_tiles,
};

/// Largest size of any tree: a checkpoint that names a larger one is refused (SPEC §3.3).
pub const TREE_SIZE_MAX: u64 = i64::MAX as u64;

/// Most hashes that a proof, a frontier or either slope of a cover can have: one per level.
pub const LEVELS_MAX: usize = 64;

/// Why hashes do not fit a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MerkleError {
    /// A frontier has one hash for each set bit of its size.
    #[error("a frontier of size {size} has {expected} hashes, found {found}")]
    FrontierLength {
        /// Tree size stated.
        size: u64,
        /// Set bits of the size.
        expected: usize,
        /// Hashes given.
        found: usize,
    },
    /// A complete subtree can only be appended where its width divides the size.
    #[error("a subtree of level {level} does not fit behind {size} leaves")]
    Misaligned {
        /// Leaves so far.
        size: u64,
        /// Level of the subtree.
        level: u8,
    },
    /// Appending would exceed [`TREE_SIZE_MAX`].
    #[error("a tree of {size} leaves cannot grow by a subtree of level {level}")]
    TooLarge {
        /// Leaves so far.
        size: u64,
        /// Level of the subtree to append.
        level: u8,
    },
    /// The tree asked about is smaller than the part already known.
    #[error("a tree of size {size} does not contain the first {prefix} leaves")]
    SizeBelowPrefix {
        /// Size asked about.
        size: u64,
        /// Leaves known.
        prefix: u64,
    },
    /// A cover of `[start, size)` has another number of hashes.
    #[error("the cover of [{start}, {size}) has {expected} hashes, found {found}")]
    CoverLength {
        /// First leaf covered.
        start: u64,
        /// One past the last leaf covered.
        size: u64,
        /// Hashes such a cover has.
        expected: usize,
        /// Hashes given.
        found: usize,
    },
    /// The index is not in the tree.
    #[error("index {index} is not in a tree of size {size}")]
    IndexOutOfRange {
        /// Index asked about.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// A proof between these numbers has another number of hashes.
    #[error("the proof has {found} hashes, expected {expected}")]
    ProofLength {
        /// Hashes such a proof has.
        expected: usize,
        /// Hashes given.
        found: usize,
    },
    /// The hashes lead to another root than the one stated.
    #[error("the hashes lead to root {computed}, the tree of size {size} has {stated}")]
    RootMismatch {
        /// Size of the tree whose root is contradicted.
        size: u64,
        /// Root that the hashes lead to.
        computed: Root,
        /// Root that was stated.
        stated: Root,
    },
    /// Tiles given to a writer do not have the widths that its size implies.
    #[error("the rightmost tile of level {level} at size {size} has {expected} hashes, found {found}")]
    TileWidth {
        /// Tree size stated.
        size: u64,
        /// Tile level.
        level: u8,
        /// Width that the size implies.
        expected: usize,
        /// Hashes given.
        found: usize,
    },
    /// A tile is 1 to 256 hashes of 32 bytes.
    #[error("{bytes} bytes are not a tile of 1 to 256 hashes")]
    TileBytes {
        /// Bytes found.
        bytes: usize,
    },
    /// The path of a tile or of an entry bundle is not in the one form that SPEC §4.5 gives it.
    #[error("not the path of a tile")]
    TilePath,
    /// An entry bundle ends in the middle of an entry, or has more than 256 of them.
    #[error("entry bundle is broken at byte {offset}")]
    Bundle {
        /// Offset of the entry that does not fit.
        offset: usize,
    },
    /// An entry is longer than the 16-bit length of a bundle can say.
    #[error("an entry of {bytes} bytes does not fit into a bundle")]
    BundleEntry {
        /// Length of the entry.
        bytes: usize,
    },
}

/// Names the root of a complete subtree: the leaves `[index · 2^level, (index + 1) · 2^level)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Height above the leaves, 0 for a leaf hash.
    pub level: u8,
    /// Position among the complete subtrees of this level.
    pub index: u64,
}

/// Where the hashes of complete subtrees come from: a database, tiles, a list in memory.
///
/// Callers ask only for subtrees that are complete at the size they work with.
pub trait HashReader {
    /// What can go wrong when reading.
    type Error;

    /// The root of complete subtree number `index` of `2^level` leaves.
    ///
    /// # Errors
    /// Whatever the source reports.
    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Self::Error>;
}

/// Why a proof could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofReadError<E> {
    /// The numbers name no such proof.
    #[error(transparent)]
    Range(#[from] MerkleError),
    /// The source of hashes failed.
    #[error("reading tree hashes: {0}")]
    Reader(E),
}
