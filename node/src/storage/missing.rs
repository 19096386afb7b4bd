//! Column family `missing`: which entries are held without a payload that somebody else may have.
//!
//! ```text
//! key    0  32  log id     32  8  leaf index, big-endian
//! value  empty
//! ```
//!
//! Written in the batch that stores a leaf whose payload is *not here*, and deleted in the batch that
//! brings the payload, so that asking for it goes on after a restart without reading every row of
//! `payloads`. Derived from `payloads`; `fsck` compares the two.
//! Somebody who can write here makes this node ask for too much, or for too little. Losing it costs the
//! payloads that are still missing, until it is rebuilt.

use super::error::StoreError;
use super::options::Shape;
use super::read::row_at;
use super::{PayloadRef, Store, codec, leaves, options, payloads};
use hashpact_core::effect::{HoldingRead, PayloadBatch, StoredPayload};
use hashpact_core::entitled::Entitled;
use hashpact_core::event::{FoundHolding, MissingEntry};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::{EntryLeaf, Kind, read_leaf};
use hashpact_protocol::limits::RANGE_BYTES_MAX;
use hashpact_protocol::record::Gap;
use hashpact_protocol::wire::WirePayload;
use std::ops::ControlFlow;

/// Name of the column family.
pub(super) const FAMILY: &str = "missing";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Dense;

impl Store {
    /// Entries of a log that are held without their payload: the first `count_max` behind `after`.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::EntryMissing`], or RocksDB's own.
    pub fn missing(
        &self,
        log: &LogId,
        after: Option<u64>,
        count_max: usize,
    ) -> Result<Vec<MissingEntry>, StoreError> {
        let start = after.map_or(Some(0), |after| after.checked_add(1));
        let Some(start) = start else { return Ok(Vec::new()) };
        let mut rows = self.walk(FAMILY, log, start, u64::MAX);
        let mut found = Vec::new();
        while found.len() < count_max
            && let Some(key) = rows.key()
        {
            let bad_key = || StoreError::Key { family: FAMILY, len_bytes: key.len() };
            let (_, index) = codec::parse_entry_key(key).ok_or_else(bad_key)?;
            let leaf = self.db.get_pinned_cf(self.family(leaves::FAMILY), key)?;
            let family = leaves::FAMILY;
            let leaf = leaf.ok_or(StoreError::EntryMissing { family, log: *log, index })?;
            found.push(MissingEntry { index, leaf: leaf.to_vec() });
            rows.next();
        }
        rows.status()?;
        Ok(found)
    }

    /// How many entries of a log below `end` are held without their payload.
    ///
    /// # Errors
    /// RocksDB's own.
    pub fn missing_count(&self, log: &LogId, end: u64) -> Result<u64, StoreError> {
        self.count_listed(FAMILY, log, end)
    }

    /// How many entries of a log below `end` a list of entries names.
    pub(super) fn count_listed(&self, family: &str, log: &LogId, end: u64) -> Result<u64, StoreError> {
        let mut rows = self
            .db
            .raw_iterator_cf_opt(self.family(family), options::scan(codec::entry_key(log, end).to_vec()));
        rows.seek(codec::entry_key(log, 0));
        let mut count = 0;
        while rows.valid() {
            count += 1;
            rows.next();
        }
        rows.status()?;
        Ok(count)
    }

    /// Which payloads of a log are not present, as runs, and whether anything but receipts came to it.
    ///
    /// # Errors
    /// As [`Store::for_each_entry`].
    pub fn holding(&self, ask: &HoldingRead) -> Result<FoundHolding, StoreError> {
        let (mut missing, mut has_grown) = (Vec::<Gap>::new(), false);
        self.for_each_entry(&ask.log, 0, ask.size, |index, leaf, payload| {
            if index >= ask.stated_size && !has_grown {
                let leaf = read_leaf(leaf, &ask.log, index);
                has_grown = !matches!(leaf, EntryLeaf::Known(leaf) if leaf.kind == Kind::Receipt);
            }
            if !matches!(payload, PayloadRef::Present { .. }) {
                note_missing(&mut missing, index, ask.gaps_max);
            }
            ControlFlow::Continue(())
        })?;
        Ok(FoundHolding { missing, has_grown })
    }

    /// Stores payloads beside their leaves, synced. A row that does not say *not here* stays as it is.
    ///
    /// # Errors
    /// [`StoreError::EntryMissing`], [`StoreError::ValueTooLong`], which change nothing; then the process
    /// must stop: [`StoreError::OutcomeUnknown`], [`StoreError::Poisoned`].
    pub fn write_payloads(&self, batch: &PayloadBatch) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        let mut rows = rocksdb::WriteBatch::default();
        let family = self.family(payloads::FAMILY);
        for (index, payload) in &batch.payloads {
            let key = codec::entry_key(&batch.log, *index);
            let stored = self.db.get_pinned_cf(family, key)?;
            let missing =
                StoreError::EntryMissing { family: payloads::FAMILY, log: batch.log, index: *index };
            if payloads::decode(&stored.ok_or(missing)?)?.to_stored() == StoredPayload::NotHere {
                rows.put_cf(family, key, payloads::encode(payload)?);
                self.note_state(&mut rows, &key, payload);
            }
        }
        self.commit(&mut writer, rows)
    }

    /// What stands beside these leaves, for a peer: of the first of them, within the bound (one always).
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`], [`StoreError::Beyond`] the published size, or damage.
    pub fn payloads(
        &self,
        log: &LogId,
        indexes: &[u64],
        bytes_max: u32,
        entitled: &Entitled,
    ) -> Result<Vec<WirePayload>, StoreError> {
        let size = self.readable(log)?;
        if let Some(end) = indexes.iter().find(|index| **index >= size) {
            return Err(StoreError::Beyond { log: *log, start: *end, end: *end, size });
        }
        let bytes_max = (bytes_max as usize).min(RANGE_BYTES_MAX);
        let mut found = Vec::new();
        let mut bytes = 0;
        for index in indexes {
            let rows = self.walk(payloads::FAMILY, log, *index, index + 1);
            let missing = StoreError::EntryMissing { family: payloads::FAMILY, log: *log, index: *index };
            let payload = payloads::decode(row_at(&rows, &codec::entry_key(log, *index))?.ok_or(missing)?)?;
            bytes += payload.len_bytes();
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            let key = codec::entry_key(log, *index);
            let leaf = self.db.get_pinned_cf(self.family(leaves::FAMILY), key)?;
            let missing = StoreError::EntryMissing { family: leaves::FAMILY, log: *log, index: *index };
            found.push(entitled.shown(&leaf.ok_or(missing)?, payload.to_wire()));
        }
        Ok(found)
    }

    /// Payloads of a log that were withheld, and that this member may have now, are missed from now on. Returns how
    /// many.
    ///
    /// # Errors
    /// RocksDB's own, or damage.
    pub fn want_again(&self, log: &LogId, covers: impl Fn(&[u8]) -> bool) -> Result<u64, StoreError> {
        let mut writer = self.writer()?;
        let mut rows = rocksdb::WriteBatch::default();
        let mut count = 0;
        let mut held = self.walk(payloads::FAMILY, log, 0, u64::MAX);
        while let Some((key, value)) = held.item() {
            let withheld = matches!(payloads::decode(value)?, PayloadRef::Withheld);
            let leaf = if withheld { self.db.get_pinned_cf(self.family(leaves::FAMILY), key)? } else { None };
            if leaf.is_some_and(|leaf| covers(&leaf)) {
                let bad_key = || StoreError::Key { family: payloads::FAMILY, len_bytes: key.len() };
                let key: &[u8; codec::ENTRY_KEY_BYTES] = key.try_into().map_err(|_| bad_key())?;
                rows.put_cf(self.family(payloads::FAMILY), key, payloads::encode(&StoredPayload::NotHere)?);
                self.note_state(&mut rows, key, &StoredPayload::NotHere);
                count += 1;
            }
            held.next();
        }
        held.status()?;
        if count > 0 {
            self.commit(&mut writer, rows)?;
        }
        Ok(count)
    }
}

/// Adds an index to ascending runs. When there is no room for another run, the last one grows to it.
fn note_missing(missing: &mut Vec<Gap>, index: u64, gaps_max: usize) {
    let is_full = missing.len() >= gaps_max;
    match missing.last_mut() {
        Some(last) if is_full || last.start + last.count == index => last.count = index + 1 - last.start,
        _ => missing.push(Gap { start: index, count: 1 }),
    }
}
