//! Look-ups as HTTP asks for them: at once, on a blocking thread, or in bulk.
//!
//! A small look-up takes microseconds, less than handing it to another thread; it is answered where
//! it is asked. How long one value takes here is measured, because it depends on what the index
//! holds: when it takes longer, small look-ups go to blocking threads like large ones.

use super::{Inner, Service, ServiceError};
use crate::lookup::Question;
use hashpact_protocol::api;
use hashpact_protocol::api::frames::Incomplete;
use hashpact_protocol::digest::RecordId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Most values of a look-up that is answered on a thread of the runtime.
const AT_ONCE_VALUES_MAX: usize = 8;
/// Longest expected time of one. A thread of the runtime keeps all others waiting meanwhile.
const AT_ONCE_NS_MAX: u64 = 500_000;

/// What bounds and steers matching.
pub(super) struct Matching {
    /// Look-ups that scan at the same time.
    scans: Arc<Semaphore>,
    /// Parts of bulk requests that scan at the same time: one, because it uses every core.
    bulk: Arc<Semaphore>,
    /// How long one value of a small look-up took lately, in nanoseconds.
    value_ns: AtomicU64,
}

impl Default for Matching {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            scans: Arc::new(Semaphore::new(threads * 2)),
            bulk: Arc::new(Semaphore::new(1)),
            value_ns: AtomicU64::new(0),
        }
    }
}

impl Matching {
    /// Whether so many values can be looked up without keeping others waiting.
    fn is_cheap(&self, values: usize, pdq_radius: u32) -> bool {
        let expected_ns = self.value_ns.load(Ordering::Relaxed).saturating_mul(values as u64);
        is_small(values, pdq_radius) && expected_ns <= AT_ONCE_NS_MAX
    }

    /// Learns from a small look-up. One that was interrupted by other work must not look like a slow
    /// index, so what is slower counts less than what is faster.
    fn learn(&self, values: usize, took: Duration) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let now = (took_ns / (values as u64).max(1)).min(AT_ONCE_NS_MAX * 2);
        let before = self.value_ns.load(Ordering::Relaxed);
        let learnt = if now < before { (before + now) / 2 } else { before + (now - before) / 8 };
        self.value_ns.store(learnt, Ordering::Relaxed);
    }
}

/// The state that a part of a bulk answer was computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkState {
    /// Name of the view and roster version.
    pub as_of: api::AsOf,
    /// Why "no match" proves nothing, if that is so.
    pub incomplete: Option<Incomplete>,
    /// The same in words.
    pub reason: Option<String>,
}

/// What a look-up asks of the lists, checked for its form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatchAsk {
    /// The lists to ask; `None`: all.
    pub lists: Option<Vec<String>>,
    /// Largest PDQ distance that the caller asks for.
    pub distance: Option<u32>,
    /// Whether to say why each record counts or not.
    pub explain: bool,
    /// Whether to say how well the records of an item are reviewed together.
    pub group: bool,
}

impl MatchAsk {
    fn question(&self) -> Question<'_> {
        let distance = self.distance.map(|bits| u16::try_from(bits).unwrap_or(u16::MAX));
        Question { lists: self.lists.as_deref(), distance, explain: self.explain, group: self.group }
    }
}

impl Service {
    /// Whether these queries are few and cheap enough for [`Service::match_at_once`]. While the
    /// logs are loaded, or rows are not confirmed, none is: a look-up may then have to read the disk.
    #[must_use]
    pub fn is_cheap(&self, queries: &[api::Query], ask: &MatchAsk) -> bool {
        if self.inner.lookup.reads_disk() || ask.explain || ask.group {
            return false;
        }
        self.inner.matching.is_cheap(values_in(queries), self.radius(ask).into())
    }

    /// Largest PDQ distance that a look-up goes to.
    #[must_use]
    pub fn radius(&self, ask: &MatchAsk) -> u16 {
        self.inner.lookup.radius(&ask.question())
    }

    /// Answers a cheap match request on this thread.
    ///
    /// # Errors
    /// An unknown list.
    pub fn match_at_once(
        &self,
        queries: Vec<api::Query>,
        ask: &MatchAsk,
    ) -> Result<api::MatchResponse, ServiceError> {
        self.check_lists(ask)?;
        Ok(self.inner.match_queries(queries, ask))
    }

    /// Answers a match request on a blocking thread, and has `then` make something of the answer there.
    ///
    /// # Errors
    /// An unknown list, or the node is stopping.
    pub async fn match_signals<T: Send + 'static>(
        &self,
        queries: Vec<api::Query>,
        ask: MatchAsk,
        then: impl FnOnce(api::MatchResponse) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.check_lists(&ask)?;
        self.scan(move |inner| then(inner.match_queries(queries, &ask))).await
    }

    /// Looks up a record's own signals: what resembles it, itself among them if it counts, and how well all of that is
    /// reviewed together. `None` if the record is not known, or nothing of what it states is here.
    ///
    /// # Errors
    /// The node is stopping.
    pub async fn near(&self, id: RecordId) -> Result<Option<api::MatchResponse>, ServiceError> {
        self.scan(move |inner| {
            let content = inner.lookup.record(&id)?.stated.content;
            let signals: Vec<_> = content.signals.into_iter().map(|signal| (signal, Vec::new())).collect();
            let query = api::Query { id: id.to_hex(), signals };
            let ask = MatchAsk { group: true, ..MatchAsk::default() };
            (!query.signals.is_empty()).then(|| inner.match_queries(vec![query], &ask))
        })
        .await
    }

    /// Does a long look-up on a blocking thread.
    ///
    /// # Errors
    /// The node is stopping.
    pub(super) async fn scan<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let inner = Arc::clone(&self.inner);
        let permit = Arc::clone(&self.inner.matching.scans).acquire_owned().await;
        let permit = permit.map_err(|_| ServiceError::Stopping)?;
        let work = move || {
            // Held until the scan ends, not until the caller gave up waiting for it.
            let _permit = permit;
            work(&inner)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ServiceError::Stopping)
    }

    /// Does a part of a bulk look-up on a blocking thread, one part at a time over all requests.
    ///
    /// # Errors
    /// The node is stopping.
    pub async fn in_bulk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let permit = Arc::clone(&self.inner.matching.bulk).acquire_owned().await;
        let permit = permit.map_err(|_| ServiceError::Stopping)?;
        let service = self.clone();
        let work = move || {
            let _permit = permit;
            work(&service)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ServiceError::Stopping)
    }

    /// Matches a part of a bulk request of values. Blocks: call it inside [`Service::in_bulk`].
    #[must_use]
    pub fn match_values(&self, values: &[[u8; 32]], ask: &MatchAsk) -> Vec<crate::lookup::ValueMatches> {
        self.inner.metrics.match_items.inc_by(values.len() as u64);
        self.inner.lookup.match_values(values, &ask.question())
    }

    /// Matches a part of a bulk request of items. Blocks: call it inside [`Service::in_bulk`].
    #[must_use]
    pub fn match_items(&self, queries: Vec<api::Query>, ask: &MatchAsk) -> Vec<api::MatchResult> {
        self.inner.match_queries(queries, ask).results
    }

    /// What answers are computed from, now.
    #[must_use]
    pub fn bulk_state(&self) -> BulkState {
        let lookup = &self.inner.lookup;
        BulkState { as_of: lookup.as_of(), incomplete: lookup.incomplete(), reason: lookup.completeness().1 }
    }

    /// Refuses lists that this node does not have.
    ///
    /// # Errors
    /// The first unknown one.
    pub fn check_lists(&self, ask: &MatchAsk) -> Result<(), ServiceError> {
        let Some(names) = &ask.lists else { return Ok(()) };
        let policy = self.inner.lookup.local().policy;
        match names.iter().find(|name| policy.list(name).is_none()) {
            Some(unknown) => Err(ServiceError::UnknownList(unknown.clone())),
            None => Ok(()),
        }
    }
}

impl Inner {
    pub(super) fn match_queries(&self, queries: Vec<api::Query>, ask: &MatchAsk) -> api::MatchResponse {
        self.metrics.match_items.inc_by(queries.len() as u64);
        let (values, question) = (values_in(&queries), ask.question());
        let is_small = is_small(values, self.lookup.radius(&question).into());
        let started = Instant::now();
        let answer = self.lookup.match_queries(queries, &question, &|log| self.origin(log));
        if is_small {
            self.matching.learn(values, started.elapsed());
        }
        answer
    }
}

fn is_small(values: usize, pdq_radius: u32) -> bool {
    values <= AT_ONCE_VALUES_MAX && pdq_radius <= hashpact_index::TABLE_RADIUS_MAX
}

/// Values to look up: each signal and its variants.
fn values_in(queries: &[api::Query]) -> usize {
    queries.iter().flat_map(|query| &query.signals).map(|(_, variants)| 1 + variants.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_look_ups_are_cheap_as_long_as_the_index_is_fast() {
        let matching = Matching::default();
        let cheap = |values, radius| matching.is_cheap(values, radius);
        assert!(cheap(1, 31) && cheap(8, 47));
        assert!(!cheap(9, 31), "one value past the bound");
        assert!(!cheap(1, 48), "one bit past the bound");
        for _ in 0..100 {
            matching.learn(1, Duration::from_micros(20));
        }
        assert!(cheap(8, 31), "160 microseconds");
        matching.learn(1, Duration::from_secs(1));
        assert!(cheap(1, 31), "one interruption is no slow index");
        for _ in 0..100 {
            matching.learn(8, Duration::from_millis(360));
        }
        assert!(!cheap(1, 31), "45 milliseconds a value");
        for _ in 0..4 {
            matching.learn(1, Duration::from_micros(20));
        }
        assert!(cheap(1, 31), "fast again");
    }
}
