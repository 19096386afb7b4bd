//! What all honest members must have in common, record by record.

use super::{HOUR_MS, SECOND_MS, Year};
use crate::outside;
use crate::world::Node;
use crate::world::checks::chain;
use hashpact_core::Engine;
use hashpact_core::effect::StoredPayload;
use hashpact_core::view::{
    IncidentState, KnownRecord, Ruled, Standing, Status, StatusReason, Suspension, View,
};
use hashpact_protocol::digest::{RecordId, leaf_hash};
use hashpact_protocol::leaf::{EntryLeaf, read_leaf};
use hashpact_protocol::record::{Content, Payload, Record, Signal, Verdict, read_padded};
use hashpact_protocol::roster::{LogStatus, MemberId};
use std::collections::BTreeMap;

/// Whether these records are known and all have a status.
pub(super) fn stand(view: &View, ids: &[RecordId], status: Status) -> bool {
    ids.iter().all(|id| view.record(id).is_some_and(|record| record.status() == status))
}

/// Whether the panel holds the signal of a record to be benign, so that the record does not match.
pub(super) fn ruled_benign(view: &View, id: &RecordId, signal: &Signal) -> bool {
    let (Some(record), Some(ruled)) = (view.record(id), view.ruled(signal)) else { return false };
    ruled.verdict == Verdict::Benign && record.standing.ruled([Some(&ruled)]).status == Status::Ruled
}

/// All that a member sees. When the payload of a retracted record is destroyed, each member counts from its own first
/// sight of the retraction (SPEC §7.10), so that one which joined later does so later: here it is retracted either way.
#[derive(Debug, PartialEq)]
pub(super) struct Sight {
    /// By record: whose it is and how it stands, rulings on its signals included.
    pub(super) records: BTreeMap<RecordId, (MemberId, Standing)>,
    rulings: Vec<(Signal, Ruled)>,
    suspensions: Vec<Suspension>,
    incidents: Vec<IncidentState>,
}

impl Sight {
    /// What a node's view says. A disowned record counts nowhere, and which of a thief's records a node still knows
    /// depends on what it was shown.
    pub(super) fn of(node: &Node) -> Option<Self> {
        let view = node.engine.as_ref()?.view();
        let counted = view.records().filter(|record| record.status() != Status::Disowned);
        let records = counted.map(|record| {
            let content = stated(node, &record).map(|(_, content)| content);
            let signals = content.iter().flat_map(|content| &content.signals);
            let ruled: Vec<Option<Ruled>> = signals.map(|signal| view.ruled(signal)).collect();
            let mut standing = record.standing.ruled(ruled.iter().map(Option::as_ref));
            if is_outlived(&standing) {
                standing.status = Status::Retracted;
            }
            (record.id, (record.author.member, standing))
        });
        Some(Self {
            records: records.collect(),
            rulings: view.rulings().map(|(signal, ruled)| (signal.clone(), ruled)).collect(),
            suspensions: view.suspensions().to_vec(),
            incidents: view.incidents(),
        })
    }

    /// One number for all of it.
    pub(super) fn digest(&self) -> RecordId {
        leaf_hash(format!("{self:?}").as_bytes())
    }

    /// What differs, for whoever reads a failure.
    fn difference(&self, other: &Self) -> String {
        let ids = self.records.keys().chain(other.records.keys());
        let mut differing = ids.filter(|id| self.records.get(id) != other.records.get(id));
        match differing.next() {
            Some(id) => format!("{id}: {:?} and {:?}", self.records.get(id), other.records.get(id)),
            None => format!(
                "{:?} and {:?}",
                (&self.rulings, &self.suspensions, &self.incidents),
                (&other.rulings, &other.suspensions, &other.incidents)
            ),
        }
    }
}

/// Whether a payload is gone because its author retracted it, and its retention is over.
pub(super) fn is_outlived(standing: &Standing) -> bool {
    standing.status == Status::Erased && matches!(standing.reason, Some(StatusReason::RetractedBy { .. }))
}

/// What a record states and when it says so, in milliseconds, if its payload is here.
pub(super) fn stated(node: &Node, record: &KnownRecord) -> Option<(u64, Content)> {
    let log = node.disk.logs.get(&record.author.log).filter(|_| !record.author.is_beside())?;
    let entry = log.entries.get(record.index as usize)?;
    let StoredPayload::Present { padded, .. } = &entry.payload else { return None };
    let EntryLeaf::Known(leaf) = read_leaf(&entry.leaf, &record.author.log, record.index) else {
        return None;
    };
    match read_padded(&leaf, padded) {
        Payload::Record(Record::Content(content) | Record::Supersede(content)) => {
            Some((leaf.time_ms, content))
        }
        _ => None,
    }
}

impl Year {
    /// Waits until all members that take part see the same, and says what that is.
    pub(super) fn agree(&mut self) -> Sight {
        let mut differs = String::new();
        for step in 1..720 {
            let inside = self.inside();
            let sights: Option<Vec<Sight>> =
                inside.iter().map(|node| Sight::of(&self.world.nodes[*node])).collect();
            if let Some(mut sights) = sights {
                let first = sights.remove(0);
                let digest = first.digest();
                match sights.iter().zip(&inside[1..]).find(|(other, _)| other.digest() != digest) {
                    None => return first,
                    Some((other, node)) => {
                        differs = format!("{}: {}", self.name(*node), first.difference(other));
                    }
                }
            }
            self.world.run(SECOND_MS / 2);
            if step % 240 == 0 {
                // Payloads are destroyed in rounds, an hour apart at most, and each member has its own.
                self.skip(2 * HOUR_MS);
            }
        }
        panic!("day {}: members see different things: {differs}", self.day());
    }

    /// Waits until the newest size of every open log is cosigned by a quorum, as every member knows; how many logs that is.
    pub(super) fn until_cosigned(&mut self) -> usize {
        for _ in 0..600 {
            let inside = self.inside();
            let heads: Vec<(_, u64)> = inside
                .iter()
                .map(|node| (self.world.nodes[*node].member.log, self.world.own_entries(*node)))
                .collect();
            let knows = |engine: &Engine| {
                heads.iter().all(|(log, size)| {
                    let head = engine.cosigned().get(log);
                    *size == 0 || head.is_some_and(|head| head.quorum && head.size == *size)
                })
            };
            let mut engines = inside.iter().map(|node| self.world.nodes[*node].engine.as_ref());
            if engines.all(|engine| engine.is_some_and(knows)) {
                return heads.len();
            }
            self.world.run(SECOND_MS / 2);
        }
        panic!("day {}: not every log is cosigned", self.day());
    }

    /// What must be so at the end of the year, beside what the world checks after every step.
    pub(super) fn check_all(&mut self) {
        self.world.faults.loss = 0;
        self.world.faults.bare = 0;
        self.world.run(60 * SECOND_MS);
        self.until_cosigned();
        self.agree();
        self.check_kept();
        self.check_payloads();
        let now_s = self.world.now_ms / 1_000;
        for node in self.world.honest() {
            let findings = outside::verify(&self.world.founding, &node.member, &node.disk, now_s);
            assert!(findings.is_clean(), "bundle of {}: {:#?}", node.member.id, findings.problems);
            let accused = findings.forks.iter().map(|fork| &fork.origin);
            assert!(accused.eq(self.world.forked.iter()), "evidence in the bundle of {}", node.member.id);
        }
    }

    /// Nothing that was acknowledged is lost, as far as the roster lets it count.
    fn check_kept(&self) {
        for node in self.world.honest() {
            let roster = chain(&self.world.founding, &node.disk);
            let ends: BTreeMap<_, u64> = roster
                .current()
                .logs()
                .map(|log| match log.status {
                    LogStatus::Closed { size, .. } => (log.log_id, *size),
                    _ => (log.log_id, u64::MAX),
                })
                .collect();
            for acknowledged in &self.world.acknowledged {
                let log = acknowledged.log;
                let counted = (acknowledged.first_index..ends[&log]).zip(&acknowledged.records);
                for (index, record) in counted {
                    let held = node.disk.logs.get(&log).and_then(|log| log.leaf(index));
                    assert_eq!(held, Some(*record), "lost at {}", node.member.id);
                }
            }
        }
    }

    /// The payload of what stands is here, and of what is erased is not, at every member.
    fn check_payloads(&self) {
        for node in self.world.honest() {
            let engine = node.engine.as_ref().expect("all nodes run at the end");
            for record in engine.view().records().filter(|record| !record.author.is_beside()) {
                let entry = &node.disk.logs[&record.author.log].entries[record.index as usize];
                let is_here = matches!(entry.payload, StoredPayload::Present { .. });
                let is_gone = matches!(entry.payload, StoredPayload::ErasedBy { .. });
                let is_right = match record.status() {
                    Status::Erased => is_gone,
                    Status::Sealed => !is_here,
                    _ => is_here,
                };
                assert!(is_right, "{} at {}: {:?}", record.id, node.member.id, record.standing);
            }
        }
    }
}
