//! Damaged rows of a log that other members hold, written again.
//!
//! What is written was proven under a signed root by whoever decided on it; here it is put where it
//! belongs, in one synced step: leaves, places, the tiles of the leaves, and payloads that do not meet
//! their leaf. Upper tiles are rewritten apart ([`Store::rewrite_tiles`]), when the whole tree was read again and
//! has the signed root.
//!
//! This mends rows. A block of a table file that RocksDB cannot read is not mended by writing its rows
//! again, because a later compaction would still have to read it: `hashpact-node repair` copies what is readable to
//! a new database instead.

use super::error::StoreError;
use super::{PayloadRef, Store, codec, erase, leaves, payloads, places, tiles};
use hashpact_core::effect::{Place, RepairBatch, StoredPayload};
use hashpact_protocol::digest::{LogId, NodeHash, leaf_hash};
use hashpact_protocol::leaf::check_commitment;
use hashpact_protocol::merkle::{TILE_WIDTH, TileId, TileWriter, encode_tile};

impl Store {
    /// Stores entries in the place of damaged ones, synced; gives of how many no payload is here now.
    ///
    /// # Errors
    /// Refusals that change nothing: [`StoreError::UnknownLog`], [`StoreError::Beyond`]. Then the process must stop:
    /// [`StoreError::OutcomeUnknown`], [`StoreError::Poisoned`], or RocksDB's own.
    pub fn repair(&self, batch: &RepairBatch) -> Result<u64, StoreError> {
        let mut writer = self.writer()?;
        let size = self.stored_size(&batch.log)?;
        let end = batch.start.saturating_add(batch.leaves.len() as u64);
        if end > size {
            return Err(StoreError::Beyond { log: batch.log, start: batch.start, end, size });
        }
        let mut rows = rocksdb::WriteBatch::default();
        for (index, leaf) in (batch.start..).zip(&batch.leaves) {
            rows.put_cf(self.family(leaves::FAMILY), codec::entry_key(&batch.log, index), leaf);
            let place = Place { log: batch.log, index, leaf: leaf_hash(leaf) };
            rows.put_cf(self.family(places::FAMILY), places::key(&place), []);
        }
        let width = u64::from(TILE_WIDTH);
        for tile in batch.start / width..end.div_ceil(width) {
            let hashes = self.repaired_tile(batch, tile, size)?;
            let key = tiles::key(&batch.log, 0, tile);
            rows.put_cf(self.family(tiles::FAMILY), key, encode_tile(&hashes));
        }
        let mut payloads_missing = 0;
        for (index, payload) in &batch.payloads {
            let at = index.checked_sub(batch.start).and_then(|at| usize::try_from(at).ok());
            let Some(leaf) = at.and_then(|at| batch.leaves.get(at)) else { continue };
            let key = codec::entry_key(&batch.log, *index);
            if self.is_whole(&key, leaf)? {
                continue;
            }
            rows.put_cf(self.family(payloads::FAMILY), key, payloads::encode(payload)?);
            self.note_state(&mut rows, &key, payload);
            payloads_missing += u64::from(*payload == StoredPayload::NotHere);
            if erase::is_listed(payload) {
                // What was damaged may have been most of what must be destroyed.
                rows.put_cf(self.family(erase::PURGING), key, []);
            }
        }
        self.commit(&mut writer, rows)?;
        // The tile that still grows is also in memory, as it was read at the start.
        let rightmost = TileWriter::new(size, self.rightmost(&batch.log, size)?)?;
        writer.renew_tiles(&batch.log, rightmost);
        Ok(payloads_missing)
    }

    /// Writes upper tiles again that differ from what the leaves lead to, synced.
    ///
    /// # Errors
    /// [`StoreError::OutcomeUnknown`], [`StoreError::Poisoned`], or a tile below that cannot be read.
    pub fn rewrite_tiles(&self, log: &LogId, wrong: &[(u8, u64, Vec<NodeHash>)]) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        let size = self.stored_size(log)?;
        let mut rows = rocksdb::WriteBatch::default();
        for (level, index, hashes) in wrong {
            // It may have grown since it was compared: what was added is right, for the writer made it.
            let grown = self.load_tile(log, *level, *index).unwrap_or_default();
            let mut whole = hashes.clone();
            whole.extend(grown.get(hashes.len()..).unwrap_or_default());
            rows.put_cf(self.family(tiles::FAMILY), tiles::key(log, *level, *index), encode_tile(&whole));
        }
        self.commit(&mut writer, rows)?;
        let rightmost = TileWriter::new(size, self.rightmost(log, size)?)?;
        writer.renew_tiles(log, rightmost);
        Ok(())
    }

    /// The hashes of a tile of leaves: of those given, and of the stored ones around them.
    fn repaired_tile(&self, batch: &RepairBatch, tile: u64, size: u64) -> Result<Vec<NodeHash>, StoreError> {
        let first = tile * u64::from(TILE_WIDTH);
        let wide = TileId::in_tree(0, tile, size).map_or(0, |tile| u64::from(tile.width));
        let stored = self.load_tile(&batch.log, 0, tile).unwrap_or_default();
        let mut hashes = Vec::new();
        for (position, index) in (first..first + wide).enumerate() {
            let given = index.checked_sub(batch.start).and_then(|at| usize::try_from(at).ok());
            let hash = match (given.and_then(|at| batch.leaves.get(at)), stored.get(position)) {
                (Some(leaf), _) => leaf_hash(leaf).into(),
                // What stands beside the run is another run's business.
                (None, Some(hash)) => *hash,
                (None, None) => {
                    let key = codec::entry_key(&batch.log, index);
                    let family = leaves::FAMILY;
                    let leaf = self.db.get_pinned_cf(self.family(family), key)?;
                    let missing = StoreError::EntryMissing { family, log: batch.log, index };
                    leaf_hash(&leaf.ok_or(missing)?).into()
                }
            };
            hashes.push(hash);
        }
        Ok(hashes)
    }

    /// Whether what stands beside a leaf is in order.
    fn is_whole(&self, key: &[u8; codec::ENTRY_KEY_BYTES], leaf: &[u8]) -> Result<bool, StoreError> {
        let Some(stored) = self.db.get_pinned_cf(self.family(payloads::FAMILY), key)? else {
            return Ok(false);
        };
        Ok(match payloads::decode(&stored) {
            Ok(PayloadRef::Present { salt, padded } | PayloadRef::Sealed { salt, padded, .. }) => {
                places::named_place(leaf).is_none() || check_commitment(leaf, &salt, padded).is_ok()
            }
            // Another state may be a flipped byte of the state itself; the peer's answer is as good.
            Ok(_) | Err(_) => false,
        })
    }
}
