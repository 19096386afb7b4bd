//! What goes wrong on its own: a member that signs two histories, partitions, peers that leave payloads out.

use super::{Place, World};
use crate::rogue::Rogue;
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::Record;
use hashpact_protocol::wire::{RangeChunk, WirePayload};
use std::collections::BTreeSet;

impl World {
    /// The rogue grows one of its histories and asks a witness to cosign one of them.
    pub(super) fn misbehave(&mut self, node: usize) {
        let Some(mut rogue) = self.rogue.take() else { return };
        rogue.act(&self.founding, &mut self.random, self.now_ms);
        let witness = self.random.below(node as u64) as usize;
        let ask = rogue.ask(witness, self.random.below(2) as usize);
        self.rogue = Some(rogue);
        if let Some(request) = ask {
            let peer = self.nodes[witness].member.peer;
            self.sequence += 1;
            self.send(node, &peer, self.sequence, request);
        }
    }

    /// A thief takes a member's machine over, with all its keys, and shows members one history or the other.
    pub(crate) fn steal(&mut self, node: usize, sides: Vec<usize>) {
        self.crash(node);
        let held = &self.nodes[node];
        let log = held.disk.logs[&held.member.log].clone();
        self.forked.insert(held.member.origin.clone());
        self.rogue = Some(Rogue::thief(&self.founding, &held.member, log, sides, self.now_ms));
        self.rogue_at = node;
    }

    /// The thief writes into one history.
    pub(crate) fn thief_writes(
        &mut self,
        side: usize,
        records: Vec<(Record, Option<RecordId>)>,
    ) -> Vec<RecordId> {
        let thief = self.rogue.as_mut().expect("there is a thief");
        thief.write(side, records, &mut self.random, self.now_ms)
    }

    /// The thief asks a witness to cosign what it is shown.
    pub(crate) fn thief_asks(&mut self, witness: usize) {
        let ask = self.rogue.as_ref().and_then(|thief| thief.ask(witness, thief.side(witness)));
        if let Some(request) = ask {
            let peer = self.nodes[witness].member.peer;
            self.sequence += 1;
            self.send(self.rogue_at, &peer, self.sequence, request);
        }
    }

    /// The stolen machine is switched off.
    pub(crate) fn unplug(&mut self) {
        for other in 0..self.nodes.len() {
            if other != self.rogue_at {
                self.cut(self.rogue_at, other);
            }
        }
        self.rogue = None;
        self.nodes[self.rogue_at].place = Place::Outside;
    }

    /// Time passes at once, as for machines that slept: what was under way is late.
    pub(crate) fn leap(&mut self, span_ms: u64) {
        self.now_ms += span_ms;
        self.leapt_ms = self.now_ms;
    }

    /// Parts the members into two groups for a while.
    pub(super) fn part(&mut self) {
        let apart = (0..self.nodes.len()).filter(|_| self.random.once_in(2)).collect();
        let span_ms = 1_000 + self.random.below(20_000);
        self.part_off(apart, span_ms);
    }

    /// Parts these members from all others for a while.
    pub(crate) fn part_off(&mut self, apart: BTreeSet<usize>, span_ms: u64) {
        self.partition = (self.now_ms + span_ms, apart);
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                if self.is_parted(a, b) {
                    self.cut(a, b);
                }
            }
        }
    }

    pub(super) fn is_parted(&self, a: usize, b: usize) -> bool {
        let (until_ms, apart) = &self.partition;
        self.now_ms < *until_ms && apart.contains(&a) != apart.contains(&b)
    }

    pub(super) fn lay_bare(&mut self, chunk: &mut RangeChunk) {
        for entry in &mut chunk.entries {
            if self.faults.bare > 0 && self.random.once_in(self.faults.bare) {
                entry.payload = WirePayload::NotHere;
            }
        }
    }
}
