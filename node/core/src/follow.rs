//! The logs of the other members: what peers say their heads are, ranges fetched, every chunk
//! authenticated against a signed root before it is stored (DESIGN: Sync).
//!
//! Per log one state machine: *idle* → a peer offers a larger signed head → *fetching* a range →
//! the chunk proves to belong under that head → *writing* → held, published, folded → next range or
//! idle. The target is the largest head that a connected peer can serve, not the largest claimed.
//!
//! An entry that breaks a rule, or that this node cannot read, is stored and shown like any other;
//! only a chunk that does not hash to the signed root is refused, and that is the serving peer's
//! fault. What a head says about a size that is held is compared with what is held ([`Heard`]): a
//! contradiction freezes the log at the size held. Evidence is made from it in [`crate::forks`].

use crate::effect::{
    Effect, PublishedHead, RequestId, SizedNote, StoredEntry, StoredPayload, WriteBatch, WriteId,
};
use crate::engine::Out;
use crate::event::Peer;
use crate::limits::{LAG_TOLERATED_MS, PEERS_MAX, RECENT_HEADS_MAX, RETRY_FIRST_MS, RETRY_MAX_MS};
use crate::view::Author;
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, NodeHash, Root, leaf_hash};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::leaf::{EntryLeaf, check_commitment, read_leaf};
use hashpact_protocol::limits::{ENTRY_LEAF_MAX_BYTES, RANGE_BYTES_MAX, RANGE_ENTRIES_MAX};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::wire::{RangeChunk, RangeRequest, Request, WireEntry, WirePayload};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// One log of another member.
pub struct FollowedLog {
    author: Author,
    origin: String,
    key: PublicKey,
    size_max: Option<u64>,
    frontier: Frontier,
    note: Option<SizedNote>,
    note_root: Option<Root>,
    sources: BTreeMap<Peer, Source>,
    pauses: BTreeMap<Peer, Pause>,
    stage: Stage,
    frozen: bool,
    /// The one head that may still be fetched: the roster settled a forked log there.
    only: Option<(u64, Root)>,
    recent: BTreeMap<u64, Root>,
    payloads_complete: bool,
    behind_since_ms: Option<u64>,
    last_heard_ms: Option<u64>,
}

/// What the roster and the database say about a log at the start.
pub struct FollowedStart {
    /// Member, number and id.
    pub author: Author,
    /// Its origin.
    pub origin: String,
    /// The key that signs its checkpoints.
    pub key: PublicKey,
    /// The size at which the roster closed it, if it is closed.
    pub size_max: Option<u64>,
    /// Peaks of what is held.
    pub frontier: Frontier,
    /// The largest note held completely.
    pub note: Option<SizedNote>,
    /// Whether every payload is held; without that nothing is confirmed to the author.
    pub payloads_complete: bool,
}

struct Source {
    head: SignedCheckpoint,
    is_author: bool,
}

/// Back-off from a peer whose answers brought nothing; it survives reconnects, or dropping the
/// connection would be a way around it.
#[derive(Debug, Default, Clone, Copy)]
struct Pause {
    failures: u32,
    until_ms: u64,
}

enum Stage {
    Idle,
    Fetching { peer: Peer, request: RequestId, target: SignedCheckpoint },
    Writing { write: WriteId, after: Frontier, entries: Vec<StoredEntry>, target: SignedCheckpoint },
}

/// Entries that just became visible.
pub struct Followed {
    /// Leaf index of the first.
    pub start: u64,
    /// The entries.
    pub entries: Vec<StoredEntry>,
    /// A signed head that is now held completely, to be confirmed to its author.
    pub completed: Option<(u64, Root)>,
}

/// Why a chunk is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Starts elsewhere than asked.
    #[error("chunk starts at {start}, asked for {asked}")]
    Start {
        /// Given.
        start: u64,
        /// Asked.
        asked: u64,
    },
    /// No progress.
    #[error("chunk has no entries")]
    Empty,
    /// Goes beyond the head it was asked under.
    #[error("chunk ends at {end}, beyond the signed size {size}")]
    TooLong {
        /// Its end.
        end: u64,
        /// The signed size.
        size: u64,
    },
    /// A leaf is longer than any entry may be.
    #[error("leaf {index} has {len} bytes; at most {ENTRY_LEAF_MAX_BYTES} are allowed")]
    LeafTooLong {
        /// Which.
        index: u64,
        /// Its length.
        len: usize,
    },
    /// Leaves and cover do not hash to the signed root.
    #[error("leaves and cover do not hash to the signed root of size {size}")]
    Root {
        /// The signed size.
        size: u64,
    },
    /// A payload is not the one that its leaf commits to.
    #[error("the payload of entry {index} is not the one its leaf commits to")]
    Payload {
        /// Which.
        index: u64,
    },
}

impl ChunkError {
    /// Fixed label for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Start { .. } => "chunk_start",
            Self::Empty => "chunk_empty",
            Self::TooLong { .. } => "chunk_too_long",
            Self::LeafTooLong { .. } => "chunk_leaf_too_long",
            Self::Root { .. } => "chunk_root",
            Self::Payload { .. } => "chunk_payload",
        }
    }
}

/// What a verified head says about what is held.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Of a larger size, or of one that nothing is known about yet.
    Beyond,
    /// Of our own branch: a size and root that we computed ourselves.
    Ours(SignedCheckpoint),
    /// Signed by the same author as `ours`, for the same size, with another root.
    Contradiction {
        /// The other note, verbatim.
        ours: Vec<u8>,
        /// What was heard.
        theirs: SignedCheckpoint,
    },
    /// Of a smaller size than the note held, to be compared with the tree.
    Unchecked {
        /// What was heard.
        head: SignedCheckpoint,
        /// The note that covers everything held when it was heard.
        against: SizedNote,
    },
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The note does not verify under the log's key and origin.
    Signature,
    /// Beyond the size at which the roster closed the log.
    BeyondClosure,
}

impl HeadError {
    /// Fixed label for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Signature => "head_signature",
            Self::BeyondClosure => "head_beyond_closure",
        }
    }
}

impl FollowedLog {
    pub(crate) fn new(start: FollowedStart, out: &mut Out) -> Self {
        let FollowedStart { author, origin, key, size_max, frontier, note, payloads_complete } = start;
        let note_root = note
            .as_ref()
            .and_then(|held| SignedCheckpoint::verify(&held.note, &origin, &key).ok())
            .map(|signed| signed.root());
        let log = Self {
            author,
            origin,
            key,
            size_max,
            frontier,
            note,
            note_root,
            sources: BTreeMap::new(),
            pauses: BTreeMap::new(),
            stage: Stage::Idle,
            frozen: false,
            only: None,
            recent: BTreeMap::new(),
            payloads_complete,
            behind_since_ms: None,
            last_heard_ms: None,
        };
        out.push(log.published());
        log
    }

    /// Who writes it.
    #[must_use]
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Entries held and visible.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root of what is held.
    #[must_use]
    pub fn root(&self) -> Root {
        self.frontier.root()
    }

    /// The largest note held completely.
    #[must_use]
    pub fn note(&self) -> Option<&SizedNote> {
        self.note.as_ref()
    }

    /// The largest signed head of which leaves *and* payloads are held: size and root.
    #[must_use]
    pub fn held_head(&self) -> Option<(u64, Root)> {
        let head = (self.note.as_ref()?.size, self.note_root?);
        self.payloads_complete.then_some(head)
    }

    /// Whether its author signed two contradicting heads.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// When a head of it was last heard, from anybody.
    #[must_use]
    pub fn last_heard_ms(&self) -> Option<u64> {
        self.last_heard_ms
    }

    /// Whether a connected peer can serve more than is held, for longer than tolerated.
    #[must_use]
    pub fn is_lagging(&self, now_ms: u64) -> bool {
        self.behind_since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) > LAG_TOLERATED_MS)
    }

    /// Whether nothing more can be fetched from connected peers.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.frozen || self.best().is_none()
    }

    fn best(&self) -> Option<&SignedCheckpoint> {
        self.sources
            .values()
            .map(|source| &source.head)
            .filter(|head| head.size() > self.frontier.size())
            .max_by_key(|head| head.size())
    }

    /// The key that signs its checkpoints.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Stops following: evidence shows two histories. What is held stays as it is.
    pub(crate) fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Follows a forked log to the head that the roster settled on, and to no other.
    pub(crate) fn settle(&mut self, size: u64, root: Root) {
        self.only = Some((size, root));
        self.sources.retain(|_, source| (source.head.size(), source.head.root()) == (size, root));
    }

    /// The root at a size, if it was computed or checked here before.
    pub(crate) fn known_root(&self, size: u64) -> Option<Root> {
        if size == self.frontier.size() {
            return Some(self.frontier.root());
        }
        self.recent.get(&size).copied()
    }

    /// Remembers a root that was compared with the tree.
    pub(crate) fn remember(&mut self, size: u64, root: Root) {
        self.recent.insert(size, root);
        while self.recent.len() > RECENT_HEADS_MAX {
            self.recent.pop_first();
        }
    }

    /// The note held with the root that it signs.
    pub(crate) fn held_note(&self) -> Option<(&SizedNote, Root)> {
        Some((self.note.as_ref()?, self.note_root?))
    }

    /// Replaces the note held by the same checkpoint with more signature lines.
    pub(crate) fn dress(&mut self, note: SizedNote, out: &mut Out) {
        if self.note.as_ref().is_some_and(|held| held.size == note.size && held.note != note.note) {
            self.note = Some(note);
            out.push(self.published());
        }
    }

    /// Peers with the largest head that each offered.
    pub(crate) fn offers(&self) -> impl Iterator<Item = (&Peer, &SignedCheckpoint)> {
        self.sources.iter().map(|(peer, source)| (peer, &source.head))
    }

    /// A peer says how far it holds this log.
    pub(crate) fn heard(
        &mut self,
        peer: Peer,
        is_author: bool,
        note: &[u8],
        now_ms: u64,
        out: &mut Out,
    ) -> Result<Heard, HeadError> {
        let head = self.verify_head(note)?;
        self.last_heard_ms = Some(now_ms);
        // Compared before it becomes an offer itself: a peer may contradict its own earlier word.
        let heard = self.examine(head.clone());
        if let Heard::Contradiction { .. } = heard {
            self.frozen |= self.only.is_none();
        }
        let fits = self.only.is_none_or(|only| only == (head.size(), head.root()));
        match self.sources.get_mut(&peer) {
            Some(source) if source.head.size() >= head.size() => {}
            Some(source) if fits => {
                source.head = head;
                source.is_author = is_author;
            }
            None if fits => {
                self.sources.insert(peer, Source { head, is_author });
            }
            _ => {}
        }
        self.poll(now_ms, out);
        Ok(heard)
    }

    /// A signed head of this log, up to its closure.
    pub(crate) fn verify_head(&self, note: &[u8]) -> Result<SignedCheckpoint, HeadError> {
        let head =
            SignedCheckpoint::verify(note, &self.origin, &self.key).map_err(|_| HeadError::Signature)?;
        if self.size_max.is_some_and(|closed| head.size() > closed) {
            return Err(HeadError::BeyondClosure);
        }
        Ok(head)
    }

    /// Compares a verified head with the note held and with what peers offer.
    pub(crate) fn examine(&self, head: SignedCheckpoint) -> Heard {
        let offered =
            self.sources.values().map(|Source { head, .. }| (head.size(), head.root(), head.note()));
        let held = self.held_note().map(|(note, root)| (note.size, root, note.note.as_slice()));
        let mut others = held.into_iter().chain(offered);
        if let Some((_, _, ours)) =
            others.find(|(size, root, _)| *size == head.size() && *root != head.root())
        {
            return Heard::Contradiction { ours: ours.to_vec(), theirs: head };
        }
        match &self.note {
            Some(note) if head.size() == note.size => Heard::Ours(head),
            Some(note) if head.size() < note.size => match self.recent.get(&head.size()) {
                Some(root) if *root == head.root() => Heard::Ours(head),
                _ => Heard::Unchecked { head, against: note.clone() },
            },
            _ => Heard::Beyond,
        }
    }

    /// A peer is gone: it can serve nothing.
    pub(crate) fn lost(&mut self, peer: &Peer, now_ms: u64, out: &mut Out) {
        self.sources.remove(peer);
        if matches!(&self.stage, Stage::Fetching { peer: asked, .. } if asked == peer) {
            self.stage = Stage::Idle;
        }
        self.poll(now_ms, out);
    }

    /// Starts the next fetch if there is one to start.
    pub(crate) fn poll(&mut self, now_ms: u64, out: &mut Out) {
        match (self.is_caught_up(), self.behind_since_ms) {
            (true, _) => self.behind_since_ms = None,
            (false, None) => self.behind_since_ms = Some(now_ms),
            (false, Some(_)) => {}
        }
        if self.frozen || !matches!(self.stage, Stage::Idle) {
            return;
        }
        let held = self.frontier.size();
        let choice = self
            .sources
            .iter()
            .map(|(peer, source)| (peer, source, self.pauses.get(peer).copied().unwrap_or_default()))
            .filter(|(_, source, pause)| source.head.size() > held && pause.until_ms <= now_ms)
            .max_by_key(|(_, source, pause)| {
                (std::cmp::Reverse(pause.failures), source.is_author, source.head.size())
            });
        let Some((peer, source, _)) = choice else { return };
        let (peer, target) = (*peer, source.head.clone());
        let request = out.next_id();
        let range = RangeRequest {
            log: *self.author.log.as_bytes(),
            start: held,
            size: target.size(),
            entries_max: RANGE_ENTRIES_MAX as u32,
            bytes_max: RANGE_BYTES_MAX as u32,
        };
        out.push(Effect::Send { peer, request_id: request, request: Request::Range(range) });
        self.stage = Stage::Fetching { peer, request, target };
    }

    /// Whether `request` is this log's fetch.
    pub(crate) fn is_fetching(&self, request: RequestId) -> bool {
        matches!(&self.stage, Stage::Fetching { request: ours, .. } if *ours == request)
    }

    /// The head that is being fetched.
    pub(crate) fn target(&self) -> Option<&SignedCheckpoint> {
        match &self.stage {
            Stage::Fetching { target, .. } => Some(target),
            _ => None,
        }
    }

    /// Whether `write` is this log's write.
    pub(crate) fn is_writing(&self, write: WriteId) -> bool {
        matches!(&self.stage, Stage::Writing { write: ours, .. } if *ours == write)
    }

    /// The fetch under way brought nothing: back off from that peer and try another.
    pub(crate) fn fetch_failed(&mut self, now_ms: u64, out: &mut Out) {
        if let Stage::Fetching { peer, .. } = std::mem::replace(&mut self.stage, Stage::Idle) {
            if self.pauses.len() >= PEERS_MAX {
                self.pauses.retain(|_, pause| pause.until_ms > now_ms);
            }
            let pause = self.pauses.entry(peer).or_default();
            let pause_ms = RETRY_FIRST_MS.saturating_mul(1 << pause.failures.min(10)).min(RETRY_MAX_MS);
            pause.failures = pause.failures.saturating_add(1);
            pause.until_ms = now_ms.saturating_add(pause_ms);
        }
        self.poll(now_ms, out);
    }

    /// The fetch under way brought a chunk: store it if it proves itself.
    pub(crate) fn fetched(
        &mut self,
        chunk: RangeChunk,
        now_ms: u64,
        out: &mut Out,
    ) -> Result<(), ChunkError> {
        let Stage::Fetching { peer, target, .. } = &self.stage else { return Ok(()) };
        if self.frozen {
            // The contradiction was found while this was under way: stay at the size held.
            self.stage = Stage::Idle;
            return Ok(());
        }
        let (peer, target) = (*peer, target.clone());
        let from_author = self.sources.get(&peer).is_some_and(|source| source.is_author);
        let accepted = self.check_chunk(chunk, &target, from_author);
        let (entries, after) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                self.fetch_failed(now_ms, out);
                return Err(error);
            }
        };
        self.pauses.remove(&peer);
        let write = out.next_id();
        let completes = after.size() == target.size();
        out.push(Effect::Write(WriteBatch {
            id: write,
            log: self.author.log,
            origin: self.origin.clone(),
            start: self.frontier.size(),
            entries: entries.clone(),
            frontier: after.hashes().to_vec(),
            note: completes.then(|| SizedNote { size: target.size(), note: target.note().to_vec() }),
            idempotency: Vec::new(),
            read_back: false,
            generation: None,
        }));
        self.stage = Stage::Writing { write, after, entries, target };
        Ok(())
    }

    fn check_chunk(
        &self,
        chunk: RangeChunk,
        target: &SignedCheckpoint,
        from_author: bool,
    ) -> Result<(Vec<StoredEntry>, Frontier), ChunkError> {
        let start = self.frontier.size();
        if chunk.start != start {
            return Err(ChunkError::Start { start: chunk.start, asked: start });
        }
        if chunk.entries.is_empty() {
            return Err(ChunkError::Empty);
        }
        let end = start.saturating_add(chunk.entries.len() as u64);
        if end > target.size() {
            return Err(ChunkError::TooLong { end, size: target.size() });
        }
        let mut after = self.frontier.clone();
        for (index, entry) in (start..).zip(&chunk.entries) {
            if entry.leaf.len() > ENTRY_LEAF_MAX_BYTES {
                return Err(ChunkError::LeafTooLong { index, len: entry.leaf.len() });
            }
            after.append(leaf_hash(&entry.leaf));
        }
        let cover: Vec<NodeHash> = chunk.cover.into_iter().map(NodeHash::new).collect();
        match after.root_with_cover(target.size(), &cover) {
            Ok(root) if root == target.root() => {}
            _ => return Err(ChunkError::Root { size: target.size() }),
        }
        let entries = (start..)
            .zip(chunk.entries)
            .map(|(index, entry)| accept_entry(&self.author.log, index, entry, from_author))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((entries, after))
    }

    /// The chunk is on disk: publish it, and go on.
    pub(crate) fn written(&mut self, now_ms: u64, out: &mut Out) -> Option<Followed> {
        let Stage::Writing { after, entries, target, .. } = std::mem::replace(&mut self.stage, Stage::Idle)
        else {
            return None;
        };
        let start = self.frontier.size();
        self.payloads_complete &=
            entries.iter().all(|entry| matches!(entry.payload, StoredPayload::Present { .. }));
        self.frontier = after;
        let complete = self.frontier.size() == target.size();
        if complete {
            self.note = Some(SizedNote { size: target.size(), note: target.note().to_vec() });
            self.note_root = Some(target.root());
            self.remember(target.size(), target.root());
        }
        out.push(self.published());
        self.poll(now_ms, out);
        Some(Followed { start, entries, completed: self.held_head().filter(|_| complete) })
    }

    fn published(&self) -> Effect {
        Effect::Publish(PublishedHead {
            log: self.author.log,
            origin: self.origin.clone(),
            size: self.frontier.size(),
            root: self.frontier.root(),
            note: self.note.clone(),
            announced: self.best().map_or(self.frontier.size(), SignedCheckpoint::size),
        })
    }
}

/// Takes an entry whose leaf is proven. A payload that is not the committed one is the serving peer's
/// fault, unless the author itself serves it: then nobody will ever have a better one, and the leaf
/// must not stop replication.
fn accept_entry(
    log: &LogId,
    index: u64,
    entry: WireEntry,
    from_author: bool,
) -> Result<StoredEntry, ChunkError> {
    let WireEntry { leaf, payload } = entry;
    let payload = match payload {
        WirePayload::Present { salt, padded } => {
            let void = matches!(read_leaf(&leaf, log, index), EntryLeaf::Void(_));
            match check_commitment(&leaf, &salt, &padded) {
                Ok(()) => StoredPayload::Present { salt, padded },
                Err(_) if from_author || void => StoredPayload::NotHere,
                Err(_) => return Err(ChunkError::Payload { index }),
            }
        }
        WirePayload::Withheld => StoredPayload::Withheld,
        WirePayload::Erased => StoredPayload::Erased,
        WirePayload::NotHere => StoredPayload::NotHere,
    };
    Ok(StoredEntry { leaf, payload })
}
