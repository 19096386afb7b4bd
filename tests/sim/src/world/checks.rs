//! What must have happened at the end, and what a cosignature must be when it leaves.

use super::{Faults, Node, Place, World};
use crate::disk::{Disk, StoredLog};
use crate::founding::{Founding, Member};
use crate::outside;
use crate::poison::Poison;
use crate::rogue::Rogue;
use hashpact_core::effect::{StoredEntry, StoredPayload};
use hashpact_core::view::Status;
use hashpact_protocol::checkpoint::Checkpoint;
use hashpact_protocol::cosignature::verify_cosignature;
use hashpact_protocol::digest::{LogId, RecordId, leaf_hash};
use hashpact_protocol::evidence::Evidence;
use hashpact_protocol::leaf::{EntryLeaf, Kind, read_leaf};
use hashpact_protocol::note::Note;
use hashpact_protocol::note::{NoteAlgorithm, NoteKey};
use hashpact_protocol::record::{Payload, Record, read_padded};
use hashpact_protocol::roster::{RosterChain, quorum};
use hashpact_protocol::wire::{CosignAnswer, Response};
use hashpact_protocol::witness::AddCheckpoint;
use std::collections::{BTreeMap, BTreeSet};

impl World {
    /// Checks that a signature that leaves a witness is of a tree that it holds, that disk and lock know of
    /// it, and that the witness never signed anything that contradicts it.
    pub(super) fn check_cosignature(&mut self, node: usize, channel: u64, response: &Response) {
        let Some(body) = self.cosigning.remove(&channel) else { return };
        if !matches!(response, Response::Cosign(CosignAnswer::Cosigned(_))) {
            return;
        }
        self.report.cosignatures += 1;
        let request = AddCheckpoint::parse(&body).expect("it was cosigned");
        let note = Note::parse(&request.note).expect("it was cosigned");
        let checkpoint = Checkpoint::parse_text(&note.text).expect("it was cosigned");
        let Checkpoint { origin, size, root } = checkpoint;
        let disk = &self.nodes[node].disk;
        let log = LogId::of_origin(&origin);
        assert_eq!(disk.facts.cosigned.get(&log), Some(&(size, root)), "released before it was remembered");
        let locked = disk.lock.as_ref().map(|lock| lock.generation);
        assert!(locked >= disk.cosigned_at.get(&log).copied(), "released before the lock knew");
        assert_eq!(disk.logs[&log].frontier_at(size as usize).root(), root, "leaves are missing");
        let signed = self.cosigned.entry((node, origin)).or_default();
        if let Some((last, last_root)) = signed.last_key_value() {
            assert!(*last <= size, "cosigned {size} after {last}");
            assert!(*last < size || last_root == root.as_bytes(), "cosigned two roots of {size}");
        }
        signed.insert(size, *root.as_bytes());
    }

    /// Ends all faults, restarts who is down, lets everything settle, and checks: no acknowledged
    /// record lost, no fork, convergence of logs and views.
    pub fn check(&mut self) {
        self.faults = Faults { loss: 0, delay_max_ms: 10, crash: 0, cut: 0, partition: 0, bare: 0 };
        self.run(60_000);
        for acknowledged in &self.acknowledged {
            for (index, record) in (acknowledged.first_index..).zip(&acknowledged.records) {
                for node in self.honest() {
                    let held = node.disk.logs.get(&acknowledged.log).and_then(|log| log.leaf(index));
                    assert_eq!(held, Some(*record), "{:?} lost at {}", acknowledged.ack, node.member.id);
                }
            }
        }
        for author in self.honest() {
            let own = author.disk.logs.get(&author.member.log).cloned().unwrap_or_default();
            for (size, root) in self.notes.get(&author.member.origin).into_iter().flatten() {
                let now = own.frontier_at(*size as usize).root();
                assert_eq!(now.as_bytes(), root, "{} forked at size {size}", author.member.origin);
            }
        }
        let first = self.nodes.first().expect("a world has members");
        let rogue = self.rogue.as_ref().map(|_| &self.nodes[self.rogue_at].member);
        for node in self.honest() {
            for (log, stored) in &node.disk.logs {
                let held = stored.entries.len() as u64;
                let of_rogue = rogue.is_some_and(|rogue| rogue.log == *log);
                assert!(of_rogue || stored.holds(held), "{} lacks payloads of {log:?}", node.member.id);
            }
            assert_eq!(
                heads(node, rogue),
                heads(first, rogue),
                "{} and {} differ",
                node.member.id,
                first.member.id
            );
            assert_eq!(
                standing(node, rogue),
                standing(first, rogue),
                "{} and {} see different views",
                node.member.id,
                first.member.id
            );
        }
        self.check_erased();
        self.check_cosigned();
        self.check_receipts();
        self.check_replicas();
        if self.rogue.as_ref().is_some_and(Rogue::is_poisoner) {
            self.check_poison();
        } else {
            self.check_fork();
        }
        self.check_from_outside();
    }

    /// What every honest disk holds verifies as a bundle, and says of whom there is evidence.
    fn check_from_outside(&mut self) {
        let now_s = self.now_ms / 1_000;
        for node in self.honest() {
            let findings = outside::verify(&self.founding, &node.member, &node.disk, now_s);
            assert!(findings.is_clean(), "bundle of {}: {:#?}", node.member.id, findings.problems);
            let accused: Vec<&str> = findings.forks.iter().map(|fork| fork.origin.as_str()).collect();
            let known: Vec<&str> = node.disk.facts.evidence.keys().map(|log| self.origin(log)).collect();
            assert_eq!(accused, known, "evidence in the bundle of {}", node.member.id);
        }
        self.report.bundles += self.honest().len() as u64;
    }

    fn origin(&self, log: &LogId) -> &str {
        &self.founding.author(log).origin
    }

    /// Every honest member replicated the poisoned log to its end, cosigns it, and counts of it exactly the
    /// entries that nothing is wrong with.
    fn check_poison(&mut self) {
        let rogue_at = self.rogue_at;
        for witness in (0..rogue_at).cycle().take(3 * rogue_at) {
            let ask = self.rogue.as_ref().and_then(|rogue| rogue.ask(witness, 0));
            if let Some(request) = ask {
                let peer = self.nodes[witness].member.peer;
                self.sequence += 1;
                self.send(rogue_at, &peer, self.sequence, request);
            }
            self.run(1_000);
        }
        let rogue = self.rogue.as_ref().expect("there is one");
        let (member, size) = (&self.nodes[rogue_at].member, rogue.size(0));
        assert!(size > 2 * Poison::ALL.len() as u64, "{size} entries are too few to show anything");
        let cosigned = rogue.cosigned(0).expect("some witness signed the newest size");
        for node in self.honest() {
            let (id, log) = (&node.member.id, &node.disk.logs[&member.log]);
            assert_eq!(log.entries.len() as u64, size, "entries at {id}");
            let shown = node.published.get(&member.origin).map(|head| head.size);
            assert_eq!(shown, Some(size), "shown by {id}");
            let engine = node.engine.as_ref().expect("all nodes run at the end");
            let records = engine.view().records().filter(|record| record.author.log == member.log);
            let counted: BTreeSet<u64> = records.map(|record| record.index).collect();
            let sound: BTreeSet<u64> = (0..size).filter(|index| Poison::at(*index) == Poison::None).collect();
            assert_eq!(counted, sound, "records at {id}");
            let roster = self.founding.chain.current();
            let key = roster.member(id).and_then(|member| member.cosigner_key).expect("a witness");
            let name = roster.witness_name(id);
            let key = NoteKey { name, algorithm: NoteAlgorithm::CosignatureV1, key };
            verify_cosignature(cosigned, &key).unwrap_or_else(|error| panic!("{id} did not sign: {error}"));
        }
    }

    /// What somebody ordered who may, and what was retracted, is destroyed at every honest member, and nothing
    /// else is; all of it still has its leaf.
    fn check_erased(&mut self) {
        let first = &self.nodes[0];
        let authority = first.member.log;
        let of_rogue = |log: &LogId| self.rogue.is_some() && self.nodes[self.rogue_at].member.log == *log;
        let mut withdrawn: BTreeMap<RecordId, BTreeSet<(LogId, Kind)>> = BTreeMap::new();
        for (log, stored) in first.disk.logs.iter().filter(|(log, _)| !of_rogue(log)) {
            for (index, entry) in (0u64..).zip(&stored.entries) {
                let EntryLeaf::Known(leaf) = read_leaf(&entry.leaf, log, index) else { continue };
                if let Some(subject) = leaf.subject.filter(|_| leaf.kind.acts_from_leaf()) {
                    withdrawn.entry(subject).or_default().insert((*log, leaf.kind));
                }
            }
        }
        let (mut erased, mut outlived) = (0, 0);
        for (log, stored) in first.disk.logs.iter().filter(|(log, _)| !of_rogue(log)) {
            for index in 0..stored.entries.len() {
                let id = leaf_hash(&stored.entries[index].leaf);
                let by = withdrawn.get(&id).cloned().unwrap_or_default();
                let is_ordered =
                    by.contains(&(*log, Kind::Erasure)) || by.contains(&(authority, Kind::Erasure));
                let is_retracted = by.contains(&(*log, Kind::Retraction));
                for node in self.honest() {
                    let payload = &node.disk.logs[log].entries[index].payload;
                    let (is_gone, is_here) = (
                        matches!(payload, StoredPayload::ErasedBy { .. }),
                        matches!(payload, StoredPayload::Present { .. }),
                    );
                    let expected = is_ordered || is_retracted;
                    assert!(
                        if expected { is_gone } else { is_here },
                        "{id} at {}: ordered {is_ordered}, retracted {is_retracted}, {:?}",
                        node.member.id,
                        payload.state()
                    );
                    let engine = node.engine.as_ref().expect("all nodes run at the end");
                    let record = engine.view().record(&id).filter(|_| expected);
                    let shown = record.map(|record| (record.status(), record.is_blank()));
                    assert!(shown.is_none_or(|shown| shown == (Status::Erased, true)), "{id}: {shown:?}");
                }
                erased += u64::from(is_ordered);
                outlived += u64::from(is_retracted && !is_ordered);
            }
        }
        self.report.erased += erased;
        self.report.outlived += outlived;
    }

    /// Nodes that keep to the rules and take part.
    pub(crate) fn honest(&self) -> Vec<&Node> {
        let nodes = self.nodes.iter().enumerate().filter(|(at, _)| !self.is_rogue(*at));
        nodes.map(|(_, node)| node).filter(|node| node.place != Place::Outside).collect()
    }

    pub(super) fn is_of_rogue(&self, origin: &str) -> bool {
        self.forked.contains(origin)
    }

    /// Every honest log is cosigned by a quorum at its newest size, and every member knows.
    fn check_cosigned(&self) {
        let others = self.honest().iter().filter(|node| !node.member.is_replica).count() - 1;
        if others == 0 {
            return;
        }
        for author in self.honest() {
            let size = author.disk.lock.as_ref().map_or(0, |lock| lock.size);
            for node in self.honest().iter().filter(|_| size > 0) {
                let engine = node.engine.as_ref().expect("all nodes run at the end");
                let head = engine.cosigned().get(&author.member.log);
                let known = head.map(|head| (head.size, head.quorum, head.witnesses.len()));
                assert_eq!(known, Some((size, true, others)), "{} at {}", author.member.id, node.member.id);
            }
        }
    }

    /// What members state about payloads is of a tree that its author published, and true.
    fn check_receipts(&mut self) {
        let mut stated = 0;
        let reader = self.nodes[0].engine.as_ref().expect("all nodes run at the end");
        for member in self.honest() {
            for held in reader.view().receipts_of(&member.member.id) {
                let holding = &held.holding;
                let author = self.founding.author(&holding.log);
                let of_author = self.nodes.iter().find(|node| node.member.id == author.id).expect("a member");
                let tree = of_author.disk.logs[&holding.log].frontier_at(holding.size as usize);
                assert_eq!(tree.root(), holding.root, "{} about {}", member.member.id, author.origin);
                let entries = &member.disk.logs[&holding.log].entries;
                for (index, entry) in
                    (0..holding.size).zip(entries).filter(|(index, _)| holding.holds(*index))
                {
                    let is_present = matches!(entry.payload, StoredPayload::Present { .. });
                    assert!(is_present, "{} holds {index} of {}", member.member.id, author.origin);
                }
                stated += 1;
            }
        }
        self.report.receipts += stated;
    }

    /// If both histories of the rogue reached honest members, every honest member has the evidence and
    /// knows where they part; what is contested begins there or at what a quorum cosigned.
    fn check_fork(&mut self) {
        let Some(rogue) = &self.rogue else { return };
        let member = &self.nodes[self.rogue_at].member;
        let sides: BTreeSet<usize> = self
            .honest()
            .iter()
            .filter_map(|node| {
                let head = node.published.get(&member.origin)?;
                let note = Note::parse(&head.note.as_ref()?.note).ok()?;
                let held = Checkpoint::parse_text(&note.text).ok()?;
                rogue.side_of(held.size, held.root.as_bytes())
            })
            .collect();
        let forked_at = rogue.forked_at();
        if sides.len() < 2 {
            return;
        }
        let shared = forked_at.expect("both histories were seen");
        let mut contested = 0;
        for node in self.honest() {
            let engine = node.engine.as_ref().expect("all nodes run at the end");
            let known: Vec<_> = engine.forked().collect();
            assert_eq!(known, [(member.log, Some(shared))], "evidence at {}", node.member.id);
            assert!(node.disk.facts.evidence.contains_key(&member.log), "stored at {}", node.member.id);
            let log = engine.followed().find(|log| log.origin() == member.origin).expect("it is followed");
            assert!(log.is_frozen(), "frozen at {}", node.member.id);
            let floor = engine.cosigned().get(&member.log).filter(|head| head.quorum);
            let from = shared.max(floor.map_or(0, |head| head.size));
            let of_rogue = engine.view().records().filter(|record| record.author.log == member.log);
            // What an erasure authority sealed says that first.
            for record in of_rogue.filter(|record| !record.is_blank()) {
                let is_contested = matches!(record.status(), Status::Contested | Status::Disowned);
                if !record.author.is_beside() {
                    assert_eq!(is_contested, record.index >= from, "entry {} of {from}", record.index);
                }
                contested += u64::from(is_contested);
                assert!(rogue.leaf(0, record.index).is_some() || rogue.leaf(1, record.index).is_some());
            }
        }
        self.report.forks += 1;
        self.report.contested += contested;
        self.check_branches(shared);
    }

    /// Every honest member has both histories of its evidence as far as any honest member has them, and finds what both
    /// state.
    fn check_branches(&mut self, shared: u64) {
        let member = &self.nodes[self.rogue_at].member;
        let all: Vec<StoredLog> =
            self.honest().iter().flat_map(|node| node.disk.histories(&member.log)).collect();
        let mut kept = 0;
        for node in self.honest() {
            let (disk, id) = (&node.disk, &node.member.id);
            let claimed = Evidence::parse(&disk.facts.evidence[&member.log]).expect("it was verified");
            let evidence = claimed.verify(&member.origin, &member.log_key.public()).expect("it was verified");
            let histories = disk.histories(&member.log);
            for note in [evidence.first(), evidence.second()] {
                let (size, root) = (note.size(), *note.root().as_bytes());
                let is_here = histories.iter().any(|history| history.has(size, &root));
                let can_be_had = all.iter().any(|history| history.has(size, &root));
                assert!(is_here || !can_be_had, "{id} lacks the history of size {size}");
                check_said(node, member, size, &root, is_here);
            }
            kept += disk.branches.values().map(|entries| entries.len() as u64).sum::<u64>();
            let engine = node.engine.as_ref().expect("all nodes run at the end");
            for record in engine.view().records().filter(|record| record.author.log == member.log) {
                let mut histories = histories.iter();
                assert!(histories.any(|history| history.leaf(record.index) == Some(record.id)), "{id}");
            }
            let witnesses = self.founding.chain.current().witness_keys(&member.id).len();
            for (key, entries) in &disk.branches {
                let held = &disk.facts.branches[key];
                let signed = Note::parse(&held.note.note).expect("it was verified").signatures.len() - 1;
                let is_settled = quorum(witnesses).is_some_and(|needed| signed >= needed);
                for (index, entry) in (held.start..).zip(entries) {
                    check_found(node, index, entry, is_settled || index < shared);
                }
            }
        }
        self.report.kept += kept;
    }
}

/// A record that is kept beside the followed history is in the view, and does not count for sure unless both histories
/// have it or witnesses settled it.
fn check_found(node: &Node, index: u64, entry: &StoredEntry, may_count: bool) {
    let StoredPayload::Present { padded, .. } = &entry.payload else { return };
    let EntryLeaf::Known(leaf) = read_leaf(&entry.leaf, &named_log(&entry.leaf), index) else { return };
    if !matches!(read_padded(&leaf, padded), Payload::Record(Record::Content(_))) {
        return;
    }
    let engine = node.engine.as_ref().expect("all nodes run at the end");
    let record = engine.view().record(&leaf_hash(&entry.leaf)).expect("both histories are folded");
    assert!(may_count || record.status() != Status::Active, "entry {index} at {}", node.member.id);
}

/// The log that a leaf says it is of.
fn named_log(leaf: &[u8]) -> LogId {
    LogId::new(leaf[32..64].try_into().expect("a leaf of 136 bytes"))
}

/// What the engine says of a history that is kept is what is on disk.
fn check_said(node: &Node, member: &Member, size: u64, root: &[u8; 32], is_here: bool) {
    let engine = node.engine.as_ref().expect("all nodes run at the end");
    let mut said = engine.branches().filter(|(log, ..)| *log == member.log);
    let said = said.find(|(_, of, kept, _)| *of == size && kept.as_bytes() == root);
    assert!(said.is_none_or(|(.., is_whole)| is_whole == is_here), "{} about size {size}", node.member.id);
}

/// The roster versions that a node has on disk.
pub(crate) fn chain(founding: &Founding, disk: &Disk) -> RosterChain {
    let published = founding.published.get(disk.rosters.len());
    let is_held = |chain: &&RosterChain| chain.suffix_from(1) == disk.rosters.as_slice();
    if let Some(chain) = published.filter(is_held) {
        return chain.clone();
    }
    let mut chain = founding.chain.clone();
    for version in &disk.rosters {
        chain.advance(version).expect("verified before it was stored");
    }
    for rival in &disk.rivals {
        chain.note_rival(rival).expect("verified before it was kept");
    }
    chain
}

fn heads(node: &Node, except: Option<&Member>) -> BTreeMap<String, (u64, [u8; 32])> {
    let visible = node.published.values().filter(|head| head.size > 0);
    let visible = visible.filter(|head| except.is_none_or(|member| member.origin != head.origin));
    visible.map(|head| (head.origin.clone(), (head.size, *head.root.as_bytes()))).collect()
}

fn standing(node: &Node, except: Option<&Member>) -> BTreeMap<RecordId, (Status, u32, u32)> {
    let engine = node.engine.as_ref().expect("all nodes run at the end");
    engine
        .view()
        .records()
        .filter(|record| except.is_none_or(|member| member.log != record.author.log))
        .map(|record| {
            let opinions = record.standing.opinions();
            (record.id, (record.status(), opinions.agree, opinions.disagree))
        })
        .collect()
}
