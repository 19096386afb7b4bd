//! The write path: one engine step becomes one synced batch.
//!
//! Everything that can be refused is refused before the database is touched: a batch that does not
//! start where the log ends, a frontier that its leaves do not lead to, a note that signs more than
//! will be stored. After that there is one call, and it either returns with the batch on disk or
//! leaves the outcome unknown; then the store takes no further write until it is opened again, so
//! that nothing builds on a guess.
//!
//! The frontier and the tiles are computed here a second time, from the leaves that are about to be
//! stored, and compared with the engine's: a bit that flipped in one of the two computations is
//! found before anything is signed.

use super::error::StoreError;
use super::{
    Store, codec, erase, heads, idempotency, leaves, notes, options, payloads, places, priority, tiles,
};
use hashpact_core::effect::{Place, SizedNote, StoredPayload, WriteBatch};
use hashpact_protocol::digest::{LogId, NodeHash, leaf_hash};
use hashpact_protocol::leaf::is_overtaking;
use hashpact_protocol::limits::ENTRY_LEAF_MAX_BYTES;
use hashpact_protocol::merkle::{Frontier, TileWriter, encode_tile, rightmost_tiles};
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

/// What the writer knows about every log without reading the database.
#[derive(Default)]
pub(super) struct Writer {
    /// Set while a write is on its way, and left set if it failed or panicked.
    in_doubt: bool,
    logs: BTreeMap<LogId, LogState>,
}

impl Writer {
    /// Takes the growing tiles of a log as they are stored now.
    pub(super) fn renew_tiles(&mut self, log: &LogId, tiles: TileWriter) {
        if let Some(state) = self.logs.get_mut(log) {
            state.tiles = tiles;
        }
    }
}

/// Where one log ends.
#[derive(Clone)]
struct LogState {
    frontier: Frontier,
    tiles: TileWriter,
    note: Option<SizedNote>,
}

impl LogState {
    fn empty() -> Self {
        let tiles = TileWriter::new(0, Vec::new()).expect("an empty tree has no tiles");
        Self { frontier: Frontier::empty(), tiles, note: None }
    }
}

impl Store {
    /// Stores a batch and syncs it; with `read_back`, returns its leaves as the database has them.
    ///
    /// # Errors
    /// Refusals that change nothing: [`StoreError::Start`], [`StoreError::Origin`],
    /// [`StoreError::LeafTooLong`], [`StoreError::FrontierMismatch`], [`StoreError::NoteBeyond`],
    /// [`StoreError::NoteBackwards`], [`StoreError::ValueTooLong`], [`StoreError::Key`]. Then the
    /// process must stop: [`StoreError::OutcomeUnknown`], [`StoreError::Poisoned`], and anything
    /// that reading back reports.
    pub fn write(&self, batch: &WriteBatch) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self.write_together(&[batch])?.pop().unwrap_or_default())
    }

    /// Stores batches that follow one another with one sync; leaves for each, in their order.
    ///
    /// # Errors
    /// As [`Store::write`]; one that is refused refuses all of them.
    pub fn write_together(&self, batches: &[&WriteBatch]) -> Result<Vec<Vec<Vec<u8>>>, StoreError> {
        let mut writer = self.writer()?;
        let mut rows = rocksdb::WriteBatch::default();
        let mut states: BTreeMap<LogId, LogState> = BTreeMap::new();
        for batch in batches {
            let held = || writer.logs.get(&batch.log).cloned().unwrap_or_else(LogState::empty);
            self.add_rows(batch, states.entry(batch.log).or_insert_with(held), &mut rows)?;
        }
        self.commit(&mut writer, rows)?;
        let mut sizes = self.sizes.write().unwrap_or_else(PoisonError::into_inner);
        for (log, state) in states {
            sizes.insert(log, state.frontier.size());
            writer.logs.insert(log, state);
        }
        drop((sizes, writer));
        let read_back = |batch: &&WriteBatch| match batch.read_back {
            true => self.read_leaves(&batch.log, batch.start, batch.start + batch.entries.len() as u64),
            false => Ok(Vec::new()),
        };
        batches.iter().map(read_back).collect()
    }

    /// Takes the writer's place, unless an earlier write is in doubt.
    pub(super) fn writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        // A panic while it was held left `in_doubt` as it was at that moment, which is what counts.
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.in_doubt { Err(StoreError::Poisoned) } else { Ok(writer) }
    }

    /// Writes rows with a sync.
    pub(super) fn commit(&self, writer: &mut Writer, rows: rocksdb::WriteBatch) -> Result<(), StoreError> {
        writer.in_doubt = true;
        self.db.write_opt(rows, &options::synced()).map_err(StoreError::OutcomeUnknown)?;
        writer.in_doubt = false;
        Ok(())
    }

    /// Keeps a note without a sync, if it is not older than the one kept. `true` if it changed.
    pub(super) fn keep_note(&self, log: &LogId, origin: &str, note: &SizedNote) -> Result<bool, StoreError> {
        let mut writer = self.writer()?;
        let Some(state) = writer.logs.get_mut(log) else {
            return Err(StoreError::UnknownLog(*log));
        };
        check_note(state, origin, note)?;
        if state.note.as_ref() == Some(note) {
            return Ok(false);
        }
        let value = notes::encode(note)?;
        self.db.put_cf_opt(self.family(notes::FAMILY), log.as_bytes(), value, &options::unsynced())?;
        state.note = Some(note.clone());
        Ok(true)
    }

    /// Fills the writer's memory from the database.
    pub(super) fn load_writer(&self) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        let mut sizes = self.sizes.write().unwrap_or_else(PoisonError::into_inner);
        for head in self.heads()? {
            let frontier = Frontier::from_parts(head.size, head.frontier)?;
            let tiles = TileWriter::new(head.size, self.rightmost(&head.log, head.size)?)?;
            sizes.insert(head.log, head.size);
            writer.logs.insert(head.log, LogState { frontier, tiles, note: head.note });
        }
        Ok(())
    }

    /// The partial tile of every level at `size`.
    pub(super) fn rightmost(&self, log: &LogId, size: u64) -> Result<Vec<Vec<NodeHash>>, StoreError> {
        let load = |id: hashpact_protocol::merkle::TileId| {
            let mut hashes = self.load_tile(log, id.level, id.index)?;
            let needed = usize::from(id.width);
            if hashes.len() < needed {
                let (level, index) = (id.level, id.index);
                return Err(StoreError::TileShort { log: *log, level, index, hashes: hashes.len(), needed });
            }
            hashes.truncate(needed);
            Ok(hashes)
        };
        rightmost_tiles(size).into_iter().map(|id| id.map_or_else(|| Ok(Vec::new()), load)).collect()
    }

    /// Checks a batch and adds its rows; `state` advances to behind it.
    fn add_rows(
        &self,
        batch: &WriteBatch,
        state: &mut LogState,
        rows: &mut rocksdb::WriteBatch,
    ) -> Result<(), StoreError> {
        check_start(batch, state)?;
        for (index, entry) in (batch.start..).zip(&batch.entries) {
            if !leaves::is_leaf_length(entry.leaf.len()) {
                return Err(StoreError::LeafTooLong {
                    origin: batch.origin.clone(),
                    index,
                    len_bytes: entry.leaf.len(),
                    max_bytes: ENTRY_LEAF_MAX_BYTES,
                });
            }
            let leaf = leaf_hash(&entry.leaf);
            state.frontier.append(leaf);
            state.tiles.append(leaf);
            let key = codec::entry_key(&batch.log, index);
            rows.put_cf(self.family(leaves::FAMILY), key, &entry.leaf);
            rows.put_cf(self.family(payloads::FAMILY), key, payloads::encode(&entry.payload)?);
            if entry.payload == StoredPayload::NotHere || erase::is_listed(&entry.payload) {
                self.note_state(rows, &key, &entry.payload);
            }
            if is_overtaking(&entry.leaf, &batch.log, index) {
                rows.put_cf(self.family(priority::FAMILY), key, []);
            }
            let place = places::key(&Place { log: batch.log, index, leaf });
            rows.put_cf(self.family(places::FAMILY), place, []);
        }
        if state.frontier.hashes() != batch.frontier {
            let (origin, size) = (batch.origin.clone(), state.frontier.size());
            return Err(StoreError::FrontierMismatch { origin, size });
        }
        for (level, index, hashes) in state.tiles.finish() {
            rows.put_cf(
                self.family(tiles::FAMILY),
                tiles::key(&batch.log, level, index),
                encode_tile(&hashes),
            );
        }
        let head = heads::encode(&batch.origin, &state.frontier)?;
        rows.put_cf(self.family(heads::FAMILY), batch.log.as_bytes(), head);
        if let Some(note) = &batch.note {
            check_note(state, &batch.origin, note)?;
            rows.put_cf(self.family(notes::FAMILY), batch.log.as_bytes(), notes::encode(note)?);
            state.note = Some(note.clone());
        }
        for entry in &batch.idempotency {
            let value = idempotency::encode(&batch.log, entry)?;
            rows.put_cf(self.family(idempotency::FAMILY), entry.key, value);
        }
        self.raise(rows, batch.generation)
    }
}

fn check_start(batch: &WriteBatch, state: &LogState) -> Result<(), StoreError> {
    if LogId::of_origin(&batch.origin) != batch.log {
        return Err(StoreError::Origin { log: batch.log, origin: batch.origin.clone() });
    }
    let stored = state.frontier.size();
    if batch.start != stored {
        return Err(StoreError::Start { origin: batch.origin.clone(), start: batch.start, stored });
    }
    Ok(())
}

fn check_note(state: &LogState, origin: &str, note: &SizedNote) -> Result<(), StoreError> {
    let stored = state.frontier.size();
    if note.size > stored {
        return Err(StoreError::NoteBeyond { origin: origin.to_owned(), note: note.size, stored });
    }
    let kept = state.note.as_ref().map_or(0, |kept| kept.size);
    if note.size < kept {
        return Err(StoreError::NoteBackwards { origin: origin.to_owned(), note: note.size, kept });
    }
    Ok(())
}
