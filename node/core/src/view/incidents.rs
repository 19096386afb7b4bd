//! Content incidents: which are open, who declared and who closed them.
//!
//! Only entries of declarers are taken (SPEC §8.6). The earliest declaration that counts is the incident's, and the
//! earliest closure that counts ends it for good (SPEC §7.13).

use super::said::{Said, Weights, insert};
use crate::effect::EntryRef;
use crate::limits::STATEMENTS_PER_MEMBER_MAX;
use hashpact_protocol::record::{ClosingReason, Incident, IncidentClass, IncidentId, IncidentStep};
use hashpact_protocol::roster::MemberId;
use std::collections::BTreeMap;

/// One incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentState {
    /// What it is called.
    pub id: IncidentId,
    /// What sort it is.
    pub class: IncidentClass,
    /// Who declared it.
    pub declared: Step,
    /// Who closed it, and why.
    pub closed: Option<(Step, ClosingReason)>,
}

/// Who did something to an incident, when and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The member.
    pub member: MemberId,
    /// Claimed time.
    pub time_ms: u64,
    /// The entry.
    pub entry: EntryRef,
}

#[derive(Debug, Clone)]
struct Word {
    said: Said,
    step: IncidentStep,
    class: IncidentClass,
    closing: ClosingReason,
}

/// What declarers state, by incident and declarer.
#[derive(Debug, Default)]
pub(super) struct Incidents(BTreeMap<IncidentId, BTreeMap<MemberId, Vec<Word>>>);

impl Incidents {
    /// Takes what a declarer states. Whether it is news.
    pub(super) fn add(&mut self, member: &MemberId, said: Said, incident: &Incident) -> bool {
        let words = self.0.entry(incident.id).or_default().entry(member.clone()).or_default();
        let (class, closing) = (incident.class.get(), incident.closing.get());
        let word = Word { said, step: incident.step, class, closing };
        insert(words, word, |word| &word.said, STATEMENTS_PER_MEMBER_MAX)
    }

    /// An incident that was declared.
    pub(super) fn get(&self, id: &IncidentId, weights: &Weights<'_>) -> Option<IncidentState> {
        let words = self.0.get(id)?.iter();
        let words: Vec<(&MemberId, &Word)> = words
            .flat_map(|(member, words)| words.iter().map(move |word| (member, word)))
            .filter(|(member, word)| weights.counts(member, &word.said))
            .collect();
        let first = |step: IncidentStep| {
            let of_step = words.iter().filter(move |(_, word)| word.step == step);
            of_step.min_by_key(|(member, word)| (word.said.time_ms, *member, word.said.rank()))
        };
        let step = |(member, word): &(&MemberId, &Word)| Step {
            member: (*member).clone(),
            time_ms: word.said.time_ms,
            entry: word.said.entry(),
        };
        let declared = first(IncidentStep::Declared)?;
        let closed = first(IncidentStep::Closed).map(|closed| (step(closed), closed.1.closing));
        Some(IncidentState { id: *id, class: declared.1.class, declared: step(declared), closed })
    }

    /// All that were declared, by id.
    pub(super) fn all(&self, weights: &Weights<'_>) -> Vec<IncidentState> {
        self.0.keys().filter_map(|id| self.get(id, weights)).collect()
    }
}
