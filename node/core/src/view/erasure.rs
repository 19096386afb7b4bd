//! What erasure orders make of records: sealed while their payload waits to be destroyed, then erased.
//!
//! A sealed record keeps its place, its author and what others say about it, and loses its content in this
//! view at once; the bytes stay on disk until the hold is over ([`crate::erasing`]). An order that lapses
//! gives the content back from there ([`View::replace`]).

use super::record::{Gone, RecordView, Status, StatusReason};
use super::statement::About;
use super::{Author, Order, Orders, Read, View, read_stored};
use crate::effect::{EntryRef, IndexChange, StoredPayload, ViewChange};
use hashpact_protocol::digest::{LogId, RecordId, leaf_hash};
use hashpact_protocol::leaf::{EntryLeaf, Kind, Leaf, read_leaf};
use hashpact_protocol::record::{Content, Payload, Record};
use hashpact_protocol::roster::MemberId;
use std::sync::Arc;

/// Why a payload must be destroyed, and from when on the waiting is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// An order.
    Ordered {
        /// The order.
        by: EntryRef,
        /// Its claimed time.
        time_ms: u64,
    },
    /// The author's retraction.
    Retracted {
        /// The retraction.
        by: EntryRef,
        /// Its claimed time.
        time_ms: u64,
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
        let ordered = ordered.map(|order| Withdrawal::Ordered { by: order.entry, time_ms: order.time_ms });
        let retracted = self.about.get(id).and_then(|about| about.retracted_by(author));
        let retracted =
            retracted.map(|entry| Withdrawal::Retracted { by: entry.place(), time_ms: entry.time_ms });
        let record = self.records.get(id);
        let expires_s = record.and_then(|record| record.content.expires_s);
        let expired = expires_s.map(|expires_s| expires_s.saturating_mul(1_000));
        let expired = expired.filter(|time_ms| *time_ms <= self.expired_until_ms);
        ordered.chain(retracted).chain(expired.map(|time_ms| Withdrawal::Expired { time_ms }))
    }

    /// Where orders and retractions stand.
    pub fn withdrawing_entries(&self) -> impl Iterator<Item = EntryRef> {
        self.orders.entries().chain(self.about.values().flat_map(About::retracting_entries))
    }

    /// Whether an order that counts may still be disowned: its author signed two histories.
    #[must_use]
    pub fn is_contested(&self, entry: &EntryRef) -> bool {
        self.contested.get(&entry.log).is_some_and(|contested| entry.index >= contested.from)
    }

    /// Whether a log holds an order or a retraction about this subject, whether it counts or not.
    #[must_use]
    pub fn has_withdrawal_from(&self, subject: &RecordId, log: &LogId) -> bool {
        self.orders.has_from(subject, log)
            || self.about.get(subject).is_some_and(|about| about.has_retraction_from(log))
    }

    pub(super) fn fold_erasure(
        &mut self,
        author: &Author,
        leaf: &Leaf,
        bytes: &[u8],
        payload: &StoredPayload,
    ) -> Vec<ViewChange> {
        let Some(subject) = leaf.subject else { return self.count(author, |counts| &mut counts.void) };
        let stated = match read_stored(leaf, bytes, payload) {
            Read::Payload(Payload::Record(Record::Erasure(erasure))) => Some(erasure),
            _ => None,
        };
        self.count(author, |counts| &mut counts.statements);
        self.orders.add(subject, author, leaf.index, (leaf.time_ms, stated));
        self.derive(&subject)
    }

    /// Folds a record in whose payload is gone for good: only its leaf is left to show.
    pub(super) fn fold_gone(
        &mut self,
        author: &Author,
        id: RecordId,
        leaf: &Leaf,
        payload: &StoredPayload,
    ) -> Vec<ViewChange> {
        let Some(gone) = gone(payload).filter(|_| leaf.kind == Kind::Content) else { return Vec::new() };
        let mut record = RecordView::new(id, author, leaf, Content::empty());
        record.gone = Some(gone);
        self.records.insert(id, Arc::new(record));
        self.derive_first(&id)
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
        let EntryLeaf::Known(known) = read_leaf(leaf, &author.log, index) else { return Vec::new() };
        if known.kind != Kind::Content {
            return Vec::new();
        }
        let id = leaf_hash(leaf);
        let content = match read_stored(&known, leaf, payload) {
            Read::Payload(Payload::Record(Record::Content(content))) => content,
            Read::Absent => Content::empty(),
            Read::Payload(_) | Read::Damaged => return Vec::new(),
        };
        let is_here = !content.is_empty();
        let mut record = RecordView::new(id, author, &known, content);
        record.gone = gone(payload);
        let was_counted = self.records.get(&id).map(|record| record.gone.is_none());
        let counts = self.counts.entry(author.log).or_default();
        match (was_counted, record.gone.is_none()) {
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
        if let Some(expires_s) = record.content.expires_s {
            self.expiring.insert((expires_s.saturating_mul(1_000), id), ());
        }
        self.records.insert(id, Arc::new(record));
        self.derive_first(&id)
    }
}

const fn gone(payload: &StoredPayload) -> Option<Gone> {
    match payload {
        StoredPayload::Erased | StoredPayload::ErasedBy { .. } => Some(Gone::Erased),
        StoredPayload::Held { .. } => Some(Gone::Held),
        StoredPayload::Present { .. }
        | StoredPayload::Sealed { .. }
        | StoredPayload::Withheld
        | StoredPayload::NotHere => None,
    }
}

impl RecordView {
    /// Whether nothing of its content may be shown.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.content.is_empty()
    }

    /// Seals the record if an order counts, and says why if its payload is gone.
    pub(super) fn apply_order(&mut self, order: Option<&Order>) {
        let status = match self.gone {
            Some(Gone::Erased) => Status::Erased,
            Some(Gone::Held) => Status::Held,
            None if order.is_some() => Status::Sealed,
            // An order lapsed; the content is on its way back.
            None if self.is_blank() => Status::Sealed,
            None => return,
        };
        self.status = status;
        self.content = Content::empty();
        self.reason = match order {
            Some(order) => {
                let place = (self.log, self.index);
                let stated = order.stated.as_ref();
                let stated = stated.filter(|stated| (stated.subject.log, stated.subject.index) == place);
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

    /// The change that takes this record out of the index, if `after` has lost the signals that name what
    /// to take out.
    pub(super) fn without_signals(&self, after: &Self) -> Option<ViewChange> {
        if !self.stands() || self.is_blank() || !after.is_blank() {
            return None;
        }
        let mut record = self.clone();
        (record.status, record.reason) = (after.status, after.reason.clone());
        Some(ViewChange { record: Arc::new(record), index: IndexChange::Remove })
    }
}
