//! Column families `erased`, `purging` and `seen`, and how bytes leave the database for good.
//!
//! ```text
//! all      key    0  32  log id     32  8  leaf index, big-endian
//! erased   value  empty: the payload of this entry is sealed, erased or held; which, is in `payloads`
//! purging  value  empty: the payload was destroyed, and may still be in a file
//! seen     value  u64, big-endian: when this erasure or retraction was first seen here, ms since 1970
//! ```
//!
//! Overwriting a row is not enough: RocksDB keeps the old value in table files until a compaction drops it,
//! and in its write-ahead log until the log is retired. So destroying has two steps. [`Store::erase`]
//! replaces the rows, deletes idempotency rows of the same entries (their digest of the request would confirm a guess)
//! and notes in `purging` what may still be in files, in one synced batch. [`Store::purge`] then flushes every
//! column family, which retires the logs, and compacts the ranges of these keys down to the last level. It ends
//! only when the files that held the bytes are gone, readers of then included. A crash in between is taken up
//! at the next start.
//!
//! `erased` is derived from `payloads`; `fsck` compares the two. Somebody who can write `seen` can make
//! a payload be destroyed too early or too late; losing it starts the waits anew.

use super::branches::KeptEntry;
use super::error::StoreError;
use super::options::Shape;
use super::{Store, branches, codec, idempotency, leaves, missing, payloads, places};
use crate::vault::Vault;
use hashpact_core::effect::{
    EntryRef, EraseBatch, EraseStep, FoundSubject, PayloadState, StoredEntry, StoredPayload,
};
use hashpact_core::event::ErasedEntry;
use hashpact_core::view::kept_line;
use hashpact_protocol::digest::{LeafHash, LogId};
use rocksdb::{BottommostLevelCompaction, CompactOptions, IteratorMode};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Entries whose payload is sealed or gone.
pub(super) const ERASED: &str = "erased";
/// Entries whose destroyed payload may still be in a file.
pub(super) const PURGING: &str = "purging";
/// First sights.
pub(super) const SEEN: &str = "seen";
/// How they are laid out on disk.
pub(super) const SHAPE: Shape = Shape::Small;

/// Keys that lie closer together than this are compacted as one range.
const RANGE_GAP: u64 = 4_096;
/// How long [`Store::purge`] waits for files that readers still hold before it says that it is not done.
const FILES_WAIT: Duration = Duration::from_secs(20);

impl Store {
    /// Where entries with these leaf hashes stand, with what stands beside them, those included that are kept in another
    /// history of a forked log.
    ///
    /// # Errors
    /// A row that does not decode or is missing, or RocksDB's own.
    pub fn find_subjects(&self, ids: &[LeafHash]) -> Result<Vec<FoundSubject>, StoreError> {
        let kept = self.kept_with_ids(&ids.iter().copied().collect())?;
        let kept = kept.into_iter().map(|KeptEntry { log, index, entry, .. }| FoundSubject {
            at: EntryRef { log, index },
            leaf: entry.leaf,
            state: entry.payload.state(),
        });
        let mut found: Vec<FoundSubject> = kept.collect();
        for id in ids {
            for at in self.places_of(id)? {
                found.push(self.found(at)?);
            }
        }
        Ok(found)
    }

    /// Entries whose payload is sealed or gone by an order, with what stands beside them.
    ///
    /// # Errors
    /// As [`Store::find_subjects`].
    pub fn erased(&self) -> Result<Vec<FoundSubject>, StoreError> {
        self.keys_of(ERASED)?.into_iter().map(|at| self.found(at)).collect()
    }

    /// How many entries of a log are listed as sealed or erased.
    pub(super) fn erased_count(&self, log: &LogId) -> Result<u64, StoreError> {
        self.count_listed(ERASED, log, u64::MAX)
    }

    fn found(&self, at: EntryRef) -> Result<FoundSubject, StoreError> {
        let entry = self.stored(at)?;
        Ok(FoundSubject { at, leaf: entry.leaf, state: entry.payload.state() })
    }

    fn stored(&self, at: EntryRef) -> Result<StoredEntry, StoreError> {
        let missing = StoreError::EntryMissing { family: leaves::FAMILY, log: at.log, index: at.index };
        self.entry(&at.log, at.index)?.ok_or(missing)
    }

    /// Every place of a leaf: somebody may have copied it into another log, payload and all.
    fn places_of(&self, id: &LeafHash) -> Result<Vec<EntryRef>, StoreError> {
        let mut rows = self.place_rows(id);
        let mut found = Vec::new();
        while let Some(key) = rows.key().filter(|key| key.starts_with(id.as_bytes())) {
            let bad_key = StoreError::Key { family: places::FAMILY, len_bytes: key.len() };
            let place = places::parse_key(key).ok_or(bad_key)?;
            found.push(EntryRef { log: place.log, index: place.index });
            rows.next();
        }
        rows.status()?;
        Ok(found)
    }

    fn keys_of(&self, family: &'static str) -> Result<Vec<EntryRef>, StoreError> {
        let rows = self.db.iterator_cf(self.family(family), IteratorMode::Start);
        rows.map(|row| {
            let (key, _) = row?;
            let bad_key = StoreError::Key { family, len_bytes: key.len() };
            let (log, index) = codec::parse_entry_key(&key).ok_or(bad_key)?;
            Ok(EntryRef { log, index })
        })
        .collect()
    }

    /// Changes what stands beside leaves, synced, wherever they stand; what is kept in another history of a forked log is
    /// told by the name of that history. Bytes that are to be destroyed although their record is under a
    /// legal hold are in the vault before they are taken from here. What is destroyed may be in files until
    /// [`Store::purge`] is done.
    ///
    /// # Errors
    /// Refusals that change nothing: a row that does not decode or is missing, a vault that cannot be
    /// written. Then the process must stop: [`StoreError::OutcomeUnknown`], [`StoreError::Poisoned`].
    pub fn erase(&self, batch: &EraseBatch, vault: &Vault) -> Result<Vec<ErasedEntry>, StoreError> {
        let on_hold = vault.on_hold();
        let mut writer = self.writer()?;
        let mut rows = rocksdb::WriteBatch::default();
        let mut changed = Vec::new();
        let changes = |id: &LeafHash, before: &StoredPayload, step: &EraseStep| {
            let Some(after) = before.after(*step) else { return Ok(None) };
            if let (EraseStep::Destroy { by }, Some((salt, padded))) = (step, before.bytes())
                && on_hold.contains(id)
            {
                vault.keep(id, salt, padded)?;
                return Ok::<_, StoreError>(Some(StoredPayload::Held { by: *by }));
            }
            Ok(Some(after))
        };
        for (id, step) in &batch.steps {
            for at in self.places_of(id)? {
                let StoredEntry { leaf, payload: before } = self.stored(at)?;
                let Some(after) = changes(id, &before, step)? else { continue };
                self.put_payload(&mut rows, at, &before, &after)?;
                let before = before.state();
                changed.push(ErasedEntry { at, before, entry: StoredEntry { leaf, payload: after } });
            }
        }
        let steps: BTreeMap<LeafHash, &EraseStep> =
            batch.steps.iter().map(|(id, step)| (*id, step)).collect();
        for kept in self.kept_with_ids(&steps.keys().copied().collect())? {
            let before = &kept.entry.payload;
            let step = steps.get(&kept.id).copied();
            let Some(after) = step.map(|step| changes(&kept.id, before, step)).transpose()?.flatten() else {
                continue;
            };
            self.put_kept_payload(&mut rows, &kept, &after)?;
            let at = EntryRef { log: kept_line(&kept.log, kept.number), index: kept.index };
            let (before, leaf) = (before.state(), kept.entry.leaf);
            changed.push(ErasedEntry { at, before, entry: StoredEntry { leaf, payload: after } });
        }
        self.commit(&mut writer, rows)?;
        Ok(changed)
    }

    fn put_payload(
        &self,
        rows: &mut rocksdb::WriteBatch,
        at: EntryRef,
        before: &StoredPayload,
        after: &StoredPayload,
    ) -> Result<(), StoreError> {
        let key = codec::entry_key(&at.log, at.index);
        rows.put_cf(self.family(payloads::FAMILY), key, payloads::encode(after)?);
        self.note_state(rows, &key, after);
        if before.bytes().is_some() && after.bytes().is_none() {
            rows.put_cf(self.family(PURGING), key, []);
        }
        Ok(())
    }

    /// Keeps the lists of missing and of erased payloads in step with a row of `payloads`.
    pub(super) fn note_state(
        &self,
        rows: &mut rocksdb::WriteBatch,
        key: &[u8; codec::ENTRY_KEY_BYTES],
        payload: &StoredPayload,
    ) {
        let (missing, erased) = (self.family(missing::FAMILY), self.family(ERASED));
        if *payload == StoredPayload::NotHere {
            rows.put_cf(missing, key, []);
        } else {
            rows.delete_cf(missing, key);
        }
        if is_listed(payload) {
            rows.put_cf(erased, key, []);
        } else {
            rows.delete_cf(erased, key);
        }
    }

    /// Whether destroyed payloads may still be in a file.
    ///
    /// # Errors
    /// RocksDB's own, or a key that does not parse.
    pub fn is_purge_due(&self) -> Result<bool, StoreError> {
        let mut rows = self.db.raw_iterator_cf(self.family(PURGING));
        rows.seek_to_first();
        rows.status()?;
        Ok(rows.valid())
    }

    /// Takes destroyed payloads out of the files. `false` if a reader still holds a file after a while: then
    /// it must be called again. `forget` makes others forget before this is remembered as done; whether it could.
    ///
    /// # Errors
    /// RocksDB's own; what is to be purged stays noted.
    pub fn purge(&self, forget: impl FnOnce() -> bool) -> Result<bool, StoreError> {
        let keys = self.keys_of(PURGING)?;
        if keys.is_empty() {
            return Ok(true);
        }
        let told = self.forget_requests(&keys)?;
        let families: Vec<_> = super::FAMILIES.iter().map(|(name, _)| self.family(name)).collect();
        let mut flush = rocksdb::FlushOptions::default();
        flush.set_wait(true);
        self.db.flush_cfs_opt(&families, &flush)?;
        let mut compact = CompactOptions::default();
        compact.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        compact.set_exclusive_manual_compaction(false);
        let range = |family: &str, first: &[u8], last: &[u8]| {
            self.db.compact_range_cf_opt(self.family(family), Some(first), Some(last), &compact);
        };
        if !self.branches()?.is_empty() {
            let kept = self.family(branches::PAYLOADS);
            self.db.compact_range_cf_opt(kept, None::<&[u8]>, None::<&[u8]>, &compact);
        }
        for (log, first, last) in ranges(&keys) {
            let (first, last) = (codec::entry_key(&log, first), codec::entry_key(&log, last));
            range(payloads::FAMILY, &first, &last);
        }
        for key in &told {
            range(idempotency::FAMILY, key, key);
        }
        if !self.wait_for_files()? || !forget() {
            return Ok(false);
        }
        let mut writer = self.writer()?;
        let mut rows = rocksdb::WriteBatch::default();
        for at in &keys {
            rows.delete_cf(self.family(PURGING), codec::entry_key(&at.log, at.index));
        }
        self.commit(&mut writer, rows)?;
        Ok(true)
    }

    /// Deletes what idempotency keys led to, for submissions with one of these entries: a retry after days
    /// would be stated anew.
    fn forget_requests(&self, keys: &[EntryRef]) -> Result<Vec<Vec<u8>>, StoreError> {
        let keys: BTreeSet<EntryRef> = keys.iter().copied().collect();
        let mut told = Vec::new();
        for row in self.db.iterator_cf(self.family(idempotency::FAMILY), IteratorMode::Start) {
            let (key, value) = row?;
            let (log, entry) = idempotency::decode(&key, &value)?;
            let end = entry.first_index.saturating_add(u64::from(entry.count));
            let place = |index| EntryRef { log, index };
            if keys.range(place(entry.first_index)..place(end)).next().is_some() {
                told.push(key.to_vec());
            }
        }
        let mut writer = self.writer()?;
        let mut rows = rocksdb::WriteBatch::default();
        for key in &told {
            rows.delete_cf(self.family(idempotency::FAMILY), key);
        }
        self.commit(&mut writer, rows)?;
        Ok(told)
    }

    /// Waits until no file is left that the database does not use any more: table files that compaction
    /// replaced, and logs whose content is in table files.
    fn wait_for_files(&self) -> Result<bool, StoreError> {
        let started = Instant::now();
        loop {
            if !self.has_obsolete_files()? {
                return Ok(true);
            }
            if started.elapsed() >= FILES_WAIT {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn has_obsolete_files(&self) -> Result<bool, StoreError> {
        let live: BTreeSet<String> = self
            .db
            .live_files()?
            .into_iter()
            .map(|file| file.name.trim_start_matches('/').to_owned())
            .collect();
        let oldest_log = self.db.property_int_value("rocksdb.min-log-number-to-keep")?.unwrap_or(0);
        let io = |source| StoreError::Io { path: self.db.path().to_owned(), source };
        for file in std::fs::read_dir(self.db.path()).map_err(io)? {
            let name = file.map_err(io)?.file_name();
            let name = name.to_string_lossy();
            let number = name.split_once('.').and_then(|(number, _)| number.parse::<u64>().ok());
            let is_obsolete = match (name.rsplit_once('.'), number) {
                (Some((_, "sst")), _) => !live.contains(&*name),
                (Some((_, "log")), Some(number)) => number < oldest_log,
                _ => false,
            };
            if is_obsolete {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives up what the vault held for records whose legal hold was released.
    ///
    /// # Errors
    /// As [`Store::erase`].
    pub fn release(&self, vault: &Vault) -> Result<Vec<ErasedEntry>, StoreError> {
        let kept = vault.kept()?;
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        let (on_hold, mut changed) = (vault.on_hold(), Vec::new());
        for id in kept.into_iter().filter(|id| !on_hold.contains(id)) {
            // A file beside a payload that is still here is what a crash left.
            let is_held = |found: &FoundSubject| found.state == PayloadState::Held;
            if self.find_subjects(&[id])?.iter().any(is_held) {
                // The row first: a crash in between leaves a file that the next release finds.
                let steps = vec![(id, EraseStep::Destroy { by: None })];
                changed.extend(self.erase(&EraseBatch { id: 0, steps }, vault)?);
            }
            vault.destroy(&id)?;
        }
        Ok(changed)
    }

    /// Notes when erasures and retractions were first seen; what is noted stays.
    pub(super) fn put_seen(
        &self,
        rows: &mut rocksdb::WriteBatch,
        log: &LogId,
        indexes: &[u64],
        at_ms: u64,
    ) -> Result<(), StoreError> {
        for index in indexes {
            let key = codec::entry_key(log, *index);
            if self.db.get_pinned_cf(self.family(SEEN), key)?.is_none() {
                rows.put_cf(self.family(SEEN), key, at_ms.to_be_bytes());
            }
        }
        Ok(())
    }

    /// When erasures and retractions were first seen.
    ///
    /// # Errors
    /// A row that does not decode, or RocksDB's own.
    pub(super) fn seen(&self, mut visit: impl FnMut(EntryRef, u64)) -> Result<(), StoreError> {
        for row in self.db.iterator_cf(self.family(SEEN), IteratorMode::Start) {
            let (key, value) = row?;
            let bad_key = StoreError::Key { family: SEEN, len_bytes: key.len() };
            let (log, index) = codec::parse_entry_key(&key).ok_or(bad_key)?;
            let at_ms = <[u8; 8]>::try_from(&*value).map_err(|_| StoreError::Value {
                family: SEEN,
                detail: format!("{} bytes instead of 8", value.len()),
            })?;
            visit(EntryRef { log, index }, u64::from_be_bytes(at_ms));
        }
        Ok(())
    }
}

/// Whether an entry with this beside it is in `erased`.
pub(super) const fn is_listed(payload: &StoredPayload) -> bool {
    matches!(
        payload,
        StoredPayload::Sealed { .. } | StoredPayload::ErasedBy { .. } | StoredPayload::Held { .. }
    )
}

/// Keys as ranges of neighbours: log, first and last index.
fn ranges(keys: &[EntryRef]) -> Vec<(LogId, u64, u64)> {
    let mut ranges: Vec<(LogId, u64, u64)> = Vec::new();
    for at in keys {
        match ranges.last_mut() {
            Some((log, _, last)) if *log == at.log && at.index - *last <= RANGE_GAP => *last = at.index,
            _ => ranges.push((at.log, at.index, at.index)),
        }
    }
    ranges
}
