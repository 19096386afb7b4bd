//! Erasure orders: who said that which payload must be destroyed, and whose word counts.
//!
//! An order acts from its leaf alone, and may arrive before the entry that it names, so orders are kept by
//! the subject's leaf hash. It counts if its author is the subject's author, or if the roster names it as an
//! erasure authority, or as steward of the subject's author, at that place of its log (SPEC §7.10, §8.6). What lies beyond the closure of a log is never
//! folded, and what is disowned by a fork does not count: so an order by a stolen key lapses.
//!
//! When a payload is destroyed is decided in [`crate::erasing`].

use super::{Author, Contested, Leavers};
use crate::effect::EntryRef;
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::record::Erasure;
use hashpact_protocol::roster::{HOLD_DEFAULT_S, LogPlace, MemberId, RETENTION_DEFAULT_S, Roster, Term};
use std::collections::BTreeMap;

/// What a roster says about destroying payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureRules {
    /// How long an order waits before it destroys, in milliseconds.
    pub hold_ms: u64,
    /// How long payloads of retracted and expired records are kept, in milliseconds.
    pub retention_ms: u64,
    pub(super) erasers: Vec<Term>,
}

impl Default for ErasureRules {
    fn default() -> Self {
        Self {
            hold_ms: HOLD_DEFAULT_S * 1_000,
            retention_ms: RETENTION_DEFAULT_S * 1_000,
            erasers: Vec::new(),
        }
    }
}

impl From<&Roster> for ErasureRules {
    fn from(roster: &Roster) -> Self {
        Self {
            hold_ms: roster.hold_s.saturating_mul(1_000),
            retention_ms: roster.retention_s.saturating_mul(1_000),
            erasers: roster.terms.erasers.clone(),
        }
    }
}

impl ErasureRules {
    /// Whether this entry may order the erasure of everybody's payloads.
    #[must_use]
    pub fn is_authority(&self, member: &MemberId, n: u32, index: u64) -> bool {
        let place = LogPlace { n, index };
        self.erasers.iter().any(|eraser| eraser.member == *member && eraser.covers(place))
    }
}

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Claimed time.
    pub time_ms: u64,
    /// Where it stands.
    pub entry: EntryRef,
    /// Number of that log.
    n: u32,
    /// In which history of that log.
    pub(super) line: LogId,
    /// Who gave it.
    pub member: MemberId,
    /// Whether it counts for everybody's payloads.
    pub by_authority: bool,
    /// Members who left, for whose payloads it counts as their own: its author is their steward.
    serves: Vec<MemberId>,
    /// Reason and basis, when its payload is here and can be read; the leaf alone acts.
    pub stated: Option<Erasure>,
}

impl Order {
    /// Whether it counts for payloads of this member.
    fn covers(&self, author: &MemberId) -> bool {
        self.by_authority || self.member == *author || self.serves.contains(author)
    }

    /// Its place in the logs of whoever gave it.
    pub(super) const fn place(&self) -> LogPlace {
        LogPlace { n: self.n, index: self.entry.index }
    }
}

/// All orders, by what they are about.
#[derive(Debug, Default)]
pub struct Orders {
    rules: ErasureRules,
    leavers: Leavers,
    by_subject: BTreeMap<RecordId, Vec<Order>>,
}

impl Orders {
    pub(super) fn new(rules: ErasureRules, leavers: Leavers) -> Self {
        Self { rules, leavers, by_subject: BTreeMap::new() }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &ErasureRules {
        &self.rules
    }

    /// Of one log the first order counts for as long as any later one does, so that one is kept, for each
    /// right it may rest on. An order that is told again has its payload now.
    pub(super) fn add(
        &mut self,
        subject: RecordId,
        author: &Author,
        index: u64,
        order: (u64, Option<Erasure>),
    ) {
        let (time_ms, stated) = order;
        let by_authority = self.rules.is_authority(&author.member, author.n, index);
        let serves = self.leavers.served_by(&author.member, LogPlace { n: author.n, index });
        let entry = EntryRef { log: author.log, index };
        let list = self.by_subject.entry(subject).or_default();
        let (line, member) = (author.line, author.member.clone());
        let order = Order { time_ms, entry, n: author.n, line, member, by_authority, serves, stated };
        let is_rival = |held: &&mut Order| {
            (held.line, held.by_authority, &held.serves) == (order.line, order.by_authority, &order.serves)
        };
        let rival = list.iter_mut().find(is_rival);
        match rival {
            Some(held) if held.entry.index >= index => *held = order,
            Some(_) => {}
            None => list.push(order),
        }
        list.sort_by_key(|order| (order.time_ms, order.entry));
    }

    /// Orders that count for this subject of this author, earliest claimed time first.
    pub(super) fn counting<'a>(
        &'a self,
        subject: &RecordId,
        author: &'a MemberId,
        contested: &'a BTreeMap<LogId, Contested>,
    ) -> impl Iterator<Item = &'a Order> {
        let is_disowned = |order: &Order| {
            contested.get(&order.line).is_some_and(|from| !from.counts && order.entry.index >= from.from)
        };
        let orders = self.by_subject.get(subject).into_iter().flatten();
        orders.filter(move |order| order.covers(author) && !is_disowned(order))
    }

    /// The order that is shown of those that count: an authority's, which always seals, before the author's own.
    pub(super) fn deciding<'a>(
        &'a self,
        subject: &RecordId,
        author: &'a MemberId,
        contested: &'a BTreeMap<LogId, Contested>,
    ) -> Option<&'a Order> {
        let by_others = self.counting(subject, author, contested).find(|order| order.member != *author);
        by_others.or_else(|| self.counting(subject, author, contested).next())
    }

    /// Everything that some order is about.
    pub fn subjects(&self) -> impl Iterator<Item = &RecordId> {
        self.by_subject.keys()
    }

    /// Whether some order is about it.
    #[must_use]
    pub fn is_subject(&self, id: &RecordId) -> bool {
        self.by_subject.contains_key(id)
    }

    /// Where the orders stand.
    pub(super) fn entries(&self) -> impl Iterator<Item = EntryRef> {
        self.by_subject.values().flatten().map(|order| order.entry)
    }

    /// What orders of a history of a log from an index on are about.
    pub fn subjects_from(&self, line: LogId, index: u64) -> impl Iterator<Item = RecordId> {
        let concerned = move |order: &Order| order.line == line && order.entry.index >= index;
        self.by_subject.iter().filter(move |(_, list)| list.iter().any(concerned)).map(|(id, _)| *id)
    }
}
