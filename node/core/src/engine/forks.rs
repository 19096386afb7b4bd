//! Contradictions: found, proven, kept, told to everybody, and what follows from them for the view.

use super::{Engine, FORKED, ReadFor};
use crate::cosigning::count;
use crate::effect::{Effect, Fact, FactWrite, ForkedLog, RequestId, SizedNote};
use crate::event::{Channel, Peer, SendFailure};
use crate::follow::Heard;
use crate::forks::{Probe, Search, Step, leads_to, pair};
use crate::limits::{SUSPECTS_PER_CHUNK_MAX, SUSPICIONS_MAX, TREE_READS_MAX};
use crate::stop::StopReason;
use crate::view::{Author, Contested};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, Root};
use hashpact_protocol::evidence::{Evidence, VerifiedEvidence};
use hashpact_protocol::note::Note;
use hashpact_protocol::roster::{LogStatus, quorum};
use hashpact_protocol::wire::{ConsistencyAnswer, ConsistencyRequest, Refusal, Request, Response};

/// A question about two heads: does the tree of `second` have the root of `first` at its size?
pub(super) struct Suspicion {
    log: LogId,
    first: SignedCheckpoint,
    second: SignedCheckpoint,
    /// Who served what does not fit, if the answer would leave no other explanation.
    blame: Option<Peer>,
}

impl Engine {
    /// Asks the shell to read a stored tree; `None` when too much is being read.
    pub(super) fn read_tree(&mut self, purpose: ReadFor, log: LogId, old: u64, new: u64) -> Option<u64> {
        if self.reads.len() >= TREE_READS_MAX {
            return None;
        }
        let read = self.out.next_id();
        self.reads.insert(read, purpose);
        self.out.push(Effect::ReadTree { read, log, old, new });
        Some(read)
    }

    pub(super) fn tree_read(
        &mut self,
        read: u64,
        found: Option<ConsistencyAnswer>,
        now_ms: u64,
    ) -> Result<(), StopReason> {
        match self.reads.remove(&read) {
            None => return Err(StopReason::Internal("a read was reported that is not under way")),
            Some(ReadFor::Serve { channel }) => {
                let answer = found.map_or(Response::Refused(Refusal::Busy), Response::Consistency);
                self.reply(channel, answer);
            }
            Some(ReadFor::Cosign) => self.cosign_read(read, found),
            Some(ReadFor::Offer { witness, old }) => self.offer_read(&witness, old, read, found, now_ms),
            Some(ReadFor::OwnHead { size, root }) => {
                if found.is_some_and(|found| found.old_root != *root.as_bytes()) {
                    let origin = self.own.origin().to_owned();
                    return Err(StopReason::OwnNoteContradicts { origin, size });
                }
            }
            Some(ReadFor::Head { log, head, against }) => self.head_read(log, &head, against, found, now_ms),
            Some(ReadFor::Branch { log }) => self.branch_read(log, found.as_ref(), now_ms),
            Some(ReadFor::Search { log }) => {
                if let Some(search) = self.forks.searches.get_mut(&log).filter(|s| s.read == Some(read)) {
                    let step = found.map_or(Step::Nothing, |found| search.found_here(found));
                    self.search_step(log, step);
                }
            }
        }
        Ok(())
    }

    /// Takes what a verified head says about what is held.
    pub(super) fn heard(&mut self, peer: Option<Peer>, log: LogId, heard: Heard, now_ms: u64) {
        match heard {
            Heard::Beyond => {}
            Heard::Ours(head) => self.consistent(log, &head, now_ms),
            Heard::Contradiction { ours, theirs } => {
                let is_author = peer.and_then(|peer| self.peers.member(&peer)).is_some_and(|member| {
                    self.logs.get(&log).is_some_and(|log| log.author().member == *member)
                });
                if let Some(peer) = peer.filter(|_| is_author) {
                    self.misbehaved(peer, "equivocation");
                }
                self.claim(log, pair(ours, theirs.note().to_vec(), None));
            }
            Heard::Unchecked { head, against } => {
                let asked = self.reads.values().any(|read| {
                    matches!(read, ReadFor::Head { log: other, head: same, .. }
                        if *other == log && same.note() == head.note())
                });
                if head.size() > 0 && !asked {
                    let (old, new) = (head.size(), against.size);
                    self.read_tree(ReadFor::Head { log, head, against }, log, old, new);
                }
            }
        }
    }

    /// Compares a note that came another way than as a head: inside a request to cosign.
    pub(super) fn examine_note(&mut self, peer: Option<Peer>, note: &[u8], now_ms: u64) {
        let origin = Note::parse(note).ok().and_then(|note| Some(note.text.split_once('\n')?.0.to_owned()));
        let Some(id) = origin.and_then(|origin| self.origins.get(&origin).copied()) else { return };
        let heard = self.logs.get(&id).and_then(|log| Some(log.examine(log.verify_head(note).ok()?)));
        if let Some(heard) = heard {
            self.heard(peer, id, heard, now_ms);
        }
    }

    fn head_read(
        &mut self,
        log: LogId,
        head: &SignedCheckpoint,
        against: SizedNote,
        found: Option<ConsistencyAnswer>,
        now_ms: u64,
    ) {
        let Some(found) = found else { return };
        if found.old_root == *head.root().as_bytes() {
            if let Some(followed) = self.logs.get_mut(&log) {
                followed.remember(head.size(), head.root());
            }
            self.consistent(log, head, now_ms);
        } else {
            self.claim(log, pair(head.note().to_vec(), against.note, Some(&found)));
        }
    }

    /// A head of our own branch: it may carry cosignatures.
    fn consistent(&mut self, log: LogId, head: &SignedCheckpoint, now_ms: u64) {
        let Some(followed) = self.logs.get(&log) else { return };
        let cosigned = Note::parse(head.note()).is_ok_and(|note| note.signatures.len() > 1);
        if cosigned {
            let author = followed.author().member.clone();
            let note = SizedNote { size: head.size(), note: head.note().to_vec() };
            self.cosignatures(log, &author, note, now_ms);
        }
    }

    /// A chunk did not fit under a peer's signed head: either the peer served something else, or the
    /// author signed another history than the one held. The peer can tell which.
    pub(super) fn suspect(&mut self, log: LogId, peer: Peer, target: &SignedCheckpoint) {
        let Some(followed) = self.logs.get(&log) else { return };
        let (held, size) = (followed.held_note(), followed.size());
        let is_whole = held.map_or(0, |(note, _)| note.size) == size;
        let first = held.and_then(|(note, _)| {
            SignedCheckpoint::verify(&note.note, followed.origin(), followed.key()).ok()
        });
        let others = followed.offers().filter(|(who, head)| **who != peer && head.size() != target.size());
        let others: Vec<(Peer, SignedCheckpoint)> =
            others.take(SUSPECTS_PER_CHUNK_MAX).map(|(who, head)| (*who, head.clone())).collect();
        match first.filter(|first| first.size() > 0) {
            Some(first) => {
                let blame = is_whole.then_some(peer);
                self.ask_consistency(peer, Suspicion { log, first, second: target.clone(), blame });
            }
            None if is_whole => self.misbehaved(peer, "chunk_root"),
            None => {}
        }
        if is_whole {
            return;
        }
        // Part of another head is held: whoever offers the larger of the two can tell.
        for (who, head) in others {
            let (asked, first, second) = if head.size() < target.size() {
                (peer, head, target.clone())
            } else {
                (who, target.clone(), head)
            };
            self.ask_consistency(asked, Suspicion { log, first, second, blame: None });
        }
    }

    fn ask_consistency(&mut self, peer: Peer, suspicion: Suspicion) {
        let (old, new) = (suspicion.first.size(), suspicion.second.size());
        if old == 0 || old >= new || self.suspicions.len() >= SUSPICIONS_MAX {
            return;
        }
        let request_id = self.out.next_id();
        let ask = ConsistencyRequest { log: *suspicion.log.as_bytes(), old, new };
        self.out.push(Effect::Send { peer, request_id, request: Request::Consistency(ask) });
        self.suspicions.insert(request_id, suspicion);
    }

    /// Takes an answer if it belongs to a question about forks; `false` otherwise.
    pub(super) fn take_fork_answer(
        &mut self,
        peer: Peer,
        request: RequestId,
        result: &Result<Response, SendFailure>,
    ) -> bool {
        if let Some(suspicion) = self.suspicions.remove(&request) {
            self.suspicion_answered(suspicion, result);
            return true;
        }
        if self.forks.was_told(request, matches!(result, Ok(Response::Ack))) {
            return true;
        }
        let searched = self.forks.searches.iter_mut().find(|(_, search)| search.request == Some(request));
        let Some((log, search)) = searched else { return false };
        let (log, peer_asked) = (*log, search.peer);
        debug_assert_eq!(peer, peer_asked);
        match result {
            Ok(Response::Consistency(answer)) => {
                let step = search.found_there(answer.clone());
                self.search_step(log, step);
            }
            // Tried again with the next tick, perhaps with another peer.
            _ => drop(self.forks.searches.remove(&log)),
        }
        true
    }

    fn suspicion_answered(&mut self, suspicion: Suspicion, result: &Result<Response, SendFailure>) {
        let Suspicion { log, first, second, blame } = suspicion;
        let proven = match result {
            Ok(Response::Consistency(answer)) => {
                Some(answer).filter(|answer| leads_to(answer, first.size(), &second))
            }
            // Says nothing about anybody.
            Err(SendFailure::TimedOut | SendFailure::Unreachable) => return,
            _ => None,
        };
        match (proven, blame) {
            (Some(answer), _) if answer.old_root != *first.root().as_bytes() => {
                self.claim(log, pair(first.note().to_vec(), second.note().to_vec(), Some(answer)));
            }
            (_, Some(peer)) => self.misbehaved(peer, "chunk_root"),
            _ => {}
        }
    }

    /// Answers how one size of a log leads to another.
    pub(super) fn serve_consistency(&mut self, channel: Channel, ask: &ConsistencyRequest) {
        let id = LogId::new(ask.log);
        let held = if id == self.own.author().log {
            Some(self.own.size())
        } else {
            self.logs.get(&id).map(crate::follow::FollowedLog::size)
        };
        let refusal = match held {
            None => Refusal::UnknownLog,
            Some(held) if ask.new > held => Refusal::BeyondSize { held },
            Some(_) => match self.read_tree(ReadFor::Serve { channel }, id, ask.old, ask.new) {
                Some(_) => return,
                None => Refusal::Busy,
            },
        };
        self.reply(channel, Response::Refused(refusal));
    }

    /// A peer tells of evidence.
    pub(super) fn told_evidence(&mut self, peer: Peer, channel: Channel, bytes: &[u8]) {
        let claimed = Evidence::parse(bytes).ok();
        let origin = claimed.as_ref().and_then(Evidence::origin).unwrap_or_default();
        let known = self.log_of(&origin);
        let verified = match (claimed, known) {
            (Some(claimed), Some((log, key))) => claimed.verify(&origin, &key).ok().map(|it| (log, it)),
            (Some(_), None) => {
                // A log of a newer roster than ours.
                return self.reply(channel, Response::Refused(Refusal::UnknownLog));
            }
            (None, _) => None,
        };
        match verified {
            Some((log, evidence)) => {
                self.reply(channel, Response::Ack);
                self.accuse(log, evidence);
            }
            None => {
                self.misbehaved(peer, "evidence");
                self.reply(channel, Response::Refused(Refusal::Malformed));
            }
        }
    }

    pub(super) fn log_of(&self, origin: &str) -> Option<(LogId, hashpact_protocol::keys::PublicKey)> {
        if origin == self.own.origin() {
            return Some((self.own.author().log, self.own.public_key()?));
        }
        let id = *self.origins.get(origin)?;
        Some((id, *self.logs.get(&id)?.key()))
    }

    /// Our own finding: it is checked like anybody's.
    fn claim(&mut self, log: LogId, evidence: Evidence) {
        let Some(followed) = self.logs.get(&log) else { return };
        if let Ok(verified) = evidence.verify(followed.origin(), followed.key()) {
            self.accuse(log, verified);
        }
    }

    /// Keeps verified evidence if it says something new, freezes the log, and contests what follows.
    fn accuse(&mut self, log: LogId, evidence: VerifiedEvidence) {
        if !self.forks.is_news(&log, &evidence) {
            return;
        }
        let write = self.write_fact(log, Fact::Evidence(evidence.evidence().encode()));
        self.forks.keep(log, evidence, Some(write));
        self.branches.forget_place(&log);
        self.freeze(log);
        self.contest(log);
        self.show_fork(log);
    }

    /// Stops following or writing a log with evidence. One that the roster closed is followed to where it
    /// did, as far as what is held leads there.
    pub(super) fn freeze(&mut self, log: LogId) {
        if log == self.own.author().log {
            return self.own.block(FORKED);
        }
        let pin = self.pin(&log);
        let is_settled = self.is_settled(&log);
        if let Some(followed) = self.logs.get_mut(&log).filter(|_| !is_settled) {
            match pin {
                Some((size, _)) if followed.size() < size => followed.settle(),
                _ => followed.freeze(),
            }
        }
    }

    /// Whether the roster closed the log at the very tree that is held.
    fn is_settled(&self, log: &LogId) -> bool {
        let held = self.logs.get(log).map(|log| (log.size(), log.root()));
        self.pin(log).is_some_and(|pin| held == Some(pin))
    }

    fn pin(&self, log: &LogId) -> Option<(u64, Root)> {
        let closed = self.roster.current().logs().find(|listed| listed.log_id == *log)?;
        match closed.status {
            LogStatus::Closed { size, root } => Some((*size, *root)),
            _ => None,
        }
    }

    pub(super) fn write_fact(&mut self, log: LogId, fact: Fact) -> u64 {
        let id = self.out.next_id();
        self.facts_writing.insert(id);
        self.out.push(Effect::WriteFact(FactWrite { id, log, generation: None, fact }));
        id
    }

    /// From where on entries of a forked log are contested: where the histories part, but never below what
    /// a quorum cosigned or the roster pinned on our branch. If a quorum cosigned the other branch, ours
    /// does not count from there on at all.
    fn contested(&self, log: &LogId) -> Option<Contested> {
        let evidence = self.forks.evidence(log)?;
        let from = evidence.diverges_at()?;
        let cosigned = self.cosigned.get(log).filter(|head| head.quorum).map_or(0, |head| head.size);
        let pinned = if self.is_settled(log) { self.pin(log).map_or(0, |(size, _)| size) } else { 0 };
        let floor = cosigned.max(pinned);
        let counts = floor > from || !self.is_overruled(log, evidence);
        Some(Contested { from: from.max(floor), counts })
    }

    /// Whether the branch that is not held here is settled.
    fn is_overruled(&self, log: &LogId, evidence: &VerifiedEvidence) -> bool {
        let Some(followed) = self.logs.get(log) else { return false };
        [evidence.first(), evidence.second()].into_iter().any(|note| {
            let ours = match followed.held_note() {
                Some((held, root)) if held.size == note.size() => root == note.root(),
                _ => followed.known_root(note.size()) == Some(note.root()),
            };
            !ours && self.settles(log, note)
        })
    }

    /// Whether a quorum cosigned this note of a log, or the roster closed the log with it.
    fn settles(&self, log: &LogId, note: &SignedCheckpoint) -> bool {
        let Some(author) = self.author_of(log) else { return false };
        let witnesses = self.roster.current().witness_keys(&author.member);
        let cosigned = count(note.note(), &witnesses, None, u64::MAX).1.len();
        quorum(witnesses.len()).is_some_and(|needed| cosigned >= needed)
            || self.pin(log) == Some((note.size(), note.root()))
    }

    /// The same as [`Self::contested`] for a history that is kept beside ours and ends in `head`: all of it from where the
    /// two part, unless its own note settles it. If ours is settled beyond that place, or the other note of the
    /// evidence is, it does not count.
    fn contested_beside(&self, log: &LogId, head: (u64, Root)) -> Option<Contested> {
        let evidence = self.forks.evidence(log)?;
        let from = evidence.diverges_at()?;
        // Closed on ours: beyond the closure nothing counts, also if a quorum cosigned it.
        if let Some((size, _)) = self.pin(log).filter(|pin| *pin != head && self.is_settled(log)) {
            return Some(Contested { from: from.min(size), counts: false });
        }
        let is_settled = |is_own: bool| {
            let notes = [evidence.first(), evidence.second()].into_iter();
            let mut notes = notes.filter(|note| ((note.size(), note.root()) == head) == is_own);
            notes.any(|note| self.settles(log, note))
        };
        if is_settled(true) {
            return Some(Contested { from: from.max(head.0), counts: true });
        }
        let ours = self.contested(log).map_or(from, |ours| ours.from);
        Some(Contested { from, counts: ours == from && !is_settled(false) })
    }

    pub(super) fn contest(&mut self, log: LogId) {
        let (Some(author), Some(contested)) = (self.author_of(&log), self.contested(&log)) else { return };
        let kept = self.branches.heads(&log).into_iter();
        let kept = kept
            .filter_map(|(number, head)| Some((author.beside(number), self.contested_beside(&log, head)?)));
        let kept: Vec<(Author, Contested)> = kept.collect();
        for (author, contested) in std::iter::once((author, contested)).chain(kept) {
            let changes = self.view.contest(&author, contested);
            self.reconsider_orders(author.line);
            self.take_changes(changes);
        }
        self.show_fork(log);
    }

    pub(super) fn show_fork(&mut self, log: LogId) {
        let Some(evidence) = self.forks.evidence(&log) else { return };
        let (first, second) = (evidence.first(), evidence.second());
        let forked = ForkedLog {
            log,
            origin: evidence.origin().to_owned(),
            notes: [(first.size(), first.root()), (second.size(), second.root())],
            diverges_at: evidence.diverges_at(),
            contested_from: self.contested(&log).map(|contested| contested.from),
            evidence: evidence.evidence().encode(),
        };
        self.out.push(Effect::Evidence(forked));
    }

    /// Evidence that start-up found: verified again, and in force before anything else happens.
    pub(super) fn load_evidence(&mut self, log: LogId, bytes: &[u8]) {
        let Ok(claimed) = Evidence::parse(bytes) else { return };
        let origin = claimed.origin().unwrap_or_default();
        let Some((known, key)) = self.log_of(&origin) else { return };
        if let Ok(verified) = claimed.verify(&origin, &key)
            && known == log
        {
            self.forks.keep(log, verified, None);
            self.freeze(log);
            self.contest(log);
            self.show_fork(log);
        }
    }

    /// Tells peers of evidence that they may not have, and looks for where histories part.
    pub(super) fn spread_evidence(&mut self) {
        let peers: Vec<Peer> = self.peers.admitted().map(|(peer, _)| *peer).collect();
        for peer in peers {
            for (log, bytes, at) in self.forks.untold(&peer) {
                let request_id = self.out.next_id();
                self.out.push(Effect::Send { peer, request_id, request: Request::Evidence(bytes) });
                self.forks.telling(request_id, peer, log, at);
            }
        }
        let open: Vec<LogId> = self
            .forks
            .logs()
            .filter(|(log, evidence)| {
                evidence.diverges_at().is_none() && !self.forks.searches.contains_key(*log)
            })
            .map(|(log, _)| *log)
            .collect();
        for log in open {
            self.start_search(log);
        }
    }

    fn start_search(&mut self, log: LogId) {
        let Some(followed) = self.logs.get(&log) else { return };
        let Some((ours, root)) = followed.held_note() else { return };
        let other = followed.offers().find(|(peer, head)| {
            head.size() > 0
                && (head.size(), head.root()) != (ours.size, root)
                && self.forks.is_suspect(&log, peer, head)
        });
        let Some((peer, theirs)) = other else { return };
        let search = Search::new(*peer, theirs.clone(), ours.clone());
        let probe = search.probe();
        self.forks.searches.insert(log, search);
        self.probe(log, &probe);
    }

    fn search_step(&mut self, log: LogId, step: Step) {
        match step {
            Step::Waiting => {}
            Step::Next(probe) => self.probe(log, &probe),
            Step::Nothing => {
                if let Some(search) = self.forks.searches.get(&log) {
                    let (peer, size) = (search.peer, search.theirs.size());
                    self.forks.clear(log, peer, size);
                }
            }
            Step::Found(evidence) => {
                self.forks.searches.remove(&log);
                self.claim(log, evidence);
            }
        }
    }

    fn probe(&mut self, log: LogId, probe: &Probe) {
        let Some(search) = self.forks.searches.get(&log) else { return };
        let (peer, ours, theirs) = (search.peer, search.ours.size, search.theirs.size());
        let read =
            if probe.here { self.read_tree(ReadFor::Search { log }, log, probe.old, ours) } else { None };
        if probe.here && read.is_none() {
            drop(self.forks.searches.remove(&log));
            return;
        }
        let request = probe.there.then(|| {
            let request_id = self.out.next_id();
            let ask = ConsistencyRequest { log: *log.as_bytes(), old: probe.old, new: theirs };
            self.out.push(Effect::Send { peer, request_id, request: Request::Consistency(ask) });
            request_id
        });
        if let Some(search) = self.forks.searches.get_mut(&log) {
            (search.read, search.request) = (read, request);
        }
    }
}
