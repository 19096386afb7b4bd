//! What goes wrong on its own: a member that signs two histories, partitions, peers that leave payloads out.

use super::World;
use hashpact_protocol::wire::{RangeChunk, WirePayload};

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

    /// Parts the members into two groups for a while.
    pub(super) fn part(&mut self) {
        let apart = (0..self.nodes.len()).filter(|_| self.random.once_in(2)).collect();
        self.partition = (self.now_ms + 1_000 + self.random.below(20_000), apart);
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
