//! The store against real files: every test has a folder of its own.

mod batch;
mod branches;
mod damage;
mod erase;
mod fsck;
mod fsck_facts;
mod fsck_priority;
mod lock;
mod missing;
mod older;
mod proofs;
mod rot;
mod salvage;
mod scrub;
mod wal;

use super::Store;
use hashpact_core::effect::{
    IdempotencyEntry, LockState, PublishedHead, SizedNote, StoredEntry, StoredPayload, WriteBatch,
};
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::{LogId, leaf_hash};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::leaf::commitment;
use hashpact_protocol::merkle::Frontier;
use std::path::Path;

pub(super) const CONSORTIUM: &str = "demo-0011223344556677";

/// A log that a test grows, with everything that its author would know.
pub(super) struct TestLog {
    pub(super) origin: String,
    pub(super) log: LogId,
    pub(super) key: SecretKey,
    pub(super) frontier: Frontier,
}

impl TestLog {
    pub(super) fn new(member: &str) -> Self {
        let origin = format!("{CONSORTIUM}/{member}/0");
        let log = LogId::of_origin(&origin);
        let key = SecretKey::from_seed(*log.as_bytes());
        Self { origin, log, key, frontier: Frontier::empty() }
    }

    /// A sound version 1 entry at this index, with a payload of 128 bytes.
    pub(super) fn entry(&self, index: u64) -> StoredEntry {
        let (salt, padded) = ([index.to_le_bytes()[0]; 32], index.to_be_bytes().repeat(16));
        let mut leaf = vec![0; 136];
        leaf[..8].copy_from_slice(b"HPL1\x01\x00\x00\x01");
        leaf[8..16].copy_from_slice(&index.to_be_bytes());
        leaf[32..64].copy_from_slice(self.log.as_bytes());
        leaf[100..104].copy_from_slice(&128_u32.to_be_bytes());
        let prefix = *leaf.first_chunk().expect("136 bytes");
        let commitment = commitment(&prefix, &salt, &padded);
        leaf[104..].copy_from_slice(commitment.as_bytes());
        StoredEntry { leaf, payload: StoredPayload::Present { salt, padded } }
    }

    /// The batch that appends these entries; the log advances as if it were stored.
    pub(super) fn batch_of(&mut self, entries: Vec<StoredEntry>) -> WriteBatch {
        let start = self.frontier.size();
        for entry in &entries {
            self.frontier.append(leaf_hash(&entry.leaf));
        }
        WriteBatch {
            id: 1,
            log: self.log,
            origin: self.origin.clone(),
            start,
            entries,
            frontier: self.frontier.hashes().to_vec(),
            note: None,
            idempotency: Vec::new(),
            read_back: false,
            generation: None,
        }
    }

    /// The batch that appends so many sound entries.
    pub(super) fn batch(&mut self, count: u64) -> WriteBatch {
        let start = self.frontier.size();
        let entries = (start..start + count).map(|index| self.entry(index)).collect();
        self.batch_of(entries)
    }

    /// The signed note over the log as it is now.
    pub(super) fn note(&self) -> SizedNote {
        let size = self.frontier.size();
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root: self.frontier.root() };
        SizedNote { size, note: sign_checkpoint(&checkpoint, &self.key) }
    }

    /// What the lock file says after signing the log as it is now.
    pub(super) fn lock(&self) -> LockState {
        let SizedNote { size, note } = self.note();
        LockState {
            generation: size + 1,
            origin: self.origin.clone(),
            size,
            root: self.frontier.root(),
            note,
        }
    }

    /// Makes the log visible as it is now.
    pub(super) fn publish(&self, store: &Store) {
        let head = PublishedHead {
            log: self.log,
            origin: self.origin.clone(),
            size: self.frontier.size(),
            root: self.frontier.root(),
            note: Some(self.note()),
            announced: self.frontier.size(),
        };
        store.publish(&head).expect("stored before");
    }
}

/// An idempotency entry for `count` entries from `first_index` on.
pub(super) fn idempotent(key: u8, first_index: u64, count: u32) -> IdempotencyEntry {
    let tree_size = first_index + u64::from(count);
    IdempotencyEntry { key: [key; 32], digest: [key ^ 0xff; 32], first_index, count, tree_size }
}

/// A fresh database in a fresh folder.
pub(super) fn fresh() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let store = Store::create(&dir.path().join("db"), CONSORTIUM, "north").expect("fresh");
    (dir, store)
}

/// Copies the files of a database as a crash would leave them: the store may still be open.
pub(super) fn crash_image(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("target");
    for file in std::fs::read_dir(from).expect("database") {
        let file = file.expect("entry");
        if file.file_name() != "LOCK" {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("copy");
        }
    }
}
