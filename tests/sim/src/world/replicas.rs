//! Read replicas: nodes of a member beside its author, which follow everything and sign nothing.

use super::{Faults, Node, World};
use crate::disk::Job;
use hashpact_core::Effect;
use hashpact_core::effect::{Fact, Receipts, SubmitError};
use hashpact_core::health::Completeness;
use hashpact_protocol::roster::MemberId;
use hashpact_protocol::wire::{CosignAnswer, Response};
use std::collections::BTreeSet;

impl World {
    /// A world of `members` members, of which the first so many have a read replica each. The replicas know nothing but
    /// the roster: their authors' cards list them.
    #[must_use]
    pub fn with_replicas(seed: u64, members: usize, replicas: usize, faults: Faults) -> Self {
        Self::found(seed, members, None, (0, replicas), faults)
    }

    /// The nodes of a member beside its author, by place.
    #[must_use]
    pub fn replicas(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].member.is_replica).collect()
    }

    /// Whether a node answers look-ups as one that knows everything.
    #[must_use]
    pub fn is_complete(&self, node: usize) -> bool {
        let health = self.nodes[node].engine.as_ref().and_then(|engine| engine.health());
        health.is_some_and(|health| health.completeness == Completeness::Complete)
    }

    /// How many records stand or stood at a node.
    #[must_use]
    pub fn records(&self, node: usize) -> usize {
        self.nodes[node].engine.as_ref().map_or(0, |engine| engine.view().records().count())
    }

    /// Whether it is no fault that a peer did not say whose node it is in time: a replica without a card waits for its
    /// author.
    pub(super) fn may_be_unknown(&self, node: usize, reason: &str) -> bool {
        self.nodes[node].member.is_replica && reason == "not_admitted_in_time"
    }

    /// Nothing that a replica asks of its disk is a signature or the beginning of one.
    pub(super) fn check_signs_nothing(&self, node: usize, job: &Job) {
        if !self.nodes[node].member.is_replica {
            return;
        }
        let signs = match job {
            Job::Lock(..) => true,
            Job::Write(batch) => batch.read_back || batch.generation.is_some(),
            Job::Fact(fact) => matches!(fact.fact, Fact::Cosigned { .. }) || fact.generation.is_some(),
            _ => false,
        };
        assert!(!signs, "replica {node} of {} signs: {job:?}", self.nodes[node].member.id);
    }

    /// The same of what it sends.
    pub(super) fn check_sends_no_signature(&self, node: usize, effect: &Effect) {
        let signs = match effect {
            Effect::Reply { response: Response::Cosign(answer), .. } => {
                matches!(answer, CosignAnswer::Cosigned(_))
            }
            Effect::Receipted { .. } | Effect::Publish(_) => false,
            Effect::ReadHoldings { .. } => true,
            _ => false,
        };
        assert!(!signs || !self.nodes[node].member.is_replica, "replica {node}: {effect:?}");
    }

    /// A replica states nothing, and says so.
    pub(super) fn refused_rightly(&self, node: usize, answer: &Result<Receipts, SubmitError>) -> bool {
        let is_replica = self.nodes[node].member.is_replica;
        let is_refused = matches!(answer, Err(SubmitError::ReadReplica { .. }));
        assert_eq!(is_replica, is_refused, "node {node}: {answer:?}");
        is_replica
    }

    /// Members whose honest nodes hold this much of a log, other than one.
    pub(super) fn copies(&self, except: &MemberId, holds: impl Fn(&Node) -> bool) -> usize {
        let others = self.nodes.iter().filter(|node| node.member.id != *except && holds(node));
        others.map(|node| &node.member.id).collect::<BTreeSet<_>>().len()
    }

    /// In the end every replica is connected to its author, says its card, and answers completely.
    pub(super) fn check_replicas(&self) {
        for node in self.replicas() {
            let held = &self.nodes[node];
            let health = held.engine.as_ref().and_then(|engine| engine.health()).expect("it runs");
            let author =
                self.nodes.iter().find(|other| other.member.id == held.member.id && !other.member.is_replica);
            let replica = health.replica.as_ref().expect("it is a replica");
            assert_eq!(replica.author, author.map(|author| author.member.peer), "replica {node}");
            assert!(replica.is_connected && replica.has_card, "replica {node}: {replica:?}");
            assert_eq!(health.completeness, Completeness::Complete, "replica {node}");
            assert!(held.disk.card.is_some(), "the card of replica {node} is kept");
        }
        let authors = self.nodes.iter().filter(|node| !node.member.is_replica);
        for health in authors.filter_map(|node| node.engine.as_ref()?.health()) {
            assert_eq!(health.replica, None);
        }
    }
}
