//! What currently stands: a fold over the *set* of entries held, independent of arrival order.
//!
//! Every entry is folded once by [`View::fold`]. Statements about a record are kept under the
//! record's id whether or not the record itself has arrived, so an opinion or retraction that
//! overtakes its subject simply waits. A record's standing is computed from everything known about it
//! whenever it is asked for; it is not kept, so nothing can be patched wrongly.
//!
//! What a record states (its signals and labels) leaves with the change that its first fold makes
//! ([`ViewChange::stated`]) and is not kept here: a node holds tens of millions of records.
//!
//! Rules (DESIGN: Kinds, Matching; `SPEC.md` §7): a retraction or supersession counts only from the record's author, or
//! from the steward of one who left; it acts from the leaf alone and is final; of a member's opinions about one record the latest by
//! (log number, index) counts; an author's opinion of its own record does not count; an opinion whose
//! payload names another subject than its leaf is void and never masks an earlier valid one.
//!
//! Of a forked log both histories are folded (SPEC §3.6), each under a name of its own ([`Author::line`]): what is in one
//! of them only is contested.
//!
//! Which signals are searched by distance is one rule ([`reach()`]) for index and answers alike.
//!
//! Not here: which matches a member acts on ([`crate::policy`]) and the search index itself.

mod author;
mod erasure;
mod followed;
mod governance;
mod ids;
mod incidents;
mod leavers;
mod naming;
mod numbers;
mod orders;
mod reach;
mod reading;
mod receipts;
mod record;
mod records;
mod restoring;
mod rules;
mod rulings;
mod said;
mod statement;
mod superseding;
mod suspensions;
#[cfg(test)]
mod tests;

pub use author::{Author, kept_line};
pub use erasure::Withdrawal;
pub use followed::Followed;
pub use governance::News;
pub use ids::{Batch, Ids};
pub use incidents::{IncidentState, Step};
pub use leavers::Leavers;
pub use numbers::{BLOCK_ENTRIES, Block, Numbers};
pub use orders::{ErasureRules, Order, Orders};
pub use reach::{PDQ_ONES_MAX, PDQ_ONES_MIN, PDQ_QUALITY_MIN, Reach, reach};
pub use reading::{ReadEntry, comes_first, read_record, withdrawn_record};
pub use receipts::StatedHolding;
pub use record::{
    Gone, KnownRecord, OpinionCounts, RecordView, Standing, Stated, Statement, Status, StatusReason,
};

pub use restoring::Restorable;
pub use rules::Rules;
pub use rulings::{Ruled, RulingChange};
pub use suspensions::{SUSPENSION_MS, Suspension};

use crate::effect::{IndexChange, StoredPayload, ViewChange};
use erasure::Blank;
use hashpact_protocol::digest::{LeafHash, LogId, RecordId, leaf_hash};
use hashpact_protocol::leaf::{EntryLeaf, Kind, Leaf, read_leaf};
use hashpact_protocol::record::{Content, Payload, Record, Signal, SubjectRef};
use hashpact_protocol::roster::MemberId;
use incidents::Incidents;
use naming::Naming;
use reading::{Form, Read, stated_nothing};
use receipts::Receipts;
use records::{Known, Records};
use rulings::Rulings;
use said::Weights;
use statement::{About, OpinionEntry, RetractionEntry, Subject};
use std::collections::{BTreeMap, BTreeSet};
use superseding::Replaced;
use suspensions::Suspensions;

/// Counts of entries folded, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FoldCounts {
    /// Records (content).
    pub records: u64,
    /// Opinions, retractions and all other entries that state no media.
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
#[derive(Debug)]
pub struct View {
    records: Records,
    about: BTreeMap<RecordId, About>,
    /// By record number, in seconds; only of records that expire.
    expiries: BTreeMap<u64, u64>,
    /// The same turned round, without those that have expired.
    expiring: BTreeSet<(u64, u64)>,
    expired_until_ms: u64,
    counts: BTreeMap<LogId, FoldCounts>,
    /// By history.
    contested: BTreeMap<LogId, Contested>,
    receipts: Receipts,
    orders: Orders,
    /// By record number: of what nothing may be shown, and look-ups hold nothing any more.
    blank: BTreeMap<u64, Blank>,
    rules: Rules,
    /// By number of a record that supersedes: what it takes the place of.
    replaces: BTreeMap<u64, Replaced>,
    naming: Naming,
    rulings: Rulings,
    suspensions: Suspensions,
    incidents: Incidents,
    news: News,
}

/// From where on entries of a history are contested, and whether they count at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contested {
    /// Leaf index of the first.
    pub from: u64,
    /// Whether they still match, for review.
    pub counts: bool,
}

impl View {
    /// An empty view at a moment; records that expired before it never stand. A node, to which others send
    /// ids of their choice, uses [`Self::with_key`].
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self::with_key(now_ms, [0; 16])
    }

    /// An empty view whose tables are keyed with random bytes. The key changes no answer.
    #[must_use]
    pub fn with_key(now_ms: u64, key: [u8; 16]) -> Self {
        Self {
            records: Records::new(key),
            about: BTreeMap::new(),
            expiries: BTreeMap::new(),
            expiring: BTreeSet::new(),
            expired_until_ms: now_ms,
            counts: BTreeMap::new(),
            contested: BTreeMap::new(),
            receipts: Receipts::default(),
            orders: Orders::default(),
            blank: BTreeMap::new(),
            rules: Rules::default(),
            replaces: BTreeMap::new(),
            naming: Naming::default(),
            rulings: Rulings::default(),
            suspensions: Suspensions::default(),
            incidents: Incidents::default(),
            news: News::default(),
        }
    }

    /// The same, under what a roster says.
    #[must_use]
    pub fn under(rules: impl Into<Rules>, now_ms: u64, key: [u8; 16]) -> Self {
        let rules = rules.into();
        let orders = Orders::new(rules.erasure.clone(), rules.leavers.clone());
        Self { orders, rules, ..Self::with_key(now_ms, key) }
    }

    /// Counts of a log's entries by what became of them.
    #[must_use]
    pub fn counts(&self, log: &LogId) -> FoldCounts {
        self.counts.get(log).copied().unwrap_or_default()
    }

    /// A record by its id.
    #[must_use]
    pub fn record(&self, id: &RecordId) -> Option<KnownRecord> {
        self.records.find(id).map(|record| self.known(&record))
    }

    /// What a member stated last about the payloads of each log that it holds.
    pub fn receipts_of(&self, member: &MemberId) -> impl Iterator<Item = &StatedHolding> {
        self.receipts.of(member)
    }

    /// What each member stated last about the payloads of a log.
    pub fn receipts_about(&self, log: &LogId) -> impl Iterator<Item = (&MemberId, &StatedHolding)> {
        self.receipts.about(log)
    }

    /// All records in the order of (log, leaf index).
    pub fn records(&self) -> impl Iterator<Item = KnownRecord> {
        self.records.iter().map(|record| self.known(&record))
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
        let mut changes = Vec::new();
        self.take(author, ReadEntry::new(author, index, leaf, payload), &mut changes);
        changes
    }

    /// Folds in an entry of this author that was read before: [`Self::fold`] for whoever reads on other threads.
    pub fn take(
        &mut self,
        author: &Author,
        ReadEntry { id, form }: ReadEntry,
        changes: &mut Vec<ViewChange>,
    ) {
        let (leaf, read) = match form {
            Form::Known(leaf, read) => (leaf, read),
            Form::Opaque => return self.count(author, |counts| &mut counts.opaque),
            Form::Void => return self.count(author, |counts| &mut counts.void),
        };
        match leaf.kind {
            Kind::Retraction => changes.extend(self.fold_retraction(author, id, &leaf, read)),
            Kind::Erasure => changes.extend(self.fold_erasure(author, &leaf, read)),
            kind => {
                if kind == Kind::Supersede {
                    changes.extend(self.fold_supersession(author, id, &leaf));
                }
                self.fold_payload(author, id, &leaf, read, changes);
            }
        }
    }

    fn fold_payload(
        &mut self,
        author: &Author,
        id: LeafHash,
        leaf: &Leaf,
        read: Read,
        changes: &mut Vec<ViewChange>,
    ) {
        match read {
            Read::States(stated) => {
                self.count(author, |counts| &mut counts.records);
                self.state(author, id, leaf, stated, None, changes);
            }
            Read::Other(other) => match *other {
                Payload::Record(record) => self.fold_said(author, id, leaf, record, changes),
                Payload::Opaque(_) => self.count(author, |counts| &mut counts.opaque),
                Payload::Void(_) => self.count(author, |counts| &mut counts.void),
            },
            Read::Damaged => self.count(author, |counts| &mut counts.void),
            Read::Absent(gone) => {
                self.count(author, |counts| &mut counts.without_payload);
                // Of a record whose payload is gone for good only its leaf is left to show.
                if let Some(gone) = gone.filter(|_| leaf.kind.is_statement()) {
                    self.state(author, id, leaf, stated_nothing(leaf), Some(Blank::Gone(gone)), changes);
                }
            }
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
        let before = self.counts(&author.line);
        let changes = self.fold(author, index, leaf, payload);
        self.counts.insert(author.line, before);
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
            EntryLeaf::Known(known) if known.kind.acts_from_leaf() && !known.kind.is_statement() => {
                |counts| &mut counts.statements
            }
            EntryLeaf::Known(_) => |counts| &mut counts.without_payload,
            // Neither counts, with or without a payload.
            EntryLeaf::Opaque(_) | EntryLeaf::Void(_) => return Vec::new(),
        };
        if self.records.find(&leaf_hash(leaf)).is_some_and(|held| held.author.line == author.line) {
            // Its payload was lost from the disk after it had been folded, and is back.
            return Vec::new();
        }
        let counted = field(self.counts.entry(author.line).or_default());
        *counted = counted.saturating_sub(1);
        self.fold(author, index, leaf, payload)
    }

    /// Folds in a record that was damaged on disk when it was folded, and counted as void for it. One that is known is
    /// left alone; what else was damaged (an opinion, an entry that was taken for another kind) is seen at the next start.
    pub fn mend(
        &mut self,
        author: &Author,
        index: u64,
        leaf: &[u8],
        payload: &StoredPayload,
    ) -> Vec<ViewChange> {
        let is_lost = self.records.find(&leaf_hash(leaf)).is_none()
            && read_record(author, index, leaf, payload, self.expired_until_ms).is_some();
        let counts = self.counts.entry(author.line).or_default();
        if !is_lost || counts.void == 0 {
            return Vec::new();
        }
        counts.void -= 1;
        self.fold(author, index, leaf, payload)
    }

    /// Lets records expire whose time has come.
    pub fn expire(&mut self, now_ms: u64) -> Vec<ViewChange> {
        let before_ms = self.expired_until_ms;
        let now_ms = before_ms.max(now_ms);
        let mut changes = self.suspend(self.suspensions.all().to_vec(), now_ms);
        let told: BTreeSet<RecordId> = changes.iter().map(|change| change.record.id).collect();
        let is_due = |(expires_s, _): &&(u64, u64)| expires_s.saturating_mul(1_000) <= now_ms;
        let due: Vec<(u64, u64)> = self.expiring.iter().take_while(is_due).copied().collect();
        for key in due {
            self.expiring.remove(&key);
            let Some(record) = self.records.get(key.1).filter(|record| !told.contains(&record.id)) else {
                continue;
            };
            let contested = self.contested_of(record.author);
            let before = self.standing_when(&record, contested, &self.weights_at(before_ms));
            changes.extend(self.change(&record, &before));
        }
        self.blanked(changes)
    }

    /// Makes the entries of one history of a log contested from an index on, in place of what was contested before.
    /// Reads every record of it once: forks are rare.
    pub fn contest(&mut self, author: &Author, contested: Contested) -> Vec<ViewChange> {
        let (line, held) = (author.line, self.contested_of(author));
        if held == Some(contested) {
            return Vec::new();
        }
        let from = held.map_or(contested.from, |held| held.from.min(contested.from));
        // What the log says about others has another weight from now on, so how these stood is asked before.
        let said = self.about.iter().filter(|(_, about)| about.is_said_from(line, from));
        let said = said.flat_map(|(id, about)| std::iter::once(*id).chain(about.superseding()));
        let signals = self.rulings.of_member(&author.member);
        let signals: Vec<(Signal, Option<Ruled>)> =
            signals.into_iter().map(|signal| (signal.clone(), self.ruled(&signal))).collect();
        let ordered = self.orders.subjects_from(line, from).chain(said);
        let ordered = ordered.filter_map(|id| self.records.find(&id));
        let ordered: BTreeMap<u64, Standing> =
            ordered.map(|record| (record.number, self.standing(&record))).collect();
        self.contested.insert(line, contested);
        let of_line = self.records.of_line(line, from).filter(|record| !ordered.contains_key(&record.number));
        let changes = of_line.filter_map(|record| {
            let before = self.standing_when(&record, held, &self.weights());
            self.change(&record, &before)
        });
        let subjects = ordered.iter();
        let changes = changes
            .chain(subjects.filter_map(|(number, before)| self.change(&self.records.get(*number)?, before)))
            .collect();
        let mut changes = self.blanked(changes);
        for (signal, before) in signals {
            self.tell_ruling(signal, &before);
        }
        // Votes of the history weigh otherwise, too.
        changes.extend(self.decide());
        changes
    }

    /// From where on a history is contested: one that is kept beside another is from its beginning, until it is said
    /// otherwise.
    fn contested_of(&self, author: &Author) -> Option<Contested> {
        let is_beside = author.is_beside().then_some(Contested { from: 0, counts: true });
        self.contested.get(&author.line).copied().or(is_beside)
    }

    fn count(&mut self, author: &Author, field: impl Fn(&mut FoldCounts) -> &mut u64) {
        *field(self.counts.entry(author.line).or_default()) += 1;
    }

    /// Folds in what is said about others.
    fn fold_said(
        &mut self,
        author: &Author,
        id: LeafHash,
        leaf: &Leaf,
        record: Record,
        changes: &mut Vec<ViewChange>,
    ) {
        match record {
            Record::Opinion(opinion) => {
                let Some(subject) = leaf.subject else {
                    return self.count(author, |counts| &mut counts.void);
                };
                let entry = OpinionEntry::new(author, leaf, id, opinion);
                changes.extend(self.say(subject, |about| about.opine(&author.member, entry)));
            }
            // Who signs two histories states nothing about others that one could build on.
            Record::Receipt(_) if author.is_beside() => {}
            Record::Receipt(receipt) => self.receipts.fold(author, leaf, &receipt),
            Record::Ruling(ruling) => self.fold_ruling(author, leaf, id, &ruling),
            Record::Incident(incident) => self.fold_incident(author, leaf, id, &incident),
            Record::Suspension(vote) => changes.extend(self.fold_vote(author, leaf, id, &vote)),
            // Records are stated; the others act from their leaves, which are folded elsewhere.
            Record::Content(_) | Record::Supersede(_) | Record::Retraction(_) | Record::Erasure(_) => {
                return self.count(author, |counts| &mut counts.void);
            }
        }
        self.count(author, |counts| &mut counts.statements);
    }

    /// Takes a record with what it states, which is nothing if its payload is gone. One leaf may stand in several
    /// histories of a forked log: it is one record, of the followed one if that has it.
    fn state(
        &mut self,
        author: &Author,
        id: RecordId,
        leaf: &Leaf,
        mut stated: Box<Stated>,
        blank: Option<Blank>,
        changes: &mut Vec<ViewChange>,
    ) {
        let elsewhere = self.records.find_elsewhere(&id, author);
        if author.is_beside() && elsewhere.is_some() {
            return;
        }
        let left = elsewhere.and_then(|number| self.leave(number));
        let number = self.records.insert(author, leaf.index, id);
        if let Some(subject) = leaf.subject {
            if leaf.kind == Kind::Supersede {
                self.replaces.insert(number, Replaced { subject, named: stated.content.subject });
            }
            self.name(number, subject, stated.content.subject);
        }
        changes.extend(self.is_named(id, SubjectRef { log: author.log, index: leaf.index }));
        changes.extend(left);
        match (blank, stated.content.expires_s) {
            (Some(blank), _) => {
                self.blank.insert(number, blank);
                self.expiries.remove(&number);
            }
            (None, expires_s) => {
                self.blank.remove(&number);
                if let Some(expires_s) = expires_s {
                    self.expiries.insert(number, expires_s);
                    self.expiring.insert((expires_s, number));
                }
            }
        }
        let known = self.known(&Known { number, id, author, index: leaf.index });
        if known.is_blank() {
            self.blank.entry(number).or_insert(Blank::Sealed);
            stated.content = Content::empty();
        }
        let index = if known.stands() { IndexChange::Add } else { IndexChange::Keep };
        changes.push(ViewChange { record: known, stated: Some(stated), index });
    }

    /// Lets go of a record of a kept history that the followed one has as well. Whoever knows it hears first that it does
    /// not stand there.
    fn leave(&mut self, number: u64) -> Option<ViewChange> {
        let record = self.known(&self.records.get(number)?);
        let index = if record.stands() { IndexChange::Remove } else { IndexChange::Keep };
        self.records.remove(number);
        self.expiries.remove(&number);
        self.blank.remove(&number);
        if let Some(Replaced { subject, .. }) = self.replaces.remove(&number) {
            self.naming.forget(number, &subject);
        }
        let reason = Some(StatusReason::ForkedFrom { index: record.index });
        let standing = Standing { status: Status::Disowned, reason, ..record.standing };
        Some(ViewChange { record: KnownRecord { standing, ..record }, stated: None, index })
    }

    /// A retraction acts from the leaf alone, whatever its payload says: members that have the payload
    /// and members that do not must come to the same view. The payload gives the reason only.
    fn fold_retraction(&mut self, author: &Author, id: LeafHash, leaf: &Leaf, read: Read) -> Vec<ViewChange> {
        let Some(subject) = leaf.subject else {
            self.count(author, |counts| &mut counts.void);
            return Vec::new();
        };
        let stated = match read {
            Read::Other(other) => match *other {
                Payload::Record(Record::Retraction(retraction)) => Some(retraction),
                _ => None,
            },
            _ => None,
        };
        self.count(author, |counts| &mut counts.statements);
        let entry = RetractionEntry {
            n: author.n,
            log: author.log,
            line: author.line,
            index: leaf.index,
            id,
            time_ms: leaf.time_ms,
            stated,
        };
        self.say(subject, |about| about.retract(&author.member, entry))
    }

    /// Takes a statement about a record, whether or not the record is here.
    fn say(&mut self, subject: RecordId, statement: impl FnOnce(&mut About)) -> Vec<ViewChange> {
        self.learn(subject, |view| statement(view.about.entry(subject).or_default()))
    }

    /// Takes up anything about a record, whether or not the record is here.
    fn learn(&mut self, subject: RecordId, news: impl FnOnce(&mut Self)) -> Vec<ViewChange> {
        let before = self.records.find(&subject).map(|record| self.standing(&record));
        news(self);
        let (Some(before), Some(record)) = (before, self.records.find(&subject)) else { return Vec::new() };
        let changes = self.change(&record, &before).into_iter().collect();
        self.blanked(changes)
    }

    fn known(&self, record: &Known<'_>) -> KnownRecord {
        KnownRecord {
            id: record.id,
            author: record.author.clone(),
            index: record.index,
            standing: self.standing(record),
        }
    }

    fn standing(&self, record: &Known<'_>) -> Standing {
        let contested = self.contested_of(record.author);
        self.standing_when(record, contested, &self.weights())
    }

    /// How a record stands if so much of its log is contested and entries weigh so.
    fn standing_when(
        &self,
        record: &Known<'_>,
        contested: Option<Contested>,
        weights: &Weights<'_>,
    ) -> Standing {
        let about = self.about.get(&record.id);
        let subject = Subject {
            member: &record.author.member,
            place: record.place(),
            expires_s: self.expiries.get(&record.number).copied(),
            contested: contested.filter(|contested| record.index >= contested.from),
            superseded: self.superseded(record, about, weights),
            void: self.naming.another(record.number),
            lapsed: Self::lapsed_reason(weights, record.author),
            suspended: Self::suspended_reason(weights, record.author, record.index),
        };
        let mut standing = match about {
            Some(about) => about.standing(&subject, weights),
            None => subject.standing(weights.now_ms),
        };
        let order = self.orders.deciding(&record.id, &record.author.member, &self.contested);
        standing.apply_order(self.blank.get(&record.number), order, &record.place());
        standing
    }

    /// What is to be told about a record that stood like this `before`.
    fn change(&self, record: &Known<'_>, before: &Standing) -> Option<ViewChange> {
        let after = self.known(record);
        if after.standing == *before {
            return None;
        }
        let index = match (before.status.stands(), after.stands()) {
            (true, false) => IndexChange::Remove,
            (false, true) => IndexChange::Add,
            _ => IndexChange::Keep,
        };
        Some(ViewChange { record: after, stated: None, index })
    }
}
