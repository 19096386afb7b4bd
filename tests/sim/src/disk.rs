//! A disk that takes jobs in order and that a crash may stop between any two of them.

use hashpact_core::Effect;
use hashpact_core::effect::{
    AheadBatch, BranchBatch, EntryRef, EraseBatch, Fact, FactWrite, FoundSubject, HeldBranch, HeldFacts,
    HeldPriority, HoldingRead, IdempotencyEntry, LockState, PayloadBatch, RosterWrite, SizedNote,
    StoredEntry, StoredPayload, WriteBatch,
};
use hashpact_core::event::{ErasedEntry, FoundHolding, MissingEntry, Prior};
use hashpact_core::view::kept_line;
use hashpact_protocol::digest::{LeafHash, LogId, NodeHash, leaf_hash, node_hash};
use hashpact_protocol::leaf::is_overtaking;
use hashpact_protocol::merkle::{Frontier, HashReader, consistency_proof, inclusion_proof, right_cover};
use hashpact_protocol::record::Gap;
use hashpact_protocol::roster::SignedRoster;
use hashpact_protocol::wire::{
    ConsistencyAnswer, EntriesAnswer, EntriesRequest, ProvenEntry, RangeChunk, WireEntry, WirePayload,
};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// One log as stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredLog {
    pub(crate) entries: Vec<StoredEntry>,
    pub(crate) note: Option<SizedNote>,
    /// Of the entries as they were meant to be stored.
    frontier: Frontier,
}

impl Default for StoredLog {
    fn default() -> Self {
        Self { entries: Vec::new(), note: None, frontier: Frontier::empty() }
    }
}

impl StoredLog {
    pub(crate) fn push(&mut self, entry: StoredEntry) {
        self.frontier.append(leaf_hash(&entry.leaf));
        self.entries.push(entry);
    }

    /// The tree as it is stored beside the entries.
    pub(crate) fn stored_frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The tree over the first entries, hashed from them.
    pub(crate) fn frontier_at(&self, size: usize) -> Frontier {
        let mut frontier = Frontier::empty();
        for entry in &self.entries[..size] {
            frontier.append(leaf_hash(&entry.leaf));
        }
        frontier
    }

    /// Whether the first `size` entries are here with their payloads, as far as they are not erased.
    pub(crate) fn holds(&self, size: u64) -> bool {
        let entries = self.entries.get(..size as usize);
        entries.is_some_and(|all| all.iter().all(|one| one.payload != StoredPayload::NotHere))
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

    /// Claimed time of the last entry, or 0.
    pub(crate) fn last_time_ms(&self) -> u64 {
        let time = self.entries.last().and_then(|entry| entry.leaf.get(16..24)).map(<[u8; 8]>::try_from);
        time.and_then(Result::ok).map_or(0, u64::from_be_bytes)
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
    pub(crate) facts: HeldFacts,
    pub(crate) generation: u64,
    /// Roster versions behind the first.
    pub(crate) rosters: Vec<SignedRoster>,
    /// Rivals of these, in the order in which they were kept.
    pub(crate) rivals: Vec<SignedRoster>,
    /// Entries ahead of their log's end.
    pub(crate) ahead: BTreeMap<LogId, BTreeMap<u64, StoredEntry>>,
    /// Generation of the last cosigning, by log.
    pub(crate) cosigned_at: BTreeMap<LogId, u64>,
    /// Entries of histories that are kept beside the followed one, by log and number.
    pub(crate) branches: BTreeMap<(LogId, u8), Vec<StoredEntry>>,
    /// The card that a replica took from its author.
    pub(crate) card: Option<Vec<u8>>,
}

/// One synced step.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    Write(WriteBatch),
    Fact(FactWrite),
    Lock(u64, LockState),
    Payloads(PayloadBatch),
    Ahead(AheadBatch),
    Roster(RosterWrite),
    Branch(BranchBatch),
    Subjects(Vec<LeafHash>),
    Erase(EraseBatch),
}

impl Job {
    /// What the disk does; any other effect is given back.
    pub(crate) fn of(effect: Effect) -> Result<Self, Box<Effect>> {
        Ok(match effect {
            Effect::Write(batch) => Self::Write(batch),
            Effect::WriteLock { write, lock } => Self::Lock(write, lock),
            Effect::WriteFact(fact) => Self::Fact(fact),
            Effect::WritePayloads(batch) => Self::Payloads(batch),
            Effect::WriteAhead(batch) => Self::Ahead(batch),
            Effect::WriteRoster(write) => Self::Roster(write),
            Effect::WriteBranch(batch) => Self::Branch(batch),
            Effect::FindSubjects { ids } => Self::Subjects(ids),
            Effect::Erase(batch) => Self::Erase(batch),
            other => return Err(Box::new(other)),
        })
    }
}

impl Disk {
    pub(crate) fn apply(&mut self, job: &Job) {
        match job {
            Job::Write(batch) => {
                let log = self.logs.entry(batch.log).or_default();
                assert_eq!(log.entries.len() as u64, batch.start, "a batch must start where the log ends");
                batch.entries.iter().cloned().for_each(|entry| log.push(entry));
                let reached = log.entries.len() as u64;
                self.ahead.entry(batch.log).or_default().retain(|index, _| *index >= reached);
                if let Some(note) = &batch.note {
                    log.note = Some(note.clone());
                }
                for entry in &batch.idempotency {
                    self.idempotency.insert(entry.key, entry.clone());
                }
                self.raise(batch.generation);
            }
            Job::Fact(write) => {
                match &write.fact {
                    Fact::Cosigned { size, root } => {
                        let before = self.facts.cosigned.insert(write.log, (*size, *root));
                        self.cosigned_at.insert(write.log, write.generation.expect("it is signed"));
                        let (held, held_root) = before.unwrap_or((0, *root));
                        assert!(held <= *size, "cosigned {size} after {held}");
                        assert!(held < *size || held == 0 || held_root == *root, "two roots of {size}");
                    }
                    Fact::QuorumHead(note) => {
                        let before = self.facts.quorum_heads.insert(write.log, note.clone());
                        assert!(before.is_none_or(|before| before.size <= note.size));
                    }
                    Fact::Seen { indexes, at_ms } => {
                        for index in indexes {
                            let entry = EntryRef { log: write.log, index: *index };
                            self.facts.seen.entry(entry).or_insert(*at_ms);
                        }
                    }
                    Fact::Evidence(evidence) => {
                        self.facts.evidence.insert(write.log, evidence.clone());
                    }
                }
                self.raise(write.generation);
            }
            Job::Roster(write) => {
                let new = write.versions.iter().filter(|version| !self.rosters.contains(version));
                let new: Vec<SignedRoster> = new.cloned().collect();
                self.rosters.extend(new);
                self.rivals.extend(write.rivals.iter().cloned());
            }
            Job::Branch(batch) => self.keep_branch(batch),
            Job::Ahead(batch) => {
                let stored = self.logs.get(&batch.log).map_or(0, |log| log.entries.len() as u64);
                let fresh = batch.entries.iter().filter(|(index, _)| *index >= stored).cloned();
                self.ahead.entry(batch.log).or_default().extend(fresh);
            }
            Job::Payloads(batch) => {
                let log = self.logs.get_mut(&batch.log).expect("payloads of a stored log");
                for (index, payload) in &batch.payloads {
                    let held = &mut log.entries[*index as usize].payload;
                    if *held == StoredPayload::NotHere {
                        *held = payload.clone();
                    }
                }
            }
            Job::Subjects(_) => {}
            Job::Erase(batch) => {
                self.erase(batch);
            }
            Job::Lock(_, lock) => {
                let before = self.lock.as_ref().map_or(0, |held| held.size);
                assert!(lock.size >= before, "the lock went back from {before} to {}", lock.size);
                let generation = self.lock.as_ref().map_or(0, |held| held.generation);
                assert!(lock.generation > generation, "a signature without a new generation");
                assert!(lock.generation <= self.generation, "the lock is ahead of the database");
                self.lock = Some(lock.clone());
            }
        }
    }

    /// Keeps a part of another history, which must follow what is kept of it.
    fn keep_branch(&mut self, batch: &BranchBatch) {
        assert!(self.facts.evidence.contains_key(&batch.log), "kept before the evidence");
        let key = (batch.log, batch.number);
        let kept = self.branches.entry(key).or_default();
        assert_eq!(batch.start + kept.len() as u64, batch.at, "a part must start where what is kept ends");
        kept.extend(batch.entries.iter().cloned());
        let size = batch.start + kept.len() as u64;
        let frontier = Frontier::from_parts(size, batch.frontier.clone()).expect("peaks of that size");
        let (note, start, payload_bytes) = (batch.note.clone(), batch.start, batch.payload_bytes);
        let whole = self.branch(&key, start);
        assert_eq!(whole.frontier, frontier, "another tree than the leaves lead to");
        let held = HeldBranch { note, start, frontier, payload_bytes };
        assert!(!self.facts.branches.get(&key).is_some_and(|before| before.note != held.note));
        self.facts.branches.insert(key, held);
    }

    /// A kept history as a whole: what it shares with the followed one, and what is kept.
    fn branch(&self, key: &(LogId, u8), start: u64) -> StoredLog {
        let mut whole = StoredLog::default();
        let followed = self.logs.get(&key.0).map_or(&[][..], |log| &log.entries[..start as usize]);
        let kept = self.branches.get(key).into_iter().flatten();
        followed.iter().chain(kept).cloned().for_each(|entry| whole.push(entry));
        whole
    }

    /// Every history of a log that is here: the followed one, then what is kept beside it.
    pub(crate) fn histories(&self, log: &LogId) -> Vec<StoredLog> {
        let kept = self.facts.branches.range((*log, 0)..=(*log, u8::MAX));
        let kept = kept.map(|(key, held)| self.branch(key, held.start));
        self.logs.get(log).cloned().into_iter().chain(kept).collect()
    }

    fn places(&self, id: &LeafHash) -> Vec<EntryRef> {
        let logs = self.logs.iter().flat_map(|(log, stored)| {
            (0u64..).zip(&stored.entries).map(|(index, entry)| (EntryRef { log: *log, index }, entry))
        });
        logs.filter(|(_, entry)| leaf_hash(&entry.leaf) == *id).map(|(at, _)| at).collect()
    }

    pub(crate) fn find_subjects(&self, ids: &[LeafHash]) -> Vec<FoundSubject> {
        let places = ids.iter().flat_map(|id| self.places(id));
        let mut found: Vec<FoundSubject> = places.map(|at| self.found(at)).collect();
        for ((log, number), entries) in &self.branches {
            let start = self.facts.branches[&(*log, *number)].start;
            for (index, entry) in (start..).zip(entries) {
                if ids.contains(&leaf_hash(&entry.leaf)) {
                    let (at, leaf) = (EntryRef { log: *log, index }, entry.leaf.clone());
                    found.push(FoundSubject { at, leaf, state: entry.payload.state() });
                }
            }
        }
        found
    }

    fn found(&self, at: EntryRef) -> FoundSubject {
        let entry = &self.logs[&at.log].entries[at.index as usize];
        FoundSubject { at, leaf: entry.leaf.clone(), state: entry.payload.state() }
    }

    /// Entries whose payload is sealed or gone, as a start finds them.
    pub(crate) fn erased(&self) -> Vec<FoundSubject> {
        let mut found = Vec::new();
        for (log, stored) in &self.logs {
            for (index, entry) in (0u64..).zip(&stored.entries) {
                if matches!(entry.payload, StoredPayload::Sealed { .. } | StoredPayload::ErasedBy { .. }) {
                    found.push(self.found(EntryRef { log: *log, index }));
                }
            }
        }
        found
    }

    pub(crate) fn erase(&mut self, batch: &EraseBatch) -> Vec<ErasedEntry> {
        let mut changed = Vec::new();
        for ((log, number), entries) in &mut self.branches {
            let start = self.facts.branches[&(*log, *number)].start;
            for (index, entry) in (start..).zip(entries) {
                let id = leaf_hash(&entry.leaf);
                let step = batch.steps.iter().find(|(subject, _)| *subject == id);
                let Some(after) = step.and_then(|(_, step)| entry.payload.after(*step)) else { continue };
                let (before, at) = (entry.payload.state(), EntryRef { log: kept_line(log, *number), index });
                entry.payload = after;
                changed.push(ErasedEntry { at, before, entry: entry.clone() });
            }
        }
        for (id, step) in &batch.steps {
            for at in self.places(id) {
                let log = self.logs.get_mut(&at.log).expect("a place of a stored log");
                let entry = &mut log.entries[at.index as usize];
                let Some(after) = entry.payload.after(*step) else { continue };
                let before = entry.payload.state();
                entry.payload = after;
                changed.push(ErasedEntry { at, before, entry: entry.clone() });
            }
        }
        changed
    }

    fn raise(&mut self, generation: Option<u64>) {
        if let Some(generation) = generation {
            assert!(generation > self.generation, "generation {generation} after {}", self.generation);
            self.generation = generation;
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

    pub(crate) fn holding(&self, ask: &HoldingRead) -> FoundHolding {
        let entries = &self.logs[&ask.log].entries[..ask.size as usize];
        let mut missing: Vec<Gap> = Vec::new();
        for (index, entry) in (0u64..).zip(entries) {
            if matches!(entry.payload, StoredPayload::Present { .. }) {
                continue;
            }
            let is_full = missing.len() == ask.gaps_max;
            match missing.last_mut() {
                Some(last) if is_full || last.start + last.count == index => {
                    last.count = index + 1 - last.start;
                }
                _ => missing.push(Gap { start: index, count: 1 }),
            }
        }
        let has_grown = entries[ask.stated_size as usize..].iter().any(|entry| entry.leaf[4] != 13);
        FoundHolding { missing, has_grown }
    }

    pub(crate) fn priority(&self, log: &LogId, counted: usize) -> HeldPriority {
        let stored = self.logs.get(log).map_or(&[][..], |log| &log.entries[..counted]);
        let urgent = (0u64..).zip(stored).filter(|(index, entry)| is_overtaking(&entry.leaf, log, *index));
        let ahead = self.ahead.get(log).cloned().unwrap_or_default();
        HeldPriority { recent: urgent.map(|(index, _)| index).collect(), ahead: ahead.into_iter().collect() }
    }

    pub(crate) fn payloads(&self, log: &LogId, indexes: &[u64]) -> Vec<WirePayload> {
        let entries = &self.logs[log].entries;
        // At most three, so that a request takes several answers.
        indexes.iter().take(3).map(|index| wire_payload(&entries[*index as usize].payload)).collect()
    }
}

impl StoredLog {
    pub(crate) fn range(&self, start: u64, size: u64, entries_max: u32) -> RangeChunk {
        let end = size.min(start + u64::from(entries_max));
        let entries = self.entries[start as usize..end as usize].iter().map(wire_entry).collect();
        let cover = right_cover(end, size).into_iter();
        let cover = cover.map(|node| *self.complete(node.level, node.index).as_bytes()).collect();
        RangeChunk { start, entries, cover }
    }

    /// Whether its first `size` entries have this root.
    pub(crate) fn has(&self, size: u64, root: &[u8; 32]) -> bool {
        self.entries.len() as u64 >= size && self.frontier_at(size as usize).root().as_bytes() == root
    }

    /// At most two, so that a request takes several answers.
    pub(crate) fn proven(&self, ask: &EntriesRequest) -> EntriesAnswer {
        let bytes = |hashes: Vec<NodeHash>| hashes.iter().map(|hash| *hash.as_bytes()).collect();
        let entries = ask.indexes.iter().take(2).map(|index| ProvenEntry {
            entry: wire_entry(&self.entries[*index as usize]),
            inclusion: bytes(inclusion_proof(self, *index, ask.size).expect("below the size")),
        });
        EntriesAnswer {
            consistency: bytes(consistency_proof(self, ask.old, ask.size).expect("sizes in order")),
            entries: entries.collect(),
        }
    }

    pub(crate) fn consistency(&self, old: u64, new: u64) -> ConsistencyAnswer {
        let bytes = |hashes: Vec<NodeHash>| hashes.iter().map(|hash| *hash.as_bytes()).collect();
        ConsistencyAnswer {
            old_root: *self.frontier_at(old as usize).root().as_bytes(),
            consistency: bytes(consistency_proof(self, old, new).expect("sizes in order")),
            leaf: *self.leaf(old).expect("below the larger size").as_bytes(),
            inclusion: bytes(inclusion_proof(self, old, new).expect("below the size")),
        }
    }

    fn complete(&self, level: u8, index: u64) -> NodeHash {
        let width = 1usize << level;
        let from = index as usize * width;
        let leaves: Vec<NodeHash> =
            self.entries[from..from + width].iter().map(|entry| leaf_hash(&entry.leaf).into()).collect();
        complete_root(&leaves)
    }
}

impl HashReader for StoredLog {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Infallible> {
        Ok(self.complete(level, index))
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
        StoredPayload::Sealed { by, .. } | StoredPayload::ErasedBy { by } => {
            WirePayload::ErasedBy { log: *by.log.as_bytes(), index: by.index }
        }
        StoredPayload::Held { .. } => panic!("nobody holds anything here"),
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
