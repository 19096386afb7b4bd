//! Answering a match request: values to record numbers, numbers to records, records to one outcome.

use super::judging::{Judged, Judges, Shown};
use super::local::Local;
use super::{Lookup, Source, read};
use hashpact_core::policy::{Asked, Group, List, Outcome, Way};
use hashpact_core::view::{Reach, RecordView, reach};
use hashpact_index::MatchIndex;
use hashpact_protocol::api;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::record::{SignalType, Vocabulary as _};
use hashpact_protocol::roster::MemberId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

/// Asked once: the standard library reads several files to know it, which takes longer than a look-up.
pub(super) static CORES: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

/// How a record was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hit {
    /// Least distance of a PDQ value, then the variant of the query and its quality.
    pdq: Option<(u16, u8, Option<u8>)>,
    /// Bit by code of the other types of which a value is equal.
    equal: u64,
}

/// Distance, variant of the query, signal type. The least is the best.
pub(super) type BestWay = (u16, u8, SignalType);

/// Hits by record number.
pub(super) type Hits = BTreeMap<u64, Hit>;

impl Hit {
    fn note(&mut self, kind: SignalType, distance: u16, variant: u8, quality: Option<u8>) {
        if kind == SignalType::Pdq {
            let way = (distance, variant, quality);
            self.pdq = Some(self.pdq.map_or(way, |held| held.min(way)));
        } else {
            self.equal |= 1 << kind.code();
        }
    }

    fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn equal(self) -> impl Iterator<Item = SignalType> {
        SignalType::ALL.into_iter().filter(move |kind| self.equal & 1 << kind.code() != 0)
    }

    /// The way that is shown.
    pub(super) fn best(self) -> BestWay {
        let pdq = self.pdq.map(|(distance, variant, _)| (distance, variant, SignalType::Pdq));
        let equal = self.equal().map(|kind| (0, 0, kind));
        pdq.into_iter().chain(equal).min().expect("a hit was found somehow")
    }

    /// All ways, for lists to judge.
    pub(super) fn ways(self) -> Vec<Way> {
        let pdq = self.pdq.map(|(distance, _, quality)| Way { signal: SignalType::Pdq, distance, quality });
        let equal = self.equal().map(|signal| Way { signal, distance: 0, quality: None });
        pdq.into_iter().chain(equal).collect()
    }
}

/// What one item asks for, for those who judge its hits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item<'a> {
    /// An item of a match.
    Query(&'a api::Query),
    /// One PDQ value.
    Value(&'a [u8; 32]),
}

impl<'a> Item<'a> {
    /// Type, variant, value and quality of everything that is asked for.
    pub(super) fn values(self) -> Vec<(SignalType, u8, &'a [u8], Option<u8>)> {
        match self {
            Item::Value(value) => vec![(SignalType::Pdq, 0, value.as_slice(), None)],
            Item::Query(query) => asked(query).collect(),
        }
    }

    /// How a record's own signals answer what is asked: what the index says, computed from the record.
    pub(super) fn hit(self, record: &RecordView, radius: u16) -> Option<Hit> {
        let mut hit = Hit::default();
        for (kind, variant, value, quality) in self.values() {
            for held in record.stated.content.signals.iter().filter(|signal| signal.kind() == kind) {
                let distance = match reach(held) {
                    Reach::Near(held) => {
                        let bits: u32 = held.iter().zip(value).map(|(a, b)| (a ^ b).count_ones()).sum();
                        u16::try_from(bits).ok().filter(|bits| *bits <= radius)
                    }
                    Reach::Equal => (held.value() == value).then_some(0),
                };
                if let Some(distance) = distance {
                    hit.note(kind, distance, variant, quality);
                }
            }
        }
        Some(hit).filter(|hit| !hit.is_empty())
    }
}

/// Type, variant, value and quality of everything that a query item asks for.
fn asked(query: &api::Query) -> impl Iterator<Item = (SignalType, u8, &[u8], Option<u8>)> {
    query.signals.iter().flat_map(|(signal, variants)| {
        let values = std::iter::once(signal.value()).chain(variants.iter().map(|value| value.as_slice()));
        (0u8..).zip(values).map(|(variant, value)| (signal.kind(), variant, value, signal.quality()))
    })
}

/// The counting records near one value.
#[derive(Debug)]
pub struct Near {
    /// What the lists make of them.
    pub outcome: Outcome,
    /// How many there are.
    pub total: usize,
    /// The closest, then by place; at most
    /// [`MATCHES_PER_ITEM_MAX`](hashpact_protocol::limits::MATCHES_PER_ITEM_MAX).
    pub closest: Vec<NearRecord>,
}

/// A record and its distance in bits.
pub type NearRecord = (u16, Arc<RecordView>);

/// What a look-up asks of the lists.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// The lists to ask; `None`: all.
    pub lists: Option<&'a [String]>,
    /// Largest PDQ distance that the caller asks for; without it, that of each list.
    pub distance: Option<u16>,
    /// Whether to say why each record counts or not.
    pub explain: bool,
    /// Whether to say how well the records of an item are reviewed together.
    pub group: bool,
}

impl<'a> Question<'a> {
    fn asked(&self, now_ms: u64) -> Asked<'a> {
        Asked { lists: self.lists, distance: self.distance, now_ms }
    }
}

impl Lookup {
    /// Largest PDQ distance that a look-up goes to.
    #[must_use]
    pub fn radius(&self, question: &Question<'_>) -> u16 {
        read(&self.local).policy.radius(&question.asked(0))
    }

    /// Answers a match request. Works on the caller's thread, and may read the disk as long as
    /// [`Self::reads_disk`]: not for the async runtime then.
    #[must_use]
    pub fn match_queries(
        &self,
        queries: Vec<api::Query>,
        question: &Question<'_>,
        origins: &dyn Fn(&LogId) -> String,
    ) -> api::MatchResponse {
        let (complete, reason) = self.completeness();
        let as_of = self.as_of();
        let local = self.local();
        let source = self.source();
        let mut judges = self.judges(&source, &local, question);
        let found = find(&source, &mut judges, &queries);
        let results = queries.into_iter().zip(found);
        let results = results.map(|(query, judged)| show(&judges, query.id, &judged, origins)).collect();
        api::MatchResponse { complete, reason, as_of, results }
    }

    /// What each query comes to under other decisions of the operator, with the list that decides.
    #[must_use]
    pub fn try_lists(&self, queries: &[api::Query], local: &Local) -> Vec<Option<(Outcome, Arc<List>)>> {
        let source = self.source();
        let mut judges = self.judges(&source, local, &Question::default());
        find(&source, &mut judges, queries).into_iter().map(|judged| judged.verdict).collect()
    }

    /// The counting records near each PDQ value that has any: the position of the value, and its records with
    /// their least distance. What counts is what [`Self::match_queries`] counts. A value without a match costs its
    /// index queries alone. Works on the caller's thread and further ones, and may read the disk as long as
    /// [`Self::reads_disk`]: not for the async runtime then.
    #[must_use]
    pub fn near(&self, values: &[[u8; 32]], question: &Question<'_>) -> Vec<(usize, Near)> {
        let (source, local) = (self.source(), self.local());
        let mut judges = self.judges(&source, &local, question);
        let hits = source.index.query_hamming_bulk(values, judges.radius, *CORES);
        let hits = hits.into_iter().zip(values).enumerate();
        hits.filter_map(|(position, (near, value))| {
            let mut hits = Hits::new();
            for hit in near {
                hits.entry(hit.record).or_default().note(SignalType::Pdq, hit.distance, 0, None);
            }
            // Values that are not searched by distance are found by their equals.
            for record in source.index.query_exact(SignalType::Pdq.code(), value) {
                hits.entry(record).or_default().note(SignalType::Pdq, 0, 0, None);
            }
            if let Some(withheld) = &judges.withheld {
                let item = [(SignalType::Pdq, 0, value.as_slice(), None)];
                find_in(withheld, item.into_iter(), judges.radius, &mut hits);
            }
            if hits.is_empty() {
                return None;
            }
            let Judged { verdict, total, counted, .. } = judges.judge(Item::Value(value), hits);
            let closest = counted.into_iter().map(|Shown { way, record, .. }| (way.0, record)).collect();
            verdict.map(|(outcome, _)| (position, Near { outcome, total, closest }))
        })
        .collect()
    }

    pub(super) fn judges<'a>(
        &'a self,
        source: &'a Source,
        local: &'a Local,
        question: &Question<'a>,
    ) -> Judges<'a> {
        let asked = question.asked(crate::driver::now_ms());
        let mut judges = Judges::new(self, source, local, asked, question.explain);
        judges.group = question.group;
        judges
    }
}

/// What becomes of each query item.
fn find(source: &Source, judges: &mut Judges<'_>, queries: &[api::Query]) -> Vec<Judged> {
    let mut values: Vec<[u8; 32]> = Vec::new();
    let mut owners: Vec<(usize, u8, Option<u8>)> = Vec::new();
    let mut found = vec![Hits::new(); queries.len()];
    for (item, (query, hits)) in queries.iter().zip(&mut found).enumerate() {
        for (kind, variant, value, quality) in asked(query) {
            if let (SignalType::Pdq, Ok(value)) = (kind, value.try_into()) {
                values.push(value);
                owners.push((item, variant, quality));
            }
            // PDQ as well: values that are not searched by distance are found by their equals.
            for record in source.index.query_exact(kind.code(), value) {
                hits.entry(record).or_default().note(kind, 0, variant, quality);
            }
        }
        if let Some(withheld) = &judges.withheld {
            find_in(withheld, asked(query), judges.radius, hits);
        }
    }
    let near = source.index.query_hamming_bulk(&values, judges.radius, *CORES);
    for (near, (item, variant, quality)) in near.into_iter().zip(owners) {
        for hit in near {
            if let Some(hits) = found.get_mut(item) {
                hits.entry(hit.record).or_default().note(SignalType::Pdq, hit.distance, variant, quality);
            }
        }
    }
    found.into_iter().zip(queries).map(|(hits, query)| judges.judge(Item::Query(query), hits)).collect()
}

/// Adds what an index beside the main one holds.
fn find_in<'a>(
    index: &MatchIndex,
    asked: impl Iterator<Item = (SignalType, u8, &'a [u8], Option<u8>)>,
    radius: u16,
    hits: &mut Hits,
) {
    for (kind, variant, value, quality) in asked {
        for record in index.query_exact(kind.code(), value) {
            hits.entry(record).or_default().note(kind, 0, variant, quality);
        }
        if let (SignalType::Pdq, Ok(value)) = (kind, value.try_into()) {
            for hit in index.query_hamming(value, radius) {
                hits.entry(hit.record).or_default().note(kind, hit.distance, variant, quality);
            }
        }
    }
}

fn group_json(group: &Group) -> api::GroupJson {
    let names = |members: &BTreeSet<MemberId>| members.iter().map(ToString::to_string).collect();
    api::GroupJson {
        records: group.records,
        members: names(&group.members),
        sources: group.sources,
        review: group.review.name().to_owned(),
        reviewed_by: names(&group.reviewed_by),
        looks: group.looks,
        disputed_by: names(&group.disputed_by),
        look: group.look.is_needed(),
        why: group.look.name().to_owned(),
        sentence: group.to_string(),
    }
}

fn show(
    judges: &Judges<'_>,
    id: String,
    judged: &Judged,
    origins: &dyn Fn(&LogId) -> String,
) -> api::MatchResult {
    let show = |shown: &Shown| judges.show(shown, origins);
    api::MatchResult {
        id,
        outcome: judged.verdict.as_ref().map(|(outcome, _)| outcome.name().to_owned()),
        list: judged.verdict.as_ref().map(|(_, list)| list.name.clone()),
        total: judged.total as u64,
        matches: judged.counted.iter().map(show).collect(),
        group: judged.group.as_ref().map(group_json),
        not_counted: judged.not_counted.iter().map(show).collect(),
    }
}
