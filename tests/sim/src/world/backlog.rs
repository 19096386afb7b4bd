//! Nodes that fall far behind and what overtakes then; what members stated by themselves.

use super::{Stated, World};
use hashpact_core::Event;
use hashpact_core::effect::StoredEntry;
use hashpact_core::event::{Ack, Draft};
use hashpact_core::view::Status;
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::leaf::{EntryLeaf, Kind, read_leaf};
use hashpact_protocol::record::RetractionReason;

impl World {
    /// Many records stated at a node at once.
    pub fn state_many(&mut self, node: usize, count: usize) {
        let drafts = (0..count).map(|_| Draft::Content(self.founding.content(&mut self.random))).collect();
        self.state_drafts(node, drafts);
    }

    /// A node withdraws the first record of its log; its id.
    pub fn retract_first(&mut self, node: usize) -> RecordId {
        let log = self.nodes[node].member.log;
        let subject = self.nodes[node].disk.logs[&log].leaf(0).expect("something was stated");
        self.state_drafts(node, vec![Draft::Retraction { subject, reason: RetractionReason::Error }]);
        subject
    }

    pub(super) fn state_drafts(&mut self, node: usize, drafts: Vec<Draft>) {
        let (key, digest) = (self.random.bytes(), self.random.bytes());
        self.state(node, Stated { drafts, key, digest }, Ack::Local);
    }

    /// Power cut at a node; it is started again a while later.
    pub fn cut_power(&mut self, node: usize) {
        self.crash(node);
    }

    /// Whether a node runs.
    #[must_use]
    pub fn is_running(&self, node: usize) -> bool {
        self.nodes[node].engine.is_some()
    }

    /// Entries of an author's log that a node holds without a gap.
    #[must_use]
    pub fn held(&self, node: usize, author: usize) -> u64 {
        let log = self.nodes[author].member.log;
        self.nodes[node].disk.logs.get(&log).map_or(0, |log| log.entries.len() as u64)
    }

    /// Governance signs a next version, and the operator of one node installs it.
    pub fn install_roster(&mut self, node: usize) {
        let chain = super::checks::chain(&self.founding, &self.nodes[node].disk);
        let version = self.founding.next_version(&chain);
        self.nodes[node].disk.rosters.push(version);
        let versions = super::checks::chain(&self.founding, &self.nodes[node].disk).suffix_from(0).to_vec();
        self.step(node, Event::Roster { versions });
    }

    /// The roster version in force at a running node.
    #[must_use]
    pub fn roster_version(&self, node: usize) -> Option<u64> {
        Some(self.nodes[node].engine.as_ref()?.roster().version)
    }

    /// When a member stated what it holds.
    #[must_use]
    pub fn receipt_times(&self, node: usize) -> Vec<u64> {
        let member = &self.nodes[node].member;
        let entries = self.nodes[node].disk.logs.get(&member.log).map_or(&[][..], |log| &log.entries);
        let leaf = |(index, entry): (u64, &StoredEntry)| match read_leaf(&entry.leaf, &member.log, index) {
            EntryLeaf::Known(leaf) if leaf.kind == Kind::Receipt => Some(leaf.time_ms),
            _ => None,
        };
        (0..).zip(entries).filter_map(leaf).collect()
    }

    /// Whether a running node takes a record for withdrawn.
    #[must_use]
    pub fn is_withdrawn(&self, node: usize, record: &RecordId) -> bool {
        let engine = self.nodes[node].engine.as_ref();
        let record = engine.and_then(|engine| engine.view().record(record));
        record.is_some_and(|record| record.status() == Status::Retracted)
    }
}
