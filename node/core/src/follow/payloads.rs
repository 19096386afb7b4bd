//! Payloads of entries whose leaves are held: asked of every peer that may have them, one batch at a
//! time, for as long as any is missing (DESIGN: Sync, `Payloads`).
//!
//! Which are missing is on disk ([`crate::Effect::FindMissing`]); here are only their number and one
//! batch. A batch goes round all connected peers that hold the log, its author first. When the end of
//! the list is reached, the next round waits, longer each time nothing came: a payload that its author
//! spoilt is asked for as long as the log is followed, and must cost next to nothing.

use super::judge::says_erased;
use super::{Barred, ChunkError, Fault, Source};
use crate::effect::{Effect, PayloadBatch, RequestId, StoredEntry, StoredPayload, WriteId};
use crate::engine::Out;
use crate::event::{MissingEntry, Peer};
use crate::limits::{MISSING_REST_FIRST_MS, MISSING_REST_MAX_MS};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::{EntryLeaf, OpaqueReason, check_commitment, read_leaf};
use hashpact_protocol::limits::RANGE_BYTES_MAX;
use hashpact_protocol::wire::bounds::PAYLOADS_ASKED_MAX;
use hashpact_protocol::wire::{PayloadsRequest, Request, WirePayload};
use std::collections::{BTreeMap, BTreeSet};

/// The payloads that one log lacks.
pub(super) struct MissingPayloads {
    log: LogId,
    count: u64,
    stage: Stage,
    /// Where the next batch begins: after this index, or at the first.
    after: Option<u64>,
    batch: Vec<MissingEntry>,
    asked: BTreeSet<Peer>,
    rounds_in_vain: u32,
    rest_until_ms: u64,
    gained_this_round: bool,
}

enum Stage {
    Idle,
    Finding,
    Asking { peer: Peer, request: RequestId, indexes: Vec<u64> },
    Writing { write: WriteId, entries: Vec<(u64, StoredEntry)>, resume: Option<(Peer, u64)> },
}

impl MissingPayloads {
    pub(super) fn new(log: LogId, count: u64) -> Self {
        Self {
            log,
            count,
            stage: Stage::Idle,
            after: None,
            batch: Vec::new(),
            asked: BTreeSet::new(),
            rounds_in_vain: 0,
            rest_until_ms: 0,
            gained_this_round: false,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// More leaves were stored without their payload.
    pub(super) fn add(&mut self, count: u64) {
        self.count += count;
    }

    /// A payload is not missed any more: it is erased.
    pub(super) fn settled(&mut self, index: u64) {
        self.count = self.count.saturating_sub(1);
        self.batch.retain(|missing| missing.index != index);
        // On its way to a row that takes it no more.
        if let Stage::Writing { entries, .. } = &mut self.stage {
            entries.retain(|(written, _)| *written != index);
        }
    }

    pub(super) fn is_asking(&self, ours: RequestId) -> bool {
        matches!(&self.stage, Stage::Asking { request, .. } if *request == ours)
    }

    pub(super) fn is_writing(&self, ours: WriteId) -> bool {
        matches!(&self.stage, Stage::Writing { write, .. } if *write == ours)
    }

    /// A peer that was not there before may have what nobody else had.
    pub(super) fn new_source(&mut self, now_ms: u64) {
        self.rest_until_ms = self.rest_until_ms.min(now_ms.saturating_add(MISSING_REST_FIRST_MS));
    }

    pub(super) fn lost(&mut self, peer: &Peer) {
        if matches!(&self.stage, Stage::Asking { peer: asked, .. } if asked == peer) {
            self.stage = Stage::Idle;
        }
        self.asked.insert(*peer);
    }

    /// Asks for the next batch, on disk or of a peer, if it is time.
    pub(super) fn poll(&mut self, sources: &BTreeMap<Peer, Source>, now_ms: u64, out: &mut Out) {
        if self.count == 0 || sources.is_empty() || !matches!(self.stage, Stage::Idle) {
            return;
        }
        if self.batch.is_empty() {
            if now_ms >= self.rest_until_ms {
                let (log, after) = (self.log, self.after);
                out.push(Effect::FindMissing { log, after, count_max: PAYLOADS_ASKED_MAX });
                self.stage = Stage::Finding;
            }
            return;
        }
        let first = self.batch.first().map_or(0, |missing| missing.index);
        let willing =
            sources.iter().filter(|(peer, source)| source.head.size > first && !self.asked.contains(*peer));
        match willing.max_by_key(|(_, source)| (source.is_author, source.head.size)) {
            Some((peer, _)) => self.ask(*peer, 0, out),
            None => {
                self.after = self.batch.last().map(|missing| missing.index);
                self.batch.clear();
                self.asked.clear();
                self.poll(sources, now_ms, out);
            }
        }
    }

    /// Asks a peer for what is left of the batch from an index on.
    fn ask(&mut self, peer: Peer, from: u64, out: &mut Out) {
        let indexes: Vec<u64> =
            self.batch.iter().map(|missing| missing.index).filter(|index| *index >= from).collect();
        if indexes.is_empty() {
            self.asked.insert(peer);
            self.stage = Stage::Idle;
            return;
        }
        let request_id = out.next_id();
        let request = PayloadsRequest {
            log: *self.log.as_bytes(),
            indexes: indexes.clone(),
            bytes_max: RANGE_BYTES_MAX as u32,
        };
        out.push(Effect::Send { peer, request_id, request: Request::Payloads(request) });
        self.stage = Stage::Asking { peer, request: request_id, indexes };
    }

    /// What the disk says is missing from the asked place on.
    pub(super) fn found(&mut self, found: Vec<MissingEntry>, now_ms: u64) {
        if !matches!(self.stage, Stage::Finding) {
            return;
        }
        self.stage = Stage::Idle;
        if !found.is_empty() {
            self.batch = found;
            return;
        }
        // The end of the list: rest before the next round, unless this one was fruitful.
        self.after = None;
        self.rounds_in_vain = if self.gained_this_round { 0 } else { self.rounds_in_vain.saturating_add(1) };
        self.gained_this_round = false;
        let rest_ms = MISSING_REST_FIRST_MS << self.rounds_in_vain.min(16);
        self.rest_until_ms = now_ms.saturating_add(rest_ms.min(MISSING_REST_MAX_MS));
    }

    /// The peer does not answer: somebody else is asked.
    pub(super) fn failed(&mut self) {
        if let Stage::Asking { peer, .. } = std::mem::replace(&mut self.stage, Stage::Idle) {
            self.asked.insert(peer);
        }
    }

    /// Who is being asked.
    pub(super) fn asked_peer(&self) -> Option<&Peer> {
        match &self.stage {
            Stage::Asking { peer, .. } => Some(peer),
            Stage::Idle | Stage::Finding | Stage::Writing { .. } => None,
        }
    }

    /// Takes what a peer sent; what proves itself is stored. The first `shared` leaves of the log are known to be
    /// the same there: of those alone a payload that does not fit is the peer's fault. Of a forked log it may
    /// honestly hold the other history.
    pub(super) fn answered(
        &mut self,
        payloads: Vec<WirePayload>,
        shared: u64,
        barred: &Barred<'_>,
        out: &mut Out,
    ) -> Option<Fault> {
        let Stage::Asking { peer, indexes, .. } = std::mem::replace(&mut self.stage, Stage::Idle) else {
            return None;
        };
        let answered = payloads.len();
        if answered == 0 || answered > indexes.len() {
            self.asked.insert(peer);
            return Some(Fault {
                peer,
                error: ChunkError::Payloads { sent: answered, asked: indexes.len() },
            });
        }
        let (mut entries, mut fault, mut is_other) = (Vec::new(), None, false);
        for (index, payload) in indexes.iter().zip(payloads) {
            let Some(at) = self.batch.iter().position(|missing| missing.index == *index) else { continue };
            let Some(missing) = self.batch.get(at) else { continue };
            if let Some(payload) = barred.judge(&missing.leaf, says_erased(&payload)) {
                let leaf = self.batch.remove(at).leaf;
                entries.push((*index, StoredEntry { leaf, payload }));
                continue;
            }
            let WirePayload::Present { salt, padded } = payload else { continue };
            match check_commitment(&missing.leaf, &salt, &padded) {
                Ok(()) => {
                    let leaf = self.batch.remove(at).leaf;
                    entries.push((
                        *index,
                        StoredEntry { leaf, payload: StoredPayload::Present { salt, padded } },
                    ));
                }
                Err(_) if is_unreadable(&self.log, *index, &missing.leaf) => {}
                Err(_) => {
                    is_other = true;
                    let error = ChunkError::Payload { index: *index };
                    fault = (*index < shared).then_some(Fault { peer, error });
                    break;
                }
            }
        }
        // What proved itself is kept; a peer that lied, or holds other leaves, is not asked for the rest.
        let resume = indexes.get(answered).filter(|_| !is_other).map(|index| (peer, *index));
        if resume.is_none() {
            self.asked.insert(peer);
        }
        if entries.is_empty() {
            if let Some((peer, from)) = resume {
                self.ask(peer, from, out);
            }
            return fault;
        }
        self.gained_this_round = true;
        let write = out.next_id();
        let payloads = entries.iter().map(|(index, entry)| (*index, entry.payload.clone())).collect();
        out.push(Effect::WritePayloads(PayloadBatch { id: write, log: self.log, payloads }));
        self.stage = Stage::Writing { write, entries, resume };
        fault
    }

    /// The payloads are on disk.
    pub(super) fn written(&mut self, out: &mut Out) -> Vec<(u64, StoredEntry)> {
        let Stage::Writing { entries, resume, .. } = std::mem::replace(&mut self.stage, Stage::Idle) else {
            return Vec::new();
        };
        self.count = self.count.saturating_sub(entries.len() as u64);
        if let Some((peer, from)) = resume {
            self.ask(peer, from, out);
        }
        entries
    }
}

/// Whether this node cannot know how a payload is bound to its leaf, so that nobody is to blame.
pub(super) fn is_unreadable(log: &LogId, index: u64, leaf: &[u8]) -> bool {
    match read_leaf(leaf, log, index) {
        EntryLeaf::Void(_) | EntryLeaf::Opaque(OpaqueReason::Version { .. }) => true,
        EntryLeaf::Known(_) | EntryLeaf::Opaque(_) => false,
    }
}
