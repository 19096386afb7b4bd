//! Entries of a followed log that are damaged on our disk, fetched again (DESIGN: Sync; `RECOVERY.md`).
//!
//! Whoever reads the disk names a run of entries and the tree before it, computed from leaves that it found whole.
//! That tree, the leaves that a peer sends and what leads from them to the root must give the root that the author
//! signed, or the roster pinned, for what is held: so any peer will do, and neither a damaged tile of ours nor a
//! lying peer can slip anything in. A peer whose answer does not fit is passed over and not blamed, because the tree
//! before may be what is wrong.
//!
//! Only payloads that were found bad are replaced, and only if the leaf that is stored again does not commit to what
//! stands there. One that the peer does not have becomes *not here*, and is asked for like any other that is missing.

use super::barred::Barred;
use super::judge::{accept_entry, check_place, lead_on};
use super::{ChunkError, FollowedLog};
use crate::effect::{Effect, RepairBatch, RequestId, StoredEntry, StoredPayload, WriteId};
use crate::engine::Out;
use crate::event::{Damage, Peer};
use crate::limits::HEAL_RETRY_MS;
use hashpact_protocol::digest::{LogId, Root};
use hashpact_protocol::limits::RANGE_BYTES_MAX;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::wire::{RangeChunk, RangeRequest, Request};
use std::collections::BTreeSet;

/// One run of damaged entries.
pub(crate) struct Healing {
    damage: Damage,
    /// First index that is not stored again yet, and the tree before it.
    next: u64,
    before: Frontier,
    asked: BTreeSet<Peer>,
    again_ms: u64,
    payloads_missing: u64,
    stage: Stage,
}

enum Stage {
    Waiting,
    Asking { peer: Peer, request: RequestId, size: u64, root: Root },
    Writing { write: WriteId, entries: Vec<StoredEntry>, after: Frontier },
}

/// A part of it that is on disk again.
pub(crate) struct Mended {
    /// The entries with their leaf indexes.
    pub(crate) entries: Vec<(u64, StoredEntry)>,
    /// Whether this was the last part.
    pub(crate) is_done: bool,
}

impl Healing {
    pub(crate) fn new(damage: Damage, now_ms: u64) -> Self {
        Self {
            next: damage.start,
            before: damage.before.clone(),
            damage,
            asked: BTreeSet::new(),
            again_ms: now_ms.saturating_add(HEAL_RETRY_MS),
            payloads_missing: 0,
            stage: Stage::Waiting,
        }
    }

    pub(crate) fn log(&self) -> LogId {
        self.damage.log
    }

    pub(crate) fn is_asking(&self, ours: RequestId) -> bool {
        matches!(&self.stage, Stage::Asking { request, .. } if *request == ours)
    }

    pub(crate) fn is_writing(&self, ours: WriteId) -> bool {
        matches!(&self.stage, Stage::Writing { write, .. } if *write == ours)
    }

    /// Asks the next peer, if nothing is under way. When all were asked, all are asked again after a while.
    pub(crate) fn poll(&mut self, log: &FollowedLog, now_ms: u64, out: &mut Out) {
        if let Stage::Asking { peer, .. } = &self.stage
            && !log.sources.contains_key(peer)
        {
            self.stage = Stage::Waiting;
        }
        if !matches!(self.stage, Stage::Waiting) {
            return;
        }
        if now_ms >= self.again_ms {
            self.asked.clear();
            self.again_ms = now_ms.saturating_add(HEAL_RETRY_MS);
        }
        let Some((size, root)) = log.vouched().filter(|(size, _)| *size >= self.damage.end) else { return };
        let willing = log
            .sources
            .iter()
            .filter(|(peer, source)| source.head.size >= size && !self.asked.contains(*peer))
            .max_by_key(|(_, source)| source.is_author);
        let Some((peer, _)) = willing else { return };
        let request_id = out.next_id();
        let range = RangeRequest {
            log: *self.damage.log.as_bytes(),
            start: self.next,
            size,
            entries_max: u32::try_from(self.damage.end - self.next).unwrap_or(u32::MAX),
            bytes_max: RANGE_BYTES_MAX as u32,
        };
        out.push(Effect::Send { peer: *peer, request_id, request: Request::Range(range) });
        self.asked.insert(*peer);
        self.stage = Stage::Asking { peer: *peer, request: request_id, size, root };
    }

    /// The peer has nothing that helps.
    pub(crate) fn failed(&mut self) {
        self.stage = Stage::Waiting;
    }

    /// A peer sent a chunk: what proves itself is stored.
    pub(crate) fn answered(
        &mut self,
        log: &FollowedLog,
        chunk: RangeChunk,
        barred: &Barred<'_>,
        out: &mut Out,
    ) -> Result<(), ChunkError> {
        let Stage::Asking { peer, size, root, .. } = std::mem::replace(&mut self.stage, Stage::Waiting)
        else {
            return Ok(());
        };
        check_place(&chunk, self.next, self.damage.end)?;
        let after = lead_on(&self.before, &chunk, size, &root)?;
        let from_author = log.sources.get(&peer).is_some_and(|source| source.is_author);
        let entries = (self.next..)
            .zip(chunk.entries)
            .map(|(index, entry)| accept_entry(&self.damage.log, index, entry, from_author, barred))
            .collect::<Result<Vec<_>, _>>()?;
        let is_bad = |index: &u64| self.damage.payloads.contains(index);
        let payloads: Vec<(u64, StoredPayload)> = (self.next..)
            .zip(&entries)
            .filter(|(index, _)| is_bad(index))
            .map(|(index, entry)| (index, entry.payload.clone()))
            .collect();
        let write = out.next_id();
        out.push(Effect::Repair(RepairBatch {
            id: write,
            log: self.damage.log,
            start: self.next,
            leaves: entries.iter().map(|entry| entry.leaf.clone()).collect(),
            payloads,
        }));
        self.asked.clear();
        self.stage = Stage::Writing { write, entries, after };
        Ok(())
    }

    /// What was sent is on disk; of so many entries the payload is not.
    pub(crate) fn written(&mut self, log: &mut FollowedLog, payloads_missing: u64, out: &mut Out) -> Mended {
        let Stage::Writing { entries, after, .. } = std::mem::replace(&mut self.stage, Stage::Waiting) else {
            return Mended { entries: Vec::new(), is_done: false };
        };
        let start = self.next;
        self.payloads_missing += payloads_missing;
        log.missing.add(payloads_missing);
        self.next += entries.len() as u64;
        self.before = after;
        let is_done = self.next >= self.damage.end;
        if is_done {
            out.push(Effect::Healed {
                log: self.damage.log,
                start: self.damage.start,
                end: self.damage.end,
                payloads_missing: self.payloads_missing,
            });
        }
        // The others' payloads were found whole, and may not be what this peer sent.
        let is_bad = |entry: &(u64, StoredEntry)| self.damage.payloads.contains(&entry.0);
        Mended { entries: (start..).zip(entries).filter(is_bad).collect(), is_done }
    }
}

impl FollowedLog {
    /// The largest size that is held and vouched for, with its root: by its author's signature or by the roster.
    fn vouched(&self) -> Option<(u64, Root)> {
        let size = self.frontier.size();
        let closed = self.closed.filter(|closed| (closed.size, closed.root) == (size, self.frontier.root()));
        if let Some(closed) = closed {
            return Some((closed.size, closed.root));
        }
        let note = self.note.as_ref().filter(|note| note.size <= size)?;
        Some((note.size, self.note_root?))
    }
}
