//! The read side: matches and listings, answered without the loop.
//!
//! The driver applies the engine's view changes here in order; HTTP reads. The match index is read
//! without waiting for writers; the tables of records are behind short locks that are never held
//! while the index is scanned. Everything here is derived from the logs: a start replays them, and
//! serves from the index snapshot meanwhile if there is one ([`replay`], [`snapshot`]). What a snapshot
//! says is confirmed hit by hit until the replay has confirmed all of it.
//!
//! Queries are neither stored nor logged.

mod applying;
mod bulk;
mod comparing;
pub mod confirm;
mod following;
mod judging;
mod keeper;
mod local;
mod matching;
mod news;
mod observations;
mod outcomes;
mod packed;
mod progress;
mod proof;
mod reading;
pub mod replay;
mod report;
mod restored;
mod restoring;
mod rows;
mod saved;
pub mod snapshot;
mod standings;
mod tag;
#[cfg(test)]
mod tests;

pub use bulk::{NamedRecord, ValueMatches};
pub use comparing::{Compared, TooMany};
pub use keeper::{SnapshotForgetter, SnapshotKeeper, SnapshotTimes};
pub use local::{Local, NegativeList};
pub use matching::{Near, NearRecord, Question};
pub use news::{FeedNews, NewsQueue, RecordNews, Taken};
pub use observations::TtpFilter;
pub use outcomes::{Judgement, OwnOutcomes};
pub use proof::Contradiction;
pub use report::ReportAsk;
pub use restored::{KeptExtent, LogExtent};
pub use standings::Standings;

use crate::models::Models;
use confirm::Unconfirmed;
use hashpact_core::coverage::IncidentCoverage;
use hashpact_core::effect::{CosignedHead, ErasureCounts, ForkedLog, LogBranches, PublishedHead};
use hashpact_core::health::{Completeness, Health, RosterHealth};
use hashpact_core::models::Thresholds;
use hashpact_core::view::{
    Block, FoldCounts, IncidentState, News, Numbers, RecordView, Ruled, Standing, StatedHolding, Suspension,
};
use hashpact_index::{IndexStats, MatchIndex};
use hashpact_protocol::api;
use hashpact_protocol::digest::{LogId, RecordId, hex_encode, sha256};
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::record::{Signal, SignalType, Vocabulary as _};
use hashpact_protocol::roster::MemberId;
use judging::equals;
use local::FloodState;
use progress::Progress;
use restored::Restored;
use rows::{Held, Rows};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

/// Changes whose rows are taken under one lock.
const CHANGES_PER_LOCK: usize = 256;

/// The read model.
pub struct Lookup {
    source: RwLock<Source>,
    rows: RwLock<Rows>,
    /// Taken after the rows where both are.
    floods: RwLock<FloodState>,
    /// Whether anything is found beside the main index: look-ups that find nothing take no lock for it.
    withholds: AtomicBool,
    local: RwLock<Local>,
    /// What is listed and registered of models.
    models: Models,
    /// Who is told of changes; nobody before the logs are replayed.
    news: OnceLock<Arc<NewsQueue>>,
    state: RwLock<State>,
    roster_version: AtomicU64,
}

/// Where hits come from. Both parts change together: an index from a snapshot is never asked without
/// what confirms it.
#[derive(Clone, Default)]
struct Source {
    index: Arc<MatchIndex>,
    /// Present while the index is a snapshot's and not confirmed.
    restored: Option<Arc<Restored>>,
    /// Present while rows are a snapshot's and not confirmed.
    unconfirmed: Option<Arc<Unconfirmed>>,
}

struct State {
    health: Health,
    loaded: bool,
    heads: BTreeMap<LogId, PublishedHead>,
    /// With how many entries beyond the log's end count already.
    folded: BTreeMap<LogId, (FoldCounts, u64)>,
    receipts: BTreeMap<MemberId, Vec<StatedHolding>>,
    cosigned: BTreeMap<LogId, CosignedHead>,
    forked: BTreeMap<LogId, ForkedLog>,
    branches: BTreeMap<LogId, LogBranches>,
    view_name: String,
    /// Part of it that changes with what the operator decides.
    local_name: Arc<str>,
    progress: Progress,
    erasures: ErasureCounts,
    suspensions: Vec<Suspension>,
    incidents: Vec<IncidentState>,
    coverage: Vec<IncidentCoverage>,
}

/// What a listing asks for.
#[derive(Debug, Clone, Default)]
pub struct RecordsFilter {
    /// Only this member's.
    pub member: Option<String>,
    /// Only statements about this, or entries of this kind.
    pub kind: Option<Kind>,
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
    /// The history of a log.
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

impl Lookup {
    /// An empty read model that answers `complete: false` until it is loaded.
    #[must_use]
    pub fn new(roster_version: u64) -> Self {
        Self {
            source: RwLock::default(),
            rows: RwLock::default(),
            floods: RwLock::default(),
            withholds: AtomicBool::new(false),
            local: RwLock::default(),
            models: Models::new(Thresholds::default()),
            news: OnceLock::new(),
            state: RwLock::new(State {
                health: Health {
                    completeness: Completeness::Starting,
                    append_blocked: Some("loading"),
                    from_backup: false,
                    peers: Vec::new(),
                    roster: RosterHealth::default(),
                    replica: None,
                },
                loaded: false,
                heads: BTreeMap::new(),
                folded: BTreeMap::new(),
                receipts: BTreeMap::new(),
                cosigned: BTreeMap::new(),
                forked: BTreeMap::new(),
                branches: BTreeMap::new(),
                view_name: view_name(&BTreeMap::new()),
                local_name: "".into(),
                progress: Progress::default(),
                erasures: ErasureCounts::default(),
                suspensions: Vec::new(),
                incidents: Vec::new(),
                coverage: Vec::new(),
            }),
            roster_version: AtomicU64::new(roster_version),
        }
    }

    /// With other thresholds for sketches of models.
    #[must_use]
    pub fn with_thresholds(self, thresholds: Thresholds) -> Self {
        Self { models: Models::new(thresholds), ..self }
    }

    /// What is listed and registered of models.
    #[must_use]
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// Takes other verdicts on signals, suspensions and incidents.
    pub fn hear(&self, news: News) {
        let News { rulings, suspensions, incidents } = news;
        if self.models.hear(&rulings) {
            write(&self.rows).set_conflicting(self.models.conflicting().into_keys());
        }
        for change in rulings {
            let signal = change.signal.clone();
            let before = self.standings_with(&signal);
            write(&self.rows).rule(change);
            let numbers = equals(&self.source().index, std::slice::from_ref(&signal));
            let mut rows = write(&self.rows);
            numbers.into_iter().for_each(|number| rows.judge(number));
            self.tell_ruled(&rows, before);
        }
        let mut state = write(&self.state);
        if let Some(suspensions) = suspensions {
            state.suspensions = suspensions;
        }
        if let Some(incidents) = incidents {
            state.incidents = incidents;
        }
    }

    /// The panel's verdicts on signals, ascending.
    #[must_use]
    pub fn rulings(&self) -> Vec<(Signal, Ruled)> {
        read(&self.rows).rulings().map(|(signal, ruled)| (signal.clone(), ruled.clone())).collect()
    }

    /// All suspensions, in the order in which they began.
    #[must_use]
    pub fn suspensions(&self) -> Vec<Suspension> {
        read(&self.state).suspensions.clone()
    }

    /// All incidents that were declared.
    #[must_use]
    pub fn incidents(&self) -> Vec<IncidentState> {
        read(&self.state).incidents.clone()
    }

    /// Takes which members' nodes are known to hold the declarations of incidents.
    pub fn set_coverage(&self, coverage: Vec<IncidentCoverage>) {
        write(&self.state).coverage = coverage;
    }

    /// Which members' nodes are known to hold the declarations of incidents that matter still.
    #[must_use]
    pub fn coverage(&self) -> Vec<IncidentCoverage> {
        read(&self.state).coverage.clone()
    }

    /// Serves from a snapshot's index until [`Self::confirm_index`].
    fn restore(&self, index: Arc<MatchIndex>, numbers: Numbers, restored: Restored) {
        // Numbers first: a hit without its place would be no match.
        *write(&self.rows) = Rows::with_numbers(numbers);
        *write(&self.source) = Source { index, restored: Some(Arc::new(restored)), unconfirmed: None };
    }

    fn source(&self) -> Source {
        read(&self.source).clone()
    }

    /// Remembers how far a log may be seen; names the view anew.
    pub fn publish(&self, head: &PublishedHead) {
        let mut state = write(&self.state);
        state.heads.insert(head.log, head.clone());
        state.view_name = view_name(&state.heads);
        let State { progress, heads, .. } = &mut *state;
        progress.note(heads, Instant::now());
    }

    /// How far catching up is; `None` when peers offer nothing more than is held.
    #[must_use]
    pub fn catch_up(&self) -> Option<api::CatchUp> {
        let state = read(&self.state);
        state.progress.catch_up(&state.heads, Instant::now())
    }

    /// Remembers what answers must say about completeness.
    pub fn set_health(&self, health: Health) {
        write(&self.state).health = health;
    }

    /// Remembers how far a log is cosigned.
    pub fn set_cosigned(&self, head: CosignedHead) {
        write(&self.state).cosigned.insert(head.log, head);
    }

    /// How far logs are cosigned.
    #[must_use]
    pub fn cosigned(&self) -> BTreeMap<LogId, CosignedHead> {
        read(&self.state).cosigned.clone()
    }

    /// Remembers evidence that the author of a log signed two histories.
    pub fn set_forked(&self, forked: ForkedLog) {
        write(&self.state).forked.insert(forked.log, forked);
    }

    /// Logs with evidence of equivocation.
    #[must_use]
    pub fn forked(&self) -> BTreeMap<LogId, ForkedLog> {
        read(&self.state).forked.clone()
    }

    /// Remembers what is followed of a forked log, and what is kept beside it.
    pub fn set_branches(&self, branches: LogBranches) {
        write(&self.state).branches.insert(branches.log, branches);
    }

    /// What is followed of each forked log, and what is kept beside it.
    #[must_use]
    pub fn branches(&self) -> BTreeMap<LogId, LogBranches> {
        read(&self.state).branches.clone()
    }

    /// The logs are replayed: answers may be complete from now on.
    pub fn set_loaded(&self) {
        write(&self.state).loaded = true;
        self.find_floods();
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

    /// Remembers what became of a log's entries. Called after the view changes of these entries: an
    /// index snapshot is said to know as many.
    /// `ahead` are entries beyond the log's end that count already.
    pub fn set_folded(&self, log: LogId, counts: FoldCounts, ahead: u64) {
        write(&self.state).folded.insert(log, (counts, ahead));
    }

    /// What became of a log's entries.
    #[must_use]
    pub fn counts(&self, log: &LogId) -> FoldCounts {
        self.folded(log).0
    }

    /// The same, and how many entries beyond the log's end count already.
    #[must_use]
    pub fn folded(&self, log: &LogId) -> (FoldCounts, u64) {
        read(&self.state).folded.get(log).copied().unwrap_or_default()
    }

    /// Remembers what a member states that it holds, about each log.
    pub fn set_receipts(&self, member: MemberId, stated: Vec<StatedHolding>) {
        write(&self.state).receipts.insert(member, stated);
    }

    /// What members state that they hold.
    #[must_use]
    pub fn receipts(&self) -> BTreeMap<MemberId, Vec<StatedHolding>> {
        read(&self.state).receipts.clone()
    }

    /// Whether answers are complete, and why not.
    #[must_use]
    pub fn completeness(&self) -> (bool, Option<String>) {
        let state = read(&self.state);
        if !state.loaded {
            let reason = match read(&self.source).restored {
                None => "loading: the logs are being read from disk",
                Some(_) => {
                    "loading: matches come from the index snapshot while the logs are being read from disk"
                }
            };
            return (false, Some(reason.to_owned()));
        }
        match &state.health.completeness {
            Completeness::Complete => (true, None),
            other => (false, Some(other.to_string())),
        }
    }

    /// What answers were computed from.
    #[must_use]
    pub fn as_of(&self) -> api::AsOf {
        api::AsOf {
            view: {
                let state = read(&self.state);
                format!("{}{}", state.view_name, state.local_name)
            },
            roster: self.roster_version.load(Ordering::Relaxed),
        }
    }

    /// A newer roster is in force.
    pub fn set_roster_version(&self, version: u64) {
        self.roster_version.store(version, Ordering::Relaxed);
    }

    /// Makes the index forget removed values; false while a look-up may still look at one.
    fn forget_removed(&self) -> bool {
        self.source().index.forget_removed()
    }

    /// Remembers how far erasing is.
    pub fn set_erasures(&self, counts: ErasureCounts) {
        write(&self.state).erasures = counts;
    }

    /// How far erasing is.
    #[must_use]
    pub fn erasures(&self) -> ErasureCounts {
        read(&self.state).erasures
    }

    /// Size of the index.
    #[must_use]
    pub fn index_stats(&self) -> IndexStats {
        self.source().index.stats()
    }

    /// Number of records, whatever their status.
    #[must_use]
    pub fn records_count(&self) -> usize {
        read(&self.rows).len()
    }

    /// A record by id.
    #[must_use]
    pub fn record(&self, id: &RecordId) -> Option<RecordView> {
        let rows = read(&self.rows);
        rows.by_id(id).map(|record| rows.view(&record))
    }

    /// What a record is a statement about, while something of it is left.
    #[must_use]
    pub fn about(&self, id: &RecordId) -> Option<Kind> {
        let rows = read(&self.rows);
        let record = rows.by_id(id).filter(|record| !record.status().is_blank())?;
        Some(record.description.about())
    }

    /// A page of records in the order of (log, index), and where the next page starts.
    #[must_use]
    pub fn page(
        &self,
        filter: &RecordsFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> (Vec<RecordView>, Option<Cursor>) {
        self.page_of(after, limit, |record| filter.accepts(record))
    }

    /// The same of records that a rule accepts. A page that is full ends before the next record, accepted or not: the
    /// last page may be empty.
    fn page_of(
        &self,
        after: Option<Cursor>,
        limit: usize,
        accepts: impl Fn(&Held<'_>) -> bool,
    ) -> (Vec<RecordView>, Option<Cursor>) {
        let (mut from, first) = match after {
            Some(Cursor { log, index }) => (Block::of(log, index), Some((log, index))),
            None => (Block::of(LogId::new([0; 32]), 0), None),
        };
        let mut page: Vec<RecordView> = Vec::new();
        loop {
            // A filter may pass few records: the rows are let go after each block.
            let rows = read(&self.rows);
            let Some((block, records)) = rows.block_at_or_after(from) else { return (page, None) };
            for record in records.filter(|record| Some((record.author.line, record.index)) > first) {
                if page.len() == limit {
                    let last = page.last().map(|last| &last.known);
                    let last = last.map_or(first, |last| Some((last.author.line, last.index)));
                    return (page, last.map(|(log, index)| Cursor { log, index }));
                }
                if accepts(&record) {
                    page.push(rows.view(&record));
                }
            }
            from = block.next();
        }
    }
}

impl RecordsFilter {
    fn accepts(&self, record: &Held<'_>) -> bool {
        self.member.as_ref().is_none_or(|member| record.author.member.as_str() == member)
            && self.kind.is_none_or(|kind| {
                let about = record.description.about();
                about == kind || record.description.kind() == kind
            })
            && self.signal_type.is_none_or(|kind| record.has(kind))
            && match &self.status {
                Some(status) => record.status().name() == status,
                None => record.status().stands(),
            }
            && self.review_min.is_none_or(|min| record.description.review.get().code() >= min.code())
    }
}

/// Latest opinions as the API shows them.
#[must_use]
pub fn opinions(standing: &Standing) -> api::OpinionCounts {
    let counts = standing.opinions();
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
