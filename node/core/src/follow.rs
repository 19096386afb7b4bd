//! The logs of the other members: what peers say their heads are, ranges fetched, every chunk
//! authenticated against a signed root before it is stored (DESIGN: Sync).
//!
//! Per log: a peer offers a larger signed head → parts of what is lacking are asked for, of several
//! peers at once ([`window`]) → in the order of the log each proves to belong under that head → it is
//! written → held, published, folded. The target is the largest head that a connected peer can serve,
//! not the largest claimed. Payloads that did not come with their leaves are asked for by themselves
//! ([`payloads`]), and so are priority entries behind a backlog ([`overtake`]).
//!
//! A log that the roster closed is followed to that size and root, whoever signed more: what lies beyond
//! was disowned or never pinned, and does not count.
//!
//! An entry that breaks a rule, or that this node cannot read, is stored and shown like any other;
//! only a chunk that does not hash to the signed root is refused, and that is the serving peer's
//! fault. What a head says about a size that is held is compared with what is held ([`Heard`]): a
//! contradiction freezes the log at the size held. Evidence is made from it in [`crate::forks`].

use crate::effect::{Effect, PayloadState, PublishedHead, RequestId, SizedNote, StoredEntry, WriteId};
use crate::engine::Out;
use crate::event::MissingEntry;
use crate::event::Peer;
use crate::limits::{
    FETCHES_PER_PEER_MAX, LAG_TOLERATED_MS, PEERS_MAX, RECENT_HEADS_MAX, RETRY_FIRST_MS, RETRY_MAX_MS,
    VERIFIED_HEADS_MAX,
};
use crate::view::Author;
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::Root;
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::limits::RANGE_BYTES_MAX;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::wire::{RangeRequest, Request, WirePayload};
use overtake::Overtaking;
use payloads::MissingPayloads;
use std::collections::{BTreeMap, VecDeque};
use window::Window;

mod barred;
mod chunks;
mod heal;
mod judge;
mod overtake;
mod payloads;
mod start;
#[cfg(test)]
mod tests;
mod window;

pub use barred::Barred;
pub(crate) use barred::named_author;
pub(crate) use heal::Healing;
pub use judge::{ChunkError, Fault, HeadError, Heard};
pub(crate) use judge::{accept_entry, check_place, lead_on};
pub use start::{Closure, FollowedStart};

/// One log of another member.
pub struct FollowedLog {
    author: Author,
    origin: String,
    key: PublicKey,
    closed: Option<Closure>,
    frontier: Frontier,
    note: Option<SizedNote>,
    note_root: Option<Root>,
    sources: BTreeMap<Peer, Source>,
    pauses: BTreeMap<Peer, Pause>,
    window: Window,
    fetches_max: usize,
    writing: Option<Writing>,
    frozen: bool,
    missing: MissingPayloads,
    overtaking: Overtaking,
    /// Only the closure may still be fetched: evidence shows two histories, and the roster settled on one.
    settled: bool,
    recent: BTreeMap<u64, Root>,
    /// Heads that were verified, newest first.
    verified: VecDeque<SignedCheckpoint>,
    behind_since_ms: Option<u64>,
    last_heard_ms: Option<u64>,
}

/// A tree that the log may be fetched up to: its author signed it, or the roster pinned it.
#[derive(Debug, Clone)]
struct Target {
    size: u64,
    root: Root,
    /// What the author signed, unless only the roster vouches for it.
    signed: Option<SignedCheckpoint>,
}

struct Source {
    head: Target,
    is_author: bool,
}

/// Back-off from a peer whose answers brought nothing; it survives reconnects, or dropping the
/// connection would be a way around it.
#[derive(Debug, Default, Clone, Copy)]
struct Pause {
    failures: u32,
    until_ms: u64,
}

struct Writing {
    write: WriteId,
    after: Frontier,
    entries: Vec<StoredEntry>,
    target: Target,
}

/// What is new of entries that became visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// All: they are the next of the log.
    Next,
    /// Their payloads; the leaves were held before.
    Payloads,
    /// All, ahead of the log's end.
    Ahead,
}

/// Entries or payloads that just became visible.
pub struct Followed {
    /// The entries with their leaf indexes.
    pub entries: Vec<(u64, StoredEntry)>,
    /// What is new of them.
    pub news: News,
    /// A signed head that is now held completely, to be confirmed to its author.
    pub completed: Option<(u64, Root)>,
    /// A part that had arrived earlier turned out to break a rule.
    pub fault: Option<Fault>,
}

impl FollowedLog {
    pub(crate) fn new(start: FollowedStart, out: &mut Out) -> Self {
        let FollowedStart { author, origin, key, closed, frontier, note, payloads_missing, ahead, ahead_max } =
            start;
        let note_root = note
            .as_ref()
            .and_then(|held| SignedCheckpoint::verify(&held.note, &origin, &key).ok())
            .map(|signed| signed.root());
        // What is held below the closure is not what the roster pinned: nothing may be built on it.
        let is_off =
            closed.is_some_and(|closed| frontier.size() == closed.size && frontier.root() != closed.root);
        let log = Self {
            missing: MissingPayloads::new(author.log, payloads_missing),
            overtaking: Overtaking::new(author.log, ahead_max, ahead),
            author,
            origin,
            key,
            closed,
            frontier,
            note,
            note_root,
            sources: BTreeMap::new(),
            pauses: BTreeMap::new(),
            window: Window::default(),
            fetches_max: 1,
            writing: None,
            frozen: is_off,
            settled: false,
            recent: BTreeMap::new(),
            verified: VecDeque::new(),
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

    /// The tree of what is held.
    pub(crate) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The largest note held completely.
    #[must_use]
    pub fn note(&self) -> Option<&SizedNote> {
        self.note.as_ref()
    }

    /// Entries held without their payload.
    #[must_use]
    pub fn payloads_missing(&self) -> u64 {
        self.missing.count()
    }

    /// The largest signed head of which leaves *and* payloads are held: size and root.
    #[must_use]
    pub fn held_head(&self) -> Option<(u64, Root)> {
        let note = self.note.as_ref().filter(|note| note.size <= self.frontier.size())?;
        let head = (note.size, self.note_root?);
        (self.missing.count() == 0).then_some(head)
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

    fn best(&self) -> Option<&Target> {
        self.sources
            .values()
            .map(|source| &source.head)
            .filter(|head| head.size > self.frontier.size())
            .max_by_key(|head| head.size)
    }

    /// Peers that can serve more than is held.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Peer> {
        let size = self.frontier.size();
        self.sources.iter().filter(move |(_, source)| source.head.size > size).map(|(peer, _)| peer)
    }

    /// How many parts may be in hand at once; none to wait for other logs.
    pub(crate) fn allow(&mut self, fetches_max: usize) {
        self.fetches_max = fetches_max;
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

    /// Follows a forked log to where the roster closed it, and to no other head.
    pub(crate) fn settle(&mut self) {
        let Some(closed) = self.closed else { return };
        let is_closure = |head: &Target| (closed.size, closed.root) == (head.size, head.root);
        self.settled = true;
        self.sources.retain(|_, source| is_closure(&source.head));
        if !self.window.target().is_some_and(is_closure) {
            self.window.clear();
        }
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
        self.sources.iter().filter_map(|(peer, source)| Some((peer, source.head.signed.as_ref()?)))
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
        let signed = self.verify_head(note)?;
        self.note_verified(&signed);
        self.last_heard_ms = Some(now_ms);
        let is_beyond = self.is_beyond_closure(&signed);
        // Compared before it becomes an offer itself: a peer may contradict its own earlier word.
        let heard = if is_beyond { Heard::Beyond } else { self.examine(signed.clone()) };
        if let Heard::Contradiction { .. } = heard {
            self.frozen |= self.closed.is_none();
        }
        let head = match self.closed {
            // Whoever holds more than counts can serve what counts.
            Some(Closure { size, root }) if is_beyond => Target { size, root, signed: None },
            Some(Closure { size, root }) if signed.size() == size && signed.root() != root => {
                return match heard {
                    Heard::Contradiction { .. } => Ok(heard),
                    _ => Err(HeadError::AgainstClosure),
                };
            }
            _ => Target { size: signed.size(), root: signed.root(), signed: Some(signed) },
        };
        let fits = !self.settled || self.is_closure(&head);
        match self.sources.get_mut(&peer) {
            Some(source) if source.head.size >= head.size => {}
            Some(source) if fits => {
                source.head = head;
                source.is_author = is_author;
            }
            None if fits => {
                self.sources.insert(peer, Source { head, is_author });
                self.missing.new_source(now_ms);
            }
            _ => {}
        }
        self.poll(now_ms, out);
        Ok(heard)
    }

    /// Whether a head covers what does not count any more.
    pub(crate) fn is_beyond_closure(&self, head: &SignedCheckpoint) -> bool {
        self.closed.is_some_and(|closed| head.size() > closed.size)
    }

    fn is_closure(&self, head: &Target) -> bool {
        self.closed.is_some_and(|closed| (closed.size, closed.root) == (head.size, head.root))
    }

    /// A signed head of this log. Cosignatures come to a note one by one, and everybody tells it again with each of them:
    /// the author's signature is verified once.
    pub(crate) fn verify_head(&self, note: &[u8]) -> Result<SignedCheckpoint, HeadError> {
        let known = self.verified.iter().find_map(|head| head.in_note(note, &self.key));
        known.map_or_else(
            || SignedCheckpoint::verify(note, &self.origin, &self.key).map_err(|_| HeadError::Signature),
            Ok,
        )
    }

    /// Remembers the newest heads that were verified.
    fn note_verified(&mut self, head: &SignedCheckpoint) {
        if self.verified.iter().all(|known| known.checkpoint() != head.checkpoint()) {
            self.verified.truncate(VERIFIED_HEADS_MAX - 1);
            self.verified.push_front(head.clone());
        }
    }

    /// Compares a verified head with the note held and with what peers offer.
    pub(crate) fn examine(&self, head: SignedCheckpoint) -> Heard {
        let offered = self.offers().map(|(_, head)| (head.size(), head.root(), head.note()));
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
        self.window.lost(peer);
        self.missing.lost(peer);
        self.overtaking.lost(peer);
        self.poll(now_ms, out);
    }

    /// Starts the fetches that there are to start.
    pub(crate) fn poll(&mut self, now_ms: u64, out: &mut Out) {
        match (self.is_caught_up(), self.behind_since_ms) {
            (true, _) => self.behind_since_ms = None,
            (false, None) => self.behind_since_ms = Some(now_ms),
            (false, Some(_)) => {}
        }
        if self.frozen {
            return;
        }
        self.choose_target(now_ms);
        while let Some((start, end)) = self.window.next_open() {
            let in_hand = self.window.in_hand() + usize::from(self.writing.is_some());
            // The part that all others wait for may be asked for beside those that have arrived.
            let is_next = self.fetches_max > 0 && self.writing.is_none() && self.window.is_first(start);
            let may_ask = in_hand < self.fetches_max || is_next;
            let Some(target) = self.window.target().filter(|_| may_ask) else { break };
            let size = target.size;
            let Some(peer) = self.pick(size, now_ms) else { break };
            let request_id = out.next_id();
            let range = RangeRequest {
                log: *self.author.log.as_bytes(),
                start,
                size,
                entries_max: u32::try_from(end - start).unwrap_or(u32::MAX),
                bytes_max: RANGE_BYTES_MAX as u32,
            };
            out.push(Effect::Send { peer, request_id, request: Request::Range(range) });
            self.window.ask(start, end, peer, request_id);
        }
        self.overtake(now_ms, out);
        self.missing.poll(&self.sources, now_ms, out);
    }

    /// Chooses the head to fetch towards, unless parts for one are in hand that somebody can still serve.
    fn choose_target(&mut self, now_ms: u64) {
        let held = self.writing.as_ref().map_or(self.frontier.size(), |writing| writing.after.size());
        if let Some(target) = self.window.target() {
            let can_serve = self.sources.values().any(|source| source.head.size >= target.size);
            if self.window.in_hand() > 0 && can_serve {
                return;
            }
        }
        let choice = self
            .sources
            .iter()
            .map(|(peer, source)| (source, self.pauses.get(peer).copied().unwrap_or_default()))
            .filter(|(source, pause)| source.head.size > held && pause.until_ms <= now_ms)
            .max_by_key(|(source, pause)| {
                (std::cmp::Reverse(pause.failures), source.is_author, source.head.size)
            });
        match choice {
            Some((source, _)) => self.window.start(source.head.clone(), held),
            None => self.window.clear(),
        }
    }

    /// Who is asked for the next part of the tree of `size`: who failed least, then who is asked for the
    /// least, then the author, then whom this log falls to, so that many logs do not all fall to the same peer.
    fn pick(&self, size: u64, now_ms: u64) -> Option<Peer> {
        self.sources
            .iter()
            .map(|(peer, source)| {
                let pause = self.pauses.get(peer).copied().unwrap_or_default();
                (*peer, source, pause, self.window.asked_of(peer))
            })
            .filter(|(_, source, pause, asked)| {
                source.head.size >= size && pause.until_ms <= now_ms && *asked < FETCHES_PER_PEER_MAX
            })
            .max_by_key(|(peer, source, pause, asked)| {
                let (failures, asked) = (std::cmp::Reverse(pause.failures), std::cmp::Reverse(*asked));
                let mine = peer.as_bytes().iter().zip(self.author.log.as_bytes()).map(|(a, b)| a ^ b);
                (failures, asked, source.is_author, source.head.size, mine.take(8).collect::<Vec<u8>>())
            })
            .map(|(peer, ..)| peer)
    }

    /// Whether `request` is one of this log's.
    pub(crate) fn is_fetching(&self, request: RequestId) -> bool {
        self.window.asked(request).is_some()
            || self.missing.is_asking(request)
            || self.overtaking.is_asking(request)
    }

    /// The signed head that is being fetched.
    pub(crate) fn target(&self) -> Option<&SignedCheckpoint> {
        self.window.target()?.signed.as_ref()
    }

    /// Whether `write` is this log's write.
    pub(crate) fn is_writing(&self, write: WriteId) -> bool {
        self.writing.as_ref().is_some_and(|writing| writing.write == write)
            || self.missing.is_writing(write)
            || self.overtaking.is_writing(write)
    }

    /// A request brought nothing: back off from that peer and try another.
    pub(crate) fn fetch_failed(&mut self, request: RequestId, now_ms: u64, out: &mut Out) {
        if let Some((start, end, peer)) = self.window.asked(request) {
            self.window.reopen(start, end);
            self.pause(peer, now_ms);
        } else if self.missing.is_asking(request) {
            self.missing.failed();
        } else {
            self.overtaking_failed(request, now_ms);
        }
        self.poll(now_ms, out);
    }

    fn pause(&mut self, peer: Peer, now_ms: u64) {
        if self.pauses.len() >= PEERS_MAX {
            self.pauses.retain(|_, pause| pause.until_ms > now_ms);
        }
        let pause = self.pauses.entry(peer).or_default();
        let pause_ms = RETRY_FIRST_MS.saturating_mul(1 << pause.failures.min(10)).min(RETRY_MAX_MS);
        pause.failures = pause.failures.saturating_add(1);
        pause.until_ms = now_ms.saturating_add(pause_ms);
    }

    /// Something else stands beside an entry now, because of an order or its lapse.
    pub(crate) fn note_erased(&mut self, index: u64, before: PayloadState, after: PayloadState) {
        match (before, after) {
            (PayloadState::NotHere, PayloadState::NotHere) => {}
            (PayloadState::NotHere, _) => self.missing.settled(index),
            (_, PayloadState::NotHere) => self.missing.add(1),
            _ => {}
        }
    }

    /// The disk says which payloads are missing.
    pub(crate) fn found_missing(&mut self, found: Vec<MissingEntry>, now_ms: u64, out: &mut Out) {
        self.missing.found(found, now_ms);
        self.poll(now_ms, out);
    }

    /// A request brought payloads.
    pub(crate) fn payloads_answered(
        &mut self,
        request: RequestId,
        payloads: Vec<WirePayload>,
        barred: &Barred<'_>,
        out: &mut Out,
    ) -> Option<Fault> {
        if !self.missing.is_asking(request) {
            self.fetch_failed(request, barred.now_ms, out);
            return None;
        }
        let shared = self.missing.asked_peer().map_or(0, |peer| self.shared_with(peer));
        let fault = self.missing.answered(payloads, shared, barred, out);
        self.poll(barred.now_ms, out);
        fault
    }

    /// How many leaves a peer is known to hold as they are held here: those under a head that it offered and
    /// whose root was computed here as well.
    fn shared_with(&self, peer: &Peer) -> u64 {
        let head = self.sources.get(peer).map(|source| &source.head);
        let known = head.filter(|head| self.known_root(head.size) == Some(head.root));
        known.map_or(0, |head| head.size)
    }

    fn published(&self) -> Effect {
        Effect::Publish(PublishedHead {
            log: self.author.log,
            origin: self.origin.clone(),
            size: self.frontier.size(),
            root: self.frontier.root(),
            // A note beyond a closure is kept for those who have not heard of it, and shown to nobody.
            note: self.note.clone().filter(|note| note.size <= self.frontier.size()),
            announced: self.best().map_or(self.frontier.size(), |head| head.size),
        })
    }
}
