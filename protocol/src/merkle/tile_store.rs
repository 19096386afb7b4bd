//! Writing tiles while a log grows, and reading any tree hash back from tiles.
//!
//! The writer keeps only the rightmost, partial tile of each level. One batch of appends yields every
//! tile whose content changed, whole from its start, so that storing them is a plain overwrite and a
//! tile is never patched in place. Tiles derive from the leaves: losing them costs a rebuild only.

use super::tiles::{TILE_HEIGHT, TILE_WIDTH, hashes_at, rightmost_tiles};
use super::{HashReader, MerkleError, TREE_SIZE_MAX};
use crate::digest::{LeafHash, NodeHash, node_hash};

/// Produces the tiles that a batch of appended leaves touches.
#[derive(Clone, Debug)]
pub struct TileWriter {
    size: u64,
    levels: Vec<Level>,
    filled: Vec<(u8, u64, Vec<NodeHash>)>,
}

#[derive(Clone, Debug, Default)]
struct Level {
    partial: Vec<NodeHash>,
    is_touched: bool,
}

impl TileWriter {
    /// Resumes at `size` leaves. `rightmost` has one list per level that holds any hash, level 0
    /// first: the hashes of its partial tile, empty where whole tiles hold everything
    /// (see [`rightmost_tiles`]).
    ///
    /// # Errors
    /// [`MerkleError::TileWidth`] when a list is missing, superfluous or of another width than
    /// `size` implies; [`MerkleError::TooLarge`] above [`TREE_SIZE_MAX`].
    pub fn new(size: u64, rightmost: Vec<Vec<NodeHash>>) -> Result<Self, MerkleError> {
        if size > TREE_SIZE_MAX {
            return Err(MerkleError::TooLarge { size, level: 0 });
        }
        let expected = rightmost_tiles(size);
        let levels = expected.len().max(rightmost.len());
        for (level, index) in (0..=u8::MAX).zip(0..levels) {
            let width = expected.get(index).copied().flatten().map_or(0, |tile| usize::from(tile.width));
            let found = rightmost.get(index).map(Vec::len);
            if found != Some(width) || index >= expected.len() {
                return Err(MerkleError::TileWidth {
                    size,
                    level,
                    expected: width,
                    found: found.unwrap_or(0),
                });
            }
        }
        let levels = rightmost.into_iter().map(|partial| Level { partial, is_touched: false }).collect();
        Ok(Self { size, levels, filled: Vec::new() })
    }

    /// Number of leaves so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds one leaf on the right.
    pub fn append(&mut self, leaf: LeafHash) {
        self.size = self.size.checked_add(1).expect("no log reaches 2^64 entries one by one");
        let mut hash = NodeHash::from(leaf);
        for level in 0..TILE_HEIGHT {
            let tile = self.push(level, hash);
            let Some(full) = tile else { return };
            hash = complete_root(&full).expect("a full tile has 256 hashes");
            let index = hashes_at(level + 1, self.size) - 1;
            self.filled.push((level, index, full));
        }
    }

    /// The touched tiles since the last call, as (level, index, hashes from the tile's start); the
    /// writer then starts a new batch. A tile that only partial content reached is listed once.
    pub fn finish(&mut self) -> Vec<(u8, u64, Vec<NodeHash>)> {
        let mut tiles = core::mem::take(&mut self.filled);
        for (number, level) in (0..=u8::MAX).zip(&mut self.levels) {
            if core::mem::take(&mut level.is_touched) && !level.partial.is_empty() {
                tiles.push((number, hashes_at(number + 1, self.size), level.partial.clone()));
            }
        }
        tiles
    }

    /// The hashes of each level's partial tile, as [`TileWriter::new`] takes them.
    #[must_use]
    pub fn rightmost(&self) -> Vec<Vec<NodeHash>> {
        self.levels.iter().map(|level| level.partial.clone()).collect()
    }

    /// Adds a hash to a level, and takes the tile out when that fills it.
    fn push(&mut self, level: u8, hash: NodeHash) -> Option<Vec<NodeHash>> {
        if self.levels.len() == usize::from(level) {
            self.levels.push(Level::default());
        }
        let slot = self.levels.get_mut(usize::from(level)).expect("levels are filled from 0 upwards");
        slot.partial.push(hash);
        slot.is_touched = true;
        (slot.partial.len() == usize::from(TILE_WIDTH)).then(|| core::mem::take(&mut slot.partial))
    }
}

/// Why a tree hash could not be read from tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileReadError<E> {
    /// The tile could not be loaded.
    #[error("loading a tile: {0}")]
    Load(E),
    /// The tile has fewer hashes than the subtree needs: it is stale or cut off.
    #[error("tile {index} of level {level} has {found} hashes, {needed} are needed")]
    Short {
        /// Tile level.
        level: u8,
        /// Tile index.
        index: u64,
        /// Hashes needed, counted from the tile's start.
        needed: usize,
        /// Hashes loaded.
        found: usize,
    },
    /// No tree of 64-bit size has a complete subtree with this name.
    #[error("no tree has a subtree number {index} of level {level}")]
    NoSuchNode {
        /// Level asked for.
        level: u8,
        /// Index asked for.
        index: u64,
    },
}

/// Reads tree hashes from tiles that a closure loads by (tile level, tile index), at the greatest
/// width it has. Levels between those of the tiles are hashed together on the way.
#[derive(Clone, Copy, Debug)]
pub struct TileHashes<F> {
    load: F,
}

impl<F> TileHashes<F> {
    /// Wraps the loader.
    pub const fn new(load: F) -> Self {
        Self { load }
    }
}

impl<E, F: Fn(u8, u64) -> Result<Vec<NodeHash>, E>> HashReader for TileHashes<F> {
    type Error = TileReadError<E>;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Self::Error> {
        let no_such_node = TileReadError::NoSuchNode { level, index };
        let (tile_level, height) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        // Subtree `index` covers hashes [index · 2^height, (index + 1) · 2^height) of the tile level.
        let tiles_shift = TILE_HEIGHT - height;
        let tile_index = index >> tiles_shift;
        if u64::from(level) >= u64::from(u64::BITS) {
            return Err(no_such_node);
        }
        let within = index - (tile_index << tiles_shift);
        let start = usize::try_from(within << height).map_err(|_| no_such_node)?;
        let needed = start + (1_usize << height);
        let hashes = (self.load)(tile_level, tile_index).map_err(TileReadError::Load)?;
        hashes.get(start..needed).and_then(complete_root).ok_or(TileReadError::Short {
            level: tile_level,
            index: tile_index,
            needed,
            found: hashes.len(),
        })
    }
}

/// The root over a power of two of sibling hashes; `None` for any other number of them.
fn complete_root(hashes: &[NodeHash]) -> Option<NodeHash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied()
}
