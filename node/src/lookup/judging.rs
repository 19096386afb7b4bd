//! What becomes of the records that one item found: facts for the policy, its verdict, and why.
//!
//! While the logs are replayed, records that are not folded yet are read from the database, never under a lock. While rows are not
//! confirmed, the entries of hits are, under one that delays whoever changes rows.

use super::confirm::Unconfirmed;
use super::local::{FloodState, Local, NegativeList};
use super::matching::{BestWay, Hit, Hits, Item};
use super::restored::Restored;
use super::rows::{Held, Rows};
use super::{Lookup, Source, opinions, read};
use hashpact_core::policy::{
    Asked, Explanation, Facts, Group, Grouped, HarmLabels, List, NEGATIVE_MEMBERS_MIN, Negative, Opinions,
    Outcome, independent_sources, original_source,
};
use hashpact_core::view::{RecordView, Standing, Stated};
use hashpact_index::MatchIndex;
use hashpact_protocol::api;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::limits::MATCHES_PER_ITEM_MAX;
use hashpact_protocol::record::{IncidentId, Signal, SignalType, Vocabulary as _};
use hashpact_protocol::roster::MemberId;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

/// What becomes of one item.
#[derive(Default)]
pub(super) struct Judged {
    /// The outcome, and the list that decided it; none if nothing counts.
    pub(super) verdict: Option<(Outcome, Arc<List>)>,
    /// How many records count.
    pub(super) total: usize,
    /// The closest of them, then by place; at most [`MATCHES_PER_ITEM_MAX`].
    pub(super) counted: Vec<Shown>,
    /// Where it was asked why: the closest that do not count.
    pub(super) not_counted: Vec<Shown>,
    /// Where it was asked for: all that count, together.
    pub(super) group: Option<Group>,
}

/// One record of an answer.
pub(super) struct Shown {
    pub(super) way: BestWay,
    pub(super) record: Arc<RecordView>,
    verdict: Option<(Outcome, Arc<List>)>,
    explained: Vec<api::ListExplanation>,
}

/// What judges hits for the length of one request.
pub(super) struct Judges<'a> {
    rows: &'a RwLock<Rows>,
    floods: &'a RwLock<FloodState>,
    pub(super) index: &'a MatchIndex,
    /// Present while the index is a snapshot's and not confirmed.
    restored: Option<Arc<Restored>>,
    /// Present while rows are a snapshot's and not confirmed.
    unconfirmed: Option<Arc<Unconfirmed>>,
    pub(super) local: &'a Local,
    pub(super) asked: Asked<'a>,
    explain: bool,
    pub(super) group: bool,
    /// Largest PDQ distance that any list asks for.
    pub(super) radius: u16,
    /// What is found beside the main index.
    pub(super) withheld: Option<Arc<MatchIndex>>,
    /// What was read from the database, once each.
    unreplayed: RefCell<HashMap<u64, Option<Arc<RecordView>>>>,
    /// What was held against the database, once each.
    confirmed: RefCell<HashMap<u64, bool>>,
    carried: RefCell<HashMap<CarriedKey, Carried>>,
}

/// What is known about a record before the lists are asked.
pub(super) struct Known<'a> {
    pub(super) member: &'a MemberId,
    pub(super) status: hashpact_core::view::Status,
    pub(super) labels: HarmLabels,
    pub(super) review: hashpact_protocol::record::Label<hashpact_protocol::record::Review>,
    pub(super) standing: Option<&'a Standing>,
    /// Whether the panel holds that it stands.
    pub(super) is_settled: bool,
    pub(super) stated_ms: u64,
    pub(super) hash_set: Option<&'a str>,
    pub(super) incident: Option<IncidentId>,
    pub(super) is_registration: bool,
}

impl<'a> Judges<'a> {
    pub(super) fn new(
        lookup: &'a Lookup,
        Source { index, restored, unconfirmed }: &'a Source,
        local: &'a Local,
        asked: Asked<'a>,
        explain: bool,
    ) -> Self {
        Self {
            rows: &lookup.rows,
            floods: &lookup.floods,
            index,
            restored: restored.clone(),
            unconfirmed: unconfirmed.clone(),
            local,
            asked,
            explain,
            group: false,
            radius: local.policy.radius(&asked),
            withheld: lookup.withheld_index(),
            unreplayed: RefCell::default(),
            confirmed: RefCell::default(),
            carried: RefCell::default(),
        }
    }

    /// What becomes of one item.
    pub(super) fn judge(&mut self, item: Item<'_>, mut hits: Hits) -> Judged {
        // Nearly every item finds nothing.
        if hits.is_empty() {
            return Judged::default();
        }
        if self.unconfirmed.is_some() {
            let rows = read(self.rows);
            hits.retain(|number, _| self.confirms(&rows, *number));
        }
        let near = self.local_negative(item);
        match self.restored.clone() {
            None => self.judge_rows(item, near, hits),
            Some(restored) => self.judge_read(&restored, item, near, &hits),
        }
    }

    /// Whether a row says what its own entry says, or need not be asked. While it must, this reads the disk.
    fn confirms(&self, rows: &Rows, number: u64) -> bool {
        let Some(unconfirmed) = &self.unconfirmed else { return true };
        let is_confirmed = || rows.get(number).is_none_or(|held| unconfirmed.confirms(&held));
        *self.confirmed.borrow_mut().entry(number).or_insert_with(is_confirmed)
    }

    /// The negative list that has something near an item.
    fn local_negative(&self, item: Item<'_>) -> Option<Negative<'a>> {
        let lists = self.local.negatives.as_slice();
        if lists.is_empty() {
            return None;
        }
        let near = item.values().into_iter().flat_map(|(kind, _, value, _)| {
            let nearest =
                move |list: &'a Arc<NegativeList>| Some((list.nearest(kind, value)?, list.name.as_str()));
            lists.iter().filter_map(nearest)
        });
        near.min().map(|(distance, list)| Negative::Local { list, distance })
    }

    /// Judges hits by rows, which are complete.
    fn judge_rows(&self, item: Item<'_>, near: Option<Negative<'_>>, hits: Hits) -> Judged {
        let (rows, floods) = (read(self.rows), read(self.floods));
        let mut judged = Judged::default();
        let (mut counted, mut others) = (Vec::new(), Vec::new());
        for (number, hit) in hits {
            let counts = |record: &Held<'_>| record.status().stands() || floods.withholds(number);
            let Some(record) = rows.get(number).filter(counts) else { continue };
            // What the panel cleared is passed over.
            let part = rows.in_part(&record);
            let Some(hit) = part.map_or(Some(hit), |part| item.hit(&part, self.radius)) else { continue };
            let facts = self.row_facts(&rows, &floods, &record, near);
            let way = hit.best();
            let sources = || self.carried(&rows, || signals_of(record.signals(), way.2), way.2).sources;
            let verdict = self.local.policy.decide(&self.asked, &facts, &hit.ways(), &sources);
            match verdict {
                Some(verdict) => {
                    judged.take(verdict.outcome, verdict.list);
                    counted.push((way, record, hit, Some((verdict.outcome, verdict.list))));
                }
                None if self.explain => others.push((way, record, hit, None)),
                None => {}
            }
        }
        judged.total = counted.len();
        if self.group && !counted.is_empty() {
            let grouped = counted.iter().map(|(_, record, ..)| Grouped {
                facts: self.row_facts(&rows, &floods, record, near),
                source: record.source().0,
                standing: rows.standing(record.number),
            });
            judged.group = Some(Group::of(grouped, self.local.policy.members()));
        }
        for (from, to) in [(counted, &mut judged.counted), (others, &mut judged.not_counted)] {
            let mut closest: Vec<(BestWay, Held<'_>, Hit, Option<(Outcome, &Arc<List>)>)> = from;
            closest.sort_unstable_by_key(|(way, record, ..)| (way.0, record.author.line, record.index));
            for (way, record, hit, verdict) in closest.into_iter().take(MATCHES_PER_ITEM_MAX) {
                let sources = || self.carried(&rows, || signals_of(record.signals(), way.2), way.2).sources;
                let explain = || {
                    let facts = self.row_facts(&rows, &floods, &record, near);
                    self.explanations(&facts, hit, &sources)
                };
                let explained = if self.explain { explain() } else { Vec::new() };
                let verdict = verdict.map(|(outcome, list)| (outcome, Arc::clone(list)));
                to.push(Shown { way, record: Arc::new(rows.view(&record)), verdict, explained });
            }
        }
        judged
    }

    fn row_facts<'f>(
        &self,
        rows: &'f Rows,
        floods: &FloodState,
        record: &Held<'f>,
        near: Option<Negative<'f>>,
    ) -> Facts<'f> {
        let known = Known {
            member: &record.author.member,
            status: record.status(),
            labels: HarmLabels::from(record.description.labels()),
            review: record.description.review,
            standing: rows.standing(record.number),
            is_settled: record.signals().any(|signal| rows.is_settled(&signal)),
            stated_ms: record.time_ms(),
            hash_set: record.description.hash_set(),
            incident: record.description.incident(),
            is_registration: record.description.is_registration(),
        };
        let flooded = floods.of(record.number, &record.author.line, record.index, record.status());
        let open = || perceptual(record.signals()).filter(|signal| !rows.is_settled(signal));
        let said = || rows.benign().members(open(), known.member, self.local.policy.members());
        self.facts(&known, flooded, near, said)
    }

    pub(super) fn facts<'f>(
        &self,
        known: &Known<'f>,
        flooded: Option<hashpact_core::policy::Flooded>,
        near: Option<Negative<'f>>,
        said: impl FnOnce() -> u32,
    ) -> Facts<'f> {
        let members = self.local.policy.members();
        let opinions = |standing: &Standing| {
            let opinions = Opinions::of(standing, members);
            if known.is_settled { Opinions { disagree: 0, ..opinions } } else { opinions }
        };
        let said = || Some(said()).filter(|count| *count >= NEGATIVE_MEMBERS_MIN);
        Facts {
            member: known.member,
            status: known.status,
            labels: known.labels,
            review: known.review,
            opinions: known.standing.map_or_else(Opinions::default, opinions),
            stated_ms: known.stated_ms,
            hash_set: known.hash_set,
            incident: known.incident,
            is_registration: known.is_registration,
            flooded,
            negative: near.or_else(|| said().map(|count| Negative::Members { count })),
        }
    }

    /// Judges hits while the logs are replayed. An index from a snapshot is believed once the replay has confirmed it;
    /// until then the record itself must say why it is a hit.
    fn judge_read(
        &self,
        restored: &Restored,
        item: Item<'_>,
        near: Option<Negative<'_>>,
        hits: &Hits,
    ) -> Judged {
        let numbers: Vec<u64> = hits.keys().copied().collect();
        let mut judged = Judged::default();
        let (mut counted, mut others) = (Vec::new(), Vec::new());
        for record in self.standing_or_read(restored, &numbers) {
            let Some(hit) = item.hit(&record, self.radius) else { continue };
            let way = hit.best();
            let facts = self.view_facts(&record, near);
            let sources = || self.carried_read(restored, &record, way.2).sources;
            let verdict = self.local.policy.decide(&self.asked, &facts, &hit.ways(), &sources);
            let verdict = verdict.map(|verdict| (verdict.outcome, Arc::clone(verdict.list)));
            let explained = if self.explain { self.explanations(&facts, hit, &sources) } else { Vec::new() };
            if let Some((outcome, list)) = &verdict {
                judged.take(*outcome, list);
            }
            let to = if verdict.is_some() { &mut counted } else { &mut others };
            to.push(Shown { way, verdict, explained, record: Arc::clone(&record) });
        }
        judged.total = counted.len();
        if self.group && !counted.is_empty() {
            let grouped = counted.iter().map(|shown: &Shown| Grouped {
                facts: self.view_facts(&shown.record, near),
                source: original_source(&shown.record),
                standing: Some(&shown.record.known.standing),
            });
            judged.group = Some(Group::of(grouped, self.local.policy.members()));
        }
        for (mut from, to) in [(counted, &mut judged.counted), (others, &mut judged.not_counted)] {
            from.sort_unstable_by_key(|shown: &Shown| {
                let known = &shown.record.known;
                (shown.way.0, known.author.line, known.index)
            });
            from.truncate(MATCHES_PER_ITEM_MAX);
            *to = from;
        }
        if !self.explain {
            judged.not_counted.clear();
        }
        judged
    }

    fn view_facts<'f>(&self, record: &'f RecordView, near: Option<Negative<'f>>) -> Facts<'f> {
        let RecordView { known: record_known, stated } = record;
        let handling = stated.content.handling.as_deref();
        let known = Known {
            member: &record_known.author.member,
            status: record_known.status(),
            labels: HarmLabels::from(&stated.content.labels),
            review: stated.content.review,
            standing: Some(&record_known.standing),
            is_settled: {
                let rows = read(self.rows);
                stated.content.signals.iter().any(|signal| rows.is_settled(signal))
            },
            stated_ms: stated.time_ms,
            hash_set: handling.and_then(|handling| Some(handling.hash_set.as_ref()?.as_str())),
            incident: handling.and_then(|handling| handling.incident),
            is_registration: stated.content.is_registration(),
        };
        let flooded =
            read(self.floods).of(u64::MAX, &record_known.author.line, record_known.index, known.status);
        let said = || {
            let rows = read(self.rows);
            let open = perceptual(stated.content.signals.iter().cloned());
            let open = open.filter(|signal| !rows.is_settled(signal));
            rows.benign().members(open, known.member, self.local.policy.members())
        };
        self.facts(&known, flooded, near, said)
    }

    /// The records that stand among these, rows or not.
    fn standing_or_read(&self, restored: &Restored, numbers: &[u64]) -> Vec<Arc<RecordView>> {
        let mut records: Vec<Option<Arc<RecordView>>> = Vec::with_capacity(numbers.len());
        let mut unread = Vec::new();
        {
            let rows = read(self.rows);
            for number in numbers {
                let row = rows.get(*number);
                if row.is_none() {
                    unread.push((records.len(), *number, rows.numbers().place(*number)));
                }
                let row = row.filter(|record| record.status().stands());
                // What the panel cleared is passed over.
                let view = |record: Held<'_>| rows.in_part(&record).unwrap_or_else(|| rows.view(&record));
                records.push(row.map(|record| Arc::new(view(record))));
            }
        }
        // Never under the lock: this reads the disk.
        for (at, number, place) in unread {
            let read = || place.and_then(|(log, index)| restored.read(&log, index, self.asked.now_ms));
            records[at] = self.unreplayed.borrow_mut().entry(number).or_insert_with(read).clone();
        }
        records.into_iter().flatten().collect()
    }

    fn explanations(
        &self,
        facts: &Facts<'_>,
        hit: Hit,
        sources: &dyn Fn() -> u32,
    ) -> Vec<api::ListExplanation> {
        let explained = self.local.policy.explain(&self.asked, facts, &hit.ways(), sources);
        explained.iter().map(explanation).collect()
    }

    /// What the records say together that carry one of a record's signals of the matched type, from rows that are
    /// complete. Worked out once a request for all records with the same signals: of a flood of one value every
    /// record is shown.
    pub(super) fn carried(
        &self,
        rows: &Rows,
        signals: impl FnOnce() -> Vec<Signal>,
        kind: SignalType,
    ) -> Carried {
        let signals = signals();
        let (key, numbers) = (carried_key(&signals, kind), || equals(self.index, &signals));
        if let Some(known) = self.carried.borrow().get(&key) {
            return *known;
        }
        let mut first_ms = None::<u64>;
        let mut sources = BTreeMap::new();
        let numbers = numbers().into_iter().filter(|number| self.confirms(rows, *number));
        for record in numbers.filter_map(|number| rows.get(number)) {
            // Who registered a model as benign is no source of its listing.
            if !record.status().stands() || record.description.is_registration() {
                continue;
            }
            first_ms = Some(first_ms.map_or(record.time_ms(), |first_ms| first_ms.min(record.time_ms())));
            // Of a flood of one value, nearly all have the same source: names are compared once each.
            let (name, key) = record.source();
            sources.entry(key).or_insert((&record.author.member, name));
        }
        let sources = independent_sources(self.unmuted(sources.into_values()));
        let carried = Carried { first_ms, sources };
        self.carried.borrow_mut().insert(key, carried);
        carried
    }

    /// The same while the logs are replayed. As with hits: the record itself must carry it.
    fn carried_read(&self, restored: &Restored, record: &RecordView, kind: SignalType) -> Carried {
        let own = signals_of(record.stated.content.signals.iter().cloned(), kind);
        let key = carried_key(&own, kind);
        if let Some(known) = self.carried.borrow().get(&key) {
            return *known;
        }
        let mut carriers = self.standing_or_read(restored, &equals(self.index, &own));
        carriers.retain(|other| {
            let mut held = other.stated.content.signals.iter();
            held.any(|held| own.iter().any(|signal| signal.same_value(held)))
                && !other.stated.content.is_registration()
        });
        let sources = carriers.iter().map(|other| (&other.known.author.member, original_source(other)));
        let carried = Carried {
            first_ms: carriers.iter().map(|other| other.stated.time_ms).min(),
            sources: independent_sources(self.unmuted(sources)),
        };
        self.carried.borrow_mut().insert(key, carried);
        carried
    }

    /// Who is muted corroborates nothing.
    pub(super) fn unmuted<'s>(
        &self,
        sources: impl Iterator<Item = (&'s MemberId, &'s str)>,
    ) -> impl Iterator<Item = (&'s MemberId, &'s str)> {
        sources.filter(|(member, _)| !self.local.policy.members().is_muted(member))
    }

    /// One record as an answer shows it.
    pub(super) fn show(&self, shown: &Shown, origins: &dyn Fn(&LogId) -> String) -> api::Match {
        let (distance, variant, kind) = shown.way;
        let record = &shown.record;
        let Carried { first_ms, sources } = match &self.restored {
            None => {
                let signals = || signals_of(record.stated.content.signals.iter().cloned(), kind);
                self.carried(&read(self.rows), signals, kind)
            }
            Some(restored) => self.carried_read(restored, record, kind),
        };
        let RecordView { known, stated: Stated { time_ms, content, .. } } = &**record;
        api::Match {
            record: known.id.to_hex(),
            member: known.author.member.to_string(),
            log: origins(&known.author.log),
            index: known.index,
            signal_type: kind.name().to_owned(),
            distance: u32::from(distance),
            variant,
            status: known.status().name().to_owned(),
            labels: api::LabelsJson::from(&content.labels),
            review: content.review.get().name().to_owned(),
            first_stated: api::time::rfc3339(first_ms.unwrap_or(*time_ms)),
            sources,
            opinions: opinions(&known.standing),
            proof: format!("/v1/records/{}/proof", known.id.to_hex()),
            outcome: shown.verdict.as_ref().map(|(outcome, _)| outcome.name().to_owned()),
            list: shown.verdict.as_ref().map(|(_, list)| list.name.clone()),
            explain: shown.explained.clone(),
        }
    }
}

impl Judged {
    /// Takes the outcome of one more record.
    fn take(&mut self, outcome: Outcome, list: &Arc<List>) {
        if self.verdict.as_ref().is_none_or(|(held, _)| *held < outcome) {
            self.verdict = Some((outcome, Arc::clone(list)));
        }
    }
}

/// Why one list counts a record or not, as data and as a sentence.
fn explanation(explained: &Explanation<'_>) -> api::ListExplanation {
    let unmet = explained.unmet.iter().map(|unmet| api::UnmetCondition {
        condition: unmet.condition.name().to_owned(),
        found: unmet.found.clone(),
        wanted: unmet.wanted.clone(),
    });
    let rules = explained
        .rules
        .iter()
        .map(|rule| api::AppliedRule { rule: rule.name().to_owned(), sentence: rule.to_string() });
    api::ListExplanation {
        list: explained.list.name.clone(),
        version: explained.list.version,
        counts: explained.outcome.is_some(),
        outcome: explained.outcome.map(|outcome| outcome.name().to_owned()),
        unmet: unmet.collect(),
        rules: rules.collect(),
        sentence: explained.to_string(),
    }
}

/// What the records say together that carry the same signals.
#[derive(Clone, Copy)]
pub(super) struct Carried {
    first_ms: Option<u64>,
    pub(super) sources: u32,
}

/// A signal type, whose values have one width, and a record's values of it.
type CarriedKey = (SignalType, Vec<u8>);

fn carried_key(signals: &[Signal], kind: SignalType) -> CarriedKey {
    (kind, signals.iter().flat_map(|signal| signal.value()).copied().collect())
}

pub(super) fn signals_of(signals: impl Iterator<Item = Signal>, kind: SignalType) -> Vec<Signal> {
    signals.filter(|signal| signal.kind() == kind).collect()
}

/// Signals that resemble one another; digests of bytes do not.
pub(super) fn perceptual(signals: impl Iterator<Item = Signal>) -> impl Iterator<Item = Signal> {
    signals.filter(|signal| matches!(signal.kind(), SignalType::Pdq | SignalType::PhotoDna))
}

/// Numbers of the records that carry one of these values, byte for byte.
pub(super) fn equals(index: &MatchIndex, signals: &[Signal]) -> Vec<u64> {
    let mut numbers = Vec::new();
    for signal in signals {
        numbers.extend(index.query_exact(signal.kind().code(), signal.value()));
        if let (SignalType::Pdq, Ok(value)) = (signal.kind(), signal.value().try_into()) {
            numbers.extend(index.query_hamming(value, 0).iter().map(|hit| hit.record));
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
