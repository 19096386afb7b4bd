//! A disk that takes jobs in order and that a crash may stop between any two of them.

use hashpact_core::effect::{IdempotencyEntry, LockState, SizedNote, StoredEntry, WriteBatch};
use hashpact_core::event::Prior;
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
            digest: entry.digest,
            first_index: entry.first_index,
            records: (entry.first_index..entry.first_index + u64::from(entry.count))
                .filter_map(|index| log.leaf(index))
                .collect(),
            tree_size: entry.tree_size,
        })
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
    use hashpact_core::effect::StoredPayload;
    let payload = match &entry.payload {
        StoredPayload::Present { salt, padded } => {
            WirePayload::Present { salt: *salt, padded: padded.clone() }
        }
        StoredPayload::Withheld => WirePayload::Withheld,
        StoredPayload::Erased => WirePayload::Erased,
        StoredPayload::NotHere => WirePayload::NotHere,
    };
    WireEntry { leaf: entry.leaf.clone(), payload }
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
