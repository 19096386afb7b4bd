//! Forked logs: evidence held, who was told, and the search for where two histories part (DESIGN: Forks).
//!
//! Evidence is two signed notes of one log that cannot both be true; it verifies offline and accuses no
//! honest author (SPEC §3.6). It freezes the log, is stored before anybody is told, and is told to
//! every peer until it says that it has it.
//!
//! The *search* asks a peer that holds the other history for its roots at ever closer sizes, each with a
//! proof into its own signed note, and compares them with the tree held here. It ends at the one leaf
//! index where the histories part, which becomes part of the evidence.

use crate::effect::{RequestId, SizedNote, WriteId};
use crate::event::Peer;
use crate::limits::PEERS_MAX;
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LeafHash, LogId, NodeHash, Root};
use hashpact_protocol::evidence::{Divergence, Evidence, OldRoot, Side, VerifiedEvidence};
use hashpact_protocol::merkle::{verify_consistency, verify_inclusion};
use hashpact_protocol::wire::ConsistencyAnswer;
use std::collections::{BTreeMap, BTreeSet};

/// Everything known about forks.
#[derive(Default)]
pub(crate) struct Forks {
    known: BTreeMap<LogId, Known>,
    /// What each peer said that it has: the divergence it knows, by log.
    told: BTreeMap<Peer, BTreeMap<LogId, Option<u64>>>,
    telling: BTreeMap<RequestId, (Peer, LogId, Option<u64>)>,
    pub(crate) searches: BTreeMap<LogId, Search>,
    /// Offers that turned out to be of our own branch.
    same_branch: BTreeSet<(LogId, Peer, u64)>,
}

struct Known {
    evidence: VerifiedEvidence,
    write: Option<WriteId>,
}

impl Forks {
    /// Whether this evidence says more than what is held.
    pub(crate) fn is_news(&self, log: &LogId, evidence: &VerifiedEvidence) -> bool {
        match self.known.get(log).map(|known| known.evidence.diverges_at()) {
            None => true,
            Some(None) => evidence.diverges_at().is_some(),
            Some(Some(held)) => evidence.diverges_at().is_some_and(|index| index < held),
        }
    }

    /// Keeps evidence; `write` is `None` when it is on disk already.
    pub(crate) fn keep(&mut self, log: LogId, evidence: VerifiedEvidence, write: Option<WriteId>) {
        if evidence.diverges_at().is_some() {
            self.searches.remove(&log);
        }
        self.known.insert(log, Known { evidence, write });
    }

    pub(crate) fn evidence(&self, log: &LogId) -> Option<&VerifiedEvidence> {
        self.known.get(log).map(|known| &known.evidence)
    }

    /// Logs with evidence, and whether it is known where they part.
    pub(crate) fn logs(&self) -> impl Iterator<Item = (&LogId, &VerifiedEvidence)> {
        self.known.iter().map(|(log, known)| (log, &known.evidence))
    }

    /// Whether `write` is of evidence; it is on disk then.
    pub(crate) fn written(&mut self, write: WriteId) -> bool {
        let known = self.known.values_mut().find(|known| known.write == Some(write));
        known.is_some_and(|known| known.write.take().is_some())
    }

    /// Evidence that this peer is not known to have and is not being told.
    pub(crate) fn untold(&self, peer: &Peer) -> Vec<(LogId, Vec<u8>, Option<u64>)> {
        let told = self.told.get(peer);
        let durable = self.known.iter().filter(|(_, known)| known.write.is_none());
        durable
            .filter(|(log, known)| {
                let at = known.evidence.diverges_at();
                told.and_then(|told| told.get(*log)) != Some(&at)
                    && !self.telling.values().any(|(to, about, _)| to == peer && about == *log)
            })
            .map(|(log, known)| (*log, known.evidence.evidence().encode(), known.evidence.diverges_at()))
            .collect()
    }

    pub(crate) fn telling(&mut self, request: RequestId, peer: Peer, log: LogId, at: Option<u64>) {
        self.telling.insert(request, (peer, log, at));
    }

    /// Whether `request` told a peer of evidence; remembers that it has it.
    pub(crate) fn was_told(&mut self, request: RequestId, taken: bool) -> bool {
        let Some((peer, log, at)) = self.telling.remove(&request) else { return false };
        if taken && (self.told.len() < PEERS_MAX || self.told.contains_key(&peer)) {
            self.told.entry(peer).or_default().insert(log, at);
        }
        true
    }

    /// A peer is gone: it is told again when it comes back, and answers no more.
    pub(crate) fn lost(&mut self, peer: &Peer) {
        self.told.remove(peer);
        self.telling.retain(|_, (to, _, _)| to != peer);
        self.searches.retain(|_, search| search.peer != *peer);
        self.same_branch.retain(|(_, who, _)| who != peer);
    }

    /// An offer worth a search: of another root than ours, and not known to be of our branch.
    pub(crate) fn is_suspect(&self, log: &LogId, peer: &Peer, head: &SignedCheckpoint) -> bool {
        !self.same_branch.contains(&(*log, *peer, head.size()))
    }

    /// A search that found no difference.
    pub(crate) fn clear(&mut self, log: LogId, peer: Peer, size: u64) {
        if self.same_branch.len() < PEERS_MAX {
            self.same_branch.insert((log, peer, size));
        }
        self.searches.remove(&log);
    }
}

/// Two notes of one size, or of two sizes with the root that the larger tree has at the smaller.
pub(crate) fn pair(first: Vec<u8>, second: Vec<u8>, old: Option<&ConsistencyAnswer>) -> Evidence {
    let old =
        old.map(|answer| OldRoot { root: Root::new(answer.old_root), proof: nodes(&answer.consistency) });
    Evidence { first, second, old, divergence: None }
}

/// Whether an answer leads to this signed head: root, proof and leaf.
pub(crate) fn leads_to(answer: &ConsistencyAnswer, old: u64, head: &SignedCheckpoint) -> bool {
    let (size, root) = (head.size(), head.root());
    let consistency = nodes(&answer.consistency);
    verify_consistency(old, &Root::new(answer.old_root), size, &root, &consistency).is_ok()
        && verify_inclusion(&LeafHash::new(answer.leaf), old, size, &nodes(&answer.inclusion), &root).is_ok()
}

fn nodes(hashes: &[[u8; 32]]) -> Vec<NodeHash> {
    hashes.iter().copied().map(NodeHash::new).collect()
}

/// A search under way: the trees are known to agree at `low` and to differ at `high`.
pub(crate) struct Search {
    pub(crate) peer: Peer,
    pub(crate) theirs: SignedCheckpoint,
    pub(crate) ours: SizedNote,
    low: u64,
    high: u64,
    pub(crate) request: Option<RequestId>,
    pub(crate) read: Option<u64>,
    here: Option<ConsistencyAnswer>,
    there: Option<ConsistencyAnswer>,
    found: Option<Divergence>,
}

/// What a search wants to know next: how `old` leads to each tree's own size; `None` where a tree has
/// nothing to say.
pub(crate) struct Probe {
    pub(crate) old: u64,
    pub(crate) here: bool,
    pub(crate) there: bool,
}

/// What a step of a search led to.
#[expect(clippy::large_enum_variant, reason = "lives for one call")]
pub(crate) enum Step {
    /// One of the two answers is missing.
    Waiting,
    /// Ask this next.
    Next(Probe),
    /// The histories do not differ, or the peer cannot prove its own.
    Nothing,
    /// Both notes and where they part.
    Found(Evidence),
}

impl Search {
    pub(crate) fn new(peer: Peer, theirs: SignedCheckpoint, ours: SizedNote) -> Self {
        let high = theirs.size().min(ours.size);
        let (request, read) = (None, None);
        Self { peer, theirs, ours, low: 0, high, request, read, here: None, there: None, found: None }
    }

    /// Where to look now: in the middle, or at the end where the histories part.
    pub(crate) fn probe(&self) -> Probe {
        match &self.found {
            None => {
                let middle = self.low + (self.high - self.low) / 2;
                Probe { old: if self.is_narrow() { self.low } else { middle }, here: true, there: true }
            }
            // The root that the larger tree has at the smaller size completes the evidence.
            Some(_) => Probe {
                old: self.theirs.size().min(self.ours.size),
                here: self.ours.size > self.theirs.size(),
                there: self.theirs.size() > self.ours.size,
            },
        }
    }

    fn is_narrow(&self) -> bool {
        self.high - self.low <= 1
    }

    pub(crate) fn found_here(&mut self, answer: ConsistencyAnswer) -> Step {
        self.read = None;
        self.here = Some(answer);
        self.step()
    }

    pub(crate) fn found_there(&mut self, answer: ConsistencyAnswer) -> Step {
        self.request = None;
        if !leads_to(&answer, self.probe().old, &self.theirs) {
            return Step::Nothing;
        }
        self.there = Some(answer);
        self.step()
    }

    fn step(&mut self) -> Step {
        let probe = self.probe();
        if (probe.here && self.here.is_none()) || (probe.there && self.there.is_none()) {
            return Step::Waiting;
        }
        let (here, there) = (self.here.take(), self.there.take());
        if let Some(divergence) = self.found.take() {
            return Step::Found(self.evidence(divergence, here.or(there).as_ref()));
        }
        let (Some(here), Some(there)) = (here, there) else { return Step::Waiting };
        let agree = here.old_root == there.old_root;
        if !self.is_narrow() {
            if agree {
                self.low = probe.old
            } else {
                self.high = probe.old
            }
            return Step::Next(self.probe());
        }
        if !agree || here.leaf == there.leaf {
            return Step::Nothing;
        }
        let common = Root::new(here.old_root);
        let (ours, theirs) = (side(here), side(there));
        let (first, second) = if self.is_ours_first() { (ours, theirs) } else { (theirs, ours) };
        let divergence = Divergence { index: probe.old, root: common, first, second };
        if self.ours.size == self.theirs.size() {
            return Step::Found(self.evidence(divergence, None));
        }
        self.found = Some(divergence);
        Step::Next(self.probe())
    }

    fn is_ours_first(&self) -> bool {
        self.ours.size <= self.theirs.size()
    }

    fn evidence(&self, divergence: Divergence, old: Option<&ConsistencyAnswer>) -> Evidence {
        let (ours, theirs) = (self.ours.note.clone(), self.theirs.note().to_vec());
        let (first, second) = if self.is_ours_first() { (ours, theirs) } else { (theirs, ours) };
        Evidence { divergence: Some(divergence), ..pair(first, second, old) }
    }
}

fn side(answer: ConsistencyAnswer) -> Side {
    Side {
        leaf: LeafHash::new(answer.leaf),
        consistency: nodes(&answer.consistency),
        inclusion: nodes(&answer.inclusion),
    }
}
