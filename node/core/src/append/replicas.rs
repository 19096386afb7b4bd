//! Which other members have the own log on their disks, and who waits for them.
//!
//! A confirmation says that leaves *and* payloads below a signed size are synced at a member; the log
//! has checked its root before it comes here. A wait ends when enough members confirmed, or when its
//! time is over: the entries stay, and a retry under the same idempotency key waits on.

use crate::effect::{Effect, Receipts, SubmitError};
use crate::engine::Out;
use crate::limits::{AWAITING_REPLICAS_MAX, REPLICATION_TIMEOUT_MS};
use hashpact_protocol::roster::{EVERYBODY, MemberId};
use std::collections::{BTreeMap, BTreeSet};

/// Confirmations and waits.
#[derive(Default)]
pub(super) struct Replicas {
    stored_by: BTreeMap<MemberId, u64>,
    /// Groups of the other members: who is not in a record's group confirms without its payload.
    groups: BTreeMap<MemberId, BTreeSet<u32>>,
    waits: Vec<Wait>,
}

struct Wait {
    request: u64,
    wanted: u32,
    /// The group whose members count.
    group: u32,
    receipts: Receipts,
    deadline_ms: u64,
}

impl Replicas {
    /// Nobody has confirmed anything yet.
    pub(super) fn among(groups: BTreeMap<MemberId, BTreeSet<u32>>) -> Self {
        Self { groups, ..Self::default() }
    }

    /// From now on these are the other members, with their groups.
    pub(super) fn enforce(&mut self, groups: BTreeMap<MemberId, BTreeSet<u32>>) {
        self.groups = groups;
    }

    /// How many other members may have the payloads of a group.
    pub(super) fn entitled(&self, group: u32) -> usize {
        self.groups.values().filter(|groups| group == EVERYBODY || groups.contains(&group)).count()
    }

    /// Answers a submission as soon as `wanted` members hold the log up to its receipts' tree size.
    pub(super) fn answer(
        &mut self,
        request: u64,
        wanted: u32,
        group: u32,
        receipts: Receipts,
        now_ms: u64,
        out: &mut Out,
    ) {
        let stored = self.count(receipts.tree_size, group);
        if stored >= wanted {
            out.push(Effect::Answer { request, answer: Ok(receipts) });
        } else if self.waits.len() >= AWAITING_REPLICAS_MAX {
            let error = SubmitError::NotYetReplicated { stored, asked: wanted };
            out.push(Effect::Answer { request, answer: Err(error) });
        } else {
            let deadline_ms = now_ms.saturating_add(REPLICATION_TIMEOUT_MS);
            self.waits.push(Wait { request, wanted, group, receipts, deadline_ms });
        }
    }

    /// A member confirmed that it holds everything below `size`.
    pub(super) fn stored(&mut self, member: &MemberId, size: u64, out: &mut Out) {
        let held = self.stored_by.entry(member.clone()).or_insert(0);
        *held = (*held).max(size);
        let (done, waiting): (Vec<Wait>, Vec<Wait>) = std::mem::take(&mut self.waits)
            .into_iter()
            .partition(|wait| self.count(wait.receipts.tree_size, wait.group) >= wait.wanted);
        self.waits = waiting;
        for wait in done {
            out.push(Effect::Answer { request: wait.request, answer: Ok(wait.receipts) });
        }
    }

    /// Ends waits whose time is over.
    pub(super) fn tick(&mut self, now_ms: u64, out: &mut Out) {
        let (late, waiting): (Vec<Wait>, Vec<Wait>) =
            std::mem::take(&mut self.waits).into_iter().partition(|wait| wait.deadline_ms <= now_ms);
        self.waits = waiting;
        for wait in late {
            let stored = self.count(wait.receipts.tree_size, wait.group);
            let error = SubmitError::NotYetReplicated { stored, asked: wait.wanted };
            out.push(Effect::Answer { request: wait.request, answer: Err(error) });
        }
    }

    fn count(&self, size: u64, group: u32) -> u32 {
        let is_entitled = |member: &MemberId| {
            group == EVERYBODY || self.groups.get(member).is_some_and(|groups| groups.contains(&group))
        };
        let holds = self.stored_by.iter().filter(|(member, held)| **held >= size && is_entitled(member));
        let count = holds.count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}
