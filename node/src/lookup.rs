//! The read side: matches and listings, answered without the loop.
//!
//! The driver applies the engine's view changes here in order; HTTP reads. The match index is read
//! without waiting for writers; the tables of records are behind short locks that are never held
//! while the index is scanned. Everything here is derived from the logs and rebuilt at each start.
//!
//! Queries are neither stored nor logged.

use hashpact_core::effect::{IndexChange, PublishedHead, ViewChange};
use hashpact_core::health::{Completeness, Health};
use hashpact_core::verdict::{self, BUILT_IN_LIST};
use hashpact_core::view::{FoldCounts, RecordView};
use hashpact_index::{Change, IndexStats, MatchIndex};
use hashpact_protocol::api;
use hashpact_protocol::digest::{LogId, RecordId, hex_encode, sha256};
use hashpact_protocol::limits::MATCHES_PER_ITEM_MAX;
use hashpact_protocol::record::{Signal, SignalType, Vocabulary as _};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

mod bulk;
#[cfg(test)]
mod tests;

pub use bulk::{NamedRecord, ValueMatches};

/// Values that are worth a thread of their own.
const VALUES_PER_THREAD_MIN: usize = 64;

/// The read model.
pub struct Lookup {
    index: MatchIndex,
    records: RwLock<Records>,
    state: RwLock<State>,
    roster_version: u64,
}

#[derive(Default)]
struct Records {
    by_id: HashMap<RecordId, u64>,
    by_ordinal: HashMap<u64, Arc<RecordView>>,
    by_place: BTreeMap<(LogId, u64), u64>,
}

struct State {
    health: Health,
    loaded: bool,
    heads: BTreeMap<LogId, PublishedHead>,
    counts: BTreeMap<LogId, FoldCounts>,
    view_name: String,
}

/// What a listing asks for.
#[derive(Debug, Clone, Default)]
pub struct RecordsFilter {
    /// Only this member's.
    pub member: Option<String>,
    /// Only records with a signal of this type.
    pub signal_type: Option<SignalType>,
    /// Only this status; without it, what stands.
    pub status: Option<String>,
    /// At least this review.
    pub review_min: Option<hashpact_protocol::record::Review>,
}

/// A place to continue a listing from: exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The log.
    pub log: LogId,
    /// Leaf index of the last record seen.
    pub index: u64,
}

impl Cursor {
    /// Its text form.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{}-{}", self.log.to_hex(), self.index)
    }

    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (log, index) = text.split_once('-')?;
        Some(Self { log: LogId::from_hex(log).ok()?, index: index.parse().ok()? })
    }
}

struct Found {
    record: Arc<RecordView>,
    signal: SignalType,
    distance: u16,
    variant: u8,
}

impl Lookup {
    /// An empty read model that answers `complete: false` until it is loaded.
    #[must_use]
    pub fn new(roster_version: u64) -> Self {
        Self {
            index: MatchIndex::new(),
            records: RwLock::default(),
            state: RwLock::new(State {
                health: Health {
                    completeness: Completeness::Starting,
                    append_blocked: Some("loading"),
                    peers: Vec::new(),
                },
                loaded: false,
                heads: BTreeMap::new(),
                counts: BTreeMap::new(),
                view_name: view_name(&BTreeMap::new()),
            }),
            roster_version,
        }
    }

    /// Applies view changes in order. Rows come before index entries, so that whatever the index
    /// names has a row; a row that no longer stands hides its index entries until they are gone, too.
    pub fn apply(&self, changes: &[ViewChange]) {
        for change in changes {
            let record = &change.record;
            let mut records = write(&self.records);
            records.by_id.insert(record.id, record.ordinal);
            records.by_place.insert((record.log, record.index), record.ordinal);
            records.by_ordinal.insert(record.ordinal, Arc::clone(record));
        }
        // One call for all: the index copies what its readers share once a call.
        self.index.apply(changes.iter().flat_map(|change| {
            let signals = change.record.content.signals.iter();
            signals.flat_map(|signal| index_changes(signal, change.record.ordinal, change.index))
        }));
    }

    /// Remembers how far a log may be seen; names the view anew.
    pub fn publish(&self, head: &PublishedHead) {
        let mut state = write(&self.state);
        state.heads.insert(head.log, head.clone());
        state.view_name = view_name(&state.heads);
    }

    /// Remembers what answers must say about completeness.
    pub fn set_health(&self, health: Health) {
        write(&self.state).health = health;
    }

    /// The logs are replayed: answers may be complete from now on.
    pub fn set_loaded(&self) {
        write(&self.state).loaded = true;
    }

    /// Whether the logs are replayed.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        read(&self.state).loaded
    }

    /// The last health.
    #[must_use]
    pub fn health(&self) -> Health {
        read(&self.state).health.clone()
    }

    /// Visible heads, by log.
    #[must_use]
    pub fn heads(&self) -> BTreeMap<LogId, PublishedHead> {
        read(&self.state).heads.clone()
    }

    /// Remembers what became of a log's entries.
    pub fn set_counts(&self, log: LogId, counts: FoldCounts) {
        write(&self.state).counts.insert(log, counts);
    }

    /// What became of a log's entries.
    #[must_use]
    pub fn counts(&self, log: &LogId) -> FoldCounts {
        read(&self.state).counts.get(log).copied().unwrap_or_default()
    }

    /// Whether answers are complete, and why not.
    #[must_use]
    pub fn completeness(&self) -> (bool, Option<String>) {
        let state = read(&self.state);
        if !state.loaded {
            return (false, Some("loading: the logs are being read from disk".to_owned()));
        }
        match &state.health.completeness {
            Completeness::Complete => (true, None),
            other => (false, Some(other.to_string())),
        }
    }

    /// What answers were computed from.
    #[must_use]
    pub fn as_of(&self) -> api::AsOf {
        api::AsOf { view: read(&self.state).view_name.clone(), roster: self.roster_version }
    }

    /// Size of the index.
    #[must_use]
    pub fn index_stats(&self) -> IndexStats {
        self.index.stats()
    }

    /// Number of records, whatever their status.
    #[must_use]
    pub fn records_count(&self) -> usize {
        read(&self.records).by_id.len()
    }

    /// A record by id.
    #[must_use]
    pub fn record(&self, id: &RecordId) -> Option<Arc<RecordView>> {
        let records = read(&self.records);
        records.by_id.get(id).and_then(|ordinal| records.by_ordinal.get(ordinal)).cloned()
    }

    /// A page of records in the order of (log, index), and where the next page starts.
    #[must_use]
    pub fn page(
        &self,
        filter: &RecordsFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> (Vec<Arc<RecordView>>, Option<Cursor>) {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |cursor| Excluded((cursor.log, cursor.index)));
        let records = read(&self.records);
        let mut page = Vec::new();
        for (place, ordinal) in records.by_place.range((from, Unbounded)) {
            let Some(record) = records.by_ordinal.get(ordinal) else { continue };
            if page.len() == limit {
                let last = page.last().map(|record: &Arc<RecordView>| (record.log, record.index));
                let (log, index) = last.unwrap_or(*place);
                return (page, Some(Cursor { log, index }));
            }
            if filter.accepts(record) {
                page.push(Arc::clone(record));
            }
        }
        (page, None)
    }

    /// Answers a match request. `radius` holds the distance per signal type. Scans on the caller's
    /// thread: not for the async runtime.
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
        let found = if asks_built_in { self.find(&queries, pdq_radius) } else { Vec::new() };
        let mut found = found.into_iter();
        let results = queries
            .into_iter()
            .map(|query| self.judge(query.id, found.next().unwrap_or_default(), origins))
            .collect();
        api::MatchResponse { complete, reason, as_of, results }
    }

    /// All hits per query item, best hit of each record, closest first.
    fn find(&self, queries: &[api::Query], pdq_radius: u16) -> Vec<Vec<Found>> {
        let mut values: Vec<[u8; 32]> = Vec::new();
        let mut owners: Vec<(usize, u8)> = Vec::new();
        for (item, query) in queries.iter().enumerate() {
            for (signal, variants) in &query.signals {
                if let (SignalType::Pdq, Ok(value)) = (signal.kind(), <[u8; 32]>::try_from(signal.value())) {
                    for (variant, value) in
                        (0u8..).zip(std::iter::once(value).chain(variants.iter().copied()))
                    {
                        values.push(value);
                        owners.push((item, variant));
                    }
                }
            }
        }
        let mut best: Vec<BTreeMap<u64, (u16, u8, SignalType)>> = vec![BTreeMap::new(); queries.len()];
        let mut note = |item: usize, record: u64, hit: (u16, u8, SignalType)| {
            if let Some(best) = best.get_mut(item) {
                best.entry(record).and_modify(|held| *held = (*held).min(hit)).or_insert(hit);
            }
        };
        for (hits, (item, variant)) in self.scan(&values, pdq_radius).into_iter().zip(owners) {
            for hit in hits {
                note(item, hit.record, (hit.distance, variant, SignalType::Pdq));
            }
        }
        for (item, query) in queries.iter().enumerate() {
            for (signal, _) in query.signals.iter().filter(|(signal, _)| signal.kind() != SignalType::Pdq) {
                for record in self.index.query_exact(signal.kind().code(), signal.value()) {
                    note(item, record, (0, 0, signal.kind()));
                }
            }
        }
        let records = read(&self.records);
        best.into_iter()
            .map(|best| {
                let mut found: Vec<Found> = best
                    .into_iter()
                    .filter_map(|(ordinal, (distance, variant, signal))| {
                        let record = records.by_ordinal.get(&ordinal).filter(|record| record.stands())?;
                        Some(Found { record: Arc::clone(record), signal, distance, variant })
                    })
                    .collect();
                found.sort_by_key(|found| (found.distance, found.record.ordinal));
                found
            })
            .collect()
    }

    /// Hits per value; a large batch is shared among the cores.
    fn scan(&self, values: &[[u8; 32]], radius: u16) -> Vec<Vec<hashpact_index::Hit>> {
        // Small look-ups never ask for the number of cores: the standard library reads several files to
        // know it, which takes longer than the look-up.
        if values.len() < VALUES_PER_THREAD_MIN * 2 {
            return self.index.query_hamming_batch(values, radius);
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = values.len().div_ceil(threads).max(VALUES_PER_THREAD_MIN);
        std::thread::scope(|scope| {
            let scan = |part| scope.spawn(move || self.index.query_hamming_batch(part, radius));
            let parts: Vec<_> = values.chunks(share).map(scan).collect();
            parts.into_iter().flat_map(|part| part.join().expect("a scan does not panic")).collect()
        })
    }

    fn judge(&self, id: String, found: Vec<Found>, origins: &dyn Fn(&LogId) -> String) -> api::MatchResult {
        let outcome = verdict::outcome(found.iter().map(|found| found.record.as_ref()));
        let total = found.len() as u64;
        let matches =
            found.iter().take(MATCHES_PER_ITEM_MAX).map(|found| self.show(found, origins)).collect();
        api::MatchResult { id, outcome: outcome.map(|outcome| outcome.name().to_owned()), total, matches }
    }

    fn show(&self, found: &Found, origins: &dyn Fn(&LogId) -> String) -> api::Match {
        let record = &found.record;
        let carriers = self.carriers(found);
        let first_ms = carriers.iter().map(|other| other.time_ms).min().unwrap_or(record.time_ms);
        api::Match {
            record: record.id.to_hex(),
            member: record.member.to_string(),
            log: origins(&record.log),
            index: record.index,
            signal_type: found.signal.name().to_owned(),
            distance: u32::from(found.distance),
            variant: found.variant,
            status: record.status.name().to_owned(),
            labels: api::LabelsJson::from(&record.content.labels),
            review: record.content.review.get().name().to_owned(),
            first_stated: api::time::rfc3339(first_ms),
            sources: verdict::independent_sources(carriers.iter().map(AsRef::as_ref)),
            opinions: opinions(record),
            proof: format!("/v1/records/{}/proof", record.id.to_hex()),
        }
    }

    /// Standing records that carry one of this record's signals of the matched type, byte for byte.
    fn carriers(&self, found: &Found) -> Vec<Arc<RecordView>> {
        let mut ordinals: Vec<u64> = Vec::new();
        for signal in found.record.content.signals.iter().filter(|signal| signal.kind() == found.signal) {
            ordinals.extend(self.index.query_exact(signal.kind().code(), signal.value()));
        }
        ordinals.sort_unstable();
        ordinals.dedup();
        let records = read(&self.records);
        let rows = ordinals.iter().filter_map(|ordinal| records.by_ordinal.get(ordinal));
        rows.filter(|record| record.stands()).cloned().collect()
    }
}

/// What a signal means for the index: every value is found byte for byte, PDQ by distance as well.
/// Finding the other records with an equal value must not cost a scan for each match shown.
fn index_changes(signal: &Signal, record: u64, change: IndexChange) -> impl Iterator<Item = Change<'_>> {
    let (kind, value) = (signal.kind().code(), signal.value());
    let perceptual = <&[u8; 32]>::try_from(value).ok().filter(|_| signal.kind() == SignalType::Pdq);
    let (near, exact) = match change {
        IndexChange::Add => (
            perceptual.map(|value| Change::InsertHamming { value, record }),
            Some(Change::InsertExact { kind, value, record }),
        ),
        IndexChange::Remove => (
            perceptual.map(|value| Change::RemoveHamming { value, record }),
            Some(Change::RemoveExact { kind, value, record }),
        ),
        IndexChange::Keep => (None, None),
    };
    near.into_iter().chain(exact)
}

impl RecordsFilter {
    fn accepts(&self, record: &RecordView) -> bool {
        self.member.as_ref().is_none_or(|member| record.member.as_str() == member)
            && self
                .signal_type
                .is_none_or(|kind| record.content.signals.iter().any(|signal| signal.kind() == kind))
            && match &self.status {
                Some(status) => record.status.name() == status,
                None => record.stands(),
            }
            && self.review_min.is_none_or(|min| record.content.review.get().code() >= min.code())
    }
}

/// Latest opinions as the API shows them.
#[must_use]
pub fn opinions(record: &RecordView) -> api::OpinionCounts {
    let counts = record.opinions();
    api::OpinionCounts {
        agree: counts.agree,
        disagree: counts.disagree,
        unsure: counts.unsure,
        seen: counts.seen,
    }
}

/// A name that changes with what is held: total entries, and a digest over (log, size, root).
fn view_name(heads: &BTreeMap<LogId, PublishedHead>) -> String {
    let mut bytes = Vec::with_capacity(heads.len() * 72);
    let mut entries: u64 = 0;
    for head in heads.values() {
        bytes.extend_from_slice(head.log.as_bytes());
        bytes.extend_from_slice(&head.size.to_be_bytes());
        bytes.extend_from_slice(head.root.as_bytes());
        entries += head.size;
    }
    let digest = sha256(&[&bytes]);
    format!("{entries}-{}", hex_encode(&digest[..8]))
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
