//! Reading entries and heads.
//!
//! [`Store::for_each_entry`] walks leaves and payloads in lockstep without copying them: it is what
//! a start uses to fold the view, what a range is cut from, and what `fsck` runs on. It reads by
//! stored size, for the node itself; what leaves the node goes through [`Store::range`],
//! [`Store::tile`](Store::tile) and their like, which end at the published size.

use super::error::StoreError;
use super::{
    PayloadRef, Store, StoredHead, codec, heads, idempotency, leaves, notes, options, payloads, places,
};
use hashpact_core::effect::{Place, StoredEntry};
use hashpact_core::event::Prior;
use hashpact_protocol::digest::{LeafHash, LogId, leaf_hash};
use hashpact_protocol::limits::{RANGE_BYTES_MAX, RANGE_ENTRIES_MAX};
use hashpact_protocol::merkle::read_cover;
use hashpact_protocol::wire::{RangeChunk, WireEntry};
use rocksdb::{DBRawIterator, IteratorMode, ReadOptions};
use std::ops::ControlFlow;

/// Walks longer than this read ahead and leave the block cache alone.
const SHORT_WALK_ENTRIES: u64 = 4096;

impl Store {
    /// Every log that is stored, in the order of their ids, with the newest note kept.
    ///
    /// # Errors
    /// A value that does not decode, or RocksDB's own.
    pub fn heads(&self) -> Result<Vec<StoredHead>, StoreError> {
        let mut found = Vec::new();
        for row in self.db.iterator_cf(self.family(heads::FAMILY), IteratorMode::Start) {
            let (key, value) = row?;
            let (log, origin, frontier) = heads::decode(&key, &value)?;
            let note = self.db.get_pinned_cf(self.family(notes::FAMILY), key)?;
            let note = note.map(|value| notes::decode(&value)).transpose()?;
            found.push(StoredHead {
                log,
                origin,
                size: frontier.size(),
                frontier: frontier.hashes().to_vec(),
                note,
            });
        }
        Ok(found)
    }

    /// Calls `visit` with index, leaf and payload of every entry of `[start, end)`, in order, until
    /// it breaks off.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`], [`StoreError::Beyond`] the stored size, [`StoreError::EntryMissing`],
    /// a payload that does not decode, or RocksDB's own.
    pub fn for_each_entry<F>(&self, log: &LogId, start: u64, end: u64, visit: F) -> Result<(), StoreError>
    where
        F: FnMut(u64, &[u8], PayloadRef<'_>) -> ControlFlow<()>,
    {
        self.visit(log, (start, end), start..end, visit)
    }

    /// The same of the entries at these leaf indexes, ascending.
    ///
    /// # Errors
    /// As [`Store::for_each_entry`].
    pub fn for_each_entry_at<F>(&self, log: &LogId, indexes: &[u64], visit: F) -> Result<(), StoreError>
    where
        F: FnMut(u64, &[u8], PayloadRef<'_>) -> ControlFlow<()>,
    {
        let (Some(first), Some(last)) = (indexes.first(), indexes.last()) else { return Ok(()) };
        self.visit(log, (*first, last.saturating_add(1)), indexes.iter().copied(), visit)
    }

    fn visit<F>(
        &self,
        log: &LogId,
        (start, end): (u64, u64),
        indexes: impl Iterator<Item = u64>,
        mut visit: F,
    ) -> Result<(), StoreError>
    where
        F: FnMut(u64, &[u8], PayloadRef<'_>) -> ControlFlow<()>,
    {
        let size = self.stored_size(log)?;
        if start > end || end > size {
            return Err(StoreError::Beyond { log: *log, start, end, size });
        }
        let (mut leaves, mut payloads) =
            (self.walk(leaves::FAMILY, log, start, end), self.walk(payloads::FAMILY, log, start, end));
        let mut next = start;
        for index in indexes {
            let key = codec::entry_key(log, index);
            if index != next {
                leaves.seek(key);
                payloads.seek(key);
            }
            let missing = |family| StoreError::EntryMissing { family, log: *log, index };
            let leaf = row_at(&leaves, &key)?.ok_or_else(|| missing(leaves::FAMILY))?;
            let payload = row_at(&payloads, &key)?.ok_or_else(|| missing(payloads::FAMILY))?;
            if visit(index, leaf, payloads::decode(payload)?).is_break() {
                break;
            }
            leaves.next();
            payloads.next();
            next = index + 1;
        }
        Ok(())
    }

    /// Calls `visit` with index and leaf of every entry of `[start, end)`, in order, until it breaks
    /// off. Payloads are not read.
    ///
    /// # Errors
    /// As [`Store::for_each_entry`].
    pub fn for_each_leaf<F>(&self, log: &LogId, start: u64, end: u64, mut visit: F) -> Result<(), StoreError>
    where
        F: FnMut(u64, &[u8]) -> ControlFlow<()>,
    {
        let size = self.stored_size(log)?;
        if start > end || end > size {
            return Err(StoreError::Beyond { log: *log, start, end, size });
        }
        let mut rows = self.walk(leaves::FAMILY, log, start, end);
        for index in start..end {
            let missing = || StoreError::EntryMissing { family: leaves::FAMILY, log: *log, index };
            let leaf = row_at(&rows, &codec::entry_key(log, index))?.ok_or_else(missing)?;
            if visit(index, leaf).is_break() {
                break;
            }
            rows.next();
        }
        Ok(())
    }

    /// The entries of `[start, end)`, copied; for short runs.
    ///
    /// # Errors
    /// As [`Store::for_each_entry`].
    pub fn entries(&self, log: &LogId, start: u64, end: u64) -> Result<Vec<StoredEntry>, StoreError> {
        let mut entries = Vec::new();
        self.for_each_entry(log, start, end, |_, leaf, payload| {
            entries.push(StoredEntry { leaf: leaf.to_vec(), payload: payload.to_stored() });
            ControlFlow::Continue(())
        })?;
        Ok(entries)
    }

    /// One entry, or `None` beyond the stored size.
    ///
    /// # Errors
    /// As [`Store::for_each_entry`].
    pub fn entry(&self, log: &LogId, index: u64) -> Result<Option<StoredEntry>, StoreError> {
        if index >= self.stored_size(log)? {
            return Ok(None);
        }
        Ok(self.entries(log, index, index + 1)?.pop())
    }

    /// The rows of the places of a leaf, at the first.
    pub(super) fn place_rows(&self, leaf: &LeafHash) -> DBRawIterator<'_> {
        let mut read = ReadOptions::default();
        read.set_prefix_same_as_start(true);
        let mut rows = self.db.raw_iterator_cf_opt(self.family(places::FAMILY), read);
        rows.seek(leaf.as_bytes());
        rows
    }

    /// Where the record with this leaf hash stands: the place that the leaf names for itself, if it
    /// is stored there, else its first occurrence.
    ///
    /// # Errors
    /// [`StoreError::Key`], or RocksDB's own.
    pub fn place(&self, leaf: &LeafHash) -> Result<Option<Place>, StoreError> {
        let rows = self.place_rows(leaf);
        let Some(key) = rows.key().filter(|key| key.starts_with(leaf.as_bytes())) else {
            rows.status()?;
            return Ok(None);
        };
        let bad_key = StoreError::Key { family: places::FAMILY, len_bytes: key.len() };
        let first = places::parse_key(key).ok_or(bad_key)?;
        let entry_key = codec::entry_key(&first.log, first.index);
        let bytes = self.db.get_pinned_cf(self.family(leaves::FAMILY), entry_key)?;
        let Some((log, index)) = bytes.and_then(|bytes| places::named_place(&bytes)) else {
            return Ok(Some(first));
        };
        let named = Place { log, index, leaf: *leaf };
        let is_there = self.db.get_pinned_cf(self.family(places::FAMILY), places::key(&named))?.is_some();
        Ok(Some(if is_there { named } else { first }))
    }

    /// What an idempotency key led to.
    ///
    /// # Errors
    /// A value that does not decode, or entries that are missing.
    pub fn prior(&self, key: &[u8; 32]) -> Result<Option<Prior>, StoreError> {
        let Some(value) = self.db.get_pinned_cf(self.family(idempotency::FAMILY), key)? else {
            return Ok(None);
        };
        let (log, entry) = idempotency::decode(key, &value)?;
        let end = entry.first_index.saturating_add(u64::from(entry.count));
        let mut records = Vec::new();
        self.for_each_entry(&log, entry.first_index, end, |_, leaf, _| {
            records.push(leaf_hash(leaf));
            ControlFlow::Continue(())
        })?;
        let (digest, first_index, tree_size) = (entry.digest, entry.first_index, entry.tree_size);
        Ok(Some(Prior { log, digest, first_index, records, tree_size }))
    }

    /// A chunk for a peer: entries from `start` on, within both bounds (one always), and the cover
    /// of what remains up to `size`.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`], [`StoreError::Beyond`] the published size or an empty range,
    /// or damage.
    pub fn range(
        &self,
        log: &LogId,
        start: u64,
        size: u64,
        entries_max: u32,
        bytes_max: u32,
    ) -> Result<RangeChunk, StoreError> {
        let readable = self.readable(log)?;
        if start >= size || size > readable {
            return Err(StoreError::Beyond { log: *log, start, end: size, size: readable });
        }
        let entries_max = (entries_max as usize).clamp(1, RANGE_ENTRIES_MAX);
        let bytes_max = (bytes_max as usize).min(RANGE_BYTES_MAX);
        let end = start.saturating_add(entries_max as u64).min(size);
        let mut entries: Vec<WireEntry> = Vec::new();
        let mut bytes = 0;
        self.for_each_entry(log, start, end, |_, leaf, payload| {
            bytes += leaf.len() + payload.len_bytes();
            if bytes > bytes_max && !entries.is_empty() {
                return ControlFlow::Break(());
            }
            entries.push(WireEntry { leaf: leaf.to_vec(), payload: payload.to_wire() });
            ControlFlow::Continue(())
        })?;
        let end = start + entries.len() as u64;
        let cover = read_cover(&self.hashes(log), end, size).map_err(|error| self.tile_error(log, error))?;
        Ok(RangeChunk { start, entries, cover: cover.iter().map(|hash| *hash.as_bytes()).collect() })
    }

    /// The leaves of `[start, end)` as the database returns them, for comparison with what was meant.
    pub(super) fn read_leaves(&self, log: &LogId, start: u64, end: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let keys: Vec<_> = (start..end).map(|index| codec::entry_key(log, index)).collect();
        let mut found = Vec::with_capacity(keys.len());
        let rows = self.db.batched_multi_get_cf(self.family(leaves::FAMILY), &keys, true);
        for (index, row) in (start..end).zip(rows) {
            let family = leaves::FAMILY;
            let leaf = row?.ok_or(StoreError::EntryMissing { family, log: *log, index })?;
            found.push(leaf.to_vec());
        }
        Ok(found)
    }

    /// An iterator that stands at entry `start` of a column family keyed by entry.
    pub(super) fn walk(&self, family: &str, log: &LogId, start: u64, end: u64) -> DBRawIterator<'_> {
        let bound = codec::entry_key(log, end).to_vec();
        let is_long = end.saturating_sub(start) > SHORT_WALK_ENTRIES;
        let read = if is_long { options::scan(bound) } else { options::short_walk(bound) };
        let mut rows = self.db.raw_iterator_cf_opt(self.family(family), read);
        rows.seek(codec::entry_key(log, start));
        rows
    }
}

/// The value at `key`, if the iterator stands there.
pub(super) fn row_at<'a>(
    rows: &'a DBRawIterator<'_>,
    key: &[u8; codec::ENTRY_KEY_BYTES],
) -> Result<Option<&'a [u8]>, StoreError> {
    match rows.item() {
        Some((found, value)) if found == key => Ok(Some(value)),
        Some(_) => Ok(None),
        None => {
            rows.status()?;
            Ok(None)
        }
    }
}
