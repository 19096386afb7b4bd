//! Proofs and tiles, read from the tile column family and never beyond the published size.
//!
//! A proof for a smaller tree is built from the same tiles as one for the current tree: the hashes
//! of complete subtrees never change, and a tile's earlier states are prefixes of its present one.

use super::error::StoreError;
use super::{Store, tiles};
use hashpact_protocol::digest::{LogId, NodeHash};
use hashpact_protocol::merkle::{
    Frontier, HashReader, ProofReadError, TILE_WIDTH, TileHashes, TileId, TileReadError, consistency_proof,
    encode_bundle, inclusion_proof, read_frontier,
};
use hashpact_protocol::wire::ConsistencyAnswer;
use std::ops::ControlFlow;

impl Store {
    /// The proof that entry `index` is in the tree of `size` entries.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`], [`StoreError::Beyond`] the published size,
    /// [`StoreError::Merkle`] for an index outside, or damage.
    pub fn inclusion(&self, log: &LogId, index: u64, size: u64) -> Result<Vec<NodeHash>, StoreError> {
        self.check_readable(log, index, size)?;
        inclusion_proof(&self.hashes(log), index, size).map_err(|error| self.proof_error(log, error))
    }

    /// The proof that the tree of `old` entries is a prefix of the tree of `new` entries.
    ///
    /// # Errors
    /// As [`Store::inclusion`].
    pub fn consistency(&self, log: &LogId, old: u64, new: u64) -> Result<Vec<NodeHash>, StoreError> {
        self.check_readable(log, old, new)?;
        consistency_proof(&self.hashes(log), old, new).map_err(|error| self.proof_error(log, error))
    }

    /// How the size `old` of a log leads to its larger size `new`, which is stored but need not be visible:
    /// for the engine's own comparisons, and for peers within what the engine published.
    ///
    /// # Errors
    /// [`StoreError::Beyond`] the stored size, [`StoreError::Merkle`] unless `old` is below `new`, or damage.
    pub fn lead(&self, log: &LogId, old: u64, new: u64) -> Result<ConsistencyAnswer, StoreError> {
        let size = self.stored_size(log)?;
        if new > size {
            return Err(StoreError::Beyond { log: *log, start: old, end: new, size });
        }
        let hashes = self.hashes(log);
        let bytes = |hashes: Vec<NodeHash>| hashes.iter().map(|hash| *hash.as_bytes()).collect();
        let inclusion = inclusion_proof(&hashes, old, new).map_err(|error| self.proof_error(log, error))?;
        let consistency =
            consistency_proof(&hashes, old, new).map_err(|error| self.proof_error(log, error))?;
        let leaf = hashes.node(0, old).map_err(|error| self.tile_error(log, error))?;
        Ok(ConsistencyAnswer {
            old_root: *self.frontier_at(log, old)?.root().as_bytes(),
            consistency: bytes(consistency),
            leaf: *leaf.as_bytes(),
            inclusion: bytes(inclusion),
        })
    }

    /// The bytes of a hash tile, or `None` if the published tree has no such tile of that width.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`], or damage.
    pub fn tile(&self, log: &LogId, id: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        let readable = self.readable(log)?;
        let widest = TileId::in_tree(id.level, id.index, readable).map_or(0, |tile| tile.width);
        if id.width == 0 || id.width > widest {
            return Ok(None);
        }
        let (level, index, needed) = (id.level, id.index, usize::from(id.width));
        let hashes = self.load_tile(log, level, index)?;
        let Some(hashes_wanted) = hashes.get(..needed) else {
            return Err(StoreError::TileShort { log: *log, level, index, hashes: hashes.len(), needed });
        };
        Ok(Some(hashpact_protocol::merkle::encode_tile(hashes_wanted)))
    }

    /// An entry bundle (each leaf behind its length in two bytes), or `None` if the published tree
    /// does not have these entries.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`], or damage.
    pub fn entry_bundle(&self, log: &LogId, index: u64, width: u16) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(tile) = TileId::in_tree(0, index, self.readable(log)?) else {
            return Ok(None);
        };
        if width == 0 || width > tile.width {
            return Ok(None);
        }
        let start = index * u64::from(TILE_WIDTH);
        let mut leaves = Vec::with_capacity(usize::from(width));
        self.for_each_entry(log, start, start + u64::from(width), |_, leaf, _| {
            leaves.push(leaf.to_vec());
            ControlFlow::Continue(())
        })?;
        Ok(Some(encode_bundle(leaves.iter().map(Vec::as_slice))?))
    }

    /// Peaks of a log's stored tree at a size, visible or not, computed from its tiles: what start-up
    /// compares with the lock.
    ///
    /// # Errors
    /// A tile is missing or damaged.
    pub fn frontier_at(&self, log: &LogId, size: u64) -> Result<Frontier, StoreError> {
        read_frontier(&self.hashes(log), size).map_err(|error| self.tile_error(log, error))
    }

    /// A reader of tree hashes, not bounded by what is published.
    pub(crate) fn hashes<'a>(
        &'a self,
        log: &'a LogId,
    ) -> impl HashReader<Error = TileReadError<StoreError>> + 'a {
        TileHashes::new(move |level, index| self.load_tile(log, level, index))
    }

    /// A stored tile at its present width; empty if there is none.
    pub(super) fn load_tile(&self, log: &LogId, level: u8, index: u64) -> Result<Vec<NodeHash>, StoreError> {
        let value = self.db.get_pinned_cf(self.family(tiles::FAMILY), tiles::key(log, level, index))?;
        value.map_or_else(|| Ok(Vec::new()), |value| tiles::decode(log, level, index, &value))
    }

    /// Names the log in an error of the tile reader.
    pub(super) fn tile_error(&self, log: &LogId, error: TileReadError<StoreError>) -> StoreError {
        let log = *log;
        match error {
            TileReadError::Load(error) => error,
            TileReadError::Short { level, index, needed, found } => {
                StoreError::TileShort { log, level, index, hashes: found, needed }
            }
            // The remaining variant names a node that no tree has; callers stay below stored sizes.
            _ => StoreError::Proof(log),
        }
    }

    pub(super) fn proof_error(
        &self,
        log: &LogId,
        error: ProofReadError<TileReadError<StoreError>>,
    ) -> StoreError {
        match error {
            ProofReadError::Reader(error) => self.tile_error(log, error),
            ProofReadError::Range(error) => StoreError::Merkle(error),
            _ => StoreError::Proof(*log),
        }
    }

    pub(super) fn check_readable(&self, log: &LogId, start: u64, end: u64) -> Result<(), StoreError> {
        let size = self.readable(log)?;
        if end > size { Err(StoreError::Beyond { log: *log, start, end, size }) } else { Ok(()) }
    }
}
