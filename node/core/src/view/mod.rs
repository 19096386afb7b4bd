//! What currently stands: a fold over the *set* of entries held, independent of arrival order.
//!
//! Every entry is folded once by [`View::fold`]. Statements about a record are kept under the
//! record's id whether or not the record itself has arrived, so an opinion or retraction that
//! overtakes its subject simply waits. A record's standing is then derived from everything known
//! about it; nothing is patched.
//!
//! Rules (DESIGN: Kinds, Matching; `SPEC.md` §7): a retraction counts only from the record's author,
//! acts from the leaf alone and is final; of a member's opinions about one record the latest by
//! (log number, index) counts; an author's opinion of its own record does not count; an opinion whose
//! payload names another subject than its leaf is void and never masks an earlier valid one.
//!
//! Which signals are searched by distance is one rule ([`reach()`]) for index and answers alike.
//!
//! Not here: which matches a member acts on ([`crate::verdict`]) and the search index itself.

mod erasure;
mod orders;
mod reach;
mod receipts;
mod record;
mod statement;
#[cfg(test)]
mod tests;

pub use erasure::Withdrawal;
pub use orders::{ErasureRules, Order, Orders};
pub use reach::{PDQ_ONES_MAX, PDQ_ONES_MIN, PDQ_QUALITY_MIN, Reach, reach};
pub use receipts::StatedHolding;
pub use record::{Gone, OpinionCounts, RecordView, Statement, Status, StatusReason};

use crate::effect::{IndexChange, StoredPayload, ViewChange};
use hashpact_protocol::digest::{LeafHash, LogId, RecordId, leaf_hash};
use hashpact_protocol::leaf::{EntryLeaf, Kind, Leaf, check_commitment, read_leaf, unpad};
use hashpact_protocol::record::{Payload, Record, read_payload};
use hashpact_protocol::roster::MemberId;
use receipts::Receipts;
use statement::{About, OpinionEntry, RetractionEntry};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where an entry stands and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The member.
    pub member: MemberId,
    /// Number of the member's log.
    pub n: u32,
    /// The log.
    pub log: LogId,
}

/// Counts of entries folded, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FoldCounts {
    /// Records (content).
    pub records: u64,
    /// Opinions, retractions and receipts.
    pub statements: u64,
    /// Entries of a version, kind or codec that this node does not read yet.
    pub opaque: u64,
    /// Entries that break a rule.
    pub void: u64,
    /// Entries whose payload is withheld, erased or not here.
    pub without_payload: u64,
}

impl FoldCounts {
    /// Entries folded. Each is counted once, so for a log that is folded in order this is also the
    /// leaf index of the next.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.records + self.statements + self.opaque + self.void + self.without_payload
    }
}

/// The fold.
#[derive(Debug, Default)]
pub struct View {
    records: BTreeMap<RecordId, Arc<RecordView>>,
    about: BTreeMap<RecordId, About>,
    expiring: BTreeMap<(u64, RecordId), ()>,
    expired_until_ms: u64,
    counts: BTreeMap<LogId, FoldCounts>,
    contested: BTreeMap<LogId, Contested>,
    receipts: Receipts,
    orders: Orders,
}

/// From where on entries of a log are contested, and whether they count at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contested {
    /// Leaf index of the first.
    pub from: u64,
    /// Whether they still match, for review.
    pub counts: bool,
}

impl View {
    /// An empty view at a moment; records that expired before it never stand.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self { expired_until_ms: now_ms, ..Self::default() }
    }

    /// The same, under what a roster says about erasures.
    #[must_use]
    pub fn under(rules: ErasureRules, now_ms: u64) -> Self {
        Self { orders: Orders::new(rules), ..Self::new(now_ms) }
    }

    /// Counts of a log's entries by what became of them.
    #[must_use]
    pub fn counts(&self, log: &LogId) -> FoldCounts {
        self.counts.get(log).copied().unwrap_or_default()
    }

    /// A record by its id.
    #[must_use]
    pub fn record(&self, id: &RecordId) -> Option<&Arc<RecordView>> {
        self.records.get(id)
    }

    /// What a member stated last about the payloads of each log that it holds.
    pub fn receipts_of(&self, member: &MemberId) -> impl Iterator<Item = &StatedHolding> {
        self.receipts.of(member)
    }

    /// What each member stated last about the payloads of a log.
    pub fn receipts_about(&self, log: &LogId) -> impl Iterator<Item = (&MemberId, &StatedHolding)> {
        self.receipts.about(log)
    }

    /// All records in the order of their ids.
    pub fn records(&self) -> impl Iterator<Item = &Arc<RecordView>> {
        self.records.values()
    }

    /// Folds one entry in. The caller has verified that a signed root covers the leaf, and folds
    /// each (log, index) once; a payload that arrives later goes to [`Self::supply`].
    pub fn fold(
        &mut self,
        author: &Author,
        index: u64,
        leaf: &[u8],
        payload: &StoredPayload,
    ) -> Vec<ViewChange> {
        let id = leaf_hash(leaf);
        let known = match read_leaf(leaf, &author.log, index) {
            EntryLeaf::Known(known) => known,
            EntryLeaf::Opaque(_) => return self.count(author, |counts| &mut counts.opaque),
            EntryLeaf::Void(_) => return self.count(author, |counts| &mut counts.void),
        };
        match known.kind {
            Kind::Retraction => self.fold_retraction(author, &known, leaf, payload),
            Kind::Erasure => self.fold_erasure(author, &known, leaf, payload),
            _ => match read_stored(&known, leaf, payload) {
                Read::Payload(Payload::Record(record)) => self.fold_record(author, id, &known, record),
                Read::Payload(Payload::Opaque(_)) => self.count(author, |counts| &mut counts.opaque),
                Read::Payload(Payload::Void(_)) | Read::Damaged => {
                    self.count(author, |counts| &mut counts.void)
                }
                Read::Absent => {
                    self.count(author, |counts| &mut counts.without_payload);
                    self.fold_gone(author, id, &known, payload)
                }
            },
        }
    }

    /// Folds in an entry that is held ahead of its log's end. It is counted when the log reaches it and it is
    /// folded again, which changes nothing that stands: what is kept about a record is a set of entries.
    pub fn fold_ahead(
        &mut self,
        author: &Author,
        index: u64,
        leaf: &[u8],
        payload: &StoredPayload,
    ) -> Vec<ViewChange> {
        let before = self.counts(&author.log);
        let changes = self.fold(author, index, leaf, payload);
        self.counts.insert(author.log, before);
        changes
    }

    /// Folds in the payload of an entry that was folded without it. The caller does so once each.
    pub fn supply(
        &mut self,
        author: &Author,
        index: u64,
        leaf: &[u8],
        payload: &StoredPayload,
    ) -> Vec<ViewChange> {
        let field: fn(&mut FoldCounts) -> &mut u64 = match read_leaf(leaf, &author.log, index) {
            EntryLeaf::Known(known) if known.kind.acts_from_leaf() => |counts| &mut counts.statements,
            EntryLeaf::Known(_) => |counts| &mut counts.without_payload,
            // Neither counts, with or without a payload.
            EntryLeaf::Opaque(_) | EntryLeaf::Void(_) => return Vec::new(),
        };
        let counted = field(self.counts.entry(author.log).or_default());
        *counted = counted.saturating_sub(1);
        self.fold(author, index, leaf, payload)
    }

    /// Lets records expire whose time has come.
    pub fn expire(&mut self, now_ms: u64) -> Vec<ViewChange> {
        self.expired_until_ms = self.expired_until_ms.max(now_ms);
        let due: Vec<(u64, RecordId)> =
            self.expiring.keys().take_while(|(at_ms, _)| *at_ms <= now_ms).copied().collect();
        let mut changes = Vec::new();
        for key in due {
            self.expiring.remove(&key);
            changes.extend(self.derive(&key.1));
        }
        changes
    }

    /// Makes the entries of a log contested from an index on, in place of what was contested before. Reads
    /// every record once: forks are rare.
    pub fn contest(&mut self, log: LogId, contested: Contested) -> Vec<ViewChange> {
        let before = self.contested.insert(log, contested);
        if before == Some(contested) {
            return Vec::new();
        }
        let from = before.map_or(contested.from, |before| before.from.min(contested.from));
        let concerned = self.records.values().filter(|record| record.log == log && record.index >= from);
        let mut concerned: Vec<RecordId> = concerned.map(|record| record.id).collect();
        concerned.extend(self.orders.subjects_from(log, from));
        concerned.iter().flat_map(|id| self.derive(id)).collect()
    }

    fn count(&mut self, author: &Author, field: impl Fn(&mut FoldCounts) -> &mut u64) -> Vec<ViewChange> {
        *field(self.counts.entry(author.log).or_default()) += 1;
        Vec::new()
    }

    fn fold_record(&mut self, author: &Author, id: LeafHash, leaf: &Leaf, record: Record) -> Vec<ViewChange> {
        match record {
            Record::Content(content) => {
                self.count(author, |counts| &mut counts.records);
                if let Some(expires_s) = content.expires_s {
                    self.expiring.insert((expires_s.saturating_mul(1_000), id), ());
                }
                let fresh = RecordView::new(id, author, leaf, content);
                self.records.insert(id, Arc::new(fresh));
                self.derive_first(&id)
            }
            Record::Opinion(opinion) => {
                let Some(subject) = leaf.subject else {
                    return self.count(author, |counts| &mut counts.void);
                };
                self.count(author, |counts| &mut counts.statements);
                self.about.entry(subject).or_default().opine(
                    &author.member,
                    OpinionEntry { n: author.n, index: leaf.index, time_ms: leaf.time_ms, opinion },
                );
                self.derive(&subject)
            }
            Record::Receipt(receipt) => {
                self.receipts.fold(author, leaf, &receipt);
                self.count(author, |counts| &mut counts.statements)
            }
            // Both act from their leaves, which are folded elsewhere.
            Record::Retraction(_) | Record::Erasure(_) => self.count(author, |counts| &mut counts.void),
        }
    }

    /// A retraction acts from the leaf alone, whatever its payload says: members that have the payload
    /// and members that do not must come to the same view. The payload gives the reason only.
    fn fold_retraction(
        &mut self,
        author: &Author,
        leaf: &Leaf,
        bytes: &[u8],
        payload: &StoredPayload,
    ) -> Vec<ViewChange> {
        let Some(subject) = leaf.subject else { return self.count(author, |counts| &mut counts.void) };
        let stated = match read_stored(leaf, bytes, payload) {
            Read::Payload(Payload::Record(Record::Retraction(retraction))) => Some(retraction),
            _ => None,
        };
        self.count(author, |counts| &mut counts.statements);
        self.about.entry(subject).or_default().retract(
            &author.member,
            RetractionEntry { n: author.n, log: author.log, index: leaf.index, time_ms: leaf.time_ms, stated },
        );
        self.derive(&subject)
    }

    fn derive_first(&mut self, id: &RecordId) -> Vec<ViewChange> {
        let mut changes = self.derive(id);
        // Of a record that is new nothing has to be taken back.
        changes.drain(..changes.len().saturating_sub(1));
        if changes.is_empty()
            && let Some(record) = self.records.get(id)
        {
            changes.push(ViewChange { record: Arc::clone(record), index: IndexChange::Add });
        }
        for change in &mut changes {
            change.index = if change.record.stands() { IndexChange::Add } else { IndexChange::Keep };
        }
        changes
    }

    /// Derives a record's standing anew from everything known about it.
    fn derive(&mut self, id: &RecordId) -> Vec<ViewChange> {
        let Some(before) = self.records.get(id) else { return Vec::new() };
        let mut after = RecordView::clone(before);
        let none = About::default();
        self.about.get(id).unwrap_or(&none).apply(
            &mut after,
            self.contested.get(&before.log).copied(),
            self.expired_until_ms,
        );
        let order = self.orders.counting(id, &before.member, &self.contested).next();
        after.apply_order(order);
        if after == **before {
            return Vec::new();
        }
        let withdrawn = before.without_signals(&after);
        let index = match (before.stands(), after.stands()) {
            (true, false) => IndexChange::Remove,
            (false, true) => IndexChange::Add,
            _ => IndexChange::Keep,
        };
        let record = Arc::new(after);
        self.records.insert(*id, Arc::clone(&record));
        // What is taken out of the index must be named with its signals, which the record has no more.
        let index = if withdrawn.is_some() { IndexChange::Keep } else { index };
        let last = ViewChange { record, index };
        withdrawn.into_iter().chain([last]).collect()
    }
}

/// The record that this entry withdraws, if it is a retraction or an erasure by its form. Whether it counts
/// is decided by the fold: the record's own author can withdraw it, and an erasure authority.
///
/// Such entries may be folded ahead of all others. A record that is withdrawn then never stands for a
/// moment while a view is built, because the fold does not mind the order.
#[must_use]
pub fn withdrawn_record(author: &Author, index: u64, leaf: &[u8]) -> Option<RecordId> {
    match read_leaf(leaf, &author.log, index) {
        EntryLeaf::Known(leaf) if leaf.kind.acts_from_leaf() => leaf.subject,
        _ => None,
    }
}

/// The record that one entry states, as it stands as long as nobody has said anything about it:
/// active, or expired at `now_ms`. `None` for every other entry and where the payload is not here.
#[must_use]
pub fn read_record(
    author: &Author,
    index: u64,
    leaf: &[u8],
    payload: &StoredPayload,
    now_ms: u64,
) -> Option<RecordView> {
    let EntryLeaf::Known(known) = read_leaf(leaf, &author.log, index) else { return None };
    if known.kind.acts_from_leaf() || !matches!(payload, StoredPayload::Present { .. }) {
        return None;
    }
    let Read::Payload(Payload::Record(Record::Content(content))) = read_stored(&known, leaf, payload) else {
        return None;
    };
    let mut record = RecordView::new(leaf_hash(leaf), author, &known, content);
    About::default().apply(&mut record, None, now_ms);
    Some(record)
}

#[expect(clippy::large_enum_variant, reason = "lives for one call")]
enum Read {
    Payload(Payload),
    Absent,
    Damaged,
}

fn read_stored(leaf: &Leaf, bytes: &[u8], payload: &StoredPayload) -> Read {
    let Some((salt, padded)) = payload.bytes() else { return Read::Absent };
    if check_commitment(bytes, salt, padded).is_err() {
        return Read::Damaged;
    }
    match unpad(padded) {
        Ok(cbor) => Read::Payload(read_payload(leaf, cbor)),
        Err(_) => Read::Damaged,
    }
}
