//! Priority entries that overtake a backlog (DESIGN: Sync, `Entries`; SPEC §10.5).
//!
//! A peer lists (log, leaf index) of retractions and the like. What lies behind the parts that are on their
//! way is asked for by itself, against the signed head that this peer offered: how the tree held leads to
//! that head, then each entry's place in it. What proves itself is stored *ahead* of the log's end,
//! durably, and folded at once; the log reaches it later like any other entry. Nothing is cosigned or
//! confirmed on the strength of it: the prefix alone counts there.
//!
//! Bounds: indexes that one peer may list, entries and bytes that one log may have ahead, one request a peer.
//! Who lists what is not a priority entry, or serves what does not prove itself, is found out by the answer;
//! an index that a peer listed is asked of that peer first, and of another who lists it after a while.

use super::judge::accept_entry;
use super::{Barred, ChunkError, Fault, FollowedLog, Target, Window};
use crate::effect::{AheadBatch, Effect, RequestId, StoredEntry, StoredPayload, WriteId};
use crate::engine::Out;
use crate::event::Peer;
use crate::limits::{OVERTAKING_BYTES_MAX, OVERTAKING_LISTED_MAX, OVERTAKING_PATIENCE_MS};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, NodeHash, Root, leaf_hash};
use hashpact_protocol::leaf::{EntryLeaf, read_leaf};
use hashpact_protocol::limits::{ENTRY_LEAF_MAX_BYTES, RANGE_BYTES_MAX};
use hashpact_protocol::merkle::{verify_consistency, verify_inclusion};
use hashpact_protocol::wire::bounds::ENTRIES_ASKED_MAX;
use hashpact_protocol::wire::{EntriesAnswer, EntriesRequest, ProvenEntry, Request};
use std::collections::{BTreeMap, BTreeSet};

/// The entries of one log that are held, or wanted, ahead of its end.
pub(super) struct Overtaking {
    log: LogId,
    held_max: usize,
    held: BTreeMap<u64, StoredEntry>,
    wanted: BTreeMap<u64, Wanted>,
    asking: BTreeMap<RequestId, Asking>,
    writing: BTreeMap<WriteId, Vec<(u64, StoredEntry)>>,
}

/// An index that peers listed and that is not held.
struct Wanted {
    since_ms: u64,
    asked_ms: Option<u64>,
    /// Who listed it and was not asked yet.
    listed: BTreeSet<Peer>,
}

/// One question under way.
struct Asking {
    peer: Peer,
    indexes: Vec<u64>,
    old: u64,
    old_root: Root,
    head: Target,
}

impl Overtaking {
    pub(super) fn new(log: LogId, held_max: usize, held: Vec<(u64, StoredEntry)>) -> Self {
        Self {
            log,
            held_max,
            held: held.into_iter().collect(),
            wanted: BTreeMap::new(),
            asking: BTreeMap::new(),
            writing: BTreeMap::new(),
        }
    }

    pub(super) fn is_asking(&self, request: RequestId) -> bool {
        self.asking.contains_key(&request)
    }

    pub(super) fn is_writing(&self, write: WriteId) -> bool {
        self.writing.contains_key(&write)
    }

    /// The payload of an entry that came ahead.
    pub(super) fn payload(&self, index: u64) -> Option<&StoredPayload> {
        self.held.get(&index).map(|entry| &entry.payload)
    }

    pub(super) fn lost(&mut self, gone: &Peer) {
        self.asking.retain(|_, asking| asking.peer != *gone);
        self.unlist(gone);
    }

    /// The log has grown to this size: what lies below is not ahead any more.
    pub(super) fn reached(&mut self, size: u64) {
        self.held = self.held.split_off(&size);
        self.wanted = self.wanted.split_off(&size);
    }

    /// Whether an entry at or above this size is held, or being written.
    pub(super) fn reaches(&self, size: u64) -> bool {
        let mut written = self.writing.values().flatten().map(|(index, _)| index);
        self.held.range(size..).next().is_some() || written.any(|index| *index >= size)
    }

    /// Nothing is looked for any more.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
        self.asking.clear();
    }

    fn unlist(&mut self, peer: &Peer) {
        for wanted in self.wanted.values_mut() {
            wanted.listed.remove(peer);
        }
        self.forget_unlisted();
    }

    fn forget_unlisted(&mut self) {
        let asked: BTreeSet<u64> = self.asking.values().flat_map(|asking| &asking.indexes).copied().collect();
        self.wanted.retain(|index, wanted| !wanted.listed.is_empty() || asked.contains(index));
    }

    fn is_known(&self, index: u64) -> bool {
        let written = || self.writing.values().flatten().any(|(written, _)| *written == index);
        self.held.contains_key(&index) || written()
    }

    fn list(&mut self, peer: Peer, indexes: &[u64], held_size: u64, now_ms: u64) {
        let mut listed = self.wanted.values().filter(|wanted| wanted.listed.contains(&peer)).count();
        for index in indexes {
            if listed >= OVERTAKING_LISTED_MAX {
                return;
            }
            if *index < held_size || self.is_known(*index) {
                continue;
            }
            let fresh = || Wanted { since_ms: now_ms, asked_ms: None, listed: BTreeSet::new() };
            let wanted = self.wanted.entry(*index).or_insert_with(fresh);
            listed += usize::from(wanted.listed.insert(peer));
        }
    }

    /// Room for more entries ahead of the log's end.
    fn room(&self) -> usize {
        let asked: usize = self.asking.values().map(|asking| asking.indexes.len()).sum();
        let ahead = || self.held.values().chain(self.writing.values().flatten().map(|(_, entry)| entry));
        let bytes: usize = ahead().map(size_bytes).sum();
        if bytes >= OVERTAKING_BYTES_MAX {
            return 0;
        }
        self.held_max.saturating_sub(asked + ahead().count())
    }

    /// What this peer should be asked for now: it lists it, its head covers it, nobody else is being asked,
    /// and it is not on its way already.
    fn next(&self, peer: &Peer, window: &Window, head_size: u64, now_ms: u64) -> Vec<u64> {
        let is_due = |index: u64, wanted: &Wanted| {
            let waited = |since_ms: u64| now_ms.saturating_sub(since_ms) >= OVERTAKING_PATIENCE_MS;
            wanted.listed.contains(peer)
                && wanted.asked_ms.is_none_or(waited)
                && (waited(wanted.since_ms) || !window.is_on_its_way(index))
        };
        let below = self.wanted.range(..head_size);
        let due = below.filter(|(index, wanted)| is_due(**index, wanted)).map(|(index, _)| *index);
        due.take(self.room().min(ENTRIES_ASKED_MAX)).collect()
    }

    fn ask(&mut self, asking: Asking, now_ms: u64, out: &mut Out) {
        for index in &asking.indexes {
            if let Some(wanted) = self.wanted.get_mut(index) {
                wanted.asked_ms = Some(now_ms);
                wanted.listed.remove(&asking.peer);
            }
        }
        let request = EntriesRequest {
            log: *self.log.as_bytes(),
            old: asking.old,
            size: asking.head.size,
            indexes: asking.indexes.clone(),
            bytes_max: RANGE_BYTES_MAX as u32,
        };
        let request_id = out.next_id();
        out.push(Effect::Send { peer: asking.peer, request_id, request: Request::Entries(request) });
        self.asking.insert(request_id, asking);
    }
}

fn size_bytes(entry: &StoredEntry) -> usize {
    entry.leaf.len()
        + match &entry.payload {
            StoredPayload::Present { padded, .. } => padded.len(),
            _ => 0,
        }
}

impl Asking {
    /// Takes what proves itself; the first rule that is broken refuses all of it.
    fn check(
        &self,
        log: &LogId,
        answer: EntriesAnswer,
        from_author: bool,
        barred: &Barred<'_>,
    ) -> Result<Vec<(u64, StoredEntry)>, ChunkError> {
        let (sent, asked) = (answer.entries.len(), self.indexes.len());
        if sent == 0 || sent > asked {
            return Err(ChunkError::Entries { sent, asked });
        }
        let Target { size, root, .. } = &self.head;
        let hashes = |hashes: Vec<[u8; 32]>| hashes.into_iter().map(NodeHash::new).collect::<Vec<_>>();
        verify_consistency(self.old, &self.old_root, *size, root, &hashes(answer.consistency))
            .map_err(|_| ChunkError::Root { size: *size })?;
        let mut accepted = Vec::with_capacity(sent);
        for (index, ProvenEntry { entry, inclusion }) in self.indexes.iter().copied().zip(answer.entries) {
            let len = entry.leaf.len();
            if len > ENTRY_LEAF_MAX_BYTES {
                return Err(ChunkError::LeafTooLong { index, len });
            }
            verify_inclusion(&leaf_hash(&entry.leaf), index, *size, &hashes(inclusion), root)
                .map_err(|_| ChunkError::Inclusion { index })?;
            match read_leaf(&entry.leaf, log, index) {
                EntryLeaf::Known(leaf) if leaf.overtakes() => {
                    accepted.push((index, accept_entry(log, index, entry, from_author, barred)?));
                }
                // What another version lets overtake comes with the backlog here.
                EntryLeaf::Known(leaf) if leaf.priority => {}
                EntryLeaf::Opaque(_) => {}
                EntryLeaf::Known(_) | EntryLeaf::Void(_) => return Err(ChunkError::NotPriority { index }),
            }
        }
        Ok(accepted)
    }
}

impl FollowedLog {
    /// A peer lists priority entries of this log.
    pub(crate) fn listed(&mut self, peer: Peer, indexes: &[u64], now_ms: u64, out: &mut Out) {
        // One that offers no head cannot be asked.
        if !self.frozen && self.sources.contains_key(&peer) {
            self.overtaking.list(peer, indexes, self.frontier.size(), now_ms);
            self.overtake(now_ms, out);
        }
    }

    /// Asks for what should overtake the backlog.
    pub(super) fn overtake(&mut self, now_ms: u64, out: &mut Out) {
        if self.frozen || self.overtaking.wanted.is_empty() {
            return;
        }
        for (peer, source) in &self.sources {
            let is_paused = self.pauses.get(peer).is_some_and(|pause| pause.until_ms > now_ms);
            let is_busy = self.overtaking.asking.values().any(|asking| asking.peer == *peer);
            if is_paused || is_busy || source.head.size <= self.frontier.size() {
                continue;
            }
            let indexes = self.overtaking.next(peer, &self.window, source.head.size, now_ms);
            if indexes.is_empty() {
                continue;
            }
            let (old, old_root) = (self.frontier.size(), self.frontier.root());
            let asking = Asking { peer: *peer, indexes, old, old_root, head: source.head.clone() };
            self.overtaking.ask(asking, now_ms, out);
        }
    }

    /// A request for single entries brought nothing; `false` if it was none.
    pub(super) fn overtaking_failed(&mut self, request: RequestId, now_ms: u64) -> bool {
        let Some(asking) = self.overtaking.asking.remove(&request) else { return false };
        self.pause(asking.peer, now_ms);
        self.overtaking.forget_unlisted();
        true
    }

    /// A request brought single entries. What breaks a rule is told with the head that it was held against.
    pub(crate) fn entries_answered(
        &mut self,
        request: RequestId,
        answer: EntriesAnswer,
        barred: &Barred<'_>,
        out: &mut Out,
    ) -> Option<(Fault, Option<SignedCheckpoint>)> {
        let now_ms = barred.now_ms;
        let Some(asking) = self.overtaking.asking.remove(&request) else {
            // An answer of another kind than the question answers nothing.
            self.fetch_failed(request, now_ms, out);
            return None;
        };
        if self.frozen {
            self.overtaking.clear();
            return None;
        }
        let peer = asking.peer;
        let from_author = self.sources.get(&peer).is_some_and(|source| source.is_author);
        let answered = answer.entries.len();
        let fault = match asking.check(&self.author.log, answer, from_author, barred) {
            Ok(entries) => {
                // What did not fit the answer is asked for again.
                for index in asking.indexes.iter().skip(answered) {
                    if let Some(wanted) = self.overtaking.wanted.get_mut(index) {
                        (wanted.asked_ms, _) = (None, wanted.listed.insert(peer));
                    }
                }
                self.store_ahead(entries, out);
                None
            }
            Err(error) => {
                self.pause(peer, now_ms);
                self.overtaking.unlist(&peer);
                Some((Fault { peer, error }, asking.head.signed))
            }
        };
        self.overtaking.forget_unlisted();
        self.poll(now_ms, out);
        fault
    }

    fn store_ahead(&mut self, mut entries: Vec<(u64, StoredEntry)>, out: &mut Out) {
        entries.retain(|(index, _)| *index >= self.frontier.size() && !self.overtaking.is_known(*index));
        for (index, _) in &entries {
            self.overtaking.wanted.remove(index);
        }
        if entries.is_empty() {
            return;
        }
        let (id, log) = (out.next_id(), self.author.log);
        out.push(Effect::WriteAhead(AheadBatch { id, log, entries: entries.clone() }));
        self.overtaking.writing.insert(id, entries);
    }

    /// Entries ahead of the log's end are on disk; those that it has not reached meanwhile.
    pub(super) fn ahead_written(&mut self, write: WriteId) -> Option<Vec<(u64, StoredEntry)>> {
        let mut entries = self.overtaking.writing.remove(&write)?;
        entries.retain(|(index, _)| *index >= self.frontier.size());
        self.overtaking.held.extend(entries.iter().cloned());
        Some(entries)
    }

    /// Leaf indexes of the entries held ahead of the log's end.
    pub fn ahead(&self) -> impl Iterator<Item = u64> {
        self.overtaking.held.keys().copied()
    }
}
