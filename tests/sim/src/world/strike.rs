//! One chosen durable step meets one chosen fate.

use super::{Happening, Node, Stated, World, pair};
use crate::disk::Job;
use hashpact_core::effect::Timer;
use hashpact_core::event::{Ack, Draft};
use hashpact_core::{Effect, Event, StopReason};
use hashpact_protocol::record::{ErasureBasis, ErasureReason};

/// A durable step of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The batch of the own log: leaves, payloads, tiles, frontier, idempotency keys.
    OwnBatch,
    /// The lock file.
    Lock,
    /// Entries of another member's log.
    FollowedBatch,
    /// Payloads that came after their leaves.
    LatePayloads,
    /// What a witness cosigned, evidence, or a part of another history of a forked log.
    Fact,
    /// The lock file, before a cosignature leaves.
    CosignLock,
    /// Priority entries ahead of their log's end.
    Ahead,
    /// A newer roster.
    Roster,
    /// Payloads sealed, destroyed or given back.
    Erase,
}

impl Step {
    /// All steps.
    pub const ALL: [Self; 9] = [
        Self::OwnBatch,
        Self::Lock,
        Self::FollowedBatch,
        Self::LatePayloads,
        Self::Fact,
        Self::CosignLock,
        Self::Ahead,
        Self::Roster,
        Self::Erase,
    ];
}

/// What becomes of a durable step when things go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The power goes before it is on disk.
    Lost,
    /// The power goes after it is on disk and before anybody knows.
    Stored,
    /// It is not on disk, and the disk says so.
    Failed,
    /// It is on disk, and the disk says that it failed.
    StoredReportedFailed,
    /// It is on disk but for one bit, and the disk says that all is well. Of own entries only: whatever else
    /// is stored is checked by the checksums of the database and of the lock file, which have tests of their own.
    Flipped,
}

impl Fate {
    /// All fates that a crash can leave. A torn write is lost as a whole: batches and slots are checksummed.
    pub const ALL: [Self; 4] = [Self::Lost, Self::Stored, Self::Failed, Self::StoredReportedFailed];
}

impl World {
    /// One record stated at a node, under a key of its own.
    pub fn state_one(&mut self, node: usize) {
        let drafts = vec![Draft::Content(self.founding.content(&mut self.random))];
        let (key, digest) = (self.random.bytes(), self.random.bytes());
        self.state(node, Stated { drafts, key, digest }, Ack::Local);
    }

    /// A node orders the erasure of one of its records.
    pub fn erase_one(&mut self, node: usize) {
        let subject = self.pick_record(node, true).expect("it has stated something");
        let reason = ErasureReason::Error;
        let drafts = vec![Draft::Erasure { subject, reason, basis: ErasureBasis::Own }];
        let (key, digest) = (self.random.bytes(), self.random.bytes());
        self.state(node, Stated { drafts, key, digest }, Ack::Local);
    }

    /// What was stated last at a node, again under the same key.
    pub fn state_again(&mut self, node: usize) {
        let stated = self.stated.get(&node).cloned().expect("something was stated");
        self.state(node, stated, Ack::Local);
    }

    /// The next step of this kind at a node meets this fate.
    pub fn strike(&mut self, node: usize, step: Step, fate: Fate) {
        self.strike = Some((node, step, fate));
    }

    /// Whether the fate of [`Self::strike`] is still to come.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.strike.is_some()
    }

    /// Entries of a node's own log on its disk.
    #[must_use]
    pub fn own_entries(&self, node: usize) -> u64 {
        let node = &self.nodes[node];
        node.disk.logs.get(&node.member.log).map_or(0, |log| log.entries.len() as u64)
    }

    /// Two nodes do not reach each other until [`Self::reconnect`].
    pub fn cut_for_good(&mut self, a: usize, b: usize) {
        self.cut(a, b);
        self.apart.insert(pair(a, b));
    }

    /// All nodes reach each other again.
    pub fn reconnect(&mut self) {
        for (a, b) in std::mem::take(&mut self.apart) {
            self.later(1, Happening::Link { a, b });
        }
    }

    /// What peers leave out from now on, as in [`Faults::bare`].
    pub fn lay_payloads_bare(&mut self, once_in: u64) {
        self.faults.bare = once_in;
    }

    /// What becomes of this job, if it is the one to be struck.
    pub(super) fn struck(&mut self, node: usize, job: &Job) -> Option<Fate> {
        let step = step_of(job, &self.nodes[node])?;
        let struck = self.strike.take_if(|(at, wanted, _)| *at == node && *wanted == step);
        struck.map(|(_, _, fate)| fate)
    }

    pub(super) fn meet(&mut self, node: usize, job: &Job, fate: Fate) {
        if fate == Fate::Flipped {
            return self.meet_flipped(node, job);
        }
        let held = &mut self.nodes[node];
        if matches!(fate, Fate::Stored | Fate::StoredReportedFailed) {
            held.disk.apply(job);
        }
        if matches!(fate, Fate::Failed | Fate::StoredReportedFailed) {
            let write = match job {
                Job::Write(batch) => batch.id,
                Job::Lock(write, _) => *write,
                Job::Payloads(batch) => batch.id,
                Job::Ahead(batch) => batch.id,
                Job::Roster(write) => write.id,
                Job::Fact(fact) => fact.id,
                Job::Branch(batch) => batch.id,
                Job::Erase(batch) => batch.id,
                Job::Subjects(_) => unreachable!("reads meet no fate"),
            };
            let engine = held.engine.as_mut().expect("a node at work");
            let failed = Event::WriteFailed { write, detail: "struck".to_owned() };
            let effects = engine.handle(failed, self.now_ms);
            // Nothing more may leave a node that does not know what is on its disk.
            assert!(matches!(effects.as_slice(), [Effect::Stop(_)]), "{effects:?}");
            let later = engine.handle(Event::Timer(Timer::Tick), self.now_ms);
            assert!(later.is_empty(), "{later:?}");
        }
        self.crash(node);
    }

    /// One bit of the last entry's leaf flips between memory and disk: nothing is signed.
    fn meet_flipped(&mut self, node: usize, job: &Job) {
        let Job::Write(batch) = job else { panic!("only entries are read back") };
        self.nodes[node].disk.apply(job);
        self.flip_back(node);
        self.flipped = Some(node);
        let held = &mut self.nodes[node];
        let entries = &held.disk.logs[&batch.log].entries[batch.start as usize..];
        let read_back = entries.iter().map(|entry| entry.leaf.clone()).collect();
        let engine = held.engine.as_mut().expect("a node at work");
        let effects = engine.handle(Event::Written { write: batch.id, read_back }, self.now_ms);
        assert!(matches!(effects.as_slice(), [Effect::Stop(StopReason::ReadBack { .. })]), "{effects:?}");
        self.crash(node);
    }

    /// Flips the bit of a node's last own entry, or flips it back: its memory was at fault, not its disk.
    pub fn flip_back(&mut self, node: usize) {
        let held = &mut self.nodes[node];
        let log = held.disk.logs.get_mut(&held.member.log).expect("entries of its own");
        let last = log.entries.last_mut().expect("an entry");
        last.leaf[40] ^= 4;
        if self.flipped.take_if(|flipped| *flipped == node).is_some() {
            self.later(1, Happening::Restart { node });
        }
    }

    /// Why a node with a flipped bit on its disk refused to start, if it did.
    pub fn take_refusal(&mut self) -> Option<StopReason> {
        self.refused.take()
    }
}

fn step_of(job: &Job, node: &Node) -> Option<Step> {
    Some(match job {
        Job::Write(batch) if batch.log == node.member.log => Step::OwnBatch,
        Job::Write(_) => Step::FollowedBatch,
        Job::Lock(_, lock) if node.disk.lock.as_ref().is_some_and(|held| held.size == lock.size) => {
            Step::CosignLock
        }
        Job::Lock(..) => Step::Lock,
        Job::Payloads(_) => Step::LatePayloads,
        Job::Ahead(_) => Step::Ahead,
        Job::Roster(_) => Step::Roster,
        Job::Fact(_) | Job::Branch(_) => Step::Fact,
        Job::Erase(_) => Step::Erase,
        Job::Subjects(_) => return None,
    })
}
