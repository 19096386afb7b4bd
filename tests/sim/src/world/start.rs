//! How a node starts: what its disk holds is folded as a shell would, and the engine is opened with it.

use super::{Happening, Place, World, checks};
use crate::disk::Disk;
use crate::founding::{Founding, Member};
use hashpact_core::effect::{HeldFacts, HeldPriority};
use hashpact_core::engine::HeldLog;
use hashpact_core::recover::OwnDisk;
use hashpact_core::view::{Rules, View};
use hashpact_core::{Engine, Opening, StopReason};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::roster::{LogRef, LogStatus, RosterChain};
use std::collections::BTreeMap;

impl World {
    pub(crate) fn start(&mut self, node: usize) {
        let opening = open(&self.founding, &self.nodes[node].member, &self.nodes[node].disk, self.now_ms);
        let held = &mut self.nodes[node];
        let (engine, effects) = match Engine::open(opening) {
            Ok(opened) => opened,
            Err(reason) if self.flipped == Some(node) => {
                self.refused = Some(reason);
                return;
            }
            Err(StopReason::Roster(_)) if held.place == Place::Leaving => {
                held.place = Place::Outside;
                return;
            }
            Err(reason) => panic!("member {} cannot start: {reason}", held.member.id),
        };
        held.engine = Some(engine);
        held.life += 1;
        held.published.clear();
        self.perform(node, effects);
        for other in 0..self.nodes.len() {
            if other != node {
                let delay = 1 + self.random.below(50);
                self.later(delay, Happening::Link { a: node, b: other });
            }
        }
    }
}

/// What a member's node is opened with.
fn open(founding: &Founding, member: &Member, disk: &Disk, now_ms: u64) -> Opening {
    let own = disk.logs.get(&member.log).cloned().unwrap_or_default();
    let lock = disk.lock.clone();
    let signed = lock.as_ref().map_or(0, |lock| lock.size) as usize;
    let reached = own.entries.len() >= signed;
    let roster = checks::chain(founding, disk);
    let mut folding = Folding::under(founding, disk, member.log, signed, &roster, now_ms);
    let priority = folding.fold_priority();
    let held = folding.fold_logs();
    folding.fold_branches();
    Opening {
        config: founding.config(member, now_ms, disk.card.as_ref()),
        own: OwnDisk {
            frontier: own.stored_frontier().clone(),
            at_lock: reached.then(|| own.frontier_at(signed)),
            lock,
            beyond_lock: own.entries.get(signed..).unwrap_or_default().to_vec(),
            generation: disk.generation,
        },
        last_time_ms: own.last_time_ms(),
        held,
        priority,
        facts: HeldFacts { erased: disk.erased(), ..disk.facts.clone() },
        view: folding.view,
        roster,
        now_ms,
    }
}

/// The view of a disk, under way.
struct Folding<'a> {
    founding: &'a Founding,
    disk: &'a Disk,
    /// The own log, of which no more is folded than was signed.
    own: LogId,
    signed: usize,
    /// How many entries of each log count at most: what lies beyond a closure does not.
    ends: BTreeMap<LogId, usize>,
    view: View,
}

impl<'a> Folding<'a> {
    fn under(
        founding: &'a Founding,
        disk: &'a Disk,
        own: LogId,
        signed: usize,
        roster: &RosterChain,
        now_ms: u64,
    ) -> Self {
        let ends = roster.current().logs().map(|log| (log.log_id, end(&log))).collect();
        let view = View::under(Rules::from(roster), now_ms, [0; 16]);
        Self { founding, disk, own, signed, ends, view }
    }

    /// How many of so many stored entries of a log are to be seen.
    fn visible(&self, log: &LogId, stored: usize) -> usize {
        let end = stored.min(self.ends[log]);
        if *log == self.own { self.signed.min(end) } else { end }
    }

    /// Priority entries ahead of their log's end.
    fn fold_priority(&mut self) -> BTreeMap<LogId, HeldPriority> {
        let mut priority = BTreeMap::new();
        for (log, end) in &self.ends {
            let stored = self.disk.logs.get(log).map_or(0, |stored| stored.entries.len());
            let mut urgent = self.disk.priority(log, self.visible(log, stored));
            urgent.ahead.retain(|(index, _)| *index < *end as u64);
            let author = self.founding.named(log);
            for (index, entry) in &urgent.ahead {
                self.view.fold_ahead(&author, *index, &entry.leaf, &entry.payload);
            }
            priority.insert(*log, urgent);
        }
        priority
    }

    fn fold_logs(&mut self) -> BTreeMap<LogId, HeldLog> {
        let mut others = BTreeMap::new();
        for (log, stored) in &self.disk.logs {
            let visible = self.visible(log, stored.entries.len());
            let author = self.founding.named(log);
            for (index, entry) in (0u64..).zip(&stored.entries[..visible]) {
                self.view.fold(&author, index, &entry.leaf, &entry.payload);
            }
            if *log != self.own {
                let missing = stored.missing(None, usize::MAX);
                let missing = missing.iter().filter(|entry| entry.index < visible as u64);
                let payloads_missing = missing.count() as u64;
                let frontier = stored.frontier_at(visible);
                others.insert(*log, HeldLog { frontier, note: stored.note.clone(), payloads_missing });
            }
        }
        others
    }

    /// Of a forked log nothing at all may be followed, and both histories kept.
    fn fold_branches(&mut self) {
        for ((log, number), entries) in &self.disk.branches {
            let author = self.founding.named(log).beside(*number);
            let start = self.disk.facts.branches[&(*log, *number)].start;
            for (index, entry) in (start..).zip(entries) {
                self.view.fold(&author, index, &entry.leaf, &entry.payload);
            }
        }
    }
}

fn end(log: &LogRef<'_>) -> usize {
    match log.status {
        LogStatus::Closed { size, .. } => *size as usize,
        _ => usize::MAX,
    }
}
