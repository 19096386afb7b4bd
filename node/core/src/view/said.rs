//! Where a statement stands, in which history of its log, and whether it counts there.

use super::{Author, Contested, Leavers, Suspension};
use crate::effect::EntryRef;
use hashpact_protocol::digest::{LeafHash, LogId};
use hashpact_protocol::leaf::Leaf;
use hashpact_protocol::roster::{LogPlace, MemberId};
use std::collections::BTreeMap;

/// The entry that states something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) place: LogPlace,
    pub(super) log: LogId,
    /// Which history of the log.
    pub(super) line: LogId,
    pub(super) id: LeafHash,
    /// The author's claim.
    pub(super) time_ms: u64,
}

impl Said {
    pub(super) fn new(author: &Author, leaf: &Leaf, id: LeafHash) -> Self {
        let place = LogPlace { n: author.n, index: leaf.index };
        Self { place, log: author.log, line: author.line, id, time_ms: leaf.time_ms }
    }

    /// What is later in the logs of one member is greater.
    pub(super) fn rank(&self) -> (LogPlace, LeafHash) {
        (self.place, self.id)
    }

    pub(super) fn entry(&self) -> EntryRef {
        EntryRef { log: self.log, index: self.place.index }
    }
}

/// Adds what a member states to a list in the order of its logs, once; of more than `max` the oldest goes.
/// Whether it is news.
pub(super) fn insert<T>(list: &mut Vec<T>, entry: T, said: impl Fn(&T) -> &Said, max: usize) -> bool {
    let at = list.partition_point(|held| said(held).rank() < said(&entry).rank());
    if list.get(at).is_some_and(|held| said(held).id == said(&entry).id) {
        return false;
    }
    list.insert(at, entry);
    if list.len() > max {
        list.remove(0);
    }
    true
}

/// What decides whether a statement counts, apart from who may make it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    /// By history.
    pub(super) contested: &'a BTreeMap<LogId, Contested>,
    pub(super) suspensions: &'a [Suspension],
    pub(super) leavers: &'a Leavers,
    pub(super) now_ms: u64,
}

impl Weights<'_> {
    /// Whether a history is disowned from before this entry on.
    pub(super) fn is_disowned(&self, line: &LogId, index: u64) -> bool {
        self.contested.get(line).is_some_and(|from| !from.counts && index >= from.from)
    }

    /// The suspension under which an entry at this place does not count now.
    pub(super) fn suspension(&self, member: &MemberId, place: LogPlace) -> Option<&Suspension> {
        let mut held = self.suspensions.iter();
        held.find(|held| held.member == *member && held.holds(self.now_ms) && place >= held.from)
    }

    /// Whether what a member states there counts.
    pub(super) fn counts(&self, member: &MemberId, said: &Said) -> bool {
        self.weighs(member, &said.line, said.place)
    }

    /// The same, given history and place.
    pub(super) fn weighs(&self, member: &MemberId, line: &LogId, place: LogPlace) -> bool {
        !self.is_disowned(line, place.index) && self.suspension(member, place).is_none()
    }

    /// Whether what a member states there counts as a withdrawal of what `author` stated.
    pub(super) fn withdraws(
        &self,
        author: &MemberId,
        member: &MemberId,
        line: &LogId,
        place: LogPlace,
    ) -> bool {
        self.leavers.acts_for(author, member, place) && self.weighs(member, line, place)
    }
}
