//! Supersessions: which of several counts, and what becomes of the others.
//!
//! The leaf alone acts. What takes the place of a record is a record like any other; of rivals by one member the one
//! that is last in its logs stays. Of a member who left, its stewards supersede as well, and theirs come after its own.
//!
//! SPEC §7.5, §8.6.

use super::records::Known;
use super::said::{Said, Weights};
use super::statement::About;
use super::{Author, Standing, StatusReason, View};
use crate::effect::ViewChange;
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::leaf::Leaf;
use hashpact_protocol::record::SubjectRef;
use hashpact_protocol::roster::{LogPlace, MemberId};

/// What a record takes the place of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replaced {
    /// As its leaf names it.
    pub(super) subject: RecordId,
    /// As its payload does, if that is here.
    pub(super) named: Option<SubjectRef>,
}

impl View {
    /// The record that this one takes the place of, if it is a supersession, whether or not it counts as one.
    #[must_use]
    pub fn supersedes(&self, id: &RecordId) -> Option<RecordId> {
        Some(self.replaces.get(&self.records.find(id)?.number)?.subject)
    }

    /// A supersession acts from the leaf alone; what it states instead is a record like any other.
    pub(super) fn fold_supersession(
        &mut self,
        author: &Author,
        id: RecordId,
        leaf: &Leaf,
    ) -> Vec<ViewChange> {
        let Some(subject) = leaf.subject else { return Vec::new() };
        let about = self.about.entry(subject).or_default();
        let rivals: Vec<RecordId> = about.superseding().collect();
        let concerned = rivals.into_iter().chain([subject]).filter_map(|id| self.records.find(&id));
        let before: Vec<(u64, Standing)> =
            concerned.map(|record| (record.number, self.standing(&record))).collect();
        let said = Said::new(author, leaf, id);
        self.about.entry(subject).or_default().supersede(&author.member, said);
        let changes = before.iter().filter_map(|(number, before)| {
            let record = self.records.get(*number)?;
            self.change(&record, before)
        });
        let changes = changes.collect();
        self.blanked(changes)
    }

    /// The supersession that took the place of a record: one of it, or one that prevails over it of what it takes the
    /// place of itself.
    pub(super) fn superseded<'a>(
        &'a self,
        record: &Known<'a>,
        about: Option<&'a About>,
        weights: &Weights<'a>,
    ) -> Option<StatusReason> {
        let own = about.and_then(|about| about.superseded_by(&record.author.member, weights));
        let (member, found) = own.or_else(|| self.rival(record, weights))?;
        Some(StatusReason::SupersededBy {
            member: member.clone(),
            time_ms: found.time_ms,
            entry: found.entry(),
            record: found.id,
        })
    }

    /// A later one by the same member; or, if both are judged as made by a member who left, the one that counts.
    fn rival<'a>(&'a self, record: &Known<'a>, weights: &Weights<'a>) -> Option<(&'a MemberId, &'a Said)> {
        let member = &record.author.member;
        let place = LogPlace { n: record.author.n, index: record.index };
        let Replaced { subject, named } = self.replaces.get(&record.number)?;
        let about = self.about.get(subject)?;
        let later = about.last_by(member, weights).filter(|last| last.rank() > (place, record.id));
        if let Some(later) = later {
            return Some((member, later));
        }
        let leaver = weights.leavers.of_log(&named.as_ref()?.log)?;
        if !weights.leavers.acts_for(leaver, member, place) {
            return None;
        }
        about.superseded_by(leaver, weights).filter(|(_, prevailing)| prevailing.id != record.id)
    }

    /// Why a record does not count if its author left and its records lapse.
    pub(super) fn lapsed_reason(weights: &Weights<'_>, author: &Author) -> Option<StatusReason> {
        let roster_version = weights.leavers.lapsed_since(&author.member)?;
        Some(StatusReason::LapsedWith { member: author.member.clone(), roster_version })
    }
}
