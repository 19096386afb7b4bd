//! A disk that takes jobs in order and that a crash may stop between any two of them.

use hashpact_core::effect::{
    IdempotencyEntry, LockState, PayloadBatch, SizedNote, StoredEntry, StoredPayload, WriteBatch,
};
use hashpact_core::event::{MissingEntry, Prior};
use hashpact_protocol::digest::{LeafHash, LogId, NodeHash, leaf_hash, node_hash};
use hashpact_protocol::merkle::{Frontier, right_cover};
use hashpact_protocol::wire::{RangeChunk, WireEntry, WirePayload};
use std::collections::BTreeMap;

/// One log as stored.
#[derive(Debug, Default, Clone)]
pub(crate) struct StoredLog {
    pub(crate) entries: Vec<StoredEntry>,
    pub(crate) note: Option<SizedNote>,
}

impl StoredLog {
    pub(crate) fn frontier_at(&self, size: usize) -> Frontier {
        let mut frontier = Frontier::empty();
        for entry in &self.entries[..size] {
            frontier.append(leaf_hash(&entry.leaf));
        }
        frontier
    }

    /// Whether the first `size` entries are here with their payloads.
    pub(crate) fn holds(&self, size: u64) -> bool {
        let entries = self.entries.get(..size as usize);
        entries.is_some_and(|all| all.iter().all(|one| matches!(one.payload, StoredPayload::Present { .. })))
    }

    /// Entries without their payload, behind a place.
    pub(crate) fn missing(&self, after: Option<u64>, count_max: usize) -> Vec<MissingEntry> {
        let from = after.map_or(0, |after| after + 1);
        (0u64..)
            .zip(&self.entries)
            .filter(|(index, entry)| *index >= from && entry.payload == StoredPayload::NotHere)
            .map(|(index, entry)| MissingEntry { index, leaf: entry.leaf.clone() })
            .take(count_max)
            .collect()
    }

    pub(crate) fn leaf(&self, index: u64) -> Option<LeafHash> {
        self.entries.get(index as usize).map(|entry| leaf_hash(&entry.leaf))
    }
}

/// What survives a crash.
#[derive(Debug, Default, Clone)]
pub(crate) struct Disk {
    pub(crate) logs: BTreeMap<LogId, StoredLog>,
    pub(crate) lock: Option<LockState>,
    pub(crate) idempotency: BTreeMap<[u8; 32], IdempotencyEntry>,
}

/// One synced step.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    Write(WriteBatch),
    Lock(u64, LockState),
    Payloads(PayloadBatch),
}

impl Disk {
    pub(crate) fn apply(&mut self, job: &Job) {
        match job {
            Job::Write(batch) => {
                let log = self.logs.entry(batch.log).or_default();
                assert_eq!(log.entries.len() as u64, batch.start, "a batch must start where the log ends");
                log.entries.extend(batch.entries.iter().cloned());
                if let Some(note) = &batch.note {
                    log.note = Some(note.clone());
                }
                for entry in &batch.idempotency {
                    self.idempotency.insert(entry.key, entry.clone());
                }
            }
            Job::Payloads(batch) => {
                let log = self.logs.get_mut(&batch.log).expect("payloads of a stored log");
                for (index, payload) in &batch.payloads {
                    log.entries[*index as usize].payload = payload.clone();
                }
            }
            Job::Lock(_, lock) => {
                let before = self.lock.as_ref().map_or(0, |held| held.size);
                assert!(lock.size >= before, "the lock went back from {before} to {}", lock.size);
                self.lock = Some(lock.clone());
            }
        }
    }

    pub(crate) fn prior(&self, own: &LogId, key: &[u8; 32]) -> Option<Prior> {
        let entry = self.idempotency.get(key)?;
        let log = self.logs.get(own)?;
        Some(Prior {
            log: *own,
            digest: entry.digest,
            first_index: entry.first_index,
            records: (entry.first_index..entry.first_index + u64::from(entry.count))
                .filter_map(|index| log.leaf(index))
                .collect(),
            tree_size: entry.tree_size,
        })
    }

    pub(crate) fn payloads(&self, log: &LogId, indexes: &[u64]) -> Vec<WirePayload> {
        let entries = &self.logs[log].entries;
        // At most three, so that a request takes several answers.
        indexes.iter().take(3).map(|index| wire_payload(&entries[*index as usize].payload)).collect()
    }

    pub(crate) fn range(&self, log: &LogId, start: u64, size: u64, entries_max: u32) -> RangeChunk {
        let stored = &self.logs[log];
        let end = size.min(start + u64::from(entries_max));
        let entries = stored.entries[start as usize..end as usize].iter().map(wire_entry).collect();
        let leaves: Vec<NodeHash> =
            stored.entries[..size as usize].iter().map(|entry| leaf_hash(&entry.leaf).into()).collect();
        let cover = right_cover(end, size)
            .into_iter()
            .map(|node| {
                let width = 1usize << node.level;
                let from = node.index as usize * width;
                *complete_root(&leaves[from..from + width]).as_bytes()
            })
            .collect();
        RangeChunk { start, entries, cover }
    }
}

fn wire_entry(entry: &StoredEntry) -> WireEntry {
    WireEntry { leaf: entry.leaf.clone(), payload: wire_payload(&entry.payload) }
}

fn wire_payload(payload: &StoredPayload) -> WirePayload {
    match payload {
        StoredPayload::Present { salt, padded } => {
            WirePayload::Present { salt: *salt, padded: padded.clone() }
        }
        StoredPayload::Withheld => WirePayload::Withheld,
        StoredPayload::Erased => WirePayload::Erased,
        StoredPayload::NotHere => WirePayload::NotHere,
    }
}

fn complete_root(leaves: &[NodeHash]) -> NodeHash {
    match leaves {
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            node_hash(&complete_root(left), &complete_root(right))
        }
    }
}
