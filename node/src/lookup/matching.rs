//! Answering a match request: values to record numbers, numbers to records, records to one outcome.

use super::restored::Restored;
use super::rows::{Held, Rows};
use super::{Lookup, Source, opinions, read};
use hashpact_core::verdict::{self, BUILT_IN_LIST, Outcome};
use hashpact_core::view::{Reach, RecordView, Stated, reach};
use hashpact_protocol::api;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::limits::MATCHES_PER_ITEM_MAX;
use hashpact_protocol::record::{SignalType, Vocabulary as _};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, RwLock};

/// Asked once: the standard library reads several files to know it, which takes longer than a look-up.
static CORES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

/// How a record was found: distance, variant of the query, signal type. The least is the best.
type Way = (u16, u8, SignalType);

/// Hits by number, each in its best way.
type Best = BTreeMap<u64, Way>;

fn keep_best(best: &mut Best, record: u64, way: Way) {
    best.entry(record).and_modify(|held| *held = (*held).min(way)).or_insert(way);
}

/// What stands among the hits of one item.
#[derive(Default)]
struct Found {
    outcome: Option<Outcome>,
    total: usize,
    /// The closest, then by place; at most [`MATCHES_PER_ITEM_MAX`].
    closest: Vec<(Way, Arc<RecordView>)>,
}

/// The standing records near one value.
#[derive(Debug)]
pub struct Near {
    /// What the lists make of them.
    pub outcome: Option<Outcome>,
    /// How many there are.
    pub total: usize,
    /// The closest, then by place; at most [`MATCHES_PER_ITEM_MAX`].
    pub closest: Vec<NearRecord>,
}

impl Lookup {
    /// Answers a match request. `pdq_radius` is the largest distance of a PDQ value, in bits; all other
    /// types match by equality. Works on the caller's thread, and reads the disk as long as
    /// [`Self::is_loaded`] is false: not for the async runtime.
    #[must_use]
    pub fn match_queries(
        &self,
        queries: Vec<api::Query>,
        pdq_radius: u16,
        lists: Option<&[String]>,
        origins: &dyn Fn(&LogId) -> String,
    ) -> api::MatchResponse {
        let (complete, reason) = self.completeness();
        let as_of = self.as_of();
        let asks_built_in = lists.is_none_or(|lists| lists.iter().any(|list| list == BUILT_IN_LIST));
        let source = self.source();
        let mut records = Records::new(&self.rows, source.restored.clone());
        let found =
            if asks_built_in { find(&source, &mut records, &queries, pdq_radius) } else { Vec::new() };
        let mut found = found.into_iter();
        let results = queries
            .into_iter()
            .map(|query| judge(&source, &mut records, query.id, &found.next().unwrap_or_default(), origins))
            .collect();
        api::MatchResponse { complete, reason, as_of, results }
    }

    /// The standing records within `radius` bits of each PDQ value that has any: the position of the
    /// value, and its records with their least distance. What counts is
    /// what [`Self::match_queries`] counts. A value without a match costs its index queries alone.
    /// Works on the caller's thread and further ones, and reads the disk as long as
    /// [`Self::is_loaded`] is false: not for the async runtime.
    #[must_use]
    pub fn near(&self, values: &[[u8; 32]], radius: u16) -> Vec<(usize, Near)> {
        let source = self.source();
        let mut records = Records::new(&self.rows, source.restored.clone());
        let hits =
            source.index.query_hamming_bulk(values, radius, *CORES).into_iter().zip(values).enumerate();
        hits.filter_map(|(position, (hits, value))| {
            let mut best = Best::new();
            let equals = source.index.query_exact(SignalType::Pdq.code(), value);
            let equals = equals.into_iter().map(|record| (record, 0));
            for (record, distance) in hits.iter().map(|hit| (hit.record, hit.distance)).chain(equals) {
                let way = (distance, 0, SignalType::Pdq);
                keep_best(&mut best, record, way);
            }
            if best.is_empty() {
                return None;
            }
            let asked = || std::iter::once((SignalType::Pdq, 0, value.as_slice()));
            let found = records.found(best, |record| best_way(record, asked(), radius));
            let Found { outcome, total, closest } = found;
            let closest = closest.into_iter().map(|(way, record)| (way.0, record)).collect();
            (total > 0).then_some((position, Near { outcome, total, closest }))
        })
        .collect()
    }
}

/// A record and its distance in bits.
pub type NearRecord = (u16, Arc<RecordView>);

/// All hits per query item, best hit of each record, closest first.
fn find(source: &Source, records: &mut Records<'_>, queries: &[api::Query], radius: u16) -> Vec<Found> {
    let mut values: Vec<[u8; 32]> = Vec::new();
    let mut owners: Vec<(usize, u8)> = Vec::new();
    let mut best = vec![Best::new(); queries.len()];
    let mut note = |item: usize, record: u64, way: Way| {
        if let Some(best) = best.get_mut(item) {
            keep_best(best, record, way);
        }
    };
    for (item, query) in queries.iter().enumerate() {
        for (kind, variant, value) in asked(query) {
            if let (SignalType::Pdq, Ok(value)) = (kind, value.try_into()) {
                values.push(value);
                owners.push((item, variant));
            }
            // PDQ as well: values that are not searched by distance are found by their equals.
            for record in source.index.query_exact(kind.code(), value) {
                note(item, record, (0, variant, kind));
            }
        }
    }
    let hits = source.index.query_hamming_bulk(&values, radius, *CORES);
    for (hits, (item, variant)) in hits.into_iter().zip(owners) {
        for hit in hits {
            note(item, hit.record, (hit.distance, variant, SignalType::Pdq));
        }
    }
    best.into_iter()
        .zip(queries)
        .map(|(best, query)| records.found(best, |record| best_way(record, asked(query), radius)))
        .collect()
}

/// Type, variant and value of everything that a query item asks for.
fn asked(query: &api::Query) -> impl Iterator<Item = (SignalType, u8, &[u8])> {
    query.signals.iter().flat_map(|(signal, variants)| {
        let values = std::iter::once(signal.value()).chain(variants.iter().map(|value| value.as_slice()));
        (0u8..).zip(values).map(|(variant, value)| (signal.kind(), variant, value))
    })
}

/// Numbers of the records that carry this value, byte for byte.
fn equals(source: &Source, kind: SignalType, value: &[u8]) -> Vec<u64> {
    let mut numbers = source.index.query_exact(kind.code(), value);
    if let (SignalType::Pdq, Ok(value)) = (kind, value.try_into()) {
        numbers.extend(source.index.query_hamming(value, 0).iter().map(|hit| hit.record));
    }
    numbers
}

/// The best way in which a record's own signals answer what is asked: what the index says, computed
/// from the record.
fn best_way<'a>(
    record: &RecordView,
    asked: impl Iterator<Item = (SignalType, u8, &'a [u8])>,
    radius: u16,
) -> Option<Way> {
    let ways = asked.flat_map(|(kind, variant, value)| {
        let held = record.stated.content.signals.iter().filter(move |signal| signal.kind() == kind);
        held.filter_map(move |signal| {
            let distance = match reach(signal) {
                Reach::Near(held) => {
                    let bits: u32 = held.iter().zip(value).map(|(a, b)| (a ^ b).count_ones()).sum();
                    u16::try_from(bits).ok().filter(|bits| *bits <= radius)?
                }
                Reach::Equal => (signal.value() == value).then_some(0)?,
            };
            Some((distance, variant, kind))
        })
    });
    ways.min()
}

/// Records by number for the length of one request: rows, and while the logs are replayed what is
/// read from the database in their place, once each.
struct Records<'a> {
    rows: &'a RwLock<Rows>,
    restored: Option<Arc<Restored>>,
    unreplayed: HashMap<u64, Option<Arc<RecordView>>>,
    carried: HashMap<CarriedKey, Carried>,
    now_ms: u64,
}

impl<'a> Records<'a> {
    fn new(rows: &'a RwLock<Rows>, restored: Option<Arc<Restored>>) -> Self {
        let (unreplayed, carried) = (HashMap::new(), HashMap::new());
        Self { rows, restored, unreplayed, carried, now_ms: crate::driver::now_ms() }
    }

    /// The standing records among the hits of one item. `computed` is the way in which a record itself
    /// answers it.
    fn found(&mut self, best: Best, computed: impl Fn(&RecordView) -> Option<Way>) -> Found {
        let Some(restored) = self.restored.clone() else { return found_among(&read(self.rows), best) };
        let numbers: Vec<u64> = best.keys().copied().collect();
        // An index from a snapshot is believed once the replay has confirmed it; until then the record itself
        // must say why it is a hit.
        let mut closest: Vec<(Way, Arc<RecordView>)> = self
            .standing_or_read(&restored, &numbers)
            .into_iter()
            .filter_map(|record| Some((computed(&record)?, record)))
            .collect();
        closest.sort_unstable_by_key(|(way, record)| (way.0, record.known.author.line, record.known.index));
        let outcome = verdict::outcome(closest.iter().map(|(_, record)| record.known.status()));
        let total = closest.len();
        closest.truncate(MATCHES_PER_ITEM_MAX);
        Found { outcome, total, closest }
    }

    /// The records that stand among these, rows or not.
    fn standing_or_read(&mut self, restored: &Restored, numbers: &[u64]) -> Vec<Arc<RecordView>> {
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
                records.push(row.map(|record| Arc::new(rows.view(&record))));
            }
        }
        // Never under the lock: this reads the disk.
        for (at, number, place) in unread {
            let read = || place.and_then(|(log, index)| restored.read(&log, index, self.now_ms));
            records[at] = self.unreplayed.entry(number).or_insert_with(read).clone();
        }
        records.into_iter().flatten().collect()
    }

    /// What the standing records say together that carry one of this record's signals of the matched type,
    /// byte for byte.
    fn carried_by(&mut self, numbers: &[u64], record: &RecordView, kind: SignalType) -> Carried {
        let Some(restored) = self.restored.clone() else { return carried_among(&read(self.rows), numbers) };
        let own = || record.stated.content.signals.iter().filter(|signal| signal.kind() == kind);
        let mut carriers = self.standing_or_read(&restored, numbers);
        // As with hits: the record itself must carry it.
        carriers.retain(|other| {
            let mut held = other.stated.content.signals.iter();
            held.any(|held| own().any(|signal| signal.same_value(held)))
        });
        let sources = carriers.iter().map(|other| (other.known.status(), verdict::original_source(other)));
        Carried {
            first_ms: carriers.iter().map(|other| other.stated.time_ms).min(),
            sources: verdict::independent_sources(sources),
        }
    }
}

/// The hits that stand, from rows that are complete.
fn found_among(rows: &Rows, best: Best) -> Found {
    let standing = |(number, way)| {
        let record = rows.get(number).filter(|record| record.status().stands())?;
        Some((way, record))
    };
    let mut hits: Vec<(Way, Held<'_>)> = best.into_iter().filter_map(standing).collect();
    hits.sort_unstable_by_key(|(way, record)| (way.0, record.author.line, record.index));
    let outcome = verdict::outcome(hits.iter().map(|(_, record)| record.status()));
    let closest = hits.iter().take(MATCHES_PER_ITEM_MAX);
    let closest = closest.map(|(way, record)| (*way, Arc::new(rows.view(record)))).collect();
    Found { outcome, total: hits.len(), closest }
}

/// What those of these records that stand say together, from rows that are complete.
fn carried_among(rows: &Rows, numbers: &[u64]) -> Carried {
    let standing = numbers.iter().filter_map(|number| rows.get(*number));
    let standing = standing.filter(|record| record.status().stands());
    let (mut first_ms, mut sources) = (None::<u64>, BTreeMap::new());
    for record in standing {
        first_ms = Some(first_ms.map_or(record.time_ms(), |first_ms| first_ms.min(record.time_ms())));
        // Of a flood of one value, nearly all have the same source: names are compared once each.
        let (name, key) = record.source();
        sources.entry(key).or_insert((record.status(), name));
    }
    Carried { first_ms, sources: verdict::independent_sources(sources.into_values()) }
}

fn judge(
    source: &Source,
    records: &mut Records<'_>,
    id: String,
    found: &Found,
    origins: &dyn Fn(&LogId) -> String,
) -> api::MatchResult {
    let shown = found.closest.iter().map(|(way, record)| show(source, records, *way, record, origins));
    api::MatchResult {
        id,
        outcome: found.outcome.map(|outcome| outcome.name().to_owned()),
        total: found.total as u64,
        matches: shown.collect(),
    }
}

fn show(
    source: &Source,
    records: &mut Records<'_>,
    (distance, variant, kind): Way,
    record: &RecordView,
    origins: &dyn Fn(&LogId) -> String,
) -> api::Match {
    let Carried { first_ms, sources } = carried(source, records, record, kind);
    let RecordView { known, stated: Stated { time_ms, content, .. } } = record;
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
    }
}

/// What the records say together that carry the same signals.
#[derive(Clone, Copy)]
struct Carried {
    first_ms: Option<u64>,
    sources: u32,
}

/// When one of this record's signals of the matched type was first stated, and by how many independent sources. Worked
/// out once a request for all records with the same signals: of a flood of one value every record is shown.
fn carried(source: &Source, records: &mut Records<'_>, record: &RecordView, kind: SignalType) -> Carried {
    let signals = record.stated.content.signals.iter().filter(|signal| signal.kind() == kind);
    let key: CarriedKey = (kind, signals.flat_map(|signal| signal.value()).copied().collect());
    if let Some(known) = records.carried.get(&key) {
        return *known;
    }
    let signals = record.stated.content.signals.iter().filter(|signal| signal.kind() == kind);
    let mut numbers: Vec<u64> = signals.flat_map(|signal| equals(source, kind, signal.value())).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let carried = records.carried_by(&numbers, record, kind);
    *records.carried.entry(key).or_insert(carried)
}

/// A signal type, whose values have one width, and a record's values of it.
type CarriedKey = (SignalType, Vec<u8>);
