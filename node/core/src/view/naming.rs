//! Whether the entry that a record's payload names is the one that its leaf names (SPEC §7.2).
//!
//! The leaf names an entry by its hash, the payload by its place. A record of which these are two entries is void. Of one
//! whose subject is no record here nothing can be said, and it stands; most are settled when they are folded, and
//! nothing is kept of them.

use super::View;
use super::record::{Standing, StatusReason};
use crate::effect::{EntryRef, ViewChange};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::SubjectRef;
use std::collections::BTreeMap;

/// What is not settled, and what was settled against a record.
#[derive(Debug, Default)]
pub(super) struct Naming {
    /// By the subject in the leaf, which is not here yet: numbers of records, each with the place that its payload names.
    open: BTreeMap<RecordId, BTreeMap<u64, SubjectRef>>,
    /// By number of a record: the two entries.
    void: BTreeMap<u64, (RecordId, SubjectRef)>,
}

impl Naming {
    /// What another entry a record's payload names than its leaf.
    pub(super) fn another(&self, number: u64) -> Option<StatusReason> {
        let (subject, named) = self.void.get(&number)?;
        let named = EntryRef { log: named.log, index: named.index };
        Some(StatusReason::NamesAnother { subject: *subject, named })
    }

    /// Forgets what a record's payload names.
    pub(super) fn forget(&mut self, number: u64, subject: &RecordId) {
        self.void.remove(&number);
        if let Some(open) = self.open.get_mut(subject) {
            open.remove(&number);
            if open.is_empty() {
                self.open.remove(subject);
            }
        }
    }
}

impl View {
    /// Takes what a record's payload names, if it is here.
    pub(super) fn name(&mut self, number: u64, subject: RecordId, named: Option<SubjectRef>) {
        self.naming.forget(number, &subject);
        let Some(named) = named else { return };
        match self.records.find(&subject).map(|record| record.place()) {
            Some(place) if place == named => {}
            Some(_) => {
                self.naming.void.insert(number, (subject, named));
            }
            None => {
                self.naming.open.entry(subject).or_default().insert(number, named);
            }
        }
    }

    /// Takes up that a record is here: which of those that name it mean another place.
    pub(super) fn is_named(&mut self, id: RecordId, place: SubjectRef) -> Vec<ViewChange> {
        if self.naming.open.is_empty() {
            return Vec::new();
        }
        let mut open = self.naming.open.remove(&id).unwrap_or_default();
        open.retain(|_, named| *named != place);
        let record = |number: &u64| self.records.get(*number);
        let before: Vec<(u64, Standing)> =
            open.keys().filter_map(|number| Some((*number, self.standing(&record(number)?)))).collect();
        self.naming.void.extend(open.into_iter().map(|(number, named)| (number, (id, named))));
        let changes =
            before.iter().filter_map(|(number, before)| self.change(&self.records.get(*number)?, before));
        let changes = changes.collect();
        self.blanked(changes)
    }
}
