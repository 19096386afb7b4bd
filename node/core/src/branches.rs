//! The histories of a forked log that are not the one followed: fetched from whoever holds them, kept apart (SPEC §3.6).
//!
//! Evidence that says where two histories part names both: their checkpoints, of sizes a and b. What the followed tree
//! does not have of either is *kept* beside it, from the leaf where it leaves that tree on, so that auditors and
//! governance see both, and what both state is found. A node that was frozen before the place where they part follows neither, and keeps both.
//!
//! Each part that a peer sends proves itself under the checkpoint of the evidence, as a part of any log does; the tree
//! before the first is in the evidence itself, or is the followed one. A thief of a key must not fill disks: at most
//! [`BRANCHES_PER_LOG_MAX`] histories of a log are kept, the first that evidence named, each of at most
//! [`BRANCH_ENTRIES_MAX`] entries; of a longer one nothing is kept, and that is said. Of payloads
//! [`BRANCH_PAYLOAD_BYTES_MAX`] bytes are kept, of what comes behind the leaves alone.

use crate::effect::{
    BranchBatch, BranchState, HeldBranch, LogBranches, RequestId, SizedNote, StoredEntry, StoredPayload,
    WriteId,
};
use crate::event::Peer;
use crate::follow::{Barred, ChunkError, accept_entry, check_place, lead_on};
use crate::limits::{BRANCH_PAYLOAD_BYTES_MAX, BRANCH_REST_FIRST_MS, BRANCH_REST_MAX_MS};
use crate::view::kept_line;
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, Root};
use hashpact_protocol::evidence::VerifiedEvidence;
use hashpact_protocol::limits::{
    BRANCH_ENTRIES_MAX, BRANCHES_PER_LOG_MAX, RANGE_BYTES_MAX, RANGE_ENTRIES_MAX, SALT_BYTES,
};
use hashpact_protocol::merkle::{Frontier, frontier_in_proof};
use hashpact_protocol::wire::{BranchRequest, ConsistencyAnswer, RangeChunk, RangeRequest};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// All kept histories, by log and number.
#[derive(Default)]
pub(crate) struct Branches {
    kept: BTreeMap<(LogId, u8), Branch>,
    /// Logs whose followed tree was held against the evidence, and which of its two checkpoints that belongs to:
    /// 0, 1 or neither.
    placed: BTreeMap<LogId, Option<usize>>,
    /// Until when a log is left alone whose tree could not be read.
    resting: BTreeMap<LogId, u64>,
}

/// A history that is kept, or being fetched.
pub(crate) struct Branch {
    note: SizedNote,
    root: Root,
    start: u64,
    frontier: Frontier,
    payload_bytes: u64,
    /// Whether the tree before `start` is proven to be this history's: then whoever sends what does not fit is at fault.
    is_sure: bool,
    /// Peers that were asked in this round and brought nothing.
    asked: BTreeSet<Peer>,
    /// Who brought the last part.
    server: Option<Peer>,
    again_ms: u64,
    rest_ms: u64,
    stage: Stage,
}

enum Stage {
    Waiting,
    Asking { peer: Peer, request: RequestId },
    Writing { write: WriteId, after: Frontier, payload_bytes: u64, entries: Vec<StoredEntry> },
}

impl Branch {
    fn new(note: &SignedCheckpoint, start: Frontier, is_sure: bool) -> Self {
        let note_held = SizedNote { size: note.size(), note: note.note().to_vec() };
        Self {
            note: note_held,
            root: note.root(),
            start: start.size(),
            frontier: start,
            payload_bytes: 0,
            is_sure,
            asked: BTreeSet::new(),
            server: None,
            again_ms: 0,
            rest_ms: BRANCH_REST_FIRST_MS,
            stage: Stage::Waiting,
        }
    }

    fn is_too_long(&self) -> bool {
        self.note.size.saturating_sub(self.start) > BRANCH_ENTRIES_MAX
    }

    fn is_whole(&self) -> bool {
        self.frontier.size() >= self.note.size
    }

    /// Size and root of its checkpoint.
    pub(crate) fn head(&self) -> (u64, Root) {
        (self.note.size, self.root)
    }

    fn is_asking(&self, ours: RequestId) -> bool {
        matches!(&self.stage, Stage::Asking { request, .. } if *request == ours)
    }

    fn is_wanted(&self) -> bool {
        matches!(self.stage, Stage::Waiting) && !self.is_whole() && !self.is_too_long()
    }

    /// Whom to ask for the next part, of those that were not asked in this round; who brought the last one first.
    /// Each peer comes with whether it offers this very head. When all were asked, all are asked again after a rest.
    pub(crate) fn pick(&mut self, peers: &[(Peer, bool)], now_ms: u64) -> Option<Peer> {
        let is_asked = |asked: &BTreeSet<Peer>| peers.iter().all(|(peer, _)| asked.contains(peer));
        if self.asked.is_empty() {
            self.again_ms = now_ms.saturating_add(self.rest_ms);
        } else if is_asked(&self.asked) && now_ms >= self.again_ms {
            self.asked.clear();
            self.rest_ms = self.rest_ms.saturating_mul(2).min(BRANCH_REST_MAX_MS);
            self.again_ms = now_ms.saturating_add(self.rest_ms);
        }
        let willing = peers.iter().filter(|(peer, _)| !self.asked.contains(peer));
        willing.max_by_key(|(peer, offers)| (Some(*peer) == self.server, *offers)).map(|(peer, _)| *peer)
    }

    /// Asks a peer for what follows.
    pub(crate) fn ask(&mut self, log: LogId, peer: Peer, request: RequestId) -> BranchRequest {
        let (start, size) = (self.frontier.size(), self.note.size);
        self.asked.insert(peer);
        self.stage = Stage::Asking { peer, request };
        let wanted = size.saturating_sub(start).min(RANGE_ENTRIES_MAX as u64);
        let range = RangeRequest {
            log: *log.as_bytes(),
            start,
            size,
            entries_max: u32::try_from(wanted).unwrap_or(u32::MAX),
            bytes_max: RANGE_BYTES_MAX as u32,
        };
        BranchRequest { range, root: *self.root.as_bytes() }
    }

    /// Checks a part against the checkpoint; gives its entries and the tree behind them.
    fn check(
        &self,
        log: &LogId,
        chunk: RangeChunk,
        barred: &Barred<'_>,
    ) -> Result<(Vec<StoredEntry>, Frontier), ChunkError> {
        let (at, size) = (self.frontier.size(), self.note.size);
        check_place(&chunk, at, size)?;
        let after = lead_on(&self.frontier, &chunk, size, &self.root)?;
        // Nobody's word that a payload is withheld or erased is kept: it might be another's to give.
        let entries =
            (at..).zip(chunk.entries).map(|(index, entry)| accept_entry(log, index, entry, false, barred));
        Ok((entries.collect::<Result<_, _>>()?, after))
    }

    /// Leaves payloads out that are beyond the bound; gives the bytes that are kept then.
    fn bound(&self, entries: &mut [StoredEntry]) -> u64 {
        let mut bytes = self.payload_bytes;
        for entry in entries {
            let StoredPayload::Present { padded, .. } = &entry.payload else { continue };
            let more = bytes.saturating_add((SALT_BYTES + padded.len()) as u64);
            if more > BRANCH_PAYLOAD_BYTES_MAX {
                entry.payload = StoredPayload::NotHere;
            } else {
                bytes = more;
            }
        }
        bytes
    }

    fn failed(&mut self) {
        self.stage = Stage::Waiting;
        self.server = None;
    }
}

/// A part of a kept history that is on disk now.
pub(crate) struct Kept {
    /// The log.
    pub(crate) log: LogId,
    /// Number of the history.
    pub(crate) number: u8,
    /// Its entries, with their leaf indexes.
    pub(crate) entries: Vec<(u64, StoredEntry)>,
}

/// What an answer came to.
pub(crate) enum Brought {
    /// To be written.
    Batch(BranchBatch),
    /// The peer broke a rule.
    Fault(ChunkError),
    /// Nothing.
    Nothing,
}

impl Branches {
    /// Takes up what is on disk, with its checkpoint verified.
    pub(crate) fn load(&mut self, log: LogId, number: u8, held: HeldBranch, signed: &SignedCheckpoint) {
        let HeldBranch { start, frontier, payload_bytes, .. } = held;
        let branch = Branch { start, payload_bytes, ..Branch::new(signed, frontier, false) };
        self.kept.insert((log, number), branch);
    }

    /// More became known of a fork: what is kept is thought over.
    pub(crate) fn forget_place(&mut self, log: &LogId) {
        self.placed.remove(log);
    }

    /// Whether it is time to find out where a log's followed tree leaves the histories of the evidence.
    pub(crate) fn is_to_be_placed(&self, log: &LogId, now_ms: u64) -> bool {
        !self.placed.contains_key(log) && self.resting.get(log).is_none_or(|until_ms| *until_ms <= now_ms)
    }

    /// The followed tree could not be read: a damaged one is not read at every tick.
    pub(crate) fn rest(&mut self, log: LogId, now_ms: u64) {
        self.resting.insert(log, now_ms.saturating_add(BRANCH_REST_MAX_MS));
    }

    /// Finds what the followed tree lacks of both histories. `here` says how its first `d` leaves lead to it, if it goes
    /// beyond the place where they part.
    pub(crate) fn place(
        &mut self,
        log: LogId,
        evidence: &VerifiedEvidence,
        ours: &Frontier,
        here: Option<&ConsistencyAnswer>,
    ) {
        let Some(divergence) = &evidence.evidence().divergence else { return };
        let shared = here.is_none_or(|here| here.old_root == *divergence.root.as_bytes());
        let sides = [(evidence.first(), &divergence.first), (evidence.second(), &divergence.second)];
        let followed = here
            .filter(|_| shared)
            .and_then(|here| sides.iter().position(|(_, side)| *side.leaf.as_bytes() == here.leaf));
        self.placed.insert(log, followed);
        for (position, (note, side)) in sides.into_iter().enumerate() {
            let before = if here.is_none() || followed == Some(position) {
                Some((ours.clone(), ours.size() == divergence.index && ours.root() == divergence.root))
            } else {
                let (index, root) = (divergence.index, &divergence.root);
                let before = frontier_in_proof(index, root, note.size(), &side.consistency).ok();
                before.map(|before| (before, true))
            };
            // Of a tree that is a third one already where they part nothing could be put together.
            let Some((before, is_sure)) = before.filter(|_| shared) else { continue };
            self.keep(log, note, before, is_sure);
        }
    }

    fn keep(&mut self, log: LogId, note: &SignedCheckpoint, before: Frontier, is_sure: bool) {
        let of_log = || self.kept.range((log, 0)..=(log, u8::MAX));
        let is_kept = of_log().any(|(_, kept)| kept.head() == (note.size(), note.root()));
        let is_held = before.size() >= note.size();
        // A restart may have found the second alone: of the first nothing had been written yet.
        let free = (0..BRANCHES_PER_LOG_MAX).find(|number| !self.kept.contains_key(&(log, *number)));
        if let Some(number) = free.filter(|_| !is_kept && !is_held) {
            self.kept.insert((log, number), Branch::new(note, before, is_sure));
        }
    }

    /// Histories of which the next part may be asked for.
    pub(crate) fn wanted(&mut self) -> impl Iterator<Item = (LogId, &mut Branch)> {
        self.kept.iter_mut().filter(|(_, branch)| branch.is_wanted()).map(|((log, _), branch)| (*log, branch))
    }

    /// Whether a request is for one of them.
    pub(crate) fn is_asking(&self, ours: RequestId) -> bool {
        self.kept.values().any(|branch| branch.is_asking(ours))
    }

    /// Takes a peer's answer; `id` is for the write that may come of it.
    pub(crate) fn answered(
        &mut self,
        ours: RequestId,
        chunk: Option<RangeChunk>,
        id: WriteId,
        barred: &Barred<'_>,
    ) -> Brought {
        let asking = self.kept.iter_mut().find(|(_, branch)| branch.is_asking(ours));
        let Some(((log, number), branch)) = asking else { return Brought::Nothing };
        let Stage::Asking { peer, .. } = branch.stage else { return Brought::Nothing };
        let Some(chunk) = chunk else {
            branch.failed();
            return Brought::Nothing;
        };
        let (mut entries, after) = match branch.check(log, chunk, barred) {
            Ok(accepted) => accepted,
            Err(error) => {
                branch.failed();
                let is_fault = branch.is_sure || !matches!(error, ChunkError::Root { .. });
                return if is_fault { Brought::Fault(error) } else { Brought::Nothing };
            }
        };
        let payload_bytes = branch.bound(&mut entries);
        branch.asked.clear();
        branch.server = Some(peer);
        branch.rest_ms = BRANCH_REST_FIRST_MS;
        let (frontier, written) = (after.hashes().to_vec(), entries.clone());
        branch.stage = Stage::Writing { write: id, after, payload_bytes, entries: written };
        Brought::Batch(BranchBatch {
            id,
            log: *log,
            number: *number,
            note: branch.note.clone(),
            start: branch.start,
            at: branch.frontier.size(),
            entries,
            frontier,
            payload_bytes,
        })
    }

    /// A part is on disk.
    pub(crate) fn written(&mut self, ours: WriteId) -> Option<Kept> {
        let writing = |branch: &Branch| matches!(branch.stage, Stage::Writing { write, .. } if write == ours);
        let (&(log, number), branch) = self.kept.iter_mut().find(|(_, branch)| writing(branch))?;
        let Stage::Writing { after, payload_bytes, entries, .. } =
            std::mem::replace(&mut branch.stage, Stage::Waiting)
        else {
            return None;
        };
        let entries = (branch.frontier.size()..).zip(entries).collect();
        (branch.frontier, branch.payload_bytes) = (after, payload_bytes);
        Some(Kept { log, number, entries })
    }

    /// Numbers of the histories of a log that are kept, with size and root of their checkpoints.
    pub(crate) fn heads(&self, log: &LogId) -> Vec<(u8, (u64, Root))> {
        let of_log = self.kept.range((*log, 0)..=(*log, u8::MAX));
        of_log.map(|((_, number), branch)| (*number, branch.head())).collect()
    }

    /// The log and number of the kept history that goes by this name.
    pub(crate) fn named(&self, line: &LogId) -> Option<(LogId, u8)> {
        self.kept.keys().copied().find(|(log, number)| kept_line(log, *number) == *line)
    }

    /// A peer is gone: it answers no more, and may be asked when it comes back.
    pub(crate) fn lost(&mut self, peer: &Peer) {
        for branch in self.kept.values_mut() {
            branch.asked.remove(peer);
            if matches!(&branch.stage, Stage::Asking { peer: asked, .. } if asked == peer) {
                branch.failed();
            }
        }
    }

    /// How a node stands to both histories of the evidence. `ours` is the size of the followed tree.
    pub(crate) fn state(&self, log: LogId, evidence: &VerifiedEvidence, ours: u64) -> LogBranches {
        let placed = self.placed.get(&log);
        let state = |position: usize, note: &SignedCheckpoint| {
            let is_followed = placed == Some(&Some(position));
            let of_log = self.kept.range((log, 0)..=(log, u8::MAX)).map(|(_, branch)| branch);
            let mut of_log = of_log.filter(|kept| kept.head() == (note.size(), note.root()));
            let kept = of_log.next();
            let followed = match evidence.diverges_at() {
                _ if is_followed => ours,
                Some(index) => ours.min(index),
                None => 0,
            };
            let held = kept.map_or(followed, |kept| kept.frontier.size());
            BranchState {
                size: note.size(),
                root: note.root(),
                is_followed,
                kept_from: kept.map(|kept| kept.start),
                held: held.min(note.size()),
                is_too_long: kept.is_some_and(Branch::is_too_long),
            }
        };
        LogBranches { log, branches: [state(0, evidence.first()), state(1, evidence.second())] }
    }

    /// Histories that are kept, by log and number, with their checkpoints' sizes and roots, and whether they are whole.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (LogId, u64, Root, bool)> {
        self.kept.iter().map(|((log, _), kept)| (*log, kept.note.size, kept.root, kept.is_whole()))
    }
}
