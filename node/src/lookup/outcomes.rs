//! What records come to by themselves: as if their own signals were looked up, value for value.
//!
//! The strongest that the record can do to a query: no distance, and the record's own quality. For the feed of changes, never
//! for a look-up. Rows are read a little at a time, so that nobody waits for them.

use super::judging::{Judges, Known, equals, perceptual, signals_of};
use super::local::{FloodState, Local};
use super::news::RecordNews;
use super::rows::{Held, Rows};
use super::{Lookup, Question, read};
use hashpact_core::policy::{
    Flooded, HarmLabels, List, NEGATIVE_MEMBERS_MIN, Negative, Outcome, Way, independent_sources,
};
use hashpact_core::view::{KnownRecord, Standing, Stated};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::record::{IncidentId, Label, Review, Signal};
use hashpact_protocol::roster::MemberId;
use std::sync::Arc;

/// Records judged under one lock of the rows.
const RECORDS_PER_LOCK: usize = 256;

/// What one record comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnOutcomes {
    /// The outcome, and the list that decides; none if it does not count.
    pub verdict: Option<(Outcome, Arc<List>)>,
    /// The lists that count it.
    pub lists: Vec<(Arc<List>, Outcome)>,
}

/// A record's change, judged.
#[derive(Debug)]
pub struct Judgement {
    /// What it came to before.
    pub before: OwnOutcomes,
    /// What it comes to.
    pub after: OwnOutcomes,
}

/// One record, as it was: what others come to depends on it.
pub(super) struct Earlier<'a> {
    pub(super) number: u64,
    pub(super) standing: &'a Standing,
    pub(super) signals: &'a [Signal],
}

/// What is judged of one record.
pub(super) struct Own<'a> {
    pub(super) number: u64,
    pub(super) member: &'a MemberId,
    pub(super) line: LogId,
    pub(super) index: u64,
    pub(super) labels: HarmLabels,
    pub(super) review: Label<Review>,
    pub(super) stated_ms: u64,
    pub(super) signals: Vec<Signal>,
    pub(super) hash_set: Option<&'a str>,
    pub(super) incident: Option<IncidentId>,
    pub(super) is_registration: bool,
}

impl<'a> Own<'a> {
    pub(super) fn row(rows: &'a Rows, record: &Held<'a>) -> Self {
        // What the panel cleared does not match.
        let in_part = rows.in_part(record).map(|part| part.stated.content.signals);
        Self {
            number: record.number,
            member: &record.author.member,
            line: record.author.line,
            index: record.index,
            labels: HarmLabels::from(record.description.labels()),
            review: record.description.review,
            stated_ms: record.time_ms(),
            signals: in_part.unwrap_or_else(|| record.signals().collect()),
            hash_set: record.description.hash_set(),
            incident: record.description.incident(),
            is_registration: record.description.is_registration(),
        }
    }

    fn stated(number: u64, known: &'a KnownRecord, stated: &'a Stated) -> Self {
        let handling = stated.content.handling.as_deref();
        Self {
            number,
            member: &known.author.member,
            line: known.author.line,
            index: known.index,
            labels: HarmLabels::from(&stated.content.labels),
            review: stated.content.review,
            stated_ms: stated.time_ms,
            signals: stated.content.signals.clone(),
            hash_set: handling.and_then(|handling| Some(handling.hash_set.as_ref()?.as_str())),
            incident: handling.and_then(|handling| handling.incident),
            is_registration: stated.content.is_registration(),
        }
    }
}

impl Judges<'_> {
    /// What one record comes to if it stands so.
    pub(super) fn own(
        &self,
        rows: &Rows,
        own: &Own<'_>,
        standing: &Standing,
        flooded: Option<Flooded>,
        earlier: Option<&Earlier<'_>>,
    ) -> OwnOutcomes {
        let Some(kind) = own.signals.iter().map(Signal::kind).min() else { return OwnOutcomes::default() };
        if !standing.status.stands() && flooded != Some(Flooded::Withdrawn) {
            return OwnOutcomes::default();
        }
        let known = Known {
            member: own.member,
            status: standing.status,
            labels: own.labels,
            review: own.review,
            standing: Some(standing),
            is_settled: standing.is_settled(),
            stated_ms: own.stated_ms,
            hash_set: own.hash_set,
            incident: own.incident,
            is_registration: own.is_registration,
        };
        let way = |signal: &Signal| Way { signal: signal.kind(), distance: 0, quality: signal.quality() };
        let ways: Vec<Way> = own.signals.iter().map(way).collect();
        let carried = || signals_of(own.signals.iter().cloned(), kind);
        let sources = || match earlier {
            None => self.carried(rows, carried, kind).sources,
            Some(earlier) => self.sources_before(rows, &carried(), earlier),
        };
        let judged = |negative: Option<Negative<'_>>| {
            let facts = self.facts(&known, flooded, negative, || 0);
            let (verdict, each) = self.local.policy.outcomes(&self.asked, &facts, &ways, &sources);
            let lists = self.local.policy.lists().iter().zip(each);
            OwnOutcomes {
                verdict: verdict.map(|verdict| (verdict.outcome, Arc::clone(verdict.list))),
                lists: lists.filter_map(|(list, outcome)| Some((Arc::clone(list), outcome?))).collect(),
            }
        };
        let free = judged(None);
        // What is benign holds back to review, so it is asked for only where something goes further.
        if free.lists.iter().all(|(_, outcome)| *outcome <= Outcome::Review) {
            return free;
        }
        match self.own_negative(rows, own, standing, earlier) {
            None => free,
            negative => judged(negative),
        }
    }

    fn own_negative(
        &self,
        rows: &Rows,
        own: &Own<'_>,
        standing: &Standing,
        earlier: Option<&Earlier<'_>>,
    ) -> Option<Negative<'_>> {
        let near = self.local.negatives.iter().flat_map(|list| {
            let nearest = |signal: &Signal| list.nearest(signal.kind(), signal.value());
            own.signals.iter().filter_map(nearest).map(|distance| (distance, list.name.as_str()))
        });
        if let Some((distance, list)) = near.min() {
            return Some(Negative::Local { list, distance });
        }
        // As it stood then, if it is asked for before the panel ruled.
        let is_open = |signal: &Signal| !standing.is_settled() || !rows.is_settled(signal);
        let signals = perceptual(own.signals.iter().cloned()).filter(is_open);
        let then = earlier.map(|earlier| (earlier.number, earlier.standing, earlier.signals));
        let count = rows.benign().members_with(signals, own.member, self.local.policy.members(), then);
        (count >= NEGATIVE_MEMBERS_MIN).then_some(Negative::Members { count })
    }

    fn judge_news(&self, rows: &Rows, floods: &FloodState, news: &RecordNews) -> Judgement {
        let row = rows.get(news.number);
        let own = match (&news.stated, &row) {
            (Some(stated), _) => Own::stated(news.number, &news.known, stated),
            (None, Some(record)) => Own::row(rows, record),
            (None, None) => {
                return Judgement { before: OwnOutcomes::default(), after: OwnOutcomes::default() };
            }
        };
        let flooded = |standing: &Standing| floods.of(own.number, &own.line, own.index, standing.status);
        let before = |standing: &Standing| {
            let earlier = Earlier { number: own.number, standing, signals: &own.signals };
            self.own(rows, &own, standing, flooded(standing), Some(&earlier))
        };
        let after = &news.known.standing;
        Judgement {
            before: news.before.as_ref().map_or_else(OwnOutcomes::default, before),
            after: self.own(rows, &own, after, flooded(after), None),
        }
    }

    /// Independent sources of signals, as they were when one record stood otherwise.
    fn sources_before(&self, rows: &Rows, signals: &[Signal], earlier: &Earlier<'_>) -> u32 {
        let mut numbers = equals(self.index, signals);
        numbers.retain(|number| *number != earlier.number);
        let is_same = |held: &Signal| signals.iter().any(|signal| signal.same_value(held));
        let stood = earlier.standing.status.stands() && earlier.signals.iter().any(is_same);
        let then = rows.get(earlier.number).filter(|record| stood && !record.description.is_registration());
        let now = numbers.into_iter().filter_map(|number| rows.get(number));
        let carriers: Vec<Held<'_>> = now
            .filter(|record| record.status().stands() && !record.description.is_registration())
            .chain(then)
            .collect();
        let sources = carriers.iter().map(|record| (&record.author.member, record.source().0));
        independent_sources(self.unmuted(sources))
    }
}

impl Lookup {
    /// Judges changes of records, before and after, in their order.
    #[must_use]
    pub fn judge_news(&self, news: &[RecordNews], local: &Local) -> Vec<Judgement> {
        let source = self.source();
        let mut judged = Vec::with_capacity(news.len());
        for some in news.chunks(RECORDS_PER_LOCK) {
            // Anew for each: what it has worked out holds as long as the rows do not change.
            let judges = self.judges(&source, local, &Question::default());
            let (rows, floods) = (read(&self.rows), read(&self.floods));
            judged.extend(some.iter().map(|news| judges.judge_news(&rows, &floods, news)));
        }
        judged
    }
}

impl Judgement {
    /// Whether anything comes to something else.
    #[must_use]
    pub fn is_other(&self) -> bool {
        let decided = |outcomes: &OwnOutcomes| {
            outcomes.verdict.as_ref().map(|(outcome, list)| (*outcome, list.name.clone()))
        };
        let lists = |outcomes: &OwnOutcomes| -> Vec<(String, Outcome)> {
            outcomes.lists.iter().map(|(list, outcome)| (list.name.clone(), *outcome)).collect()
        };
        decided(&self.before) != decided(&self.after) || {
            let (mut before, mut after) = (lists(&self.before), lists(&self.after));
            before.sort();
            after.sort();
            before != after
        }
    }
}
