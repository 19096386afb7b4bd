//! Orders to seal and to destroy, from the view to the disk and back.

use super::Engine;
use crate::effect::{
    Effect, EntryRef, EraseBatch, EraseStep, Fact, FactWrite, FoundSubject, PayloadState, StoredEntry,
    ViewChange,
};
use crate::event::ErasedEntry;
use crate::follow::named_author;
use crate::limits::FOUND_SUBJECTS_MAX;
use crate::view::{Author, Status, Withdrawal, withdrawn_record};
use hashpact_protocol::digest::{LogId, RecordId, leaf_hash};
use hashpact_protocol::leaf::{Kind, marked_kind};
use std::collections::{BTreeMap, BTreeSet};

impl Engine {
    /// Takes up at the start what is on disk: what waits goes on waiting, and what lapsed meanwhile, because
    /// the roster disowned the order, is given back.
    pub(super) fn load_erasures(&mut self, erased: &[FoundSubject], now_ms: u64) {
        let mut steps = Vec::new();
        let mut known = BTreeSet::new();
        for found in erased {
            let id = leaf_hash(&found.leaf);
            known.insert(id);
            self.erasing.count(None, found.state);
            let author = named_author(&found.leaf, &self.members);
            let is_wanted = author.is_some_and(|author| self.view.withdrawals(&id, author).next().is_none());
            match (found.state, author) {
                (PayloadState::Sealed | PayloadState::Erased, Some(_)) if is_wanted => {
                    steps.push((id, EraseStep::Restore));
                }
                (PayloadState::Sealed, Some(author)) => self.erasing.schedule(id, author, &self.view),
                _ => {}
            }
        }
        let subjects = self.view.orders().subjects().filter(|id| !known.contains(*id));
        let subjects: Vec<RecordId> = subjects.copied().collect();
        let withdrawn: Vec<EntryRef> = self.view.withdrawing_entries().collect();
        self.note_seen(withdrawn, now_ms);
        for record in self.view.retracted_or_expired() {
            self.erasing.schedule(record.id, &record.author.member, &self.view);
        }
        self.find_subjects(&subjects);
        self.erase(steps, false);
        self.tell_erasures();
    }

    /// Notes the first sight of these orders and retractions, on disk too.
    fn note_seen(&mut self, entries: Vec<EntryRef>, now_ms: u64) {
        let mut fresh: BTreeMap<LogId, Vec<u64>> = BTreeMap::new();
        for entry in entries {
            if self.erasing.see(entry, now_ms) {
                fresh.entry(entry.log).or_default().push(entry.index);
            }
        }
        for (log, indexes) in fresh {
            let id = self.out.next_id();
            let fact = Fact::Seen { indexes, at_ms: now_ms };
            self.facts_writing.insert(id);
            self.out.push(Effect::WriteFact(FactWrite { id, log, generation: None, fact }));
        }
    }

    /// Entries were folded: of orders among them the subjects are looked for.
    pub(super) fn note_entries(&mut self, author: &Author, entries: &[(u64, StoredEntry)], now_ms: u64) {
        let (mut seen, mut subjects) = (Vec::new(), Vec::new());
        for (index, entry) in entries {
            let state = entry.payload.state();
            if !author.is_beside() {
                self.erasing.count(None, state);
            }
            if matches!(state, PayloadState::Erased | PayloadState::Held) {
                // It was to be sealed, and came as erased meanwhile.
                self.erasing.forget(&leaf_hash(&entry.leaf));
            }
            if marked_kind(&entry.leaf) == Some(Kind::Supersede) {
                continue;
            }
            let Some(subject) = withdrawn_record(author, *index, &entry.leaf) else { continue };
            seen.push(EntryRef { log: author.log, index: *index });
            subjects.push(subject);
        }
        self.note_seen(seen, now_ms);
        subjects.retain(|subject| self.view.orders().is_subject(subject));
        self.find_subjects(&subjects);
        self.tell_erasures();
    }

    fn find_subjects(&mut self, subjects: &[RecordId]) {
        for ids in subjects.chunks(FOUND_SUBJECTS_MAX) {
            self.out.push(Effect::FindSubjects { ids: ids.to_vec() });
        }
    }

    /// Payloads of records that do not stand any more are destroyed after the retention.
    pub(super) fn note_changes(&mut self, changes: &[ViewChange]) {
        for change in changes {
            let record = &change.record;
            if matches!(record.status(), Status::Retracted | Status::Expired) {
                self.erasing.schedule(record.id, &record.author.member, &self.view);
            }
        }
    }

    /// Where subjects of orders stand: those about which an order counts are sealed; where none counts any
    /// more, the payload is given back.
    pub(super) fn subjects_found(&mut self, found: &[FoundSubject]) {
        let mut steps = Vec::new();
        for subject in found {
            let id = leaf_hash(&subject.leaf);
            let Some(author) = named_author(&subject.leaf, &self.members) else { continue };
            let order = self.view.withdrawals(&id, author).find_map(|withdrawal| match withdrawal {
                Withdrawal::Ordered { by, .. } => Some(by),
                Withdrawal::Retracted { .. } | Withdrawal::Expired { .. } => None,
            });
            match (order, subject.state) {
                (Some(by), PayloadState::Present | PayloadState::NotHere) => {
                    steps.push((id, EraseStep::Seal { by }));
                    self.erasing.schedule(id, author, &self.view);
                }
                (Some(_), PayloadState::Sealed) => self.erasing.schedule(id, author, &self.view),
                (None, PayloadState::Sealed) => {
                    steps.push((id, EraseStep::Restore));
                    self.erasing.schedule(id, author, &self.view);
                }
                // The order lapsed before it sealed anything on disk, or the start folded it before it was known to be
                // disowned: the view has let go of the content.
                (None, PayloadState::Present) if self.is_sealed(&id) => steps.push((id, EraseStep::Restore)),
                _ => {}
            }
        }
        self.erase(steps, false);
        self.tell_erasures();
    }

    fn is_sealed(&self, id: &RecordId) -> bool {
        self.view.record(id).is_some_and(|record| record.status() == Status::Sealed)
    }

    fn erase(&mut self, mut steps: Vec<(RecordId, EraseStep)>, destroys: bool) {
        // A leaf that was copied is found twice, and each step is for all its places.
        steps.sort_by_key(|(id, _)| *id);
        steps.dedup_by_key(|(id, _)| *id);
        if !steps.is_empty() {
            let id = self.out.next_id();
            self.erasing.started(id, destroys);
            self.out.push(Effect::Erase(EraseBatch { id, steps }));
        }
    }

    /// Destroys what is due.
    pub(super) fn erase_due(&mut self, now_ms: u64) {
        let round = self.erasing.begin_round(&self.view, now_ms);
        let steps = round.into_iter().map(|(id, by)| (id, EraseStep::Destroy { by })).collect();
        self.erase(steps, true);
    }

    /// Orders of a history of a log lapse, or come back, with what is known about its fork.
    pub(super) fn reconsider_orders(&mut self, line: LogId) {
        let subjects: Vec<RecordId> = self.view.orders().subjects_from(line, 0).collect();
        self.find_subjects(&subjects);
    }

    /// Something else stands beside these entries now.
    pub(super) fn erased(&mut self, changed: &[ErasedEntry]) {
        let mut changes = Vec::new();
        let mut logs: Vec<Author> = Vec::new();
        for ErasedEntry { at, before, entry } in changed {
            let Some(author) = self.author_of(&at.log) else { continue };
            let state = entry.payload.state();
            if !author.is_beside() {
                self.erasing.count(Some(*before), state);
            }
            if let Some(log) = self.logs.get_mut(&at.log) {
                log.note_erased(at.index, *before, state);
            }
            if matches!(state, PayloadState::Erased | PayloadState::Held) {
                self.erasing.forget(&leaf_hash(&entry.leaf));
            }
            changes.extend(self.view.replace(&author, at.index, &entry.leaf, &entry.payload));
            if !logs.contains(&author) {
                logs.push(author);
            }
        }
        self.out.view(changes);
        for author in logs {
            self.tell_folded(&author);
        }
        self.tell_erasures();
    }

    fn tell_erasures(&mut self) {
        if let Some(counts) = self.erasing.news() {
            self.out.push(Effect::Erasures(counts));
        }
    }
}
