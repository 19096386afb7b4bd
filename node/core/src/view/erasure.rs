//! What erasure orders make of records: sealed while their payload waits to be destroyed, then erased.
//!
//! A sealed record keeps its place, its author and what others say about it, and loses its content in this
//! view at once; the bytes stay on disk until the hold is over ([`crate::erasing`]). An order that lapses
//! gives the content back from there ([`View::replace`]).

use super::reading::{Form, Read, ReadEntry, stated_nothing};
use super::record::{Gone, Standing, Status, StatusReason};
use super::statement::About;
use super::{Author, KnownRecord, Order, Orders, View};
use crate::effect::{EntryRef, StoredPayload, ViewChange};
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::leaf::Leaf;
use hashpact_protocol::record::{Payload, Record, SubjectRef};
use hashpact_protocol::roster::MemberId;

/// Why look-ups hold nothing of what a record states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blank {
    /// An order came; if it lapsed since, the content is on its way back.
    Sealed,
    /// The payload is not here any more.
    Gone(Gone),
}

/// Why a payload must be destroyed, and from when on the waiting is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// An order.
    Ordered {
        /// The order.
        by: EntryRef,
        /// Its claimed time.
        time_ms: u64,
        /// Whether it may still be disowned: its author signed two histories.
        is_contested: bool,
    },
    /// The author's retraction.
    Retracted {
        /// The retraction.
        by: EntryRef,
        /// Its claimed time.
        time_ms: u64,
        /// Whether it may still be disowned.
        is_contested: bool,
    },
    /// The record's own expiry.
    Expired {
        /// When.
        time_ms: u64,
    },
}

impl View {
    /// The erasure orders.
    #[must_use]
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Why the payload of an entry of this author must be destroyed some time: every reason that counts.
    pub fn withdrawals<'a>(
        &'a self,
        id: &'a RecordId,
        author: &'a MemberId,
    ) -> impl Iterator<Item = Withdrawal> + 'a {
        let ordered = self.orders.counting(id, author, &self.contested);
        let ordered = ordered.map(|order| Withdrawal::Ordered {
            by: order.entry,
            time_ms: order.time_ms,
            is_contested: self.is_contested(order.line, &order.entry)
                || self.weights().suspension(&order.member, order.place()).is_some(),
        });
        let weights = self.weights();
        let retracted = self.about.get(id).and_then(|about| about.retracted_by(author, &weights));
        let retracted = retracted.map(|(_, entry)| Withdrawal::Retracted {
            by: entry.place(),
            time_ms: entry.time_ms,
            is_contested: self.is_contested(entry.line, &entry.place()),
        });
        let expires_s = self.records.find(id).and_then(|record| self.expiries.get(&record.number).copied());
        let expired = expires_s.map(|expires_s| expires_s.saturating_mul(1_000));
        let expired = expired.filter(|time_ms| *time_ms <= self.expired_until_ms);
        ordered.chain(retracted).chain(expired.map(|time_ms| Withdrawal::Expired { time_ms }))
    }

    /// Records that their author retracted, and those that expired; one may be both.
    pub fn retracted_or_expired(&self) -> impl Iterator<Item = KnownRecord> {
        let retracted = self.about.iter().filter(|(_, about)| about.retracting_entries().next().is_some());
        let retracted = retracted.filter_map(|(id, _)| self.records.find(id));
        let is_past = |expires_s: u64| expires_s.saturating_mul(1_000) <= self.expired_until_ms;
        let expired = self.expiries.iter().filter(move |(_, expires_s)| is_past(**expires_s));
        let expired = expired.filter_map(|(number, _)| self.records.get(*number));
        let records = retracted.chain(expired).map(|record| self.known(&record));
        records.filter(|record| matches!(record.status(), Status::Retracted | Status::Expired))
    }

    /// Where orders and retractions stand.
    pub fn withdrawing_entries(&self) -> impl Iterator<Item = EntryRef> {
        self.orders.entries().chain(self.about.values().flat_map(About::retracting_entries))
    }

    fn is_contested(&self, line: LogId, entry: &EntryRef) -> bool {
        match self.contested.get(&line) {
            Some(contested) => entry.index >= contested.from,
            None => line != entry.log,
        }
    }

    pub(super) fn fold_erasure(&mut self, author: &Author, leaf: &Leaf, read: Read) -> Vec<ViewChange> {
        let Some(subject) = leaf.subject else {
            self.count(author, |counts| &mut counts.void);
            return Vec::new();
        };
        let stated = match read {
            Read::Other(other) => match *other {
                Payload::Record(Record::Erasure(erasure)) => Some(erasure),
                _ => None,
            },
            _ => None,
        };
        self.count(author, |counts| &mut counts.statements);
        self.learn(subject, |view| view.orders.add(subject, author, leaf.index, (leaf.time_ms, stated)))
    }

    /// Takes up that another payload stands beside an entry that was folded: sealed bytes were destroyed, or
    /// given back.
    pub fn replace(
        &mut self,
        author: &Author,
        index: u64,
        leaf: &[u8],
        payload: &StoredPayload,
    ) -> Vec<ViewChange> {
        let ReadEntry { id, form: Form::Known(known, read) } = ReadEntry::new(author, index, leaf, payload)
        else {
            return Vec::new();
        };
        if !known.kind.is_statement() {
            return Vec::new();
        }
        let (stated, gone) = match read {
            Read::States(stated) => (stated, None),
            Read::Absent(gone) => (stated_nothing(&known), gone),
            Read::Other(_) | Read::Damaged => return Vec::new(),
        };
        let is_here = !stated.content.is_empty();
        let number = self.records.find(&id).map(|record| record.number);
        let was_counted = number.map(|number| !matches!(self.blank.get(&number), Some(Blank::Gone(_))));
        let counts = self.counts.entry(author.line).or_default();
        match (was_counted, gone.is_none()) {
            (Some(true), false) => {
                counts.records = counts.records.saturating_sub(1);
                counts.without_payload += 1;
            }
            (Some(false), true) if is_here => {
                counts.without_payload = counts.without_payload.saturating_sub(1);
                counts.records += 1;
            }
            _ => {}
        }
        let blank = gone.map(Blank::Gone).or_else(|| (!is_here).then_some(Blank::Sealed));
        let mut changes = Vec::new();
        self.state(author, id, &known, stated, blank, &mut changes);
        changes
    }

    /// Notes of which of these records look-ups hold nothing from now on.
    pub(super) fn blanked(&mut self, changes: Vec<ViewChange>) -> Vec<ViewChange> {
        for change in changes.iter().filter(|change| change.record.is_blank()) {
            if let Some(record) = self.records.find(&change.record.id) {
                self.blank.entry(record.number).or_insert(Blank::Sealed);
            }
        }
        changes
    }
}

impl Standing {
    /// Seals the record if an order counts, and says why if its payload is gone.
    pub(super) fn apply_order(&mut self, blank: Option<&Blank>, order: Option<&Order>, place: &SubjectRef) {
        self.status = match blank {
            Some(Blank::Gone(Gone::Erased)) => Status::Erased,
            Some(Blank::Gone(Gone::Held)) => Status::Held,
            Some(Blank::Sealed) => Status::Sealed,
            None if order.is_some() => Status::Sealed,
            None => return,
        };
        self.reason = match order {
            Some(order) => {
                let stated = order.stated.as_ref().filter(|stated| stated.subject == *place);
                Some(StatusReason::OrderedBy {
                    member: order.member.clone(),
                    time_ms: order.time_ms,
                    entry: order.entry,
                    reason: stated.map(|stated| stated.reason.get()),
                    basis: stated.map(|stated| stated.basis.get()),
                })
            }
            // Retracted long ago, or why is not known any more.
            None => self.reason.take().filter(|reason| matches!(reason, StatusReason::RetractedBy { .. })),
        };
    }
}
