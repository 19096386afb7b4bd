//! Column families `branches`, `branch_leaves` and `branch_payloads`: histories of forked logs that are kept beside the
//! one that is followed (SPEC §3.6).
//!
//! ```text
//! branches         key    0  32  log id     32  1  number of the history: 0 or 1
//!                  value  bincode { note: bytes, size: u64, start: u64, payload_bytes: u64, kept: u64,
//!                                   frontier: list of 32-byte peaks, largest first }
//! branch_leaves    key    0  32  log id     32  1  number     33  8  leaf index, big-endian
//!                  value  the leaf
//! branch_payloads  key    the same
//!                  value  as in `payloads`
//! ```
//!
//! Apart from the followed logs: no tile or count reads from here. What is kept begins at
//! `start`; the entries before are those of the followed log. Its tree is not stored: it has at most
//! [`BRANCH_ENTRIES_MAX`] leaves of its own, which are hashed when a peer asks for a part.
//! Somebody who can write here shows a history that its checkpoint does not sign, which `fsck` and every reader find
//! out. Losing it costs fetching it again, as long as somebody else has it.

use super::error::StoreError;
use super::options::Shape;
use super::payloads::PayloadRef;
use super::{Store, codec, erase, leaves, options, payloads};
use bincode::{Decode, Encode};
use hashpact_core::effect::{BranchBatch, HeldBranch, SizedNote, StoredEntry, StoredPayload};
use hashpact_protocol::digest::{DIGEST_BYTES, LeafHash, LogId, NodeHash, Root, leaf_hash, node_hash};
use hashpact_protocol::limits::{
    BRANCH_ENTRIES_MAX, BRANCHES_PER_LOG_MAX, NOTE_MAX_BYTES, RANGE_BYTES_MAX, RANGE_ENTRIES_MAX,
};
use hashpact_protocol::merkle::{
    Frontier, HashReader, LEVELS_MAX, ProofReadError, inclusion_proof, read_cover, read_root,
};
use hashpact_protocol::wire::{BranchRequest, RangeChunk, WireEntry};
use rocksdb::IteratorMode;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// How far each history is kept.
pub(super) const HEADS: &str = "branches";
/// Their leaves.
pub(super) const LEAVES: &str = "branch_leaves";
/// What stands beside them.
pub(super) const PAYLOADS: &str = "branch_payloads";
/// How heads are laid out on disk.
pub(super) const HEADS_SHAPE: Shape = Shape::Small;
/// How entries are laid out on disk.
pub(super) const ENTRIES_SHAPE: Shape = Shape::Compressible;

const HEAD_KEY_BYTES: usize = DIGEST_BYTES + 1;
const ENTRY_KEY_BYTES: usize = HEAD_KEY_BYTES + 8;
const VALUE_MAX_BYTES: usize = NOTE_MAX_BYTES + LEVELS_MAX * DIGEST_BYTES + 6 * 8;

#[derive(Encode, Decode)]
struct Value {
    note: Vec<u8>,
    size: u64,
    start: u64,
    payload_bytes: u64,
    kept: u64,
    frontier: Vec<[u8; DIGEST_BYTES]>,
}

fn head_key(log: &LogId, number: u8) -> [u8; HEAD_KEY_BYTES] {
    let mut key = [0; HEAD_KEY_BYTES];
    key[..DIGEST_BYTES].copy_from_slice(log.as_bytes());
    key[DIGEST_BYTES] = number;
    key
}

/// Key of an entry.
pub(super) fn entry_key(log: &LogId, number: u8, index: u64) -> [u8; ENTRY_KEY_BYTES] {
    let mut key = [0; ENTRY_KEY_BYTES];
    key[..HEAD_KEY_BYTES].copy_from_slice(&head_key(log, number));
    key[HEAD_KEY_BYTES..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Reads a key made by [`entry_key`]; `None` if it has another length.
pub(super) fn parse_entry_key(key: &[u8]) -> Option<(LogId, u8, u64)> {
    let (head, index) = key.split_first_chunk::<HEAD_KEY_BYTES>()?;
    let (log, number) = parse_head_key(head)?;
    Some((log, number, u64::from_be_bytes(index.try_into().ok()?)))
}

fn parse_head_key(key: &[u8]) -> Option<(LogId, u8)> {
    let (log, number) = key.split_first_chunk::<DIGEST_BYTES>()?;
    let [number] = number else { return None };
    Some((LogId::new(*log), *number))
}

fn encode(branch: &HeldBranch) -> Result<Vec<u8>, StoreError> {
    let value = Value {
        note: branch.note.note.clone(),
        size: branch.note.size,
        start: branch.start,
        payload_bytes: branch.payload_bytes,
        kept: branch.frontier.size(),
        frontier: branch.frontier.hashes().iter().map(|hash| *hash.as_bytes()).collect(),
    };
    codec::encode::<_, VALUE_MAX_BYTES>(HEADS, value)
}

fn decode(value: &[u8]) -> Result<HeldBranch, StoreError> {
    let Value { note, size, start, payload_bytes, kept, frontier } =
        codec::decode::<_, VALUE_MAX_BYTES>(HEADS, value)?;
    let frontier = Frontier::from_parts(kept, frontier.into_iter().map(NodeHash::new).collect())?;
    let detail = |detail: &str| StoreError::Value { family: HEADS, detail: detail.to_owned() };
    if kept < start || kept > size {
        return Err(detail("it ends before its start or behind its checkpoint"));
    }
    if kept - start > BRANCH_ENTRIES_MAX {
        return Err(detail("it has more entries than are kept"));
    }
    Ok(HeldBranch { note: SizedNote { size, note }, start, frontier, payload_bytes })
}

impl Store {
    /// Keeps a part of another history of a log and syncs it.
    ///
    /// # Errors
    /// Refusals that change nothing: [`StoreError::Branch`] for a part that does not follow what is kept, has another
    /// tree than its leaves lead to or goes beyond a bound; [`StoreError::ValueTooLong`]. Then the process must stop:
    /// [`StoreError::OutcomeUnknown`].
    pub fn write_branch(&self, batch: &BranchBatch) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        let refused = |detail: String| StoreError::Branch { log: batch.log, number: batch.number, detail };
        let key = head_key(&batch.log, batch.number);
        let held = self.db.get_pinned_cf(self.family(HEADS), key)?.map(|value| decode(&value)).transpose()?;
        let kept = held.as_ref().map_or(batch.start, |held| held.frontier.size());
        if batch.at != kept {
            return Err(refused(format!("it starts at {}, kept is up to {kept}", batch.at)));
        }
        if held.is_some_and(|held| held.note != batch.note || held.start != batch.start) {
            return Err(refused("another history is kept under this number".to_owned()));
        }
        let end = batch.at.saturating_add(batch.entries.len() as u64);
        if end > batch.note.size || end - batch.start.min(end) > BRANCH_ENTRIES_MAX {
            return Err(refused(format!("it ends at {end}, beyond its checkpoint or what is kept of any")));
        }
        let frontier = Frontier::from_parts(end, batch.frontier.clone())?;
        let mut rows = rocksdb::WriteBatch::default();
        for (index, entry) in (batch.at..).zip(&batch.entries) {
            if !leaves::is_leaf_length(entry.leaf.len()) {
                return Err(refused(format!("leaf {index} has {} bytes", entry.leaf.len())));
            }
            let key = entry_key(&batch.log, batch.number, index);
            rows.put_cf(self.family(LEAVES), key, &entry.leaf);
            rows.put_cf(self.family(PAYLOADS), key, payloads::encode(&entry.payload)?);
        }
        let (note, start, payload_bytes) = (batch.note.clone(), batch.start, batch.payload_bytes);
        let head = encode(&HeldBranch { note, start, frontier, payload_bytes })?;
        rows.put_cf(self.family(HEADS), key, head);
        self.commit(&mut writer, rows)
    }

    /// Every history that is kept, by log and number.
    ///
    /// # Errors
    /// A key or value that does not decode, or RocksDB's own.
    pub fn branches(&self) -> Result<BTreeMap<(LogId, u8), HeldBranch>, StoreError> {
        let rows = self.db.iterator_cf(self.family(HEADS), IteratorMode::Start);
        rows.map(|row| {
            let (key, value) = row?;
            let bad_key = StoreError::Key { family: HEADS, len_bytes: key.len() };
            Ok((parse_head_key(&key).ok_or(bad_key)?, decode(&value)?))
        })
        .collect()
    }

    /// Calls `visit` with index, leaf and payload of every entry of `[start, end)` of a kept history, in order, until
    /// it breaks off.
    ///
    /// # Errors
    /// [`StoreError::EntryMissing`], a payload that does not decode, or RocksDB's own.
    pub fn for_each_branch_entry<F>(
        &self,
        log: &LogId,
        number: u8,
        (start, end): (u64, u64),
        mut visit: F,
    ) -> Result<(), StoreError>
    where
        F: FnMut(u64, &[u8], PayloadRef<'_>) -> ControlFlow<()>,
    {
        let walk = |family| {
            let bound = entry_key(log, number, end).to_vec();
            let mut rows = self.db.raw_iterator_cf_opt(self.family(family), options::short_walk(bound));
            rows.seek(entry_key(log, number, start));
            rows
        };
        let (mut leaf_rows, mut payload_rows) = (walk(LEAVES), walk(PAYLOADS));
        for index in start..end {
            let key = entry_key(log, number, index);
            let missing = |family| StoreError::EntryMissing { family, log: *log, index };
            leaf_rows.status()?;
            payload_rows.status()?;
            let leaf = leaf_rows.item().filter(|(found, _)| *found == key).ok_or_else(|| missing(LEAVES))?.1;
            let payload = payload_rows.item().filter(|(found, _)| *found == key);
            let payload = payloads::decode(payload.ok_or_else(|| missing(PAYLOADS))?.1)?;
            if visit(index, leaf, payload).is_break() {
                break;
            }
            leaf_rows.next();
            payload_rows.next();
        }
        Ok(())
    }

    /// Kept entries with these leaf hashes, with what stands beside them. Reads everything that is kept.
    ///
    /// # Errors
    /// As [`Store::for_each_branch_entry`].
    pub(super) fn kept_with_ids(&self, ids: &BTreeSet<LeafHash>) -> Result<Vec<KeptEntry>, StoreError> {
        let mut found = Vec::new();
        for ((log, number), held) in self.branches()?.into_iter().filter(|_| !ids.is_empty()) {
            let entries = (held.start, held.frontier.size());
            self.for_each_branch_entry(&log, number, entries, |index, leaf, payload| {
                let id = leaf_hash(leaf);
                if ids.contains(&id) {
                    let entry = StoredEntry { leaf: leaf.to_vec(), payload: payload.to_stored() };
                    found.push(KeptEntry { id, log, number, index, entry });
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(found)
    }

    /// Changes what stands beside a kept entry.
    pub(super) fn put_kept_payload(
        &self,
        rows: &mut rocksdb::WriteBatch,
        kept: &KeptEntry,
        after: &StoredPayload,
    ) -> Result<(), StoreError> {
        let key = entry_key(&kept.log, kept.number, kept.index);
        rows.put_cf(self.family(PAYLOADS), key, payloads::encode(after)?);
        if kept.entry.payload.bytes().is_some() && after.bytes().is_none() {
            rows.put_cf(self.family(erase::PURGING), codec::entry_key(&kept.log, kept.index), []);
        }
        Ok(())
    }

    /// Entries `[start, end)` of a kept history.
    ///
    /// # Errors
    /// As [`Store::for_each_branch_entry`].
    pub fn branch_entries(
        &self,
        log: &LogId,
        number: u8,
        (start, end): (u64, u64),
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let mut entries = Vec::new();
        self.for_each_branch_entry(log, number, (start, end), |_, leaf, payload| {
            entries.push(StoredEntry { leaf: leaf.to_vec(), payload: payload.to_stored() });
            ControlFlow::Continue(())
        })?;
        Ok(entries)
    }

    /// An entry of a kept history with its checkpoint and the proof that leads there; `None` unless the history is
    /// whole, so that there is a tree that the checkpoint signs.
    ///
    /// # Errors
    /// Damage, or RocksDB's own.
    pub fn branch_proof(
        &self,
        log: &LogId,
        number: u8,
        index: u64,
    ) -> Result<Option<(StoredEntry, Vec<u8>, Vec<NodeHash>)>, StoreError> {
        let Some(value) = self.db.get_pinned_cf(self.family(HEADS), head_key(log, number))? else {
            return Ok(None);
        };
        let held = decode(&value)?;
        let kept = held.start..held.frontier.size();
        let (true, Some(tree)) = (held.is_whole() && kept.contains(&index), self.branch_tree(log, number)?)
        else {
            return Ok(None);
        };
        let Some(entry) = self.branch_entries(log, number, (index, index + 1))?.pop() else {
            return Ok(None);
        };
        let hashes = inclusion_proof(&tree, index, held.note.size).map_err(|error| match error {
            ProofReadError::Reader(error) => error,
            ProofReadError::Range(error) => StoreError::Merkle(error),
            _ => StoreError::Proof(*log),
        })?;
        Ok(Some((entry, held.note.note, hashes)))
    }

    /// A chunk for a peer of the history with this root: of the followed one or of one that is kept beside it. `None`
    /// if neither has that root at that size.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`], or damage.
    pub fn branch_range(&self, ask: &BranchRequest) -> Result<Option<RangeChunk>, StoreError> {
        let (range, root) = (&ask.range, Root::new(ask.root));
        let log = LogId::new(range.log);
        let readable = self.readable(&log)?;
        let followed = self.hashes(&log);
        if range.size <= readable {
            let found = read_root(&followed, range.size).map_err(|error| self.tile_error(&log, error))?;
            if found == root {
                let (entries_max, bytes_max) = (range.entries_max, range.bytes_max);
                return self.range(&log, range.start, range.size, entries_max, bytes_max).map(Some);
            }
        }
        for number in 0..BRANCHES_PER_LOG_MAX {
            let Some(tree) = self.branch_tree(&log, number)? else { continue };
            let is_visible = tree.start <= readable && range.size <= tree.size();
            if is_visible && read_root(&tree, range.size)? == root {
                return self.cut(&tree, ask).map(Some);
            }
        }
        Ok(None)
    }

    /// The tree of a kept history.
    pub(super) fn branch_tree(&self, log: &LogId, number: u8) -> Result<Option<BranchTree<'_>>, StoreError> {
        let Some(value) = self.db.get_pinned_cf(self.family(HEADS), head_key(log, number))? else {
            return Ok(None);
        };
        let held = decode(&value)?;
        let (start, end) = (held.start, held.frontier.size());
        let mut hashes = Vec::new();
        self.for_each_branch_entry(log, number, (start, end), |_, leaf, _| {
            hashes.push(leaf_hash(leaf));
            ControlFlow::Continue(())
        })?;
        Ok(Some(BranchTree { store: self, log: *log, number, start, hashes }))
    }

    /// Entries and cover of a kept history, the shared ones from the followed log.
    fn cut(&self, tree: &BranchTree<'_>, ask: &BranchRequest) -> Result<RangeChunk, StoreError> {
        let (start, size) = (ask.range.start, ask.range.size);
        let entries_max = (ask.range.entries_max as usize).clamp(1, RANGE_ENTRIES_MAX) as u64;
        let bytes_max = (ask.range.bytes_max as usize).min(RANGE_BYTES_MAX);
        let end = start.saturating_add(entries_max).min(size);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut take = |_: u64, leaf: &[u8], payload: PayloadRef<'_>| {
            bytes += leaf.len() + payload.len_bytes();
            if bytes > bytes_max && !entries.is_empty() {
                return ControlFlow::Break(());
            }
            entries.push(WireEntry { leaf: leaf.to_vec(), payload: payload.to_wire() });
            ControlFlow::Continue(())
        };
        let shared = tree.start.clamp(start, end);
        self.for_each_entry(&tree.log, start, shared, &mut take)?;
        // A walk that broke off would break off again at once.
        self.for_each_branch_entry(&tree.log, tree.number, (shared, end), &mut take)?;
        let end = start + entries.len() as u64;
        let cover = read_cover(tree, end, size)?;
        Ok(RangeChunk { start, entries, cover: cover.iter().map(|hash| *hash.as_bytes()).collect() })
    }
}

/// An entry of a kept history.
pub(super) struct KeptEntry {
    pub(super) id: LeafHash,
    pub(super) log: LogId,
    pub(super) number: u8,
    pub(super) index: u64,
    pub(super) entry: StoredEntry,
}

/// The tree of a kept history: what it shares with the followed one from the tiles, the rest from its leaves.
pub(super) struct BranchTree<'a> {
    store: &'a Store,
    log: LogId,
    number: u8,
    /// Leaf index of the first of `hashes`.
    pub(super) start: u64,
    hashes: Vec<LeafHash>,
}

impl BranchTree<'_> {
    fn size(&self) -> u64 {
        self.start + self.hashes.len() as u64
    }
}

impl HashReader for BranchTree<'_> {
    type Error = StoreError;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, StoreError> {
        let end = index.saturating_add(1).checked_shl(u32::from(level)).unwrap_or(u64::MAX);
        if end <= self.start {
            let followed = self.store.hashes(&self.log);
            return followed.node(level, index).map_err(|error| self.store.tile_error(&self.log, error));
        }
        if level == 0 {
            let (family, log) = (LEAVES, self.log);
            let at = usize::try_from(index - self.start).unwrap_or(usize::MAX);
            let hash = self.hashes.get(at).ok_or(StoreError::EntryMissing { family, log, index })?;
            return Ok((*hash).into());
        }
        Ok(node_hash(&self.node(level - 1, 2 * index)?, &self.node(level - 1, 2 * index + 1)?))
    }
}
